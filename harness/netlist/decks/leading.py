"""Currents that lead ngspice to where a sweep's points are expected: it sees them in the first iteration of each point.

ngspice begins a point with each diode's tangent at a voltage that follows from the points before: where the last two of
them lead to in a straight line, limited as any step is (``DEVpred`` and ``DEVpnjlim``). The equations of that iteration
are linear. Some current into every node therefore brings their solution to any voltages, however far diodes have to
turn. The tangents of the second iteration are taken there, and its error is of the order of the estimate's, squared.

ngspice takes a point for settled when two iterations agree, and tells the voltages of the first of the two. That shall
not be the one which was led: a node that nothing else touches has another voltage in it, so that the second iteration
is the earliest to be told. A wrong estimate, or an ngspice that begins elsewhere, changes how many iterations there
are, and not what they end at.
"""

from functools import lru_cache

import numpy as np

from harness.circuit import SettlingJob, Topology
from harness.circuit.reduction.linear import incidence
from harness.devices.diode import JunctionLaw
from harness.measurement import Array


def leads(settling: SettlingJob, estimate: Array) -> Array:
    """Return the currents into unknowns that the first iterations see besides, A, ``[points, n]``.

    Points are phases within samples. `estimate` (V, ``[batch, phases, n]``) says where they are expected. All devices
    are diodes.
    """
    topology, phases = settling.network.topology, settling.phases
    rails = np.stack([phase.rails for phase in phases], axis=1)
    volts = np.concatenate([estimate, rails], axis=2).reshape(len(settling) * len(phases), -1)
    diodes, (flows, drops) = topology.diodes, _ends(topology)
    law, over = diodes.law, volts[:, diodes.anode] - volts[:, diodes.cathode]
    begin = begins(law, over)
    current, slope = law.current_and_slope(begin)
    through, _ = law.current_and_slope(over)
    found = (current + slope * (over - begin) - through) @ flows
    springs = np.tile([phase.spring for phase in phases], len(settling))
    if not springs.any():
        return np.asarray(found)
    drop = volts[:, topology.plus] - volts[:, topology.minus]
    # a spring is a product of two voltages, which ngspice linearizes where the point before has left them
    missing = np.diff(springs, prepend=0.0)[:, None] * np.diff(drop, axis=0, prepend=0.0)
    return np.asarray(found - missing @ drops)


def begins(law: JunctionLaw, over: Array) -> Array:
    """Return where the tangents of each point's first iteration are taken, V, ``[points, diodes]``.

    `over` is where the points end, V, likewise.
    """
    found = np.empty_like(over)
    found[0] = law.scale * np.log(law.scale / (np.sqrt(2) * law.saturation))
    found[1:2] = over[:1]
    found[2:] = _limited(law, 2 * over[1:-1] - over[:-2], over[1:-1], found[0])
    return found


def _limited(law: JunctionLaw, new: Array, old: Array, critical: Array) -> Array:
    """Return voltages (V) as ``DEVpnjlim`` limits them, which limits large steps backwards, too."""
    backwards = np.where(old > 0, -old - 1, 2 * old - 1)
    limited = np.where(new < 0, np.maximum(new, backwards), new)
    at = np.nonzero((new > critical) & (np.abs(new - old) > 2 * law.scale))
    scale, old, new = np.broadcast_to(law.scale, old.shape)[at], old[at], new[at]
    steps = (new - old) / scale
    grown = np.where(steps > 0, 2 + np.log(np.maximum(steps - 2, 1e-300)), -2 - np.log(2 + np.abs(steps)))
    limited[at] = np.where(old > 0, old + scale * grown, scale * np.log(new / scale))
    return limited


@lru_cache(maxsize=8)
def _ends(topology: Topology) -> tuple[Array, Array]:
    """Return incidences of diodes and of outputs, ``[·, n]``."""
    diodes, size = topology.diodes, topology.size
    return incidence(size, diodes.anode, diodes.cathode), topology.drops[0]
