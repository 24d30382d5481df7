"""Python's search path for modules without the working directory, which may hold anything under any name."""

import os
import sys

_PARENT = os.path.realpath(__file__).rpartition(f"{os.sep}harness{os.sep}")[0]
"""The folder that this package lies in."""


def safe_path() -> list[str]:
    """Return the module path of this process without the working directory.

    It stays where this package itself lies in it, as in a checkout.
    """
    here, own = os.path.realpath(os.curdir), _PARENT
    return [entry for entry in sys.path if here == own or os.path.realpath(entry or os.curdir) != here]
