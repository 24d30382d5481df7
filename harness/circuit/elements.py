"""The parts of a circuit: plain frozen data, no simulator.

Names of elements and nodes are made of ``[A-Za-z0-9_]`` and are unique without regard to case; ground is ``"0"``.
Voltages are in V, currents in A, conductances in S.
"""

from dataclasses import dataclass, field

import numpy as np

from harness.devices import DiodeModel
from harness.measurement import Array

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
    """Holds `output` at `gain` × the voltage of `input`, and draws 1/`gain` of the output's current from `input`.

    Kendall et al. 2020, §3: signals grow forward, error currents shrink backward.
    """

    name: str
    input: str
    output: str
    gain: float


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

    @property
    def shape(self) -> tuple[int, int]:
        """Word lines, bit lines."""
        return len(self.words), len(self.bits)

    def cell(self, word: int, bit: int) -> str:
        """The cell's name, as netlists write it."""
        return f"{self.name}_{word}_{bit}"

    def with_conductances(self, conductances: Array) -> "Crossbar":
        """The same array programmed to other values (S, ``[word, bit]``)."""
        return Crossbar(self.name, self.words, self.bits, np.array(conductances, float), self.g_min, self.g_max)


@dataclass(frozen=True)
class Output:
    """What is read as one prediction: v(plus) − v(minus); `minus` is ground for a single output."""

    name: str
    plus: str
    minus: str = GROUND


Element = Resistor | Diode | VoltageSource | InputSource | CurrentSource | BidirectionalAmplifier | Crossbar
