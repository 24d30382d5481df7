"""Spectre's statistics: ``process`` is what the devices of a chip share, ``mismatch`` what each has of its own.

Spectre draws a mismatch parameter for every instance of a subcircuit that uses it. So every device that differs is an
instance of a subcircuit around it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.circuit.primitives import Cccs, Conductance, Device, Model, Primitive, Vcvs, Voltage
from harness.circuit.variation.lines import Law
from harness.devices.diode import GMIN, TEMPERATURE
from harness.netlist.design.naming import JOINT, ohms
from harness.netlist.design.parts import Call, Cell, Design, Memristor, Role
from harness.netlist.dialects import SPECTRE, Stimulus
from harness.netlist.dialects.base import NETWORK
from harness.netlist.dialects.spectre import HEAD, MASTERS, bracketed, continued, steps
from harness.netlist.dialects.spice import grounded, mounted, named, parameter_of, source_parameters
from harness.netlist.statistics.laws import (
    CELL_FACTOR,
    CELL_HEAT,
    CHIPS,
    COMMON,
    CORNER,
    CORNERS,
    OPEN_SIEMENS,
    OWN,
    RESISTOR_HEAT,
    SEED,
    Statistics,
    Words,
    layer_factor,
)
from harness.netlist.statistics.network import current_of
from harness.netlist.statistics.testbench import RIGHT, score
from harness.units import spice_number

WORDS = Words("", "", lambda condition, yes, no: f"(({condition})?({yes}):({no}))", lambda name: name)
_STAGES = (Role.AMPLIFIER, Role.BUFFER)
ABOUT = f"""\
Spectre's montecarlo analysis makes {CHIPS} chips (`numruns`) and exports the accuracy over the held-out rows of each;
its `variations` may be process, mismatch or all. Corners are a sweep, which shows whether a row is read rightly as the
voltage at `{RIGHT}`, 1 V or 0 V."""


@dataclass(frozen=True)
class SpectreChips:
    """The network with draws, and its testbenches."""

    design: Design
    stimulus: Stimulus
    statistics: Statistics

    def network(self) -> Iterator[str]:
        """Yield what is drawn, formulas of what devices share, models, and all cells, the top one last."""
        yield HEAD
        yield from self._statistics()
        for name, text in self.statistics.shared().items():
            yield f"parameters {name}={text}"
        diodes = self.statistics.variation.diodes
        transistors = self.statistics.variation.transistors
        drawn = "d" if diodes.saturation_current or diodes.emission else ""
        drawn += "m" if transistors.threshold or transistors.transconductance else ""
        for model in self.design.models:
            if model.letter not in drawn:
                yield f"model {_card(model, {})}"
            else:
                yield from self._diode(model) if model.letter == "d" else self._transistor(model)
        for name in self.design.arrays:
            yield from self._cell(name)
        for cell in self.design.cells:
            yield from continued(["subckt", cell.name, *bracketed(cell.port_names)])
            yield from self._body(cell, drawn=drawn)
            yield f"ends {cell.name}"

    def _statistics(self) -> Iterator[str]:
        """The parameters that Spectre draws, with their values on a typical chip."""
        v = self.statistics.variation
        normal = {
            "n_cell": v.spread.fraction,
            "n_is": v.diodes.saturation_current,
            "n_n": v.diodes.emission,
            "n_threshold": v.transistors.threshold,
            "n_k": v.transistors.transconductance,
            "n_gain": v.amplifiers.gain,
            "n_offset": v.amplifiers.offset,
            "n_rail": v.sources.offset,
            "n_input": v.sources.gain,
        }
        uniform = {"p_min": v.defects.stuck_at_min, "p_max": v.defects.stuck_at_max, "p_open": v.defects.open_cells}
        own = [(name, "dist=gauss std=1", 0.0) for name, strength in normal.items() if strength]
        own += [(name, "dist=unif N=0.5", 0.5) for name, strength in uniform.items() if strength]
        yield from (f"parameters {name}={typical:g}" for name, _, typical in own)
        yield "statistics {"
        for part, drawn in (
            ("process", [(name, "dist=gauss std=1", 0.0) for name in self.statistics.common]),
            ("mismatch", own),
        ):
            if drawn:
                yield f"    {part} {{"
                yield from (f"        vary {name} {law}" for name, law, _ in drawn)
                yield "    }"
        yield "}"

    def _diode(self, model: Model) -> Iterator[str]:
        """A subcircuit around a diode with a model of its own."""
        diodes = self.statistics.variation.diodes
        factors: dict[str, str] = {}
        if diodes.saturation_current:
            current = WORDS.factor(Law.LOG_NORMAL, diodes.saturation_current, "n_is")
            factors |= {"is": current, "ibv": current}
        if diodes.emission:
            factors["n"] = WORDS.factor(Law.NORMAL, diodes.emission, "n_n")
        yield f"subckt {model.name}{JOINT}drawn (a b)"
        yield f"    model {_card(model, factors)}"
        yield f"    d0 (a b) {model.name}"
        yield f"ends {model.name}{JOINT}drawn"

    def _transistor(self, model: Model) -> Iterator[str]:
        """A subcircuit around a transistor with a model of its own."""
        law, factors, shifts = self.statistics.variation.transistors, {}, {}
        if law.transconductance:
            factors["kp"] = WORDS.factor(Law.LOG_NORMAL, law.transconductance, "n_k")
        if law.threshold:
            shifts["vto"] = f"{OWN}*{law.threshold!r}*n_threshold"
        yield f"subckt {model.name}{JOINT}drawn (d g s b)"
        yield f"    model {_card(model, factors, shifts)}"
        yield f"    m0 (d g s b) {mounted(model)}"
        yield f"ends {model.name}{JOINT}drawn"

    def _cell(self, name: str) -> Iterator[str]:
        """A subcircuit around a cell of an array; ``g`` is what it is programmed to, S."""
        array, v = self.design.arrays[name], self.statistics.variation
        factors = ["g"]
        if v.spread.common:
            factors.append(CELL_FACTOR)
        if v.spread.fraction:
            factors.append(WORDS.factor(v.spread.law, v.spread.fraction, "n_cell"))
        text = "*".join(factors)
        if len(factors) > 1:
            text = f"min(max({text},min(g,{array.g_min!r})),max(g,{array.g_max!r}))"
        for draw, probability, stuck in (
            ("p_min", v.defects.stuck_at_min, array.g_min),
            ("p_max", v.defects.stuck_at_max, array.g_max),
            ("p_open", v.defects.open_cells, 0.0),
        ):
            if probability:
                text = WORDS.choice(f"{draw}<{OWN}*{probability!r}", repr(stuck), text)
        if any(vars(v.defects).values()):
            text = f"max({text},{OPEN_SIEMENS!r})"
        heat = CELL_HEAT if v.temperature.cell_coefficient else "1"
        yield f"subckt {name}{JOINT}cell (a b)"
        yield "    parameters g=1"
        if array.law.linear:
            yield f"    r0 (a b) resistor r={heat}/({text})"
        else:
            yield f"    parameters siemens=({text})/{heat}"
            yield f"    b0 (a b) bsource i={current_of('siemens', array.law)}"
        yield f"ends {name}{JOINT}cell"

    def _body(self, cell: Cell, *, drawn: str) -> Iterator[str]:
        amplifiers = self.statistics.variation.amplifiers
        if cell.role in _STAGES and (amplifiers.gain or amplifiers.layer_gain or amplifiers.offset):
            yield from self._stage(cell.instances)
            return
        for part in cell.instances:
            match part:
                case Memristor(name, nets, siemens, array):
                    defects = self.statistics.variation.defects
                    if siemens or defects.stuck_at_max or (defects.stuck_at_min and self.design.arrays[array].g_min):
                        yield f"    x{name} ({' '.join(nets)}) {array}{JOINT}cell g={spice_number(siemens)}"
                case Call(name, nets, called):
                    layer = self._layer(name)
                    yield from continued([f"    {name}", *bracketed(nets), called, *([layer] if layer else [])])
                case Device(name, nets, model) if model.letter in drawn:
                    yield f"    x{name} ({' '.join(nets)}) {model.name}{JOINT}drawn"
                case Conductance(name, nets, siemens) if self.statistics.variation.temperature.resistor_coefficient:
                    yield f"    {name} ({' '.join(nets)}) resistor r={RESISTOR_HEAT}*{ohms(siemens)}"
                case _:
                    yield f"    {SPECTRE.primitive(part)}"

    def _layer(self, call: str) -> str:
        """The parameter by which an amplifier learns its layer's factor; empty where there is none."""
        if not self.statistics.variation.amplifiers.layer_gain:
            return ""
        layers = {self.design.elements[name][0]: layer for name, layer in self.statistics.layers.items()}
        return f"layer={layer_factor(layers[call])}" if call in layers else ""

    def _stage(self, parts: Sequence[Primitive]) -> Iterator[str]:
        """An amplifier or a buffer with draws of its own, and the factor of its layer."""
        amplifiers = self.statistics.variation.amplifiers
        own = WORDS.factor(Law.NORMAL, amplifiers.gain, "n_gain") if amplifiers.gain else "1"
        offset = f"{OWN}*{amplifiers.offset!r}*n_offset" if amplifiers.offset else "0"
        yield "    parameters layer=1"
        yield f"    parameters factor=layer*{own} shift={offset}"
        shifted = any(isinstance(part, Voltage) for part in parts)
        for part in parts:
            match part:
                case Voltage(name, nets, volts):
                    yield f"    {name} ({' '.join(nets)}) vsource dc={volts!r}+shift"
                case Vcvs(name, (plus, minus, above, below), gain):
                    if not shifted:
                        yield f"    v2 (shifted {above}) vsource dc=shift"
                    control = above if shifted else "shifted"
                    yield f"    {name} ({plus} {minus} {control} {below}) vcvs gain={gain!r}*factor"
                case Cccs(name, nets, sense, gain):
                    yield f"    {name} ({' '.join(nets)}) cccs probe={sense} gain={gain!r}/factor"
                case _:
                    yield f"    {SPECTRE.primitive(part)}"

    def testbench(self, celsius: float, *, drawn: bool) -> Iterator[str]:
        """Yield a testbench of many chips, or of the corners."""
        bounds = self.stimulus.tolerances
        accuracy = {"reltol": bounds.reltol, "vabstol": bounds.vntol, "iabstol": bounds.abstol, "gmin": GMIN}
        yield HEAD
        yield f"accuracy options {named(accuracy | {'temp': celsius, 'tnom': TEMPERATURE})} save=allpub"
        yield f"parameters {CORNER}=0 {OWN}={int(drawn)} {COMMON}={int(drawn)}"
        yield from (f"parameters {name}={0 if drawn else CORNER}" for name in self.statistics.common)
        yield from (f"parameters {name}={spice_number(value)}" for name, value in source_parameters(self.design))
        if self.statistics.heated:
            yield from (f"parameters {name}={spice_number(by)}" for name, by in self.statistics.heat(celsius).items())
        yield f'include "statistics.{SPECTRE.suffix}"'
        yield from continued(
            [NETWORK, *bracketed(list(map(grounded, self.design.top.port_names))), self.design.top.name]
        )
        yield from self._sources()
        if self.statistics.classes is not None:
            yield from self._score(self.statistics.classes)
        yield from self._analysis(drawn=drawn)

    def _sources(self) -> Iterator[str]:
        sources = self.statistics.variation.sources
        if sources.offset:
            yield f"subckt rail{JOINT}drawn (node)"
            yield "    parameters volts=0"
            yield f"    v0 (node 0) vsource dc=volts+{OWN}*{sources.offset!r}*n_rail"
            yield f"ends rail{JOINT}drawn"
        if sources.gain:
            yield f"subckt input{JOINT}drawn (out ideal)"
            yield f"    e0 (out 0 ideal 0) vcvs gain={WORDS.factor(Law.NORMAL, sources.gain, 'n_input')}"
            yield f"ends input{JOINT}drawn"
        for rail in self.design.rails:
            node, volts = grounded(rail.node), parameter_of(rail.name)
            if sources.offset:
                yield f"xv{rail.name} ({node}) rail{JOINT}drawn volts={volts}"
            else:
                yield f"v{rail.name} ({node} 0) vsource dc={volts}"
        for current in self.design.currents:
            ends = f"{grounded(current.source)} {grounded(current.sink)}"
            yield f"i{current.name} ({ends}) isource dc={parameter_of(current.name)}"
        for pin in self.design.inputs:
            levels, node = (pin.gain * self.stimulus.inputs[:, pin.channel]).tolist(), grounded(pin.node)
            ideal = f"{pin.name}{JOINT}ideal" if sources.gain else node
            yield from steps(f"v{pin.name}", ideal, self.stimulus, levels)
            if sources.gain:
                yield f"xe{pin.name} ({node} {ideal}) input{JOINT}drawn"

    def _score(self, classes: Sequence[int]) -> Iterator[str]:
        """Sources that say which output is right, and the comparison of all outputs."""
        found = score(self.design, classes)
        for node, levels in found.levels.items():
            yield from steps(f"v{node}", node, self.stimulus, levels)
        yield f"b{RIGHT} ({RIGHT} 0) bsource v={WORDS.choice(found.condition, '1', '0')}"

    def _analysis(self, *, drawn: bool) -> Iterator[str]:
        middle = spice_number(self.stimulus.middle(0))
        tran = f"samples tran stop={spice_number(self.stimulus.stop)} step={middle} maxstep={middle}"
        if not drawn:
            levels = " ".join(f"{deviations:g}" for deviations in CORNERS.values())
            yield f"corners sweep param={CORNER} values=[{levels}] {{"
            yield f"    {tran}"
            yield "}"
            return
        yield f"chips montecarlo variations=all numruns={CHIPS} seed={SEED} donominal=no savefamilyplots=yes {{"
        yield f"    {tran}"
        if self.statistics.classes is not None:
            times = [spice_number(self.stimulus.middle(sample)) for sample in range(len(self.stimulus))]
            hits = "+".join(f'value(VT(\\"{RIGHT}\\") {time})' for time in times)
            yield f'    export accuracy=oceanEval("({hits})/{len(times)}.0")'
        yield "}"


def _card(model: Model, factors: Mapping[str, str], shifts: Mapping[str, str] | None = None) -> str:
    """The words of a device's model behind ``model``, with formulas that multiply parameters or are added to them."""
    shifts = shifts or {}
    kind, parameters = model.card()
    times = {name: f"*{formula}" for name, formula in factors.items()}
    plus = {name: f"+{formula}" for name, formula in shifts.items()}
    shown = [
        f"{name}={spice_number(value)}{times.get(name, '')}{plus.get(name, '')}"
        for name, value in parameters.items()
        if name != "level"
    ]
    return " ".join([model.name, MASTERS[kind], *shown])
