"""Meshes of resistive lines, eliminated block by block with dense arithmetic.

A crossbar with line resistance is a strip: its word lines are chains that only its cells join to the bit lines. With
the word lines eliminated one by one, what is left of each is a row of nodes, one on every bit line, that is joined to
the rows before and behind it alone. `mesh_blocks` finds these blocks in any circuit whose fixed conductances form such
lines, and `Fronts` eliminates blocks in a given order (the multifrontal method: Duff & Reid 1983, ACM Trans. Math.
Softw. 9, 302), whatever they are: words · bits nodes of two kinds cost words · bits³ operations in BLAS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, reverse_cuthill_mckee

from harness.measurement import Array, Index

_MOST_NUMBERS = 2**27  # in all fronts together: 1 GB
_LEAST_BLOCK = 8  # unknowns per block on average: below it, a sparse factorization has less to look after
_Place = slice | Index


@dataclass(frozen=True, eq=False)
class _Front:
    """A block while it is eliminated: its own unknowns first, then the later ones that it touches by then."""

    own: slice
    beyond: Index
    """Numbers of the later unknowns, rising."""
    reached: _Place
    """The same, as a slice where that is possible."""
    entries: slice
    """Slice of the matrix's entries in the order of fronts."""
    slots: Index
    """Their places in the front, row by row."""
    children: tuple[tuple[int, _Place], ...]
    """Fronts whose remainder belongs into this one, and its places there."""

    @property
    def size(self) -> int:
        return self.own.stop - self.own.start + len(self.beyond)


class Fronts:
    """The elimination of symmetric matrices of one pattern, planned; unknowns are renumbered in the order of blocks."""

    def __init__(self, pattern: csr_matrix, blocks: Sequence[Index]) -> None:
        """Plan the elimination of a symmetric matrix, ``[n, n]``, block by block; every unknown is in one of them."""
        self._pattern = pattern
        self._order = np.concatenate(blocks)
        number = np.empty(len(self._order), np.intp)
        number[self._order] = np.arange(len(number))
        entries = pattern.tocoo()
        self._keys = entries.row.astype(np.int64) * len(number) + entries.col
        rows, columns = number[entries.row], number[entries.col]
        upper = np.flatnonzero(columns >= rows)
        self._chosen = upper[np.argsort(rows[upper], kind="stable")]
        self._fronts = _planned(rows[self._chosen], columns[self._chosen], [len(block) for block in blocks])

    @property
    def numbers(self) -> int:
        """Number of floats that the factors consist of."""
        return sum((front.own.stop - front.own.start) * front.size for front in self._fronts)

    def factored(self, matrix: csr_matrix) -> "FrontFactors":
        """The factors of a positive definite matrix whose entries are among the pattern's.

        Raises:
            LinAlgError: it is not positive definite.
        """
        values = self._values(matrix)
        remainders: dict[int, Array] = {}
        inverses, couplings = [], []
        for k, front in enumerate(self._fronts):
            size, own = front.size, front.own.stop - front.own.start
            whole = np.zeros((size, size))
            whole.ravel()[front.slots] = values[front.entries]
            for child, place in front.children:
                remainder = remainders.pop(child)
                whole[(place, place) if isinstance(place, slice) else np.ix_(place, place)] += remainder
            inverse = _inverse(whole[:own, :own])
            across = whole[:own, own:]
            coupling = inverse @ across
            if len(front.beyond):
                remainders[k] = whole[own:, own:] - across.T @ coupling
            inverses.append(inverse)
            couplings.append(coupling)
        return FrontFactors(self._fronts, self._order, inverses, couplings)

    def _values(self, matrix: csr_matrix) -> Array:
        """The upper entries in the order of fronts; those that a matrix does not have are 0."""
        planned = self._pattern
        if matrix.nnz == planned.nnz and np.array_equal(matrix.indices, planned.indices):
            return np.asarray(matrix.data[self._chosen], float)
        entries = matrix.tocoo()
        values = np.zeros(len(self._keys))
        keys = entries.row.astype(np.int64) * matrix.shape[0] + entries.col
        values[np.searchsorted(self._keys, keys)] = entries.data
        return values[self._chosen]


@dataclass(frozen=True, eq=False)
class FrontFactors:
    """A factored matrix: of every front the inverse of its block, and that times its coupling to later unknowns."""

    fronts: Sequence[_Front]
    order: Index
    inverses: Sequence[Array]
    couplings: Sequence[Array]

    def solve(self, columns: Array) -> Array:
        """The solution for right-hand sides ``[n, columns]``; those that are 0 up to a late block cost half."""
        solved = columns[self.order]
        loaded = np.zeros(len(self.fronts), bool)
        for k, front in enumerate(self.fronts):
            loaded[k] = solved[front.own].any()
            if loaded[k] and len(front.beyond):
                solved[front.reached] -= self.couplings[k].T @ solved[front.own]
        for k in reversed(range(len(self.fronts))):
            front = self.fronts[k]
            if loaded[k]:
                solved[front.own] = self.inverses[k] @ solved[front.own]
            if len(front.beyond):
                solved[front.own] -= self.couplings[k] @ solved[front.reached]
        back = np.empty_like(solved)
        back[self.order] = solved
        return back


def _inverse(block: Array) -> Array:
    """Return the inverse of a positive definite matrix, of which the upper half is read."""
    factor, failed = dpotrf(block.copy().T, lower=1, clean=1, overwrite_a=1)
    half, singular = dpotri(factor, lower=1, overwrite_c=1) if not failed else (factor, 1)
    if singular:
        raise np.linalg.LinAlgError("the matrix is not positive definite")
    whole = half + half.T
    whole.ravel()[:: len(whole) + 1] /= 2
    return np.asarray(whole)


def _planned(rows: Index, columns: Index, sizes: Sequence[int]) -> list[_Front]:
    """Fronts from the upper entries in the order of rows, and the blocks' sizes."""
    ends = np.cumsum(sizes)
    block_of = np.repeat(np.arange(len(sizes)), sizes)
    cuts = [0, *np.searchsorted(rows, ends)]
    children: list[list[int]] = [[] for _ in sizes]
    fronts: list[_Front] = []
    for k, end in enumerate(ends.tolist()):
        entries = slice(int(cuts[k]), int(cuts[k + 1]))
        inherited = [fronts[child].beyond for child in children[k]]
        touched = np.concatenate([columns[entries], *inherited])
        beyond = np.unique(touched[touched >= end])
        if len(beyond):
            children[block_of[beyond[0]]].append(k)
        start = end - sizes[k]
        unknowns = np.concatenate([np.arange(start, end), beyond])
        at = np.searchsorted(unknowns, columns[entries])
        slots = (rows[entries] - start) * len(unknowns) + at
        places = tuple((c, _place(np.searchsorted(unknowns, fronts[c].beyond))) for c in children[k])
        fronts.append(_Front(slice(start, end), beyond, _place(beyond), entries, slots, places))
    return fronts


def _place(numbers: Index) -> _Place:
    if len(numbers) and numbers[-1] - numbers[0] == len(numbers) - 1:
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers


def fronts_of(pattern: csr_matrix, fixed: Index, loaded: npt.NDArray[np.bool_]) -> Fronts | None:
    """The plan for a symmetric matrix (``[n, n]``) that is a mesh of lines; None where it is not, or too large.

    Args:
        pattern: its entries.
        fixed: pairs of unknowns joined by conductances that never change: segments of lines, ``[pairs, 2]``.
        loaded: unknowns that right-hand sides touch most.
    """
    blocks = mesh_blocks(pattern, fixed, loaded)
    if blocks is None or len(blocks) * _LEAST_BLOCK > pattern.shape[0]:
        return None
    fronts = Fronts(pattern, blocks)
    return fronts if fronts.numbers <= _MOST_NUMBERS else None


def mesh_blocks(pattern: csr_matrix, fixed: Index, loaded: npt.NDArray[np.bool_]) -> list[Index] | None:
    """Return lines of one kind, each followed by the other kind's nodes beside it; None without two kinds of lines.

    Arguments are those of `fronts_of`. Shorter lines are eliminated first, rows in their order along the other lines,
    the end with the loaded unknowns last.
    """
    size = pattern.shape[0]
    count, line = connected_components(_graph(fixed, size), directed=False)
    entries = pattern.tocoo()
    crossing = line[entries.row] != line[entries.col]
    near, far = entries.row[crossing], entries.col[crossing]
    first = _first_kind(np.column_stack([line[near], line[far]]), np.bincount(line, minlength=count))
    if first is None:
        return None
    host = np.where(first[line], line, count)  # the line of the first kind that a node is on, or beside
    np.minimum.at(host, near, np.where(first[line[far]], line[far], count))
    if (host == count).any():
        return None
    pairs = host[fixed]
    order = _along(pairs[pairs[:, 0] != pairs[:, 1]], np.bincount(host[loaded], minlength=count), count)
    rank = np.empty(count, np.intp)
    rank[order] = np.arange(count)
    block = 2 * rank[host] + ~first[line]
    ordered = np.argsort(block, kind="stable")
    return np.split(ordered, np.flatnonzero(np.diff(block[ordered])) + 1)


def _graph(pairs: Index, size: int) -> coo_matrix:
    return coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))


def _first_kind(crossings: Index, lengths: Index) -> npt.NDArray[np.bool_] | None:
    """Return a mask of the lines to eliminate first: in each part of the graph, those of the kind with less work.

    A graph has two kinds of nodes if its double cover falls into twice as many parts.
    """
    count = len(lengths)
    swap = np.array([0, count])
    cover = _graph(np.concatenate([crossings + swap, crossings + swap[::-1]]), 2 * count)
    _, part = connected_components(cover, directed=False)
    here, there = part[:count], part[count:]
    if not len(crossings) or (here == there).any():
        return None
    work = np.bincount(here, lengths.astype(float) ** 3, 2 * count)
    return np.asarray((work[here] < work[there]) | ((work[here] == work[there]) & (here < there)))


def _along(pairs: Index, load: Index, count: int) -> Index:
    """An order in which neighbours are close, in each part of the graph with its load behind."""
    graph = _graph(pairs, count)
    _, part = connected_components(graph, directed=False)
    rank = np.empty(count)
    rank[reverse_cuthill_mckee(csr_matrix(graph + graph.T), symmetric_mode=True)] = np.arange(count)
    rank -= (np.bincount(part, rank) / np.bincount(part))[part]
    side = np.bincount(part, rank * load)
    return np.lexsort((rank * np.where(side < 0, -1, 1)[part], part))
