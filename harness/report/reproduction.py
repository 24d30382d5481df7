"""Claims and what was measured of them as one HTML page, by the template ``reproduction.html``."""

from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined

import harness
from harness.report.figures import Series, places, places_png
from harness.studies.reproduce.claim import Claim, Effort, Found, shown, table
from harness.studies.reproduce.running import Result
from harness.wording import counted

_SHOWN = 3
"""Figures of a claim in the table of all claims."""


def render(title: str, results: Sequence[Result], effort: Effort) -> str:
    """Return the page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    folder = resources.files("harness.report")
    return environment.from_string((folder / "reproduction.html").read_text(encoding="utf-8")).render(
        title=title,
        form=effort.form,
        about=counted(len(results), "claim"),
        results=results,
        in_a_line=in_a_line,
        table_of=_table_of,
        draw=_draw,
        style=(folder / "style.css").read_text(encoding="utf-8").strip(),
        version=harness.__version__,
    )


def in_a_line(result: Result) -> str:
    """Return the first and the last figures of a claim, as much as a cell of a table takes."""
    if result.found is None:
        return result.why or result.verdict.value
    unit, every = result.claim.unit, result.found.figures
    some = every if len(every) <= _SHOWN else (every[0], every[-1])
    told = [f"{_place(f.x)}{f', {f.series}' if f.series else ''}: {shown(f.mean, unit)}" for f in some]
    return "; ".join(told) if len(told) == len(every) else " … ".join(told)


def _place(x: float | str) -> str:
    return x if isinstance(x, str) else f"{x:.4g}"


def _table_of(claim: Claim, found: Found) -> tuple[list[str], list[list[str]]]:
    return table(found, claim.unit, claim.rows)


def picture(claim: Claim, found: Found) -> bytes:
    """Return a claim's figures as a picture, PNG."""
    return places_png(_series(claim, found), claim.rows, claim.unit)


def _draw(claim: Claim, found: Found, number: int) -> str:
    return places(_series(claim, found), f"claim{number}", claim.rows, claim.unit, claim.sentence)


def _series(claim: Claim, found: Found) -> Series:
    percent = 100.0 if claim.unit == "%" else 1.0
    return {
        (name or "measured"): (
            [(_number(f.x), [percent * value for value in f.values]) for f in found.along(name)],
            any(f.control for f in found.along(name)) and not all(f.control for f in found.figures),
        )
        for name in found.series
    }


def _number(x: float | str) -> float | str:
    """Return a place as a number where it is one; sweeps write lists of one number as texts."""
    try:
        return float(x)
    except ValueError:
        return x
