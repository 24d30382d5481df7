"""Frequency propagation (Anisetti, Kandala, Scellier, Schwarz 2024, arXiv 2208.08862): an error that oscillates.

Inputs hold the circuit at its free state while the errors enter the outputs as currents γ ∂C/∂v that oscillate at a
frequency f. Every node then oscillates about its free voltage. With Δv the free voltage over a conductance and Δλ the
amplitude of the part that is in phase with the currents,

    ∂C/∂g = −ΠA² Δv Δλ / γ,

the product of two frequencies of one signal: 0 and f. Nothing is replaced or computed: the circuit's own devices answer
with the slopes that they have at the free state. Capacitances C at the nodes let the answer lag. With J the conductance
matrix of small signals and ω = 2πf, its part in phase is

    Re (J + iωC)⁻¹ = (J + ω² C J⁻¹ C)⁻¹,

which is J⁻¹ but for a relative error of the order of (ωRC)².

A circuit with buffers or gyrators must answer as its adjoint does. The one-way parts then work backwards for what
differs from the free state, while currents of sources keep that state (`harness.measurement.Drive.adjoint`).
"""

from typing import final

import numpy as np

from harness.circuit import Circuit
from harness.circuit.scaling import refuse_reversal
from harness.errors import ExperimentError
from harness.learning.costs import Cost
from harness.learning.rules.linearization import SmallSignals


@final
class FrequencyPropagation(SmallSignals):
    """The rule for circuits of two-terminal devices and stages; gradients in V²/S.

    Args:
        circuit: the topology (conductances in it are ignored).
        cost: what is lowered.
        gamma: γ in S: amplitude of injected current, A, for each V of error; the gradient does not depend on it.
        frequency: f in Hz; the gradient depends on it where the chip's nodes have capacitances.

    Raises:
        ExperimentError: γ or the frequency is not above 0, or not finite.
        CircuitError: the circuit is not reciprocal, and has transformers or devices with a control of their own.
    """

    def __init__(self, circuit: Circuit, cost: Cost, *, gamma: float, frequency: float) -> None:
        for name, value, unit in (("γ", gamma, "S"), ("the frequency", frequency, "Hz")):
            if not 0 < value < np.inf:
                raise ExperimentError(f"frequency propagation: {name} = {value:g} {unit} must be above 0 and finite")
        super().__init__(circuit, cost, gamma)
        if self._adjoint:
            refuse_reversal(circuit)
        self.frequency = frequency
