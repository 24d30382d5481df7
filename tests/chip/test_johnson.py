"""Johnson noise: what heat does to a circuit, against Nyquist's formula and equations of the tests' own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness import Experiment
from harness.chip.base import Chip
from harness.chip.imperfect.johnson import BOLTZMANN, JohnsonChip, JohnsonNoise
from harness.chip.imperfect.made import VariedChip
from harness.chip.metering import set_step_key
from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import (
    BidirectionalAmplifier,
    Circuit,
    Diode,
    Edges,
    InputSource,
    Output,
    VoltageSource,
)
from harness.circuit.variation.variation import ConductanceSpread, Variation
from harness.devices.diode import THERMAL_VOLTAGE
from harness.errors import ChipError, ExperimentError, HarnessError
from harness.experiment.chip import SimulatorChoice
from harness.learning import EquilibriumPropagation, FrequencyPropagation, SquaredError
from harness.learning.rules.base import refuse_unfit
from harness.measurement import Batch, Drive, Injection, Spring
from harness.netlist.tolerances import Tolerances
from harness.studies.sweep.together import _stackable
from tests.conftest import DIODE, kendall, random_batch
from tests.learning.test_rules import gradient_of, graph, inside

COST = SquaredError()
SAMPLES = 40_000
ALLOWED = 4 * np.sqrt(2 / SAMPLES)  # four standard deviations of a variance's estimate
NOISE = JohnsonNoise(bandwidth=1e6, temperature=3e8)


def warm(chip: Chip, noise: JohnsonNoise = NOISE, seed: int = 0) -> JohnsonChip:
    return JohnsonChip(chip, noise, seed=seed)


def covariance(circuit: Circuit, noise: JohnsonNoise = NOISE, inputs: float = 0.0) -> np.ndarray:
    """Of all node voltages over many samples, V²."""
    chip = warm(NodalChip(circuit), noise)
    (reading,) = chip.measure([Drive(np.full((SAMPLES, circuit.channels), inputs))])
    return np.cov(reading.nodes.T, bias=True)


def laplacian(circuit: Circuit) -> tuple[np.ndarray, list[int]]:
    """The conductance matrix of a graph's free nodes, S, and their numbers; it has a resistor from n3 to n4."""
    edges, index = circuit.arrays[0], circuit.node_index
    matrix = np.zeros((len(index),) * 2)
    for a, b, g in [*zip(edges.a, edges.b, edges.conductances.tolist(), strict=True), ("n3", "n4", 0.3)]:
        i, j = index[a], index[b]
        matrix[[i, j, i, j], [i, j, j, i]] += [g, g, -g, -g]
    free = [index[node] for node in circuit.nodes if node not in circuit.held_nodes]
    return matrix[np.ix_(free, free)], free


# --- its size


def test_behind_one_resistor_the_noise_is_that_of_nyquist_and_of_a_capacitance() -> None:
    """4kTRB; and kT/C within 1 / 4RC."""
    ohms, farads, kelvin = 5e4, 1e-12, 300.0
    parts = InputSource("x", "in", 0, 1.0), Edges("w", ("in",), ("out",), np.array([1 / ohms]), 0, 1.0)
    circuit = Circuit("rc", parts, (Output("y", "out"),))
    found = covariance(circuit, JohnsonNoise(1 / (4 * ohms * farads), kelvin))
    at = circuit.node_index["out"]
    assert found[at, at] == pytest.approx(1.380649e-23 * kelvin / farads, rel=ALLOWED)
    assert np.count_nonzero(found) == 1  # the source holds its node


def test_between_any_two_nodes_the_noise_is_that_of_the_resistance_between_them() -> None:
    """Equipartition in a graph, whose inner nodes the reduction would eliminate: 4kTB R of every pair."""
    circuit = graph()
    matrix, free = laplacian(circuit)
    ohms = np.linalg.inv(matrix)
    found = covariance(circuit)[np.ix_(free, free)] / (4 * BOLTZMANN * NOISE.temperature * NOISE.bandwidth)
    between, expected = (np.add.outer(np.diag(m), np.diag(m)) - 2 * m for m in (found, ohms))
    np.testing.assert_allclose(np.diag(found), np.diag(ohms), rtol=1.5 * ALLOWED)
    off = ~np.eye(len(free), dtype=bool)
    np.testing.assert_allclose(between[off], expected[off], rtol=1.5 * ALLOWED)


def test_amplifiers_and_diodes_weigh_the_noise_and_make_none() -> None:
    """A cell behind a gain of 4 counts 1/16 of one before it; a conducting diode loads like its slope, in silence."""
    amplified = Circuit(
        "amplified",
        (
            InputSource("x", "in", 0, 1.0),
            Edges("w", ("in", "a"), ("h", "0"), np.array([0.4, 0.3]), 0, 1.0),
            BidirectionalAmplifier("amp", "h", "a", 4.0),
            Diode("d", "h", "0", DIODE),
        ),
        (Output("y", "a"),),
    )
    volts, scale = 0.0, DIODE.emission * THERMAL_VOLTAGE
    for _ in range(100):
        grown = DIODE.saturation_current * np.exp(volts / scale)
        step = (0.7 * volts - 0.4 * 1.3 + grown - DIODE.saturation_current) / (0.7 + grown / scale)
        volts -= float(np.clip(step, -0.05, 0.05))
    slope = 0.7 + DIODE.saturation_current * np.exp(volts / scale) / scale
    assert slope > 1
    faint = JohnsonNoise(1e6, 1e6)
    found = covariance(amplified, faint, inputs=1.3)[amplified.node_index["h"], amplified.node_index["h"]]
    assert found / faint.power == pytest.approx((0.4 + 0.3 / 16) / slope**2, rel=ALLOWED)


@pytest.mark.ngspice
def test_both_simulators_settle_under_the_same_currents() -> None:
    circuit = kendall([5, 4])
    batch = random_batch(circuit, 4)
    drives = [Drive(batch.inputs), Drive(batch.inputs, Spring(1e-3, batch.targets), "nudged")]
    ours = warm(NodalChip(circuit, tolerance=1e-12)).measure(drives)
    theirs = warm(NgspiceChip(circuit, tolerances=Tolerances(1e-9, 1e-12, 1e-15))).measure(drives)
    cold = NodalChip(circuit).measure(drives)
    for one, other, still in zip(ours, theirs, cold, strict=True):
        np.testing.assert_allclose(one.nodes, other.nodes, rtol=0, atol=1e-8)
        assert np.abs(one.nodes - still.nodes).max() > 1e-5


def test_small_signals_are_noisy_too() -> None:
    circuit, samples = inside(kendall([4])), 5_000
    chip, inputs = warm(NodalChip(circuit)), np.zeros((samples, 3))
    (free,) = chip.measure([Drive(inputs)])
    nothing = Injection(np.zeros((samples, 2)))
    (small,) = chip.measure([Drive(inputs, nothing, "small-signal", free)])
    sizes = [np.std(part, axis=0).max() for part in (small.nodes, free.nodes)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


# --- its randomness


def test_phases_and_steps_draw_anew_and_the_same_step_draws_the_same() -> None:
    circuit, batch = kendall([4]), random_batch(kendall([4]))
    chip = warm(NodalChip(circuit))
    set_step_key(chip, (3, 1))
    first, second = (r.nodes for r in chip.measure([Drive(batch.inputs), Drive(batch.inputs)]))
    assert not np.allclose(first, second, rtol=0, atol=1e-9)
    set_step_key(chip, (3, 1))
    again, _ = (r.nodes for r in chip.measure([Drive(batch.inputs), Drive(batch.inputs)]))
    assert again.tobytes() == first.tobytes()
    for key, seed in (((3, 2), 0), ((3, 1), 1)):
        other = warm(NodalChip(circuit), seed=seed)
        set_step_key(other, key)
        assert not np.allclose(other.measure([Drive(batch.inputs)])[0].nodes, first, rtol=0, atol=1e-9)


@pytest.mark.parametrize("noise", [JohnsonNoise(), JohnsonNoise(1e6, 0.0)])
def test_a_strength_of_nothing_is_the_ideal_chip_bit_for_bit(noise: JohnsonNoise) -> None:
    circuit, batch = graph(diodes=True), random_batch(graph(diodes=True))
    told = [f"imperfect.johnson_bandwidth={noise.bandwidth}", f"imperfect.johnson_temperature={noise.temperature}"]
    subject = Experiment.load("xor", ["chip.kind=nodal", *told])
    assert subject.settings.chip_description.kinds == ["nodal"]
    with subject.open_chip() as chip:
        assert isinstance(chip, NodalChip)
    ideal, cold = (
        c.measure([Drive(batch.inputs)])[0].nodes for c in (NodalChip(circuit), warm(NodalChip(circuit), noise))
    )
    np.testing.assert_allclose(cold, ideal, rtol=0, atol=1e-9)


@pytest.mark.ngspice
def test_bits_do_not_depend_on_the_number_of_workers() -> None:
    told = ["imperfect.johnson_bandwidth=1e12", "chip.chunk=4"]
    subject = Experiment.load("xor", told)
    batch = random_batch(subject.circuit, 11)
    found = []
    for workers in (1, 2):
        with subject.open_chip(SimulatorChoice(workers)) as chip:
            set_step_key(chip, (0, 0))
            found.append(chip.measure([Drive(batch.inputs)])[0].nodes.tobytes())
    assert found[0] == found[1]


def test_noise_is_that_of_the_circuit_as_it_was_made() -> None:
    """A cell that came out of production with another conductance makes the noise of that one."""
    parts = InputSource("x", "in", 0, 1.0), Edges("w", ("in",), ("out",), np.array([0.5]), 0.01, 1.0)
    circuit = Circuit("one", parts, (Output("y", "out"),))
    spread = Variation(spread=ConductanceSpread(0.3))
    made = VariedChip(circuit, spread, 0, lambda inner: warm(NodalChip(inner)))
    real = made.made.conductances[0].item()
    assert abs(real - 0.5) > 0.02
    (reading,) = made.measure([Drive(np.zeros((SAMPLES, 1)))])
    assert np.var(reading.outputs) == pytest.approx(NOISE.power / real, rel=ALLOWED)


# --- learning with it


def test_the_mean_of_many_noisy_gradients_is_the_cold_one() -> None:
    """Noise of both phases is independent, and small noise has no mean part in a centered contrast."""
    circuit = graph()
    batch, rule = random_batch(circuit, 2), EquilibriumPropagation(circuit, COST, beta=0.05)
    cold = gradient_of(rule, NodalChip(circuit), batch)[0]
    many = Batch(np.repeat(batch.inputs, 4_000, axis=0), np.repeat(batch.targets, 4_000, axis=0))
    chip = warm(NodalChip(circuit), JohnsonNoise(1e6, 1e9))
    mean, one = (gradient_of(rule, chip, shown)[0] for shown in (many, batch))
    assert np.linalg.norm(one - cold) > 10 * np.linalg.norm(mean - cold)


def test_what_a_nudge_does_to_the_noise_is_part_of_the_gradient() -> None:
    """With nothing to learn, the contrast is that of the noise itself: bᵀ (cov(β) − cov(−β)) b / 4β, G ± βP by hand."""
    circuit, beta = graph(), 0.08
    matrix, free = laplacian(circuit)
    place = {node: k for k, node in enumerate(free)}
    drops = np.zeros((len(circuit.outputs), len(free)))
    for row, output in zip(drops, circuit.outputs, strict=True):
        for node, sign in ((output.plus, 1.0), (output.minus, -1.0)):
            if circuit.node_index.get(node, -1) in place:
                row[place[circuit.node_index[node]]] += sign
    moved = [np.linalg.inv(matrix + side * beta * drops.T @ drops) for side in (1, -1)]
    high, low = (NOISE.power * inverse @ matrix @ inverse for inverse in moved)
    edges, expected = circuit.arrays[0], []
    for ends in zip(edges.a, edges.b, strict=True):
        b = np.zeros(len(free))
        for node, sign in zip(ends, (1.0, -1.0), strict=True):
            if circuit.node_index[node] in place:
                b[place[circuit.node_index[node]]] += sign
        expected.append(b @ (high - low) @ b / (4 * beta))
    rail = [VoltageSource(e.name, e.node, 0.0) if isinstance(e, VoltageSource) else e for e in circuit.elements]
    still = Circuit("still", tuple(rail), circuit.outputs)
    nothing = Batch(np.zeros((SAMPLES, 2)), np.zeros((SAMPLES, 2)))
    rule = EquilibriumPropagation(still, COST, beta=beta)
    (found,) = gradient_of(rule, warm(NodalChip(still)), nothing)
    assert np.linalg.norm(found - expected) < 0.15 * np.linalg.norm(expected)


def test_an_experiment_learns_at_a_finite_temperature(tmp_path: Path) -> None:
    told = ["chip.kind=nodal", "training.epochs=2", "imperfect.johnson_bandwidth=1 MHz"]
    ends = {}
    for kelvin in ("300 K", "1e11 K"):
        subject = Experiment.load("iris", [*told, f"imperfect.johnson_temperature={kelvin}"])
        assert subject.settings.chip_description.kinds == ["JohnsonChip", "nodal"]
        run = subject.create_run(tmp_path / kelvin.replace(" ", ""))
        ends[kelvin] = subject.train(run, pictures=False)["test_accuracy"]
    assert ends["300 K"] > 0.8
    assert ends["1e11 K"] < ends["300 K"] - 0.1


def test_together_says_that_such_chips_are_trained_one_at_a_time(tmp_path: Path) -> None:
    subject = Experiment.load("xor", ["chip.kind=nodal", "imperfect.johnson_bandwidth=1 MHz"])
    said = _stackable(subject, subject.create_run(tmp_path / "run"))
    assert said == "non-ideal chips (JohnsonChip) are trained one at a time"


# --- what is refused


@pytest.mark.parametrize("make", [UnreducedNodalChip, pytest.param(FullNetlistChip, marks=pytest.mark.ngspice)])
def test_chips_without_currents_into_nodes_are_refused(make: Callable[[Circuit], Chip]) -> None:
    with pytest.raises(ChipError, match=rf"{make.__name__} takes no currents into nodes; take linear cells"):
        warm(make(kendall([3])))
    circuit = kendall([3])
    currents = np.zeros((1, len(circuit.nodes)))
    with pytest.raises(ChipError, match="free phase: the chip takes no currents into its nodes here"):
        make(circuit).measure([Drive(np.zeros((1, 3)), currents=currents)])


def test_what_has_no_noise_here_is_refused() -> None:
    circuit, batch = inside(kendall([3])), random_batch(inside(kendall([3])))
    chip = warm(NodalChip(circuit))
    with pytest.raises(ChipError, match="no Johnson noise is known of an oscillation; take another rule"):
        gradient_of(FrequencyPropagation(circuit, COST, gamma=1e-3, frequency=1.0), chip, batch)
    with pytest.raises(ChipError, match=r"currents into nodes have shape \(3, 2\)"):
        NodalChip(circuit).measure([Drive(batch.inputs, currents=np.zeros((3, 2)))])
    for changes in ({"bandwidth": -1.0}, {"temperature": np.nan}, {"bandwidth": np.inf}):
        with pytest.raises(ChipError, match="must be finite and not negative"):
            JohnsonNoise(**changes)


@pytest.mark.parametrize(
    ("name", "told", "message"),
    [
        ("cascade-digits", "chip.kind=nodal", "needs small-signal phases of the adjoint network, which chip nodal"),
        ("iris", "rule.kind=frequency-propagation", "needs oscillating currents into outputs, which chip ngspice"),
        ("iris", "variation.cell_sinh=2 V", "UnreducedNodalChip takes no currents into nodes; take linear cells"),
    ],
)
def test_rules_and_cells_without_noise_are_refused_before_there_is_a_run(
    name: str, told: str, message: str, tmp_path: Path
) -> None:
    subject = Experiment.load(name, [told, "imperfect.johnson_bandwidth=1 MHz"])
    with pytest.raises(HarnessError, match=message):
        subject.create_run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("imperfect.johnson_bandwidth=-1", "imperfect.johnson_bandwidth"),
        ("imperfect.johnson_temperature=27 °C", "should be in K"),
    ],
)
def test_settings_that_make_no_sense_are_refused(told: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Experiment.load("xor", [told])


def test_a_rule_for_cascades_is_not_cured_by_itself() -> None:
    experiment = Experiment.load("cascade-digits", ["chip.kind=nodal", "imperfect.johnson_bandwidth=1e6"])
    with experiment.open_chip(SimulatorChoice(1)) as chip, pytest.raises(ExperimentError) as refused:
        refuse_unfit("HardwareLinearization", experiment.rule.needs, chip.capabilities, "JohnsonChip")
    served = str(refused.value).rpartition("serve: ")[2].split(", ")
    assert "asymmetric-equilibrium-propagation" in served
    assert "hardware-linearization" not in served
