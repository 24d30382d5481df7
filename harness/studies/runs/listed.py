"""A line about a run or a sweep: what it is, how far it is, and what it reached."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RunError
from harness.experiment.runs.manifest import made_with, recorded
from harness.experiment.settings import Settings, leaves
from harness.files.locking import in_use
from harness.files.reading import TABLE_LIMIT, JsonObject, parse_json, read_text
from harness.studies.sweep.directory import SWEEP
from harness.studies.sweep.jobs import DEPLOYED, deployed
from harness.training.runs import Run
from harness.training.tables import EpochRow, read_rows, score_in
from harness.validation import said

_OWN_COLUMNS = {"name", "rule.kind", "chip.kind", "training.epochs", "training.seed"}
"""Keys that stand in columns of their own and are not told as differences."""
_RUNS_OF_A_SWEEP = ("points", "deployed")


class State(StrEnum):
    """The state of a run."""

    COMPLETE = "complete"
    TRAINING = "training"
    """A process is at it."""
    STOPPED = "stopped"
    """It can be resumed."""
    DEPLOYED = "deployed"
    """A sweep has only evaluated conductances there."""
    DAMAGED = "damaged"


@dataclass(frozen=True)
class ListedRun:
    """A run as a list shows it; of a damaged one only the path and the problem are known."""

    path: str
    """As it was asked for, so that other commands take it."""
    state: State
    experiment: str = ""
    seed: int | None = None
    rule: str = ""
    chip: str = ""
    epochs: int = 0
    """Complete epochs."""
    planned: int = 0
    score: str = "accuracy"
    """The name of its accuracy: R² where targets are values."""
    accuracy: float | None = None
    """On held-out rows, after the last complete epoch."""
    loss: float | None = None
    """Likewise, V²."""
    seconds: float | None = None
    """Training and evaluation, s."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """By dotted key, SI values."""
    problem: str = ""
    """A sentence about a damaged run."""

    @classmethod
    def of(cls, path: Path) -> "ListedRun":
        """Look at a run directory; a complete run's checkpoint and its table of steps are not read."""
        try:
            return cls._read(Run(path))
        except (HarnessError, OSError) as error:
            return cls(str(path), State.DAMAGED, problem=str(error))

    @classmethod
    def _read(cls, run: Run) -> "ListedRun":
        then, result, rows = recorded(run), run.result, []
        settings = made_with(run, then)
        position = None if result else run.position()
        if result or position:
            rows = read_rows(run.path / "epochs.csv", EpochRow)[: position.epoch if position else None]
        if result and (not rows or (len(rows), rows[-1].test_loss) != (result["epochs"], result["test_loss"])):
            raise RunError(f"run {run.path}: result.json and epochs.csv are not of the same run")
        reached: JsonObject = {"score": score_in(run.path / "epochs.csv")} if rows else {}
        if rows:
            seconds = sum(row.seconds + row.evaluation_seconds for row in rows)
            reached |= {"accuracy": rows[-1].test_accuracy, "loss": rows[-1].test_loss}
            reached["seconds"] = result["seconds"] if result else seconds
        state = State.COMPLETE if result else State.TRAINING if in_use(run.path) else State.STOPPED
        if state is State.STOPPED and (run.path / DEPLOYED).exists():
            found = deployed(run.path)
            state = State.DEPLOYED
            reached |= {"accuracy": found["deployed_accuracy"], "loss": found["deployed_loss"]}
        return cls(
            path=str(run.path),
            state=state,
            experiment=then.experiment,
            seed=then.seed,
            rule=settings.rule.kind,
            chip=settings.chip.kind,
            epochs=len(rows),
            planned=settings.training.epochs,
            settings=dict(leaves(settings.model_dump(mode="json"))),
            **reached,
        )

    @cached_property
    def columns(self) -> dict[str, Any]:
        """Keys that choose and sort runs: columns of the list, and settings by their dotted keys."""
        names = ("experiment", "state", "rule", "chip", "seed", "epochs", "accuracy", "loss", "seconds")
        listed = {"name": Path(self.path).name, "path": self.path, **{name: getattr(self, name) for name in names}}
        return {**self.settings, **listed}


def differing(runs: Sequence[ListedRun]) -> list[dict[str, str]]:
    """Return for each run the settings in which it differs from another run of its experiment, as people write them."""
    groups: dict[str, list[ListedRun]] = {}
    for run in runs:
        groups.setdefault(run.experiment, []).append(run)
    keys = {experiment: _differing_keys(group) for experiment, group in groups.items()}
    found = []
    for run in runs:
        own = {key: run.settings.get(key) for key in keys[run.experiment]}
        found.append({key: said(value, Settings.unit_of(key)) for key, value in own.items() if value is not None})
    return found


def _differing_keys(runs: Sequence[ListedRun]) -> list[str]:
    whole = [run.settings for run in runs if run.settings]
    keys = dict.fromkeys(key for settings in whole for key in settings if key not in _OWN_COLUMNS)
    return [key for key in keys if _differ([settings[key] for settings in whole if key in settings])]


def _differ(values: Sequence[Any]) -> bool:
    """Return whether values differ; runs without a key, such as one of another rule, are left out before."""
    return any(value != values[0] for value in values)


@dataclass(frozen=True)
class ListedSweep:
    """A sweep as a list shows it."""

    path: str
    experiment: str = ""
    points: int = 0
    done: int = 0
    """Points of which a result is there."""
    keys: tuple[str, ...] = ()
    """The keys that are swept."""
    problem: str = ""
    """A sentence about a damaged sweep."""

    @classmethod
    def of(cls, path: Path) -> "ListedSweep":
        """Look at a sweep directory, without its runs."""
        file = path / SWEEP
        try:
            content = parse_json(read_text(file, RunError, most=TABLE_LIMIT), RunError, str(file))
            names = [point["name"] for point in content["points"]]
            keys = (*content["keys"], *content.get("random", {}))
            done = sum(_is_done(path, str(name)) for name in names)
            return cls(str(path), str(content["experiment"]), len(names), done, tuple(map(str, keys)))
        except (KeyError, TypeError) as error:
            return cls(str(path), problem=f"{file} is damaged: {error} is missing, or no such value")
        except (HarnessError, OSError) as error:
            return cls(str(path), problem=str(error))


def _is_done(sweep: Path, point: str) -> bool:
    files = [sweep / folder / point / name for folder in _RUNS_OF_A_SWEEP for name in ("result.json", DEPLOYED)]
    return any(map(os.path.lexists, files))
