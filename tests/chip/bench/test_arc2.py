"""ArC TWO's driver over a scripted library: readings, clamps, cells, pulses, and a library that fails."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.chip.bench.board import Board, Extent, Pulses
from harness.chip.bench.line import LateError, LineError
from harness.chip.bench.opening import open_board
from harness.chip.bench.profile import Profile, WriteMode, load_profile
from harness.chip.nodal.chip import NodalChip
from harness.errors import BoardError, ExperimentError
from harness.measurement import Access, Array, Clamp, Drive, Injection
from tests.chip.bench.libraries import BITS, WORDS, Pyarc2
from tests.chip.bench.profiles import changed, crossbar

CELLS = np.array([[0, 0], [17, 0], [31, 31], [2, 0], [0, 16]])
INPUTS = np.array([[0.1, -0.2, 0.3], [0.05, 0.0, 0.4]])
WIRED = {
    "inputs": {"x0": "49", "x1": "16", "x2": "31"},  # words 17, 0 and 15
    "outputs": {"y0": ("40",), "y1": ("3",)},  # bits 24 and 3
    "nodes": {"h": "16", "y0": "40", "y1": "3"},
    "complements": {},
    "held": {},
    "gain": 1.0,
}
VOLT = 1e-6
"""V to which 32-bit floats are right here."""


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Pyarc2:
    found = Pyarc2(np.linspace(1e-6, 1e-4, 1024).reshape(32, 32))
    monkeypatch.setitem(sys.modules, "pyarc2", found)
    return found


@pytest.fixture
def board(library: Pyarc2, firmware: str) -> Iterator[Board]:
    found = open_board(profile(), firmware)
    yield found
    found.close()


@pytest.fixture
def firmware(tmp_path: Path) -> str:
    (tmp_path / "efm03.bin").write_bytes(b"bits")
    return f"ARC2::0::{tmp_path}/efm03.bin"


def profile(**keys: dict[str, object]) -> Profile:
    base: dict[str, dict[str, object]] = {"channels": dict(WIRED), "timing": {"timeout": 2.0, "retries": 1}}
    base |= {"can": {"nudge": ("clamp",)}}
    return changed(load_profile("arc2"), **{name: base.get(name, {}) | keys.get(name, {}) for name in {**base, **keys}})


def pulses(volts: object = 1.0, counts: tuple[int, ...] = (2, 2, 1, 0, 1), seconds: float = 1e-6) -> Pulses:
    ones = np.ones(len(CELLS))
    return Pulses(CELLS, volts * ones, seconds * ones, np.array(counts))


def floating(library: Pyarc2, inputs: Array) -> Array:
    """Voltages of the bit lines 24 and 3 when only the inputs are held."""
    held = library.siemens[[17, 0, 15]][:, [24, 3]]
    return inputs @ held / held.sum(axis=0)


def test_free_outputs_and_nodes_are_read_in_the_order_of_the_circuit(board: Board, library: Pyarc2) -> None:
    assert board.identify() == "ArC TWO 0, libarc2 0.6.0"
    assert board.extent() == Extent(3, 2, 3, None)
    expected = floating(library, INPUTS)
    (read,) = board.measure([Drive(INPUTS)], Access.OUTPUTS, 1e-3)
    np.testing.assert_allclose(read, expected, atol=VOLT)
    (read,) = board.measure([Drive(INPUTS)], Access.NODES, 0.0)
    np.testing.assert_allclose(read, np.column_stack([INPUTS[:, 1], expected]), atol=VOLT)


def test_a_pair_is_the_difference_of_its_channels(library: Pyarc2, firmware: str) -> None:
    pair = profile(channels={"outputs": {"y": ("3", "40")}}, can={"nudge": ()})
    (read,) = open_board(pair, firmware).measure([Drive(INPUTS)], Access.OUTPUTS, 0.0)
    plus, minus = floating(library, INPUTS).T[::-1]
    np.testing.assert_allclose(read[:, 0], plus - minus, atol=VOLT)


def test_the_packaged_profile_reads_what_the_network_of_its_comment_does(library: Pyarc2, firmware: str) -> None:
    rng = np.random.default_rng(3)
    siemens = rng.uniform(1e-6, 1e-4, (6, 4))
    library.siemens[:6, :4] = siemens
    board, twin = open_board(load_profile("arc2"), firmware), NodalChip(crossbar())
    twin.program([siemens])
    drive = Drive(rng.uniform(-1, 1, (5, 2)))
    (expected,) = twin.measure([drive])
    (outputs,), (nodes,) = (board.measure([drive], access, 0.0) for access in (Access.OUTPUTS, Access.NODES))
    np.testing.assert_allclose(outputs, expected.outputs, atol=VOLT)
    np.testing.assert_allclose(nodes, expected.all_nodes, atol=VOLT)
    np.testing.assert_allclose(board.conductances(np.argwhere(siemens)), siemens.ravel(), rtol=1e-6)
    board.close()


def test_clamped_outputs_are_held_and_released_again(board: Board, library: Pyarc2) -> None:
    targets = np.array([[0.1, 0.2], [-0.3, 0.0]])
    clamped, free = board.measure([Drive(INPUTS, Clamp(targets)), Drive(INPUTS)], Access.OUTPUTS, 0.0)
    np.testing.assert_allclose(clamped, targets, atol=VOLT)
    np.testing.assert_allclose(free, floating(library, INPUTS), atol=VOLT)


def test_voltages_are_taken_off_when_they_were_read(board: Board, library: Pyarc2) -> None:
    board.measure([Drive(INPUTS)], Access.OUTPUTS, 0.0)
    assert set(library.opened[-1].volts.values()) == {0.0}
    board.conductances(CELLS)
    assert set(library.opened[-1].volts.values()) == {0.0}
    board.ground()
    assert library.opened[-1].volts == {}
    assert library.opened[-1].grounded == set(range(64))
    board.measure([Drive(INPUTS)], Access.OUTPUTS, 0.0)  # which releases the ground


def test_cells_are_read_by_slices_and_asked_for_once_each(board: Board, library: Pyarc2) -> None:
    expected = library.siemens[tuple(CELLS.T)]
    np.testing.assert_allclose(board.conductances(CELLS), expected, rtol=1e-6)
    np.testing.assert_array_equal(board.conductances(CELLS[:0]), [])


@pytest.mark.parametrize("volts", [1.0, -2.0, np.array([1.0, -1.0, 2.0, 3.0, 1.0])])
def test_pulses_reach_their_cells_and_no_others(board: Board, library: Pyarc2, volts: object) -> None:
    before = library.siemens.copy()
    board.pulse(pulses(volts))
    change = library.siemens - before
    wanted = volts * np.array([2, 2, 1, 0, 1]) * library.per_volt
    np.testing.assert_allclose(change[tuple(CELLS.T)], wanted, atol=1e-18)
    assert np.count_nonzero(change) == 4
    assert library.opened[-1].buffer == []
    assert set(library.opened[-1].volts.values()) == {0.0}


def test_a_cell_that_is_named_twice_gets_both_pulses(board: Board, library: Pyarc2) -> None:
    before = library.siemens[0, 0]
    twice = Pulses(np.zeros((2, 2), int), np.ones(2), 1e-6 * np.ones(2), np.array([1, 1]))
    board.pulse(twice)
    assert library.siemens[0, 0] - before == pytest.approx(2e-6)


def test_a_failed_pulse_leaves_nothing_that_a_later_reading_would_apply(board: Board, library: Pyarc2) -> None:
    before = library.siemens.copy()
    library.failing["ground_all"] = RuntimeError("FPGA Error: USB\nwrite")
    with pytest.raises(BoardError, match="ground_all failed: RuntimeError: FPGA Error: USB write"):
        board.pulse(pulses())
    library.failing.clear()
    board.measure([Drive(INPUTS)], Access.OUTPUTS, 0.0)
    np.testing.assert_array_equal(library.siemens, before)
    assert len(library.opened) == 2


def test_pulses_that_may_have_been_applied_are_told(board: Board, library: Pyarc2) -> None:
    library.failing["wait"] = RuntimeError("FPGA Error")
    before = library.siemens.copy()
    with pytest.raises(LateError, match="some of the pulses may have been applied"):
        board.pulse(pulses())
    assert np.count_nonzero(library.siemens - before) == 4  # and not once more
    board.conductances(CELLS)
    assert np.count_nonzero(library.siemens - before) == 4


class PanicException(BaseException):
    pass


@pytest.mark.parametrize("error", [RuntimeError("FPGA Error"), PanicException("called `Result::unwrap()`")])
def test_a_read_that_fails_once_is_made_again_on_an_instrument_that_was_opened_anew(
    board: Board, library: Pyarc2, error: BaseException
) -> None:
    library.failing["read_slice_masked"] = error
    np.testing.assert_allclose(board.conductances(CELLS), library.siemens[tuple(CELLS.T)], rtol=1e-6)
    assert len(library.opened) == 2


SPOILT = {
    "read_slice_masked": [
        (np.full(32, np.nan), "nan is no reading"),
        (np.full(32, np.inf), "inf is no reading"),
        (np.zeros(31), "read_slice_masked answered no 32 currents"),
        (np.zeros((32, 1)), "numbers of shape|is no reading"),
        (None, "answered no 32 currents"),
        (["0.1"] * 32, "'0.1' is no reading"),
        ([True] * 32, "True is no reading"),
    ],
    "vread_channels": [
        ([0.1], r"are no \(2, 2\) numbers|numbers of shape"),
        ([0.1, 0.2, 0.3], r"are no \(2, 2\) numbers|numbers of shape"),
        ([0.1, float("nan")], "nan is no reading"),
        (None, "numbers of shape"),
    ],
}


@pytest.mark.parametrize(
    ("function", "answer", "said"), [(name, *each) for name, found in SPOILT.items() for each in found]
)
def test_no_wrong_answer_is_a_reading(board: Board, library: Pyarc2, function: str, answer: object, said: str) -> None:
    library.spoilt[function] = answer
    with pytest.raises(BoardError, match=said) as error:
        _ = board.conductances(CELLS) if "slice" in function else board.measure([Drive(INPUTS)], Access.OUTPUTS, 0.0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"can": {"nudge": ("clamp", "spring")}}, "can.nudge may have clamp alone"),
        ({"can": {"nudge": ("injection",)}}, "can.nudge may have clamp alone"),
        ({"channels": {"outputs": {"y": ("3", "40")}}}, "needs outputs of one channel"),
        ({"channels": {"inputs": {"x0": "64"}}}, "numbers its inputs 0…63"),
        (
            {"channels": {"complements": {"x0": "x"}}},
            "channels: 'x' cannot be driven; the board numbers its lines 0…63",
        ),
        ({"channels": {"nodes": None}, "can": {"access": Access.NODES}}, "needs channels.nodes"),
        ({"write": {"mode": WriteMode.SET}}, "write.mode = 'set' needs means that it does not have"),
        ({"write": {"read_v": None}}, "write.read_v is missing"),
    ],
)
def test_a_profile_that_says_more_than_the_instrument_can_is_refused(
    library: Pyarc2, firmware: str, keys: dict[str, dict[str, object]], said: str
) -> None:
    with pytest.raises((BoardError, ExperimentError), match=said):
        open_board(profile(**keys), firmware)


def test_what_the_instrument_cannot_do_is_refused_before_anything_is_called(board: Board, library: Pyarc2) -> None:
    for refused, said in (
        (lambda: board.measure([Drive(INPUTS, Injection(np.zeros((2, 2))))], Access.OUTPUTS, 0.0), "it can clamp"),
        (lambda: board.set_conductances(CELLS, np.ones(5)), "no means of its own to set conductances"),
        (lambda: board.conductances(np.array([[0, 32]])), "no cell at word 0, bit 32; it has 32 × 32"),
        (lambda: board.pulse(pulses(21.0)), "a pulse of 21 V and 1 µs is beyond what it can"),
        (lambda: board.pulse(pulses(seconds=3e-8)), "a pulse of 1 V and 30 ns is beyond what it can"),
        (lambda: board.pulse(pulses(seconds=0.5)), "a pulse of 1 V and 500 ms is beyond what it can"),
        (lambda: board.pulse(pulses(np.nan)), "is beyond what it can"),
    ):
        with pytest.raises(BoardError, match=said):
            refused()
    assert library.opened[-1].seen == []
    assert board.pulse_counts(CELLS) is None


def test_an_instrument_that_was_unplugged_says_so_when_it_is_opened_anew(board: Board, library: Pyarc2) -> None:
    library.connected = []
    library.failing["vread_channels"] = RuntimeError("FPGA Error")
    with pytest.raises(LineError, match="ArC TWO 0: it is not connected; connected are none"):
        board.measure([Drive(INPUTS)], Access.OUTPUTS, 0.0)


def test_channels_of_lines_are_those_of_libarc2() -> None:
    from harness.chip.bench.boards import arc2

    assert [*arc2.WORDS] == WORDS
    assert [*arc2.BITS] == BITS
    assert {*WORDS, *BITS} == set(range(64))


def test_messages_are_calls_that_can_be_written_down(library: Pyarc2, firmware: str) -> None:
    from harness.chip.bench.opening import open_line

    line = open_line(profile(), firmware)
    line.send(
        json.dumps([5, [["identity", []], ["config_channels", [[[3, 0.5]], None]], ["vread_channels", [[3], True]]]])
    )
    assert json.loads(line.receive(1.0)) == [5, ["ArC TWO 0, libarc2 0.6.0", None, [0.5]]]
    line.close()
