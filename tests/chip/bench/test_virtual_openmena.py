"""The virtual OpenMENA board: its text commands, what they do to cells, and this package's own driver over it."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chip.bench.board import Pulses
from harness.chip.bench.boards.openmena import OpenMena
from harness.chip.bench.profile import load_profile
from harness.chip.bench.transport.serial import SerialLine
from harness.chip.bench.virtual.connection import terminal_door
from harness.chip.bench.virtual.openmena import OpenMenaBoard, board_circuit
from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.imperfect.programming import ProgrammedChip, Programming
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit
from harness.circuit.networks.layered import CellRange
from harness.errors import ExperimentError
from harness.measurement import Access, Array, Drive
from tests.chip.bench.profiles import changed
from tests.chip.bench.served import DEVICE, serving, terminal_lines
from tests.conftest import kendall

CELLS = CellRange(1e-4, 1e-6, 2e-4)
INVALID = "Invalid arguments. Indices 0–7, sign 1/-1, pulses > 0"
MODIFY_UP, MODIFY_DOWN = "0.99 0.3 0.75 0.75 15", "0.75 0.75 0.628 1.4 15"


def cells() -> Circuit:
    """Six word lines and four bit lines, with cells in the middle of their range."""
    circuit = board_circuit(kendall([], channels=2, outputs=2, cells=CELLS))
    return circuit.with_conductances([np.random.default_rng(0).uniform(3e-5, 1.5e-4, (6, 4))])


def made(**options: object) -> OpenMenaBoard:
    return OpenMenaBoard(ProgrammedChip(NodalChip(cells()), Programming(DEVICE), seed=1), **options)  # type: ignore[arg-type]


def said(board: OpenMenaBoard, command: str) -> list[str]:
    answer = board.answer(command.encode() + b"\r")
    return [] if answer is None else answer.removesuffix("\r").split("\r\n")


def rows(lines: list[str]) -> Array:
    return np.array([[float(part) for part in line.split("\t")[:-1]] for line in lines[2:-1]])


def test_inference_is_currents_at_the_converters() -> None:
    board = made()
    codes = np.full((2, 8), 2048)
    codes[0, 1], codes[1, :6] = 2500, [2100, 2200, 2300, 2048, 2100, 2400]
    found = said(board, f"INFEREMULTIPLE: 2 {' '.join(map(str, codes.ravel()))}")
    assert found[0] == "Running inference for 2 input vectors..."
    assert found[1] == "INFEREMULTIPLE ADC Averages:"
    assert found[-1] == "INFEREMULTIPLE complete."
    assert all(re.fullmatch(r"(\d{1,4}\.\d\d\t){8}", line) for line in found[2:-1])
    volts = codes[:, :6] * 1.5 / 4095 - 0.75
    amperes = volts @ cells().arrays[0].conductances
    expected = np.clip(amperes * 101e3 * 4095 / 3.3, 0, 4095)
    assert np.allclose(rows(found)[:, :4], expected, rtol=1e-3, atol=0.51)
    assert (rows(found)[:, 4:] == 0).all()
    assert expected.max() > 100


def test_readings_are_means_of_twenty_noisy_ones() -> None:
    chip = ImperfectChip(NodalChip(cells()), PinErrors(read_noise=1e-8), seed=2)
    board = OpenMenaBoard(ProgrammedChip(chip, Programming(DEVICE), seed=1))
    found = rows(said(board, f"INFEREMULTIPLE: 1 {' '.join(['2060'] * 8)}"))
    assert np.allclose(found * 20, np.rint(found * 20))
    assert (found[:, :4] % 1 != 0).any()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("INFEREMULTIPLE: 0", "Error: INFEREMULTIPLE requires N > 0"),
        ("INFEREMULTIPLE:", "Error: INFEREMULTIPLE requires N > 0"),
        ("INFEREMULTIPLE: x", "Error: INFEREMULTIPLE requires N > 0"),
        ("INFEREMULTIPLE: 201", "Error: Expected 1608 DAC values after N."),
        ("INFEREMULTIPLE: 1 1 2 3", "Error: Expected 8 DAC values after N."),
        (f"WEIGHTMODIF: 8 0 1 1 {MODIFY_UP}", INVALID),
        (f"WEIGHTMODIF: 0 -1 1 1 {MODIFY_UP}", INVALID),
        (f"WEIGHTMODIF: 0 0 2 1 {MODIFY_UP}", INVALID),
        (f"WEIGHTMODIF: 0 0 1 0 {MODIFY_UP}", INVALID),
        (f"WEIGHTMODIF: 0 0 1 10001 {MODIFY_UP}", INVALID),
        ("WEIGHTMODIF:", INVALID),
        ("WEIGHTMODIFALL: 1 1", "Error: WEIGHTMODIFALL requires 128 integers + 64 floats."),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_firmware(command: str, answer: str) -> None:
    assert said(made(), command) == [answer]


def test_unknown_commands_are_not_answered() -> None:
    board = made()
    assert [said(board, each) for each in ("", "HELLO", "INFERE: 1", "weightmodif: 0 0 1 1", "\x00\xff")] == [[]] * 5


def test_pulses_go_where_the_voltage_does() -> None:
    board = made()
    before = board._cells.conductances.reshape(6, 4)
    assert said(board, f"WEIGHTMODIF: 1 2 1 3 {MODIFY_UP}") == []
    assert said(board, f"WEIGHTMODIF: 0 0 -1 2 {MODIFY_DOWN}") == []
    assert said(board, f"WEIGHTMODIF: 2 0 1 1 {MODIFY_DOWN}") == []  # no voltage
    assert said(board, f"WEIGHTMODIF: 7 7 1 1 {MODIFY_UP}") == []  # no cell
    assert said(board, "WEIGHTMODIF: 3 1 1 1 0.3 0.99 0 0 15") == []  # turned round
    change = board._cells.conductances.reshape(6, 4) - before
    assert {tuple(at): np.sign(change[tuple(at)]) for at in np.argwhere(change).tolist()} == {
        (1, 2): 1,
        (0, 0): -1,
        (3, 1): -1,
    }
    assert board._cells.counts.reshape(6, 4)[[1, 0, 3], [2, 0, 1]].tolist() == [3, 2, 1]


def test_all_cells_are_pulsed_once_by_their_signs() -> None:
    board = made()
    signs = np.zeros((8, 8), int)
    signs[0, 1], signs[5, 3], signs[7, 7] = 1, -1, 1
    words = [*signs.ravel(), *np.full(64, 1000), *np.full(64, 0.3)]
    assert said(board, f"WEIGHTMODIFALL: {' '.join(map(str, words))}") == ["WEIGHTMODIFALL complete."]
    assert np.argwhere(board._cells.counts.reshape(6, 4)).tolist() == [[0, 1], [5, 3]]
    assert board._cells.counts.sum() == 2


WORDS = st.lists(st.sampled_from(["0", "1", "-1", "7", "x", "1e9", "99999999999999999999", ".", "-", "0.5", "\xff"]))


@given(st.sampled_from(["INFEREMULTIPLE", "WEIGHTMODIF", "WEIGHTMODIFALL"]), WORDS)
def test_hostile_commands_do_no_harm(name: str, words: list[str]) -> None:
    answer = SHARED.answer(f"{name}: {' '.join(words)}".encode("latin-1"))
    assert answer is None or answer.endswith("\r")
    assert said(SHARED, "INFEREMULTIPLE: 201") == ["Error: Expected 1608 DAC values after N."]


SHARED = made()


@pytest.mark.parametrize(
    "circuit",
    [kendall([4]), kendall([], channels=4), kendall([], channels=2, outputs=5)],
    ids=["two crossbars", "ten words", "ten bits"],
)
def test_networks_of_other_cells_are_refused(circuit: Circuit) -> None:
    with pytest.raises(ExperimentError, match=r"one crossbar of up to 8x8 cells; .* has crossbar"):
        board_circuit(circuit)


def test_cells_that_take_no_pulses_are_refused() -> None:
    with pytest.raises(ExperimentError, match=r"are written by pulses: add \[programming\]"):
        OpenMenaBoard(NodalChip(cells()))


def test_the_state_is_kept(tmp_path: Path) -> None:
    board = made(state=tmp_path / "board.npz")
    said(board, f"WEIGHTMODIF: 1 2 1 3 {MODIFY_UP}")
    again = made(state=tmp_path / "board.npz")
    assert np.array_equal(again._cells.conductances, board._cells.conductances)
    assert again._cells.counts.sum() == 3


@pytest.fixture
def port() -> Iterator[str]:
    with serving(made(), terminal_door()) as door:
        yield door.resource.removeprefix("ASRL").removesuffix("::INSTR")


def test_lines_come_through_the_terminal(port: str) -> None:
    found = terminal_lines(port, "INFEREMULTIPLE: 1 " + "2300 " * 8)
    assert found[-2:] == ["INFEREMULTIPLE complete.", ""]
    assert terminal_lines(port, "INFEREMULTIPLE: 0")[0].startswith("Error")


def test_this_package_s_driver_reads_and_pulses_it(port: str) -> None:
    wired = {
        "gain": 1.0,
        "inputs": {"x0": "0", "x1": "4"},
        "complements": {},
        "held": {},
        "outputs": {"y0": ("0",), "y1": ("3", "1")},
    }
    profile = changed(load_profile("openmena"), timing={"timeout": 2.0}, channels=wired)
    board = OpenMena(profile, SerialLine(port))
    assert board.identify() == "OpenMENA"
    places = np.argwhere(np.ones((6, 4)))
    truth = cells().arrays[0].conductances
    assert np.allclose(board.conductances(places), truth.ravel(), rtol=0.02, atol=2e-7)
    inputs = np.array([[0.05, 0.02]])
    read = inputs @ truth[[0, 4]] * 101e3
    expected = [[read[0, 0], read[0, 3] - read[0, 1]]]
    assert np.allclose(board.measure([Drive(inputs)], Access.OUTPUTS, 0.0)[0], expected, atol=0.02)
    one = np.ones(1)
    board.pulse(Pulses(places[:1], 0.36 * one, 15e-6 * one, np.array([5])))
    assert board.conductances(places[:1])[0] > truth[0, 0] + 2e-6
    board.ground()
    board.close()
