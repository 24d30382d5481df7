"""Packages from anywhere: whatever is in them, a command ends in time, with a sentence, and obeys nothing."""

import errno
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.circuit import Circuit, Crossbar, InputSource, Output, Resistor
from harness.cli.main import main
from harness.errors import CircuitError, NetlistError
from harness.exchange.verify import verify
from harness.netlist.dialects import NGSPICE, Dialect
from harness.netlist.hierarchy import check_hierarchy
from harness.netlist.package.manifest import is_package, read_manifest
from harness.netlist.reading.conditions import read_conditions
from harness.netlist.reading.reader import is_native, read_circuit
from harness.netlist.reading.statements import Statement, read_statements
from tests.campaigns.mutation import damage
from tests.conftest import kendall
from tests.exchange.test_verify import SIMULATED, edited, export

SAMPLES = 2


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(kendall([2]), tmp_path_factory.mktemp("pristine") / "p", NGSPICE, SAMPLES)


@pytest.fixture
def package(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "p"))


def told(package: Path, command: str = "verify", *words: str) -> Result:
    """A command that has to end within seconds, by itself."""
    started = time.monotonic()
    done = CliRunner().invoke(main, [command, str(package), *words])
    assert time.monotonic() - started < 60
    assert done.exit_code in {0, 1, 2}
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


# what a testbench asks of the simulator


TEMPERATURES = {
    "ngspice": ("temp=27.0", "temp=77.0"),
    "xyce": ("temp=27.0", "temp=77.0"),
    "ltspice": (".temp 27.0", ".temp 77.0"),
    "hspice": (".temp 27.0", ".temp 77.0"),
    "spectre": ("temp=27.0", "temp=77.0"),
}


@pytest.mark.ngspice
@pytest.mark.parametrize("dialect", SIMULATED, ids=[dialect.name for dialect in SIMULATED])
def test_a_package_is_simulated_at_its_own_temperature(dialect: Dialect, tmp_path: Path) -> None:
    package = export(kendall([2]), tmp_path / "p", dialect, SAMPLES)
    old, new = TEMPERATURES[dialect.name]
    edited(package, f"parameters.{dialect.suffix}", lambda text: text.replace(old, new, 1), hashed=True)
    verdict = verify(package)
    assert not verdict.equal
    assert verdict.changed == ()
    heard = {w.name: w.max_error_v for w in verdict.simulators if w.name != "harness"}
    assert heard["ngspice"] is not None
    assert heard["ngspice"] > 1e-5
    assert verdict.simulators[0].reason.endswith(" V (simulated at 77 °C, as the testbench asks)")
    others = [error for name, error in heard.items() if name != "ngspice" and error is not None]
    assert others == pytest.approx([heard["ngspice"]] * len(others), rel=1e-3)


@pytest.mark.parametrize("dialect", SIMULATED, ids=[dialect.name for dialect in SIMULATED])
def test_conditions_are_those_that_were_written(dialect: Dialect, tmp_path: Path) -> None:
    package = export(kendall([2]), tmp_path / "p", dialect, SAMPLES)
    file = f"testbench_free.{dialect.suffix}"
    found = read_conditions(file, read_statements(package, file, native=is_native(dialect)), dialect).values()
    wanted = {"reltol": 1e-9, "vntol": 1e-12, "abstol": 1e-15, "gmin": 1e-12, "temp": 27.0, "tnom": 27.0}
    assert found == wanted


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (".options rshunt=1e6", r"line 7: harness does not write the option 'rshunt' for ngspice"),
        (".options klu", "harness does not write the option 'klu'"),
        (".options device temp=27.0", "harness does not write the option 'device temp'"),
        (".temp 77", r"parameters\.cir line 7: temp is 77, and 27 in parameters\.cir line 4; give it once"),
        (".options reltol=1e-3", "reltol is 0.001, and 1e-09 in"),
        (".options reltol=tight", "option reltol is 'tight', which is no number"),
    ],
)
def test_options_that_nobody_wrote_are_refused(line: str, message: str, package: Path) -> None:
    edited(package, "parameters.cir", lambda text: text.replace(".param beta", f"{line}\n.param beta", 1), hashed=True)
    text = (package / "parameters.cir").read_text().splitlines()
    (package / "parameters.cir").write_text("\n".join([*text[:3], text[3], "*", "*", *text[4:], ""]))
    with pytest.raises(NetlistError, match=message):
        read_conditions("testbench_free.cir", read_statements(package, "testbench_free.cir"), NGSPICE)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" temp=27.0", "", r"testbench_free\.cir: its options do not give temp"),
        ("temp=27.0", "temp=-300.0", "temp = -300 °C must lie in"),
        ("gmin=1e-12", "gmin=0", "gmin = 0 S must lie above 0 S"),
        ("reltol=1e-09", "reltol=1.0", "reltol = 1 must lie above 0 and below"),
    ],
)
def test_conditions_out_of_bounds_are_refused(old: str, new: str, message: str, package: Path) -> None:
    edited(package, "parameters.cir", lambda text: text.replace(old, new, 1), hashed=True)
    with pytest.raises(NetlistError, match=message):
        read_conditions("testbench_free.cir", read_statements(package, "testbench_free.cir"), NGSPICE)


@pytest.mark.ngspice
def test_a_testbench_without_an_analysis_is_not_equal(package: Path) -> None:
    edited(package, "testbench_free.cir", lambda text: re.sub(r"(?m)^\.tran .*\n", "", text), hashed=True)
    own = next(w for w in verify(package).simulators if w.name == "harness")
    assert own.reason == "testbench_free.cir: it has no analysis in time"


# what would end or stall a simulator


FORMULAS = {
    "parentheses": ("(" * 200_000 + "1" + ")" * 200_000, "a formula of 400,0.. characters; at most 2,000 are read"),
    "terms": ("+".join(["1"] * 100_000), "a formula of 200,0.. characters; at most 2,000 are read"),
    "depth": ("(" * 40 + "1" + ")" * 40, "a formula with 40 levels of parentheses; at most 32 are read"),
    "digits": ("1" * 5_000, "a formula of 5,0.. characters"),
}


@pytest.mark.ngspice
@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_beyond_all_bounds_are_refused(name: str, package: Path) -> None:
    formula, message = FORMULAS[name]
    edited(
        package,
        "testbench_free.cir",
        lambda text: text.replace(".tran", f"bx o0p 0 i={formula}\n.tran", 1),
        hashed=True,
    )
    with pytest.raises(NetlistError, match=rf"testbench_free\.cir line \d+: {message}"):
        verify(package)


@pytest.mark.parametrize("number", ["1" * 400, "1." + "0" * 400, "1e9999", "1e-999999999999", "." * 9, "0x10", "1_0"])
def test_numbers_have_bounds(number: str, tmp_path: Path) -> None:
    (tmp_path / "network.cir").write_text(f"* mine\nr1 a b {number}\n")
    with pytest.raises(NetlistError, match=r"network\.cir line 2: .* is not what harness writes"):
        list(read_statements(tmp_path, "network.cir"))


def statements(*lines: str) -> Iterator[Statement]:
    return (Statement("n.cir", k, line) for k, line in enumerate(lines, start=1))


def levels(count: int, each: int) -> list[str]:
    """Subcircuits that each call the one before some times."""
    lines = [".subckt s0 a b", "r1 a b 1.0", ".ends"]
    for k in range(1, count):
        lines += [f".subckt s{k} a b", *(f"x{j} a b s{k - 1}" for j in range(each)), ".ends"]
    return [*lines, f"x a 0 s{count - 1}"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (levels(30, 2), "subcircuits are nested deeper than 8 levels"),
        (levels(8, 30), "with all subcircuits expanded, more than 5,000,000 parts"),
        ([".subckt s a b", "x1 a b s", ".ends"], "n.cir line 2: subcircuit s calls itself"),
        (
            [".subckt s a b", "x1 a b t", ".ends", ".subckt t a b"],
            "line 4: subcircuit t is called before it is defined",
        ),
        ([".subckt s a b", ".subckt t a b"], "line 2: subcircuit t begins within s"),
        ([".subckt s a b", ".ends", ".subckt s a b"], "line 3: subcircuit s is defined twice"),
        ([".ends"], "line 1: an end of no subcircuit"),
        ([".subckt s a b"], "subcircuit s has no end"),
        ([".end", "r1 a 0 1.0"], "line 2: the netlist goes on behind its .end"),
    ],
)
def test_subcircuits_have_bounds(lines: list[str], message: str) -> None:
    with pytest.raises(NetlistError, match=message):
        check_hierarchy(statements(*lines))


def test_a_bomb_of_subcircuits_is_refused_before_anything_expands(package: Path) -> None:
    bomb = "\n".join(levels(30, 2)[:-1])
    edited(package, "models.cir", lambda text: f"{text}{bomb}\n", hashed=True)
    done = told(package)
    assert done.exit_code == 1
    assert "subcircuits are nested deeper than 8 levels" in done.stderr


@pytest.mark.ngspice
def test_what_crashes_ngspice_is_said_and_the_rest_is_compared(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ngspice 39 ends the process over a subcircuit of more than 1,004 ports; newer ones take it."""
    ports = " ".join(f"p{k}" for k in range(1_500))
    edited(package, "flat.cir", lambda text: f"{text}.subckt wide {ports}\n.ends\nxwide {ports} wide\n", hashed=True)
    monkeypatch.chdir(package)
    witnesses = {(w.name, w.netlist): w for w in verify(package).simulators}
    assert witnesses["ngspice", "network"].equal
    flat = witnesses["ngspice", "flat"]
    crashes = int(str(flat.version).split(".")[0]) < 42
    assert (flat.equal, bool(flat.reason)) == ((False, True) if crashes else (True, False))


# files that are no files


def of_a_pipe(path: Path) -> None:
    os.mkfifo(path)


def of_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def of_a_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def of_a_folder(path: Path) -> None:
    path.mkdir()


def of_a_hole(path: Path) -> None:
    """A terabyte that takes no room."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


def of_nothing(path: Path) -> None:
    path.touch()


def of_noise(path: Path) -> None:
    path.write_bytes(bytes(random.Random(0).randrange(256) for _ in range(5000)))


KINDS = [of_a_pipe, of_a_device, of_a_link, of_a_folder, of_a_hole, of_nothing, of_noise]
FILES = ["manifest.json", "map.json", "expected.csv", "network.cir", "testbench_nudged.cir", "README.md"]


@pytest.mark.ngspice
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", FILES)
def test_files_that_are_none_are_said(file: str, kind: Callable[[Path], None], package: Path) -> None:
    (package / file).unlink()
    kind(package / file)
    done = told(package)
    assert done.exit_code == 1
    if done.stderr:
        assert done.stderr.count("\n") == 1
    else:
        assert f"changed since the export: {file}" in done.stdout
    assert file in done.output


DEEP = '{"package": 1, "x": ' + "[" * 100_000 + "]" * 100_000 + "}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (DEEP, "nested deeper than 32 levels"),
        ('{"package": ' + "9" * 5000 + "}", "a whole number has thousands of digits"),
        ('{"package": 1e999}', "1e999 is no finite number"),
        ('{"package": 1, "package": 1}', "key 'package' is there twice"),
        ("[]", "it holds no JSON object {…} but a list"),
        ('{"package": 2}', "is of something else"),
        ('{"package": 1, "dialect": ["ngspice"]}', "is of something else"),
        ('{"package": 1, "dialect": "ngspice"}', "must have a text at 'experiment'"),
    ],
)
def test_a_damaged_manifest_is_one_sentence(content: str, message: str, package: Path) -> None:
    (package / "manifest.json").write_text(content)
    with pytest.raises(CircuitError, match=f"p is no exported package: .*{message}"):
        read_manifest(package)
    assert is_package(package) == message.startswith(("is of", "must"))


ODD: list[object] = [None, True, -1, 10**18, 1e308, "x", "x\n.end", [], {}, [[]], {"a": [1]}, [None], [-1, 0]]


def keys(content: dict[str, object]) -> Iterator[tuple[str, object]]:
    return ((key, odd) for key in content for odd in ODD if odd != content[key])


@pytest.mark.parametrize("file", ["manifest.json", "map.json"])
def test_values_of_the_wrong_kind_are_refused_or_without_effect(file: str, package: Path) -> None:
    content = json.loads((package / file).read_text())
    circuit = read_circuit(package)
    for key, odd in keys(content):
        (package / file).write_text(json.dumps(content | {key: odd}))
        with suppress(NetlistError, CircuitError):  # nothing else may be raised
            assert read_circuit(package).elements[0] == circuit.elements[0]


def test_values_of_elements_are_of_their_kind(package: Path) -> None:
    """What is taken stands in its element as it was written, and in no other; some value of every key is refused."""
    content = json.loads((package / "map.json").read_text())
    usual, refused = read_circuit(package).elements, set()
    for k, element in enumerate(content["elements"]):
        for key, odd in keys(element):
            changed = [*content["elements"][:k], element | {key: odd}, *content["elements"][k + 1 :]]
            (package / "map.json").write_text(json.dumps(content | {"elements": changed}))
            try:
                found = read_circuit(package).elements
            except (NetlistError, CircuitError):  # nothing else may be raised, and no memory taken
                refused.add((k, key))
            else:
                assert getattr(found[k], key) == odd
                assert repr([*found[:k], *found[k + 1 :]]) == repr([*usual[:k], *usual[k + 1 :]])
    assert refused == {(k, key) for k, element in enumerate(content["elements"]) for key in element}


def test_a_channel_beyond_all_others_is_refused_at_once(package: Path) -> None:
    content = json.loads((package / "map.json").read_text())
    next(e for e in content["elements"] if e["kind"] == "input_source")["channel"] = 10**18
    (package / "map.json").write_text(json.dumps(content))
    with pytest.raises(CircuitError, match=r"no input source listens to channel \d$"):
        read_circuit(package)


def test_arrays_that_the_netlist_does_not_fill_are_refused(package: Path) -> None:
    content = json.loads((package / "map.json").read_text())
    array = next(e for e in content["elements"] if e["kind"] == "crossbar")
    array["words"] = array["bits"] = [f"n{k}" for k in range(30_000)]
    (package / "map.json").write_text(json.dumps(content))
    with pytest.raises(NetlistError, match=r"map\.json: its arrays have 900,0\S+ cells, nearly all of them open"):
        read_circuit(package)


def test_names_of_files_are_shown_without_what_a_terminal_obeys(package: Path) -> None:
    for name in (b"\x1b[2J", b"\xff\xfe", "\u202egnp.exe".encode(), b"a\nb"):
        (package / os.fsdecode(name)).touch()
    done = told(package)
    assert done.exit_code == 0
    assert not {"\x1b", "\u202e", "\udcff"} & set(done.stdout)
    kept = read_manifest(package)["verified"]["unlisted"]
    assert {*kept} == {"'\\udcff\\udcfe'", "'\\u202egnp.exe'", "'\\x1b[2J'", "'a\\nb'"}


# ties, and verdicts that cannot be kept


@pytest.mark.ngspice
@pytest.mark.parametrize(("apart", "same"), [(3e-16, True), (5e-7, True), (1e-3, False)])
def test_outputs_that_tie_predict_either(apart: float, same: bool, tmp_path: Path) -> None:
    """The outputs swap their order against the expected one by so much."""
    crossbar = Crossbar("w", ("x",), ("a", "b"), np.array([[1e-3, 1e-3]]), 0.0, 1.0)
    loads = (Resistor("ra", "a", "0", 1e-3), Resistor("rb", "b", "0", 1e-3))
    circuit = Circuit("tie", (InputSource("vx", "x", 0, 1.0), crossbar, *loads), (Output("ya", "a"), Output("yb", "b")))
    package = export(circuit, tmp_path / "p", NGSPICE, 1)

    def higher(text: str) -> str:
        rows = [line.split(",") for line in text.splitlines()]
        return (
            "\n".join(",".join(r) if r[2] != "b" else f"{','.join(r[:3])},{float(r[3]) + apart!r}" for r in rows) + "\n"
        )

    edited(package, "expected.csv", higher, hashed=True)
    witness = verify(package).simulators[0]
    assert witness.predictions_equal is same
    assert witness.equal is same


@pytest.mark.ngspice
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_verdict_is_printed_where_the_manifest_cannot_be_written(
    words: tuple[str, ...], package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, _: bytes) -> None:  # root, as whom tests often run, may write everywhere
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("harness.exchange.verify.write_atomic", refused)
    done = told(package, "verify", *words)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["equal"] if words else "p: equal to what was exported" in done.stdout
    assert "warning: the verdict was not written into the package's manifest (" in done.stderr
    assert "manifest.json: Read-only file system)" in done.stderr
    assert read_manifest(package)["verified"] is None


@pytest.mark.ngspice
def test_what_a_killed_verify_left_is_removed(package: Path) -> None:
    left = package / ".manifest.json-0123abcd.partial"
    left.write_text("{")
    assert told(package).exit_code == 0
    assert not left.exists()
    assert read_manifest(package)["verified"]["unlisted"] == []


# anything else


@pytest.mark.ngspice
@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_package_is_a_verdict_or_a_sentence(
    seed: int, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(package)
    rng = np.random.default_rng(seed)
    files = sorted(path for path in package.iterdir() if path.suffix != ".md")
    file = files[seed % len(files)]
    *_, (about, content) = damage(rng, file.name, file.read_bytes())
    file.write_bytes(content)
    done = told(package)
    assert done.stderr.count("\n") <= 1, about
    assert bool(done.stderr) <= (done.exit_code > 0), about
