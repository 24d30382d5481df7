"""Frequency propagation: an error that oscillates about the free state, against equations of the tests' own."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness import Experiment
from harness.chip.base import Chip
from harness.chip.ngspice.chip import FullBatchChip, FullNetlistChip, NgspiceChip
from harness.chip.ngspice.tasks import Task, perform
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import Circuit, Crossbar, Diode, Edges, InputSource, Mosfet, Output, Resistor, rectified_cascade
from harness.devices import CellLaw, Curve, MosfetModel
from harness.devices.diode import THERMAL_VOLTAGE
from harness.errors import ChipError, CircuitError, ExperimentError
from harness.learning import FrequencyPropagation, HardwareLinearization, SoftmaxCrossEntropy, SquaredError
from harness.measurement import Access, Batch, Conductances, Drive, Injection, Spring
from harness.netlist.tolerances import Tolerances
from harness.testing import check_rule
from tests.conftest import CELLS, DIODE, kendall, random_batch
from tests.learning.test_rules import assert_close, gradient_of, graph, inside

COST = SquaredError()
TIGHT = Tolerances(1e-9, 1e-12, 1e-15)
Make = Callable[..., Chip]
CHIPS = [
    pytest.param(lambda circuit, **given: NodalChip(circuit, tolerance=1e-12, **given), id="nodal"),
    pytest.param(lambda circuit, **given: UnreducedNodalChip(circuit, tolerance=1e-12, **given), id="unreduced"),
    pytest.param(
        lambda circuit, **given: NgspiceChip(circuit, tolerances=TIGHT, **given),
        id="ngspice",
        marks=pytest.mark.ngspice,
    ),
    pytest.param(
        lambda circuit, **given: FullNetlistChip(circuit, tolerances=TIGHT, **given),
        id="full-netlist",
        marks=pytest.mark.ngspice,
    ),
]


def cascade(seed: int = 0) -> Circuit:
    rng = np.random.default_rng(seed)
    return inside(rectified_cascade(2, [4, 3], 2, cells=CELLS, diode=DIODE, rng=rng, input_gain=3.0))


def rule_of(circuit: Circuit, frequency: float = 1e3) -> FrequencyPropagation:
    return FrequencyPropagation(circuit, COST, gamma=1e-3, frequency=frequency)


def curved() -> Circuit:
    """Cells whose current is a sinh, between two inputs, a diode's node and an output."""
    network = inside(kendall([3]))
    law = CellLaw(Curve.SINH, 0.7)
    elements = [
        Crossbar(e.name, e.words, e.bits, e.conductances, e.g_min, e.g_max, law=law) if isinstance(e, Crossbar) else e
        for e in network.elements
    ]
    return Circuit("curved", tuple(elements), network.outputs)


# --- what it measures


@pytest.mark.parametrize("make", CHIPS)
@pytest.mark.parametrize("turns", [0.0, 0.3, 1.0, 4.0])
def test_a_capacitance_takes_away_what_one_rc_takes_away(make: Make, turns: float) -> None:
    """Behind R and C, an oscillation's part in phase is 1 / (1 + (ωRC)²) of the slow one, and so is the gradient."""
    ohms, hertz = 1 / (2e-5 + 3e-5), 1e4
    cell = Edges("w", ("in",), ("out",), np.array([2e-5]), 1e-6, 1e-3)
    parts = (InputSource("x", "in", 0, 1.0), cell, Resistor("load", "out", "0", 3e-5))
    circuit = Circuit("rc", parts, (Output("y", "out"),))
    chip = make(circuit, node_capacitance=turns / (2 * np.pi * hertz * ohms))
    batch = Batch(np.array([[1.0]]), np.array([[0.9]]))
    (found,) = gradient_of(rule_of(circuit, hertz), chip, batch)
    volts = 2e-5 * ohms
    slope = COST.slopes(np.array([[volts]]), batch.targets)[0, 0]
    exact = slope * ohms * (1 - volts)
    assert found.item() == pytest.approx(exact / (1 + turns**2), rel=1e-9)


def answers(frequency: float, farads: float) -> tuple[np.ndarray, np.ndarray]:
    """The gradient of a star's two cells, by Kirchhoff's law and Shockley's, and the voltages of its two free nodes.

    x — a over one cell, a — b over the other, a diode from b to ground, 0.2 S from each of a and b to ground.
    """
    g, fixed, volts, target = np.array([0.5, 0.8]), 0.2, 1.3, -0.4
    scale = DIODE.emission * THERMAL_VOLTAGE
    matrix = np.array([[g[0] + g[1] + fixed, -g[1]], [-g[1], g[1] + fixed]])
    v = np.zeros(2)
    for _ in range(200):
        grown = DIODE.saturation_current * np.exp(v[1] / scale)
        residual = matrix @ v - [g[0] * volts, 0] + [0, grown - DIODE.saturation_current]
        step = np.linalg.solve(matrix + np.diag([0, grown / scale]), residual)
        v = v - np.clip(step, -0.05, 0.05)
    jacobian = matrix + np.diag([0, DIODE.saturation_current * np.exp(v[1] / scale) / scale])
    slope = COST.slopes(v[None, 1:], np.array([[target]]))[0, 0]
    lagging = (2 * np.pi * frequency * farads) ** 2 * np.linalg.inv(jacobian)
    moved = np.linalg.solve(jacobian + lagging, [0, slope])
    return np.array([(volts - v[0]) * moved[0], -(v[0] - v[1]) * (moved[0] - moved[1])]), v


@pytest.mark.parametrize("make", CHIPS)
@pytest.mark.parametrize("farads", [0.0, 1e-4])
def test_a_diode_answers_with_its_own_slope(make: Make, farads: float) -> None:
    """Re (J + iωC)⁻¹ = (J + ω² C J⁻¹ C)⁻¹, and its derivative, from equations that the harness has no part in."""
    cells = Edges("w", ("x", "a"), ("a", "b"), np.array([0.5, 0.8]), 0.01, 10.0)
    loads = Resistor("ra", "a", "0", 0.2), Resistor("rb", "b", "0", 0.2)
    circuit = Circuit(
        "star", (InputSource("s", "x", 0, 1.0), cells, *loads, Diode("d", "b", "0", DIODE)), (Output("y", "b"),)
    )
    chip, batch = make(circuit, node_capacitance=farads), Batch(np.array([[1.3]]), np.array([[-0.4]]))
    (found,) = gradient_of(rule_of(circuit, 1e3), chip, batch)
    expected, _ = answers(1e3, farads)
    assert (farads == 0) == np.allclose(expected, answers(1e3, 0.0)[0], rtol=1e-3)
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # a diode's gmin is 1e-12 S besides


CIRCUITS = [
    pytest.param(inside(kendall([5, 4])), id="amplified"),
    pytest.param(graph(diodes=True), id="graph with diodes"),
    pytest.param(cascade(), id="cascade"),
]


@pytest.mark.parametrize("make", CHIPS[:3])
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_the_oscillation_is_what_hardware_linearization_computes(make: Make, circuit: Circuit) -> None:
    batch = random_batch(circuit)
    for cost in (COST, SoftmaxCrossEntropy(0.7)):
        exact = gradient_of(
            HardwareLinearization(circuit, cost, gamma=1e-3), NodalChip(circuit, tolerance=1e-12), batch
        )
        rule = FrequencyPropagation(circuit, cost, gamma=2e-3, frequency=50.0)
        assert_close(gradient_of(rule, make(circuit), batch), exact, 1e-8)


@pytest.mark.ngspice
def test_curved_cells_answer_with_their_own_slopes() -> None:
    circuit = curved()
    batch, exact = random_batch(circuit), UnreducedNodalChip(circuit, tolerance=1e-12)
    expected = gradient_of(HardwareLinearization(circuit, COST, gamma=1e-3), exact, batch)
    for load in (0.0, 1e-4):
        ours = gradient_of(rule_of(circuit), UnreducedNodalChip(circuit, tolerance=1e-12, node_capacitance=load), batch)
        theirs = FullBatchChip(circuit, tolerances=TIGHT, node_capacitance=load)
        assert_close(gradient_of(rule_of(circuit), theirs, batch), ours, 1e-8)
        assert (load == 0) == all(np.allclose(a, b, rtol=1e-3) for a, b in zip(ours, expected, strict=True))


@pytest.mark.parametrize("make", [CHIPS[0], CHIPS[2]])
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_capacitances_are_those_of_the_full_equations(make: Make, circuit: Circuit) -> None:
    """Reduced chips keep the nodes that have capacitances; the unreduced one eliminates nothing anyway."""
    given, batch = {"node_capacitance": 2e-5, "line_capacitance": 1e-5}, random_batch(circuit)
    expected = gradient_of(rule_of(circuit), UnreducedNodalChip(circuit, tolerance=1e-12, **given), batch)
    found = gradient_of(rule_of(circuit), make(circuit, **given), batch)
    assert_close(found, expected, 1e-8)
    slow = gradient_of(rule_of(circuit), make(circuit), batch)
    assert not all(np.allclose(a, b, rtol=1e-2) for a, b in zip(found, slow, strict=True))


def test_the_error_grows_with_the_square_of_the_frequency() -> None:
    circuit, frequencies = cascade(), np.array([100.0, 200.0, 400.0])
    batch, chip = random_batch(circuit), NodalChip(circuit, tolerance=1e-12, node_capacitance=1e-5)
    exact = gradient_of(HardwareLinearization(circuit, COST, gamma=1e-3), chip, batch)
    off = [np.linalg.norm(flat(gradient_of(rule_of(circuit, f), chip, batch)) - flat(exact)) for f in frequencies]
    assert np.polyfit(np.log(frequencies), np.log(off), 1)[0] == pytest.approx(2, abs=0.02)


def flat(gradient: Conductances) -> np.ndarray:
    return np.concatenate([part.ravel() for part in gradient])


@pytest.mark.ngspice
def test_a_chunk_reads_the_same_bits_wherever_it_is_settled() -> None:
    circuit, batch = cascade(), random_batch(cascade(), 5)
    chip = NgspiceChip(circuit, chunk=2, node_capacitance=1e-5)
    (free,) = chip.measure([Drive(batch.inputs)])
    drive = Drive(batch.inputs, Injection(1e-3 * batch.targets), "oscillating", free, adjoint=True, frequency=1e3)
    (whole,) = chip.measure([drive])
    (again,) = chip.measure([drive])
    assert whole.nodes.tobytes() == again.nodes.tobytes()
    job = chip._whole.reduce(chip.conductances).settling([drive]).rows(slice(2, 4))
    answer = perform(pickle.loads(pickle.dumps(Task(0, job, Tolerances(), led=False))))
    reduced = chip._whole.reduce(chip.conductances)
    (elsewhere,) = reduced.readings(answer.outcome.solved, [drive])
    assert elsewhere.nodes.tobytes() == whole.nodes[2:4].tobytes()


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_it_keeps_what_rules_promise(circuit: Circuit) -> None:
    check_rule(lambda c, _: rule_of(c), lambda: NodalChip(circuit, tolerance=1e-12), COST, least_cosine=0.999999)


# --- an experiment that uses it


def test_an_experiment_learns_as_by_hardware_linearization(tmp_path: Path) -> None:
    told = ["chip.kind=nodal", "training.epochs=1", "rule.beta=10uS"]
    ends = {}
    for name, more in {
        "hardware-linearization": [],
        "frequency-propagation": ["rule.frequency=10 Hz", "chip.node_capacitance=1 pF"],
    }.items():
        subject = Experiment.load("iris", [*told, f"rule.kind={name}", *more])
        run = subject.create_run(tmp_path / name)
        subject.train(run, pictures=False)
        ends[name] = run.position().conductances
    assert_close(ends["frequency-propagation"], ends["hardware-linearization"], 1e-6)


# --- what is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frequency": 0.0}, r"the frequency = 0 Hz must be above 0 and finite"),
        ({"frequency": np.inf}, r"the frequency = inf Hz must be above 0"),
        ({"gamma": np.nan}, r"γ = nan S must be above 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ExperimentError, match=f"frequency propagation: {message}"):
        FrequencyPropagation(inside(kendall([3])), COST, **{"gamma": 1e-3, "frequency": 1.0, **changes})


def test_drives_that_cannot_oscillate_are_refused() -> None:
    chip = NodalChip(inside(kendall([3])))
    batch = random_batch(chip.circuit)
    (free,) = chip.measure([Drive(batch.inputs)])
    push = Injection(batch.targets)
    for drive, message in {
        Drive(batch.inputs, push, "fast", free, frequency=-1.0): "fast phase: a frequency of -1 Hz must be above 0 Hz",
        Drive(batch.inputs, push, "fast", frequency=1.0): "needs an operating point; give 'about'",
        Drive(batch.inputs, Spring(1.0, batch.targets), "fast", free, frequency=1.0): "only currents into outputs osc",
        Drive(batch.inputs, None, "fast", free, frequency=1.0): "only currents into outputs oscillate; nudge by an Inj",
    }.items():
        with pytest.raises(ChipError, match=message):
            chip.measure([drive])
    blind = NodalChip(chip.circuit, access=Access.OUTPUTS)
    with pytest.raises(ChipError, match="the chip has no small-signal phases and no oscillating currents into outputs"):
        blind.measure([Drive(batch.inputs, push, "fast", free, frequency=1.0)])


@pytest.mark.parametrize("farads", [-1e-12, np.nan, np.inf])
def test_capacitances_that_are_none_are_refused(farads: float) -> None:
    for name in ("node", "line"):
        with pytest.raises(ChipError, match=f"a {name} capacitance of .* must be finite and not negative"):
            NodalChip(inside(kendall([3])), **{f"{name}_capacitance": farads})


def test_devices_with_controls_elsewhere_are_sent_to_rules_that_take_them() -> None:
    follower = Mosfet("m", "rail", "a", "b", MosfetModel("mt", 1e-3, 0.3))
    cells = Edges("w", ("x", "x", "a"), ("a", "b", "b"), np.full(3, 0.5), 0.01, 10.0)
    parts = (InputSource("s", "x", 0, 1.0), InputSource("r", "rail", 0, 2.0), cells, follower)
    circuit = Circuit("follower", (*parts, Resistor("load", "b", "0", 0.2)), (Output("y", "b"),))
    with pytest.raises(CircuitError, match="circuit follower: the current of a device follows a voltage elsewhere"):
        rule_of(circuit)
    chip, batch = NodalChip(circuit), random_batch(circuit)
    (free,) = chip.measure([Drive(batch.inputs)])
    with pytest.raises(CircuitError, match="take hardware-linearization or analytical-gradient"):
        chip.measure([Drive(batch.inputs, Injection(batch.targets), "s", free, adjoint=True, frequency=1.0)])


def test_a_board_and_outputs_alone_are_refused_before_there_is_a_run(tmp_path: Path) -> None:
    for told, message in {
        (
            "chip.kind=bench",
            "chip.profile=virtual",
        ): "oscillating currents into outputs, which chip bench does not give",
        ("chip.kind=nodal", "chip.access=outputs"): "oscillating currents into outputs, which chip nodal does not give",
    }.items():
        subject = Experiment.load("iris", [*told, "rule.kind=frequency-propagation"])
        with pytest.raises(ExperimentError, match=message):
            subject.create_run(tmp_path / "run")
    for told, message in {
        "rule.frequency=0": r"rule.frequency.*greater than 0|rule.frequency.*above 0",
        "chip.node_capacitance=-1 fF": "chip.node_capacitance",
        "rule.frequency=1 kV": r"'1 kV' should be in Hz",
    }.items():
        with pytest.raises(ExperimentError, match=message):
            Experiment.load("iris", ["rule.kind=frequency-propagation", told])
