"""A server of a virtual board: one host at a time, a dead-man, and an end with grounded pins."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from select import select
from time import monotonic
from typing import Any, Protocol

from harness.chip.bench.virtual.connection import Connection, Door
from harness.chip.bench.virtual.messages import LONGEST, Fault


class Served(Protocol):
    """A board behind a server."""

    @property
    def dead_man(self) -> float:
        """The time (s) without a message after which pins are to be grounded; 0 for never."""

    @property
    def applied(self) -> bool:
        """True while anything is on the pins."""

    def begin(self, dead_man: float) -> None:
        """Begin a connection, with grounded pins and a dead-man of so many seconds."""

    def answer(self, line: bytes) -> str | None:
        """Carry out one message; returns its answer without the line's end, if it has one."""

    def refuse(self, fault: Fault) -> None:
        """Note a message that was refused before it was read."""

    def ground(self) -> None:
        """Take everything off the pins."""


class Server:
    """A server, which ends when `stop` is called.

    Args:
        latency: s that pass before each message is carried out.
        dead_man: s without a message after which pins are grounded, until a host says otherwise; 0 for never.
        tell: takes lines for the person at the board.
    """

    def __init__(
        self, *, latency: float = 0.0, dead_man: float = 0.0, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._latency, self._dead_man, self._tell = latency, dead_man, tell
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._heard = 0.0
        self._ending: list[Any] = [self._woken]
        """Files whose readiness ends a wait."""

    def wait(self, seconds: float) -> None:
        """Let a time go by, or what is left of it when `stop` is called or another host connects."""
        if seconds > 0:
            select(self._ending, [], [], seconds)

    def stop(self) -> None:
        """Have `serve` end after the message at which it is; may be called from signal handlers and other threads."""
        with suppress(OSError):
            os.write(self._wake, b".")

    def close(self) -> None:
        """Release what the server holds."""
        os.close(self._woken)
        os.close(self._wake)

    def serve(self, board: Served, door: Door) -> None:
        """Serve a board at a door until `stop` is called; its pins are grounded then."""
        host = door.first
        self._ending = [self._woken, *([door.listener] if door.listener else [])]
        board.begin(self._dead_man)
        while True:
            ready = self._ready(board, host)
            if self._woken in ready:
                break
            if door.listener is not None and door.listener in ready:
                self._end(board, host, "another host connects")
                host = _accepted(door.listener)
            elif host is None or not self._attend(board, host, heard=host in ready):
                self._end(board, host, "the host has gone")
                host = None
        self._end(board, host, "the board is switched off")

    def _ready(self, board: Served, host: Connection | None) -> list[object]:
        """Wait until there is something to do, and return what has come."""
        hosts = [host] if host else []
        sending, waiting = any(h.sending for h in hosts), any(h.heard for h in hosts)
        reading = self._ending if sending or waiting else [*self._ending, *hosts]
        left = 0.0 if waiting and not sending else self._left(board)
        readable, writable, _ = select(reading, hosts if sending else [], [], left)
        return [*readable, *writable]

    def _attend(self, board: Served, host: Connection, *, heard: bool) -> bool:
        """Do the next thing for a host; returns False where it has gone."""
        if host.sending:
            there = host.send() if heard else True
        elif host.heard:
            there = self._carry_out(board, host)
        else:
            there = host.receive() if heard else True
        if self._left(board) == 0.0:
            board.ground()
            self._tell(f"no message for {board.dead_man:g} s: all pins are grounded")
        return there

    def _carry_out(self, board: Served, host: Connection) -> bool:
        line = host.line()
        if line is None:
            board.refuse(Fault(-223, f"a message is longer than {LONGEST} bytes"))
            return True
        self.wait(self._latency)
        answer = board.answer(line)
        self._heard = monotonic()
        return answer is None or host.send(answer.encode() + b"\n")

    def _left(self, board: Served) -> float | None:
        """Return the time (s) until pins are to be grounded; None for never."""
        return max(0.0, self._heard + board.dead_man - monotonic()) if board.dead_man and board.applied else None

    def _end(self, board: Served, host: Connection | None, why: str) -> None:
        if host is not None:
            host.close()
        if board.applied:
            self._tell(f"{why}: all pins are grounded")
        board.begin(self._dead_man)


def _accepted(listener: socket.socket) -> Connection | None:
    with suppress(OSError):  # it has gone again
        host, _ = listener.accept()
        host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(host.detach())
    return None
