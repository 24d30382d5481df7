"""Simulated chips that solve the circuit reduced exactly: what ngspice's and the nodal one have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import groupby
from typing import Unpack

import numpy as np
from typing_extensions import override

from harness.chip.base import SimulatedChip, SimulationOptions
from harness.circuit import Circuit, ReducedCircuit, Reduction
from harness.measurement import Array, Capabilities, Drive, Index, Reading


class ReducedChip(SimulatedChip):
    """A `SimulatedChip` of a reduction; how it solves a reduced circuit is said below it."""

    def __init__(
        self, circuit: Circuit, reduction: Reduction, capabilities: Capabilities, **options: Unpack[SimulationOptions]
    ) -> None:
        super().__init__(circuit, capabilities, **options)
        self.reduction = reduction

    @abstractmethod
    def _solve(self, reduced: ReducedCircuit, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """The readings of drives that are alike."""

    def _alike(self, drive: Drive) -> tuple[object, ...]:
        """Return what is the same for all drives that are solved together: here, that they see one network."""
        return self._is_whole(drive), drive.adjoint, drive.reversal is not None

    @override
    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """Solve neighbouring drives together that are alike."""
        reduced = self.reduction.reduce(self.conductances)
        readings: list[Reading] = []
        for (whole, *_), group in groupby(drives, self._alike):
            readings += self._solve(self._whole.reduce(self.conductances) if whole else reduced, list(group))
        return tuple(readings)

    @cached_property
    def _whole(self) -> Reduction:
        """The reduction that eliminates no node."""
        return Reduction(self.circuit, np.zeros(len(self.circuit.nodes)) if self.farads is None else self.farads)

    @override
    def _bears(self, beta: float) -> bool:
        return self.reduction.reduce(self.conductances).withstands(beta)

    @override
    def _unstable(self, spring: float, volts: Array) -> Index:
        found = self.reduction.reduce(self.conductances).unstable(spring, volts)
        return super()._unstable(spring, volts) if found is None else found
