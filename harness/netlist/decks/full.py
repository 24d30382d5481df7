"""The complete circuit in ngspice's dialect: every cell an element, every amplifier its controlled sources.

The reduced circuit is what is trained; this is what a designer takes away, and what `harness check` compares it with.
An open cell (0 S) is left out. A cell with a curve is a behavioural source (``B``) that states its law: antiparallel
diodes are sinh too, but ngspice gives them a gmin and another law in reverse (17 µV off on the digits network at V₀ =
2 V), and takes half as many iterations again, each of which costs 40 %.
"""

from collections.abc import Callable, Iterator

import numpy as np

from harness.circuit import (
    GROUND,
    BidirectionalAmplifier,
    Buffer,
    Circuit,
    Crossbar,
    CurrentSource,
    Diode,
    Edges,
    Element,
    Gyrator,
    InputSource,
    Output,
    Resistor,
    TrainableArray,
    Transformer,
    VoltageSource,
)
from harness.circuit.primitives import RESERVED
from harness.devices import CellLaw, Curve, DiodeModel
from harness.measurement import Array, Clamp, Drive, Injection, Spring
from harness.netlist.tolerances import Tolerances, options
from harness.units import spice_number

SWEPT = f"v{RESERVED}point"


def circuit_lines(circuit: Circuit, inputs: Array) -> list[str]:
    """Models and elements for one sample's inputs (V, ``[channels]``)."""

    def pin(source: InputSource) -> str:
        return f"v{source.name} {source.node} 0 {spice_number(source.gain * inputs[source.channel])}"

    return driven_lines(circuit, pin)


def own_input(stage: BidirectionalAmplifier | Buffer) -> str:
    """The node whose voltage a stage amplifies."""
    return stage.input


def driven_lines(
    circuit: Circuit,
    pin: Callable[[InputSource], str],
    sensed: Callable[[BidirectionalAmplifier | Buffer], str] = own_input,
) -> list[str]:
    """Models and elements, with what `pin` writes for inputs; amplifiers and buffers amplify the node `sensed`."""
    models = dict.fromkeys(e.model for e in circuit.elements if isinstance(e, Diode))
    lines = [_model(model) for model in models]
    for element in circuit.elements:
        lines += _element(element, pin, sensed)
    return lines


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
    prints = [f"print {_drop(output)}" for output in circuit.outputs]
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


def _model(model: DiodeModel) -> str:
    return f".model {model.name} d(is={spice_number(model.saturation_current)} n={spice_number(model.emission)})"


def _element(
    element: Element,
    pin: Callable[[InputSource], str],
    sensed: Callable[[BidirectionalAmplifier | Buffer], str],
) -> list[str]:
    match element:
        case Resistor(name, a, b, conductance):
            return [f"r{name} {a} {b} {spice_number(1 / conductance)}"]
        case Diode(name, anode, cathode, model):
            return [f"d{name} {anode} {cathode} {model.name}"]
        case VoltageSource(name, node, volts):
            return [f"v{name} {node} 0 {spice_number(volts)}"]
        case InputSource():
            return [pin(element)]
        case CurrentSource(name, source, sink, amperes):
            return [f"i{name} {source} {sink} {spice_number(amperes)}"]
        case BidirectionalAmplifier():
            return _amplifier(element, sensed(element))
        case Buffer():
            return _buffer(element, sensed(element))
        case Gyrator(name, a, b, c, d, conductance):
            forward, back = spice_number(conductance), spice_number(-conductance)
            return [f"g{name}_1 {a} {b} {c} {d} {forward}", f"g{name}_2 {c} {d} {a} {b} {back}"]
        case Transformer():
            return _transformer(element)
        case Crossbar():
            pins = [(word, bit) for word in element.words for bit in element.bits]
            return list(_cells(element, pins))
        case Edges(a=a, b=b):
            return list(_cells(element, list(zip(a, b, strict=True))))


def _amplifier(amplifier: BidirectionalAmplifier, sensed: str) -> list[str]:
    """Forward v × A through a sense source that adds A × the offset, and whose current × 1/A the input gives."""
    name, inner = amplifier.name, f"{RESERVED}{amplifier.name}"
    below = spice_number(-amplifier.gain * amplifier.offset) if amplifier.offset else "0"
    return [
        f"e{name} {inner} 0 {sensed} 0 {spice_number(amplifier.gain)}",
        f"v{inner} {inner} {amplifier.output} {below}",
        f"f{name} {amplifier.input} 0 v{inner} {spice_number(1 / amplifier.gain)}",
    ]


def _buffer(buffer: Buffer, sensed: str) -> list[str]:
    """Forward v × A, on top of a source of A × the offset where there is one."""
    base, gain = f"{RESERVED}{buffer.name}" if buffer.offset else GROUND, spice_number(buffer.gain)
    lines = [f"e{buffer.name} {buffer.output} {base} {sensed} 0 {gain}"]
    return [*lines, f"v{base} {base} 0 {spice_number(buffer.gain * buffer.offset)}"] if buffer.offset else lines


def _transformer(transformer: Transformer) -> list[str]:
    """v₁ = n v₂ as a controlled source behind a sense, whose current × n leaves at the second port."""
    name, inner = transformer.name, f"{RESERVED}{transformer.name}"
    a, b, c, d = transformer.a, transformer.b, transformer.c, transformer.d
    ratio = spice_number(transformer.ratio)
    return [f"e{name} {inner} {b} {c} {d} {ratio}", f"v{inner} {a} {inner} 0", f"f{name} {d} {c} v{inner} {ratio}"]


def _cells(array: TrainableArray, pins: list[tuple[str, str]]) -> Iterator[str]:
    """An element for every closed cell; `pins` of all cells, in the order in which the array stores them."""
    positions = zip(*(axis.tolist() for axis in np.unravel_index(np.arange(len(pins)), array.shape)), strict=True)
    for position, (a, b), conductance in zip(positions, pins, array.conductances.ravel().tolist(), strict=True):
        if conductance > 0:
            yield _cell(array.law, array.cell(*position), a, b, conductance)


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


def _drop(output: Output) -> str:
    return f"v({output.plus})" + ("" if output.minus == GROUND else f"-v({output.minus})")
