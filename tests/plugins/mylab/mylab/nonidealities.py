"""Two non-idealities: one in the circuit as it was made, and one at the pins of the chip."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from harness.chip.base import Chip
from harness.chip.imperfect.wrapped import WrappedChip
from harness.chip.metering import stream
from harness.circuit import Circuit
from harness.circuit.elements import Resistor
from harness.measurement import Drive, Reading
from harness.validation import Section, Siemens, Volts

_STREAM = 2000


@dataclass(frozen=True)
class Shunts:
    """A resistor from every output to ground."""

    conductance: float

    def apply(self, circuit: Circuit, rng: np.random.Generator) -> Circuit:
        """The circuit with its shunts, none of which is like another."""
        if not self.conductance:
            return circuit
        nodes = [output.plus for output in circuit.outputs]
        sizes = self.conductance * rng.uniform(0.5, 1.5, len(nodes))
        shunts = [Resistor(f"shunt{k}", node, "0", g) for k, (node, g) in enumerate(zip(nodes, sizes, strict=True))]
        return replace(circuit, elements=(*circuit.elements, *shunts))


class ShuntsPlugin:
    """What the entry point names."""

    class Options(Section):
        """``[variation.plugins.shunts]``."""

        conductance: Annotated[Siemens, Field(ge=0)]
        """S."""

    def build(self, options: Options) -> Shunts:
        """The pass."""
        return Shunts(options.conductance)


class NoisyChip(WrappedChip):
    """A chip whose outputs are read with noise."""

    def __init__(self, chip: Chip, sigma: float, seed: int) -> None:
        super().__init__(chip)
        self._sigma, self._seed = sigma, seed
        self.set_step_key(())

    def set_step_key(self, numbers: Sequence[int]) -> None:
        """Begin a stream of its own, so that a step that is done again draws the same."""
        super().set_step_key(numbers)
        self._rng = stream(self._seed, _STREAM, numbers)

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """What the chip reads, with noise."""
        readings = super().measure(drives)
        noise = [self._rng.normal(0, self._sigma, reading.outputs.shape) for reading in readings]
        return tuple(replace(r, outputs=r.outputs + n) for r, n in zip(readings, noise, strict=True))


class ReadoutNoise:
    """What the entry point names."""

    class Options(Section):
        """``[variation.plugins.readout-noise]``."""

        sigma: Annotated[Volts, Field(ge=0)] = 1e-3
        """V."""

    def build(self, options: Options) -> "ReadoutNoise":
        """The wrapper."""
        made = ReadoutNoise()
        made.sigma = options.sigma
        return made

    def wrap(self, chip: Chip, seed: int) -> Chip:
        """The chip with noise."""
        return NoisyChip(chip, self.sigma, seed) if self.sigma else chip


shunts, readout_noise = ShuntsPlugin(), ReadoutNoise()
