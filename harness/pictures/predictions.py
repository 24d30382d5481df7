"""Pictures of predictions against the truth: confusion matrices, and values over true values."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.errors import PictureError
from harness.pictures.style import Form, as_bytes, literal, own_style
from harness.training.predictions import Predictions

_NUMBERED = 20  # classes up to which counts and names are written into the matrix


@own_style()
def draw_predictions(found: Predictions, title: str, format: Form = "png") -> bytes:  # noqa: A002
    """Draw the confusion matrix of classes, or a panel for each value with predictions over the truth.

    Raises:
        PictureError: the truth is not known, or drawing failed.
    """
    if not found.rows.answered:
        raise PictureError("predictions cannot be drawn against a truth that is not known")
    panels = 1 if found.scaling is None else len(found.classes)
    figure = Figure(figsize=(5.5 * panels, 5), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    if found.scaling is None:
        _matrix(figure, axes[0], found)
    else:
        for name, one in zip(found.classes, axes, strict=True):
            _values(one, found, name)
    figure.suptitle(literal(title))
    return as_bytes(figure, format)


def _matrix(figure: Figure, axes: Axes, found: Predictions) -> None:
    confusion = found.confusion
    if confusion is None:
        raise PictureError("there are no classes to compare")
    counts, names = confusion.to_numpy(), [literal(name) for name in found.classes]
    image = axes.imshow(counts, cmap="Blues", vmin=0)
    axes.set(xlabel="predicted class", ylabel="class")
    if len(names) <= _NUMBERED:
        axes.set_xticks(range(len(names)), labels=names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), labels=names)
        for (row, column), count in zip(
            ((r, c) for r in range(len(names)) for c in range(len(names))), counts.flat, strict=True
        ):
            colour = "white" if count > counts.max() / 2 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    figure.colorbar(image, ax=axes, label="rows", ticks=MaxNLocator(integer=True))


def _values(axes: Axes, found: Predictions, name: str) -> None:
    true, said = found.table[name], found.table[f"{name} predicted"]
    axes.plot(true, said, "o", markersize=3, alpha=0.6)
    ends = [min(true.min(), said.min()), max(true.max(), said.max())]
    axes.plot(ends, ends, color="0.6", linewidth=1, label="predicted = true")
    axes.set(xlabel=literal(name), ylabel=literal(f"{name} predicted"))
    axes.grid(alpha=0.3)
    axes.legend()
