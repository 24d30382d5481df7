"""The ngspice of this process: read-outs, failures, memory, and a machine without it."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.chip.ngspice import isolation
from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.ngspice.feed import Feed
from harness.chip.ngspice.library import find_library
from harness.chip.ngspice.session import BatchDeck, Unsettled, open_session
from harness.circuit import Reduction, SettlingJob
from harness.errors import ConvergenceError, NgspiceMissing, SimulatorError
from harness.measurement import Array, Drive, Spring
from harness.netlist.decks import batch as batch_deck
from harness.netlist.decks.loaded import LoadedCircuit, Table
from harness.netlist.tolerances import Tolerances
from tests.conftest import kendall, random_batch

pytestmark = [pytest.mark.ngspice, pytest.mark.release]

HEAD = ("* test", ".options reltol=1e-6", "vpoint p 0 0", "rpoint p 0 1")


def deck(*lines: str, points: int = 3, vectors: tuple[str, ...] = ("v(a)",)) -> BatchDeck:
    return BatchDeck((*HEAD, *lines, ".end"), "vpoint", points, vectors)


def test_a_sweep_returns_its_points_in_order() -> None:
    values = open_session().run_batch(deck("e1 a 0 p 0 2", "r1 a b 1", "r2 b 0 3", vectors=("v(a)", "v(b)")))
    np.testing.assert_allclose(values, [[0, 0], [2, 1.5], [4, 3]], atol=1e-12)


def test_a_deck_that_is_not_understood_is_refused_with_ngspices_words_and_kept() -> None:
    with pytest.raises(SimulatorError, match="ngspice refused a deck") as caught:
        open_session().run_batch(deck("d1 a 0 nomodel", "r1 a 0 1"))
    assert any("modelname" in line for line in caught.value.log)
    assert caught.value.deck is not None
    assert "d1 a 0 nomodel" in caught.value.deck.read_text()
    caught.value.deck.unlink()


def test_a_refusal_leaves_nothing_that_a_later_sweep_could_read() -> None:
    session = open_session()
    good = deck("e1 a 0 p 0 2", "r1 a 0 1")
    session.run_batch(good)
    with pytest.raises(SimulatorError) as caught:
        session.run_batch(deck("q1 a"))
    caught.value.deck.unlink()  # type: ignore[union-attr]
    np.testing.assert_allclose(session.run_batch(good)[:, 0], [0, 2, 4])


def test_a_vector_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SimulatorError, match=r"ngspice returned no vector v\(nowhere\)") as caught:
        open_session().run_batch(deck("r1 a p 1", "r2 a 0 1", vectors=("v(nowhere)",)))
    caught.value.deck.unlink()  # type: ignore[union-attr]


def test_a_singular_circuit_says_at_which_point() -> None:
    with pytest.raises(Unsettled) as caught:
        open_session().run_batch(deck("r1 a p 1", "r2 a 0 1", "v1 a 0 1", "v2 a 0 2"))
    assert caught.value.point == 0
    caught.value.deck.unlink()


def test_a_point_that_only_a_ramp_in_time_reached_is_no_result() -> None:
    """A floating pair: ngspice ends with 'Transient op finished successfully' and a full set of points."""
    with pytest.raises(SimulatorError, match=r"reached a point by other means[\s\S]*singular matrix") as caught:
        open_session().run_batch(deck("r1 a p 1", "r2 q z 10", "r3 q z 5"))
    caught.value.deck.unlink()  # type: ignore[union-attr]


def test_a_sample_that_does_not_settle_is_named_with_its_phase_and_deck(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kilo-ampere that turns against whatever voltage it makes, switched on in the nudged phase of sample 1."""
    circuit = kendall([3])
    batch = random_batch(circuit)
    genuine = batch_deck.batch_sweep

    def sabotaged(settling: SettlingJob, tolerances: Tolerances, **options: Any) -> tuple[LoadedCircuit, Array, Table]:
        circuit, gains, table = genuine(settling, tolerances, **options)
        trap = "btrap n0 0 i=(v(point)>2.5) ? ((v(n0)>0.1) ? 1e3 : -1e3) : 0"
        return replace(circuit, lines=(*circuit.lines[:-1], trap, ".end")), gains, table

    monkeypatch.setattr(batch_deck, "batch_sweep", sabotaged)
    drives = [Drive(batch.inputs), Drive(batch.inputs, phase="nudged")]
    with pytest.raises(ConvergenceError, match=r"sample 1, nudged phase: ngspice found no operating point") as caught:
        NgspiceChip(circuit).measure(drives)
    assert (caught.value.sample, caught.value.phase) == (1, "nudged")
    assert caught.value.log
    assert re.search(r"deck saved as \S+\.cir", str(caught.value))
    assert "btrap" in caught.value.deck.read_text()  # type: ignore[union-attr]
    caught.value.deck.unlink()  # type: ignore[union-attr]


def job_of(seed: int) -> SettlingJob:
    circuit = kendall([4], seed)
    batch = random_batch(circuit, 3, seed)
    drives = [Drive(batch.inputs), Drive(batch.inputs, Spring(0.05, batch.targets), "nudged")]
    return Reduction(circuit).reduce(circuit.conductances).settling(drives)


@pytest.mark.parametrize("led", [False, True])
def test_each_point_of_a_loaded_circuit_is_what_its_netlist_gives_alone(led: bool) -> None:
    """Alone, no value comes from a table, no conductance was altered, and no point was before it."""
    job, session = job_of(0), open_session()
    estimate = np.random.default_rng(0).normal(size=(3, 2, job.network.size)) if led else None
    circuit, gains, table = batch_deck.batch_sweep(job, Tolerances(), estimate=estimate)
    swept = session.sweep(circuit, gains, table).volts
    for point in range(len(table.then)):
        lines = [line for line in circuit.alone(gains, table.then[point]) if line != ".op"]
        assert not any("external" in line for line in lines)
        (alone,) = session.operate(lines, [f"v({node})" for node in circuit.nodes], [[]])
        np.testing.assert_allclose(swept[point], alone, rtol=1e-5, atol=1e-8)


def test_nothing_that_was_loaded_or_swept_before_shows_in_a_sweep() -> None:
    sweeps = [batch_deck.batch_sweep(job_of(seed), Tolerances()) for seed in (0, 1)]
    session = open_session()
    once = [session.sweep(*sweep).volts.tobytes() for sweep in sweeps]  # one circuit, whose gains are altered
    assert once[0] != once[1]
    assert sweeps[0][0] is sweeps[1][0]
    session.run_batch(deck("r1 a p 1", "r2 a 0 1"))  # and one that is loaded again
    assert [session.sweep(*sweep).volts.tobytes() for sweep in reversed(sweeps)] == once[::-1]
    code = f"""
from tests.chip.test_session import *
print(open_session().sweep(*batch_deck.batch_sweep(job_of(1), Tolerances())).volts.tobytes() == {once[1]!r})
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def test_the_first_iteration_of_a_point_sees_values_of_its_own() -> None:
    """A cube is linearized where the last iteration left it: what a source gives first decides how the next begins."""
    lines = ("* cube", ".options reltol=1e-6", "vpoint point 0 0", "i0 0 n0 external", "gg0 n0 0 n0 0 1")
    cube = LoadedCircuit((*lines, "bc n0 0 i=v(n0)*v(n0)*v(n0)", ".save v(n0)", ".end"), ("gg0",), ("n0",))
    currents = np.array([[10.0], [2.0], [10.0]])
    settled = np.array([2.0, 1.0, 2.0])  # roots of v + v³ = i
    plain = open_session().sweep(cube, np.ones(1), Table(currents, currents))
    first = currents.copy()
    for k in (1, 2):  # what moves the tangent at the last root to the next one
        slope = 1 + 3 * settled[k - 1] ** 2
        first[k] = currents[k - 1] + slope * (settled[k] - settled[k - 1])
    helped = open_session().sweep(cube, np.ones(1), Table(first, currents))
    np.testing.assert_allclose(plain.volts[:, 0], settled, rtol=1e-6)
    np.testing.assert_allclose(helped.volts[:, 0], settled, rtol=1e-6)
    assert helped.iterations <= plain.iterations - 4


def test_memory_stays_flat_over_2000_batches_of_changing_netlists() -> None:
    circuit = kendall([5], channels=4, outputs=3)
    chip = NgspiceChip(circuit)
    batch = random_batch(circuit, 8)
    rng = np.random.default_rng(0)

    def run(batches: int) -> None:
        for _ in range(batches):
            chip.program([rng.uniform(0.01, 1.0, c.shape) for c in circuit.arrays])
            chip.measure([Drive(batch.inputs), Drive(batch.inputs, phase="again")])

    run(50)
    before = resident_megabytes()
    run(2000)
    assert resident_megabytes() - before < 20


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_a_process_has_one_session_and_keeps_its_locale() -> None:
    """PySpice sets LC_NUMERIC for the whole process."""
    assert open_session() is open_session()
    code = """
import locale
locale.setlocale(locale.LC_NUMERIC, "C.UTF-8")
from harness.chip.ngspice.session import open_session
open_session()
assert locale.setlocale(locale.LC_NUMERIC) == "C.UTF-8", locale.setlocale(locale.LC_NUMERIC)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_libngspice_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", "/nowhere/libngspice.so")
    with pytest.raises(NgspiceMissing, match=r"NGSPICE_LIBRARY_PATH=/nowhere.*apt-get install libngspice0"):
        find_library()


@pytest.mark.parametrize("arguments", [["train", "xor", "--run", "run"], ["check", "xor"], ["doctor"]])
def test_a_machine_without_libngspice_falls_back_to_nothing_and_exits_with_1(
    tmp_path: Path, arguments: list[str]
) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=tmp_path,
        env={**os.environ, "NGSPICE_LIBRARY_PATH": "/nowhere/libngspice.so"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "libngspice cannot be loaded" in result.stderr
    assert ("not found" in result.stdout) if arguments == ["doctor"] else not result.stdout
    assert not list(tmp_path.iterdir())


def test_sweeps_of_several_threads_do_not_mix() -> None:
    sweeps = [batch_deck.batch_sweep(job_of(seed), Tolerances()) for seed in range(4)]
    session = open_session()
    alone = [session.sweep(*sweep).volts for sweep in sweeps]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda k: session.sweep(*sweeps[k % 4]).volts, range(200)))
    for k, volts in enumerate(found):
        np.testing.assert_array_equal(volts, alone[k % 4])


def test_a_sweep_that_is_interrupted_anywhere_leaves_the_session_as_it_should_be() -> None:
    """Ctrl-C raises in the main thread, at whatever line of Python; the next sweep has the same bits."""

    armed = False

    def interrupt(*_: object) -> None:
        if armed:
            raise KeyboardInterrupt

    session, sweep = open_session(), batch_deck.batch_sweep(job_of(0), Tolerances())
    in_use = isolation._libc().uselocale(None)
    expected, interrupted = session.sweep(*sweep).volts, 0
    rng, before = np.random.default_rng(0), signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(300):
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 1e-3))
                session.sweep(*sweep)
                armed = False
            except KeyboardInterrupt:
                armed = False
                interrupted += 1
            assert isolation._libc().uselocale(None) == in_use
            np.testing.assert_array_equal(session.sweep(*sweep).volts, expected)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 20


def test_more_text_than_is_kept_is_an_error() -> None:
    feed = Feed()
    feed._memory[11] = feed._memory[12]
    with pytest.raises(SimulatorError, match="ngspice printed more than 16 MB of text in one analysis"):
        feed.lines("stderr")
