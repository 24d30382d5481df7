"""Coupled learning (Stern et al. 2021, PRX 11 021045): the member k = 2 of the generalized family.

The outputs are held a share η of the way from where they settle freely to their targets, v_F + η (y − v_F), and

    Δg ∝ −½ (Δv_C² − Δv_F²) / η.

As η → 0 this follows −½ eᵀK e with e = y − v_F and K, the conductance matrix that the network shows at its outputs,
held fixed: not the gradient of the squared error, though both vanish together. η = 1 clamps outputs to their targets,
η > 1 beyond them (overclamping). A circuit that writes what it reads does not divide by η: there, overclamping is what
lifts the contrast above a constant bias of every write (Dillavou et al. 2025, arXiv 2505.22887). Any other cost C is
served in the same way, with outputs held at v_F − η ∂C/∂v.
"""

from typing import final

from typing_extensions import override

from harness.circuit import Circuit
from harness.errors import ExperimentError
from harness.learning.costs import Cost
from harness.learning.rules.generalized import Contrast, Variant
from harness.measurement import Array, Clamp, Nudge


@final
class CoupledLearning(Contrast):
    """The rule for circuits of conductances, diodes and bidirectional amplifiers; directions in V².

    Args:
        circuit: the topology (conductances in it are ignored).
        cost: what is lowered.
        eta: η, the share of the way to the target; above 1 overclamps.
        variant: which two shares are compared, as a `Variant` or its text.
        normalized: whether the contrast is divided by η (by the span of both shares), so that η changes no rate.

    Raises:
        ExperimentError: η is not above 0, the variant is unknown, or the circuit is not reciprocal.
        CircuitError: amplifiers close a loop, so that no energy exists.
    """

    order = 1  # of the contrast, which leaves out that the clamp moves with the free outputs

    def __init__(
        self,
        circuit: Circuit,
        cost: Cost,
        *,
        eta: float,
        variant: Variant | str = Variant.ONE_SIDED,
        normalized: bool = True,
    ) -> None:
        if not eta > 0:
            raise ExperimentError(f"coupled learning: η = {eta:g} must be above 0; the variant sets its sign")
        super().__init__(circuit, eta, variant, normalized=normalized)
        self._cost = cost
        self.cure = f"the nudge's η is {eta:g}; lower rule.eta"

    @override
    def nudge(self, strength: float, free: Array, targets: Array) -> Nudge:
        return Clamp(free - strength * self._cost.slopes(free, targets))
