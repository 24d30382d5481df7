"""Run directories: everything that a run was and became, written so that a kill at any moment loses little.

::

    experiment.toml     the experiment as used, with every default and override in place
    manifest.json       versions, seed, tolerances, hash of the netlist
    steps.csv           one row per batch (identical for identical seeds)
    epochs.csv          one row per epoch
    checkpoint.npz      where training stands; `harness train --resume` goes on from here
    conductances.npz    the trained conductances, one array per crossbar
    result.json         what the run reached; its presence says that the run is complete
    training.png, conductances.png, boundary.png (of two inputs and two classes), readback.png (of a board)
    bench/              of a board: journal of pulses, read-backs, and a folder for each session with its cassette

Each file is replaced as a whole, never in part, and the directory appears under its name only when it is complete.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from harness.errors import RunError
from harness.files.locking import alone_in
from harness.files.reading import JsonObject, read_arrays, read_json
from harness.files.writing import make_folders, write_atomic, write_in_turn
from harness.measurement import Conductances
from harness.training.position import Position, arrays_of, npz, position_of
from harness.training.tables import EpochRow, StepRow, as_csv, as_frame, read_rows, score_in
from harness.wording import html_table

if TYPE_CHECKING:  # a run is trained without it, and it takes a quarter of a second to import
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Start:
    """Conductances that a run begins with instead of the experiment's own."""

    conductances: Conductances
    """S."""
    origin: JsonObject
    """Keys of the manifest that say where they come from."""


MANIFEST = "manifest.json"
BENCH = "bench"
"""Folder of a run for its sessions with a board."""


class Run:
    """An existing run directory."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Open a run.

        Raises:
            RunError: the directory is missing or is no run.
        """
        path = Path(path)
        if not (path / MANIFEST).exists():
            why = f"it holds no {MANIFEST}" if path.is_dir() else "it is a file" if path.exists() else "it is not there"
            raise RunError(f"{path} is no run directory: {why}; 'harness train' makes one")
        self.path = path

    @classmethod
    def create(
        cls,
        path: Path,
        experiment: str,
        manifest: JsonObject,
        start: Position | None = None,
        *,
        files: Mapping[str, bytes] = MappingProxyType({}),
    ) -> Self:
        """Make a new run directory of such an experiment and manifest, complete or not at all.

        It begins at the checkpoint `start`; without one, at the experiment's own conductances. It holds further
        `files`, by name.

        Raises:
            RunError: something is at `path` already.
        """
        make_runs({path: new_run(experiment, manifest, start, files)})
        return cls(path)

    @property
    def experiment(self) -> Path:
        """The experiment file as used."""
        return self.path / "experiment.toml"

    @property
    def manifest(self) -> JsonObject:
        """The manifest: versions, seed, tolerances, hashes.

        Raises:
            RunError: the file is damaged.
        """
        return read_json(self.path / MANIFEST, RunError)

    def record(self, manifest: JsonObject) -> None:
        """Replace the manifest."""
        write_atomic(self.path / MANIFEST, _json(manifest).encode())

    def owner(self, begun: bool) -> str:
        """A hash of what the run was made with, which its checkpoints carry.

        Until something has been trained, a part of one's own may still take the place of what the manifest says will
        train the run (`harness.training.parts.claim`).
        """
        return _owner(self.manifest, begun)

    @property
    def _old_owner(self) -> str:
        """The hash that checkpoints of older versions carry, which does not tell how a run learns."""
        manifest = self.manifest
        return _hash({key: manifest.get(key) for key in _MADE})

    @property
    def result(self) -> JsonObject | None:
        """The run's result; None while it is not complete.

        Raises:
            RunError: the file is damaged.
        """
        file = self.path / "result.json"
        if not file.exists():
            return None
        found = read_json(file, RunError)
        for key, kind in _RESULT.items():
            if not isinstance(found.get(key), kind) or isinstance(found[key], bool):
                what = f"{found[key]!r}" if key in found else "missing"
                raise RunError(f"{file} is damaged: {key!r} is {what}; remove the file and resume the run")
        return {"run": str(self.path), **found}

    @property
    def drawn(self) -> bool:
        """True where the pictures show the result; a run may have been killed between the two."""
        picture, result = self.path / "training.png", self.path / "result.json"
        return picture.exists() and result.exists() and picture.stat().st_mtime_ns >= result.stat().st_mtime_ns

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this directory.

        Raises:
            RunError: another process does so.
        """
        with alone_in(self.path, f"run {self.path}"):
            yield

    def tables(self) -> tuple[list[StepRow], list[EpochRow]]:
        """Rows of ``steps.csv`` and ``epochs.csv`` up to the last checkpoint (later rows belong to no state).

        Raises:
            RunError: a table or the checkpoint is damaged, or a table does not reach as far as the checkpoint.
        """
        position = self.position()
        if position is None:
            return [], []
        here = (position.epoch + 1, position.step)
        steps = [row for row in read_rows(self.path / "steps.csv", StepRow) if (row.epoch, row.step) <= here]
        epochs = [row for row in read_rows(self.path / "epochs.csv", EpochRow) if row.epoch <= position.epoch]
        self._check_rows(steps, epochs, position)
        return steps, epochs

    @property
    def steps(self) -> "pd.DataFrame":
        """A row for each batch up to the last checkpoint, under the headings of ``steps.csv``.

        Raises:
            RunError: see `tables`.
        """
        return as_frame(self.tables()[0], StepRow, self._score)

    @property
    def epochs(self) -> "pd.DataFrame":
        """A row for each epoch up to the last checkpoint, under the headings of ``epochs.csv``.

        Raises:
            RunError: see `tables`.
        """
        return as_frame(self.tables()[1], EpochRow, self._score)

    @property
    def _score(self) -> str:
        file = self.path / "epochs.csv"
        return score_in(file) if file.exists() else "accuracy"

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        """A table for notebooks: where the run is, what it is, and what it reached."""
        try:
            return html_table(f"run {self.path}", self._told())
        except RunError as error:
            return html_table(f"run {self.path}", [("damaged", error)])

    def _told(self) -> list[tuple[str, object]]:
        manifest, result = self.manifest, self.result
        rows: list[tuple[str, object]] = [(name, manifest.get(name, "")) for name in ("experiment", "seed")]
        if result is None:
            position = self.position()
            return [
                *rows,
                ("state", "no checkpoint yet" if position is None else f"stopped in epoch {position.epoch + 1}"),
            ]
        rows += [("state", "complete"), ("epochs", result["epochs"]), ("time (s)", f"{result['seconds']:.1f}")]
        kind = result["score"]
        for rows_of, name in (("test", "held-out"), ("train", "training")):
            score, loss = result[f"{rows_of}_accuracy"], result[f"{rows_of}_loss"]
            rows += [(f"{name} {kind}", f"{score:.4f}"), (f"{name} loss (V²)", f"{loss:.4g}")]
        return rows

    def _check_rows(self, steps: Sequence[StepRow], epochs: Sequence[EpochRow], position: Position) -> None:
        """Refuse rows of which one does not follow the one before, or the last one is not the checkpoint's."""
        places = [(row.epoch, row.step) for row in steps]
        last = places[-1] if places else (0, 0)
        follows = all(
            there in ((epoch, step + 1), (epoch + 1, 1))
            for (epoch, step), there in zip([(1, 0), *places], places, strict=False)
        )
        reached = last == (position.epoch + 1, position.step) if position.step else last[0] == position.epoch
        stands = f"the checkpoint stands after {position.epoch} epochs and {position.step} steps"
        if not (follows and reached):
            raise RunError(
                f"{self.path / 'steps.csv'} is damaged, or of another run: its rows do not lead to epoch {last[0]}, "
                f"step {last[1]}, or {stands}"
            )
        if [row.epoch for row in epochs] != list(range(1, position.epoch + 1)):
            raise RunError(
                f"{self.path / 'epochs.csv'} is damaged, or of another run: it has {len(epochs)} rows, and {stands}"
            )

    def save(
        self, position: Position, steps: Sequence[StepRow], epochs: Sequence[EpochRow], *, score: str = "accuracy"
    ) -> None:
        """Checkpoint: the tables first, the position last, so that the tables always reach as far as it.

        Columns of accuracies are headed by `score`, such as R².
        """
        write_in_turn(self.saved(position, steps, epochs, score=score))

    def saved(
        self, position: Position, steps: Sequence[StepRow], epochs: Sequence[EpochRow], *, score: str = "accuracy"
    ) -> dict[Path, bytes]:
        """Return the files of a checkpoint in the order in which they are replaced; see `save`."""
        files = _saved(position, steps, epochs, self.owner(position.begun), score)
        return {self.path / name: content for name, content in files.items()}

    def position(self) -> Position | None:
        """The last checkpoint; None before the first.

        Raises:
            RunError: the file is damaged.
        """
        file = self.path / "checkpoint.npz"
        if not file.exists():
            return None
        saved = read_arrays(file, RunError)
        try:
            position = position_of(saved)
        except (ValueError, KeyError, TypeError) as error:
            why = f"it has no array {error}" if isinstance(error, KeyError) else str(error)
            raise RunError(f"{file} is damaged, or of something else ({why})") from error
        if _OWNER in saved and saved[_OWNER].tolist() not in (self.owner(position.begun), self._old_owner):
            raise RunError(
                f"{file} is of another run, made with another seed, rule, network, chip or other data, or {MANIFEST} "
                "was edited since; put the run's own back"
            )
        return position

    def finish(self, names: Sequence[str], conductances: Conductances, result: JsonObject) -> None:
        """Write the trained conductances (S, by crossbar) and the result."""
        write_in_turn(self.finished(names, conductances, result))

    def finished(self, names: Sequence[str], conductances: Conductances, result: JsonObject) -> dict[Path, bytes]:
        """Return the files of a run that is complete, in the order in which they are written; see `finish`."""
        trained = npz(dict(zip(names, conductances, strict=True)))
        files = {"conductances.npz": trained, "result.json": _json(result).encode()}
        return {self.path / name: content for name, content in files.items()}


_OWNER = "owner"
"""Array of a checkpoint that says whose it is; those of older versions lack it."""
_MADE = ("experiment", "seed", "data_sha256", "netlist_sha256")
"""Keys of the manifest that tell a network and its data from others."""
_LEARNING = ("settings", "files", "origin", "imported_conductances")
"""Keys that tell how it learns, and from which conductances on."""
_RESULT: dict[str, type | tuple[type, ...]] = {
    "experiment": str,
    "seed": int,
    "score": str,
    **dict.fromkeys(("test_accuracy", "train_accuracy", "test_loss", "train_loss"), (int, float)),
    "epochs": int,
    **dict.fromkeys(("seconds", "train_samples_per_second"), (int, float)),
}
"""Keys of ``result.json`` that every version writes."""


def _owner(manifest: JsonObject, begun: bool) -> str:
    """See `Run.owner`."""
    made = {key: manifest.get(key) for key in (*_MADE, *_LEARNING, *(["parts"] if begun else []))}
    return _hash(made | {"settings": _without_places(made["settings"])})


def new_run(
    experiment: str,
    manifest: JsonObject,
    start: Position | None = None,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> dict[str, bytes]:
    """Return the files of a new run by name; see `Run.create`."""
    first = {"experiment.toml": experiment.encode(), MANIFEST: _json(manifest).encode(), **files}
    return first if start is None else first | _saved(start, [], [], _owner(manifest, start.begun))


def make_runs(runs: Mapping[Path, Mapping[str, bytes]]) -> None:
    """Make new run directories with such files, each complete or not at all; they wait for the disk together.

    Raises:
        RunError: something is at a path already.
    """
    for path in runs:
        refuse_existing(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        make_folders(runs)
    except FileExistsError as error:
        raise RunError(f"{error.filename} was made by another process just now") from error


def _saved(
    position: Position, steps: Sequence[StepRow], epochs: Sequence[EpochRow], owner: str, score: str = "accuracy"
) -> dict[str, bytes]:
    """Return the files of a checkpoint in the order in which they are replaced; see `Run.save`."""
    return {
        "steps.csv": as_csv(steps, StepRow, score),
        "epochs.csv": as_csv(epochs, EpochRow, score),
        "checkpoint.npz": npz(arrays_of(position) | {_OWNER: np.asarray(owner)}),
    }


def _without_places(settings: Any) -> Any:
    """Settings without the paths of files, which may move: `files` and the hash of the data say what they hold."""
    match settings:
        case Mapping():
            return {key: _without_places(value) for key, value in settings.items() if key != "file"}
    return settings


def _hash(content: JsonObject) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def refuse_existing(path: Path) -> None:
    """Refuse to make a run where something is.

    Raises:
        RunError: something is at `path`.
    """
    if path.exists():
        raise RunError(f"{path} exists already; resume it with --resume {path}, or give another --run")


def fresh_path(parent: Path, name: str) -> Path:
    """``parent/name``, or with the first free number behind it."""
    candidates = (parent / (name if n == 1 else f"{name}-{n}") for n in range(1, 1_000_000))
    return next(path for path in candidates if not path.exists())


def _json(content: JsonObject) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
