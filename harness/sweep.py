"""Sweeps: an experiment trained at every point of a grid, in parallel, into a directory that can be gone on with.

::

    sweep.json     what the sweep is: keys, values, seeds, and every point with all its settings
    points/        a run directory for each point (`harness.runs`)
    results.csv    a row for each finished or failed point, in the order of the grid; results.parquet if pyarrow is here
    sweep.png      test accuracy against the first swept number

A row: swept keys (SI units), seed, what was reached (loss in V², time in s, energy in J), run directory, and any error.
"""

import fcntl
import json
import os
import re
import signal
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import reduce
from importlib.util import find_spec
from itertools import product
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pandas as pd

from harness.errors import ExperimentError, HarnessError, RunError
from harness.experiment import Experiment
from harness.files import write_atomic
from harness.runs import LEDGER, Run
from harness.settings import Settings

REACHED = ("test_accuracy", "train_accuracy", "test_loss", "seconds", *LEDGER)
"""Columns that come from the result of a run."""
_REPEATS = 3  # of a point whose worker process has died


@dataclass(frozen=True)
class Point:
    """One training of a sweep."""

    name: str
    """Of its run directory."""
    values: dict[str, Any]
    """By swept key: a number in SI units, or text."""
    settings: Settings


def grid(
    experiment: str, over: Mapping[str, Sequence[Any]], *, seeds: int | None = None, overrides: Sequence[str] = ()
) -> list[Point]:
    """Every combination of values, validated; the first key changes slowest, the seed fastest.

    Args:
        experiment: as `Experiment.load` takes it.
        over: dotted keys and their values: texts as ``--set`` takes them, numbers, truth values or lists.
        seeds: every combination is trained with the seeds 0…seeds − 1; None keeps the experiment's own.
        overrides: ``key=value`` texts for all points.

    Raises:
        ExperimentError: a key or value is wrong, there is no point, or two points are the same.
        DataError: a data set cannot be loaded.
    """
    axes = [[f"{key}={v if isinstance(v, str) else json.dumps(v)}" for v in values] for key, values in over.items()]
    axes += [] if seeds is None else [[f"training.seed={seed}" for seed in range(seeds)]]
    changes = list(product(*axes))
    if not changes:
        raise ExperimentError("a sweep without points; give every key at least one value, and at least one seed")
    settings = [Experiment.load(experiment, [*overrides, *changed]).settings for changed in changes]
    for k, text in enumerate(texts := [each.to_toml() for each in settings]):
        if (twin := texts.index(text)) < k:  # a value given twice, or one that another key makes void
            first, second = ", ".join(changes[twin]), ", ".join(changes[k])
            raise ExperimentError(f"{first!r} and {second!r} are the same experiment; leave one of them out")
    for one in {str(each.data): Experiment(each) for each in settings}.values():
        _ = one.data  # a missing file is told now, and not every worker downloads
    columns = {key: _column(settings, key) for key in over}
    rows = [{key: column[k] for key, column in columns.items()} for k in range(len(settings))]
    names = [f"{k:0{len(str(len(rows) - 1))}}-{_name(row, settings[k])}" for k, row in enumerate(rows)]
    return list(map(Point, names, rows, settings))


def _column(settings: Sequence[Settings], key: str) -> list[Any]:
    """The values of a key: numbers if all are numbers (or lists of a single one), otherwise texts."""
    contents: list[Any] = [each.model_dump(mode="json") for each in settings]
    values = [reduce(lambda section, part: section and section.get(part), key.split("."), each) for each in contents]
    alone = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in values]
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in alone):
        return alone
    return [v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]


def _name(values: Mapping[str, Any], settings: Settings) -> str:
    """Short, and of characters that no shell minds."""
    shown = {key.rpartition(".")[2]: value for key, value in values.items()} | {"seed": settings.training.seed}
    text = "-".join(f"{key}={v:.6g}" if isinstance(v, float) else f"{key}={v}" for key, v in shown.items())
    return re.sub(r"[^A-Za-z0-9.=-]+", "_", text)[:100]


class Sweep:
    """An existing sweep directory."""

    def __init__(self, path: Path) -> None:
        """Open a sweep.

        Raises:
            RunError: the directory is missing, is no sweep, or its ``sweep.json`` cannot be read.
        """
        file = path / "sweep.json"
        if not file.is_file():
            raise RunError(f"{path} is no sweep directory: it holds no sweep.json; 'harness sweep' makes one")
        try:
            points = json.loads(file.read_text())["points"]
            self.points = [Point(p["name"], p["values"], Settings.model_validate(p["settings"])) for p in points]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{file} is damaged, or of another version, and cannot be read ({error})") from error
        self.path, self.name, self.keys = path, self.points[0].settings.name, list(self.points[0].values)

    @classmethod
    def create(cls, path: Path, points: Sequence[Point]) -> "Sweep":
        """Make the directory of a new sweep over the points of a `grid`.

        Raises:
            RunError: something is at `path` already.
        """
        try:
            path.mkdir(parents=True)
        except FileExistsError as error:
            raise RunError(f"{path} exists already; go on with --resume {path}, or give another --to") from error
        content = {
            "experiment": points[0].settings.name,
            "keys": {key: list(dict.fromkeys(p.values[key] for p in points)) for key in points[0].values},
            "seeds": list(dict.fromkeys(p.settings.training.seed for p in points)),
            "points": [vars(p) | {"settings": p.settings.model_dump(mode="json", exclude_none=True)} for p in points],
        }
        write_atomic(path / "sweep.json", json.dumps(content, indent=2, ensure_ascii=False).encode())
        return cls(path)

    def row(self, point: Point, error: str | None = None) -> dict[str, Any] | None:
        """A row of the table: what a point has reached, or why it failed; None while it has done neither."""
        folder = self.path / "points" / point.name
        result = Run(folder).result if folder.exists() else None
        if result is None and error is None:
            return None
        reached = {name: result[name] if result else None for name in REACHED}
        ended = {"run": f"points/{point.name}" if folder.exists() else None, "error": error}
        return {**point.values, "seed": point.settings.training.seed, **reached, **ended}

    def save(self, rows: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
        """Write the table of rows by their points' names, in the order of the grid; returns it."""
        columns = [*self.keys, "seed", *REACHED, "run", "error"]
        table = pd.DataFrame([rows[p.name] for p in self.points if p.name in rows], columns=columns)
        counted = {*LEDGER} - {"energy"}  # whole numbers also where failed points leave gaps
        table = table.astype({name: "Int64" if name in counted else "float64" for name in REACHED})
        write_atomic(self.path / "results.csv", table.to_csv(index=False).encode())
        if find_spec("pyarrow"):
            write_atomic(self.path / "results.parquet", table.to_parquet(engine="pyarrow", index=False))
        return table


def run(
    sweep: Sweep,
    *,
    workers: int = 1,
    watch: Callable[[dict[str, Any]], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> pd.DataFrame:
    """Train every point that is not complete, from its checkpoint if it has one; gives the table of what has ended.

    A script calls it under ``if __name__ == "__main__":``, because worker processes import the main module again.

    Args:
        sweep: from `Sweep.create`, or reopened.
        workers: most processes at the same time, each with a libngspice of its own; no result depends on them.
        watch: sees the row of each point that has ended.
        stop: asked several times a second; when it says True, points end with a checkpoint after their current batch.

    Raises:
        RunError: another process trains there.
    """
    from harness.plots import draw_sweep  # noqa: PLC0415 - matplotlib takes a second to import

    with (sweep.path / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            raise RunError(f"sweep {sweep.path} is in use by another process") from held
        rows = {point.name: row for point in sweep.points if (row := sweep.row(point)) is not None}
        table = sweep.save(rows)
        todo = [point for point in sweep.points if point.name not in rows]
        with closing(in_processes(todo, sweep.path / "points", workers, stop)) as ended:
            for point, error in ended:
                if (row := sweep.row(point, error)) is not None:
                    rows[point.name] = row
                    table = sweep.save(rows)
                    watch(row)
        write_atomic(sweep.path / "sweep.png", draw_sweep(table, sweep.keys, sweep.name))
    return table


def in_processes(
    points: Sequence[Point], folder: Path, workers: int, stop: Callable[[], bool]
) -> Generator[tuple[Point, str | None]]:
    """Train points in processes of this machine; gives each that has ended, with its error if it failed."""
    if workers < 1:
        raise ValueError(f"a sweep on {workers} workers; at least 1 is needed")
    waiting, deaths, stopped = deque(points), Counter[str](), False
    idle: list[_Worker] = []
    busy: dict[Future[str | None], tuple[_Worker, Point]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                worker, point = idle.pop() if idle else _Worker(), waiting.popleft()
                busy[worker.train(folder / point.name, point.settings)] = worker, point
            done, _ = wait(busy, timeout=0.2, return_when=FIRST_COMPLETED)
            if not stopped and (stopped := stop()):
                waiting.clear()
                for worker, _ in busy.values():
                    worker.stop()
            for future in done:
                worker, point = busy.pop(future)
                idle.append(worker)
                if not isinstance(future.exception(), BrokenProcessPool):
                    yield point, future.result()
                elif deaths[point.name] == _REPEATS:
                    yield point, f"its worker process died {_REPEATS + 1} times; if memory is short, use fewer workers"
                elif not stopped:
                    deaths[point.name] += 1
                    waiting.appendleft(point)
    finally:
        for worker in (*idle, *(worker for worker, _ in busy.values())):
            worker.end()


class _Worker:
    """A process for one point after another; a pool of its own, so that its death tells which point it was at."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        theirs, self._ours = Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), _begin, (theirs,))

    def train(self, folder: Path, settings: Settings) -> Future[str | None]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # in the new process, too: this one decides
        try:
            return self._pool.submit(_train, folder, settings)
        except BrokenProcessPool:  # it died at the last point, or since
            self.end()
            self._start()
            return self._pool.submit(_train, folder, settings)
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

    def obey() -> None:
        try:
            parent.recv()
            _STOP.set()
            parent.recv()
        except (EOFError, OSError):
            os._exit(1)

    Thread(target=obey, daemon=True).start()


def _train(folder: Path, settings: Settings) -> str | None:
    """Train a point in this process; its error if it fails."""
    subject = Experiment(settings)
    try:
        if interrupted := folder.exists():
            subject.changes_since(Run(folder))  # refuses other data
        begun = Run(folder) if interrupted else subject.create_run(folder)
        subject.train(begun, stop=_STOP.is_set)
    except HarnessError as error:
        return str(error)
    return None
