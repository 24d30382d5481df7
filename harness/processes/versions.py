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
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


def _version(package: str) -> str:
    if package == _OWN:
        return __version__
    return _kept(package) if package in NUMERICS else metadata.version(package)  # a plug-in may be installed anew


@cache
def _kept(package: str) -> str:
    """Look a package up once: a process has the version that it has loaded."""
    return metadata.version(package)
