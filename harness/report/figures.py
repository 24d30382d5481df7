"""Figures of the report as inline SVG, in the page's own colours; equal figures, equal bytes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib import rc_params_from_file
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator

from harness.circuit import Convolution, Crossbar, TrainableArray
from harness.measurement import Array
from harness.pictures.runs import cut_above, cut_below
from harness.pictures.style import as_bytes, own_style
from harness.report.inventory import span
from harness.report.survey import Lines, NodeGroup, Survey
from harness.report.svg import FAINT, INK, SERIES, inlined
from harness.studies.transient import SettlingResult
from harness.training.tables import EpochRow, StepRow
from harness.units import show

_SIZE = (5.8, 3.4)  # inches at 72 points: as wide as a column of the page
_PIXELS = 1600  # of a heat map along either side
_STYLE = rc_params_from_file(str(resources.files("harness.report") / "figures.mplstyle"), use_default_template=False)
_NOTE: Any = {"color": INK, "fontsize": 9.5}
"""Style of a note above an axis that was cut."""


@contextmanager
def _figure(name: str, size: tuple[float, float]) -> Iterator[Figure]:
    with own_style(_STYLE, salt=name):
        yield Figure(figsize=size, layout="constrained")


@contextmanager
def _axes(name: str, size: tuple[float, float] = _SIZE) -> Iterator[tuple[Figure, Axes]]:
    with _figure(name, size) as figure:
        yield figure, figure.subplots()


def _ticks(axis: Axis, unit: str = "", most: int = 10, *, whole: bool = False) -> None:
    """Put at most so many ticks on an axis, with a unit's prefixes, or at whole numbers."""
    if unit:
        axis.set_major_formatter(EngFormatter(unit))
    axis.set_major_locator(MaxNLocator(most, integer=whole))


def _svg(figure: Figure, name: str, title: str, description: str) -> str:
    return inlined(as_bytes(figure, "svg").decode(), name=name, title=title, description=description)


def heat_map(array: Crossbar | Convolution, number: int) -> tuple[str, int]:
    """Draw an array's conductances, word lines down and bit lines across; return how many cells a pixel averages.

    Of tied kernels, the mean over their positions is drawn.
    """
    cells = array.conductances if isinstance(array, Crossbar) else array.table
    g, factor = shrunk(cells, _PIXELS)
    words, bits = cells.shape
    with _axes(f"heat{number}", (5.8, 4.4)) as (figure, axes):
        axes.grid(visible=False)
        image = axes.imshow(
            g, aspect="auto", interpolation="none", cmap="cividis", extent=(-0.5, bits - 0.5, words - 0.5, -0.5)
        )
        for axis in (axes.xaxis, axes.yaxis):
            _ticks(axis, whole=True)
        axes.set(xlabel="bit line", ylabel="word line", title=f"{array.name}: {words:,} × {bits:,}")
        bar = figure.colorbar(image, ax=axes, format=EngFormatter("S"), pad=0.02)
        bar.outline.set_visible(False)
        told = f"Heat map of {g.size:,} pixels; conductances {span(cells.ravel().tolist(), 'S')}."
        return _svg(figure, f"heat{number}", f"Conductances of {array.title}", told), factor


def shrunk(values: Array, most: int) -> tuple[Array, int]:
    """Average cells into at most `most` pixels along either side; return the picture and the cells of a pixel."""
    rows, columns = (-(-size // most) for size in values.shape)
    if rows == columns == 1:
        return values, 1
    starts = [np.arange(0, size, step) for size, step in zip(values.shape, (rows, columns), strict=True)]
    sums, counts = values, np.ones_like(values)
    for axis, at in enumerate(starts):
        sums, counts = np.add.reduceat(sums, at, axis=axis), np.add.reduceat(counts, at, axis=axis)
    return sums / counts, rows * columns


def histogram(array: TrainableArray, number: int) -> str:
    """Draw how many cells have which conductance; open cells are counted in the title."""
    every = array.conductances.ravel()
    g = every[every > 0]
    opened = f", {every.size - g.size:,} more are open" if g.size < every.size else ""
    with _axes(f"histogram{number}", (5.8, 3.2)) as (figure, axes):
        axes.hist(g, bins=40, color=SERIES[0])
        _ticks(axes.xaxis, "S", 6)
        _ticks(axes.yaxis, most=5, whole=True)
        noun = "cells" if isinstance(array, Crossbar | Convolution) else "edges"
        axes.set(xlabel="conductance", ylabel=noun, title=f"{array.name}: {g.size:,} {noun}{opened}")
        told = f"Median {show(float(np.median(every)), 'S')}, {span(every.tolist(), 'S')}."
        return _svg(figure, f"histogram{number}", f"Histogram of conductances of {array.title}", told)


def voltage_ranges(groups: Sequence[NodeGroup], supply: float, name: str) -> str:
    """Draw range, middle nine tenths and median of each group of nodes over all samples, against ±supply (V)."""
    with _axes("voltages", (6.4, 1.0 + 0.36 * len(groups))) as (figure, axes):
        for k, group in enumerate(groups):
            low, early, middle, late, high = np.percentile(group.volts, [0, 5, 50, 95, 100])
            axes.plot([low, high], [k, k], color=SERIES[0], linewidth=2, solid_capstyle="round")
            axes.plot([early, late], [k, k], color=SERIES[0], linewidth=7, alpha=0.45, solid_capstyle="butt")
            axes.plot([middle], [k], "o", color=INK, markersize=5)
        for side in (-supply, supply):
            axes.axvline(side, color=SERIES[1], linestyle="--", linewidth=1.3)
        axes.set_yticks(range(len(groups)), labels=[group.title for group in groups])
        axes.set(ylim=(len(groups) - 0.5, -0.6))
        _ticks(axes.xaxis, "V", 7)
        axes.grid(visible=False, axis="y")
        axes.set(xlabel=f"node voltage; dashed: ± {name}, {show(supply, 'V')}")
        told = "; ".join(f"{g.title} {show(g.lowest[0], 'V')} to {show(g.highest[0], 'V')}" for g in groups)
        return _svg(figure, "voltages", f"Node voltages against the {name}", told)


def line_currents(parts: Sequence[Lines], limit: float | None) -> str:
    """Draw the largest current of every line of an array, and a limit (A) that is near enough to be seen."""
    array = parts[0].array
    with _figure(f"lines-{array}", (5.8, 1.9 * len(parts) + 0.3)) as figure:
        panels = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
        for axes, lines, colour in zip(panels, parts, SERIES[::2], strict=False):
            _steps(axes, lines, colour)
            if limit is not None and limit <= 3 * lines.worst[0]:
                axes.axhline(limit, color=SERIES[1], linestyle="--", linewidth=1.3)
            axes.set(xlabel=lines.kind, ylim=(0, None))
        panels[0].set_title(f"{array}: largest current of each {'line' if len(parts) > 1 else parts[0].kind}")
        told = "; ".join(f"largest {show(p.worst[0], 'A')} on {p.kind} {p.worst[1]}" for p in parts)
        return _svg(figure, f"lines{array}", f"Line currents of {array}", told)


def _steps(axes: Axes, lines: Lines, colour: str) -> None:
    starts = np.arange(0, len(lines.names), -(-len(lines.names) // _PIXELS))  # of very many, the largest of a few
    edges = np.append(starts, len(lines.names)) - 0.5
    axes.stairs(np.maximum.reduceat(lines.along, starts), edges, fill=True, color=colour, alpha=0.35, linewidth=0)
    axes.stairs(np.maximum.reduceat(lines.end, starts), edges, color=colour, linewidth=1.2)
    _ticks(axes.yaxis, "A", 4)
    _ticks(axes.xaxis, whole=True)
    axes.grid(visible=False, axis="x")


def power_histogram(found: Survey) -> str:
    """Draw how many samples take how much power."""
    with _axes("power", (5.8, 3.2)) as (figure, axes):
        axes.hist(found.power, bins=min(40, max(5, found.samples // 4)), color=SERIES[2])
        axes.axvline(float(found.power.mean()), color=INK, linestyle="--", linewidth=1.2)
        _ticks(axes.xaxis, "W", 6)
        _ticks(axes.yaxis, whole=True)
        axes.set(xlabel="static power; dashed: mean", ylabel="samples")
        told = f"Mean {show(float(found.power.mean()), 'W')}, {span(found.power.tolist(), 'W')}."
        return _svg(figure, "power", "Histogram of static power", told)


def training(steps: Sequence[StepRow], epochs: Sequence[EpochRow], score: str) -> list[str]:
    """Draw loss by batch and epoch, and accuracy (or R²) by epoch; axes are cut as in ``training.png``."""
    ends = [row.epoch for row in epochs]
    batches = max((row.step for row in steps), default=1)
    with _axes("loss") as (figure, axes):
        axes.plot([row.epoch - 1 + row.step / batches for row in steps], [row.loss for row in steps],
                  color=FAINT, linewidth=0.7, label="batch")  # fmt: skip
        axes.plot(ends, [row.train_loss for row in epochs], "o-", color=SERIES[0], markersize=3, label="training")
        axes.plot(ends, [row.test_loss for row in epochs], "s-", color=SERIES[1], markersize=3, label="held out")
        axes.set(xlabel="epoch", ylabel="loss (V²)", ylim=(0, None))
        cut_above(axes, [row.loss for row in steps], [row.test_loss for row in epochs], **_NOTE)
        axes.legend()
        told = (
            f"Held out: {epochs[0].test_loss:.3g} V² after the first epoch, {epochs[-1].test_loss:.3g} V² at the end."
        )
        loss = _svg(figure, "loss", "Loss while training", told)
    percent, unit = (100.0, " (%)") if score == "accuracy" else (1.0, "")
    with _axes("accuracy") as (figure, axes):
        for style, colour, name, values in (
            ("o-", SERIES[0], "training, running", [row.train_accuracy for row in epochs]),
            ("s-", SERIES[1], "held out", [row.test_accuracy for row in epochs]),
        ):
            axes.plot(ends, [percent * value for value in values], style, color=colour, markersize=3, label=name)
        axes.set(xlabel="epoch", ylabel=f"{score}{unit}")
        if score != "accuracy":
            cut_below(axes, [(row.train_accuracy, row.test_accuracy) for row in epochs], **_NOTE)
        axes.legend()
        told = f"Held out: {percent * epochs[-1].test_accuracy:.4g}{unit} at the end."
        return [loss, _svg(figure, "accuracy", f"{score} while training", told)]


def settling_curves(found: SettlingResult) -> list[str]:
    """Draw the outputs of the first sample in time, and how far each sample's nodes are from the phase's end."""
    first = found.waveforms[0]
    with _axes("response") as (figure, axes):
        chosen = np.argsort(-np.ptp(first.outputs, axis=0), kind="stable")[: len(SERIES)]
        for colour, k in zip(SERIES, sorted(chosen.tolist()), strict=False):
            axes.plot(first.time, first.outputs[:, k], color=colour, label=f"output {k}")
        if first.nudged is not None:
            axes.axvline(first.nudged, color=INK, linestyle=":", linewidth=1.2, label="nudge on")
        _ticks(axes.xaxis, "s", 6)
        axes.yaxis.set_major_formatter(EngFormatter("V"))
        axes.set(xlabel=f"time, sample {first.sample}")
        axes.legend()
        response = _svg(figure, "response", "Outputs in time", f"Of sample {first.sample}, up to four outputs.")
    with _axes("error") as (figure, axes):
        for k, wave in enumerate(found.waveforms):
            error = np.log10(np.maximum(wave.error, 1e-9))
            axes.plot(wave.time, error, color=SERIES[k % len(SERIES)], linewidth=1.2, label=f"sample {wave.sample}")
        axes.axhline(np.log10(found.adc_step), color=INK, linestyle="--", linewidth=1.2, label="ADC step")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda power, _: show(10**power, "V")))
        _ticks(axes.yaxis, most=6, whole=True)
        _ticks(axes.xaxis, "s", 6)
        axes.set(xlabel="time", ylabel="farthest node from its goal")
        axes.legend()
        told = f"Logarithmic; one ADC step is {show(found.adc_step, 'V')}."
        return [response, _svg(figure, "error", "Distance from the operating point in time", told)]


Series = dict[str, tuple[list[tuple[float | str, list[float]]], bool]]
"""By name: values at each place, and whether it is a control."""


def places(series: Series, name: str, across: str, unit: str, title: str) -> str:
    """Draw values of several seeds at places as `places_png` does; return SVG to stand in a page."""
    drawn = [v for points, _ in series.values() for _, values in points for v in values]
    with _axes(name) as (figure, axes):
        _draw_places(axes, series, across, unit, SERIES)
        return _svg(figure, name, title, f"From {min(drawn):.3g} to {max(drawn):.3g} {unit}".strip() + ".")


@own_style()
def places_png(series: Series, across: str, unit: str) -> bytes:
    """Draw values of several seeds at places: numbers along an axis, or words side by side; controls are broken lines.

    Lines join means, and dashes are single seeds. Axes of numbers over a factor of 30 are logarithmic. So are those of
    V² and of relative errors, where lines join medians.
    """
    figure = Figure(figsize=_SIZE, dpi=_SHARP, layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=_PALE)
    _draw_places(axes, series, across, unit, [f"C{k}" for k in range(10)])
    return as_bytes(figure)


_SHARP = 120
"""Dots per inch of a picture that is no SVG."""
_PALE = 0.3
_NOTHING = 1e-16
"""V²: smaller losses are rounding, and are drawn there."""


def _draw_places(axes: Axes, series: Series, across: str, unit: str, colours: Sequence[str]) -> None:
    every = list(dict.fromkeys(x for points, _ in series.values() for x, _ in points))
    numbers = [x for x in every if isinstance(x, float)]
    numeric = len(numbers) == len(every) > 1
    drawn = [v for points, _ in series.values() for _, values in points for v in values]
    wide = unit in ("V²", "relative") and min(drawn) > 0
    for k, (label, (points, control)) in enumerate(series.items()):
        x = [float(at) if numeric else every.index(at) for at, _ in points]
        line = ("--" if control else "-") if numeric else "none"
        seeds = [np.maximum(values, _NOTHING) if wide else np.array(values) for _, values in points]
        middle = [float(np.median(values) if wide else np.mean(values)) for values in seeds]
        colour, marker = colours[k % len(colours)], "s" if control else "o"
        axes.plot(x, middle, linestyle=line, marker=marker, color=colour, label=label, markersize=5)
        for at, values in zip(x, seeds, strict=True):
            axes.plot([at] * len(values), values, "_", color=colour, markersize=7)
    if not numeric:
        axes.set_xticks(range(len(every)), labels=[_short(x) for x in every])
    elif min(numbers) > 0 and max(numbers) > _WIDE * min(numbers):
        axes.set_xscale("log")
    if wide:
        axes.set_yscale("log")
    low = f" ({_NOTHING:g} or less at the bottom)" if wide and min(drawn) < _NOTHING else ""
    axes.set(xlabel=across, ylabel=(unit or "measured") + low)
    if len(series) > 1:
        axes.legend(fontsize="small")


_WIDE = 30
"""Ratio of places beyond which their axis is logarithmic."""
_LABEL = 14
"""Characters of a line of a label."""


def _short(place: float | str) -> str:
    """Return a place as a label of few lines."""
    return "\n".join(wrap(str(place), _LABEL)[:4])
