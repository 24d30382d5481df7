"""A program in ngspice's transient analysis: each pulse on all lines of a small crossbar, beside the model's answer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.chip.ngspice.session import open_session
from harness.devices.arrays.memristors import MemristorArray
from harness.devices.arrays.schemes import Scheme, line_volts
from harness.devices.pulses import WritePulse
from harness.devices.writing import Device
from harness.errors import CircuitError
from harness.files.reading import JsonObject
from harness.measurement import Array
from harness.netlist.cells.behavioural import state_of
from harness.netlist.decks.writing import LinePulse, WriteDeck, write_deck
from harness.netlist.tolerances import Tolerances
from harness.studies.program.program import ArrayProgram, Plan
from harness.studies.program.rows import Row

MOST_CELLS = 64
_AT_ONCE = 25
"""Pulses in a deck."""


@dataclass(frozen=True)
class Simulated:
    """The differences of ngspice's transient analysis and the model, over all cells and pulses of an array."""

    array: str
    pulses: int
    largest: float
    """The largest difference of conductances after any pulse, as a fraction of the range of the cells."""
    disturbed: float
    """The same of cells that were not selected by the pulse."""
    joules: float
    """The energy that the drivers delivered in ngspice."""
    joules_model: float

    def to_json(self) -> JsonObject:
        """Return it as plain data, with units in the keys."""
        return {
            "array": self.array,
            "pulses": self.pulses,
            "largest_difference": self.largest,
            "largest_difference_of_others": self.disturbed,
            "joules": self.joules,
            "joules_model": self.joules_model,
        }


def check_simulated(plan: Plan, arrays: Sequence[tuple[str, int]]) -> None:
    """Refuse what ngspice is not asked for; arrays have a name and a number of cells.

    Raises:
        CircuitError: the device has no equation, cells are alone, or an array has too many.
    """
    if isinstance(plan.device.kind, Device):
        raise CircuitError(
            f"device {plan.device.name} has a law of pulses alone, and ngspice needs an equation of state"
        )
    if plan.scheme is Scheme.ALONE:
        raise CircuitError("with --scheme alone no cell shares its lines; ngspice is asked for half and third")
    for name, cells in arrays:
        if cells > MOST_CELLS:
            raise CircuitError(
                f"array {name} has {cells:,} cells; ngspice's transient analysis is for arrays of {MOST_CELLS} at most"
            )


def simulated(plan: Plan, found: ArrayProgram, tell: Callable[[str], None] = lambda _: None) -> Simulated:
    """Apply the pulses of an array's program in ngspice and in the model, from the same beginning, and compare.

    Raises:
        CircuitError: see `check_simulated`.
        ChipError: ngspice is missing, or failed.
    """
    check_simulated(plan, [(found.name, found.goals.size)])
    model, rows = plan.device.kind, found.record.rows
    assert not isinstance(model, Device)  # noqa: S101 - see `check_simulated`
    scale = float(model.conductance(1.0)) / found.bounds[1]
    states = np.clip(state_of(model, found.start * scale), 0.0, 1.0)
    array = MemristorArray(model, states, plan.scheme, plan.wires.lines, compensated=False)
    span = float(np.ptp(model.conductance(np.array([0.0, 1.0]))))
    largest = disturbed = joules = 0.0
    done, total = 0, found.record.pulses
    for part in _parts(rows):
        tell(f"array {found.name} in ngspice: pulse {done + 1:,} of {total:,}")
        pulses = [
            LinePulse(*line_volts(plan.scheme, row.volts, states.shape, (row.word, row.bit or 0)), row.seconds)
            for row in part
        ]
        deck = write_deck(model, states, pulses, plan.wires.lines, Tolerances())
        after, spent = _run(deck, states.shape)
        joules += spent
        for row, there in zip(part, after, strict=True):
            cell = row.word, row.bit or 0
            array.pulse(cell, WritePulse(row.volts, row.seconds))
            off = np.abs(array.conductances - model.conductance(there)) / span
            largest = max(largest, float(off.max()))
            off[cell] = 0.0
            disturbed = max(disturbed, float(off.max()))
        states = np.clip(after[-1], 0.0, 1.0)
        done += len(part)
    return Simulated(found.name, total, largest, disturbed, joules, array.joules)


def _parts(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Give the pulses one by one, some at once."""
    single = [replace(row, count=1) for row in rows for _ in range(row.count)]
    for k in range(0, len(single), _AT_ONCE):
        yield single[k : k + _AT_ONCE]


def _run(deck: WriteDeck, shape: tuple[int, ...]) -> tuple[Array, float]:
    """Return the states after each pulse, ``[pulse, word, bit]``, and the J that the drivers have delivered."""
    vectors = [*deck.states, *(vector for driver in deck.drivers for vector in driver)]
    time, values = open_session().transient(deck.lines, vectors, deck.step, deck.stop)
    cells = len(deck.states)
    states = np.array([np.interp(deck.rests, time, column) for column in values[:, :cells].T]).T
    volts, amperes = values[:, cells::2], -values[:, cells + 1 :: 2]
    watts = (volts * amperes).sum(axis=1)
    return states.reshape(-1, *shape), float(np.sum(np.diff(time) * (watts[1:] + watts[:-1]) / 2))
