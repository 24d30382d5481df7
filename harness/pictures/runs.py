"""Pictures of a run: its directory's, and those of tables and arrays as the bytes of PNG files."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from harness.chip.base import Chip
from harness.chip.bench.readback import FILE as READ_BACKS
from harness.chip.bench.readback import read_differences
from harness.circuit import Convolution, Edges, TrainableArray
from harness.datasets import Split
from harness.errors import PictureError
from harness.files.writing import write_atomic
from harness.measurement import Array, Drive, Index
from harness.pictures.arrays import draw_cells
from harness.pictures.boards import draw_read_backs
from harness.pictures.style import Form, as_bytes, literal, own_style
from harness.training.runs import BENCH, Run
from harness.training.tables import EpochRow, StepRow
from harness.wording import counted

_SMOOTHED = 25  # batches in the running mean of the loss
_FAR = 4  # times what is kept in sight: larger losses are cut off
_LEAST_R2 = -1.0  # from which an axis of R² begins where the last epochs are above it
_GRIDS = (41, 21, 11, 6)  # points of either input in the picture of a decision boundary
_POINTS_OF_DEVICES = 8_200  # of a grid's side, times devices: a sample costs up to the cube of coupled devices
_SAMPLES_OF_DEVICES = 8_000  # of a portion, times devices: seconds between two questions whether to stop


def draw_run(run: Run, chip: Chip, data: Split, title: str, stop: Callable[[], bool] = lambda: False) -> None:
    """Draw the pictures of a run's directory; with two inputs and two classes, the chip's decision boundary, too.

    Args:
        run: with its tables.
        chip: with the run's conductances.
        data: of the run.
        title: of the pictures.
        stop: asked while a decision boundary is measured.

    Raises:
        PictureError: one cannot be drawn, or `stop` said True.
        ChipError: the chip failed.
    """
    if data.channels == 2 and len(data.classes) == 2 and not data.valued:
        write_atomic(run.path / "boundary.png", _boundary(chip, data, title, stop))
    steps, epochs = run.tables()
    arrays = zip(chip.circuit.arrays, chip.conductances, strict=True)
    write_atomic(run.path / "conductances.png", draw_arrays([array.with_conductances(g) for array, g in arrays]))
    if (kept := run.path / BENCH / READ_BACKS).exists():
        batches = max((row.step for row in steps), default=1)
        write_atomic(run.path / "readback.png", draw_read_backs(read_differences(kept), batches, title))
    picture = draw_training(steps, epochs, title, data.score)
    write_atomic(run.path / "training.png", picture)  # the last one: it tells `Run.drawn` that all are there


def _boundary(chip: Chip, data: Split, title: str, stop: Callable[[], bool]) -> bytes:
    rows = data.test.batch(slice(None))
    plane = measured_plane(chip, 1.2 * np.abs(rows.inputs).max(axis=0), stop)
    return draw_boundary(*plane, rows.inputs, rows.targets.argmax(axis=1), title)


def measured_plane(chip: Chip, edges: Array, stop: Callable[[], bool]) -> tuple[tuple[Array, Array], Array]:
    """Measure a chip of two inputs and two outputs on a square grid, coarser where its circuit has many devices.

    The measurement depends on nothing but the circuit, so that a recorded session with a board repeats it.

    Args:
        chip: the chip.
        edges: V of the largest value of either input, ``[2]``; the smallest is its negative.
        stop: asked before every portion of samples.

    Returns:
        V of the grid's columns and of its rows, and V by which the second output lies above the first,
        ``[rows, columns]``. The grid has 41 × 41 points for up to 200 devices, then 21 × 21, 11 × 11 or, from 746
        devices on, 6 × 6.

    Raises:
        PictureError: `stop` said True.
        ChipError: the chip failed.
    """
    devices = max(sum(map(len, chip.circuit.devices)), 1)
    points = next((grid for grid in _GRIDS if grid * devices <= _POINTS_OF_DEVICES), _GRIDS[-1])
    portion = min(max(_SAMPLES_OF_DEVICES // devices, 1), chip.capabilities.largest_batch or points**2)
    across, up = (np.linspace(-edge, edge, points) for edge in edges)
    plane = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    margins: list[Array] = []
    for start in range(0, len(plane), portion):
        if stop():
            raise PictureError("stopped at the decision boundary; resume the run to draw them")
        (reading,) = chip.measure([Drive(plane[start : start + portion])])
        margins.append(reading.outputs[:, 1] - reading.outputs[:, 0])
    return (across, up), np.concatenate(margins).reshape(points, points)


@own_style()
def draw_training(steps: Sequence[StepRow], epochs: Sequence[EpochRow], title: str, score: str = "accuracy") -> bytes:
    """Draw loss by batch and by epoch, and the score by epoch: accuracy in %, or R².

    Axes are cut where a few batches of the start, or a few epochs of R², would flatten all others; they say how far.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, reached = figure.subplots(1, 2)
    batches = max((row.step for row in steps), default=1)
    at, losses = [row.epoch - 1 + row.step / batches for row in steps], [row.loss for row in steps]
    loss.plot(at, losses, color="0.8", linewidth=0.6, label="batch")
    if len(steps) >= _SMOOTHED:
        mean = np.convolve(losses, np.full(_SMOOTHED, 1 / _SMOOTHED), "valid")
        loss.plot(at[_SMOOTHED - 1 :], mean, color="C0", label=f"mean of {_SMOOTHED} batches")
    ends = [row.epoch for row in epochs]
    loss.plot(ends, [row.test_loss for row in epochs], "o-", color="C1", markersize=3, label="held out")
    loss.set(xlabel="epoch", ylabel="loss (V²)", title=title, ylim=(0, None))
    cut_above(loss, losses, [row.test_loss for row in epochs])
    percent, heading = (100.0, "accuracy (%)") if score == "accuracy" else (1.0, score)
    for name, colour, values in (
        ("training, running", "C0", [percent * row.train_accuracy for row in epochs]),
        ("held out", "C1", [percent * row.test_accuracy for row in epochs]),
    ):
        reached.plot(ends, values, "o-", color=colour, markersize=3, label=name)
    reached.set(xlabel="epoch", ylabel=heading)
    if score != "accuracy":
        cut_below(reached, [(row.train_accuracy, row.test_accuracy) for row in epochs])
    for axes in (loss, reached):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    return as_bytes(figure)


def cut_above(axes: Axes, batches: Sequence[float], kept: Sequence[float], **style: Any) -> None:
    """End an axis of losses above all but the largest twenty-fifth of the batches, where one of these is far above.

    Losses are in V²; those in `kept`, such as the ones of epochs, stay in sight. `style` is that of the note.
    """
    ordered = sorted(batches)
    if len(ordered) < _SMOOTHED:
        return
    most = max([ordered[-1 - -(-len(ordered) // _SMOOTHED)], *kept])
    if ordered[-1] > _FAR * most > 0:
        axes.set_ylim(0, 1.1 * most)
        _say(axes, f"batches up to {ordered[-1]:.3g} V² above", style)


def cut_below(axes: Axes, scores: Sequence[tuple[float, float]], **style: Any) -> None:
    """Begin an axis of R² at −1 where it ends above, or else at the lowest of the second half of the epochs.

    `scores` are the R² of training and held-out rows after every epoch; `style` is that of the note.
    """
    lowest = min(map(min, scores), default=0.0)
    late = min(map(min, scores[len(scores) // 2 :]), default=0.0)
    start = min(_LEAST_R2, 1.1 * late)
    if lowest < 2 * start:
        axes.set_ylim(start, None)
        _say(axes, f"epochs down to {lowest:.3g} below".replace("-", "−"), style)


def _say(axes: Axes, text: str, style: Mapping[str, Any]) -> None:
    """Write a note above an axis that was cut."""
    look: dict[str, Any] = {"fontsize": 8, "color": "0.4", **style}
    axes.text(1.0, 1.01, text, transform=axes.transAxes, ha="right", va="bottom", **look)


@own_style()
def draw_comparison(tables: Mapping[str, Sequence[EpochRow]], scores: Mapping[str, str], form: Form = "png") -> bytes:
    """Draw held-out loss and scores over epochs, with a line for each run by its name.

    `scores` are the names of the runs' scores: accuracies and R² have a panel each.
    """
    kinds = sorted(set(scores.values()))
    figure = Figure(figsize=(5.5 * (1 + len(kinds)), 4.5), layout="constrained")
    loss, *panels = figure.subplots(1, 1 + len(kinds))
    reached = dict(zip(kinds, panels, strict=True))
    for k, (name, rows) in enumerate(tables.items()):
        style: dict[str, Any] = {"color": f"C{k % 10}", "linestyle": "-:"[k // 10 % 2], "markersize": 3, "marker": "o"}
        ends = [row.epoch for row in rows]
        loss.plot(ends, [row.test_loss for row in rows], label=literal(name), **style)
        percent = 100.0 if scores[name] == "accuracy" else 1.0
        reached[scores[name]].plot(ends, [percent * row.test_accuracy for row in rows], **style)
    loss.set(xlabel="epoch", ylabel="held-out loss (V²)", ylim=(0, None))
    for kind, axes in reached.items():
        axes.set(xlabel="epoch", ylabel="held-out accuracy (%)" if kind == "accuracy" else f"held-out {kind}")
    for axes in (loss, *panels):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return as_bytes(figure, form)


@own_style()
def draw_arrays(arrays: Sequence[TrainableArray]) -> bytes:
    """Draw the conductances of crossbars and kernels as heat maps, and those of a graph's edges as a histogram."""
    figure = Figure(figsize=(5 * len(arrays), 6), layout="constrained")
    for axes, array in zip(figure.subplots(1, len(arrays), squeeze=False)[0], arrays, strict=True):
        if isinstance(array, Edges) and not isinstance(array, Convolution):
            axes.hist(array.conductances, bins=30)
            axes.set(title=f"{array.name}: {counted(len(array.a), 'edge')}", xlabel="conductance", ylabel="edges")
            axes.xaxis.set_major_formatter(EngFormatter("S"))
            continue
        image = draw_cells(axes, array)
        figure.colorbar(image, ax=axes, label="conductance", format=EngFormatter("S"))
    return as_bytes(figure)


@own_style()
def draw_boundary(axes_volts: tuple[Array, Array], margin: Array, points: Array, classes: Index, title: str) -> bytes:
    """Draw the answers of a circuit with two inputs over the plane of its inputs.

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
    return as_bytes(figure)


@own_style()
def draw_scaling(lines: Mapping[str, Mapping[int, float]], title: str) -> bytes:
    """Draw training time (s a sample) over hidden nodes, a named line for each number of layers."""
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
    return as_bytes(figure)


@own_style()
def draw_audit(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float, float]]]], used: Mapping[str, float], title: str
) -> bytes:
    """Draw errors and cosines of gradients on logarithmic axes, a column for each setting that decides them.

    A column, named by the setting with its unit, has a named line for each rule: points of value, relative error and
    cosine (NaN leaves a gap). The upper panel shows the error, the lower one by how much the cosine falls short of 1.
    The setting `used` by the table of the audit is marked.
    """
    figure = Figure(figsize=(4 * len(panels), 6), layout="constrained")
    upper, lower = figure.subplots(2, len(panels), squeeze=False, sharex="col")
    for above, below, (setting, lines) in zip(upper, lower, panels.items(), strict=True):
        shown = {name: np.array(points).T for name, points in lines.items()}
        _draw_lines(above, {name: (values, errors) for name, (values, errors, _) in shown.items()})
        _draw_lines(below, {name: (values, 1 - cosines) for name, (values, _, cosines) in shown.items()})
        for axes in (above, below):
            axes.axvline(used[setting], color="0.6", linestyle="--", linewidth=1, label="as in the table")
            axes.grid(alpha=0.3)
        below.set(xlabel=setting)
        above.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    upper[0].set(ylabel="relative error, worst array")
    lower[0].set(ylabel="1 − cosine, worst array")
    figure.suptitle(title)
    return as_bytes(figure)


def draw_along(
    stages: Mapping[int, Sequence[tuple[float, float, float]]],
    limits: Mapping[int, float | None],
    beta: float,
    title: str,
) -> bytes:
    """Draw errors of a gradient against β at some epochs, and the limit of β over the epochs.

    Args:
        stages: points of β (S), relative error and cosine (NaN leaves a gap), by epoch.
        limits: the largest β with stable states, S, by epoch; None or infinite for none.
        beta: that of the run, S.
        title: of the picture.
    """
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = {f"after {counted(epoch, 'epoch')}": np.array(points).T for epoch, points in stages.items()}
    _draw_lines(left, {name: (values, errors) for name, (values, errors, _) in shown.items()})
    for line, limit in zip(list(left.lines), limits.values(), strict=True):
        if limit is not None and np.isfinite(limit):
            left.axvline(limit, color=line.get_color(), linestyle=":", linewidth=1)
    left.axvline(beta, color="0.6", linestyle="--", linewidth=1, label="the run's β")
    left.plot([], [], color="0.3", linestyle=":", linewidth=1, label="limit of β at that epoch")
    left.set(xlabel="β (S)", ylabel="relative error, worst array")
    left.legend(fontsize=8)
    found = [np.nan if limit is None else limit for limit in limits.values()]
    right.semilogy(list(limits), found, "o-", markersize=4, label="limit of β")
    right.axhline(beta, color="0.6", linestyle="--", linewidth=1, label="the run's β")
    right.set(xlabel="epoch", ylabel="β (S)")
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    return as_bytes(figure)


def _draw_lines(axes: Axes, lines: Mapping[str, tuple[Array, Array]]) -> None:
    """Draw lines by name on logarithmic axes of a decade at least."""
    for name, (values, heights) in lines.items():
        axes.loglog(values, np.where(heights > 0, heights, np.nan), "o-", markersize=4, label=name)
    shown = [height for _, heights in lines.values() for height in heights if height > 0]  # not NaN
    axes.set_ylim(min(shown, default=1.0) / 5, max(shown, default=1.0) * 5)
