"""Downloads from public mirrors into a folder; only files that pass their check are kept."""

from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from harness.datasets.idx import IdxFile
from harness.errors import DataError
from harness.files.writing import write_atomic

TIMEOUT = 20.0
"""Seconds without a byte after which a mirror is given up."""
_PORTION = 1 << 16

Check = Callable[[IdxFile, bytes, str], None]
"""Raises `DataError` for a file that is not what it has to be; the text is its address."""


def download(name: str, wanted: Sequence[IdxFile], mirrors: Sequence[str], folder: Path, check: Check) -> None:
    """Fetch files of a data set into a folder, packed as they come; each mirror serves until it fails.

    A file's name and ``.gz`` are put behind the addresses `mirrors`; a file is kept only if it passes `check`.

    Raises:
        DataError: a file is to be had from no mirror.
        OSError: the folder cannot be written.
    """
    waiting = list(wanted)
    troubles: list[str] = []
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        for mirror in mirrors:
            while waiting:
                address = f"{mirror}{waiting[0].name}.gz"
                console.print(f"downloading {address}")
                try:
                    raw = _fetch(address, waiting[0].packed_size, bar)
                    check(waiting[0], raw, address)
                except (OSError, HTTPException, DataError) as error:
                    troubles.append(_told(address, error))
                    break
                folder.mkdir(parents=True, exist_ok=True)
                write_atomic(folder / f"{waiting.pop(0).name}.gz", raw)
    if waiting:
        raise DataError(
            f"data set {name}: {waiting[0].name}.gz could not be downloaded ({'; '.join(troubles)}); put "
            f"{', '.join(file.name for file in waiting)} (plain or .gz) into {folder}, or all files of the set into a "
            f"folder that you name with --data-dir or HARNESS_DATA"
        )


def _fetch(address: str, most: int, bar: Progress) -> bytes:
    """Return what is at an address, at most a portion more than `most` bytes."""
    with urlopen(address, timeout=TIMEOUT) as answer:  # noqa: S310 - mirrors are our own http and https addresses
        length = answer.headers.get("Content-Length", "")
        task = bar.add_task(address.rpartition("/")[2], total=int(length) if length.isdecimal() else None)
        raw = bytearray()
        while len(raw) <= most and (portion := answer.read(_PORTION)):
            raw += portion
            bar.update(task, completed=len(raw))
        bar.remove_task(task)
    return bytes(raw)


def _told(address: str, error: Exception) -> str:
    if isinstance(error, DataError):
        return str(error)  # it names the address
    reason = error.reason if type(error) is URLError else error
    return f"{address}: {reason}"
