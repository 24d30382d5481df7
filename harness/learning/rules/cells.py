"""Voltages over every trainable cell, multiplied and summed over a batch: the one product that all rules need."""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from harness.circuit import Circuit, Convolution, Edges, TrainableArray
from harness.circuit.scaling import energy_scales, node_scales
from harness.measurement import Array, Conductances, Index, view_of

_Lines = slice | Index
"""Positions of lines among the nodes of a circuit; the index behind the last node is ground's."""
_Products = Callable[["_Pair", tuple[_Lines, ...], float | Array, float | Array], Array]
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
            self._scales = [scale if scale.ndim else float(scale) for scale in energy_scales(circuit)]
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
        pair = _Pair(adjoint, nodes)
        return tuple(products(pair, ends, -1.0, 1.0) for products, ends in self._ways)

    def products(self, first: Array, second: Array, factor: float | Array) -> Conductances:
        """`factor` · ΠA² · Σ over the batch of Δp Δq for every cell (V²), from node voltages p and q.

        ΠA² runs over the amplifier stages between a cell and the outputs (Kendall et al. 2020).

        Args:
            first: p in V, ``[batch, nodes]`` or, of a stack of chips, ``[chips, batch, nodes]``, as the products have
                the chips first then; the smaller one of the two where they differ much.
            second: q in V, likewise.
            factor: number that the sums are multiplied by, of any unit; ``[chips, 1, 1]`` where chips differ in it.
        """
        pair, arrays = _Pair(first, second), zip(self._ways, self._scales, strict=True)
        return tuple(products(pair, ends, factor, scale) for (products, ends), scale in arrays)


class _Pair:
    """Two voltages of every node, p and q, ``[..., batch, nodes]``.

    A cell between a word line w and a bit line b has the product Σ (p_w − p_b) (q_w − q_b) over the batch, which is

        Σ q_w (−p_b) + Σ p_b q_b + Σ p_w q_w + Σ p_w (−q_b),

    so that a crossbar's products are one product of two matrices, without an array of samples and cells.
    """

    def __init__(self, first: Array, second: Array) -> None:
        self._first, self._second = first, second

    def factors(self, words: _Lines, bits: _Lines) -> tuple[Array, Array]:
        """Return the two matrices at some lines, ``[..., terms, lines]``, in the order of the sum above."""
        (at_words, at_bits), still = self._terms, self._first.shape[-2] + 1
        if at_words[..., still:, words].any():
            return at_words[..., words], at_bits[..., bits]
        return at_words[..., :still, words], at_bits[..., :still, bits]  # as at input pins: p is 0 there

    def drops(self, first: _Lines, second: _Lines) -> tuple[Array, Array]:
        """Return both voltages between pairs of nodes, V, ``[..., batch, pairs]``."""
        (terms, _), batch = self._terms, self._first.shape[-2]
        q, p = terms[..., :batch, :], terms[..., batch + 2 :, :]
        return p[..., first] - p[..., second], q[..., first] - q[..., second]

    @cached_property
    def _terms(self) -> tuple[Array, Array]:
        """The matrices with a column for every node and, last, ground, ``[..., 2 batch + 2, nodes + 1]``."""
        p, q = self._first, self._second
        *stack, batch, nodes = p.shape
        words, bits = terms = np.empty((2, *stack, 2 * batch + 2, nodes + 1))
        terms[..., -1], own = 0.0, (p * q).sum(axis=-2)
        words[..., :batch, :-1], words[..., batch, :], words[..., batch + 1, :-1] = q, 1.0, own
        bits[..., :batch, :-1], bits[..., batch, :-1], bits[..., batch + 1, :] = -p, own, 1.0
        words[..., batch + 2 :, :-1], bits[..., batch + 2 :, :-1] = p, -q
        return words, bits


def _way(circuit: Circuit, array: TrainableArray) -> tuple[_Products, tuple[_Lines, ...]]:
    """The product of an array's kind, and its lines."""
    ends = circuit.ends(array)
    if isinstance(array, Convolution):
        return _convolution_products, array.lines(ends)
    kind = _edge_products if isinstance(array, Edges) else _crossbar_products
    return kind, tuple(view_of(nodes.ravel()) for nodes in ends)


def _edge_products(pair: _Pair, ends: tuple[_Lines, ...], factor: float | Array, scale: float | Array) -> Array:
    p, q = pair.drops(*ends)
    weight = np.asarray(factor)
    return np.asarray(scale * ((weight[..., 0] if weight.ndim else weight) * np.einsum("...se,...se->...e", p, q)))


def _convolution_products(pair: _Pair, ends: tuple[_Lines, ...], factor: float | Array, scale: float | Array) -> Array:
    """Return `factor` · `scale` · the products of the small crossbar at every position, one behind the other."""
    words, bits = (np.moveaxis(factor, -2, -3) for factor in pair.factors(*ends))
    weight = np.asarray(factor)
    found = words.swapaxes(-1, -2) @ ((weight[..., None] if weight.ndim else weight) * bits)
    return np.asarray(scale * found.reshape(*found.shape[:-3], -1))


def _crossbar_products(pair: _Pair, ends: tuple[_Lines, ...], factor: float | Array, scale: float | Array) -> Array:
    """Return `factor` · `scale` · the products of a crossbar; `scale` is a number, or one for each cell."""
    words, bits = pair.factors(*ends)
    if isinstance(scale, np.ndarray):
        return np.asarray(scale * (words.swapaxes(-1, -2) @ (factor * bits)))
    return np.asarray(words.swapaxes(-1, -2) @ (factor * scale * bits))
