"""Workers of a sweep: processes of this machine."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from harness.processes.pool import Workers
from harness.processes.worker import stopping
from harness.studies.sweep.jobs import Job, perform

REPEATS = 3
"""How often a job is done again whose worker has died."""


def in_processes(
    jobs: Sequence[Job], directory: Path, workers: int, stop: Callable[[], bool]
) -> Generator[tuple[Job, str | None]]:
    """Do jobs in processes of this machine, each with a libngspice of its own.

    At most `workers` jobs, of which none depends on another, are done at the same time. When `stop` says True, jobs end
    with a checkpoint after their current batch. Each job that has ended comes with its error if it failed.
    """
    waiting, deaths, stopped = deque(jobs), Counter[str](), False
    with closing(Workers(workers)) as processes:
        while waiting or processes.busy:
            if not stopped and (stopped := stop()):
                waiting.clear()
                processes.stop()
            while waiting and processes.busy < workers:
                job = waiting.popleft()
                processes.give(job, _work, job, directory)
            for ended in processes.ended(timeout=0.2):
                job = ended.tag
                if ended.error is not None:
                    raise ended.error
                if ended.lost is None:
                    yield job, ended.value
                elif deaths[job.folder] == REPEATS:
                    yield job, f"its worker process died {REPEATS + 1} times; if memory is short, use fewer workers"
                elif not stopped:
                    deaths[job.folder] += 1
                    waiting.appendleft(job)


def _work(job: Job, directory: Path) -> str | None:
    """Do a job in a worker process; return its error if it fails."""
    return perform(job, directory / job.folder, job.start(directory), stopping)
