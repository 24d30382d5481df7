"""Cells with a curve: closed forms, Kirchhoff's law, an optimiser, and the two simulators against each other."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, root

from harness.chip.base import Chip
from harness.chip.imperfect.made import VariedChip
from harness.chip.ngspice.chip import FullBatchChip, FullNetlistChip, NgspiceChip
from harness.chip.nodal import continuation, unreduced
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import (
    GROUND,
    Buffer,
    Circuit,
    Crossbar,
    CurrentSource,
    Diode,
    Edges,
    Gyrator,
    InputSource,
    Output,
    Reduction,
    Resistor,
    Transformer,
    VoltageSource,
)
from harness.circuit.linearized import linearized
from harness.circuit.monotone.monotone import network_of
from harness.circuit.power import dissipated
from harness.circuit.variation.lines import LineResistance
from harness.circuit.variation.nonlinearity import CellNonlinearity
from harness.circuit.variation.variation import ConductanceSpread, Variation, vary
from harness.devices import LINEAR_CELLS, CellLaw, Curve
from harness.errors import ChipError, CircuitError, ConvergenceError, ExperimentError
from harness.experiment.experiment import Experiment
from harness.learning import EquilibriumPropagation, SquaredError
from harness.measurement import Array, Clamp, Drive, Injection, Reading, Spring
from harness.netlist.decks.full import export_text
from harness.netlist.tolerances import TIGHT, Tolerances
from tests.circuit.test_stages import cascade
from tests.conftest import DIODE, bearable, kendall, random_batch, scellier
from tests.learning.test_rules import graph

SINH, CUBIC = CellNonlinearity(sinh=0.4), CellNonlinearity(cubic=0.4)
LINES = LineResistance(0.02, 0.01)
DENSE_OR_SPARSE = pytest.mark.parametrize("dense", [3000, 0], ids=["dense", "sparse"])
CURVES: dict[str, Callable[[Array], Array]] = {
    "sinh": lambda v: 0.4 * np.sinh(v / 0.4),
    "cubic": lambda v: v * (1 + (v / 0.4) ** 2),
}


def nonlinear(circuit: Circuit, law: CellNonlinearity = SINH, lines: LineResistance | None = None) -> Circuit:
    return law.apply(lines.apply(circuit) if lines else circuit)


def phases(circuit: Circuit, samples: int = 3) -> list[Drive]:
    batch = random_batch(circuit, samples)
    return [
        Drive(batch.inputs),
        Drive(batch.inputs, Spring(0.05, batch.targets), "nudged +β"),
        Drive(batch.inputs, Spring(-bearable(circuit, 0.01), batch.targets), "nudged −β"),
        Drive(batch.inputs, Injection(0.02 * batch.targets), "injected"),
        Drive(batch.inputs, Clamp(0.1 * batch.targets), "clamped"),
    ]


def small_signals(circuit: Circuit, about: Reading, *, adjoint: bool = False) -> list[Drive]:
    batch = random_batch(circuit, len(about.all_nodes))
    return [Drive(batch.inputs, Injection(batch.targets), "linearized", about, adjoint=adjoint)]


def apart(first: Sequence[Reading], second: Sequence[Reading]) -> float:
    """Largest difference of any node in any phase, V."""
    pairs = zip(first, second, strict=True)
    return max(max(np.abs(a.nodes - b.nodes).max(), np.abs(a.outputs - b.outputs).max()) for a, b in pairs)


def one_cell(law: CellLaw, siemens: float = 0.5) -> Circuit:
    """A cell from the input to a node with 1 S to ground."""
    elements = (
        InputSource("x0", "x0", 0, 1.0),
        Crossbar("w", ("x0",), ("o0",), np.array([[siemens]]), 0.0, 10.0, law),
        Resistor("load", "o0", "0", 1.0),
    )
    return Circuit("one", elements, (Output("y0", "o0"),))


def every_element() -> Circuit:
    """Gyrator, transformer, buffer, current source, diode, edges and a crossbar in one."""
    rng = np.random.default_rng(0)
    elements = (
        InputSource("x0", "a", 0, 2.0),
        InputSource("x1", "b", 1, 1.0),
        VoltageSource("rail", "r", -0.5),
        Crossbar("w", ("a", "b", "r"), ("c", "d", "e"), rng.uniform(0.2, 1, (3, 3)), 0.0, 2.0),
        Buffer("follow", "c", "f", -1.5),
        Edges("v", ("f", "d", "h", "c"), ("g", "g", "0", "e"), rng.uniform(0.2, 1, 4), 0.0, 2.0),
        Gyrator("turn", "d", "0", "e", "g", 0.3),
        Transformer("wind", "h", "0", "e", "0", 2.0),
        CurrentSource("push", "g", "e", 0.1),
        Diode("clip", "d", "r", DIODE),
        Resistor("load", "g", "0", 0.4),
    )
    return Circuit("every", elements, (Output("y0", "g"), Output("y1", "e", "d")))


@pytest.mark.parametrize("curve", [Curve.SINH, Curve.CUBIC])
@given(volts=st.floats(-20, 20), scale=st.floats(0.05, 50))
@settings(max_examples=50, deadline=None)
def test_laws_are_odd_and_their_slope_is_their_derivative(curve: Curve, volts: float, scale: float) -> None:
    law, step = CellLaw(curve, scale), 1e-5 * scale
    over = np.array([volts, -volts, volts + step, volts - step, 0.0])
    current, slope = law.current_and_slope(over)
    expected = scale * np.sinh(volts / scale) if curve is Curve.SINH else volts * (1 + (volts / scale) ** 2)
    assert current[0] == pytest.approx(expected, rel=1e-12)
    assert current[1] == -current[0]
    assert (current[4], slope[4]) == (0.0, 1.0)
    assert (current[2] - current[3]) / (2 * step) == pytest.approx(slope[0], rel=1e-6)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (lambda: CellLaw(Curve.SINH), "V₀ 0 V of a sinh cell must lie in 1 mV…1 MV"),
        (lambda: CellLaw(Curve.CUBIC, np.inf), "V₀ inf V of a cubic cell must lie in"),
        (lambda: CellLaw(volts=1.0), "a linear cell has no V₀, 1 V was given"),
        (lambda: CellNonlinearity(sinh=-1.0), "V₀ -1 V of a sinh cell must lie in"),
        (lambda: CellNonlinearity(sinh=1.0, cubic=1.0), "cells have one curve; give a voltage for sinh or for cubic"),
    ],
)
def test_laws_that_make_no_sense_are_refused(law: Callable[[], object], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        law()


@pytest.mark.parametrize("law", [SINH.law, CUBIC.law], ids=["sinh", "cubic"])
def test_one_cell_follows_its_closed_form(law: CellLaw) -> None:
    inputs = np.array([[-3.0], [-0.1], [0.0], [0.7], [2.0]])
    (reading,) = UnreducedNodalChip(one_cell(law)).measure([Drive(inputs)])
    for volts, found in zip(inputs[:, 0], reading.outputs[:, 0], strict=True):
        expected = brentq(lambda v, x=volts: 0.5 * CURVES[law.curve](x - v) - v, -3, 3, xtol=1e-15)
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("law", [SINH, CUBIC], ids=["sinh", "cubic"])
def test_a_crossbar_agrees_with_an_optimiser(law: CellNonlinearity) -> None:
    g = np.array([[0.3, 0.8], [0.5, 0.1], [0.9, 0.4]])
    elements = (
        *(InputSource(f"x{k}", f"x{k}", k, 1.0) for k in range(3)),
        Crossbar("w", ("x0", "x1", "x2"), ("o0", "o1"), g, 0.0, 1.0),
        Edges("v", ("o0", "o0", "o1"), ("o1", "0", "0"), np.array([0.2, 0.6, 0.3]), 0.0, 1.0),
    )
    circuit = law.apply(Circuit("small", elements, (Output("y0", "o0"), Output("y1", "o1"))))
    inputs = np.random.default_rng(0).normal(size=(4, 3))
    (reading,) = UnreducedNodalChip(circuit).measure([Drive(inputs)])
    f = CURVES[law.law.curve]
    for x, found in zip(inputs, reading.outputs, strict=True):

        def left(v: Array, x: Array = x) -> Array:
            into = (g * f(x[:, None] - v)).sum(axis=0) - np.array([0.6, 0.3]) * f(v)
            return into - np.array([1, -1]) * 0.2 * f(v[0] - v[1])

        np.testing.assert_allclose(found, root(left, np.zeros(2), tol=1e-14).x, atol=1e-10)


def currents(circuit: Circuit, volts: dict[str, float]) -> Iterator[tuple[str, float]]:
    """Current out of every node through cells, resistors and diodes, element by element."""
    for e in circuit.elements:
        if isinstance(e, (Crossbar, Edges)):
            pairs = zip(e.a, e.b, strict=True) if isinstance(e, Edges) else ((w, b) for w in e.words for b in e.bits)
            for (a, b), g in zip(pairs, e.conductances.ravel(), strict=True):
                flowing = g * 0.4 * np.sinh((volts[a] - volts[b]) / 0.4)
                yield from ((a, flowing), (b, -flowing))
        elif isinstance(e, Resistor):
            flowing = e.conductance * (volts[e.a] - volts[e.b])
            yield from ((e.a, flowing), (e.b, -flowing))
        elif isinstance(e, Diode):
            scale = e.model.emission * 1.380649e-23 * 300.15 / 1.602176634e-19
            flowing = e.model.saturation_current * np.expm1((volts[e.anode] - volts[e.cathode]) / scale)
            yield from ((e.anode, flowing), (e.cathode, -flowing))


@DENSE_OR_SPARSE
@pytest.mark.parametrize("lines", [None, LINES], ids=["ideal", "lines"])
def test_kirchhoffs_law_holds_at_every_free_node(
    lines: LineResistance | None, dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreduced, "_DENSE", dense)
    circuit = nonlinear(scellier([4, 3]), SINH, lines)
    (reading,) = UnreducedNodalChip(circuit).measure([Drive(random_batch(circuit).inputs)])
    for row in reading.nodes:
        flowing = list(currents(circuit, dict(zip(circuit.nodes, row.tolist(), strict=True)) | {GROUND: 0.0}))
        total = dict.fromkeys(circuit.nodes, 0.0) | {GROUND: 0.0}
        for node, amperes in flowing:
            total[node] += amperes
        largest = max(abs(amperes) for _, amperes in flowing)
        free = [total[node] for node in circuit.nodes if node not in circuit.held_nodes]
        assert np.abs(free).max() <= 1e-6 * largest  # what the law of a blocking diode leaves; far below it otherwise


LINEAR = [kendall([5]), kendall([4, 3, 5]), scellier([4, 3]), graph(diodes=True), graph(), cascade(), every_element()]
LINEAR += [LINES.apply(circuit) for circuit in (kendall([4]), cascade())]


@DENSE_OR_SPARSE
@pytest.mark.parametrize("circuit", LINEAR, ids=lambda circuit: f"{circuit.name}-{len(circuit.nodes)}")
def test_linear_cells_give_what_the_reduced_circuit_gives(
    circuit: Circuit, dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreduced, "_DENSE", dense)
    drives = phases(circuit)
    reduced, full = NodalChip(circuit, tolerance=1e-10), UnreducedNodalChip(circuit)
    expected = reduced.measure(drives)
    assert apart(full.measure(drives), expected) <= 1e-9
    for adjoint in (False, True):
        signals = small_signals(circuit, expected[0], adjoint=adjoint)
        assert apart(full.measure(signals), reduced.measure(signals)) <= 1e-9


NONLINEAR = [
    pytest.param(nonlinear(circuit, law, lines), id=f"{circuit.name}-{law.law.curve}-{'lines' if lines else 'ideal'}")
    for circuit in (kendall([4]), scellier([4, 3]), graph(diodes=True), every_element())
    for law in (SINH, CUBIC)
    for lines in (None, LINES)
    if not (lines and circuit.name == "graph")
]


@pytest.mark.ngspice
@pytest.mark.release
@pytest.mark.parametrize("circuit", NONLINEAR)
def test_ngspice_and_the_unreduced_chip_agree(circuit: Circuit) -> None:
    drives = phases(circuit)
    ours = UnreducedNodalChip(circuit).measure(drives)
    assert apart(FullBatchChip(circuit, tolerances=TIGHT, chunk=2).measure(drives), ours) <= 1e-8
    assert apart(FullNetlistChip(circuit, tolerances=TIGHT).measure(drives), ours) <= 1e-8
    assert apart(FullBatchChip(circuit).measure(drives), ours) <= 1e-5
    signals = small_signals(circuit, ours[0])
    expected = UnreducedNodalChip(circuit).measure(signals)
    assert apart(FullBatchChip(circuit, tolerances=TIGHT).measure(signals), expected) <= 1e-8


@DENSE_OR_SPARSE
@pytest.mark.parametrize("circuit", NONLINEAR)
def test_small_signals_are_the_slope_of_large_ones(
    circuit: Circuit, dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreduced, "_DENSE", dense)
    chip, batch, step = UnreducedNodalChip(circuit, tolerance=1e-9), random_batch(circuit), 1e-5
    drives = [Drive(batch.inputs, Injection(sign * step * batch.targets)) for sign in (0, 1, -1)]
    free, up, down = chip.measure(drives)
    (moved,) = chip.measure(small_signals(circuit, free))
    np.testing.assert_allclose(moved.nodes, (up.nodes - down.nodes) / (2 * step), atol=1e-5)
    about = free.nodes[1]
    (seen,) = NodalChip(linearized(circuit, about)).measure(
        [Drive(0 * batch.inputs[:1], Injection(batch.targets[1:2]))]
    )
    np.testing.assert_allclose(seen.nodes[0], moved.nodes[1], atol=1e-9)


@pytest.mark.parametrize("circuit", NONLINEAR)
def test_the_adjoint_is_the_transposed_response(circuit: Circuit) -> None:
    """How output a answers a current at output b is how, in the adjoint network, b answers one at a."""
    chip, inputs = UnreducedNodalChip(circuit), random_batch(circuit, 1).inputs
    (free,) = chip.measure([Drive(inputs)])
    count = len(circuit.outputs)
    answers = {
        adjoint: np.array(
            [
                chip.measure([Drive(inputs, Injection(row[None]), "s", free, adjoint)])[0].outputs[0]
                for row in np.eye(count)
            ]
        )
        for adjoint in (False, True)
    }
    np.testing.assert_allclose(answers[True], answers[False].T, atol=1e-10)


@pytest.mark.parametrize(("kind", "volts", "order"), [("sinh", 100.0, 2), ("cubic", 100.0, 2)])
def test_a_large_voltage_of_the_curve_tends_to_linear_cells(kind: str, volts: float, order: int) -> None:
    base = LINES.apply(kendall([4]))
    drives = phases(base)
    expected = NodalChip(base, tolerance=1e-10).measure(drives)
    near, nearer = (
        apart(UnreducedNodalChip(CellNonlinearity(**{kind: v}).apply(base)).measure(drives), expected)
        for v in (volts, 10 * volts)
    )
    assert near < 1e-2
    assert nearer == pytest.approx(near / 10**order, rel=0.1)


def test_lines_carry_the_curve_and_vanish_with_their_resistance() -> None:
    base, law = kendall([4]), SINH.law
    assert {array.law for array in nonlinear(base, SINH, LINES).arrays} == {law}
    assert {array.law for array in LINES.apply(SINH.apply(base)).arrays} == {law}
    drives = phases(base)
    ideal, thin = (
        UnreducedNodalChip(nonlinear(base, SINH, lines)).measure(drives) for lines in (None, LineResistance(1e-6, 1e-6))
    )
    shared = [nonlinear(base, SINH, LINES).node_index[node] for node in base.nodes]
    for a, b in zip(ideal, thin, strict=True):
        np.testing.assert_allclose(b.nodes[:, shared], a.nodes, atol=1e-4)


def test_programmed_conductances_are_what_settles() -> None:
    circuit = nonlinear(kendall([4]))
    changed = [np.clip(1.3 * g, c.g_min, c.g_max) for g, c in zip(circuit.conductances, circuit.arrays, strict=True)]
    chip, drives = UnreducedNodalChip(circuit), phases(circuit)
    before = chip.measure(drives)
    chip.program(changed)
    after = chip.measure(drives)
    assert apart(before, after) > 1e-3
    assert apart(after, UnreducedNodalChip(circuit.with_conductances(changed)).measure(drives)) == 0


def test_linear_cells_are_the_default_and_nothing_is_the_same_circuit() -> None:
    circuit = kendall([4])
    assert all(array.law == LINEAR_CELLS for array in circuit.arrays)
    assert CellNonlinearity().apply(circuit) is circuit
    assert vary(circuit, Variation(), 0) is circuit


def test_the_curve_is_a_variation_that_draws_nothing() -> None:
    spread = ConductanceSpread(0.2)
    plain, bent = (vary(kendall([4]), Variation(spread=spread, **more), 3) for more in ({}, {"nonlinearity": SINH}))
    assert {array.law for array in bent.arrays} == {SINH.law}
    assert all((a == b).all() for a, b in zip(plain.conductances, bent.conductances, strict=True))


@pytest.mark.parametrize("make", [NodalChip, Reduction, network_of])
def test_what_needs_linear_cells_says_so(make: Callable[[Circuit], object]) -> None:
    message = "crossbar w1: its cells are sinh, and only linear ones can be reduced; settle circuit .* in Unreduced"
    with pytest.raises(CircuitError, match=message):
        make(nonlinear(kendall([4])))


@pytest.mark.ngspice
def test_the_reduced_ngspice_chip_says_so_too() -> None:
    with pytest.raises(CircuitError, match=r"in UnreducedNodalChip or FullBatchChip \(harness.chip.nodal.unreduced, "):
        NgspiceChip(nonlinear(kendall([4])))


def test_what_cannot_settle_names_sample_and_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreduced, "MAX_ITERATIONS", 2)
    monkeypatch.setattr(continuation, "_MOST", 2)
    inputs = np.array([[0.0], [0.0], [3.0]])
    with pytest.raises(
        ConvergenceError, match="sample 2, held phase: Newton's method did not settle within 2"
    ) as found:
        UnreducedNodalChip(one_cell(SINH.law)).measure([Drive(inputs, phase="held")])
    assert (found.value.sample, found.value.phase) == (2, "held")


def test_voltages_at_which_sinh_is_no_number_are_refused() -> None:
    elements = (
        *(InputSource(f"x{k}", f"x{k}", k, 1.0) for k in range(2)),
        Crossbar("w", ("x0", "x1"), ("o0",), np.array([[0.5], [0.7]]), 0.0, 1.0, CellLaw(Curve.SINH, 1e-3)),
    )
    chip = UnreducedNodalChip(Circuit("strained", elements, (Output("y0", "o0"),)))
    with pytest.raises(ConvergenceError, match="sample 1, free phase: a sinh cell would have more than 600 V₀"):
        chip.measure([Drive(np.array([[0.1, -0.1], [1.0, -1.0]]))])


@DENSE_OR_SPARSE
def test_a_node_that_floats_is_refused(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreduced, "_DENSE", dense)
    elements = (
        InputSource("x0", "x0", 0, 1.0),
        Crossbar("w", ("x0",), ("o0", "o1"), np.ones((1, 2)), 0.0, 10.0, SINH.law),
    )
    chip = UnreducedNodalChip(Circuit("open", elements, (Output("y0", "o0"),)))
    chip.program([np.array([[1.0, 0.0]])])
    with pytest.raises(ChipError, match="free phase: the equations are singular"):
        chip.measure([Drive(np.ones((1, 1)))])


@given(seed=st.integers(0, 2**16), volts=st.floats(0.05, 5), gain=st.floats(0.1, 20), cubic=st.booleans())
@settings(max_examples=25, deadline=None)
def test_newtons_method_settles_whatever_is_thrown_at_it(seed: int, volts: float, gain: float, cubic: bool) -> None:
    law = CellNonlinearity(cubic=volts) if cubic else CellNonlinearity(sinh=volts)
    circuit = law.apply(kendall([4, 3], seed, input_gain=gain))
    readings = UnreducedNodalChip(circuit).measure(phases(circuit))
    assert all(np.isfinite(reading.nodes).all() for reading in readings)
    assert np.abs(readings[0].nodes).max() <= 4**2 * max(gain * 4, 5)


def test_power_of_nonlinear_cells_is_current_times_voltage() -> None:
    circuit = one_cell(SINH.law)
    (reading,) = UnreducedNodalChip(circuit).measure([Drive(np.array([[1.0], [-2.0]]))])
    out = reading.outputs[:, 0]
    watts = np.array([1.0, -2.0]) * out  # the source's voltage × the load's current
    np.testing.assert_allclose(dissipated(circuit, circuit.conductances, reading.nodes), watts, rtol=1e-9)


def test_the_exported_netlist_states_the_law() -> None:
    text = export_text(one_cell(SINH.law), np.array([1.0]), Tolerances(), [])
    assert "bw_0_0 x0 o0 i=0.2*sinh(2.5*v(x0,o0))\n" in text
    cubic = export_text(one_cell(CUBIC.law), np.array([1.0]), Tolerances(), [])
    assert "bw_0_0 x0 o0 i=v(x0,o0)*(0.5+3.125*v(x0,o0)*v(x0,o0))\n" in cubic.replace("3.1249999999999996", "3.125")


def descent(chip: Chip, circuit: Circuit, steps: int = 25) -> list[float]:
    """Losses of equilibrium propagation on four random rows; the rule knows the ideal circuit only."""
    rule, batch, cost = (
        EquilibriumPropagation(circuit, SquaredError(), beta=1e-3),
        random_batch(circuit, 4),
        SquaredError(),
    )
    losses, rng = [], np.random.default_rng(0)
    for _ in range(steps):
        readings = rule.measure(chip, batch, rng)
        chip.adjust([-0.2 * slope for slope in rule.gradient(readings)])
        losses.append(float(cost.values(readings.free.outputs, batch.targets).mean()))
    return losses


def test_a_rule_that_knows_linear_cells_trains_nonlinear_ones() -> None:
    ideal = kendall([8], input_gain=2.0)
    losses = descent(UnreducedNodalChip(CellNonlinearity(sinh=1.0).apply(ideal)), ideal)
    assert losses[-1] < 0.8 * losses[0]


CURVED_IRIS = ["variation.cell_sinh=2 V", "variation.line_word=10 Ohm"]


def test_experiments_take_a_chip_that_knows_the_curve() -> None:
    for overrides, kind in ((CURVED_IRIS, UnreducedNodalChip), (CURVED_IRIS[1:], NodalChip)):
        chip = Experiment.load("iris", ["chip.kind=nodal", *overrides]).new_chip()
        assert isinstance(chip, VariedChip)
        assert type(chip._chip) is kind
    assert {array.law for array in chip.circuit.arrays} == {LINEAR_CELLS}


@pytest.mark.ngspice
def test_an_experiment_with_nonlinear_cells_settles_alike_in_both_simulators() -> None:
    readings = []
    for kind in ("ngspice", "nodal"):
        experiment = Experiment.load("iris", [f"chip.kind={kind}", CURVED_IRIS[0]])
        rows = experiment.data.train.batch(slice(0, 3))
        with experiment.open_chip() as chip:
            readings.append(experiment.rule.measure(chip, rows, np.random.default_rng(0)).free)
    assert apart(readings[:1], readings[1:]) <= 1e-5


def test_cells_have_one_curve_in_an_experiment() -> None:
    with pytest.raises(ExperimentError, match="cell_cubic: cell_sinh says already"):
        Experiment.load("iris", ["variation.cell_sinh=2 V", "variation.cell_cubic=2 V"])
