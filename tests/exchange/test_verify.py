"""Packages simulated again, by ngspice and by simulators and layout tools that are not ours."""

import json
import re
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.circuit import Circuit, Crossbar, Gyrator, Transformer, rectified_cascade
from harness.circuit.variation.lines import LineResistance
from harness.cli.main import main
from harness.devices import CellLaw, Curve
from harness.errors import NetlistError, NgspiceMissing, SimulatorError
from harness.exchange.export import expected_volts
from harness.exchange.lvs import Comparer, KLayout, Netgen
from harness.exchange.simulators import NGSPICE as SIMULATOR
from harness.exchange.simulators import OTHERS
from harness.exchange.simulators.programs import LTSPICE, SPECTRE, XYCE, ProgramSimulator
from harness.exchange.simulators.raw import net_of, read_raw
from harness.exchange.verify import Difference, record, verify
from harness.netlist.design.design import design_of
from harness.netlist.dialects import CDL, DIALECTS, NGSPICE, Dialect, Stimulus
from harness.netlist.package.manifest import read_manifest
from harness.netlist.package.package import Origin, Package
from harness.netlist.package.writing import write_package
from tests.conftest import CELLS, DIODE, convolved, kendall, scellier

SIMULATED = [dialect for dialect in DIALECTS.values() if dialect.has_testbench]
EVERY = pytest.mark.parametrize("dialect", SIMULATED, ids=[dialect.name for dialect in SIMULATED])


def export(circuit: Circuit, folder: Path, dialect: Dialect, samples: int = 2, beta: float = 0.3) -> Path:
    rng = np.random.default_rng(0)
    shapes = (samples, circuit.channels), (samples, len(circuit.outputs))
    stimulus = Stimulus(rng.uniform(-1, 1, shapes[0]), rng.uniform(-1, 1, shapes[1]), beta)
    expected = expected_volts(circuit, stimulus) if dialect.has_testbench else {}
    origin = Origin("mine", "initial conductances, seed 0", rows=tuple(range(samples)))
    write_package(folder, Package(design_of(circuit, (3, 3)), dialect, stimulus, expected, origin, (3, 3)))
    return folder


def everything() -> Circuit:
    """A layered network with every other kind of stage in it, whose diodes conduct."""
    circuit = kendall([4])
    first, second = circuit.outputs
    stages = (
        Gyrator("gyrator", first.plus, "0", second.plus, "0", 0.01),
        Transformer("transformer", first.minus, "0", second.minus, "0", 2.0),
    )
    return Circuit("Everything", (*circuit.elements, *stages), circuit.outputs)


def other(name: str) -> None:
    """Skip where a simulator of a development dependency has no wheel."""
    simulator = next(s for s in OTHERS if s.name == name)
    if simulator.version() is None:
        pytest.skip(f"{name} has no wheel for this platform ({simulator.searched})")


@pytest.mark.ngspice
@EVERY
def test_every_dialect_is_simulated_by_ngspice_and_by_a_reader_of_somebody_else(
    dialect: Dialect, tmp_path: Path
) -> None:
    other("VACASK")
    verdict = verify(export(everything(), tmp_path / "p", dialect))
    witnesses = {(w.name, w.netlist): w for w in verdict.simulators}
    assert {("ngspice", "network"), ("ngspice", "flat"), ("VACASK", "network")} <= witnesses.keys()
    own = witnesses.pop(("harness", "flat against network"))
    assert own.equal
    assert own.reason == ""
    assert all(w.equal and w.predictions_equal and w.max_error_v is not None for w in witnesses.values())
    assert verdict.equal
    assert verdict.predictions_equal
    assert verdict.max_error_v is not None
    assert 0 < verdict.max_error_v < 1e-9


@pytest.mark.ngspice
def test_neospice_reads_the_dialect_of_ngspice(tmp_path: Path) -> None:
    other("neospice")
    verdict = verify(export(everything(), tmp_path / "p", NGSPICE))
    witness = next(w for w in verdict.simulators if w.name == "neospice")
    assert witness.equal
    assert witness.max_error_v is not None
    assert witness.max_error_v < 1e-8


@pytest.mark.ngspice
@EVERY
def test_cascades_meshes_and_lines(dialect: Dialect, tmp_path: Path) -> None:
    lined = LineResistance(2.0, 3.0).apply(scellier([3]))
    many = kendall([1], channels=520)  # more ports than an ngspice subcircuit may have
    for k, circuit in enumerate((lined, convolved(), many) if dialect is NGSPICE else (lined, convolved())):
        assert verify(export(circuit, tmp_path / str(k), dialect)).equal


@pytest.mark.ngspice
@pytest.mark.release
@EVERY
@pytest.mark.parametrize("curve", [Curve.SINH, Curve.CUBIC])
def test_nonlinear_cells(dialect: Dialect, curve: Curve, tmp_path: Path) -> None:
    law = CellLaw(curve, 0.7)
    straight = kendall([1], channels=1, outputs=1)
    elements = (replace(e, law=law) if isinstance(e, Crossbar) else e for e in straight.elements)
    verdict = verify(export(replace(straight, elements=tuple(elements)), tmp_path / "p", dialect))
    assert verdict.equal
    told = {w.name: w for w in verdict.simulators}
    assert told["ngspice"].equal
    if "VACASK" in told and not told["VACASK"].equal:
        assert told["VACASK"].equal is None  # it cannot read formulas in some dialects, nor without a linker
        if dialect.name not in {"hspice", "spectre"}:
            assert "no ld on the path" in told["VACASK"].reason
            assert shutil.which("ld") is None


@pytest.mark.ngspice
@pytest.mark.release
def test_without_a_linker_vacask_says_so_and_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other("VACASK")
    circuit = kendall([1], channels=1, outputs=1)
    elements = (replace(e, law=CellLaw(Curve.SINH, 0.7)) if isinstance(e, Crossbar) else e for e in circuit.elements)
    package = export(replace(circuit, elements=tuple(elements)), tmp_path / "p", NGSPICE)
    monkeypatch.setenv("PATH", str(tmp_path))
    witness = next(w for w in verify(package).simulators if w.name == "VACASK")
    assert witness.equal is None
    assert witness.reason.endswith("with a linker, and there is no ld on the path; install binutils")


@pytest.mark.ngspice
def test_the_manifest_keeps_the_verdict_and_the_command_prints_it(tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    assert read_manifest(package)["verified"] is None
    shown = CliRunner().invoke(main, ["verify", str(package)])
    assert shown.exit_code == 0
    assert "equal to what was exported (voltages within 1e-06 V)" in shown.stdout
    as_json = CliRunner().invoke(main, ["verify", str(package), "--json"])
    verdict = json.loads(as_json.stdout)
    assert {"equal", "max_error_v", "predictions_equal", "simulators"} <= verdict.keys()
    assert verdict["equal"] is True
    assert verdict["predictions_equal"] is True
    kept = read_manifest(package)["verified"]
    assert kept["equal"] is True
    assert kept["date"] >= "2020"
    assert kept["simulators"][0]["name"] == "ngspice"
    assert re.match(r"\d+", kept["simulators"][0]["version"])


def edited(package: Path, file: str, change: Callable[[str], str], *, hashed: bool) -> None:
    text = (package / file).read_text()
    assert change(text) != text
    (package / file).write_text(change(text))
    if hashed:
        manifest = json.loads((package / "manifest.json").read_text())
        manifest["files"][file] = sha256(change(text).encode()).hexdigest()
        (package / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.ngspice
@EVERY
def test_another_value_is_found_though_the_hashes_fit(dialect: Dialect, tmp_path: Path) -> None:
    package = export(kendall([4]), tmp_path / "p", dialect)
    spectre = dialect.name == "spectre"
    pattern = r"(?m)^( *r0_0 \(w0 b0\) resistor r=).*$" if spectre else r"(?m)^(r0_0 w0 b0 ).*$"
    edited(package, f"network.{dialect.suffix}", lambda text: re.sub(pattern, r"\g<1>123.0", text), hashed=True)
    verdict = verify(package)
    assert not verdict.equal
    assert not verdict.changed
    assert verdict.max_error_v is not None
    assert verdict.max_error_v > 1e-4
    record(package, verdict)
    told = {w.netlist: w for w in verdict.simulators}
    assert {netlist: w.equal for netlist, w in told.items()} == {
        "network": False,
        "flat": True,
        "flat against network": False,
    }
    assert re.fullmatch(
        r"2 cells differ, most of all w\d, cell \[0, 0\]: "
        rf"\S+ m?S in network\.{dialect.suffix}, \S+ m?S in flat\.{dialect.suffix}",
        told["flat against network"].reason,
    )
    worst = verdict.worst
    assert worst is not None
    assert worst.found_v is not None
    assert abs(worst.found_v - worst.expected_v) == verdict.max_error_v
    line = f"{worst.sample},{worst.phase},{worst.node},{worst.expected_v!r}"
    assert line in (package / "expected.csv").read_text().splitlines()
    assert CliRunner().invoke(main, ["verify", str(package)]).exit_code == 1


@pytest.mark.ngspice
def test_changed_missing_and_added_files_are_named(tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    edited(package, "README.md", lambda text: text + "\n", hashed=False)
    (package / "flat.cir").write_text("* flat\n")
    with pytest.raises(SimulatorError):  # never passes quietly
        raise SimulatorError(next(w.reason for w in verify(package).simulators if w.netlist == "flat"))
    shown = CliRunner().invoke(main, ["verify", str(package)])
    assert shown.exit_code == 1
    for file in ("README.md", "flat.cir"):
        assert f"changed since the export: {file}" in shown.stdout
    assert "NOT equal" in shown.stdout
    assert "harness, flat against network: " in shown.stdout


def test_missing_files_are_named_and_nothing_is_simulated(tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    for file in ("flat.cir", "map.json", "expected.csv"):
        (package / file).unlink()
    shown = CliRunner().invoke(main, ["verify", str(package)])
    assert shown.exit_code == 1
    lines = shown.stdout.splitlines()
    assert lines[:3] == ["expected.csv is missing", "flat.cir is missing", "map.json is missing"]
    assert lines[3].endswith("p: NOT equal to what was exported; nothing was compared, as files are missing")
    kept = read_manifest(package)["verified"]
    assert kept["missing"] == ["expected.csv", "flat.cir", "map.json"]
    assert kept["equal"] is False
    assert kept["simulators"] == []


@pytest.mark.ngspice
def test_what_a_simulator_wrote_into_the_folder_decides_nothing(tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    for file in ("testbench_free.raw", "testbench_free.log"):
        (package / file).write_bytes(b"\0results")
    shown = CliRunner().invoke(main, ["verify", str(package)])
    assert shown.exit_code == 0
    assert "not part of the package: testbench_free.log, testbench_free.raw" in shown.stdout
    assert "changed" not in shown.stdout
    assert read_manifest(package)["verified"]["unlisted"] == ["testbench_free.log", "testbench_free.raw"]


@pytest.mark.ngspice
def test_the_worst_voltage_is_named(tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    true = float(re.search(r"(?m)^1,nudged,h1_1,(.*)$", (package / "expected.csv").read_text())[1])  # type: ignore[index]
    edited(
        package,
        "expected.csv",
        lambda text: re.sub(r"(?m)^(1,nudged,h1_1),.*$", rf"\1,{true + 0.1!r}", text),
        hashed=True,
    )
    shown = CliRunner().invoke(main, ["verify", str(package)])
    assert shown.exit_code == 1
    told = f"h1_1, row 1, nudged: {true:.4f} V, expected {true + 0.1:.4f} V"
    assert f"ngspice, network: {told}" in shown.stdout
    assert f"ngspice, flat: {told}" in shown.stdout
    worst = json.loads(CliRunner().invoke(main, ["verify", str(package), "--json"]).stdout)["worst"]
    assert {key: worst[key] for key in ("sample", "phase", "node")} == {"sample": 1, "phase": "nudged", "node": "h1_1"}
    assert worst["expected_v"] == true + 0.1
    assert worst["found_v"] == pytest.approx(true, abs=1e-9)
    assert read_manifest(package)["verified"]["worst"] == worst


def test_small_differences_are_shown_with_the_digits_they_need() -> None:
    assert str(Difference(0, "free", "h1_1", 0.6016, 0.7)) == "h1_1, row 0, free: 0.6016 V, expected 0.7000 V"
    assert str(Difference(0, "free", "y", 0.700002, 0.7)) == "y, row 0, free: 0.70000200 V, expected 0.70000000 V"
    assert str(Difference(0, "free", "y", None, 0.7)) == "y, row 0, free: no number, expected 0.7000 V"


@pytest.mark.ngspice
def test_a_voltage_that_is_no_number_is_not_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    monkeypatch.setattr(type(SIMULATOR), "volts", lambda _, deck: np.full((len(deck.times), len(deck.nets)), np.nan))
    verdict = verify(package)
    assert not verdict.equal
    assert verdict.worst is not None
    assert verdict.worst.found_v is None
    assert "no number, expected" in verdict.simulators[0].reason


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "..", "sub/x", "manifest.json"])
def test_a_manifest_that_names_files_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    content = json.loads((package / "manifest.json").read_text())
    content["files"][name] = "0" * 64
    (package / "manifest.json").write_text(json.dumps(content))
    message = (
        rf"its manifest\.json lists '{name}', which is no file in the package's own folder; nothing else is opened"
    )
    with pytest.raises(NetlistError, match=message):
        verify(package)


def test_a_manifest_lists_what_the_proof_needs(tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    content = json.loads((package / "manifest.json").read_text())
    del content["files"]["testbench_nudged.cir"]
    (package / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(NetlistError, match=r"its manifest\.json does not list testbench_nudged\.cir"):
        verify(package)


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([5, 1], r"expected\.csv line 2: sample '0' is none of the samples in manifest\.json"),
        ([0, 1, 2], r"manifest\.json: read_at must be a list of 3 times"),
        ([0, 0], r"manifest\.json: samples names a row twice"),
        (["0", 1], r"manifest\.json: samples must be a list of numbers of rows"),
        (None, r"manifest\.json: samples must be a list of numbers of rows"),
    ],
)
def test_edited_samples_are_refused(samples: object, message: str, tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    content = json.loads((package / "manifest.json").read_text())
    (package / "manifest.json").write_text(json.dumps(content | {"samples": samples}))
    shown = CliRunner().invoke(main, ["verify", str(package)])
    assert shown.exit_code == 1
    assert re.search(message, " ".join(shown.stderr.split()))


@pytest.mark.ngspice
def test_a_damaged_map_is_named_with_its_line_and_a_wrong_one_with_its_key(tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    whole = (package / "map.json").read_text()
    edited(package, "map.json", lambda text: text[:200], hashed=True)
    with pytest.raises(NetlistError, match=r"map\.json: not valid JSON: .* line \d+"):
        verify(package)
    content = json.loads(whole)
    diode = next(k for k, e in enumerate(content["elements"]) if e["kind"] == "diode")
    content["elements"][diode]["path"] = "xelsewhere.d0"
    (package / "map.json").write_text(json.dumps(content))
    verdict = verify(package)
    assert not verdict.equal
    own = next(w for w in verdict.simulators if w.name == "harness")
    assert re.match(rf"map\.json: elements\[{diode}\] is .*, where the netlist's circuit has", own.reason)
    del content["nodes"]
    (package / "map.json").write_text(json.dumps(content))
    with pytest.raises(NetlistError, match=r"map\.json: it does not describe a circuit: 'nodes' must be an object"):
        verify(package)


@pytest.mark.ngspice
@EVERY
def test_samples_are_measured_when_they_are_read(dialect: Dialect, tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", dialect)
    file = f"testbench_nudged.{dialect.suffix}"
    spectre = dialect.name == "spectre"
    old = r"strobedelay=5e-07" if spectre else r"(?m)^(\.measure tran \w+__s1 .*at[ =])1\.5e-06$"
    edited(
        package, file, lambda text: re.sub(old, "strobedelay=6e-07" if spectre else r"\g<1>1.6e-06", text), hashed=True
    )
    verdict = verify(package)
    own = next(w for w in verdict.simulators if w.name == "harness")
    said = (
        "strobedelay is 6e-07 s, and the samples need 5e-07 s"
        if spectre
        else "it measures at 1.6e-06 s; sample 1 is read at 1.5e-06 s"
    )
    assert not verdict.equal
    assert re.fullmatch(rf"{re.escape(file)} line \d+: {re.escape(said)}", own.reason)


def test_commands_in_a_package_are_refused_before_anything_runs(tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    line = f".control\nshell touch {tmp_path}/ran\n.endc"
    edited(package, "models.cir", lambda text: f"{text}{line}\n", hashed=True)
    shown = CliRunner().invoke(main, ["verify", str(package)])
    assert shown.exit_code == 1
    assert re.search(r"models\.cir line \d+: '\.control' gives a simulator commands", shown.stderr)
    assert not (tmp_path / "ran").exists()


@pytest.mark.ngspice
@pytest.mark.parametrize("net", ["h\n.control\nshell touch ran\n.endc\n.save v(x", "h)", "../h", "H", "", 7, None])
def test_nets_that_are_no_names_are_refused(net: object, tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    content = json.loads((package / "map.json").read_text())
    content["nodes"]["h1_0"] = net
    (package / "map.json").write_text(json.dumps(content))
    with pytest.raises(NetlistError, match=r"map\.json: .*node 'h1_0'"):
        verify(package)


def test_without_ngspice_it_fails_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", "/nowhere/libngspice.so")
    with pytest.raises(NgspiceMissing, match=r"cannot be verified: ngspice is not here \(searched \$NGSPICE_LIBRARY"):
        verify(package)
    assert CliRunner().invoke(main, ["verify", str(package)]).exit_code == 1
    assert read_manifest(package)["verified"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text.replace("sample,phase", "row,phase"),
            r"expected\.csv line 1: 'row,phase,node,volts', where",
        ),
        (lambda text: re.sub(r"(?m)^0,free,.*\n", "", text), r"expected\.csv: it has no line for 0,free,\w+; it must"),
        (
            lambda text: text[: len(text) // 2].rsplit(",", 2)[0] + "\n",
            r"expected\.csv line \d+: '\d,\w+' is not sample",
        ),
        (lambda text: re.sub(r"(?m)^(0,free,\w+),.*$", r"\1,nan", text), r"line 2: 'nan' is no finite number of volts"),
        (lambda text: text + "1,2\n", r"expected\.csv line \d+: '1,2' is not sample,phase,node,volts"),
        (lambda text: text + text.splitlines()[1] + "\n", r"expected\.csv line \d+: 0,free,\w+ is there twice"),
        (lambda text: text.splitlines()[0] + "\n", r"expected\.csv: it is empty"),
        (lambda _: "", r"expected\.csv: it is empty"),
    ],
)
def test_an_expectation_that_makes_no_sense_is_refused(
    change: Callable[[str], str], message: str, tmp_path: Path
) -> None:
    pytest.importorskip("PySpice")
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    edited(package, "expected.csv", change, hashed=True)
    with pytest.raises((NetlistError, NgspiceMissing), match=f"{message}|ngspice is not here"):
        verify(package)


def test_other_cells_than_resistors_are_refused(tmp_path: Path) -> None:
    package = export(kendall([3]), tmp_path / "p", NGSPICE)
    edited(package, "manifest.json", lambda text: text.replace('"resistor"', '"behavioural"'), hashed=False)
    with pytest.raises(NetlistError, match=r"its cells are behavioural, whose conductances no line"):
        verify(package)


FAKE = """#!{python}
import json, pathlib, sys
known = json.loads(pathlib.Path({table!r}).read_text())
if sys.argv[1:] in (["-v"], ["-W"]):
    print("{name} 9.9 of a test")
    sys.exit()
(pathlib.Path({table!r}).parent / "words").write_text(" ".join(sys.argv[1:]))
testbench = next(word for word in sys.argv if word.startswith("testbench") and not word.endswith(".raw"))
assert pathlib.Path(testbench).is_file()
assert list(pathlib.Path().glob("network.*"))
points, names = known[pathlib.Path(testbench).stem]
lines = ["Title: x", "Flags: real", f"No. Variables: {{len(names)}}", f"No. Points: {{len(points)}}", "Variables:"]
lines += [f"\\t{{k}}\\t{{name}}\\tvoltage" for k, name in enumerate(names)]
lines += ["Values:"]
for k, point in enumerate(points):
    lines += [f"{{k}}\\t{{point[0]!r}}", *(f"\\t{{value!r}}" for value in point[1:])]
text = "\\n".join(lines) + "\\n"
pathlib.Path(testbench).with_suffix(".raw").write_bytes(text.encode({encoding!r}))
"""


@pytest.mark.ngspice
def test_vacask_is_not_given_thousands_of_formulas_to_compile(tmp_path: Path) -> None:
    other("VACASK")
    straight = kendall([6])
    law = CellLaw(Curve.SINH, 0.7)
    elements = (replace(e, law=law) if isinstance(e, Crossbar) else e for e in straight.elements)
    verdict = verify(export(replace(straight, elements=tuple(elements)), tmp_path / "p", NGSPICE))
    witness = next(w for w in verdict.simulators if w.name == "VACASK")
    assert verdict.equal
    assert witness.equal is None
    assert re.search(r"compiles every formula by itself, and there are \d+", witness.reason)
    assert verdict.unread == ("VACASK",)
    assert "VACASK" not in verdict.agree
    assert {"ngspice", "harness"} <= set(verdict.agree)
    shown = CliRunner().invoke(main, ["verify", str(tmp_path / "p")])
    agree = ", ".join(verdict.agree)
    assert shown.stdout.splitlines()[-1].endswith(f"V), according to {agree}; VACASK could not read it")


def fake_results(package: Path, call: Callable[[str], str]) -> dict[str, object]:
    """Points and names of each testbench's vectors, from what the package expects."""
    mapped = json.loads((package / "map.json").read_text())
    times = json.loads((package / "manifest.json").read_text())["read_at"]
    rows = [line.split(",") for line in (package / "expected.csv").read_text().splitlines()[1:]]
    tables: dict[str, object] = {}
    for phase in ("free", "nudged"):
        volts = {(sample, node): float(v) for sample, shown, node, v in rows if shown == phase}
        nodes = list(dict.fromkeys(node for _, node in volts))
        paths = {n: mapped["nodes"][n] for n in nodes}
        names = [p if p in mapped["ports"] else f"{mapped['instance']}.{p}" for p in paths.values()]
        points = [
            [time + shift, *(volts[str(k), node] for node in nodes)]
            for k, time in enumerate(times)
            for shift in (-0.3 * times[0], 0.3 * times[0])
        ]
        tables[f"testbench_{phase}"] = (points, ["time", *(call(name) for name in names)])
    return tables


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("simulator", "call", "encoding", "words"),
    [
        (
            XYCE,
            lambda net: f"V({net.replace('.', ':').upper()})",
            "ascii",
            "-r testbench_nudged.raw -a testbench_nudged",
        ),
        (LTSPICE, lambda net: f"V({net.replace('.', ':')})", "utf-16-le", "-b -ascii testbench_nudged.cir"),
        (SPECTRE, lambda net: net, "ascii", "-format nutascii -raw testbench_nudged.raw testbench_nudged.scs"),
    ],
    ids=["Xyce", "LTspice", "Spectre"],
)
def test_programs_are_found_by_variable_and_run_on_their_own_dialect(
    simulator: ProgramSimulator,
    call: Callable[[str], str],
    encoding: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert simulator in OTHERS
    package = export(kendall([3]), tmp_path / "p", DIALECTS[simulator.dialect])
    monkeypatch.setenv(simulator.program.variable, "/nowhere")
    absent = verify(package).absent
    assert any(simulator.name in line and "on the path" in line for line in absent)
    table = tmp_path / "table.json"
    table.write_text(json.dumps(fake_results(package, call)))
    program = tmp_path / "simulator"
    text = FAKE.format(python=sys.executable, table=str(table), name="Simulator", encoding=encoding)
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(simulator.program.variable, str(program))
    verdict = verify(package)
    witness = next(w for w in verdict.simulators if w.name == simulator.name)
    assert verdict.equal
    assert witness.max_error_v == 0
    assert "9.9 of a test" in witness.version or "unknown" in witness.version
    assert (tmp_path / "words").read_text().startswith(words)
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no licence')\n")
    witness = next(w for w in verify(package).simulators if w.name == simulator.name)
    assert witness.equal is None
    assert "no licence" in witness.reason


@pytest.mark.parametrize("tool", [XYCE, SPECTRE, Netgen()], ids=lambda tool: tool.name)
def test_programs_are_asked_for_their_version_in_an_empty_folder(
    tool: ProgramSimulator | Netgen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working directory may be a package that somebody sent, with files that the program would read."""
    package, home = tmp_path / "package", tmp_path / "home"
    for folder in (package, home):
        folder.mkdir()
    program = home / "program"
    program.write_text(f"#!/bin/sh\nls -A > {home}/seen\npwd >> {home}/seen\necho 'Netgen 1.5.9'\n")
    program.chmod(0o755)
    (package / "setup.tcl").write_text("exec touch mark\n")
    monkeypatch.chdir(package)
    variable = "NETGEN" if isinstance(tool, Netgen) else tool.program.variable
    monkeypatch.setenv(variable, "../home/program")
    assert "1.5.9" in str(tool.version())
    (where,) = (home / "seen").read_text().splitlines()
    assert Path(where).name.startswith("harness-")
    assert not Path(where).exists()


@pytest.mark.parametrize("path", [".", "", ":/nowhere", "package"])
def test_programs_in_the_working_directory_are_not_found(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path, tmp_path / "package"):
        folder.mkdir(exist_ok=True)
        (folder / "Xyce").write_text("#!/bin/sh\n")
        (folder / "Xyce").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XYCE", raising=False)
    monkeypatch.setenv("PATH", path)
    assert XYCE.program.found() is None


def test_raw_files(tmp_path: Path) -> None:
    head = "Title: x\nFlags: real\nNo. Variables: 2\nNo. Points: 3\nVariables:\n\t0\ttime\ttime\n\t1\tV(A:B)\tvoltage\n"
    numbers = np.array([[0.0, 1.0], [1e-6, 0.1 + 0.2], [2e-6, -3.0]])
    binary = tmp_path / "binary.raw"
    binary.write_bytes(head.encode() + b"Binary:\n" + numbers.tobytes())
    wide = tmp_path / "wide.raw"
    wide.write_bytes((head + "Binary:\n").encode("utf-16-le") + numbers.tobytes())
    for file in (binary, wide):
        found = read_raw(file)
        assert list(found) == ["time", "a.b"]
        assert (np.column_stack(list(found.values())) == numbers).all()
    for damaged in (head.replace("3", "300"), head.replace("3", "4")):
        for kind in ("Binary", "Values"):
            binary.write_bytes(f"{damaged}{kind}:\n".encode() + numbers.tobytes())
            with pytest.raises(SimulatorError, match=r"binary\.raw does not hold the (300|4) points that it says"):
                read_raw(binary)
    binary.write_bytes((head.replace("\t1\tV(A:B)\tvoltage", "\t1") + "Binary:\n").encode())
    with pytest.raises(SimulatorError, match=r"binary\.raw is no raw file of real numbers"):
        read_raw(binary)
    binary.write_bytes(b"nothing")
    with pytest.raises(SimulatorError, match=r"binary\.raw is no raw file"):
        read_raw(binary)
    with pytest.raises(SimulatorError, match=r"no results were written \(none\.raw is missing\)"):
        read_raw(tmp_path / "none.raw")
    assert net_of("V(XNET:H0)") == "xnet.h0"


def layout_tool(tool: Comparer) -> Comparer:
    if tool.version() is None:
        pytest.skip(f"{tool.name} is not here (searched {tool.searched})")
    return tool


TOOLS = pytest.mark.parametrize("tool", [Netgen(), KLayout()], ids=["Netgen", "KLayout"])


@TOOLS
def test_layout_tools_find_flat_and_hierarchical_netlists_alike(tool: Comparer, tmp_path: Path) -> None:
    layout_tool(tool)
    circuits = (
        everything(),
        rectified_cascade(2, [3], 2, cells=CELLS, diode=DIODE, rng=np.random.default_rng(0)),
        scellier([3]),
        kendall([10], channels=4, outputs=3),  # whose calls go on over line ends
    )
    for k, circuit in enumerate(circuits):
        verdict = verify(export(circuit, tmp_path / str(k), CDL))
        record(tmp_path / str(k), verdict)
        assert verdict.equal
        assert next(w for w in verdict.simulators if w.name == tool.name).equal
        assert read_manifest(tmp_path / str(k))["verified"]["equal"] is True


@TOOLS
@pytest.mark.parametrize(
    ("pattern", "changed"),
    [
        (r"(?m)^(r\S+ \S+ \S+) (?!1000\.0).*$", r"\1 77.0"),
        (r"(?m)^(r\S+) (x0p) (\S+)", r"\1 x1p \3"),
        (r"(?m)^(d\S+) (\S+) (\S+) ", r"\1 \3 \2 "),
        (r"(?m)^(xamp1_0) (\S+) (\S+) ", r"\1 \3 \2 "),
        (r"(?m)^r.*\n", ""),
    ],
    ids=["value", "connection", "diode-turned", "amplifier-turned", "missing"],
)
def test_layout_tools_find_what_differs(tool: Comparer, pattern: str, changed: str, tmp_path: Path) -> None:
    layout_tool(tool)
    package = export(kendall([4]), tmp_path / "p", CDL)
    network, flat = ((package / f"{stem}.cdl").read_text() for stem in ("network", "flat"))
    assert tool.difference(network, flat) == ""
    wrong = re.sub(pattern, changed, flat, count=1)
    assert wrong != flat
    assert tool.difference(network, wrong) != ""


def test_a_cdl_package_with_another_value_is_not_equal(tmp_path: Path) -> None:
    package = export(scellier([3]), tmp_path / "p", CDL)
    edited(package, "network.cdl", lambda text: re.sub(r"(?m)^(r0_1 w0 b1) .*$", r"\1 3.0", text, count=1), hashed=True)
    verdict = verify(package)
    assert not verdict.equal
    assert next(w for w in verdict.simulators if w.name == "harness").reason == (
        "1 cell differs: w1, cell [0, 1]: 333 mS in network.cdl, 1 mS in flat.cdl"
    )


def test_of_cdl_no_more_is_claimed_than_was_compared(tmp_path: Path) -> None:
    package = export(scellier([3]), tmp_path / "p", CDL)
    shown = CliRunner().invoke(main, ["verify", str(package)])
    assert shown.exit_code == 0
    last = shown.stdout.splitlines()[-1]
    assert "p: flat equals hierarchical; files unchanged since the export; according to harness" in last
    assert "equal to what was exported" not in shown.stdout
