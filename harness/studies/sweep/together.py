"""Jobs of a sweep done together in this process: trainings in step, deployments with what they share made once."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.stack import UNSTACKED
from harness.circuit import TrainableArray
from harness.errors import HarnessError, RunError
from harness.experiment.experiment import Experiment
from harness.files.reading import JsonObject
from harness.files.writing import write_in_turn
from harness.learning.costs import SoftmaxCrossEntropy, SquaredError
from harness.learning.rules.coupled import CoupledLearning
from harness.learning.rules.equilibrium import EquilibriumPropagation
from harness.learning.updates.resistances import ResistanceUpdate
from harness.measurement import Conductances
from harness.processes.memory import exhausted
from harness.studies.sweep.family import Family
from harness.studies.sweep.jobs import Job, in_processes, new_files, open_run
from harness.training.controller import EVALUATION_BATCH
from harness.training.parts import described
from harness.training.position import Position
from harness.training.results import SHOWN, finish, result_of
from harness.training.runs import Run, make_runs
from harness.training.stack import RUNS_AT_ONCE, Stack, Training, in_parts
from harness.wording import counted, listed

_LARGEST = 2**24
"""Numbers in the node voltages that a stack reads at once."""


@dataclass(frozen=True, eq=False)
class _Begun:
    """A training whose run is open, and which can be one of a stack."""

    job: Job
    subject: Experiment
    training: Training

    @property
    def alike(self) -> list[Any]:
        """Whatever trainings of one stack have in common."""
        one, circuit = self.training, self.subject.circuit
        rule = {name: part for name, part in described(one.rule).items() if name != "strength"}
        lengths = one.plan.epochs, one.plan.batch, *map(len, one.data.parts.values()), one.start.epoch, one.start.step
        return [rule, lengths, circuit.outputs, [_but_conductances(element) for element in circuit.elements]]


def in_stacks(
    jobs: Sequence[Job], directory: Path, workers: int, stop: Callable[[], bool], say: Callable[[str], None]
) -> Generator[tuple[Job, str | None]]:
    """Do jobs in this process as far as they go together, and the others as `in_processes` does; see there.

    Deployments are evaluated one after the other. Trainings that are alike go in step (`harness.training.stack`). `say`
    is told what goes together, and what does not, and why.
    """
    opening, begun, alone, stopped = _Opening(directory), list[_Begun](), dict[str, list[Job]](), False
    for number, job in enumerate(jobs, start=1):
        if stopped := stop():
            break
        if (why := _simulated_alone(job)) is not None:
            alone.setdefault(why, []).append(job)
        elif (error := opening.add(job)) is not None:
            yield job, error
        if number % RUNS_AT_ONCE == 0:
            yield from _sorted(opening.made(), directory, begun, alone)
    yield from _sorted(opening.made(), directory, begun, alone)
    if stopped:
        return
    _say_deployments(jobs, say)
    for group in _groups(begun):
        if stop():
            return
        yield from _in_step(group, alone, stop, say)
    for why, few in alone.items():
        say(f"one by one: {counted(len(few), 'point')}, because {why}")
    yield from in_processes([job for few in alone.values() for job in few], directory, workers, stop)


class _Opening:
    """Runs of jobs in a sweep's directory that are about to be opened; new ones are made together."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._family = directory, Family()
        self._origins: dict[str | None, Conductances | None] = {}
        self._opened: dict[Job, Experiment] = {}
        self._files: dict[Path, dict[str, bytes]] = {}

    def add(self, job: Job) -> str | None:
        """Add a job, and evaluate the conductances that it deploys; return its error if that fails."""
        folder = self._directory / job.folder
        try:
            subject = self._family.of(job.settings)
            if job.origin not in self._origins:
                self._origins[job.origin] = job.start(self._directory)
            if (files := new_files(job, folder, self._origins[job.origin], subject)) is not None:
                self._files[folder] = files
        except HarnessError as error:
            return str(error)
        except MemoryError as error:
            return exhausted(error)
        self._opened[job] = subject
        return None

    def made(self) -> Iterator[tuple[Job, Experiment | str]]:
        """Make the new runs; gives each job that was added with its experiment, or its error."""
        opened, files, self._opened, self._files = self._opened, self._files, {}, {}
        try:
            make_runs(files)
            yield from opened.items()
        except RunError:  # of one that another process has made meanwhile
            for job, subject in opened.items():
                try:
                    open_run(job, self._directory / job.folder, self._origins[job.origin], subject)
                    yield job, subject
                except HarnessError as error:
                    yield job, str(error)


def _sorted(
    opened: Iterable[tuple[Job, Experiment | str]], directory: Path, begun: list[_Begun], alone: dict[str, list[Job]]
) -> Iterator[tuple[Job, str | None]]:
    """Give the jobs that have ended, and add the others to those that have begun or are done alone."""
    for job, subject in opened:
        if isinstance(subject, str):
            yield job, subject
        elif not job.trains:
            yield job, None
        elif isinstance(found := _stackable(subject, Run(directory / job.folder)), str):
            alone.setdefault(found, []).append(job)
        else:
            begun.append(_Begun(job, subject, found))


def _say_deployments(jobs: Sequence[Job], say: Callable[[str], None]) -> None:
    """Tell how many deployments were evaluated in this process, if any."""
    if count := sum(job.origin is not None and _simulated_alone(job) is None for job in jobs):
        say(f"together: {counted(count, 'deployment')}, with what they share made once")


def _simulated_alone(job: Job) -> str | None:
    """Return why a job has nothing to share with others in this process; None where it has."""
    kind = job.settings.chip.kind
    return None if kind == "nodal" else f"chip.kind = {kind!r} settles one chip at a time; --chip nodal settles many"


def _stackable(subject: Experiment, run: Run) -> Training | str:
    """Return the training of an experiment, if its chip can be one of a stack, or why it is trained by itself."""
    settings, kinds, rule, cost = subject.settings, subject.settings.chip_description.kinds, subject.rule, subject.cost
    if len(kinds) > 1:
        return f"non-ideal chips ({listed(kinds[:-1])}) are trained one at a time"
    if settings.plugins:
        return "plug-ins take one chip at a time"
    if settings.chip.settling_time is not None:
        return "energy is counted for one chip at a time; leave chip.settling_time out"
    if not isinstance(rule, EquilibriumPropagation | CoupledLearning):
        return f"rule.kind = {settings.rule.kind!r} takes one chip at a time"
    if not isinstance(cost, SquaredError | SoftmaxCrossEntropy):
        return "its cost takes one chip at a time"
    if isinstance(subject.update, ResistanceUpdate):
        return "update.variable = 'resistance' takes one chip at a time"
    start, begin = run.position(), subject.circuit.conductances
    return Training(
        run,
        rule,
        subject.update,
        cost,
        subject.data,
        subject.plan,
        start or Position(begin, subject.update.init(begin)),
    )


def _groups(begun: Sequence[_Begun]) -> list[list[_Begun]]:
    """Trainings that can go in step, in the order in which they came; no group reads too many nodes at once."""
    groups: list[tuple[list[Any], list[_Begun]]] = []
    for one in begun:
        alike, nodes = one.alike, max(EVALUATION_BATCH, one.training.plan.batch) * len(one.subject.circuit.nodes)
        most = max(2, _LARGEST // nodes)
        fitting = (group for theirs, group in groups if len(group) < most and theirs == alike)
        if (group := next(fitting, None)) is None:
            groups.append((alike, [one]))
        else:
            group.append(one)
    return [group for _, group in groups]


def _but_conductances(element: Any) -> Any:
    if not isinstance(element, TrainableArray):
        return element
    return {name: part for name, part in vars(element).items() if name != "conductances"}


def _in_step(
    group: Sequence[_Begun], alone: dict[str, list[Job]], stop: Callable[[], bool], say: Callable[[str], None]
) -> Generator[tuple[Job, str | None]]:
    """Train a group in step; those that cannot are added to the jobs that are done alone."""
    if len(group) == 1:
        alone.setdefault("no other point has the same circuit, rule, batches and epochs", []).append(group[0].job)
        return
    with group[0].subject.open_chip() as chip, ExitStack() as locks:
        if not isinstance(chip, NodalChip) or not chip.reduction.stacks:
            why = (
                UNSTACKED
                if isinstance(chip, NodalChip)
                else "nonlinear cells and selectors are settled for one chip at a time"
            )
            alone.setdefault(why, []).extend(one.job for one in group)
            return
        held = []
        for one in group:
            try:
                locks.enter_context(one.training.run.locked())
                held.append(one)
            except HarnessError as error:
                yield one.job, str(error)
        if not held:
            return
        say(f"together: {counted(len(held), 'point')} in step")
        stack = Stack(chip, [one.training for one in held])
        by_training = {id(one.training): one for one in held}
        for left in stack.train(stop):
            alone.setdefault("a step failed in the stack", []).append(by_training[id(left)].job)
        staying = [by_training[id(training)] for training in stack.trainings]
        errors = _finished(staying, chip, stack) if stack.done else [None] * len(staying)
        yield from zip([one.job for one in staying], errors, strict=True)


def _finished(group: Sequence[_Begun], chip: NodalChip, stack: Stack) -> list[str | None]:
    """Write what trainings reached; return the error of each that fails."""
    began, valued = time.perf_counter(), group[0].training.data.valued
    try:
        train = stack.evaluated("train", SHOWN)
        test = stack.evaluated("test") if valued else []
    except HarnessError:
        return [_finished_alone(one, chip, stack, number) for number, one in enumerate(group)]
    spent, names = (time.perf_counter() - began) / len(group), [array.name for array in chip.circuit.arrays]
    for some in in_parts(range(len(group)), RUNS_AT_ONCE):
        files = dict[Path, bytes]()
        for k in some:
            one, found = group[k].training, {"train": train[k]} | ({"test": test[k]} if valued else {})
            reached = result_of(_about(group[k], stack), one.data, stack.epochs(k), found, spent)
            files |= one.run.finished(names, stack.position(k).conductances, reached)
        write_in_turn(files)
    return [None] * len(group)


def _about(one: _Begun, stack: Stack) -> JsonObject:
    """Return how a result begins."""
    return {
        "experiment": one.subject.settings.name,
        "seed": one.training.plan.seed,
        "together": len(stack.trainings),
    }


def _finished_alone(one: _Begun, chip: NodalChip, stack: Stack, number: int) -> str | None:
    """Write what a training reached, on a chip alone; return its error if that fails."""
    about = _about(one, stack)
    try:
        chip.program(stack.position(number).conductances)
        finish(one.training.run, chip, one.training.cost, one.training.data, about, stack.epochs(number))
    except HarnessError as error:
        return str(error)
    return None
