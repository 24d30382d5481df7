"""Machine code that is kept from process to process: an object file behind a heading that says what it is.

It is taken only from a directory that belongs to this user and that nobody else may write to, from a file that does so,
too, and where the heading says: the very sources, the same LLVM, the same processor, and the same code to the last bit.
Whatever is different is made anew.
"""

import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile

import llvmlite
from llvmlite import binding
from platformdirs import user_cache_path

from harness.errors import ChipError
from harness.files.reading import read_bytes
from harness.files.writing import write_atomic

_PREFIX = "loops-"
_FORMAT = 1
_MOST = 10_000_000
"""Bytes of a file; the code has some 200,000."""


def folders(sources: Sequence[Path]) -> Iterator[Path]:
    """Where machine code of sources may be kept; the first is for all users of a package of their own."""
    name = _PREFIX + sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    yield Path(__file__).parent / "__pycache__" / name
    with suppress(RuntimeError):  # there is no home
        yield user_cache_path("harness") / name


def usable(folder: Path) -> bool:
    """Return whether a directory is there, or could be made, that this user alone may write to."""
    if not folder.is_absolute():
        return False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        own = stat.S_ISDIR(folder.lstat().st_mode) and _own(folder)
        if own:
            TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return own


def _own(path: Path) -> bool:
    """Return whether something belongs to this user, and nobody else may write to it."""
    found = path.lstat()
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def read(folder: Path) -> bytes | None:
    """Return the object file for this machine that a directory keeps; None if there is none, or not such a one."""
    path = _path(folder)
    try:
        if not (stat.S_ISREG(path.lstat().st_mode) and _own(path)):
            return None
        heading, _, code = read_bytes(path, ChipError, most=_MOST).partition(b"\n")
    except (OSError, ChipError):
        return None
    return code if heading == _heading(folder, code) else None


def write(folder: Path, code: bytes) -> None:
    """Keep an object file for this machine, and nothing of former sources beside its directory.

    Raises:
        OSError: it cannot be written; names the file.
    """
    write_atomic(_path(folder), _heading(folder, code) + b"\n" + code, mode=0o600)
    for former in folder.parent.glob(f"{_PREFIX}*"):
        if former != folder:
            shutil.rmtree(former, ignore_errors=True)


def _path(folder: Path) -> Path:
    """Return the file for this machine: processors of several kinds may share a directory."""
    return folder / f"{sha256(json.dumps(_machine()).encode()).hexdigest()[:16]}.object"


def _machine() -> dict[str, str]:
    """Return for what machine code is made."""
    return {
        "llvmlite": llvmlite.__version__,
        "llvm": ".".join(map(str, binding.llvm_version_info)),
        "system": binding.get_process_triple(),
        "processor": binding.get_host_cpu_name(),
        "features": binding.get_host_cpu_features().flatten(),
    }


def _heading(folder: Path, code: bytes) -> bytes:
    """Return the line that stands before code in the only file of it that is taken."""
    said = {"format": _FORMAT, "sources": folder.name, **_machine(), "sha256": sha256(code).hexdigest()}
    return json.dumps(said).encode()
