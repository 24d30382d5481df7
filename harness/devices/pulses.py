"""Laws that say how write pulses change the conductances of whole arrays of cells at once.

`LinearStep`, `SoftBounds` and `ExponentialStep` are laws in closed form, `PulseCurves` follows measured or stepped
levels, `PulseTable` tabulates a memristor model, and `Spread` adds device-to-device and cycle-to-cycle variation.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from harness.devices.switching import Memristor, after_pulse
from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show

Pulses = npt.NDArray[np.bool_] | npt.NDArray[np.integer] | int
"""Up (True) or down (False) by one pulse, or signed counts: 3 up, −2 down, 0 untouched; broadcast with the cells."""
_LABEL = 1000 / 99
"""NeuroSim's nonlinearity label in units of the curve's largest distance from a straight line."""
_STEEPEST = 700.0


class PulseResponse(Protocol):
    """The mean answer of one kind of cell to its write pulses."""

    @property
    def bounds(self) -> tuple[float, float]:
        """g_min and g_max in S."""

    def pulse(self, conductance: Array, pulses: Pulses) -> Array:
        """Return the conductances (S, same shape) after `pulses`; a cell without a pulse keeps its value to the bit.

        Raises:
            CircuitError: pulses that are neither truth values nor whole numbers.
        """


@dataclass(frozen=True)
class _Bounded(PulseResponse):
    """Base of the laws between two bounds."""

    g_min: float
    """S."""
    g_max: float
    """S."""

    @property
    @override
    def bounds(self) -> tuple[float, float]:
        return self.g_min, self.g_max


@dataclass(frozen=True)
class LinearStep(_Bounded):
    """Equal steps up to hard bounds g_min and g_max in S (aihwkit's ConstantStep).

    Raises:
        CircuitError: bounds out of order, or a step that is not above 0 S.
    """

    step_up: float
    """S a pulse."""
    step_down: float
    """S a pulse, a magnitude."""

    def __post_init__(self) -> None:
        _check_bounds("linear step", self.g_min, self.g_max)
        for name, step in (("up", self.step_up), ("down", self.step_down)):
            if not 0 < step < np.inf:
                raise CircuitError(f"linear step: step {name} {show(step, 'S')} must be finite and above 0 S")

    @override
    def pulse(self, conductance: Array, pulses: Pulses) -> Array:
        count = signed(pulses)
        moved = conductance + np.where(count > 0, self.step_up, self.step_down) * count
        return np.where(count == 0, conductance, np.clip(moved, self.g_min, self.g_max))


@dataclass(frozen=True)
class SoftBounds(_Bounded):
    """Every pulse takes a fixed fraction of the way left: Δg = +s (g_max − g) or −s (g − g_min), bounds in S.

    It is aihwkit's SoftBounds, and `ExponentialStep` with a curvature so high that the bound is never quite reached.

    Raises:
        CircuitError: bounds out of order, or a fraction outside 0…1.
    """

    fraction_up: float
    """s of a pulse up."""
    fraction_down: float
    """s of a pulse down."""

    def __post_init__(self) -> None:
        _check_bounds("soft bounds", self.g_min, self.g_max)
        for name, fraction in (("up", self.fraction_up), ("down", self.fraction_down)):
            if not 0 < fraction <= 1:
                raise CircuitError(f"soft bounds: fraction {name} {fraction:g} must be above 0 and at most 1")

    @override
    def pulse(self, conductance: Array, pulses: Pulses) -> Array:
        count = signed(pulses)
        left = (1 - np.where(count > 0, self.fraction_up, self.fraction_down)) ** np.abs(count)
        goal = np.where(count > 0, self.g_max, self.g_min)
        moved = np.clip(goal + (conductance - goal) * left, self.g_min, self.g_max)
        return np.where(count == 0, conductance, moved)


@dataclass(frozen=True)
class ExponentialStep(_Bounded):
    """NeuroSim's law: the whole range in P pulses along (1 − e^(−νp/P)) / (1 − e^−ν), from any g on that curve.

    This is the curve of MLP+NeuroSim (Chen, Peng & Yu 2017, IEDM, 6.1) between g_min and g_max (S) with ν = P/A; 0 is a
    straight line. ν is above 0 where steps shrink on the way, below 0 where they grow, in either direction. It is not
    aihwkit's ExpStep, whose steps shrink exponentially in g; here they shrink linearly, as in aihwkit's LinearStep.

    Raises:
        CircuitError: bounds out of order, less than one pulse, or a curvature beyond ±700.
    """

    pulses_up: float
    """P from g_min to g_max."""
    pulses_down: float
    """P from g_max to g_min."""
    curvature_up: float
    """ν of pulses up."""
    curvature_down: float
    """ν of pulses down."""

    def __post_init__(self) -> None:
        _check_bounds("exponential step", self.g_min, self.g_max)
        for name, pulses in (("up", self.pulses_up), ("down", self.pulses_down)):
            if not 1 <= pulses < np.inf:
                raise CircuitError(f"exponential step: {pulses:g} pulses {name} must be finite and at least 1")
        for name, curvature in (("up", self.curvature_up), ("down", self.curvature_down)):
            if not abs(curvature) <= _STEEPEST:
                raise CircuitError(f"exponential step: curvature {name} {curvature:g} must lie in ±{_STEEPEST:g}")

    @override
    def pulse(self, conductance: Array, pulses: Pulses) -> Array:
        """See `PulseResponse`; any number of pulses at once, exactly."""
        count = signed(pulses)
        span = self.g_max - self.g_min
        way, rising = np.clip((conductance - self.g_min) / span, 0.0, 1.0), count > 0
        share = np.abs(count) / np.where(rising, self.pulses_up, self.pulses_down)
        curvature = np.where(rising, self.curvature_up, self.curvature_down)
        after = _along(np.where(rising, way, 1 - way), share, curvature)
        moved = np.clip(self.g_min + span * np.where(rising, after, 1 - after), self.g_min, self.g_max)
        return np.where(count == 0, conductance, moved)


@dataclass(frozen=True, eq=False)
class PulseCurves(PulseResponse):
    """Levels passed pulse by pulse, straight between them: measured curves, or the positions of a potentiometer.

    Raises:
        CircuitError: a curve with fewer than two levels, or one that does not strictly rise (`up`) or fall (`down`).
    """

    up: Array
    """S before and after each pulse up, ``[pulses + 1]``."""
    down: Array
    """S before and after each pulse down, ``[pulses + 1]``."""

    def __post_init__(self) -> None:
        for name, curve, sense in (("up", self.up, 1), ("down", self.down, -1)):
            if curve.ndim != 1 or curve.size < 2 or not np.isfinite(curve).all():
                raise CircuitError(f"pulse curve {name}: it needs at least two finite levels, shape {curve.shape}")
            if not (sense * np.diff(curve) > 0).all():
                where = int(np.argmin(sense * np.diff(curve) > 0))
                levels = f"{show(curve[where], 'S', 6)} and {show(curve[where + 1], 'S', 6)}"
                raise CircuitError(f"pulse curve {name}: levels {where} and {where + 1}, {levels}, are out of order")

    @property
    @override
    def bounds(self) -> tuple[float, float]:
        """See `PulseResponse`; of both curves together."""
        return float(min(self.up[0], self.down[-1])), float(max(self.up[-1], self.down[0]))

    @override
    def pulse(self, conductance: Array, pulses: Pulses) -> Array:
        """See `PulseResponse`; a cell beyond the end of a curve stays where it is."""
        count = signed(pulses)
        up = down = conductance
        if (count > 0).any():
            up = np.maximum(_walk(self.up, conductance, np.maximum(count, 0)), conductance)
        if (count < 0).any():
            down = np.minimum(_walk(self.down[::-1], conductance, np.minimum(count, 0)), conductance)
        return np.where(count == 0, conductance, np.where(count > 0, up, down))


@dataclass(frozen=True)
class WritePulse:
    """A rectangular pulse across a memristor."""

    volts: float
    """V, with its sign."""
    seconds: float


@dataclass(frozen=True, eq=False)
class PulseTable(PulseResponse):
    """A table of g before and after one pulse, straight between its points; made by `pulse_table`."""

    before: Array
    """S, rising, ``[points]``."""
    after_up: Array
    """S, ``[points]``."""
    after_down: Array
    """S, ``[points]``."""

    @property
    @override
    def bounds(self) -> tuple[float, float]:
        return float(self.before[0]), float(self.before[-1])

    @override
    def pulse(self, conductance: Array, pulses: Pulses) -> Array:
        """See `PulseResponse`; pulse after pulse."""
        count = np.broadcast_to(signed(pulses), np.broadcast_shapes(np.shape(pulses), conductance.shape))
        g = np.array(np.broadcast_to(conductance, count.shape))
        for done in range(int(np.abs(count).max(initial=0))):
            up, down = count > done, count < -done
            g[up] = np.interp(g[up], self.before, self.after_up)
            g[down] = np.interp(g[down], self.before, self.after_down)
        return g


def pulse_table(model: Memristor, up: WritePulse, down: WritePulse, points: int = 1001) -> PulseTable:
    """Tabulate a memristor model for one pulse up and one down, at `points` states spread evenly over 0…1.

    Raises:
        CircuitError: a pulse that moves against its name, or cannot be integrated, or fewer than two points.
    """
    if points < 2:
        raise CircuitError(f"pulse table: {points} points are fewer than 2")
    states = np.linspace(0.0, 1.0, points)
    before = model.conductance(states)
    after = []
    for name, sense, pulse in (("up", 1, up), ("down", -1, down)):
        after.append(model.conductance(after_pulse(model, pulse.volts, pulse.seconds, states)))
        if not (sense * (after[-1] - before)).max() > 0:
            what = f"{show(pulse.volts, 'V')} for {show(pulse.seconds, 's')}"
            raise CircuitError(f"pulse table: the pulse {name} ({what}) moves no conductance {name}; turn its sign")
    return PulseTable(before, np.maximum(after[0], before), np.minimum(after[1], before))


@dataclass(frozen=True, eq=False)
class Spread(PulseResponse):
    """A response whose devices differ and whose pulses scatter; with both strengths 0 it is the response, to the bit.

    Every device multiplies its mean steps by its own factor 1 + σ N(0, 1), not below 0, drawn once; every pulse adds
    σ N(0, 1) of the range, as NeuroSim does. Pulses are applied one by one, inside the bounds. Get it from `spread`.
    """

    response: PulseResponse
    cycle_to_cycle: float
    """σ of one pulse, as a fraction of g_max − g_min."""
    cycles: np.random.Generator
    """The generator of every pulse's scatter."""
    factors: Array | None = field(default=None)
    """One a device, in the shape of the array; None where devices do not differ."""

    @property
    @override
    def bounds(self) -> tuple[float, float]:
        return self.response.bounds

    @override
    def pulse(self, conductance: Array, pulses: Pulses) -> Array:
        """See `PulseResponse`.

        Raises:
            CircuitError: another shape than that of the devices' factors.
        """
        if self.factors is None and self.cycle_to_cycle == 0:
            return self.response.pulse(conductance, pulses)
        if self.factors is not None and conductance.shape != self.factors.shape:
            raise CircuitError(f"spread: cells {conductance.shape} are not the devices drawn, {self.factors.shape}")
        count = np.broadcast_to(signed(pulses), conductance.shape).ravel()
        g = np.array(conductance, float).ravel()
        for sense in (1, -1):
            cells = np.flatnonzero(count > 0 if sense > 0 else count < 0)
            need = np.abs(count[cells])
            if need.max(initial=0) > 1:  # those with pulses left come first
                order = np.argsort(-need, kind="stable")
                cells, need = cells[order], need[order]
            g[cells] = self._train(g[cells], need, sense, cells)
        return g.reshape(conductance.shape)

    def _train(self, g: Array, count: npt.NDArray[np.int64], sense: int, cells: npt.NDArray[np.intp]) -> Array:
        """Return `g` (S, ``[cell]``) after pulses of one direction, one by one; counts fall along the cells."""
        low, high = self.bounds
        factors = None if self.factors is None else self.factors.ravel()[cells]
        for done in range(int(count.max(initial=0))):
            left = int(np.count_nonzero(count > done))
            before = g[:left]
            moved = self.response.pulse(before, sense)
            if factors is not None:
                moved = before + (moved - before) * factors[:left]
            if self.cycle_to_cycle:
                moved += self.cycle_to_cycle * (high - low) * self.cycles.standard_normal(left)
            np.clip(moved, low, high, out=before)
        return g


def spread(
    response: PulseResponse,
    shape: tuple[int, ...],
    *,
    device_to_device: float,
    cycle_to_cycle: float,
    devices: np.random.Generator,
    cycles: np.random.Generator,
) -> Spread:
    """Draw an array's devices; strengths are fractions, of the mean step (device) and of the range (cycle).

    Raises:
        CircuitError: a strength outside 0…10.
    """
    for name, strength in (("device-to-device", device_to_device), ("cycle-to-cycle", cycle_to_cycle)):
        if not 0 <= strength <= 10:
            raise CircuitError(f"spread: {name} strength {strength:g} must lie in 0…10, as a fraction")
    factors = np.maximum(1 + device_to_device * devices.standard_normal(shape), 0.0) if device_to_device else None
    return Spread(response, cycle_to_cycle, cycles, factors)


def curvature_of_label(label: float) -> float:
    """Return the ν of `ExponentialStep` for NeuroSim's nonlinearity label, of the same sign.

    NeuroSim tabulates A/P over labels 0.01…9 in steps of 0.01 (``getParamA``). Its label is 1000/99 of the curve's
    largest distance from the straight line, which this inverts: within 1e-4 of six entries of that table, up to 3.19.
    Note that NeuroSim writes a depression whose steps shrink, ν > 0 here, with a negative label.

    Raises:
        CircuitError: a label beyond ±9.
    """
    if not abs(label) <= 9:
        raise CircuitError(f"nonlinearity label {label:g} must lie in ±9")
    if label == 0:
        return 0.0
    from scipy.optimize import brentq  # noqa: PLC0415 - for one law of one section; it takes a while to import

    return float(np.sign(label) * brentq(lambda nu: label_of_curvature(nu) - abs(label), 1e-12, _STEEPEST, xtol=1e-12))


def label_of_curvature(curvature: float) -> float:
    """Return NeuroSim's nonlinearity label of ν, the inverse of `curvature_of_label`."""
    nu = abs(curvature)
    if nu < 1e-4:  # the distance is ν/8 to second order, and the formula below would cancel
        return float(_LABEL * curvature / 8)
    slope = -np.expm1(-nu) / nu  # of the straight line, in units of the exponential's initial slope
    distance = (1 - slope) / (nu * slope) + np.log(slope) / nu
    return float(np.sign(curvature) * _LABEL * distance)


def signed(pulses: Pulses) -> npt.NDArray[np.int64]:
    """Return signed counts from truth values or whole numbers.

    Raises:
        CircuitError: anything else.
    """
    given = np.asarray(pulses)
    if given.dtype == np.bool_:
        return np.where(given, 1, -1)
    if not np.issubdtype(given.dtype, np.integer):
        raise CircuitError(f"pulses of type {given.dtype}: they must be truth values or whole numbers")
    return given.astype(np.int64)


def _along(way: Array, share: Array, curvature: Array) -> Array:
    """Return the way (0…1) after a further share n/P of the pulses; it goes beyond 1 where the curve goes on."""
    straight = np.abs(curvature) < 1e-12
    grown = np.expm1(np.clip(-curvature * share, -_STEEPEST, _STEEPEST))
    ahead = np.where(straight, share, grown / np.expm1(np.where(straight, 1.0, -curvature)))
    return np.asarray(way + way * grown + ahead)


def _walk(levels: Array, conductance: Array, steps: npt.NDArray[np.int64]) -> Array:
    """Return the level `steps` levels further along a rising curve than g, which may lie between two levels."""
    numbers = np.arange(levels.size, dtype=float)
    return np.interp(np.interp(conductance, levels, numbers) + steps, numbers, levels)


def _check_bounds(what: str, low: float, high: float) -> None:
    if not 0 <= low < high < np.inf:
        both = f"{show(low, 'S')} and {show(high, 'S')}"
        raise CircuitError(f"{what}: bounds {both} must be finite and not below 0 S, the lower one first")
