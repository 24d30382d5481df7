"""A package back into the circuit that it was made of.

A netlist says which conductances, diodes and sources there are and what joins them; ``map.json`` says the rest: the
circuit's own names, input channels and gains, outputs, limits and laws of the cells, and for CDL, whose amplifiers are
empty cells and whose sources are outside, these too. So conductances of cells and resistors are taken from the
netlist, bit for bit, everything else from the map; then the circuit is written again, and where the package's netlist
says anything else, statement by statement, it is refused with file and line. A changed conductance is read as it is,
a changed gain, model or connection is an error.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np

from harness.circuit import Circuit, Crossbar, Element, Output, Resistor, TrainableArray
from harness.devices import CellLaw, Curve, DiodeModel, ZenerModel
from harness.errors import CircuitError, NetlistError
from harness.files.reading import JsonObject
from harness.measurement import Array
from harness.netlist.design.design import design_of
from harness.netlist.design.mapping import kind_of, map_of
from harness.netlist.design.naming import siemens_of
from harness.netlist.design.parts import Design, flat_instance
from harness.netlist.dialects import DIALECTS, RESISTORS, Dialect
from harness.netlist.dialects.base import fitted, flattened
from harness.netlist.dialects.spice import source_parameters
from harness.netlist.package.manifest import MAP, read_manifest
from harness.netlist.reading.mapped import compare_map, read_map
from harness.netlist.reading.statements import Statement, read_statements, statements_of

_KINDS: dict[str, type[Element]] = {kind_of(kind): kind for kind in get_args(Element)}
_ARRAYS = {kind_of(kind) for kind in get_args(TrainableArray)}
_SPARSEST = 100
"""Cells of arrays for each one that is not open, beyond the first `_OPEN_CELLS`."""
_OPEN_CELLS = 1_000_000
_NONLINEAR = re.compile(r"[bg]\S* \S+ \S+ (?:i=|cur=)['{]?(?:([0-9.e+\-]+)\*|v\(\S+?\)\*\(([0-9.e+\-]+)\+).*")


def read_circuit(folder: Path, *, flat: bool = False) -> Circuit:
    """The circuit in a package of any dialect, with the conductances of its hierarchical (or flat) netlist.

    Raises:
        NetlistError: the netlist asks for what no netlist may, or says anything but conductances otherwise than the
            map; names file and line.
        CircuitError: the folder is no package, or what it holds is no circuit.
    """
    manifest = read_manifest(folder)
    dialect = DIALECTS[manifest["dialect"]]
    if manifest.get("cells") != RESISTORS.name:
        raise NetlistError(f"package {folder}: its cells are {manifest.get('cells')}, whose conductances no line says")
    file = f"{'flat' if flat else 'network'}.{dialect.suffix}"
    statements = list(read_statements(folder, file, native=is_native(dialect)))
    mapped = read_map(folder)
    circuit = _circuit(mapped, _conductances(statements, mapped), file, flat=flat)
    design = design_of(circuit, _tile(manifest, circuit, len(statements)), str(mapped["top"]))
    shown = flattened(design, dialect) if flat else fitted(design, dialect.most_ports)
    wanted = statements_of(dialect.network(shown, RESISTORS), native=is_native(dialect))
    _compare(statements, wanted, file)
    if dialect.has_testbench:
        _compare_values(folder, dialect, design)
    compare_map(mapped, map_of(fitted(design, dialect.most_ports), dialect, RESISTORS))
    return circuit


def is_native(dialect: Dialect) -> bool:
    """Return whether a dialect's language is Spectre's own."""
    return dialect.name == "spectre"


def _tile(manifest: JsonObject, circuit: Circuit, statements: int) -> tuple[int, int]:
    match manifest.get("tile"):
        case [int(words), int(bits)] if words > 0 and bits > 0:
            shapes = [array.shape for array in circuit.arrays if isinstance(array, Crossbar)]
            if (tiles := sum(-(-shape[0] // words) * -(-shape[1] // bits) for shape in shapes)) > statements:
                raise NetlistError(
                    f"manifest.json: tile makes {tiles:,} subcircuits; the netlist is too short for them"
                )
            return words, bits
    raise NetlistError("manifest.json: tile must be two numbers above 0")


@dataclass(frozen=True)
class _Found:
    """Conductances (S) by cell and instance, and the cells that the top cell calls, by instance."""

    top: str
    """Name of the top cell; empty where its contents stand outside all subcircuits."""
    siemens: dict[tuple[str, str], float]
    calls: dict[tuple[str, str], str]

    def at(self, path: str, *, flat: bool) -> float | None:
        """Return the conductance (S) of the resistor at a path of the map; None where there is none."""
        names = tuple(path.split("."))
        if flat:
            return self.siemens.get((self.top, flat_instance(names)))
        cell: str | None = self.top
        for name in names[:-1]:
            cell = self.calls.get((cell or "", name))
        return self.siemens.get((cell or "", names[-1]))


def _conductances(statements: list[Statement], mapped: JsonObject) -> _Found:
    siemens: dict[tuple[str, str], float] = {}
    calls: dict[tuple[str, str], str] = {}
    cell = ""
    for statement in statements:
        words = statement.text.split()
        match words[0][0]:
            case "." if words[0] == ".subckt":
                cell = words[1]
            case "." if words[0] == ".ends":
                cell = ""
            case "r":
                siemens[cell, words[0]] = _siemens(statement, words[3])
            case "b" | "g":
                if found := _NONLINEAR.fullmatch(statement.text):
                    siemens[cell, words[0]] = _number(statement, found.group(1) or found.group(2))
            case "x":
                calls[cell, words[0]] = words[-1]
    return _Found(str(mapped.get("top")) if mapped.get("instance") else "", siemens, calls)


def _siemens(statement: Statement, ohms: str) -> float:
    value = siemens_of(ohms) if float(ohms) > 0 else 0.0
    if not 0 < value < float("inf"):
        raise NetlistError(f"{statement.place}: a resistance of {ohms} Ω; it must be above 0 Ω")
    return value


def _number(statement: Statement, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise NetlistError(f"{statement.place}: {text!r} is no conductance") from error


def _circuit(shown: JsonObject, found: _Found, file: str, *, flat: bool) -> Circuit:
    try:
        arrays = _arrays(shown, found, flat=flat)
        models = {m["name"]: m for m in shown["models"].values()}

        def conductance(path: str) -> float:
            if (siemens := found.at(path, flat=flat)) is None:
                raise NetlistError(f"{file}: it has no resistor {path}, which {MAP} names")
            return siemens

        elements = tuple(
            _element_at(k, entry, models, arrays, conductance) for k, entry in enumerate(shown["elements"])
        )
        return Circuit(shown["circuit"], elements, tuple(Output(**output) for output in shown["outputs"]))
    except (CircuitError, NetlistError):
        raise
    except KeyError as error:
        raise NetlistError(f"{MAP}: it does not describe a circuit: an entry lacks {error}") from error
    except (TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise NetlistError(f"{MAP}: it does not describe a circuit: an entry is of the wrong form") from error


def _arrays(shown: JsonObject, found: _Found, *, flat: bool) -> dict[str, Array]:
    """Conductances (S) of every trainable array; cells that the netlist does not have are open."""
    shapes = {
        e["name"]: (len(e["words"]), len(e["bits"])) if e["kind"] == "crossbar" else (len(e["a"]),)
        for e in shown["elements"]
        if e["kind"] in _ARRAYS
    }
    most = _OPEN_CELLS + _SPARSEST * len(shown["cells"])
    if (size := sum(map(math.prod, shapes.values()))) > most:
        raise NetlistError(f"{MAP}: its arrays have {size:,} cells, nearly all of them open; at most {most:,} are read")
    arrays = {name: np.zeros(shape) for name, shape in shapes.items()}
    for path, at in shown["cells"].items():
        match at:
            case [str(array), *position] if array in arrays and _inside(position, arrays[array].shape):
                siemens = found.at(path, flat=flat)
                if siemens is not None:
                    arrays[array][tuple(position)] = siemens
            case _:
                raise NetlistError(f"{MAP}: cell {path[:80]} is at {repr(at)[:80]}, which no array has")
    return arrays


def _inside(position: list[Any], shape: tuple[int, ...]) -> bool:
    return len(position) == len(shape) and all(
        type(k) is int and 0 <= k < count for k, count in zip(position, shape, strict=True)
    )


def _element_at(
    k: int,
    entry: Any,
    models: Mapping[str, JsonObject],
    arrays: Mapping[str, Array],
    conductance: Callable[[str], float],
) -> Element:
    """The element of an entry of the map.

    Raises:
        NetlistError: it describes none; names the entry.
    """
    name = f"{MAP}: it does not describe a circuit: elements[{k}]"
    if not isinstance(entry, dict):
        raise NetlistError(f"{name} is no object")
    if entry.get("kind") not in _KINDS:
        raise NetlistError(f"{name} is of no known kind, but {entry.get('kind')!r}")
    try:
        return _element(entry, models, arrays, conductance)
    except (CircuitError, NetlistError):
        raise
    except KeyError as error:
        raise NetlistError(f"{name}, {entry.get('name')!r}, lacks or does not know {error}") from error
    except (TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise NetlistError(f"{name}, {entry.get('name')!r}, lacks a value or has one of the wrong form") from error


def _element(
    entry: JsonObject,
    models: Mapping[str, JsonObject],
    arrays: Mapping[str, Array],
    conductance: Callable[[str], float],
) -> Element:
    kind = _KINDS[entry["kind"]]
    values = {name: _value(entry[name], wanted) for name, wanted in _types(kind).items() if name in entry}
    if "model" in values:
        model, given = _types(kind)["model"], models[entry["model"]]
        model = ZenerModel if model is DiodeModel and "breakdown" in given else model
        values["model"] = model(**{name: _value(given[name], wanted) for name, wanted in _types(model).items()})
    elif kind is Resistor:
        values["conductance"] = conductance(entry["path"])
    elif issubclass(kind, TrainableArray):
        values["conductances"] = arrays[entry["name"]]
        law = entry["law"]
        values["law"] = CellLaw(Curve(law["curve"]), law["volts"])
    return kind(**values)


def _types(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _value(value: Any, wanted: Any) -> Any:
    """A value of an element as its type wants it; JSON has no float 1.0 and no tuples.

    Raises:
        TypeError: it is of another type.
    """
    if wanted is float and type(value) in (int, float):
        return float(value)
    if wanted == tuple[str, ...] and isinstance(value, list) and all(isinstance(name, str) for name in value):
        return tuple(value)
    if (wanted in (int, str, bool) and type(value) is not wanted) or wanted in (float, tuple[str, ...]):
        raise TypeError
    return value


def _compare(given: list[Statement], wanted: Iterator[Statement], file: str) -> None:
    for is_there, belongs in zip_longest(given, wanted):
        if is_there is None:
            raise NetlistError(f"{file}: it ends before {belongs.text[:80]!r}, which {MAP} asks for")
        if belongs is None or not _alike(is_there.text, belongs.text):
            instead = "nothing more" if belongs is None else repr(belongs.text[:80])
            raise NetlistError(f"{is_there.place}: {is_there.text[:80]!r}, where {MAP} asks for {instead}")


def _alike(given: str, wanted: str) -> bool:
    """Return whether two statements say the same; resistors do whose conductances are equal to the last bit."""
    if given == wanted:
        return True
    (*before, ohms), (*expected, others) = given.split(), wanted.split()
    return given[0] == wanted[0] == "r" and before == expected and siemens_of(ohms) == siemens_of(others)


def _compare_values(folder: Path, dialect: Dialect, design: Design) -> None:
    """Diode models, and volts and amperes of the sources."""
    native, models, parameters = is_native(dialect), f"models.{dialect.suffix}", f"parameters.{dialect.suffix}"
    given = [s for s in read_statements(folder, models, native=native) if s.text != ".options"]
    wanted = (s for s in statements_of(dialect.models(design, RESISTORS), native=native) if s.text != ".options")
    _compare(given, wanted, models)
    expected = dict(source_parameters(design))
    for statement in read_statements(folder, parameters, native=native):
        name, _, value = statement.text.removeprefix(".param ").partition("=")
        if name in expected and float(value) != expected[name]:
            raise NetlistError(f"{statement.place}: {name} is {value}, where {MAP} has {expected[name]!r}")
