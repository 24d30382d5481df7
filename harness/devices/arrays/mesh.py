"""Voltages over the memristors of a crossbar whose lines have resistance.

The geometry is that of `harness.circuit.variation.lines`: word lines are driven before their first bit line, bit lines
behind their last word line, and every segment between two crossings, or between a driver and a crossing, has the same
resistance. The voltages that the lines take are linear in the cells' currents, v = v₀ − Z i(v), and Z i is four running
sums. Newton's method solves it for v; its linear systems I + Z di/dv become symmetric and positive with the square
root of di/dv on either side, and conjugate gradients solve them in a few steps, for lines take a small part of V.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.devices.switching import Memristor
from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show

_MOST_STEPS = 60
_MOST_PRODUCTS = 2000
_NUDGE = 1e-6
"""V, for the slope of a cell's current."""
_ACCURATE = 1e-9
"""Largest residue that is left, relative to the drivers' voltages."""


@dataclass(frozen=True, eq=False)
class Settled:
    """The voltages of a crossbar whose drivers and states stand still."""

    volts: Array
    """V over each cell, ``[word, bit]``."""
    watts: float
    """The power that all drivers deliver."""


@dataclass(frozen=True)
class Lines:
    """Resistances of lines.

    Raises:
        CircuitError: a resistance is negative or not finite.
    """

    word: float = 0.0
    """Ω of every segment of a word line; 0 for none."""
    bit: float = 0.0
    """The same of a bit line."""

    def __post_init__(self) -> None:
        for name, ohms in (("word", self.word), ("bit", self.bit)):
            if not 0 <= ohms < np.inf:
                raise CircuitError(f"lines: {show(ohms, 'Ω')} of a segment of a {name} line must be finite and not < 0")

    @property
    def resistive(self) -> bool:
        """True where lines have a resistance."""
        return self.word > 0 or self.bit > 0

    def alone(self, shape: tuple[int, int], cell: tuple[int, int]) -> "Lines":
        """Return the lines of a crossbar of one cell that is as far from its drivers as `cell` (word, bit)."""
        return Lines(self.word * (cell[1] + 1), self.bit * (shape[0] - cell[0]))

    def dropped(self, amperes: Array) -> Array:
        """Return the V that lines take from each cell by the currents of all cells, both ``[word, bit]``."""
        word = np.cumsum(np.cumsum(amperes[:, ::-1], axis=1)[:, ::-1], axis=1)
        bit = np.cumsum(np.cumsum(amperes, axis=0)[::-1], axis=0)[::-1]
        return np.asarray(self.word * word + self.bit * bit)


def settled(model: Memristor, states: Array, drivers: tuple[Array, Array], lines: Lines) -> Settled:
    """Return the voltages over the memristors of a crossbar.

    Args:
        model: of all cells.
        states: x, ``[word, bit]``.
        drivers: V of word lines, ``[word]``, and of bit lines, ``[bit]``.
        lines: their resistances.

    Raises:
        CircuitError: no solution was found.
    """
    word, bit = drivers
    wanted = word[:, None] - bit[None, :]
    scale = max(float(np.abs(wanted).max()), np.finfo(float).tiny)
    volts = wanted
    amperes = model.current(volts, states)
    if lines.resistive:
        residue = volts - wanted + lines.dropped(amperes)
        for _ in range(_MOST_STEPS):
            if np.abs(residue).max() <= _ACCURATE * scale:
                break
            root = np.sqrt(np.maximum(model.current(volts + _NUDGE, states) - amperes, 0.0) / _NUDGE)
            step = _newton_step(lines, root, residue)
            volts, amperes, residue = _taken(model, states, lines, wanted, volts, step, float(np.abs(residue).max()))
        else:
            raise CircuitError(f"crossbar of {states.shape}: no voltages were found at {show(scale, 'V')} on its lines")
    return Settled(volts, float(word @ amperes.sum(axis=1) - bit @ amperes.sum(axis=0)))


def _taken(
    model: Memristor, states: Array, lines: Lines, wanted: Array, volts: Array, step: Array, before: float
) -> tuple[Array, Array, Array]:
    """Take a step, shortened until it brings the residue down."""
    share = 1.0
    while True:
        new = volts + share * step
        amperes = model.current(new, states)
        residue = new - wanted + lines.dropped(amperes)
        if np.abs(residue).max() < before or share < 1e-3:
            return new, amperes, residue
        share /= 2


def _newton_step(lines: Lines, root: Array, residue: Array) -> Array:
    """Return −(I + Z D)⁻¹ r for D = root²: with s = −root · r, (I + root Z root) y = s and step = −r − Z root y."""

    def product(vector: Array) -> Array:
        return vector + root * lines.dropped(root * vector)

    solved = _conjugate_gradients(product, -root * residue)
    return np.asarray(-residue - lines.dropped(root * solved))


def _conjugate_gradients(product: Callable[[Array], Array], right: Array) -> Array:
    """Solve a symmetric positive system to 1e-10 of its right-hand side."""
    found = np.zeros_like(right)
    residue = direction = right
    size = float((residue * residue).sum())
    enough = 1e-20 * size
    for _ in range(_MOST_PRODUCTS):
        if size <= enough:
            break
        image = product(direction)
        length = size / float((direction * image).sum())
        found = found + length * direction
        residue = residue - length * image
        before, size = size, float((residue * residue).sum())
        direction = residue + size / before * direction
    return found
