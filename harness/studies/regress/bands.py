"""Bands: how far a quantity may be from its golden."""

import math
from dataclasses import dataclass
from typing import Any

from harness.errors import ExperimentError, UnitError
from harness.files.reading import JsonObject
from harness.units import parse, show
from harness.wording import did_you_mean

_PREFIXED = ("V", "J")
"""Units that take prefixes; 2 mV² could be read as the square of 2 mV."""

_DISTANCES, _LIMITS = ("within", "below", "above"), ("at_least", "at_most")
_KEYS = (*_DISTANCES, *_LIMITS, "relative")


@dataclass(frozen=True)
class Band:
    """A band about a golden, and limits that hold whatever the golden is.

    In a suite, ``{ below = 0.03 }`` lets a quantity fall by 0.03 and rise at will, ``{ above = "1 mV" }`` the reverse,
    ``{ within = 0.1, relative = true }`` leave the golden by a tenth of it either way; ``{ at_least = 0.9 }`` and
    ``{ at_most = "5 mV" }`` need no golden. Keys may stand side by side, but not ``within`` with the one-sided ones.
    """

    unit: str
    below: float | None = None
    """Largest distance below the golden, in `unit` or, if relative, in parts of the golden's size; None for any."""
    above: float | None = None
    relative: bool = False
    at_least: float | None = None
    """In `unit`; None for no limit."""
    at_most: float | None = None

    @classmethod
    def read(cls, written: JsonObject, unit: str) -> "Band":
        """Read a band as a suite writes it.

        Raises:
            ExperimentError: a key is unknown, a distance negative or relative and above 1, or the band bounds nothing.
        """
        for key in written:
            if key not in _KEYS:
                raise ExperimentError(f"unknown key {key!r}{did_you_mean(key, _KEYS, or_list=True)}")
        relative = written.get("relative", False)
        if not isinstance(relative, bool):
            raise ExperimentError(f"relative = {relative!r}: must be true or false")
        given = {key: _distance(key, written[key], unit, relative) for key in _DISTANCES if key in written}
        limits = {key: _parsed(key, written[key], unit) for key in _LIMITS if key in written}
        if "within" in given and len(given) > 1:
            raise ExperimentError("'within' is both sides at once; leave it out beside 'below' and 'above'")
        if not (given or limits):
            raise ExperimentError(f"the band bounds nothing; give it one of {', '.join(_KEYS[:-1])}")
        if relative and not given:
            raise ExperimentError("'relative' goes with within, below or above; limits are absolute")
        if limits.get("at_least", -math.inf) > limits.get("at_most", math.inf):
            low, high = (shown(limits[key], unit) for key in _LIMITS)
            raise ExperimentError(f"at_least {low} lies above at_most {high}; nothing could pass")
        both = given.get("within")
        return cls(unit, given.get("below", both), given.get("above", both), relative, **limits)

    @property
    def needs_golden(self) -> bool:
        """The band counts from a golden."""
        return self.below is not None or self.above is not None

    def limits(self, golden: float | None) -> tuple[float, float]:
        """Return the least and the largest value that pass, in the band's unit; infinite where there is no bound."""
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        if golden is not None:
            size = abs(golden) if self.relative else 1.0
            low = low if self.below is None else max(low, golden - self.below * size)
            high = high if self.above is None else min(high, golden + self.above * size)
        return low, high

    def complaint(self, name: str, golden: float | None, found: float) -> str | None:
        """Return what is wrong with a value outside of the band; None for one inside."""
        low, high = self.limits(golden)
        if low <= found <= high:
            return None
        if found < low:
            side, bound, distance, limit = "below", low, self.below, self.at_least
        else:
            side, bound, distance, limit = "above", high, self.above, self.at_most
        digits = _digits_apart(found, bound)
        if golden is None or distance is None or bound == limit:
            why = "a limit that no golden moves"
        else:
            moved = f"{100 * distance:g} %" if self.relative else shown(distance, self.unit, 6)
            why = f"the golden {shown(golden, self.unit, digits)} {'−' if side == 'below' else '+'} {moved}"
        return f"{name} {shown(found, self.unit, digits)} is {side} {shown(bound, self.unit, digits)}, {why}"

    def text(self, golden: float | None) -> str:
        """Return the values that pass, as tables show them."""
        limits = self.limits(golden)
        low, high = (shown(bound, self.unit, 4) for bound in limits)
        if not math.isfinite(limits[1]):
            return f"≥ {low}" if math.isfinite(limits[0]) else "needs a golden"
        return f"{low} … {high}" if math.isfinite(limits[0]) else f"≤ {high}"


def shown(value: float, unit: str, digits: int = 4) -> str:
    """Return a quantity as people read it: ``12.9 mV``, ``0.875``, ``0.00226 V²``, counts in full."""
    if not unit and math.isfinite(value) and value == int(value):
        return f"{int(value):,}"
    return show(value, unit, digits) if unit in _PREFIXED else f"{value:.{digits}g} {unit}".rstrip()


def _parsed(key: str, value: Any, unit: str) -> float:
    try:
        return parse(value, unit)
    except UnitError as error:
        raise ExperimentError(f"{key} = {value!r}: {error}") from error


def _distance(key: str, value: Any, unit: str, relative: bool) -> float:
    unit = "" if relative else unit
    if (distance := _parsed(key, value, unit)) < 0:
        raise ExperimentError(f"{key} = {shown(distance, unit)}: a distance from the golden must be at least 0 {unit}")
    if relative and distance > 1:
        raise ExperimentError(
            f"{key} = {shown(distance, unit)}: a relative distance is in parts of the golden and at most 1 (100 %), "
            "else nothing could fail; write a fraction, or leave out 'relative'"
        )
    return distance


def _digits_apart(found: float, bound: float) -> int:
    """Return how many digits tell two numbers apart, at least 4."""
    return next((n for n in range(4, 17) if f"{found:.{n}g}" != f"{bound:.{n}g}"), 17)
