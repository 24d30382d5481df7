"""Memristor models as ngspice subcircuits: the state is the voltage of an inner node on a capacitor of 1 F.

The equations are those of `harness.devices.memristors` and `oxides`, bounds included, so that a transient analysis and
the NumPy models agree. An operating point or a sweep holds every state at its start, from where a transient analysis
moves it.
"""

from dataclasses import dataclass

import numpy as np

from harness.devices.memristors import LinearIonDrift, Vteam, Window, Yakopcic
from harness.devices.oxides import BOLTZMANN, CHARGE, ONSET, DataDriven, StanfordGap
from harness.devices.switching import EDGE
from harness.errors import CircuitError
from harness.measurement import Array
from harness.netlist.tolerances import Tolerances, options
from harness.units import show, spice_number

MemristorModel = LinearIonDrift | Yakopcic | Vteam | StanfordGap | DataDriven

_V = "v(p,n)"
_X = "v(x)"
_LEAK = 1e12
"""Ω from a state to its start, which it keeps where time stands still; in time, far too slow (1e12 s) to be seen."""


@dataclass(frozen=True)
class PulseTrain:
    """Trapezoids from 0 V: each rises for `edge`, and its area is that of a rectangle of `width`.

    Raises:
        CircuitError: no pulse, or times out of order.
    """

    volts: tuple[float, ...]
    """V of each pulse."""
    width: float
    """s."""
    gap: float
    """s at 0 V after each pulse."""
    edge: float
    """s; below `width`."""

    def __post_init__(self) -> None:
        if not self.volts or not np.isfinite(self.volts).all():
            raise CircuitError("pulse train: it needs at least one pulse, of finite volts")
        if not (0 < self.edge < self.width < np.inf and 0 < self.gap < np.inf):
            times = f"edge {show(self.edge, 's')}, width {show(self.width, 's')} and gap {show(self.gap, 's')}"
            raise CircuitError(f"pulse train: {times} must be above 0 s, the edge below the width")

    @property
    def period(self) -> float:
        """The time from pulse to pulse, s."""
        return self.width + self.edge + self.gap

    @property
    def rests(self) -> Array:
        """The times of the middle of every gap, preceded by 0, s, ``[pulses + 1]``."""
        return np.concatenate([[0.0], np.arange(1, len(self.volts) + 1) * self.period - self.gap / 2])

    def lines(self, name: str, node: str) -> list[str]:
        """A source of this train from `node` to ground, one continuation line a pulse."""
        lines = [f"{name} {node} 0 pwl(0 0"]
        for index, volts in enumerate(self.volts):
            begin = index * self.period
            corners = (begin + self.edge, begin + self.width, begin + self.width + self.edge, begin + self.period)
            levels = (volts, volts, 0.0, 0.0)
            lines.append("+ " + " ".join(f"{_number(t)} {_number(v)}" for t, v in zip(corners, levels, strict=True)))
        return [*lines, "+ )"]


def subcircuit(model: MemristorModel, name: str) -> list[str]:
    """``.subckt name p n start=0``; the state is the voltage of its node ``state``.

    An instance is ``x1 a b name start=0.3``.
    """
    current, rate = _laws(model)
    room = f"(({rate})>0 ? 1-v(state) : v(state))"
    return [
        f".subckt {name} p n start=0",
        "cstate state 0 1",
        "vstart start0 0 {start}",
        f"rstart start0 state {_number(_LEAK)}",
        ".ic v(state)={start}",
        "bx x 0 v=min(max(v(state),0),1)",
        f"bcurrent p n i={current}",
        f"brate 0 state i=(time>0 ? {rate} : 0)*min(max({room}/{_number(EDGE)},0),1)",
        ".ends",
    ]


def pulse_train_lines(model: MemristorModel, start: float, train: PulseTrain, tolerances: Tolerances) -> list[str]:
    """A deck with one memristor ``xcell`` from node ``drive`` to ground under the source ``vdrive``.

    Raises:
        CircuitError: a start outside 0…1.
    """
    if not 0 <= start <= 1:
        raise CircuitError(f"memristor: start {start:g} must lie in 0…1")
    return [
        "* one memristor under a train of pulses",
        options(tolerances),
        *subcircuit(model, "cell"),
        *train.lines("vdrive", "drive"),
        f"xcell drive 0 cell start={_number(start)}",
        ".end",
    ]


def _laws(model: MemristorModel) -> tuple[str, str]:
    """Current (A) and rate (1/s) without the bounds."""
    if isinstance(model, LinearIonDrift):
        current = _resistive(model.on_resistance, model.off_resistance)
        return current, f"{_number(model.drift)}*({current})*({_window(model)})"
    if isinstance(model, Yakopcic):
        return _yakopcic(model)
    if isinstance(model, Vteam):
        on = f"{_number(model.on_speed / model.length)}*{_above(f'-{_V}', model.on_threshold, model.on_power)}"
        off = f"{_number(model.off_speed / model.length)}*{_above(_V, model.off_threshold, model.off_power)}"
        return _resistive(model.on_resistance, model.off_resistance), f"{on}-{off}"
    if isinstance(model, DataDriven):
        return _data_driven(model)
    return _stanford(model)


def _resistive(on: float, off: float) -> str:
    return f"{_V}/({_number(off)}-{_number(off - on)}*{_X})"


def _window(model: LinearIonDrift) -> str:
    power = _number(2 * model.window_power)
    if model.window is Window.JOGLEKAR:
        return f"1-pow(abs(2*{_X}-1),{power})"
    if model.window is Window.BIOLEK:
        return f"1-pow(abs({_X}-({_V}<0 ? 1 : 0)),{power})"
    if model.window is Window.PRODROMAKIS:
        return f"1-pow(({_X}-0.5)*({_X}-0.5)+0.75,{_number(model.window_power)})"
    return "1"


def _yakopcic(model: Yakopcic) -> tuple[str, str]:
    amplitude = f"({_V}>=0 ? {_number(model.positive_amplitude)} : {_number(model.negative_amplitude)})"
    over = f"max({_X}-{_number(model.positive_knee)},0)"
    under = f"max({_number(1 - model.negative_knee)}-{_X},0)"
    up = _beyond(_V, model.positive_speed, model.positive_threshold)
    down = _beyond(f"-{_V}", model.negative_speed, model.negative_threshold)
    up += f"*exp(-{_number(model.positive_decay)}*{over})*(1-{over}/{_number(1 - model.positive_knee)})"
    down += f"*exp(-{_number(model.negative_decay)}*{under})*(1-{under}/{_number(1 - model.negative_knee)})"
    return f"{amplitude}*{_X}*sinh({_number(model.curvature)}*{_V})", f"{up}-{down}"


def _beyond(volts: str, speed: float, threshold: float) -> str:
    return f"{_number(speed)}*max(exp({volts})-{_number(float(np.exp(threshold)))},0)"


def _above(volts: str, threshold: float, power: float) -> str:
    return f"pow(max(({volts})/{_number(threshold)}-1,0),{_number(power)})"


def _stanford(model: StanfordGap) -> tuple[str, str]:
    gap = f"({_number(model.gap_max)}-{_number(model.gap_max - model.gap_min)}*{_X})"
    amplitude = f"{_number(model.amplitude)}*exp(-{gap}/{_number(model.gap_scale)})"
    current = f"{amplitude}*sinh({_V}/{_number(model.volt_scale)})"
    loss = f"{_number(model.enhancement_loss)}*pow({gap}/1e-9,{_number(model.enhancement_power)})"
    gamma = f"({_number(model.enhancement)}-{loss})"
    heating = f"abs({_V}*{current})*{_number(model.thermal_resistance)}"
    thermal = f"({_number(BOLTZMANN / CHARGE)}*({_number(model.ambient)}+{heating}))"
    field = f"{gamma}*abs({_V})/{_number(model.thickness * model.minimum_field)}"
    started = f"min(max(({field}-1)/{_number(ONSET)},0),1)"
    speed = f"{_number(model.speed / (model.gap_max - model.gap_min))}*exp(-{_number(model.activation)}/{thermal})"
    return current, f"{speed}*{started}*sinh({gamma}*{_number(model.hop / model.thickness)}*{_V}/{thermal})"


def _data_driven(model: DataDriven) -> tuple[str, str]:
    span = model.off_resistance - model.on_resistance
    ohms = f"({_number(model.off_resistance)}-{_number(span)}*{_X})"
    below = f"max({_number(model.off_bound)}+{_number(model.off_bound_slope)}*{_V}-{ohms},0)"
    above = f"max({ohms}-{_number(model.on_bound)}-{_number(model.on_bound_slope)}*{_V},0)"
    off = _grown(model.off_speed / span, model.off_exponent, _V, model.off_steepness, below)
    on = _grown(model.on_speed / span, model.on_exponent, f"-{_V}", model.on_steepness, above)
    return f"{_number(model.amplitude)}*sinh({_number(model.curvature)}*{_V})/{ohms}", f"{on}-{off}"


def _grown(speed: float, exponent: float, volts: str, steepness: float, ohms: str) -> str:
    return f"{_number(speed)}*(exp({_number(exponent)}*max({volts},0))-1)*(exp({_number(steepness)}*{ohms})-1)"


def _number(value: float) -> str:
    return spice_number(value)
