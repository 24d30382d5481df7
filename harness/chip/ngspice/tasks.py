"""A settling as it is sent to another process, and what comes back from there."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from threadpoolctl import ThreadpoolController

from harness.chip.ngspice.worker import Settled, led_together, settle_in_ngspice
from harness.circuit import SettlingJob
from harness.netlist.tolerances import Tolerances
from harness.processes.worker import portable


@dataclass(frozen=True, eq=False)
class Task:
    """One settling, and the bounds for it."""

    number: int
    """Number of the settling in its call."""
    settling: SettlingJob
    tolerances: Tolerances
    led: bool
    """True where ngspice is led to its operating points."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Outcome of a task: what has settled, or the error that ended it."""

    outcome: Settled | Exception


def perform(task: Task) -> Answer:
    """Settle in the ngspice of this process; what goes wrong becomes the answer.

    BLAS keeps to one thread, as in `Experiment.open_chip`: how a product is cut into threads decides its last bits.
    """
    try:
        with _libraries().limit(limits=1, user_api="blas"):
            return Answer(settle_in_ngspice(task.settling, task.tolerances, task.number, led=task.led))
    except Exception as error:  # whatever it is, it is raised where the task came from
        return Answer(portable(error))


def tasks(settlings: Sequence[SettlingJob], tolerances: Tolerances) -> list[Task]:
    """Return the tasks of one call, in order."""
    led = led_together(settlings)
    return [Task(k, settling, tolerances, led) for k, settling in enumerate(settlings)]


def all_settled(answers: Sequence[Answer | None]) -> list[Settled]:
    """The results, in order; the first error is raised instead, and nothing may be missing before it."""
    results = []
    for answer in answers:
        assert answer is not None  # noqa: S101 - only tasks behind an error are left undone
        if isinstance(answer.outcome, Exception):
            raise answer.outcome
        results.append(answer.outcome)
    return results


@cache
def _libraries() -> ThreadpoolController:
    """The thread pools of the libraries that are loaded by now; finding them anew takes a millisecond."""
    return ThreadpoolController()
