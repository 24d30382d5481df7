"""Laws by which a written conductance changes in time.

Each law is one equation, with a strength of its own; at strength 0 it leaves every conductance as it is. A device's age
t is the time since its last write, and g_w the conductance that this write reached. `Retention` applies them in the
order in which they stand here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show

BOLTZMANN_EV = 8.617333262e-5
"""k in eV/K."""
ABSOLUTE_ZERO = -273.15
"""°C."""
NOMINAL = 27.0
"""°C at which cells age where nobody says otherwise, as SPICE's nominal temperature."""


@dataclass(frozen=True)
class Relaxation:
    """A cell leaves the conductance it was written to by a random part of its range: g_w + σ ξ (1 − exp(−t/τ)).

    ξ is a standard normal number, drawn anew at every write. Oxide cells relax so within seconds: Wan et al. 2022,
    Nature 608, 504. The exponential approach is a simple form for it.

    Raises:
        CircuitError: a number is out of its range.
    """

    size: float = 0.0
    """σ as a fraction of the cell's range g_min…g_max."""
    time: float = 1.0
    """τ in s."""

    def __post_init__(self) -> None:
        _check("relaxation", self.size, 0, 1)
        _check_above("relaxation: time", self.time, "s")

    def applied(self, g: Array, draws: Array, age: Array, span: float) -> Array:
        """Return conductances (S) at an age (s), with a draw ξ for each cell; `span` is the range in S."""
        return np.asarray(g + self.size * span * draws * -np.expm1(-age / self.time))


@dataclass(frozen=True)
class Loss:
    """A cell falls back to g_min by a stretched exponential: g_min + (g − g_min) exp(−(t/τ)^β).

    τ follows Arrhenius: τ(T) = τ₁ exp(E_a/k (1/T − 1/T₁)), with the lifetime τ₁ at the temperature T₁. Filaments of
    oxide cells dissolve so, with the activation energy of the vacancies' motion (Microelectron. Eng. 2017,
    doi:10.1016/j.mee.2017.04.032).

    Raises:
        CircuitError: a number is out of its range.
    """

    lifetime: float = math.inf
    """τ₁ in s: the age at which a share of 1/e is left. Infinite where nothing is lost."""
    celsius: float = 85.0
    """T₁ in °C."""
    activation: float = 1.0
    """E_a in eV."""
    stretching: float = 1.0
    """β: below 1, a loss that begins early and ends late."""

    def __post_init__(self) -> None:
        if not self.lifetime > 0:
            raise CircuitError(f"retention: lifetime {show(self.lifetime, 's')} must be above 0 s")
        check_celsius("retention: lifetime_temperature", self.celsius)
        _check("activation_energy", self.activation, 0, 10)
        if not 0 < self.stretching <= 1:
            raise CircuitError(f"retention: stretching {self.stretching:g} must be above 0 and at most 1")

    def lifetime_at(self, celsius: float) -> float:
        """Return τ (s) at a temperature (°C); infinite where it is beyond all numbers."""
        exponent = self.activation / BOLTZMANN_EV * (1 / kelvin(celsius) - 1 / kelvin(self.celsius))
        return self.lifetime * math.exp(exponent) if exponent < _LARGEST_EXPONENT else math.inf

    def applied(self, g: Array, age: Array, celsius: float, g_min: float) -> Array:
        """Return conductances (S) at an age (s) and a temperature (°C)."""
        left = np.exp(-((age / max(self.lifetime_at(celsius), _SHORTEST)) ** self.stretching))
        return np.asarray(g_min + (g - g_min) * left)


@dataclass(frozen=True)
class Drift:
    """A cell drifts by a power law: g (1 + t/t₀)^−ν.

    t₀ is the time from the last pulse to the read that ends a write, and t begins with that read: with t' = t + t₀, the
    time since the pulse, it is g (t'/t₀)^−ν. ν differs from device to device. The amorphous part of phase-change cells
    relaxes so: Le Gallo et al. 2018, Adv. Electron. Mater. 4, 1700627. A million cells had a mean ν of 0.049 to 0.1
    and a deviation of 0.008 to 0.045, both larger for smaller conductances (Joshi et al. 2020, Nat. Commun. 11, 2473,
    by the fit in aihwkit's documentation).

    Raises:
        CircuitError: a number is out of its range.
    """

    exponent: float = 0.0
    """Mean ν."""
    spread: float = 0.0
    """Standard deviation of ν from device to device; what would be below 0 is 0."""
    start: float = 20.0
    """t₀ in s; 20 s is aihwkit's."""

    def __post_init__(self) -> None:
        _check("drift", self.exponent, 0, 1)
        _check("drift_spread", self.spread, 0, 1)
        _check_above("drift_start", self.start, "s")

    def exponents(self, shape: Sequence[int], rng: np.random.Generator) -> Array:
        """Draw ν for every device."""
        return np.maximum(self.exponent + self.spread * rng.standard_normal(tuple(shape)), 0.0)

    def applied(self, g: Array, exponents: Array, age: Array) -> Array:
        """Return conductances (S) at an age (s)."""
        return np.asarray(g * (1 + age / self.start) ** -exponents)


@dataclass(frozen=True)
class ReadDisturb:
    """Every read moves a cell a little of the way to an end of its range: g_max − (g_max − g)(1 − d)^n after n reads.

    A d below 0 leads to g_min instead: g_min + (g − g_min)(1 − |d|)^n. This is the law of soft bounds
    (`harness.devices.pulses.SoftBounds`) with a read for a weak pulse; no publication is behind a figure for d.

    Raises:
        CircuitError: d is out of its range.
    """

    fraction: float = 0.0
    """d."""

    def __post_init__(self) -> None:
        _check("read_disturb", self.fraction, -0.5, 0.5)

    def applied(self, g: Array, reads: Array, g_min: float, g_max: float) -> Array:
        """Return conductances (S) after so many reads of each cell."""
        end = g_max if self.fraction > 0 else g_min
        return np.asarray(end - (end - g) * (1 - abs(self.fraction)) ** reads)


@dataclass(frozen=True)
class Telegraph:
    """A trap in every cell switches its conductance between g (1 − a/2) and g (1 + a/2): random telegraph noise.

    It stays in either state for a random time, exponentially distributed about a mean; so after a time t it is in the
    other one with the probability (1 − exp(−2t/τ))/2. A write ends in whatever state the cell is in. Source: Ambrogio
    et al. 2013, IEDM, "Understanding switching variability and random telegraph noise in resistive RAM".

    Raises:
        CircuitError: a number is out of its range.
    """

    amplitude: float = 0.0
    """a, from state to state."""
    time: float = 1.0
    """τ in s: the mean stay in a state."""

    def __post_init__(self) -> None:
        _check("telegraph", self.amplitude, 0, 0.99)
        _check_above("telegraph_time", self.time, "s")

    def switched(self, states: Array, seconds: float, rng: np.random.Generator) -> Array:
        """Return the states (−1 or 1) after so many seconds."""
        changes = rng.random(states.shape) < -np.expm1(-2 * seconds / self.time) / 2
        return np.where(changes, -states, states)

    def applied(self, g: Array, states: Array, written: Array) -> Array:
        """Return conductances (S) in some states, of cells that were written in the states `written`."""
        return np.asarray(g * (1 + self.amplitude / 2 * states) / (1 + self.amplitude / 2 * written))


@dataclass(frozen=True)
class Retention:
    """All laws, each without effect unless it is given, and the temperature of the cells.

    Raises:
        CircuitError: the temperature is not above absolute zero.
    """

    relaxation: Relaxation = field(default_factory=Relaxation)
    loss: Loss = field(default_factory=Loss)
    drift: Drift = field(default_factory=Drift)
    disturb: ReadDisturb = field(default_factory=ReadDisturb)
    telegraph: Telegraph = field(default_factory=Telegraph)
    celsius: float = NOMINAL
    """°C at which cells age."""

    def __post_init__(self) -> None:
        check_celsius("retention: temperature", self.celsius)

    @property
    def absent(self) -> bool:
        """True where every strength is 0: nothing changes in time."""
        still = self.drift.exponent == self.drift.spread == self.relaxation.size == self.telegraph.amplitude == 0
        return still and self.disturb.fraction == 0 and math.isinf(self.loss.lifetime)


@dataclass(frozen=True, eq=False)
class Written:
    """The state of the cells of one array, from which laws tell their conductances; arrays have its shape."""

    conductances: Array
    """S that the last write of each cell reached."""
    since: Array
    """s on the chip's clock at which that was."""
    reads: Array
    """Reads that the chip had seen by then."""
    draws: Array
    """ξ of `Relaxation`, drawn at that write."""
    states: Array
    """−1 or 1: state of `Telegraph` at that write."""
    now: Array
    """The same at present."""


STATE = tuple(part.name for part in fields(Written))
"""Names of the arrays of `Written`, as checkpoints have them."""


def aged(
    law: Retention, cells: Written, exponents: Array, clock: float, reads: float, bounds: tuple[float, float]
) -> Array:
    """Return the conductances (S) of an array's cells at a time.

    Args:
        law: all laws.
        cells: as they were written.
        exponents: ν of each device.
        clock: s on the chip's clock.
        reads: that the chip has seen by now.
        bounds: g_min and g_max, S.
    """
    g, age = cells.conductances, clock - cells.since
    low, high = bounds
    if law.relaxation.size:
        g = law.relaxation.applied(g, cells.draws, age, high - low)
    if not math.isinf(law.loss.lifetime):
        g = law.loss.applied(g, age, law.celsius, low)
    if law.drift.exponent or law.drift.spread:
        g = law.drift.applied(g, exponents, age)
    if law.disturb.fraction:
        g = law.disturb.applied(g, reads - cells.reads, low, high)
    if law.telegraph.amplitude:
        g = law.telegraph.applied(g, cells.now, cells.states)
    return np.maximum(g, 0.0)


def kelvin(celsius: float) -> float:
    """Return a temperature in K."""
    return celsius - ABSOLUTE_ZERO


def check_celsius(what: str, celsius: float) -> None:
    """Refuse temperatures that nothing has.

    Raises:
        CircuitError: not above absolute zero, or above 1000 °C.
    """
    if not ABSOLUTE_ZERO < celsius <= _HOTTEST:
        bounds = f"above absolute zero, {ABSOLUTE_ZERO} °C, and at most {_HOTTEST:g} °C"
        raise CircuitError(f"{what} {celsius:g} °C must be {bounds}")


_HOTTEST = 1000.0
_LARGEST_EXPONENT = 700.0  # of numbers in double precision
_SHORTEST = 1e-300  # s: a lifetime that Arrhenius makes as good as 0


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise CircuitError(f"retention: {name} {value:g} must lie in {low:g}…{high:g}")


def _check_above(name: str, value: float, unit: str) -> None:
    if not 0 < value < math.inf:
        raise CircuitError(f"retention: {name} {show(value, unit)} must be above 0 {unit} and finite")
