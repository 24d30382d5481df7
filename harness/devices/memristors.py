"""Three general memristor models: linear ion drift with windows, Yakopcic's, and VTEAM.

`harness.devices.switching` says what they have in common.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from typing_extensions import override

from harness.devices.switching import Memristor, bounded, check_positive, check_resistances, kept_inside
from harness.errors import CircuitError
from harness.measurement import Array


class Window(StrEnum):
    """Window functions, which slow the boundary of `LinearIonDrift` near the electrodes."""

    NONE = "none"
    JOGLEKAR = "joglekar"
    """1 − (2x − 1)^2p; Joglekar & Wolf 2009, Eur. J. Phys. 30, 661. A cell at a bound never leaves it."""
    BIOLEK = "biolek"
    """1 − (x − stp(−i))^2p; Biolek et al. 2009, Radioengineering 18(2), 210."""
    PRODROMAKIS = "prodromakis"
    """1 − ((x − ½)² + ¾)^p; Prodromakis et al. 2011, IEEE Trans. Electron Devices 58(9), 3099, with its j = 1."""


@dataclass(frozen=True)
class LinearIonDrift(Memristor):
    """The law R = R_on x + R_off (1 − x), dx/dt = µ R_on / D² · i · f(x) (Strukov et al. 2008, Nature 453, 80).

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
        check_resistances("linear ion drift", self.on_resistance, self.off_resistance)
        check_positive("linear ion drift", self, thickness="m", mobility="m²/(V s)")
        if not 0.5 <= self.window_power <= 100:
            raise CircuitError(f"linear ion drift: window power {self.window_power:g} must lie in 0.5…100")

    @property
    def drift(self) -> float:
        """µ R_on / D² in 1/(A s)."""
        return self.mobility * self.on_resistance / self.thickness**2

    @override
    def current(self, volts: Array | float, state: Array | float) -> Array:
        x = bounded(state)
        return np.asarray(volts) / (self.off_resistance + (self.on_resistance - self.off_resistance) * x)

    @override
    def rate(self, volts: Array | float, state: Array | float) -> Array:
        current = self.current(volts, state)
        return kept_inside(self.drift * current * self._slowed(current, bounded(state)), state)

    def _slowed(self, current: Array, x: Array) -> Array:
        if self.window is Window.JOGLEKAR:
            return 1 - np.abs(2 * x - 1) ** (2 * self.window_power)
        if self.window is Window.BIOLEK:
            return 1 - np.abs(x - (current < 0)) ** (2 * self.window_power)
        if self.window is Window.PRODROMAKIS:
            return 1 - ((x - 0.5) ** 2 + 0.75) ** self.window_power
        return np.ones(np.broadcast_shapes(np.shape(current), np.shape(x)))


@dataclass(frozen=True)
class Yakopcic(Memristor):
    """The law i = a x sinh(b v), dx/dt = g(v) f(x), with thresholds in g and slower motion near the bounds in f; η = 1.

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
        check_positive("Yakopcic", self, positive_amplitude="A", negative_amplitude="A", curvature="1/V")
        check_positive("Yakopcic", self, positive_speed="1/s", negative_speed="1/s")
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

    @override
    def current(self, volts: Array | float, state: Array | float) -> Array:
        v = np.asarray(volts, float)
        amplitude = np.where(v >= 0, self.positive_amplitude, self.negative_amplitude)
        return amplitude * bounded(state) * np.sinh(self.curvature * v)

    @override
    def rate(self, volts: Array | float, state: Array | float) -> Array:
        v, x = np.asarray(volts, float), bounded(state)
        up = self.positive_speed * (np.exp(np.maximum(v, self.positive_threshold)) - np.exp(self.positive_threshold))
        down = self.negative_speed * (np.exp(np.maximum(-v, self.negative_threshold)) - np.exp(self.negative_threshold))
        over = np.maximum(x - self.positive_knee, 0.0)
        under = np.maximum(1 - self.negative_knee - x, 0.0)
        up_slowed = np.exp(-self.positive_decay * over) * (1 - over / (1 - self.positive_knee))
        down_slowed = np.exp(-self.negative_decay * under) * (1 - under / (1 - self.negative_knee))
        return kept_inside(up * up_slowed - down * down_slowed, state)


@dataclass(frozen=True)
class Vteam(Memristor):
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
        check_resistances("VTEAM", self.on_resistance, self.off_resistance)
        check_positive("VTEAM", self, length="m", on_speed="m/s", off_speed="m/s", on_threshold="V", off_threshold="V")
        for name, power in (("on power", self.on_power), ("off power", self.off_power)):
            if not 1 <= power <= 20:
                raise CircuitError(f"VTEAM: {name} {power:g} must lie in 1…20")

    @override
    def current(self, volts: Array | float, state: Array | float) -> Array:
        x = bounded(state)
        return np.asarray(volts) / (self.off_resistance + (self.on_resistance - self.off_resistance) * x)

    @override
    def rate(self, volts: Array | float, state: Array | float) -> Array:
        v = np.asarray(volts, float)
        on = self.on_speed / self.length * np.maximum(-v / self.on_threshold - 1, 0.0) ** self.on_power
        off = self.off_speed / self.length * np.maximum(v / self.off_threshold - 1, 0.0) ** self.off_power
        return kept_inside(on - off, state)
