"""PySpice's binding of ngspice, the only module that imports PySpice; its functions for ngspice to call are ours."""

import locale
import logging
import warnings
from typing import Any

from harness.chip.ngspice.feed import Feed, function
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
    """Return PySpice's class with other functions for ngspice to call: those of a feed."""

    class Fed(base):  # type: ignore[misc]
        def _init_ngspice(self, send_data: bool) -> None:  # noqa: ARG002 - PySpice's signature
            self._ended = ffi.callback("int (int, bool, bool, int, void *)", lambda status, *_: status)
            self._identity = ffi.new("int *", 0)
            said = ffi.cast("int (*)(char *, int, void *)", function("said"))
            told = ffi.cast("int (*)(pvecvaluesall, int, int, void *)", function("told"))
            announced = ffi.cast("int (*)(pvecinfoall, int, void *)", function("announced"))
            value = ffi.cast("int (*)(double *, double, char *, int, void *)", function("value"))
            memory, null, api = ffi.cast("void *", feed.address), ffi.NULL, self._ngspice_shared
            api.ngSpice_Init(said, null, self._ended, told, announced, null, memory)
            api.ngSpice_Init_Sync(value, value, null, self._identity, memory)
            api.ngSpice_Command(b"set nomoremode")  # which would wait for a key

        def vectors(self) -> tuple[str, ...]:
            """Names of the vectors of the last analysis, in ngspice's order, while its plot is there."""
            found = ffi.cast("pvecinfoall", feed.announced)
            names = [ffi.string(found.vecs[k].vecname) for k in range(found.veccount)]
            return tuple(name.decode("utf-8", "replace").lower() for name in names)

    return Fed
