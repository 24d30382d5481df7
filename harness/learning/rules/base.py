"""Learning rules, and what they ask of a chip."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
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
from harness.wording import did_you_mean

_Option = TypeVar("_Option", bound=StrEnum)


class Measurable(Protocol):
    """The part of `harness.chip.base.Chip` that most rules use."""

    @property
    def conductances(self) -> Conductances:
        """The conductances that are programmed now, S."""

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """Let the network settle under each drive, and return the readings."""


class Programmable(Measurable, Protocol):
    """The part of `harness.chip.base.Chip` that rules use which write conductances to see what they do."""

    def program(self, conductances: Sequence[Array]) -> None:
        """Set every conductance, S."""


class Readings(Protocol):
    """The reading that every rule makes, whatever else it does."""

    @property
    def free(self) -> Reading:
        """The free phase, before the update."""


R = TypeVar("R", bound=Readings, default=Any)
"""Type of a rule's readings for one batch; a rule that settings name need not give it."""


class LearningRule(Protocol[R]):
    """A rule that turns a batch into a gradient; it asks the chip through drives only and keeps no state."""

    @property
    def needs(self) -> Needs:
        """The rule's needs of a chip beside free phases and their outputs."""

    @property
    def draws(self) -> bool:
        """Return whether `measure` draws random numbers; a rule that says no gets some that never change."""
        return True

    def measure(self, chip: Programmable, batch: Batch, rng: np.random.Generator) -> R:
        """Settle all phases that one batch takes, and return what was read.

        Args:
            chip: as it is programmed now; it holds the same conductances afterwards.
            batch: inputs and targets, V.
            rng: for rules that draw signs or directions.

        Raises:
            ConvergenceError: a sample did not settle.
        """

    def gradient(self, readings: R) -> Conductances:
        """Return ∂C/∂g of the batch's mean cost, V²/S, one array for each trainable array, in its shape.

        Updates go against it. Coupled learning gives a direction in V² instead.
        """


class AdjointRule(LearningRule[R], Protocol):
    """A rule whose readings tell, beside the gradient, what a current into any node does to the cost.

    That is all it takes to send errors on to what stands before the circuit.
    """

    def adjoint(self, readings: R) -> Array:
        """λ of every node for the batch's mean cost, V²/A, ``[batch, nodes]``."""


def option(kind: type[_Option], given: str, what: str) -> _Option:
    """Return an option that is given as a member of an enumeration, or by its text, as experiment files write it.

    Raises:
        ExperimentError: there is no such option; names those that there are.
    """
    known = [str(member) for member in kind]
    if given in known:
        return kind(given)
    raise ExperimentError(f"there is no {what} {str(given)!r}{did_you_mean(str(given), known, or_list=True)}")


def node_voltages(chip: Measurable, batch: Batch, free: Reading, twin: Programmable | None) -> Array:
    """Return the voltage of every node in the free phase, V, ``[batch, nodes]``: as read, or as a twin predicts."""
    if twin is None:
        return free.nodes
    twin.program(chip.conductances)
    (predicted,) = twin.measure([Drive(batch.inputs)])
    return predicted.nodes


LEAST_NEEDS = {
    "equilibrium-propagation": Needs({Spring}, nodes=True),
    'equilibrium-propagation with nudging = "current"': Needs({Injection}, nodes=True),
    "asymmetric-equilibrium-propagation": Needs({Injection}, nodes=True),
    "coupled-learning": Needs({Clamp}, nodes=True),
    "hardware-linearization": Needs({Injection}, nodes=True, small_signal=True),
    "frequency-propagation": Needs({Injection}, nodes=True, small_signal=True, oscillating=True),
    "analytical-gradient": Needs(),
    "node-perturbation": Needs(),
    "finite-differences": Needs(),
    "simultaneous-perturbation": Needs(),
}
"""Least needs of the package's rules, by their names in experiments."""


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
        # where a rule asks for the adjoint network, small signals are of no use to others without it
        least = {
            name: replace(own, adjoint=needs.adjoint) if own.small_signal else own for name, own in LEAST_NEEDS.items()
        }
        served = ", ".join(name for name, own in least.items() if not capabilities.lacking(own))
        cure = "; set chip.access = 'nodes' where the chip has them, or" if NODES in lacking and not beyond else ";"
        raise ExperimentError(
            f"rule {rule} needs {' and '.join(lacking)}, which chip {chip} does not give{cure} take a rule that it can "
            f"serve: {served}"
        )
