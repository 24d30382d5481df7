"""Pictures of a board on the bench: against its digital twin, and against what was believed of its cells."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from harness.chip.bench.readback import Difference
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


@own_style()
def draw_read_backs(differences: Sequence[Difference], batches: int, title: str) -> bytes:
    """Draw how far the cells of each array were from what was believed, at every read-back.

    Args:
        differences: of a run; those without a step are the beginnings of sessions.
        batches: steps of an epoch.
        title: of the picture.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for k, array in enumerate(dict.fromkeys(each.array for each in differences)):
        within = [d for d in differences if d.array == array and d.epoch is not None and d.step is not None]
        at = [(d.epoch or 1) - 1 + ((d.step or 1) - 1) / batches for d in within]
        axes.plot(at, [d.rms for d in within], "o-", color=f"C{k}", markersize=3, label=f"{literal(array)}, r.m.s.")
        axes.plot(
            at, [d.largest for d in within], ".:", color=f"C{k}", markersize=3, label=f"{literal(array)}, largest"
        )
    axes.set(xlabel="epoch", ylabel="belief − read-back", title=literal(title), ylim=(0, None))
    axes.yaxis.set_major_formatter(EngFormatter("S"))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return as_bytes(figure)


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
