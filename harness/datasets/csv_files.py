"""CSV files of the user's own: rows are samples, with columns of numbers and a class or values for each row."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from harness.datasets.labels import codes_of, labels_of, odd_labels
from harness.datasets.missing import Cells, Gaps, without_missing
from harness.datasets.numbers import MISSING, NoNumberError, decimal_mark, number_in, numbers
from harness.datasets.tables import Origin, Table
from harness.errors import DataError
from harness.files.delimited import SEPARATORS, TextTable, read_delimited
from harness.measurement import Array
from harness.wording import counted, did_you_mean, listed

_CELLS, _ROWS = 5_000, (50, 500)
"""Cells that are turned into numbers together, and the fewest and the most rows that they may be: enough for NumPy, and
few enough for a processor's cache."""
_MANY = 10
"""Rows from which on a column that counts them is no chance."""
_UNNAMED = re.compile(r"|Unnamed: \d+")
"""Names that pandas gives to a column without a heading when it writes a table again."""


@dataclass(frozen=True)
class CsvFile:
    """A file and its columns; the keys of ``[data]`` with the same names say more."""

    file: Path
    label: str | None = "label"
    """The column with the class; None where rows are only to be predicted, if there are no values either."""
    values: tuple[str, ...] = ()
    """Instead of classes: columns of values."""
    inputs: tuple[str, ...] = ()
    """The columns that are inputs, in this order; all others without it."""
    ignore: tuple[str, ...] = ()
    """Columns that are not read."""
    missing: str | None = None
    """``"drop"`` leaves out rows with a missing cell, ``"mean"`` fills inputs; None refuses them."""
    labels: str | None = None
    """``"as written"`` or ``"folded"``, see `harness.datasets.labels.labels_of`."""
    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns that are no inputs: the values, or the label."""
        return self.values or ((self.label,) if self.label is not None else ())


@dataclass(frozen=True, eq=False)
class _Columns:
    """The places of inputs, label and values in a row."""

    inputs: tuple[int, ...]
    wanted: tuple[int, ...]
    """The label, or the values; nothing where rows are only to be predicted."""
    of_numbers: tuple[int, ...]
    """The inputs and then the values."""
    notes: tuple[str, ...]
    """Notes on columns that were left out without being told to."""


def read_csv(source: CsvFile, known: tuple[str, ...] | None = None) -> Table:
    """Read a table of samples; inputs are standardised.

    `known` are the classes of a trained network, in the order of its outputs; None finds them in the file. With them,
    a file needs neither the label nor any of the values; its rows have no answers then.

    Raises:
        DataError: the file is no table, or a column, label or number in it is missing or wrong; names line and column.
    """
    text = read_delimited(source.file, DataError, separator=source.separator, encoding=source.encoding)
    unanswered = known is not None and not {*source.wanted} & {*text.columns}
    if unanswered:
        source = replace(source, label=None, values=())
    columns = _chosen(source, text)
    decimal = source.decimal or _found_decimal(text, columns)
    everything = _read(source, text, columns, decimal)
    if not everything.lines.size:
        raise DataError(f"{source.file}: it has a heading and no rows")
    gaps = _gaps(source, text, columns, everything)
    cells, left_out = without_missing(everything, gaps, source.file, source.missing, chosen=bool(source.inputs))
    names = tuple(text.columns[at] for at in columns.inputs)
    size = f"{source.file.name}: {counted(len(everything.lines), 'row')}{_form(text, decimal)}"
    notes = (size, *columns.notes, *left_out)
    if known is None:
        notes = (*notes, *_counting(cells.inputs, names))
    if known is not None and unanswered:
        table = Table(cells.inputs, np.zeros(len(cells.lines), np.intp), known, answered=False)
    elif source.values:
        table = Table(cells.inputs, np.zeros(len(cells.lines), np.intp), source.values, values=cells.values)
    elif known is not None:
        codes = codes_of(cells.labels, cells.lines, source.file, source.wanted[0], known, source.labels)
        table = Table(cells.inputs, codes, known)
    else:
        where = f"{source.file}: column {source.label!r}"
        found = labels_of(cells.labels, cells.lines, where, source.labels)
        table = Table(cells.inputs, found.codes, found.classes, stratify=True)
        notes = (*notes, *odd_labels(found.classes))
    return replace(table, standardise=True, origin=Origin(source.file, names, cells.lines, notes))


def _chosen(source: CsvFile, text: TextTable) -> _Columns:
    places = {name: at for at, name in enumerate(text.columns) if name}
    for name in (*source.wanted, *source.inputs, *(name for name in source.ignore if name)):
        if name not in places:
            raise DataError(f"{source.file}: {_unknown(source, name, text)}")
    wanted = tuple(places[name] for name in source.wanted)
    chosen = tuple(places[name] for name in source.inputs), ()
    inputs, notes = chosen if source.inputs else _others(text, {*source.wanted, *source.ignore}, source.file)
    if not inputs:
        names = listed([repr(name) for name in source.wanted])
        raise DataError(f"{source.file}: it has no column of numbers besides {names}; its {_named(text)}")
    return _Columns(inputs, wanted, (*inputs, *wanted) if source.values else inputs, notes)


def _others(text: TextTable, known: set[str], file: Path) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return every column that is neither wanted nor ignored, except row names without a heading."""
    inputs, notes = [], []
    for at, name in enumerate(text.columns):
        if name in known:
            continue
        if not _UNNAMED.fullmatch(name):
            inputs.append(at)
        elif at == 0:
            notes.append("the first column has no heading: it is taken for names of rows, not for an input")
        elif all(not cells[at].strip() for _, cells in text.rows()):
            notes.append(f"column {at + 1} has neither heading nor cells: no input")
        elif name and _counts_rows(text, at):
            notes.append(f"column {name!r} has the row numbers that pandas wrote: no input")
        elif name:
            inputs.append(at)
        else:
            cure = "give it one, choose columns with inputs = […], or leave it out with ignore = ['']"
            raise DataError(f"{file}: column {at + 1} has no heading; {cure}")
    return tuple(inputs), tuple(notes)


def _counts_rows(text: TextTable, at: int) -> bool:
    """Return True for a column that counts up from 0 or 1."""
    found = [cells[at].strip() for _, cells in text.rows()]
    return any(found == list(map(str, range(start, start + len(found)))) for start in (0, 1))


def _unknown(source: CsvFile, name: str, text: TextTable) -> str:
    """Return what is wrong and how to cure it for a column that is not there."""
    if len(text.columns) == 1:
        found = f"{', '.join(SEPARATORS.values())} are found by themselves"
        cure = f"remove lines above it, or set data.separator = … ({found})"
        if source.separator:
            cure = f"it has no {source.separator!r} to be cut at; leave separator out"
        return f"its heading {text.columns[0][:60]!r} is one column; {cure}"
    if sum(number_in(name) is not None for name in text.columns) > len(text.columns) / 2:
        return f"its first line holds numbers ({listed(text.columns)}); write a line of headings above it"
    meant = did_you_mean(name, [*filter(None, text.columns)])
    if not meant and (source.label, source.values) == ("label", ()) and name == "label":
        meant = "; say which one is the class with label = …" + (
            "" if source.inputs else ", or values = […] for values"
        )
    return f"no column {name!r}; its {_named(text)}{meant}"


def _named(text: TextTable) -> str:
    count = counted(len(text.columns), "column is", "columns are")
    return f"{count} {listed([name or '(no heading)' for name in text.columns], 20)}"


def _portions(text: TextTable) -> Iterator[tuple[list[int], list[tuple[str, ...]]]]:
    """Give lines, and columns of cells, of many rows at a time."""
    rows, count = text.rows(), min(max(_CELLS // len(text.columns), _ROWS[0]), _ROWS[1])
    while portion := list(islice(rows, count)):
        yield [line for line, _ in portion], list(zip(*(cells for _, cells in portion), strict=True))


def _found_decimal(text: TextTable, columns: _Columns) -> str:
    """Return the decimal mark of the first number that has one."""
    if b"," not in text.content or (text.separator == "," and b'"' not in text.content):
        return "."
    cells = chain.from_iterable((cells[at] for at in columns.of_numbers) for _, cells in text.rows())
    return decimal_mark(cells) or "."


def _read(source: CsvFile, text: TextTable, columns: _Columns, decimal: str) -> Cells:
    lines: list[int] = []
    labels: list[str] = []
    parts: list[list[Array]] = []
    for here, portion in _portions(text):
        lines += here
        if columns.wanted and not source.values:
            labels += portion[columns.wanted[0]]
        columns_here = {text.columns[at]: portion[at] for at in columns.of_numbers}
        parts.append([_column(source, name, here, columns_here, decimal) for name in columns_here])
    if not parts:
        parts = [[np.zeros(0)] * len(columns.of_numbers)]
    found = np.column_stack([np.concatenate(column) for column in zip(*parts, strict=True)])
    split = len(columns.inputs)
    return Cells(np.array(lines, np.intp), found[:, :split], found[:, split:], labels)


def _column(
    source: CsvFile, name: str, lines: Sequence[int], columns: Mapping[str, Sequence[str]], decimal: str
) -> Array:
    """Return the numbers in one of some columns, `lines` of the file."""
    try:
        return numbers(columns[name], decimal)
    except NoNumberError as wrong:
        where = f"{source.file}, line {lines[wrong.index]}, column {name!r}"
        texts = [other for other, cells in columns.items() if _is_text(cells)]
        if name in texts and name not in (*source.wanted, *source.inputs):
            out = "the column" if len(texts) == 1 else f"columns {listed([repr(other) for other in texts])}"
            ignored = ", ".join(map(repr, (*source.ignore, *texts)))
            cure = f"leave {out} out with ignore = [{ignored}], or name the class with label = {name!r}"
            raise DataError(f"{where}: {wrong}, and neither are the cells around it; {cure}") from wrong
        raise DataError(f"{where}: {wrong}") from wrong


def _is_text(cells: Sequence[str]) -> bool:
    """Return True where no cell has a digit, and one is no missing value."""
    text = {cell.strip().casefold() for cell in cells}
    return not text <= MISSING and not any(character.isdigit() for cell in text for character in cell)


def _gaps(source: CsvFile, text: TextTable, columns: _Columns, cells: Cells) -> Gaps:
    inputs = {text.columns[at]: np.isnan(cells.inputs[:, k]) for k, at in enumerate(columns.inputs)}
    if source.values:
        return Gaps(inputs, {name: np.isnan(cells.values[:, k]) for k, name in enumerate(source.values)})
    without = np.array([not label.strip() for label in cells.labels], bool)
    return Gaps(inputs, dict.fromkeys(source.wanted, without))


def _form(text: TextTable, decimal: str) -> str:
    """Return how the file is written where that is unusual."""
    found = []
    if text.separator != ",":
        found.append(f"cut at {SEPARATORS.get(text.separator, repr(text.separator))}")
    if decimal == ",":
        found.append("with decimal commas")
    if text.encoding not in ("utf-8", "utf-8-sig"):
        found.append(f"in {text.encoding.upper()}")
    return "".join(f", {part}" for part in found)


def _counting(inputs: Array, names: Sequence[str]) -> tuple[str, ...]:
    """Return notes on columns that seem to number the rows."""
    if len(inputs) < _MANY:
        return ()
    counting = [name for name, column in zip(names, inputs.T, strict=True) if (np.diff(column) == 1).all()]
    return tuple(
        f"column {name!r} numbers the rows and is an input; ignore = [{name!r}] leaves it out" for name in counting
    )
