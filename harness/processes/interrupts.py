"""Handling of Ctrl-C and SIGTERM in a command."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_ENDING = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h"


class Interrupted(KeyboardInterrupt):
    """A signal that ends the process, of this `number`, after all that has been begun was cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


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
    except KeyboardInterrupt as error:
        _end(error.number if isinstance(error, Interrupted) else signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.unraisablehook = sys.__unraisablehook__


@contextmanager
def cleaned_up() -> Iterator[None]:
    """Let SIGTERM, and a second signal of `stop_on_signal`, clean up the block before they end the process.

    A board on a bench must not stay under voltage. Without this, both end the process where it stands.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread is told of signals
        yield
        return
    before = _cleaning[0], signal.getsignal(signal.SIGTERM)
    _cleaning[0] = True
    if before[1] is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        _cleaning[0] = before[0]
        if before[1] is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def stop_on_signal(after: str = "batch", also: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """A question that SIGINT and SIGTERM answer with True; a second one ends the process at once.

    Args:
        after: what is brought to its end first, for those who wait.
        also: called at the first signal.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received and _cleaning[0]:
            _interrupt(number, frame)
        if received:
            _end(number)
        received.append(number)
        os.write(2, f"\nstopping after this {after}; once more ends at once\n".encode())  # a print could be interrupted
        also()

    before = {number: signal.signal(number, note) for number in _ENDING}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)  # once more ends at once
    raise Interrupted(number)


_cleaning = [False]
"""True while a second signal, too, must let what has been begun be cleaned up."""


def _end_if_lost(ignored: "sys.UnraisableHookArgs") -> None:
    """End where Python would go on after an interrupt, in a finalizer or a callback."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        _end(getattr(ignored.exc_value, "number", signal.SIGINT))
    sys.__unraisablehook__(ignored)


def _end(number: int) -> None:
    """End by the signal, so that shells and scripts see what happened, with the cursor that a progress bar hid."""
    if os.isatty(2):
        os.write(2, _SHOW_CURSOR)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
