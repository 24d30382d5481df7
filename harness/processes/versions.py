"""Versions of the software that a process runs."""

import platform
from collections.abc import Iterable
from importlib import metadata

NUMERICS = ("harness", "numpy", "scipy", "scikit-learn")
"""Packages that decide the last bits of results."""


def versions(packages: Iterable[str] = NUMERICS) -> dict[str, str]:
    """Return the versions of Python and of installed packages, by name."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}
