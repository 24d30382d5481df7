"""The shapes of a layout as plain data, for pictures."""

from collections.abc import Iterator

import numpy as np
from klayout import db

from harness.exchange.layout.extraction import Read
from harness.exchange.layout.plan import Plan
from harness.exchange.layout.technology import Layer
from harness.measurement import Array

Shapes = tuple[str, list[Array], list[tuple[float, float, str]]]
"""The name of a layer, the corners of each shape (µm, ``[corners, 2]``), and names with their places (µm)."""


def shapes_of(read: Read, plan: Plan) -> list[Shapes]:
    """Return the layers, the via cells last, with the names of the lines of every crossbar."""
    technology = read.technology
    word, bit = technology.word, technology.bit
    found = [
        ("word lines", _polygons(read, word.layer), _labels(read, plan, word.label)),
        ("bit lines", _polygons(read, bit.layer), _labels(read, plan, bit.label)),
    ]
    if technology.marker is not None:
        found.append(("markers", _polygons(read, technology.marker.layer), []))
    return [*found, ("via cells", _polygons(read, technology.via.layer), [])]


def _polygons(read: Read, layer: Layer) -> list[Array]:
    unit = read.layout.dbu
    shapes = read.shapes(layer).merged().each()
    return [unit * np.array([(point.x, point.y) for point in shape.each_point_hull()], float) for shape in shapes]


def _labels(read: Read, plan: Plan, layer: Layer) -> list[tuple[float, float, str]]:
    return [label for array in plan.arrays for label in _of_array(read, array.name, layer)]


def _of_array(read: Read, name: str, layer: Layer) -> Iterator[tuple[float, float, str]]:
    cell = read.layout.cell(name)
    for place in (parent.child_inst().cell_inst.trans for parent in cell.each_parent_inst()) if cell else ():
        for label in read.labels(layer, cell):
            point = place * db.Point(label.x, label.y)
            yield point.x * read.layout.dbu, point.y * read.layout.dbu, label.string
