"""The analytical gradient (Lin, Desai, Barrows, Caravelli 2026): outputs are read, everything else is known.

The topology and the programmed conductances are known to whoever programs them; only the outputs are measured, once,
without a second phase and without a replica. With L the conductance matrix of the free nodes and b_k the incidence of
cell k (node form)

    Lᵀ λ = ∂C/∂v,    ∂C/∂g_k = −(b_kᵀ v)(b_kᵀ λ),

for which one factorisation serves the whole batch, in circuits with buffers and gyrators too. The cycle form
(`harness.learning.rules.cycles`) is the same gradient written with the projector onto the network's cycles. Both are
exact for linear networks. A network with diodes is linear about its operating point: diodes count with their
small-signal conductances, and the inner voltages that these depend on are read from the chip or, where it gives access
to its outputs only, predicted by a digital twin.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import final

import numpy as np
from typing_extensions import override

from harness.circuit import Circuit, Reduction
from harness.circuit.branches import Branches
from harness.circuit.circuit import settled_whole
from harness.circuit.reduction.linear import settle_linear
from harness.learning.costs import Cost
from harness.learning.rules.base import LearningRule, Measurable, Programmable, node_voltages, option
from harness.learning.rules.cells import Cells
from harness.learning.rules.cycles import Cycles
from harness.measurement import Array, Batch, Conductances, Drive, Injection, Needs, Reading


class Form(StrEnum):
    """Forms in which the same gradient is written."""

    NODE = "node"
    """Voltages at nodes are solved for."""
    CYCLE = "cycle"
    """Currents are projected onto cycles."""


@dataclass(frozen=True, eq=False)
class KnownReadings:
    """The readings of one batch for the analytical gradient, and what is known without reading."""

    batch: Batch
    free: Reading
    conductances: Conductances
    """S, as programmed when the outputs were read."""
    nodes: Array
    """V, ``[batch, nodes]``: the operating point."""


@final
class AnalyticalGradient(LearningRule[KnownReadings]):
    """The rule for every circuit; gradients in V²/S.

    Args:
        circuit: the topology (conductances in it are ignored).
        cost: what is lowered.
        form: node or cycle form.
        twin: makes a digital model of the chip, such as the nodal chip, that predicts inner voltages of circuits with
            diodes; without it they are read.

    Raises:
        CircuitError: the circuit cannot be reduced, or the cycle form does not take it.
    """

    def __init__(
        self,
        circuit: Circuit,
        cost: Cost,
        *,
        form: Form | str = Form.NODE,
        twin: Callable[[], Programmable] | None = None,
    ) -> None:
        self._cost, self._reduction, self._cells = cost, Reduction(circuit), Cells(circuit, energy=False)
        self._cycles = Cycles(circuit) if option(Form, form, "form") is Form.CYCLE else None
        self._nonlinear = bool(circuit.device_branches)
        self._whole = Branches(circuit) if settled_whole(circuit) else None
        self._twin = twin() if twin and self._nonlinear else None

    @property
    @override
    def needs(self) -> Needs:
        return Needs(nodes=self._nonlinear and self._twin is None)

    @override
    def measure(self, chip: Measurable, batch: Batch, rng: np.random.Generator) -> KnownReadings:
        """Settle the free phase, and find the operating point."""
        (free,) = chip.measure([Drive(batch.inputs)])
        return KnownReadings(batch, free, chip.conductances, self._operating_point(chip, batch, free))

    @override
    def gradient(self, readings: KnownReadings) -> Conductances:
        batch = readings.batch
        slopes = self._cost.slopes(readings.free.outputs, batch.targets) / len(batch)
        if self._cycles:
            return self._cycles.gradient(readings.conductances, readings.nodes, slopes)
        return self._cells.adjoint_products(self._adjoint(readings, slopes), readings.nodes)

    def adjoint(self, readings: KnownReadings) -> Array:
        """See `harness.learning.rules.base.AdjointRule`."""
        batch = readings.batch
        return self._adjoint(readings, self._cost.slopes(readings.free.outputs, batch.targets) / len(batch))

    def _adjoint(self, readings: KnownReadings, slopes: Array) -> Array:
        """Return λ of every node (V, ``[batch, nodes]``) for errors at the outputs, ``[batch, outputs]``."""
        if self._whole is not None:
            return self._whole.programmed(readings.conductances).adjoint(readings.nodes, slopes)
        about = Reading(readings.free.outputs, readings.nodes)
        drive = Drive(readings.batch.inputs, Injection(slopes), "adjoint", about, adjoint=True)
        return self._solved(readings.conductances, drive)

    def _operating_point(self, chip: Measurable, batch: Batch, free: Reading) -> Array:
        """Return the voltage of every node, V, ``[batch, nodes]``."""
        if not self._nonlinear:
            return self._solved(chip.conductances, Drive(batch.inputs))
        return node_voltages(chip, batch, free, self._twin)

    def _solved(self, conductances: Conductances, drive: Drive) -> Array:
        """Return the voltage of every node of the known, linear circuit, V, ``[batch, nodes]``."""
        reduced = self._reduction.reduce(conductances)
        settling = reduced.settling([drive])
        solved = settle_linear(settling.network, settling.phases[0])
        return reduced.readings(solved[:, None], [drive])[0].nodes
