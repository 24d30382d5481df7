"""``[network]``: the circuit, with its initial conductances, and the memory that it takes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import comb, prod
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union, cast

import numpy as np
from pydantic import Field, model_validator

from harness.circuit import (
    CellRange,
    Circuit,
    Kernels,
    convolutional_network,
    deep_resistive_network,
    equilibrium_network,
    layered_network,
    rectified_cascade,
)
from harness.circuit.networks.graphs import EdgeDiode, GraphEdge, read_edges
from harness.circuit.networks.selectors import Selector
from harness.datasets import Samples, Split
from harness.devices import DiodeModel, MosfetModel, ZenerModel
from harness.errors import CircuitError, ExperimentError
from harness.processes.memory import Part
from harness.units import show
from harness.validation import (
    Amperes,
    Flag,
    In,
    MismatchError,
    Number,
    Ohms,
    Positive,
    Section,
    Seed,
    Siemens,
    Unit,
    Volts,
    Whole,
)
from harness.wording import counted

_INITIAL, _GRAPH = 2, 4
"""Streams of random numbers for initial conductances and edges; 0 and 1 are the training loop's, 3 the subset's."""
_CELL = 60
"""B of a cell: its conductance, gradient, change and moments, and its line in the netlist."""
_EDGE_CELL = 160
"""B of a cell of a convolution: besides, the names of both its ends."""
_EDGE = 1000
"""B of an edge of a graph, which is an object with names."""
_SELECTED = 4000
"""B of a cell's selector, which is an object with names, and of its part of the equations."""
_MATRIX = 2 * 8
"""B of an entry of the reduced network's matrix, of which two and more are alive while it is made."""
_READING = 3 * 8
"""B of a node's voltage in a phase: solved, completed and read."""
_PHASES = 2
_SECTIONS = {"diode": "diode", "mosfet": "transistor", "zener": "zener"}
"""The section that describes the devices of each kind of neuron."""
_Side = Annotated[Whole, Field(ge=1, le=10_000)]


@dataclass(frozen=True)
class Size:
    """The parts and numbers that decide how much memory a network takes."""

    parts: tuple[Part, ...]
    """Its own objects and arrays."""
    nodes: int
    unknowns: int
    """Unknowns of the reduced network."""
    cure: str


class DiodeSettings(Section):
    """The diode of all places that have one: I = I_s (exp(V / (N V_T)) − 1), with V_T = kT/q."""

    saturation_current: Annotated[Amperes, Field(gt=0, le=1)]
    """Saturation current I_s."""
    emission: Annotated[Number, Field(ge=0.01, le=100)] = 2.0
    """Emission coefficient N; a larger one makes a softer diode."""

    def build(self) -> DiodeModel:
        """The model of all the network's diodes."""
        return DiodeModel("dhidden", self.saturation_current, self.emission)


class ZenerSettings(Section):
    """The Zener diode in the diodes' places: below −V_B its current is −I_s exp(−(V + V_B) / (N V_T))."""

    saturation_current: Annotated[Amperes, Field(gt=0, le=1)]
    """Saturation current I_s, which also flows at the breakdown voltage."""
    emission: Annotated[Number, Field(ge=0.01, le=100)] = 1.0
    """Emission coefficient N, in both directions."""
    breakdown: Annotated[Volts, Field(ge=0.1, le=1e4)]
    """Reverse voltage V_B at which the current begins to grow."""

    def build(self) -> ZenerModel:
        """The model of all the network's Zener diodes."""
        return ZenerModel("zhidden", self.saturation_current, self.emission, self.breakdown)


class TransistorSettings(Section):
    """The square-law transistor that stands in the diodes' places. Source: Shichman & Hodges 1968; SPICE's level 1."""

    transconductance: Annotated[float, Unit("A/V^2"), Field(gt=0, le=1e3)]
    """Factor K of the square law I = K/2 (V − V_t)²."""
    threshold: Annotated[Volts, Field(ge=-100, le=100)]
    """Threshold voltage V_t of the square law."""

    def build(self) -> MosfetModel:
        """The model of all the network's transistors, of type n."""
        return MosfetModel("mhidden", self.transconductance, self.threshold)


class SelectorSettings(Section):
    """The square-law transistor between every cell of the crossbars and its word line (1T1R).

    Source: Shichman & Hodges 1968; SPICE's level 1.
    """

    gate: Annotated[Volts, Field(ge=-1e6, le=1e6)]
    """Voltage of the gate lines, of which every word line has one."""
    transconductance: Annotated[float, Unit("A/V^2"), Field(gt=0, le=1e3)]
    """Factor K of the square law, which is KP W/L: at a low voltage over it, a transistor conducts K (V_G − V_t − v),
    with v that of its word line."""
    threshold: Annotated[Volts, Field(ge=-100, le=100)]
    """Threshold voltage V_t of the square law."""
    leakage: Annotated[Siemens, Field(ge=0, le=1e6)] = 0.0
    """Conductance of a transistor that is off, which also lies beside one that is on."""

    def build(self) -> Selector:
        """The selector of all cells."""
        model = MosfetModel("mselect", self.transconductance, self.threshold)
        return Selector(model, self.gate, self.leakage)


class _Network(Section):
    g_unit: Annotated[Siemens, Field(gt=0, le=1e3)]
    """The network's unit of conductance g₀, in which learning rates count. Fresh cells are drawn with it: those of a
    crossbar are max(0, U(−1, 1)) g₀ / √fan-in, edges of a graph U(0.1, 1) g₀."""
    g_min: Annotated[Siemens, Field(ge=0)] = 0.0
    """Smallest conductance of a cell; at 0 a cell may be open."""
    g_max: Annotated[Siemens, Field(gt=0, le=1e6)]
    """Largest conductance of a cell."""
    input_gain: Annotated[Positive, In("V/V")] = 1.0
    """Volts at the input pins for each volt of an input."""
    seed: Seed | None = None
    """Seed of the initial conductances and of the edges of random graphs; without it, training.seed."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if not self.g_min < self.g_max:
            raise MismatchError("g_min", f"{show(self.g_min, 'S')} must lie below g_max, {show(self.g_max, 'S')}")
        return self

    @property
    def arrays(self) -> int:
        """Number of trainable arrays."""
        return 1

    @property
    def selected(self) -> bool:
        """True where cells have selectors."""
        return False

    def _cells(self, seed: int) -> dict[str, Any]:
        """Return the arguments of all builders: range, initial conductances and gain."""
        rng = np.random.default_rng([seed, _INITIAL])
        cells = CellRange(self.g_unit, self.g_min, self.g_max)
        return {"cells": cells, "rng": rng, "input_gain": self.input_gain}


class _Crossbars(_Network):
    hidden: tuple[Annotated[Whole, Field(ge=1, le=100_000)], ...]
    """Number of nodes in each hidden layer, such as ``[100]`` or ``[256, 256]``."""
    bias: tuple[Annotated[Volts, Field(ge=0)], ...] = ()
    """Voltage V of the two bias lines, at +V and −V, of each crossbar; 0 for a crossbar without."""
    neuron: Literal["diode", "mosfet", "zener"] = "diode"
    """Devices at hidden nodes: diodes, or transistors with their gates at their drains in the diodes' places, or Zener
    diodes. These stand in the places of single diodes, and clip at both ends; where a node has two diodes, they are a
    pair back to back to ground, without shift sources."""
    diode: DiodeSettings | None = None
    """The diode that ``neuron = "diode"`` and edges with diodes need."""
    transistor: TransistorSettings | None = None
    """The transistor that ``neuron = "mosfet"`` needs."""
    zener: ZenerSettings | None = None
    """The Zener diode that ``neuron = "zener"`` needs."""
    selector: SelectorSettings | None = None
    """The transistor in series with every cell, in layered and deep resistive networks and in cascades without lateral
    conductances."""

    @model_validator(mode="after")
    def _selectable(self) -> Self:
        if self.selector is not None and not self._all_crossed:
            kinds = "kind 'layered' or 'deep-resistive', or 'cascade' without lateral"
            raise MismatchError("selector", f"cells outside crossbars have no word line with a gate line; take {kinds}")
        return self

    @model_validator(mode="after")
    def _modelled(self) -> Self:
        for neuron, section in _SECTIONS.items():
            if self.neuron == neuron and getattr(self, section) is None:
                raise MismatchError("neuron", f"{neuron!r} needs a section [network.{section}]")
        return self

    @model_validator(mode="after")
    def _one_bias_each(self) -> Self:
        crossbars = self._crossbars
        if self.bias and len(self.bias) != crossbars:
            count = f"{counted(len(self.bias), 'value')} for {counted(crossbars, 'crossbar')}"
            raise MismatchError("bias", f"{count}; give one for each, 0 for none")
        return self

    @property
    def _layers(self) -> int:
        """Number of layers with diodes."""
        return len(self.hidden)

    @property
    def _crossbars(self) -> int:
        return self._layers + 1

    @property
    def arrays(self) -> int:
        """Number of crossbars."""
        return self._crossbars

    @property
    def _more_cells(self) -> int:
        """Cells besides those of the crossbars."""
        return 0

    @property
    def _all_crossed(self) -> bool:
        """True where all cells are those of crossbars."""
        return True

    @property
    def selected(self) -> bool:
        """True where cells have selectors."""
        return self.selector is not None

    def _with_selectors(self, circuit: Circuit) -> Circuit:
        """Return the circuit with its selectors, if it shall have any."""
        return circuit if self.selector is None else self.selector.build().apply(circuit)

    def size(self, channels: int, outputs: int, *, lines: bool) -> Size:
        """Return the memory that the network takes; `lines` says whether lines have a resistance."""
        layers = [2 * channels, *self.hidden, 2 * outputs]
        pairs, cure = list(pairwise(layers)), "take fewer hidden nodes (network.hidden)"
        cells = sum(map(prod, pairs)) + self._more_cells
        parts = [Part(f"{cells:,} cells", _CELL * cells, cure)]
        if lines:
            lined = sum(words * bits * min(words, bits) for words, bits in pairs)
            parts.append(Part(f"{cells:,} cells on resistive lines", _CELL * lined, cure))
        if self.selector is not None:
            parts.append(Part(f"{cells:,} selectors", _SELECTED * cells, cure))
        nodes = sum(layers) + (0 if self.selector is None else cells)
        return Size(tuple(parts), nodes, sum(layers[1:]), cure)

    def warnings(self, circuit: Circuit, rows: Samples) -> list[str]:  # noqa: ARG002
        """Sentences on targets that the network cannot reach; amplifiers and gains leave crossbars none."""
        return []

    def _parts(self, data: Split, seed: int) -> tuple[tuple[int, tuple[int, ...], int], dict[str, Any]]:
        """Numbers of nodes, and what all builders of crossbars take besides."""
        sizes = data.channels, self.hidden, len(data.classes)
        rectifying = getattr(self, _SECTIONS[self.neuron])
        return sizes, {
            **self._cells(seed),
            "diode": cast("DiodeSettings | TransistorSettings | ZenerSettings", rectifying).build(),
            "bias": self.bias,
        }


class _Antiparallel(_Crossbars):
    amplifier_gain: Positive = 4.0
    """Gain A of the bidirectional amplifiers between layers; 1 for none."""
    shift: tuple[Volts, Volts] = (-1.0, 1.0)
    """Voltages of the lower and the upper shift source, to which every hidden node has a diode."""

    @model_validator(mode="after")
    def _shifts(self) -> Self:
        low, high = self.shift
        if not low < high:
            order = f"the lower source's {show(low, 'V')} must lie below the upper one's {show(high, 'V')}"
            raise MismatchError("shift", order)
        return self


class LayeredSettings(_Antiparallel):
    """Crossbars with diodes and amplifiers between layers. Source: Kendall et al. 2020, arXiv 2006.01981."""

    kind: Literal["layered"]

    def build(self, data: Split, seed: int) -> Circuit:
        """The circuit for data of so many channels and classes."""
        sizes, parts = self._parts(data, seed)
        plain = layered_network(*sizes, **parts, shift=self.shift, amplifier_gain=self.amplifier_gain)
        return self._with_selectors(plain)


class ConvolutionalSettings(_Antiparallel):
    """A layered network whose first layers are kernels that cover windows of an image, at many positions."""

    kind: Literal["convolutional"]
    image: tuple[_Side, _Side]
    """Rows and columns of the image that each row of data is, pixel by pixel along its rows."""
    kernels: Annotated[tuple[_Side, ...], Field(min_length=1)]
    """Number of kernels in each convolutional layer, such as ``[8]``."""
    window: tuple[_Side, ...]
    """Rows and columns that a kernel covers, one number for each convolutional layer."""
    stride: tuple[_Side, ...] = ()
    """Rows and columns from one position of a kernel to the next, for each convolutional layer; without it, 1."""
    pool: tuple[_Side, ...] = ()
    """Rows and columns of nodes that resistors average to one, for each convolutional layer; 1, as without it, averages
    nothing."""
    pool_conductance: Annotated[Siemens, Field(gt=0, le=1e6)] | None = None
    """Conductance of each averaging resistor, which a pool above 1 needs."""
    tied: Flag = True
    """True lets a kernel's copies at all positions learn together; with false, the layer is locally connected."""
    hidden: tuple[Annotated[Whole, Field(ge=1, le=100_000)], ...] = ()
    """Number of nodes in each hidden layer between the convolutions and the outputs; may be empty."""

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        for key in ("window", "stride", "pool"):
            values = getattr(self, key)
            if len(values) != len(self.kernels) and (values or key == "window"):
                layers = counted(len(self.kernels), "convolutional layer")
                raise MismatchError(key, f"{counted(len(values), 'value')} for {layers}; give one for each")
        if max(self.pool, default=1) > 1 and self.pool_conductance is None:
            raise MismatchError("pool_conductance", "a pool needs the conductance of its resistors")
        return self

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        try:
            self._images(1)
        except CircuitError as error:
            raise MismatchError("window", str(error)) from error
        return self

    @property
    def _all_crossed(self) -> bool:
        return False

    @property
    def _layers(self) -> int:
        return len(self.kernels) + len(self.hidden)

    def _convolutions(self) -> list[Kernels]:
        """Kernels of each convolutional layer."""
        ones = (1,) * len(self.kernels)
        sizes = zip(self.kernels, self.window, self.stride or ones, self.pool or ones, strict=True)
        siemens = self.pool_conductance or 0.0
        return [Kernels((w, w), count, s, p, siemens, tied=self.tied) for count, w, s, p in sizes]

    def _images(self, planes: int) -> list[tuple[int, int, int]]:
        """Planes, rows and columns of the inputs, and behind each convolutional layer.

        Raises:
            CircuitError: a layer does not fit the one before.
        """
        images = [(planes, *self.image)]
        for layer in self._convolutions():
            images.append(layer.after(images[-1]))
        return images

    def _planes(self, channels: int) -> int:
        """Planes of the image.

        Raises:
            ExperimentError: the data have another number of inputs.
        """
        rows, columns = self.image
        if channels % (rows * columns):
            raise ExperimentError(
                f"network.image: {rows} × {columns} pixels for data with {counted(channels, 'input')}; "
                "give rows and columns of an image, or of each of its planes"
            )
        return channels // (rows * columns)

    def size(self, channels: int, outputs: int, *, lines: bool) -> Size:  # noqa: ARG002
        """Return the memory that the network takes; the lines of convolutions are drawn without resistance."""
        images, cure = self._images(2 * self._planes(channels)), "take fewer kernels (network.kernels)"
        cells, nodes = 0, 2 * channels
        for layer, before in zip(self._convolutions(), images, strict=False):
            placed = prod(layer.planned(before))
            cells += placed * (before[0] * prod(layer.window) + 2)
            nodes += placed
        sizes = [prod(images[-1]), *self.hidden, 2 * outputs]
        dense = sum(map(prod, pairwise(sizes)))
        parts = (
            Part(f"{cells:,} cells of kernels", _EDGE_CELL * cells, cure),
            Part(f"{dense:,} cells", _CELL * dense, cure),
        )
        return Size(parts, nodes + sum(sizes), nodes - 2 * channels + sum(sizes), cure)

    def build(self, data: Split, seed: int) -> Circuit:
        """See `LayeredSettings.build`.

        Raises:
            ExperimentError: the data are no such images.
        """
        (channels, hidden, outputs), parts = self._parts(data, seed)
        image = self._images(self._planes(channels))[0]
        parts |= {"shift": self.shift, "amplifier_gain": self.amplifier_gain}
        return convolutional_network(image, self._convolutions(), hidden, outputs, **parts)


class DeepResistiveSettings(_Crossbars):
    """Crossbars with a diode to ground at each hidden node, no amplifiers. Source: Scellier 2024, arXiv 2402.11674."""

    kind: Literal["deep-resistive"]

    def build(self, data: Split, seed: int) -> Circuit:
        """See `LayeredSettings.build`."""
        sizes, parts = self._parts(data, seed)
        return self._with_selectors(deep_resistive_network(*sizes, **parts))


class EquilibriumNetworkSettings(_Crossbars):
    """A resistor–diode equilibrium network with one hidden layer. Source: Chaffey 2025, arXiv 2509.13793."""

    kind: Literal["equilibrium"]

    @model_validator(mode="after")
    def _one_layer(self) -> Self:
        if len(self.hidden) != 1:
            raise MismatchError("hidden", f"{len(self.hidden)} layers; an equilibrium network has one")
        return self

    @property
    def arrays(self) -> int:
        """Number of arrays: two crossbars and, with several hidden nodes, the conductances between them."""
        return 3 if self.hidden[0] > 1 else 2

    @property
    def _all_crossed(self) -> bool:
        return False

    @property
    def _more_cells(self) -> int:
        return self.hidden[0] ** 2

    def build(self, data: Split, seed: int) -> Circuit:
        """See `LayeredSettings.build`."""
        (channels, (hidden,), outputs), parts = self._parts(data, seed)
        return equilibrium_network(channels, hidden, outputs, **parts)


class CascadeSettings(_Crossbars):
    """Resistor–diode stages joined by buffers, as a perceptron's layers. Source: Chaffey 2025, arXiv 2509.13793."""

    kind: Literal["cascade"]
    buffer_gain: tuple[Number, ...] = ()
    """Gain of the buffers behind each hidden layer; without it, 1 for all."""
    rectifier_rail: Volts = 0.0
    """Voltage at which the diodes' anodes are held."""
    lateral: Flag = False
    """True for a conductance between every two hidden nodes of a stage; its array follows the stage's crossbar, and
    has a rate of its own in ``update.rates``."""

    @property
    def arrays(self) -> int:
        """Number of crossbars and, with ``lateral``, of arrays between the hidden nodes of a stage."""
        return len(self.hidden) + 1 + (sum(size > 1 for size in self.hidden) if self.lateral else 0)

    @property
    def _more_cells(self) -> int:
        return sum(size**2 for size in self.hidden) if self.lateral else 0

    @property
    def _all_crossed(self) -> bool:
        return not self.lateral

    @model_validator(mode="after")
    def _one_gain_each(self) -> Self:
        if self.buffer_gain and len(self.buffer_gain) != len(self.hidden):
            raise MismatchError(
                "buffer_gain",
                f"{counted(len(self.buffer_gain), 'value')} for {counted(len(self.hidden), 'hidden layer')}",
            )
        return self

    def build(self, data: Split, seed: int) -> Circuit:
        """See `LayeredSettings.build`."""
        sizes, parts = self._parts(data, seed)
        parts |= {"buffer_gain": self.buffer_gain, "rectifier_rail": self.rectifier_rail, "lateral": self.lateral}
        return self._with_selectors(rectified_cascade(*sizes, **parts))


Node = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class GraphSettings(_Network):
    """Any graph of conductances. Source: Stern et al. 2021, PRX 11, 021045; Lin et al. 2026, arXiv 2602.03546."""

    kind: Literal["graph"]
    shape: Literal["file", "grid", "periodic-grid", "random-regular", "complete", "small-world"]
    """Where the edges come from. Nodes of all shapes but ``file`` are called 0, 1, …, in grids row by row."""
    file: Path | None = None
    """For ``shape = "file"``: a CSV file with columns a, b and, if wanted, conductance and diode (none, forward,
    backward or both)."""
    rows: Annotated[Whole, Field(ge=1, le=1000)] = 6
    """For grids: number of rows of nodes."""
    columns: Annotated[Whole, Field(ge=1, le=1000)] = 6
    """For grids: number of columns of nodes."""
    nodes: Annotated[Whole, Field(ge=2, le=100_000)] = 16
    """For ``random-regular``, ``complete`` and ``small-world``: number of nodes."""
    degree: Annotated[Whole, Field(ge=2, le=1000)] = 4
    """For ``random-regular`` and, before rewiring, ``small-world``: number of edges of every node."""
    rewiring: Annotated[Number, Field(ge=0, le=1)] = 0.1
    """For ``small-world``: probability that an edge is moved. Source: Watts & Strogatz 1998, Nature 393, 440."""
    edge_diode: EdgeDiode = EdgeDiode.NONE
    """The diode in series with every conductance; a file says it for each edge."""
    inputs: tuple[Node, ...]
    """The node that each input channel holds."""
    inverted: tuple[Node, ...] = ()
    """Nodes that hold the negative of each channel, for networks that need both signs."""
    outputs: tuple[str, ...]
    """Reading of each output: ``"A"`` the voltage of a node, ``"A-B"`` a drop, ``"i(A-B)"`` the current of an edge, as
    the voltage over `sense`."""
    grounds: tuple[Node, ...] = ()
    """Nodes held at 0 V."""
    rails: dict[Node, Volts] = Field(default_factory=dict)
    """Nodes that are held at other voltages, each with its voltage."""
    sense: Annotated[Ohms, Field(gt=0)] | None = None
    """Resistance in series with an edge whose current is read."""
    diode: DiodeSettings | None = None
    """The diode that ``neuron = "diode"`` and edges with diodes need."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.shape == "file" and self.file is None:
            raise MismatchError("file", "shape = 'file' needs a file")
        if self.edge_diode is not EdgeDiode.NONE and self.diode is None:
            raise MismatchError("edge_diode", f"{self.edge_diode.value!r} needs a section [network.diode]")
        if self.inverted and len(self.inverted) != len(self.inputs):
            raise MismatchError(
                "inverted", f"{counted(len(self.inverted), 'node')} for {counted(len(self.inputs), 'input')}"
            )
        return self

    def build(self, data: Split, seed: int) -> Circuit:
        """The circuit, whose pins must fit the data.

        Raises:
            ExperimentError: they do not.
            CircuitError: no such circuit exists.
        """
        wanted = {"inputs": data.channels, "outputs": len(data.classes)}
        for what, pins in (("inputs", self.inputs), ("outputs", self.outputs)):
            if len(pins) != wanted[what]:
                raise ExperimentError(f"network.{what}: {len(pins)} for data with {wanted[what]}; give one for each")
        from harness.circuit.networks.free import free_graph  # noqa: PLC0415 - networkx takes a quarter of a second to import

        edges = self._edges(np.random.default_rng([seed, _GRAPH]))
        held: dict[str, Any] = {"inverted": self.inverted, "grounds": self.grounds, "rails": self.rails}
        diode = None if self.diode is None else self.diode.build()
        return free_graph(edges, self.inputs, self.outputs, **self._cells(seed), **held, diode=diode, sense=self.sense)

    def _edges(self, rng: np.random.Generator) -> list[GraphEdge]:
        """The edges, from a file or of a shape."""
        from harness.circuit.networks import families  # noqa: PLC0415 - networkx is slow to import

        match self.shape:
            case "file":
                return read_edges(self.file or Path())
            case "grid":
                edges = families.grid(self.rows, self.columns)
            case "periodic-grid":
                edges = families.periodic_grid(self.rows, self.columns)
            case "random-regular":
                edges = families.random_regular(self.degree, self.nodes, rng)
            case "complete":
                edges = families.complete(self.nodes)
            case "small-world":
                edges = families.small_world(self.nodes, self.degree, self.rewiring, rng)
        bare = self.edge_diode is EdgeDiode.NONE
        return edges if bare else [replace(edge, diode=self.edge_diode) for edge in edges]

    def size(self, channels: int, outputs: int, *, lines: bool) -> Size:  # noqa: ARG002
        """Return the memory that the graph takes; that of a file counts as none, since the file's size bounds it."""
        cure, nodes, edges = "take a smaller graph (network.nodes, rows, columns, degree)", self.nodes, 0
        match self.shape:
            case "file":
                nodes = 0
            case "grid" | "periodic-grid":
                nodes, edges = self.rows * self.columns, 2 * self.rows * self.columns
            case "complete":
                edges = comb(nodes, 2)
            case _:
                edges = nodes * self.degree // 2
        unknowns = nodes if self.edge_diode is not EdgeDiode.NONE else len(self.outputs)
        return Size((Part(f"{edges:,} edges", _EDGE * edges, cure),), nodes, unknowns, cure)

    def warnings(self, circuit: Circuit, rows: Samples) -> list[str]:
        """Sentences on targets beyond the voltages that hold the graph."""
        from harness.circuit.networks.free import unreachable_targets  # noqa: PLC0415 - networkx is slow to import

        batch = rows.batch(slice(None))
        return unreachable_targets(circuit, batch.inputs, batch.targets)


NetworkSettings = Union[  # noqa: UP007
    LayeredSettings,
    ConvolutionalSettings,
    DeepResistiveSettings,
    EquilibriumNetworkSettings,
    CascadeSettings,
    GraphSettings,
]


def memory(network: NetworkSettings, channels: int, outputs: int, batch: int, *, lines: bool) -> Iterator[Part]:
    """Yield the memory of an experiment's largest parts, rounded down, for a step of `batch` samples.

    `lines` says whether lines have a resistance.
    """
    size = network.size(channels, outputs, lines=lines)
    yield from size.parts
    yield Part(f"the equations of {size.unknowns:,} unknowns", _MATRIX * size.unknowns**2, size.cure)
    read = _READING * _PHASES * batch * size.nodes
    what = f"{batch:,} samples of {size.nodes:,} nodes in each phase"
    yield Part(what, read, "take a smaller batch (training.batch)")
