"""The unit policy: SI floats inside, prefixes for people, plain exponents for netlists.

People write ``"4.7 kS"``, ``"10uS"`` or ``0.2``; `parse` turns that into an SI float once, at the file boundary.
Prefixes follow SI and are case-sensitive: ``M`` is mega and ``m`` is milli, unlike SPICE, where both are milli.
"""

import math
import re
from decimal import Decimal, InvalidOperation

from harness.errors import UnitError

_PREFIXES = {"f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
"""Powers of ten; the micro sign and the Greek letter are both read."""
TIMES = {"min": 60.0, "h": 3600.0, "d": 86400.0, "y": 31557600.0}
"""Seconds in units of time beyond the second; a year is the Julian one, of 365.25 days."""
_OHM = re.compile("Ω|\N{OHM SIGN}")
_HEADING = re.compile(r"conductance \((\S*S)\)")
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*")


def parse(value: object, unit: str) -> float:
    """An SI float from a number or a text such as ``"4.7"`` or ``"4.7 kS"``, in `unit` (``"S"``, ``"V"``, ``"A"``).

    A prefix without its unit is refused: ``"1 m"`` may be a milli of anything.

    Raises:
        UnitError: the text is no number, has an unknown prefix or another unit, or the value is not finite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UnitError(f"{value!r} is no quantity; write a number or a text such as '10 u{unit}'")
    if not isinstance(value, str):
        try:
            return _finite(float(value), unit)
        except OverflowError as error:
            raise UnitError(f"a whole number of {len(str(value))} digits is not finite as a quantity") from error
    match = _QUANTITY.fullmatch(value)
    if match is None:
        raise UnitError(f"{value!r} is no quantity; write a number or a text such as '10 u{unit}'")
    number, suffix = match.group(1), _OHM.sub("Ohm", match.group(2))
    prefix = suffix.removesuffix(_OHM.sub("Ohm", unit)) if unit else suffix
    if prefix not in _PREFIXES:
        raise UnitError(
            f"{value!r} should be in {unit or 'no unit'}; known prefixes are {', '.join(filter(None, _PREFIXES))}"
        )
    if unit and prefix and prefix == suffix:
        raise UnitError(f"{value!r} has a prefix but no unit; write '{number} {prefix}{unit}'")
    try:
        nearest = float(Decimal(number).scaleb(_PREFIXES[prefix]))
    except InvalidOperation as error:
        raise UnitError(f"{value!r} is out of the range of numbers") from error
    return _finite(nearest, unit)


def duration(value: object) -> float:
    """Seconds from a number or a text such as ``"90 s"``, ``"10 ms"``, ``"1h"`` or ``"2.5 y"``; see `TIMES`.

    Raises:
        UnitError: the text is no time; a lone ``m``, which could be minutes or months, is refused.
    """
    if not isinstance(value, str) or (match := _QUANTITY.fullmatch(value)) is None:
        return parse(value, "s")
    number, unit = match.groups()
    if unit in TIMES:
        return _finite(float(number) * TIMES[unit], "s")
    try:
        return parse(value, "s")
    except UnitError as error:
        if unit.removesuffix("s") and "finite" not in str(error):
            units = f"s (also ms, us, ns), {', '.join(TIMES)}"
            raise UnitError(f"{value!r} is no time; write a number with one of the units {units}") from error
        raise


def show_duration(seconds: float) -> str:
    """A time as people write it: ``"1 h"``, ``"30 d"``, ``"1 y"``, and as `show` does below a minute."""
    fitting = [(name, seconds / size) for name, size in TIMES.items() if seconds >= size]
    if not fitting:
        return show(seconds, "s")
    name, number = fitting[-1]
    whole = [(unit, count) for unit, count in fitting if count == round(count)]
    if number != round(number) and whole and whole[-1][1] < 1000:
        name, number = whole[-1]
    return f"{number:.4g} {name}"


def unit_of_heading(title: str) -> str | None:
    """The unit in the heading of conductances, such as uS of ``conductance (uS)``; None in other headings."""
    found = _HEADING.fullmatch(title.strip())
    return found.group(1) if found else None


def show(value: float, unit: str, digits: int = 3) -> str:
    """A quantity as people write it: ``show(4.7e-5, "S")`` is ``"47 µS"``, ``show(2.03e12, "Ω")`` is ``"2.03 TΩ"``."""
    rounded = float(f"{value:.{digits}g}")
    for prefix in ("T", "G", "M", "k", "", "m", "µ", "n", "p", "f"):
        size = abs(rounded) / 10.0 ** _PREFIXES[prefix]
        if 1 - 1e-9 <= size < 1000 - 1e-6:
            return f"{math.copysign(size, rounded):.12g} {prefix}{unit}".rstrip()
    return f"{rounded:.{digits}g} {unit}".rstrip()


def spice_number(value: float) -> str:
    """The shortest text that every SPICE reads back as exactly this float; no suffix, no numpy repr.

    Raises:
        UnitError: the value is not finite.
    """
    return repr(_finite(float(value), ""))


def _finite(value: float, unit: str) -> float:
    if not math.isfinite(value):
        raise UnitError(f"{value} {unit} is not finite".replace("  ", " "))
    return value
