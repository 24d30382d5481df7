"""The current of a trainable cell as a function of the voltage over it."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show

_LEAST, _MOST = 1e-3, 1e6  # V
_LARGEST_EXPONENT = 600.0
"""Steps of an iteration may pass through absurd voltages; they must not become infinite currents."""


class Curve(StrEnum):
    """The shapes f of i = g f(v), all odd and with f'(0) = 1, so that g is the conductance for small signals."""

    LINEAR = "linear"
    """f = v."""
    SINH = "sinh"
    """f = V₀ sinh(v / V₀): what tunnelling through a thin oxide gives (Chang et al. 2011, Appl. Phys. A 102, 857)."""
    CUBIC = "cubic"
    """f = v (1 + (v / V₀)²): what any odd law begins like; at V₀ the current is twice a linear cell's."""


@dataclass(frozen=True)
class CellLaw:
    """The law i = g f(v) of every cell of an array.

    Raises:
        CircuitError: a curve that is not linear has V₀ outside 1 mV…1 MV, or a linear one has any.
    """

    curve: Curve = Curve.LINEAR
    volts: float = 0.0
    """V₀ in V; 0 for linear cells, which have none."""

    def __post_init__(self) -> None:
        if self.linear and self.volts:
            raise CircuitError(f"cell law: a linear cell has no V₀, {show(self.volts, 'V')} was given; leave it out")
        if not self.linear and not _LEAST <= self.volts <= _MOST:
            given, bounds = show(self.volts, "V"), f"{show(_LEAST, 'V')}…{show(_MOST, 'V')}"
            raise CircuitError(f"cell law: V₀ {given} of a {self.curve} cell must lie in {bounds}")

    @property
    def linear(self) -> bool:
        """The cell is a conductance."""
        return self.curve is Curve.LINEAR

    @property
    def limit(self) -> float:
        """The voltage in V beyond which currents overflow; iterations may pass there, solutions may not."""
        return _LARGEST_EXPONENT * self.volts if self.curve is Curve.SINH else np.inf

    def current_and_slope(self, volts: Array) -> tuple[Array, Array]:
        """Return f (A/S) and its slope f' at `volts` (V), in the same shape; times g, a current and a conductance."""
        match self.curve:
            case Curve.LINEAR:
                return volts, np.ones_like(volts)
            case Curve.CUBIC:
                square = (volts / self.volts) ** 2
                return volts * (1 + square), 1 + 3 * square
            case Curve.SINH:
                grown = np.expm1(np.minimum(np.abs(volts) / self.volts, _LARGEST_EXPONENT))
                shrunk = grown / (1 + grown)  # 1 − e^−x
                half = 0.5 * (grown + shrunk)
                return np.copysign(self.volts * half, volts), 1 + 0.5 * grown * shrunk


LINEAR_CELLS = CellLaw()
"""Cells that are conductances."""
