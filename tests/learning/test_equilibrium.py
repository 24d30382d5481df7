"""Equilibrium propagation against finite differences, closed forms and its own order of convergence."""

import numpy as np
import pytest

from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Crossbar, InputSource, Output
from harness.circuit.scaling import energy_scales
from harness.errors import ExperimentError
from harness.learning.costs import Cost, SoftmaxCrossEntropy, SquaredError
from harness.learning.rules.equilibrium import EquilibriumPropagation, Nudging
from harness.learning.rules.generalized import Variant
from harness.measurement import Batch, Conductances
from harness.studies.check import finite_differences
from tests.conftest import kendall, random_batch, scellier

COSTS = [pytest.param(SquaredError(), id="squared-error"), pytest.param(SoftmaxCrossEntropy(0.7), id="cross-entropy")]


def ep_gradient(
    circuit: Circuit, batch: Batch, *, cost: Cost | None = None, beta: float = 1e-5, seed: int = 0, **options: object
) -> Conductances:
    rule = EquilibriumPropagation(circuit, cost or SquaredError(), beta=beta, **options)  # type: ignore[arg-type]
    chip = NodalChip(circuit, tolerance=1e-10)
    return rule.gradient(rule.measure(chip, batch, np.random.default_rng(seed)))


def all_cells(circuit: Circuit) -> list[np.ndarray]:
    return [np.argwhere(np.ones(c.shape, bool)) for c in circuit.arrays]


def every_derivative(circuit: Circuit, batch: Batch, cost: Cost) -> Conductances:
    flat = finite_differences(circuit, cost, batch, all_cells(circuit))
    return tuple(values.reshape(c.shape) for values, c in zip(flat, circuit.arrays, strict=True))


def inside(circuit: Circuit) -> Circuit:
    """Cells away from their bounds, so that they can be moved both ways."""
    return circuit.with_conductances([np.clip(g, 0.02, 5.0) for g in circuit.conductances])


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("network", [kendall, scellier])
def test_centered_gradient_of_two_hidden_layers_equals_finite_differences(network, cost: Cost) -> None:
    """Kendall's network has amplifiers of A = 4 behind both hidden layers: factors of 256, 16 and 1."""
    circuit = inside(network([5, 4]))
    batch = random_batch(circuit)
    truth = every_derivative(circuit, batch, cost)
    estimate = ep_gradient(circuit, batch, cost=cost, nudging=Nudging.CURRENT)
    for ours, theirs in zip(estimate, truth, strict=True):
        assert relative_error(ours, theirs) < 1e-5


def test_springs_and_currents_give_the_same_gradient() -> None:
    circuit = kendall([5, 4])
    batch = random_batch(circuit)
    springs, currents = (ep_gradient(circuit, batch, nudging=nudging) for nudging in Nudging)
    for a, b in zip(springs, currents, strict=True):
        assert relative_error(a, b) < 1e-6


@pytest.mark.parametrize("nudging", list(Nudging))
@pytest.mark.parametrize(("variant", "order"), [(Variant.ONE_SIDED, 1), (Variant.CENTERED, 2)])
def test_order_of_convergence_in_beta(variant: Variant, order: int, nudging: Nudging) -> None:
    """The slope of log error on log β, by regression."""
    circuit = kendall([5, 4])
    batch = random_batch(circuit)
    truth = ep_gradient(circuit, batch, beta=1e-4, nudging=Nudging.CURRENT)
    betas = np.geomspace(2e-3, 2e-2, 5)
    errors = [
        [
            relative_error(g, t)
            for g, t in zip(ep_gradient(circuit, batch, beta=b, variant=variant, nudging=nudging), truth, strict=True)
        ]
        for b in betas
    ]
    slopes = np.polyfit(np.log(betas), np.log(errors), 1)[0]
    np.testing.assert_allclose(slopes, order, atol=0.1)


def test_a_random_sign_is_one_sided_and_its_mean_over_both_signs_is_centered() -> None:
    circuit = kendall([5])
    batch = random_batch(circuit)
    seeds = {bool(np.random.default_rng(seed).random() < 0.5): seed for seed in range(10)}
    assert set(seeds) == {True, False}
    plus, minus = (
        ep_gradient(circuit, batch, beta=1e-2, variant=Variant.RANDOM_SIGN, seed=seeds[s]) for s in (True, False)
    )
    one_sided = ep_gradient(circuit, batch, beta=1e-2, variant=Variant.ONE_SIDED)
    centered = ep_gradient(circuit, batch, beta=1e-2, variant=Variant.CENTERED)
    for p, m, o, c in zip(plus, minus, one_sided, centered, strict=True):
        np.testing.assert_array_equal(p, o)
        assert relative_error((p + m) / 2, c) < 1e-9
        assert relative_error(p, m) > 1e-4


def linear_circuit(seed: int = 0) -> Circuit:
    """Two crossbars without diodes between pins, a hidden line and an output pair."""
    rng = np.random.default_rng(seed)
    pins = tuple(f"x{i}" for i in range(4))
    sources = tuple(InputSource(pin, pin, i % 2, 1.0 if i < 2 else -1.0) for i, pin in enumerate(pins))
    hidden = tuple(f"h{i}" for i in range(3))
    first = Crossbar("w1", pins, hidden, rng.uniform(0.1, 1, (4, 3)), 0.0, 10.0)
    second = Crossbar("w2", hidden, ("op", "on"), rng.uniform(0.1, 1, (3, 2)), 0.0, 10.0)
    return Circuit("linear", (*sources, first, second), (Output("y0", "op", "on"),))


@pytest.mark.parametrize("beta", [1e-3, 0.1, 10.0])
def test_centered_with_currents_is_exact_at_every_beta_on_a_linear_network(beta: float) -> None:
    circuit = linear_circuit()
    batch = random_batch(circuit)
    truth = every_derivative(circuit, batch, SquaredError())
    estimate = ep_gradient(circuit, batch, beta=beta, nudging=Nudging.CURRENT)
    for ours, theirs in zip(estimate, truth, strict=True):
        assert relative_error(ours, theirs) < 1e-7  # of the finite differences


def test_scaling_all_conductances_of_a_linear_network_changes_nothing() -> None:
    """So Σ g ∂C/∂g = 0 (Euler's theorem for a function of degree 0)."""
    circuit = linear_circuit()
    batch = random_batch(circuit)
    gradient = ep_gradient(circuit, batch, beta=0.1, nudging=Nudging.CURRENT)
    total = sum((g * d).sum() for g, d in zip(circuit.conductances, gradient, strict=True))
    size = sum(np.abs(g * d).sum() for g, d in zip(circuit.conductances, gradient, strict=True))
    assert abs(total) < 1e-9 * size


def test_each_amplifier_stage_behind_a_crossbar_counts_with_its_squared_gain() -> None:
    assert energy_scales(kendall([4, 3], amplifier_gain=4.0)) == (256.0, 16.0, 1.0)
    assert energy_scales(kendall([4], amplifier_gain=1.0)) == (1.0, 1.0)
    assert energy_scales(scellier([4, 3])) == (1.0, 1.0, 1.0)


def test_amplification_of_the_second_stage_is_a_change_of_units() -> None:
    """Gain A with targets, bias and outputs A times larger is the network without amplifiers, gradient times A²."""
    plain, amplified = (kendall([5], amplifier_gain=a, bias=(1.0, a)) for a in (1.0, 4.0))
    batch = random_batch(plain)
    scaled = Batch(batch.inputs, 4 * batch.targets)
    first = ep_gradient(plain, batch, beta=1e-2)
    second = ep_gradient(amplified, scaled, beta=1e-2)
    for a, b in zip(first, second, strict=True):
        assert relative_error(16 * a, b) < 1e-8


def test_the_gradient_lowers_the_cost() -> None:
    circuit = inside(kendall([5, 4]))
    batch = random_batch(circuit)
    chip = NodalChip(circuit)
    rule = EquilibriumPropagation(circuit, SquaredError(), beta=1e-4)
    readings = rule.measure(chip, batch, np.random.default_rng(0))
    gradient = rule.gradient(readings)
    step = 1e-4 / sum((g * g).sum() for g in gradient)
    chip.adjust([-step * g for g in gradient])
    after = rule.measure(chip, batch, np.random.default_rng(0))
    before, after = (SquaredError().values(r.free.outputs, batch.targets).mean() for r in (readings, after))
    assert after - before == pytest.approx(-1e-4, rel=0.05)


@pytest.mark.ngspice
@pytest.mark.parametrize("nudging", list(Nudging))
def test_gradient_read_from_ngspice(nudging: Nudging) -> None:
    circuit = kendall([5, 4])
    batch = random_batch(circuit)
    truth = ep_gradient(circuit, batch, beta=1e-2, nudging=nudging)
    rule = EquilibriumPropagation(circuit, SquaredError(), beta=1e-2, nudging=nudging)
    estimate = rule.gradient(rule.measure(NgspiceChip(circuit), batch, np.random.default_rng(0)))
    for ours, theirs in zip(estimate, truth, strict=True):
        assert relative_error(ours, theirs) < 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 0.0}, r"β = 0 S must be above 0"),
        ({"beta": -1e-3}, r"β = -0.001 S must be above 0"),
        ({"beta": 1e-3, "cost": SoftmaxCrossEntropy()}, "spring nudging is for squared error"),
    ],
)
def test_senseless_rules_are_refused(options: dict[str, object], message: str) -> None:
    cost = options.pop("cost", SquaredError())
    with pytest.raises(ExperimentError, match=message):
        EquilibriumPropagation(kendall([3]), cost, **options)  # type: ignore[arg-type]
