"""The unreduced nodal chip: every cell, line and diode of the full circuit, solved by Newton's method.

It settles what cannot be reduced, cells whose current is not proportional to their voltage, and witnesses what can.
Nonlinear cells are taken at the voltage that they have: towards the zero of a sum of sinh, which is a sinh itself, no
step is longer than V₀. Junctions are taken at a voltage that rises as SPICE lets it rise. Steps that do not shrink
after many iterations are damped. Samples that do not settle so are solved by `harness.chip.nodal.continuation`.

Small circuits are solved as a stack of dense matrices, a block of samples at a time, in which unknowns that nothing
joins to each other are eliminated first. Large ones (crossbars with resistance in their lines) are solved sample by
sample; a factorisation is kept, into the next phase too, for as long as it makes the steps shrink.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Unpack

import numpy as np
from scipy.sparse import csc_matrix, diags
from scipy.sparse.linalg import splu
from typing_extensions import override

from harness.chip.base import SIMULATED, SimulatedChip, SimulationOptions
from harness.chip.nodal.continuation import Sample
from harness.chip.nodal.jacobians import Border, Jacobian, Logical, Sparse, eliminating, unjoined
from harness.circuit import Circuit
from harness.circuit.branches import Branches, Equations
from harness.circuit.linearized import shorts_and_opens
from harness.errors import ChipError, ConvergenceError
from harness.measurement import Array, Clamp, Conductances, Drive, Index, Injection, Reading, Spring

TOLERANCE = 1e-7
"""V of the last Newton step."""
MAX_ITERATIONS = 300
_UNDAMPED = 40  # iterations
_SLOW = 0.5  # step per last step, above which late steps are damped
_DENSE = 100_000  # unknowns of which those that are joined to others are looked for
_FULL = 0.25  # of the entries of what is left then: a dense matrix is faster
_FEW = 32  # unknowns that are left: the same
_BLOCK = 2**17  # numbers in the branches or matrices of one block of samples
_SHRINKING = 0.2  # step per last step, with which an old factorisation is good enough
_STALE = 1e-3  # of the tolerance, for a step of an old factorisation


class UnreducedNodalChip(SimulatedChip):
    """A `Chip` of any circuit, nonlinear cells included; no simulator needed.

    `tolerance` (V) bounds the last Newton step; the error that is left is of the order of its square over N V_T or V₀.
    Other arguments are those of `SimulatedChip`.
    """

    def __init__(self, circuit: Circuit, *, tolerance: float = TOLERANCE, **options: Unpack[SimulationOptions]) -> None:
        able = replace(SIMULATED, tolerance=tolerance, reversal=False, node_currents=False)
        super().__init__(circuit, able, **options)
        self._branches = Branches(circuit)
        self._tolerance = tolerance
        self._last: tuple[Conductances, _Solver] | None = None

    @override
    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        if self._last is None or self._last[0] is not self.conductances:
            before = None if self._last is None else self._last[1].structure
            self._last = self.conductances, _Solver(self._branches.programmed(self.conductances), self.farads, before)
        solver = self._last[1]
        phases = [_Phase(solver.equations, drive) for drive in drives]
        samples, nodes = len(drives[0].inputs), len(self.circuit.nodes)
        found = np.zeros((len(drives), nodes + 1, samples))
        for rows in _blocks(samples, solver.structure.block):
            solver.settle_block(phases, rows, self._tolerance, found[:, :, rows])
        return tuple(self._reading(volts) for volts in found)

    @override
    def _bears(self, beta: float) -> bool:
        return self._states.bears(beta)

    def _reading(self, volts: Array) -> Reading:
        outputs = volts[self._branches.plus] - volts[self._branches.minus]
        return Reading(np.ascontiguousarray(outputs.T), np.ascontiguousarray(volts[:-1].T))


def _blocks(samples: int, block: int) -> Iterator[slice]:
    return (slice(first, min(first + block, samples)) for first in range(0, samples, block))


class _Phase:
    """One drive as currents, springs and clamps of the equations; arrays have the batch last."""

    def __init__(self, equations: Equations, drive: Drive) -> None:
        branches = equations.branches
        self.name, self.about, self.frequency, self.ideal = drive.phase, drive.about, drive.frequency, drive.ideal
        batch = len(drive.inputs)
        still = drive.about is not None
        self.held = np.zeros((branches.rise.shape[0], batch)) if still else branches.held(drive.inputs)
        self.over = self.held[branches.above] - self.held[branches.below]
        """V that the current of every branch follows where the unknowns are 0, ``[branches, batch]``."""
        push = branches.into[:, branches.plus] - branches.into[:, branches.minus]
        drop = branches.rise[branches.plus] - branches.rise[branches.minus]
        ends = (drop.T.tocsr(), push.T.tocsr()) if drive.adjoint else (push.tocsr(), drop.tocsr())
        self.border = Border(*ends, drive.adjoint)
        base = self.held[branches.plus] - self.held[branches.minus]
        self.spring = 0.0
        self.wanted: Array | None = None
        """V that is left for the unknowns where outputs are clamped, ``[outputs, batch]``."""
        amperes = np.zeros((len(branches.plus), batch))
        match drive.nudge:
            case Spring(conductance=beta, targets=targets):
                self.spring, amperes = beta, beta * (targets.T - base)
            case Injection(current=current):
                amperes = current.T
            case Clamp(volts=volts):
                self.wanted = volts.T - base
        self.current: Array = self.border.push @ amperes
        if not still:
            self.current += branches.into @ (equations.sources[:, None] - equations.linear @ self.held)


class _Structure:
    """The places of the Jacobian's entries, and what solves with them; conductances decide the values only."""

    def __init__(self, branches: Branches, fixed: Index) -> None:
        """`fixed` are the places of the linear parts' entries, row + n · column, with repetitions."""
        size, outputs = branches.size, _sprung(branches)
        springs = outputs.row.astype(np.intp) + size * outputs.col.astype(np.intp)
        self.fixed, self.keys = fixed, np.unique(np.concatenate([fixed, springs, branches.places]))
        self.at, self.nonlinear = (np.searchsorted(self.keys, places) for places in (fixed, branches.places))
        """Numbers of the entries of linear parts and of branches."""
        self.spring = np.zeros(len(self.keys))
        """The entries that springs of 1 S at all outputs add."""
        np.add.at(self.spring, np.searchsorted(self.keys, springs), outputs.data)
        self.jacobian: Jacobian = Sparse(size, self.keys)
        self.block = 1
        """Samples that are solved together."""
        if size <= _DENSE:
            alone = unjoined(size, self.keys, _barred(branches))
            rest = int(np.count_nonzero(~alone))
            if rest <= _FEW or _FULL * rest**2 <= len(self.keys):
                self.jacobian = eliminating(size, self.keys, alone)
                self.block = max(1, _BLOCK // max(1, len(branches.first), self.jacobian.numbers))


def _sprung(branches: Branches) -> Any:
    """Return the matrix that springs of 1 S at all outputs add."""
    b = branches
    push, drop = b.into[:, b.plus] - b.into[:, b.minus], b.rise[b.plus] - b.rise[b.minus]
    return (push @ drop).tocoo()


def _barred(branches: Branches) -> Logical:
    """Outputs, which may be clamped, and transformers, whose equations have no diagonal, ``[n]``."""
    b = branches
    ends = np.concatenate([b.plus, b.minus])
    barred = np.arange(b.size) >= b.scaling.variables
    barred[b.scaling.variable[ends][b.scaling.unknown[ends]]] = True
    return barred


class _Solver:
    """Newton's method for one set of conductances."""

    def __init__(self, equations: Equations, farads: Array | None, last: _Structure | None = None) -> None:
        """A `last` structure, of other conductances, is taken where it fits."""
        self.equations, self.branches, self._farads = equations, equations.branches, farads
        self._linear = (self.branches.into @ equations.linear @ self.branches.rise).tocsr()
        matrix = self._linear.tocoo()
        fixed = matrix.row.astype(np.intp) + self.branches.size * matrix.col.astype(np.intp)
        same = last is not None and np.array_equal(last.fixed, fixed)
        self.structure = last if last is not None and same else _Structure(self.branches, fixed)
        self._jacobian = self.structure.jacobian
        self._base = np.zeros(len(self.structure.keys))
        np.add.at(self._base, self.structure.at, matrix.data)

    def settle_block(self, phases: Sequence[_Phase], rows: slice, tolerance: float, found: Array) -> None:
        """Node voltages (V) of some samples in all phases into `found`, ``[phases, nodes + ground, samples]``.

        Where one does not settle, each is settled for itself.
        """
        count = found.shape[2]
        self._jacobian.forget()
        start = np.zeros((self.branches.size, count))
        try:
            for phase, volts in zip(phases, found, strict=True):
                start = self._settle_phase(phase, rows, start, tolerance, volts)
        except ChipError:
            if count == 1:
                raise
            for k in range(count):
                self.settle_block(phases, slice(rows.start + k, rows.start + k + 1), tolerance, found[:, :, k : k + 1])

    def _settle_phase(self, phase: _Phase, rows: slice, start: Array, tolerance: float, volts: Array) -> Array:
        """Fill in node voltages (V) of some samples in one phase; return where the next phase starts (V)."""
        try:
            if phase.about is not None:
                volts[:] = self._small_signal(phase, phase.about.all_nodes, rows)[: len(volts)]
                return start
            try:
                start = self._newton(phase, rows, start, tolerance)
            except (ConvergenceError, np.linalg.LinAlgError):
                found = self._continued(phase, rows, tolerance) if volts.shape[1] == 1 else None
                if found is None:
                    raise
                start = found
                self._refuse_strain(phase, np.array([rows.start]), self.branches.drops @ start + phase.over[:, rows])
        except np.linalg.LinAlgError as error:
            raise ChipError(f"{phase.name} phase: the equations are singular in floating point") from error
        volts[:] = (self.branches.rise @ start + phase.held[:, rows])[: len(volts)]
        return start

    def _continued(self, phase: _Phase, rows: slice, tolerance: float) -> Array | None:
        """Return the unknowns of one sample, V, ``[n, 1]``; None where softer devices do not settle either."""
        if phase.spring < 0:
            return None
        branches, cells, border = self.branches, len(self.equations.siemens), phase.border
        linear = self._linear + phase.spring * (border.push @ border.drop)

        def through(volts: Array, softness: float) -> tuple[Array, Array]:
            column = volts[:, None]
            current, slope = self.equations.tangents(column, column[cells:], softness)
            return current[:, 0], slope[:, 0]

        scale = min((law.sharpest for _, law in branches.laws), default=np.inf)
        currents, over = phase.current[:, rows][:, 0], phase.over[:, rows][:, 0]
        sample = Sample(linear, currents, branches.incidence, branches.drops, over, through, scale)
        if phase.wanted is not None:
            sample = sample.clamped(border.push, border.drop, phase.wanted[:, rows][:, 0])
        found = sample.settled(tolerance, branches.scaling.variables)
        return None if found is None else found[: branches.size, None]

    def _small_signal(self, phase: _Phase, about: Array, rows: slice) -> Array:
        """Return the voltages by which nodes move about an operating point, V, ``[rows, samples]``.

        The operating point `about` is in V, ``[batch, nodes]``.
        """
        _, slopes = self.equations.through(self.branches.circuit.with_ground(about[rows]).T)
        if phase.ideal:
            cells, b = len(self.equations.siemens), self.branches
            ends = b.first[cells:], b.second[cells:]
            slopes[cells:] = shorts_and_opens(slopes[cells:].T, *ends, self.equations.beside()).T
        if phase.frequency is not None and self._farads is not None:
            return self._in_phase(phase, phase.frequency, self._entries(slopes, phase), rows)
        missing = None if phase.wanted is None else phase.wanted[:, rows]
        self._jacobian.forget()
        moved, _ = self._jacobian.step(
            partial(self._entries, slopes, phase), phase.border, phase.current[:, rows], missing
        )
        self._jacobian.forget()
        return np.asarray((self.branches.into.T if phase.border.adjoint else self.branches.rise) @ moved)

    def _in_phase(self, phase: _Phase, frequency: float, entries: Array, rows: slice) -> Array:
        """Return the part of an oscillation that is in phase with the nudge, as `_small_signal` does."""
        branches, farads = self.branches, np.zeros(self.branches.rise.shape[0])
        farads[: len(branches.circuit.nodes)] = self._farads
        admittance = 2j * np.pi * frequency * (branches.into @ diags(farads) @ branches.rise)
        columns, at = np.divmod(self.structure.keys, branches.size)
        moved = np.empty(phase.current[:, rows].shape)
        for sample, values in enumerate(entries.T):
            matrix = csc_matrix((values, (at, columns)), (branches.size,) * 2) + admittance
            factors = splu((matrix.T if phase.border.adjoint else matrix).tocsc())
            moved[:, sample] = factors.solve(phase.current[:, rows][:, sample].astype(complex)).real
        return np.asarray((branches.into.T if phase.border.adjoint else branches.rise) @ moved)

    def _newton(self, phase: _Phase, rows: slice, start: Array, tolerance: float) -> Array:
        """Unknowns (V, ``[n, samples]``) from a start of the same shape."""
        branches, cells = self.branches, len(self.equations.siemens)
        wanted = None if phase.wanted is None else phase.wanted[:, rows]
        over = phase.over[:, rows]
        volts = branches.drops @ start + over
        fixed = _Fixed(np.arange(start.shape[1]), over, phase.current[:, rows], wanted)
        junctions = volts[cells:] if start.any() else branches.limited(volts[cells:], 0 * volts[cells:])
        here = _Iterate(start, volts, junctions, np.full(start.shape[1], np.inf))
        solved = np.empty_like(start)
        for iteration in range(MAX_ITERATIONS):
            step, fresh = self._step(phase, fixed, here)
            size = np.abs(step[: branches.scaling.variables]).max(axis=0, initial=0.0)
            if iteration > _UNDAMPED:
                step *= np.where(size > _SLOW * here.size, 0.5, 1.0)
            x = here.x + step
            volts = branches.drops @ x + fixed.over
            reached = volts[cells:]
            junctions = branches.limited(reached, here.junctions)
            free = np.full(len(size), True) if junctions is reached else (junctions == reached).all(axis=0)
            left = ~(free & (size <= (tolerance if fresh else _STALE * tolerance)))
            self._refuse_strain(phase, rows.start + fixed.sample[~left], volts[:cells, ~left])
            solved[:, fixed.sample[~left]] = x[:, ~left]
            if not left.any():
                return solved
            astray = not fresh and bool((size > here.size).any())
            if not fresh and not (free.all() and (size <= _SHRINKING * here.size).all()):
                self._jacobian.forget()
            if not astray:
                here = _Iterate(x, volts, junctions, size)
            if not left.all():
                fixed, here = fixed.of(left), here.of(left)
        self._refuse_strain(phase, rows.start + fixed.sample, here.volts[:cells])
        raise ConvergenceError(
            f"Newton's method did not settle within {MAX_ITERATIONS} iterations",
            sample=rows.start + int(fixed.sample[0]),
            phase=phase.name,
        )

    def _refuse_strain(self, phase: _Phase, samples: Index, drops: Array) -> None:
        """Refuse drops over cells (V, ``[cells or branches, samples]``) at which their currents are no numbers."""
        beyond = (np.abs(drops[: len(self.branches.limits)]) > self.branches.limits).any(axis=0)
        if beyond.any():
            message = "a sinh cell would have more than 600 V₀; raise V₀ or lower the voltages"
            raise ConvergenceError(message, sample=int(samples[beyond.argmax()]), phase=phase.name)

    def _step(self, phase: _Phase, fixed: "_Fixed", here: "_Iterate") -> tuple[Array, bool]:
        """Newton's step, and whether its matrix is that of this iterate."""
        border = phase.border
        through, slopes = self.equations.tangents(here.volts, here.junctions)
        residual = fixed.current - self._linear @ here.x - self.branches.incidence @ through
        residual -= phase.spring * (border.push @ (border.drop @ here.x))
        missing = None if fixed.wanted is None else fixed.wanted - border.drop @ here.x
        return self._jacobian.step(partial(self._entries, slopes, phase), border, residual, missing)

    def _entries(self, slopes: Array, phase: _Phase) -> Array:
        """Return the entries of the Jacobian, ``[entries, samples]``."""
        steady = self._base + phase.spring * self.structure.spring
        values = np.repeat(steady[:, None], slopes.shape[1], axis=1)
        values[self.structure.nonlinear] += self.branches.weights @ slopes
        return values


@dataclass(frozen=True, eq=False)
class _Fixed:
    """Values that iterations do not change, for the samples that have not settled yet; the batch is the last axis."""

    sample: Index
    over: Array
    """V that every branch's current follows where the unknowns are 0."""
    current: Array
    wanted: Array | None

    def of(self, left: Logical) -> "_Fixed":
        wanted = None if self.wanted is None else self.wanted[:, left]
        return _Fixed(self.sample[left], self.over[:, left], self.current[:, left], wanted)


@dataclass(frozen=True, eq=False)
class _Iterate:
    """State of the iteration; the batch is the last axis."""

    x: Array
    """Unknowns, V."""
    volts: Array
    """That every branch's current follows."""
    junctions: Array
    """V at which the tangents of devices are taken."""
    size: Array
    """Size of the step that led here, V, ``[samples]``."""

    def of(self, left: Logical) -> "_Iterate":
        return _Iterate(self.x[:, left], self.volts[:, left], self.junctions[:, left], self.size[left])
