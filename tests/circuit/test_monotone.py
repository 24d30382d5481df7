"""Resistor–diode networks as monotone operator networks: by hand, by splitting, by pivoting, and on chips."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.nodal.chip import NodalChip
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
    equilibrium_network,
)
from harness.circuit.monotone.monotone import (
    MonotoneNetwork,
    Variable,
    cocoercivity,
    contracting_step,
    equilibrated,
    network_of,
    require_monotone,
)
from harness.circuit.monotone.realization import circuit_of
from harness.circuit.monotone.splitting import forward_backward, peaceman_rachford
from harness.circuit.networks.layered import CellRange
from harness.devices import DiodeModel
from harness.devices.diode import THERMAL_VOLTAGE
from harness.devices.resolvents import AntiparallelPair, Junction, SquareLaw, ZenerShelf
from harness.errors import CircuitError, ConvergenceError
from harness.measurement import Array, Drive
from tests.conftest import scellier

IDEAL = DiodeModel("ideal", 1e-6, 0.01)
REAL = DiodeModel("real", 1e-6, 2.0)
SOLVERS = [forward_backward, peaceman_rachford]
Solver = Callable[..., Array]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def column(*values: float) -> Array:
    return np.array(values)[:, None]


def circuit(*elements: Element, outputs: Sequence[str]) -> Circuit:
    return Circuit("c", elements, tuple(Output(f"y{k}", node) for k, node in enumerate(outputs)))


def lemke(H: Array, q: Array) -> Array:
    """0 ≤ z ⟂ H z + q ≥ 0 exactly, by Lemke's complementary pivots (Cottle, Pang & Stone 1992, §4.4)."""
    m = len(q)
    if (q >= 0).all():
        return np.zeros(m)
    table = np.column_stack([np.eye(m), -H, -np.ones(m), q])  # slacks, z, the artificial variable, right side
    basis, entering, row = np.arange(m), 2 * m, int(q.argmin())
    for _ in range(50 * m):
        table[row] /= table[row, entering]
        rest = np.arange(m) != row
        table[rest] -= np.outer(table[rest, entering], table[row])
        left, basis[row] = basis[row], entering
        if left == 2 * m:
            break
        entering = (left + m) % (2 * m)
        growing = table[:, entering] > 1e-11
        assert growing.any(), "no solution"
        ratio = np.where(growing, table[:, -1] / np.where(growing, table[:, entering], 1.0), np.inf)
        row = int(ratio.argmin())
    active = basis[(basis >= m) & (basis < 2 * m)] - m
    z = np.zeros(m)
    z[active] = np.linalg.solve(H[np.ix_(active, active)], -q[active])
    return z


def exact(network: MonotoneNetwork, inputs: Array) -> Array:
    """Lemke's solution of every sample, with its complementarity checked."""
    H, d = equilibrated(network.H)
    drive = d * (inputs @ network.B.T + network.bias)
    z = np.array([lemke(H, q) for q in drive])
    slack = z @ H.T + drive
    assert min(z.min(), slack.min()) >= -1e-9
    assert np.abs(z * slack).max() <= 1e-9
    return d * z


def assert_close(ours: Array, theirs: Array, relative: float = 1e-8) -> None:
    """Equal to a share of the largest entry of every column."""
    assert np.abs(ours - theirs).max() <= relative * max(np.abs(theirs).max(), 1e-300)


def random_circuit(diodes: int, seed: int, *, gyrators: int = 0, transformers: int = 0) -> Circuit:
    """Edges, a crossbar, rails and sources; diodes form a forest, so that all can be described by their currents."""
    draw = rng(seed)
    nodes = [f"a{k}" for k in range(diodes + 2)]
    pairs = [(int(j), k) for k in range(1, len(nodes)) for j in draw.choice(k, min(k, 3), replace=False)]
    g = draw.uniform(0.2, 2.0, len(pairs))
    pins = [InputSource(f"s{k}", f"p{k}", k // 2, (-1.0) ** k) for k in range(4)]
    words, bits = tuple(pin.node for pin in pins), tuple(nodes[::2])
    parts: list[Element] = [
        *pins,
        VoltageSource("rail", "r", 1.5),
        Edges("w", tuple(nodes[j] for j, _ in pairs), tuple(nodes[k] for _, k in pairs), g, 0.0, 10.0),
        Crossbar("x", words, bits, draw.uniform(0.0, 1.0, (4, len(bits))), 0.0, 10.0),
        *(Resistor(f"leak{k}", node, "r" if k % 3 else GROUND, 0.3) for k, node in enumerate(nodes)),
        CurrentSource("bias", nodes[0], nodes[-1], 0.7),
    ]
    for k in range(diodes):
        ends = nodes[k + 1], ([*nodes[: k + 1], GROUND])[draw.integers(k + 2)]
        parts.append(Diode(f"d{k}", *(ends if draw.random() < 0.5 else ends[::-1]), IDEAL))
    for k in range(gyrators):
        a, b, c, d = draw.choice(nodes, 4, replace=False)
        parts.append(Gyrator(f"g{k}", a, b, c, d, draw.normal()))
    for k in range(transformers):
        parts.append(Transformer(f"t{k}", nodes[k], GROUND, f"m{k}", GROUND, -1.0 - 0.5 * k))
        parts.append(Resistor(f"load{k}", f"m{k}", nodes[-1 - k], 0.8))
    return Circuit("random", tuple(parts), (Output("y0", nodes[1], nodes[-1]), Output("y1", nodes[0])))


def settled(circuit: Circuit, inputs: Array) -> Array:
    return NodalChip(circuit, tolerance=1e-9).measure([Drive(inputs)])[0].outputs


# By hand


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_diode_is_one_relu(solver: Solver) -> None:
    """1 V per volt through 2 S to a node with 3 S to ground, and a diode that holds it above ground."""
    one = circuit(
        InputSource("x", "x", 0, 1.0),
        Resistor("g", "x", "h", 2.0),
        Resistor("leak", "h", GROUND, 3.0),
        Diode("d", GROUND, "h", IDEAL),
        outputs=["h"],
    )
    network = network_of(one)
    assert network.variables == (Variable.CURRENT,)
    np.testing.assert_allclose([network.H[0, 0], network.B[0, 0], network.bias[0]], [0.2, 0.4, 0.0], atol=1e-15)
    z = solver(network, column(5.0, -5.0))
    np.testing.assert_allclose(z, column(0.0, 10.0), atol=1e-8)
    np.testing.assert_allclose(network.outputs(z, column(5.0, -5.0)), column(2.0, 0.0), atol=1e-8)
    np.testing.assert_allclose(network.slack(z, column(5.0, -5.0)), column(2.0, 0.0), atol=1e-8)

    by_voltage = network_of(one, ["voltage"])
    assert by_voltage.variables == (Variable.VOLTAGE,)
    np.testing.assert_allclose([by_voltage.H[0, 0], by_voltage.B[0, 0]], [5.0, -2.0], rtol=1e-14)
    np.testing.assert_allclose(solver(by_voltage, column(5.0, -5.0)), column(2.0, 0.0), atol=1e-8)


def two_nodes(*joint: Element) -> Circuit:
    """Two nodes of 1 S with 1 A into each per volt, held above ground by diodes, and what joins them."""
    parts = [InputSource("x", "x", 0, 1.0)]
    for node in "ab":
        parts += [Resistor(f"r{node}", "x", node, 1.0), Diode(f"d{node}", GROUND, node, IDEAL)]
    return circuit(*parts, *joint, outputs=["a", "b"])


@pytest.mark.parametrize("solver", SOLVERS)
def test_two_diodes_pull_at_each_other_through_a_resistor(solver: Solver) -> None:
    """3 A out of b, and 1 S between: a would be at 0 V and b at −1 V without b's diode; with it, a is at u / 2."""
    network = network_of(
        two_nodes(CurrentSource("i", "b", GROUND, 3.0), Resistor("g", "a", "b", 1.0)), ["voltage", "voltage"]
    )
    np.testing.assert_allclose(network.H, [[2.0, -1.0], [-1.0, 2.0]], rtol=1e-14)
    np.testing.assert_allclose(network.B, [[-1.0], [-1.0]], rtol=1e-14)
    np.testing.assert_allclose(network.bias, [0.0, 3.0], atol=1e-14)
    np.testing.assert_allclose(solver(network, column(1.0, 6.0)), [[0.5, 0.0], [5.0, 4.0]], atol=1e-8)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_gyrator_turns_one_node_against_the_other(solver: Solver) -> None:
    """i_a = 2 S v_b and i_b = −2 S v_a: by themselves (−0.2, 0.6) V at 1 V; a's diode conducts 1 A, and b is at 1 V."""
    network = network_of(two_nodes(Gyrator("g", "a", GROUND, "b", GROUND, 2.0)), ["voltage", "voltage"])
    np.testing.assert_allclose(network.H, [[1.0, 2.0], [-2.0, 1.0]], rtol=1e-14)
    assert not network.is_symmetric
    z = solver(network, column(1.0, -1.0))
    np.testing.assert_allclose(z, [[0.0, 1.0], [0.0, 0.0]], atol=1e-8)
    np.testing.assert_allclose(network.slack(z, column(1.0, -1.0)), [[1.0, 0.0], [1.0, 1.0]], atol=1e-8)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_transformer_of_ratio_minus_one_makes_a_positive_entry(solver: Solver) -> None:
    """1 S from a to the mirror of b: H has +1 S where a resistor would give −1 S."""
    joint = Transformer("t", "m", GROUND, "b", GROUND, -1.0), Resistor("g", "a", "m", 1.0)
    network = network_of(two_nodes(*joint, CurrentSource("i", GROUND, "b", 2.0)), ["voltage", "voltage"])
    np.testing.assert_allclose(network.H, [[2.0, 1.0], [1.0, 2.0]], rtol=1e-14)
    np.testing.assert_allclose(solver(network, column(3.0, 1.0)), [[1 / 3, 7 / 3], [0.0, 1.5]], atol=1e-8)


def test_a_transformer_of_ratio_two_shows_a_quarter_of_the_load() -> None:
    """4 S behind v_a = 2 v_c look like 1 S, and v_c is half of v_a."""
    network = network_of(
        circuit(
            InputSource("x", "x", 0, 1.0),
            Resistor("g", "x", "a", 1.0),
            Transformer("t", "a", GROUND, "c", GROUND, 2.0),
            Resistor("load", "c", GROUND, 4.0),
            Diode("d", GROUND, "a", IDEAL),
            outputs=["c"],
        )
    )
    np.testing.assert_allclose(network.H, [[0.5]], rtol=1e-14)
    np.testing.assert_allclose(network.D, [[0.25]], rtol=1e-14)
    np.testing.assert_allclose(network.C, [[0.25]], rtol=1e-14)


# Variables


def chain() -> Circuit:
    """Two diodes in series: their common node has no other path, so that both cannot be currents."""
    return circuit(
        InputSource("x", "x", 0, 1.0),
        Diode("d0", "x", "m", IDEAL),
        Diode("d1", "m", "y", IDEAL),
        Resistor("g", "y", GROUND, 2.0),
        outputs=["y"],
    )


def ring() -> Circuit:
    """An antiparallel pair at a node: both cannot be voltages."""
    return circuit(
        InputSource("x", "x", 0, 1.0),
        Resistor("g", "x", "h", 1.0),
        Resistor("leak", "h", GROUND, 1.0),
        Diode("up", GROUND, "h", IDEAL),
        Diode("down", "h", GROUND, IDEAL),
        outputs=["h"],
    )


def test_where_currents_do_not_exist_a_hybrid_is_taken() -> None:
    network = network_of(chain())
    assert network.variables == (Variable.CURRENT, Variable.VOLTAGE)
    np.testing.assert_allclose(network.H, [[0.5, -1.0], [1.0, 0.0]], atol=1e-15)
    z = peaceman_rachford(network, column(3.0, -3.0))
    np.testing.assert_allclose(network.outputs(z, column(3.0, -3.0)), column(3.0, 0.0), atol=1e-8)


@pytest.mark.parametrize("variables", [["voltage", "current"], ["voltage", "voltage"]])
def test_every_description_has_the_same_outputs(variables: list[str]) -> None:
    network = network_of(chain(), variables)
    assert network.variables == tuple(variables)
    z = peaceman_rachford(network, column(3.0, -3.0))
    np.testing.assert_allclose(network.outputs(z, column(3.0, -3.0)), column(3.0, 0.0), atol=1e-8)


@pytest.mark.parametrize(
    ("made", "variables", "message"),
    [
        (chain, ["current", "current"], "diode d1: its current follows from those of other diodes, .*; take 'voltage'"),
        (ring, ["voltage", "voltage"], "diode down: its voltage follows from those of sources .*; take 'current'"),
        (ring, ["voltage"], "variables: 1 are given for 2 diodes; give one for each diode"),
        (ring, ["voltage", "power"], "diode down: variable 'power' is neither 'current' nor 'voltage'"),
    ],
)
def test_descriptions_that_do_not_exist_are_refused(
    made: Callable[[], Circuit], variables: list[str], message: str
) -> None:
    with pytest.raises(CircuitError, match=message):
        network_of(made(), variables)


@pytest.mark.parametrize("seed", range(12))
def test_every_passive_circuit_has_a_description_and_it_is_monotone(seed: int) -> None:
    """Diodes everywhere, in loops and in chains; at three nodes nothing else, and one of those leads nowhere."""
    draw = rng(seed)
    nodes, loose = [f"a{k}" for k in range(8)], ["q0", "q1", "q2"]
    parts: list[Element] = [InputSource("x", "x", 0, 1.0), Diode("end", "a0", "q2", IDEAL)]
    unit = 10.0 ** draw.uniform(-6, 0)
    for k, node in enumerate(nodes):
        parts.append(Resistor(f"r{k}", "x" if k % 4 == 0 else nodes[k - 1], node, unit * draw.uniform(0.3, 2)))
    for k in range(12):
        a, b = draw.choice([*nodes, *loose[:2], GROUND], 2, replace=False)
        parts.append(Diode(f"d{k}", a, b, IDEAL))
    parts += [Diode(f"q{k}{name}", node, nodes[k], IDEAL) for k, node in enumerate(loose[:2]) for name in "ab"]
    if seed % 2:
        parts.append(Gyrator("g", "a1", "a2", "a5", "a7", unit))
    network = network_of(circuit(*parts, outputs=["a1"]))
    assert Variable.VOLTAGE in network.variables
    assert network.is_monotone
    backward = network_of(circuit(*parts[::-1], outputs=["a1"]))
    assert backward.is_monotone
    u = column(3.0, -2.0)
    y, again = (n.outputs(peaceman_rachford(n, u), u) for n in (network, backward))
    np.testing.assert_allclose(y, again, atol=1e-7)


def test_an_antiparallel_pair_shorts_its_node_whatever_the_start() -> None:
    """H is singular: currents may circulate in the pair, but what the rest of the circuit sees is one state."""
    network = network_of(ring())
    assert network.variables == (Variable.CURRENT, Variable.CURRENT)
    np.testing.assert_allclose(network.H, [[0.5, -0.5], [-0.5, 0.5]], rtol=1e-14)
    start = rng().uniform(0, 3, (20, 2))
    inputs = np.full((20, 1), 4.0)
    for solver in SOLVERS:
        z = solver(network, inputs, start=start)
        np.testing.assert_allclose(network.outputs(z, inputs), 0.0, atol=1e-8)
        np.testing.assert_allclose(z[:, 1] - z[:, 0], 4.0, rtol=1e-8)


# What H is


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("gyrators", "transformers"), [(0, 0), (0, 2), (3, 0), (3, 2)])
def test_passive_circuits_are_monotone_and_reciprocal_ones_symmetric(
    seed: int, gyrators: int, transformers: int
) -> None:
    made = random_circuit(8, seed, gyrators=gyrators, transformers=transformers)
    network = network_of(made)
    assert set(network.variables) == {Variable.CURRENT}
    assert network.is_monotone
    assert network.smallest_eigenvalue > 0
    assert network.is_symmetric == (gyrators == 0)
    mixed = network_of(made, ["voltage", "current"] * 4)
    assert mixed.is_monotone
    assert not mixed.is_symmetric
    kinds = np.array([1.0, -1.0] * 4)
    signed = equilibrated(mixed.H)[0]
    assert np.allclose(signed, kinds[:, None] * signed.T * kinds, atol=1e-12) == (gyrators == 0)
    u = rng(seed).normal(size=(3, 2)) * 5
    assert_close(mixed.outputs(peaceman_rachford(mixed, u), u), network.outputs(peaceman_rachford(network, u), u), 1e-8)


def bare(H: Array, q: Array | None = None) -> MonotoneNetwork:
    """A network that was never a circuit; its inputs are the drive."""
    m = len(H)
    return MonotoneNetwork(H, np.eye(m), np.zeros(m) if q is None else q, np.eye(m), np.zeros((m, m)), np.zeros(m))


def test_the_smallest_eigenvalue_is_that_of_the_symmetric_part() -> None:
    network = bare(np.array([[1.0, 3.0], [-1.0, 1.0]]))
    assert network.smallest_eigenvalue == pytest.approx(0.0, abs=1e-15)
    assert network.is_monotone
    require_monotone(network)
    bad = bare(np.array([[1.0, -4.0], [0.0, 1.0]]))
    with pytest.raises(CircuitError, match=r"smallest eigenvalue of \(H \+ Hᵀ\)/2 is -1 and must not be below 0"):
        require_monotone(bad)
    with pytest.raises(CircuitError, match="is -1 and must"):
        forward_backward(bad, np.ones((1, 2)))


def test_the_relu_form_has_the_networks_fixed_point_and_contracts() -> None:
    for gyrators in (0, 3):
        network = network_of(random_circuit(12, 1, gyrators=gyrators))
        u = rng().normal(size=(4, 2)) * 5
        z = exact(network, u)
        for alpha in (None, 0.3):
            W, U, b = network.relu_form(alpha)
            assert_close(np.maximum(z @ W.T + u @ U.T + b, 0), z)
        W, _, _ = network.relu_form()
        assert np.linalg.norm(W, 2) < 1
    with pytest.raises(CircuitError, match="α = -1 must be finite and above 0"):
        network.relu_form(-1.0)


def test_steps_and_cocoercivity_of_known_matrices() -> None:
    assert cocoercivity(np.diag([1.0, 4.0])) == pytest.approx(0.25)
    assert contracting_step(np.diag([1.0, 4.0])) == pytest.approx(0.4)
    assert cocoercivity(np.diag([0.0, 4.0])) == pytest.approx(0.25)
    assert contracting_step(np.diag([0.0, 4.0])) == pytest.approx(0.25)
    assert cocoercivity(np.array([[0.0, 2.0], [-2.0, 0.0]])) == pytest.approx(0.0, abs=1e-15)
    assert cocoercivity(np.array([[1.0, 2.0], [-2.0, 1.0]])) == pytest.approx(0.2)  # m / L² = 1 / 5
    assert contracting_step(np.array([[1.0, 2.0], [-2.0, 1.0]])) == pytest.approx(0.2)
    assert cocoercivity(np.zeros((2, 2))) == np.inf
    assert contracting_step(np.zeros((2, 2))) == 1.0


def test_equilibration_undoes_units() -> None:
    """A damped variable and a lossless chain, whose largest entries alone would leave its scale open."""
    H = np.zeros((4, 4))
    H[0, 0], H[1, 2], H[2, 1], H[0, 2], H[2, 0] = 2.0, 1.0, -1.0, 1.0, -1.0
    units = np.array([1e3, 1e3, 1e-3, 5.0])
    scaled, d = equilibrated(units[:, None] * H * units)
    assert (d > 0).all()
    np.testing.assert_allclose(d[:, None] * (units[:, None] * H * units) * d, scaled, rtol=1e-12)
    entries = np.abs(scaled[scaled != 0])
    assert len(entries) == 5
    assert entries.max() == pytest.approx(1.0, rel=1e-3)
    assert entries.min() > 0.3
    definite = np.array([[4e6, 10.0, 0.0], [10.0, 1e-3, 1e-4], [0.0, 1e-4, 3.0]])
    np.testing.assert_allclose(np.diag(equilibrated(definite)[0]), 1.0, rtol=1e-5)


# Oracles against each other


@pytest.mark.parametrize(
    ("diodes", "gyrators", "transformers"), [(5, 0, 0), (5, 3, 2), (20, 0, 3), (20, 8, 0), (60, 0, 0), (200, 0, 0)]
)
def test_splittings_and_pivoting_agree(diodes: int, gyrators: int, transformers: int) -> None:
    network = network_of(random_circuit(diodes, diodes, gyrators=gyrators, transformers=transformers))
    u = rng(diodes).normal(size=(3, 2)) * 5
    expected = exact(network, u)
    share = (expected > 0).mean()
    assert 0.05 < share < 0.95
    assert_close(forward_backward(network, u), expected)
    assert_close(peaceman_rachford(network, u), expected)


@pytest.mark.parametrize("gyrators", [0, 6])
@pytest.mark.parametrize("solver", SOLVERS)
def test_fifty_starts_lead_to_one_state(solver: Solver, gyrators: int) -> None:
    network = network_of(random_circuit(25, 3, gyrators=gyrators))
    u = np.repeat(rng().normal(size=(1, 2)) * 5, 50, axis=0)
    (expected,) = exact(network, u[:1])
    start = rng(1).normal(size=(50, 25)) * 3 * expected.max()
    assert_close(solver(network, u, start=start), np.tile(expected, (50, 1)))


def test_peaceman_rachford_takes_any_step() -> None:
    network = network_of(random_circuit(10, 4))
    u = rng().normal(size=(2, 2)) * 5
    for alpha in (0.3, 1.0, 5.0):
        assert_close(peaceman_rachford(network, u, alpha=alpha), exact(network, u))
    with pytest.raises(CircuitError, match="α = 0 must be finite and above 0"):
        peaceman_rachford(network, u, alpha=0.0)


def test_a_lossless_skew_network_is_refused_forward_and_solved_by_averaged_reflections() -> None:
    """z = (1, 2): slack (2 · 2 − 4, −2 · 1 + 2) = 0; nothing but a gyrator joins the two."""
    network = bare(np.array([[0.0, 2.0], [-2.0, 0.0]]))
    drive = np.array([[-4.0, 2.0]])
    with pytest.raises(
        CircuitError, match=r"H is not cocoercive .* symmetric eigenvalue is 0, its Lipschitz constant 1, its cocoerciv"
    ):
        forward_backward(network, drive)
    np.testing.assert_allclose(peaceman_rachford(network, drive), [[1.0, 2.0]], atol=1e-8)


def test_a_problem_without_a_solution_does_not_converge() -> None:
    """A rail of −1 V that an ideal diode connects to ground: no current is enough."""
    network = bare(np.array([[0.0]]))
    for solver in SOLVERS:
        with pytest.raises(
            ConvergenceError, match=r"sample 1, .* phase: its step is still above .* after 50 iterations"
        ):
            solver(network, column(1.0, -1.0), max_iterations=50)


@pytest.mark.parametrize("solver", SOLVERS)
def test_zero_drive_gives_zero(solver: Solver) -> None:
    network = bare(np.array([[2.0, -1.0], [-1.0, 2.0]]))
    np.testing.assert_allclose(
        solver(network, np.zeros((2, 2)), start=np.array([[0.0, 0.0], [1.0, 3.0]])), 0, atol=1e-9
    )


def test_arrays_that_do_not_fit_are_refused() -> None:
    network = bare(np.eye(2))
    with pytest.raises(CircuitError, match=r"inputs have shape \(1, 3\), the network takes \[batch, 2\]"):
        forward_backward(network, np.ones((1, 3)))
    with pytest.raises(CircuitError, match=r"start has shape \(2, 2\), the network's state is \(1, 2\)"):
        peaceman_rachford(network, np.ones((1, 2)), start=np.ones((2, 2)))
    with pytest.raises(CircuitError, match=r"monotone network: H has shape \(3, 3\), it must be \(2, 2\)"):
        MonotoneNetwork(np.eye(3), np.eye(2), np.zeros(2), np.eye(2), np.eye(2), np.zeros(2))
    with pytest.raises(CircuitError, match="monotone network: an entry of bias is not finite"):
        bare(np.eye(2), np.array([0.0, np.nan]))
    with pytest.raises(CircuitError, match="monotone network: 1 variables for 2 diodes"):
        MonotoneNetwork(np.eye(2), np.eye(2), np.zeros(2), np.eye(2), np.eye(2), np.zeros(2), (Variable.CURRENT,))
    with pytest.raises(CircuitError, match="monotone network: it has no diode"):
        bare(np.zeros((0, 0)))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            BidirectionalAmplifier("amp", "h", "o", 4.0),
            "amplifier amp: no part of a monotone network, which has one stage",
        ),
        (Buffer("buf", "h", "o", 2.0), "buffer buf: no part of a monotone network, which has one stage"),
    ],
)
def test_cascades_are_refused(part: Element, message: str) -> None:
    stage = Resistor("g", "x", "h", 1.0), Diode("d", GROUND, "h", IDEAL)
    with pytest.raises(CircuitError, match=message):
        network_of(circuit(InputSource("x", "x", 0, 1.0), *stage, part, outputs=["o"]))


def test_circuits_without_diodes_or_with_loose_ends_are_refused() -> None:
    linear = circuit(InputSource("x", "x", 0, 1.0), Resistor("g", "x", "h", 1.0), outputs=["h"])
    with pytest.raises(CircuitError, match="circuit c: it has no diode"):
        network_of(linear)
    loose = circuit(
        InputSource("x", "x", 0, 1.0),
        Resistor("g", "x", "h", 1.0),
        Diode("d", GROUND, "h", IDEAL),
        Transformer("t", "x", "h", "m", GROUND, 1.0),
        Transformer("t2", "m", GROUND, "k", GROUND, 1.0),
        Transformer("t3", "m", GROUND, "k", GROUND, 1.0),
        outputs=["h"],
    )
    with pytest.raises(CircuitError, match="a transformer's port: the linear part of the circuit leaves it undetermin"):
        network_of(loose)


# Round trips


def monotone_parameters(
    m: int, p: int, seed: int, *, positive: bool, skew: bool
) -> tuple[Array, Array, Array, float, Array]:
    """W, U, b, α and H of a network that a circuit can realize."""
    draw = rng(seed)
    off = draw.normal(size=(m, m)) * (draw.random((m, m)) < 0.5)
    off = off + off.T if positive else -np.abs(off + off.T)
    np.fill_diagonal(off, 0.0)
    B = draw.normal(size=(m, p)) * 2
    H = off + np.diag(np.abs(off).sum(axis=1) + np.abs(B).sum(axis=1) / 5 + draw.uniform(0, 0.5, m))
    if skew:
        turn = draw.normal(size=(m, m))
        H = H + turn - turn.T
    alpha = 0.05
    return np.eye(m) - alpha * H, -alpha * B, -alpha * draw.normal(size=m), alpha, H


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("positive", "skew"), [(False, False), (True, False), (False, True), (True, True)])
def test_a_network_comes_back_from_its_circuit(seed: int, positive: bool, skew: bool) -> None:
    W, U, b, alpha, H = monotone_parameters(7, 3, seed, positive=positive, skew=skew)
    made = circuit_of(W, U, b, alpha=alpha, unit=1e-3, diode=REAL, gyrators=skew, transformers=positive, input_gain=5.0)
    assert any(isinstance(e, Transformer) for e in made.elements) == positive
    assert any(isinstance(e, Gyrator) for e in made.elements) == skew
    back = network_of(made, ["voltage"] * 7)
    np.testing.assert_allclose(back.H, 1e-3 * H, atol=1e-14)
    np.testing.assert_allclose(back.B, -1e-3 / alpha * U, atol=1e-14)
    np.testing.assert_allclose(back.bias, -1e-3 / alpha * b, atol=1e-14)
    again = back.relu_form(alpha / 1e-3)
    for ours, theirs in zip(again, (W, U, b), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)

    u = rng(seed).normal(size=(5, 3)) * 3
    z = exact(back, u)
    assert_close(np.maximum(z @ W.T + u @ U.T + b, 0), z)
    currents = network_of(made)
    assert set(currents.variables) == {Variable.CURRENT}
    assert_close(currents.outputs(exact(currents, u), u), z)
    assert_close(back.outputs(peaceman_rachford(back, u), u), z)
    assert_close(forward_backward(back, u), z)


def realize(H: object, U: object = ((0.0,), (0.0,)), **changes: Any) -> Circuit:
    H = np.array(H, float)
    options = {"alpha": 0.1, "unit": 1e-3, "diode": REAL, **changes}
    return circuit_of(np.eye(len(H)) - 0.1 * H, 0.1 * np.array(U), np.zeros(len(H)), **options)


@pytest.mark.parametrize(
    ("H", "U", "changes", "message"),
    [
        (
            [[2.0, 0.5], [0.5, 2.0]],
            [[0.0], [0.0]],
            {},
            "H, row 0, column 1: 500 µS is positive and needs a negative conductance, or transformers, not allowed",
        ),
        (
            [[2.0, 1.0], [-1.0, 2.0]],
            [[0.0], [0.0]],
            {"transformers": True},
            "H, row 0, column 1: 1 mS is not symmetric, its mirror is -1 mS, and gyrators are not allowed",
        ),
        (
            [[2.0, -1.0], [-1.0, 0.5]],
            [[0.0], [0.25]],
            {},
            "H, row 1, column 1: 500 µS: the diagonal is too small by 750 µS for the conductances that leave node h1, "
            "1.25 mS; raise it, or the input gain",
        ),
        ([[1.0]], [[0.0]], {"alpha": 0.0}, "circuit monotone: α 0 must be finite and above 0"),
        ([[1.0]], [[0.0]], {"unit": -1.0}, r"circuit monotone: unit \(S\) -1 must be finite"),
        ([[1.0]], [[0.0]], {"input_gain": np.inf}, "circuit monotone: input gain inf must be finite"),
        ([[1.0]], [[0.0], [1.0]], {}, r"W, U and b have shapes \(1, 1\), \(2, 1\) and \(1,\), not"),
        ([[np.nan]], [[0.0]], {}, "W: an entry is not finite"),
    ],
)
def test_networks_that_no_such_circuit_realizes_are_refused(
    H: object, U: object, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CircuitError, match=message):
        realize(H, U, **changes)


def test_a_larger_input_gain_makes_room_for_inputs() -> None:
    H, U = [[2.0, -1.0], [-1.0, 1.5]], [[0.0], [2.0]]
    with pytest.raises(CircuitError, match=r"too small by 1\.5 mS"):
        realize(H, U)
    made = realize(H, U, input_gain=4.0)
    np.testing.assert_allclose(network_of(made, ["voltage"] * 2).B, [[0.0], [-2e-3]], atol=1e-17)


def test_a_realized_network_has_room_to_learn_and_no_element_for_zeros() -> None:
    made = realize([[2.0, 0.0], [0.0, 2.0]], np.zeros((2, 0)))
    (edges,) = made.arrays
    assert edges.name == "w"
    assert edges.shape == (2,)
    assert edges.g_max == pytest.approx(10 * 2e-3)
    assert not any(isinstance(e, CurrentSource) for e in made.elements)


# Chips with nearly ideal diodes


def error(made: Callable[[DiodeModel], Circuit], emission: float, u: Array) -> tuple[float, float]:
    """n·V_T over the signal, and the largest output error over the signal."""
    chip = made(DiodeModel("near", 1e-6, emission))
    network = network_of(chip)
    ideal = network.outputs(exact(network, u), u)
    signal = np.abs(ideal).max()
    return emission * THERMAL_VOLTAGE / signal, float(np.abs(settled(chip, u) - ideal).max() / signal)


def with_diodes(circuit: Circuit, model: DiodeModel) -> Circuit:
    parts = [Diode(e.name, e.anode, e.cathode, model) if isinstance(e, Diode) else e for e in circuit.elements]
    return Circuit(circuit.name, tuple(parts), circuit.outputs)


def realized(model: DiodeModel, *, positive: bool, skew: bool) -> Circuit:
    W, U, b, alpha, _ = monotone_parameters(9, 2, 5, positive=positive, skew=skew)
    return circuit_of(W, U, b, alpha=alpha, unit=1.0, diode=model, gyrators=skew, transformers=positive, input_gain=5.0)


RECIPROCAL = {
    "random": lambda model: with_diodes(random_circuit(12, 2), model),
    "realized": lambda model: realized(model, positive=False, skew=False),
    "deep resistive": lambda model: scellier([5, 4], channels=2, diode=model),
}
OTHERS = {
    "gyrators": lambda model: realized(model, positive=False, skew=True),
    "transformers": lambda model: realized(model, positive=True, skew=False),
    "both": lambda model: with_diodes(random_circuit(10, 7, gyrators=3, transformers=2), model),
}


def assert_error_falls_linearly(made: Callable[[DiodeModel], Circuit]) -> None:
    u = rng(4).normal(size=(4, 2)) * 60
    scale, relative = np.array([error(made, n, u) for n in np.geomspace(0.01, 0.3, 6)]).T
    assert relative[0] <= 1e-3
    slope = np.polyfit(np.log(scale), np.log(relative), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("name", RECIPROCAL)
def test_sharp_diodes_settle_at_the_fixed_point_and_miss_it_in_proportion_to_n_vt(name: str) -> None:
    assert_error_falls_linearly(RECIPROCAL[name])


@pytest.mark.parametrize("name", OTHERS)
def test_sharp_diodes_settle_at_the_fixed_point_with_gyrators_and_transformers(name: str) -> None:
    assert_error_falls_linearly(OTHERS[name])


@pytest.mark.ngspice
@pytest.mark.parametrize("diodes", [5, 50, 200])
def test_sharp_diodes_in_ngspice_settle_at_the_fixed_point(diodes: int) -> None:
    W, U, b, alpha, _ = monotone_parameters(diodes, 2, 5, positive=False, skew=False)
    near = DiodeModel("near", 1e-6, 0.01)
    chip = circuit_of(W, U, b, alpha=alpha, unit=1.0, diode=near, input_gain=5.0)
    u = rng(4).normal(size=(4, 2)) * 60
    network = network_of(chip)
    ideal = network.outputs(peaceman_rachford(network, u), u)
    (reading,) = NgspiceChip(chip).measure([Drive(u)])
    assert np.abs(reading.outputs - ideal).max() <= 1e-3 * np.abs(ideal).max()


def test_silicon_diodes_settle_up_to_0_61_v_from_the_fixed_point_which_is_their_own_drop() -> None:
    """Ten small networks, 1 fA and N = 1; drops are those of the currents that Kirchhoff's law leaves to the diodes."""
    saturation, width, found = 1e-15, THERMAL_VOLTAGE, []
    cells, u = CellRange(unit=10e-6, g_min=0.1e-6, g_max=100e-6), rng(1).uniform(-1, 1, (4, 2))
    for seed in range(10):
        made = equilibrium_network(
            2, 5, 1, cells=cells, diode=DiodeModel("d1", saturation, 1.0), rng=rng(seed), input_gain=4
        )
        ideal = exact(network_of(made, variables=["voltage"] * 5), u)
        (reading,) = NodalChip(made).measure([Drive(u)])
        volts = reading.nodes[:, [made.node_index[f"h{k}"] for k in range(5)]]
        into = np.zeros_like(reading.nodes)
        for array, g in zip(made.arrays, made.conductances, strict=True):
            a, b = (np.broadcast_to(ends, g.shape) for ends in made.ends(array))
            amperes = g * (reading.nodes[:, a] - reading.nodes[:, b])
            np.add.at(into, (slice(None), b), amperes)
            np.add.at(into, (slice(None), a), -amperes)
        through = -into[:, [made.node_index[f"h{k}"] for k in range(5)]]  # A that the diodes bring
        most = np.unravel_index(through.argmax(), through.shape)
        drop = width * np.log1p(through[most] / saturation)
        assert volts[most] == pytest.approx(-drop, abs=1e-6)
        found.append(np.abs(volts - ideal).max())
        assert found[-1] == pytest.approx(drop, abs=1e-6)
    assert max(found) == pytest.approx(0.607, abs=1e-3)
    assert min(found) == pytest.approx(0.448, abs=1e-3)


# Resolvents


def one_node(model: DiodeModel, siemens: float) -> Circuit:
    return circuit(
        InputSource("x", "x", 0, 1.0), Resistor("g", "x", "h", siemens), Diode("d", "h", GROUND, model), outputs=["h"]
    )


@pytest.mark.parametrize(("siemens", "saturation"), [(1e-3, 1e-9), (1.0, 1e-6), (1e-5, 1e-12)])
@pytest.mark.parametrize("emission", [0.1, 1.0, 2.0])
def test_the_one_node_circuit_is_the_lambert_resolvent(siemens: float, saturation: float, emission: float) -> None:
    """Down to −3 N V_T, where ngspice's law leaves Shockley's; below, they differ by less than I_s e⁻³ / g."""
    junction = Junction(saturation, emission * THERMAL_VOLTAGE)
    above = np.linspace(-2.9 * junction.scale, 20.0, 200)[:, None]
    model = one_node(DiodeModel("one", saturation, emission), siemens)
    np.testing.assert_allclose(settled(model, above), junction.activation(above, 1 / siemens), atol=1e-6)
    below = np.linspace(-5.0, -3 * junction.scale, 50)[:, None]
    leak = saturation * np.exp(-3) / siemens
    np.testing.assert_allclose(settled(model, below), junction.activation(below, 1 / siemens), atol=leak + 1e-6)


@pytest.mark.ngspice
def test_the_one_node_circuit_is_the_lambert_resolvent_in_ngspice() -> None:
    model = DiodeModel("one", 1e-9, 2.0)
    volts = np.linspace(-2.9 * 2 * THERMAL_VOLTAGE, 20.0, 60)[:, None]
    (reading,) = NgspiceChip(one_node(model, 1e-3)).measure([Drive(volts)])
    np.testing.assert_allclose(reading.outputs, Junction.of(model).activation(volts, 1e3), atol=1e-6)


def test_the_antiparallel_pair_is_the_circuit_between_two_rails() -> None:
    """The shelf below −3 N V_T, which the resolvent leaves out, is worth I_s e⁻³ at most in each diode."""
    model = DiodeModel("pair", 1e-9, 1.0)
    made = circuit(
        InputSource("x", "x", 0, 1.0),
        VoltageSource("up", "u", 0.3),
        VoltageSource("down", "l", -0.2),
        Resistor("g", "x", "h", 1e-3),
        Diode("d0", "h", "u", model),
        Diode("d1", "l", "h", model),
        outputs=["h"],
    )
    volts = np.linspace(-10, 10, 101)[:, None]
    pair = AntiparallelPair(1e-9, THERMAL_VOLTAGE, -0.2, 0.3)
    np.testing.assert_allclose(settled(made, volts), pair.activation(volts, 1e3), atol=1e-6 + 2e-9 * np.exp(-3) * 1e3)


def test_resolvents_have_their_limits() -> None:
    """ReLU and clipping where the scale goes to 0; the square law by hand: 1 + x + 2 x² · ½ · 4 = 7 at x = 1."""
    w = np.linspace(-5, 5, 101)
    np.testing.assert_allclose(Junction(1e-9, 1e-5).activation(w, 1.0), np.minimum(w, 0), atol=3e-4)
    clipped = np.clip(w, -1, 2)
    np.testing.assert_allclose(AntiparallelPair(1e-9, 1e-5, -1, 2).activation(w, 1.0), clipped, atol=3e-4)
    np.testing.assert_array_equal(ZenerShelf(-1, 2).activation(w, 1.0), clipped)
    np.testing.assert_allclose(ZenerShelf(-1, 2, 3.0).activation(np.array([6.0, -5.0]), 1.0), [5.0, -4.0])
    law = SquareLaw(4.0, 1.0)
    np.testing.assert_allclose(law.activation(np.array([4.0, 1.0, -3.0]), 1.0), [2.0, 1.0, -3.0])
    np.testing.assert_allclose(law.current(np.array([2.0, 0.0])), [2.0, 0.0])


def test_resolvents_survive_absurd_arguments() -> None:
    """Just v ≈ s ln(w / λI_s) far up, w + λI_s far down."""
    w = np.array([-1e9, -1e3, 0.0, 1e3, 1e9])
    found = Junction(1e-12, 1e-3).activation(w, 1e-3)
    expected = 1e-3 * np.log((w[3:] - found[3:]) / 1e-15 + 1)
    np.testing.assert_allclose(found[3:], expected, rtol=1e-12)
    np.testing.assert_allclose(found[:3], w[:3], atol=1e-14)
    pair = AntiparallelPair(1e-12, 1e-3, -50.0, 50.0).activation(w, 1e-3)
    np.testing.assert_allclose(pair, np.clip(w, -50.1, 50.1), rtol=2e-3, atol=1e-12)


DEVICES = {
    "junction": Junction(1e-6, 0.05),
    "sharp junction": Junction(1e-14, 1e-4),
    "pair": AntiparallelPair(1e-6, 0.05),
    "shifted pair": AntiparallelPair(1e-9, 0.02, -0.4, 0.7),
    "strong pair": AntiparallelPair(1.0, 0.02),
    "shelf": ZenerShelf(-0.5, 1.0, 20.0),
    "clipper": ZenerShelf(-0.5, 1.0),
    "square law": SquareLaw(1e-3, 0.7),
}
VOLTS = st.floats(-1e3, 1e3, allow_subnormal=False)
OHMS = st.floats(1e-3, 1e9)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(DEVICES)), w=arrays(float, 20, elements=VOLTS), ohms=OHMS)
def test_resolvents_are_monotone_and_nonexpansive(name: str, w: Array, ohms: float) -> None:
    w = np.sort(w)
    rise, step = np.diff(DEVICES[name].activation(w, ohms)), np.diff(w)
    noise = 1e-14 * (np.abs(w).max() + 1)
    assert (rise >= -noise).all()
    assert (rise <= step + noise).all()


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(name for name, device in DEVICES.items() if hasattr(device, "current"))),
    w=arrays(float, 5, elements=VOLTS),
    ohms=OHMS,
)
def test_resolvents_solve_their_equation(name: str, w: Array, ohms: float) -> None:
    """v + λ i(v) is w up to what a rounding of v makes of it."""
    device = DEVICES[name]
    v = device.activation(w, ohms)
    around = np.abs(v) * 1e-13 + 1e-14
    low, high = (v + d + ohms * device.current(v + d) for d in (-around, around))  # type: ignore[union-attr]
    assert (low <= w).all()
    assert (w <= high).all()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Junction(0.0, 1.0), "junction: saturation current 0 A must be finite and above 0 A"),
        (lambda: Junction(1e-6, np.inf), "junction: scale inf V must be finite and above 0 V"),
        (
            lambda: AntiparallelPair(1e-6, 0.05, 1.0, 0.5),
            "antiparallel pair: rails 1 V and 0.5 V must be finite, the lo",
        ),
        (lambda: ZenerShelf(0.0, np.nan), "shelf: rails 0 V and nan V must be finite"),
        (lambda: ZenerShelf(0.0, 1.0, -1.0), "shelf: resistance -1 Ω must be finite and not below 0 Ω"),
        (lambda: SquareLaw(-1.0, 0.0), "square law: transconductance -1 A/V² must be finite and above 0 A/V²"),
        (lambda: SquareLaw(1.0, np.nan), "square law: threshold nan V is not finite"),
        (
            lambda: Junction(1e-6, 0.05).activation(np.zeros(2), np.array([1.0, 0.0])),
            "resolvent: the resistance in front of the device, 0 Ω, must be finite and above 0",
        ),
    ],
)
def test_devices_out_of_range_are_refused(made: Callable[[], object], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        made()


def test_an_operator_that_is_not_monotone_is_refused_with_its_eigenvalue() -> None:
    W = np.array([[0.0, 2.0], [2.0, 0.0]])
    with pytest.raises(CircuitError, match=r"smallest eigenvalue of \(H \+ Hᵀ\)/2 is -1 and must not be below 0"):
        circuit_of(W, np.zeros((2, 1)), np.zeros(2), alpha=1.0, unit=1e-3, diode=REAL)
