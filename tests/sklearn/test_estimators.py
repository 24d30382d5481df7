"""Estimators: parameters, labels, values, probabilities, and runs that are left behind."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from harness import CircuitClassifier, CircuitRegressor, Experiment, Run
from harness.cli.main import main
from harness.errors import DataError, ExperimentError, RunError
from harness.sklearn.described import settings_of
from harness.sklearn.probabilities import fitted_temperature

QUICK: dict[str, Any] = {"rule": "analytical-gradient", "hidden": 4, "epochs": 6, "batch": 16, "learning_rate": 0.06}
INPUTS, LABELS = (rows[::2] for rows in load_iris(return_X_y=True))
ROWS = len(LABELS)
NAMED = np.array(["Setosa", "versicolor", "Virginica"])[LABELS]


def quick(**changes: Any) -> CircuitClassifier:
    return CircuitClassifier(**QUICK | changes)


@pytest.mark.parametrize(
    "names",
    [
        [2, 10, -1],
        ["2", "10", "9"],
        [0.0, 1e12, -3.0],
        ["", "nan", 'x,"日本\n'],
    ],
    ids=str,
)
def test_labels_of_any_kind_come_back(names: list[Any]) -> None:
    named = quick().fit(INPUTS, np.array(names)[LABELS])
    assert set(named.predict(INPUTS)) == set(names)
    assert list(named.classes_) == sorted(names)
    assert named.score(INPUTS, np.array(names)[LABELS]) > 0.8
    largest = named.decision_function(INPUTS).argmax(axis=1)
    assert (named.classes_[largest] == named.predict(INPUTS)).all()


def test_two_classes_have_one_decision_whose_sign_says_the_class() -> None:
    labels = LABELS == 2
    fitted = quick().fit(INPUTS, labels)
    decision = fitted.decision_function(INPUTS)
    assert decision.shape == (ROWS,)
    assert ((decision > 0) == fitted.predict(INPUTS)).all()
    assert np.allclose(fitted.predict_proba(INPUTS)[:, 1], 1 / (1 + np.exp(-decision / fitted.temperature_)))


@pytest.mark.parametrize("labels", [[0, 0, 0], ["a", "a", "a"]])
def test_one_class_is_refused(labels: list[Any]) -> None:
    with pytest.raises(DataError, match="holds one class only"):
        quick().fit(INPUTS[:3], labels)


def test_probabilities_fit_the_rows_better_than_any_other_scale() -> None:
    inputs, labels = make_classification(100, flip_y=0.3, random_state=0)
    fitted = quick().fit(inputs, labels)
    volts = fitted.decision_function(inputs)
    losses = [log_loss(labels, 1 / (1 + np.exp(-volts / (fitted.temperature_ * f)))) for f in (0.8, 1, 1.25)]
    assert losses[1] == min(losses)
    assert np.allclose(fitted.predict_proba(inputs).sum(axis=1), 1)


def test_a_temperature_stays_above_0_where_all_rows_are_right() -> None:
    sure, larger = (fitted_temperature(size * np.eye(2)[[0, 1] * 50], np.array([0, 1] * 50)) for size in (1.0, 10.0))
    assert 1 / (1 + np.exp(-1 / sure)) == pytest.approx(101 / 102, abs=1e-4)  # the rule of succession
    assert larger == pytest.approx(10 * sure, rel=1e-4)


def test_probabilities_can_be_fitted_to_rows_that_are_held_out() -> None:
    inputs, labels = make_classification(120, n_features=40, flip_y=0.2, random_state=1)
    train, test, seen, unseen = train_test_split(inputs, labels, random_state=0)
    subject = quick(hidden=8)
    own = log_loss(unseen, clone(subject).fit(train, seen).predict_proba(test))
    held = log_loss(unseen, CalibratedClassifierCV(subject, cv=2).fit(train, seen).predict_proba(test))
    assert held < own


def test_frames_and_sparse_rows_are_the_same_rows() -> None:
    frame = pd.DataFrame(INPUTS, columns=load_iris().feature_names)
    plain, framed, sparse = (quick().fit(rows, LABELS) for rows in (INPUTS, frame, csr_matrix(INPUTS)))
    volts = [plain.decision_function(INPUTS), framed.decision_function(frame), sparse.decision_function(INPUTS)]
    assert volts[0].tolist() == volts[1].tolist() == volts[2].tolist()
    assert framed.feature_names_in_.tolist() == load_iris().feature_names
    with pytest.raises(ValueError, match="feature names"):
        framed.predict(frame.rename(columns=str.upper))


def test_inputs_become_volts_as_in_a_file_and_far_ones_are_refused() -> None:
    fitted = quick().fit(1e3 * INPUTS + 7, LABELS)
    assert np.allclose(
        fitted.decision_function(1e3 * INPUTS + 7), quick().fit(INPUTS, LABELS).decision_function(INPUTS)
    )
    far = INPUTS.copy()
    far[4, 2] = 1e12
    with pytest.raises(DataError, match=r"row 4, column 'x2': 1e\+12 is .* which no input pin can show"):
        fitted.predict(far)
    with pytest.raises(ValueError, match="NaN"):
        fitted.predict(np.full((1, 4), np.nan))


def test_values_of_several_outputs_come_back_in_their_own_unit() -> None:
    wanted = np.column_stack([1e6 * INPUTS[:, 2], 300 + 1e-3 * INPUTS[:, 3]])
    fitted = CircuitRegressor(**QUICK | {"epochs": 12}).fit(INPUTS[:, :2], wanted)
    assert fitted.predict(INPUTS[:, :2]).shape == (ROWS, 2)
    assert fitted.score(INPUTS[:, :2], wanted) > 0.6
    with pytest.raises(ValueError, match="y has 1 columns, and the network was made for 2"):
        fitted.partial_fit(INPUTS[:, :2], wanted[:, 0])
    with pytest.raises(DataError, match="nothing to learn"):
        CircuitRegressor(**QUICK).fit(INPUTS, np.ones(ROWS))


def test_partial_fits_go_on_where_the_last_one_ended() -> None:
    streamed = quick()
    for _ in range(6):
        streamed.partial_fit(INPUTS, LABELS, classes=[0, 1, 2, 3])
    assert streamed.n_iter_ == 6
    assert streamed.score(INPUTS, LABELS) > 0.85
    assert streamed.predict_proba(INPUTS).shape == (ROWS, 4)
    assert streamed.loss_curve_[-1] < streamed.loss_curve_[0]
    streamed.partial_fit(INPUTS[:2], LABELS[:2])
    with pytest.raises(DataError, match="the class 7, which the network does not know"):
        streamed.partial_fit(INPUTS[:2], [7, 0])
    fitted = quick().fit(INPUTS, LABELS)
    assert fitted.partial_fit(INPUTS, LABELS).n_iter_ == QUICK["epochs"] + 1
    with pytest.raises(ExperimentError, match="a run directory records fit alone"):
        quick(run="somewhere").partial_fit(INPUTS, LABELS, classes=[0, 1, 2])


def test_the_seed_decides_and_nothing_else_does() -> None:
    same = [quick(random_state=seed).fit(INPUTS, LABELS).conductances_[0].tolist() for seed in (3, np.int64(3), 4)]
    assert same[0] == same[1] != same[2]
    drawn = [quick(random_state=np.random.RandomState(0)).fit(INPUTS, LABELS).conductances_[0].tolist() for _ in "ab"]
    assert drawn[0] == drawn[1]


def test_any_experiment_gives_the_network_and_parameters_change_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(Experiment.load("digits").settings.to_toml())
    packaged, own = (
        settings_of(source, ["imperfect.read_noise=1 mV"], {"hidden": (6, 5), "chip": "nodal", "beta": "3 uS"}, 0.0)
        for source in ("digits", file)
    )
    assert packaged == own
    assert (packaged.network.hidden, packaged.chip.kind, packaged.imperfect.read_noise) == ((6, 5), "nodal", 1e-3)
    assert packaged.network.bias == (20.0, 4.0, 4.0)  # the further crossbar has what the last one had
    assert packaged.update.rates == (5e-3, 7.5e-3, 7.5e-3)
    noisy = quick(experiment=file, overrides=["imperfect.read_noise=0.5 V"]).fit(INPUTS, LABELS)
    assert noisy.predict(INPUTS).tolist() == noisy.predict(INPUTS).tolist()
    assert noisy.score(INPUTS, LABELS) > 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiment": "digitz"}, "there is no experiment 'digitz'; did you mean 'digits'"),
        ({"hidden": 0}, r"network\.hidden"),
        ({"rule": "backpropagation"}, "backpropagation"),
        ({"beta": "1 V"}, r"rule\.beta"),
        ({"overrides": "training.epochs=3"}, "is one text; give a list of them"),
        ({"overrides": ["data.held_out=0.2"]}, "has no effect, since the rows are those that are given"),
        ({"chip": "ngspise"}, "ngspise"),
        ({"epochs": 1.5}, r"training\.epochs"),
        ({"experiment": "iris-graph", "hidden": None}, r"network\.inputs: 4 for data with 3; give one for each"),
    ],
)
def test_wrong_parameters_are_refused_when_fitted(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        quick(**changes).fit(INPUTS[:, :3], LABELS)


def test_a_chip_that_cannot_serve_the_rule_is_refused() -> None:
    with pytest.raises(ExperimentError, match="needs voltages of nodes, which chip nodal does not give"):
        quick(rule="coupled-learning", overrides=["chip.access=outputs"]).fit(INPUTS, LABELS)


def test_nothing_is_predicted_before_a_fit() -> None:
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(quick(), method)(INPUTS)


def test_a_run_is_left_that_the_commands_take_wherever_it_is_moved(tmp_path: Path) -> None:
    frame = pd.DataFrame(INPUTS, columns=["a", "class", "x y", "µ"])
    fitted = quick(run=tmp_path / "run").fit(frame, NAMED)
    assert fitted.run_.result["train_accuracy"] == fitted.score(frame, NAMED)
    assert fitted.decision_function(frame).tolist() == quick().fit(frame, NAMED).decision_function(frame).tolist()
    with pytest.raises(RunError, match="exists already"):
        fitted.fit(frame, NAMED)
    shutil.move(tmp_path / "run", tmp_path / "moved")
    subject = Experiment.of_run(Run(tmp_path / "moved"))
    assert subject.data.classes == ("Setosa", "Virginica", "versicolor")
    assert subject.evaluate(Run(tmp_path / "moved"))["train_accuracy"] == fitted.score(frame, NAMED)
    done = CliRunner().invoke(main, ["export", str(tmp_path / "moved"), "--to", str(tmp_path / "netlist")])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("labels", "classes"),
    [(np.array(["2", "10", "9"])[LABELS], ("2", "9", "10")), (np.array(["", " ", "\t"])[LABELS], ("0", "1", "2"))],
)
def test_a_run_names_the_classes_as_its_file_does(tmp_path: Path, labels: Any, classes: tuple[str, ...]) -> None:
    inputs = np.column_stack(
        [INPUTS, np.arange(ROWS)]
    )  # a column that counts rows, which a file's reader may leave out
    fitted = quick(run=tmp_path / "run", epochs=1).fit(inputs, labels)
    assert Experiment.of_run(fitted.run_).data.classes == classes
    assert fitted.score(inputs, labels) == fitted.run_.result["train_accuracy"]


def test_values_leave_a_run_too(tmp_path: Path) -> None:
    fitted = CircuitRegressor(**QUICK | {"epochs": 1}, run=tmp_path / "run").fit(INPUTS, 1e-7 * INPUTS[:, :2])
    data = Experiment.of_run(fitted.run_).data
    assert data.scaling is not None
    assert data.scaling.values(data.train.targets) == pytest.approx(1e-7 * INPUTS[:, :2])
    missed = np.sqrt(((fitted.predict(INPUTS) - 1e-7 * INPUTS[:, :2]) ** 2).mean(axis=0))
    told = fitted.run_.result["value_errors"]
    assert missed == pytest.approx([told["y0"]["train"], told["y1"]["train"]], rel=1e-6)


def test_what_an_experiment_warns_of_is_told(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        quick(overrides=["imperfect.adc_bits=4", 'imperfect.adc_range="0.1 V"']).fit(INPUTS, LABELS)
    assert any("0.1 V" in str(one.message) or "100 mV" in str(one.message) for one in told)


def test_springs_that_no_network_bears_are_refused() -> None:
    with pytest.raises(ExperimentError, match=r"springs of −β leave at least 32 of the first 32 .* no stable state"):
        CircuitClassifier(beta="1 S", epochs=1).fit(INPUTS, LABELS)
