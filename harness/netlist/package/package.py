"""A package of netlists: a design in a dialect, its testbench, and what it is expected to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harness.devices.diode import TEMPERATURE
from harness.measurement import Array
from harness.netlist.design.design import TILE, Tile
from harness.netlist.design.mapping import map_of, probe
from harness.netlist.design.parts import Design
from harness.netlist.deviation import Deviation
from harness.netlist.dialects import RESISTORS, CellStyle, Dialect, Phase, Stimulus
from harness.netlist.dialects.base import fitted
from harness.netlist.reading.statements import ABOUT_ANALYSES, statements_of
from harness.netlist.statistics.laws import Statistics


@dataclass(frozen=True)
class Origin:
    """The origin of a package, as its manifest says it."""

    experiment: str
    conductances: str
    """Such as ``"trained in iris-seed0"``."""
    run: str | None = None
    """The name of the run's directory."""
    versions: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[int, ...] = ()
    """Numbers of the samples among the held-out rows."""
    as_made: bool = False
    """True for the chip with its variation, not the circuit as it was drawn."""
    temperature: float | None = None
    """°C that the diodes' parameters are for; None is that of the simulator."""

    @property
    def temperature_note(self) -> str:
        """A note for whoever changes the simulator's temperature."""
        if self.diode_note:
            return f"{self.diode_note}, and so are resistances: at another temp the change would count twice"
        return f"expected.csv is for temp = {TEMPERATURE:g} C; at another one diodes change and resistances do not"

    @property
    def diode_note(self) -> str:
        """A note on the diodes' temperature; it is empty where that is the simulator's."""
        if self.temperature in (None, TEMPERATURE):
            return ""
        return f"diodes are written as they are at {self.temperature:g} C, for a simulator at {TEMPERATURE:g} C"


@dataclass(frozen=True, eq=False)
class Package:
    """The parts of a package."""

    design: Design
    dialect: Dialect
    stimulus: Stimulus
    expected: Mapping[Phase, Array]
    """V of the circuit's nodes, ``[samples, nodes]``."""
    origin: Origin
    tile: Tile = TILE
    cells: CellStyle = RESISTORS
    deviation: Deviation | None = None
    """Deviation from the network that was trained, if cells are not as linear as there."""
    statistics: Statistics | None = None
    """The differences between chips, if the package is to show them."""

    @cached_property
    def written(self) -> Design:
        """The design as the dialect can say it."""
        return fitted(self.design, self.dialect.most_ports)

    def deck(self, phase: Phase) -> list[str]:
        """The statements of a testbench with its files in their places, but for its options and analyses."""
        dialect, design, cells = self.dialect, self.written, self.cells
        parts = (
            dialect.parameters(design, self.stimulus),
            dialect.models(design, cells),
            dialect.network(design, cells),
            dialect.testbench(design, self.stimulus, phase),
        )
        statements = statements_of(line for part in parts for line in part)
        left_out = ABOUT_ANALYSES | {".include"}
        return [s.text for s in statements if s.text.split(maxsplit=1)[0] not in left_out]

    def nets(self) -> list[str]:
        """Return the names that results give to the voltages of the circuit's nodes."""
        mapped = map_of(self.written, self.dialect, self.cells)
        return [probe(mapped["nodes"][node], mapped, self.dialect.joint) for node in self.design.circuit.nodes]
