"""Generalized equilibrium propagation of every order, against a second oracle: own equations, own Newton iteration.

The oracle knows the network as a list of edges and diodes. It writes Kirchhoff's law with the textbook's diode, solves
it with a dense matrix, and differentiates what a rule claims to lower by finite differences, or by complex steps where
the network is linear. Nothing of it is the harness's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Diode, Edges, InputSource, Output
from harness.devices import DiodeModel
from harness.errors import ExperimentError
from harness.learning import CoupledLearning, GeneralizedEquilibriumPropagation, SquaredError, Variant
from harness.learning.rules.base import LearningRule
from harness.measurement import Array, Batch, Clamp, Drive, Injection, Nudge, Spring
from harness.studies.check import finite_differences
from tests.conftest import kendall, random_batch

NODES = ("x0", "x1", "h0", "h1", "h2", "y0", "y1", "0")
EDGES = [
    *("x0-h0", "x1-h0", "x0-h1", "x1-h1", "x1-h2", "h0-h1", "h1-h2", "h0-0", "h2-0"),
    *("h0-y0", "h1-y0", "h2-y0", "h1-y1", "h2-y1", "y0-y1", "y0-0", "y1-0"),
]
DIODES = ["h0-0", "h1-h2", "y1-0"]  # anode-cathode
G = np.random.default_rng(3).uniform(0.2, 1.0, len(EDGES))  # S
SATURATION, WIDTH = 1e-4, 2 * 1.38064852e-23 * 300.15 / 1.6021766208e-19  # A, N V_T in V
INPUTS, TARGETS = np.array([0.9, 0.5]), np.array([0.1, 0.35])  # V
HELD, FREE, OUT = [0, 1, 7], [2, 3, 4, 5, 6], [5, 6]


def ends(pairs: list[str]) -> Array:
    """One row for each branch: +1 at its first node, −1 at its second."""
    rows = np.zeros((len(pairs), len(NODES)))
    for row, pair in zip(rows, pairs, strict=True):
        first, second = pair.split("-")
        row[NODES.index(first)], row[NODES.index(second)] = 1, -1
    return rows


@dataclass(frozen=True)
class Oracle:
    """The network in equations of its own."""

    diodes: bool

    def content(self, g: Array, v: Array) -> float:
        """E = Σ ½ g Δv² + Σ ∫ i dv, W."""
        total = 0.5 * g @ (ends(EDGES) @ v) ** 2
        drops = ends(DIODES) @ v
        return total + self.diodes * SATURATION * (WIDTH * np.expm1(drops / WIDTH) - drops).sum()

    def settled(self, g: Array, springs: float = 0.0, to: Array = TARGETS, held: Array | None = None) -> Array:
        """V of every node, with springs at the outputs, or with the outputs held."""
        v, free = np.zeros(len(NODES)), FREE if held is None else FREE[:3]
        v[:2] = INPUTS
        if held is not None:
            v[OUT] = held
        cells, junctions = ends(EDGES), ends(DIODES)
        for _ in range(100):
            drops = np.minimum(junctions @ v, 1.0)
            amperes = self.diodes * SATURATION * np.expm1(drops / WIDTH)
            slopes = self.diodes * SATURATION / WIDTH * np.exp(drops / WIDTH)
            residual = cells.T @ (g * (cells @ v)) + junctions.T @ amperes
            jacobian = cells.T @ (g[:, None] * cells) + junctions.T @ (slopes[:, None] * junctions)
            residual[OUT] += springs * (v[OUT] - to)
            jacobian[OUT, OUT] += springs
            step = np.linalg.solve(jacobian[np.ix_(free, free)], -residual[free])
            v[free] += step * min(1.0, 0.1 / np.abs(step).max(initial=1e-300))
            if np.abs(step).max() < 1e-15:
                break
        assert np.abs(residual[free]).max() < 1e-13
        assert not self.diodes or (junctions @ v).min() > -3 * WIDTH  # below, ngspice's diode is another one
        return v

    def gradient(self, function: Callable[[Array], float]) -> Array:
        """Central differences of sixth order by every conductance."""
        found, change = np.zeros(len(G)), 2e-3
        for k in range(len(G)):
            each = {s: function(G + s * change * np.eye(len(G))[k]) for s in (-3, -2, -1, 1, 2, 3)}
            found[k] = sum(w * (each[s] - each[-s]) for s, w in ((1, 45), (2, -9), (3, 1))) / (60 * change)
        return found

    def circuit(self) -> Circuit:
        """The same network for the harness."""
        a, b = (tuple(pair.split("-")[side] for pair in EDGES) for side in (0, 1))
        model = DiodeModel("d", SATURATION, 2.0)
        diodes = [Diode(f"d{k}", *pair.split("-"), model) for k, pair in enumerate(DIODES)] if self.diodes else []
        sources = [InputSource(pin, pin, k, 1.0) for k, pin in enumerate(NODES[:2])]
        return Circuit(
            "small",
            (*sources, Edges("w", a, b, G, 1e-3, 10.0), *diodes),
            (Output("y0", "y0"), Output("y1", "y1")),
        )

    def measured(self, rule: LearningRule) -> Array:
        """The direction of a rule on the harness's chip."""
        batch, chip = Batch(INPUTS[None], TARGETS[None]), NodalChip(self.circuit(), tolerance=1e-13)
        (found,) = rule.gradient(rule.measure(chip, batch, np.random.default_rng(0)))
        return found

    def nudged(self, nudge: Callable[[float, Array, Array], Nudge], b: float, order: int, **options: object) -> Array:
        """The direction of generalized equilibrium propagation, one-sided unless told otherwise."""
        how = {"variant": "one-sided", **options}
        rule = GeneralizedEquilibriumPropagation(self.circuit(), nudge, strength=b, order=order, **how)
        return self.measured(rule)


LINEAR, NONLINEAR = Oracle(diodes=False), Oracle(diodes=True)


def apart(ours: Array, theirs: Array) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def squared_error(g: Array) -> float:
    return float(0.5 * ((NONLINEAR.settled(g)[OUT] - TARGETS) ** 2).sum())


def power_of(k: int) -> Callable[[float, Array, Array], Nudge]:
    """Springs of b^k, n = b^k C."""
    return lambda b, free, targets: Spring(b**k, targets)


def towards(b: float, free: Array, targets: Array) -> Spring:
    """Springs of 2 S to where the outputs are, moved a share b of the way to their targets."""
    return Spring(2.0, free + b * (targets - free))


@pytest.mark.parametrize(
    ("k", "variant", "sign", "slope"),
    [(k, Variant.ONE_SIDED, sign, k) for k in (1, 2, 3) for sign in (1, -1)]
    + [(k, Variant.CENTERED, 1, 2 * k) for k in (1, 3)]
    + [(2, Variant.RANDOM_SIGN, 1, 2)],
)
def test_the_error_against_b_has_the_slope_of_theory(k: int, variant: Variant, sign: int, slope: int) -> None:
    """n = b^k C: error of order b^k, and of b^2k where both signs are compared; fitted where differences see it."""
    truth = NONLINEAR.gradient(squared_error)
    strengths = np.geomspace(0.01, 0.1, 5) ** (1 / k)
    errors = []
    for b in strengths:
        found = NONLINEAR.nudged(power_of(k), sign * b, k, variant=variant)
        assert found @ truth / np.linalg.norm(found) / np.linalg.norm(truth) > 0.98
        errors.append(apart(found, truth))
    assert min(errors) > 1e-7
    assert np.polyfit(np.log(strengths), np.log(errors), 1)[0] == pytest.approx(slope, abs=0.1)


def test_a_term_of_the_next_power_in_the_nudge_sets_the_slope() -> None:
    """Springs of b² + b³: what follows b² is one power above, so the error is of order b."""
    truth, strengths = NONLINEAR.gradient(squared_error), np.geomspace(1e-3, 1e-2, 4)
    found = [NONLINEAR.nudged(lambda b, free, targets: Spring(b**2 + b**3, targets), b, 2) for b in strengths]
    errors = [apart(one, truth) for one in found]
    assert np.polyfit(np.log(strengths), np.log(errors), 1)[0] == pytest.approx(1, abs=0.1)


def whole_field(b: float) -> Callable[[Array], float]:
    """(F(b) − F(0)) / b² of `towards`, each at its own state, as a function of the conductances."""

    def function(g: Array) -> float:
        free = NONLINEAR.settled(g)
        to = free[OUT] + b * (TARGETS - free[OUT])
        nudged = NONLINEAR.settled(g, 2.0, to)
        added = 0.5 * 2.0 * ((nudged[OUT] - to) ** 2).sum()
        return (NONLINEAR.content(g, nudged) + added - NONLINEAR.content(g, free)) / b**2

    return function


WHOLE = {"order": 2, "through_free": True}


@pytest.mark.parametrize("b", [0.5, -0.3])
def test_through_the_free_outputs_the_direction_is_the_derivative_of_the_whole_training_field(b: float) -> None:
    expected = NONLINEAR.gradient(whole_field(b))
    assert apart(NONLINEAR.nudged(towards, b, **WHOLE), expected) < 1e-8
    without = NONLINEAR.nudged(towards, b, order=1)
    assert abs(without @ expected) < 0.9999 * np.linalg.norm(without) * np.linalg.norm(expected)


def error_and_conductance(g: Array, springs: float) -> tuple[Array, Array]:
    """The linear network's e (V), and its K (S) at the outputs with springs in series."""
    cells = ends(EDGES)
    laplacian = cells.T @ (g[:, None] * cells)
    ohms = np.linalg.inv(laplacian[np.ix_(FREE, FREE)])
    error = TARGETS - (-ohms @ laplacian[np.ix_(FREE, HELD)] @ np.append(INPUTS, 0.0))[-2:]
    return error, np.linalg.inv(ohms[-2:, -2:] + np.eye(2) / springs)


def error_power(g: Array, springs: float = np.inf) -> complex:
    """½ eᵀK e of the linear network, W."""
    error, seen = error_and_conductance(g, springs)
    return 0.5 * error @ seen @ error


def complex_steps(function: Callable[[Array], complex]) -> Array:
    """The derivative by every conductance, to rounding."""
    return np.array([function(G + 1e-30j * cell).imag / 1e-30 for cell in np.eye(len(G))])


@pytest.mark.parametrize("b", [1.0, 0.2, -0.2])
def test_on_a_linear_network_moved_springs_give_the_slope_of_the_errors_power_at_every_b(b: float) -> None:
    """K counts with its own derivative, in series with the springs; coupled learning holds it fixed."""
    expected = complex_steps(lambda g: error_power(g, 2.0))
    assert apart(LINEAR.nudged(towards, b, **WHOLE), expected) < 1e-9


@pytest.mark.parametrize("b", [1.0, 0.01])
def test_without_the_way_through_the_free_outputs_the_conductance_is_held_fixed(b: float) -> None:
    _, held = error_and_conductance(G, 2.0)

    def power(g: Array) -> complex:
        error, _ = error_and_conductance(g, 2.0)
        return 0.5 * error @ held @ error

    assert apart(LINEAR.nudged(towards, b, order=1, variant="centered"), complex_steps(power)) < 1e-10


def test_moved_springs_have_an_error_of_order_b_that_a_random_sign_averages_out() -> None:
    limit, strengths, errors = NONLINEAR.nudged(towards, 1e-4, **WHOLE), [0.1, 0.2, 0.4], []
    for b in strengths:
        sides = [NONLINEAR.nudged(towards, side * b, **WHOLE) for side in (1, -1)]
        errors.append([apart(sides[0], limit), apart((sides[0] + sides[1]) / 2, limit)])
    np.testing.assert_allclose(np.polyfit(np.log(strengths), np.log(errors), 1)[0], [1, 2], atol=0.1)


def test_coupled_learning_at_eta_1_is_the_gradient_of_the_errors_power_with_its_conductance_varying() -> None:
    expected = complex_steps(error_power)
    found = LINEAR.measured(CoupledLearning(LINEAR.circuit(), SquaredError(), eta=1.0))
    assert apart(found, expected) < 1e-11
    little = LINEAR.measured(CoupledLearning(LINEAR.circuit(), SquaredError(), eta=1e-3))
    assert apart(little, expected) > 0.05


def test_with_diodes_it_is_the_gradient_of_what_the_clamp_adds_to_the_co_content() -> None:
    def added(g: Array) -> float:
        return NONLINEAR.content(g, NONLINEAR.settled(g, held=TARGETS)) - NONLINEAR.content(g, NONLINEAR.settled(g))

    found = NONLINEAR.measured(CoupledLearning(NONLINEAR.circuit(), SquaredError(), eta=1.0))
    assert apart(found, NONLINEAR.gradient(added)) < 1e-9


class Drawn:
    """A cost of outputs alone: their sum with given weights (A), V A."""

    def __init__(self, weights: Array) -> None:
        self.weights = weights

    def values(self, outputs: Array, targets: Array) -> Array:
        return (self.weights * outputs).sum(axis=1)


def test_the_way_through_the_free_outputs_counts_amplifiers_as_the_contrast_does() -> None:
    base = kendall([4])
    circuit = base.with_conductances([np.clip(g, 0.02, 5.0) for g in base.conductances])
    batch, chip, b = random_batch(circuit), NodalChip(circuit, tolerance=1e-12), 0.3
    rule = GeneralizedEquilibriumPropagation(circuit, towards, strength=b, variant="one-sided", **WHOLE)
    readings = rule.measure(chip, batch, np.random.default_rng(0))
    whole = rule.gradient(readings)
    contrast = rule.gradient(replace(readings, through_free=None))
    to = readings.free.outputs + b * (batch.targets - readings.free.outputs)
    weights = 2.0 * (to - readings.high.outputs) * (1 - b)
    cells = [np.argwhere(np.ones(array.shape, bool)) for array in circuit.arrays]
    expected = finite_differences(circuit, Drawn(weights), batch, cells)
    for all_of_it, part, other in zip(whole, contrast, expected, strict=True):
        assert apart(b**2 * (all_of_it - part).ravel(), other) < 1e-7


def generalized(**changes: object) -> GeneralizedEquilibriumPropagation:
    options = {"nudge": power_of(1), "order": 1, "strength": 0.1, **changes}
    return GeneralizedEquilibriumPropagation(LINEAR.circuit(), **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"order": 2},
            r"b\^2 is the same for b and −b, so that a centered contrast of order 2 would be divided by 0; ",
        ),
        ({"order": 4}, "take variant 'one-sided' or 'random-sign', or an odd order"),
        ({"order": -1}, "order -1 must be a whole number above 0"),
        ({"order": np.inf}, "order inf must be a whole number above 0"),
        ({"order": 1.5}, "order 1.5 must be a whole number above 0"),
        ({"strength": 0.0}, "strength 0 to the power of its order 1 must be a number between 1e-290 and 1e290"),
        ({"strength": np.nan}, "strength nan to the power of its order 1 must be a number"),
        ({"strength": np.inf}, "strength inf to the power"),
        ({"strength": 1e-100, "order": 3}, "strength 1e-100 to the power of its order 3 must be a number"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ExperimentError, match=f"generalized equilibrium propagation: .*{message}|{message}"):
        generalized(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nudge": power_of(2)}, r"the pull of this nudge grows as b\^2 for small b, and order 1 divides by b\^1"),
        ({"nudge": power_of(1), "order": 3}, r"grows as b\^1 for small b, and order 3 divides by b\^3; give the order"),
        ({"nudge": towards, "order": 2, "variant": "one-sided"}, r"the pull of this nudge grows as b\^1 for small b"),
        (
            {"nudge": towards, "order": 1, "variant": "one-sided", "through_free": True},
            r"the energy of this nudge grows as b\^2 for small b, and order 1 divides by b\^1",
        ),
        (
            {"nudge": lambda b, f, y: Injection(0.01 * np.sign(y - f))},
            r"the pull of this nudge grows as b\^0 for small",
        ),
        ({"nudge": lambda b, f, y: Spring(float(b > 1e-3), y)}, r"grows as b\^inf for small b, and order 1 divides"),
        ({"nudge": lambda b, f, y: Injection(np.nan * y)}, "the nudge is not finite at strength 0.00078125; mend"),
        ({"nudge": lambda b, f, y: b * (y - f)}, "the nudge is a ndarray, not Spring, Injection or Clamp"),
        (
            {"nudge": lambda b, f, y: Spring(b, y[0])},
            r"the nudge has values of shape \(2,\), and the outputs \(1, 2\)",
        ),
        (
            {"nudge": lambda b, f, y: Clamp(f + b * (y - f)), "order": 2, "variant": "one-sided", "through_free": True},
            r"through_free takes springs, whose energy is known, and this nudge is of kind Clamp; pull by a Spring",
        ),
    ],
)
def test_nudges_that_do_not_grow_as_they_are_said_to_are_refused_before_they_pull(changes: dict, message: str) -> None:
    chip = NodalChip(LINEAR.circuit())
    with pytest.raises(ExperimentError, match=message):
        generalized(**changes).measure(chip, Batch(INPUTS[None], TARGETS[None]), np.random.default_rng(0))
    assert chip.ledger.phases == 1


@pytest.mark.parametrize("off", [0.0, 1e-15, 1e-9])
def test_where_outputs_are_right_there_is_no_pull_and_no_slope(off: float) -> None:
    """So near that the growth of a pull is a matter of rounding, an order is not disputed."""
    chip, inputs = NodalChip(LINEAR.circuit()), INPUTS[None]
    (free,) = chip.measure([Drive(inputs)])
    for nudge, options in (
        (lambda b, f, y: Injection(b**3 * (y - f)), {"order": 3}),
        (lambda b, f, y: Clamp(f + b**3 * (y - f)), {"order": 3}),
        (towards, {"order": 1}),
        (towards, {**WHOLE, "variant": "one-sided"}),
    ):
        rule = generalized(nudge=nudge, **options)
        (found,) = rule.gradient(rule.measure(chip, Batch(inputs, free.outputs + off), np.random.default_rng(0)))
        assert np.abs(found).max() < 1e-8
