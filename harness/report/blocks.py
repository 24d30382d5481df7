"""A network as a row of blocks in words: pins, crossbars, and the elements between them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.circuit import (
    GROUND,
    BidirectionalAmplifier,
    Circuit,
    Convolution,
    Crossbar,
    Edges,
    Element,
    Resistor,
    TrainableArray,
    VoltageSource,
)
from harness.circuit.elements import Modelled, Source, Stage
from harness.report.inventory import extent
from harness.units import show
from harness.wording import counted


@dataclass(frozen=True)
class Block:
    """One block of the schematic."""

    title: str
    lines: tuple[str, ...]
    array: str = ""
    """The trainable array that it is; empty for what stands between arrays."""


def blocks(circuit: Circuit) -> list[Block]:
    """Return the blocks from inputs to outputs: the arrays in order, and the elements that touch their lines.

    An element is counted where it appears first: what touches the word lines of a crossbar stands before it, what
    touches its bit lines behind it.
    """
    seen: set[str] = set()
    found: list[Block] = []
    crossbars = [array for array in circuit.arrays if isinstance(array, Crossbar | Convolution)]
    if not crossbars:
        return list(_one_graph(circuit))
    for k, crossbar in enumerate(crossbars):
        before = set(crossbar.words) | (set(crossbars[k - 1].bits) if k else set())
        lines = _counted(circuit, before, seen)
        title = (
            counted(sum(node not in circuit.held_nodes for node in crossbars[k - 1].bits), "node") if k else "Inputs"
        )
        found.append(Block(title if k == 0 else f"Layer {k}: {title}", tuple(lines)))
        found.append(_array_block(crossbar))
    lines = [_outputs(circuit), *_counted(circuit, set(crossbars[-1].bits), seen)]
    found.append(Block("Outputs", tuple(lines)))
    if others := _counted(circuit, set(circuit.nodes), seen):
        found.append(Block("Elsewhere", tuple(others)))
    return found


def _one_graph(circuit: Circuit) -> Iterator[Block]:
    yield Block("Inputs", tuple(_in_words(circuit.sources)))
    for array in circuit.arrays:
        yield _array_block(array)
    rest = [e for e in circuit.elements if not isinstance(e, Source | TrainableArray)]
    yield Block(
        "Around them", (f"{len(circuit.nodes) - len({e.node for e in circuit.sources}):,} free nodes", *_in_words(rest))
    )
    yield Block("Outputs", (_outputs(circuit),))


def _array_block(array: TrainableArray) -> Block:
    size, noun = extent(array)
    span = f"{show(array.g_min, 'S')} … {show(array.g_max, 'S')}"
    return Block(f"{array.name}: {size}", (noun, f"{array.conductances.size:,} memristors", span), array.name)


def _outputs(circuit: Circuit) -> str:
    pairs = sum(output.minus != GROUND for output in circuit.outputs)
    noun = "output pair" if pairs else "output"
    return f"{len(circuit.outputs):,} {noun}{'s' * (len(circuit.outputs) > 1)}"


def _counted(circuit: Circuit, nodes: set[str], seen: set[str]) -> list[str]:
    """Return elements at some nodes that were not seen before, in words, with the rails of their diodes."""
    near: list[Element] = []
    reached = set(nodes)
    for element in circuit.elements:
        if isinstance(element, Modelled | Resistor | BidirectionalAmplifier) and not nodes.isdisjoint(element.pins):
            reached |= set(element.pins)
    for element in circuit.elements:
        own = isinstance(element, VoltageSource) and element.node in reached
        touches = own or not nodes.isdisjoint(element.pins)
        if element.name not in seen and not isinstance(element, Crossbar | Convolution) and touches:
            near.append(element)
    seen |= {element.name for element in near}
    return _in_words(near)


def _in_words(elements: Sequence[Element]) -> list[str]:
    counts: Counter[str] = Counter()
    more: dict[str, list[float]] = {}
    texts = []
    for element in elements:
        if isinstance(element, Edges):
            texts.append(f"{element.conductances.size:,} memristors between nodes ({element.name})")
            continue
        noun = element.noun
        counts[noun] += 1
        if isinstance(element, Stage | VoltageSource):
            more.setdefault(noun, []).append(getattr(element, element.figure[0]))
    for noun, count in counts.items():
        unit = "V" if noun == "rail" else ""
        values = sorted({float(f"{value:.3g}") for value in more.get(noun, [])})
        told = ", ".join(show(value, unit) for value in values[:4]).replace("-", "−") if len(values) <= 4 else "various"
        texts.append(f"{count:,} {noun}{'s' * (count > 1)}" + (f" ({told})" if values else ""))
    return texts
