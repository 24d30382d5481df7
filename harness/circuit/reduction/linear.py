"""Linear algebra of reduced networks: what springs and clamps add to the equations, and small-signal phases solved."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.linalg.lapack import dpotrf

from harness.circuit.reduction.settling import Network, Phase, Topology
from harness.measurement import Array, Index

_BLOCK = 2**23  # numbers in the matrices of one block of samples


def settle_linear(network: Network, phase: Phase) -> Array:
    """The unknowns (V, ``[batch, n]``) of a network without diodes, or in a small-signal phase.

    Of a phase that oscillates, they are the parts that are in phase with the nudge.

    One factorisation serves the whole batch where no diode makes its samples differ. Elsewhere the alone unknowns,
    whose diodes lead to rails, are eliminated first: a matrix per sample is left of the others.

    Raises:
        LinAlgError: the equations are singular.
    """
    matrix, currents = sprung(network, phase)
    drop = network.topology.drops[0]
    if phase.slopes is None or not phase.slopes.shape[1]:
        return np.ascontiguousarray(_solved(matrix, currents.T, drop, network, phase).T.real)
    alone, dense, branches = network.topology.alone, network.topology.dense, network.topology.branches
    own = matrix[alone, alone] + _slopes_at(alone, network.topology, phase.slopes)
    flows, follows = (incidence(network.size, *ends)[:, dense] for ends in (branches[:2], branches[2:]))
    among = np.flatnonzero(flows.any(axis=1) | follows.any(axis=1))
    into, out, rest = matrix[alone[:, None], dense], matrix[dense[:, None], alone], matrix[dense[:, None], dense]
    found = np.empty_like(currents)
    block = max(1, _BLOCK // max(1, network.size * len(dense)))
    for start in range(0, len(currents), block):
        rows = slice(start, start + block)
        weighted = follows[among] * phase.slopes[rows, among, None]
        parts = own[rows], into, out, rest + flows[among].T @ weighted
        solve = partial(_solved, held=drop[:, dense], network=network, phase=phase.rows(rows))
        lone, moved = eliminated(*parts, currents[rows, alone], currents[rows, dense], solve)
        found[rows, alone], found[rows, dense] = lone.real, moved.real
    return found


def eliminated(
    own: Array,
    into: Array,
    out: Array,
    rest: Array,
    alone: Array,
    others: Array,
    solve: Callable[[Array, Array], Array],
) -> tuple[Array, Array]:
    """Solve equations in which unknowns that nothing joins to each other are eliminated by their diagonal.

    Args:
        own: that diagonal, S, ``[batch, alone]``.
        into: from the other unknowns to them, S, ``[..., alone, others]``.
        out: the other way, S, ``[..., others, alone]``.
        rest: between the others, S, ``[batch, others, others]``.
        alone: currents into the alone unknowns, A, ``[batch, alone]``.
        others: those into the others, A, ``[batch, others]``.
        solve: solves for the others: matrices and columns in, ``[batch, others, 1]``, and columns out.

    Returns:
        Alone unknowns and others, V, ``[batch, ...]``.

    Raises:
        LinAlgError: the equations are singular.
    """
    if not own.all():
        raise np.linalg.LinAlgError("a node without any conductance")
    ratio, steady = into / own[:, :, None], (alone / own)[:, :, None]
    moved = solve(rest - out @ ratio, others[:, :, None] - out @ steady)
    return (steady - ratio @ moved)[:, :, 0], moved[:, :, 0]


def _slopes_at(alone: Index, topology: Topology, slopes: Array) -> Array:
    """The conductance of the branches (S, ``[batch, branches]``) at each alone unknown, S, ``[batch, alone]``."""
    found, places = np.zeros((len(slopes), len(alone))), np.full(topology.size + topology.rails, -1)
    places[alone] = np.arange(len(alone))
    for ends in topology.branches[:2]:
        at = np.flatnonzero(places[ends] >= 0)
        np.add.at(found.T, places[ends[at]], slopes.T[at])
    return found


def _solved(matrix: Array, currents: Array, held: Array, network: Network, phase: Phase) -> Array:
    """Solve one matrix with a column per sample, or a stack of both; clamped outputs keep their voltage.

    `held` is the incidence of the outputs at the unknowns of the matrix, ``[outputs, unknowns]``.
    """
    if phase.clamped is None:
        return np.asarray(np.linalg.solve(matrix, currents))
    wanted = phase.clamped - held_drops(network.topology, phase)
    wanted = wanted.T if currents.ndim == 2 else wanted[:, :, None]
    return clamped_solution(matrix, currents, held, wanted)


def clamped_solution(matrix: Array, currents: Array, held: Array, wanted: Array, push: Array | None = None) -> Array:
    """Return the x with matrix · x + push · i = currents for whatever i makes held · x = wanted (V).

    Args:
        matrix: S, ``[..., n, n]``.
        currents: A, ``[..., n, columns]``.
        held: incidence of the clamps, ``[clamps, n]``.
        wanted: V, ``[..., clamps, columns]``.
        push: where the currents i enter, ``[n, clamps]``; heldᵀ if it is not given.
    """
    size, clamps = matrix.shape[-1], len(held)
    unit = float(np.abs(matrix).max(initial=0.0)) or 1.0  # rows and columns of one size: no digits are lost
    bordered = np.zeros((*matrix.shape[:-2], size + clamps, size + clamps))
    bordered[..., :size, :size] = matrix
    bordered[..., :size, size:] = unit * (held.T if push is None else push)
    bordered[..., size:, :size] = unit * held
    right = np.concatenate([currents, unit * wanted], axis=-2)
    return np.asarray(np.linalg.solve(bordered, right)[..., :size, :])


def sprung(network: Network, phase: Phase) -> tuple[Array, Array]:
    """Conductance matrix (S, ``[n, n]``) and currents (A, ``[batch, n]``) with the phase's springs and pushes.

    The matrix is complex where the phase oscillates and nodes have capacitances.
    """
    drop, _ = network.topology.drops
    pushed = phase.pushed - phase.spring * held_drops(network.topology, phase)
    matrix = network.conductance + phase.spring * drop.T @ drop
    if (oscillation := phase.oscillation) is not None and oscillation.farads.any():
        matrix = matrix + 1j * np.diag(oscillation.siemens)
    return matrix, phase.currents + pushed @ drop


def output_resistance(network: Network, ground: float) -> Array:
    """D G⁻¹ Dᵀ (Ω, ``[..., outputs, outputs]``) with D the outputs' incidence and `ground` (S) from unknowns to ground.

    The alone unknowns, which no output touches, are eliminated first: the rest is small.
    """
    topology, matrix = network.topology, network.conductance
    dense, alone = topology.dense, topology.alone
    into = matrix[..., alone[:, None], dense] / (matrix[..., alone, alone] + ground)[..., None]
    left = matrix[..., dense[:, None], dense] + ground * np.eye(len(dense)) - matrix[..., dense[:, None], alone] @ into
    drop = topology.drops[0][:, dense]
    return np.asarray(drop @ np.linalg.solve(left, drop.T))


def without_alone(network: Network) -> Array | None:
    """The conductances (S, ``[..., dense, dense]``) that are left when the alone unknowns are eliminated.

    None where that would not keep the signs of the matrix's eigenvalues: one of the alone unknowns has no conductance
    of its own above 0, or the matrix is not symmetric.
    """
    matrix, dense, alone = network.conductance, network.topology.dense, network.topology.alone
    into, out = matrix[..., alone[:, None], dense], matrix[..., dense[:, None], alone]
    own = matrix[..., alone, alone]
    if not (own > 0).all() or not np.array_equal(into, out.swapaxes(-1, -2)):
        return None
    return np.asarray(matrix[..., dense[:, None], dense] - out @ (into / own[..., None]))


def positive_definite(matrix: Array) -> bool:
    """Return whether a symmetric matrix of finite numbers, or every one of a stack, has a Cholesky factorization."""
    if matrix.ndim > 2:
        try:
            np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            return False
        return True
    return not len(matrix) or dpotrf(matrix.T, lower=False, clean=False)[1] == 0


def incidence(size: int, first: Index, second: Index) -> Array:
    """Return 1 where a pair begins, −1 where it ends, ``[pairs, size]``; rails, numbered from `size`, are left out."""
    found = np.zeros((len(first), size))
    for ends, sign in ((first, 1.0), (second, -1.0)):
        (pairs,) = np.nonzero(ends < size)
        found[pairs, ends[pairs]] += sign
    return found


def held_drops(topology: Topology, phase: Phase) -> Array:
    """The part of the voltage over each output that rails hold (V, ``[batch, outputs]``)."""
    return phase.rails @ topology.drops[1].T
