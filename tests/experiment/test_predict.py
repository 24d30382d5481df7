"""`harness predict`: a trained network on the rows of another file, encoded as its training rows were."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness import Experiment, Run
from harness.cli.main import main
from harness.datasets import Encoding, Scaling
from harness.errors import DataError, RunError
from harness.experiment.runs.manifest import RecordedEncoding

TOML = """
name = "small"
rule = { beta = "100 nS", variant = "centered" }
update = { kind = "adam", rates = [5e-3] }
training = { epochs = 2, batch = 10 }
chip = { kind = "nodal" }
[network]
kind = "layered"
hidden = [3]
g_unit = "10 uS"
g_max = "100 uS"
diode = { saturation_current = "10 pA" }
[data]
set = "csv"
held_out = 0.3
"""
KINDS = {
    "classes": 'file = "classes.csv"\ntargets = ["0 V", "4 V"]\nmissing = "mean"\n',
    "values": 'file = "values.csv"\nvalues = ["pressure", "y"]\n',
}


def write(file: Path, rows: Iterable[Iterable[str]]) -> None:
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows(rows)


def rows_of(file: Path) -> list[list[str]]:
    return [*csv.reader(io.StringIO(file.read_text()))]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run of either kind, and the held-out rows of both in files of their own."""
    folder = tmp_path_factory.mktemp("made")
    points = np.random.default_rng(0).uniform(-1, 1, (50, 2)) * [3, 0.01] + [100, 0]
    texts = [[repr(a), repr(b)] for a, b in points.tolist()]
    classes = [[*row, "7", "red" if float(row[0]) > 100 else "blue"] for row in texts]
    classes[4][1] = classes[9][1] = ""  # missing cells
    write(folder / "classes.csv", [["a", "b", "same", "label"], *classes])
    values = [[*row, repr(300 + 40 * float(row[1])), repr(float(row[0]) - 90)] for row in texts]
    write(folder / "values.csv", [["a", "b", "pressure", "y"], *values])
    for kind, data in KINDS.items():
        (folder / f"{kind}.toml").write_text(TOML + data)
        experiment = Experiment.load(str(folder / f"{kind}.toml"))
        experiment.train(experiment.create_run(folder / kind), pictures=False)
        heading, *rows = rows_of(folder / f"{kind}.csv")
        lines = experiment.data.test.lines
        assert lines is not None
        write(folder / f"{kind}_held_out.csv", [heading, *(rows[line - 2] for line in lines)])
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it without the files that the runs were trained on, and the working directory."""
    copied = tmp_path / "here"
    shutil.copytree(made, copied)
    for kind in KINDS:
        (copied / f"{kind}.csv").unlink()
    monkeypatch.chdir(copied)
    return copied


def evaluated(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(main, ["predict", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def complaint(*arguments: str, command: str = "predict") -> str:
    """The one sentence with which a prediction, or another command, is refused."""
    result = CliRunner().invoke(main, [command, *arguments])
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    (line,) = result.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_rows_as_new_data_have_the_very_figures_of_held_out_rows(made: Path, folder: Path, kind: str) -> None:
    known = Experiment.of_run(run := Run(made / kind)).evaluate(run, predicted=folder / "known.csv")
    found = evaluated(kind, f"{kind}_held_out.csv", "--to", "found.csv")
    for what in ("accuracy", "loss", "samples"):
        assert found[what] == known[f"test_{what}"]
    errors = {name: error["test"] for name, error in known.get("value_errors", {}).items()}
    assert found.get("value_errors", {}) == errors
    assert found["new_data"] == f"{kind}_held_out.csv"
    assert not {key for key in found if key.startswith(("test_", "train_"))}
    truth = [row for row in rows_of(folder / "known.csv") if row[0] == "held out"]
    told = rows_of(folder / "found.csv")[1:]
    assert [row[1:] for row in told] == [row[2:] for row in truth]  # but for the file's lines
    assert [row[0] for row in told] == [str(line) for line in range(2, len(told) + 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_rows_and_columns_further_columns_and_separators_do_not_matter(folder: Path, kind: str) -> None:
    heading, *rows = rows_of(folder / f"{kind}_held_out.csv")
    order = np.random.default_rng(1).permutation(len(rows))
    lines = [";".join(reversed(row)) + ";note" for row in (heading, *(rows[k] for k in order))]
    (folder / "other.csv").write_text("\n".join(lines) + "\n", encoding="utf-16")
    found, usual = (evaluated(kind, name) for name in ("other.csv", f"{kind}_held_out.csv"))
    for what in ("accuracy", "loss"):
        assert found[what] == pytest.approx(usual[what], rel=1e-12)
    assert found["samples"] == len(rows)


def test_the_table_says_how_many_rows_of_which_file(folder: Path) -> None:
    result = CliRunner().invoke(main, ["predict", "values", "values_held_out.csv"], terminal_width=200)
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert words.startswith("line pressure pressure predicted y y predicted")
    assert "15 rows of values_held_out.csv: R² " in words
    assert "root mean square error of pressure, in its own unit: " in words
    assert "values_held_out.csv: 15 rows" in result.stderr


def test_another_chip_and_python_have_new_data_too(folder: Path) -> None:
    run = Run("classes")
    command = evaluated("classes", "classes_held_out.csv", "--set", "variation.spread=0.3")
    assert command["with"] == {"variation.spread": "0.3"}
    said = run.predict("classes_held_out.csv", ["variation.spread=0.3"])
    pd.testing.assert_frame_equal(pd.DataFrame(command["predictions"]), said, check_exact=True, check_dtype=False)
    assert command["loss"] != evaluated("classes", "classes_held_out.csv")["loss"]


def test_one_row_and_rows_that_are_all_alike_have_finite_scores(folder: Path) -> None:
    for rows in (["a,b,pressure,y", "100,0,300,10"], ["a,b,pressure,y", "100,0,300,10", "101,0,300,10"]):
        (folder / "few.csv").write_text("\n".join(rows) + "\n")
        score = evaluated("values", "few.csv")["accuracy"]
        assert isinstance(score, float)
        assert np.isfinite(score)
    (folder / "one.csv").write_text("a,b,same,label\n104,0,7,red\n")
    assert evaluated("classes", "one.csv")["samples"] == 1


HOSTILE = {
    "": "new.csv: it is empty; a table begins with a line of headings",
    "a,b,same,label\n": "new.csv: it has a heading and no rows",
    "a,same,label\n1,7,red\n": "new.csv: no column 'b'; its 3 columns are a, same, label",
    "a,b,same,label\n99,0,7,red\n98,0,7,green\n97,0,7,green\n": "new.csv, lines 3–4, column 'label': the network knows "
    "no class 'green'; its classes are blue, red",
    "a,b,same,label\n99,0,7,x\n98,0,7,y\n98,0,7,z\n": "knows no class 'x'; its classes are blue, red, and it knows "
    "none of 2 more labels either",
    "a,b,same,label\n99,0,7,red\n98,0,7,Red \n": "line 3, column 'label': the network knows no class 'Red '; its "
    "classes are blue, red; set data.labels = 'folded' where it is 'red'",
    "a,b,same,label\n99,0,7,red\n98,5 mV,7,red\n": "line 3, column 'b': '5 mV' has something behind its number",
    "a,b,same,label\n99,0,7,red\n98,1e7,7,red\n": "line 3, column 'b': 1e+07 is ",
    "a,b,same,label\n99,0,7,red\n98,0,red\n": "line 3: 3 cells where the heading in line 1 has 4",
    "a,b,same,label\n99,x,7,red\n": "line 2, column 'b': 'x' is no number",
    "a,b,b,label\n1,2,3,red\n": "line 1: column 'b' is there twice",
    "a,b,same,label\n99,0,7,red\n98,0,7,\0\n": "line 3: a NUL character",
    "a,b,same,label\n99,0,7,\n": "column 'label' has no value in any of 1 rows",
}


@pytest.mark.parametrize("content", HOSTILE)
def test_what_is_wrong_with_a_file_is_one_sentence(folder: Path, content: str) -> None:
    (folder / "new.csv").write_text(content)
    assert HOSTILE[content] in complaint("classes", "new.csv")


def test_places_that_hold_no_table_are_one_sentence(folder: Path) -> None:
    assert "there.csv" in complaint("classes", "not_there.csv")
    assert "classes" in complaint("classes", "classes")
    assert "device" in complaint("classes", "/dev/zero")


def test_missing_cells_are_refused_or_treated_as_told(folder: Path) -> None:
    (folder / "new.csv").write_text("a,b,pressure,y\n99,0,300,10\n,0,300,11\n98,0,,12\n97,0,301,7\n")
    told = complaint("values", "new.csv")
    assert "2 cells are missing: column 'a', line 3; column 'pressure', line 4; set data.missing = 'drop'" in told
    assert evaluated("values", "new.csv", "--set", "data.missing=drop")["samples"] == 2
    assert evaluated("values", "new.csv", "--set", "data.missing=mean")["samples"] == 3


def test_only_keys_that_say_how_a_file_is_written_may_change(folder: Path) -> None:
    text = (folder / "classes_held_out.csv").read_text()
    (folder / "new.csv").write_text(text.replace("label", "colour").replace("red", "RED"))
    change = ["--set", "data.label=colour", "--set", "data.labels=folded"]
    usual = evaluated("classes", "classes_held_out.csv")
    assert evaluated("classes", "new.csv", *change) == usual | {"new_data": "new.csv"}
    told = complaint("classes", "classes_held_out.csv", "--set", "data.held_out=0.5")
    assert "data.held_out = 0.5 would make other data" in told


@pytest.mark.parametrize("change", ["data.file=values_held_out.csv", "data={set='csv', file='not_there.csv'}"])
def test_another_file_beside_the_new_data_is_refused(folder: Path, change: str) -> None:
    name = "values_held_out.csv" if "values" in change else "not_there.csv"
    told = complaint("classes", "classes_held_out.csv", "--set", change)
    assert f"data.file = {folder / name} would have no effect: the rows are those of the new data, " in told
    assert told.endswith("classes_held_out.csv; leave data.file out, or name it as the new data")


def test_values_in_another_unit_are_told(folder: Path) -> None:
    (folder / "new.csv").write_text("a,b,pressure,y\n99,0,300,10\n98,0,300e3,11\n")
    result = CliRunner().invoke(main, ["predict", "values", "new.csv"])
    assert result.exit_code == 0, result.output
    assert re.search(r"line 3, column 'pressure': 3e\+05 would be .*V at its output; is it in the unit", result.stderr)


def test_changed_data_are_refused_with_new_data_as_a_cure(made: Path, folder: Path) -> None:
    shutil.copy(folder / "classes_held_out.csv", folder / "classes.csv")
    for file in ("manifest.json", "experiment.toml"):
        text = (folder / "classes" / file).read_text()
        (folder / "classes" / file).write_text(text.replace(str(made), str(folder)))
    told = complaint("classes", command="evaluate")
    assert "or see what it makes of other rows with: harness predict classes FILE" in told


def changed(run: Path, change: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    """Edit a manifest."""
    manifest = json.loads((run / "manifest.json").read_text())
    change(manifest)
    (run / "manifest.json").write_text(json.dumps(manifest))


EDITS: dict[str, Callable[[dict], object]] = {  # type: ignore[type-arg]
    "a centre": lambda m: m["encoding"]["centre"].__setitem__(0, m["encoding"]["centre"][0] + 1e-9),
    "classes in another order": lambda m: m["encoding"]["classes"].reverse(),
    "levels": lambda m: m["encoding"].update(levels=[0, 3]),
    "an infinite width": lambda m: m["encoding"]["width"].__setitem__(0, None),
    "no hash": lambda m: m.pop("encoding_sha256"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_encoding_is_refused(folder: Path, edit: str) -> None:
    changed(folder / "classes", EDITS[edit])
    assert "'encoding' in manifest.json was edited or is damaged" in complaint("classes", "classes_held_out.csv")


DAMAGE: dict[str, Callable[[dict], object]] = {  # type: ignore[type-arg]
    "a list": lambda m: m["encoding"]["centre"].pop(),
    "a number": lambda m: m["encoding"]["width"].__setitem__(0, 0),
    "a text": lambda m: m["encoding"].update(filling=["x"] * 3),
    "a key": lambda m: m["encoding"].pop("channels"),
    "a table": lambda m: m.update(encoding=[]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_encoding_is_one_sentence(folder: Path, damage: str) -> None:
    changed(folder / "classes", DAMAGE[damage])
    assert "manifest.json is damaged, or no run's: key 'encoding" in complaint("classes", "classes_held_out.csv")


def test_an_edited_encoding_with_a_new_hash_differs_from_that_of_the_data(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(made / "classes", run)

    def edit(manifest: dict) -> None:  # type: ignore[type-arg]
        manifest["encoding"]["centre"][0] += 1e-9
        manifest["encoding_sha256"] = RecordedEncoding(**manifest["encoding"]).sha256()

    changed(run, edit)
    assert "'encoding' in manifest.json is not how its data were encoded" in complaint(str(run), command="evaluate")


def test_runs_of_older_versions_fit_the_encoding_to_their_unchanged_file(made: Path, folder: Path) -> None:
    usual = evaluated("classes", "classes_held_out.csv")
    changed(folder / "classes", lambda m: [m.pop(key) for key in ("encoding", "encoding_sha256")])
    assert evaluated("classes", "classes_held_out.csv") == usual  # the recorded file is still in `made`
    for file in ("manifest.json", "experiment.toml"):
        text = (folder / "classes" / file).read_text()
        (folder / "classes" / file).write_text(text.replace(str(made), str(folder)))
    told = complaint("classes", "classes_held_out.csv")
    assert "did not record how its rows were encoded" in told
    assert f"{folder / 'classes.csv'}" in told


@pytest.mark.parametrize("kind", KINDS)
def test_frames_and_arrays_are_predicted_as_the_same_rows_in_a_file(folder: Path, kind: str) -> None:
    run, frame = Run(kind), pd.read_csv(f"{kind}_held_out.csv")
    of_file = run.predict(f"{kind}_held_out.csv")
    mixed = frame.assign(further="x")[[*reversed(frame.columns), "further"]].set_axis([f"r{k}" for k in frame.index])
    of_frame = run.predict(mixed)
    assert list(of_frame.index) == list(mixed.index)
    names = [name for name in of_file if name != "line"]
    pd.testing.assert_frame_equal(of_frame[names].reset_index(drop=True), of_file[names], check_exact=True)
    inputs = [name for name in ("a", "b", "same") if name in frame]
    of_array = run.predict(frame[inputs].to_numpy(float))
    said = [name for name in names if "predicted" in name or "(V)" in name]
    pd.testing.assert_frame_equal(of_array[said], of_file[said], check_exact=True)
    assert list(of_array) == ["row", *said]  # and nothing of a truth that was not given


def test_classes_come_with_margins_and_a_confusion_matrix(folder: Path) -> None:
    found = evaluated("classes", "classes_held_out.csv", "--picture", "confusion.png")
    table = pd.DataFrame(found["predictions"])
    outputs = table[["output blue (V)", "output red (V)"]].to_numpy()
    assert list(table["predicted"]) == [("blue", "red")[k] for k in outputs.argmax(axis=1)]
    np.testing.assert_allclose(table["margin (V)"], np.abs(outputs[:, 0] - outputs[:, 1]), rtol=1e-12)
    counts = pd.crosstab(table["class"], table["predicted"]).reindex(index=["blue", "red"], columns=["blue", "red"])
    assert found["confusion"] == {"classes": ["blue", "red"], "counts": counts.fillna(0).to_numpy().tolist()}
    assert found["accuracy"] == pytest.approx((table["class"] == table["predicted"]).mean())
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")
    shown = CliRunner().invoke(main, ["predict", "classes", "classes_held_out.csv"]).stdout
    rows = [line.split() for line in shown.splitlines()]
    for name, line in zip(("blue", "red"), counts.fillna(0).to_numpy(), strict=True):
        assert [name, *(str(int(count)) for count in line)] in rows


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_the_truth_are_predicted_and_compared_with_nothing(folder: Path, kind: str) -> None:
    heading, *rows = rows_of(folder / f"{kind}_held_out.csv")
    kept = [heading.index(name) for name in ("a", "b", "same") if name in heading]
    write(folder / "bare.csv", [[row[k] for k in kept] for row in (heading, *rows)])
    found, usual = (evaluated(kind, name) for name in ("bare.csv", f"{kind}_held_out.csv"))
    assert not {"accuracy", "loss", "confusion", "value_errors"} & {*found}
    bare, full = (pd.DataFrame(each["predictions"]) for each in (found, usual))
    pd.testing.assert_frame_equal(bare, full[list(bare)], check_exact=True)
    result = CliRunner().invoke(main, ["predict", kind, "bare.csv"])
    lacking = {"classes": "'label'", "values": "'pressure', 'y'"}[kind]
    assert f"no column {lacking}: there is nothing to compare predictions with" in result.stderr
    told = CliRunner().invoke(main, ["predict", kind, "bare.csv", "--picture", "x.png"])
    assert told.exit_code == 2
    assert "--picture compares predictions with the truth, and bare.csv does not have it" in told.stderr


def test_some_of_the_values_are_refused(folder: Path) -> None:
    (folder / "new.csv").write_text("a,b,y\n99,0,10\n")
    assert "new.csv: no column 'pressure'; its 3 columns are a, b, y" in complaint("values", "new.csv")
    with pytest.raises(DataError, match=r"the data frame: no column 'pressure'; its 3 columns are a, b, y"):
        Run("values").predict(pd.read_csv("new.csv"))


def test_values_are_drawn_over_true_values(folder: Path) -> None:
    evaluated("values", "values_held_out.csv", "--picture", "values.svg")
    drawn = (folder / "values.svg").read_text()
    assert drawn.startswith("<?xml")
    assert "pressure predicted" in drawn


GOOD = {"a": [99.0, 98.0], "b": [0.0, 0.0], "same": [7.0, 7.0], "label": ["red", "blue"]}
WRONG: dict[str, tuple[object, str]] = {
    "one row": (
        [99.0, 0.0, 7.0],
        "the array has shape (3,), and [rows, 3] is needed: the inputs are a, b, same; write",
    ),
    "a column too few": (np.zeros((2, 2)), "the array has shape (2, 2), and [rows, 3] is needed"),
    "three axes": (np.zeros((2, 3, 1)), "the array has shape (2, 3, 1)"),
    "ragged": ([[1.0, 2.0, 3.0], [1.0]], "the array has rows of different lengths"),
    "no rows": (np.zeros((0, 3)), "the array has no rows"),
    "texts": (np.full((1, 3), "x"), "column 'a' is of "),
    "complex": (np.full((1, 3), 1j), "column 'a' is of complex128; give it as numbers"),
    "infinite": (np.array([[99.0, np.inf, 7.0]]), "the array, row 0, column 'b': inf is beyond ±1e+100"),
    "far": (np.array([[99.0, 1e7, 7.0]]), "the array, row 0, column 'b': 1e+07 is "),
    "a label": (pd.DataFrame(GOOD | {"label": ["red", "green"]}), "row 1, column 'label': the network knows no class"),
    "no label": (pd.DataFrame(GOOD | {"label": ["red", None]}), "row 1, column 'label': the label is missing"),
    "a name": (pd.DataFrame(GOOD).rename(columns={"same": "sane"}), "no column 'same'; its 4 columns are a, b, sane, "),
    "twice": (
        pd.DataFrame([[1, 2, 3, 4]], columns=["a", "a", "b", "same"]),
        "the data frame: column 'a' is there twice",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_an_array_or_a_frame_is_one_sentence(folder: Path, wrong: str) -> None:
    rows, told = WRONG[wrong]
    with pytest.raises(DataError, match=re.escape(told)):
        Run("classes").predict(rows)  # type: ignore[arg-type]


def test_missing_numbers_are_filled_as_in_training_or_refused(folder: Path) -> None:
    filled = Run("classes").predict(pd.DataFrame(GOOD | {"b": [0.0, np.nan]}))  # trained with missing = "mean"
    assert np.isfinite(filled["margin (V)"]).all()
    with pytest.raises(
        DataError, match=r"the array, row 1, column 'b': the number is missing; fill it, or drop the row"
    ):
        Run("values").predict(np.array([[99.0, 0.0], [98.0, np.nan]]))


def test_a_far_number_in_an_array_is_a_warning(folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"row 0, column 'b': 10 is .* standard deviations from the mean"):
        Run("values").predict([[99.0, 10.0]])


@pytest.mark.parametrize(("name", "channels"), [("xor", ["a", "b"]), ("regression", ["x1", "x2"])])
def test_sets_of_the_package_have_names_for_their_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, channels: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = Experiment.load(name, ["chip.kind=nodal", "training.epochs=1"])
    experiment.train(run := experiment.create_run(name), pictures=False)
    rows, data = experiment.data.test, experiment.data
    truth = {"label": [data.classes[k] for k in rows.targets.argmax(axis=1)]}
    if data.valued:
        truth = dict(zip(data.classes, rows.targets.T, strict=True))
    pd.DataFrame(rows.codes, columns=channels).assign(**truth).to_csv("rows.csv", index=False)
    known, found = experiment.evaluate(run), evaluated(name, "rows.csv")
    assert (found["accuracy"], found["loss"]) == (known["test_accuracy"], known["test_loss"])
    pd.testing.assert_frame_equal(
        run.predict(rows.codes).filter(like="predicted"),
        pd.DataFrame(found["predictions"]).filter(like="predicted"),
        check_exact=True,
    )


def test_pixels_that_are_not_volts_are_told(tmp_path: Path) -> None:
    """The rows of digits are p/8 − 1 V, and scikit-learn's pixels p reach 16."""
    experiment = Experiment.load("digits", ["chip.kind=nodal", "network.hidden=[5]", "rule.beta=auto"])
    run = experiment.create_run(tmp_path / "run")
    experiment.train(run, stop=lambda: True, pictures=False)
    pixels = 8 * (experiment.data.test.codes[:2] + 1)
    with pytest.warns(UserWarning, match=r"^row \d, column 'pixel_\d_\d': 16 is taken as V, as the inputs"):
        run.predict(pixels)
    assert len(run.predict(pixels / 8 - 1)) == 2


def test_only_a_run_predicts(folder: Path) -> None:
    assert complaint("iris", "classes_held_out.csv").endswith(
        "iris is no run directory: it is not there; 'harness train' makes one"
    )
    told = CliRunner().invoke(main, ["predict", "classes", "classes_held_out.csv", "--set", "update.rates=[1]"])
    assert told.exit_code == 2
    assert "update.rates is about learning, and an evaluation does not learn" in told.stderr


def test_a_run_without_a_checkpoint_cannot_predict(folder: Path) -> None:
    run = Experiment.load("xor", ["chip.kind=nodal"]).create_run("fresh")
    with pytest.raises(RunError, match=r"run fresh has no checkpoint yet; go on with: harness train --resume fresh"):
        run.predict([[1.0, 1.0]])


FINITE = st.floats(allow_nan=False, allow_infinity=False)
WIDTHS = st.floats(min_value=0, exclude_min=True)


@given(st.data(), st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_encodings_are_recorded_bit_for_bit(data: st.DataObject, inputs: int, outputs: int, valued: bool) -> None:
    def numbers(count: int, of: st.SearchStrategy[float]) -> np.ndarray:  # type: ignore[type-arg]
        return data.draw(arrays.arrays(float, count, elements=of))

    scales = numbers(outputs, st.floats(min_value=1e-300, max_value=1e300))
    scaling = Scaling(numbers(outputs, FINITE), scales) if valued else None
    names = data.draw(st.lists(st.text(), min_size=inputs, max_size=inputs, unique=True))
    classes = tuple(map(str, range(outputs)))
    shape = numbers(inputs, FINITE), numbers(inputs, FINITE), numbers(inputs, WIDTHS)
    fitted = Encoding(tuple(names), *shape, classes, (data.draw(FINITE), data.draw(FINITE)), scaling)
    kept = RecordedEncoding.of(fitted)
    again = RecordedEncoding.model_validate(json.loads(json.dumps(kept.model_dump(mode="json", exclude_none=True))))
    assert again.sha256() == kept.sha256()
    found = again.encoding()
    assert (found.channels, found.classes, found.levels) == (fitted.channels, fitted.classes, fitted.levels)
    for name in ("filling", "centre", "width"):
        assert getattr(found, name).tobytes() == getattr(fitted, name).tobytes()
    if scaling is not None and found.scaling is not None:
        assert found.scaling.offset.tobytes() == scaling.offset.tobytes()
    assert (found.scaling is None) == (scaling is None)
