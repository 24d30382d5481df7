"""Chips of one topology that settle in one call, as one more axis before the samples."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.chip.base import Tally, asked, check_changes, check_drives
from harness.chip.metering import Ledger
from harness.chip.nodal import newton
from harness.chip.nodal.chip import NodalChip
from harness.circuit.reduction.reduction import ReducedCircuit
from harness.errors import ChipError, SpringError
from harness.measurement import Array, Conductances, Drive, Reading, Spring


class NodalStack:
    """Ideal nodal chips that differ in their conductances alone.

    All arrays are those of one chip, with the chips as their first axis: conductances ``[chips, word, bit]``, inputs
    ``[chips, batch, channels]``. Rules that take readings of this shape learn on it as on one chip.

    Args:
        chip: one of these chips; the others have its circuit but for the conductances.
        conductances: S, those of each chip.

    Raises:
        ChipError: parts of the circuit are eliminated before it is solved, which is done for one chip at a time.
    """

    def __init__(self, chip: NodalChip, conductances: Sequence[Conductances]) -> None:
        if not chip.reduction.stacks:
            raise ChipError(f"circuit {chip.circuit.name}: {UNSTACKED}")
        self.circuit = chip.circuit
        self.capabilities = replace(
            chip.capabilities, small_signal=False, adjoint=False, oscillating=False, reversal=False, node_currents=False
        )
        self.conductances: Conductances = tuple(map(np.stack, zip(*conductances, strict=True)))
        self.ledger = Ledger()
        """The ledger of all that was asked of each chip so far, but for the conductances written."""
        self.written = np.zeros(len(conductances), np.intp)
        """Conductances written so far, ``[chips]``."""
        self._chip = chip
        self._last: tuple[Conductances, ReducedCircuit] | None = None

    def __len__(self) -> int:
        return len(self.written)

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """Let every chip settle under each drive; see `harness.chip.base.Chip.measure`.

        What a chip reads is what it reads alone. An error does not say which chip it is of: ask one after the other.
        """
        check_drives(self.circuit, self.capabilities, drives, (len(self),))
        if self._last is None or self._last[0] is not self.conductances:
            self._last = self.conductances, self._chip.reduction.reduce_stack(self.conductances)
        reduced = self._last[1]
        self._refuse_unstable(drives, reduced)
        readings = reduced.readings(newton.settle_stack(reduced.settling(drives), self._chip.tolerance), drives)
        self.ledger += asked(self.circuit, drives)
        return tuple(replace(reading, tally=Tally(self, reading)) for reading in readings)

    def _refuse_unstable(self, drives: Sequence[Drive], reduced: ReducedCircuit) -> None:
        """Refuse springs of −β that one of the chips does not bear; see `harness.chip.base.refuse_unstable`."""
        strongest = np.zeros((len(self), 1, 1))
        for drive in drives:
            if isinstance(drive.nudge, Spring):
                strongest = np.maximum(strongest, -np.asarray(drive.nudge.conductance))
        if strongest.any() and not reduced.withstands(strongest):
            bounds = reduced.output_conductances()
            if (strongest.ravel() >= bounds).any():
                raise SpringError("springs of −β outdo the own conductance of a chip in the stack", float(bounds.min()))

    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        """Change conductances by `wanted` (S) as far as their range allows; see `harness.chip.base.Chip.adjust`."""
        check_changes(self.circuit, wanted)
        before, pairs = self.conductances, zip(self.circuit.arrays, self.conductances, wanted, strict=True)
        self.conductances = tuple(np.clip(g + change, cells.g_min, cells.g_max) for cells, g, change in pairs)
        written = tuple(new - old for new, old in zip(self.conductances, before, strict=True))
        self.written = self.written + sum(np.count_nonzero(c.reshape(len(self), -1), axis=1) for c in written)
        return written


UNSTACKED = "parts of it are eliminated before it is solved, which is done for one chip at a time"
"""Why chips of some circuits do not stack."""
