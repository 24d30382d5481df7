"""Voltages over every trainable cell, multiplied and summed over a batch: the one product that all rules need."""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from harness.circuit import Circuit, Convolution, Edges, TrainableArray
from harness.circuit.scaling import energy_scales, node_scales
from harness.measurement import Array, Conductances, Index

_Lines = slice | Index
"""Positions of lines among the nodes of a circuit."""
_Products = Callable[[Array, Array, tuple[_Lines, ...], float | Array, float | Array], Array]
"""The product of one kind of array: of two voltages of all nodes, at its lines, times a factor and a scale."""


class Cells:
    """The trainable cells of a circuit, by the nodes at their ends.

    Args:
        circuit: the topology.
        energy: whether `products` will be called, which counts with the circuit's energy.

    Raises:
        CircuitError: an energy is wanted, and amplifiers of unequal gains leave none.
    """

    def __init__(self, circuit: Circuit, *, energy: bool = True) -> None:
        self.outputs = len(circuit.outputs)
        self._ways = [_way(circuit, array) for array in circuit.arrays]
        if energy:
            self._scales = energy_scales(circuit)
        self._circuit = circuit

    def adjoint_of(self, small: Array) -> Array:
        """Return the adjoint voltages (V, ``[batch, nodes]``) from small-signal ones, V, of the same nodes.

        The circuit is reciprocal, or its one-way parts are reversed. They differ by ΠA² over the amplifier stages
        between a node and the outputs (`harness.circuit.scaling`), and are 0 where buffers hold a node.
        """
        return small * self._node_scales

    @cached_property
    def _node_scales(self) -> Array:
        return node_scales(self._circuit)

    def adjoint_products(self, adjoint: Array, nodes: Array) -> Conductances:
        """Return −Σ over the batch of Δv Δλ for every cell: ∂C/∂g in V²/S where λ is ∂C/∂i.

        Args:
            adjoint: λ in V²/A, ``[batch, nodes]``; ∂C/∂i of every node, which the adjoint network's voltages are.
            nodes: v in V, ``[batch, nodes]``.
        """
        return tuple(products(adjoint, nodes, ends, -1.0, 1.0) for products, ends in self._ways)

    def products(self, first: Array, second: Array, factor: float | Array) -> Conductances:
        """`factor` · ΠA² · Σ over the batch of Δp Δq for every cell (V²), from node voltages p and q.

        ΠA² runs over the amplifier stages between a cell and the outputs (Kendall et al. 2020, §3).

        Args:
            first: p in V, ``[batch, nodes]`` or, of a stack of chips, ``[chips, batch, nodes]``, as the products have
                the chips first then; the smaller one of the two where they differ much.
            second: q in V, likewise.
            factor: number that the sums are multiplied by, of any unit; ``[chips, 1, 1]`` where chips differ in it.
        """
        arrays = zip(self._ways, self._scales, strict=True)
        return tuple(products(first, second, ends, factor, scale) for (products, ends), scale in arrays)


def _way(circuit: Circuit, array: TrainableArray) -> tuple[_Products, tuple[_Lines, ...]]:
    """The product of an array's kind, and its lines."""
    ends = circuit.ends(array)
    if isinstance(array, Convolution):
        return _convolution_products, array.lines(ends)
    kind = _edge_products if isinstance(array, Edges) else _crossbar_products
    return kind, tuple(_lines(circuit, nodes) for nodes in ends)


def _edge_products(
    first: Array, second: Array, ends: tuple[_Lines, ...], factor: float | Array, scale: float | Array
) -> Array:
    p, q = ((_voltages(nodes, ends[0]) - _voltages(nodes, ends[1])) for nodes in (first, second))
    weight = np.asarray(factor)
    return np.asarray(scale * ((weight[..., 0] if weight.ndim else weight) * np.einsum("...se,...se->...e", p, q)))


def _convolution_products(
    first: Array, second: Array, ends: tuple[_Lines, ...], factor: float | Array, scale: float | Array
) -> Array:
    """Return `factor` · `scale` · the products of the small crossbar at every position, one behind the other."""
    p, q = ([_at_positions(nodes, lines) for lines in ends] for nodes in (first, second))
    weight = np.asarray(factor)
    found = _lines_products((p[0], p[1]), (q[0], q[1]), weight[..., None] if weight.ndim else factor, 1.0)
    return np.asarray(scale * found.reshape(*found.shape[:-3], -1))


def _at_positions(nodes: Array, lines: _Lines) -> Array:
    """Return the voltage of each line at each position, V, ``[..., positions, batch, lines]``."""
    return np.moveaxis(_voltages(nodes, lines), -2, -3)


def _crossbar_products(
    first: Array, second: Array, ends: tuple[_Lines, ...], factor: float | Array, scale: float | Array
) -> Array:
    """Return `factor` · `scale` · the products of a crossbar."""
    p, q = ((_voltages(nodes, ends[0]), _voltages(nodes, ends[1])) for nodes in (first, second))
    return _lines_products(p, q, factor, scale)


def _lines_products(
    p: tuple[Array, Array], q: tuple[Array, Array], factor: float | Array, scale: float | Array
) -> Array:
    """Return `factor` · `scale` · the products of a crossbar, without an array of samples and cells.

    `factor` is a number, or one a chip, and `scale` a number, or one a cell. `p` and `q` are voltages of word lines
    and of bit lines, ``[..., batch, lines]``.
    """
    (p_word, p_bit), (q_word, q_bit) = p, q
    uneven = np.ndim(scale) > 0
    weight: float | Array = 1.0 if uneven else factor * scale
    p_bit = weight * p_bit
    total = np.matmul(q_word.swapaxes(-1, -2), -p_bit)
    total += (p_bit * q_bit).sum(axis=-2)[..., None, :]
    if p_word.any():  # input pins do not move between phases
        p_word = weight * p_word
        total += (p_word * q_word).sum(axis=-2)[..., None]
        total -= p_word.swapaxes(-1, -2) @ q_bit
    return np.asarray(factor * scale * total if uneven else total)


def _lines(circuit: Circuit, nodes: Index) -> _Lines:
    """Positions of some lines among the nodes; the index behind the last node is ground's."""
    lines = nodes.ravel()
    first, count = int(lines[0]), len(lines)
    if lines.max() < len(circuit.nodes) and np.array_equal(lines, np.arange(first, first + count)):
        return slice(first, first + count)  # of which a view is taken: word lines are a network's most numerous nodes
    return lines


def _voltages(nodes: Array, lines: _Lines) -> Array:
    """Return the voltage of each line, V, ``[..., batch, lines]``."""
    if isinstance(lines, slice):
        return nodes[..., lines]
    if lines.max() < nodes.shape[-1]:
        return nodes.take(lines, axis=-1)
    return np.concatenate([nodes, np.zeros((*nodes.shape[:-1], 1))], axis=-1).take(lines, axis=-1)
