"""Chips of one topology that settle in one call, as one more axis before the samples."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.chip.base import Tally, asked, check_changes, check_drives
from harness.chip.metering import Ledger
from harness.chip.nodal import newton
from harness.chip.nodal.chip import NodalChip
from harness.circuit.reduction.reduction import ReducedCircuit
from harness.circuit.reduction.settling import Network
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
            chip.capabilities,
            small_signal=False,
            adjoint=False,
            oscillating=False,
            ideal=False,
            reversal=False,
            node_currents=False,
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
        readings = reduced.readings(newton.settle_stack(reduced.settling(drives), self._chip.tolerance), drives)
        for drive, reading in zip(drives, readings, strict=True):
            self._refuse_unstable(drive, reading, reduced)
        self.ledger += asked(self.circuit, drives)
        return tuple(r if r.volts is None else replace(r, tally=Tally(self, r)) for r in readings)

    def _refuse_unstable(self, drive: Drive, reading: Reading, reduced: ReducedCircuit) -> None:
        """Refuse springs of −β that leave a chip in an unstable state.

        See `harness.chip.base.refuse_unstable`, which tells more for one chip.
        """
        if not isinstance(drive.nudge, Spring):
            return
        springs = np.asarray(drive.nudge.conductance)
        if (springs >= 0).all() or reduced.withstands(np.maximum(-springs, 0)):
            return
        for k, spring in enumerate(np.broadcast_to(springs, (len(self), 1, 1)).ravel().tolist()):
            one = replace(reduced, network=Network(reduced.network.conductance[k], reduced.network.topology))
            found = one.unstable(spring, reading.all_nodes[k]) if spring < 0 else ()
            if found is None or len(found):
                raise SpringError(
                    f"{drive.phase} phase: springs of −β leave chip {k} of the stack in an unstable state"
                )

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
