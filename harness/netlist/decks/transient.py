"""A full netlist in time: capacitances at its free nodes, inputs that step, and a nudge that is switched on.

Inputs rise from 0 V at t = 0 within `edge`; the nudge rises in the same time from `nudged` on. An amplifier of finite
bandwidth senses its input behind an ideal buffer and an RC: one pole, and no load on the input.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.circuit import Circuit
from harness.circuit.elements import Stage
from harness.circuit.primitives import RESERVED, Input
from harness.errors import CircuitError
from harness.measurement import Array, Clamp, Injection, Nudge, Spring
from harness.netlist.decks.full import driven_lines, saved
from harness.netlist.tolerances import Tolerances, options
from harness.units import spice_number

_LAG = 1e3
"""Ω of an amplifier's pole; its capacitance follows."""
_ERROR = 1e-6
"""Relative, in the charge of a capacitor over one step."""
_SWITCH = f"{RESERVED}switch"


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps of one sample's inputs and nudge in time; see the module."""

    before: Array
    """V at the inputs until t = 0, ``[channels]``."""
    after: Array
    """V at the inputs behind `edge`, ``[channels]``."""
    edge: float
    """s."""
    nudged: float
    """s from which on the nudge rises."""
    nudge: Nudge | None = None
    """With one row, ``[1, outputs]``; None leaves the outputs alone."""
    time_constant: float = 0.0
    """s of every amplifier and buffer; 0 is ideal."""


def step_lines(
    circuit: Circuit,
    capacitances: dict[str, float],
    steps: Steps,
    tolerances: Tolerances,
    *,
    senses: Sequence[str] = (),
) -> list[str]:
    """A deck for a transient analysis that keeps every node's voltage and the currents of `senses`, voltage sources.

    Capacitances are F to ground by node. Steps in time are as fine as a reltol of 1e-6 would have them.

    Raises:
        CircuitError: the nudge is a clamp, which no source that is switched on can be.
    """

    def pin(part: Input) -> str:
        low, high = (part.gain * volts[part.channel] for volts in (steps.before, steps.after))
        return f"{part.name} {' '.join(part.nets)} {_step(low, high, 0.0, steps.edge)}"

    lagging = circuit.stages if steps.time_constant > 0 else ()
    return [
        "* full network in time",
        options(tolerances),
        f".options method=trap trtol={spice_number(_ERROR / tolerances.reltol)} chgtol=1e-21",
        *driven_lines(circuit, pin, {stage.name: _lagged(stage) for stage in lagging}),
        *(line for stage in lagging for line in _lag(stage, steps.time_constant)),
        *(f"c{RESERVED}{k} {node} 0 {spice_number(farads)}" for k, (node, farads) in enumerate(capacitances.items())),
        *_nudge(circuit, steps),
        *saved(circuit),
        *(f".save i({name})" for name in senses),
        ".end",
    ]


def ramp(time: Array, begin: float, edge: float) -> Array:
    """Return a ramp, ``[points]``: 0 before `begin` (s), 1 behind its edge."""
    return np.clip((time - begin) / edge, 0.0, 1.0)


def _step(low: float, high: float, begin: float, edge: float) -> str:
    if low == high:
        return spice_number(low)
    corners = [(begin, low), (begin + edge, high)]
    if begin > 0:
        corners.insert(0, (0.0, low))
    return f"pwl({' '.join(f'{spice_number(t)} {spice_number(v)}' for t, v in corners)})"


def _lagged(stage: Stage) -> str:
    return f"{RESERVED}lag_{stage.name}"


def _lag(stage: Stage, seconds: float) -> list[str]:
    name, behind = f"{RESERVED}sense_{stage.name}", _lagged(stage)
    return [
        f"e{name} {name} 0 {stage.input} 0 1",
        f"r{name} {name} {behind} {spice_number(_LAG)}",
        f"c{name} {behind} 0 {spice_number(seconds / _LAG)}",
    ]


def _nudge(circuit: Circuit, steps: Steps) -> Iterator[str]:
    """β (y − v), or a current, times the voltage of a source that rises from 0 to 1 V."""
    if steps.nudge is None:
        return
    yield f"v{_SWITCH} {_SWITCH} 0 {_step(0.0, 1.0, steps.nudged, steps.edge)}"
    for k, output in enumerate(circuit.outputs):
        match steps.nudge:
            case Spring(conductance=beta, targets=targets):
                drop = f"v({output.plus},{output.minus})"
                pull = f"{spice_number(beta)}*({spice_number(targets[0, k])}-{drop})"
            case Injection(current=amperes):
                pull = f"({spice_number(amperes[0, k])})"
            case Clamp():
                raise CircuitError("a clamp cannot be switched on in time; nudge with a spring or a current")
        yield f"b{RESERVED}nudge{k} {output.minus} {output.plus} i=v({_SWITCH})*{pull}"
