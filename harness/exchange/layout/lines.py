"""Resistances of lines, measured on their shapes by KLayout's square counting."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from klayout import db

from harness.errors import NetlistError
from harness.exchange.layout.extraction import Read
from harness.exchange.layout.findings import Segments
from harness.exchange.layout.plan import ArrayPlan, Plan
from harness.exchange.layout.technology import Metal
from harness.measurement import Array

pex: Any = import_module("klayout.pex")  # its types lack the extractors


def segments_of(read: Read, plan: Plan) -> list[Segments]:
    """Measure the lines of every crossbar of a layout that is the plan's.

    Raises:
        NetlistError: a line has branches, loops or no crossings, so that it has no segments one after the other.
    """
    return [_measured(read, array) for array in plan.arrays]


def _measured(read: Read, array: ArrayPlan) -> Segments:
    cell = read.layout.cell(array.name)
    words, bits = (read.shapes(metal.layer, cell).merged() for metal in (read.technology.word, read.technology.bit))
    middles = np.array([(box.center().x, box.center().y) for box in (p.bbox() for p in (words & bits).each())])
    found = [
        np.concatenate([*_along(read, cell, metal, shapes, middles)])
        for metal, shapes in ((read.technology.word, words), (read.technology.bit, bits))
    ]
    return Segments(array.name, *found)


def _along(read: Read, cell: db.Cell, metal: Metal, shapes: db.Region, crossings: Array) -> Iterator[Array]:
    """Yield the resistances along each line that a label of the cell names, from the label on."""
    polygons = list(shapes.each())
    for label in read.labels(metal.label, cell):
        end = db.Point(label.x, label.y)
        line = next((polygon for polygon in polygons if polygon.inside(end)), None)
        if line is None:
            raise NetlistError(f"cell {cell.name}: label {label.string} is on no line")
        box = line.bbox()
        inside = ((crossings >= (box.left, box.bottom)) & (crossings <= (box.right, box.top))).all(axis=1)
        ports = [end, *(db.Point(*map(int, middle)) for middle in crossings[inside].tolist())]
        extractor = pex.RExtractor.square_counting_extractor(read.layout.dbu)
        squares = _chain(extractor.extract(line, ports), len(ports))
        if squares is None:
            raise NetlistError(
                f"cell {cell.name}: line {label.string} does not lead from its end past one crossing after the other"
            )
        yield metal.sheet_resistance * np.array(squares)


def _chain(network: Any, ports: int) -> Sequence[float] | None:
    """Return the resistances in the order in which a walk from port 0 meets them; None if there is no such order."""
    ends: dict[int, list[tuple[int, float]]] = {}
    for element in network.each_element():
        a, b = element.a().object_id(), element.b().object_id()
        for one, other in ((a, b), (b, a)):
            ends.setdefault(one, []).append((other, element.resistance()))
    starts = [
        node for node in network.each_node() if node.type() == pex.RNodeType.VertexPort and node.port_index() == 0
    ]
    at, before, found = starts[0].object_id(), -1, list[float]()
    while len(onward := [(node, ohms) for node, ohms in ends.get(at, ()) if node != before]) == 1:
        before, (at, ohms) = at, onward[0]
        found.append(ohms)
    return found if not onward and len(found) == ports - 1 and ports > 1 else None
