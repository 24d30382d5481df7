"""The nodal chip: the reduced circuit solved by the package's own solver.

The reference that ngspice is compared with, an oracle for gradients, and a fast preview. It solves the diode law that
ngspice solves (`harness.devices.diode`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

from typing_extensions import override

from harness.chip.base import SIMULATED, SimulationOptions
from harness.chip.nodal import newton
from harness.chip.nodal.unreduced import TOLERANCE, UnreducedNodalChip
from harness.chip.reduced import ReducedChip
from harness.circuit import Circuit, ReducedCircuit
from harness.circuit.circuit import settled_whole
from harness.circuit.reduction.reduction import reduction_of
from harness.measurement import Drive, Reading


class NodalChip(ReducedChip):
    """A `Chip` solved by Newton's method (`harness.chip.nodal.newton`); no simulator needed.

    `tolerance` (V) bounds the last Newton step; the error that is left is of the order of its square over N V_T. Other
    arguments are those of `harness.chip.base.SimulatedChip`.
    """

    def __init__(self, circuit: Circuit, *, tolerance: float = TOLERANCE, **options: Unpack[SimulationOptions]) -> None:
        super().__init__(circuit, reduction_of(circuit), replace(SIMULATED, tolerance=tolerance), **options)
        self.tolerance = tolerance

    @override
    def _solve(self, reduced: ReducedCircuit, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        return reduced.readings(newton.settle(reduced.settling(drives), self.tolerance), drives)


def nodal_chip(
    circuit: Circuit, *, tolerance: float = TOLERANCE, **options: Unpack[SimulationOptions]
) -> NodalChip | UnreducedNodalChip:
    """Return the nodal chip for a circuit: the reduced one, but where `settled_whole` says that nothing is reduced."""
    kind = UnreducedNodalChip if settled_whole(circuit) else NodalChip
    return kind(circuit, tolerance=tolerance, **options)
