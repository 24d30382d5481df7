"""Memristor models: a current i(v, x), a rate dx/dt (v, x), and one state x in 0…1 that conducts best at 1.

Published models keep a width or a gap as their state; here it is normalized, so that a model's state, an array of cells
and a node of a netlist (`harness.netlist.memristor`) have the same scale. The last 0.1 % of the range before either
bound slows linearly to a stop: it replaces the hard clip of the papers, which no implicit integrator can solve, and it
is the same here and in the netlist.

Currents flow from p to n at positive v = v(p) − v(n). Which sign of voltage makes x grow is the model's own:
`LinearIonDrift`, `Yakopcic` and `StanfordGap` at positive volts, `Vteam` at negative ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from scipy.integrate import solve_ivp

from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show

EDGE = 1e-3
"""Of the range of x, before each bound, in which the motion towards that bound slows to 0."""
READ_VOLTS = 0.01
"""V at which a conductance is read."""
BOLTZMANN = 1.380649e-23
"""J/K."""
CHARGE = 1.602176634e-19
"""C."""
ONSET = 0.01
"""Relative width, above its minimum field, over which `StanfordGap` starts to move."""


class Memristor(Protocol):
    """What every model can say; arguments broadcast together."""

    def current(self, volts: Array | float, state: Array | float) -> Array:
        """A at `volts` (V); a state outside 0…1 counts as the bound."""
        ...

    def rate(self, volts: Array | float, state: Array | float) -> Array:
        """dx/dt in 1/s at `volts` (V)."""
        ...

    def conductance(self, state: Array | float) -> Array:
        """S at `READ_VOLTS`."""
        ...


class Window(StrEnum):
    """What slows the boundary of `LinearIonDrift` at the electrodes."""

    NONE = "none"
    JOGLEKAR = "joglekar"
    """1 − (2x − 1)^2p; Joglekar & Wolf 2009, Eur. J. Phys. 30, 661. A cell at a bound never leaves it."""
    BIOLEK = "biolek"
    """1 − (x − stp(−i))^2p; Biolek et al. 2009, Radioengineering 18(2), 210."""
    PRODROMAKIS = "prodromakis"
    """1 − ((x − ½)² + ¾)^p; Prodromakis et al. 2011, IEEE Trans. Electron Devices 58(9), 3099, with its j = 1."""


@dataclass(frozen=True)
class LinearIonDrift:
    """R = R_on x + R_off (1 − x), dx/dt = µ R_on / D² · i · f(x) (Strukov et al. 2008, Nature 453, 80, equations 5, 6).

    The defaults are the paper's figure 2: R_off/R_on = 160, D = 10 nm, µ = 1e-10 cm²/(V s); R_on = 100 Ω is the usual
    choice of its users.

    Raises:
        CircuitError: a parameter is out of range.
    """

    on_resistance: float = 100.0
    """Ω."""
    off_resistance: float = 16e3
    """Ω; above `on_resistance`."""
    thickness: float = 10e-9
    """D in m."""
    mobility: float = 1e-14
    """µ in m²/(V s)."""
    window: Window = Window.NONE
    window_power: float = 1.0
    """p; the higher, the flatter the window."""

    def __post_init__(self) -> None:
        _check_resistances("linear ion drift", self.on_resistance, self.off_resistance)
        _check_positive("linear ion drift: thickness", self.thickness, "m")
        _check_positive("linear ion drift: mobility", self.mobility, "m²/(V s)")
        if not 0.5 <= self.window_power <= 100:
            raise CircuitError(f"linear ion drift: window power {self.window_power:g} must lie in 0.5…100")

    @property
    def drift(self) -> float:
        """µ R_on / D² in 1/(A s)."""
        return self.mobility * self.on_resistance / self.thickness**2

    def current(self, volts: Array | float, state: Array | float) -> Array:
        """See `Memristor`."""
        x = _bounded(state)
        return np.asarray(volts) / (self.off_resistance + (self.on_resistance - self.off_resistance) * x)

    def rate(self, volts: Array | float, state: Array | float) -> Array:
        """See `Memristor`."""
        current = self.current(volts, state)
        return _kept_inside(self.drift * current * self._slowed(current, _bounded(state)), state)

    def conductance(self, state: Array | float) -> Array:
        """See `Memristor`."""
        return read_conductance(self, state)

    def _slowed(self, current: Array, x: Array) -> Array:
        if self.window is Window.JOGLEKAR:
            return 1 - np.abs(2 * x - 1) ** (2 * self.window_power)
        if self.window is Window.BIOLEK:
            return 1 - np.abs(x - (current < 0)) ** (2 * self.window_power)
        if self.window is Window.PRODROMAKIS:
            return 1 - ((x - 0.5) ** 2 + 0.75) ** self.window_power
        return np.ones(np.broadcast_shapes(np.shape(current), np.shape(x)))


@dataclass(frozen=True)
class Yakopcic:
    """i = a x sinh(b v), dx/dt = g(v) f(x) with thresholds in g and a slower motion near the bounds in f; η = 1.

    Yakopcic et al. 2011, IEEE Electron Device Lett. 32(10), 1436; 2013, IEEE Trans. CAD 32(8), 1201. The defaults are
    those of the authors' SPICE model, which Xyce's tests of its memristor level 3 repeat.

    Raises:
        CircuitError: a parameter is out of range.
    """

    positive_amplitude: float = 0.17
    """a1 in A, at positive volts."""
    negative_amplitude: float = 0.17
    """a2 in A."""
    curvature: float = 0.05
    """b in 1/V."""
    positive_threshold: float = 0.16
    """V_p in V."""
    negative_threshold: float = 0.15
    """V_n in V, a magnitude."""
    positive_speed: float = 4000.0
    """A_p in 1/s."""
    negative_speed: float = 4000.0
    """A_n in 1/s."""
    positive_knee: float = 0.3
    """x_p: from here upwards the motion up is slowed."""
    negative_knee: float = 0.5
    """x_n: from 1 − x_n downwards the motion down is slowed."""
    positive_decay: float = 1.0
    """α_p."""
    negative_decay: float = 5.0
    """α_n."""

    def __post_init__(self) -> None:
        for name, value, unit in (
            ("positive amplitude", self.positive_amplitude, "A"),
            ("negative amplitude", self.negative_amplitude, "A"),
            ("curvature", self.curvature, "1/V"),
            ("positive speed", self.positive_speed, "1/s"),
            ("negative speed", self.negative_speed, "1/s"),
        ):
            _check_positive(f"Yakopcic: {name}", value, unit)
        for name, value in (("positive knee", self.positive_knee), ("negative knee", self.negative_knee)):
            if not 0 < value < 1:
                raise CircuitError(f"Yakopcic: {name} {value:g} must lie between 0 and 1")
        for name, value in (
            ("positive threshold", self.positive_threshold),
            ("negative threshold", self.negative_threshold),
            ("positive decay", self.positive_decay),
            ("negative decay", self.negative_decay),
        ):
            if not 0 <= value < np.inf:
                raise CircuitError(f"Yakopcic: {name} {value:g} must be finite and not below 0")

    def current(self, volts: Array | float, state: Array | float) -> Array:
        """See `Memristor`."""
        v = np.asarray(volts, float)
        amplitude = np.where(v >= 0, self.positive_amplitude, self.negative_amplitude)
        return amplitude * _bounded(state) * np.sinh(self.curvature * v)

    def rate(self, volts: Array | float, state: Array | float) -> Array:
        """See `Memristor`."""
        v, x = np.asarray(volts, float), _bounded(state)
        up = self.positive_speed * (np.exp(np.maximum(v, self.positive_threshold)) - np.exp(self.positive_threshold))
        down = self.negative_speed * (np.exp(np.maximum(-v, self.negative_threshold)) - np.exp(self.negative_threshold))
        over = np.maximum(x - self.positive_knee, 0.0)
        under = np.maximum(1 - self.negative_knee - x, 0.0)
        up_slowed = np.exp(-self.positive_decay * over) * (1 - over / (1 - self.positive_knee))
        down_slowed = np.exp(-self.negative_decay * under) * (1 - under / (1 - self.negative_knee))
        return _kept_inside(up * up_slowed - down * down_slowed, state)

    def conductance(self, state: Array | float) -> Array:
        """See `Memristor`."""
        return read_conductance(self, state)


@dataclass(frozen=True)
class Vteam:
    """A width w that moves beyond thresholds, R linear in it, no window; x = (w_off − w) / (w_off − w_on).

    dw/dt = k_off (v/v_off − 1)^α_off above v_off, k_on (v/v_on − 1)^α_on below v_on, else 0: positive volts switch off
    (Kvatinsky et al. 2015, IEEE Trans. Circuits Syst. II 62(8), 786). The defaults are MemTorch's.

    Raises:
        CircuitError: a parameter is out of range.
    """

    on_resistance: float = 50.0
    """Ω."""
    off_resistance: float = 1000.0
    """Ω; above `on_resistance`."""
    length: float = 3e-9
    """w_off − w_on in m."""
    on_speed: float = 10.0
    """|k_on| in m/s."""
    off_speed: float = 5e-4
    """k_off in m/s."""
    on_threshold: float = 0.2
    """|v_on| in V."""
    off_threshold: float = 0.02
    """v_off in V."""
    on_power: float = 3.0
    """α_on."""
    off_power: float = 1.0
    """α_off."""

    def __post_init__(self) -> None:
        _check_resistances("VTEAM", self.on_resistance, self.off_resistance)
        for name, value, unit in (
            ("length", self.length, "m"),
            ("on speed", self.on_speed, "m/s"),
            ("off speed", self.off_speed, "m/s"),
            ("on threshold", self.on_threshold, "V"),
            ("off threshold", self.off_threshold, "V"),
        ):
            _check_positive(f"VTEAM: {name}", value, unit)
        for name, power in (("on power", self.on_power), ("off power", self.off_power)):
            if not 1 <= power <= 20:
                raise CircuitError(f"VTEAM: {name} {power:g} must lie in 1…20")

    def current(self, volts: Array | float, state: Array | float) -> Array:
        """See `Memristor`."""
        x = _bounded(state)
        return np.asarray(volts) / (self.off_resistance + (self.on_resistance - self.off_resistance) * x)

    def rate(self, volts: Array | float, state: Array | float) -> Array:
        """See `Memristor`."""
        v = np.asarray(volts, float)
        on = self.on_speed / self.length * np.maximum(-v / self.on_threshold - 1, 0.0) ** self.on_power
        off = self.off_speed / self.length * np.maximum(v / self.off_threshold - 1, 0.0) ** self.off_power
        return _kept_inside(on - off, state)

    def conductance(self, state: Array | float) -> Array:
        """See `Memristor`."""
        return read_conductance(self, state)


@dataclass(frozen=True)
class StanfordGap:
    """i = I_0 exp(−g/g_0) sinh(v/V_0) over a gap g (Jiang et al. 2014, SISPAD, 41; Verilog-A doi:10.4231/D37H1DN48).

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
        for name, value, unit in (
            ("amplitude", self.amplitude, "A"),
            ("gap scale", self.gap_scale, "m"),
            ("volt scale", self.volt_scale, "V"),
            ("speed", self.speed, "m/s"),
            ("activation", self.activation, "eV"),
            ("hop", self.hop, "m"),
            ("thickness", self.thickness, "m"),
            ("enhancement", self.enhancement, ""),
            ("minimum field", self.minimum_field, "V/m"),
            ("ambient", self.ambient, "K"),
        ):
            _check_positive(f"Stanford gap: {name}", value, unit)
        if not 0 < self.gap_min < self.gap_max < np.inf:
            gaps = f"{show(self.gap_min, 'm')} and {show(self.gap_max, 'm')}"
            raise CircuitError(f"Stanford gap: gaps {gaps} must be above 0 m, the smaller one first")

    def gap(self, state: Array | float) -> Array:
        """g in m."""
        return self.gap_max - (self.gap_max - self.gap_min) * _bounded(state)

    def current(self, volts: Array | float, state: Array | float) -> Array:
        """See `Memristor`."""
        return self.amplitude * np.exp(-self.gap(state) / self.gap_scale) * np.sinh(np.asarray(volts) / self.volt_scale)

    def rate(self, volts: Array | float, state: Array | float) -> Array:
        """See `Memristor`."""
        v, gap = np.asarray(volts, float), self.gap(state)
        gamma = self.enhancement - self.enhancement_loss * (gap / 1e-9) ** self.enhancement_power
        kelvin = self.ambient + np.abs(v * self.current(v, state)) * self.thermal_resistance
        thermal = BOLTZMANN / CHARGE * kelvin
        started = np.clip((gamma * np.abs(v) / self.thickness / self.minimum_field - 1) / ONSET, 0.0, 1.0)
        speed = self.speed / (self.gap_max - self.gap_min) * np.exp(-self.activation / thermal)
        return _kept_inside(speed * started * np.sinh(gamma * self.hop / self.thickness * v / thermal), state)

    def conductance(self, state: Array | float) -> Array:
        """See `Memristor`."""
        return read_conductance(self, state)


def read_conductance(model: Memristor, state: Array | float) -> Array:
    """S at `READ_VOLTS`, same shape as `state`."""
    return np.asarray(model.current(READ_VOLTS, state) / READ_VOLTS)


def after_pulse(model: Memristor, volts: float, seconds: float, state: Array) -> Array:
    """The states after a rectangular pulse, same shape; by LSODA with a diagonal Jacobian, to 1e-8 of the range.

    Raises:
        CircuitError: the pulse is no pulse, or the integration failed.
    """
    if not (np.isfinite(volts) and 0 < seconds < np.inf):
        raise CircuitError(f"pulse of {volts:g} V for {seconds:g} s: it must be finite and last longer than 0 s")
    start = np.clip(np.asarray(state, float), 0.0, 1.0)

    def slope(_: float, x: Array) -> Array:  # time in units of the pulse
        return seconds * model.rate(volts, x)

    once = start.ravel()
    solution = solve_ivp(slope, (0.0, 1.0), once, "LSODA", [1.0], rtol=1e-8, atol=1e-10, lband=0, uband=0)
    if not solution.success:
        raise CircuitError(f"pulse of {show(volts, 'V')} for {show(seconds, 's')}: {solution.message}")
    return np.clip(solution.y[:, -1], 0.0, 1.0).reshape(start.shape)


def pulse_curve(model: Memristor, start: float, pulses: Sequence[float], seconds: float) -> Array:
    """States before and after each of a train of pulses (V, each `seconds` long), ``[pulses + 1]``.

    Raises:
        CircuitError: see `after_pulse`.
    """
    states = [np.array([start])]
    for volts in pulses:
        states.append(after_pulse(model, volts, seconds, states[-1]))
    return np.concatenate(states)


def _bounded(state: Array | float) -> Array:
    return np.clip(np.asarray(state, float), 0.0, 1.0)


def _kept_inside(rate: Array, state: Array | float) -> Array:
    """The rate, slowed to 0 over `EDGE` before the bound that it moves to."""
    x = np.asarray(state, float)
    room = np.where(rate > 0, 1 - x, x)
    return rate * np.clip(room / EDGE, 0.0, 1.0)


def _check_positive(what: str, value: float, unit: str) -> None:
    if not 0 < value < np.inf:
        raise CircuitError(f"{what} {show(value, unit)} must be finite and above 0 {unit}".rstrip())


def _check_resistances(what: str, on: float, off: float) -> None:
    if not 0 < on < off < np.inf:
        both = f"{show(on, 'Ω')} on and {show(off, 'Ω')} off"
        raise CircuitError(f"{what}: resistances {both} must be finite and above 0 Ω, on below off")
