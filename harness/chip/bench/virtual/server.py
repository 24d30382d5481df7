"""A TCP server for one instrument, on this machine alone, with one connection at a time."""

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from select import select
from time import monotonic

from typing_extensions import Self

from harness.chip.bench.virtual.instrument import Instrument
from harness.chip.bench.virtual.messages import LONGEST, Fault
from harness.errors import BoardError

_HOST = "127.0.0.1"
_CHUNK = 2**18


class Server:
    """A server of an instrument.

    Args:
        port: to listen on; 0 for any that is free.
        latency: s that pass before each message is carried out.
        dead_man: s without a message after which pins are grounded, until a host says otherwise; 0 for never.
        tell: takes lines for the person at the board.

    Raises:
        BoardError: the port cannot be had.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        latency: float = 0.0,
        dead_man: float = 0.0,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._latency, self._dead_man, self._tell = latency, dead_man, tell
        self._wake, self._woken = socket.socketpair()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((_HOST, port))
            self._listener.listen()
        except (OSError, OverflowError) as error:
            self._close()
            why = getattr(error, "strerror", None) or str(error)
            raise BoardError(f"port {port} of {_HOST} cannot be had ({why}); choose another, or 0 for any") from error
        self._client: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def resource(self) -> str:
        """The address as VISA writes it."""
        return f"TCPIP0::{_HOST}::{self.port}::SOCKET"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def wait(self, seconds: float) -> None:
        """Let a time go by, or what is left of it when `stop` is called."""
        if seconds > 0:
            select([self._woken], [], [], seconds)

    def stop(self) -> None:
        """Have `serve` end after the message at which it is; may be called from signal handlers and other threads."""
        with suppress(OSError):
            self._wake.send(b".")

    def serve(self, instrument: Instrument) -> None:
        """Serve until `stop` is called, and ground the pins."""
        self._instrument = instrument
        self._end("")
        while True:
            waiting, sending = bool(self._lines), bool(self._answer)
            sockets = [self._client] if self._client else []
            reading = [self._woken, self._listener, *(sockets if not (waiting or sending) else [])]
            left = 0.0 if waiting and not sending else self._left()
            readable, writable, _ = select(reading, sockets if sending else [], [], left)
            if self._woken in readable:
                break
            if self._listener in readable:
                self._accept()
            elif self._client and (self._client in readable or self._client in writable):
                self._send() if writable else self._receive()
            elif waiting and not sending:
                self._carry_out(self._lines.popleft())
            elif self._left() == 0.0:
                self._instrument.ground()
                self._tell(f"no message for {self._instrument.dead_man:g} s: all pins are grounded")
        self._end("the host's connection was closed")

    def _left(self) -> float | None:
        """Return the time (s) until pins are to be grounded; None for never."""
        seconds = self._instrument.dead_man
        return max(0.0, self._heard + seconds - monotonic()) if seconds and self._instrument.applied else None

    def _accept(self) -> None:
        with suppress(OSError):  # it has gone again
            client, _ = self._listener.accept()
            self._end("another host connects")
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client = client

    def _end(self, why: str) -> None:
        """End the connection, if there is one, and make ready for the next."""
        if self._client is not None:
            self._client.close()
            self._client = None
            if self._instrument.applied:
                self._tell(f"{why}: all pins are grounded")
        self._instrument.begin(self._dead_man)
        self._lines, self._rest, self._answer = deque[bytes](), bytearray(), b""
        self._skipping, self._heard = False, monotonic()

    def _receive(self) -> None:
        assert self._client is not None  # noqa: S101
        try:
            found = self._client.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            found = b""
        if not found:
            self._end("the host has gone")
            return
        *ended, rest = found.split(b"\n")
        for part in ended:
            self._rest += part
            if not self._skipping:
                self._lines.append(bytes(self._rest))
            self._rest.clear()
            self._skipping = False
        self._rest += rest
        if len(self._rest) > LONGEST:
            self._rest.clear()
            if not self._skipping:
                self._instrument.refuse(Fault(-223, f"a message is longer than {LONGEST} bytes"))
            self._skipping = True

    def _carry_out(self, line: bytes) -> None:
        self.wait(self._latency)
        answer = self._instrument.answer(line)
        self._heard = monotonic()
        if answer is not None:
            self._answer = answer.encode("ascii") + b"\n"
            self._send()

    def _send(self) -> None:
        assert self._client is not None  # noqa: S101
        try:
            sent = self._client.send(self._answer)
            self._answer = self._answer[sent:]
        except BlockingIOError:
            return
        except OSError:
            self._end("the host has gone")

    def _close(self) -> None:
        for each in (self._wake, self._woken, self._listener):
            each.close()
