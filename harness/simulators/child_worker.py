"""What the child of `harness.simulators.child` does: one piece of work after another."""

import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

from harness.chip.pool_worker import end_with_parent
from harness.chip.tasks import portable
from harness.errors import SimulatorError
from harness.simulators.child import Limits


def serve(descriptor: int) -> None:
    """Answer what comes in at a socket, and end with it."""
    Thread(target=end_with_parent, args=(descriptor,), daemon=True).start()
    connection = Connection(descriptor)
    try:
        while True:
            connection.send(_outcome(*connection.recv()))
    except (EOFError, OSError):  # the parent is gone
        os._exit(0)


def _outcome(limits: Limits, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Return what the work returns, or what went wrong."""
    try:
        limits.impose()
        return work(*arguments)
    except MemoryError:
        return SimulatorError(f"more than {limits.told} would be needed")
    except Exception as error:  # raised in the parent
        return portable(error)
