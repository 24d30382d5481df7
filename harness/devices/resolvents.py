"""Resolvents of device laws: the activation functions that hardware computes.

A device with the law i(v) behind a resistance λ (Ω) to an open-circuit voltage w settles at v + λ i(v) = w. That v,
as a function of w, is the resolvent (1 + λ i)⁻¹ of the law. Where the law is monotone, the resolvent is monotone and
nonexpansive: 0 ≤ dv/dw ≤ 1. The ideal diode's is min(w, 0), and what it keeps back, λ i = w − v, is the ReLU
(Chaffey 2025, arXiv 2509.13793; Winston & Kolter 2020).

Every class has ``activation(volts, resistance)``: V at the device, from the open-circuit voltage (V, any shape) and the
resistance λ in front of it (Ω, broadcast with `volts`); it raises a `CircuitError` for a resistance that is not above
0 Ω. The laws are textbook ones: ngspice's shelf below −3 N V_T and gmin (`harness.devices.diode`) are left out.
"""

from dataclasses import dataclass

import numpy as np

from harness.devices.diode import THERMAL_VOLTAGE, DiodeModel
from harness.devices.switching import check_positive
from harness.errors import CircuitError
from harness.measurement import Array

_LARGEST_EXPONENT = 600.0
"""Currents of absurd voltages stay finite."""
_LARGE = 20.0  # asinh(e^x) is x + ln 2 beyond it, to rounding
_STEPS = 60
"""Newton steps at most; about ten are taken."""


@dataclass(frozen=True)
class Junction:
    """A Shockley diode, anode at the device's voltage: i = I_s (exp(v / s) − 1).

    Raises:
        CircuitError: a parameter is out of range.
    """

    saturation_current: float
    """I_s in A."""
    scale: float
    """s = N V_T in V."""

    def __post_init__(self) -> None:
        check_positive("junction", self, saturation_current="A", scale="V")

    @staticmethod
    def of(model: DiodeModel) -> "Junction":
        """Return the junction of a diode model at the temperature of every deck."""
        return Junction(model.saturation_current, model.emission * THERMAL_VOLTAGE)

    def current(self, volts: Array) -> Array:
        """Return A at `volts` (V), in the same shape."""
        return self.saturation_current * np.expm1(np.minimum(volts / self.scale, _LARGEST_EXPONENT))

    def activation(self, volts: Array, resistance: float | Array) -> Array:
        """Return w + λI_s − s W₀((λI_s / s) exp((w + λI_s) / s)), computed with ω(x) = W₀(eˣ), which does not overflow.

        A large ω would cancel with w; there the same root is s (ln ω − ln(λI_s / s)).
        """
        from scipy.special import wrightomega  # noqa: PLC0415 - ngspice's users need none, and it takes a while

        leak = _checked(resistance) * self.saturation_current
        ratio = np.log(leak) - np.log(self.scale)
        omega = np.asarray(wrightomega(ratio + (volts + leak) / self.scale), float)
        forward = self.scale * (np.log(np.maximum(omega, 1.0)) - ratio)
        return np.where(omega > 1, forward, volts + leak - self.scale * omega)


@dataclass(frozen=True)
class AntiparallelPair:
    """Two equal Shockley diodes, one to a rail at `high` and one from a rail at `low`: soft clipping between them.

    i = I_s (exp((v − high) / s) − exp((low − v) / s)), which is 2 I_s exp(−(high − low) / 2s) sinh((v − middle) / s).
    With both rails at 0 V it is the plain antiparallel pair, 2 I_s sinh(v / s).

    Raises:
        CircuitError: a parameter is out of range.
    """

    saturation_current: float
    """I_s in A."""
    scale: float
    """s = N V_T in V."""
    low: float = 0.0
    """V."""
    high: float = 0.0
    """V; not below `low`."""

    def __post_init__(self) -> None:
        check_positive("antiparallel pair", self, saturation_current="A", scale="V")
        _check_order("antiparallel pair", self.low, self.high)

    def current(self, volts: Array) -> Array:
        """Return A at `volts` (V), in the same shape."""
        up = np.exp(np.minimum((volts - self.high) / self.scale, _LARGEST_EXPONENT))
        down = np.exp(np.minimum((self.low - volts) / self.scale, _LARGEST_EXPONENT))
        return self.saturation_current * (up - down)

    def activation(self, volts: Array, resistance: float | Array) -> Array:
        """Solve by Newton's method, which cannot leave the bracket it starts from."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        strength = np.log(_checked(resistance)) + np.log(2 * self.saturation_current / self.scale) - half / self.scale
        target = (volts - middle) / self.scale
        return middle + self.scale * np.sign(target) * _sinh_root(np.abs(target), strength)


def _sinh_root(target: Array, logarithm: Array) -> Array:
    """Return the x ≥ 0 of x + a sinh x = target ≥ 0, for an `a` given by its `logarithm`.

    The left side is convex, so that Newton's method falls monotonically from min(target, asinh(target / a)), which is
    no smaller than the root; 0 bounds it from below.
    """
    ratio = np.log(np.maximum(target, np.finfo(float).tiny)) - logarithm
    inverse = np.where(ratio > _LARGE, ratio + np.log(2), np.arcsinh(np.exp(np.minimum(ratio, _LARGE))))
    x = np.minimum(target, inverse)
    for _ in range(_STEPS):
        up, down = np.exp(np.minimum(x + logarithm, _LARGEST_EXPONENT)) / 2, np.exp(logarithm - x) / 2
        lower = np.clip(x - (x + (up - down) - target) / (1 + up + down), 0.0, x)
        if np.array_equal(lower, x):
            break
        x = lower
    return x


@dataclass(frozen=True)
class ZenerShelf:
    """Two ideal diodes in opposite series with offsets: open between `low` and `high`, a resistance beyond each.

    Piecewise linear; without a resistance of its own it clips. `AntiparallelPair` is its soft relative.

    Raises:
        CircuitError: a parameter is out of range.
    """

    low: float
    """V."""
    high: float
    """V; not below `low`."""
    on_resistance: float = 0.0
    """Ω beyond the shelf."""

    def __post_init__(self) -> None:
        _check_order("shelf", self.low, self.high)
        if not 0 <= self.on_resistance < np.inf:
            raise CircuitError(f"shelf: resistance {self.on_resistance:g} Ω must be finite and not below 0 Ω")

    def activation(self, volts: Array, resistance: float | Array) -> Array:
        """Return the closed form of the clipped line."""
        inside = np.clip(volts, self.low, self.high)
        return inside + (volts - inside) * (self.on_resistance / (self.on_resistance + _checked(resistance)))


@dataclass(frozen=True)
class SquareLaw:
    """A MOSFET with its gate at its drain: i = k/2 · max(v − V_t, 0)².

    Raises:
        CircuitError: a parameter is out of range.
    """

    transconductance: float
    """k in A/V²."""
    threshold: float
    """V_t in V."""

    def __post_init__(self) -> None:
        check_positive("square law", self, transconductance="A/V²")
        if not np.isfinite(self.threshold):
            raise CircuitError(f"square law: threshold {self.threshold} V is not finite")

    def current(self, volts: Array) -> Array:
        """Return A at `volts` (V), in the same shape."""
        return self.transconductance / 2 * np.maximum(volts - self.threshold, 0.0) ** 2

    def activation(self, volts: Array, resistance: float | Array) -> Array:
        """Return V_t + 2 x / (1 + √(1 + 2 λ k x)) for x = w − V_t above 0, else w."""
        over = np.maximum(volts - self.threshold, 0.0)
        root = np.sqrt(1 + 2 * _checked(resistance) * self.transconductance * over)
        return np.minimum(volts, self.threshold) + 2 * over / (1 + root)


def _checked(resistance: float | Array) -> Array:
    ohms = np.asarray(resistance, float)
    if not (np.isfinite(ohms) & (ohms > 0)).all():
        wrong = float(ohms[~(np.isfinite(ohms) & (ohms > 0))].flat[0])
        raise CircuitError(f"resolvent: the resistance in front of the device, {wrong:g} Ω, must be finite and above 0")
    return ohms


def _check_order(what: str, low: float, high: float) -> None:
    if not -np.inf < low <= high < np.inf:
        raise CircuitError(f"{what}: rails {low:g} V and {high:g} V must be finite, the lower one first")
