"""Measures how fast a board's outputs settle, and how far its twin networks differ."""

from collections.abc import Callable

import numpy as np

from harness.chip.base import Chip
from harness.chip.bench.calibration import DECIMALS, Settling, Twins
from harness.errors import BoardError
from harness.measurement import Array, Drive, Injection, Nudge, Spring
from harness.units import show

Read = Callable[[Array, float], Array]
"""Applies inputs (V, ``[samples, channels]``) one after the other, each for so long (s), and reads outputs (V)."""
_SHORTEST, _LONGEST = 1e-6, 2.0
"""s between which delays are tried."""
_CLOSE = 0.5
"""Share of `within`: readings that differ by less are the same."""
_ALIKE = 0.25
"""Share of a step: its sizes after two times that differ by less are the same."""
_SEEN = 0.05
"""Share of the first difference that is left at the end of the curve."""
_DELAYS = 13
_REPEATS = 6
"""Readings of the end, whose scatter is the noise."""
_DEVIATIONS = 5.0


def settling_time(read: Read, start: Array, end: Array, first: float, within: float) -> Settling:
    """Fit an exponential to outputs at rising delays after a step of the inputs.

    Args:
        read: asks the board.
        start: inputs before the step, V, ``[1, channels]``.
        end: inputs after it.
        first: s, by which outputs may have settled.
        within: V that count as settled.

    Raises:
        BoardError: outputs do not settle.
    """
    window, last, close = _settled(read, start, end, max(first, 1e3 * _SHORTEST), _CLOSE * within)

    def left(delay: float) -> Array:
        """Return how far outputs are from their end, V, ``[outputs]``."""
        read(start, window)
        return read(end, delay)[0] - last

    whole, span = left(0.0), window
    size = float(np.abs(whole).max())
    while span > _SHORTEST and np.abs(left(span)).max() < max(close, _SEEN * size):
        span /= 2
    if size <= within or span <= _SHORTEST:
        return Settling(time_constant=0.0, settle=0.0, within=within)
    delays = np.linspace(0.0, span, _DELAYS)
    shares = np.array([left(float(delay)) @ whole for delay in delays]) / (whole @ whole)
    seen = shares > 0
    slope, height = np.polyfit(delays[seen], np.log(shares[seen]), 1, w=shares[seen])
    if not slope < 0:
        raise BoardError(f"outputs do not approach their end within {show(span, 's')}; is something switching?")
    settle = max(0.0, -(height + np.log(size / within)) / slope)
    return Settling(time_constant=-1 / slope, settle=settle, within=within)


def twin_mismatch(chip: Chip, inputs: Array) -> Twins | None:
    """Compare a free phase with the same under a nudge of nothing; None where the chip knows no such nudge.

    Args:
        chip: whose nudged phases may settle in another network than its free ones.
        inputs: V, ``[samples, channels]``.
    """
    shape = len(inputs), len(chip.circuit.outputs)
    nothing: dict[type[Nudge], Nudge] = {Injection: Injection(np.zeros(shape)), Spring: Spring(0.0, np.zeros(shape))}
    nudge = next((nudge for kind, nudge in nothing.items() if kind in chip.capabilities.nudges), None)
    if nudge is None:
        return None
    free, nudged = chip.measure([Drive(inputs), Drive(inputs, nudge, "nudged by nothing")])
    found = np.sqrt(np.mean((free.outputs - nudged.outputs) ** 2, axis=0))
    return Twins(mismatch=tuple(float(np.round(volts, DECIMALS)) for volts in found))


def _settled(read: Read, start: Array, end: Array, window: float, close: float) -> tuple[float, Array, float]:
    """Return a time (s) after which outputs stay, their voltages then, V, ``[outputs]``, and V that noise makes close.

    The step has to be as large after that time as after four times of it: outputs that have hardly begun to move stay
    as they are, too.
    """
    while window <= _LONGEST:
        low, high, before = (read(x, t)[0] for x, t in ((start, window), (end, window), (start, 4 * window)))
        ends = read(np.repeat(end, _REPEATS, axis=0), 4 * window)
        last, noise = ends.mean(axis=0), float(ends.std(axis=0, ddof=1).max())
        step, change = np.abs(last - before).max(), np.abs((last - before) - (high - low)).max()
        bound = max(close, _DEVIATIONS * noise)
        if np.abs(last - high).max() <= bound and change <= _ALIKE * step and step > bound:
            return window, last, bound
        window *= 2
    raise BoardError(
        f"outputs have not settled to {show(close, 'V')} after {show(_LONGEST, 's')}, or do not move at all"
    )
