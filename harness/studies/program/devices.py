"""Devices that a program can write: memristor models, published devices and measured pulses."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from harness.circuit import Circuit, Crossbar, TrainableArray
from harness.devices.arrays.memristors import MemristorArray
from harness.devices.arrays.mesh import Lines
from harness.devices.arrays.schemes import SHARES, Scheme
from harness.devices.curves import SPECIMENS, specimen
from harness.devices.measured import fit
from harness.devices.presets import POTENTIOMETERS, PRESETS, preset
from harness.devices.pulses import WritePulse
from harness.devices.switching import after_pulse
from harness.devices.writing import Device, device_of, measured_device
from harness.errors import CircuitError
from harness.measurement import Array
from harness.netlist.cells.behavioural import state_of
from harness.netlist.cells.memristor import MemristorModel
from harness.studies.program.cells import Cells, LawCells, MemristorCells
from harness.units import show
from harness.wording import did_you_mean


@dataclass(frozen=True)
class Wires:
    """Lines of a crossbar, and whether drivers make up for them."""

    lines: Lines = field(default_factory=Lines)
    compensated: bool = True


@dataclass(frozen=True, eq=False)
class Written:
    """A kind of cell, with one pulse up and one down.

    Raises:
        CircuitError: a pulse is none, or moves a memristor's conductance against its name.
    """

    name: str
    kind: MemristorModel | Device
    """Its equation of state, or its law of pulses."""
    up: WritePulse
    """The pulse that raises the conductance."""
    down: WritePulse

    def __post_init__(self) -> None:
        for way, sense, pulse in (("up", 1, self.up), ("down", -1, self.down)):
            if not (0 < abs(pulse.volts) < np.inf and 0 < pulse.seconds < np.inf):
                told = f"{show(pulse.volts, 'V')} for {show(pulse.seconds, 's')}"
                raise CircuitError(f"device {self.name}: the pulse {way}, {told}, must have volts and last")
            if isinstance(self.kind, Device):
                continue
            middle = np.array([0.5])
            if not sense * (after_pulse(self.kind, pulse.volts, pulse.seconds, middle) - middle)[0] > 0:
                told = f"{show(pulse.volts, 'V')} for {show(pulse.seconds, 's')}"
                raise CircuitError(
                    f"device {self.name}: the pulse {way}, {told}, moves no conductance {way}; turn its sign"
                )

    @property
    def follows_volts(self) -> bool:
        """True where the device's answer to any voltage is known."""
        return not isinstance(self.kind, Device)

    def check_scheme(self, scheme: Scheme, threshold: float | None) -> None:
        """Refuse a scheme whose stress on other cells is not known.

        Args:
            scheme: of line voltages.
            threshold: V below which cells of a law of pulses keep their conductance; None where it is not known.

        Raises:
            CircuitError: names the voltage and the threshold.
        """
        if self.follows_volts:
            if threshold is not None:
                raise CircuitError(f"device {self.name} has an equation of state that says what volts do; no threshold")
            return
        if scheme is Scheme.ALONE:
            return
        seen = SHARES[scheme].selected_lines * max(abs(self.up.volts), abs(self.down.volts))
        what = f"device {self.name} is known by its pulses alone, and what {show(seen, 'V')} over other cells do"
        if threshold is None:
            raise CircuitError(
                f"{what} is not known; give the --threshold below which nothing moves, take a memristor model "
                f"({', '.join(one.name for one in SPECIMENS)}), or --scheme alone for cells behind selectors"
            )
        if seen >= threshold:
            raise CircuitError(
                f"{what}, above its threshold of {show(threshold, 'V')}, is not known; take --scheme third or alone, "
                "or lower pulses"
            )

    def full_scale(self, circuit: Circuit, array: TrainableArray) -> float:
        """Return the S of a network that the device's highest conductance stands for unless somebody says otherwise.

        That is the array's g_max for a law of pulses, as in training, and the network's largest conductance for a
        memristor model, whose range is narrow.

        Raises:
            CircuitError: all cells of the network are open.
        """
        if isinstance(self.kind, Device):
            return array.g_max
        if not (largest := max(float(one.conductances.max()) for one in circuit.arrays)) > 0:
            raise CircuitError(f"circuit {circuit.name}: all its cells are open, and nothing is to be written")
        return largest

    def bounds(self, full_scale: float, g_min: float) -> tuple[float, float]:
        """Return the conductances of a network that cells can have, S; the highest is `full_scale`."""
        if isinstance(self.kind, Device):
            return self.kind.over(g_min, full_scale).bounds
        low, high = self.kind.conductance(np.array([0.0, 1.0])).tolist()
        return full_scale * low / high, full_scale

    def cells(
        self, array: TrainableArray, start: Array | None, full_scale: float, scheme: Scheme, wires: Wires
    ) -> Cells:
        """Return the cells of an array at the beginning of a program.

        Args:
            array: of the network.
            start: their conductances (S), in the array's shape; None for fresh ones, which conduct least.
            full_scale: S of the network that the device's highest conductance stands for.
            scheme: of line voltages.
            wires: of a crossbar.

        Raises:
            CircuitError: the array is no crossbar, and the scheme is for crossbars.
        """
        crossbar = isinstance(array, Crossbar)
        if not crossbar and scheme is not Scheme.ALONE:
            raise CircuitError(f"{array.title} is no crossbar, whose cells share lines; take --scheme alone")
        shape = array.shape if crossbar else (array.conductances.size, 1)
        low, high = self.bounds(full_scale, array.g_min)
        begin = np.full(shape, low) if start is None else np.clip(start.reshape(shape), low, high)
        if isinstance(self.kind, Device):
            return LawCells(self.kind, self.kind.over(array.g_min, full_scale), begin)
        scale = float(self.kind.conductance(1.0)) / full_scale
        states = np.clip(state_of(self.kind, begin * scale), 0.0, 1.0) if start is not None else np.zeros(shape)
        lines = wires.lines if crossbar else Lines()
        memristors = MemristorArray(self.kind, states, scheme, lines, compensated=wires.compensated)
        return MemristorCells(memristors, (low, high), scale)


def device_named(name: str, up: WritePulse | None = None, down: WritePulse | None = None) -> Written:
    """Return a memristor model or a published device by its name, or measured pulses by the path of their CSV file.

    Args:
        name: such as ``stanford``, ``EpiRAM`` or ``own.csv``.
        up: pulse instead of the device's own.
        down: the same downwards.

    Raises:
        CircuitError: there is no such device, or its pulses are not known and not given.
        DataError: the file is wrong.
    """
    models = {one.name for one in SPECIMENS}
    if name.strip().casefold() in models:
        found = specimen(name)
        if not isinstance(found.model, MemristorModel):
            raise CircuitError(f"device {found.name}: the memristor model has no state for a conductance")
        return Written(found.name, found.model, up or found.up, down or found.down)
    if name.endswith(".csv"):
        return of_law(measured_device(Path(name).stem, fit(Path(name))), up, down)
    known = [*(one.name for one in PRESETS), *(one.name for one in POTENTIOMETERS)]
    if name.strip().casefold() not in (one.casefold() for one in known):
        raise CircuitError(f"no device {name!r}{did_you_mean(name, [*models, *known], or_list=True)}")
    return of_law(device_of(preset(name)), up, down)


def of_law(device: Device, up: WritePulse | None = None, down: WritePulse | None = None) -> Written:
    """Return a device that is known by a law of pulses, with its own pulses unless others are given.

    Raises:
        CircuitError: its pulses are not known, and not given.
    """
    up, down = up or device.up, down or device.down
    if up is None or down is None:
        way = "up" if up is None else "down"
        raise CircuitError(f"device {device.name}: its pulse {way} is not known; give it, such as --{way} 1V,1us")
    return Written(device.name, replace(device, up=up, down=down), up, down)
