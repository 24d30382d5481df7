"""PySpice's binding of ngspice, the only module that imports PySpice; its functions for ngspice to call are ours."""

import locale
import logging
import warnings
from typing import Any

from harness.chip.ngspice.feed import Feed, functions
from harness.chip.ngspice.isolation import without_startup_files
from harness.errors import ChipError


def load_binding(library: str, feed: Feed) -> tuple[Any, Any]:
    """Return PySpice's binding and its FFI, kept quiet: `harness.chip.ngspice.messages` judges its lines instead."""
    numeric = locale.setlocale(locale.LC_NUMERIC)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PySpice 1.5 predates Python 3.12's warnings about escapes
        logging.getLogger("PySpice").setLevel(logging.CRITICAL + 1)
        from PySpice.Spice.NgSpice import Shared  # noqa: PLC0415 - chips other than ngspice do without it

        if any(Shared.ffi.list_types()):  # PySpice declares them when it opens ngspice, and cannot do so again
            raise ChipError(
                "ngspice is already open in this process, by a PySpice session of its own that may have read start-up "
                "files and holds circuits; open harness's chip before PySpice's session, or use worker processes "
                "(SimulatorChoice(workers=2) in Python)"
            )
        logging.getLogger(Shared.__name__).setLevel(logging.CRITICAL + 1)
        Shared.NgSpiceShared.LIBRARY_PATH = library.replace("{", "{{").replace("}", "}}")  # it is formatted
        with without_startup_files():
            binding = _fed(Shared.NgSpiceShared, Shared.ffi, feed).new_instance()
    locale.setlocale(locale.LC_NUMERIC, numeric)  # PySpice sets it for the whole process
    return binding, Shared.ffi


def _fed(base: Any, ffi: Any, feed: Feed) -> Any:
    """Return PySpice's class with other functions for ngspice to call: a feed's, and quick ones for its lines."""

    class Fed(base):  # type: ignore[misc]
        vectors: tuple[str, ...] | None = None
        """Names of the vectors that ngspice has announced, in its order."""

        def _init_ngspice(self, send_data: bool) -> None:  # noqa: ARG002 - PySpice's signature
            value, told = functions()
            self._kept_alive = (
                ffi.callback("int (char *, int, void *)", self._take_line),
                ffi.callback("int (int, bool, bool, int, void *)", lambda status, *_: status),
                ffi.callback("int (pvecinfoall, int, void *)", self._take_names),
                ffi.new("int *", 0),
            )
            line, ended, names, identity = self._kept_alive
            memory = ffi.cast("void *", feed.address)
            told = ffi.cast("int (*)(pvecvaluesall, int, int, void *)", told)
            sources = ffi.cast("int (*)(double *, double, char *, int, void *)", value)
            null = ffi.NULL
            self._ngspice_shared.ngSpice_Init(line, null, ended, told, names, null, memory)
            self._ngspice_shared.ngSpice_Init_Sync(sources, sources, null, identity, memory)
            self._get_version()
            self.set("nomoremode")  # which would wait for a key

        def _take_line(self, text: Any, _simulator: int, _feed: Any) -> int:
            stream, _, line = ffi.string(text).decode("utf-8", "replace").partition(" ")
            (self._stderr if stream == "stderr" else self._stdout).append(line)
            return 0

        def _take_names(self, announced: Any, _simulator: int, _feed: Any) -> int:
            if self.vectors is None:
                found = [announced.vecs[k] for k in range(announced.veccount)]
                self.vectors = tuple(ffi.string(vector.vecname).decode("utf-8", "replace").lower() for vector in found)
            return 0

    return Fed
