"""The complete circuit in ngspice's dialect: every cell an element, every amplifier its controlled sources.

The reduced circuit is what is trained; this is what a designer takes away, and what `harness check` compares it with.
An open cell (0 S) is left out. A cell with a curve is a behavioural source (``B``) that states its law: antiparallel
diodes are sinh too, but ngspice gives them a gmin and another law in reverse (17 µV off on the digits network at V₀ =
2 V), and takes half as many iterations again, each of which costs 40 %.
"""

from collections.abc import Callable, Iterator, Mapping

from harness.circuit import GROUND, Circuit
from harness.circuit.primitives import (
    RESERVED,
    Cccs,
    Cell,
    Conductance,
    Current,
    Device,
    Input,
    Model,
    Primitive,
    Sense,
    Vccs,
    Vcvs,
    Voltage,
)
from harness.devices import CellLaw, Curve
from harness.measurement import Array, Clamp, Drive, Injection, Spring
from harness.netlist.dialects.spice import head, model_card, mounted
from harness.netlist.tolerances import Tolerances, options
from harness.units import spice_number

SWEPT = f"v{RESERVED}point"


def circuit_lines(circuit: Circuit, inputs: Array) -> list[str]:
    """Models and elements for one sample's inputs (V, ``[channels]``)."""
    return driven_lines(circuit, lambda pin: f"{head(pin)} {spice_number(pin.gain * inputs[pin.channel])}")


def driven_lines(
    circuit: Circuit,
    pin: Callable[[Input], str],
    sensed: Mapping[str, str] | None = None,
    device: Callable[[Model], str] = mounted,
) -> list[str]:
    """Models and elements of a circuit.

    Args:
        circuit: as programmed.
        pin: writes the line of an input.
        sensed: nodes that stages amplify instead of their inputs, by the name of the stage.
        device: writes what follows a device's nodes.
    """
    lines = [model_card(model) for model in models_of(circuit)]
    for element in circuit.elements:
        lines += _lines(list(element.lowered()), pin, (sensed or {}).get(element.name), device)
    return lines


def models_of(circuit: Circuit) -> list[Model]:
    """Return the models of a circuit's devices."""
    return list(dict.fromkeys(part.model for part in circuit.parts(Device)))


def operating_point_lines(circuit: Circuit, drive: Drive, sample: int, tolerances: Tolerances) -> list[str]:
    """A deck that settles one sample under one drive when `SWEPT`, a source of its own, is swept over one point."""
    return [
        "* full network, one operating point",
        options(tolerances),
        *circuit_lines(circuit, drive.inputs[sample]),
        *_nudge(circuit, drive, sample),
        f"{SWEPT} {RESERVED}point 0 0",
        f"r{RESERVED}point {RESERVED}point 0 1",
        *saved(circuit),
        ".end",
    ]


def export_text(circuit: Circuit, inputs: Array, tolerances: Tolerances, comments: list[str]) -> str:
    """A deck for ``ngspice -b`` that prints the outputs for one sample's inputs (V, ``[channels]``)."""
    minus = ("" if output.minus == GROUND else f"-v({output.minus})" for output in circuit.outputs)
    prints = [f"print v({output.plus}){less}" for output, less in zip(circuit.outputs, minus, strict=True)]
    return "\n".join(
        [
            f"* {circuit.name}: full network with programmed conductances",
            *(f"* {line}" for text in comments for line in text.splitlines()),
            options(tolerances),
            *circuit_lines(circuit, inputs),
            ".control",
            "op",
            "set numdgt=12",
            *prints,
            "quit 0",
            ".endc",
            ".end",
            "",
        ]
    )


def saved(circuit: Circuit) -> list[str]:
    """``.save`` lines for every node."""
    names = [f"v({node})" for node in circuit.nodes]
    return [f".save {' '.join(names[k : k + 20])}" for k in range(0, len(names), 20)]


def _lines(
    parts: list[Primitive], pin: Callable[[Input], str], sensed: str | None, device: Callable[[Model], str]
) -> Iterator[str]:
    """The parts of one element.

    The offset of a stage, times its gain, is in the sense behind its source or, where there is none, below the source.
    """
    senses, shift = any(isinstance(part, Sense) for part in parts), 0.0
    for part in parts:
        match part:
            case Conductance(siemens=siemens):
                yield f"{head(part)} {spice_number(1 / siemens)}"
            case Cell(name, (a, b), siemens, law):
                yield _cell(law, name, a, b, siemens)
            case Device(model=model):
                yield f"{head(part)} {device(model)}"
            case Input():
                yield pin(part)
            case Voltage(volts=value) | Current(amperes=value) | Vccs(siemens=value):
                yield f"{head(part)} {spice_number(value)}"
            case Vcvs(name, (plus, minus, above, below), gain, offset):
                shift = gain * offset
                foot = f"{RESERVED}{name[1:]}" if shift and not senses else minus
                yield f"{name} {plus} {foot} {sensed or above} {below} {spice_number(gain)}"
                if foot != minus:
                    yield f"v{foot} {foot} {minus} {spice_number(shift)}"
            case Sense():
                yield f"{head(part)} {spice_number(-shift) if shift else 0}"
            case Cccs(sense=sense, gain=gain):
                yield f"{head(part)} {sense} {spice_number(gain)}"


def _cell(law: CellLaw, name: str, a: str, b: str, siemens: float) -> str:
    match law.curve:
        case Curve.LINEAR:
            return f"r{name} {a} {b} {1 / siemens!r}"
        case Curve.SINH:
            return f"b{name} {a} {b} i={siemens * law.volts!r}*sinh({1 / law.volts!r}*v({a},{b}))"
        case Curve.CUBIC:
            return f"b{name} {a} {b} i=v({a},{b})*({siemens!r}+{siemens / law.volts**2!r}*v({a},{b})*v({a},{b}))"


def _nudge(circuit: Circuit, drive: Drive, sample: int) -> Iterator[str]:
    """β (y − v) as a transconductance and a source of β y; an injection or a clamp as a source."""
    for k, output in enumerate(circuit.outputs):
        pins = f"{output.minus} {output.plus}"
        match drive.nudge:
            case Spring(conductance=beta, targets=targets):
                across = f"{output.plus} {output.minus}"
                yield f"g{RESERVED}nudge{k} {across} {across} {spice_number(beta)}"
                yield f"i{RESERVED}nudge{k} {pins} {spice_number(beta * targets[sample, k])}"
            case Injection(current=amperes):
                yield f"i{RESERVED}nudge{k} {pins} {spice_number(amperes[sample, k])}"
            case Clamp(volts=volts):
                yield f"v{RESERVED}nudge{k} {output.plus} {output.minus} {spice_number(volts[sample, k])}"
