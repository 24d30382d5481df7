"""Tables and results go to stdout, progress to stderr.

Nothing from outside is obeyed: names and messages are printed as they are, without markup, emoji or control characters.
Characters that an output's encoding does not have are replaced by plain ones. With --quiet, stderr has warnings and
errors alone; with --verbose, it has what the package's own logs say of its decisions, too.
"""

import codecs
import io
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text
from typing_extensions import override

from harness.cli.output.narrow import is_too_wide, records
from harness.errors import PictureError
from harness.files.writing import write_atomic
from harness.wording import NOTICE, plain, printable

if TYPE_CHECKING:  # they take a second to import, which help need not wait for
    from harness.experiment.experiment import Experiment
    from harness.files.reading import JsonObject
    from harness.studies.check import Check


class _LiteralConsole(Console):
    """A console that shows every text as it is, in tables too; a table that is too wide becomes lines."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        with _naming("standard error" if self.stderr else "standard output"):
            match objects:
                case (Table() as table,) if is_too_wide(self, table):
                    for line in records(table):
                        super().print(line, soft_wrap=False, overflow="fold")
                case _:
                    super().print(*objects, **options)


ERR = _LiteralConsole(stderr=True, soft_wrap=True)
OUT = _LiteralConsole(soft_wrap=True)
_LONG = 1e6
"""An R² that is farther below 0 is written with a power of ten."""
_SOON = 2.0
"""s after which a command says what it is at."""
_BETWEEN = 30.0
"""s between lines about progress where there is no terminal to show a bar."""
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


_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_LOGS = logging.getLogger("harness")


class _Sayer(logging.Handler):
    """Prints what the package logs on stderr, each sentence once."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._said:
            self._said.add(text)
            ERR.print(f"warning: {text}" if record.levelno >= logging.WARNING else f"  {text}")


@contextmanager
def usual_loudness() -> Iterator[None]:
    """Say on stderr what is logged for everyone; let --quiet and --verbose hold for the block alone."""
    quiet, level, handlers = _quiet.set(False), _LOGS.level, [*_LOGS.handlers]
    _LOGS.setLevel(NOTICE)
    _LOGS.addHandler(_Sayer())
    try:
        yield
    finally:
        _quiet.reset(quiet)
        _LOGS.setLevel(level)
        _LOGS.handlers[:] = handlers


def be_quiet() -> None:
    """Print results, warnings and errors alone."""
    _quiet.set(True)
    _LOGS.setLevel(logging.WARNING)


def be_verbose() -> None:
    """Say on stderr what the package's logs say: what was decided, which files are read and written."""
    _LOGS.setLevel(logging.INFO)


def note(text: str) -> None:
    """Print a line about the work on stderr, unless --quiet is given."""
    if not _quiet.get():
        ERR.print(text)


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
    """Show on a terminal that something is being done; the block may replace the text.

    Where there is no terminal, lines say so from time to time.
    """
    if not ERR.is_interactive or _quiet.get():
        with told_soon(f"{text} …"):
            yield at_intervals()
        return
    moving = "dots" if ERR.encoding.startswith("utf") else "line"
    with ERR.status(Text(printable(text)), spinner=moving) as status:
        yield lambda told: status.update(Text(printable(told)))


@contextmanager
def building(name: str) -> Iterator[None]:
    """Say that an experiment is being made where that takes a while: hundreds of layers take a minute."""
    with told_soon(f"loading the data and building the network of {name} …"):
        yield


@contextmanager
def told_soon(text: str) -> Iterator[None]:
    """Print a line about the block if it takes a while."""
    told = Timer(_SOON, partial(copy_context().run, note, text))
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
            note(line)
            bar.advance(task)

        yield ended


def progress_bar(title: TextColumn, *notes: TextColumn) -> Progress:
    """Return a bar on stderr with the share that is done and the time that is left, which vanishes at its end."""
    columns = (title, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), *notes)
    return Progress(*columns, console=ERR, transient=True, disable=not ERR.is_interactive or _quiet.get())


def at_intervals() -> Callable[[str], None]:
    """Return a function that prints a line about progress where there is no bar, unless it did so a moment ago."""
    last = time.monotonic()

    def tell(text: str) -> None:
        nonlocal last
        if not ERR.is_interactive and time.monotonic() - last >= _BETWEEN:
            last = time.monotonic()
            note(text)

    return tell


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """Return a table of texts."""
    made = Table(*titles)
    for row in rows:
        made.add_row(*row)
    return made


def wide_table(*titles: str) -> Table:
    """Return a table for `WIDE`, without lines between its columns."""
    return Table(*(Column(title, no_wrap=True) for title in titles), box=SIMPLE_HEAD, pad_edge=False)


def answer(content: "JsonObject", text: str, *, as_json: bool) -> None:
    """Print one object on stdout or, without ``--json``, what it means."""
    if as_json:
        print_json(content)
    else:
        OUT.print(text)


def print_notes(subject: "Experiment") -> None:
    """Print on stderr what was found in a data file of the user's own; other data have no notes."""
    for found in subject.data.notes:
        note(f"  {found}")


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


def print_checks(checks: Sequence["Check"], more: "JsonObject", as_json: bool, *, failed: bool = False) -> None:
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


def print_json(content: "JsonObject") -> None:
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
