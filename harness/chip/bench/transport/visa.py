"""Lines through PyVISA and pyvisa-py: TCP sockets, serial ports, USB and whatever else VISA reaches."""

import select
import socket
import time
from contextlib import suppress
from typing import Any

from harness.chip.bench.line import LateError, LineError
from harness.chip.bench.profile import Profile
from harness.errors import ChipError
from harness.processes.distribution import installing

_LARGEST_READ = 1 << 20


def open_line(resource: str, profile: Profile) -> "VisaLine":
    """Open the line to a VISA resource.

    Raises:
        ChipError: PyVISA is not installed.
        LineError: the resource cannot be opened.
    """
    return VisaLine(resource, profile.identity.baud)


class VisaLine:
    """A `harness.chip.bench.line.Line` to a VISA resource; `baud` is for serial ports."""

    def __init__(self, resource: str, baud: int) -> None:
        self.name, self._baud = resource, baud
        self._session: Any = None
        self._socket: socket.socket | None = None
        self.reopen()

    def reopen(self) -> None:
        """See `Line.reopen`."""
        self.close()
        pyvisa = _library()
        try:
            self._session = pyvisa.ResourceManager("@py").open_resource(
                self.name, read_termination="\n", write_termination="\n", open_timeout=5000
            )
            self._session.chunk_size = _LARGEST_READ
            if self._session.interface_type == pyvisa.constants.InterfaceType.asrl:
                self._session.baud_rate = self._baud
            self._prepare_socket()
        except Exception as error:  # pyvisa-py raises plain exceptions, too
            self.close()
            raise LineError(f"{self.name}: the board cannot be reached ({_reason(error)})") from error

    def _prepare_socket(self) -> None:
        """Make a TCP socket of pyvisa-py's fit for long messages.

        It sends them in parts. Without TCP_NODELAY the last part waits 40 ms for the other side to confirm those before
        it, and pyvisa-py offers the attribute but does not set it. It takes refused connections for made ones, too.
        """
        inner = self._session.visalib.sessions[self._session.session]
        found = getattr(inner, "interface", None)
        self._socket = found if isinstance(found, socket.socket) else None
        if self._socket is not None:
            if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "connection refused")
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, message: str) -> None:
        """See `Line.send`."""
        if self._session is None:
            raise LineError(f"{self.name}: the line is closed")
        try:
            self._session.write(message)
        except Exception as error:  # any failure to write leaves the line in doubt
            raise LineError(f"{self.name}: the line is broken ({_reason(error)})") from error

    def receive(self, seconds: float) -> str:
        """See `Line.receive`."""
        if self._session is None:
            raise LineError(f"{self.name}: the line is closed")
        until = time.monotonic() + seconds
        pyvisa = _library()
        try:
            self._await(seconds)
            self._session.timeout = max(1.0, 1000 * (until - time.monotonic()))
            return str(self._session.read())
        except pyvisa.errors.VisaIOError as error:
            if error.error_code != pyvisa.constants.StatusCode.error_timeout:
                raise LineError(f"{self.name}: the line is broken ({_reason(error)})") from error
            raise LateError(f"{self.name}: no answer within {seconds:g} s") from error
        except UnicodeDecodeError as error:
            raise LateError(f"{self.name}: an answer is not text") from error
        except OSError as error:
            raise LineError(f"{self.name}: the line is broken ({_reason(error)})") from error

    def _await(self, seconds: float) -> None:
        """Wait for a socket to have something to read: pyvisa-py takes one that was closed for one that is late."""
        inner: Any = None if self._session is None else self._session.visalib.sessions[self._session.session]
        if self._socket is None or inner._pending_buffer:
            return
        ready, _, _ = select.select([self._socket], [], [], seconds)
        if not ready:
            raise LateError(f"{self.name}: no answer within {seconds:g} s")
        if not self._socket.recv(1, socket.MSG_PEEK):
            raise ConnectionResetError(104, "the other side has closed it")

    def close(self) -> None:
        """See `Line.close`."""
        session, self._session, self._socket = self._session, None, None
        if session is not None:
            with suppress(Exception):
                session.close()


def _library() -> Any:
    try:
        import pyvisa  # noqa: PLC0415 - an extra
        import pyvisa_py  # noqa: F401, PLC0415
    except ImportError as error:
        raise ChipError(
            f"boards are reached through PyVISA, which is not installed ({error}); {installing('bench')}"
        ) from error
    return pyvisa


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).strip() or type(error).__name__
