"""The virtual board, message by message: each command and each error of the protocol's page."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chip.bench.virtual import messages
from harness.chip.bench.virtual.instrument import _FORMS, Instrument
from harness.chip.bench.virtual.messages import Fault, framed, numbers, unframed
from harness.chip.bench.virtual.messages import listed as as_list
from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.imperfect.programming import ProgrammedChip, Programming, programmed_part
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit
from harness.circuit.networks.families import complete
from harness.circuit.networks.free import free_graph
from harness.errors import BoardError
from harness.measurement import Access, Clamp, Drive, Injection, Spring
from tests.chip.bench.served import (
    DEVICE,
    PULSES,
    asked,
    error_of,
    floats,
    listed,
    network,
    plain_board,
    pulsed_board,
    said,
)
from tests.conftest import CELLS

PAGE = (Path(__file__).parents[3] / "docs" / "pages" / "bench-protocol.md").read_text(encoding="utf-8")
INPUTS = np.array([[0.3, -0.2, 0.7], [1.0, 0.5, -0.25]])
TARGETS = np.array([[0.1, 0.2], [-0.3, 0.4]])
CELL_COUNT = sum(array.conductances.size for array in network().arrays)
PLAIN, PULSED = plain_board(wait=lambda _: None), pulsed_board()
"""Boards of many examples."""
LIST = f"SOUR:LIST 2,{listed(INPUTS)}"


def test_the_page_has_every_command_and_every_error() -> None:
    described = set(re.findall(r"^\| `([*A-Z:]+\??)", PAGE, re.MULTILINE))
    assert described == set(_FORMS)
    coded = {int(code) for row in re.findall(r"^\| (-\d.*?) \|", PAGE, re.MULTILINE) for code in row.split(", ")}
    assert coded == set(messages._TITLES)


def test_the_frames_of_the_page_have_right_sums() -> None:
    shown = [line for line in PAGE.splitlines() if line.startswith("FRAM ")]
    assert len(shown) == 2
    assert all(unframed(line) is not None for line in shown)


def test_a_board_says_what_it_is() -> None:
    board = plain_board()
    assert re.fullmatch(r"harness,virtual board of plain,[0-9a-f]{12},\d+\.\d+\.\d+", asked(board, "*IDN?"))
    circuit = network()
    cells = sum(array.conductances.size for array in circuit.arrays)
    assert asked(board, "SYST:CONF?") == f"3,2,{len(circuit.nodes)},{cells},0"
    assert asked(board, "SYST:CAN?") == "INJ,SPR,CLMP,NODE,SET,ADJ,KEY,FRAM"
    assert asked(pulsed_board(), "SYST:CAN?") == "INJ,SPR,CLMP,NODE,PULS,COUN,KEY,FRAM"
    assert asked(board, "*OPC?") == "1"


def test_a_board_says_what_it_cannot() -> None:
    chip = NodalChip(network(), access=Access.OUTPUTS)
    chip.capabilities = replace(chip.capabilities, nudges=frozenset({Injection}), largest_batch=2)
    board = Instrument(chip, "é, small")
    assert asked(board, "*IDN?").startswith("harness,virtual board of ---small,")
    assert asked(board, "SYST:CAN?") == "INJ,SET,ADJ,KEY,FRAM"
    assert asked(board, "SYST:CONF?").split(",")[2::2] == ["0", "2"]
    assert error_of(board, f"{LIST};READ:NODE?") == '-241,"Hardware missing: only outputs can be read"'
    assert error_of(board, f"{LIST};NUDG:CLMP {listed(TARGETS)}") == '-241,"Hardware missing: outputs take no clamp"'
    assert error_of(board, f"SOUR:LIST 3,{listed(np.zeros(9))}").startswith('-222,"Data out of range: 3 samples')


def test_phases_are_those_of_the_chip_and_settle_together() -> None:
    current = 1e-6 * TARGETS
    drives = [
        Drive(INPUTS),
        Drive(INPUTS, Spring(2e-6, TARGETS), "a"),
        Drive(INPUTS, Injection(current), "b"),
        Drive(INPUTS, Clamp(TARGETS), "c"),
    ]
    readings = NodalChip(network()).measure(drives)
    asked_for = (
        f"{LIST};READ:OUTP?;NUDG:SPR 2e-6,{listed(TARGETS)};READ:NODE?;NUDG:INJ {listed(current)};READ:NODE?;"
        f"NUDG:CLMP {listed(TARGETS)};READ:OUTP?"
    )
    found = asked(plain_board(), asked_for).split(";")
    expected = [readings[0].outputs, readings[1].nodes, readings[2].nodes, readings[3].outputs]
    assert found == [listed(volts) for volts in expected]


def test_a_list_stays_and_a_new_one_floats() -> None:
    board = plain_board()
    free = asked(board, f"{LIST};READ:OUTP?")
    nudged = asked(board, f"NUDG:SPR 1e-4,{listed(TARGETS)};READ:OUTP?")
    assert nudged != free
    assert asked(board, "READ:OUTP?") == nudged
    assert np.allclose(floats(asked(board, "NUDG:OFF;READ:OUTP?")), floats(free), rtol=1e-9)
    said(board, f"NUDG:SPR 1e-4,{listed(TARGETS)}")
    assert np.allclose(floats(asked(board, f"{LIST};READ:OUTP?")), floats(free), rtol=1e-9)


def test_pins_are_grounded_and_lists_forgotten() -> None:
    board = plain_board()
    before, listing, _, after = asked(board, f"OUTP?;{LIST};OUTP?;READ:OUTP?;OUTP?").split(";")
    assert (before, listing, after) == ("0", "0", "1")
    assert asked(board, "OUTP:SAFE;OUTP?") == "0"
    assert error_of(board, "READ:OUTP?").startswith('-221,"Settings conflict: there is no list of inputs')
    assert asked(board, f"{LIST};READ:OUTP?;*RST;OUTP?").endswith(";0")
    assert error_of(board, f"NUDG:INJ {listed(TARGETS)}").startswith("-221")


def test_cells_are_set_adjusted_and_read_by_word_and_bit() -> None:
    board = plain_board()
    circuit = network()
    first, second = circuit.arrays
    words, bits = first.shape
    corner = f"{words - 1},{bits - 1},{words},{bits}"
    assert asked(board, f"CELL:COND? {corner}") == listed(first.conductances[-1, -1], second.conductances[0, 0])
    found = asked(board, f"CELL:COND {words},{bits},2e-3,0,1,3e-3;CELL:COND? 0,1,{words},{bits},0,0")
    assert found == listed(3e-3, 2e-3, first.conductances[0, 0])
    assert asked(board, "CELL:ADJ 0,1,-1e-3;CELL:COND? 0,1") == listed(3e-3 - 1e-3)
    assert asked(board, "CELL:ADJ 0,1,100;CELL:COND? 0,1") == listed(first.g_max)


def test_edges_of_a_graph_lie_on_one_bit_line() -> None:
    circuit = graph()
    board, conductances = Instrument(NodalChip(circuit), "graph"), circuit.arrays[0].conductances
    assert asked(board, "CELL:COND? 2,0,0,0") == listed(conductances[[2, 0]])
    assert error_of(board, "CELL:COND? 0,1") == '-224,"Illegal parameter value: there is no cell at word 0 and bit 1"'


def graph() -> Circuit:
    return free_graph(complete(3), [0], [1], cells=CELLS, rng=np.random.default_rng(0), grounds=[2])


def test_pulses_are_those_of_the_device_and_counted() -> None:
    board, chip = pulsed_board(), ProgrammedChip(NodalChip(network()), Programming(DEVICE), seed=3)
    assert asked(board, "CELL:PULS?") == PULSES
    said(board, "SYST:KEY 1,2")
    chip.set_step_key((1, 2))
    counts = [np.zeros(array.shape, np.int64) for array in chip.circuit.arrays]
    counts[0][0, 0], counts[0][1, 2], counts[0][2, 1] = 3, -2, 0
    chip.pulse(counts)
    found = asked(
        board, "CELL:PULS 0,0,2,1e-3,3,1,2,-2.5,1e-4,2,2,1,2,1e-3,0;CELL:COND? 0,0,1,2,2,1;CELL:COUN? 2,1,1,2,0,0"
    )
    g = chip.conductances[0]
    assert found == f"{listed(g[0, 0], g[1, 2], g[2, 1])};0,2,3"
    assert asked(board, "CELL:COUN?") == "5"
    assert chip.ledger is not None
    assert chip.ledger.pulses == 5


def test_a_chip_without_published_pulses_takes_a_volt_for_a_microsecond() -> None:
    device = replace(DEVICE, up=None, down=None)
    board = Instrument(ProgrammedChip(NodalChip(network()), Programming(device), seed=3), "law")
    assert asked(board, "CELL:PULS?") == "1.0,1e-06,-1.0,1e-06"
    before = floats(asked(board, "CELL:COND? 0,0"))
    assert floats(asked(board, "CELL:PULS 0,0,1,1e-6,1;CELL:COND? 0,0")) > before


def test_pulses_reach_cells_inside_of_wrappers() -> None:
    inside = ProgrammedChip(NodalChip(network()), Programming(DEVICE), seed=3)
    chip = ImperfectChip(inside, PinErrors(read_noise=1e-3), seed=1)
    assert programmed_part(chip) is inside
    assert asked(Instrument(chip, "wrapped"), "CELL:PULS 0,0,2,1e-3,2;CELL:COUN? 0,0") == "2"
    assert programmed_part(NodalChip(network())) is None


CELL = "there is no cell at word"
WRONG = [
    ("FOO", '-113,"Undefined header: FOO"'),
    ("SYST:ERR", '-113,"Undefined header: SYST:ERR"'),
    ("FOO?;*IDN?", '-113,"Undefined header: FOO?"'),
    ("OUTP:SAFE 1", '-108,"Parameter not allowed: OUTP:SAFE"'),
    ("*IDN? 1,2", '-108,"Parameter not allowed: *IDN?"'),
    ("SENS:DEL", '-109,"Missing parameter: SENS:DEL"'),
    ("SENS:DEL 1,2", '-108,"Parameter not allowed: SENS:DEL"'),
    ("SENS:DEL a", "-104,\"Data type error: 'a' is no number\""),
    ("SENS:DEL 1_0", "-104,\"Data type error: '1_0' is no number\""),
    ("SENS:DEL -1", '-222,"Data out of range: -1 s is outside 0 s...60 s"'),
    ("SENS:DEL nan", '-222,"Data out of range: nan is not finite"'),
    ("SENS:DEL 1e999", '-222,"Data out of range: 1e999 is not finite"'),
    ("SYST:TIM -1", '-222,"Data out of range: -1 s is outside 0 s'),
    ("SYST:KEY 1,-1", '-222,"Data out of range: -1 is no whole number'),
    ("SYST:KEY 1.5", '-222,"Data out of range: 1.5 is no whole number'),
    (f"SYST:KEY {'1,' * 40}1", '-108,"Parameter not allowed: a key has at most'),
    ("SOUR:LIST 2", '-109,"Missing parameter'),
    ("SOUR:LIST 0,1", '-222,"Data out of range: 0 samples'),
    ("SOUR:LIST 1,1,2", '-109,"Missing parameter: 1 samples of 3 take 3 numbers, and 2 came"'),
    ("SOUR:LIST 1,1,2,3,4", '-108,"Parameter not allowed: 1 samples of 3'),
    ("SOUR:LIST 1e17,1", '-222,"Data out of range: 1e+17 is no whole number'),
    ("SOUR:LIST 1,1,2,2000", '-222,"Data out of range: 2000 V is beyond 1000 V"'),
    ("SOUR:LIST 1,1,,2", "-104,\"Data type error: '' is no number\""),
    ("READ:OUTP?", '-221,"Settings conflict: there is no list'),
    ("NUDG:SPR 1,1", '-221,"Settings conflict: there is no list'),
    ("NUDG:SPR 1", '-109,"Missing parameter: NUDG:SPR"'),
    (f"{LIST};NUDG:INJ 1", '-109,"Missing parameter: 2 samples of 2 take 4 numbers, and 1 came"'),
    (f"{LIST};NUDG:INJ 1,1,1,9999", '-222,"Data out of range: 9999 A is beyond 1000 A"'),
    (f"{LIST};NUDG:SPR 1e4,1,1,1,1", '-222,"Data out of range: 10000 S is beyond 1000 S"'),
    (
        f"{LIST};NUDG:SPR -1,1,1,1,1;READ:OUTP?",
        '-200,"Execution error: nudged phase, sample 0 (and 1 more of its samples): springs of beta = -1 S outdo',
    ),
    ("CELL:COND?", '-109,"Missing parameter'),
    ("CELL:COND? 1", '-109,"Missing parameter: CELL:COND? takes numbers in groups of 2"'),
    ("CELL:COND? 99,0", f'-224,"Illegal parameter value: {CELL} 99 and bit 0"'),
    ("CELL:COND? 0,99", f'-224,"Illegal parameter value: {CELL} 0 and bit 99"'),
    ("CELL:COND? 0,5", f'-224,"Illegal parameter value: {CELL} 0 and bit 5"'),
    ("CELL:COND? 0.5,0", '-222,"Data out of range: 0.5 is no whole number'),
    ("CELL:COND? 9007199254740992,9007199254740992", '-224,"Illegal parameter value'),
    ("CELL:COND 0,0,11", '-222,"Data out of range: 11 S is outside 1 mS...10 S of its cell, number 0'),
    ("CELL:COND 0,0,2e-3,0,0,2e-3", '-224,"Illegal parameter value: the cell at word 0 and bit 0 is named twice"'),
    ("CELL:COND 0,0,2e-3;*IDN?", '-221,"Settings conflict: *IDN? after a command that changes cells'),
    ("CELL:ADJ 0,0,1e9", '-222,"Data out of range: 1e+09 S is beyond 1000 S"'),
    ("CELL:PULS?", '-241,"Hardware missing: cells take no pulses"'),
    ("CELL:PULS 0,0,1,1,1", '-241,"Hardware missing: cells take no pulses, send CELL:COND or CELL:ADJ"'),
    ("CELL:COUN?", '-241,"Hardware missing: cells take no pulses"'),
]


@pytest.mark.parametrize(("message", "error"), WRONG)
def test_what_is_wrong_goes_into_the_queue(message: str, error: str) -> None:
    assert error_of(plain_board(), message).startswith(error)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("CELL:COND 0,0,2e-3", '-241,"Hardware missing: cells are written by pulses, send CELL:PULS"'),
        ("CELL:ADJ 0,0,2e-3", '-241,"Hardware missing'),
        ("CELL:PULS 0,0,2,1e-3,-1", '-222,"Data out of range: -1 is no whole number'),
        ("CELL:PULS 0,0,2,1e-3,10001", '-222,"Data out of range: 10001 is no whole number of 0...10000"'),
        ("CELL:PULS 0,0,2.1,1e-3,1", '-224,"Illegal parameter value: no pulse of 2.1 V for 1 ms is taken'),
        ("CELL:PULS 0,0,-2,1e-3,1", '-224,"Illegal parameter value: no pulse of -2 V for 1 ms is taken'),
        ("CELL:PULS 0,0,2,1e-4,1", '-224,"Illegal parameter value'),
        ("CELL:PULS 0,0,2,1e-3,1,0,0,2,1e-3,1", '-224,"Illegal parameter value'),
    ],
)
def test_pulses_that_are_not_taken_change_nothing(message: str, error: str) -> None:
    board = pulsed_board()
    before = board.cells.conductances
    assert error_of(board, f"{message};CELL:COND? 0,0").startswith(error)
    assert np.array_equal(board.cells.conductances, before)
    assert asked(board, "CELL:COUN?") == "0"


def test_a_wrong_message_changes_no_cell_wherever_it_is_wrong() -> None:
    board = plain_board()
    before = board.cells.conductances
    for wrong in ("CELL:COND? 99,99", "CELL:COND 0,1,11", "FOO", "CELL:COND? x", "CELL:COND 0,1,2e-3,99,99,2e-3"):
        assert error_of(board, f"CELL:COND 0,0,2e-3;{wrong}") != '0,"No error"'
        assert error_of(board, f"{wrong};CELL:COND 0,0,2e-3") != '0,"No error"'
    assert np.array_equal(board.cells.conductances, before)


def test_an_error_can_be_asked_for_in_the_message_that_has_it() -> None:
    board = plain_board()
    assert asked(board, "CELL:COND 0,0,2e-3;SYST:ERR?") == '0,"No error"'
    assert asked(board, "CELL:COND 0,0,11;SYST:ERR?").startswith("-222")
    assert asked(board, "*IDN?;READ:OUTP?;SYST:ERR?").split(";")[1].startswith("-221")
    assert asked(board, "SYST:ERR?") == '0,"No error"'


def test_what_comes_before_an_error_is_answered() -> None:
    board = plain_board()
    answers = asked(board, f"*OPC?;{LIST};READ:OUTP?;NUDG:INJ 1;READ:OUTP?;SYST:ERR?").split(";", 2)
    assert answers[0] == "1"
    assert floats(answers[1]).size == 4
    assert answers[2].startswith("-109")


def test_a_message_has_so_many_commands_and_no_more() -> None:
    board = plain_board()
    assert asked(board, "*OPC?;" * 1000) == ";".join("1" * 1000)
    assert error_of(board, "*OPC?;" * 1001).startswith('-223,"Too much data: 1001 commands in a message')


def test_errors_are_kept_in_order_and_lost_ones_are_told() -> None:
    board = plain_board()
    for k in range(40):
        said(board, f"FOO{k}")
    found = [asked(board, "SYST:ERR?") for _ in range(33)]
    assert found[0] == '-113,"Undefined header: FOO0"'
    assert found[31] == '-350,"Queue overflow: errors are lost"'
    assert found[32] == '0,"No error"'
    said(board, "FOO")
    assert asked(board, "*CLS;SYST:ERR?") == '0,"No error"'


def test_headers_are_read_as_scpi_writes_them() -> None:
    board = plain_board()
    assert asked(board, ":system:error?; sour:list 1,1,2,3 ;Output?") == '0,"No error";0'
    assert asked(board, "SENSe:DELay 0.0;*opc?") == "1"
    assert said(board, "") is None
    assert said(board, ";;") is None
    assert asked(board, "SYST:ERR?") == '0,"No error"'


@pytest.mark.parametrize("settling", [0.0, 2e-3])
def test_samples_settle_one_after_the_other(settling: float) -> None:
    waited: list[float] = []
    board = plain_board(settling=settling, wait=waited.append)
    final = NodalChip(network()).measure([Drive(INPUTS)])[0].nodes
    found = floats(asked(board, f"SENS:DEL 1e-3;{LIST};READ:NODE?")).reshape(2, -1)
    left = np.exp(-1e-3 / settling) if settling else 0.0
    first = final[0] * (1 - left)
    assert np.allclose(found, [first, final[1] + (first - final[1]) * left], rtol=1e-9)
    again = floats(asked(board, "READ:NODE?")).reshape(2, -1)
    assert np.allclose(again[0], final[0] + (found[1] - final[0]) * left, rtol=1e-9)
    assert np.allclose(floats(asked(board, f"OUTP:SAFE;{LIST};READ:NODE?")).reshape(2, -1), found, rtol=1e-9)
    assert waited == [2e-3] * 3
    asked(board, "*RST;*OPC?")
    assert asked(board, f"{LIST};READ:OUTP?")
    assert waited[-1] == 0


def test_a_frame_is_answered_in_a_frame() -> None:
    board = plain_board()
    assert asked(board, framed(5, "OUTP?")) == framed(5, "0")
    assert asked(board, framed(6, "OUTP:SAFE")) == framed(6, "")
    assert asked(board, framed(7, "FOO")) == framed(7, '!-113,"Undefined header: FOO"')
    assert asked(board, framed(9, "*IDN?;READ:OUTP?")).split(",", 2)[2].startswith('!-221,"Settings conflict')
    assert asked(board, framed(10, "SYST:ERR?")) == framed(10, '0,"No error"')
    head, total, rest = framed(11, "*OPC?").split(",")
    assert asked(board, f"{head},{total.lower()},{rest}") == framed(11, "1")


def test_a_frame_is_carried_out_once() -> None:
    board = pulsed_board()
    pulse = framed(1, "CELL:PULS 0,0,2,1e-3,1")
    first = asked(board, pulse)
    assert asked(board, pulse) == first
    assert asked(board, framed(2, "CELL:COUN?")) == framed(2, "1")
    assert said(board, pulse) is None
    assert asked(board, framed(3, "CELL:COUN?")) == framed(3, "1")


@given(st.data())
def test_a_damaged_frame_is_neither_carried_out_nor_answered(data: st.DataObject) -> None:
    board = PULSED
    board.begin()
    counted = board.cells.counts.sum()
    asked(board, framed(1, "*IDN?"))
    good = framed(2, "NUDG:OFF;CELL:PULS 0,0,2,1e-3,1").encode()
    where = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: chr(b).upper() != chr(good[where]).upper()))
    for line in (good[:where] + bytes([byte]) + good[where + 1 :]).split(b"\n"):
        assert board.answer(line) is None
    assert board.cells.counts.sum() == counted


def test_after_a_frame_only_grounding_goes_without_one() -> None:
    board = plain_board()
    asked(board, framed(1, f"{LIST};READ:OUTP?"))
    assert said(board, "CELL:COND 0,0,2e-3") is None
    assert said(board, "OUTP?") is None
    assert board.answer(b"\xff") is None
    assert said(board, "outp:safe") is None
    assert asked(board, framed(2, "OUTP?;SYST:ERR?")) == framed(2, '0;0,"No error"')
    board.begin()
    assert asked(board, "OUTP?") == "0"
    assert asked(board, framed(1, "OUTP?")) == framed(1, "0")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_numbers_come_back_as_they_were(values: list[float]) -> None:
    array = np.array(values)
    found = np.array(numbers(as_list(array)))
    assert found.tobytes() == array.tobytes()


@given(st.text(st.characters(max_codepoint=126, min_codepoint=32)))
def test_a_list_is_numbers_or_a_fault(text: str) -> None:
    with suppress(Fault):
        found = numbers(text)
        assert np.isfinite(found).all()
        assert len(found) == (len(text.split(",")) if text else 0)


@given(st.integers(0, 10**18 - 1), st.text(st.characters(max_codepoint=126, min_codepoint=32)))
def test_frames_come_back_as_they_were(number: int, text: str) -> None:
    frame = unframed(framed(number, text))
    assert frame is not None
    assert (frame.number, frame.message) == (number, text)


HEADERS = st.sampled_from([*_FORMS, "FRAM 1,00000000", "*", "?", ""])
PARAMETERS = st.text(st.sampled_from("0123456789,.-+e; :?*_naif\x00\xff\t\"'"), max_size=30)


@given(st.lists(st.tuples(HEADERS, PARAMETERS), max_size=4), st.binary(max_size=10))
def test_hostile_messages_are_refused_or_answered(parts: list[tuple[str, str]], tail: bytes) -> None:
    board = PLAIN
    line = ";".join(f"{header} {text}" for header, text in parts).encode("latin-1") + tail
    for each in line.split(b"\n"):
        answer = board.answer(each)
        assert answer is None or (answer.isascii() and answer.isprintable())
    board.begin()
    assert asked(board, "*IDN?").startswith("harness,")


def test_what_a_chip_fails_at_is_told() -> None:
    class Failing(NodalChip):
        def _settle(self, drives):
            raise RuntimeError('no "luck";\nat all: β')

    board = Instrument(Failing(network()), "failing")
    assert error_of(board, f"{LIST};READ:OUTP?") == "-200,\"Execution error: no 'luck', at all: beta\""
    assert asked(board, "OUTP?;OUTP:SAFE;OUTP?") == "1;0"


def test_voltages_that_are_not_finite_are_no_answer() -> None:
    class Broken(NodalChip):
        def measure(self, drives):
            return tuple(replace(r, outputs=r.outputs * np.nan) for r in super().measure(drives))

    assert error_of(Instrument(Broken(network()), "broken"), f"{LIST};READ:OUTP?").startswith('-200,"Execution error')


def test_a_state_file_keeps_cells_and_counts(tmp_path: Path) -> None:
    file = tmp_path / "board.npz"
    board = pulsed_board(state=file)
    assert file.exists()
    asked(board, "CELL:PULS 0,0,2,1e-3,3,1,1,-2.5,1e-4,2;CELL:COUN?")
    again = pulsed_board(state=file)
    assert np.array_equal(again.cells.conductances, board.cells.conductances)
    assert asked(again, "CELL:COUN? 0,0,1,1,2,2") == "3,2,0"
    fresh = pulsed_board()
    assert not np.array_equal(fresh.cells.conductances, board.cells.conductances)


def test_a_state_that_cannot_be_kept_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    board = pulsed_board(state=folder / "board.npz")
    before = board.cells.conductances
    (folder / "board.npz").unlink()
    folder.rmdir()
    assert error_of(board, "CELL:PULS 0,0,2,1e-3,3").startswith('-310,"System error: the state file cannot be written')
    assert np.array_equal(board.cells.conductances, before)
    assert asked(board, "CELL:COUN?") == "0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"circuit": np.array("0" * 64)}, "it is the state of another network than"),
        ({"conductances": np.zeros(3)}, "it is the state of another network than"),
        ({"pulses": np.zeros(3, np.int64)}, "it is damaged: its counts of pulses are no counts of"),
        ({"pulses": np.full(1, 0.5)}, "it is damaged: its counts"),
        ({"more": np.zeros(1)}, "it is no state of a virtual board"),
        ({"conductances": 11.0}, "it is damaged: "),
        ({"conductances": np.nan}, "it is damaged: "),
        ({"pulses": -1}, "it is damaged: its counts"),
        ({"pulses": np.full(CELL_COUNT, 1, np.uint64)}, "it is damaged: its counts"),
        ({"conductances": np.full(CELL_COUNT, "1e-3")}, "it is damaged: its conductances are <U4"),
    ],
)
def test_states_that_cannot_be_right_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    file = tmp_path / "board.npz"
    pulsed_board(state=file)
    with np.load(file) as found:
        state = dict(found)
    for name, value in change.items():
        state[name] = value if isinstance(value, np.ndarray) else np.full_like(state[name], value)
    np.savez(file, **state)
    with pytest.raises(BoardError, match=f"board.npz: {message}"):
        pulsed_board(state=file)
    file.write_bytes(b"nothing")
    with pytest.raises(BoardError, match=r"board\.npz: it cannot be read as an npz file"):
        pulsed_board(state=file)
