"""Files and folders that appear as a whole or not at all.

Whatever is written is made beside its place, under a name such as ``.result.json-1f0c93ab.partial``, and renamed when
it is complete. A command that was killed leaves such a part behind; the next one that writes at the same place removes
it. Parts of commands that are at work are locked, and stay.
"""

import fcntl
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_LOG = logging.getLogger(__name__)
_PARTIAL = ".partial"
_LONGEST = 50
"""Characters of a name that its part repeats; file systems take 255 bytes."""
_AT_ONCE = 16
"""Files that wait for the disk at the same time."""


def write_atomic(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Replace a file as a whole: readers see the old content or the new one.

    `mode` has the permissions of a new file, from which the process's mask takes some.

    Raises:
        OSError: there is no such folder, it cannot be written, or the disk is full; names the file.
    """
    write_in_turn({path: content}, mode=mode)


def write_in_turn(files: Mapping[Path, bytes], *, mode: int = 0o666) -> None:
    """Replace some files, each as a whole and in their order: one is new only where those before it are.

    They wait for the disk together, which takes hardly longer than for one.

    Raises:
        OSError: see `write_atomic`; where the content of one cannot be written, all stay as they were.
    """
    with ExitStack() as stack:
        parts = {path: stack.enter_context(_written(path, content, mode)) for path, content in files.items()}
        _sync(parts)
        for path, (part, _) in parts.items():
            with _named(path):
                os.replace(part, path)  # before the lock on the part is given back
            if _PARTIAL not in str(path):  # else a folder is being made, which is told as a whole
                _LOG.info("wrote %s", path)


@contextmanager
def _written(path: Path, content: bytes, mode: int) -> Iterator[tuple[Path, int]]:
    """Give the part of a file, and its descriptor; a part that has not taken the file's place by the end is removed."""
    with _named(path):
        remove_partial(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        part, opened = _made(path, lambda part: os.open(part, flags, mode))
    try:
        with open(opened, "wb") as file:
            with _named(path):
                file.write(content)
                file.flush()
            yield part, opened
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _sync(parts: Mapping[Path, tuple[Path, int]]) -> None:
    """Wait until all parts of files are on the disk, for several at the same time."""
    if len(parts) == 1:
        for path, (_, opened) in parts.items():
            with _named(path):
                os.fsync(opened)
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - help is printed without

    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, max(1, len(parts)))) as threads:
        waiting = {path: threads.submit(os.fsync, opened) for path, (_, opened) in parts.items()}
    for path, one in waiting.items():
        with _named(path):
            one.result()


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `path` when the block has ended, and vanishes when the block fails.

    Raises:
        FileExistsError: something is at `path` by then; it stays as it was.
        OSError: the folder around `path` is missing or cannot be written; names `path`.
    """
    with _named(path):
        remove_partial(path)
        part, opened = _made(path, _new_folder)
    try:
        yield part
        with _named(path):
            if path.exists() or path.is_symlink():  # an empty folder would be replaced without a word
                raise FileExistsError(17, "it exists already", str(path))
            os.rename(part, path)
            _LOG.info("wrote %s", path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        os.close(opened)


def make_folders(contents: Mapping[Path, Mapping[str, bytes]]) -> None:
    """Make some folders with such files by name, each as `whole_folder` does; they wait for the disk together.

    Raises:
        FileExistsError, OSError: see `whole_folder`; other folders may be there by then.
    """
    with ExitStack() as folders:
        made = {path: folders.enter_context(whole_folder(path)) for path in contents}
        with ExitStack() as stack:
            written = {}
            for path, files in contents.items():
                for name, content in files.items():  # in a folder that nobody sees yet
                    with _named(path / name):
                        file = stack.enter_context((made[path] / name).open("xb"))
                        file.write(content)
                        file.flush()
                    written[path / name] = made[path] / name, file.fileno()
            _sync(written)


def remove_folder(path: Path) -> None:
    """Remove a folder, if it exists; it vanishes as a whole before its files are removed.

    Raises:
        OSError: it cannot be removed; names the folder.
    """
    with _named(path):
        if path.exists():
            aside = path.parent / f".{path.name[:_LONGEST]}-{secrets.token_hex(4)}{_PARTIAL}"
            os.rename(path, aside)
            shutil.rmtree(aside)


def remove_partial(path: Path) -> None:
    """Remove what killed commands have left of a file or folder; parts that a living command holds stay."""
    begins = f".{path.name[:_LONGEST]}-"
    with suppress(OSError):
        for name in os.listdir(path.parent):
            if name.startswith(begins) and name.endswith(_PARTIAL):
                _remove_abandoned(path.parent / name)


def _remove_abandoned(part: Path) -> None:
    with suppress(OSError):
        opened = os.open(part, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stat.S_ISDIR(os.fstat(opened).st_mode):
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink()
        finally:
            os.close(opened)


def _made(path: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    """Make a new part of a file or folder, locked, and return it with the descriptor that holds the lock."""
    while True:
        part = path.parent / f".{path.name[:_LONGEST]}-{secrets.token_hex(4)}{_PARTIAL}"
        try:
            opened = make(part)
        except FileExistsError:
            continue
        if _locked(opened) and part.exists():
            return part, opened
        os.close(opened)  # another command has taken it for abandoned before it was locked, and removes it


def _locked(opened: int) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: then nothing is taken for abandoned either
        return True
    return True


def _new_folder(part: Path) -> int:
    part.mkdir()
    return os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Have errors name the file that a user asked for, not the part of it."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        if isinstance(error, FileNotFoundError):
            why = "the folder takes no files" if path.parent.is_dir() else f"there is no folder {path.parent}"
        raise type(error)(error.errno, why, str(path)) from error
