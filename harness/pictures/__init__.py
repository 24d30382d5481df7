"""Pictures of runs, circuits, devices, step responses and sweeps; importing this imports Matplotlib.

Matplotlib reads settings when it is imported: a `matplotlibrc` in the working directory, where `MATPLOTLIBRC` points or
in the user's folder, and the backend that `MPLBACKEND` names. A backend of notebooks, or a file that is not text, ends
its import with an error. Processes of the command line therefore import it without any settings; a user's own process
reads them as usual, and leaves them out only after such an error.
"""

import logging
import os
import sys
import tempfile
from contextlib import chdir
from importlib import import_module
from pathlib import Path

from harness.errors import PictureError
from harness.processes.garbage import kept


def _import_matplotlib() -> None:
    if "harness.cli.main" in sys.modules or not _imported_as_usual():
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a home that cannot be written is no news here
        _import_without_settings()


def _imported_as_usual() -> bool:
    try:
        import matplotlib  # noqa: F401, PLC0415
    except ValueError:  # of MPLBACKEND, or a UnicodeDecodeError
        for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
            del sys.modules[name]  # half of an import stands in the way of the next
        return False
    return True


def _import_without_settings() -> None:
    backend = os.environ.pop("MPLBACKEND", None)
    with kept():
        try:
            with tempfile.TemporaryDirectory() as folder, chdir(folder):
                Path("matplotlibrc").touch()  # it is read instead of any other
                import matplotlib  # noqa: F401, PLC0415
        finally:
            if backend is not None:
                os.environ["MPLBACKEND"] = backend
        from matplotlib import artist  # noqa: PLC0415

        artist.kwdoc = _no_properties
        import_module("matplotlib.figure")  # most of it


def _no_properties(artist: object) -> str:  # noqa: ARG001 - in place of `kwdoc`
    """Leave lists of properties out of Matplotlib's docstrings: a third of its import, and nobody reads them here."""
    return ""


if "matplotlib" not in sys.modules:
    try:
        _import_matplotlib()
    except Exception as error:
        raise PictureError(f"Matplotlib cannot be imported ({type(error).__name__}: {error})") from error
