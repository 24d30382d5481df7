"""Accumulated updates: wanted changes are summed digitally and written in portions worth a write.

Mixed-precision training (Nandakumar et al. 2020, Front. Neurosci. 14, 406) keeps a high-precision sum χ for every cell,
writes the whole multiples of a threshold ε in it, and leaves the rest in the sum.
"""

from dataclasses import dataclass, replace

import numpy as np
from typing_extensions import override

from harness.errors import ExperimentError
from harness.learning.updates.updates import UpdateRule, UpdateState
from harness.measurement import Conductances
from harness.units import show


@dataclass(frozen=True)
class AccumulatedUpdate(UpdateRule):
    """An update rule whose changes are summed, cell by cell; only whole multiples of a threshold are let through.

    The sums are the last slot of the state, S. A threshold of 0 is the inner rule bit for bit.

    Raises:
        ExperimentError: the threshold is negative or not finite.
    """

    update: UpdateRule
    threshold: float
    """S."""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < np.inf:
            raise ExperimentError(f"update: threshold {show(self.threshold, 'S')} must be finite and not negative")

    @override
    def init(self, conductances: Conductances) -> UpdateState:
        state = self.update.init(conductances)
        return replace(state, slots=(*state.slots, tuple(np.zeros_like(g) for g in conductances)))

    @override
    def step(self, gradient: Conductances, state: UpdateState) -> tuple[Conductances, UpdateState]:
        *inner, sums = state.slots
        change, after = self.update.step(gradient, replace(state, slots=tuple(inner)))
        if self.threshold == 0:
            return change, replace(after, slots=(*after.slots, sums))
        sums = tuple(kept + new for kept, new in zip(sums, change, strict=True))
        written = tuple(np.trunc(kept / self.threshold) * self.threshold for kept in sums)
        rest = tuple(kept - out for kept, out in zip(sums, written, strict=True))
        return written, replace(after, slots=(*after.slots, rest))

    @override
    def scaled(self, factor: float) -> "AccumulatedUpdate":
        """See `UpdateRule`; the threshold stays."""
        return replace(self, update=self.update.scaled(factor))
