"""The worker's side of `harness.processes.pool`: it does one call after another for the process that started it."""

import os
import pickle
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from harness.errors import SimulatorError

STOP = "stop"
"""Sent in place of a call."""
Call = tuple[Callable[..., Any], tuple[Any, ...]]
Answer = tuple[Any, Exception | None]
"""The value that a call returned, or the error that it raised."""
_stopping = Event()


def stopping() -> bool:
    """Return whether the call at work is to end early; always False in a process that is no worker."""
    return _stopping.is_set()


def serve(descriptor: int) -> None:
    """Answer the calls that come in at a socket, and end with it: whoever started this process is gone then."""
    connection = Connection(descriptor)
    calls: SimpleQueue[Call] = SimpleQueue()
    Thread(target=_receive, args=(connection, calls), daemon=True).start()
    try:
        while True:
            connection.send(_answer(*calls.get()))
    except OSError:
        os._exit(0)


def _receive(connection: "Connection[Any, Any]", calls: "SimpleQueue[Call]") -> None:
    """Receive calls, and the request to stop also in the middle of a long call.

    Linux could send a signal when the parent ends (PR_SET_PDEATHSIG), but would do so when the parent's thread ends.
    """
    try:
        while True:
            said = connection.recv()
            if said == STOP:
                _stopping.set()
            else:
                calls.put(said)
    except (EOFError, OSError):
        os._exit(0)


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Answer:
    try:
        return function(*arguments), None
    except Exception as error:  # raised where the call came from
        return None, portable(error)


def portable(error: Exception) -> Exception:
    """Return the error itself if it survives being sent, else one with what it says."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this line
    except Exception:  # a foreign error may fail here in any way
        return SimulatorError(f"a worker failed with {error!r}")
    return error
