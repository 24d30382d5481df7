"""Software baselines: scikit-learn's networks on exactly the rows that a circuit learns."""

import warnings
from collections.abc import Mapping
from typing import Any

from harness.measurement import Array, Batch, Index

BASELINES = ("logistic regression", "MLP of equal size")


def accuracies(
    train: Batch, test: Batch, *, hidden: int, epochs: int, seed: int, logistic_steps: int
) -> Mapping[str, float]:
    """Train a logistic regression and a perceptron with one hidden layer of ReLU; return their held-out accuracies.

    They see the encoded inputs (V), and as many epochs of Adam in batches of 64.
    """
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - scikit-learn takes a second to import
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    models: dict[str, Any] = {
        BASELINES[0]: LogisticRegression(max_iter=logistic_steps),
        BASELINES[1]: MLPClassifier((hidden,), batch_size=64, max_iter=epochs, random_state=seed),
    }
    found = {}
    for name, model in models.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are given, and not until it converges
            model.fit(*_rows(train))
        found[name] = float(model.score(*_rows(test)))
    return found


def _rows(batch: Batch) -> tuple[Array, Index]:
    return batch.inputs, batch.targets.argmax(axis=1)
