"""A chip around another one, which does all that it is not made to do otherwise."""

from collections.abc import Sequence

from typing_extensions import override

from harness.chip.base import Chip
from harness.chip.history import hold
from harness.chip.metering import Ledger, Metered, ledger_of, set_step_key, sharing_of, simulator_seconds_of
from harness.circuit import Circuit
from harness.measurement import Array, Capabilities, Conductances, Drive, Reading


class WrappedChip(Chip, Metered):
    """A `Chip` that is another one until something of it is written anew below."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip

    @property
    def inside(self) -> Chip:
        """The other one."""
        return self._chip

    @property
    @override
    def circuit(self) -> Circuit:
        return self._chip.circuit

    @property
    @override
    def capabilities(self) -> Capabilities:
        return self._chip.capabilities

    @property
    @override
    def conductances(self) -> Conductances:
        return self._chip.conductances

    @property
    @override
    def ledger(self) -> Ledger | None:
        return ledger_of(self._chip)

    @property
    @override
    def simulator_seconds(self) -> float | None:
        return simulator_seconds_of(self._chip)

    @property
    def sharing(self) -> str | None:
        """See `harness.chip.metering.sharing_of`."""
        return sharing_of(self._chip)

    @override
    def set_step_key(self, numbers: Sequence[int]) -> None:
        set_step_key(self._chip, numbers)

    @override
    def program(self, conductances: Sequence[Array]) -> None:
        self._chip.program(conductances)

    @override
    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        return self._chip.adjust(wanted)

    @override
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        return self._chip.measure(drives)

    def hold(self, conductances: Sequence[Array]) -> None:
        """See `harness.chip.history.Holding.hold`."""
        hold(self._chip, conductances)

    @override
    def close(self) -> None:
        self._chip.close()
