"""What crosses the seam between learning and a chip: a `Drive` is applied, a `Reading` is seen.

Plain frozen data. Arrays have the batch as their first axis; voltages are in V, currents in A, conductances in S.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Conductances = tuple[Array, ...]
"""One array ``[word, bit]`` per crossbar, in the circuit's order (S, or S-shaped such as ∂C/∂g)."""


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


Nudge = Spring | Injection


@dataclass(frozen=True, eq=False)
class Drive:
    """What is applied to a chip for one phase of a batch."""

    inputs: Array
    """V before the circuit's input gain, ``[batch, channels]``."""
    nudge: Nudge | None = None
    """What pulls the outputs; None lets them float (free phase)."""
    phase: str = field(default="free")
    """The phase's name, for error messages and records."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read from a chip after it settled under one `Drive`."""

    outputs: Array
    """V, ``[batch, outputs]``: v⁺ − v⁻ for a pair."""
    nodes: Array
    """V, ``[batch, nodes]``: every node of the circuit, in the order of ``Circuit.nodes``."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples that are shown to the chip together."""

    inputs: Array
    """V before the input gain, ``[batch, channels]``."""
    targets: Array
    """V at the outputs, ``[batch, outputs]``."""

    def __len__(self) -> int:
        return len(self.inputs)
