"""Newton's linear equations of unreduced circuits: a stack of matrices, or one sparse matrix at a time.

A matrix is given by its entries (S) at fixed places, row + n · column; arrays have the batch last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import bmat, coo_matrix, csc_matrix, csr_matrix
from scipy.sparse.linalg import SuperLU, splu
from typing_extensions import override

from harness.circuit.reduction.linear import clamped_solution, eliminated
from harness.measurement import Array, Index

Logical = npt.NDArray[np.bool_]
_PAIR = 8  # times as long as a product within matrices, measured: a product of a pair of entries


@dataclass(frozen=True, eq=False)
class Border:
    """The outputs' part in the equations, and whether the equations are transposed."""

    push: csr_matrix
    """Currents into outputs, in the equations, ``[n, outputs]``."""
    drop: csr_matrix
    """Voltages of outputs, of the unknowns, ``[outputs, n]``."""
    adjoint: bool


class Jacobian(Protocol):
    """Solves for Newton's step."""

    numbers: int
    """Numbers in its largest array for each sample."""

    def forget(self) -> None:
        """Drop what was kept of former matrices, if anything was."""
        return

    def step(
        self, entries: Callable[[], Array], border: Border, residual: Array, missing: Array | None
    ) -> tuple[Array, bool]:
        """The step (V, ``[n, samples]``), and whether its matrix has these entries, and not former ones.

        Args:
            entries: of the matrix, S, ``[entries, samples]``.
            border: of this phase.
            residual: A, ``[n, samples]``.
            missing: what is left to move at clamped outputs, V, ``[outputs, samples]``; None where they are free.

        Raises:
            LinAlgError: the equations are singular.
        """


class Dense(Jacobian):
    """A matrix per sample, in which unknowns that nothing joins to each other are eliminated by their diagonal."""

    def __init__(self, size: int, places: Index, alone: Logical) -> None:
        """`alone` unknowns are eliminated, ``[n]``: see `unjoined`."""
        rows, columns = places % size, places // size
        self._alone, self._rest = np.flatnonzero(alone), np.flatnonzero(~alone)
        self._own = np.flatnonzero(alone[rows] & alone[columns])
        place = np.empty(size, np.intp)
        place[self._alone], place[self._rest] = np.arange(len(self._alone)), np.arange(len(self._rest))
        self._parts: list[tuple[Index, Index, tuple[int, int]]] = []
        for up, left in ((True, False), (False, True), (False, False)):
            chosen = np.flatnonzero((alone[rows] == up) & (alone[columns] == left))
            shape = len(self._alone if up else self._rest), len(self._alone if left else self._rest)
            self._parts.append((chosen, place[rows[chosen]] * shape[1] + place[columns[chosen]], shape))
        self.numbers = size * len(self._rest)

    @override
    def step(
        self, entries: Callable[[], Array], border: Border, residual: Array, missing: Array | None
    ) -> tuple[Array, bool]:
        values = entries()
        into, out, rest = (_stack(values[chosen], places, shape) for chosen, places, shape in self._parts)
        if border.adjoint:
            into, out, rest = out.swapaxes(1, 2), into.swapaxes(1, 2), rest.swapaxes(1, 2)
        step = np.empty_like(residual)
        lone, moved = eliminated(
            values[self._own].T,
            into,
            out,
            rest,
            residual[self._alone].T,
            residual[self._rest].T,
            lambda matrix, right: _solved(matrix, right, border, self._rest, missing),
        )
        step[self._alone], step[self._rest] = lone.T, moved.T
        return step, True


class Pairwise(Jacobian):
    """A matrix per sample, as `Dense`, in which the eliminated unknowns have few neighbours each.

    Eliminating an unknown adds a product of two entries for each pair of its neighbours. Between a cell and its
    selector there are two neighbours at most, one of which may be held: products of whole matrices would be mostly 0.
    """

    def __init__(self, size: int, places: Index, alone: Logical) -> None:
        """`alone` unknowns are eliminated, ``[n]``: see `unjoined`."""
        rows, columns = places % size, places // size
        self._alone, self._rest = np.flatnonzero(alone), np.flatnonzero(~alone)
        place = np.empty(size, np.intp)
        place[self._alone], place[self._rest] = np.arange(len(self._alone)), np.arange(len(self._rest))
        rows, columns, up, left = place[rows], place[columns], alone[rows], alone[columns]
        self._own, self._between = np.flatnonzero(up & left), np.flatnonzero(~up & ~left)
        into, out = np.flatnonzero(up & ~left), np.flatnonzero(~up & left)
        shape = len(self._alone), len(self._rest)
        self._into = _Coupling.of(into, rows[into], columns[into], shape)
        self._out = _Coupling.of(out, columns[out], rows[out], shape)
        first, second = _pairs(columns[out], rows[into], shape[0])
        self._pairs = self._out.entries[first], self._into.entries[second], columns[out][first]
        """Entries of every pair of neighbours, and the eliminated unknown between them."""
        joined = rows[out][first] * shape[1] + columns[into][second]
        kept = rows[self._between] * shape[1] + columns[self._between]
        self._kept, self._joined = _sums(kept, shape[1] ** 2), _sums(joined, shape[1] ** 2)
        self.numbers = max(len(first), shape[1] ** 2, 1)

    @override
    def step(
        self, entries: Callable[[], Array], border: Border, residual: Array, missing: Array | None
    ) -> tuple[Array, bool]:
        values = entries()
        own = values[self._own]
        if not own.all():
            raise np.linalg.LinAlgError("a node without any conductance")
        first, second, between = self._pairs
        added = self._joined @ (values[first] * values[second] / own[between])
        matrix = (self._kept @ values[self._between] - added).T.reshape(-1, len(self._rest), len(self._rest))
        into, out = self._into, self._out
        if border.adjoint:
            into, out, matrix = out, into, matrix.swapaxes(1, 2)
        alone = residual[self._alone]
        right = residual[self._rest] - out.at_rest @ (values[out.entries] * (alone / own)[out.alone])
        step = np.empty_like(residual)
        step[self._rest] = moved = _solved(matrix, right.T[:, :, None], border, self._rest, missing)[:, :, 0].T
        step[self._alone] = (alone - into.at_alone @ (values[into.entries] * moved[into.rest])) / own
        return step, True


@dataclass(frozen=True, eq=False)
class _Coupling:
    """The entries that join eliminated unknowns to others, in one direction."""

    entries: Index
    alone: Index
    """The eliminated unknown of each entry."""
    rest: Index
    """The other one."""
    at_alone: csr_matrix
    """Sums entries at eliminated unknowns, ``[alone, entries]``."""
    at_rest: csr_matrix
    """Sums them at the others, ``[rest, entries]``."""

    @classmethod
    def of(cls, entries: Index, alone: Index, rest: Index, shape: tuple[int, int]) -> Self:
        return cls(entries, alone, rest, _sums(alone, shape[0]), _sums(rest, shape[1]))


def _sums(places: Index, size: int) -> csr_matrix:
    """Return the matrix that sums values at their places, ``[size, values]``."""
    return coo_matrix((np.ones(len(places)), (places, np.arange(len(places)))), shape=(size, len(places))).tocsr()


def _pairs(first: Index, second: Index, groups: int) -> tuple[Index, Index]:
    """Return the numbers of all pairs of one value each that are of the same group, from the groups of the values."""
    order, counts = np.argsort(first, kind="stable"), np.bincount(first, minlength=groups)
    each = counts[second]
    within = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
    return order[np.repeat((np.cumsum(counts) - counts)[second], each) + within], np.repeat(
        np.arange(len(second)), each
    )


def eliminating(size: int, places: Index, alone: Logical) -> Dense | Pairwise:
    """Return the faster one of both ways to eliminate `alone` unknowns, ``[n]``."""
    rows, columns = places % size, places // size
    into, out = (
        np.bincount(ends[alone[ends] & ~alone[other]], minlength=size)
        for ends, other in ((rows, columns), (columns, rows))
    )
    pairs, products = int(into @ out), int(alone.sum()) * int((~alone).sum()) ** 2
    return Pairwise(size, places, alone) if _PAIR * pairs <= products else Dense(size, places, alone)


def _solved(matrix: Array, right: Array, border: Border, rest: Index, missing: Array | None) -> Array:
    """Return the step of the unknowns that are left (V, ``[samples, rest, 1]``); `rest` are their numbers."""
    if missing is None:
        return np.asarray(np.linalg.solve(matrix, right))
    push, drop = border.push.toarray()[rest], border.drop.toarray()[:, rest]
    return clamped_solution(matrix, right, drop, missing.T[:, :, None], push)


def _stack(values: Array, places: Index, shape: tuple[int, int]) -> Array:
    """Matrices ``[samples, *shape]`` of values ``[entries, samples]``."""
    stack = np.zeros((values.shape[1], shape[0] * shape[1]))
    stack[:, places] = values.T
    return stack.reshape(values.shape[1], *shape)


def unjoined(size: int, places: Index, barred: Logical) -> Logical:
    """A large set of unknowns with nothing between them, few neighbours first, and none that is `barred`, ``[n]``."""
    rows, columns = places % size, places // size
    off, barred = rows != columns, barred.copy()
    barred[np.setdiff1d(np.arange(size), rows[~off])] = True
    ends = np.concatenate([rows[off], columns[off]]), np.concatenate([columns[off], rows[off]])
    neighbours = coo_matrix((np.ones(len(ends[0])), ends), shape=(size, size)).tocsr()
    alone, begins = np.zeros(size, bool), neighbours.indptr.tolist()
    for node in np.argsort(np.diff(neighbours.indptr), kind="stable").tolist():
        if not barred[node]:
            alone[node] = True
            barred[neighbours.indices[begins[node] : begins[node + 1]]] = True
    return alone


class Sparse(Jacobian):
    """Solves one sample at a time, and keeps its factors until `forget`."""

    numbers = 1

    def __init__(self, size: int, places: Index) -> None:
        self._size, self._rows = size, places % size
        self._starts = np.searchsorted(places, size * np.arange(size + 1))
        self._factors: SuperLU | None = None
        self._clamped = False

    @override
    def forget(self) -> None:
        self._factors = None

    @override
    def step(
        self, entries: Callable[[], Array], border: Border, residual: Array, missing: Array | None
    ) -> tuple[Array, bool]:
        clamped = missing is not None
        kept = self._factors if self._clamped == clamped else None
        factors = kept or self._factored(entries()[:, 0], border, clamped=clamped)
        self._factors, self._clamped = factors, clamped
        right = residual if missing is None else np.vstack([residual, missing])
        return np.asarray(factors.solve(np.ascontiguousarray(right)))[: self._size], kept is None

    def _factored(self, values: Array, border: Border, *, clamped: bool) -> SuperLU:
        matrix = csc_matrix((values, self._rows, self._starts), shape=(self._size, self._size))
        if border.adjoint:
            matrix = matrix.T.tocsc()
        if clamped:
            blocks: list[list[Any]] = [[matrix, border.push], [border.drop, None]]
            matrix = csc_matrix(bmat(blocks))
        try:
            return splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": not clamped})
        except RuntimeError as error:  # what SuperLU says of singular matrices
            raise np.linalg.LinAlgError(str(error)) from error
