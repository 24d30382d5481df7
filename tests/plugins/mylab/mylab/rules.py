"""A learning rule: the nudge of the guide's example, whose currents are limited."""

from typing import Annotated

import numpy as np
from pydantic import Field

from harness.experiment.rule import Given
from harness.learning import GeneralizedEquilibriumPropagation
from harness.measurement import Array, Injection
from harness.validation import Section, Siemens, Volts


class LimitedContrast:
    """What the entry point names."""

    class Options(Section):
        """``[rule.options]``."""

        strength: Annotated[Siemens, Field(gt=0)]
        """β, S."""
        limit: Annotated[Volts, Field(gt=0)] = 0.2
        """V of error beyond which currents do not grow."""

    def build(self, options: Options, given: Given) -> GeneralizedEquilibriumPropagation:
        """The rule for a circuit."""

        def nudge(strength: float, free: Array, targets: Array) -> Injection:
            return Injection(strength * np.clip(targets - free, -options.limit, options.limit))

        return GeneralizedEquilibriumPropagation(given.circuit, nudge, order=1, strength=options.strength)


limited_contrast = LimitedContrast()
