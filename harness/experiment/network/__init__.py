"""``[network]``: the circuit, with its initial conductances, and the memory that it takes."""

from collections.abc import Iterator
from typing import Union

from harness.experiment.network.convolutional import ConvolutionalSettings
from harness.experiment.network.crossbars import (
    CascadeSettings,
    DeepResistiveSettings,
    EquilibriumNetworkSettings,
    LayeredSettings,
)
from harness.experiment.network.graph import GraphSettings
from harness.processes.memory import Part

__all__ = [
    "CascadeSettings",
    "DeepResistiveSettings",
    "GraphSettings",
    "LayeredSettings",
    "NetworkSettings",
    "memory",
]

_MATRIX = 2 * 8
"""B of an entry of the reduced network's matrix, of which two and more are alive while it is made."""
_READING = 3 * 8
"""B of a node's voltage in a phase: solved, completed and read."""
_PHASES = 2

NetworkSettings = Union[  # noqa: UP007
    LayeredSettings,
    ConvolutionalSettings,
    DeepResistiveSettings,
    EquilibriumNetworkSettings,
    CascadeSettings,
    GraphSettings,
]


def memory(network: NetworkSettings, channels: int, outputs: int, batch: int, *, lines: bool) -> Iterator[Part]:
    """Yield the memory of an experiment's largest parts, rounded down, for a step of `batch` samples.

    `lines` says whether lines have a resistance.
    """
    size = network.size(channels, outputs, lines=lines)
    yield from size.parts
    yield Part(f"the equations of {size.unknowns:,} unknowns", _MATRIX * size.unknowns**2, size.cure)
    read = _READING * _PHASES * batch * size.nodes
    what = f"{batch:,} samples of {size.nodes:,} nodes in each phase"
    yield Part(what, read, "take a smaller batch (training.batch)")
