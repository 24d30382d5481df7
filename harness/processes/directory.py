"""The working directory of the process, changed for a while."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Work in a folder, and return to the directory before, which may have no name any more.

    Raises:
        OSError: this user may not work there, or could not return; nothing is changed.
    """
    before = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
    try:
        os.fchdir(before)  # before anything changes: this user may have no right to return
        os.chdir(folder)
    except BaseException:
        os.close(before)
        raise
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)
