"""Comparison of a layout's netlist with the schematic (LVS): devices, connections, and the name of every line."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from klayout import db

from harness.exchange.layout.extraction import DEVICE, Read, extracted
from harness.exchange.layout.plan import Plan
from harness.exchange.lvs import read_cdl


def differences(read: Read, plan: Plan) -> list[str]:
    """Return what differs between a layout and its schematic, a sentence each; nothing where they are the same.

    Values are not compared: no layout says what its cells are programmed to.
    """
    extraction, wrong = extracted(read)
    layout = extraction.netlist()
    arrays = [array.name for array in plan.arrays]
    wrong += _wrongly_placed(read, arrays)
    _open_vias(layout, {plan.top, *arrays, *(tile.name for array in plan.arrays for tile in array.tiles)})
    wrong += _above(layout, plan.top)
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        schematic = read_cdl(db, Path(folder) / "schematic.cdl", plan.schematic)
    comparer = db.NetlistComparer()
    wrong += _tied(comparer, layout, schematic)
    resistor = layout.device_class_by_name(DEVICE)
    if resistor is not None:
        resistor.equal_parameters = db.EqualDeviceParameters.ignore(db.DeviceClassResistor.PARAM_R)
    logger = _Differences()
    if not comparer.compare(layout, schematic, logger):
        wrong += logger.found or ["devices or connections differ"]
    return wrong


def _wrongly_placed(read: Read, arrays: Sequence[str]) -> Iterator[str]:
    """Yield the crossbars that the layout does not hold exactly once."""
    for name in arrays:
        cell = read.layout.cell(name)
        count = sum(parent.child_inst().size() for parent in cell.each_parent_inst()) if cell else 0
        if count != 1:
            yield f"crossbar {name} is placed {count} times; it must be placed once"


def _open_vias(layout: db.Netlist, kept: set[str]) -> None:
    """Put the contents of every cell that the schematic does not know in the places of its instances."""
    for circuit in list(layout.each_circuit_bottom_up()):
        if circuit.name not in kept:
            layout.flatten_circuit(circuit)


def _above(layout: db.Netlist, top: str) -> Iterator[str]:
    """Take away the top cell, which connects nothing; yield the lines and cells that it has of its own."""
    if (circuit := layout.circuit_by_name(top)) is not None:
        for net in circuit.each_net():
            if net.subcircuit_pin_count() > 1:
                pins = [
                    f"{pin.pin().name()} of {pin.subcircuit().circuit_ref().name}" for pin in net.each_subcircuit_pin()
                ]
                yield f"cell {top} connects lines {' and '.join(pins)}"
        if any(True for _ in circuit.each_device()):
            yield f"cell {top} has via cells outside of every crossbar"
        layout.remove(circuit)
    layout.make_top_level_pins()


def _tied(comparer: db.NetlistComparer, layout: db.Netlist, schematic: db.Netlist) -> Iterator[str]:
    """Have lines match by name alone: in a full array, any two word lines could change places unnoticed."""
    for wanted in schematic.each_circuit():
        name = wanted.name.lower()
        found = layout.circuit_by_name(name)
        if found is None:
            yield f"there is no cell {name} with lines in it"
            continue
        comparer.same_circuits(found, wanted)
        for pin in wanted.each_pin():
            line = pin.name().lower()
            if (net := found.net_by_name(line)) is None:
                yield f"cell {name}: there is no line with the label {line} alone"
            else:
                comparer.same_nets(found, wanted, net, wanted.net_for_pin(pin.id()), True)


class _Differences(db.GenericNetlistCompareLogger):
    """Makes sentences of what KLayout finds different; it calls the functions by their names."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._cell = ""

    def begin_circuit(self, a: db.Circuit, b: db.Circuit) -> None:
        """Note which cell is compared."""
        self._cell = (a or b).name.lower()

    def circuit_mismatch(self, a: db.Circuit | None, b: db.Circuit | None, message: str) -> None:
        """Note a cell that only one side has."""
        self._add(a, b, "cell", message)

    def net_mismatch(self, a: db.Net | None, b: db.Net | None, message: str) -> None:
        """Note a line that is connected otherwise."""
        self._add(a, b, "line", message)

    def device_mismatch(self, a: db.Device | None, b: db.Device | None, message: str) -> None:
        """Note a cell between other lines than in the schematic."""
        ends = [_ends(device) for device in (a, b) if device is not None]
        only = "" if a is not None and b is not None else " only"
        side = "layout" if a is not None else "schematic"
        self._say(f"a via cell between {ends[0]} is in the {side}{only}", message)

    def pin_mismatch(self, a: db.Pin | None, b: db.Pin | None, message: str) -> None:
        """Note a port that only one side has."""
        self._add(a, b, "port", message)

    def subcircuit_mismatch(self, a: db.SubCircuit | None, b: db.SubCircuit | None, message: str) -> None:
        """Note a tile that is connected otherwise."""
        self._add(a, b, "tile", message)

    def _add(self, a: object, b: object, what: str, message: str) -> None:
        one = a if a is not None else b
        name = _name(one)
        side = (
            "differs"
            if a is not None and b is not None
            else f"is in the {'layout' if a is not None else 'schematic'} only"
        )
        self._say(f"{what} {name} {side}", message)

    def _say(self, told: str, message: str) -> None:
        self.found.append(f"cell {self._cell}: {told}" + (f" ({message})" if message else ""))


def _name(part: object) -> str:
    if isinstance(part, db.SubCircuit):
        return str(part.circuit_ref().name).lower()
    name = part.name  # type: ignore[attr-defined]
    told = str(name() if callable(name) else name).lower()
    return told or "without a label"


def _ends(device: db.Device) -> str:
    nets = [device.net_for_terminal(k) for k in (0, 1)]
    return " and ".join(_name(net) if net is not None else "nothing" for net in nets)
