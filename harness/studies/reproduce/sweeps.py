"""Figures from sweeps: what a claim measures is what ``harness sweep`` prints."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from harness.errors import RunError
from harness.experiment.experiment import Experiment
from harness.experiment.runs.manifest import check_data, check_settings
from harness.experiment.settings import Settings
from harness.files.reading import JsonObject
from harness.studies.reproduce.claim import STUDIED, Effort, Figure, Figures
from harness.studies.sweep.deployment import Deployment
from harness.studies.sweep.directory import CONTROL, Sweep, run
from harness.studies.sweep.jobs import perform
from harness.studies.sweep.points import Point, grid
from harness.training.runs import Run
from harness.wording import command


@dataclass(frozen=True)
class Study:
    """A sweep, and which of its columns are figures."""

    experiment: str
    over: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Keys and values; the first key makes the rows, the others make series."""
    seeds: int = 1
    chips: int | None = None
    controls: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=lambda: {"test_accuracy": STUDIED})
    """Columns of the sweep's table, and the series that each is shown as."""
    deploy: bool = False
    train: bool = False
    """True to train every point, too, where conductances are deployed."""
    parts: int = 0
    """Number of parts of a training; series are the means of the test loss in all but the first, instead of columns."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Better names of series than the values of keys."""
    short: tuple[str, ...] = ()
    """Changes for the short form, which has one seed."""
    chip: str = ""
    """Kind of chip that the figures ask for; nothing for any."""

    def in_form(self, effort: Effort) -> "Study":
        """Return the study as an effort does it."""
        if effort.full:
            return self
        fewer = {key: (values[0], values[-1]) if len(values) > 2 else values for key, values in self.over.items()}
        chips = None if self.chips is None else 1
        return replace(self, seeds=1, chips=chips, over=fewer, overrides=(*self.overrides, *self.short))

    def points(self, chip: str) -> list[Point]:
        """Return the points of the sweep."""
        return grid(
            self.experiment,
            self.over,
            seeds=self.seeds,
            chips=self.chips,
            exclude_training_chip=self.deploy,
            controls=self.controls,
            overrides=self._overrides(chip),
        )

    def _overrides(self, chip: str) -> tuple[str, ...]:
        return (*self.overrides, f"chip.kind={self.chip or chip}")

    def command(self, chip: str = "nodal") -> str:
        """Return the command that does the same."""
        words: list[Any] = ["sweep", self.experiment, "--chip", self.chip or chip, "--seeds", self.seeds]
        words += [] if self.chips is None else ["--chips", self.chips]
        words += [word for key, values in self.over.items() for word in ("--over", f"{key}={','.join(values)}")]
        words += [word for change in self.overrides for word in ("--set", change)]
        words += [word for control in self.controls for word in ("--control", control)]
        words += ["--deploy"] if self.deploy else []
        words += ["--also-train"] if self.train else []
        return command(*words)

    @property
    def told_seeds(self) -> str:
        """Its seeds in words, and how many chips each has."""
        return seeds_told(self.seeds) + (f", {self.chips} chips each" if self.chips else "")

    def digest(self) -> str:
        """Return a digest of all settings of the sweep's points, which changes with the packaged experiment."""
        return _digest([point.settings for point in self.points("nodal")])

    def measure(self, effort: Effort, name: str) -> Figures:
        """Do the sweep in a folder of that name, or go on with it, and return its figures.

        Raises:
            StoppedError: Ctrl-C was pressed; the sweep can be gone on with.
            RunError: a point failed.
        """
        study = self.in_form(effort)
        sweep = study._opened(effort, name)
        _done(sweep, effort)
        rows = {point.name: sweep.row(point, {}) or {} for point in sweep.points}
        if study.parts:
            means = {name: study._in_parts(Run(sweep.path / "points" / name)) for name in rows}
            rows = {name: row | means[name] for name, row in rows.items()}
            study = replace(study, columns={title: title for own in means.values() for title in own})
        return study._figures(sweep, list(rows.values()))

    def _in_parts(self, run: Run) -> dict[str, float]:
        """Return the means of the test loss over parts of a training, by the part's epochs."""
        _, epochs = run.tables()
        length, means = len(epochs) // self.parts, dict[str, float]()
        for first in range(length, length * self.parts, length):
            kept = epochs[first : first + length]
            means[f"epochs {first + 1}–{first + length}"] = fmean(row.test_loss for row in kept)
        return means

    def _opened(self, effort: Effort, name: str) -> Sweep:
        """Return the sweep in its folder, made if it is not there.

        Raises:
            RunError: another sweep is there.
        """
        path = effort.folder / f"{name}-{effort.form}"
        points = self.points(effort.chip)
        if not path.exists():
            overrides = self._overrides(effort.chip)
            deployment = (
                Deployment.of(self.experiment, seeds=self.seeds, overrides=overrides, train=self.train)
                if self.deploy
                else None
            )
            return Sweep.create(path, points, deployment=deployment)
        sweep = Sweep(path)
        if [point.settings for point in sweep.points] != [point.settings for point in points]:
            raise RunError(f"{path} holds another sweep, of an earlier version or another chip; give another folder")
        return sweep

    def _figures(self, sweep: Sweep, rows: Sequence[JsonObject]) -> Figures:
        """Return a figure for each place and series, with the values of all seeds and chips there."""
        values: dict[tuple[str, float | str, bool], list[float]] = {}
        for column, title in self.columns.items():
            for row in rows:
                places = [row[key] for key in sweep.keys] or [""]
                place, more = places[0], [*places[1:], row[CONTROL]]
                named = (self.names.get(str(value), str(value)) for value in more if value)
                series = ", ".join(part for part in (title, *named) if part)
                values.setdefault((series, _place(place), bool(row[CONTROL])), []).append(float(row[column]))
        return tuple(Figure(series, x, tuple(v), control) for (series, x, control), v in values.items())


def _place(value: Any) -> float | str:
    return float(value) if isinstance(value, int | float) else str(value)


def _done(sweep: Sweep, effort: Effort) -> None:
    """Do all that is left of a sweep: in this process or, with several workers, in others."""
    errors: dict[str, str]
    if effort.workers > 1:
        outcome = run(sweep, workers=effort.workers, watch=lambda e: effort.tell(e.folder), stop=effort.stop)
        errors = outcome.errors
    else:
        errors = _one_by_one(sweep, effort)
    if errors:
        folder, told = next(iter(errors.items()))
        raise RunError(f"{sweep.path / folder}: {told}")
    effort.check()


def _one_by_one(sweep: Sweep, effort: Effort) -> dict[str, str]:
    errors = {}
    for jobs in (sweep.trainings(), sweep.deployments()):
        for job in jobs:
            if job.complete(sweep.path):
                continue
            effort.check()
            folder = sweep.path / job.folder
            folder.parent.mkdir(parents=True, exist_ok=True)
            if (error := perform(job, folder, job.start(sweep.path), effort.stop)) is not None:
                errors[job.folder] = error
            effort.tell(job.folder)
    return errors


def digest_of_training(experiment: str, overrides: Sequence[str] = ()) -> str:
    """Return a digest of the settings of a training by itself; its data need not be there."""
    return _digest([Experiment.load(experiment, overrides).settings])


def _digest(settings: Sequence[Settings]) -> str:
    told = [one.model_dump(mode="json", exclude_defaults=True) for one in settings]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def seeds_told(count: int) -> str:
    """Return seeds from 0 on in words."""
    return "0" if count == 1 else f"0–{count - 1}"


def trained_run(effort: Effort, subject: Experiment, name: str) -> Run:
    """Train an experiment in a folder of that name, or go on there, and return its complete run.

    A complete run is taken where its settings and its data are those of the experiment, whichever version made it.

    Raises:
        StoppedError: Ctrl-C was pressed.
        RunError: the run there is damaged, or has other settings or data.
    """
    path = effort.folder / name
    run = Run(path) if path.exists() else subject.create_run(path)
    if run.result is not None:
        check_settings(run, subject.recorded)
        check_data(run, subject.data)
    else:
        subject.train(run, stop=effort.stop, pictures=False)
    effort.check()
    return run
