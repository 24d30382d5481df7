"""Probabilities of classes from output voltages: a softmax whose one parameter is fitted to the training rows."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from harness.measurement import Array, Index

_REACH = 1e3
"""Between this part and this multiple of the outputs' own size a temperature is looked for."""


def fitted_temperature(outputs: Array, labels: Index) -> float:
    """Return τ in V for which softmax(v / τ) fits the classes of some rows best.

    The likelihood is the greatest, after Laplace's rule of succession: as if every row's class had been seen once more
    in (rows + classes) rows, and each other class once in as many. Rows that are all right then do not make τ vanish
    (Platt 1999 does so for two classes; Guo et al. 2017 call the fit temperature scaling).

    Args:
        outputs: V, ``[rows, classes]``.
        labels: the number of each row's class, ``[rows]``.
    """
    rows, classes = outputs.shape
    wanted = np.full((rows, classes), 1 / (rows + classes))
    wanted[np.arange(rows), labels] += rows / (rows + classes)
    size = float(np.ptp(outputs, axis=1).mean()) or 1.0

    def surprise(log: float) -> float:
        return -float((wanted * log_softmax(outputs / (size * np.exp(log)), axis=1)).sum())

    bound = float(np.log(_REACH))
    return size * float(np.exp(minimize_scalar(surprise, bounds=(-bound, bound), method="bounded").x))
