"""`harness audit --along`: the bias of equilibrium propagation against β at several epochs of a run.

A run keeps the conductances of its end alone, so its training is repeated on its own chip, to the same bits. At some of
its epochs the rule's gradient is measured on the nodal chip, which adds no error of its own, and compared with the
adjoint's: under the run's β and under weaker and stronger ones. Under springs of −β, the limit is the largest β that
leaves each sample a stable state.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from harness.chip.nodal.chip import nodal_chip
from harness.circuit.dynamics import States
from harness.errors import ChipError, ExperimentError, RunError
from harness.experiment.experiment import Experiment
from harness.experiment.rule import EquilibriumSettings
from harness.experiment.runs.trained import checkpoint
from harness.learning import AnalyticalGradient, EquilibriumPropagation
from harness.learning.rules.base import LearningRule
from harness.measurement import Conductances, Drive, Spring
from harness.studies.audit import Curve, GradientError, Subject, Truth
from harness.training.controller import EpochDone, training
from harness.training.position import Position
from harness.training.runs import Run

STAGES = 5
"""Epochs that are looked at, from before the first to after the last."""
_PRECISE = 1e-11  # V: Newton tolerance of the nodal chips
_STRENGTHS = np.logspace(-2, 1, 10)  # of curves against β, in the run's own
_DOUBLINGS, _HALVINGS = 60, 12  # of the interval in which the limit is


@dataclass(frozen=True)
class Stage:
    """The effect of β at one epoch of a training."""

    epoch: int
    """Epochs done."""
    limit: float | None
    """S that β must stay below for each sample's state under −β to be stable; None without springs of −β."""
    gradients: tuple[GradientError, ...]
    """Errors of every array under the run's β, all NaN where a sample has no stable state under it."""
    curve: Curve
    """Errors of the worst array against β."""


@dataclass(frozen=True)
class Along:
    """The effect of β along a run's training."""

    beta: float
    """The run's own, S."""
    stages: tuple[Stage, ...]
    apart: float
    """Largest difference between the repeated training's conductances and the run's, S; 0 for the same bits."""


def audit_along(
    experiment: Experiment, run: Run, subject: Subject, *, tell: Callable[[str], None] = lambda _: None
) -> Along:
    """Repeat a run's training, and audit its rule at `STAGES` epochs on the rows and with the seed of a subject.

    Raises:
        ExperimentError: the run's rule is not equilibrium propagation, which alone has a β that biases.
        RunError: the training cannot be repeated from what the run keeps.
        ChipError: the chip failed.
    """
    _refuse(experiment, run)
    position = checkpoint(run)
    wanted = np.unique(np.linspace(0, position.epoch, STAGES).round().astype(int)).tolist()
    stages, reached = [], experiment.circuit.conductances
    for epoch, reached in _repeated(experiment, position.epoch):
        tell(f"epoch {epoch} of {position.epoch}")
        if epoch in wanted:
            circuit = experiment.circuit.with_conductances(reached)
            stages.append(_stage(experiment, replace(subject, circuit=circuit), epoch))
    apart = max(float(np.abs(a - b).max()) for a, b in zip(reached, position.conductances, strict=True))
    return Along(experiment.strength.beta, tuple(stages), 0.0 if position.step else apart)


def _refuse(experiment: Experiment, run: Run) -> None:
    if not isinstance(experiment.settings.rule, EquilibriumSettings) or "rule" in experiment.own:
        kind = "of one's own" if "rule" in experiment.own else experiment.settings.rule.kind
        raise ExperimentError(f"--along looks at what β does to equilibrium-propagation, and the run's rule is {kind}")
    if experiment.settings.chip.bench is not None:
        raise RunError(f"run {run.path} was trained on a board, whose training cannot be repeated; leave --along out")
    if {"origin", "imported_conductances"} & run.manifest.keys():
        raise RunError(
            f"run {run.path} began with conductances that it does not keep, so that its training cannot be repeated; "
            "leave --along out"
        )


def _repeated(experiment: Experiment, epochs: int) -> Iterator[tuple[int, Conductances]]:
    """Give the conductances (S) before the first of so many epochs and after each."""
    yield 0, experiment.circuit.conductances
    if not epochs:
        return
    with experiment.open_chip() as chip:
        start = Position(chip.conductances, experiment.update.init(chip.conductances))
        parts = experiment.rule, experiment.update, experiment.cost, experiment.data, experiment.plan
        for event in training(chip, *parts, start):
            if isinstance(event, EpochDone):
                yield event.position.epoch, event.position.conductances
                if event.position.epoch == epochs:
                    return


def _stage(experiment: Experiment, subject: Subject, epoch: int) -> Stage:
    rule, strength = experiment.settings.rule, experiment.strength
    circuit, cost = subject.circuit, subject.cost
    truth = Truth("adjoint", _gradient(AnalyticalGradient(circuit, cost), subject))

    def errors(beta: float) -> list[GradientError]:
        how = {"variant": rule.variant, "nudging": strength.nudging}  # type: ignore[union-attr]
        ours = EquilibriumPropagation(circuit, cost, beta=beta, **how)
        with suppress(ChipError):  # a sample has no stable state
            return truth.compare(rule.kind, "nodal", circuit, _gradient(ours, subject))
        names = [array.name for array in circuit.arrays]
        return [GradientError(rule.kind, "nodal", name, np.nan, np.nan, truth.name) for name in names]

    betas = (strength.beta * _STRENGTHS).tolist()
    worst = [_worst(errors(beta)) for beta in betas]
    shown = Curve(rule.kind, "nodal", truth.name, "β", tuple(betas), *map(tuple, zip(*worst, strict=True)))
    limit = limit_of_springs(subject) if experiment.springs.negative else None
    return Stage(epoch, limit, tuple(errors(strength.beta)), shown)


def limit_of_springs(subject: Subject) -> float:
    """Return the S that β must stay below for every sample's state under springs of −β to be stable.

    With all diodes blocking the bound is known, and diodes that conduct raise it: the interval is doubled from there
    on and then halved. Infinite where no β is too large.
    """
    chip, batch = nodal_chip(subject.circuit, tolerance=_PRECISE), subject.batch

    def borne(beta: float) -> bool:
        with suppress(ChipError):
            chip.measure([Drive(batch.inputs, Spring(-beta, batch.targets), "nudged −β")])
            return True
        return False

    low = States(subject.circuit).blocking
    high = 2 * low
    for _ in range(_DOUBLINGS):
        if not borne(high):
            break
        low, high = high, 2 * high
    else:
        return np.inf
    for _ in range(_HALVINGS):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if borne(middle) else (low, middle)
    return float(low)


def _worst(rows: Sequence[GradientError]) -> tuple[float, float]:
    """Return the largest error and the smallest cosine of any array that has a gradient; NaN where none has."""
    shown = [(row.relative_error, row.cosine) for row in rows if not np.isnan(row.relative_error)]
    found = zip(*shown, strict=True) if shown else ((np.nan,), (np.nan,))
    errors, cosines = found
    return max(errors), min(cosines)


def _gradient(rule: LearningRule, subject: Subject) -> Conductances:
    chip, rng = nodal_chip(subject.circuit, tolerance=_PRECISE), np.random.default_rng(subject.seed)
    return rule.gradient(rule.measure(chip, subject.batch, rng))
