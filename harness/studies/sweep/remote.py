"""Jobs of a sweep on the workers of a Dask cluster, which need no file system in common with this process.

A job travels with the conductances that it deploys and comes back as a zip of its run directory. One whose worker is
lost is done again by another. A job that nobody waits for any more, because the sweep was stopped or killed, ends
after its current batch; what it had done is lost, and it begins anew when the sweep goes on.
"""

import io
import pickle
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from zipfile import ZipFile

from harness.chip.ngspice.cluster import Software, check_workers, connect, failures_named, unwarned
from harness.files.writing import remove_folder, whole_folder
from harness.studies.sweep.jobs import REPEATS, Job, perform

_CURRENT = ("executing", "long-running")  # states of a task whose result is still wanted


def check_cluster(address: str) -> None:
    """Reach a cluster once, so that no sweep is begun that it could not do.

    Raises:
        ChipError: see `on_cluster`.
    """
    client = connect(address)
    try:
        check_workers(client, address, Software.here(simulator=False))
    finally:
        with suppress(Exception), unwarned():
            client.close()


def on_cluster(
    jobs: Sequence[Job], directory: Path, address: str, stop: Callable[[], bool]
) -> Generator[tuple[Job, str | None]]:
    """Do jobs on the workers of a running Dask cluster, each a process of one thread; see `in_processes`.

    Raises:
        ChipError: Dask is not installed, no scheduler answers, it has no workers, one has several threads or other
            versions than this process, or the cluster failed.
        NgspiceMissing: a job wants ngspice, and libngspice cannot be loaded here or by a worker.
    """
    wanted = Software.here(simulator=any(job.settings.chip.in_ngspice for job in jobs))
    client = connect(address)
    try:
        check_workers(client, address, wanted)
        with failures_named(address):
            yield from _collected(client, jobs, directory, stop)
    finally:
        with suppress(Exception), unwarned():  # it may be gone already
            client.close()


def _collected(
    client: Any, jobs: Sequence[Job], directory: Path, stop: Callable[[], bool]
) -> Generator[tuple[Job, str | None]]:
    ended: SimpleQueue[Any] = SimpleQueue()
    waiting: dict[Any, Job] = {}
    for job in jobs:
        request = pickle.dumps((job, job.start(directory)))
        with unwarned():  # of its size
            future = client.submit(_reply, request, pure=False)
        waiting[future] = job
        future.add_done_callback(ended.put)
    try:
        while waiting and not stop():
            try:
                future = ended.get(timeout=0.2)
            except Empty:
                if client.status != "running":
                    raise ConnectionError("the connection to the scheduler was lost") from None
                continue
            job = waiting.pop(future)
            if future.status != "finished":
                yield job, _failure(future)
                continue
            error, packed = pickle.loads(future.result())  # noqa: S301 - from `_reply`
            _unpack(packed, directory / job.folder)
            yield job, error
    finally:
        with suppress(Exception), unwarned():
            client.cancel(list(waiting), force=True)


def _failure(future: Any) -> str:
    from distributed import KilledWorker  # noqa: PLC0415 - an extra: sweeps on one machine do without it

    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        return f"its Dask workers died {REPEATS + 1} times; if memory is short, start fewer of them"
    raise ConnectionError(str(error or "the scheduler has dropped a point")) from error


def _unpack(packed: bytes, folder: Path) -> None:
    """Make a run directory as a whole, in place of an older one; an empty archive leaves none."""
    folder.parent.mkdir(exist_ok=True)
    with ZipFile(io.BytesIO(packed)) as files:
        if not files.namelist():
            remove_folder(folder)
            return
        with whole_folder(folder) as made:
            files.extractall(made)
            remove_folder(folder)


def _reply(request: bytes) -> bytes:
    from distributed import get_worker  # noqa: PLC0415 - see `_failure`

    job, start = pickle.loads(request)  # noqa: S301 - from `on_cluster`
    worker = get_worker()
    key = worker.get_current_task()

    def unwanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state not in _CURRENT

    with tempfile.TemporaryDirectory(prefix="harness-") as scratch:
        folder = Path(scratch) / "run"
        error = perform(job, folder, start, unwanted)
        return pickle.dumps((error, _packed(folder)))


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as files:
        for file in sorted(folder.iterdir()) if folder.exists() else ():
            if not file.name.startswith("."):
                files.write(file, file.name)
    return buffer.getvalue()
