"""The junction diode, with the very law that ngspice solves.

Forward and down to v = −3 N V_T it is Shockley's I_s (exp(v / N V_T) − 1); below, ngspice replaces the exponential by
−I_s (1 + (3 N V_T / (e v))³), and a conductance gmin lies across every junction (SPICE3's ``dioload``).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show

GMIN = 1e-12
"""S across every junction: ngspice's default, set explicitly in every deck."""
TEMPERATURE = 27.0
"""°C: temp = tnom in every deck."""
THERMAL_VOLTAGE = 1.38064852e-23 * (TEMPERATURE + 273.15) / 1.6021766208e-19
"""kT/q in V at `TEMPERATURE`, with ngspice's constants (``const.h``, CODATA 2014)."""

_KNEE = -3.0
_LARGEST_EXPONENT = 600.0
"""Steps of an iteration may pass through absurd voltages; they must not become infinite currents."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_model_name(noun: str, name: str) -> None:
    """Refuse a name of a device's model that SPICE could not read.

    Raises:
        CircuitError: it has other characters than letters, digits and ``_``, or begins with no letter.
    """
    if not _NAME.fullmatch(name):
        raise CircuitError(f"{noun} model {name!r}: a name has letters, digits and _ and starts with a letter")


@dataclass(frozen=True)
class DiodeModel:
    """A junction diode without series resistance or charge.

    Raises:
        CircuitError: a name that SPICE could not read, or parameters out of range.
    """

    name: str
    saturation_current: float
    """I_s in A."""
    emission: float
    """N, the ideality factor; the junction's scale is N V_T."""

    letter: ClassVar[str] = "d"
    noun: ClassVar[str] = "diode"
    branches: ClassVar[tuple[tuple[int, int, int, int], ...]] = ((0, 1, 0, 1),)
    instance: ClassVar[Mapping[str, float]] = {}

    def __post_init__(self) -> None:
        check_model_name("diode", self.name)
        if not 0 < self.saturation_current <= 1:
            current = show(self.saturation_current, "A")
            raise CircuitError(f"diode model {self.name}: saturation current {current} must be above 0 and at most 1 A")
        if not 0.01 <= self.emission <= 100:
            raise CircuitError(f"diode model {self.name}: emission coefficient {self.emission:g} must lie in 0.01…100")

    def card(self, unit: float = 1.0) -> tuple[str, Mapping[str, float]]:
        """SPICE's type of model, and its parameters where currents and voltages count in units of so many A and V."""
        return "d", {"is": self.saturation_current / unit, "n": self.emission / unit}

    @property
    def figures(self) -> Mapping[str, tuple[float, str]]:
        """Its parameters with their units, by symbol."""
        return {"I_s": (self.saturation_current, "A"), "N": (self.emission, "")}

    @staticmethod
    def laws(models: Sequence["DiodeModel"], units: Sequence[float]) -> "JunctionLaw":
        """The law of many diodes, each with currents and voltages in units of so many A and V."""
        saturation, emission = np.array([(m.saturation_current, m.emission) for m in models]).reshape(-1, 2).T / units
        return JunctionLaw(saturation, emission * THERMAL_VOLTAGE)


@dataclass(frozen=True)
class ZenerModel(DiodeModel):
    """A junction diode that breaks down when it is reversed: −I_s exp(−(v + V_B) / N V_T) below v = −V_B.

    Raises:
        CircuitError: a parameter out of range.
    """

    breakdown: float
    """V_B in V: the reverse voltage at which the current begins to grow from I_s."""

    noun: ClassVar[str] = "Zener diode"

    def __post_init__(self) -> None:
        super().__post_init__()
        given = show(self.breakdown, "V")
        if not 0.1 <= self.breakdown <= 1e4:
            raise CircuitError(f"diode model {self.name}: breakdown voltage {given} must lie in 0.1…10,000 V")
        if self.breakdown < -_KNEE * self.emission * THERMAL_VOLTAGE:
            least = show(-_KNEE * self.emission * THERMAL_VOLTAGE, "V")
            raise CircuitError(
                f"diode model {self.name}: breakdown voltage {given} must be at least 3 N V_T = {least}; lower N"
            )

    def card(self, unit: float = 1.0) -> tuple[str, Mapping[str, float]]:
        """See `DiodeModel.card`; the current at the breakdown voltage is I_s."""
        kind, parameters = super().card(unit)
        return kind, {**parameters, "bv": self.breakdown / unit, "ibv": self.saturation_current / unit}

    @property
    def figures(self) -> Mapping[str, tuple[float, str]]:
        """See `DiodeModel.figures`."""
        return {**super().figures, "V_B": (self.breakdown, "V")}

    @staticmethod
    def laws(models: Sequence["ZenerModel"], units: Sequence[float]) -> "ZenerLaw":  # type: ignore[override]
        """The law of many diodes, each with currents and voltages in units of so many A and V."""
        return ZenerLaw(DiodeModel.laws(models, units), np.array([m.breakdown for m in models]) / units)


@dataclass(frozen=True, eq=False)
class ZenerLaw:
    """The law of many junctions with a breakdown voltage.

    ngspice's own law has a step at −V_B, by (3 N V_T / e V_B)³ I_s and to the smaller current, in which no state can
    rest. Here both laws are added, so that there is none; beyond −V_B the current differs by less than that step.
    """

    forward: "JunctionLaw"
    """The law above the breakdown."""
    breakdown: Array
    """V_B, V, ``[junctions]``."""

    def current_and_slope(self, volts: Array) -> tuple[Array, Array]:
        """See `JunctionLaw.current_and_slope`."""
        current, slope = self.forward.current_and_slope(volts)
        scale, saturation = self.forward.scale, self.forward.saturation
        exponent = np.clip(-(volts + self.breakdown) / scale, 0.0, _LARGEST_EXPONENT)
        grown = saturation * np.expm1(exponent)
        return current - grown, slope + np.where(exponent > 0, (grown + saturation) / scale, 0.0)

    def upright(self) -> "ZenerLaw":
        """The same law for voltages ``[junctions, batch]``."""
        return ZenerLaw(self.forward.upright(), self.breakdown[:, None])

    def softened(self, softness: float) -> "ZenerLaw":
        """The same law for junctions of so many times the scale."""
        return ZenerLaw(self.forward.softened(softness), self.breakdown)

    @property
    def sharpest(self) -> float:
        """The least N V_T, V."""
        return self.forward.sharpest

    def limited(self, new: Array, old: Array) -> Array:
        """Voltages (V) at most a logarithmic step further in either direction, as SPICE's ``pnjlim`` does."""
        broken = new < np.minimum(0.0, 10 * self.forward.scale - self.breakdown)
        if not broken.any():
            return self.forward.limited(new, old)
        back = -self.forward.limited(-(new + self.breakdown), -(old + self.breakdown)) - self.breakdown
        return np.where(broken, back, self.forward.limited(new, old))


@dataclass(frozen=True, eq=False)
class JunctionLaw:
    """The law of many junctions, whose parameters broadcast together with voltages."""

    saturation: Array
    """I_s, A, ``[junctions]``."""
    scale: Array
    """N V_T, V, ``[junctions]``."""

    def current_and_slope(self, volts: Array) -> tuple[Array, Array]:
        """Current (A) and small-signal conductance (S) at voltages (V), ``[..., junctions]``."""
        return current_and_slope(volts, self.saturation, self.scale)

    def upright(self) -> "JunctionLaw":
        """The same law for voltages ``[junctions, batch]``."""
        return JunctionLaw(self.saturation[:, None], self.scale[:, None])

    def softened(self, softness: float) -> "JunctionLaw":
        """The same law for junctions of so many times the scale."""
        return JunctionLaw(self.saturation, softness * self.scale)

    @property
    def sharpest(self) -> float:
        """The least N V_T, V."""
        return float(self.scale.min(initial=np.inf))

    def limited(self, new: Array, old: Array) -> Array:
        """Voltages (V) at most a logarithmic step above the old ones, as SPICE's ``pnjlim`` does."""
        critical = self.scale * np.log(self.scale / (np.sqrt(2) * self.saturation))
        large = (new > critical) & (np.abs(new - old) > 2 * self.scale)
        if not large.any():
            return new
        grown = 1 + (new - old) / self.scale
        from_on = np.where(grown > 0, old + self.scale * np.log(np.maximum(grown, 1e-300)), critical)
        from_off = self.scale * np.log(np.maximum(new, 1e-300) / self.scale)
        return np.where(large, np.where(old > 0, from_on, from_off), new)


def current_and_slope(volts: Array, saturation: Array, scale: Array) -> tuple[Array, Array]:
    """Return current (A) and small-signal conductance (S) of junctions at `volts` (V, ``[..., diodes]``).

    `saturation` is I_s in A, `scale` N V_T in V, both ``[diodes]``; all arrays broadcast together.
    """
    exponent = volts / scale
    grown = np.exp(np.minimum(np.maximum(exponent, _KNEE), _LARGEST_EXPONENT))
    below = np.minimum(exponent, _KNEE)  # both laws at once: each is constant where the other holds
    ratio = (3 / np.e) / below
    shelf = ratio * ratio * ratio
    current = saturation * (grown - shelf - (1 + np.exp(_KNEE))) + GMIN * volts
    slope = saturation / scale * (grown + 3 * shelf / below - np.exp(_KNEE)) + GMIN
    return current, slope
