"""Voltages, line currents and power of a circuit over a set of samples, solved by the nodal chip.

Lines are those of `harness.circuit.variation.lines`: a word line is driven at its first cell, a bit line is read behind
its last one. The current at that end is the sum of all cell currents of the line; where cells of both signs meet, more
than that may flow somewhere along it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from harness.chip.nodal.chip import nodal_chip
from harness.circuit import (
    GROUND,
    BidirectionalAmplifier,
    Buffer,
    Circuit,
    Convolution,
    Crossbar,
    InputSource,
    Resistor,
    TrainableArray,
    VoltageSource,
)
from harness.circuit.elements import Modelled
from harness.circuit.power import dissipated
from harness.measurement import Array, Drive, Index

_AT_ONCE = 4_000_000  # cell currents in memory
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, eq=False)
class NodeGroup:
    """Nodes of one role with all their voltages."""

    title: str
    names: tuple[str, ...]
    volts: Array = field(repr=False)
    """V, ``[batch, nodes]``."""

    @property
    def lowest(self) -> tuple[float, str]:
        """The lowest voltage in V, and its node."""
        low = self.volts.min(axis=0)
        return float(low.min()), self.names[int(low.argmin())]

    @property
    def highest(self) -> tuple[float, str]:
        """The highest voltage in V, and its node."""
        high = self.volts.max(axis=0)
        return float(high.max()), self.names[int(high.argmax())]

    def beyond(self, supply: float) -> tuple[str, ...]:
        """Return the nodes that leave ±supply (V) in some sample."""
        outside = np.abs(self.volts).max(axis=0) > supply * _ROUNDING
        return tuple(name for name, out in zip(self.names, outside, strict=True) if out)


@dataclass(frozen=True, eq=False)
class Lines:
    """Currents of all word lines, bit lines or edges of an array, or of the fixed resistors."""

    array: str
    """Its name; ``"resistors"`` for these, which are the segments of lines with resistance."""
    kind: str
    """``"word line"``, ``"bit line"``, ``"edge"`` or ``"resistor"``."""
    names: tuple[str, ...]
    end: Array = field(repr=False)
    """A: the largest size of the current at the line's end over the samples, ``[lines]``."""
    along: Array = field(repr=False)
    """A: the largest size anywhere along the line over the samples, ``[lines]``; at least that at its end."""
    mean: Array = field(repr=False)
    """A: mean size of the current at the line's end, ``[lines]``."""

    @property
    def worst(self) -> tuple[float, str]:
        """The largest current in A anywhere along a line, and the line."""
        return float(self.along.max()), self.names[int(self.along.argmax())]

    @property
    def title(self) -> str:
        """The name of all the lines together."""
        return "resistors" if self.kind == "resistor" else f"{self.array}, {self.kind}s"

    @property
    def where(self) -> str:
        """The worst line in words."""
        name = f"{self.kind} {self.worst[1]}"
        return name if self.kind == "resistor" else f"{name} of {self.array}"

    def above(self, limit: float) -> tuple[str, ...]:
        """Return the lines that carry more than `limit` (A) somewhere in some sample."""
        return tuple(n for n, amperes in zip(self.names, self.along, strict=True) if amperes > limit * _ROUNDING)


@dataclass(frozen=True, eq=False)
class Survey:
    """A circuit's operating points."""

    groups: tuple[NodeGroup, ...]
    lines: tuple[Lines, ...]
    outputs: Array = field(repr=False)
    """V, ``[batch, outputs]``."""
    power: Array = field(repr=False)
    """W dissipated in all cells, resistors and diodes, ``[batch]``."""
    shares: dict[str, float]
    """W of each array, and of resistors and diodes together, mean over the samples."""
    held: float
    """V: the largest size of a voltage that a source holds."""

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self.power)

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest voltage of any node in V."""
        return min(g.lowest[0] for g in self.groups), max(g.highest[0] for g in self.groups)

    @property
    def worst_line(self) -> tuple[float, Lines] | None:
        """The largest line current in A, and its group of lines; None without arrays."""
        return max(((lines.worst[0], lines) for lines in self.lines), key=lambda pair: pair[0], default=None)


def survey(circuit: Circuit, inputs: Array) -> Survey:
    """Settle a circuit with its programmed conductances in the free phase of every sample.

    `inputs` are V before the input gain, ``[batch, channels]``.

    Raises:
        ConvergenceError: a sample did not settle.
    """
    chip = nodal_chip(circuit)
    (reading,) = chip.measure([Drive(inputs)])
    nodes = reading.all_nodes
    power = dissipated(circuit, circuit.conductances, nodes)
    found = [_array_currents(circuit, array, nodes) for array in circuit.arrays]
    shares = {array.name: watts for array, (_, watts) in zip(circuit.arrays, found, strict=True)}
    if rest := _rest(circuit):
        shares[rest] = float(power.mean()) - sum(shares.values())
    groups = tuple(NodeGroup(title, tuple(n), nodes[:, circuit.at(n)]) for title, n in node_roles(circuit).items())
    sources = [source.node for source in circuit.sources]
    held = float(np.abs(nodes[:, circuit.at(sources)]).max(initial=0.0))
    lines = (*(part for parts, _ in found for part in parts), *_resistor_currents(circuit, nodes))
    return Survey(groups, lines, reading.outputs, power, shares, held)


def _rest(circuit: Circuit) -> str:
    kinds = (e.noun for e in circuit.elements if isinstance(e, Modelled | Resistor))
    return " and ".join(f"{noun}s" for noun in sorted(set(kinds)))


def node_roles(circuit: Circuit) -> dict[str, list[str]]:
    """Return every node once, by role: pins, rails, outputs of stages, bit lines of each crossbar, outputs, others."""
    roles: dict[str, str] = {}
    for element in circuit.elements:
        match element:
            case InputSource():
                roles[element.node] = "input pins"
            case VoltageSource():
                roles[element.node] = "rails"
            case BidirectionalAmplifier():
                roles[element.output] = "amplifier outputs"
            case Buffer():
                roles[element.output] = "buffer outputs"
    for output in circuit.outputs:
        for node in (output.plus, output.minus):
            roles.setdefault(node, "outputs")
    for array in circuit.arrays:
        for node in array.bits if isinstance(array, Crossbar | Convolution) else ():
            roles.setdefault(node, f"bit lines of {array.name}")
    roles.pop(GROUND, None)
    groups: dict[str, list[str]] = {}
    for node in circuit.nodes:
        groups.setdefault(roles.get(node, "other nodes"), []).append(node)
    return groups


def _array_currents(circuit: Circuit, array: TrainableArray, nodes: Array) -> tuple[list[Lines], float]:
    """Return currents of an array's lines, and the mean of its power (W)."""
    drops = _drops(array, *circuit.ends(array), circuit.with_ground(nodes))
    if isinstance(array, Crossbar):
        return _crossbar_currents(array, drops, len(nodes))
    largest, total, watts = np.zeros(array.shape), np.zeros(array.shape), 0.0
    for over in drops:
        amperes = array.conductances * array.law.current_and_slope(over)[0]
        largest = np.maximum(largest, np.abs(amperes).max(axis=0))
        total += np.abs(amperes).sum(axis=0)
        watts += float((amperes * over).sum())
    names = tuple(f"{a}–{b}" for a, b in zip(array.a, array.b, strict=True))
    return [Lines(array.name, "edge", names, largest, largest, total / len(nodes))], watts / len(nodes)


def _resistor_currents(circuit: Circuit, nodes: Array) -> Iterator[Lines]:
    resistors = [element for element in circuit.elements if isinstance(element, Resistor)]
    if not resistors:
        return
    volts, (first, second, siemens) = circuit.with_ground(nodes), circuit.fixed
    amperes = np.abs(volts[:, first] - volts[:, second]) * siemens
    largest = amperes.max(axis=0)
    yield Lines("resistors", "resistor", tuple(r.name for r in resistors), largest, largest, amperes.mean(axis=0))


def _drops(array: TrainableArray, first: Index, second: Index, volts: Array) -> Iterator[Array]:
    """Give V over every cell for some samples at a time, ``[samples, *array.shape]``."""
    step = max(1, _AT_ONCE // array.conductances.size)
    for start in range(0, len(volts), step):
        rows = volts[start : start + step]
        yield rows[:, first] - rows[:, second]


def _crossbar_currents(crossbar: Crossbar, drops: Iterator[Array], samples: int) -> tuple[list[Lines], float]:
    sides = [(crossbar.words, 2), (crossbar.bits, 1)]  # with the axis of `[sample, word, bit]` that runs along the line
    end, along, total = ([np.zeros(len(names)) for names, _ in sides] for _ in range(3))
    watts = 0.0
    for over in drops:
        amperes = crossbar.conductances * crossbar.law.current_and_slope(over)[0]
        watts += float(np.vdot(amperes, over))
        for k, (_, axis) in enumerate(sides):
            flowing = amperes[:, :, ::-1] if axis == 2 else amperes  # cells are counted from the far end on
            segments = np.abs(flowing.cumsum(axis=axis))
            last = segments.take(-1, axis=axis)
            end[k] = np.maximum(end[k], last.max(axis=0))
            along[k] = np.maximum(along[k], segments.max(axis=(0, axis)))
            total[k] += last.sum(axis=0)
    kinds = ("word line", "bit line")
    lines = [Lines(crossbar.name, kinds[k], sides[k][0], end[k], along[k], total[k] / samples) for k in (0, 1)]
    return lines, watts / samples
