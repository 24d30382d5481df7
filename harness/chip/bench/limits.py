"""Limits of a board's profile, checked before every message: nothing beyond them is ever sent."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from harness.chip.bench.board import Counts, Pulses
from harness.chip.bench.profile import Limits
from harness.circuit import Circuit
from harness.errors import LimitError
from harness.measurement import Array, Clamp, Drive, Injection, Spring
from harness.units import show

_MINUTE = 60.0


class Guard:
    """The limits of a profile.

    Args:
        limits: of the profile.
        circuit: whose pins and cells messages name.
        wait: lets a time (s) go by; a replayed session does not wait.
        gain: V at an input's pin for each V of the input.
    """

    def __init__(
        self, limits: Limits, circuit: Circuit, wait: Callable[[float], None] = time.sleep, gain: float = 1.0
    ) -> None:
        self._limits, self._wait, self._gain = limits, wait, gain
        self._inputs = [f"input x{k}" for k in range(circuit.channels)]
        self._outputs = [f"output {output.name}" for output in circuit.outputs]
        self._next = 0.0

    def check_drives(self, drives: Sequence[Drive]) -> None:
        """Refuse drives with voltages or currents beyond the limits.

        Raises:
            LimitError: names phase, sample, pin, value and limit.
        """
        for drive in drives:
            self._check(drive.phase, self._gain * drive.inputs, self._inputs, "v_max", "V")
            match drive.nudge:
                case Spring(_, volts) | Clamp(volts):
                    self._check(drive.phase, volts, self._outputs, "v_max", "V")
                case Injection(current):
                    self._check(drive.phase, current, self._outputs, "i_max", "A")

    def check_pulses(self, pulses: Pulses, had: Counts) -> None:
        """Refuse pulses that are too high, too long or too many.

        Args:
            pulses: about to be sent.
            had: pulses that each of their cells has had, ``[cells]``.

        Raises:
            LimitError: names the cell, the value and the limit.
        """
        for values, key, unit in ((pulses.volts, "pulse_v_max", "V"), (pulses.seconds, "pulse_s_max", "s")):
            most = getattr(self._limits, key)
            if (wrong := ~(np.abs(values) <= (most or 0.0))).any():
                k = int(np.argmax(wrong))
                raise LimitError(_beyond(_cell(pulses, k), show(values[k], unit), key, show(most or 0.0, unit)))
        most = self._limits.pulses_per_cell
        if most is not None and (wrong := had + pulses.counts > most).any():
            k = int(np.argmax(wrong))
            told = f"{pulses.counts[k]:,} more after {had[k]:,} pulses"
            raise LimitError(_beyond(_cell(pulses, k), told, "pulses_per_cell", f"{most:,}"))

    def pace(self) -> None:
        """Wait until another message may write."""
        rate = self._limits.writes_per_minute
        if rate is not None:
            if (early := self._next - time.monotonic()) > 0:
                self._wait(early)
            self._next = max(self._next, time.monotonic()) + _MINUTE / rate

    def _check(self, phase: str, values: Array, pins: Sequence[str], key: str, unit: str) -> None:
        most = getattr(self._limits, key)
        if (wrong := ~(np.abs(values) <= (most or 0.0))).any():
            sample, pin = np.argwhere(wrong)[0]
            what = f"{phase} phase, sample {sample}, {pins[pin]}"
            raise LimitError(_beyond(what, show(float(values[sample, pin]), unit), key, show(most or 0.0, unit)))


def _cell(pulses: Pulses, k: int) -> str:
    return f"cell w = {pulses.cells[k, 0]}, b = {pulses.cells[k, 1]}"


def _beyond(what: str, value: str, key: str, most: str) -> str:
    cures = {
        "v_max": "lower the voltages of the data (network.input_gain, data.targets) or of the nudge, or",
        "i_max": "lower the nudge (rule.beta), or",
        "pulses_per_cell": "take another board, or",
    }
    return (
        f"{what}: {value} is beyond limits.{key} = {most} of the profile; nothing was sent; "
        f"{cures.get(key, '')} raise the limit if the board bears it".replace("  ", " ")
    )
