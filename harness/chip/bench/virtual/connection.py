"""Ways in which hosts reach a virtual board, and what comes over them, line by line."""

import os
import socket
import tty
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from harness.chip.bench.virtual.messages import LONGEST
from harness.errors import BoardError

_HOST = "127.0.0.1"
_CHUNK = 2**18


class Connection:
    """Lines that one host says; they are never waited for.

    Args:
        number: file descriptor, which is closed with the connection.
    """

    def __init__(self, number: int) -> None:
        os.set_blocking(number, False)
        self._number = number
        self._lines = deque[bytes | None]()
        self._rest, self._skipping = bytearray(), False
        self._unsent = memoryview(b"")

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._number

    @property
    def heard(self) -> bool:
        """True where a line waits to be taken."""
        return bool(self._lines)

    @property
    def sending(self) -> bool:
        """True where something has not been taken by the host yet; nothing more is received until then."""
        return bool(self._unsent)

    def line(self) -> bytes | None:
        """Return the next line without its end; None for one that was too long."""
        return self._lines.popleft()

    def receive(self) -> bool:
        """Take what has come; returns False where the host has gone."""
        try:
            found = os.read(self._number, _CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        *ended, rest = found.split(b"\n")
        for part in ended:
            self._lines.append(None if self._skipping else bytes(self._rest + part))
            self._rest.clear()
            self._skipping = False
        self._rest += rest
        if len(self._rest) > LONGEST:
            self._rest.clear()
            self._skipping = True
        return bool(found)

    def send(self, answer: bytes = b"") -> bool:
        """Send what is left and an answer, as far as the host takes it; returns False where the host has gone."""
        self._unsent = memoryview(bytes(self._unsent) + answer if self._unsent else answer)
        try:
            self._unsent = self._unsent[os.write(self._number, self._unsent) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close it."""
        os.close(self._number)


@dataclass(frozen=True)
class Door:
    """A place where hosts connect."""

    resource: str
    """The address as VISA writes it."""
    listener: socket.socket | None = None
    """The socket on which connections come; None where there is one already, and no other."""
    first: Connection | None = None
    close: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def tcp_door(port: int) -> Door:
    """Listen on this machine alone, on a port (0: any that is free).

    Raises:
        BoardError: the port cannot be had.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or str(error)
        raise BoardError(f"port {port} of {_HOST} cannot be had ({why}); choose another, or 0 for any") from error
    return Door(f"TCPIP0::{_HOST}::{listener.getsockname()[1]}::SOCKET", listener, close=listener.close)


def terminal_door() -> Door:
    """Make a pseudo-terminal, which is like a serial port with somebody at its other end."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    path = os.ttyname(theirs)
    return Door(f"ASRL{path}::INSTR", first=Connection(ours), close=lambda: os.close(theirs))
