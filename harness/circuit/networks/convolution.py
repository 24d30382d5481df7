"""Convolution as a circuit: the same few cells at every position of an image, and pooling by averaging resistors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.circuit.arrays import Convolution
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Element, Resistor
from harness.circuit.networks.layered import (
    CellRange,
    Layers,
    bias_of,
    bias_rails,
    check_sizes,
    doubled_inputs,
    pairs_of,
    shift_sources,
)
from harness.devices import DiodeModel, MosfetModel, ZenerModel
from harness.errors import CircuitError
from harness.measurement import Array

_Nodes = npt.NDArray[Any]
"""Names of nodes, as objects: ``[planes, rows, columns]``."""


@dataclass(frozen=True)
class Kernels:
    """The kernels of one convolutional layer, and the pooling behind them."""

    window: tuple[int, int]
    """Rows and columns of the image that each kernel covers."""
    count: int
    """Kernels at each position; each makes one plane of the next image."""
    stride: int = 1
    """Rows and columns from position to position."""
    pool: int = 1
    """Rows and columns of the nodes that resistors average to one; 1 for no pooling."""
    pool_conductance: float = 0.0
    """S of each of these resistors."""
    tied: bool = True
    """True lets the copies of a cell learn together (convolution), False each for itself (locally connected layer)."""

    def planned(self, image: tuple[int, int, int]) -> tuple[int, int, int]:
        """Planes, rows and columns of the nodes that the kernels lead to, before they are pooled.

        Raises:
            CircuitError: the kernels do not fit the image (planes, rows, columns), or pools the nodes.
        """
        if min(*self.window, self.count, self.stride, self.pool) < 1:
            raise CircuitError("convolution: window, kernels, stride and pool must be at least 1")
        rows, columns = ((size - side) // self.stride + 1 for size, side in zip(image[1:], self.window, strict=True))
        if min(rows, columns) < 1:
            window, under = (" × ".join(map(str, sizes)) for sizes in (self.window, image[1:]))
            raise CircuitError(f"convolution: a window of {window} is larger than the image of {under} under it")
        if rows % self.pool or columns % self.pool:
            raise CircuitError(
                f"convolution: pools of {self.pool} × {self.pool} do not divide the {rows} × {columns} positions of a "
                "kernel; take another pool, window or stride"
            )
        if self.pool > 1 and not self.pool_conductance > 0:
            raise CircuitError("convolution: pooling needs resistors; give pool_conductance, above 0 S")
        return self.count, rows, columns

    def after(self, image: tuple[int, int, int]) -> tuple[int, int, int]:
        """Planes, rows and columns of the next image: see `planned`."""
        planes, rows, columns = self.planned(image)
        return planes, rows // self.pool, columns // self.pool


def convolutional_network(
    image: tuple[int, int, int],
    convolutions: Sequence[Kernels],
    hidden: Sequence[int],
    outputs: int,
    *,
    cells: CellRange,
    diode: DiodeModel | MosfetModel,
    rng: np.random.Generator,
    input_gain: float = 1.0,
    bias: Sequence[float] = (),
    shift: tuple[float, float] = (-1.0, 1.0),
    amplifier_gain: float = 4.0,
) -> Circuit:
    """A layered network whose first layers are convolutions.

    A node of a convolution is driven by the window of the image before it, of all planes, through a kernel's cells, and
    by the layer's two bias rails. The first image are the input pins, of which each input has two. All nodes have
    diodes as in `layered_network`. Where nodes are pooled, a resistor leads from each to the node of its pool, and
    that node drives the next layer. Crossbars follow: those of the hidden layers, if any, and of the outputs.

    Args:
        image: planes, rows and columns of the inputs, which are counted plane by plane and row by row.
        convolutions: the kernels of each convolutional layer.
        hidden: nodes of each hidden layer behind the convolutions; may be empty.
        outputs: number of output pairs.
        cells: range and unit of the conductances; a kernel's fan-in are the lines of one window and the rails.
        diode: see `layered_network`, as all that follow.
        rng: draws the initial conductances.
        input_gain: V at the input pin per V of input.
        bias: V of the rail pair at each convolution and crossbar.
        shift: V of the lower and the upper shift source.
        amplifier_gain: of the amplifiers behind hidden nodes, or behind pools.

    Raises:
        CircuitError: a size or a value is out of range, or a layer does not fit the one before.
    """
    check_sizes(int(np.prod(image)), hidden, outputs)
    volts = bias_of(bias, len(convolutions) + len(hidden))
    elements, words = doubled_inputs(int(np.prod(image)), input_gain)
    elements += [] if isinstance(diode, ZenerModel) else shift_sources(shift)
    layers, planes = Layers(cells, diode, amplifier_gain, rng), (2 * image[0], *image[1:])
    for layer, kernels in enumerate(convolutions, start=1):
        nodes = _named("h", layer, kernels.planned(planes))
        before = np.array(words, dtype=object).reshape(planes)
        elements += _convolution(layer, kernels, before, nodes, volts[layer - 1], layers)
        elements += layers.neurons(layer, nodes.ravel().tolist())
        pooled = nodes
        if kernels.pool > 1:
            pooled = _named("p", layer, kernels.after(planes))
            elements += _pooling(layer, kernels, nodes, pooled)
        amplifiers, words = layers.amplified(layer, pooled.ravel().tolist())
        elements += amplifiers
        planes = kernels.after(planes)
    elements += layers.dense(len(convolutions) + 1, words, (*hidden, outputs), volts[len(convolutions) :])
    return Circuit("convolutional", tuple(elements), pairs_of(outputs))


def _named(letter: str, layer: int, shape: tuple[int, int, int]) -> _Nodes:
    return np.array([f"{letter}{layer}_{i}" for i in range(int(np.prod(shape)))], dtype=object).reshape(shape)


def _convolution(
    layer: int, kernels: Kernels, before: _Nodes, nodes: _Nodes, bias: float, layers: Layers
) -> Iterable[Element]:
    """Bias rails, and the cells between the image `before` and the `nodes` of a layer."""
    rails = bias_rails(layer, bias)
    windows = np.lib.stride_tricks.sliding_window_view(before, kernels.window, axis=(1, 2))
    windows = windows[:, :: kernels.stride, :: kernels.stride].transpose(1, 2, 0, 3, 4)
    positions = windows.shape[0] * windows.shape[1]
    held = np.tile(np.array([rail.node for rail in rails], dtype=object), (positions, 1))
    words = np.concatenate([windows.reshape(positions, -1), held], axis=1)
    bits = nodes.reshape(kernels.count, positions).T
    shape = (positions, words.shape[1], kernels.count)
    first = np.broadcast_to(words[:, :, None], shape).ravel().tolist()
    second = np.broadcast_to(bits[:, None, :], shape).ravel().tolist()
    cells, g = layers.cells, _initial(shape, kernels, layers)
    sizes = {"positions": positions, "kernels": kernels.count, "tied": kernels.tied}
    yield from rails
    yield Convolution(f"w{layer}", tuple(first), tuple(second), g.ravel(), cells.g_min, cells.g_max, **sizes)


def _initial(shape: tuple[int, int, int], kernels: Kernels, layers: Layers) -> Array:
    """Initial conductances (S, ``[positions, words, kernels]``), the same at all positions where they are tied."""
    positions, words, count = shape
    if kernels.tied:
        return np.broadcast_to(layers.cells.fresh(words, count, layers.rng), shape)
    return layers.cells.fresh(words, positions * count, layers.rng).reshape(words, positions, count).swapaxes(0, 1)


def _pooling(layer: int, kernels: Kernels, nodes: _Nodes, pooled: _Nodes) -> list[Element]:
    """A resistor from each node to the node of its pool."""
    wide = pooled.repeat(kernels.pool, axis=1).repeat(kernels.pool, axis=2)
    pairs = enumerate(zip(nodes.ravel().tolist(), wide.ravel().tolist(), strict=True))
    return [Resistor(f"pool{layer}_{i}", h, p, kernels.pool_conductance) for i, (h, p) in pairs]
