"""Baselines that every chip allows: finite differences and simultaneous perturbation (Spall 1992).

Both write conductances, look at the cost and take the change back. Finite differences need two free phases for every
cell and sample; simultaneous perturbation moves all cells at once, up or down at random, and needs two for every draw:

    ∂C/∂g_k ≈ (C(g + cΔ) − C(g − cΔ)) / (2 c Δ_k),    Δ_k = ±1,

right in the mean over draws, with the other cells' derivatives as noise. At a bound of a cell's range the step is what
the range leaves of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import numpy as np
from typing_extensions import override

from harness.circuit import Circuit
from harness.errors import ExperimentError
from harness.learning.costs import Cost
from harness.learning.rules.base import LearningRule, Programmable
from harness.measurement import Array, Batch, Conductances, Drive, Needs, Reading
from harness.units import show


@dataclass(frozen=True, eq=False)
class DifferenceReadings:
    """The readings of one batch by a baseline, with the gradient that it found."""

    batch: Batch
    free: Reading
    slopes: Conductances
    """∂C/∂g, V²/S."""


class _Probe:
    """Costs of conductances near those that the chip was programmed to."""

    def __init__(self, circuit: Circuit, cost: Cost, step: float, rule: str) -> None:
        if not step > 0:
            raise ExperimentError(f"{rule}: step {show(step, 'S')} must be above 0")
        self._arrays, self._cost, self._step = circuit.arrays, cost, step

    def moved(self, conductances: Conductances, direction: Sequence[Array]) -> Conductances:
        """Return conductances one step along `direction` (−1, 0 or 1 for every cell), S, as far as the range allows."""
        parts = zip(self._arrays, conductances, direction, strict=True)
        return tuple(np.clip(g + self._step * sign, a.g_min, a.g_max) for a, g, sign in parts)

    def cost(self, chip: Programmable, batch: Batch, conductances: Conductances) -> float:
        """The batch's mean cost, V²."""
        chip.program(conductances)
        (reading,) = chip.measure([Drive(batch.inputs)])
        return float(self._cost.values(reading.outputs, batch.targets).mean())


@contextmanager
def _restored(chip: Programmable) -> Iterator[Conductances]:
    """Give the chip's conductances, and program them again at the end."""
    before = chip.conductances
    try:
        yield before
    finally:
        chip.program(before)


class _Baseline(LearningRule[DifferenceReadings]):
    """Base of both baselines: they ask for outputs alone, and have the gradient when they have measured."""

    needs = Needs()

    @override
    def gradient(self, readings: DifferenceReadings) -> Conductances:
        return readings.slopes


@final
class FiniteDifferences(_Baseline):
    """Central differences, cell by cell.

    Args:
        circuit: the topology and the cells' ranges.
        cost: what is lowered.
        step: S by which every cell is moved up and down.

    Raises:
        ExperimentError: the step is not above 0.
    """

    def __init__(self, circuit: Circuit, cost: Cost, *, step: float) -> None:
        self._probe = _Probe(circuit, cost, step, "finite differences")

    @override
    def measure(self, chip: Programmable, batch: Batch, rng: np.random.Generator) -> DifferenceReadings:
        """Measure a free phase, and two more for every cell."""
        (free,) = chip.measure([Drive(batch.inputs)])
        slopes = tuple(np.zeros(g.shape) for g in chip.conductances)
        with _restored(chip) as before:
            for k, array in enumerate(before):
                for cell in np.ndindex(array.shape):
                    slopes[k][cell] = self._slope(chip, batch, before, k, cell)
        return DifferenceReadings(batch, free, slopes)

    def _slope(self, chip: Programmable, batch: Batch, before: Conductances, k: int, cell: tuple[int, ...]) -> float:
        direction = [np.zeros(g.shape) for g in before]
        direction[k][cell] = 1
        up, down = (self._probe.moved(before, [sign * d for d in direction]) for sign in (1, -1))
        costs = [self._probe.cost(chip, batch, there) for there in (up, down)]
        return (costs[0] - costs[1]) / float(up[k][cell] - down[k][cell])


@final
class SimultaneousPerturbation(_Baseline):
    """SPSA: all cells at once, in random directions.

    Args:
        circuit: the topology and the cells' ranges.
        cost: what is lowered.
        step: S by which every cell is moved up or down.
        draws: random directions whose estimates are averaged.

    Raises:
        ExperimentError: the step or the number of draws is not above 0.
    """

    def __init__(self, circuit: Circuit, cost: Cost, *, step: float, draws: int = 1) -> None:
        self._probe = _Probe(circuit, cost, step, "simultaneous perturbation")
        if draws < 1:
            raise ExperimentError(f"simultaneous perturbation: {draws} draws; at least 1 is needed")
        self._draws = draws

    @override
    def measure(self, chip: Programmable, batch: Batch, rng: np.random.Generator) -> DifferenceReadings:
        """Measure a free phase, and two more for every draw."""
        (free,) = chip.measure([Drive(batch.inputs)])
        total = tuple(np.zeros(g.shape) for g in chip.conductances)
        with _restored(chip) as before:
            for _ in range(self._draws):
                signs = [rng.choice([-1.0, 1.0], g.shape) for g in before]
                up, down = (self._probe.moved(before, [side * s for s in signs]) for side in (1, -1))
                gained = self._probe.cost(chip, batch, up) - self._probe.cost(chip, batch, down)
                moved = zip(total, up, down, strict=True)  # cells' ranges are wider than nothing: high is above low
                total = tuple(part + gained / (high - low) for part, high, low in moved)
        return DifferenceReadings(batch, free, tuple(part / self._draws for part in total))
