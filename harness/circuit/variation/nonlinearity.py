"""Cells whose current is not proportional to their voltage: a pass Circuit -> Circuit."""

from dataclasses import dataclass, replace

import numpy as np

from harness.circuit.arrays import TrainableArray
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Element
from harness.devices import LINEAR_CELLS, CellLaw, Curve
from harness.errors import CircuitError


@dataclass(frozen=True)
class CellNonlinearity:
    """The I–V curve of every trainable cell, the same for all; with neither voltage cells stay as they are.

    What is programmed is the conductance for small signals. Learning's ∂C/∂g stays that of linear cells, ½ Δv² where
    the co-content of a cell says ∫f: what this costs is what such a chip shows.

    Raises:
        CircuitError: both curves are asked for, or V₀ is outside 1 mV…1 MV.
    """

    sinh: float | None = None
    """V₀ in V of i = g V₀ sinh(v / V₀); None for another curve."""
    cubic: float | None = None
    """V₀ in V of i = g v (1 + (v / V₀)²); None for another curve."""

    def __post_init__(self) -> None:
        if self.sinh is not None and self.cubic is not None:
            raise CircuitError("cell nonlinearity: cells have one curve; give a voltage for sinh or for cubic")
        _ = self.law

    @property
    def law(self) -> CellLaw:
        """The law that every cell obeys."""
        if self.sinh is not None:
            return CellLaw(Curve.SINH, self.sinh)
        return LINEAR_CELLS if self.cubic is None else CellLaw(Curve.CUBIC, self.cubic)

    def apply(self, circuit: Circuit, rng: np.random.Generator | None = None) -> Circuit:  # noqa: ARG002
        """The circuit with its cells; the same circuit where none is asked for. Draws nothing."""
        law = self.law
        if law.linear:
            return circuit

        def nonlinear(element: Element) -> Element:
            return replace(element, law=law) if isinstance(element, TrainableArray) else element

        return replace(circuit, elements=tuple(map(nonlinear, circuit.elements)))
