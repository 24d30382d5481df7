"""Read-backs: how far what is believed of a board's cells was from what they were read to be."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from harness.circuit import Circuit
from harness.errors import RunError
from harness.files.delimited import read_delimited
from harness.files.writing import write_atomic
from harness.measurement import Array

FILE = "readback.csv"
_HEADING = "epoch,step,array,cells,rms (S),largest (S),word,bit"


@dataclass(frozen=True)
class Difference:
    """The difference of belief and truth in one array at one time."""

    epoch: int | None
    """The step, counted from 1, before which cells were read; None at the beginning of a session."""
    step: int | None
    array: str
    cells: int
    rms: float
    """S, root mean square over the cells."""
    largest: float
    """S, of the cell at `word` and `bit` of the array; edges have no bit."""
    word: int
    bit: int | None

    def row(self) -> str:
        """Return the row of the table."""
        return ",".join("" if value is None else str(value) for value in astuple(self))


class ReadBacks:
    """The read-backs of a session, and with a folder those of the run's sessions before it."""

    def __init__(self, circuit: Circuit, folder: Path | None) -> None:
        self._circuit, self._folder = circuit, folder
        self.differences: list[Difference] = []
        """Those of this session."""
        before = None if folder is None else folder / FILE
        self._rows = [] if before is None or not before.exists() else [each.row() for each in read_differences(before)]

    def note(self, numbers: Sequence[int], believed: Sequence[Array], found: Sequence[Array]) -> None:
        """Record what was believed and what was found, S, by array; `numbers` are those of the step, or none."""
        epoch, step = (numbers[0] + 1, numbers[1] + 1) if len(numbers) == 2 else (None, None)
        for array, belief, truth in zip(self._circuit.arrays, believed, found, strict=True):
            off = np.abs(belief - truth)
            place = np.unravel_index(int(off.argmax()), off.shape)
            bit = int(place[1]) if len(place) > 1 else None
            rms = float(np.sqrt(np.square(off).mean()))
            word = int(place[0])
            self.differences.append(Difference(epoch, step, array.name, off.size, rms, float(off.max()), word, bit))
        if self._folder is not None:
            rows = [*self._rows, *(each.row() for each in self.differences)]
            write_atomic(self._folder / FILE, "\n".join([_HEADING, *rows, ""]).encode())

    def summary(self) -> dict[str, float | int]:
        """Return the number of read-backs within this session, and the differences over all of them in S."""
        within = [each for each in self.differences if each.epoch is not None]
        cells = sum(each.cells for each in within)
        squares = sum(each.cells * each.rms**2 for each in within)
        return {
            "read_backs": len(within) // len(self._circuit.arrays),
            "read_back_rms": (squares / cells) ** 0.5 if cells else 0.0,
            "read_back_largest": max((each.largest for each in within), default=0.0),
        }


def read_differences(path: Path) -> list[Difference]:
    """Return the read-backs of a run.

    Raises:
        RunError: the file is damaged; names the line.
    """
    table, found = read_delimited(path, RunError, separator=","), []
    for line, cells in table.rows():
        try:
            epoch, step, array, count, rms, largest, word, bit = cells
            numbers = [int(text) if text else None for text in (epoch, step, bit)]
            sizes = int(count), float(rms), float(largest), int(word)
            found.append(Difference(numbers[0], numbers[1], array, *sizes, numbers[2]))
        except ValueError as error:
            raise RunError(f"{path}, line {line}: it is damaged ({error})") from error
    return found
