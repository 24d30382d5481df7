"""Arrays and data frames as new data for a trained network, read with the care that files are read with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.datasets.csv_files import CsvFile
from harness.datasets.labels import codes_of
from harness.datasets.new_rows import encoded
from harness.datasets.numbers import LARGEST
from harness.datasets.samples import Encoding, Split
from harness.datasets.tables import Origin, Table
from harness.errors import DataError
from harness.measurement import Array, Index
from harness.wording import counted, did_you_mean, listed

InMemory = np.ndarray[Any, Any] | Sequence[Sequence[float]] | pd.DataFrame
"""Rows as an array ``[rows, inputs]``, or as a data frame with named columns."""
Rows = Path | str | InMemory
"""Rows for a trained network: the path of a CSV file, or what is in memory."""


def given_rows(rows: InMemory, source: CsvFile, encoding: Encoding) -> Split:
    """Return an array or a data frame as new data; rows are counted from 0.

    Columns of an array are the inputs in their order. Those of a data frame are found by their names; where it has the
    label, or all values, predictions can be compared with them.

    Args:
        rows: in the units of the rows that the network was trained on.
        source: says which columns are label or values, how missing numbers are treated, and how labels are compared.
        encoding: fitted on the training rows.

    Raises:
        DataError: the shape, a column, a number or a label is wrong; names the row.
    """
    title = "the data frame" if isinstance(rows, pd.DataFrame) else "the array"
    frame = _framed(rows, encoding)
    if not len(frame):
        raise DataError(f"{title} has no rows")
    frame = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    columns = [*encoding.channels, *(name for name in source.wanted if name in frame)]
    _check_columns(frame, columns, title)
    inputs = np.column_stack([_numbers(frame[name], title) for name in encoding.channels])
    _check_known(inputs, encoding.channels, title, filled=source.missing == "mean")
    origin = Origin(Path(title), encoding.channels, np.arange(len(frame)), counted="row")
    labels, values = _answers(frame, source, encoding, title)
    codes = np.zeros(len(frame), np.intp) if labels is None else labels
    answered = labels is not None or values is not None
    table = Table(inputs, codes, encoding.classes, values=values, origin=origin, answered=answered)
    return encoded(table, encoding, title)


def _framed(rows: InMemory, encoding: Encoding) -> pd.DataFrame:
    if isinstance(rows, pd.DataFrame):
        return rows
    try:
        array = np.asarray(rows)
    except ValueError as ragged:
        raise DataError("the array has rows of different lengths") from ragged
    count = len(encoding.channels)
    if array.ndim != 2 or array.shape[1] != count:
        shape = f"the array has shape {array.shape}, and [rows, {count}] is needed"
        cure = "; write [row] for a single one" if array.shape == (count,) else ""
        raise DataError(f"{shape}: the inputs are {listed(encoding.channels)}{cure}")
    return pd.DataFrame(array, columns=list(encoding.channels))


def _check_columns(frame: pd.DataFrame, wanted: list[str], title: str) -> None:
    known = list(frame.columns)
    for name in wanted:
        if name not in known:
            has = f"{counted(len(known), 'column is', 'columns are')} {listed(known, 20)}"
            raise DataError(f"{title}: no column {name!r}; its {has}{did_you_mean(name, known)}")
        if known.count(name) > 1:
            raise DataError(f"{title}: column {name!r} is there twice")


def _numbers(column: "pd.Series[Any]", title: str) -> Array:
    """Return the numbers of a column, NaN where one is missing."""
    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_complex_dtype(column.dtype):
        raise DataError(f"{title}: column {column.name!r} is of {column.dtype}; give it as numbers")
    numbers = np.asarray(column.to_numpy(np.float64, na_value=np.nan))
    if (beyond := np.flatnonzero(np.abs(numbers) > LARGEST)).size:
        row = int(beyond[0])
        raise DataError(f"{title}, row {row}, column {column.name!r}: {numbers[row]:g} is beyond ±{LARGEST:g}")
    return numbers


def _check_known(numbers: Array, names: tuple[str, ...], title: str, *, filled: bool) -> None:
    """Refuse missing numbers, unless they are `filled` with the mean of the training rows."""
    gaps = np.argwhere(np.isnan(numbers))
    if gaps.size and not filled:
        row, at = map(int, gaps[0])
        more = f", and {counted(len(gaps) - 1, 'more number is', 'more numbers are')} too" if len(gaps) > 1 else ""
        raise DataError(
            f"{title}, row {row}, column {names[at]!r}: the number is missing{more}; fill it, or drop the row"
        )


def _answers(frame: pd.DataFrame, source: CsvFile, encoding: Encoding, title: str) -> tuple[Index | None, Array | None]:
    """Return the class of each row, or the values; None where the frame does not have them."""
    there = [name for name in source.wanted if name in frame]
    if not there:
        return None, None
    if source.values:
        _check_columns(frame, list(source.values), title)
        values = np.column_stack([_numbers(frame[name], title) for name in source.values])
        _check_known(values, source.values, title, filled=False)
        return None, values
    column = frame[there[0]]
    if (without := np.flatnonzero(column.isna())).size:
        raise DataError(
            f"{title}, row {without[0]}, column {there[0]!r}: the label is missing; drop the row, or the column"
        )
    texts, rows = [str(label) for label in column], np.arange(len(frame))
    return codes_of(texts, rows, Path(title), there[0], encoding.classes, source.labels, "row"), None
