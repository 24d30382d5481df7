"""Curves that show a device: its current under a sine, and its conductance under trains of pulses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from harness.devices.memristors import LinearIonDrift, Vteam, Window, Yakopcic
from harness.devices.oxides import DataDriven, StanfordGap
from harness.devices.pulses import PulseResponse, WritePulse
from harness.devices.switching import Memristor, pulse_curve
from harness.errors import CircuitError
from harness.measurement import Array
from harness.wording import did_you_mean

PERIODS = 3
"""Periods of the sine; the last one is shown, when the loop has nearly closed."""


@dataclass(frozen=True)
class Loop:
    """One period of a sine over a memristor."""

    volts: Array
    """V, ``[points]``."""
    amperes: Array
    """A, ``[points]``."""
    states: Array
    """x, ``[points]``."""


@dataclass(frozen=True)
class Specimen:
    """A memristor model with the signals that show it."""

    name: str
    model: Memristor
    start: float
    """The state at first."""
    amplitude: float
    """V of the sine."""
    hertz: tuple[float, float]
    """Frequencies of the sine, the slower first."""
    up: WritePulse
    down: WritePulse
    pulses: int
    """Up, then as many down."""


_BIOLEK = LinearIonDrift(window=Window.BIOLEK)
SPECIMENS = (
    Specimen("linear-ion-drift", _BIOLEK, 0.1, 1.0, (0.5, 5.0), WritePulse(1.0, 0.05), WritePulse(-1.0, 0.05), 40),
    Specimen("yakopcic", Yakopcic(), 0.11, 0.5, (100.0, 2e3), WritePulse(0.5, 5e-5), WritePulse(-0.5, 5e-5), 40),
    Specimen("vteam", Vteam(), 0.0, 0.4, (1e6, 1e8), WritePulse(-0.4, 12e-12), WritePulse(0.4, 4e-9), 40),
    Specimen("stanford", StanfordGap(), 0.0, 1.6, (1e6, 1e7), WritePulse(1.5, 6e-9), WritePulse(-1.5, 3e-9), 40),
    Specimen("data-driven", DataDriven(), 0.04, 0.8, (1.0, 100.0), WritePulse(-0.8, 1e-3), WritePulse(0.8, 1e-3), 50),
)


def specimen(name: str) -> Specimen:
    """Return the memristor model of that name, whatever its case.

    Raises:
        CircuitError: there is none; suggests the nearest and says which there are.
    """
    known = {found.name: found for found in SPECIMENS}
    if (found := known.get(name.strip().casefold())) is not None:
        return found
    raise CircuitError(f"no memristor model {name!r}{did_you_mean(name, known, or_list=True)}")


def hysteresis(model: Memristor, amplitude: float, hertz: float, start: float, points: int = 400) -> Loop:
    """Return the last of `PERIODS` periods of ``amplitude · sin(2π hertz t)`` (V), begun at the state `start`.

    Raises:
        CircuitError: an amplitude or a frequency that is not above 0, or the integration failed.
    """
    if not (0 < amplitude < np.inf and 0 < hertz < np.inf):
        raise CircuitError(f"hysteresis: {amplitude:g} V at {hertz:g} Hz must both be finite and above 0")

    def slope(turns: float, x: Array) -> Array:  # time in periods
        return np.asarray(model.rate(amplitude * np.sin(2 * np.pi * turns), x) / hertz)

    shown = np.linspace(PERIODS - 1, PERIODS, points + 1)
    whole = 0.0, float(PERIODS)
    solution = solve_ivp(slope, whole, [start], "LSODA", shown, rtol=1e-7, atol=1e-9, max_step=0.01)
    if not solution.success:
        raise CircuitError(f"hysteresis: {amplitude:g} V at {hertz:g} Hz: {solution.message}")
    volts, states = amplitude * np.sin(2 * np.pi * shown), np.clip(solution.y[0], 0.0, 1.0)
    return Loop(volts, model.current(volts, states), states)


def switched(shown: Specimen) -> tuple[Array, Array]:
    """Return conductances (S) before and after each pulse up, and then each pulse down, ``[pulses + 1]`` each."""
    up = pulse_curve(shown.model, shown.start, (shown.up.volts,) * shown.pulses, shown.up.seconds)
    down = pulse_curve(shown.model, float(up[-1]), (shown.down.volts,) * shown.pulses, shown.down.seconds)
    return shown.model.conductance(up), shown.model.conductance(down)


def potentiation_and_depression(
    response: PulseResponse, pulses: Sequence[int], cells: int = 1, every: int = 1
) -> tuple[Array, Array]:
    """Return conductances (S) of cells pulsed up from g_min and down from g_max, ``[1 + pulses // every, cells]``.

    `pulses` are those up and down, `every` those from one reading to the next; a `Spread` over ``(cells,)`` scatters.
    """
    curves = []
    for bound, way, count in zip(response.bounds, (1, -1), pulses, strict=True):
        levels = [np.full(cells, bound)]
        for _ in range(count // every):
            levels.append(response.pulse(levels[-1], way * every))
        curves.append(np.array(levels))
    return curves[0], curves[1]
