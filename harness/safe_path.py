"""Where Python looks for modules: nowhere in the working directory, which may hold anything under any name."""

import os
import sys
from collections.abc import Iterable


def safe_path(path: Iterable[str] | None = None) -> list[str]:
    """Return the entries of a module path, that of this process by default, without the working directory.

    It stays where this package itself lies in it, as in a checkout.
    """
    here, own = os.path.realpath(os.curdir), os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    entries = sys.path if path is None else path
    return [entry for entry in entries if os.path.realpath(entry or os.curdir) != here or here == own]
