"""Decks as text: small goldens, names, numbers, and what ngspice itself makes of an exported file."""

import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Crossbar, InputSource, Output, Reduction
from harness.errors import UnitError
from harness.measurement import Drive, Injection, Spring
from harness.netlist.decks.batch import batch_sweep, conductance_lines
from harness.netlist.decks.full import circuit_lines, export_text, operating_point_lines
from harness.netlist.tolerances import Tolerances
from tests.conftest import kendall, random_batch, scellier


def tiny() -> Circuit:
    """One input, one hidden node with its pair, one output pair, all cells 0.5 S or 0.25 S."""
    circuit = kendall([1], channels=1, outputs=1, bias=(0.0, 0.0), shift=(-1.0, 1.0))
    return circuit.with_conductances([np.full((2, 1), 0.5), np.array([[0.25, 0.5]])])


def test_golden_full_network() -> None:
    assert circuit_lines(tiny(), np.array([0.75])) == [
        ".model dtest d(is=1e-06 n=2.0)",
        "vx0p x0p 0 0.75",
        "vx0n x0n 0 -0.75",
        "vshift_low shift_low 0 -1.0",
        "vshift_high shift_high 0 1.0",
        "rw1_0_0 x0p h1_0 2.0",
        "rw1_1_0 x0n h1_0 2.0",
        "dup1_0 h1_0 shift_high dtest",
        "ddown1_0 shift_low h1_0 dtest",
        "eamp1_0 harness_amp1_0 0 h1_0 0 4.0",
        "vharness_amp1_0 harness_amp1_0 a1_0 0",
        "famp1_0 h1_0 0 vharness_amp1_0 0.25",
        "rw2_0_0 a1_0 o0p 4.0",
        "rw2_0_1 a1_0 o0n 2.0",
    ]


def test_golden_sweep_of_two_samples_free_and_nudged() -> None:
    circuit = tiny()
    inputs, targets = np.array([[0.5], [-1.0]]), np.array([[2.0], [-4.0]])
    circuit = circuit.with_conductances([np.array([[0.5], [0.25]]), np.array([[0.25, 0.5]])])
    drives = [Drive(inputs), Drive(inputs, Spring(0.125, targets), "nudged")]
    reduced = Reduction(circuit).reduce(circuit.conductances)
    sweep, gains, table = batch_sweep(reduced.settling(drives), Tolerances())
    assert sweep.lines == (
        "* reduced network: one point per sample and phase",
        ".options reltol=1e-06 vntol=1e-09 abstol=1e-12 gmin=1e-12 temp=27.0 tnom=27.0",
        ".model dm0 d(is=1e-06 n=2.0)",
        "d0 n0 rail0 dm0",
        "d1 rail1 n0 dm0",
        "vpoint point 0 0",
        "vrail0 rail0 0 1.0",
        "vrail1 rail1 0 -1.0",
        "gg0 n0 0 n0 0 1",
        "gg1 n1 0 n1 0 1",
        "gg2 n2 0 n2 0 1",
        "g0_1 n0 n1 n0 n1 1",
        "g0_2 n0 n2 n0 n2 1",
        "i0 0 n0 external",
        "i1 0 n1 external",
        "i2 0 n2 external",
        "v3 nudge 0 external",
        "by0 n1 n2 i=0.125*v(nudge)*(v(n1)-v(n2))",
        ".save v(n0) v(n1) v(n2)",
        ".end",
    )
    assert dict(zip(sweep.gains, gains, strict=True)) == {
        "gg0": 0.75,
        "gg1": 0.0,
        "gg2": 0.0,
        "g0_1": 0.25,
        "g0_2": 0.5,
    }
    assert table.first is table.then  # without an estimate, no iteration sees anything else
    assert table.then.tolist() == [
        [0.125, 0.0, 0.0, 0.0],
        [0.125, 0.0625, -0.0625, 1.0],
        [-0.25, 0.0, 0.0, 0.0],
        [-0.25, -0.125, 0.125, 1.0],
    ]
    assert sweep.alone(gains, table.then[1])[-8:] == (
        "i0 0 n0 0.125",
        "i1 0 n1 0.0625",
        "i2 0 n2 -0.0625",
        "v3 nudge 0 1.0",
        "by0 n1 n2 i=0.125*v(nudge)*(v(n1)-v(n2))",
        ".save v(n0) v(n1) v(n2)",
        ".op",
        ".end",
    )


def test_an_open_cell_is_left_out() -> None:
    circuit = Circuit(
        "open",
        (InputSource("x0", "x0", 0, 1.0), Crossbar("w1", ("x0",), ("a", "b"), np.array([[0.5, 1.0]]), 0.0, 1.0)),
        (Output("y0", "a", "b"),),
    )
    opened = [line for line in circuit_lines(circuit, np.ones(1)) if line.startswith("r")]
    assert opened == ["rw1_0_0 x0 a 2.0", "rw1_0_1 x0 b 1.0"]
    network = kendall([2]).with_conductances
    cells = [np.full(c.shape, 1.0) for c in kendall([2]).arrays]
    assert not any("inf" in line for line in circuit_lines(network(cells), np.ones(3)))


@given(seed=st.integers(0, 2**32), network=st.sampled_from([kendall, scellier]))
def test_every_number_in_a_deck_reads_back_as_the_very_float(seed: int, network) -> None:  # type: ignore[no-untyped-def]
    circuit = network([3], seed)
    text = "\n".join(circuit_lines(circuit, random_batch(circuit).inputs[0]))
    assert "np." not in text
    for crossbar in circuit.arrays:
        found = dict(re.findall(rf"^r({crossbar.name}_\d+_\d+) \S+ \S+ (\S+)$", text, re.MULTILINE))
        for (word, bit), conductance in np.ndenumerate(crossbar.conductances):
            assert float(found[crossbar.cell(word, bit)]) == 1 / conductance


@pytest.mark.parametrize("name", ["x0;shell", "a b", "a`", ".include", "a\nshell", "ä", ""])
def test_no_text_of_a_user_becomes_a_command(name: str) -> None:
    from harness.errors import CircuitError

    with pytest.raises(CircuitError, match="a name is made of letters, digits and _"):
        Circuit("c", (InputSource(name, "x0", 0, 1.0),), (Output("y0", "x0"),))
    with pytest.raises(CircuitError, match="a name is made of letters, digits and _"):
        Circuit("c", (InputSource("x0", name, 0, 1.0),), (Output("y0", name),))


def test_comments_cannot_end_their_line() -> None:
    text = export_text(tiny(), np.ones(1), Tolerances(), ["first\n.control\nshell rm", "second"])
    before = text.split(".options")[0]
    assert all(line.startswith("*") for line in before.splitlines())


@pytest.mark.parametrize(("name", "value"), [("reltol", 1e-3), ("reltol", 0.0), ("vntol", -1.0), ("abstol", math.nan)])
def test_tolerances_that_ruin_gradients_are_refused(name: str, value: float) -> None:
    with pytest.raises(UnitError, match=rf"{name} = .* must lie above 0 and below"):
        Tolerances(**{name: value})


@pytest.mark.parametrize("nudge", [Spring(0.1, np.ones((1, 1))), Injection(np.full((1, 1), 0.2))])
def test_a_nudge_is_two_lines_at_the_output(nudge: Spring | Injection) -> None:
    circuit = tiny()
    lines = operating_point_lines(circuit, Drive(np.ones((1, 1)), nudge), 0, Tolerances())
    nudges = [line for line in lines if "nudge" in line]
    if isinstance(nudge, Spring):
        assert nudges == ["gharness_nudge0 o0p o0n o0p o0n 0.1", "iharness_nudge0 o0n o0p 0.1"]
    else:
        assert nudges == ["iharness_nudge0 o0n o0p 0.2"]


@pytest.mark.ngspice
def test_ngspice_runs_an_exported_file_as_it_is_and_prints_the_outputs(tmp_path: Path) -> None:
    command = shutil.which("ngspice")
    assert command, "the ngspice command is missing: apt-get install ngspice"
    circuit = kendall([5, 4])
    inputs = random_batch(circuit).inputs[:1]
    file = tmp_path / "network.cir"
    file.write_text(export_text(circuit, inputs[0], Tolerances(), ["a comment"]))
    printed = subprocess.run(
        [command, "-b", file.name], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    found = [float(v) for v in re.findall(r"^v\(o\d+p\)\s*-\s*v\(o\d+n\) = (\S+)$", printed, re.MULTILINE)]
    (reading,) = NodalChip(circuit).measure([Drive(inputs)])
    np.testing.assert_allclose(found, reading.outputs[0], rtol=1e-7)


def test_many_conductances_are_written_column_by_column_and_mean_the_same() -> None:
    """As transconductances they must give the currents that the matrix gives."""
    size = 220
    rng = np.random.default_rng(0)
    half = np.triu(rng.uniform(0.1, 1, (size, size)), k=1)
    matrix = np.diag(half.sum(axis=1) + half.sum(axis=0) + 0.5) - half - half.T
    found = np.zeros((size, size))
    for line in conductance_lines(matrix):
        name, row, _, column, _, value = line.split()
        assert name.startswith("g")
        found[int(row[1:]), int(column[1:])] += float(value)
    np.testing.assert_allclose(found, matrix, rtol=1e-15)
    names = [line.split()[0] for line in conductance_lines(matrix)]
    assert len(set(names)) == size * size
