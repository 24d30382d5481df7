"""Pictures of circuits: graphs of conductances with pins, or crossbars in a row; equal circuits give equal bytes."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from harness.circuit import (
    GROUND,
    BidirectionalAmplifier,
    Circuit,
    Convolution,
    Crossbar,
    CurrentSource,
    Diode,
    Edges,
    Element,
    InputSource,
    Resistor,
    VoltageSource,
)
from harness.circuit.elements import Modelled, Source
from harness.circuit.networks.families import grid, periodic_grid
from harness.circuit.networks.graphs import GROUND_WORD, GraphEdge, graph_node
from harness.devices.diode import THERMAL_VOLTAGE
from harness.devices.resolvents import AntiparallelPair, Junction, SquareLaw, ZenerShelf
from harness.errors import CircuitError
from harness.measurement import Array
from harness.pictures.arrays import draw_cells
from harness.pictures.style import Form, as_bytes, literal, own_style
from harness.wording import counted

_Places = dict[str, Array]
"""Place of each node in the drawing, ``[2]``."""
_Strokes = list[Array]
"""Lines that together are one link, from its end a to its end b, ``[points, 2]`` each."""

_LABELLED = 60  # nodes; with more of them, labels would lie upon each other
_OHMS = 1e5  # behind the devices whose activations are drawn
_TIDY = 80  # nodes for which Kamada and Kawai's layout is quick
_STUB = 0.42  # of the distance of neighbours: what is drawn of an edge that wraps round a torus
_SHADES = LinearSegmentedColormap.from_list("shades", mpl.colormaps["viridis_r"](np.linspace(0.1, 1, 256)))
_MARKS = {"input": ("s", "C0"), "rail": ("D", "C3"), "ground": ("v", "0.2"), "node": ("o", "0.7")}


@own_style()
def draw_circuit(circuit: Circuit, *, title: str, format: Form = "png") -> bytes:  # noqa: A002
    """Draw a circuit with its programmed conductances as the bytes of a PNG or SVG file.

    Where all arrays are crossbars and convolutions, they are drawn as heat maps in a row, with what lies between them
    in words. Any other circuit is drawn as a graph: in rows and columns where its nodes are those of
    `harness.circuit.networks.families.grid` or `periodic_grid` (whose wrapped edges are stubs at both ends), and with
    names of nodes up to 60 of them.

    Raises:
        CircuitError: there is nothing to draw.
    """
    layered = bool(circuit.arrays) and all(isinstance(array, Crossbar | Convolution) for array in circuit.arrays)
    figure = _blocks(circuit) if layered else _graph(circuit)
    figure.suptitle(literal(title))
    return as_bytes(figure, format)


@own_style()
def draw_activations(*, format: Form = "png") -> bytes:  # noqa: A002
    """Draw the activations of nodes with devices: a device's voltage behind a resistor of 100 kΩ.

    A diode from ground is a rectifier, soft by N V_T; the antiparallel pair a logarithm; its relative with rails, and
    the shelf, clip; the square-law transistor bends above its threshold (`harness.devices.resolvents`).
    """
    diode = Junction(1e-11, 2 * THERMAL_VOLTAGE)
    devices: dict[str, Callable[[Array], Array]] = {
        "diode from ground (10 pA, N = 2)": lambda w: -diode.activation(-w, _OHMS),
        "antiparallel pair": lambda w: AntiparallelPair(1e-11, diode.scale).activation(w, _OHMS),
        "pair between rails ±1 V": lambda w: AntiparallelPair(1e-11, diode.scale, -1.0, 1.0).activation(w, _OHMS),
        "shelf ±1.5 V": lambda w: ZenerShelf(-1.5, 1.5).activation(w, _OHMS),
        "square law (100 µA/V², 0.5 V)": lambda w: SquareLaw(1e-4, 0.5).activation(w, _OHMS),
    }
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes, volts = figure.subplots(), np.linspace(-3, 3, 401)
    for name, activation in devices.items():
        axes.plot(volts, activation(volts), label=name)
    axes.set(xlabel="voltage behind 100 kΩ (V)", ylabel="voltage of the node (V)", title="activations")
    axes.grid(alpha=0.3)
    axes.legend()
    return as_bytes(figure, format)


@dataclass(frozen=True)
class _Link:
    """One line of a graph: a trainable conductance with what lies in series with it, or a fixed part."""

    a: str
    b: str
    siemens: float | None
    """None for fixed parts."""
    diodes: tuple[bool, ...] = ()
    """For each diode, True where it lets current pass from a to b."""
    sensed: str = ""
    """The node at which its current is read."""


def _graph(circuit: Circuit) -> Figure:
    links = list(_links(circuit))
    if not links:
        raise CircuitError(f"circuit {circuit.name}: it has no conductance to draw")
    shape = _grid_shape(links)
    places = _layout(links) if shape is None else _rows_and_columns(*shape)
    strokes = _strokes(links, places, wrapped=shape is not None)
    figure = Figure(figsize=(8.5, 7.5), layout="constrained")
    axes = figure.subplots()
    _draw_lines(figure, axes, links, strokes)
    _draw_diodes(axes, links, strokes)
    _draw_nodes(axes, circuit, places)
    _draw_readings(axes, circuit, places, {link.sensed: line for link, line in zip(links, strokes, strict=True)})
    if len(places) <= _LABELLED:
        _draw_labels(axes, circuit, places)
    axes.set_aspect("equal")
    axes.margins(0.1)
    axes.set_axis_off()
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def _links(circuit: Circuit) -> Iterator[_Link]:
    """Return trainable conductances, then the parts that `harness.circuit.networks.free.free_graph` has beside them."""
    kinds = Resistor | Modelled | CurrentSource | BidirectionalAmplifier
    fixed: dict[str, Element] = {element.name: element for element in circuit.elements if isinstance(element, kinds)}
    names = (*circuit.nodes, GROUND)
    for array in circuit.arrays:
        first, second = np.broadcast_arrays(*circuit.ends(array))
        for position, siemens in np.ndenumerate(array.conductances):
            a, b = names[first[position]], names[second[position]]
            one = isinstance(array, Edges)
            yield _edge(a, b, float(siemens), position[0], fixed) if one else _Link(a, b, float(siemens))
    for element in fixed.values():
        a, b = element.paths[0] if isinstance(element, Modelled) else element.pins
        yield _Link(a, b, None, (True,) if isinstance(element, Modelled) else ())


def _edge(a: str, b: str, siemens: float, k: int, fixed: dict[str, Element]) -> _Link:
    """Return edge k of a free graph, with its diodes and its sense resistor, which leave `fixed`."""
    diodes, end = [], b
    for name in (f"d{k}f", f"d{k}b"):
        match fixed.get(name):
            case Diode(_, anode, cathode) if b == f"m{k}" and b in (anode, cathode):
                diodes.append(anode == b)
                end = cathode if anode == b else anode
                del fixed[name]
    match fixed.get(f"s{k}"):
        case Resistor(_, near, far) if near == end == f"c{k}":
            del fixed[f"s{k}"]
            return _Link(a, far, siemens, tuple(diodes), near)
    return _Link(a, end, siemens, tuple(diodes))


def _grid_shape(links: Sequence[_Link]) -> tuple[int, int] | None:
    """Return rows and columns if the links are those of a grid, else None."""
    pairs = {frozenset((link.a, link.b)) for link in links}
    size = len({node for pair in pairs for node in pair})
    for rows in (n for n in range(1, size) if size % n == 0):
        shape = rows, size // rows
        if pairs == _pairs(grid(*shape)) or (min(shape) >= 3 and pairs == _pairs(periodic_grid(*shape))):
            return shape
    return None


def _pairs(edges: Sequence[GraphEdge]) -> set[frozenset[str]]:
    return {frozenset((graph_node(edge.a), graph_node(edge.b))) for edge in edges}


def _rows_and_columns(rows: int, columns: int) -> _Places:
    return {graph_node(k): np.array([k % columns, -(k // columns)], float) for k in range(rows * columns)}


def _layout(links: Sequence[_Link]) -> _Places:
    graph: nx.Graph[str] = nx.Graph([(link.a, link.b) for link in links])
    if len(graph) <= _TIDY and nx.is_connected(graph):
        found = nx.kamada_kawai_layout(graph)
    else:
        found = nx.spring_layout(graph, seed=0, iterations=200)
    return {node: np.asarray(place, float) for node, place in found.items()}


def _strokes(links: Sequence[_Link], places: _Places, *, wrapped: bool) -> list[_Strokes]:
    """Return straight lines, bows where links are parallel, and two stubs for an edge `wrapped` round a torus."""
    pairs = [frozenset((link.a, link.b)) for link in links]
    together, before = Counter(pairs), Counter[frozenset[str]]()
    found: list[_Strokes] = []
    for link, pair in zip(links, pairs, strict=True):
        a, b = places[link.a], places[link.b]
        length = float(np.hypot(*(b - a)))
        bend = (before[pair] - (together[pair] - 1) / 2) * (1 if link.a < link.b else -1)
        before[pair] += 1
        if wrapped and length > 1.5:
            out = _STUB * (a - b) / length
            found.append([np.array([a, a + out]), np.array([b - out, b])])
        else:
            found.append([_bow(a, b, bend)])
    return found


def _bow(a: Array, b: Array, bend: float) -> Array:
    """Return a parabola from a to b, `bend` times a fifth of their distance off the straight line."""
    if not bend:
        return np.array([a, b])
    at = np.linspace(0, 1, 15)[:, None]
    across = np.array([a[1] - b[1], b[0] - a[0]])
    return a + at * (b - a) + 0.8 * bend * at * (1 - at) * across


def _draw_lines(figure: Figure, axes: Axes, links: Sequence[_Link], strokes: Sequence[_Strokes]) -> None:
    lines = [(line, link.siemens) for link, parts in zip(links, strokes, strict=True) for line in parts]
    fixed = [line for line, siemens in lines if siemens is None]
    axes.add_collection(LineCollection(fixed, colors="0.5", linestyles="dashed", linewidths=0.8))
    trained = [line for line, siemens in lines if siemens is not None]
    if not trained:
        return
    values = np.array([siemens for _, siemens in lines if siemens is not None])
    norm = Normalize(*((values.min(), values.max()) if np.ptp(values) else (0.0, values[0] or 1.0)))
    widths = 0.8 + 3.2 * np.asarray(norm(values))
    drawn = LineCollection(trained, array=values, cmap=_SHADES, norm=norm, linewidths=widths.tolist())
    axes.add_collection(drawn)
    figure.colorbar(drawn, ax=axes, label="conductance", format=EngFormatter("S"), shrink=0.8)


def _draw_diodes(axes: Axes, links: Sequence[_Link], strokes: Sequence[_Strokes]) -> None:
    """Draw a triangle that points where the current passes; those of a pair point away from each other."""
    label = "diode"
    for link, parts in zip(links, strokes, strict=True):
        for forward, share in zip(link.diodes, (0.5,) if len(link.diodes) == 1 else (0.63, 0.37), strict=False):
            place, (x, y) = _along(parts[0], share)
            angle = float(np.degrees(np.arctan2(y, x))) + (-90 if forward else 90)
            axes.plot(*place, marker=(3, 0, angle), markersize=8, color="black", linestyle="none", label=label)
            label = "_"


def _along(line: Array, share: float) -> tuple[Array, Array]:
    """Return the point at a share of a line's points, and the line's direction there."""
    whole, part = divmod(share * (len(line) - 1), 1)
    step = line[int(whole) + 1] - line[int(whole)]
    return line[int(whole)] + part * step, step


def _draw_nodes(axes: Axes, circuit: Circuit, places: _Places) -> None:
    roles = dict.fromkeys(places, "node") | {node: "ground" for node in places if node == GROUND}
    for element in circuit.elements:
        match element:
            case InputSource(_, node) if node in places:
                roles[node] = "input"
            case VoltageSource(_, node, volts) if node in places:
                roles[node] = "rail" if volts else "ground"
    for role, (marker, color) in _MARKS.items():
        points = [places[node] for node in places if roles[node] == role]
        if points:
            size = 9 if len(places) <= _LABELLED else 5
            axes.plot(*np.transpose(points), marker, color=color, markersize=size, label=role, zorder=3)


def _draw_readings(axes: Axes, circuit: Circuit, places: _Places, sensed: dict[str, _Strokes]) -> None:
    """Draw rings about the nodes of outputs, and dots on the edges whose current they read."""
    rings: list[Array] = []
    dots: list[Array] = []
    for output in circuit.outputs:
        if inner := next((node for node in (output.plus, output.minus) if node in sensed), None):
            dots.append(_along(sensed[inner][-1], 0.75)[0])
            if len(places) <= _LABELLED:
                _write(axes, dots[-1], output.name)
        else:
            rings += [places[node] for node in (output.plus, output.minus) if node in places and node != GROUND]
    for points, fill, size, label in ((rings, "none", 15, "output"), (dots, "white", 8, "output (current)")):
        if points:
            axes.plot(*np.transpose(points), "o", mfc=fill, mec="C1", mew=2, markersize=size, label=label, zorder=4)


def _draw_labels(axes: Axes, circuit: Circuit, places: _Places) -> None:
    """Write names as the user gave them, with inputs, volts and outputs below."""
    own = all(node.startswith("n") for node in places if node != GROUND)
    notes = {node: [GROUND_WORD if node == GROUND else node[own:]] for node in places}
    for element in circuit.elements:
        match element:
            case InputSource(name, node) if node in notes:
                notes[node].append(name)
            case VoltageSource(_, node, volts) if node in notes:
                notes[node].append(f"{volts:g} V".replace("-", "−"))
    for output in circuit.outputs:
        if output.plus in notes and (output.minus in notes or output.minus == GROUND):
            single = output.minus == GROUND
            notes[output.plus].append(output.name if single else f"{output.name}+")
            notes.get(output.minus if not single else "", []).append(f"{output.name}−")
    for node, words in notes.items():
        _write(axes, places[node], "\n".join([words[0], *([", ".join(words[1:])] if words[1:] else [])]))


def _write(axes: Axes, place: Array, text: str) -> None:
    box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.7}
    axes.annotate(literal(text), tuple(place), (8, 7), textcoords="offset points", fontsize=8, bbox=box, zorder=5)


def _blocks(circuit: Circuit) -> Figure:
    """Draw crossbars from left to right as heat maps, and between them arrows with the elements there."""
    crossbars = [array for array in circuit.arrays if isinstance(array, Crossbar | Convolution)]
    figure = Figure(figsize=(2 + 4.4 * len(crossbars), 4.6), layout="constrained")
    widths = [0.45, *(width for _ in crossbars for width in (1, 0.45))]
    columns = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
    lines = [(), *((crossbar.bits) for crossbar in crossbars)], [*(crossbar.words for crossbar in crossbars), ()]
    for axes, bits, words in zip(columns[::2], *lines, strict=True):
        _draw_gap(axes, _between(circuit, set(bits), set(words)))
    for axes, crossbar in zip(columns[1::2], crossbars, strict=True):
        image = draw_cells(axes, crossbar, units=(" words", " bits"))
        figure.colorbar(image, ax=axes, orientation="horizontal", label="conductance", format=EngFormatter("S"))
    return figure


def _draw_gap(axes: Axes, words: Sequence[str]) -> None:
    axes.set_axis_off()
    axes.annotate("", (1, 0.5), (0, 0.5), xycoords="axes fraction", arrowprops={"arrowstyle": "-|>", "linewidth": 1.5})
    axes.text(0.5, 0.53, "\n".join(words), ha="center", va="bottom", fontsize=9, transform=axes.transAxes)


def _between(circuit: Circuit, bits: set[str], words: set[str]) -> list[str]:
    """Return the elements that touch the bit lines before a gap or the word lines after it, counted, in words."""
    found: Counter[tuple[str, str]] = Counter()
    for element in circuit.elements:
        if (bits | words).isdisjoint(element.pins):
            continue
        if isinstance(element, BidirectionalAmplifier):
            found["amplifier", f" of gain {element.gain:g}"] += 1
        elif isinstance(element, Source | Modelled | Resistor):
            found[element.noun, ""] += 1
    for output in circuit.outputs:
        if output.plus in bits:
            found["output" if output.minus == GROUND else "output pair", ""] += 1
    return [counted(count, noun) + more for (noun, more), count in found.items()]
