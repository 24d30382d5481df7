"""Derivatives of the cost by the voltages of sources, from the same adjoint voltages as those by conductances.

A source at voltage V drives a current g V through everything of conductance g that leads from it, so that

    ∂C/∂V = Σ g λ

over the far ends, with λ the adjoint voltage there (0 at the source) and g a diode's small-signal conductance.
"""

import numpy as np

from harness.circuit import Circuit, Edges, VoltageSource
from harness.circuit.elements import InputSource
from harness.measurement import Array, Conductances


def rail_gradient(circuit: Circuit, conductances: Conductances, nodes: Array, adjoint: Array) -> dict[str, float]:
    """Return Σ over the batch of ∂C/∂V for every voltage source by its name, in V (V² for each V).

    Arguments are those of `input_gradient`.
    """
    into = _currents_into(circuit, conductances, nodes, adjoint).sum(axis=0)
    return {
        e.name: float(into[circuit.grounded_index[e.node]]) for e in circuit.elements if isinstance(e, VoltageSource)
    }


def input_gradient(circuit: Circuit, conductances: Conductances, nodes: Array, adjoint: Array) -> Array:
    """Return ∂C/∂x for every input x of each sample, in V (V² for each V), ``[batch, channels]``.

    Args:
        circuit: the topology.
        conductances: S, one array per trainable array.
        nodes: V at the operating points, ``[batch, nodes]``.
        adjoint: λ = ∂C/∂i of every node, V²/A, ``[batch, nodes]``; 0 where a source holds the node.
    """
    into = _currents_into(circuit, conductances, nodes, adjoint)
    gradient = np.zeros((len(nodes), circuit.channels))
    for element in circuit.elements:
        if isinstance(element, InputSource):
            gradient[:, element.channel] += element.gain * into[:, circuit.grounded_index[element.node]]
    return gradient


def _currents_into(circuit: Circuit, conductances: Conductances, nodes: Array, adjoint: Array) -> Array:
    """Σ g λ of the far ends, at every node and, last, ground, ``[batch, nodes + 1]``."""
    volts, moved = circuit.with_ground(nodes), circuit.with_ground(adjoint).T
    into = np.zeros(moved.shape)
    for array, g in zip(circuit.arrays, conductances, strict=True):
        first, second = (ends.ravel() for ends in circuit.ends(array))
        if isinstance(array, Edges):
            np.add.at(into, first, g[:, None] * moved[second])
            np.add.at(into, second, g[:, None] * moved[first])
        else:  # whose lines are all different
            into[first] += g @ moved[second]
            into[second] += g.T @ moved[first]
    first, second, siemens = circuit.fixed
    np.add.at(into, first, siemens[:, None] * moved[second])
    np.add.at(into, second, siemens[:, None] * moved[first])
    for branches in circuit.device_branches:
        pulled = branches.slopes(volts).T * (moved[branches.second] - moved[branches.first])
        np.add.at(into, branches.above, pulled)
        np.add.at(into, branches.below, -pulled)
    return into.T
