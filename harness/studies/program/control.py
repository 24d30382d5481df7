"""Controls that bring cells to wanted conductances by pulses: open loop, and closed loops that read between pulses.

* open loop: as many equal pulses as the device's equation needs without its neighbours, and no read;
* verify: equal pulses, each followed by a read, until the read lies in the window;
* ispp, incremental step pulses with verify (Suh et al. 1995, IEEE J. Solid-State Circuits 30, 1149, of flash memory):
  volts begin low and rise from pulse to pulse; where the read has passed the window, they begin again the other way;
* pi: volts follow the error e (goal minus read, as a part of the range) by |K_p e + K_i Σ e|, and Σ begins again where
  the error turns.

Closed loops go over an array until all cells read in their windows, for writing one disturbs others.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from harness.devices.arrays.memristors import Cell
from harness.errors import CircuitError
from harness.measurement import Array
from harness.studies.program.cells import Cells
from harness.studies.program.devices import Written
from harness.studies.program.rows import Row

Mask = npt.NDArray[np.bool_]
_LEVEL = 0.01
"""Part of a device's pulse: volts of a PI control come in such steps."""


class Mode(StrEnum):
    """Ways to a wanted conductance."""

    ISPP = "ispp"
    """Pulses that rise step by step, with a read after each."""
    PI = "pi"
    """Pulses by proportional and integral control, with a read after each."""
    VERIFY = "verify"
    """Equal pulses, with a read after each."""
    OPEN_LOOP = "open-loop"
    """A counted number of equal pulses, without a read."""


@dataclass(frozen=True)
class Control:
    """A way to wanted conductances; volts are parts of those of the device's pulses.

    Raises:
        CircuitError: a number is out of its range.
    """

    mode: Mode = Mode.ISPP
    tolerance: float = 0.01
    """Half of the window, as a fraction of the range of the cells."""
    max_pulses: int = 100
    """For a cell, in one round."""
    rounds: int = 5
    """Times that a closed loop goes over an array at most."""
    ramp: tuple[float, float, float] = (0.6, 0.02, 1.2)
    """First, step and largest volts, of `Mode.ISPP`; `Mode.PI` takes the first and the largest."""
    gains: tuple[float, float] = (0.3, 0.1)
    """K_p and K_i, of `Mode.PI`; where their sum reaches 1, volts are the largest."""

    def __post_init__(self) -> None:
        first, step, largest = self.ramp
        if not 0 < self.tolerance <= 0.5:
            raise CircuitError(f"program: tolerance {self.tolerance:g} must be above 0 and at most 0.5 of the range")
        if not (1 <= self.max_pulses <= 1_000_000 and 1 <= self.rounds <= 1000):
            told = f"{self.max_pulses:,} pulses and {self.rounds:,} rounds"
            raise CircuitError(f"program: {told} must lie in 1…1,000,000 and 1…1,000")
        if not (0 < first <= largest <= 10 and 0 < step <= 10):
            raise CircuitError(
                f"program: ramp {first:g}, {step:g}, {largest:g} must rise from above 0 to at most 10 times the pulse"
            )
        if not (min(self.gains) >= 0 and 0 < max(self.gains) < np.inf):
            raise CircuitError(f"program: gains {self.gains[0]:g} and {self.gains[1]:g} must be at least 0, not both 0")

    def check(self, device: Written) -> None:
        """Refuse pulses of other volts for a device that is known by its own alone.

        Raises:
            CircuitError: names the controls that such a device has.
        """
        if self.mode in (Mode.ISPP, Mode.PI) and not device.follows_volts:
            raise CircuitError(
                f"device {device.name} is known by its own pulses alone, and {self.mode} takes others; take --control "
                "verify or open-loop"
            )


@dataclass
class Record:
    """The pulses and reads of an array so far."""

    array: str
    flat: bool
    """True for an array without bit lines."""
    rows: list[Row] = field(default_factory=list)
    pulses: int = 0
    reads: int = 0
    pulse_seconds: float = 0.0
    """Time in which a pulse was applied."""

    def note(self, cell: Cell, up: bool, volts: float, seconds: float, window: tuple[float, float] | None) -> None:
        """Add a pulse; equal pulses for the same cell share a row."""
        self.pulses += 1
        self.pulse_seconds += seconds
        bit = None if self.flat else cell[1]
        row = Row(self.array, cell[0], bit, up, volts, seconds, 1, window)
        if self.rows and replace(self.rows[-1], count=1) == row:
            row = replace(row, count=self.rows[-1].count + 1)
            self.rows.pop()
        self.rows.append(row)


def write(
    cells: Cells, goals: Array, device: Written, control: Control, record: Record, tell: Callable[[str], None]
) -> None:
    """Bring the cells of an array to their goals (S, ``[word, bit]``), within their bounds, and record all pulses.

    Raises:
        CircuitError: a pulse cannot be followed.
    """
    if control.mode is Mode.OPEN_LOOP:
        _counted_out(cells, goals, device, control, record, tell)
        return
    low, high = cells.bounds
    slack = control.tolerance * (high - low)
    for number in range(control.rounds):
        record.reads += goals.size
        far = np.argwhere(np.abs(cells.conductances - goals) > slack)
        for k, (word, bit) in enumerate(far.tolist()):
            tell(f"array {record.array}, round {number + 1}: cell {k + 1:,} of {len(far):,}")
            _approach(cells, (word, bit), float(goals[word, bit]), slack, device, control, record)
        if not len(far):
            break


def missed(cells: Cells, goals: Array, control: Control) -> Mask:
    """Return which cells do not conduct within their windows, ``[word, bit]`` of truth values."""
    low, high = cells.bounds
    return np.asarray(np.abs(cells.conductances - goals) > control.tolerance * (high - low))


def _counted_out(
    cells: Cells, goals: Array, device: Written, control: Control, record: Record, tell: Callable[[str], None]
) -> None:
    counts = cells.needed(goals, device.up, device.down, control.max_pulses)
    written = np.argwhere(counts)
    for k, (word, bit) in enumerate(written.tolist()):
        tell(f"array {record.array}: cell {k + 1:,} of {len(written):,}")
        up = bool(counts[word, bit] > 0)
        pulse = device.up if up else device.down
        for _ in range(abs(int(counts[word, bit]))):
            volts = cells.pulse((word, bit), pulse, up=up)
            record.note((word, bit), up, volts, pulse.seconds, None)


def _approach(
    cells: Cells, cell: Cell, goal: float, slack: float, device: Written, control: Control, record: Record
) -> None:
    """Pulse one cell until it conducts within `slack` (S) of its goal, or has had all pulses of a round."""
    low, high = cells.bounds
    levels = _Levels(control)
    for _ in range(control.max_pulses):
        off = goal - float(cells.conductances[cell])
        if abs(off) <= slack:
            break
        up = off > 0
        nominal = device.up if up else device.down
        pulse = replace(nominal, volts=round(levels.after(off / (high - low)) * nominal.volts, 6))
        volts = cells.pulse(cell, pulse, up=up)
        record.reads += 1
        record.note(cell, up, volts, pulse.seconds, (goal - slack, goal + slack))


class _Levels:
    """The volts of one cell's pulses, as parts of the nominal ones, after each read."""

    def __init__(self, control: Control) -> None:
        self._control, self._number, self._sum, self._before = control, 0, 0.0, 0.0

    def after(self, error: float) -> float:
        """Return the next part; `error` is goal minus read, as a fraction of the range."""
        if error * self._before < 0:
            self._number, self._sum = 0, 0.0
        self._before = error
        first, step, largest = self._control.ramp
        match self._control.mode:
            case Mode.ISPP:
                level = min(first + self._number * step, largest)
                self._number += 1
            case Mode.PI:
                self._sum += error
                proportional, integral = self._control.gains
                wanted = first + (largest - first) * min(abs(proportional * error + integral * self._sum), 1.0)
                level = _LEVEL * round(wanted / _LEVEL)
            case _:
                level = 1.0
        return level
