"""The reduction: Kirchhoff's laws in the full circuit, Schur complements, amplifiers, and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.circuit import (
    GROUND,
    BidirectionalAmplifier,
    Circuit,
    Crossbar,
    CurrentSource,
    Diode,
    InputSource,
    Output,
    Reduction,
    Resistor,
    VoltageSource,
)
from harness.circuit.reduction import partition
from harness.circuit.reduction.linear import settle_linear
from harness.circuit.reduction.settling import Oscillation, Phase
from harness.errors import CircuitError
from harness.measurement import Drive
from harness.netlist.tolerances import TIGHT
from harness.studies.check import kirchhoff_residual
from tests.conftest import DIODE, kendall, random_batch, scellier


def free_nodes(circuit: Circuit) -> np.ndarray:
    (reading,) = NodalChip(circuit).measure([Drive(random_batch(circuit).inputs)])
    return reading.nodes


@given(
    hidden=st.lists(st.integers(1, 6), max_size=3),
    seed=st.integers(0, 2**32),
    gain=st.sampled_from([1.0, 2.0, 4.0]),
    bias=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_kirchhoffs_law_holds_in_the_unreduced_circuit(hidden: list[int], seed: int, gain: float, bias: bool) -> None:
    rails = [1.0 if bias else 0.0] * (len(hidden) + 1)
    for circuit in (kendall(hidden, seed, amplifier_gain=gain, bias=rails), scellier(hidden, seed, bias=rails)):
        assert kirchhoff_residual(circuit, free_nodes(circuit)) < 1e-9


def test_the_layered_network_keeps_one_unknown_per_hidden_node_and_output() -> None:
    reduced = Reduction(circuit := kendall([50], channels=30, outputs=5)).reduce(circuit.conductances)
    assert reduced.size == 50 + 10
    assert reduced.output_scale == 4.0
    assert len(reduced.network.topology.diodes.anode) == 100
    np.testing.assert_array_equal(np.sort(reduced.rail), [-0.2, 0.3])


def wired(rows: int = 4, columns: int = 3, ohms: float = 50.0) -> Circuit:
    """A crossbar at the end of resistive word and bit lines: every crossing is two nodes of its own."""
    rng = np.random.default_rng(0)
    elements: list[object] = []
    for i in range(rows):
        elements.append(InputSource(f"x{i}", f"x{i}", i, 1.0))
        ends = [f"x{i}", *(f"w{i}_{j}" for j in range(columns))]
        elements += [Resistor(f"lw{i}_{j}", ends[j], ends[j + 1], 1 / ohms) for j in range(columns)]
    for j in range(columns):
        ends = [*(f"b{i}_{j}" for i in range(rows)), f"h{j}"]
        elements += [Resistor(f"lb{i}_{j}", ends[i], ends[i + 1], 1 / ohms) for i in range(rows)]
        elements += [Diode(f"up{j}", f"h{j}", GROUND, DIODE), Resistor(f"load{j}", f"h{j}", GROUND, 1e-4)]
        for i in range(rows):
            elements.append(Resistor(f"cell{i}_{j}", f"w{i}_{j}", f"b{i}_{j}", float(rng.uniform(1e-4, 1e-3))))
    return Circuit("wired", tuple(elements), tuple(Output(f"y{j}", f"h{j}") for j in range(columns)))  # type: ignore[arg-type]


def test_linear_parts_that_shrink_are_eliminated_and_come_back() -> None:
    circuit = wired()
    assert Reduction(circuit).reduce([]).size == 3
    nodes = free_nodes(circuit)
    assert kirchhoff_residual(circuit, nodes) < 1e-9


@pytest.mark.ngspice
def test_eliminated_lines_agree_with_the_full_netlist() -> None:
    circuit = wired()
    drives = [Drive(random_batch(circuit).inputs)]
    reduced, full = (chip(circuit, tolerances=TIGHT).measure(drives)[0] for chip in (NgspiceChip, FullNetlistChip))
    np.testing.assert_allclose(reduced.nodes, full.nodes, atol=1e-9)


def test_a_part_whose_elimination_would_fill_in_stays() -> None:
    """A star of one linear node with eight arms would become 28 conductances."""
    arms = 8
    elements = [InputSource("x0", "x0", 0, 1.0), Resistor("feed", "x0", "n0", 1.0)]
    elements += [Resistor(f"arm{k}", "centre", f"n{k}", 1.0) for k in range(arms)]
    elements += [Diode(f"d{k}", f"n{k}", GROUND, DIODE) for k in range(arms)]
    circuit = Circuit("star", tuple(elements), (Output("y0", "n1"),))
    assert Reduction(circuit).reduce([]).size == arms + 1


def divider(*more: object) -> Circuit:
    """1 V over 1 S and 3 S."""
    parts = (InputSource("x0", "x0", 0, 1.0), Resistor("r1", "x0", "a", 1.0), Resistor("r2", "a", GROUND, 3.0))
    return Circuit("divider", (*parts, *more), (Output("y0", "a"),))  # type: ignore[arg-type]


def only_output(circuit: Circuit, volts: float = 1.0) -> float:
    (reading,) = NodalChip(circuit).measure([Drive(np.array([[volts]]))])
    return float(reading.outputs[0, 0])


def test_closed_forms() -> None:
    assert only_output(divider()) == pytest.approx(0.25, rel=1e-12)
    assert only_output(divider(CurrentSource("i1", GROUND, "a", 2.0))) == pytest.approx(0.75, rel=1e-12)
    assert only_output(divider(VoltageSource("v1", "c", -2.0), Resistor("r3", "c", "a", 4.0))) == pytest.approx(-7 / 8)


def test_an_amplifier_shows_its_load_divided_by_the_squared_gain() -> None:
    """Voltage × A forward and current × 1/A backward: 5 S behind A = 2 loads the input like 5 S at the same drop."""
    amplifier = BidirectionalAmplifier("amp", "a", "b", 2.0)
    assert only_output(divider(amplifier, Resistor("load", "b", GROUND, 5.0))) == pytest.approx(1 / 9, rel=1e-12)


def test_an_amplifier_behind_an_ideal_source_is_a_source() -> None:
    parts = (InputSource("x0", "x0", 0, 1.0), BidirectionalAmplifier("amp", "x0", "b", 3.0))
    circuit = Circuit(
        "held", (*parts, Resistor("r1", "b", "a", 1.0), Resistor("r2", "a", GROUND, 1.0)), (Output("y0", "a"),)
    )
    assert only_output(circuit) == pytest.approx(1.5, rel=1e-12)


def test_an_output_at_a_held_node_reads_its_source() -> None:
    circuit = Circuit("held", divider().elements, (Output("y0", "x0", "a"),))
    assert only_output(circuit, 2.0) == pytest.approx(1.5, rel=1e-12)


def test_a_conductance_across_an_amplifier_feeds_half_of_its_current_back() -> None:
    """v_b = 2 v_a: 1 S from b to a brings v_a in, and the amplifier takes half of that out again at a."""
    loop = (Resistor("r3", "a", "b", 1.0), BidirectionalAmplifier("amp", "a", "b", 2.0))
    assert only_output(divider(*loop)) == pytest.approx(1 / 3.5, rel=1e-12)


def test_outputs_behind_unequal_amplification_are_refused() -> None:
    elements = (*divider().elements, BidirectionalAmplifier("amp", "a", "b", 2.0), Resistor("r3", "b", "c", 1.0))
    circuit = Circuit("mixed", (*elements, Resistor("r4", "c", GROUND, 1.0)), (Output("y0", "a"), Output("y1", "c")))
    with pytest.raises(CircuitError, match="outputs lie behind unequal amplification"):
        Reduction(circuit)


def test_a_node_whose_cells_were_all_opened_is_refused_by_name() -> None:
    cells = Crossbar("w1", ("x0",), ("a", "b"), np.ones((1, 2)), 0.0, 1.0)
    circuit = Circuit("open", (InputSource("x0", "x0", 0, 1.0), cells), (Output("y0", "a", "b"),))
    with pytest.raises(CircuitError, match=r"node b floats: every cell that leads to it is open \(0 S\)"):
        Reduction(circuit).reduce([np.array([[1.0, 0.0]])])


def test_a_cell_that_closes_later_is_solved_right() -> None:
    """The solver's plan depends on the topology, not on which cells happen to be open at the start."""
    circuit = kendall([4], cells=_openable())
    shut = circuit.with_conductances(
        [np.where(g > 0.2, g, 0.0) + 0.0 for g in circuit.conductances[:1]] + [_one_each()]
    )
    chip = NodalChip(shut)
    closed = [np.full(g.shape, 0.5) for g in shut.conductances]
    chip.program(closed)
    drives = [Drive(random_batch(circuit).inputs)]
    (reading,) = chip.measure(drives)
    assert kirchhoff_residual(shut.with_conductances(closed), reading.nodes) < 1e-9


def _openable() -> object:
    from harness.circuit.networks.layered import CellRange

    return CellRange(1.0, 0.0, 10.0)


def _one_each() -> np.ndarray:
    """One closed cell per output line of a 4-hidden, 2-pair network."""
    cells = np.zeros((6, 4))
    cells[[0, 1, 2, 3], [0, 1, 2, 3]] = 1.0
    return cells


def test_the_conductance_at_the_outputs_is_where_a_negative_spring_makes_the_network_unstable() -> None:
    """All diodes blocking: one eigenvalue of the nudged conductance matrix changes its sign there."""
    reduced = Reduction(circuit := kendall([4, 3])).reduce(circuit.conductances)
    drop = np.eye(reduced.size)[reduced.network.topology.plus] - np.eye(reduced.size)[reduced.network.topology.minus]
    limit = reduced.output_conductance()
    for share, stable in ((0.999, True), (1.001, False)):
        nudged = reduced.network.conductance - share * limit * drop.T @ drop
        assert (np.linalg.eigvalsh(nudged)[0] > 0) == stable
        assert reduced.withstands(share * limit) == stable


def test_chips_that_were_made_alike_are_cut_into_the_same_parts_once() -> None:
    edges, stays = np.array([[0, 1], [1, 2], [2, 3]]), np.array([True, False, False, True])
    first = partition.eliminated(edges, stays)
    assert partition.eliminated(edges.copy(), stays.copy()) is first
    assert first.tolist() == [False, True, True, False]
    assert not first.flags.writeable


@pytest.mark.parametrize("nudge", ["current", "spring", "clamp", "capacitances"])
@pytest.mark.parametrize("make", [kendall, scellier])
def test_small_signals_solve_the_equations_of_all_unknowns(make: Callable[..., Circuit], nudge: str) -> None:
    rng = np.random.default_rng(3)
    circuit = make([7, 4], 3)
    reduced = Reduction(circuit, rng.uniform(0, 1e-9, len(circuit.nodes)) if nudge == "capacitances" else None).reduce(
        circuit.conductances
    )
    network, size, outputs = reduced.network, reduced.size, len(circuit.output_ends[0])
    assert 0 < len(network.topology.alone) < size
    currents, rails = rng.normal(0, 1e-6, (5, size)), np.zeros((5, len(reduced.rail)))
    slopes = rng.lognormal(-14, 2, (5, len(network.topology.branches[0])))
    pushed, volts = rng.normal(0, 1e-6, (5, outputs)), rng.normal(size=(5, outputs))
    waving = Oscillation(1e3, currents, rails, reduced.farads) if nudge == "capacitances" else None
    spring, clamped = 1e-6 if nudge == "spring" else 0.0, volts if nudge == "clamp" else None
    phase = Phase("nudged", currents, rails, pushed, spring, clamped, slopes, waving)
    found = settle_linear(network, phase)
    first, second, above, below = (np.where(ends < size, ends, size) for ends in network.topology.branches)
    ends = np.vstack([np.eye(size), np.zeros(size)])
    drop = network.topology.drops[0]
    for sample in range(5):
        matrix = network.conductance + spring * drop.T @ drop + 0j
        for k, slope in enumerate(slopes[sample]):
            matrix += slope * np.outer(ends[first[k]] - ends[second[k]], ends[above[k]] - ends[below[k]])
        right = currents[sample] + drop.T @ pushed[sample]
        if waving:
            matrix += np.diag(2j * np.pi * 1e3 * reduced.farads)
        if clamped is None:
            np.testing.assert_allclose(found[sample], np.linalg.solve(matrix, right).real, rtol=1e-9, atol=1e-12)
            continue
        np.testing.assert_allclose(drop @ found[sample], volts[sample], rtol=1e-12)
        free = np.linalg.svd(drop)[2][outputs:]  # whatever holds the outputs pushes nowhere else
        np.testing.assert_allclose(free @ (matrix.real @ found[sample] - right), 0, atol=1e-14)
