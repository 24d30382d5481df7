"""Amplifiers with offsets and unequal gains: closed forms, full netlists, sensitivities, and what has no energy."""

from dataclasses import replace

import numpy as np
import pytest

from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.circuit import (
    GROUND,
    BidirectionalAmplifier,
    Buffer,
    Circuit,
    Diode,
    Edges,
    InputSource,
    Output,
    Reduction,
    Resistor,
    Transformer,
)
from harness.circuit.linearized import linearized
from harness.circuit.scaling import energy_scales, is_reciprocal
from harness.circuit.variation.lines import AmplifierErrors, LineResistance
from harness.errors import CircuitError
from harness.learning import SquaredError
from harness.measurement import Clamp, Drive, Injection, Reading, Spring
from harness.netlist.tolerances import TIGHT
from harness.studies.check import check_circuit, kirchhoff_residual
from tests.circuit.test_stages import cascade
from tests.conftest import DIODE, kendall, random_batch
from tests.learning.test_rules import inside

ERRORS = {
    "offset": AmplifierErrors(offset=0.05),
    "gain": AmplifierErrors(gain=0.1),
    "both": AmplifierErrors(gain=0.1, layer_gain=0.1, offset=0.05),
}


def erring(circuit: Circuit, errors: str = "both", seed: int = 1) -> Circuit:
    return ERRORS[errors].apply(circuit, np.random.default_rng(seed))


def looped() -> Circuit:
    """Amplifiers in a chain, behind a buffer and across cells; a diode at a shifted node, and a transformer."""
    rng = np.random.default_rng(0)
    pairs = [("x", "a"), ("b", "c"), ("c", "d"), ("e", "o"), ("u", "o"), ("o", "q"), ("t", "o")]
    ends = [tuple(pair[k] for pair in pairs) for k in (0, 1)]
    elements = (
        InputSource("x", "x", 0, 1.0),
        Edges("w", ends[0], ends[1], rng.uniform(0.5, 1, len(pairs)), 1e-3, 10.0),
        BidirectionalAmplifier("amp1", "a", "b", 1.3, 0.05),
        BidirectionalAmplifier("amp2", "b", "d", 1.1, -0.03),
        BidirectionalAmplifier("held", "x", "e", 0.8, 0.1),
        Buffer("buf", "d", "t", -1.5, 0.02),
        BidirectionalAmplifier("behind", "t", "u", 0.7, 0.04),
        Diode("up", "b", "e", DIODE),
        Diode("down", "0", "c", DIODE),
        Transformer("tr", "c", "0", "q", "0", 1.5),
        *(Resistor(f"g{n}", n, "0", 0.4) for n in ("a", "b", "c", "o", "q")),
    )
    return Circuit("looped", elements, (Output("y0", "o"), Output("y1", "q", "x")))


def circuits() -> list:
    made = {
        f"{'-'.join(map(str, hidden))}-{errors}": erring(kendall(hidden), errors)
        for hidden in ([4], [4, 3], [3, 4, 3])
        for errors in ERRORS
    }
    made["lines"] = LineResistance(0.05, 0.02).apply(erring(kendall([3, 3])))
    made |= {"cascade": erring(cascade()), "recurrent": erring(cascade(recurrent=True)), "looped": looped()}
    return [pytest.param(circuit, id=name) for name, circuit in made.items()]


def phases(circuit: Circuit) -> list[Drive]:
    batch = random_batch(circuit)
    return [
        Drive(batch.inputs),
        Drive(batch.inputs, Spring(0.05, batch.targets), "nudged +β"),
        Drive(batch.inputs, Spring(-0.01, batch.targets), "nudged −β"),
        Drive(batch.inputs, Injection(0.02 * batch.targets), "injected"),
    ]


def clamped(circuit: Circuit) -> Drive:
    batch = random_batch(circuit)
    return Drive(batch.inputs, Clamp(0.3 * batch.targets), "clamped")


def small(circuit: Circuit, about: Reading) -> Drive:
    batch = random_batch(circuit)
    return Drive(batch.inputs, Injection(0.1 * batch.targets), "small-signal", about)


def assert_near(ours: tuple[Reading, ...], theirs: tuple[Reading, ...], bound: float = 1e-9) -> None:
    """Relative to the largest voltage, or to a volt."""
    signal = max(1.0, *(float(np.abs(reading.nodes).max()) for reading in theirs))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.nodes, other.nodes, rtol=0, atol=bound * signal)
        np.testing.assert_allclose(one.outputs, other.outputs, rtol=0, atol=bound * signal)


@pytest.mark.ngspice
@pytest.mark.parametrize("circuit", circuits())
def test_nodal_reduced_and_full_netlist_agree(circuit: Circuit) -> None:
    full = FullNetlistChip(circuit, tolerances=TIGHT)
    free = full.measure(phases(circuit)[:1])[0]
    drives = [*phases(circuit), clamped(circuit), small(circuit, free)]
    expected = full.measure(drives)
    assert_near(NodalChip(circuit).measure(drives), expected)
    assert_near(NgspiceChip(circuit, tolerances=TIGHT).measure(drives), expected)


@pytest.mark.parametrize("circuit", circuits())
def test_kirchhoffs_law_holds(circuit: Circuit) -> None:
    (reading,) = NodalChip(circuit).measure(phases(circuit)[:1])
    assert kirchhoff_residual(circuit, reading.nodes) < 1e-9
    for stage in (e for e in circuit.elements if isinstance(e, BidirectionalAmplifier | Buffer)):
        source, sink = (reading.nodes[:, circuit.node_index[node]] for node in (stage.input, stage.output))
        np.testing.assert_allclose(sink, stage.gain * (source + stage.offset), rtol=1e-12, atol=1e-12)


def at_offset(circuit: Circuit, name: str, offset: float) -> Circuit:
    """The circuit with one stage's offset."""
    return replace(
        circuit, elements=tuple(replace(e, offset=offset) if e.name == name else e for e in circuit.elements)
    )


@pytest.mark.parametrize("circuit", [erring(kendall([3, 2])), erring(cascade()), looped()], ids=lambda c: c.name)
def test_derivatives_by_offsets_are_what_the_small_signal_circuit_does(circuit: Circuit) -> None:
    """∂v/∂offset by central differences, and all voltages of the linearized circuit where only that offset is 1 V."""
    drives, step = [Drive(random_batch(circuit, samples=1).inputs)], 1e-4
    (free,) = NodalChip(circuit).measure(drives)
    still = linearized(circuit, free.nodes[0])
    for stage in [e for e in circuit.elements if isinstance(e, BidirectionalAmplifier | Buffer)]:
        moved = [
            NodalChip(at_offset(circuit, stage.name, stage.offset + k * step), tolerance=1e-13).measure(drives)[0].nodes
            for k in (2, 1, -1, -2)
        ]
        slope = sum(c * v for c, v in zip((-1, 8, -8, 1), moved, strict=True)) / (12 * step)
        (alone,) = NodalChip(at_offset(still, stage.name, 1.0)).measure(drives)
        np.testing.assert_allclose(alone.nodes, slope, rtol=1e-6, atol=1e-7)
        assert np.abs(slope).max() > 0.1


@pytest.mark.parametrize("circuit", circuits())
def test_gradients_in_the_adjoint_network_equal_finite_differences(circuit: Circuit) -> None:
    """For the cost Σ weight · output: ∂C/∂g = −Δλ Δv, whether or not there is an energy."""
    circuit = inside(circuit)
    chip = NodalChip(circuit, tolerance=1e-13)
    weights = np.array([1.0, -0.7])
    inputs = random_batch(circuit, samples=1).inputs
    (free,) = chip.measure([Drive(inputs)])
    (adjoint,) = chip.measure([Drive(inputs, Injection(weights[None]), "adjoint", free, adjoint=True)])
    index = circuit.grounded_index
    v, dual = (np.append(reading.nodes[0], 0.0) for reading in (free, adjoint))
    for k, array in enumerate(circuit.arrays):
        first, second = array.ends(index)
        gradient = -(v[first] - v[second]) * (dual[first] - dual[second])
        cell = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        costs = []
        for steps in (2, 1, -1, -2):
            moved = [g.copy() for g in circuit.conductances]
            moved[k][cell] += steps * 1e-4
            chip.program(moved)
            (reading,) = chip.measure([Drive(inputs)])
            costs.append(float(reading.outputs[0] @ weights))
        assert gradient[cell] == pytest.approx(np.dot(costs, [-1, 8, -8, 1]) / 12e-4, rel=1e-6)


def test_an_offset_is_at_the_input_and_loads_it() -> None:
    """x ─1 S─ a ─3 S─ 0, and 5 S behind the amplifier: its input draws 5 S · (a + offset)."""
    elements = (
        InputSource("x0", "x0", 0, 1.0),
        Resistor("r1", "x0", "a", 1.0),
        Resistor("r2", "a", GROUND, 3.0),
        BidirectionalAmplifier("amp", "a", "b", 2.0, 0.1),
        Resistor("load", "b", GROUND, 5.0),
    )
    circuit = Circuit("offset", elements, (Output("ya", "a"), Output("yb", "a", "x0")))
    (reading,) = NodalChip(circuit).measure([Drive(np.ones((1, 1)))])
    a = (1 - 5 * 0.1) / (1 + 3 + 5)
    assert reading.nodes[0, circuit.node_index["a"]] == pytest.approx(a, rel=1e-12)
    assert reading.nodes[0, circuit.node_index["b"]] == pytest.approx(2 * (a + 0.1), rel=1e-12)


def test_an_offset_behind_an_ideal_source_adds_to_it() -> None:
    parts = (InputSource("x0", "x0", 0, 1.0), BidirectionalAmplifier("amp", "x0", "b", 3.0, 0.2))
    circuit = Circuit(
        "held", (*parts, Resistor("r1", "b", "a", 1.0), Resistor("r2", "a", GROUND, 1.0)), (Output("y0", "a"),)
    )
    (reading,) = NodalChip(circuit).measure([Drive(np.ones((1, 1)))])
    assert reading.outputs[0, 0] == pytest.approx(3 * 1.2 / 2, rel=1e-12)


def test_outputs_at_an_amplifiers_output_are_nudged_and_clamped_to_physical_volts() -> None:
    elements = (
        InputSource("x0", "x0", 0, 1.0),
        Resistor("r1", "x0", "a", 1.0),
        BidirectionalAmplifier("amp", "a", "b", 2.0, 0.1),
        Resistor("load", "b", GROUND, 5.0),
    )
    circuit = Circuit("shifted", elements, (Output("y0", "b"),))
    inputs, beta, target = np.ones((1, 1)), 0.5, np.array([[0.4]])
    nudges = [Spring(beta, target), Injection(0.3 * target), Clamp(target)]
    sprung, injected, held = NodalChip(circuit).measure([Drive(inputs, n, "nudged") for n in nudges])
    a = (1 - 5 * 0.1 + beta / 2 * (target - 2 * 0.1)) / (1 + 5 + beta)  # (x − a) + (β (y − b) − 5 b) / 2 = 0
    assert sprung.outputs == pytest.approx(2 * (a + 0.1), rel=1e-12)
    assert injected.outputs == pytest.approx(2 * ((1 - 5 * 0.1 + 0.3 * target / 2) / 6 + 0.1), rel=1e-12)
    assert held.outputs == pytest.approx(target, rel=1e-12)


def test_offsets_keep_the_energy_and_unequal_gains_do_not() -> None:
    base = kendall([4, 3])
    shifted, uneven = (erring(base, errors) for errors in ("offset", "gain"))
    assert is_reciprocal(shifted)
    assert energy_scales(shifted) == energy_scales(base)
    matrix = Reduction(shifted).reduce(shifted.conductances).network.conductance
    np.testing.assert_array_equal(matrix, Reduction(base).reduce(base.conductances).network.conductance)
    assert not is_reciprocal(uneven)
    with pytest.raises(CircuitError, match=r"amplifier amp1_1: it closes a loop of gain .*, so that circuit layered"):
        energy_scales(uneven)


def test_loops_of_unequal_gain_are_found_behind_any_amplification() -> None:
    """Two ways from b to c, of gain 2 and 3, where voltages are 1e-10 of those that they began as."""
    elements = (
        InputSource("x", "x", 0, 1.0),
        Edges("w", ("a", "b", "c", "e"), ("x", "f", "d", "o"), np.ones(4), 1e-3, 10.0),
        BidirectionalAmplifier("faint", "a", "b", 1e-10),
        BidirectionalAmplifier("two", "b", "c", 2.0),
        BidirectionalAmplifier("three", "f", "d", 3.0),
        BidirectionalAmplifier("on", "d", "e", 1.0),
    )
    with pytest.raises(
        CircuitError, match=r"amplifier two: it closes a loop of gain 0\.666667, so that circuit two_ways"
    ):
        energy_scales(Circuit("two_ways", elements, (Output("y0", "o"),)))


@pytest.mark.parametrize("gain", [1e20, 1e-20])
def test_so_many_stages_that_no_number_holds_them_are_refused(gain: float) -> None:
    base = kendall([2] * 8, amplifier_gain=gain)
    told = r"circuit layered: amplification up to amp4_0 multiplies to 1e[+-]80, beyond 1e\+75 or 1e-75; put"
    with pytest.raises(CircuitError, match=told):
        energy_scales(base)
    assert energy_scales(kendall([2] * 3, amplifier_gain=gain))[0] == pytest.approx(gain**6, rel=1e-12)


def test_every_check_of_a_circuit_with_offsets_passes() -> None:
    """Among them equilibrium propagation against finite differences: the energy is there."""
    circuit = erring(kendall([4, 3]), "offset")
    options = {"beta": 1e-3, "tolerances": TIGHT, "rng": np.random.default_rng(0), "ngspice": False}
    failed = [c for c in check_circuit(circuit, SquaredError(), random_batch(circuit), **options) if not c.passed]
    assert not failed


@pytest.mark.ngspice
@pytest.mark.parametrize("chip", [NodalChip, NgspiceChip, FullNetlistChip])
def test_a_loop_that_makes_a_conductance_negative_has_its_one_operating_point(chip: type) -> None:
    """1 S from a source and 1 S from three times one's own voltage: (x − a) + (3 a − a) = 0."""
    elements = (
        InputSource("x0", "x0", 0, 1.0),
        Resistor("r1", "x0", "a", 1.0),
        Buffer("buf", "a", "b", 3.0),
        Resistor("back", "b", "a", 1.0),
        Resistor("r2", "a", "y", 1e-3),
        Resistor("r3", "y", GROUND, 1.0),
    )
    circuit = Circuit("loop", elements, (Output("y0", "y"),))
    (reading,) = chip(circuit).measure([Drive(np.full((1, 1), 0.5))])
    load = 1e-3 / 1.001
    assert reading.nodes[0, circuit.node_index["a"]] == pytest.approx(-0.5 / (1 - load), rel=1e-6)


def stage_between(*added: object) -> tuple:
    return (
        InputSource("x0", "x0", 0, 1.0),
        Resistor("r1", "x0", "a", 1.0),
        BidirectionalAmplifier("amp", "a", "b", 1.0, 0.1),
        Resistor("r2", "b", "c", 1.0),
        Resistor("r3", "c", GROUND, 1.0),
        *added,
    )


def test_what_joins_two_frames_is_refused() -> None:
    behind = Circuit("frames", stage_between(Diode("d", "b", "c", DIODE)), (Output("y0", "c"),))
    with pytest.raises(
        CircuitError, match=r"diode d: its nodes b and c lie behind amplifiers of unequal gain or offset"
    ):
        Reduction(behind)
    with pytest.raises(CircuitError, match="output y0: its nodes b and c lie behind amplifiers of unequal"):
        Reduction(Circuit("frames", stage_between(), (Output("y0", "b", "c"),)))


def test_amplifiers_that_only_listen_to_each_other_are_refused() -> None:
    loop = BidirectionalAmplifier("one", "p", "q", 2.0), BidirectionalAmplifier("two", "q", "p", 0.5)
    circuit = Circuit("loop", stage_between(*loop, Resistor("r4", "p", "c", 1.0)), (Output("y0", "c"),))
    with pytest.raises(CircuitError, match="amplifier one: it listens to itself; put a conductance into the loop"):
        Reduction(circuit)


@pytest.mark.parametrize("kind", [BidirectionalAmplifier, Buffer])
def test_an_offset_that_is_no_number_is_refused(kind: type) -> None:
    with pytest.raises(CircuitError, match=r"(amplifier|buffer) more: offset: nan V is not finite"):
        Circuit("nan", stage_between(kind("more", "c", "d", 1.0, float("nan"))), (Output("y0", "c"),))
