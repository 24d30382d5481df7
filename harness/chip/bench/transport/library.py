"""Loading other people's libraries that talk to instruments."""

import importlib
from typing import Any

from harness.errors import BoardError
from harness.processes.distribution import installing


def load(library: str, extra: str, line: str) -> Any:
    """Return the module `library`, for the line of that name.

    Raises:
        BoardError: it is not installed, or cannot be loaded; says how to install it.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == library.partition(".")[0]
        cause = "is not installed" if absent else f"cannot be loaded ({error})"
        raise BoardError(f"{line}: the Python library {library} {cause}; install it: {installing(extra)}") from error
