"""Measuring the cases of a suite, in this process or in several."""

import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from harness.errors import HarnessError
from harness.experiment.experiment import Experiment
from harness.measurement import Conductances
from harness.processes.memory import exhausted
from harness.processes.pool import Workers
from harness.studies.regress.quantities import QUANTITIES, Measurement, Preparation, Stopped
from harness.studies.regress.suite import Case
from harness.studies.regress.verdicts import Found

_Given = tuple[Conductances | None, Conductances | None]
"""The results of the preparations for practice and for deployment."""
_DIED = "its worker process died; if memory is short, use fewer workers"


@dataclass(frozen=True)
class _Outcome:
    """The value that a task gave, or why it failed."""

    value: Any
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class _Task:
    """A preparation, or one seed of a case, which waits for its preparations."""

    work: Preparation | Measurement
    needs: tuple[str | None, str | None] = (None, None)
    """Keys of the preparations for practice and for deployment."""
    key: str = ""
    """Key of a preparation."""
    case: int = -1

    def perform(self, given: _Given, stop: Callable[[], bool] = lambda: False) -> _Outcome:
        began, error = time.perf_counter(), None
        value: Any = None
        try:
            value = self.work.run(stop) if isinstance(self.work, Preparation) else self.work.run(*given, stop)
        except HarnessError as failure:
            error = str(failure)
        except MemoryError as full:
            error = exhausted(full)
        except Stopped:
            raise
        except Exception as fault:  # a fault of this program, which the other cases may not share
            error = f"unexpected {type(fault).__name__}: {fault}\n{''.join(traceback.format_exception(fault))}"
        return _Outcome(value, time.perf_counter() - began, error)


def measure(
    cases: Sequence[Case], *, workers: int = 1, stop: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Case, Found]]:
    """Measure every seed of every case; give each case when it is complete, in no order.

    A case that fails is told with its error and stops no other. Nothing depends on the number of processes (`workers`,
    each with a libngspice of its own; 1 is this process). When `stop` says True, no more cases come.

    Raises:
        DataError: a data set cannot be loaded.
    """
    tasks = _tasks(cases)
    if workers > 1:
        for one in {task.work.settings.data.model_dump_json(): task.work.settings for task in tasks}.values():
            _ = Experiment(one).data  # not every worker downloads
    done: dict[int, dict[int, _Outcome]] = {k: {} for k in range(len(cases))}
    with closing(_in_processes(tasks, workers, stop) if workers > 1 else _here(tasks, stop)) as ended:
        for task, outcome in ended:
            if isinstance(task.work, Measurement):
                done[task.case][task.work.settings.training.seed] = outcome
                if len(done[task.case]) == len(cases[task.case].seeds):
                    yield cases[task.case], _found(cases[task.case], done[task.case])


def _tasks(cases: Sequence[Case]) -> list[_Task]:
    """Return each preparation once, before the first measurement that needs it."""
    tasks, known = [], set[str]()
    for k, case in enumerate(cases):
        for work in case.measurements:
            needs = [(each.key, each) if each else (None, None) for each in (work.practised, work.deployed)]
            for key, preparation in needs:
                if key is not None and preparation is not None and key not in known:
                    known.add(key)
                    tasks.append(_Task(preparation, key=key))
            (practised, _), (deployed, _) = needs
            tasks.append(_Task(work, (practised, deployed), case=k))
    return tasks


def _found(case: Case, outcomes: Mapping[int, _Outcome]) -> Found:
    ordered = [(seed, outcomes[seed]) for seed in case.seeds]
    seconds = sum(outcome.seconds for _, outcome in ordered)
    for seed, outcome in ordered:
        if outcome.error is not None:
            return Found({}, {}, seconds, outcome.error if len(ordered) == 1 else f"seed {seed}: {outcome.error}")
    by_seed = {name: tuple(outcome.value[name] for _, outcome in ordered) for name in case.bands}
    values = {name: QUANTITIES[name].over_seeds(each) for name, each in by_seed.items()}
    return Found(values, by_seed, seconds)


class _Prepared:
    """The outcomes of preparations so far."""

    def __init__(self) -> None:
        self._outcomes: dict[str, _Outcome] = {}

    def add(self, task: _Task, outcome: _Outcome) -> None:
        if task.key:
            self._outcomes[task.key] = outcome

    def ready(self, task: _Task) -> bool:
        return all(key is None or key in self._outcomes for key in task.needs)

    def failed(self, task: _Task) -> _Outcome | None:
        """Return an outcome for a task whose preparation has failed; None if none has."""
        errors = [self._outcomes[key].error for key in task.needs if key is not None]
        return next((_Outcome(None, 0.0, f"ideal training: {error}") for error in errors if error is not None), None)

    def given(self, task: _Task) -> _Given:
        practised, deployed = (None if key is None else self._outcomes[key].value for key in task.needs)
        return practised, deployed


def _here(tasks: Sequence[_Task], stop: Callable[[], bool]) -> Generator[tuple[_Task, _Outcome]]:
    prepared = _Prepared()
    for task in tasks:
        if stop():
            return
        try:
            outcome = prepared.failed(task) or task.perform(prepared.given(task), stop)
        except Stopped:
            return
        prepared.add(task, outcome)
        yield task, outcome


def _in_processes(tasks: Sequence[_Task], workers: int, stop: Callable[[], bool]) -> Generator[tuple[_Task, _Outcome]]:
    waiting, prepared = deque(tasks), _Prepared()
    with closing(Workers(workers)) as processes:
        while (waiting or processes.busy) and not stop():
            while processes.busy < workers and (task := next(filter(prepared.ready, waiting), None)) is not None:
                waiting.remove(task)
                if failed := prepared.failed(task):
                    yield task, failed
                    continue
                processes.give(task, _Task.perform, task, prepared.given(task))
            for ended in processes.ended(timeout=0.2):
                if ended.error is not None:
                    raise ended.error
                outcome = ended.value if ended.lost is None else _Outcome(None, 0.0, _DIED)
                prepared.add(ended.tag, outcome)
                yield ended.tag, outcome
