"""Optional parts of a chip beside its core: a ledger, the simulator's time, and the key of a training step.

A chip has these or has them not; the functions of this file take any chip.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from operator import add, sub
from typing import Any, Protocol

import numpy as np

from harness.files.reading import JsonObject


@dataclass(frozen=True)
class Ledger:
    """Totals of what was asked of a chip so far, by which rules can be compared in their use of hardware.

    Tables, checkpoints, results and tests of quantities take its entries from here (`ENTRIES`, `HEADINGS`).
    """

    phases: int = field(default=0, metadata={"heading": "phases settled"})
    """Samples settled, counted anew in every phase."""
    nodes_read: int = 0
    """Voltages read: outputs always, inner nodes only where somebody looked at them."""
    voltages_set: int = 0
    """Input pins set, once for phases that share their inputs, and outputs nudged or clamped."""
    conductances_written: int = 0
    energy: float = field(default=0.0, metadata={"heading": "energy dissipated", "unit": "J"})
    """J dissipated in the network while it settled, but in small-signal phases; 0 without a settling time."""
    pulses: int = field(default=0, metadata={"heading": "write pulses"})
    """0 where writing is not modelled (`harness.chip.imperfect.programming`)."""
    reads_to_verify: int = 0
    """Cells read between write pulses."""
    write_energy: float = field(default=0.0, metadata={"unit": "J"})
    """J of the write pulses; 0 where the device's are not known."""
    sparse_sweeps: int = field(default=0, metadata={"heading": "sweeps that Sparse 1.3 did again"})
    """ngspice's sweeps without a solution by KLU, which Sparse 1.3 did again (`harness.chip.ngspice.session`)."""

    unstable_states: int = field(default=0, metadata={"heading": "unstable states under −β"})
    """Samples that springs of −β left no stable state (`harness.chip.base.SimulatedChip.measure`)."""

    def __add__(self, other: "Ledger") -> "Ledger":
        return _made(dict(zip(ENTRIES, map(add, vars(self).values(), vars(other).values()), strict=True)))

    def __sub__(self, other: "Ledger") -> "Ledger":
        return _made(dict(zip(ENTRIES, map(sub, vars(self).values(), vars(other).values()), strict=True)))

    def grown(self, before: "Ledger", now: "Ledger") -> "Ledger":
        """Return the ledger with the growth of another one, from `before` to `now`, added."""
        entries = zip(ENTRIES, vars(self).values(), vars(before).values(), vars(now).values(), strict=True)
        return _made({name: own + (new - old) for name, own, old, new in entries})

    def plus(self, **more: float) -> "Ledger":
        """Return the ledger with some entries larger by so much."""
        entries = dict(vars(self))
        for name, value in more.items():
            entries[name] += value
        return _made(entries)


NOTHING = Ledger()
"""The ledger of nothing asked."""
ENTRIES = {entry.name: entry for entry in fields(Ledger)}
"""Fields of the ledger by their name."""
WRITING = ("pulses", "reads_to_verify", "write_energy")
"""Entries that count where cells are written by pulses."""
UNITS: dict[str, str] = {name: entry.metadata.get("unit", "") for name, entry in ENTRIES.items()}
"""Units of the ledger's entries; empty for counts."""
HEADINGS: dict[str, str] = {
    name: entry.metadata.get("heading", name.replace("_", " ")) + (f" ({UNITS[name]})" if UNITS[name] else "")
    for name, entry in ENTRIES.items()
}
"""Headings of the ledger's entries in tables, with their unit."""


def _made(entries: dict[str, Any]) -> Ledger:
    """Return a ledger of all its entries, in less time than its constructor takes to set each."""
    found = object.__new__(Ledger)
    object.__setattr__(found, "__dict__", entries)
    return found


class Metered(Protocol):
    """A chip that counts what is asked of it, and whose random imperfections can be repeated."""

    @property
    def ledger(self) -> Ledger | None:
        """The ledger of all that was asked of this chip so far; None where a chip inside does not count."""

    @property
    def simulator_seconds(self) -> float | None:
        """Time spent inside a simulator's analyses so far, s; None where there is no simulator."""

    def set_step_key(self, numbers: Sequence[int]) -> None:
        """Say which step of which epoch begins; what is random until the next key depends on the chip and this one."""


def ledger_of(chip: object) -> Ledger | None:
    """Return what was asked of a chip so far; None where it does not count."""
    found: Ledger | None = getattr(chip, "ledger", None)
    return found


def simulator_seconds_of(chip: object) -> float | None:
    """Return the seconds that a chip has spent inside a simulator; None where there is none."""
    found: float | None = getattr(chip, "simulator_seconds", None)
    return found


def sharing_of(chip: object) -> str | None:
    """Return in a line how many processes share a chip's work, and why; None where that was not measured."""
    found: str | None = getattr(chip, "sharing", None)
    return found


def record_of(chip: object) -> JsonObject | None:
    """Return what a chip on a bench has recorded of its board; None for what is simulated."""
    tell: Callable[[], JsonObject] | None = getattr(chip, "record", None)
    return None if tell is None else tell()


def set_step_key(chip: object, numbers: Sequence[int]) -> None:
    """Say which step of which epoch begins, to a chip that can be told."""
    tell: Callable[[Sequence[int]], None] | None = getattr(chip, "set_step_key", None)
    if tell is not None:
        tell(numbers)


def stream(seed: int, key: int, numbers: Sequence[int] = ()) -> np.random.Generator:
    """Random numbers that nothing else draws: those of another key, of a step, or of the training, are others."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key, *numbers)))
