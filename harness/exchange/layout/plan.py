"""The plan of a layout: which crossbar, in which tiles, with which cells; names are those of the netlist."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.circuit import Circuit, Crossbar
from harness.errors import CircuitError
from harness.netlist.design.design import design_of
from harness.netlist.design.naming import Names
from harness.netlist.design.parts import Call, Cell, Design, Memristor, Port, Role, Tile
from harness.netlist.dialects import CDL, RESISTORS
from harness.wording import listed


@dataclass(frozen=True)
class TilePlan:
    """A tile of a crossbar; lines are numbered as in the crossbar."""

    name: str
    words: range
    bits: range
    cells: tuple[tuple[int, int], ...]
    """Word and bit line of every cell that is not open."""


@dataclass(frozen=True)
class ArrayPlan:
    """A crossbar; `words` and `bits` are the nets of its lines."""

    name: str
    words: tuple[str, ...]
    bits: tuple[str, ...]
    tiles: tuple[TilePlan, ...]


@dataclass(frozen=True)
class Plan:
    """The crossbars of a network, and the netlist that their layout must have."""

    top: str
    via: str
    """Name of the layout's cell that is one resistive cell."""
    arrays: tuple[ArrayPlan, ...]
    schematic: str
    """The tiles of the exported CDL netlist, and a subcircuit for each crossbar with the calls of its tiles."""
    left_out: tuple[str, ...] = ()
    """Names of arrays that are no crossbars: edges of a graph, copies of kernels."""

    @property
    def cells(self) -> int:
        """The number of cells that are not open."""
        return sum(len(tile.cells) for array in self.arrays for tile in array.tiles)


def plan_of(circuit: Circuit, tile: Tile, name: str | None = None) -> Plan:
    """Plan the layout of a circuit's crossbars; `tile` and `name` as of `design_of`.

    Raises:
        CircuitError: the circuit has no crossbar, or the tile is smaller than one cell.
    """
    design = design_of(circuit, tile, name)
    crossbars = [name for name, array in design.arrays.items() if isinstance(array, Crossbar)]
    others = tuple(array.name for array in design.arrays.values() if not isinstance(array, Crossbar))
    if not crossbars:
        what = (
            f"its cells ({listed(others)}) lie on the edges of a graph or are copies of kernels"
            if others
            else "no cells"
        )
        raise CircuitError(f"circuit {circuit.name}: there is no crossbar to lay out; {what}")
    names = Names(cell.name for cell in design.cells)
    arrays = tuple(_array(design, array, names.claim(f"{design.top.name}_{array}")) for array in crossbars)
    via, top = names.claim(f"{design.top.name}_via"), names.claim(f"{design.top.name}_crossbars")
    return Plan(top, via, arrays, "\n".join(_schematic(design, arrays)) + "\n", others)


def _array(design: Design, array: str, name: str) -> ArrayPlan:
    """Plan one crossbar from the calls of its tiles."""
    nets: dict[str, str] = {}
    tiles = []
    for call in _calls(design):
        cell = design.cell[call.cell]
        parts = [part for part in cell.instances if isinstance(part, Memristor) and part.array == array]
        if cell.role is Role.TILE and parts:
            nets |= dict(zip(cell.port_names, call.nets, strict=True))
            words, bits = (_numbers(cell.port_names, letter) for letter in "wb")
            closed = tuple((part.position[0], part.position[1]) for part in parts if part.siemens)
            tiles.append(TilePlan(cell.name, words, bits, closed))
    lines = [tuple(nets[f"{letter}{k}"] for k in range(_count(nets, letter))) for letter in "wb"]
    return ArrayPlan(name, lines[0], lines[1], tuple(tiles))


def _numbers(ports: Sequence[str], letter: str) -> range:
    found = [int(port[1:]) for port in ports if port[0] == letter]
    return range(found[0], found[-1] + 1)


def _count(nets: dict[str, str], letter: str) -> int:
    return sum(port[0] == letter for port in nets)


def _calls(design: Design) -> Iterator[Call]:
    return (part for part in design.top.instances if isinstance(part, Call))


def _schematic(design: Design, arrays: Sequence[ArrayPlan]) -> Iterator[str]:
    """Yield the lines of the tiles, as `harness export --dialect cdl` writes them, and of the crossbars."""
    cells = [cell for cell in design.cells if cell.role is Role.TILE]
    for array in arrays:
        own = {tile.name for tile in array.tiles}
        calls = tuple(call for call in _calls(design) if call.cell in own)
        ports = tuple(map(Port, dict.fromkeys((*array.words, *array.bits))))
        cells.append(Cell(array.name, Role.EDGES, ports, calls))
    return CDL.network(replace(design, cells=tuple(cells)), RESISTORS)
