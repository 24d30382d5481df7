"""Measures pulse curves of some cells of a board, as `harness.devices.measured` reads them."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from harness.chip.bench.board import Counts
from harness.chip.bench.profile import load_profile
from harness.circuit import Circuit
from harness.experiment.experiment import Experiment
from harness.measurement import Array
from harness.studies.bench.opening import open_bench

_TRAINS = 4
_SHORTEST, _PART = 8, 8
"""A train has ended where cells get nowhere in its last eighth, of eight pulses at least."""
_NOWHERE, _THERE = 0.01, 1e-3
"""Shares of the way that a cell has gone: with less than the first it gets nowhere, within the other it is there."""


Pulse = Callable[[Counts], Array]
"""Applies signed numbers of pulses to cells, ``[cells]``, and returns their conductances then, S, ``[cells]``."""


@dataclass(frozen=True, eq=False)
class PulseCurves:
    """Conductances before and after each pulse of a train up, and of one down, of cells side by side."""

    up: Array
    """S, ``[pulses + 1, cells]``."""
    down: Array
    """S, ``[pulses + 1, cells]``."""
    off: Array
    """S by which cells are off their conductances from before the trains, ``[cells]``."""

    def of(self, cell: int) -> tuple[Array, Array]:
        """Return the train up and the one down of a cell until it was at the end of its range, S, ``[pulses + 1]``."""
        return _until_the_end(self.up[:, cell]), _until_the_end(self.down[:, cell])


def pulse_curves(
    pulse: Pulse, cells: int, most: int, tolerance: float, tell: Callable[[str], None] = lambda _: None
) -> PulseCurves:
    """Pulse cells from one end of their range to the other and back, reading each pulse, and put them back.

    A cell gets at most four times `most` pulses: down to its end, up, down, and back to where it was.

    Args:
        pulse: the cells.
        cells: their number.
        most: pulses of a train; it ends sooner where all cells are at the end of their range.
        tolerance: S within which a cell is back.
        tell: is told what is being done.

    Raises:
        KeyboardInterrupt: of the user; the cells are put back all the same.
    """
    before = pulse(np.zeros(cells, np.int64))
    try:
        _train(pulse, cells, -1, most, lambda n: tell(f"down to the end of the range, pulse {n} of at most {most}"))
        up = _train(pulse, cells, 1, most, lambda n: tell(f"up, pulse {n} of at most {most}"))
        down = _train(pulse, cells, -1, most, lambda n: tell(f"down, pulse {n} of at most {most}"))
    except KeyboardInterrupt:
        _put_back(pulse, before, most, tolerance)
        raise
    tell("putting the cells back")
    return PulseCurves(up, down, _put_back(pulse, before, most, tolerance))


def curves_csv(curves: PulseCurves, names: Sequence[str]) -> bytes:
    """Return a table with a row for each pulse, cell by cell, for `harness devices import`."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["pulse", "conductance", "direction", "cell"])
    for k, name in enumerate(names):
        for way, levels in zip(("up", "down"), curves.of(k), strict=True):
            table.writerows([n, repr(float(level)), way, name] for n, level in enumerate(levels))
    return buffer.getvalue().encode()


def cell_names(circuit: Circuit) -> list[str]:
    """Return the names of all cells, array by array, row by row."""
    return [array.cell(*map(int, place)) for array in circuit.arrays for place in np.ndindex(array.shape)]


def characterize_board(
    profile: str,
    subject: Experiment,
    resource: str | None,
    cells: int,
    most: int,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[list[str], PulseCurves]:
    """Measure the pulse curves of some cells of a profile's board, which holds an experiment's network.

    Args:
        profile: a packaged one's name, or the path of one's own.
        subject: whose network is on the board; its seed draws the cells.
        resource: the board's address, instead of the profile's.
        cells: how many; all, if there are fewer.
        most: pulses of a train; see `pulse_curves`.
        tell: is told what is being done.

    Returns:
        the names of the cells, and their curves.

    Raises:
        LimitError: cells may not have so many pulses; nothing was sent.
        ChipError: the board cannot be reached, or takes no pulses.
    """
    names, told = cell_names(subject.circuit), load_profile(profile)
    rng = np.random.default_rng(subject.settings.training.seed)
    chosen = np.sort(rng.choice(len(names), size=min(cells, len(names)), replace=False))
    with open_bench(told, subject, resource) as chip:
        chip.check_pulses(chosen, _TRAINS * most)
        found = pulse_curves(partial(chip.pulse, chosen), chosen.size, most, told.write.tolerance, tell)
    return [names[k] for k in chosen], found


def _train(pulse: Pulse, cells: int, way: int, most: int, told: Callable[[int], None]) -> Array:
    """Pulse all cells in one direction until none moves any more; returns S, ``[pulses + 1, cells]``."""
    levels = [pulse(np.zeros(cells, np.int64))]
    for number in range(1, most + 1):
        told(number)
        levels.append(pulse(np.full(cells, way)))
        last = max(_SHORTEST, number // _PART)
        if number >= last:
            gone, lately = (np.abs(levels[-1] - before) for before in (levels[0], levels[-1 - last]))
            if (lately <= _NOWHERE * gone).all():
                break
    return np.array(levels)


def _put_back(pulse: Pulse, before: Array, most: int, tolerance: float) -> Array:
    """Pulse cells towards conductances, one pulse at a time, as near as they come; returns S that they are off."""
    off = before - pulse(np.zeros(before.size, np.int64))
    way = np.sign(off).astype(np.int64)
    for _ in range(most):
        counts = way * ((np.abs(off) > tolerance) & (np.sign(off) == way))
        if not counts.any():
            break
        off = before - pulse(counts)
    return off


def _until_the_end(levels: Array) -> Array:
    way = np.abs(levels[-1] - levels[0])
    return levels[: 1 + int(np.argmax(np.abs(levels - levels[-1]) <= _THERE * way))]
