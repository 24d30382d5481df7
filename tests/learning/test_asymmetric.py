"""Asymmetric equilibrium propagation: nudging where errors do not return by themselves, against other equations."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import Experiment
from harness.chip.base import Chip
from harness.chip.imperfect.made import VariedChip
from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.imperfect.wrapped import WrappedChip
from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import (
    Buffer,
    Circuit,
    Crossbar,
    Diode,
    Edges,
    Gyrator,
    InputSource,
    Output,
    Resistor,
    Transformer,
    rectified_cascade,
)
from harness.circuit.variation.lines import AmplifierErrors
from harness.circuit.variation.variation import ConductanceSpread, Variation
from harness.devices import CellLaw, Curve
from harness.devices.diode import THERMAL_VOLTAGE
from harness.errors import ChipError, CircuitError, ExperimentError
from harness.learning import (
    AsymmetricEquilibriumPropagation,
    EquilibriumPropagation,
    HardwareLinearization,
    Nudging,
    SoftmaxCrossEntropy,
    SquaredError,
    Variant,
)
from harness.measurement import Batch, Conductances, Drive, Injection, Reading
from harness.netlist.tolerances import Tolerances
from harness.testing import check_rule
from tests.conftest import CELLS, DIODE, kendall, random_batch
from tests.learning.test_rules import assert_close, gradient_of, graph, inside, truth

COST = SquaredError()
CHIPS = [
    pytest.param(lambda circuit: NodalChip(circuit, tolerance=1e-13), id="nodal"),
    pytest.param(
        lambda circuit: NgspiceChip(circuit, tolerances=Tolerances(1e-9, 1e-12, 1e-15)),
        id="ngspice",
        marks=pytest.mark.ngspice,
    ),
]


def cascade(seed: int = 0) -> Circuit:
    """Three crossbars between buffers, for signals at which its diodes bend."""
    rng = np.random.default_rng(seed)
    return inside(rectified_cascade(2, [4, 3], 2, cells=CELLS, diode=DIODE, rng=rng, input_gain=0.4))


def gyrating(seed: int = 0) -> Circuit:
    """A random graph with diodes, in which two gyrators turn voltages into currents."""
    base = graph(seed=seed, diodes=True)
    turned = Gyrator("g0", "n3", "0", "n6", "0", 0.4), Gyrator("g1", "n4", "n5", "n7", "0", 0.3)
    return Circuit("gyrating", (*base.elements, *turned), base.outputs)


ONE_WAY = [pytest.param(cascade(), id="cascade"), pytest.param(gyrating(), id="gyrating")]


def rule_of(
    circuit: Circuit, beta: float = 1e-3, variant: Variant = Variant.CENTERED
) -> AsymmetricEquilibriumPropagation:
    return AsymmetricEquilibriumPropagation(circuit, COST, beta=beta, variant=variant)


def flat(gradient: Conductances) -> np.ndarray:
    return np.concatenate([part.ravel() for part in gradient])


def off(ours: Conductances, exact: Conductances) -> float:
    return float(np.linalg.norm(flat(ours) - flat(exact)) / np.linalg.norm(flat(exact)))


class Unreversed(WrappedChip):
    """The same chip, whose one-way parts nobody reverses: what plain equilibrium propagation would read."""

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        return super().measure([replace(drive, reversal=None) for drive in drives])


# --- the gradient


@pytest.mark.parametrize("make", CHIPS)
@pytest.mark.parametrize("circuit", ONE_WAY)
def test_nudging_gives_the_gradient_where_errors_do_not_return(make: Callable[..., Chip], circuit: Circuit) -> None:
    """Cosine 1 with finite differences; without the reversal the same contrast is wrong."""
    batch = random_batch(circuit, 4)
    for cost in (COST, SoftmaxCrossEntropy(0.7)):
        exact = truth(circuit, batch, cost)
        rule = AsymmetricEquilibriumPropagation(circuit, cost, beta=1e-2)
        assert_close(gradient_of(rule, make(circuit), batch), exact, 1e-4)
        plain = gradient_of(rule, Unreversed(make(circuit)), batch)
        assert max(off((p,), (e,)) for p, e in zip(plain, exact, strict=True)) > 0.1


@pytest.mark.parametrize("make", CHIPS)
@pytest.mark.parametrize("circuit", ONE_WAY)
@pytest.mark.parametrize(("variant", "slope"), [(Variant.CENTERED, 2), (Variant.ONE_SIDED, 1)])
def test_the_error_has_the_slope_of_theory(
    make: Callable[..., Chip], circuit: Circuit, variant: Variant, slope: int
) -> None:
    batch, chip, betas = random_batch(circuit, 4), make(circuit), np.array([0.04, 0.08, 0.16])
    exact = gradient_of(HardwareLinearization(circuit, COST, gamma=1e-3), chip, batch)
    errors = [off(gradient_of(rule_of(circuit, beta, variant), chip, batch), exact) for beta in betas]
    assert np.polyfit(np.log(betas), np.log(errors), 1)[0] == pytest.approx(slope, abs=0.1)


def settled(g: np.ndarray, x: float, pushed: np.ndarray, about: np.ndarray | None = None) -> np.ndarray:
    """Two nodes behind a buffer of gain 3: x — a over g₀, buffer, b over g₁, b to a over 0.1 S; diodes to ground.

    With `about`, the currents of (J − Jᵀ)(v − about) are taken away, which `numpy` finds from J alone.
    """
    fixed, gain, scale = 0.3, 3.0, DIODE.emission * THERMAL_VOLTAGE
    linear = np.array([[g[0] + 0.1 + fixed, -0.1], [-0.1 - gain * g[1], g[1] + 0.1 + fixed]])
    skew = np.zeros((2, 2)) if about is None else linear - linear.T
    v = np.zeros(2)
    for _ in range(300):
        grown = DIODE.saturation_current * np.exp(v / scale)
        residual = linear @ v + grown - DIODE.saturation_current - [g[0] * x, 0] - pushed
        residual = residual - (0 if about is None else skew @ (v - about))
        v = v - np.clip(np.linalg.solve(linear - skew + np.diag(grown / scale), residual), -0.05, 0.05)
    return v


@pytest.mark.parametrize("make", CHIPS)
def test_the_nudged_states_are_those_of_equations_written_by_hand(make: Callable[..., Chip]) -> None:
    """Kirchhoff's and Shockley's laws for two nodes, with the skew part taken from the Jacobian as numbers."""
    g, x, target, beta = np.array([0.5, 0.8]), 0.5, -0.4, 0.05
    parts = (
        InputSource("s", "x", 0, 1.0),
        Edges("w", ("x", "copy"), ("a", "b"), g, 0.01, 10.0),
        Buffer("buf", "a", "copy", 3.0),
        *(
            Resistor(f"r{k}", *ends, siemens)
            for k, (*ends, siemens) in enumerate((("a", "0", 0.3), ("b", "0", 0.3), ("a", "b", 0.1)))
        ),
        Diode("d0", "a", "0", DIODE),
        Diode("d1", "b", "0", DIODE),
    )
    circuit = Circuit("pair", parts, (Output("y", "b"),))
    batch = Batch(np.array([[x]]), np.array([[target]]))
    free = settled(g, x, np.zeros(2))
    slope = COST.slopes(free[None, 1:], batch.targets)[0, 0]
    high, low = (settled(g, x, np.array([0, side * -beta * slope]), free) for side in (1, -1))
    found = rule_of(circuit, beta).measure(make(circuit), batch, np.random.default_rng(0))
    at = [circuit.node_index[node] for node in ("a", "b")]
    for ours, theirs in ((found.free, free), (found.high, high), (found.low, low)):
        np.testing.assert_allclose(ours.nodes[0, at], theirs, rtol=0, atol=1e-9)
    moved = -(high - low) / (2 * beta)
    expected = [-(x - free[0]) * -moved[0], -(3 * free[0] - free[1]) * -moved[1]]
    np.testing.assert_allclose(rule_of(circuit, beta).gradient(found)[0], expected, rtol=1e-6)
    step = 1e-6
    cost = [
        [COST.values(settled(g + side * step * unit, x, np.zeros(2))[None, 1:], batch.targets)[0] for side in (1, -1)]
        for unit in np.eye(2)
    ]
    np.testing.assert_allclose(expected, [(up - down) / (2 * step) for up, down in cost], rtol=0.02)


@pytest.mark.parametrize("circuit", [inside(kendall([5, 4])), graph(diodes=True)], ids=["amplified", "graph"])
def test_in_a_reciprocal_circuit_it_is_equilibrium_propagation(circuit: Circuit) -> None:
    batch, chip = random_batch(circuit), NodalChip(circuit, tolerance=1e-13)
    plain = EquilibriumPropagation(circuit, COST, beta=1e-4, nudging=Nudging.CURRENT)
    rule = rule_of(circuit, 1e-4)
    assert rule.needs == plain.needs
    assert_close(gradient_of(rule, chip, batch), gradient_of(plain, chip, batch), 1e-8)
    assert_close(gradient_of(rule, UnreducedNodalChip(circuit), batch), gradient_of(plain, chip, batch), 1e-4)


def test_amplifiers_of_unequal_gains_are_one_way_too() -> None:
    circuit = AmplifierErrors(gain=0.1, offset=0.02).apply(inside(kendall([5, 4])), np.random.default_rng(0))
    batch = random_batch(circuit)
    assert_close(gradient_of(rule_of(circuit), NodalChip(circuit, tolerance=1e-13), batch), truth(circuit, batch), 1e-5)


@pytest.mark.parametrize("circuit", ONE_WAY)
def test_it_keeps_what_rules_promise(circuit: Circuit) -> None:
    check_rule(lambda c, _: rule_of(c), lambda: NodalChip(circuit, tolerance=1e-13), COST, least_cosine=0.999999)


def test_wrapped_chips_reverse_about_the_state_that_they_are_in() -> None:
    """Noise of readings and a converter do not move the state that the sources keep."""
    circuit, batch = cascade(), random_batch(cascade())
    noisy = ImperfectChip(NodalChip(circuit, tolerance=1e-13), PinErrors(adc_bits=10, adc_range=3.0), seed=0)
    made = VariedChip(
        circuit, Variation(spread=ConductanceSpread(0.1)), 0, lambda inner: NodalChip(inner, tolerance=1e-13)
    )
    for chip in (noisy, made):
        (free,) = chip.measure([Drive(batch.inputs)])
        nothing = Drive(batch.inputs, Injection(0 * batch.targets), "nudged", reversal=free)
        (kept,) = chip.measure([nothing])
        np.testing.assert_allclose(kept.nodes, free.nodes, rtol=0, atol=1e-9)
    exact = truth(made.made, batch)
    assert_close(gradient_of(rule_of(circuit), made, batch), exact, 1e-4)


def test_a_cascade_learns_digits_by_nudging(tmp_path: Path) -> None:
    told = ["chip.kind=nodal", "training.epochs=1", "rule.kind=asymmetric-equilibrium-propagation"]
    subject = Experiment.load("cascade-digits", told)
    run = subject.create_run(tmp_path / "run")
    assert subject.train(run, pictures=False)["test_accuracy"] > 0.85
    assert "beta = " in (run.path / "experiment.toml").read_text(encoding="utf-8")


# --- what is refused


@pytest.mark.parametrize("beta", [0.0, -1.0, np.nan, np.inf])
def test_strengths_that_make_no_sense_are_refused(beta: float) -> None:
    with pytest.raises(ExperimentError, match=r"equilibrium propagation: β = .* S must be above 0 and finite"):
        rule_of(cascade(), beta)


def test_circuits_that_cannot_be_reversed_are_sent_to_rules_that_take_them() -> None:
    base = cascade()
    curved = [
        Crossbar(e.name, e.words, e.bits, e.conductances, e.g_min, e.g_max, law=CellLaw(Curve.SINH, 1.0))
        if isinstance(e, Crossbar)
        else e
        for e in base.elements
    ]
    coils = gyrating().elements, Transformer("t", "n3", "0", "n4", "0", 0.5)
    for circuit, why in {
        Circuit("curved", tuple(curved), base.outputs): "cells have a curve",
        Circuit("coils", (*coils[0], coils[1]), gyrating().outputs): "the currents of transformers cannot be read",
    }.items():
        with pytest.raises(CircuitError, match=f"circuit {circuit.name}: {why}, .* take hardware-linearization or ana"):
            rule_of(circuit)


def test_drives_that_cannot_be_reversed_are_refused() -> None:
    circuit = cascade()
    chip, batch = NodalChip(circuit), random_batch(circuit)
    (free,) = chip.measure([Drive(batch.inputs)])
    push = Injection(batch.targets)
    with pytest.raises(ChipError, match="nudged phase: in a small-signal phase 'adjoint' reverses one-way parts"):
        chip.measure([Drive(batch.inputs, push, "nudged", free, reversal=free)])
    with pytest.raises(ChipError, match=r"nudged phase: free state have shape \(1, \d+\)"):
        chip.measure([Drive(batch.inputs, push, "nudged", reversal=Reading(free.outputs[:1], free.nodes[:1]))])
    for other in (UnreducedNodalChip(circuit), NodalChip(circuit, access="outputs")):
        with pytest.raises(ChipError, match="nudged phase: the chip has no reversed one-way parts"):
            other.measure([Drive(batch.inputs, push, "nudged", reversal=free)])


@pytest.mark.ngspice
def test_the_full_netlist_and_boards_are_refused(tmp_path: Path) -> None:
    circuit, batch = cascade(), random_batch(cascade(), 1)
    with pytest.raises(ChipError, match="the chip has no reversed one-way parts"):
        gradient_of(rule_of(circuit), FullNetlistChip(circuit), batch)
    told = ["chip.kind=bench", "chip.profile=virtual", "rule.kind=asymmetric-equilibrium-propagation"]
    with pytest.raises(ExperimentError, match="needs reversed one-way parts, which chip bench does not give"):
        Experiment.load("cascade-digits", told).create_run(tmp_path / "run")
