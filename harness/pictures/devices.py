"""Pictures of devices: current against voltage under a sine, conductance against pulses, measured curves and fits."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from harness.devices.curves import Specimen, hysteresis, potentiation_and_depression, switched
from harness.devices.measured import Curve, PulseFit
from harness.devices.presets import Potentiometer, Preset
from harness.devices.pulses import PulseResponse, spread
from harness.measurement import Array
from harness.pictures.style import Form, as_bytes, literal, own_style
from harness.units import show

CELLS = 400
"""Drawn for a band, which holds the middle 68 % of them."""
_BAND = (16, 84)
_READINGS = 200  # at most, of a band
_WAYS = (("potentiation", "C0"), ("depression", "C1"))


@own_style()
def draw_memristor(shown: Specimen, *, format: Form = "png") -> bytes:  # noqa: A002
    """Draw current against voltage at two frequencies, and the conductance pulse by pulse."""
    figure, (loops, pulses) = _panels(2)
    for hertz in shown.hertz:
        loop = hysteresis(shown.model, shown.amplitude, hertz, shown.start)
        loops.plot(loop.volts, loop.amperes, label=show(hertz, "Hz"))
    loops.set(xlabel="voltage (V)", ylabel="current", title=f"{shown.name}: {shown.amplitude:g} V sine")
    loops.yaxis.set_major_formatter(EngFormatter("A"))
    for (name, colour), levels, pulse in zip(_WAYS, switched(shown), (shown.up, shown.down), strict=True):
        label = f"{name}: {show(pulse.volts, 'V')} for {show(pulse.seconds, 's')}"
        pulses.plot(np.arange(levels.size), levels, ".-", color=colour, label=label)
    _finish(loops)
    _finish(pulses, "pulses", "conductance", "conductance pulse by pulse")
    return as_bytes(figure, format)


@own_style()
def draw_published(device: Preset | Potentiometer, *, format: Form = "png") -> bytes:  # noqa: A002
    """Draw the conductance pulse by pulse, with bands for the scatter that was published."""
    figure, (axes,) = _panels(1)
    if isinstance(device, Potentiometer):
        law = device.response()
        _draw_curves(axes, {name: levels for (name, _), levels in zip(_WAYS, (law.up, law.down), strict=True)})
        _finish(axes, "positions", "conductance", device.name)
        return as_bytes(figure, format)
    known = device.g_min is not None and device.g_max is not None
    response = device.response() if known else device.response(0.0, 1.0)
    counts = round(device.pulses_up), round(device.pulses_down)
    curves = potentiation_and_depression(response, counts)
    _draw_curves(axes, {name: levels[:, 0] for (name, _), levels in zip(_WAYS, curves, strict=True)})
    _draw_band(axes, response, counts, device.device_to_device, 0.0, "device to device", 0.15)
    _draw_band(axes, response, counts, 0.0, device.cycle_to_cycle, "cycle to cycle", 0.3)
    title = f"{device.name} ({device.device_type}), {device.paper}, {device.year}"
    _finish(axes, "pulses", "conductance" if known else "conductance in its range", title, siemens=known)
    return as_bytes(figure, format)


@own_style()
def draw_measured(curves: Sequence[Curve], found: PulseFit, name: str, *, format: Form = "png") -> bytes:  # noqa: A002
    """Draw measured curves as dots, and the fitted law over the same pulses as lines."""
    figure, (axes,) = _panels(1)
    law = found.response
    for (way, colour), up, bound, sign in zip(_WAYS, (True, False), law.bounds, (1, -1), strict=True):
        runs = [curve for curve in curves if curve.up is up]
        for index, curve in enumerate(runs):
            label = f"{way}, measured" if index == 0 else None
            axes.plot(curve.pulses, curve.conductances, ".", color=colour, alpha=0.6, label=label)
        counts = np.arange(int(max(curve.pulses[-1] for curve in runs)) + 1)
        axes.plot(counts, law.pulse(np.full(counts.size, bound), sign * counts), color=colour, label=f"{way}, fit")
    _finish(axes, "pulses", "conductance", f"{literal(name)}: rms error {100 * found.rms_error:.2g} % of the range")
    return as_bytes(figure, format)


def _panels(number: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(6 * number, 4.5), layout="constrained")
    return figure, list(figure.subplots(1, number, squeeze=False)[0])


def _draw_curves(axes: Axes, curves: dict[str, Array]) -> None:
    for (name, colour), levels in zip(_WAYS, curves.values(), strict=True):
        axes.plot(np.arange(levels.size), levels, color=colour, label=name)


def _draw_band(
    axes: Axes,
    response: PulseResponse,
    counts: tuple[int, int],
    device: float | None,
    cycle: float | None,
    name: str,
    shade: float,
) -> None:
    """Draw the band of the middle 68 % of cells, unless the strength is 0 or was not published."""
    strength = (device or 0.0) + (cycle or 0.0)
    if not strength:
        return
    devices, cycles = np.random.default_rng(0).spawn(2)
    scattered = spread(
        response, (CELLS,), device_to_device=device or 0.0, cycle_to_cycle=cycle or 0.0, devices=devices, cycles=cycles
    )
    label = f"{name}, σ {100 * strength:.2g} % of {'a step' if device else 'the range'}"
    every = -(-max(counts) // _READINGS)
    both = potentiation_and_depression(scattered, counts, CELLS, every)
    for (_, colour), levels in zip(_WAYS, both, strict=True):
        low, high = np.percentile(levels, _BAND, axis=1)
        axes.fill_between(every * np.arange(len(low)), low, high, color=colour, alpha=shade, linewidth=0, label=label)
        label = "_"


def _finish(axes: Axes, x: str = "", y: str = "", title: str = "", *, siemens: bool = True) -> None:
    if x:
        axes.set(xlabel=x, ylabel=y)
        axes.set_title(title, fontsize=10)
        if siemens:
            axes.yaxis.set_major_formatter(EngFormatter("S"))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
