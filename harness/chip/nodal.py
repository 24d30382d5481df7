"""The nodal chip: Newton's method on the reduced circuit in NumPy, batched over samples.

The reference that ngspice is compared with, an oracle for gradients, and a fast preview. It solves the diode law that
ngspice solves (`harness.devices.diode`) and limits junction voltages from step to step as SPICE does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.chip.base import ProgrammedArrays, check_drives
from harness.circuit import Circuit, ReducedCircuit, Reduction
from harness.devices.diode import THERMAL_VOLTAGE, current_and_slope
from harness.errors import ChipError, ConvergenceError
from harness.measurement import Array, Conductances, Drive, Index, Injection, Reading, Spring

MAX_ITERATIONS = 200


class NodalChip:
    """A `Chip` solved by Newton's method; no simulator needed.

    `tolerance` (V) bounds the last Newton step. Convergence is quadratic there, so the error that is left is of the
    order of its square over N V_T.
    """

    def __init__(self, circuit: Circuit, *, tolerance: float = 1e-8) -> None:
        self._arrays = ProgrammedArrays(circuit)
        self._reduction = Reduction(circuit)
        self._tolerance = tolerance
        # every cell closed: the split may depend on the topology only, for a cell that is open now may close later
        self._split = _Split.of(self._reduction.reduce([np.full(c.shape, c.g_max) for c in circuit.crossbars]))

    @property
    def circuit(self) -> Circuit:  # noqa: D102 - said once, on the protocol
        return self._arrays.circuit

    @property
    def conductances(self) -> Conductances:  # noqa: D102
        return self._arrays.conductances

    @property
    def simulator_seconds(self) -> None:  # noqa: D102
        return None

    def program(self, conductances: Sequence[Array]) -> None:  # noqa: D102
        self._arrays.program(conductances)

    def adjust(self, wanted: Sequence[Array]) -> Conductances:  # noqa: D102
        return self._arrays.adjust(wanted)

    def close(self) -> None:  # noqa: D102
        pass

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:  # noqa: D102
        check_drives(self.circuit, drives)
        reduced = self._reduction.reduce(self.conductances)
        readings = []
        start = np.zeros((len(drives[0].inputs), reduced.size))
        for drive in drives:  # each phase starts from the one before: a nudge moves the state but a little
            start = self._settle(reduced, self._split, drive, start)
            nodes = reduced.node_voltages(start, drive.inputs)
            readings.append(Reading(reduced.output_voltages(nodes), nodes))
        return tuple(readings)

    def _settle(self, reduced: ReducedCircuit, split: "_Split", drive: Drive, start: Array) -> Array:
        network = _Network(reduced, split, drive)
        solved = start.copy()
        active = np.arange(len(start))
        junction = network.junction_voltages(solved, active)
        for _ in range(MAX_ITERATIONS):
            try:
                new = network.newton(junction, active)
            except np.linalg.LinAlgError as error:
                raise ChipError(f"{drive.phase} phase: the equations are singular in floating point") from error
            reached = network.junction_voltages(new, active)
            limited = network.limit(reached, junction)
            step = np.abs(new - solved[active]).max(axis=1, initial=0.0)
            done = (step <= self._tolerance) & (limited == reached).all(axis=1)
            solved[active] = new
            active, junction = active[~done], limited[~done]
            if not len(active):
                return solved
        raise ConvergenceError(
            f"Newton's method did not settle within {MAX_ITERATIONS} iterations",
            sample=int(active[0]),
            phase=drive.phase,
        )


@dataclass(frozen=True, eq=False)
class _Split:
    """Unknowns in two groups: `alone` ones are joined by no conductance and no diode to each other.

    Newton's matrix is diagonal among them, so they are eliminated sample by sample at the price of a product, and
    only the `dense` rest is factored. A layered network leaves every second layer.
    """

    alone: Index
    dense: Index

    @staticmethod
    def of(reduced: ReducedCircuit) -> "_Split":
        joined = reduced.conductance != 0
        np.fill_diagonal(joined, False)
        diodes = reduced.diodes
        both = (diodes.anode < reduced.size) & (diodes.cathode < reduced.size)
        pairs = (reduced.plus < reduced.size) & (reduced.minus < reduced.size)
        barred = np.zeros(reduced.size, bool)  # kept in the dense group, whose entries may change from sample to sample
        for ends in (diodes.anode[both], diodes.cathode[both], reduced.plus[pairs], reduced.minus[pairs]):
            barred[ends] = True
        alone = np.zeros(reduced.size, bool)
        for node in np.argsort(joined.sum(axis=1), kind="stable"):
            if not barred[node] and not (joined[node] & alone).any():
                alone[node] = True
        return _Split(np.flatnonzero(alone), np.flatnonzero(~alone))


class _Network:
    """One reduced circuit under one drive, ready for Newton steps."""

    def __init__(self, reduced: ReducedCircuit, split: _Split, drive: Drive) -> None:
        self._alone, self._dense = split.alone, split.dense
        self._saturation = reduced.diodes.saturation
        self._scale = reduced.diodes.emission * THERMAL_VOLTAGE
        self._critical = self._scale * np.log(self._scale / (np.sqrt(2) * self._saturation))
        rails = reduced.rails(drive.inputs)
        self._anode, self._cathode = (
            _selection(reduced, ends) for ends in (reduced.diodes.anode, reduced.diodes.cathode)
        )
        self._over = self._anode - self._cathode
        self._held = _held_difference(reduced, rails, reduced.diodes.anode, reduced.diodes.cathode)
        matrix, self._current = _nudged(reduced, rails, drive)
        self._own = np.diagonal(matrix)[self._alone]
        self._across = np.ascontiguousarray(matrix[np.ix_(self._alone, self._dense)])
        self._rest = matrix[np.ix_(self._dense, self._dense)]
        self._bridges = self._over[:, self._dense]
        self._bridges = self._bridges * (np.abs(self._bridges).sum(axis=1) == 2)[:, None]

    def junction_voltages(self, solved: Array, samples: Index) -> Array:
        """V over each diode, ``[samples, diodes]``, for unknowns (V, ``[samples, n]``)."""
        return solved @ self._over.T + self._held[samples]

    def newton(self, junction: Array, samples: Index) -> Array:
        """Unknowns (V, ``[samples, n]``) of the circuit with every diode replaced by its tangent at `junction` (V)."""
        current, slope = current_and_slope(junction, self._saturation, self._scale)
        offset = current + slope * (self._held[samples] - junction)  # A through the diode at zero free voltage
        drive = self._current[samples] - offset @ self._over
        load = slope @ (self._anode + self._cathode)
        own = self._own + load[:, self._alone]
        across = self._across
        weighted = across.T / own[:, None, :]
        dense = len(self._dense)
        product = weighted.reshape(len(own) * dense, len(self._alone)) @ across
        matrix = self._rest - product.reshape(len(own), dense, dense)
        matrix[:, np.arange(dense), np.arange(dense)] += load[:, self._dense]
        for bridge in np.flatnonzero(self._bridges.any(axis=1)):
            a, b = np.flatnonzero(self._bridges[bridge])
            matrix[:, a, b] -= slope[:, bridge]
            matrix[:, b, a] -= slope[:, bridge]
        right = drive[:, self._dense] - (drive[:, self._alone] / own) @ across
        solved = np.empty_like(drive)
        solved[:, self._dense] = np.linalg.solve(matrix, right[:, :, None])[:, :, 0]
        solved[:, self._alone] = (drive[:, self._alone] - solved[:, self._dense] @ across.T) / own
        return solved

    def limit(self, new: Array, old: Array) -> Array:
        """Junction voltages (V) at most a logarithmic step above the old ones, as SPICE's ``pnjlim`` does."""
        scale = self._scale
        large = (new > self._critical) & (np.abs(new - old) > 2 * scale)
        if not large.any():
            return new
        grown = 1 + (new - old) / scale
        from_on = np.where(grown > 0, old + scale * np.log(np.maximum(grown, 1e-300)), self._critical)
        from_off = scale * np.log(np.maximum(new, 1e-300) / scale)
        return np.where(large, np.where(old > 0, from_on, from_off), new)


def _nudged(reduced: ReducedCircuit, rails: Array, drive: Drive) -> tuple[Array, Array]:
    """Conductance matrix (S, ``[n, n]``) and currents (A, ``[batch, n]``) with the drive's nudge."""
    matrix, current = reduced.conductance, reduced.currents(drive.inputs)
    drop = _selection(reduced, reduced.plus) - _selection(reduced, reduced.minus)
    match drive.nudge:
        case Spring(conductance=beta, targets=targets):
            held = _held_difference(reduced, rails, reduced.plus, reduced.minus)
            wanted = targets / reduced.output_scale - held
            return matrix + beta * drop.T @ drop, current + beta * wanted @ drop
        case Injection(current=amperes):
            return matrix, current + amperes / reduced.output_scale @ drop
    return matrix, current


def _selection(reduced: ReducedCircuit, terminals: Index) -> Array:
    """A one at each terminal's unknown, ``[terminals, n]``; a rail's row is empty."""
    return np.eye(reduced.size + len(reduced.rail))[terminals, : reduced.size]


def _held_difference(reduced: ReducedCircuit, rails: Array, first: Index, second: Index) -> Array:
    """The part of v(first) − v(second) that rails hold (V, ``[batch, pairs]``)."""
    terminals = np.concatenate([np.zeros((len(rails), reduced.size)), rails], axis=1)
    return terminals[:, first] - terminals[:, second]
