"""One ngspice at work: a settling in, voltages out.

The chip itself, the processes of a pool and the workers of a cluster all run `settle_in_ngspice`, so that where a
chunk of samples is settled never shows in its voltages.
"""

import math
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from typing_extensions import override

from harness.chip.ngspice.session import Unsettled, open_session
from harness.chip.nodal import newton, samplewise
from harness.circuit import SettlingJob
from harness.errors import ChipError
from harness.measurement import Array
from harness.netlist.decks import batch, oscillating
from harness.netlist.tolerances import Tolerances

_ESTIMATE = 1e-6  # V, of the last Newton step; quadratic convergence makes a far smaller error of it
_LEAST_SIZE = 40
"""Unknowns from which on points are always led to where they are expected: with 120, that saves more than half."""
_LEAST_JUNCTIONS = 1_000
"""Diodes times points from which on it pays in smaller networks: with 20 diodes nothing is saved up to 30 points."""
_PEAK_SECONDS = 1.0
_peak = [0.0, -math.inf]
"""Largest resident memory of this process, MB, and when it was asked for, s."""


@dataclass(frozen=True, eq=False)
class Settled:
    """Unknowns that ngspice found, and what finding them took."""

    solved: Array
    """V, ``[batch, phases, n]``."""
    seconds: float
    """Inside ngspice's analysis, s."""
    iterations: int
    """Newton iterations of ngspice, over all points."""
    peak_mb: float
    """Largest resident memory of the process so far, MB (10⁶ bytes)."""
    sparse_sweeps: int
    """1 where KLU found no solution and Sparse 1.3 did the sweep again, else 0."""


class Simulators(Protocol):
    """One ngspice or many, here or elsewhere."""

    workers: int
    """Number of simulators that settle at the same time."""

    def settle(self, settlings: Sequence[SettlingJob]) -> list[Settled]:
        """Settle every job, in any order; results come in the order given.

        Raises:
            ConvergenceError: a sample did not settle; `sample` counts within its settling, `settling` says which.
            ChipError: a simulator failed.
        """

    def close(self) -> None:
        """End every process that was started."""


class OneSimulator(Simulators):
    """The ngspice of this process.

    Raises:
        NgspiceMissing: libngspice cannot be loaded.
    """

    workers = 1

    def __init__(self, tolerances: Tolerances) -> None:
        self._tolerances = tolerances
        open_session()

    @override
    def settle(self, settlings: Sequence[SettlingJob]) -> list[Settled]:
        led = led_together(settlings)
        return [settle_in_ngspice(settling, self._tolerances, k, led=led) for k, settling in enumerate(settlings)]

    @override
    def close(self) -> None:
        pass


def led_together(settlings: Sequence[SettlingJob]) -> bool:
    """Return whether ngspice is led to the operating points of chunks of a batch, all of them, or of none.

    The first chunk decides, which is the largest: all have one circuit then, which stays loaded. ngspice does as well
    without where it has little to do, and it is not led without diodes, nor where there are other devices besides,
    whose first tangents are not known.
    """
    if not settlings or settlings[0].phases[0].slopes is not None:
        return False
    network, points = settlings[0].network, len(settlings[0]) * len(settlings[0].phases)
    diodes, devices = len(network.topology.diodes.emission), network.topology.others
    if not diodes or devices:
        return False
    return network.size >= _LEAST_SIZE or (samplewise.suits(network.topology) and diodes * points >= _LEAST_JUNCTIONS)


def settle_in_ngspice(settling: SettlingJob, tolerances: Tolerances, number: int = 0, *, led: bool) -> Settled:
    """Settle every phase of every sample in one sweep; errors say the settling's `number`.

    Where phases oscillate, all of them do so at one frequency, and each point is an analysis of its own. `led` is what
    `led_together` says.

    Raises:
        NgspiceMissing: libngspice cannot be loaded.
        ConvergenceError: ngspice found no operating point; names sample and phase.
        SimulatorError: ngspice refused the deck or answered something unusable.
    """
    if settling.phases[0].oscillation is not None:
        return _oscillated(settling, tolerances, number)
    session = open_session()
    estimate = _estimate(settling) if led else None
    circuit, gains, table = batch.batch_sweep(settling, tolerances, estimate=estimate)
    samples, size, points = len(settling), settling.network.size, len(settling.phases)
    try:
        found = session.sweep(circuit, gains, table)
    except Unsettled as stop:
        sample, point = divmod(stop.point, points)
        raise stop.at(sample, settling.phases[point].name, number) from stop
    solved = found.volts.reshape(samples, points, size)
    return Settled(solved, found.seconds, found.iterations, _recent_peak(), int(found.again))


def _oscillated(settling: SettlingJob, tolerances: Tolerances, number: int) -> Settled:
    """Return the parts of small signals that are in phase with the nudge, as `settle_in_ngspice` does."""
    phases, lines = settling.phases, oscillating.reduced_lines(settling, tolerances)
    frequency = phases[0].oscillation.frequency if phases[0].oscillation else 0.0
    vectors = oscillating.vectors(settling)
    try:
        found = open_session().oscillate(lines, vectors, frequency, oscillating.alterations(settling))
    except Unsettled as stop:
        sample, phase = divmod(stop.point, len(phases))
        raise stop.at(sample, phases[phase].name, number) from stop
    solved = np.ascontiguousarray(found.volts.real).reshape(len(settling), len(phases), settling.network.size)
    return Settled(solved, found.seconds, found.iterations, _recent_peak(), int(found.again))


def _recent_peak() -> float:
    """Largest resident memory of this process, MB, as of at most a second ago: to ask takes time."""
    now = time.monotonic()
    if now - _peak[1] > _PEAK_SECONDS:
        _peak[:] = peak_megabytes(), now
    return _peak[0]


def peak_megabytes() -> float:
    """Largest resident memory of this process so far, MB (10⁶ bytes).

    Linux counts the memory of the process that started this one into ``ru_maxrss``, but not into ``VmHWM``.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        kib = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
        return 1024e-6 * int(kib)
    unit = 1 if sys.platform == "darwin" else 1024
    return 1e-6 * unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _estimate(settling: SettlingJob) -> Array | None:
    """Estimate where the phases will settle (V, ``[batch, phases, n]``), which is where ngspice is led to.

    None where Newton's method fails.
    """
    try:
        found = newton.settle(settling, _ESTIMATE)
    except ChipError:
        return None
    return found if np.isfinite(found).all() else None
