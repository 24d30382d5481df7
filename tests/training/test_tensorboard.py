"""`harness train --tensorboard`: curves that TensorBoard's own reader finds, once each, however often a run goes on."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness import Experiment, Run
from harness.cli.main import main
from harness.errors import RunError
from harness.training.controller import EpochDone, StepDone
from harness.training.tensorboard import EventLog

Event = StepDone | EpochDone
SHORT = ["chip.kind=nodal", "training.epochs=3", "training.batch=25"]
BATCHES = 5


def small() -> Experiment:
    return Experiment.load("iris", SHORT)


def log_of(experiment: Experiment, run: Run, **more: object) -> EventLog:
    names = [array.name for array in experiment.circuit.arrays]
    return EventLog(run, batches=BATCHES, arrays=names, score=experiment.score, **more)  # type: ignore[arg-type]


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of every scalar, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    found.Reload()
    tags = found.Tags()
    scalars = {tag: [(point.step, point.value) for point in found.Scalars(tag)] for tag in tags["scalars"]}
    histograms = {tag: [(p.step, p.histogram_value.num) for p in found.Histograms(tag)] for tag in tags["histograms"]}
    return scalars | histograms


def check_whole(folder: Path, run: Run) -> None:
    """Every row of the run's tables is one point, and no point is there twice."""
    found, (steps, epochs) = curves(folder), run.tables()
    at = [(row.epoch - 1) * BATCHES + row.step for row in steps]
    ends = [row.epoch * BATCHES for row in epochs]
    for tag, where, values in (
        ("batch/loss", at, [row.loss for row in steps]),
        ("batch/accuracy", at, [row.accuracy for row in steps]),
        ("epoch/held_out_accuracy", ends, [row.test_accuracy for row in epochs]),
        ("epoch/training_loss", ends, [row.train_loss for row in epochs]),
        ("ledger/phases", ends, [row.ledger.phases for row in epochs if row.ledger]),
    ):
        assert [step for step, _ in found[tag]] == where, tag
        np.testing.assert_allclose([value for _, value in found[tag]], values, rtol=1e-6)
    with np.load(run.path / "conductances.npz", allow_pickle=False) as saved:
        for name, array in saved.items():
            assert found[f"conductances/{name}"] == [(end, array.size) for end in ends]


def test_the_command_writes_curves_that_tensorboard_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sets = [word for override in SHORT for word in ("--set", override)]
    shown = CliRunner().invoke(main, ["train", "iris", *sets, "--run", "one", "--tensorboard"])
    assert shown.exit_code == 0, shown.output
    assert shown.stderr.splitlines()[-1] == "curves for TensorBoard: tensorboard --logdir ."
    check_whole(Path("one"), run := Run("one"))
    again = CliRunner().invoke(main, ["train", "--resume", "one", "--tensorboard", "logs"])
    assert again.exit_code == 0, again.output
    check_whole_but_histograms(Path("logs/one"), run)


def check_whole_but_histograms(folder: Path, run: Run) -> None:
    """Curves of a run that was complete are those of its tables, with the histogram of its last epoch."""
    found, (steps, epochs) = curves(folder), run.tables()
    assert len(found["batch/loss"]) == len(steps)
    assert len(found["epoch/held_out_loss"]) == len(epochs)
    assert [step for step, _ in found["conductances/w1"]] == [len(epochs) * BATCHES]


@pytest.mark.parametrize("after", [1, 5, 7])
def test_a_stopped_run_goes_on_in_the_same_curves(tmp_path: Path, after: int) -> None:
    experiment = small()
    run, seen = experiment.create_run(tmp_path / "run"), 0

    def stop() -> bool:
        nonlocal seen
        seen += 1
        return seen >= after

    with log_of(experiment, run) as log:
        experiment.train(run, watch=log, stop=stop, pictures=False)
    with log_of(experiment, run) as log:
        experiment.train(run, watch=log, pictures=False)
    check_whole(run.path, run)


@pytest.mark.parametrize("after", [3, 6, 12])
def test_what_was_written_beyond_the_last_checkpoint_is_taken_back(tmp_path: Path, after: int) -> None:
    experiment = small()
    run = experiment.create_run(tmp_path / "run")
    with log_of(experiment, run) as log, pytest.raises(KeyboardInterrupt):
        experiment.train(run, watch=killed_at(after, log), pictures=False)
    with log_of(experiment, run) as log:
        experiment.train(run, watch=log, pictures=False)
    check_whole(run.path, run)


def killed_at(after: int, log: EventLog) -> Callable[[Event], None]:
    """A watcher that ends the training, as a kill would, right after an event's points were written."""
    seen = 0

    def watch(event: Event) -> None:
        nonlocal seen
        seen += 1
        size = sum(file.stat().st_size for file in log._folder.glob("events.*"))
        log(event)
        assert sum(file.stat().st_size for file in log._folder.glob("events.*")) > size  # a kill now would not lose it
        if seen == after:
            raise KeyboardInterrupt

    return watch


def test_curves_that_begin_when_a_run_goes_on_have_its_past(tmp_path: Path) -> None:
    experiment = small()
    run, seen = experiment.create_run(tmp_path / "run"), iter([False] * 7)
    experiment.train(run, stop=lambda: next(seen, True), pictures=False)
    with log_of(experiment, run, folder=tmp_path / "later") as log:
        experiment.train(run, watch=log, pictures=False)
    found = curves(tmp_path / "later")
    assert [step for step, _ in found["batch/loss"]] == list(range(1, 3 * BATCHES + 1))
    assert [step for step, _ in found["epoch/held_out_loss"]] == [5, 10, 15]


def test_values_have_r2(tmp_path: Path) -> None:
    experiment = Experiment.load("regression", ["chip.kind=nodal", "training.epochs=1"])
    run = experiment.create_run(tmp_path / "run")
    with EventLog(run, batches=1, arrays=["edges"], score=experiment.score):
        pass
    experiment.train(run, pictures=False)
    batches = -(-len(experiment.data.train) // experiment.plan.batch)
    names = [array.name for array in experiment.circuit.arrays]
    with EventLog(run, batches=batches, arrays=names, score=experiment.score, folder=tmp_path / "logs"):
        pass
    assert "epoch/held_out_R2" in curves(tmp_path / "logs")


def test_a_full_disk_is_a_warning_and_training_goes_on(tmp_path: Path) -> None:
    experiment, told = small(), list[str]()
    run = experiment.create_run(tmp_path / "run")
    with log_of(experiment, run, warn=told.append) as log, open("/dev/full", "wb") as full:
        (file,) = run.path.glob("events.out.tfevents.*")
        (number,) = [fd for fd in os.listdir("/proc/self/fd") if is_file(f"/proc/self/fd/{fd}", file)]
        os.dup2(full.fileno(), int(number))
        assert experiment.train(run, watch=log, pictures=False) is not None
    assert told == [f"events for TensorBoard in {run.path} are incomplete: No space left on device"]


def is_file(link: str, file: Path) -> bool:
    try:
        return os.readlink(link) == str(file)
    except OSError:
        return False


def test_without_tensorboardx_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for module in [name for name in sys.modules if name.startswith("tensorboardX")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)  # as where it is not installed
    shown = CliRunner().invoke(main, ["train", "xor", "--chip", "nodal", "--tensorboard"])
    assert shown.exit_code == 1
    (line,) = shown.stderr.splitlines()
    assert line.startswith("harness: events for TensorBoard need tensorboardX, which cannot be loaded (")
    assert "; install it with: pip install " in line
    assert not Path("runs").exists()
    run = Experiment.load("xor", ["chip.kind=nodal"]).create_run("run")
    with pytest.raises(RunError, match="need tensorboardX"):
        EventLog(run, batches=1, arrays=["w1"], score="accuracy")


def test_a_folder_that_cannot_be_made_ends_the_command_before_a_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    shown = CliRunner().invoke(main, ["train", "xor", "--chip", "nodal", "--tensorboard", "file"])
    assert (shown.exit_code, shown.stderr) == (1, "harness: file: File exists\n")
    assert not Path("runs").exists()
