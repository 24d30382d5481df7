"""Newton's method on reduced networks, in one of two ways that find the same voltages to rounding.

Small networks are settled sample by sample in compiled loops (`harness.chip.nodal.samplewise`), others a batch at a
time in NumPy (`harness.chip.nodal.batchwise`). The first phase starts from 0 V, and all others from the first.
"""

import numpy as np

from harness.chip.nodal import batchwise, samplewise
from harness.chip.nodal.failures import named
from harness.circuit import SettlingJob
from harness.circuit.reduction.linear import settle_linear
from harness.measurement import Array

MAX_ITERATIONS = 200


def settle(settling: SettlingJob, tolerance: float, *, by_batch: bool = False) -> Array:
    """The unknowns in every phase, V, ``[batch, phases, n]``.

    `tolerance` (V) bounds the last Newton step. Convergence is quadratic there, so the error that is left is of the
    order of its square over N V_T. `by_batch` settles small networks in NumPy, too.

    Raises:
        ConvergenceError: a sample did not settle; names sample and phase.
        ChipError: the equations are singular in floating point.
    """
    network, phases = settling.network, settling.phases
    solved, chosen = np.empty((len(settling), len(phases), network.size)), []
    for k, phase in enumerate(phases):
        if phase.slopes is None:
            chosen.append(k)
            continue
        with named([phase], MAX_ITERATIONS):
            solved[:, k] = settle_linear(network, phase)
    if chosen:
        way = batchwise if by_batch or not samplewise.suits(network.topology) else samplewise
        way.settle(settling, chosen, tolerance, MAX_ITERATIONS, solved)
    return solved


def settle_stack(settling: SettlingJob, tolerance: float) -> Array:
    """The unknowns in every phase of many networks of one topology, V, ``[networks, batch, phases, n]``.

    Every array of the settling has the networks as one more axis before those of one network: conductances
    ``[networks, n, n]``, currents ``[networks, batch, n]``. A spring is one number, or ``[networks, ...]``. No phase is
    a small-signal one. The voltages of a small network are the bits that `settle` returns for it alone.

    Raises:
        ConvergenceError: as `settle`; its `settling` is the number of the network, where networks are small.
        ChipError: the equations are singular in floating point.
    """
    network, phases = settling.network, settling.phases
    if not samplewise.suits(network.topology):
        return np.stack([settle(settling.of_network(k), tolerance) for k in range(len(network.conductance))])
    solved = np.empty((*phases[0].currents.shape[:2], len(phases), network.size))
    samplewise.settle(settling, range(len(phases)), tolerance, MAX_ITERATIONS, solved)
    return solved
