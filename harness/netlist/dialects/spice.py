"""The common part of the dialects that descend from Berkeley SPICE; a `Grammar` for each holds the differences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import override

from harness.circuit.primitives import Cccs, Conductance, Device, Model, Primitive, Sense, Vccs, Vcvs, Voltage
from harness.devices import CellLaw, Curve
from harness.devices.diode import TEMPERATURE
from harness.netlist.design.naming import JOINT, VSS
from harness.netlist.design.parts import Call, Cell, Design, Memristor
from harness.netlist.dialects.base import NETWORK, CellStyle, Dialect, Phase, Stimulus, opened, wrapped
from harness.netlist.tolerances import Tolerances
from harness.units import spice_number


@dataclass(frozen=True)
class Grammar:
    """The points in which a dialect differs from the others."""

    value: Callable[[str], str]
    """Writes a source's value that names a parameter."""
    behavioural: Callable[[str, str, str, str], str]
    """A source of current by a formula: name without a letter, nets, formula."""
    options: Callable[[Tolerances, float], list[str]]
    """Tolerances, and the temperature in °C."""
    conditions: Mapping[str, str]
    """Meaning of the options, see `Dialect`."""
    analysis: Callable[[Stimulus, Sequence[str]], list[str]]
    """The analysis in time, and what it prints of the nets given."""
    quote: str = '"'
    """Quotation mark around a file's name."""
    subcircuit_parameters: str = ""
    """Word before the parameters of a subcircuit's instance."""
    joint: str = "."
    """Separator between the parts of a path."""


@dataclass(frozen=True)
class Spice(Dialect):
    """A `Dialect` by its grammar."""

    name: str
    title: str
    suffix: str
    command: str
    grammar: Grammar
    joint: str = "."
    most_ports: int | None = None
    has_testbench: bool = True

    @property
    @override
    def conditions(self) -> Mapping[str, str]:
        return self.grammar.conditions

    @override
    def nonlinear_cell(self, name: str, a: str, b: str, siemens: float, law: CellLaw) -> list[str]:
        return [self.grammar.behavioural(name, a, b, formula(a, b, siemens, law))]

    @override
    def placed(self, name: str, nets: Sequence[str], master: str, parameters: Mapping[str, float]) -> str:
        before = [self.grammar.subcircuit_parameters] if parameters and self.grammar.subcircuit_parameters else []
        return " ".join([name, *nets, master, *before, named(parameters)]).rstrip()

    @override
    def network(self, design: Design, cells: CellStyle) -> Iterator[str]:
        for cell in design.cells:
            if cell is design.top and opened(design, self.most_ports):
                yield self.comment(
                    f"{cell.name}: no subcircuit, as {self.title} takes no more than {self.most_ports} ports"
                )
                yield from self._body(cell, design, cells)
                return
            yield from wrapped([".subckt", cell.name, *cell.port_names])
            yield from self._body(cell, design, cells)
            yield f".ends {cell.name}"

    def _body(self, cell: Cell, design: Design, cells: CellStyle) -> Iterator[str]:
        for part in cell.instances:
            match part:
                case Memristor():
                    yield from cells.lines(part, design, self)
                case Call(name, nets, called):
                    yield from wrapped([name, *nets, called])
                case _:
                    yield self.primitive(part)

    @override
    def primitive(self, part: Primitive) -> str:
        match part:
            case Conductance(name, (a, b), siemens):
                return self.resistor(name, a, b, siemens)
            case Device(model=model):
                return f"{head(part)} {mounted(model)}"
            case Vcvs(gain=value) | Vccs(siemens=value) | Voltage(volts=value):
                return f"{head(part)} {spice_number(value)}"
            case Cccs(sense=sense, gain=gain):
                return f"{head(part)} {sense} {spice_number(gain)}"
            case Sense():
                return f"{head(part)} 0.0"
        raise AssertionError  # a cell style writes it, or a testbench

    @override
    def models(self, design: Design, cells: CellStyle) -> Iterator[str]:
        yield from map(model_card, design.models)
        yield from cells.definitions(design, self)

    @override
    def parameters(self, design: Design, stimulus: Stimulus) -> Iterator[str]:
        yield from self.grammar.options(stimulus.tolerances, TEMPERATURE)
        yield f".param beta={spice_number(stimulus.beta)}"
        for name, value in source_parameters(design):
            yield f".param {name}={spice_number(value)}"

    @override
    def testbench(self, design: Design, stimulus: Stimulus, phase: Phase) -> Iterator[str]:
        for file in ("parameters", "models", "network"):
            yield f".include {self.grammar.quote}{file}.{self.suffix}{self.grammar.quote}"
        if opened(design, self.most_ports):
            yield f"v{JOINT}{VSS} {VSS} 0 0.0"
        else:
            yield from wrapped([NETWORK, *map(grounded, design.top.port_names), design.top.name])
        yield from self._sources(design, stimulus)
        if phase is Phase.NUDGED:
            yield from self._springs(design, stimulus)
        yield from self.grammar.analysis(stimulus, read_nets(design))
        yield ".end"

    def _sources(self, design: Design, stimulus: Stimulus) -> Iterator[str]:
        for rail in design.rails:
            yield f"v{rail.name} {grounded(rail.node)} 0 {self.grammar.value(parameter_of(rail.name))}"
        for current in design.currents:
            ends = f"{grounded(current.source)} {grounded(current.sink)}"
            yield f"i{current.name} {ends} {self.grammar.value(parameter_of(current.name))}"
        for pin in design.inputs:
            levels = (pin.gain * stimulus.inputs[:, pin.channel]).tolist()
            yield from steps(f"v{pin.name}", grounded(pin.node), stimulus, levels)

    def _springs(self, design: Design, stimulus: Stimulus) -> Iterator[str]:
        """β (y − v) as two transconductances: one of the output itself, one of a source at the target y."""
        beta = self.grammar.value("beta")
        for k, output in enumerate(design.outputs):
            plus, minus, target = grounded(output.plus), grounded(output.minus), f"target{JOINT}{output.name}"
            yield from steps(f"v{target}", target, stimulus, stimulus.targets[:, k].tolist())
            yield f"gspring{JOINT}{output.name} {plus} {minus} {plus} {minus} {beta}"
            yield f"gpull{JOINT}{output.name} {minus} {plus} {target} 0 {beta}"


def formula(a: str, b: str, siemens: float, law: CellLaw, over: str = "v({a},{b})") -> str:
    """The current of a nonlinear cell from `a` to `b`."""
    drop = over.format(a=a, b=b)
    if law.curve is Curve.SINH:
        return f"{siemens!r}*{law.volts!r}*sinh({1 / law.volts!r}*{drop})"
    return f"{drop}*({siemens!r}+{siemens / law.volts**2!r}*{drop}*{drop})"


def grounded(net: str) -> str:
    """A port of the top cell as a net of the testbench, where ground is 0."""
    return "0" if net == VSS else net


def parameter_of(source: str) -> str:
    """The parameter that a rail or a current source follows."""
    return f"rail_{source}"


def source_parameters(design: Design) -> Iterator[tuple[str, float]]:
    """Parameters of all rails and current sources, with their volts and amperes."""
    for rail in design.rails:
        yield parameter_of(rail.name), rail.volts
    for current in design.currents:
        yield parameter_of(current.name), current.amperes


def read_nets(design: Design) -> list[str]:
    """The nets that outputs are read at."""
    nets = dict.fromkeys(net for output in design.outputs for net in (output.plus, output.minus))
    return [net for net in nets if net != VSS]


def tran(stimulus: Stimulus) -> str:
    """The analysis in time, with steps of at most half a hold."""
    step = spice_number(stimulus.middle(0))
    return f".tran {step} {spice_number(stimulus.stop)} 0 {step}"


def measures(stimulus: Stimulus, nets: Sequence[str]) -> list[str]:
    """The voltage of each net in the middle of each hold, by name ``<net>__s<sample>``."""
    return [
        f".measure tran {net}{JOINT}s{sample} find v({net}) at={spice_number(stimulus.middle(sample))}"
        for net in nets
        for sample in range(len(stimulus))
    ]


def named(parts: Mapping[str, float]) -> str:
    """``name=number`` pairs."""
    return " ".join(f"{name}={spice_number(value)}" for name, value in parts.items())


def head(part: Primitive) -> str:
    """A part's name and nets."""
    return " ".join((part.name, *part.nets))


def mounted(model: Model) -> str:
    """Return the words of a device's line that name its model."""
    return f"{model.name} {named(model.instance)}".rstrip()


def model_card(model: Model) -> str:
    """The line of a device's model."""
    kind, parameters = model.card()
    return f".model {model.name} {kind}({named(parameters)})"


def steps(name: str, node: str, stimulus: Stimulus, levels: Sequence[float]) -> list[str]:
    """A source with one level (V) in each hold."""
    numbers = [spice_number(number) for corner in stimulus.corners(levels) for number in corner]
    return wrapped([name, node, "0", f"pwl({numbers[0]}", *numbers[1:-1], f"{numbers[-1]})"])
