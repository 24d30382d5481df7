"""Pictures of a run, as the bytes of PNG files."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.circuit import Edges, TrainableArray
from harness.measurement import Array, Index
from harness.runs import EpochRow, StepRow

_SMOOTHED = 25  # batches in the running mean of the loss


def draw_training(steps: Sequence[StepRow], epochs: Sequence[EpochRow], title: str) -> bytes:
    """Loss by batch and by epoch, and accuracy by epoch."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    batches = max((row.step for row in steps), default=1)
    at = [row.epoch - 1 + row.step / batches for row in steps]
    loss.plot(at, [row.loss for row in steps], color="0.8", linewidth=0.6, label="batch")
    if len(steps) >= _SMOOTHED:
        mean = np.convolve([row.loss for row in steps], np.full(_SMOOTHED, 1 / _SMOOTHED), "valid")
        loss.plot(at[_SMOOTHED - 1 :], mean, color="C0", label=f"mean of {_SMOOTHED} batches")
    ends = [row.epoch for row in epochs]
    loss.plot(ends, [row.test_loss for row in epochs], "o-", color="C1", markersize=3, label="held out")
    loss.set(xlabel="epoch", ylabel="loss (V²)", title=title, ylim=(0, None))
    accuracy.plot(
        ends, [100 * row.train_accuracy for row in epochs], "o-", color="C0", markersize=3, label="training, running"
    )
    accuracy.plot(ends, [100 * row.test_accuracy for row in epochs], "o-", color="C1", markersize=3, label="held out")
    accuracy.set(xlabel="epoch", ylabel="accuracy (%)")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.legend()
    return png(figure)


def draw_arrays(arrays: Sequence[TrainableArray]) -> bytes:
    """Conductances: of a crossbar as a heat map, word lines down, bit lines across; of a graph's edges by size."""
    figure = Figure(figsize=(5 * len(arrays), 6), layout="constrained")
    for axes, array in zip(figure.subplots(1, len(arrays), squeeze=False)[0], arrays, strict=True):
        factor, unit = (1e6, "µS") if array.conductances.max() < 1e-2 else (1.0, "S")
        if isinstance(array, Edges):
            axes.hist(array.conductances * factor, bins=30)
            axes.set(title=f"{array.name}: {len(array.a)} edges", xlabel=f"conductance ({unit})", ylabel="edges")
            continue
        image = axes.imshow(array.conductances * factor, aspect="auto", interpolation="nearest", cmap="viridis")
        words, bits = array.shape
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        axes.set(title=f"{array.name}: {words} × {bits}", xlabel="bit line", ylabel="word line")
        figure.colorbar(image, ax=axes, label=f"conductance ({unit})")
    return png(figure)


def draw_boundary(axes_volts: tuple[Array, Array], margin: Array, points: Array, classes: Index, title: str) -> bytes:
    """What a circuit with two inputs answers, over the plane of its inputs.

    Args:
        axes_volts: V of the grid's columns and rows.
        margin: V by which one class's output lies above the other's, ``[rows, columns]``.
        points: V of samples, ``[samples, 2]``.
        classes: of the samples.
        title: of the picture.
    """
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    size = float(np.abs(margin).max()) or 1.0
    shown = axes.pcolormesh(*axes_volts, margin, cmap="RdBu_r", vmin=-size, vmax=size, shading="nearest")
    axes.contour(*axes_volts, margin, levels=[0.0], colors="black")
    for label, colour in ((0, "C0"), (1, "C3")):
        chosen = points[classes == label]
        axes.plot(*chosen.T, "o", color=colour, markeredgecolor="white", markersize=5)
    figure.colorbar(shown, ax=axes, label="second output − first output (V)")
    axes.set(xlabel="first input (V)", ylabel="second input (V)", title=title)
    return png(figure)


def draw_scaling(lines: Mapping[str, Mapping[int, float]], title: str) -> bytes:
    """Training time (s a sample) against hidden nodes, a named line for each number of layers."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, times in lines.items():
        axes.loglog(list(times), [1e3 * seconds for seconds in times.values()], "o-", label=name)
    sizes = sorted({hidden for times in lines.values() for hidden in times})
    axes.set_xticks(sizes, labels=list(map(str, sizes)))
    axes.minorticks_off()
    axes.set(xlabel="nodes of each hidden layer", ylabel="training, ms a sample on one core", title=title)
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    return png(figure)


def draw_audit(
    panels: Mapping[str, Mapping[str, Mapping[float, float]]], used: Mapping[str, float], title: str
) -> bytes:
    """Relative errors of gradients on logarithmic axes, a panel for each setting that decides them.

    Args:
        panels: by the setting's name with its unit, a named line for each rule: error by value (NaN leaves a gap).
        used: the setting that the table of the audit was made with, which is marked.
        title: above the first panel.
    """
    figure = Figure(figsize=(5 * len(panels), 4.5), layout="constrained")
    for axes, (setting, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name, errors in lines.items():
            axes.loglog(list(errors), list(errors.values()), "o-", markersize=4, label=name)
        axes.axvline(used[setting], color="0.6", linestyle="--", linewidth=1, label="as in the table")
        shown = [error for errors in lines.values() for error in errors.values() if error > 0]  # not NaN
        low, high = min(shown, default=1.0) / 5, max(shown, default=1.0) * 5  # a decade at least
        axes.set(xlabel=setting, ylabel="relative error of the worst array", ylim=(low, high))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.axes[0].set_title(title)
    return png(figure)


def png(figure: Figure) -> bytes:
    """A figure as a file."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()
