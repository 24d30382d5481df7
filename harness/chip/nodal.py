"""The nodal chip: the reduced circuit solved in NumPy.

The reference that ngspice is compared with, an oracle for gradients, and a fast preview. It solves the diode law that
ngspice solves (`harness.devices.diode`).
"""

from collections.abc import Sequence

from harness.chip import newton
from harness.chip.base import ProgrammedArrays, check_drives
from harness.circuit import Circuit, Reduction
from harness.measurement import Array, Conductances, Drive, Reading


class NodalChip:
    """A `Chip` solved by Newton's method (`harness.chip.newton`); no simulator needed.

    `tolerance` (V) bounds the last Newton step; the error that is left is of the order of its square over N V_T.
    """

    def __init__(self, circuit: Circuit, *, tolerance: float = 1e-7) -> None:
        self._arrays = ProgrammedArrays(circuit)
        self._reduction = Reduction(circuit)
        self._tolerance = tolerance

    @property
    def circuit(self) -> Circuit:  # noqa: D102 - said once, on the protocol
        return self._arrays.circuit

    @property
    def conductances(self) -> Conductances:  # noqa: D102
        return self._arrays.conductances

    @property
    def simulator_seconds(self) -> None:  # noqa: D102
        return None

    def program(self, conductances: Sequence[Array]) -> None:  # noqa: D102
        self._arrays.program(conductances)

    def adjust(self, wanted: Sequence[Array]) -> Conductances:  # noqa: D102
        return self._arrays.adjust(wanted)

    def close(self) -> None:  # noqa: D102
        pass

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:  # noqa: D102
        check_drives(self.circuit, drives)
        reduced = self._reduction.reduce(self.conductances)
        return reduced.readings(newton.settle(reduced.settling(drives), self._tolerance), drives)
