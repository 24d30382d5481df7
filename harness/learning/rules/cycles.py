"""The analytical gradient in its cycle form (Lin, Desai, Barrows, Caravelli 2026): currents projected onto cycles.

Every element is a branch with resistance r and current i; a source at a pin is a branch from ground without resistance.
With A the matrix of independent cycles, R = diag(r) and M = Aᵀ(ARAᵀ)⁻¹A, so that Ω = MR is the projector onto the
cycles, currents are i = M s for source voltages s, and ∂i_j/∂r_k = −M_jk i_k. An output is a path P of branches,
v = P (R i − s), so

    ∂v/∂r_k = (P (1 − R M))_k i_k    and    ∂C/∂g_k = −r_k² ∂C/∂r_k = −r_k Δv_k (P (1 − R M))_k ∂C/∂v.
"""

import numpy as np

from harness.circuit import GROUND, BidirectionalAmplifier, Circuit
from harness.errors import CircuitError
from harness.measurement import Array, Conductances, Index

_MOST_BRANCHES = 5_000


class Cycles:
    """Independent cycles of a circuit of conductances, diodes and sources.

    Raises:
        CircuitError: the circuit has amplifiers, or too many branches for dense matrices.
    """

    def __init__(self, circuit: Circuit) -> None:
        if any(isinstance(element, BidirectionalAmplifier) for element in circuit.elements):
            raise CircuitError("the cycle form knows no amplifiers; use the node form")
        if not all(branches.two_terminal for branches in circuit.device_branches):
            raise CircuitError("the cycle form knows devices of two pins only; use the node form")
        self._circuit, self._nodes, ground = circuit, len(circuit.nodes), circuit.grounded_index[GROUND]
        self._arrays = [array.title for array in circuit.arrays]
        self._shapes = [array.shape for array in circuit.arrays]
        *between, self._fixed = circuit.fixed
        self._devices = circuit.device_branches
        sources = circuit.at([source.node for source in circuit.sources])
        cells = [np.broadcast_arrays(*circuit.ends(array)) for array in circuit.arrays]
        pairs = [
            *(np.column_stack([first.ravel(), second.ravel()]) for first, second in cells),
            np.column_stack(between),
            *(np.column_stack([branches.first, branches.second]) for branches in self._devices),
            np.column_stack([np.full(len(sources), ground), sources]),
        ]
        self._first, self._second = np.concatenate(pairs).T
        if len(self._first) > _MOST_BRANCHES:
            raise CircuitError(
                f"the cycle form takes at most {_MOST_BRANCHES:,} branches, this circuit has {len(self._first):,}; "
                "use the node form"
            )
        self._tree = self._spanning_tree(len(sources))
        self._cycles, self._paths = self._independent()

    def gradient(self, conductances: Conductances, nodes: Array, slopes: Array) -> Conductances:
        """Σ over the batch of ∂C/∂g, V²/S, one array per trainable array.

        Args:
            conductances: S, none of them 0.
            nodes: V of every node at the operating point, ``[batch, nodes]``.
            slopes: ∂C/∂v, V, ``[batch, outputs]``.

        Raises:
            CircuitError: a cell is open, so that its resistance is infinite.
        """
        for title, g in zip(self._arrays, conductances, strict=True):
            if not (g > 0).all():
                raise CircuitError(f"{title}: the cycle form needs every cell above 0 S; use the node form")
        cells = np.concatenate([np.zeros(0), *(g.ravel() for g in conductances)])
        volts = self._circuit.with_ground(nodes)
        drops = volts[:, self._first] - volts[:, self._second]
        if not self._devices:
            weights = slopes @ self._sensitivities(self._resistances(cells, np.zeros(0)))
        else:
            found = zip(slopes, self._device_slopes(drops), strict=True)
            weights = np.stack([slope @ self._sensitivities(self._resistances(cells, own)) for slope, own in found])
        total = -(drops * weights).sum(axis=0)[: len(cells)] / cells
        parts = np.split(total, np.cumsum([np.prod(shape, dtype=int) for shape in self._shapes])[:-1])
        return tuple(part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True))

    def _sensitivities(self, ohms: Array) -> Array:
        """P (1 − R M), ``[outputs, branches]``."""
        around = self._cycles * ohms
        projected = np.linalg.solve(around @ self._cycles.T, around @ self._paths.T)  # (ARAᵀ)⁻¹ A R Pᵀ
        return self._paths - projected.T @ self._cycles

    def _resistances(self, cells: Array, devices: Array) -> Array:
        known = 1 / np.concatenate([cells, self._fixed, devices])
        return np.concatenate([known, np.zeros(len(self._first) - len(known))])

    def _device_slopes(self, drops: Array) -> Array:
        """Return the small-signal conductances of devices, S, ``[batch, devices]``."""
        begin, slopes = sum(int(np.prod(shape)) for shape in self._shapes) + len(self._fixed), []
        for branches in self._devices:
            rows = slice(begin, begin + len(branches.first))
            slopes.append(branches.law.current_and_slope(drops[:, rows])[1])
            begin = rows.stop
        return np.concatenate(slopes, axis=1)

    def _spanning_tree(self, sources: int) -> Index:
        """Branches that join every node to ground without a cycle; sources first, which must not lie in one."""
        root = list(range(self._nodes + 1))

        def top(node: int) -> int:
            while root[node] != node:
                root[node] = root[root[node]]
                node = root[node]
            return node

        count = len(self._first)
        tree = []
        for branch in [*range(count - sources, count), *range(count - sources)]:
            a, b = top(int(self._first[branch])), top(int(self._second[branch]))
            if a != b:
                root[a] = b
                tree.append(branch)
        return np.array(tree, dtype=np.intp)

    def _independent(self) -> tuple[Array, Array]:
        """One cycle for each branch that is not in the tree, ``[cycles, branches]``, and each output's path."""
        count = len(self._first)
        incidence = np.zeros((self._nodes + 1, count))
        incidence[self._first, np.arange(count)] += 1
        incidence[self._second, np.arange(count)] -= 1
        tree, others = incidence[:-1, self._tree], np.setdiff1d(np.arange(count), self._tree)
        cycles = np.zeros((len(others), count))
        cycles[np.arange(len(others)), others] = 1
        cycles[:, self._tree] = -np.linalg.solve(tree, incidence[:-1, others]).T
        plus, minus = self._circuit.output_ends
        outputs = np.arange(len(plus))
        ends = np.zeros((self._nodes + 1, len(plus)))
        ends[plus, outputs] += 1
        ends[minus, outputs] -= 1
        paths = np.zeros((len(plus), count))
        paths[:, self._tree] = np.linalg.solve(tree, ends[:-1]).T
        return np.round(cycles), np.round(paths)  # −1, 0 and 1 by construction
