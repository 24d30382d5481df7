"""Newton's method on reduced networks, batched over samples; no loop over samples, most of it in BLAS.

Unknowns that nothing joins (`Network.alone`: a layered network's every second layer) are eliminated as they are, not
only their linearization: with the other voltages given, each is one equation in one unknown, whose root is known to
within a fraction of N V_T in closed form. What is left for Newton's method are the other voltages, on which the
currents depend but mildly; its matrix is assembled by one product for the whole batch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from harness.circuit import Network, Phase, SettlingJob
from harness.circuit.primitives import Law
from harness.circuit.reduction.linear import clamped_solution, held_drops, incidence, settle_linear, sprung
from harness.devices.diode import GMIN, JunctionLaw, current_and_slope
from harness.errors import ChipError, ConvergenceError
from harness.measurement import Array, Index

Logical = npt.NDArray[np.bool_]
MAX_ITERATIONS = 200
_MAX_INNER = 60
_BLOCK = 2**24  # numbers in the matrices of one block of samples
_LEAST_EXPONENT = -600.0
_TRUSTED = 0.1  # of N V_T: a step this small predicts the eliminated unknowns


def settle(settling: SettlingJob, tolerance: float) -> Array:
    """The unknowns in every phase, V, ``[batch, phases, n]``; each phase starts from the one before it.

    `tolerance` (V) bounds the last Newton step. Convergence is quadratic there, so the error that is left is of the
    order of its square over N V_T.

    Raises:
        ConvergenceError: a sample did not settle; names sample and phase.
        ChipError: the equations are singular in floating point.
    """
    network = settling.network
    solved = np.empty((len(settling), len(settling.phases), network.size))
    solvers: list[_Solver] = []
    nonlinear = [k for k, phase in enumerate(settling.phases) if phase.slopes is None]
    for k, phase in enumerate(settling.phases):
        if k in nonlinear:
            solvers.append(_Solver(network, phase, solvers[-1] if solvers else None))
        else:
            with _named(phase):
                solved[:, k] = settle_linear(network, phase)
    dense = max(1, network.size - len(network.alone))
    block = max(1, _BLOCK // dense**2)
    for first in range(0, len(settling), block):
        samples = np.arange(first, min(first + block, len(settling)))
        start = np.zeros((len(samples), network.size))
        for k, solver in zip(nonlinear, solvers, strict=True):
            with _named(settling.phases[k]):
                start = solver.settle(samples, start, tolerance, cold=k == nonlinear[0])
            solved[samples, k] = start
    return solved


@contextmanager
def _named(phase: Phase) -> Iterator[None]:
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise ChipError(f"{phase.name} phase: the equations are singular in floating point") from error
    except _Unsettled as stop:
        message = f"Newton's method did not settle within {MAX_ITERATIONS} iterations"
        raise ConvergenceError(message, sample=stop.sample, phase=phase.name) from stop


class _Unsettled(Exception):  # noqa: N818 - becomes a ConvergenceError where the phase is known
    def __init__(self, sample: int) -> None:
        super().__init__(sample)
        self.sample = sample


class _Solver:
    """One network in one phase: `alone` unknowns in `_Cells`, the `dense` rest in Newton's matrix."""

    def __init__(self, network: Network, phase: Phase, before: "_Solver | None" = None) -> None:
        """Prepare one phase; phases with the same inputs share what a nudge does not touch."""
        matrix, current = sprung(network, phase)
        self._phase, self._alone = phase, network.alone
        self._dense = np.setdiff1d(np.arange(network.size), network.alone)
        self._rest = matrix[np.ix_(self._dense, self._dense)]
        self._current = current[:, self._dense]
        self._clamps: tuple[Array, Array] | None = None
        """Incidence ``[outputs, dense]`` and voltages (V, ``[batch, outputs]``) of clamped outputs."""
        if phase.clamped is not None:
            wanted = phase.clamped - held_drops(network, phase, network.plus, network.minus)
            self._clamps = incidence(network.size, network.plus, network.minus)[:, self._dense], wanted
        shares = before is not None and before._serves(phase)
        self._fixed: _Fixed = before._fixed if before and shares else _Fixed(network, phase, matrix, current)

    def _serves(self, phase: Phase) -> bool:
        """Return whether `phase` differs in its nudge only, which never reaches the alone unknowns."""
        return phase.currents is self._phase.currents and phase.rails is self._phase.rails

    def settle(self, samples: Index, start: Array, tolerance: float, *, cold: bool) -> Array:
        """Unknowns (V, ``[samples, n]``) from a start of the same shape; a cold one is no prediction."""
        into, out, cells, bridges = self._fixed.into, self._fixed.out, self._fixed.cells, self._fixed.bridges
        solved = np.empty_like(start)
        at, dense, alone = np.arange(len(samples)), start[:, self._dense], start[:, self._alone]
        junctions = bridges.voltages(dense, samples)
        predicted = np.full(len(samples), not cold)
        for _ in range(MAX_ITERATIONS):
            rows = samples[at]
            alone, excess, slope = cells.solve(dense @ into.T, alone, predicted, rows)
            amperes, siemens = bridges.tangents(dense, junctions, rows)
            residual = self._current[rows] - dense @ self._rest.T - amperes - (alone + excess / slope) @ out
            clamps = self._clamps and (self._clamps[0], self._clamps[1][rows] - dense @ self._clamps[0].T)
            step = bridges.solve(self._schur(slope), siemens, residual, clamps)
            moved = (excess - step @ into.T) / slope
            dense, alone = dense + step, alone + moved
            reached = bridges.voltages(dense, rows)
            limited = bridges.limited(reached, junctions)
            size = np.maximum(np.abs(step).max(axis=1, initial=0.0), np.abs(moved).max(axis=1, initial=0.0))
            done = (size <= tolerance) & (limited == reached).all(axis=1)
            solved[np.ix_(at[done], self._dense)] = dense[done]
            solved[np.ix_(at[done], self._alone)] = alone[done]
            left = ~done
            if not left.any():
                return solved
            at, dense, alone, junctions = at[left], dense[left], alone[left], limited[left]
            predicted = np.abs(moved[left]).max(axis=1, initial=0.0) <= cells.trusted
        raise _Unsettled(int(samples[at[0]]))

    def _schur(self, slope: Array) -> Array:
        """Conductances (S, ``[samples, dense, dense]``) with the alone unknowns eliminated at their slopes (S)."""
        if self._fixed.products is not None:
            return self._rest - ((1 / slope) @ self._fixed.products).reshape(len(slope), *self._rest.shape)
        return self._rest - (self._fixed.out.T / slope[:, None, :]) @ self._fixed.into


class _Fixed:
    """Parts that a nudge of dense unknowns does not change: diodes, and all that belongs to the alone unknowns."""

    def __init__(self, network: Network, phase: Phase, matrix: Array, current: Array) -> None:
        alone, dense = network.alone, np.setdiff1d(np.arange(network.size), network.alone)
        self.into = np.ascontiguousarray(matrix[np.ix_(alone, dense)])
        """Coupling from dense unknowns to alone ones, S, ``[alone, dense]``."""
        self.out = np.ascontiguousarray(matrix[np.ix_(dense, alone)].T)
        """Coupling from alone unknowns to dense ones, in the same shape; both are equal in reciprocal circuits."""
        self.cells = _Cells(network, phase, np.diagonal(matrix)[alone], current[:, alone])
        self.bridges = _Bridges(network, phase, dense)
        self.products: Array | None = None
        """Products of every pair in a row of `out` and `into`, ``[alone, dense · dense]``; None if too large."""
        if self.into.size * len(dense) <= _BLOCK // 4:
            self.products = (self.out[:, :, None] * self.into[:, None, :]).reshape(len(alone), len(dense) ** 2)


class _Cells:
    """Unknowns that each obey an equation of their own: own · u + diode currents = current − pull.

    Every such unknown has diodes to rails only, as many as `slots`; where it has fewer, the rest carry no current.
    """

    def __init__(self, network: Network, phase: Phase, own: Array, current: Array) -> None:
        diodes, position = network.diodes, np.full(network.size + phase.rails.shape[1], -1)
        position[network.alone] = np.arange(len(network.alone))
        out, into = (np.flatnonzero(position[ends] >= 0) for ends in (diodes.anode, diodes.cathode))
        chosen = np.concatenate([out, into])
        node = np.concatenate([position[diodes.anode[out]], position[diodes.cathode[into]]])
        rail = np.concatenate([diodes.cathode[out], diodes.anode[into]]) - network.size
        slot = _rank_among_equals(node)
        shape = (int(slot.max(initial=-1)) + 1, len(own))
        self._sign, self._saturation, self._scale = np.zeros(shape), np.zeros(shape), np.ones(shape)
        self._sign[slot, node] = np.repeat([1.0, -1.0], [len(out), len(into)])
        self._saturation[slot, node] = diodes.law.saturation[chosen]
        self._scale[slot, node] = diodes.law.scale[chosen]
        rails = phase.rails[:1] if len(phase.rails) and (phase.rails == phase.rails[0]).all() else phase.rails
        self._held = np.zeros((len(rails), *shape))
        self._held[:, slot, node] = rails[:, rail]
        self._own, self._current = own, current
        self._present = self._sign != 0
        ratio = (own + GMIN) * self._scale / np.where(self._present, self._saturation, 1.0)
        self._logarithm = np.where(self._present, np.log(ratio), np.inf)
        finest = np.where(self._present, self._scale, np.inf)
        self._finest = finest.min(axis=0, initial=np.inf)
        self.trusted = _TRUSTED * float(self._finest.min(initial=np.inf))
        """V: a step this small predicts where an unknown goes."""

    def solve(self, pull: Array, guess: Array, predicted: Logical, samples: Index) -> tuple[Array, Array, Array]:
        """Unknowns (V), the current that is left over there (A) and the slope dI/du (S), all ``[samples, alone]``.

        Args:
            pull: A that the other unknowns take from each.
            guess: V.
            predicted: samples whose guess is within `trusted` of the root.
            samples: which of the phase's samples these are.
        """
        wanted = self._current[samples] - pull
        held = self._held[samples] if len(self._held) > 1 else self._held
        volts = guess if predicted.all() else np.where(predicted[:, None], guess, self._root(wanted, held))
        for left in reversed(range(_MAX_INNER)):
            current, slope = self._currents(volts, held)
            excess = wanted - self._own * volts - current
            slope = slope + self._own
            step = excess / slope
            if not left or (np.abs(step) <= self.trusted).all():
                break
            volts = volts + self._damped(step)
        return volts, excess, slope

    def _currents(self, volts: Array, held: Array) -> tuple[Array, Array]:
        """Current out of each unknown through its diodes (A) and its slope (S)."""
        over = self._sign * (volts[:, None, :] - held)
        current, slope = current_and_slope(over, self._saturation, self._scale)
        return (self._sign * current).sum(axis=1), (self._present * slope).sum(axis=1)

    def _root(self, wanted: Array, held: Array) -> Array:
        """Return the voltage (V) where one diode at most conducts, to a fraction of N V_T.

        With s = N V_T and p = G s / I_s, one junction in series with a conductance G takes v = s y of an open-circuit
        voltage f, where p y + e^y = p f / s + 1; for w = e^y / p this is w + ln w = f / s + 1 / p − ln p.
        """
        linear = wanted / (self._own + GMIN)  # an unknown that only diodes hold
        if not len(self._sign):
            return linear
        over = self._sign * (linear[:, None, :] - held) / self._scale
        slot = over.argmax(axis=1)
        node = np.arange(len(self._own))
        forward = np.take_along_axis(over, slot[:, None, :], axis=1)[:, 0]
        logarithm = self._logarithm[slot, node]
        share = np.exp(-logarithm)
        total = np.maximum(forward + share - logarithm, _LEAST_EXPONENT)
        w = np.where(total > 1, total, np.exp(np.minimum(total, 1.0)))  # right at both ends
        for _ in range(2):
            w *= (1 + total - np.log(w)) / (1 + w)
        return linear - self._sign[slot, node] * self._scale[slot, node] * (w - share)

    def _damped(self, step: Array) -> Array:
        """Return the step shortened to a logarithmic one where it is large, so that no exponential overflows."""
        size = np.abs(step)
        large = size > 2 * self._finest
        if not large.any():
            return step
        return np.where(large, np.sign(step) * self._finest * np.log1p(size / self._finest), step)


class _Bridges:
    """The branches of devices at dense unknowns, linearized at voltages that rise as SPICE lets them rise.

    All but diodes to rails, whose other ends are alone, are here.
    """

    def __init__(self, network: Network, phase: Phase, dense: Index) -> None:
        diodes = network.diodes
        own = np.isin(diodes.anode, dense) | np.isin(diodes.cathode, dense)
        others = [devices.branches for devices in network.others]
        chosen = np.concatenate([own, np.ones(len(network.branches[0]) - len(own), bool)])
        first, second, above, below = (ends[chosen] for ends in network.branches)
        at = np.eye(network.size + phase.rails.shape[1])[
            :, dense
        ]  # row by row in memory: sums are rounded in that order
        self._flows, self._follows = at[first] - at[second], at[above] - at[below]
        self._held = held_drops(network, phase, above, below)
        count = int(own.sum())
        laws: list[Law] = [JunctionLaw(diodes.law.saturation[own], diodes.law.scale[own]), *(b.law for b in others)]
        begins = np.cumsum([0, count, *(len(b.first) for b in others)]).tolist()
        self._laws = [(slice(*rows), law) for rows, law in zip(pairwise(begins), laws, strict=True)]
        self._joining = np.flatnonzero(np.abs(self._flows[:count]).sum(axis=1) == 2)
        self._diodes = slice(count)
        self._crossed = list(self._entries(count))

    def _entries(self, begin: int) -> Iterator[tuple[int, int, int, float]]:
        """Row, column, branch and weight of what slopes of branches from `begin` on add to the matrix."""
        for k in range(begin, len(self._flows)):
            for row in np.flatnonzero(self._flows[k]).tolist():
                for column in np.flatnonzero(self._follows[k]).tolist():
                    yield row, column, k, float(self._flows[k, row] * self._follows[k, column])

    def voltages(self, dense: Array, samples: Index) -> Array:
        """Return the voltage that the current of each branch follows, V, ``[samples, branches]``."""
        return dense @ self._follows.T + self._held[samples]

    def tangents(self, dense: Array, junctions: Array, samples: Index) -> tuple[Array, Array]:
        """Return currents out of the dense unknowns (A) and slopes (S) along tangents at `junctions` (V).

        Shapes are ``[samples, dense]`` and ``[samples, branches]``.
        """
        current, slope = np.empty_like(junctions), np.empty_like(junctions)
        for rows, law in self._laws:
            current[:, rows], slope[:, rows] = law.current_and_slope(junctions[:, rows])
        through = current + slope * (self.voltages(dense, samples) - junctions)
        return through @ self._flows, slope

    def limited(self, new: Array, old: Array) -> Array:
        """Return the voltages (V) of the next tangents, on the way from old to new ones; see `Law`."""
        return np.concatenate([law.limited(new[:, rows], old[:, rows]) for rows, law in self._laws], axis=1)

    def solve(self, matrix: Array, siemens: Array, residual: Array, clamps: tuple[Array, Array] | None = None) -> Array:
        """The Newton step (V, ``[samples, dense]``); `matrix` (S) is changed.

        Clamps are an incidence ``[outputs, dense]`` and what is left to move there (V, ``[samples, outputs]``).
        """
        diagonal = np.arange(matrix.shape[1])
        matrix[:, diagonal, diagonal] += siemens[:, self._diodes] @ np.abs(self._flows[self._diodes])
        for k in self._joining:
            a, b = np.flatnonzero(self._flows[k])
            matrix[:, a, b] -= siemens[:, k]
            matrix[:, b, a] -= siemens[:, k]
        for row, column, branch, weight in self._crossed:
            matrix[:, row, column] += weight * siemens[:, branch]
        if clamps is not None:
            return clamped_solution(matrix, residual[:, :, None], clamps[0], clamps[1][:, :, None])[:, :, 0]
        return np.asarray(np.linalg.solve(matrix, residual[:, :, None])[:, :, 0], float)


def _rank_among_equals(values: Index) -> Index:
    """Return for each value the number of equal ones before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    ranks = np.empty(len(values), np.intp)
    ranks[order] = np.arange(len(values)) - np.searchsorted(ordered, ordered)
    return ranks
