"""Gradients of rules beside the adjoint, which claims of all three papers are about."""

from collections.abc import Callable, Sequence

import numpy as np

from harness.chip.base import Chip
from harness.experiment.experiment import Experiment
from harness.learning import AnalyticalGradient, FiniteDifferences
from harness.learning.rules.base import LearningRule
from harness.measurement import Array, Batch, Conductances
from harness.studies.check import inside
from harness.studies.reproduce.claim import Effort, Figure, Figures

_ROWS = 10
"""Number of rows that a gradient is measured on."""
MakeRule = Callable[[Experiment, float], LearningRule]
"""Makes a rule for an experiment and a place of a table."""


def by_adjoint(subject: Experiment, _: float) -> AnalyticalGradient:
    """Return the rule that solves for the gradient."""
    return AnalyticalGradient(subject.circuit, subject.cost)


def by_differences(subject: Experiment, _: float) -> FiniteDifferences:
    """Return the rule that moves every cell."""
    step = 1e-4 * float(np.mean([g.mean() for g in subject.circuit.conductances]))
    return FiniteDifferences(subject.circuit, subject.cost, step=step)


def errors(
    effort: Effort,
    experiments: Sequence[tuple[float | str, str, Sequence[str]]],
    rules: Sequence[tuple[str, MakeRule, bool]],
    seeds: int,
    *,
    truth: MakeRule = by_adjoint,
    cosines: bool = False,
) -> Figures:
    """Return the relative error (or the cosine) of rules' gradients against a truth, at initial conductances.

    Args:
        effort: its chip measures.
        experiments: places of the table, each with an experiment's name and changes of it.
        rules: series, each with what makes its rule, and whether it is a control.
        seeds: experiments are loaded with seeds 0…seeds − 1.
        truth: makes the rule that they are compared with.
        cosines: whether cosines are wanted.
    """
    found = []
    for x, name, overrides in experiments:
        values: list[list[float]] = [[] for _ in rules]
        for seed in range(seeds):
            effort.check()
            subject = Experiment.load(name, [*overrides, f"chip.kind={effort.chip}", f"training.seed={seed}"])
            own = subject.with_parts(circuit=inside(subject.circuit))
            with own.open_chip() as chip:
                right = gradient_of(truth(own, 0.0), chip, _batch(own))
                for k, (_, make, _) in enumerate(rules):
                    ours = gradient_of(make(own, float(x) if isinstance(x, float) else 0.0), chip, _batch(own))
                    values[k].append(cosine(ours, right) if cosines else relative_error(ours, right))
            effort.tell(f"{name}, seed {seed}")
        for (series, _, control), numbers in zip(rules, values, strict=True):
            found.append(Figure(series, x, tuple(numbers), control))
    return tuple(found)


def _batch(subject: Experiment) -> Batch:
    return subject.data.train.batch(slice(_ROWS))


def gradient_of(rule: LearningRule, chip: Chip, batch: Batch) -> Conductances:
    """Return the gradient that a rule measures on a chip, V²/S."""
    return rule.gradient(rule.measure(chip, batch, np.random.default_rng(0)))


def _flat(gradient: Conductances) -> Array:
    return np.concatenate([part.ravel() for part in gradient])


def relative_error(ours: Conductances, truth: Conductances) -> float:
    """Return the norm of the difference of two gradients, as a share of the norm of the second."""
    a, b = _flat(ours), _flat(truth)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def cosine(ours: Conductances, truth: Conductances) -> float:
    """Return the cosine of the angle between two gradients."""
    a, b = _flat(ours), _flat(truth)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def slope(found: Sequence[Figure]) -> float:
    """Return the power of x with which means grow, by regression in logarithms."""
    x, y = (np.log([float(figure.x) for figure in found]), np.log([figure.mean for figure in found]))
    return float(np.polyfit(x, y, 1)[0])
