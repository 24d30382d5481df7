"""Schur complements: variables that are eliminated exactly, and the way back to them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csc_matrix, csr_matrix
from scipy.sparse.linalg import SuperLU, splu

from harness.circuit.equations import System
from harness.errors import CircuitError
from harness.measurement import Array, Index

_MOST_DENSE = 3_000  # unknowns
_FILLED = 1 / 6  # of a matrix; measured: sparse factors of a random graph with 1,000 nodes take twice as long as dense


@dataclass(frozen=True, eq=False)
class Elimination:
    """Eliminated variables from kept ones: u_e = current + inputs @ current_gain − u_k @ transfer."""

    variables: Index
    current: Array
    current_gain: Array
    transfer: Array
    adjoint_transfer: Array
    """The same of the transposed equations."""


class Factors(StrEnum):
    """How the interior is factored: by what its matrix is like."""

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

    def solver(self, matrix: csr_matrix) -> Callable[..., Array]:
        """Solves for columns; the general one with ``trans="T"`` for the transposed matrix too.

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
    system: System, kept: Index, interior: Index, factors: Factors, *, reciprocal: bool
) -> tuple[Array, Array, Array, Elimination | None]:
    """What is left of a system.

    Returns:
        Matrix (S, ``[kept, kept]``), currents (A, ``[kept]``), their gains (A/V, ``[channels, kept]``), the way back.

    Raises:
        CircuitError: the interior floats.
    """
    current, gain = system.current, system.current_gain
    if not len(interior):
        return system.dense(), current, gain, None
    matrix = system.sparse()
    try:
        solve = factors.solver(matrix[interior][:, interior])
    except (RuntimeError, np.linalg.LinAlgError) as error:
        raise CircuitError("a part of the circuit floats: every cell that leads to it is open (0 S)") from error
    across, back = matrix[interior][:, kept].toarray(), matrix[kept][:, interior].toarray()
    transfer = solve(across).T
    adjoint = transfer if reciprocal else solve(back.T.copy(), trans="T").T
    gained = solve(gain[:, interior].T.copy()).T
    elimination = Elimination(interior, solve(current[interior]), gained, transfer, adjoint)
    reduced = matrix[kept][:, kept].toarray() - back @ transfer.T
    return (
        (reduced + reduced.T) / 2 if reciprocal else reduced,
        current[kept] - back @ elimination.current,
        gain[:, kept] - gained @ back.T,
        elimination,
    )
