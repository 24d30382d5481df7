"""Writing of a board's cells: wanted changes become settings or pulses, and what came of them is looked up."""

from collections.abc import Sequence

import numpy as np

from harness.chip.bench.board import Board, Counts, Pulses
from harness.chip.bench.journal import Session
from harness.chip.bench.limits import Guard
from harness.chip.bench.line import LateError
from harness.chip.bench.profile import Profile, WriteMode
from harness.chip.metering import Ledger, stream
from harness.circuit import Circuit
from harness.devices.pulses import WritePulse
from harness.errors import BoardError, ChipError
from harness.measurement import Array, Conductances, Index

_ROUNDING = 140
"""Stream of random numbers, behind those of `harness.chip.imperfect.programming`."""


class Writer:
    """The cells of a board, and what they are believed to conduct; arrays are flat here, ``[cell]``.

    Args:
        circuit: whose arrays lie on the board.
        board: the one that has the cells.
        profile: of the board.
        guard: its limits.
        places: word and bit line of every cell, ``[cells, 2]`` for each array.
        session: where pulses are written ahead; None for nowhere.
        seed: of what is drawn to round pulses.
    """

    def __init__(
        self,
        circuit: Circuit,
        board: Board,
        profile: Profile,
        guard: Guard,
        places: Sequence[Index],
        session: Session | None,
        seed: int,
    ) -> None:
        self._board, self._how, self._guard, self._session, self._seed = board, profile.write, guard, session, seed
        self._arrays = circuit.arrays
        self._cells = np.concatenate(list(places))
        sizes = [len(cells) for cells in places]
        self._ends = np.cumsum(sizes)[:-1]
        self._low, self._high = (
            np.repeat([getattr(array, name) for array in circuit.arrays], sizes) for name in ("g_min", "g_max")
        )
        self._belief = self._found = _flat(circuit.conductances)
        self._had: Counts = np.zeros(len(self._cells), np.int64)
        self._counting = False
        self._applied = 0
        self.begin_step(())

    @property
    def conductances(self) -> Conductances:
        """The believed conductances (S) within the arrays' bounds, by array."""
        return self._shaped(self._belief)

    @property
    def found(self) -> Conductances:
        """The conductances (S) as all cells were read last, by array; a board's cells may lie beyond the bounds."""
        return self._shaped(self._found)

    def begin(self, identity: str) -> None:
        """Read all cells, and settle the pulses of which the session before did not learn what became of them.

        Raises:
            BoardError: the board does not answer, or not as it must.
        """
        counts = None if self._how.mode in (WriteMode.SET, WriteMode.NONE) else self._board.pulse_counts(self._cells)
        self._counting = counts is not None
        if self._session is not None:
            journal = self._session.journal
            self._had = journal.had(self._cells)
            journal.begin(self._session.number, identity, None if counts is None else int(counts.sum()))
            while journal.unsettled:
                cells, wanted, before = journal.unsettled[0]
                now = self._board.pulse_counts(cells)
                applied = wanted if now is None else np.clip(now - before, 0, wanted)
                journal.settle(applied)
        if counts is not None:
            self._had = counts
        self.read_all()

    def begin_step(self, numbers: Sequence[int]) -> None:
        """Draw anew: what is drawn in a step depends on the seed and the step alone."""
        self._rounding = stream(self._seed, _ROUNDING, numbers)

    def read_all(self) -> None:
        """Believe what all cells are read to be; where nothing is written, what was programmed is believed."""
        if self._how.mode is WriteMode.NONE:
            return
        self._found = self._board.conductances(self._cells)
        self._belief = np.clip(self._found, self._low, self._high)

    def counts(self) -> tuple[int, int | None]:
        """Return the pulses that were applied in this run, and the board's own count of them, if it counts."""
        if self._session is None:
            return self._applied, None
        journal = self._session.journal
        if not self._counting or journal.counted_before is None:
            return journal.pulses, None
        now = self._board.pulse_counts(self._cells)
        return journal.pulses, None if now is None else int(now.sum()) - journal.counted_before

    def program(self, conductances: Sequence[Array]) -> Ledger:
        """Bring cells that are elsewhere to conductances (S, by array), as nearly as the board can."""
        goal = _flat(conductances)
        if self._how.mode is WriteMode.NONE:
            self._belief = goal
            return Ledger()
        cells = np.flatnonzero(np.abs(goal - self._belief) > self._how.tolerance)
        if self._how.mode is not WriteMode.SET:
            return self._approach(cells, goal[cells])
        if cells.size:
            self._guard.pace()
            self._board.set_conductances(self._cells[cells], goal[cells])
            self._read(cells)
        return Ledger()

    def adjust(self, wanted: Sequence[Array]) -> Ledger:
        """Change conductances by some S, by array, as far as the arrays' bounds allow."""
        change = _flat(wanted)
        cells = np.flatnonzero(change)
        if not cells.size:
            return Ledger()
        if self._how.mode is WriteMode.NONE:
            raise BoardError("write.mode = 'none' of the profile lets nothing be written, and so nothing be trained")
        goal = np.clip(self._belief + change, self._low, self._high)[cells]
        match self._how.mode:
            case WriteMode.SET:
                self._set(cells, change[cells], goal)
                return Ledger()
            case WriteMode.VERIFY:
                return self._approach(cells, goal)
        return self._pulsed(cells, self._counts(change[cells], goal - self._belief[cells]))

    def check_pulses(self, cells: Index, number: int) -> None:
        """Refuse so many pulses, up or down, for each of some cells.

        Raises:
            ChipError: the profile writes by other means.
            LimitError: a cell may not have so many.
        """
        if not self._how.pulse_v:
            raise ChipError(f"the profile has write.mode = '{self._how.mode}', and no pulses; give it write.pulse_v")
        for way in (1, -1):
            pulses = self._pulses(cells, np.full(cells.size, way * number))
            self._guard.check_pulses(pulses, self._had[cells])

    def check_program(self, cells: Index, highest: Sequence[WritePulse], counts: Counts) -> None:
        """Refuse a program of pulses before the first is sent.

        Args:
            cells: that it writes.
            highest: the largest volts and the longest width of each cell's pulses.
            counts: pulses for each of them at most, ``[cells]``.

        Raises:
            ChipError: the profile writes by other means.
            LimitError: pulses are too high, too long or too many for a cell.
        """
        if self._how.mode in (WriteMode.SET, WriteMode.NONE):
            raise ChipError(f"the profile has write.mode = '{self._how.mode}', and no pulses; give it another")
        volts, seconds = (np.array([getattr(pulse, name) for pulse in highest]) for name in ("volts", "seconds"))
        self._guard.check_pulses(Pulses(self._cells[cells], volts, seconds, counts), self._had[cells])

    def applied(self, cells: Index) -> Counts:
        """Return the pulses that the sessions of this run have applied to cells, ``[cells]``."""
        if self._session is None:
            return np.zeros(len(cells), np.int64)
        return self._session.journal.had(self._cells[cells])

    def pulse(self, cells: Index, counts: Counts, shape: WritePulse | None = None) -> Array:
        """Apply signed numbers of pulses to some cells, and return their conductances then, S, ``[cells]``.

        Pulses have the volts (without sign) and the width of `shape`, or else those of the profile.
        """
        some = np.flatnonzero(counts)
        if some.size:
            self._apply(cells[some], counts[some], shape)
        self._read(cells)
        return self._found[cells]

    def _set(self, cells: Index, change: Array, goal: Array) -> None:
        """Have the board change cells, or else set them; those that may have moved are read."""
        self._guard.pace()
        try:
            if self._board.adjust_conductances(self._cells[cells], change):
                self.read_all()
                return
        except LateError:
            self.read_all()
            return
        self._board.set_conductances(self._cells[cells], goal)
        self._read(cells)

    def _counts(self, change: Array, possible: Array) -> Counts:
        """Return the signed number of pulses for wanted changes (S), of which the bounds leave `possible`."""
        how, step = self._how, self._how.step or 1.0
        if how.mode is WriteMode.FIXED_STEP:
            return np.asarray(np.sign(change) * (np.abs(change) > how.threshold), np.int64)
        if how.mode is WriteMode.OPEN_LOOP:
            needed = np.rint(possible / step)
        else:
            needed = np.sign(change) * np.floor(np.abs(change) / step + self._rounding.random(change.size))
        return np.asarray(np.clip(needed, -how.max_pulses, how.max_pulses), np.int64)

    def _pulsed(self, cells: Index, counts: Counts) -> Ledger:
        """Pulse cells without reading them; each pulse is believed to have made its step."""
        some = counts != 0
        cells, counts = cells[some], counts[some]
        if not cells.size:
            return Ledger()
        applied, known = self._apply(cells, counts)
        reached = self._belief[cells] + np.sign(counts) * applied * (self._how.step or 0.0)
        self._belief[cells] = np.clip(reached, self._low[cells], self._high[cells])
        if not known:
            self._read(cells)
        return Ledger(pulses=int(applied.sum()))

    def _approach(self, cells: Index, goal: Array) -> Ledger:
        """Pulse cells towards their goals (S) until they read near enough, or have had all pulses of one write."""
        how, spent = self._how, Ledger()
        left = np.full(cells.size, how.max_pulses, np.int64)
        while cells.size:
            off = goal - self._belief[cells]
            far = (np.abs(off) > how.tolerance) & (left > 0)
            cells, goal, off, left = cells[far], goal[far], off[far], left[far]
            if not cells.size:
                break
            needed = np.ones(cells.size) if how.step is None else np.maximum(np.floor(np.abs(off) / how.step), 1)
            counts = np.asarray(np.minimum(needed, left), np.int64)
            applied, _ = self._apply(cells, np.asarray(np.sign(off), np.int64) * counts)
            left = left - counts
            self._read(cells)
            spent += Ledger(pulses=int(applied.sum()), reads_to_verify=cells.size)
        return spent

    def _apply(self, cells: Index, counts: Counts, shape: WritePulse | None = None) -> tuple[Counts, bool]:
        """Send signed numbers of pulses once; returns those that were applied, and whether the board has said so."""
        pulses, number = self._pulses(cells, counts, shape), np.abs(counts)
        self._guard.check_pulses(pulses, self._had[cells])
        self._guard.pace()
        if self._session is not None:
            self._session.journal.ahead(pulses.cells, number, self._had[cells])
        applied, known = number, True
        try:
            self._board.pulse(pulses)
        except LateError:
            applied, known = self._looked_up(pulses, cells), False
        except BoardError:
            self._settle(cells, self._looked_up(pulses, cells, refused=True))
            raise
        self._settle(cells, applied)
        return applied, known

    def _pulses(self, cells: Index, counts: Counts, shape: WritePulse | None = None) -> Pulses:
        how = self._how
        if shape is not None:
            volts = np.where(counts > 0, shape.volts, -shape.volts)
            return Pulses(self._cells[cells], volts, np.full(cells.size, shape.seconds), np.abs(counts))
        volts = np.where(counts > 0, how.pulse_v or 0.0, -(how.pulse_v_down or how.pulse_v or 0.0))
        return Pulses(self._cells[cells], volts, np.full(cells.size, how.pulse_s or 0.0), np.abs(counts))

    def _looked_up(self, pulses: Pulses, cells: Index, *, refused: bool = False) -> Counts:
        """Return the pulses that were applied by the board's count; one without a count may have applied all."""
        now = self._board.pulse_counts(pulses.cells) if self._counting else None
        if now is None:
            return np.zeros_like(pulses.counts) if refused else pulses.counts
        return np.clip(now - self._had[cells], 0, pulses.counts)

    def _settle(self, cells: Index, applied: Counts) -> None:
        self._had[cells] += applied
        self._applied += int(applied.sum())
        if self._session is not None:
            self._session.journal.settle(applied)

    def _read(self, cells: Index) -> None:
        """Believe what some cells are read to be."""
        read = self._board.conductances(self._cells[cells])
        self._found[cells] = read
        self._belief[cells] = np.clip(read, self._low[cells], self._high[cells])

    def _shaped(self, values: Array) -> Conductances:
        parts = np.split(values, self._ends)
        shaped = tuple(part.reshape(array.shape).copy() for part, array in zip(parts, self._arrays, strict=True))
        for part in shaped:
            part.setflags(write=False)
        return shaped


def _flat(values: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(part) for part in values])
