"""A claim: a sentence that somebody printed, and a measurement that may speak against it.

A claim of a paper and a finding of this project's documentation are the same thing here. Both have a measurement with
seeds and a control, a criterion that is written down before anything is measured, and a command that a reader can type.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Self

from harness.errors import HarnessError, RunError
from harness.files.reading import JsonObject
from harness.units import show

STUDIED = ""
"""Series of what is studied, where there is only one such series."""


class StoppedError(HarnessError):
    """A measurement was stopped before its end; what it has finished lies in its folder."""


@dataclass(frozen=True)
class Effort:
    """The effort of a measurement: where its runs lie, how long it may be, and what simulates."""

    folder: Path
    """Folder for runs; a measurement that is repeated there goes on with what it finds."""
    full: bool = False
    """True for the figures that count; False for a short form of seconds, which shows that everything runs."""
    chip: str = "nodal"
    """Kind of the chip, as `chip.kind` takes it; nothing for the one that each claim names."""
    workers: int = 1
    stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = lambda _: None

    @property
    def form(self) -> str:
        """The name of the form."""
        return "full" if self.full else "short"

    def check(self) -> None:
        """Refuse to go on after Ctrl-C.

        Raises:
            StoppedError: it was pressed.
        """
        if self.stop():
            raise StoppedError("stopped")


@dataclass(frozen=True)
class Figure:
    """One figure: a value for each seed at one place of a table or a picture."""

    series: str
    """A column of the table, a line of the picture."""
    x: float | str
    """A row of the table, a place on the picture's axis."""
    values: tuple[float, ...]
    """One for each seed, in SI units."""
    control: bool = False
    """True for what is measured to rule out another reason."""

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return fmean(self.values)

    @property
    def spread(self) -> float:
        """The standard deviation over the seeds; 0 for one seed."""
        return stdev(self.values) if len(self.values) > 1 else 0.0

    def to_json(self) -> JsonObject:
        """Return it as plain data."""
        return {"series": self.series, "x": self.x, "values": list(self.values), "control": self.control}

    @classmethod
    def from_json(cls, found: Any, place: str) -> Self:
        """Read what `to_json` returned.

        Raises:
            RunError: something else stands there.
        """
        try:
            series, x, values, control = (found[name] for name in ("series", "x", "values", "control"))
        except (TypeError, KeyError, IndexError) as error:
            raise RunError(f"{place}: a figure is damaged: {error!r}") from error
        numbers = isinstance(values, list) and values and all(map(_is_number, values))
        if not (isinstance(series, str) and (isinstance(x, str) or _is_number(x)) and numbers):
            raise RunError(f"{place}: a figure is damaged: {str(found)[:100]}")
        return cls(series, x, tuple(map(float, values)), control is True)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


Figures = tuple[Figure, ...]


@dataclass(frozen=True)
class Claim:
    """A sentence, where it is from, and how it is measured."""

    name: str
    """Letters and hyphens: the name that the command line takes and that its files have."""
    sentence: str
    source: str
    """The paper, and in words what part of it says so; the page of the documentation for a finding."""
    criterion: str
    """Words for `holds`."""
    holds: Callable[["Found"], bool]
    """Returns whether the figures agree with the sentence."""
    measure: Callable[[Effort], Figures]
    """Measures the figures; raises `StoppedError` after Ctrl-C."""
    rows: str
    """Title of the rows, and of the axis of the picture."""
    seeds: str
    """Seeds of the full form, in words such as ``0–2``; the short form has seed 0."""
    unit: str = "%"
    """Unit of the figures: ``%`` (of shares, 0…1), ``V²``, ``V`` or nothing."""
    theirs: str = ""
    """The paper's own figure; nothing where it gives none."""
    command: str = ""
    """A command, or words on the functions, by which a reader measures the same."""
    control: str = ""
    """Words for the control."""
    note: str = ""
    """A remark for readers of the figures, such as where the short form differs."""
    tolerance: float = 0.01
    """Distance from a recorded figure that is still the same figure: a share of it, but for ``%`` an absolute share."""
    settings: Callable[[], str] = field(default=lambda: "", repr=False)
    """Returns a digest of the experiments that it measures; another one makes recorded figures stale."""
    chip: str = "nodal"
    """Kind of the chip of the full form, where none is asked for; the short form takes the nodal chip."""
    brief: bool = True
    """False where there is no short form, because each training takes minutes."""

    def seeds_in(self, form: str) -> str:
        """Return the seeds of a form, in words."""
        return self.seeds if form == "full" else "0"


@dataclass(frozen=True)
class Found:
    """The figures of a claim, with what is needed to judge and to repeat them."""

    claim: str
    figures: Figures
    form: str
    """``full`` or ``short``."""
    chip: str
    version: str
    seconds: float
    date: str
    """Day on which it was measured, such as ``2026-11-28``."""
    settings: str
    """Digest of the settings of all experiments behind it, those of the full form."""

    def of(self, series: str, x: float | str | None = None) -> Figure:
        """Return the only figure of a series, or that at a place.

        Raises:
            LookupError: there is no such figure.
        """
        found = [f for f in self.figures if f.series == series and (x is None or f.x == x)]
        if len(found) != 1:
            raise LookupError(f"{self.claim}: {len(found)} figures of {series!r} at {x!r}")
        return found[0]

    def along(self, series: str) -> list[Figure]:
        """Return all figures of a series in their order."""
        return [figure for figure in self.figures if figure.series == series]

    @property
    def series(self) -> list[str]:
        """The series in their order."""
        return list(dict.fromkeys(figure.series for figure in self.figures))

    @property
    def places(self) -> list[float | str]:
        """The places in their order."""
        return list(dict.fromkeys(figure.x for figure in self.figures))

    def to_json(self) -> JsonObject:
        """Return it as plain data."""
        return {**vars(self), "figures": [figure.to_json() for figure in self.figures]}

    @classmethod
    def from_json(cls, found: JsonObject, place: str) -> Self:
        """Read what `to_json` returned.

        Raises:
            RunError: something else stands there.
        """
        texts = [found.get(name) for name in ("claim", "form", "chip", "version", "date", "settings")]
        seconds, figures = found.get("seconds"), found.get("figures")
        if not (
            all(isinstance(t, str) for t in texts) and _is_number(seconds) and isinstance(figures, list) and figures
        ):
            raise RunError(f"{place} is no result of a claim; remove it to measure again")
        claim, form, chip, version, date, settings = map(str, texts)
        read = tuple(Figure.from_json(figure, place) for figure in figures)
        return cls(claim, read, form, chip, version, float(str(seconds)), date, settings)


def shown(value: float, unit: str) -> str:
    """Return a figure as tables show it."""
    if unit == "%":
        return f"{100 * value:.1f} %"
    if unit == "V":
        return show(value, "V", 2)
    if unit in ("V²", "relative"):
        return f"{value:.1e}{f' {unit}' if unit == 'V²' else ''}"
    return f"{value:.4g}"


def table(found: Found, unit: str, rows: str) -> tuple[list[str], list[list[str]]]:
    """Return the titles and the rows of a claim's table, means over seeds with standard deviations."""
    titles = [rows, *(name or "measured" for name in found.series)]
    cells: dict[float | str, list[str]] = {}
    for x in found.places:
        line = [[figure for figure in found.along(name) if figure.x == x] for name in found.series]
        cells[x] = [_mean(figures[0], unit) if figures else "–" for figures in line]
    return titles, [[f"{x:.4g}" if isinstance(x, float) else str(x), *line] for x, line in cells.items()]


def _mean(figure: Figure, unit: str) -> str:
    text = shown(figure.mean, unit)
    if len(figure.values) == 1:
        return text
    spread = shown(figure.spread, unit).removesuffix(f" {unit}") if unit in ("%", "V²") else shown(figure.spread, unit)
    return f"{text.removesuffix(f' {unit}')} ± {spread}{f' {unit}' if text.endswith(f' {unit}') else ''}"


def in_order(found: Sequence[Figure], *, rising: bool = True, slack: float = 0.0) -> bool:
    """Return whether means rise (or fall) from figure to figure, up to some slack."""
    means = [figure.mean if rising else -figure.mean for figure in found]
    return all(later >= earlier - slack for earlier, later in pairwise(means))
