"""Conversion of a circuit into its design (`harness.netlist.design.parts`): cells and their names."""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from harness.circuit import GROUND, Circuit, Crossbar, CurrentSource, Edges, InputSource, Resistor, VoltageSource
from harness.circuit.elements import Modelled, Mosfet
from harness.circuit.elements import Source as HeldSource
from harness.circuit.primitives import Conductance, Device, Primitive
from harness.errors import CircuitError
from harness.netlist.design.naming import VSS, Names
from harness.netlist.design.parts import Call, Cell, Design, Direction, Memristor, Path, Port, Role, Tile
from harness.netlist.design.stages import StageElement, stage_cell

__all__ = ["TILE", "Design", "Source", "Tile", "design_of"]

TILE: Tile = (128, 128)
Source = HeldSource | CurrentSource
"""An element that stands outside the network."""


def design_of(circuit: Circuit, tile: Tile = TILE, name: str | None = None) -> Design:
    """The hierarchy of a circuit, nonlinear cells included.

    A tile has at most so many word lines and bit lines; names of all cells begin with that of the top cell, `name`.

    Raises:
        CircuitError: the tile is smaller than one cell.
    """
    if min(tile) < 1:
        raise CircuitError(f"tile {tile[0]}x{tile[1]}: it needs at least one word line and one bit line")
    return _Builder(circuit, tile, name or circuit.name).design()


class _Builder:
    """Collects cells and the top cell's instances."""

    def __init__(self, circuit: Circuit, tile: Tile, name: str) -> None:
        self.circuit, self.tile = circuit, tile
        self.cell_names, self.calls, self.others = Names(), Names(), Names()
        self.name = self.cell_names.claim(name)
        self.inner = _inner_nodes(circuit)
        nets = Names([VSS])
        self.nets = {GROUND: VSS}
        self.nets |= {node: nets.claim(node) for node in circuit.nodes if node not in self.inner}
        drawn = dict.fromkeys(e.model for e in circuit.elements if isinstance(e, Modelled))
        self.models = {model: replace(model, name=self.cell_names.claim(model.name)) for model in drawn}
        self.cells: list[Cell] = []
        self.known: dict[tuple[object, ...], str] = {}
        self.counts: Counter[Role] = Counter()
        self.instances: list[Primitive] = []
        self.nodes: dict[str, Path] = {node: (net,) for node, net in self.nets.items() if node != GROUND}
        self.elements: dict[str, Path] = {}
        names = Names()
        self.arrays = {names.claim(array.name): array for array in circuit.arrays}

    def design(self) -> Design:
        arrays = {array.name: name for name, array in self.arrays.items()}
        segments = _segments_of(self.circuit, self.inner)
        neurons = _neurons(self.circuit, segments.names)
        for element in self.circuit.elements:
            match element:
                case Crossbar():
                    self.crossbar(arrays[element.name], element)
                case Edges():
                    self.edges(arrays[element.name], element, segments.by_array[element.name])
                case Resistor() | Mosfet() if element.name in segments.names:
                    continue
                case Resistor():
                    name = f"r{self.others.claim(element.name)}"
                    self.instances.append(Conductance(name, self.at(element.pins), element.conductance))
                    self.elements[element.name] = (name,)
                case _ if element.name in neurons:
                    self.neuron(neurons[element.name])
                case _ if isinstance(element, StageElement):
                    self.stage(element)
        return self.finished()

    def finished(self) -> Design:
        names = Names()
        own = [self.source(e, names.claim(e.name)) for e in self.circuit.elements if isinstance(e, Source)]
        outputs = tuple(
            replace(o, name=names.claim(o.name), plus=self.nets[o.plus], minus=self.nets[o.minus])
            for o in self.circuit.outputs
        )
        top = Cell(self.name, Role.TOP, self.top_ports(), tuple(self.instances))
        return Design(
            circuit=self.circuit,
            cells=(*self.cells, top),
            models=tuple(self.models.values()),
            arrays=self.arrays,
            rails=tuple(s for s in own if isinstance(s, VoltageSource)),
            inputs=tuple(s for s in own if isinstance(s, InputSource)),
            currents=tuple(s for s in own if isinstance(s, CurrentSource)),
            outputs=outputs,
            nodes={node: self.nodes[node] for node in self.circuit.nodes},
            elements=self.elements,
        )

    def at(self, nodes: Iterable[str]) -> tuple[str, ...]:
        return tuple(self.nets[node] for node in nodes)

    def source(self, source: Source, name: str) -> Source:
        if isinstance(source, CurrentSource):
            return replace(source, name=name, source=self.nets[source.source], sink=self.nets[source.sink])
        return replace(source, name=name, node=self.nets[source.node])

    def top_ports(self) -> tuple[Port, ...]:
        """Inputs, rails, outputs, ends of current sources, ground."""
        ports: dict[str, Direction] = {}
        for kind in (InputSource, VoltageSource):
            held = [e.node for e in self.circuit.elements if isinstance(e, kind)]
            ports |= dict.fromkeys(self.at(held), Direction.INPUT)
        for output in self.circuit.outputs:
            for net in self.at((output.plus, output.minus)):
                ports.setdefault(net, Direction.OUTPUT)
        for element in self.circuit.elements:
            if isinstance(element, CurrentSource):
                for net in self.at(element.pins):
                    ports.setdefault(net, Direction.BOTH)
        ports.pop(VSS, None)
        return (*(Port(net, direction) for net, direction in ports.items()), Port(VSS))

    def call(self, wanted: str, cell: str, nets: Iterable[str]) -> str:
        """Put an instance of a cell into the top cell, and return its name."""
        name = f"x{self.calls.claim(wanted)}"
        self.instances.append(Call(name, tuple(nets), cell))
        return name

    def shared(self, content: tuple[object, ...], role: Role, ports: tuple[str, ...], parts: list[Primitive]) -> str:
        """The cell with that content, made when it is first asked for."""
        if content not in self.known:
            name = self.cell_names.claim(f"{self.name}_{role}_{self.counts[role]}")
            self.counts[role] += 1
            self.cells.append(Cell(name, role, tuple(map(Port, ports)), tuple(parts)))
            self.known[content] = name
        return self.known[content]

    def crossbar(self, name: str, crossbar: Crossbar) -> None:
        """Add a cell for each tile; lines and cells keep the numbers that they have in the crossbar."""
        words, bits = crossbar.shape
        for i, first_word in enumerate(range(0, words, self.tile[0])):
            for j, first_bit in enumerate(range(0, bits, self.tile[1])):
                rows = range(first_word, min(first_word + self.tile[0], words))
                columns = range(first_bit, min(first_bit + self.tile[1], bits))
                cell = self.cell_names.claim(f"{self.name}_{name}_{i}_{j}")
                ports = [*(f"w{w}" for w in rows), *(f"b{b}" for b in columns)]
                g = crossbar.conductances[rows.start : rows.stop, columns.start : columns.stop].tolist()
                parts = tuple(
                    Memristor(f"{w}_{b}", (f"w{w}", f"b{b}"), g[w - first_word][b - first_bit], name, (w, b))
                    for w in rows
                    for b in columns
                )
                self.cells.append(Cell(cell, Role.TILE, tuple(map(Port, ports)), parts))
                lines = [crossbar.words[w] for w in rows] + [crossbar.bits[b] for b in columns]
                self.call(f"{name}_{i}_{j}", cell, self.at(lines))

    def edges(self, name: str, edges: Edges, segments: list[Resistor | Mosfet]) -> None:
        """Add one cell for an array of edges; nodes that nothing outside touches are within it."""
        members = dict.fromkeys([*edges.a, *edges.b, *(node for s in segments for node in s.pins)])
        inner = [node for node in members if self.inner.get(node) == edges.name]
        outer = [node for node in members if node not in self.inner]
        local = {node: self.nets[node] for node in outer}
        nets = Names([*local.values(), VSS])
        local |= {node: nets.claim(node.casefold().removeprefix(f"{edges.name.casefold()}_")) for node in inner}
        g = edges.conductances.tolist()
        ends = zip(edges.a, edges.b, g, strict=True)
        parts: list[Primitive] = [
            Memristor(str(k), (local[a], local[b]), siemens, name, (k,)) for k, (a, b, siemens) in enumerate(ends)
        ]
        names, within = Names(), {}
        for segment in segments:
            own = names.claim(segment.name)
            for part in segment.lowered():
                within[segment.name] = instance = f"{part.name[0]}{own}"
                there = tuple(local[node] for node in part.nets)
                model = isinstance(segment, Mosfet) and self.models[segment.model]
                parts.append(Device(instance, there, model) if model else replace(part, name=instance, nets=there))
        cell = self.cell_names.claim(f"{self.name}_{name}")
        ports = self.at(outer)
        self.cells.append(Cell(cell, Role.EDGES, tuple(map(Port, ports)), tuple(parts)))
        own = self.call(name, cell, ports)
        self.elements |= {segment: (own, part) for segment, part in within.items()}
        self.nodes |= {node: (own, local[node]) for node in inner}

    def neuron(self, devices: list[Modelled]) -> None:
        """A cell for all neurons that are alike; its ports are ``a``, ``b`` …, in the order of the devices' pins."""
        nodes = dict.fromkeys(node for device in devices for node in device.pins)
        held = self.circuit.held_nodes | {GROUND}
        ordered = sorted(nodes, key=lambda node: (node == GROUND, node in held))
        local = {node: VSS if node == GROUND else _letters(k) for k, node in enumerate(ordered)}
        parts: list[Primitive] = []
        for k, device in enumerate(devices):
            name = f"{device.model.letter}{k}"
            nets = (local[node] for part in device.lowered() for node in part.nets)
            parts.append(Device(name, tuple(nets), self.models[device.model]))
        ports = tuple(local[node] for node in ordered)
        cell = self.shared((Role.NEURON, ports, *parts), Role.NEURON, ports, parts)
        call = self.call(f"n_{self.nets[ordered[0]]}", cell, self.at(ordered))
        self.elements |= {device.name: (call, part.name) for device, part in zip(devices, parts, strict=True)}

    def stage(self, stage: StageElement) -> None:
        role, ports, parts = stage_cell(stage)
        cell = self.shared((role, *parts), role, ports, parts)
        ground = (GROUND,) if VSS in ports else ()
        self.elements[stage.name] = (self.call(stage.name, cell, self.at((*stage.pins, *ground))),)


def _letters(k: int) -> str:
    return chr(ord("a") + k) if k < 26 else f"a{k}"


def _neurons(circuit: Circuit, within: Container[str]) -> dict[str, list[Modelled]]:
    """Devices that share the nodes that no source holds, by the name of their first, but for those `within` arrays."""
    held = circuit.held_nodes | {GROUND}
    groups: dict[object, list[Modelled]] = defaultdict(list)
    for device in (e for e in circuit.elements if isinstance(e, Modelled) and e.name not in within):
        free = frozenset(node for node in device.pins if node not in held)
        groups[free or device.name].append(device)
    return {devices[0].name: devices for devices in groups.values()}


def _segment(part: Resistor | Mosfet, edges: Mapping[str, Edges]) -> str | None:
    """The array that a part of a line or a selector belongs to, by how `LineResistance` and `Selector` name them."""
    kinds = "t" if isinstance(part, Mosfet) else "(?:r[wb]|l)"
    found = re.fullmatch(rf"(.+)_{kinds}\d+_\d+", part.name)
    return found.group(1) if found and found.group(1) in edges else None


def _inner_nodes(circuit: Circuit) -> dict[str, str]:
    """Return nodes along an array's lines, or between its cells and their selectors, with the array's name.

    Nothing else touches them but resistors to ground.
    """
    edges = {e.name: e for e in circuit.elements if isinstance(e, Edges)}
    owners: dict[str, set[str]] = defaultdict(set)
    lined: set[str] = set()
    for element in circuit.elements:
        owner = element.name
        if isinstance(element, Resistor | Mosfet):
            if isinstance(element, Resistor) and GROUND in element.pins:
                continue
            owner = _segment(element, edges) or owner
            lined |= {owner} & edges.keys()
        for node in element.pins:
            owners[node].add(owner)
    pins = {node for output in circuit.outputs for node in (output.plus, output.minus)}
    single = {node: next(iter(names)) for node, names in owners.items() if len(names) == 1}
    return {node: name for node, name in single.items() if name in lined and node not in pins}


def _segments_of(circuit: Circuit, inner: Mapping[str, str]) -> "_Segments":
    """The resistors and selectors that belong into each array's cell."""
    edges = {e.name: e for e in circuit.elements if isinstance(e, Edges)}
    found = _Segments({name: [] for name in edges}, set())
    for part in (e for e in circuit.elements if isinstance(e, Resistor | Mosfet)):
        owner = _segment(part, edges)
        if isinstance(part, Resistor) and GROUND in part.pins:
            owner = next((inner[node] for node in part.pins if node in inner), None)
        if owner is not None:
            found.by_array[owner].append(part)
            found.names.add(part.name)
    return found


@dataclass(frozen=True)
class _Segments:
    by_array: dict[str, list[Resistor | Mosfet]]
    names: set[str]
    """Names of all of these parts."""
