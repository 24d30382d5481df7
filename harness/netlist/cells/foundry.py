"""Cells of a foundry by a table: what a cell is called, which net goes to which terminal, what its parameters are.

A table is a TOML file; ``sky130.toml`` beside this module is an example. Values of parameters are numbers, or words
with a factor if wanted, such as ``"r"`` or ``"1e9 * state"``:

===== ==================================================================
g     conductance, S
r     its reciprocal, Ω
state what section ``[law]`` says of the conductance, in the law's unit
===== ==================================================================

Nothing in a table is run as code or read as a file.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from typing_extensions import override

from harness.circuit import Circuit, Crossbar, Edges, Element
from harness.devices import CellLaw, Curve
from harness.errors import CircuitError, ExperimentError
from harness.files.reading import parse_toml
from harness.netlist.cells.limits import Limits
from harness.netlist.design.naming import JOINT
from harness.netlist.design.parts import Design, Memristor
from harness.netlist.dialects import Dialect
from harness.netlist.dialects.base import CellStyle
from harness.units import parse, show
from harness.validation import MismatchError, Unit, places_in, validated

_WORD = re.compile(r"(?:(.+)\*)?\s*(g|r|state)\s*")
_INSTANCE = re.compile(r"[xrn][a-z0-9_]*\{cell\}")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Expression:
    """A number, or a number times a word of the table's vocabulary."""

    factor: float
    word: Literal["", "g", "r", "state"] = ""

    @classmethod
    def read(cls, value: object) -> "Expression":
        """Read an expression of a table.

        Raises:
            ValueError: it is none.
        """
        found = _WORD.fullmatch(value) if isinstance(value, str) else None
        try:
            if found is None:
                return cls(parse(value, ""))
            return cls(parse(found.group(1) or 1.0, ""), found.group(2))  # type: ignore[arg-type] # one of the words
        except ValueError as error:
            raise ValueError("must be a number, g, r or state, or a number * one of these") from error


def _plain(name: str) -> str:
    if not _PLAIN.fullmatch(name) or JOINT * 2 in name:
        raise ValueError("must be a name of letters, digits and _ that begins with a letter")
    return name


def _pattern(text: str) -> str:
    if not _INSTANCE.fullmatch(text) or JOINT in text:
        raise ValueError("must begin with x, r or n, go on with a-z, 0-9 and single _, and end with {cell}")
    return text


def _printable(text: str) -> str:
    if not re.fullmatch(r"[ -~]*", text):
        raise ValueError("must be one line of printable ASCII")
    return text


Name = Annotated[str, AfterValidator(_plain)]
Metres = Annotated[float, Unit("m"), Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Terminal(_Section):
    """A terminal of the cell, in the order of the cell's definition."""

    name: Name
    net: Literal["word", "bit"]


class FilamentLaw(_Section):
    """i = I exp(−(T_ox − T)/(T_ox − T_ref)) sinh(v/V_ref); the state is the filament's thickness T in m."""

    kind: Literal["filament"]
    current: Annotated[float, Unit("A"), Field(gt=0)]
    """I."""
    oxide: Metres
    """T_ox."""
    reference: Metres
    """T_ref; below `oxide`."""
    volts: Annotated[float, Unit("V"), Field(gt=0)]
    """V_ref."""
    thinnest: Metres
    thickest: Metres
    """Bounds of T; at most `oxide`."""
    read: Annotated[float, Unit("V"), Field(gt=0)]
    """V at which the cell is to conduct as programmed."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.reference < self.oxide:
            raise MismatchError("reference", f"must be below the oxide's {show(self.oxide, 'm', 6)}")
        if not self.thinnest < self.thickest <= self.oxide:
            raise MismatchError("thickest", "must be above thinnest and at most as thick as the oxide")
        with np.errstate(over="ignore", under="ignore"):
            ends = [self.conductance(thickness) for thickness in (self.thinnest, self.thickest)]
        if not 0 < ends[0] < ends[1] < np.inf:
            raise MismatchError("current", f"makes the cell conduct {ends[0]:g}…{ends[1]:g} S at read; no cell does")
        return self

    def conductance(self, thickness: float) -> float:
        """Return the conductance (S) at `read` of a filament of that thickness (m)."""
        return self._scale * float(np.exp(-(self.oxide - thickness) / (self.oxide - self.reference)))

    def state(self, siemens: float) -> float:
        """The thickness (m) at which the cell conducts so much (S, above 0) at `read`; within bounds."""
        thickness = self.oxide + (self.oxide - self.reference) * float(np.log(siemens / self._scale))
        return min(max(thickness, self.thinnest), self.thickest)

    @property
    def _scale(self) -> float:
        """The conductance (S) at `read` of a filament through the whole oxide."""
        return self.current * float(np.sinh(self.read / self.volts)) / self.read


class CellTable(_Section):
    """The table by which a foundry's cell stands for a trainable one."""

    cell: Name
    """The foundry's name."""
    library: Annotated[str, AfterValidator(_printable)] = ""
    """The library that defines the cell, as a note for people; no file is read."""
    source: Annotated[str, AfterValidator(_printable)] = ""
    """The publication of the table's figures."""
    instance: Annotated[str, AfterValidator(_pattern)] = "x{cell}"
    """Name of an instance; ``{cell}`` is that of the trainable cell."""
    terminals: Annotated[tuple[Terminal, ...], Field(min_length=2)]
    parameters: dict[Name, Annotated[Expression, BeforeValidator(Expression.read)]] = Field(default_factory=dict)
    law: FilamentLaw | None = None
    """The law that gives ``state`` its meaning."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if Counter(terminal.net for terminal in self.terminals) != {"word": 1, "bit": 1}:
            raise MismatchError("terminals", "one must be at net 'word' and one at net 'bit', none elsewhere")
        if len({terminal.name for terminal in self.terminals}) < len(self.terminals):
            raise MismatchError("terminals", "two have the same name")
        wanting = [name for name, value in self.parameters.items() if value.word == "state"]
        if wanting and self.law is None:
            raise MismatchError(f"parameters.{wanting[0]}", "state needs a section [law], which says what it is")
        return self


def read_table(text: str, source: str) -> CellTable:
    """A table from the text of its TOML file; `source` is what errors call it.

    Raises:
        ExperimentError: syntax, keys or values are wrong; names line, key and value.
    """
    return validated(CellTable, parse_toml(text, ExperimentError, source), places_in(text, source))


@dataclass(frozen=True)
class FoundryCells(CellStyle):
    """Instances of a foundry's cell, whose library the designer adds; open cells have no device."""

    table: CellTable
    clip: bool = False
    """True where cells beyond the foundry cell's bounds are set to these instead of being refused."""

    @property
    @override
    def name(self) -> str:
        return self.table.cell

    @property
    @override
    def exact(self) -> bool:
        return self.table.law is None

    @property
    @override
    def read_volts(self) -> float | None:
        return None if self.table.law is None else self.table.law.read

    @override
    def conducting(self, circuit: Circuit) -> Circuit:
        law, limits = self.table.law, self.limits
        if law is None or limits is None:
            return circuit
        share = law.read / law.volts / float(np.sinh(law.read / law.volts))

        def conducts(element: Element) -> Element:
            if not isinstance(element, (Crossbar, Edges)):
                return element
            g = element.conductances
            held = np.where(g > 0, np.clip(g, limits.low, limits.high), 0.0)
            most = share * max(limits.high, element.g_max)
            curve = CellLaw(Curve.SINH, law.volts)
            return replace(element, conductances=share * held, g_min=0.0, g_max=most, law=curve)

        return replace(circuit, elements=tuple(map(conducts, circuit.elements)))

    @override
    def instance(self, cell: Memristor) -> str:
        return self.table.instance.replace("{cell}", cell.name)

    @override
    def definitions(self, design: Design, dialect: Dialect) -> Iterator[str]:
        """See `CellStyle`.

        Raises:
            CircuitError: a subcircuit of the design has the name of the foundry's cell.
        """
        if self.table.cell.lower() in {cell.name for cell in design.cells}:
            raise CircuitError(
                f"cells {self.table.cell}: the network has a subcircuit of that name; rename [experiment]"
            )
        yield dialect.comment(f"cells are {self.table.cell}, which the foundry's library defines; include it as well")

    @override
    def lines(self, cell: Memristor, design: Design, dialect: Dialect) -> Iterator[str]:
        """See `CellStyle`.

        Raises:
            CircuitError: the foundry's cell cannot conduct so much or so little; names the cell.
        """
        if cell.siemens:
            ends = dict(zip(("word", "bit"), cell.nets, strict=True))
            nets = [ends[terminal.net] for terminal in self.table.terminals]
            siemens = self.limits.held(cell, design) if self.limits else cell.siemens
            values = {name: self._value(name, value, siemens) for name, value in self.table.parameters.items()}
            yield dialect.placed(self.instance(cell), nets, self.table.cell, values)

    @override
    def about(self, design: Design, dialect: Dialect) -> Sequence[str]:
        table = self.table
        pins = ", ".join(f"{terminal.name} at the {terminal.net} line" for terminal in table.terminals)
        said = [
            f"A cell is the foundry's `{table.cell}`, {pins}; include its library too ({table.library or 'foundry'})."
        ]
        if table.source:
            said.append(f"Figures: {table.source}.")
        if table.law is not None and self.limits is not None:
            read, curve = show(table.law.read, "V"), f"sinh(v / {show(table.law.volts, 'V')})"
            said += [
                f"It conducts as trained at {read}, {self.limits}, and follows {curve}; so do the voltages in",
                f"`expected.csv`. {self.limits.about(design)}".rstrip(),
            ]
        return said

    @cached_property
    def limits(self) -> Limits | None:
        """Limits of the foundry's cell; None where the table has no law."""
        if (law := self.table.law) is None:
            return None
        low, high = law.conductance(law.thinnest), law.conductance(law.thickest)
        return Limits(low, high, f"the cell {self.table.cell}", self.clip)

    def _value(self, name: str, value: Expression, siemens: float) -> float:
        word = {"": 1.0, "g": siemens, "r": 1 / siemens}.get(value.word)
        if word is None:
            word = self.table.law.state(siemens) if self.table.law else np.nan
        if not np.isfinite(found := value.factor * word):
            raise CircuitError(
                f"cells {self.table.cell}: parameter {name} of a cell of {show(siemens, 'S')} is not finite"
            )
        return found
