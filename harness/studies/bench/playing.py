"""Plays a write program on a board: row by row, with reads between pulses where rows have windows.

Pulses go through the writer and the journal of training: each is written ahead, none is repeated, and what becomes of
one whose answer is lost is looked up. A program that was interrupted goes on where the journal has it. Rows without
windows begin behind the pulses that their cells have had in it; rows with windows read before each pulse anyway.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.chip.bench.board import Counts
from harness.chip.bench.chip import BenchChip
from harness.chip.bench.journal import Session, before_session
from harness.chip.bench.profile import load_profile
from harness.circuit import Circuit
from harness.devices.pulses import WritePulse
from harness.errors import RunError
from harness.experiment.experiment import Experiment
from harness.files.locking import alone_in
from harness.measurement import Array, Index
from harness.studies.bench.curves import cell_names
from harness.studies.bench.opening import open_bench
from harness.studies.program.results import TABLE
from harness.studies.program.rows import Row, read_rows

SESSIONS = "bench"
"""Folder of the sessions, in that of the program."""


@dataclass(frozen=True, eq=False)
class Played:
    """A program that a board has played."""

    identity: str
    pulses: int
    """Pulses that were applied this time."""
    left_out: int
    """Pulses of the table that were not needed, or had been applied before."""
    missed: tuple[str, ...]
    """Names of the cells that read outside the window of their last row at the end."""
    windows: int
    """Cells that have a window."""
    found: Array
    """Conductances of all cells at the end, S, ``[cell]``."""


@dataclass(frozen=True)
class _Step:
    """A row, and the position of its cell among all."""

    row: Row
    cell: int

    @property
    def shape(self) -> WritePulse:
        """A pulse of the row; a board's positive volts raise a conductance, whatever the device's do."""
        return WritePulse(abs(self.row.volts), self.row.seconds)

    @property
    def sense(self) -> int:
        """1 up, −1 down."""
        return 1 if self.row.up else -1


def play(
    profile: str,
    subject: Experiment,
    folder: Path,
    resource: str | None,
    spare: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> Played:
    """Play the program of a folder on a profile's board, which holds an experiment's network.

    Args:
        profile: a packaged one's name, or the path of one's own.
        subject: whose network is on the board.
        folder: of the program; its sessions are kept in it.
        resource: the board's address, instead of the profile's.
        spare: further pulses, at most, for each cell that has a window and is not in it after the table.
        tell: is told what is being done.

    Raises:
        DataError: the table is wrong, or for another network; names the line.
        LimitError: a pulse is beyond a limit of the profile; nothing was sent.
        ChipError: the board cannot be reached, or takes no pulses.
        RunError: the program was begun on another board, or another process plays it.
    """
    steps = _steps(read_rows(folder / TABLE, subject.circuit), subject.circuit)
    told = load_profile(profile)
    with alone_in(folder, f"program {folder}"):
        session = Session(folder / SESSIONS, recorded=told.cassette)
        with open_bench(told, subject, resource, session) as chip:
            _refuse_another(session, chip, folder)
            return _played(chip, steps, cell_names(subject.circuit), spare, tell)


def _steps(rows: Sequence[Row], circuit: Circuit) -> list[_Step]:
    first, shapes, begin = {}, {}, 0
    for array in circuit.arrays:
        first[array.name], shapes[array.name] = begin, array.shape
        begin += array.conductances.size
    return [_Step(row, first[row.array] + _position(row, shapes[row.array])) for row in rows]


def _position(row: Row, shape: tuple[int, ...]) -> int:
    return row.word if row.bit is None else row.word * shape[1] + row.bit


def _refuse_another(session: Session, chip: BenchChip, folder: Path) -> None:
    """Refuse a board that is not the one of the sessions before."""
    entries = before_session(session.folder, session.number)
    before = {str(entry["identity"]) for entry in entries if "identity" in entry} - {chip.identity}
    if before:
        raise RunError(
            f"{folder}: it was begun on board {min(before)!r}, and {chip.identity!r} answers; copy the program without "
            f"its folder {SESSIONS} to play it from its beginning"
        )


def _check(chip: BenchChip, steps: Sequence[_Step], spare: int) -> None:
    """Refuse all that is beyond the profile's limits before the first pulse."""
    highest: dict[int, WritePulse] = {}
    counts: dict[int, int] = {}
    for step in steps:
        seen = highest.get(step.cell, step.shape)
        highest[step.cell] = WritePulse(max(seen.volts, step.shape.volts), max(seen.seconds, step.shape.seconds))
        counts[step.cell] = counts.get(step.cell, spare) + step.row.count
    cells = np.array([*highest], np.intp)
    had = chip.applied(cells)
    chip.check_program(cells, [*highest.values()], np.maximum(np.array([*counts.values()], np.int64) - had, 0))


def _played(
    chip: BenchChip, steps: Sequence[_Step], names: Sequence[str], spare: int, tell: Callable[[str], None]
) -> Played:
    every: Index = np.arange(len(names))
    _check(chip, steps, spare)
    before = chip.applied(every)
    levels = chip.pulse(every, np.zeros(len(names), np.int64))
    passed = np.zeros(len(names), np.int64)
    applied = 0
    for number, step in enumerate(steps, start=1):
        tell(f"row {number:,} of {len(steps):,}: {names[step.cell]}")
        if step.row.window is None:
            due = int(np.clip(passed[step.cell] + step.row.count - before[step.cell], 0, step.row.count))
            passed[step.cell] += step.row.count
            applied += _apply(chip, step, due, levels)
        else:
            applied += _until_inside(chip, step, step.row.window, levels)
    windows = {step.cell: step.row.window for step in steps if step.row.window is not None}
    for cell, window in windows.items():
        tell(f"spare pulses: {names[cell]}")
        applied += _spared(chip, _shapes(steps, cell), window, levels, spare)
    found = chip.pulse(every, np.zeros(len(names), np.int64))
    missed = [names[cell] for cell, (low, high) in windows.items() if not low <= found[cell] <= high]
    planned = sum(step.row.count for step in steps)
    return Played(chip.identity, applied, max(planned - applied, 0), tuple(missed), len(windows), found)


def _until_inside(chip: BenchChip, step: _Step, window: tuple[float, float], levels: Array) -> int:
    """Pulse until the cell reads in the window, or beyond it; returns how often."""
    low, high = window
    for number in range(step.row.count):
        level = levels[step.cell]
        if low <= level <= high or (level > high) == step.row.up:
            return number
        _apply(chip, step, 1, levels)
    return step.row.count


def _shapes(steps: Sequence[_Step], cell: int) -> dict[bool, _Step]:
    """Return a step up (True) and one down for a cell: its own last ones, or else those that the table begins with."""
    found: dict[bool, _Step] = {}
    for step in reversed(steps):
        if step.row.up not in found or found[step.row.up].cell != cell:
            found[step.row.up] = step
    return {up: replace(step, cell=cell) for up, step in found.items()}


def _spared(chip: BenchChip, shapes: dict[bool, _Step], window: tuple[float, float], levels: Array, most: int) -> int:
    """Pulse a cell towards its window, either way, as far as the table has pulses for it; returns how often."""
    low, high = window
    cell = next(iter(shapes.values())).cell
    for number in range(most):
        level = levels[cell]
        if low <= level <= high or (step := shapes.get(bool(level < low))) is None:
            return number
        _apply(chip, step, 1, levels)
    return most


def _apply(chip: BenchChip, step: _Step, count: int, levels: Array) -> int:
    """Apply some pulses, and read the cell."""
    if count:
        counts: Counts = np.array([step.sense * count])
        levels[step.cell] = chip.pulse(np.array([step.cell]), counts, step.shape)[0]
    return count
