"""Probes a board: who it is, what it can, and which outputs move when an input is driven a little."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.chip.bench.board import Board
from harness.errors import BoardError
from harness.measurement import Access, Array, Drive

_QUIET = 4
"""Readings of grounded inputs, whose scatter is the noise."""
_ABOVE = 8.0
"""Times the noise: what moves farther has moved."""
_LEAST = 1e-6
"""V that no output moves by chance."""


@dataclass(frozen=True)
class InputRow:
    """One input that was driven."""

    channel: int
    outputs: tuple[int, ...]
    """Those that moved."""
    largest: float
    """V, the farthest move of any output."""


def driven_inputs(
    board: Board, inputs: int, volts: float, settle: float, batch: int | None, tell: Callable[[str], None]
) -> tuple[list[InputRow], float]:
    """Drive each input to ±`volts` with the others at 0 V, and see which outputs move.

    Args:
        board: that is open.
        inputs: its number of inputs.
        volts: within the limits of the profile.
        settle: s.
        batch: the largest number of samples of one message; None for any.
        tell: is told what is being done.

    Returns:
        a row for each input, and the noise of outputs (V) at inputs of 0 V.

    Raises:
        BoardError: it does not answer, or not as it must.
    """

    def read(rows: Array) -> Array:
        size = batch or len(rows)
        parts = [rows[k : k + size] for k in range(0, len(rows), size)]
        return np.vstack([board.measure([Drive(part)], Access.OUTPUTS, settle)[0] for part in parts])

    quiet = read(np.zeros((_QUIET, inputs)))
    if not quiet.shape[1]:
        raise BoardError("the board has no outputs")
    noise = float(quiet.std(axis=0, ddof=1).max())
    least = max(_ABOVE * noise, _LEAST)
    rows = []
    for channel in range(inputs):
        tell(f"input {channel} of {inputs}")
        driven = np.zeros((2, inputs))
        driven[:, channel] = volts, -volts
        moved = np.abs(read(driven) - quiet.mean(axis=0)).max(axis=0)
        rows.append(InputRow(channel, tuple(np.flatnonzero(moved > least).tolist()), float(moved.max())))
    return rows, noise
