"""A chip on a bench: the same loop that trains simulators, with a board behind it."""

import sys
import time
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np

from harness.chip.base import Tally, asked, check_changes, check_drives
from harness.chip.bench.board import Board, Counts, Extent
from harness.chip.bench.calibration import current_calibration
from harness.chip.bench.cassette import ReplayLine, WatchedLine
from harness.chip.bench.cells import addresses
from harness.chip.bench.journal import Session
from harness.chip.bench.limits import Guard
from harness.chip.bench.line import Line
from harness.chip.bench.opening import open_board, open_line
from harness.chip.bench.profile import Profile
from harness.chip.bench.readback import ReadBacks
from harness.chip.bench.writer import Writer
from harness.chip.metering import Ledger
from harness.circuit import Circuit, InputSource, check_bounds
from harness.devices.pulses import WritePulse
from harness.errors import BoardError, ChipError, ConvergenceError, ExperimentError
from harness.measurement import (
    Access,
    Array,
    Capabilities,
    Clamp,
    Conductances,
    Drive,
    Index,
    Injection,
    Nudge,
    Reading,
    Spring,
)
from harness.units import show
from harness.wording import listed


class BenchChip:
    """A `harness.chip.base.Chip` that is a board.

    Its conductances are a belief. They are read when the chip is opened, which writes nothing, and again every so many
    steps.

    Args:
        circuit: what is on the board.
        profile: of the board.
        resource: its address, instead of the profile's.
        access: the nodes that may be read; the profile may allow less.
        session: where a run keeps what happens; None keeps nothing.
        line: an open line, such as one that replays a session; None opens one.
        seed: of what is drawn to round pulses.
        stale: True to take a calibration that is too old, or of another board.

    Raises:
        ChipError: the board cannot be reached, is another one than the profile says, or does not fit the circuit.
        ExperimentError: the profile's channels or cells do not fit the circuit.
    """

    def __init__(
        self,
        circuit: Circuit,
        profile: Profile,
        resource: str | None = None,
        *,
        access: Access = Access.NODES,
        session: Session | None = None,
        line: Line | None = None,
        seed: int = 0,
        stale: bool = False,
    ) -> None:
        self.circuit, self._profile = circuit, profile
        self.ledger = Ledger()
        self._key: Sequence[int] = ()
        self.capabilities: Capabilities = profile.can.capabilities.read_at(access)
        self._closed, self._session = False, session
        self._replayed = isinstance(line, ReplayLine)
        self._line: WatchedLine | None = None
        self._board: Board | None = None
        try:
            places = addresses(circuit, profile.channels.cells)
            _check_names(circuit, profile)
            _check_gain(circuit, profile)
            cassette = None if session is None else session.cassette
            self._line = WatchedLine(line or open_line(profile, resource), cassette)
            wait = _not_at_all if self._replayed else time.sleep
            guard = Guard(profile.limits, circuit, wait, gain=profile.channels.gain)
            self._board = open_board(profile, line=self._line)
            self._at_exit = weakref.finalize(self, _abandon, self._board, profile)
            self.identity = self._board.identify()
            profile.refuse_other(self.identity)
            extent = self._board.extent()
            _check_extent(extent, circuit, self.capabilities, profile)
            self.fixed_wait = extent.wait
            named = profile.calibration
            taken = stale or self._replayed
            self._calibration = (
                None
                if named is None
                else current_calibration(named.file, named.max_age, circuit, self.identity, stale=taken)
            )
            self._batch = min(filter(None, (profile.can.batch, extent.batch)), default=None)
            self._writer = Writer(circuit, self._board, profile, guard, places, session, seed)
            self._writer.begin(self.identity)
        except BaseException:
            self.close()
            raise
        self._guard = guard
        self._read_backs = ReadBacks(circuit, None if session is None else session.folder)
        self._openings, self._programmed, self._steps = self._line.openings, False, 0

    @property
    def conductances(self) -> Conductances:
        """The conductances (S) that the cells are believed to have, within the bounds of the circuit's arrays."""
        return self._writer.conductances

    @property
    def simulator_seconds(self) -> float | None:
        """None; nothing is simulated here."""
        return None

    def set_step_key(self, numbers: Sequence[int]) -> None:
        """See `Metered`; a board that is a simulation is told, and cells are read back when it is time."""
        with self._grounding():
            self._opened.tell_step_key(numbers)
            self._writer.begin_step(numbers)
            every = self._profile.write.read_back_every
            if len(numbers) == 2:
                self._key = numbers
                self._steps += 1
                if every and self._steps % every == 0:
                    self._read_back()

    def program(self, conductances: Sequence[Array]) -> None:
        """See `Chip.program`; only cells that are elsewhere are written."""
        for array, values in zip(self.circuit.arrays, conductances, strict=True):
            check_bounds(array, values)
        with self._grounding():
            if not self._programmed:
                self._read_backs.note((), conductances, self._writer.found)
                self._programmed = True
            self._writer.program(conductances)

    def adjust(self, wanted: Sequence[Array]) -> Conductances:
        """See `Chip.adjust`; the change is that of the belief."""
        check_changes(self.circuit, wanted)
        before = self.conductances
        with self._grounding():
            spent = self._writer.adjust(wanted)
        written = tuple(after - old for after, old in zip(self.conductances, before, strict=True))
        cells = sum(int(np.count_nonzero(change)) for change in written)
        self.ledger += replace(spent, conductances_written=cells)
        return written

    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        """See `Chip.measure`; the free and nudged phases of a call go over the line together.

        Raises:
            ConvergenceError: readings do not settle within ``timing.settle_check``.
            LimitError: a voltage or current is beyond a limit; nothing was sent.
            BoardError: the board does not answer, or not as it must.
        """
        check_drives(self.circuit, self.capabilities, drives)
        with self._grounding():
            applied = self._applied(drives)
            self._guard.check_drives(applied)
            tables = list(map(self._true, self._read(applied)))
        self.ledger += asked(self.circuit, drives)
        if self.capabilities.access is Access.OUTPUTS:
            return tuple(Reading(table) for table in tables)
        readings = (Reading(self.circuit.outputs_of(table), table) for table in tables)
        return tuple(replace(reading, tally=Tally(self, reading)) for reading in readings)

    def outputs_after(self, inputs: Array, seconds: float) -> Array:
        """Return outputs (V, ``[samples, outputs]``), each read when its inputs had been there for so long (s)."""
        drives = [Drive(inputs)]
        check_drives(self.circuit, self.capabilities, drives)
        with self._grounding():
            self._guard.check_drives(drives)
            return self._opened.measure(drives, Access.OUTPUTS, seconds)[0]

    def check_pulses(self, cells: Index, number: int) -> None:
        """Refuse so many pulses for each of some cells, by their positions in all arrays, before the first is sent.

        Raises:
            ChipError: the profile writes by other means.
            LimitError: a cell may not have so many.
        """
        with self._grounding():
            self._writer.check_pulses(cells, number)

    def check_program(self, cells: Index, highest: Sequence[WritePulse], counts: Counts) -> None:
        """Refuse a program before its first pulse; see `Writer.check_program`."""
        with self._grounding():
            self._writer.check_program(cells, highest, counts)

    def applied(self, cells: Index) -> Counts:
        """Return the pulses that the sessions so far have applied to cells, ``[cells]``."""
        return self._writer.applied(cells)

    def pulse(self, cells: Index, counts: Counts, shape: WritePulse | None = None) -> Array:
        """Apply signed numbers of pulses to some cells, and return their conductances then, S, ``[cells]``.

        Pulses have the volts (without sign) and the width of `shape`, or else those of the profile.
        """
        with self._grounding():
            return self._writer.pulse(cells, counts, shape)

    def close(self) -> None:
        """See `Chip.close`; the board's pins are grounded.

        Raises:
            BoardError: they could not be; says so.
        """
        if self._closed:
            return
        self._closed = True
        failing = sys.exception()
        try:
            self._end(failing)
        finally:
            traffic = {} if self._line is None else self._line.traffic
            if self._session is not None:
                self._session.journal.close(traffic)
            if self._line is not None:
                self._line.close()

    def _end(self, failing: BaseException | None) -> None:
        """Ground the pins; `failing` is the error that ends the session, if one does."""
        line, board = self._line, self._board
        if line is None or board is None:
            return
        try:
            if failing is None:
                line.end()
            if self._profile.limits.on_exit == "ground":
                board.ground()
        except ChipError as error:
            if self._replayed and failing is None:
                raise
            if not self._replayed:  # which has said already where it differs
                first = "" if failing is None else f"{failing}; and then "
                raise BoardError(
                    f"{first}{line.name}: the board's pins could not be grounded ({error}); switch it off by hand"
                ) from error
        finally:
            self._at_exit.detach()

    def record(self) -> dict[str, Any]:
        """Return what a run's result says of the board: pulses, messages, read-backs."""
        pulses, counted_pulses = self._writer.counts()
        before = Counter[str]() if self._session is None else self._session.journal.traffic
        traffic = {name: before[name] + count for name, count in self._watched.traffic.items()}
        return {
            "identity": self.identity,
            "sessions": 1 if self._session is None else self._session.number,
            "pulses": pulses,
            "board_pulses": counted_pulses,
            **traffic,
            **self._read_backs.summary(),
        }

    @contextmanager
    def _grounding(self) -> Iterator[None]:
        """Ground the pins when something fails; read all cells again when the line had to be opened anew."""
        try:
            yield
            if self._watched.openings != self._openings:
                self._read_back()
        except BaseException:
            with suppress(ChipError):
                if self._board is not None and self._profile.limits.on_exit == "ground":
                    self._board.ground()
            raise

    def _read_back(self) -> None:
        believed = self.conductances
        self._openings = self._watched.openings
        self._writer.read_all()
        self._read_backs.note(self._key, believed, self._writer.found)

    def _applied(self, drives: Sequence[Drive]) -> Sequence[Drive]:
        """Return the drives that the board must be asked for; phases that share their inputs still do."""
        if self._calibration is None:
            return drives
        inputs = {id(drive.inputs): self._calibration.inputs(drive.inputs) for drive in drives}
        return [replace(drive, inputs=inputs[id(drive.inputs)]) for drive in drives]

    def _true(self, volts: Array) -> Array:
        """Return the voltages of outputs, or of nodes, for those that were read, V, ``[samples, columns]``."""
        if self._calibration is None:
            return volts
        nodes = self.capabilities.access is Access.NODES
        return self._calibration.nodes(volts) if nodes else self._calibration.outputs(volts)

    def _read(self, drives: Sequence[Drive]) -> list[Array]:
        """Read outputs or all nodes under each drive, V, ``[samples, columns]``, in messages of as many as fit."""
        samples = len(drives[0].inputs)
        most = self._batch or max(samples, 1)
        parts = [self._checked(_cut(drives, slice(k, k + most)), k) for k in range(0, samples, most)]
        if not parts:
            columns = len(self.circuit.nodes if self.capabilities.access is Access.NODES else self.circuit.outputs)
            return [np.zeros((0, columns)) for _ in drives]
        return [np.concatenate(tables) for tables in zip(*parts, strict=True)]

    def _checked(self, drives: Sequence[Drive], first: int) -> list[Array]:
        """Read until two readings are near enough, if the profile says so; `first` is the first sample's number."""
        timing = self._profile.timing
        before = self._averaged(drives)
        if timing.settle_check is None:
            return before
        for _ in range(timing.retries):
            now = self._averaged(drives)
            moved = [np.abs(a - b) for a, b in zip(now, before, strict=True)]
            if max(float(each.max(initial=0.0)) for each in moved) < timing.settle_check:
                return now
            before = now
        k = int(np.argmax([each.max(initial=0.0) for each in moved]))
        sample, column = np.unravel_index(int(moved[k].argmax()), moved[k].shape)
        nodes = self.capabilities.access is Access.NODES
        where = f"node {self.circuit.nodes[column]}" if nodes else f"output {self.circuit.outputs[column].name}"
        raise ConvergenceError(
            f"{where} still moves by {show(float(moved[k].max()), 'V')} between two readings, and timing.settle_check "
            f"is {show(timing.settle_check, 'V')}; raise timing.settle or timing.retries",
            sample=first + int(sample),
            phase=drives[k].phase,
        )

    def _averaged(self, drives: Sequence[Drive]) -> list[Array]:
        timing, access = self._profile.timing, self.capabilities.access
        readings = [self._opened.measure(drives, access, timing.settle) for _ in range(timing.averages)]
        if len(readings) == 1:
            return readings[0]
        return [np.asarray(np.mean(tables, axis=0)) for tables in zip(*readings, strict=True)]

    @property
    def _opened(self) -> Board:
        """The board.

        Raises:
            ChipError: the chip is closed.
        """
        if self._closed or self._board is None:
            raise ChipError("the chip on the bench is closed")
        return self._board

    @property
    def _watched(self) -> WatchedLine:
        assert self._line is not None  # noqa: S101 - it is since the chip was opened
        return self._line


def _cut(drives: Sequence[Drive], rows: slice) -> list[Drive]:
    """Return some samples of drives; those that share their inputs still do."""
    inputs = {id(drive.inputs): drive.inputs[rows] for drive in drives}
    return [replace(d, inputs=inputs[id(d.inputs)], nudge=_rows_of(d.nudge, rows)) for d in drives]


def _rows_of(nudge: Nudge | None, rows: slice) -> Nudge | None:
    match nudge:
        case Spring(beta, targets):
            return Spring(beta, targets[rows])
        case Injection(current):
            return Injection(current[rows])
        case Clamp(volts):
            return Clamp(volts[rows])
    return None


def _check_names(circuit: Circuit, profile: Profile) -> None:
    """Refuse channels of a profile that are not the circuit's pins, in their order."""
    pins = {
        "inputs": [f"x{k}" for k in range(circuit.channels)],
        "outputs": [output.name for output in circuit.outputs],
        "nodes": list(circuit.nodes),
    }
    for kind, names in pins.items():
        given = getattr(profile.channels, kind)
        if given is not None and list(given) != names:
            wrong = next((name for name in given if name not in names), None) or next(
                (name for name in names if name not in given), names[0]
            )
            raise ExperimentError(
                f"profile {profile.name}: channels.{kind} must name the {kind} of circuit {circuit.name} in their "
                f"order, {listed(names)}; {wrong} does not fit"
            )


def _check_gain(circuit: Circuit, profile: Profile) -> None:
    """Refuse another gain than the circuit's, where the board makes of its inputs only what its profile says."""
    gains = {abs(element.gain) for element in circuit.elements if isinstance(element, InputSource)}
    if profile.identity.protocol != "scpi" and gains != {profile.channels.gain}:
        told = " and ".join(f"{gain:g}" for gain in sorted(gains))
        raise ExperimentError(
            f"profile {profile.name}: channels.gain is {profile.channels.gain:g}, and the input gain of circuit "
            f"{circuit.name} is {told} (network.input_gain)"
        )


def _check_extent(extent: Extent, circuit: Circuit, can: Capabilities, profile: Profile) -> None:
    """Refuse a board of other numbers of pins or cells than the circuit."""
    pairs = {
        "inputs": (extent.inputs, circuit.channels),
        "outputs": (extent.outputs, len(circuit.outputs)),
        "nodes": (extent.nodes if can.access is Access.NODES else None, len(circuit.nodes)),
    }
    if profile.channels.cells is None:
        pairs["cells"] = (extent.cells, sum(array.conductances.size for array in circuit.arrays))
    for kind, (there, wanted) in pairs.items():
        if there is not None and there != wanted:
            raise BoardError(
                f"profile {profile.name}: the board has {there} {kind}, and circuit {circuit.name} has {wanted}; take "
                f"the experiment that is on the board, or say in channels.{kind} which of them it uses"
            )


def _abandon(board: Board, profile: Profile) -> None:
    """Ground a board that nobody has closed, when the process ends."""
    with suppress(ChipError):
        if profile.limits.on_exit == "ground":
            board.ground()
        board.close()


def _not_at_all(seconds: float) -> None:
    """Wait for nothing, in a session that is replayed."""
