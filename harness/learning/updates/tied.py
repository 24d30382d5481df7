"""Tied updates: copies of one cell at many positions learn together, as the weights of a convolution do."""

from dataclasses import dataclass, replace

import numpy as np
from typing_extensions import override

from harness.circuit import Circuit, Convolution
from harness.learning.updates.updates import UpdateRule, UpdateState
from harness.measurement import Array, Conductances


@dataclass(frozen=True, eq=False)
class TiedUpdate(UpdateRule):
    """An update rule that sees, for each of a tied kernel's copies, the sum of all copies' gradients.

    That sum is ∂C/∂g of the one conductance that they share. All copies are therefore asked for the same change. Each
    remains a device of its own: what is written, with noise or by pulses, differs from copy to copy.
    """

    update: UpdateRule
    positions: tuple[int, ...]
    """Copies of each cell, one number for each trainable array; 1 where cells are not tied."""

    @override
    def init(self, conductances: Conductances) -> UpdateState:
        return self.update.init(conductances)

    @override
    def step(self, gradient: Conductances, state: UpdateState) -> tuple[Conductances, UpdateState]:
        return self.update.step(tuple(map(_summed, gradient, self.positions)), state)

    @override
    def scaled(self, factor: float) -> "TiedUpdate":
        return replace(self, update=self.update.scaled(factor))


def copies(circuit: Circuit) -> tuple[int, ...]:
    """Return how many copies of each cell of every trainable array learn together."""
    return tuple(a.positions if isinstance(a, Convolution) and a.tied else 1 for a in circuit.arrays)


def _summed(gradient: Array, positions: int) -> Array:
    """Give each copy the sum over all copies, V²/S; position by position is how cells are counted."""
    if positions == 1:
        return gradient
    return np.tile(gradient.reshape(positions, -1).sum(axis=0), positions)
