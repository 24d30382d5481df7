"""A multifunction device of National Instruments, over `nidaqmx` (version 1.7) and the driver NI-DAQmx.

Facts of the library that its users fall for, from its sources and documents:

* An output keeps its last voltage when its task is closed, and when the program ends. Closing
  the line therefore writes 0 V first.
* ``read`` and ``write`` give and take one number where a task has one channel, and a list where it has more.
* The library can be imported without the driver; the first task then raises.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import sleep
from typing import Any

from harness.chip.bench.transport.calls import CallLine, Functions
from harness.chip.bench.transport.library import load
from harness.errors import BoardError

_ADDRESS = re.compile(r"DAQ::([\w-]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Wiring:
    """Channels of a device and their ranges."""

    outputs: tuple[str, ...]
    """Analog outputs, such as ``ao0``."""
    inputs: tuple[str, ...]
    """Analog inputs, such as ``ai3``."""
    differential: bool
    """True where each input is read against its partner (``ai3`` − ``ai11``), False where against ground."""
    v_max: float
    """V, of both; the device takes the next range that it has."""


def open_line(address: str, wiring: Wiring) -> CallLine:
    """Open the device of an address, such as ``DAQ::Dev1``.

    A message may call ``identity()``, ``scan(rows, settle)`` and ``ground()``. ``scan`` applies each row of volts,
    waits `settle` (s), and answers a row of the inputs' voltages.

    Raises:
        LineError: there is no such device or channel, or NI-DAQmx itself is not installed.
        BoardError: it is no such address, or nidaqmx is not installed.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise BoardError(f"{address!r} is no address of a multifunction device; write its name: DAQ::Dev1")
    device = found[1]
    library = load("nidaqmx", "daq", device)
    return CallLine(device, lambda: _connect(library, device, wiring))


def _connect(library: Any, device: str, wiring: Wiring) -> Functions:
    system, constants = load("nidaqmx.system", "daq", device), load("nidaqmx.constants", "daq", device)
    terminals = constants.TerminalConfiguration
    with ExitStack() as opened:
        outputs, inputs = (opened.enter_context(library.Task()) for _ in range(2))
        for channel in wiring.outputs:
            outputs.ao_channels.add_ao_voltage_chan(f"{device}/{channel}", min_val=-wiring.v_max, max_val=wiring.v_max)
        for channel in wiring.inputs:
            inputs.ai_channels.add_ai_voltage_chan(
                f"{device}/{channel}",
                terminal_config=terminals.DIFF if wiring.differential else terminals.RSE,
                min_val=-wiring.v_max,
                max_val=wiring.v_max,
            )
        apply = _writer(outputs, len(wiring.outputs))
        apply([0.0] * len(wiring.outputs))
        tasks = opened.pop_all()

    def scan(rows: Sequence[Sequence[float]], settle: float) -> list[list[float]]:
        readings = []
        for row in rows:
            apply(row)
            sleep(settle)
            read = inputs.read()
            readings.append(read if len(wiring.inputs) > 1 else [read])
        return readings

    def ground() -> None:
        apply([0.0] * len(wiring.outputs))

    def close() -> None:
        with tasks:
            ground()

    def identity() -> str:
        found = system.Device(device)
        return f"{found.product_type}, serial number {found.serial_num:X}"

    return {"scan": scan, "ground": ground, "identity": identity, "close": close}


def _writer(task: Any, channels: int) -> Callable[[Sequence[float]], None]:
    def apply(volts: Sequence[float]) -> None:
        if len(volts) != channels:
            raise ValueError(f"{len(volts)} voltages for {channels} outputs")
        task.write(list(volts) if channels > 1 else volts[0], auto_start=True)

    return apply
