"""Exact elimination of linear parts, and the way back to every node voltage.

Three steps, none of which approximates:

1. an ideal source behind conductances is a Norton source: 157,000 cells become 200 elements;
2. bidirectional amplifiers vanish by a change of variable (`harness.circuit.scaling`);
3. a linear part that touches neither a diode nor an output is eliminated by its Schur complement (Kron reduction),
   wherever that leaves no more conductances than before.

`Reduction` does the work that depends on the topology alone, once; `Reduction.reduce` does the arithmetic for one
set of conductances.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from harness.circuit.circuit import Circuit
from harness.circuit.elements import GROUND, CurrentSource, Diode, Resistor
from harness.circuit.scaling import Scaling, scaling_of
from harness.circuit.settling import Junctions, Network, Phase, Settling, unjoined
from harness.devices.diode import GMIN, THERMAL_VOLTAGE, current_and_slope
from harness.errors import CircuitError
from harness.measurement import Array, Clamp, Drive, Index, Injection, Reading, Spring


_MOST_DENSE = 3_000  # unknowns
_FILLED = 1 / 6  # of a matrix; measured: sparse factors of a random graph with 1,000 nodes take twice as long as dense


@dataclass(frozen=True, eq=False)
class ReducedCircuit:
    """What is left to solve, what drives it, and the way back to every voltage."""

    names: tuple[str, ...]
    """One circuit node for each unknown."""
    network: Network
    current: Array
    """A into every unknown without inputs, ``[n]``."""
    current_gain: Array
    """A/V, ``[channels, n]``."""
    rail: Array
    """V that each rail is held at besides its input's part, ``[rails]``."""
    rail_gain: Array
    """V/V, ``[channels, rails]``."""
    output_scale: float
    """Physical volts per reduced volt at the outputs; injected currents shrink by the same factor."""
    _way_back: "_WayBack"
    _diodes: "_Diodes"

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return len(self.names)

    def output_conductance(self) -> float:
        """The smallest conductance (S) that any combination of outputs sees with all diodes blocking.

        One over the largest eigenvalue of D G⁻¹ Dᵀ, D the outputs' incidence; infinite where no output can move.
        """
        terminals = np.eye(self.size + len(self.rail))[:, : self.size]
        drop = terminals[self.network.plus] - terminals[self.network.minus]
        grounded = self.network.conductance + GMIN * np.eye(self.size)  # a node that only diodes hold
        largest = float(np.linalg.eigvalsh(drop @ np.linalg.solve(grounded, drop.T))[-1])
        return 1 / largest if largest > 0 else np.inf

    def settling(self, drives: Sequence[Drive]) -> Settling:
        """The drives as currents and rails of the reduced network; phases with the same inputs share their arrays."""
        shared: dict[int, tuple[Array, Array]] = {}
        phases = []
        for drive in drives:
            inputs, slopes = drive.inputs, None
            if drive.about is not None:
                still = np.zeros((len(inputs), self.size)), np.zeros((len(inputs), len(self.rail)))
                slopes = self._diodes.slopes(drive.about.all_nodes)
            elif id(inputs) not in shared:
                shared[id(inputs)] = self.current + inputs @ self.current_gain, self.rail + inputs @ self.rail_gain
            currents, rails = shared[id(inputs)] if drive.about is None else still
            phases.append(Phase(drive.phase, currents, rails, *self._nudge(drive), slopes))
        return Settling(self.network, tuple(phases))

    def readings(self, solved: Array, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """What every drive makes visible, from the solved unknowns (V, ``[batch, drives, n]``)."""
        pins: dict[int, Array] = {}
        found = []
        for k, drive in enumerate(drives):
            if drive.about is not None:
                nodes = self._way_back.responses(solved[:, k])
            else:
                if id(drive.inputs) not in pins:
                    pins[id(drive.inputs)] = self._way_back.pins(drive.inputs)
                nodes = self._way_back.node_voltages(solved[:, k], drive.inputs, pins[id(drive.inputs)])
            found.append(Reading(self._way_back.output_voltages(nodes), nodes))
        return tuple(found)

    def _nudge(self, drive: Drive) -> tuple[Array, float, Array | None]:
        """Pushed current (A, reduced, ``[batch, outputs]``), spring (S) and clamped voltage (V, reduced)."""
        nothing = np.zeros((len(drive.inputs), len(self.network.plus)))
        match drive.nudge:
            case Spring(conductance=beta, targets=targets):
                return beta * targets / self.output_scale, beta, None
            case Injection(current=amperes):
                return amperes / self.output_scale, 0.0, None
            case Clamp(volts=volts):
                return nothing, 0.0, volts / self.output_scale
        return nothing, 0.0, None


class Reduction:
    """The reduction of one topology; `reduce` evaluates it for given conductances."""

    def __init__(self, circuit: Circuit) -> None:
        """Plan the elimination.

        Raises:
            CircuitError: amplifiers close a loop, or outputs lie behind unequal amplification.
        """
        self.circuit = circuit
        self._scaling = scaling_of(circuit)
        self._index = {**circuit.node_index, GROUND: len(circuit.nodes)}
        self._array_ends = [array.ends(self._index) for array in circuit.arrays]
        resistors = [e for e in circuit.elements if isinstance(e, Resistor)]
        self._ends = self._at([r.a for r in resistors]), self._at([r.b for r in resistors])
        self._fixed = np.array([r.conductance for r in resistors])
        self._sources = [e for e in circuit.elements if isinstance(e, CurrentSource)]
        self._names = _variable_names(circuit, self._scaling)
        self._diodes = [e for e in circuit.elements if isinstance(e, Diode)]
        self._junction_slopes = _Diodes(
            self._at([d.anode for d in self._diodes]),
            self._at([d.cathode for d in self._diodes]),
            np.array([d.model.saturation_current for d in self._diodes]),
            np.array([d.model.emission for d in self._diodes]) * THERMAL_VOLTAGE,
        )
        self._kept, self._interior = self._partition()
        self._plan_terminals()
        closed_system = self._system([np.full(c.shape, c.g_max) for c in circuit.arrays])
        inner = closed_system.sparse()[self._interior][:, self._interior]
        self._dense = bool(len(self._interior)) and _Factors.fills_up(inner)
        closed, *_ = _eliminate(closed_system, self._kept, self._interior, dense=self._dense)
        self._alone = unjoined(closed, self._junctions, (self._plus, self._minus))
        self._last: tuple[Sequence[Array], ReducedCircuit] | None = None

    def reduce(self, conductances: Sequence[Array]) -> ReducedCircuit:
        """The reduced circuit for conductances (S, one ``[word, bit]`` per crossbar).

        Raises:
            CircuitError: all cells that lead to a node are open, so that it floats; names the node.
        """
        if self._last and self._last[0] is conductances:  # a chip's own tuple, whose arrays nobody can write to
            return self._last[1]
        reduced = self._reduced(conductances)
        fixed = isinstance(conductances, tuple) and not any(g.flags.writeable for g in conductances)
        self._last = (conductances, reduced) if fixed else None
        return reduced

    def _reduced(self, conductances: Sequence[Array]) -> ReducedCircuit:
        system = self._system(conductances)
        self._refuse_floating(system)
        conductance, current, current_gain, elimination = _eliminate(
            system, self._kept, self._interior, dense=self._dense
        )
        return ReducedCircuit(
            names=tuple(self._names[k] for k in self._kept),
            network=Network(conductance, self._junctions, self._plus, self._minus, self._alone),
            current=current,
            current_gain=current_gain,
            rail=self._rail,
            rail_gain=self._rail_gain,
            output_scale=self._output_scale,
            _way_back=_WayBack(self._scaling, self._kept, elimination, self._output_nodes),
            _diodes=self._junction_slopes,
        )

    def _system(self, conductances: Sequence[Array]) -> "_System":
        system = _System(self._scaling, self.circuit.channels)
        for (first, second), cells in zip(self._array_ends, conductances, strict=True):
            if cells.ndim == 2:
                system.add_crossbar(first[:, 0], second[0], cells)
            else:
                system.add_edges(first, second, cells)
        system.add_edges(*self._ends, self._fixed)
        for source in self._sources:
            system.add_current(self._index[source.source], -source.amperes)
            system.add_current(self._index[source.sink], source.amperes)
        return system

    def _at(self, nodes: Sequence[str]) -> Index:
        return np.array([self._index[node] for node in nodes], dtype=np.intp)

    def _partition(self) -> tuple[Index, Index]:
        """Variables that stay, and those that a Schur complement removes without adding conductances."""
        variable = self._scaling.variable
        held = [n for d in self._diodes for n in (d.anode, d.cathode)]
        held += [n for o in self.circuit.outputs for n in (o.plus, o.minus)]
        stays = np.zeros(self._scaling.variables, bool)
        stays[variable[self._at(held)][self._scaling.free[self._at(held)]]] = True
        edges = np.unique(np.sort(self._variable_edges(), axis=1), axis=0)
        inner = ~stays
        between = edges[inner[edges].all(axis=1)]
        shape = (len(stays), len(stays))
        graph = coo_matrix((np.ones(len(between)), (between[:, 0], between[:, 1])), shape=shape)
        _, part = connected_components(graph, directed=False)
        for label in np.unique(part[inner]):
            members = inner & (part == label)
            touching = edges[members[edges].any(axis=1)]
            boundary = len(np.unique(touching[~members[touching]]))
            if boundary * (boundary - 1) // 2 > len(touching):
                stays |= members
        return np.flatnonzero(stays), np.flatnonzero(~stays)

    def _variable_edges(self) -> Index:
        """Pairs of variables that some conductance joins, ``[edges, 2]``."""
        variable = self._scaling.variable
        pairs = [np.column_stack([variable[self._ends[0]], variable[self._ends[1]]])]
        for ends in self._array_ends:
            pairs.append(np.stack(np.broadcast_arrays(*(variable[nodes] for nodes in ends)), axis=-1).reshape(-1, 2))
        edges = np.concatenate(pairs)
        return edges[(edges >= 0).all(axis=1) & (edges[:, 0] != edges[:, 1])]

    def _plan_terminals(self) -> None:
        """Number the terminals of diodes and outputs: kept unknowns first, then one rail per held node and scale."""
        scaling, kept = self._scaling, {int(v): i for i, v in enumerate(self._kept)}
        rails: dict[tuple[int, float], int] = {}

        def terminal(node: int, scale: float) -> int:
            if scaling.free[node]:
                return kept[int(scaling.variable[node])]
            return len(kept) + rails.setdefault((node, scale), len(rails))

        def common_scale(first: int, second: int) -> float:
            return float(scaling.scale[first] if scaling.free[first] else scaling.scale[second])

        ends = [(self._index[d.anode], self._index[d.cathode]) for d in self._diodes]
        scales = [common_scale(*pair) for pair in ends]
        at = [[terminal(node, s) for node in pair] for pair, s in zip(ends, scales, strict=True)]
        anode, cathode = np.array(at, dtype=np.intp).reshape(-1, 2).T
        self._junctions = Junctions(
            anode,
            cathode,
            np.array([d.model.saturation_current / s for d, s in zip(self._diodes, scales, strict=True)]),
            np.array([d.model.emission / s for d, s in zip(self._diodes, scales, strict=True)]),
        )
        pins = [(self._index[o.plus], self._index[o.minus]) for o in self.circuit.outputs]
        out_scales = {common_scale(*pair) for pair in pins}
        if len(out_scales) > 1:
            raise CircuitError(f"circuit {self.circuit.name}: its outputs lie behind unequal amplification")
        self._output_scale = out_scales.pop()
        self._plus = np.array([terminal(plus, self._output_scale) for plus, _ in pins], dtype=np.intp)
        self._minus = np.array([terminal(minus, self._output_scale) for _, minus in pins], dtype=np.intp)
        self._output_nodes = np.array(pins, dtype=np.intp)
        nodes = np.array([node for node, _ in rails], dtype=np.intp)
        scale = np.array([s for _, s in rails])
        self._rail = scaling.held[nodes] / scale
        self._rail_gain = np.zeros((self.circuit.channels, len(nodes)))
        follows = np.flatnonzero(scaling.channel[nodes] >= 0)
        self._rail_gain[scaling.channel[nodes[follows]], follows] = scaling.gain[nodes[follows]] / scale[follows]

    def _refuse_floating(self, system: "_System") -> None:
        open_nodes = np.flatnonzero(system.diagonal <= 0)
        with_diode = {self._scaling.variable[self._index[n]] for d in self._diodes for n in (d.anode, d.cathode)}
        for variable in open_nodes:
            if variable not in with_diode:
                raise CircuitError(f"node {self._names[variable]} floats: every cell that leads to it is open (0 S)")


class _System:
    """Nodal equations over the free variables while elements are added."""

    def __init__(self, scaling: Scaling, channels: int) -> None:
        self._scaling = scaling
        self.diagonal = np.zeros(scaling.variables)
        self.current = np.zeros(scaling.variables)
        self.current_gain = np.zeros((channels, scaling.variables))
        nothing = np.zeros(0, np.intp)
        self._links = [(nothing, nothing, np.zeros(0))]

    def add_crossbar(self, words: Index, bits: Index, cells: Array) -> None:
        """A crossbar: cells (S, ``[word, bit]``) between word and bit nodes."""
        free = self._scaling.free
        w, b = free[words], free[bits]
        if not w.any() and b.all():  # no copy of the largest array
            self._add_held(words, bits, cells)
            return
        if not w.all():
            self._add_held(words[~w], bits[b], cells[np.ix_(~w, b)])
        if not b.all():
            self._add_held(bits[~b], words[w], cells[np.ix_(w, ~b)].T)
        between = cells[np.ix_(w, b)]
        rows, columns = self._scaling.variable[words[w]], self._scaling.variable[bits[b]]
        self.diagonal += self._gathered(rows, between.sum(axis=1)) + self._gathered(columns, between.sum(axis=0))
        self._links.append((np.repeat(rows, len(columns)), np.tile(columns, len(rows)), between.ravel()))

    def add_edges(self, first: Index, second: Index, conductance: Array) -> None:
        """Single conductances (S, ``[edges]``)."""
        scaling, free = self._scaling, self._scaling.free
        between = free[first] & free[second]
        rows, columns = scaling.variable[first[between]], scaling.variable[second[between]]
        self.diagonal += self._gathered(rows, conductance[between]) + self._gathered(columns, conductance[between])
        self._links.append((rows, columns, conductance[between]))
        for nodes, held in ((first, second), (second, first)):
            chosen = np.flatnonzero(free[nodes] & ~free[held])
            at, source = scaling.variable[nodes[chosen]], held[chosen]
            self.diagonal += self._gathered(at, conductance[chosen])
            drawn = conductance[chosen] / scaling.scale[nodes[chosen]]
            self.current += self._gathered(at, scaling.held[source] * drawn)
            follows = np.flatnonzero(scaling.channel[source] >= 0)
            gained = scaling.gain[source[follows]] * drawn[follows]
            np.add.at(self.current_gain, (scaling.channel[source[follows]], at[follows]), gained)

    def add_current(self, node: int, amperes: float) -> None:
        """A current (A) into a node."""
        if self._scaling.free[node]:
            self.current[self._scaling.variable[node]] += amperes / self._scaling.scale[node]

    def _add_held(self, held: Index, nodes: Index, cells: Array) -> None:
        """Cells (S, ``[held, node]``) from held nodes to free ones: conductance to ground and Norton current."""
        scaling, at = self._scaling, self._scaling.variable[nodes]
        self.diagonal += self._gathered(at, cells.sum(axis=0))
        steady = np.flatnonzero(scaling.held[held])
        self.current += self._gathered(at, scaling.held[held[steady]] @ cells[steady] / scaling.scale[nodes])
        gained = np.asarray(scaling.gathering(held, len(self.current_gain)) @ cells, float) / scaling.scale[nodes]
        if len(np.unique(at)) == len(at):
            self.current_gain[:, at] += gained
        else:
            np.add.at(self.current_gain.T, at, gained.T)

    def _gathered(self, variables: Index, values: Array) -> Array:
        return np.bincount(variables, values, self._scaling.variables).astype(float)

    def dense(self) -> Array:
        """The conductance matrix (S), ``[n, n]``; links of a node to itself cancel."""
        rows, columns, values = (np.concatenate(part) for part in zip(*self._links, strict=True))
        size = len(self.diagonal)
        half = np.bincount(rows * size + columns, values, size * size).reshape(size, size)
        return np.diag(self.diagonal) - half - half.T

    def sparse(self) -> csr_matrix:
        """The same matrix for networks with many nodes."""
        rows, columns, values = (np.concatenate(part) for part in zip(*self._links, strict=True))
        size = len(self.diagonal)
        half = coo_matrix((values, (rows, columns)), shape=(size, size)).tocsr()
        diagonal = csr_matrix((self.diagonal, (np.arange(size), np.arange(size))), shape=(size, size))
        return (diagonal - half - half.T).tocsr()


@dataclass(frozen=True, eq=False)
class _Elimination:
    """Eliminated variables from kept ones: u_e = current + inputs @ current_gain − u_k @ transfer."""

    variables: Index
    current: Array
    current_gain: Array
    transfer: Array


class _Factors:
    """A factored conductance matrix (S, ``[n, n]``): sparse or, where that fills up, by BLAS."""

    def __init__(self, matrix: csr_matrix, *, dense: bool) -> None:
        if dense:
            factors = cho_factor(matrix.toarray(), overwrite_a=True, check_finite=False)
            self.solve: Callable[[Array], Array] = partial(cho_solve, factors, check_finite=False)
            self.fill = matrix.shape[0] ** 2
        else:
            sparse = splu(
                csc_matrix(matrix),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
            self.solve, self.fill = sparse.solve, sparse.nnz

    @staticmethod
    def fills_up(matrix: csr_matrix) -> bool:
        """Whether sparse factors would be slower than dense ones, as those of random graphs are."""
        size = matrix.shape[0]
        return size <= _MOST_DENSE and _Factors(matrix, dense=False).fill > _FILLED * size**2


def _eliminate(
    system: _System, kept: Index, interior: Index, *, dense: bool = False
) -> tuple[Array, Array, Array, _Elimination | None]:
    current, gain = system.current, system.current_gain
    if not len(interior):
        return system.dense(), current, gain, None
    matrix = system.sparse()
    try:
        factors = _Factors(matrix[interior][:, interior], dense=dense)
    except (RuntimeError, np.linalg.LinAlgError) as error:
        raise CircuitError("a part of the circuit floats: every cell that leads to it is open (0 S)") from error
    across = matrix[interior][:, kept].toarray()
    elimination = _Elimination(
        interior, factors.solve(current[interior]), factors.solve(gain[:, interior].T.copy()).T, factors.solve(across).T
    )
    reduced = matrix[kept][:, kept].toarray() - elimination.transfer @ across
    return (
        (reduced + reduced.T) / 2,
        current[kept] - elimination.current @ across,
        gain[:, kept] - elimination.current_gain @ across,
        elimination,
    )


@dataclass(frozen=True, eq=False)
class _Diodes:
    """Every diode of the full circuit; ends are numbers of nodes, ground's is the last."""

    anode: Index
    cathode: Index
    saturation: Array
    scale: Array

    def slopes(self, nodes: Array) -> Array:
        """Small-signal conductances (S, ``[batch, diodes]``) at node voltages (V, ``[batch, nodes]``)."""
        volts = np.column_stack([nodes, np.zeros(len(nodes))])
        _, slope = current_and_slope(volts[:, self.anode] - volts[:, self.cathode], self.saturation, self.scale)
        return slope


class _WayBack:
    """From solved unknowns to every node voltage."""

    def __init__(self, scaling: Scaling, kept: Index, elimination: _Elimination | None, output_nodes: Index) -> None:
        self._scaling = scaling
        self._kept = kept
        self._elimination = elimination
        self._outputs = output_nodes

    def pins(self, inputs: Array) -> Array:
        """V of every node that sources hold, ``[batch, nodes]``; free nodes are left at 0."""
        scaling, follows = self._scaling, np.flatnonzero(self._scaling.channel[:-1] >= 0)
        voltages = np.empty((len(inputs), len(scaling.held) - 1))
        voltages[:] = scaling.held[:-1]
        voltages[:, follows] = scaling.gain[follows] * inputs[:, scaling.channel[follows]]
        return voltages

    def node_voltages(self, solved: Array, inputs: Array, pins: Array) -> Array:
        """V of every node, ``[batch, nodes]``, from the solved unknowns (V, ``[batch, n]``) and `pins`."""
        variables = np.empty((len(solved), self._scaling.variables))
        variables[:, self._kept] = solved
        if part := self._elimination:
            variables[:, part.variables] = part.current + inputs @ part.current_gain - solved @ part.transfer
        free, voltages = np.flatnonzero(self._scaling.free[:-1]), pins.copy()
        voltages[:, free] = self._scaling.scale[free] * variables[:, self._scaling.variable[free]]
        return voltages

    def responses(self, solved: Array) -> Array:
        """V by which every node moves, ``[batch, nodes]``, while all sources stand still."""
        variables = np.empty((len(solved), self._scaling.variables))
        variables[:, self._kept] = solved
        if part := self._elimination:
            variables[:, part.variables] = -solved @ part.transfer
        free = np.flatnonzero(self._scaling.free[:-1])
        moved = np.zeros((len(solved), len(self._scaling.held) - 1))
        moved[:, free] = self._scaling.scale[free] * variables[:, self._scaling.variable[free]]
        return moved

    def output_voltages(self, nodes: Array) -> Array:
        grounded = np.column_stack([nodes, np.zeros(len(nodes))])
        return grounded[:, self._outputs[:, 0]] - grounded[:, self._outputs[:, 1]]


def _variable_names(circuit: Circuit, scaling: Scaling) -> list[str]:
    """The first circuit node of each variable."""
    names = [""] * scaling.variables
    for node, variable in reversed(list(zip(circuit.nodes, scaling.variable, strict=False))):
        if variable >= 0:
            names[variable] = node
    return names
