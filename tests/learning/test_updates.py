"""Update rules against their formulas, costs against finite differences."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.errors import ExperimentError
from harness.learning.costs import Cost, SoftmaxCrossEntropy, SquaredError, accuracy
from harness.learning.updates.updates import SGD, Adam, Momentum, Schedule, UpdateRule
from harness.measurement import Conductances

SHAPES = [(4, 3), (5, 2)]
RATES = (2e-3, 7e-4)
RULES: list[UpdateRule] = [SGD(RATES), Momentum(RATES, 0.8), Adam(RATES, scale=1e5)]


def gradients(steps: int, seed: int = 0, size: float = 1.0) -> list[Conductances]:
    rng = np.random.default_rng(seed)
    return [tuple(size * rng.normal(size=shape) for shape in SHAPES) for _ in range(steps)]


def changes_of(rule: UpdateRule, steps: list[Conductances]) -> list[Conductances]:
    state = rule.init(steps[0])
    made = []
    for gradient in steps:
        change, state = rule.step(gradient, state)
        made.append(change)
    assert state.steps == len(steps)
    return made


def assert_follows(rule: UpdateRule, steps: list[Conductances], formula: Callable[[float, list[float]], float]) -> None:
    """Each change of each conductance is the formula's, from the rate and that conductance's slopes so far."""
    made = changes_of(rule, steps)
    for crossbar, shape in enumerate(SHAPES):
        for cell in np.ndindex(*shape):
            slopes: list[float] = []
            for step, change in zip(steps, made, strict=True):
                slopes.append(float(step[crossbar][cell]))
                assert change[crossbar][cell] == pytest.approx(formula(RATES[crossbar], slopes), rel=1e-12, abs=1e-300)


def adam_by_the_paper(rate: float, slopes: list[float], beta1: float, beta2: float, epsilon: float) -> float:
    """The last step of Kingma & Ba's algorithm 1 for one parameter."""
    theta = m = v = before = 0.0
    for t, g in enumerate(slopes, start=1):
        before = theta
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        step = rate * m_hat / (math.sqrt(v_hat) + epsilon)
        theta = theta - step
    assert theta == pytest.approx(before - step)
    return -step


def test_sgd_goes_down_the_gradient() -> None:
    assert_follows(SGD(RATES), gradients(4), lambda rate, slopes: -rate * slopes[-1])


def test_momentum_is_the_heavy_ball() -> None:
    def ball(rate: float, slopes: list[float]) -> float:
        return -rate * sum(0.8 ** (len(slopes) - 1 - k) * slope for k, slope in enumerate(slopes))

    assert_follows(Momentum(RATES, 0.8), gradients(6), ball)


def test_momentum_of_zero_is_sgd() -> None:
    for ball, plain in zip(
        changes_of(Momentum(RATES, 0.0), gradients(5)), changes_of(SGD(RATES), gradients(5)), strict=True
    ):
        for a, b in zip(ball, plain, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("beta1", "beta2", "epsilon"), [(0.9, 0.999, 1e-8), (0.5, 0.9, 0.3), (0.0, 0.0, 1e-3)])
def test_adam_is_the_papers(beta1: float, beta2: float, epsilon: float) -> None:
    rule = Adam(RATES, beta1, beta2, epsilon)
    assert_follows(rule, gradients(8), lambda rate, slopes: adam_by_the_paper(rate, slopes, beta1, beta2, epsilon))


@pytest.mark.parametrize("scale", [1e5, 1e-3])
def test_adams_epsilon_counts_in_its_scale(scale: float) -> None:
    """Gradients that are larger by the scale give the very steps that pure numbers give."""
    rule, epsilon = Adam(RATES, epsilon=0.2, scale=scale), 0.2 * scale
    assert_follows(
        rule, gradients(5, size=scale), lambda rate, slopes: adam_by_the_paper(rate, slopes, 0.9, 0.999, epsilon)
    )
    scaled = changes_of(rule, gradients(5, size=scale))
    for a, b in zip(scaled, changes_of(Adam(RATES, epsilon=0.2), gradients(5)), strict=True):
        for one, other in zip(a, b, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)


def test_adams_first_step_is_its_rate_however_large_the_gradient() -> None:
    (change,) = changes_of(Adam(RATES, scale=1e5), gradients(1, size=1e5))
    for rate, got, slope in zip(RATES, change, gradients(1)[0], strict=True):
        np.testing.assert_allclose(got, -rate * np.sign(slope), rtol=1e-5)


@pytest.mark.parametrize("rule", RULES, ids=["sgd", "momentum", "adam"])
def test_no_gradient_no_change(rule: UpdateRule) -> None:
    zeros = [tuple(np.zeros(shape) for shape in SHAPES)] * 3
    for change in changes_of(rule, zeros):
        for got in change:
            np.testing.assert_array_equal(got, 0.0)


@pytest.mark.parametrize("rule", RULES, ids=["sgd", "momentum", "adam"])
def test_the_state_is_explicit(rule: UpdateRule) -> None:
    """A step from the same state gives the same bits again, and changes neither the state nor the gradient."""
    first, second, third = gradients(3)
    state = rule.init(first)
    for gradient in (first, second):
        _, state = rule.step(gradient, state)
    kept = [[array.copy() for array in slot] for slot in state.slots]
    wanted = [array.copy() for array in third]
    one, after_one = rule.step(third, state)
    two, after_two = rule.step(third, state)
    assert [a.tobytes() for a in one] == [a.tobytes() for a in two]
    assert after_one.steps == after_two.steps == state.steps + 1 == 3
    for a, b in zip(after_one.slots, after_two.slots, strict=True):
        assert [x.tobytes() for x in a] == [x.tobytes() for x in b]
    for slot, before in zip(state.slots, kept, strict=True):
        for array, old in zip(slot, before, strict=True):
            np.testing.assert_array_equal(array, old)
    for array, old in zip(third, wanted, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("rule", RULES, ids=["sgd", "momentum", "adam"])
def test_the_initial_state_does_not_depend_on_the_values(rule: UpdateRule) -> None:
    state = rule.init(tuple(np.full(shape, 3.0) for shape in SHAPES))
    assert state.steps == 0
    for slot in state.slots:
        assert [array.shape for array in slot] == SHAPES
        assert all(not array.any() for array in slot)


@pytest.mark.parametrize("rule", RULES, ids=["sgd", "momentum", "adam"])
def test_scaled_rates_scale_every_change(rule: SGD | Momentum | Adam) -> None:
    scaled = rule.scaled(0.125)
    assert scaled.rates == tuple(rate / 8 for rate in RATES)
    assert {**vars(scaled), "rates": RATES} == vars(rule)
    for late, plain in zip(changes_of(scaled, gradients(3)), changes_of(rule, gradients(3)), strict=True):
        for a, b in zip(late, plain, strict=True):
            np.testing.assert_allclose(a, b / 8, rtol=1e-14)


def test_rates_fall_from_epoch_to_epoch_or_in_a_straight_line() -> None:
    assert [Schedule(0.5).factor(epoch, epoch / 4 + 0.1) for epoch in range(3)] == [1, 0.5, 0.25]
    assert [Schedule(to_zero=True).factor(0, done) for done in (0.0, 0.25, 1.0)] == [1, 0.75, 0]
    assert Schedule(0.5, to_zero=True).factor(1, 0.5) == 0.25


@pytest.mark.parametrize("decay", [0.0, -1.0, 1.5, math.nan])
def test_wrong_decays_are_refused(decay: float) -> None:
    with pytest.raises(ExperimentError, match=rf"decay {decay:g} must lie above 0 and at most at 1"):
        Schedule(decay)


@pytest.mark.parametrize("make", [SGD, Momentum, Adam])
def test_wrong_rates_are_refused(make: type[SGD] | type[Momentum] | type[Adam]) -> None:
    with pytest.raises(ExperimentError, match=r"learning rate -0.5 must be finite and not negative"):
        make((0.1, -0.5))
    with pytest.raises(ExperimentError, match=r"learning rate nan must be finite and not negative"):
        make((math.nan,))


@pytest.mark.parametrize("value", [1.0, -0.1, 2.0, math.nan])
def test_wrong_shares_are_refused_by_name(value: float) -> None:
    with pytest.raises(ExperimentError, match=rf"momentum {value:g} must lie in 0…1, below 1"):
        Momentum(RATES, value)
    with pytest.raises(ExperimentError, match=rf"beta1 {value:g} must lie in 0…1, below 1"):
        Adam(RATES, beta1=value)
    with pytest.raises(ExperimentError, match=rf"beta2 {value:g} must lie in 0…1, below 1"):
        Adam(RATES, beta2=value)


COSTS = st.one_of(st.just(SquaredError()), st.floats(0.3, 3).map(SoftmaxCrossEntropy))
VOLTS = arrays(float, (3, 4), elements=st.floats(-3, 3))
TARGETS = VOLTS.filter(lambda targets: bool((np.ptp(targets, axis=1) > 0.1).all()))


@given(cost=COSTS, outputs=VOLTS, targets=TARGETS)
@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_slopes_are_what_the_values_do(cost: Cost, outputs: np.ndarray, targets: np.ndarray) -> None:
    slopes, h = cost.slopes(outputs, targets), 1e-5
    assert slopes.shape == outputs.shape
    for output in range(outputs.shape[1]):
        nudge = h * np.eye(outputs.shape[1])[output]
        rise = cost.values(outputs + nudge, targets) - cost.values(outputs - nudge, targets)
        np.testing.assert_allclose(slopes[:, output], rise / (2 * h), atol=1e-8)


def test_squared_error_is_half_the_squared_distance() -> None:
    outputs, targets = np.array([[1.0, -2.0], [0.0, 0.0]]), np.array([[0.0, 2.0], [0.0, 0.0]])
    np.testing.assert_array_equal(SquaredError().values(outputs, targets), [8.5, 0.0])
    np.testing.assert_array_equal(SquaredError().slopes(outputs, targets), [[1.0, -4.0], [0.0, 0.0]])


@given(
    outputs=VOLTS,
    temperature=st.floats(0.2, 5),
    low=st.floats(-2, 1),
    swing=st.floats(0.5, 4),
    labels=st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
def test_softmax_cross_entropy_of_one_hot_targets_is_the_textbooks(
    outputs: np.ndarray, temperature: float, low: float, swing: float, labels: list[int]
) -> None:
    """Whatever the two target voltages are: −T² log(e^{v_c/T} / Σ e^{v/T})."""
    targets = np.full(outputs.shape, low)
    targets[np.arange(3), labels] += swing
    values = SoftmaxCrossEntropy(temperature).values(outputs, targets)
    for row, label, value in zip(outputs, labels, values, strict=True):
        grown = [math.exp(v / temperature) for v in row]
        assert value == pytest.approx(-(temperature**2) * math.log(grown[label] / sum(grown)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("volts", [1e4, 1e300])
def test_large_logits_neither_overflow_nor_lose_the_slope(volts: float) -> None:
    outputs, targets = np.array([[volts, 0.0, -volts]]), np.array([[0.0, 4.0, 0.0]])
    cost = SoftmaxCrossEntropy(2.0)
    np.testing.assert_allclose(cost.values(outputs, targets), [4.0 * volts / 2.0])
    np.testing.assert_allclose(cost.slopes(outputs, targets), [[2.0, -2.0, 0.0]], atol=1e-12)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature: float) -> None:
    with pytest.raises(ExperimentError, match=rf"temperature {temperature:g} V must be above 0"):
        SoftmaxCrossEntropy(temperature)


def test_accuracy_is_the_share_of_largest_outputs_that_are_right() -> None:
    targets = np.array([[4.0, 0.0], [0.0, 4.0], [4.0, 0.0], [0.0, 4.0]])
    assert accuracy(targets, targets) == 1.0
    assert accuracy(-targets, targets) == 0.0
    assert accuracy(np.array([[-1.0, -2.0], [0.1, 0.2], [-5.0, 0.0], [3.0, 9.0]]), targets) == 0.75
