"""Cells of one array as a program writes them: memristors between lines, or a law of pulses without voltages.

Conductances are the network's here. Those of a memristor are in proportion: its highest one stands for a conductance
that the program's device names (`harness.studies.program.devices`).
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from harness.devices.arrays.memristors import Cell, MemristorArray
from harness.devices.pulses import WritePulse
from harness.devices.writing import Device, Law, pulses_needed
from harness.measurement import Array

Counts = npt.NDArray[np.int64]


class Cells(Protocol):
    """The cells of one array; an array that is no crossbar has one bit line here."""

    bounds: tuple[float, float]
    """The conductances that cells can have, S."""

    @property
    def conductances(self) -> Array:
        """The conductances at the voltage of reads, S, ``[word, bit]``."""

    @property
    def disturbed(self) -> Array:
        """The sum of all changes by other cells' pulses, each without its sign, S, ``[word, bit]``."""

    @property
    def joules(self) -> float:
        """The energy of all pulses so far."""

    @property
    def limited(self) -> int:
        """The number of pulses in which drivers could not make up for lines."""
        return 0

    def pulse(self, cell: Cell, pulse: WritePulse, *, up: bool) -> float:
        """Apply a pulse to a cell; returns the V of its word line's driver against its bit line's.

        Raises:
            CircuitError: the pulse cannot be followed.
        """

    def needed(self, goals: Array, up: WritePulse, down: WritePulse, most: int) -> Counts:
        """Return the signed numbers of equal pulses that bring cells nearest to goals (S), all ``[word, bit]``.

        They are counted as if no other cell were written, and no line had a resistance.
        """


class MemristorCells(Cells):
    """Memristors of a model.

    Args:
        array: of the memristors.
        bounds: of the network's conductances that they stand for, S.
        scale: S of the device for each S of the network.
    """

    def __init__(self, array: MemristorArray, bounds: tuple[float, float], scale: float) -> None:
        self.array, self.bounds, self._scale = array, bounds, scale

    @property
    @override
    def conductances(self) -> Array:
        return self.array.conductances / self._scale

    @property
    @override
    def disturbed(self) -> Array:
        return self.array.disturbed / self._scale

    @property
    @override
    def joules(self) -> float:
        return self.array.joules

    @property
    @override
    def limited(self) -> int:
        return self.array.limited

    @override
    def pulse(self, cell: Cell, pulse: WritePulse, *, up: bool) -> float:
        return self.array.pulse(cell, pulse)

    @override
    def needed(self, goals: Array, up: WritePulse, down: WritePulse, most: int) -> Counts:
        states, counts = self.array.states.copy(), np.zeros(goals.shape, np.int64)
        rising = goals > self.conductances
        nearest = np.abs(self.conductances - goals)
        for number in range(1, most + 1):
            states = np.where(rising, self.array.after(up, states), self.array.after(down, states))
            reached = self.array.conductances_of(states) / self._scale
            nearer = np.abs(reached - goals) < nearest
            counts[nearer] = np.where(rising, number, -number)[nearer]
            nearest = np.minimum(nearest, np.abs(reached - goals))
            if ((reached >= goals) == rising).all():
                break
        return counts


class LawCells(Cells):
    """Cells that follow a law of pulses, and feel none that is meant for another cell."""

    def __init__(self, device: Device, law: Law, conductances: Array) -> None:
        self._device, self._law = device, law
        self.bounds = law.bounds
        self._conductances = np.clip(conductances, *law.bounds)
        self._joules = 0.0

    @property
    @override
    def conductances(self) -> Array:
        return self._conductances

    @property
    @override
    def disturbed(self) -> Array:
        return np.zeros_like(self._conductances)

    @property
    @override
    def joules(self) -> float:
        return self._joules

    @override
    def pulse(self, cell: Cell, pulse: WritePulse, *, up: bool) -> float:
        before = self._conductances[cell].reshape(1)
        sense = np.array([1 if up else -1])
        after = self._law.pulse(before, sense)
        self._joules += self._device.joules(sense, (before + after) / 2)
        self._conductances[cell] = after[0]
        return pulse.volts

    @override
    def needed(self, goals: Array, up: WritePulse, down: WritePulse, most: int) -> Counts:
        exact = pulses_needed(self._law, self._conductances, goals)
        return np.rint(np.clip(np.nan_to_num(exact, nan=0.0), -most, most)).astype(np.int64)
