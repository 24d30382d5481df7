"""Raw files, the format of SPICE results: a header in text, then numbers in text or binary."""

import re
from pathlib import Path

import numpy as np

from harness.errors import SimulatorError
from harness.files.reading import read_bytes
from harness.measurement import Array

_SIZE_LIMIT = 4_000_000_000
_DIGITS = 12  # of a number of points


def read_raw(path: Path) -> dict[str, Array]:
    """Return vectors over time by name, ``[points]`` each: ``time``, and nets as ``xnet.h0``.

    Raises:
        SimulatorError: the file is missing, too large, damaged, or no raw file of real numbers.
    """
    if not path.exists():
        raise SimulatorError(f"no results were written ({path.name} is missing)")
    content = read_bytes(path, SimulatorError, most=_SIZE_LIMIT)
    wide = content[1:2] == b"\0"  # LTspice writes its headers in UTF-16
    if wide:
        content = _narrowed(content)
    found = re.search(rb"^(Binary|Values):\s*?\n", content, re.MULTILINE)
    if found is None:
        raise SimulatorError(f"{path.name} is no raw file")
    head, body = content[: found.start()].decode("latin-1"), content[found.end() :]
    points, names = _header(path, head)
    try:
        if found.group(1) == b"Binary":
            numbers = np.frombuffer(body, np.float64, count=points * len(names)).reshape(points, len(names))
        else:
            values = np.array(body.split()[: points * (len(names) + 1)], float)
            numbers = values.reshape(points, len(names) + 1)[:, 1:]
    except ValueError as error:
        raise SimulatorError(f"{path.name} does not hold the {points} points that it says") from error
    return {name: numbers[:, k] for k, name in enumerate(names)}


def _header(path: Path, head: str) -> tuple[int, list[str]]:
    """Return the number of points and the names of the vectors."""
    points = re.search(r"^No\. Points:\s*(\d+)", head, re.MULTILINE)
    variables = re.search(r"^Variables:\s*(.*)\Z", head, re.MULTILINE | re.DOTALL)
    if points is None or variables is None or re.search(r"^Flags:.*complex", head, re.MULTILINE):
        raise SimulatorError(f"{path.name} is no raw file of real numbers")
    rows = [line.split() for line in variables.group(1).splitlines() if line.strip()]
    if len(points.group(1)) > _DIGITS or any(len(row) < 2 for row in rows):
        raise SimulatorError(f"{path.name} is no raw file of real numbers")
    return int(points.group(1)), [net_of(row[1]) for row in rows]


def net_of(name: str) -> str:
    """Return ``xnet.h0`` for what simulators call that net: ``V(XNET:H0)``, ``xnet:h0``, ``xnet.h0``."""
    plain = name.lower().replace(":", ".").replace("|", ".")
    found = re.fullmatch(r"v\((.+)\)", plain)
    return found.group(1) if found else plain


def _narrowed(content: bytes) -> bytes:
    """Return a file with its UTF-16 header in ASCII; the numbers behind ``Binary:`` stay as they are."""
    mark = "Binary:\n".encode("utf-16-le")
    end = content.find(mark)
    if end < 0:
        return content.decode("utf-16-le", "replace").encode("latin-1", "replace")
    end += len(mark)
    return content[:end].decode("utf-16-le", "replace").encode("latin-1", "replace") + content[end:]
