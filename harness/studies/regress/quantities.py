"""Quantities that can be measured of a case, one seed at a time.

Trained quantities come from a training with the case's own settings. `deployed_accuracy` comes from a training of the
ideal experiment (no variation, no imperfect pins, exact programming, on the nodal chip) whose conductances are written
into the case's chip. Gradients and voltages are measured at one set of conductances, on the case's chip and on the
ideal one: the initial conductances, or those after ``practice`` steps of the ideal training.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from harness.chip.base import Chip
from harness.chip.history import ageing_part
from harness.chip.metering import ENTRIES, HEADINGS, UNITS, Ledger
from harness.chip.nodal.chip import nodal_chip
from harness.errors import ChipError, ExperimentError
from harness.experiment.experiment import Experiment
from harness.experiment.settings import Settings
from harness.measurement import Array, Conductances, Drive
from harness.studies.age.gradients import (
    PRECISE,
    exact_gradient,
    measured_gradient,
    smallest_cosine,
    training_batch,
)
from harness.studies.age.shelf import Shelf
from harness.training import controller
from harness.training.controller import EpochDone, StepDone
from harness.training.position import Position
from harness.training.results import SHOWN
from harness.training.tables import total


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(fmean(value**2 for value in values))


@dataclass(frozen=True)
class Quantity:
    """Something that a band can bound."""

    unit: str
    about: str
    over_seeds: Callable[[Sequence[float]], float] = fmean


TRAINED = ("test_accuracy", "train_accuracy", "test_loss", *ENTRIES)
"""Quantities that ask for a training of the case."""
QUANTITIES: dict[str, Quantity] = {
    "test_accuracy": Quantity("", "of held-out rows after training with the case's settings (R² for values)"),
    "train_accuracy": Quantity("", "of at most 10,000 training rows after the same training"),
    "test_loss": Quantity("V²", "mean cost of held-out rows after the same training"),
    "deployed_accuracy": Quantity("", "of held-out rows on the case's chip, with conductances of an ideal training"),
    "gradient_cosine": Quantity("", "between measured and exact gradient; the smallest of the arrays"),
    "aged_accuracy": Quantity("", "the same as deployed_accuracy, when the case's `age` has passed since the write"),
    "aged_gradient_cosine": Quantity("", "gradient_cosine when the case's `age` has passed since the write"),
    "aged_voltage_error": Quantity(
        "V", "voltage_error when the case's `age` has passed since the write", _root_mean_square
    ),
    "voltage_error": Quantity("V", "of outputs against the ideal chip's, root mean square", _root_mean_square),
    "largest_voltage_error": Quantity("V", "of outputs against the ideal chip's, the largest", max),
    **{name: Quantity(UNITS[name], f"{HEADINGS[name]}, by the whole training") for name in ENTRIES},
}
"""By the names that suites use. Several seeds are averaged, but for the voltage errors."""
AGED = tuple(name for name in QUANTITIES if name.startswith("aged_"))
"""Quantities that ask for the case's `age`."""
_PRACTISED = {"gradient_cosine", "voltage_error", "largest_voltage_error", "aged_gradient_cosine", "aged_voltage_error"}
"""Quantities that are measured after the case's steps of practice."""
_DEPLOYED = {"deployed_accuracy", "aged_accuracy"}
"""Quantities that ask for a whole ideal training."""


class Stopped(Exception):  # noqa: N818 - a wish, not an error
    """The signal that somebody asked to stop."""


@dataclass(frozen=True)
class Preparation:
    """An ideal training, all of it or its first steps; several cases may need the same one."""

    settings: Settings
    steps: int | None = None
    """None for all."""

    @property
    def key(self) -> str:
        """A text that is equal for preparations that give the same conductances."""
        return f"{self.steps} {self.settings.to_toml()}"

    def run(self, stop: Callable[[], bool] = lambda: False) -> Conductances:
        """Return the conductances at the end, S.

        Raises:
            HarnessError: the experiment cannot be built or trained.
            Stopped: `stop` said True.
        """
        subject = Experiment(self.settings)
        with subject.open_chip() as chip:
            done = 0
            for event in _steps(subject, chip, stop):
                done += isinstance(event, StepDone)
                if done == self.steps:
                    break
            return chip.conductances


@dataclass(frozen=True)
class Measurement:
    """The quantities to measure of a case with one seed."""

    settings: Settings
    names: tuple[str, ...]
    """Names of quantities."""
    samples: int = 32
    """Rows, at most, that gradients (training rows) and voltages (held-out rows) are measured on."""
    practice: int = 0
    """Steps of the ideal training before gradients and voltages are measured."""
    shelf: tuple[float, float | None] = (0.0, None)
    """s that pass before aged quantities are measured, and s between two writes of all cells in that time."""

    @property
    def practised(self) -> Preparation | None:
        """The preparation of the conductances for gradients and voltages; None for the initial ones."""
        wanted = _PRACTISED & {*self.names}
        return Preparation(self.settings.ideal, self.practice) if wanted and self.practice else None

    @property
    def deployed(self) -> Preparation | None:
        """The preparation of the conductances for a deployment; None where none is wanted."""
        return Preparation(self.settings.ideal) if _DEPLOYED & {*self.names} else None

    def run(
        self,
        practised: Conductances | None = None,
        deployed: Conductances | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, float]:
        """Return the quantities, from what the preparations gave; each group is measured on a chip of its own.

        Raises:
            HarnessError: the experiment cannot be built, the chip failed, or a quantity is not finite.
            Stopped: `stop` said True.
        """
        subject, found = Experiment(self.settings), dict[str, float]()
        if {*TRAINED} & {*self.names}:
            found |= _trained(subject, self.names, stop)
        if deployed is not None:
            with _programmed(subject, deployed) as chip:
                found["deployed_accuracy"] = controller.evaluate(chip, subject.cost, subject.data.test).accuracy
                if "aged_accuracy" in self.names:
                    self._age(subject, chip, deployed)
                    found["aged_accuracy"] = controller.evaluate(chip, subject.cost, subject.data.test).accuracy
        at = subject.circuit.conductances if practised is None else practised
        if {"aged_gradient_cosine", "aged_voltage_error"} & {*self.names}:
            found |= self._aged(subject, at)
        if "gradient_cosine" in self.names:
            found["gradient_cosine"] = gradient_cosine(subject, at, self.samples)
        if {"voltage_error", "largest_voltage_error"} & {*self.names}:
            apart = voltage_differences(subject, at, self.samples)
            found["voltage_error"] = float(np.sqrt(np.mean(apart**2)))
            found["largest_voltage_error"] = float(np.abs(apart).max())
        return self._finite(found)

    def _aged(self, subject: Experiment, at: Conductances) -> dict[str, float]:
        """Return gradient and voltages of a chip that has aged since it was programmed to `at` (S)."""
        with _programmed(subject, at) as chip:
            self._age(subject, chip, at)
            batch = training_batch(subject, self.samples)
            ours, truth = measured_gradient(subject, chip, batch), exact_gradient(subject, at, batch)
            apart = _apart(subject, chip, at, self.samples)
        return {
            "aged_gradient_cosine": smallest_cosine(ours, truth),
            "aged_voltage_error": float(np.sqrt(np.mean(apart**2))),
        }

    def _age(self, subject: Experiment, chip: Chip, at: Conductances) -> None:
        seconds, refresh = self.shelf
        if ageing_part(chip) is None:  # the suite has refused it, but for a case that is measured without its laws
            return
        Shelf(chip, at, refresh, subject.settings.retention.read_rate).until(seconds)

    def _finite(self, found: Mapping[str, float]) -> dict[str, float]:
        for name in self.names:
            if not math.isfinite(found[name]):
                raise ChipError(f"{name} is {found[name]}, which no band can hold")
        return {name: float(found[name]) for name in self.names}


def gradient_cosine(subject: Experiment, at: Conductances, samples: int) -> float:
    """Return the cosine between the gradient measured on the experiment's chip and the exact one of the ideal circuit.

    It is the smallest over the arrays that have an exact gradient; −1…1. The first `samples` training rows are shown to
    the conductances `at` (S).

    Raises:
        ChipError: the exact gradient is zero everywhere, or the chip failed.
    """
    batch = training_batch(subject, samples)
    with _programmed(subject, at) as chip:
        ours = measured_gradient(subject, chip, batch)
    return smallest_cosine(ours, exact_gradient(subject, at, batch))


def voltage_differences(subject: Experiment, at: Conductances, samples: int) -> Array:
    """Return V ``[samples, outputs]`` by which outputs on the experiment's chip differ from the ideal nodal chip's.

    The first `samples` held-out rows are shown to the conductances `at` (S).
    """
    with _programmed(subject, at) as chip:
        return _apart(subject, chip, at, samples)


def _apart(subject: Experiment, chip: Chip, at: Conductances, samples: int) -> Array:
    """Return V ``[samples, outputs]`` by which a chip's outputs differ from the ideal ones; see above."""
    drives = [Drive(subject.data.test.first(samples).batch(slice(None)).inputs)]
    nodal = nodal_chip(subject.circuit, tolerance=PRECISE)
    nodal.program(at)
    return chip.measure(drives)[0].outputs - nodal.measure(drives)[0].outputs


def _trained(subject: Experiment, names: Collection[str], stop: Callable[[], bool]) -> dict[str, float]:
    """Return trained quantities as `Experiment.train` finds them, without a run directory."""
    with subject.open_chip() as chip:
        rows = [event.row for event in _steps(subject, chip, stop) if isinstance(event, EpochDone)]
        ledger = total(rows)
        if ledger is None and (wanted := ENTRIES.keys() & {*names}):
            raise ExperimentError(f"{min(wanted)} is not counted by the chip of kind {subject.settings.chip.kind}")
        found = {name: float(value) for name, value in vars(ledger or Ledger()).items()}
        found |= {"test_accuracy": rows[-1].test_accuracy, "test_loss": rows[-1].test_loss}
        if "train_accuracy" in names:
            shown = subject.data.train.first(SHOWN)
            found["train_accuracy"] = controller.evaluate(chip, subject.cost, shown).accuracy
    return found


def _steps(subject: Experiment, chip: Chip, stop: Callable[[], bool]) -> Iterator[StepDone | EpochDone]:
    """Train an experiment from its initial conductances, event by event."""
    start = Position(chip.conductances, subject.update.init(chip.conductances))
    for event in controller.training(
        chip, subject.rule, subject.update, subject.cost, subject.data, subject.plan, start
    ):
        if stop():
            raise Stopped
        yield event


@contextmanager
def _programmed(subject: Experiment, conductances: Conductances) -> Iterator[Chip]:
    with subject.open_chip() as chip:
        chip.program(conductances)
        yield chip
