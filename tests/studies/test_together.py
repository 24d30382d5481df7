"""Points of one topology done together: what each reaches alone, bit for bit, whatever fails or stops."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.stack import NodalStack
from harness.cli.main import main
from harness.errors import ChipError, SpringError
from harness.experiment.experiment import Experiment
from harness.learning.updates.accumulation import AccumulatedUpdate
from harness.learning.updates.stacked import StackedUpdates
from harness.learning.updates.subsets import Largest, SubsetUpdate
from harness.learning.updates.updates import SGD, Adam, Momentum, Schedule, UpdateRule
from harness.measurement import Drive, Spring
from harness.studies.sweep import Sweep, run, together
from harness.studies.sweep.deployment import Deployment
from harness.studies.sweep.family import Family
from harness.studies.sweep.jobs import perform
from harness.studies.sweep.points import grid
from harness.training.runs import Run, make_runs
from tests.studies.test_sweep import command

OVERRIDES = ["chip.kind=nodal", "training.epochs=3"]
TIMED = ("seconds", "training_seconds", "train_samples_per_second", "together", "run")


def alone(sweep: Sweep) -> dict[str, str | None]:
    """Do every job of a sweep one by one, in this process, and return their errors."""
    errors = {}
    for jobs in (sweep.trainings(), sweep.deployments()):
        for job in jobs:
            errors[job.folder] = perform(job, sweep.path / job.folder, job.start(sweep.path), lambda: False)
    return errors


def assert_same(one: Path, other: Path) -> None:
    """Two run directories tell the same but for the times that they took."""
    names = [file.name for file in sorted(one.iterdir()) if not file.name.startswith(".")]
    assert names == [file.name for file in sorted(other.iterdir()) if not file.name.startswith(".")]
    for name in names:
        if name not in ("result.json", "epochs.csv", "checkpoint.npz"):
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    first, second = Run(one), Run(other)
    if first.result is not None and second.result is not None:
        timeless = [{key: value for key, value in r.items() if key not in TIMED} for r in (first.result, second.result)]
        assert timeless[0] == timeless[1]
    tables = [
        found.epochs.drop(columns=[c for c in found.epochs if "time" in c or "per second" in c])
        for found in (first, second)
    ]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    here, there = first.position(), second.position()
    assert here is not None
    assert there is not None
    assert (here.epoch, here.step, here.loss, here.right) == (there.epoch, there.step, there.loss, there.right)
    assert (here.ledger, here.update.steps) == (there.ledger, there.update.steps)
    for mine, theirs in zip(here.update.slots, there.update.slots, strict=True):
        np.testing.assert_array_equal(np.concatenate([*map(np.ravel, mine)]), np.concatenate([*map(np.ravel, theirs)]))


def both_ways(tmp_path: Path, points: Any, deployment: Deployment | None = None) -> tuple[Sweep, Sweep, list[str]]:
    """A sweep done together and one by one, and what was said of the first."""
    sweeps = [Sweep.create(tmp_path / name, points, deployment=deployment) for name in ("together", "alone")]
    said: list[str] = []
    outcome = run(sweeps[0], together=True, say=said.append)
    assert (outcome.missing, outcome.errors) == (0, {})
    assert not any(alone(sweeps[1]).values())
    return sweeps[0], sweeps[1], said


@pytest.mark.parametrize(
    ("experiment", "over", "overrides"),
    [
        ("xor", {"update.rates": ["[6e-3]", "[6e-3, 1e-3]"], "rule.beta": ["1 uS", "auto"]}, []),
        ("xor", {"update.kind": ["adam", "momentum"]}, ["rule.variant=random-sign"]),
        ("digits", {}, ["data.translate=1", "data.held_out=0.9", "training.epochs=2"]),
        ("iris", {}, ["rule.kind=coupled-learning", "rule.eta=0.5", "training.epochs=1", "training.batch=32"]),
        (
            "iris",
            {},
            ["rule.cost=softmax-cross-entropy", "rule.nudging=current", "training.epochs=1", "training.batch=32"],
        ),
    ],
)
def test_trainings_in_step_end_with_the_bits_of_each_alone(
    tmp_path: Path, experiment: str, over: dict[str, list[str]], overrides: list[str]
) -> None:
    points = grid(experiment, over, seeds=2, overrides=[*OVERRIDES, *overrides])
    in_step, one_by_one, said = both_ways(tmp_path, points)
    assert said == [f"together: {len(points)} points in step"]
    for point in points:
        assert_same(in_step.path / "points" / point.name, one_by_one.path / "points" / point.name)
        result = Run(in_step.path / "points" / point.name).result
        assert result is not None
        assert result["together"] == len(points)


NOISY = ["variation.spread=0.1", "variation.amplifier_offset=5 mV", "variation.diode_saturation_current=0.1"]
NOISY += ["imperfect.read_noise=10 mV", "imperfect.mismatch=0.01", "imperfect.levels=64"]


def test_deployments_on_chips_that_differ_read_what_each_reads_alone(tmp_path: Path) -> None:
    overrides = [*OVERRIDES, *NOISY]
    points = grid("xor", {"imperfect.adc_bits": ["6", "10"]}, chips=2, exclude_training_chip=True, overrides=overrides)
    deployment = Deployment.of("xor", overrides=OVERRIDES, tune=1)
    in_step, one_by_one, said = both_ways(tmp_path, points, deployment)
    assert said == [
        "one by one: 1 point, because no other point has the same circuit, rule, batches and epochs",
        "together: 4 deployments, with what they share made once",
        "one by one: 4 points, because non-ideal chips (ImperfectChip, VariedChip) are trained one at a time",
    ]
    losses = set()
    for point in points:
        here, there = (sweep.path / "deployed" / point.name for sweep in (in_step, one_by_one))
        assert_same(here, there)
        losses.add(json.loads((here / "deployed.json").read_text())["deployed_loss"])
    assert len(losses) == 4


def test_experiments_of_a_family_share_what_their_settings_have_in_common() -> None:
    family = Family()
    loaded = [
        Experiment.load("xor", [*OVERRIDES, *given]).settings
        for given in ([], [*NOISY, "variation.seed=3"], ["rule.beta=2 uS"], ["training.seed=1"])
    ]
    first, chip, rule, seed = map(family.of, loaded)
    for name in ("data", "circuit", "drawn_netlist", "strength", "springs", "cost", "rule", "update"):
        assert getattr(chip, name) is getattr(first, name)
    assert chip.settings is loaded[1]
    assert (chip.own, first.own) == ([], [])
    assert rule.circuit is first.circuit
    assert rule.rule is not first.rule
    assert seed.circuit is not first.circuit
    assert seed.circuit.wiring is first.circuit.wiring
    alone = Experiment(loaded[3]).circuit
    assert seed.netlist(seed.circuit) == seed.netlist(alone)
    for hidden in (2, 20):
        other = family.of(Experiment.load("xor", [*OVERRIDES, f"network.hidden=[{hidden}]"]).settings)
        assert other.circuit.wiring is not first.circuit.wiring
        assert len(other.circuit.nodes) != len(first.circuit.nodes)


def test_deployed_conductances_are_tuned_in_step(tmp_path: Path) -> None:
    points = grid("xor", {"update.rates": ["[1e-3]", "[2e-3]"]}, overrides=OVERRIDES)
    in_step, one_by_one, said = both_ways(tmp_path, points, Deployment.of("xor", overrides=OVERRIDES, tune=2))
    assert said[-1] == "together: 2 points in step"
    for point in points:
        assert_same(in_step.path / "deployed" / point.name, one_by_one.path / "deployed" / point.name)


def stopped_after(steps: int, sweep: Sweep) -> None:
    asked = iter(range(10**6))
    assert run(sweep, together=True, stop=lambda: next(asked) > steps).missing == len(sweep.points)


def test_a_stopped_sweep_goes_on_in_step_or_one_by_one_to_the_same_bits(tmp_path: Path) -> None:
    points = grid("iris", {}, seeds=2, overrides=["chip.kind=nodal", "training.epochs=2", "training.batch=32"])
    whole = Sweep.create(tmp_path / "whole", points)
    run(whole, together=True)
    for name, onward in (("step", True), ("one", False)):
        sweep = Sweep.create(tmp_path / name, points)
        stopped_after(9, sweep)  # in the second of two epochs of 4 steps
        position = Run(sweep.path / "points" / points[1].name).position()
        assert position is not None
        assert (position.epoch, position.step > 0) == (1, True)
        said: list[str] = []
        assert run(sweep, together=onward, say=said.append).missing == 0
        assert said == (["together: 2 points in step"] if onward else [])
        for point in points:
            assert_same(sweep.path / "points" / point.name, whole.path / "points" / point.name)


def test_runs_that_another_process_trains_in_are_left_alone(tmp_path: Path) -> None:
    import fcntl

    points = grid("xor", {}, seeds=3, overrides=OVERRIDES)
    for held, trained in ((1, 2), (3, 0)):
        sweep = Sweep.create(tmp_path / str(held), points)
        stopped_after(8, sweep)
        said: list[str] = []
        with ExitStack() as files:
            for point in points[:held]:
                file = files.enter_context((sweep.path / "points" / point.name / ".lock").open("w"))
                fcntl.flock(file, fcntl.LOCK_EX)
            outcome = run(sweep, together=True, say=said.append)
        assert all("another process" in error for error in outcome.errors.values())
        assert (len(outcome.errors), outcome.missing) == (held, 0)
        assert said == ([f"together: {trained} points in step"] if trained else [])


def test_a_run_that_another_process_makes_meanwhile_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the same experiment is gone on with, and one of another is refused."""
    points = grid("xor", {}, seeds=3, overrides=OVERRIDES)
    sweep = Sweep.create(tmp_path / "sweep", points)
    folders = [sweep.path / "points" / point.name for point in points]

    def late(runs: dict[Path, dict[str, bytes]]) -> None:
        monkeypatch.setattr(together, "make_runs", make_runs)
        for number, folder in ((0, folders[0]), (2, folders[1])):
            Experiment(points[number].settings).create_run(folder)
        make_runs(runs)

    monkeypatch.setattr(together, "make_runs", late)
    said: list[str] = []
    outcome = run(sweep, together=True, say=said.append)
    assert said == ["together: 2 points in step"]
    assert list(outcome.errors) == [f"points/{points[1].name}"]
    assert "training.seed is 1, but the run was made with 2" in outcome.errors[f"points/{points[1].name}"]
    assert outcome.missing == 0


def test_a_point_that_fails_leaves_the_others_in_step(tmp_path: Path) -> None:
    """Cells of one run that have fallen to nothing no longer bear its springs."""
    points = grid("xor", {}, seeds=3, overrides=[*OVERRIDES, "network.g_min=1 nS"])
    sweeps = [Sweep.create(tmp_path / name, points) for name in ("together", "alone")]
    for sweep in sweeps:
        stopped_after(8, sweep)
        fallen = Run(sweep.path / "points" / points[1].name)
        position = fallen.position()
        assert position is not None
        least = tuple(np.full_like(g, 1e-9) for g in position.conductances)
        fallen.save(replace(position, conductances=least), *fallen.tables())
    said: list[str] = []
    seen: dict[str, str | None] = {}
    outcome = run(
        sweeps[0], together=True, say=said.append, watch=lambda ended: seen.update({ended.folder: ended.error})
    )
    errors = alone(sweeps[1])
    assert said == ["together: 3 points in step", "one by one: 1 point, because a step failed in the stack"]
    (error,) = outcome.errors.values()
    assert "springs of β = -80 nS outdo the conductance that the outputs see of the network in this state" in error
    assert "go on from its checkpoint with: harness train --from" in error
    ours, theirs = (
        text.replace(str(sweep.path), "")
        for sweep, text in zip(sweeps, (error, errors[f"points/{points[1].name}"] or ""), strict=True)
    )
    assert ours == theirs
    assert seen.keys() == errors.keys()
    for point in (points[0], points[2]):
        assert_same(sweeps[0].path / "points" / point.name, sweeps[1].path / "points" / point.name)
    assert len(outcome.table) == 3
    assert outcome.table["error"].notna().tolist() == [False, True, False]


ALONE = "no other point has the same circuit, rule, batches and epochs"


@pytest.mark.parametrize(
    ("over", "given", "why"),
    [
        ({}, ["rule.kind=analytical-gradient"], "rule.kind = 'analytical-gradient' takes one chip at a time"),
        ({}, ["imperfect.levels=9"], "non-ideal chips (ImperfectChip) are trained one at a time"),
        ({}, ["programming.device=TaOx/HfOx"], "non-ideal chips (ProgrammedChip) are trained one at a time"),
        ({}, ["variation.cell_sinh=1 V"], "non-ideal chips (VariedChip) are trained one at a time"),
        ({}, ["chip.settling_time=1 us"], "energy is counted for one chip at a time; leave chip.settling_time out"),
        ({"training.epochs": ["1", "2"], "training.seed": ["1"]}, [], ALONE),
        ({"network.hidden": ["[9]", "[10]"], "training.seed": ["1"]}, [], ALONE),
    ],
)
def test_what_is_done_one_by_one_says_why(
    tmp_path: Path, over: dict[str, list[str]], given: list[str], why: str
) -> None:
    points = grid("xor", over, seeds=None if over else 2, overrides=["chip.kind=nodal", *given])
    said: list[str] = []
    sweep = Sweep.create(tmp_path / "s", points)
    assert run(sweep, together=True, say=said.append, stop=lambda: bool(said)).missing == len(points)
    assert said == [f"one by one: {len(points)} points, because {why}"]


def test_other_simulators_settle_one_chip_at_a_time(tmp_path: Path) -> None:
    said: list[str] = []
    sweep = Sweep.create(tmp_path / "s", grid("xor", {}, overrides=["training.epochs=1"]))
    stop = iter([False, False, True, True])
    run(sweep, together=True, say=said.append, stop=lambda: next(stop, True))
    assert said == [
        "one by one: 1 point, because chip.kind = 'ngspice' settles one chip at a time; --chip nodal settles many"
    ]


def test_the_command_says_which_way_it_took(tmp_path: Path) -> None:
    words = ["--chip", "nodal", "--set", "training.epochs=1", "--seeds", "2", "--together", "--to", "s", "--json"]
    shown = command("xor", *words, cwd=tmp_path)
    assert "(2 points, together)" in shown.stderr
    assert "together: 2 points in step" in shown.stderr
    assert len(json.loads(shown.stdout)["points"]) == 2
    assert "in step" not in command("--resume", "s", "--together", cwd=tmp_path).stderr


def test_the_command_to_try_again_goes_together_too(tmp_path: Path) -> None:
    words = [
        "--chip",
        "nodal",
        "--set",
        "training.epochs=1",
        "--over",
        "rule.beta=1 uS,5 uS",
        "--seeds",
        "2",
        "--together",
    ]
    shown = command("xor", *words, "--to", "s", cwd=tmp_path, code=1)
    assert "together: 2 points in step" in shown.stderr
    assert "2 of 4 points failed, see results.csv; try again with: harness sweep --resume s --together" in shown.stderr


def test_a_cluster_and_this_process_are_not_asked_for_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["sweep", "xor", "--seeds", "2", "--together", "--scheduler", "tcp://x:1"])
    assert result.exit_code == 2
    assert "--together does points in this process, and --scheduler on a cluster; give one of them" in result.stderr


def chips(count: int) -> tuple[NodalStack, list[NodalChip], Experiment]:
    subject = Experiment.load("iris", ["chip.kind=nodal"])
    rng = np.random.default_rng(7)
    made = [NodalChip(subject.circuit) for _ in range(count)]
    for chip in made:
        chip.program([rng.uniform(1e-6, 9e-5, array.shape) for array in subject.circuit.arrays])
    return NodalStack(NodalChip(subject.circuit), [chip.conductances for chip in made]), made, subject


def test_a_stack_reads_and_writes_what_its_chips_do() -> None:
    stack, made, subject = chips(3)
    rows = subject.data.train.batch(slice(6))
    inputs, targets = (values.reshape(3, 2, -1) for values in (rows.inputs, rows.targets))
    betas: Any = np.array([1e-7, -2e-7, 3e-7])[:, None, None]
    free, nudged = stack.measure([Drive(inputs), Drive(inputs, Spring(betas, targets), "nudged")])
    wanted = [np.linspace(-2e-5, 2e-5, array.size).reshape(array.shape) for array in stack.conductances]
    written = stack.adjust(wanted)
    assert nudged.nodes.shape == (3, 2, len(subject.circuit.nodes))
    for k, (chip, shown) in enumerate(zip(made, inputs, strict=True)):
        spring = Spring(float(betas[k, 0, 0]), targets[k])
        own, pulled = chip.measure([Drive(shown), Drive(shown, spring, "nudged")])
        np.testing.assert_array_equal(free.outputs[k], own.outputs)
        np.testing.assert_array_equal(nudged.all_nodes[k], pulled.nodes)
        for mine, theirs in zip(written, chip.adjust([change[k] for change in wanted]), strict=True):
            np.testing.assert_array_equal(mine[k], theirs)
        assert replace(stack.ledger, conductances_written=int(stack.written[k])) == chip.ledger


def test_a_stack_refuses_what_one_of_its_chips_would() -> None:
    stack, made, subject = chips(2)
    rows = subject.data.train.batch(slice(4))
    inputs, targets = (values.reshape(2, 2, -1) for values in (rows.inputs, rows.targets))
    bound = made[1].reduction.reduce(made[1].conductances).output_conductance()
    for strengths, refused in (([-1e-9, -0.9 * bound], False), ([-1e-9, -1.1 * bound], True)):
        betas: Any = np.array(strengths)[:, None, None]
        drives = [Drive(inputs), Drive(inputs, Spring(betas, targets), "nudged")]
        if refused:
            with pytest.raises(SpringError, match="springs of −β leave chip 1 of the stack in an unstable state"):
                stack.measure(drives)
        else:
            stack.measure(drives)
    with pytest.raises(ChipError, match=r"inputs have shape \(4, 4\), the circuit takes"):
        stack.measure([Drive(rows.inputs)])
    (free,) = stack.measure([Drive(inputs)])
    with pytest.raises(ChipError, match="the chip has no small-signal phases"):
        stack.measure([Drive(inputs, about=free)])


RULES: list[UpdateRule] = [
    SGD((0.1, 0.2)),
    Momentum((0.1, 0.2)),
    Adam((0.1, 0.2)),
    AccumulatedUpdate(Adam((0.1, 0.2)), 1e-2),
]
RULES += [
    SubsetUpdate(SGD((0.1, 0.2)), Largest(0.5)),
    AccumulatedUpdate(SubsetUpdate(SGD((0.1, 0.2)), Largest(0.5)), 1e-2),
]


def test_updates_of_a_stack_are_those_of_each_chip() -> None:
    """Alike ones step as one, others by themselves; memory comes back chip by chip."""
    rng = np.random.default_rng(3)
    shapes: Sequence[tuple[int, ...]] = ((4, 3), (5,))
    rules = [*RULES, *RULES, SGD((0.3, 0.2))]
    rated = [(rule, Schedule(0.9 if k % 2 else 0.8)) for k, rule in enumerate(rules)]
    start = tuple(np.ones(shape) for shape in shapes)
    states = [rule.init(start) for rule in rules]
    stacked = StackedUpdates(rated, states)
    for step in range(3):
        gradient = tuple(rng.normal(size=(len(rules), *shape)) for shape in shapes)
        wanted, stacked = stacked.step(gradient, step, step / 3)
        for k, (rule, schedule) in enumerate(rated):
            scaled = rule.scaled(schedule.factor(step, step / 3))
            own, states[k] = scaled.step(tuple(g[k] for g in gradient), states[k])
            for mine, theirs in zip(wanted, own, strict=True):
                np.testing.assert_array_equal(mine[k], theirs)
            kept = stacked.of(k)
            assert kept.steps == states[k].steps
            for slot, known in zip(kept.slots, states[k].slots, strict=True):
                for mine, theirs in zip(slot, known, strict=True):
                    np.testing.assert_array_equal(mine, theirs)
