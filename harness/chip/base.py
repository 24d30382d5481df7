"""The seam: what every chip can do, be it a simulator, a reference solver or a board on a bench."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from harness.circuit import Circuit, check_bounds
from harness.errors import ChipError
from harness.measurement import Array, Conductances, Drive, Injection, Reading, Spring


class Chip(Protocol):
    """A programmable network that settles under a drive and can be read.

    Measuring never changes conductances, and a batch gives what its samples give one by one.
    """

    @property
    def circuit(self) -> Circuit:
        """The topology and its limits (the conductances in it are those of the start)."""
        ...

    @property
    def conductances(self) -> Conductances:
        """What is programmed now: S, one ``[word, bit]`` per crossbar."""
        ...

    @property
    def simulator_seconds(self) -> float | None:
        """Time spent inside a simulator's analyses so far, s; None where there is no simulator."""
        ...

    def program(self, conductances: Sequence[Array]) -> None:
        """Set every conductance (S, one ``[word, bit]`` per crossbar).

        Raises:
            CircuitError: a value is outside the crossbar's range; nothing is changed then.
        """
        ...

    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        """Change conductances by `wanted` (S) as far as their range allows; returns what was really written (S)."""
        ...

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """Let the network settle under each drive, and read it. All drives have the same number of samples.

        Drives that do not depend on each other's readings belong into one call.

        Raises:
            ConvergenceError: a sample did not settle; names sample and phase.
            ChipError: the drive does not fit the circuit, or the simulator failed.
        """
        ...

    def close(self) -> None:
        """Release what the chip holds; it cannot be used afterwards."""
        ...


class ProgrammedArrays:
    """The conductances of a chip and their limits: the part that all simulated chips share."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self.conductances: Conductances = tuple(_frozen(c.conductances) for c in circuit.crossbars)

    def program(self, conductances: Sequence[Array]) -> None:
        """See `Chip.program`."""
        for crossbar, values in zip(self.circuit.crossbars, conductances, strict=True):
            check_bounds(crossbar, values)
        self.conductances = tuple(map(_frozen, conductances))

    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        """See `Chip.adjust`: values are clipped to each crossbar's range.

        Raises:
            ChipError: a wanted change is not finite.
        """
        before = self.conductances
        for crossbar, change in zip(self.circuit.crossbars, wanted, strict=True):
            if not np.isfinite(change).all():
                raise ChipError(
                    f"crossbar {crossbar.name}: a wanted change is not finite; lower the learning rate or the nudge"
                )
        pairs = zip(self.circuit.crossbars, before, wanted, strict=True)
        self.conductances = tuple(_frozen(np.clip(g + change, c.g_min, c.g_max)) for c, g, change in pairs)
        return tuple(new - old for new, old in zip(self.conductances, before, strict=True))


def check_drives(circuit: Circuit, drives: Sequence[Drive]) -> None:
    """Refuse drives that do not fit the circuit or each other.

    Raises:
        ChipError: a shape is wrong or a value is not finite; names the phase.
    """
    if not drives:
        raise ChipError("measure: no drive was given")
    batch = len(drives[0].inputs)
    for drive in drives:
        _check_array(f"{drive.phase} phase: inputs", drive.inputs, (batch, circuit.channels))
        match drive.nudge:
            case Spring(targets=targets) as spring:
                _check_array(f"{drive.phase} phase: targets", targets, (batch, len(circuit.outputs)))
                if not np.isfinite(spring.conductance):
                    raise ChipError(f"{drive.phase} phase: β = {spring.conductance} S is not finite")
            case Injection(current=current):
                _check_array(f"{drive.phase} phase: nudging currents", current, (batch, len(circuit.outputs)))


def _check_array(what: str, values: Array, shape: tuple[int, int]) -> None:
    if values.shape != shape:
        raise ChipError(f"{what} have shape {values.shape}, the circuit takes [samples, columns] = {shape}")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ChipError(f"{what}: sample {row}, column {column} is {values[row, column]}, which is not finite")


def _frozen(values: Array) -> Array:
    copy = np.array(values, float)
    copy.setflags(write=False)
    return copy
