"""Work on files from elsewhere, done in a process of its own.

A netlist that somebody sent may make a simulator crash, run without end or take all memory. Whatever becomes of the
process, this one goes on and says so in a sentence.
"""

import atexit
import os
import resource
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from harness.chip.pool import cause_of_death, start_server
from harness.errors import SimulatorError
from harness.units import show

T = TypeVar("T")
_SECONDS = 60.0
_SECONDS_A_STATEMENT = 5e-3  # for each sample; ngspice takes 1e-5
_BYTES = 1_500_000_000
_BYTES_A_STATEMENT = 20_000  # ngspice takes 3,000
_MOST_WRITTEN = 4_000_000_000


@dataclass(frozen=True)
class Limits:
    """How much a process may use, beyond what it has when it begins."""

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
        """What messages call them."""
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
    """What this process has of its own; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def in_child(name: str, limits: Limits, work: Callable[..., T], *arguments: Any) -> T:
    """Do some work in the child of this process and return what it returns.

    Args:
        name: of what does the work, for messages.
        limits: of time and memory.
        work: a function of a module.
        arguments: whatever can be sent.

    Raises:
        SimulatorError: the child crashed or took too long, or what the work itself raises.
    """
    return _child().do(name, limits, work, arguments)


class _Child:
    """One process for one piece of work after another; it is replaced when it died."""

    def __init__(self) -> None:
        self._running: tuple[subprocess.Popen[bytes], Connection] | None = None
        atexit.register(self.end)

    def do(self, name: str, limits: Limits, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        if self._running is None:
            self._running = start_server("harness.simulators.child_worker", quiet=True)
        connection = self._running[1]
        try:
            connection.send((limits, work, arguments))
            if not connection.poll(limits.seconds):
                raise SimulatorError(f"{name} was ended after {show(limits.seconds, 's')} without a result")
            outcome: T | Exception = connection.recv()
        except (EOFError, OSError) as lost:
            raise SimulatorError(
                f"{name} crashed ({cause_of_death(self.end())}) over these files; it may use {limits.told}"
            ) from lost
        except BaseException:  # Ctrl-C too: no later call may get an answer that is still to come
            self.end()
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def end(self) -> int:
        """Kill the process; return how it ended, 0 if there is none."""
        if self._running is None:
            return 0
        (process, connection), self._running = self._running, None
        connection.close()
        with suppress(OSError, subprocess.TimeoutExpired):
            process.wait(0.2)  # one that crashed is still ending
        process.kill()
        return process.wait()


@cache
def _child() -> _Child:
    return _Child()
