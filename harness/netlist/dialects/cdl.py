"""CDL, for layout versus schematic: resistors and diodes, cells, and nothing that a layout has no device for.

Amplifiers and other stages are empty cells, to be filled by those who draw them; sources are outside, at the pins.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import override

from harness.circuit.primitives import Conductance, Device, Primitive
from harness.devices import CellLaw
from harness.netlist.design.parts import Call, Cell, Design, Memristor
from harness.netlist.dialects.base import CellStyle, Dialect, Phase, Stimulus, wrapped
from harness.netlist.dialects.spice import head, mounted
from harness.units import spice_number


@dataclass(frozen=True)
class Cdl(Dialect):
    """The `Dialect`."""

    name: str = "cdl"
    title: str = "CDL"
    suffix: str = "cdl"
    command: str = ""
    joint: str = "/"
    most_ports: int | None = None
    has_testbench: bool = False

    @property
    @override
    def conditions(self) -> Mapping[str, str]:
        return {}

    @override
    def nonlinear_cell(self, name: str, a: str, b: str, siemens: float, law: CellLaw) -> list[str]:
        """A resistor at the conductance for small signals; the cell's head says how the device curves."""
        return [self.resistor(f"r{name}", a, b, siemens)]

    @override
    def placed(self, name: str, nets: Sequence[str], master: str, parameters: Mapping[str, float]) -> str:
        values = [f"{parameter}={spice_number(value)}" for parameter, value in parameters.items()]
        return " ".join([name, *nets, "/", master, *values])

    @override
    def network(self, design: Design, cells: CellStyle) -> Iterator[str]:
        for cell in design.cells:
            yield from wrapped([".SUBCKT", cell.name, *cell.port_names])
            yield from wrapped(["*.PININFO", *(f"{p.name}:{p.direction}" for p in cell.ports)], begin="*.PININFO ")
            yield from self._laws(cell, design)
            if not cell.role.stage:
                yield from self._body(cell, design, cells)
            yield ".ENDS"

    def _laws(self, cell: Cell, design: Design) -> Iterator[str]:
        names = {part.array: None for part in cell.instances if isinstance(part, Memristor)}
        for name in names:
            law = design.arrays[name].law
            if not law.linear:
                volts = spice_number(law.volts)
                yield self.comment(f"cells of {name} are {law.curve} with v0={volts}: values are for small signals")

    def _body(self, cell: Cell, design: Design, cells: CellStyle) -> Iterator[str]:
        for part in cell.instances:
            match part:
                case Memristor():
                    yield from cells.lines(part, design, self)
                case Call(name, nets, called):
                    yield from wrapped([name, *nets, "/", called])
                case _:
                    yield self.primitive(part)

    @override
    def primitive(self, part: Primitive) -> str:
        match part:
            case Conductance(name, (a, b), siemens):
                return self.resistor(name, a, b, siemens)
            case Device(model=model):
                return f"{head(part)} {mounted(model)}"
        raise AssertionError  # stages are empty

    def models(self, design: Design, cells: CellStyle) -> Iterator[str]:
        """Yield only what cells need: models are the layout tool's."""
        return cells.definitions(design, self)

    @override
    def parameters(self, design: Design, stimulus: Stimulus) -> Iterator[str]:
        """Yield nothing, as CDL has none."""
        return iter(())

    @override
    def testbench(self, design: Design, stimulus: Stimulus, phase: Phase) -> Iterator[str]:
        """Yield nothing, as CDL has none."""
        return iter(())


CDL = Cdl()
