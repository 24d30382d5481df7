"""The square-law transistor (Shichman & Hodges 1968), SPICE's level 1, without channel-length modulation.

Its drain current is a difference of two functions of one voltage each, so that drain and source may change places:

    I = f(v_gs) − f(v_gd)    with    f(v) = ± K/2 (± (v − V_t))₊²

the upper signs for n. A conductance gmin lies between drain and source: the body, SPICE's fourth terminal, is tied to
the source, its junctions have no saturation current, and gmin across the one to the drain is what is left of them.
Gates draw no current. Lengths and widths are equal, so that K is SPICE's KP.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.devices.diode import GMIN, check_model_name
from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show

_GROWTH = 3.0
"""Overdrive at which the next tangent may be taken, as a multiple of the last one's distance from the threshold."""
_START = 0.5
"""V of overdrive that it may have at once."""


@dataclass(frozen=True)
class MosfetModel:
    """The parameters of a square-law transistor.

    Raises:
        CircuitError: a name that SPICE could not read, or parameters out of range.
    """

    name: str
    transconductance: float
    """K (SPICE's KP) in A/V²."""
    threshold: float
    """V_t (SPICE's VTO) in V; above 0 V in n, below 0 V in p is off without a gate voltage."""
    polarity: str = "n"
    """``n`` or ``p``."""

    letter: ClassVar[str] = "m"
    noun: ClassVar[str] = "transistor"
    branches: ClassVar[tuple[tuple[int, int, int, int], ...]] = ((0, 2, 1, 2), (2, 0, 1, 0))
    instance: ClassVar[Mapping[str, float]] = {"l": 1e-6, "w": 1e-6}

    def __post_init__(self) -> None:
        check_model_name("transistor", self.name)
        if not 0 < self.transconductance <= 1e3:
            given = show(self.transconductance, "A/V²")
            raise CircuitError(f"transistor model {self.name}: K = {given} must be above 0 and at most 1000 A/V²")
        if not -100 <= self.threshold <= 100:
            given = show(self.threshold, "V")
            raise CircuitError(f"transistor model {self.name}: threshold {given} must lie in -100…100 V")
        if self.polarity not in {"n", "p"}:
            raise CircuitError(f"transistor model {self.name}: polarity {self.polarity!r} must be 'n' or 'p'")

    def card(self, unit: float = 1.0) -> tuple[str, Mapping[str, float]]:
        """SPICE's type of model, and its parameters where currents and voltages count in units of so many A and V."""
        given = {"vto": self.threshold / unit, "kp": self.transconductance * unit}
        return f"{self.polarity}mos", {"level": 1, **given, "gamma": 0.0, "lambda": 0.0, "is": 0.0}

    @property
    def figures(self) -> Mapping[str, tuple[float, str]]:
        """Its parameters with their units, by symbol."""
        return {"K": (self.transconductance, "A/V²"), f"{self.polarity}-type, V_t": (self.threshold, "V")}

    @staticmethod
    def laws(models: Sequence["MosfetModel"], units: Sequence[float]) -> "SquareLaw":
        """The law of both branches of many transistors, in units of so many A and V."""
        factor = np.array([m.transconductance for m in models]) * units
        threshold = np.array([m.threshold for m in models]) / units
        sign = np.array([1.0 if m.polarity == "n" else -1.0 for m in models])
        return SquareLaw(*(np.repeat(values, 2) for values in (factor, threshold, sign)))


@dataclass(frozen=True, eq=False)
class SquareLaw:
    """f(v) + gmin v for many branches, whose parameters broadcast together with voltages."""

    factor: Array
    """K, A/V², ``[branches]``."""
    threshold: Array
    """V, ``[branches]``."""
    sign: Array
    """1 for n, −1 for p, ``[branches]``."""

    def current_and_slope(self, volts: Array) -> tuple[Array, Array]:
        """Current (A) and its slope (S) at voltages (V), ``[..., branches]``."""
        over = volts - self.threshold
        over *= self.sign
        np.maximum(over, 0.0, out=over)
        slope = self.factor * over
        slope += GMIN
        current = np.square(over, out=over)
        current *= self.sign * self.factor / 2
        current += GMIN * volts
        return current, slope

    def upright(self) -> "SquareLaw":
        """The same law for voltages ``[branches, batch]``."""
        return SquareLaw(self.factor[:, None], self.threshold[:, None], self.sign[:, None])

    def softened(self, softness: float) -> "SquareLaw":  # noqa: ARG002
        """The same law: nothing grows exponentially."""
        return self

    @property
    def sharpest(self) -> float:
        """Infinite: nothing grows exponentially."""
        return np.inf

    def limited(self, new: Array, old: Array) -> Array:
        """Voltages (V) at most three times as far above the threshold as the old ones were on either side of it.

        A transistor that is off leaves its node to gmin, so that Newton's next step ends far beyond where it conducts,
        and steps on a parabola from there only halve the way back. SPICE's ``DEVfetlim`` limits such steps, too.
        """
        above = new - self.threshold
        above *= self.sign
        most = old - self.threshold
        np.abs(most, out=most)
        most *= _GROWTH
        most += _START
        large = above > most
        return np.where(large, self.threshold + self.sign * most, new) if large.any() else new
