"""The command line in forked children: what an interpreter would take a second to import is there already.

A child is the real thing otherwise: a process and a session of its own, a folder, a home, limits of time and memory.
"""

import gc
import importlib
import io
import os
import pkgutil
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads would not survive a fork

GRACE = 30.0
"""Time, s, that a command has to end after Ctrl-C, and its own processes have after its end."""


@dataclass(frozen=True)
class Limits:
    """Bounds of a child."""

    seconds: float = 6.0
    """Of a processor; then it gets Ctrl-C, and work that ends on Ctrl-C does not hang."""
    patience: float = 60.0
    """By the clock, s; then likewise."""
    memory: int = 6 << 30
    """Address space, bytes."""


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int | None
    """Exit code; None where a signal ended it."""
    signal: int | None
    interrupted: bool
    """It took longer than its limit and got Ctrl-C."""
    hung: bool
    """It waited without working, or Ctrl-C did not end it either."""
    left: tuple[int, ...]
    """Processes that it had started and that outlived it."""
    out: str
    err: str
    seconds: float


_IMPORTED_LATE = (
    *("PySpice.Spice.NgSpice.Shared", "sklearn.datasets", "sklearn.model_selection", "networkx", "schemdraw"),
    *("matplotlib.style", "contourpy", "rich.status", "rich._emoji_codes", "encodings.cp437", "encodings.utf_8_sig"),
)
"""What commands import while they work; half the time of a small command without this."""


def import_everything() -> None:
    """Import what commands import later, draw once, and keep the collector from touching it all in each child.

    libngspice is not loaded: each child that needs it loads its own.
    """
    import harness

    for module in pkgutil.walk_packages(harness.__path__, "harness."):
        if not module.name.endswith(("__main__", ".remote", ".cluster", ".pool_worker", ".torch")):
            importlib.import_module(module.name)
    for name in ("harness.__main__", *_IMPORTED_LATE):
        importlib.import_module(name)
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.set_title("text, so that fonts are found")
    figure.savefig(io.BytesIO(), format="png")
    pyplot.close(figure)
    gc.collect()
    gc.freeze()


def start(
    words: Sequence[str],
    folder: Path,
    *,
    before: Callable[[], None] = lambda: None,
    environment: Mapping[str, str] | None = None,
    limits: Limits = Limits(),
) -> "Child":
    """Start `harness` with words in a folder; `before` is called in the child."""
    files = (os.memfd_create("stdout"), os.memfd_create("stderr"))
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_harness(words, folder, before, environment or {}, limits, files)
    return Child(pid, files, limits)


def run(words: Sequence[str], folder: Path, **how: object) -> Ended:
    """Start `harness` and wait for its end; takes what `start` takes."""
    return start(words, folder, **how).wait()  # type: ignore[arg-type]


class Child:
    """A `harness` that runs."""

    def __init__(self, pid: int, files: tuple[int, int], limits: Limits) -> None:
        self.pid = pid
        self._files, self._limits, self._began = files, limits, time.monotonic()
        self._pidfd = os.pidfd_open(pid)

    @property
    def said(self) -> str:
        """What it has written to standard error so far."""
        return os.pread(self._files[1], os.fstat(self._files[1]).st_size, 0).decode(errors="replace")

    def ended_within(self, seconds: float) -> bool:
        """Wait so long for its end."""
        return bool(select.select([self._pidfd], [], [], max(0.0, seconds))[0])

    def wait(self) -> Ended:
        """Wait for its end, at most as long as its limits say, and clean up after it."""
        while not self.ended_within(0.5) and not self._too_long():
            pass
        interrupted, hung = not self.ended_within(0.0), False
        if interrupted:
            worked = sum(map(_processor_seconds, _session(self.pid)))
            os.kill(self.pid, signal.SIGINT)
            ends = self.ended_within(GRACE)
            hung = not ends or worked < self._limits.seconds / 10
            if not ends:
                os.killpg(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self._began
        os.close(self._pidfd)
        left = _outliving(self.pid)
        out, err = map(_content, self._files)
        ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        return Ended(code, ended_by, interrupted, hung, left, out, err, seconds)

    def _too_long(self) -> bool:
        clock = time.monotonic() - self._began
        return clock > self._limits.patience or _processor_seconds(self.pid) > self._limits.seconds

    def processes(self) -> list[int]:
        """Those of its session, itself left out."""
        return [pid for pid in _session(self.pid) if pid != self.pid]


def _processor_seconds(pid: int) -> float:
    """Time of a process so far; 0 for one that is gone."""
    try:
        user, system = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0.0
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _content(file: int) -> str:
    size = os.lseek(file, 0, os.SEEK_END)
    content = os.pread(file, size, 0)
    os.close(file)
    return content.decode(errors="replace")


def _outliving(session: int) -> tuple[int, ...]:
    """Processes that stay although their parent has ended; they are ended."""
    end = time.monotonic() + GRACE
    while (left := _session(session)) and time.monotonic() < end:
        time.sleep(0.02)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return tuple(left)


def _session(number: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        with suppress(OSError, ValueError):
            state, _, _, session = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == number and state != "Z":
                found.append(int(entry))
    return found


def _be_harness(
    words: Sequence[str],
    folder: Path,
    before: Callable[[], None],
    environment: Mapping[str, str],
    limits: Limits,
    files: tuple[int, int],
) -> NoReturn:
    """The child's whole life."""
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.chdir(folder)
        os.environ.update(environment)
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # processes that it starts find its main module as if `python -m harness` had run
        sys.modules["__main__"] = importlib.import_module("harness.__main__")
        sys.argv = ["harness", *words]
        code = _exit_code(words, before)
    except BaseException:  # as the interpreter does it
        traceback.print_exc()
        code = 1
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _exit_code(words: Sequence[str], before: Callable[[], None]) -> int:
    from harness.cli.main import main

    try:
        before()
        main(args=list(words), prog_name="harness")
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)  # noqa: T201 - what the interpreter does
            return 1
        return ended.code or 0
    return 0
