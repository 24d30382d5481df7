"""Tables on terminals that are too narrow for them."""

import os
import shutil
from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from harness.wording import printable

_FOLDED = 60
"""Columns of a terminal from which on cells of several lines can be read."""
_UNBOUNDED = 10_000


def is_too_wide(console: Console, table: Table) -> bool:
    """Return True if lines of a terminal would be broken, or cells folded within their words.

    Files and pipes, which have no width, get tables as they are.
    """
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        return False
    columns = shutil.get_terminal_size().columns  # the terminal's own, where a console has another one
    wanted = console.measure(table, options=console.options.update(max_width=_UNBOUNDED)).maximum
    return wanted > columns and (console.width > columns or columns < _FOLDED)


def records(table: Table) -> Iterator[Text]:
    """Return a table's rows one below the other: a line for each cell that is not empty, with its column's title."""
    titles = [str(column.header) for column in table.columns]
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        lines = [_line(title, cell) for title, cell in zip(titles, cells, strict=True) if str(cell)]
        yield from lines[:1]
        yield from (Text("  ") + line for line in lines[1:])


def _line(title: str, cell: RenderableType) -> Text:
    value = cell if isinstance(cell, Text) else Text(printable(str(cell)))
    return Text(f"{printable(title)}: " if title else "") + value
