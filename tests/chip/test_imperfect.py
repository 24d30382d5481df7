"""Imperfect pins: strength 0 is the ideal chip, statistics are those asked for, and resumed trainings draw the same."""

from pathlib import Path

import numpy as np
import pytest

from harness.chip.imperfect.made import VariedChip
from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.metering import stream
from harness.chip.nodal.chip import NodalChip
from harness.circuit.variation.lines import AmplifierErrors, LineResistance
from harness.circuit.variation.variation import ConductanceSpread, Variation
from harness.errors import ChipError
from harness.experiment.experiment import Experiment
from harness.learning import EquilibriumPropagation, HardwareLinearization, SquaredError
from harness.measurement import Drive, Injection, Spring
from tests.conftest import kendall, random_batch

NODAL = ["chip.kind=nodal", "training.epochs=2"]


def chip_with(seed: int = 0, samples: int = 4, **strengths: object) -> tuple[ImperfectChip, NodalChip, Drive, Drive]:
    circuit = kendall([5])
    batch = random_batch(circuit, samples)
    drives = Drive(batch.inputs), Drive(batch.inputs, Spring(0.05, batch.targets), "nudged")
    return ImperfectChip(NodalChip(circuit), PinErrors(**strengths), seed=seed), NodalChip(circuit), *drives


def test_no_strength_is_the_ideal_chip_bit_for_bit() -> None:
    wrapped, ideal, *drives = chip_with()
    assert PinErrors().ideal
    for ours, theirs in zip(wrapped.measure(drives), ideal.measure(drives), strict=True):
        assert ours.nodes.tobytes() == theirs.nodes.tobytes()
    wanted = [np.random.default_rng(0).normal(size=g.shape) * 0.1 for g in ideal.conductances]
    for ours, theirs in zip(wrapped.adjust(wanted), ideal.adjust(wanted), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert Experiment.load("iris", NODAL).new_chip().__class__ is NodalChip


def test_converters_round_to_their_steps_and_clip() -> None:
    wrapped, ideal, free, _ = chip_with(adc_bits=6, adc_range=1.0, dac_bits=4, dac_range=1.5)
    (reading,) = wrapped.measure([free])
    steps = (reading.outputs + 1) / (2 / 63)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    inputs = np.rint((np.clip(free.inputs, -1.5, 1.5) + 1.5) / 0.2) * 0.2 - 1.5
    (expected,) = ideal.measure([Drive(inputs)])
    pins = [ideal.circuit.node_index[f"x{k}p"] for k in range(3)]
    np.testing.assert_allclose(reading.nodes[:, pins], expected.nodes[:, pins])
    assert np.abs(reading.outputs - np.clip(expected.outputs, -1, 1)).max() <= 1 / 63 + 1e-12


def test_read_noise_has_its_size_and_spares_what_sources_hold() -> None:
    wrapped, ideal, free, _ = chip_with(samples=400, read_noise=0.01)
    (reading,), (expected,) = wrapped.measure([free]), ideal.measure([free])
    assert (reading.outputs - expected.outputs).std() == pytest.approx(0.01, rel=0.1)
    held = [ideal.circuit.node_index[node] for node in ideal.circuit.held_nodes]
    np.testing.assert_array_equal(reading.nodes[:, held], expected.nodes[:, held])


def test_nudged_phases_settle_in_a_twin_that_differs_by_so_much() -> None:
    wrapped, ideal, free, nudged = chip_with(mismatch=0.05)
    ours, theirs = wrapped.measure([free, nudged]), ideal.measure([free, nudged])
    np.testing.assert_array_equal(ours[0].nodes, theirs[0].nodes)
    assert 1e-4 < np.abs(ours[1].nodes - theirs[1].nodes).max() < 0.2
    again = wrapped.measure([free, nudged])
    np.testing.assert_array_equal(ours[1].nodes, again[1].nodes)
    for now, before in zip(wrapped.conductances, ideal.conductances, strict=True):
        np.testing.assert_array_equal(now, before)


def test_levels_are_kept_and_small_updates_are_right_in_the_mean() -> None:
    wrapped, _, *_ = chip_with(levels=33)
    wrapped.program(wrapped.conductances)
    array = wrapped.circuit.arrays[0]
    step, total = (array.g_max - array.g_min) / 32, 0.0
    start = wrapped.conductances[0]
    middle = [np.full(g.shape, array.g_min + 16 * step) for g in wrapped.conductances]
    for k in range(400):
        wrapped.set_step_key([0, k])
        wrapped.program(middle)
        written = wrapped.adjust([np.full(g.shape, 0.1 * step) for g in middle])
        total += written[0].mean()
        number = (wrapped.conductances[0] - array.g_min) / step
        np.testing.assert_allclose(number, np.rint(number), atol=1e-9)
    assert total / 400 == pytest.approx(0.1 * step, rel=0.1)
    assert start.shape == array.shape


def test_bias_and_programming_noise_are_written() -> None:
    biased, ideal, *_ = chip_with(update_bias=1e-3)
    middle = [np.full(g.shape, 1.0) for g in ideal.conductances]
    biased.program(middle)
    wanted = [np.full(g.shape, 1e-9) for g in middle]
    wanted[0][0] = 0.0
    written = biased.adjust(wanted)
    np.testing.assert_allclose(np.abs(written[0][1:]), 1e-3, rtol=1e-5)
    assert not written[0][0].any()  # what is not written is not biased
    noisy, *_ = chip_with(programming_noise=0.01)
    noisy.program([np.full(g.shape, 5.0) for g in middle])
    written = noisy.adjust([np.full(g.shape, 0.5) for g in middle])
    assert (written[0] - 0.5).std() == pytest.approx(0.01 * (10 - 1e-3), rel=0.4)
    assert not any(w.any() for w in noisy.adjust([np.zeros(g.shape) for g in middle]))


def test_small_signals_are_about_the_point_where_the_chip_is_and_not_where_it_was_read() -> None:
    wrapped, ideal, free, _ = chip_with(read_noise=0.05)
    (seen,), (true,) = wrapped.measure([free]), ideal.measure([free])
    current = Injection(np.full(seen.outputs.shape, 1e-3))
    (ours,) = wrapped.measure([Drive(free.inputs, current, "small-signal", about=seen)])
    (theirs,) = ideal.measure([Drive(free.inputs, current, "small-signal", about=true)])
    assert np.abs(ours.outputs - theirs.outputs).max() < 0.25  # noise of 50 mV on the reading, none on the state


@pytest.mark.parametrize("lines", [0.0, 100.0])  # with which most nodes are eliminated
@pytest.mark.parametrize("errors", [PinErrors(), PinErrors(read_noise=1e-3, adc_bits=8, dac_bits=6, dac_noise=1e-3)])
def test_outputs_alone_are_those_that_are_read_with_all_nodes(errors: PinErrors, lines: float) -> None:
    circuit = kendall([5])
    amplifiers, spread = AmplifierErrors(offset=5e-3), ConductanceSpread(0.1)
    variation = Variation(amplifiers=amplifiers, spread=spread, lines=LineResistance(lines, lines))
    batches, found = [random_batch(circuit, 4, seed) for seed in (1, 2)], []
    for only in (False, True):
        chip = ImperfectChip(VariedChip(circuit, variation, 1, NodalChip), errors, seed=2)
        readings = [chip.measure([Drive(batch.inputs, outputs_only=only)])[0] for batch in batches]
        assert all((reading.volts is None) == only for reading in readings)
        found.append(np.concatenate([reading.outputs for reading in readings]))
    np.testing.assert_array_equal(*found)
    assert np.ptp(found[0]) > 0.01


def test_energy_is_counted_where_outputs_alone_are_read() -> None:
    circuit = kendall([5])
    chips = [NodalChip(circuit, settling_time=1e-6) for _ in range(2)]
    for chip, only in zip(chips, (False, True), strict=True):
        chip.measure([Drive(random_batch(circuit).inputs, outputs_only=only)])
    assert chips[0].ledger == chips[1].ledger
    assert chips[0].ledger.energy > 0


def test_one_source_does_not_change_the_draws_of_another() -> None:
    both, *_, nudged = chip_with(read_noise=0.01, mismatch=0.02)
    one, *_ = chip_with(read_noise=0.01)
    free = Drive(nudged.inputs)
    (a,), (b,) = both.measure([free]), one.measure([free])
    np.testing.assert_array_equal(a.outputs, b.outputs)


@pytest.mark.parametrize("name", ["iris", "cascade-digits"])
def test_a_resumed_training_draws_what_an_uninterrupted_one_drew(tmp_path: Path, name: str) -> None:
    noisy = ["imperfect.read_noise=1e-3", "imperfect.levels=64", "imperfect.programming_noise=1e-3"]
    small = ["network.hidden=[6]", "training.epochs=1", "training.batch=200"] if name != "iris" else []
    experiment = Experiment.load(name, [*NODAL, *noisy, *small])
    runs = [experiment.create_run(tmp_path / part) for part in ("whole", "halves")]
    experiment.train(runs[0])
    steps = iter(range(100))
    assert experiment.train(runs[1], stop=lambda: next(steps) == 3) is None
    experiment.train(runs[1])
    assert (runs[0].path / "steps.csv").read_bytes() == (runs[1].path / "steps.csv").read_bytes()
    first, second = (run.position() for run in runs)
    assert first is not None
    assert second is not None
    for a, b in zip(first.conductances, second.conductances, strict=True):
        np.testing.assert_array_equal(a, b)


def test_rules_train_behind_imperfect_pins() -> None:
    wrapped, _, free, _ = chip_with(read_noise=1e-4, adc_bits=14, adc_range=2.0)
    batch = random_batch(wrapped.circuit, 4)
    assert free.inputs.shape == batch.inputs.shape
    for rule in (
        EquilibriumPropagation(wrapped.circuit, SquaredError(), beta=0.05),
        HardwareLinearization(wrapped.circuit, SquaredError(), gamma=0.5),
    ):
        gradients = []
        for chip in (wrapped, NodalChip(wrapped.circuit)):
            readings = rule.measure(chip, batch, np.random.default_rng(0))
            gradients.append(np.concatenate([g.ravel() for g in rule.gradient(readings)]))
        a, b = gradients
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.9


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ({"read_noise": -1e-3}, "read_noise -1 mV must be finite and not negative"),
        ({"update_bias": np.nan}, "update_bias .* must be finite and not negative"),
        ({"adc_range": 0.0}, "adc_range 0 V must be finite and above 0 V"),
        ({"levels": 1}, "levels 1 must be at least 2"),
    ],
)
def test_senseless_strengths_are_refused(strengths: dict[str, float], message: str) -> None:
    with pytest.raises(ChipError, match=message):
        PinErrors(**strengths)  # type: ignore[arg-type]


def test_steps_and_the_training_draw_from_different_streams() -> None:
    def noise(*numbers: int) -> bytes:
        wrapped, _, free, _ = chip_with(read_noise=0.01)
        wrapped.set_step_key(numbers)
        return wrapped.measure([free])[0].outputs.tobytes()

    assert len({noise(), noise(0), noise(0, 0), noise(0, 1), noise(1, 0)}) == 5
    ours = stream(7, 101, (0, 1)).random()
    assert ours not in {np.random.default_rng([7, *rest]).random() for rest in ([1, 0, 1], [101, 0, 1], [0, 1])}


def test_the_first_reading_is_of_cells_at_their_levels() -> None:
    wrapped, ideal, *_ = chip_with(levels=8)
    step = (10 - 1e-3) / 7
    number = (wrapped.conductances[0] - 1e-3) / step
    np.testing.assert_allclose(number, np.rint(number), atol=1e-9)
    assert np.abs(wrapped.conductances[0] - ideal.conductances[0]).max() > 0


def test_a_reopened_run_is_evaluated_as_training_ended(tmp_path: Path) -> None:
    experiment = Experiment.load("xor", [*NODAL, "imperfect.read_noise=20 mV"])
    run = experiment.create_run(tmp_path / "run")
    result = experiment.train(run)
    assert result is not None
    found = experiment.evaluate(run)
    assert [found[name] for name in ("test_loss", "train_loss")] == [result["test_loss"], result["train_loss"]]


def test_inputs_and_targets_beyond_the_converters_are_warned_of() -> None:
    converters = ["imperfect.dac_bits=8", "imperfect.adc_bits=8", "imperfect.adc_range=10 V"]
    (warning,) = Experiment.load("iris", [*NODAL, *converters]).warnings()
    assert "of the inputs lie beyond imperfect.dac_range, ±1 V; raise it" in warning
