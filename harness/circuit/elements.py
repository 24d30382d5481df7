"""The parts of a circuit: plain frozen data, no simulator.

Names of elements and nodes are made of ``[A-Za-z0-9_]`` and are unique without regard to case; ground is ``"0"``.
Voltages are in V, currents in A, conductances in S.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from harness.devices import LINEAR_CELLS, CellLaw, DiodeModel
from harness.measurement import Array, Index

GROUND = "0"


@dataclass(frozen=True)
class Resistor:
    """A fixed conductance (S) between `a` and `b`."""

    name: str
    a: str
    b: str
    conductance: float


@dataclass(frozen=True)
class Diode:
    """A junction from `anode` to `cathode`."""

    name: str
    anode: str
    cathode: str
    model: DiodeModel


@dataclass(frozen=True)
class VoltageSource:
    """A rail: holds `node` at `volts` above ground."""

    name: str
    node: str
    volts: float


@dataclass(frozen=True)
class InputSource:
    """An input pin: holds `node` at `gain` × the value of input `channel` (V); two of opposite gain double an input."""

    name: str
    node: str
    channel: int
    gain: float


@dataclass(frozen=True)
class CurrentSource:
    """A constant current (A) out of `source` and into `sink`."""

    name: str
    source: str
    sink: str
    amperes: float


@dataclass(frozen=True)
class BidirectionalAmplifier:
    """Holds `output` at `gain` × (v(input) + `offset`), and draws 1/`gain` of the output's current from `input`.

    Kendall et al. 2020, §3: signals grow forward, error currents shrink backward.
    """

    name: str
    input: str
    output: str
    gain: float
    offset: float = 0.0
    """V, referred to the input."""


@dataclass(frozen=True)
class Buffer:
    """Holds `output` at `gain` × (v(input) + `offset`), and draws no current: what joins stages of a cascade.

    A negative gain inverts. No error returns through it: the circuit is not reciprocal (Chaffey 2025, §6).
    """

    name: str
    input: str
    output: str
    gain: float
    offset: float = 0.0
    """V, referred to the input."""


@dataclass(frozen=True)
class Gyrator:
    """Two ports of which each turns the other's voltage into a current: i₁ = g v₂ and i₂ = −g v₁.

    v₁ = v(a) − v(b) with i₁ into `a` and out of `b`, v₂ = v(c) − v(d) with i₂ into `c` and out of `d`. Lossless, not
    reciprocal; g in S, of either sign (Tellegen 1948).
    """

    name: str
    a: str
    b: str
    c: str
    d: str
    conductance: float


@dataclass(frozen=True)
class Transformer:
    """Two ports with v₁ = n v₂ and i₂ = −n i₁; ports as of `Gyrator`. Lossless and reciprocal, ideal down to DC."""

    name: str
    a: str
    b: str
    c: str
    d: str
    ratio: float


@dataclass(frozen=True, eq=False)
class Crossbar:
    """An array of trainable conductances between word lines and bit lines; one element however large it is.

    A conductance of 0 S is an open cell.
    """

    name: str
    words: tuple[str, ...]
    bits: tuple[str, ...]
    conductances: Array = field(repr=False)
    """S, ``[word, bit]``; g_min ≤ g ≤ g_max."""
    g_min: float
    g_max: float
    law: CellLaw = LINEAR_CELLS
    """How the current of every cell follows its voltage."""

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"crossbar {self.name}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Word lines, bit lines."""
        return len(self.words), len(self.bits)

    def ends(self, index: Mapping[str, int]) -> tuple[Index, Index]:
        """Numbers of the nodes at both ends of every cell, ``[words, 1]`` and ``[1, bits]``."""
        return _numbers(self.words, index)[:, None], _numbers(self.bits, index)[None, :]

    def cell(self, *position: int) -> str:
        """The name of the cell [word, bit], as netlists write it."""
        return "_".join([self.name, *map(str, position)])

    def with_conductances(self, conductances: Array) -> "Crossbar":
        """The same array programmed to other values (S, ``[word, bit]``)."""
        return replace(self, conductances=np.array(conductances, float))


@dataclass(frozen=True, eq=False)
class Edges:
    """Trainable conductances of a graph: one between each node of `a` and its partner in `b`.

    A conductance of 0 S is an open edge.
    """

    name: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    conductances: Array = field(repr=False)
    """S, ``[edge]``; g_min ≤ g ≤ g_max."""
    g_min: float
    g_max: float
    law: CellLaw = LINEAR_CELLS
    """How the current of every edge follows its voltage."""

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"edges {self.name}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of edges."""
        return (len(self.a),)

    def ends(self, index: Mapping[str, int]) -> tuple[Index, Index]:
        """Numbers of the nodes at both ends of every edge, ``[edges]`` each."""
        return _numbers(self.a, index), _numbers(self.b, index)

    def cell(self, *position: int) -> str:
        """The name of the edge [k], as netlists write it."""
        return "_".join([self.name, *map(str, position)])

    def with_conductances(self, conductances: Array) -> "Edges":
        """The same edges programmed to other values (S, ``[edge]``)."""
        return replace(self, conductances=np.array(conductances, float))


TrainableArray = Crossbar | Edges
"""Elements whose conductances learning may change."""


def _numbers(nodes: tuple[str, ...], index: Mapping[str, int]) -> Index:
    return np.array([index[node] for node in nodes], dtype=np.intp)


@dataclass(frozen=True)
class Output:
    """What is read as one prediction: v(plus) − v(minus); `minus` is ground for a single output."""

    name: str
    plus: str
    minus: str = GROUND


Element = (
    Resistor
    | Diode
    | VoltageSource
    | InputSource
    | CurrentSource
    | BidirectionalAmplifier
    | Buffer
    | Gyrator
    | Transformer
    | TrainableArray
)
