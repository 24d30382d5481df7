"""Versions of the software that a process runs."""

import platform
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from harness import __version__

_OWN = "harness"
NUMERICS = (_OWN, "numpy", "scipy", "scikit-learn")
"""Packages that decide the last bits of results."""


def versions(packages: Iterable[str] = NUMERICS) -> dict[str, str]:
    """Return the versions of Python and of installed packages, by name."""
    found = {name: __version__ if name == _OWN else _version(name) for name in packages}
    return {"python": platform.python_version(), **found}


@cache
def _version(package: str) -> str:
    return metadata.version(package)
