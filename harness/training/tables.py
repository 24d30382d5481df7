"""The tables of a run: one row for each batch, and one for each epoch."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.chip.metering import ENTRIES, HEADINGS, Ledger
from harness.errors import RunError
from harness.files.reading import TABLE_LIMIT, read_text

if TYPE_CHECKING:  # a run is trained without it, and it takes a quarter of a second to import
    import pandas as pd


@dataclass(frozen=True)
class StepRow:
    """One row of ``steps.csv``."""

    epoch: int
    step: int
    """Batches since the start of the epoch, from 1."""
    loss: float
    accuracy: float
    largest_change: float
    mean_change: float


@dataclass(frozen=True)
class EpochRow:
    """One row of ``epochs.csv``."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float
    """Training time, s."""
    evaluation_seconds: float
    samples_per_second: float
    ngspice_share: float | None
    """None where no simulator runs."""
    ledger: Ledger | None = None
    """Ledger of the training, with ngspice's sweeps of the evaluation; None where the chip counts nothing."""


_HEADINGS = {
    "loss": "loss (V²)",
    "largest_change": "largest change (S)",
    "mean_change": "mean |change| (S)",
    "train_loss": "train loss (V²)",
    "train_accuracy": "train accuracy",
    "test_loss": "test loss (V²)",
    "test_accuracy": "test accuracy",
    "seconds": "training time (s)",
    "evaluation_seconds": "evaluation time (s)",
    "samples_per_second": "training samples per second (1/s)",
    "ngspice_share": "share of time in ngspice",
}
"""Columns of the tables that are not called like their field; R² stands for accuracy where targets are values."""

_LEDGER = "ledger"
"""Field of a row whose entries are columns of their own (`harness.chip.metering.ENTRIES`)."""

Row = TypeVar("Row", StepRow, EpochRow)


def total(rows: Iterable[EpochRow]) -> Ledger | None:
    """Return what was asked of the chip over all epochs; None where nothing was counted."""
    counted = [row.ledger for row in rows if row.ledger is not None]
    return sum(counted, Ledger()) if counted else None


def as_csv(rows: Sequence[Row], kind: type[Row], score: str) -> bytes:
    """Return a table as a CSV file; see `as_frame`."""
    known, table = _columns(kind), _by_column(rows, kind)
    file = io.StringIO()
    written = csv.writer(file, lineterminator="\n")
    written.writerow([_heading(name, score) for name in table])
    written.writerows(zip(*(_told(values, known[name]) for name, values in table.items()), strict=True))
    return file.getvalue().encode()


def as_frame(rows: Sequence[Row], kind: type[Row], score: str) -> "pd.DataFrame":
    """Return a table; where the chip has counted nothing, it has no columns of the ledger.

    `score`, such as R², heads columns of accuracies.
    """
    import pandas as pd  # noqa: PLC0415 - see above

    frame = pd.DataFrame(_by_column(rows, kind))
    for name, entry in ENTRIES.items():
        if name in frame and entry.type is int and frame[name].isna().any():
            frame[name] = frame[name].astype("Int64")
    if kind is EpochRow:
        frame = frame.astype({"ngspice_share": "float64"})  # None where no simulator runs
    return frame.rename(columns=lambda name: _heading(name, score))


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Read a table, every number with the very bits that were written.

    Raises:
        RunError: the file is missing or damaged; names the line.
    """
    rows = csv.reader(io.StringIO(read_text(path, RunError, most=TABLE_LIMIT), newline=""))
    try:
        headings = [heading.replace("R²", "accuracy") for heading in next(rows, [])]
        columns = _columns_at(headings, kind)
        return [_row(kind, _values(row, headings, columns)) for row in rows]
    except (ValueError, csv.Error) as error:
        raise RunError(f"{path}, line {rows.line_num}: the table is damaged ({error})") from error


def score_in(path: Path) -> str:
    """Return what a table calls its scores: accuracy or, where targets are values, R².

    Raises:
        RunError: the file is missing or damaged.
    """
    return "R²" if "R²" in read_text(path, RunError, most=TABLE_LIMIT).partition("\n")[0] else "accuracy"


def _by_column(rows: Sequence[Row], kind: type[Row]) -> dict[str, list[Any]]:
    """Return the values of all columns by name; where the chip has counted nothing, there are none of the ledger."""
    plain = [field.name for field in fields(kind) if field.name != _LEDGER]
    found = {name: [getattr(row, name) for row in rows] for name in plain}
    ledgers = [row.ledger for row in rows if isinstance(row, EpochRow)]
    if len(plain) < len(fields(kind)) and (any(ledgers) or not rows):
        found |= {name: [getattr(ledger, name, None) for ledger in ledgers] for name in ENTRIES}
    return found


def _heading(name: str, score: str) -> str:
    return (_HEADINGS | HEADINGS).get(name, name).replace("accuracy", score)


def _told(values: "Sequence[float | None]", column: "Field[Any]") -> list[float | str]:
    """Return numbers of a column with all of their bits, as a CSV file takes them; nothing for missing ones."""
    kind = int if column.type is int else float
    return ["" if value is None or math.isnan(value) else kind(value) for value in values]


def _columns(kind: type[Row]) -> "dict[str, Field[Any]]":
    """The columns of a table by their name, the ledger's behind the others."""
    plain = {field.name: field for field in fields(kind)}
    return plain if plain.pop(_LEDGER, None) is None else plain | ENTRIES


def _columns_at(headings: Sequence[str], kind: type[Row]) -> "dict[int, Field[Any]]":
    """The column of each place; those of the ledger may be missing, as where nothing was counted and in older runs."""
    known = {(_HEADINGS | HEADINGS).get(name, name): column for name, column in _columns(kind).items()}
    needed = [heading for heading, column in known.items() if column.name not in ENTRIES]
    if missing := [heading for heading in needed if heading not in headings]:
        raise ValueError(f"there is no column {missing[0]!r}")
    return {k: known[heading] for k, heading in enumerate(headings) if heading in known}


def _values(row: Sequence[str], headings: Sequence[str], columns: "Mapping[int, Field[Any]]") -> dict[str, Any]:
    if len(row) != len(headings):
        raise ValueError(f"it has {len(row)} fields where {len(headings)} should be")
    values: dict[str, Any] = {}
    for k, column in columns.items():
        optional = "None" in str(column.type) or column.name in ENTRIES
        try:
            values[column.name] = None if optional and not row[k] else (int if column.type is int else float)(row[k])
        except ValueError:
            raise ValueError(f"{headings[k]}: {row[k][:40]!r} is no number") from None
    return values


def _row(kind: type[Row], values: Mapping[str, Any]) -> Row:
    entries = {name: values[name] for name in ENTRIES if values.get(name) is not None}
    plain = {name: value for name, value in values.items() if name not in ENTRIES}
    if entries:
        plain[_LEDGER] = Ledger(**entries)
    return kind(**plain)
