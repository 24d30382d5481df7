"""Newton's linear equations of unreduced circuits: a stack of dense matrices, or one sparse matrix at a time.

A matrix is given by its entries (S) at fixed places, row + n · column; arrays have the batch last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import bmat, csc_matrix, csr_matrix
from scipy.sparse.linalg import SuperLU, splu
from typing_extensions import override

from harness.circuit.reduction.linear import clamped_solution
from harness.measurement import Array, Index

Logical = npt.NDArray[np.bool_]


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

    def forget(self) -> None:
        """Drop what was kept of former matrices."""

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

    @override
    def forget(self) -> None:
        return

    @override
    def step(
        self, entries: Callable[[], Array], border: Border, residual: Array, missing: Array | None
    ) -> tuple[Array, bool]:
        values = entries()
        into, out, rest = (_stack(values[chosen], places, shape) for chosen, places, shape in self._parts)
        if border.adjoint:
            into, out, rest = out.swapaxes(1, 2), into.swapaxes(1, 2), rest.swapaxes(1, 2)
        own = values[self._own].T
        if not own.all():
            raise np.linalg.LinAlgError("a node without any conductance")
        ratio = into / own[:, :, None]
        steady = residual[self._alone].T / own
        right = residual[self._rest].T - (out @ steady[:, :, None])[:, :, 0]
        moved = self._solved(rest - out @ ratio, right, border, missing)
        step = np.empty_like(residual)
        step[self._rest] = moved.T
        step[self._alone] = (steady - (ratio @ moved[:, :, None])[:, :, 0]).T
        return step, True

    def _solved(self, matrix: Array, right: Array, border: Border, missing: Array | None) -> Array:
        if missing is None:
            return np.asarray(np.linalg.solve(matrix, right[:, :, None])[:, :, 0])
        push, drop = border.push.toarray()[self._rest], border.drop.toarray()[:, self._rest]
        return clamped_solution(matrix, right[:, :, None], drop, missing.T[:, :, None], push)[:, :, 0]


def _stack(values: Array, places: Index, shape: tuple[int, int]) -> Array:
    """Matrices ``[samples, *shape]`` of values ``[entries, samples]``."""
    stack = np.zeros((values.shape[1], shape[0] * shape[1]))
    stack[:, places] = values.T
    return stack.reshape(values.shape[1], *shape)


def unjoined(size: int, places: Index, barred: Logical) -> Logical:
    """A large set of unknowns with nothing between them, few neighbours first, and none that is `barred`, ``[n]``."""
    rows, columns = places % size, places // size
    joined = np.zeros((size, size), bool)
    joined[rows, columns] = joined[columns, rows] = True
    barred = barred | ~np.diagonal(joined)
    np.fill_diagonal(joined, False)
    alone = np.zeros(size, bool)
    for node in np.argsort(joined.sum(axis=1), kind="stable"):
        alone[node] = not barred[node] and not (joined[node] & alone).any()
    return alone


class Sparse(Jacobian):
    """Solves one sample at a time, and keeps its factors until `forget`."""

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
