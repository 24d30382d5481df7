"""Generalized equilibrium propagation (Lin, Desai, Barrows, Caravelli 2026): free and nudged states contrasted.

A training field F(b, θ, v) = E_θ(v) + n(b, v) adds a nudge n of strength b to the energy E of the network, with
n(b, v_free) of order b^k. For any two strengths, and with the voltage Δv over a conductance g,

    (∂E/∂g (b₁) − ∂E/∂g (b₂)) / (b₁ − b₂) = ½ (Δv²(b₁) − Δv²(b₂)) / (b₁ − b₂)

is the update's direction. With k = 1 the nudge is the cost itself, n = bC, and this is equilibrium propagation: the
gradient of C as b → 0. With k = 2 the outputs are pulled a share b of the way to their targets, which is coupled
learning: another direction, that of ½ eᵀK e for output errors e and K, the network's conductance as its outputs see
it, held fixed. Strengths are (b, 0), (±b, 0) with a random sign per batch, or (b, −b), whose error is of order b².
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self, final

import numpy as np
from typing_extensions import override

from harness.circuit import Circuit
from harness.circuit.scaling import one_way
from harness.errors import ConvergenceError, ExperimentError
from harness.learning.rules.base import LearningRule, Measurable, option
from harness.learning.rules.cells import Cells
from harness.measurement import Array, Batch, Conductances, Drive, Needs, Nudge, Reading


class Variant(StrEnum):
    """Pairs of strengths of the nudge that are compared."""

    ONE_SIDED = "one-sided"
    """β and 0."""
    RANDOM_SIGN = "random-sign"
    """0 and one of β and −β, drawn for each step."""
    CENTERED = "centered"
    """β and −β."""


@dataclass(frozen=True, eq=False)
class NudgedReadings:
    """The readings of one batch by a rule of this family."""

    batch: Batch
    free: Reading
    high: Reading
    """Under the strength b₁."""
    low: Reading
    """Under the strength b₂."""
    span: float
    """b₁ − b₂; of a stack, an array, ``[chips, 1, 1]``, where its chips differ in it."""


class Uniform(Protocol):
    """Source of random numbers: a generator, or those of the chips of a stack."""

    def random(self) -> Any:
        """Return a number in 0…1, below 1; of a stack, one for each chip, ``[chips, 1, 1]``."""


class Contrast(LearningRule[NudgedReadings]):
    """Base of the rules of this family, which differ in the nudge alone.

    Args:
        circuit: the topology (conductances in it are ignored).
        strength: b, above 0; the variant sets its sign.
        variant: which two strengths are compared.
        normalized: whether the contrast is divided by their difference.

    Raises:
        ExperimentError: the strength is not above 0, or the circuit is not reciprocal.
        CircuitError: amplifiers close a loop, so that no energy exists.
    """

    order: int
    """k."""
    cure: str
    """Advice for a nudged phase that does not settle."""
    waits: bool = True
    """True where the nudge depends on the free outputs, which must be read first."""

    def __init__(self, circuit: Circuit, strength: float, variant: Variant | str, *, normalized: bool = True) -> None:
        if culprit := one_way(circuit):
            raise ExperimentError(
                f"{culprit} lets no errors back, so that circuit {circuit.name} has no energy to contrast; "
                "take analytical-gradient or hardware-linearization"
            )
        self._strength, self._normalized = strength, normalized
        self._variant = option(Variant, variant, "variant")
        self._cells = Cells(circuit)

    def over(self, chips: Sequence["Contrast"]) -> Self:
        """Return the rule for a stack of chips that each have a rule like this one, but for its strength."""
        strengths, one = [rule._strength for rule in chips], copy(self)
        if len(set(strengths)) > 1:
            each: Any = np.array(strengths)[:, None, None]
            one._strength = each
        return one

    @abstractmethod
    def nudge(self, strength: float, free: Array, targets: Array) -> Nudge:
        """Return the nudge; `free` (V) are the free outputs, NaN where the nudge does not wait for them."""

    @property
    @override
    def needs(self) -> Needs:
        nothing = np.zeros((1, self._cells.outputs))
        return Needs({type(self.nudge(self._strength, nothing, nothing))}, nodes=True)

    @override
    def measure(self, chip: Measurable, batch: Batch, rng: Uniform) -> NudgedReadings:
        """Settle the free phase and the nudged ones; `rng` draws the sign where the variant wants one.

        Raises:
            ConvergenceError: a sample did not settle; says which strength to lower where it was nudged.
        """
        try:
            return self._measured(chip, batch, rng)
        except ConvergenceError as error:
            if error.phase == "free":
                raise
            raise error.with_cure(self.cure) from error

    def _measured(self, chip: Measurable, batch: Batch, rng: Uniform) -> NudgedReadings:
        strengths, free_drive = self._strengths(rng), Drive(batch.inputs)
        if self.waits:
            (free,) = chip.measure([free_drive])
            nudged = list(chip.measure(self._drives(batch, free.outputs, strengths)))
        else:
            unknown = np.full_like(batch.targets, np.nan)
            free, *nudged = chip.measure([free_drive, *self._drives(batch, unknown, strengths)])
        high, low = (*nudged, free)[:2]
        return NudgedReadings(batch, free, high, low, strengths[0] - (*strengths, 0.0)[1])

    @override
    def gradient(self, readings: NudgedReadings) -> Conductances:
        """The direction of steepest ascent of the batch's mean, one array per trainable array, V² over b's unit.

        Written as (difference of drops) × (sum of drops), because the squares of tens of volts would swallow the
        microvolts by which a nudge moves them.
        """
        high, low = readings.high.nodes, readings.low.nodes
        span = readings.span if self._normalized else np.sign(readings.span)
        return self._cells.products(high - low, high + low, 0.5 / (span * len(readings.batch)))

    def _drives(self, batch: Batch, free: Array, strengths: tuple[float, ...]) -> list[Drive]:
        names = ["nudged"] if len(strengths) == 1 else ["nudged +β", "nudged −β"]
        pairs = zip(strengths, names, strict=True)
        return [Drive(batch.inputs, self.nudge(b, free, batch.targets), name) for b, name in pairs]

    def _strengths(self, rng: Uniform) -> tuple[float, ...]:
        match self._variant:
            case Variant.ONE_SIDED:
                return (self._strength,)
            case Variant.RANDOM_SIGN:
                sign = 2.0 * (rng.random() < 0.5) - 1.0
                return (sign * self._strength,)
            case Variant.CENTERED:
                return (self._strength, -self._strength)


@final
class GeneralizedEquilibriumPropagation(Contrast):
    """The rule for a nudge of one's own.

    Args:
        circuit: the topology.
        nudge: from a strength b, free outputs and targets (V, ``[batch, outputs]``) to what pulls the outputs.
        order: k, of n(b, v_free) in b.
        strength: b.
        variant: which two strengths are compared.

    Raises:
        ExperimentError: the strength or the order is not above 0.
    """

    def __init__(
        self,
        circuit: Circuit,
        nudge: Callable[[float, Array, Array], Nudge],
        *,
        order: int,
        strength: float,
        variant: Variant | str = Variant.CENTERED,
    ) -> None:
        if not strength > 0 or order < 1:
            raise ExperimentError(
                f"generalized equilibrium propagation: strength {strength:g} and order {order} must be above 0"
            )
        super().__init__(circuit, strength, variant)
        self.order, self._nudge = order, nudge
        self.cure = f"the nudge's strength is {strength:g}; lower it"

    @override
    def nudge(self, strength: float, free: Array, targets: Array) -> Nudge:
        return self._nudge(strength, free, targets)
