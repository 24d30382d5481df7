"""Newton's method on reduced networks, in one of two ways that find the same voltages to rounding.

Small networks are settled sample by sample in compiled loops (`harness.chip.nodal.samplewise`), others a batch at a
time in NumPy (`harness.chip.nodal.batchwise`). The first phase starts from 0 V, and all others from the first. Samples
that do not settle so are solved by `harness.chip.nodal.continuation`.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import csr_matrix

from harness.chip.nodal import batchwise, samplewise
from harness.chip.nodal.continuation import Sample
from harness.chip.nodal.failures import named
from harness.circuit import Network, Phase, SettlingJob
from harness.circuit.primitives import Law
from harness.circuit.reduction.linear import held_drops, incidence, settle_linear, sprung
from harness.errors import ChipError, ConvergenceError
from harness.measurement import Array

MAX_ITERATIONS = 200
Settle = Callable[[SettlingJob, Sequence[int], float, int, Array], None]
"""Settles a job in the phases of these numbers, within a tolerance (V) and a number of iterations, into an array."""


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
        try:
            way.settle(settling, chosen, tolerance, MAX_ITERATIONS, solved)
        except ChipError:
            for sample in range(len(settling)):
                _settle_alone(settling, sample, chosen, tolerance, way.settle, solved[sample : sample + 1])
    return solved


def _settle_alone(
    settling: SettlingJob, sample: int, chosen: Sequence[int], tolerance: float, settle: Settle, solved: Array
) -> None:
    """Fill in the unknowns of one sample (V, ``[1, phases, n]``), by softer devices where nothing else settles it."""
    one = settling.rows(slice(sample, sample + 1))
    try:
        settle(one, chosen, tolerance, MAX_ITERATIONS, solved)
    except ChipError as error:
        for k in chosen:
            found = _continued(one.network, one.phases[k], tolerance)
            if found is None:
                if isinstance(error, ConvergenceError):
                    raise error.in_batch(sample) from error
                raise
            solved[0, k] = found


def _continued(network: Network, phase: Phase, tolerance: float) -> Array | None:
    """Return the unknowns of the only sample of a phase, V, ``[n]``; None where softer devices do not settle either."""
    if phase.spring < 0:
        return None
    topology, size = network.topology, network.size
    matrix, currents = sprung(network, phase)
    first, second, above, below = topology.branches
    flows, follows = csr_matrix(incidence(size, first, second).T), csr_matrix(incidence(size, above, below))
    terminals = np.append(np.zeros(size), phase.rails[0])
    laws: list[Law] = [topology.diodes.law, *(devices.branches.law for devices in topology.others)]
    counts = [len(topology.diodes.anode), *(len(devices.branches.first) for devices in topology.others)]
    places = np.cumsum(counts)[:-1]

    def through(volts: Array, softness: float) -> tuple[Array, Array]:
        parts = zip(laws, np.split(volts, places), strict=True)
        found = [law.softened(softness).current_and_slope(over) for law, over in parts]
        current, slope = map(np.concatenate, zip(*found, strict=True))
        return current, slope

    scale = min(law.sharpest for law in laws)
    held = terminals[above] - terminals[below]
    sample = Sample(csr_matrix(matrix), currents[0], flows, follows, held, through, scale)
    if phase.clamped is not None:
        drop = csr_matrix(topology.drops[0])
        sample = sample.clamped(csr_matrix(drop.T), drop, (phase.clamped - held_drops(topology, phase))[0])
    found = sample.settled(tolerance, size)
    return None if found is None else found[:size]


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
    try:
        samplewise.settle(settling, range(len(phases)), tolerance, MAX_ITERATIONS, solved)
    except ChipError:
        for k in range(len(solved)):
            try:
                solved[k] = settle(settling.of_network(k), tolerance)
            except ConvergenceError as error:
                raise error.of_settling(k) from error
    return solved
