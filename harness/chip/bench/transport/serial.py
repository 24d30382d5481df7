"""A serial port of text lines, over pyserial; also what a USB cable of a microcontroller looks like."""

import errno
import os
import re
from contextlib import suppress
from time import monotonic
from typing import Any

from typing_extensions import override

from harness.chip.bench.line import LateError, Line, LineError
from harness.chip.bench.profile import Profile
from harness.chip.bench.transport.library import load

_VISA = re.compile(r"ASRL(.+?)(::INSTR)?", re.IGNORECASE)
_POLL = 0.05
"""Seconds that one read of the port waits at most."""
_WRITE_TIMEOUT = 5.0
_LONGEST = 1_000_000
"""Characters of a line; a port that sends more without an end is no board that speaks in lines."""


def open_line(address: str, profile: Profile) -> "SerialLine":
    """Open the port of an address: ``ASRL/dev/ttyACM0::INSTR``, ``ASRL3::INSTR`` (COM3), or the port itself.

    Raises:
        LineError: there is no such port, or it is in use.
        BoardError: pyserial is not installed.
    """
    found = _VISA.fullmatch(address)
    port = found[1] if found else address
    return SerialLine(f"COM{port}" if port.isdigit() else port, profile.identity.baud)


class SerialLine(Line):
    """Lines of text over a serial port.

    Characters that are not ASCII come back as ``\N{REPLACEMENT CHARACTER}``, so that a garbled line is a line that no
    grammar takes.
    """

    def __init__(self, port: str, baud: int = 115_200) -> None:
        """Open the port, such as ``/dev/ttyACM0``, at `baud` bits a second; nobody else can open it meanwhile.

        Raises:
            LineError: there is no such port, or it is in use.
            BoardError: pyserial is not installed.
        """
        self._port_name = port
        self._baud = baud
        self._serial = load("serial", "bench", port)
        self._pending = b""
        self._port = self._open()

    @property
    @override
    def name(self) -> str:
        return self._port_name

    @override
    def send(self, message: str) -> None:
        try:
            self._port.write(message.encode("ascii") + b"\n")
        except (OSError, TypeError, AttributeError) as error:  # the last two are of a port that was closed meanwhile
            raise LineError(f"{self.name}: the port does not take {message[:60]!r}: {_reason(error)}") from error

    @override
    def receive(self, seconds: float) -> str:
        deadline = monotonic() + seconds
        while b"\n" not in self._pending:
            if len(self._pending) > _LONGEST:
                self._pending = b""
                raise LineError(f"{self.name}: {_LONGEST} characters came without the end of a line")
            if monotonic() > deadline:
                raise LateError(f"{self.name}: no line came within {seconds:g} s")
            self._pending += self._read()
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode("ascii", errors="replace").rstrip("\r")

    @override
    def reopen(self) -> None:
        self.close()
        self._port = self._open()

    @override
    def close(self) -> None:
        self._pending = b""
        with suppress(OSError):  # of a cable that was pulled
            self._port.close()

    def _read(self) -> bytes:
        try:
            return bytes(self._port.read(max(1, self._port.in_waiting)))
        except (OSError, TypeError, AttributeError) as error:
            raise LineError(f"{self.name}: the port cannot be read: {_reason(error)}") from error

    def _open(self) -> Any:
        try:
            return self._serial.Serial(
                self._port_name, self._baud, timeout=_POLL, write_timeout=_WRITE_TIMEOUT, exclusive=True
            )
        except (OSError, ValueError) as error:
            raise LineError(f"{self._port_name}: the port cannot be opened: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.EAGAIN, errno.EBUSY):
        return "another program has it open"
    return str(error) if number is None else os.strerror(number).lower()
