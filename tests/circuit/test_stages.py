"""Buffers, gyrators and transformers: reduced and full netlists, hand-solved circuits, and gradients through them."""

import numpy as np
import pytest

from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.circuit import (
    BidirectionalAmplifier,
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
    VoltageSource,
)
from harness.circuit.scaling import is_reciprocal
from harness.devices.diode import THERMAL_VOLTAGE
from harness.errors import ChipError, CircuitError, ExperimentError
from harness.learning import (
    AnalyticalGradient,
    CoupledLearning,
    EquilibriumPropagation,
    HardwareLinearization,
    Nudging,
    SquaredError,
)
from harness.measurement import Drive, Spring
from harness.netlist.tolerances import Tolerances
from harness.studies.check import check_circuit, kirchhoff_residual
from tests.conftest import DIODE, random_batch
from tests.learning.test_rules import assert_close, gradient_of, truth

COST = SquaredError()


def cascade(*, recurrent: bool = False) -> Circuit:
    """Two stages of rectified nodes joined by buffers of both signs; a third buffer leads back if it is recurrent."""
    rng = np.random.default_rng(0)
    pins = [InputSource(f"x{k}{s}", f"x{k}{s}", k, g) for k in range(2) for s, g in (("p", 2.0), ("n", -2.0))]
    first, second = [f"h{k}" for k in range(3)], [f"k{k}" for k in range(3)]
    words = [f"b{k}{s}" for k in range(3) for s in "pn"]
    buffers = [Buffer(f"u{k}{s}", f"h{k}", f"b{k}{s}", g) for k in range(3) for s, g in (("p", 3.0), ("n", -3.0))]
    back = [Buffer("back", "k0", "r0", -2.0), Resistor("loop", "r0", "h0", 0.4)] if recurrent else []
    elements = [
        *pins,
        Crossbar("w1", tuple(p.node for p in pins), tuple(first), rng.uniform(0.1, 1, (4, 3)), 1e-3, 10.0),
        *(Diode(f"d{h}", "0", h, DIODE) for h in first),
        *buffers,
        Crossbar("w2", tuple(words), tuple(second), rng.uniform(0.1, 1, (6, 3)), 1e-3, 10.0),
        *(Diode(f"d{h}", "0", h, DIODE) for h in second[:2]),
        Edges("e", ("k0", "k1", "k2"), ("o", "o", "q"), rng.uniform(0.1, 1, 3), 1e-3, 10.0),
        *back,
        *(Resistor(f"g{n}", n, "0", 0.2) for n in (*first, *second, "o", "q")),
    ]
    return Circuit("cascade", tuple(elements), (Output("y0", "o"), Output("y1", "q", "k1")))


def gyrating() -> Circuit:
    rng = np.random.default_rng(1)
    nodes = ["a", "b", "c", "d"]
    pairs = [("x", "a"), ("x", "b"), ("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("rail", "c")]
    elements = [
        InputSource("x", "x", 0, 1.0),
        VoltageSource("rail", "rail", 0.5),
        Edges("w", *(tuple(p[k] for p in pairs) for k in (0, 1)), rng.uniform(0.2, 1, len(pairs)), 1e-3, 10.0),
        Gyrator("turn", "a", "0", "c", "d", 0.7),
        Gyrator("held", "x", "0", "b", "0", -0.3),
        Diode("d1", "0", "a", DIODE),
        Diode("d2", "c", "d", DIODE),
        *(Resistor(f"g{n}", n, "0", 0.3) for n in nodes),
    ]
    return Circuit("gyrating", tuple(elements), (Output("y0", "b"), Output("y1", "d", "a")))


def transforming() -> Circuit:
    rng = np.random.default_rng(2)
    pairs = [("x", "a"), ("a", "b"), ("b", "c"), ("c", "d"), ("x", "d"), ("e", "b")]
    elements = [
        InputSource("x", "x", 0, 1.0),
        Edges("w", *(tuple(p[k] for p in pairs) for k in (0, 1)), rng.uniform(0.2, 1, len(pairs)), 1e-3, 10.0),
        Transformer("t1", "a", "0", "c", "0", -1.0),
        Transformer("t2", "d", "b", "e", "0", 2.5),
        Diode("d1", "0", "b", DIODE),
        *(Resistor(f"g{n}", n, "0", 0.3) for n in "abcde"),
    ]
    return Circuit("transforming", tuple(elements), (Output("y0", "c"), Output("y1", "e", "b")))


CIRCUITS = [
    pytest.param(cascade(), id="cascade"),
    pytest.param(cascade(recurrent=True), id="recurrent"),
    pytest.param(gyrating(), id="gyrators"),
    pytest.param(transforming(), id="transformers"),
]


@pytest.mark.ngspice
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_the_reduced_circuit_is_the_full_netlist(circuit: Circuit) -> None:
    batch = random_batch(circuit, samples=4)
    drives = [Drive(batch.inputs), Drive(batch.inputs, Spring(0.05, batch.targets), "nudged")]
    expected = FullNetlistChip(circuit).measure(drives)
    for chip in (NodalChip(circuit), NgspiceChip(circuit)):
        for ours, theirs in zip(chip.measure(drives), expected, strict=True):
            np.testing.assert_allclose(ours.nodes, theirs.nodes, atol=2e-6)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_gradients_through_stages_equal_finite_differences(circuit: Circuit) -> None:
    batch = random_batch(circuit)
    expected, chip = truth(circuit, batch), NodalChip(circuit, tolerance=1e-11)
    assert_close(gradient_of(AnalyticalGradient(circuit, COST), chip, batch), expected, 1e-8)
    assert_close(gradient_of(HardwareLinearization(circuit, COST, gamma=1e-2), chip, batch), expected, 1e-8)


@pytest.mark.ngspice
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_hardware_linearization_of_stages_in_ngspice(circuit: Circuit) -> None:
    batch = random_batch(circuit)
    rule = HardwareLinearization(circuit, COST, gamma=1e-1)
    assert_close(gradient_of(rule, NgspiceChip(circuit), batch), truth(circuit, batch), 1e-4)


def test_a_cascade_read_stage_by_stage_is_its_adjoint() -> None:
    """The last stage alone, then the current that its word lines draw, times the gains, as the first one's error."""
    circuit = cascade()
    batch = random_batch(circuit)
    chip = NodalChip(circuit)
    rule = HardwareLinearization(circuit, COST, gamma=1e-2)
    readings = rule.measure(chip, batch, np.random.default_rng(0))
    adjoint, index = readings.small.nodes, circuit.node_index
    w2 = circuit.arrays[1]
    bits = adjoint[:, [index[n] for n in w2.bits]]
    drawn = bits @ w2.conductances.T  # A into each word line, which its buffer holds still
    gains = np.array([3.0, -3.0] * 3)
    errors = (drawn * gains).reshape(len(batch), 3, 2).sum(axis=2)  # A into h0, h1, h2
    slopes = {}
    for k in range(3):
        volts = readings.free.nodes[:, index[f"h{k}"]]
        slopes[k] = DIODE.saturation_current / (2 * THERMAL_VOLTAGE) * np.exp(-volts / (2 * THERMAL_VOLTAGE)) + 1e-12
    own = circuit.arrays[0].conductances.sum(axis=0) + 0.2
    for k in range(3):
        blocked = readings.free.nodes[:, index[f"h{k}"]] < 3 * 2 * THERMAL_VOLTAGE  # else ngspice's shelf
        expected = errors[:, k] / (own[k] + slopes[k])
        np.testing.assert_allclose(adjoint[blocked, index[f"h{k}"]], expected[blocked], rtol=1e-6)


def test_a_transformer_of_ratio_minus_one_inverts_and_draws_what_its_other_side_takes() -> None:
    elements = (
        InputSource("x", "x", 0, 1.0),
        Resistor("r1", "x", "a", 2.0),
        Transformer("t", "a", "0", "b", "0", -1.0),
        Resistor("r2", "b", "0", 3.0),
    )
    circuit = Circuit("inverter", elements, (Output("y", "b"),))
    (reading,) = NodalChip(circuit).measure([Drive(np.array([[1.0]]))])
    assert reading.outputs[0, 0] == pytest.approx(-2 / 5, abs=1e-12)
    assert is_reciprocal(circuit)


def test_a_gyrator_turns_a_conductance_into_its_inverse() -> None:
    """Seen through g = 0.5 S, a load of 2 S is 0.125 S."""
    elements = (
        InputSource("x", "x", 0, 1.0),
        Resistor("r1", "x", "a", 1.0),
        Gyrator("g", "a", "0", "b", "0", 0.5),
        Resistor("load", "b", "0", 2.0),
    )
    circuit = Circuit("turned", elements, (Output("y", "a"), Output("z", "b")))
    (reading,) = NodalChip(circuit).measure([Drive(np.array([[1.0]]))])
    assert reading.outputs[0] == pytest.approx([1 / 1.125, 0.5 / 2 / 1.125], abs=1e-12)
    assert not is_reciprocal(circuit)


def test_rules_of_energy_refuse_circuits_that_have_none() -> None:
    for make in (lambda c: EquilibriumPropagation(c, COST, beta=1e-3), lambda c: CoupledLearning(c, COST, eta=0.1)):
        with pytest.raises(ExperimentError, match=r"buffer u0p lets no errors back, .* hardware-linearization"):
            make(cascade())


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ((Buffer("u", "a", "b", 0.0),), "buffer u: gain must not be 0 V/V"),
        ((Buffer("u", "a", "b", 2.0), Buffer("v", "b", "b", 2.0)), "element v: node b is driven by u already"),
        ((Gyrator("g", "a", "a", "b", "0", 1.0),), "gyrator g: both pins of a port are at node a"),
        ((Transformer("t", "a", "0", "b", "0", np.inf),), "transformer t: ratio: inf V/V is not finite"),
    ],
)
def test_senseless_stages_are_refused(elements: tuple, message: str) -> None:
    parts = (InputSource("x", "x", 0, 1.0), Resistor("r", "x", "a", 1.0), Resistor("s", "b", "0", 1.0), *elements)
    with pytest.raises(CircuitError, match=message):
        Circuit("wrong", parts, (Output("y", "a"),))


def test_buffers_that_only_listen_to_themselves_and_diodes_behind_buffers_are_refused() -> None:
    parts = (InputSource("x", "x", 0, 1.0), Resistor("r", "x", "a", 1.0), Resistor("s", "b", "a", 1.0))
    loop = Circuit("loop", (*parts, Buffer("u", "c", "b", 2.0), Buffer("v", "b", "c", 2.0)), (Output("y", "a"),))
    with pytest.raises(CircuitError, match="buffer u: it listens to itself; put a conductance into the loop"):
        NodalChip(loop)
    behind = Circuit("behind", (*parts, Buffer("u", "a", "b", 2.0), Diode("d", "0", "b", DIODE)), (Output("y", "a"),))
    with pytest.raises(CircuitError, match="node b: a buffer holds it, so no diode or output may be there"):
        NodalChip(behind)


@pytest.mark.ngspice
def test_the_full_netlist_says_that_it_has_no_adjoint() -> None:
    circuit = cascade()
    batch = random_batch(circuit)
    with pytest.raises(ChipError, match="the chip has no small-signal phases of the adjoint network"):
        gradient_of(HardwareLinearization(circuit, COST, gamma=1e-2), FullNetlistChip(circuit), batch)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_kirchhoffs_law_holds_at_the_nodes_of_stages(circuit: Circuit) -> None:
    """With currents written down element by element; a transformer's own are not known."""
    batch = random_batch(circuit)
    (reading,) = NodalChip(circuit, tolerance=1e-11).measure([Drive(batch.inputs)])
    assert kirchhoff_residual(circuit, reading.nodes) < 1e-9


@pytest.mark.parametrize("circuit", CIRCUITS[:3])
def test_checks_read_gradients_of_circuits_without_energy_by_linearization(circuit: Circuit) -> None:
    batch = random_batch(circuit)
    options = {"beta": 1e-2, "tolerances": Tolerances(), "rng": np.random.default_rng(0), "ngspice": False}
    checks = {c.name: c for c in check_circuit(circuit, COST, batch, **options)}
    name = f"gradient of {circuit.arrays[0].name}: hardware linearization against finite differences"
    assert checks[name].passed


def test_a_transformer_behind_an_amplifier_counts_with_its_gain() -> None:
    """Equilibrium propagation before the amplifier needs the factor A² that the transformer carries on."""
    elements = (
        InputSource("x", "x", 0, 1.0),
        Edges("w", ("x", "h", "t"), ("h", "0", "o"), np.array([0.5, 0.3, 0.7]), 1e-3, 10.0),
        BidirectionalAmplifier("amp", "h", "a", 2.0),
        Transformer("turn", "a", "0", "t", "0", -1.5),
        Resistor("load", "o", "0", 0.4),
    )
    circuit = Circuit("amplified", elements, (Output("y", "o"),))
    batch = random_batch(circuit)
    chip = NodalChip(circuit)
    rule = EquilibriumPropagation(circuit, COST, beta=1e-4, nudging=Nudging.CURRENT)
    assert_close(gradient_of(rule, chip, batch), truth(circuit, batch), 1e-6)
