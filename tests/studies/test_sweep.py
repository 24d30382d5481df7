"""Sweeps: the same table however many processes, whatever becomes of them, and none left behind."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from harness import Experiment
from harness.cli.main import main
from harness.cli.sweep import read_over
from harness.errors import ExperimentError, RunError
from harness.pictures.sweeps import draw_sweep
from harness.studies.sweep import Ended, Sweep, run
from harness.studies.sweep.jobs import Job, in_processes
from harness.studies.sweep.points import grid
from tests.chip.test_pool import workers_of

QUICK = ["--chip", "nodal", "--set", "training.epochs=3"]
OVERRIDES = ["chip.kind=nodal", "training.epochs=3"]
OVER = {"rule.beta": ["1 uS", "0.5 uS"], "update.kind": ["sgd", "adam"]}
PNG = b"\x89PNG\r\n\x1a\n"
REACHED = ["test_accuracy", "train_accuracy", "test_loss", "seconds"]
LEDGER = ["phases", "nodes_read", "voltages_set", "conductances_written", "energy"]
LEDGER += ["pulses", "reads_to_verify", "write_energy", "sparse_sweeps"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A complete sweep of eight points on two processes: its directory, and what --json printed."""
    folder = tmp_path_factory.mktemp("swept")
    over = [word for key, values in OVER.items() for word in ("--over", f"{key}={','.join(values)}")]
    shown = command("xor", *QUICK, *over, "--seeds", "2", "--workers", "2", "--json", cwd=folder)
    return folder / "runs" / "xor-sweep", json.loads(shown.stdout)


def command(*words: str, cwd: Path, code: int = 0) -> Result:
    """A call of `harness sweep` in this process, whose workers fork from a server that stays."""
    before = Path.cwd()
    os.chdir(cwd)
    try:
        result = CliRunner().invoke(main, ["sweep", *words])
    finally:
        os.chdir(before)
    assert result.exit_code == code, result.output
    return result


def table_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "results.csv", dtype=str, keep_default_na=False).drop(columns="seconds")


def traces(folder: Path) -> dict[str, bytes]:
    """What tells two trainings apart: every step, and the trained conductances."""
    files = [*folder.glob("points/*/steps.csv"), *folder.glob("points/*/conductances.npz")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_rows_come_in_the_order_of_the_grid(swept: tuple[Path, dict[str, Any]]) -> None:
    table = pd.read_csv(swept[0] / "results.csv")
    assert list(table.columns) == [
        "rule.beta",
        "update.kind",
        "seed",
        *REACHED,
        *LEDGER,
        "unstable_states",
        "run",
        "error",
    ]
    found = list(table[["rule.beta", "update.kind", "seed"]].itertuples(index=False, name=None))
    assert found == [(beta, kind, seed) for beta in (1e-6, 5e-7) for kind in ("sgd", "adam") for seed in (0, 1)]
    assert table["error"].isna().all()
    assert (table["phases"] == 36).all()


def test_values_reach_the_runs(swept: tuple[Path, dict[str, Any]]) -> None:
    rows = swept[1]["points"]
    for row in rows:
        settings = Experiment.from_file(swept[0] / row["run"] / "experiment.toml").settings
        reached = json.loads((swept[0] / row["run"] / "result.json").read_text())
        assert (settings.rule.model_dump()["beta"], settings.update.kind) == (row["rule.beta"], row["update.kind"])
        assert (settings.training.seed, settings.training.epochs) == (row["seed"], 3)
        assert all(reached[name] == row[name] for name in (*REACHED, *LEDGER))
    assert len({row["test_loss"] for row in rows}) == 8
    assert rows[1]["run"] == "points/1-beta=1e-06-kind=sgd-seed=1"


def test_json_is_alone_on_stdout_and_says_what_the_table_says(swept: tuple[Path, dict[str, Any]]) -> None:
    folder, shown = swept
    assert shown["directory"] == "runs/xor-sweep"
    table = pd.read_csv(folder / "results.csv", dtype=str, keep_default_na=False).to_dict("records")
    assert table == [{key: "" if v is None else str(v) for key, v in row.items()} for row in shown["points"]]


def test_the_directory_says_what_the_sweep_is(swept: tuple[Path, dict[str, Any]]) -> None:
    content = json.loads((swept[0] / "sweep.json").read_text())
    assert content["experiment"] == "xor"
    assert content["keys"] == {"rule.beta": [1e-6, 5e-7], "update.kind": ["sgd", "adam"]}
    assert content["seeds"] == [0, 1]
    assert (swept[0] / "sweep.png").read_bytes().startswith(PNG)
    assert (swept[0] / "results.parquet").exists() == (find_spec("pyarrow") is not None)


def test_the_number_of_processes_changes_no_bit(swept: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    opened = Sweep.create(tmp_path / "serial", grid("xor", OVER, seeds=2, overrides=OVERRIDES))
    seen: list[str] = []
    outcome = run(opened, workers=1, watch=lambda ended: seen.append(ended.folder))
    assert seen == list(outcome.table["run"])
    assert (outcome.missing, outcome.errors) == (0, {})
    pd.testing.assert_frame_equal(table_of(opened.path), table_of(swept[0]))
    assert traces(opened.path) == traces(swept[0])


def test_resume_does_what_is_missing_and_nothing_else(swept: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    shutil.copytree(swept[0], tmp_path / "copy")
    points = sorted((tmp_path / "copy" / "points").iterdir())
    (points[2] / "result.json").unlink()
    shutil.rmtree(points[5])
    (tmp_path / "copy" / "results.csv").unlink()
    before = {
        point: (point / "result.json").stat().st_mtime_ns for point in points if point not in (points[2], points[5])
    }
    result = command("--resume", "copy", cwd=tmp_path)
    assert result.stderr.count("held out") == 2
    assert result.stdout.count("±") == 4 * 4 + 1
    assert before == {point: (point / "result.json").stat().st_mtime_ns for point in before}
    pd.testing.assert_frame_equal(table_of(tmp_path / "copy"), table_of(swept[0]))
    assert traces(tmp_path / "copy") == traces(swept[0])
    assert "held out" not in command("--resume", "copy", cwd=tmp_path).stderr


@pytest.mark.parametrize("section", ["rule", "update"])
def test_an_edited_sweep_is_not_believed(swept: tuple[Path, dict[str, Any]], tmp_path: Path, section: str) -> None:
    shutil.copytree(swept[0], tmp_path / "copy")
    file = tmp_path / "copy" / "sweep.json"
    content = json.loads(file.read_text())
    point = content["points"][3]
    if section == "rule":  # what heads the row says one thing, the settings another
        point["values"]["rule.beta"] = 7e-7
        wanted = "rule.beta is 7e-07 in its values, "
    else:  # both say what the run was not trained with
        point["settings"]["update"]["rates"] = [0.5, 0.5]
        wanted = "update.rates is .*0.5.*, but the run was made with "
    file.write_text(json.dumps(content))
    assert re.search(wanted, command("--resume", "copy", cwd=tmp_path, code=1).stderr)


def test_cells_with_a_device_s_own_conductances_are_swept_and_resumed(tmp_path: Path) -> None:
    device = ["--set", "programming.device=TaOx/HfOx", "--set", "programming.range=device"]
    words = ["xor", *QUICK, *device, "--workers", "1"]
    command(*words, "--over", "programming.mode=exact,open-loop", "--to", "modes", cwd=tmp_path)
    table = table_of(tmp_path / "modes")
    assert list(table["programming.mode"]) == ["exact", "open-loop"]
    assert list(table["pulses"].astype(int) > 0) == [False, True]
    shutil.rmtree(next((tmp_path / "modes" / "points").glob("*exact*")))
    command("--resume", "modes", "--workers", "1", cwd=tmp_path)
    pd.testing.assert_frame_equal(table_of(tmp_path / "modes"), table)


def test_a_point_that_fails_stops_no_other(tmp_path: Path) -> None:
    over = ["--over", "chip.access=outputs,nodes", "--over", "network.hidden=[4],[5,5]", "--set", "network.bias=[]"]
    shown = command(
        "xor", *QUICK, *over, "--set", "update.rates=[1e-2]", "--set", "rule.beta=auto", "--json", cwd=tmp_path, code=1
    )
    rows = json.loads(shown.stdout)["points"]
    assert [row["network.hidden"] for row in rows] == ["[4]", "[5, 5]"] * 2
    assert [row["test_accuracy"] is None for row in rows] == [True, True, False, False]
    assert [row["phases"] for row in rows] == [None, None, 36, 36]
    assert "needs voltages of nodes" in rows[0]["error"]
    assert (
        "2 of 4 points failed, see results.csv; try again with: harness sweep --resume runs/xor-sweep" in shown.stderr
    )
    assert ",36," in (tmp_path / "runs" / "xor-sweep" / "results.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["xor"], "nothing is swept; give --over KEY=V1,V2,…, --random KEY=LOW..HIGH, --seeds or --chips"),
        (["--seeds", "2"], "name an EXPERIMENT"),
        (["nothing", "--seeds", "2"], "no experiment 'nothing'"),
        (["xor", "--over", "training.epochs"], "write KEY=V1,V2,…, such as training.epochs=3,10"),
        (["xor", "--over", "training.epochs=3,,4"], "write KEY=V1,V2,…"),
        (["xor", "--over", "training.epochs=3,0"], "--over training.epochs=0: training.epochs = 0: must be at least 1"),
        (["xor", "--over", "rule.bta=1,2"], "unknown key 'rule.bta'; did you mean 'beta'?"),
        (["xor", "--over", "rule.beta=1 uS,3 V"], "'3 V' should be in S"),
        (["xor", "--over", "rule.beta=1 uS,1e-6"], "'rule.beta=1 uS' and 'rule.beta=1e-6' are the same experiment"),
        (["xor", "--over", "chip.kind=nodal", "--over", "chip.kind=ngspice"], "chip.kind is swept already"),
        (["xor", "--over", "training.seed=1,2", "--seeds", "2"], "are the same experiment"),
        (["--resume", "gone", "--seeds", "2"], "--resume goes on as the sweep was recorded"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["sweep", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_told_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--set", "data.set=csv", "--over", "data.file=one.csv,two.csv"]
    result = CliRunner().invoke(main, ["sweep", "xor", *arguments])
    assert result.exit_code == 1
    assert "one.csv: there is no such file" in result.stderr
    assert not list(tmp_path.iterdir())


def test_directories_that_are_no_sweeps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="it holds no sweep"):
        Sweep(tmp_path)
    (tmp_path / "sweep.json").write_text('{"points": [{"name": "0"}]}')
    with pytest.raises(RunError, match="damaged, or of another version"):
        Sweep(tmp_path)
    with pytest.raises(RunError, match="exists already; go on with --resume"):
        Sweep.create(tmp_path, grid("xor", {}))
    with pytest.raises(ExperimentError, match="a sweep without points"):
        grid("xor", {"training.epochs": []})


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("points",), [], "points: List should have at least 1 item"),
        (("points",), 7, "points: must be a valid list"),
        (("points", 0), 7, "points.0: must be a section, not a value"),
        (("points", 1, "name"), ["1"], "points.1.name: must be a text in quotes"),
        (("points", 1, "name"), "../../elsewhere", "points.1.name: "),
        (("points", 1, "name"), "..", "'..' is no name of a folder in the sweep"),
        (("points", 0, "chip"), {"a": 1}, "points.0.chip: must be a whole number"),
        (("points", 0, "chip"), 3, "differ in what they have values of"),
        (("points", 0, "values"), {}, "differ in what they have values of"),
        (("points", 0, "values", "training.epochs"), [1], "points.0.values.training.epochs"),
        (("points", 0, "values", "training.epochs"), 3, "training.epochs is 3 in its values, 1 in its settings"),
        (("random",), ["training.epochs"], "random: must be a section"),
        (("random",), {"rule.beta": {}}, "random: no point has a value of rule.beta"),
        (("deployment",), {"origins": [], "run": None, "tune": 0, "train": False}, "deployment.origins"),
        (("plugins",), 5, "plugins: must be a valid list"),
    ],
)
def test_a_damaged_sweep_is_refused_by_its_key(tmp_path: Path, place: tuple[Any, ...], value: Any, told: str) -> None:
    Sweep.create(tmp_path / "sweep", grid("xor", {"training.epochs": [1, 2]}))
    content = json.loads((tmp_path / "sweep/sweep.json").read_text())
    *above, last = place
    inside = content
    for part in above:
        inside = inside[part]
    inside[last] = value
    (tmp_path / "sweep/sweep.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="damaged, or of another version") as caught:
        Sweep(tmp_path / "sweep")
    assert told in str(caught.value)


def test_points_of_a_sweep_have_names_of_their_own(tmp_path: Path) -> None:
    Sweep.create(tmp_path / "sweep", grid("xor", {"training.epochs": [1, 2]}))
    file = tmp_path / "sweep/sweep.json"
    content = json.loads(file.read_text())
    content["points"][1]["name"] = content["points"][0]["name"]
    file.write_text(json.dumps(content))
    with pytest.raises(RunError, match="two points have one name"):
        Sweep(tmp_path / "sweep")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("k=1,2", ["1", "2"]),
        ("k=[1,2]", ["1", "2"]),
        (" k = 1 uS, 2 uS ", ["1 uS", "2 uS"]),
        ("k=[10],[20,30]", ["[10]", "[20,30]"]),
        ("k=[[10],[20,30]]", ["[10]", "[20,30]"]),
        ("k=[[10]]", ["[10]"]),
        ("k='a,b',\"c]\"", ["'a,b'", '"c]"']),
        ("k={ x = [1, 2], y = 3 },4", ["{ x = [1, 2], y = 3 }", "4"]),
    ],
)
def test_values_are_split_at_their_commas(text: str, values: list[str]) -> None:
    assert read_over([text]) == {"k": values}


def test_python_values_are_taken_as_they_are() -> None:
    over = {"update.to_zero": [False, True], "network.hidden": [[4], [5]], "rule.beta": [1e-6, "2 uS"]}
    points = grid("xor", over, overrides=OVERRIDES)
    assert [point.values["update.to_zero"] for point in points] == ["false"] * 4 + ["true"] * 4
    assert [point.values["network.hidden"] for point in points] == [4, 4, 5, 5] * 2
    assert [point.values["rule.beta"] for point in points] == [1e-6, 2e-6] * 4
    assert points[7].settings.update.to_zero is True
    assert all(
        point.name.replace("-", "").replace("=", "").replace(".", "").replace("_", "").isalnum() for point in points
    )


def test_only_one_process_trains_in_a_directory(tmp_path: Path) -> None:
    import fcntl

    opened = Sweep.create(tmp_path / "sweep", grid("xor", {}, overrides=OVERRIDES))
    with (opened.path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="in use by another process"):
            run(opened)
    with pytest.raises(ValueError, match="0 worker processes; at least 1 is needed"):
        run(opened, workers=0)


@pytest.mark.ngspice
def test_points_are_trained_in_ngspice(tmp_path: Path) -> None:
    opened = Sweep.create(
        tmp_path / "sweep", grid("xor", {"chip.kind": ["ngspice", "nodal"]}, overrides=["training.epochs=3"])
    )
    losses = run(opened, workers=2).table["test_loss"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != losses[1]


def test_the_picture_is_drawn_from_the_table() -> None:
    def drawn(keys: list[str], **columns: list[Any]) -> bytes:
        frame = pd.DataFrame({"seed": [0, 1, 0, 1], "test_accuracy": [0.5, 0.7, 0.9, math.nan], **columns})
        return draw_sweep(frame, keys, "name")

    pictures = [
        drawn(["a.k"], **{"a.k": [1, 1, 2, 2]}),
        drawn(["a.k"], **{"a.k": [1, 1, 40, 40]}),
        drawn(["a.k"], **{"a.k": ["x", "x", "y", "y"]}),
        drawn(["a.k", "b.k"], **{"a.k": ["x", "y", "x", "y"], "b.k": [1.0, 1.0, 2.0, 2.0]}),
        drawn([]),
        drawn([], test_accuracy=[math.nan] * 4),
    ]
    assert all(picture.startswith(PNG) for picture in pictures)
    assert len(set(pictures)) == len(pictures)
    assert drawn([]) == pictures[4]


# What becomes of processes


@pytest.fixture
def long(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A sweep that is busy with its second point for seconds, in a session of its own: all its processes are found."""
    command = shutil.which("harness", path=os.path.dirname(sys.executable)) or "harness"
    over = ["--over", "training.epochs=3,4000,4001", "--workers", "2", "--to", "sweep", "--json"]
    with subprocess.Popen(
        [command, "sweep", "xor", "--chip", "nodal", *over],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            until(lambda: list(tmp_path.glob("sweep/points/1*/checkpoint.npz")) or process.poll() is not None)
            yield process
        finally:
            for pid in processes_of(process.pid):
                os.kill(pid, signal.SIGKILL)


def processes_of(session: int) -> dict[int, bytes]:
    """Live processes of a session, and their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, of = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
    return found


def until(condition: Callable[[], object], within: float = 60) -> None:
    limit = time.monotonic() + within
    while not condition():
        assert time.monotonic() < limit, "took too long"
        time.sleep(0.02)


def test_ctrl_c_leaves_checkpoints_and_no_process(long: subprocess.Popen[str], tmp_path: Path) -> None:
    os.killpg(long.pid, signal.SIGINT)  # to all processes, as a terminal does
    out, err = long.communicate(timeout=60)
    assert long.returncode == 1, err
    assert "go on with: harness sweep --resume sweep" in err
    assert "Traceback" not in err
    assert len(json.loads(out)["points"]) <= 1
    until(lambda: not processes_of(long.pid), within=10)
    assert not list(tmp_path.glob("sweep/points/1*/result.json"))
    resumed = command("--resume", "sweep", "--json", cwd=tmp_path)
    assert [row["training.epochs"] for row in json.loads(resumed.stdout)["points"]] == [3, 4000, 4001]
    assert not list(tmp_path.glob("**/.*-????????"))


def test_a_killed_command_takes_its_workers_along(long: subprocess.Popen[str]) -> None:
    assert len(workers_of(long.pid)) == 2
    long.kill()
    until(lambda: not processes_of(long.pid), within=10)


def test_killed_workers_are_replaced(tmp_path: Path) -> None:
    points = grid("xor", {"training.epochs": [3, 100, 101]}, overrides=OVERRIDES)
    killed: list[int] = []

    def kill(_: Ended) -> None:
        if not killed:
            killed.extend(workers_of(os.getpid()))
            for worker in killed:
                os.kill(worker, signal.SIGKILL)

    outcome = run(Sweep.create(tmp_path / "sweep", points), workers=2, watch=kill)
    assert len(killed) == 2
    assert (len(outcome.table), outcome.missing, outcome.errors) == (3, 0, {})


class _Deadly:
    """Settings that kill whoever reads them."""

    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        return os._exit, (3,)  # type: ignore[return-value]


def test_a_point_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    (point,) = grid("xor", {}, overrides=OVERRIDES)
    good, bad = Job("good", point.settings), Job("deadly", _Deadly())  # type: ignore[arg-type]
    ended = list(in_processes([bad, good], tmp_path, 2, lambda: False))
    assert (good, None) in ended
    assert [error for job, error in ended if job is bad] == [
        "its worker process died 4 times; if memory is short, use fewer workers"
    ]
    assert (tmp_path / "good" / "result.json").exists()
