"""Small reduced networks settled by the compiled loops of `harness.chip.nodal.loops.kernel`, each sample for itself."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from harness.chip.nodal.failures import Unsettled, named
from harness.chip.nodal.loops import kernel
from harness.chip.nodal.loops.newton import SETTLED, UNSETTLED
from harness.chip.nodal.machine_code import compiled
from harness.circuit import Phase, SettlingJob, Topology
from harness.measurement import Array, Index

_MOST_DENSE = 32  # unknowns of Newton's matrix; measured: BLAS is faster from some 40 on
_MOST_PRODUCTS = 2**22  # alone unknowns × dense ones squared; measured: the loops win by a third with 2,048 × 20²


@lru_cache(maxsize=64)
def suits(topology: Topology) -> bool:
    """Return whether a topology is settled sample by sample: it is small, and its devices are diodes.

    The topology alone decides, so that a sample's voltages never depend on those that are solved with it.
    """
    dense, alone = len(topology.dense), len(topology.alone)
    return not topology.others and dense <= _MOST_DENSE and alone * dense**2 <= _MOST_PRODUCTS


class Layout:
    """The numbers by which the loops know a topology: dense unknowns, alone ones, rails."""

    def __init__(self, topology: Topology) -> None:
        diodes, dense = topology.diodes, len(topology.dense)
        self.unknowns = np.concatenate([topology.dense, topology.alone])
        """The topology's numbers of the unknowns, ``[n]``."""
        at = np.arange(topology.size + topology.rails)
        at[self.unknowns] = np.arange(topology.size)
        ends = np.stack([at[diodes.anode], at[diodes.cathode]], axis=1)
        touching = np.flatnonzero(np.less(ends, topology.size).any(axis=1))
        lone = np.logical_and(dense <= ends, ends < topology.size)[touching]
        owner = np.where(lone, ends[touching] - dense, 0).sum(axis=1)
        owner[~lone.any(axis=1)] = len(topology.alone)
        order = np.argsort(owner, kind="stable")
        self.begins: Index = np.searchsorted(owner[order], np.arange(len(topology.alone) + 1))
        self.junctions: Index = np.column_stack([touching[order], ends[touching[order]]])
        self.outputs: Index = np.stack([at[topology.plus], at[topology.minus]], axis=1)
        law = diodes.law
        self.laws: Array = np.stack([law.saturation, law.scale], axis=1)


@lru_cache(maxsize=8)
def _layout(topology: Topology) -> Layout:
    return Layout(topology)


def settle(settling: SettlingJob, chosen: Sequence[int], tolerance: float, iterations: int, solved: Array) -> None:
    """Fill in the unknowns (V, ``[..., batch, phases, n]``) in some phases, of one network or of a stack of networks.

    Args:
        settling: all arrays of a stack have one more axis before those of one network, and so may springs have.
        chosen: numbers of the phases, one at least.
        tolerance: V of the last step.
        iterations: the most.
        solved: is filled; whole (C-contiguous).

    Raises:
        ConvergenceError: a sample did not settle.
        ChipError: the equations are singular.
    """
    topology, phases = settling.network.topology, settling.phases
    layout, n = _layout(topology), topology.size
    conductance = np.ascontiguousarray(settling.network.conductance, float)
    conductance = conductance[None] if conductance.ndim == 2 else conductance
    networks, samples = len(conductance), math.prod(solved.shape[:-2])
    order, inputs = _ordered(phases, chosen)
    springs = np.empty((len(phases), networks))
    for k, phase in enumerate(phases):
        springs[k] = phase.spring.ravel() if isinstance(phase.spring, np.ndarray) else phase.spring
    pushed = _stacked([phase.pushed for phase in phases], samples, len(topology.plus))
    clamped = pushed
    if any(held for *_, held in order):
        volts = [phase.pushed if phase.clamped is None else phase.clamped for phase in phases]
        clamped = _stacked(volts, samples, len(topology.plus))
    others = topology.rails, len(topology.plus), len(layout.junctions) - layout.begins[-1]
    parts = len(topology.dense), len(topology.alone), others
    numbers, whole = kernel.needed(*parts, networks, samples, len(order))
    status, sample, number = compiled.settle()(
        layout.unknowns,
        layout.begins,
        layout.junctions,
        layout.outputs,
        layout.laws,
        conductance,
        _stacked([phase.currents for phase in inputs], samples, n),
        _stacked([phase.rails for phase in inputs], samples, topology.rails),
        pushed,
        clamped,
        springs,
        np.array(order, np.intp),
        tolerance,
        iterations,
        solved.reshape(samples, len(phases), n),
        np.empty(numbers),
        np.empty(whole, np.intp),
    )
    if status == SETTLED:
        return
    with named(phases if status == UNSETTLED else phases[number : number + 1], iterations):
        network, sample = divmod(sample, samples // networks)
        raise Unsettled(sample, number, network) if status == UNSETTLED else np.linalg.LinAlgError


def _ordered(phases: Sequence[Phase], chosen: Sequence[int]) -> tuple[list[tuple[int, int, bool]], list[Phase]]:
    """Return the `order` of `harness.chip.nodal.loops.kernel.settle`, and a phase with each of the inputs."""
    order, places, inputs = [], dict[tuple[int, int], int](), list[Phase]()
    for k in chosen:
        phase = phases[k]
        place = places.setdefault((id(phase.currents), id(phase.rails)), len(inputs))
        if place == len(inputs):
            inputs.append(phase)
        order.append((k, place, phase.clamped is not None))
    return order, inputs


def _stacked(arrays: Sequence[Array], samples: int, columns: int) -> Array:
    """Return arrays of all samples as one whole array, ``[arrays, samples, columns]``."""
    return np.array(arrays, float).reshape(len(arrays), samples, columns)
