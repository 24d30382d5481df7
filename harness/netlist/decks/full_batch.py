"""The full netlist of a chunk of samples with all their phases as one flat ``.dc`` sweep: nothing is reduced.

Point D·s + d is sample s in phase d, so that a nudged phase starts from its own free one. Inputs and nudges are tables
of the swept voltage: ``pwl`` functions, of which ngspice takes the slope on the right of a knot. Stepping up by one
point, the first Newton iteration already sees the new sample's exact values.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from harness.circuit import Circuit, Output
from harness.circuit.primitives import RESERVED, Input
from harness.measurement import Array, Clamp, Drive, Injection, Spring
from harness.netlist.decks.full import SWEPT, driven_lines, models_of
from harness.netlist.dialects.spice import named
from harness.netlist.tolerances import Tolerances, options
from harness.units import spice_number

STEP = 1000
"""V of the swept source from point to point. Large, so that slopes of tables against it are small beside the other
equations: ngspice then finds its pivots at once."""
_POINT, _NUDGE = f"{RESERVED}point", f"{RESERVED}nudge"


def full_batch_lines(circuit: Circuit, drives: Sequence[Drive], samples: slice, tolerances: Tolerances) -> list[str]:
    """A deck whose source `SWEPT` counts samples and, within each, phases, in steps of `STEP` V.

    No phase is small-signal; all of them clamp the outputs, or none does. Without a ``.save`` line ngspice keeps every
    node, which takes it less time than reading all their names.
    """
    return [
        "* full network: one point per sample and phase",
        options(tolerances),
        f"{SWEPT} {_POINT} 0 0",
        *_channels([drive.inputs[samples] for drive in drives]),
        *_sizes(circuit),
        *driven_lines(circuit, _pin, device=lambda model: model.name),
        *_nudges(circuit.outputs, drives, samples),
        ".end",
    ]


def _sizes(circuit: Circuit) -> list[str]:
    """Return the line with the sizes of all devices, which ngspice reads and computes faster than a size at each."""
    sizes = {name: value for model in models_of(circuit) for name, value in model.instance.items()}
    return [f".options {named({f'def{name}': value for name, value in sizes.items()})}"] if sizes else []


def _pin(pin: Input) -> str:
    return f"e{pin.name[1:]} {' '.join(pin.nets)} {_channel(pin.channel)} 0 {spice_number(pin.gain)}"


def _channel(k: int) -> str:
    return f"{RESERVED}x{k}"


def _channels(inputs: Sequence[Array]) -> Iterator[str]:
    for k, table in enumerate(_tables(inputs)):
        yield f"b{_channel(k)} {_channel(k)} 0 v={table}"


def _nudges(outputs: Sequence[Output], drives: Sequence[Drive], samples: slice) -> Iterator[str]:
    """Return the lines at each output: a table of currents, less β (v⁺ − v⁻) under a spring, or of its voltage."""
    volts = [drive.nudge.volts[samples] for drive in drives if isinstance(drive.nudge, Clamp)]
    if volts:
        for k, table in enumerate(_tables(volts)):
            yield f"b{_NUDGE}{k} {outputs[k].plus} {outputs[k].minus} v={table}"
        return
    betas = [drive.nudge.conductance if isinstance(drive.nudge, Spring) else 0.0 for drive in drives]
    largest = max(map(abs, betas))
    if largest:
        shares = [np.full((len(drives[0].inputs[samples]), 1), beta / largest) for beta in betas]
        yield f"b{_NUDGE} {_NUDGE} 0 v={_tables(shares)[0]}"
    for k, table in enumerate(_tables([_pushed(drive, len(outputs))[samples] for drive in drives])):
        plus, minus = outputs[k].plus, outputs[k].minus
        pull = f"-{spice_number(largest)}*v({_NUDGE})*v({plus},{minus})" if largest else ""
        if largest or table != "0.0":
            yield f"b{_NUDGE}{k} {minus} {plus} i={table}{pull}"


def _pushed(drive: Drive, outputs: int) -> Array:
    """Return the current into every output whatever its voltage, A, ``[batch, outputs]``."""
    match drive.nudge:
        case Spring(conductance=beta, targets=targets):
            return beta * targets
        case Injection(current=current):
            return current
    return np.zeros((len(drive.inputs), outputs))


def _tables(per_phase: Sequence[Array]) -> list[str]:
    """For each column of values ``[batch, columns]``, given for each phase, a function of the swept voltage."""
    points = np.stack(per_phase, axis=1).reshape(-1, per_phase[0].shape[1])
    texts = []
    for column in (points.T + 0.0).tolist():  # a negative zero is a zero
        if all(value == column[0] for value in column):
            texts.append(repr(column[0]))
        else:
            knots = ",".join(f"{STEP * k},{value!r}" for k, value in enumerate(column))
            texts.append(f"pwl(v({_POINT}),{knots})")
    return texts
