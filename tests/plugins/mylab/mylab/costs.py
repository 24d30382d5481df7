"""A cost: Huber's, whose slope is the error up to a limit and the limit beyond it."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from harness.learning.costs import accuracy, explained
from harness.measurement import Array
from harness.validation import Section, Volts


@dataclass(frozen=True)
class Huber:
    """C = Σ of ½ e² within the limit d, and of d (|e| − ½ d) beyond it."""

    limit: float
    """V."""
    valued: bool

    def values(self, outputs: Array, targets: Array) -> Array:
        """V², ``[batch]``."""
        size = np.abs(targets - outputs)
        near = np.minimum(size, self.limit)
        return (near * (size - 0.5 * near)).sum(axis=1)

    def slopes(self, outputs: Array, targets: Array) -> Array:
        """V, ``[batch, outputs]``."""
        return np.clip(outputs - targets, -self.limit, self.limit)

    def score(self, outputs: Array, targets: Array) -> float:
        """R² or accuracy."""
        return explained(outputs, targets) if self.valued else accuracy(outputs, targets)


class HuberPlugin:
    """What the entry point names."""

    class Options(Section):
        """``[rule.cost_options]``."""

        limit: Annotated[Volts, Field(gt=0)] = 0.5
        """V."""

    def build(self, options: Options, valued: bool) -> Huber:
        """The cost."""
        return Huber(options.limit, valued)


huber = HuberPlugin()
