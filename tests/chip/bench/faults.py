"""A lossy line between a host and a board: a TCP proxy that drops, delays, garbles, splits and duplicates messages."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import numpy as np

KINDS = ("dropped", "late", "garbled", "split", "duplicated")


class Proxy:
    """A socket on this machine that passes messages to a board's, line by line and in both directions.

    Args:
        port: of the board, on this machine.
        rates: probability of each of `KINDS` for a message; they exclude each other.
        late: s by which late messages come later; others overtake them.
        seed: of what happens to which message, in each direction of each connection.
    """

    def __init__(
        self, port: int, rates: Mapping[str, float] | float = 0.0, *, late: float = 0.3, seed: int = 0
    ) -> None:
        self.spoil(rates)
        self._target, self._late, self._seed = port, late, seed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut_at: int | None = None
        """Number of a message, counted in both directions, at which the cable is pulled once; None for never."""
        self.happened: Counter[str] = Counter()
        """How often each fault happened, and messages that passed whole."""
        self._pipes: list[socket.socket] = []
        self._connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def resource(self) -> str:
        """The address, as VISA writes it."""
        return f"TCPIP0::127.0.0.1::{self.port}::SOCKET"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def spoil(self, rates: Mapping[str, float] | float) -> None:
        """Take other probabilities from now on."""
        found = [rates if isinstance(rates, float) else rates.get(kind, 0.0) for kind in KINDS]
        self._edges = np.cumsum(found)

    def cut(self) -> None:
        """Close all connections at once, as if cables were pulled; new ones are taken."""
        pipes, self._pipes = self._pipes, []
        for pipe in pipes:
            with suppress(OSError):
                pipe.shutdown(socket.SHUT_RDWR)
            pipe.close()

    def close(self) -> None:
        """Take no more connections, and close those that are open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:  # no board there: as if it had hung up
                near.close()
                continue
            for pipe in (near, far):
                pipe.settimeout(None)
                pipe.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pipes += [near, far]
            self._connections += 1
            for way, (source, sink) in enumerate(((near, far), (far, near))):
                rng = np.random.default_rng([self._seed, self._connections, way])
                threading.Thread(target=self._pass, args=(source, sink, rng), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, rng: np.random.Generator) -> None:
        writing = threading.Lock()

        def send(*parts: bytes) -> None:
            with writing, suppress(OSError):
                for part in parts:
                    sink.sendall(part)
                    if len(parts) > 1:
                        time.sleep(0.002)

        with suppress(OSError, ValueError), source.makefile("rb") as lines:
            for line in lines:
                self._deal_with(line, int(np.searchsorted(self._edges, rng.random(), side="right")), rng, send)
        for pipe in (source, sink):
            with suppress(OSError):
                pipe.shutdown(socket.SHUT_RDWR)

    def _deal_with(self, line: bytes, number: int, rng: np.random.Generator, send: Callable[..., None]) -> None:
        kind = KINDS[number] if number < len(KINDS) else "whole"
        if self.happened.total() == self.cut_at:
            self.cut()
        self.happened[kind] += 1
        match kind:
            case "late":
                timer = threading.Timer(self._late, send, [line])
                timer.daemon = True
                timer.start()
            case "garbled":
                send(garbled(line, rng))
            case "split":
                cut = int(rng.integers(len(line)))
                send(line[:cut], line[cut:])
            case "duplicated":
                send(line + line)
            case "whole":
                send(line)


def garbled(line: bytes, rng: np.random.Generator) -> bytes:
    """Return a message some of whose characters are others, gone, or new; its end may be among them."""
    changed = bytearray(line)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(changed) or 1))
        match int(rng.integers(3)):
            case 0 if changed:
                changed[at] ^= 1 << int(rng.integers(8))
            case 1 if changed:
                del changed[at]
            case _:
                changed.insert(at, int(rng.integers(32, 127)))
    return bytes(changed)
