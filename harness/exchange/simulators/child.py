"""Work on files from elsewhere, in a process of its own.

A netlist that somebody sent may make a simulator crash, run without end or take all memory. Whatever becomes of the
process, this one goes on and says so in a sentence.
"""

import atexit
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from harness.errors import SimulatorError
from harness.processes.pool import Ended, Workers
from harness.units import show

T = TypeVar("T")
_SECONDS = 60.0
_SECONDS_A_STATEMENT = 5e-3  # for each sample; ngspice takes 1e-5
_BYTES = 1_500_000_000
_BYTES_A_STATEMENT = 20_000  # ngspice takes 3,000
_MOST_WRITTEN = 4_000_000_000


@dataclass(frozen=True)
class Limits:
    """Limits of what a process may use beyond what it has when it begins."""

    seconds: float = _SECONDS
    memory: int = _BYTES
    """Bytes."""

    @classmethod
    def of(cls, statements: int, samples: int = 1) -> "Limits":
        """Return ample limits for a netlist of so many statements and a testbench of so many samples."""
        work = statements * samples
        return cls(_SECONDS + _SECONDS_A_STATEMENT * work, _BYTES + _BYTES_A_STATEMENT * statements)

    def resources(self) -> tuple[int, int, int]:
        """Return bytes of memory, seconds of a core (of many cores, more), and bytes of a file."""
        return self.memory, int(self.seconds * (os.cpu_count() or 1)) + 1, _MOST_WRITTEN

    @property
    def told(self) -> str:
        """The limits in words, for messages."""
        return f"{show(self.memory, 'B')} of memory and {show(self.seconds, 's')}"

    def impose(self) -> None:
        """Have this process keep to the memory from now on, and leave no core file when it crashes."""
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        wanted = _own_bytes() + self.memory
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


BRIEF = Limits()
"""For what takes no netlist, such as asking for a version."""


def _own_bytes() -> int:
    """Return the bytes that belong to this process; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def in_child(name: str, limits: Limits, work: Callable[..., T], *arguments: Any) -> T:
    """Do some work, a function of a module, in the child of this process and return what it returns.

    `name` is what messages call the worker; `limits` are of its time and memory; arguments are whatever can be pickled.

    Raises:
        SimulatorError: the child crashed or took too long, or what the work itself raises.
    """
    child = _child()
    try:
        child.give(name, _within, limits, work, *arguments)
        ended = _awaited(child, limits.seconds)
    except BaseException:  # Ctrl-C too: no later call may get an answer that is still to come
        child.close()
        raise
    if ended is None:
        child.close()
        raise SimulatorError(f"{name} was ended after {show(limits.seconds, 's')} without a result")
    if ended.lost is not None:
        raise SimulatorError(f"{name} crashed ({ended.lost}) over these files; it may use {limits.told}")
    if ended.error is not None:
        raise ended.error
    result: T = ended.value
    return result


@cache
def _child() -> Workers:
    """Return the process that does one piece of work after another; a new one replaces it when it has died."""
    child = Workers(1, name="child", quiet=True)
    atexit.register(child.close)
    return child


def _awaited(child: Workers, seconds: float) -> Ended | None:
    """Return how the child's work ended; None if it has not after so many seconds."""
    limit = time.monotonic() + seconds
    while (left := limit - time.monotonic()) > 0:
        for ended in child.ended(left):
            return ended
    return None


def _within(limits: Limits, work: Callable[..., T], *arguments: Any) -> T:
    limits.impose()
    try:
        return work(*arguments)
    except MemoryError as error:
        raise SimulatorError(f"more than {limits.told} would be needed") from error
