"""The lines that are driven when a sample is applied, on a board without amplifiers and references of its own."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from harness.chip.bench.profile import Channels
from harness.errors import ExperimentError
from harness.measurement import Array


@dataclass(frozen=True, eq=False)
class DrivenLines:
    """Channels that carry inputs, their negatives, or one voltage."""

    channels: tuple[str, ...]
    factors: Array
    """``[channels, inputs]``"""
    constants: Array
    """V, ``[channels]``"""

    @classmethod
    def of(cls, channels: Channels) -> Self:
        """Return the lines of a profile's channels, inputs first."""
        inputs = channels.inputs or {}
        straight = channels.gain * np.eye(len(inputs))
        inverted = -straight[[list(inputs).index(name) for name in channels.complements]]
        factors = np.concatenate([straight, inverted, np.zeros((len(channels.held), len(inputs)))])
        constants = np.zeros(len(factors))
        constants[len(factors) - len(channels.held) :] = list(channels.held.values())
        return cls((*inputs.values(), *channels.complements.values(), *channels.held), factors, constants)

    def volts(self, inputs: Array) -> Array:
        """Return the voltages of the lines (V, ``[samples, channels]``) for inputs (V, ``[samples, inputs]``)."""
        return inputs @ self.factors.T + self.constants


def check_lines(lines: DrivenLines, count: int) -> None:
    """Refuse lines that are no numbers below `count`.

    Raises:
        ExperimentError: names the channel.
    """
    for channel in lines.channels:
        if not (channel.isascii() and channel.isdigit() and int(channel) < count):
            raise ExperimentError(f"channels: {channel!r} cannot be driven; the board numbers its lines 0…{count - 1}")
