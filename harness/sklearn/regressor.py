"""A circuit that gives values."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin

from harness.measurement import Array
from harness.sklearn.estimator import CircuitEstimator
from harness.sklearn.rows import Rows, free_name, headings


class CircuitRegressor(RegressorMixin, CircuitEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A circuit that gives values: each value has an output, whose voltage stands for it.

    The smallest and the largest value of the rows of `fit` stand for the two target voltages, −4 V and 4 V without an
    experiment that says others. Inputs become volts as those of `CircuitClassifier`, which says what the parameters
    mean.

    Attributes:
        circuit_: the trained `harness.Circuit`.
        conductances_: the trained conductances, S, one array for each crossbar.
        loss_curve_: the mean cost of each epoch, V².
        n_iter_: epochs that were trained.
        run_: the `harness.Run`, where `run` was given.
        n_features_in_: number of inputs.
        feature_names_in_: names of the inputs, where all are texts.
    """

    _low = -4.0

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Train a new network on all rows.

        Args:
            X: numbers, ``[rows, inputs]``: an array, a data frame or a sparse matrix.
            y: the values, ``[rows]`` or ``[rows, values]``.

        Raises:
            ValueError: the rows are not what scikit-learn takes, or a value is the same in all of them.
            ExperimentError: a parameter is wrong, or the chip cannot do what the rule asks for.
            RunError: something is at `run` already.
            ChipError: the chip failed, or a row did not settle.
        """
        self._learn(self._rows(X, y, first=True))
        return self

    def partial_fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Go through some rows once; the first call makes the network, and its rows say what a volt stands for.

        Raises:
            ValueError: `y` has another number of values than before, and otherwise as `fit`.
        """
        self._learn_more(self._rows(X, y, first=not hasattr(self, "circuit_")))
        return self

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the values that the outputs stand for, ``[rows]`` or ``[rows, values]`` as `y` was given."""
        volts = self._volts(X)
        scaling = self._encoding.scaling
        values = volts if scaling is None else scaling.values(volts)
        return np.asarray(values[:, 0] if self._flat else values)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that there may be several values."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _rows(self, X: Any, y: Any, *, first: bool) -> Rows:  # noqa: N803
        inputs, values = self._pairs(X, y, first=first, multi_output=True, y_numeric=True)
        values = np.array(values, float)
        if first:
            self._flat = values.ndim == 1
        table = values[:, None] if values.ndim == 1 else values
        names = headings(getattr(self, "feature_names_in_", None), inputs.shape[1])
        if first:
            self._names = tuple(free_name(f"y{k}" if table.shape[1] > 1 else "y", names) for k in range(table.shape[1]))
        elif table.shape[1] != len(self._names):
            raise ValueError(f"y has {table.shape[1]} columns, and the network was made for {len(self._names)}")
        return Rows(inputs, names, self._names, np.zeros(len(inputs), np.intp), table)
