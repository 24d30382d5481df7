"""A chip whose circuit is not the one that was drawn: learning sees the ideal circuit, the simulator the real one.

What was drawn and what was made differ by a `harness.circuit.variation.variation.Variation`: cells that differ, stick
or are open, lines with resistance, diodes, sources and amplifiers with errors. This chip is programmed in the drawn
circuit's conductances and read at its nodes; inside it is a chip of the circuit as it was made. So a rule that asks for
the voltage over a cell gets that between the ends of its lines, which is what read-out hardware sees.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from typing_extensions import override

from harness.chip.base import Chip, SimulatedChip
from harness.chip.history import hold
from harness.chip.metering import Ledger, ledger_of, set_step_key, sharing_of, simulator_seconds_of
from harness.circuit import Circuit
from harness.circuit.variation.variation import Variation, effective, faults_of, faulty, vary
from harness.errors import ChipError
from harness.measurement import Access, Array, Conductances, Drive, Reading


class VariedChip(SimulatedChip):
    """A `Chip` of a circuit as it was made: of all that could have been made, the one of that seed.

    `circuit` is as it was drawn, with the initial conductances; `make` makes the inner chip of a circuit, which should
    give access to all nodes, and `access` is what may be read of this one.

    Raises:
        CircuitError: a pass refuses the circuit.
    """

    def __init__(
        self,
        circuit: Circuit,
        variation: Variation,
        seed: int,
        make: Callable[[Circuit], Chip],
        *,
        access: Access = Access.NODES,
    ) -> None:
        super().__init__(circuit)
        sound = vary(circuit, variation.without_faults, seed)
        self._cell_factor = variation.temperature.cell_factor
        self._faults = faults_of(circuit, variation, seed)
        same = _cells(sound) == _cells(circuit)  # then they have the same faults
        made = faulty(sound, self._faults if same else faults_of(sound, variation, seed))
        self._shapes = [array.shape for array in made.arrays]
        real = self._real
        same = all(map(np.array_equal, real, made.conductances))  # and a circuit need not be checked once more
        self._chip = make(made if same else made.with_conductances(real))
        self.capabilities = self._chip.capabilities.read_at(access)
        index = self._chip.circuit.node_index
        self._drawn = np.array([index[node] for node in circuit.nodes], dtype=np.intp)
        self._settled: list[tuple[Array | None, Reading]] = []

    @property
    def made(self) -> Circuit:
        """The circuit of the inner chip, as it was made."""
        return self._chip.circuit

    @property
    @override
    def simulator_seconds(self) -> float | None:
        return simulator_seconds_of(self._chip)

    @property
    def sharing(self) -> str | None:
        """See `harness.chip.metering.sharing_of`."""
        return sharing_of(self._chip)

    def set_step_key(self, numbers: Sequence[int]) -> None:
        """Tell the chip inside, in which something may be random."""
        set_step_key(self._chip, numbers)

    @override
    def program(self, conductances: Sequence[Array]) -> None:
        """See `Chip.program`; faulty cells make of it what they can."""
        super().program(conductances)
        self._chip.program(self._real)

    @override
    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        """See `Chip.adjust`: changes of the programmed conductances, which a stuck cell keeps as they are."""
        movable = [np.where(fault.stuck, 0.0, change) for fault, change in zip(self._faults, wanted, strict=True)]
        written = super().adjust(movable)
        self._chip.program(self._real)
        return written

    @override
    def hold(self, conductances: Sequence[Array]) -> None:
        super().hold(conductances)
        hold(self._chip, self._real)

    @override
    def close(self) -> None:
        self._chip.close()

    @property
    def _real(self) -> Conductances:
        """The conductances that the inner circuit's cells really have, S, in the shapes of its arrays."""
        real = effective(self.conductances, self._faults)
        return tuple(self._cell_factor * g.reshape(shape) for g, shape in zip(real, self._shapes, strict=True))

    @override
    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        inside = self._chip.measure([self._about_inside(drive) for drive in drives])
        shown = tuple(replace(r, volts=None if r.volts is None else r.volts[:, self._drawn]) for r in inside)
        self._settled = [(outer.volts, inner) for outer, inner in zip(shown, inside, strict=True)]
        return shown

    def _about_inside(self, drive: Drive) -> Drive:
        """Return a drive about the state of the inner circuit, all of its nodes included."""

        def inner(state: Reading) -> Reading:
            for nodes, reading in self._settled:
                if nodes is not None and nodes is state.volts:
                    return reading
            raise ChipError(
                f"{drive.phase} phase: a chip with variation can only linearize about what it read last; "
                "measure the operating point again just before"
            )

        return drive.at_states(inner)

    @override
    def _asked(self, drives: Sequence[Drive], readings: Sequence[Reading]) -> Ledger:
        """Return the ledger as counted at the pins; the energy is that of the inner circuit."""
        inside = ledger_of(self._chip) or Ledger()
        return replace(super()._asked(drives, readings), energy=inside.energy - self.ledger.energy)


def _cells(circuit: Circuit) -> list[tuple[object, ...]]:
    """Return what faults of cells depend on."""
    return [(array.shape, array.g_min, array.g_max) for array in circuit.arrays]
