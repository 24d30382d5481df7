"""Tables and results go to stdout, progress to stderr.

Nothing from outside is obeyed: names and messages are printed as they are, without markup, emoji or control characters.
Characters that an output's encoding does not have are replaced by plain ones.
"""

import codecs
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Timer
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from harness.errors import PictureError
from harness.experiment.experiment import Experiment
from harness.files.reading import JsonObject
from harness.files.writing import write_atomic
from harness.studies.check import Check
from harness.wording import plain, printable


class _LiteralConsole(Console):
    """A console that shows every text as it is, in tables too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        with _naming("standard error" if self.stderr else "standard output"):
            super().print(*objects, **options)


ERR = _LiteralConsole(stderr=True, soft_wrap=True)
OUT = _LiteralConsole(soft_wrap=True)
_LONG = 1e6
"""An R² that is farther below 0 is written with a power of ten."""
_SOON = 2.0
"""s after which a command says what it is at."""
WIDE = _LiteralConsole(width=500)
"""For wide tables: lines that run over a narrow terminal are better than figures cut short."""


def accept_every_character() -> None:
    """Let standard output and error replace what their encoding lacks, instead of failing."""
    codecs.register_error(_STAND_INS, _stand_in)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # others, such as a notebook's, take everything
            stream.reconfigure(errors=_STAND_INS)


_STAND_INS = "harness-stand-ins"


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end


@contextmanager
def _naming(stream: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise type(error)(error.errno, error.strerror, stream) from error


def end_output() -> None:
    """Flush standard output, or drop what cannot be written, which would raise again when the interpreter ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def reason_of(error: OSError) -> str:
    """Return an error of the operating system as a line: which file, and why."""
    where = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    why = error.strerror or str(error)
    return f"{where}: {why}" if where else why


def warn(text: str) -> None:
    """Print a warning on stderr."""
    ERR.print(f"warning: {text}")


def drawn(file: Path | None, draw: Callable[[], bytes]) -> bool:
    """Write a picture that belongs to results, if one is wanted; on failure, warn and return False."""
    try:
        if file is not None:
            write_atomic(file, draw())
    except (PictureError, OSError) as error:
        warn(f"{file} was not drawn: {reason_of(error) if isinstance(error, OSError) else error}")
        return False
    return True


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something is being done; the block may replace the text."""
    moving = "dots" if ERR.encoding.startswith("utf") else "line"
    with ERR.status(Text(printable(text)), spinner=moving) as status:
        yield lambda told: status.update(Text(printable(told)))


@contextmanager
def building(name: str) -> Iterator[None]:
    """Say that an experiment is being made where that takes a while: hundreds of layers take a minute."""
    told = Timer(_SOON, lambda: ERR.print(f"loading the data and building the network of {name} …"))
    told.daemon = True
    told.start()
    try:
        yield
    finally:
        told.cancel()


@contextmanager
def counting(title: str, total: int, completed: int = 0) -> Iterator[Callable[[str], None]]:
    """Show a bar over things to do; the block calls what it gets with a line about each that has ended."""
    with progress_bar(TextColumn(title)) as bar:
        task = bar.add_task(title, total=total, completed=completed)

        def ended(line: str) -> None:
            bar.console.print(line)
            bar.advance(task)

        yield ended


def progress_bar(title: TextColumn, *notes: TextColumn) -> Progress:
    """Return a bar on stderr with the share that is done and the time that is left, which vanishes at its end."""
    columns = (title, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), *notes)
    return Progress(*columns, console=ERR, transient=True)


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """Return a table of texts."""
    made = Table(*titles)
    for row in rows:
        made.add_row(*row)
    return made


def wide_table(*titles: str) -> Table:
    """Return a table for `WIDE`, without lines between its columns."""
    return Table(*(Column(title, no_wrap=True) for title in titles), box=SIMPLE_HEAD, pad_edge=False)


def answer(content: JsonObject, text: str, *, as_json: bool) -> None:
    """Print one object on stdout or, without ``--json``, what it means."""
    if as_json:
        print_json(content)
    else:
        OUT.print(text)


def print_notes(subject: Experiment) -> None:
    """Print on stderr what was found in a data file of the user's own; other data have no notes."""
    for note in subject.data.notes:
        ERR.print(f"  {note}", soft_wrap=True)


def scored(value: float, kind: str) -> str:
    """Return an accuracy or an R² as people read it."""
    if kind == "accuracy":
        return f"{100 * value:.2f} %"
    return f"{value:.5f}" if abs(value) < _LONG else f"{value:.3g}"


def exit_unless_drawn(file: Path | None, *, done: bool, quiet: bool) -> None:
    """Say that a picture was written, if one was wanted; exit with 1 if it was not drawn."""
    if not done:
        sys.exit(1)
    if file is not None and not quiet:
        OUT.print(f"wrote {file}")


def print_checks(checks: Sequence[Check], more: JsonObject, as_json: bool, *, failed: bool = False) -> None:
    """Print checks as a table or, with `more`, as one object; exit with 1 unless all passed."""
    passed = all(c.passed for c in checks) and not failed
    if as_json:
        rows = [{**asdict(c), "passed": c.passed} for c in checks]
        print_json({**more, "passed": passed, "checks": rows})
    else:
        shown = Table("check", "value", "bound", "unit", "")
        for c in checks:
            shown.add_row(c.name, f"{c.value:.2e}", f"{c.bound:.2e}", c.unit, verdict(c.passed))
        OUT.print(shown)
    if not passed:
        sys.exit(1)


def verdict(passed: bool, otherwise: str = "failed") -> Text:
    """Return a coloured word for what has passed, or what else it is in capitals."""
    return Text("passed", "green") if passed else Text(otherwise.upper(), "red")


def print_json(content: JsonObject) -> None:
    """Print one object on stdout, null for what is not finite; escape what the output's encoding does not have."""
    finite = _finite(content)
    text = json.dumps(finite, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(finite, allow_nan=False)
    with _naming("standard output"):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
