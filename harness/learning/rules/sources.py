"""Derivatives of the cost by the voltages of rails, from the same adjoint voltages as those by conductances.

A rail at voltage V drives a current g V through everything of conductance g that leads from it, so that

    ∂C/∂V = Σ g λ

over the far ends, with λ the adjoint voltage there (0 at the rail) and g a diode's small-signal conductance.
"""

import numpy as np

from harness.circuit import Circuit, Diode, Resistor, VoltageSource
from harness.devices.diode import THERMAL_VOLTAGE, current_and_slope
from harness.measurement import Array, Conductances


def rail_gradient(circuit: Circuit, conductances: Conductances, nodes: Array, adjoint: Array) -> dict[str, float]:
    """Σ over the batch of ∂C/∂V of every voltage source, V, by its name.

    Args:
        circuit: the topology.
        conductances: S, one array per trainable array.
        nodes: V at the operating points, ``[batch, nodes]``.
        adjoint: λ of every node for ∂C/∂v as currents (A), ``[batch, nodes]``.
    """
    index = circuit.grounded_index
    volts, moved = (np.column_stack([array, np.zeros(len(array))]) for array in (nodes, adjoint))
    into = np.zeros(len(index))  # Σ g λ of the far ends, at every node
    for array, g in zip(circuit.arrays, conductances, strict=True):
        first, second = (np.broadcast_to(ends, array.shape) for ends in array.ends(index))
        total = moved.sum(axis=0)
        np.add.at(into, first, g * total[second])
        np.add.at(into, second, g * total[first])
    for element in circuit.elements:
        match element:
            case Resistor(_, a, b, conductance):
                slope = np.full(len(volts), conductance)
            case Diode(_, a, b, model):
                scale = np.array(model.emission * THERMAL_VOLTAGE)
                over = volts[:, index[a]] - volts[:, index[b]]
                _, slope = current_and_slope(over, np.array(model.saturation_current), scale)
            case _:
                continue
        into[index[a]] += slope @ moved[:, index[b]]
        into[index[b]] += slope @ moved[:, index[a]]
    return {e.name: float(into[index[e.node]]) for e in circuit.elements if isinstance(e, VoltageSource)}
