"""The technology that a layout is drawn in: two layers of metal and a resistive cell in the via between them.

A technology is a TOML file; ``technologies/generic.toml`` is an example with every key explained. Lengths are in m, and
whole numbers of nm; resistances are in Ω.
"""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from harness.errors import ExperimentError
from harness.files.reading import parse_toml, read_text
from harness.units import show
from harness.validation import MismatchError, Ohms, Section, Unit, Whole, places_in, validated
from harness.wording import did_you_mean

GENERIC = "generic"
"""The packaged technology that is taken where none is named."""
_NANOMETRE = 1e-9


def _whole(metres: float) -> float:
    if abs(metres / _NANOMETRE - round(metres / _NANOMETRE)) > 1e-6:
        raise ValueError("must be a whole number of nanometres")
    return round(metres / _NANOMETRE) * _NANOMETRE


def _printable(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must be one line of printable ASCII")
    return text


Length = Annotated[float, Unit("m"), Field(ge=1e-9, le=1e-3), AfterValidator(_whole)]
Line = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Number = Annotated[Whole, Field(ge=0, le=32767)]
Layer = tuple[Number, Number]
"""Number and datatype of a layer in a GDS file."""


class Metal(Section):
    """A layer of metal with parallel lines."""

    layer: Layer
    label: Layer
    """Layer of the texts that name the lines."""
    width: Length
    """Width of a line, as it is drawn."""
    pitch: Length
    """Distance from the middle of a line to the middle of the next one."""
    sheet_resistance: Annotated[Ohms, Field(gt=0, le=1e6)]
    """Resistance of a square of the metal."""
    least_width: Length
    least_spacing: Length

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        if self.width < self.least_width:
            raise MismatchError("width", f"must be at least least_width, {_told(self.least_width)}", _told(self.width))
        if self.pitch < self.width + self.least_spacing - _NANOMETRE / 2:
            least = _told(self.width + self.least_spacing)
            raise MismatchError("pitch", f"must be at least width + least_spacing, {least}", _told(self.pitch))
        return self


class Via(Section):
    """The resistive cell at a crossing: a square between both metals."""

    layer: Layer
    size: Length
    """Side of the square, the only one that the rules allow."""
    least_spacing: Length
    word_enclosure: Length
    bit_enclosure: Length
    """Least metal around it on each side."""


class Marker(Section):
    """A square around every via that makes it a resistive cell, where a technology has one."""

    layer: Layer
    size: Length
    least_spacing: Length


class Technology(Section):
    """Layers, sizes, rules and resistances."""

    name: Line
    source: Line = ""
    """The publication of the figures."""
    grid: Length
    """Every corner of a shape lies on it."""
    word: Metal
    bit: Metal
    via: Via
    marker: Marker | None = None

    @property
    def layers(self) -> dict[str, Layer]:
        """Every layer, by the key that names it."""
        found = {f"{name}.{key}": getattr(metal, key) for name, metal in self._metals() for key in ("layer", "label")}
        found["via.layer"] = self.via.layer
        return found if self.marker is None else {**found, "marker.layer": self.marker.layer}

    @property
    def squares(self) -> dict[str, Via | Marker]:
        """The squares of a via cell, by their section."""
        return {"via": self.via} if self.marker is None else {"via": self.via, "marker": self.marker}

    def nanometres(self, metres: float) -> int:
        """Return a length of the technology in nm, the unit that layouts are drawn in."""
        return round(metres / _NANOMETRE)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        seen: dict[Layer, str] = {}
        for key, layer in self.layers.items():
            if layer in seen:
                raise MismatchError(key, f"is the layer of {seen[layer]} too; each needs its own", list(layer))
            seen[layer] = key
        self._check_crossing()
        self._check_grid()
        return self

    def _check_crossing(self) -> None:
        """Check that vias fit into lines that cross, and next to each other."""
        enclosures = {"word": self.via.word_enclosure, "bit": self.via.bit_enclosure}
        for name, metal in self._metals():
            least = self.via.size + 2 * enclosures[name]
            if metal.width < least - _NANOMETRE / 2:
                told = f"must be at least via.size + 2 via.{name}_enclosure, {_told(least)}"
                raise MismatchError(f"{name}.width", told, _told(metal.width))
            squares = [("via", self.via.size + max(self.via.least_spacing, 2 * max(enclosures.values())))]
            if self.marker is not None:
                squares.append(("marker", self.marker.size + self.marker.least_spacing))
            for square, least in squares:
                if metal.pitch < least - _NANOMETRE / 2:
                    told = f"leaves no room between two {square} squares; it must be at least {_told(least)}"
                    raise MismatchError(f"{name}.pitch", told, _told(metal.pitch))
        if self.marker and self.marker.size < self.via.size:
            raise MismatchError("marker.size", f"must be at least via.size, {_told(self.via.size)}")

    def _check_grid(self) -> None:
        """Check that squares and lines, which lie in the middle of a pitch, have their corners on the grid."""
        grid = self.nanometres(self.grid)
        drawn = [(f"{name}.{key}", getattr(metal, key)) for name, metal in self._metals() for key in ("width", "pitch")]
        drawn += [(f"{name}.size", square.size) for name, square in self.squares.items()]
        for key, length in drawn:
            if self.nanometres(length) % (2 * grid):
                told = (
                    f"must be a multiple of twice the grid, {_told(2 * self.grid)}, so that its middle lies on the grid"
                )
                raise MismatchError(key, told, _told(length))

    def _metals(self) -> Iterator[tuple[str, Metal]]:
        yield "word", self.word
        yield "bit", self.bit


def _told(metres: float) -> str:
    return show(metres, "m", 6)


def read_technology(text: str, place: str) -> Technology:
    """Read a technology from the text of its TOML file; `place` is what errors call it.

    Raises:
        ExperimentError: syntax, keys or values are wrong; names line, key and value.
    """
    return validated(Technology, parse_toml(text, ExperimentError, place), places_in(text, place))


def technology_of(name: str) -> Technology:
    """Return a packaged technology by its name, or one's own by the path of its TOML file.

    Raises:
        ExperimentError: there is none, or it is wrong; names file, line, key and value.
    """
    folder = resources.files("harness.exchange.layout") / "technologies"
    if name in packaged_technologies():
        return read_technology((folder / f"{name}.toml").read_text(encoding="utf-8"), f"technology {name}")
    if not name.endswith(".toml"):
        meant = did_you_mean(name, packaged_technologies(), or_list=True)
        raise ExperimentError(f"no technology {name!r}{meant} (or name a file of one's own, which ends in .toml)")
    return read_technology(read_text(Path(name), ExperimentError), name)


def packaged_technologies() -> tuple[str, ...]:
    """Return the names of the technologies that come with the package."""
    files = (resources.files("harness.exchange.layout") / "technologies").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))
