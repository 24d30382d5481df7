"""A circuit with capacitances at its free nodes: how slow it is about an operating point, and where power goes in time.

C du/dt + G u + currents of diodes and nonlinear cells = currents of sources, over the free variables of
`harness.circuit.scaling`: capacitances to ground lie on the diagonal. Stages (amplifiers, buffers) are ideal here.
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import LinearOperator, eigs, splu

from harness.circuit.arrays import Crossbar
from harness.circuit.branches import Branches, Equations
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Transformer
from harness.circuit.power import dissipated
from harness.circuit.scaling import is_reciprocal
from harness.errors import CircuitError
from harness.measurement import Array, Index, Injection, Nudge, Spring

_DENSE = 1_500  # unknowns
_BLOCK = 2**22  # numbers in the branches of one block of points


def capacitances(circuit: Circuit, node: float, line: float) -> Array:
    """Return capacitances to ground, F, ``[nodes]``: `node`, and `line` for each cell or edge at it, open ones too.

    Raises:
        CircuitError: a node that nothing holds has none, or all are held.
    """
    index = circuit.grounded_index
    cells = np.zeros(len(index))
    for array in circuit.arrays:
        first, second = circuit.ends(array)
        each = array.shape[::-1] if isinstance(array, Crossbar) else (1, 1)
        np.add.at(cells, first.ravel(), each[0])
        np.add.at(cells, second.ravel(), each[1])
    farads = node + line * cells[:-1]
    if circuit.held_nodes >= set(circuit.nodes):
        raise CircuitError(f"circuit {circuit.name}: sources and amplifiers hold every node; nothing settles")
    for name in circuit.nodes:
        if name not in circuit.held_nodes and farads[index[name]] <= 0:
            raise CircuitError(f"node {name}: it has no capacitance (no cell is at it); give a node capacitance")
    return np.asarray(farads)


class Dynamics:
    """Equations in time of a programmed circuit with a capacitance (F, ``[nodes]``) at every free node."""

    def __init__(self, circuit: Circuit, farads: Array) -> None:
        self.circuit = circuit
        driven = {source.node for source in circuit.sources}
        self.free = circuit.at([n for n in circuit.nodes if n not in circuit.held_nodes])
        """Nodes that nothing holds."""
        self.moving = circuit.at([n for n in circuit.nodes if n not in driven])
        """Those and the outputs of stages."""
        self.transformers = [e.name for e in circuit.elements if isinstance(e, Transformer)]
        """Those whose currents voltages do not tell."""
        self._farads = farads
        self._branches = Branches(circuit)
        self._equations = self._branches.programmed(circuit.conductances)
        rows = self._branches.rise.shape[0]
        own = np.zeros(rows)
        own[self.free] = farads[self.free]
        self._capacitance = (self._branches.into @ diags(own) @ self._branches.rise).tocsc()
        self._incidence = _incidence(self._branches.first, self._branches.second, rows)
        self._pins = _incidence(*circuit.output_ends, rows)

    def slowest(self, nodes: Array, spring: float = 0.0) -> float:
        """The largest time constant (s) of small signals about an operating point (V, ``[nodes]``).

        `spring` are S between the nodes of every output, besides.

        Raises:
            CircuitError: small signals grow there.
        """
        if (growth := self.growth(nodes, spring)) >= 0:
            raise CircuitError(f"circuit {self.circuit.name}: small signals grow instead of settling")
        return -1 / growth

    def growth(self, nodes: Array, spring: float = 0.0) -> float:
        """The rate (1/s) at which the fastest small signal about a state (V, ``[nodes]``) grows; below 0 they die out.

        It is the largest real part of any eigenvalue of −C⁻¹G. `spring` are S between the nodes of every output.
        """
        matrix = self._equations.small_signals(nodes, spring)
        if not matrix.shape[0]:  # sources hold every node
            return -np.inf
        return float(-(1 / _time_constants(matrix, self._capacitance)).real.min())

    def held_volts(self, inputs: Array) -> Array:
        """Return the voltages that ideal sources hold, 0 at other nodes, V, ``[points, nodes]``.

        The inputs are in V, ``[points, channels]``.
        """
        volts = np.zeros((len(inputs), len(self.circuit.nodes)))
        for source in self.circuit.sources:
            volts[:, self.circuit.node_index[source.node]] = source.level(inputs)
        return volts

    def stored(self, volts: Array) -> Array:
        """Return the energy on the capacitances of free nodes, J, ``[points]``."""
        return np.asarray(volts[:, self.free] ** 2 @ self._farads[self.free] / 2)

    def charging(self, before: Array, after: Array) -> float:
        """Return the energy that drivers on supplies at the final voltages spend on held lines, J: Σ C v₁ (v₁ − v₀).

        Voltages are in V, ``[nodes]``.
        """
        held = np.setdiff1d(np.arange(len(before)), self.free)
        return float(np.sum(self._farads[held] * after[held] * (after[held] - before[held])))

    def powers(self, volts: Array, currents: Array, switched: Array, nudge: Nudge | None) -> tuple[Array, Array]:
        """Return the powers that sources, stages and the nudge deliver and that become heat, W, ``[points]`` each.

        Delivered power is counted at the nodes that are held, by Kirchhoff's law; heat element by element.

        Args:
            volts: of every node, V, ``[points, nodes]``.
            currents: into transformers' first ports, A, ``[points, transformers]``.
            switched: strength of the nudge, 0…1, ``[points]``.
            nudge: with one row.
        """
        delivered, heat = np.empty(len(volts)), np.empty(len(volts))
        block = max(1, _BLOCK // max(1, len(self._branches.first), volts.shape[1]))
        for first in range(0, len(volts), block):
            rows = slice(first, first + block)
            delivered[rows], heat[rows] = self._powers(volts[rows], currents[rows], switched[rows], nudge)
        return delivered, heat

    def _powers(self, volts: Array, currents: Array, switched: Array, nudge: Nudge | None) -> tuple[Array, Array]:
        state = np.column_stack([volts, np.zeros(len(volts)), currents]).T
        leaving = self._equations.linear @ state + self._incidence @ self._equations.through(state)[0]
        drops = self._pins.T @ state
        pushed, given = _pushed(nudge, drops, switched)
        missing = leaving - self._equations.sources[:, None] - self._pins @ pushed
        held = self.circuit.at(sorted(self.circuit.held_nodes))
        delivered = np.sum(state[held] * missing[held], axis=0) + self._equations.sources @ state + given
        delivered -= self._drawn(state, missing)
        heat = dissipated(self.circuit, self.circuit.conductances, volts) + given - np.sum(pushed * drops, axis=0)
        return np.asarray(delivered), np.asarray(heat)

    def _drawn(self, state: Array, missing: Array) -> Array:
        """Return the power that stages draw from free nodes, W, ``[points]``.

        The current at a node is its share of what the other nodes of its variable lack.
        """
        scaling, free = self._branches.scaling, self.free
        total = (self._branches.into @ missing)[scaling.variable[free]]
        drawn = scaling.scale[free][:, None] * total - missing[free]
        return np.asarray(np.sum(state[free] * drawn, axis=0))


class States:
    """The stability of the states of a programmed circuit, from its full equations.

    With an energy a state is stable while β of springs of −β is below the conductance that outputs see of the network
    at that state: G − β DᵀD is positive definite then, whatever the capacitances are. Without one, it is stable where
    the symmetric part of that matrix is positive definite, whatever they are: the energy Σ C u²/2 falls then. Where it
    is not, the eigenvalues of C⁻¹G tell, with the same capacitance at every free node.
    """

    def __init__(self, circuit: Circuit, others: "States | None" = None) -> None:
        """`others` are those of the same circuit with other conductances, if there are any."""
        self._circuit = circuit
        self._reciprocal: bool = is_reciprocal(circuit) if others is None else others._reciprocal
        branches = Branches(circuit) if others is None else others._equations.branches
        self._equations: Equations = branches.programmed(circuit.conductances)

    def bears(self, beta: float) -> bool:
        """Return whether all states are stable under springs of −β (S): the energy is convex with diodes that block."""
        return self._reciprocal and self._monotone and beta < self.blocking

    def unstable(self, spring: float, volts: Array) -> Index:
        """Return the samples whose state (V, ``[batch, nodes]``) is unstable with springs of so many S."""
        grows = self._outdone if self._reciprocal else self._grows
        return np.flatnonzero([grows(spring, nodes) for nodes in volts])

    def seen(self, volts: Array) -> Array:
        """Return the smallest conductance (S) that any combination of outputs sees at each state, ``[batch]``."""
        return np.array([self._equations.output_conductance(nodes) for nodes in volts])

    @cached_property
    def blocking(self) -> float:
        """The smallest conductance (S) that any combination of outputs sees with all diodes blocking."""
        return self._equations.output_conductance()

    @cached_property
    def _monotone(self) -> bool:
        return all(found.two_terminal for found in self._circuit.device_branches)

    @cached_property
    def _dynamics(self) -> Dynamics:
        return Dynamics(self._circuit, np.ones(len(self._circuit.nodes)))

    def _outdone(self, spring: float, nodes: Array) -> bool:
        return -spring >= self._equations.output_conductance(nodes)

    def _grows(self, spring: float, nodes: Array) -> bool:
        calm = _positive(self._equations.small_signals(nodes, spring))
        return not calm and self._dynamics.growth(nodes, spring) >= 0


def _positive(matrix: csr_matrix) -> bool:
    """Return whether uᵀGu > 0 for all u: whether all pivots on the diagonal of G + Gᵀ are."""
    try:
        factors = splu(
            (matrix + matrix.T).tocsc(), "MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True}
        )
    except RuntimeError:  # what SuperLU says of singular matrices
        return False
    return bool((factors.perm_r == factors.perm_c).all() and (factors.U.diagonal() > 0).all())


def _pushed(nudge: Nudge | None, drops: Array, switched: Array) -> tuple[Array, Array]:
    """Return the current into every output, A, ``[outputs, points]``, and the power that the nudge delivers, W.

    The heat of the nudge's spring is part of the power.
    """
    match nudge:
        case Spring(conductance=beta, targets=targets):
            pushed = beta * switched * (targets[0][:, None] - drops)
            return pushed, targets[0] @ pushed
        case Injection(current=amperes):
            pushed = switched * amperes[0][:, None]
            return pushed, np.sum(pushed * drops, axis=0)
    return np.zeros_like(drops), np.zeros(drops.shape[1])


def _time_constants(matrix: csr_matrix, capacitance: csr_matrix) -> npt.NDArray[np.complex128]:
    """Return eigenvalues of G⁻¹C other than 0, s, ``[k]``; of large networks the largest, which miss fast growth."""
    size = matrix.shape[0]
    if size > _DENSE:
        factors = splu(matrix.tocsc())
        operator = LinearOperator((size, size), matvec=lambda x: factors.solve(capacitance @ x), dtype=float)
        found = np.asarray(eigs(operator, k=4, which="LM", return_eigenvectors=False, v0=np.ones(size)), complex)
    else:
        found = np.asarray(np.linalg.eigvals(np.linalg.solve(matrix.toarray(), capacitance.toarray())), complex)
    return found[np.abs(found) > 1e-12 * np.abs(found).max()]


def _incidence(first: Index, second: Index, rows: int) -> csr_matrix:
    """Return the incidence matrix, ``[rows, branches]``: 1 where a branch begins, −1 where it ends."""
    count = np.arange(len(first))
    ends = np.concatenate([first, second]), np.concatenate([count, count])
    return coo_matrix((np.repeat([1.0, -1.0], len(first)), ends), shape=(rows, len(first))).tocsr()
