"""Steps in resistances: against finite differences in ohms, at bounds, and through an experiment file."""

import numpy as np
import pytest

from harness.chip.nodal.chip import nodal_chip
from harness.circuit.networks.families import grid
from harness.circuit.networks.free import free_graph
from harness.circuit.networks.layered import CellRange
from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.learning import SGD, AnalyticalGradient, SquaredError
from harness.learning.updates.resistances import ResistanceUpdate
from harness.measurement import Batch, Conductances, Drive
from harness.training.controller import EpochDone, training
from harness.training.position import Position

RANGE = (1e-5, 1e-2)


def test_a_step_in_ohms_goes_against_the_gradient_of_finite_differences_in_ohms() -> None:
    cells, rng = CellRange(1e-3, *RANGE), np.random.default_rng(1)
    circuit = free_graph(grid(3, 3), ["0", "8"], ["4", "2"], cells=cells, rng=rng, grounds=["6"])
    batch = Batch(rng.uniform(-1, 1, (4, 2)), rng.uniform(-1, 1, (4, 2)))
    chip, cost = nodal_chip(circuit, tolerance=1e-12), SquaredError(classes=False)
    rule = AnalyticalGradient(circuit, cost)
    gradient = rule.gradient(rule.measure(chip, batch, rng))
    rate = 1.0  # Ω²/V²: steps of far less than an ohm, of a thousand
    update = ResistanceUpdate(SGD((rate,)), (RANGE,)).at(chip.conductances)
    (change,), _ = update.step(gradient, update.init(chip.conductances))
    (g,) = circuit.conductances
    ohms = 1 / (g + change) - 1 / g

    def loss(resistances: np.ndarray) -> float:  # type: ignore[type-arg]
        chip.program([1 / resistances])
        (reading,) = chip.measure([Drive(batch.inputs)])
        return float(cost.values(reading.outputs, batch.targets).mean())

    for k in range(len(g)):
        step = np.zeros(len(g))
        step[k] = 1e-4 / g[k]
        slope = (loss(1 / g + step) - loss(1 / g - step)) / (2 * step[k])
        assert ohms[k] == pytest.approx(-rate * slope, rel=1e-4, abs=1e-11)


def _step(g: list[float], ohms: list[float]) -> list[float]:
    given: Conductances = (np.array(g),)
    slopes: Conductances = (np.array(ohms) / np.maximum(np.array(g), 1e-30) ** 2,)  # so that ∂C/∂R = −ohms
    update = ResistanceUpdate(SGD((1.0,)), (RANGE,)).at(given)
    (change,), _ = update.step(slopes, update.init(given))
    return [float(x) for x in np.array(g) + change]


def test_resistances_stay_within_those_of_the_cells() -> None:
    down, up, moved, opened = _step([1e-3, 1e-3, 1e-3, 0.0], [-2e3, 1e9, 1e3, 1e3])
    assert (down, up) == pytest.approx(RANGE[::-1])  # below 0 Ω is the largest conductance
    assert moved == pytest.approx(1 / 2e3)
    assert opened == 0


def test_a_step_without_a_place_is_refused() -> None:
    update = ResistanceUpdate(SGD((1.0,)), (RANGE,))
    with pytest.raises(ExperimentError, match="steps from conductances"):
        update.step((np.ones(1),), update.init((np.ones(1),)))


def _losses(overrides: list[str]) -> list[float]:
    own = ["chip.kind=nodal", "update.variable=resistance", "training.epochs=3", *overrides]
    subject = Experiment.load("regression", own)
    with subject.open_chip() as chip:
        start = Position(chip.conductances, subject.update.init(chip.conductances))
        parts = chip, subject.rule, subject.update, subject.cost, subject.data, subject.plan, start
        return [event.row.test_loss for event in training(*parts) if isinstance(event, EpochDone)]


@pytest.mark.parametrize(
    "update",
    [["rule.kind=analytical-gradient"], [], ["update.kind=sgd", "update.rates=[0.5]"]],
    ids=["adam", "adam, coupled", "sgd, coupled"],
)
def test_rates_count_in_units_of_the_network(update: list[str]) -> None:
    """A linear network of ten times the conductances learns the same with the same numbers."""
    losses = _losses(update)
    larger = _losses([*update, "network.g_unit=10 mS", "network.g_min=100 uS", "network.g_max=100 mS"])
    assert losses == pytest.approx(larger, rel=1e-6)
    assert losses[-1] < losses[0]


def test_portions_count_in_ohms_too() -> None:
    subject = Experiment.load("regression", ["update.variable=resistance", "update.accumulate=0.1"])
    assert isinstance(subject.update, ResistanceUpdate)
    assert vars(subject.update.update)["threshold"] == pytest.approx(0.1 / 1e-3)  # Ω, a tenth of 1/g_unit
