"""ArC TWO: 64 channels that drive and read the word and bit lines of a crossbar of up to 32 × 32 cells.

Tested against a scripted library with the functions and signatures of pyarc2 0.6; never against the instrument.

The instrument can hold any channel at a voltage, let it float, read its voltage, and read the current into channels
that it holds at 0 V. So it serves networks whose inputs, outputs and readable nodes are wired to its channels: free
phases and clamped outputs. It has no way to inject currents or to be a spring (its one current source is shared by all
channels and `pyarc2` does not offer it), and no way to bring a cell to a conductance by itself.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from typing_extensions import override

from harness.chip.bench.board import Extent, Pulses
from harness.chip.bench.boards.calling import Call, CalledBoard, FailedError, numbers
from harness.chip.bench.boards.driven import DrivenLines, check_lines
from harness.chip.bench.boards.pins import Pins
from harness.chip.bench.line import LateError, Line
from harness.chip.bench.profile import Profile, WriteMode
from harness.errors import BoardError
from harness.measurement import Access, Array, Clamp, Drive, Index
from harness.units import show

WORDS = (*range(16, 32), *range(48, 64))
"""Channels of the word lines 0 … 31, in the order in which slices are read."""
BITS = (*range(16), *range(32, 48))
"""Channels of the bit lines 0 … 31."""
_ALL = list(range(64))
_SHORTEST_PULSE = 40e-9
"""s; shorter ones are lengthened to this by the instrument without a word (libarc2, ``pulse_slice_fast_open``)."""
_TOO_LONG = 0.5
"""s from which the instrument leaves the voltage on, so that several pulses would be one long one (libarc2)."""
_HIGHEST_PULSE = 20.0
"""V; half of it is on either line, and a channel has ±10 V."""
_OFF_GROUND: Call = ("connect_to_gnd", [[]])
"""All channels off the hard ground: the list is that of the channels at it."""
_GROUND: tuple[Call, ...] = (
    ("ground_all_fast", []),
    ("float_all", []),
    ("connect_to_gnd", [_ALL]),
    ("execute", []),
    ("wait", []),
)
"""All sources at 0 V, all channels off them and at the hard ground (as ``finalise_operation(IdleMode.HardGnd)``)."""
Shape = tuple[int, float, float, int]
"""Bit line (channel), V, s and number of pulses."""


class ArcTwo(CalledBoard):
    """An ArC TWO, asked through the functions of `pyarc2`."""

    def __init__(self, profile: Profile, line: Line) -> None:
        """Take a line that is open.

        Raises:
            BoardError: the profile says more than the instrument can.
            ExperimentError: it does not say which channels are inputs and outputs, or one that does not exist.
        """
        _check(profile)
        super().__init__(profile, line)
        channels = len(_ALL)
        self._pins = Pins.of(profile.channels, Extent(channels, channels, channels))
        self._driven = DrivenLines.of(profile.channels)
        check_lines(self._driven, channels)
        self._has_nodes = profile.channels.nodes is not None
        self._read_volts = profile.write.read_v or 0.0

    @override
    def extent(self) -> Extent:
        return replace(self._pins.extent, nodes=len(self._pins.nodes) if self._has_nodes else None)

    @override
    def conductances(self, cells: Index) -> Array:
        channels = np.array(self._channels(cells), dtype=np.intp).reshape(-1, 2)
        slices = {int(bit): np.flatnonzero(channels[:, 1] == bit) for bit in np.unique(channels[:, 1])}
        calls = [
            ("read_slice_masked", [bit, channels[found, 0].tolist(), self._read_volts]) for bit, found in slices.items()
        ]
        _, *results = self._caller.ask(_OFF_GROUND, *calls)
        self._take_off()
        read = np.zeros(len(cells))
        for place, currents in zip(slices.values(), results, strict=True):
            # the answer has all 32 word lines in the order of their channels, and no numbers at those not asked for
            if not isinstance(currents, list) or len(currents) != len(WORDS):
                raise BoardError(f"{self._name}: read_slice_masked answered no {len(WORDS)} currents")
            asked = [currents[word] for word in cells[place, 0]]
            amperes = numbers(asked, (len(place),), f"{self._name}: read_slice_masked")
            # its sign is that of the current into the channel; the maker's own program takes the magnitude, too
            read[place] = np.abs(amperes) / self._read_volts
        return read

    @override
    def set_conductances(self, cells: Index, siemens: Array) -> None:
        raise BoardError(f"{self._name}: it has no means of its own to set conductances; take write.mode = 'verify'")

    @override
    def pulse(self, pulses: Pulses) -> None:
        calls = [_OFF_GROUND]
        for (bit, volts, seconds, count), words in _slices(self._channels(pulses.cells), pulses):
            calls += [("pulse_slice_masked", [bit, volts, self._nanoseconds(volts, seconds), words])] * count
        time = float(2 * pulses.counts @ pulses.seconds)
        ends: tuple[Call, ...] = (("ground_all", []), ("execute", []), ("wait", []))
        try:
            self._caller.ask_once(*calls, *ends, seconds=time)
        except FailedError as error:
            self._caller.line.reopen()  # pulses that are still in the buffer must not come with the next execute
            if len(error.before) > len(calls):
                raise LateError(f"{error}; some of the pulses may have been applied") from error
            raise

    @override
    def ground(self) -> None:
        self._caller.ask(*_GROUND)

    @override
    def _measured(self, drive: Drive, access: Access, settle: float) -> Array:
        channels = self._to_read(access)
        held, volts = self._held(drive)
        calls = [_OFF_GROUND, ("open_channels", [_ALL])]
        for row in volts.tolist():
            calls += [
                ("config_channels", [list(zip(held, row, strict=True)), None]),
                ("delay", [round(settle * 1e9)]),
                ("execute", []),
                ("wait", []),
                ("vread_channels", [channels, True]),
            ]
        results = self._caller.ask(*calls, seconds=len(volts) * settle)
        self._take_off()
        rows = [each for (name, _), each in zip(calls, results, strict=True) if name == "vread_channels"]
        read = np.zeros((len(volts), len(_ALL)))
        # they are answered in ascending order, whatever was asked
        read[:, channels] = numbers(rows, (len(volts), len(channels)), f"{self._name}: vread_channels")
        return self._pins.outputs_of(read) if access is Access.OUTPUTS else self._pins.nodes_of(read)

    def _to_read(self, access: Access) -> list[int]:
        """Return the channels to read, in ascending order."""
        if access is Access.NODES:
            return sorted({*self._pins.nodes.tolist()})
        return sorted({*self._pins.plus.tolist(), *self._pins.minus.tolist()} - {-1})

    def _held(self, drive: Drive) -> tuple[list[int], Array]:
        """Return the channels that are held at voltages, and V, ``[samples, channels]``."""
        lines, volts = [int(channel) for channel in self._driven.channels], self._driven.volts(drive.inputs)
        if drive.nudge is None:
            return lines, volts
        if not isinstance(drive.nudge, Clamp):
            raise BoardError(f"{self._name}: it can clamp outputs, and nudge them in no other way")
        return lines + self._pins.plus.tolist(), np.concatenate([volts, drive.nudge.volts], axis=1)

    def _take_off(self) -> None:
        """Take all voltages off the cells, which drift under them."""
        self._caller.ask(("ground_all", []), ("execute", []), ("wait", []))

    def _channels(self, cells: Index) -> list[tuple[int, int]]:
        beyond = [(int(w), int(b)) for w, b in cells if not (0 <= w < len(WORDS) and 0 <= b < len(BITS))]
        if beyond:
            raise BoardError(
                f"{self._name}: there is no cell at word {beyond[0][0]}, bit {beyond[0][1]}; it has 32 × 32"
            )
        return [(WORDS[w], BITS[b]) for w, b in cells]

    def _nanoseconds(self, volts: float, seconds: float) -> int:
        if not (abs(volts) <= _HIGHEST_PULSE and _SHORTEST_PULSE <= seconds < _TOO_LONG):
            raise BoardError(
                f"{self._name}: a pulse of {show(volts, 'V')} and {show(seconds, 's')} is beyond what it can: up to "
                f"{show(_HIGHEST_PULSE, 'V')}, from {show(_SHORTEST_PULSE, 's')} to {show(_TOO_LONG, 's')}"
            )
        return round(seconds * 1e9)


def _check(profile: Profile) -> None:
    """Refuse a profile that says more than the instrument can."""
    channels = profile.channels
    wrong = {
        "can.nudge may have clamp alone": set(profile.can.nudge) > {"clamp"} or {*profile.can.nudge} - {"clamp"},
        "can.nudge = 'clamp' needs outputs of one channel": "clamp" in profile.can.nudge
        and any(len(output) > 1 for output in (channels.outputs or {}).values()),
        "can.access = 'nodes' needs channels.nodes": profile.can.access is Access.NODES and channels.nodes is None,
        "write.mode = 'set' needs means that it does not have; take 'verify'": profile.write.mode is WriteMode.SET,
        "write.read_v is missing, the voltage at which cells are read": profile.write.read_v is None,
    }
    for told in (words for words, found in wrong.items() if found):
        raise BoardError(f"profile {profile.name}, an ArC TWO: {told}")


def _slices(channels: Sequence[tuple[int, int]], pulses: Pulses) -> list[tuple[Shape, list[int]]]:
    """Return pulses of the same shape on one bit line together, in their order, each with its word lines."""
    slices = list[tuple[Shape, list[int]]]()
    rows = zip(channels, pulses.volts.tolist(), pulses.seconds.tolist(), pulses.counts.tolist(), strict=True)
    for (word, bit), *shape in rows:
        if slices and slices[-1][0] == (bit, *shape) and word not in slices[-1][1]:
            slices[-1][1].append(word)
        else:
            slices.append(((bit, *shape), [word]))
    return slices
