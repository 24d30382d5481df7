"""Builders of networks: they return a `Circuit` and know nothing of how it is simulated or trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from harness.circuit.arrays import Crossbar, Edges
from harness.circuit.circuit import Circuit
from harness.circuit.elements import (
    BidirectionalAmplifier,
    Buffer,
    Diode,
    Element,
    InputSource,
    Output,
    VoltageSource,
    rectifier,
)
from harness.circuit.part import GROUND
from harness.devices import DiodeModel, MosfetModel, ZenerModel
from harness.errors import CircuitError
from harness.measurement import Array
from harness.wording import counted


@dataclass(frozen=True)
class CellRange:
    """Range of conductances of the cells of every crossbar, and the unit in which they are initialised."""

    unit: float
    """g₀ in S: fresh cells are max(0, U(−1, 1)) g₀ / √fan-in, clipped to the range."""
    g_min: float
    """Smallest conductance, S."""
    g_max: float
    """Largest conductance, S."""

    def fresh(self, words: int, bits: int, rng: np.random.Generator) -> Array:
        """Initial conductances (S, ``[word, bit]``)."""
        drawn = self._draw(words, bits, rng)
        while (open_lines := ~(drawn > 0).any(axis=0)).any():  # a bit line of open cells only would float
            drawn[:, open_lines] = self._draw(words, int(open_lines.sum()), rng)
        return drawn

    def _draw(self, words: int, bits: int, rng: np.random.Generator) -> Array:
        return np.clip(rng.uniform(-1, 1, (words, bits)) * self.unit / np.sqrt(words), self.g_min, self.g_max)


def layered_network(
    channels: int,
    hidden: Sequence[int],
    outputs: int,
    *,
    cells: CellRange,
    diode: DiodeModel | MosfetModel,
    rng: np.random.Generator,
    input_gain: float = 1.0,
    bias: Sequence[float] = (),
    shift: tuple[float, float] = (-1.0, 1.0),
    amplifier_gain: float = 4.0,
) -> Circuit:
    """Kendall's layered nonlinear resistive network (Kendall et al. 2020), of any depth.

    Every input is applied twice, as +x and −x; each crossbar has a pair of bias rails among its word lines; each
    hidden node has an antiparallel pair of diodes to two shift sources and drives the next crossbar through a
    bidirectional amplifier; every output is a pair of nodes.

    Args:
        channels: number of input channels.
        hidden: nodes of each hidden layer.
        outputs: number of output pairs.
        cells: range and unit of the conductances.
        diode: the model of all diodes, or of transistors that are connected as diodes in their place. Zener diodes
            stand back to back between each hidden node and ground instead, which holds it between plus and minus the
            sum of the breakdown voltage and a forward drop.
        rng: draws the initial conductances.
        input_gain: V at the input pin per V of input.
        bias: V of the rail pair ±V at each crossbar (``len(hidden) + 1`` values; 0 for none); default all ±1 V.
        shift: V of the lower and the upper shift source.
        amplifier_gain: A; 1 joins the layers without amplifiers.

    Raises:
        CircuitError: a size or a value is out of range.
    """
    check_sizes(channels, hidden, outputs)
    rails = shift_sources(shift)
    elements, words = doubled_inputs(channels, input_gain)
    elements += rails if hidden and not isinstance(diode, ZenerModel) else []
    layers = Layers(cells, diode, amplifier_gain, rng)
    elements += layers.dense(1, words, (*hidden, outputs), bias_of(bias, len(hidden)))
    return Circuit("layered", tuple(elements), pairs_of(outputs))


@dataclass(frozen=True)
class Layers:
    """The parts that all layers of a layered network share; see `layered_network`."""

    cells: CellRange
    diode: DiodeModel | MosfetModel
    amplifier_gain: float
    rng: np.random.Generator

    def dense(self, first: int, words: list[str], sizes: Sequence[int], bias: Sequence[float]) -> list[Element]:
        """Crossbars one behind the other, counted from `first`, of so many bit lines each; the last are output pairs.

        `words` are the lines that drive the first one; `bias` has V of the rails at each.
        """
        elements: list[Element] = []
        last = first + len(sizes) - 1
        for layer, (size, volts) in enumerate(zip(sizes, bias, strict=True), start=first):
            bits = _output_pairs(size) if layer == last else [f"h{layer}_{i}" for i in range(size)]
            elements += _crossbar(layer, words, bits, volts, self.cells, self.rng)
            if layer < last:
                amplifiers, words = self.amplified(layer, bits)
                elements += [*self.neurons(layer, bits), *amplifiers]
        return elements

    def neurons(self, layer: int, nodes: Sequence[str]) -> list[Element]:
        """Two antiparallel diodes at each of a layer's nodes, to the shift sources; or two Zeners back to back."""
        elements: list[Element] = []
        if isinstance(self.diode, ZenerModel):
            for i, node in enumerate(nodes):
                between = f"z{layer}_{i}"
                elements.append(Diode(f"near{layer}_{i}", node, between, self.diode))
                elements.append(Diode(f"far{layer}_{i}", GROUND, between, self.diode))
            return elements
        for i, node in enumerate(nodes):
            elements.append(rectifier(f"up{layer}_{i}", node, "shift_high", self.diode))
            elements.append(rectifier(f"down{layer}_{i}", "shift_low", node, self.diode))
        return elements

    def amplified(self, layer: int, nodes: list[str]) -> tuple[list[Element], list[str]]:
        """Amplifiers behind a layer's nodes, and the nodes that drive the next layer."""
        if self.amplifier_gain == 1:
            return [], nodes
        words = [f"a{layer}_{i}" for i in range(len(nodes))]
        pins = enumerate(zip(nodes, words, strict=True))
        return [BidirectionalAmplifier(f"amp{layer}_{i}", h, a, self.amplifier_gain) for i, (h, a) in pins], words


def deep_resistive_network(
    channels: int,
    hidden: Sequence[int],
    outputs: int,
    *,
    cells: CellRange,
    diode: DiodeModel | MosfetModel,
    rng: np.random.Generator,
    input_gain: float = 100.0,
    bias: Sequence[float] = (),
) -> Circuit:
    """Scellier's deep resistive network (Scellier 2024, arXiv 2402.11674).

    Inputs are doubled and enlarged by a gain instead of amplifiers between the layers; each hidden node has one diode
    to ground, which holds the even nodes at v ≥ 0 and the odd ones at v ≤ 0; outputs are single linear nodes.

    Args and errors are those of `layered_network`.
    """
    check_sizes(channels, hidden, outputs)
    elements, words = doubled_inputs(channels, input_gain)
    for layer, (size, volts) in enumerate(zip((*hidden, outputs), bias_of(bias, len(hidden)), strict=True), start=1):
        is_output = layer > len(hidden)
        bits = [f"o{k}" for k in range(size)] if is_output else [f"h{layer}_{i}" for i in range(size)]
        elements += _crossbar(layer, words, bits, volts, cells, rng)
        if not is_output:
            for i, node in enumerate(bits):
                ends = (GROUND, node) if i % 2 == 0 else (node, GROUND)
                elements.append(rectifier(f"rect{layer}_{i}", *ends, diode))
        words = bits
    return Circuit("deep_resistive", tuple(elements), tuple(Output(f"y{k}", f"o{k}") for k in range(outputs)))


def equilibrium_network(
    channels: int,
    hidden: int,
    outputs: int,
    *,
    cells: CellRange,
    diode: DiodeModel | MosfetModel,
    rng: np.random.Generator,
    input_gain: float = 1.0,
    bias: Sequence[float] = (),
) -> Circuit:
    """A resistor–diode equilibrium network (Chaffey 2025, arXiv 2509.13793): a ReLU monotone operator network.

    Every hidden node has a diode from ground and a conductance to every other one. With ideal diodes, which hold nodes
    at v ≥ 0, their state is the fixed point of v = ReLU(W v + U x + b). A real diode that carries the current i lets
    its node sink to −N V_T ln(1 + i / I_s): 0.6 V below the fixed point for 1 fA, N = 1 and 15 µA. Inputs are doubled
    as in `layered_network`; every output is a pair of nodes that the second crossbar joins to the hidden ones.

    Args and errors are those of `layered_network`; `bias` are the rails of both crossbars.
    """
    check_sizes(channels, [hidden], outputs)
    elements, words = doubled_inputs(channels, input_gain)
    nodes, (low, high) = [f"h{i}" for i in range(hidden)], bias_of(bias, 1)
    elements += _crossbar(1, words, nodes, low, cells, rng)
    elements += [rectifier(f"rect{i}", GROUND, node, diode) for i, node in enumerate(nodes)]
    elements += _lateral("lateral", nodes, cells, rng)
    elements += _crossbar(2, nodes, _output_pairs(outputs), high, cells, rng)
    return Circuit("equilibrium", tuple(elements), pairs_of(outputs))


def rectified_cascade(
    channels: int,
    hidden: Sequence[int],
    outputs: int,
    *,
    cells: CellRange,
    diode: DiodeModel | MosfetModel,
    rng: np.random.Generator,
    input_gain: float = 1.0,
    bias: Sequence[float] = (),
    buffer_gain: Sequence[float] = (),
    rectifier_rail: float = 0.0,
    lateral: bool = False,
) -> Circuit:
    """A feed-forward cascade of resistor–diode stages joined by buffers (Chaffey 2025).

    Each hidden node has a diode from a rail, so that it takes max(0, mean of its word lines' voltages, weighted by
    their cells), and two buffers of opposite gain that drive the next crossbar; outputs are single linear nodes. With
    ideal diodes it computes a ReLU multilayer perceptron.

    Args and errors are those of `layered_network`, but for single outputs, `buffer_gain` of the buffers behind each
    hidden layer (by default all 1), and `rectifier_rail`, V that the diodes' anodes are held at: near a diode's own
    drop it makes up for that. With `lateral`, a conductance joins every two hidden nodes of a stage, so that each stage
    is an equilibrium network.
    """
    check_sizes(channels, hidden, outputs)
    if buffer_gain and len(buffer_gain) != len(hidden):
        count = f"{counted(len(buffer_gain), 'value')} for {counted(len(hidden), 'hidden layer')}"
        raise CircuitError(f"buffer_gain: {count}; give one for each")
    elements, words = doubled_inputs(channels, input_gain)
    anode = GROUND
    if rectifier_rail:
        anode = "rectifier"
        elements.append(VoltageSource("rectifier", anode, rectifier_rail))
    gains = (*(buffer_gain or [1.0] * len(hidden)), 1.0)
    volts = bias_of(bias, len(hidden))
    for layer, (size, rail, gain) in enumerate(zip((*hidden, outputs), volts, gains, strict=True), start=1):
        is_output = layer > len(hidden)
        bits = [f"o{k}" for k in range(size)] if is_output else [f"h{layer}_{i}" for i in range(size)]
        elements += _crossbar(layer, words, bits, rail, cells, rng)
        if not is_output:
            elements += [rectifier(f"rect{layer}_{i}", anode, node, diode) for i, node in enumerate(bits)]
            elements += _lateral(f"lateral{layer}", bits, cells, rng) if lateral else []
            words = [f"b{layer}_{i}{sign}" for sign in "pn" for i in range(size)]
            signs = [gain] * size + [-gain] * size
            pins = zip(words, bits * 2, signs, strict=True)
            elements += [Buffer(f"buf{word[1:]}", node, word, signed) for word, node, signed in pins]
    return Circuit("cascade", tuple(elements), tuple(Output(f"y{k}", f"o{k}") for k in range(outputs)))


def check_sizes(channels: int, hidden: Sequence[int], outputs: int) -> None:
    """Refuse a network without inputs or outputs, or with an empty layer."""
    for what, size in (
        ("inputs", channels),
        *((f"hidden layer {i + 1}", n) for i, n in enumerate(hidden)),
        ("outputs", outputs),
    ):
        if size < 1:
            raise CircuitError(f"{what}: a network needs at least one node, not {size}")


def shift_sources(shift: tuple[float, float]) -> list[Element]:
    """The lower and the upper source (V) that antiparallel diodes lead to."""
    low, high = shift
    if not low < high:
        raise CircuitError(f"shift sources: the lower one ({low:g} V) must lie below the upper one ({high:g} V)")
    return [VoltageSource("shift_low", "shift_low", low), VoltageSource("shift_high", "shift_high", high)]


def bias_of(bias: Sequence[float], hidden_layers: int) -> Sequence[float]:
    """V of the bias rails at each crossbar: as given, or 1 V at each."""
    if not bias:
        return [1.0] * (hidden_layers + 1)
    if len(bias) != hidden_layers + 1:
        count = f"{counted(len(bias), 'value')} for {counted(hidden_layers + 1, 'crossbar')}"
        raise CircuitError(f"bias: {count}; give one for each, 0 for none")
    return bias


def doubled_inputs(channels: int, gain: float) -> tuple[list[Element], list[str]]:
    """Pins at +gain × and at −gain × every input, all of one sign after the other, and their nodes."""
    pins = [(f"x{i}{sign}", i, factor) for sign, factor in (("p", gain), ("n", -gain)) for i in range(channels)]
    return [InputSource(node, node, channel, factor) for node, channel, factor in pins], [node for node, _, _ in pins]


def pairs_of(outputs: int) -> tuple[Output, ...]:
    """Outputs that are read between the two nodes of a pair."""
    return tuple(Output(f"y{k}", f"o{k}p", f"o{k}n") for k in range(outputs))


def _output_pairs(outputs: int) -> list[str]:
    return [f"o{k}{sign}" for k in range(outputs) for sign in "pn"]


def _lateral(name: str, nodes: Sequence[str], cells: CellRange, rng: np.random.Generator) -> list[Element]:
    """Return conductances between every two of some nodes; nothing for a single node."""
    if len(nodes) == 1:
        return []
    first, second = (tuple(ends) for ends in zip(*combinations(nodes, 2), strict=True))
    drawn = rng.uniform(0, 1, len(first)) * cells.unit / len(nodes)
    between = np.clip(drawn, cells.g_min, cells.g_max)
    return [Edges(name, first, second, between, cells.g_min, cells.g_max)]


def _crossbar(
    layer: int, words: list[str], bits: list[str], bias: float, cells: CellRange, rng: np.random.Generator
) -> list[Element]:
    rails = bias_rails(layer, bias)
    lines = (*words, *(rail.node for rail in rails))
    drawn = cells.fresh(len(lines), len(bits), rng)
    array = Crossbar(f"w{layer}", lines, tuple(bits), drawn, cells.g_min, cells.g_max)
    return [*rails, array]


def bias_rails(layer: int, volts: float) -> list[VoltageSource]:
    """The two bias rails of a layer, at +V and −V; none for 0 V."""
    signs = (("p", volts), ("n", -volts)) if volts else ()
    return [VoltageSource(f"b{layer}{sign}", f"b{layer}{sign}", level) for sign, level in signs]
