"""Dialects of netlists and what they are given: the border between designs and texts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from typing_extensions import override

from harness.circuit import Circuit
from harness.circuit.primitives import Primitive
from harness.devices import CellLaw
from harness.measurement import Array
from harness.netlist.design.naming import ohms
from harness.netlist.design.parts import Design, Memristor
from harness.netlist.tolerances import TIGHT, Tolerances

WIDTH = 100
"""Columns of a line that is continued."""


class Phase(StrEnum):
    """Phases of a testbench."""

    FREE = "free"
    NUDGED = "nudged"


@dataclass(frozen=True, eq=False)
class Stimulus:
    """The samples that are applied to a network one after the other, each held long enough to be read.

    There are no capacitances, so every point in time is an operating point.
    """

    inputs: Array
    """V before the input gain, ``[samples, channels]``."""
    targets: Array
    """V at the outputs, ``[samples, outputs]``."""
    beta: float
    """S of the spring between every output and its target in the nudged phase."""
    tolerances: Tolerances = TIGHT
    hold: int = 1000
    """ns from sample to sample."""
    ramp: int = 10
    """ns in which a source changes at the beginning of a hold."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def stop(self) -> float:
        """The time at which the last hold ends, s."""
        return seconds(self.hold * len(self))

    def middle(self, sample: int) -> float:
        """Return the time at which a sample's voltages are read, s."""
        return seconds(self.hold * sample + self.hold // 2)

    def corners(self, volts: Sequence[float]) -> list[tuple[float, float]]:
        """Times (s) and levels (V) of a source that has one level in each hold."""
        points = []
        for sample, level in enumerate(volts):
            begin = self.hold * sample
            points += [(begin + (self.ramp if sample else 0), level), (begin + self.hold, level)]
        return [(seconds(time), level) for time, level in points]


def seconds(nanoseconds: int) -> float:
    """The float nearest to so many ns, in s."""
    return nanoseconds / 1e9


NETWORK = "xnet"
"""The network's instance in testbenches."""


def fitted(design: Design, most_ports: int | None) -> Design:
    """The design without cells of more ports than there may be, but for the top cell."""
    if most_ports is None:
        return design
    return design.flat(lambda cell: len(cell.ports) <= most_ports)


def opened(design: Design, most_ports: int | None) -> bool:
    """Return whether the top cell has too many ports; its contents then stand in the testbench, with its own nets."""
    return most_ports is not None and len(design.top.ports) > most_ports


def flattened(design: Design, dialect: "Dialect") -> Design:
    """The design in one cell; in CDL stages, which are empty there, stay cells of their own."""
    return design.flat(lambda cell: cell.role.stage and not dialect.has_testbench)


class Dialect(Protocol):
    """A language of netlists. Lines come without line ends; long ones are continued as the language wants it."""

    name: str
    """The dialect's name on the command line."""
    title: str
    """The simulator's name, for people."""
    suffix: str
    """Suffix of its files, without a dot."""
    command: str
    """The command that simulates the free phase of a package, with a comment; empty where there is none."""
    has_testbench: bool
    """True where the language has sources and analyses."""
    joint: str
    """Between the parts of a path in results."""
    most_ports: int | None
    """Ports that a subcircuit may have; cells with more are written in place of their calls, see `opened`."""

    @property
    def conditions(self) -> Mapping[str, str]:
        """Meaning of its options: the name in `Conditions.values`, or nothing where no voltage depends on one."""

    def comment(self, text: str) -> str:
        """A line that says something to people; `text` is one line of printable ASCII."""
        return f"* {text}".rstrip()

    def resistor(self, name: str, a: str, b: str, siemens: float) -> str:
        """A resistor of that conductance, above 0 S."""
        return f"{name} {a} {b} {ohms(siemens)}"

    def nonlinear_cell(self, name: str, a: str, b: str, siemens: float, law: CellLaw) -> list[str]:
        """A cell whose current is not proportional to its voltage; `name` begins without a letter."""

    def placed(self, name: str, nets: Sequence[str], master: str, parameters: Mapping[str, float]) -> str:
        """An instance of something that a library or the models' file defines; `name` with its letter."""

    def network(self, design: Design, cells: "CellStyle") -> Iterator[str]:
        """Yield the lines of all cells, the top one last."""

    def models(self, design: Design, cells: "CellStyle") -> Iterator[str]:
        """Yield the lines of the diodes' models, and of what cells need."""

    def parameters(self, design: Design, stimulus: Stimulus) -> Iterator[str]:
        """Yield the lines of tolerances and temperature, β, and the volts of the rails."""

    def testbench(self, design: Design, stimulus: Stimulus, phase: Phase) -> Iterator[str]:
        """Yield sources, the network between them, and the analysis; the lines include the package's other files."""

    def primitive(self, part: Primitive) -> str:
        """The line of a part that is no memristor."""


class CellStyle(Protocol):
    """The kind of device that a trainable cell becomes, with the answers that most of them give."""

    @property
    def name(self) -> str:
        """The style's name on the command line."""

    @property
    def exact(self) -> bool:
        """True where it conducts as the circuit's cell does, so that the expected voltages come out."""
        return True

    @property
    def read_volts(self) -> float | None:
        """The voltage over a cell up to which it conducts as trained, V; None if it always does."""
        return None

    def conducting(self, circuit: Circuit) -> Circuit | None:
        """The circuit with cells that conduct as these do; None if they move in time, so that only simulation tells."""
        return circuit

    def about(self, design: Design, dialect: Dialect) -> Sequence[str]:  # noqa: ARG002
        """Sentences for the package's README; nothing where there is nothing to say."""
        return ()

    def first(self, dialect: Dialect) -> Sequence[str]:  # noqa: ARG002
        """Commands that make something of the package's files before it can be simulated."""
        return ()

    def files(self) -> Mapping[str, str]:
        """Files of its own in the package, texts by name."""
        return {}

    def instance(self, cell: Memristor) -> str:
        """The name of a cell's instance: its own behind the letter of the device."""

    def definitions(self, design: Design, dialect: Dialect) -> Iterator[str]:  # noqa: ARG002
        """Lines of the models' file that its instances need."""
        return iter(())

    def lines(self, cell: Memristor, design: Design, dialect: Dialect) -> Iterator[str]:
        """Yield the lines of one cell; an open one has none."""


@dataclass(frozen=True)
class ResistorCells(CellStyle):
    """Cells as resistors at their programmed conductance, or as sources where their law is nonlinear; no open cells."""

    name: str = "resistor"

    @override
    def instance(self, cell: Memristor) -> str:
        return f"r{cell.name}"

    @override
    def lines(self, cell: Memristor, design: Design, dialect: Dialect) -> Iterator[str]:
        if not cell.siemens:
            return
        law, (a, b) = design.arrays[cell.array].law, cell.nets
        if law.linear:
            yield dialect.resistor(f"r{cell.name}", a, b, cell.siemens)
        else:
            yield from dialect.nonlinear_cell(cell.name, a, b, cell.siemens, law)


RESISTORS = ResistorCells()


def wrapped(words: Sequence[str], begin: str = "+ ", end: str = "") -> list[str]:
    """Words as a line of at most `WIDTH` columns (but for longer words) and its continuations."""
    lines, line = [], ""
    for word in words:
        if line and len(line) + 1 + len(word) + len(end) > WIDTH:
            lines.append(line + end)
            line = begin + word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]
