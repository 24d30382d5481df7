"""A chip whose conductances are written by pulses: wanted changes become pulses, and the changes made come back.

Every cell is a device with a law of its own (`harness.devices.writing`). Its initial conductance is written carefully,
which means exactly, clipped to what devices can hold; every later change goes through pulses in one of four modes, or,
as the control for what pulses cost, through none:

* open loop: as many pulses as the mean law needs from the cell's conductance to the wanted one, rounded;
* fixed step: one pulse in the direction of the wanted change, whatever its size, as the updates of Oh et al. 2023
  (Micromachines 14, 1367) and the Manhattan rule (Zamanidoost et al. 2015) go by their sign;
* stochastic: |Δg| over the step in the middle of the range, rounded up or down at random so that the mean is right
  (Gokmen & Vlasov 2016, Front. Neurosci. 10, 333);
* verify: pulse, read, and again, until the cell is near enough or pulses run out; reads are exact, free of energy, and
  see what was programmed, not what a spread cell or a stuck one (`harness.chip.imperfect.made`) makes of it;
* exact: as wanted, within the device's range, without a pulse.

In differential pairs cells are pulsed up only (Suri et al. 2011, IEDM 4.4; Burr et al. 2015, IEEE TED 62, 3498): where
one is to lose, its partner gains instead. A pair near the end of its range is refreshed: both cells are reset, and
their difference is written again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from harness.chip.base import Chip, check_changes
from harness.chip.imperfect.wrapped import WrappedChip
from harness.chip.metering import Ledger, stream
from harness.circuit import Circuit, TrainableArray, check_bounds
from harness.circuit.pairs import differential_pairs
from harness.devices.pulses import Spread
from harness.devices.writing import Device, middle_steps, pulses_needed
from harness.errors import ChipError
from harness.measurement import Array, Conductances, Index
from harness.units import show
from harness.wording import counted

Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_DEVICES, _CYCLES, _ROUNDING = 120, 121, 122
"""Streams of random numbers, behind those of `harness.chip.imperfect.pins`."""
_ROUNDED = 1e-12


class Mode(StrEnum):
    """Ways in which a wanted change of conductance becomes pulses."""

    OPEN_LOOP = "open-loop"
    """As many pulses as the mean law needs."""
    FIXED_STEP = "fixed-step"
    """One pulse in the direction of the wanted change, whatever its size."""
    STOCHASTIC = "stochastic"
    """A random number of pulses, right in the mean."""
    VERIFY = "verify"
    """Pulse and read, until a read is near enough."""
    EXACT = "exact"
    """The wanted conductance within the device's range, without a pulse: the control for what pulses cost."""


@dataclass(frozen=True, eq=False)
class Programming:
    """The way in which cells are written; fractions are of the range that devices have in the network.

    Raises:
        ChipError: a number is out of its range.
    """

    device: Device
    mode: Mode = Mode.OPEN_LOOP
    max_pulses: int = 100
    """Largest number of pulses for a cell in a write; a fixed step is one pulse, and refreshing takes what it needs."""
    tolerance: float = 0.01
    """Fraction within which a cell is near enough, in `Mode.VERIFY`."""
    threshold: float = 0.0
    """Fraction that a wanted change must exceed, in `Mode.FIXED_STEP`."""
    pairs: bool = False
    """True for differential pairs, which are pulsed up only."""
    refresh_at: float = 0.1
    """Fraction of the range below g_max where a cell of a pair is too near its end."""

    def __post_init__(self) -> None:
        if self.max_pulses < 1:
            raise ChipError(f"programming: max_pulses {self.max_pulses} must be at least 1")
        for name, low, high in (("tolerance", 0, 1), ("threshold", 0, 1), ("refresh_at", 1e-6, 0.9)):
            if not low <= getattr(self, name) <= high:
                raise ChipError(f"programming: {name} {getattr(self, name):g} must lie in {low:g}…{high:g}")
        for name in ("cycle_to_cycle", "device_to_device"):
            if not 0 <= getattr(self.device, name) <= 10:
                raise ChipError(f"programming: {name} {getattr(self.device, name):g} must lie in 0…10")
        if self.pairs and self.mode is Mode.EXACT:
            raise ChipError("programming: pairs are pulsed up only, and mode 'exact' has no pulses; leave pairs out")


class ProgrammedChip(WrappedChip):
    """A `Chip` that is written by pulses.

    Pulses, reads to verify and the energy of pulses go into its ledger. Devices differ as `seed` says, and pulses
    scatter from streams that start anew at every step.

    Raises:
        CircuitError: pairs are wanted and an array has none.
    """

    def __init__(self, chip: Chip, programming: Programming, *, seed: int) -> None:
        arrays = chip.circuit.arrays
        partners = differential_pairs(chip.circuit) if programming.pairs else [None] * len(arrays)
        devices = stream(seed, _DEVICES)
        super().__init__(chip)
        self.device = programming.device
        self._seed, self._spent = seed, Ledger()
        self._cells = [_Cells(a, programming, p, devices) for a, p in zip(arrays, partners, strict=True)]
        self.set_step_key(())
        self.program(chip.conductances)

    @property
    @override
    def ledger(self) -> Ledger | None:
        """The ledger of the inner chip, with pulses; None where that chip counts nothing."""
        inside = super().ledger
        return None if inside is None else inside + self._spent

    @override
    def set_step_key(self, numbers: Sequence[int]) -> None:
        super().set_step_key(numbers)
        self._cycles, self._rounding = (stream(self._seed, k, numbers) for k in (_CYCLES, _ROUNDING))

    @override
    def program(self, conductances: Sequence[Array]) -> None:
        """See `Chip.program`; careful writing, exact and clipped to the devices' range, which the ledger leaves out."""
        for array, values in zip(self.circuit.arrays, conductances, strict=True):
            check_bounds(array, values)
        self._chip.program(tuple(cells.held(g) for cells, g in zip(self._cells, conductances, strict=True)))

    @override
    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        """See `Chip.adjust`; by pulses."""
        check_changes(self.circuit, wanted)
        pairs = zip(self._cells, self.conductances, wanted, strict=True)
        return self._written([c.write(g.ravel(), w.ravel(), self._cycles, self._rounding) for c, g, w in pairs])

    def pulse(self, counts: Sequence[Counts]) -> Conductances:
        """Apply signed numbers of pulses to cells; returns the changes (S).

        Args:
            counts: one array per trainable array, in its shape.
        """
        pairs = zip(self._cells, self.conductances, counts, strict=True)
        return self._written([c.pulsed(g.ravel(), n.ravel(), self._cycles) for c, g, n in pairs])

    def _written(self, written: Sequence[tuple[Array, Ledger]]) -> Conductances:
        """Bring the inner chip to the conductances that pulses have reached, ``[cell]`` for each array."""
        before = self.conductances
        self._spent = sum((spent for _, spent in written), self._spent)
        pairs = zip(self._cells, written, before, strict=True)
        changes = [cells.pulsed_alone(g, reached.reshape(g.shape)) - g for cells, (reached, _), g in pairs]
        changed = self._chip.adjust(changes)
        aged = zip(self._cells, self.conductances, before, strict=True)
        held = tuple(np.where(cells.beyond(old), g, cells.held(g)) for cells, g, old in aged)
        if all(np.array_equal(*pair) for pair in zip(held, self.conductances, strict=True)):
            return changed
        self._chip.program(held)  # what else the chip does to cells, such as noise or decay, ends at their bounds, too
        return tuple(after - old for after, old in zip(self.conductances, before, strict=True))


def programmed_part(chip: Chip) -> ProgrammedChip | None:
    """Return the part of a chip, inside its wrappers, that is written by pulses; None if there is none."""
    while not isinstance(chip, ProgrammedChip):
        if not isinstance(chip, WrappedChip):
            return None
        chip = chip.inside
    return chip


def clipped_cells(circuit: Circuit, device: Device) -> list[str]:
    """A sentence for each array most of whose initial conductances are too small for a device.

    They start alike then, at the device's smallest conductance, and nodes that start alike learn alike.
    """
    sentences = []
    for array in circuit.arrays:
        low, _ = device.over(array.g_min, array.g_max).bounds
        below = int(np.count_nonzero(array.conductances < low))
        if 2 * below > array.conductances.size:
            cells = counted(array.conductances.size, "cell")
            sentences.append(
                f"{array.title}: {below} of {cells} start below {show(low, 'S')}, the smallest conductance of "
                f"{device.name}, and so start alike; raise g_unit, or leave its on/off ratio out"
            )
    return sentences


def alike_cells(circuit: Circuit) -> list[str]:
    """A sentence for each array all of whose cells start at one conductance: nodes that start alike learn alike."""
    return [
        f"{array.title}: all {array.conductances.size} cells start at {show(float(array.conductances.flat[0]), 'S')}, "
        "and nodes that start alike learn alike; choose g_unit so that fresh cells spread over g_min…g_max"
        for array in circuit.arrays
        if array.conductances.size > 1 and not np.ptp(array.conductances)
    ]


def coarse_pulses(circuit: Circuit, device: Device) -> list[str]:
    """A sentence for each array whose cells a usual pulse moves by far more than they differ from each other."""
    sentences = []
    for array in circuit.arrays:
        law = device.over(array.g_min, array.g_max)
        cells = np.clip(array.conductances, *law.bounds)
        step, spread = float(np.median(np.abs(law.pulse(cells, 1) - cells))), float(cells.std())
        if step > 2 * spread:
            sentences.append(
                f"{array.title}: one pulse of {device.name} moves a cell by {show(step, 'S')}, and its fresh cells "
                f"differ by {show(spread, 'S')}: they hold no more than noise; raise g_unit or lower g_max, or write "
                "programming.range = 'device' where the device has conductances of its own"
            )
    return sentences


class _Cells:
    """The devices of one array; all arrays are flat here, ``[cell]``, conductances in S."""

    def __init__(
        self, array: TrainableArray, programming: Programming, partner: Index | None, devices: np.random.Generator
    ) -> None:
        self._programming, self._partner = programming, partner
        self._law = programming.device.over(array.g_min, array.g_max)
        self._low, self._high = self._law.bounds
        self._steps = middle_steps(self._law)
        strength, size = programming.device.device_to_device, int(np.prod(array.shape))
        self._factors = np.maximum(1 + strength * devices.standard_normal(size), 0.0) if strength else None

    @property
    def _span(self) -> float:
        return self._high - self._low

    def held(self, conductances: Array) -> Array:
        """Return conductances that devices can hold; rounding moves no cell, so that a resumed run is the same."""
        inside = np.clip(conductances, self._low, self._high)
        return np.where(np.abs(inside - conductances) > _ROUNDED * self._high, inside, conductances)

    def beyond(self, conductances: Array) -> Mask:
        """Return which cells are beyond the devices' range, as those that age come to be."""
        return np.asarray(np.abs(np.clip(conductances, self._low, self._high) - conductances) > _ROUNDED * self._high)

    def pulsed_alone(self, before: Array, reached: Array) -> Array:
        """Return what cells have reached, but for those beyond the range that no pulse has moved: they stay there."""
        still = reached == np.clip(before, self._low, self._high)
        return np.where(still & self.beyond(before), before, reached)

    def write(
        self, g: Array, change: Array, cycles: np.random.Generator, rounding: np.random.Generator
    ) -> tuple[Array, Ledger]:
        """Return the conductances that cells at `g` reach when `change` is wanted, and the ledger of writing them."""
        if self._partner is not None:
            change = _upward(change, self._partner)
        goal = np.clip(g + change, self._low, self._high)
        if self._programming.mode is Mode.EXACT:
            return goal, Ledger()
        if self._programming.mode is Mode.VERIFY:
            reached, spent = self._verified(g, goal, np.flatnonzero(change), cycles)
        else:
            reached, spent = self.pulsed(g, self._counts(g, goal, change, rounding), cycles)
        if self._partner is None:
            return reached, spent
        reached, refreshing = self._refreshed(reached, self._partner, cycles)
        return reached, spent + refreshing

    def _counts(self, g: Array, goal: Array, change: Array, rounding: np.random.Generator) -> Counts:
        """Return the signed number of pulses for each cell, in the modes that do not read cells between pulses."""
        programming, counts = self._programming, np.zeros(g.size, np.int64)
        if programming.mode is Mode.FIXED_STEP:
            counts[:] = np.sign(change) * (np.abs(change) > programming.threshold * self._span)
            return counts
        cells = np.flatnonzero(change)
        if programming.mode is Mode.OPEN_LOOP:
            needed = np.rint(pulses_needed(self._law, g[cells], goal[cells]))
        else:
            share = np.abs(change[cells]) / np.where(change[cells] > 0, *self._steps)
            needed = np.sign(change[cells]) * np.floor(share + rounding.random(cells.size))
        counts[cells] = np.clip(needed, -programming.max_pulses, programming.max_pulses)
        return counts

    def pulsed(
        self, g: Array, counts: Counts | int, cycles: np.random.Generator, cells: Index | None = None
    ) -> tuple[Array, Ledger]:
        """Return `cells` (or all) after signed pulses, and the ledger; energy is for the mean of before and after."""
        device = self._programming.device
        factors = self._factors if self._factors is None or cells is None else self._factors[cells]
        reached = Spread(self._law, device.cycle_to_cycle, cycles, factors).pulse(g, counts)
        each = np.broadcast_to(counts, g.shape)
        energy = device.joules(each, (g + reached) / 2)
        return reached, Ledger(pulses=int(np.abs(each).sum()), write_energy=energy)

    def _verified(self, g: Array, goal: Array, cells: Index, cycles: np.random.Generator) -> tuple[Array, Ledger]:
        """Pulse `cells` towards their goals until they read near enough; one cell of a pair is never pulsed back."""
        programming, reached = self._programming, g.copy()
        tolerance, spent = programming.tolerance * self._span, Ledger(reads_to_verify=cells.size)
        for _ in range(programming.max_pulses):
            off = goal[cells] - reached[cells]
            low, high = off > tolerance, off < -tolerance
            for sense, far in ((1, low), (-1, high)):
                here = cells[far]
                if here.size and not (programming.pairs and sense < 0):
                    reached[here], pulses = self.pulsed(reached[here], sense, cycles, here)
                    spent += pulses + Ledger(reads_to_verify=here.size)
            cells = cells[low if programming.pairs else low | high]
            if not cells.size:
                break
        return reached, spent

    def _refreshed(self, g: Array, partner: Index, cycles: np.random.Generator) -> tuple[Array, Ledger]:
        """Reset pairs with a cell too near its range's end, a pulse for each cell, and write their difference again.

        A pair whose difference alone reaches as far stays as it is.
        """
        limit = self._high - self._programming.refresh_at * self._span
        difference = g - g[partner]
        full = (np.maximum(g, g[partner]) > limit) & (np.abs(difference) < limit - self._low)
        cells = np.flatnonzero(full)
        if not cells.size:
            return g, Ledger()
        reset = np.full(cells.size, -1, np.int64)
        spent = Ledger(pulses=cells.size, write_energy=self._programming.device.joules(reset, g[cells]))
        empty = np.full(cells.size, self._low)
        goal = self._low + np.maximum(difference[cells], 0.0)
        counts = np.rint(pulses_needed(self._law, empty, goal)).astype(np.int64)
        reached = g.copy()
        reached[cells], written = self.pulsed(empty, counts, cycles, cells)
        spent += written
        if self._programming.mode is Mode.VERIFY:
            whole = np.array(g)
            whole[cells] = goal
            reached, checked = self._verified(reached, whole, cells[goal > self._low], cycles)
            spent += checked
        return reached, spent


def _upward(change: Array, partner: Index) -> Array:
    """Return the upward changes of both cells of each pair that change their difference as wanted.

    What both are to gain is kept; what both are to lose cannot be written and is left out.
    """
    other = change[partner]
    return np.where((change > 0) & (other > 0), change, np.maximum(change - other, 0.0))
