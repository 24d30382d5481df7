"""Software baselines: scikit-learn's networks on exactly the rows that a circuit learns."""

import warnings
from collections.abc import Mapping
from typing import Any

from harness.datasets import Samples, Split
from harness.measurement import Array, Index

BASELINES = ("logistic regression", "MLP of equal size")


def accuracies(data: Split, *, hidden: int, epochs: int, seed: int, logistic_steps: int) -> Mapping[str, float]:
    """Train a logistic regression and a perceptron with one hidden layer of ReLU; return their held-out accuracies.

    They see the encoded inputs (V) in the circuit's split, and as many epochs of Adam in batches of 64.
    """
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - scikit-learn takes a second to import
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    models: dict[str, Any] = {
        BASELINES[0]: LogisticRegression(max_iter=logistic_steps),
        BASELINES[1]: MLPClassifier((hidden,), batch_size=64, max_iter=epochs, random_state=seed),
    }
    rows, found = {part: _rows(samples) for part, samples in data.parts.items()}, {}
    for name, model in models.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are given, and not until it converges
            model.fit(*rows["train"])
        found[name] = float(model.score(*rows["test"]))
    return found


def _rows(samples: Samples) -> tuple[Array, Index]:
    batch = samples.batch(slice(None))
    return batch.inputs, batch.targets.argmax(axis=1)
