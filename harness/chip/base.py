"""The seam: what every chip can do, be it a simulator, a reference solver or a board on a bench."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from harness.circuit import Circuit, check_bounds
from harness.circuit.power import dissipated
from harness.errors import ChipError, SpringError
from harness.measurement import Access, Array, Clamp, Conductances, Drive, Injection, Reading, Spring
from harness.units import show


@dataclass(frozen=True)
class Ledger:
    """What was asked of a chip so far, so that rules can be compared by what they ask of hardware."""

    phases: int = 0
    """Samples settled, counted anew in every phase."""
    nodes_read: int = 0
    """Voltages read: outputs always, inner nodes only where somebody looked at them."""
    voltages_set: int = 0
    """Input pins set, once for phases that share their inputs, and outputs nudged or clamped."""
    conductances_written: int = 0
    energy: float = 0.0
    """J dissipated in the network while it settled, over all phases but small-signal ones."""
    pulses: int = 0
    """Write pulses; 0 where writing is not modelled (`harness.chip.imperfect.programming`)."""
    reads_to_verify: int = 0
    """Cells read between write pulses."""
    write_energy: float = 0.0
    """J of the write pulses; 0 where the device's are not known."""
    sparse_sweeps: int = 0
    """ngspice's sweeps without a solution by KLU, which Sparse 1.3 did again (`harness.chip.ngspice.session`)."""

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __sub__(self, other: "Ledger") -> "Ledger":
        return Ledger(*(mine - theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))


class Chip(Protocol):
    """A programmable network that settles under a drive and can be read.

    Measuring never changes conductances, and a batch gives what its samples give one by one.
    """

    @property
    def circuit(self) -> Circuit:
        """The topology and its limits (the conductances in it are those of the start)."""

    @property
    def conductances(self) -> Conductances:
        """What is programmed now: S, one array per trainable array of the circuit."""

    @property
    def ledger(self) -> Ledger:
        """What was asked of it so far."""

    @property
    def simulator_seconds(self) -> float | None:
        """Time spent inside a simulator's analyses so far, s; None where there is no simulator."""

    def set_step_key(self, numbers: Sequence[int]) -> None:
        """Say which step of which epoch begins, so that a chip's random imperfections can be repeated."""

    def program(self, conductances: Sequence[Array]) -> None:
        """Set every conductance (S).

        Raises:
            CircuitError: a value is outside its array's range; nothing is changed then.
        """

    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        """Change conductances by `wanted` (S) as far as their range allows; returns what was really written (S).

        Raises:
            ChipError: a wanted change is not finite.
        """

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """Let the network settle under each drive, and read it. All drives have the same number of samples.

        Drives that do not depend on each other's readings belong into one call.

        Raises:
            ConvergenceError: a sample did not settle; names sample and phase.
            ChipError: the drive does not fit the circuit, or the simulator failed.
        """

    def close(self) -> None:
        """Release what the chip holds; it cannot be used afterwards."""


class SimulatedChip(ABC):
    """A `Chip` made of a circuit: it keeps conductances, limits, access and ledger; how it settles is said below it.

    Args:
        circuit: the full circuit.
        access: what may be read.
        settling_time: s that every phase takes, for the energy in the ledger; None leaves energy uncounted.
    """

    def __init__(self, circuit: Circuit, *, access: Access = Access.NODES, settling_time: float | None = None) -> None:
        self.circuit = circuit
        self.conductances: Conductances = tuple(_frozen(array.conductances) for array in circuit.arrays)
        self.ledger = Ledger()
        self._access, self._settling_time = access, settling_time

    @abstractmethod
    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """The readings of drives that were checked."""

    @property
    def simulator_seconds(self) -> float | None:  # noqa: D102 - said once, on the protocol
        return None

    def set_step_key(self, numbers: Sequence[int]) -> None:  # noqa: ARG002
        """See `Chip.set_step_key`; nothing is random here."""
        return

    def program(self, conductances: Sequence[Array]) -> None:  # noqa: D102
        for array, values in zip(self.circuit.arrays, conductances, strict=True):
            check_bounds(array, values)
        self.conductances = tuple(map(_frozen, conductances))

    def adjust(self, wanted: Sequence[Array]) -> Conductances:  # noqa: D102
        before = self.conductances
        check_changes(self.circuit, wanted)
        pairs = zip(self.circuit.arrays, before, wanted, strict=True)
        self.conductances = tuple(_frozen(np.clip(g + change, c.g_min, c.g_max)) for c, g, change in pairs)
        written = tuple(new - old for new, old in zip(self.conductances, before, strict=True))
        self.ledger += Ledger(conductances_written=sum(int(np.count_nonzero(change)) for change in written))
        return written

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:  # noqa: D102
        check_drives(self.circuit, drives)
        readings = self._settle(drives)
        self.ledger += self._asked(drives, readings)
        return tuple(replace(reading, access=self._access, tally=_Tally(self, reading)) for reading in readings)

    def close(self) -> None:
        """See `Chip.close`; most simulated chips hold nothing."""
        return

    def _asked(self, drives: Sequence[Drive], readings: Sequence[Reading]) -> Ledger:
        batch, outputs = readings[0].outputs.shape
        shown = len({id(drive.inputs) for drive in drives if drive.about is None})
        nudged = sum(drive.nudge is not None for drive in drives)
        energy = 0.0
        if self._settling_time is not None:
            settled = [r.all_nodes for r, d in zip(readings, drives, strict=True) if d.about is None]
            watts = sum(float(dissipated(self.circuit, self.conductances, nodes).sum()) for nodes in settled)
            energy = watts * self._settling_time
        return Ledger(
            phases=batch * len(drives),
            nodes_read=batch * len(drives) * outputs,
            voltages_set=batch * (shown * self.circuit.input_pins + nudged * outputs),
            energy=energy,
        )


def stream(seed: int, key: int, numbers: Sequence[int] = ()) -> np.random.Generator:
    """Random numbers that nothing else draws: those of another key, of a step, or of the training, are others."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key, *numbers)))


class _Tally:
    """Counts the inner nodes of a reading when they are looked at, once."""

    def __init__(self, chip: SimulatedChip, reading: Reading) -> None:
        batch, nodes = reading.all_nodes.shape
        self._chip, self._count = chip, batch * (nodes - len(chip.circuit.held_nodes) - reading.outputs.shape[1])

    def __call__(self) -> None:
        self._chip.ledger += Ledger(nodes_read=max(0, self._count))
        self._count = 0


def check_changes(circuit: Circuit, wanted: Sequence[Array]) -> None:
    """Refuse changes of conductance (S, one array per trainable array) that cannot be asked for.

    Raises:
        ChipError: a change is not finite; names the array.
    """
    for array, change in zip(circuit.arrays, wanted, strict=True):
        if not np.isfinite(change).all():
            raise ChipError(f"{array.title}: a wanted change is not finite; lower the learning rate or the nudge")


def check_drives(circuit: Circuit, drives: Sequence[Drive]) -> None:
    """Refuse drives that do not fit the circuit or each other.

    Raises:
        ChipError: a shape is wrong or a value is not finite; names the phase.
    """
    if not drives:
        raise ChipError("measure: no drive was given")
    batch = len(drives[0].inputs)
    outputs = (batch, len(circuit.outputs))
    for drive in drives:
        _check_array(f"{drive.phase} phase: inputs", drive.inputs, (batch, circuit.channels))
        match drive.nudge:
            case Spring(targets=targets) as spring:
                _check_array(f"{drive.phase} phase: targets", targets, outputs)
                if not np.isfinite(spring.conductance):
                    raise ChipError(f"{drive.phase} phase: β = {spring.conductance} S is not finite")
            case Injection(current=current):
                _check_array(f"{drive.phase} phase: nudging currents", current, outputs)
            case Clamp(volts=volts):
                _check_array(f"{drive.phase} phase: clamped voltages", volts, outputs)
        if drive.adjoint and drive.about is None:
            raise ChipError(f"{drive.phase} phase: an adjoint drive needs an operating point; give 'about'")
        if drive.about is not None:
            _check_array(f"{drive.phase} phase: operating point", drive.about.all_nodes, (batch, len(circuit.nodes)))


def refuse_unstable(drives: Sequence[Drive], own: Callable[[], float]) -> None:
    """Refuse springs of −β that leave a circuit no one stable state, for which any answer would be wrong.

    While β is below the conductance that outputs see of the circuit with all diodes blocking, the energy is convex.
    Beyond it, Kirchhoff's equations still have roots, but those are saddles or one of several states.

    Args:
        drives: with nudges of any kind.
        own: the smallest conductance (S) that any combination of outputs sees; asked for if there is such a spring.

    Raises:
        SpringError: names the phase, β and the bound.
    """
    pulled = [(d.nudge.conductance, d.phase) for d in drives if isinstance(d.nudge, Spring)]
    beta, phase = min(pulled, default=(0.0, ""))
    if beta < 0 and -beta >= (bound := own()):
        raise SpringError(
            f"{phase} phase: springs of β = {show(beta, 'S')} outdo the network's own conductance at the outputs, "
            f"{show(bound, 'S')} with all diodes blocking, and leave it no one stable state; lower β (rule.beta) below "
            'that, or nudge by current (rule.nudging = "current")',
            bound,
        )


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
