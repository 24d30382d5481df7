"""A circuit as small signals see it: nonlinear elements become conductances, sources stand still (Chaffey 2025, §5)."""

from dataclasses import replace

import numpy as np

from harness.circuit.circuit import Circuit
from harness.circuit.elements import (
    BidirectionalAmplifier,
    Buffer,
    Crossbar,
    CurrentSource,
    Diode,
    Edges,
    Element,
    InputSource,
    Resistor,
    TrainableArray,
    VoltageSource,
)
from harness.devices import LINEAR_CELLS
from harness.devices.diode import THERMAL_VOLTAGE, current_and_slope
from harness.measurement import Array


def linearized(circuit: Circuit, nodes: Array) -> Circuit:
    """The circuit about one operating point: a circuit of its own, with the same nodes, that can be built or exported.

    Args:
        circuit: with its programmed conductances.
        nodes: V of every node at the operating point, ``[nodes]``.
    """
    volts = dict(zip(circuit.nodes, nodes.tolist(), strict=True))
    index, grounded = circuit.grounded_index, np.append(nodes, 0.0)
    elements: list[Element] = []
    for element in circuit.elements:
        match element:
            case Diode(name, anode, cathode, model):
                over = np.array(volts.get(anode, 0.0) - volts.get(cathode, 0.0))
                scale = np.array(model.emission * THERMAL_VOLTAGE)
                _, slope = current_and_slope(over, np.array(model.saturation_current), scale)
                elements.append(Resistor(name, anode, cathode, float(slope)))
            case VoltageSource():
                elements.append(replace(element, volts=0.0))
            case InputSource():
                elements.append(replace(element, gain=0.0))
            case CurrentSource():
                elements.append(replace(element, amperes=0.0))
            case BidirectionalAmplifier() | Buffer():
                elements.append(replace(element, offset=0.0))
            case Crossbar() | Edges() if not element.law.linear:
                first, second = element.ends(index)
                _, slope = element.law.current_and_slope(grounded[first] - grounded[second])
                elements.append(_straight(element, element.conductances * slope))
            case _:
                elements.append(element)
    return Circuit(circuit.name, tuple(elements), circuit.outputs)


def _straight(array: TrainableArray, siemens: Array) -> TrainableArray:
    """The array with linear cells of other conductances (S), and bounds that hold them."""
    low, high = min(array.g_min, float(siemens.min())), max(array.g_max, float(siemens.max()))
    return replace(array, conductances=siemens, g_min=low, g_max=high, law=LINEAR_CELLS)
