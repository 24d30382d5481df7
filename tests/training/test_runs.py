"""Run directories: whole or not there, resumable bit for bit after a kill at any moment."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness import Experiment, Run, __version__
from harness.chip.metering import ENTRIES, Ledger
from harness.errors import RunError
from harness.experiment.runs.warm_start import warm_start
from harness.files.writing import write_atomic
from harness.learning import AnalyticalGradient, SquaredError
from harness.learning.updates.updates import SGD, UpdateState
from harness.training.controller import EpochDone, StepDone
from harness.training.parts import described, refuse_others
from harness.training.position import Position, npz
from harness.training.runs import fresh_path
from harness.training.tables import EpochRow, StepRow

ROWS = [StepRow(1, 1, 0.5, 1.0, 1e-6, 1e-7), StepRow(2, 1, 0.4, 1.0, 1e-6, 1e-7), StepRow(2, 2, 0.3, 1.0, 1e-6, 1e-7)]
SHORT = ["chip.kind=nodal", "training.epochs=3", "training.batch=25"]


def small(*overrides: str) -> Experiment:
    return Experiment.load("iris", [*SHORT, *overrides])


def final_arrays(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / "conductances.npz", allow_pickle=False) as saved:
        return {name: saved[name] for name in saved.files}


def test_a_run_directory_holds_what_it_says(tmp_path: Path) -> None:
    experiment = small()
    run = experiment.create_run(tmp_path / "runs" / "one")
    result = experiment.train(run)
    assert result == run.result
    assert {file.name for file in run.path.iterdir()} == {
        ".lock",
        "checkpoint.npz",
        "conductances.npz",
        "conductances.png",
        "epochs.csv",
        "experiment.toml",
        "manifest.json",
        "result.json",
        "steps.csv",
        "training.png",
    }
    steps, epochs = pd.read_csv(run.path / "steps.csv"), pd.read_csv(run.path / "epochs.csv")
    assert len(steps) == 3 * 5
    assert len(epochs) == 3
    assert {"loss (V²)", "largest change (S)"} <= set(steps.columns)
    assert {"test loss (V²)", "training time (s)"} <= set(epochs.columns)
    assert epochs["test accuracy"].iloc[-1] == pytest.approx(result["test_accuracy"])
    manifest = run.manifest
    assert {"harness", "numpy", "python"} <= set(manifest["versions"])
    assert len(manifest["netlist_sha256"]) == 64
    assert set(final_arrays(run.path)) == {"w1", "w2"}


@pytest.mark.parametrize(("name", "score"), [("xor", "accuracy"), ("regression", "R²")])
def test_tables_are_frames_with_the_headings_of_the_files(tmp_path: Path, name: str, score: str) -> None:
    experiment = Experiment.load(name, ["chip.kind=nodal", "training.epochs=2"])
    run = experiment.create_run(tmp_path / "run")
    assert run.epochs.empty
    assert "epoch" in run.epochs
    experiment.train(run, pictures=False)
    for opened in (run, Run(str(tmp_path / "run"))):
        for frame, file in ((opened.steps, "steps.csv"), (opened.epochs, "epochs.csv")):
            assert frame.to_csv(index=False) == (tmp_path / "run" / file).read_text(encoding="utf-8")
            assert not any(pd.api.types.is_object_dtype(kind) for kind in frame.dtypes)
        assert f"test {score}" in opened.epochs
        assert "loss (V²)" in opened.steps


def test_frames_end_at_the_checkpoint(tmp_path: Path) -> None:
    experiment = Experiment.load("iris", ["chip.kind=nodal"])
    run = experiment.create_run(tmp_path / "run")
    experiment.train(run, stop=lambda: True, pictures=False)
    extra = (tmp_path / "run" / "steps.csv").read_text().splitlines()[-1].replace("1,1,", "1,2,", 1)
    with (tmp_path / "run" / "steps.csv").open("a") as file:
        file.write(f"{extra}\n")  # as after a kill between the tables and the checkpoint
    assert list(run.steps["step"]) == [1]
    assert run.epochs.empty


def test_the_experiment_as_used_makes_the_same_run_again(tmp_path: Path) -> None:
    first = small("training.seed=5")
    one = first.create_run(tmp_path / "one")
    first.train(one)
    again = Experiment.from_file(one.experiment)
    assert again.settings == first.settings
    two = again.create_run(tmp_path / "two")
    again.train(two)
    assert (one.path / "steps.csv").read_bytes() == (two.path / "steps.csv").read_bytes()
    assert (one.path / "conductances.npz").read_bytes() == (two.path / "conductances.npz").read_bytes()


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    runs = []
    for seed in (0, 1):
        experiment = small(f"training.seed={seed}")
        runs.append(experiment.create_run(tmp_path / str(seed)))
        experiment.train(runs[-1])
    assert not np.array_equal(final_arrays(runs[0].path)["w1"], final_arrays(runs[1].path)["w1"])


@pytest.mark.parametrize(("update", "after"), [("sgd", 1), ("momentum", 10), ("adam", 7)])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, update: str, after: int) -> None:
    """Stopped within an epoch and at its end; the sign of the nudge is drawn anew each step."""
    experiment = small(f"update.kind={update}", "rule.variant=random-sign", "update.rates=[1e-3, 1e-3]")
    whole, parts = (experiment.create_run(tmp_path / name) for name in ("whole", "parts"))
    experiment.train(whole)
    seen: list[object] = []
    assert experiment.train(parts, watch=seen.append, stop=lambda: len(seen) + 1 >= after) is None
    assert parts.result is None
    assert Experiment.from_file(parts.experiment).train(Run(parts.path)) is not None
    for name in ("steps.csv", "conductances.npz"):
        assert (whole.path / name).read_bytes() == (parts.path / name).read_bytes()


def test_a_stopped_run_goes_on_with_the_same_places_of_images(tmp_path: Path) -> None:
    still = ["chip.kind=nodal", "data.held_out=0.9", "training.epochs=2", "training.batch=16"]
    experiment = Experiment.load("digits", [*still, "data.translate=1"])
    whole, parts, other = (experiment.create_run(tmp_path / name) for name in ("whole", "parts", "other"))
    experiment.train(whole, pictures=False)
    seen: list[object] = []
    assert experiment.train(parts, watch=seen.append, stop=lambda: len(seen) >= 5, pictures=False) is None
    assert Experiment.from_file(parts.experiment).train(Run(parts.path), pictures=False) is not None
    assert (whole.path / "steps.csv").read_bytes() == (parts.path / "steps.csv").read_bytes()
    with pytest.raises(RunError, match=re.escape("data.translate")):
        Experiment.load("digits", still).train(other)


def test_every_sample_is_visited_once_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = small("training.epochs=2")
    shown: list[np.ndarray] = []
    chip = experiment.new_chip()
    genuine = type(chip).measure

    def watching(self, drives):  # type: ignore[no-untyped-def]
        if len(drives) > 1:
            shown.append(drives[0].inputs)
        return genuine(self, drives)

    monkeypatch.setattr(type(chip), "measure", watching)
    experiment.train(experiment.create_run(tmp_path / "run"))
    rows = np.concatenate(shown)
    everything = experiment.data.train.batch(slice(None)).inputs
    order = lambda a: a[np.lexsort(a.T)]  # noqa: E731
    for epoch in (rows[: len(everything)], rows[len(everything) :]):
        np.testing.assert_array_equal(order(epoch), order(everything))
    assert not np.array_equal(rows[: len(everything)], rows[len(everything) :])


def test_events_tell_steps_and_epochs(tmp_path: Path) -> None:
    experiment = small()
    seen: list[object] = []
    experiment.train(experiment.create_run(tmp_path / "run"), watch=seen.append)
    assert [type(e) for e in seen] == ([StepDone] * 5 + [EpochDone]) * 3


TRAIN = [sys.executable, "-m", "harness", "train"]
KILLED = ["iris", "--set", "training.epochs=150", "--set", "training.batch=15", "--seed", "3"]


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in ngspice that was left in peace."""
    folder = tmp_path_factory.mktemp("peace")
    subprocess.run([*TRAIN, *KILLED, "--run", "whole"], cwd=folder, check=True, capture_output=True)
    return folder / "whole"


@pytest.mark.ngspice
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_twice_in_ngspice_it_resumes_to_the_same_bits(
    tmp_path: Path, never_killed: Path, signal_number: signal.Signals
) -> None:
    run = tmp_path / "killed"
    for start in ([*TRAIN, *KILLED, "--run", "killed"], [*TRAIN, "--resume", "killed"]):
        with subprocess.Popen(
            start, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            _wait_for_progress(process, run)
            process.send_signal(signal_number)
            stdout, stderr = process.communicate()
        if signal_number == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
        else:
            assert process.returncode == 1
            assert "go on with: harness train --resume killed" in stderr
            assert "Traceback" not in stderr
            assert not stdout
    subprocess.run([*TRAIN, "--resume", "killed"], cwd=tmp_path, check=True, capture_output=True)
    for name in ("steps.csv", "conductances.npz"):
        assert (never_killed / name).read_bytes() == (run / name).read_bytes()
    assert list(tmp_path.iterdir()) == [run]


def _wait_for_progress(process: subprocess.Popen[str], run: Path) -> None:
    """Until a checkpoint was written, and a little longer."""
    file = run / "checkpoint.npz"
    content = lambda: file.read_bytes() if file.exists() else b""  # noqa: E731
    before = content()
    while process.poll() is None and content() == before:
        time.sleep(0.01)
    time.sleep(0.1)
    assert process.poll() is None


def test_a_kill_between_two_files_of_a_checkpoint_is_harmless(tmp_path: Path) -> None:
    """Tables are written before the position: rows that it does not reach are dropped."""
    run = Run.create(tmp_path / "run", "", {})
    g = (np.eye(2),)
    rows = [StepRow(1, k, 0.5, 1.0, 1e-6, 1e-7) for k in (1, 2)]
    run.save(Position(g, UpdateState(2), epoch=0, step=2), rows, [])
    write_atomic(run.path / "steps.csv", (run.path / "steps.csv").read_bytes() + b"1,3,0.4,1.0,1e-06,1e-07\n")
    assert run.tables() == (rows, [])


def test_a_position_survives_the_round_trip(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "", {})
    rng = np.random.default_rng(0)
    g = (rng.random((3, 2)), rng.random((2, 4)))
    before = Position(g, UpdateState(7, (g, tuple(2 * a for a in g))), 1, 2, 1.5, 6.0, 2.25, 1.125)
    row = EpochRow(1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, None)
    run.save(before, ROWS, [row])
    after = Run(run.path).position()
    assert after is not None
    assert vars(after) | {"conductances": 0, "update": 0} == vars(before) | {"conductances": 0, "update": 0}
    assert after.update.steps == 7
    for a, b in zip((*after.conductances, *after.update.slots[1]), (*g, *before.update.slots[1]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert run.tables()[1] == [row]


def test_a_checkpoint_from_before_the_ledger_is_read_with_zeros(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "", {})
    before = Position((np.ones((2, 2)),), UpdateState(), 1, 2, ledger=Ledger(phases=7, energy=1.5))
    run.save(before, ROWS, [EpochRow(1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, None, Ledger(phases=7))])
    file = run.path / "checkpoint.npz"
    with np.load(file) as saved:
        write_atomic(file, npz({name: saved[name] for name in saved.files if name not in ENTRIES}))
    table = pd.read_csv(run.path / "epochs.csv").drop(columns=["phases settled", "energy dissipated (J)"])
    table.to_csv(run.path / "epochs.csv", index=False)
    after = run.position()
    assert after is not None
    assert (after.epoch, after.step, after.ledger) == (1, 2, Ledger())
    assert run.tables()[1][0].ledger == Ledger()


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_atomic(file, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_runs_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no run directory: it holds no manifest.json"):
        Run(tmp_path)
    run = Run.create(tmp_path / "run", "", {})
    with pytest.raises(RunError, match=r"run exists already; resume it with --resume"):
        Run.create(tmp_path / "run", "", {})
    with run.locked(), pytest.raises(RunError, match="is in use by another process"), Run(run.path).locked():
        pass
    with pytest.raises(RunError, match="has no checkpoint yet"):
        small().trained(run)


def test_a_fresh_path_takes_the_first_free_number(tmp_path: Path) -> None:
    assert fresh_path(tmp_path, "a") == tmp_path / "a"
    (tmp_path / "a").mkdir()
    assert fresh_path(tmp_path, "a") == tmp_path / "a-2"


def test_no_file_of_a_run_is_a_pickle(tmp_path: Path) -> None:
    experiment = small("training.epochs=1")
    run = experiment.create_run(tmp_path / "run")
    experiment.train(run)
    for file in run.path.glob("*.npz"):
        with np.load(file, allow_pickle=False) as saved:
            assert all(saved[name].dtype != object for name in saved.files)
    json.loads((run.path / "result.json").read_text())


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", "", {})
    (run.path / "checkpoint.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(RunError, match=r"checkpoint.npz: it cannot be read as an npz file"):
        run.position()


def briefly(path: Path, *overrides: str, start: Run | None = None, **own: object) -> Run:
    """A run that was trained for two epochs, from the conductances of another one if that is given."""
    brief = ["chip.kind=nodal", "training.epochs=2", *overrides]
    subject, begin = warm_start(start, brief) if start else (Experiment.load("xor", brief), None)
    subject = subject.with_parts(**own)
    run = subject.create_run(path, begin)
    subject.train(run, pictures=False)
    return run


@pytest.mark.parametrize(
    "other",
    [
        "training.seed=1",
        "training.epochs=3",
        "training.batch=2",
        "rule.beta=2e-7",
        "rule.variant=one-sided",
        "update.rates=[0.01]",
        "update.decay=0.9",
        "imperfect.read_noise=1e-6",
        "variation.seed=3",
    ],
)
def test_a_checkpoint_of_another_run_with_the_same_shapes_is_refused(tmp_path: Path, other: str) -> None:
    one, two = briefly(tmp_path / "one"), briefly(tmp_path / "two", other)
    shutil.copy(two.path / "checkpoint.npz", one.path / "checkpoint.npz")
    with pytest.raises(RunError, match=r"checkpoint.npz is of another run, made with another seed, rule"):
        Run(one.path).position()
    assert Run(two.path).position() is not None


def test_a_checkpoint_of_another_start_is_refused(tmp_path: Path) -> None:
    starts = [briefly(tmp_path / f"start{batch}", f"training.batch={batch}") for batch in (1, 2)]
    one, two = (briefly(start.path.with_suffix(".on"), "training.batch=4", start=start) for start in starts)
    shutil.copy(two.path / "checkpoint.npz", one.path / "checkpoint.npz")
    with pytest.raises(RunError, match=r"checkpoint.npz is of another run"):
        one.position()


def test_a_checkpoint_of_a_rule_of_ones_own_is_refused(tmp_path: Path) -> None:
    start = briefly(tmp_path / "start")
    one = briefly(tmp_path / "one", start=start)
    two = briefly(tmp_path / "two", start=start, update=SGD((1e-3, 1e-3)))
    assert two.position() is not None  # although its first checkpoint was saved before it had the update
    shutil.copy(two.path / "checkpoint.npz", one.path / "checkpoint.npz")
    with pytest.raises(RunError, match=r"checkpoint.npz is of another run"):
        one.position()


def test_a_checkpoint_of_an_older_version_stays_the_runs_own(tmp_path: Path) -> None:
    run = briefly(tmp_path / "run")
    file = run.path / "checkpoint.npz"
    made = {key: run.manifest[key] for key in ("experiment", "seed", "data_sha256", "netlist_sha256")}
    older = {"owner": np.asarray(sha256(json.dumps(made, sort_keys=True).encode()).hexdigest())}
    with np.load(file) as saved:
        file.write_bytes(npz(dict(saved) | older))
    assert run.position() is not None


def test_a_run_whose_data_changed_is_not_resumed(tmp_path: Path) -> None:
    experiment = small()
    run = experiment.create_run(tmp_path / "run")
    assert experiment.changes_since(run) == []
    other = small().with_parts(data=small("training.seed=1").data)
    with pytest.raises(RunError, match="its data are not those that it was made with"):
        other.changes_since(run)
    with pytest.raises(RunError, match=r"training\.seed is 1, but the run was made with 0"):
        small("training.seed=1").changes_since(run)


def test_a_moved_run_knows_where_it_is_and_is_not_extended(tmp_path: Path) -> None:
    experiment = small()
    run = experiment.create_run(tmp_path / "one")
    experiment.train(run)
    moved = Run(run.path.rename(tmp_path / "two"))
    assert moved.result is not None
    assert moved.result["run"] == str(tmp_path / "two")
    with pytest.raises(RunError, match=r"training\.epochs is 4, but the run was made with 3; .*harness train --from"):
        small("training.epochs=4").train(moved)


def test_parts_of_older_runs_are_known_by_their_former_words(tmp_path: Path) -> None:
    """Modules stood in descriptions once, and an attribute was called otherwise."""
    circuit = Experiment.load("xor", ["chip.kind=nodal"]).circuit
    now = described(AnalyticalGradient(circuit, SquaredError()))
    then = {"curved" if key == "nonlinear" else key: value for key, value in now.items()}
    then["kind"] = "harness.learning.rules.analytical.AnalyticalGradient"
    assert now.keys() != then.keys()
    made = {"versions": {"harness": __version__}, "parts": {"rule": then}, "own": ["rule"]}
    run = Run.create(tmp_path / "run", "", made)
    refuse_others(run, {"rule": now})
    with pytest.raises(RunError, match="nonlinear = False"):
        refuse_others(run, {"rule": {**now, "nonlinear": False}})
