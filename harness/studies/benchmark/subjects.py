"""Experiments whose training is measured, and their steps: the training loop's own, from the same place each time."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

from harness.chip.base import Chip
from harness.chip.metering import simulator_seconds_of
from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.measurement import Conductances
from harness.studies.benchmark.parts import NODAL
from harness.training.controller import refuse_beyond, steps_of_epoch
from harness.training.position import Position

Around = Callable[[], AbstractContextManager[None]]
"""Makes a context for each step."""
SHIPPED: dict[str, tuple[str, tuple[str, ...]]] = {
    "iris": ("iris", ()),
    "iris, batch 35": ("iris", ("training.batch=35",)),
    "digits": ("digits", ()),
    "mnist": ("mnist", ()),
    "mondeq-digits": ("mondeq-digits", ()),
    "iris-graph": ("iris-graph", ()),
}
"""The experiments that are measured together: a name, the packaged experiment, and what is changed in it.

The network of `iris` has 10 × 10 and 12 × 6 cells. With batches of 35 rows it does the work of EBANA's iris example:
172 resistors, 105 rows to train on in three batches.
"""
_PRACTICE = 60
"""Steps."""
_PATIENCE = 10.0
"""s for practice, at most: deep networks are slow."""
_LEAST_SAMPLES = 128
"""Samples of a block, at least."""


@dataclass(frozen=True)
class Step:
    """The time of one training step."""

    samples: int
    seconds: float
    simulator_seconds: float
    """Time inside ngspice's analyses, s."""


@dataclass(frozen=True)
class Block:
    """The time of some work that is done again and again."""

    samples: int
    seconds: float
    processor_seconds: float
    """Time of this process on a processor, s, of all its threads."""


@dataclass(frozen=True, eq=False)
class Subject:
    """An experiment under a name, and the conductances (S) from which its training is measured."""

    name: str
    experiment: Experiment
    conductances: Conductances

    @property
    def sha256(self) -> str:
        """The hash of what its settings say beside defaults: calls that differ in it have measured two things.

        Keys are sorted, since a later version may declare them in another order.
        """
        said = self.experiment.settings.model_dump(mode="json", exclude_defaults=True)
        return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of chips that it is measured on: its own, and the nodal one.

        Raises:
            ExperimentError: its chip is a board, which has a pace of its own.
        """
        kind = self.experiment.settings.chip.kind
        if self.experiment.settings.chip.bench is not None:
            raise ExperimentError(f"{self.name}: its chip is a board on the bench; only simulated chips are measured")
        return tuple(dict.fromkeys((kind, NODAL)))

    def step(self, chip: Chip) -> None:
        """Train one step: where one simulator serves several experiments in turn, this one's circuit is loaded then."""
        next(steps(self.experiment, chip, self.conductances))

    def block(self, chip: Chip, inside: Around = nullcontext) -> Block:
        """Train from the start, always the same steps: as few as have `_LEAST_SAMPLES` samples."""
        with timed_block() as result:
            samples = 0
            for step in steps(self.experiment, chip, self.conductances, inside):
                samples += step.samples
                if samples >= _LEAST_SAMPLES:
                    break
        return result(samples)


@contextmanager
def timed_block() -> Iterator[Callable[[int], Block]]:
    """Time the block of code; what this gives makes the result of a number of samples, afterwards."""
    spent: list[float] = []
    processor, began = time.process_time(), time.perf_counter()  # the former takes 50 µs on some machines
    yield lambda samples: Block(samples, *spent)
    spent += [time.perf_counter() - began, time.process_time() - processor]


def practised(experiment: Experiment) -> Conductances:
    """Return conductances (S) after a short training on the nodal chip.

    Fresh ones flatter every simulator: hardly a diode conducts. A few dozen batches on, iterations are those of the
    rest of the training.
    """
    spent = 0.0
    with experiment.replace({"chip.kind": NODAL}).open_chip() as chip:
        for step in islice(steps(experiment, chip, chip.conductances), _PRACTICE):
            spent += step.seconds
            if spent > _PATIENCE:
                break
        return chip.conductances


def steps(
    experiment: Experiment, chip: Chip, conductances: Conductances, inside: Around = nullcontext
) -> Iterator[Step]:
    """Train a chip from some conductances (S) on, without evaluations, and time each step, which is done `inside`.

    When the training has ended, it begins again.
    """
    rule, update, plan, rows = experiment.rule, experiment.update, experiment.plan, experiment.data.train
    refuse_beyond(chip, rule, plan)
    while True:
        chip.program(conductances)
        position = Position(conductances, update.init(conductances))
        while position.epoch < plan.epochs:
            events = steps_of_epoch(chip, rule, update, experiment.cost, rows, plan, position)
            while True:
                before = _times(chip)
                with inside():
                    event = next(events, None)
                spent = (now - then for now, then in zip(_times(chip), before, strict=True))
                if event is None:
                    break
                position = event.position
                yield Step(min(plan.batch, len(rows) - (position.step - 1) * plan.batch), *spent)
            position = position.next_epoch


def _times(chip: Chip) -> tuple[float, float]:
    return time.perf_counter(), simulator_seconds_of(chip) or 0.0
