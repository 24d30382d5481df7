"""Many ngspices on this machine: worker processes that settle the chunks of a batch at the same time."""

from collections import deque
from collections.abc import Sequence

from typing_extensions import override

from harness.chip.ngspice.session import open_session
from harness.chip.ngspice.tasks import Answer, Task, all_settled, perform, tasks
from harness.chip.ngspice.worker import Settled, Simulators
from harness.circuit import SettlingJob
from harness.errors import SimulatorError
from harness.netlist.tolerances import Tolerances
from harness.processes.pool import Workers

_ATTEMPTS = 3


class WorkerPool(Simulators):
    """`Simulators` in processes of this machine; where a chunk is settled never shows in its voltages.

    At most `workers` of them are started when they are first needed, and stay until `close`. One that dies is replaced,
    and its task done again. To be used by one thread at a time.
    """

    def __init__(self, tolerances: Tolerances, workers: int) -> None:
        self.workers = workers
        self._tolerances = tolerances
        self._processes = Workers(workers, prepare, attempts=_ATTEMPTS)

    @override
    def settle(self, settlings: Sequence[SettlingJob]) -> list[Settled]:
        """See `Simulators.settle`. The pool stays usable after an error.

        Raises:
            NgspiceMissing: libngspice cannot be loaded in a worker.
            ConvergenceError: a sample did not settle; the first of several.
            SimulatorError: ngspice failed, or workers died again and again over the same settling.
        """
        call = _Call(tasks(settlings, self._tolerances))
        try:
            while call.waiting or self._processes.busy:
                while call.waiting and self._processes.busy < self.workers:
                    task = call.waiting.popleft()
                    self._processes.give(task, perform, task)
                for ended in self._processes.ended():
                    error = ended.error if ended.lost is None else _died(ended.lost)
                    call.note(ended.tag, ended.value if error is None else Answer(error))
        except BaseException:  # Ctrl-C too: no later call may get the answers that are still to come
            self.close()
            raise
        return all_settled(call.answers)

    def start(self, count: int) -> None:
        """Begin to start so many workers, without waiting for them; nothing may be settled before they are `started`.

        Raises:
            OSError: the machine starts no more processes.
        """
        for _ in range(count):
            self._processes.give(None, prepare)

    def started(self) -> bool:
        """Return whether all of them are ready; it does not wait for them.

        Raises:
            NgspiceMissing: libngspice cannot be loaded in a worker.
            SimulatorError: one worker after another ended before it was ready.
        """
        self._processes.ended(0)
        return not self._processes.busy

    def close(self) -> None:
        """End every worker; the next `settle` starts new ones."""
        self._processes.close()


def prepare() -> None:
    """Open the ngspice of this process, so that a worker without one says so before its first task."""
    open_session()


class _Call:
    """The tasks of one call: what is still to do, and what came of the others."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.waiting = deque(tasks)
        self.answers: list[Answer | None] = [None] * len(tasks)

    def note(self, task: Task, answer: Answer) -> None:
        """Keep an answer; behind an error nothing more is begun, but everything before it still is."""
        self.answers[task.number] = answer
        if isinstance(answer.outcome, Exception):
            self.waiting = deque(other for other in self.waiting if other.number < task.number)


def _died(cause: str) -> SimulatorError:
    died = f"{_ATTEMPTS} worker processes in a row died over the same chunk of samples, the last by {cause}"
    return SimulatorError(f"{died}; if memory is short, use fewer workers or a smaller chunk")
