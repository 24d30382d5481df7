"""Software baselines: scikit-learn's models on exactly the rows that a circuit learns.

Their imports stand in functions, since scikit-learn takes a second to import.
"""

import warnings
from collections.abc import Iterable
from typing import Any

from harness.experiment.experiment import Experiment
from harness.measurement import Array, Batch, Index

LOGISTIC, PERCEPTRON = "logistic regression", "perceptron with as many hidden nodes"
_STEPS = 200
"""Largest number of steps of the logistic regression."""


def linear_scores(subjects: Iterable[Experiment]) -> list[float]:
    """Fit a linear model to the data of each experiment; rows that are those of the last one are not fitted again.

    Returns held-out accuracies of logistic regressions for classes, R² of least squares where targets are values. Every
    column is standardized, which a linear model needs to converge.
    """
    scores, seen = list[float](), ""
    for subject in subjects:
        scores.append(scores[-1] if subject.data.sha256() == seen else _linear_score(subject))
        seen = subject.data.sha256()
    return scores


def _linear_score(subject: Experiment) -> float:
    from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    train, test = (part.batch(slice(None)) for part in (subject.data.train, subject.data.test))
    if subject.data.valued:
        fitted = make_pipeline(StandardScaler(), LinearRegression()).fit(train.inputs, train.targets)
        return float(fitted.score(test.inputs, test.targets))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_STEPS))
    return float(_quietly(model, *_rows(train)).score(*_rows(test)))


def perceptron_score(subject: Experiment, *, hidden: int, epochs: int, seed: int) -> float:
    """Train a perceptron with one hidden layer of ReLU by Adam in batches of 64; return its held-out accuracy.

    Inputs are divided by their common standard deviation, so that their scale in volts is no disadvantage.
    """
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    parts = (subject.data.train, subject.data.test)
    (inputs, classes), (held_out, truth) = (_rows(part.batch(slice(None))) for part in parts)
    scale = float(inputs.std())
    model = MLPClassifier((hidden,), batch_size=64, max_iter=epochs, random_state=seed)
    return float(_quietly(model, inputs / scale, classes).score(held_out / scale, truth))


def _quietly(model: Any, inputs: Array, classes: Index) -> Any:
    """Return a model after as many steps as it was given, whether it converged or not."""
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(inputs, classes)


def _rows(batch: Batch) -> tuple[Array, Index]:
    return batch.inputs, batch.targets.argmax(axis=1)
