"""The base of all kinds of networks: cells, and the memory that a network takes."""

from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from harness.circuit import CellRange
from harness.processes.memory import Part
from harness.units import show
from harness.validation import In, MismatchError, Positive, Section, Seed, Siemens

CELL = 60
"""B of a cell: its conductance, gradient, change and moments, and its line in the netlist."""
_INITIAL = 2
"""Stream of random numbers for initial conductances; 0 and 1 are the training loop's, 3 the subset's, 4 a graph's."""


@dataclass(frozen=True)
class Size:
    """The parts and numbers that decide how much memory a network takes."""

    parts: tuple[Part, ...]
    """Its own objects and arrays."""
    nodes: int
    unknowns: int
    """Unknowns of the reduced network."""
    cure: str


class Network(Section):
    """A network: the range of its conductances, their unit, and the gain at its inputs."""

    g_unit: Annotated[Siemens, Field(gt=0, le=1e3)]
    """The network's unit of conductance g₀, in which learning rates count. Fresh cells are drawn with it: those of a
    crossbar are max(0, U(−1, 1)) g₀ / √fan-in, edges of a graph U(0.1, 1) g₀."""
    g_min: Annotated[Siemens, Field(ge=0)] = 0.0
    """Smallest conductance of a cell; at 0 a cell may be open."""
    g_max: Annotated[Siemens, Field(gt=0, le=1e6)]
    """Largest conductance of a cell."""
    input_gain: Annotated[Positive, In("V/V")] = 1.0
    """Volts at the input pins for each volt of an input."""
    seed: Seed | None = None
    """Seed of the initial conductances and of the edges of random graphs; without it, training.seed."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if not self.g_min < self.g_max:
            raise MismatchError("g_min", f"{show(self.g_min, 'S')} must lie below g_max, {show(self.g_max, 'S')}")
        return self

    @property
    def arrays(self) -> int:
        """Number of trainable arrays."""
        return 1

    @property
    def selected(self) -> bool:
        """True where cells have selectors."""
        return False

    def _cells(self, seed: int) -> dict[str, Any]:
        """Return the arguments of all builders: range, initial conductances and gain."""
        rng = np.random.default_rng([seed, _INITIAL])
        cells = CellRange(self.g_unit, self.g_min, self.g_max)
        return {"cells": cells, "rng": rng, "input_gain": self.input_gain}
