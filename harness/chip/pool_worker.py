"""What a process of a `WorkerPool` does: say that its ngspice works, then answer task after task."""

import os
import select
from multiprocessing.connection import Connection
from threading import Thread

from harness.chip.session import open_session
from harness.chip.tasks import perform, portable


def serve(descriptor: int) -> None:
    """Answer what comes in at a socket, and end with it. The first answer, before any task, is None or an error."""
    Thread(target=end_with_parent, args=(descriptor,), daemon=True).start()
    connection = Connection(descriptor)
    try:
        connection.send(_greeting())
        while True:
            connection.send(perform(connection.recv()))
    except (EOFError, OSError):  # the parent is gone
        os._exit(0)


def _greeting() -> Exception | None:
    try:
        open_session()
    except Exception as error:  # raised in the parent
        return portable(error)
    return None


def end_with_parent(descriptor: int) -> None:
    """End in the middle of a long analysis, too, however the parent has ended.

    Linux could send a signal instead (PR_SET_PDEATHSIG), but would do so already when the parent's thread ends.
    """
    parent = select.poll()
    parent.register(descriptor, 0)  # a hang-up is told without being asked for
    parent.poll()
    os._exit(0)
