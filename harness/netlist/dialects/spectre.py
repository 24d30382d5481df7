"""Spectre's native syntax: case counts, nets in parentheses, parameters by name, lines continued by a backslash."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import override

from harness.circuit.primitives import Cccs, Conductance, Device, Primitive, Sense, Vccs, Vcvs, Voltage
from harness.devices import CellLaw
from harness.devices.diode import GMIN, TEMPERATURE
from harness.netlist.design.naming import JOINT, ohms
from harness.netlist.design.parts import Call, Cell, Design, Memristor
from harness.netlist.dialects.base import NETWORK, CellStyle, Dialect, Phase, Stimulus, seconds, wrapped
from harness.netlist.dialects.spice import formula, grounded, mounted, named, parameter_of, source_parameters
from harness.units import spice_number

HEAD = "simulator lang=spectre"
_CONDITIONS = {name: name for name in ("reltol", "gmin", "temp", "tnom")} | {"vabstol": "vntol", "iabstol": "abstol"}
MASTERS = {"d": "diode", "nmos": "mos1 type=n", "pmos": "mos1 type=p"}
"""Spectre's components for SPICE's types of models, whose level is in their names."""
_WITHOUT_EFFECT = ("save", "stop", "step", "maxstep", "strobeperiod", "strobedelay")


@dataclass(frozen=True)
class Spectre(Dialect):
    """The `Dialect`."""

    name: str = "spectre"
    title: str = "Spectre"
    suffix: str = "scs"
    command: str = "spectre testbench_free.scs               # writes testbench_free.raw"
    joint: str = "."
    most_ports: int | None = None
    has_testbench: bool = True

    @property
    @override
    def conditions(self) -> Mapping[str, str]:
        return _CONDITIONS | dict.fromkeys(_WITHOUT_EFFECT, "")

    @override
    def comment(self, text: str) -> str:
        return f"// {text}".rstrip()

    @override
    def resistor(self, name: str, a: str, b: str, siemens: float) -> str:
        return f"{name} ({a} {b}) resistor r={ohms(siemens)}"

    @override
    def nonlinear_cell(self, name: str, a: str, b: str, siemens: float, law: CellLaw) -> list[str]:
        return [f"b{name} ({a} {b}) bsource i={formula(a, b, siemens, law)}"]

    @override
    def placed(self, name: str, nets: Sequence[str], master: str, parameters: Mapping[str, float]) -> str:
        return " ".join([name, *bracketed(nets), master, named(parameters)]).rstrip()

    @override
    def network(self, design: Design, cells: CellStyle) -> Iterator[str]:
        yield HEAD
        for cell in design.cells:
            yield from continued(["subckt", cell.name, *bracketed(cell.port_names)])
            yield from self._body(cell, design, cells)
            yield f"ends {cell.name}"

    def _body(self, cell: Cell, design: Design, cells: CellStyle) -> Iterator[str]:
        for part in cell.instances:
            match part:
                case Memristor():
                    yield from (f"    {line}" for line in cells.lines(part, design, self))
                case Call(name, nets, called):
                    yield from continued([f"    {name}", *bracketed(nets), called])
                case _:
                    yield f"    {self.primitive(part)}"

    @override
    def primitive(self, part: Primitive) -> str:
        head = f"{part.name} ({' '.join(part.nets)})"
        match part:
            case Conductance(name, (a, b), siemens):
                return self.resistor(name, a, b, siemens)
            case Device(model=model):
                return f"{head} {mounted(model)}"
            case Vcvs(gain=gain):
                return f"{head} vcvs gain={spice_number(gain)}"
            case Vccs(siemens=siemens):
                return f"{head} vccs gm={spice_number(siemens)}"
            case Cccs(sense=sense, gain=gain):
                return f"{head} cccs probe={sense} gain={spice_number(gain)}"
            case Voltage(volts=volts):
                return f"{head} vsource dc={spice_number(volts)}"
            case Sense():
                return f"{head} vsource dc=0.0"
        raise AssertionError  # a cell style writes it, or a testbench

    @override
    def models(self, design: Design, cells: CellStyle) -> Iterator[str]:
        yield HEAD
        for model in design.models:
            kind, parameters = model.card()
            own = {name: value for name, value in parameters.items() if name != "level"}
            yield f"model {model.name} {MASTERS[kind]} {named(own)}"
        yield from cells.definitions(design, self)

    @override
    def parameters(self, design: Design, stimulus: Stimulus) -> Iterator[str]:
        yield HEAD
        bounds = {"reltol": stimulus.tolerances.reltol, "vabstol": stimulus.tolerances.vntol}
        bounds |= {"iabstol": stimulus.tolerances.abstol, "gmin": GMIN, "temp": TEMPERATURE, "tnom": TEMPERATURE}
        yield f"accuracy options {named(bounds)} save=allpub"
        yield f"parameters beta={spice_number(stimulus.beta)}"
        for name, value in source_parameters(design):
            yield f"parameters {name}={spice_number(value)}"

    @override
    def testbench(self, design: Design, stimulus: Stimulus, phase: Phase) -> Iterator[str]:
        yield HEAD
        for file in ("parameters", "models", "network"):
            yield f'include "{file}.{self.suffix}"'
        yield from continued([NETWORK, *bracketed(list(map(grounded, design.top.port_names))), design.top.name])
        yield from _sources(design, stimulus)
        if phase is Phase.NUDGED:
            yield from _springs(design, stimulus)
        middle = spice_number(stimulus.middle(0))
        strobe = named({"strobeperiod": seconds(stimulus.hold), "strobedelay": stimulus.middle(0)})
        yield f"samples tran stop={spice_number(stimulus.stop)} step={middle} maxstep={middle} {strobe}"


def _sources(design: Design, stimulus: Stimulus) -> Iterator[str]:
    for rail in design.rails:
        yield f"v{rail.name} ({grounded(rail.node)} 0) vsource dc={parameter_of(rail.name)}"
    for current in design.currents:
        ends = f"{grounded(current.source)} {grounded(current.sink)}"
        yield f"i{current.name} ({ends}) isource dc={parameter_of(current.name)}"
    for pin in design.inputs:
        levels = (pin.gain * stimulus.inputs[:, pin.channel]).tolist()
        yield from steps(f"v{pin.name}", grounded(pin.node), stimulus, levels)


def _springs(design: Design, stimulus: Stimulus) -> Iterator[str]:
    for k, output in enumerate(design.outputs):
        plus, minus, target = grounded(output.plus), grounded(output.minus), f"target{JOINT}{output.name}"
        yield from steps(f"v{target}", target, stimulus, stimulus.targets[:, k].tolist())
        yield f"gspring{JOINT}{output.name} ({plus} {minus} {plus} {minus}) vccs gm=beta"
        yield f"gpull{JOINT}{output.name} ({minus} {plus} {target} 0) vccs gm=beta"


def steps(name: str, node: str, stimulus: Stimulus, levels: Sequence[float]) -> list[str]:
    """A source with one level (V) in each hold."""
    numbers = [spice_number(number) for corner in stimulus.corners(levels) for number in corner]
    wave = [f"wave=[{numbers[0]}", *numbers[1:-1], f"{numbers[-1]}]"]
    return continued([name, f"({node}", "0)", "vsource", "type=pwl", *wave])


def bracketed(nets: Sequence[str]) -> list[str]:
    """Return the nets as words, in parentheses."""
    words = list(nets)
    words[0] = f"({words[0]}"
    words[-1] = f"{words[-1]})"
    return words


def continued(words: Sequence[str]) -> list[str]:
    """Words as a line with its continuations."""
    return wrapped(words, begin="        ", end=" \\")


SPECTRE = Spectre()
