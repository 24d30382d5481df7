"""The pins of a virtual board: what is listed, what is applied, how long that settles, and what is read."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from harness.chip.base import Chip
from harness.chip.bench.virtual.messages import Fault
from harness.measurement import Array, Drive, Nudge, Reading


class Pins:
    """The inputs and outputs of a chip.

    Args:
        chip: the one that settles.
        settling: time constant (s) with which voltages settle; 0 for at once.
        wait: lets a time (s) go by.
    """

    def __init__(self, chip: Chip, settling: float, wait: Callable[[float], None]) -> None:
        self._chip, self._settling, self._wait = chip, settling, wait
        self.delay = 0.0
        """s between applying a sample and reading it."""
        self.applied = False
        """True while anything is on the pins."""
        self.ground()

    def ground(self) -> None:
        """Take everything off, and forget what was listed."""
        self.applied = False
        self._inputs: Array | None = None
        self._nudge: Nudge | None = None
        self._before: Reading | None = None

    def list_inputs(self, inputs: Array) -> None:
        """List the inputs of some samples, V, ``[samples, inputs]``; outputs float."""
        self._inputs, self._nudge = inputs, None

    def nudge(self, nudge: Nudge | None) -> None:
        """Say how outputs are nudged when samples are applied; None lets them float."""
        self._nudge = nudge

    @property
    def samples(self) -> int:
        """Number of samples in the list.

        Raises:
            Fault: there is no list.
        """
        return len(self.drive.inputs)

    @property
    def drive(self) -> Drive:
        """The drive that is listed.

        Raises:
            Fault: there is no list.
        """
        if self._inputs is None:
            raise Fault(-221, "there is no list of inputs; send SOUR:LIST first")
        return Drive(self._inputs, self._nudge, "free" if self._nudge is None else "nudged")

    def measure(self, drives: Sequence[Drive]) -> list[Reading]:
        """Apply the samples of each drive, wait for each sample, and read.

        Raises:
            ChipError: the chip cannot do it, or a sample does not settle.
        """
        self.applied = True
        with np.errstate(all="ignore"):  # what is not finite is refused by who formats it
            readings = self._chip.measure(drives)
        self._wait(self.delay * sum(len(drive.inputs) for drive in drives))
        return [self._settled(reading) for reading in readings]

    def _settled(self, final: Reading) -> Reading:
        """Return what a reading is after the wait, when each sample has begun at the voltages of the one before."""
        if self._settling == 0:
            return final
        left, last = float(np.exp(-self.delay / self._settling)), self._before

        def after(volts: Array, before: Array | None) -> Array:
            now, found = np.zeros(volts.shape[1]) if before is None else before[-1], np.empty_like(volts)
            for sample, end in enumerate(volts):
                found[sample] = now = end + (now - end) * left
            return found

        outputs = after(final.outputs, None if last is None else last.outputs)
        nodes = None if final.volts is None else after(final.volts, None if last is None else last.volts)
        self._before = replace(final, outputs=outputs, volts=nodes)
        return self._before
