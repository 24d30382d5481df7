"""A trained ReLU multilayer perceptron as a cascade of resistor–diode stages (Chaffey 2025).

A node of a stage takes the mean of its word lines' voltages, weighted by its cells. Every line is there with both
signs: a weight w is a cell k w on the line of its sign, and the same conductance added to both signs changes nothing
but the node's own conductance G, which is thus made equal for all nodes of a stage. With signals of a volts per unit, a
node takes k a / G times the perceptron's pre-activation; its diode rectifies, and a buffer of gain G / k restores a.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.circuit.arrays import Crossbar
from harness.circuit.circuit import Circuit
from harness.circuit.elements import VoltageSource
from harness.errors import CircuitError, DataError
from harness.files.reading import read_arrays
from harness.measurement import Array, Conductances

_LARGEST = 1e6
"""The largest weight or bias of a layer, at most; its inverse at least: trained ones are about 1."""


@dataclass(frozen=True, eq=False)
class Perceptron:
    """Weights of a multilayer perceptron with ReLUs between its layers and linear outputs.

    Raises:
        DataError: shapes do not follow each other, a value is not finite, or the largest of a layer is far from 1.
    """

    weights: tuple[Array, ...]
    """``[inputs, outputs]`` of each layer."""
    biases: tuple[Array, ...]
    """``[outputs]`` of each layer."""

    def __post_init__(self) -> None:
        if not self.weights or len(self.weights) != len(self.biases):
            raise DataError(f"perceptron: {len(self.weights)} arrays of weights for {len(self.biases)} of biases")
        for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            if w.ndim != 2 or b.shape != w.shape[1:] or (k and w.shape[0] != self.weights[k - 1].shape[1]):
                raise DataError(
                    f"perceptron: layer {k}: weights {w.shape} and biases {b.shape} do not follow each other"
                )
            if not (np.isfinite(w).all() and np.isfinite(b).all()):
                raise DataError(f"perceptron: layer {k}: a weight or bias is not finite")
            largest = max(float(np.abs(w).max(initial=0.0)), float(np.abs(b).max(initial=0.0)))
            if not 1 / _LARGEST <= largest <= _LARGEST:
                raise DataError(
                    f"perceptron: layer {k}: the largest of its weights and biases is {largest:.3g} in size, which no "
                    f"cells can hold beside the others; scale it to between {1 / _LARGEST:g} and {_LARGEST:g}"
                )

    @classmethod
    def from_sklearn(cls, model: Any) -> "Perceptron":
        """The weights of a fitted ``sklearn.neural_network.MLPClassifier`` with ReLUs.

        Of two classes it has one logit z, which becomes the two outputs −z/2 and z/2.

        Raises:
            DataError: its activation is another one.
        """
        if model.activation != "relu":
            raise DataError(f"perceptron: its activation is {model.activation!r}; only 'relu' has a circuit here")
        weights, biases = [np.array(w, float) for w in model.coefs_], [np.array(b, float) for b in model.intercepts_]
        if weights[-1].shape[1] == 1:
            weights[-1], biases[-1] = weights[-1] @ np.array([[-0.5, 0.5]]), biases[-1] * np.array([-0.5, 0.5])
        return cls(tuple(weights), tuple(biases))

    @classmethod
    def from_npz(cls, path: Path) -> "Perceptron":
        """Read a perceptron from the arrays ``weights_0``, ``biases_0``, ``weights_1``, … of a file.

        Raises:
            DataError: the file cannot be read or an array is missing.
        """
        found = read_arrays(path, DataError)
        layers = range(sum(name.startswith("weights_") for name in found))
        for name in [f"{kind}_{k}" for k in layers or [0] for kind in ("weights", "biases")]:
            if name not in found:
                raise DataError(f"perceptron: {path} has no array {name!r}; it has {', '.join(found) or 'none'}")
        for name, array in found.items():
            if array.dtype.kind == "U":
                raise DataError(f"perceptron: {path}: array {name!r} holds texts, not numbers")
        parts = ([np.asarray(found[f"{kind}_{k}"], float) for k in layers] for kind in ("weights", "biases"))
        return cls(*map(tuple, parts))

    @property
    def hidden(self) -> tuple[int, ...]:
        """Nodes of each hidden layer."""
        return tuple(w.shape[1] for w in self.weights[:-1])

    def logits(self, inputs: Array) -> Array:
        """Return the logits that the perceptron computes, ``[batch, outputs]``, from ``[batch, inputs]``."""
        signal = inputs
        for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            signal = signal @ w + b
            if k < len(self.weights) - 1:
                signal = np.maximum(signal, 0)
        return signal


@dataclass(frozen=True, eq=False)
class Realized:
    """Conductances and gains with which a cascade computes a perceptron."""

    conductances: Conductances
    """S, one ``[word, bit]`` per crossbar."""
    buffer_gain: tuple[float, ...]
    """Gain of the buffers behind each hidden layer."""
    volts_per_logit: float
    """V at an output for a logit of 1."""


def realize(perceptron: Perceptron, circuit: Circuit, volts_per_unit: float) -> Realized:
    """Conductances and gains with which a `rectified_cascade` of its sizes computes a perceptron.

    `volts_per_unit` is a, V at an input pin for an input of 1.

    Raises:
        CircuitError: the sizes do not fit, or a stage without rails shall have biases.
    """
    sizes = [w.shape for w in perceptron.weights]
    crossbars = [array for array in circuit.arrays if isinstance(array, Crossbar)]
    rails = {e.node: e.volts for e in circuit.elements if isinstance(e, VoltageSource)}
    if len(crossbars) != len(sizes) or any(len(c.bits) != shape[1] for c, shape in zip(crossbars, sizes, strict=True)):
        raise CircuitError(f"circuit {circuit.name}: its crossbars do not fit a perceptron of layers {sizes}")
    arrays, gains = [], []
    for crossbar, w, b in zip(crossbars, perceptron.weights, perceptron.biases, strict=True):
        wanted = _wanted(crossbar, w, b, [rails[n] for n in crossbar.words if n in rails], volts_per_unit)
        own = wanted.sum(axis=0)
        wanted += (own.max() - own) / len(crossbar.words)  # on both signs of every line, so that it cancels
        unit = crossbar.g_max / wanted.max()  # k
        arrays.append(np.clip(unit * wanted, crossbar.g_min, crossbar.g_max))
        gains.append(float(own.max()))
    return Realized(tuple(arrays), tuple(gains[:-1]), volts_per_unit / gains[-1])


def _wanted(crossbar: Crossbar, weights: Array, biases: Array, rails: Sequence[float], volts: float) -> Array:
    """Cells in units of k, ``[word, bit]``: lines of both signs, then the rails of both signs."""
    if len(crossbar.words) != 2 * len(weights) + len(rails):
        lines = f"{len(crossbar.words)} word lines"
        raise CircuitError(f"crossbar {crossbar.name}: {lines} for {len(weights)} inputs of both signs and its rails")
    if biases.any() and not rails:
        raise CircuitError(f"crossbar {crossbar.name}: it has no bias rails for the perceptron's biases")
    parts = [np.maximum(weights, 0), np.maximum(-weights, 0)]
    parts += [np.maximum(biases * volts / rail, 0)[None] for rail in rails]
    return np.concatenate(parts)
