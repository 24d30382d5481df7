"""Primitives that elements come down to: conductances, devices with a law, sources and controlled sources.

Every element states its own lowering (`harness.circuit.elements`); netlists, packages, equations, power and the report
consume these parts alone. A part's name begins with the letter that SPICE gives its kind. Its current flows from its
first net through it to its second one. Nets are nodes of a circuit or, within a package, nets of a cell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from typing_extensions import override

from harness.devices import CellLaw
from harness.measurement import Array, Index

RESERVED = "harness_"
"""Prefix of names that lowering and netlists invent: inner nodes and senses of amplifiers, nudges, the swept source."""
Branch = tuple[int, int, int, int]
"""Numbers of a device's pins: where a current begins and ends, and the two between which the voltage is it follows."""


class Law(Protocol):
    """The currents of many branches, each a function of one voltage; arrays broadcast together with voltages."""

    def current_and_slope(self, volts: Array) -> tuple[Array, Array]:
        """Current (A) and its slope (S) at voltages (V), ``[..., branches]``."""
        ...

    def limited(self, new: Array, old: Array) -> Array:
        """The voltages (V) at which Newton's method takes the next tangents, on its way from `old` to `new`."""
        ...

    def upright(self) -> Self:
        """The same law for voltages whose last axis is the batch, ``[branches, batch]``."""
        ...

    def softened(self, softness: float) -> Self:
        """The same law for devices whose currents grow over so many times the voltage, if they grow exponentially."""
        ...

    @property
    def sharpest(self) -> float:
        """The least voltage (V) over which a current grows e-fold; infinite where none grows exponentially."""
        ...


class Model(Protocol):
    """The parameters of a device, and all that is said about its kind."""

    letter: ClassVar[str]
    """First letter of names in SPICE."""
    noun: ClassVar[str]
    """As the report calls the device."""
    branches: ClassVar[tuple[Branch, ...]]
    """Each has the current of `laws`."""
    instance: ClassVar[Mapping[str, float]]
    """Parameters that SPICE wants of every device."""

    @property
    def name(self) -> str:
        """The model's name in netlists."""
        ...

    def card(self, unit: float = 1.0) -> tuple[str, Mapping[str, float]]:
        """SPICE's type of model, and its parameters where currents and voltages count in units of so many A and V."""
        ...

    @property
    def figures(self) -> Mapping[str, tuple[float, str]]:
        """Its parameters with their units, under the symbols by which people know them."""
        ...

    @staticmethod
    def laws(models: Sequence[Any], units: Sequence[float]) -> Law:
        """The law of all branches of devices of this kind, device by device; units as of `card`."""
        ...


@dataclass(frozen=True, slots=True)
class Primitive:
    """Base of all primitives."""

    name: str
    nets: tuple[str, ...]

    def renamed(self, own: Callable[[str], str], net: Callable[[str], str]) -> Self:
        """Return the primitive under another name, at other nets."""
        return replace(self, name=own(self.name), nets=tuple(map(net, self.nets)))


@dataclass(frozen=True, slots=True)
class Conductance(Primitive):
    """``r``: a resistor of `siemens` above 0 S."""

    siemens: float


@dataclass(frozen=True, slots=True)
class Cell(Primitive):
    """A closed trainable cell; its name has no letter yet, as that depends on its law."""

    siemens: float
    law: CellLaw


@dataclass(frozen=True, slots=True)
class Device(Primitive):
    """``d``, ``m``: a device with a model; nets in SPICE's order."""

    model: Model


@dataclass(frozen=True, slots=True)
class Voltage(Primitive):
    """``v``: v(first net) − v(second net) = volts."""

    volts: float


@dataclass(frozen=True, slots=True)
class Sense(Primitive):
    """``v``: 0 V between its nets; a `Cccs` follows its current."""


@dataclass(frozen=True, slots=True)
class Input(Primitive):
    """``v``: v(first net) − v(second net) = gain × the value of an input channel."""

    channel: int
    gain: float


@dataclass(frozen=True, slots=True)
class Current(Primitive):
    """``i``: amperes flow."""

    amperes: float


@dataclass(frozen=True, slots=True)
class Vcvs(Primitive):
    """``e``: v(first net) − v(second net) = gain × (v(third) − v(fourth) + offset)."""

    gain: float
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Vccs(Primitive):
    """``g``: siemens × (v(third) − v(fourth)) flows."""

    siemens: float


@dataclass(frozen=True, slots=True)
class Cccs(Primitive):
    """``f``: gain × the current through the `Sense` of that name flows."""

    sense: str
    gain: float

    @override
    def renamed(self, own: Callable[[str], str], net: Callable[[str], str]) -> Self:
        return replace(self, name=own(self.name), nets=tuple(map(net, self.nets)), sense=own(self.sense))


@dataclass(frozen=True, eq=False)
class DeviceBranches:
    """The branches of all devices of one kind, with the law of their currents; ends are numbers of nodes."""

    first: Index
    """Nodes where currents begin, as numbers, ``[branches]``."""
    second: Index
    """Nodes where currents end."""
    above: Index
    """Currents follow the voltage between these nodes and those `below`."""
    below: Index
    law: Law

    @classmethod
    def of(cls, pins: Index, models: Sequence[Model], units: Sequence[float] | None = None) -> Self:
        """The branches of devices of one kind, pins at nodes ``[devices, pins]``; units as of `Model.card`."""
        kind = type(models[0])
        first, second, above, below = pins[:, np.array(kind.branches)].reshape(-1, 4).T
        return cls(first, second, above, below, kind.laws(models, units or [1.0] * len(models)))

    @property
    def transposed(self) -> Self:
        """The branches of the adjoint network: each current flows where its voltage was, and the other way round."""
        return replace(self, first=self.above, second=self.below, above=self.first, below=self.second)

    def slopes(self, grounded: Array) -> Array:
        """Return the small-signal conductances (S) about voltages of nodes and ground (V, ``[batch, nodes + 1]``)."""
        return self.law.current_and_slope(grounded[:, self.above] - grounded[:, self.below])[1]

    @property
    def two_terminal(self) -> bool:
        """True where every current follows the voltage over its own branch."""
        return np.array_equal(self.first, self.above) and np.array_equal(self.second, self.below)
