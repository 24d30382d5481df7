"""A crossbar of memristors whose cells are written one by one, with what its lines do to the pulse and to other cells.

Where lines have no resistance, every cell sees a constant part of the pulse (`harness.devices.arrays.schemes`), and a
table of how far each state moves in such a pulse, made once for each voltage, says where it goes. Where they have some,
voltages depend on all states, which move: a pulse is then cut into steps, each with the voltages at its middle, so
short that the voltages at its beginning would lead nearly to the same states.
"""

from dataclasses import dataclass, replace

import numpy as np

from harness.devices.arrays.mesh import Lines, Settled, settled
from harness.devices.arrays.schemes import SHARES, Scheme, line_volts
from harness.devices.pulses import WritePulse
from harness.devices.switching import Memristor, after_pulse
from harness.measurement import Array, Index

_POINTS = 1001
_STEP_ERROR = 1e-3
"""Difference of states, by the voltages at the beginning and at the middle of a step, up to which it is taken."""
_SHORTEST = 1e-6
"""Part of a pulse; so short a step is taken however far states move in it."""
_MISSED = 1e-3
"""Part of the wanted volts by which a compensated pulse may miss its cell."""
MOST_DRIVE = 2.0
"""Times the wanted volts that drivers apply at most."""
_TRIALS = 50
_TOLERANCE = 1e-6
"""Error of one step of an integration, as a fraction of the range of x."""

Cell = tuple[int, int]
"""Word and bit line."""


@dataclass(frozen=True, eq=False)
class _Answer:
    """The answer of each state of the grid to a pulse of constant volts."""

    joules: Array
    moves: Array | None
    """Changes of x; None where all are 0."""


class MemristorArray:
    """A crossbar of memristors.

    Args:
        model: of all cells.
        states: x, ``[word, bit]``.
        scheme: of the voltages of lines.
        lines: their resistances.
        compensated: True where drivers apply so much more that the written cell sees the wanted volts when its pulse
            begins, whatever lines take, up to `MOST_DRIVE` times the wanted volts.
    """

    def __init__(
        self, model: Memristor, states: Array, scheme: Scheme, lines: Lines | None = None, *, compensated: bool = True
    ) -> None:
        self._model, self._scheme, self._compensated = model, scheme, compensated
        self._lines = lines or Lines()
        self.states = np.array(states, float)
        """x, ``[word, bit]``."""
        self.conductances = model.conductance(self.states)
        """S at `READ_VOLTS`, ``[word, bit]``."""
        self.disturbed = np.zeros_like(self.states)
        """The sum of all changes by other cells' pulses, each without its sign, S, ``[word, bit]``."""
        self.joules = 0.0
        """The energy that drivers have delivered in all pulses, by Simpson's rule over each or over its steps."""
        self.limited = 0
        """Pulses in which drivers applied all they may, and the cell saw less than it was to."""
        self._answers: dict[tuple[float, float], _Answer] = {}
        self._grid = np.linspace(0.0, 1.0, _POINTS)
        self._places = np.arange(self.states.size).reshape(self.states.shape)

    def pulse(self, cell: Cell, pulse: WritePulse) -> float:
        """Apply a pulse to a cell; returns the V of its word line's driver against its bit line's.

        Raises:
            CircuitError: the pulse cannot be followed.
        """
        if not self._lines.resistive:
            return self._constantly(cell, pulse)
        if self._scheme is Scheme.ALONE:
            return self._alone(cell, pulse)
        volts = self._compensating(cell, pulse.volts) if self._compensated else pulse.volts
        self._through_lines(cell, replace(pulse, volts=volts))
        return volts

    def after(self, pulse: WritePulse, states: Array) -> Array:
        """Return the states (any shape) after a pulse whose volts cells see as they are; none of the array moves."""
        moves = self._answer(pulse).moves
        return states if moves is None else states + np.interp(states, self._grid, moves)

    def conductances_of(self, states: Array) -> Array:
        """Return the conductances of states, S, same shape."""
        return self._model.conductance(states)

    def _constantly(self, cell: Cell, pulse: WritePulse) -> float:
        """Move all cells, each by a constant voltage."""
        (word, bit), shares = cell, SHARES[self._scheme]
        self._move(self._places[word, bit : bit + 1], pulse, selected=True)
        if shares.selected_lines:
            along, across = np.delete(self._places[word], bit), np.delete(self._places[:, bit], word)
            half = replace(pulse, volts=shares.selected_lines * pulse.volts)
            self._move(np.concatenate([along, across]), half)
        if shares.others:
            others = np.delete(np.delete(self._places, word, 0), bit, 1).ravel()
            self._move(others, replace(pulse, volts=shares.others * pulse.volts))
        return pulse.volts

    def _move(self, places: Index, pulse: WritePulse, *, selected: bool = False) -> None:
        """Move cells at places of ``ravel()``."""
        before = self.states.ravel()[places]
        answer = self._answer(pulse)
        self.joules += float(np.interp(before, self._grid, answer.joules).sum())
        if answer.moves is not None:
            after = before + np.interp(before, self._grid, answer.moves)
            self._take(places, after, selected=places if selected else places[:0])

    def _answer(self, pulse: WritePulse) -> "_Answer":
        """Return what a pulse does to each state of the grid."""
        if (key := (pulse.volts, pulse.seconds)) not in self._answers:
            states = [self._grid]
            still = not self._model.rate(pulse.volts, self._grid).any()
            for _ in range(2):
                after = states[-1] if still else self._after(pulse.volts, pulse.seconds / 2, states[-1])
                states.append(after)
            begin, middle, end = (pulse.volts * self._model.current(pulse.volts, x) for x in states)
            moves = states[-1] - self._grid
            joules = pulse.seconds * (begin + 4 * middle + end) / 6
            self._answers[key] = _Answer(joules, moves if moves.any() else None)
        return self._answers[key]

    def _take(self, places: Index, states: Array, selected: Index) -> None:
        """Give cells new states, and note how far those that were not selected have moved."""
        conductances = self._model.conductance(states)
        moved = np.abs(conductances - self.conductances.ravel()[places])
        moved[np.isin(places, selected)] = 0.0
        self.states.ravel()[places] = states
        self.conductances.ravel()[places] = conductances
        self.disturbed.ravel()[places] += moved

    def _alone(self, cell: Cell, pulse: WritePulse) -> float:
        """Write one cell behind its lines, with all others cut off."""
        lines = self._lines.alone(self.states.shape, cell)
        one = MemristorArray(self._model, self.states[cell].reshape(1, 1), Scheme.HALF, lines)
        one._compensated = self._compensated
        volts = one.pulse((0, 0), pulse)
        self.joules += one.joules
        self.limited += one.limited
        place = self._places[cell].reshape(1)
        self._take(place, one.states.ravel(), selected=place)
        return volts

    def _after(self, volts: float | Array, seconds: float, states: Array) -> Array:
        return after_pulse(self._model, volts, seconds, states, _TOLERANCE)

    def _settled(self, states: Array, cell: Cell, volts: float) -> Settled:
        drivers = line_volts(self._scheme, volts, self.states.shape, cell)
        return settled(self._model, states, drivers, self._lines)

    def _compensating(self, cell: Cell, wanted: float) -> float:
        """Return the V of the drivers at which the cell sees what is wanted, or the most that drivers may apply."""
        volts = wanted
        for _ in range(_TRIALS):
            seen = float(self._settled(self.states, cell, volts).volts[cell])
            if abs(seen - wanted) <= _MISSED * abs(wanted):
                return volts
            volts *= wanted / seen
            if not abs(volts) <= MOST_DRIVE * abs(wanted):
                break
        self.limited += 1
        return MOST_DRIVE * wanted

    def _through_lines(self, cell: Cell, pulse: WritePulse) -> None:
        """Move all cells by voltages that change while they move."""
        states, done, step = self.states.copy(), 0.0, 0.25
        here = self._settled(states, cell, pulse.volts)
        while done < 1:
            step = min(step, 1 - done)
            seconds = step * pulse.seconds
            middle = self._settled(self._after(here.volts, seconds / 2, states), cell, pulse.volts)
            rough = self._after(here.volts, seconds, states)
            fine = self._after(middle.volts, seconds, states)
            error = max(float(np.abs(fine - rough).max()), 1e-12)
            good = error <= _STEP_ERROR or step <= _SHORTEST
            if good:
                there = self._settled(fine, cell, pulse.volts)
                self.joules += seconds * (here.watts + 4 * middle.watts + there.watts) / 6
                states, here, done = fine, there, done + step
            step *= float(np.clip(0.9 * (_STEP_ERROR / error) ** 0.5, 0.1, 5.0))
            if 1 - done < 1e-12:
                break
        self._take(self._places.ravel(), states.ravel(), selected=self._places[cell].reshape(1))
