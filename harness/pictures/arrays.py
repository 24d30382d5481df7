"""Arrays of cells as heat maps."""

from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from harness.circuit import Convolution, Crossbar


def draw_cells(axes: Axes, array: Crossbar | Convolution, *, units: tuple[str, str] = ("", "")) -> AxesImage:
    """Draw the conductances (S) of an array, word lines down and bit lines across: see `Convolution.table`.

    `units` are said behind the numbers of word and bit lines in the title.
    """
    cells, where = array.conductances, ""
    words, bits = cells.shape if isinstance(array, Crossbar) else array.grid[1:]
    if isinstance(array, Convolution):
        cells = array.table
        where = f", mean of {array.positions} positions" if array.tied else f" at {array.positions} positions"
    image = axes.imshow(cells, aspect="auto", interpolation="nearest", cmap="viridis")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    title = f"{array.name}: {words}{units[0]} × {bits}{units[1]}{where}"
    axes.set(title=title, xlabel="bit line", ylabel="word line")
    return image
