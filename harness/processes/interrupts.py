"""Handling of Ctrl-C and SIGTERM in a command."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SHOW_CURSOR = b"\x1b[?25h"


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Let Ctrl-C clean up what the block has begun, and then end the process as the signal does by itself.

    Around it, Ctrl-C ends the process at once (`harness.__main__`); where somebody else has decided about it, such as a
    test or nohup, that stands.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = _end_if_lost
    try:
        yield
    except KeyboardInterrupt:
        _end(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.unraisablehook = sys.__unraisablehook__


@contextmanager
def stop_on_signal(after: str = "batch", also: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """A question that SIGINT and SIGTERM answer with True; a second one ends the process at once.

    Args:
        after: what is brought to its end first, for those who wait.
        also: called at the first signal.
    """
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received:
            _end(number)
        received.append(number)
        os.write(2, f"\nstopping after this {after}; once more ends at once\n".encode())  # a print could be interrupted
        also()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)  # once more ends at once
    raise KeyboardInterrupt


def _end_if_lost(ignored: "sys.UnraisableHookArgs") -> None:
    """End where Python would go on after an interrupt, in a finalizer or a callback."""
    if ignored.exc_type is KeyboardInterrupt:
        _end(signal.SIGINT)
    sys.__unraisablehook__(ignored)


def _end(number: int) -> None:
    """End by the signal, so that shells and scripts see what happened, with the cursor that a progress bar hid."""
    if os.isatty(2):
        os.write(2, _SHOW_CURSOR)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
