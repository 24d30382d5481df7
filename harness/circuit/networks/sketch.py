"""A sketch of a circuit's conductances as SVG, for notebooks: a square for each cell, darker where it conducts more."""

from collections.abc import Sequence

import numpy as np

from harness.circuit.arrays import TrainableArray

MOST_CELLS = 2_000
"""Cells of a circuit that is sketched; a square each would be too small to be seen in larger ones."""
_SIDE, _WIDEST = 9, 480
"""Pixels of a cell at most, and of an array."""


def sketch(arrays: Sequence[TrainableArray]) -> str:
    """Return a picture of each array beside the others, its lowest to its highest conductance from white to teal.

    Rows are word lines and columns bit lines; the edges of a graph stand in one row. It is empty where there are no
    cells, or more than `MOST_CELLS`.
    """
    if not 0 < sum(array.conductances.size for array in arrays) <= MOST_CELLS:
        return ""
    return "".join(map(_drawn, arrays))


def _drawn(array: TrainableArray) -> str:
    g = np.atleast_2d(array.conductances)
    rows, columns = g.shape
    side = min(_SIDE, _WIDEST / columns)
    low = float(g.min())
    span = float(g.max()) - low or 1.0
    squares = "".join(
        f"<rect x='{column * side:.4g}' y='{row * side:.4g}' width='{side:.4g}' height='{side:.4g}' "
        f"fill='teal' fill-opacity='{(value - low) / span:.3f}'/>"
        for (row, column), value in np.ndenumerate(g)
    )
    width, height = columns * side, rows * side
    frame = f"<rect width='{width:.4g}' height='{height:.4g}' fill='none' stroke='gray'/>"
    size = f"width='{width:.4g}' height='{height:.4g}' style='margin:4px;background:white'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size}>{squares}{frame}</svg>"
