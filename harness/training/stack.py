"""Trainings of many chips in step: each step settles all chips in one call, and each ends as it would alone.

The trainings have one circuit, one rule, and as many rows, steps and epochs; seeds, rows, conductances, the rule's
strength and the update rules may differ. What goes wrong is looked for by asking each chip alone: whose step fails
there leaves the stack at its last good position, to fail by itself.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from harness.chip.metering import Ledger
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.stack import NodalStack
from harness.datasets import Samples, Split
from harness.errors import HarnessError, NotFiniteError
from harness.files.writing import write_in_turn
from harness.learning.costs import SoftmaxCrossEntropy, SquaredError
from harness.learning.rules.generalized import Contrast
from harness.learning.updates.stacked import StackedUpdates
from harness.learning.updates.updates import UpdateRule
from harness.measurement import Array, Batch, Drive, Index
from harness.training import controller
from harness.training.controller import EVALUATION_BATCH, Evaluation, Plan
from harness.training.position import Position
from harness.training.runs import Run
from harness.training.tables import EpochRow, StepRow

_DRAWN = 2**22
"""Numbers in the batches that are drawn at once."""
RUNS_AT_ONCE = 32
"""Runs whose files are written together; a process may have a thousand files open."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Training:
    """One training of a stack, and the run that it fills."""

    run: Run
    rule: Contrast
    update: UpdateRule
    cost: SquaredError | SoftmaxCrossEntropy
    data: Split
    plan: Plan
    start: Position


class Stack:
    """Trainings in step.

    Args:
        chip: one of the chips, which is used to ask each of them alone; the others differ in their conductances.
        trainings: one for each chip, from positions of the same epoch and step.
    """

    def __init__(self, chip: NodalChip, trainings: Sequence[Training]) -> None:
        self._chip = chip
        self._tables = [training.run.tables() for training in trainings]
        self._begin(trainings, [training.start for training in trainings])

    def _begin(self, trainings: Sequence[Training], positions: Sequence[Position]) -> None:
        """Stand at some positions, one for each training."""
        self.trainings, self._plan = list(trainings), trainings[0].plan
        self._epoch, self._step = positions[0].epoch, positions[0].step
        self._stack = NodalStack(self._chip, [position.conductances for position in positions])
        self._rule = trainings[0].rule.over([training.rule for training in trainings])
        rated = [(training.update, training.plan.schedule) for training in trainings]
        self._updates = StackedUpdates(rated, [position.update for position in positions])
        self._loss = np.array([position.loss for position in positions])
        self._right = np.array([position.right for position in positions])
        self._seconds = sum(position.seconds for position in positions)
        self._before = [position.ledger for position in positions]
        self._rows: list[tuple[int, int, Array]] = []

    @property
    def done(self) -> bool:
        """True when the end of the plan is reached."""
        return self._epoch == self._plan.epochs

    def train(self, stop: Callable[[], bool]) -> Iterator[Training]:
        """Train to the end of the plan, with checkpoints; yields trainings that have left the stack before it.

        `stop` is asked after every step; when it says True, training ends with checkpoints.
        """
        saved, stopped = time.monotonic(), False
        while self.trainings and not self.done and not stopped:
            try:
                for _ in self._events():
                    if (stopped := stop()) and not self.done:
                        break
                    if time.monotonic() - saved > controller.CHECKPOINT_SECONDS:
                        self._save(range(len(self.trainings)))
                        saved = time.monotonic()
            except (HarnessError, MemoryError):
                yield from self._part()
        self._save(range(len(self.trainings)))

    def _events(self) -> Iterator[None]:
        """Go on to the end of the epoch, and evaluate; an event is a step, or the end."""
        for batch in self._batches():
            self._learn(batch)
            yield
        self._end_epoch()
        yield

    def _batches(self) -> Iterator[Batch]:
        """The batches that are left in the epoch, of all chips; many small ones are drawn at once."""
        rows, size = self._samples("train"), self._plan.batch
        plans = [training.plan for training in self.trainings]
        orders = [controller.order_of(plan, self._epoch, len(rows[0])) for plan in plans]
        moves = [controller.moves_of(plan, self._epoch, one) for plan, one in zip(plans, rows, strict=True)]
        numbers = len(rows) * size * rows[0].codes.shape[1]
        span = size * max(1, _DRAWN // numbers)
        for first in range(self._step * size, len(rows[0]), span):
            drawn = _batch(rows, [order[first : first + span] for order in orders], moves)
            for begin in range(0, len(drawn), size):
                chosen = slice(begin, begin + size)
                yield Batch(drawn.inputs[:, chosen], drawn.targets[:, chosen])

    def _learn(self, batch: Batch) -> None:
        began, cost, plan = time.perf_counter(), self.trainings[0].cost, self._plan
        readings = self._rule.measure(self._stack, batch, _Draws(self.trainings, self._epoch, self._step))
        outputs = readings.free.outputs
        loss, score = _losses(cost, outputs, batch.targets), cost.scores(outputs, batch.targets)
        done = (self._epoch + self._step / self._steps) / plan.epochs
        wanted, updates = self._updates.step(self._rule.gradient(readings), self._epoch, done)
        written = self._stack.adjust(wanted)
        self._updates = updates
        self._step += 1
        self._loss, self._right = self._loss + loss * len(batch), self._right + score * len(batch)
        sizes = np.abs(np.concatenate([change.reshape(len(self._stack), -1) for change in written], axis=1))
        row = np.stack([loss, score, sizes.max(axis=1), sizes.sum(axis=1) / sizes.shape[1]], axis=1)
        self._rows.append((self._epoch, self._step, row))
        self._seconds += time.perf_counter() - began

    def _end_epoch(self) -> None:
        began, positions = time.perf_counter(), [self.position(k) for k in range(len(self.trainings))]
        found = self.evaluated("test")
        spent = (time.perf_counter() - began) / len(positions)
        self._flush()
        for k, (position, test) in enumerate(zip(positions, found, strict=True)):
            samples = len(self.trainings[k].data.train)
            self._tables[k][1].append(controller.epoch_row(position, samples, test, spent, self._chip))
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        count = len(self.trainings)
        self._epoch, self._step, self._seconds = self._epoch + 1, 0, 0.0
        self._loss, self._right = np.zeros(count), np.zeros(count)
        self._stack.ledger, self._stack.written = Ledger(), np.zeros(count, np.intp)
        self._before = [Ledger()] * count

    def evaluated(self, part: str, most: int | None = None) -> list[Evaluation]:
        """Evaluate each chip on a part of its rows, without learning; on the first ones, where there are `most`.

        Raises:
            HarnessError: one of them fails.
        """
        rows, cost, read = self._samples(part), self.trainings[0].cost, []
        if most is not None:
            rows = [samples.first(most) for samples in rows]
        for first in range(0, len(rows[0]), EVALUATION_BATCH):
            batch = _batch(rows, [slice(first, first + EVALUATION_BATCH)] * len(rows), [None] * len(rows))
            read.append(self._stack.measure([Drive(batch.inputs, outputs_only=True)])[0].outputs)
        outputs, targets = np.concatenate(read, axis=1), np.stack([samples.targets for samples in rows])
        losses, scores = _losses(cost, outputs, targets), cost.scores(outputs, targets)
        return [Evaluation(*one) for one in zip(losses.tolist(), scores.tolist(), outputs, strict=True)]

    def _part(self) -> list[Training]:
        """Have those leave whose next step fails, or all if that is none's fault; they get a checkpoint."""
        count = len(self.trainings)
        leaving = [k for k in range(count) if self._fails(k)] or list(range(count))
        left = [self.trainings[k] for k in leaving]
        self._save(leaving)
        staying = [k for k in range(count) if k not in leaving]
        if staying:
            positions, self._tables = [self.position(k) for k in staying], [self._tables[k] for k in staying]
            self._begin([self.trainings[k] for k in staying], positions)
        else:
            self.trainings = []
        return left

    def _fails(self, number: int) -> bool:
        """Return whether a chip fails alone, too, in the next step or in the evaluation."""
        one, chip, position = self.trainings[number], self._chip, self.position(number)
        chip.program(position.conductances)
        try:
            given = chip, one.rule, one.update, one.cost, one.data.train, one.plan, position
            if next(controller.steps_of_epoch(*given), None) is None:
                controller.evaluate(chip, one.cost, one.data.test)
        except HarnessError:
            return True
        return False

    def _save(self, numbers: Sequence[int]) -> None:
        """Write checkpoints of some runs."""
        self._flush()
        for some in in_parts(numbers, RUNS_AT_ONCE):
            files = dict[Path, bytes]()
            for k in some:
                run, score = self.trainings[k].run, self.trainings[k].data.score
                files |= run.saved(self.position(k), *self._tables[k], score=score)
            write_in_turn(files)

    def _flush(self) -> None:
        """Bring rows of steps into the tables of their runs."""
        for epoch, step, rows in self._rows:
            for (steps, _), row in zip(self._tables, rows.tolist(), strict=True):
                steps.append(StepRow(epoch + 1, step, *row))
        self._rows = []

    def position(self, number: int) -> Position:
        """Return where one training stands."""
        asked = replace(self._stack.ledger, conductances_written=int(self._stack.written[number]))
        return Position(
            tuple(g[number].copy() for g in self._stack.conductances),
            self._updates.of(number),
            self._epoch,
            self._step,
            float(self._loss[number]),
            float(self._right[number]),
            self._seconds / len(self.trainings),
            ledger=self._before[number] + asked,
        )

    def epochs(self, number: int) -> list[EpochRow]:
        """Return the rows of one training's epochs."""
        return self._tables[number][1]

    def _samples(self, part: str) -> list[Samples]:
        return [training.data.parts[part] for training in self.trainings]

    @property
    def _steps(self) -> int:
        """Steps in an epoch."""
        return -(-len(self.trainings[0].data.train) // self._plan.batch)


class _Draws:
    """Random numbers of the present step: what each training draws alone (`controller.steps_of_epoch`)."""

    def __init__(self, trainings: Sequence[Training], epoch: int, step: int) -> None:
        self._trainings, self._place = trainings, (epoch, step)

    def random(self) -> Array:
        """Return a number for each chip, ``[chips, 1, 1]``."""
        streams = (controller.stream_of(training.plan, *self._place) for training in self._trainings)
        return np.array([rng.random() for rng in streams])[:, None, None]


def in_parts(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Give neighbouring values, so many at once."""
    return (values[begin : begin + size] for begin in range(0, len(values), size))


def _batch(rows: Sequence[Samples], chosen: Sequence[Index | slice], moves: Sequence[Index | None]) -> Batch:
    """Return some rows of each chip, as one batch of the stack; images have moved as `Samples.moves` drew."""
    drawn = [samples.batch(*some) for samples, some in zip(rows, zip(chosen, moves, strict=True), strict=True)]
    return Batch(np.stack([batch.inputs for batch in drawn]), np.stack([batch.targets for batch in drawn]))


def _losses(cost: SquaredError | SoftmaxCrossEntropy, outputs: Array, targets: Array) -> Array:
    """Return the mean cost of each chip, V², ``[chips]``.

    Raises:
        NotFiniteError: one is not finite.
    """
    losses = np.asarray(cost.values(outputs, targets).mean(axis=-1))
    if not (np.isfinite(outputs).all() and np.isfinite(losses).all()):
        raise NotFiniteError("an output or the cost of a chip is not finite", "chip", "cost")
    return losses
