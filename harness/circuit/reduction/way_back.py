"""The way back from the unknowns of a reduced network to the voltage of every node."""

from copy import copy

import numpy as np
from scipy.sparse import csr_matrix

from harness.circuit.reduction.elimination import Elimination
from harness.circuit.scaling import Scaling
from harness.measurement import Array, Index


class Places:
    """Where the unknowns and the sources of a topology stand among its nodes.

    The voltage of every node is a constant, plus a gain times an input, plus a scale times a variable.
    """

    def __init__(self, scaling: Scaling, kept: Index, inner: Index) -> None:
        self.kept, self.inner = kept, inner
        self.variables = len(kept) + len(inner)
        self.constant = scaling.constant[:-1]
        follows, moves, free = scaling.channel[:-1] >= 0, scaling.unknown[:-1], scaling.free[:-1]
        self.channel, self.gain = np.where(follows, scaling.channel[:-1], 0), np.where(follows, scaling.gain[:-1], 0.0)
        self.variable, self.scale = np.where(moves, scaling.variable[:-1], 0), np.where(moves, scaling.scale[:-1], 0.0)
        self.adjoint_scale = np.where(free, 1 / scaling.scale[:-1], 0.0)
        """Factor from the adjoint network's variable to its voltage at each node."""
        self.free = np.flatnonzero(free)
        variable = np.where(moves, scaling.variable[:-1], -1).tolist()
        one_each = {number: node for node, number in reversed(list(enumerate(variable)))}
        """A node of every variable that has one."""
        self.one_of_kept = np.array([one_each.get(k, -1) for k in kept.tolist()], np.intp)
        self.scale_of_kept = scaling.scale[self.one_of_kept]

    def at(self, chosen: Index) -> "Places":
        """Return the places of some nodes, whose numbers may be that of ground."""
        made = copy(self)
        for name, of_ground in _AT_NODES.items():
            setattr(made, name, np.append(getattr(self, name), of_ground)[chosen])
        return made

    def standing_at(self, scaling: Scaling) -> "Places":
        """Return the same with the constants of another scaling, from which it differs in nothing else."""
        made = copy(self)
        made.constant = scaling.constant[:-1]
        return made


_AT_NODES: dict[str, float] = {"constant": 0.0, "channel": 0, "gain": 0.0, "variable": 0, "scale": 0.0}
"""Attributes with an entry for each node, and what they are of ground, which stays at 0 V."""


class WayBack:
    """The way back from solved unknowns to every node voltage; the chips of a stack come before the batch."""

    def __init__(self, places: Places, elimination: Elimination | None) -> None:
        self._places, self._elimination = places, elimination

    def at(self, chosen: Index) -> "WayBack":
        """Return the way back to some nodes alone, whose numbers may be that of ground."""
        return WayBack(self._places.at(chosen), self._elimination)

    def standing(self, inputs: Array) -> Array:
        """Return the voltage of every node while all unknowns that are left are at 0 V, V, ``[batch, nodes]``."""
        nodes = self._places
        voltages = nodes.constant + _spread(inputs, nodes.channel, nodes.gain)
        if part := self._elimination:
            variables = np.zeros((len(inputs), nodes.variables))
            variables[:, nodes.inner] = part.standing(inputs)
            voltages += _spread(variables, nodes.variable, nodes.scale)
        return voltages

    def entering(self, amperes: Array) -> Array:
        """Return the currents into the unknowns (A, ``[batch, n]``) for those into the nodes, A, ``[batch, nodes]``.

        Nothing must be eliminated: a current into an inner node moves that node, too.
        """
        nodes, free = self._places, self._places.free
        into = csr_matrix(
            (nodes.adjoint_scale[free], (free, nodes.variable[free])), shape=(amperes.shape[-1], len(nodes.kept))
        )
        return np.asarray(amperes @ into)

    def unknowns(self, nodes: Array, inputs: Array) -> Array:
        """Return the unknowns that are left, V, ``[batch, n]``, where every node's voltage is known."""
        apart = (nodes - self.standing(inputs))[..., self._places.one_of_kept]
        return np.asarray(apart / self._places.scale_of_kept)

    def beside(self, own: Array) -> Array:
        """Return the conductance beside every node and ground, S, ``[nodes + 1]``, from that beside each variable, S.

        It is infinite where a source or a buffer holds the node.
        """
        nodes, free = self._places, self._places.free
        found = np.full(len(nodes.variable) + 1, np.inf)
        found[free] = own[nodes.variable[free]]
        return found

    def responses(self, solved: Array, *, transposed: bool = False) -> Array:
        """Return the voltage by which every node moves while all sources stand still, V, ``[..., nodes]``.

        `transposed` for unknowns of the network with the transposed conductances.
        """
        part = self._elimination
        transfer = None if part is None else part.adjoint_transfer if transposed else part.transfer
        return _spread(self._completed(solved, transfer), self._places.variable, self._places.scale)

    def adjoints(self, solved: Array) -> Array:
        """Return the voltages of the adjoint network, V, ``[..., nodes]``: 0 where sources or buffers hold a node."""
        variables = self._completed(solved, part.adjoint_transfer if (part := self._elimination) else None)
        return _spread(variables, self._places.variable, self._places.adjoint_scale)

    def _completed(self, solved: Array, transfer: Array | None) -> Array:
        """Return the voltages of all variables while all sources stand still, V, ``[..., variables]``."""
        if transfer is None:  # nothing is eliminated: variables are numbered as the unknowns are
            return solved
        variables = np.empty((*solved.shape[:-1], self._places.variables))
        variables[..., self._places.kept] = solved
        variables[..., self._places.inner] = -(solved @ transfer)
        return variables


def _spread(values: Array, chosen: Index, factors: Array) -> Array:
    """Return the chosen one of the values times a factor for every node, ``[..., nodes]``; zeros without values."""
    if not values.shape[-1]:
        return np.zeros((*values.shape[:-1], len(factors)))
    found = values.take(chosen, axis=-1)
    found *= factors
    return found
