"""The calibration file: what is written is read, what is wrong or old is refused in a sentence."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chip.bench.calibration import Calibration, Channels, Settling, Twins, read_calibration
from harness.errors import BoardError, ExperimentError
from harness.experiment.experiment import Experiment

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
GAINS, VOLTS = st.floats(0.1, 10), st.floats(-10, 10).filter(lambda v: not 0 < abs(v) < 1e-29)
CHANNEL = st.tuples(GAINS, VOLTS, VOLTS.map(abs))


def channels(rows: list[tuple[float, float, float]]) -> Channels:
    gain, offset, residual = zip(*rows, strict=True)
    return Channels(against="clamps", gain=gain, offset=offset, residual=residual)


@given(rows=st.lists(CHANNEL, min_size=1, max_size=5), age=st.integers(0, 10**6))
def test_what_is_written_is_read_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float, float]], age: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.toml"
    made = Calibration(
        date=NOW - timedelta(seconds=age),
        board="harness,iris,0,1",
        input=channels(rows),
        settling=Settling(time_constant=1e-3, settle=5e-3, within=1e-3),
        twins=Twins(mismatch=(0.0, 1e-3)),
    )
    path.write_text(made.to_toml(), encoding="utf-8")
    assert read_calibration(path) == made
    assert made.age(NOW) == age


@given(rows=st.lists(CHANNEL, min_size=1, max_size=5))
def test_gain_and_offset_are_undone(rows: list[tuple[float, float, float]]) -> None:
    made = Calibration(date=NOW, board="b", input=channels(rows), output=channels(rows), node=channels(rows))
    gain, offset = np.array(rows)[:, 0], np.array(rows)[:, 1]
    true = np.linspace(-4, 4, 3)[:, None] * np.ones(len(rows))
    for undo in (made.outputs, made.nodes):
        np.testing.assert_allclose(undo(gain * true + offset), true, atol=1e-9)
    np.testing.assert_allclose(gain * made.inputs(true) + offset, true, atol=1e-9)


def test_kinds_without_a_section_stay_to_the_bit() -> None:
    volts = np.array([[1.0, 1 / 3]])
    bare = Calibration(date=NOW, board="b")
    assert all(undo(volts) is volts for undo in (bare.inputs, bare.outputs, bare.nodes))


ROWS = '[output]\nagainst = "clamps"\ngain = [1, 1, 1]\noffset = [0, 0, 0]\nresidual = [0, 0, 0]\n'
HEAD = 'date = 2026-05-04T12:00:00Z\nboard = "b"\n'
WRONG = {
    "date = 2026-05-04T12:00:00\nboard = 'b'": "line 1: date.*must have timezone",
    "board = 'b'": "key 'date' is missing",
    "date = 2026-05-04T12:00:00Z": "key 'board' is missing",
    HEAD + ROWS.replace("[1, 1, 1]", "[1, 0, 1]"): r"line 5: output.gain\[1\] = 0: must be at least 0.1 and at most 10",
    HEAD + ROWS.replace("[1, 1, 1]", "[1, 1]"): "output.offset: it has 3 values, and gain has 2",
    HEAD + ROWS.replace("[0, 0, 0]", "[0, nan, 0]"): r"output.offset\[1\]: nan",
    HEAD + ROWS.replace("[0, 0, 0]", '[0, "1 mA", 0]'): "should be in V",
    HEAD
    + ROWS.replace(
        "gain =", "gian ="
    ): r"key 'output.gain' is missing\n.*line 5: unknown key 'output.gian'; did you mean 'gain'",
    HEAD + "[settling]\ntime_constant = 1\nsettle = 1\nwithin = 0": "settling.within = 0: must be above 0 V",
    HEAD + "[twins]\nmismatch = [-1]": r"twins.mismatch\[0\] = -1",
    "[[[": "not valid TOML",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExperimentError, match=f"calibration.toml.*{WRONG[text]}"):
        read_calibration(path)


def test_stale_ones_are_refused() -> None:
    made = Calibration(date=NOW, board="maker,model,1,2")

    def refusal(board: str = "maker,model,1,2", hours: float = 1.0, max_age: float | None = 86400.0) -> str:
        try:
            made.refuse_stale(board, max_age, "c.toml", NOW + timedelta(hours=hours))
        except BoardError as error:
            return str(error)
        return ""

    assert not refusal()
    assert not refusal(hours=23.9)
    assert not refusal(hours=1e4, max_age=None)
    assert not refusal(hours=-0.01)  # clocks differ by seconds
    assert "c.toml: it is 2 days old, and calibration.max_age is 24 h" in refusal(hours=48)
    assert "lies in the future" in refusal(hours=-1)
    assert "of board 'maker,model,1,2', and this one is 'other'" in refusal(board="other")
    assert all("--stale-calibration" in refusal(hours=hours) for hours in (48, -1))


def test_other_numbers_of_channels_are_refused() -> None:
    circuit = Experiment.load("xor").circuit
    fitting = channels([(1.0, 0.0, 0.0)] * len(circuit.outputs))
    Calibration(date=NOW, board="b", output=fitting).refuse_unfit(circuit, "c.toml")
    with pytest.raises(BoardError, match=r"c.toml: \[node\] has 2 channels, and circuit \w+ has \d+; calibrate"):
        Calibration(date=NOW, board="b", node=channels([(1.0, 0.0, 0.0)] * 2)).refuse_unfit(circuit, "c.toml")
