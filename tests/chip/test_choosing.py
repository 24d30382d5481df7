"""Workers are chosen by measurement: with clocks and simulators of the tests' own, and with real ones."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import Experiment
from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.ngspice.choosing import MeasuredSimulators
from harness.chip.ngspice.pool import WorkerPool
from harness.chip.ngspice.worker import OneSimulator, Settled, Simulators
from harness.circuit import Reduction, SettlingJob
from harness.cli.options import simulators_for
from harness.errors import ConvergenceError, NgspiceMissing, SimulatorError
from harness.experiment.chip import SimulatorChoice
from harness.measurement import Drive
from harness.netlist.tolerances import Tolerances
from tests.conftest import kendall, random_batch

CIRCUIT = kendall([4])
REDUCED = Reduction(CIRCUIT).reduce(CIRCUIT.conductances)


def jobs(chunks: int, samples: int = 3) -> list[SettlingJob]:
    """Chunks of a batch of so many samples each."""
    whole = REDUCED.settling([Drive(random_batch(CIRCUIT, chunks * samples).inputs)])
    return [whole.rows(slice(s, s + samples)) for s in range(0, chunks * samples, samples)]


class Clock:
    """A clock that goes on when something is settled."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Fake(Simulators):
    """Simulators that take so many seconds for each call of several chunks, by the number of the call."""

    workers = 1

    def __init__(self, clock: Clock, seconds: Callable[[int], float]) -> None:
        self._clock, self._seconds = clock, seconds
        self.calls = 0
        self.closed = 0

    def settle(self, settlings: Sequence[SettlingJob]) -> list[Settled]:
        self._clock.now += self._seconds(self.calls) if len(settlings) > 1 else 0.001
        self.calls += 1
        return [Settled(job.phases[0].rails, 0.0, 0, 0.0, 0) for job in settlings]

    def close(self) -> None:
        self.closed += 1


class FakePool(Fake):
    """Workers that are ready when they have been looked at so often."""

    def __init__(self, clock: Clock, seconds: Callable[[int], float], looks: int = 2) -> None:
        super().__init__(clock, seconds)
        self.begun: list[int] = []
        self._looks = looks

    def start(self, count: int) -> None:
        self.begun.append(count)
        self._left = self._looks

    def started(self) -> bool:
        self._left -= 1
        return self._left < 0


class Bench:
    """Measured simulators of which both ways are fakes; each batch has four chunks."""

    def __init__(self, here: Callable[[int], float], shared: Callable[[int], float], most: int = 2) -> None:
        self.clock = Clock()
        self.here, self.pool = Fake(self.clock, here), FakePool(self.clock, shared)
        self.made = 0
        self.simulators = MeasuredSimulators(self.here, most, self._new_pool, self.clock)

    def _new_pool(self) -> FakePool:
        self.made += 1
        return self.pool

    def settle(self, times: int = 1, chunks: int = 4, pause: float = 0.0) -> None:
        wanted = jobs(chunks)
        for _ in range(times):
            found = self.simulators.settle(wanted)
            assert [one.solved is job.phases[0].rails for one, job in zip(found, wanted, strict=True)] == [
                True
            ] * chunks
            self.clock.now += pause

    @property
    def told(self) -> str:
        return str(self.simulators.sharing)


def test_batches_of_one_chunk_never_ask_for_workers() -> None:
    bench = Bench(lambda _: 10.0, lambda _: 0.1)
    bench.settle(100, chunks=1)
    assert (bench.made, bench.pool.calls, bench.simulators.workers) == (0, 0, 1)
    assert bench.told == "one process: no batch takes so long that sharing it would pay"


def test_a_training_that_ends_before_workers_would_have_paid_starts_none() -> None:
    bench = Bench(lambda _: 0.1, lambda _: 0.05)
    bench.settle(20)  # each could have saved 50 ms less 1 ms for each of four chunks
    assert bench.made == 0
    assert bench.told == "one process: 2 could have saved 920 ms at most, and to start them takes about 1 s"


def test_a_training_of_which_batches_are_a_small_part_starts_none() -> None:
    bench = Bench(lambda _: 0.1, lambda _: 0.05)
    bench.settle(1000, pause=10.0)
    assert bench.made == 0


def test_a_call_that_is_shorter_than_sending_it_starts_none() -> None:
    bench = Bench(lambda _: 0.007, lambda _: 0.001)
    bench.settle(10_000)
    assert bench.made == 0
    assert bench.told == "one process: no batch takes so long that sharing it would pay"


def test_one_core_is_no_choice() -> None:
    bench = Bench(lambda _: 10.0, lambda _: 0.1, most=1)
    bench.settle(10)
    assert bench.made == 0
    assert bench.told == "one process: no more cores may be used"


def test_a_large_training_takes_workers_and_nothing_is_settled_twice() -> None:
    bench = Bench(lambda _: 0.5, lambda call: 3.0 if call == 0 else 0.26)  # the first one of a worker takes long
    bench.settle(5)
    assert bench.pool.begun == [2]
    assert bench.pool.calls == 0
    assert bench.told == "one process: 2 were started, and everything was done before they had been compared"
    bench.settle(95)
    assert bench.told == "2 processes: 12 samples take 260 ms in 2, and 500 ms in one"
    assert bench.here.calls + bench.pool.calls == 100
    assert bench.here.calls == 5 + 2 + 3  # before they were wanted, while they got ready, by turns
    assert bench.simulators.workers == 2
    bench.settle(chunks=1)
    assert bench.simulators.workers == 1
    bench.simulators.close()
    assert (bench.here.closed, bench.pool.closed) == (1, 1)


def test_no_more_workers_are_started_at_first_than_a_batch_has_chunks() -> None:
    bench = Bench(lambda _: 10.0, lambda _: 1.0, most=64)
    bench.settle(20)
    assert bench.pool.begun == [4]
    assert bench.simulators.workers == 64


def test_workers_that_are_hardly_faster_are_not_chosen_and_tried_again_much_later() -> None:
    bench = Bench(lambda _: 0.5, lambda _: 0.47)
    bench.settle(14)
    assert bench.told == "one process: 12 samples take 470 ms in 2, and 500 ms in one"
    assert bench.pool.closed == 1
    shared = bench.pool.calls
    bench.settle(15)
    assert bench.pool.begun == [2]
    bench.settle(15)
    assert bench.pool.begun == [2, 2]
    assert bench.pool.calls > shared


@given(st.integers(0, 3), st.integers(0, 3))
def test_one_disturbed_batch_of_either_kind_changes_no_choice(here: int, shared: int) -> None:
    bench = Bench(lambda call: 5.0 if call == 4 + here else 0.5, lambda call: 5.0 if call == shared else 0.26)
    bench.settle(30)
    assert bench.told.startswith("2 processes")


def test_batches_of_different_sizes_are_compared_with_their_own_kind() -> None:
    bench = Bench(lambda _: 0.5, lambda _: 0.26)
    bench.settle(7)
    for chunks in (4, 5, 6, 7, 8, 9):
        bench.settle(6, chunks=chunks)
        assert not bench.told.startswith("2")
    bench.settle(1, chunks=9)
    assert bench.told.startswith("2 processes: 27 samples")


@pytest.mark.parametrize(
    "error", [SimulatorError("3 worker processes died"), NgspiceMissing("none"), OSError(11, "busy")]
)
@pytest.mark.parametrize("moment", ["start", "started", "settle"])
def test_workers_that_fail_end_no_training(
    error: Exception, moment: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bool:
        raise error

    bench = Bench(lambda _: 0.5, lambda _: 0.26)
    monkeypatch.setattr(bench.pool, moment, fail)
    bench.settle(50)
    assert bench.told == f"one process: worker processes failed ({error})"
    assert bench.here.calls == 50
    assert bench.pool.closed == 1
    assert bench.simulators.workers == 1
    assert len(caplog.records) == 1


def test_what_does_not_settle_is_told_from_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> list[Settled]:
        raise ConvergenceError("no operating point", sample=1, phase="free")

    bench = Bench(lambda _: 0.5, lambda _: 0.26)
    bench.settle(20)
    monkeypatch.setattr(bench.pool, "settle", fail)
    with pytest.raises(ConvergenceError, match="no operating point"):
        bench.settle()
    assert bench.told.startswith("2 processes")


def test_without_an_order_it_is_measured_and_an_order_is_obeyed() -> None:
    subject = Experiment.load("iris", ["chip.kind=nodal"])
    assert simulators_for(subject, None, None).measured
    assert simulators_for(subject, 3, None) == SimulatorChoice(3)


# With ngspice


class Slowed(Simulators):
    """Real simulators that take a time of the tests' own."""

    def __init__(self, real: OneSimulator | WorkerPool, clock: Clock, seconds: float) -> None:
        self._real, self._clock, self._seconds = real, clock, seconds
        self.workers = real.workers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def settle(self, settlings: Sequence[SettlingJob]) -> list[Settled]:
        self._clock.now += self._seconds
        return self._real.settle(settlings)

    def close(self) -> None:
        self._real.close()


@pytest.mark.ngspice
@pytest.mark.parametrize(("seconds", "chosen"), [(0.5, "2 processes"), (2.0, "one process")])
def test_a_forced_choice_has_the_bits_of_one_process_before_during_and_after_it(seconds: float, chosen: str) -> None:
    clock, batch = Clock(), random_batch(CIRCUIT, 11)
    here = Slowed(OneSimulator(Tolerances()), clock, 1.0)
    measured = MeasuredSimulators(here, 2, lambda: Slowed(WorkerPool(Tolerances(), 2), clock, seconds), clock)
    chip = NgspiceChip(CIRCUIT, simulators=measured, chunk=3)
    found, began = list[tuple[bytes, int]](), time.monotonic()
    while " samples take " not in str(chip.sharing) and time.monotonic() < began + 60:
        found += [(chip.measure([Drive(batch.inputs)])[0].nodes.tobytes(), chip.workers)]
    found += [(chip.measure([Drive(batch.inputs)])[0].nodes.tobytes(), chip.workers)]
    chip.close()
    assert str(chip.sharing).startswith(chosen)
    assert {workers for _, workers in found} == {1, 2}
    alone = NgspiceChip(CIRCUIT, chunk=3).measure([Drive(batch.inputs)])[0]
    assert {nodes for nodes, _ in found} == {alone.nodes.tobytes()}


@pytest.mark.ngspice
def test_iris_is_trained_in_one_process_to_the_bits_of_any_other_number(tmp_path: Path) -> None:
    subject = Experiment.load("iris", ["training.epochs=1"])
    choices = {"one": SimulatorChoice(1), "two": SimulatorChoice(2), "measured": SimulatorChoice(2, measured=True)}
    runs = {name: subject.create_run(tmp_path / name) for name in choices}
    results = {name: subject.train(run, simulators=choices[name], pictures=False) for name, run in runs.items()}
    told = {name: result["sharing"] for name, result in results.items() if result and "sharing" in result}
    assert set(told) == {"measured"}
    assert told["measured"].startswith("one process: ")
    arrays = [np.load(run.path / "conductances.npz") for run in runs.values()]
    assert len({tuple(each[name].tobytes() for name in sorted(each.files)) for each in arrays}) == 1
    assert len({(run.path / "steps.csv").read_bytes() for run in runs.values()}) == 1
    assert json.loads((runs["measured"].path / "result.json").read_text())["sharing"] == told["measured"]
