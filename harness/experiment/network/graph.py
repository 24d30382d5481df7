"""Networks of any graph of conductances."""

from dataclasses import replace
from math import comb
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from harness.circuit import Circuit
from harness.circuit.networks.graphs import EdgeDiode, GraphEdge, read_edges
from harness.datasets import Samples, Split
from harness.errors import ExperimentError
from harness.experiment.network.base import Network, Size
from harness.experiment.network.devices import DiodeSettings
from harness.processes.memory import Part
from harness.validation import MismatchError, Number, Ohms, Volts, Whole
from harness.wording import counted

_GRAPH = 4
"""Stream of random numbers for edges."""
_EDGE = 1000
"""B of an edge of a graph, which is an object with names."""
_Node = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class GraphSettings(Network):
    """Any graph of conductances. Source: Stern et al. 2021, PRX 11, 021045; Lin et al. 2026, arXiv 2602.03546."""

    kind: Literal["graph"]
    shape: Literal["file", "grid", "periodic-grid", "random-regular", "complete", "small-world"]
    """Where the edges come from. Nodes of all shapes but ``file`` are called 0, 1, …, in grids row by row."""
    file: Path | None = None
    """For ``shape = "file"``: a CSV file with columns a, b and, if wanted, conductance and diode (none, forward,
    backward or both)."""
    rows: Annotated[Whole, Field(ge=1, le=1000)] = 6
    """For grids: number of rows of nodes."""
    columns: Annotated[Whole, Field(ge=1, le=1000)] = 6
    """For grids: number of columns of nodes."""
    nodes: Annotated[Whole, Field(ge=2, le=100_000)] = 16
    """For ``random-regular``, ``complete`` and ``small-world``: number of nodes."""
    degree: Annotated[Whole, Field(ge=2, le=1000)] = 4
    """For ``random-regular`` and, before rewiring, ``small-world``: number of edges of every node."""
    rewiring: Annotated[Number, Field(ge=0, le=1)] = 0.1
    """For ``small-world``: probability that an edge is moved. Source: Watts & Strogatz 1998, Nature 393, 440."""
    edge_diode: EdgeDiode = EdgeDiode.NONE
    """The diode in series with every conductance; a file says it for each edge."""
    inputs: tuple[_Node, ...]
    """The node that each input channel holds."""
    inverted: tuple[_Node, ...] = ()
    """Nodes that hold the negative of each channel, for networks that need both signs."""
    outputs: tuple[str, ...]
    """Reading of each output: ``"A"`` the voltage of a node, ``"A-B"`` a drop, ``"i(A-B)"`` the current of an edge, as
    the voltage over `sense`."""
    grounds: tuple[_Node, ...] = ()
    """Nodes held at 0 V."""
    rails: dict[_Node, Volts] = Field(default_factory=dict)
    """Nodes that are held at other voltages, each with its voltage."""
    sense: Annotated[Ohms, Field(gt=0)] | None = None
    """Resistance in series with an edge whose current is read."""
    diode: DiodeSettings | None = None
    """The diode that ``neuron = "diode"`` and edges with diodes need."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.shape == "file" and self.file is None:
            raise MismatchError("file", "shape = 'file' needs a file")
        if self.edge_diode is not EdgeDiode.NONE and self.diode is None:
            raise MismatchError("edge_diode", f"{self.edge_diode.value!r} needs a section [network.diode]")
        if self.inverted and len(self.inverted) != len(self.inputs):
            raise MismatchError(
                "inverted", f"{counted(len(self.inverted), 'node')} for {counted(len(self.inputs), 'input')}"
            )
        return self

    def build(self, data: Split, seed: int) -> Circuit:
        """The circuit, whose pins must fit the data.

        Raises:
            ExperimentError: they do not.
            CircuitError: no such circuit exists.
        """
        wanted = {"inputs": data.channels, "outputs": len(data.classes)}
        for what, pins in (("inputs", self.inputs), ("outputs", self.outputs)):
            if len(pins) != wanted[what]:
                raise ExperimentError(f"network.{what}: {len(pins)} for data with {wanted[what]}; give one for each")
        from harness.circuit.networks.free import free_graph  # noqa: PLC0415 - networkx takes a quarter of a second to import

        edges = self._edges(np.random.default_rng([seed, _GRAPH]))
        held: dict[str, Any] = {"inverted": self.inverted, "grounds": self.grounds, "rails": self.rails}
        diode = None if self.diode is None else self.diode.build()
        return free_graph(edges, self.inputs, self.outputs, **self._cells(seed), **held, diode=diode, sense=self.sense)

    def _edges(self, rng: np.random.Generator) -> list[GraphEdge]:
        """The edges, from a file or of a shape."""
        from harness.circuit.networks import families  # noqa: PLC0415 - networkx is slow to import

        match self.shape:
            case "file":
                return read_edges(self.file or Path())
            case "grid":
                edges = families.grid(self.rows, self.columns)
            case "periodic-grid":
                edges = families.periodic_grid(self.rows, self.columns)
            case "random-regular":
                edges = families.random_regular(self.degree, self.nodes, rng)
            case "complete":
                edges = families.complete(self.nodes)
            case "small-world":
                edges = families.small_world(self.nodes, self.degree, self.rewiring, rng)
        bare = self.edge_diode is EdgeDiode.NONE
        return edges if bare else [replace(edge, diode=self.edge_diode) for edge in edges]

    def size(self, channels: int, outputs: int, *, lines: bool) -> Size:  # noqa: ARG002
        """Return the memory that the graph takes; that of a file counts as none, since the file's size bounds it."""
        cure, nodes, edges = "take a smaller graph (network.nodes, rows, columns, degree)", self.nodes, 0
        match self.shape:
            case "file":
                nodes = 0
            case "grid" | "periodic-grid":
                nodes, edges = self.rows * self.columns, 2 * self.rows * self.columns
            case "complete":
                edges = comb(nodes, 2)
            case _:
                edges = nodes * self.degree // 2
        unknowns = nodes if self.edge_diode is not EdgeDiode.NONE else len(self.outputs)
        return Size((Part(f"{edges:,} edges", _EDGE * edges, cure),), nodes, unknowns, cure)

    def warnings(self, circuit: Circuit, rows: Samples) -> list[str]:
        """Sentences on targets beyond the voltages that hold the graph."""
        from harness.circuit.networks.free import unreachable_targets  # noqa: PLC0415 - networkx is slow to import

        batch = rows.batch(slice(None))
        return unreachable_targets(circuit, batch.inputs, batch.targets)
