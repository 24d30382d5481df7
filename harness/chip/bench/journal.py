"""The journal of a run on a board: every pulse is written ahead, and counted once it is known to have been applied.

::

    {"session": 2, "identity": "…", "counted": 1200}     the board's own count of all pulses, null where it has none
    {"pulses": [[w, b, n], …], "before": […]}             about to be sent; before: what each cell has had
    {"applied": [n, …]}                                   what became of them
    {"closed": {"messages": 812, …}}

A process may be killed between any two lines, and within one: what it had not settled is settled by the board's own
counts when the next session begins.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.chip.bench.board import Counts
from harness.chip.bench.cassette import FILE as CASSETTE
from harness.chip.bench.cassette import ReplayLine
from harness.chip.bench.line import Line
from harness.errors import RunError
from harness.files.reading import TABLE_LIMIT, JsonObject, parse_json, read_text
from harness.files.writing import write_atomic
from harness.measurement import Index

FILE = "journal.jsonl"
START = "start.npz"
_SESSION = "session-"


class Session:
    """A time for which a run has a board: its journal, its read-backs and, if it is recorded, its cassette.

    Args:
        folder: of the run's sessions; each has a folder of its own in it.
        start: a checkpoint that the session begins at; it is kept, so that the session can be replayed.
        line: to the board; None has the chip open the one that the profile says. A line that replays is not recorded.
        recorded: whether all messages go into a cassette.

    Raises:
        RunError: the journal is damaged.
    """

    def __init__(
        self, folder: Path, start: Path | None = None, line: Line | None = None, *, recorded: bool = True
    ) -> None:
        self.folder, self.line, self.journal = folder, line, Journal(folder)
        there = (int(path.name.removeprefix(_SESSION)) for path in folder.glob(f"{_SESSION}[0-9]*"))
        self.number = 1 + max(self.journal.sessions, *there, 0)
        self.cassette: Path | None = None
        if recorded and not isinstance(line, ReplayLine):
            here = folder / f"{_SESSION}{self.number}"
            here.mkdir()
            self.cassette = here / CASSETTE
            if start is not None and start.exists():
                write_atomic(here / START, start.read_bytes())


class Journal:
    """The journal in a folder; what was written there before is taken up.

    Raises:
        RunError: the file is damaged; names the line.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self.sessions = 0
        """Number of the last session; 0 before the first."""
        self.counted_before: int | None = None
        """The board's own count of all pulses when the first session began; None where it does not count."""
        self.traffic: Counter[str] = Counter()
        """Messages, retries and lost answers of the sessions that were closed."""
        self.unsettled: list[tuple[Index, Counts, Counts]] = []
        """Cells, pulses and what cells had had before, of pulses of which nobody knows whether they were applied."""
        self._had: Counter[tuple[int, int]] = Counter()
        folder.mkdir(parents=True, exist_ok=True)
        kept = self._taken_up()
        self._file = self._path.open("r+b" if self._path.exists() else "w+b")
        self._file.truncate(kept)
        self._file.seek(kept)

    @property
    def pulses(self) -> int:
        """Pulses that were applied."""
        return sum(self._had.values())

    def had(self, cells: Index) -> Counts:
        """Return the pulses that the run has applied to cells, ``[cells]``."""
        return np.array([self._had[w, b] for w, b in cells.tolist()], np.int64)

    def begin(self, number: int, identity: str, counted: int | None) -> None:
        """Begin a session with a board that says `identity` and has counted so many pulses."""
        self._write({"session": number, "identity": identity, "counted": counted})

    def ahead(self, cells: Index, counts: Counts, before: Counts) -> None:
        """Write down pulses that are about to be sent; they are on the disk when this returns."""
        rows = np.column_stack([cells, counts]).tolist()
        self._write({"pulses": rows, "before": before.tolist()})

    def settle(self, applied: Counts) -> None:
        """Write down how many of the oldest unsettled pulses were applied to each cell, ``[cells]``."""
        self._write({"applied": applied.tolist()})

    def close(self, traffic: Mapping[str, int]) -> None:
        """End the session."""
        if not self._file.closed:
            self._write({"closed": dict(traffic)})
            self._file.close()

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._take(entry)
        self._file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _taken_up(self) -> int:
        """Take up what is in the file; returns the bytes of its whole lines."""
        if not self._path.exists():
            return 0
        text = _whole_lines(self._path)
        for number, entry in enumerate(_entries(text, self._path), start=1):
            try:
                self._take(entry)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                raise RunError(f"{self._path}, line {number}: it is damaged, or not of this version") from error
        return len(text.encode())

    def _take(self, entry: Mapping[str, Any]) -> None:
        match entry:
            case {"session": int(number), "counted": counted} if number > self.sessions:
                if not self.sessions:
                    self.counted_before = None if counted is None else int(counted)
                self.sessions = number
            case {"pulses": [*_] as rows, "before": [*_] as before}:
                table = np.array(rows, np.int64).reshape(len(before), 3)
                self.unsettled.append((table[:, :2].astype(np.intp), table[:, 2], np.array(before, np.int64)))
            case {"applied": [*_] as applied}:
                cells, counts, _ = self.unsettled.pop(0)
                for place, count in zip(map(tuple, cells.tolist()), map(int, applied), strict=True):
                    self._had[place] += count
                if len(applied) != len(counts):
                    raise ValueError("another number of cells")
            case {"closed": {**traffic}}:
                self.traffic.update({str(name): int(str(count)) for name, count in traffic.items()})
            case _:
                raise ValueError("an unknown entry")


def before_session(folder: Path, number: int) -> list[JsonObject]:
    """Return the entries of a journal from before a session.

    Raises:
        RunError: the file is missing or damaged.
    """
    path = folder / FILE
    entries = list(_entries(_whole_lines(path), path))
    begins = (k for k, entry in enumerate(entries) if entry.get("session") == number)
    return entries[: next(begins, len(entries))]


def _whole_lines(path: Path) -> str:
    """Return the text of a journal without its last line where a process was killed while it wrote that."""
    text = read_text(path, RunError, most=TABLE_LIMIT)
    return text[: text.rfind("\n") + 1]


def _entries(text: str, path: Path) -> Iterator[JsonObject]:
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        yield parse_json(line, RunError, f"{path}, line {number}")
