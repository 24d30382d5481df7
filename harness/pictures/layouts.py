"""Layouts as pictures: the shapes of every layer, and the names on lines."""

from collections.abc import Sequence

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.errors import PictureError
from harness.measurement import Array
from harness.pictures.style import Form, as_bytes, literal, own_style

Layer = tuple[str, Sequence[Array], Sequence[tuple[float, float, str]]]
"""A layer: its name, the corners of each shape (µm, ``[corners, 2]``), and names with their places (µm).

It is called ``word lines``, ``bit lines``, ``markers`` or ``via cells``.
"""
MOST = 2000
"""Shapes of a layer that can still be told apart."""
_COLOURS = {"word lines": "tab:blue", "bit lines": "tab:orange", "markers": "tab:green", "via cells": "black"}
_WIDTH, _AROUND = 8.0, 1.3  # inches


@own_style()
def draw_layout(layers: Sequence[Layer], title: str, form: Form = "png") -> bytes:
    """Return a picture of a layout: word lines, bit lines, and the via cells between them.

    Raises:
        PictureError: a layer has more than `MOST` shapes, or Matplotlib failed.
    """
    if (count := max(len(shapes) for _, shapes, _ in layers)) > MOST:
        raise PictureError(f"{count:,} shapes of a layer are too many to see; open the GDS file in KLayout instead")
    corners = np.concatenate([shape for _, shapes, _ in layers for shape in shapes])
    across, down = np.ptp(corners, axis=0)
    height = min(_WIDTH * down / across, _WIDTH) + _AROUND
    figure = Figure(figsize=(_WIDTH, height), layout="constrained", dpi=120)
    axes = figure.add_subplot()
    for name, shapes, labels in layers:
        colour = _COLOURS[name]
        axes.add_collection(PolyCollection(shapes, facecolor=colour, edgecolor="none", alpha=0.6))
        below = name == "bit lines"
        where = {"rotation": 90, "ha": "center", "va": "top"} if below else {"ha": "right", "va": "center"}
        for x, y, text in labels:
            axes.annotate(
                literal(text), (x, y), (0, -2) if below else (-2, 0), textcoords="offset points", fontsize=7, **where
            )
    axes.autoscale_view()
    axes.margins(0.06)
    handles = [
        Line2D([], [], marker="s", linestyle="", color=_COLOURS[name], alpha=0.6, label=name) for name, _, _ in layers
    ]
    axes.set(title=literal(title), xlabel="µm", ylabel="µm", aspect="equal")
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return as_bytes(figure, form)
