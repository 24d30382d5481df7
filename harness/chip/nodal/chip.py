"""The nodal chip: the reduced circuit solved by the package's own solver.

The reference that ngspice is compared with, an oracle for gradients, and a fast preview. It solves the diode law that
ngspice solves (`harness.devices.diode`).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from typing import Unpack

import numpy as np
from typing_extensions import override

from harness.chip.base import SIMULATED, SimulatedChip, SimulationOptions
from harness.chip.nodal import newton
from harness.chip.nodal.unreduced import TOLERANCE, UnreducedNodalChip
from harness.circuit import Circuit, Reduction
from harness.circuit.circuit import nonlinear_arrays
from harness.circuit.reduction.reduction import reduction_of
from harness.measurement import Array, Drive, Index, Reading


class NodalChip(SimulatedChip):
    """A `Chip` solved by Newton's method (`harness.chip.nodal.newton`); no simulator needed.

    `tolerance` (V) bounds the last Newton step; the error that is left is of the order of its square over N V_T. Other
    arguments are those of `SimulatedChip`.
    """

    def __init__(self, circuit: Circuit, *, tolerance: float = TOLERANCE, **options: Unpack[SimulationOptions]) -> None:
        super().__init__(circuit, replace(SIMULATED, tolerance=tolerance), **options)
        self.reduction, self.tolerance = reduction_of(circuit), tolerance

    @override
    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        reduced = self.reduction.reduce(self.conductances)
        readings: list[Reading] = []
        for (whole, _), group in groupby(drives, lambda drive: (self._is_whole(drive), _kind(drive))):
            alike, here = list(group), self._whole.reduce(self.conductances) if whole else reduced
            readings += here.readings(newton.settle(here.settling(alike), self.tolerance), alike)
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


def _kind(drive: Drive) -> tuple[bool, bool]:
    """Return what is the same for all drives of one network: the circuit's own, or one with transposed conductances."""
    return drive.adjoint, drive.reversal is not None


def nodal_chip(
    circuit: Circuit, *, tolerance: float = TOLERANCE, **options: Unpack[SimulationOptions]
) -> NodalChip | UnreducedNodalChip:
    """Return the nodal chip for a circuit: the reduced one, but where cells are nonlinear, which nothing reduces."""
    kind = UnreducedNodalChip if nonlinear_arrays(circuit) else NodalChip
    return kind(circuit, tolerance=tolerance, **options)
