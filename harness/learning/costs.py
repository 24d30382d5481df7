"""Cost functions of the outputs, in V² per sample, with their gradients.

A cost in V² has a slope in V, so that β in siemens turns it into a nudging current. scipy.special takes a while to
import, and one cost alone needs it.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from typing_extensions import override

from harness.errors import ExperimentError
from harness.measurement import Array


class Cost(Protocol):
    """The cost, which learning lowers.

    Arrays are ``[batch, outputs]`` in V. The costs of this file take further axes before these: one for the chips of a
    stack.
    """

    def values(self, outputs: Array, targets: Array) -> Array:
        """C of each sample, V², ``[batch]``."""

    def slopes(self, outputs: Array, targets: Array) -> Array:
        """∂C/∂v of each sample, V, ``[batch, outputs]``."""

    def score(self, outputs: Array, targets: Array) -> float:
        """Return the score of the outputs, at most 1: the share of right classes, or R² where targets are values."""


@dataclass(frozen=True)
class SquaredError(Cost):
    """C = ½ Σ (y − v)² over the outputs; its nudge is a spring of conductance β (Kendall et al. 2020, eq. 9)."""

    classes: bool = True
    """True where targets mark a class; else they are values."""

    @override
    def values(self, outputs: Array, targets: Array) -> Array:
        difference = targets - outputs
        return 0.5 * (difference * difference).sum(axis=-1)

    @override
    def slopes(self, outputs: Array, targets: Array) -> Array:
        return outputs - targets

    @override
    def score(self, outputs: Array, targets: Array) -> float:
        return accuracy(outputs, targets) if self.classes else explained(outputs, targets)

    def scores(self, outputs: Array, targets: Array) -> Array:
        """Return the score of each chip in a stack, ``[chips]``."""
        if self.classes:
            return accuracies(outputs, targets)
        return np.array([explained(*each) for each in zip(outputs, targets, strict=True)])


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Cost):
    """C = −T² Σ p log softmax(v / T): the outputs are logits in units of the temperature T (V).

    The factor T² keeps C in V² and its slope T (softmax(v / T) − p) in V. The target distribution p is the target
    voltages' share above the lowest one: one-hot for one-hot targets, uniform for equal ones.

    Raises:
        ExperimentError: the temperature is not above 0.
    """

    temperature: float = 1.0
    """V."""

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ExperimentError(f"softmax cross-entropy: temperature {self.temperature:g} V must be above 0")

    @override
    def values(self, outputs: Array, targets: Array) -> Array:
        from scipy.special import log_softmax  # noqa: PLC0415 - see above

        weighted = _distribution(targets) * log_softmax(outputs / self.temperature, axis=-1)
        return np.asarray(-(self.temperature**2) * weighted.sum(axis=-1))

    @override
    def slopes(self, outputs: Array, targets: Array) -> Array:
        from scipy.special import softmax  # noqa: PLC0415 - see above

        return np.asarray(self.temperature * (softmax(outputs / self.temperature, axis=-1) - _distribution(targets)))

    @override
    def score(self, outputs: Array, targets: Array) -> float:
        return accuracy(outputs, targets)

    def scores(self, outputs: Array, targets: Array) -> Array:
        """Return the score of each chip in a stack, ``[chips]``."""
        return accuracies(outputs, targets)


def _distribution(targets: Array) -> Array:
    above = targets - targets.min(axis=-1, keepdims=True)
    total = above.sum(axis=-1, keepdims=True)
    return np.where(total > 0, above / np.where(total > 0, total, 1.0), 1 / targets.shape[-1])


def accuracy(outputs: Array, targets: Array) -> float:
    """The share of samples whose largest output is the one with the largest target."""
    right = outputs.argmax(axis=-1) == targets.argmax(axis=-1)
    return float(np.count_nonzero(right)) / len(right)


def accuracies(outputs: Array, targets: Array) -> Array:
    """The accuracy of each chip in a stack, ``[chips]``."""
    return np.asarray((outputs.argmax(axis=-1) == targets.argmax(axis=-1)).mean(axis=-1))


_LEAST = -1e6
"""R², at least."""


def explained(outputs: Array, targets: Array) -> float:
    """R² over all outputs: 1 − Σ (y − v)² / Σ (y − ȳ)², with ȳ each output's mean, or 0 V where targets are all alike.

    It is at least −1e6: where targets are almost alike, as they may be in a batch of two, it says nothing below that,
    and means over batches would be theirs alone.
    """
    centre = targets.mean(axis=0) if (targets != targets[0]).any() else np.zeros(targets.shape[1])
    spread, missed = float(((targets - centre) ** 2).sum()), float(((targets - outputs) ** 2).sum())
    if missed >= (1 - _LEAST) * spread:
        return _LEAST if missed else 1.0
    return 1 - missed / spread
