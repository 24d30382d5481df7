"""The one reader of everything that comes from outside: files are checked before their content is believed.

A file may be irregular, too large, damaged, nested too deep, or made to harm. Each reader here checks the kind and the
size before it reads and the structure before it answers. It raises the error class that its caller names, with one
sentence that begins with the place. Nothing read is ever executed, and no pickles are loaded.
"""

import io
import json
import logging
import math
import os
import stat
import tokenize
import tomllib
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError

JsonObject = dict[str, Any]
"""An object of JSON, or a table of TOML, by its keys: manifests, results, settings, maps of packages."""
Arrays = dict[str, npt.NDArray[Any]]

TEXT_LIMIT = 10_000_000
"""Bytes of a text that people or `harness` write: experiments, suites, manifests, results."""
TABLE_LIMIT = 2_000_000_000
"""Bytes of a table of data, and of the arrays in an npz file."""
DEPTH_LIMIT = 32
"""Levels of lists and tables in TOML and JSON."""

_LARGEST_INTEGER = 2**63
_MOST_ARRAYS = 10_000
_LOG = logging.getLogger(__name__)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_DAMAGED = (
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    OSError,
    OverflowError,
    MemoryError,
    RecursionError,
    SyntaxError,
    NotImplementedError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_bytes(path: Path, error: type[HarnessError], *, most: int = TEXT_LIMIT) -> bytes:
    """Return the content of a regular file of at most `most` bytes; a link is followed.

    Raises:
        HarnessError: of class `error`; the file is missing, no regular file, too large, or cannot be read.
    """
    try:
        # a pipe without a writer does not block, and a terminal does not become ours
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError as missing:
        raise error(f"{path}: there is no such file") from missing
    except (OSError, ValueError) as refused:
        raise error(f"{path}: it cannot be read ({_why(refused)})") from refused
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            kind = next((name for test, name in _KINDS if test(found.st_mode)), "something else")
            raise error(f"{path}: it is {kind}, not a plain file")
        with open(opened, "rb", closefd=False) as file:
            content = b"" if found.st_size > most else file.read(most + 1)
    except OSError as failed:
        raise error(f"{path}: it cannot be read ({_why(failed)})") from failed
    finally:
        os.close(opened)
    if (size := max(found.st_size, len(content))) > most:
        raise error(f"{path}: it has {size:,} bytes; at most {most:,} are read")
    _LOG.info("read %s", path)
    return content


def read_text(path: Path, error: type[HarnessError], *, most: int = TEXT_LIMIT) -> str:
    """Return the text of a UTF-8 file, whatever the locale; a byte order mark is left out.

    Raises:
        HarnessError: of class `error`; see `read_bytes`, or the file is not UTF-8 text, with the line.
    """
    return decoded(read_bytes(path, error, most=most), error, str(path))


def decoded(content: bytes, error: type[HarnessError], place: str) -> str:
    """Return bytes as the UTF-8 text that they encode.

    Raises:
        HarnessError: of class `error`; they are not UTF-8 text; names the line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = wrong.object.count(b"\n", 0, wrong.start) + 1
        byte = f"byte 0x{wrong.object[wrong.start]:02x}"
        raise error(f"{place}, line {line}: it is not UTF-8 text ({byte}); save the file as UTF-8") from wrong


def parse_toml(text: str, error: type[HarnessError], place: str) -> JsonObject:
    """Return the tables of a TOML text.

    Raises:
        HarnessError: of class `error`; the text is not TOML, is nested deeper than `DEPTH_LIMIT`, or has a whole number
            beyond 64 bits or a text that cannot be printed.
    """
    try:
        found = tomllib.loads(text)
    except RecursionError as deep:
        raise error(_too_deep(place)) from deep
    except ValueError as wrong:
        raise error(f"{place}: not valid TOML: {_numberless(wrong)}") from wrong
    check_values(found, error, place)
    return found


def read_toml(path: Path, error: type[HarnessError]) -> JsonObject:
    """Return the tables of a TOML file; see `read_text` and `parse_toml`."""
    return parse_toml(read_text(path, error), error, str(path))


def parse_json(text: str, error: type[HarnessError], place: str) -> JsonObject:
    """Return the object that a JSON text describes.

    Raises:
        HarnessError: of class `error`; the text is not JSON, not an object, names a key twice, has a number that is not
            finite or a whole number beyond 64 bits, or is nested deeper than `DEPTH_LIMIT`.
    """
    try:
        found = json.loads(text, parse_float=_finite, parse_constant=_refused, object_pairs_hook=_each_once)
    except RecursionError as deep:
        raise error(_too_deep(place)) from deep
    except ValueError as wrong:
        raise error(f"{place}: not valid JSON: {_numberless(wrong)}") from wrong
    if not isinstance(found, dict):
        raise error(f"{place}: it holds no JSON object {{…}} but {_titled(found)}")
    check_values(found, error, place)
    return found


def read_json(path: Path, error: type[HarnessError]) -> JsonObject:
    """Return the object in a JSON file; see `read_text` and `parse_json`."""
    return parse_json(read_text(path, error), error, str(path))


def read_arrays(path: Path, error: type[HarnessError], *, most: int = TABLE_LIMIT) -> Arrays:
    """Return the arrays of an npz file by name: real numbers, truth values and texts, in the machine's byte order.

    Raises:
        HarnessError: of class `error`; see `read_bytes`, or the file is no npz file, is damaged or encrypted, declares
            more than it holds, has more than `most` bytes of arrays, or has one of objects, complex numbers or records.
    """
    content = read_bytes(path, error, most=most)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check_members(members, most)
            return {info.filename.removesuffix(".npy"): _member(archive, info) for info in members}
    except _DAMAGED as wrong:
        raise error(f"{path}: it cannot be read as an npz file ({_why(wrong)})") from wrong


def _check_members(members: Sequence[zipfile.ZipInfo], most: int) -> None:
    if len(members) > _MOST_ARRAYS:
        raise ValueError(f"it has {len(members):,} entries; at most {_MOST_ARRAYS:,} are read")
    if (twice := _repeated(info.filename for info in members)) is not None:
        raise ValueError(f"entry {twice!r} is there twice")
    for info in members:
        if not info.filename.endswith(".npy"):
            raise ValueError(f"entry {info.filename!r} is no array")
        if info.flag_bits & 1:
            raise ValueError(f"entry {info.filename!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"entry {info.filename!r} is packed in a way that npz files do not use")
    if (size := sum(info.file_size for info in members)) > most:
        raise ValueError(f"its arrays have {size:,} bytes; at most {most:,} are read")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Return the array of one entry; it has to hold exactly what its header declares."""
    with archive.open(info) as file:
        content = io.BytesIO(file.read(info.file_size + 1))
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers that Python 2 wrote are fine
        reader = readers.get(np.lib.format.read_magic(content))
        if reader is None:
            raise ValueError(f"array {info.filename!r} is in a format of its own")
        shape, columns_first, dtype = reader(content)
    if dtype.kind not in "biufU" or dtype.itemsize == 0:
        raise ValueError(f"array {info.filename!r} holds neither real numbers nor texts but {dtype}")
    count, held = math.prod(shape), len(content.getbuffer()) - content.tell()
    if min(shape, default=0) < 0 or count * dtype.itemsize != held:
        raise ValueError(
            f"array {info.filename!r} declares {count} values of {dtype.itemsize} bytes and has {held} bytes"
        )
    array = np.frombuffer(content.getbuffer(), dtype, count, content.tell())
    if dtype.kind == "U":
        _check_characters(array, info.filename)
    return array.reshape(shape, order="F" if columns_first else "C").astype(dtype.newbyteorder("="))


def _check_characters(texts: npt.NDArray[Any], name: str) -> None:
    codes = np.frombuffer(texts.tobytes(), np.dtype(np.uint32).newbyteorder(texts.dtype.byteorder))
    if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))).any():
        raise ValueError(f"array {name!r} has texts that are no Unicode")


def check_values(found: Any, error: type[HarnessError], place: str) -> None:
    """Check depth, whole numbers and texts, without recursion, since the depth is in doubt.

    Raises:
        HarnessError: of class `error`; tables are nested deeper than `DEPTH_LIMIT`, or there is a whole number beyond
            64 bits or a text that cannot be printed.
    """
    waiting = [(found, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEPTH_LIMIT:
            raise error(_too_deep(place))
        if isinstance(value, dict):
            waiting += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            waiting += [(part, depth + 1) for part in value]
        elif isinstance(value, int) and not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
            about = f"{'-' if value < 0 else ''}1e{int(value.bit_length() * math.log10(2))}"
            raise error(f"{place}: a whole number is beyond 64 bits (about {about})")
        elif isinstance(value, str) and not _printable(value):
            raise error(f"{place}: the text {value[:40]!r} has a character that no text may have (NUL, half a pair)")


def _printable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _too_deep(place: str) -> str:
    return f"{place}: lists and tables are nested deeper than {DEPTH_LIMIT} levels"


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refused(text)


def _refused(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no finite number")


def _each_once(pairs: list[tuple[str, Any]]) -> JsonObject:
    if (twice := _repeated(key for key, _ in pairs)) is not None:
        raise ValueError(f"key {twice!r} is there twice")
    return dict(pairs)


def _repeated(names: Iterable[str]) -> str | None:
    name, count = next(iter(Counter(names).most_common(1)), ("", 0))
    return name if count > 1 else None


def _titled(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _numberless(wrong: ValueError) -> str:
    """Return an error without Python's own advice on long integers, which is about its settings."""
    text = str(wrong)
    return "a whole number has thousands of digits" if "integer string conversion" in text else text


def _why(wrong: Exception) -> str:
    if isinstance(wrong, OSError) and wrong.strerror:
        return wrong.strerror.lower()
    if isinstance(wrong, MemoryError):
        return "it needs more memory than there is"
    return str(wrong).partition(": <")[0] or "it is damaged"  # without what Python calls its objects
