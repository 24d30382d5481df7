"""Programs as tables of pulses: a CSV file with a row for each run of equal pulses for one cell, in order.

::

    array,word,bit,polarity,voltage (V),width (s),pulses,verify from (S),verify to (S)
    w1,0,3,up,0.9,6e-09,2,1.2e-06,1.4e-06

Arrays without bit lines, such as edges, have no bit. Volts are those of the word line's driver against the bit line's.
Conductances are those of the network. With a window, each pulse is followed by a read, and the rest of the row is left
out once a read lies in it; without one, all pulses are applied.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.circuit import Circuit
from harness.errors import DataError, UnitError
from harness.files.delimited import read_delimited
from harness.units import parse

COLUMNS = (
    "array",
    "word",
    "bit",
    "polarity",
    "voltage (V)",
    "width (s)",
    "pulses",
    "verify from (S)",
    "verify to (S)",
)
_UP, _DOWN = "up", "down"
_MOST_PULSES = 1_000_000
"""In one row."""
_MOST_ROWS = 50_000_000


@dataclass(frozen=True)
class Row:
    """Equal pulses for one cell."""

    array: str
    word: int
    bit: int | None
    """None in an array without bit lines."""
    up: bool
    """True where the pulses raise the conductance."""
    volts: float
    """V of the word line's driver against the bit line's."""
    seconds: float
    """Width of each pulse, s."""
    count: int
    window: tuple[float, float] | None
    """S from which to which a read ends the row; None for no reads."""


def rows_bytes(rows: Sequence[Row]) -> bytes:
    """Return rows as the content of a file; numbers survive bit for bit."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in rows:
        window = ("", "") if row.window is None else map(repr, row.window)
        place = row.array, row.word, "" if row.bit is None else row.bit
        table.writerow(
            (*place, _UP if row.up else _DOWN, repr(row.volts), repr(row.seconds), row.count, *window)
        )  # fmt: skip
    return text.getvalue().encode()


def read_rows(file: Path, circuit: Circuit) -> list[Row]:
    """Read a program for the cells of a circuit.

    Raises:
        DataError: the file cannot be read, a row names no cell of the circuit, or a number is none or out of its range;
            names the line.
    """
    table = read_delimited(file, DataError, separator=",")
    if tuple(table.columns) != COLUMNS:
        raise DataError(f"{file}: the first line must be {','.join(COLUMNS)}; it is {','.join(table.columns)}")
    shapes = {array.name: array.shape for array in circuit.arrays}
    return list(_read(file, table.rows(), shapes))


def _read(file: Path, lines: Iterator[tuple[int, list[str]]], shapes: dict[str, tuple[int, ...]]) -> Iterator[Row]:
    for number, (line, cells) in enumerate(lines):
        where = f"{file}, line {line}"
        if number >= _MOST_ROWS:
            raise DataError(f"{where}: a program has at most {_MOST_ROWS:,} rows")
        name, word, bit, polarity, volts, seconds, count, low, high = map(str.strip, cells)
        if (shape := shapes.get(name)) is None:
            raise DataError(f"{where}: there is no array {name!r}; the network has {', '.join(shapes)}")
        if polarity not in (_UP, _DOWN):
            raise DataError(f"{where}: polarity is {polarity!r}, and must be {_UP} or {_DOWN}")
        row = Row(
            name,
            _position(word, "word", shape[0], where),
            _bit(name, bit, shape, where),
            polarity == _UP,
            _quantity(volts, "voltage", "V", where),
            _quantity(seconds, "width", "s", where),
            _position(count, "pulses", _MOST_PULSES + 1, where),
            _window(low, high, where),
        )
        if row.volts == 0 or not row.seconds > 0 or row.count < 1:
            raise DataError(f"{where}: pulses must have volts, last longer than 0 s and be at least one")
        yield row


def _bit(name: str, text: str, shape: tuple[int, ...], where: str) -> int | None:
    if len(shape) > 1:
        return _position(text, "bit", shape[1], where)
    if text:
        raise DataError(f"{where}: bit is {text!r}, and array {name} has no bit lines; leave it empty")
    return None


def _position(text: str, name: str, most: int, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) < most):
        raise DataError(f"{where}: {name} is {text!r}, and must be a whole number from 0 to {most - 1:,}")
    return int(text)


def _quantity(text: str, name: str, unit: str, where: str) -> float:
    try:
        return parse(text, unit)
    except UnitError as error:
        raise DataError(f"{where}: {name}: {error}") from error


def _window(low: str, high: str, where: str) -> tuple[float, float] | None:
    if not low and not high:
        return None
    window = _quantity(low, "verify from", "S", where), _quantity(high, "verify to", "S", where)
    if not window[0] <= window[1]:
        raise DataError(f"{where}: the window from {low} S to {high} S is out of order")
    return window
