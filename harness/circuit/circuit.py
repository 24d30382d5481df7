"""`Circuit`: elements and ports, checked once when it is built."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from harness.circuit.elements import (
    GROUND,
    BidirectionalAmplifier,
    Buffer,
    Crossbar,
    CurrentSource,
    Diode,
    Edges,
    Element,
    Gyrator,
    InputSource,
    Output,
    Resistor,
    TrainableArray,
    Transformer,
    VoltageSource,
)
from harness.devices import DiodeModel
from harness.errors import CircuitError
from harness.measurement import Array, Conductances
from harness.units import show

RESERVED = "harness_"
"""How names start that the netlist writer invents: senses of amplifiers, nudges, the swept source."""
_NAME = re.compile(r"[A-Za-z0-9_]+")
_CONDUCTANCE_LIMIT = 1e6  # S: beyond it SPICE's own arithmetic loses the rest of the circuit


@dataclass(frozen=True, eq=False)
class Circuit:
    """A network as data: what the chip is, with its pins.

    Raises:
        CircuitError: names clash or cannot be written to a netlist, a value is out of bounds or not finite, a node
            has no DC path to ground, two ideal sources drive one node, or an output is missing. The message names
            the element.
    """

    name: str
    elements: tuple[Element, ...]
    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        _check_names(self)
        for element in self.elements:
            _check_values(element)
        _check_drivers(self)
        _check_paths(self)
        _check_ports(self)

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Every node but ground, in order of appearance."""
        seen = dict.fromkeys(node for element in self.elements for node in nodes_of(element))
        seen.pop(GROUND, None)
        return tuple(seen)

    @cached_property
    def node_index(self) -> dict[str, int]:
        """Position of each node in `nodes`."""
        return {node: index for index, node in enumerate(self.nodes)}

    @cached_property
    def arrays(self) -> tuple[TrainableArray, ...]:
        """The trainable arrays, in order."""
        return tuple(element for element in self.elements if isinstance(element, TrainableArray))

    @cached_property
    def channels(self) -> int:
        """Number of input channels."""
        return 1 + max((e.channel for e in self.elements if isinstance(e, InputSource)), default=-1)

    @cached_property
    def input_pins(self) -> int:
        """Number of pins that follow an input channel."""
        return sum(isinstance(element, InputSource) for element in self.elements)

    @cached_property
    def held_nodes(self) -> frozenset[str]:
        """Nodes whose voltage an ideal source or an amplifier dictates."""
        return frozenset(node for node in map(driven_node, self.elements) if node is not None)

    @property
    def conductances(self) -> Conductances:
        """The programmed conductances (S), one array per trainable array, in its shape."""
        return tuple(crossbar.conductances for crossbar in self.arrays)

    def with_conductances(self, conductances: Sequence[Array]) -> "Circuit":
        """The same circuit with other programmed conductances (S, one array per trainable array)."""
        if len(conductances) != len(self.arrays):
            raise CircuitError(
                f"circuit {self.name}: conductances for {len(conductances)} arrays, it has {len(self.arrays)}"
            )
        programmed = iter(conductances)
        elements = tuple(
            e.with_conductances(next(programmed)) if isinstance(e, TrainableArray) else e for e in self.elements
        )
        return replace(self, elements=elements)


def nodes_of(element: Element) -> tuple[str, ...]:
    """The nodes an element touches, in the order of its pins."""
    match element:
        case Resistor():
            return element.a, element.b
        case Diode():
            return element.anode, element.cathode
        case VoltageSource() | InputSource():
            return (element.node,)
        case CurrentSource():
            return element.source, element.sink
        case BidirectionalAmplifier() | Buffer():
            return element.input, element.output
        case Gyrator() | Transformer():
            return element.a, element.b, element.c, element.d
        case Crossbar():
            return element.words + element.bits
        case Edges():
            return element.a + element.b


def _check_names(circuit: Circuit) -> None:
    _check_name("circuit", circuit.name)
    models: dict[str, DiodeModel] = {}
    for diode in (e for e in circuit.elements if isinstance(e, Diode)):
        if models.setdefault(diode.model.name.casefold(), diode.model) != diode.model:
            raise CircuitError(f"diode {diode.name}: another diode model is called {diode.model.name} too")
    seen: dict[str, str] = {}
    for element in (*circuit.elements, *circuit.outputs):
        _check_name("element", element.name)
        if (folded := element.name.casefold()) in seen:
            raise CircuitError(f"element {element.name}: the name is taken by {seen[folded]} (case does not count)")
        seen[folded] = element.name
    for array in circuit.arrays:
        pattern = re.compile(re.escape(array.name.casefold()) + r"_\d+" * len(array.shape))
        if clash := next(filter(pattern.fullmatch, seen), None):
            raise CircuitError(f"element {seen[clash]}: the name is taken by a cell of {array.title}")
    folded_nodes: dict[str, str] = {}
    for node in circuit.nodes:
        _check_name("node", node)
        if node.casefold() == "gnd":
            raise CircuitError(f"node {node}: SPICE reads this name as ground; write {GROUND!r} for ground")
        other = folded_nodes.setdefault(node.casefold(), node)
        if other != node:
            raise CircuitError(f"node {node}: differs from node {other} only in case, which SPICE does not see")


def _check_name(kind: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise CircuitError(f"{kind} {name!r}: a name is made of letters, digits and _")
    if name.casefold().startswith(RESERVED):
        raise CircuitError(f"{kind} {name}: names that start with {RESERVED} belong to the netlist writer")


def _check_values(element: Element) -> None:
    match element:
        case Resistor():
            _check_conductance(f"resistor {element.name}", element.conductance, smallest=0.0)
            if element.a == element.b:
                raise CircuitError(f"resistor {element.name}: both ends are at node {element.a}")
        case Diode():
            if element.anode == element.cathode:
                raise CircuitError(f"diode {element.name}: both ends are at node {element.anode}")
        case Crossbar() | Edges():
            _check_array(element)
        case VoltageSource() | CurrentSource() | InputSource():
            _check_source(element)
        case BidirectionalAmplifier() | Buffer() | Gyrator() | Transformer():
            _check_stage(element)


def _check_source(source: VoltageSource | CurrentSource | InputSource) -> None:
    match source:
        case VoltageSource():
            _check_finite(f"voltage source {source.name}", source.volts, "V")
        case CurrentSource():
            _check_finite(f"current source {source.name}", source.amperes, "A")
        case InputSource():
            _check_finite(f"input {source.name}: gain", source.gain, "V/V")
            if source.channel < 0:
                raise CircuitError(f"input {source.name}: channel {source.channel} must not be negative")


def _check_stage(stage: BidirectionalAmplifier | Buffer | Gyrator | Transformer) -> None:
    match stage:
        case BidirectionalAmplifier():
            _check_finite(f"amplifier {stage.name}: gain", stage.gain, "V/V")
            _check_finite(f"amplifier {stage.name}: offset", stage.offset, "V")
            if stage.gain <= 0:
                raise CircuitError(f"amplifier {stage.name}: gain {stage.gain:g} must be above 0")
        case Buffer():
            _check_nonzero(f"buffer {stage.name}: gain", stage.gain, "V/V")
            _check_finite(f"buffer {stage.name}: offset", stage.offset, "V")
        case Gyrator():
            _check_nonzero(f"gyrator {stage.name}: conductance", stage.conductance, "S")
            _check_ports_of(stage)
        case Transformer():
            _check_nonzero(f"transformer {stage.name}: ratio", stage.ratio, "V/V")
            _check_ports_of(stage)


def _check_finite(what: str, value: float, unit: str) -> None:
    if not np.isfinite(value):
        raise CircuitError(f"{what}: {value} {unit} is not finite")


def _check_nonzero(what: str, value: float, unit: str) -> None:
    _check_finite(what, value, unit)
    if value == 0:
        raise CircuitError(f"{what} must not be 0 {unit}")


def _check_ports_of(element: Gyrator | Transformer) -> None:
    for first, second in ((element.a, element.b), (element.c, element.d)):
        if first == second:
            kind = type(element).__name__.lower()
            raise CircuitError(f"{kind} {element.name}: both pins of a port are at node {first}")


def _check_conductance(what: str, value: float, smallest: float) -> None:
    _check_finite(what, value, "S")
    if not smallest < value <= _CONDUCTANCE_LIMIT:
        bounds = f"above {show(smallest, 'S')} and at most at {show(_CONDUCTANCE_LIMIT, 'S')}"
        raise CircuitError(f"{what}: {show(value, 'S')} must lie {bounds}")


def _check_array(array: TrainableArray) -> None:
    if not np.prod(array.shape):
        wanted = "one word line and one bit line" if isinstance(array, Crossbar) else "one edge"
        raise CircuitError(f"{array.title}: it needs at least {wanted}")
    if array.conductances.shape != array.shape:
        raise CircuitError(
            f"{array.title}: conductances have shape {array.conductances.shape}, its cells {array.shape}"
        )
    if not 0 <= array.g_min < array.g_max <= _CONDUCTANCE_LIMIT:
        low, high = show(array.g_min, "S"), show(array.g_max, "S")
        raise CircuitError(
            f"{array.title}: bounds {low}…{high} must satisfy 0 ≤ g_min < g_max ≤ {_CONDUCTANCE_LIMIT:g} S"
        )
    if isinstance(array, Edges):
        _check_edges(array)
    else:
        _check_lines(array)
    check_bounds(array, array.conductances)


def _check_lines(crossbar: Crossbar) -> None:
    if shared := set(crossbar.words) & set(crossbar.bits):
        raise CircuitError(f"{crossbar.title}: line {min(shared)} is both a word line and a bit line")
    for lines in (crossbar.words, crossbar.bits):
        if len(set(lines)) < len(lines):
            raise CircuitError(f"{crossbar.title}: line {next(n for n in lines if lines.count(n) > 1)} appears twice")


def _check_edges(edges: Edges) -> None:
    if len(edges.a) != len(edges.b):
        raise CircuitError(f"{edges.title}: {len(edges.a)} first ends and {len(edges.b)} second ends")
    for k, (a, b) in enumerate(zip(edges.a, edges.b, strict=True)):
        if a == b:
            raise CircuitError(f"{edges.title}: both ends of edge {k} are at node {a}")


def check_bounds(array: TrainableArray, conductances: Array) -> None:
    """Refuse conductances (S, in the array's shape) that the array cannot hold.

    Raises:
        CircuitError: a value is not finite or outside g_min…g_max; the message names the cell.
    """
    if conductances.shape != array.shape:
        raise CircuitError(f"{array.title}: conductances have shape {conductances.shape}, its cells {array.shape}")
    fits = (conductances >= array.g_min) & (conductances <= array.g_max)  # NaN fits nowhere
    if fits.all():
        return
    position = tuple(np.argwhere(~fits)[0].tolist())
    value = show(float(conductances[position]), "S")
    low, high = show(array.g_min, "S"), show(array.g_max, "S")
    raise CircuitError(f"{array.title}, cell {list(position)}: {value} is outside {low}…{high}")


def _check_drivers(circuit: Circuit) -> None:
    drivers: dict[str, str] = {GROUND: "ground"}
    for element in circuit.elements:
        driven = driven_node(element)
        if driven is None:
            continue
        if driven in drivers:
            raise CircuitError(f"element {element.name}: node {driven} is driven by {drivers[driven]} already")
        drivers[driven] = element.name


def driven_node(element: Element) -> str | None:
    """The node whose voltage an element dictates, if any."""
    match element:
        case VoltageSource() | InputSource():
            return element.node
        case BidirectionalAmplifier() | Buffer():
            return element.output
    return None


def _check_paths(circuit: Circuit) -> None:
    """Every node needs a DC path to ground; open cells and current sources are none."""
    index = {**circuit.node_index, GROUND: len(circuit.nodes)}
    pairs = [np.array([(index[a], index[b])]) for e in circuit.elements for a, b in _paths(e)]
    for array in circuit.arrays:
        first, second = np.broadcast_arrays(*array.ends(index))
        closed = array.conductances > 0
        pairs.append(np.column_stack([first[closed], second[closed]]))
    edges = np.concatenate([np.zeros((0, 2), int), *pairs])
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(index), len(index)))
    _, label = connected_components(graph, directed=False)
    floating = np.flatnonzero(label[:-1] != label[-1])
    if len(floating):
        node = circuit.nodes[floating[0]]
        owner = next(e.name for e in circuit.elements if node in nodes_of(e))
        raise CircuitError(f"node {node} (at element {owner}) floats: no DC path leads from it to ground")


def _paths(element: Element) -> Iterator[tuple[str, str]]:
    match element:
        case Resistor() | Diode():
            first, second = nodes_of(element)
            yield first, second
        case VoltageSource() | InputSource():
            yield element.node, GROUND
        case BidirectionalAmplifier() | Buffer():
            yield element.output, GROUND
        case Transformer():
            yield element.a, element.b
            yield element.c, element.d


def _check_ports(circuit: Circuit) -> None:
    if not circuit.outputs:
        raise CircuitError(f"circuit {circuit.name}: it has no outputs")
    for output in circuit.outputs:
        for node in (output.plus, output.minus):
            if node != GROUND and node not in circuit.node_index:
                raise CircuitError(f"output {output.name}: no element touches node {node}")
        if output.plus in (GROUND, output.minus):
            raise CircuitError(f"output {output.name}: its plus node is {output.plus}, which is also its reference")
    channels = {e.channel for e in circuit.elements if isinstance(e, InputSource)}
    if missing := set(range(circuit.channels)) - channels:
        raise CircuitError(f"circuit {circuit.name}: no input source listens to channel {min(missing)}")
