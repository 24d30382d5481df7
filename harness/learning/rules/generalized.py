"""Generalized equilibrium propagation (Lin, Desai, Barrows, Caravelli 2026): free and nudged states contrasted.

A training field F(b, θ, v) = E_θ(v) + n(b, v) adds a nudge n of strength b to the energy E of the network, with
n(b, v_F) of order b^k at the free state v_F. For any two strengths, and with the voltage Δv over a conductance g,

    (∂F/∂g (b₁) − ∂F/∂g (b₂)) / (b₁^k − b₂^k) = ½ (Δv²(b₁) − Δv²(b₂)) / (b₁^k − b₂^k)

is the update's direction where n does not depend on the conductances. As b → 0 it is the gradient of n(b, v_F) / b^k:
the cost's for n = b^k C. With k = 1 this is equilibrium propagation. Strengths are (b, 0), (±b, 0) with a random sign
per batch, or (b, −b), which only an odd k tells apart.

A nudge that depends on the free outputs depends on all conductances, since v_F does. The derivative of F through them,

    ∂n/∂v_F · ∂v_F/∂g = −Δv_F Δλ,

takes one more phase: λ is what currents of ∂n/∂v_F into the outputs make of the circuit that is linearized about its
free state. Coupled learning leaves it out. Its n is of order 2, and what is left of the contrast is of order 1.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, Self, final

import numpy as np
from typing_extensions import override

from harness.circuit import Circuit, Mosfet
from harness.circuit.scaling import one_way, refuse_reversal
from harness.errors import ConvergenceError, ExperimentError
from harness.learning.rules.base import LearningRule, Measurable, option
from harness.learning.rules.cells import Cells
from harness.measurement import (
    Array,
    Batch,
    Clamp,
    Conductances,
    Drive,
    Injection,
    Needs,
    Nudge,
    Reading,
    Spring,
)

_RULE = "generalized equilibrium propagation"
_DECADES = 290  # of b^k, and as many of its inverse
_PARTS = (128, 64)  # that the strength is divided by, for two at which a nudge's growth is looked at
_TOLERATED = 0.25  # of a nudge's power of b, which other terms may change at these parts
_ROUNDING = 1e-13  # of the outputs' voltages, below which differences from them are noise
_STEP = 1e-5  # V by which free outputs are moved to differentiate a spring's target


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
    """b₁^k − b₂^k; of a stack, an array, ``[chips, 1, 1]``, where its chips differ in it."""
    weights: Array | None = None
    """Factors for the samples' contrasts, ``[batch, 1]``, where springs of −β left some of them no stable state and
    these were compared with another strength than `span` says; None where all have the same."""
    through_free: Reading | None = None
    """The small-signal phase for ∂n/∂v_F, the one under b₁ less the one under b₂; None where it does not count."""

    def moved(self, high: Array, low: Array) -> Array:
        """Return the differences of two voltages of every node, V, ``[batch, nodes]``, with the samples' weights."""
        return high - low if self.weights is None else self.weights * (high - low)


class Uniform(Protocol):
    """Source of random numbers: a generator, or those of the chips of a stack."""

    def random(self) -> Any:
        """Return a number in 0…1, below 1; of a stack, one for each chip, ``[chips, 1, 1]``."""


def _others(circuit: Circuit) -> str:
    """Return the rules for a circuit without an energy, in words."""
    exact = "analytical-gradient or hardware-linearization"
    if not one_way(circuit, but=Mosfet):
        return f'{exact}, or, at the price of a bias, equilibrium-propagation with one_way = "ignore"'
    return f"asymmetric-equilibrium-propagation, {exact}"


class Contrast(LearningRule[NudgedReadings]):
    """Base of the rules of this family, which differ in the nudge alone.

    Args:
        circuit: the topology (conductances in it are ignored).
        strength: b; the variant compares it with 0 or with −b.
        variant: which two strengths are compared.
        normalized: whether the contrast is divided by b₁^k − b₂^k.
        reverses: whether one-way parts are reversed in nudged phases, which must wait for the free outputs then.
        transistors: whether transistors count as reciprocal which are not, at the price of a bias.

    Raises:
        ExperimentError: the variant is unknown, or the circuit has no energy and nothing is reversed.
        CircuitError: outputs lie behind unequal amplification, or the circuit has what cannot be reversed.
    """

    order: int
    """k: the power of b with which the contrast grows."""
    cure: str
    """Advice for a nudged phase that does not settle."""
    waits: bool = True
    """True where the nudge depends on the free outputs, which must be read first."""

    def __init__(
        self,
        circuit: Circuit,
        strength: float,
        variant: Variant | str,
        *,
        normalized: bool = True,
        reverses: bool = False,
        transistors: bool = False,
    ) -> None:
        if reverses:
            refuse_reversal(circuit)
        elif reason := one_way(circuit, but=Mosfet if transistors else ()):
            raise ExperimentError(
                f"{reason}, so that circuit {circuit.name} has no energy to contrast; take {_others(circuit)}"
            )
        self._strength, self._normalized, self._reverses = strength, normalized, reverses
        self._variant = option(Variant, variant, "variant")
        self._cells = Cells(circuit, energy=not reverses)

    def over(self, chips: Sequence["Contrast"]) -> Self:
        """Return the rule for a stack of chips that each have a rule like this one, but for its strength."""
        strengths, one = [rule._strength for rule in chips], copy(self)
        if len(set(strengths)) > 1:
            each: Any = np.array(strengths)[:, None, None]
            one._strength = each
        return one

    @property
    @override
    def draws(self) -> bool:
        return self._variant is Variant.RANDOM_SIGN

    @abstractmethod
    def nudge(self, strength: float, free: Array, targets: Array) -> Nudge:
        """Return the nudge; `free` (V) are the free outputs, NaN where the nudge does not wait for them."""

    @property
    @override
    def needs(self) -> Needs:
        nothing = np.zeros((1, self._cells.outputs))
        nudges = {type(self.nudge(self._strength, nothing, nothing))}
        return Needs(nudges, nodes=True, reversal=self._reverses)

    @override
    def measure(self, chip: Measurable, batch: Batch, rng: Uniform) -> NudgedReadings:
        """Settle the free phase and the nudged ones; `rng` draws the sign where the variant wants one.

        Raises:
            ConvergenceError: a sample did not settle; says which strength to lower where it was nudged.
        """
        try:
            return self._measured(chip, batch, self._strengths(rng))
        except ConvergenceError as error:
            if error.phase == "free":
                raise
            raise error.with_cure(self.cure) from error

    def _measured(self, chip: Measurable, batch: Batch, strengths: tuple[float, ...]) -> NudgedReadings:
        free_drive = Drive(batch.inputs)
        if self.waits:
            (free,) = chip.measure([free_drive])
            drives, reversal = self._drives(batch, free.outputs, strengths), free if self._reverses else None
            nudged = list(chip.measure([replace(drive, reversal=reversal) for drive in drives]))
        else:
            unknown = np.full(batch.targets.shape, np.nan)
            free, *nudged = chip.measure([free_drive, *self._drives(batch, unknown, strengths)])
        high, low = (*nudged, free)[:2]
        first, second = (*strengths, 0.0)[:2]
        span = first**self.order - second**self.order
        outputs = [reading.outputs for reading in nudged]
        if (slopes := self._slopes_by_free(batch, free.outputs, strengths, outputs)) is None:
            return NudgedReadings(batch, free, high, low, span)
        (small,) = chip.measure([Drive(batch.inputs, Injection(slopes), "small-signal", free)])
        return NudgedReadings(batch, free, high, low, span, through_free=small)

    def _slopes_by_free(
        self,
        batch: Batch,  # noqa: ARG002
        free: Array,  # noqa: ARG002
        strengths: Sequence[float],  # noqa: ARG002
        outputs: Sequence[Array],  # noqa: ARG002
    ) -> Array | None:
        """∂n/∂v_F under b₁ less that under b₂, A, ``[batch, outputs]``, from nudged outputs; None where left out."""
        return None

    @override
    def gradient(self, readings: NudgedReadings) -> Conductances:
        """The direction of steepest ascent of the batch's mean, one array per trainable array, V² over b's unit.

        Written as (difference of drops) × (sum of drops), because the squares of tens of volts would swallow the
        microvolts by which a nudge moves them.
        """
        high, low = readings.high.nodes, readings.low.nodes
        factor = 1 / ((readings.span if self._normalized else np.sign(readings.span)) * len(readings.batch))
        contrast = self._cells.products(readings.moved(high, low), high + low, 0.5 * factor)
        if readings.through_free is None:
            return contrast
        through = self._cells.products(readings.through_free.nodes, readings.free.nodes, -factor)
        return tuple(here + there for here, there in zip(contrast, through, strict=True))

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
        order: k, the power of b with which the contrast grows for small b: that of the pull at the free outputs or,
            with `through_free`, that of n(b, v_F).
        strength: b, not 0; a negative one nudges the other way where one side is compared with the free phase.
        variant: which two strengths are compared.
        through_free: whether the derivative of n through the free outputs counts; for springs, whose n is known.

    Raises:
        ExperimentError: order or strength make no sense, the variant does not suit an even order, or the circuit has
            no energy. While measuring: the nudge does not grow as b^k, or is no spring where `through_free` wants one.
    """

    def __init__(
        self,
        circuit: Circuit,
        nudge: Callable[[float, Array, Array], Nudge],
        *,
        order: int,
        strength: float,
        variant: Variant | str = Variant.CENTERED,
        through_free: bool = False,
    ) -> None:
        super().__init__(circuit, strength, variant)
        _check_numbers(order, strength, self._variant)
        self.order, self._nudge, self._through_free = int(order), nudge, through_free
        self.cure = f"the nudge's strength is {strength:g}; lower it"

    @override
    def nudge(self, strength: float, free: Array, targets: Array) -> Nudge:
        given = self._nudge(strength, free, targets)
        if not isinstance(given, Nudge):
            raise ExperimentError(f"{_RULE}: the nudge is a {type(given).__name__}, not Spring, Injection or Clamp")
        return given

    @property
    @override
    def needs(self) -> Needs:
        own = super().needs
        return replace(own, nudges=own.nudges | {Injection}, small_signal=True) if self._through_free else own

    @override
    def _drives(self, batch: Batch, free: Array, strengths: tuple[float, ...]) -> list[Drive]:
        self._check_order(free, batch.targets)
        return super()._drives(batch, free, strengths)

    @override
    def _slopes_by_free(
        self, batch: Batch, free: Array, strengths: Sequence[float], outputs: Sequence[Array]
    ) -> Array | None:
        """Differentiate the springs' targets by the free outputs: ∂n/∂v_F is the spring's current times that."""
        if not self._through_free:
            return None
        total = np.zeros_like(free)
        for b, nudged, sign in zip(strengths, outputs, (1, -1), strict=False):
            amperes = sign * _pull(self._spring(b, free, batch.targets), nudged)
            for k, step in enumerate(_STEP * np.eye(free.shape[-1])):
                high, low = (self._spring(b, free + side, batch.targets).targets for side in (step, -step))
                total[..., k] += (amperes * (high - low)).sum(axis=-1) / (2 * _STEP)
        return total

    def _spring(self, strength: float, free: Array, targets: Array) -> Spring:
        nudge = self.nudge(strength, free, targets)
        if not isinstance(nudge, Spring):
            raise ExperimentError(
                f"{_RULE}: through_free takes springs, whose energy is known, and this nudge is of kind "
                f"{type(nudge).__name__}; pull by a Spring (a stiff one instead of a Clamp), or leave through_free out"
            )
        return nudge

    def _check_order(self, free: Array, targets: Array) -> None:
        """Refuse a nudge whose pull at the free outputs, or whose n(b, v_F) with `through_free`, grows otherwise."""
        springs = self._through_free
        small = [self._strength / part for part in _PARTS]
        nudges = [(self._spring if springs else self.nudge)(b, free, targets) for b in small]
        if (shape := np.shape(_values(nudges[0]))) != free.shape:
            raise ExperimentError(f"{_RULE}: the nudge has values of shape {shape}, and the outputs {free.shape}")
        less, more = (float(np.abs(_pull(nudge, free, content=springs)).sum()) for nudge in nudges)
        if not np.isfinite(less + more):
            raise ExperimentError(f"{_RULE}: the nudge is not finite at strength {small[0]}; mend its function")
        if _rounded(nudges[0], free):
            return
        what, grown = "energy" if springs else "pull", np.log2(more / less) if less else np.inf
        if abs(grown - self.order) > _TOLERATED:
            raise ExperimentError(
                f"{_RULE}: the {what} of this nudge grows as b^{grown:.2g} for small b, and order {self.order} divides "
                f"by b^{self.order}; give the order with which it grows"
            )


def _check_numbers(order: int, strength: float, variant: Variant) -> None:
    if not order >= 1 or order % 1:
        raise ExperimentError(f"{_RULE}: order {order} must be a whole number above 0")
    if not np.isfinite(strength) or not strength or abs(order * np.log10(abs(strength))) > _DECADES:
        raise ExperimentError(
            f"{_RULE}: strength {strength:g} to the power of its order {order} must be a number between "
            f"1e-{_DECADES} and 1e{_DECADES}, of either sign; take another strength"
        )
    if variant is Variant.CENTERED and order % 2 == 0:
        raise ExperimentError(
            f"{_RULE}: b^{order} is the same for b and −b, so that a centered contrast of order {order} would be "
            "divided by 0; take variant 'one-sided' or 'random-sign', or an odd order"
        )


def _values(nudge: Nudge) -> Array:
    match nudge:
        case Spring():
            return nudge.targets
        case Injection():
            return nudge.current
        case Clamp():
            return nudge.volts


def _pull(nudge: Nudge, outputs: Array, *, content: bool = False) -> Array:
    """The current that moves the outputs (A), the way that a clamp moves them (V), or a spring's n (W, `content`)."""
    if isinstance(nudge, Injection):
        return nudge.current
    off = _values(nudge) - outputs
    siemens = nudge.conductance if isinstance(nudge, Spring) else 1.0
    return np.asarray(siemens * (0.5 * off**2 if content else off))


def _rounded(nudge: Nudge, free: Array) -> bool:
    """Return whether outputs are where they are pulled to, or so near that rounding decides how the pull grows."""
    if isinstance(nudge, Injection):
        return not nudge.current.any()
    return bool(np.abs(_values(nudge) - free).sum() <= _ROUNDING * np.abs(free).sum())
