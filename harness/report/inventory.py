"""The devices of a circuit, as rows of a table."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from harness.circuit import Circuit, Convolution, Crossbar, Element, InputSource, Resistor, TrainableArray
from harness.circuit.elements import Modelled, Stage
from harness.circuit.primitives import Model
from harness.devices import CellLaw
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
    kinds: dict[type[Model], Counter[Model]] = {}
    for device in (e for e in circuit.elements if isinstance(e, Modelled)):
        kinds.setdefault(type(device.model), Counter())[device.model] += 1
    for models in kinds.values():
        rows += _device_rows(models)
    return rows + _stages_and_sources(circuit)


def _device_rows(models: Counter[Model]) -> list[DeviceRow]:
    """A row for each model, or one for all where nearly every device has parameters of its own."""
    if len(models) <= 4:
        return [_model_row(model, count) for model, count in models.items()]
    (first, unit), *others = ((name, unit) for name, (_, unit) in next(iter(models)).figures.items())
    noun = next(iter(models)).noun
    values = {name: [model.figures[name][0] for model in models] for name, _ in ((first, unit), *others)}
    others_told = (f"{name} = {min(values[name]):.3g} … {max(values[name]):.3g}" for name, _ in others)
    note = ", ".join((f"{len(models)} models", *others_told))
    return [DeviceRow(noun, models.total(), f"{first} = {span(values[first], unit)}", note)]


def _array_row(array: TrainableArray) -> DeviceRow:
    g = array.conductances
    closed = g[g > 0]
    ohms = f"{show(1 / closed.max(), 'Ω')} … {show(1 / closed.min(), 'Ω')}" if closed.size else "all open"
    opened = f", {g.size - closed.size:,} open" if closed.size < g.size else ""
    note = f"{' '.join(extent(array))}; range {show(array.g_min, 'S')} … {show(array.g_max, 'S')}; {ohms}{opened}"
    return DeviceRow(f"memristor, {array.title}", g.size, span(g.ravel().tolist(), "S"), note + _curve(array.law))


def extent(array: TrainableArray) -> tuple[str, str]:
    """Return the shape of an array, and what its numbers count."""
    match array:
        case Crossbar():
            sizes: tuple[int, ...] = array.shape
            noun = "word × bit lines"
        case Convolution():
            sizes, noun = array.grid, "positions × word × bit lines"
        case _:
            sizes, noun = array.shape, "edges"
    return " × ".join(f"{n:,}" for n in sizes), noun


def _curve(law: CellLaw) -> str:
    return "" if law.linear else f"; current {law.curve} in voltage, V₀ = {show(law.volts, 'V')}"


def _model_row(model: Model, count: int) -> DeviceRow:
    """With the first of the model's figures as the value, and the others in the note."""
    (name, (value, unit)), *others = model.figures.items()
    rest = (f"{other} = {show(figure, own) if own else f'{figure:g}'}" for other, (figure, own) in others)
    return DeviceRow(model.noun, count, f"{name} = {show(value, unit)}", ", ".join((f"model {model.name}", *rest)))


def _stages_and_sources(circuit: Circuit) -> list[DeviceRow]:
    kinds: dict[type[Element], list[Any]] = {kind: [] for kind in get_args(Element)}
    for element in circuit.elements:
        kinds[type(element)].append(element)
    rows = []
    for kind, found in kinds.items():
        if found and not issubclass(kind, Modelled | TrainableArray):
            attribute, unit = kind.figure
            values = [getattr(element, attribute) for element in found]
            rows.append(DeviceRow(kind.noun, len(found), _values(values, unit), _note(found)))
    return rows


def _values(values: list[float], unit: str) -> str:
    different = sorted(set(np.round(values, 12).tolist()))
    few = ", ".join(show(v, unit) for v in different) if len(different) <= 4 else span(values, unit)
    return few.replace("-", "−")


def _note(found: Sequence[Any]) -> str:
    if isinstance(found[0], InputSource):
        return f"{1 + max(e.channel for e in found):,} channels; gain of each pin"
    if isinstance(found[0], Stage):
        offsets = [e.offset for e in found]
        return "gain" + (f"; offsets {span(offsets, 'V')}" if any(offsets) else "")
    return span((1 / e.conductance for e in found), "Ω") if isinstance(found[0], Resistor) else ""
