"""Two models of metal-oxide RRAM: a filament's gap, and a TiOx device as it was measured.

`harness.devices.switching` says what they have in common with the others.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from harness.devices.switching import Memristor, bounded, check_positive, check_resistances, kept_inside
from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show

BOLTZMANN = 1.380649e-23
"""J/K."""
CHARGE = 1.602176634e-19
"""C."""
ONSET = 0.01
"""Relative width, above its minimum field, over which `StanfordGap` starts to move."""


@dataclass(frozen=True)
class StanfordGap(Memristor):
    """The law i = I_0 exp(−g/g_0) sinh(v/V_0) of a gap g (Jiang et al. 2014, SISPAD, 41; doi:10.4231/D37H1DN48).

    dg/dt = −ν_0 exp(−E_a/kT) sinh(γ a_0 q v / (L k T)), γ = γ_0 − β (g/1 nm)^α, T = T_0 + |v i| R_th, where the field
    γ |v| / L reaches F_min; here the motion starts over 1 % above F_min instead of at once. No fluctuation of the gap.
    x = (g_max − g) / (g_max − g_min). Equations and defaults are the code's standard model, by a public Python port.

    Raises:
        CircuitError: a parameter is out of range.
    """

    amplitude: float = 1e-3
    """I_0 in A."""
    gap_scale: float = 0.25e-9
    """g_0 in m."""
    volt_scale: float = 0.25
    """V_0 in V."""
    speed: float = 10.0
    """ν_0 in m/s."""
    activation: float = 0.6
    """E_a in eV."""
    hop: float = 0.25e-9
    """a_0 in m."""
    thickness: float = 12e-9
    """L in m."""
    enhancement: float = 16.0
    """γ_0."""
    enhancement_loss: float = 0.8
    """β."""
    enhancement_power: float = 3.0
    """α."""
    minimum_field: float = 1.4e9
    """F_min in V/m."""
    thermal_resistance: float = 2.1e3
    """R_th in K/W."""
    ambient: float = 298.0
    """T_0 in K."""
    gap_min: float = 0.2e-9
    """m."""
    gap_max: float = 1.7e-9
    """m."""

    def __post_init__(self) -> None:
        check_positive("Stanford gap", self, amplitude="A", gap_scale="m", volt_scale="V", speed="m/s", activation="eV")
        check_positive("Stanford gap", self, hop="m", thickness="m", enhancement="", minimum_field="V/m", ambient="K")
        if not 0 < self.gap_min < self.gap_max < np.inf:
            gaps = f"{show(self.gap_min, 'm')} and {show(self.gap_max, 'm')}"
            raise CircuitError(f"Stanford gap: gaps {gaps} must be above 0 m, the smaller one first")

    def gap(self, state: Array | float) -> Array:
        """Return the gap g in m."""
        return self.gap_max - (self.gap_max - self.gap_min) * bounded(state)

    @override
    def current(self, volts: Array | float, state: Array | float) -> Array:
        return self.amplitude * np.exp(-self.gap(state) / self.gap_scale) * np.sinh(np.asarray(volts) / self.volt_scale)

    @override
    def rate(self, volts: Array | float, state: Array | float) -> Array:
        v, gap = np.asarray(volts, float), self.gap(state)
        gamma = self.enhancement - self.enhancement_loss * (gap / 1e-9) ** self.enhancement_power
        kelvin = self.ambient + np.abs(v * self.current(v, state)) * self.thermal_resistance
        thermal = BOLTZMANN / CHARGE * kelvin
        started = np.clip((gamma * np.abs(v) / self.thickness / self.minimum_field - 1) / ONSET, 0.0, 1.0)
        speed = self.speed / (self.gap_max - self.gap_min) * np.exp(-self.activation / thermal)
        return kept_inside(speed * started * np.sinh(gamma * self.hop / self.thickness * v / thermal), state)


@dataclass(frozen=True)
class DataDriven(Memristor):
    """A TiOx device as measured: a resistance between bounds that depend on the voltage, i = a sinh(b v) / R.

    dR/dt = A_p (exp(t_p v) − 1) (exp(k_p (r_p(v) − R)) − 1) at positive volts, up to r_p, and
    −A_n (exp(t_n |v|) − 1) (exp(k_n (R − r_n(v))) − 1) at negative ones, down to r_n, both bounds linear in v
    (Messaris, Serb, Stathopoulos, Khiat, Nikolaidis & Prodromakis 2018, IEEE Trans. CAD 37(12)). It was measured at up
    to 0.8 V between 10 and 17 kΩ; x = (R_off − R) / (R_off − R_on) runs over that range.

    The defaults are those of MemTorch's ``Data_Driven``, which cites the paper. The preprint (arXiv 1703.01167) fits a
    TiOx device by squares instead of exponentials; at its reference resistances, at 0.7 and 0.8 V, its rates are within
    a factor of 2.3 of these (tested). It prints A with the other signs, but says that positive volts raise R to r_p, as
    here. It has no i(v), so that the figures in `unverified` stand on MemTorch alone.

    Raises:
        CircuitError: a parameter is out of range.
    """

    unverified: ClassVar[tuple[str, ...]] = ("amplitude", "curvature")
    """Fields with one source only."""

    on_resistance: float = 10e3
    """R_on in Ω."""
    off_resistance: float = 17e3
    """R_off in Ω; above `on_resistance`."""
    amplitude: float = 0.24
    """a in V."""
    curvature: float = 3.0
    """b in 1/V."""
    off_speed: float = 743.47
    """A_p in Ω/s."""
    on_speed: float = 68012.28374
    """A_n in Ω/s, a magnitude."""
    off_exponent: float = 6.51
    """t_p in 1/V."""
    on_exponent: float = 0.31645
    """t_n in 1/V."""
    off_steepness: float = 5.11e-4
    """k_p in 1/Ω."""
    on_steepness: float = 1.17e-3
    """k_n in 1/Ω."""
    off_bound: float = 16719.0
    """r_p at 0 V, Ω."""
    off_bound_slope: float = 0.0
    """Slope of r_p, Ω/V."""
    on_bound: float = 29304.82557
    """r_n at 0 V, Ω."""
    on_bound_slope: float = 23692.77225
    """Slope of r_n, Ω/V."""

    def __post_init__(self) -> None:
        check_resistances("data-driven", self.on_resistance, self.off_resistance)
        check_positive("data-driven", self, amplitude="V", curvature="1/V", off_speed="Ω/s", on_speed="Ω/s")
        check_positive("data-driven", self, off_exponent="1/V", on_exponent="1/V", off_bound="Ω", on_bound="Ω")
        check_positive("data-driven", self, off_steepness="1/Ω", on_steepness="1/Ω")
        for name, slope in (("off bound", self.off_bound_slope), ("on bound", self.on_bound_slope)):
            if not 0 <= slope < np.inf:
                raise CircuitError(f"data-driven: slope of the {name} {slope:g} Ω/V must be finite and not below 0 Ω/V")

    def resistance(self, state: Array | float) -> Array:
        """Return R in Ω."""
        return self.off_resistance - (self.off_resistance - self.on_resistance) * bounded(state)

    @override
    def current(self, volts: Array | float, state: Array | float) -> Array:
        return self.amplitude * np.sinh(self.curvature * np.asarray(volts, float)) / self.resistance(state)

    @override
    def rate(self, volts: Array | float, state: Array | float) -> Array:
        v, ohms = np.asarray(volts, float), self.resistance(state)
        below = np.maximum(self.off_bound + self.off_bound_slope * v - ohms, 0.0)
        above = np.maximum(ohms - self.on_bound - self.on_bound_slope * v, 0.0)
        off = self.off_speed * np.expm1(self.off_exponent * np.maximum(v, 0.0)) * np.expm1(self.off_steepness * below)
        on = self.on_speed * np.expm1(self.on_exponent * np.maximum(-v, 0.0)) * np.expm1(self.on_steepness * above)
        return kept_inside((on - off) / (self.off_resistance - self.on_resistance), state)
