"""Figures of a trained network against the time on the shelf: accuracy, gradient, outputs.

Outputs and gradients are compared with those of the ideal circuit with the conductances as they were trained. A
compensation scales the outputs that are read. Its factors come from reads of the same training rows at the beginning
and now, as in aihwkit's GlobalDriftCompensation and PerColumnDriftCompensation (Le Gallo et al. 2018, Adv. Electron.
Mater. 4, 1700627): summed sizes then over summed sizes now. It changes what is read, and no gradient.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np

from harness.chip.base import Chip
from harness.chip.history import recall
from harness.chip.nodal.chip import nodal_chip
from harness.errors import ChipError, ExperimentError, RunError
from harness.experiment.experiment import Experiment
from harness.measurement import Array, Batch, Conductances, Drive
from harness.studies.age.gradients import (
    PRECISE,
    exact_gradient,
    measured_gradient,
    smallest_cosine,
    training_batch,
)
from harness.studies.age.shelf import Shelf
from harness.training import controller
from harness.training.runs import Run
from harness.units import show


class Compensation(StrEnum):
    """Factors by which outputs are scaled when they are read."""

    CHIP = "compensated"
    """One for all outputs."""
    OUTPUTS = "outputs compensated"
    """One for each output."""


@dataclass(frozen=True)
class Shelving:
    """A way to treat a trained chip, and to look at it.

    Raises:
        ExperimentError: the times do not rise from above 0 s.
    """

    times: tuple[float, ...]
    """s after training, beside the beginning."""
    refresh: float | None = None
    """s between two writes of all cells, in one more row for each time; None for none."""
    compensations: tuple[Compensation, ...] = ()
    """Compensations, each in one more row."""
    chips: int | None = None
    """Number of other chips that the trained conductances are written into; None for the run's own chip."""
    samples: int = 32
    """Training rows for gradients and for compensation."""

    def __post_init__(self) -> None:
        for before, after in zip((0.0, *self.times), self.times, strict=False):
            if not before < after < math.inf:
                raise ExperimentError(
                    f"times on the shelf must rise from above 0 s: {show(after, 's')} does not come after "
                    f"{show(before, 's')}"
                )

    @property
    def looks(self) -> int:
        """Number of times at which a chip is looked at, over all chips."""
        return (self.chips or 1) * (1 + len(self.times)) * (1 if self.refresh is None else 2)


@dataclass(frozen=True)
class Look:
    """The figures of one chip at one time."""

    chip: int
    """Its seed."""
    use: str
    """``as it is``, ``refreshed``, or one of these with a compensation."""
    seconds: float
    """s after training."""
    accuracy: float
    """Accuracy of held-out rows; R² where targets are values."""
    loss: float
    """Mean cost of held-out rows, V²."""
    cosine: float | None
    """Between the measured gradient and the exact one; None where there is none, and for compensations."""
    output_error: float
    """V by which outputs of held-out rows differ from the ideal ones, root mean square."""
    left: float
    """Sum of the conductances over that of the trained ones."""
    refreshes: int
    """Writes of all cells so far."""


AS_IT_IS, REFRESHED = "as it is", "refreshed"
COLUMNS = tuple(part.name for part in fields(Look))


@dataclass(frozen=True, eq=False)
class _Truth:
    """The outputs and the gradient of the ideal circuit with the conductances as they were trained."""

    conductances: Conductances
    outputs: Array
    """V, of held-out rows."""
    gradient: Conductances
    batch: Batch
    """Training rows of that gradient."""


def looks(
    experiment: Experiment, run: Run, shelving: Shelving, *, tell: Callable[[str], None] = lambda _: None
) -> Iterator[Look]:
    """Look at a run's network at each time, on its own chip or on others; `tell` gets a line about each time.

    Its own chip goes on from the last step of training, with all that time had done to its cells by then.

    Raises:
        ExperimentError: no law of ``[retention]`` has a strength, or the chip is a board.
        RunError: the run has no checkpoint yet.
        ChipError: the chip failed.
    """
    if experiment.settings.chip.bench is not None:
        raise ExperimentError("a board ages by itself; take --chip nodal or --chip ngspice for its digital twin")
    truth = _truth(experiment, experiment.trained(run).conductances, shelving.samples)
    same_chip = shelving.chips is None and "variation.seed" not in experiment.changes_on(run)
    for number in chip_seeds(experiment, shelving.chips):
        subject = experiment if shelving.chips is None else experiment.replace({"variation.seed": number})
        with subject.open_chip() as chip:
            for refresh in dict.fromkeys((None, shelving.refresh)):
                _begin(chip, truth.conductances, run if same_chip else None)
                shelf = Shelf(chip, truth.conductances, refresh, subject.settings.retention.read_rate)
                yield from _along(subject, chip, shelf, shelving, truth, number, tell)


def chip_seeds(experiment: Experiment, chips: int | None) -> list[int]:
    """Return the seeds of the chips that are looked at: the experiment's own, or so many others."""
    own = experiment.settings.chip_seed
    if chips is None:
        return [own]
    return [seed for seed in range(chips + 1) if seed != own][:chips]


def _begin(chip: Chip, conductances: Conductances, run: Run | None) -> None:
    """Put a chip at the end of a run's training, or write its conductances into another one."""
    chip.program(conductances)
    position = None if run is None else run.position()
    if position is not None and position.history is not None:
        try:
            recall(chip, position.history)
        except ChipError as error:
            raise RunError(f"run {run.path if run else ''}: {error}") from error


def _truth(experiment: Experiment, conductances: Conductances, samples: int) -> _Truth:
    nodal = nodal_chip(experiment.circuit, tolerance=PRECISE)
    nodal.program(conductances)
    batch = training_batch(experiment, samples)
    outputs = controller.settled(nodal, experiment.data.test)
    return _Truth(conductances, outputs, exact_gradient(experiment, conductances, batch), batch)


def _along(
    subject: Experiment,
    chip: Chip,
    shelf: Shelf,
    shelving: Shelving,
    truth: _Truth,
    number: int,
    tell: Callable[[str], None],
) -> Iterator[Look]:
    """Look at one chip at the beginning and at each time, without and with each compensation."""
    use = AS_IT_IS if shelf.refresh is None else REFRESHED
    first: Array | None = None
    for seconds in (0.0, *shelving.times):
        shelf.until(seconds)
        outputs = controller.settled(chip, subject.data.test)
        told = {
            "chip": number,
            "seconds": seconds,
            "left": _left(chip.conductances, truth.conductances),
            "refreshes": shelf.refreshes,
        }
        cosine = _cosine(subject, chip, truth)
        yield Look(use=use, cosine=cosine, **told, **_scored(subject, outputs, truth))  # type: ignore[arg-type]
        if shelving.compensations:
            read = chip.measure([Drive(truth.batch.inputs)])[0].outputs
            first = read if first is None else first
            for kind in shelving.compensations:
                scaled = outputs * factors(kind, first, read)
                more = kind.value if shelf.refresh is None else f"{use}, {kind.value}"
                yield Look(use=more, cosine=None, **told, **_scored(subject, scaled, truth))  # type: ignore[arg-type]
        tell(f"chip {number}, {use}, after {show(seconds, 's')}")


def factors(kind: Compensation, first: Array, now: Array) -> Array:
    """Return the factors of a compensation from outputs (V, ``[samples, outputs]``) at the beginning and now.

    An output that reads nothing any more is left as it is.
    """
    axis = None if kind is Compensation.CHIP else 0
    then, sums = np.abs(first).sum(axis=axis), np.abs(now).sum(axis=axis)
    return np.asarray(np.divide(then, sums, out=np.ones_like(sums), where=sums > 0))


def _scored(subject: Experiment, outputs: Array, truth: _Truth) -> dict[str, float]:
    targets = subject.data.test.targets
    return {
        "accuracy": float(subject.cost.score(outputs, targets)),
        "loss": float(subject.cost.values(outputs, targets).mean()),
        "output_error": float(np.sqrt(np.mean((outputs - truth.outputs) ** 2))),
    }


def _left(now: Sequence[Array], then: Sequence[Array]) -> float:
    sums = [sum(float(g.sum()) for g in each) for each in (now, then)]
    return sums[0] / sums[1] if sums[1] else math.nan


def _cosine(subject: Experiment, chip: Chip, truth: _Truth) -> float | None:
    """Return the cosine of the gradient on a chip; None where cells have come so far that the rule measures none."""
    try:
        return smallest_cosine(measured_gradient(subject, chip, truth.batch), truth.gradient)
    except ChipError:
        return None
