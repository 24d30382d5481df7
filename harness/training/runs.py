"""Run directories: everything that a run was and became, written so that a kill at any moment loses little.

::

    experiment.toml     the experiment as used, with every default and override in place
    manifest.json       versions, seed, tolerances, hash of the netlist
    steps.csv           one row per batch (identical for identical seeds)
    epochs.csv          one row per epoch
    checkpoint.npz      where training stands; `harness train --resume` goes on from here
    conductances.npz    the trained conductances, one array per crossbar
    result.json         what the run reached; its presence says that the run is complete
    training.png, conductances.png, boundary.png (of two inputs and two classes)

Each file is replaced as a whole, never in part, and the directory appears under its name only when it is complete.
"""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import RunError
from harness.files.locking import alone_in
from harness.files.reading import TABLE_LIMIT, Arrays, read_arrays, read_json, read_text
from harness.files.writing import whole_folder, write_atomic
from harness.learning.updates.updates import UpdateState
from harness.measurement import Conductances


@dataclass(frozen=True)
class StepRow:
    """One row of ``steps.csv``."""

    epoch: int
    step: int
    """Batches since the start of the epoch, from 1."""
    loss: float
    accuracy: float
    largest_change: float
    mean_change: float


@dataclass(frozen=True)
class EpochRow:
    """One row of ``epochs.csv``."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float
    """Training time, s."""
    evaluation_seconds: float
    samples_per_second: float
    ngspice_share: float | None
    """None where no simulator runs."""
    phases: int = 0
    """What training asked of the chip (`harness.chip.base.Ledger`)."""
    nodes_read: int = 0
    voltages_set: int = 0
    conductances_written: int = 0
    energy: float = 0.0
    """J; 0 without a settling time."""
    pulses: int = 0
    """0 without a section ``[programming]``."""
    reads_to_verify: int = 0
    write_energy: float = 0.0
    """J; 0 where the device's pulses are not known."""
    sparse_sweeps: int = 0
    """Those of the evaluation too; 0 where no simulator runs."""


HEADINGS = {
    "loss": "loss (V²)",
    "largest_change": "largest change (S)",
    "mean_change": "mean |change| (S)",
    "train_loss": "train loss (V²)",
    "train_accuracy": "train accuracy",
    "test_loss": "test loss (V²)",
    "test_accuracy": "test accuracy",
    "seconds": "training time (s)",
    "evaluation_seconds": "evaluation time (s)",
    "samples_per_second": "training samples per second (1/s)",
    "ngspice_share": "share of time in ngspice",
    "phases": "phases settled",
    "nodes_read": "nodes read",
    "voltages_set": "voltages set",
    "conductances_written": "conductances written",
    "energy": "energy dissipated (J)",
    "pulses": "write pulses",
    "reads_to_verify": "reads to verify",
    "write_energy": "write energy (J)",
    "sparse_sweeps": "sweeps that Sparse 1.3 did again",
}
"""Columns of the tables that are not called like their field; R² stands for accuracy where targets are values."""
LEDGER = (
    "phases",
    "nodes_read",
    "voltages_set",
    "conductances_written",
    "energy",
    "pulses",
    "reads_to_verify",
    "write_energy",
    "sparse_sweeps",
)
"""Columns, and numbers of a `Position`, that count what was asked of the chip."""


@dataclass(frozen=True, eq=False)
class Position:
    """Where training stands between two batches: all that a later process needs to go on bit for bit."""

    conductances: Conductances
    update: UpdateState
    epoch: int = 0
    """Complete epochs."""
    step: int = 0
    """Batches done in the epoch that is under way."""
    loss: float = 0.0
    """Sum of the costs of that epoch's samples, V²."""
    right: float = 0.0
    """Right answers among them."""
    seconds: float = 0.0
    """Training time of that epoch, s."""
    simulator_seconds: float = 0.0
    """Part of it inside the simulator's analysis, s."""
    phases: int = 0
    """What that epoch has asked of the chip (`harness.chip.base.Ledger`)."""
    nodes_read: int = 0
    voltages_set: int = 0
    conductances_written: int = 0
    energy: float = 0.0
    """J."""
    pulses: int = 0
    reads_to_verify: int = 0
    write_energy: float = 0.0
    """J."""
    sparse_sweeps: int = 0


@dataclass(frozen=True, eq=False)
class Start:
    """Conductances that a run begins with instead of the experiment's own."""

    conductances: Conductances
    """S."""
    origin: Mapping[str, Any]
    """Keys of the manifest that say where they come from."""


MANIFEST = "manifest.json"


class Run:
    """An existing run directory."""

    def __init__(self, path: Path) -> None:
        """Open a run.

        Raises:
            RunError: the directory is missing or is no run.
        """
        if not (path / MANIFEST).exists():
            why = f"it holds no {MANIFEST}" if path.is_dir() else "it is a file" if path.exists() else "it is not there"
            raise RunError(f"{path} is no run directory: {why}; 'harness train' makes one")
        self.path = path

    @classmethod
    def create(cls, path: Path, experiment: str, manifest: Mapping[str, Any], start: Position | None = None) -> "Run":
        """Make a new run directory, complete or not at all.

        Args:
            path: where nothing is yet.
            experiment: the content of ``experiment.toml``.
            manifest: the content of ``manifest.json``.
            start: a checkpoint to begin at; None begins at the experiment's own conductances.

        Raises:
            RunError: something is at `path` already.
        """
        refuse_existing(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole_folder(path) as made:
                write_atomic(made / "experiment.toml", experiment.encode())
                write_atomic(made / MANIFEST, _json(manifest).encode())
                if start is not None:
                    cls(made).save(start, [], [])
        except FileExistsError as error:
            raise RunError(f"{path} was made by another process just now") from error
        return cls(path)

    @property
    def experiment(self) -> Path:
        """The experiment file as used."""
        return self.path / "experiment.toml"

    @property
    def manifest(self) -> dict[str, Any]:
        """Versions, seed, tolerances, hashes.

        Raises:
            RunError: the file is damaged.
        """
        return read_json(self.path / MANIFEST, RunError)

    def record(self, manifest: Mapping[str, Any]) -> None:
        """Replace the manifest."""
        write_atomic(self.path / MANIFEST, _json(manifest).encode())

    @cached_property
    def owner(self) -> str:
        """A hash of the experiment's name, seed, data and initial network, which the run's checkpoints carry."""
        manifest = self.manifest
        made = {key: manifest.get(key) for key in ("experiment", "seed", "data_sha256", "netlist_sha256")}
        return sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()

    @property
    def result(self) -> dict[str, Any] | None:
        """What the run reached; None while it is not complete.

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
        """The pictures show the result: a kill may have come between, also after pictures of an earlier stop."""
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
        steps = [row for row in _read(self.path / "steps.csv", StepRow) if (row.epoch, row.step) <= here]
        epochs = [row for row in _read(self.path / "epochs.csv", EpochRow) if row.epoch <= position.epoch]
        self._check_rows(steps, epochs, position)
        return steps, epochs

    def _check_rows(self, steps: Sequence[StepRow], epochs: Sequence[EpochRow], position: Position) -> None:
        """Every row follows the one before, and the last one is the checkpoint's."""
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
        write_atomic(self.path / "steps.csv", _csv(steps, StepRow, score))
        write_atomic(self.path / "epochs.csv", _csv(epochs, EpochRow, score))
        numbers = {name: np.asarray(getattr(position, name)) for name in _POSITION_NUMBERS}
        arrays = {f"g_{k}": g for k, g in enumerate(position.conductances)}
        slots = {f"u_{s}_{k}": a for s, slot in enumerate(position.update.slots) for k, a in enumerate(slot)}
        counts = {"update_steps": np.asarray(position.update.steps), "slots": np.asarray(len(position.update.slots))}
        whose = {_OWNER: np.asarray(self.owner)}
        write_atomic(self.path / "checkpoint.npz", npz(numbers | arrays | slots | counts | whose))

    def position(self) -> Position | None:
        """The last checkpoint; None before the first.

        Raises:
            RunError: the file is damaged.
        """
        file = self.path / "checkpoint.npz"
        if not file.exists():
            return None
        saved = read_arrays(file, RunError)
        if _OWNER in saved and saved[_OWNER].tolist() != self.owner:
            raise RunError(
                f"{file} is of another run: it was saved by one of another seed, network or other data; put the "
                "run's own back"
            )
        try:
            return _position_of(saved)
        except (ValueError, KeyError, TypeError) as error:
            why = f"it has no array {error}" if isinstance(error, KeyError) else str(error)
            raise RunError(f"{file} is damaged, or of something else ({why})") from error

    def finish(self, names: Sequence[str], conductances: Conductances, result: Mapping[str, Any]) -> None:
        """Write the trained conductances (S, by crossbar) and the result."""
        write_atomic(self.path / "conductances.npz", npz(dict(zip(names, conductances, strict=True))))
        write_atomic(self.path / "result.json", _json(result).encode())


_POSITION_NUMBERS = {f.name: f.type for f in fields(Position) if f.name not in ("conductances", "update")}
_OWNER = "owner"
"""Array of a checkpoint that says whose it is; those of older versions lack it."""
_RESULT: dict[str, type | tuple[type, ...]] = {
    "experiment": str,
    "seed": int,
    "score": str,
    **dict.fromkeys(("test_accuracy", "train_accuracy", "test_loss", "train_loss"), (int, float)),
    "epochs": int,
    **dict.fromkeys(("seconds", "train_samples_per_second"), (int, float)),
}
"""Keys of ``result.json`` that every version writes."""


def _position_of(saved: Arrays) -> Position:
    """The position that was saved as these arrays.

    Raises:
        KeyError: an array is missing.
        ValueError: one has another shape or kind, or a value that no training gives.
    """
    count = sum(name.startswith("g_") for name in saved)
    conductances = tuple(_floats(saved, f"g_{k}") for k in range(count))
    if not count:
        raise KeyError("g_0")
    slots = tuple(tuple(_floats(saved, f"u_{s}_{k}") for k in range(count)) for s in range(_whole(saved, "slots")))
    for arrays in slots:
        for k, (array, g) in enumerate(zip(arrays, conductances, strict=True)):
            if array.shape != g.shape:
                raise ValueError(f"the update's memory of array {k} has shape {array.shape}, its cells are {g.shape}")
    kept = [name for name in _POSITION_NUMBERS if name in saved or name not in LEDGER]  # else an older run
    numbers: dict[str, Any] = {
        name: _whole(saved, name) if _POSITION_NUMBERS[name] is int else _number(saved, name) for name in kept
    }
    return Position(conductances, UpdateState(_whole(saved, "update_steps"), slots), **numbers)


def _floats(saved: Arrays, name: str) -> Any:
    array = saved[name]
    if array.dtype != np.float64 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"array {name!r} is not of finite numbers of 64 bits")
    return array


def _number(saved: Arrays, name: str) -> float:
    array = saved[name]
    if array.shape != () or array.dtype.kind not in "iuf" or not math.isfinite(array.item()):
        raise ValueError(f"{name!r} is no finite number")
    return float(array.item())


def _whole(saved: Arrays, name: str) -> int:
    number = saved[name].item() if saved[name].shape == () else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(f"{name!r} is no count")
    return number


def npz(arrays: Mapping[str, Any]) -> bytes:
    """Arrays as the bytes of an npz file, without pickles."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


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


def _csv(rows: Sequence[Any], kind: type, score: str) -> bytes:
    frame = pd.DataFrame([vars(row) for row in rows], columns=[f.name for f in fields(kind)])
    frame = frame.rename(columns=HEADINGS)
    return frame.rename(columns=lambda heading: heading.replace("accuracy", score)).to_csv(index=False).encode()


def _read(path: Path, kind: type) -> list[Any]:
    """Rows of a table, every number with the very bits that were written.

    Raises:
        RunError: the file is missing or damaged; names the line.
    """
    rows = csv.reader(io.StringIO(read_text(path, RunError, most=TABLE_LIMIT), newline=""))
    try:
        headings = [heading.replace("R²", "accuracy") for heading in next(rows, [])]
        columns = _columns(headings, kind)
        return [kind(**_values(row, headings, columns)) for row in rows]
    except (ValueError, csv.Error) as error:
        raise RunError(f"{path}, line {rows.line_num}: the table is damaged ({error})") from error


def _columns(headings: Sequence[str], kind: type) -> dict[int, Any]:
    """The field of each column; columns of the ledger may be missing, as in older runs."""
    known = {HEADINGS.get(f.name, f.name): f for f in fields(kind)}
    needed = [heading for heading, field in known.items() if field.name not in LEDGER]
    if missing := [heading for heading in needed if heading not in headings]:
        raise ValueError(f"there is no column {missing[0]!r}")
    return {k: known[heading] for k, heading in enumerate(headings) if heading in known}


def _values(row: Sequence[str], headings: Sequence[str], columns: Mapping[int, Any]) -> dict[str, Any]:
    if len(row) != len(headings):
        raise ValueError(f"it has {len(row)} fields where {len(headings)} should be")
    values: dict[str, Any] = {}
    for k, field in columns.items():
        optional = "None" in str(field.type)
        try:
            values[field.name] = None if optional and not row[k] else (int if field.type is int else float)(row[k])
        except ValueError:
            raise ValueError(f"{headings[k]}: {row[k][:40]!r} is no number") from None
    return values


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
