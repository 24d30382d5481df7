"""Locks on directories: one process at a time, also on file systems without locks.

Usually the file ``.lock`` is locked with flock, which ends with the process however that ends. Network file systems
may have no flock (Lustre, NFS). There a process makes ``.lock.held``, a symbolic link whose text says host, process and
when that process started: a link is made with its text or not at all. It is taken over when its process is no more.
Whether a process on another host still lives nobody here can tell.
"""

import errno
import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import RunError

LOCK, HELD = ".lock", ".lock.held"
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP}
"""Errors of flock where a file system has no locks."""
_IN_USE = {errno.EWOULDBLOCK, errno.EACCES}


@contextmanager
def alone_in(folder: Path, title: str, lock: str = LOCK) -> Iterator[None]:
    """Keep other processes out of an existing directory, or of what `lock` stands for in it, until the block ends.

    Errors call it `title`, such as ``run runs/iris-seed0``.

    Raises:
        RunError: another process is in it.
        OSError: nothing can be written there, or it cannot be locked; names the file.
    """
    file, held = folder / lock, folder / f"{lock}{HELD.removeprefix(LOCK)}"
    with file.open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _IN_USE:
                raise RunError(f"{title} is in use by another process") from error
            if error.errno not in _NO_LOCKS:
                raise OSError(error.errno, f"it cannot be locked ({error.strerror})", str(file)) from error
            _hold(held, title)
            try:
                yield
            finally:
                held.unlink(missing_ok=True)
            return
        _release(held, title)  # of a host whose mount of this file system has no locks
        yield


def in_use(folder: Path, lock: str = LOCK) -> bool:
    """Return whether a process is in a directory, as far as can be told from here; nothing is written."""
    if os.path.lexists(folder / f"{lock}{HELD.removeprefix(LOCK)}"):
        return True
    try:
        opened = os.open(folder / lock, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _IN_USE
    finally:
        os.close(opened)
    return False


def _hold(held: Path, title: str) -> None:
    """Make the link, unless another process was quicker."""
    _release(held, title)
    try:
        os.symlink(_named(os.getpid()), held)
    except FileExistsError as error:
        raise RunError(f"{title} is in use by another process, which was quicker") from error
    except OSError as error:
        why = f"the file system has no locks, and no links to replace them ({error.strerror})"
        raise OSError(error.errno, why, str(held)) from error


def _release(held: Path, title: str) -> None:
    """Remove the link of a process that has ended.

    Raises:
        RunError: the process works, or nobody here can tell.
    """
    try:
        holder = os.readlink(held)
    except FileNotFoundError:
        return
    host, _, process = holder.partition(" ")[0].rpartition(":")
    if host != socket.gethostname():
        cure = f"if that has ended, remove {held}"
        raise RunError(f"{title} is in use by process {process} on host {host}, as {held} says; {cure}")
    if process.isdecimal() and _named(int(process)) == holder:
        raise RunError(f"{title} is in use by process {process} on this host")
    aside = held.with_name(f"{held.name}-{secrets.token_hex(4)}")
    with suppress(FileNotFoundError):  # another process has removed it
        os.rename(held, aside)
        found = os.readlink(aside)
        aside.unlink()
        if found != holder:  # another process has removed it and made its own, which goes back
            with suppress(FileExistsError):
                os.symlink(found, held)
            raise RunError(f"{title} is in use by another process, which was quicker")


def _named(process: int) -> str:
    """Return ``HOST:PROCESS started N``; the start tells a process from a later one of the same number."""
    try:
        started = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        started = "once" if _exists(process) else "never"
    return f"{socket.gethostname()}:{process} started {started}"


def _exists(process: int) -> bool:
    """Ask the system about a process, where there is no /proc."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
