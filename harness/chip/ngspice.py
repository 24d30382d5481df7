"""The chips that ngspice simulates: the reduced circuit for training, the full netlist as its witness."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.chip.base import ProgrammedArrays, check_drives
from harness.chip.session import Session, SweepDeck, Unsettled, open_session
from harness.circuit import Circuit, ReducedCircuit, Reduction
from harness.errors import ConvergenceError
from harness.measurement import Array, Conductances, Drive, Injection, Nudge, Reading, Spring
from harness.netlist import full, sweep
from harness.netlist.settings import Tolerances

CHUNK = 64
"""Samples per sweep. Fixed, because each point starts from the one before it: what a sample reads must not depend on
how many samples happened to be asked for together beyond its chunk."""


class NgspiceChip:
    """A `Chip` that ngspice solves: reduced exactly, a batch with all its phases in one sweep.

    Raises:
        NgspiceMissing: libngspice cannot be loaded.
    """

    def __init__(self, circuit: Circuit, *, tolerances: Tolerances | None = None) -> None:
        self._arrays = ProgrammedArrays(circuit)
        self._reduction = Reduction(circuit)
        self._tolerances = tolerances or Tolerances()
        self._session = open_session()

    @property
    def circuit(self) -> Circuit:  # noqa: D102 - said once, on the protocol
        return self._arrays.circuit

    @property
    def conductances(self) -> Conductances:  # noqa: D102
        return self._arrays.conductances

    @property
    def simulator_seconds(self) -> float:  # noqa: D102
        return self._session.analysis_seconds

    def program(self, conductances: Sequence[Array]) -> None:  # noqa: D102
        self._arrays.program(conductances)

    def adjust(self, wanted: Sequence[Array]) -> Conductances:  # noqa: D102
        return self._arrays.adjust(wanted)

    def close(self) -> None:  # noqa: D102 - the session belongs to the process
        pass

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:  # noqa: D102
        check_drives(self.circuit, drives)
        reduced = self._reduction.reduce(self.conductances)
        samples = len(drives[0].inputs)
        starts = range(0, samples, CHUNK)
        parts = [self._sweep(reduced, [_rows(d, s, s + CHUNK) for d in drives], s) for s in starts]
        solved = np.concatenate([np.zeros((0, len(drives), reduced.size)), *parts])
        return tuple(_reading(reduced, solved[:, d], drive) for d, drive in enumerate(drives))

    def _sweep(self, reduced: ReducedCircuit, drives: Sequence[Drive], first: int) -> Array:
        """Unknowns (V, ``[samples, drives, n]``) of one chunk."""
        samples = len(drives[0].inputs)
        lines = sweep.sweep_lines(reduced, drives, self._tolerances, klu=self._session.has_klu)
        vectors = tuple(f"v({sweep.node_name(k)})" for k in range(reduced.size))
        deck = SweepDeck(tuple(lines), sweep.SOURCE, samples * len(drives), vectors)
        try:
            return self._session.sweep(deck).reshape(samples, len(drives), reduced.size)
        except Unsettled as stop:
            sample, phase = divmod(stop.point, len(drives))
            raise _convergence_error(stop, first + sample, drives[phase]) from stop


class FullNetlistChip:
    """A `Chip` that ngspice solves without any reduction: one full netlist per sample and phase. Slow; a witness."""

    def __init__(self, circuit: Circuit, *, tolerances: Tolerances | None = None) -> None:
        self._arrays = ProgrammedArrays(circuit)
        self._tolerances = tolerances or Tolerances()
        self._session: Session = open_session()

    @property
    def circuit(self) -> Circuit:  # noqa: D102
        return self._arrays.circuit

    @property
    def conductances(self) -> Conductances:  # noqa: D102
        return self._arrays.conductances

    @property
    def simulator_seconds(self) -> float:  # noqa: D102
        return self._session.analysis_seconds

    def program(self, conductances: Sequence[Array]) -> None:  # noqa: D102
        self._arrays.program(conductances)

    def adjust(self, wanted: Sequence[Array]) -> Conductances:  # noqa: D102
        return self._arrays.adjust(wanted)

    def close(self) -> None:  # noqa: D102
        pass

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:  # noqa: D102
        check_drives(self.circuit, drives)
        circuit = self.circuit.with_conductances(self.conductances)
        return tuple(self._settle(circuit, drive) for drive in drives)

    def _settle(self, circuit: Circuit, drive: Drive) -> Reading:
        nodes = np.zeros((len(drive.inputs), len(circuit.nodes)))
        vectors = tuple(f"v({node.lower()})" for node in circuit.nodes)
        for sample in range(len(nodes)):
            lines = full.operating_point_lines(circuit, drive, sample, self._tolerances, klu=self._session.has_klu)
            try:
                nodes[sample] = self._session.sweep(SweepDeck(tuple(lines), full.SWEPT, 1, vectors))[0]
            except Unsettled as stop:
                raise _convergence_error(stop, sample, drive) from stop
        ground = np.zeros(len(nodes))
        columns = {node: nodes[:, k] for k, node in enumerate(circuit.nodes)}
        drops = [columns[o.plus] - columns.get(o.minus, ground) for o in circuit.outputs]
        return Reading(np.column_stack(drops), nodes)


def _reading(reduced: ReducedCircuit, solved: Array, drive: Drive) -> Reading:
    nodes = reduced.node_voltages(solved, drive.inputs)
    return Reading(reduced.output_voltages(nodes), nodes)


def _rows(drive: Drive, start: int, stop: int) -> Drive:
    """The drive for some of its samples."""
    if start == 0 and stop >= len(drive.inputs):
        return drive
    nudge: Nudge | None = None
    match drive.nudge:
        case Spring(conductance=beta, targets=targets):
            nudge = Spring(beta, targets[start:stop])
        case Injection(current=amperes):
            nudge = Injection(amperes[start:stop])
    return replace(drive, inputs=drive.inputs[start:stop], nudge=nudge)


def _convergence_error(stop: Unsettled, sample: int, drive: Drive) -> ConvergenceError:
    return ConvergenceError(
        "ngspice found no operating point", sample=sample, phase=drive.phase, log=stop.log, deck=stop.deck
    )
