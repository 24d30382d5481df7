"""Derivatives of the cost by the voltages of rails, from the same adjoint voltages as those by conductances.

A rail at voltage V drives a current g V through everything of conductance g that leads from it, so that

    ∂C/∂V = Σ g λ

over the far ends, with λ the adjoint voltage there (0 at the rail) and g a diode's small-signal conductance.
"""

import numpy as np

from harness.circuit import Circuit, VoltageSource
from harness.measurement import Array, Conductances


def rail_gradient(circuit: Circuit, conductances: Conductances, nodes: Array, adjoint: Array) -> dict[str, float]:
    """Return Σ over the batch of ∂C/∂V for every voltage source by its name, in V (V² for each V).

    Args:
        circuit: the topology.
        conductances: S, one array per trainable array.
        nodes: V at the operating points, ``[batch, nodes]``.
        adjoint: λ = ∂C/∂i of every node, V²/A, ``[batch, nodes]``; 0 where a source holds the node.
    """
    volts, moved = circuit.with_ground(nodes), circuit.with_ground(adjoint)
    into, total = np.zeros(moved.shape[1]), moved.sum(axis=0)  # Σ g λ of the far ends, at every node
    for array, g in zip(circuit.arrays, conductances, strict=True):
        first, second = (np.broadcast_to(ends, array.shape) for ends in circuit.ends(array))
        np.add.at(into, first, g * total[second])
        np.add.at(into, second, g * total[first])
    first, second, siemens = circuit.fixed
    np.add.at(into, first, siemens * total[second])
    np.add.at(into, second, siemens * total[first])
    for branches in circuit.device_branches:
        pulled = (branches.slopes(volts) * (moved[:, branches.second] - moved[:, branches.first])).sum(axis=0)
        np.add.at(into, branches.above, pulled)
        np.add.at(into, branches.below, -pulled)
    return {
        e.name: float(into[circuit.grounded_index[e.node]]) for e in circuit.elements if isinstance(e, VoltageSource)
    }
