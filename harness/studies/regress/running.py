"""Measuring the cases of a suite, in this process or in several."""

import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.errors import HarnessError
from harness.experiment.experiment import Experiment
from harness.processes.memory import exhausted
from harness.processes.pool import Workers
from harness.studies.regress.quantities import QUANTITIES, Measurement, Stopped
from harness.studies.regress.suite import Case
from harness.studies.regress.verdicts import Found

_DIED = "its worker process died; if memory is short, use fewer workers"
_Tag = TypeVar("_Tag", bound=Hashable)
_Job = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function, and what it is called with."""


@dataclass(frozen=True)
class _Outcome:
    """The value that a job gave, or why it failed."""

    value: Any
    seconds: float
    error: str | None = None


def measure(
    cases: Sequence[Case], *, workers: int = 1, stop: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Case, Found]]:
    """Measure every seed of every case, after all preparations; give each case when it is complete, in no order.

    A case that fails is told with its error and stops no other. Nothing depends on the number of processes (`workers`,
    each with a libngspice of its own; 1 is this process). When `stop` says True, no more cases come.

    Raises:
        DataError: a data set cannot be loaded.
    """
    works = [(k, work) for k, case in enumerate(cases) for work in case.measurements]
    preparations = {need.key: need for _, work in works for need in (work.practised, work.deployed) if need}
    if workers > 1:
        for one in {work.settings.data.model_dump_json(): work.settings for _, work in works}.values():
            _ = Experiment(one).data  # not every worker downloads
    prepared = dict(_ended({key: (need.run, ()) for key, need in preparations.items()}, workers, stop))
    if len(prepared) < len(preparations):  # stopped
        return
    jobs = {(k, work.settings.training.seed): _job(work, prepared) for k, work in works}
    done: dict[int, dict[int, _Outcome]] = {k: {} for k in range(len(cases))}
    with closing(_ended(jobs, workers, stop)) as ended:
        for (k, seed), outcome in ended:
            done[k][seed] = outcome
            if len(done[k]) == len(cases[k].seeds):
                yield cases[k], _found(cases[k], done[k])


def _job(work: Measurement, prepared: Mapping[str, _Outcome]) -> _Job:
    """Return a measurement with what its preparations gave; one that says so where one of them has failed."""
    needs = [prepared[need.key] if need else None for need in (work.practised, work.deployed)]
    if failed := [need.error for need in needs if need and need.error is not None]:
        return _fail, (f"ideal training: {failed[0]}",)
    return work.run, tuple(need.value if need else None for need in needs)


def _fail(message: str, _: Callable[[], bool] | None = None) -> None:
    raise HarnessError(message)


def _found(case: Case, outcomes: Mapping[int, _Outcome]) -> Found:
    ordered = [(seed, outcomes[seed]) for seed in case.seeds]
    seconds = sum(outcome.seconds for _, outcome in ordered)
    for seed, outcome in ordered:
        if outcome.error is not None:
            return Found({}, {}, seconds, outcome.error if len(ordered) == 1 else f"seed {seed}: {outcome.error}")
    by_seed = {name: tuple(outcome.value[name] for _, outcome in ordered) for name in case.bands}
    values = {name: QUANTITIES[name].over_seeds(each) for name, each in by_seed.items()}
    return Found(values, by_seed, seconds)


def _perform(function: Callable[..., Any], *given: Any) -> _Outcome:
    began, error = time.perf_counter(), None
    value: Any = None
    try:
        value = function(*given)
    except HarnessError as failure:
        error = str(failure)
    except MemoryError as full:
        error = exhausted(full)
    except Stopped:
        raise
    except Exception as fault:  # a fault of this program, which the other cases may not share
        error = f"unexpected {type(fault).__name__}: {fault}\n{''.join(traceback.format_exception(fault))}"
    return _Outcome(value, time.perf_counter() - began, error)


def _ended(jobs: Mapping[_Tag, _Job], workers: int, stop: Callable[[], bool]) -> Generator[tuple[_Tag, _Outcome]]:
    """Do jobs and give each when it has ended, until `stop` says True; in this process, they are asked to stop, too."""
    if workers == 1:
        for tag, (function, given) in jobs.items():
            if stop():
                return
            try:
                outcome = _perform(function, *given, stop)
            except Stopped:
                return
            yield tag, outcome
        return
    waiting = deque(jobs.items())
    with closing(Workers(workers)) as processes:
        while (waiting or processes.busy) and not stop():
            while waiting and processes.busy < workers:
                tag, (function, given) = waiting.popleft()
                processes.give(tag, _perform, function, *given)
            for each in processes.ended(timeout=0.2):
                if each.error is not None:
                    raise each.error
                yield each.tag, each.value if each.lost is None else _Outcome(None, 0.0, _DIED)
