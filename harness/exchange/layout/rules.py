"""Design rules (DRC): widths, distances, enclosures and the grid of a technology, measured on a layout by KLayout."""

from collections.abc import Iterator

from klayout import db

from harness.exchange.layout.extraction import Read
from harness.exchange.layout.findings import Violation
from harness.exchange.layout.technology import Layer
from harness.units import show


def violations(read: Read) -> list[Violation]:
    """Return the rules that a layout breaks."""
    return [Violation(rule, *_places(read, found)) for rule, found in _checked(read) if not found.is_empty()]


def _places(read: Read, found: db.Region | db.EdgePairs) -> tuple[int, tuple[float, float]]:
    boxes: Iterator[db.Box] = (place.bbox() for place in found.each())
    middle = next(boxes).center()
    return found.count(), (middle.x * read.layout.dbu, middle.y * read.layout.dbu)


def _checked(read: Read) -> Iterator[tuple[str, db.Region | db.EdgePairs]]:
    """Yield every rule with the places where it is broken."""
    technology, nm = read.technology, read.technology.nanometres
    vias = read.shapes(technology.via.layer)
    for name, metal, enclosure in (
        ("word", technology.word, technology.via.word_enclosure),
        ("bit", technology.bit, technology.via.bit_enclosure),
    ):
        shapes = read.shapes(metal.layer)
        yield _told(f"{name}.least_width", metal.least_width), shapes.width_check(nm(metal.least_width))
        yield _told(f"{name}.least_spacing", metal.least_spacing), shapes.space_check(nm(metal.least_spacing))
        yield _told(f"via.{name}_enclosure", enclosure), vias.enclosed_check(shapes, nm(enclosure))
        yield f"via inside a {name} line", vias.not_inside(shapes)
    if technology.marker is not None:
        markers = read.shapes(technology.marker.layer)
        yield "marker around a via", vias.not_inside(markers) + markers.not_covering(vias)
    for name, square in technology.squares.items():
        shapes, size = read.shapes(square.layer), nm(square.size)
        yield _told(f"{name}.size", square.size), shapes - shapes.merged().squares().with_bbox_width(size, False)
        yield _told(f"{name}.least_spacing", square.least_spacing), shapes.space_check(nm(square.least_spacing))
    yield from ((f"grid of {key}", _off_grid(read, layer)) for key, layer in technology.layers.items())


def _off_grid(read: Read, layer: Layer) -> db.EdgePairs:
    grid = read.technology.nanometres(read.technology.grid)
    return read.shapes(layer).grid_check(grid, grid)


def _told(rule: str, metres: float) -> str:
    return f"{rule} {show(metres, 'm', 6)}"
