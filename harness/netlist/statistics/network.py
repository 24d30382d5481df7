"""The network with draws: what stands in place of ``network.*`` and ``models.*`` where chips differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.circuit.primitives import Cccs, Conductance, Device, Primitive, Vcvs, Voltage
from harness.circuit.variation.lines import Law
from harness.devices import CellLaw, Curve
from harness.netlist.design.naming import JOINT, ohms
from harness.netlist.design.parts import Call, Cell, Design, Memristor, Role
from harness.netlist.dialects.base import opened, wrapped
from harness.netlist.dialects.spice import Spice, head, model_card, named
from harness.netlist.statistics.laws import (
    CELL_FACTOR,
    CELL_HEAT,
    OPEN_SIEMENS,
    OWN,
    RESISTOR_HEAT,
    Statistics,
    Words,
    layer_factor,
)
from harness.units import spice_number

_STAGES = (Role.AMPLIFIER, Role.BUFFER)


@dataclass(frozen=True)
class DrawnNetwork:
    """The cells of a design in a dialect of SPICE; calls pass on what is drawn for the devices of the called cell."""

    design: Design
    dialect: Spice
    words: Words
    statistics: Statistics

    def lines(self) -> Iterator[str]:
        """Yield formulas of what devices share, models, and all cells, the top one last."""
        for name, text in self.statistics.shared().items():
            yield f".param {name}={self.value(text)}"
        drawn = {"d": self._own_diodes, "m": self._own_transistors}
        yield from (model_card(model) for model in self.design.models if not drawn[model.letter])
        yield from self._nonlinear_cells()
        for cell in self.design.cells:
            if cell is self.design.top and opened(self.design, self.dialect.most_ports):
                yield from self._body(cell)
                return
            yield from wrapped([".subckt", cell.name, *cell.port_names, *self._defaults(cell)])
            yield from self._body(cell)
            yield f".ends {cell.name}"

    def value(self, text: str) -> str:
        """A formula as a value."""
        return self.dialect.grammar.value(text)

    @property
    def _own_diodes(self) -> bool:
        diodes = self.statistics.variation.diodes
        return bool(diodes.saturation_current or diodes.emission)

    @property
    def _own_transistors(self) -> bool:
        transistors = self.statistics.variation.transistors
        return bool(transistors.threshold or transistors.transconductance)

    @property
    def _own_stages(self) -> bool:
        amplifiers = self.statistics.variation.amplifiers
        return bool(amplifiers.gain or amplifiers.layer_gain or amplifiers.offset)

    def _parameters(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        before = [self.dialect.grammar.subcircuit_parameters] if self.dialect.grammar.subcircuit_parameters else []
        return [*(before if pairs else ()), *(f"{name}={value}" for name, value in pairs)]

    def _defaults(self, cell: Cell) -> list[str]:
        """The parameters of a cell that its calls give, with the values of a typical chip."""
        if cell.role is Role.NEURON and self._own_diodes:
            return self._parameters([(f"{name}_{k}", "1") for k in _diodes(cell) for name in ("is", "n")])
        if cell.role in _STAGES and self._own_stages:
            return self._parameters([("gain", "1"), ("offset", "0")])
        return []

    def _body(self, cell: Cell) -> Iterator[str]:
        if cell.role in _STAGES and self._own_stages:
            yield from self._stage(cell.instances)
            return
        for k, part in enumerate(cell.instances):
            match part:
                case Memristor():
                    yield from self._memristor(part)
                case Call(name, nets, called):
                    yield from wrapped([name, *nets, called, *self._parameters(self._draws(part))])
                case Device(model=model) if self._own_diodes and model.letter == "d":
                    yield from self._diode(part, k)
                case Device(model=model) if self._own_transistors and model.letter == "m":
                    yield from self._transistor(part, k)
                case Conductance(siemens=siemens) if self.statistics.variation.temperature.resistor_coefficient:
                    yield f"{head(part)} {self.value(f'{RESISTOR_HEAT}*{ohms(siemens)}')}"
                case _:
                    yield self.dialect.primitive(part)

    def _nonlinear_cells(self) -> Iterator[str]:
        """A subcircuit for the cells of every array whose law is nonlinear; ``g`` is a cell's conductance."""
        for name, array in self.design.arrays.items():
            if not array.law.linear:
                yield " ".join([".subckt", _cell_of(name), "a", "b", *self._parameters([("g", "1")])])
                yield self.dialect.grammar.behavioural(
                    "cell", "a", "b", current_of(self.words.parameter("g"), array.law)
                )
                yield f".ends {_cell_of(name)}"

    def _memristor(self, cell: Memristor) -> Iterator[str]:
        """A cell as a resistor, or as a source where its law is nonlinear; none where it is open on every chip."""
        law = self.design.arrays[cell.array].law
        siemens = self.siemens(cell)
        if not siemens:
            return
        heat, ends = self.statistics.variation.temperature.cell_coefficient, " ".join(cell.nets)
        if law.linear:
            yield f"r{cell.name} {ends} {self.value(f'{CELL_HEAT if heat else 1}/({siemens})')}"
            return
        hot = f"({siemens})/{CELL_HEAT}" if heat else siemens
        yield " ".join([f"x{cell.name}", ends, _cell_of(cell.array), *self._parameters([("g", self.value(hot))])])

    def siemens(self, cell: Memristor) -> str:
        """A cell's conductance at 27 °C as a formula; empty where it is open on every chip.

        See `harness.circuit.variation.variation.CellFaults.effective`.
        """
        array, variation, words = self.design.arrays[cell.array], self.statistics.variation, self.words
        low, high = min(cell.siemens, array.g_min), max(cell.siemens, array.g_max)
        text = repr(cell.siemens) if cell.siemens else ""
        if text and (variation.spread.fraction or variation.spread.common):
            factors = [text]
            if variation.spread.common:
                factors.append(CELL_FACTOR)
            if variation.spread.fraction:
                factors.append(words.factor(variation.spread.law, variation.spread.fraction))
            text = f"min(max({'*'.join(factors)},{low!r}),{high!r})"
        defects = variation.defects
        for probability, stuck in (
            (defects.stuck_at_min, array.g_min),
            (defects.stuck_at_max, array.g_max),
            (defects.open_cells, 0.0),
        ):
            if probability and (stuck or text):
                drawn = f"{words.uniform}<{OWN}*{probability!r}"
                text = words.choice(drawn, repr(stuck or OPEN_SIEMENS), text or repr(OPEN_SIEMENS))
        return text

    def _diode(self, part: Device, k: int) -> Iterator[str]:
        """A diode with a model of its own, whose parameters follow what the cell's call says."""
        kind, parameters = part.model.card()
        factors = {"is": f"is_{k}", "ibv": f"is_{k}", "n": f"n_{k}"}
        shown = [
            f"{name}={self.value(f'{value!r}*{factors[name]}') if name in factors else spice_number(value)}"
            for name, value in parameters.items()
        ]
        yield f".model m{k} {kind}({' '.join(shown)})"
        yield f"{head(part)} m{k}"

    def _transistor(self, part: Device, k: int) -> Iterator[str]:
        """A transistor with a model of its own, in which each parameter has a draw where it stands."""
        kind, parameters = part.model.card()
        law, shown = self.statistics.variation.transistors, []
        for name, value in parameters.items():
            text = spice_number(value)
            if name == "vto" and law.threshold:
                text = self.value(f"{text}+{self.words.offset(law.threshold)}")
            if name == "kp" and law.transconductance:
                text = self.value(f"{text}*{self.words.factor(Law.LOG_NORMAL, law.transconductance)}")
            shown.append(f"{name}={text}")
        yield f".model m{k} {kind}({' '.join(shown)})"
        yield f"{head(part)} m{k} {named(part.model.instance)}".rstrip()

    def _stage(self, parts: Sequence[Primitive]) -> Iterator[str]:
        """An amplifier or a buffer whose gain is multiplied by ``gain``, and to whose offset ``offset`` is added."""
        shifted = any(isinstance(part, Voltage) for part in parts)
        for part in parts:
            match part:
                case Voltage(volts=volts):
                    yield f"{head(part)} {self.value(f'{volts!r}+offset')}"
                case Vcvs(nets=(plus, minus, above, below), gain=gain):
                    if not shifted:
                        yield f"v2 shifted {above} {self.value('offset')}"
                        part = replace(part, nets=(plus, minus, "shifted", below))  # noqa: PLW2901
                    yield f"{head(part)} {self.value(f'{gain!r}*gain')}"
                case Cccs(sense=sense, gain=gain):
                    yield f"{head(part)} {sense} {self.value(f'{gain!r}/gain')}"
                case _:
                    yield self.dialect.primitive(part)

    def _draws(self, call: Call) -> list[tuple[str, str]]:
        """Parameters of a call with the draws for the devices of its cell."""
        cell, variation, words = self.design.cell[call.cell], self.statistics.variation, self.words
        if cell.role is Role.NEURON and self._own_diodes:
            laws = (
                ("is", Law.LOG_NORMAL, variation.diodes.saturation_current),
                ("n", Law.NORMAL, variation.diodes.emission),
            )
            return [
                (f"{name}_{k}", self.value(words.factor(law, deviation)))
                for k in _diodes(cell)
                for name, law, deviation in laws
                if deviation
            ]
        if cell.role not in _STAGES or not self._own_stages:
            return []
        amplifiers, layer = variation.amplifiers, self._layers.get(call.name)
        factors = [words.factor(Law.NORMAL, amplifiers.gain)] if amplifiers.gain else []
        if amplifiers.layer_gain and layer is not None:
            factors.append(layer_factor(layer))
        given = [("gain", self.value("*".join(factors)))] if factors else []
        return given + ([("offset", self.value(words.offset(amplifiers.offset)))] if amplifiers.offset else [])

    @property
    def _layers(self) -> dict[str, int]:
        """Numbers of layers by the names of the amplifiers' calls."""
        return {self.design.elements[name][0]: layer for name, layer in self.statistics.layers.items()}


def _cell_of(array: str) -> str:
    """The subcircuit of an array's nonlinear cells."""
    return f"{array}{JOINT}cell"


def current_of(siemens: str, law: CellLaw) -> str:
    """The current of a nonlinear cell from ``a`` to ``b``, in which its conductance stands once."""
    if law.curve is Curve.SINH:
        return f"{siemens}*{law.volts!r}*sinh({1 / law.volts!r}*v(a,b))"
    return f"{siemens}*v(a,b)*(1.0+{1 / law.volts**2!r}*v(a,b)*v(a,b))"


def _diodes(cell: Cell) -> list[int]:
    """Return the places of diodes among a neuron's devices."""
    return [k for k, part in enumerate(cell.instances) if isinstance(part, Device) and part.model.letter == "d"]
