"""Boards that are served in a thread of the test, on a port of this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from harness.chip.base import Chip
from harness.chip.bench.profile import Profile, read_profile
from harness.chip.bench.virtual.connection import tcp_door
from harness.chip.bench.virtual.instrument import Instrument
from harness.chip.bench.virtual.server import Served, Server

PLAIN = """
name = "test"
[can]
nudge = ["spring", "injection", "clamp"]
access = "nodes"
[timing]
timeout = "{timeout}"
retries = 8
[limits]
v_max = "100 V"
i_max = "1 A"
"""
PULSED = (
    PLAIN
    + """
pulse_v_max = "1 V"
pulse_s_max = "1 us"
[write]
mode = "verify"
tolerance = "0.5 uS"
pulse_v = "1 V"
pulse_s = "1 us"
"""
)


def profile(text: str = PLAIN, timeout: str = "2 s") -> Profile:
    return read_profile(text.format(timeout=timeout), "test")


@contextmanager
def served(
    chip: Chip, around: Callable[[Instrument], Served] = lambda board: board, *, latency: float = 0.0, **options: Any
) -> Iterator[tuple[int, Instrument]]:
    """The port of a served chip, and its instrument, which may be served in something around it."""
    server, board = Server(latency=latency), Instrument(chip, "test", **options)
    with tcp_door(0) as door:
        assert door.listener is not None
        port: int = door.listener.getsockname()[1]
        thread = Thread(target=server.serve, args=(around(board), door))
        thread.start()
        try:
            yield port, board
        finally:
            server.stop()
            thread.join(10)
    server.close()
