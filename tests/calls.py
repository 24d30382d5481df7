"""What the tests of worker processes have them do."""

import os
import time
from pathlib import Path

from harness.errors import SimulatorError
from harness.processes.worker import stopping


def until_stopped() -> bool:
    while not stopping():
        time.sleep(0.01)
    return True


def pid_of(_: object) -> int:
    return os.getpid()


def at_work(seconds: float) -> None:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        pass


def fails(message: str) -> None:
    raise ValueError(message)


def dies(code: int) -> None:
    os._exit(code)


def dies_until(marks: Path, calls: int) -> str:
    with marks.open("a") as file:
        file.write(".")
    if len(marks.read_text()) < calls:
        os._exit(1)
    return "done"


def fails_to_begin() -> None:
    raise SimulatorError("no begin")
