"""`harness runs`: runs are listed, chosen, sorted and drawn, whatever else lies in their folder."""

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from harness import Experiment
from harness.cli.main import main
from harness.files.locking import alone_in, in_use
from harness.studies.runs.finding import natural
from harness.studies.sweep import Sweep
from harness.studies.sweep.deployment import Deployment
from harness.studies.sweep.jobs import perform
from harness.studies.sweep.points import grid


def make(folder: Path, name: str, *overrides: str, stop: bool = False) -> None:
    experiment = Experiment.load(name, ["chip.kind=nodal", "training.epochs=2", *overrides])
    experiment.train(experiment.create_run(folder), stop=lambda: stop, pictures=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs and a sweep."""
    folder = tmp_path_factory.mktemp("made")
    make(folder / "runs" / "xor-seed2", "xor", "training.seed=2")
    make(folder / "runs" / "xor-seed10", "xor", "training.seed=10", "rule.beta=2 uS", "update.rates=[1e-3]")
    make(folder / "runs" / "xor-coupled", "xor", "rule.kind=coupled-learning", stop=True)
    make(folder / "runs" / "lines", "regression")
    few = ["chip.kind=nodal", "training.epochs=1"]
    points = grid("xor", {"variation.spread": ["0.1", "0.3"]}, overrides=few)
    deployment = Deployment.of("xor", overrides=few, train=True)
    sweep = Sweep.create(folder / "runs" / "xor-sweep", points, deployment=deployment)
    for job in (*sweep.trainings(), *sweep.deployments()):
        assert perform(job, sweep.path / job.folder, job.start(sweep.path), lambda: False) is None
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["runs", *arguments])


def listing(*arguments: str) -> dict[str, Any]:
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def names(*arguments: str) -> list[str]:
    return [Path(run["path"]).name for run in listing(*arguments)["runs"]]


def test_a_list_says_what_each_run_is_and_reached_and_in_what_it_differs(folder: Path) -> None:
    found = {Path(run["path"]).name: run for run in listing()["runs"]}
    assert list(found) == ["lines", "xor-coupled", "xor-seed2", "xor-seed10"]  # 2 before 10
    result = json.loads((folder / "xor-seed10" / "result.json").read_text())
    ten = found["xor-seed10"]
    assert (ten["state"], ten["seed"], ten["epochs"], ten["planned"]) == ("complete", 10, 2, 2)
    assert (ten["accuracy"], ten["loss"], ten["seconds"]) == (
        result["test_accuracy"], result["test_loss"], result["seconds"]
    )  # fmt: skip
    assert ten["differs"] == {"rule.beta": "2 µS", "update.rates": "[0.001]"}
    assert found["xor-coupled"]["state"] == "stopped"
    assert (found["xor-coupled"]["epochs"], found["xor-coupled"]["accuracy"]) == (0, None)
    assert found["lines"]["score"] == "R²"
    assert found["lines"]["differs"] == {}  # alone of its experiment
    shown = invoke().stdout
    line = next(line for line in shown.splitlines() if "xor-seed10" in line)
    assert line.split()[:7] == ["runs/xor-seed10", "xor", "10", "equilibrium-propagation", "nodal", "2/2", "complete"]
    assert line.rstrip().endswith("update.rates = [0.001], rule.beta = 2 µS")
    assert f"R² {found['lines']['accuracy']:.5f}" in shown


def test_a_sweep_is_one_line_and_its_points_are_runs(folder: Path) -> None:
    (sweep,) = listing()["sweeps"]
    path, keys = "runs/xor-sweep", ["variation.spread"]
    assert sweep == {"path": path, "experiment": "xor", "points": 2, "done": 2, "keys": keys, "problem": ""}
    assert "runs/xor-sweep   xor          2/2      variation.spread" in invoke().stdout
    points = listing("runs/xor-sweep")["runs"]
    told = [(Path(run["path"]).parent.name, run["state"], run["differs"].get("variation.spread")) for run in points]
    assert told == [
        ("origins", "complete", "0.0"),
        ("points", "complete", "0.1"),
        ("points", "complete", "0.3"),
        ("deployed", "deployed", "0.1"),
        ("deployed", "deployed", "0.3"),
    ]
    assert all(run["accuracy"] is not None for run in points)


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("state=stopped", ["xor-coupled"]),
        ("state!=stopped", ["lines", "xor-seed2", "xor-seed10"]),
        ("experiment = xor", ["xor-coupled", "xor-seed2", "xor-seed10"]),
        ("rule=coupled*", ["lines", "xor-coupled"]),
        ("rule.kind=coupled-learning", ["lines", "xor-coupled"]),
        ("seed>=2", ["xor-seed2", "xor-seed10"]),
        ("rule.beta>1.5 uS", ["xor-seed10"]),
        ("rule.beta=2e-6", ["xor-seed10"]),
        ("accuracy>=0 %", ["lines", "xor-seed2", "xor-seed10"]),
        ("name=xor-seed?", ["xor-seed2"]),
        ("loss<0", []),
    ],
)
def test_conditions_choose_runs(folder: Path, condition: str, left: list[str]) -> None:
    assert names("--where", condition) == left


def test_conditions_add_up_and_sorting_puts_what_is_unknown_last(folder: Path) -> None:
    assert names("--where", "experiment=xor", "--where", "seed<10", "--where", "state=complete") == ["xor-seed2"]
    assert names("--sort", "seed", "--where", "experiment=xor") == ["xor-coupled", "xor-seed2", "xor-seed10"]
    assert names("--sort", "seed", "--reverse", "--where", "experiment=xor", "--first", "1") == ["xor-seed10"]
    assert names("--sort", "seconds")[-1] == "xor-coupled"
    assert names("--sort", "seconds", "--reverse")[-1] == "xor-coupled"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--where", "accuracy"], "--where accuracy: write a column or key, a sign and a value, such as accuracy>0.9"),
        (["--where", "acuracy>0.9"], "--where acuracy>0.9: no run has 'acuracy'; did you mean 'accuracy'?"),
        (
            ["--where", "rule.beta<1 V"],
            "--where rule.beta<1 V: < compares numbers with numbers, and rule.beta or '1 V' is none; use = or !=",
        ),
        (["--sort", "sead"], "--sort sead: no run has 'sead'; did you mean 'seed'?"),
        (["nowhere"], "nowhere is no folder of runs: it is not there; 'harness train' makes runs in runs"),
        (["runs/xor-seed2/result.json"], "runs/xor-seed2/result.json is no folder of runs: it is a file"),
        (["--where", "state=stopped", "--to", "x.png"], "--to: none of the listed runs has finished an epoch"),
        (["--to", "x.pdf"], "--to x.pdf: write a name that ends in .png or .svg"),
    ],
)
def test_what_is_wrong_is_one_sentence(folder: Path, arguments: list[str], told: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit)
    assert told in result.stderr.splitlines()[-1]


def spoil(runs: Path) -> None:
    for name in ("pipe", "cut", "empty", "list", "short", "other"):
        shutil.copytree(runs / "xor-seed2", runs / name)
    for file in ("manifest.json", "epochs.csv"):
        (runs / "pipe" / file).unlink()
        os.mkfifo(runs / "pipe" / file)
    (runs / "cut" / "manifest.json").write_bytes((runs / "cut" / "manifest.json").read_bytes()[:300])
    (runs / "empty" / "manifest.json").unlink()
    (runs / "list" / "manifest.json").write_text("[]")
    (runs / "short" / "epochs.csv").write_bytes((runs / "short" / "epochs.csv").read_bytes()[:200])
    shutil.copy(runs / "lines" / "result.json", runs / "other" / "result.json")
    (runs / "notes" / "deep").mkdir(parents=True)
    (runs / "notes" / "loop").symlink_to("..")
    (runs / "self").symlink_to("self")
    (runs / "again").symlink_to("xor-seed2")
    (runs / "nothing").symlink_to("not-there")
    (runs / "old-sweep").mkdir()
    (runs / "old-sweep" / "sweep.json").write_text('{"points": [3]}')
    (runs / "figure.png").write_bytes(b"")
    (runs / "strange\x1b[31m").mkdir()


def test_what_is_damaged_foreign_or_a_loop_is_a_line_each(folder: Path) -> None:
    spoil(folder)
    results: list[Result] = []
    asking = threading.Thread(target=lambda: results.append(invoke()), daemon=True)
    asking.start()
    asking.join(60)  # a pipe would hang it
    (result,) = results
    assert result.exit_code == 0, result.output
    assert {name for name in names() if name in ("lines", "xor-coupled", "xor-seed2", "xor-seed10")} == {
        "lines", "xor-coupled", "xor-seed2", "xor-seed10"
    }  # fmt: skip
    damaged = [line for line in result.stderr.splitlines() if line.startswith("damaged: ")]
    told = {
        "pipe": "manifest.json: it is a named pipe, not a plain file",
        "cut": "manifest.json: not valid JSON",
        "empty": "is no run directory: it holds no manifest.json",
        "list": "it holds no JSON object {…} but a list",
        "short": "epochs.csv",
        "other": "result.json and epochs.csv are not of the same run",
        "old-sweep": "sweep.json is damaged",
    }
    assert len(damaged) == len(told)
    for name, why in told.items():
        assert any(f"runs/{name}" in line and why in line for line in damaged), name
    assert "runs/self cannot be looked into: Too many levels of symbolic links" in result.stderr
    assert "runs/notes/loop leads to a folder that was looked at already" in result.stderr
    assert "leads to a folder that was looked at already" in result.stderr
    assert "no runs in 1 folder: runs/strange\\x1b[31m" in result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    assert names("--where", "state=damaged") == ["cut", "empty", "list", "other", "pipe", "short"]


def test_a_thousand_runs_are_listed(folder: Path) -> None:
    for name in (*(f"many/run{k}" for k in range(1000)), *(f"few/run{k}" for k in range(21))):
        target = folder / name
        target.mkdir(parents=True)
        for file in ("manifest.json", "experiment.toml", "epochs.csv", "result.json"):
            os.link(folder / "xor-seed2" / file, target / file)
    result = invoke("runs/many", "--first", "3")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines() if "many" in line] == [
        "runs/many/run0", "runs/many/run1", "runs/many/run2"
    ]  # fmt: skip
    assert "3 of 1,000 runs" in result.stdout
    told = invoke("runs/few", "--to", "x.png")
    assert told.exit_code == 2
    assert "--to: 21 runs are too many for one picture, which shows 20" in told.stderr


@pytest.mark.parametrize("name", ["chosen.png", "chosen.svg"])
def test_chosen_runs_are_drawn(folder: Path, name: str) -> None:
    result = invoke("--to", name, "--where", "state=complete")
    assert result.exit_code == 0, result.output
    drawn = Path(name).read_bytes()
    assert drawn.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    assert f"wrote {name}" in result.stdout
    if name.endswith("svg"):
        for text in (b"held-out loss", b"held-out accuracy", b"held-out R", b"runs/xor-seed10"):
            assert text in drawn


def test_a_run_that_is_trained_now_says_so(folder: Path) -> None:
    assert names("--where", "state=training") == []
    with alone_in(folder / "xor-coupled", "run"):
        assert names("--where", "state=training") == ["xor-coupled"]
    assert not in_use(folder / "xor-coupled")


def test_an_empty_folder_says_how_to_make_a_run(tmp_path: Path) -> None:
    result = invoke(str(tmp_path))
    assert result.exit_code == 0
    assert result.stdout == f"no run in {tmp_path}; make one with: harness train EXPERIMENT\n"
    assert listing(str(tmp_path)) == {"runs": [], "sweeps": [], "foreign": [], "notes": []}


@given(st.integers(0, 10**14), st.integers(0, 10**14), st.text(max_size=3))
def test_numbers_in_names_are_sorted_as_numbers(a: int, b: int, rest: str) -> None:
    if not rest[:1].isdigit():
        assert (natural(f"seed{a}{rest}") < natural(f"seed{b}{rest}")) == (a < b)
