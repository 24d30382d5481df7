"""A circuit's equations without any reduction: linear ones, and branches whose currents are nonlinear.

Written down node by node, independently of `harness.circuit.reduction.equations`, so that each can witness the other.
Voltages of nodes (ground last) and, below them, currents of transformers are

    v = rise · x + held,    into · (linear · v + incidence · i(drops · x + held drops)) = into · sources

with the free variables x of `harness.circuit.scaling`, and Kirchhoff's law summed to one equation for each by `into`.
Branches are the cells of arrays that have a curve and, behind them, those of devices. Arrays here have the batch last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags, identity
from scipy.sparse.linalg import splu

from harness.circuit.arrays import TrainableArray
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Transformer
from harness.circuit.primitives import Current, Vccs
from harness.circuit.scaling import scaling_of
from harness.devices import CellLaw
from harness.devices.diode import GMIN
from harness.measurement import Array, Index

Entries = tuple[Index, Index, Array]
"""Rows, columns and values of a matrix."""


class Branches:
    """The part of the equations that needs no trainable conductances; `programmed` completes it with a set of them."""

    def __init__(self, circuit: Circuit) -> None:
        """Raises CircuitError: stages close a loop without anything between them."""
        self.circuit = circuit
        self.scaling = scaling_of(circuit)
        self._nodes = len(circuit.grounded_index)
        self._transformers = [e for e in circuit.elements if isinstance(e, Transformer)]
        self.rise, self.into = self._frames()
        """V/V, ``[rows, n]``, and 1/scale of each free node in its variable's equation, ``[n, rows]``."""
        self.cells = [(k, array.law) for k, array in enumerate(circuit.arrays) if not array.law.linear]
        """Nonlinear arrays: their numbers and laws."""
        cells, devices = [self._ends(circuit.arrays[k]) for k, _ in self.cells], circuit.device_branches
        places = [(*pair, *pair) for pair in cells] + [(d.first, d.second, d.above, d.below) for d in devices]
        nowhere = (np.zeros(0, np.intp),) * 4
        self.first, self.second, self.above, self.below = map(np.concatenate, zip(nowhere, *places, strict=True))
        """Nodes at both ends of every branch, and those whose voltage its current follows: cells, then devices."""
        begins = np.cumsum([0, *(len(d.first) for d in devices)]).tolist()
        self.laws = [(slice(*rows), d.law.upright()) for rows, d in zip(pairwise(begins), devices, strict=True)]
        """Laws of devices, and which of their branches they are of."""
        self.drops = (self.rise[self.above] - self.rise[self.below]).tocsr()
        """V that the current of every branch follows, of the unknowns, ``[branches, n]``."""
        moving = np.diff(self.drops.indptr) > 0
        limits = [np.zeros(0), *(np.full(circuit.arrays[k].conductances.size, law.limit) for k, law in self.cells)]
        self.limits = np.where(moving[: sum(map(len, limits))], np.concatenate(limits), np.inf)[:, None]
        """V up to which the law of a nonlinear cell holds, where a free node touches it, ``[cells, 1]``."""
        self.incidence = (self.into[:, self.first] - self.into[:, self.second]).tocsr()
        """Incidence of the currents of branches in the equations, ``[n, branches]``."""
        self.plus, self.minus = circuit.output_ends
        self.places, self.weights = self._jacobian()
        """Places of branches' slopes in the Jacobian, row + n · column, and their weights, ``[places, branches]``."""
        self._fixed = _joined(list(self._fixed_entries()))

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return int(self.rise.shape[1])

    def held(self, inputs: Array) -> Array:
        """Return the voltages of nodes where the unknowns are 0, V, ``[rows, batch]``."""
        scaling, follows = self.scaling, np.flatnonzero(self.scaling.channel >= 0)
        volts = np.zeros((self.rise.shape[0], len(inputs)))
        volts[: self._nodes] = scaling.constant[:, None]
        volts[follows] += scaling.gain[follows, None] * inputs.T[scaling.channel[follows]]
        return volts

    def programmed(self, conductances: Sequence[Array]) -> "Equations":
        """The equations for conductances (S, one array per trainable array)."""
        linear = [
            _conductances(*self._ends(array), cells.ravel())
            for array, cells in zip(self.circuit.arrays, conductances, strict=True)
            if array.law.linear
        ]
        rows, columns, values = _joined([self._fixed, *linear])
        matrix = coo_matrix((values, (rows, columns)), shape=(self.rise.shape[0],) * 2).tocsr()
        nonlinear = [np.zeros(0), *(conductances[k].ravel() for k, _ in self.cells)]
        return Equations(self, matrix, self._sources(), np.concatenate(nonlinear)[:, None])

    def limited(self, new: Array, old: Array) -> Array:
        """Return the voltages of the next tangents to devices' currents, V, ``[device branches, batch]``; see `Law`."""
        limited = new
        for rows, law in self.laws:
            own = new[rows]
            if (found := law.limited(own, old[rows])) is not own:
                limited = new.copy() if limited is new else limited
                limited[rows] = found
        return limited

    def _ends(self, array: TrainableArray) -> tuple[Index, Index]:
        """Nodes at both ends of every cell, in the order of ``conductances.ravel()``."""
        first, second = np.broadcast_arrays(*self.circuit.ends(array))
        return first.ravel(), second.ravel()

    def _fixed_entries(self) -> Iterator[Entries]:
        """Currents out of every node through everything linear but cells, and transformers' equations."""
        for number, transformer in enumerate(self._transformers):
            pins, own = self.circuit.at(transformer.pins), np.full(4, self._nodes + number)
            ratio = np.array([1.0, -1.0, -transformer.ratio, transformer.ratio])
            yield pins, own, ratio
            yield own, pins, ratio
        rows, columns, values = _conductances(*self.circuit.fixed)
        one_by_one = np.arange(len(rows)).reshape(4, -1).T.ravel()  # sums are rounded in the order of the elements
        yield rows[one_by_one], columns[one_by_one], values[one_by_one]
        for part in self.circuit.parts(Vccs):
            first, second, above, below = self.circuit.at(part.nets)
            signs = part.siemens * np.array([1.0, -1.0, -1.0, 1.0])
            yield np.array([first, first, second, second]), np.array([above, below, above, below]), signs

    def _sources(self) -> Array:
        """Return the current that sources drive into every node, A, ``[rows]``."""
        amperes = np.zeros(self.rise.shape[0])
        for part in self.circuit.parts(Current):
            np.add.at(amperes, self.circuit.at(part.nets), [-part.amperes, part.amperes])
        return amperes

    def _frames(self) -> tuple[csr_matrix, csr_matrix]:
        scaling, extra = self.scaling, np.arange(len(self._transformers))
        rows, size = self._nodes + len(extra), scaling.variables + len(extra)
        frames = []
        for chosen, weight in ((scaling.unknown, scaling.scale), (scaling.free, 1 / scaling.scale)):
            nodes = np.flatnonzero(chosen)
            at = np.concatenate([nodes, self._nodes + extra])
            columns = np.concatenate([scaling.variable[nodes], scaling.variables + extra])
            frames.append(csr_matrix((np.append(weight[nodes], np.ones(len(extra))), (at, columns)), (rows, size)))
        return frames[0], frames[1].T.tocsr()

    def _jacobian(self) -> tuple[Index, csr_matrix]:
        rows, columns = self.incidence.tocsc(), self.drops
        counts = np.diff(rows.indptr), np.diff(columns.indptr)
        found: list[Entries] = []
        for a in range(int(counts[0].max(initial=0))):
            for b in range(int(counts[1].max(initial=0))):
                chosen = np.flatnonzero((counts[0] > a) & (counts[1] > b))
                left, right = rows.indptr[chosen] + a, columns.indptr[chosen] + b
                place = rows.indices[left].astype(np.intp) + self.size * columns.indices[right].astype(np.intp)
                found.append((place, chosen, rows.data[left] * columns.data[right]))
        place, branch, weight = _joined(found)
        places, at = np.unique(place, return_inverse=True)
        return places, coo_matrix((weight, (at.ravel(), branch)), shape=(len(places), len(self.first))).tocsr()


@dataclass(frozen=True, eq=False)
class Equations:
    """The equations for one set of conductances; see the module."""

    branches: Branches
    linear: csr_matrix
    """S, ``[rows, rows]``."""
    sources: Array
    """A into every node, ``[rows]``."""
    siemens: Array
    """S of every nonlinear cell, ``[cells, 1]``."""

    def output_conductance(self, nodes: Array | None = None) -> float:
        """The smallest conductance (S) that any combination of outputs sees.

        It is that of small signals about a state (V, ``[nodes]``) or, without one, while all diodes block: nonlinear
        cells conduct least where no voltage is over them, which is what they are taken at then. The result is one over
        the norm of D G⁻¹ P, D the outputs' drops and P where currents into them go; it is infinite where no output can
        move.
        """
        b = self.branches
        if not b.size:
            return np.inf
        if nodes is None:
            nonlinear = np.zeros(len(b.first))
            nonlinear[: len(self.siemens)] = self.siemens[:, 0]
            matrix = self._with(nonlinear) + GMIN * identity(b.size)  # a node that only diodes hold is grounded, too
        else:
            matrix = self.small_signals(nodes)
        push, drop = b.into[:, b.plus] - b.into[:, b.minus], b.rise[b.plus] - b.rise[b.minus]
        ohms = drop @ splu(matrix.tocsc()).solve(push.toarray())
        largest = float(np.linalg.norm(ohms, 2))
        return 1 / largest if largest > 0 else np.inf

    def beside(self) -> Array:
        """Return the conductance of all linear parts at each node and ground, S, ``[nodes + 1]``; infinite where held.

        Amplifiers pass on what is behind them. Nonlinear cells count as where no voltage is over them.
        """
        b = self.branches
        slopes = np.zeros(len(b.first))
        slopes[: len(self.siemens)] = self.siemens[:, 0]
        own, free = self._with(slopes).diagonal(), np.flatnonzero(b.scaling.free)
        found = np.full(len(b.scaling.free), np.inf)
        found[free] = own[b.scaling.variable[free]]
        return found

    def small_signals(self, nodes: Array, spring: float = 0.0) -> csr_matrix:
        """Return the conductance matrix of small signals about a state (V, ``[nodes]``), S, ``[n, n]``.

        `spring` are S between the nodes of every output, besides.
        """
        b = self.branches
        _, slopes = self.through(np.append(nodes, np.zeros(b.rise.shape[0] - len(nodes)))[:, None])
        matrix = self._with(slopes[:, 0])
        if spring:
            push, drop = b.into[:, b.plus] - b.into[:, b.minus], b.rise[b.plus] - b.rise[b.minus]
            matrix = matrix + spring * push @ drop
        return matrix.tocsr()

    def adjoint(self, nodes: Array, amperes: Array) -> Array:
        """Return the voltages of the adjoint network about states (V, ``[batch, nodes]``), V, ``[batch, nodes]``.

        `amperes` are currents into its outputs, A, ``[batch, outputs]``. Each state is solved for itself.
        """
        b, found = self.branches, np.empty_like(nodes)
        drop = (b.rise[b.plus] - b.rise[b.minus]).T.tocsr()
        for sample, (state, pushed) in enumerate(zip(nodes, amperes, strict=True)):
            factors = splu(self.small_signals(state).T.tocsc(), "MMD_AT_PLUS_A", options={"SymmetricMode": True})
            found[sample] = (b.into.T @ factors.solve(drop @ pushed))[: nodes.shape[1]]
        return found

    def _with(self, slopes: Array) -> csr_matrix:
        """Return the equations' matrix with a conductance (S) for each branch, S, ``[n, n]``."""
        b = self.branches
        return (self._steady + b.incidence @ diags(slopes) @ b.drops).tocsr()

    @cached_property
    def _steady(self) -> csr_matrix:
        """The matrix of the linear parts, S, ``[n, n]``."""
        return (self.branches.into @ self.linear @ self.branches.rise).tocsr()

    def tangents(self, volts: Array, junctions: Array, softness: float = 1.0) -> tuple[Array, Array]:
        """Currents (A) and slopes (S) of all branches, ``[branches, batch]``.

        Args:
            volts: that every current follows, V, ``[branches, batch]``.
            junctions: of every branch of devices, V, ``[device branches, batch]``: where its tangent is taken, on which
                its current lies.
            softness: of the devices; see `Law`.
        """
        current, slope = np.empty_like(volts), np.empty_like(volts)
        begin = 0
        for k, law in self.branches.cells:
            rows = slice(begin, begin + self.branches.circuit.arrays[k].conductances.size)
            _scaled(law, volts[rows], self.siemens[rows], current[rows], slope[rows])
            begin = rows.stop
        for rows, hard in self.branches.laws:
            device = hard if softness == 1 else hard.softened(softness)
            current[begin:][rows], slope[begin:][rows] = device.current_and_slope(junctions[rows])
        current[begin:] += slope[begin:] * (volts[begin:] - junctions)
        return current, slope

    def through(self, state: Array) -> tuple[Array, Array]:
        """Currents (A) and slopes (S) of all branches for V of all rows, ``[branches, batch]``."""
        volts = state[self.branches.above] - state[self.branches.below]
        return self.tangents(volts, volts[len(self.siemens) :])


def _scaled(law: CellLaw, volts: Array, siemens: Array, current: Array, slope: Array) -> None:
    bent, steepness = law.current_and_slope(volts)
    np.multiply(bent, siemens, out=current)
    np.multiply(steepness, siemens, out=slope)


def _conductances(first: Index, second: Index, siemens: Array) -> Entries:
    """Return the entries for the currents out of both ends of conductances."""
    rows, columns = np.concatenate([first, second, first, second]), np.concatenate([first, second, second, first])
    return rows, columns, np.concatenate([siemens, siemens, -siemens, -siemens])


def _joined(parts: Sequence[Entries]) -> Entries:
    nothing = np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)
    rows, columns, values = (np.concatenate(part) for part in zip(nothing, *parts, strict=True))
    return rows, columns, values
