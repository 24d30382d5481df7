"""``map.json``: where the parts of a circuit are in its netlist, and what a netlist does not say."""

import re
from dataclasses import fields

from harness.circuit import CurrentSource, Element, VoltageSource
from harness.circuit.elements import Modelled
from harness.files.reading import JsonObject
from harness.netlist.design.parts import Design, Memristor, Path
from harness.netlist.dialects.base import NETWORK, CellStyle, Dialect, opened
from harness.netlist.dialects.spice import parameter_of


def map_of(design: Design, dialect: Dialect, cells: CellStyle) -> JsonObject:
    """Plain data for JSON; all names are the circuit's own unless said otherwise.

    ``instance`` is what testbenches call the network; null where its contents stand in them and its nets are theirs.
    ``nodes`` and ``elements`` give paths in ``network.*``: instances and, last, a primitive or a net, joined by ``.``.
    ``elements`` lists every element in the circuit's order with its kind, its path and all its values but conductances
    of resistors and cells, which are in the netlist. ``cells`` leads from the path of every trainable cell to
    ``[array, word line, bit line]`` or ``[array, edge]``, numbers counted from 0.
    """
    circuit = design.circuit
    arrays = {array.name: name for name, array in design.arrays.items()}
    parameters = dict(zip(_names(circuit.elements), _parameters(design), strict=True))
    entries = [_entry(e, design, arrays.get(e.name), parameters.get(e.name)) for e in circuit.elements]
    drawn = dict.fromkeys(e.model.name for e in circuit.elements if isinstance(e, Modelled))
    return {
        "circuit": circuit.name,
        "top": design.top.name,
        "instance": None if opened(design, dialect.most_ports) else NETWORK,
        "ports": list(design.top.port_names),
        "nodes": {node: _text(path) for node, path in design.nodes.items()},
        "outputs": [vars(output) for output in circuit.outputs],
        "models": {own.name: {**vars(own), "name": name} for own, name in zip(design.models, drawn, strict=True)},
        "elements": entries,
        "cells": {
            _text((*path, _instance(cell, design, dialect, cells))): [design.arrays[cell.array].name, *cell.position]
            for path, cell in design.memristors()
            if cell.siemens
        },
    }


def _instance(cell: Memristor, design: Design, dialect: Dialect, cells: CellStyle) -> str:
    """Return the name of a cell's instance; for nonlinear cells it is that of their line in this dialect."""
    if design.arrays[cell.array].law.linear:
        return cells.instance(cell)
    return next(cells.lines(cell, design, dialect)).split()[0]


def _names(elements: tuple[Element, ...]) -> list[str]:
    """Return the names of the sources that follow a parameter, in the order of `_parameters`."""
    rails = [e.name for e in elements if isinstance(e, VoltageSource)]
    return rails + [e.name for e in elements if isinstance(e, CurrentSource)]


def _parameters(design: Design) -> list[str]:
    return [parameter_of(name) for name in (*(r.name for r in design.rails), *(c.name for c in design.currents))]


def _entry(element: Element, design: Design, array: str | None, parameter: str | None) -> JsonObject:
    shown: JsonObject = {"name": element.name, "kind": kind_of(type(element))}
    if element.name in design.elements:
        shown["path"] = _text(design.elements[element.name])
    if array is not None:
        shown["netlist_name"] = array
    if parameter is not None:
        shown["parameter"] = parameter
    for name, value in ((field.name, getattr(element, field.name)) for field in fields(element)):
        match name:
            case "name" | "conductances":
                continue
            case "conductance" if shown["kind"] == "resistor":
                continue
            case "model":
                shown["model"] = value.name
            case "law":
                shown["law"] = {"curve": str(value.curve), "volts": value.volts}
            case _:
                shown[name] = value
    return shown


def kind_of(element: type) -> str:
    """Return the kind of an element, such as ``voltage_source`` for a `VoltageSource`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", element.__name__).lower()


def probe(path: str, mapped: JsonObject, joint: str) -> str:
    """Return the name that results of a testbench give to the net at a path of ``map.json``."""
    if path in mapped["ports"] or mapped["instance"] is None:
        return path.replace(".", joint)
    return f"{mapped['instance']}.{path}".replace(".", joint)


def _text(path: Path) -> str:
    return ".".join(path)
