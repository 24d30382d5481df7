"""Measures pulse curves of some cells of a board, as `harness.devices.measured` reads them."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from harness.chip.bench.board import Counts
from harness.circuit import Circuit
from harness.measurement import Array

_STILL = 1e-4
"""Share of the way that a cell has gone: smaller steps are the end of its range."""


class Pulsed(Protocol):
    """Cells that can be pulsed and read, such as some of a board's."""

    def read(self) -> Array:
        """Return their conductances, S, ``[cells]``."""

    def pulse(self, counts: Counts) -> None:
        """Apply so many write pulses to each, ``[cells]``: up where above 0, down where below."""


@dataclass(frozen=True, eq=False)
class PulseCurves:
    """Conductances before and after each pulse of a train up, and of one down, of cells side by side."""

    up: Array
    """S, ``[pulses + 1, cells]``."""
    down: Array
    """S, ``[pulses + 1, cells]``."""
    off: Array
    """S by which cells are off their conductances from before the trains, ``[cells]``."""


def pulse_curves(
    cells: Pulsed, most: int, tolerance: float, tell: Callable[[str], None] = lambda _: None
) -> PulseCurves:
    """Pulse cells from one end of their range to the other and back, reading each pulse, and put them back.

    A cell gets at most four times `most` pulses: down to its end, up, down, and back to where it was.

    Args:
        cells: of a board.
        most: pulses of a train; it ends sooner where all cells are at the end of their range.
        tolerance: S within which a cell is back.
        tell: is told what is being done.

    Raises:
        KeyboardInterrupt: of the user; the cells are put back all the same.
    """
    before = cells.read()
    try:
        _train(cells, -1, most, lambda n: tell(f"down to the end of the range, pulse {n} of at most {most}"))
        up = _train(cells, 1, most, lambda n: tell(f"up, pulse {n} of at most {most}"))
        down = _train(cells, -1, most, lambda n: tell(f"down, pulse {n} of at most {most}"))
    except KeyboardInterrupt:
        _put_back(cells, before, most, tolerance)
        raise
    tell("putting the cells back")
    return PulseCurves(up, down, _put_back(cells, before, most, tolerance))


def curves_csv(curves: PulseCurves, circuit: Circuit, chosen: Sequence[tuple[int, int]]) -> bytes:
    """Return a table with a row for each pulse, cell by cell, for `harness devices import`.

    Args:
        curves: of the cells.
        circuit: as drawn.
        chosen: array and position in its ``ravel()`` of each cell.
    """
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["pulse", "conductance", "direction", "cell"])
    for k, (array, place) in enumerate(chosen):
        found = circuit.arrays[array]
        name = found.cell(*map(int, np.unravel_index(place, found.shape)))
        for way, levels in (("up", curves.up[:, k]), ("down", curves.down[:, k])):
            table.writerows([n, repr(float(level)), way, name] for n, level in enumerate(levels))
    return buffer.getvalue().encode()


def chosen_cells(circuit: Circuit, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw cells of all arrays: array and position in its ``ravel()`` of each, in order."""
    every = [(k, place) for k, array in enumerate(circuit.arrays) for place in range(array.conductances.size)]
    picked = rng.choice(len(every), size=min(count, len(every)), replace=False)
    return [every[k] for k in sorted(picked)]


def _train(cells: Pulsed, way: int, most: int, told: Callable[[int], None]) -> Array:
    """Pulse all cells in one direction until none moves any more; returns S, ``[pulses + 1, cells]``."""
    levels = [cells.read()]
    for number in range(1, most + 1):
        told(number)
        cells.pulse(np.full(levels[0].size, way))
        levels.append(cells.read())
        if (np.abs(levels[-1] - levels[-2]) <= _STILL * np.abs(levels[-1] - levels[0])).all():
            return np.array(levels[:-1])
    return np.array(levels)


def _put_back(cells: Pulsed, before: Array, most: int, tolerance: float) -> Array:
    """Pulse cells towards conductances, one pulse at a time, as near as they come; returns S that they are off."""
    off = before - cells.read()
    way = np.sign(off).astype(np.int64)
    for _ in range(most):
        counts = np.where(np.abs(off) > tolerance, way, 0) * (np.sign(off) == way)
        if not counts.any():
            break
        cells.pulse(counts)
        off = before - cells.read()
    return off
