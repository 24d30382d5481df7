"""Power that a settled circuit turns into heat."""

import numpy as np

from harness.circuit.circuit import Circuit
from harness.measurement import Array, Conductances


def dissipated(circuit: Circuit, conductances: Conductances, nodes: Array) -> Array:
    """Return the power in all cells, resistors and devices, Σ i v, W, ``[batch]``.

    Sources, amplifiers and nudges are not counted. The co-content of conductances alone is half of it.

    Args:
        circuit: the topology.
        conductances: S, one array per trainable array.
        nodes: V, ``[batch, nodes]``.
    """
    volts = circuit.with_ground(nodes)
    watts = np.zeros(len(nodes))
    for array, g in zip(circuit.arrays, conductances, strict=True):
        first, second = circuit.ends(array)
        if not array.law.linear:
            drops = (row[first] - row[second] for row in volts)
            watts += [float(np.sum(g * array.law.current_and_slope(over)[0] * over)) for over in drops]
        elif g.ndim == 2:
            watts += _in_crossbar(volts[:, first[:, 0]], volts[:, second[0]], g)
        else:
            watts += (volts[:, first] - volts[:, second]) ** 2 @ g
    first, second, siemens = circuit.fixed
    watts += (volts[:, first] - volts[:, second]) ** 2 @ siemens
    for branches in circuit.device_branches:
        amperes, _ = branches.law.current_and_slope(volts[:, branches.above] - volts[:, branches.below])
        watts = watts + (amperes * (volts[:, branches.first] - volts[:, branches.second])).sum(axis=1)
    return watts


def _in_crossbar(words: Array, bits: Array, g: Array) -> Array:
    """Return Σ g (v_word − v_bit)² for every sample, without an array of samples and cells."""
    return words**2 @ g.sum(axis=1) + bits**2 @ g.sum(axis=0) - 2 * ((words @ g) * bits).sum(axis=1)
