"""Training with a board on the bench: the same bits, resumed, replayed, refused, and what runs keep."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.chip.bench.cassette import ReplayLine
from harness.chip.bench.journal import Journal
from harness.chip.bench.line import LineError
from harness.chip.bench.profile import load_profile
from harness.chip.bench.virtual.instrument import Instrument
from harness.cli.main import main
from harness.errors import BoardError, ExperimentError, HarnessError, LimitError, RunError
from harness.experiment.experiment import Experiment
from harness.experiment.runs.replayed import replay_of
from harness.experiment.runs.trust import only_boards_here
from harness.training.runs import Run
from tests.chip.bench.lines import DirectLine
from tests.chip.bench.served import serving

BENCH = ["chip.kind=bench", "chip.profile=virtual"]
SHORT = ["training.epochs=1"]
PULSES = """
name = "pulsed"
[can]
nudge = ["spring"]
access = "nodes"
[limits]
v_max = "100 V"
pulse_v_max = "2 V"
pulse_s_max = "1 ms"
pulses_per_cell = 1_000_000
[write]
mode = "verify"
tolerance = "70 nS"
step = "100 nS"
pulse_v = "1 V"
pulse_s = "1 us"
read_back_every = 10
"""


def board(changes: Sequence[str] = ()) -> DirectLine:
    """A line to a virtual board of iris, with what sections say that is wrong with it."""
    return DirectLine(Instrument(Experiment.load("iris", ["chip.kind=nodal", *changes]).new_chip(), "iris"))


def trained(
    path: Path, changes: Sequence[str] = (), line: DirectLine | None = None, *, after: int | None = None
) -> Run:
    """A run of iris on a board, or without a line in this process; stopped after some steps."""
    kind = ["chip.kind=nodal"] if line is None else BENCH
    subject = Experiment.load("iris", [*kind, *SHORT, *changes])
    run = subject.create_run(path)
    count = iter(range(10**9))
    subject.train(run, line=line, pictures=False, stop=lambda: after is not None and next(count) + 1 >= after)
    return run


def same(one: Run, other: Run) -> bool:
    files = ("steps.csv", "conductances.npz")
    return all((one.path / file).read_bytes() == (other.path / file).read_bytes() for file in files)


# --- the same bits


@pytest.mark.parametrize(
    "changes",
    [
        ["training.epochs=2"],
        ["variation.spread=0.05", "imperfect.dac_noise='1 mV'", "imperfect.mismatch=0.01"],
        ["imperfect.levels=256", "imperfect.programming_noise=0.001", "imperfect.update_bias='1 nS'"],
    ],
    ids=["ideal", "varied", "badly-written"],
)
def test_training_on_a_board_is_training_in_process(changes: list[str], tmp_path: Path) -> None:
    on_board, here = trained(tmp_path / "b", changes, board(changes)), trained(tmp_path / "n", changes)
    if not any("programming_noise" in change for change in changes):
        assert same(on_board, here)
    then, now = (np.load(run.path / "conductances.npz") for run in (here, on_board))
    for name in then:
        np.testing.assert_allclose(now[name], then[name], rtol=1e-9)
    assert (on_board.result or {})["test_accuracy"] == (here.result or {})["test_accuracy"]


def test_a_stopped_run_is_resumed_to_the_same_bits_after_the_board_was_changed(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", line=board())
    line = board()
    run = trained(tmp_path / "parts", line=line, after=15)
    line.instrument.cells.set(np.arange(20), np.full(20, 2e-6))
    subject = Experiment.of_run(run)
    subject.train(run, line=line, pictures=False)
    assert same(run, whole)
    told = (run.result or {})["bench"]
    assert told["sessions"] == 2
    rows = (run.path / "bench" / "readback.csv").read_text().splitlines()
    assert rows[0] == "epoch,step,array,cells,rms (S),largest (S),word,bit"
    assert float(rows[3].split(",")[5]) > 0  # the second session found other cells than it had left


# --- pulses


def test_pulses_of_a_run_are_those_that_the_board_counted(tmp_path: Path) -> None:
    (tmp_path / "pulsed.toml").write_text(PULSES)
    changes = ["programming.law=linear", "programming.pulses=1000"]
    line = board(changes)
    told = [*changes, f"chip.profile={tmp_path / 'pulsed.toml'}"]
    run = trained(tmp_path / "run", told, line, after=6)
    subject = Experiment.of_run(run)
    subject.train(run, line=line)
    result = (run.result or {})["bench"]
    assert result["pulses"] == result["board_pulses"] == int(line.instrument.cells.counts.sum()) > 100
    journal = Journal(run.path / "bench")
    assert journal.sessions == 2
    journal.close({})
    assert result["read_backs"] == 1
    assert (run.path / "readback.png").read_bytes().startswith(b"\x89PNG")
    kept = (run.path / "bench" / "session-2" / "profile.toml").read_text()
    assert 'mode = "verify"' in kept


# --- replay


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two sessions, of which the first was stopped."""
    line, path = board(), tmp_path_factory.mktemp("recorded") / "run"
    run = trained(path, line=line, after=9)
    Experiment.of_run(run).train(run, line=line, pictures=False)
    return run


def cassette(run: Run, session: int) -> Path:
    return run.path / "bench" / f"session-{session}" / "cassette.jsonl"


def replayed(file: Path, folder: Path) -> Run:
    replay = replay_of(file, folder)
    replay.subject.train(replay.run, line=replay.line, stop=lambda: replay.line.ending, pictures=False)
    replay.line.check_empty()
    return replay.run


def test_sessions_are_replayed_to_the_same_bits_without_a_board(recorded: Run, tmp_path: Path) -> None:
    first = replayed(cassette(recorded, 1), tmp_path / "first")
    position = first.position()
    assert position is not None
    assert (position.epoch, position.step) == (0, 9)
    assert first.result is None
    second = replayed(cassette(recorded, 2), tmp_path / "second")
    assert same(second, recorded)
    assert not (second.path / "bench" / "session-2").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines[:40], lines[40].replace("FRAM", "MARF"), *lines[41:]], r"line 41: the session differs"),
        (
            lambda lines: [*lines[:41], lines[41].replace("FRAM", "MARF"), *lines[42:]],
            "line 43: the session differs.*'sent",
        ),
        (
            lambda lines: [*lines, '{"at": 9, "sent": "OUTP:SAFE"}'],
            r"line \d+: 1 line left over: .*went on with 'sent'",
        ),
        (lambda lines: lines[:60], r"line 61: the cassette ends here, and the session goes on"),
        (lambda lines: [*lines[:50], *lines[52:]], "the session differs from the recorded one, from character"),
        (lambda lines: ["{}", *lines], "it is no cassette"),
        (lambda lines: [*lines[:50], "{", *lines[51:]], "line 51: not valid JSON"),
    ],
    ids=["sent", "got", "left-over", "truncated", "missing", "heading", "broken"],
)
def test_a_cassette_that_differs_ends_in_a_sentence(recorded: Run, tmp_path: Path, change, message: str) -> None:
    file = cassette(recorded, 2)
    before = file.read_text()
    lines = before.splitlines()
    assert '"sent": "FRAM' in lines[40]
    try:
        file.write_text("\n".join(change(lines)) + "\n")
        with pytest.raises(HarnessError, match=message):
            replayed(file, tmp_path / "again")
    finally:
        file.write_text(before)


def test_a_cassette_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="it is no cassette of a run"):
        replay_of(tmp_path / "cassette.jsonl", tmp_path / "run")


def test_the_command_replays(recorded: Run, tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["train", "--replay", str(cassette(recorded, 1)), "--run", str(tmp_path / "r")])
    assert ended.exit_code == 0
    assert "all messages were as recorded" in ended.stderr
    refused = CliRunner().invoke(main, ["train", "iris", "--replay", str(cassette(recorded, 1))])
    assert refused.exit_code == 2
    assert "give nothing with it but --run" in refused.stderr


# --- what is refused


def test_rules_beyond_the_board_are_refused_before_there_is_a_run(tmp_path: Path) -> None:
    subject = Experiment.load("iris", [*BENCH, "rule.kind=hardware-linearization"])
    with pytest.raises(
        ExperimentError, match=r"needs small-signal phases, which chip bench does not give.*serve: equi"
    ):
        subject.create_run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_profile_can_leave_the_cassette_out(tmp_path: Path) -> None:
    profile = tmp_path / "quiet.toml"
    profile.write_text('name = "quiet"\ncassette = false\n[limits]\nv_max = "9 V"\n')
    told = ["chip.kind=bench", f"chip.profile={profile}", "rule.kind=analytical-gradient", *SHORT]
    subject = Experiment.load("iris", told)
    run = subject.create_run(tmp_path / "run")
    subject.train(run, line=board(), pictures=False)
    assert not list(run.path.rglob("cassette.jsonl"))
    assert (run.result or {})["bench"]["sessions"] == 1


def test_a_board_of_outputs_serves_what_reads_outputs(tmp_path: Path) -> None:
    profile = tmp_path / "outputs.toml"
    profile.write_text('name = "outputs"\n[limits]\nv_max = "9 V"\n')
    told = ["chip.kind=bench", f"chip.profile={profile}"]
    with pytest.raises(ExperimentError, match="needs springs at outputs and voltages of nodes"):
        Experiment.load("iris", told).create_run(tmp_path / "run")
    subject = Experiment.load("iris", [*told, "rule.kind=analytical-gradient", *SHORT])
    line = board()
    run = subject.create_run(tmp_path / "run")
    subject.train(run, line=line, pictures=False)
    assert not any("READ:NODE" in message for message in line.sent)
    assert (run.result or {})["epochs"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["chip.kind=bench"], "chip.profile: kind = 'bench' needs the profile of a board"),
        (["chip.profile=virtual"], "chip.profile: belongs to kind = 'bench', not 'ngspice'"),
        (["chip.kind=nodal", "chip.resource=x"], "chip.resource: belongs to kind = 'bench', not 'nodal'"),
    ],
)
def test_keys_of_a_board_go_with_a_board(changes: list[str], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        Experiment.load("iris", changes)


def test_another_kind_of_chip_leaves_the_board_behind() -> None:
    assert Experiment.load("iris", BENCH).replace({"chip.kind": "nodal"}).settings.chip.profile is None


def test_a_file_alone_opens_no_board_elsewhere(tmp_path: Path) -> None:
    far = [*BENCH, "chip.resource=TCPIP0::192.0.2.7::5025::SOCKET"]
    subject = Experiment.load("iris", far)
    with (
        only_boards_here(),
        pytest.raises(ExperimentError, match=r"192.0.2.7.* is not on this machine.*--profile virtual"),
    ):
        subject.new_chip()
    near = Experiment.load("iris", [*BENCH, "chip.resource=TCPIP0::127.0.0.1::1::SOCKET"])
    with only_boards_here(), pytest.raises(LineError, match="the board cannot be reached"):
        near.new_chip()
    own = tmp_path / "own.toml"
    own.write_text(subject.settings.to_toml())
    ended = CliRunner().invoke(main, ["train", str(own), "--run", str(tmp_path / "run")])
    assert ended.exit_code == 2
    assert "name its profile in the command" in ended.stderr


def test_a_changed_profile_is_refused_when_a_run_is_resumed_unless_named(tmp_path: Path) -> None:
    profile = tmp_path / "own.toml"
    profile.write_text(load_profile("virtual").to_toml())
    run = trained(tmp_path / "run", [f"chip.profile={profile}"], board(), after=3)
    profile.write_text(profile.read_text() + "\n# changed\n")
    chip = Experiment.of_run(run).settings.chip.bench
    assert chip is not None
    with only_boards_here(), pytest.raises(RunError, match=r"is not as it was when the run began.*--profile"):
        chip.begin(run, None)
    chip.begin(run, None).journal.close({})


def test_another_board_is_refused_when_a_run_is_resumed_unless_named(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", line=board(), after=3)
    other = DirectLine(Instrument(Experiment.load("iris", ["chip.kind=nodal"]).new_chip(), "another"))
    with (
        only_boards_here(),
        pytest.raises(RunError, match=r"was trained on board '.*iris.*', and '.*another.*' answers"),
    ):
        Experiment.of_run(run).train(run, line=other, pictures=False)
    Experiment.of_run(run).train(run, line=other, pictures=False)
    assert "another" in run.manifest["chip"]["identity"]


def test_a_board_that_nobody_writes_to_is_not_trained(tmp_path: Path) -> None:
    profile = tmp_path / "fixed.toml"
    text = load_profile("virtual").to_toml().replace('mode = "set"', 'mode = "none"')
    profile.write_text(text)
    subject = Experiment.load("iris", ["chip.kind=bench", f"chip.profile={profile}"])
    with pytest.raises(ExperimentError, match=r"write.mode = 'none' lets nothing be written"):
        subject.create_run(tmp_path / "run")


def test_many_chips_at_once_are_no_work_for_a_board() -> None:
    ended = CliRunner().invoke(main, ["sweep", "iris", "--over", "training.seed=0,1", "--set", "chip.profile=virtual"])
    assert ended.exit_code == 2
    ended = CliRunner().invoke(main, ["sweep", "iris", "--seeds", "2", *(f"--set={change}" for change in BENCH)])
    assert "there is one board" in ended.stderr


def test_what_is_wrong_with_the_twin_is_said_to_be_that(tmp_path: Path) -> None:
    told = Experiment.load("iris", [*BENCH, "variation.spread=0.1", "imperfect.adc_bits=8"]).warnings()
    assert any("[variation] and [imperfect] say what is wrong with the board's digital twin" in each for each in told)


# --- ends


def test_a_limit_ends_a_training_with_grounded_pins_and_a_checkpoint(tmp_path: Path) -> None:
    profile, line = tmp_path / "own.toml", board()
    profile.write_text(load_profile("virtual").to_toml().replace("v_max = 100.0", "v_max = 0.05"))
    line.close = lambda: None  # type: ignore[method-assign]
    with pytest.raises(LimitError, match=r"free phase, sample \d, input x\d: .* is beyond limits.v_max = 50 mV"):
        trained(tmp_path / "run", [f"chip.profile={profile}"], line)
    assert not line.instrument.applied
    assert line.sent[-1].endswith("OUTP:SAFE;OUTP?")


class Dying(DirectLine):
    """A line to a board that is switched off after some messages."""

    def send(self, message: str) -> None:
        if len(self.sent) > 30:
            raise LineError("direct: pulled out")
        super().send(message)

    def reopen(self) -> None:
        if len(self.sent) > 30:
            raise LineError("direct: nobody is there")


def test_a_board_that_cannot_be_grounded_is_said_to_be_so(tmp_path: Path) -> None:
    line = Dying(board().instrument)
    with pytest.raises(BoardError, match=r"nobody is there.* and then direct: .* could not be grounded.*switch it off"):
        trained(tmp_path / "run", line=line)


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]])
def test_a_command_that_is_ended_grounds_the_board(signals: list[signal.Signals], tmp_path: Path) -> None:
    """Also at the second signal, which ends a training in the middle of a batch."""
    run = tmp_path / "run"
    file = run / "bench" / "session-1" / "cassette.jsonl"
    with serving(board().instrument) as door:
        at = ["--profile", "virtual", "--set", f"chip.resource={door.resource}"]
        training = [sys.executable, "-m", "harness", "train", "iris", *at, "--run", str(run)]
        with subprocess.Popen(training, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while not (file.exists() and file.stat().st_size > 100_000):
                assert process.poll() is None
                time.sleep(0.05)
            for number in signals:
                process.send_signal(number)
            process.wait(60)
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert "OUTP:SAFE;OUTP?" in events[-2]["sent"]
    assert events[-1]["got"].endswith(",0")
    assert process.returncode == (1 if len(signals) == 1 else -signals[-1])


def test_a_recorded_line_that_is_gone_is_said_by_its_number(recorded: Run) -> None:
    line = ReplayLine(cassette(recorded, 1))
    with pytest.raises(
        BoardError, match=r"cassette.jsonl, line 2: the session differs .*'\*CLS' was sent then, 'x' is"
    ):
        line.send("x")
