"""The equations of a circuit's free variables, element by element."""

from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from harness.circuit.scaling import Scaling
from harness.measurement import Array, Index


class System:
    """Kirchhoff's current law over the free variables and each transformer's constraint, while elements are added.

    The matrix is the diagonal less `_links` both ways, plus `_directed` (row, column, value): what buffers, gyrators,
    transformers and amplifiers of unequal gains do one way, or with another sign or size.
    """

    def __init__(self, scaling: Scaling, channels: int, transformers: int = 0) -> None:
        self._scaling = scaling
        self._shifted = bool(scaling.constant[scaling.free].any())
        self.size = scaling.variables + transformers
        self.diagonal = np.zeros(self.size)
        self.current = np.zeros(self.size)
        self._channels = channels
        self._gains: list[tuple[Index, Array | csr_matrix]] = []
        nothing = np.zeros(0, np.intp)
        self._links = [(nothing, nothing, np.zeros(0))]
        self._directed = [(nothing, nothing, np.zeros(0))]

    def add_crossbar(self, words: Index, bits: Index, cells: Array) -> None:
        """A crossbar: cells (S, ``[word, bit]``) between word and bit nodes."""
        free = self._scaling.free
        w, b = free[words], free[bits]
        if not w.any() and b.all():  # no copy of the largest array
            self._add_held(words, bits, cells)
            return
        if not w.all():
            self._add_held(words[~w], bits[b], cells[np.ix_(~w, b)])
        if not b.all():
            self._add_held(bits[~b], words[w], cells[np.ix_(w, ~b)].T)
        between = cells[np.ix_(w, b)]
        rows, columns = self._scaling.variable[words[w]], self._scaling.variable[bits[b]]
        self.diagonal += self._summed(rows, between.sum(axis=1)) + self._summed(columns, between.sum(axis=0))
        self._link(np.repeat(words[w], len(columns)), np.tile(bits[b], len(rows)), between.ravel())

    def add_edges(self, first: Index, second: Index, conductance: Array) -> None:
        """Single conductances (S, ``[edges]``)."""
        scaling, free = self._scaling, self._scaling.free
        between = free[first] & free[second]
        rows, columns = scaling.variable[first[between]], scaling.variable[second[between]]
        self.diagonal += self._summed(rows, conductance[between]) + self._summed(columns, conductance[between])
        self._link(first[between], second[between], conductance[between])
        for nodes, held in ((first, second), (second, first)):
            chosen = np.flatnonzero(free[nodes] & ~free[held])
            self.diagonal += self._summed(scaling.variable[nodes[chosen]], conductance[chosen])
            self._add_own(nodes[chosen], conductance[chosen])
            self._add_transfer(nodes[chosen], held[chosen], -conductance[chosen])

    def add_transconductance(self, nets: Index, conductance: float) -> None:
        """A current of `conductance` (S) × the voltage between the last two nodes, from the first to the second."""
        a, b, c, d = nets
        signs = np.array([1.0, -1.0, -1.0, 1.0])
        self._add_transfer(np.array([a, a, b, b]), np.array([c, d, c, d]), conductance * signs)

    def add_transformer(self, number: int, pins: Index, ratio: float) -> None:
        """A transformer: its current (in A per S) is one more unknown, its ratio one more equation."""
        scaling, own = self._scaling, self._scaling.variables + number
        weights = np.array([1.0, -1.0, -ratio, ratio])
        free = scaling.free[pins]
        rows = scaling.variable[pins[free]]
        self._directed.append((rows, np.full(len(rows), own), weights[free] / scaling.scale[pins[free]]))
        moving = scaling.unknown[pins]
        columns, weighted = scaling.variable[pins[moving]], weights[moving] * scaling.scale[pins[moving]]
        self._directed.append((np.full(len(columns), own), columns, weighted))
        for node, weight in zip(pins.tolist(), weights.tolist(), strict=True):
            self.current[own] -= weight * scaling.constant[node]
            if scaling.channel[node] >= 0:
                gained = np.array([-weight * scaling.gain[node]])
                self._add_gains(np.array([own]), scaling.channel[[node]], gained)

    def add_current(self, node: int, amperes: float) -> None:
        """A current (A) into a node."""
        if self._scaling.free[node]:
            self.current[self._scaling.variable[node]] += amperes / self._scaling.scale[node]

    def _link(self, first: Index, second: Index, conductance: Array) -> None:
        """Add the entries of single conductances (S) between free nodes beside the diagonal, and their currents."""
        scaling = self._scaling
        rows, columns = scaling.variable[first], scaling.variable[second]
        if scaling.uneven:
            ratio = scaling.scale[second] / scaling.scale[first]
            self._directed += [(rows, columns, -conductance * ratio), (columns, rows, -conductance / ratio)]
        else:
            self._links.append((rows, columns, conductance))
        if self._shifted:
            flowing = conductance * (scaling.constant[first] - scaling.constant[second])
            self.current -= self._summed(rows, flowing / scaling.scale[first])
            self.current += self._summed(columns, flowing / scaling.scale[second])

    def _add_own(self, nodes: Index, conductance: Array) -> None:
        """Currents that the constant voltages of free nodes drive out of them through conductances (S, ``[nodes]``)."""
        if self._shifted:
            flowing = conductance * self._scaling.constant[nodes] / self._scaling.scale[nodes]
            self.current -= self._summed(self._scaling.variable[nodes], flowing)

    def _add_transfer(self, nodes: Index, others: Index, conductance: Array) -> None:
        """Currents conductance · v(other) (S) out of free nodes, ``[transfers]``; other rows are nobody's equation."""
        scaling, counted = self._scaling, self._scaling.free[nodes]
        nodes, others, conductance = nodes[counted], others[counted], conductance[counted]
        at, drawn = scaling.variable[nodes], conductance / scaling.scale[nodes]
        moving = scaling.unknown[others]
        entries = at[moving], scaling.variable[others[moving]], drawn[moving] * scaling.scale[others[moving]]
        self._directed.append(entries)
        self.current -= self._summed(at, scaling.constant[others] * drawn)
        follows = np.flatnonzero(~moving & (scaling.channel[others] >= 0))
        gained = -scaling.gain[others[follows]] * drawn[follows]
        self._add_gains(at[follows], scaling.channel[others[follows]], gained)

    def _add_held(self, held: Index, nodes: Index, cells: Array) -> None:
        """Cells (S, ``[held, node]``) from held or copied nodes to free ones: own conductances and currents."""
        scaling, at = self._scaling, self._scaling.variable[nodes]
        total = cells.sum(axis=0)
        self.diagonal += self._summed(at, total)
        self._add_own(nodes, total)
        steady = np.flatnonzero(scaling.constant[held])
        self.current += self._summed(at, scaling.constant[held[steady]] @ cells[steady] / scaling.scale[nodes])
        if (copied := scaling.copied[held]).any():
            rows, columns = np.tile(at, copied.sum()), np.repeat(scaling.variable[held[copied]], len(at))
            ratios = scaling.scale[held[copied]][:, None] / scaling.scale[nodes]
            self._directed.append((rows, columns, (-cells[copied] * ratios).ravel()))
            held, cells = held[~copied], cells[~copied]
        gained = np.asarray(scaling.channel_gains(held, self._channels) @ cells, float) / scaling.scale[nodes]
        self._gains.append((at, gained))

    def _add_gains(self, variables: Index, channels: Index, gains: Array) -> None:
        """Currents (A/V) into variables from a channel each."""
        if len(variables):
            entries = gains, (channels, np.arange(len(variables)))
            self._gains.append((variables, csr_matrix(entries, shape=(self._channels, len(variables)))))

    def current_gain(self, variables: Index) -> csr_matrix | Array:
        """Current (A/V) that every channel drives into some variables, ``[channels, variables]``."""
        place = np.full(self.size, -1)
        place[variables] = np.arange(len(variables))
        total: Any = csr_matrix((self._channels, len(variables)))
        for at, gains in self._gains:
            chosen = np.flatnonzero(place[at] >= 0)
            if len(chosen):
                entries = np.ones(len(chosen)), (chosen, place[at[chosen]])
                total = total + gains @ csr_matrix(entries, shape=(len(at), len(variables)))
        return total if isinstance(total, csr_matrix) else np.asarray(total, float)

    def _summed(self, variables: Index, values: Array) -> Array:
        return np.bincount(variables, values, self.size).astype(float)

    def dense(self) -> Array:
        """The matrix (S), ``[n, n]``; links of a node to itself cancel."""
        rows, columns, values = (np.concatenate(part) for part in zip(*self._links, strict=True))
        half = np.bincount(rows * self.size + columns, values, self.size**2).reshape(self.size, self.size)
        matrix = np.diag(self.diagonal) - half - half.T
        if len(self._directed) > 1:
            rows, columns, values = (np.concatenate(part) for part in zip(*self._directed, strict=True))
            flat = matrix.ravel()
            np.add.at(flat, rows * self.size + columns, values)
            matrix = flat.reshape(matrix.shape)
        return matrix

    def sparse(self) -> csr_matrix:
        """Return the same matrix as a sparse one, for networks with many nodes."""
        shape = (self.size, self.size)
        parts = (zip(*links, strict=True) for links in (self._links, self._directed))
        half, directed = (
            coo_matrix((values, (rows, columns)), shape=shape).tocsr()
            for rows, columns, values in ([np.concatenate(part) for part in part] for part in parts)
        )
        diagonal = csr_matrix((self.diagonal, (np.arange(self.size), np.arange(self.size))), shape=shape)
        return (diagonal - half - half.T + directed).tocsr()
