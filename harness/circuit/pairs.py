"""Differential pairs: cells of an array that pull a signal up and down, so that their difference acts as one weight.

Two word lines that carry opposite voltages make a pair on every bit line: an input that is applied twice, two rails,
two buffers. So do, on every word line, the two bit lines that an output reads the difference of.
"""

from collections.abc import Iterator

import numpy as np

from harness.circuit.arrays import Crossbar, TrainableArray
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Buffer, InputSource, VoltageSource
from harness.errors import CircuitError
from harness.measurement import Index


def differential_pairs(circuit: Circuit) -> tuple[Index, ...]:
    """For every trainable array the flat number of each cell's partner, ``[cells]``; a partner's partner is the cell.

    Pairs are made along the word lines where all of them have an opposite one, else along the bit lines.

    Raises:
        CircuitError: an array has a cell without a partner; names the array and the lines.
    """
    opposite = dict(_opposite(circuit))
    outputs = {plus: minus for o in circuit.outputs for plus, minus in ((o.plus, o.minus), (o.minus, o.plus))}
    return tuple(_partners(array, opposite, outputs) for array in circuit.arrays)


def _partners(array: TrainableArray, opposite: dict[str, str], outputs: dict[str, str]) -> Index:
    if not isinstance(array, Crossbar):
        raise CircuitError(f"{array.title}: only the cells of crossbars have differential pairs; leave pairs out")
    numbers = np.arange(len(array.words) * len(array.bits), dtype=np.intp).reshape(array.shape)
    words, bits = _permutation(array.words, opposite), _permutation(array.bits, outputs)
    if words is not None:
        return numbers[words].ravel()
    if bits is not None:
        return numbers[:, bits].ravel()
    word = next(line for line in array.words if opposite.get(line) not in array.words)
    bit = next(line for line in array.bits if outputs.get(line) not in array.bits)
    raise CircuitError(
        f"{array.title}: no differential pairs: word line {word} has none of opposite voltage, and bit line {bit} is "
        "no half of an output; use one hidden layer with doubled inputs and output pairs, or leave pairs out"
    )


def _permutation(lines: tuple[str, ...], partner: dict[str, str]) -> Index | None:
    index = {line: k for k, line in enumerate(lines)}
    found = [index.get(partner.get(line, "")) for line in lines]
    return None if None in found else np.array(found, dtype=np.intp)


def _opposite(circuit: Circuit) -> Iterator[tuple[str, str]]:
    """Yield pairs of nodes that are held at each other's negative, whatever the inputs are."""
    waiting: dict[tuple[str, str | int, float], list[str]] = {}
    for element in circuit.elements:
        match element:
            case InputSource(_, node, channel, gain):
                kind: tuple[str, str | int, float] = ("channel", channel, gain)
            case VoltageSource(_, node, volts) if volts:
                kind = ("rail", "", volts)
            case Buffer(_, driver, node, gain):
                kind = ("buffer", driver, gain)
            case _:
                continue
        negative = waiting.get((*kind[:2], -kind[2]))
        if negative:
            other = negative.pop(0)
            yield node, other
            yield other, node
        else:
            waiting.setdefault(kind, []).append(node)
