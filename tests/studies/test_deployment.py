"""Monte-Carlo sweeps, and conductances trained on one chip and used on others."""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from harness.chip.ngspice.cluster import check_workers
from harness.cli.main import main
from harness.cli.sweep import read_ranges
from harness.errors import ChipError, ExperimentError, RunError
from harness.experiment.experiment import Experiment
from harness.pictures.sweeps import draw_sweep
from harness.studies.sweep import Sweep, remote, run
from harness.studies.sweep.deployment import Deployment
from harness.studies.sweep.jobs import Job, perform
from harness.studies.sweep.points import Draws, Range, grid
from harness.training.controller import evaluate
from harness.training.runs import Run
from tests.chip.test_cluster import scheduler_at, worker_at
from tests.studies.test_sweep import PNG, command

OVERRIDES = ["chip.kind=nodal", "training.epochs=4"]
SET = ["--chip", "nodal", "--set", "training.epochs=4"]
NOISE = "imperfect.read_noise"


def never() -> bool:
    return False


# Draws


def draws(count: int = 6, seed: int = 0, **ranges: Range) -> Draws:
    return Draws({key.replace("__", "."): bounds for key, bounds in ranges.items()}, count, seed)


def test_draws_lie_between_their_bounds_and_repeat() -> None:
    asked = {"rule__beta": Range("0.1 uS", "10 uS", log=True), "network__input_gain": Range("2", "3")}
    points = grid("xor", {}, draws=draws(100, **asked), overrides=OVERRIDES)
    beta, gain = (np.array([p.values[key] for p in points]) for key in ("rule.beta", "network.input_gain"))
    assert (beta >= 1e-7).all()
    assert (beta <= 1e-5).all()
    assert np.mean(beta < 1e-6) == pytest.approx(0.5, abs=0.1)  # half in each decade
    assert np.mean(gain) == pytest.approx(2.5, abs=0.1)
    assert abs(np.corrcoef(np.log(beta), gain)[0, 1]) < 0.3
    assert [p.settings.rule.model_dump()["beta"] for p in points] == list(beta)
    fewer = grid("xor", {}, draws=draws(20, **asked), overrides=OVERRIDES)
    assert [p.values for p in fewer] == [p.values for p in points[:20]]
    other = grid("xor", {}, draws=draws(20, 1, **asked), overrides=OVERRIDES)
    assert not {p.values["rule.beta"] for p in other} & set(beta)


@pytest.mark.parametrize("log", [False, True])
def test_whole_numbers_are_drawn_with_both_bounds(log: bool) -> None:
    points = grid("xor", {}, draws=draws(120, imperfect__levels=Range("2", "5", log=log)), overrides=OVERRIDES)
    counted = pd.Series([p.values["imperfect.levels"] for p in points]).value_counts()
    assert sorted(counted.index) == [2, 3, 4, 5]
    ends = math.log(5.5 / 1.5)
    shares = [math.log((n + 0.5) / (n - 0.5)) / ends if log else 0.25 for n in (2, 3, 4, 5)]
    assert counted.sort_index().to_numpy() / 120 == pytest.approx(shares, abs=0.12)


def test_every_combination_of_a_grid_gets_the_same_draws() -> None:
    over = {"update.kind": ["sgd", "adam"]}
    points = grid("xor", over, draws=draws(3, update__rates=Range("[1e-3]", "[1e-2]")), seeds=2, overrides=OVERRIDES)
    assert [p.values["update.kind"] for p in points] == ["sgd"] * 6 + ["adam"] * 6
    rates = [p.values["update.rates"] for p in points]
    assert rates[:6] == rates[6:]
    assert rates[0:6:2] == rates[1:6:2]
    assert len(set(rates)) == 3
    assert points[3].settings.update.rates == (rates[3],)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("k=1..2", Range("1", "2")),
        (" a.b = 1 uS .. 2 uS:log", Range("1 uS", "2 uS", log=True)),
        ("k=-0.5..0.5", Range("-0.5", "0.5")),
    ],
)
def test_bounds_are_read(text: str, found: Range) -> None:
    assert list(read_ranges([text]).values()) == [found]


# Deployments


def test_what_is_deployed_is_evaluated_in_the_chip_of_its_point(tmp_path: Path) -> None:
    """Against the same by hand: conductances of the origin, in a chip that differs."""
    spreads = {"variation.spread": [0.0, 0.4]}
    points = grid("xor", spreads, chips=2, exclude_training_chip=True, overrides=OVERRIDES)
    assert [p.chip for p in points] == [1, 2, 1, 2]  # the origin's own is 0, as its seed
    opened = Sweep.create(tmp_path / "sweep", points, deployment=Deployment.of("xor", overrides=OVERRIDES, tune=2))
    table = run(opened).table
    origin = Run(opened.path / "origins" / "0-seed=0")
    trained = origin.position()
    assert trained is not None
    assert origin.result is not None
    losses = []
    for point in points:
        subject = Experiment(point.settings)
        with subject.open_chip() as chip:
            chip.program(trained.conductances)
            losses.append(evaluate(chip, subject.cost, subject.data.test).loss)
    assert list(table["deployed_loss"]) == losses
    assert losses[0] == losses[1] == origin.result["test_loss"]
    assert len(set(losses)) == 3
    assert table["origin_accuracy"].eq(origin.result["test_accuracy"]).all()
    assert table["tuned_loss"].notna().all()
    assert (table["tuned_loss"] != table["deployed_loss"]).all()
    tuned = Run(opened.path / table["run"][3])
    assert tuned.result is not None
    assert (tuned.result["epochs"], tuned.result["test_loss"]) == (2, table["tuned_loss"][3])
    # and the directory says so when it is opened again
    again = Sweep(opened.path)
    assert again.deployment == opened.deployment
    assert run(again).table.equals(table)


def test_one_command_draws_trained_deployed_and_tuned(tmp_path: Path) -> None:
    asked = ["--over", f"{NOISE}=0,0.1", "--deploy", "--tune", "1", "--also-train", "--to", "all"]
    shown = command("xor", *SET, *asked, "--workers", "2", cwd=tmp_path)
    table = pd.read_csv(tmp_path / "all" / "results.csv")
    assert table["test_accuracy"].notna().all()
    assert table["test_loss"][0] == table["deployed_loss"][0]  # without noise, it is the origin
    assert table["phases"].notna().all()
    assert (tmp_path / "all" / "sweep.png").read_bytes().startswith(PNG)
    assert "before deployment: " in shown.stdout
    assert shown.stderr.count(", tuned ") == 2
    assert shown.stderr.count(", to be deployed") == 1
    # a run of it is deployed again, as it is
    source = "all/origins/0-seed=0"
    asked = [source, "--over", f"{NOISE}=0,0.1", "--deploy", "--chips", "2", "--to", "taken", "--json"]
    rows = json.loads(command(*asked, cwd=tmp_path).stdout)["points"]
    assert [row["chip"] for row in rows] == [1, 2, 1, 2]
    assert [row["deployed_loss"] for row in rows[:2]] == [table["deployed_loss"][0]] * 2
    assert len({row["deployed_loss"] for row in rows}) == 3
    assert {row["run"].partition("/")[0] for row in rows} == {"deployed"}
    assert command("--resume", "taken", "--json", cwd=tmp_path).stdout.count("deployed_loss") == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: file.symlink_to("nothing"), "result.json: there is no such file"),
        (lambda file: file.symlink_to("/dev/zero"), "result.json: it is a device, not a plain file"),
        (os.mkfifo, "result.json: it is a named pipe, not a plain file"),
        (Path.mkdir, "result.json: it is a folder, not a plain file"),
    ],
)
def test_a_run_is_deployed_only_when_its_files_are_plain(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    run = Experiment.load("xor", ["chip.kind=nodal"]).create_run(tmp_path / "run").path
    make(run / "result.json")
    points = grid("xor", {NOISE: ["0.1"]}, overrides=["chip.kind=nodal"])
    deployment = replace(Deployment.of("xor", overrides=["chip.kind=nodal"]), run=run)
    with pytest.raises(RunError, match=message):
        Sweep.create(tmp_path / "out", points, deployment=deployment)
    assert list(tmp_path.iterdir()) == [run]


def test_a_stopped_deployment_goes_on(tmp_path: Path) -> None:
    points = grid("xor", {NOISE: [0.01, 0.1]}, overrides=OVERRIDES)
    opened = Sweep.create(tmp_path / "sweep", points, deployment=Deployment.of("xor", overrides=OVERRIDES))
    seen: list[str] = []
    stopped = run(opened, watch=lambda ended: seen.append(ended.folder), stop=lambda: len(seen) == 2)
    assert (len(stopped.table), stopped.missing) == (1, 1)
    assert run(opened, watch=lambda ended: seen.append(ended.folder)).missing == 0
    assert seen == ["origins/0-seed=0", "deployed/0-read_noise=0.01-seed=0", "deployed/1-read_noise=0.1-seed=0"]


def test_conductances_beyond_a_cells_range_are_written_at_its_bound(tmp_path: Path) -> None:
    (point,) = grid("xor", {"network.g_max": ["15 uS"]}, overrides=OVERRIDES)
    subject = Experiment(point.settings)
    start = tuple(np.full(array.shape, 20e-6) for array in subject.circuit.arrays)
    assert perform(Job("d", point.settings, "origins/0", tunes=False), tmp_path / "d", start, never) is None
    with subject.open_chip() as chip:
        chip.program([np.full(array.shape, 15e-6) for array in subject.circuit.arrays])
        found = evaluate(chip, subject.cost, subject.data.test)
    assert json.loads((tmp_path / "d" / "deployed.json").read_text())["deployed_loss"] == found.loss


def test_an_origin_that_fails_is_told_at_every_point(tmp_path: Path) -> None:
    asked = ["--set", "chip.access=outputs", "--over", f"{NOISE}=0,0.1", "--deploy", "--to", "s", "--json"]
    shown = command("xor", *SET, *asked, cwd=tmp_path, code=1)
    for row in json.loads(shown.stdout)["points"]:
        assert row["error"].startswith("the conductances to deploy could not be trained: ")
        assert row["deployed_accuracy"] is None
    assert "2 of 2 points failed" in shown.stderr


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--random", "rule.beta=1 uS..2 uS"], "--random KEY=LOW..HIGH and --draws N go together"),
        (["--seeds", "2", "--draws", "2"], "--random KEY=LOW..HIGH and --draws N go together"),
        (["--random", "rule.beta=1e-6", "--draws", "2"], "write KEY=LOW..HIGH or KEY=LOW..HIGH:log"),
        (["--random", "rule.beta=2 uS..1 uS", "--draws", "2"], "the lower bound comes first"),
        (["--random", f"{NOISE}=0..1:log", "--draws", "2"], "a logarithm needs bounds above 0; leave :log out"),
        (["--random", "data.label=a..b", "--draws", "2"], "data.label is no number; give its values with --over"),
        (["--random", "rule.beta=1 uS..2 V", "--draws", "2"], "--random rule.beta=2 V: "),
        (["--random", "rule.beta=1..2", "--random", "rule.beta=1..2", "--draws", "2"], "rule.beta is drawn already"),
        (["--random", "rule.beta=1..2", "--over", "rule.beta=1", "--draws", "2"], "given with --over already"),
        (["--over", f"{NOISE}=0,1", "--tune", "2"], "give --deploy too"),
        (["--over", f"{NOISE}=0,1", "--also-train"], "give --deploy too"),
        (["--over", "network.hidden=[3],[4]", "--deploy"], "a deployment cannot change the network's size"),
        (["--over", "training.seed=1,2", "--deploy"], "have seen rows that it holds out; sweep other keys"),
        (["--over", "data.targets=[0,1],[0,2]", "--deploy"], "have seen rows that it holds out; sweep other keys"),
        (["--seeds", "2", "--workers", "2", "--scheduler", "tcp://x:1"], "give --workers (on this machine) or"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["sweep", "xor", "--chip", "nodal", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_runs_that_cannot_be_deployed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Experiment.load("xor", OVERRIDES).create_run(tmp_path / "fresh")
    result = CliRunner().invoke(main, ["sweep", "fresh", "--seeds", "2"])
    assert "fresh is a run; give --deploy to evaluate its conductances at every point" in result.stderr
    with pytest.raises(ExperimentError, match="fresh is a run of one seed; leave --seeds out"):
        Deployment.of("fresh", seeds=2)
    with pytest.raises(RunError, match="fresh has no checkpoint yet; go on with: harness train --resume fresh"):
        Deployment.of("fresh")


# The picture


def test_the_picture_shows_every_use_and_draws_as_points() -> None:
    noise = [0.0, 1e-3, 1e-1] * 4
    columns = {
        "a.noise": noise,
        "b.kind": ["x", "x", "x", "y", "y", "y"] * 2,
        "seed": [0] * 6 + [1] * 6,
        "test_accuracy": np.linspace(0.9, 0.5, 12),
    }
    table = pd.DataFrame(columns)
    deployed = table.assign(deployed_accuracy=0.5, tuned_accuracy=[0.7] * 11 + [math.nan], origin_accuracy=0.9)
    scattered = table.assign(**{"c.gain": np.linspace(1, 2, 12)})
    keys = ["a.noise", "b.kind"]
    pictures = [
        draw_sweep(table, keys, "name"),
        draw_sweep(deployed, keys, "name"),
        draw_sweep(deployed, ["b.kind"], "name"),
        draw_sweep(scattered, [*keys, "c.gain"], "name", drawn=["c.gain"]),
        draw_sweep(scattered, [*keys, "c.gain"], "name"),
        draw_sweep(table.assign(test_loss=np.geomspace(1e-6, 1, 12)), keys, "name", losses=True),
    ]
    assert all(picture.startswith(PNG) for picture in pictures)
    assert len(set(pictures)) == len(pictures)


# On a cluster


def test_points_are_done_on_a_cluster_that_loses_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = grid("xor", {NOISE: [0.0, 0.1]}, overrides=OVERRIDES)
    deployment = Deployment.of("xor", overrides=OVERRIDES, tune=2)
    alone = run(Sweep.create(tmp_path / "alone", points, deployment=deployment)).table
    shared = Sweep.create(tmp_path / "shared", points, deployment=deployment)
    seen: list[str] = []
    (long,) = grid("xor", {}, overrides=["chip.kind=nodal", "training.epochs=1000000"])
    endless = Sweep.create(tmp_path / "endless", [long])
    with scheduler_at() as (address, _), worker_at(address) as first:
        limit = time.monotonic() + 3
        assert run(endless, scheduler=address, stop=lambda: time.monotonic() > limit).missing == 1
        # which has set the worker free
        stopped = run(shared, scheduler=address, watch=lambda ended: seen.append(ended.folder), stop=lambda: bool(seen))
        assert (stopped.missing, seen) == (2, ["origins/0-seed=0"])
        with worker_at(address):

            def check(*asked: Any) -> None:
                check_workers(*asked)
                first.send_signal(signal.SIGSTOP)  # it gets a job and stays there
                Timer(1, first.kill).start()

            monkeypatch.setattr(remote, "check_workers", check)
            outcome = run(shared, scheduler=address)
        assert first.wait() == -signal.SIGKILL
    assert (outcome.missing, outcome.errors) == (0, {})
    pd.testing.assert_frame_equal(outcome.table.drop(columns="tuned_seconds"), alone.drop(columns="tuned_seconds"))
    for file in ("steps.csv", "conductances.npz", "deployed.json"):
        names = [f"deployed/{point.name}/{file}" for point in points]
        assert [(tmp_path / "alone" / name).read_bytes() for name in names] == [
            (shared.path / name).read_bytes() for name in names
        ]
    assert not list(shared.path.glob("deployed/.*"))


def test_without_dask_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    opened = Sweep.create(tmp_path / "sweep", grid("xor", {}, overrides=OVERRIDES))
    with pytest.raises(ChipError, match=r"not installed; install it with: pip install 'distributed>="):
        run(opened, scheduler="tcp://127.0.0.1:1")
