"""Equilibrium propagation (Scellier & Bengio 2017; Kendall et al. 2020, §3).

With the outputs nudged by β, the state minimises E + βC, and for any two strengths b₁ and b₂

    ∂C/∂g ≈ ΠA² · ½ (Δv²(b₁) − Δv²(b₂)) / (b₁ − b₂),

where Δv is the voltage over the conductance and ΠA² runs over the amplifier stages between it and the outputs. The
three variants differ in (b₁, b₂) alone: (β, 0) one-sided with an error of order β, (±β, 0) with a random sign per
batch, whose error of that order averages out, and (β, −β) centered with an error of order β².
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from harness.circuit import GROUND, Circuit
from harness.circuit.scaling import energy_scales
from harness.errors import ExperimentError
from harness.learning.costs import Cost, SquaredError
from harness.measurement import Array, Batch, Conductances, Drive, Index, Injection, Nudge, Reading, Spring


class Variant(StrEnum):
    """Which two strengths of the nudge are compared."""

    ONE_SIDED = "one-sided"
    RANDOM_SIGN = "random-sign"
    CENTERED = "centered"


class Nudging(StrEnum):
    """How the outputs are pulled."""

    SPRING = "spring"
    """A conductance β to the target (squared error only); all phases settle in one call."""
    CURRENT = "current"
    """A current −β ∂C/∂v computed from the free phase, which must settle first."""


class Measurable(Protocol):
    """What a rule needs of a chip."""

    def measure(self, drives: list[Drive]) -> tuple[Reading, ...]:
        """See `harness.chip.base.Chip`."""
        ...


@dataclass(frozen=True, eq=False)
class NudgedReadings:
    """What equilibrium propagation read for one batch."""

    batch: Batch
    free: Reading
    high: Reading
    """Under the strength b₁."""
    low: Reading
    """Under the strength b₂."""
    span: float
    """b₁ − b₂ in S."""


class EquilibriumPropagation:
    """The rule for circuits of conductances, diodes and bidirectional amplifiers.

    Args:
        circuit: the topology (conductances in it are ignored).
        cost: what is lowered.
        beta: nudging strength in S at the physical outputs.
        variant: which two strengths are compared.
        nudging: spring or current.

    Raises:
        ExperimentError: β is not above 0, or springs are asked for with a cost that is no squared error.
        CircuitError: amplifiers close a loop, so that no energy exists.
    """

    def __init__(
        self,
        circuit: Circuit,
        cost: Cost,
        *,
        beta: float,
        variant: Variant = Variant.CENTERED,
        nudging: Nudging = Nudging.SPRING,
    ) -> None:
        if not beta > 0:
            raise ExperimentError(f"equilibrium propagation: β = {beta:g} S must be above 0; the variant sets its sign")
        if nudging is Nudging.SPRING and not isinstance(cost, SquaredError):
            raise ExperimentError(
                "equilibrium propagation: spring nudging is for squared error; use nudging by current"
            )
        self._cost, self._beta, self._variant, self._nudging = cost, beta, variant, nudging
        index = {**circuit.node_index, GROUND: len(circuit.nodes)}
        self._lines = [
            tuple(np.array([index[n] for n in lines]) for lines in (c.words, c.bits)) for c in circuit.crossbars
        ]
        self._scales = energy_scales(circuit)

    def measure(self, chip: Measurable, batch: Batch, rng: np.random.Generator) -> NudgedReadings:
        """Settle the free phase and the nudged ones; `rng` draws the sign where the variant wants one."""
        strengths = self._strengths(rng)
        free_drive = Drive(batch.inputs)
        if self._nudging is Nudging.SPRING:
            nudges: list[Nudge] = [Spring(b, batch.targets) for b in strengths]
            free, *nudged = chip.measure([free_drive, *_drives(batch, nudges)])
        else:
            (free,) = chip.measure([free_drive])
            slopes = self._cost.slopes(free.outputs, batch.targets)
            nudges = [Injection(-b * slopes) for b in strengths]
            nudged = list(chip.measure(_drives(batch, nudges)))
        high, low = (*nudged, free)[:2]
        return NudgedReadings(batch, free, high, low, strengths[0] - (*strengths, 0.0)[1])

    def gradient(self, readings: NudgedReadings) -> Conductances:
        """∂C/∂g of the batch's mean cost, V²/S, one ``[word, bit]`` per crossbar."""
        high, low = readings.high.nodes, readings.low.nodes
        factor = 0.5 / (readings.span * len(readings.batch))
        lines = zip(self._lines, self._scales, strict=True)
        return tuple(
            _gained_squares(
                _voltages(high, words),
                _voltages(low, words),
                _voltages(high, bits),
                _voltages(low, bits),
                factor * scale,
            )
            for (words, bits), scale in lines
        )

    def loss(self, readings: NudgedReadings) -> float:
        """Mean cost of the batch in the free phase, V²."""
        return float(self._cost.values(readings.free.outputs, readings.batch.targets).mean())

    def outputs(self, readings: NudgedReadings) -> Array:
        """Outputs of the free phase, V, ``[batch, outputs]``."""
        return readings.free.outputs

    def _strengths(self, rng: np.random.Generator) -> tuple[float, ...]:
        match self._variant:
            case Variant.ONE_SIDED:
                return (self._beta,)
            case Variant.RANDOM_SIGN:
                return (self._beta if rng.random() < 0.5 else -self._beta,)
            case Variant.CENTERED:
                return (self._beta, -self._beta)


def _drives(batch: Batch, nudges: list[Nudge]) -> list[Drive]:
    names = ["nudged"] if len(nudges) == 1 else ["nudged +β", "nudged −β"]
    return [Drive(batch.inputs, nudge, name) for nudge, name in zip(nudges, names, strict=True)]


def _voltages(nodes: Array, lines: Index) -> Array:
    """V of each line, ``[batch, lines]``; the index behind the last node is ground's."""
    if lines.max() < nodes.shape[1]:
        first, count = int(lines[0]), len(lines)
        if np.array_equal(lines, np.arange(first, first + count)):
            return nodes[:, first : first + count]  # a view: word lines are a network's most numerous nodes
        return nodes[:, lines]
    return np.column_stack([nodes, np.zeros(len(nodes))])[:, lines]


def _gained_squares(high_word: Array, low_word: Array, high_bit: Array, low_bit: Array, factor: float) -> Array:
    """`factor` times Σ over the batch of Δv²(high) − Δv²(low), V², ``[word, bit]``, from voltages ``[batch, lines]``.

    Written as (difference of drops) × (sum of drops), because the squares of tens of volts would swallow the
    microvolts by which a nudge moves them.
    """
    moved_bit, total_bit = factor * (high_bit - low_bit), high_bit + low_bit
    gained = np.matmul((high_word + low_word).T, -moved_bit)
    gained += (moved_bit * total_bit).sum(axis=0)
    if not np.array_equal(high_word, low_word):  # input pins do not move
        moved_word = factor * (high_word - low_word)
        gained += (moved_word * (high_word + low_word)).sum(axis=0)[:, None]
        gained -= moved_word.T @ total_bit
    return np.asarray(gained)
