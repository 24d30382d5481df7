"""The parts of a circuit: plain frozen data, no simulator.

An element answers for itself: which nodes it touches, which it drives, between which of them a direct current can
flow, and which values it takes. Names of elements and nodes are made of ``[A-Za-z0-9_]`` and are unique without regard
to case; ground is ``"0"``.
Voltages are in V, currents in A, conductances in S.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from typing_extensions import override

from harness.devices import LINEAR_CELLS, CellLaw, DiodeModel
from harness.errors import CircuitError
from harness.measurement import Array, Index
from harness.units import show

GROUND = "0"
Path = tuple[str, str]
"""Two nodes between which a direct current can flow."""

_CONDUCTANCE_LIMIT = 1e6  # S: beyond it SPICE's own arithmetic loses the rest of the circuit


class Part:
    """What most elements answer: they drive no node, leave no path for a direct current, and take any value."""

    @property
    def drives(self) -> str | None:
        """The node whose voltage the element dictates, if any."""
        return None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Pairs of nodes between which it lets a direct current pass; arrays say that cell by cell, in `ends`."""
        return ()

    def check(self) -> None:
        """Refuse values that no circuit can have.

        Raises:
            CircuitError: a value is out of bounds or not finite; names the element.
        """


@dataclass(frozen=True)
class Resistor(Part):
    """A fixed conductance (S) between `a` and `b`."""

    name: str
    a: str
    b: str
    conductance: float

    @property
    def pins(self) -> Path:
        """Both ends."""
        return self.a, self.b

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        return (self.pins,)

    @override
    def check(self) -> None:
        what = f"resistor {self.name}"
        _check_finite(what, self.conductance, "S")
        if not 0 < self.conductance <= _CONDUCTANCE_LIMIT:
            bounds = f"above {show(0.0, 'S')} and at most at {show(_CONDUCTANCE_LIMIT, 'S')}"
            raise CircuitError(f"{what}: {show(self.conductance, 'S')} must lie {bounds}")
        _check_apart(what, "both ends are", self.pins)


@dataclass(frozen=True)
class Diode(Part):
    """A junction from `anode` to `cathode`."""

    name: str
    anode: str
    cathode: str
    model: DiodeModel

    @property
    def pins(self) -> Path:
        """Anode and cathode."""
        return self.anode, self.cathode

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        return (self.pins,)

    @override
    def check(self) -> None:
        _check_apart(f"diode {self.name}", "both ends are", self.pins)


@dataclass(frozen=True)
class VoltageSource(Part):
    """A rail: holds `node` at `volts` above ground."""

    name: str
    node: str
    volts: float

    @property
    def pins(self) -> tuple[str]:
        """The node that it holds."""
        return (self.node,)

    @property
    @override
    def drives(self) -> str:
        return self.node

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        return ((self.node, GROUND),)

    @override
    def check(self) -> None:
        _check_finite(f"voltage source {self.name}", self.volts, "V")


@dataclass(frozen=True)
class InputSource(Part):
    """An input pin: holds `node` at `gain` × the value of input `channel` (V); two of opposite gain double an input."""

    name: str
    node: str
    channel: int
    gain: float

    @property
    def pins(self) -> tuple[str]:
        """The node that it holds."""
        return (self.node,)

    @property
    @override
    def drives(self) -> str:
        return self.node

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        return ((self.node, GROUND),)

    @override
    def check(self) -> None:
        _check_finite(f"input {self.name}: gain", self.gain, "V/V")
        if self.channel < 0:
            raise CircuitError(f"input {self.name}: channel {self.channel} must not be negative")


@dataclass(frozen=True)
class CurrentSource(Part):
    """A constant current (A) out of `source` and into `sink`."""

    name: str
    source: str
    sink: str
    amperes: float

    @property
    def pins(self) -> Path:
        """Where the current comes from and where it goes."""
        return self.source, self.sink

    @override
    def check(self) -> None:
        _check_finite(f"current source {self.name}", self.amperes, "A")


@dataclass(frozen=True)
class BidirectionalAmplifier(Part):
    """Holds `output` at `gain` × (v(input) + `offset`), and draws 1/`gain` of the output's current from `input`.

    Kendall et al. 2020, §3: signals grow forward, error currents shrink backward.
    """

    name: str
    input: str
    output: str
    gain: float
    offset: float = 0.0
    """V, referred to the input."""

    @property
    def pins(self) -> Path:
        """Input and output."""
        return self.input, self.output

    @property
    @override
    def drives(self) -> str:
        return self.output

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        return ((self.output, GROUND),)

    @override
    def check(self) -> None:
        _check_finite(f"amplifier {self.name}: gain", self.gain, "V/V")
        _check_finite(f"amplifier {self.name}: offset", self.offset, "V")
        if self.gain <= 0:
            raise CircuitError(f"amplifier {self.name}: gain {self.gain:g} must be above 0")


@dataclass(frozen=True)
class Buffer(Part):
    """Holds `output` at `gain` × (v(input) + `offset`), and draws no current: what joins stages of a cascade.

    A negative gain inverts. No error returns through it: the circuit is not reciprocal (Chaffey 2025, §6).
    """

    name: str
    input: str
    output: str
    gain: float
    offset: float = 0.0
    """V, referred to the input."""

    @property
    def pins(self) -> Path:
        """Input and output."""
        return self.input, self.output

    @property
    @override
    def drives(self) -> str:
        return self.output

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        return ((self.output, GROUND),)

    @override
    def check(self) -> None:
        _check_nonzero(f"buffer {self.name}: gain", self.gain, "V/V")
        _check_finite(f"buffer {self.name}: offset", self.offset, "V")


@dataclass(frozen=True)
class Gyrator(Part):
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

    @property
    def pins(self) -> tuple[str, str, str, str]:
        """Both nodes of either port."""
        return self.a, self.b, self.c, self.d

    @override
    def check(self) -> None:
        _check_nonzero(f"gyrator {self.name}: conductance", self.conductance, "S")
        for port in (self.pins[:2], self.pins[2:]):
            _check_apart(f"gyrator {self.name}", "both pins of a port are", port)


@dataclass(frozen=True)
class Transformer(Part):
    """Two ports with v₁ = n v₂ and i₂ = −n i₁; ports as of `Gyrator`. Lossless and reciprocal, ideal down to DC."""

    name: str
    a: str
    b: str
    c: str
    d: str
    ratio: float

    @property
    def pins(self) -> tuple[str, str, str, str]:
        """Both nodes of either port."""
        return self.a, self.b, self.c, self.d

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        return (self.a, self.b), (self.c, self.d)

    @override
    def check(self) -> None:
        _check_nonzero(f"transformer {self.name}: ratio", self.ratio, "V/V")
        for port in (self.pins[:2], self.pins[2:]):
            _check_apart(f"transformer {self.name}", "both pins of a port are", port)


@dataclass(frozen=True, eq=False)
class Crossbar(Part):
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

    @property
    def pins(self) -> tuple[str, ...]:
        """Word lines, then bit lines."""
        return self.words + self.bits

    @override
    def check(self) -> None:
        _check_array(self, "one word line and one bit line")
        if shared := set(self.words) & set(self.bits):
            raise CircuitError(f"{self.title}: line {min(shared)} is both a word line and a bit line")
        for lines in (self.words, self.bits):
            if len(set(lines)) < len(lines):
                twice = next(line for line in lines if lines.count(line) > 1)
                raise CircuitError(f"{self.title}: line {twice} appears twice")
        check_bounds(self, self.conductances)


@dataclass(frozen=True, eq=False)
class Edges(Part):
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

    @property
    def pins(self) -> tuple[str, ...]:
        """First ends, then second ends."""
        return self.a + self.b

    @override
    def check(self) -> None:
        _check_array(self, "one edge")
        if len(self.a) != len(self.b):
            raise CircuitError(f"{self.title}: {len(self.a)} first ends and {len(self.b)} second ends")
        for k, ends in enumerate(zip(self.a, self.b, strict=True)):
            _check_apart(self.title, f"both ends of edge {k} are", ends)
        check_bounds(self, self.conductances)


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


def check_bounds(array: TrainableArray, conductances: Array) -> None:
    """Refuse conductances (S, in the array's shape) that the array cannot hold.

    Raises:
        CircuitError: a value is not finite or outside g_min…g_max; the message names the cell.
    """
    if conductances.shape != array.shape:
        raise CircuitError(f"{array.title}: conductances have shape {conductances.shape}, its cells {array.shape}")
    fits = (conductances >= array.g_min) & (conductances <= array.g_max)  # NaN fits nowhere
    if fits.all():
        return
    position = tuple(np.argwhere(~fits)[0].tolist())
    value = show(float(conductances[position]), "S")
    low, high = show(array.g_min, "S"), show(array.g_max, "S")
    raise CircuitError(f"{array.title}, cell {list(position)}: {value} is outside {low}…{high}")


def _check_array(array: TrainableArray, wanted: str) -> None:
    if not np.prod(array.shape):
        raise CircuitError(f"{array.title}: it needs at least {wanted}")
    if array.conductances.shape != array.shape:
        raise CircuitError(
            f"{array.title}: conductances have shape {array.conductances.shape}, its cells {array.shape}"
        )
    if not 0 <= array.g_min < array.g_max <= _CONDUCTANCE_LIMIT:
        low, high = show(array.g_min, "S"), show(array.g_max, "S")
        raise CircuitError(
            f"{array.title}: bounds {low}…{high} must satisfy 0 ≤ g_min < g_max ≤ {_CONDUCTANCE_LIMIT:g} S"
        )


def _check_finite(what: str, value: float, unit: str) -> None:
    if not np.isfinite(value):
        raise CircuitError(f"{what}: {value} {unit} is not finite")


def _check_nonzero(what: str, value: float, unit: str) -> None:
    _check_finite(what, value, unit)
    if value == 0:
        raise CircuitError(f"{what} must not be 0 {unit}")


def _check_apart(what: str, which: str, nodes: tuple[str, str]) -> None:
    if nodes[0] == nodes[1]:
        raise CircuitError(f"{what}: {which} at node {nodes[0]}")
