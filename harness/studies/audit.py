"""`harness audit`: the gradient of every learning rule, on every chip, against two truths of the nodal chip.

One is the adjoint, ∂C/∂g of every cell from one linear solve about the operating point; the other is finite differences
of fourth order on a sample of cells, which know nothing of adjoints and are what the adjoint itself is compared with.
Coupled learning takes another direction: it is shown at the one scale that fits best, and against its own limit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from harness import learning
from harness.chip.base import Chip
from harness.chip.ngspice.chip import FullBatchChip, NgspiceChip
from harness.chip.nodal.chip import nodal_chip
from harness.circuit.circuit import Circuit, settled_whole
from harness.circuit.elements import Mosfet
from harness.circuit.scaling import is_reciprocal, one_way
from harness.errors import ChipError, CircuitError
from harness.learning import (
    AsymmetricEquilibriumPropagation,
    CoupledLearning,
    EquilibriumPropagation,
    GeneralizedEquilibriumPropagation,
    Nudging,
    OneWay,
    Variant,
)
from harness.learning.rules.base import LearningRule
from harness.learning.rules.cells import Cells
from harness.learning.rules.generalized import NudgedReadings
from harness.measurement import Array, Batch, Conductances, Drive, Index, Injection
from harness.netlist.tolerances import Tolerances
from harness.studies.check import finite_differences
from harness.units import show

_PRECISE = 1e-11  # V: Newton tolerance of the nodal chips
_STRENGTHS = np.logspace(-4, 1, 9)  # of curves against β, η and b^k, in units of the subject's own
_ORDERS = (
    (1, Variant.ONE_SIDED),
    (2, Variant.ONE_SIDED),
    (3, Variant.ONE_SIDED),
    (1, Variant.CENTERED),
    (3, Variant.CENTERED),
)
_RELTOLS = (9.9e-4, 1e-4, 1e-5, 1e-6, 1e-7)  # the first is just below what `Tolerances` allows
_STEP = 3e-4  # of an array's mean conductance, for finite differences
_MOST_MOVED = 200  # cells or nodes that are moved one after the other, for each of which the chip settles twice
_FREQUENCY = 1e3  # Hz, on chips without capacitances
_DRAWS = 8  # of simultaneous perturbation
_MARGIN = 100  # times the solver's floor, below which a nudge is faint
_ROUNDING = 1e-12  # of the voltages: the nodal chip's floor


@dataclass(frozen=True, eq=False)
class Subject:
    """A network as it is programmed, samples, and the strengths of the rules that are audited on it."""

    circuit: Circuit
    cost: learning.Cost
    batch: Batch
    beta: float
    """Nudging of equilibrium propagation, and γ of hardware linearization, S."""
    step: float
    """By which finite differences and the perturbations move cells on the chip, S."""
    eta: float
    """η of coupled learning."""
    tolerances: Tolerances = field(default_factory=Tolerances)
    """Those of the experiment, for ngspice."""
    seed: int = 0
    """Seed of probed cells, signs and directions."""
    cells: int = 12
    """Cells of each array that finite differences probe; none is at a bound of its range."""
    adc_step: float | None = None
    """V that a converter at the nodes would resolve; None for no converter."""


@dataclass(frozen=True)
class GradientError:
    """The error of one trainable array against one truth, relative to the truth's norm; NaN where that is zero."""

    rule: str
    chip: str
    crossbar: str
    relative_error: float
    cosine: float
    against: str


@dataclass(frozen=True)
class Curve:
    """Relative errors and cosines of a rule's worst array over one setting; NaN where the chip did not settle."""

    rule: str
    chip: str
    against: str
    knob: str
    """β (S), η, b of a nudge βb^k C, or reltol."""
    values: tuple[float, ...]
    errors: tuple[float, ...]
    cosines: tuple[float, ...]


@dataclass(frozen=True)
class Doubt:
    """A reason why figures of a rule are missing or should not be trusted: its nudge hardly shifts the nodes.

    `shift` is the median over the nodes at the cells' ends, `floor` what the solver or the converter can tell apart, V.
    """

    rule: str
    chip: str
    message: str
    shift: float | None = None
    floor: float | None = None


@dataclass(frozen=True, eq=False)
class Truth:
    """A gradient that others are compared with."""

    name: str
    gradient: Conductances
    """V²/S of every cell in the arrays' shapes, or of the probed ones, ``[k]`` for each array."""
    cells: tuple[Index, ...] | None = None
    """The probed cells of each array, ``[k, axes]``; None for all."""
    any_scale: bool = False
    """True to compare directions, at the one scale of all arrays that fits best."""

    def compare(self, rule: str, chip: str, circuit: Circuit, ours: Conductances) -> list[GradientError]:
        """Return one row for each trainable array, from a gradient of all cells."""
        if self.cells is not None:
            ours = tuple(part[tuple(cells.T)] for part, cells in zip(ours, self.cells, strict=True))
        name, parts = self.name, list(zip(map(np.ravel, ours), map(np.ravel, self.gradient), strict=True))
        if self.any_scale:
            a, b = map(np.concatenate, zip(*parts, strict=True))
            scale = _ratio(float(a @ b), float(a @ a))
            name, parts = f"{name}, scaled", [(scale * a, b) for a, b in parts]
        named = zip((array.name for array in circuit.arrays), parts, strict=True)
        return [GradientError(rule, chip, array, *_apart(a, b), name) for array, (a, b) in named]


@dataclass(frozen=True, eq=False)
class NamedChip:
    """A chip with its name and the tolerances that it settles to; None for the nodal chip, which has rounding only."""

    name: str
    chip: Chip
    tolerances: Tolerances | None = None


def audit_gradients(
    subject: Subject, *, ngspice: bool = True, curves: bool = True, tell: Callable[[str], None] = lambda _: None
) -> Iterator[GradientError | Curve | Doubt]:
    """Audit every rule on every chip, row by row.

    With `ngspice`, the chip that ngspice simulates is audited too. With `curves`, errors over β, η, b and, in
    ngspice, reltol follow where the circuit has an energy. `tell` is told what is being done.

    Raises:
        CircuitError: amplifiers close a loop, so that no energy exists.
        ConvergenceError: the free phase does not settle on the nodal chip.
        NgspiceMissing: ngspice is wanted and cannot be loaded.
    """
    circuit, cost, batch = subject.circuit, subject.cost, subject.batch
    tell("the adjoint and finite differences")
    nodal = NamedChip("nodal", nodal_chip(circuit, tolerance=_PRECISE))
    chips = [nodal, *([_simulated(circuit, subject.tolerances)] if ngspice else [])]
    adjoint = Truth("adjoint", _gradient(learning.AnalyticalGradient(circuit, cost), nodal.chip, subject))
    probed = probed_cells(circuit, subject.cells, np.random.default_rng(subject.seed))
    differences = Truth("finite differences", finite_differences(circuit, cost, batch, probed, step=_STEP), probed)
    yield from differences.compare("adjoint", "nodal", circuit, adjoint.gradient)
    reciprocal = is_reciprocal(circuit)
    directions = [replace(adjoint, any_scale=True), replace(differences, any_scale=True)]
    if reciprocal:
        directions.insert(0, Truth("its own limit", coupled_limit(nodal.chip, cost, batch)))
    for named in chips:
        for name, rule in applicable_rules(subject):
            tell(f"{name} on {named.name}")
            against = directions if isinstance(rule, CoupledLearning) else [adjoint, differences]
            yield from audit_rule(subject, name, rule, named, against)
    if curves and reciprocal:
        tell("curves")
        yield from _strength_curves(subject, nodal.chip, adjoint, directions[0])
        yield from _order_curves(subject, nodal.chip, adjoint)
        yield from (_tolerance_curve(subject, adjoint) for _ in chips[1:])


def audit_rule(
    subject: Subject, name: str, rule: LearningRule, named: NamedChip, truths: Sequence[Truth]
) -> Iterator[GradientError | Doubt]:
    """Compare one rule on one chip with some truths; give a `Doubt` where the chip cannot do what it asks."""
    try:
        readings = rule.measure(named.chip, subject.batch, np.random.default_rng(subject.seed))
        gradient = rule.gradient(readings)
    except (ChipError, CircuitError) as error:
        yield Doubt(name, named.name, str(error))
        return
    for truth in truths:
        yield from truth.compare(name, named.name, subject.circuit, gradient)
    if isinstance(readings, NudgedReadings):
        strength = "rule.eta" if isinstance(rule, CoupledLearning) else "rule.beta"
        yield from _doubts(subject, name, strength, named, readings)


def applicable_rules(subject: Subject) -> Iterator[tuple[str, LearningRule]]:
    """Give every rule that takes the circuit and its cost, with a label that stays the same between versions."""
    circuit, cost, step = subject.circuit, subject.cost, subject.step
    if is_reciprocal(circuit):
        yield from _rules_of_energy(subject)
    elif not one_way(circuit, but=Mosfet):
        yield from _nudged(subject, "equilibrium-propagation, one way ignored,", OneWay.IGNORE)
    with suppress(CircuitError):  # see below
        for variant in Variant:
            rule = AsymmetricEquilibriumPropagation(circuit, cost, beta=subject.beta, variant=variant)
            yield f"asymmetric-equilibrium-propagation {variant}", rule
    for form in learning.Form:
        with suppress(CircuitError):  # the cycle form takes neither amplifiers nor large circuits
            yield f"analytical-gradient {form}", learning.AnalyticalGradient(circuit, cost, form=form)
    yield "hardware-linearization", learning.HardwareLinearization(circuit, cost, gamma=subject.beta)
    with suppress(CircuitError):  # some one-way parts cannot work backwards about the free state
        oscillating = learning.FrequencyPropagation(circuit, cost, gamma=subject.beta, frequency=_FREQUENCY)
        yield "frequency-propagation", oscillating
    if len(circuit.nodes) - len(circuit.held_nodes) <= _MOST_MOVED:
        yield "node-perturbation", learning.NodePerturbation(circuit, cost, step=step)
    if sum(g.size for g in circuit.conductances) <= _MOST_MOVED:
        yield "finite-differences", learning.FiniteDifferences(circuit, cost, step=step)
    yield "simultaneous-perturbation", learning.SimultaneousPerturbation(circuit, cost, step=step, draws=_DRAWS)


def _rules_of_energy(subject: Subject) -> Iterator[tuple[str, LearningRule]]:
    """Give the rules that contrast states, which only reciprocal circuits allow."""
    yield from _nudged(subject, "equilibrium-propagation")
    for variant in Variant:
        rule = CoupledLearning(subject.circuit, subject.cost, eta=subject.eta, variant=variant)
        yield f"coupled-learning {variant}", rule


def _nudged(
    subject: Subject, label: str, treatment: OneWay = OneWay.REFUSE
) -> Iterator[tuple[str, EquilibriumPropagation]]:
    """Give equilibrium propagation in every form that takes the cost."""
    cost, beta = subject.cost, subject.beta
    for nudging in Nudging if isinstance(cost, learning.SquaredError) else (Nudging.CURRENT,):
        for variant in Variant:
            kinds = {"variant": variant, "nudging": nudging, "one_way": treatment}
            yield f"{label} {variant} {nudging}", EquilibriumPropagation(subject.circuit, cost, beta=beta, **kinds)


def coupled_limit(chip: Chip, cost: learning.Cost, batch: Batch) -> Conductances:
    """Return coupled learning's direction as η → 0, V², for each array: the slope of ½ eᵀKe with K held.

    K is the conductance that small signals see at the outputs about the free state (Stern et al. 2021, who derive it
    for linear networks) and e = ∂C/∂v. K⁻¹ is how outputs answer unit currents into one of them after the other, and
    those answers with weights Ke are the adjoint.
    """
    (free,) = chip.measure([Drive(batch.inputs)])
    units = [np.broadcast_to(unit, batch.targets.shape) for unit in np.eye(len(chip.circuit.outputs))]
    answers = chip.measure([Drive(batch.inputs, Injection(unit), "small-signal", about=free) for unit in units])
    ohms = np.stack([answer.outputs for answer in answers], axis=2)
    amperes = np.linalg.pinv(ohms, hermitian=True) @ cost.slopes(free.outputs, batch.targets)[:, :, None]
    adjoint = np.einsum("so,osn->sn", amperes[:, :, 0], np.stack([answer.nodes for answer in answers]))
    return Cells(chip.circuit).products(adjoint, free.nodes, -1 / len(batch))


def probed_cells(circuit: Circuit, count: int, rng: np.random.Generator) -> tuple[Index, ...]:
    """Return at most `count` cells of each array, ``[k, axes]``, among those with room for finite differences."""
    rooms = [(array, array.conductances, 2.1 * _STEP * array.conductances.mean()) for array in circuit.arrays]
    movable = [np.argwhere((g >= array.g_min + room) & (g <= array.g_max - room)) for array, g, room in rooms]
    return tuple(rng.permutation(cells)[:count] for cells in movable)


def _strength_curves(subject: Subject, chip: Chip, adjoint: Truth, limit: Truth) -> Iterator[Curve]:
    """Vary β of equilibrium propagation by current, which settles at any β, and η of coupled learning."""
    betas, etas = (tuple((unit * _STRENGTHS).tolist()) for unit in (subject.beta, subject.eta))
    for variant in (Variant.ONE_SIDED, Variant.CENTERED):
        worst = (_worst(_by_current(subject, beta, variant), chip, subject, adjoint) for beta in betas)
        yield _curve(f"equilibrium-propagation {variant} current", "nodal", adjoint, "β", betas, worst)
        clamped = (CoupledLearning(subject.circuit, subject.cost, eta=eta, variant=variant) for eta in etas)
        worst = (_worst(rule, chip, subject, limit) for rule in clamped)
        yield _curve(f"coupled-learning {variant}", "nodal", limit, "η", etas, worst)


def _order_curves(subject: Subject, chip: Chip, adjoint: Truth) -> Iterator[Curve]:
    """Vary b of currents −βb^k ∂C/∂v for every order k, whose contrast over b^k is β times the gradient."""
    scaled = replace(adjoint, gradient=tuple(subject.beta * part for part in adjoint.gradient))
    for order, variant in _ORDERS:
        strengths = tuple((_STRENGTHS ** (1 / order)).tolist())

        def nudge(b: float, free: Array, targets: Array, order: int = order) -> Injection:
            return Injection(-subject.beta * b**order * subject.cost.slopes(free, targets))

        rules = (
            GeneralizedEquilibriumPropagation(subject.circuit, nudge, order=order, strength=b, variant=variant)
            for b in strengths
        )
        worst = (_worst(rule, chip, subject, scaled) for rule in rules)
        yield _curve(f"generalized order {order} {variant}", "nodal", adjoint, "b", strengths, worst)


def _curve(
    rule: str, chip: str, truth: Truth, knob: str, values: tuple[float, ...], worst: Iterable[tuple[float, float]]
) -> Curve:
    errors, cosines = zip(*worst, strict=True)
    return Curve(rule, chip, truth.name, knob, values, errors, cosines)


def _tolerance_curve(subject: Subject, adjoint: Truth) -> Curve:
    """Vary reltol in ngspice, with vntol and abstol following as far as they may."""
    own, worst, variant = subject.tolerances, [], Variant.CENTERED
    for reltol in _RELTOLS:
        factor = reltol / own.reltol
        scaled = Tolerances(reltol, min(9.9e-4, factor * own.vntol), min(9.9e-7, factor * own.abstol))
        chip = _simulated(subject.circuit, scaled).chip
        worst.append(_worst(_by_current(subject, subject.beta, variant), chip, subject, adjoint))
    return _curve(f"equilibrium-propagation {variant} current", "ngspice", adjoint, "reltol", _RELTOLS, worst)


def _worst(rule: LearningRule, chip: Chip, subject: Subject, truth: Truth) -> tuple[float, float]:
    """Return the largest relative error and the smallest cosine of any array; NaN where the chip does not settle."""
    with suppress(ChipError):
        rows = truth.compare("", "", subject.circuit, _gradient(rule, chip, subject))
        shown = [(row.relative_error, row.cosine) for row in rows if not np.isnan(row.relative_error)]
        errors, cosines = zip(*shown, strict=True) if shown else ((np.nan,), (np.nan,))
        return max(errors), min(cosines)
    return np.nan, np.nan


def _doubts(subject: Subject, name: str, strength: str, named: NamedChip, readings: NudgedReadings) -> Iterator[Doubt]:
    """Give a doubt for a nudge that the solver's tolerance or a converter's step hides."""
    free = {node for array in subject.circuit.arrays for node in array.pins} - subject.circuit.held_nodes
    at = [k for node, k in subject.circuit.node_index.items() if node in free]
    shift = float(np.median(np.abs(readings.high.nodes - readings.free.nodes)[:, at]))
    volts = float(np.median(np.abs(readings.free.nodes[:, at])))
    own = named.tolerances
    floor = own.vntol + own.reltol * volts if own else _ROUNDING * volts
    found = f"the nudge moves the cells' nodes by {show(shift, 'V')} (median)"
    if shift < _MARGIN * floor:
        why = f"within {_MARGIN} × of the solver's floor of {show(floor, 'V')}; raise {strength}"
        why += ", or lower chip.reltol and chip.vntol" if own else ""
        yield Doubt(name, named.name, f"{found}, {why}", shift, floor)
    if (step := subject.adc_step) is not None and shift < step:
        why = f"below one step of the converter, {show(step, 'V')}; raise {strength}, or read with more bits"
        yield Doubt(name, named.name, f"{found}, {why}", shift, step)


def _by_current(subject: Subject, beta: float, variant: Variant) -> EquilibriumPropagation:
    return EquilibriumPropagation(subject.circuit, subject.cost, beta=beta, variant=variant, nudging=Nudging.CURRENT)


def _simulated(circuit: Circuit, tolerances: Tolerances) -> NamedChip:
    kind = FullBatchChip if settled_whole(circuit) else NgspiceChip
    return NamedChip("ngspice", kind(circuit, tolerances=tolerances), tolerances)


def _gradient(rule: LearningRule, chip: Chip, subject: Subject) -> Conductances:
    return rule.gradient(rule.measure(chip, subject.batch, np.random.default_rng(subject.seed)))


def _apart(ours: Array, theirs: Array) -> tuple[float, float]:
    """Return relative error and cosine."""
    error, mine, size = (float(np.linalg.norm(part)) for part in (ours - theirs, ours, theirs))
    return _ratio(error, size), float(np.clip(_ratio(float(ours @ theirs), mine * size), -1, 1))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else np.nan
