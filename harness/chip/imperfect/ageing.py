"""A chip for which time passes: its cells drift, forget, relax, are disturbed by reads, and switch.

Conductances follow from what was written, and when (`harness.devices.retention.laws`). They stand still within a
training step. When the next step begins, its predecessor's time has passed: that of its phases and its writes, or a
time that is given. Evaluations are looks from outside, which take no time and disturb nothing. After training, time
passes by `AgeingChip.wait`.

Learning knows the conductances that cells have now, as far as they can be programmed. A write changes a cell from where
it has drifted to, and its age begins anew; cells that no write changes grow older.

Every random number has a stream of its own: exponents of drift by the chip's seed, relaxations and switching by the
seed and the step. Together with the `History` in a checkpoint, a training that goes on is the uninterrupted one bit for
bit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from typing_extensions import override

from harness.chip.base import Chip
from harness.chip.history import History
from harness.chip.imperfect.wrapped import WrappedChip
from harness.chip.metering import stream
from harness.circuit import Circuit, TrainableArray, check_bounds
from harness.devices.retention.laws import STATE, Retention, Written, aged
from harness.errors import ChipError
from harness.measurement import Array, Conductances, Drive, Reading
from harness.units import show

_EXPONENTS, _FIRST_STATES, _RELAXATION, _SWITCHING = 130, 131, 132, 133
"""Streams of random numbers, behind those of `harness.chip.imperfect.programming`."""


@dataclass(frozen=True)
class Pace:
    """The time that training takes on a chip.

    Raises:
        ChipError: a time is negative or not finite.
    """

    step: float | None = None
    """s of a whole step; None for the sum of the other two."""
    phase: float = 1e-6
    """s that a phase of a sample takes."""
    write: float = 1e-3
    """s that a write of the cells takes."""

    def __post_init__(self) -> None:
        for name, seconds in vars(self).items():
            if seconds is not None and not 0 <= seconds < math.inf:
                raise ChipError(f"retention: {name} time {show(seconds, 's')} must be finite and not negative")

    def of_step(self, phases: float, writes: float) -> float:
        """Return s that a step takes with so many phases and writes."""
        return phases * self.phase + writes * self.write if self.step is None else self.step


class AgeingChip(WrappedChip):
    """A `Chip` whose cells age; what differs from device to device comes from `seed`.

    Raises:
        ChipError: the cells of the inner chip have only what is written.
    """

    def __init__(self, chip: Chip, law: Retention, pace: Pace | None = None, *, seed: int) -> None:
        super().__init__(chip)
        self._law, self._pace, self._seed = law, pace or Pace(), seed
        self._drawn = chip.circuit
        devices, states = stream(seed, _EXPONENTS), stream(seed, _FIRST_STATES)
        shapes = [array.shape for array in chip.circuit.arrays]
        self._exponents = [law.drift.exponents(shape, devices) for shape in shapes]
        first = [np.asarray(2.0 * states.integers(0, 2, shape) - 1.0, np.float64) for shape in shapes]
        self._clock = self._reads = self._phases = self._writes = 0.0
        self._training = False
        self.set_step_key(())
        self._cells = [self._written(g, s) for g, s in zip(chip.conductances, first, strict=True)]
        self._show()

    @property
    @override
    def circuit(self) -> Circuit:
        return self._drawn

    @property
    @override
    def conductances(self) -> Conductances:
        """The conductances that cells have now, within the range that can be programmed, S."""
        return self._shown

    @property
    def history(self) -> History:
        """See `harness.chip.history.Ageing.history`."""
        cells = {name: tuple(getattr(one, name) for one in self._cells) for name in STATE}
        return History(self._clock, self._reads, self._phases, self._writes, cells)

    def recall(self, history: History) -> None:
        """See `harness.chip.history.Ageing.recall`."""
        _check(history, self._drawn.arrays)
        self._clock, self._reads = history.clock, history.reads
        self._phases, self._writes = history.phases, history.writes
        self._cells = [
            Written(**{name: history.cells[name][k] for name in STATE}) for k in range(len(self._drawn.arrays))
        ]
        self._show()

    @override
    def set_step_key(self, numbers: Sequence[int]) -> None:
        super().set_step_key(numbers)
        self._training = bool(numbers)
        self._draws = stream(self._seed, _RELAXATION, numbers)
        if self._training and (self._phases or self._writes):
            seconds = self._pace.of_step(self._phases, self._writes)
            self._phases = self._writes = 0.0
            self.wait(seconds, key=numbers)

    def wait(self, seconds: float, *, reads: float = 0.0, key: Sequence[int] = ()) -> None:
        """See `harness.chip.history.Ageing.wait`."""
        for what, number, unit in (("a wait of", seconds, "s"), ("a number of reads of", reads, "")):
            if not 0 <= number < math.inf:
                raise ChipError(f"retention: {what} {show(number, unit)} must be finite and not negative")
        self._clock += seconds
        self._reads += reads
        self._draws = stream(self._seed, _RELAXATION, key)
        if self._law.telegraph.amplitude:
            rng = stream(self._seed, _SWITCHING, key)
            self._cells = [replace(one, now=self._law.telegraph.switched(one.now, seconds, rng)) for one in self._cells]
        self._show()

    @override
    def program(self, conductances: Sequence[Array]) -> None:
        """See `Chip.program`; every cell is written, and its age begins anew."""
        for array, values in zip(self._drawn.arrays, conductances, strict=True):
            check_bounds(array, values)
        self._chip.program(conductances)
        self._cells = [
            self._written(np.array(g, float), one.now) for g, one in zip(conductances, self._cells, strict=True)
        ]
        self._show()

    @override
    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        """See `Chip.adjust`; cells that change begin anew, from where they have drifted to."""
        before, shown = self._present, self._shown
        self._chip.adjust(wanted)
        self._writes += self._training
        cells = []
        given = zip(self._drawn.arrays, self._cells, before, self._chip.conductances, wanted, strict=True)
        for array, one, old, new, change in given:
            moved = (change != 0) & (new != old)
            fresh = self._written(np.where(moved, np.clip(new, array.g_min, array.g_max), old), one.now)
            cells.append(Written(*(np.where(moved, getattr(fresh, name), getattr(one, name)) for name in STATE)))
        self._cells = cells
        self._show()
        return tuple(new - old for new, old in zip(self._shown, shown, strict=True))

    @override
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        readings = self._chip.measure(drives)
        if self._training:
            settled = float(len(drives) * len(drives[0].inputs))
            self._phases += settled
            self._reads += settled
        return readings

    def _written(self, conductances: Array, states: Array) -> Written:
        """Return cells that have just been written, with the state that their traps are in."""
        shape = conductances.shape
        draws = self._draws.standard_normal(shape) if self._law.relaxation.size else np.zeros(shape)
        return Written(conductances, np.full(shape, self._clock), np.full(shape, self._reads), draws, states, states)

    def _show(self) -> None:
        """Let the inner chip's cells have the conductances of now."""
        given = zip(self._drawn.arrays, self._cells, self._exponents, strict=True)
        self._present = tuple(
            aged(self._law, one, nu, self._clock, self._reads, (array.g_min, array.g_max)) for array, one, nu in given
        )
        self._shown = tuple(
            _frozen(np.clip(g, array.g_min, array.g_max))
            for g, array in zip(self._present, self._drawn.arrays, strict=True)
        )
        self.hold(self._present)


def _frozen(values: Array) -> Array:
    values.setflags(write=False)
    return values


def _check(history: History, arrays: Sequence[TrainableArray]) -> None:
    """Refuse a history that is not of these arrays, or that cannot have been.

    Raises:
        ChipError: says what is wrong.
    """
    whole = "the history of the checkpoint's cells"
    if missing := [name for name in STATE if name not in history.cells]:
        raise ChipError(f"{whole} lacks {missing[0]!r}; it is damaged, or of another version")
    for name, values in history.cells.items():
        if [g.shape for g in values] != [array.shape for array in arrays]:
            raise ChipError(f"{whole} is of another network: its {name!r} has shapes {[g.shape for g in values]}")
    numbers = history.clock, history.reads, history.phases, history.writes
    if not all(0 <= number < math.inf for number in numbers):
        raise ChipError(f"{whole} is damaged: a time or count in it is negative or not finite")
    for k, array in enumerate(arrays):
        check_bounds(array, history.cells["conductances"][k])
        late = history.cells["since"][k].max() > history.clock or history.cells["reads"][k].max() > history.reads
        early = history.cells["since"][k].min() < 0 or history.cells["reads"][k].min() < 0
        traps = np.concatenate([history.cells[name][k].ravel() for name in ("states", "now")])
        if late or early or not np.isin(traps, (-1.0, 1.0)).all() or not np.isfinite(history.cells["draws"][k]).all():
            raise ChipError(f"{whole} is damaged: a cell of {array.title} has a state that no training gives")
