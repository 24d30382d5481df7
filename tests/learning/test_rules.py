"""Every learning rule against finite differences, closed forms and each other."""

from pathlib import Path

import numpy as np
import pytest

from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.metering import Ledger
from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Crossbar, Diode, Edges, InputSource, Output, Resistor, VoltageSource
from harness.circuit.power import dissipated
from harness.circuit.variation.lines import AmplifierErrors
from harness.errors import ChipError, CircuitError, ExperimentError
from harness.learning import (
    SGD,
    AnalyticalGradient,
    CoupledLearning,
    EquilibriumPropagation,
    FiniteDifferences,
    Form,
    GeneralizedEquilibriumPropagation,
    HardwareLinearization,
    Largest,
    Nudging,
    SimultaneousPerturbation,
    SoftmaxCrossEntropy,
    SquaredError,
    SubsetUpdate,
    Variant,
    cells_of,
    random_cells,
)
from harness.learning.costs import Cost
from harness.learning.updates.subsets import read_masks
from harness.measurement import Access, Batch, Clamp, Conductances, Drive, Injection
from harness.studies.check import finite_differences
from tests.conftest import DIODE, SOLVERS, MakeChip, kendall, random_batch, scellier

COST = SquaredError()


def graph(nodes: int = 9, edges: int = 20, seed: int = 0, *, diodes: bool = False) -> Circuit:
    """A random connected graph: two inputs, a rail, a node output and a drop, a resistor, and diodes if asked."""
    rng = np.random.default_rng(seed)
    pairs = [(k, int(rng.integers(k))) for k in range(1, nodes)]
    while len(pairs) < edges:
        a, b = rng.integers(nodes, size=2)
        if a != b:
            pairs.append((int(a), int(b)))
    ends = [tuple(f"n{pair[side]}" for pair in pairs) for side in (0, 1)]
    g = rng.uniform(0.1, 1, edges)
    elements = [
        InputSource("x0", "n0", 0, 1.0),
        InputSource("x1", "n1", 1, 1.0),
        VoltageSource("low", "n2", 0.1),
        Edges("w", *ends, g, 1e-3, 10.0),
        Resistor("fixed", "n3", "n4", 0.3),
    ]
    if diodes:
        elements += [Diode("d0", "n5", "n6", DIODE), Diode("d1", "n7", "0", DIODE), Diode("d2", "n2", "n8", DIODE)]
    return Circuit("graph", tuple(elements), (Output("y0", f"n{nodes - 1}"), Output("y1", "n4", "n5")))


def inside(circuit: Circuit) -> Circuit:
    return circuit.with_conductances([np.clip(g, 0.02, 5.0) for g in circuit.conductances])


def truth(circuit: Circuit, batch: Batch, cost: Cost = COST) -> Conductances:
    """Finite differences of every cell."""
    cells = [np.argwhere(np.ones(array.shape, bool)) for array in circuit.arrays]
    found = finite_differences(circuit, cost, batch, cells)
    return tuple(values.reshape(array.shape) for values, array in zip(found, circuit.arrays, strict=True))


def gradient_of(rule, chip, batch: Batch, seed: int = 0) -> Conductances:
    return rule.gradient(rule.measure(chip, batch, np.random.default_rng(seed)))


def assert_close(ours: Conductances, theirs: Conductances, bound: float) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert np.linalg.norm(a - b) <= bound * np.linalg.norm(b)


CIRCUITS = [
    pytest.param(inside(kendall([5, 4])), id="amplified"),
    pytest.param(inside(scellier([5, 4])), id="rectified"),
    pytest.param(graph(), id="graph"),
    pytest.param(graph(diodes=True), id="graph with diodes"),
]


@pytest.mark.parametrize("cost", [COST, SoftmaxCrossEntropy(0.7)], ids=["squared", "cross-entropy"])
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_analytical_and_linearized_gradients_equal_finite_differences(circuit: Circuit, cost: Cost) -> None:
    batch = random_batch(circuit)
    expected = truth(circuit, batch, cost)
    chip = NodalChip(circuit, tolerance=1e-11)
    assert_close(gradient_of(AnalyticalGradient(circuit, cost), chip, batch), expected, 1e-8)
    assert_close(gradient_of(HardwareLinearization(circuit, cost, gamma=1e-3), chip, batch), expected, 1e-8)


@pytest.mark.parametrize("make_chip", SOLVERS[:2], indirect=True)
def test_amplifiers_of_unequal_gains_are_sent_to_rules_that_take_them(make_chip: MakeChip) -> None:
    ideal = inside(kendall([5, 4]))
    circuit = AmplifierErrors(gain=0.1, offset=0.02).apply(ideal, np.random.default_rng(0))
    with pytest.raises(
        ExperimentError,
        match=r"amplifier amp1_1: it closes a loop of gain [\d.]+, so that circuit layered has no energy to contrast; "
        "take asymmetric-equilibrium-propagation, analytical-gradient or hardware-linearization$",
    ):
        EquilibriumPropagation(circuit, COST, beta=1e-3)
    batch, chip = random_batch(circuit), make_chip(circuit)
    expected, bound = truth(circuit, batch), 1e-8 if isinstance(chip, NodalChip) else 1e-3
    for rule in (AnalyticalGradient(circuit, COST), HardwareLinearization(circuit, COST, gamma=1e-3)):
        assert_close(gradient_of(rule, chip, batch), expected, bound)
    for found, exact in zip(truth(ideal, batch), expected, strict=True):
        assert np.linalg.norm(found - exact) > 0.01 * np.linalg.norm(exact)


@pytest.mark.parametrize("diodes", [False, True])
def test_the_cycle_form_is_the_node_form(diodes: bool) -> None:
    circuit = graph(diodes=diodes)
    batch = random_batch(circuit)
    chip = NodalChip(circuit, tolerance=1e-11)
    node, cycle = (gradient_of(AnalyticalGradient(circuit, COST, form=form), chip, batch) for form in Form)
    assert_close(cycle, node, 1e-10)


def test_the_cycle_form_takes_a_crossbar() -> None:
    circuit = inside(scellier([4]))
    batch = random_batch(circuit)
    chip = NodalChip(circuit, tolerance=1e-11)
    node, cycle = (gradient_of(AnalyticalGradient(circuit, COST, form=form), chip, batch) for form in Form)
    assert_close(cycle, node, 1e-9)


def test_what_the_cycle_form_cannot_take_is_refused() -> None:
    with pytest.raises(CircuitError, match="knows no amplifiers; use the node form"):
        AnalyticalGradient(kendall([3]), COST, form=Form.CYCLE)
    circuit = scellier([30], channels=90)
    with pytest.raises(CircuitError, match=r"takes at most 5,000 branches, this circuit has [5-6],\d+; use the node"):
        AnalyticalGradient(circuit, COST, form=Form.CYCLE)
    rule = AnalyticalGradient(graph(), COST, form=Form.CYCLE)
    batch = random_batch(graph())
    readings = rule.measure(NodalChip(graph()), batch, np.random.default_rng(0))
    opened = (np.where(np.arange(20) == 7, 0.0, readings.conductances[0]),)
    with pytest.raises(CircuitError, match="edges w: the cycle form needs every cell above 0 S"):
        rule.gradient(type(readings)(batch, readings.free, opened, readings.nodes))


@pytest.mark.parametrize("beta", [1e-3, 0.3, 30.0])
def test_centered_ep_with_currents_is_exact_on_a_linear_graph_at_every_beta(beta: float) -> None:
    circuit = graph()
    batch = random_batch(circuit)
    chip = NodalChip(circuit)
    rule = EquilibriumPropagation(circuit, COST, beta=beta, nudging=Nudging.CURRENT)
    assert_close(gradient_of(rule, chip, batch), gradient_of(AnalyticalGradient(circuit, COST), chip, batch), 1e-9)


def test_scaling_every_conductance_of_a_linear_graph_changes_nothing() -> None:
    """So Σ g ∂C/∂g = 0 over all conductances (Euler); the fixed resistor is left out of this graph."""
    full = graph()
    circuit = Circuit("graph", tuple(e for e in full.elements if not isinstance(e, Resistor)), full.outputs)
    batch = random_batch(circuit)
    (slopes,) = gradient_of(AnalyticalGradient(circuit, COST), NodalChip(circuit), batch)
    products = circuit.conductances[0] * slopes
    assert abs(products.sum()) < 1e-8 * np.abs(products).sum()


def laplacian_reading(circuit: Circuit, g: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of one sample and their Schur-complement conductance, from a Laplacian written down here."""
    index = {node: k for k, node in enumerate(circuit.nodes)}
    edges = next(e for e in circuit.elements if isinstance(e, Edges))
    fixed = next(e for e in circuit.elements if isinstance(e, Resistor))
    matrix = np.zeros((len(index), len(index)))
    for a, b, value in [*zip(edges.a, edges.b, g, strict=True), (fixed.a, fixed.b, fixed.conductance)]:
        step = np.zeros(len(index))
        step[index[a]], step[index[b]] = 1, -1
        matrix += value * np.outer(step, step)
    held = [index[n] for n in ("n0", "n1", "n2")]
    free = [k for k in range(len(index)) if k not in held]
    volts = np.zeros(len(index))
    volts[held] = [*inputs, 0.1]
    volts[free] = np.linalg.solve(matrix[np.ix_(free, free)], -matrix[np.ix_(free, held)] @ volts[held])
    outputs = np.zeros((2, len(index)))
    outputs[0, index["n8"]] = outputs[1, index["n4"]] = 1
    outputs[1, index["n5"]] = -1
    seen = np.linalg.inv(outputs[:, free] @ np.linalg.inv(matrix[np.ix_(free, free)]) @ outputs[:, free].T)
    return outputs @ volts, seen


def test_coupled_learning_follows_the_power_of_the_error_with_the_output_conductance_held_fixed() -> None:
    """½ eᵀK e with K held (Stern et al. 2021; derived there for linear networks), not the squared error."""
    circuit = graph()
    batch = random_batch(circuit, samples=1)
    (g,) = circuit.conductances
    target = batch.targets[0]
    _, held = laplacian_reading(circuit, g, batch.inputs[0])
    expected, squared = np.zeros_like(g), np.zeros_like(g)
    for k in range(len(g)):
        values = []
        for sign in (1, -1):
            moved = g.copy()
            moved[k] += sign * 1e-5
            error = target - laplacian_reading(circuit, moved, batch.inputs[0])[0]
            values.append((0.5 * error @ held @ error, 0.5 * error @ error))
        expected[k], squared[k] = (np.array(values[0]) - values[1]) / 2e-5
    chip = NodalChip(circuit)
    (ours,) = gradient_of(CoupledLearning(circuit, COST, eta=1e-4, variant=Variant.CENTERED), chip, batch)
    assert_close((ours,), (expected,), 1e-6)
    cosine = ours @ squared / np.linalg.norm(ours) / np.linalg.norm(squared)
    assert 0.3 < cosine < 0.9999


def test_options_are_taken_as_experiment_files_write_them() -> None:
    circuit = graph()
    batch, chip = random_batch(circuit), NodalChip(circuit)
    pairs = [
        (
            EquilibriumPropagation(circuit, COST, beta=0.3, variant="one-sided", nudging="current"),
            EquilibriumPropagation(circuit, COST, beta=0.3, variant=Variant.ONE_SIDED, nudging=Nudging.CURRENT),
        ),
        (AnalyticalGradient(circuit, COST, form="cycle"), AnalyticalGradient(circuit, COST, form=Form.CYCLE)),
    ]
    for text, member in pairs:
        np.testing.assert_array_equal(gradient_of(text, chip, batch)[0], gradient_of(member, chip, batch)[0])


def test_coupled_learning_at_eta_1_holds_the_outputs_at_their_targets_and_overclamping_goes_beyond() -> None:
    circuit = graph(diodes=True)
    batch = random_batch(circuit)
    for eta in (1.0, 1.5):
        readings = CoupledLearning(circuit, COST, eta=eta).measure(NodalChip(circuit), batch, np.random.default_rng(0))
        free = readings.free.outputs
        np.testing.assert_allclose(readings.high.outputs, free + eta * (batch.targets - free), rtol=1e-9, atol=1e-12)


def test_equilibrium_propagation_and_coupled_learning_are_members_of_the_generalized_family() -> None:
    circuit = kendall([4])
    batch = random_batch(circuit)
    pairs = [
        (
            EquilibriumPropagation(circuit, COST, beta=1e-2, nudging=Nudging.CURRENT),
            GeneralizedEquilibriumPropagation(
                circuit, lambda b, free, y: Injection(b * (y - free)), order=1, strength=1e-2
            ),
        ),
        (
            CoupledLearning(circuit, COST, eta=0.2, variant=Variant.CENTERED),
            GeneralizedEquilibriumPropagation(
                circuit, lambda b, free, y: Clamp(free + b * (y - free)), order=1, strength=0.2
            ),
        ),
    ]
    for member, general in pairs:
        assert member.order == general.order
        assert type(member).gradient is type(general).gradient
        assert type(member).measure is type(general).measure
        ours, theirs = (gradient_of(rule, NodalChip(circuit), batch) for rule in (member, general))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_nudge_of_ones_own_follows_the_cost_that_it_stands_for() -> None:
    """A current that is limited to ±0.2 V of error is the slope of Huber's cost."""
    circuit = graph(diodes=True)
    batch = random_batch(circuit)

    def limited(strength: float, free: np.ndarray, targets: np.ndarray) -> Injection:
        return Injection(strength * np.clip(targets - free, -0.2, 0.2))

    class Huber:
        def values(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
            size = np.abs(targets - outputs)
            return np.where(size < 0.2, 0.5 * size**2, 0.2 * (size - 0.1)).sum(axis=1)

    rule = GeneralizedEquilibriumPropagation(circuit, limited, order=1, strength=1e-4)
    ours = gradient_of(rule, NodalChip(circuit, tolerance=1e-11), batch)
    assert_close(ours, truth(circuit, batch, Huber()), 1e-5)


@pytest.mark.parametrize("circuit", [graph(), kendall([3])], ids=["graph", "crossbar"])
def test_finite_differences_on_the_chip_restore_its_conductances(circuit: Circuit) -> None:
    circuit = inside(circuit)
    batch = random_batch(circuit)
    chip = NodalChip(circuit, tolerance=1e-11)
    ours = gradient_of(FiniteDifferences(circuit, COST, step=1e-5), chip, batch)
    assert_close(ours, truth(circuit, batch), 1e-5)
    for now, before in zip(chip.conductances, circuit.conductances, strict=True):
        np.testing.assert_array_equal(now, before)


def test_simultaneous_perturbation_is_right_in_the_mean() -> None:
    """Its error is the root of the number of other conductances for each draw."""
    circuit = graph()
    batch = random_batch(circuit)
    (expected,) = truth(circuit, batch)
    errors = []
    for draws in (10, 160):
        rule = SimultaneousPerturbation(circuit, COST, step=1e-4, draws=draws)
        found = [gradient_of(rule, NodalChip(circuit), batch, seed)[0] for seed in range(4)]
        errors.append(np.mean([np.linalg.norm(f - expected) for f in found]) / np.linalg.norm(expected))
    assert errors[1] == pytest.approx(np.sqrt((expected.size - 1) / 160), rel=0.25)
    assert 2.5 < errors[0] / errors[1] < 6


def test_at_a_bound_of_the_range_perturbations_go_one_way() -> None:
    circuit = graph()
    low = circuit.with_conductances([np.where(np.arange(20) < 5, 1e-3, circuit.conductances[0])])
    batch = random_batch(low)
    ours = gradient_of(FiniteDifferences(low, COST, step=1e-6), NodalChip(low, tolerance=1e-11), batch)
    assert_close(ours, gradient_of(AnalyticalGradient(low, COST), NodalChip(low), batch), 1e-4)


@pytest.mark.ngspice
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_gradients_read_from_ngspice(circuit: Circuit) -> None:
    batch = random_batch(circuit)
    expected, chip = truth(circuit, batch), NgspiceChip(circuit)
    assert_close(gradient_of(HardwareLinearization(circuit, COST, gamma=1e-1), chip, batch), expected, 1e-4)
    assert_close(gradient_of(AnalyticalGradient(circuit, COST), chip, batch), expected, 1e-4)
    rule = CoupledLearning(circuit, COST, eta=0.3, variant=Variant.CENTERED)
    assert_close(gradient_of(rule, chip, batch), gradient_of(rule, NodalChip(circuit), batch), 1e-4)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_clamped_outputs_stay_where_they_are_held(make_chip: MakeChip, circuit: Circuit) -> None:
    batch = random_batch(circuit)
    drives = [Drive(batch.inputs), Drive(batch.inputs, Clamp(batch.targets), "clamped"), Drive(batch.inputs)]
    free, clamped, again = make_chip(circuit).measure(drives)
    np.testing.assert_allclose(clamped.outputs, batch.targets, atol=1e-8)
    np.testing.assert_allclose(free.nodes, again.nodes, atol=5e-6)
    reference = NodalChip(circuit).measure(drives)[1]
    np.testing.assert_allclose(clamped.nodes, reference.nodes, atol=1e-5)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_small_signals_are_the_limit_of_small_currents(make_chip: MakeChip, circuit: Circuit) -> None:
    batch = random_batch(circuit)
    current = 1e-5 * batch.targets
    precise = NodalChip(circuit, tolerance=1e-11)
    sides = [Drive(batch.inputs, Injection(sign * current)) for sign in (1, -1)]
    up, down = precise.measure(sides)
    chip = make_chip(circuit)
    (free,) = chip.measure([Drive(batch.inputs)])
    (small,) = chip.measure([Drive(batch.inputs, Injection(1e3 * current), "small-signal", about=free)])
    expected = 1e3 * (up.nodes - down.nodes) / 2
    np.testing.assert_allclose(small.nodes, expected, atol=2e-4 * np.abs(expected).max())
    np.testing.assert_allclose(small.outputs, 1e3 * (up.outputs - down.outputs) / 2, atol=2e-4 * np.abs(expected).max())


def test_a_rule_that_reads_nodes_is_refused_where_only_outputs_may_be_read() -> None:
    circuit = kendall([4])
    batch = random_batch(circuit)
    chip = NodalChip(circuit, access=Access.OUTPUTS)
    for rule in (
        EquilibriumPropagation(circuit, COST, beta=1e-3),
        CoupledLearning(circuit, COST, eta=0.1),
        HardwareLinearization(circuit, COST, gamma=1e-3),
        AnalyticalGradient(circuit, COST),
    ):
        with pytest.raises(ChipError, match=r"access to its outputs only .* set chip.access = 'nodes'"):
            gradient_of(rule, chip, batch)
    assert NodalChip(circuit, access="outputs").capabilities == chip.capabilities
    with pytest.raises(ChipError, match="there is no access 'output'; there are outputs, nodes"):
        NodalChip(circuit, access="output")
    twin = AnalyticalGradient(circuit, COST, twin=lambda: NodalChip(circuit))
    assert_close(gradient_of(twin, chip, batch), gradient_of(twin, NodalChip(circuit), batch), 1e-12)
    linear = graph()
    batch = random_batch(linear)
    for rule in (AnalyticalGradient(linear, COST), FiniteDifferences(linear, COST, step=1e-5)):
        assert_close(gradient_of(rule, NodalChip(linear, access=Access.OUTPUTS), batch), truth(linear, batch), 1e-4)


def test_the_ledger_counts_what_each_rule_asks_of_the_chip() -> None:
    circuit = kendall([4])  # 3 channels on 6 pins, 14 free nodes below the sources, 2 outputs
    batch = random_batch(circuit, samples=5)
    inner = len(circuit.nodes) - len(circuit.held_nodes) - 2
    asked = {}
    for name, rule in {
        "ep": EquilibriumPropagation(circuit, COST, beta=1e-3),
        "analytical": AnalyticalGradient(circuit, COST, twin=lambda: NodalChip(circuit)),
        "linearized": HardwareLinearization(circuit, COST, gamma=1e-3),
    }.items():
        chip = NodalChip(circuit)
        gradient = gradient_of(rule, chip, batch)
        asked[name] = chip.ledger
        chip.adjust([-1e-3 * g for g in gradient])
        cells = sum(g.size for g in gradient)
        assert 0 < (chip.ledger - asked[name]).conductances_written <= cells
    assert asked["ep"] == Ledger(phases=15, nodes_read=5 * (3 * 2 + 2 * inner), voltages_set=5 * (6 + 2 * 2))
    assert asked["analytical"] == Ledger(phases=5, nodes_read=5 * 2, voltages_set=5 * 6)
    assert asked["linearized"] == Ledger(phases=10, nodes_read=5 * (2 * 2 + 2 * inner), voltages_set=5 * (6 + 2))


@pytest.mark.parametrize("diodes", [False, True])
def test_power_that_is_dissipated_is_power_that_sources_deliver(diodes: bool) -> None:
    """Tellegen: Σ V I over the sources, with currents by Kirchhoff's law at their nodes."""
    circuit = graph(diodes=diodes)
    batch = random_batch(circuit)
    chip = NodalChip(circuit, tolerance=1e-11, settling_time=1e-6)
    (reading,) = chip.measure([Drive(batch.inputs)])
    index = {node: k for k, node in enumerate(circuit.nodes)}
    edges = next(e for e in circuit.elements if isinstance(e, Edges))
    delivered = np.zeros(len(batch))
    for source in ("n0", "n1", "n2"):
        here = reading.nodes[:, index[source]]
        for a, b, g in zip(edges.a, edges.b, edges.conductances, strict=True):
            if source in (a, b):
                other = b if source == a else a
                delivered += here * g * (here - reading.nodes[:, index[other]])
        for d in (e for e in circuit.elements if isinstance(e, Diode) and e.anode == source):
            over = here - reading.nodes[:, index[d.cathode]]
            scale = DIODE.emission * 0.025864925
            delivered += here * DIODE.saturation_current * np.expm1(over / scale)
    watts = dissipated(circuit, chip.conductances, reading.nodes)
    np.testing.assert_allclose(watts, delivered, rtol=1e-5)
    assert chip.ledger.energy == pytest.approx(1e-6 * watts.sum())
    crossbar = inside(kendall([4], amplifier_gain=1.0))
    (reading,) = NodalChip(crossbar).measure([Drive(random_batch(crossbar).inputs)])
    w1 = next(e for e in crossbar.elements if isinstance(e, Crossbar))
    without = dissipated(crossbar, tuple(0 * g for g in crossbar.conductances), reading.nodes)
    only = dissipated(crossbar, (w1.conductances, 0 * crossbar.conductances[1]), reading.nodes) - without
    words, bits = ([crossbar.node_index[n] for n in lines] for lines in (w1.words, w1.bits))
    drops = reading.nodes[:, words, None] - reading.nodes[:, None, bits]
    np.testing.assert_allclose(only, (drops**2 * w1.conductances).sum(axis=(1, 2)), rtol=1e-10)


def test_a_subset_update_writes_the_chosen_cells_only() -> None:
    circuit = kendall([6])
    gradient = tuple(np.random.default_rng(0).normal(size=a.shape) for a in circuit.arrays)
    plain, _ = SGD((1.0, 1.0)).step(gradient, SGD((1.0, 1.0)).init(gradient))
    for choice in (random_cells(circuit, 0.25, np.random.default_rng(1)), Largest(0.25)):
        update = SubsetUpdate(SGD((1.0, 1.0)), choice)
        change, state = update.step(gradient, update.init(circuit.conductances))
        assert state.steps == 1
        for c, p in zip(change, plain, strict=True):
            written = c != 0
            assert written.sum() == round(0.25 * c.size)
            np.testing.assert_array_equal(c[written], p[written])
    largest, _ = SubsetUpdate(SGD((1.0, 1.0)), Largest(0.25)).step(gradient, update.init(gradient))
    for c, g in zip(largest, gradient, strict=True):
        assert np.abs(g[c != 0]).min() >= np.abs(g[c == 0]).max()
    change, _ = SubsetUpdate(SGD((1.0, 1.0)), cells_of(circuit, ["w2"])).step(gradient, update.init(gradient))
    assert not change[0].any()
    np.testing.assert_array_equal(change[1], plain[1])
    assert SubsetUpdate(SGD((1.0, 1.0)), Largest(0.5)).scaled(0.5).update == SGD((0.5, 0.5))


def test_masks_come_from_a_file_that_fits(tmp_path: Path) -> None:
    circuit = kendall([4])
    file = tmp_path / "mask.npz"
    masks = {a.name: np.random.default_rng(0).integers(0, 2, a.shape) for a in circuit.arrays}
    np.savez(file, **masks)
    for found, mask in zip(read_masks(circuit, file).chosen, masks.values(), strict=True):
        np.testing.assert_array_equal(found, mask == 1)
    np.savez(file, w1=masks["w1"])
    with pytest.raises(ExperimentError, match=r"has no mask 'w2'; it has w1"):
        read_masks(circuit, file)
    np.savez(file, w1=masks["w1"], w2=np.ones(3))
    with pytest.raises(ExperimentError, match=r"mask 'w2' has shape \(3,\), the cells are \(6, 4\)"):
        read_masks(circuit, file)
    file.write_text("no npz")
    with pytest.raises(ExperimentError, match="cannot be read as an npz file"):
        read_masks(circuit, file)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda c: EquilibriumPropagation(c, COST, beta=1e-3, nudging="springs"),
            "there is no nudging 'springs'; did you mean 'spring'",
        ),
        (lambda c: CoupledLearning(c, COST, eta=0.1, variant="both"), "no variant 'both'; there are one-sided, random"),
        (lambda c: AnalyticalGradient(c, COST, form="cycles"), "there is no form 'cycles'; did you mean 'cycle'"),
        (lambda c: CoupledLearning(c, COST, eta=-0.1), r"coupled learning: η = -0.1 must be above 0"),
        (lambda c: HardwareLinearization(c, COST, gamma=0.0), r"γ = 0 S must be above 0"),
        (lambda c: FiniteDifferences(c, COST, step=-1e-6), r"finite differences: step -1 µS must be above 0"),
        (lambda c: SimultaneousPerturbation(c, COST, step=1e-6, draws=0), "0 draws; at least 1 is needed"),
        (lambda c: Largest(1.5), r"subset: fraction 1.5 must lie in 0…1"),
        (lambda c: cells_of(c, ["w7"]), r"there is no array 'w7'; there are w1, w2"),
        (
            lambda c: GeneralizedEquilibriumPropagation(c, lambda b, f, y: Injection(y), order=0, strength=1.0),
            "order 0 must be a whole number above 0",
        ),
    ],
)
def test_senseless_settings_are_refused(make, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        make(kendall([3]))


@pytest.mark.ngspice
def test_the_full_netlist_knows_edges() -> None:
    circuit = graph(diodes=True)
    batch = random_batch(circuit)
    ours, theirs = (chip.measure([Drive(batch.inputs)])[0] for chip in (FullNetlistChip(circuit), NodalChip(circuit)))
    np.testing.assert_allclose(ours.nodes, theirs.nodes, atol=1e-6)


def test_without_normalization_overclamping_scales_the_direction() -> None:
    circuit = kendall([4])
    batch, chip, rng = random_batch(circuit), NodalChip(circuit), np.random.default_rng(0)
    for variant, span in ((Variant.ONE_SIDED, 3.0), (Variant.CENTERED, 6.0)):
        rules = [CoupledLearning(circuit, COST, eta=3.0, variant=variant, normalized=n) for n in (True, False)]
        divided, plain = (rule.gradient(rule.measure(chip, batch, rng)) for rule in rules)
        for ours, theirs in zip(plain, divided, strict=True):
            np.testing.assert_allclose(ours, span * theirs)


def test_a_bias_of_every_write_sets_an_error_floor_that_overclamping_lowers() -> None:
    cell = Edges("g", ("a",), ("b",), np.array([1.0]), 0.01, 100.0)
    circuit = Circuit(
        "divider", (InputSource("x", "a", 0, 1.0), cell, Resistor("r", "b", "0", 1.0)), (Output("y", "b"),)
    )
    batch, errors = Batch(np.array([[1.0]]), np.array([[0.6]])), []
    for eta in (1.0, 4.0):
        chip = ImperfectChip(NodalChip(circuit), PinErrors(update_bias=1e-4), seed=0)
        rule = CoupledLearning(circuit, COST, eta=eta, variant=Variant.CENTERED, normalized=False)
        for _ in range(400):
            readings = rule.measure(chip, batch, np.random.default_rng(0))
            chip.adjust([-0.5 * slope for slope in rule.gradient(readings)])
        errors.append(float(readings.free.outputs[0, 0] - 0.6))
    assert abs(errors[0]) > 1e-4
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.01)


@pytest.mark.parametrize("variant", ["one-sided", "random-sign", "centered"])
def test_a_rule_draws_random_numbers_only_if_it_says_so(variant: str) -> None:
    """A rule that draws none is given numbers that are the same at every step."""
    circuit = kendall([3])
    rule, rng = EquilibriumPropagation(circuit, COST, beta=1e-3, variant=variant), np.random.default_rng(0)
    before = rng.bit_generator.state
    rule.measure(NodalChip(circuit), random_batch(circuit), rng)
    assert (rng.bit_generator.state != before) == rule.draws
    assert AnalyticalGradient(circuit, COST).draws  # as of every rule that does not say
