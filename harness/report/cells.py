"""One cell of each kind in a network, drawn as a circuit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import schemdraw
import schemdraw.elements as parts

from harness.circuit import (
    GROUND,
    BidirectionalAmplifier,
    Buffer,
    Circuit,
    Convolution,
    Crossbar,
    Diode,
    Edges,
    Gyrator,
    InputSource,
    Transformer,
    VoltageSource,
)
from harness.report.inventory import volts
from harness.report.svg import GROUND_COLOUR, INK, inlined

_MOST_DIODE_CELLS = 4
_Ends = tuple[tuple[bool, str], ...]
"""The diodes at a node, in order: True where current leaves the node through one, and the name of its other end."""


@dataclass(frozen=True)
class Cell:
    """A drawn cell."""

    title: str
    count: int
    svg: str


def draw_cells(circuit: Circuit) -> list[Cell]:
    """Draw a cell of every kind that the circuit has, with how many there are."""
    found = [*_sources(circuit), *_arrays(circuit), *_diodes(circuit), *_stages(circuit), *_outputs(circuit)]
    cells = []
    for k, (title, count, draw) in enumerate(found):
        drawing = schemdraw.Drawing(show=False, canvas="svg")
        drawing.config(fontsize=13, color=INK, unit=2.2, lw=1.6)
        draw(drawing)
        text = drawing.get_imagedata("svg").decode().replace("fill:black", f"fill:{INK}")
        cells.append(Cell(title, count, inlined(text, name=f"cell{k}", title=f"Circuit of one cell: {title}")))
    return cells


_Found = Iterator[tuple[str, int, Callable[[schemdraw.Drawing], None]]]


def _sources(circuit: Circuit) -> _Found:
    pins = [element for element in circuit.elements if isinstance(element, InputSource)]
    gains = sorted({pin.gain for pin in pins}, key=lambda gain: (abs(gain), -gain))
    if pins:
        told = "±" * (len(gains) == 2 and gains[0] == -gains[1]) + f"{gains[0]:g}"
        told = f"{told.replace('-', '−')} x" if len(gains) <= 2 else "gain × x"

        def draw(d: schemdraw.Drawing) -> None:
            d += (source := parts.SourceV().up().label(told, "top", ofst=0.25))
            d += parts.Ground().at(source.start)
            d += parts.Line().right().at(source.end)
            d += parts.Dot(open=True, fill=GROUND_COLOUR).label("word line", "right")

        yield "input pin", len(pins), draw


def _arrays(circuit: Circuit) -> _Found:
    crossed = [array for array in circuit.arrays if isinstance(array, Crossbar)]
    kernels = [array for array in circuit.arrays if isinstance(array, Convolution)]
    if crossed:
        yield "memristor of a crossbar", sum(array.conductances.size for array in crossed), _crossing
    if kernels:
        yield "memristor of a convolution", sum(array.conductances.size for array in kernels), _crossing
    edges = [array for array in circuit.arrays if isinstance(array, Edges) and array not in kernels]
    if edges:
        yield "memristor between nodes", sum(array.conductances.size for array in edges), _edge


def _crossing(d: schemdraw.Drawing) -> None:
    """Draw lines that cross without touching, and the cell that joins them."""
    d += (word := parts.Line().right().length(4.0).label("word line", "left"))
    start = (word.start[0] + 0.9, word.start[1])
    end = (start[0] + 1.8, start[1] - 1.8)
    d += parts.Dot().at(start)
    d += parts.Memristor().at(start).to(end).label("g", "bottom")
    d += parts.Dot().at(end)
    d += parts.Line().at((end[0], start[1] + 0.8)).to((end[0], end[1] - 0.8)).label("bit line", "right")


def _edge(d: schemdraw.Drawing) -> None:
    d += parts.Dot(open=True, fill=GROUND_COLOUR).label("node", "left")
    d += parts.Memristor().right().length(2.6).label("g", "top")
    d += parts.Dot(open=True, fill=GROUND_COLOUR).label("node", "right")


def _diodes(circuit: Circuit) -> _Found:
    rails = {e.node: volts(e.volts) for e in circuit.elements if isinstance(e, VoltageSource)} | {GROUND: "ground"}
    at: dict[str, list[tuple[bool, str]]] = {}
    for diode in (element for element in circuit.elements if isinstance(element, Diode)):
        away = diode.anode not in rails
        node, other = (diode.anode, diode.cathode) if away else (diode.cathode, diode.anode)
        at.setdefault(node, []).append((away, rails.get(other, "node")))
    kinds: dict[_Ends, int] = {}
    for ends in at.values():
        key = tuple(sorted(ends, reverse=True))
        kinds[key] = kinds.get(key, 0) + 1
    for kind, count in list(kinds.items())[:_MOST_DIODE_CELLS]:
        yield f"node with {len(kind)} diode{'s' * (len(kind) > 1)}", count, _node_with(kind)


def _node_with(ends: _Ends) -> Callable[[schemdraw.Drawing], None]:
    def draw(d: schemdraw.Drawing) -> None:
        d += (wire := parts.Line().right().length(0.7).label("node", "left"))
        here = wire.end
        for away, far in ends[:4]:
            d += (joint := parts.Dot().at(here))
            if away:
                d += (diode := parts.Diode().up().at(joint.center))
            else:
                d += parts.Line().down().at(joint.center).length(0.01)
                d += (diode := parts.Diode().reverse().down().at(joint.center))
            _end(d, diode.end, far, up=away)
            d += (wire := parts.Line().right().at(joint.center).length(1.5))
            here = wire.end

    return draw


def _end(d: schemdraw.Drawing, place: tuple[float, float], far: str, *, up: bool) -> None:
    if far == "ground":
        if up:
            d += parts.Line().right().at(place).length(0.7)
            d += parts.Ground()
        else:
            d += parts.Ground().at(place)
    else:
        d += parts.Dot(open=True, fill=GROUND_COLOUR).at(place).label(far, "top" if up else "bottom")


def _stages(circuit: Circuit) -> _Found:
    amplifiers = [e for e in circuit.elements if isinstance(e, BidirectionalAmplifier)]
    if amplifiers:
        yield "bidirectional amplifier", len(amplifiers), _amplifier(_gain([e.gain for e in amplifiers]))
    buffers = [e for e in circuit.elements if isinstance(e, Buffer)]
    if buffers:
        yield "buffer", len(buffers), _buffer(_gain([e.gain for e in buffers]))
    for kind, name in ((Gyrator, "gyrator"), (Transformer, "transformer")):
        if count := sum(isinstance(element, kind) for element in circuit.elements):
            yield name, count, _gyrator if kind is Gyrator else _transformer


def _gain(gains: list[float]) -> str:
    sizes = {abs(gain) for gain in gains}
    sign = "±" if min(gains) < 0 < max(gains) else "−" if max(gains) < 0 else ""
    return f"{sign}{sizes.pop():g}" if len(sizes) == 1 else "A"


def _amplifier(gain: str) -> Callable[[schemdraw.Drawing], None]:
    """Draw a voltage source at the output, and at the input a current source that draws 1/A of its current."""

    def draw(d: schemdraw.Drawing) -> None:
        d += parts.Dot(open=True, fill=GROUND_COLOUR).label("in", "left")
        d += parts.Line().right().length(0.9)
        d += (back := parts.SourceControlledI().down().label(f"i/{gain}", "bottom", ofst=0.15))
        d += parts.Ground()
        d += (forth := parts.SourceControlledV().reverse().down().at((back.start[0] + 2.0, back.start[1])))
        d += parts.Label().at((forth.center[0] + 1.25, forth.center[1])).label(f"{gain} v(in)", "center")
        d += parts.Ground().at(forth.end)
        d += (wire := parts.Line().right().at(forth.start).length(1.7))
        d += parts.CurrentLabelInline(direction="in", ofst=0.0).at(wire).label("i")
        d += parts.Dot(open=True, fill=GROUND_COLOUR).at(wire.end).label("out", "right")

    return draw


def _buffer(gain: str) -> Callable[[schemdraw.Drawing], None]:
    def draw(d: schemdraw.Drawing) -> None:
        d += parts.Dot(open=True, fill=GROUND_COLOUR).label("in", "left")
        d += parts.Line().right().length(0.6)
        d += (stage := parts.Opamp(sign=False).anchor("in1").right().scale(0.8))
        d += parts.Label().at((stage.center[0] - 0.15, stage.center[1])).label(gain, "center")
        d += parts.Line().right().at(stage.out).length(0.6)
        d += parts.Dot(open=True, fill=GROUND_COLOUR).label("out", "right")

    return draw


def _gyrator(d: schemdraw.Drawing) -> None:
    """Draw two ports whose current sources follow the other port's voltage."""
    d += (first := parts.SourceControlledI().down().label("g v(c,d)", "top", ofst=0.1))
    d += (second := parts.SourceControlledI().reverse().down().at((first.start[0] + 2.2, first.start[1])))
    d += parts.Label().at((second.center[0] + 1.3, second.center[1])).label("g v(a,b)", "center")
    _pins(d, {"a": first.start, "b": first.end, "c": second.start, "d": second.end})


def _transformer(d: schemdraw.Drawing) -> None:
    d += (coils := parts.Transformer().label("n : 1", "top"))
    _pins(d, {"a": coils.p1, "b": coils.p2, "c": coils.s1, "d": coils.s2})


def _pins(d: schemdraw.Drawing, places: dict[str, tuple[float, float]]) -> None:
    for name, place in places.items():
        left = name in "ab"
        d += (wire := (parts.Line().left() if left else parts.Line().right()).at(place).length(0.5))
        d += parts.Dot(open=True, fill=GROUND_COLOUR).at(wire.end).label(name, "left" if left else "right")


def _outputs(circuit: Circuit) -> _Found:
    pairs = sum(output.minus != GROUND for output in circuit.outputs)
    if pairs:
        yield "output pair", pairs, _pair
    if single := len(circuit.outputs) - pairs:
        yield "output", single, _single


def _pair(d: schemdraw.Drawing) -> None:
    d += (plus := parts.Line().right().length(1.4).label("bit line +", "left"))
    d += parts.Dot(open=True, fill=GROUND_COLOUR).label("y⁺", "right")
    d += (
        minus := parts.Line().right().at((plus.start[0], plus.start[1] - 1.8)).length(1.4).label("bit line −", "left")
    )
    d += parts.Dot(open=True, fill=GROUND_COLOUR).label("y⁻", "right")
    d += parts.Gap().at(plus.end).to(minus.end).label(("+", "y", "−"), "bottom")


def _single(d: schemdraw.Drawing) -> None:
    d += (line := parts.Line().right().length(1.4).label("bit line", "left"))
    d += parts.Dot(open=True, fill=GROUND_COLOUR).label("y", "right")
    d += parts.Gap().at(line.end).down().length(1.3)
    d += parts.Ground()
