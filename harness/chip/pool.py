"""Many ngspices on this machine: worker processes that settle the chunks of a batch at the same time.

libngspice is one per process. The workers are started as commands of their own and not by `multiprocessing`: that would
import the user's main module once more in each of them, which runs a script without a main guard again.
"""

import signal
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from harness.chip.tasks import Answer, Task, all_settled
from harness.chip.worker import Settled
from harness.circuit import Settling
from harness.errors import SimulatorError
from harness.netlist.settings import Tolerances

_ATTEMPTS = 3
_SERVE = "import sys; sys.path[:] = sys.argv[2:]; from {module} import serve; serve(int(sys.argv[1]))"


class WorkerPool:
    """`Simulators` in processes of this machine; where a chunk is settled never shows in its voltages.

    Workers are started when they are first needed and stay until `close`. One that dies is replaced, and its task done
    again. To be used by one thread at a time.

    Args:
        tolerances: when ngspice takes a point for settled.
        workers: most processes at the same time.
    """

    def __init__(self, tolerances: Tolerances, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"a pool of {workers} workers; at least 1 is needed")
        self.workers = workers
        self._tolerances = tolerances
        self._crew: list[_Worker] = []
        self._failed_starts = 0

    def settle(self, settlings: Sequence[Settling]) -> list[Settled]:
        """See `Simulators.settle`. The pool stays usable after an error.

        Raises:
            NgspiceMissing: libngspice cannot be loaded in a worker.
            ConvergenceError: a sample did not settle; the first of several.
            SimulatorError: ngspice failed, or workers died again and again over the same settling.
        """
        call = _Call([Task(k, settling, self._tolerances) for k, settling in enumerate(settlings)])
        try:
            while not self._has_done(call):
                for worker in self._speaking():
                    self._listen(worker, call)
        except BaseException:  # Ctrl-C too: no later call may get the answers that are still to come
            self.close()
            raise
        return all_settled(call.answers)

    def close(self) -> None:
        """End every worker; the next `settle` starts new ones."""
        for worker in self._crew:
            worker.process.kill()
        while self._crew:
            self._crew.pop().end()

    def _has_done(self, call: "_Call") -> bool:
        """Give idle workers something to do, starting and replacing them as needed; True when nothing is left."""
        for worker in [w for w in self._crew if w.ready and w.task is None]:
            if call.waiting:
                self._hand(call.waiting.popleft(), worker, call)
        while call.waiting and len(self._crew) < min(self.workers, len(call.answers)):
            self._crew.append(_Worker(*start_server("harness.chip.pool_worker")))
        return not call.waiting and all(worker.task is None for worker in self._crew)

    def _hand(self, task: Task, worker: "_Worker", call: "_Call") -> None:
        worker.task = task
        try:
            worker.connection.send(task)
        except OSError:
            self._bury(worker, call)

    def _speaking(self) -> "list[_Worker]":
        """Wait for workers that have said something or died."""
        heard = wait([worker.connection for worker in self._crew])
        return [worker for worker in self._crew if worker.connection in heard]

    def _listen(self, worker: "_Worker", call: "_Call") -> None:
        try:
            said = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker, call)
            return
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Answer) and worker.task is not None:
            call.note(worker.task, said)
            worker.task = None
        self._failed_starts, worker.ready = 0, True

    def _bury(self, worker: "_Worker", call: "_Call") -> None:
        """Take a dead worker out, and see to its task."""
        self._crew.remove(worker)
        cause = cause_of_death(worker.end())
        if worker.task is not None:
            call.note_death(worker.task, cause)
        if worker.ready:
            return
        self._failed_starts += 1
        if self._failed_starts == _ATTEMPTS:
            raise SimulatorError(
                f"{_ATTEMPTS} worker processes in a row ended before they were ready, the last by {cause}; "
                "see 'harness doctor', or use a single worker"
            )


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    ready: bool = False
    """Whether it has said that its ngspice works."""
    task: Task | None = None
    """What it is at work on."""

    def end(self) -> int:
        """Kill it if it still lives; returns how it ended, as `subprocess` says it."""
        self.connection.close()
        self.process.kill()
        return self.process.wait()


class _Call:
    """The tasks of one call: what is still to do, and what came of the others."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.waiting = deque(tasks)
        self.answers: list[Answer | None] = [None] * len(tasks)
        self._deaths: Counter[int] = Counter()

    def note(self, task: Task, answer: Answer) -> None:
        """Keep an answer; behind an error nothing more is begun, but everything before it still is."""
        self.answers[task.number] = answer
        if isinstance(answer.outcome, Exception):
            self.waiting = deque(other for other in self.waiting if other.number < task.number)

    def note_death(self, task: Task, cause: str) -> None:
        """Have the task done again, unless too many workers have died over it."""
        self._deaths[task.number] += 1
        if self._deaths[task.number] < _ATTEMPTS:
            self.waiting.appendleft(task)
            return
        died = f"{_ATTEMPTS} worker processes in a row died over the same chunk of samples, the last by {cause}"
        self.note(task, Answer(SimulatorError(f"{died}; if memory is short, use fewer workers or a smaller chunk")))


def start_server(module: str, *, quiet: bool = False) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start a process that finds its modules where this one does, and ends with it; return it and a line to it.

    Args:
        module: whose function ``serve`` the process runs, with the number of its end of the line.
        quiet: whether nobody sees what the process writes to stderr.
    """
    ours, theirs = Pipe()
    descriptor = theirs.fileno()
    command = [sys.executable, "-W", "ignore", "-c", _SERVE.format(module=module), str(descriptor), *sys.path]
    with theirs, _interrupts_held_back():
        process = subprocess.Popen(  # noqa: S603 - this Python, our own words
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if quiet else None,
            pass_fds=[descriptor],
        )
    return process, ours


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """A process started meanwhile never sees Ctrl-C, not even before its first line: the parent decides on it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def cause_of_death(code: int) -> str:
    """Return how a process ended, as people call it: ``SIGSEGV``, or its exit status."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal
        return f"signal {-code}"
