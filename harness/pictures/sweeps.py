"""The picture of a sweep: accuracy against everything that was swept."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas.api.types import is_integer_dtype, is_numeric_dtype

from harness.pictures.style import as_bytes, own_style

USES = {
    "test_accuracy": ("trained with it", "o", "-"),
    "deployed_accuracy": ("only evaluated with it", "s", "--"),
    "tuned_accuracy": ("tuned in place", "^", ":"),
}
"""Columns that are drawn: label, marker, line."""
LOSSES = {name.replace("accuracy", "loss"): drawn for name, drawn in USES.items()}
"""The same where targets are values and not classes."""
_WIDE = 30  # ratio of swept numbers beyond which their axis is logarithmic
_COLOURS = 10  # in matplotlib's own cycle
_LINES = 12  # in a panel; beyond, numbers that are not on its axis are averaged over
_LEAST_WINDOW = 5  # draws in a running median


@own_style()
def draw_sweep(
    table: pd.DataFrame, keys: Sequence[str], title: str, *, drawn: Sequence[str] = (), losses: bool = False
) -> bytes:
    """Test accuracy or loss against each swept number, a panel for each; one for the first key or seed if all are text.

    Lines are means over seeds and chips in a band from the worst to the best, one for each use of a chip and each
    combination of the other keys' values. Keys drawn at random are shown as points with a running median over
    an eighth of the draws, and pooled in the other panels.

    Args:
        table: a row for each point: columns `keys`, ``seed`` and what is there of `USES`, missing where it failed.
        keys: the swept ones, or none.
        title: of the picture.
        drawn: those of the keys that were drawn at random.
        losses: whether losses are drawn, on a logarithmic axis, instead of accuracies.
    """
    panels = [key for key in keys if is_numeric_dtype(table[key])] or [[*keys, "seed"][0]]
    figure = Figure(figsize=(1 + 5.5 * len(panels), 4.5), layout="constrained")
    uses = [use for use in (LOSSES if losses else USES) if use in table and table[use].notna().any()]
    for axes, across in zip(figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels, strict=True):
        others = _others(table, [key for key in keys if key != across and key not in drawn], len(uses))
        _draw_panel(axes, table, across, others, uses, scattered=across in drawn)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=8)
    if not losses and "origin_accuracy" in table and table["origin_accuracy"].notna().any():
        for axes in figure.axes:
            axes.axhline(100 * table["origin_accuracy"].mean(), color="0.6", linewidth=1, label="before deployment")
            axes.legend(fontsize=8)
    figure.axes[0].set(ylabel="test loss (V²)" if losses else "test accuracy (%)", title=title)
    if losses:
        figure.axes[0].set_yscale("log")
    return as_bytes(figure)


def _others(table: pd.DataFrame, keys: list[str], uses: int) -> list[str]:
    """Keys whose values have lines of their own."""
    if not keys or table[keys].drop_duplicates().shape[0] * uses <= _LINES:
        return keys
    texts = [key for key in keys if not is_numeric_dtype(table[key])]
    return texts or keys[:1]


def _draw_panel(
    axes: Axes, table: pd.DataFrame, across: str, others: list[str], uses: list[str], *, scattered: bool
) -> None:
    at, ticks = (table[across], None) if is_numeric_dtype(table[across]) else pd.factorize(table[across])
    placed = table.assign(at=at)
    lines = list(placed.groupby(others, sort=False)) if others else [((), placed)]
    colours = [f"C{k}" for k in range(_COLOURS)]
    if len(lines) > _COLOURS:
        colours = list(colormaps["viridis"](np.linspace(0, 0.95, len(lines))))
    for k, (values, rows) in enumerate(lines):
        for number, use in enumerate(uses):
            meant, marker, style = (USES | LOSSES)[use]
            names = [f"{key.rpartition('.')[2]} {_shown(v)}" for key, v in zip(others, values, strict=True)]
            label = ", ".join([*names, *([meant] if len(uses) > 1 else [])])
            colour = colours[k if others else number]
            shown = rows.assign(height=rows[use] if use in LOSSES else 100 * rows[use]).dropna(subset="height")
            if scattered:
                axes.plot(shown["at"], shown["height"], marker, color=colour, alpha=0.4, markersize=4)
                axes.plot(*_running_median(shown), style, color=colour, label=label or "running median")
            else:
                _draw_means(axes, shown, marker + style, colour, label, band=ticks is None)
    _scale(axes, at, ticks)
    axes.set(xlabel=across)
    axes.grid(alpha=0.3)


def _draw_means(axes: Axes, rows: pd.DataFrame, form: str, colour: Any, label: str, *, band: bool) -> None:
    """With a band, or bars, from the worst to the best."""
    heights = rows.groupby("at")["height"].agg(["mean", "min", "max"])
    axes.plot(heights.index, heights["mean"], form, color=colour, markersize=5, label=label or None)
    if band:
        axes.fill_between(heights.index, heights["min"], heights["max"], color=colour, alpha=0.15, linewidth=0)
    else:
        axes.vlines(heights.index, heights["min"], heights["max"], color=colour, alpha=0.5)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _running_median(rows: pd.DataFrame) -> tuple[Any, Any]:
    """Over neighbouring draws, or over those of the same value where values repeat."""
    if 2 * rows["at"].nunique() <= len(rows):
        found = rows.groupby("at")["height"].median()
        return found.index, found
    ordered = rows.sort_values("at")
    window = max(_LEAST_WINDOW, len(ordered) // 8)
    return ordered["at"], ordered["height"].rolling(window, center=True, min_periods=window // 2 + 1).median()


def _scale(axes: Axes, at: Any, ticks: Any) -> None:
    """Text at its ticks; numbers over decades on a logarithmic axis, on which 0 has a place left of a gap."""
    if ticks is not None:
        axes.set_xticks(range(len(ticks)), labels=list(ticks))
        return
    above = at[at > 0]
    if at.min() >= 0 and len(above) and above.max() > _WIDE * above.min():
        if at.min() > 0:
            axes.set_xscale("log")
        else:
            axes.set_xscale("symlog", linthresh=above.min(), linscale=0.4)
            axes.set_xlim(-0.15 * above.min(), None)
    elif is_integer_dtype(at):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
