"""Chips whose channels are off as the tests say."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from typing_extensions import override

from harness.chip.base import Chip
from harness.chip.imperfect.wrapped import WrappedChip
from harness.measurement import Array, Capabilities, Clamp, Drive, Reading


class MiscalibratedChip(WrappedChip):
    """A chip that applies ``gain · asked + offset`` at inputs and shows the same of what is read; clamps are right."""

    def __init__(self, chip: Chip, rng: np.random.Generator, *, strength: float = 1.0, clamps: bool = True) -> None:
        super().__init__(chip)
        circuit, self._clamps = chip.circuit, clamps
        sizes = {"input": circuit.channels, "output": len(circuit.outputs), "node": len(circuit.nodes)}
        self.gain = {kind: 1 + strength * rng.uniform(-0.05, 0.05, size) for kind, size in sizes.items()}
        self.offset = {kind: strength * rng.uniform(-0.03, 0.03, size) for kind, size in sizes.items()}
        held = [node in circuit.held_nodes for node in circuit.nodes]
        self.gain["node"][held], self.offset["node"][held] = 1.0, 0.0

    @property
    @override
    def capabilities(self) -> Capabilities:
        inside = super().capabilities
        return inside if self._clamps else replace(inside, nudges=inside.nudges - {Clamp})

    @override
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        readings = super().measure([replace(drive, inputs=self._shown("input", drive.inputs)) for drive in drives])
        return tuple(
            Reading(self._shown("output", r.outputs), None if r.volts is None else self._shown("node", r.volts))
            for r in readings
        )

    def _shown(self, kind: str, volts: Array) -> Array:
        return self.gain[kind] * volts + self.offset[kind]
