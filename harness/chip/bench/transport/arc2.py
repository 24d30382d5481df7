"""ArC TWO, an instrument with 64 channels for crossbars, over `pyarc2` (arc-instruments, version 0.6).

Facts of the library that its users fall for, from its sources and those of libarc2:

* Nothing happens before ``execute``, but for functions that return readings. What stands in the buffer when a call
  fails is carried out with the next ``execute``; only opening the instrument anew forgets it.
* ``wait`` polls until the instrument is idle, and for ever where the cable was pulled. `CallLine` bounds the wait.
* An instrument is closed when nobody holds it any more; there is no function for it.
* Pairs of channels and volts must be tuples, which JSON has not.
"""

import re
from collections.abc import Callable
from pathlib import Path

from harness.chip.bench.line import LineError
from harness.chip.bench.transport.calls import CallLine, Functions
from harness.chip.bench.transport.library import load
from harness.errors import BoardError

_ADDRESS = re.compile(r"ARC2::(\d{1,4})::(.+)", re.IGNORECASE)
FUNCTIONS = (
    "connect_to_gnd",
    "delay",
    "execute",
    "float_all",
    "ground_all",
    "ground_all_fast",
    "open_channels",
    "pulse_slice_masked",
    "read_slice_masked",
    "vread_channels",
    "wait",
)
"""Functions of ``pyarc2.Instrument`` that a message may call as they are; and ``config_channels`` and ``identity``."""


def open_line(address: str) -> CallLine:
    """Open the ArC TWO of an address, ``ARC2::number::firmware``, and load the firmware, a file that came with it.

    Raises:
        LineError: there is no such instrument, or no such file.
        BoardError: it is no such address, or pyarc2 is not installed.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise BoardError(
            f"{address!r} is no address of an ArC TWO; write its number and its firmware: ARC2::0::efm03.bin"
        )
    port, firmware = int(found[1]), Path(found[2])
    name = f"ArC TWO {port}"
    library = load("pyarc2", "arc2", name)

    def connect() -> Functions:
        if not firmware.is_file():
            raise LineError(f"{name}: {firmware} is no file; name the firmware that came with the instrument")
        found = list(library.find_ids())
        if port not in found:
            raise LineError(f"{name}: it is not connected; connected are {found or 'none'}")
        instrument = library.Instrument(port, str(firmware))
        functions: dict[str, Callable[..., object]] = {each: getattr(instrument, each) for each in FUNCTIONS}

        def config_channels(volts: list[list[float]], base: float | None) -> object:
            return instrument.config_channels([(int(channel), float(volt)) for channel, volt in volts], base)

        return functions | {
            "config_channels": config_channels,
            "identity": lambda: f"ArC TWO {port}, libarc2 {library.LIBARC2_VERSION}",
        }

    return CallLine(name, connect)
