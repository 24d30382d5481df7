"""`harness check`: a circuit against independent truths, as a table of figures with bounds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.chip.base import Chip
from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import nodal_chip
from harness.circuit import GROUND, BidirectionalAmplifier, Circuit, Crossbar, Transformer
from harness.circuit.dynamics import Dynamics, States
from harness.circuit.primitives import Current, Vccs
from harness.circuit.scaling import is_reciprocal
from harness.errors import SpringError
from harness.learning.costs import Cost
from harness.learning.rules.base import LearningRule
from harness.learning.rules.equilibrium import EquilibriumPropagation, Nudging
from harness.learning.rules.linearization import HardwareLinearization
from harness.measurement import Array, Batch, Conductances, Drive, Index, Injection, Reading, Spring
from harness.netlist.tolerances import TIGHT, Tolerances
from harness.units import show

_PROBED_CELLS = 12  # per crossbar, for finite differences
_FARADS = 100e-15  # at each node that nothing holds; with an energy, the sign of growth does not depend on it


@dataclass(frozen=True)
class Check:
    """One figure and its bound."""

    name: str
    value: float
    bound: float
    unit: str

    @property
    def passed(self) -> bool:
        """The figure is within its bound (NaN is not)."""
        return bool(self.value <= self.bound)


def check_circuit(
    circuit: Circuit,
    cost: Cost,
    batch: Batch,
    *,
    beta: float,
    tolerances: Tolerances,
    rng: np.random.Generator,
    springs: bool = True,
    ngspice: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Check]:
    """Run all checks of a circuit with the conductances that it is programmed to.

    Bounds on voltages hold for signals of a volt and grow in proportion with larger ones. The gradient is that of
    `beta` (S) by current, compared with differences at cells that `rng` draws; with `springs`, learning nudges by
    springs of −β, too, which must leave every sample a stable state. `tell` is told what is being done.
    """
    nodal = nodal_chip(circuit)
    (free,) = nodal.measure([Drive(batch.inputs)])
    if circuit.held_nodes < set(circuit.nodes):
        yield from _stability_checks(circuit, batch, free, beta if springs else None)
    drives = [Drive(batch.inputs)]
    slopes = cost.slopes(free.outputs, batch.targets)
    drives += [Drive(batch.inputs, Injection(-b * slopes), name) for b, name in ((beta, "+β"), (-beta, "−β"))]
    signal = max(1.0, float(np.abs(free.nodes).max()))
    reference = _nodes(nodal, drives)
    if ngspice:
        tell("reduced netlist in ngspice")
        reduced = _nodes(NgspiceChip(circuit, tolerances=TIGHT), drives)
        default = _nodes(NgspiceChip(circuit, tolerances=tolerances), drives)
        yield Check(
            "ngspice against nodal, at the experiment's tolerances", _apart(default, reference), 1e-5 * signal, "V"
        )
        yield Check("ngspice against nodal, reltol 1e-9", _apart(reduced, reference), 1e-9 * signal, "V")
        tell("full netlist in ngspice")
        full = _nodes(FullNetlistChip(circuit, tolerances=TIGHT), drives)
        yield Check("reduced against full netlist, reltol 1e-9", _apart(full, reduced), 1e-9 * signal, "V")
    yield Check(
        "Kirchhoff's current law in the full circuit, nodal",
        kirchhoff_residual(circuit, reference[0]),
        1e-9,
        "of the currents",
    )
    tell("gradient against finite differences")
    yield from _gradient_checks(circuit, cost, batch, beta, rng)
    if ngspice:
        tell("gradient in ngspice")
        _, rule = _rule(circuit, cost, beta)
        ours, theirs = (_gradient(rule, c, batch) for c in (NgspiceChip(circuit, tolerances=tolerances), nodal))
        for array, a, b in zip(circuit.arrays, ours, theirs, strict=True):
            yield Check(f"gradient of {array.name}: ngspice against nodal", _relative(a, b), 1e-2, "relative")


def _stability_checks(circuit: Circuit, batch: Batch, free: Reading, beta: float | None) -> Iterator[Check]:
    """Check that the network rests in its free states and, with a β (S), in those under springs of −β."""
    dynamics = Dynamics(circuit, np.full(len(circuit.nodes), _FARADS))
    growth = [dynamics.growth(nodes) for nodes in free.all_nodes]
    if beta is not None:
        try:
            (pushed,) = nodal_chip(circuit).measure([Drive(batch.inputs, Spring(-beta, batch.targets), "nudged −β")])
            least = float(States(circuit).seen(pushed.all_nodes).min())
            growth += [dynamics.growth(nodes, -beta) for nodes in pushed.all_nodes]
        except SpringError as refused:
            least = refused.bound
        share = beta / least if least else np.inf
        yield Check("β against the conductance that outputs see at the states under −β", share, 1.0, "relative")
    yield Check(f"growth of small disturbances, {show(_FARADS, 'F')} at each node", max(growth), 0.0, "1/s")


def finite_differences(
    circuit: Circuit, cost: Cost, batch: Batch, cells: Sequence[Index], *, step: float = 3e-4
) -> Conductances:
    """Return ∂C/∂g (V²/S) by central differences of fourth order on the nodal chip.

    `cells` are those to move, ``[k, axes]`` (word, bit; or edge) for each array, at least twice `step` of the array's
    mean conductance inside its range; `step` is relative to that mean.
    """
    chip = nodal_chip(circuit, tolerance=1e-10)
    slopes = []
    for k, (array, chosen) in enumerate(zip(circuit.arrays, cells, strict=True)):
        change = step * array.conductances.mean()
        found = np.empty(len(chosen))
        for row, cell in enumerate(map(tuple, chosen)):
            costs = []
            for steps in (2, 1, -1, -2):
                moved = [g.copy() for g in circuit.conductances]
                moved[k][cell] += steps * change
                chip.program(moved)
                (reading,) = chip.measure([Drive(batch.inputs)])
                costs.append(cost.values(reading.outputs, batch.targets).mean())
            found[row] = np.dot(costs, [-1, 8, -8, 1]) / (12 * change)
        slopes.append(found)
    return tuple(slopes)


def _gradient_checks(
    circuit: Circuit, cost: Cost, batch: Batch, beta: float, rng: np.random.Generator
) -> Iterator[Check]:
    """Compare the gradient of `_rule` with finite differences, array by array."""
    moved = inside(circuit)
    cells = [rng.integers(0, array.shape, (_PROBED_CELLS, len(array.shape))) for array in circuit.arrays]
    truth = finite_differences(moved, cost, batch, cells)
    name, rule = _rule(moved, cost, 1e-3 * beta)
    gradient = _gradient(rule, nodal_chip(moved, tolerance=1e-10), batch)
    for array, chosen, ours, theirs in zip(circuit.arrays, cells, gradient, truth, strict=True):
        value = _relative(ours[tuple(chosen.T)], theirs)
        yield Check(f"gradient of {array.name}: {name} against finite differences", value, 1e-5, "relative")


def _rule(circuit: Circuit, cost: Cost, beta: float) -> tuple[str, EquilibriumPropagation | HardwareLinearization]:
    """Return the rule that reads a circuit's gradient: centered nudges or, without an energy, a small-signal phase."""
    if is_reciprocal(circuit):
        nudged = EquilibriumPropagation(circuit, cost, beta=beta, nudging=Nudging.CURRENT)
        return "equilibrium propagation", nudged
    return "hardware linearization", HardwareLinearization(circuit, cost, gamma=beta)


def inside(circuit: Circuit) -> Circuit:
    """Return the circuit with every cell far enough inside its range to be moved both ways."""
    moved = []
    for array in circuit.arrays:
        room = min(1e-3 * array.conductances.mean(), (array.g_max - array.g_min) / 4)
        moved.append(np.clip(array.conductances, array.g_min + room, array.g_max - room))
    return circuit.with_conductances(moved)


def _gradient(rule: LearningRule, chip: Chip, batch: Batch) -> Conductances:
    return rule.gradient(rule.measure(chip, batch, np.random.default_rng(0)))


def _nodes(chip: Chip, drives: Sequence[Drive]) -> Array:
    return np.stack([reading.nodes for reading in chip.measure(drives)])


def _apart(first: Array, second: Array) -> float:
    return float(np.abs(first - second).max())


def _relative(ours: Array, theirs: Array) -> float:
    return float(np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), np.finfo(float).tiny))


def kirchhoff_residual(circuit: Circuit, nodes: Array) -> float:
    """Return the largest net current into any free node of the full circuit, as a share of the largest through a node.

    `nodes` are V, ``[batch, nodes]``, of a free phase with the circuit's conductances. The current of a transformer
    cannot be told from voltages: its pins are left out.
    """
    volts = circuit.with_ground(nodes)
    net, size = np.zeros_like(volts), np.zeros_like(volts)

    def flow(first: Index, second: Index, amperes: Array) -> None:
        """Currents ``[batch, branches]`` from nodes to nodes."""
        for ends, sign in ((first, -1.0), (second, 1.0)):
            np.add.at(net.T, ends, sign * amperes.T)
            np.add.at(size.T, ends, np.abs(amperes).T)

    for array in circuit.arrays:
        first, second = circuit.ends(array)
        amperes = array.law.current_and_slope(volts[:, first] - volts[:, second])[0] * array.conductances
        if isinstance(array, Crossbar):  # line by line, whose nodes are all different
            for lines, axis, sign in ((first[:, 0], 2, -1.0), (second[0], 1, 1.0)):
                net[:, lines] += sign * amperes.sum(axis=axis)
                size[:, lines] += np.abs(amperes).sum(axis=axis)
        else:
            flow(first, second, amperes)
    first, second, siemens = circuit.fixed
    flow(first, second, (volts[:, first] - volts[:, second]) * siemens)
    for branches in circuit.device_branches:
        amperes, _ = branches.law.current_and_slope(volts[:, branches.above] - volts[:, branches.below])
        flow(branches.first, branches.second, amperes)
    for part in circuit.parts(Vccs):
        first, second, above, below = circuit.at(part.nets)[:, None]
        flow(first, second, part.siemens * (volts[:, above] - volts[:, below]))
    for source in circuit.parts(Current):
        first, second = circuit.at(source.nets)[:, None]
        flow(first, second, np.full((len(volts), 1), source.amperes))
    for stage in reversed(circuit.stages):  # from the last one back: what it is asked for, it asks of its input
        if isinstance(stage, BidirectionalAmplifier):
            into, out = circuit.at(stage.pins)
            net[:, into] += net[:, out] / stage.gain
            size[:, into] += np.abs(net[:, out] / stage.gain)
    held = circuit.held_nodes | {GROUND}
    held |= {node for e in circuit.elements if isinstance(e, Transformer) for node in e.pins}
    free = [k for node, k in circuit.grounded_index.items() if node not in held]
    return float(np.abs(net[:, free]).max(initial=0.0) / max(size.max(), np.finfo(float).tiny))
