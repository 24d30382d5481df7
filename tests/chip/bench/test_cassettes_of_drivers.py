"""Drivers against sessions that were written by hand: they send exactly this, and read what was answered."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.chip.bench.board import Board, Pulses
from harness.chip.bench.cassette import ReplayLine
from harness.chip.bench.line import LateError, LineError
from harness.chip.bench.opening import open_board
from harness.chip.bench.profile import Profile, load_profile, read_profile
from harness.errors import BoardError, RunError
from harness.measurement import Access, Array, Clamp, Drive
from tests.campaigns.mutation import damage
from tests.chip.bench.profiles import changed
from tests.chip.bench.test_daq import TEXT

CELL = np.array([[1, 0]])
PULSE = Pulses(CELL, np.array([-0.3]), np.array([20e-6]), np.array([2]))

OPENMENA = [
    "> ",
    "> INFEREMULTIPLE: 201",
    "< AD5593R_test_dac.ino",
    "< ",
    "< Error: Expected 1608 DAC values after N.",
    "> INFEREMULTIPLE: 2 2116 2048 2048 2048 2048 2048 2048 2048 2048 1911 2048 2048 2048 2048 2048 2048",
    "> INFEREMULTIPLE: 202",
    "< Running inference for 2 input vectors...",
    "< INFEREMULTIPLE ADC Averages:",
    "< 409.50\t819.00\t0.00\t0.00\t0.00\t0.00\t0.00\t0.00\t",
    "< 4095.00\t1.00\t0.00\t0.00\t0.00\t0.00\t0.00\t0.00\t",
    "< INFEREMULTIPLE complete.",
    "< Error: Expected 1616 DAC values after N.",
    "> INFEREMULTIPLE: 2 2048 2048 2048 2048 2048 2048 2048 2048 2048 2184 2048 2048 2048 2048 2048 2048",
    "> INFEREMULTIPLE: 203",
    "< Running inference for 2 input vectors...",
    "< INFEREMULTIPLE ADC Averages:",
    "< 100.00\t0.00\t0.00\t0.00\t0.00\t0.00\t0.00\t0.00\t",
    "< 225.00\t0.00\t0.00\t0.00\t0.00\t0.00\t0.00\t0.00\t",
    "< INFEREMULTIPLE complete.",
    "< Error: Expected 1624 DAC values after N.",
    "> WEIGHTMODIF: 1 0 -1 2 0.75 0.75 0.6000 0.9000 20",
    "> INFEREMULTIPLE: 204",
    "< Error: Expected 1632 DAC values after N.",
]
"""The Due starts; two samples, one cell, two pulses."""
ARC2 = [
    '> [1, [["connect_to_gnd", [[]]], ["open_channels", [ALL]], '
    '["config_channels", [[[17, 0.25], [3, 0.5]], null]], ["delay", [2000]], ["execute", []], ["wait", []], '
    '["vread_channels", [[3], true]]]]',
    "< [1, [null, null, null, null, null, null, [0.4998]]]",
    '> [2, [["ground_all", []], ["execute", []], ["wait", []]]]',
    "< [2, [null, null, null]]",
    '> [3, [["connect_to_gnd", [[]]], ["read_slice_masked", [0, [17], 0.2]]]]',
    "< [3, [null, [NaN, -1e-05, NaNS]]]",
    '> [4, [["ground_all", []], ["execute", []], ["wait", []]]]',
    "< [4, [null, null, null]]",
    '> [5, [["connect_to_gnd", [[]]], ["pulse_slice_masked", [0, -0.3, 20000, [17]]], '
    '["pulse_slice_masked", [0, -0.3, 20000, [17]]], ["ground_all", []], ["execute", []], ["wait", []]]]',
    "< [5, [null, null, null, null, null, null]]",
    '> [6, [["ground_all_fast", []], ["float_all", []], ["connect_to_gnd", [ALL]], ["execute", []], ["wait", []]]]',
    "< [6, [null, null, null, null, null]]",
]
"""A clamped sample, one cell, two pulses, the ground."""
DAQ = [
    '> [1, [["identity", []]]]',
    '< [1, ["USB-6211, serial number 1A2B3C"]]',
    '> [2, [["scan", [[[0.5, -1.0]], 0.001]]]]',
    "< [2, [[[0.125, -0.25]]]]",
    '> [3, [["ground", []]]]',
    "< [3, [null]]",
]
"""A sample, the ground."""
PLAIN = {"gain": 1.0, "complements": {}, "held": {}, "nodes": None}
EIGHT = {"inputs": {f"x{k}": str(k) for k in range(8)}, "outputs": {f"y{k}": (str(k),) for k in range(8)}, **PLAIN}
WIRED = {"inputs": {"x0": "17"}, "outputs": {"y0": ("3",)}, **PLAIN}


def replayed(lines: Sequence[str], profile: Profile, folder: Path) -> tuple[Board, ReplayLine]:
    """A board at the end of a cassette with these lines, ``>`` sent and ``<`` got."""
    events = [{"cassette": 1, "line": "hand-made"}]
    for line in lines:
        text = line.replace("[ALL]", str([list(range(64))])).replace("NaNS", ", ".join(["NaN"] * 30))
        events.append({"at": 0.0, {">": "sent", "<": "got"}[text[0]]: text[2:]})
    (folder / "cassette.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    line = ReplayLine(folder / "cassette.jsonl")
    return open_board(profile, line=line), line


def openmena() -> Profile:
    return changed(load_profile("openmena"), channels=EIGHT)


def session(board: Board) -> tuple[Array, Array]:
    """Ask an OpenMENA board for all that `OPENMENA` has of it."""
    board.identify()
    inputs = np.zeros((2, 8))
    inputs[0, 0], inputs[1, 1] = 0.025, -0.05
    (read,) = board.measure([Drive(inputs)], Access.OUTPUTS, 5e-3)
    found = board.conductances(CELL)
    board.pulse(PULSE)
    return read, found


def test_openmena(tmp_path: Path) -> None:
    board, line = replayed(OPENMENA, openmena(), tmp_path)
    read, found = session(board)
    np.testing.assert_allclose(read[:, :2], [[0.33, 0.66], [3.3, 3.3 / 4095]])
    step = (2184 - 2048) * 1.5 / 4095
    np.testing.assert_allclose(found, [125 * 3.3 / 4095 / step / 101e3])
    line.check_empty()


def test_arc2(tmp_path: Path) -> None:
    board, line = replayed(
        ARC2, changed(load_profile("arc2"), channels=WIRED, can={"access": Access.OUTPUTS}), tmp_path
    )
    (read,) = board.measure([Drive(np.array([[0.25]]), Clamp(np.array([[0.5]])))], Access.OUTPUTS, 2e-6)
    assert read.tolist() == [[0.4998]]
    np.testing.assert_allclose(board.conductances(CELL), [5e-5])
    board.pulse(PULSE)
    board.ground()
    line.check_empty()


def test_nidaqmx(tmp_path: Path) -> None:
    board, line = replayed(DAQ, read_profile(TEXT, "breadboard.toml"), tmp_path)
    assert board.identify() == "USB-6211, serial number 1A2B3C"
    (read,) = board.measure([Drive(np.array([[0.5, -1.0]]))], Access.OUTPUTS, 1e-3)
    assert read.tolist() == [[0.125, -0.25]]
    board.ground()
    line.check_empty()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2 0.75 0.75 0.6000", "1 0.75 0.75 0.6000", "cassette.jsonl, line 23: the session differs from the recorded"),
        ("Error: Expected 1632 DAC", "Error: Expected 1640 DAC", "the cassette ends here"),
    ],
)
def test_a_pulse_that_is_another_one_is_told_with_its_line(old: str, new: str, said: str, tmp_path: Path) -> None:
    board, _ = replayed([line.replace(old, new) for line in OPENMENA], openmena(), tmp_path)
    with pytest.raises((BoardError, LateError), match=said):
        session(board)


def test_whatever_has_happened_to_a_cassette_is_a_sentence(tmp_path: Path) -> None:
    replayed(OPENMENA, openmena(), tmp_path)
    file, said = tmp_path / "cassette.jsonl", set[str]()
    whole = file.read_bytes()
    for seed in range(200):
        file.write_bytes(damage(np.random.default_rng([seed, 15]), file.name, whole)[-1][1])
        try:
            line = ReplayLine(file)
            session(open_board(openmena(), line=line))
            line.check_empty()
        except (BoardError, LateError, LineError, RunError) as error:
            said.add(str(error))
    assert all("\n" not in told and len(told) < 600 for told in said)
    assert len(said) > 60, "most of the damage is noticed"


def test_an_inference_that_is_another_one_is_told_and_not_tried_again(tmp_path: Path) -> None:
    board, _ = replayed(OPENMENA, openmena(), tmp_path)
    board.identify()
    with pytest.raises(BoardError, match="line 7: the session differs from the recorded one, from character 20 on"):
        board.measure([Drive(np.zeros((2, 8)))], Access.OUTPUTS, 5e-3)
