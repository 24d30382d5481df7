"""A circuit as designers build it: a hierarchy of cells, pure data, from which every dialect is written.

Crossbars are cut into tiles with word and bit lines as ports, diodes at one node are a neuron, amplifiers and other
stages are cells of their own. Independent sources stay outside: what they hold or feed is a port of the top cell, and
ground is its port ``vss``. All names are those of the netlist (`harness.netlist.design.naming`); where the circuit's
own names went is in `Design.nodes` and `Design.elements`. `harness.netlist.design.design.design_of` makes a design of a
circuit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Self

from typing_extensions import override

from harness.circuit import Circuit, CurrentSource, InputSource, Output, TrainableArray, VoltageSource
from harness.circuit.primitives import Model, Primitive
from harness.netlist.design.naming import JOINT

Path = tuple[str, ...]
"""Names of instances from the top cell down; the last one is that of a primitive or, for nodes, of a net."""
Tile = tuple[int, int]
"""Most word lines and most bit lines of a tile."""


class Direction(StrEnum):
    """Directions of a port, as CDL's ``*.PININFO`` writes them."""

    INPUT = "I"
    OUTPUT = "O"
    BOTH = "B"


class Role(StrEnum):
    """Roles of a cell."""

    TOP = "top"
    TILE = "tile"
    """A part of a `Crossbar`; ports are lines."""
    EDGES = "edges"
    """An `Edges` array, with the segments of its lines where it is a crossbar whose lines have resistance, or with the
    selectors of its cells."""
    NEURON = "neuron"
    """The devices at one node, or between two nodes."""
    AMPLIFIER = "amplifier"
    BUFFER = "buffer"
    GYRATOR = "gyrator"
    TRANSCONDUCTOR = "transconductor"
    TRANSFORMER = "transformer"

    @property
    def stage(self) -> bool:
        """True for cells that consist of controlled sources, which layouts have no device for."""
        return self not in {Role.TOP, Role.TILE, Role.EDGES, Role.NEURON}


@dataclass(frozen=True, slots=True)
class Port:
    """A net of a cell that its surroundings connect to."""

    name: str
    direction: Direction = Direction.BOTH


@dataclass(frozen=True, slots=True)
class Memristor(Primitive):
    """One trainable cell between the nets of its word line and its bit line, or of both ends.

    Its name has no letter in front yet: dialects and cell styles decide what device it is.
    """

    siemens: float
    """Programmed; 0 S for an open cell."""
    array: str
    """Key in `Design.arrays`, which has limits and law."""
    position: tuple[int, ...]
    """Word and bit, or edge, in that array."""

    @override
    def renamed(self, own: Callable[[str], str], net: Callable[[str], str]) -> Self:
        return replace(self, name=own(f"r{self.name}")[1:], nets=tuple(map(net, self.nets)))


@dataclass(frozen=True, slots=True)
class Call(Primitive):
    """An instance of a cell; its name begins with ``x``, its nets are in the order of the cell's ports."""

    cell: str


@dataclass(frozen=True, eq=False)
class Cell:
    """A subcircuit."""

    name: str
    role: Role
    ports: tuple[Port, ...]
    instances: tuple[Primitive, ...]

    @property
    def port_names(self) -> tuple[str, ...]:
        """The names of the ports, in order."""
        return tuple(port.name for port in self.ports)


@dataclass(frozen=True, eq=False)
class Design:
    """A network with its cells; those that are called come before those that call them, the top cell is last."""

    circuit: Circuit
    """The circuit that it was made of."""
    cells: tuple[Cell, ...]
    models: tuple[Model, ...]
    """Under the netlist's names."""
    arrays: dict[str, TrainableArray]
    """By the netlist's name, in the circuit's order."""
    rails: tuple[VoltageSource, ...]
    """With the netlist's names and nets, as the next three; nodes of these are ports of the top cell, or ``vss``."""
    inputs: tuple[InputSource, ...]
    currents: tuple[CurrentSource, ...]
    outputs: tuple[Output, ...]
    nodes: dict[str, Path]
    """Path of each of the circuit's nodes; the last part is a net of the cell that the others lead to."""
    elements: dict[str, Path]
    """Path of each resistor and diode, and of the call of each stage; sources and trainable arrays are not here."""

    @property
    def top(self) -> Cell:
        """The cell that is the network."""
        return self.cells[-1]

    @cached_property
    def cell(self) -> dict[str, Cell]:
        """Cells by name."""
        return {cell.name: cell for cell in self.cells}

    def memristors(self) -> Iterator[tuple[Path, Memristor]]:
        """Every trainable cell, with the calls that lead to it."""
        for instance in self.top.instances:
            if isinstance(instance, Memristor):
                yield (), instance
            elif isinstance(instance, Call):
                for inner in self.cell[instance.cell].instances:
                    if isinstance(inner, Memristor):
                        yield (instance.name,), inner

    def flat(self, keep: Callable[[Cell], bool] = lambda _: False) -> "Design":
        """Return the network with the contents of cells in place of their calls, but for cells that are to be kept.

        An instance at path ``(x…, r…)`` is then called by the letter of its own name and the rest of all names, joined
        by ``__``; so are nets that belonged to a cell.
        """
        kept = {cell.name for cell in self.cells[:-1] if keep(cell)}
        open_calls: set[str] = set()
        instances: list[Primitive] = []
        for instance in self.top.instances:
            if isinstance(instance, Call) and instance.cell not in kept:
                open_calls.add(instance.name)
                instances += _inlined(instance, self.cell[instance.cell])
            else:
                instances.append(instance)
        elements, nodes = (
            {name: (shorten(path),) if path[0] in open_calls else path for name, path in paths.items()}
            for shorten, paths in ((flat_instance, self.elements), (flat_net, self.nodes))
        )
        top = replace(self.top, instances=tuple(instances))
        cells = (*(cell for cell in self.cells[:-1] if cell.name in kept), top)
        return replace(self, cells=cells, nodes=nodes, elements=elements)


def flat_net(path: Path) -> str:
    """Return the name of the net at that path in a flat netlist."""
    return JOINT.join([*(call[1:] for call in path[:-1]), path[-1]])


def flat_instance(path: Path) -> str:
    """Return the name of the instance at that path in a flat netlist.

    A stage falls apart there: its parts are called like it, but for the letter, and ``__`` with their own names.
    """
    return path[-1][0] + JOINT.join(name[1:] for name in path)


def _inlined(call: Call, cell: Cell) -> Iterator[Primitive]:
    """The cell's instances as they stand in the cell that calls it."""
    nets = dict(zip(cell.port_names, call.nets, strict=True))
    stem = call.name[1:]

    def net(name: str) -> str:
        return nets.get(name) or f"{stem}{JOINT}{name}"

    def own(name: str) -> str:
        return f"{name[0]}{stem}{JOINT}{name[1:]}"

    return (instance.renamed(own, net) for instance in cell.instances)
