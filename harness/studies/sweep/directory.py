"""Sweeps: an experiment at many points, in parallel, into a directory that can be gone on with.

::

    sweep.json     what the sweep is: keys, values, bounds, seeds, and every point with all its settings
    points/        a run directory for each point that is trained (`harness.training.runs`), without its pictures
    origins/       of a deployment: the runs whose conductances are deployed, one for each seed
    deployed/      of a deployment: a run directory for each point, tuned in place or only evaluated (deployed.json)
    results.csv    a row for each point of which something has ended; results.parquet if pyarrow is here
    sweep.png      test accuracy against each swept number

A row: swept keys (SI units), the control where there are some (nothing for what is studied), seed, chip, what was
reached (loss in V², time in s, energy in J), the run's directory, and any error. ``test_accuracy`` is that of a chip
trained as the point says, ``deployed_accuracy`` that of one which was only given the conductances of its origin,
``tuned_accuracy`` after training on from there, ``origin_accuracy`` that of the origin on its own chip.
"""

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from warnings import warn as python_warning

import pandas as pd
from pydantic import ValidationError

from harness.chip.metering import ENTRIES
from harness.errors import PictureError, RunError
from harness.experiment.experiment import Experiment
from harness.experiment.settings import Settings, merged
from harness.files.locking import alone_in
from harness.files.reading import TABLE_LIMIT, JsonObject, parse_json, read_bytes, read_text
from harness.files.writing import whole_folder, write_atomic
from harness.studies.sweep.deployment import Deployment
from harness.studies.sweep.jobs import DEPLOYED, Job, deployed, in_processes
from harness.studies.sweep.points import Draws, Point
from harness.studies.sweep.recorded import read_recorded
from harness.studies.sweep.together import in_stacks
from harness.training.runs import Run
from harness.validation import first_finding
from harness.wording import html_table

TRAINED = ("test_accuracy", "train_accuracy", "test_loss", "seconds", *ENTRIES)
"""Columns that come from training at a point."""
SWEEP = "sweep.json"
_BETWEEN_TABLES = 1.0
"""s between two tables at least, but for the last: points may end by the dozen."""
CONTROL = "control"
"""The column of controls."""
_SHOWN = 20
"""Points that a notebook shows."""
_COUNTED = {name for name, entry in ENTRIES.items() if entry.type is int}


class Sweep:
    """An existing sweep directory."""

    def __init__(self, path: Path) -> None:
        """Open a sweep.

        Raises:
            RunError: the directory is missing, is no sweep, or its ``sweep.json`` cannot be read.
        """
        file = path / SWEEP
        if not file.exists():
            why = f"it holds no {SWEEP}" if path.is_dir() else "it is a file" if path.exists() else "nothing is there"
            raise RunError(f"{path} is no sweep directory: {why}; 'harness sweep' makes one")
        content = parse_json(read_text(file, RunError, most=TABLE_LIMIT), RunError, str(file))
        try:
            found = read_recorded(content, f"sweep {path}")
        except ValidationError as error:
            raise RunError(
                f"{file} is damaged, or of another version, and cannot be read ({first_finding(error)})"
            ) from error
        self.points = [recorded.point for recorded in found.points]
        self.drawn = list(found.random)
        self.deployment = None if found.deployment is None else found.deployment.deployment
        self.name, self.keys = self.points[0].settings.name, list(self.points[0].values)
        self.path = path
        self.units = {key: Settings.unit_of(key) for key in self.keys}
        self.controls = [control for control in dict.fromkeys(point.control for point in self.points) if control]
        self.copies = [name for name, found in (("seed", True), ("chip", self.points[0].chip is not None)) if found]

    @classmethod
    def create(
        cls, path: Path, points: Sequence[Point], *, draws: Draws | None = None, deployment: Deployment | None = None
    ) -> "Sweep":
        """Make the directory of a new sweep over the points of a `grid`, whose `draws` are recorded.

        A deployment deploys conductances at every point; without one, every point is trained.

        Raises:
            ExperimentError: the conductances do not fit a point.
            RunError: something is at `path` already.
        """
        if deployment is not None:
            deployment.check(points)
        drawn = draws.ranges if draws else {}
        content: JsonObject = {
            "experiment": points[0].settings.name,
            **_plugins(points),
            "keys": {k: list(dict.fromkeys(p.values[k] for p in points)) for k in points[0].values if k not in drawn},
            "seeds": list(dict.fromkeys(p.settings.training.seed for p in points)),
        }
        if controls := [control for control in dict.fromkeys(point.control for point in points) if control]:
            content["controls"] = controls
        if draws is not None:
            content["random"] = {key: vars(bounds) for key, bounds in drawn.items()}
            content |= {"draws": draws.count, "draw_seed": draws.seed}
        content["points"] = list(map(_written, points))
        if deployment is not None:
            run = deployment.run and str(deployment.run)
            origins = list(map(_written, deployment.origins))
            content["deployment"] = {**vars(deployment), "run": run, "origins": origins}
        exists = f"{path} exists already; go on with --resume {path}, or give another --to"
        if path.exists():
            raise RunError(exists)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole_folder(path) as made:
                if deployment is not None and deployment.run is not None:
                    _copy_run(deployment.run, made / "origins" / deployment.origins[0].name)
                write_atomic(made / SWEEP, _json(content))
        except FileExistsError as error:
            raise RunError(exists) from error
        return cls(path)

    def _repr_html_(self) -> str:
        """A table for notebooks: the first points, and what was reached there."""
        reached = [name for name in self.reached if name not in ENTRIES]
        columns = [*self.places, *self.copies, *reached]
        rows = [
            self.row(point, {}) or {**point.values, CONTROL: point.control, "seed": point.settings.training.seed}
            for point in self.points[:_SHOWN]
        ]
        cells = [[_cell(row.get(name)) for name in columns] for row in rows]
        more = len(self.points) - len(rows)
        title = f"sweep {self.path}: {len(self.points)} points" + (f", of which {more} are not shown" if more else "")
        return html_table(title, cells, heading=columns)

    @property
    def places(self) -> list[str]:
        """The columns that say where a point lies: swept keys and, where there are some, the control."""
        return [*self.keys, *([CONTROL] if self.controls else [])]

    @cached_property
    def score(self) -> str:
        """The name of its accuracies: share of right classes, or R²."""
        return Experiment(self.points[0].settings).score

    @property
    def reached(self) -> list[str]:
        """The columns of what was reached."""
        if self.deployment is None:
            return list(TRAINED)
        tuned = ["tuned_accuracy", "tuned_loss", "tuned_seconds"] if self.deployment.tune else []
        trained = TRAINED if self.deployment.train else ()
        return ["origin_accuracy", "deployed_accuracy", "deployed_loss", *tuned, *trained]

    def trainings(self) -> dict[Job, Point]:
        """Return the jobs that need no other: origins, and points that are trained from the beginning."""
        jobs: dict[Job, Point] = {}
        if self.deployment is not None and self.deployment.run is None:
            jobs = {Job(f"origins/{origin.name}", origin.settings): origin for origin in self.deployment.origins}
        if self.deployment is None or self.deployment.train:
            jobs |= {Job(f"points/{point.name}", point.settings): point for point in self.points}
        return jobs

    def deployments(self) -> dict[Job, Point]:
        """Return the jobs that need an origin."""
        if self.deployment is None:
            return {}
        tune, origins = self.deployment.tune, self._origins()
        jobs = {}
        for point in self.points:
            settings = merged(point.settings, {"training.epochs": tune}) if tune else point.settings
            origin = origins[point.settings.training.seed]
            jobs[Job(f"deployed/{point.name}", settings, origin, tunes=tune > 0)] = point
        return jobs

    def _origins(self) -> dict[int, str]:
        """Return folders by seed."""
        origins = self.deployment.origins if self.deployment else ()
        return {origin.settings.training.seed: f"origins/{origin.name}" for origin in origins}

    def row(self, point: Point, errors: Mapping[str, str]) -> JsonObject | None:
        """Return a row of the table: what has been reached at a point, and errors by folder; None without either."""
        reached: JsonObject = {}
        trained, used = f"points/{point.name}", f"deployed/{point.name}"
        if self.deployment is not None and (self.path / used / DEPLOYED).exists():
            found = deployed(self.path / used)
            reached |= {name: found[name] for name in ("deployed_accuracy", "deployed_loss")}
            if (result := self._result(self._origins()[point.settings.training.seed])) is not None:
                reached["origin_accuracy"] = result["test_accuracy"]
            if self.deployment.tune and (result := self._result(used)) is not None:
                reached |= {f"tuned_{name}": result[f"test_{name}"] for name in ("accuracy", "loss")}
                reached["tuned_seconds"] = result["seconds"]
        if (result := self._result(trained)) is not None:
            reached |= {name: result.get(name) for name in TRAINED}  # a chip may count nothing
        told = [errors[folder] for folder in (trained, used) if folder in errors]
        if not (reached or told):
            return None
        runs = [folder for folder in (trained, used) if (self.path / folder).exists()]
        copies = {CONTROL: point.control, "seed": point.settings.training.seed, "chip": point.chip}
        ended = {"run": runs[-1] if runs else None, "error": "; ".join(told) or None}
        return {**point.values, **copies, **dict.fromkeys(self.reached), **reached, **ended}

    def _result(self, folder: str) -> JsonObject | None:
        path = self.path / folder
        return Run(path).result if path.exists() else None

    def save(self, rows: Mapping[str, JsonObject]) -> pd.DataFrame:
        """Write and return the table of rows by their points' names, in the order of the grid."""
        columns = [*self.places, *self.copies, *self.reached, "run", "error"]
        table = pd.DataFrame([rows[p.name] for p in self.points if p.name in rows], columns=columns)
        # whole numbers also where failed points leave gaps
        table = table.astype({name: "Int64" if name in _COUNTED else "float64" for name in self.reached})
        write_atomic(self.path / "results.csv", table.to_csv(index=False).encode())
        if find_spec("pyarrow"):
            write_atomic(self.path / "results.parquet", table.to_parquet(engine="pyarrow", index=False))
        return table


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _json(content: JsonObject) -> bytes:
    """Return UTF-8; a path that is not UTF-8 becomes an escape of JSON's, which reads back as the same path."""
    return json.dumps(content, indent=2, ensure_ascii=False).encode(errors="backslashreplace")


def _copy_run(run: Path, to: Path) -> None:
    """Copy the plain files of a run; names that begin with a dot are left out.

    Raises:
        RunError: something in the run is no plain file, such as a pipe or a link to nothing.
    """
    to.mkdir(parents=True)
    for file in sorted(run.iterdir()):
        if not file.name.startswith("."):
            write_atomic(to / file.name, read_bytes(file, RunError, most=TABLE_LIMIT))


def _written(point: Point) -> JsonObject:
    return vars(point) | {"settings": point.settings.model_dump(mode="json", exclude_none=True)}


def _plugins(points: Sequence[Point]) -> JsonObject:
    """Return the plug-ins that the points name, each once; nothing where they name none."""
    named = {(plugin.kind, plugin.name): plugin.record for point in points for plugin in point.settings.plugins}
    return {"plugins": list(named.values())} if named else {}


@dataclass(frozen=True)
class Ended:
    """A job that has ended."""

    point: Point
    folder: str
    error: str | None
    accuracy: dict[str, float]
    """The scores reached: ``test_accuracy``, or ``deployed_accuracy`` and, if tuned, ``tuned_accuracy``."""


@dataclass(frozen=True)
class Outcome:
    """The result of a call of `run`."""

    table: pd.DataFrame
    missing: int
    """Jobs that were stopped, or never begun."""
    errors: dict[str, str]
    """Errors of jobs, by their folders."""


def run(
    sweep: Sweep,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    together: bool = False,
    watch: Callable[[Ended], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    warn: Callable[[str], None] = python_warning,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Do every job that is not complete, from its checkpoint if it has one.

    At most `workers` processes work at the same time, each with a libngspice of its own, or the workers of the Dask
    cluster at `scheduler`; no result depends on them. With `together`, this process does what goes together
    (`harness.studies.sweep.together`), and `say` is told what that is. `watch` sees each job that has ended; `stop` is
    asked several times a second, and jobs end with a checkpoint after their current batch when it says True. `warn` is
    told when the picture could not be drawn.

    Raises:
        RunError: another process works there.
        ChipError: the cluster cannot be used, or failed.
    """
    with alone_in(sweep.path, f"sweep {sweep.path}"):
        errors: dict[str, str] = {}
        ended = set[str]()
        rows = {point.name: row for point in sweep.points if (row := sweep.row(point, errors)) is not None}
        table, saved = sweep.save(rows), time.monotonic()
        for jobs in filter(None, (sweep.trainings(), sweep.deployments())):
            ready = []
            for job, point in jobs.items():
                if job.origin in errors:
                    errors[job.folder] = f"the conductances to deploy could not be trained: {errors[job.origin]}"
                    rows[point.name] = sweep.row(point, errors) or {}
                elif not job.complete(sweep.path) and not stop():
                    ready.append(job)
            if together:
                executed = in_stacks(ready, sweep.path, workers, stop, say)
            else:
                executed = _executed(ready, sweep.path, workers, scheduler, stop)
            try:
                for job, error in executed:
                    if error is None and job.trains and not job.complete(sweep.path):
                        continue  # stopped
                    errors |= {} if error is None else {job.folder: error}
                    ended.add(job.folder)
                    point = jobs[job]
                    if not job.folder.startswith("origins/"):
                        rows[point.name] = sweep.row(point, errors) or {}
                        if time.monotonic() - saved > _BETWEEN_TABLES:
                            table, saved = sweep.save(rows), time.monotonic()
                    watch(Ended(point, job.folder, error, _accuracies(sweep.path / job.folder)))
            finally:
                executed.close()
                table = sweep.save(rows)
        _draw(sweep, table, warn)
    every = [*sweep.trainings(), *sweep.deployments()]
    missing = sum(job.folder not in {*errors, *ended} and not job.complete(sweep.path) for job in every)
    return Outcome(table, missing, errors)


def _draw(sweep: Sweep, table: pd.DataFrame, warn: Callable[[str], None]) -> None:
    try:
        from harness.pictures.sweeps import draw_sweep  # noqa: PLC0415 - matplotlib takes a second to import

        losses = sweep.score != "accuracy"
        picture = draw_sweep(table, sweep.keys, sweep.name, drawn=sweep.drawn, losses=losses, units=sweep.units)
        write_atomic(sweep.path / "sweep.png", picture)
    except (PictureError, OSError) as error:
        warn(f"sweep {sweep.path} has no picture: {error}")


def _executed(
    jobs: Sequence[Job], path: Path, workers: int, scheduler: str | None, stop: Callable[[], bool]
) -> Generator[tuple[Job, str | None]]:
    if scheduler is None or not jobs:
        return in_processes(jobs, path, workers, stop)
    from harness.studies.sweep.remote import on_cluster  # noqa: PLC0415 - Dask is an extra

    return on_cluster(jobs, path, scheduler, stop)


def _accuracies(folder: Path) -> dict[str, float]:
    there = (folder / DEPLOYED).exists()
    found = {"deployed_accuracy": deployed(folder)["deployed_accuracy"]} if there else {}
    if folder.exists() and (result := Run(folder).result) is not None:
        found["tuned_accuracy" if there else "test_accuracy"] = result["test_accuracy"]
    return found
