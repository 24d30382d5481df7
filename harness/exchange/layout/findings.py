"""Findings about a layout: rules that it breaks, differences from its netlist, resistances of its lines."""

from dataclasses import dataclass

import numpy as np

from harness.errors import NetlistError
from harness.files.reading import JsonObject
from harness.measurement import Array


@dataclass(frozen=True)
class Violation:
    """The places at which one design rule is broken."""

    rule: str
    """The rule with its figure, such as ``word.least_width 200 nm``."""
    places: int
    first: tuple[float, float]
    """The middle of one of them, µm."""

    def __str__(self) -> str:
        where = "1 place," if self.places == 1 else f"{self.places} places, one of them"
        return f"{self.rule}: broken in {where} at ({self.first[0]:.3f}, {self.first[1]:.3f}) µm"


@dataclass(frozen=True, eq=False)
class Segments:
    """Resistances of all segments of a crossbar's lines, Ω: between crossings, and from the end to the first one."""

    array: str
    word: Array
    bit: Array


@dataclass(frozen=True, eq=False)
class Examination:
    """All that was found about a layout."""

    violations: tuple[Violation, ...]
    differences: tuple[str, ...]
    """Differences between the layout's netlist and the exported one, a sentence each."""
    segments: tuple[Segments, ...]
    """Nothing where the netlists differ, as nobody knows then which shape is which line."""
    size: tuple[float, float]
    """Width and height, µm."""

    @property
    def clean(self) -> bool:
        """True where the layout keeps all rules and has the netlist that it must have."""
        return not (self.violations or self.differences)

    @property
    def line_word(self) -> float:
        """The mean resistance of a segment of word lines, Ω, for ``variation.line_word``."""
        return self._mean([array.word for array in self.segments])

    @property
    def line_bit(self) -> float:
        """The mean resistance of a segment of bit lines, Ω, for ``variation.line_bit``."""
        return self._mean([array.bit for array in self.segments])

    def _mean(self, found: list[Array]) -> float:
        """Return the mean over all arrays.

        Raises:
            NetlistError: lines were not measured.
        """
        if not found:
            raise NetlistError("the layout's netlist is not the network's, so that its lines have no known resistance")
        return float(np.concatenate(found).mean())

    def to_json(self) -> JsonObject:
        """Return it as plain data: places in µm, resistances in Ω."""
        kinds = [(array.array, kind, getattr(array, kind)) for array in self.segments for kind in ("word", "bit")]
        return {
            "clean": self.clean,
            "violations": [
                {"rule": broken.rule, "places": broken.places, "first_um": list(broken.first)}
                for broken in self.violations
            ],
            "differences": list(self.differences),
            "size_um": list(self.size),
            "lines": [
                {
                    "array": array,
                    "kind": kind,
                    "segments": len(ohms),
                    "least_ohm": float(ohms.min()),
                    "mean_ohm": float(ohms.mean()),
                    "largest_ohm": float(ohms.max()),
                }
                for array, kind, ohms in kinds
            ],
            **({"line_word_ohm": self.line_word, "line_bit_ohm": self.line_bit} if self.segments else {}),
        }
