"""The chips that ngspice simulates: the reduced circuit, and the full netlist as its witness or where it must be."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Unpack

import numpy as np
from typing_extensions import override

from harness.chip.base import SIMULATED, SimulatedChip, SimulationOptions
from harness.chip.ngspice.choosing import MeasuredSimulators
from harness.chip.ngspice.session import BatchDeck, Session, Unsettled, open_session
from harness.chip.ngspice.worker import OneSimulator, Settled, Simulators
from harness.chip.reduced import ReducedChip
from harness.circuit import Circuit, ReducedCircuit, Reduction
from harness.circuit.linearized import linearized
from harness.errors import ConvergenceError
from harness.measurement import Array, Capabilities, Clamp, Drive, Reading
from harness.netlist.decks import full, full_batch, oscillating
from harness.netlist.tolerances import Tolerances

CHUNK = 32
"""Samples per sweep. Each point starts from the one before it: what a sample reads must depend neither on how many
samples are asked for beyond its chunk, nor on how many workers share them."""

_NEIGHBOURS = 5
"""Times ngspice's relative bound by which a sample's voltages depend on its neighbours in a chunk, measured."""


def _capabilities(tolerances: Tolerances | None) -> Capabilities:
    bounds = tolerances or Tolerances()
    return replace(SIMULATED, tolerance=_NEIGHBOURS * bounds.reltol + bounds.vntol, simulator="ngspice")


class NgspiceChip(ReducedChip):
    """A `Chip` that ngspice solves: reduced exactly, chunks of a batch with all their phases each in one sweep.

    Args:
        circuit: the full circuit.
        tolerances: ngspice's convergence bounds.
        simulators: what settles the chunks; the ngspice of this process if none is given.
        chunk: samples per sweep; the results' last bits depend on it, and on nothing else about `simulators`.
        options: see `SimulatedChip`.

    Raises:
        NgspiceMissing: libngspice cannot be loaded.
    """

    def __init__(
        self,
        circuit: Circuit,
        *,
        tolerances: Tolerances | None = None,
        simulators: Simulators | None = None,
        chunk: int = CHUNK,
        **options: Unpack[SimulationOptions],
    ) -> None:
        super().__init__(circuit, Reduction(circuit), _capabilities(tolerances), **options)
        self._simulators = simulators or OneSimulator(tolerances or Tolerances())
        self._chunk = chunk
        self.work = Work()

    @property
    def workers(self) -> int:
        """Number of simulators that settle at the same time."""
        return self._simulators.workers

    @property
    def sharing(self) -> str | None:
        """See `harness.chip.metering.sharing_of`."""
        return str(self._simulators.sharing) if isinstance(self._simulators, MeasuredSimulators) else None

    @property
    @override
    def simulator_seconds(self) -> float:
        return self.work.elapsed

    @override
    def close(self) -> None:
        self._simulators.close()

    @override
    def _alike(self, drive: Drive) -> tuple[object, ...]:
        """Return what is the same for all drives of one sweep: its deck has diodes or slopes, clamps or none."""
        return *super()._alike(drive), drive.frequency, drive.about is None, isinstance(drive.nudge, Clamp)

    @override
    def _solve(self, reduced: ReducedCircuit, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        settling = reduced.settling(drives)
        if not reduced.size:  # sources hold every node
            return reduced.readings(np.zeros((len(settling), len(drives), 0)), drives)
        starts = range(0, len(settling), self._chunk)
        jobs = [settling] if len(starts) == 1 else [settling.rows(slice(s, s + self._chunk)) for s in starts]
        try:
            settled = self._simulators.settle(jobs)
        except ConvergenceError as error:
            raise error.in_batch(starts[error.settling]) from error
        self.work = self.work.and_of(settled, self._simulators.workers)
        if again := sum([part.sparse_sweeps for part in settled]):
            self.ledger = self.ledger.plus(sparse_sweeps=again)
        if len(settled) == 1:
            return reduced.readings(settled[0].solved, drives)
        nothing = np.zeros((0, len(drives), reduced.size))
        return reduced.readings(np.concatenate([nothing, *(part.solved for part in settled)]), drives)


@dataclass(frozen=True)
class Work:
    """Totals of the work that a chip's simulators have done so far."""

    points: int = 0
    """Operating points that were wanted."""
    iterations: int = 0
    """Newton iterations."""
    seconds: float = 0.0
    """Inside analyses, s, over all simulators."""
    elapsed: float = 0.0
    """The same, s, shared evenly by the simulators that had something to do."""
    peak_mb: float = 0.0
    """Largest resident memory of any simulator's process, MB (10⁶ bytes)."""

    def and_of(self, settled: Sequence[Settled], workers: int) -> "Work":
        """Return the totals with those of some settlings added, which `workers` simulators shared."""
        points, iterations, seconds, peak = self.points, self.iterations, 0.0, self.peak_mb
        for part in settled:
            points += math.prod(part.solved.shape[:2])
            iterations += part.iterations
            seconds += part.seconds
            peak = max(peak, part.peak_mb)
        elapsed = self.elapsed + seconds / max(1, min(workers, len(settled)))
        return Work(points, iterations, self.seconds + seconds, elapsed, peak)


class FullNetlistChip(SimulatedChip):
    """A `Chip` that ngspice solves without any reduction: one full netlist per sample and phase. Slow; a witness."""

    def __init__(
        self, circuit: Circuit, *, tolerances: Tolerances | None = None, **options: Unpack[SimulationOptions]
    ) -> None:
        able = replace(_capabilities(tolerances), adjoint=False, reversal=False, node_currents=False)
        super().__init__(circuit, able, **options)
        self._tolerances = tolerances or Tolerances()
        self._session: Session = open_session()
        self._vectors = tuple(f"v({node.lower()})" for node in circuit.nodes)

    @property
    @override
    def simulator_seconds(self) -> float:
        return self._session.analysis_seconds

    @override
    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        circuit = self.circuit.with_conductances(self.conductances)
        return tuple(self._settle_each(circuit, drive) for drive in drives)

    @override
    def _bears(self, beta: float) -> bool:
        return self._states.bears(beta)

    def _settle_each(self, circuit: Circuit, drive: Drive) -> Reading:
        nodes = np.zeros((len(drive.inputs), len(circuit.nodes)))
        for sample in range(len(nodes)):
            if drive.frequency is not None:
                nodes[sample] = self._oscillated(circuit, drive, sample, drive.frequency)
                continue
            shown = circuit if drive.about is None else _about(circuit, drive, drive.about, sample)
            lines = full.operating_point_lines(shown, drive, sample, self._tolerances)
            try:
                nodes[sample] = self._swept(BatchDeck(tuple(lines), full.SWEPT, 1, self._vectors))[0]
            except Unsettled as stop:
                raise stop.at(sample, drive.phase) from stop
        return Reading(circuit.outputs_of(nodes), nodes)

    def _oscillated(self, circuit: Circuit, drive: Drive, sample: int, frequency: float) -> Array:
        """Return the parts of one sample's small signals that are in phase with the nudge, V, ``[nodes]``."""
        farads = np.zeros(len(circuit.nodes)) if self.farads is None else self.farads
        lines = oscillating.full_lines(circuit, drive, sample, farads, self._tolerances)
        try:
            found = self._session.oscillate(lines, self._vectors, frequency, [[]])
        except Unsettled as stop:
            raise stop.at(sample, drive.phase) from stop
        self.ledger = self.ledger.plus(sparse_sweeps=int(found.again))
        return np.asarray(found.volts[0].real)

    def _swept(self, deck: BatchDeck) -> Array:
        found = self._session.measured_batch(deck)
        self.ledger = self.ledger.plus(sparse_sweeps=int(found.again))
        return found.volts


def _about(circuit: Circuit, drive: Drive, about: Reading, sample: int) -> Circuit:
    """Return the circuit as small signals about a sample's operating point see it."""
    return linearized(circuit, about.all_nodes[sample], ideal=drive.ideal)


class FullBatchChip(FullNetlistChip):
    """A `Chip` that ngspice solves without any reduction, chunks of a batch with all their phases each in one sweep.

    For circuits that cannot be reduced (cells with a curve), many times faster than one netlist per phase; small-signal
    phases have a netlist per sample. It settles in this process. `chunk` as in `NgspiceChip`.
    """

    def __init__(
        self,
        circuit: Circuit,
        *,
        tolerances: Tolerances | None = None,
        chunk: int = CHUNK,
        **options: Unpack[SimulationOptions],
    ) -> None:
        super().__init__(circuit, tolerances=tolerances, **options)
        self._chunk = chunk

    @override
    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        circuit = self.circuit.with_conductances(self.conductances)
        readings: list[Reading] = []
        for (still, _), group in groupby(
            drives, lambda drive: (drive.about is not None, isinstance(drive.nudge, Clamp))
        ):
            alike = list(group)
            readings += [self._settle_each(circuit, d) for d in alike] if still else self._sweep(circuit, alike)
        return tuple(readings)

    def _sweep(self, circuit: Circuit, drives: Sequence[Drive]) -> Iterator[Reading]:
        samples = len(drives[0].inputs)
        nodes = np.zeros((samples, len(drives), len(circuit.nodes)))
        for first in range(0, samples, self._chunk):
            chunk = slice(first, min(first + self._chunk, samples))
            nodes[chunk] = self._sweep_chunk(circuit, drives, chunk).reshape(-1, *nodes.shape[1:])
        return (Reading(circuit.outputs_of(nodes[:, k]), nodes[:, k]) for k in range(len(drives)))

    def _sweep_chunk(self, circuit: Circuit, drives: Sequence[Drive], chunk: slice) -> Array:
        """Return the voltage of every node, V, ``[points, nodes]``."""
        lines = full_batch.full_batch_lines(circuit, drives, chunk, self._tolerances)
        points = len(drives) * (chunk.stop - chunk.start)
        deck = BatchDeck(tuple(lines), full.SWEPT, points, self._vectors, full_batch.STEP)
        try:
            return self._swept(deck)
        except Unsettled as stop:
            sample, phase = divmod(stop.point, len(drives))
            raise stop.at(chunk.start + sample, drives[phase].phase) from stop
