"""What a learning rule is, and what it asks of a chip."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from typing_extensions import TypeVar

from harness.errors import ExperimentError
from harness.measurement import (
    NODES,
    Array,
    Batch,
    Capabilities,
    Clamp,
    Conductances,
    Drive,
    Injection,
    Needs,
    Reading,
    Spring,
)


class Measurable(Protocol):
    """The part of `harness.chip.base.Chip` that most rules use."""

    @property
    def conductances(self) -> Conductances:
        """What is programmed now, S."""

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """What is read of the network under each drive."""


class Programmable(Measurable, Protocol):
    """The part of `harness.chip.base.Chip` that rules use which write conductances to see what they do."""

    def program(self, conductances: Sequence[Array]) -> None:
        """Set every conductance, S."""


class Readings(Protocol):
    """What every rule reads, whatever else it does."""

    @property
    def free(self) -> Reading:
        """The free phase, before the update."""


R = TypeVar("R", bound=Readings, default=Any)
"""What a rule reads for one batch; nobody needs to say it of a rule that settings name."""


class LearningRule(Protocol[R]):
    """How a batch becomes a gradient; it asks the chip through drives only and keeps no state."""

    @property
    def needs(self) -> Needs:
        """What it asks of a chip beside free phases and their outputs."""

    def measure(self, chip: Programmable, batch: Batch, rng: np.random.Generator) -> R:
        """Ask the chip for all that one batch takes; `rng` is for rules that draw.

        Raises:
            ConvergenceError: a sample did not settle.
        """

    def gradient(self, readings: R) -> Conductances:
        """∂C/∂g of the batch's mean cost, V²/S, one array per trainable array."""


LEAST_NEEDS = {
    "equilibrium-propagation": Needs({Spring}, nodes=True),
    'equilibrium-propagation with nudging = "current"': Needs({Injection}, nodes=True),
    "coupled-learning": Needs({Clamp}, nodes=True),
    "hardware-linearization": Needs({Injection}, nodes=True, small_signal=True),
    "analytical-gradient": Needs(),
    "finite-differences": Needs(),
    "simultaneous-perturbation": Needs(),
}
"""What the package's rules ask at least, by what an experiment calls them."""


def refuse_unfit(rule: str, needs: Needs, capabilities: Capabilities, chip: str) -> None:
    """Refuse a rule that asks for what a chip cannot do.

    Args:
        rule: its name.
        needs: what it asks for.
        capabilities: what the chip can do.
        chip: its name.

    Raises:
        ExperimentError: says what the chip lacks, and which rules it can serve.
    """
    if lacking := capabilities.lacking(needs):
        beyond = needs.nudges - capabilities.nudges  # what more access would not help
        served = ", ".join(name for name, least in LEAST_NEEDS.items() if not capabilities.lacking(least))
        cure = "; set chip.access = 'nodes' where the chip has them, or" if NODES in lacking and not beyond else ";"
        raise ExperimentError(
            f"rule {rule} needs {' and '.join(lacking)}, which chip {chip} does not give{cure} take a rule that it can "
            f"serve: {served}"
        )
