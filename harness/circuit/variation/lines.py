"""Variation of what surrounds the cells: resistance of lines, leakage, errors of sources and stages.

Passes Circuit -> Circuit; `harness.circuit.variation.variation` says what they have in common, and runs them.

Line resistance turns a crossbar into the mesh that it is on a chip, exactly. Geometry (that
of badcrossbar, Joksas & Mehonic 2020, SoftwareX 12, 100617)::

    words[w] ─R_w─ (w,0) ─R_w─ (w,1) ─ … ─R_w─ (w,last)      driver at bit 0
                     │g          │g
    (0,b) ─R_b─ (1,b) ─ … ─R_b─ (last,b) ─R_b─ bits[b]       read-out, or neuron, behind the last word

so that the current of cell [w, b] crosses b + 1 segments of its word line and (words − w) segments of its bit line.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from harness.circuit.arrays import Crossbar, Edges
from harness.circuit.circuit import Circuit
from harness.circuit.elements import BidirectionalAmplifier, Element, InputSource, Resistor, Stage, VoltageSource
from harness.circuit.part import GROUND
from harness.circuit.scaling import scaling_of
from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show

_LEAST_OHMS = 1e-6
_MOST_OHMS = 1e9
_MOST_SIEMENS = 1e6  # what `Circuit` takes
Mesh = list[list[str]]
"""A node for every cell, ``[word][bit]``."""


class Law(StrEnum):
    """Distributions of factors with mean 1 and a given standard deviation."""

    LOG_NORMAL = "log-normal"
    """Factors whose logarithm is normal; none is negative."""
    NORMAL = "normal"
    """Factors 1 + σ N(0, 1)."""

    def factors(self, fraction: float, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Factors of that shape; as many draws at every strength, and exactly 1 at strength 0."""
        drawn = rng.standard_normal(shape)
        if self is Law.NORMAL:
            return 1 + fraction * drawn
        variance = np.log1p(fraction**2)
        return np.exp(np.sqrt(variance) * drawn - variance / 2)


@dataclass(frozen=True)
class LineResistance:
    """Resistance of every segment of the lines of every `Crossbar`; the same for all devices and cycles.

    CrossSim calls the two ``Rp_row`` and ``Rp_col``, badcrossbar ``r_i_word_line`` and ``r_i_bit_line``.

    A crossbar has one node per line, so its cells become an `Edges` of the same name, limits and conductances: edge
    w · bits + b is the cell [w, b], ``conductances.ravel()`` and ``reshape(words, bits)`` lead there and back. It is
    one trainable array as before, rules read the voltage over every cell itself. Segments are `Resistor`.

    Raises:
        CircuitError: a resistance is negative, not finite, or neither 0 nor in 1 µΩ…1 GΩ.
    """

    word: float = 0.0
    """Ω per segment of a word line, between two cells, and between the driver and the first cell; 0 for none."""
    bit: float = 0.0
    """Ω per segment of a bit line, between two cells, and between the last cell and the read-out; 0 for none."""

    def __post_init__(self) -> None:
        for name in ("word", "bit"):
            ohms = getattr(self, name)
            check_amount(f"line resistance: {name}", ohms, "Ω", _MOST_OHMS)
            if 0 < ohms < _LEAST_OHMS:
                least = show(_LEAST_OHMS, "Ω")
                raise CircuitError(
                    f"line resistance: {name} {show(ohms, 'Ω')} must be at least {least}; write 0 for none"
                )

    def apply(self, circuit: Circuit, rng: np.random.Generator | None = None) -> Circuit:  # noqa: ARG002
        """The circuit with every crossbar as a mesh; the same circuit where both resistances are 0. Draws nothing.

        Raises:
            CircuitError: the name of a new node or resistor is taken.
        """
        if not (self.word or self.bit) or not any(isinstance(e, Crossbar) for e in circuit.elements):
            return circuit
        taken = {node.casefold() for node in circuit.nodes}
        elements: list[Element] = []
        for element in circuit.elements:
            elements += self._expanded(element, taken) if isinstance(element, Crossbar) else [element]
        return Circuit(circuit.name, tuple(elements), circuit.outputs)

    def _expanded(self, crossbar: Crossbar, taken: set[str]) -> list[Element]:
        """The cells as edges, and the segments of both kinds of lines."""
        words, bits = crossbar.shape
        near = _mesh(crossbar, "w", taken) if self.word else [[line] * bits for line in crossbar.words]
        far = _mesh(crossbar, "b", taken) if self.bit else [list(crossbar.bits)] * words
        segments: list[Element] = []
        if self.word:
            chains = [[line, *row] for line, row in zip(crossbar.words, near, strict=True)]
            segments += _segments(f"{crossbar.name}_rw", chains, self.word)
        if self.bit:
            chains = [[*column, line] for line, column in zip(crossbar.bits, zip(*far, strict=True), strict=True)]
            segments += _segments(f"{crossbar.name}_rb", chains, self.bit)
        first, second = (tuple(node for row in mesh for node in row) for mesh in (near, far))
        cells = crossbar.conductances.reshape(-1)
        return [Edges(crossbar.name, first, second, cells, crossbar.g_min, crossbar.g_max, crossbar.law), *segments]


def check_amount(what: str, value: float, unit: str, most: float = math.inf) -> None:
    """Refuse strengths of non-idealities that are not finite or outside 0…most.

    Raises:
        CircuitError: says what, the value with its unit, and the bound.
    """
    if not (math.isfinite(value) and 0 <= value <= most):
        bound = f"in 0…{_written(most, unit)}" if math.isfinite(most) else f"at or above 0 {unit}"
        raise CircuitError(f"{what} {_written(value, unit)} must be finite and {bound}; write 0 for none")


def _written(value: float, unit: str) -> str:
    return show(value, unit) if unit else f"{value:g}"


def claim_nodes(owner: str, nodes: Iterable[str], taken: set[str]) -> None:
    """Add names of new nodes to those that are `taken` (case folded).

    Raises:
        CircuitError: the circuit has a node of that name, which the new one would be shorted to.
    """
    folded = {node.casefold() for node in nodes}
    if shared := folded & taken:
        raise CircuitError(f"{owner}: it needs a new node {min(shared)}, which exists already; rename that node")
    taken |= folded


def _mesh(crossbar: Crossbar, kind: str, taken: set[str]) -> Mesh:
    """Names of new nodes, one per cell.

    Raises:
        CircuitError: the circuit has a node of that name.
    """
    words, bits = crossbar.shape
    mesh = [[f"{crossbar.name}_{kind}{w}_{b}" for b in range(bits)] for w in range(words)]
    claim_nodes(crossbar.title, (node for row in mesh for node in row), taken)
    return mesh


def _segments(name: str, chains: Mesh, ohms: float) -> list[Element]:
    """Resistors along each chain of nodes."""
    siemens = 1 / ohms
    return [
        Resistor(f"{name}{line}_{k}", chain[k], chain[k + 1], siemens)
        for line, chain in enumerate(chains)
        for k in range(len(chain) - 1)
    ]


@dataclass(frozen=True)
class SourceErrors:
    """Errors of what holds nodes: rails (bias and shift sources too) and input pins.

    Raises:
        CircuitError: a strength is negative, not finite, or a fraction above 1.
    """

    offset: float = 0.0
    """Standard deviation of a `VoltageSource`, V, normal, per device."""
    gain: float = 0.0
    """Relative standard deviation of an `InputSource`'s gain, normal, per device."""

    def __post_init__(self) -> None:
        check_amount("source errors: offset", self.offset, "V")
        check_amount("source errors: gain", self.gain, "", 1.0)

    def apply(self, circuit: Circuit, rng: np.random.Generator) -> Circuit:
        """The circuit with its sources."""
        rails = sum(isinstance(element, VoltageSource) for element in circuit.elements)
        offsets = iter((self.offset * rng.standard_normal(rails)).tolist())
        gains = iter(Law.NORMAL.factors(self.gain, (circuit.input_pins,), rng).tolist())

        def erring(element: Element) -> Element:
            match element:
                case VoltageSource():
                    return replace(element, volts=element.volts + next(offsets))
                case InputSource():
                    return replace(element, gain=element.gain * next(gains))
            return element

        if not (self.offset or self.gain):
            return circuit
        return circuit.altered(map(erring, circuit.elements))


@dataclass(frozen=True)
class Leakage:
    """A conductance to ground at every node that no source, amplifier or buffer holds; the same for all.

    Raises:
        CircuitError: it is negative, not finite, or above 1 MS.
    """

    conductance: float = 0.0
    """S, per node."""

    def __post_init__(self) -> None:
        check_amount("leakage: conductance", self.conductance, "S", _MOST_SIEMENS)

    def apply(self, circuit: Circuit, rng: np.random.Generator | None = None) -> Circuit:  # noqa: ARG002
        """The circuit with resistors ``leak_`` and the node's name; draws nothing."""
        free = [node for node in circuit.nodes if node not in circuit.held_nodes]
        if not self.conductance or not free:
            return circuit
        leaks = (Resistor(f"leak_{node}", node, GROUND, self.conductance) for node in free)
        return replace(circuit, elements=(*circuit.elements, *leaks))


@dataclass(frozen=True)
class AmplifierErrors:
    """Errors of bidirectional amplifiers and buffers.

    Raises:
        CircuitError: a strength is negative, not finite, or a fraction above 1.
    """

    gain: float = 0.0
    """Relative standard deviation of every gain, normal, per device."""
    layer_gain: float = 0.0
    """The same, drawn once for all `BidirectionalAmplifier` between the same two levels of amplification: a layer."""
    offset: float = 0.0
    """Standard deviation of every input-referred offset, V, normal, per device."""

    def __post_init__(self) -> None:
        check_amount("amplifier errors: gain", self.gain, "", 1.0)
        check_amount("amplifier errors: layer_gain", self.layer_gain, "", 1.0)
        check_amount("amplifier errors: offset", self.offset, "V")

    def apply(self, circuit: Circuit, rng: np.random.Generator) -> Circuit:
        """The circuit with its stages; unequal gains within a layer leave it without an energy (`energy_scales`).

        Raises:
            CircuitError: a bidirectional amplifier's gain was drawn at or below 0.
        """
        stages = circuit.stages
        layers = layers_of(circuit) if stages else {}
        own = Law.NORMAL.factors(self.gain, (len(stages),), rng)
        shared = Law.NORMAL.factors(self.layer_gain, (1 + max(layers.values(), default=-1),), rng)
        offsets = self.offset * rng.standard_normal(len(stages))
        if not stages or not (self.gain or self.layer_gain or self.offset):
            return circuit
        errors = iter(zip(own.tolist(), offsets.tolist(), strict=True))

        def erring(element: Element) -> Element:
            if not isinstance(element, Stage):
                return element
            factor, offset = next(errors)
            common = float(shared[layers[element.name]]) if element.name in layers else 1.0
            return replace(element, gain=element.gain * factor * common, offset=element.offset + offset)

        return circuit.altered(map(erring, circuit.elements))


def layers_of(circuit: Circuit) -> dict[str, int]:
    """Return a number for every bidirectional amplifier, the same for those between the same two scales."""
    scale = scaling_of(circuit).scale
    numbers: dict[tuple[float, ...], int] = {}
    amplifiers = [e for e in circuit.elements if isinstance(e, BidirectionalAmplifier)]
    ends = circuit.at([node for amplifier in amplifiers for node in amplifier.pins]).reshape(-1, 2)
    levels = map(tuple, scale[ends].tolist())
    return {a.name: numbers.setdefault(level, len(numbers)) for a, level in zip(amplifiers, levels, strict=True)}
