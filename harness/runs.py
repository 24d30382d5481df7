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

import fcntl
import io
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from harness.errors import RunError
from harness.files import write_atomic
from harness.learning.updates import UpdateState
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


class Run:
    """An existing run directory."""

    def __init__(self, path: Path) -> None:
        """Open a run.

        Raises:
            RunError: the directory is missing or is no run.
        """
        if not (path / "manifest.json").is_file():
            why = (
                "it holds no manifest.json" if path.is_dir() else "it is a file" if path.exists() else "it is not there"
            )
            raise RunError(f"{path} is no run directory: {why}; 'harness train' makes one")
        self.path = path

    @classmethod
    def create(cls, path: Path, experiment: str, manifest: Mapping[str, Any]) -> "Run":
        """Make a new run directory, complete or not at all.

        Raises:
            RunError: something is at `path` already.
        """
        if path.exists():
            raise RunError(f"{path} exists already; resume it with --resume {path}, or give another --run")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
            made = Path(scratch) / "run"
            made.mkdir()
            (made / "experiment.toml").write_text(experiment, encoding="utf-8")
            (made / "manifest.json").write_text(_json(manifest), encoding="utf-8")
            try:
                made.rename(path)
            except OSError as error:
                raise RunError(f"{path} was made by another process just now") from error
        return cls(path)

    @property
    def experiment(self) -> Path:
        """The experiment file as used."""
        return self.path / "experiment.toml"

    @property
    def manifest(self) -> dict[str, Any]:
        """Versions, seed, tolerances, hashes."""
        read: dict[str, Any] = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        return read

    @property
    def result(self) -> dict[str, Any] | None:
        """What the run reached; None while it is not complete."""
        file = self.path / "result.json"
        return {"run": str(self.path), **json.loads(file.read_text(encoding="utf-8"))} if file.exists() else None

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
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(f"run {self.path} is in use by another process") from error
            for abandoned in self.path.glob(".*-????????"):  # of a process that was killed while it wrote
                abandoned.unlink(missing_ok=True)
            yield

    def tables(self) -> tuple[list[StepRow], list[EpochRow]]:
        """Rows of ``steps.csv`` and ``epochs.csv`` up to the last checkpoint (later rows belong to no state)."""
        position = self.position()
        if position is None:
            return [], []
        here = (position.epoch + 1, position.step)
        steps = [row for row in _read(self.path / "steps.csv", StepRow) if (row.epoch, row.step) <= here]
        return steps, [row for row in _read(self.path / "epochs.csv", EpochRow) if row.epoch <= position.epoch]

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
        write_atomic(self.path / "checkpoint.npz", npz(numbers | arrays | slots | counts))

    def position(self) -> Position | None:
        """The last checkpoint; None before the first."""
        file = self.path / "checkpoint.npz"
        if not file.exists():
            return None
        try:
            return _read_position(file)
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise RunError(f"{file} is damaged and cannot be read ({error})") from error

    def finish(self, names: Sequence[str], conductances: Conductances, result: Mapping[str, Any]) -> None:
        """Write the trained conductances (S, by crossbar) and the result."""
        write_atomic(self.path / "conductances.npz", npz(dict(zip(names, conductances, strict=True))))
        write_atomic(self.path / "result.json", _json(result).encode())


_POSITION_NUMBERS = [f.name for f in fields(Position) if f.name not in ("conductances", "update")]


def _read_position(file: Path) -> Position:
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as saved:
        crossbars = range(sum(name.startswith("g_") for name in saved.files))
        slots = tuple(tuple(saved[f"u_{s}_{k}"] for k in crossbars) for s in range(int(saved["slots"])))
        kept = [name for name in _POSITION_NUMBERS if name in saved.files or name not in LEDGER]  # else an older run
        numbers = {name: saved[name].item() for name in kept}
        update = UpdateState(int(saved["update_steps"]), slots)
        return Position(tuple(saved[f"g_{k}"] for k in crossbars), update, **numbers)


def npz(arrays: Mapping[str, Any]) -> bytes:
    """Arrays as the bytes of an npz file, without pickles."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def fresh_path(parent: Path, name: str) -> Path:
    """``parent/name``, or with the first free number behind it."""
    candidates = (parent / (name if n == 1 else f"{name}-{n}") for n in range(1, 1_000_000))
    return next(path for path in candidates if not path.exists())


def _csv(rows: Sequence[Any], kind: type, score: str) -> bytes:
    frame = pd.DataFrame([vars(row) for row in rows], columns=[f.name for f in fields(kind)])
    frame = frame.rename(columns=HEADINGS)
    return frame.rename(columns=lambda heading: heading.replace("accuracy", score)).to_csv(index=False).encode()


def _read(path: Path, kind: type) -> list[Any]:
    """Rows of a table, every number with the very bits that were written."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame = frame.rename(columns=lambda heading: heading.replace("R²", "accuracy"))
    readers = {HEADINGS.get(f.name, f.name): (f.name, int if f.type is int else float) for f in fields(kind)}
    rows = frame.to_dict(orient="records")
    found = {heading: reader for heading, reader in readers.items() if heading in frame or reader[0] not in LEDGER}
    return [
        kind(**{name: read(row[heading]) if row[heading] else None for heading, (name, read) in found.items()})
        for row in rows
    ]


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
