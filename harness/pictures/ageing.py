"""The picture of an aged network: accuracy, gradient and output error against time."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.pictures.style import as_bytes, literal, own_style

Points = Sequence[tuple[float, float, float]]
"""Time (s), mean, and standard deviation over chips."""
_TICKS = {1e-6: "1 µs", 1e-3: "1 ms", 1.0: "1 s", 60.0: "1 min", 3600.0: "1 h", 86400.0: "1 d", 31557600.0: "1 y"}
_BEFORE = 10.0  # the first time over the place where the beginning is drawn, on a logarithmic axis


@own_style()
def draw_ageing(panels: Mapping[str, Mapping[str, Points]], title: str) -> bytes:
    """Draw a panel for each figure, with a line for each use of the chip in a band of one standard deviation.

    The beginning, at 0 s, is drawn a decade before the first time. `panels` has lines by their name, by the label of
    the panel's axis.
    """
    figure = Figure(figsize=(1 + 4.6 * len(panels), 4.2), layout="constrained")
    for axes, (label, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for k, (name, points) in enumerate(lines.items()):
            _line(axes, points, name, k)
        _time_axis(axes, [time for points in lines.values() for time, _, _ in points])
        axes.set(ylabel=label)
        axes.grid(visible=True, alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.suptitle(literal(title))
    return as_bytes(figure)


def _line(axes: Axes, points: Points, name: str, k: int) -> None:
    if not points:
        return
    time, mean, spread = np.array(points, float).T
    at = _places(time)
    axes.plot(at, mean, "os^vDP"[k % 6], linestyle=("-", "--", ":", "-.")[k % 4], color=f"C{k}", label=name)
    if spread.any():
        axes.fill_between(at, mean - spread, mean + spread, color=f"C{k}", alpha=0.15)


def _places(time: np.ndarray) -> np.ndarray:
    later = time[time > 0]
    return np.where(time > 0, time, later.min() / _BEFORE if later.size else 1.0)


def _time_axis(axes: Axes, times: Sequence[float]) -> None:
    later = [time for time in times if time > 0]
    axes.set_xscale("log")
    if not later:
        return
    low, high = min(later), max(later)
    shown = {time: text for time, text in _TICKS.items() if low <= time <= high}
    axes.set_xticks([low / _BEFORE, *shown], ["start", *shown.values()])
    axes.minorticks_off()
    axes.set_xlabel("time after training")
