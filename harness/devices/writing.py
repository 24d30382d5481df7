"""Devices as cells that are written by pulses: a law over a range, how devices and pulses scatter, what a pulse costs.

A law is laid over the range of a network's cells, for networks scale with their conductances while devices do not. What
does not scale is a device's on/off ratio: where it is known, cells reach from g_max / ratio to g_max and no lower.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.devices.measured import PulseFit
from harness.devices.presets import Potentiometer, Preset
from harness.devices.pulses import ExponentialStep, LinearStep, PulseCurves, SoftBounds, WritePulse
from harness.errors import CircuitError
from harness.measurement import Array

Law = LinearStep | SoftBounds | ExponentialStep | PulseCurves
"""Laws whose pulses can be counted: see `pulses_needed`."""


@dataclass(frozen=True, eq=False)
class Device:
    """A kind of cell that is written by pulses.

    Raises:
        CircuitError: an on/off ratio that is not above 1, or pulses that do nothing in the middle of the range.
    """

    name: str
    law: Law
    """The mean answer to pulses, over the device's own range; networks take its shape."""
    ratio: float | None = None
    """g_max / g_min that cells keep, infinite for a device that closes; None where it is not known or left out."""
    cycle_to_cycle: float = 0.0
    """σ of one pulse, as a fraction of the range."""
    device_to_device: float = 0.0
    """σ of a device's steps, as a fraction of the mean step."""
    up: WritePulse | None = None
    down: WritePulse | None = None
    energy: float | None = None
    """J a pulse; where it is None, V² g t of the pulse where that is known, else nothing is counted."""

    def __post_init__(self) -> None:
        if self.ratio is not None and not self.ratio > 1:
            raise CircuitError(f"device {self.name}: on/off ratio {self.ratio:g} must be above 1")
        if not all(step > 0 for step in middle_steps(self.law)):
            raise CircuitError(
                f"device {self.name}: pulses must move a conductance in the middle of its range both ways"
            )

    def over(self, g_min: float, g_max: float) -> Law:
        """Return the law of a network's cells between g_min (or g_max / ratio, where that is higher) and g_max (S)."""
        return placed(self.law, g_min if self.ratio is None else max(g_min, g_max / self.ratio), g_max)

    def joules(self, pulses: npt.NDArray[np.int64], conductances: Array) -> float:
        """Return the energy in J of signed numbers of pulses at conductances (S, same shape)."""
        if self.energy is not None:
            return self.energy * float(np.abs(pulses).sum())
        total = 0.0
        for pulse, count in ((self.up, np.maximum(pulses, 0)), (self.down, np.maximum(-pulses, 0))):
            if pulse is not None:
                total += pulse.volts**2 * pulse.seconds * float((count * conductances).sum())
        return total


def device_of(source: Preset | Potentiometer) -> Device:
    """Return a published device; scatter that was not published counts as none.

    The ratio is that of the published conductances, or of a potentiometer's first and last position.
    """
    if isinstance(source, Potentiometer):
        law = source.response()
        low, high = law.bounds
        return Device(source.name, law, high / low)
    known = source.g_min is not None and source.g_max is not None
    curve = source.response() if known else source.response(0.0, 1.0)
    return Device(
        source.name,
        curve,
        _ratio(*curve.bounds) if known else None,
        source.cycle_to_cycle or 0.0,
        source.device_to_device or 0.0,
        source.up,
        source.down,
        source.energy,
    )


def measured_device(name: str, found: PulseFit) -> Device:
    """Return a device of one's own from what `harness.devices.measured.fit` found."""
    return Device(name, found.response, _ratio(*found.response.bounds), found.cycle_to_cycle)


def placed(law: Law, g_min: float, g_max: float) -> Law:
    """Return the same law stretched over another range (S).

    Raises:
        CircuitError: bounds out of order.
    """
    low, high = law.bounds
    scale = (g_max - g_min) / (high - low)
    match law:
        case LinearStep():
            return LinearStep(g_min, g_max, law.step_up * scale, law.step_down * scale)
        case SoftBounds() | ExponentialStep():
            return replace(law, g_min=g_min, g_max=g_max)
        case PulseCurves():
            levels = (np.clip(g_min + (curve - low) * scale, g_min, g_max) for curve in (law.up, law.down))
            return PulseCurves(*levels)


def middle_steps(law: Law) -> tuple[float, float]:
    """Return the steps in S of one pulse up and of one down (a magnitude) in the middle of the range."""
    middle = np.array([sum(law.bounds) / 2])
    up, down = (float(abs(law.pulse(middle, sense) - middle)[0]) for sense in (1, -1))
    return up, down


def pulses_needed(law: Law, start: Array, goal: Array) -> Array:
    """Return signed pulses (fractions too) from `start` to `goal` (S, same shape, inside the bounds); inf for never."""
    rising = goal > start
    match law:
        case LinearStep():
            return np.asarray((goal - start) / np.where(rising, law.step_up, law.step_down))
        case SoftBounds():
            end = np.where(rising, law.g_max, law.g_min)
            rate = np.log1p(-np.minimum(np.where(rising, law.fraction_up, law.fraction_down), 1 - 1e-12))
            with np.errstate(divide="ignore", invalid="ignore"):
                count = np.log((end - goal) / (end - start)) / rate
            return np.where(goal == start, 0.0, np.where(rising, count, -count))
        case ExponentialStep():
            way = [np.clip((g - law.g_min) / (law.g_max - law.g_min), 0.0, 1.0) for g in (start, goal)]
            behind = np.where(rising, way[0], 1 - way[0])
            curvature = np.where(rising, law.curvature_up, law.curvature_down)
            pulses = np.where(rising, law.pulses_up, -law.pulses_down)
            return pulses * _share(behind, np.abs(way[1] - way[0]), curvature)
        case PulseCurves():
            up = [np.interp(g, law.up, np.arange(law.up.size)) for g in (start, goal)]
            down = [np.interp(g, law.down[::-1], np.arange(law.down.size)) for g in (start, goal)]
            return np.where(rising, up[1] - up[0], down[1] - down[0])


def _share(behind: Array, ahead: Array, curvature: Array) -> Array:
    """Return the share n/P of pulses that moves a cell from `behind` (0…1) by `ahead` on an exponential curve."""
    straight = np.abs(curvature) < 1e-12
    bent = np.expm1(-curvature)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.maximum(ahead * bent / (1 + behind * bent), -1.0)  # below only by rounding, of very steep curves
        count = -np.log1p(left) / np.where(straight, 1.0, curvature)
    return np.where(straight | (ahead == 0), ahead, count)


def _ratio(low: float, high: float) -> float:
    return high / low if low > 0 else float("inf")
