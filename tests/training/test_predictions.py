"""Runs of data of one's own: what is told before training, and results in the data's own words and units."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from harness.cli.main import main
from harness.learning.costs import explained

TEXT = """
name = "mine"
data = {{ set = "csv", file = "rows.csv", {data}, held_out = 0.25 }}
rule = {{ beta = "0.3 uS" }}
update = {{ kind = "adam", rates = [2e-2] }}
training = {{ epochs = 12, batch = 8 }}
chip = {{ kind = "nodal" }}
[network]
kind = "layered"
hidden = [6]
g_unit = "10 uS"
g_max = "100 uS"
input_gain = 5
diode = {{ saturation_current = "10 pA" }}
"""


def trained(folder: Path, table: pd.DataFrame, data: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict, str]:  # type: ignore[type-arg]
    """What a training reached, and what was told before it."""
    monkeypatch.chdir(folder)
    table.to_csv("rows.csv", index=False)
    Path("mine.toml").write_text(TEXT.format(data=data))
    shown = CliRunner().invoke(main, ["train", "mine.toml", "--json"])
    assert shown.exit_code == 0, shown.output
    return json.loads(shown.stdout), shown.stderr


def evaluated(run: str) -> tuple[dict, pd.DataFrame]:  # type: ignore[type-arg]
    """What an evaluation says, and its predictions."""
    shown = CliRunner().invoke(main, ["evaluate", run, "--to", "said.csv", "--json"])
    assert shown.exit_code == 0, shown.output
    return json.loads(shown.stdout), pd.read_csv(io.BytesIO(Path("said.csv").read_bytes()))


def test_values_are_learned_and_told_in_their_own_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(80, 2))
    table = pd.DataFrame(
        {"a": inputs[:, 0], "b": inputs[:, 1], "pressure": 300 + 40 * inputs[:, 0] - 25 * inputs[:, 1]}
    )
    reached, told = trained(tmp_path, table, 'values = ["pressure"]', monkeypatch)
    assert "  values, scaled to voltages that the outputs can reach: pressure (0 V is " in told
    assert reached["score"] == "R²"
    assert reached["test_accuracy"] > 0.9

    result, said = evaluated(reached["run"])
    assert result["value_errors"] == reached["value_errors"]
    np.testing.assert_allclose(said["pressure"], table["pressure"][said["line"] - 2], rtol=1e-9)
    held = said[said["rows"] == "held out"]
    assert len(held) == 20
    error = held["pressure predicted"] - held["pressure"]
    assert result["value_errors"]["pressure"]["test"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-9)
    explained = 1 - (error**2).sum() / ((held["pressure"] - held["pressure"].mean()) ** 2).sum()
    assert result["test_accuracy"] == pytest.approx(explained, rel=1e-9)

    shown = CliRunner().invoke(main, ["evaluate", reached["run"]]).stdout
    assert "root mean square error of pressure, in its own unit: training " in shown


def test_classes_are_predicted_by_name_with_the_line_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = np.arange(36)
    table = pd.DataFrame({"a": grid // 6, "b": grid % 6, "label": np.where(grid // 6 > grid % 6, "up", "down")})
    reached, told = trained(tmp_path, table, 'targets = ["0 V", "4 V"]', monkeypatch)
    assert "  2 classes with their rows: down 21, up 15\n  27 rows to train on, 9 held out\n" in told
    checked = CliRunner().invoke(main, ["check", "mine.toml", "--samples", "1"])
    assert "  2 classes with their rows: down 21, up 15\n" in checked.stderr
    _, said = evaluated(reached["run"])
    outputs = ["output down (V)", "output up (V)"]
    assert list(said.columns) == ["rows", "line", "class", "predicted", "margin (V)", *outputs]
    assert list(said["class"]) == list(table["label"][said["line"] - 2])
    assert sorted(said["line"]) == list(range(2, 38))
    winner = np.where(said["output up (V)"] > said["output down (V)"], "up", "down")
    assert list(said["predicted"]) == list(winner)
    held = said[said["rows"] == "held out"]
    assert (held["class"] == held["predicted"]).mean() == pytest.approx(reached["test_accuracy"])


def test_a_packaged_set_is_predicted_by_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(main, ["train", "xor", "--chip", "nodal", "--set", "training.epochs=1", "--json"])
    assert "  4 rows" not in shown.stderr
    _, said = evaluated(json.loads(shown.stdout)["run"])
    assert list(said["sample"]) == [1, 2, 3, 4] * 2
    assert list(said["class"][:4]) == ["equal", "different", "different", "equal"]


@pytest.mark.parametrize(
    ("targets", "outputs", "wanted"),
    [
        ([[1.0], [1.0 + 1e-160]], [[0.0], [0.0]], 0.0),  # alike to the last digit: about 0 V
        ([[0.0], [1e-160]], [[1.0], [1.0]], -1e6),
        ([[0.0], [0.0]], [[1.0], [1.0]], -1e6),
        ([[0.0], [0.0]], [[0.0], [0.0]], 1.0),
        ([[0.0], [2.0]], [[1.0], [1.0]], 0.0),
        ([[0.0], [2.0]], [[0.0], [2.0]], 1.0),
    ],
)
def test_r2_of_targets_that_are_almost_alike_is_bounded(
    targets: list[list[float]], outputs: list[list[float]], wanted: float
) -> None:
    assert explained(np.array(outputs), np.array(targets)) == wanted
