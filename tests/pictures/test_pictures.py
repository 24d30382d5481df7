"""Pictures: in a style of their own whatever the user's is, after the result, and never a reason to lose one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from harness import CellRange, DiodeModel, Drive, Experiment, NodalChip, Run, layered_network
from harness.errors import PictureError
from harness.experiment.settings import Settings
from harness.pictures.circuits import draw_activations
from harness.pictures.runs import draw_training, measured_plane
from harness.pictures.style import as_bytes, literal, own_style
from harness.pictures.sweeps import draw_sweep
from harness.report import figures
from harness.training.controller import EpochDone, StepDone
from harness.training.tables import EpochRow, StepRow

SHORT = ["--chip", "nodal", "--set", "training.epochs=1"]
PNG = b"\x89PNG"


def harness(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        check=False,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def _usetex(folder: Path) -> dict[str, str]:
    (folder / "matplotlibrc").write_text("text.usetex: True\n")
    return {}


def _named_usetex(folder: Path) -> dict[str, str]:
    (folder / "rc").mkdir()
    (folder / "rc" / "matplotlibrc").write_text("text.usetex: True\nfigure.dpi: 7\n")
    return {"MATPLOTLIBRC": str(folder / "rc")}


def _no_text(folder: Path) -> dict[str, str]:
    (folder / "matplotlibrc").write_bytes(b"font.family: \xff\n")
    return {}


def _pipe(folder: Path) -> dict[str, str]:
    os.mkfifo(folder / "matplotlibrc")
    return {}


SETTINGS = {
    "a notebook's backend": lambda _: {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "no backend at all": lambda _: {"MPLBACKEND": "nonsense"},
    "LaTeX, in the working directory": _usetex,
    "LaTeX, where MATPLOTLIBRC points": _named_usetex,
    "a matplotlibrc that is not text": _no_text,
    "a matplotlibrc that is a pipe": _pipe,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_users_settings_of_matplotlib_change_no_picture(name: str, tmp_path: Path) -> None:
    ended = harness(tmp_path, "show", "activations", "--to", "a.png", **SETTINGS[name](tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "a.png").read_bytes() == draw_activations()


def test_in_a_users_own_process_settings_stay_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\ntext.usetex: True\n")
    code = (
        "from harness.pictures.circuits import draw_activations; import matplotlib as mpl, sys;"
        "draw_activations(); print(mpl.rcParams['lines.linewidth'], mpl.rcParams['text.usetex'],"
        "'matplotlib.pyplot' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["9.0", "True", "False"]


def test_a_backend_that_is_not_there_stops_no_library_call_either(tmp_path: Path) -> None:
    code = "from harness.pictures.circuits import draw_activations; print(draw_activations()[1:4])"
    environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "b'PNG'"


def _broken(folder: Path) -> str:
    """A folder for PYTHONPATH in which Matplotlib cannot be imported."""
    (folder / "broken").mkdir()
    (folder / "broken" / "matplotlib.py").write_text("raise ImportError('libfreetype is missing')\n")
    return str(folder / "broken")


def test_training_without_matplotlib_keeps_its_result_and_warns(tmp_path: Path) -> None:
    path = _broken(tmp_path)
    ended = harness(tmp_path, "train", "iris", *SHORT, "--run", "run", "--json", PYTHONPATH=path)
    assert ended.returncode == 0, ended.stderr
    assert "warning: run run has no pictures: Matplotlib cannot be imported (ImportError: libfreetype" in ended.stderr
    assert (tmp_path / "run" / "result.json").exists()
    assert not (tmp_path / "run" / "training.png").exists()
    again = harness(tmp_path, "train", "--resume", "run", "--json")
    assert again.stdout == ended.stdout
    assert (tmp_path / "run" / "training.png").read_bytes().startswith(PNG)
    assert (tmp_path / "run" / "conductances.png").exists()


def test_a_kill_between_result_and_pictures_leaves_none_of_an_earlier_stop(tmp_path: Path) -> None:
    harness(tmp_path, "train", "iris", *SHORT, "--run", "run")
    run = tmp_path / "run"
    (run / "conductances.png").write_bytes(b"as it was when training stopped")
    os.utime(run / "training.png", (0, 0))
    harness(tmp_path, "train", "--resume", "run")
    assert (run / "conductances.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("last", ["SIGINT", "SIGKILL"])
def test_ctrl_c_or_a_kill_while_pictures_are_drawn_leaves_a_whole_run_that_was_shown(last: str, tmp_path: Path) -> None:
    code = f"""
import os, signal, sys
from harness.__main__ import main
import harness.pictures.runs as pictures
def interrupted(*_):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.{last})
pictures.draw_arrays = interrupted
main()
"""
    arguments = ["train", "iris", *SHORT, "--run", "run", "--json"]
    ended = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == -getattr(signal, last), ended.stderr
    run = Run(tmp_path / "run")
    assert run.result == {**json.loads(ended.stdout), "run": str(run.path)}
    assert not run.drawn
    assert harness(tmp_path, "train", "--resume", "run", "--json").stdout == ended.stdout.decode()
    assert run.drawn


def test_the_library_tells_what_was_reached_before_it_draws(tmp_path: Path) -> None:
    experiment = Experiment.load("iris", ["chip.kind=nodal", "training.epochs=1"])
    run = experiment.create_run(tmp_path / "run")
    told = list[tuple[object, bool]]()
    result = experiment.train(run, finished=lambda reached: told.append((reached, run.drawn)))
    assert told == [(result, False)]
    assert run.drawn
    stopped = experiment.create_run(tmp_path / "stopped")
    assert experiment.train(stopped, stop=lambda: True, finished=lambda reached: told.append((reached, False))) is None
    assert len(told) == 1


def test_the_library_warns_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment.load("moons", ["chip.kind=nodal", "training.epochs=1"])
    run = experiment.create_run(tmp_path / "run")
    monkeypatch.setattr("harness.pictures.runs.draw_boundary", _failing)
    with pytest.warns(UserWarning, match=r"run .* has no pictures: the picture cannot be drawn \(ZeroDivisionError"):
        result = experiment.train(run)
    assert run.result == result is not None


@own_style()
def _failing(*_: object) -> bytes:
    return bytes(1 // 0)


@pytest.mark.parametrize(("hidden", "points"), [(2, 41), (150, 21), (300, 11), (400, 6)])
def test_a_decision_boundary_is_measured_on_fewer_points_where_devices_are_many(hidden: int, points: int) -> None:
    rng = np.random.default_rng(0)
    cells, diode = CellRange(unit=10e-6, g_min=0, g_max=100e-6), DiodeModel("d1", 10e-12, 2.0)
    circuit = layered_network(2, [hidden], 2, cells=cells, diode=diode, rng=rng)
    chip = NodalChip(circuit)
    asked = list[None]()
    (across, up), margin = measured_plane(chip, np.array([1.0, 2.0]), lambda: bool(asked.append(None)))
    assert margin.shape == (points, points)
    assert (across[0], across[-1], up[0], up[-1]) == (-1, 1, -2, 2)
    for row, column in ((0, 0), (points - 1, 2), (3, points - 2)):
        (reading,) = chip.measure([Drive(np.array([[across[column], up[row]]]))])
        assert margin[row, column] == pytest.approx(reading.outputs[0, 1] - reading.outputs[0, 0], abs=1e-9)
    devices = sum(map(len, circuit.devices))
    assert len(asked) >= points**2 * devices // 8_000, "Ctrl-C would be waited for"


def test_ctrl_c_at_the_decision_boundary_keeps_the_result_and_resume_draws(tmp_path: Path) -> None:
    experiment = Experiment.load("moons", ["chip.kind=nodal", "training.epochs=1"])
    run = experiment.create_run(tmp_path / "run")
    seen = list[StepDone | EpochDone]()
    with pytest.warns(UserWarning, match=r"run .* has no pictures: stopped at the decision boundary; resume the run"):
        result = experiment.train(run, watch=seen.append, stop=lambda: bool(seen) and isinstance(seen[-1], EpochDone))
    assert run.result == result is not None
    assert not run.drawn
    experiment.draw(run)
    assert run.drawn
    assert (run.path / "boundary.png").read_bytes().startswith(PNG)


def test_formulas_in_names_are_text() -> None:
    """An unbalanced formula would otherwise be an error."""
    with own_style():
        figure = Figure()
        figure.suptitle(literal("$\\frac$ and $x^^$"))
        assert as_bytes(figure).startswith(PNG)


def test_errors_of_matplotlib_are_errors_of_pictures() -> None:
    before = mpl.rcParams["lines.linewidth"]
    with pytest.raises(PictureError, match="cannot be drawn"), own_style({"lines.linewidth": 3}):
        raise TypeError("of Matplotlib")
    assert mpl.rcParams["lines.linewidth"] == before


def test_tables_of_a_regression_say_r2_and_older_ones_are_read(tmp_path: Path) -> None:
    experiment = Experiment.load("regression", ["chip.kind=nodal", "training.epochs=2"])
    run = experiment.create_run(tmp_path / "run")
    experiment.train(run)
    for file, headings in (("epochs.csv", {"train R²", "test R²"}), ("steps.csv", {"R²"})):
        table = pd.read_csv(run.path / file)
        assert headings <= set(table.columns)
        assert not [heading for heading in table.columns if "accuracy" in heading]
    tables = run.tables()
    for file in ("epochs.csv", "steps.csv"):
        older = (run.path / file).read_text(encoding="utf-8").replace("R²", "accuracy")
        (run.path / file).write_text(older, encoding="utf-8")
    assert Run(run.path).tables() == tables


def _words(
    steps: list[StepRow], epochs: list[EpochRow], score: str, monkeypatch: pytest.MonkeyPatch, *, report: bool = False
) -> list[str]:
    """Texts of the picture of a training, or of the report's two, and the limits of their axes."""
    found: list[str] = []

    def seen(figure, form="png"):  # type: ignore[no-untyped-def]
        for axes in figure.axes:
            found.extend([axes.get_ylabel(), *(text.get_text() for text in axes.texts)])
            found.append(f"{axes.get_ylim()[0]:.3g}…{axes.get_ylim()[1]:.3g}")
        return as_bytes(figure, form)

    monkeypatch.setattr(f"harness.{'report.figures' if report else 'pictures.runs'}.as_bytes", seen)
    if report:
        assert [text[:4] for text in figures.training(steps, epochs, score)] == ["<svg"] * 2
    else:
        assert draw_training(steps, epochs, "name", score).startswith(PNG)
    return found


def _training(first_loss: float, scores: list[float]) -> tuple[list[StepRow], list[EpochRow]]:
    losses = np.concatenate([[first_loss], np.linspace(1.0, 0.1, 10 * len(scores) - 1)])
    steps = [StepRow(1 + k // 10, 1 + k % 10, float(loss), 0.5, 0.0, 0.0) for k, loss in enumerate(losses)]
    epochs = [EpochRow(k, 0.5, score, 0.5, score, 1.0, 1.0, 1.0, None) for k, score in enumerate(scores, start=1)]
    return steps, epochs


def test_the_first_batches_do_not_flatten_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    words = _words(*_training(1e4, [0.5, 0.6, 0.7, 0.8]), "accuracy", monkeypatch)
    assert words[:2] == ["loss (V²)", "batches up to 1e+04 V² above"]
    assert words[2] == "0…1.07"
    calm = _words(*_training(1.2, [0.5, 0.6, 0.7, 0.8]), "accuracy", monkeypatch)
    assert len(calm) == len(words) - 1


def test_a_picture_of_a_regression_is_of_r2(monkeypatch: pytest.MonkeyPatch) -> None:
    words = _words(*_training(1.0, [-4.4, 0.1, 0.3]), "R²", monkeypatch)
    assert words[2:4] == ["R²", "epochs down to −4.4 below"]
    assert words[4].startswith("-1…")
    low = _words(*_training(1.0, [-4.4, -4.2, -4.1]), "R²", monkeypatch)
    assert len(low) == len(words) - 1, "what stays low is shown whole"


@pytest.mark.parametrize(("first", "scores"), [(1e4, [-4.4, 0.1, 0.3]), (1e4, [-4.4, -4.2, -4.1]), (1.2, [-9.0, 0.5])])
def test_the_report_cuts_its_figures_as_the_picture_is_cut(
    first: float, scores: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = _training(first, scores)
    shown = _words(*training, "R²", monkeypatch)
    assert any(" above" in word or " below" in word for word in shown)
    assert _words(*training, "R²", monkeypatch, report=True) == shown


def test_pictures_of_sweeps_mark_failures_name_the_band_and_carry_units(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(beta, kind, seed) for beta in (0.0, 1e-7, 1e-5) for kind in ("sgd", "adam") for seed in range(3)]
    table = pd.DataFrame(rows, columns=["rule.beta", "update.kind", "seed"]).assign(test_accuracy=0.9, error=None)
    table.loc[[4, 17], ["test_accuracy", "error"]] = [np.nan, "did not settle"]
    seen: dict[str, list[str]] = {}

    def noted(figure, form="png"):  # type: ignore[no-untyped-def]
        FigureCanvasAgg(figure).draw()
        (axes,) = figure.axes
        seen["legend"] = [text.get_text() for text in axes.get_legend().get_texts()]
        seen["ticks"] = [label.get_text() for label in axes.get_xticklabels()]
        return as_bytes(figure, form)

    monkeypatch.setattr("harness.pictures.sweeps.as_bytes", noted)
    keys = ["rule.beta", "update.kind"]
    assert draw_sweep(table, keys, "name", units={"rule.beta": "S"}).startswith(PNG)
    assert seen["legend"] == ["kind sgd", "kind adam", "2 failed points", "worst to best over seeds"]
    assert {"0 S", "100 nS", "10 µS"} <= {tick.replace("\N{GREEK SMALL LETTER MU}", "µ") for tick in seen["ticks"]}
    whole = table[table["seed"] == 0].assign(error=None)
    draw_sweep(whole.assign(seed=0), keys, "name")
    assert seen["legend"] == ["kind sgd", "kind adam"]


def test_units_of_keys_come_from_their_declarations() -> None:
    keys = ("rule.beta", "chip.settling_time", "variation.line_bit", "training.epochs", "update.rates", "no.such")
    assert [Settings.unit_of(key) for key in keys] == ["S", "s", "Ohm", "", "", ""]
