"""The parts of a circuit: plain frozen data, no simulator.

An element answers for itself: which nodes it touches, which it drives, between which of them a direct current can
flow, which values it takes, what parts it comes down to (`harness.circuit.primitives`), and what small signals see of
it. Names of elements and nodes are made of ``[A-Za-z0-9_]`` and are unique without regard to case; ground is ``"0"``.
Voltages are in V, currents in A, conductances in S.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self, cast

import numpy as np
from typing_extensions import override

from harness.circuit.arrays import TrainableArray
from harness.circuit.part import CONDUCTANCE_LIMIT, GROUND, Part, Path, check_apart, check_finite, check_nonzero
from harness.circuit.primitives import (
    RESERVED,
    Cccs,
    Conductance,
    Current,
    Device,
    Input,
    Primitive,
    Sense,
    Vccs,
    Vcvs,
    Voltage,
)
from harness.devices import DiodeModel, MosfetModel
from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show


@dataclass(frozen=True)
class _Source(Part):
    """Base of the elements that hold a node at a voltage above ground."""

    name: str
    node: str

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

    def level(self, inputs: Array) -> Array:
        """Return the voltage of the source, V, ``[batch]``, for inputs (V, ``[batch, channels]``)."""
        raise NotImplementedError

    def row(self, channels: int) -> Array:
        """Return the voltage as numbers that multiply the inputs and, last, 1, ``[channels + 1]``."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Stage(Part):
    """Base of the elements that hold one node at a multiple of another: `gain` × (v(input) + `offset`)."""

    name: str
    input: str
    output: str
    gain: float
    offset: float = 0.0
    """V, referred to the input."""

    figure: ClassVar[tuple[str, str]] = ("gain", "V/V")

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
        check_nonzero(f"{self.title}: gain", self.gain, "V/V")
        check_finite(f"{self.title}: offset", self.offset, "V")

    @override
    def small_signal(self, volts: Mapping[str, float]) -> "Iterator[Stage]":
        yield replace(cast("Stage", self), offset=0.0)


@dataclass(frozen=True)
class _TwoPort(Part):
    """Base of the elements that join two ports, `a` over `b` and `c` over `d`."""

    name: str
    a: str
    b: str
    c: str
    d: str

    @property
    def pins(self) -> tuple[str, str, str, str]:
        """Both nodes of either port."""
        return self.a, self.b, self.c, self.d

    @override
    def check(self) -> None:
        what, unit = self.figure
        check_nonzero(f"{self.title}: {what}", getattr(self, what), unit)
        for port in (self.pins[:2], self.pins[2:]):
            check_apart(self.title, "both pins of a port are", port)


@dataclass(frozen=True)
class Resistor(Part):
    """A fixed conductance (S) between `a` and `b`."""

    name: str
    a: str
    b: str
    conductance: float

    noun: ClassVar[str] = "resistor"
    figure: ClassVar[tuple[str, str]] = ("conductance", "S")

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
        check_finite(self.title, self.conductance, "S")
        if not 0 < self.conductance <= CONDUCTANCE_LIMIT:
            bounds = f"above {show(0.0, 'S')} and at most at {show(CONDUCTANCE_LIMIT, 'S')}"
            raise CircuitError(f"{self.title}: {show(self.conductance, 'S')} must lie {bounds}")
        check_apart(self.title, "both ends are", self.pins)

    @override
    def lowered(self) -> Iterator[Primitive]:
        yield Conductance(f"r{self.name}", self.pins, self.conductance)


@dataclass(frozen=True)
class Diode(Part):
    """A junction diode from `anode` to `cathode`, with the law of its model (`harness.devices.diode`)."""

    name: str
    anode: str
    cathode: str
    model: DiodeModel

    noun: ClassVar[str] = "diode"

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
        check_apart(self.title, "both ends are", self.pins)

    @override
    def lowered(self) -> Iterator[Primitive]:
        yield Device(f"d{self.name}", self.pins, self.model)

    @override
    def small_signal(self, volts: Mapping[str, float]) -> Iterator[Resistor]:
        over = np.array([volts[self.anode] - volts[self.cathode]])
        _, slope = type(self.model).laws([self.model], [1.0]).current_and_slope(over)
        yield Resistor(self.name, self.anode, self.cathode, float(slope[0]))


@dataclass(frozen=True)
class Mosfet(Part):
    """A square-law transistor from `drain` to `source`, which are alike, with its `gate` (`harness.devices.mosfet`).

    It is reciprocal where its gate is at its drain or its source, and between sources and one free node.
    """

    name: str
    drain: str
    gate: str
    source: str
    model: MosfetModel

    noun: ClassVar[str] = "transistor"

    @property
    def pins(self) -> tuple[str, str, str]:
        """Drain, gate and source."""
        return self.drain, self.gate, self.source

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        return ((self.drain, self.source),)

    @override
    def check(self) -> None:
        check_apart(self.title, "drain and source are", (self.drain, self.source))

    @override
    def reciprocal(self, free: Container[str]) -> bool:
        return self.gate in (self.drain, self.source) or sum(node in free for node in self.pins) <= 1

    @override
    def lowered(self) -> Iterator[Primitive]:
        yield Device(f"m{self.name}", (*self.pins, self.source), self.model)

    @override
    def small_signal(self, volts: Mapping[str, float]) -> "Iterator[Element]":
        over = np.array([volts[self.gate] - volts[node] for node in (self.source, self.drain)])
        _, (from_source, from_drain) = MosfetModel.laws([self.model], [1.0]).current_and_slope(over)
        if self.gate == self.drain:
            yield Resistor(self.name, self.drain, self.source, float(from_source))
            return
        yield Resistor(self.name, self.drain, self.source, float(from_drain))
        if self.gate != self.source and from_source != from_drain:
            pins = (self.drain, self.source, self.gate, self.source)
            yield Transconductor(f"{self.name}_gm", *pins, float(from_source - from_drain))


@dataclass(frozen=True)
class VoltageSource(_Source):
    """A rail: holds `node` at `volts` above ground."""

    volts: float

    noun: ClassVar[str] = "rail"
    figure: ClassVar[tuple[str, str]] = ("volts", "V")

    @override
    def check(self) -> None:
        check_finite(f"voltage source {self.name}", self.volts, "V")

    @override
    def lowered(self) -> Iterator[Primitive]:
        yield Voltage(f"v{self.name}", (self.node, GROUND), self.volts)

    @override
    def small_signal(self, volts: Mapping[str, float]) -> Iterator[Self]:
        yield replace(self, volts=0.0)

    @override
    def row(self, channels: int) -> Array:
        return np.append(np.zeros(channels), self.volts)

    @override
    def level(self, inputs: Array) -> Array:
        return np.full(len(inputs), self.volts)


@dataclass(frozen=True)
class InputSource(_Source):
    """An input pin: holds `node` at `gain` × the value of input `channel` (V); two of opposite gain double an input."""

    channel: int
    gain: float

    noun: ClassVar[str] = "input pin"
    figure: ClassVar[tuple[str, str]] = ("gain", "V/V")

    @override
    def check(self) -> None:
        check_finite(f"input {self.name}: gain", self.gain, "V/V")
        if self.channel < 0:
            raise CircuitError(f"input {self.name}: channel {self.channel} must not be negative")

    @override
    def lowered(self) -> Iterator[Primitive]:
        yield Input(f"v{self.name}", (self.node, GROUND), self.channel, self.gain)

    @override
    def small_signal(self, volts: Mapping[str, float]) -> Iterator[Self]:
        yield replace(self, gain=0.0)

    @override
    def level(self, inputs: Array) -> Array:
        return self.gain * inputs[:, self.channel]

    @override
    def row(self, channels: int) -> Array:
        row = np.zeros(channels + 1)
        row[self.channel] = self.gain
        return row


@dataclass(frozen=True)
class CurrentSource(Part):
    """A constant current (A) out of `source` and into `sink`."""

    name: str
    source: str
    sink: str
    amperes: float

    noun: ClassVar[str] = "current source"
    figure: ClassVar[tuple[str, str]] = ("amperes", "A")

    @property
    def pins(self) -> Path:
        """The nodes that the current comes from and goes to."""
        return self.source, self.sink

    @override
    def check(self) -> None:
        check_finite(self.title, self.amperes, "A")

    @override
    def lowered(self) -> Iterator[Primitive]:
        yield Current(f"i{self.name}", self.pins, self.amperes)

    @override
    def small_signal(self, volts: Mapping[str, float]) -> Iterator[Self]:
        yield replace(self, amperes=0.0)


@dataclass(frozen=True)
class BidirectionalAmplifier(_Stage):
    """An amplifier of `gain` A: v(output) = A (v(input) + offset), and i(input) = i(output) / A.

    i(output) leaves it at its output, i(input) enters it at its input, A. Signals grow forward, error currents shrink
    backward (Kendall et al. 2020).
    """

    noun: ClassVar[str] = "bidirectional amplifier"

    @property
    @override
    def title(self) -> str:
        return f"amplifier {self.name}"

    @override
    def check(self) -> None:
        if self.gain <= 0:
            raise CircuitError(f"{self.title}: gain {self.gain:g} must be above 0")
        super().check()

    @override
    def lowered(self) -> Iterator[Primitive]:
        inner = f"{RESERVED}{self.name}"
        yield Vcvs(f"e{self.name}", (inner, GROUND, self.input, GROUND), self.gain, self.offset)
        yield Sense(f"v{inner}", (inner, self.output))
        yield Cccs(f"f{self.name}", (self.input, GROUND), f"v{inner}", 1 / self.gain)


@dataclass(frozen=True)
class Buffer(_Stage):
    """A buffer between stages of a cascade: v(output) = gain (v(input) + offset), and no current enters its input.

    A negative gain inverts. No error returns through it: the circuit is not reciprocal (Chaffey 2025).
    """

    noun: ClassVar[str] = "buffer"

    @override
    def lowered(self) -> Iterator[Primitive]:
        yield Vcvs(f"e{self.name}", (self.output, GROUND, self.input, GROUND), self.gain, self.offset)


@dataclass(frozen=True)
class Gyrator(_TwoPort):
    """Two ports of which each turns the other's voltage into a current: i₁ = g v₂ and i₂ = −g v₁.

    v₁ = v(a) − v(b) with i₁ into `a` and out of `b`, v₂ = v(c) − v(d) with i₂ into `c` and out of `d`. Lossless, not
    reciprocal; g in S, of either sign (Tellegen 1948).
    """

    conductance: float

    noun: ClassVar[str] = "gyrator"
    figure: ClassVar[tuple[str, str]] = ("conductance", "S")

    @override
    def reciprocal(self, free: Container[str]) -> bool:
        return False

    @override
    def lowered(self) -> Iterator[Primitive]:
        a, b, c, d = self.pins
        yield Vccs(f"g{self.name}_1", (a, b, c, d), self.conductance)
        yield Vccs(f"g{self.name}_2", (c, d, a, b), -self.conductance)


@dataclass(frozen=True)
class Transconductor(_TwoPort):
    """A current g (v(c) − v(d)) from `a` through it to `b`; `c` and `d` draw none. Not reciprocal; g of either sign."""

    conductance: float

    noun: ClassVar[str] = "transconductor"
    figure: ClassVar[tuple[str, str]] = ("conductance", "S")

    @override
    def reciprocal(self, free: Container[str]) -> bool:
        return False

    @override
    def lowered(self) -> Iterator[Primitive]:
        yield Vccs(f"g{self.name}", self.pins, self.conductance)


@dataclass(frozen=True)
class Transformer(_TwoPort):
    """Two ports with v₁ = n v₂ and i₂ = −n i₁; ports as of `Gyrator`. Lossless and reciprocal, ideal down to DC."""

    ratio: float

    noun: ClassVar[str] = "transformer"
    figure: ClassVar[tuple[str, str]] = ("ratio", "V/V")

    @property
    @override
    def paths(self) -> tuple[Path, ...]:
        return (self.a, self.b), (self.c, self.d)

    @override
    def lowered(self) -> Iterator[Primitive]:
        inner = f"{RESERVED}{self.name}"
        yield Vcvs(f"e{self.name}", (inner, self.b, self.c, self.d), self.ratio)
        yield Sense(f"v{inner}", (self.a, inner))
        yield Cccs(f"f{self.name}", (self.d, self.c), f"v{inner}", self.ratio)


@dataclass(frozen=True)
class Output:
    """One prediction of a circuit, read as v(plus) − v(minus); `minus` is ground for a single output."""

    name: str
    plus: str
    minus: str = GROUND


Source = VoltageSource | InputSource
"""An element that holds a node at a voltage that nothing in the circuit changes."""
Modelled = Diode | Mosfet
"""Devices whose parameters stand in a model."""
Stage = BidirectionalAmplifier | Buffer
"""An element that holds one node at a multiple of another."""
TwoPort = Gyrator | Transconductor | Transformer
Element = Resistor | Modelled | Stage | TwoPort | InputSource | VoltageSource | CurrentSource | TrainableArray
"""All of them, in the order in which tables list them."""


def rectifier(name: str, start: str, end: str, model: DiodeModel | MosfetModel) -> Modelled:
    """Return a device that conducts from `start` to `end`: a diode, or a transistor that is connected as one."""
    if isinstance(model, DiodeModel):
        return Diode(name, start, end, model)
    return Mosfet(name, start, start if model.polarity == "n" else end, end, model)
