"""Data that pass between learning and a chip: a `Drive` is applied, a `Reading` is seen.

Plain frozen data. Arrays have the batch as their first axis; voltages are in V, currents in A, conductances in S. Where
chips of one topology are measured together, the chips are one more axis before all others.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isfinite

import numpy as np
import numpy.typing as npt

from harness.errors import ChipError


class Access(StrEnum):
    """Nodes of a chip that may be read: its outputs alone, or all."""

    OUTPUTS = "outputs"
    """The outputs alone."""
    NODES = "nodes"
    """All nodes."""


Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Conductances = tuple[Array, ...]
"""One array per trainable array of the circuit, in its shape: ``[word, bit]`` or ``[edge]`` (S, or such as ∂C/∂g)."""


def all_finite(values: Array | float) -> bool:
    """Return whether all numbers are finite.

    The sum of their squares tells, in a quarter of the time, unless it overflows.
    """
    return isfinite(np.vdot(values, values)) or bool(np.isfinite(values).all())


def view_of(index: Index) -> slice | Index:
    """Return the slice of consecutive indices, by which arrays give views, in less time; other indices as they are."""
    first, count = int(index[0]) if len(index) else 0, len(index)
    return slice(first, first + count) if np.array_equal(index, np.arange(first, first + count)) else index


@dataclass(frozen=True, eq=False)
class Spring:
    """A conductance from every output to a source at its target: current β (y − v) into the output.

    For an output pair the current enters the plus node and leaves the minus node. A negative β is a negative
    conductance: the circuit stays stable while |β| is below the network's own conductance at the output.
    """

    conductance: float
    """β in S; a stack takes an array, ``[chips, 1, 1]``, where its chips differ in it."""
    targets: Array
    """y in V, ``[batch, outputs]``."""


@dataclass(frozen=True, eq=False)
class Injection:
    """A current into every output (out of the minus node of a pair), whatever its voltage."""

    current: Array
    """A, ``[batch, outputs]``."""


@dataclass(frozen=True, eq=False)
class Clamp:
    """Holds every output (the drop over a pair) at a voltage, whatever current that takes."""

    volts: Array
    """V, ``[batch, outputs]``."""


Nudge = Spring | Injection | Clamp


@dataclass(frozen=True, eq=False)
class Drive:
    """The inputs and the nudge that are applied to a chip for one phase of a batch."""

    inputs: Array
    """V before the circuit's input gain, ``[batch, channels]``."""
    nudge: Nudge | None = None
    """The nudge that pulls the outputs; None lets them float (free phase)."""
    phase: str = field(default="free")
    """The phase's name, for error messages and records."""
    about: "Reading | None" = None
    """The operating point of a small-signal phase, in which every diode is the conductance that it has there and all
    sources stand still: readings are then the small voltages by which the nudge moves the nodes."""
    adjoint: bool = False
    """For a small-signal phase: in the adjoint network, in which buffers and gyrators work backwards (Director & Rohrer
    1969, IEEE Trans. Circuit Theory 16, 318). A reciprocal circuit is its own adjoint but for its amplifiers."""
    frequency: float | None = None
    """Hz at which the nudge of a small-signal phase oscillates while all sources stay on: the chip itself finds how its
    devices answer, and readings are the parts of the oscillations that are in phase with the nudge. None for a phase in
    devices are replaced by conductances."""
    ideal: bool = False
    """For a small-signal phase: devices are a short where they conduct at the operating point, and an open where they
    do not (`harness.circuit.linearized.shorts_and_opens`). False takes the slopes of their laws."""
    reversal: "Reading | None" = None
    """The free state about which one-way parts of the circuit are reversed: sources that follow the differences from
    this state make them answer the nudge backwards, while the state itself stays one (`Drive` of any size, unlike
    small-signal phases). None leaves them as they are."""

    currents: Array | None = None
    """A that flow into every node besides, ``[batch, nodes]``, such as the noise of cells; where a source holds a node
    they have no effect. None for none."""
    outputs_only: bool = False
    """For a free phase: nobody will look at inner nodes, so that a chip may leave out what it takes to know them."""

    @property
    def plain(self) -> bool:
        """True where inputs and a nudge are all that is applied."""
        switched = self.adjoint or self.ideal or self.frequency is not None or self.currents is not None
        return not switched and self.about is None and self.reversal is None

    def at_states(self, own: Callable[["Reading"], "Reading"]) -> "Drive":
        """Return the drive about other states, which a function gives for those that it is about now."""
        if self.about is None and self.reversal is None:
            return self
        about, reversal = (None if state is None else own(state) for state in (self.about, self.reversal))
        return replace(self, about=about, reversal=reversal)


@dataclass(frozen=True, eq=False)
class Reading:
    """Voltages that were read from a chip after it settled under one `Drive`."""

    outputs: Array
    """V, ``[batch, outputs]``: v⁺ − v⁻ for a pair."""
    volts: Array | None = field(default=None, repr=False)
    """V, ``[batch, nodes]``: every node, in the order of ``Circuit.nodes``; None where only outputs can be read."""
    tally: Callable[[], None] | None = field(default=None, repr=False)
    """Told when a rule looks at `nodes`."""

    @property
    def nodes(self) -> Array:
        """The voltages of all nodes, for a rule: that it looked at them counts.

        Raises:
            ChipError: the chip gives access to its outputs only.
        """
        if self.tally:
            self.tally()
        return self.all_nodes

    @property
    def all_nodes(self) -> Array:
        """The voltages of all nodes, for the chip itself and for pictures.

        Raises:
            ChipError: the chip gives access to its outputs only.
        """
        if self.volts is None:
            raise ChipError(
                "the chip gives access to its outputs only (chip.access = 'outputs'), and this rule reads its nodes; "
                "set chip.access = 'nodes', or take a rule that reads outputs, such as analytical-gradient"
            )
        return self.volts


@dataclass(frozen=True)
class Needs:
    """A learning rule's needs of a chip beside free phases and their outputs."""

    nudges: Set[type[Nudge]] = frozenset()
    nodes: bool = False
    """True where it reads voltages of nodes."""
    small_signal: bool = False
    """True where it drives the chip about an operating point."""
    adjoint: bool = False
    """True where it does so in the adjoint network."""
    oscillating: bool = False
    """True where its nudge oscillates about an operating point."""
    ideal: bool = False
    """True where devices are shorts and opens about an operating point."""
    reversal: bool = False
    """True where one-way parts are reversed about the free state."""


@dataclass(frozen=True)
class Capabilities:
    """Abilities of a chip; a rule that needs more is refused before anything is asked of the chip."""

    nudges: Set[type[Nudge]] = frozenset()
    """Kinds of nudges that it can apply to its outputs."""
    access: Access = Access.OUTPUTS
    """The nodes that may be read."""
    small_signal: bool = False
    """True where it can be driven about an operating point (`Drive.about`)."""
    adjoint: bool = False
    """True where that can be done in the adjoint network."""
    oscillating: bool = False
    """True where a current into the outputs can oscillate, and the answer at its frequency be read."""
    ideal: bool = False
    """True where shorts and opens can take the devices' places about an operating point."""
    reversal: bool = False
    """True where one-way parts can be reversed about a free state."""
    node_currents: bool = False
    """True where currents can flow into every node besides (`Drive.currents`), as noise needs."""
    reproducible: bool = False
    """True where the same drives give the same bits, after the same step key where the chip takes one."""
    tolerance: float = 1e-6
    """V within which a batch reads what its samples read one by one, where voltages are of the order of a volt."""
    largest_batch: int | None = None
    """Samples that can be shown together; None for any number."""
    simulator: str | None = None
    """The program that the machine must have for it."""

    def read_at(self, access: Access) -> "Capabilities":
        """Return what is left where only so much may be read: an operating point is known by its nodes.

        Raises:
            ChipError: there is no such access.
        """
        if access not in tuple(Access):  # which a text of the same letters is, too
            raise ChipError(f"chip: there is no access {str(access)!r}; there are {', '.join(Access)}")
        if access == Access.NODES:
            return self
        return replace(
            self,
            access=Access(access),
            small_signal=False,
            adjoint=False,
            oscillating=False,
            ideal=False,
            reversal=False,
        )

    def lacking(self, needs: Needs) -> list[str]:
        """Return what is needed and cannot be done, in words."""
        lacking = [words for kind, words in _NUDGES.items() if kind in needs.nudges - self.nudges]
        if needs.nodes and self.access is not Access.NODES:
            lacking.append(NODES)
        if needs.small_signal and not self.small_signal:
            lacking.append("small-signal phases")
        if needs.adjoint and not self.adjoint:
            lacking.append("small-signal phases of the adjoint network")
        if needs.oscillating and not self.oscillating:
            lacking.append("oscillating currents into outputs")
        if needs.ideal and not self.ideal:
            lacking.append("shorts and opens in the places of devices")
        if needs.reversal and not self.reversal:
            lacking.append("reversed one-way parts")
        return lacking


NODES = "voltages of nodes"
_NUDGES: dict[type[Nudge], str] = {
    Spring: "springs at outputs",
    Injection: "currents into outputs",
    Clamp: "clamped outputs",
}
ALL_NUDGES = frozenset(_NUDGES)
"""Every kind of nudge."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples that are shown to the chip together."""

    inputs: Array
    """V before the input gain, ``[batch, channels]``."""
    targets: Array
    """V at the outputs, ``[batch, outputs]``."""

    def __len__(self) -> int:
        return int(self.inputs.shape[-2])
