"""Programming by pulses: closed forms, statistics, ledgers by hand, differential pairs, and resumed trainings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.chip.imperfect.made import VariedChip
from harness.chip.imperfect.programming import Mode, ProgrammedChip, Programming
from harness.chip.metering import Ledger
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, equilibrium_network, rectified_cascade
from harness.circuit.pairs import differential_pairs
from harness.circuit.variation.variation import CellDefects, Variation
from harness.devices.presets import POTENTIOMETERS, PRESETS, preset
from harness.devices.pulses import ExponentialStep, LinearStep, PulseCurves, SoftBounds, WritePulse
from harness.devices.writing import Device, Law, device_of, placed, pulses_needed
from harness.errors import ChipError, CircuitError, ExperimentError
from harness.experiment.experiment import Experiment
from harness.learning.updates.accumulation import AccumulatedUpdate
from harness.learning.updates.updates import SGD, Momentum
from harness.measurement import Array, Conductances
from tests.conftest import CELLS, DIODE, kendall, scellier

LAWS: list[Law] = [
    LinearStep(1e-6, 1e-4, 1e-6, 2e-6),
    SoftBounds(0.0, 1e-4, 0.03, 0.05),
    ExponentialStep(2e-6, 1e-4, 60, 80, 3.0, -2.0),
    ExponentialStep(0.0, 1e-4, 100, 100, 0.0, 1e-3),
    PulseCurves(1e-5 * np.array([1.0, 2.0, 4.0, 8.0, 9.0]), 1e-5 * np.array([9.0, 5.0, 3.0, 2.0, 1.0])),
]
SPAN = CELLS.g_max - CELLS.g_min
LINEAR = Device("linear", LinearStep(0.0, 1.0, 0.01, 0.01))
NONLINEAR = Device("nonlinear", ExponentialStep(0.0, 1.0, 50, 40, 3.0, 2.0))
NODAL = ["chip.kind=nodal", "training.epochs=2"]
SMALL = [*NODAL, "training.batch=21", "network.hidden=[4]"]


def chip_with(device: Device = LINEAR, *, start: float = 0.5, circuit: Circuit | None = None, **how: object):
    """A programmed chip with all its cells at a fraction of their range."""
    circuit = circuit or kendall([5])
    chip = ProgrammedChip(NodalChip(circuit), Programming(device, **how), seed=3)  # type: ignore[arg-type]
    chip.program([np.full(a.shape, CELLS.g_min + start * SPAN) for a in circuit.arrays])
    return chip


def everywhere(chip: ProgrammedChip, change: float) -> list[Array]:
    """The same wanted change of every cell, as a fraction of the range."""
    return [np.full(g.shape, change * SPAN) for g in chip.conductances]


def drawn(chip: ProgrammedChip, size: float, seed: int = 0) -> list[Array]:
    """Wanted changes of both signs, of about a fraction of the range."""
    rng = np.random.default_rng(seed)
    return [size * SPAN * rng.normal(size=g.shape) for g in chip.conductances]


@pytest.mark.parametrize("mode", Mode)
def test_pulses_of_one_s_own_follow_the_law_whatever_the_mode(mode: Mode) -> None:
    chip = chip_with(NONLINEAR, mode=mode)
    law = NONLINEAR.over(CELLS.g_min, CELLS.g_max)
    counts = [np.random.default_rng(k).integers(-5, 6, g.shape) for k, g in enumerate(chip.conductances)]
    before = chip.conductances
    changes = chip.pulse(counts)
    for g, now, change, count in zip(before, chip.conductances, changes, counts, strict=True):
        assert np.allclose(now, law.pulse(g, count), rtol=1e-12)
        assert np.array_equal(now[count == 0], g[count == 0])
        assert np.array_equal(change, now - g)
    assert chip.ledger is not None
    assert chip.ledger.pulses == sum(int(np.abs(count).sum()) for count in counts)


def flat(arrays: Conductances) -> Array:
    return np.concatenate([a.ravel() for a in arrays])


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_pulses_needed_inverts_every_law(law: Law) -> None:
    low, high = law.bounds
    g = np.linspace(low + 0.1 * (high - low), high - 0.3 * (high - low), 7)
    for count in (1, 2, -1, 0):
        after = law.pulse(g, count)
        inside = (after > low) & (after < high)
        assert inside.sum() >= 2
        np.testing.assert_allclose(pulses_needed(law, g, after)[inside], count, atol=1e-9)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_a_law_keeps_its_shape_over_another_range(law: Law) -> None:
    low, high = law.bounds
    there = placed(law, 0.2, 0.7)
    way = np.linspace(0.05, 0.95, 9)
    for count in (3, -2):
        ours = (there.pulse(0.2 + 0.5 * way, count) - 0.2) / 0.5
        np.testing.assert_allclose(ours, (law.pulse(low + (high - low) * way, count) - low) / (high - low), atol=1e-12)


def test_a_device_keeps_its_on_off_ratio_and_never_leaves_the_range() -> None:
    tantalum = device_of(preset("TaOx/TiO2"))
    assert tantalum.over(0.0, 1e-4).bounds == pytest.approx((5e-5, 1e-4))
    assert replace(tantalum, ratio=None).over(1e-6, 1e-4).bounds == (1e-6, 1e-4)
    assert device_of(preset("EpiRAM Ag:SiGe")).over(1e-5, 1e-4).bounds == (1e-5, 1e-4)
    assert device_of(preset("AD5272-20")).ratio == pytest.approx(1 + 20e3 * 1023 / 1024 / 35)
    for source in (*PRESETS, *POTENTIOMETERS):
        device = device_of(source)
        assert device.over(0.0, 1e-4).bounds[1] == pytest.approx(1e-4)
        unpublished = getattr(source, "g_max", 1.0) is None
        assert (device.ratio is None) == unpublished


def test_the_first_programming_is_exact_and_clipped_to_the_device() -> None:
    chip = ProgrammedChip(NodalChip(kendall([5])), Programming(replace(LINEAR, ratio=20.0)), seed=0)
    for now, drawn_ in zip(chip.conductances, chip.circuit.conductances, strict=True):
        np.testing.assert_array_equal(now, np.maximum(drawn_, CELLS.g_max / 20))
    assert chip.ledger == Ledger()


def test_exact_writes_are_those_of_an_ideal_chip_with_the_device_s_range() -> None:
    device = replace(NONLINEAR, cycle_to_cycle=0.1, device_to_device=0.3, ratio=10.0)
    chip = chip_with(device, mode=Mode.EXACT)
    lowest = CELLS.g_max / 10
    for size in (0.02, 0.5):
        before, wanted = chip.conductances, drawn(chip, size)
        goals = [np.clip(g + change, lowest, CELLS.g_max) for g, change in zip(before, wanted, strict=True)]
        written = chip.adjust(wanted)
        np.testing.assert_allclose(flat(chip.conductances), flat(goals), rtol=1e-12)
        np.testing.assert_allclose(flat(written), flat(goals) - flat(before), atol=1e-12 * CELLS.g_max)
    assert (chip.ledger.pulses, chip.ledger.reads_to_verify, chip.ledger.write_energy) == (0, 0, 0.0)
    assert chip.ledger.conductances_written > 0


@pytest.mark.parametrize(
    ("key", "message"), [("pairs=true", "has no pulses"), ("max_pulses=9", "writes with no pulse")]
)
def test_exact_writes_refuse_keys_of_pulses(key: str, message: str) -> None:
    overrides = ["programming.law=linear", "programming.pulses=50", "programming.mode=exact", f"programming.{key}"]
    with pytest.raises(ExperimentError, match=f"programming.{key}: .*mode = 'exact' {message}"):
        Experiment.load("iris", overrides)
    with pytest.raises(ChipError, match="mode 'exact' has no pulses"):
        Programming(LINEAR, Mode.EXACT, pairs=True)


@pytest.mark.parametrize("mode", [Mode.OPEN_LOOP, Mode.STOCHASTIC, Mode.VERIFY])
def test_fine_linear_steps_write_what_is_wanted(mode: Mode) -> None:
    step = 1e-3 if mode is Mode.VERIFY else 1e-4
    fine = Device("fine", LinearStep(0.0, 1.0, step, step))
    chip = chip_with(fine, mode=mode, max_pulses=10_000, tolerance=step)
    ideal = NodalChip(chip.circuit)
    ideal.program(chip.conductances)
    for size in (0.02, 0.3):  # the second one reaches the bounds
        wanted = drawn(chip, size)
        ours, theirs = chip.adjust(wanted), ideal.adjust(wanted)
        np.testing.assert_allclose(flat(ours), flat(theirs), atol=1.01 * step * SPAN)
        ideal.program(chip.conductances)


def test_open_loop_sends_the_pulses_of_the_mean_law() -> None:
    chip = chip_with(NONLINEAR, start=0.4, max_pulses=6)
    law = NONLINEAR.over(CELLS.g_min, CELLS.g_max)
    before, wanted = chip.conductances, drawn(chip, 0.1)
    written = chip.adjust(wanted)
    pulses = 0
    for g, change, did in zip(before, wanted, written, strict=True):
        every = np.array([law.pulse(g, n) for n in range(-6, 7)])
        goal = np.clip(g + change, CELLS.g_min, CELLS.g_max)
        nearest = np.abs(every - goal).argmin(axis=0) - 6
        counts = np.rint(np.clip(pulses_needed(law, g, goal), -6, 6)).astype(int)
        assert np.abs(nearest - counts).max() <= 1  # rounding counts is nearly rounding conductances
        assert (nearest == counts).mean() > 0.9
        np.testing.assert_allclose(did, law.pulse(g, counts) - g, atol=1e-12)
        pulses += np.abs(counts).sum()
    assert chip.ledger.pulses == pulses
    assert chip.ledger.conductances_written == sum(np.count_nonzero(w) for w in written)


def test_devices_differ_for_good_and_pulses_scatter_at_every_step() -> None:
    spread = replace(LINEAR, device_to_device=0.2)
    chip, circuit = chip_with(spread, circuit=kendall([40], channels=20)), kendall([40], channels=20)
    first = flat(chip.adjust(everywhere(chip, 0.1)))
    np.testing.assert_allclose(flat(chip.adjust(everywhere(chip, -0.1))), -first, atol=1e-9)
    assert (first / SPAN / 0.1).std() == pytest.approx(0.2, rel=0.1)
    assert (first / SPAN / 0.1).mean() == pytest.approx(1, abs=0.02)

    noisy = chip_with(replace(LINEAR, cycle_to_cycle=0.01), circuit=circuit)
    seen = []
    for step in (1, 2, 1):
        noisy.program(chip_with(circuit=circuit).conductances)
        noisy.set_step_key([0, step])
        seen.append(flat(noisy.adjust(everywhere(noisy, 0.16))))
    np.testing.assert_array_equal(seen[0], seen[2])
    assert not np.array_equal(seen[0], seen[1])
    assert (seen[0] / SPAN).std() == pytest.approx(0.04, rel=0.1)  # 16 pulses of 1 %


def test_a_fixed_step_goes_by_the_sign_beyond_its_threshold() -> None:
    chip = chip_with(mode=Mode.FIXED_STEP, threshold=0.02)
    wanted = drawn(chip, 0.03)
    wanted[0][0, 0] = 0.0
    written = chip.adjust(wanted)
    expected = np.sign(flat(wanted)) * (np.abs(flat(wanted)) > 0.02 * SPAN)
    np.testing.assert_allclose(flat(written), 0.01 * SPAN * expected, atol=1e-12)
    assert chip.ledger.pulses == np.abs(expected).sum()


def test_stochastic_pulses_are_right_in_the_mean() -> None:
    chip, total = chip_with(mode=Mode.STOCHASTIC), 0.0
    start, rounds = chip.conductances, 400
    for step in range(rounds):
        chip.program(start)
        chip.set_step_key([0, step])
        written = flat(chip.adjust([0.0023 * SPAN * (1 - 2 * (k % 2)) * np.ones(g.shape) for k, g in enumerate(start)]))
        steps = written / (0.01 * SPAN)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
        total = total + steps
    up = start[0].size
    assert (total[:up] / rounds).mean() == pytest.approx(0.23, abs=0.01)
    assert (total[up:] / rounds).mean() == pytest.approx(-0.23, abs=0.01)
    assert (total[:up] / rounds).std() == pytest.approx(np.sqrt(0.23 * 0.77 / rounds), rel=0.4)


def test_verify_reaches_the_tolerance_and_counts_its_reads() -> None:
    device = replace(NONLINEAR, cycle_to_cycle=0.01, device_to_device=0.3)
    chip = chip_with(device, mode=Mode.VERIFY, tolerance=0.02, max_pulses=200)
    before, wanted = chip.conductances, drawn(chip, 0.1)
    wanted[0][0, :] = 0.0
    chip.adjust(wanted)
    goal = np.clip(flat(before) + flat(wanted), CELLS.g_min, CELLS.g_max)
    assert np.abs(flat(chip.conductances) - goal).max() <= 0.02 * SPAN * (1 + 1e-9)
    np.testing.assert_array_equal(chip.conductances[0][0], before[0][0])
    assert chip.ledger.reads_to_verify == chip.ledger.pulses + np.count_nonzero(flat(wanted))


def test_verify_gives_up_at_its_limit() -> None:
    chip = chip_with(mode=Mode.VERIFY, tolerance=0.001, max_pulses=5)
    written = chip.adjust(everywhere(chip, 0.2))
    np.testing.assert_allclose(flat(written), 0.05 * SPAN, rtol=1e-9)
    cells = written[0].size + written[1].size
    assert (chip.ledger.pulses, chip.ledger.reads_to_verify) == (5 * cells, 6 * cells)


def test_the_energy_of_writing_by_hand() -> None:
    pulses = {"up": WritePulse(2.0, 1e-6), "down": WritePulse(-3.0, 2e-6)}
    chip = chip_with(replace(LINEAR, **pulses))
    wanted = [np.zeros(g.shape) for g in chip.conductances]
    wanted[0][0, 0], wanted[1][2, 1] = 0.04 * SPAN, -0.02 * SPAN
    middle = CELLS.g_min + 0.5 * SPAN
    chip.adjust(wanted)
    by_hand = 4 * 4.0 * 1e-6 * (middle + 0.02 * SPAN) + 2 * 9.0 * 2e-6 * (middle - 0.01 * SPAN)
    assert chip.ledger.write_energy == pytest.approx(by_hand)
    assert (chip.ledger.pulses, chip.ledger.conductances_written) == (6, 2)
    for device, energy in ((replace(LINEAR, **pulses, energy=1e-15), 6e-15), (LINEAR, 0.0)):
        chip = chip_with(device)
        chip.adjust(wanted)
        assert chip.ledger.write_energy == pytest.approx(energy)


def test_what_stuck_cells_do_not_do_does_not_come_back() -> None:
    circuit, defects = kendall([5]), Variation(defects=CellDefects(stuck_at_min=0.5))
    chip = ProgrammedChip(VariedChip(circuit, defects, 1, NodalChip), Programming(LINEAR), seed=0)
    before = chip.conductances
    written = chip.adjust(everywhere(chip, 0.1))
    moved = flat(written) != 0
    assert 0.2 < moved.mean() < 0.8
    np.testing.assert_array_equal(flat(chip.conductances) - flat(before), flat(written))
    assert chip.ledger.pulses >= 10 * moved.size  # stuck cells are pulsed in vain


def test_partners_carry_opposite_signals() -> None:
    circuit = kendall([5])
    first, second = differential_pairs(circuit)
    words, bits = circuit.arrays[0].words, circuit.arrays[0].bits  # type: ignore[union-attr]
    opposite = {"p": "n", "n": "p"}
    for cell, other in enumerate(first):
        word, bit = words[cell // len(bits)], bits[cell % len(bits)]
        there = words[other // len(bits)], bits[other % len(bits)]
        assert there == (word[:-1] + opposite[word[-1]], bit)
    outputs = circuit.arrays[1].bits  # type: ignore[union-attr]
    assert [outputs[k] for k in second[: len(outputs)]] == [b[:-1] + opposite[b[-1]] for b in outputs]
    for pairs in (first, second):
        np.testing.assert_array_equal(pairs[pairs], np.arange(pairs.size))
    cascade = rectified_cascade(3, [4], 2, cells=CELLS, diode=DIODE, rng=np.random.default_rng(0))
    assert [p.size for p in differential_pairs(cascade)] == [np.prod(a.shape) for a in cascade.arrays]


@pytest.mark.parametrize(
    ("circuit", "message"),
    [
        (
            lambda: kendall([4, 3]),
            r"crossbar w2: no differential pairs: word line a1_0 has none .* bit line h2_0 is no",
        ),
        (lambda: scellier([4]), r"crossbar w2: no differential pairs"),
        (
            lambda: equilibrium_network(3, 4, 2, cells=CELLS, diode=DIODE, rng=np.random.default_rng(0)),
            r"edges lateral: only the cells of crossbars have differential pairs",
        ),
    ],
)
def test_arrays_without_pairs_are_refused(circuit, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        ProgrammedChip(NodalChip(circuit()), Programming(LINEAR, pairs=True), seed=0)


@pytest.mark.parametrize("mode", [Mode.OPEN_LOOP, Mode.VERIFY])
def test_pairs_change_their_difference_as_wanted_and_only_upwards(mode: Mode) -> None:
    fine = Device("fine", LinearStep(0.0, 1.0, 2e-4, 2e-4))
    chip = chip_with(fine, start=0.3, mode=mode, max_pulses=10_000, tolerance=2e-4, pairs=True)
    wanted = drawn(chip, 0.02)
    written = chip.adjust(wanted)
    for k, pair in enumerate(differential_pairs(chip.circuit)):
        change, did = wanted[k].ravel(), written[k].ravel()
        assert did.min() >= 0
        np.testing.assert_allclose(did - did[pair], change - change[pair], atol=5e-4 * SPAN)
        gaining = (change > 0) & (change[pair] > 0)
        np.testing.assert_allclose(did[gaining], change[gaining], atol=3e-4 * SPAN)
        losing = (change <= 0) & (change[pair] <= 0)
        assert (np.minimum(did, did[pair])[losing] == 0).all()
    np.testing.assert_array_equal(chip.ledger.conductances_written, np.count_nonzero(flat(written)))


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.EXACT])
def test_full_pairs_are_refreshed_with_the_same_difference(mode: Mode) -> None:
    tolerance = {"tolerance": 0.004} if mode is Mode.VERIFY else {}
    chip = chip_with(start=0.7, mode=mode, pairs=True, refresh_at=0.1, **tolerance)
    pairs = differential_pairs(chip.circuit)
    start = [g.copy() for g in chip.conductances]
    start[0].ravel()[0] += 0.195 * SPAN  # a step below the limit
    chip.program(start)
    before = chip.conductances[0].ravel().copy()
    wanted = [np.zeros(g.shape) for g in start]
    wanted[0].ravel()[0] = 0.01 * SPAN
    written = chip.adjust(wanted)[0].ravel()
    now = chip.conductances[0].ravel()
    other = pairs[0][0]
    np.testing.assert_array_equal(now - before, written)
    difference = now[0] - now[other]
    assert difference == pytest.approx(0.205 * SPAN, abs=0.0051 * SPAN)
    assert now[other] == pytest.approx(CELLS.g_min)
    assert np.count_nonzero(written) == 2
    rewritten = round(difference / (0.01 * SPAN))
    assert chip.ledger.pulses == 1 + 2 + rewritten
    far = [g.copy() for g in start]
    far[0].ravel()[[0, other]] = CELLS.g_max, CELLS.g_min
    chip.program(far)
    chip.adjust([np.zeros(g.shape) for g in start])
    np.testing.assert_array_equal(flat(chip.conductances), flat(far))  # a refresh would gain nothing


def test_accumulation_lets_whole_portions_through_and_keeps_the_rest() -> None:
    rule = AccumulatedUpdate(SGD((1.0, 2.0)), 0.5)
    gradients = [tuple(np.random.default_rng([k, j]).normal(size=(4, 3)) for j in range(2)) for k in range(30)]
    state, let = rule.init(gradients[0]), [np.zeros((4, 3)), np.zeros((4, 3))]
    for gradient in gradients:
        change, state = rule.step(gradient, state)
        for k, part in enumerate(change):
            np.testing.assert_allclose(part / 0.5, np.rint(part / 0.5))
            let[k] = let[k] + part
            assert np.abs(state.slots[-1][k]).max() < 0.5
    for k, rate in enumerate((1.0, 2.0)):
        np.testing.assert_allclose(let[k] + state.slots[-1][k], -rate * sum(g[k] for g in gradients), atol=1e-12)
    assert state.steps == 30


def test_accumulation_of_threshold_0_is_the_inner_rule_bit_for_bit() -> None:
    inner = Momentum((1e-3,), 0.8)
    outer = AccumulatedUpdate(inner, 0.0)
    gradient = (np.random.default_rng(0).normal(size=(3, 3)),)
    ours, theirs = outer.init(gradient), inner.init(gradient)
    for factor in (1.0, 0.3):
        (a,), ours = outer.scaled(factor).step(gradient, ours)
        (b,), theirs = inner.scaled(factor).step(gradient, theirs)
        assert a.tobytes() == b.tobytes()
    with pytest.raises(ExperimentError, match="threshold -1 S must be finite and not negative"):
        AccumulatedUpdate(inner, -1.0)


@pytest.mark.parametrize(
    "how",
    [
        ["programming.device=AD5272-100", "programming.mode=stochastic", "subset.choose=largest"],
        ["programming.device=GST", "programming.range=array", "programming.pairs=true", "programming.mode=verify"],
    ],
    ids=["stochastic", "pairs"],
)
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path, how: list[str]) -> None:
    noise = ["programming.device_to_device=0.1", "programming.cycle_to_cycle=0.003", "update.accumulate=0.01"]
    experiment = Experiment.load("iris", [*SMALL, "imperfect.read_noise=1e-4", *noise, *how])
    runs = [experiment.create_run(tmp_path / part) for part in ("whole", "halves")]
    experiment.train(runs[0], pictures=False)
    steps = iter(range(100))
    assert experiment.train(runs[1], pictures=False, stop=lambda: next(steps) == 3) is None
    experiment.train(runs[1], pictures=False)
    assert (runs[0].path / "steps.csv").read_bytes() == (runs[1].path / "steps.csv").read_bytes()
    first, second = (run.position() for run in runs)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(flat(first.conductances), flat(second.conductances))
    np.testing.assert_array_equal(flat(first.update.slots[-1]), flat(second.update.slots[-1]))
    results = [run.result for run in runs]
    assert results[0] is not None
    assert results[1] is not None
    assert results[0]["pulses"] == results[1]["pulses"] > 0
    assert (results[0]["reads_to_verify"] > 0) == ("programming.mode=verify" in how)


def test_an_experiment_without_the_section_has_no_wrapper_and_fine_steps_learn_as_well() -> None:
    plain = Experiment.load("xor", NODAL)
    assert type(plain.new_chip()) is NodalChip
    fine = Experiment.load("xor", [*NODAL, "programming.law=linear", "programming.pulses=1e6"])
    chip = fine.new_chip()
    assert isinstance(chip, ProgrammedChip)
    wanted = [1e-6 * np.random.default_rng(k).normal(size=g.shape) for k, g in enumerate(chip.conductances)]
    ideal = plain.new_chip().adjust(wanted)
    capped = Experiment.load("xor", [*NODAL, "programming.law=linear", "programming.pulses=1e6"]).new_chip()
    assert np.abs(flat(capped.adjust(wanted))).max() == pytest.approx(100 * 1e-10)  # 100 pulses of 0.1 nS
    free = fine.replace({"programming.max_pulses": 1_000_000}).new_chip()
    np.testing.assert_allclose(flat(free.adjust(wanted)), flat(ideal), atol=1e-10)


def test_a_file_of_measured_pulses_lies_beside_the_experiment(tmp_path: Path) -> None:
    law = ExponentialStep(2e-6, 2e-5, 30, 30, 2.0, 1.0)
    rows = [f"{n},{float(law.pulse(np.array([2e-6]), n)[0])},up" for n in range(31)]
    rows += [f"{n},{float(law.pulse(np.array([2e-5]), -n)[0])},down" for n in range(31)]
    (tmp_path / "pulses.csv").write_text("\n".join(["pulse,conductance,direction", *rows]))
    text = Experiment.load("xor", NODAL).settings.to_toml() + '\n[programming]\nfile = "pulses.csv"\n'
    (tmp_path / "mine.toml").write_text(text)
    experiment = Experiment.load(str(tmp_path / "mine.toml"), ["network.g_min=0"])
    assert experiment.settings.programming is not None
    assert experiment.settings.programming.file == tmp_path / "pulses.csv"
    chip = experiment.new_chip()
    assert flat(chip.conductances).min() == pytest.approx(1e-5, rel=1e-3)  # g_max over the ratio 10


def test_cells_that_would_start_alike_are_warned_of() -> None:
    tantalum = ["programming.device=TaOx/TiO2"]
    (first, second) = Experiment.load("xor", tantalum).warnings()
    assert first == (
        "crossbar w1: 60 of 60 cells start below 50 µS, the smallest conductance of TaOx/TiO2, and so start alike; "
        "raise g_unit, or leave its on/off ratio out"
    )
    assert second.startswith("crossbar w2: 48 of 48 cells")
    assert Experiment.load("xor", [*tantalum, "programming.range=array"]).warnings() == []
    assert Experiment.load("xor").warnings() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["device=GTS"], r"programming.device: no device preset 'GTS'; did you mean 'GST'\?"),
        (["mode=verify"], r"programming.device: give a device, a file of measured pulses, or a law"),
        (["device=GST", "law=linear"], r"programming.law: device says already what the cells are"),
        (["device=GST", "pulses=5"], r"programming.pulses: belongs to a law"),
        (["law=linear"], r"programming.pulses: law = 'linear' needs the number of pulses"),
        (["law=linear", "pulses=9", "nonlinearity_up=1"], r"programming.nonlinearity_up: law = 'linear' has none"),
        (["law=linear", "pulses=9", "range=ratio"], r"programming.on_off_ratio: range = 'ratio' needs it"),
        (["device=Li ECRAM", "range=ratio"], r"programming.on_off_ratio: .* the source of Li ECRAM gives no"),
        (["device=GST", "range=array", "on_off_ratio=3"], r"programming.on_off_ratio: range = 'array' leaves it out"),
        (["device=GST", "tolerance=0.1"], r"programming.tolerance: belongs to mode = 'verify', not 'open-loop'"),
        (["device=GST", "threshold=0.1"], r"programming.threshold: belongs to mode = 'fixed-step'"),
        (["device=GST", "mode=fixed-step", "max_pulses=3"], r"programming.max_pulses: .* writes with one pulse"),
        (["device=GST", "refresh_at=0.2"], r"programming.refresh_at: only differential pairs are refreshed"),
        (
            ["law=exponential", "pulses=9", "nonlinearity_down=1", "pairs=true"],
            r"programming.nonlinearity_down: pairs are pulsed up only",
        ),
        (["device=GST", "cycle_to_cycle=-1"], r"programming.cycle_to_cycle = -1: must be at least 0"),
    ],
)
def test_impossible_combinations_are_refused(changes: list[str], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        Experiment.load("xor", [f"programming.{change}" for change in changes])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"max_pulses": 0}, "max_pulses 0 must be at least 1"),
        ({"tolerance": -0.1}, "tolerance -0.1 must lie in 0…1"),
        ({"refresh_at": 0.0}, "refresh_at 0 must lie in 1e-06…0.9"),
        ({"device": replace(LINEAR, cycle_to_cycle=-1.0)}, "cycle_to_cycle -1 must lie in 0…10"),
    ],
)
def test_senseless_programming_is_refused(how: dict[str, object], message: str) -> None:
    with pytest.raises(ChipError, match=message):
        Programming(**{"device": LINEAR, **how})  # type: ignore[arg-type]
    with pytest.raises(CircuitError, match="device linear: on/off ratio 1 must be above 1"):
        replace(LINEAR, ratio=1.0)
    apart = PulseCurves(np.array([1.0, 2.0]), np.array([9.0, 1.0]))
    with pytest.raises(CircuitError, match="device apart: pulses must move a conductance in the middle of its range"):
        Device("apart", apart)


@pytest.mark.parametrize("curvature", [700.0, -700.0, 1e-13])
def test_the_steepest_and_the_straightest_curves_can_be_counted(curvature: float) -> None:
    law = ExponentialStep(0.0, 1e-4, 100, 100, curvature, curvature)
    start, goal = (g.ravel() for g in np.meshgrid(*2 * [np.linspace(0.0, 1e-4, 41)]))
    needed = pulses_needed(law, start, goal)
    assert not np.isnan(needed).any()
    assert (np.sign(needed) == np.sign(goal - start)).all()


def test_changes_that_are_not_finite_are_refused() -> None:
    chip = chip_with()
    with pytest.raises(ChipError, match="crossbar w1: a wanted change is not finite"):
        chip.adjust(everywhere(chip, np.nan))
