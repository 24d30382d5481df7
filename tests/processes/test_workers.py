"""Worker processes: no module of the working directory, no main module, none that hangs, none left behind."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import SimulatorError
from harness.processes import pool as workers_module
from harness.processes.pool import Ended, Workers
from harness.processes.worker import stopping
from tests.calls import at_work, dies, dies_until, fails, fails_to_begin, pid_of, until_stopped
from tests.chip.test_pool import all_gone, workers_of

HARNESS = str(Path(sys.executable).with_name("harness"))


@pytest.fixture
def two() -> Iterator[Workers]:
    """Two workers, none of which stays."""
    workers = Workers(2)
    yield workers
    pids = workers_of(os.getpid())
    workers.close()
    assert all_gone(pids, within=0)


def all_of(workers: Workers) -> list[Ended]:
    found: list[Ended] = []
    while workers.busy:
        found += workers.ended()
    return found


def test_calls_end_with_their_results_errors_and_deaths(two: Workers) -> None:
    two.give("value", divmod, 7, 3)
    two.give("error", fails, "why")
    found = {ended.tag: ended for ended in all_of(two)}
    assert found["value"].value == (2, 1)
    assert str(found["error"].error) == "why"
    two.give("death", dies, 5)
    (death,) = all_of(two)
    assert (death.tag, death.value, death.lost) == ("death", None, "exit status 5")
    two.give("after", divmod, 9, 4)
    assert [ended.value for ended in all_of(two)] == [(2, 1)]


def test_a_lost_call_is_begun_again_as_often_as_it_may_be(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    workers = Workers(1, attempts=3)
    try:
        workers.give("twice", dies_until, marks, 3)
        assert [(ended.value, ended.lost) for ended in all_of(workers)] == [("done", None)]
        assert marks.read_text() == "..."
        workers.give("always", dies, 5)
        assert [ended.lost for ended in all_of(workers)] == ["exit status 5"]
        workers.give("stopped", dies_until, tmp_path / "others", 9)
        workers.stop()
        assert [ended.lost for ended in all_of(workers)] == ["exit status 1"]
        assert (tmp_path / "others").read_text() == "."
    finally:
        workers.close()


def test_calls_are_told_to_stop(two: Workers) -> None:
    assert not stopping()
    two.give("a", until_stopped)
    two.give("b", until_stopped)
    while len(workers_of(os.getpid())) < 2:
        two.ended(timeout=0.1)
    two.stop()
    assert [ended.value for ended in all_of(two)] == [True, True]


@pytest.mark.parametrize("size", [10, 50_000_000], ids=["small", "larger than a pipe holds"])
def test_a_stopped_worker_is_replaced(
    size: int, two: Workers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers_module, "_STOPPED", 1.0)
    two.give("first", pid_of, b"")
    (first,) = all_of(two)
    os.kill(first.value, signal.SIGSTOP)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        two.give("second", pid_of, bytes(size))
        found = all_of(two)
        if found[0].lost is not None:
            assert found[0].lost == "being stopped for 1 s"
            two.give("second", pid_of, bytes(size))
            found = all_of(two)
    assert 0.4 < time.monotonic() - began < 30
    assert found[0].value not in (None, first.value)
    assert f"worker process {first.value} is replaced after being stopped for 1 s" in caplog.text


def test_a_worker_that_makes_no_progress_is_lost_and_one_at_work_is_not(
    two: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "_IDLE", 1.5)
    two.give("asleep", time.sleep, 1000.0)
    two.give("at work", at_work, 4.0)
    found = {ended.tag: ended for ended in all_of(two)}
    assert found["asleep"].lost == "making no progress for 1.5 s"
    assert found["at work"].lost is None


def test_time_in_which_the_parent_is_stopped_too_does_not_count() -> None:
    """As after Ctrl-Z and fg."""
    code = """
from harness.processes import pool as module
from tests.calls import at_work
module._STOPPED = 1.0
two = module.Workers(2)
two.give("a", at_work, 2.0)
two.ended()
print("begun", flush=True)
while two.busy:
    for ended in two.ended():
        print(ended.lost, flush=True)
two.close()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(2.5)
        os.killpg(process.pid, signal.SIGCONT)
        assert process.stdout.read() == "None\n"


def test_what_cannot_be_prepared_is_raised_here(two: Workers) -> None:
    broken = Workers(2, fails_to_begin)
    broken.give("a", divmod, 7, 3)
    with pytest.raises(SimulatorError, match="no begin"):
        all_of(broken)
    broken.close()


# --- the working directory

MODULES = (
    *("abc", "argparse", "asyncio", "click", "collections", "concurrent", "contextlib", "cffi", "csv", "ctypes"),
    *("dataclasses", "email", "enum", "functools", "heapq", "io", "json", "logging", "multiprocessing", "numpy", "os"),
    *("pandas", "pathlib", "pickle", "PySpice", "queue", "random", "re", "rich", "scipy", "selectors", "shutil"),
    *("signal", "site", "socket", "string", "struct", "subprocess", "sys", "tempfile", "threading", "traceback"),
    *("types", "typing", "usercustomize", "warnings", "weakref"),
)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with a module of every name, each of which leaves a mark."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in MODULES:
        mark = folder / f"mark-{name}"
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()\nraise ImportError('hostile')\n")
    return folder


SUITE = """
[[case]]
name = "small"
experiment = "xor"
set = { "chip.kind" = "nodal", "training.epochs" = 2 }
seeds = 2
[case.bands]
test_accuracy = { at_least = 0.0 }
"""
QUICK = ["--set", "training.epochs=2"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["sweep", "xor", "--over", "rule.beta=1e-7,1e-6", "--chip", "nodal", *QUICK, "--workers", "2", "--to", "s"],
        ["regress", "suite.toml", "--workers", "2"],
        pytest.param(["train", "xor", *QUICK, "--workers", "2", "--run", "r"], marks=pytest.mark.ngspice),
    ],
    ids=lambda words: words[0],
)
def test_no_command_imports_from_the_working_directory(arguments: list[str], hostile: Path) -> None:
    (hostile / "suite.toml").write_text(SUITE)
    done = subprocess.run([HARNESS, *arguments], cwd=hostile, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not list(hostile.glob("mark-*"))


def test_python_m_imports_nothing_from_there_once_it_has_arrived_here(hostile: Path) -> None:
    """What Python itself imports on its way comes from there: its own standard library is not touched in this test."""
    for file in hostile.glob("*.py"):
        if file.stem not in {"click", "cffi", "numpy", "pandas", "PySpice", "rich", "scipy"}:
            file.unlink()
    command = [sys.executable, "-m", "harness", "list"]
    done = subprocess.run(command, cwd=hostile, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(hostile.glob("mark-*"))


SCRIPT = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
from pathlib import Path
from harness import Experiment
from harness.studies import sweep
from harness.studies.regress.running import measure
from harness.studies.regress.suite import Suite
from harness.studies.sweep.points import grid
print("main runs")
sys.path[:0] = ["", str(Path.cwd())]
points = grid("xor", {"rule.beta": ["1e-7", "1e-6"]}, overrides=["chip.kind='nodal'", "training.epochs=2"])
print(sweep.run(sweep.Sweep.create(Path("s"), points), workers=2).errors)
print([found.error for _, found in measure(Suite.load(Path("suite.toml")).cases, workers=2)], flush=True)
"""


def test_a_script_without_a_main_guard_runs_once_and_its_workers_import_nothing_from_there(hostile: Path) -> None:
    """From standard input, even: there is no file that another process could import."""
    (hostile / "suite.toml").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-"], input=SCRIPT, cwd=hostile, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "main runs\n{}\n[None]\n", done.stderr
    assert not list(hostile.glob("mark-*"))


# --- Ctrl-C


@pytest.mark.ngspice
def test_one_ctrl_c_ends_a_training_whose_workers_are_stopped(tmp_path: Path) -> None:
    command = [HARNESS, "train", "iris", "--run", "run", "--workers", "2", "--set", "chip.chunk=8"]
    with subprocess.Popen(
        [*command, "--set", "training.epochs=100000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while len(pids := workers_of(process.pid)) < 2 or not (tmp_path / "run" / "checkpoint.npz").exists():
            assert process.poll() is None
            time.sleep(0.05)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=45)
    assert process.returncode == 1
    assert "is replaced after being stopped for 5 s" in err
    assert "go on with: harness train --resume run" in err
    assert "Traceback" not in err
    assert all_gone(pids, within=1)


def interrupted(command: list[str], folder: Path, seconds: float) -> tuple[int, str]:
    """How a command ends that gets Ctrl-C after a time, and what it says."""
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=20)
    return process.returncode, err


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.2, 2.0, 3.0])
def test_ctrl_c_ends_a_command_at_any_moment(seconds: float, tmp_path: Path) -> None:
    """While it imports, and while it computes: by the signal, without a traceback, with nothing left."""
    code, err = interrupted([HARNESS, "check", "digits", "--chip", "nodal", "--samples", "1000"], tmp_path, seconds)
    assert code == -signal.SIGINT
    assert "Traceback" not in err
    assert "Aborted" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.ngspice
def test_ctrl_c_ends_a_long_analysis_in_this_process(tmp_path: Path) -> None:
    """Python sees signals between its own steps only, and ngspice takes seconds for one of them."""
    code = """
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
from harness.cli.main import main
from harness.processes.interrupts import ended_by_interrupt
from harness.chip.ngspice.session import BatchDeck, open_session
session = open_session()
with ended_by_interrupt():
    print("begins", flush=True)
    lines = ["* long", "vpoint p 0 0", "rpoint p 0 1", ".end"]
    session.run_batch(BatchDeck(tuple(lines), "vpoint", 30_000_000, ("v(p)",)))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert time.monotonic() - began < 5
    assert "Traceback" not in err


def test_an_ignored_ctrl_c_stays_ignored(tmp_path: Path) -> None:
    """As behind nohup."""
    command = ["sh", "-c", f"trap '' INT; exec {HARNESS} list"]
    code, err = interrupted(command, tmp_path, 0.7)
    assert (code, err) == (0, "")
