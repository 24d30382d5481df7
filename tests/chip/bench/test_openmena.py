"""OpenMENA's driver over a pseudo-terminal: codes, cells, pulses, and lines that go wrong."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chip.bench.board import Extent, Pulses
from harness.chip.bench.boards.openmena import OpenMena, _commands
from harness.chip.bench.line import LateError, LineError
from harness.chip.bench.profile import Profile, WriteMode, load_profile
from harness.chip.bench.transport.serial import SerialLine
from harness.errors import BoardError, ExperimentError
from harness.measurement import Access, Array, Clamp, Drive
from tests.chip.bench.firmware import OHMS, Fault, Firmware
from tests.chip.bench.profiles import changed

CELLS = np.array([[0, 0], [3, 5], [7, 7], [3, 1]])
INPUTS = np.array([[0.05, 0.0, -0.02], [0.01, 0.03, 0.05]])
FREE = [Drive(INPUTS)]


@pytest.fixture
def firmware() -> Iterator[Firmware]:
    found = Firmware()
    yield found
    found.unplug()


@pytest.fixture
def board(firmware: Firmware) -> Iterator[OpenMena]:
    found = opened(firmware)
    yield found
    found.close()


def opened(firmware: Firmware, *, line: SerialLine | None = None, timeout: float = 0.3, retries: int = 2) -> OpenMena:
    return OpenMena(profile(timing={"timeout": timeout, "retries": retries}), line or SerialLine(firmware.port))


def profile(**keys: dict[str, object]) -> Profile:
    wired = {"inputs": {"x0": "2", "x1": "0", "x2": "7"}, "outputs": {"y0": ("4",), "y1": ("1", "6")}}
    wired |= {"complements": {}, "held": {}, "gain": 1.0}
    return changed(load_profile("openmena"), **{"channels": wired, "write": {"read_ohms": OHMS}} | keys)


def pulses(volts: float = 0.6, seconds: float = 15e-6, counts: tuple[int, ...] = (3, 0, 1, 2)) -> Pulses:
    ones = np.ones(len(CELLS))
    return Pulses(CELLS, volts * ones, seconds * ones, np.array(counts))


def expected(firmware: Firmware, inputs: Array) -> Array:
    outputs = inputs @ firmware.siemens[[2, 0, 7]] * OHMS + 0.1
    return np.stack([outputs[:, 4], outputs[:, 1] - outputs[:, 6]], axis=1)


def test_outputs_are_read_to_within_a_code_of_the_inputs(board: OpenMena, firmware: Firmware) -> None:
    assert board.identify() == "OpenMENA"
    assert board.extent() == Extent(3, 2, None, None, wait=5e-3)
    first, second = board.measure([*FREE, Drive(INPUTS[::-1])], Access.OUTPUTS, 5e-3)
    code = 1.5 / 4095 / 2 * firmware.siemens.sum(axis=0).max() * OHMS + 0.005 * 3.3 / 4095
    np.testing.assert_allclose(first, expected(firmware, INPUTS), atol=2 * code)
    np.testing.assert_array_equal(second, first[::-1])


def test_negatives_and_biases_are_driven_with_the_inputs(firmware: Firmware) -> None:
    board = OpenMena(changed(load_profile("openmena"), write={"read_ohms": OHMS}), SerialLine(firmware.port))
    inputs = np.array([[0.4, -0.2], [1.0, 0.6]])
    (read,) = board.measure([Drive(inputs)], Access.OUTPUTS, 5e-3)
    lines = np.concatenate([0.05 * inputs, -0.05 * inputs, [[0.05, -0.05]] * 2], axis=1)
    outputs = lines @ firmware.siemens[:6] * OHMS
    np.testing.assert_allclose(read, outputs[:, [0, 2]] - outputs[:, [1, 3]], atol=2e-3)
    assert board.extent().inputs == 2
    board.close()


def test_cells_are_known_from_one_word_line_at_a_time(board: OpenMena, firmware: Firmware) -> None:
    read = board.conductances(CELLS)
    np.testing.assert_allclose(read, firmware.siemens[tuple(CELLS.T)], atol=2 * 0.005 * 3.3 / 4095 / 0.05 / OHMS)
    assert firmware.heard[0].startswith("INFEREMULTIPLE: 4 ")  # none, and the word lines 0, 3 and 7
    assert board.conductances(CELLS[:0]).tolist() == []


@pytest.mark.parametrize("volts", [0.6, -0.6, 0.93, -1.5, 0.2])
def test_pulses_reach_their_cells_with_their_height_and_width(
    board: OpenMena, firmware: Firmware, volts: float
) -> None:
    before = firmware.siemens.copy()
    board.pulse(pulses(volts))
    changed = firmware.siemens - before
    np.testing.assert_allclose(changed[tuple(CELLS.T)], volts * 15e-6 * np.array([3, 0, 1, 2]), rtol=1e-3)
    assert np.count_nonzero(changed) == 3
    assert all(float(word) >= 0.57 for line in firmware.heard for word in line.split()[6:9:2]), "of the Due's converter"


@given(volts=st.floats(-3, 3), seconds=st.sampled_from([1e-6, 15e-6, 1.0]))
def test_no_pulse_asks_a_source_for_more_than_it_has(volts: float, seconds: float) -> None:
    one = Pulses(CELLS[:1], np.array([volts]), np.array([seconds]), np.array([1]))
    if not -1.5 <= volts <= 0.93:
        with pytest.raises(BoardError, match=r"is outside of -1\.5 V … 0\.93 V"):
            [*_commands(one, "line")]
        return
    ((command, _),) = _commands(one, "line")
    first, second = (float(word) for word in (command.split()[5:7] if volts > 0 else command.split()[7:9]))
    assert 0 <= first <= 1.5
    assert 0.57 <= second <= 2.739
    assert first - second == pytest.approx(volts, abs=1.01e-4)


def test_what_a_board_says_when_it_starts_is_not_taken_for_an_answer(firmware: Firmware) -> None:
    board = opened(firmware)
    firmware.say("AD5593R_test_dac.ino\r\nConnect: 1\r\n0\t0\t\r\nReady to receive commands:\r\n - INFEREMULTIPLE:\r\n")
    np.testing.assert_array_equal(board.measure(FREE, Access.OUTPUTS, 0.0)[0].shape, (2, 2))
    board.close()


def test_a_board_that_is_still_starting_is_waited_for(firmware: Firmware) -> None:
    firmware.deaf = 2
    board = opened(firmware, timeout=0.02)
    assert board.identify() == "OpenMENA"
    firmware.deaf = 3
    board._in_step = False
    with pytest.raises(BoardError, match="does not answer as OpenMENA's firmware does"):
        board.identify()
    board.close()


def replaced(old: str, new: str) -> Fault:
    def fault(said: list[str]) -> list[str]:
        assert any(old in line for line in said)
        return [line.replace(old, new) for line in said]

    return fault


WRONG: dict[str, tuple[Fault, str]] = {
    "nothing": (lambda said: [], r"an inference was answered ''"),
    "no end": (lambda said: said[:-1], "an inference was answered"),
    "a row is missing": (lambda said: [*said[:3], said[-1]], "1 rows came for 2 samples"),
    "a row is there twice": (lambda said: [*said[:3], *said[2:]], "3 rows came for 2 samples"),
    "the answer is there twice": (lambda said: said + said, "rows came for 2 samples|no row of 8 readings"),
    "another batch": (replaced("for 2 input", "for 3 input"), "an inference was answered"),
    "seven readings": (lambda said: [*said[:2], said[2].partition("\t")[2], *said[3:]], "no row of 8 readings"),
    "nine readings": (lambda said: [*said[:2], "1.00\t" + said[2], *said[3:]], "no row of 8 readings"),
    "no number": (lambda said: [*said[:2], "nan\t" * 8, *said[3:]], "no row of 8 readings"),
    "beyond 12 bits": (lambda said: [*said[:2], "4095.01\t" * 8, *said[3:]], "a reading is 4095.01"),
    "negative": (lambda said: [*said[:2], "-1.00\t" * 8, *said[3:]], "no row of 8 readings"),
    "a digit is lost": (lambda said: [*said[:2], said[2].replace(".", ".\x07", 1), *said[3:]], "no row of 8 readings"),
    "not ASCII": (lambda said: [*said[:2], said[2].replace("\t", "é", 1), *said[3:]], "no row of 8 readings"),
    "two lines in one": (lambda said: [*said[:2], said[2] + said[3], *said[4:]], "1 rows came for 2 samples"),
    "an error": (lambda said: ["Error: Expected 16 DAC values after N."], "Error: Expected 16"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_no_wrong_answer_is_a_reading(board: OpenMena, firmware: Firmware, kind: str) -> None:
    right = board.measure(FREE, Access.OUTPUTS, 0.0)[0]
    fault, said = WRONG[kind]
    firmware.faults = [fault]
    np.testing.assert_array_equal(board.measure(FREE, Access.OUTPUTS, 0.0)[0], right)  # it is asked again
    firmware.faults = [fault] * 3
    with pytest.raises(BoardError, match=said) as error:
        board.measure(FREE, Access.OUTPUTS, 0.0)
    assert "\n" not in str(error.value)
    np.testing.assert_array_equal(board.measure(FREE, Access.OUTPUTS, 0.0)[0], right)


class Slow(SerialLine):
    """A port from which nothing seems to come, so often; it is all there afterwards."""

    late = 0

    def receive(self, seconds: float) -> str:
        if self.late:
            self.late -= 1
            raise LateError(f"{self.name}: no line came within {seconds:g} s")
        return super().receive(seconds)


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_an_answer_that_comes_too_late_is_not_that_of_the_next_question(firmware: Firmware, retries: int) -> None:
    line = Slow(firmware.port)
    board = opened(firmware, line=line, retries=retries)
    forwards, backwards = ([Drive(INPUTS[::step])] for step in (1, -1))
    right = board.measure(backwards, Access.OUTPUTS, 0.0)[0]
    line.late = 1
    if retries:
        board.measure(forwards, Access.OUTPUTS, 0.0)
        assert len(firmware.heard) == 3
    else:
        with pytest.raises(BoardError, match=r"no line came within 2\.7 s; asked was an inference of 2 samples"):
            board.measure(forwards, Access.OUTPUTS, 0.0)
    np.testing.assert_array_equal(board.measure(backwards, Access.OUTPUTS, 0.0)[0], right)
    line.close()


def test_a_pulse_whose_answer_is_lost_is_not_sent_again(firmware: Firmware) -> None:
    line = Slow(firmware.port)
    board = opened(firmware, line=line)
    board.identify()
    line.late = 1
    with pytest.raises(LateError):
        board.pulse(pulses(seconds=1e-6, counts=(1, 1, 1, 1)))
    board.ground()
    assert len([said for said in firmware.heard if "WEIGHTMODIF" in said]) == 1
    line.close()


def test_a_pulse_that_the_board_refuses_is_told_from_one_that_may_have_been_applied(
    board: OpenMena, firmware: Firmware
) -> None:
    def refusal(said: list[str]) -> list[str]:
        return ["Invalid arguments. Indices 0–7, sign 1/-1, pulses > 0"]

    firmware.faults = [refusal]
    with pytest.raises(BoardError, match="was answered 'Invalid arguments"):
        board.pulse(pulses())
    firmware.faults = [lambda said: said, refusal]
    with pytest.raises(LateError, match="after 1 other pulse command"):
        board.pulse(pulses())


def test_what_the_board_cannot_do_is_refused_before_anything_is_sent(board: OpenMena, firmware: Firmware) -> None:
    two = np.zeros((2, 2))
    for refused, said in (
        (lambda: board.measure(FREE, Access.NODES, 0.0), "reads outputs in free phases"),
        (lambda: board.measure([Drive(INPUTS, Clamp(two))], Access.OUTPUTS, 0.0), "reads outputs in free phases"),
        (lambda: board.measure(FREE, Access.OUTPUTS, 0.02), "timing.settle is 20 ms, and the firmware waits 5 ms"),
        (lambda: board.measure([Drive(INPUTS + 0.8)], Access.OUTPUTS, 0.0), "an input of 800 mV is outside of ±750 mV"),
        (lambda: board.measure([Drive(INPUTS * np.nan)], Access.OUTPUTS, 0.0), "is outside of ±750 mV"),
        (lambda: board.set_conductances(CELLS, np.ones(4)), "no means of its own to set conductances"),
        (lambda: board.conductances(np.array([[8, 0]])), "no cell at word 8, bit 0"),
        (lambda: board.pulse(pulses(1.0)), "a pulse of 1 V is outside of -1.5 V … 0.93 V"),
        (lambda: board.pulse(pulses(seconds=1.5e-6)), "no whole number of microseconds"),
        (lambda: board.pulse(pulses(seconds=np.nan)), "no whole number of microseconds"),
        (lambda: board.pulse(pulses(np.nan)), "a pulse of nan V is outside"),
        (lambda: board.pulse(pulses(seconds=1e-7)), "no whole number of microseconds"),
    ):
        with pytest.raises(BoardError, match=said):
            refused()
    assert firmware.heard == []
    assert board.pulse_counts(CELLS) is None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"can": {"nudge": ("injection",)}}, "can.nudge must be empty"),
        ({"can": {"access": Access.NODES}}, "can.access must be 'outputs'"),
        ({"write": {"mode": WriteMode.SET}}, "write.mode = 'set' needs means that it does not have"),
        ({"write": {"read_ohms": None}}, "write.read_v and write.read_ohms are needed"),
        ({"write": {"read_v": 1e-4}}, "write.read_v is below one step of its sources, 366 µV"),
        ({"channels": {"inputs": {"x0": "8"}}}, r"channels.inputs.x0 = '8': the board numbers its inputs 0…7"),
    ],
)
def test_a_profile_that_says_more_than_the_board_can_is_refused(
    firmware: Firmware, keys: dict[str, dict[str, object]], said: str
) -> None:
    line = SerialLine(firmware.port)
    with pytest.raises((BoardError, ExperimentError), match=said):
        OpenMena(profile(**keys), line)
    line.close()
    assert firmware.heard == []


def test_grounding_brings_all_word_lines_to_the_virtual_ground(board: OpenMena, firmware: Firmware) -> None:
    board.measure(FREE, Access.OUTPUTS, 0.0)
    board.ground()
    assert firmware.heard[-1] == "INFEREMULTIPLE: 1" + " 2048" * 8


def test_a_cable_that_was_pulled_is_a_broken_line(board: OpenMena, firmware: Firmware) -> None:
    board.identify()
    firmware.unplug()
    with pytest.raises(LineError, match=r"pts/\d+: the port"):
        board.measure(FREE, Access.OUTPUTS, 0.0)


def test_a_board_of_another_kind_is_refused(firmware: Firmware) -> None:
    firmware._said = lambda command: ['-113,"Undefined header"']
    board = opened(firmware, timeout=0.05, retries=1)
    with pytest.raises(BoardError, match="does not answer as OpenMENA's firmware does"):
        board.identify()
    board.close()


def test_a_port_that_is_in_use_is_not_opened_twice(board: OpenMena, firmware: Firmware) -> None:
    with pytest.raises(LineError, match="the port cannot be opened: another program has it open"):
        SerialLine(firmware.port)


def test_a_line_without_an_end_is_no_line(firmware: Firmware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.chip.bench.transport.serial._LONGEST", 1000)
    line = SerialLine(firmware.port)
    firmware.say("x" * 3000)
    with pytest.raises(LineError, match="1000 characters came without the end of a line"):
        line.receive(1.0)
    line.reopen()
    with pytest.raises(LateError, match=r"no line came within 0\.01 s"):
        line.receive(0.01)
    line.close()
    line.close()
    with pytest.raises(LineError):
        line.send("*IDN?")
    with pytest.raises(LineError):
        line.receive(0.1)
