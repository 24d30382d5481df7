"""Pictures of a board on the bench: against its digital twin."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.measurement import Array
from harness.pictures.style import Form, as_bytes, literal, own_style


@own_style()
def draw_comparison(
    voltages: Mapping[str, tuple[Array, Array]],
    cosines: Mapping[str, tuple[float, float]],
    title: str,
    *,
    format: Form = "png",  # noqa: A002
) -> bytes:
    """Draw the voltages of a board against those of its twin, and the cosine between their gradients for each array.

    Args:
        voltages: V of the twin and of the board, by what they are.
        cosines: between board and twin, and between two gradients of the board, by array; none leaves the panel out.
        title: of the picture.
        format: of the file.
    """
    count = len(voltages) + bool(cosines)
    figure = Figure(figsize=(4.2 * count, 3.8), layout="constrained")
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    for axes, (what, (twin, board)) in zip(panels, voltages.items(), strict=False):
        _against(axes, what, twin.ravel(), board.ravel())
    if cosines:
        _draw_cosines(panels[-1], cosines)
    figure.suptitle(literal(title), fontsize=10)
    return as_bytes(figure, format)


def _against(axes: Axes, what: str, twin: Array, board: Array) -> None:
    ends = [min(twin.min(), board.min()), max(twin.max(), board.max())]
    axes.plot(ends, ends, color="0.7", linewidth=1, zorder=0)
    axes.plot(twin, board, ".", markersize=4)
    axes.set(xlabel="digital twin (V)", ylabel="board (V)")
    axes.set_title(what, fontsize=10)
    axes.grid(alpha=0.3)


def _draw_cosines(axes: Axes, cosines: Mapping[str, tuple[float, float]]) -> None:
    places = np.arange(len(cosines))
    for k, label in enumerate(("board and twin", "board and board")):
        axes.barh(places + 0.38 * (k - 0.5), [pair[k] for pair in cosines.values()], 0.36, label=label)
    axes.set_yticks(places, [literal(name) for name in cosines])
    axes.invert_yaxis()
    axes.set_xlabel("cosine between gradients")
    axes.set_title("gradients", fontsize=10)
    axes.grid(alpha=0.3, axis="x")
    axes.legend(fontsize=8, loc="lower left")
