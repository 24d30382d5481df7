"""Schur complements: variables that are eliminated exactly, and the way back to them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csc_matrix, csr_matrix
from scipy.sparse.linalg import SuperLU, splu

from harness.circuit.reduction.equations import System
from harness.circuit.reduction.multifrontal import Fronts
from harness.errors import CircuitError
from harness.measurement import Array

_MOST_DENSE = 3_000  # unknowns
_FILLED = 1 / 6  # of a matrix; measured: sparse factors of a random graph with 1,000 nodes take twice as long as dense
Solve = Callable[..., Array]
"""Solves for columns; that of `Factors.GENERAL` with ``trans="T"`` for the transposed matrix too."""


@dataclass(frozen=True, eq=False)
class Elimination:
    """Eliminated variables from kept ones: u_e = standing(inputs) − u_k @ transfer."""

    transfer: Array
    adjoint_transfer: Array
    """The same of the transposed equations."""
    _current: Array
    _current_gain: csr_matrix
    _solve: Solve

    def standing(self, inputs: Array) -> Array:
        """Return the voltages of eliminated variables while all kept ones are at 0 V, V, ``[batch, variables]``."""
        currents = self._current + inputs @ self._current_gain
        return self._solve(currents.T.copy()).T if currents.any() else currents


class Factors(StrEnum):
    """Ways to factor the interior, which depend on its matrix."""

    GENERAL = "general"
    SPARSE = "sparse"
    """Symmetric, and its factors stay sparse."""
    DENSE = "dense"
    """Symmetric, and its factors fill up, as those of random graphs do; BLAS is faster then."""

    @classmethod
    def of(cls, matrix: csr_matrix, *, reciprocal: bool) -> "Factors":
        """The fastest one for matrices with these entries."""
        size = matrix.shape[0]
        if not reciprocal:
            return cls.GENERAL
        return cls.DENSE if 0 < size <= _MOST_DENSE and _factored(matrix).nnz > _FILLED * size**2 else cls.SPARSE

    def solver(self, matrix: csr_matrix) -> Solve:
        """Factor a matrix, and return a function that solves for columns.

        Raises:
            RuntimeError, LinAlgError: the matrix is singular.
        """
        match self:
            case Factors.GENERAL:
                return splu(csc_matrix(matrix)).solve
            case Factors.SPARSE:
                return _factored(matrix).solve
        factors = cho_factor(matrix.toarray(), overwrite_a=True, check_finite=False)
        return partial(cho_solve, factors, check_finite=False)


def _factored(matrix: csr_matrix) -> SuperLU:
    return splu(csc_matrix(matrix), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})


def eliminate(
    system: System, factors: Factors | Fronts, *, reciprocal: bool
) -> tuple[Array, Array, Array, Elimination | None]:
    """Eliminate the interior of a system.

    Returns:
        Matrix (S, ``[kept, kept]``), currents (A, ``[kept]``), their gains (A/V, ``[channels, kept]``), the way back.

    Raises:
        CircuitError: the interior floats.
    """
    if (inner := system.interior) is None:
        return system.kept, system.current, system.gain, None
    try:
        solve = _solver(inner.matrix, factors)
    except (RuntimeError, np.linalg.LinAlgError) as error:
        raise CircuitError("a part of the circuit floats: every cell that leads to it is open (0 S)") from error
    transfer = solve(inner.into.toarray()).T
    adjoint = transfer
    if not reciprocal:
        across = inner.back.T.toarray()
        adjoint = (solve(across, trans="T") if factors is Factors.GENERAL else solve(across)).T
    reduced = system.kept - inner.back @ transfer.T
    return (
        (reduced + reduced.T) / 2 if reciprocal else reduced,
        system.current - adjoint @ inner.current,
        system.gain - inner.gain @ adjoint.T,
        Elimination(transfer, adjoint, inner.current, inner.gain, solve),
    )


def _solver(matrix: csr_matrix, factors: Factors | Fronts) -> Solve:
    return factors.factored(matrix).solve if isinstance(factors, Fronts) else factors.solver(matrix)
