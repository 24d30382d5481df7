"""A crossbar of memristors in time: all word and bit lines driven by pulses, lines with resistance or without.

Word lines are driven before their first bit line, bit lines behind their last word line, as in
`harness.circuit.variation.lines`. All drivers rise and fall together; the area of a trapezoid is that of a rectangle.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.devices.arrays.mesh import Lines
from harness.measurement import Array
from harness.netlist.cells.memristor import MemristorModel, subcircuit
from harness.netlist.tolerances import Tolerances, options
from harness.units import spice_number

_EDGE = 1e-3
"""Part of a pulse's width in which it rises or falls."""


@dataclass(frozen=True, eq=False)
class LinePulse:
    """A pulse on the lines of a crossbar."""

    words: Array
    """V of each word line's driver, ``[word]``."""
    bits: Array
    """V of each bit line's driver, ``[bit]``."""
    seconds: float
    """Its width; as long again, all lines are at 0 V."""

    @property
    def period(self) -> float:
        """The time until the next pulse, s."""
        return (2 + _EDGE) * self.seconds


@dataclass(frozen=True, eq=False)
class WriteDeck:
    """A deck and what to read of it."""

    lines: tuple[str, ...]
    states: tuple[str, ...]
    """Vectors of the states, row by row."""
    drivers: tuple[tuple[str, str], ...]
    """Vectors of voltage and current of each driver; the current flows into its positive end."""
    rests: Array
    """s of the middle of the rest after each pulse, ``[pulses]``."""
    step: float
    """s that no step of time may exceed."""
    stop: float
    """s."""


def write_deck(
    model: MemristorModel, states: Array, pulses: Sequence[LinePulse], lines: Lines, tolerances: Tolerances
) -> WriteDeck:
    """Return the deck of a crossbar whose cells begin at `states` (x, ``[word, bit]``) under pulses, one at a time."""
    begins = np.concatenate([[0.0], np.cumsum([pulse.period for pulse in pulses])])
    words, bits = states.shape
    driven = [(f"w{k}", [pulse.words[k] for pulse in pulses]) for k in range(words)]
    driven += [(f"b{k}", [pulse.bits[k] for pulse in pulses]) for k in range(bits)]
    text = [
        "* a crossbar of memristors under write pulses",
        options(tolerances),
        *subcircuit(model, "cell"),
        *(line for name, volts in driven for line in _source(name, volts, pulses, begins)),
        *_cells(states, lines),
        ".end",
    ]
    seconds = np.array([pulse.seconds for pulse in pulses])
    return WriteDeck(
        tuple(text),
        tuple(f"v(x{w}_{b}.state)" for w in range(words) for b in range(bits)),
        tuple((f"v({name})", f"i(v{name})") for name, _ in driven),
        begins[1:] - seconds / 2,
        float(seconds.min()) / 20,
        float(begins[-1]),
    )


def _source(name: str, volts: Sequence[float], pulses: Sequence[LinePulse], begins: Array) -> Iterator[str]:
    """Yield a driver's source, one continuation line a pulse."""
    yield f"v{name} {name} 0 pwl(0 0"
    for level, pulse, begin in zip(volts, pulses, begins, strict=False):
        edge, width = _EDGE * pulse.seconds, pulse.seconds
        corners = ((edge, level), (width, level), (width + edge, 0.0), (pulse.period, 0.0))
        yield "+ " + " ".join(f"{spice_number(begin + t)} {spice_number(v)}" for t, v in corners)
    yield "+ )"


def _cells(states: Array, lines: Lines) -> Iterator[str]:
    """Yield cells, and the segments of lines that have resistance."""
    words = len(states)
    for (w, b), start in np.ndenumerate(states):
        near = f"w{w}_{b}" if lines.word else f"w{w}"
        far = f"b{w}_{b}" if lines.bit else f"b{b}"
        yield f"x{w}_{b} {near} {far} cell start={spice_number(start)}"
        if lines.word:
            yield f"rw{w}_{b} {f'w{w}_{b - 1}' if b else f'w{w}'} {near} {spice_number(lines.word)}"
        if lines.bit:
            below = f"b{w + 1}_{b}" if w + 1 < words else f"b{b}"
            yield f"rb{w}_{b} {far} {below} {spice_number(lines.bit)}"
