"""Jobs for a simulator: settle one reduced network under several phases of a batch.

Plain arrays, small enough to be sent to another process: a crossbar's 157,000 cells have become the currents and
conductances that they amount to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from harness.circuit.primitives import DeviceBranches, Model
from harness.devices.diode import THERMAL_VOLTAGE, JunctionLaw
from harness.measurement import Array, Index

Logical = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Junctions:
    """All diodes of a reduced network; terminals index its unknowns first, then its rails."""

    anode: Index
    cathode: Index
    saturation: Array
    """I_s in A, ``[diodes]``."""
    emission: Array
    """N, ``[diodes]``."""

    @property
    def law(self) -> JunctionLaw:
        """The law of the junctions' currents."""
        return JunctionLaw(self.saturation, self.emission * THERMAL_VOLTAGE)


@dataclass(frozen=True, eq=False)
class Devices:
    """Devices of one other kind; terminals index the network's unknowns first, then its rails."""

    pins: Index
    """Terminals, ``[devices, pins]``."""
    models: tuple[Model, ...]
    units: tuple[float, ...]
    """V and A in which the network counts what is at each device."""
    adjoint: bool = False
    """True for the adjoint network, in small-signal phases."""

    @cached_property
    def branches(self) -> DeviceBranches:
        """Between terminals."""
        found = DeviceBranches.of(self.pins, self.models, self.units)
        return found.transposed if self.adjoint else found


@dataclass(frozen=True, eq=False)
class Topology:
    """All of a reduced network but its conductances.

    Terminals of diodes and outputs index the unknowns ``0…n−1`` and then the rails ``n…``. What solvers derive from a
    topology they keep beside it: every step of training has the same one.
    """

    size: int
    """Number of unknowns n."""
    rails: int
    diodes: Junctions
    plus: Index
    """Terminal of each output's plus node, ``[outputs]``."""
    minus: Index
    """Terminal of each output's minus node, ``[outputs]``."""
    alone: Index
    """Unknowns that neither a conductance nor a diode nor an output pair can join to each other; a layered network
    has every second layer here."""
    joined: Logical
    """Pairs of unknowns that conductances can join, ``[n, n]``."""
    others: tuple[Devices, ...] = ()
    """Devices that are no diodes; nothing at their terminals is alone."""

    def of_kin(self, diodes: Junctions, plus: Index, minus: Index, rails: int) -> "Topology | None":
        """Return the topology with such diodes, which is the same one if they are the same.

        None where a diode or an output stands elsewhere, or rails are apart that were one.
        """
        ours, theirs = (
            (each.anode, each.cathode, p, m)
            for each, p, m in ((self.diodes, self.plus, self.minus), (diodes, plus, minus))
        )
        if rails != self.rails or not all(map(np.array_equal, ours, theirs)):
            return None
        laws = ((self.diodes.saturation, diodes.saturation), (self.diodes.emission, diodes.emission))
        return self if all(np.array_equal(*pair) for pair in laws) else replace(self, diodes=diodes)

    @cached_property
    def signature(self) -> bytes:
        """The same for topologies that are the same, in whatever process."""
        diodes = self.diodes
        parts = (diodes.anode, diodes.cathode, diodes.saturation, diodes.emission, self.plus, self.minus, self.joined)
        others = [(kind.pins.tolist(), kind.models, kind.units, kind.adjoint) for kind in self.others]
        return b"|".join([repr((self.size, self.rails, others)).encode(), *(part.tobytes() for part in parts)])

    @cached_property
    def dense(self) -> Index:
        """Unknowns that are not alone."""
        return np.setdiff1d(np.arange(self.size), self.alone)

    @cached_property
    def branches(self) -> tuple[Index, Index, Index, Index]:
        """Terminals where currents of devices begin and end, and whose voltage they follow: diodes, then others."""
        ends, found = (self.diodes.anode, self.diodes.cathode), [devices.branches for devices in self.others]
        places = [(*ends, *ends), *((b.first, b.second, b.above, b.below) for b in found)]
        first, second, above, below = map(np.concatenate, zip(*places, strict=True))
        return first, second, above, below

    @cached_property
    def drops(self) -> tuple[Array, Array]:
        """Weights of unknowns, ``[outputs, n]``, and rails, ``[outputs, rails]``, in the voltage over each output."""
        found = np.zeros((len(self.plus), self.size + self.rails))
        for ends, sign in ((self.plus, 1.0), (self.minus, -1.0)):
            np.add.at(found, (np.arange(len(ends)), ends), sign)
        return found[:, : self.size], found[:, self.size :]

    @cached_property
    def springs(self) -> Array:
        """The entries that a spring of 1 S at every output adds to the equations, S, ``[n, n]``."""
        return np.asarray(self.drops[0].T @ self.drops[0])

    @cached_property
    def adjoint(self) -> "Topology":
        """The topology of the network whose equations are the transposed ones, for small-signal phases."""
        others = tuple(replace(devices, adjoint=True) for devices in self.others)
        return replace(self, joined=self.joined.T, others=others)


@dataclass(frozen=True, eq=False)
class Network:
    """Conductance · u + diode currents = currents into the nodes, for n unknown voltages u.

    Voltages are in V of the scaled variable (physical volts are scale · u), currents in A of the same scale.
    """

    conductance: Array
    """S, ``[n, n]``, with everything that leads to a held node on the diagonal; symmetric in reciprocal circuits. A
    transformer's row and column hold its equation."""
    topology: Topology

    @cached_property
    def symmetric(self) -> bool:
        """True where the matrix is its own transpose; of a stack, where all are."""
        return bool((self.conductance == self.conductance.swapaxes(-1, -2)).all())

    @property
    def adjoint(self) -> "Network":
        """The network whose equations are the transposed ones, for small-signal phases."""
        return Network(self.conductance.T, self.topology.adjoint)

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return self.topology.size


@dataclass(frozen=True, eq=False)
class Oscillation:
    """A nudge that oscillates about an operating point while all sources stay on, in a batch of samples."""

    frequency: float
    """Hz."""
    currents: Array
    """A that sources drive into every node, ``[batch, n]``."""
    rails: Array
    """V of every rail, ``[batch, rails]``."""
    farads: Array
    """F from every node to ground, ``[n]``."""

    @property
    def siemens(self) -> Array:
        """The size of the capacitances' admittance 2πfC, S, ``[n]``."""
        return 2 * np.pi * self.frequency * self.farads


@dataclass(frozen=True, eq=False)
class Phase:
    """The currents, voltages and nudges that drive a batch of samples in one phase."""

    name: str
    currents: Array
    """A into every node, ``[batch, n]``."""
    rails: Array
    """V of every rail, ``[batch, rails]``."""
    pushed: Array
    """A into every output's plus node and out of its minus node, whatever its voltage, ``[batch, outputs]``."""
    spring: float
    """S between the nodes of every output, besides; in a stack, an array ``[chips, 1, 1]`` where they differ in it."""
    clamped: Array | None = None
    """V that every output is held at, ``[batch, outputs]``; None lets them move."""
    slopes: Array | None = None
    """S, ``[batch, branches]``, of conductances that stand for the devices in a small-signal phase."""
    oscillation: Oscillation | None = None
    """The operating point, where a small-signal phase oscillates about it: `pushed` is the amplitude then."""

    def rows(self, chosen: slice) -> "Phase":
        """The phase of some samples."""
        return replace(
            self,
            currents=self.currents[chosen],
            rails=self.rails[chosen],
            pushed=self.pushed[chosen],
            clamped=None if self.clamped is None else self.clamped[chosen],
            slopes=None if self.slopes is None else self.slopes[chosen],
            oscillation=None
            if (o := self.oscillation) is None
            else replace(o, currents=o.currents[chosen], rails=o.rails[chosen]),
        )


@dataclass(frozen=True, eq=False)
class SettlingJob:
    """One network and the phases it shall settle in; all phases have the same samples."""

    network: Network
    phases: tuple[Phase, ...]

    def __len__(self) -> int:
        return len(self.phases[0].currents)

    def rows(self, chosen: slice) -> "SettlingJob":
        """The settling of some samples."""
        return replace(self, phases=tuple(phase.rows(chosen) for phase in self.phases))

    def of_network(self, number: int) -> "SettlingJob":
        """The settling of one chip in a stack; phases that share an array there share it here."""
        shared = {id(array): array[number] for phase in self.phases for array in (phase.currents, phase.rails)}
        phases = []
        for phase in self.phases:
            spring = float(np.ravel(phase.spring)[number if np.size(phase.spring) > 1 else 0])
            clamped = None if phase.clamped is None else phase.clamped[number]
            currents, rails = shared[id(phase.currents)], shared[id(phase.rails)]
            phases.append(Phase(phase.name, currents, rails, phase.pushed[number], spring, clamped))
        network = Network(self.network.conductance[number], self.network.topology)
        return SettlingJob(network, tuple(phases))


def unjoined(conductance: Array, diodes: Junctions, barred_ends: Sequence[Index]) -> Index:
    """A large set of unknowns with nothing between them, few neighbours first.

    Args:
        conductance: S, ``[n, n]``, with every cell closed.
        diodes: their ends at two unknowns are left out.
        barred_ends: terminals that are left out too: of outputs, which may be clamped, and of other devices.
    """
    size = len(conductance)
    joined = (conductance != 0) | (conductance.T != 0)
    np.fill_diagonal(joined, False)
    held = np.isin(np.arange(size), np.concatenate([diodes.anode, diodes.cathode]))
    barred = (np.diagonal(conductance) <= 0) & ~held  # a transformer's equation
    both = (diodes.anode < size) & (diodes.cathode < size)
    for ends in (diodes.anode[both], diodes.cathode[both], *barred_ends):
        barred[ends[ends < size]] = True
    alone = np.zeros(size, bool)
    for node in np.argsort(joined.sum(axis=1), kind="stable"):
        if not barred[node] and not (joined[node] & alone).any():
            alone[node] = True
    return np.flatnonzero(alone)
