"""Jobs of a sweep done together in this process: trainings in step, deployments with what they share made once."""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.stack import UNSTACKED
from harness.circuit import TrainableArray
from harness.errors import HarnessError
from harness.experiment.experiment import Experiment
from harness.learning.costs import SoftmaxCrossEntropy, SquaredError
from harness.learning.rules.coupled import CoupledLearning
from harness.learning.rules.equilibrium import EquilibriumPropagation
from harness.learning.updates.resistances import ResistanceUpdate
from harness.measurement import Conductances
from harness.processes.memory import exhausted
from harness.studies.sweep.family import Family
from harness.studies.sweep.jobs import Job, in_processes, open_run
from harness.training.controller import EVALUATION_BATCH
from harness.training.parts import described
from harness.training.position import Position
from harness.training.results import finish
from harness.training.runs import Run
from harness.training.stack import Stack, Training
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
    family, begun, alone = Family(), list[_Begun](), dict[str, list[Job]]()
    origins: dict[str | None, Conductances | None] = {}
    for job in jobs:
        if stop():
            return
        if (why := _simulated_alone(job)) is not None:
            alone.setdefault(why, []).append(job)
            continue
        try:
            subject = family.of(job.settings)
            if job.origin not in origins:
                origins[job.origin] = job.start(directory)
            run = open_run(job, directory / job.folder, origins[job.origin], subject)
            if not job.trains:
                yield job, None
            elif isinstance(found := _stackable(subject, run), str):
                alone.setdefault(found, []).append(job)
            else:
                begun.append(_Begun(job, subject, found))
        except HarnessError as error:
            yield job, str(error)
        except MemoryError as error:
            yield job, exhausted(error)
    _say_deployments(jobs, say)
    for group in _groups(begun):
        if stop():
            return
        yield from _in_step(group, alone, stop, say)
    for why, few in alone.items():
        say(f"one by one: {counted(len(few), 'point')}, because {why}")
    yield from in_processes([job for few in alone.values() for job in few], directory, workers, stop)


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
            why = UNSTACKED if isinstance(chip, NodalChip) else "nonlinear cells are settled for one chip at a time"
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
        for number, training in enumerate(stack.trainings):
            one = by_training[id(training)]
            yield one.job, _finished(one, chip, stack, number) if stack.done else None


def _finished(one: _Begun, chip: NodalChip, stack: Stack, number: int) -> str | None:
    """Write what a training reached; return its error if that fails."""
    settings = one.subject.settings
    about = {"experiment": settings.name, "seed": one.training.plan.seed, "together": len(stack.trainings)}
    try:
        chip.program(stack.position(number).conductances)
        finish(one.training.run, chip, one.training.cost, one.training.data, about, stack.epochs(number))
    except HarnessError as error:
        return str(error)
    return None
