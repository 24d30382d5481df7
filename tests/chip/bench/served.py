"""Virtual boards behind a server in this process, and a plain host of them."""

import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Thread
from typing import Any

import numpy as np

from harness.chip.bench.virtual.connection import Door, tcp_door
from harness.chip.bench.virtual.instrument import Instrument
from harness.chip.bench.virtual.server import Served, Server
from harness.chip.imperfect.programming import ProgrammedChip, Programming
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit
from harness.devices.pulses import LinearStep, WritePulse
from harness.devices.writing import Device
from harness.measurement import Array
from tests.conftest import kendall

DEVICE = Device(
    "two-sided",
    LinearStep(0.0, 1.0, 0.01, 0.02),
    cycle_to_cycle=0.001,
    up=WritePulse(-2.0, 1e-3),
    down=WritePulse(2.5, 1e-4),
)
PULSES = "2.0,0.001,-2.5,0.0001"
"""Pulses of the device, as a bench gives them: positive volts raise a conductance."""


def network() -> Circuit:
    """Three inputs, four hidden nodes and two outputs."""
    return kendall([4])


def plain_board(**options: Any) -> Instrument:
    return Instrument(NodalChip(network()), "plain", **options)


def pulsed_board(**options: Any) -> Instrument:
    return Instrument(ProgrammedChip(NodalChip(network()), Programming(DEVICE), seed=3), "pulsed", **options)


def said(board: Instrument, message: str) -> str | None:
    return board.answer(message.encode())


def asked(board: Instrument, message: str) -> str:
    answer = said(board, message)
    assert answer is not None
    return answer


def error_of(board: Instrument, message: str) -> str:
    """The error of a message, which is not answered."""
    assert said(board, message) is None
    found = asked(board, "SYST:ERR?")
    assert asked(board, "SYST:ERR?") == '0,"No error"'
    return found


def floats(text: str) -> Array:
    return np.array([float(part) for part in text.split(",")])


def listed(*values: Array | float) -> str:
    return ",".join(map(repr, np.concatenate([np.ravel(value) for value in values]).tolist()))


class Host:
    """A host that sends and receives bytes."""

    def __init__(self, door: Door) -> None:
        assert door.listener is not None
        self._socket = socket.create_connection(door.listener.getsockname(), timeout=20)
        self._read = self._socket.makefile("rb")

    def send(self, *lines: str | bytes) -> None:
        for line in lines:
            self.send_raw((line.encode() if isinstance(line, str) else line) + b"\n")

    def send_raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> str:
        line = self._read.readline()
        assert line.endswith(b"\n"), "the board has closed the connection"
        return line.decode().rstrip("\n")

    def ask(self, message: str | bytes) -> str:
        self.send(message)
        return self.receive()

    def silent(self, seconds: float = 0.05) -> bool:
        """True where nothing comes."""
        return not select.select([self._socket], [], [], seconds)[0]

    def closed(self) -> bool:
        """True where the board closes the connection, and says nothing more."""
        try:
            return self._read.read() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self._read.close()
        self._socket.close()


@contextmanager
def serving(board: Served, door: Door | None = None, **options: Any) -> Iterator[Door]:
    """Serve a board in a thread, which must have ended well at the end."""
    failed: list[BaseException] = []
    with closing(Server(**options)) as server, door or tcp_door(0) as opened:

        def serve() -> None:
            try:
                server.serve(board, opened)
            except BaseException as error:
                failed.append(error)
                raise

        thread = Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield opened
        finally:
            server.stop()
            thread.join(20)
    assert not thread.is_alive()
    assert not failed


def until(true: Any, seconds: float = 10.0) -> None:
    """Wait until something is true, which another thread makes so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def terminal_lines(path: str, command: str) -> list[str]:
    """What a serial port's other end says to a command, until it says nothing more."""
    number = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(number, command.encode() + b"\n")
        found = b""
        while select.select([number], [], [], 0.5 if not found.endswith(b"\n") else 0.05)[0]:
            found += os.read(number, 65536)
    finally:
        os.close(number)
    return found.decode().split("\r\n")
