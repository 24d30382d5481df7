"""Kills at file operations, from inside: a process counts what it does to files and ends itself at one of them."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.utime",
)
"""Audit events of what changes files, beside ``open``."""


@dataclass(frozen=True)
class Operation:
    """What a process is about to do to a file."""

    what: str
    path: str


def watch(folder: Path, tell: Callable[[Operation], None]) -> None:
    """Tell of each change of a file below a folder before this process makes it; for the rest of its life."""
    inside = os.path.realpath(folder) + os.sep

    def note(what: str, path: Any) -> None:
        named = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.fsdecode(path)
        if os.path.realpath(named).startswith(inside):
            tell(Operation(what, named))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS or (event == "open" and arguments[2] & _WRITING and not isinstance(arguments[0], int)):
            note(event.removeprefix("os."), arguments[0])

    sys.addaudithook(hook)
    sync = os.fsync

    def fsync(file: int) -> None:  # which has no event
        note("fsync", file)
        sync(file)

    os.fsync = fsync


def kill_at(folder: Path, count: int, *, torn: float | None = None) -> None:
    """End this process with SIGKILL before its change number `count`, from 0.

    Args:
        folder: changes below it count.
        count: how many are made.
        torn: where the change before opened a file, what share of that file is written by then; None for all of it.
    """
    seen: list[Operation] = []

    def tell(operation: Operation) -> None:
        if len(seen) == count:
            if torn is not None and operation.what != "truncate":  # which is the next line's
                os.truncate(seen[-1].path, int(torn * os.path.getsize(seen[-1].path)))
            os.kill(os.getpid(), signal.SIGKILL)
        seen.append(operation)

    watch(folder, tell)


def kill_when(folder: Path, found: Callable[[Operation], bool]) -> None:
    """End this process with SIGKILL before the first change for which `found` is true."""
    watch(folder, lambda operation: os.kill(os.getpid(), signal.SIGKILL) if found(operation) else None)


def write_into(folder: Path, file: int) -> None:
    """Write a line for each change into an open file."""
    watch(folder, lambda operation: (os.write(file, f"{operation.what} {operation.path}\n".encode()), None)[1])


def save_every_batch() -> None:
    """Make training in this process save after each batch, so that kills find something to do between."""
    from harness.training import controller

    controller.CHECKPOINT_SECONDS = 0.0
    controller._SAVING_SHARE = 0
