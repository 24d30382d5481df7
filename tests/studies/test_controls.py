"""Controls of a sweep: the grid once more with one change, in the table, in the picture, and after a pause."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from matplotlib.axes import Axes

from harness.cli.main import main
from harness.errors import ExperimentError
from harness.pictures.sweeps import draw_sweep
from harness.studies.sweep import Sweep
from harness.studies.sweep.points import Draws, Range, grid

OVERRIDES = ["chip.kind=nodal", "training.epochs=2"]
WORDS = ["--chip", "nodal", "--set", "training.epochs=2", "--over", "rule.beta=1uS,0.5uS", "--workers", "1"]


def sweep(*words: str) -> Result:
    return CliRunner().invoke(main, ["sweep", *words])


def test_all_points_follow_once_more_for_each_control() -> None:
    controls = ["update.kind=adam", " imperfect.read_noise = 1 mV "]
    points = grid("xor", {"rule.beta": ["1 uS", "0.5 uS"]}, seeds=2, controls=controls, overrides=OVERRIDES)
    studied = grid("xor", {"rule.beta": ["1 uS", "0.5 uS"]}, seeds=2, overrides=OVERRIDES)
    arms = ("", "update.kind=adam", "imperfect.read_noise=1 mV")
    assert [point.control for point in points] == [arm for arm in arms for _ in studied]
    assert [point.settings for point in points[:4]] == [point.settings for point in studied]
    assert [point.values for point in points] == [point.values for point in studied] * 3
    assert {point.settings.update.kind for point in points[4:8]} == {"adam"}
    assert {point.settings.imperfect.read_noise for point in points[8:]} == {1e-3}
    assert {point.settings.imperfect.read_noise for point in points[:8]} == {0.0}
    assert len({point.name for point in points}) == 12
    assert points[11].name == "11-beta=5e-07-seed=1-control-read_noise=1_mV"


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        (["update.kind"], r"--control update\.kind: write KEY=VALUE, such as programming\.mode=exact"),
        (["=adam"], "--control =adam: write KEY=VALUE"),
        (["rule.beta=1 uS"], r"rule\.beta is swept; a control changes a key that is held otherwise"),
        (["update.kind=sgd"], r"--control update\.kind=sgd: it changes nothing of what is studied; take another value"),
        (["update.kind=adam", "update.kind = adam"], "this control is there already"),
        (
            ["imperfect.read_noise=1 mV", "imperfect.read_noise=1e-3"],
            r"it changes nothing of what control imperfect\.read_noise=1 mV says",
        ),
        (["update.kind=sdg"], r"--control update\.kind=sdg: "),
        (["training.epochs=0"], r"--control training\.epochs=0: training\.epochs = 0: must be at least 1"),
    ],
)
@pytest.mark.parametrize("draws", [None, Draws({"training.batch": Range("1", "2")}, 8)])
def test_controls_that_control_nothing_are_refused(controls: list[str], message: str, draws: Draws | None) -> None:
    with pytest.raises(ExperimentError, match=message):
        grid("xor", {"rule.beta": ["1 uS"]}, draws=draws, controls=controls, overrides=OVERRIDES)


def test_draws_may_repeat_beside_a_control() -> None:
    draws = Draws({"training.batch": Range("1", "2")}, 8)
    points = grid("xor", {}, draws=draws, controls=["update.kind=adam"], overrides=OVERRIDES)
    batches = [point.values["training.batch"] for point in points]
    assert batches[:8] == batches[8:]
    assert set(batches) == {1, 2}


def test_the_command_trains_controls_beside_what_is_studied_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    alone = sweep("xor", *WORDS, "--to", "alone")
    controls = ["--control", "update.rates=[1e-3]", "--control", "update.kind=adam"]
    shown = sweep("xor", *WORDS, *controls, "--to", "both")
    assert (alone.exit_code, shown.exit_code) == (0, 0), shown.output
    assert "rule.beta 500 nS, seed 0, control update.rates=[1e-3]: held out" in shown.stderr
    assert " 500 nS      update.rates=[1e-3]   1 " in shown.stdout
    tables = [pd.read_csv(f"{name}/results.csv", keep_default_na=False) for name in ("alone", "both")]
    assert list(tables[1].columns[:3]) == ["rule.beta", "control", "seed"]
    assert list(tables[1]["control"]) == ["", "", *2 * ["update.rates=[1e-3]"], *2 * ["update.kind=adam"]]
    assert list(tables[1]["test_loss"][:2]) == list(tables[0]["test_loss"])
    assert len(set(tables[1]["test_loss"])) == 6
    assert "control" not in tables[0]
    assert json.loads(Path("both/sweep.json").read_text())["controls"] == ["update.rates=[1e-3]", "update.kind=adam"]
    assert Sweep(Path("both")).controls == ["update.rates=[1e-3]", "update.kind=adam"]
    assert ">control</th>" in Sweep(Path("both"))._repr_html_()
    shutil.rmtree(Path("both") / tables[1]["run"][5])
    again = sweep("--resume", "both", "--workers", "1")
    assert again.exit_code == 0, again.output
    resumed = pd.read_csv("both/results.csv", keep_default_na=False).drop(columns="seconds")
    pd.testing.assert_frame_equal(resumed, tables[1].drop(columns="seconds"))
    refused = sweep("--resume", "both", "--control", "update.kind=adam")
    assert "--resume goes on as the sweep was recorded" in refused.stderr


def test_conductances_are_deployed_on_controls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    over, control = ["--over", "imperfect.adc_bits=3,6"], ["--control", "imperfect.adc_range=1 V"]
    words = ["--chip", "nodal", "--set", "training.epochs=2", "--set", "imperfect.adc_range=8 V", "--workers", "1"]
    shown = sweep("xor", *words, *over, *control, "--deploy", "--to", "used", "--json")
    assert shown.exit_code == 0, shown.output
    rows = json.loads(shown.stdout)["points"]
    assert [row["control"] for row in rows] == ["", "", *2 * ["imperfect.adc_range=1 V"]]
    assert len({row["deployed_loss"] for row in rows}) == 4


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, object]]:
    """What is plotted by its name in the legend, as pictures are drawn."""
    found: dict[str, dict[str, object]] = {}
    own = Axes.plot

    def plot(axes: Axes, x: object, y: object, form: str, **look: object) -> object:
        found[str(look.get("label"))] = {"form": form, "at": list(x), "heights": list(y), **look}  # type: ignore[call-overload]
        return own(axes, x, y, form, **look)

    monkeypatch.setattr(Axes, "plot", plot)
    return found


def test_the_picture_draws_controls_hollow_beside_what_is_studied(lines: dict[str, dict[str, object]]) -> None:
    rows = [
        (ratio, control, 0.5 + k / 20) for k, control in enumerate(["", "m.mode=exact", "m.$x$=1"]) for ratio in (1, 2)
    ]
    table = pd.DataFrame(rows, columns=["p.ratio", "control", "test_accuracy"]).assign(seed=0)
    picture = draw_sweep(table, ["p.ratio"], "name")
    assert picture.startswith(b"\x89PNG")
    studied, first, second = lines["studied"], lines["control m.mode=exact"], lines[r"control m.\$x\$=1"]
    assert (studied["form"], studied["fillstyle"]) == ("o-", "full")
    assert [line["fillstyle"] for line in (first, second)] == ["none", "none"]
    assert [str(line["form"])[1:] for line in (first, second)] == ["--", "--"]
    assert len({str(line["color"]) for line in (studied, first, second)}) == 3
    np.testing.assert_allclose(
        [studied["heights"], first["heights"], second["heights"]], [[50] * 2, [55] * 2, [60] * 2]
    )


def test_beside_several_lines_a_control_has_the_colour_of_its_own(lines: dict[str, dict[str, object]]) -> None:
    rows = [(r, kind, c, 0.5, 0.4) for kind in "xy" for c in ("", "k=v") for r in (1, 2)]
    names = ["p.ratio", "a.kind", "control", "test_accuracy", "deployed_accuracy"]
    draw_sweep(pd.DataFrame(rows, columns=names).assign(seed=0), ["p.ratio", "a.kind"], "name")
    for kind in "xy":
        for use in ("trained with it", "only evaluated with it"):
            own, control = (lines[f"kind {kind}, {use}{more}"] for more in ("", ", control k=v"))
            assert own["color"] == control["color"]
            assert (own["fillstyle"], control["fillstyle"]) == ("full", "none")
            assert str(own["form"])[1:] == str(control["form"])[1:]
    assert lines["kind x, trained with it"]["color"] != lines["kind y, trained with it"]["color"]
