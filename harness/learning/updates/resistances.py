"""Updates in resistances: each step is taken in ohms, as Lin et al. 2026 write their learning rule.

With R = 1/g the gradient is ∂C/∂R = −g² ∂C/∂g. The same network learns along another path than in conductances: equal
steps in ohms move small resistances, which are large conductances, most.
"""

from dataclasses import dataclass, replace

import numpy as np
from typing_extensions import override

from harness.errors import ExperimentError
from harness.learning.updates.updates import UpdateRule, UpdateState
from harness.measurement import Array, Conductances


@dataclass(frozen=True, eq=False)
class ResistanceUpdate(UpdateRule):
    """An update rule that steps in resistances, which stay between those of the cells' largest and smallest g.

    A step needs to know where it begins: `at` gives the rule for conductances that are programmed now. An open cell
    (g = 0) has an infinite resistance, which no step in ohms changes; it stays open.

    Raises:
        ExperimentError: a step is asked for without `at`.
    """

    update: UpdateRule
    """The rule in ohms: its rates and its state are those of resistances."""
    ranges: tuple[tuple[float, float], ...]
    """Smallest and largest conductance of each array, S."""

    def at(self, conductances: Conductances) -> "ResistanceUpdate":
        """Return the rule for a step that begins at conductances, S."""
        return _Located(self.update, self.ranges, conductances)

    @override
    def init(self, conductances: Conductances) -> UpdateState:
        return self.update.init(conductances)

    @override
    def step(self, gradient: Conductances, state: UpdateState) -> tuple[Conductances, UpdateState]:
        raise ExperimentError("an update in resistances steps from conductances; ask update.at(conductances) for it")

    @override
    def scaled(self, factor: float) -> "ResistanceUpdate":
        return replace(self, update=self.update.scaled(factor))


@dataclass(frozen=True, eq=False)
class _Located(ResistanceUpdate):
    conductances: Conductances

    @override
    def step(self, gradient: Conductances, state: UpdateState) -> tuple[Conductances, UpdateState]:
        slopes = tuple(-g * g * slope for g, slope in zip(self.conductances, gradient, strict=True))
        changes, state = self.update.step(slopes, state)
        moved = zip(self.conductances, changes, self.ranges, strict=True)
        return tuple(_change(g, change, *bounds) for g, change, bounds in moved), state


def _change(g: Array, change: Array, g_min: float, g_max: float) -> Array:
    """Return the change of conductance, S, that a change of resistance, Ω, amounts to within the cells' range."""
    closed = g > 0
    ohms = 1 / np.where(closed, g, 1.0) + change
    moved = np.where(ohms > 0, 1 / np.where(ohms > 0, ohms, 1.0), np.inf)
    return np.where(closed, np.clip(moved, g_min, g_max) - g, 0.0)
