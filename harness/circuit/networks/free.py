"""The circuit of a free graph, and what its outputs can reach."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np

from harness.circuit.arrays import Edges
from harness.circuit.circuit import Circuit
from harness.circuit.elements import (
    BidirectionalAmplifier,
    CurrentSource,
    Diode,
    Element,
    InputSource,
    Output,
    Resistor,
    VoltageSource,
)
from harness.circuit.networks.graphs import GROUND_WORD, EdgeDiode, GraphEdge, graph_node
from harness.circuit.networks.layered import CellRange
from harness.circuit.part import GROUND
from harness.devices import DiodeModel
from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show
from harness.wording import counted

WEIGHTS = "w"
"""The name of the one trainable array of a free graph: a conductance for each edge, in the order of the edges."""

_VOLTAGE = re.compile(r"(\w+)(?:\s*-\s*(\w+))?", re.ASCII)
_CURRENT = re.compile(r"i\(\s*(\w+)\s*-\s*(\w+)\s*\)", re.ASCII)
_LISTED = 8  # nodes that a message names


@dataclass(frozen=True)
class _Pin:
    """A held node, with what a message calls its holder."""

    role: str
    node: str
    source: InputSource | VoltageSource


@dataclass(frozen=True)
class _Read:
    """The drop from `plus` to `minus` that an output reads, or the current of edge number `edge` in that direction."""

    title: str
    plus: str
    minus: str
    edge: int | None = None


def free_graph(
    edges: Sequence[GraphEdge],
    inputs: Sequence[str | int],
    outputs: Sequence[str | int],
    *,
    cells: CellRange,
    diode: DiodeModel | None = None,
    rng: np.random.Generator,
    inverted: Sequence[str | int] = (),
    grounds: Sequence[str | int] = (),
    rails: Mapping[str, float] | Mapping[int, float] | None = None,
    input_gain: float = 1.0,
    name: str = "graph",
    sense: float | None = None,
) -> Circuit:
    """The circuit of a graph: one array `Edges` named ``w``, with edge k as its k-th conductance.

    Edge k leads from its end a through its conductance, node ``m<k>`` and the diodes ``d<k>f`` (forward) and ``d<k>b``
    (backward), if it has any, and node ``c<k>`` and the sense resistor ``s<k>``, if its current is read, to its end b.

    Args:
        edges: of the graph; a conductance that an edge leaves open is drawn from U(0.1, 1) `cells.unit`, clipped to the
            range. Draws do not depend on which edges leave theirs open.
        inputs: channel k holds node ``inputs[k]``.
        inverted: channel k holds node ``inverted[k]`` at its negative, as outputs of both signs need it.
        outputs: ``"A"`` reads the voltage of node A, ``"A-B"`` the drop v(A) − v(B), and ``"i(A-B)"`` the current of
            the edge between A and B, positive from A to B, as the drop (V) that it makes over the sense resistor.
        cells: range and unit of the conductances.
        diode: the model of all diodes; needed where an edge has one.
        rng: draws the initial conductances.
        grounds: nodes held at 0 V.
        rails: nodes held at constant voltages (V).
        input_gain: V at the input pin per V of input.
        name: of the circuit.
        sense: Ω in series with every edge whose current is read, and V per A of that output.

    Raises:
        CircuitError: a pin or an output names no node, a node is held twice or joined to no held node, an output cannot
            depend on any input or cannot be changed by any conductance, a current is read without `sense`, or of no or
            several edges, a diode has no model, or a conductance is out of range.
    """
    if not edges:
        raise CircuitError(f"circuit {name}: its graph has no edges")
    nodes = tuple(dict.fromkeys(node for edge in edges for node in (edge.a, edge.b)))
    driven = _driven_pins("input", "x", inputs, input_gain)
    driven += _driven_pins("inverted input", "xn", inverted, -input_gain)
    pins = [*driven, *_constant_pins(grounds, rails or {})]
    holders = _holders(pins, nodes)
    conductances = _programmed(edges, cells, rng)
    _check_held(edges, nodes, holders)
    reads = [_read(k, str(spec).strip(), edges, nodes) for k, spec in enumerate(outputs)]
    _check_reads(reads, _moved(edges, holders, [pin.node for pin in driven]), holders)
    sensed = {read.edge: _sense(read, sense) for read in reads if read.edge is not None}
    second, fixed = [], list[Element]()
    for k, edge in enumerate(edges):
        near, parts = _series(k, edge, diode, sensed.get(k))
        second.append(near)
        fixed += parts
    first = tuple(graph_node(edge.a) for edge in edges)
    weights = Edges(WEIGHTS, first, tuple(second), conductances, cells.g_min, cells.g_max)
    ports = tuple(_output(k, read, edges) for k, read in enumerate(reads))
    return Circuit(name, (*(pin.source for pin in pins), weights, *fixed), ports)


def _driven_pins(role: str, prefix: str, nodes: Sequence[str | int], gain: float) -> list[_Pin]:
    sources = ((node, InputSource(f"{prefix}{k}", graph_node(node), k, gain)) for k, node in enumerate(nodes))
    return [_Pin(f"{role} {source.channel}", str(node), source) for node, source in sources]


def _constant_pins(grounds: Sequence[str | int], rails: Mapping[str, float] | Mapping[int, float]) -> list[_Pin]:
    volts = [("ground", str(node), 0.0) for node in grounds]
    volts += [("rail", str(node), value) for node, value in rails.items()]
    return [
        _Pin(f"{kind} {node}", node, VoltageSource(f"{kind}_{node}", graph_node(node), value))
        for kind, node, value in volts
    ]


def _holders(pins: Sequence[_Pin], nodes: Sequence[str]) -> dict[str, str]:
    """Return the role of the pin that holds each held node; refuse a node that is held twice."""
    holders = {GROUND_WORD: "circuit ground"}
    for pin in pins:
        _check_node(pin.role, pin.node, nodes)
        if pin.node in holders:
            raise CircuitError(f"{pin.role}: node {pin.node} is held twice, by {holders[pin.node]} already")
        holders[pin.node] = pin.role
    return holders


def _check_node(what: str, node: str, nodes: Sequence[str]) -> None:
    if node not in nodes:
        listed = ", ".join(nodes[:_LISTED]) + (", …" if len(nodes) > _LISTED else "")
        raise CircuitError(f"{what}: {node!r} is no node of the graph; it has {counted(len(nodes), 'node')}: {listed}")


def _programmed(edges: Sequence[GraphEdge], cells: CellRange, rng: np.random.Generator) -> Array:
    """Initial conductances (S, ``[edge]``)."""
    drawn = np.clip(rng.uniform(0.1, 1.0, len(edges)) * cells.unit, cells.g_min, cells.g_max)
    for edge in edges:
        if edge.conductance is not None and not cells.g_min <= edge.conductance <= cells.g_max:
            low, high = show(cells.g_min, "S"), show(cells.g_max, "S")
            raise CircuitError(f"{edge}: conductance {show(edge.conductance, 'S')} is outside {low}…{high}")
    return np.array([g if edge.conductance is None else edge.conductance for edge, g in zip(edges, drawn, strict=True)])


def _check_held(edges: Sequence[GraphEdge], nodes: Sequence[str], holders: Mapping[str, str]) -> None:
    """Refuse a node from which no path of closed edges leads to a held node."""
    closed: nx.Graph[str] = nx.Graph()
    closed.add_nodes_from(nodes)
    closed.add_edges_from((edge.a, edge.b) for edge in edges if edge.conductance != 0)
    reached = set().union(*(nx.node_connected_component(closed, node) for node in holders if node in closed))
    if adrift := [node for node in nodes if node not in reached]:
        more = f" (and {len(adrift) - 1} more)" if len(adrift) > 1 else ""
        raise CircuitError(
            f"node {adrift[0]}{more}: no path of closed edges leads from there to an input, a ground or a rail; "
            "hold a node there, or join it to the rest"
        )


def _moved(edges: Sequence[GraphEdge], holders: Mapping[str, str], inputs: Sequence[str]) -> set[str]:
    """Return the nodes that depend on an input: inputs, and nodes that paths without held nodes join to them."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(inputs)
    graph.add_edges_from((edge.a, edge.b) for edge in edges)
    kept = graph.subgraph([node for node in graph if node not in holders or node in inputs])
    return set().union(*(nx.node_connected_component(kept, node) for node in inputs))


def _read(number: int, spec: str, edges: Sequence[GraphEdge], nodes: Sequence[str]) -> _Read:
    title = f"output {number} ({spec})"
    current = _CURRENT.fullmatch(spec)
    match = current or _VOLTAGE.fullmatch(spec)
    if match is None:
        raise CircuitError(f"{title}: write 'A' for a node, 'A-B' for a drop, or 'i(A-B)' for the current of an edge")
    plus, minus = match[1], match[2] or GROUND_WORD
    for node in (plus, minus):
        _check_node(title, node, (*nodes, GROUND_WORD))
    if plus == minus:
        raise CircuitError(f"{title}: both of its ends are node {plus}")
    return _Read(title, plus, minus, _edge_between(title, plus, minus, edges) if current else None)


def _edge_between(title: str, plus: str, minus: str, edges: Sequence[GraphEdge]) -> int:
    found = [k for k, edge in enumerate(edges) if {edge.a, edge.b} == {plus, minus}]
    if not found:
        raise CircuitError(f"{title}: no edge joins {plus} and {minus}; a current is read of an edge")
    if len(found) > 1:
        raise CircuitError(
            f"{title}: {len(found)} parallel edges join {plus} and {minus}; read a current of a lone edge"
        )
    return found[0]


def _check_reads(reads: Sequence[_Read], moved: set[str], holders: Mapping[str, str]) -> None:
    """Refuse outputs that depend on no input, voltages that depend on no conductance, and two that read the same."""
    seen: dict[tuple[frozenset[str], bool], str] = {}
    for read in reads:
        key = frozenset((read.plus, read.minus)), read.edge is None
        if (other := seen.setdefault(key, read.title)) != read.title:
            raise CircuitError(f"{read.title}: it reads the same as {other}; leave one of them out")
        if read.edge is None and read.plus in holders and read.minus in holders:
            also = "" if read.minus == GROUND_WORD else f", node {read.minus} by {holders[read.minus]}"
            held = f"node {read.plus} is held by {holders[read.plus]}{also}"
            raise CircuitError(f"{read.title}: {held}, so that no conductance changes what it reads; read a free node")
        if not {read.plus, read.minus} & moved:
            raise CircuitError(f"{read.title}: no input reaches it; every path from one leads through a held node")


def _sense(read: _Read, sense: float | None) -> float:
    if sense is None:
        raise CircuitError(f"{read.title}: a current needs a sense resistor to be read; give 'sense' in Ω")
    if not 0 < sense < np.inf:
        raise CircuitError(f"{read.title}: a sense resistor of {sense:g} Ω must be finite and above 0 Ω")
    return sense


def _series(k: int, edge: GraphEdge, model: DiodeModel | None, sense: float | None) -> tuple[str, list[Element]]:
    """The node where edge k's trainable conductance ends, and the fixed parts from there to the edge's end b."""
    far, parts = graph_node(edge.b), list[Element]()
    if sense is not None:
        parts.append(Resistor(f"s{k}", f"c{k}", far, 1 / sense))
        far = f"c{k}"
    if edge.diode is EdgeDiode.NONE:
        return far, parts
    if model is None:
        raise CircuitError(f"{edge}: it has a diode ({edge.diode}), and the graph has no diode model; give 'diode'")
    near = f"m{k}"
    if edge.diode is not EdgeDiode.BACKWARD:
        parts.append(Diode(f"d{k}f", near, far, model))
    if edge.diode is not EdgeDiode.FORWARD:
        parts.append(Diode(f"d{k}b", far, near, model))
    return near, parts


def _output(k: int, read: _Read, edges: Sequence[GraphEdge]) -> Output:
    plus, minus = graph_node(read.plus), graph_node(read.minus)
    if read.edge is not None:
        edge, inner = edges[read.edge], f"c{read.edge}"
        plus, minus = (inner, graph_node(edge.b)) if read.plus == edge.a else (graph_node(edge.b), inner)
    if plus == GROUND:
        raise CircuitError(f"{read.title}: it reads ground itself; swap its ends, and so its sign")
    return Output(f"y{k}", plus, minus)


def reachable_range(circuit: Circuit, inputs: Array) -> tuple[Array, Array]:
    """Bounds of what every output can read, whatever the conductances are (V, ``[batch, outputs]`` each).

    By the maximum principle every free node of a network of conductances and diodes lies between the lowest and the
    highest held voltage of its sample (`inputs` in V, ``[batch, channels]``). Ground counts as held where the network
    touches it.

    Raises:
        CircuitError: the circuit has elements that the principle does not hold for, or the inputs do not fit it.
    """
    for element in circuit.elements:
        if isinstance(element, BidirectionalAmplifier | CurrentSource):
            raise CircuitError(
                f"element {element.name}: it can take nodes beyond every held voltage; "
                "ranges are known only for conductances, diodes and voltage sources"
            )
    _check_columns("inputs", inputs, circuit.channels)
    low, high = _node_bounds(circuit, inputs)
    plus, minus = circuit.output_ends
    return low[:, plus] - high[:, minus], high[:, plus] - low[:, minus]


def _node_bounds(circuit: Circuit, inputs: Array) -> tuple[Array, Array]:
    """The lowest and highest voltage of every node, ground last (V, ``[batch, nodes + 1]`` each)."""
    held = np.full((len(inputs), len(circuit.nodes) + 1), np.nan)
    for source in circuit.sources:
        held[:, circuit.node_index[source.node]] = source.level(inputs)
    if any(GROUND in element.pins for element in circuit.elements):
        held[:, -1] = 0.0
    free = np.isnan(held)
    low = np.where(free, np.nanmin(held, axis=1, keepdims=True), held)
    high = np.where(free, np.nanmax(held, axis=1, keepdims=True), held)
    low[:, -1] = high[:, -1] = 0.0
    return low, high


def unreachable_targets(circuit: Circuit, inputs: Array, targets: Array) -> list[str]:
    """A sentence for each output that has a target beyond its `reachable_range`, about the first such sample.

    Inputs and targets are in V, ``[batch, channels]`` and ``[batch, outputs]``.

    Raises:
        CircuitError: as `reachable_range`, or the targets do not fit the circuit.
    """
    low, high = reachable_range(circuit, inputs)
    _check_columns("targets", targets, len(circuit.outputs))
    beyond = np.maximum(targets - high, low - targets) > 1e-9 * (high - low)
    warnings = []
    for k in np.flatnonzero(beyond.any(axis=0)):
        sample, more = int(beyond[:, k].argmax()), int(beyond[:, k].sum()) - 1
        also = f" (and {more} more like it)" if more else ""
        warnings.append(
            f"output {circuit.outputs[k].name}: the target {targets[sample, k]:.6g} V of sample {sample} lies outside "
            f"{low[sample, k]:.6g} V…{high[sample, k]:.6g} V, which the held nodes allow{also}"
        )
    return warnings


def _check_columns(what: str, values: Array, columns: int) -> None:
    if values.ndim != 2 or values.shape[1] != columns:
        raise CircuitError(f"{what} have shape {values.shape}, the circuit takes [samples, {columns}]")
