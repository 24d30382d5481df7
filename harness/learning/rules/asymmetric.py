"""Asymmetric equilibrium propagation (Scurria, Vanden Abeele, Mognetti, Massar 2026, arXiv 2602.03670).

A circuit with buffers or gyrators has no energy. Its Kirchhoff currents F(u), which are 0 at the free state u_F, have a
Jacobian J that is not symmetric. A nudge then moves the nodes by J⁻¹ of it, where the gradient wants J⁻ᵀ. While the
outputs are nudged, sources therefore add the currents of twice J's skew part for what differs from the free state:

    F(u) − (J − Jᵀ)(u − u_F) + β ∂C/∂u = 0.

At u_F nothing is added, and about it the Jacobian is Jᵀ. So (u(β) − u(−β)) / 2β = −λ up to an error of order β², with
Jᵀ λ = ∂C/∂u, and

    ∂C/∂g = −Δv Δλ,

with Δv the free voltage over the conductance. One side alone has an error of order β, or none in a linear circuit.
Diodes and conductances are reciprocal: the skew part is that of stages and gyrators alone, the same at every state.

In a reciprocal circuit the skew part is 0. The rule is then equilibrium propagation by current, with the free voltages
in place of the mean of the two that are compared.
"""

from typing import final

import numpy as np
from typing_extensions import override

from harness.circuit import Circuit
from harness.circuit.scaling import is_reciprocal
from harness.errors import ExperimentError
from harness.learning.costs import Cost
from harness.learning.rules.generalized import Contrast, NudgedReadings, Variant
from harness.measurement import Array, Conductances, Injection, Nudge
from harness.units import show


@final
class AsymmetricEquilibriumPropagation(Contrast):
    """The rule for circuits of linear cells, two-terminal devices and stages; gradients in V²/S.

    Args:
        circuit: the topology (conductances in it are ignored).
        cost: what is lowered.
        beta: nudging strength in S at the physical outputs; currents of −β ∂C/∂v nudge.
        variant: which two strengths are compared, as a `Variant` or its text.

    Raises:
        ExperimentError: β is not above 0, or not finite, or the variant is unknown.
        CircuitError: the circuit is not reciprocal, and has what cannot be reversed; or outputs lie behind unequal
            amplification.
    """

    order = 1

    def __init__(self, circuit: Circuit, cost: Cost, *, beta: float, variant: Variant | str = Variant.CENTERED) -> None:
        if not 0 < beta < np.inf:
            raise ExperimentError(
                f"asymmetric equilibrium propagation: β = {beta:g} S must be above 0 and finite; "
                "the variant sets its sign"
            )
        super().__init__(circuit, beta, variant, reverses=not is_reciprocal(circuit))
        self._cost = cost
        self.cure = f"the nudge's β is {show(beta, 'S')}; lower rule.beta"

    @override
    def nudge(self, strength: float, free: Array, targets: Array) -> Nudge:
        return Injection(-strength * self._cost.slopes(free, targets))

    def adjoint(self, readings: NudgedReadings) -> Array:
        """See `harness.learning.rules.base.AdjointRule`: nudging moves every node by −β λ."""
        moved = readings.high.nodes - readings.low.nodes
        return self._cells.adjoint_of(moved) / (-readings.span * len(readings.batch))

    @override
    def gradient(self, readings: NudgedReadings) -> Conductances:
        return self._cells.adjoint_products(self.adjoint(readings), readings.free.nodes)
