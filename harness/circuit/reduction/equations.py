"""The equations of a circuit's free variables: each coefficient a weighted sum of trainable conductances.

`Terms` walks through the elements of a topology once. `Equations` sorts what it found by the unknowns that stay and
those that are eliminated, so that the coefficients for given conductances are one product with a sparse matrix.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix

from harness.circuit.scaling import Scaling
from harness.measurement import Array, Index

_Part = tuple[Index, Index, Index, Array]
"""Rows, columns, cells and weights of the terms of some coefficients."""


@dataclass(frozen=True, eq=False)
class _Driven:
    """Terms of currents: a weight times the constant of one node less that of another, over the scale of the row.

    Nodes count as in a scaling, and one more stands for 1 V.
    """

    rows: Index
    """Variables."""
    cells: Index
    weights: Array
    plus: Index
    minus: Index
    scales: Array

    def amperes(self, constant: Array) -> Array:
        """Return A, or A/S of a cell, for the constants of all nodes, V."""
        volts = np.append(constant, 1.0)
        return np.asarray(self.weights * (volts[self.plus] - volts[self.minus]) / self.scales)

    def where(self, chosen: Index) -> "_Driven":
        """Return some of the terms."""
        return _Driven(*(part[chosen] for part in vars(self).values()))

    @staticmethod
    def joined(parts: "Sequence[_Driven]") -> "_Driven":
        """Return all terms of some parts, of which there is one at least."""
        return _Driven(*(np.concatenate(each) for each in zip(*(vars(part).values() for part in parts), strict=True)))


class Terms:
    """Kirchhoff's current law over the free variables and each transformer's constraint, while elements are added.

    A term is a weight times a trainable cell's conductance (S); the cell numbered `cells` stands for 1, so that its
    terms are constants.
    """

    def __init__(self, scaling: Scaling, cells: int, transformers: int = 0) -> None:
        self._scaling, self.constant = scaling, scaling.constant
        self.one = cells
        self.size = scaling.variables + transformers
        self.matrix: list[_Part] = []
        """S: rows and columns are variables."""
        self.own: list[_Part] = []
        """S: conductances that lead to a variable, whatever is at their other end; columns are 0."""
        nothing = np.zeros(0, np.intp)
        self.current = [_Driven(nothing, nothing, np.zeros(0), nothing, nothing, np.zeros(0))]
        """A: rows are variables."""
        self.gain: list[_Part] = []
        """A/V: rows are channels, columns variables."""

    def add_edges(self, first: Index, second: Index, cells: Index, weights: Array) -> None:
        """Conductances between nodes, ``[edges]``: a weight times a cell each."""
        scaling, free = self._scaling, self._scaling.free
        between = free[first] & free[second]
        self._add_between(first[between], second[between], cells[between], weights[between])
        for nodes, others in ((first, second), (second, first)):
            chosen = np.flatnonzero(free[nodes] & ~free[others])
            near, far, cell, weight = nodes[chosen], others[chosen], cells[chosen], weights[chosen]
            self._add_own(scaling.variable[near], cell, weight)
            self._add_current(near, cell, -weight, near)
            self._add_transfer(near, far, cell, -weight)

    def add_transconductance(self, nets: Index, conductance: float) -> None:
        """A current of `conductance` (S) × the voltage between the last two nodes, from the first to the second."""
        a, b, c, d = nets
        signs = np.array([1.0, -1.0, -1.0, 1.0])
        self._add_transfer(np.array([a, a, b, b]), np.array([c, d, c, d]), self._ones(4), conductance * signs)

    def add_transformer(self, number: int, pins: Index, ratio: float) -> None:
        """A transformer: its current (in A per S) is one more unknown, its ratio one more equation."""
        scaling, own = self._scaling, self._scaling.variables + number
        weights = np.array([1.0, -1.0, -ratio, ratio])
        free, moving = scaling.free[pins], scaling.unknown[pins]
        rows, columns = scaling.variable[pins[free]], scaling.variable[pins[moving]]
        self._add_entries(
            rows, np.full_like(rows, own), self._ones(len(rows)), weights[free] / scaling.scale[pins[free]]
        )
        weighted = weights[moving] * scaling.scale[pins[moving]]
        self._add_entries(np.full_like(columns, own), columns, self._ones(len(columns)), weighted)
        everywhere = np.full(4, own)
        self.current.append(_Driven(everywhere, self._ones(4), -weights, pins, self._ground(4), np.ones(4)))
        self._add_gains(everywhere, pins, self._ones(4), -weights)

    def add_currents(self, nodes: Index, amperes: Array) -> None:
        """Currents (A) into nodes."""
        free = np.flatnonzero(self._scaling.free[nodes])
        self._add_current(nodes[free], self._ones(len(free)), amperes[free], self._ground(len(free)) + 1)

    def _ones(self, count: int) -> Index:
        return np.full(count, self.one)

    def _add_between(self, first: Index, second: Index, cells: Index, weights: Array) -> None:
        """Conductances between free nodes."""
        scaling = self._scaling
        rows, columns = scaling.variable[first], scaling.variable[second]
        self._add_own(rows, cells, weights)
        self._add_own(columns, cells, weights)
        ratio = scaling.scale[second] / scaling.scale[first] if scaling.uneven else np.ones(len(first))
        self._add_entries(rows, columns, cells, -weights * ratio)
        self._add_entries(columns, rows, cells, -weights / ratio)
        self._add_current(first, cells, -weights, first, second)
        self._add_current(second, cells, weights, first, second)

    def _add_transfer(self, nodes: Index, others: Index, cells: Index, weights: Array) -> None:
        """Currents weight · v(other) out of free nodes, ``[transfers]``; other rows are nobody's equation."""
        scaling, counted = self._scaling, self._scaling.free[nodes]
        nodes, others, cells, weights = nodes[counted], others[counted], cells[counted], weights[counted]
        at, drawn = scaling.variable[nodes], weights / scaling.scale[nodes]
        moving = scaling.unknown[others]
        columns, scaled = scaling.variable[others[moving]], drawn[moving] * scaling.scale[others[moving]]
        self._add_entries(at[moving], columns, cells[moving], scaled)
        self._add_current(nodes, cells, -weights, others)
        self._add_gains(at[~moving], others[~moving], cells[~moving], -drawn[~moving])

    def _add_own(self, variables: Index, cells: Index, weights: Array) -> None:
        self._add_entries(variables, variables, cells, weights)
        self._append(self.own, variables, np.zeros_like(variables), cells, weights)

    def _add_entries(self, rows: Index, columns: Index, cells: Index, weights: Array) -> None:
        self._append(self.matrix, rows, columns, cells, weights)

    def _add_current(self, nodes: Index, cells: Index, weights: Array, plus: Index, minus: Index | None = None) -> None:
        """Currents weight · (constant of plus − constant of minus) into free nodes; without minus, of plus alone."""
        minus = self._ground(len(nodes)) if minus is None else minus
        rows, scales = self._scaling.variable[nodes], self._scaling.scale[nodes]
        found = _Driven(rows, cells, weights, plus, minus, scales)
        self.current.append(found.where(np.flatnonzero(found.amperes(self._scaling.constant))))

    def _ground(self, count: int) -> Index:
        return np.full(count, len(self._scaling.constant) - 1)

    def _add_gains(self, variables: Index, nodes: Index, cells: Index, weights: Array) -> None:
        """Currents weight · v(node) into variables, where an input channel holds the node."""
        channel = self._scaling.channel[nodes]
        follows = channel >= 0
        gained = weights[follows] * self._scaling.gain[nodes[follows]]
        self._append(self.gain, channel[follows], variables[follows], cells[follows], gained)

    @staticmethod
    def _append(parts: list[_Part], rows: Index, columns: Index, cells: Index, weights: Array) -> None:
        some = np.flatnonzero(weights)
        parts.append((rows[some], columns[some], cells[some], weights[some]))


@dataclass(frozen=True, eq=False)
class Interior:
    """The equations of the unknowns that are eliminated, "inner" ones, beside those that are kept."""

    matrix: csr_matrix
    """S, ``[inner, inner]``."""
    into: csr_matrix
    """S, ``[inner, kept]``."""
    back: csr_matrix
    """S, ``[kept, inner]``."""
    current: Array
    """A into inner unknowns, ``[inner]``."""
    gain: csr_matrix
    """A/V, ``[channels, inner]``."""


@dataclass(frozen=True, eq=False)
class System:
    """The equations for one set of conductances."""

    own: Array
    """Conductance that leads to each variable, S, ``[variables]``."""
    kept: Array
    """S, ``[kept, kept]``."""
    current: Array
    """A into kept unknowns, ``[kept]``."""
    gain: Array
    """A/V, ``[channels, kept]``."""
    interior: Interior | None
    """None where nothing is eliminated."""


class Equations:
    """The equations of one topology; `system` evaluates them for given conductances."""

    def __init__(self, terms: Terms, kept: Index, inner: Index, channels: int) -> None:
        """Sort terms by the unknowns that are kept and those that are eliminated."""
        stack, number, is_kept = _Stack(terms.one + 1), np.zeros(terms.size, np.intp), np.zeros(terms.size, bool)
        number[kept], number[inner], is_kept[kept] = np.arange(len(kept)), np.arange(len(inner)), True
        size = {True: len(kept), False: len(inner)}

        def found(parts: Sequence[_Part], row_kept: bool | None, column_kept: bool | None) -> _Part:
            """Return the terms between unknowns of two kinds, renumbered; None for what is no unknown."""
            rows, columns, cells, weights = _joined(parts)
            chosen = np.ones(len(rows), bool)
            if row_kept is not None:
                chosen &= is_kept[rows] == row_kept
            if column_kept is not None:
                chosen &= is_kept[columns] == column_kept
            rows, columns = rows[chosen], columns[chosen]
            rows = rows if row_kept is None else number[rows]
            return rows, columns if column_kept is None else number[columns], cells[chosen], weights[chosen]

        def block(row_kept: bool, column_kept: bool) -> _Pattern:
            return stack.sparse(found(terms.matrix, row_kept, column_kept), size[row_kept], size[column_kept])

        self._own = stack.dense(_joined(terms.own), terms.size, 1)
        self._kept = stack.dense(found(terms.matrix, True, True), len(kept), len(kept))
        self._gain = stack.dense(found(terms.gain, None, True), channels, len(kept))
        self._shapes = (len(kept), len(kept)), (channels, len(kept))
        inside = (block(False, False), block(False, True), block(True, False)) if len(inner) else ()
        gain = stack.sparse(found(terms.gain, None, False), channels, len(inner))
        self._current, rest = (
            slice(stack.height + first, stack.height + last)
            for first, last in ((0, len(kept)), (len(kept), terms.size))
        )
        self._interior = _InteriorPlan(*inside, rest, gain) if inside else None
        self._driven, self._constant = _Driven.joined(terms.current), terms.constant
        place = number + np.where(is_kept, 0, len(kept))
        keys = place[self._driven.rows] * (terms.one + 1) + self._driven.cells
        keys, self._at = np.unique(keys, return_inverse=True)
        amperes = self._amperes(terms.constant)
        by_rows = _below(stack.operator(), keys, amperes, terms.size)
        numbers = csr_matrix((np.arange(by_rows.nnz), by_rows.indices, by_rows.indptr), shape=by_rows.shape).tocsc()
        self._operator: csc_matrix = by_rows.tocsc()  # a product then reads the cells in the order of their memory
        self._amperes_at = np.argsort(numbers.data)[by_rows.nnz - len(amperes) :]

    def of_constants(self, constant: Array) -> "Equations | None":
        """Return the equations of a circuit with other constants (V) alone; None where these join what was apart.

        Terms were left out whose constants are 0, or the same at both ends.
        """
        _, first, same = np.unique(self._constant, return_index=True, return_inverse=True)
        if (constant != constant[first][same]).any() or constant[self._constant == 0].any():
            return None
        made, former = copy(self), self._operator
        values = former.data.copy()
        values[self._amperes_at] = self._amperes(constant)
        made._operator = csc_matrix((values, former.indices, former.indptr), shape=former.shape)
        made._constant = constant
        return made

    def _amperes(self, constant: Array) -> Array:
        """Return the coefficients of currents, A and A/S, for the constants of all nodes, V."""
        found = np.zeros(int(self._at.max(initial=-1)) + 1)
        np.add.at(found, self._at, self._driven.amperes(constant))
        return found

    def system(self, conductances: Sequence[Array]) -> System:
        """Return the equations for conductances (S, one array per trainable array)."""
        return self._filled(self._operator @ np.concatenate([*(cells.ravel() for cells in conductances), _ONE]))

    def systems(self, conductances: Sequence[Array]) -> System:
        """Return the equations of a stack of chips, whose arrays, as those of the conductances, have the chips first.

        Nothing must be eliminated (`eliminates`), for sparse matrices do not stack.
        """
        chips = len(conductances[0])
        cells = np.concatenate([*(array.reshape(chips, -1) for array in conductances), np.ones((chips, 1))], axis=1)
        return self._filled(np.ascontiguousarray((self._operator @ cells.T).T))

    @property
    def eliminates(self) -> bool:
        """True where unknowns are eliminated."""
        return self._interior is not None

    def _filled(self, values: Array) -> System:
        interior = None if self._interior is None else self._interior.filled(values)
        kept = values[..., self._kept].reshape(*values.shape[:-1], *self._shapes[0])
        gain = values[..., self._gain].reshape(*values.shape[:-1], *self._shapes[1])
        return System(values[..., self._own], kept, values[..., self._current], gain, interior)


_ONE = np.ones(1)


@dataclass(frozen=True, eq=False)
class _Pattern:
    """Entries of a sparse matrix, and where their values stand."""

    rows: slice
    indices: Index
    pointers: Index
    shape: tuple[int, int]

    def filled(self, values: Array) -> csr_matrix:
        """Return the matrix with its entries from the values of all coefficients."""
        return csr_matrix((values[self.rows], self.indices, self.pointers), shape=self.shape)


@dataclass(frozen=True, eq=False)
class _InteriorPlan:
    """Where the parts of an `Interior` stand."""

    matrix: _Pattern
    into: _Pattern
    back: _Pattern
    current: slice
    gain: _Pattern

    def filled(self, values: Array) -> Interior:
        """Return the interior with its coefficients from the values of all."""
        matrix, into, back, gain = (part.filled(values) for part in (self.matrix, self.into, self.back, self.gain))
        return Interior(matrix, into, back, values[self.current], gain)


class _Stack:
    """Coefficients of all kinds, one below the other, as rows of one matrix over the cells."""

    def __init__(self, cells: int) -> None:
        self._cells, self.height = cells, 0
        self._parts: list[tuple[Index, Index, Array]] = []

    def dense(self, part: _Part, rows: int, columns: int) -> slice:
        """Add a matrix of coefficients, row by row; returns where they stand."""
        at_rows, at_columns, cells, weights = part
        return self._add(at_rows * columns + at_columns, cells, weights, rows * columns)

    def sparse(self, part: _Part, rows: int, columns: int) -> _Pattern:
        """Add the coefficients of a sparse matrix."""
        at_rows, at_columns, cells, weights = part
        keys, number = np.unique(at_rows * max(columns, 1) + at_columns, return_inverse=True)
        taken, indices = np.divmod(keys, max(columns, 1))
        pointers = np.searchsorted(taken, np.arange(rows + 1))
        return _Pattern(self._add(number, cells, weights, len(keys)), indices, pointers, (rows, columns))

    def _add(self, at: Index, cells: Index, weights: Array, height: int) -> slice:
        self._parts.append((at + self.height, cells, weights))
        first, self.height = self.height, self.height + height
        return slice(first, self.height)

    def operator(self) -> csr_matrix:
        """Return the matrix, ``[coefficients, cells]``."""
        at, cells, weights = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        return coo_matrix((weights, (at, cells)), shape=(self.height, self._cells)).tocsr()


def _below(above: csr_matrix, keys: Index, values: Array, rows: int) -> csr_matrix:
    """Return a matrix with more rows below it, whose entries are numbered row by row by `keys`."""
    at, cells = np.divmod(keys, above.shape[1])
    pointers = len(above.data) + np.searchsorted(at, np.arange(1, rows + 1))
    parts = np.concatenate([above.data, values]), np.concatenate([above.indices, cells])
    return csr_matrix((*parts, np.concatenate([above.indptr, pointers])), shape=(above.shape[0] + rows, above.shape[1]))


def _joined(parts: Sequence[_Part]) -> _Part:
    nothing = np.zeros(0, np.intp)
    rows, columns, cells = (np.concatenate([nothing, *(part[k] for part in parts)]) for k in range(3))
    return rows, columns, cells, np.concatenate([np.zeros(0), *(part[3] for part in parts)])
