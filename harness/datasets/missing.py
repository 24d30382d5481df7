"""Missing cells of a table: they are named with their lines, or left out or filled if that is wanted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness.measurement import Array, Index
from harness.wording import counted, ranges

Marks = npt.NDArray[np.bool_]

_MOST = 100
"""Columns whose missing cells a message names, at most."""


@dataclass(frozen=True, eq=False)
class Cells:
    """All that is read of a file, row by row."""

    lines: Index
    """The line that each row begins in, ``[rows]``."""
    inputs: Array
    """NaN where a cell is missing, ``[rows, inputs]``."""
    values: Array
    """Likewise, ``[rows, values]``."""
    labels: list[str]
    """The label of each row; none where there are values, or no answers."""

    def __getitem__(self, kept: Marks) -> "Cells":
        labels = [label for label, stays in zip(self.labels, kept, strict=True) if stays] if self.labels else []
        return Cells(self.lines[kept], self.inputs[kept], self.values[kept], labels)


@dataclass(frozen=True, eq=False)
class Gaps:
    """The rows without a cell, ``[rows]`` for each column."""

    inputs: Mapping[str, Marks]
    wanted: Mapping[str, Marks]
    """Rows without a label, or without a value; empty where rows have neither."""


def without_missing(
    cells: Cells, gaps: Gaps, file: Path, missing: str | None, *, chosen: bool = False
) -> tuple[Cells, tuple[str, ...]]:
    """Leave out rows with missing cells, all or those without a label or value; and say what was done.

    Args:
        cells: all rows.
        gaps: what they lack.
        file: for messages.
        missing: ``"drop"`` leaves out every incomplete row; ``"mean"`` those without a label or value, and inputs stay
            NaN, to be filled with means of training rows; None refuses incomplete rows.
        chosen: the inputs were named one by one, so that none can be ignored.

    Raises:
        DataError: cells are missing and nothing is said of them, a column has no value at all, or no row is left.
    """
    every = {**gaps.inputs, **gaps.wanted}
    if empty := [name for name, gap in every.items() if gap.all()]:
        cure = f"; leave it out with ignore = [{empty[0]!r}]" if empty[0] in gaps.inputs and not chosen else ""
        raise DataError(f"{file}: column {empty[0]!r} has no value in any of {len(cells.lines):,} rows{cure}")
    unanswered = np.any([np.zeros(len(cells.lines), bool), *gaps.wanted.values()], axis=0)
    incomplete = np.any([*every.values()], axis=0)
    if not incomplete.any():
        return cells, ()
    if missing is None:
        raise DataError(f"{file}: {_named(every, cells.lines)}; {_cure(int(incomplete.sum()))}")
    out = incomplete if missing == "drop" else unanswered
    if out.all():
        cure = "" if chosen else "; leave columns out with ignore = […]"
        raise DataError(f"{file}: every row has a missing cell{cure}")
    return cells[~out], _told(cells.lines[out], sum(int(gap[~out].sum()) for gap in gaps.inputs.values()))


def _named(every: Mapping[str, Marks], lines: Index) -> str:
    """Return every missing cell, by column and line."""
    places = {name: [int(line) for line in lines[gap]] for name, gap in every.items() if gap.any()}
    count = sum(len(found) for found in places.values())
    told = [f"column {name!r}, line{'s' * (len(found) > 1)} {ranges(found)}" for name, found in places.items()]
    more = f"; and {len(told) - _MOST} more columns" if len(told) > _MOST else ""
    return f"{counted(count, 'cell is', 'cells are')} missing: {'; '.join(told[:_MOST])}{more}"


def _cure(rows: int) -> str:
    these = f"these {rows:,} rows" if rows > 1 else "this row"
    return (
        f"set data.missing = 'drop' to leave {these} out, or data.missing = 'mean' to fill inputs with the mean of the "
        f"training rows (rows without a label or value are left out then too)"
    )


def _told(lines: Index, filled: int) -> tuple[str, ...]:
    notes = []
    if lines.size:
        notes.append(f"{counted(lines.size, 'row')} with missing cells left out")
    if filled:
        notes.append(f"{counted(filled, 'missing cell')} filled with the mean of the training rows")
    return tuple(notes)
