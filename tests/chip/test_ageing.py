"""Chips whose cells age: the same conductances at the same times in both simulators, and exact resumption."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.chip.base import Chip
from harness.chip.history import ageing_part, history_of, hold, recall
from harness.chip.imperfect.ageing import AgeingChip, Pace
from harness.chip.imperfect.made import VariedChip
from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Crossbar, InputSource, Output, Resistor
from harness.circuit.variation.variation import ConductanceSpread, Variation
from harness.devices.retention.laws import Drift, Loss, ReadDisturb, Relaxation, Retention, Telegraph
from harness.errors import ChipError, ExperimentError, RunError
from harness.experiment.experiment import Experiment
from harness.measurement import Array, Drive, Spring
from harness.training.runs import Run
from tests.conftest import MakeChip, kendall, random_batch

EVERYTHING = Retention(
    Relaxation(0.02), Loss(1e4, 27.0, 1.0, 0.7), Drift(0.05, 0.02), ReadDisturb(1e-5), Telegraph(0.05, 100.0), 27.0
)
LAWS = [
    "retention.drift=0.05",
    "retention.drift_spread=0.02",
    "retention.lifetime=30d",
    "retention.relaxation=0.01",
    "retention.read_disturb=1e-6",
    "retention.telegraph=0.02",
    "retention.telegraph_time=1h",
    "retention.step_time=10min",
]
NODAL = ["chip.kind=nodal", "training.epochs=2", *LAWS]


def own_power_law(g: Array, nu: Array, seconds: float, start: float) -> Array:
    return np.exp(np.log(g) - nu * np.log((seconds + start) / start))


def test_no_strength_is_the_ideal_chip_bit_for_bit() -> None:
    circuit = kendall([5])
    batch = random_batch(circuit)
    wrapped, ideal = AgeingChip(NodalChip(circuit), Retention(), seed=0), NodalChip(circuit)
    drives = [Drive(batch.inputs), Drive(batch.inputs, Spring(0.05, batch.targets), "nudged")]
    for key in ([0, 0], [0, 1]):
        wrapped.set_step_key(key)
        for ours, theirs in zip(wrapped.measure(drives), ideal.measure(drives), strict=True):
            assert ours.nodes.tobytes() == theirs.nodes.tobytes()
        wanted = [np.random.default_rng(0).normal(size=g.shape) * 0.1 for g in ideal.conductances]
        for ours, theirs in zip(wrapped.adjust(wanted), ideal.adjust(wanted), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        for ours, theirs in zip(wrapped.conductances, ideal.conductances, strict=True):
            assert ours.tobytes() == theirs.tobytes()
    assert type(Experiment.load("iris", ["chip.kind=nodal", "retention.step_time=1h"]).new_chip()) is NodalChip


@pytest.mark.parametrize("seconds", [1.0, 3600.0, 31557600.0])
def test_cells_follow_their_own_power_laws(seconds: float) -> None:
    circuit = kendall([5])
    chip = AgeingChip(NodalChip(circuit), Retention(drift=Drift(0.05, 0.02, 20.0)), seed=3)
    chip.wait(seconds)
    before, now = circuit.conductances[0], ageing_part(chip)._chip.conductances[0]  # type: ignore[union-attr]
    nu = -np.log(now / before) / np.log(1 + seconds / 20.0)
    other = AgeingChip(NodalChip(circuit), Retention(drift=Drift(0.05, 0.02, 20.0)), seed=3)
    other.wait(7.0)
    np.testing.assert_allclose(own_power_law(before, nu, 7.0, 20.0), other.inside.conductances[0], rtol=1e-12)
    assert 0.01 < nu.std() < 0.03
    apart = AgeingChip(NodalChip(circuit), Retention(drift=Drift(0.05, 0.02, 20.0)), seed=4)
    apart.wait(7.0)
    assert not np.array_equal(apart.conductances[0], other.conductances[0])


def ohmmeter(g: Array) -> Circuit:
    """Cells between two input pins and two outputs with loads of 10 µS: outputs tell what each cell conducts."""
    pins = tuple(InputSource(f"in{k}", f"x{k}", k, 1.0) for k in range(2))
    loads = tuple(Resistor(f"load{k}", f"y{k}", "0", LOAD) for k in range(2))
    outputs = tuple(Output(f"o{k}", f"y{k}", "0") for k in range(2))
    return Circuit("meter", (*pins, *loads, Crossbar("w", ("x0", "x1"), ("y0", "y1"), g, 0.0, 1e-5)), outputs)


def read_back(chip: Chip) -> Array:
    """The conductances (S) of an ohmmeter's cells, from voltages alone: g = y G / (1 − Σy), each input at 1 V once."""
    (reading,) = chip.measure([Drive(np.eye(2))])
    return reading.outputs * LOAD / (1 - reading.outputs.sum(axis=0))


LOAD = 1e-5
SIMULATORS = [
    NodalChip,
    pytest.param(NgspiceChip, marks=pytest.mark.ngspice),
    pytest.param(FullNetlistChip, marks=pytest.mark.ngspice),
]


@pytest.mark.parametrize("make", SIMULATORS)
def test_simulators_have_the_conductances_of_the_closed_form_at_each_time(make: MakeChip) -> None:
    g = np.array([[1e-6, 3e-6], [2e-6, 5e-6]])
    law = Retention(drift=Drift(0.05, 0.0, 20.0), loss=Loss(1e5, 27.0, 1.0, 0.5))
    chip, now = AgeingChip(make(ohmmeter(g)), law, seed=0), 0.0
    for seconds in (10.0, 3600.0, 86400.0, 31557600.0):
        chip.wait(seconds - now)
        now = seconds
        left = math.exp(-math.sqrt(seconds / 1e5)) * math.exp(-0.05 * math.log1p(seconds / 20.0))
        np.testing.assert_allclose(read_back(chip), g * left, rtol=1e-9, atol=1e-18)
        np.testing.assert_allclose(chip.conductances[0], g * left, rtol=1e-12)


@pytest.mark.ngspice
def test_both_simulators_age_alike_with_all_laws_and_spread_cells() -> None:
    """Every random number is the chip's own, whatever simulates it."""
    circuit, variation = ohmmeter(np.array([[1e-6, 3e-6], [2e-6, 5e-6]])), Variation(spread=ConductanceSpread(0.1))
    read = []
    for make in (NodalChip, NgspiceChip):
        chip = AgeingChip(VariedChip(circuit, variation, 5, make), EVERYTHING, Pace(step=60.0), seed=5)
        for key in ([0, 0], [0, 1], [0, 2]):
            chip.set_step_key(key)
            read.append(read_back(chip))
            chip.adjust([np.full((2, 2), 1e-7)])
    np.testing.assert_allclose(read[:3], read[3:], rtol=1e-8)
    assert np.abs(np.diff(read[:3], axis=0)).min() > 1e-9


def test_time_passes_between_steps_and_not_in_evaluations() -> None:
    circuit = kendall([5])
    chip = AgeingChip(NodalChip(circuit), Retention(drift=Drift(0.1)), Pace(phase=2.0, write=30.0), seed=0)
    free = Drive(random_batch(circuit, 4).inputs)
    chip.measure([free])
    assert chip.history.clock == chip.history.reads == 0.0
    chip.set_step_key([0, 0])
    chip.measure([free, free])
    before = chip.conductances
    chip.adjust([np.where(g > 1, 0.1, 0.0) for g in before])
    assert chip.history.clock == 0.0
    chip.set_step_key(())
    chip.measure([free])
    chip.set_step_key([0, 1])
    assert (chip.history.clock, chip.history.reads) == (2 * 8 + 30, 8)
    since = chip.history.cells["since"][0]
    assert not since.any()
    chip.adjust([np.where(g > 1, 0.1, 0.0) for g in chip.conductances])
    now, old = chip.history.cells["since"][0], before[0] > 1
    assert set(np.unique(now)) <= {0.0, 46.0}
    assert (now[~old] == 0).all()


def test_a_write_moves_a_cell_from_where_it_has_drifted_to_and_its_age_begins_anew() -> None:
    g = np.array([[1e-6, 3e-6], [2e-6, 5e-6]])
    chip = AgeingChip(NodalChip(ohmmeter(g)), Retention(drift=Drift(0.1, 0.0, 20.0)), seed=0)
    chip.wait(380.0)
    left = 20.0**-0.1
    written = chip.adjust([np.array([[1e-6, 0.0], [0.0, 0.0]])])
    np.testing.assert_allclose(written[0], [[1e-6, 0], [0, 0]], rtol=1e-12, atol=1e-20)
    np.testing.assert_allclose(chip.conductances[0], [[1e-6 * left + 1e-6, 3e-6 * left], [2e-6 * left, 5e-6 * left]])
    chip.wait(20.0)
    expected = [[(1e-6 * left + 1e-6) * 2**-0.1, 3e-6 * 21**-0.1], [2e-6 * 21**-0.1, 5e-6 * 21**-0.1]]
    np.testing.assert_allclose(chip.conductances[0], expected, rtol=1e-12)


def test_cells_drift_beyond_the_range_that_can_be_programmed() -> None:
    circuit = kendall([5])
    low = min(array.g_min for array in circuit.arrays)
    least = [np.full(array.shape, array.g_min) for array in circuit.arrays]
    for inner in (NodalChip(circuit), VariedChip(circuit, Variation(spread=ConductanceSpread(0.1)), 0, NodalChip)):
        chip = AgeingChip(inner, Retention(drift=Drift(0.5)), seed=0)
        chip.program(least)
        chip.wait(1e6)
        assert inner.conductances[0].max() < 0.01 * low
        np.testing.assert_array_equal(chip.conductances[0], least[0])
        batch = random_batch(circuit)
        chip.measure([Drive(batch.inputs), Drive(batch.inputs, Spring(1e-6, batch.targets), "nudged")])
        chip.adjust([np.where(np.arange(g.size).reshape(g.shape) == 0, low, 0.0) for g in chip.conductances])
        assert (inner.conductances[0].ravel()[1:] < 0.01 * low).all()


def test_a_twin_of_nudged_phases_makes_no_cell_younger() -> None:
    circuit = kendall([5])
    batch = random_batch(circuit)
    drives = [Drive(batch.inputs), Drive(batch.inputs, Spring(0.05, batch.targets), "nudged")]
    chip = ImperfectChip(AgeingChip(NodalChip(circuit), EVERYTHING, seed=0), PinErrors(mismatch=0.05), seed=0)
    ageing_part(chip).wait(3600.0)  # type: ignore[union-attr]
    before = history_of(chip)
    now = chip.conductances
    chip.measure(drives)
    after = history_of(chip)
    for name, arrays in before.cells.items():  # type: ignore[union-attr]
        np.testing.assert_array_equal(arrays[0], after.cells[name][0])  # type: ignore[union-attr]
    np.testing.assert_array_equal(now[0], chip.conductances[0])


def test_levels_and_devices_leave_cells_that_no_write_changes_to_age() -> None:
    more = ["chip.kind=nodal", "retention.drift=0.2", "retention.step_time=1h", "training.epochs=1"]
    pulses = ["programming.law=linear", "programming.pulses=100"]
    for section in (["imperfect.levels=32"], pulses, [*pulses, "programming.on_off_ratio=5"]):
        with Experiment.load("iris", [*more, *section]).open_chip() as chip:
            ageing_part(chip).wait(1e6)  # type: ignore[union-attr]
            before = ageing_part(chip).inside.conductances[0]  # type: ignore[union-attr]
            chip.set_step_key([0, 0])  # type: ignore[attr-defined]
            changes = [np.zeros(g.shape) for g in chip.conductances]
            changes[0][0, 0] = 0.2 * chip.circuit.arrays[0].g_max
            chip.adjust(changes)
            after = ageing_part(chip).inside.conductances[0]  # type: ignore[union-attr]
            np.testing.assert_array_equal(after.ravel()[1:], before.ravel()[1:], err_msg=str(section))
            assert after[0, 0] > before[0, 0]


def trained(path: Path, stop_after: int | None = None, more: tuple[str, ...] = ()) -> Run:
    subject = Experiment.load("iris", [*NODAL, *more])
    run = subject.create_run(path)
    steps: list[object] = []
    subject.train(run, watch=steps.append, stop=lambda: len(steps) == stop_after, pictures=False)
    if stop_after is not None:
        assert run.result is None
        Experiment.of_run(run).train(run, pictures=False)
    return run


@pytest.mark.parametrize("more", [(), ("imperfect.mismatch=0.02", "imperfect.levels=64")])
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(tmp_path: Path, more: tuple[str, ...]) -> None:
    whole, resumed = trained(tmp_path / "whole", more=more), trained(tmp_path / "resumed", 9, more)
    ours, theirs = resumed.position(), whole.position()
    assert ours is not None
    assert theirs is not None
    assert ours.history is not None
    assert theirs.history is not None
    assert ours.history.clock == theirs.history.clock == pytest.approx(600.0 * (len(whole.steps) - 1))
    for name, arrays in theirs.history.cells.items():
        for a, b in zip(arrays, ours.history.cells[name], strict=True):
            assert a.tobytes() == b.tobytes(), name
    for a, b in zip(theirs.conductances, ours.conductances, strict=True):
        assert a.tobytes() == b.tobytes()
    assert (whole.result or {})["test_loss"] == (resumed.result or {})["test_loss"]


def test_a_history_that_cannot_have_been_is_refused(tmp_path: Path) -> None:
    chip = AgeingChip(NodalChip(kendall([5])), EVERYTHING, seed=0)
    chip.wait(10.0)
    good = chip.history
    recall(chip, good)
    late = {**good.cells, "since": tuple(g + 11.0 for g in good.cells["since"])}
    trap = {**good.cells, "now": tuple(0.5 * g for g in good.cells["now"])}
    fewer = {name: arrays for name, arrays in good.cells.items() if name != "draws"}
    other = {**good.cells, "reads": tuple(g[:1] for g in good.cells["reads"])}
    for cells, message in (
        (late, "a state that no training gives"),
        (trap, "a state that no training gives"),
        (fewer, "lacks 'draws'"),
        (other, "of another network"),
    ):
        with pytest.raises(ChipError, match=message):
            recall(chip, replace(good, cells=cells))
    with pytest.raises(ChipError, match="a time or count in it is negative or not finite"):
        recall(chip, replace(good, clock=-1.0))
    with pytest.raises(ChipError, match="time does not pass for this chip"):
        recall(NodalChip(kendall([5])), good)
    with pytest.raises(ChipError, match="a wait of -1 s must be finite and not negative"):
        chip.wait(-1.0)
    assert chip.history.clock == 10.0


def test_a_checkpoint_without_its_history_is_refused_by_name(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    file = run.path / "checkpoint.npz"
    with np.load(file) as saved:
        arrays = dict(saved)
    for name, change, message in (
        ("past_since_0", None, "it has no array 'past_since_0'"),
        ("past_clock", np.asarray(np.nan), "'past_clock' is no finite number"),
        ("past_now_1", np.full((3, 3), np.nan), "array 'past_now_1' is not of finite numbers"),
        ("past_cells", np.asarray(7.0), "'past_cells' is no list of names"),
    ):
        damaged = {key: value for key, value in arrays.items() if key != name}
        if change is not None:
            damaged[name] = change
        np.savez(file, **damaged)
        with pytest.raises(RunError, match=f"checkpoint.npz is damaged.*{message}"):
            Run(run.path).position()


def test_wrong_settings_are_refused_in_one_sentence() -> None:
    for key, message in (
        ("retention.temperature=-300", r"must be above -273.15 and at most 1000"),
        ("retention.drift=-1", "must be at least 0 and at most 1"),
        ("retention.drift_start=-1h", "must be above 0 s"),
        ("retention.lifetime=1m", "'1m' is no time; write a number with one of the units"),
        ("retention.drfit=0.05", r"unknown key 'retention.drfit'; did you mean 'drift'"),
        ("retention.lifetime=nan", "no quantity|not finite"),
    ):
        with pytest.raises(ExperimentError, match=message):
            Experiment.load("iris", [key])


def test_plug_ins_that_hide_the_chip_are_refused_with_the_cure() -> None:
    class Hiding:
        def __init__(self, chip: Chip) -> None:
            self.hidden = chip

    assert ageing_part(Hiding(AgeingChip(NodalChip(kendall([5])), EVERYTHING, seed=0))) is None
    with pytest.raises(ChipError, match=r"the cells of Hiding have what is written, and nothing else; take chip\.kind"):
        hold(Hiding(NodalChip(kendall([5]))), ())
