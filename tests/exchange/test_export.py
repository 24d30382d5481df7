"""Packages of netlists: golden texts in every dialect, names and numbers, and what ngspice makes of them."""

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from harness import Experiment
from harness.circuit import (
    GROUND,
    BidirectionalAmplifier,
    Buffer,
    Circuit,
    Crossbar,
    CurrentSource,
    Diode,
    Gyrator,
    InputSource,
    Output,
    Resistor,
    Transformer,
    VoltageSource,
    equilibrium_network,
    rectified_cascade,
)
from harness.circuit.variation.lines import LineResistance
from harness.cli.main import main
from harness.devices import CellLaw, Curve, DiodeModel
from harness.errors import CircuitError
from harness.exchange.export import Choices, expected_volts, package_of
from harness.exchange.verify import verify
from harness.measurement import Array
from harness.netlist.design.design import design_of
from harness.netlist.design.naming import RESERVED, Names, ohms, siemens_of
from harness.netlist.dialects import CDL, DIALECTS, NGSPICE, RESISTORS, Dialect, Phase, Stimulus
from harness.netlist.package.manifest import read_manifest
from harness.netlist.package.package import Origin, Package
from harness.netlist.package.writing import files_of, write_package
from tests.conftest import CELLS, DIODE, kendall, scellier
from tests.packages import deck_lines, probes

ROOT = Path(__file__).parents[2]
ORIGIN = Origin("mine", "initial conductances, seed 0", rows=(0, 1))


def tile_of_two() -> Circuit:
    """A 2×2 crossbar, a diode, an amplifier with an offset and a fixed resistor."""
    model = DiodeModel("Dm", 1e-12, 1.5)
    conductances = np.array([[0.5, 0.0], [0.125, 3.0]])
    elements = (
        InputSource("X", "X", 0, -2.0),
        VoltageSource("Bias", "bias", 0.5),
        Crossbar("W", ("X", "bias"), ("1h", "o"), conductances, 0.0, 4.0),
        Diode("up", "1h", GROUND, model),
        BidirectionalAmplifier("amp", "1h", "a", 4.0, 0.25),
        Resistor("load", "a", "o", 0.1),
    )
    return Circuit("tiny", elements, (Output("y", "o"),))


def stimulus(circuit: Circuit, samples: int = 2, beta: float = 0.3) -> Stimulus:
    rng = np.random.default_rng(0)
    shapes = (samples, circuit.channels), (samples, len(circuit.outputs))
    return Stimulus(rng.uniform(-1, 1, shapes[0]), rng.uniform(-1, 1, shapes[1]), beta)


def package(circuit: Circuit, dialect: Dialect = NGSPICE, tile: tuple[int, int] = (128, 128)) -> Package:
    applied = stimulus(circuit)
    expected = expected_volts(circuit, applied) if dialect.has_testbench else {}
    return Package(design_of(circuit, tile), dialect, applied, expected, ORIGIN, tile)


SPICE_NETWORK = """\
.subckt tiny_w_0_0 w0 w1 b0 b1
r0_0 w0 b0 2.0
r1_0 w1 b0 8.0
r1_1 w1 b1 0.33333333333333333
.ends tiny_w_0_0
.subckt tiny_neuron_0 a vss
d0 a vss dm
.ends tiny_neuron_0
.subckt tiny_amplifier_0 in out vss
v2 shifted in 0.25
e1 sense vss shifted vss 4.0
v1 sense out 0.0
f1 in vss v1 0.25
.ends tiny_amplifier_0
.subckt tiny x bias o vss
xw_0_0 x bias n_1h o tiny_w_0_0
xn_n_1h n_1h vss tiny_neuron_0
xamp n_1h a vss tiny_amplifier_0
rload a o 10.0
.ends tiny"""
SPECTRE_NETWORK = """\
simulator lang=spectre
subckt tiny_w_0_0 (w0 w1 b0 b1)
    r0_0 (w0 b0) resistor r=2.0
    r1_0 (w1 b0) resistor r=8.0
    r1_1 (w1 b1) resistor r=0.33333333333333333
ends tiny_w_0_0
subckt tiny_neuron_0 (a vss)
    d0 (a vss) dm
ends tiny_neuron_0
subckt tiny_amplifier_0 (in out vss)
    v2 (shifted in) vsource dc=0.25
    e1 (sense vss shifted vss) vcvs gain=4.0
    v1 (sense out) vsource dc=0.0
    f1 (in vss) cccs probe=v1 gain=0.25
ends tiny_amplifier_0
subckt tiny (x bias o vss)
    xw_0_0 (x bias n_1h o) tiny_w_0_0
    xn_n_1h (n_1h vss) tiny_neuron_0
    xamp (n_1h a vss) tiny_amplifier_0
    rload (a o) resistor r=10.0
ends tiny"""
CDL_NETWORK = """\
.SUBCKT tiny_w_0_0 w0 w1 b0 b1
*.PININFO w0:B w1:B b0:B b1:B
r0_0 w0 b0 2.0
r1_0 w1 b0 8.0
r1_1 w1 b1 0.33333333333333333
.ENDS
.SUBCKT tiny_neuron_0 a vss
*.PININFO a:B vss:B
d0 a vss dm
.ENDS
.SUBCKT tiny_amplifier_0 in out vss
*.PININFO in:B out:B vss:B
.ENDS
.SUBCKT tiny x bias o vss
*.PININFO x:I bias:I o:O vss:B
xw_0_0 x bias n_1h o / tiny_w_0_0
xn_n_1h n_1h vss / tiny_neuron_0
xamp n_1h a vss / tiny_amplifier_0
rload a o 10.0
.ENDS"""
NETWORKS = {**dict.fromkeys(("ngspice", "xyce", "ltspice", "hspice"), SPICE_NETWORK)}
NETWORKS |= {"spectre": SPECTRE_NETWORK, "cdl": CDL_NETWORK}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_the_network_in_every_dialect(dialect: Dialect) -> None:
    assert "\n".join(dialect.network(design_of(tile_of_two()), RESISTORS)) == NETWORKS[dialect.name]


PARAMETERS = {
    "ngspice": ".options reltol=1e-09 vntol=1e-12 abstol=1e-15 gmin=1e-12 temp=27.0 tnom=27.0",
    "xyce": """\
.options device gmin=1e-12 temp=27.0 tnom=27.0
.options nonlin reltol=1e-09 abstol=1e-12 rhstol=1e-12
.options nonlin-tran reltol=1e-09 abstol=1e-12 rhstol=1e-12""",
    "ltspice": """\
.options reltol=1e-09 vntol=1e-12 abstol=1e-15 gmin=1e-12
.options tnom=27.0 plotwinsize=0 numdgt=15 measdgt=15
.temp 27.0""",
    "hspice": """\
.option reltol=1e-09 vntol=1e-12 abstol=1e-15
.option gmin=1e-12 gmindc=1e-12 tnom=27.0
.option post=2 ingold=2 numdgt=10 measdgt=10
.temp 27.0""",
}
TESTBENCH = """\
.include {q}parameters.{suffix}{q}
.include {q}models.{suffix}{q}
.include {q}network.{suffix}{q}
xnet x bias o 0 tiny
vbias bias 0 {left}rail_bias{right}
vx x 0 pwl(0.0 -2.0 1e-06 -2.0 1.01e-06 1.0 2e-06 1.0)
vtarget__y target__y 0 pwl(0.0 0.25 1e-06 0.25 1.01e-06 -1.0 2e-06 -1.0)
gspring__y o 0 o 0 {left}beta{right}
gpull__y 0 o target__y 0 {left}beta{right}
{analysis}
.measure tran o__s0 find v(o) at=5e-07
.measure tran o__s1 find v(o) at=1.5e-06
.end"""
TRAN = ".tran 5e-07 2e-06 0 5e-07"
ANALYSES = {
    "ngspice": f"{TRAN}\n.print tran v(o)",
    "xyce": f"{TRAN}\n.print tran precision=17 v(o)",
    "ltspice": TRAN,
    "hspice": ".tran 5e-07 2e-06",
}


@pytest.mark.parametrize("name", ANALYSES)
def test_models_parameters_and_testbench_of_the_descendants_of_spice(name: str) -> None:
    dialect, design = DIALECTS[name], design_of(tile_of_two())
    applied = Stimulus(np.array([[1.0], [-0.5]]), np.array([[0.25], [-1.0]]), 0.3)
    assert list(dialect.models(design, RESISTORS)) == [".model dm d(is=1e-12 n=1.5)"]
    params = f"{PARAMETERS[name]}\n.param beta=0.3\n.param rail_bias=0.5"
    assert "\n".join(dialect.parameters(design, applied)) == params
    left, right, quote = ("'", "'", "'") if name == "hspice" else ("{", "}", '"')
    wanted = TESTBENCH.format(q=quote, left=left, right=right, suffix=dialect.suffix, analysis=ANALYSES[name])
    assert "\n".join(dialect.testbench(design, applied, Phase.NUDGED)) == wanted


def test_models_parameters_and_testbench_of_spectre() -> None:
    dialect, design = DIALECTS["spectre"], design_of(tile_of_two())
    applied = Stimulus(np.array([[1.0], [-0.5]]), np.array([[0.25], [-1.0]]), 0.3)
    assert list(dialect.models(design, RESISTORS))[1:] == ["model dm diode is=1e-12 n=1.5"]
    assert list(dialect.parameters(design, applied)) == [
        "simulator lang=spectre",
        "accuracy options reltol=1e-09 vabstol=1e-12 iabstol=1e-15 gmin=1e-12 temp=27.0 tnom=27.0 save=allpub",
        "parameters beta=0.3",
        "parameters rail_bias=0.5",
    ]
    assert "\n".join(dialect.testbench(design, applied, Phase.NUDGED)) == (
        """\
simulator lang=spectre
include "parameters.scs"
include "models.scs"
include "network.scs"
xnet (x bias o 0) tiny
vbias (bias 0) vsource dc=rail_bias
vx (x 0) vsource type=pwl wave=[0.0 -2.0 1e-06 -2.0 1.01e-06 1.0 2e-06 1.0]
vtarget__y (target__y 0) vsource type=pwl wave=[0.0 0.25 1e-06 0.25 1.01e-06 -1.0 2e-06 -1.0]
gspring__y (o 0 o 0) vccs gm=beta
gpull__y (0 o target__y 0) vccs gm=beta
samples tran stop=2e-06 step=5e-07 maxstep=5e-07 strobeperiod=1e-06 strobedelay=5e-07"""
    )


NONLINEAR = {
    "ngspice": "b0_0 w0 b0 i=0.5*2.0*sinh(0.5*v(w0,b0))",
    "xyce": "b0_0 w0 b0 i={0.5*2.0*sinh(0.5*v(w0,b0))}",
    "ltspice": "b0_0 w0 b0 i=0.5*2.0*sinh(0.5*v(w0,b0))",
    "hspice": "g0_0 w0 b0 cur='0.5*2.0*sinh(0.5*v(w0,b0))'",
    "spectre": "    b0_0 (w0 b0) bsource i=0.5*2.0*sinh(0.5*v(w0,b0))",
    "cdl": "r0_0 w0 b0 2.0",
}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_nonlinear_cells_are_sources_but_in_cdl_where_a_comment_says_so(dialect: Dialect) -> None:
    drawn = tile_of_two()
    nonlinear = [replace(e, law=CellLaw(Curve.SINH, 2.0)) if isinstance(e, Crossbar) else e for e in drawn.elements]
    lines = list(dialect.network(design_of(replace(drawn, elements=tuple(nonlinear))), RESISTORS))
    assert NONLINEAR[dialect.name] in lines
    said = "* cells of w are sinh with v0=2.0: values are for small signals"
    assert (said in lines) == (dialect is CDL)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_lines_are_ascii_short_and_begin_with_a_comment(dialect: Dialect) -> None:
    for name, text in files_of(package(kendall([30], channels=30), dialect, (16, 16))):
        if name.endswith(dialect.suffix):
            assert text.isascii()
            assert text.startswith(dialect.comment("layered: "))
            assert max(map(len, text.splitlines())) <= 100


@given(st.floats(1e-15, 1e6))
def test_resistances_lead_back_to_the_very_conductance(siemens: float) -> None:
    text = ohms(siemens)
    assert siemens_of(text) == siemens
    assert float(text) == pytest.approx(1 / siemens, rel=3e-16)


def test_a_conductance_whose_resistance_is_no_number_is_refused() -> None:
    with pytest.raises(CircuitError, match="its resistance is beyond all numbers"):
        ohms(5e-324)


@given(st.lists(st.text(max_size=12), max_size=30))
def test_names_are_plain_and_unique_whatever_is_wanted(wanted: list[str]) -> None:
    names = Names()
    given_out = [names.claim(text) for text in wanted]
    assert len(set(given_out)) == len(wanted)
    for name in given_out:
        assert re.fullmatch(r"[a-z](_?[a-z0-9])*", name)
        assert name not in RESERVED


def test_nodes_with_awkward_names_stay_apart() -> None:
    names = ("VSS", "1", "n_1", "_a", "a__b", "a_b", "temp", "out")
    elements = [InputSource("i", names[0], 0, 1.0)]
    chain = [Resistor(f"r{k}", a, b, 1.0) for k, (a, b) in enumerate(pairwise(names))]
    design = design_of(Circuit("Top__Level", (*elements, *chain), (Output("y", "out"),)))
    assert design.nodes == {
        "VSS": ("n_vss",),
        "1": ("n_1",),
        "n_1": ("n_1_2",),
        "_a": ("n_a",),
        "a__b": ("a_b",),
        "a_b": ("a_b_2",),
        "temp": ("n_temp",),
        "out": ("out",),
    }
    assert design.top.name == "top_level"


@pytest.mark.ngspice
@pytest.mark.parametrize("name", ["Resistor", "diode", "vcvs", "tran", "memristor_cell", "Dm"])
def test_an_experiment_may_be_called_like_a_primitive_or_a_model(name: str, tmp_path: Path) -> None:
    circuit = tile_of_two()
    applied = stimulus(circuit)
    expected = expected_volts(circuit, applied)
    written = Package(design_of(circuit, name=name), DIALECTS["spectre"], applied, expected, ORIGIN)
    text = dict(files_of(written))["network.scs"] + dict(files_of(written))["models.scs"]
    masters = re.findall(r"^(?:subckt|model) (\S+)", text, re.MULTILINE)
    assert len(set(masters)) == len(masters)
    assert not RESERVED & set(masters)
    write_package(tmp_path / "net", written)
    assert verify(tmp_path / "net").equal


def test_names_in_a_packages_readme_are_code(tmp_path: Path) -> None:
    origin = Origin("a", "trained in `x` <b>![](http://x)", rows=(0, 1))
    readme = dict(files_of(replace(package(tile_of_two()), origin=origin)))["README.md"]
    assert "Experiment `a`, `trained in x <b>![](http://x)`; the circuit as it was drawn." in readme


def test_a_tile_must_hold_a_cell() -> None:
    with pytest.raises(CircuitError, match="tile 0x4: it needs at least one word line"):
        design_of(tile_of_two(), (0, 4))


def placed(lines: list[str]) -> dict[str, tuple[str, str, float]]:
    """Every resistor by its path, with the top cell's nets and its conductance; an independent reading of the text."""
    cells: dict[str, list[list[str]]] = {}
    current: list[list[str]] = []
    for line in re.sub(r"\n\+", "", "\n".join(lines)).splitlines():
        words = line.split()
        if words[0] == ".subckt":
            current = cells[words[1]] = [words[2:]]
        elif words[0] != ".ends":
            current.append(words)
    found = {}
    for call in (words for words in current[1:] if words[0][0] == "x"):
        ports, *parts = cells[call[-1]]
        nets = dict(zip(ports, call[1:-1], strict=True))
        for name, a, b, value in (part for part in parts if part[0][0] == "r"):
            found[f"{call[0]}.{name}"] = nets[a], nets[b], siemens_of(value)
    return found


@pytest.mark.parametrize("tile", [(2, 3), (128, 128)])
def test_the_map_leads_to_every_cell_with_its_lines_and_its_conductance(tile: tuple[int, int]) -> None:
    circuit = kendall([5, 4])
    written = package(circuit, tile=tile)
    files = dict(files_of(written))
    found = placed(list(NGSPICE.network(written.design, RESISTORS)))
    cells = json.loads(files["map.json"])["cells"]
    assert set(cells) == set(found)
    arrays = {array.name: array for array in circuit.arrays}
    seen = {name: np.zeros_like(array.conductances) for name, array in arrays.items()}
    for path, (name, word, bit) in cells.items():
        array = arrays[name]
        assert found[path][:2] == (array.words[word], array.bits[bit])
        seen[name][word, bit] = found[path][2]
    for name, array in arrays.items():
        np.testing.assert_array_equal(seen[name], array.conductances)
    words, bits = tile
    ports = [len(cell.ports) for cell in written.design.cells if cell.role == "tile"]
    assert max(ports) <= words + bits


def test_a_package_says_what_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    origin = Origin(
        "a\n.control\nshell rm", "trained\x00 in\r\n.include /etc", "run\\\n", {"harness": "1"}, rows=(0, 1)
    )
    size = write_package(folder, replace(package(tile_of_two()), origin=origin))
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert size == sum(map(len, files.values()))
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["files"] == {name: sha256(content).hexdigest() for name, content in files.items()}
    assert (manifest["verified"], manifest["dialect"], manifest["run"]) == (None, "ngspice", "run")
    assert str(tmp_path) not in b"".join(files.values()).decode() + json.dumps(manifest)
    for name, content in files.items():
        if name.endswith(".cir"):
            assert [line for line in content.decode().splitlines() if "control" in line or "/etc" in line] == [
                "* experiment a .control shell rm, trained in .include /etc"
            ]
    header, *rows = files["expected.csv"].decode().splitlines()
    assert header == "sample,phase,node,volts"
    assert len(rows) == 2 * 2 * 5
    assert rows[0].startswith("0,free,X,")


def test_a_package_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    good = package(tile_of_two())
    write_package(tmp_path / "net", good)
    with pytest.raises(CircuitError, match="net: something is there already; name another folder"):
        write_package(tmp_path / "net", good)
    with pytest.raises(CircuitError, match=r"there is no folder .*gone to put it in"):
        write_package(tmp_path / "gone" / "net", good)
    with pytest.raises(ValueError, match="zip"):
        write_package(tmp_path / "bad", replace(good, origin=replace(ORIGIN, rows=(0,))))
    assert [file.name for file in tmp_path.iterdir()] == ["net"]


def test_only_packages_are_read(tmp_path: Path) -> None:
    with pytest.raises(CircuitError, match="is no exported package"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"dialect": "ngspice"}')
    with pytest.raises(CircuitError, match="is of something else; 'harness export' makes one"):
        read_manifest(tmp_path)


def all_kinds() -> Circuit:
    """Everything that a circuit can be made of, two diodes between free nodes and stages with offsets among it."""
    drawn = kendall([3], channels=1, outputs=1)
    more = (
        BidirectionalAmplifier("ampx", "h1_0", "p0", 2.0, 0.1),
        Buffer("inv", "h1_1", "p1", -1.5, -0.2),
        Gyrator("gy", "q0", GROUND, "q1", "o0p", 0.4),
        Transformer("tr", "p0", "q2", "q3", GROUND, 1.5),
        CurrentSource("ib", "q2", "q3", 0.05),
        Diode("df", "q2", "q3", DIODE),
        Diode("db", "q3", "q2", DIODE),
        *(Resistor(f"l{k}", f"q{k}", "p1" if k % 2 else GROUND, 0.5 + k) for k in range(4)),
    )
    return Circuit("all_kinds", (*drawn.elements, *more), drawn.outputs)


def cascade() -> Circuit:
    rng = np.random.default_rng(2)
    return rectified_cascade(2, [3], 2, cells=CELLS, diode=DIODE, rng=rng, rectifier_rail=0.1)


def equilibrium() -> Circuit:
    return equilibrium_network(2, 3, 1, cells=CELLS, diode=DIODE, rng=np.random.default_rng(3))


def resistive_lines() -> Circuit:
    return LineResistance(1e-3, 2e-3).apply(kendall([4]))


def nonlinear() -> Circuit:
    law, drawn = CellLaw(Curve.CUBIC, 0.7), kendall([4])
    elements = tuple(replace(e, law=law) if isinstance(e, Crossbar) else e for e in drawn.elements)
    return replace(drawn, elements=elements)


NARROW = replace(NGSPICE, most_ports=12)
CIRCUITS = {
    "layered": (kendall([5, 4]), NGSPICE, (3, 2)),
    "single-cells": (kendall([2], channels=1), NGSPICE, (1, 1)),
    "all-kinds": (all_kinds(), NGSPICE, (128, 128)),
    "deep-resistive": (scellier([4, 3]), NGSPICE, (4, 4)),
    "cascade": (cascade(), NGSPICE, (4, 4)),
    "equilibrium": (equilibrium(), NGSPICE, (4, 4)),
    "resistive-lines": (resistive_lines(), NGSPICE, (4, 4)),
    "nonlinear": (nonlinear(), NGSPICE, (4, 4)),
    "more-ports-than-ngspice-takes": (kendall([5, 4]), NARROW, (128, 5)),
    "meshes-with-too-many-ports": (resistive_lines(), NARROW, (4, 4)),
}


def simulated(folder: Path, phase: Phase, nodes: tuple[str, ...], applied: Stimulus, *, flat: bool) -> Array:
    """V in the middle of each hold, ``[samples, nodes]``."""
    from harness.chip.ngspice.session import open_session

    names = probes(folder, flat=flat)
    vectors = [f"v({names[node]})" for node in nodes]
    time, volts = open_session().transient(
        deck_lines(folder, phase, flat=flat), vectors, applied.middle(0), applied.stop
    )
    middles = [applied.middle(k) for k in range(len(applied))]
    return np.array([np.interp(middles, time, column) for column in volts.T]).T


@pytest.mark.ngspice
@pytest.mark.parametrize("name", CIRCUITS)
def test_ngspice_finds_the_expected_voltages(name: str, tmp_path: Path) -> None:
    """Every node, in both phases, hierarchical and flat, against the nodal solver."""
    circuit, dialect, tile = CIRCUITS[name]
    written = package(circuit, dialect, tile)
    write_package(tmp_path / "net", written)
    for phase in Phase:
        for flat in (False, True):
            found = simulated(tmp_path / "net", phase, circuit.nodes, written.stimulus, flat=flat)
            np.testing.assert_allclose(found, written.expected[phase], atol=1e-8)
    moved = written.expected[Phase.NUDGED] - written.expected[Phase.FREE]
    assert np.abs(moved).max() > 1e-3


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("experiment", "overrides"), [("xor", ()), ("regression", ()), ("iris", ("variation.line_word=30",))]
)
def test_ngspice_finds_the_expected_voltages_of_experiments(
    experiment: str, overrides: tuple[str, ...], tmp_path: Path
) -> None:
    written = package_of(Experiment.load(experiment, overrides), None, Choices(as_made=bool(overrides)))
    assert (len(written.design.circuit.nodes) > 100) == bool(overrides)
    write_package(tmp_path / "net", written)
    for phase in Phase:
        found = simulated(tmp_path / "net", phase, written.design.circuit.nodes, written.stimulus, flat=False)
        np.testing.assert_allclose(found, written.expected[phase], atol=1e-6)


def test_as_made_is_the_chip_that_the_experiment_trains_on() -> None:
    from harness.chip.imperfect.made import VariedChip

    experiment = Experiment.load("iris", ("variation.spread=0.2", "chip.kind='nodal'"))
    drawn = package_of(experiment, None, Choices())
    made = package_of(experiment, None, Choices(as_made=True))
    chip = experiment.new_chip()
    assert isinstance(chip, VariedChip)
    for inside, written, fresh in zip(
        chip.made.conductances, made.design.circuit.conductances, drawn.design.circuit.conductances, strict=True
    ):
        np.testing.assert_array_equal(written, inside)
        assert not np.array_equal(written, fresh)


def test_as_made_at_another_temperature_says_what_diodes_are_for() -> None:
    experiment = Experiment.load("xor", ("variation.temperature=77",))
    said = "diodes are written as they are at 77 C, for a simulator at 27 C"
    for as_made in (True, False):
        files = dict(files_of(package_of(experiment, None, Choices(as_made=as_made))))
        assert (f"* {said}" in files["models.cir"].splitlines()) == (said in files["README.md"]) == as_made
        noted = f"{said}, and so are resistances: at another temp the change would count twice"
        plain = "expected.csv is for temp = 27 C; at another one diodes change and resistances do not"
        assert f"* {noted if as_made else plain}" in files["parameters.cir"].splitlines()


def test_as_made_without_variation_says_that_it_is_as_drawn(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["export", "xor", "--to", str(tmp_path / "net"), "--as-made"])
    assert result.exit_code == 0
    assert "no [variation]" in result.stderr
    assert json.loads((tmp_path / "net" / "manifest.json").read_text())["as_made"] is False


def test_the_command_writes_a_package_and_refuses_what_makes_none(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    words = ["export", "xor", "--dialect", "spectre", "--tile", "4x8", "--samples", "1,3", "--to", str(folder)]
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["samples"] == [1, 3]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["experiment"], manifest["tile"], manifest["samples"]) == ("xor", [4, 8], [1, 3])
    assert CliRunner().invoke(main, words).exit_code == 1
    for option, value, said in (
        ("--tile", "4", "write how many word lines and bit lines it has at most, such as 128x128"),
        ("--tile", "0x4", "is no tile"),
        ("--samples", "first", "write their numbers, such as 0,1,2"),
        ("--samples", "4", "sample 4: there is no such row; the held-out rows are 0…3"),
        ("--dialect", "pspice", "is not one of"),
    ):
        refused = CliRunner().invoke(main, ["export", "xor", "--to", str(tmp_path / "no"), option, value])
        assert (refused.exit_code, said in refused.stderr) == (2, True), refused.stderr
    words = ["export", "xor", "--to", str(tmp_path / "no"), "--dialect", "cdl", "--samples", "3"]
    refused = CliRunner().invoke(main, words)
    assert (refused.exit_code, "CDL has no testbenches" in refused.stderr) == (2, True)
    assert [file.name for file in tmp_path.iterdir()] == ["net"]


def test_export_needs_neither_pyspice_nor_ngspice(tmp_path: Path) -> None:
    code = "import sys; sys.modules['PySpice'] = None; from harness.cli.main import main; main(sys.argv[1:])"
    subprocess.run([sys.executable, "-c", code, "export", "xor", "--to", tmp_path / "net"], check=True)
    assert (tmp_path / "net" / "README.md").is_file()


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rebuild", ROOT / "netlists" / "rebuild.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_packages_are_what_make_netlists_builds() -> None:
    """Byte for byte; the solver's last bits, and the hash of what holds them, are the machine's own."""
    built = dict(reference().packages())
    assert set(built) == {file.name for file in (ROOT / "netlists").iterdir() if file.is_dir()} - {"__pycache__"}
    for folder, content in built.items():
        files = dict(files_of(content))
        kept = {file.name: file.read_text() for file in (ROOT / "netlists" / folder).iterdir()}
        assert set(files) == set(kept)
        for name in set(files) - {"expected.csv", "manifest.json"}:
            assert files[name] == kept[name], f"{folder}/{name}"
        manifests = [json.loads(texts["manifest.json"]) for texts in (files, kept)]
        if "expected.csv" in files:
            for manifest in manifests:
                del manifest["files"]["expected.csv"]
            rows = [[line.rsplit(",", 1) for line in texts["expected.csv"].splitlines()[1:]] for texts in (files, kept)]
            assert [row[0] for row in rows[0]] == [row[0] for row in rows[1]]
            volts = [np.array([float(row[1]) for row in half]) for half in rows]
            np.testing.assert_allclose(*volts, atol=1e-9)
        assert manifests[0] == manifests[1]
