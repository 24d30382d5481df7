"""libngspice: where it is looked for, and how to get it.

Only the standard library is imported here, so that ``make setup`` can ask before anything is installed.
"""

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.errors import NgspiceMissing

VARIABLE = "NGSPICE_LIBRARY_PATH"
_NAMES = ("libngspice.so.0", "libngspice.so", "libngspice.0.dylib", "libngspice.dylib")
_HOMEBREW = ("/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew")
"""Where Homebrew installs on Apple's own processors, on Intel's, and on Linux."""
_ENTRY = "ngSpice_Init"
INSTALL = (
    "install it with 'sudo apt-get install libngspice0' (Debian, Ubuntu), 'sudo dnf install libngspice' (Fedora), "
    "'sudo pacman -S ngspice' (Arch), 'brew install libngspice' (macOS) or 'conda install -c conda-forge ngspice-lib'"
)
SEARCHED = f"${VARIABLE}, then the libngspice of Python's and conda's environment, of the system and of Homebrew"


def find_library() -> str:
    """Return the name or path of a libngspice that can be loaded.

    ``NGSPICE_LIBRARY_PATH`` alone counts where it is set. Otherwise the first of these does: the folder ``lib`` of the
    environment that Python runs in, and of conda's active one; what the system's loader finds; Homebrew's folders.

    Raises:
        NgspiceMissing: there is none; says what was tried, why a file that is there was not taken, and what to do.
    """
    named = os.environ.get(VARIABLE)
    refused: list[str] = []
    for candidate in [_absolute(named)] if named else _candidates():
        if (why := _why_not(candidate)) is None:
            return candidate
        if os.path.exists(candidate):
            refused.append(f"{candidate}: {why}")
    tried = f"{VARIABLE}={named}" if named else ", ".join((*_NAMES, *dict.fromkeys([*_own_folders(), *_brewed()])))
    told = f"; {'; '.join(refused)}" if refused else ""
    raise NgspiceMissing(
        f"libngspice cannot be loaded (tried {tried}{told}); {INSTALL}, or set {VARIABLE} to the library's path"
    )


def _why_not(library: str) -> str | None:
    """Return why a library cannot be used; None where it can."""
    try:
        return None if hasattr(ctypes.CDLL(library), _ENTRY) else f"it has no {_ENTRY}, so it is another library"
    except OSError as error:
        return str(error).partition("\n")[0].removeprefix(f"{library}: ")


def _candidates() -> Iterator[str]:
    for folder in _own_folders():
        yield from _libraries(folder)
    yield from _NAMES
    for folder in _brewed():
        yield from _libraries(folder)
    if found := ctypes.util.find_library("ngspice"):  # which starts programs, and so comes last
        yield found


def _own_folders() -> list[str]:
    """Return where the environments of Python and conda have libraries; a relative path is not believed."""
    prefixes = (sys.prefix, sys.base_prefix, os.environ.get("CONDA_PREFIX", ""))
    return [os.path.join(prefix, "lib") for prefix in dict.fromkeys(prefixes) if os.path.isabs(prefix)]


def _brewed() -> list[str]:
    prefixes = (os.environ.get("HOMEBREW_PREFIX", ""), *_HOMEBREW)
    return [os.path.join(prefix, "lib") for prefix in dict.fromkeys(prefixes) if os.path.isabs(prefix)]


def _libraries(folder: str) -> list[str]:
    """Return the paths of a folder's libngspice, the usual names first, then those that have only a version."""
    usual = [path for name in _NAMES if (path := Path(folder, name)).is_file()]
    others = [
        path for pattern in ("libngspice.so.*", "libngspice.*.dylib") for path in sorted(Path(folder).glob(pattern))
    ]
    return list(dict.fromkeys(map(str, [*usual, *others])))


def _absolute(library: str) -> str:
    """Return a path that holds in other working directories, too; a bare name is left to the loader."""
    return os.path.abspath(library) if os.sep in library else library
