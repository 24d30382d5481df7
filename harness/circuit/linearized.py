"""A circuit as small signals see it: diodes become conductances and sources stand still (Chaffey 2025, §5)."""

from dataclasses import replace

import numpy as np

from harness.circuit.circuit import Circuit
from harness.circuit.elements import CurrentSource, Diode, Element, InputSource, Resistor, VoltageSource
from harness.devices.diode import THERMAL_VOLTAGE, current_and_slope
from harness.measurement import Array


def linearized(circuit: Circuit, nodes: Array) -> Circuit:
    """The circuit about one operating point: a circuit of its own, with the same nodes, that can be built or exported.

    Args:
        circuit: with its programmed conductances.
        nodes: V of every node at the operating point, ``[nodes]``.
    """
    volts = dict(zip(circuit.nodes, nodes.tolist(), strict=True))
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
            case _:
                elements.append(element)
    return Circuit(circuit.name, tuple(elements), circuit.outputs)
