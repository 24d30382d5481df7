"""The cells that show λ = ∂C/∂i of every node: a spanning forest of trainable cells with roots where nodes are held.

To first order, a cell of drop d whose conductance grows by δg carries the current δg d more, so that the cost answers
with the difference of λ between its two ends:

    ∂C/∂g = −(λ_a − λ_b) d,    d = v_a − v_b,

whatever else the circuit is made of. λ is 0 where an ideal source holds a node, and cells along a path from there show
it node by node. An error ε of the cost is one of ε / (δg d) in λ, and its square adds up along the path: the forest is
that of the smallest errors in the batch (Dijkstra 1959).

A cell may have a small drop in some sample and a large one in the next. So a node hangs on as many cells as it takes
that in no sample its error is more than `_WORSE` times that of its best cell, and each cell counts by the inverse
square of its error. Where all drops at a node are small, its λ is uncertain and counts little: gradients are λ times
drops.

Parts that no cell joins to a held node see only differences of λ, and have a root anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from harness.circuit import Circuit
from harness.circuit.scaling import scaling_of
from harness.errors import CircuitError
from harness.learning.rules.perturbation.differences import quotient
from harness.measurement import Array, Index

_WORSE = 3.0
"""Error of a node over that of its best cell, at most, in every sample."""
_BLIND = 1e-6
"""Share of the largest current below which a cell shows nothing."""
_ALIKE = 0.7
"""Share of its reach that a cell may lose by chance."""


@dataclass(frozen=True, eq=False)
class Branch:
    """One node with the cells that it hangs on."""

    unknown: int
    """Number of the node's unknown."""
    cells: Index
    """Flat numbers of the cells, array by array, ``[cells]``."""
    others: Index
    """Unknowns at the cells' other ends, ``[cells]``."""
    ratios: Array
    """Scale of the node over that of the other end, ``[cells]``: 1 but behind amplifiers of unequal gains."""
    drops: Array
    """V from the node to the other ends over the scale of the node, ``[batch, cells]``."""
    shares: Array
    """Weights of the cells, which add up to 1, ``[batch, cells]``."""


@dataclass(frozen=True, eq=False)
class Forest:
    """The branches of one batch, each behind those that it hangs on."""

    branches: Sequence[Branch]
    _unknowns: Index
    """The unknown of each node and of ground, ``[nodes + 1]``; where a node is held that of ground, the last one."""
    _scale: Array
    """V of each node per V of its unknown, ``[nodes + 1]``."""

    @property
    def cells(self) -> Index:
        """Flat numbers of all its cells, ``[cells]``."""
        return np.concatenate([branch.cells for branch in self.branches])

    def adjoint(self, slopes: Array) -> Array:
        """λ of every node, V²/A, ``[batch, nodes]``, from ∂C/∂g of its cells, V²/S, ``[batch, cells]``."""
        found = np.zeros((len(slopes), self._unknowns[-1] + 1))
        bounds = np.cumsum([len(branch.cells) for branch in self.branches])[:-1]
        for branch, seen in zip(self.branches, np.split(slopes, bounds, axis=1), strict=True):
            each = branch.ratios * found[:, branch.others] - quotient(seen, branch.drops)
            found[:, branch.unknown] = (branch.shares * each).sum(axis=1)
        return np.asarray((found[:, self._unknowns] / self._scale)[:, :-1])


class Forester:
    """Grows forests of a circuit's cells, one for each batch.

    Raises:
        CircuitError: no cell touches a node whose voltage is free, or gains are unequal and cells do not lead from
            everywhere to a held node.
    """

    def __init__(self, circuit: Circuit) -> None:
        scaling = scaling_of(circuit)
        self._circuit, self._scale, self._held = circuit, scaling.scale, scaling.variables
        self._unknowns = np.where(scaling.free, scaling.variable, self._held)
        ends = [[end.ravel() for end in np.broadcast_arrays(*circuit.ends(array))] for array in circuit.arrays]
        self._ends = np.concatenate(ends, axis=1)
        """Nodes at both ends of every cell, ``[2, cells]``."""
        unknowns = self._unknowns[self._ends]
        if (unknowns == self._held).all():
            raise CircuitError(
                f"circuit {circuit.name}: every trainable cell lies between nodes that sources hold, so that none "
                "shows what a current into a node does"
            )
        low, high = np.sort(unknowns, axis=0)
        codes, self._pair = np.unique(low * (self._held + 1) + high, return_inverse=True)
        self._pairs = np.divmod(codes, self._held + 1)
        """Unknowns that cells join, ``[pairs]`` at either end; `_pair` is that of each cell, ``[cells]``."""
        part = connected_components(self._graph(np.ones(len(codes))), directed=False)[1]
        _, first = np.unique(part, return_index=True)
        self._roots = np.where(np.arange(len(first)) == part[self._held], self._held, first)
        if scaling.uneven and (self._roots[part[unknowns]] != self._held).any():
            raise CircuitError(
                f"{scaling.uneven}, so that circuit {circuit.name} shows what a current into a node does only where "
                "cells lead to a held node; give amplifiers of a layer one gain, or add a cell to a rail"
            )
        order = np.argsort(unknowns, axis=None, kind="stable")
        self._around = np.split(order, np.searchsorted(unknowns.ravel()[order], np.arange(1, self._held + 1)))
        """The ends of cells that touch each unknown, numbered through ``[2, cells]``."""

    def grow(self, nodes: Array, room: Array, rng: np.random.Generator) -> Forest:
        """Choose the cells for a batch.

        Args:
            nodes: V of every node in the free phase, ``[batch, nodes]``.
            room: S by which every cell can be moved, ``[cells]``.
            rng: draws between cells that are about as good, so that a stuck one stands for its node in few batches.
        """
        volts, reach = self._circuit.with_ground(nodes), room * rng.uniform(_ALIKE, 1, len(room))
        squares = np.zeros(len(reach))
        for sample in volts:  # one by one: samples × cells may be many
            squares += (reach * (sample[self._ends[0]] - sample[self._ends[1]])) ** 2
        squares /= len(volts)
        least = max(_BLIND**2 * squares.max(), np.finfo(float).tiny)
        distance = self._distances(1 / np.maximum(squares, least))
        errors = np.zeros((len(volts), self._held + 1))
        branches = [
            self._branch(unknown, volts, reach, distance, errors, least)
            for unknown in np.argsort(distance).tolist()
            if 0 < distance[unknown] < np.inf
        ]
        return Forest(branches, self._unknowns, self._scale)

    def _graph(self, weights: Array) -> csr_matrix:
        return csr_matrix((weights, self._pairs), shape=(self._held + 1, self._held + 1))

    def _distances(self, costs: Array) -> Array:
        """Squared error of every unknown along its best path, ``[unknowns]``, from those of the cells."""
        best = np.full(len(self._pairs[0]), np.inf)
        np.minimum.at(best, self._pair, costs)
        found: Array = dijkstra(self._graph(best), directed=False, indices=self._roots, min_only=True)
        return found

    def _branch(self, unknown: int, volts: Array, reach: Array, distance: Array, errors: Array, least: float) -> Branch:
        """Return the branch of an unknown, and note its squared error in every sample in `errors`."""
        sides, cells = np.divmod(self._around[unknown], len(reach))
        near, far = self._ends[sides, cells], self._ends[1 - sides, cells]
        others = self._unknowns[far]
        known = distance[others] < distance[unknown]
        cells, near, far, others = cells[known], near[known], far[known], others[known]
        drops, ratios = (volts[:, near] - volts[:, far]) / self._scale[near], self._scale[near] / self._scale[far]
        squares = 1 / np.maximum((reach[cells] * drops) ** 2, least) + ratios**2 * errors[:, others]
        chosen = _chosen(squares)
        precision = 1 / squares[:, chosen]
        errors[:, unknown] = 1 / precision.sum(axis=1)
        shares = precision * errors[:, unknown, None]
        return Branch(unknown, cells[chosen], others[chosen], ratios[chosen], drops[:, chosen], shares)


def _chosen(squares: Array) -> Index:
    """Choose cells, the best of those left one by one, until no sample is much worse off than with its best.

    Args:
        squares: squared errors, ``[batch, cells]``.
    """
    worth = squares.min(axis=1, keepdims=True) / squares
    enough = worth * _WORSE**2 >= 1
    chosen, left = list[int](), np.ones(len(squares), bool)
    while left.any():
        best = int(np.argmax(enough[left].sum(axis=0) + worth[left].mean(axis=0)))
        chosen.append(best)
        left &= ~enough[:, best]
    return np.array(chosen, dtype=np.intp)
