"""Reduced networks settled a whole batch at a time in NumPy; no loop over samples, most of it in BLAS.

Unknowns that nothing joins (`Topology.alone`: a layered network's every second layer) are eliminated as they are, not
only their linearization: with the other voltages given, each is one equation in one unknown, whose root is known to
within a fraction of N V_T in closed form. What is left for Newton's method are the other voltages, on which the
currents depend but mildly; its matrix is assembled by one product for the whole batch.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from harness.chip.nodal.failures import Unsettled, named
from harness.circuit import Network, Phase, SettlingJob, Topology
from harness.circuit.primitives import Law
from harness.circuit.reduction.linear import clamped_solution, held_drops
from harness.devices.diode import GMIN, JunctionLaw, current_and_slope
from harness.measurement import Array, Index

Logical = npt.NDArray[np.bool_]
_MAX_INNER = 60
_BLOCK = 2**24  # numbers in the matrices of one block of samples
_LEAST_EXPONENT = -600.0
_TRUSTED = 0.1  # of N V_T: a step this small predicts the eliminated unknowns


def settle(settling: SettlingJob, chosen: Sequence[int], tolerance: float, iterations: int, solved: Array) -> None:
    """Fill in the unknowns (V, ``[batch, phases, n]``) in the phases of these numbers, of which there is one at least.

    Raises:
        ConvergenceError: a sample did not settle.
        ChipError: the equations are singular.
    """
    network, phases, stacks = settling.network, settling.phases, _stacks(settling.phases, chosen)
    plan, solvers = _plan(network.topology), list[_Solver]()
    for stack in stacks:
        solvers.append(_Solver(plan, network, [phases[k] for k in stack], solvers[0] if solvers else None))
    block = max(1, _BLOCK // max(1, len(plan.dense)) ** 2 // max(map(len, stacks)))
    for first in range(0, len(settling), block):
        samples = np.arange(first, min(first + block, len(settling)))
        start = np.zeros((len(samples), network.size))
        for stack, solver in zip(stacks, solvers, strict=True):
            with named([phases[k] for k in stack], iterations):
                found = solver.settle(samples, start, tolerance, iterations)
            solved[samples[:, None], stack] = found.transpose(1, 0, 2)
            start = found[0] if stack is stacks[0] else start


def _stacks(phases: Sequence[Phase], chosen: Sequence[int]) -> list[list[int]]:
    """Return the numbers of the first phase alone, and then those of phases that are settled together."""
    stacks: list[list[int]] = []
    for k in chosen:
        last = phases[stacks[-1][-1]] if len(stacks) > 1 else None
        if last is not None and last.clamped is None is phases[k].clamped and _same_inputs(last, phases[k]):
            stacks[-1].append(k)
        else:
            stacks.append([k])
    return stacks


def _same_inputs(one: Phase, other: Phase) -> bool:
    """Return whether phases differ in their nudge only, which never reaches the alone unknowns."""
    return one.currents is other.currents and one.rails is other.rails


class _Plan:
    """All of a solver that depends on the topology alone."""

    def __init__(self, topology: Topology) -> None:
        self.dense, self.alone = topology.dense, topology.alone
        self.rest, self.into = np.ix_(self.dense, self.dense), np.ix_(self.alone, self.dense)
        self.out = np.ix_(self.dense, self.alone)
        self.drop = np.ascontiguousarray(topology.drops[0][:, self.dense])
        """Incidence of the outputs, ``[outputs, dense]``."""
        self.springs = self.drop.T @ self.drop
        self.slots = _Slots(topology)
        self.bridges = _Bridges(topology)


@lru_cache(maxsize=8)
def _plan(topology: Topology) -> _Plan:
    return _Plan(topology)


class _Solver:
    """One network in a stack of phases: `alone` unknowns in `_Cells`, the `dense` rest in Newton's matrix."""

    def __init__(self, plan: _Plan, network: Network, phases: Sequence[Phase], first: "_Solver | None" = None) -> None:
        """Prepare phases of the same inputs; with a first phase of these inputs they share what no nudge touches."""
        self._phases, self._plan = phases, plan
        self._near = first is not None and _same_inputs(first._phases[0], phases[0])
        """True where phases start from one of the same inputs, which says where unknowns and junctions will be."""
        self._fixed: _Fixed = first._fixed if first and self._near else _Fixed(plan, network, phases[0])
        held = held_drops(network.topology, phases[0])
        self._springs = np.array([phase.spring for phase in phases])
        """β of each phase, S."""
        pushes = [self._fixed.current + (phase.pushed - phase.spring * held) @ plan.drop for phase in phases]
        self._current = np.stack(pushes)
        """A into dense unknowns, ``[phases, batch, dense]``."""
        self._clamps: tuple[Array, Array] | None = None
        """Incidence ``[outputs, dense]`` and voltages (V, ``[batch, outputs]``) of clamped outputs."""
        if phases[0].clamped is not None:
            self._clamps = plan.drop, phases[0].clamped - held

    def settle(self, samples: Index, start: Array, tolerance: float, iterations: int) -> Array:
        """Unknowns (V, ``[phases, samples, n]``) from a start (V, ``[samples, n]``)."""
        plan, fixed, count = self._plan, self._fixed, len(self._phases)
        into, out, cells, bridges = fixed.into, fixed.out, fixed.cells, plan.bridges
        solved = np.empty((count * len(samples), start.shape[1]))
        at, rows = np.arange(len(solved)), np.tile(samples, count)
        dense, alone = np.tile(start[:, plan.dense], (count, 1)), np.tile(start[:, plan.alone], (count, 1))
        held, current = fixed.held[rows], self._current[:, samples].reshape(len(at), -1)
        spring = np.repeat(self._springs, len(samples))[:, None] if self._springs.any() else None
        junctions = dense @ bridges.follows.T + held
        if not self._near:
            junctions = bridges.limited(junctions, 0 * junctions)  # far above, steps are of N V_T
        predicted = np.full(len(at), self._near)
        for _ in range(iterations):
            alone, excess, slope = cells.solve(dense @ into.T, alone, predicted, rows)
            amperes, siemens = bridges.tangents(dense @ bridges.follows.T + held, junctions)
            residual = current - dense @ fixed.rest.T - amperes - (alone + excess / slope) @ out
            matrix = self._schur(slope)
            if spring is not None:
                residual -= spring * (dense @ plan.springs)
                matrix += spring[:, :, None] * plan.springs
            clamps = self._clamps and (self._clamps[0], self._clamps[1][rows] - dense @ self._clamps[0].T)
            step = bridges.solve(matrix, siemens, residual, clamps)
            moved = (excess - step @ into.T) / slope
            dense, alone = dense + step, alone + moved
            reached = dense @ bridges.follows.T + held
            limited = bridges.limited(reached, junctions)
            farthest = np.abs(moved).max(axis=1, initial=0.0)
            done = np.maximum(np.abs(step).max(axis=1, initial=0.0), farthest) <= tolerance
            if limited is not reached:
                done &= (limited == reached).all(axis=1)
            junctions, predicted = limited, farthest <= cells.trusted
            if not done.any():
                continue
            ended = at[done][:, None]
            solved[ended, plan.dense], solved[ended, plan.alone] = dense[done], alone[done]
            if done.all():
                return solved.reshape(count, len(samples), -1)
            left = ~done
            at, rows, dense, alone, junctions = at[left], rows[left], dense[left], alone[left], limited[left]
            held, current, predicted = held[left], current[left], predicted[left]
            spring = None if spring is None else spring[left]
        phase, sample = divmod(int(at[0]), len(samples))
        raise Unsettled(int(samples[sample]), phase)

    def _schur(self, slope: Array) -> Array:
        """Conductances (S, ``[samples, dense, dense]``) with the alone unknowns eliminated at their slopes (S)."""
        if self._fixed.products is not None:
            return self._fixed.rest - ((1 / slope) @ self._fixed.products).reshape(len(slope), *self._fixed.rest.shape)
        return self._fixed.rest - (self._fixed.out.T / slope[:, None, :]) @ self._fixed.into


class _Fixed:
    """Parts that a nudge of dense unknowns does not change: diodes, and all that belongs to the alone unknowns."""

    def __init__(self, plan: _Plan, network: Network, phase: Phase) -> None:
        matrix = network.conductance
        self.rest, self.current = matrix[plan.rest], phase.currents[:, plan.dense]
        self.into = matrix[plan.into]
        """Coupling from dense unknowns to alone ones, S, ``[alone, dense]``."""
        self.out = np.ascontiguousarray(matrix[plan.out].T)
        """Coupling from alone unknowns to dense ones, in the same shape; both are equal in reciprocal circuits."""
        own = matrix[plan.alone, plan.alone]
        self.cells = _Cells(plan.slots, phase.rails, own, phase.currents[:, plan.alone])
        self.held = phase.rails @ plan.bridges.rails.T
        """V that rails add to what each branch follows, ``[batch, branches]``."""
        self.products: Array | None = None
        """Products of every pair in a row of `out` and `into`, ``[alone, dense · dense]``; None if too large."""
        if self.into.size * len(plan.dense) <= _BLOCK // 4:
            pairs = self.out[:, :, None] * self.into[:, None, :]
            self.products = pairs.reshape(len(plan.alone), len(plan.dense) ** 2)


class _Slots:
    """The diodes of each alone unknown: rows are slots, as many as the most that one has; the rest carry no current."""

    def __init__(self, topology: Topology) -> None:
        diodes, alone = topology.diodes, topology.alone
        position = np.full(topology.size + topology.rails, -1)
        position[alone] = np.arange(len(alone))
        out, into = (np.flatnonzero(position[ends] >= 0) for ends in (diodes.anode, diodes.cathode))
        chosen = np.concatenate([out, into])
        self.node = np.concatenate([position[diodes.anode[out]], position[diodes.cathode[into]]])
        self.rail = np.concatenate([diodes.cathode[out], diodes.anode[into]]) - topology.size
        self.slot = _rank_among_equals(self.node)
        self.shape = (int(self.slot.max(initial=-1)) + 1, len(alone))
        self.sign, self.saturation, self.scale = np.zeros(self.shape), np.zeros(self.shape), np.ones(self.shape)
        self.sign[self.slot, self.node] = np.repeat([1.0, -1.0], [len(out), len(into)])
        self.saturation[self.slot, self.node] = diodes.law.saturation[chosen]
        self.scale[self.slot, self.node] = diodes.law.scale[chosen]
        self.present = self.sign != 0
        self.shelf = (self.sign * self.saturation).sum(axis=0)
        """A into each unknown while all its diodes block."""
        self.ratio = np.where(self.present, self.scale / np.where(self.present, self.saturation, 1.0), np.inf)
        """N V_T over I_s, Ω."""
        finest = np.where(self.present, self.scale, np.inf)
        self.finest = finest.min(axis=0, initial=np.inf)
        self.trusted = _TRUSTED * float(self.finest.min(initial=np.inf))


class _Cells:
    """Unknowns that each obey an equation of their own: own · u + diode currents = current − pull.

    Every such unknown has diodes to rails only.
    """

    def __init__(self, slots: _Slots, rails: Array, own: Array, current: Array) -> None:
        rails = rails[:1] if len(rails) and (rails == rails[0]).all() else rails
        self._held = np.zeros((len(rails), *slots.shape))
        self._held[:, slots.slot, slots.node] = rails[:, slots.rail]
        self._own, self._current = own, current
        self._sign, self._saturation, self._scale = slots.sign, slots.saturation, slots.scale
        self._present, self._finest, self._shelf = slots.present, slots.finest, slots.shelf
        self._logarithm = np.log((own + GMIN) * slots.ratio)
        self.trusted = slots.trusted
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
        """Return the voltage (V) where one diode at most conducts, to a fraction of N V_T; others have −I_s.

        With s = N V_T and p = G s / I_s, one junction in series with a conductance G takes v = s y of a voltage f,
        which it would have with −I_s too, where p y + e^y = p f / s; for w = e^y / p this is w + ln w = f / s − ln p.
        """
        linear = (wanted + self._shelf) / (self._own + GMIN)  # an unknown that only diodes hold
        if not len(self._sign):
            return linear
        over = self._sign * (linear[:, None, :] - held) / self._scale
        slot = over.argmax(axis=1)
        node = np.arange(len(self._own))
        forward = np.take_along_axis(over, slot[:, None, :], axis=1)[:, 0]
        total = np.maximum(forward - self._logarithm[slot, node], _LEAST_EXPONENT)
        w = np.where(total > 1, total, np.exp(np.minimum(total, 1.0)))  # right at both ends
        for _ in range(2):
            w *= (1 + total - np.log(w)) / (1 + w)
        return linear - self._sign[slot, node] * self._scale[slot, node] * w

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

    def __init__(self, topology: Topology) -> None:
        diodes, dense = topology.diodes, topology.dense
        own = np.isin(diodes.anode, dense) | np.isin(diodes.cathode, dense)
        others = [devices.branches for devices in topology.others]
        chosen = np.concatenate([own, np.ones(len(topology.branches[0]) - len(own), bool)])
        first, second, above, below = (ends[chosen] for ends in topology.branches)
        at = np.eye(topology.size + topology.rails)
        follows = at[above] - at[below]
        self._flows, self.follows = (at[first] - at[second])[:, dense], follows[:, dense]
        """Weights of dense unknowns in the voltage that the current of each branch follows, ``[branches, dense]``."""
        self.rails = follows[:, topology.size :]
        """Those of the rails, ``[branches, rails]``."""
        count = int(own.sum())
        laws: list[Law] = [JunctionLaw(diodes.law.saturation[own], diodes.law.scale[own]), *(b.law for b in others)]
        begins = np.cumsum([0, count, *(len(b.first) for b in others)]).tolist()
        self._laws = [(slice(*rows), law) for rows, law in zip(pairwise(begins), laws, strict=True)]
        self._diodes, self._touched = slice(count), np.abs(self._flows[:count])
        self._diagonal = np.arange(len(dense))
        joining = np.flatnonzero(self._touched.sum(axis=1) == 2)
        self._joining = [(*np.flatnonzero(self._flows[k]).tolist(), k) for k in joining.tolist()]
        self._crossed = list(self._entries(count))

    def _entries(self, begin: int) -> Iterator[tuple[int, int, int, float]]:
        """Row, column, branch and weight of what slopes of branches from `begin` on add to the matrix."""
        for k in range(begin, len(self._flows)):
            for row in np.flatnonzero(self._flows[k]).tolist():
                for column in np.flatnonzero(self.follows[k]).tolist():
                    yield row, column, k, float(self._flows[k, row] * self.follows[k, column])

    def tangents(self, volts: Array, junctions: Array) -> tuple[Array, Array]:
        """Return currents out of the dense unknowns (A) at `volts`, and slopes (S), along tangents at `junctions` (V).

        Shapes are ``[samples, dense]`` and ``[samples, branches]``.
        """
        current, slope = np.empty_like(junctions), np.empty_like(junctions)
        for rows, law in self._laws:
            current[:, rows], slope[:, rows] = law.current_and_slope(junctions[:, rows])
        return (current + slope * (volts - junctions)) @ self._flows, slope

    def limited(self, new: Array, old: Array) -> Array:
        """Return the voltages (V) of the next tangents, on the way from old to new ones; see `Law`."""
        if len(self._laws) == 1:
            return self._laws[0][1].limited(new, old)
        return np.concatenate([law.limited(new[:, rows], old[:, rows]) for rows, law in self._laws], axis=1)

    def solve(self, matrix: Array, siemens: Array, residual: Array, clamps: tuple[Array, Array] | None = None) -> Array:
        """The Newton step (V, ``[samples, dense]``); `matrix` (S) is changed.

        Clamps are an incidence ``[outputs, dense]`` and what is left to move there (V, ``[samples, outputs]``).
        """
        matrix[:, self._diagonal, self._diagonal] += siemens[:, self._diodes] @ self._touched
        for a, b, k in self._joining:
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
