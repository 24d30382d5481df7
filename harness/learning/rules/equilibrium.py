"""Equilibrium propagation (Scellier & Bengio 2017; Kendall et al. 2020, §3): member k = 1 of the generalized family.

With the outputs nudged by β, the state minimises E + βC, and for any two strengths b₁ and b₂

    ∂C/∂g ≈ ΠA² · ½ (Δv²(b₁) − Δv²(b₂)) / (b₁ − b₂),

where Δv is the voltage over the conductance and ΠA² runs over the amplifier stages between it and the outputs. The
error is of order β with one side nudged, and of order β² when β and −β are compared.
"""

from enum import StrEnum
from typing import final

from typing_extensions import override

from harness.circuit import Circuit
from harness.errors import ExperimentError
from harness.learning.costs import Cost, SquaredError
from harness.learning.rules.base import option
from harness.learning.rules.generalized import Contrast, NudgedReadings, Variant
from harness.measurement import Array, Injection, Nudge, Spring
from harness.units import show


class Nudging(StrEnum):
    """Ways in which the outputs are pulled."""

    SPRING = "spring"
    """A conductance β to the target (squared error only); all phases settle in one call."""
    CURRENT = "current"
    """A current −β ∂C/∂v computed from the free phase, which must settle first."""


@final
class EquilibriumPropagation(Contrast):
    """The rule for circuits of conductances, diodes and bidirectional amplifiers; gradients in V²/S.

    Args:
        circuit: the topology (conductances in it are ignored).
        cost: what is lowered.
        beta: nudging strength in S at the physical outputs.
        variant: which two strengths are compared, as a `Variant` or its text.
        nudging: what pulls, as a `Nudging` or its text: ``"spring"`` or ``"current"``.

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
    ) -> None:
        if not beta > 0:
            raise ExperimentError(f"equilibrium propagation: β = {beta:g} S must be above 0; the variant sets its sign")
        self._cost, self._nudging = cost, option(Nudging, nudging, "nudging")
        if self._nudging is Nudging.SPRING and not isinstance(cost, SquaredError):
            raise ExperimentError(
                "equilibrium propagation: spring nudging is for squared error; use nudging by current"
            )
        super().__init__(circuit, beta, variant)
        self.cure = f"the nudge's β is {show(beta, 'S')}; lower rule.beta"
        self.waits = self._nudging is Nudging.CURRENT

    @override
    def nudge(self, strength: float, free: Array, targets: Array) -> Nudge:
        if self._nudging is Nudging.SPRING:
            return Spring(strength, targets)
        return Injection(-strength * self._cost.slopes(free, targets))

    def adjoint(self, readings: NudgedReadings) -> Array:
        """See `harness.learning.rules.base.AdjointRule`: nudging moves every node by −β λ."""
        moved = readings.high.nodes - readings.low.nodes
        return self._cells.adjoint_of(moved) / (-readings.span * len(readings.batch))
