"""Cells of tables as numbers: plain decimal ones, and a sentence for every other kind."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from harness.measurement import Array

LARGEST = 1e100
"""Beyond this, squares and sums of numbers overflow."""
MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?", ".", "-", "--"})
"""Texts that stand for a missing value in a column of numbers, in small letters."""

_LOOKED_AT = 80
"""Characters of a cell by which its kind is told."""
_PLAIN = b"0123456789+-.eE \n"
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WITH_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?", re.ASCII)
_WITH_POINT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+", re.ASCII)
_KINDS = (
    (r"[+-]?inf(?:inity)?", "is not finite"),
    (r"[+-]?0x[0-9a-f.p+-]+", "is a hexadecimal number; write it in decimal"),
    (r"[+-]?\d[\d_.]*_[\d_.]*(?:e[+-]?\d+)?", "has underscores; leave them out"),
    (r"[+-]?\d{1,3}(?:,\d{3}){2,}(?:\.\d+)?|[+-]?\d{1,3}(?:,\d{3})+\.\d+", "has thousands separators; leave them out"),
    (r"[+-]?\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?|[+-]?\d{1,3}(?:\.\d{3})+,\d+", "has thousands separators; leave them out"),
    (r"[+-]?\d{1,3}(?:[\s'’]\d{3})+(?:[.,]\d+)?", "has thousands separators; leave them out"),
    (r"true|false|yes|no", "is a truth value; write 1 and 0"),
    (r"\d{4}[-/.]\d\d?[-/.]\d\d?(?:[t ].*)?|\d\d?[-/.]\d\d?[-/.]\d{2,4}(?: .*)?|\d\d?:\d\d(?::\d\d.*)?",
     "is a date or a time; write a number, such as days since a start"),
    (r"#.*", "is an error of a spreadsheet"),
    (r"[−–—]\s*[\d.,]+.*", "has a dash for its minus sign; write '-'"),
    (r".*%", "has a percent sign; leave it out"),
    (r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?\s*[^\d\s.,].*", "has something behind its number; leave it out"),
)  # fmt: skip
"""Kinds of cells that are no plain number, as patterns of small letters, and what to do about them."""


class NoNumberError(ValueError):
    """A cell that is no number."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def numbers(cells: Sequence[str], decimal: str = ".") -> Array:
    """Return the numbers in the cells of a column, NaN where one is missing (see `MISSING`).

    Blanks around them do not matter; the decimal mark is ``"."`` or ``","``.

    Raises:
        NoNumberError: a cell is no plain decimal number within ±`LARGEST`; has the index of the first one.
    """
    text = "\n".join(cells)
    if decimal == ",":
        text = text.replace(".", "_").replace(",", ".")
    if not text.encode("utf-8", "surrogatepass").translate(None, _PLAIN):
        try:
            found = np.array([float(cell) for cell in text.split("\n")])
        except ValueError:
            pass
        else:
            if len(found) == len(cells) and (np.abs(found) <= LARGEST).all():
                return found
    return np.array([_number(index, cell.strip(), decimal) for index, cell in enumerate(cells)])


def decimal_mark(cells: Iterable[str]) -> str | None:
    """Return the decimal mark of the first number that shows it beyond doubt; None where no cell does.

    A comma before three digits may be a thousands separator.
    """
    for cell in map(str.strip, cells):
        if _WITH_POINT.fullmatch(cell):
            return "."
        if _WITH_COMMA.fullmatch(cell) and not _MAYBE_THOUSANDS.fullmatch(cell):
            return ","
    return None


def number_in(cell: str) -> float | None:
    """Return the number in a text, with a decimal point or comma; None where it is none."""
    text = cell.strip().replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else None


def _number(index: int, cell: str, decimal: str) -> float:
    pointed = cell if decimal == "." else cell.replace(".", "_").replace(",", ".")
    if _NUMBER.fullmatch(pointed):
        value = float(pointed)
        if abs(value) <= LARGEST:
            return value
        raise NoNumberError(index, f"{cell[:40]!r} is beyond ±{LARGEST:g}; write the column in a larger unit")
    if cell.casefold() in MISSING:
        return np.nan
    raise NoNumberError(index, f"{cell[:40]!r} {_kind(cell, decimal)}")


def _kind(cell: str, decimal: str) -> str:
    """Return the kind of a cell that is no number, and what to do about it."""
    if decimal == "." and _MAYBE_THOUSANDS.fullmatch(cell) and cell.count(",") == 1:
        return "may have a decimal comma or a thousands separator; set data.decimal = ',', or leave the separator out"
    if decimal == "." and _WITH_COMMA.fullmatch(cell):
        return (
            "has a decimal comma where others have points; write all with one mark, and "
            "set data.decimal = ',' for commas"
        )
    if decimal == "," and _WITH_POINT.fullmatch(cell):
        return "has a decimal point where decimal = ','; write all with one mark"
    small = cell[:_LOOKED_AT].casefold()
    return next((what for pattern, what in _KINDS if re.fullmatch(pattern, small)), "is no number")
