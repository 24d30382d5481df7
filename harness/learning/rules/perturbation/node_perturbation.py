"""Node perturbation: what a current into each node does to the cost, and from that the gradient of every cell.

Widrow & Lehr 1990 (MADALINE rule III, Proc. IEEE 78, 1415) add a small signal to one neuron after the other, Fiete &
Seung 2006 (PRL 97, 048104) perturb the conductances of all at once at random; both take the gradient of a weight from
what its neuron does to the cost. Here a chip need only settle free phases, show its outputs and be written. A cell that
is moved up and down is a current into the nodes at its ends (`harness.learning.rules.perturbation.forest`), and about
one cell for every node gives λ = ∂C/∂i of every node and sample, so that

    ∂C/∂g_k = −(λ_a − λ_b) d_k,    d_k = v_a − v_b,

for all cells, however many there are. Moved one after the other, cells take two free phases each and give the gradient
as it is, but for the step; moved all at once, up or down at random, they take two for every draw, and the error of
the mean over draws grows with the number of nodes, not of cells. The drops d are read from the chip or, where it gives
access to its outputs only, predicted by a digital twin.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from typing_extensions import override

from harness.circuit import Circuit
from harness.learning.costs import Cost
from harness.learning.rules.base import LearningRule, Programmable, node_voltages
from harness.learning.rules.cells import Cells
from harness.learning.rules.perturbation.differences import Perturbation, quotient, refuse_no_draws
from harness.learning.rules.perturbation.forest import Forester
from harness.measurement import Array, Batch, Conductances, Drive, Index, Needs, Reading


@dataclass(frozen=True, eq=False)
class NodeReadings:
    """The readings of one batch by node perturbation."""

    batch: Batch
    free: Reading
    nodes: Array
    """V of every node in the free phase, ``[batch, nodes]``."""
    adjoint: Array
    """λ of every node that cells touch, V²/A, ``[batch, nodes]``."""


@final
class NodePerturbation(LearningRule[NodeReadings]):
    """The rule for every circuit; gradients in V²/S.

    Args:
        circuit: the topology and the cells' ranges.
        cost: what is lowered.
        step: S by which cells are moved up and down.
        draws: random directions in which all nodes are perturbed at once; None for one node after the other.
        twin: makes a digital model of the chip, such as the nodal chip, that predicts inner voltages; without it they
            are read.

    Raises:
        ExperimentError: the step or the number of draws is not above 0.
        CircuitError: no cell touches a free node, or unequal gains meet a part that no cell joins to a held node.
    """

    def __init__(
        self,
        circuit: Circuit,
        cost: Cost,
        *,
        step: float,
        draws: int | None = None,
        twin: Callable[[], Programmable] | None = None,
    ) -> None:
        rule = "node perturbation"
        self._perturbation = Perturbation(circuit, cost, step, rule)
        if draws is not None:
            refuse_no_draws(rule, draws)
        self._draws, self._cells, self._forester = draws, Cells(circuit, energy=False), Forester(circuit)
        self._twin = twin() if twin else None

    @property
    @override
    def needs(self) -> Needs:
        return Needs(nodes=self._twin is None)

    @override
    def measure(self, chip: Programmable, batch: Batch, rng: np.random.Generator) -> NodeReadings:
        """Measure a free phase, and two more for every cell of the forest or for every draw."""
        (free,) = chip.measure([Drive(batch.inputs)])
        nodes = node_voltages(chip, batch, free, self._twin)
        sides = ([np.full(g.shape, side) for g in chip.conductances] for side in (1, -1))
        high, low = (_flat(self._perturbation.moved(chip.conductances, side)) for side in sides)
        forest = self._forester.grow(nodes, high - low, rng)
        slopes = self._slopes(chip, batch, forest.cells, rng)
        return NodeReadings(batch, free, nodes, forest.adjoint(slopes))

    def _slopes(self, chip: Programmable, batch: Batch, cells: Index, rng: np.random.Generator) -> Array:
        """Return ∂C/∂g of some cells, V²/S, ``[batch, cells]``."""
        each = np.eye(len(cells)) if self._draws is None else rng.choice([-1.0, 1.0], (self._draws, len(cells)))
        total, direction = np.zeros((len(batch), len(cells))), np.zeros(sum(g.size for g in chip.conductances))
        with self._perturbation.on(chip, batch) as contrast:
            for signs in each:
                direction[cells] = signs
                found = contrast(_shaped(direction, chip.conductances))
                total += quotient((found.up - found.down)[:, None], _flat(found.apart)[cells])
        return total / (self._draws or 1)

    @override
    def gradient(self, readings: NodeReadings) -> Conductances:
        return self._cells.adjoint_products(readings.adjoint / len(readings.batch), readings.nodes)


def _flat(arrays: Conductances) -> Array:
    return np.concatenate([array.ravel() for array in arrays])


def _shaped(flat: Array, like: Conductances) -> Conductances:
    parts = np.split(flat, np.cumsum([array.size for array in like])[:-1])
    return tuple(part.reshape(array.shape) for part, array in zip(parts, like, strict=True))
