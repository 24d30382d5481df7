"""Cells with a selector transistor each (1T1R), against closed forms, other solvers and finite differences."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness import Experiment
from harness.chip.base import Chip
from harness.chip.ngspice.chip import FullBatchChip, NgspiceChip
from harness.chip.nodal import jacobians, unreduced
from harness.chip.nodal.chip import NodalChip, nodal_chip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import CellRange, Circuit, Crossbar, InputSource, Output, Resistor, layered_network
from harness.circuit.dynamics import Dynamics, States
from harness.circuit.elements import Mosfet
from harness.circuit.networks.selectors import Selector
from harness.circuit.scaling import is_reciprocal
from harness.circuit.variation.variation import TransistorMismatch, Variation, vary
from harness.devices import DiodeModel, MosfetModel
from harness.errors import CircuitError, ExperimentError
from harness.learning import (
    AnalyticalGradient,
    EquilibriumPropagation,
    HardwareLinearization,
    Nudging,
    OneWay,
    SquaredError,
)
from harness.measurement import Array, Clamp, Conductances, Drive, Injection, Spring
from harness.netlist.dialects import CDL, DIALECTS, Dialect
from harness.netlist.tolerances import Tolerances
from harness.studies.audit import probed_cells
from harness.studies.check import finite_differences, kirchhoff_residual
from tests.conftest import random_batch
from tests.exchange.test_verify import export, other, verify
from tests.learning.test_rules import gradient_of, truth

COST = SquaredError()
K, THRESHOLD = 2e-4, 0.5
MODEL = MosfetModel("ms", K, THRESHOLD)
TIGHT = Tolerances(1e-9, 1e-12, 1e-15)
SOLVERS = [
    lambda c: NodalChip(c, tolerance=1e-10),
    lambda c: UnreducedNodalChip(c, tolerance=1e-10),
    pytest.param(lambda c: NgspiceChip(c, tolerances=TIGHT), marks=pytest.mark.ngspice),
    pytest.param(lambda c: FullBatchChip(c, tolerances=TIGHT), marks=pytest.mark.ngspice),
]
EVERY = pytest.mark.parametrize("make", SOLVERS, ids=["nodal", "unreduced", "ngspice", "full"])


def plain(hidden: tuple[int, ...] = (3,), *, gain: float = 4.0) -> Circuit:
    cells = CellRange(1e-4, 1e-6, 1e-3)
    drawn = layered_network(
        2,
        hidden,
        2,
        cells=cells,
        diode=DiodeModel("d", 1e-11, 2.0),
        rng=np.random.default_rng(0),
        amplifier_gain=gain,
    )
    rng = np.random.default_rng(1)
    return drawn.with_conductances([rng.uniform(1e-5, 1e-4, array.shape) for array in drawn.arrays])


def selected(gate: float, hidden: tuple[int, ...] = (3,), model: MosfetModel = MODEL, leakage: float = 0.0) -> Circuit:
    return Selector(model, gate, leakage).apply(plain(hidden))


def settled(chip: Chip, nodes: Circuit) -> Array:
    """Voltages of all nodes of a circuit under free and nudged phases, V."""
    batch = random_batch(nodes, 5)
    drives = [Drive(batch.inputs), Drive(batch.inputs, Injection(1e-6 * batch.targets), "pushed")]
    found = np.stack([reading.nodes for reading in chip.measure(drives)])
    return found[..., [chip.circuit.node_index[node] for node in nodes.nodes]]


@EVERY
@pytest.mark.parametrize(("volts", "gate"), [(1.0, 5.0), (8.0, 5.0), (-3.0, 5.0), (0.3, 0.7), (-1.2, 0.1)])
def test_a_cell_with_its_selector_and_a_load_solve_a_quadratic(
    make: Callable[[Circuit], Chip], volts: float, gate: float
) -> None:
    """K/2 ((V_G − V_t − v)₊² − (V_G − V_t − x)₊²) = G v for the node between, G the cell and its load in series."""
    cell, load = 5e-5, 2e-4
    crossbar = Crossbar("w", ("x",), ("y",), np.array([[cell]]), 1e-6, 1e-3)
    circuit = Circuit(
        "one", (InputSource("x", "x", 0, 1.0), crossbar, Resistor("r", "y", "0", load)), (Output("o", "y"),)
    )
    chip = make(Selector(MODEL, gate).apply(circuit))
    (reading,) = chip.measure([Drive(np.array([[volts]]))])
    both, over = cell * load / (cell + load), gate - THRESHOLD
    other = max(over - volts, 0.0) ** 2
    s = (-both + np.sqrt(both**2 + K * (K * other + 2 * both * over))) / K  # V_G − V_t − v, the root above 0
    between = over - s
    expected = between * cell / (cell + load)
    np.testing.assert_allclose(reading.outputs, [[expected]], rtol=0, atol=3e-7)  # gmin lets 4 pA past a transistor
    assert abs(expected - volts * both / load) > 1e-6  # a plain cell has another voltage


def test_these_words_are_in_triode_in_saturation_and_off() -> None:
    """The closed form above is asked in every region of the transistor."""
    over = np.array([4.5, 4.5, 4.5, 0.2, -0.4])
    word = np.array([1.0, 8.0, -3.0, 0.3, -1.2])
    assert (over > word).tolist() == [True, False, True, False, True]


@pytest.mark.parametrize(
    "make",
    [
        NodalChip,
        UnreducedNodalChip,
        *(pytest.param(kind, marks=pytest.mark.ngspice) for kind in (NgspiceChip, FullBatchChip)),
    ],
)
def test_at_a_high_gate_voltage_it_is_the_plain_cell(make: Callable[[Circuit], Chip]) -> None:
    """K stays; the difference falls as 1/V_G, like the transistor's resistance."""
    bare = plain()
    wanted = settled(NodalChip(bare, tolerance=1e-10), bare)
    strong = MosfetModel("ms", 1.0, THRESHOLD)
    gaps = [float(np.abs(settled(make(selected(gate, model=strong)), bare) - wanted).max()) for gate in (20.0, 200.0)]
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.3)
    assert gaps[1] < 1e-6


@EVERY
@pytest.mark.parametrize("gate", [3.0, 8.0])
def test_all_solvers_agree_and_kirchhoffs_law_holds(make: Callable[[Circuit], Chip], gate: float) -> None:
    circuit = selected(gate, leakage=1e-7)
    wanted = settled(UnreducedNodalChip(circuit, tolerance=1e-10), circuit)
    np.testing.assert_allclose(settled(make(circuit), circuit), wanted, rtol=0, atol=1e-8)
    assert kirchhoff_residual(circuit, wanted[0]) < 1e-12


@EVERY
def test_selectors_that_are_off_leave_leakage_in_series_with_every_cell(make: Callable[[Circuit], Chip]) -> None:
    leakage, bare = 1e-6, plain()
    series = Circuit(
        "series",
        tuple(
            Crossbar(e.name, e.words, e.bits, e.conductances * leakage / (e.conductances + leakage), 0.0, 1e-3)
            if isinstance(e, Crossbar)
            else e
            for e in bare.elements
        ),
        bare.outputs,
    )
    wanted = settled(NodalChip(series, tolerance=1e-10), bare)
    found = settled(make(selected(-100.0, leakage=leakage)), bare)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)  # gmin beside the leakage is 1e-6 of it
    np.testing.assert_allclose(found, settled(NodalChip(selected(-100.0, leakage=leakage)), bare), rtol=0, atol=1e-8)


def errors(found: Conductances, wanted: Conductances) -> list[float]:
    return [float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(found, wanted, strict=True)]


@pytest.mark.parametrize(("kind", "gate"), [(NodalChip, 3.0), (UnreducedNodalChip, 8.0)])
def test_the_adjoint_rules_give_the_gradient(kind: Callable[..., Chip], gate: float) -> None:
    circuit = selected(gate, leakage=1e-7)
    batch, chip = random_batch(circuit, 2), kind(circuit, tolerance=1e-10)
    wanted = truth(circuit, batch)
    for rule in (HardwareLinearization(circuit, COST, gamma=1e-6), AnalyticalGradient(circuit, COST)):
        assert max(errors(gradient_of(rule, chip, batch), wanted)) < 1e-8


def test_the_adjoint_rules_agree_where_the_circuit_is_settled_whole() -> None:
    """The analytical gradient solves every state's transposed equations, and the chip its own small-signal phase."""
    circuit = selected(3.0, hidden=(40,), leakage=1e-7)
    batch, chip = random_batch(circuit, 3), nodal_chip(circuit, tolerance=1e-11)
    known = gradient_of(AnalyticalGradient(circuit, COST), chip, batch)
    assert max(errors(known, gradient_of(HardwareLinearization(circuit, COST, gamma=1e-6), chip, batch))) < 1e-10
    probed = probed_cells(circuit, 5, np.random.default_rng(0))
    moved = finite_differences(circuit, COST, batch, probed, step=3e-4)
    chosen = [part[tuple(cells.T)] for part, cells in zip(known, probed, strict=True)]
    assert max(errors(chosen, moved)) < 1e-8


WAYS = {"pairwise": (1e5, 0), "dense": (1e5, 1e9), "sparse": (0, 0)}


def test_every_way_to_solve_newtons_equations_settles_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pair by pair, by whole matrices, and one sparse matrix after the other: free, nudged, clamped, small, adjoint."""
    circuit = selected(3.0, hidden=(12, 5), leakage=1e-7)
    batch = random_batch(circuit, 7)
    found, used = {}, set()
    for way, (unknowns, pair) in WAYS.items():
        monkeypatch.setattr(unreduced, "_DENSE", unknowns)
        monkeypatch.setattr(jacobians, "_PAIR", pair)
        chip = UnreducedNodalChip(circuit, tolerance=1e-12)
        pushed = Injection(1e-6 * batch.targets)
        (free,) = chip.measure([Drive(batch.inputs)])
        others = [
            Drive(batch.inputs, Spring(1e-6, batch.targets), "pulled"),
            Drive(batch.inputs, Clamp(free.outputs + 0.01), "clamped"),
            Drive(batch.inputs, pushed, "small", free),
            Drive(batch.inputs, pushed, "adjoint", free, adjoint=True),
        ]
        found[way] = [free.nodes, *(reading.nodes for reading in chip.measure(others))]
        used.add(type(chip._last[1].structure.jacobian).__name__)
    assert used == {"Pairwise", "Dense", "Sparse"}
    for way in ("dense", "sparse"):
        for ours, theirs in zip(found["pairwise"], found[way], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * max(1, np.abs(theirs).max()))
    assert np.abs(found["pairwise"][3] - found["pairwise"][4]).max() > 1e-3  # selectors are not reciprocal


def test_new_conductances_keep_the_equations_structure() -> None:
    circuit = selected(3.0, hidden=(40,))
    chip, batch = nodal_chip(circuit), random_batch(circuit, 2)
    chip.measure([Drive(batch.inputs)])
    before = chip._last[1].structure
    chip.program([2 * g for g in circuit.conductances])
    (reading,) = chip.measure([Drive(batch.inputs)])
    assert chip._last[1].structure is before
    fresh = nodal_chip(circuit.with_conductances([2 * g for g in circuit.conductances]))
    np.testing.assert_array_equal(reading.nodes, fresh.measure([Drive(batch.inputs)])[0].nodes)


def test_springs_leave_states_stable_that_eigenvalues_call_stable() -> None:
    """The symmetric part is asked first, which needs no eigenvalues; at no strength does it say otherwise."""
    circuit = selected(2.0, leakage=1e-9)
    states, dynamics = States(circuit), Dynamics(circuit, np.ones(len(circuit.nodes)))
    (free,) = UnreducedNodalChip(circuit).measure([Drive(random_batch(circuit, 4).inputs)])
    told = {spring: states.unstable(spring, free.nodes).tolist() for spring in -np.geomspace(1e-6, 1e-3, 10)}
    for spring, samples in told.items():
        growing = [k for k, nodes in enumerate(free.nodes) if dynamics.growth(nodes, spring) >= 0]
        assert samples == growing
    assert {len(samples) for samples in told.values()} >= {0, 4}


def ignoring(circuit: Circuit) -> EquilibriumPropagation:
    return EquilibriumPropagation(circuit, COST, beta=1e-8, nudging=Nudging.CURRENT, one_way=OneWay.IGNORE)


def test_equilibrium_propagation_is_exact_where_all_word_lines_are_held() -> None:
    circuit = selected(3.0, hidden=())
    assert is_reciprocal(circuit)
    batch = random_batch(circuit, 4)
    rule = EquilibriumPropagation(circuit, COST, beta=1e-8, nudging=Nudging.CURRENT)
    found = gradient_of(rule, NodalChip(circuit, tolerance=1e-10), batch)
    assert max(errors(found, truth(circuit, batch))) < 1e-8


def test_its_bias_behind_free_word_lines_falls_with_the_square_of_the_overdrive() -> None:
    """J − Jᵀ is K times the transistor's own drop, which falls as 1/(V_G − V_t), beside K (V_G − V_t)."""
    biases = {}
    for gate in (5.0, 50.0, 500.0):
        circuit = selected(gate)
        batch = random_batch(circuit, 4)
        found = gradient_of(ignoring(circuit), NodalChip(circuit, tolerance=1e-10), batch)
        exact = gradient_of(AnalyticalGradient(circuit, COST), NodalChip(circuit, tolerance=1e-10), batch)
        biases[gate] = errors(found, exact)[0]
    assert 0.005 < biases[5.0] < 0.05
    slopes = [np.log10(biases[a] / biases[b]) for a, b in ((5.0, 50.0), (50.0, 500.0))]
    assert slopes[1] == pytest.approx(2, abs=0.1)
    assert slopes[0] > 1.8


def test_equilibrium_propagation_asks_before_it_ignores_that_selectors_are_one_way() -> None:
    circuit = selected(5.0)
    cure = 'take analytical-gradient or hardware-linearization, or, .* with one_way = "ignore"$'
    with pytest.raises(ExperimentError, match=f"transistor w2_t0_0 lets no errors back, .*; {cure}"):
        EquilibriumPropagation(circuit, COST, beta=1e-8)
    with pytest.raises(ExperimentError, match="there is no treatment of one-way transistors 'ignored'"):
        EquilibriumPropagation(circuit, COST, beta=1e-8, one_way="ignored")
    ignoring(circuit)


def test_ignoring_does_not_go_beyond_transistors() -> None:
    cascade = Experiment.load("cascade-digits", ["network.hidden=[2]"])
    with pytest.raises(ExperimentError, match=r"no errors back, .*; take asymmetric-equilibrium-propagation, anal"):
        EquilibriumPropagation(cascade.circuit, COST, beta=1e-8, one_way=OneWay.IGNORE)


def test_every_transistor_gets_a_threshold_and_a_factor_of_its_own() -> None:
    circuit = selected(5.0, hidden=(20,))
    made = vary(circuit, Variation(transistors=TransistorMismatch(0.03, 0.1)), 0)
    models = [e.model for e in made.elements if isinstance(e, Mosfet)]
    assert len(models) == len({model.name for model in models}) == 20 * 6 + 22 * 4
    thresholds, factors = (np.array([getattr(m, name) for m in models]) for name in ("threshold", "transconductance"))
    assert thresholds.mean() == pytest.approx(THRESHOLD, abs=4 * 0.03 / np.sqrt(len(models)))
    assert thresholds.std() == pytest.approx(0.03, rel=0.2)
    assert factors.std() / K == pytest.approx(0.1, rel=0.2)
    again = vary(circuit, Variation(transistors=TransistorMismatch(0.06, 0.0)), 0)
    shifts = np.array([e.model.threshold for e in again.elements if isinstance(e, Mosfet)]) - THRESHOLD
    np.testing.assert_allclose(shifts, 2 * (thresholds - THRESHOLD), rtol=0, atol=1e-12)
    assert vary(circuit, Variation(), 0) is circuit
    bare = plain()
    assert TransistorMismatch(0.03).apply(bare, np.random.default_rng(0)) is bare
    for strengths in ({"threshold": -1.0}, {"transconductance": 1.5}):
        with pytest.raises(CircuitError, match="transistor mismatch"):
            TransistorMismatch(**strengths)


@pytest.mark.ngspice
def test_ngspice_settles_transistors_that_differ() -> None:
    made = vary(selected(4.0), Variation(transistors=TransistorMismatch(0.1, 0.2)), 3)
    found = settled(FullBatchChip(made, tolerances=TIGHT), made)
    np.testing.assert_allclose(found, settled(NodalChip(made, tolerance=1e-10), made), rtol=0, atol=1e-8)
    assert np.abs(found - settled(NodalChip(selected(4.0)), made)).max() > 1e-3


def test_many_selectors_are_settled_unreduced() -> None:
    assert isinstance(nodal_chip(selected(5.0)), NodalChip)
    assert isinstance(nodal_chip(selected(5.0, hidden=(40,))), UnreducedNodalChip)


@pytest.mark.parametrize("gate", [6.0, 30.0])
def test_nodes_that_a_transistor_left_come_back(gate: float) -> None:
    """Amplified word lines swing far beyond the gates on the first steps, and cells are open."""
    bare = plain((30,), gain=40.0)
    opened = Selector(MODEL, gate).apply(Circuit(bare.name, tuple(map(_openable, bare.elements)), bare.outputs))
    rng = np.random.default_rng(2)
    circuit = opened.with_conductances([np.where(rng.random(g.shape) < 0.5, 0.0, g) for g in opened.conductances])
    nodes = settled(UnreducedNodalChip(circuit), circuit)
    assert kirchhoff_residual(circuit, nodes[0]) < 1e-8
    assert np.abs(nodes).max() < 100


def _openable(element: object) -> object:
    if isinstance(element, Crossbar):
        return Crossbar(element.name, element.words, element.bits, element.conductances, 0.0, element.g_max)
    return element


@pytest.mark.ngspice
@pytest.mark.parametrize("dialect", [d for d in DIALECTS.values() if d.has_testbench], ids=lambda d: d.name)
def test_every_dialect_writes_selectors_and_is_simulated_again(dialect: Dialect, tmp_path: Path) -> None:
    made = vary(selected(4.0, hidden=(2,), leakage=1e-7), Variation(transistors=TransistorMismatch(0.05)), 1)
    other("VACASK")
    verdict = verify(export(made, tmp_path / "p", dialect, beta=1e-6))
    assert {w.name for w in verdict.simulators} >= {"ngspice", "VACASK", "harness"}
    assert all(w.equal for w in verdict.simulators)


def test_selectors_stand_in_their_arrays_cell_with_gate_lines_as_ports(tmp_path: Path) -> None:
    folder = export(selected(4.0), tmp_path / "p", CDL)
    text = "\n".join(path.read_text() for path in folder.glob("network*"))
    assert "mw1_t0_0 x0p w1_g0 s0_0 s0_0 ms" in text.lower()
    assert text.lower().count("\nmw1_t") == 18


@pytest.mark.parametrize(
    ("gate", "leakage", "message"),
    [
        (float("nan"), 0.0, "selector: gate voltage nan V must lie in"),
        (2e6, 0.0, r"selector: gate voltage 2e\+06 V must lie in"),
        (5.0, -1e-9, "selector: leakage -1 nS must be finite"),
    ],
)
def test_senseless_selectors_are_refused(gate: float, leakage: float, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        Selector(MODEL, gate, leakage)


SELECTOR = 'network.selector={gate="8 V",transconductance=2e-4,threshold="0.5 V",leakage="1 nS"}'


def test_the_section_makes_the_selectors() -> None:
    circuit = Experiment.load("iris", [SELECTOR]).circuit
    transistors = [e for e in circuit.elements if isinstance(e, Mosfet)]
    assert len(transistors) == sum(array.conductances.size for array in circuit.arrays)
    assert transistors[0].model == MosfetModel("mselect", 2e-4, 0.5)
    leaks = [e.conductance for e in circuit.elements if isinstance(e, Resistor)]
    assert leaks == [1e-9] * len(transistors)
    bare = Experiment.load("iris").circuit
    assert all(np.array_equal(a.ravel(), b) for a, b in zip(bare.conductances, circuit.conductances, strict=True))


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("digits-conv", (), "network.selector: cells outside crossbars have no word line with a gate line"),
        ("mondeq-digits", (), "network.selector: cells outside crossbars"),
        ("iris", ('variation.line_word="1 Ohm"',), "variation.line_word: lines of cells with selectors"),
        ("iris-graph", (), "selector"),
    ],
)
def test_networks_that_have_no_selectors_say_so(name: str, more: tuple[str, ...], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        Experiment.load(name, [SELECTOR, *more])
