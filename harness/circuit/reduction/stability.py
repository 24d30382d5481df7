"""Stability of reduced networks at the states in which they rest, sample by sample.

A network with an energy rests where that energy has a minimum: where the matrix of its second derivatives,

    H = G + Aᵀ diag(di/dv) A + b DᵀD,

is positive definite. G is the conductance matrix, A and di/dv are the diodes and their slopes at the state, D are the
outputs' drops and b is the springs' conductance, of either sign. With a capacitance at every node a small disturbance u
moves as C du/dt = −H u. If H has a negative eigenvalue, the disturbance grows whatever the capacitances are: the state
is a saddle, which solvers find and no chip rests in.

Unknowns that nothing joins to each other are eliminated first, and what is left is factored. By Sylvester's law of
inertia neither changes the number of negative eigenvalues, and the eliminated ones are positive.
"""

from functools import lru_cache

import numpy as np

from harness.circuit.reduction.linear import incidence
from harness.circuit.reduction.settling import Network, Topology
from harness.measurement import Array, Index


def unstable_samples(network: Network, spring: float, slopes: Array) -> Index:
    """Return the numbers of the samples whose state is a saddle.

    Args:
        network: symmetric, with diodes as its only devices and no transformers.
        spring: b, S between the nodes of every output.
        slopes: of the diodes at each sample's state, S, ``[batch, diodes]``.
    """
    topology, (lone, between) = network.topology, _ends(network.topology)
    dense, alone = topology.dense, topology.alone
    matrix = network.conductance + spring * topology.springs
    into = matrix[alone[:, None], dense]
    held = matrix[alone, alone] + slopes @ lone
    products = (into[:, :, None] * into[:, None, :]).reshape(len(alone), len(dense) ** 2)
    left = matrix[dense[:, None], dense] - ((1 / held) @ products).reshape(-1, len(dense), len(dense))
    if between.any():
        left += (between.T * slopes[:, None, :]) @ between
    try:
        np.linalg.cholesky(left)
    except np.linalg.LinAlgError:
        return np.flatnonzero(np.linalg.eigvalsh(left)[:, 0] <= 0)
    return np.zeros(0, np.intp)


@lru_cache(maxsize=8)
def _ends(topology: Topology) -> tuple[Array, Array]:
    """1 where a diode is at an alone unknown, ``[diodes, alone]``; the diodes' incidence at others, ``[diodes, …]``."""
    found = incidence(topology.size, topology.diodes.anode, topology.diodes.cathode)
    return found[:, topology.alone] ** 2, found[:, topology.dense]
