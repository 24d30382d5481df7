"""The devices of a circuit, as rows of a table."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.circuit import (
    BidirectionalAmplifier,
    Buffer,
    Circuit,
    CurrentSource,
    Diode,
    Gyrator,
    InputSource,
    Resistor,
    TrainableArray,
    Transformer,
    VoltageSource,
)
from harness.devices import CellLaw, DiodeModel
from harness.units import show


@dataclass(frozen=True)
class DeviceRow:
    """Devices of one kind."""

    kind: str
    count: int
    values: str
    """From the smallest to the largest, with units."""
    note: str = ""


@dataclass(frozen=True)
class CellCount:
    """The number of an array's cells, and of those at a bound of their range."""

    array: str
    cells: int
    at_min: int
    at_max: int
    g_min: float
    """S."""
    g_max: float
    """S."""

    @property
    def bound_share(self) -> float:
        """The share of cells at either bound."""
        return (self.at_min + self.at_max) / self.cells


def cell_count(array: TrainableArray) -> CellCount:
    """Count cells that stand exactly at a bound of their range."""
    g = array.conductances
    return CellCount(
        array.name, g.size, int((g <= array.g_min).sum()), int((g >= array.g_max).sum()), array.g_min, array.g_max
    )


def volts(value: float) -> str:
    """Return volts with their prefix, and with a minus sign instead of a hyphen."""
    return show(value, "V").replace("-", "−")


def span(values: Iterable[float], unit: str) -> str:
    """Return the smallest and the largest of some values, or the only one."""
    found = list(values)
    low, high = show(min(found), unit), show(max(found), unit)
    return low if low == high else f"{low} … {high}"


def device_rows(circuit: Circuit) -> list[DeviceRow]:
    """Return one row for each array and diode model, and for each kind of other elements."""
    rows = [_array_row(array) for array in circuit.arrays]
    diodes = [element for element in circuit.elements if isinstance(element, Diode)]
    models = Counter(diode.model for diode in diodes)
    if len(models) <= 4:
        rows += [_diode_row(model, count) for model, count in models.items()]
    else:  # every diode with parameters of its own
        emissions = [model.emission for model in models]
        note = f"{len(models)} models, N = {min(emissions):.3g} … {max(emissions):.3g}"
        currents = span((model.saturation_current for model in models), "A")
        rows.append(DeviceRow("diode", len(diodes), f"I_s = {currents}", note))
    return rows + _stages_and_sources(circuit)


def _array_row(array: TrainableArray) -> DeviceRow:
    g = array.conductances
    closed = g[g > 0]
    ohms = f"{show(1 / closed.max(), 'Ω')} … {show(1 / closed.min(), 'Ω')}" if closed.size else "all open"
    opened = f", {g.size - closed.size:,} open" if closed.size < g.size else ""
    size = " × ".join(f"{n:,}" for n in array.shape)
    noun = "word × bit lines" if g.ndim == 2 else "edges"
    note = f"{size} {noun}; range {show(array.g_min, 'S')} … {show(array.g_max, 'S')}; {ohms}{opened}"
    return DeviceRow(f"memristor, {array.title}", g.size, span(g.ravel().tolist(), "S"), note + _curve(array.law))


def _curve(law: CellLaw) -> str:
    return "" if law.linear else f"; current {law.curve} in voltage, V₀ = {show(law.volts, 'V')}"


def _diode_row(model: DiodeModel, count: int) -> DeviceRow:
    return DeviceRow(
        "diode", count, f"I_s = {show(model.saturation_current, 'A')}", f"model {model.name}, N = {model.emission:g}"
    )


_KINDS: tuple[tuple[type, str, str, Callable[..., float]], ...] = (
    (Resistor, "resistor", "S", lambda e: e.conductance),
    (BidirectionalAmplifier, "bidirectional amplifier", "V/V", lambda e: e.gain),
    (Buffer, "buffer", "V/V", lambda e: e.gain),
    (Gyrator, "gyrator", "S", lambda e: e.conductance),
    (Transformer, "transformer", "V/V", lambda e: e.ratio),
    (InputSource, "input pin", "V/V", lambda e: e.gain),
    (VoltageSource, "rail", "V", lambda e: e.volts),
    (CurrentSource, "current source", "A", lambda e: e.amperes),
)


def _stages_and_sources(circuit: Circuit) -> list[DeviceRow]:
    rows = []
    for kind, name, unit, value in _KINDS:
        found = [element for element in circuit.elements if isinstance(element, kind)]
        if not found:
            continue
        values = [value(element) for element in found]
        rows.append(DeviceRow(name, len(found), _values(values, unit), _note(found)))
    return rows


def _values(values: list[float], unit: str) -> str:
    different = sorted(set(np.round(values, 12).tolist()))
    few = ", ".join(show(v, unit) for v in different) if len(different) <= 4 else span(values, unit)
    return few.replace("-", "−")


def _note(found: Sequence[object]) -> str:
    match found[0]:
        case InputSource():
            return f"{1 + max(e.channel for e in found if isinstance(e, InputSource)):,} channels; gain of each pin"
        case BidirectionalAmplifier() | Buffer():
            offsets = [e.offset for e in found if isinstance(e, (BidirectionalAmplifier, Buffer))]
            return "gain" + (f"; offsets {span(offsets, 'V')}" if any(offsets) else "")
        case Resistor():
            return f"{span((1 / e.conductance for e in found if isinstance(e, Resistor)), 'Ω')}"
    return ""
