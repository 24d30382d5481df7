"""Limits of a device's conductance, against which that of its cell is checked."""

from dataclasses import dataclass

from harness.errors import CircuitError
from harness.netlist.design.parts import Design, Memristor
from harness.units import show

_ROUNDING = 1e-9
"""Relative; a conductance so little outside is at the bound."""
_DIGITS = 6


@dataclass(frozen=True)
class Limits:
    """Limits of a device's conductance, S."""

    low: float
    high: float
    device: str
    """The device's name in messages."""
    clip: bool = False
    """True where cells outside are set to the bound instead of being refused."""

    def held(self, cell: Memristor, design: Design) -> float:
        """Return the conductance of a cell's device, S.

        Raises:
            CircuitError: the device cannot conduct so much or so little; names cell, value and bounds.
        """
        if not self.clip and self._outside(cell.siemens):
            title, position = design.arrays[cell.array].title, list(cell.position)
            raise CircuitError(
                f"{title}, cell {position}: {show(cell.siemens, 'S', _DIGITS)} is outside {self}, which is what "
                f"{self.device} can conduct; --clip-cells sets such cells to the bound"
            )
        return min(max(cell.siemens, self.low), self.high)

    def about(self, design: Design) -> str:
        """A sentence about cells that were clipped."""
        programmed = [cell.siemens for _, cell in design.memristors() if cell.siemens]
        clipped = sum(map(self._outside, programmed))
        return f"{clipped} of {len(programmed)} cells were outside {self} and are at the bound." if clipped else ""

    def __str__(self) -> str:
        return f"{show(self.low, 'S', _DIGITS)}…{show(self.high, 'S', _DIGITS)}"

    def _outside(self, siemens: float) -> bool:
        return not self.low * (1 - _ROUNDING) <= siemens <= self.high * (1 + _ROUNDING)
