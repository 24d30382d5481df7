"""A program for a whole network: the pulses of all arrays, and what they take and do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.circuit import Circuit, TrainableArray
from harness.devices.arrays.schemes import Scheme
from harness.devices.switching import READ_VOLTS
from harness.errors import CircuitError
from harness.files.reading import JsonObject
from harness.measurement import Array, Conductances
from harness.studies.program.cells import Cells
from harness.studies.program.control import Control, Mask, Mode, Record, missed, write
from harness.studies.program.devices import Wires, Written
from harness.studies.program.rows import Row
from harness.units import show


@dataclass(frozen=True)
class Timing:
    """Times between pulses.

    Raises:
        CircuitError: a time is negative or not finite.
    """

    gap: float = 1e-6
    """s between two pulses: to drive other lines, and to let them settle."""
    read: float = 1e-6
    """s that a read takes."""

    def __post_init__(self) -> None:
        for name in ("gap", "read"):
            if not 0 <= (value := getattr(self, name)) < np.inf:
                raise CircuitError(f"program: {name} {show(value, 's')} must be finite and not below 0 s")


@dataclass(frozen=True)
class Plan:
    """The device, the scheme and the control of a program."""

    device: Written
    scheme: Scheme = Scheme.HALF
    control: Control = field(default_factory=Control)
    wires: Wires = field(default_factory=Wires)
    timing: Timing = field(default_factory=Timing)
    full_scale: float | None = None
    """S of the network that the device's highest conductance stands for; None for what the device
    takes usually."""
    threshold: float | None = None
    """V below which cells of a law of pulses keep their conductance; None where it is not known."""

    def check(self) -> None:
        """Refuse what cannot be written.

        Raises:
            CircuitError: scheme, control, lines or full scale does not fit the device.
        """
        self.device.check_scheme(self.scheme, self.threshold)
        self.control.check(self.device)
        if self.wires.lines.resistive and not self.device.follows_volts:
            raise CircuitError(
                f"device {self.device.name} is known by its own pulses alone, and what it does where lines take part of"
                " their volts is not known; set variation.line_word and line_bit to 0"
            )
        if self.full_scale is not None and not 0 < self.full_scale < np.inf:
            raise CircuitError(f"program: full scale {show(self.full_scale, 'S')} must be finite and above 0 S")

    def to_json(self) -> JsonObject:
        """Return it as plain data, with units in the keys."""
        control, pulses = self.control, {}
        for way, pulse in (("up", self.device.up), ("down", self.device.down)):
            pulses[way] = {"voltage_V": pulse.volts, "width_s": pulse.seconds}
        closed = {
            "tolerance": control.tolerance,
            "rounds": control.rounds,
            **({"ramp": list(control.ramp)} if control.mode in (Mode.ISPP, Mode.PI) else {}),
            **({"gains": list(control.gains)} if control.mode is Mode.PI else {}),
        }
        return {
            "device": {"name": self.device.name, **pulses},
            "scheme": self.scheme.value,
            "threshold_V": self.threshold,
            "control": {
                "mode": control.mode.value,
                "max_pulses": control.max_pulses,
                **({} if control.mode is Mode.OPEN_LOOP else closed),
            },
            "lines": {
                "word_ohm": self.wires.lines.word,
                "bit_ohm": self.wires.lines.bit,
                "compensated": self.wires.compensated,
            },
            "timing": {"gap_s": self.timing.gap, "read_s": self.timing.read, "read_V": READ_VOLTS},
        }


@dataclass(frozen=True, eq=False)
class ArrayProgram:
    """The program of one array, and what the model says of it; arrays are ``[word, bit]``."""

    name: str
    record: Record
    start: Array
    """S at the beginning."""
    goals: Array
    """Trained conductances (S) within the cells' bounds."""
    reached: Array
    """S at the end."""
    disturbed: Array
    """The sum of all changes by other cells' pulses, each without its sign, S."""
    missed: Mask
    """Truth values: cells that a closed loop left out of their windows."""
    clipped: int
    """Cells whose trained conductance is out of bounds."""
    bounds: tuple[float, float]
    """S."""
    limited: int
    """Pulses in which drivers could not make up for lines."""
    seconds: float
    joules: float

    @property
    def span(self) -> float:
        """The range of conductances, S."""
        return self.bounds[1] - self.bounds[0]

    @property
    def error(self) -> tuple[float, float]:
        """The root mean square and the largest difference from the goals at the end, as parts of the range."""
        off = np.abs(self.reached - self.goals) / self.span
        return float(np.sqrt(np.mean(off**2))), float(off.max())

    @property
    def worst(self) -> tuple[int, int]:
        """Word and bit of the cell that other cells' pulses have moved most."""
        word, bit = np.unravel_index(int(self.disturbed.argmax()), self.disturbed.shape)
        return int(word), int(bit)

    def to_json(self) -> JsonObject:
        """Return it as plain data, with units in the keys."""
        word, bit = self.worst
        rms, largest = self.error
        worst = float(self.disturbed[word, bit])
        return {
            "array": self.name,
            "cells": self.goals.size,
            "from_S": self.bounds[0],
            "to_S": self.bounds[1],
            "clipped": self.clipped,
            "pulses": self.record.pulses,
            "reads": self.record.reads,
            "limited_pulses": self.limited,
            "seconds": self.seconds,
            "joules": self.joules,
            "rms_error": rms,
            "largest_error": largest,
            "worst_disturbance": {"word": word, "bit": bit, "S": worst, "of_range": worst / self.span},
            "missed": [self._place(cell) for cell in np.argwhere(self.missed).tolist()],
        }

    def _place(self, cell: Sequence[int]) -> list[int]:
        return list(cell[:1] if self.record.flat else cell)


@dataclass(frozen=True, eq=False)
class Program:
    """The program of a network."""

    plan: Plan
    arrays: tuple[ArrayProgram, ...]
    cells: tuple[Cells, ...] = field(repr=False, default=())
    """As the program has left them."""

    @property
    def rows(self) -> list[Row]:
        """All pulses, in order."""
        return [row for array in self.arrays for row in array.record.rows]

    @property
    def conductances(self) -> list[Array]:
        """The conductances at the end, as the model has them, S, ``[word, bit]`` for each array."""
        return [array.reached for array in self.arrays]

    def to_json(self) -> JsonObject:
        """Return it as plain data, with units in the keys."""
        worst = max(self.arrays, key=lambda array: float(array.disturbed.max()) / array.span)
        told = [array.to_json() for array in self.arrays]
        totals = {
            key: sum(one[key] for one in told)
            for key in ("cells", "pulses", "reads", "limited_pulses", "seconds", "joules")
        }
        disturbance = {"array": worst.name, **worst.to_json()["worst_disturbance"]}
        missed_cells = sum(len(one["missed"]) for one in told)
        return {
            **self.plan.to_json(),
            **totals,
            "missed_cells": missed_cells,
            "worst_disturbance": disturbance,
            "arrays": told,
        }


def program(
    circuit: Circuit, start: Conductances | None, plan: Plan, tell: Callable[[str], None] = lambda _: None
) -> Program:
    """Plan the pulses that bring the cells of a network to its conductances, array after array.

    Args:
        circuit: with the conductances that are wanted.
        start: conductances (S) at the beginning, by array; None for fresh cells, which conduct least.
        plan: of device, scheme, control and lines.
        tell: is told what is being done.

    Raises:
        CircuitError: the plan does not fit the device or the network, or a pulse cannot be followed.
    """
    plan.check()
    if not circuit.arrays:
        raise CircuitError(f"circuit {circuit.name} has no cells to write")
    done, every = [], []
    for k, array in enumerate(circuit.arrays):
        begin = None if start is None else start[k]
        full_scale = plan.full_scale or plan.device.full_scale(circuit, array)
        cells = plan.device.cells(array, begin, full_scale, plan.scheme, plan.wires)
        done.append(_written(array, cells, plan, tell))
        every.append(cells)
    return Program(plan, tuple(done), tuple(every))


def _written(array: TrainableArray, cells: Cells, plan: Plan, tell: Callable[[str], None]) -> ArrayProgram:
    begin = cells.conductances.copy()
    wanted = array.conductances.reshape(begin.shape)
    low, high = cells.bounds
    goals = np.clip(wanted, low, high)
    record = Record(array.name, flat=len(array.shape) == 1)
    write(cells, goals, plan.device, plan.control, record, tell)
    open_loop = plan.control.mode is Mode.OPEN_LOOP
    left = np.zeros(goals.shape, bool) if open_loop else missed(cells, goals, plan.control)
    timing = plan.timing
    seconds = record.pulse_seconds + record.pulses * timing.gap + record.reads * timing.read
    reading = READ_VOLTS**2 * timing.read * float(goals.mean()) * record.reads
    return ArrayProgram(
        array.name,
        record,
        begin,
        goals,
        cells.conductances.copy(),
        cells.disturbed.copy(),
        left,
        int(np.count_nonzero(np.abs(wanted - goals) > 1e-9 * high)),
        (low, high),
        cells.limited,
        seconds,
        cells.joules + reading,
    )
