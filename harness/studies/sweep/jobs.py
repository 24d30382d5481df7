"""Jobs of a sweep, each to train a point or to deploy conductances, and processes of this machine that do them."""

import json
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.chip.base import Chip
from harness.errors import HarnessError, RunError
from harness.experiment.experiment import Experiment
from harness.experiment.runs.manifest import check_settings
from harness.experiment.settings import Settings
from harness.files.reading import JsonObject, read_json
from harness.files.writing import write_atomic
from harness.measurement import Conductances
from harness.processes.memory import exhausted
from harness.processes.pool import Workers
from harness.processes.worker import stopping
from harness.training.controller import evaluate
from harness.training.runs import Run, Start, make_runs

DEPLOYED = "deployed.json"
"""Loss and accuracy on the held-out rows before any tuning; its presence says that they were evaluated."""
REPEATS = 3
"""Number of times that a job is done again whose worker has died."""


@dataclass(frozen=True, eq=False)
class Job:
    """A run directory to be filled."""

    folder: str
    """Inside the sweep's directory, such as ``points/0-beta=1e-06-seed=0``."""
    settings: Settings
    origin: str | None = None
    """Folder of the run whose conductances are deployed here; None trains from the experiment's own."""
    tunes: bool = False
    """True to train deployed conductances in place."""

    @property
    def trains(self) -> bool:
        """True where something is trained, and not only evaluated."""
        return self.origin is None or self.tunes

    def complete(self, directory: Path) -> bool:
        """Return True where nothing is left to do in a sweep's directory.

        Raises:
            RunError: the run there is damaged, or was made with other settings.
        """
        folder = directory / self.folder
        if not folder.exists() or (self.origin is not None and not (folder / DEPLOYED).exists()):
            return False
        check_settings(Run(folder), self.settings, before=True)
        return not self.trains or Run(folder).result is not None

    def start(self, directory: Path) -> Conductances | None:
        """Return the conductances to deploy, S; None for a training.

        Raises:
            RunError: the origin has no checkpoint.
        """
        if self.origin is None:
            return None
        position = Run(directory / self.origin).position()
        if position is None:
            raise RunError(f"run {directory / self.origin} has no checkpoint yet, and so nothing to deploy")
        return position.conductances


def perform(job: Job, folder: Path, start: Conductances | None, stop: Callable[[], bool]) -> str | None:
    """Do a job in its run directory, from the checkpoint there if there is one; return its error if it fails.

    `start` is from `Job.start`; `stop` is asked after every batch; when it says True, training ends with a checkpoint.
    """
    subject = Experiment(job.settings)
    try:
        run = open_run(job, folder, start, subject)
        if job.trains:
            subject.train(run, stop=stop, pictures=False)
    except HarnessError as error:
        return str(error)
    except MemoryError as error:
        return exhausted(error)
    return None


def open_run(job: Job, folder: Path, start: Conductances | None, subject: Experiment) -> Run:
    """Return the run of a job, made if it is not there, and evaluated if conductances are deployed there.

    Raises:
        HarnessError: the run is another one, or the chip failed.
    """
    if (files := new_files(job, folder, start, subject)) is not None:
        make_runs({folder: files})
    return Run(folder)


def new_files(job: Job, folder: Path, start: Conductances | None, subject: Experiment) -> dict[str, bytes] | None:
    """Return the files of the run of a job by name; None where it is there already.

    Conductances that are deployed are evaluated for that; a run which is there without that gets it.

    Raises:
        HarnessError: see `open_run`.
    """
    inside = None if start is None else _inside(subject, start)
    if folder.exists():
        run = Run(folder)
        subject.check(run)
        if inside is not None and not (folder / DEPLOYED).exists():
            with subject.open_chip() as chip:
                write_atomic(folder / DEPLOYED, _deployed(subject, inside, chip))
        return None
    if inside is None:
        return subject.new_run(folder)
    with subject.open_chip() as chip:
        subject.refuse_chip(chip)
        files = {DEPLOYED: _deployed(subject, inside, chip)}
        return subject.new_run(folder, Start(inside, {"origin": {"run": job.origin}}), files=files, chip=chip)


def deployed(folder: Path) -> JsonObject:
    """Return what a run directory says of its deployment.

    Raises:
        RunError: the file is damaged.
    """
    found = read_json(folder / DEPLOYED, RunError)
    for name in ("deployed_accuracy", "deployed_loss"):
        if not isinstance(found.get(name), int | float) or isinstance(found[name], bool):
            raise RunError(f"{folder / DEPLOYED} is damaged: {name!r} is no number; remove it and resume the sweep")
    return found


def _inside(subject: Experiment, start: Conductances) -> Conductances:
    """Return the nearest conductances that this chip's cells can hold."""
    return tuple(np.clip(g, array.g_min, array.g_max) for g, array in zip(start, subject.circuit.arrays, strict=True))


def _deployed(subject: Experiment, conductances: Conductances, chip: Chip) -> bytes:
    """Return the file that says what conductances reach on a chip."""
    chip.program(conductances)
    found = evaluate(chip, subject.cost, subject.data.test)
    reached = {"deployed_accuracy": found.accuracy, "deployed_loss": found.loss, "samples": len(found.outputs)}
    return (json.dumps(reached, indent=2) + "\n").encode()


def in_processes(
    jobs: Sequence[Job], directory: Path, workers: int, stop: Callable[[], bool]
) -> Generator[tuple[Job, str | None]]:
    """Do jobs in processes of this machine, each with a libngspice of its own.

    At most `workers` jobs, of which none depends on another, are done at the same time. When `stop` says True, jobs end
    with a checkpoint after their current batch. Each job that has ended comes with its error if it failed.
    """
    waiting, stopped = deque(jobs), False
    with closing(Workers(workers, attempts=REPEATS + 1)) as processes:
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
                elif not stopped:
                    yield job, f"its worker process died {REPEATS + 1} times; if memory is short, use fewer workers"


def _work(job: Job, directory: Path) -> str | None:
    """Do a job in a worker process; return its error if it fails."""
    return perform(job, directory / job.folder, job.start(directory), stopping)
