"""Hardware linearization (Chaffey 2025, arXiv 2509.13793): the gradient as one more measurement.

About the free operating point every diode is replaced by its small-signal conductance and all sources stand still; the
errors ∂C/∂v enter the outputs as currents γ ∂C/∂v, and the linear circuit settles. In a reciprocal circuit

    ∂C/∂g = −ΠA² Δv Δλ / γ,

with Δv the free voltage over the conductance, Δλ the small one and ΠA² over the bidirectional amplifiers between it
and the outputs, which make an amplified layer reciprocal in its own variables. Exact: γ scales the signal only.

A cascade is not reciprocal, but its stages are: each is read in turn, from the last to the first, with the current that
a stage draws from a buffer, times the buffer's gain, as the error of the stage before it. Settled at once, that is the
adjoint network (Director & Rohrer 1969), in which gyrators work backwards too; ∂C/∂g = −Δv Δλ / γ in it. So is a
layer read whose amplifiers have unequal gains, which leave it without an energy.

The paper's diodes are ideal: shorts where they conduct and opens where they block. With `Devices.IDEAL` that is what
real ones become, too. The gradient is then exact for the circuit with ideal diodes, and nears that of the real circuit
in proportion to N V_T as they become sharper.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

import numpy as np
from typing_extensions import override

from harness.circuit import Circuit
from harness.circuit.elements import Mosfet
from harness.circuit.scaling import is_reciprocal
from harness.errors import CircuitError, ExperimentError
from harness.learning.costs import Cost
from harness.learning.rules.base import LearningRule, Measurable
from harness.learning.rules.cells import Cells
from harness.learning.rules.sources import rail_gradient
from harness.measurement import Array, Batch, Conductances, Drive, Injection, Needs, Reading


class Devices(StrEnum):
    """Conductances that take the devices' places in the small-signal phase."""

    SLOPES = "slopes"
    """The slopes di/dv of their laws at the free state: the gradient of the circuit as it is."""
    IDEAL = "ideal"
    """A short where a device conducts more than the linear parts at one of its ends, else an open: the gradient of the
    circuit with ideal diodes in the same state, as in the paper."""


@dataclass(frozen=True, eq=False)
class LinearizedReadings:
    """The readings of one batch by hardware linearization."""

    batch: Batch
    free: Reading
    small: Reading
    """The small-signal phase about the free state: V that currents of γ ∂C/∂v into the outputs make at every node."""


class SmallSignals(LearningRule[LinearizedReadings]):
    """Base of the rules that read a small-signal phase about the free one, in the adjoint network where it differs.

    Args:
        circuit: the topology (conductances in it are ignored).
        cost: what is lowered.
        gamma: γ in S: A of injected current for each V of error.
    """

    frequency: float | None = None
    """Hz at which the currents oscillate; None where devices are replaced by conductances instead."""
    ideal = False
    """True where these are shorts and opens."""

    def __init__(self, circuit: Circuit, cost: Cost, gamma: float) -> None:
        self._circuit, self._cost, self._gamma = circuit, cost, gamma
        self._adjoint = not is_reciprocal(circuit)
        self._cells = Cells(circuit, energy=not self._adjoint)

    @property
    @override
    def needs(self) -> Needs:
        oscillating = self.frequency is not None
        kinds = {"adjoint": self._adjoint, "oscillating": oscillating, "ideal": self.ideal}
        return Needs({Injection}, nodes=True, small_signal=True, **kinds)

    @override
    def measure(self, chip: Measurable, batch: Batch, rng: np.random.Generator) -> LinearizedReadings:
        """Settle the free phase, then the small-signal one about it."""
        (free,) = chip.measure([Drive(batch.inputs)])
        errors = Injection(self._gamma * self._cost.slopes(free.outputs, batch.targets))
        how: dict[str, Any] = {"adjoint": self._adjoint, "frequency": self.frequency, "ideal": self.ideal}
        drive = Drive(batch.inputs, errors, "small-signal", free, **how)
        (small,) = chip.measure([drive])
        return LinearizedReadings(batch, free, small)

    def rail_gradient(self, readings: LinearizedReadings, conductances: Conductances) -> dict[str, float]:
        """Return ∂C/∂V of the batch's mean cost for every voltage source by its name, in V (V² for each V).

        Args:
            readings: of the batch.
            conductances: S, as they were programmed when the readings were taken.
        """
        return rail_gradient(self._circuit, conductances, readings.free.nodes, self.adjoint(readings))

    def adjoint(self, readings: LinearizedReadings) -> Array:
        """See `harness.learning.rules.base.AdjointRule`."""
        factor = 1 / (self._gamma * len(readings.batch))
        return factor * (readings.small.nodes if self._adjoint else self._cells.adjoint_of(readings.small.nodes))

    @override
    def gradient(self, readings: LinearizedReadings) -> Conductances:
        factor = -1 / (self._gamma * len(readings.batch))
        if self._adjoint:
            return self._cells.adjoint_products(-factor * readings.small.nodes, readings.free.nodes)
        return self._cells.products(readings.small.nodes, readings.free.nodes, factor)


@final
class HardwareLinearization(SmallSignals):
    """The rule for every circuit; gradients in V²/S.

    Args:
        circuit: the topology (conductances in it are ignored).
        cost: what is lowered.
        gamma: γ in S: A of injected current for each V of error; the gradient does not depend on it.
        form: conductances that take the devices' places.

    Raises:
        ExperimentError: γ is not above 0.
        CircuitError: shorts and opens are asked for, and a transistor is no device of two terminals.
    """

    def __init__(self, circuit: Circuit, cost: Cost, *, gamma: float, form: Devices = Devices.SLOPES) -> None:
        if not gamma > 0:
            raise ExperimentError(f"hardware linearization: γ = {gamma:g} S must be above 0")
        self.ideal = form is Devices.IDEAL
        for element in circuit.elements if self.ideal else ():
            if isinstance(element, Mosfet) and element.gate not in (element.drain, element.source):
                raise CircuitError(
                    f"{element.title}: its gate is at a node of its own, so that it is neither a short nor an open; "
                    "take form = 'slopes'"
                )
        super().__init__(circuit, cost, gamma)
