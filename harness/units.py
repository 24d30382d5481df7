"""The unit policy: SI floats inside, prefixes for people, plain exponents for netlists.

People write ``"4.7 kS"``, ``"10u"`` or ``0.2``; `parse` turns that into an SI float once, at the file boundary.
Prefixes follow SI and are case-sensitive: ``M`` is mega and ``m`` is milli, unlike SPICE, where both are milli.
"""

import math
import re

from harness.errors import UnitError

_PREFIXES = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*")


def parse(value: object, unit: str) -> float:
    """An SI float from a number or a text such as ``"4.7k"`` or ``"4.7 kS"``, in `unit` (``"S"``, ``"V"``, ``"A"``).

    Raises:
        UnitError: the text is no number, has an unknown prefix or another unit, or the value is not finite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UnitError(f"{value!r} is no quantity; write a number or a text such as '10 u{unit}'")
    if not isinstance(value, str):
        return _finite(float(value), unit)
    match = _QUANTITY.fullmatch(value)
    if match is None:
        raise UnitError(f"{value!r} is no quantity; write a number or a text such as '10 u{unit}'")
    number, suffix = match.groups()
    prefix = suffix.removesuffix(unit) if unit else suffix
    if prefix not in _PREFIXES:
        raise UnitError(
            f"{value!r} should be in {unit or 'no unit'}; known prefixes are {', '.join(filter(None, _PREFIXES))}"
        )
    return _finite(float(number) * _PREFIXES[prefix], unit)


def show(value: float, unit: str, digits: int = 3) -> str:
    """A quantity as people write it: ``show(4.7e-5, "S")`` is ``"47 µS"``."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    for prefix, factor in (
        ("G", 1e9),
        ("M", 1e6),
        ("k", 1e3),
        ("", 1.0),
        ("m", 1e-3),
        ("µ", 1e-6),
        ("n", 1e-9),
        ("p", 1e-12),
    ):
        if abs(value) >= factor * (1 - 1e-9):
            return f"{value / factor:.{digits}g} {prefix}{unit}"
    return f"{value:.{digits}g} {unit}"


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
