"""Worker processes: the same bits however many there are, whatever becomes of them, and none left behind."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import numpy as np
import pytest

from harness import Experiment
from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.ngspice.pool import WorkerPool
from harness.chip.ngspice.worker import peak_megabytes
from harness.circuit import Reduction, SettlingJob
from harness.errors import ConvergenceError, NgspiceMissing, SimulatorError
from harness.experiment.chip import SimulatorChoice
from harness.measurement import Drive, Injection, Reading
from harness.netlist.tolerances import Tolerances
from harness.processes import pool as workers_module
from harness.processes.worker import portable
from tests.conftest import kendall, random_batch, scellier

pytestmark = pytest.mark.ngspice

CIRCUIT = kendall([4])
BATCH = random_batch(CIRCUIT, 11)
DRIVES = [Drive(BATCH.inputs), Drive(BATCH.inputs, Injection(0.02 * BATCH.targets), "nudged")]
CHUNK = 3  # uneven: the last one has two samples
SETTLED = NgspiceChip(CIRCUIT, chunk=CHUNK)


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerPool]:
    """Two workers, none of which stays; what they save, goes with the test."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    workers = WorkerPool(Tolerances(), 2)
    yield workers
    pids = workers_of(os.getpid())
    workers.close()
    assert all_gone(pids, within=0)


def chip_of(workers: WorkerPool) -> NgspiceChip:
    return NgspiceChip(CIRCUIT, simulators=workers, chunk=CHUNK)


def bits(readings: tuple[Reading, ...]) -> list[bytes]:
    return [reading.nodes.tobytes() for reading in readings]


def settling() -> SettlingJob:
    return Reduction(CIRCUIT).reduce(CIRCUIT.conductances).settling(DRIVES)


def workers_of(parent: int) -> list[int]:
    """Worker processes that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            child_of = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if child_of == parent and b"\0worker\0" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile
            continue
    return sorted(found)


def all_gone(pids: list[int], within: float) -> bool:
    """Whether processes end within some seconds; what only waits for init to reap it has ended."""
    limit = time.monotonic() + within
    while remaining := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > limit:
            return not remaining
        time.sleep(0.02)
    return True


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_number_of_workers_changes_no_bit(workers: int) -> None:
    expected = bits(SETTLED.measure(DRIVES))
    chip = chip_of(WorkerPool(Tolerances(), workers))
    try:
        assert bits(chip.measure(DRIVES)) == expected
        assert len(workers_of(os.getpid())) == workers
        assert bits(chip.measure(DRIVES)) == expected
        assert chip.work.points == 2 * 2 * len(BATCH)
        assert chip.simulator_seconds == pytest.approx(chip.work.seconds / workers)
    finally:
        chip.close()
    assert workers_of(os.getpid()) == []
    chip.close()


def test_workers_are_started_as_they_are_needed_and_stay(pool: WorkerPool) -> None:
    assert workers_of(os.getpid()) == []
    pool.settle([])
    assert workers_of(os.getpid()) == []
    pool.settle([settling()])
    first = workers_of(os.getpid())
    assert len(first) == 1
    pool.settle([settling()] * 5)
    both = workers_of(os.getpid())
    assert len(both) == 2
    assert set(first) < set(both)
    pool.settle([settling()] * 5)
    assert workers_of(os.getpid()) == both


def test_a_pool_that_was_closed_starts_again(pool: WorkerPool) -> None:
    pool.settle([settling()])
    pool.close()
    assert len(pool.settle([settling()])) == 1


def test_a_worker_killed_between_calls_is_replaced(pool: WorkerPool) -> None:
    chip = chip_of(pool)
    expected = bits(chip.measure(DRIVES))
    before = workers_of(os.getpid())
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert bits(chip.measure(DRIVES)) == expected
    assert not set(before) & set(workers_of(os.getpid()))


def test_a_worker_killed_at_work_is_replaced_and_its_task_done_again(pool: WorkerPool) -> None:
    chip = chip_of(pool)
    expected = bits(chip.measure(DRIVES))
    victim = workers_of(os.getpid())[0]
    os.kill(victim, signal.SIGSTOP)  # it gets its task and stays there
    killer = Timer(0.5, os.kill, (victim, signal.SIGKILL))
    killer.start()
    assert bits(chip.measure(DRIVES)) == expected
    killer.join()
    assert victim not in workers_of(os.getpid())


class Lethal:
    """A task that whoever receives it does not survive."""

    def __reduce__(self) -> tuple[object, ...]:
        return signal.raise_signal, (signal.SIGSEGV,)


def test_a_task_that_kills_every_worker_is_an_error_with_the_signal(pool: WorkerPool) -> None:
    tasks = [settling(), Lethal(), settling()]
    with pytest.raises(
        SimulatorError, match=r"3 worker processes in a row died over .* the last by SIGSEGV; if memory"
    ):
        pool.settle(tasks)  # type: ignore[arg-type]
    assert bits(chip_of(pool).measure(DRIVES)) == bits(SETTLED.measure(DRIVES))


FAILING = scellier([4, 3])


def failing_drives(*samples: int) -> list[Drive]:
    """A current beyond all numbers, into some of twenty samples."""
    batch = random_batch(FAILING, 20)
    current = np.zeros_like(batch.targets)
    current[list(samples)] = 1e200
    return [Drive(batch.inputs), Drive(batch.inputs, Injection(current), "nudged")]


def test_a_sample_that_does_not_settle_is_named_in_its_batch_and_the_pool_stays_usable(pool: WorkerPool) -> None:
    chip = NgspiceChip(FAILING, simulators=pool, chunk=4)
    good = bits(chip.measure(failing_drives()))
    workers = workers_of(os.getpid())
    for samples in ([17], [9, 18], [6, 10, 14]):
        with pytest.raises(ConvergenceError, match=f"sample {samples[0]}, nudged phase: ngspice found no") as caught:
            chip.measure(failing_drives(*samples))
        assert (caught.value.sample, caught.value.phase) == (samples[0], "nudged")
        assert caught.value.log
        assert caught.value.deck.exists()  # type: ignore[union-attr]
        assert bits(chip.measure(failing_drives())) == good
    assert workers_of(os.getpid()) == workers


def test_an_interrupted_call_leaves_no_answers_for_the_next_one(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = chip_of(pool)
    expected = bits(chip.measure(DRIVES))
    genuine = workers_module.wait

    def interrupted(*args: object) -> None:
        genuine(*args)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(workers_module, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        chip.measure([Drive(0 * BATCH.inputs)])
    monkeypatch.undo()
    assert bits(chip.measure(DRIVES)) == expected


def test_workers_without_libngspice_say_so(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("NGSPICE_LIBRARY_PATH", "/nowhere/libngspice.so")
        with pytest.raises(NgspiceMissing, match=r"cannot be loaded \(tried NGSPICE_LIBRARY_PATH=/nowhere"):
            pool.settle([settling()] * 3)
    assert workers_of(os.getpid()) == []
    assert len(pool.settle([settling()] * 3)) == 3


def test_workers_that_cannot_start_are_not_started_for_ever(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "_SERVE", "raise SystemExit(7)")
    with pytest.raises(SimulatorError, match=r"3 worker processes in a row ended before .* the last by exit status 7"):
        pool.settle([settling()] * 3)
    monkeypatch.undo()
    assert len(pool.settle([settling()] * 3)) == 3


def test_a_pool_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="0 worker processes; at least 1"):
        WorkerPool(Tolerances(), 0)


def test_errors_come_back_as_they_were() -> None:
    deck = Path("/tmp/a.cir")
    for error in (NgspiceMissing("not there"), SimulatorError("bad", log=("why",), deck=deck), ValueError("odd")):
        assert portable(error) is error
    for error in (
        SimulatorError("bad", log=("why",), deck=deck).on_host("far"),
        ConvergenceError("bad", sample=3, phase="free", settling=2, log=("why",), deck=deck).on_host("far"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
        assert str(again).endswith("  ngspice: why\n  deck saved as /tmp/a.cir on far")
    assert str(error.in_batch(8)).startswith("sample 11, free phase: bad")
    assert "a worker failed with ValueError(<function" in str(portable(ValueError(lambda: 0)))


def test_memory_of_workers_is_theirs_alone(pool: WorkerPool) -> None:
    """ru_maxrss would count this process."""
    held = np.ones(60_000_000)
    peaks = [settled.peak_mb for settled in pool.settle([settling()] * 2)]
    assert 20 < min(peaks) <= max(peaks) < 1e-6 * held.nbytes < peak_megabytes()


def test_memory_of_workers_stays_flat_over_steps_whose_text_changes() -> None:
    circuit = kendall([5], channels=4, outputs=3)
    batch, rng = random_batch(circuit, 8), np.random.default_rng(0)
    chip = NgspiceChip(circuit, simulators=WorkerPool(Tolerances(), 2), chunk=4)

    def peak_after(steps: int) -> float:
        for _ in range(steps):
            chip.program([rng.uniform(0.01, 1.0, array.shape) for array in circuit.arrays])
            chip.measure([Drive(batch.inputs), Drive(batch.inputs, Injection(0.02 * batch.targets), "nudged")])
        return chip.work.peak_mb

    try:
        first = peak_after(50)
        assert peak_after(500) - first < 5
    finally:
        chip.close()


SCRIPT = """
import numpy as np
from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.ngspice.pool import WorkerPool
from harness.measurement import Drive
from harness.netlist.tolerances import Tolerances
from tests.conftest import kendall

print("once")
chip = NgspiceChip(kendall([3]), simulators=WorkerPool(Tolerances(), 2), chunk=1)
print(len(chip.measure([Drive(np.ones((4, 3)))])[0].outputs))
"""


@pytest.mark.parametrize("ending", ["chip.close()", "", "raise SystemExit"])
def test_a_script_without_a_main_guard_works(tmp_path: Path, ending: str) -> None:
    """A pool that is dropped ends with the script."""
    (tmp_path / "script.py").write_text(SCRIPT + ending)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path)), "PYTHONWARNINGS": "error"}
    ended = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ended.stdout == "once\n4\n"
    if ending == "chip.close()":
        assert not ended.stderr


TRAIN = [sys.executable, "-m", "harness", "train"]
IRIS = ["iris", "--set", "chip.chunk=8", "--set", "training.batch=35", "--set", "training.epochs=40"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without worker processes."""
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run([*TRAIN, *IRIS, "--run", "run", "--workers", "1"], cwd=folder, check=True, capture_output=True)
    return folder / "run"


def assert_same_run(one: Path, two: Path) -> None:
    for name in ("conductances.npz", "steps.csv", "experiment.toml"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_training_and_evaluation_give_the_same_bits_with_any_number_of_workers(tmp_path: Path, alone: Path) -> None:
    command = [*TRAIN, *IRIS, "--run", "run", "--workers", "2", "--json"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "ngspice × 2)" in told.stderr
    result = json.loads(told.stdout)
    assert 0 < result["ngspice_share"] <= 1
    assert_same_run(alone, tmp_path / "run")
    command = [*TRAIN[:-1], "evaluate", str(alone), "--workers", "3", "--json"]
    shown = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
    assert shown["test_loss"] == result["test_loss"] == json.loads((alone / "result.json").read_text())["test_loss"]


def test_the_chunk_is_recorded(tmp_path: Path) -> None:
    experiment = Experiment.load("iris", ["chip.chunk=8"])
    assert experiment.manifest()["chip"]["chunk"] == 8


def test_no_worker_is_started_for_the_nodal_chip(tmp_path: Path) -> None:
    experiment = Experiment.load("iris", ["chip.kind=nodal", "training.epochs=1"])
    with experiment.open_chip(SimulatorChoice(2)) as chip:
        chip.measure([Drive(experiment.data.train.batch(slice(None)).inputs)])
        assert workers_of(os.getpid()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_stays_however_training_ends(tmp_path: Path, number: signal.Signals) -> None:
    """In the middle of an analysis: a batch takes seconds. Ctrl-C goes to the whole group, as a terminal sends it."""
    command = [*TRAIN, "digits", "--run", "run", "--workers", "2", "--set", "training.batch=1000"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        pids = wait_for_work(process)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
            time.sleep(0.3)
            assert workers_of(process.pid) == pids
            os.killpg(process.pid, number)
        else:
            for _ in range(2 if number == signal.SIGTERM else 1):
                process.send_signal(number)
                time.sleep(0.3)
        stdout, stderr = process.communicate(timeout=10)
    assert process.returncode == -number
    assert all_gone(pids, within=5)
    assert not stdout
    assert "Traceback" not in stderr
    assert ("once more ends at once" in stderr) == (number != signal.SIGKILL)


def wait_for_work(process: subprocess.Popen[str]) -> list[int]:
    """Until both workers compute."""
    while process.poll() is None:
        pids = workers_of(process.pid)
        if len(pids) == 2 and all(processor_seconds(pid) > 2.5 for pid in pids):
            return pids
        time.sleep(0.05)
    raise AssertionError("training ended")


def processor_seconds(pid: int) -> float:
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def test_ctrl_c_ends_with_a_checkpoint_and_resumes_to_the_same_bits(tmp_path: Path, alone: Path) -> None:
    with subprocess.Popen(
        [*TRAIN, *IRIS, "--run", "stopped", "--workers", "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not (tmp_path / "stopped" / "checkpoint.npz").exists():
            time.sleep(0.01)
        pids = workers_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "go on with: harness train --resume stopped" in stderr
    assert all_gone(pids, within=1)
    subprocess.run([*TRAIN, "--resume", "stopped", "--workers", "1"], cwd=tmp_path, check=True, capture_output=True)
    assert_same_run(alone, tmp_path / "stopped")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "2", "--scheduler", "tcp://x:1"], "not both"),
        (["--chip", "nodal", "--scheduler", "tcp://x:1"], "the nodal chip has no workers"),
        (["--workers", "0"], "0 is not in the range x>=1"),
    ],
)
def test_choices_that_make_no_sense_are_usage_errors(tmp_path: Path, arguments: list[str], message: str) -> None:
    ended = subprocess.run([*TRAIN, "iris", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert not list(tmp_path.iterdir())
