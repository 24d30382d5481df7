"""A circuit that tells classes apart."""

from typing import Any, Self

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets, unique_labels
from sklearn.utils.validation import column_or_1d

from harness.datasets.labels import ordered
from harness.errors import DataError
from harness.measurement import Array, Index
from harness.sklearn.estimator import CircuitEstimator
from harness.sklearn.probabilities import fitted_temperature
from harness.sklearn.rows import Rows, headings


class CircuitClassifier(ClassifierMixin, CircuitEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A circuit that tells classes apart: each class has an output, and the largest output says the class.

    Inputs become volts as those of a CSV file do on the command line: every column gets mean 0 V and deviation 1 V over
    the rows of `fit`, and later rows are shifted and scaled by the same figures. A column that is constant there is
    0 V. All rows are trained on; nothing is held out.

    Args:
        experiment: a packaged experiment such as ``"digits"``, or the path of a TOML file, for the network, the rule
            and the training; its ``[data]`` give no more than the target voltages. None takes a layered network with 32
            hidden nodes that trains on most tables of numbers (`harness.sklearn.described.USUAL`).
        chip: ``"nodal"`` settles the circuit in NumPy: it needs no program on the machine, and opens in milliseconds.
            ``"ngspice"`` settles the same circuit in ngspice. A plug-in's name takes its chip. None takes the
            experiment's.
        hidden: nodes of the hidden layer, or of each hidden layer.
        rule: the learning rule, such as ``"hardware-linearization"``.
        beta: β of the rule in S, or as text with a unit.
        learning_rate: a pure number that counts in the network's unit of conductance, or one for each crossbar.
        epochs: how many times every row is learned.
        batch: rows in a step.
        overrides: further keys of the experiment, as ``--set`` of the command line takes them, such as
            ``["imperfect.read_noise=1 mV"]``. The parameters above come after them.
        random_state: seed of the initial conductances, the order of rows and the chip, or a ``RandomState`` that draws
            one; None takes the experiment's seed, which is 0 unless it says otherwise.
        run: a run directory to make in `fit`, which ``harness evaluate``, ``export`` and ``train --from`` take; the
            rows lie in it as ``data.csv``.
        workers: processes of ngspice; no result depends on them.

    Attributes:
        classes_: the classes in order, ``[classes]``.
        circuit_: the trained `harness.Circuit`.
        conductances_: the trained conductances, S, one array for each crossbar.
        temperature_: τ of `predict_proba`, V.
        loss_curve_: the mean cost of each epoch, V².
        n_iter_: epochs that were trained.
        run_: the `harness.Run`, where `run` was given.
        n_features_in_: number of inputs.
        feature_names_in_: names of the inputs, where all are texts.
    """

    _low = 0.0

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Train a new network on all rows.

        Args:
            X: numbers, ``[rows, inputs]``: an array, a data frame or a sparse matrix.
            y: the class of each row, ``[rows]``.

        Raises:
            ValueError: the rows are not what scikit-learn takes, or hold one class only.
            ExperimentError: a parameter is wrong, or the chip cannot do what the rule asks for.
            RunError: something is at `run` already.
            ChipError: the chip failed, or a row did not settle.
        """
        inputs, labels = self._labelled(X, y, first=True)
        self._know(unique_labels(labels))
        rows = self._rows(inputs, labels)
        self._learn(rows)
        self._calibrate(rows)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:  # noqa: N803
        """Go through some rows once; the first call makes the network, and its rows say how inputs become volts.

        Args:
            X: as in `fit`.
            y: as in `fit`.
            classes: all classes that there will be, ``[classes]``; the first call needs them.

        Raises:
            ValueError: a class is unknown, and otherwise as `fit`.
        """
        first = _check_partial_fit_first_call(self, classes)
        inputs, labels = self._labelled(X, y, first=first)
        if first:
            self._know(self.classes_)
        rows = self._rows(inputs, labels)
        self._learn_more(rows)
        self._calibrate(rows)
        return self

    def decision_function(self, X: Any) -> Array:  # noqa: N803
        """Return the output of each class, V, ``[rows, classes]``; of two, the second minus the first, ``[rows]``."""
        volts = self._class_volts(X)
        return np.asarray(volts[:, 1] - volts[:, 0]) if len(self.classes_) == 2 else volts

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return the class with the largest output, ``[rows]``."""
        largest = self._class_volts(X).argmax(axis=1)
        return self.classes_[largest]

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Return softmax(v / τ) of the outputs v, ``[rows, classes]``.

        τ, the attribute ``temperature_``, is the one number that makes the classes of the training rows likeliest. The
        circuit itself computes voltages, not probabilities. Where a network has learned its rows by heart, these are
        too sure of new rows; scikit-learn's ``CalibratedClassifierCV`` then fits them to rows that are held out.
        """
        volts = self._class_volts(X)
        return np.asarray(softmax(volts / self.temperature_, axis=1))

    def _labelled(self, X: Any, y: Any, *, first: bool) -> Any:  # noqa: N803
        inputs, labels = self._pairs(X, y, first=first)
        check_classification_targets(labels)
        return inputs, column_or_1d(labels, warn=True)

    def _know(self, classes: Any) -> None:
        """Keep the classes, and give each an output, in the order that a CSV file with the same labels has."""
        if len(classes) < 2:
            raise DataError(f"y holds one class only, {classes.tolist()[0]!r}; there is nothing to tell apart")
        self.classes_ = classes
        texts = [str(label) for label in classes.tolist()]
        if len(set(texts)) < len(texts) or not all(text.strip() for text in texts):
            texts = [str(k) for k in range(len(texts))]  # labels that only their kind tells apart
        self._names = ordered(texts)
        self._output_of_class: Index = np.array([self._names.index(text) for text in texts], np.intp)

    def _rows(self, inputs: Array, labels: Any) -> Rows:
        at = np.minimum(np.searchsorted(self.classes_, labels), len(self.classes_) - 1)
        if (strange := self.classes_[at] != labels).any():
            first = labels[strange].tolist()[0]
            raise DataError(
                f"y holds the class {first!r}, which the network does not know; name all of them in classes"
            )
        names = headings(getattr(self, "feature_names_in_", None), inputs.shape[1])
        return Rows(inputs, names, self._names, self._output_of_class[at])

    def _class_volts(self, X: Any) -> Array:  # noqa: N803
        """Return the output of each class, in the order of `classes_`, V, ``[rows, classes]``."""
        volts = self._volts(X)
        return np.asarray(volts[:, self._output_of_class])

    def _calibrate(self, rows: Rows) -> None:
        """Fit the scale of probabilities to the rows that were just learned."""
        samples = self._encoding.samples(rows.inputs, rows.labels, None, None)
        self.temperature_ = fitted_temperature(self._settled(samples), rows.labels)
