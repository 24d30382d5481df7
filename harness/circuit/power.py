"""Power that a settled circuit turns into heat."""

import numpy as np

from harness.circuit.circuit import Circuit
from harness.circuit.elements import Diode, Resistor
from harness.devices import CellLaw
from harness.devices.diode import THERMAL_VOLTAGE, current_and_slope
from harness.measurement import Array, Conductances


def dissipated(circuit: Circuit, conductances: Conductances, nodes: Array) -> Array:
    """W in all cells, resistors and diodes of every sample, Σ i v, ``[batch]``.

    Args:
        circuit: the full circuit; its own programmed conductances are ignored.
        conductances: S, one array per trainable array.
        nodes: V, ``[batch, nodes]``.
    """
    volts = np.column_stack([nodes, np.zeros(len(nodes))])
    watts = np.zeros(len(nodes))
    for array, g in zip(circuit.arrays, conductances, strict=True):
        first, second = array.ends(circuit.grounded_index)
        if not array.law.linear:
            watts += [_in_nonlinear(array.law, row[first] - row[second], g) for row in volts]
        elif g.ndim == 2:
            watts += _in_crossbar(volts[:, first[:, 0]], volts[:, second[0]], g)
        else:
            watts += (volts[:, first] - volts[:, second]) ** 2 @ g
    resistors = [e for e in circuit.elements if isinstance(e, Resistor)]
    drops = volts[:, circuit.at([r.a for r in resistors])] - volts[:, circuit.at([r.b for r in resistors])]
    watts += drops**2 @ np.array([r.conductance for r in resistors])
    diodes = [e for e in circuit.elements if isinstance(e, Diode)]
    over = volts[:, circuit.at([d.anode for d in diodes])] - volts[:, circuit.at([d.cathode for d in diodes])]
    saturation = np.array([d.model.saturation_current for d in diodes])
    current, _ = current_and_slope(over, saturation, np.array([d.model.emission for d in diodes]) * THERMAL_VOLTAGE)
    return watts + (current * over).sum(axis=1)


def _in_nonlinear(law: CellLaw, over: Array, g: Array) -> float:
    return float(np.sum(g * law.current_and_slope(over)[0] * over))


def _in_crossbar(words: Array, bits: Array, g: Array) -> Array:
    """Σ g (v_word − v_bit)² without an array of every sample's every cell."""
    return words**2 @ g.sum(axis=1) + bits**2 @ g.sum(axis=0) - 2 * ((words @ g) * bits).sum(axis=1)
