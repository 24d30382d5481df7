"""Pictures of sweeps: accuracy over everything that was swept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator
from pandas.api.types import is_integer_dtype, is_numeric_dtype

from harness.pictures.style import as_bytes, literal, own_style
from harness.units import show
from harness.wording import counted

USES = {
    "test_accuracy": ("trained with it", "o", "-"),
    "deployed_accuracy": ("only evaluated with it", "s", "--"),
    "tuned_accuracy": ("tuned in place", "^", ":"),
}
"""Columns that are drawn: label, marker, line."""
LOSSES = {name.replace("accuracy", "loss"): drawn for name, drawn in USES.items()}
"""The same where targets are values and not classes."""
_CONTROL = "control"
_CONTROL_MARKERS = "DvPX"
_WIDE = 30  # ratio of swept numbers beyond which their axis is logarithmic
_COLOURS = 10  # in matplotlib's own cycle
_LINES = 12  # in a panel; beyond, numbers that are not on its axis are averaged over
_LEAST_WINDOW = 5  # draws in a running median


@own_style()
def draw_sweep(
    table: pd.DataFrame,
    keys: Sequence[str],
    title: str,
    *,
    drawn: Sequence[str] = (),
    losses: bool = False,
    units: Mapping[str, str] | None = None,
) -> bytes:
    """Test accuracy or loss against each swept number, a panel for each; one for the first key or seed if all are text.

    Lines are means over seeds and chips in a band from the worst to the best, one for each use of a chip and each
    combination of the other keys' values. Keys drawn at random are shown as points with a running median over
    an eighth of the draws, and pooled in the other panels. Crosses at the bottom mark points that failed. Controls have
    hollow marks, and broken lines where there is one use of a chip; beside several lines, the colour of theirs.

    Args:
        table: a row for each point: columns `keys`, ``seed``, ``error`` where any failed, ``control`` where there are
            some (empty for what is studied), and what is there of `USES`.
        keys: the swept ones, or none.
        title: of the picture.
        drawn: those of the keys that were drawn at random.
        losses: whether losses are drawn, on a logarithmic axis, instead of accuracies.
        units: of the keys that have one.
    """
    units = units or {}
    panels = [key for key in keys if is_numeric_dtype(table[key])] or [[*keys, "seed"][0]]
    figure = Figure(figsize=(1 + 5.5 * len(panels), 4.5), layout="constrained")
    uses = [use for use in (LOSSES if losses else USES) if use in table and table[use].notna().any()]
    origin = table["origin_accuracy"].mean() if "origin_accuracy" in table and not losses else np.nan
    for axes, across in zip(figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels, strict=True):
        others = _others(table, [key for key in keys if key != across and key not in drawn], len(uses))
        _draw_panel(axes, table, across, others, uses, units, scattered=across in drawn)
        if np.isfinite(origin):
            axes.axhline(100 * origin, color="0.6", linewidth=1, label="before deployment")
        _mark_failures(axes, table, across)
        handles = axes.get_legend_handles_labels()[0]
        control = [_CONTROL] if _CONTROL in table else []
        if across not in drawn and (copies := _copies(table, [across, *others, *control], keys)):
            handles.append(Patch(color="0.5", alpha=0.3, label=f"worst to best over {copies}"))
        axes.legend(handles=handles, fontsize=8)
    figure.axes[0].set(ylabel="test loss (V²)" if losses else "test accuracy (%)", title=title)
    if losses:
        figure.axes[0].set_yscale("log")
    return as_bytes(figure)


def _others(table: pd.DataFrame, keys: list[str], uses: int) -> list[str]:
    """Return the keys whose values have lines of their own."""
    if not keys or table[keys].drop_duplicates().shape[0] * uses <= _LINES:
        return keys
    texts = [key for key in keys if not is_numeric_dtype(table[key])]
    return texts or keys[:1]


def _draw_panel(
    axes: Axes,
    table: pd.DataFrame,
    across: str,
    others: list[str],
    uses: list[str],
    units: Mapping[str, str],
    *,
    scattered: bool,
) -> None:
    at, ticks = _places(table[across])
    placed = table.assign(at=at)
    lines = list(placed.groupby(others, sort=False)) if others else [((), placed)]
    colours = [f"C{k}" for k in range(_COLOURS)]
    if len(lines) > _COLOURS:
        colours = list(colormaps["viridis"](np.linspace(0, 0.95, len(lines))))
    for k, (values, rows) in enumerate(lines):
        names = [
            f"{key.rpartition('.')[2]} {_shown(v, units.get(key, ''))}" for key, v in zip(others, values, strict=True)
        ]
        for number, use in enumerate(uses):
            meant, marker, style = (USES | LOSSES)[use]
            colour, named = colours[k if others else number], [*names, *([meant] if len(uses) > 1 else [])]
            heights = rows.assign(height=rows[use] if use in LOSSES else 100 * rows[use]).dropna(subset="height")
            for look, shown in _arms(heights, _Look(marker, style, colour, ", ".join(named)), alone=len(uses) == 1):
                (_draw_draws if scattered else _draw_means)(axes, shown, look, band=ticks is None)
    _scale(axes, at, ticks, units.get(across, ""))
    axes.set(xlabel=across)
    axes.grid(alpha=0.3)


@dataclass(frozen=True)
class _Look:
    """The look of a line, and its name in the legend."""

    marker: str
    style: str
    colour: Any
    label: str
    fill: str = "full"


def _arms(rows: pd.DataFrame, look: _Look, *, alone: bool) -> Iterator[tuple[_Look, pd.DataFrame]]:
    """Give what is studied, and every control with a look of its own; `alone` where its line may be broken."""
    if _CONTROL not in rows:
        yield look, rows
        return
    for number, (control, shown) in enumerate(rows.groupby(_CONTROL, sort=False)):
        if not control:
            yield replace(look, label=look.label or "studied"), shown
            continue
        label = ", ".join(part for part in (look.label, f"control {literal(str(control))}") if part)
        marker, style = _CONTROL_MARKERS[number % len(_CONTROL_MARKERS)], "--" if alone else look.style
        colour = look.colour if look.label else f"C{number % _COLOURS}"  # where there are no other lines
        yield _Look(marker, style, colour, label, fill="none"), shown


def _places(values: pd.Series) -> tuple[Any, Any]:
    """Return the places of a key's values on its axis, and the texts of its ticks if they are no numbers."""
    return (values, None) if is_numeric_dtype(values) else pd.factorize(values)


def _copies(table: pd.DataFrame, place: list[str], keys: Sequence[str]) -> str:
    """Name what differs between the points of one place on a line: seeds, chips and keys without lines of their own."""
    names = [name for name in ("seed", "chip", *keys) if name in table and name not in place]
    varied = [name for name in names if table.groupby(place)[name].nunique().max() > 1]
    return " and ".join(f"{name}s" if name in ("seed", "chip") else name for name in varied)


def _mark_failures(axes: Axes, table: pd.DataFrame, across: str) -> None:
    if "error" not in table or not (failed := table["error"].notna()).any():
        return
    at = np.asarray(_places(table[across])[0])[failed]
    bottom = np.full(at.size, 0.03)
    label = counted(at.size, "failed point")
    axes.plot(at, bottom, "x", color="C3", markersize=8, mew=2, transform=axes.get_xaxis_transform(), label=label)


def _draw_draws(axes: Axes, rows: pd.DataFrame, look: _Look, *, band: bool) -> None:  # noqa: ARG001 - as `_draw_means`
    """Draw a point for every draw, and a running median."""
    axes.plot(rows["at"], rows["height"], look.marker, color=look.colour, alpha=0.4, markersize=4, fillstyle=look.fill)
    median = ", ".join([*([look.label] if look.label else []), "running median"])
    axes.plot(*_running_median(rows), look.style, color=look.colour, label=median)


def _draw_means(axes: Axes, rows: pd.DataFrame, look: _Look, *, band: bool) -> None:
    """Draw means with a band, or bars, from the worst to the best."""
    heights, colour = rows.groupby("at")["height"].agg(["mean", "min", "max"]), look.colour
    form, label = look.marker + look.style, look.label or "mean"
    axes.plot(heights.index, heights["mean"], form, color=colour, markersize=5, fillstyle=look.fill, label=label)
    if band:
        axes.fill_between(heights.index, heights["min"], heights["max"], color=colour, alpha=0.15, linewidth=0)
    else:
        axes.vlines(heights.index, heights["min"], heights["max"], color=colour, alpha=0.5)


def _shown(value: Any, unit: str) -> str:
    if unit and isinstance(value, int | float):
        return show(value, unit, 4)
    return literal(f"{value:.4g}" if isinstance(value, float) else str(value))


def _running_median(rows: pd.DataFrame) -> tuple[Any, Any]:
    """Return medians over neighbouring draws, or over those of the same value where values repeat."""
    if 2 * rows["at"].nunique() <= len(rows):
        found = rows.groupby("at")["height"].median()
        return found.index, found
    ordered = rows.sort_values("at")
    window = max(_LEAST_WINDOW, len(ordered) // 8)
    return ordered["at"], ordered["height"].rolling(window, center=True, min_periods=window // 2 + 1).median()


def _scale(axes: Axes, at: Any, ticks: Any, unit: str) -> None:
    """Write texts at their ticks; numbers over decades get a logarithmic axis, with a place for 0 left of a gap."""
    if ticks is not None:
        axes.set_xticks(range(len(ticks)), labels=[literal(str(tick)) for tick in ticks])
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
    if unit:
        axes.xaxis.set_major_formatter(EngFormatter(unit))
