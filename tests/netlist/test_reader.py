"""Packages read back: every circuit comes out as it went in, and nothing but a package is believed."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.circuit import (
    GROUND,
    BidirectionalAmplifier,
    Buffer,
    Circuit,
    Crossbar,
    CurrentSource,
    Diode,
    Edges,
    Element,
    Gyrator,
    InputSource,
    Output,
    Resistor,
    Transformer,
    VoltageSource,
)
from harness.circuit.variation.lines import LineResistance
from harness.devices import CellLaw, Curve, DiodeModel
from harness.errors import CircuitError, NetlistError
from harness.measurement import Array
from harness.netlist.design.design import design_of
from harness.netlist.design.naming import siemens_of
from harness.netlist.dialects import DIALECTS, Dialect, Stimulus
from harness.netlist.package.package import Origin, Package
from harness.netlist.package.writing import write_package
from harness.netlist.reading import statements as statements_module
from harness.netlist.reading.reader import read_circuit
from harness.netlist.reading.spectre import spice_of
from harness.netlist.reading.statements import read_statements
from tests.conftest import convolved, kendall, scellier

EVERY = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))


def export(circuit: Circuit, folder: Path, dialect: Dialect, tile: tuple[int, int] = (2, 3), samples: int = 2) -> Path:
    """A package of a circuit; what it expects is left out where nobody reads it."""
    rng = np.random.default_rng(0)
    stimulus = Stimulus(
        rng.normal(size=(samples, circuit.channels)), rng.normal(size=(samples, len(circuit.outputs))), 1e-4
    )
    origin = Origin("mine", "initial conductances, seed 0", rows=tuple(range(samples)))
    write_package(folder, Package(design_of(circuit, tile), dialect, stimulus, {}, origin, tile))
    return folder


def contents(element: Element) -> list[object]:
    """Everything that an element is, comparable bit for bit."""
    values = (getattr(element, field.name) for field in fields(element))
    return [(v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v for v in values]


def assert_same(found: Circuit, wanted: Circuit) -> None:
    assert found.name == wanted.name
    assert found.outputs == wanted.outputs
    assert [type(e) for e in found.elements] == [type(e) for e in wanted.elements]
    for one, other in zip(found.elements, wanted.elements, strict=True):
        assert contents(one) == contents(other)


SIEMENS = st.floats(1e-13, 1e5)
VOLTS = st.floats(-5, 5)
GAIN = st.floats(-8, 8).filter(lambda x: abs(x) > 1e-3)
MODELS = (DiodeModel("Dm", 1e-12, 1.5), DiodeModel("dm_2", 3.7e-7, 2.0000000000000004))
LAWS = st.one_of(
    st.just(CellLaw()), st.builds(CellLaw, st.sampled_from([Curve.SINH, Curve.CUBIC]), st.floats(0.05, 3.0))
)


@st.composite
def element(draw: st.DrawFn, kind: int, k: int, nodes: st.SearchStrategy[str]) -> Element:
    """Of one of nine kinds, between any nodes."""
    pair = st.lists(nodes, min_size=2, max_size=2, unique=True)
    (a, b), (c, d) = draw(pair), draw(pair)
    match kind:
        case 0:
            return Resistor(f"r{k}", a, b, draw(SIEMENS))
        case 1:
            return Diode(f"d{k}", a, b, draw(st.sampled_from(MODELS)))
        case 2:
            return VoltageSource(f"RAIL{k}", f"rail{k}", draw(VOLTS))
        case 3:
            return CurrentSource(f"i{k}", a, b, draw(st.floats(-1e-3, 1e-3)))
        case 4:
            return BidirectionalAmplifier(f"amp{k}", a, f"amplified{k}", abs(draw(GAIN)), draw(VOLTS))
        case 5:
            return Buffer(f"Buf{k}", a, f"buffered{k}", draw(GAIN), draw(st.sampled_from([0.0, 0.1])))
        case 6:
            return Gyrator(f"gyr{k}", a, b, c, d, draw(GAIN))
        case 7:
            return Transformer(f"t{k}", a, b, c, d, draw(GAIN))
    return Edges(f"E{k}", (a, c), (b, d), draw(cells(2)), 0.0, 1e5, draw(LAWS))


def cells(count: int) -> st.SearchStrategy[Array]:
    """Conductances, S; some are open."""
    return st.lists(st.one_of(SIEMENS, st.just(0.0)), min_size=count, max_size=count).map(np.array)


@st.composite
def circuits(draw: st.DrawFn) -> Circuit:
    """Small circuits of any elements; every free node has a resistor to ground, and some names are awkward."""
    free = [f"{name}{k}" for k, name in enumerate(draw(st.lists(st.sampled_from(["h", "1H", "_", "VDD"]), min_size=3)))]
    elements: list[Element] = [Resistor(f"Load{k}", node, GROUND, draw(SIEMENS)) for k, node in enumerate(free)]
    elements += [InputSource(f"x{k}", f"pin{k}", k, draw(GAIN)) for k in range(draw(st.integers(1, 3)))]
    nodes = st.sampled_from([*free, *(e.node for e in elements if isinstance(e, InputSource)), GROUND])
    kinds = draw(st.lists(st.integers(0, 8), max_size=8))
    elements += [draw(element(kind, k, nodes)) for k, kind in enumerate(kinds)]
    words, bits = ("pin0", free[0]), tuple(free[1:3])
    crossbar = Crossbar("W", words, bits, draw(cells(4)).reshape(2, 2), 0.0, 1e5, draw(LAWS))
    elements.insert(draw(st.integers(0, len(elements))), crossbar)
    return Circuit("Tiny", tuple(elements), (Output("y", free[0]), Output("Z", free[1], free[2])))


@EVERY
@given(circuit=circuits(), flat=st.booleans())
@settings(max_examples=15, deadline=None)
def test_every_circuit_comes_back_bit_for_bit(dialect: Dialect, circuit: Circuit, flat: bool) -> None:
    with TemporaryDirectory() as folder:
        package = export(circuit, Path(folder) / "package", dialect, tile=(1, 2))
        assert_same(read_circuit(package, flat=flat), circuit)


@EVERY
@pytest.mark.parametrize("flat", [False, True])
def test_kernels_and_pools_come_back(dialect: Dialect, flat: bool, tmp_path: Path) -> None:
    circuit = convolved()
    assert_same(read_circuit(export(circuit, tmp_path / "package", dialect), flat=flat), circuit)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tied", "yes", "'w1', lacks a value or has one of the wrong form"),
        ("positions", 0, "0 positions of 2 kernels"),
        ("kernels", -2, "4 positions of -2 kernels"),
        ("positions", 10**9, "80 cells are no whole number of word lines"),
        ("kernels", 1, "at one position, the same line must lead to every word line"),
    ],
)
def test_kernels_that_make_no_sense_are_refused(key: str, value: object, message: str, tmp_path: Path) -> None:
    package = export(convolved(), tmp_path / "package", DIALECTS["ngspice"])
    shown = json.loads((package / "map.json").read_text())
    entry = next(entry for entry in shown["elements"] if entry["kind"] == "convolution")
    assert entry[key] != value
    entry[key] = value
    (package / "map.json").write_text(json.dumps(shown))
    with pytest.raises((NetlistError, CircuitError), match=message):
        read_circuit(package)


@EVERY
@pytest.mark.parametrize("flat", [False, True])
def test_resistive_lines_and_many_ports_come_back(dialect: Dialect, flat: bool, tmp_path: Path) -> None:
    lines = LineResistance(2.0, 3.0).apply(scellier([3]))
    many = kendall([1], channels=520)  # more ports than an ngspice subcircuit may have
    for k, circuit in enumerate((lines, many) if dialect.most_ports else (lines,)):
        assert_same(read_circuit(export(circuit, tmp_path / str(k), dialect), flat=flat), circuit)


def edited(package: Path, file: str, change: Callable[[str], str]) -> None:
    text = (package / file).read_text()
    assert change(text) != text
    (package / file).write_text(change(text))


@pytest.mark.parametrize("dialect", [DIALECTS["ngspice"], DIALECTS["cdl"]], ids=["ngspice", "cdl"])
def test_a_changed_conductance_is_read_as_it_is(dialect: Dialect, tmp_path: Path) -> None:
    circuit = scellier([3])
    package = export(circuit, tmp_path / "p", dialect)
    edited(
        package, f"network.{dialect.suffix}", lambda text: re.sub(r"(?m)^(r0_1 w0 b1) .*$", r"\1 123.0", text, count=1)
    )
    found = read_circuit(package)
    assert found.conductances[0][0, 1] == siemens_of("123.0")
    changed = [int((a != b).sum()) for a, b in zip(found.conductances, circuit.conductances, strict=True)]
    assert sum(changed) == 1


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("network.cir", r"(?m)^(e1 .* )4\.0$", r"\g<1>5.0", r"network\.cir line \d+: 'e1 .* 5\.0', where map\.json"),
        ("network.cir", r"(?m)^d0 a b", "d0 b a", r"network\.cir line \d+: 'd0 b a dtest', where map\.json asks"),
        ("network.cir", r"(?m)^r0_0 w0 .*\n", "", r"crossbar w1, cell \[0, 0\]: 0 S is outside"),
        ("network.cir", r"(?m)^v1 sense out.*\n", "", r"network\.cir line \d+: 'f1 .*', where map\.json asks for 'v1"),
        ("network.cir", r"\.ends layered\n$", "", r"network\.cir: it ends before '\.ends layered'"),
        ("models.cir", r"n=2\.0", "n=2.5", r"models\.cir line 3: .* where map\.json asks for .*n=2\.0"),
        ("parameters.cir", r"rail_b1p=1\.0", "rail_b1p=1.5", r"parameters\.cir line \d+: rail_b1p is 1\.5, where map"),
        ("network.cir", r"(?m)^r0_0 w0 b0 .*$", "r0_0 w0 b0 0", r"network\.cir line \d+: a resistance of 0 Ω"),
        ("network.cir", r"(?m)^r0_0 w0 b0 .*$", "r0_0 w0 b0 1k", r"line \d+: 'r0_0 w0 b0 1k' is not what"),
        ("network.cir", r"(?m)^r0_0 w0 b0 .*$", "r0_0 w0 b0 1e-9", r"crossbar w1, cell \[0, 0\]: .* is outside"),
    ],
)
def test_whatever_else_was_changed_is_refused(file: str, old: str, new: str, message: str, tmp_path: Path) -> None:
    package = export(kendall([4]), tmp_path / "p", DIALECTS["ngspice"])
    edited(package, file, lambda text: re.sub(old, new, text, count=1))
    with pytest.raises((NetlistError, CircuitError), match=message):
        read_circuit(package)


COMMANDS = [
    ".control",
    ".system rm -rf x",
    ".exec ls",
    ".csparam a=1",
    "!ls",
    "shell ls",
    "r9 a b `ls`",
    "r9 a b 1 ; ls",
    "*#shell ls",
    "*# shell ls",
    "* ng_script",
    "*NG_SCRIPT",
]
OUTSIDE = [
    ".include /etc/passwd",
    '.include "/etc/passwd"',
    '.include "../outside.cir"',
    ".include '../outside.cir'",
    '.INCLUDE "sub/../../outside.cir"',
    '.include "link.cir"',
    '.include "missing.cir"',
    '.include "sub"',
    '.include ".."',
    '.lib "outside.cir" tt',
    ".lib tt",
    ".inc outside.cir",
]
FOREIGN = [
    "a1 in out model",
    "b1 a 0 v=system('ls')",
    "m1 d g s b nmos",
    "v1 a 0 pwl file=x.csv",
    ".model m nmos(level=1)",
    ".model d1 d(is=1e-6 n=2.0 file=x)",
    ".hdl 'x.va'",
    ".func f(x)=x",
    "r1 a b 1k",
    "r1 a b {x}",
    "plot v(a)",
    "source x.cir",
]


@pytest.mark.parametrize("line", [*COMMANDS, *OUTSIDE, *FOREIGN])
def test_what_no_package_says_is_refused_with_its_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "outside.cir").write_text("* outside\n.control\n.endc\n")
    package = tmp_path / "p"
    (package / "sub").mkdir(parents=True)
    (package / "link.cir").symlink_to(tmp_path / "outside.cir")
    (package / "network.cir").write_text(f"* mine\nr1 a b 1.0\n{line}\n")
    with pytest.raises(NetlistError, match=r"network\.cir line 3: "):
        list(read_statements(package, "network.cir"))


@pytest.mark.parametrize("text", ["shell ls\n", "title\nr1 a b 1\n", ".control\n"])
def test_a_first_line_that_is_no_comment_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "network.cir").write_text(text)
    with pytest.raises(NetlistError, match=r"network\.cir line 1: "):
        list(read_statements(tmp_path, "network.cir"))


@pytest.mark.parametrize(
    "line",
    [
        'ahdl_include "x.va"',
        'include "/etc/passwd"',
        'include "../x.scs"',
        "shell ls",
        "simulator lang=spice",
        'r1 (a b) resistor r=1 file="x"',
        "v1 (a 0) vsource type=pwl file=x",
        "x shell cmd=ls",
        "r1 (a b) resistor r=system",
        "run1 (a b) resistor r=1;2",
    ],
)
def test_spectre_statements_that_no_package_has_are_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "network.scs").write_text(f"// mine\nsimulator lang=spectre\n{line}\n")
    with pytest.raises(NetlistError, match=r"network\.scs line 3: "):
        list(read_statements(tmp_path, "network.scs", native=True))


def test_spectre_statements_in_the_words_of_spice() -> None:
    for spectre, spice in {
        "r1 (a b) resistor r=2.5": "r1 a b 2.5",
        "f1 (a vss) cccs probe=v1 gain=0.25": "f1 a vss v1 0.25",
        "g1 (a b c d) vccs gm=beta": "g1 a b c d beta",
        "v1 (a 0) vsource type=pwl wave=[0.0 1.0 1e-06 2.0]": "v1 a 0 pwl(0.0 1.0 1e-06 2.0)",
        "model d1 diode is=1e-06 n=2.0": ".model d1 d(is=1e-06 n=2.0)",
        "xn (a b) cell": "xn a b cell",
        "subckt cell (a b)": ".subckt cell a b",
    }.items():
        assert spice_of(spectre) == spice


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "network.cir").write_text("* mine\nr1 a b 1.0\n" + "+ 1\n" * 100)
    monkeypatch.setattr(statements_module, "STATEMENT_LIMIT", 200)
    with pytest.raises(NetlistError, match=r"network\.cir line 2: a statement of more than 200 characters"):
        list(read_statements(tmp_path, "network.cir"))
    monkeypatch.setattr(statements_module, "FILE_LIMIT", 300)
    with pytest.raises(NetlistError, match=r"network\.cir: it has \d+ bytes; at most 300 are read"):
        list(read_statements(tmp_path, "network.cir"))


def test_files_that_include_themselves_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.cir").write_text('* a\n.include "b.cir"\n')
    (tmp_path / "b.cir").write_text('* b\n.include "a.cir"\n')
    with pytest.raises(NetlistError, match=r"b\.cir line 2: a\.cir includes itself"):
        list(read_statements(tmp_path, "a.cir"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_only_plain_text_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.cir")
    with pytest.raises(NetlistError, match=r"no file pipe\.cir of its own"):
        list(read_statements(tmp_path, "pipe.cir"))
    (tmp_path / "strange.cir").write_bytes(b"* mine\nr1 a b 1.0\n\x1b[2J\n")
    with pytest.raises(NetlistError, match=r"strange\.cir line 3: .* not printable ASCII"):
        list(read_statements(tmp_path, "strange.cir"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["elements"][0].update(kind="mosfet"), "does not describe a circuit"),
        (lambda m: m["elements"][0].update(name=7), "does not describe a circuit"),
        (lambda m: m.pop("outputs"), "does not describe a circuit"),
        (
            lambda m: m["cells"].update({"xw1_0_0.r0_0": ["w1", -1, 0]}),
            r"cell xw1_0_0\.r0_0 is at \['w1', -1, 0\], which no",
        ),
        (lambda m: m["cells"].update({"xw1_0_0.r0_0": ["w1", 10**9, 0]}), r"1000000000, 0\], which no array"),
        (lambda m: m.update(cells=[]), r"does not describe a circuit: 'cells' must be an object"),
        (lambda m: m["elements"][0].pop("node"), r"elements\[0\], '\w+', lacks a value or has one of the wrong"),
        (
            lambda m: m["nodes"].update(h1_0="h1_1"),
            r"map\.json: nodes\['h1_0'\] is 'h1_1', where the netlist's circuit",
        ),
        (lambda m: m.update(instance="xother"), r"map\.json: instance is 'xother', where .* has 'xnet'"),
        (lambda m: m["elements"][-1].update(path="x.y"), r"map\.json: elements\[\d+\] is .*, where the netlist's"),
    ],
)
def test_a_map_of_something_else_is_refused(
    change: Callable[[dict[str, object]], object], message: str, tmp_path: Path
) -> None:
    package = export(kendall([4]), tmp_path / "p", DIALECTS["ngspice"])
    content = json.loads((package / "map.json").read_text())
    change(content)
    (package / "map.json").write_text(json.dumps(content))
    with pytest.raises(NetlistError, match=message):
        read_circuit(package)


def test_no_json_and_no_package(tmp_path: Path) -> None:
    package = export(kendall([4]), tmp_path / "p", DIALECTS["ngspice"])
    (package / "map.json").write_text("{")
    with pytest.raises(NetlistError, match=r"map\.json: not valid JSON"):
        read_circuit(package)
    with pytest.raises(CircuitError, match="is no exported package"):
        read_circuit(tmp_path)


def test_other_cells_than_resistors_have_no_conductance_to_read(tmp_path: Path) -> None:
    package = export(kendall([4]), tmp_path / "p", DIALECTS["ngspice"])
    edited(package, "manifest.json", lambda text: text.replace('"cells": "resistor"', '"cells": "behavioural"'))
    with pytest.raises(NetlistError, match="its cells are behavioural"):
        read_circuit(package)


PACKAGES = sorted(path.parent for path in (Path(__file__).parents[2] / "netlists").glob("*/manifest.json"))


@pytest.mark.parametrize("package", PACKAGES, ids=[package.name for package in PACKAGES])
def test_the_reference_packages_read_alike_flat_and_hierarchical(package: Path) -> None:
    assert_same(read_circuit(package, flat=True), read_circuit(package))
