"""Where the jobs of a sweep are done: in processes of this machine."""

import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread

from harness.sweep.jobs import Job, perform

REPEATS = 3
"""How often a job is done again whose worker has died."""
_PROCESSES = get_context("forkserver")  # which imports once what every worker needs
_PROCESSES.set_forkserver_preload(["harness.sweep.jobs"])


def in_processes(
    jobs: Sequence[Job], directory: Path, workers: int, stop: Callable[[], bool]
) -> Generator[tuple[Job, str | None]]:
    """Do jobs in processes of this machine, each with a libngspice of its own.

    Args:
        jobs: none depends on another.
        directory: of the sweep.
        workers: most processes at the same time.
        stop: asked several times a second; when it says True, jobs end with a checkpoint after their current batch.

    Yields:
        Each job that has ended, with its error if it failed.
    """
    if workers < 1:
        raise ValueError(f"a sweep on {workers} workers; at least 1 is needed")
    waiting, deaths, stopped = deque(jobs), Counter[str](), False
    idle: list[_Worker] = []
    busy: dict[Future[str | None], tuple[_Worker, Job]] = {}
    try:
        while waiting or busy:
            if not stopped and (stopped := stop()):
                waiting.clear()
                for worker, _ in busy.values():
                    worker.stop()
            while waiting and len(busy) < workers:
                worker, job = idle.pop() if idle else _Worker(), waiting.popleft()
                busy[worker.submit(job, directory)] = worker, job
            done, _ = wait(busy, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                worker, job = busy.pop(future)
                idle.append(worker)
                if not isinstance(future.exception(), BrokenProcessPool):
                    yield job, future.result()
                elif deaths[job.folder] == REPEATS:
                    yield job, f"its worker process died {REPEATS + 1} times; if memory is short, use fewer workers"
                elif not stopped:
                    deaths[job.folder] += 1
                    waiting.appendleft(job)
    finally:
        for worker in (*idle, *(worker for worker, _ in busy.values())):
            worker.end()


class _Worker:
    """A process for one job after another; a pool of its own, so that its death tells which job it was at."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        theirs, self._ours = Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, _PROCESSES, _begin, (theirs,))

    def submit(self, job: Job, directory: Path) -> Future[str | None]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # in the new process, too: this one decides
        try:
            return self._pool.submit(_work, job, directory)
        except BrokenProcessPool:  # it died at the last job, or since
            self.end()
            self._start()
            return self._pool.submit(_work, job, directory)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def stop(self) -> None:
        self._ours.send(None)

    def end(self) -> None:
        """At once, whatever it is doing."""
        self._ours.close()
        self._pool.shutdown()


_STOP = Event()  # in a worker process: training is to end after the current batch


def _begin(parent: Connection) -> None:
    """Stop when told; end with the parent, however it ended. A pipe has no lock that a killed process could keep."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def obey() -> None:
        try:
            parent.recv()
            _STOP.set()
            parent.recv()
        except (EOFError, OSError):
            os._exit(1)

    Thread(target=obey, daemon=True).start()


def _work(job: Job, directory: Path) -> str | None:
    """A job in this process; its error if it fails."""
    return perform(job, directory / job.folder, job.start(directory), _STOP.is_set)
