"""Position of a training, and its form in a checkpoint."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.chip.history import SCALARS, History
from harness.chip.metering import ENTRIES, Ledger
from harness.files.reading import Arrays
from harness.learning.updates.updates import UpdateState
from harness.measurement import Array, Conductances


@dataclass(frozen=True, eq=False)
class Position:
    """The state of a training between two batches: all that a later process needs to go on bit for bit."""

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
    ledger: Ledger = field(default_factory=Ledger)
    """Ledger of that epoch; empty where the chip does not count."""
    history: History | None = None
    """History of the chip's cells; None where time does not pass for them."""

    @property
    def begun(self) -> bool:
        """True where anything has been trained."""
        return bool(self.epoch or self.step)

    @property
    def next_epoch(self) -> "Position":
        """The position at the start of the next epoch."""
        return Position(self.conductances, self.update, self.epoch + 1, history=self.history)


_NUMBERS = {f.name: f.type for f in fields(Position) if f.name not in ("conductances", "update", "ledger", "history")}
"""Numbers of a position that are not the ledger's, with their types."""


def arrays_of(position: Position) -> dict[str, npt.NDArray[np.generic]]:
    """Return a position as the arrays of a checkpoint, the ledger's entries beside the other numbers."""
    numbers = {name: np.asarray(getattr(position, name)) for name in _NUMBERS}
    entries = {name: np.asarray(value) for name, value in vars(position.ledger).items()}
    arrays = {f"g_{k}": g for k, g in enumerate(position.conductances)}
    slots = {f"u_{s}_{k}": a for s, slot in enumerate(position.update.slots) for k, a in enumerate(slot)}
    counts = {"update_steps": np.asarray(position.update.steps), "slots": np.asarray(len(position.update.slots))}
    return {**numbers, **entries, **arrays, **slots, **counts, **_past(position.history)}


def position_of(saved: Arrays) -> Position:
    """Return the position that was saved as these arrays; entries of the ledger that an older run lacks are 0.

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
    numbers = {name: _read(saved, name, kind) for name, kind in _NUMBERS.items()}
    entries = {name: _read(saved, name, entry.type) for name, entry in ENTRIES.items() if name in saved}
    update = UpdateState(_whole(saved, "update_steps"), slots)
    return Position(conductances, update, **numbers, ledger=Ledger(**entries), history=_history(saved, conductances))


def _past(history: History | None) -> dict[str, npt.NDArray[np.generic]]:
    """Return a history as arrays of a checkpoint; none where there is none."""
    if history is None:
        return {}
    numbers = {f"past_{name}": np.asarray(getattr(history, name)) for name in SCALARS}
    cells = {f"past_{name}_{k}": a for name, arrays in history.cells.items() for k, a in enumerate(arrays)}
    return {**numbers, **cells, "past_cells": np.asarray(sorted(history.cells))}


def _history(saved: Arrays, conductances: Conductances) -> History | None:
    """Return the history that was saved, which the chip looks at more closely; None where there is none.

    Raises:
        KeyError, ValueError: see `position_of`.
    """
    if not any(name.startswith("past_") for name in saved):
        return None
    names = saved["past_cells"]
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError("'past_cells' is no list of names")
    cells = {
        name: tuple(_floats(saved, f"past_{name}_{k}") for k in range(len(conductances))) for name in names.tolist()
    }
    return History(**{name: _number(saved, f"past_{name}") for name in SCALARS}, cells=cells)


def _read(saved: Arrays, name: str, kind: object) -> Any:
    """A count where the type is int, else a number."""
    return _whole(saved, name) if kind is int else _number(saved, name)


def _floats(saved: Arrays, name: str) -> Array:
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
