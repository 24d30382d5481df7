"""Free graphs: their families, circuits solved by hand, what they can reach, what is refused, and their pictures."""

import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.chip.nodal.chip import NodalChip
from harness.circuit import GROUND, Circuit, CurrentSource, Diode, Edges, InputSource, Output, Resistor, VoltageSource
from harness.circuit.networks.families import complete, edges_from, grid, periodic_grid, random_regular, small_world
from harness.circuit.networks.free import free_graph, reachable_range, unreachable_targets
from harness.circuit.networks.graphs import EdgeDiode, GraphEdge, graph_node, read_edges
from harness.circuit.networks.layered import CellRange
from harness.devices.diode import THERMAL_VOLTAGE, current_and_slope
from harness.errors import CircuitError
from harness.measurement import Array, Drive, Reading
from harness.pictures.circuits import draw_circuit
from tests.conftest import DIODE, kendall

CELLS = CellRange(1.0, 0.0, 10.0)
ONE_VOLT = np.array([[1.0]])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def wires(*names: str, siemens: float | None = 1.0, diode: EdgeDiode = EdgeDiode.NONE) -> list[GraphEdge]:
    """Equal edges from names such as ``A-B``."""
    return [GraphEdge(*name.split("-"), siemens, diode) for name in names]


def graph(edges: list[GraphEdge], inputs: object, outputs: object, **changes: object) -> Circuit:
    options = {"cells": CELLS, "diode": DIODE, "rng": rng(), **changes}
    return free_graph(edges, inputs, outputs, **options)  # type: ignore[arg-type]


def settled(circuit: Circuit, inputs: Array = ONE_VOLT) -> Reading:
    (reading,) = NodalChip(circuit, tolerance=1e-10).measure([Drive(inputs)])
    return reading


def voltage(circuit: Circuit, reading: Reading, node: str) -> Array:
    return np.zeros(len(reading.nodes)) if node == GROUND else reading.nodes[:, circuit.node_index[node]]


def shape(edges: list[GraphEdge]) -> "nx.MultiGraph[str]":
    made: nx.MultiGraph[str] = nx.MultiGraph()
    made.add_edges_from((edge.a, edge.b) for edge in edges)
    return made


def mixed(edges: list[GraphEdge], shift: int = 0) -> list[GraphEdge]:
    """The same edges with diodes of every kind."""
    kinds = list(EdgeDiode)
    return [replace(edge, diode=kinds[(k + shift) % 4]) for k, edge in enumerate(edges)]


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 1), (2, 2), (3, 5)])
def test_an_open_grid_joins_each_node_to_its_right_and_lower_neighbour(rows: int, columns: int) -> None:
    made = shape(grid(rows, columns))
    assert set(made) == set(map(str, range(rows * columns)))
    assert made.number_of_edges() == rows * (columns - 1) + columns * (rows - 1)
    for a, b in made.edges():
        (r, c), (s, d) = divmod(int(a), columns), divmod(int(b), columns)
        assert abs(r - s) + abs(c - d) == 1


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (4, 4), (3, 5)])
def test_a_torus_gives_every_node_four_different_neighbours(rows: int, columns: int) -> None:
    made = shape(periodic_grid(rows, columns))
    assert made.number_of_edges() == 2 * rows * columns
    assert all(len(set(made[node])) == made.degree(node) == 4 for node in made)
    there = nx.grid_2d_graph(rows, columns, periodic=True)
    assert nx.is_isomorphic(nx.Graph(made), there)


def test_a_complete_graph_joins_every_two_nodes_once() -> None:
    made = complete(6)
    assert len(made) == 15
    assert len({frozenset((edge.a, edge.b)) for edge in made}) == 15


@pytest.mark.parametrize(("degree", "nodes"), [(2, 5), (3, 8), (4, 9), (4, 5)])
def test_a_random_regular_graph_is_regular_simple_and_connected(degree: int, nodes: int) -> None:
    for seed in range(5):
        made = shape(random_regular(degree, nodes, rng(seed)))
        assert len(made) == nodes
        assert all(len(set(made[node])) == made.degree(node) == degree for node in made)
        assert nx.is_connected(made)


def test_a_small_world_without_rewiring_is_a_ring_and_with_it_keeps_its_edges() -> None:
    ring = shape(small_world(10, 4, 0.0, rng()))
    assert set(ring["0"]) == {"1", "2", "8", "9"}
    rewired = shape(small_world(10, 4, 0.5, rng()))
    assert rewired.number_of_edges() == ring.number_of_edges() == 20
    assert nx.is_connected(rewired)
    assert set(rewired.edges()) != set(ring.edges())


@pytest.mark.parametrize("draw", [lambda r: random_regular(3, 20, r), lambda r: small_world(20, 4, 0.3, r)])
def test_the_same_seed_draws_the_same_graph(draw: Callable[[np.random.Generator], list[GraphEdge]]) -> None:
    assert draw(rng(1)) == draw(rng(1)) != draw(rng(2))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: grid(0, 3), "grid: rows: 0 must be at least 1"),
        (lambda: grid(3, 0), "grid: columns: 0 must be at least 1"),
        (lambda: grid(1, 1), "grid: columns: 1 must be at least 2"),
        (lambda: periodic_grid(2, 4), "periodic grid: rows: 2 must be at least 3"),
        (lambda: periodic_grid(4, 2), "periodic grid: columns: 2 must be at least 3"),
        (lambda: complete(1), "complete graph: nodes: 1 must be at least 2"),
        (lambda: random_regular(1, 4, rng()), "random regular graph: degree: 1 must be at least 2"),
        (lambda: random_regular(4, 4, rng()), "random regular graph: nodes: 4 must be at least 5"),
        (lambda: random_regular(3, 5, rng()), "degree 3 × 5 nodes is odd; make one of them even"),
        (lambda: small_world(6, 0, 0.1, rng()), "small world: neighbours: 0 must be at least 2"),
        (lambda: small_world(4, 4, 0.1, rng()), "small world: nodes: 4 must be at least 5"),
        (lambda: small_world(6, 3, 0.1, rng()), "small world: 3 neighbours are odd"),
        (lambda: small_world(6, 2, 1.5, rng()), r"small world: rewiring 1\.5 is no probability; it must lie in 0…1"),
        (lambda: small_world(6, 2, math.nan, rng()), "small world: rewiring nan is no probability"),
    ],
)
def test_graphs_that_cannot_be_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        build()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda r: random_regular(2, 12, r), "none of 1 draws of degree 2 was connected; take a higher degree"),
        (lambda r: small_world(12, 2, 1.0, r), "small world: none of 1 draws was connected; take more neighbours"),
    ],
)
def test_draws_that_fall_apart_are_not_used(
    draw: Callable[[np.random.Generator], list[GraphEdge]], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(nx.is_connected(shape(draw(rng(seed)))) for seed in range(10))
    monkeypatch.setattr("harness.circuit.networks.families._DRAWS", 1)
    with pytest.raises(CircuitError, match=message):
        _ = [draw(rng(seed)) for seed in range(50)]


def test_a_voltage_divider() -> None:
    """v = g₁ x / (g₁ + g₂), at node 0, which is not ground."""
    edges = [GraphEdge("in", "0", 3.0), GraphEdge("0", "end", 1.0)]
    inputs = np.array([[1.0], [-2.0]])
    reading = settled(graph(edges, ["in"], [0, "in-0", "end-0"], grounds=["end"], input_gain=2.0), inputs)
    np.testing.assert_allclose(reading.outputs, [[1.5, 0.5, -1.5], [-3.0, -1.0, 3.0]], rtol=1e-12)
    to_ground = [edges[0], GraphEdge("ground", "0", 1.0)]
    other = settled(graph(to_ground, ["in"], ["0-ground", "in - 0"], input_gain=2.0), inputs)
    np.testing.assert_allclose(other.outputs, reading.outputs[:, :2], rtol=1e-12)


def test_an_inverted_input_holds_a_node_at_the_negative() -> None:
    edges = [GraphEdge("p", "m", 1.0), GraphEdge("n", "m", 3.0)]
    reading = settled(graph(edges, ["p"], ["m"], inverted=["n"], input_gain=2.0), np.array([[1.0], [-0.5]]))
    np.testing.assert_allclose(reading.outputs, [[-1.0], [0.5]], rtol=1e-12)


def test_a_rail_and_a_ground_hold_their_nodes() -> None:
    """Three equal conductances meet at a node: it takes the mean of 1 V, 5 V and 0 V."""
    circuit = graph(wires("a-m", "b-m", "c-m"), ["a"], ["m"], rails={"b": 5.0}, grounds=["c"])
    np.testing.assert_allclose(settled(circuit).outputs, [[2.0]], rtol=1e-12)


@pytest.mark.parametrize(("siemens", "drop"), [((1.0, 2.0, 3.0, 6.0), 0.0), ((1.0, 1.0, 1.0, 3.0), 2 / 17)])
def test_a_wheatstone_bridge(siemens: tuple[float, ...], drop: float) -> None:
    """Balanced, no current flows in the galvanometer (1.5 S).

    Unbalanced, 3.5 l − 1.5 r = 1 and 5.5 r − 1.5 l = 1 give l = 7/17 and r = 5/17 of the voltage at the top.
    """
    arms = [("top", "left"), ("top", "right"), ("left", "ground"), ("right", "ground"), ("left", "right")]
    edges = [GraphEdge(*ends, g) for ends, g in zip(arms, (*siemens, 1.5), strict=True)]
    reading = settled(graph(edges, ["top"], ["left-right"]))
    np.testing.assert_allclose(reading.outputs, [[drop]], rtol=1e-12, atol=1e-15)


def test_the_resistance_of_a_cube_is_five_sixths() -> None:
    """Twelve resistors of 1 Ω, from corner to opposite corner, behind one more of 1 Ω: v = (5/6) / (1 + 5/6)."""
    cube = nx.convert_node_labels_to_integers(nx.hypercube_graph(3))
    edges = [replace(edge, conductance=1.0) for edge in edges_from(cube)]
    reading = settled(graph([*edges, *wires("in-0")], ["in"], ["0"], grounds=["7"]))
    np.testing.assert_allclose(reading.outputs, [[5 / 11]], rtol=1e-12)


def test_two_nodes_of_a_complete_graph_see_2_over_n_ohms() -> None:
    edges = [replace(edge, conductance=1.0) for edge in complete(8)]
    reading = settled(graph([*edges, *wires("in-3")], ["in"], [3], grounds=[6]))
    np.testing.assert_allclose(reading.outputs, [[0.25 / 1.25]], rtol=1e-12)


def test_parallel_edges_add() -> None:
    several = [
        GraphEdge("a", "m", 0.5),
        GraphEdge("m", "a", 1.5),
        GraphEdge("a", "m", 2.0),
        GraphEdge("m", "ground", 1.0),
    ]
    single = [GraphEdge("a", "m", 4.0), GraphEdge("m", "ground", 1.0)]
    readings = [settled(graph(edges, ["a"], ["m"])).outputs for edges in (several, single)]
    np.testing.assert_allclose(*readings, rtol=1e-12)


@pytest.mark.parametrize("sense", [1e-3, 0.5])
def test_a_current_is_read_as_the_drop_over_its_sense_resistor(sense: float) -> None:
    """2 S from the input and 1 S to ground, with the resistor in series: i = 1 V / (1/2 Ω + 1 Ω + R)."""
    edges = [GraphEdge("a", "m", 2.0), GraphEdge("m", "ground", 1.0)]
    for spec, sign in (("i(a-m)", 1), ("i(m-a)", -1), ("i( m - ground )", 1)):
        reading = settled(graph(edges, ["a"], [spec], sense=sense))
        np.testing.assert_allclose(reading.outputs / sense, [[sign / (1.5 + sense)]], rtol=1e-9)


def test_the_sensed_current_is_conductance_times_drop() -> None:
    """In a random graph with a small resistor: within g R of it, whatever the edge's direction."""
    edges, sense = random_regular(3, 10, rng(4)), 1e-6
    specs = [f"i({edge.b}-{edge.a})" for edge in edges[3:6]]
    circuit = graph(edges, [0, 1], specs, grounds=[9], sense=sense)
    reading = settled(circuit, np.array([[1.0, -0.5]]))
    for k, edge in enumerate(edges[3:6]):
        a, b = (voltage(circuit, reading, graph_node(node)) for node in (edge.a, edge.b))
        expected = circuit.conductances[0][3 + k] * (b - a)
        np.testing.assert_allclose(reading.outputs[:, k] / sense, expected, rtol=3e-6)


def test_a_sense_resistor_carries_the_current_of_the_diode_beside_it() -> None:
    edges = wires("a-m", diode=EdgeDiode.FORWARD) + wires("m-ground")
    circuit = graph(edges, ["a"], ["i(a-m)", "m"], sense=1e-3)
    current, voltage_ = settled(circuit).outputs[0] / [1e-3, 1.0]
    assert current == pytest.approx(voltage_, rel=1e-6)  # 1 S to ground
    over = 1.0 - current / 1.0 - current * 1e-3 - voltage_  # what conductance, resistor and load leave to the diode
    through, _ = current_and_slope(np.array(over), np.array(DIODE.saturation_current), _scale())
    assert current == pytest.approx(float(through), rel=1e-6)


def _scale() -> Array:
    return np.array(DIODE.emission * THERMAL_VOLTAGE)


@pytest.mark.parametrize(
    ("diode", "up", "down"),
    [(EdgeDiode.FORWARD, True, False), (EdgeDiode.BACKWARD, False, True), (EdgeDiode.BOTH, True, True)],
)
def test_diodes_let_current_pass_in_their_direction(diode: EdgeDiode, up: bool, down: bool) -> None:
    circuit = graph(wires("a-m", diode=diode) + wires("m-ground"), ["a"], ["m"])
    high, low = settled(circuit, np.array([[3.0], [-3.0]])).outputs[:, 0]
    assert bool(high > 0.5) is up
    assert bool(low < -0.5) is down


def test_turning_every_diode_and_every_input_turns_every_voltage() -> None:
    edges, inputs = random_regular(3, 12, rng(5)), rng(6).normal(size=(4, 2))
    forward, backward, both = (
        settled(graph([replace(edge, diode=kind) for edge in edges], [0, 1], [5, "6-7"], grounds=[11]), sign * inputs)
        for kind, sign in ((EdgeDiode.FORWARD, 1), (EdgeDiode.BACKWARD, -1), (EdgeDiode.BOTH, 1))
    )
    np.testing.assert_allclose(forward.nodes, -backward.nodes, atol=1e-9)
    assert np.abs(both.outputs - forward.outputs).max() > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_kirchhoffs_current_law_holds_at_every_free_node(seed: int) -> None:
    """Summed here element by element, from the voltages that the chip shows."""
    edges = mixed(small_world(14, 4, 0.3, rng(seed)), seed)
    circuit = graph(edges, [0, 5], [9, f"i({edges[7].a}-{edges[7].b})"], grounds=[13], rails={4: 0.7}, sense=0.01)
    reading = settled(circuit, rng(seed).normal(size=(3, 2)))
    net, size = Counter[str](), 0.0
    for sample in range(3):
        net.clear()
        for a, b, law in _branches(circuit):
            current = float(law(float((voltage(circuit, reading, a) - voltage(circuit, reading, b))[sample])))
            net[a] -= current  # type: ignore[assignment]
            net[b] += current  # type: ignore[assignment]
            size = max(size, abs(current))
        free = [abs(net[node]) for node in circuit.nodes if node not in circuit.held_nodes]
        assert max(free) < 1e-9 * size


def _branches(circuit: Circuit) -> list[tuple[str, str, Callable[[float], float]]]:
    found: list[tuple[str, str, Callable[[float], float]]] = []
    for element in circuit.elements:
        match element:
            case Edges(_, first, second, conductances):
                found += [(a, b, g.__mul__) for a, b, g in zip(first, second, conductances.tolist(), strict=True)]
            case Resistor(_, a, b, g):
                found.append((a, b, g.__mul__))
            case Diode(_, a, b, _):
                found.append((a, b, _junction))
    return found


def _junction(volts: float) -> float:
    return float(current_and_slope(np.array(volts), np.array(DIODE.saturation_current), _scale())[0])


@given(seed=st.integers(0, 2**32), diodes=st.booleans())
@settings(deadline=None, max_examples=15)
def test_free_nodes_lie_between_the_held_ones(seed: int, diodes: bool) -> None:
    """The maximum principle, for nodes, single outputs, drops, drops to a held node and currents."""
    edges = small_world(12, 4, 0.4, rng(seed))
    edges = mixed(edges, seed % 4) if diodes else edges
    outputs = [5, "6-7", "0-8", "9-2", f"i({edges[3].a}-{edges[3].b})"]
    circuit = graph(edges, [0, 1], outputs, rng=rng(seed), rails={2: -0.3}, sense=0.1)
    inputs = rng(seed).normal(size=(4, 2))
    reading = settled(circuit, inputs)
    held = np.column_stack([inputs, np.full(4, -0.3)])
    assert (reading.nodes >= held.min(axis=1, keepdims=True) - 1e-9).all()
    assert (reading.nodes <= held.max(axis=1, keepdims=True) + 1e-9).all()
    low, high = reachable_range(circuit, inputs)
    assert (reading.outputs >= low - 1e-9).all()
    assert (reading.outputs <= high + 1e-9).all()
    assert unreachable_targets(circuit, inputs, reading.outputs) == []


def test_the_range_of_a_sample_is_that_of_its_held_nodes() -> None:
    edges = wires("a-m", "b-m", "m-n", "n-c")
    outputs = ["m", "m-n", "a-m"]
    inputs = np.array([[1.0, 3.0], [-1.0, 0.5]])
    low, high = reachable_range(graph(edges, ["a", "b"], outputs, rails={"c": 2.0}, input_gain=2.0), inputs)
    np.testing.assert_allclose(low, [[2, -4, -4], [-2, -4, -4]])  # 2, 6, 2 V and −2, 1, 2 V are held
    np.testing.assert_allclose(high, [[6, 4, 0], [2, 4, 0]])
    to_ground = [*edges, *wires("n-ground")]
    low, _ = reachable_range(graph(to_ground, ["a", "b"], outputs, rails={"c": 2.0}, input_gain=2.0), inputs)
    np.testing.assert_allclose(low[0], [0, -6, -4])


def test_the_range_is_tight() -> None:
    """Conductances far apart bring a node as close to either bound as one likes."""
    for near, far, expected in ((10.0, 1e-8, 3.0), (1e-8, 10.0, -1.0)):
        circuit = graph([GraphEdge("a", "m", near), GraphEdge("m", "b", far)], ["a", "b"], ["m"])
        inputs = np.array([[3.0, -1.0]])
        low, high = reachable_range(circuit, inputs)
        assert (low[0, 0], high[0, 0]) == (-1.0, 3.0)
        assert settled(circuit, inputs).outputs[0, 0] == pytest.approx(expected, abs=1e-8)


def test_targets_out_of_reach_are_named_once_an_output() -> None:
    circuit = graph(wires("a-m", "m-n", "n-ground"), ["a"], ["m", "n", "m-n"])
    inputs = np.array([[1.0], [-1.0], [2.0]])
    targets = np.array([[1.0, 0.5, -1.0], [0.5, -1.0, 1.0], [2.5, 0.0, -2.0]])
    assert unreachable_targets(circuit, inputs, targets) == [
        "output y0: the target 0.5 V of sample 1 lies outside -1 V…0 V, which the held nodes allow (and 1 more like it)"
    ]
    targets[2, 2] = 2.5
    assert unreachable_targets(circuit, inputs, targets)[1] == (
        "output y2: the target 2.5 V of sample 2 lies outside -2 V…2 V, which the held nodes allow"
    )


def test_ranges_are_refused_where_the_maximum_principle_does_not_hold() -> None:
    source = InputSource("x0", "x0", 0, 1.0)
    fed = Circuit(
        "fed", (source, Resistor("r", "x0", "a", 1.0), CurrentSource("i1", "0", "a", 1.0)), (Output("y", "a"),)
    )
    for circuit, name in ((fed, "i1"), (kendall([3]), "amp1_0")):
        with pytest.raises(CircuitError, match=f"element {name}: it can take nodes beyond every held voltage"):
            reachable_range(circuit, np.zeros((1, circuit.channels)))
    divider = graph(wires("a-m", "m-ground"), ["a"], ["m"])
    with pytest.raises(CircuitError, match=r"inputs have shape \(1, 2\), the circuit takes \[samples, 1\]"):
        reachable_range(divider, np.zeros((1, 2)))
    with pytest.raises(CircuitError, match=r"targets have shape \(1, 2\), the circuit takes \[samples, 1\]"):
        unreachable_targets(divider, np.zeros((1, 1)), np.zeros((1, 2)))


def test_the_circuit_has_one_array_and_the_parts_of_each_edge() -> None:
    edges = mixed(wires("0-1", "1-2", "2-3", "3-0"))
    circuit = graph(edges, [0], ["i(1-2)", 3], grounds=[2], sense=4.0)
    (array,) = circuit.arrays
    assert isinstance(array, Edges)
    assert (array.name, array.a, array.b) == ("w", ("n0", "n1", "n2", "n3"), ("n1", "m1", "m2", "m3"))
    assert (array.g_min, array.g_max) == (CELLS.g_min, CELLS.g_max)
    rest = [element for element in circuit.elements if element is not array]
    assert rest == [
        InputSource("x0", "n0", 0, 1.0),
        VoltageSource("ground_2", "n2", 0.0),
        Resistor("s1", "c1", "n2", 0.25),
        Diode("d1f", "m1", "c1", DIODE),
        Diode("d2b", "n3", "m2", DIODE),
        Diode("d3f", "m3", "n0", DIODE),
        Diode("d3b", "n0", "m3", DIODE),
    ]
    assert circuit.outputs == (Output("y0", "c1", "n2"), Output("y1", "n3"))


def test_open_conductances_are_drawn_from_a_tenth_of_the_unit_up() -> None:
    edges = [GraphEdge("a", "b", None), *(GraphEdge("b", "a") for _ in range(4000))]
    drawn = graph(edges, ["a"], ["b"], cells=CellRange(2.0, 0.0, 10.0)).conductances[0]
    assert drawn.min() == pytest.approx(0.2, abs=2e-3)
    assert drawn.max() == pytest.approx(2.0, abs=2e-3)
    assert drawn.mean() == pytest.approx(1.1, rel=0.02)
    clipped = graph(edges, ["a"], ["b"], cells=CellRange(2.0, 0.5, 1.5)).conductances[0]
    np.testing.assert_array_equal(clipped, np.clip(drawn, 0.5, 1.5))
    edges[1] = replace(edges[1], conductance=7.0)
    given_ = graph(edges, ["a"], ["b"], cells=CellRange(2.0, 0.0, 10.0)).conductances[0]
    assert given_[1] == 7.0
    np.testing.assert_array_equal(np.delete(given_, 1), np.delete(drawn, 1))


SQUARE = wires("A-B", "B-C", "C-D", "D-A")
TAIL = [*SQUARE, *wires("C-E", "E-F")]


@pytest.mark.parametrize(
    ("edges", "inputs", "outputs", "changes", "message"),
    [
        ([], ["A"], ["B"], {}, "circuit graph: its graph has no edges"),
        (SQUARE, ["A", "Q"], ["B"], {}, "input 1: 'Q' is no node of the graph; it has 4 nodes: A, B, C, D"),
        (SQUARE, ["A"], ["B"], {"grounds": ["a"]}, "ground a: 'a' is no node of the graph"),
        (SQUARE, ["A"], ["B"], {"rails": {7: 1.0}}, "rail 7: '7' is no node of the graph"),
        (
            SQUARE,
            ["A"],
            ["B", "Q-A"],
            {},
            r"output 1 \(Q-A\): 'Q' is no node of the graph; it has 5 nodes: A, B, C, D, g",
        ),
        (complete(12), [0], [12], {}, r"it has 13 nodes: 0, 1, 2, 3, 4, 5, 6, 7, …$"),
        (SQUARE, ["A", "A"], ["B"], {}, "input 1: node A is held twice, by input 0 already"),
        (SQUARE, ["A"], ["B"], {"grounds": ["A"]}, "ground A: node A is held twice, by input 0 already"),
        (SQUARE, ["A"], ["B"], {"grounds": ["C"], "rails": {"C": 1.0}}, "rail C: node C is held twice, by ground C"),
        (
            [*SQUARE, *wires("D-ground")],
            ["A"],
            ["B"],
            {"grounds": ["ground"]},
            "ground ground: node ground is held twice, by circuit ground already",
        ),
        (
            [*SQUARE, *wires("X-Y")],
            ["A"],
            ["B"],
            {},
            r"node X \(and 1 more\): no path of closed edges leads from there to an input",
        ),
        (
            [*SQUARE, *wires("D-X", siemens=0.0)],
            ["A"],
            ["B"],
            {},
            "node X: no path of closed edges leads from there to an",
        ),
        (
            SQUARE,
            [],
            ["B"],
            {"grounds": ["A"]},
            r"output 0 \(B\): no input reaches it; every path from one leads through",
        ),
        (TAIL, ["A"], ["B", "F"], {"grounds": ["C"]}, r"output 1 \(F\): no input reaches it"),
        (TAIL, ["A"], ["E-F"], {"rails": {"C": 1.0}}, r"output 0 \(E-F\): no input reaches it"),
        (TAIL, ["A"], ["i(C-E)"], {"grounds": ["C"], "sense": 1.0}, r"output 0 \(i\(C-E\)\): no input reaches it"),
        (
            SQUARE,
            ["A"],
            ["A"],
            {},
            r"output 0 \(A\): node A is held by input 0, so that no conductance changes what it",
        ),
        (
            SQUARE,
            ["A"],
            ["A-C"],
            {"grounds": ["C"]},
            "node A is held by input 0, node C by ground C, so that no conductance",
        ),
        (SQUARE, ["A"], ["B-B"], {}, r"output 0 \(B-B\): both of its ends are node B"),
        (
            SQUARE,
            ["A"],
            ["B-C", "C-B"],
            {},
            r"output 1 \(C-B\): it reads the same as output 0 \(B-C\); leave one of them",
        ),
        (
            SQUARE,
            ["A"],
            ["ground-B"],
            {},
            r"output 0 \(ground-B\): it reads ground itself; swap its ends, and so its sign",
        ),
        (
            SQUARE,
            ["A"],
            ["B+C"],
            {},
            r"output 0 \(B\+C\): write 'A' for a node, 'A-B' for a drop, or 'i\(A-B\)' for the",
        ),
        (SQUARE, ["A"], ["i(B)"], {}, r"output 0 \(i\(B\)\): write 'A' for a node"),
        (SQUARE, ["A"], ["i(B-D)"], {"sense": 1.0}, r"output 0 \(i\(B-D\)\): no edge joins B and D"),
        (
            [*SQUARE, *wires("C-B")],
            ["A"],
            ["i(B-C)"],
            {"sense": 1.0},
            "2 parallel edges join B and C; read a current of",
        ),
        (
            SQUARE,
            ["A"],
            ["i(B-C)"],
            {},
            r"output 0 \(i\(B-C\)\): a current needs a sense resistor to be read; give 'sense'",
        ),
        (SQUARE, ["A"], ["i(B-C)"], {"sense": 0.0}, r"a sense resistor of 0 Ω must be finite and above 0 Ω"),
        (SQUARE, ["A"], ["i(B-C)"], {"sense": math.nan}, r"a sense resistor of nan Ω must be finite"),
        (
            mixed(SQUARE),
            ["A"],
            ["B"],
            {"diode": None},
            r"edge B–C: it has a diode \(forward\), and the graph has no diode",
        ),
        (SQUARE, ["A"], ["B"], {"cells": CellRange(1.0, 2.0, 3.0)}, "edge A–B: conductance 1 S is outside 2 S…3 S"),
        (SQUARE, ["A"], [], {}, "circuit graph: it has no outputs"),
        (wires("a-b", "b-A"), ["a"], ["b"], {}, "node nA: differs from node na only in case"),
    ],
)
def test_graphs_that_make_no_circuit_are_refused(
    edges: list[GraphEdge], inputs: list[object], outputs: list[object], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(CircuitError, match=message):
        graph(edges, inputs, outputs, **changes)


def test_the_current_between_two_held_nodes_can_be_read() -> None:
    """Unlike a voltage between them, it depends on the conductance."""
    reading = settled(graph(wires("A-B", siemens=2.0), ["A"], ["i(A-B)"], grounds=["B"], sense=0.5))
    np.testing.assert_allclose(reading.outputs, [[0.5]], rtol=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("A", "A"), "edge A–A: both ends are at node A"),
        (("A", "B C"), "edge A–B C: end b is called 'B C'; a name is made of letters, digits and _"),
        (("", "B"), "edge –B: end a is called ''"),
        (("gnd", "B"), "edge gnd–B: end a is called gnd; write 'ground' for circuit ground"),
        (("B", "Ground"), "edge B–Ground: end b is called Ground; write 'ground'"),
        (("A", "B", -1e-3), "edge A–B: conductance -0.001 S must be finite and not negative"),
        (("A", "B", math.nan), "edge A–B: conductance nan S must be finite"),
        (("A", "B", math.inf), "edge A–B: conductance inf S must be finite"),
    ],
)
def test_edges_are_checked(fields: tuple[object, ...], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        GraphEdge(*fields)  # type: ignore[arg-type]


def test_edges_make_the_round_trip_through_csv(tmp_path: Path) -> None:
    edges = [
        GraphEdge("0", "1", 1e-5),
        GraphEdge("1", "A", None, EdgeDiode.BOTH),
        GraphEdge("A", "ground", 0.25, EdgeDiode.BACKWARD),
    ]
    rows = [f"{edge.a},{edge.b},{'' if edge.conductance is None else edge.conductance},{edge.diode}" for edge in edges]
    file = tmp_path / "edges.csv"
    file.write_text("\n".join(["a,b,conductance,diode", *rows]))
    assert read_edges(file) == edges


def test_csv_takes_units_spaces_other_orders_and_missing_columns(tmp_path: Path) -> None:
    file = tmp_path / "edges.csv"
    file.write_text("\ufeffdiode, conductance, b, a\nforward, 10 uS, 1, 0\n\n,4.7 mS,2,1\n", encoding="utf-8")
    assert read_edges(file) == [GraphEdge("0", "1", 1e-5, EdgeDiode.FORWARD), GraphEdge("1", "2", 4.7e-3)]
    file.write_text("a,b\n0,1\n")
    assert read_edges(file) == [GraphEdge("0", "1")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty; a table begins with a line of headings"),
        ("a,c\n0,1\n", "its columns are a, c; write a, b"),
        ("a,b,weight\n0,1,2\n", "its columns are a, b, weight; write a, b"),
        ("a,b,b\n0,1,2\n", r"line 1: column 'b' is there twice \(columns 2 and 3\)"),
        ("a,b\n", "it has no rows; write one for each edge"),
        ("a,b\n0,1\n2\n", "line 3: 1 cell where the heading in line 1 has 2"),
        ("a,b\n0,1\n2,\n", "line 3: column b is empty; write the name of a node"),
        ("a,b\n0,1,3 S\n", "line 2: 3 cells where the heading in line 1 has 2"),
        ("a,b\n0,x y\n", "line 2: edge 0–x y: end b is called 'x y'; a name is made of"),
        ("a,b,conductance\n0,1,\n1,2,3 V\n", "line 3: conductance: '3 V' should be in S"),
        ("a,b,conductance\n0,1,-1 uS\n", "line 2: edge 0–1: conductance -1e-06 S must be finite and not"),
        ("a,b,diode\n0,1,left\n", "line 2: diode: 'left' is none of none, forward, backward, both"),
        ("a,b\n3,3\n", "line 2: edge 3–3: both ends are at node 3"),
    ],
)
def test_edge_files_that_cannot_be_used_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "edges.csv"
    file.write_text(text)
    with pytest.raises(CircuitError, match=f"edges.csv(:|,) {message}"):
        read_edges(file)


def test_a_missing_or_binary_edge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CircuitError, match=r"none\.csv: there is no such file"):
        read_edges(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(CircuitError, match=r"bytes\.csv, line 2: it is not UTF-8 text"):
        read_edges(tmp_path / "bytes.csv")


def test_networkx_graphs_keep_attributes_and_parallel_edges() -> None:
    made: nx.MultiGraph[object] = nx.MultiGraph()
    made.add_edge(0, "A", conductance="10 uS", diode="both")
    made.add_edge(0, "A", conductance=2e-5)
    made.add_edge("A", "ground")
    expected = [GraphEdge("0", "A", 1e-5, EdgeDiode.BOTH), GraphEdge("0", "A", 2e-5), GraphEdge("A", "ground")]
    assert edges_from(made) == expected
    directed = nx.DiGraph([("B", "A", {"diode": "forward"}), ("A", "C", {"diode": EdgeDiode.BACKWARD})])
    assert edges_from(directed) == [
        GraphEdge("B", "A", None, EdgeDiode.FORWARD),
        GraphEdge("A", "C", None, EdgeDiode.BACKWARD),
    ]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (nx.Graph([(0, 1, {"diode": "forward"})]), "edge 0–1: a diode forward has no direction in an undirected graph"),
        (nx.Graph([(0, 1, {"diode": "up"})]), "graph, between 0 and 1: diode: 'up' is none of none, forward, backward"),
        (nx.Graph([(0, 1, {"conductance": "1 V"})]), "graph, between 0 and 1: conductance: '1 V' should be in S"),
        (nx.Graph([(0, "0")]), "nodes 0 and '0': both would be called 0; rename one"),
        (nx.empty_graph(1), "node 0: it has no edge; remove it or join it to the rest"),
        (nx.grid_2d_graph(2, 2), r"end a is called '\(0, 0\)'; a name is made of letters, digits and _"),
        (nx.Graph([(1, 1)]), "edge 1–1: both ends are at node 1"),
    ],
)
def test_networkx_graphs_that_cannot_be_used_are_refused(made: "nx.Graph[object]", message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        edges_from(made)


def pictured(seed: int = 0) -> Circuit:
    """A small grid with everything that a picture can show."""
    edges = [*mixed(grid(3, 4)), GraphEdge("10", "11")]
    edges = [replace(edge, conductance=None) for edge in edges]
    return graph(edges, [0], [5, "6-9", "i(1-2)"], grounds=[11], rails={3: -1.5}, sense=1.0, rng=rng(seed))


DRAWN = {
    "grid": pictured,
    "torus": lambda: graph(mixed(periodic_grid(3, 4)), [0], [5], grounds=[11]),
    "ring": lambda: graph(small_world(12, 2, 0.2, rng()), ["0"], ["5"], grounds=["7"]),
    "two parts": lambda: graph(wires("A-B", "C-ground"), ["A", "C"], ["B"]),
    "many nodes": lambda: graph(random_regular(3, 90, rng()), [0], [5], grounds=[80]),
    "crossbars": lambda: kendall([4]),
    "fixed parts": lambda: Circuit(
        "r", (InputSource("x0", "n0", 0, 1.0), Resistor("r", "n0", "n1", 1.0)), (Output("y", "n1"),)
    ),
}


@pytest.mark.parametrize(
    ("name", "format_", "start"), [*((name, "svg", b"<?xml") for name in DRAWN), ("grid", "png", b"\x89PNG\r\n")]
)
def test_pictures_of_equal_circuits_are_equal(name: str, format_: Literal["png", "svg"], start: bytes) -> None:
    first, again = (draw_circuit(DRAWN[name](), title=name, format=format_) for _ in range(2))
    assert first == again
    assert first.startswith(start)


def test_pictures_do_not_depend_on_the_order_of_sets() -> None:
    code = (
        "import sys; from tests.circuit.test_graphs import *; "
        "sys.stdout.buffer.write(draw_circuit(pictured(), title='one', format='svg'))"
    )
    here = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        cwd=here,
        capture_output=True,
        check=True,
    )
    assert result.stdout == draw_circuit(pictured(), title="one", format="svg")


def test_pictures_of_different_circuits_differ() -> None:
    circuit = pictured()
    (g,) = circuit.conductances
    moved = g.copy()
    moved[2] *= 1.5
    others = [pictured(1), circuit.with_conductances([moved]), Circuit("c", circuit.elements, circuit.outputs[:1])]
    pictures = {draw_circuit(c, title="one") for c in [circuit, *others]} | {draw_circuit(circuit, title="two")}
    assert len(pictures) == 5


def texts(picture: bytes) -> list[str]:
    """What an SVG says, in matplotlib's comments beside the outlines of letters."""
    return [line.strip()[5:-4] for line in picture.decode().splitlines() if line.strip().startswith("<!-- ")]


def test_a_picture_names_pins_and_values_up_to_60_nodes() -> None:
    words = texts(draw_circuit(pictured(), title="a grid", format="svg"))
    assert {"a grid", "conductance", "diode", "input", "rail", "ground", "output", "output (current)", "y2"} <= set(
        words
    )
    assert {"x0", "−1.5 V", "0 V", "y0", "y1+", "y1−"} <= {word for text in words for word in text.split("\n")}
    large = texts(draw_circuit(DRAWN["many nodes"](), title="large", format="svg"))
    assert "x0" not in large
    assert "input" in large


def test_a_picture_of_crossbars_tells_what_lies_between_them() -> None:
    words = " ".join(texts(draw_circuit(kendall([4]), title="layers", format="svg")))
    for text in (
        "w1: 8 words × 4 bits",
        "w2: 6 words × 4 bits",
        "8 diodes",
        "4 amplifiers of gain 4",
        "2 output pairs",
    ):
        assert text in words


def test_a_circuit_without_conductances_has_no_picture() -> None:
    bare = Circuit("bare", (InputSource("x0", "x0", 0, 1.0),), (Output("y0", "x0"),))
    with pytest.raises(CircuitError, match="circuit bare: it has no conductance to draw"):
        draw_circuit(bare, title="nothing")
