"""Networks of crossbars, layer by layer."""

from itertools import pairwise
from math import prod
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, model_validator

from harness.circuit import (
    Circuit,
    deep_resistive_network,
    equilibrium_network,
    layered_network,
    rectified_cascade,
)
from harness.datasets import Samples, Split
from harness.experiment.network.base import CELL, Network, Size
from harness.experiment.network.devices import DiodeSettings, SelectorSettings, TransistorSettings, ZenerSettings
from harness.processes.memory import Part
from harness.units import show
from harness.validation import Flag, MismatchError, Number, Positive, Volts, Whole
from harness.wording import counted

_SELECTED = 4000
"""B of a cell's selector, which is an object with names, and of its part of the equations."""
_SECTIONS = {"diode": "diode", "mosfet": "transistor", "zener": "zener"}
"""The section that describes the devices of each kind of neuron."""


class Crossbars(Network):
    """A network whose layers are joined by crossbars, with devices at its hidden nodes."""

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
        parts = [Part(f"{cells:,} cells", CELL * cells, cure)]
        if lines:
            lined = sum(words * bits * min(words, bits) for words, bits in pairs)
            parts.append(Part(f"{cells:,} cells on resistive lines", CELL * lined, cure))
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


class Antiparallel(Crossbars):
    """A network of crossbars with two diodes, to two voltages, at every hidden node, and amplifiers behind them."""

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


class LayeredSettings(Antiparallel):
    """Crossbars with diodes and amplifiers between layers. Source: Kendall et al. 2020, arXiv 2006.01981."""

    kind: Literal["layered"]

    def build(self, data: Split, seed: int) -> Circuit:
        """The circuit for data of so many channels and classes."""
        sizes, parts = self._parts(data, seed)
        plain = layered_network(*sizes, **parts, shift=self.shift, amplifier_gain=self.amplifier_gain)
        return self._with_selectors(plain)


class DeepResistiveSettings(Crossbars):
    """Crossbars with a diode to ground at each hidden node, no amplifiers. Source: Scellier 2024, arXiv 2402.11674."""

    kind: Literal["deep-resistive"]

    def build(self, data: Split, seed: int) -> Circuit:
        """See `LayeredSettings.build`."""
        sizes, parts = self._parts(data, seed)
        return self._with_selectors(deep_resistive_network(*sizes, **parts))


class EquilibriumNetworkSettings(Crossbars):
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


class CascadeSettings(Crossbars):
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
