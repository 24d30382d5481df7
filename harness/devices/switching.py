"""The interface of memristor models, and the states that pulses lead to.

A model has a current i(v, x), a rate dx/dt (v, x), and one state x in 0…1 that conducts best at 1. Published models
keep a width, a gap or a resistance as their state; here it is normalized, so that a model's state, an array of cells
and a node of a netlist (`harness.netlist.cells.memristor`) have the same scale. The last 0.1 % of the range before
either bound slows linearly to a stop: it replaces the hard clip of the papers, which no implicit integrator can solve,
and it is the same here and in the netlist.

Currents flow from p to n at positive v = v(p) − v(n). Which sign of voltage makes x grow is the model's own:
`LinearIonDrift`, `Yakopcic` and `StanfordGap` at positive volts, `Vteam` and `DataDriven` at negative ones.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show

EDGE = 1e-3
"""Share of the range of x before each bound in which the motion towards that bound slows to 0."""
READ_VOLTS = 0.01
"""V at which a conductance is read."""

TOLERANCE = 1e-9
"""Error of one step of an integration, as a fraction of the range of x."""
_FIRST_STEP = 1e-3
_MOST_STEPS = 100_000
_END = 1e-14
_NUDGE = 1e-7
"""Change of x for its slope."""


class Memristor(Protocol):
    """A memristor model; the arguments of its methods broadcast together."""

    def current(self, volts: Array | float, state: Array | float) -> Array:
        """Return A at `volts` (V); a state outside 0…1 counts as the bound."""

    def rate(self, volts: Array | float, state: Array | float) -> Array:
        """Return dx/dt in 1/s at `volts` (V)."""

    def conductance(self, state: Array | float) -> Array:
        """Return the conductance at `READ_VOLTS` in S, in the shape of `state`."""
        return np.asarray(self.current(READ_VOLTS, state) / READ_VOLTS)


def after_pulse(
    model: Memristor, volts: float | Array, seconds: float, state: Array, tolerance: float = TOLERANCE
) -> Array:
    """Return the states after a rectangular pulse, in the same shape, to about a hundred times the tolerance of a step.

    All cells get the same V or, from an array in the shape of `state`, each its own.

    Rosenbrock's method of order 4 with an estimate of order 3 and Shampine's parameters (1982, ACM Trans. Math. Softw.
    8(2), 93): implicit, for the stop at a bound is stiff, and with steps of every cell's own, for cells reach it at
    different times.

    Raises:
        CircuitError: the pulse is no pulse, or the integration failed.
    """
    if not (np.isfinite(volts).all() and 0 < seconds < np.inf):
        raise CircuitError(
            f"pulse of {_highest(volts):g} V for {seconds:g} s: it must be finite and last longer than 0 s"
        )
    states = np.clip(np.array(state, float), 0.0, 1.0)
    x = states.reshape(-1)
    each = None if np.ndim(volts) == 0 else np.reshape(volts, -1)
    left, step = np.ones(x.size), np.full(x.size, _FIRST_STEP)  # in units of the pulse
    moving = np.arange(x.size)
    for _ in range(_MOST_STEPS):
        if not moving.size:
            return states
        taken = np.minimum(step[moving], left[moving])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # such steps are taken again, shorter
            here = volts if each is None else each[moving]
            new, error = _rosenbrock(partial(_slope, model, here, seconds), x[moving], taken)
        good = np.isfinite(new) & (error <= tolerance)
        x[moving] = np.where(good, np.clip(new, 0.0, 1.0), x[moving])
        left[moving] -= np.where(good, taken, 0.0)
        better = 0.9 * (tolerance / np.maximum(error, 1e-300)) ** 0.25
        step[moving] = taken * np.where(np.isfinite(better), np.clip(better, 0.1, 5.0), 0.1)
        moving = moving[left[moving] > _END]
    what = f"pulse of {show(_highest(volts), 'V')} for {show(seconds, 's')}"
    raise CircuitError(f"{what}: not followed in {_MOST_STEPS} steps")


def _slope(model: Memristor, volts: float | Array, seconds: float, states: Array) -> Array:
    """Return dx/dt with the pulse as the unit of time."""
    return seconds * model.rate(volts, states)


def _highest(volts: float | Array) -> float:
    """Return the voltage that is farthest from 0 V, or the one that is no number."""
    return float(np.ravel(volts)[np.argmax(np.abs(volts))])


def _rosenbrock(slope: Callable[[Array], Array], x: Array, step: Array) -> tuple[Array, Array]:
    """Take one step of every cell, and estimate its error."""
    nudge = np.where(x < 0.5, _NUDGE, -_NUDGE)
    first = slope(x)
    inverse = 1 / (2 / step - (slope(x + nudge) - first) / nudge)
    a = inverse * first
    b = inverse * (slope(x + 2 * a) - 8 * a / step)
    third = slope(x + 48 / 25 * a + 6 / 25 * b)
    c = inverse * (third + (372 / 25 * a + 12 / 5 * b) / step)
    d = inverse * (third - (112 / 125 * a + 54 / 125 * b + 2 / 5 * c) / step)
    return x + 19 / 9 * a + b / 2 + 25 / 108 * c + 125 / 108 * d, np.abs(17 / 54 * a + 7 / 36 * b + 125 / 108 * d)


def pulse_curve(model: Memristor, start: float, pulses: Sequence[float], seconds: float) -> Array:
    """Return the states before and after each of a train of pulses (V, each `seconds` long), ``[pulses + 1]``.

    Raises:
        CircuitError: see `after_pulse`.
    """
    states = [np.array([start])]
    for volts in pulses:
        states.append(after_pulse(model, volts, seconds, states[-1]))
    return np.concatenate(states)


def bounded(state: Array | float) -> Array:
    """Return the state, clipped to 0…1."""
    return np.clip(np.asarray(state, float), 0.0, 1.0)


def kept_inside(rate: Array, state: Array | float) -> Array:
    """Return the rate, slowed to 0 over `EDGE` before the bound that it moves to."""
    x = np.asarray(state, float)
    room = np.where(rate > 0, 1 - x, x)
    return rate * np.clip(room / EDGE, 0.0, 1.0)


def check_positive(title: str, model: object, **units: str) -> None:
    """Raise a `CircuitError` for the first field, named with its unit, that is not finite and above 0."""
    for field, unit in units.items():
        if not 0 < (value := getattr(model, field)) < np.inf:
            name = field.replace("_", " ")
            raise CircuitError(f"{title}: {name} {show(value, unit)} must be finite and above 0 {unit}".rstrip())


def check_resistances(what: str, on: float, off: float) -> None:
    """Raise a `CircuitError` for resistances (Ω) that are not 0 < on < off."""
    if not 0 < on < off < np.inf:
        both = f"{show(on, 'Ω')} on and {show(off, 'Ω')} off"
        raise CircuitError(f"{what}: resistances {both} must be finite and above 0 Ω, on below off")
