"""Tables in text files: a heading, and rows of cells that are texts as they stand, each with its line of the file.

A row that does not have as many cells as the heading is refused, and so is a heading that names a column twice: nothing
is shifted, dropped or guessed. Encoding and separator are found where that is certain, else they have to be named.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from harness.errors import HarnessError
from harness.files.reading import TABLE_LIMIT, read_bytes
from harness.wording import counted

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
"""Separators that are found by themselves, and what they are called."""

_LOOKED_AT = 200
"""Rows by which a separator is found."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; those of UTF-32 begin like those of UTF-16."""
_NO_TEXT = (
    (b"\x1f\x8b", "packed with gzip; unpack it"),
    (b"BZh", "packed with bzip2; unpack it"),
    (b"\xfd7zXZ", "packed with xz; unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it"),
    (b"PK\x03\x04", "a zip file or a spreadsheet; save its sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet; save its sheet as CSV"),
    (b"PAR1", "a Parquet file; save it as CSV"),
    (b"\x89HDF", "an HDF5 file; save its table as CSV"),
    (b"\x93NUMPY", "an array of NumPy's; save it as CSV"),
    (b"%PDF", "a PDF file"),
    (b"<!DOCTYPE", "a web page; download the table itself"),
    (b"<html", "a web page; download the table itself"),
    (b"<?xml", "an XML file; save its table as CSV"),
)
"""Beginnings of files that are taken for CSV files by mistake."""


@dataclass(frozen=True)
class TextTable:
    """A table in a text file, read row by row."""

    path: Path
    columns: tuple[str, ...]
    """Headings, with one blank for all that is between their words; empty where a column has none."""
    separator: str
    encoding: str
    content: bytes = field(repr=False)
    error: type[HarnessError] = field(repr=False)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Give the line that each row begins in, and its cells; empty lines are left out.

        Raises:
            HarnessError: of class `error`; a row has another number of cells than the heading, or a quote is not
                closed; names the line.
        """
        records = self._records()
        heading = next(records)[0]
        width = len(self.columns)
        for line, cells in records:
            if len(cells) != width:
                raise self.error(f"{self.path}, line {line}: {self._ragged(cells, heading)}")
            yield line, cells

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        records = _records(_lines(self.content, self.encoding), self.separator)
        try:
            yield from ((line, cells) for line, cells in records if not _blank(cells))
        except _BrokenRecordError as broken:
            raise self.error(f"{self.path}, line {broken.line}: {broken}") from broken

    def _ragged(self, cells: Sequence[str], heading: int) -> str:
        """Return what is wrong with a row of another length."""
        count, width = len(cells), len(self.columns)
        found = f"{counted(count, 'cell')} where the heading in line {heading} has {width}"
        found += f", cut at {SEPARATORS.get(self.separator, repr(self.separator))}"
        if count < width:
            return f"{found}; fill up the row, or leave out its line"
        if count == width + 1 and not cells[-1].strip():
            return f"{found}; take the separator away from its end, or give the heading one too"
        if self.separator == "," and count > width + 1:
            return f"{found}; where commas are decimal marks or stand in texts, put such cells in quotes"
        return f"{found}; a column without a heading needs one, and a separator within a text needs quotes around it"


class _BrokenRecordError(Exception):
    """A row that cannot be cut into cells."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_delimited(
    path: Path,
    error: type[HarnessError],
    *,
    separator: str | None = None,
    encoding: str | None = None,
    most: int = TABLE_LIMIT,
) -> TextTable:
    """Open a table in a text file.

    Args:
        path: the file.
        error: class of the error that is raised.
        separator: one character between cells (a blank: any number of blanks); None finds it.
        encoding: a text codec of Python's; None is what a byte order mark says, or UTF-8.
        most: largest size, bytes.

    Raises:
        HarnessError: of class `error`; the file cannot be read, is empty, no text, or in another encoding; its
            separator is in doubt; its heading has a name twice.
    """
    content = read_bytes(path, error, most=most)
    if not content.strip():
        raise error(f"{path}: it is empty; a table begins with a line of headings")
    codec = _encoding(content, encoding, error, path)
    cut = separator or _found_separator(content, codec, error, path)
    table = TextTable(path, (), cut, codec, content, error)
    line, cells = next(table._records(), (1, []))
    names = tuple(" ".join(cell.split()) for cell in cells)
    twice = next((name for name, count in Counter(names).items() if name and count > 1), None)
    if twice is not None:
        places = " and ".join(str(at) for at, name in enumerate(names, start=1) if name == twice)
        raise error(f"{path}, line {line}: column {twice!r} is there twice (columns {places}); rename or remove one")
    return TextTable(path, names, cut, codec, content, error)


def _encoding(content: bytes, wanted: str | None, error: type[HarnessError], path: Path) -> str:
    """Return the codec of a file, in which its whole content is text."""
    for start, what in _NO_TEXT:
        if content.startswith(start):
            raise error(f"{path}: it is no table in text but {what}")
    marked = next((codec for mark, codec in _MARKS if content.startswith(mark)), None)
    if marked and wanted and not marked.startswith(wanted.removesuffix("-le").removesuffix("-be")):
        name = marked.removesuffix("-sig").upper()
        raise error(f"{path}: it begins with the mark of {name}, which is not {wanted!r}; leave encoding out")
    if wanted in ("utf-16", "utf-32") and not marked:
        raise error(f"{path}: it does not begin with the mark of {wanted.upper()}; say utf-16-le, utf-16-be or another")
    codec = marked or wanted or "utf-8"
    if codec == "utf-8" and _wide(content):
        cure = "save it as UTF-8, or say encoding = 'utf-16-le' (or '-be')"
        raise error(f"{path}: it looks like UTF-16 without a byte order mark; {cure}")
    _check_text(content, codec, error, path)
    return codec


def _wide(content: bytes) -> bool:
    """Return True where every other byte is 0, as in Latin letters of UTF-16."""
    start = content[:200]
    return len(start) > 1 and any(start[1::2]) != any(start[::2])


def _check_text(content: bytes, codec: str, error: type[HarnessError], path: Path) -> None:
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as wrong:
        line = wrong.object[: wrong.start].decode(codec, "replace").count("\n") + 1
        cure = "say another encoding"
        if codec == "utf-8":
            cure = "save it as UTF-8, or say which encoding it has, such as encoding = 'latin-1'"
        if content.startswith(tuple(mark for mark, _ in _MARKS)):
            cure = "the file is damaged"
        what = f"it is not {codec.upper().removesuffix('-SIG')} text (byte 0x{wrong.object[wrong.start]:02x})"
        raise error(f"{path}, line {line}: {what}; {cure}") from wrong
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise error(f"{path}, line {line}: a NUL character, which no text has; the file is damaged or no text")


def _lines(content: bytes, codec: str) -> Iterable[str]:
    """Give lines with their ends as they are."""
    return io.TextIOWrapper(io.BytesIO(content), codec, newline="")


def _records(lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Give the line that each row begins in, and its cells.

    Raises:
        _BrokenRecordError: a quote is not closed, or goes on behind its end.
    """
    reader = csv.reader(lines, delimiter=separator, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells if separator != " " else [cell for cell in cells if cell]
            line = reader.line_num + 1
    except csv.Error as wrong:
        raise _BrokenRecordError(line, _unquoted(str(wrong))) from wrong


def _unquoted(wrong: str) -> str:
    """Return what is wrong with quotes in plain words."""
    if "unexpected end" in wrong or "field larger" in wrong:
        return "a quote opens a cell and is not closed; close it, or write it twice within quotes"
    if "expected after" in wrong:
        return "a cell goes on behind its closing quote; within quotes, a quote is written twice"
    return f"it cannot be cut into cells ({wrong})"


def _found_separator(content: bytes, codec: str, error: type[HarnessError], path: Path) -> str:
    """Return the one character at which heading and rows can be cut."""
    fits: dict[str, tuple[int, bool]] = {}
    for separator in SEPARATORS:
        if separator == " " and fits:
            break  # blanks are for tables without any other separator
        counts = _counts(content, codec, separator)
        if counts and counts[0] > 1 and (separator != " " or len(set(counts)) == 1):
            fits[separator] = counts[0], len(set(counts)) == 1
    if len(fits) <= 1:
        return next(iter(fits), ",")
    even = [separator for separator, (_, whole) in fits.items() if whole]
    if len(even) == 1:
        return even[0]
    ways = " or at ".join(f"{SEPARATORS[separator]} ({count} columns)" for separator, (count, _) in fits.items())
    raise error(
        f"{path}: it can be cut at {ways}; write it with one of them alone, or, where it is an experiment's data, say "
        f"which with separator = {next(iter(fits))!r}"
    )


def _counts(content: bytes, codec: str, separator: str) -> list[int]:
    """Return the numbers of cells of the heading and the first rows; none where rows cannot be cut so."""
    try:
        records = list(islice(_records(_lines(content, codec), separator), _LOOKED_AT))
    except _BrokenRecordError:
        return []
    return [len(cells) for _, cells in records if not _blank(cells)]


def _blank(cells: Sequence[str]) -> bool:
    return not cells or (len(cells) == 1 and not cells[0].strip())
