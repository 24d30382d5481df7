"""A Dask cluster on this machine: the same bits, lost workers, and clusters that cannot be used."""

import asyncio
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import numpy as np
import pytest

from harness.chip.ngspice import cluster as cluster_module
from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.ngspice.cluster import Cluster, Software
from harness.errors import ChipError, ConvergenceError, NgspiceMissing, SimulatorError
from harness.measurement import Drive, Injection
from harness.netlist.tolerances import Tolerances
from tests.conftest import kendall, random_batch, scellier

pytestmark = pytest.mark.ngspice

CIRCUIT = kendall([4])
BATCH = random_batch(CIRCUIT, 11)
DRIVES = [Drive(BATCH.inputs), Drive(BATCH.inputs, Injection(0.02 * BATCH.targets), "nudged")]
CHUNK = 3

StartWorker = Callable[..., subprocess.Popen[bytes]]


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Dask process that is gone at the end."""
    command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def scheduler_at() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler without workers, with its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    with running("scheduler", "--host", "127.0.0.1", "--port", str(port)) as process:
        yield address, process


@contextmanager
def worker_at(address: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that has joined a scheduler."""
    before = worker_count(address)
    with running("worker", address, "--no-nanny", "--host", "127.0.0.1", "--nthreads", "1", *words) as process:
        wait_until(lambda: worker_count(address) > before)
        yield process


def worker_count(address: str) -> int:
    from distributed import rpc

    async def count() -> int:
        async with rpc(address) as scheduler:
            return len(await scheduler.ncores())

    for _ in range(100):
        try:
            return asyncio.run(count())
        except OSError:  # the scheduler is only starting
            time.sleep(0.1)
    raise AssertionError(f"no scheduler at {address}")


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with scheduler_at() as (address, _):
        yield address


@pytest.fixture(scope="module")
def worker(scheduler: str) -> Iterator[subprocess.Popen[bytes]]:
    """The first worker, which every test finds."""
    with worker_at(scheduler) as process:
        yield process


def bits(chip: NgspiceChip) -> list[bytes]:
    return [reading.nodes.tobytes() for reading in chip.measure(DRIVES)]


def expected() -> list[bytes]:
    return bits(NgspiceChip(CIRCUIT, chunk=CHUNK))


@contextmanager
def chip_on(address: str) -> Iterator[tuple[NgspiceChip, Cluster]]:
    cluster = Cluster(Tolerances(), address)
    chip = NgspiceChip(CIRCUIT, simulators=cluster, chunk=CHUNK)
    try:
        yield chip, cluster
    finally:
        chip.close()


def test_a_cluster_changes_no_bit_and_loses_nothing_with_a_killed_worker(
    scheduler: str, worker: subprocess.Popen[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    with worker_at(scheduler) as second, chip_on(scheduler) as (chip, cluster):
        assert cluster.workers == 2
        assert bits(chip) == expected()
        assert chip.work.points == 2 * len(BATCH)
        second.send_signal(signal.SIGSTOP)  # it gets its tasks and stays there
        killer = Timer(1, second.kill)
        killer.start()
        assert bits(chip) == expected()
        killer.join()
        assert cluster.workers == 1
        assert bits(chip) == expected()
    chip.close()
    assert capfd.readouterr() == ("", "")


def test_a_sample_that_does_not_settle_is_named_in_its_batch(scheduler: str, worker: subprocess.Popen[bytes]) -> None:
    circuit = scellier([4, 3])
    batch = random_batch(circuit, 20)
    current = np.zeros_like(batch.targets)
    current[9] = 1e200
    with chip_on(scheduler) as (_, cluster):
        chip = NgspiceChip(circuit, simulators=cluster, chunk=4)
        with pytest.raises(ConvergenceError, match="sample 9, nudged phase: ngspice found no operating") as caught:
            chip.measure([Drive(batch.inputs), Drive(batch.inputs, Injection(current), "nudged")])
        assert caught.value.sample == 9
        assert f"deck saved as {caught.value.deck} on {platform.node()}" in str(caught.value)
        caught.value.deck.unlink()  # type: ignore[union-attr]
        assert chip.measure([Drive(batch.inputs)])


def test_a_run_on_a_cluster_that_loses_a_worker_is_the_run_without(
    tmp_path: Path, scheduler: str, worker: subprocess.Popen[bytes]
) -> None:
    train = [sys.executable, "-m", "harness", "train", "iris", "--set", "chip.chunk=8", "--set", "training.batch=35"]
    train += ["--set", "training.epochs=8", "--run"]
    subprocess.run([*train, "alone", "--workers", "1"], cwd=tmp_path, check=True, capture_output=True)
    with (
        worker_at(scheduler) as second,
        subprocess.Popen(
            [*train, "shared", "--scheduler", scheduler],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        wait_until((tmp_path / "shared" / "checkpoint.npz").exists)
        second.kill()
        _, stderr = process.communicate()
    assert process.returncode == 0
    assert f"ngspice on {scheduler})" in stderr
    usual = ("loading the data", "training iris", "epoch")  # the first on a busy machine
    assert [line for line in stderr.splitlines() if line and not line.startswith(usual)] == []
    for name in ("conductances.npz", "steps.csv", "experiment.toml"):
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "shared" / name).read_bytes()


def test_a_worker_with_several_threads_is_refused(scheduler: str, worker: subprocess.Popen[bytes]) -> None:
    with (
        worker_at(scheduler, "--nthreads", "3"),
        pytest.raises(ChipError, match=r"worker tcp://\S+ has 3 threads, but .* '.* --nworkers 3 --nthreads 1'"),
    ):
        Cluster(Tolerances(), scheduler)


def test_other_versions_are_refused(
    scheduler: str, worker: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of this process, for once."""
    with chip_on(scheduler) as (chip, cluster):
        cluster._software = Software("0.0.1", "39", "2")
        with pytest.raises(
            ChipError, match=r"worker tcp://\S+ has harness \S+ and this process harness 0\.0\.1, which"
        ):
            chip.measure(DRIVES)
    monkeypatch.setattr(Software, "here", lambda: Software("0.0.1", "39", "2"))
    with pytest.raises(ChipError, match="which may give other bits; install the same version everywhere"):
        Cluster(Tolerances(), scheduler)


def test_a_worker_without_libngspice_is_named(
    scheduler: str, worker: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("NGSPICE_LIBRARY_PATH", "/nowhere/libngspice.so")
        joining = worker_at(scheduler)
        joining.__enter__()
    try:
        with pytest.raises(NgspiceMissing, match=r"worker tcp://\S+: libngspice cannot be loaded \(tried NGSPICE"):
            Cluster(Tolerances(), scheduler)
    finally:
        joining.__exit__(None, None, None)


def test_a_scheduler_without_workers_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_SECONDS_TO_FIRST_WORKER", 0.5)
    with scheduler_at() as (address, _):
        worker_count(address)
        with pytest.raises(ChipError, match=f"at {address} has no workers; start some with 'dask worker {address}"):
            Cluster(Tolerances(), address)


def test_a_cluster_that_goes_away_is_an_error() -> None:
    """In the middle of a task, which a stopped worker never ends."""
    with scheduler_at() as (address, process), worker_at(address) as worker, chip_on(address) as (chip, _):
        worker.send_signal(signal.SIGSTOP)
        killer = Timer(0.5, process.kill)
        killer.start()
        with pytest.raises(SimulatorError, match=f"the Dask cluster at {address} failed: "):
            chip.measure(DRIVES)
        killer.join()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "foo://127.0.0.1:1"])
def test_a_scheduler_that_does_not_answer_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_SECONDS_TO_CONNECT", 1)
    began = time.monotonic()
    with pytest.raises(
        ChipError, match=f"no Dask scheduler answers at '{address}' .*; start one with 'dask scheduler'"
    ):
        Cluster(Tolerances(), address)
    assert time.monotonic() - began < 5


def test_without_dask_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ChipError, match=r"not installed; install it with: pip install 'distributed>="):
        Cluster(Tolerances(), "tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("tls://127.0.0.1:1", "tls needs certificates; name them in Dask's configuration"),
        ("nonsense", "missing port number"),
        ("ucx://x:1", ""),
        ("inproc://x", ""),
        ("", "missing port number"),
    ],
)
@pytest.mark.parametrize("words", [["train", "iris", "--run", "run"], ["sweep", "iris", "--seeds", "2", "--to", "run"]])
def test_addresses_that_lead_nowhere_are_one_sentence_and_leave_no_directory(
    words: list[str], address: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from harness.cli.main import main

    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*words, "--scheduler", address])
    assert result.exit_code == 1
    assert f"no Dask scheduler answers at {address!r} ({why}" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())
