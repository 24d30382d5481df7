"""The training loop: free and nudged phases, gradient, update, write-back; it knows the `Chip` protocol only."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from harness.chip.base import Chip
from harness.chip.history import ageing_part, recall
from harness.chip.metering import NOTHING, Ledger, ledger_of, set_step_key, simulator_seconds_of
from harness.datasets import Samples, Split
from harness.errors import ChipError, ExperimentError, NotFiniteError
from harness.files.reading import JsonObject
from harness.learning.costs import Cost
from harness.learning.rules.base import LearningRule, R, refuse_unfit
from harness.learning.updates.resistances import ResistanceUpdate
from harness.learning.updates.updates import Schedule, UpdateRule, UpdateState
from harness.measurement import Array, Batch, Capabilities, Conductances, Drive, Index, all_finite
from harness.training import parts
from harness.training.position import Position
from harness.training.runs import Run
from harness.training.tables import EpochRow, StepRow
from harness.units import show

EVALUATION_BATCH = 256
CHECKPOINT_SECONDS = 10.0
_SAVING_SHARE = 30  # epochs of milliseconds are not all saved: a checkpoint takes at most a thirtieth of the time
_CORE = ("circuit", "capabilities", "conductances", "program", "adjust", "measure", "close")
_ORDER, _STEP, _MOVES = 0, 1, 2
"""Streams of random numbers: one for the order of an epoch, one for each step of it, one for its images' places."""


@dataclass(frozen=True)
class Plan:
    """Length, batch size, seed and schedule of a training."""

    epochs: int
    batch: int
    seed: int
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class StepRecord:
    """The record of one training step."""

    loss: float
    """Mean cost of the batch before the update, V²."""
    accuracy: float
    written: Conductances
    """Changes that the devices really made, S."""


@dataclass(frozen=True)
class Evaluation:
    """The cost, accuracy and outputs of a chip on a data set's rows."""

    loss: float
    """Mean cost, V²."""
    accuracy: float
    outputs: Array
    """V, ``[samples, outputs]``."""


@dataclass(frozen=True)
class StepDone:
    """An event of `training`: one batch was learned."""

    position: Position
    row: StepRow


@dataclass(frozen=True)
class EpochDone:
    """An event of `training`: all samples were visited once more."""

    position: Position
    row: EpochRow


def train_step(
    chip: Chip,
    rule: LearningRule[R],
    update: UpdateRule,
    cost: Cost,
    state: UpdateState,
    batch: Batch,
    rng: np.random.Generator,
) -> tuple[UpdateState, StepRecord]:
    """Learn one batch.

    Raises:
        NotFiniteError: an output, or the cost, is not finite.
    """
    readings = rule.measure(chip, batch, rng)
    outputs = readings.free.outputs
    loss = _loss(cost, outputs, batch.targets)
    gradient = rule.gradient(readings)
    here = update.at(chip.conductances) if isinstance(update, ResistanceUpdate) else update
    wanted, state = here.step(gradient, state)
    written = chip.adjust(wanted)
    return state, StepRecord(loss=loss, accuracy=cost.score(outputs, batch.targets), written=written)


def evaluate(chip: Chip, cost: Cost, samples: Samples) -> Evaluation:
    """Free phases of every sample, without learning; noise is that of no step, the same at every evaluation.

    Raises:
        NotFiniteError: an output, or the cost, is not finite.
    """
    outputs = settled(chip, samples)
    loss = _loss(cost, outputs, samples.targets)
    return Evaluation(loss, cost.score(outputs, samples.targets), outputs)


def settled(chip: Chip, samples: Samples) -> Array:
    """Return the outputs in the free phase of every sample, V, ``[samples, outputs]``; see `evaluate`.

    Raises:
        NotFiniteError: an output is not finite.
    """
    set_step_key(chip, ())
    size = min(EVALUATION_BATCH, chip.capabilities.largest_batch or EVALUATION_BATCH)
    batches = (samples.batch(slice(start, start + size)) for start in range(0, len(samples), size))
    outputs = np.concatenate([chip.measure([Drive(batch.inputs, outputs_only=True)])[0].outputs for batch in batches])
    _check_finite(outputs)
    return outputs


def _check_finite(outputs: Array) -> None:
    if not all_finite(outputs):
        row, column = np.argwhere(~np.isfinite(outputs))[0]
        message = f"the chip reads {outputs[row, column]} V at output {column}, which is not finite"
        raise NotFiniteError(message, "chip", "non-ideality")


def _loss(cost: Cost, outputs: Array, targets: Array) -> float:
    """Mean cost, V², of outputs (V); what is not finite would spoil all that is learned and written from it."""
    _check_finite(outputs)
    values = cost.values(outputs, targets)
    loss = float(values.sum()) / values.size
    if not math.isfinite(loss):
        largest = show(float(np.abs(outputs).max()), "V")
        message = f"the cost of the chip's outputs, of up to {largest}, is {loss} V², which is not finite"
        raise NotFiniteError(message, "cost")
    return loss


def training(
    chip: Chip, rule: LearningRule[R], update: UpdateRule, cost: Cost, data: Split, plan: Plan, start: Position
) -> Iterator[StepDone | EpochDone]:
    """Train from a position to the plan's end; every event carries the position that a later process can start from.

    Each sample is visited once an epoch; the order of epoch e and the random numbers of each step depend on the seed,
    e and the step alone.

    Raises:
        ExperimentError: the rule or the batches ask for more than the chip can do.
    """
    refuse_beyond(chip, rule, plan)
    chip.program(start.conductances)
    recall(chip, start.history)
    position = start
    while position.epoch < plan.epochs:
        for done in steps_of_epoch(chip, rule, update, cost, data.train, plan, position):
            position = done.position
            yield done
        began, asked = time.perf_counter(), ledger_of(chip)
        test = evaluate(chip, cost, data.test)
        spent, again = time.perf_counter() - began, _grown(NOTHING, chip, asked).sparse_sweeps
        position = replace(position, ledger=position.ledger.plus(sparse_sweeps=again))
        row = epoch_row(position, len(data.train), test, spent, chip)
        position = position.next_epoch
        yield EpochDone(position, row)


def steps_of_epoch(
    chip: Chip, rule: LearningRule[R], update: UpdateRule, cost: Cost, rows: Samples, plan: Plan, start: Position
) -> Iterator[StepDone]:
    """Learn what is left of a position's epoch, batch by batch; the chip holds the position's conductances already."""
    position, epoch = start, start.epoch
    batches = -(-len(rows) // plan.batch)
    scaled, factor = update, 1.0
    draws, nothing_drawn = getattr(rule, "draws", True), np.random.default_rng(0)
    order, moves, ages = order_of(plan, epoch, len(rows)), moves_of(plan, epoch, rows), ageing_part(chip)
    for step in range(position.step, batches):
        began, simulated, asked = time.perf_counter(), simulator_seconds_of(chip), ledger_of(chip)
        batch = rows.batch(order[step * plan.batch : (step + 1) * plan.batch], moves)
        rng = stream_of(plan, epoch, step) if draws else nothing_drawn
        set_step_key(chip, [epoch, step])
        if factor != (wanted := plan.schedule.factor(epoch, (epoch + step / batches) / plan.epochs)):
            scaled, factor = update.scaled(wanted), wanted
        state, record = train_step(chip, rule, scaled, cost, position.update, batch, rng)
        position = Position(
            chip.conductances,
            state,
            epoch,
            step + 1,
            position.loss + record.loss * len(batch),
            position.right + record.accuracy * len(batch),
            position.seconds + time.perf_counter() - began,
            position.simulator_seconds + (simulator_seconds_of(chip) or 0.0) - (simulated or 0.0),
            _grown(position.ledger, chip, asked),
            None if ages is None else ages.history,
        )
        yield StepDone(position, _step_row(position, record))


def order_of(plan: Plan, epoch: int, rows: int) -> Index:
    """Return the order in which an epoch shows so many rows."""
    return np.random.default_rng([plan.seed, _ORDER, epoch]).permutation(rows)


def moves_of(plan: Plan, epoch: int, rows: Samples) -> Index | None:
    """Return how far an epoch moves each image (`Samples.moves`)."""
    return rows.moves(np.random.default_rng([plan.seed, _MOVES, epoch]))


def stream_of(plan: Plan, epoch: int, step: int) -> np.random.Generator:
    """Return the random numbers of a step."""
    return np.random.default_rng([plan.seed, _STEP, epoch, step])


def train(
    chip: Chip,
    rule: LearningRule[R],
    update: UpdateRule,
    cost: Cost,
    data: Split,
    plan: Plan,
    run: Run,
    *,
    watch: Callable[[StepDone | EpochDone], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    described: JsonObject | None = None,
) -> bool:
    """Train into a run directory, from its last checkpoint if it has one; True when the plan's end was reached.

    The run's manifest says what trained it; what its ``experiment.toml`` does not describe is recorded as one's own.

    Where there is no checkpoint, it begins with the chip's conductances. `watch` sees every event; `stop` is asked
    after every batch, and training ends with a checkpoint when it says True. `described` is what trains it in the words
    of a manifest; without it, the parts themselves are looked at.

    Raises:
        ChipError: the chip failed; the run keeps its last checkpoint.
        ExperimentError: the rule or the batches ask for more than the chip can do.
        RunError: the run was trained with another chip, rule, update, cost or plan, or on other data.
    """
    refuse_beyond(chip, rule, plan)
    if described is None:
        given = {"rule": rule, "update": update, "cost": cost, "plan": plan}
        told = {name: parts.described(part) for name, part in given.items()}
        described = {**told, "chip": parts.described_chip(chip), "data": data.sha256()}
    parts.claim(run, described)
    start = run.position() or Position(chip.conductances, update.init(chip.conductances))
    steps, epochs = run.tables()
    saved = cost_of_saving = 0.0
    for event in training(chip, rule, update, cost, data, plan, start):
        if isinstance(event, StepDone):
            steps.append(event.row)
        else:
            epochs.append(event.row)
        stopped, ended = stop(), event.position.epoch == plan.epochs
        patience = _SAVING_SHARE * cost_of_saving if isinstance(event, EpochDone) else CHECKPOINT_SECONDS
        if stopped or ended or time.monotonic() - saved > patience:
            began = time.monotonic()
            run.save(event.position, steps, epochs, score=data.score)
            saved = time.monotonic()
            cost_of_saving = saved - began
        watch(event)
        if stopped and not ended:
            return False
    return True


def refuse_beyond(chip: Chip, rule: LearningRule[R], plan: Plan, names: tuple[str, str] | None = None) -> None:
    """Refuse a rule, or batches, that ask for more than a chip can do.

    A rule of somebody's own that does not say what it needs is let through; the chip refuses what it cannot do. `names`
    are those of chip and rule in settings, instead of their classes'.

    Raises:
        ExperimentError: says what the chip lacks, and which rules it can serve.
        ChipError: the chip is none.
    """
    name, asking = names or (type(chip).__qualname__, type(rule).__qualname__)
    if missing := [part for part in _CORE if not hasattr(chip, part)]:
        raise ChipError(f"{name} is no chip: it has no {', no '.join(missing)}; see harness.chip.base.Chip")
    refuse_unable(chip.capabilities, rule, plan, (name, asking))


def refuse_unable(can: Capabilities, rule: LearningRule[R], plan: Plan, names: tuple[str, str]) -> None:
    """Refuse a rule, or batches, that ask for more than a chip of some abilities can do; see `refuse_beyond`."""
    name, asking = names
    if (needs := getattr(rule, "needs", None)) is not None:
        refuse_unfit(asking, needs, can, name)
    most = can.largest_batch
    if most is not None and plan.batch > most:
        raise ExperimentError(
            f"training.batch: {plan.batch} samples at once, and the chip takes at most {most}; lower it"
        )


def _grown(ledger: Ledger, chip: Chip, before: Ledger | None) -> Ledger:
    """Return a ledger with what was asked of a chip since its own was `before`; the same one where it has none."""
    now = ledger_of(chip)
    return ledger if now is None or before is None else ledger.grown(before, now)


def _step_row(position: Position, record: StepRecord) -> StepRow:
    sizes = np.concatenate([change.ravel() for change in record.written])
    np.abs(sizes, out=sizes)
    return StepRow(
        epoch=position.epoch + 1,
        step=position.step,
        loss=record.loss,
        accuracy=record.accuracy,
        largest_change=float(sizes.max()),
        mean_change=float(sizes.sum()) / sizes.size,
    )


def epoch_row(position: Position, samples: int, test: Evaluation, evaluating: float, chip: Chip) -> EpochRow:
    """Return the row of an epoch whose steps are done, and which was evaluated in so many seconds."""
    simulated, counted = simulator_seconds_of(chip) is not None, ledger_of(chip) is not None
    return EpochRow(
        epoch=position.epoch + 1,
        train_loss=position.loss / samples,
        train_accuracy=position.right / samples,
        test_loss=test.loss,
        test_accuracy=test.accuracy,
        seconds=position.seconds,
        evaluation_seconds=evaluating,
        samples_per_second=samples / position.seconds,
        ngspice_share=position.simulator_seconds / position.seconds if simulated else None,
        ledger=position.ledger if counted else None,
    )
