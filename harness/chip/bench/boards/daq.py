"""A multifunction device: voltages at its analog outputs, read at its analog inputs; no cells.

Tested against a scripted library with the functions and signatures of nidaqmx 1.7; never against a device.

What it drives and reads is a network of someone else's making, such as one of resistors on a breadboard. It has no
currents, no clamps and no pulses of its own, so that such a chip can be evaluated and compared, and not trained.
"""

import re

import numpy as np
from typing_extensions import override

from harness.chip.bench.board import Extent, Pulses
from harness.chip.bench.boards.calling import CalledBoard, numbers
from harness.chip.bench.boards.driven import DrivenLines
from harness.chip.bench.line import Line
from harness.chip.bench.profile import Profile
from harness.chip.bench.transport.nidaqmx import Wiring
from harness.errors import BoardError
from harness.measurement import Access, Array, Drive, Index

_CHANNEL = re.compile(r"a[io]\d{1,3}")


def wiring(profile: Profile) -> Wiring:
    """Return how a device is set up.

    Where every output has one channel, inputs are differential: each is read against its partner. Where outputs are
    pairs of channels, or nodes are read, all are read against ground.

    Raises:
        BoardError: the profile says more than a device can, or does not name its channels.
    """
    _check(profile)
    outputs, nodes = profile.channels.outputs or {}, profile.channels.nodes or {}
    read = dict.fromkeys([*(channel for output in outputs.values() for channel in output), *nodes.values()])
    single = all(len(output) == 1 for output in outputs.values()) and not nodes
    return Wiring(
        DrivenLines.of(profile.channels).channels, tuple(read), differential=single, v_max=profile.limits.v_max
    )


class MultifunctionDevice(CalledBoard):
    """A multifunction device, asked through `harness.chip.bench.transport.nidaqmx`."""

    def __init__(self, profile: Profile, line: Line) -> None:
        """Take a line that is open.

        Raises:
            BoardError: see `wiring`.
        """
        super().__init__(profile, line)
        self._wiring = wiring(profile)
        self._driven = DrivenLines.of(profile.channels)
        self._outputs = [*(profile.channels.outputs or {}).values()]
        self._nodes = [*(profile.channels.nodes or {}).values()]

    @override
    def extent(self) -> Extent:
        return Extent(self._driven.factors.shape[1], len(self._outputs), len(self._nodes) or None, 0)

    @override
    def conductances(self, cells: Index) -> Array:
        raise self._no_cells()

    @override
    def set_conductances(self, cells: Index, siemens: Array) -> None:
        raise self._no_cells()

    @override
    def pulse(self, pulses: Pulses) -> None:
        raise self._no_cells()

    @override
    def ground(self) -> None:
        self._caller.ask(("ground", []))

    @override
    def _measured(self, drive: Drive, access: Access, settle: float) -> Array:
        if drive.nudge is not None:
            raise BoardError(f"{self._name}: it has nothing that nudges outputs; only free phases can be measured")
        read = self._outputs if access is Access.OUTPUTS else [(node,) for node in self._nodes]
        rows = self._driven.volts(drive.inputs).tolist()
        (answer,) = self._caller.ask(("scan", [rows, settle]), seconds=len(rows) * settle)
        volts = numbers(answer, (len(rows), len(self._wiring.inputs)), f"{self._name}: scan")
        place = {channel: volts[:, k] for k, channel in enumerate(self._wiring.inputs)}
        return np.stack([place[plus] - sum(place[each] for each in minus) for plus, *minus in read], axis=1)

    def _no_cells(self) -> BoardError:
        return BoardError(f"{self._name}: it has no cells, so that nothing can be written; evaluate it, or compare it")


def _check(profile: Profile) -> None:
    """Refuse a profile that says more than a device can."""
    channels = profile.channels
    read = (each for output in (channels.outputs or {}).values() for each in output)
    names = [*DrivenLines.of(channels).channels, *read, *(channels.nodes or {}).values()]
    if profile.can.nudge or (profile.can.access is Access.NODES and not channels.nodes):
        raise BoardError(
            f"profile {profile.name}: a device nudges no outputs (can.nudge), and reads channels.nodes alone"
        )
    if strange := [name for name in names if not _CHANNEL.fullmatch(name)]:
        raise BoardError(f"profile {profile.name}: no channel of a device is {strange[0]!r}; write ao0, ai0 and so on")
