"""Johnson noise: the current that heat drives through every conductance (Johnson 1928; Nyquist 1928).

A conductance g at the temperature T carries, beside the current of its voltage, a random one of spectral density 4kTg,
which is a variance of 4kTgB within a bandwidth B. Each phase of each sample has currents of its own, between the ends
of every cell and every resistor. Small ones move the nodes by voltages of the covariance J⁻¹ S J⁻ᵀ, with S that of the
currents. In a network of conductances, S is 4kTB J, and the voltage between any two nodes has the variance 4kTBR of the
resistance R that is seen between them; within the bandwidth 1 / 4RC of a capacitance that is kT/C.

Diodes (whose shot noise is 2qI), amplifiers, buffers and gyrators make no noise here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import splu
from typing_extensions import override

from harness.chip.base import Chip
from harness.chip.imperfect.wrapped import WrappedChip
from harness.chip.metering import stream
from harness.circuit import Circuit
from harness.circuit.branches import Branches
from harness.circuit.scaling import scaling_of
from harness.devices.diode import GMIN
from harness.errors import ChipError
from harness.measurement import Array, Capabilities, Conductances, Drive, Index, Reading
from harness.units import show

BOLTZMANN = 1.380649e-23
"""k in J/K."""
ROOM = 300.15
"""K at which SPICE simulates: 27 °C."""
_STREAM = 120  # behind those of `harness.chip.imperfect.pins`
_DRAWS = 32
_DEVIATIONS = 10
"""Standard deviations between two draws that hardly ever are so far apart."""


@dataclass(frozen=True)
class JohnsonNoise:
    """Strength of the noise.

    Raises:
        ChipError: a figure is negative or not finite.
    """

    bandwidth: float = 0.0
    """Hz within which currents count; 0 is no noise."""
    temperature: float = ROOM
    """K of all conductances."""

    def __post_init__(self) -> None:
        for name, value, unit in (("bandwidth", self.bandwidth, "Hz"), ("temperature", self.temperature, "K")):
            if not 0 <= value < np.inf:
                raise ChipError(f"Johnson noise: a {name} of {show(value, unit)} must be finite and not negative")

    @property
    def power(self) -> float:
        """The variance of the current through each siemens, 4kTB, A²/S."""
        return 4 * BOLTZMANN * self.temperature * self.bandwidth


class JohnsonChip(WrappedChip):
    """A simulated `Chip` whose conductances are warm; its stream comes from `seed`.

    Raises:
        ChipError: the chip takes no currents into its nodes.
    """

    def __init__(self, chip: Chip, noise: JohnsonNoise, *, seed: int) -> None:
        super().__init__(chip)
        if not chip.capabilities.node_currents:
            raise ChipError(
                f"Johnson noise: {type(chip).__name__} takes no currents into nodes; take linear cells and chip.kind "
                "'ngspice' or 'nodal', or leave imperfect.johnson_bandwidth out"
            )
        self._noise, self._seed = noise, seed
        self._resistors = _Resistors(chip.circuit)
        self.set_step_key(())

    @cached_property
    def _deviation(self) -> float:
        """The largest standard deviation of a node, V, with the first conductances and all diodes blocking."""
        return self._resistors.deviation(self._chip.conductances, self._noise.power)

    @property
    @override
    def capabilities(self) -> Capabilities:
        """The inner chip's abilities but for the adjoint network and oscillations, with what noise adds."""
        inside = self._chip.capabilities
        tolerance = inside.tolerance + _DEVIATIONS * self._deviation
        return replace(inside, adjoint=False, oscillating=False, node_currents=False, tolerance=tolerance)

    @override
    def set_step_key(self, numbers: Sequence[int]) -> None:
        super().set_step_key(numbers)
        self._rng = stream(self._seed, _STREAM, numbers)

    @override
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        g = self._chip.conductances
        return self._chip.measure([self._warm(drive, g) for drive in drives])

    def _warm(self, drive: Drive, conductances: Conductances) -> Drive:
        if drive.adjoint or drive.frequency is not None:
            what = "the adjoint network" if drive.adjoint else "an oscillation"
            raise ChipError(
                f"{drive.phase} phase: no Johnson noise is known of {what}; take another rule, such as "
                "equilibrium-propagation, or leave imperfect.johnson_bandwidth out"
            )
        currents = self._resistors.currents(conductances, self._noise.power, drive.inputs.shape[0], self._rng)
        return replace(drive, currents=currents)


class _Resistors:
    """All conductances of a circuit, by the nodes at their ends; those that end at a source share one draw a node."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit, self._free = circuit, scaling_of(circuit).free
        pairs = [np.broadcast_arrays(*circuit.ends(array)) for array in circuit.arrays]
        first, second, self._fixed = circuit.fixed
        ends = [(a.ravel(), b.ravel()) for a, b in pairs] + [(first, second)]
        self._first, self._second = (np.concatenate([pair[k] for pair in ends]) for k in (0, 1))
        self._between: Index = np.flatnonzero(self._free[self._first] & self._free[self._second])
        numbers = np.arange(len(self._between))
        at = np.concatenate([self._first[self._between], self._second[self._between]])
        signs = np.repeat([-1.0, 1.0], len(numbers))
        shape = (len(numbers), len(self._free))
        self._incidence = csr_matrix((signs, (np.tile(numbers, 2), at)), shape=shape)

    def currents(self, conductances: Conductances, power: float, samples: int, rng: np.random.Generator) -> Array:
        """Draw currents into every node, A, ``[samples, nodes]``."""
        g = self._siemens(conductances)
        own = np.flatnonzero(self._free)
        found = np.zeros((samples, len(self._free)))
        found[:, own] = np.sqrt(power * self._to_held(g)[own]) * rng.normal(size=(samples, len(own)))
        strengths = np.sqrt(power * g[self._between])
        found += (strengths * rng.normal(size=(samples, len(strengths)))) @ self._incidence
        return found[:, :-1]

    def deviation(self, conductances: Conductances, power: float) -> float:
        """Return the largest standard deviation of a node while all diodes block, V, as some draws have it."""
        b = Branches(self._circuit)
        amperes = np.zeros((_DRAWS, b.rise.shape[0]))
        amperes[:, : len(self._free) - 1] = self.currents(conductances, power, _DRAWS, np.random.default_rng(0))
        matrix = (b.into @ b.programmed(conductances).linear @ b.rise + GMIN * identity(b.size)).tocsc()
        moved = b.rise @ splu(matrix).solve(b.into @ amperes.T)
        return float(np.sqrt(np.mean(moved**2, axis=1)).max())

    def _siemens(self, conductances: Conductances) -> Array:
        return np.concatenate([*(g.ravel() for g in conductances), self._fixed])

    def _to_held(self, g: Array) -> Array:
        """Return the conductance of each node to nodes that are held, S, ``[nodes + 1]``; 0 where it is held itself."""
        found = np.zeros(len(self._free))
        for near, far in ((self._first, self._second), (self._second, self._first)):
            chosen = self._free[near] & ~self._free[far]
            np.add.at(found, near[chosen], g[chosen])
        return found
