"""The command line through its real entry point."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.main import main

QUICK = ["--chip", "nodal", "--set", "training.epochs=2"]


def harness(*arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the installed command; warnings of the package itself are errors."""
    command = shutil.which("harness", path=os.path.dirname(sys.executable)) or "harness"
    # readline sets COLUMNS for child processes behind os.environ's back, where pytest runs in one process
    told = dict(os.environ)
    result = subprocess.run([command, *arguments], cwd=cwd, env=told, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert "Warning" not in result.stderr
    return result


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which iris was trained in ngspice for a few epochs."""
    folder = tmp_path_factory.mktemp("trained")
    harness("train", "iris", "--set", "training.epochs=4", "--set", "training.batch=15", "--run", "run", cwd=folder)
    return folder


def test_train_ends_with_accuracy_place_and_what_to_type_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = harness("train", "iris", *QUICK, cwd=tmp_path)
    assert re.search(r"^test accuracy \d+\.\d\d %", result.stdout, re.MULTILINE)
    assert "run directory: runs/iris-seed0" in result.stdout
    assert "next: harness check runs/iris-seed0" in result.stdout
    assert re.search(r"epoch +2/2 +loss", result.stderr)
    monkeypatch.chdir(tmp_path)
    second = CliRunner().invoke(main, ["train", "iris", *QUICK])
    assert "run directory: runs/iris-seed0-2" in second.stdout


def test_train_json_is_alone_on_stdout(tmp_path: Path) -> None:
    result = harness("train", "iris", *QUICK, "--seed", "4", "--json", cwd=tmp_path)
    reached = json.loads(result.stdout)
    expected = {
        "run",
        "test_accuracy",
        "train_accuracy",
        "epochs",
        "seconds",
        "train_samples_per_second",
        "ngspice_share",
    }
    assert expected <= set(reached)
    assert reached["epochs"] == 2
    assert reached["seed"] == 4
    assert reached["ngspice_share"] is None
    again = harness("train", "--resume", reached["run"], "--json", cwd=tmp_path)
    assert json.loads(again.stdout) == reached
    assert "complete already" in again.stderr


@pytest.mark.ngspice
def test_train_in_ngspice_says_its_share_of_time(trained: Path) -> None:
    reached = json.loads((trained / "run" / "result.json").read_text())
    assert 0 < reached["ngspice_share"] < 1
    versions = json.loads((trained / "run" / "manifest.json").read_text())["versions"]
    assert {"PySpice", "ngspice"} <= set(versions)


@pytest.mark.ngspice
@pytest.mark.parametrize(
    "change", ["training.epochs=5", "update.decay=0.5", "rule.beta=0.3 uS", "subset={choose='random', fraction=0.5}"]
)
def test_evaluate_refuses_changes_of_learning(trained: Path, change: str) -> None:
    result = CliRunner().invoke(main, ["evaluate", str(trained / "run"), "--set", change])
    assert result.exit_code == 2, result.output
    shown = " ".join(re.sub("[│╭╰─╮╯]", " ", result.output).split())
    assert change.partition("=")[0] in shown
    assert "is about learning, and an evaluation does not learn; train with it: " in shown


@pytest.mark.ngspice
@pytest.mark.parametrize("chip", ["ngspice", "nodal"])
def test_evaluate_gives_what_training_ended_with(trained: Path, chip: str) -> None:
    reached = json.loads((trained / "run" / "result.json").read_text())
    shown = json.loads(harness("evaluate", "run", "--chip", chip, "--json", cwd=trained).stdout)
    assert shown["test_accuracy"] == reached["test_accuracy"]
    assert shown["train_loss"] == pytest.approx(reached["train_loss"], rel=1e-4)
    assert shown["test_samples"] == 45
    assert "held out" in harness("evaluate", "run", "--chip", chip, cwd=trained).stdout


@pytest.mark.ngspice
def test_check_of_a_run_passes_and_names_its_figures(trained: Path) -> None:
    report = json.loads(harness("check", "run", "--json", cwd=trained).stdout)
    assert report["passed"] is True
    assert all(set(c) == {"name", "value", "bound", "unit", "passed"} for c in report["checks"])
    names = " ".join(c["name"] for c in report["checks"])
    for subject in ("reduced against full netlist", "ngspice against nodal", "finite differences", "Kirchhoff"):
        assert subject in names


def test_a_cassette_that_is_a_link_to_itself_ends_in_a_sentence(tmp_path: Path) -> None:
    session = tmp_path / "run" / "bench" / "session-1"
    session.mkdir(parents=True)
    (session / "cassette.jsonl").symlink_to("cassette.jsonl")
    ended = harness("train", "--replay", "run/bench/session-1/cassette.jsonl", "--run", "out", cwd=tmp_path, code=1)
    assert ended.stderr.startswith("harness: ")
    assert not (tmp_path / "out").exists()


def test_a_table_is_no_experiment_and_the_cure_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.CSV").write_text("a,b\n1,x\n")
    said = harness("train", "mine.CSV", cwd=tmp_path, code=2).stderr
    assert 'mine.CSV is a table; an experiment is a TOML file that names it, with data = { set = "csv", file =' in said


def test_check_exits_with_1_when_a_figure_is_out_of_bounds(tmp_path: Path) -> None:
    """A nudge so strong that its gradient is none: the check must be able to fail."""
    report = harness("check", "iris", "--chip", "nodal", "--set", "rule.beta='1 S'", "--json", cwd=tmp_path, code=1)
    found = json.loads(report.stdout)
    assert found["passed"] is False
    assert {c["passed"] for c in found["checks"]} == {True, False}


@pytest.mark.ngspice
def test_doctor_solves_a_known_circuit(tmp_path: Path) -> None:
    report = json.loads(harness("doctor", "--json", cwd=tmp_path).stdout)
    assert report["passed"] is True
    assert {"ngspice version", "linear solver", "libngspice"} <= set(report["found"])
    assert len(report["checks"]) == 4
    assert "passed" in harness("doctor", cwd=tmp_path).stdout


def test_list_names_experiments_and_data_sets() -> None:
    listed = json.loads(CliRunner().invoke(main, ["list", "--json"]).stdout)
    assert {"xor", "iris", "digits"} <= set(listed["experiments"])
    assert listed["data_sets"]["digits"] == {"samples": 1797, "channels": 64, "classes": 10}
    assert listed["data_sets"]["mnist"] == {"samples": 70000, "channels": 784, "classes": 10}
    assert "digits" in CliRunner().invoke(main, ["list"]).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "name an EXPERIMENT"),
        (["train", "nothing"], "there is no experiment 'nothing'; there are allostery, biased-updates, cascade-digits"),
        (["train", "iris", "--set", "rule.bta=3"], "unknown key 'rule.bta'; did you mean 'beta'?"),
        (["train", "iris", "--set", "rule.beta=3 V"], "'3 V' should be in S"),
        (["train", "iris", "--set", "training.epochs=0"], "training.epochs = 0: must be at least 1"),
        (["train", "iris", "--set", "nonsense"], "write key=value"),
        (["train", "--resume", "run", "--seed", "1"], "--resume goes on as the run was recorded"),
        (["train", "iris", "--chip", "board"], "'board' must be 'ngspice', 'nodal' or 'bench'"),
        (
            ["export", "iris", "--to", "f", "--samples", "0,45"],
            "sample 45: there is no such row; the held-out rows are 0…44",
        ),
        (["nothing"], "No such command"),
        (["bench", "mnist", "--seconds", "6"], "measure speed by harness benchmark mnist --seconds 6\n"),
        (["bench", "--seconds", "6", "xor"], "measure speed by harness benchmark --seconds 6 xor\n"),
        (["bench", "my runs/mine.toml"], "measure speed by harness benchmark 'my runs/mine.toml'\n"),
        (["bench"], "Work with a board on the bench of a lab.\n\nOptions:"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not result.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["train", "--resume", "gone"], ["evaluate", "gone"]])
def test_a_missing_run_exits_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "gone is no run directory" in result.stderr


@pytest.mark.ngspice
def test_a_run_is_checked_and_exported_as_it_was_trained(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    for arguments in (["check", "run"], ["export", "run", "--to", "f"]):
        result = CliRunner().invoke(main, [*arguments, "--set", "network.seed=9"])
        assert result.exit_code == 1
        assert "network.seed = 9 would make another network than the trained one" in result.stderr


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["train", "iris", *QUICK, "--run", "file/run"])
    assert result.exit_code == 1
    assert result.stderr.startswith("harness: ")


@pytest.mark.parametrize(
    "command",
    ["train", "evaluate", "export", "check", "doctor", "list", "show", "audit", "sweep", "benchmark", "import-mlp"],
)
def test_every_command_explains_itself(command: str) -> None:
    shown = CliRunner().invoke(main, [command, "--help"], prog_name="harness").stdout
    assert shown.startswith("Usage: harness")
    assert "--json" in shown


def test_an_experiment_of_ones_own_from_a_file_with_data_beside_it(tmp_path: Path) -> None:
    rows = "".join(f"{x},{y},{'up' if x > y else 'down'}\n" for x in range(6) for y in range(6) if x != y)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "rows.csv").write_text("a,b,label\n" + rows)
    text = """
name = "mine"
data = { set = "csv", file = "rows.csv", held_out = 0.2, targets = ["0 V", "4 V"] }
rule = { beta = "100 nS" }
update = { kind = "adam", rates = [1e-2] }
training = { epochs = 15, batch = 6 }
chip = { kind = "nodal" }
[network]
kind = "layered"
hidden = [4]
g_unit = "10 uS"
g_max = "100 uS"
input_gain = 5
diode = { saturation_current = "10 pA" }
"""
    (tmp_path / "mine" / "mine.toml").write_text(text)
    shown = harness("train", "mine/mine.toml", "--json", cwd=tmp_path)
    told = ["rows.csv: 30 rows", "2 inputs: a, b", "2 classes with their rows: down 15, up 15", "24 rows to train on"]
    assert all(f"  {note}" in shown.stderr for note in told)
    reached = json.loads(shown.stdout)
    assert reached["test_accuracy"] >= 0.8
    evaluated = CliRunner().invoke(main, ["evaluate", str(tmp_path / reached["run"]), "--json"])
    assert json.loads(evaluated.stdout)["test_accuracy"] == reached["test_accuracy"]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_networks_and_activations_are_drawn(tmp_path: Path, suffix: str) -> None:
    start = b"\x89PNG" if suffix == "png" else b"<?xml"
    seen = set()
    for source in ("xor-graph", "digits", "activations"):
        file = tmp_path / f"{source}.{suffix}"
        result = CliRunner().invoke(main, ["show", source, "--to", str(file)])
        assert result.exit_code == 0, result.output
        assert file.read_bytes().startswith(start)
        seen.add(file.read_bytes())
    assert len(seen) == 3


def test_a_picture_needs_a_name_that_says_which_kind() -> None:
    result = CliRunner().invoke(main, ["show", "xor", "--to", "graph.gif"])
    assert result.exit_code == 2
    assert "write a name that ends in .png or .svg" in result.stderr


def test_targets_that_no_graph_can_reach_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    far = ["--set", 'data.targets=["0 V", "7 V"]', "--set", "training.epochs=1", "--chip", "nodal"]
    result = CliRunner().invoke(main, ["train", "xor-graph", *far])
    assert result.exit_code == 0
    assert re.search(r"warning: output y0: the target 7 V of sample \d lies outside -4 V…4 V", result.stderr)
