"""Testbenches whose chips differ: sources, the network with draws between them, and whether a row is read rightly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.circuit import GROUND, Output
from harness.circuit.variation.lines import Law
from harness.netlist.design.naming import JOINT, VSS
from harness.netlist.design.parts import Design
from harness.netlist.dialects.base import NETWORK, Stimulus, opened, wrapped
from harness.netlist.dialects.spice import Spice, grounded, parameter_of, source_parameters, steps
from harness.netlist.statistics.laws import Statistics, Words
from harness.units import spice_number

RIGHT = f"score{JOINT}right"
"""The node that is at 1 V where the right output is the largest, else at 0 V."""
_FAR = 1000.0
"""V by which the right output is taken out of its own competitors."""


@dataclass(frozen=True)
class Bench:
    """The surroundings of the network in a dialect of SPICE."""

    design: Design
    dialect: Spice
    words: Words
    stimulus: Stimulus
    statistics: Statistics

    def value(self, text: str) -> str:
        """A formula as a value."""
        return self.dialect.grammar.value(text)

    def head(self, celsius: float, file: str) -> Iterator[str]:
        """Yield the network's file, solver settings, and the parameters that no draw changes."""
        quote = self.dialect.grammar.quote
        yield from self.dialect.grammar.options(self.stimulus.tolerances, celsius)
        for name, value in source_parameters(self.design):
            yield f".param {name}={spice_number(value)}"
        if self.statistics.heated:
            yield from (f".param {name}={spice_number(by)}" for name, by in self.statistics.heat(celsius).items())
        yield f".include {quote}{file}{quote}"

    def body(self) -> Iterator[str]:
        """Yield the network, its sources, and what says whether a row is read rightly."""
        design = self.design
        if opened(design, self.dialect.most_ports):
            yield f"v{JOINT}{VSS} {VSS} 0 0.0"
        else:
            yield from wrapped([NETWORK, *map(grounded, design.top.port_names), design.top.name])
        yield from self._rails()
        for pin in design.inputs:
            levels, node = (pin.gain * self.stimulus.inputs[:, pin.channel]).tolist(), grounded(pin.node)
            yield from self._input(pin.name, node, levels)
        if self.statistics.classes is not None:
            yield from self._score(self.statistics.classes)

    def _rails(self) -> Iterator[str]:
        offset = self.statistics.variation.sources.offset
        for rail in self.design.rails:
            text = parameter_of(rail.name)
            text = f"{text}+{self.words.offset(offset)}" if offset else text
            yield f"v{rail.name} {grounded(rail.node)} 0 {self.value(text)}"
        for current in self.design.currents:
            ends = f"{grounded(current.source)} {grounded(current.sink)}"
            yield f"i{current.name} {ends} {self.value(parameter_of(current.name))}"

    def _input(self, name: str, node: str, levels: Sequence[float]) -> Iterator[str]:
        """A source at a node; where gains differ, behind a source that is controlled by it."""
        if not (deviation := self.statistics.variation.sources.gain):
            yield from steps(f"v{name}", node, self.stimulus, levels)
            return
        ideal = f"{name}{JOINT}ideal"
        yield from steps(f"v{ideal}", ideal, self.stimulus, levels)
        gain = self.words.factor(Law.NORMAL, deviation)
        yield f"e{name} {node} 0 {ideal} 0 {self.value(gain)}"

    def _score(self, classes: Sequence[int]) -> Iterator[str]:
        """Sources that say which output is right, and the comparison of all outputs."""
        found = score(self.design, classes)
        for node, levels in found.levels.items():
            yield from steps(f"v{node}", node, self.stimulus, levels)
        yield self.dialect.grammar.behavioural(RIGHT, "0", RIGHT, self.words.choice(found.condition, "1", "0"))
        yield f"r{RIGHT} {RIGHT} 0 1.0"

    def read_nets(self) -> list[str]:
        """Nets of outputs."""
        nets = dict.fromkeys(net for output in self.design.outputs for net in (output.plus, output.minus))
        return [net for net in nets if net != VSS]


@dataclass(frozen=True)
class Score:
    """The parts of a circuit that says whether a row is read rightly."""

    levels: dict[str, list[float]]
    """V of a node for each output: 1 V while that one is the right one, else 0 V."""
    condition: str
    """A formula that holds where the right output is the largest."""


def score(design: Design, classes: Sequence[int]) -> Score:
    """Return the comparison of a network's outputs for rows of these classes."""
    nodes = [f"right{JOINT}{output.name}" for output in design.outputs]
    levels = {node: [float(right == k) for right in classes] for k, node in enumerate(nodes)}
    pairs = [(f"v({node})", _volts(output)) for node, output in zip(nodes, design.outputs, strict=True)]
    right = "+".join(f"{wanted}*{volts}" for wanted, volts in pairs)
    most, *others = (f"{volts}-{_FAR:g}*{wanted}" for wanted, volts in pairs)
    for other in others:
        most = f"max({most},{other})"
    return Score(levels, f"({right})>{most}")


def _volts(output: Output) -> str:
    """The voltage of an output."""
    if output.minus in (VSS, GROUND):
        return f"v({output.plus})"
    return f"(v({output.plus})-v({output.minus}))" if output.plus != VSS else f"(-v({output.minus}))"
