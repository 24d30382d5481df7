"""The style of pictures: Matplotlib's own and without a screen, whatever the user's settings of it are."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from harness.errors import HarnessError, PictureError

Form = Literal["png", "svg"]


@contextmanager
def own_style(changes: Any = None, *, salt: str = "harness") -> Iterator[None]:
    """Draw with Matplotlib's defaults, and put the user's settings back afterwards; decorates functions, too.

    Args:
        changes: settings that differ from the defaults.
        salt: what ids in SVG files are made from; equal figures of an equal salt have equal bytes.

    Raises:
        PictureError: Matplotlib failed.
    """
    with mpl.rc_context(), warnings.catch_warnings():
        for category in (UserWarning, RuntimeWarning):  # of names that its font lacks, of values off every scale
            warnings.simplefilter("ignore", category)
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.hashsalt": salt} | (changes or {}))
        try:
            yield
        except HarnessError:
            raise
        except Exception as error:
            raise PictureError(f"the picture cannot be drawn ({type(error).__name__}: {error})") from error


def as_bytes(figure: Figure, form: Form = "png") -> bytes:
    """Return a picture's file; equal figures give equal bytes."""
    buffer = io.BytesIO()
    if form == "svg":
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    else:
        FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def literal(text: str) -> str:
    """Return a name from outside so that a dollar sign in it begins no formula."""
    return text.replace("$", r"\$")
