"""Libraries of instruments without instruments: the functions that drivers call, as the real ones are called.

`test_libraries.py` holds them against the real packages.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np

BITS = [*range(16), *range(32, 48)]
WORDS = [*range(16, 32), *range(48, 64)]


class Pyarc2:
    """The module pyarc2, with one instrument whose channels lead to a crossbar of 32 × 32 linear cells."""

    LIBARC2_VERSION = "0.6.0"

    def __init__(self, siemens: np.ndarray) -> None:
        self.siemens = siemens
        """``[word, bit]``"""
        self.opened: list[ArcInstrument] = []
        self.connected = [0]
        self.per_volt = 1e-6
        """S by which a pulse of 1 V changes a cell."""
        self.failing: dict[str, BaseException] = {}
        """Functions that raise, each once."""
        self.spoilt: dict[str, Any] = {}
        """Functions that return something else."""

    def find_ids(self) -> list[int]:
        return self.connected

    def Instrument(self, port: int, firmware: str, init: bool = True) -> "ArcInstrument":
        self.opened.append(ArcInstrument(self))
        return self.opened[-1]


class ArcInstrument:
    """Its buffered commands are carried out by ``execute``, and by what returns readings."""

    def __init__(self, library: Pyarc2) -> None:
        self.library = library
        self.buffer: list[tuple[Any, ...]] = []
        self.volts: dict[int, float] = {}
        self.grounded: set[int] = set()
        self.floating = set(range(64))
        self.seen: list[tuple[Any, ...]] = []
        """Commands in the order in which they were carried out."""

    def connect_to_gnd(self, chans: Iterable[int]) -> "ArcInstrument":
        return self._later("connect_to_gnd", list(chans))

    def open_channels(self, channels: Iterable[int]) -> "ArcInstrument":
        return self._later("open_channels", list(channels))

    def config_channels(self, input: list[tuple[int, float]], base: float | None = None) -> "ArcInstrument":  # noqa: A002
        assert all(type(pair) is tuple and type(pair[0]) is int for pair in input)
        return self._later("config_channels", input)

    def delay(self, nanos: int) -> "ArcInstrument":
        assert type(nanos) is int
        assert nanos >= 0
        return self._later("delay", nanos)

    def ground_all(self) -> "ArcInstrument":
        return self._later("ground_all")

    def ground_all_fast(self) -> "ArcInstrument":
        return self._later("ground_all_fast")

    def float_all(self) -> "ArcInstrument":
        return self._later("float_all")

    def pulse_slice_masked(self, chan: int, voltage: float, nanos: int, mask: Iterable[int]) -> "ArcInstrument":
        assert type(nanos) is int
        assert chan in BITS
        return self._later("pulse_slice_masked", chan, voltage, list(mask))

    def execute(self) -> "ArcInstrument":
        self._fail("execute")
        buffered, self.buffer = self.buffer, []
        for name, *arguments in buffered:
            self.seen.append((name, *arguments))
            getattr(self, f"_{name}")(*arguments)
        return self

    def wait(self) -> None:
        self._fail("wait")

    def read_slice_masked(self, chan: int, mask: Iterable[int], vread: float) -> np.ndarray:
        self._fail("read_slice_masked")
        self.execute()
        currents = np.full(32, np.nan, dtype=np.float32)
        for channel in mask:
            currents[WORDS.index(channel)] = -vread * self.library.siemens[WORDS.index(channel), BITS.index(chan)]
        return self.library.spoilt.pop("read_slice_masked", currents)

    def vread_channels(self, chans: Iterable[int], averaging: bool) -> list[float]:
        self._fail("vread_channels")
        self.execute()
        assert not self.grounded, "channels at the hard ground cannot be read"
        read = [self._volts_of(channel) for channel in sorted(chans)]
        return self.library.spoilt.pop("vread_channels", read)

    def _later(self, name: str, *arguments: Any) -> "ArcInstrument":
        self._fail(name)
        self.buffer.append((name, *arguments))
        return self

    def _fail(self, name: str) -> None:
        if error := self.library.failing.pop(name, None):
            raise error

    def _volts_of(self, channel: int) -> float:
        if channel in self.volts:
            return self.volts[channel]
        column = self.library.siemens[:, BITS.index(channel)]
        held = [k for k, word in enumerate(WORDS) if word in self.volts]
        return float(sum(column[k] * self.volts[WORDS[k]] for k in held) / column[held].sum())

    def _connect_to_gnd(self, channels: list[int]) -> None:
        self.grounded = set(channels)

    def _open_channels(self, channels: list[int]) -> None:
        self.volts = {channel: volt for channel, volt in self.volts.items() if channel not in channels}

    def _config_channels(self, pairs: list[tuple[int, float]]) -> None:
        self.volts |= dict(pairs)

    def _delay(self, nanos: int) -> None:
        pass

    def _ground_all(self) -> None:
        self.volts = dict.fromkeys(range(64), 0.0)

    _ground_all_fast = _ground_all

    def _float_all(self) -> None:
        self.volts = {}

    def _pulse_slice_masked(self, chan: int, voltage: float, mask: list[int]) -> None:
        for word in mask:
            self.library.siemens[WORDS.index(word), BITS.index(chan)] += voltage * self.library.per_volt


class DaqError(Exception):
    """As nidaqmx raises for what the device does not have."""


class Nidaqmx:
    """The package nidaqmx with one device, ``Dev1``: its inputs are weighted sums of its outputs."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights
        """Inputs by outputs."""
        self.applied = np.zeros(weights.shape[1])
        self.open_tasks = 0
        self.ranges: set[tuple[float, float]] = set()
        self.terminals: set[str] = set()
        self.spoilt: Any = None
        self.constants = SimpleNamespace(TerminalConfiguration=SimpleNamespace(DIFF="DIFF", RSE="RSE"))
        self.system = SimpleNamespace(Device=lambda name: SimpleNamespace(product_type="USB-6211", serial_num=0x1A2B3C))

    def Task(self, new_task_name: str = "") -> "DaqTask":
        return DaqTask(self)


class DaqTask:
    """A task of either kind."""

    def __init__(self, library: Nidaqmx) -> None:
        self.library = library
        self.channels: list[str] = []
        self.ao_channels = self.ai_channels = self
        library.open_tasks += 1

    def __enter__(self) -> "DaqTask":
        return self

    def __exit__(self, *_: object) -> None:
        self.library.open_tasks -= 1

    def add_ao_voltage_chan(
        self, physical_channel: str, name_to_assign_to_channel: str = "", min_val: float = -10, max_val: float = 10
    ) -> None:
        self._add(physical_channel, "Dev1/ao", self.library.weights.shape[1], (min_val, max_val))

    def add_ai_voltage_chan(
        self,
        physical_channel: str,
        name_to_assign_to_channel: str = "",
        terminal_config: str = "DEFAULT",
        min_val: float = -5,
        max_val: float = 5,
    ) -> None:
        self.library.terminals.add(terminal_config)
        self._add(physical_channel, "Dev1/ai", self.library.weights.shape[0], (min_val, max_val))

    def write(self, data: Any, auto_start: bool = False, timeout: float = 10.0) -> int:
        assert isinstance(data, list) == (len(self.channels) > 1)
        for channel, volts in zip(self.channels, data if isinstance(data, list) else [data], strict=True):
            self.library.applied[int(channel.removeprefix("Dev1/ao"))] = volts
        return 1

    def read(self, number_of_samples_per_channel: object = None, timeout: float = 10.0) -> Any:
        assert number_of_samples_per_channel is None
        volts = self.library.weights @ self.library.applied
        read = [float(volts[int(channel.removeprefix("Dev1/ai"))]) for channel in self.channels]
        return self.library.spoilt or (read if len(read) > 1 else read[0])

    def _add(self, channel: str, kind: str, count: int, span: tuple[float, float]) -> None:
        if channel not in [f"{kind}{k}" for k in range(count)]:
            raise DaqError(f"Physical channel specified does not exist on this device.\nChannel: {channel}")
        self.library.ranges.add(span)
        self.channels.append(channel)
