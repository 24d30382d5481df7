"""Step responses in ngspice: one transient analysis of a sample, through its free and its nudged phase.

At t = 0 the circuit has settled with all inputs at 0 V; they step to the sample, and when that has settled the nudge is
switched on. The netlist is the full one, but for cells at lines that sources hold, which become Thévenin equivalents:
no node that has a capacitance is eliminated. A phase is given 16 of its slowest time constants, and twice as long until
it has settled.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.chip.ngspice.session import Session, open_session
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import Circuit
from harness.circuit.dynamics import Dynamics
from harness.circuit.primitives import RESERVED
from harness.circuit.thevenin import TheveninEquivalents, thevenin_equivalents
from harness.errors import ChipError
from harness.measurement import Array, Batch, Drive, Injection, Nudge, Spring
from harness.netlist.decks.transient import Steps, ramp, step_lines
from harness.netlist.tolerances import Tolerances
from harness.units import show
from harness.wording import counted

FLOOR = 1e-7
"""V below which no difference between two voltages counts."""
_TIGHT = Tolerances(reltol=1e-9, vntol=1e-12, abstol=1e-15)
_LONG = 16.0  # slowest time constants that a phase is given at first
_POINTS = 320  # of a phase at least
_EDGE = 1e-5  # of the slowest time constant
_DOUBLINGS = 6
_ARRIVED = 1e-6  # of the largest step, from the operating point at the end of a phase


@dataclass(frozen=True, eq=False)
class Part:
    """One phase of a run."""

    phase: str
    rows: slice
    """Points of the run."""
    start: Array
    """V of every node at the operating point before, ``[nodes]``."""
    goal: Array
    """V of every node at the operating point of the phase, ``[nodes]``."""
    time_constant: float
    """s."""


@dataclass(frozen=True, eq=False)
class StepRun:
    """The analysis of one sample, with what it took."""

    time: Array
    """s, ``[points]``; the simulator chose them."""
    volts: Array
    """V of every node, ``[points, nodes]``."""
    delivered: Array
    """W of sources, stages and the nudge, ``[points]``."""
    heat: Array
    """W, ``[points]``."""
    stored: Array
    """J, ``[points]``."""
    parts: tuple[Part, ...]


class StepResponses:
    """A circuit with its capacitances, operating points and the ngspice that moves it."""

    def __init__(
        self,
        circuit: Circuit,
        farads: Array,
        batch: Batch,
        nudge: Callable[[Array, Array], Nudge] | None,
        *,
        time_constant: float = 0.0,
    ) -> None:
        """Prepare step responses of some samples.

        Args:
            circuit: with its programmed conductances.
            farads: F of every node to ground, ``[nodes]``; those of held nodes do not matter.
            batch: inputs that the samples step to, and targets of their nudge.
            nudge: from free outputs and targets (V, ``[batch, outputs]``); None leaves the nudged phase out.
            time_constant: s of amplifiers and buffers.
        """
        self.circuit, self.batch, self._lag = circuit, batch, time_constant
        self.session: Session = open_session()
        self._farads = farads
        self.dynamics = Dynamics(circuit, farads)
        self._equivalents: TheveninEquivalents = thevenin_equivalents(circuit)
        chip = UnreducedNodalChip(circuit, tolerance=1e-10)
        still, free = chip.measure([Drive(np.zeros_like(batch.inputs)), Drive(batch.inputs)])
        self.free_outputs = free.outputs
        self._nudge = None if nudge is None else nudge(free.outputs, batch.targets)
        self._points = [still.all_nodes, free.all_nodes]
        if self._nudge is not None:
            self._points.append(chip.measure([Drive(batch.inputs, self._nudge, "nudged")])[0].all_nodes)
        self._constants = [self._time_constants(row) for row in range(len(batch))]

    def about(self, row: int) -> str:
        """Describe the simulation of a sample: its nodes, cells and slowest time constant."""
        cells = sum(array.conductances.size for array in self._equivalents.circuit.arrays)
        slowest = max(self._constants[row])
        nodes = counted(len(self._equivalents.circuit.nodes), "node")
        return f"{nodes}, {counted(cells, 'cell')}, slowest time constant {show(slowest, 's')}"

    def run(self, row: int, number: int) -> StepRun:
        """Analyse the step response of one sample until it has settled.

        Raises:
            ChipError: it does not.
        """
        constants = self._constants[row]
        slowest = max(*constants, self._lag)
        spans = np.array([_LONG * (constant + self._lag) for constant in constants])
        for _ in range(_DOUBLINGS):
            steps = self._steps(row, _EDGE * slowest, float(spans[0]))
            found = self._analysed(row, steps, spans)
            late = [part for part in found.parts if not self._arrived(found, part)]
            if not late:
                return found
            spans = 2 * spans
        apart = self.distance(found.volts[late[0].rows][-1:], late[0])[0]
        raise ChipError(
            f"sample {number}, {late[0].phase} phase: after {show(spans.max() / 2, 's')} a node is still "
            f"{show(apart, 'V')} from its operating point; the circuit may oscillate (try another bandwidth)"
        )

    def distance(self, volts: Array, part: Part) -> Array:
        """Return the largest distance of a node's voltage from that at the end of the phase, V, ``[points]``."""
        moving = self.dynamics.moving
        return np.asarray(np.abs(volts[:, moving] - part.goal[moving]).max(axis=1, initial=0.0))

    def outputs(self, volts: Array) -> Array:
        """Return the outputs' voltages (V, ``[points, outputs]``) for those of all nodes."""
        return self.circuit.outputs_of(volts)

    def _time_constants(self, row: int) -> list[float]:
        spring = self._nudge.conductance if isinstance(self._nudge, Spring) else 0.0
        goals = self._points[1:]
        return [self.dynamics.slowest(goal[row], k * spring) for k, goal in enumerate(goals)]

    def _arrived(self, run: StepRun, part: Part) -> bool:
        ahead = np.abs(part.goal - part.start)[self.dynamics.moving].max(initial=0.0)
        return bool(self.distance(run.volts[part.rows][-1:], part)[0] <= max(_ARRIVED * ahead, FLOOR / 10))

    def _steps(self, row: int, edge: float, nudged: float) -> Steps:
        before, after = (self._equivalents.inputs(x) for x in (0 * self.batch.inputs[row], self.batch.inputs[row]))
        return Steps(before, after, edge, nudged, self._nudge_of(row), self._lag)

    def _nudge_of(self, row: int) -> Nudge | None:
        match self._nudge:
            case Spring(conductance, targets):
                return Spring(conductance, targets[row : row + 1])
            case Injection(current):
                return Injection(current[row : row + 1])
        return self._nudge

    def _analysed(self, row: int, steps: Steps, spans: Array) -> StepRun:
        circuit, dynamics = self.circuit, self.dynamics
        names = [circuit.nodes[k].lower() for k in dynamics.moving]
        wanted = [f"v({name})" for name in names]
        farads = {circuit.nodes[k]: float(self._farads[k]) for k in dynamics.free}
        senses = [f"v{RESERVED}{name.lower()}" for name in dynamics.transformers]
        lines = step_lines(self._equivalents.circuit, farads, steps, _TIGHT, senses=senses)
        wanted += [f"{name}#branch" for name in senses]
        stop = float(spans.sum())
        time, found = self.session.transient(lines, wanted, float(spans.min()) / _POINTS, stop)
        driven = dynamics.held_volts(self.batch.inputs[row][None] * ramp(time, 0.0, steps.edge)[:, None])
        driven[:, dynamics.moving] = found[:, : len(names)]
        switched = ramp(time, steps.nudged, steps.edge)
        delivered, heat = dynamics.powers(driven, found[:, len(names) :], switched, steps.nudge)
        return StepRun(time, driven, delivered, heat, dynamics.stored(driven), self._parts(row, time, spans))

    def _parts(self, row: int, time: Array, spans: Array) -> tuple[Part, ...]:
        """The phases; the point at which the nudge is switched on belongs to both."""
        begins = np.searchsorted(time, (1 - 1e-9) * (np.cumsum(spans) - spans)).tolist()
        ends = [*(begin + 1 for begin in begins[1:]), len(time)]
        between = zip(("free", "nudged"), begins, ends, self._points, self._points[1:], strict=False)
        return tuple(
            Part(phase, slice(begin, end), start[row], goal[row], constant)
            for (phase, begin, end, start, goal), constant in zip(between, self._constants[row], strict=True)
        )
