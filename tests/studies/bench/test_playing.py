"""Write programs on a served board: windows, interruptions, limits, and what is refused before the first pulse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.chip.base import Chip
from harness.chip.imperfect.programming import ProgrammedChip, Programming
from harness.chip.nodal.chip import nodal_chip
from harness.cli.main import main
from harness.devices.presets import preset
from harness.devices.writing import Device, device_of
from harness.errors import RunError
from harness.experiment.experiment import Experiment
from harness.studies.bench.playing import play
from harness.studies.program.rows import read_rows
from tests.chip.bench.threads import PULSED, served

NAME = "PCMO"
"""Pulses of −2 V raise its conductance; a board calls them positive."""
DEVICE = preset(NAME)
PROFILE = PULSED.replace('pulse_v_max = "1 V"', 'pulse_v_max = "5 V"').replace(
    'pulse_s_max = "1 us"', 'pulse_s_max = "1 ms"'
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, the conductances before, and its programs in a closed loop and in an open one."""
    folder = tmp_path_factory.mktemp("playing")
    subject = Experiment.load("xor", ["chip.kind=nodal", "training.epochs=4", "network.g_max=10 uS"])
    subject.train(subject.create_run(folder / "run"), pictures=False)
    start = ["conductances", "export", "xor", "--set", "network.g_max=10 uS", "--to", str(folder / "start.csv")]
    assert CliRunner().invoke(main, start).exit_code == 0
    words = ["--device", NAME, "--scheme", "alone", "--from", str(folder / "start.csv"), "--no-accuracy"]
    words += ["--tolerance", "0.06"]
    for control in ("verify", "open-loop"):
        done = ["program", str(folder / "run"), *words, "--control", control, "--to", str(folder / control)]
        assert CliRunner().invoke(main, done).exit_code == 0
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of both programs, and a profile."""
    monkeypatch.chdir(tmp_path)
    for control in ("verify", "open-loop"):
        (tmp_path / control).mkdir()
        (tmp_path / control / "program.csv").write_bytes((made / control / "program.csv").read_bytes())
    (tmp_path / "board.toml").write_text(PROFILE.format(timeout="5 s"))
    return tmp_path


def subject_of(made: Path) -> Experiment:
    from harness.training.runs import Run

    return Experiment.of_run(Run(made / "run"), [])


def board(made: Path, scatter: float = 0.0) -> Chip:
    """A chip of the device that begins as the table says; its pulses scatter by a part of the range."""
    device: Device = device_of(DEVICE)
    law = Device(device.name, device.law, device.ratio, scatter, 0.6 if scatter else 0.0, device.up, device.down)
    return ProgrammedChip(nodal_chip(subject_of(made).circuit), Programming(law), seed=4)


def address(port: int) -> str:
    return f"TCPIP0::127.0.0.1::{port}::SOCKET"


def called(made: Path, program: str, port: int, profile: str = "board.toml", spare: int = 0) -> Result:
    words = ["bench", "play", profile, str(made / "run"), program, "--resource", address(port), "--json"]
    words += ["--spare", str(spare)]
    return CliRunner().invoke(main, words)


def planned_counts(made: Path, program: Path) -> list[int]:
    """Pulses for each cell by a table, array by array."""
    circuit = subject_of(made).circuit
    counts = {array.name: np.zeros(array.shape, int) for array in circuit.arrays}
    for row in read_rows(program / "program.csv", circuit):
        counts[row.array][row.word, row.bit] += row.count
    return [int(n) for array in circuit.arrays for n in counts[array.name].ravel()]


def test_cells_of_the_mean_device_take_the_table_as_it_is(made: Path, place: Path) -> None:
    with served(board(made)) as (port, instrument):
        result = called(made, "verify", port)
        counts = instrument.cells.counts.copy()
        assert json.loads(called(made, "verify", port).stdout)["pulses"] == 0
        assert (instrument.cells.counts == counts).all()
        assert not instrument.applied
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["missed"], told["left_out"]) == ([], 0)
    assert told["windows"] > 3
    assert told["pulses"] == counts.sum() > 5
    assert planned_counts(made, place / "verify") == counts.tolist()
    lines = [json.loads(line) for line in (place / "verify" / "bench" / "journal.jsonl").read_text().splitlines()]
    assert sum(sum(line.get("applied", [])) for line in lines) == counts.sum()


def test_cells_that_differ_from_the_plan_reach_their_windows_with_spare_pulses(made: Path, place: Path) -> None:
    """Without these, which is the control, some do not; the others leave pulses of the table out."""
    with served(board(made, 0.02)) as (port, _):
        result = called(made, "verify", port)
        alone = json.loads(result.stdout)
        assert result.exit_code == 1
        assert f"{len(alone['missed'])} cells not in their windows" in result.stderr
        helped = called(made, "verify", port, spare=30)
        assert helped.exit_code == 0, helped.output
    assert alone["left_out"] > 0
    assert json.loads(helped.stdout)["missed"] == []


def test_an_interrupted_open_loop_goes_on_where_it_was(made: Path, place: Path) -> None:
    """No pulse of the table is given twice, and none is left out, at whichever row it stopped."""
    told: list[str] = []

    def stop_at(row: int) -> Callable[[str], None]:
        def tell(text: str) -> None:
            told.append(text)
            if text.startswith(f"row {row} "):
                raise KeyboardInterrupt

        return tell

    with served(board(made)) as (port, instrument):
        words: tuple[Any, ...] = ("board.toml", subject_of(made), place / "open-loop", address(port))
        for row in (2, 5):
            with pytest.raises(KeyboardInterrupt):
                play(*words, tell=stop_at(row))
            assert not instrument.applied
            assert instrument.cells.counts.sum() > 0
        played = play(*words)
        wanted = planned_counts(made, place / "open-loop")
        assert instrument.cells.counts.tolist() == wanted
        assert 0 < played.pulses < sum(wanted)
        assert play(*words).pulses == 0
        assert instrument.cells.counts.tolist() == wanted
        np.testing.assert_array_equal(played.found, instrument.cells.conductances)


def test_nothing_is_sent_that_is_beyond_a_limit(made: Path, place: Path) -> None:
    text = PROFILE.format(timeout="5 s")
    (place / "low.toml").write_text(text.replace('pulse_v_max = "5 V"', 'pulse_v_max = "1 V"'))
    (place / "worn.toml").write_text(text.replace("[write]", "pulses_per_cell = 1\n[write]"))
    (place / "set.toml").write_text(text.partition("[write]")[0])
    with served(board(made)) as (port, instrument):
        for profile, message in (
            ("low.toml", "2 V is beyond limits.pulse_v_max = 1 V"),
            ("worn.toml", "more after 0 pulses is beyond limits.pulses_per_cell = 1"),
            ("set.toml", "write.mode = 'set' needs a board that can SET"),
        ):
            result = called(made, "verify", port, profile)
            assert result.exit_code == 1
            assert message in result.stderr
        assert instrument.cells.counts.sum() == 0


def test_a_damaged_table_and_another_board_are_refused(made: Path, place: Path) -> None:
    table = place / "verify" / "program.csv"
    whole = table.read_text()
    with served(board(made)) as (port, instrument):
        for text, message in (
            (whole + "w1,99,0,up,5,5e-6,1,,\n", "word is '99', and must be a whole number from 0 to"),
            (whole.replace("up", "on", 1), "polarity is 'on', and must be up or down"),
            ("\0" * 50, "program.csv"),
        ):
            table.write_text(text)
            result = called(made, "verify", port)
            assert result.exit_code == 1
            assert message in result.stderr
            assert not (place / "verify" / "bench").exists()
        table.write_text(whole)
        assert called(made, "verify", port).exit_code == 0
        counts = instrument.cells.counts.copy()
        journal = place / "verify" / "bench" / "journal.jsonl"
        journal.write_text(journal.read_text().replace("virtual board of test", "virtual board of others"))
        with pytest.raises(RunError, match="it was begun on board 'harness,virtual board of others"):
            play("board.toml", subject_of(made), place / "verify", address(port))
        assert (instrument.cells.counts == counts).all()
