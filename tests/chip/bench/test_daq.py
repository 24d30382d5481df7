"""A multifunction device's driver over a scripted library: readings, ranges, grounding, and a device that fails."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from harness.chip.bench.board import Board, Extent, Pulses
from harness.chip.bench.line import LineError
from harness.chip.bench.opening import open_board
from harness.chip.bench.profile import Profile, read_profile
from harness.errors import BoardError
from harness.measurement import Access, Clamp, Drive
from tests.chip.bench.libraries import Nidaqmx
from tests.chip.bench.profiles import changed

TEXT = """
name = "breadboard"

[identity]
protocol = "nidaqmx"
resource = "DAQ::Dev1"
expects = "USB-6211"

[channels]
inputs = { x0 = "ao1", x1 = "ao0" }
outputs = { y0 = "ai3", y1 = "ai0" }

[timing]
timeout = "2 s"

[limits]
v_max = "5 V"

[write]
mode = "none"
"""
INPUTS = np.array([[1.0, -2.0], [0.5, 0.25], [0.0, 3.0]])
CELLS = np.zeros((1, 2), np.intp)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Nidaqmx:
    found = Nidaqmx(np.arange(8.0).reshape(4, 2) / 8)
    for name, module in (("", found), (".constants", found.constants), (".system", found.system)):
        monkeypatch.setitem(sys.modules, f"nidaqmx{name}", module)
    return found


@pytest.fixture
def board(library: Nidaqmx) -> Iterator[Board]:
    found = open_board(profile())
    yield found
    found.close()


def profile(**keys: dict[str, object]) -> Profile:
    return changed(read_profile(TEXT, "breadboard.toml"), **keys)


def test_outputs_are_read_differentially_in_the_order_of_the_profile(board: Board, library: Nidaqmx) -> None:
    assert board.identify() == "USB-6211, serial number 1A2B3C"
    assert board.extent() == Extent(2, 2, None, 0)
    (read,) = board.measure([Drive(INPUTS)], Access.OUTPUTS, 0.0)
    np.testing.assert_allclose(read, INPUTS[:, ::-1] @ library.weights[[3, 0]].T)
    assert library.terminals == {"DIFF"}
    assert library.ranges == {(-5.0, 5.0)}


def test_pairs_and_nodes_are_read_against_ground(library: Nidaqmx) -> None:
    wired = {"outputs": {"y": ("ai2", "ai1")}, "nodes": {"h": "ai0", "y": "ai2"}}
    board = open_board(profile(channels=wired, can={"access": Access.NODES}))
    volts = INPUTS[:, ::-1] @ library.weights.T
    (outputs,), (nodes,) = (board.measure([Drive(INPUTS)], access, 0.0) for access in Access)
    np.testing.assert_allclose(outputs[:, 0], volts[:, 2] - volts[:, 1])
    np.testing.assert_allclose(nodes, volts[:, [0, 2]])
    assert library.terminals == {"RSE"}
    assert board.extent() == Extent(2, 1, 2, 0)
    board.close()


def test_negatives_and_biases_are_driven_with_the_inputs(library: Nidaqmx) -> None:
    wired = {"inputs": {"x0": "ao1"}, "complements": {"x0": "ao0"}}
    (read,) = open_board(profile(channels=wired)).measure([Drive(INPUTS[:, :1])], Access.OUTPUTS, 0.0)
    np.testing.assert_allclose(read, INPUTS[:, :1] * (library.weights[[3, 0], 1] - library.weights[[3, 0], 0]))
    wired = {"inputs": {"x0": "ao0"}, "held": {"ao1": 0.5}}
    (read,) = open_board(profile(channels=wired)).measure([Drive(INPUTS[:, :1])], Access.OUTPUTS, 0.0)
    np.testing.assert_allclose(read, INPUTS[:, :1] * library.weights[[3, 0], 0] + 0.5 * library.weights[[3, 0], 1])


def test_one_channel_of_each_kind_is_no_list(library: Nidaqmx) -> None:
    board = open_board(profile(channels={"inputs": {"x0": "ao0"}, "outputs": {"y0": ("ai1",)}}))
    (read,) = board.measure([Drive(INPUTS[:, :1])], Access.OUTPUTS, 0.0)
    np.testing.assert_allclose(read, INPUTS[:, :1] * library.weights[1, 0])
    board.close()


def test_outputs_are_at_0_v_from_the_beginning_and_at_the_end(library: Nidaqmx) -> None:
    library.applied[:] = 4.0  # left behind by another program
    board = open_board(profile())
    assert not library.applied.any()
    for end in (board.ground, board.close):
        board.measure([Drive(INPUTS)], Access.OUTPUTS, 0.0)
        assert library.applied.any()
        end()
        assert not library.applied.any()
    assert library.open_tasks == 0


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ([1.0], r"are no \(3, 2\) numbers|numbers of shape \(3, 1\) came instead of \(3, 2\)"),
        ([1.0, 2.0, 3.0], r"numbers of shape \(3, 3\) came instead of \(3, 2\)"),
        ([1.0, float("nan")], "nan is no reading"),
        ([1.0, float("-inf")], "-inf is no reading"),
        ([1.0, "2.0"], "'2.0' is no reading"),
        (7.0, r"numbers of shape \(3,\) came"),
    ],
)
def test_no_wrong_answer_is_a_reading(board: Board, library: Nidaqmx, spoilt: object, said: str) -> None:
    library.spoilt = spoilt
    with pytest.raises(BoardError, match=f"Dev1: scan: .*{said}|{said}"):
        board.measure([Drive(INPUTS)], Access.OUTPUTS, 0.0)


def test_nothing_is_written_and_nothing_nudged(board: Board, library: Nidaqmx) -> None:
    ones = np.ones(1)
    for refused, said in (
        (lambda: board.conductances(CELLS), "has no cells, so that nothing can be written"),
        (lambda: board.set_conductances(CELLS, ones), "has no cells, so that nothing can be written"),
        (lambda: board.pulse(Pulses(CELLS, ones, ones, np.ones(1, np.int64))), "has no cells"),
        (lambda: board.measure([Drive(INPUTS, Clamp(INPUTS))], Access.OUTPUTS, 0.0), "only free phases"),
    ):
        with pytest.raises(BoardError, match=said):
            refused()
    assert board.pulse_counts(CELLS) is None
    assert not library.applied.any()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"channels": {"nodes": {"h": "pfi0"}}}, "no channel of a device is 'pfi0'"),
        ({"channels": {"inputs": {"x0": "Dev2/ao0"}}}, "no channel of a device is 'Dev2/ao0'"),
        ({"can": {"nudge": ("injection",)}}, "a device nudges no outputs"),
        ({"can": {"access": Access.NODES}}, "a device nudges no outputs .can.nudge., and reads channels.nodes alone"),
        ({"channels": {"inputs": {"x0": "ao7"}}}, "Dev1: the instrument cannot be opened: DaqError: Physical channel"),
    ],
)
def test_a_profile_that_says_more_than_the_device_can_is_refused(
    library: Nidaqmx, keys: dict[str, dict[str, object]], said: str
) -> None:
    with pytest.raises((BoardError, LineError), match=said) as error:
        open_board(profile(**keys))
    assert "\n" not in str(error.value)
    assert library.open_tasks == 0
