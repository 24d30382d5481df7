"""Locks of directories, with flock and without."""

import errno
import fcntl
import os
import socket
from pathlib import Path

import pytest

from harness.errors import RunError
from harness.files.locking import HELD, alone_in


def assert_refused(folder: Path, message: str) -> None:
    with pytest.raises(RunError, match=message), alone_in(folder, "run a"):
        pass


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows no locks."""

    def refuse(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_without_flock_a_link_keeps_others_out(tmp_path: Path) -> None:
    with alone_in(tmp_path, "run a"):
        assert_refused(tmp_path, rf"run a is in use by process {os.getpid()} on this host")
        assert os.path.lexists(tmp_path / HELD)
    assert not os.path.lexists(tmp_path / HELD)


@pytest.mark.usefixtures("no_locks")
def test_the_link_of_a_process_that_ended_is_taken_over(tmp_path: Path) -> None:
    for started in ("never", "1"):  # no such process, and an older one of this number
        os.symlink(f"{socket.gethostname()}:{os.getpid()} started {started}", tmp_path / HELD)
        with alone_in(tmp_path, "run a"):
            pass
        assert not os.path.lexists(tmp_path / HELD)


def test_a_process_on_another_host_is_named_with_the_cure(tmp_path: Path) -> None:
    os.symlink("elsewhere:12 started 7", tmp_path / HELD)
    assert_refused(tmp_path, r"in use by process 12 on host elsewhere, .*remove .*\.lock\.held")


def test_with_flock_it_is_in_use_by_another_process(tmp_path: Path) -> None:
    with alone_in(tmp_path, "run a"):
        assert_refused(tmp_path, "run a is in use by another process")


def test_another_error_of_the_system_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="it cannot be locked") as told, alone_in(tmp_path, "run a"):
        pass
    assert told.value.filename == str(tmp_path / ".lock")
