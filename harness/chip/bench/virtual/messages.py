"""Messages as a board takes them (``docs/pages/bench-protocol.md``): commands, numbers, frames, and errors.

Whatever comes, it is taken apart or refused by a `Fault`; nothing here fails otherwise.
"""

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from harness.measurement import Array

LONGEST = 2**26
"""Bytes of a message."""
_LONGEST_TEXT = 200
"""Characters of an error's text, about as many as SCPI allows."""
_TITLES = {
    -101: "Invalid character",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -200: "Execution error",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -241: "Hardware missing",
    -310: "System error",
    -350: "Queue overflow",
}
_PLAIN = str.maketrans(
    {"β": "beta", "η": "eta", "µ": "u", "μ": "u", "Ω": "Ohm", "−": "-", "…": "...", '"': "'", ";": ","}
)
_FRAME = re.compile(r"FRAM ([0-9]{1,18}),([0-9A-Fa-f]{8}),(.*)", re.DOTALL)


class Fault(Exception):  # noqa: N818 - it is an answer, not a failure of the program
    """A message that a board refuses, by a code of SCPI's and why."""

    def __init__(self, code: int, text: str) -> None:
        plain = "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in text.translate(_PLAIN))
        super().__init__(f'{code},"{_TITLES[code]}: {plain[:_LONGEST_TEXT]}"')


@dataclass(frozen=True)
class Frame:
    """The content of a frame whose sum is right."""

    number: int
    message: str


def text_of(line: bytes) -> str:
    """Return the characters of a line without its end.

    Raises:
        Fault: one is not printable ASCII.
    """
    text = line.rstrip(b"\r\n").decode("latin-1")
    if not (text.isascii() and text.isprintable()):
        wrong = next(c for c in text if not " " <= c <= "~")
        raise Fault(-101, f"byte 0x{ord(wrong):02x} is not printable ASCII")
    return text


def unframed(text: str) -> Frame | None:
    """Return what is in a frame; None where its sum, or anything else of it, is wrong."""
    found = _FRAME.fullmatch(text)
    if found is None or int(found[2], 16) != crc32(f"{found[1]},{found[3]}".encode("latin-1")):
        return None
    return Frame(int(found[1]), found[3])


def framed(number: int, answer: str) -> str:
    """Return an answer in a frame."""
    return f"FRAM {number},{crc32(f'{number},{answer}'.encode()):08X},{answer}"


def commands(message: str) -> list[tuple[str, str]]:
    """Return header and parameters of each command of a message."""
    parts = (part.strip().removeprefix(":") for part in message.split(";"))
    split = (part.partition(" ") for part in parts if part)
    return [(header.upper(), rest.strip()) for header, _, rest in split]


def numbers(text: str) -> list[float]:
    """Return the numbers of a list.

    Raises:
        Fault: one is no number, or not finite.
    """
    parts = text.split(",") if text else []
    with suppress(ValueError):
        found = list(map(float, parts))
        if "_" not in text and all(map(math.isfinite, found)):
            return found
    return list(map(_number, parts))


def _number(text: str) -> float:
    try:
        found = float(text.replace("_", "?"))
    except ValueError as error:
        raise Fault(-104, f"{text!r} is no number") from error
    if not math.isfinite(found):
        raise Fault(-222, f"{text} is not finite")
    return found


def listed(values: npt.NDArray[Any]) -> str:
    """Return numbers as a list that gives back the same 64-bit floats."""
    return ",".join(map(repr, values.ravel().tolist()))


def check_within(values: Array, most: float, unit: str) -> None:
    """Refuse numbers beyond ±`most`.

    Raises:
        Fault: names the first one.
    """
    if (far := np.abs(values) > most).any():
        raise Fault(-222, f"{values[far][0]:g} {unit} is beyond {most:g} {unit}")


def whole(values: Array, most: float = 2.0**53) -> Array:
    """Return the numbers, which have to be whole and 0…`most`.

    Raises:
        Fault: names the first one that is not.
    """
    wrong = (values != np.floor(values)) | (values < 0) | (values > most)
    if wrong.any():
        raise Fault(-222, f"{values[wrong][0]:g} is no whole number of 0...{most:g}")
    return values
