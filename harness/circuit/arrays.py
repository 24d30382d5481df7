"""Trainable arrays: conductances between lines, or along the edges of a graph, each one element however large it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import ClassVar, Self

import numpy as np
from typing_extensions import override

from harness.circuit.part import CONDUCTANCE_LIMIT, Part, Path, check_apart
from harness.circuit.primitives import Cell, Primitive
from harness.devices import LINEAR_CELLS, CellLaw
from harness.errors import CircuitError
from harness.measurement import Array, Index
from harness.units import show


class _Cells(Part):
    """Base of the trainable arrays."""

    name: str
    conductances: Array
    g_min: float
    g_max: float
    law: CellLaw

    @property
    def _ends(self) -> Iterator[Path]:
        """The nodes at both ends of every cell, in the order of ``conductances.ravel()``."""
        raise NotImplementedError

    def cell(self, *position: int) -> str:
        """The name of a cell, as netlists write it."""
        return "_".join([self.name, *map(str, position)])

    def with_conductances(self, conductances: Array) -> Self:
        """Return the array programmed to other values (S, in its shape)."""
        return replace(self, conductances=np.array(conductances, float))  # type: ignore[type-var]

    @override
    def lowered(self) -> Iterator[Primitive]:
        places = np.unravel_index(np.arange(self.conductances.size), self.conductances.shape)
        positions = zip(*(axis.tolist() for axis in places), strict=True)
        for position, ends, siemens in zip(positions, self._ends, self.conductances.ravel().tolist(), strict=True):
            if siemens > 0:
                yield Cell(self.cell(*position), ends, siemens, self.law)

    def _straightened(self, drops: Array) -> Self:
        """The array with linear cells that conduct as these do about drops (V), and bounds that hold them."""
        if self.law.linear:
            return self
        siemens = self.conductances * self.law.current_and_slope(drops)[1]
        low, high = min(self.g_min, float(siemens.min())), max(self.g_max, float(siemens.max()))
        return replace(self, conductances=siemens, g_min=low, g_max=high, law=LINEAR_CELLS)  # type: ignore[type-var]


@dataclass(frozen=True, eq=False)
class Crossbar(_Cells):
    """An array of trainable conductances between word lines and bit lines; one element however large it is.

    A conductance of 0 S is an open cell.
    """

    name: str
    words: tuple[str, ...]
    bits: tuple[str, ...]
    conductances: Array = field(repr=False)
    """S, ``[word, bit]``; g_min ≤ g ≤ g_max."""
    g_min: float
    g_max: float
    law: CellLaw = LINEAR_CELLS
    """The law by which the current of every cell follows its voltage."""

    noun: ClassVar[str] = "crossbar"

    @property
    def shape(self) -> tuple[int, ...]:
        """Word lines, bit lines."""
        return len(self.words), len(self.bits)

    def ends(self, index: Mapping[str, int]) -> tuple[Index, Index]:
        """Numbers of the nodes at both ends of every cell, ``[words, 1]`` and ``[1, bits]``."""
        return _numbers(self.words, index)[:, None], _numbers(self.bits, index)[None, :]

    @property
    def pins(self) -> tuple[str, ...]:
        """Word lines, then bit lines."""
        return self.words + self.bits

    @property
    @override
    def _ends(self) -> Iterator[Path]:
        return product(self.words, self.bits)

    @override
    def small_signal(self, volts: Mapping[str, float]) -> "Iterator[Crossbar]":
        words, bits = (np.array([volts[node] for node in nodes]) for nodes in (self.words, self.bits))
        yield self._straightened(words[:, None] - bits)

    @override
    def check(self) -> None:
        _check_array(self, "one word line and one bit line")
        if shared := set(self.words) & set(self.bits):
            raise CircuitError(f"{self.title}: line {min(shared)} is both a word line and a bit line")
        for lines in (self.words, self.bits):
            if len(set(lines)) < len(lines):
                twice = next(line for line in lines if lines.count(line) > 1)
                raise CircuitError(f"{self.title}: line {twice} appears twice")
        check_bounds(self, self.conductances)


@dataclass(frozen=True, eq=False)
class Edges(_Cells):
    """Trainable conductances of a graph: one between each node of `a` and its partner in `b`.

    A conductance of 0 S is an open edge.
    """

    name: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    conductances: Array = field(repr=False)
    """S, ``[edge]``; g_min ≤ g ≤ g_max."""
    g_min: float
    g_max: float
    law: CellLaw = LINEAR_CELLS
    """The law by which the current of every edge follows its voltage."""

    noun: ClassVar[str] = "edges"

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of edges."""
        return (len(self.a),)

    def ends(self, index: Mapping[str, int]) -> tuple[Index, Index]:
        """Numbers of the nodes at both ends of every edge, ``[edges]`` each."""
        return _numbers(self.a, index), _numbers(self.b, index)

    @property
    def pins(self) -> tuple[str, ...]:
        """First ends, then second ends."""
        return self.a + self.b

    @property
    @override
    def _ends(self) -> Iterator[Path]:
        return zip(self.a, self.b, strict=True)

    @override
    def small_signal(self, volts: Mapping[str, float]) -> "Iterator[Edges]":
        first, second = (np.array([volts[node] for node in nodes]) for nodes in (self.a, self.b))
        yield self._straightened(first - second)

    @override
    def check(self) -> None:
        _check_array(self, "one edge")
        if len(self.a) != len(self.b):
            raise CircuitError(f"{self.title}: {len(self.a)} first ends and {len(self.b)} second ends")
        for k, ends in enumerate(zip(self.a, self.b, strict=True)):
            check_apart(self.title, f"both ends of edge {k} are", ends)
        check_bounds(self, self.conductances)


@dataclass(frozen=True, eq=False)
class Convolution(Edges):
    """The cells of kernels at every position of an image: one small crossbar of word and bit lines for each position.

    Edges are counted position by position, word line by word line: the first ends are word lines, nodes of the
    image and rails under a kernel; the second ends are bit lines, one for each kernel. Cells of equal place at all
    positions are copies of one cell of a kernel.
    """

    positions: int = 1
    """Places of a kernel in the image."""
    kernels: int = 1
    """Bit lines of each position."""
    tied: bool = True
    """Copies learn together, from the sum of their gradients; False lets each learn for itself (locally connected)."""

    noun: ClassVar[str] = "convolution"

    @property
    def grid(self) -> tuple[int, int, int]:
        """Positions, word lines of each position, bit lines of each position."""
        return self.positions, len(self.a) // (self.positions * self.kernels), self.kernels

    @property
    def words(self) -> tuple[str, ...]:
        """Nodes that are word lines at some position, each once."""
        return tuple(dict.fromkeys(self.a))

    @property
    def bits(self) -> tuple[str, ...]:
        """The bit lines of all positions."""
        return tuple(dict.fromkeys(self.b))

    @property
    def table(self) -> Array:
        """Conductances of the kernels' cells as rows of word lines, S: of tied kernels the mean over their copies.

        Shapes are ``[words, kernels]`` and, of kernels that are not tied, ``[words, positions × kernels]``.
        """
        g = self.conductances.reshape(self.grid)
        return np.asarray(g.mean(axis=0)) if self.tied else g.swapaxes(0, 1).reshape(self.grid[1], -1)

    def lines(self, ends: tuple[Index, Index]) -> tuple[Index, Index]:
        """Return the lines of every position, ``[positions, words]`` and ``[positions, bits]``, from `ends`."""
        first, second = (each.reshape(self.grid) for each in ends)
        return first[:, :, 0], second[:, 0, :]

    @override
    def check(self) -> None:
        super().check()
        if self.positions < 1 or self.kernels < 1 or len(self.a) % (self.positions * self.kernels):
            sizes = f"{self.positions} positions of {self.kernels} kernels"
            raise CircuitError(f"{self.title}: {len(self.a)} cells are no whole number of word lines at {sizes}")
        for names, axis, other in ((self.a, 1, "bit"), (self.b, 2, "word")):
            lines = np.array(names, dtype=object).reshape(self.grid)
            lines = np.moveaxis(lines, 3 - axis, 0)
            if (lines != lines[0]).any():
                raise CircuitError(f"{self.title}: at one position, the same line must lead to every {other} line")


TrainableArray = Crossbar | Edges | Convolution
"""Elements whose conductances learning may change."""


def _numbers(nodes: tuple[str, ...], index: Mapping[str, int]) -> Index:
    return np.array([index[node] for node in nodes], dtype=np.intp)


def check_bounds(array: TrainableArray, conductances: Array) -> None:
    """Refuse conductances (S, in the array's shape) that the array cannot hold.

    Raises:
        CircuitError: a value is not finite or outside g_min…g_max; the message names the cell.
    """
    if conductances.shape != array.shape:
        raise CircuitError(f"{array.title}: conductances have shape {conductances.shape}, its cells {array.shape}")
    fits = (conductances >= array.g_min) & (conductances <= array.g_max)  # NaN fits nowhere
    if fits.all():
        return
    position = tuple(np.argwhere(~fits)[0].tolist())
    value = show(float(conductances[position]), "S")
    low, high = show(array.g_min, "S"), show(array.g_max, "S")
    raise CircuitError(f"{array.title}, cell {list(position)}: {value} is outside {low}…{high}")


def _check_array(array: TrainableArray, wanted: str) -> None:
    if not np.prod(array.shape):
        raise CircuitError(f"{array.title}: it needs at least {wanted}")
    if not 0 <= array.g_min < array.g_max <= CONDUCTANCE_LIMIT:
        low, high = show(array.g_min, "S"), show(array.g_max, "S")
        raise CircuitError(
            f"{array.title}: bounds {low}…{high} must satisfy 0 ≤ g_min < g_max ≤ {CONDUCTANCE_LIMIT:g} S"
        )
