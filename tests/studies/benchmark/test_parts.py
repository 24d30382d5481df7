"""Shares of a training step: every function is really timed, nothing twice, and nothing is left in its place."""

from collections import Counter
from contextlib import ExitStack
from functools import partial
from pkgutil import resolve_name
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.experiment.experiment import Experiment
from harness.studies.benchmark.parts import ANALYSIS, NAMES, NGSPICE, NODAL, PARTS, RECORDING, Stopwatch, shares, timed
from harness.studies.benchmark.subjects import SHIPPED, Subject, practised

FUNCTIONS = {name: part for part in PARTS for name in part.functions}
BENT = ["variation.cell_sinh=1 V"]


def functions() -> list[object]:
    """What stands at the places of all functions that are timed."""
    return [resolve_name(name) for name in FUNCTIONS]


def watched(source: str, kind: str, changes: list[str] = []) -> Stopwatch:  # noqa: B006
    experiment = Experiment.load(source, [f"chip.kind='{kind}'", *changes])
    subject = Subject(source, experiment, practised(experiment))
    with experiment.open_chip() as chip, timed(chip, experiment.rule, experiment.update, kind) as watch:
        subject.block(chip, partial(watch.inside, RECORDING))
    return watch


@pytest.mark.ngspice
def test_every_function_is_called_in_a_measured_step_and_is_itself_again_afterwards() -> None:
    before = functions()
    steps = {
        NGSPICE: [watched("iris", NGSPICE), watched("digits", NGSPICE), watched("xor", NGSPICE, BENT)],
        NODAL: [watched("iris", NODAL), watched("xor", NODAL, BENT)],
    }
    for kind, watches in steps.items():
        called = sum((watch.calls for watch in watches), Counter[str]())
        assert {name for name, part in FUNCTIONS.items() if part.is_of(kind)} <= set(called)
        for part in PARTS:
            spent = max(watch.seconds[part.name] for watch in watches)
            assert spent > 0 if part.is_of(kind) else spent == 0, part.name
    assert functions() == before


@pytest.mark.ngspice
def test_the_share_of_analysis_is_what_the_chip_itself_reports() -> None:
    from harness.chip.ngspice.session import open_session

    before = open_session().analysis_seconds
    watch = watched("iris", NGSPICE)
    assert watch.seconds[ANALYSIS] == pytest.approx(open_session().analysis_seconds - before)
    assert sum(shares([watch]).values()) == pytest.approx(1.0)


class Clock:
    """A clock that stands still but for what a test lets pass."""

    def __init__(self) -> None:
        self.now = self.analysed = 0.0


names = st.sampled_from([name for name in NAMES if name != ANALYSIS])
calls: st.SearchStrategy[list[object]] = st.recursive(
    st.tuples(st.just("wait"), st.floats(0, 100), st.floats(0, 1)).map(list),
    lambda inner: st.tuples(st.just("call"), names, st.lists(inner, max_size=4)).map(list),
    max_leaves=12,
)


@given(work=st.lists(calls, max_size=6), part=names)
def test_every_moment_is_charged_once_to_the_innermost_part(work: list[list[object]], part: str) -> None:
    clock, expected = Clock(), dict.fromkeys(NAMES, 0.0)
    watch = Stopwatch(lambda: clock.analysed, lambda: clock.now)

    def do(inside: str, what: list[object]) -> None:
        match what:
            case "wait", float(seconds), float(share):
                clock.now += seconds
                clock.analysed += share * seconds
                expected[ANALYSIS] += share * seconds
                expected[inside] += seconds - share * seconds
            case "call", str(name), list(inner):
                watch.timing(name, "f", lambda: [do(name, one) for one in inner])()

    clock.now += 7.0  # before anything is at work
    with watch.inside(part):
        for one in work:
            do(part, one)
    clock.now += 7.0
    assert watch.seconds == pytest.approx(expected, abs=1e-9)
    if sum(expected.values()) > 1e-6:
        assert sum(shares([watch, watch]).values()) == pytest.approx(1.0)


def test_an_error_in_a_part_ends_it_and_what_another_thread_does_meanwhile_counts() -> None:
    clock = Clock()
    watch = Stopwatch(clock=lambda: clock.now)

    def wait() -> None:
        clock.now += 2.0

    def fail() -> None:
        clock.now += 1.0
        raise ValueError

    with watch.inside(RECORDING):
        with pytest.raises(ValueError, match=r"^$"):
            watch.timing("parser", "fail", fail)()
        other = Thread(target=watch.timing("text", "wait", wait))
        other.start()
        other.join()
        clock.now += 4.0
    assert {name: spent for name, spent in watch.seconds.items() if spent} == {"parser": 1, "text": 2, RECORDING: 4}


def test_functions_come_back_after_an_error_too() -> None:
    experiment = Experiment.load("iris", ["chip.kind='nodal'"])
    before = functions()
    inherited = "gradient" in vars(type(experiment.rule))
    with experiment.open_chip() as chip, ExitStack() as stack:
        stack.enter_context(pytest.raises(ZeroDivisionError))
        stack.enter_context(timed(chip, experiment.rule, experiment.update, NODAL))
        raise ZeroDivisionError
    assert functions() == before
    assert ("gradient" in vars(type(experiment.rule))) == inherited


def test_a_block_is_the_same_training_each_time() -> None:
    experiment = Experiment.load("iris", ["chip.kind='nodal'", "training.epochs=1"])
    subject = Subject("iris", experiment, practised(experiment))
    with experiment.open_chip() as chip:
        ends = []
        for _ in range(2):
            block = subject.block(chip)
            ends.append([g.tobytes() for g in chip.conductances])
    assert ends[0] == ends[1]
    assert block.samples == 130  # 26 steps of 5: the plan's one epoch of 105 rows, and the beginning of the next
    assert min(block.processor_seconds, block.seconds) > 0


def test_the_network_of_iris_is_of_the_size_of_ebanas() -> None:
    source, changes = SHIPPED["iris, batch 35"]
    experiment = Experiment.load(source, changes)
    assert [array.shape for array in experiment.circuit.arrays] == [(10, 10), (12, 6)]
    assert (len(experiment.data.train), experiment.plan.batch) == (105, 35)


def test_the_parts_of_the_step_are_explained_by_help() -> None:
    from click.testing import CliRunner

    from harness.cli.main import main

    shown = CliRunner().invoke(main, ["benchmark", "--help"], prog_name="harness").stdout.lower()
    assert [part.name for part in PARTS if part.name not in shown] == []
