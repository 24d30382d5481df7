"""Edges of free graphs, as users write them.

Any node may be an input, an output, a ground or a rail, as in the graphs that Stern et al. 2021 (PRX 11, 021045) and
Lin et al. 2026 (arXiv 2602.03546) train and in the boards of Dillavou et al. (2022, Phys. Rev. Applied 18, 014040;
2024, PNAS 121, e2319718121). `harness.circuit.networks.families` makes edges, `harness.circuit.networks.free` the
circuit.

Nodes go by names of the user's own, such as ``0`` or ``A``, and ``ground`` is circuit ground; in the circuit, where
``0`` means ground, node ``A`` is called ``nA`` (`graph_node`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from harness.circuit.part import GROUND
from harness.errors import CircuitError, UnitError
from harness.files.delimited import read_delimited
from harness.units import parse

GROUND_WORD = "ground"
"""The users' word for circuit ground."""

_NAME = re.compile(r"[A-Za-z0-9_]+")
_COLUMNS = ("a", "b", "conductance", "diode")


class EdgeDiode(StrEnum):
    """Diodes in series with the conductance of an edge."""

    NONE = "none"
    FORWARD = "forward"
    """A diode that lets current pass from a to b."""
    BACKWARD = "backward"
    """A diode that lets current pass from b to a."""
    BOTH = "both"
    """An antiparallel pair: no current but for drops beyond a diode's."""


@dataclass(frozen=True)
class GraphEdge:
    """A trainable conductance between nodes `a` and `b`, with or without a diode in series.

    Raises:
        CircuitError: an end has no proper name, both ends are one node, or the conductance is negative or not finite.
    """

    a: str
    b: str
    conductance: float | None = None
    """S; None: drawn when the circuit is built."""
    diode: EdgeDiode = EdgeDiode.NONE

    def __post_init__(self) -> None:
        for end, node in (("a", self.a), ("b", self.b)):
            if not _NAME.fullmatch(node):
                raise CircuitError(f"{self}: end {end} is called {node!r}; a name is made of letters, digits and _")
            if node != GROUND_WORD and node.casefold() in (GROUND_WORD, "gnd"):
                raise CircuitError(f"{self}: end {end} is called {node}; write {GROUND_WORD!r} for circuit ground")
        if self.a == self.b:
            raise CircuitError(f"{self}: both ends are at node {self.a}; leave out the loop, no current flows in it")
        if self.conductance is not None and not 0 <= self.conductance < np.inf:
            raise CircuitError(f"{self}: conductance {self.conductance:g} S must be finite and not negative")

    def __str__(self) -> str:
        return f"edge {self.a}–{self.b}"


def graph_node(name: str | int) -> str:
    """The circuit's name for a graph's node: ``A`` is ``nA``, ``0`` is ``n0``, and ``ground`` is circuit ground."""
    return GROUND if str(name) == GROUND_WORD else f"n{name}"


def read_edges(path: Path) -> list[GraphEdge]:
    """The edges of a CSV file with columns ``a`` and ``b`` and, if wanted, ``conductance`` and ``diode``.

    A conductance is a text such as ``10 uS`` or a number in S, drawn where the cell is empty; a diode is ``none`` (or
    empty), ``forward`` (from a to b), ``backward`` or ``both``.

    Raises:
        CircuitError: the file cannot be read, has other columns, or a value is wrong; names file, line and value.
    """
    table = read_delimited(path, CircuitError)
    columns = table.columns
    if not set(columns) >= {"a", "b"} or set(columns) - set(_COLUMNS):
        found = ", ".join(columns)
        raise CircuitError(f"{path}: its columns are {found}; write a, b and, if wanted, conductance, diode")
    edges = []
    for line, cells in table.rows():
        try:
            edges.append(_edge_of_row(dict(zip(columns, cells, strict=True))))
        except CircuitError as error:
            raise CircuitError(f"{path}, line {line}: {error}") from error
    if not edges:
        raise CircuitError(f"{path}: it has no rows; write one for each edge")
    return edges


def _edge_of_row(row: Mapping[str, str]) -> GraphEdge:
    cells = {column: row.get(column, "").strip() for column in _COLUMNS}
    for column in ("a", "b"):
        if not cells[column]:
            raise CircuitError(f"column {column} is empty; write the name of a node")
    return GraphEdge(cells["a"], cells["b"], edge_conductance(cells["conductance"]), edge_diode(cells["diode"]))


def edge_conductance(value: object) -> float | None:
    """Return a conductance (S) from a number or a text; None where neither is given.

    Raises:
        CircuitError: it is neither.
    """
    if value is None or value == "":
        return None
    try:
        return parse(value, "S")
    except UnitError as error:
        raise CircuitError(f"conductance: {error}") from error


def edge_diode(value: object) -> EdgeDiode:
    """Return the kind of diode with a name; `EdgeDiode.NONE` where no name is given.

    Raises:
        CircuitError: there is no such kind.
    """
    try:
        return EdgeDiode(str(value or EdgeDiode.NONE))
    except ValueError as error:
        raise CircuitError(f"diode: {value!r} is none of {', '.join(EdgeDiode)}") from error
