"""scikit-learn's own checks of estimators, and its pipelines and searches."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from harness import CircuitClassifier, CircuitRegressor

QUICK: dict[str, Any] = {"rule": "analytical-gradient", "batch": 32}
CLASSIFIER = CircuitClassifier(**QUICK, hidden=4, epochs=3, learning_rate=0.06)
REGRESSOR = CircuitRegressor(**QUICK, hidden=2, epochs=8, learning_rate=0.1)


@parametrize_with_checks([CLASSIFIER, REGRESSOR])
def test_scikit_learns_conventions(estimator: Any, check: Any) -> None:
    check(estimator)


def test_each_fold_of_a_pipeline_trains_a_network_of_its_own() -> None:
    inputs, labels = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), CircuitClassifier(**QUICK, hidden=4, epochs=6, learning_rate=0.1))
    scores = cross_val_score(pipeline, inputs, labels, cv=3)
    assert scores.min() > 0.7  # a guess is right in a third of the rows


def test_a_search_in_two_processes_finds_the_same_as_in_one() -> None:
    inputs, labels = load_iris(return_X_y=True)
    grid = {"overrides": [["network.input_gain=0.001"], ["network.input_gain=10"]]}
    found = [
        GridSearchCV(CLASSIFIER, grid, cv=2, n_jobs=jobs).fit(inputs, labels).cv_results_["mean_test_score"]
        for jobs in (1, 2)
    ]
    assert found[0].tolist() == found[1].tolist()
    assert found[0][1] > found[0][0]  # a thousandth of the voltages tells nothing apart


@pytest.mark.ngspice
def test_ngspice_trains_in_two_processes_and_agrees_with_the_nodal_chip() -> None:
    inputs, labels = (part[::5] for part in load_iris(return_X_y=True))
    scores, volts = {}, {}
    for chip in ("nodal", "ngspice"):
        subject = clone(CLASSIFIER).set_params(chip=chip)
        scores[chip] = cross_val_score(subject, inputs, labels, cv=2, n_jobs=2).tolist()
        volts[chip] = subject.fit(inputs, labels).decision_function(inputs)
    assert scores["nodal"] == scores["ngspice"]
    assert np.abs(volts["nodal"] - volts["ngspice"]).max() < 1e-3


def test_a_pickle_holds_no_open_chip_and_predicts_the_same() -> None:
    inputs, values = load_iris(return_X_y=True)[0][:, :3], load_iris().data[:, 3]
    fitted = clone(REGRESSOR).fit(inputs, values)
    again = pickle.loads(pickle.dumps(fitted))
    assert again.predict(inputs).tolist() == fitted.predict(inputs).tolist()
    assert again.partial_fit(inputs, values).n_iter_ == fitted.n_iter_ + 1
