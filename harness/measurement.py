"""What crosses the seam between learning and a chip: a `Drive` is applied, a `Reading` is seen.

Plain frozen data. Arrays have the batch as their first axis; voltages are in V, currents in A, conductances in S.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from harness.errors import ChipError


class Access(StrEnum):
    """What may be read of a chip."""

    OUTPUTS = "outputs"
    NODES = "nodes"


Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Conductances = tuple[Array, ...]
"""One array per trainable array of the circuit, in its shape: ``[word, bit]`` or ``[edge]`` (S, or such as ∂C/∂g)."""


@dataclass(frozen=True, eq=False)
class Spring:
    """A conductance from every output to a source at its target: current β (y − v) into the output.

    For an output pair the current enters the plus node and leaves the minus node. A negative β is a negative
    conductance: the circuit stays stable while |β| is below the network's own conductance at the output.
    """

    conductance: float
    """β in S."""
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
    """What is applied to a chip for one phase of a batch."""

    inputs: Array
    """V before the circuit's input gain, ``[batch, channels]``."""
    nudge: Nudge | None = None
    """What pulls the outputs; None lets them float (free phase)."""
    phase: str = field(default="free")
    """The phase's name, for error messages and records."""
    about: "Reading | None" = None
    """The operating point of a small-signal phase, in which every diode is the conductance that it has there and all
    sources stand still: readings are then the small voltages by which the nudge moves the nodes."""
    adjoint: bool = False
    """For a small-signal phase: in the adjoint network, in which buffers and gyrators work backwards (Director & Rohrer
    1969, IEEE Trans. Circuit Theory 16, 318). A reciprocal circuit is its own adjoint but for its amplifiers."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read from a chip after it settled under one `Drive`."""

    outputs: Array
    """V, ``[batch, outputs]``: v⁺ − v⁻ for a pair."""
    all_nodes: Array = field(repr=False)
    """V, ``[batch, nodes]``: what the chip itself knows of its nodes; rules read `nodes`."""
    access: Access = Access.NODES
    """What may be read."""
    tally: Callable[[], None] | None = field(default=None, repr=False)
    """Told when `nodes` are looked at."""

    @property
    def nodes(self) -> Array:
        """V, ``[batch, nodes]``: every node of the circuit, in the order of ``Circuit.nodes``.

        Raises:
            ChipError: the chip gives access to its outputs only.
        """
        if self.access is Access.OUTPUTS:
            raise ChipError(
                "the chip gives access to its outputs only (chip.access = 'outputs'), and this rule reads its nodes; "
                "set chip.access = 'nodes', or take a rule that reads outputs, such as analytical-gradient"
            )
        if self.tally:
            self.tally()
        return self.all_nodes


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples that are shown to the chip together."""

    inputs: Array
    """V before the input gain, ``[batch, channels]``."""
    targets: Array
    """V at the outputs, ``[batch, outputs]``."""

    def __len__(self) -> int:
        return len(self.inputs)
