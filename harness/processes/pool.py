"""Worker processes on this machine: for the chunks of a batch, the points of a sweep and the cases of a suite.

They are started as commands of their own and not by `multiprocessing`: that would import the user's main module once
more in each of them, which runs a script without a main guard again, and modules from the working directory. They never
see Ctrl-C, on which this process decides, and end with this process, however it ends.
"""

import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Event, Thread
from typing import Any

from harness.errors import SimulatorError
from harness.processes.safe_path import safe_path
from harness.processes.worker import STOP, Answer

_SERVE = "import sys; sys.path[:] = sys.argv[3:]; from harness.processes.worker import serve; serve(int(sys.argv[2]))"
_STARTS = 3
"""Number of workers in a row that may end before they are ready."""
_STOPPED = 5.0
"""s for which a worker may be stopped (SIGSTOP) while this process runs."""
_IDLE = 60.0
"""s in which a worker at a call may use no processor time at all."""
_ENDING = 0.2
"""s that a worker gets which has crashed, and is not yet gone."""
_TICK = 0.5
"""s between two looks at the workers."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Ended:
    """Outcome of a call: its value, its error, or the end of its process."""

    tag: Any
    """As it was given."""
    value: Any = None
    error: Exception | None = None
    """The error that the call raised."""
    lost: str | None = None
    """The way in which the process of the call ended, if it did."""


class Workers:
    """Processes that do one call each at a time; to be used by one thread at a time.

    They are started when they are first needed, and stay until `close`. One that is stopped or hangs is killed with a
    warning, and counts as lost. Another one does its call again then, as often as `attempts` say.

    Args:
        size: most processes at the same time.
        prepare: called in every process before anything else; what it raises is raised by `ended`.
        attempts: how often a call is begun at most; what is still lost then has ended.
        name: what they are called in lists of processes.
        quiet: whether nobody sees what the processes write to stderr.
    """

    def __init__(
        self,
        size: int,
        prepare: Callable[[], None] | None = None,
        *,
        attempts: int = 1,
        name: str = "worker",
        quiet: bool = False,
    ) -> None:
        if size < 1:
            raise ValueError(f"{size} worker processes; at least 1 is needed")
        self.size = size
        self._prepare, self._attempts, self._stopped = prepare or _nothing, attempts, False
        self._name, self._quiet = name, quiet
        self._all: list[_Worker] = []
        self._failed_starts = 0
        self._closed = Event()

    @property
    def busy(self) -> int:
        """Number of calls that are at work."""
        return sum(worker.call is not None for worker in self._all)

    def give(self, tag: Any, function: Callable[..., Any], *arguments: Any) -> None:
        """Have a call done by a process that has nothing to do. `busy` must be less than `size`.

        The tag comes back with the result. The function is of a module; its arguments and its result are pickled.
        """
        self._give(_Call(tag, (function, arguments)))

    def _give(self, call: "_Call") -> None:
        idle = [worker for worker in self._all if worker.call is None]
        worker = idle[0] if idle else self._start()
        worker.call = call  # before it is sent: a stopped process may not take it
        if worker.ready and not worker.say(call.message):  # it died since its last call
            self._remove(worker)
            self._give(call)

    def ended(self, timeout: float | None = None) -> list[Ended]:
        """Wait until a call has ended, or for some seconds, and return all that have ended meanwhile.

        Raises:
            SimulatorError: one worker after another ended before it was ready.
            Exception: what `prepare` raised.
        """
        heard = wait([worker.connection for worker in self._all if worker.call is not None], timeout)
        found = [self._hear(worker) for worker in [*self._all] if worker.connection in heard]
        return [ended for ended in found if ended is not None]

    def stop(self) -> None:
        """Tell the calls that are at work to end early (`harness.processes.worker.stopping`); none is done again."""
        self._stopped = True
        for worker in self._all:
            if worker.call is not None:
                worker.say(STOP)

    def close(self) -> None:
        """End every process at once, whatever it is doing. The next `give` starts new ones."""
        self._closed.set()
        for worker in self._all:
            worker.process.kill()
        while self._all:
            self._all.pop().end()

    def _start(self) -> "_Worker":
        if not self._all:
            self._closed.set()
            self._closed = Event()
            Thread(target=_watch, args=(self._all, self._closed), daemon=True).start()
        worker = _started(self._name, self._quiet)
        self._all.append(worker)
        worker.say((self._prepare, ()))
        return worker

    def _hear(self, worker: "_Worker") -> Ended | None:
        call = worker.call
        assert call is not None  # noqa: S101 - see `ended`
        try:
            value, error = worker.hear()
        except (EOFError, OSError):
            return self._bury(worker, call)
        if worker.ready:
            worker.call = None
            return Ended(call.tag, value, error)
        if error is not None:
            raise error
        self._failed_starts, worker.ready = 0, True
        worker.say(call.message)
        return None

    def _bury(self, worker: "_Worker", call: "_Call") -> Ended | None:
        """Take a dead worker out; another one gets its call if it had not begun, or may be begun again."""
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(_ENDING)
        cause = self._remove(worker)
        if worker.ready:
            call.losses += 1
            if self._stopped or call.losses >= self._attempts:
                return Ended(call.tag, lost=cause)
            self._give(call)
            return None
        self._failed_starts += 1
        if self._failed_starts == _STARTS:
            self._failed_starts = 0
            raise SimulatorError(
                f"{_STARTS} worker processes in a row ended before they were ready, the last by {cause}; "
                "see 'harness doctor', or use a single worker"
            )
        self._give(call)
        return None

    def _remove(self, worker: "_Worker") -> str:
        cause = cause_of_death(worker.end())
        self._all.remove(worker)
        return worker.fault or cause


@dataclass(eq=False)
class _Call:
    tag: Any
    message: tuple[Callable[..., Any], tuple[Any, ...]]
    losses: int = 0
    """Processes that died over it."""


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: "Connection[Any, Any]"
    ready: bool = False
    """True when it has prepared itself."""
    call: _Call | None = None
    """The call that it is at work on."""
    fault: str = ""
    """The reason for which it was killed, if it was."""

    def say(self, message: Any) -> bool:
        try:
            self.connection.send(message)
        except OSError:
            return False
        return True

    def hear(self) -> Answer:
        answer: Answer = self.connection.recv()
        return answer

    def end(self) -> int:
        """Kill the process if it still lives, and return how it ended, as `subprocess` says it."""
        self.connection.close()
        self.process.kill()
        return self.process.wait()


def _nothing() -> None:
    pass


def _started(name: str, quiet: bool) -> _Worker:
    ours, theirs = Pipe()
    descriptor = theirs.fileno()
    command = [sys.executable, "-P", "-W", "ignore", "-c", _SERVE, name, str(descriptor), *safe_path()]
    with theirs, _interrupts_held_back():
        process = subprocess.Popen(  # noqa: S603 - this Python, our own words
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if quiet else None,
            pass_fds=[descriptor],
        )
    return _Worker(process, ours)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block Ctrl-C meanwhile, so that a process started here never sees it, not even before its first line."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(workers: "list[_Worker]", closed: Event) -> None:
    """Kill workers that will not answer any more. Time in which this process is itself stopped does not count."""
    still: dict[int, tuple[_Call, int, float]] = {}  # the call, its processor time, s for which that has stood still
    while not closed.wait(_TICK):
        for worker in [*workers]:
            call, pid = worker.call, worker.process.pid
            status = _status(pid)
            if call is None or status is None:
                continue
            state, used = status
            before, used_before, waited = still.get(pid, (call, used, 0.0))
            waited = waited + _TICK if (before, used_before) == (call, used) else 0.0
            still[pid] = call, used, waited
            stopped = state == "T"
            if waited >= (_STOPPED if stopped else _IDLE):
                worker.fault = f"being stopped for {waited:g} s" if stopped else f"making no progress for {waited:g} s"
                _log.warning("worker process %d is replaced after %s", pid, worker.fault)
                worker.process.kill()


def _status(pid: int) -> tuple[str, int] | None:
    """State of a process and the ticks of processor time that it has used; None where there is no such record."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[11]) + int(fields[12])


def cause_of_death(code: int) -> str:
    """Return how a process ended, from its code as `subprocess` says it."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal
        return f"signal {-code}"
