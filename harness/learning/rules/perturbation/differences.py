"""Baselines that every chip allows: finite differences and simultaneous perturbation (Spall 1992).

Both write conductances, look at the cost and take the change back. Finite differences need two free phases for every
cell and sample; simultaneous perturbation moves all cells at once, up or down at random, and needs two for every draw:

    ∂C/∂g_k ≈ (C(g + cΔ) − C(g − cΔ)) / (2 c Δ_k),    Δ_k = ±1,

right in the mean over draws, with the other cells' derivatives as noise. A step is what is written of it: what is left
of the range at a bound, whole levels where cells have such.
"""

from collections.abc import Callable, Iterator, Sequence
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


@dataclass(frozen=True, eq=False)
class Contrast:
    """The costs after cells were moved up, and after they were moved down by the same step."""

    up: Array
    """V² of every sample, ``[batch]``."""
    down: Array
    """V² of every sample, ``[batch]``."""
    apart: Conductances
    """S by which every cell was written higher for `up` than for `down`."""


class Perturbation:
    """Moves cells up and down from the conductances that a chip holds, and back.

    Args:
        circuit: the topology and the cells' ranges.
        cost: what is lowered.
        step: S by which cells are moved.
        rule: name of the rule, for messages.

    Raises:
        ExperimentError: the step is not above 0.
    """

    def __init__(self, circuit: Circuit, cost: Cost, step: float, rule: str) -> None:
        if not step > 0:
            raise ExperimentError(f"{rule}: step {show(step, 'S')} must be above 0")
        self._arrays, self._cost, self._step, self._rule = circuit.arrays, cost, step, rule

    def moved(self, conductances: Conductances, direction: Sequence[Array]) -> Conductances:
        """Return conductances one step along `direction` (−1, 0 or 1 for every cell), S, as far as the range allows."""
        parts = zip(self._arrays, conductances, direction, strict=True)
        return tuple(np.clip(g + self._step * sign, a.g_min, a.g_max) for a, g, sign in parts)

    @contextmanager
    def on(self, chip: Programmable, batch: Batch) -> Iterator[Callable[[Sequence[Array]], Contrast]]:
        """Give a function that settles a batch one step along a direction, and one step against it.

        The chip holds what it held before when all is done.

        Raises:
            ExperimentError: no cell of an array has moved, since the chip writes in steps that are coarser.
        """
        before, asked, moved = chip.conductances, np.zeros(len(self._arrays), bool), np.zeros(len(self._arrays), bool)

        def side(direction: Sequence[Array]) -> tuple[Array, Conductances]:
            chip.program(self.moved(before, direction))
            (reading,) = chip.measure([Drive(batch.inputs)])
            return self._cost.values(reading.outputs, batch.targets), chip.conductances

        def contrast(direction: Sequence[Array]) -> Contrast:
            (up, high), (down, low) = (side([sign * part for part in direction]) for sign in (1, -1))
            apart = tuple(above - below for above, below in zip(high, low, strict=True))
            for found, arrays in ((asked, direction), (moved, apart)):
                found |= [bool(part.any()) for part in arrays]
            return Contrast(up, down, apart)

        try:
            yield contrast
        finally:
            chip.program(before)
        for k in np.flatnonzero(asked & ~moved):
            raise ExperimentError(
                f"{self._rule}: a step of {show(self._step, 'S')} moves no cell of {self._arrays[k].title}, which this "
                "chip writes in coarser ones; raise rule.step"
            )


def refuse_no_draws(rule: str, draws: int) -> None:
    """Refuse a number of random directions below 1."""
    if draws < 1:
        raise ExperimentError(f"{rule}: {draws} draws; at least 1 is needed")


def quotient(part: Array | float, whole: Array) -> Array:
    """Return `part` over `whole`, and 0 where `whole` is 0: a cell that was not moved has shown nothing."""
    return np.asarray(np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole != 0))


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
        self._perturbation = Perturbation(circuit, cost, step, "finite differences")

    @override
    def measure(self, chip: Programmable, batch: Batch, rng: np.random.Generator) -> DifferenceReadings:
        """Measure a free phase, and two more for every cell."""
        (free,) = chip.measure([Drive(batch.inputs)])
        slopes, directions = (tuple(np.zeros(g.shape) for g in chip.conductances) for _ in range(2))
        with self._perturbation.on(chip, batch) as contrast:
            for k, direction in enumerate(directions):
                for cell in np.ndindex(direction.shape):
                    direction[cell] = 1
                    found = contrast(directions)
                    direction[cell] = 0
                    slopes[k][cell] = quotient(found.up.mean() - found.down.mean(), found.apart[k][cell])
        return DifferenceReadings(batch, free, slopes)


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
        rule = "simultaneous perturbation"
        self._perturbation = Perturbation(circuit, cost, step, rule)
        refuse_no_draws(rule, draws)
        self._draws = draws

    @override
    def measure(self, chip: Programmable, batch: Batch, rng: np.random.Generator) -> DifferenceReadings:
        """Measure a free phase, and two more for every draw."""
        (free,) = chip.measure([Drive(batch.inputs)])
        total = tuple(np.zeros(g.shape) for g in chip.conductances)
        with self._perturbation.on(chip, batch) as contrast:
            for _ in range(self._draws):
                found = contrast([rng.choice([-1.0, 1.0], g.shape) for g in total])
                gained = float(found.up.mean() - found.down.mean())
                total = tuple(part + quotient(gained, apart) for part, apart in zip(total, found.apart, strict=True))
        return DifferenceReadings(batch, free, tuple(part / self._draws for part in total))
