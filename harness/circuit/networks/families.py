"""Edges of free graphs, from networkx and from families of graphs."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import networkx as nx
import numpy as np

from harness.circuit.networks.graphs import EdgeDiode, GraphEdge, edge_conductance, edge_diode
from harness.errors import CircuitError

_DRAWS = 100  # of a random graph, until it is connected


def edges_from(graph: "nx.Graph[Any]") -> list[GraphEdge]:
    """The edges of a networkx graph, in its order; parallel edges of a multigraph are edges of their own.

    Edge attributes ``conductance`` (S, or a text with its unit) and ``diode`` are taken where they are present. Nodes
    that are no plain names, such as the pairs of ``networkx.grid_2d_graph``, need
    ``networkx.convert_node_labels_to_integers`` first.

    Raises:
        CircuitError: a node has no proper name or no edge, two nodes have one name, a value is wrong, or a diode points
            forward or backward in an undirected graph, whose edges have no direction.
    """
    names: dict[str, object] = {}
    for node in graph.nodes:
        if (other := names.setdefault(str(node), node)) != node:
            raise CircuitError(f"nodes {other!r} and {node!r}: both would be called {node}; rename one")
    for lone in nx.isolates(graph):
        raise CircuitError(f"node {lone}: it has no edge; remove it or join it to the rest")
    return [_edge_from(str(a), str(b), data, graph.is_directed()) for a, b, data in graph.edges(data=True)]


def _edge_from(a: str, b: str, data: Mapping[str, Any], directed: bool) -> GraphEdge:
    try:
        edge = GraphEdge(a, b, edge_conductance(data.get("conductance")), edge_diode(data.get("diode")))
    except CircuitError as error:
        raise CircuitError(f"graph, between {a} and {b}: {error}") from error
    if edge.diode in (EdgeDiode.FORWARD, EdgeDiode.BACKWARD) and not directed:
        raise CircuitError(
            f"{edge}: a diode {edge.diode} has no direction in an undirected graph; take a networkx.DiGraph or 'both'"
        )
    return edge


def grid(rows: int, columns: int) -> list[GraphEdge]:
    """A square lattice with open borders; node number = row × columns + column.

    Raises:
        CircuitError: fewer than one row or column, or a single node.
    """
    _check_size("grid: rows", rows, 1)
    _check_size("grid: columns", columns, 2 if rows == 1 else 1)
    places = itertools.product(range(rows), range(columns))
    return [edge for r, c in places for edge in _right_and_down(r, c, rows, columns, wrapped=False)]


def periodic_grid(rows: int, columns: int) -> list[GraphEdge]:
    """A square lattice on a torus, every node with four neighbours, as on the boards of Dillavou et al.

    Nodes are numbered as in `grid`.

    Raises:
        CircuitError: fewer than three rows or columns, whose wrapped edges would double others.
    """
    _check_size("periodic grid: rows", rows, 3)
    _check_size("periodic grid: columns", columns, 3)
    places = itertools.product(range(rows), range(columns))
    return [edge for r, c in places for edge in _right_and_down(r, c, rows, columns, wrapped=True)]


def _right_and_down(row: int, column: int, rows: int, columns: int, *, wrapped: bool) -> list[GraphEdge]:
    here = str(row * columns + column)
    steps = [(row, column + 1), (row + 1, column)]
    return [
        GraphEdge(here, str(r % rows * columns + c % columns))
        for r, c in steps
        if wrapped or (r < rows and c < columns)
    ]


def complete(nodes: int) -> list[GraphEdge]:
    """An edge between every two of `nodes` nodes.

    Raises:
        CircuitError: fewer than two nodes.
    """
    _check_size("complete graph: nodes", nodes, 2)
    return _sorted(itertools.combinations(range(nodes), 2))


def random_regular(degree: int, nodes: int, rng: np.random.Generator) -> list[GraphEdge]:
    """A random connected graph whose every node has `degree` edges, drawn anew until it is connected.

    Raises:
        CircuitError: no such graph exists (degree × nodes must be even, 2 ≤ degree < nodes), or none of the drawn ones
            was connected.
    """
    _check_size("random regular graph: degree", degree, 2)
    _check_size("random regular graph: nodes", nodes, degree + 1)
    if degree * nodes % 2:
        raise CircuitError(f"random regular graph: degree {degree} × {nodes} nodes is odd; make one of them even")
    for _ in range(_DRAWS):
        drawn = nx.random_regular_graph(degree, nodes, seed=_seed(rng))
        if nx.is_connected(drawn):
            return _sorted(drawn.edges)
    raise CircuitError(
        f"random regular graph: none of {_DRAWS} draws of degree {degree} was connected; take a higher degree"
    )


def small_world(nodes: int, neighbours: int, rewiring: float, rng: np.random.Generator) -> list[GraphEdge]:
    """A connected graph of Watts and Strogatz (1998, Nature 393, 440): a ring of which some edges are rewired.

    Each node is joined to so many nearest `neighbours`, half on either side; `rewiring` is the probability that an edge
    is moved to another end, drawn anew until the graph is connected.

    Raises:
        CircuitError: `neighbours` is odd or out of 2…nodes − 1, `rewiring` is no probability, or no draw was connected.
    """
    _check_size("small world: neighbours", neighbours, 2)
    _check_size("small world: nodes", nodes, neighbours + 1)
    if neighbours % 2:
        raise CircuitError(f"small world: {neighbours} neighbours are odd; half of them lie on either side of a node")
    if not 0 <= rewiring <= 1:
        raise CircuitError(f"small world: rewiring {rewiring:g} is no probability; it must lie in 0…1")
    try:
        return _sorted(nx.connected_watts_strogatz_graph(nodes, neighbours, rewiring, _DRAWS, seed=_seed(rng)).edges)
    except nx.NetworkXError as error:
        raise CircuitError(f"small world: none of {_DRAWS} draws was connected; take more neighbours") from error


def _check_size(what: str, value: int, smallest: int) -> None:
    if value < smallest:
        raise CircuitError(f"{what}: {value} must be at least {smallest}")


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**32))


def _sorted(pairs: Iterable[tuple[int, int]]) -> list[GraphEdge]:
    return [GraphEdge(str(a), str(b)) for a, b in sorted((min(pair), max(pair)) for pair in pairs)]
