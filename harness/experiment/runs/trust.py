"""The trust that a call has been given: in boards elsewhere, and in calibrations that are too old.

It is a file of its own, so that a command that has nothing to do with boards need not import them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_any_board: ContextVar[bool] = ContextVar("any_board", default=True)
"""True where whoever asks for a board means it: Python code, and a command that names the profile."""
_stale: ContextVar[bool] = ContextVar("stale_calibrations", default=False)
"""True where a calibration may be too old, or of another board."""


@contextmanager
def only_boards_here() -> Iterator[None]:
    """Let files alone open no board but one on this machine; `open_any_board` lifts that."""
    tokens = _any_board.set(False), _stale.set(False)
    try:
        yield
    finally:
        _any_board.reset(tokens[0])
        _stale.reset(tokens[1])


def open_any_board() -> None:
    """Say that the user has named the profile of the board in this call."""
    _any_board.set(True)


def opens_any_board() -> bool:
    """Return whether the user has named it."""
    return _any_board.get()


def accept_stale_calibrations() -> None:
    """Say that the user wants calibrations that are too old, or of another board, in this call."""
    _stale.set(True)


def accepts_stale_calibrations() -> bool:
    """Return whether the user wants them."""
    return _stale.get()
