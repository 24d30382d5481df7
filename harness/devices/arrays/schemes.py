"""Schemes by which the lines of a crossbar are driven while one of its cells is written.

A cell's voltage is that of its word line minus that of its bit line. The selected word line is at the pulse's V, the
selected bit line at 0 V, and what the other lines are at decides what the other cells see (Chen 2013, IEEE Trans.
Electron Devices 60, 1318, compares both schemes)::

    scheme   other words   other bits   cells on the selected lines   all others
    half     V/2           V/2          V/2                           0
    third    V/3           2V/3         V/3                           −V/3

With `Scheme.ALONE` a selector cuts off all cells but the selected one.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from harness.measurement import Array


class Scheme(StrEnum):
    """Schemes of line voltages."""

    HALF = "half"
    """V/2 over the cells on both selected lines, nothing over the others."""
    THIRD = "third"
    """V/3 over all cells but the selected one, against the pulse where neither line is selected."""
    ALONE = "alone"
    """Nothing over any other cell, as behind a selector in each."""


@dataclass(frozen=True)
class Shares:
    """Parts of a pulse's volts that cells see."""

    selected_lines: float
    """Cells that share a line with the selected one."""
    others: float


SHARES = {Scheme.HALF: Shares(1 / 2, 0.0), Scheme.THIRD: Shares(1 / 3, -1 / 3), Scheme.ALONE: Shares(0.0, 0.0)}
_OTHER_LINES = {Scheme.HALF: (1 / 2, 1 / 2), Scheme.THIRD: (1 / 3, 2 / 3)}


def line_volts(scheme: Scheme, volts: float, shape: tuple[int, int], cell: tuple[int, int]) -> tuple[Array, Array]:
    """Return the drivers' V at all word lines and at all bit lines while `cell` (word, bit) is written.

    `Scheme.ALONE` has no voltages of other lines: a selector cuts their cells off.
    """
    word, bit = (np.full(size, share * volts) for size, share in zip(shape, _OTHER_LINES[scheme], strict=True))
    word[cell[0]], bit[cell[1]] = volts, 0.0
    return word, bit
