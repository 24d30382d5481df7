"""The seam: what every chip can do, be it a simulator, a reference solver or a board on a bench."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict

import numpy as np

from harness.chip.metering import Ledger
from harness.circuit import Circuit, check_bounds
from harness.circuit.dynamics import capacitances
from harness.circuit.power import dissipated
from harness.errors import ChipError, NotFiniteError, SpringError
from harness.measurement import (
    ALL_NUDGES,
    Access,
    Array,
    Capabilities,
    Clamp,
    Conductances,
    Drive,
    Injection,
    Needs,
    Nudge,
    Reading,
    Spring,
)
from harness.units import show


class Chip(Protocol):
    """A programmable network that settles under a drive and can be read.

    This is all that training needs. A chip may count what is asked of it and repeat its random imperfections, too
    (`harness.chip.metering`); `harness.testing` checks what is promised here.
    """

    @property
    def circuit(self) -> Circuit:
        """The topology and its limits (the conductances in it are those of the start)."""

    @property
    def capabilities(self) -> Capabilities:
        """The chip's abilities besides free phases, and their precision."""

    @property
    def conductances(self) -> Conductances:
        """The conductances that are programmed now, S, one array per trainable array of the circuit."""

    def program(self, conductances: Sequence[Array]) -> None:
        """Set every conductance (S), as nearly as the chip can.

        Raises:
            CircuitError: a value is outside its array's range; nothing is changed then.
        """

    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        """Change conductances by `wanted` (S) as far as their range allows; returns what was really written (S).

        Raises:
            ChipError: a wanted change is not finite; nothing is changed then.
        """

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """Let the network settle under each drive, and read it. All drives have the same number of samples.

        Drives that do not depend on each other's readings belong into one call. A batch gives what its samples give
        one by one, within the chip's tolerance, and no conductance changes.

        Raises:
            ConvergenceError: a sample did not settle; names sample and phase.
            ChipError: the drive does not fit the circuit, asks for more than the chip can, or the simulator failed.
        """

    def close(self) -> None:
        """Release what the chip holds; it cannot be used afterwards."""


SIMULATED = Capabilities(
    ALL_NUDGES,
    Access.NODES,
    small_signal=True,
    adjoint=True,
    oscillating=True,
    reversal=True,
    node_currents=True,
    reproducible=True,
)
"""Abilities of a simulator."""


class SimulationOptions(TypedDict, total=False):
    """Options of every simulated chip."""

    access: Access
    """The nodes that may be read."""
    settling_time: float | None
    """s that every phase takes, for the energy in the ledger; None leaves energy uncounted."""
    node_capacitance: float
    """F to ground at every node that no source or stage holds, for oscillating drives."""
    line_capacitance: float
    """F that every cell adds at both of its ends, for oscillating drives."""


class SimulatedChip(ABC):
    """A `Chip` made of a circuit: it keeps conductances, limits and ledger; how it settles is said below it.

    Args:
        circuit: the full circuit.
        capabilities: what is simulated; `access` may take away from it.
        access: what may be read.
        settling_time: s that every phase takes, for the energy in the ledger; None leaves energy uncounted.
        node_capacitance: F to ground at every node that no source or stage holds, for oscillating drives.
        line_capacitance: F that every cell adds at both of its ends, for oscillating drives.

    Raises:
        ChipError: a capacitance is negative or not finite.
        CircuitError: cells alone have capacitances, and a free node has no cell.
    """

    def __init__(
        self,
        circuit: Circuit,
        capabilities: Capabilities = SIMULATED,
        *,
        access: Access = Access.NODES,
        settling_time: float | None = None,
        node_capacitance: float = 0.0,
        line_capacitance: float = 0.0,
    ) -> None:
        self.circuit, self.capabilities = circuit, capabilities.read_at(access)
        self.conductances: Conductances = tuple(_frozen(array.conductances) for array in circuit.arrays)
        self.ledger = Ledger()
        self._settling_time = settling_time
        self.farads = _farads(circuit, node_capacitance, line_capacitance)
        """F from each node to ground, ``[nodes]``, which only oscillating drives see; None for none."""

    @abstractmethod
    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """The readings of drives that were checked, nodes and all."""

    @property
    def simulator_seconds(self) -> float | None:
        """None, since no simulator is known here."""
        return None

    def program(self, conductances: Sequence[Array]) -> None:
        """See `Chip.program`; exactly."""
        for array, values in zip(self.circuit.arrays, conductances, strict=True):
            check_bounds(array, values)
        self.conductances = tuple(map(_frozen, conductances))

    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        """See `Chip.adjust`; exactly, up to the bounds."""
        before = self.conductances
        check_changes(self.circuit, wanted)
        pairs = zip(self.circuit.arrays, before, wanted, strict=True)
        self.conductances = tuple(_within(g + change, c.g_min, c.g_max) for c, g, change in pairs)
        written = tuple(new - old for new, old in zip(self.conductances, before, strict=True))
        self.ledger += Ledger(conductances_written=sum(int(np.count_nonzero(change)) for change in written))
        return written

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """See `Chip.measure`."""
        check_drives(self.circuit, self.capabilities, drives)
        readings = self._settle(drives)
        self.ledger += self._asked(drives, readings)
        if self.capabilities.access is Access.OUTPUTS:
            return tuple(Reading(reading.outputs) for reading in readings)
        return tuple(Reading(reading.outputs, reading.volts, Tally(self, reading)) for reading in readings)

    def close(self) -> None:
        """See `Chip.close`; most simulated chips hold nothing."""
        return

    def _is_whole(self, drive: Drive) -> bool:
        """Return whether a drive wants every node solved for: where each has a current or a capacitance of its own."""
        return drive.currents is not None or (drive.frequency is not None and self.farads is not None)

    def _asked(self, drives: Sequence[Drive], readings: Sequence[Reading]) -> Ledger:
        if self._settling_time is None:
            return asked(self.circuit, drives)
        settled = [r.all_nodes for r, d in zip(readings, drives, strict=True) if d.about is None]
        watts = sum(float(dissipated(self.circuit, self.conductances, nodes).sum()) for nodes in settled)
        return asked(self.circuit, drives) + Ledger(energy=watts * self._settling_time)


class Counting(Protocol):
    """A chip that keeps a ledger by itself."""

    ledger: Ledger

    @property
    def circuit(self) -> Circuit:
        """The topology."""


class Tally:
    """Counts the inner nodes of a reading when they are looked at, once."""

    def __init__(self, chip: Counting, reading: Reading) -> None:
        *_, batch, nodes = reading.all_nodes.shape
        self._chip, self._count = chip, batch * (nodes - len(chip.circuit.held_nodes) - reading.outputs.shape[-1])

    def __call__(self) -> None:
        """Count them."""
        self._chip.ledger += Ledger(nodes_read=max(0, self._count))
        self._count = 0


def asked(circuit: Circuit, drives: Sequence[Drive]) -> Ledger:
    """Return the ledger of some drives: samples settled, voltages set, outputs read; of each chip in a stack."""
    batch, outputs = drives[0].inputs.shape[-2], len(circuit.outputs)
    shown = len({id(drive.inputs) for drive in drives if drive.about is None})
    nudged = sum(drive.nudge is not None for drive in drives)
    return Ledger(
        phases=batch * len(drives),
        nodes_read=batch * len(drives) * outputs,
        voltages_set=batch * (shown * circuit.input_pins + nudged * outputs),
    )


def check_changes(circuit: Circuit, wanted: Sequence[Array]) -> None:
    """Refuse changes of conductance (S, one array per trainable array) that cannot be asked for.

    Raises:
        NotFiniteError: names the array.
    """
    for array, change in zip(circuit.arrays, wanted, strict=True):
        if not np.isfinite(change).all():
            message = f"{array.title}: a wanted change is not finite; lower the learning rate or the nudge"
            raise NotFiniteError(message, "learning rule", "cost")


def check_drives(
    circuit: Circuit, capabilities: Capabilities, drives: Sequence[Drive], chips: tuple[int, ...] = ()
) -> None:
    """Refuse drives that do not fit the circuit or each other, or that a chip cannot do.

    Args:
        circuit: of the chip, or of each chip in a stack.
        capabilities: of the same.
        drives: for one call.
        chips: the axis of a stack's chips, which comes before the samples; none for a chip alone.

    Raises:
        ChipError: a shape is wrong, a value is not finite, or the chip cannot do it; names the phase.
    """
    if not drives:
        raise ChipError("measure: no drive was given")
    batch = drives[0].inputs.shape[-2] if drives[0].inputs.ndim > len(chips) + 1 else 0
    if capabilities.largest_batch is not None and batch > capabilities.largest_batch:
        raise ChipError(f"measure: {batch} samples at once, and the chip takes at most {capabilities.largest_batch}")
    sound: set[_Sound] = set()
    for drive in drives:
        _check_drive(circuit, capabilities, drive, (*chips, batch), sound)


_Sound = tuple[int, tuple[int, ...]]
"""Identity of an array that was looked at, and the shape that it has: phases share theirs."""


def _check_drive(
    circuit: Circuit, capabilities: Capabilities, drive: Drive, batch: tuple[int, ...], sound: set[_Sound]
) -> None:
    phase, outputs = f"{drive.phase} phase", (*batch, len(circuit.outputs))
    if drive.about is not None:
        _check_array(f"{phase}: operating point", drive.about.all_nodes, (*batch, len(circuit.nodes)), sound)
    elif drive.adjoint:
        raise ChipError(f"{phase}: an adjoint drive needs an operating point; give 'about'")
    nudges = set[type[Nudge]]() if drive.nudge is None else {type(drive.nudge)}
    if drive.frequency is not None:
        _check_frequency(phase, drive, drive.frequency)
    if drive.reversal is not None:
        if drive.about is not None:
            raise ChipError(f"{phase}: in a small-signal phase 'adjoint' reverses one-way parts; leave 'reversal' out")
        _check_array(f"{phase}: free state", drive.reversal.all_nodes, (*batch, len(circuit.nodes)), sound)
    if drive.currents is not None:
        if not capabilities.node_currents or drive.adjoint or drive.frequency is not None:
            raise ChipError(f"{phase}: the chip takes no currents into its nodes here; leave 'currents' out")
        _check_array(f"{phase}: currents into nodes", drive.currents, (*batch, len(circuit.nodes)), sound)
    asked = Needs(
        nudges,
        small_signal=drive.about is not None,
        adjoint=drive.adjoint,
        oscillating=drive.frequency is not None,
        reversal=drive.reversal is not None,
    )
    if lacking := capabilities.lacking(asked):
        raise ChipError(f"{phase}: the chip has no {' and no '.join(lacking)}")
    _check_array(f"{phase}: inputs", drive.inputs, (*batch, circuit.channels), sound)
    match drive.nudge:
        case Spring(beta, targets):
            _check_array(f"{phase}: targets", targets, outputs, sound)
            if not np.isfinite(beta).all():
                raise NotFiniteError(f"{phase}: β = {beta} S is not finite", "learning rule")
        case Injection(current):
            _check_array(f"{phase}: nudging currents", current, outputs, sound)
        case Clamp(volts):
            _check_array(f"{phase}: clamped voltages", volts, outputs, sound)


def _check_frequency(phase: str, drive: Drive, frequency: float) -> None:
    if not 0 < frequency < np.inf:
        raise ChipError(f"{phase}: a frequency of {frequency:g} Hz must be above 0 Hz and finite")
    if drive.about is None:
        raise ChipError(f"{phase}: an oscillating drive needs an operating point; give 'about'")
    if not isinstance(drive.nudge, Injection):
        raise ChipError(f"{phase}: only currents into outputs oscillate; nudge by an Injection")


def refuse_unstable(
    drives: Sequence[Drive], own: Callable[[], float], withstands: Callable[[float], bool] = lambda _: False
) -> None:
    """Refuse springs of −β that leave a circuit no one stable state, for which any answer would be wrong.

    While β is below the conductance that outputs see of the circuit with all diodes blocking, the energy is convex.
    Beyond it, Kirchhoff's equations still have roots, but those are saddles or one of several states.

    Args:
        drives: with nudges of any kind.
        own: the smallest conductance (S) that any combination of outputs sees; asked for if there is such a spring.
        withstands: whether springs of −β (S) are surely below it; a quicker answer than `own`.

    Raises:
        SpringError: names the phase, β and the bound.
    """
    pulled = [(float(np.min(d.nudge.conductance)), d.phase) for d in drives if isinstance(d.nudge, Spring)]
    beta, phase = min(pulled, default=(0.0, ""))
    if beta < 0 and not withstands(-beta) and -beta >= (bound := own()):
        raise SpringError(
            f"{phase} phase: springs of β = {show(beta, 'S')} outdo the network's own conductance at the outputs, "
            f"{show(bound, 'S')} with all diodes blocking, and leave it no one stable state; lower β (rule.beta) below "
            'that, or nudge by current (rule.nudging = "current")',
            bound,
        )


def _check_array(what: str, values: Array, shape: tuple[int, ...], sound: set[_Sound]) -> None:
    if (id(values), shape) in sound:
        return
    if values.shape != shape:
        raise ChipError(f"{what} have shape {values.shape}, the circuit takes [samples, columns] = {shape}")
    if not np.isfinite(values).all():
        *_, row, column = place = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
        message = f"{what}: sample {row}, column {column} is {values[place]}, which is not finite"
        raise NotFiniteError(message, "chip", "non-ideality", "learning rule", "cost")
    sound.add((id(values), shape))


def _farads(circuit: Circuit, node: float, line: float) -> Array | None:
    """Return the capacitance from each node to ground (F, ``[nodes]``), which has no effect where a node is held."""
    for name, value in (("node", node), ("line", line)):
        if not 0 <= value < np.inf:
            raise ChipError(f"a {name} capacitance of {show(value, 'F')} must be finite and not negative")
    if not node and not line:
        return None
    farads = capacitances(circuit, node, line)
    farads[[k for name, k in circuit.node_index.items() if name in circuit.held_nodes]] = 0.0
    return farads


def _frozen(values: Array) -> Array:
    copy = np.array(values, float)
    copy.setflags(write=False)
    return copy


def _within(values: Array, low: float, high: float) -> Array:
    """Bring an array, which nobody else has, within bounds, and freeze it."""
    np.maximum(values, low, out=values)
    np.minimum(values, high, out=values)
    values.setflags(write=False)
    return values
