"""Equilibrium propagation (Scellier & Bengio 2017; Kendall et al. 2020): member k = 1 of the generalized family.

With the outputs nudged by β, the state minimises E + βC, and for any two strengths b₁ and b₂

    ∂C/∂g ≈ ΠA² · ½ (Δv²(b₁) − Δv²(b₂)) / (b₁ − b₂),

where Δv is the voltage over the conductance and ΠA² runs over the amplifier stages between it and the outputs. The
error is of order β with one side nudged, and of order β² when β and −β are compared.

A spring of −β is a negative conductance, under which a sample may have no stable state (`harness.circuit.dynamics`).
Such a sample can be compared one-sided: its state under β with the free one, and the others as ever.
"""

from enum import StrEnum
from typing import final

import numpy as np
from typing_extensions import override

from harness.circuit import Circuit
from harness.errors import ExperimentError, SpringError
from harness.learning.costs import Cost, SquaredError
from harness.learning.rules.base import Measurable, option
from harness.learning.rules.generalized import Contrast, NudgedReadings, Variant
from harness.measurement import Array, Batch, Drive, Index, Injection, Nudge, Reading, Spring
from harness.units import show


class Nudging(StrEnum):
    """Ways in which the outputs are pulled."""

    SPRING = "spring"
    """A conductance β to the target (squared error only); all phases settle in one call."""
    CURRENT = "current"
    """A current −β ∂C/∂v computed from the free phase, which must settle first."""


class Unstable(StrEnum):
    """Ways to treat samples that springs of −β leave no stable state."""

    REFUSE = "refuse"
    """Training ends with an error that says the bound."""
    ONE_SIDED = "one-sided"
    """Their states under springs of β are compared with the free ones; the run counts them."""


class OneWay(StrEnum):
    """Ways to treat transistors that let no errors back, as selectors between two free nodes."""

    REFUSE = "refuse"
    """The rule does not take the circuit."""
    IGNORE = "ignore"
    """They are nudged as if they did. The gradient has a bias, of the order of a transistor's own voltage over its
    overdrive; finite differences tell how large it is."""


@final
class EquilibriumPropagation(Contrast):
    """The rule for circuits of conductances, diodes and bidirectional amplifiers; gradients in V²/S.

    Args:
        circuit: the topology (conductances in it are ignored).
        cost: what is lowered.
        beta: nudging strength in S at the physical outputs.
        variant: which two strengths are compared, as a `Variant` or its text.
        nudging: what pulls, as a `Nudging` or its text: ``"spring"`` or ``"current"``.
        unstable: what is done with samples that springs of −β leave no stable state, as an `Unstable` or its text.
        one_way: what is done with transistors that let no errors back, as a `OneWay` or its text.

    Raises:
        ExperimentError: β is not above 0, springs are asked for with a cost that is no squared error, an option is
            unknown, or the circuit is not reciprocal.
        CircuitError: amplifiers close a loop, so that no energy exists.
    """

    order = 1

    def __init__(
        self,
        circuit: Circuit,
        cost: Cost,
        *,
        beta: float,
        variant: Variant | str = Variant.CENTERED,
        nudging: Nudging | str = Nudging.SPRING,
        unstable: Unstable | str = Unstable.REFUSE,
        one_way: OneWay | str = OneWay.REFUSE,
    ) -> None:
        if not beta > 0:
            raise ExperimentError(f"equilibrium propagation: β = {beta:g} S must be above 0; the variant sets its sign")
        self._cost, self._nudging = cost, option(Nudging, nudging, "nudging")
        if self._nudging is Nudging.SPRING and not isinstance(cost, SquaredError):
            raise ExperimentError(
                "equilibrium propagation: spring nudging is for squared error; use nudging by current"
            )
        ignored = option(OneWay, one_way, "treatment of one-way transistors") is OneWay.IGNORE
        super().__init__(circuit, beta, variant, transistors=ignored)
        self._unstable = option(Unstable, unstable, "treatment of unstable states")
        self.cure = f"the nudge's β is {show(beta, 'S')}; lower rule.beta"
        self.waits = self._nudging is Nudging.CURRENT

    @override
    def nudge(self, strength: float, free: Array, targets: Array) -> Nudge:
        if self._nudging is Nudging.SPRING:
            return Spring(strength, targets)
        return Injection(-strength * self._cost.slopes(free, targets))

    @override
    def _measured(self, chip: Measurable, batch: Batch, strengths: tuple[float, ...]) -> NudgedReadings:
        try:
            return super()._measured(chip, batch, strengths)
        except SpringError as refused:
            if self._unstable is Unstable.REFUSE or not refused.samples:
                raise
            return self._one_sided(chip, batch, strengths, np.array(refused.samples))

    def _one_sided(
        self, chip: Measurable, batch: Batch, strengths: tuple[float, ...], unstable: Index
    ) -> NudgedReadings:
        """Measure again, with −β for those samples alone that it leaves a stable state."""
        beta = abs(strengths[0])
        pull = Drive(batch.inputs, Spring(beta, batch.targets), "nudged +β")
        free, pulled = chip.measure([Drive(batch.inputs), pull])
        rows, pushed = self._pushed(chip, batch, np.delete(np.arange(len(batch)), unstable))
        weights = np.ones((len(batch), 1))
        if len(strengths) == 2:  # centered: others are compared over half of the span
            weights[np.delete(np.arange(len(batch)), rows)] = 2.0
            return NudgedReadings(batch, free, pulled, _with_rows(free, rows, pushed), 2 * beta, weights)
        weights[np.delete(np.arange(len(batch)), rows)] = -1.0  # others are nudged the other way
        return NudgedReadings(batch, free, _with_rows(pulled, rows, pushed), free, -beta, weights)

    def _pushed(self, chip: Measurable, batch: Batch, rows: Index) -> tuple[Index, Reading | None]:
        """Settle those samples under −β that it leaves a stable state, and return which they are."""
        while len(rows):
            push = Spring(-self._strength, batch.targets[rows])
            try:
                (reading,) = chip.measure([Drive(batch.inputs[rows], push, "nudged −β")])
            except SpringError as refused:
                if not refused.samples:
                    raise
                rows = np.delete(rows, refused.samples)
                continue
            return rows, reading
        return rows, None

    def adjoint(self, readings: NudgedReadings) -> Array:
        """See `harness.learning.rules.base.AdjointRule`: nudging moves every node by −β λ."""
        moved = readings.moved(readings.high.nodes, readings.low.nodes)
        return self._cells.adjoint_of(moved) / (-readings.span * len(readings.batch))


def _with_rows(reading: Reading, rows: Index, other: Reading | None) -> Reading:
    """Return a reading with some samples from another one, which has these alone."""
    outputs, nodes = reading.outputs.copy(), reading.nodes.copy()
    if other is not None:
        outputs[rows], nodes[rows] = other.outputs, other.nodes
    return Reading(outputs, nodes)
