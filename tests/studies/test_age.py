"""`harness age`: closed forms, refresh, compensation, its folder, and what it refuses."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.studies.age.measuring import Compensation, Look, Shelving, factors, looks
from harness.studies.age.shelf import Shelf
from harness.training.runs import Run

SHORT = ["chip.kind=nodal", "training.epochs=2"]
DRIFT = ["--set", "retention.drift=0.05"]
SPREAD = [*DRIFT, "--set", "retention.drift_spread=0.02"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("age") / "run"
    subject = Experiment.load("iris", SHORT)
    subject.train(subject.create_run(path), pictures=False)
    return path


def age(*words: object) -> Result:
    return CliRunner().invoke(main, ["age", *map(str, words)])


def told(*words: object) -> dict[str, list[dict[str, float]]]:
    result = age(*words, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, list[dict[str, float]]] = json.loads(result.stdout)
    return found


def of(found: dict[str, list[dict[str, float]]], use: str) -> list[dict[str, float]]:
    return [row for row in found["looks"] if row["use"] == use]


def test_uniform_drift_leaves_the_share_of_the_power_law(run: Path) -> None:
    times = (1.0, 3600.0, 86400.0, 31557600.0)
    found = of(told(run, *DRIFT, "--over", "1s,1h,1d,1y"), "as it is")
    assert [row["seconds"] for row in found] == [0.0, *times]
    expected = [1.0, *(float(np.exp(-0.05 * np.log1p(t / 20.0))) for t in times)]
    np.testing.assert_allclose([row["left"] for row in found], expected, rtol=1e-12)
    assert found[0]["output_error"] < 1e-9
    assert found[0]["cosine"] > 0.99999
    errors = [row["output_error"] for row in found]
    assert errors == sorted(errors)


def test_a_refresh_brings_back_what_was_trained_and_counts(run: Path) -> None:
    found = told(run, *SPREAD, "--over", "1h,25h,48h", "--refresh", "1d")
    plain, fresh = of(found, "as it is"), of(found, "refreshed")
    assert [row["refreshes"] for row in fresh] == [0, 0, 1, 2]
    assert not any(row["refreshes"] for row in plain)
    assert fresh[1]["output_error"] == plain[1]["output_error"]
    assert fresh[2]["output_error"] == pytest.approx(plain[1]["output_error"], rel=1e-9)  # an hour after the write
    assert fresh[3]["output_error"] < 1e-9 < 1e-3 < plain[3]["output_error"]


def test_random_parts_are_drawn_anew_at_every_refresh() -> None:
    subject = Experiment.load("iris", [*SHORT, "retention.relaxation=0.01", "retention.telegraph=0.05"])
    with subject.open_chip() as chip:
        start = chip.conductances
        shelf, seen = Shelf(chip, start, 10.0), []
        for seconds in (9.0, 19.0, 29.0):
            shelf.until(seconds)
            seen.append(chip.conductances[0])
        assert shelf.refreshes == 2
        moved = [(g - start[0])[start[0] > 0].ravel() for g in seen]
        for a, b in ((0, 1), (1, 2), (0, 2)):
            assert abs(np.corrcoef(moved[a], moved[b])[0, 1]) < 0.4
        with pytest.raises(ExperimentError, match="28 s on the shelf must be finite and not before the 29 s of now"):
            shelf.until(28.0)
        with pytest.raises(ExperimentError, match="an interval of 0 s between refreshes must be above 0 s"):
            Shelf(chip, start, 0.0)


def test_factors_are_ratios_of_summed_sizes() -> None:
    then, now = np.array([[1.0, -2.0], [3.0, 0.0]]), np.array([[0.5, -1.0], [1.5, 0.0]])
    assert factors(Compensation.CHIP, then, now) == 2.0
    np.testing.assert_array_equal(factors(Compensation.OUTPUTS, then, np.array([[0.25, -1], [0.75, 0]])), [4.0, 2.0])
    np.testing.assert_array_equal(factors(Compensation.OUTPUTS, then, now * [1, 0]), [2.0, 1.0])


def test_a_compensation_scales_what_is_read_and_nothing_else(run: Path) -> None:
    found = told(run, *DRIFT, "--over", "1y", "--compensate", "--per-output", "--refresh", "1d")
    uses = {"compensated", "outputs compensated"}
    assert {row["use"] for row in found["looks"]} == {
        "as it is",
        "refreshed",
        *uses,
        *(f"refreshed, {use}" for use in uses),
    }
    plain, scaled = (of(found, use)[-1] for use in ("as it is", "compensated"))
    assert scaled["accuracy"] == plain["accuracy"]  # one factor changes no largest output
    assert scaled["output_error"] != plain["output_error"]
    assert scaled["cosine"] is None
    first = [row["output_error"] for row in found["looks"] if row["seconds"] == 0]
    assert max(first) < 1e-9


def test_other_chips_have_other_devices_and_means_over_them(run: Path, tmp_path: Path) -> None:
    found = told(run, *SPREAD, "--over", "1d", "--chips", "3", "--to", tmp_path / "out")
    assert sorted({row["chip"] for row in found["looks"]}) == [1, 2, 3]
    errors = [row["output_error"] for row in of(found, "as it is") if row["seconds"]]
    assert len(set(errors)) == 3
    (mean,) = [row for row in found["means"] if row["seconds"]]
    assert mean["output_error"] == pytest.approx(np.mean(errors), rel=1e-12)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["ageing.csv", "ageing.json", "ageing.png"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "ageing.csv").read_text())))
    assert [float(row["output error (V)"]) for row in rows if float(row["time (s)"])] == errors
    assert (tmp_path / "out" / "ageing.png").read_bytes().startswith(b"\x89PNG")
    kept = json.loads((tmp_path / "out" / "ageing.json").read_text())
    assert kept["looks"] == found["looks"]
    assert kept["retention"]["drift"] == 0.05
    again = age(run, *SPREAD, "--over", "1d", "--chips", "3")
    assert "means over 3 chips, with standard deviations" in again.output
    assert "±" in again.output


def test_heat_shortens_the_lifetime(run: Path) -> None:
    loss = ["--set", "retention.lifetime=1000h", "--set", "retention.activation_energy=1.1", "--over", "1000h"]
    shares = [of(told(run, *loss, "--at", celsius), "as it is")[-1]["left"] for celsius in (27, 85, 125)]
    assert shares[1] == pytest.approx(np.exp(-1), rel=1e-9)
    assert shares[0] > 0.99 > shares[1] > 0.01 > shares[2]


def test_a_chip_goes_on_from_its_last_step(tmp_path: Path) -> None:
    """Most cells here are written at the start and never again: they have drifted, and drift on from there."""
    laws = ["retention.drift=0.05", "retention.step_time=1h", "subset.fraction=0.25", "subset.choose=random"]
    subject = Experiment.load("iris", [*SHORT, "training.epochs=1", *laws])
    trained = subject.create_run(tmp_path / "aged")
    subject.train(trained, pictures=False)
    own = of(told(trained.path, "--over", "1h"), "as it is")
    other = of(told(trained.path, "--over", "1h", "--set", "variation.seed=7"), "as it is")
    assert own[0]["left"] == other[0]["left"] == 1.0
    assert own[1]["left"] > other[1]["left"] + 0.01  # freshly written cells lose more in their first hour
    assert other[1]["left"] == pytest.approx(181**-0.05, rel=1e-12)


@pytest.mark.ngspice
def test_both_simulators_give_the_same_figures(run: Path) -> None:
    subject = Experiment.of_run(Run(run), ["chip.kind=ngspice", "retention.drift=0.05", "retention.drift_spread=0.02"])
    nodal = Experiment.of_run(Run(run), ["retention.drift=0.05", "retention.drift_spread=0.02"])
    shelving = Shelving((3600.0,), samples=4)
    ours, theirs = ([*looks(each, Run(run), shelving)] for each in (subject, nodal))
    for a, b in zip(ours, theirs, strict=True):
        assert isinstance(a, Look)
        assert (a.left, a.accuracy, a.use) == (b.left, b.accuracy, b.use)
        assert a.output_error == pytest.approx(b.output_error, abs=1e-5)
        assert a.cosine == pytest.approx(b.cosine, abs=1e-3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--over", "1h,1s"], "'1s' does not come after '1h'"),
        (["--over", "1h,1h"], "'1h' does not come after '1h'"),
        (["--over", "-1h"], "'-1h' must be above 0 s"),
        (["--over", "0"], "'0' must be above 0 s"),
        (["--over", "1m"], "'1m' is no time; write a number with one of the units s (also ms, us, ns), min, h, d, y"),
        (["--over", "1h,,1d"], "'' is no quantity"),
        (["--over", "1e400"], "is not finite"),
        (["--over", ",".join(["1"] * 2000)], "2,000 times; at most 1,000 are taken"),
        (["--refresh", "0s"], "'0s' must be above 0 s"),
        (["--at", "-300"], "-300 °C must be above absolute zero, -273.15 °C"),
        (["--at", "nan"], "nan °C must be above absolute zero"),
        (["--set", "retention.law=7"], "unknown key 'retention.law'"),
        ([], "nothing ages: no law of [retention] has a strength; give one, such as --set retention.drift=0.05"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(run: Path, words: list[str], message: str) -> None:
    given = DRIFT if words and "retention" not in words[1] else []
    result = age(run, *given, *words)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_what_is_no_run_and_a_folder_that_is_there_are_refused_at_once(run: Path, tmp_path: Path) -> None:
    result = age("iris", *DRIFT, "--set", "chip.kind=nodal")
    assert result.exit_code == 2
    assert "iris is no run; train it first" in " ".join(result.output.split())
    for place, message in ((tmp_path, "something is there already"), (tmp_path / "a" / "b", "there is no folder")):
        result = age(run, *DRIFT, "--to", place, "--chips", "10000")
        assert result.exit_code == 2
        assert message in result.output
    assert [*tmp_path.iterdir()] == []


def test_a_damaged_history_is_refused(tmp_path: Path) -> None:
    subject = Experiment.load("iris", [*SHORT, "training.epochs=1", "retention.drift=0.05"])
    trained = subject.create_run(tmp_path / "run")
    subject.train(trained, pictures=False)
    file = trained.path / "checkpoint.npz"
    with np.load(file) as saved:
        arrays = dict(saved)
    arrays["past_since_0"] = arrays["past_since_0"] + 1e9
    np.savez(file, **arrays)
    result = age(trained.path)
    assert result.exit_code == 1
    assert "a cell of crossbar w1 has a state that no training gives" in " ".join(result.output.split())


def test_ctrl_c_leaves_nothing(run: Path, tmp_path: Path) -> None:
    command = shutil.which("harness", path=os.path.dirname(sys.executable)) or "harness"
    words = [command, "age", str(run), *DRIFT, "--chips", "10000", "--to", str(tmp_path / "out")]  # hours
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "after" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert output == ""
    assert [*tmp_path.iterdir()] == []
