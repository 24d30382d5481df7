"""Gradients of a chip in any condition, against the exact ones of the ideal circuit."""

import numpy as np

from harness.chip.base import Chip
from harness.chip.nodal.chip import nodal_chip
from harness.errors import ChipError
from harness.experiment.experiment import Experiment
from harness.learning import AnalyticalGradient
from harness.measurement import Array, Batch, Conductances

PRECISE = 1e-11
"""V: Newton tolerance of the ideal chip."""


def training_batch(subject: Experiment, samples: int) -> Batch:
    """Return the first training rows."""
    return subject.data.train.first(samples).batch(slice(None))


def exact_gradient(subject: Experiment, at: Conductances, batch: Batch) -> Conductances:
    """Return ∂C/∂g (V²/S) of the ideal circuit with some conductances (S)."""
    nodal = nodal_chip(subject.circuit, tolerance=PRECISE)
    nodal.program(at)
    exact = AnalyticalGradient(subject.circuit, subject.cost)
    return exact.gradient(exact.measure(nodal, batch, np.random.default_rng(0)))


def measured_gradient(subject: Experiment, chip: Chip, batch: Batch) -> Conductances:
    """Return ∂C/∂g (V²/S) as the experiment's rule measures it on a chip as it is."""
    rng = np.random.default_rng(subject.settings.training.seed)
    return subject.rule.gradient(subject.rule.measure(chip, batch, rng))


def smallest_cosine(ours: Conductances, truth: Conductances) -> float:
    """Return the smallest cosine between two gradients over the arrays that have a true one; −1…1.

    Raises:
        ChipError: the true gradient is zero everywhere.
    """
    pairs = [(mine.ravel(), true.ravel()) for mine, true in zip(ours, truth, strict=True) if np.any(true)]
    if not pairs:
        raise ChipError("gradient_cosine: the exact gradient is zero in every array; give the case some 'practice'")
    return min(_cosine(mine, true) for mine, true in pairs)


def _cosine(ours: Array, truth: Array) -> float:
    """Return the cosine of two gradients; 0 where one is zero."""
    sizes = float(np.linalg.norm(ours)) * float(np.linalg.norm(truth))
    return float(np.clip(ours @ truth / sizes, -1, 1)) if sizes else 0.0
