"""IDX files, checked to be the ones that are wanted.

An IDX file of bytes is ``00 00 08`` and the number of dimensions, then each dimension as four bytes with the highest
first, then the values in row-major order; it is often packed with gzip. gzip's own header differs between copies, so
what is compared is the SHA-256 of the content.
"""

import gzip
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

import numpy as np
import numpy.typing as npt

from harness.errors import DataError

Bytes = npt.NDArray[np.uint8]

_PACKING = 1 << 16
"""Bytes that gzip may add to a file for its header and a long name."""
_KINDS = {b"\0\0\x08\x01": " as labels do", b"\0\0\x08\x03": " as images do"}


@dataclass(frozen=True)
class IdxFile:
    """A description that one file has to meet."""

    name: str
    """Without ``.gz``."""
    shape: tuple[int, ...]
    sha256: str | None
    """Hash of the content; None where nobody published it."""
    packed_sha256: str | None = None
    """Hash of the gzip file that is published."""

    @property
    def header(self) -> bytes:
        """The magic number and the dimensions."""
        return bytes((0, 0, 8, len(self.shape))) + b"".join(size.to_bytes(4, "big") for size in self.shape)

    @property
    def size(self) -> int:
        """The length of the content in bytes."""
        return len(self.header) + math.prod(self.shape)

    @property
    def packed_size(self) -> int:
        """The largest size of a file with this content in bytes: gzip adds little to what cannot be packed."""
        return self.size + self.size // 1000 + _PACKING


def read_idx(raw: bytes, wanted: IdxFile, place: str, known: Mapping[str, str]) -> Bytes:
    """Return the values of a file in the wanted shape, after all checks that its description allows.

    Args:
        raw: the file, packed with gzip or not, whatever its name says.
        wanted: its description.
        place: path or address, for messages.
        known: names of files, by the SHA-256 of their content or of their published gzip file.

    Raises:
        DataError: the file is no intact gzip file, is another known file, or differs from the description in magic
            number, dimensions, length or SHA-256.
    """
    content = _unpacked(raw, wanted.size, place) if raw[:2] == b"\x1f\x8b" else raw
    found = sha256(content).hexdigest()
    packed = sha256(raw).hexdigest()
    if found != wanted.sha256 and packed != wanted.packed_sha256:
        if other := known.get(found) or known.get(packed):
            right = known.get(wanted.sha256 or wanted.packed_sha256 or "", wanted.name)
            raise DataError(f"data file {place}: is really {other}; put {right} in its place")
        _check_structure(content, wanted, place)
        if wanted.sha256 is not None:
            raise DataError(f"data file {place}: was altered: its content's SHA-256 is {found}, not {wanted.sha256}")
    return np.frombuffer(content, np.uint8, offset=len(wanted.header)).reshape(wanted.shape)


def _unpacked(raw: bytes, size: int, place: str) -> bytes:
    """Unpack at most one byte more than `size`, so that no file fills the memory."""
    try:
        with gzip.GzipFile(fileobj=BytesIO(raw)) as stream:
            return stream.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"data file {place}: is no intact gzip file ({error})") from error


def _check_structure(content: bytes, wanted: IdxFile, place: str) -> None:
    magic, right = content[:4], wanted.header[:4]
    if magic != right:
        raise DataError(f"data file {place}: starts with {_described(magic)}, not with {_described(right)}")
    header = content[: len(wanted.header)]
    shape = tuple(int.from_bytes(header[at : at + 4], "big") for at in range(4, len(header), 4))
    if len(header) == len(wanted.header) and shape != wanted.shape:
        raise DataError(f"data file {place}: holds {_times(shape)} values, not {_times(wanted.shape)}")
    if len(content) < wanted.size:
        raise DataError(f"data file {place}: is cut short: {len(content):,} bytes, not {wanted.size:,}")
    if len(content) > wanted.size:
        raise DataError(f"data file {place}: is longer than its {wanted.size:,} bytes")


def _described(magic: bytes) -> str:
    return f"{magic.hex() or 'nothing'}{_KINDS.get(magic, '')}"


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
