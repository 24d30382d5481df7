"""Recorded figures in the pages and in README: tables and pictures that are written, and sentences that are compared.

``make figures`` writes tables and pictures from what ``harness reproduce --record`` recorded. A table stands between
``<!-- figures: GROUP/NAME -->`` and ``<!-- end of figures -->``; that of a whole group has its name alone. Sentences
are written by hand; `tests.test_figures` compares their figures.
"""

import re

from harness.report.reproduction import picture
from harness.studies.reproduce import recorded
from harness.studies.reproduce.catalog import GROUPS, every_claim
from harness.studies.reproduce.claim import Claim, Found, table
from harness.studies.reproduce.packaged import LINEAR, UNTRAINED
from tests.pages import PAGES

PAGES_WITH_FIGURES = [PAGES / "findings.md", PAGES / "physics" / "johnson-noise.md"]
PICTURES = {
    "line-resistance.png": "findings/line-resistance",
    "read-out.png": "findings/read-out",
    "nonlinear-updates.png": "findings/nonlinear-updates",
    "bias-floor.png": "findings/bias-floor",
    "gate-voltage.png": "findings/gate-voltage",
}
"""Pictures that are drawn from recorded figures."""
PLACE = re.compile(r"(<!-- figures: ([\w/-]+) -->\n\n).*?(<!-- end of figures -->)", re.S)
_FINE = 0.005
"""Tolerance of a share below which it is shown with two decimals of a per cent."""


def written(text: str) -> str:
    """Return a page with its tables as they are recorded."""
    return PLACE.sub(lambda place: place[1] + table_of(place[2]) + "\n\n" + place[3], text)


def table_of(name: str) -> str:
    """Return the table of a claim with its seeds, control and command, or that of a group."""
    return _packaged() if name in GROUPS else _of_claim(name)


def full(key: str) -> Found:
    """Return the recorded figures of a claim in full form."""
    found = recorded.recorded(key, "full")
    if found is None:
        raise KeyError(f"{key} is not recorded; harness reproduce {key} --record measures it")
    return found


def _of_claim(key: str) -> str:
    claim, found = every_claim()[key], full(key)
    titles, rows = table(found, claim.unit, claim.rows) if claim.unit != "V²" else _by_seed(claim, found)
    measured = f"Seeds {claim.seeds}, on the {found.chip} chip, {found.date}. Control: {claim.control}."
    commands = f"`harness reproduce {key}` measures it" + (f", from `{claim.command}`." if claim.command else ".")
    note = [claim.note] if claim.note else []
    return "\n".join([*_lines([titles, ["---"] * len(titles), *rows]), "", " ".join([measured, commands, *note])])


def _by_seed(claim: Claim, found: Found) -> tuple[list[str], list[list[str]]]:
    """Return a table of losses with a figure for each seed, since they differ by powers of ten."""
    cells = [
        [", ".join(f"{value:.1e}" for value in found.of(name, x).values) for name in found.series] for x in found.places
    ]
    titles = [f"{name or 'measured'} (V²)" for name in found.series]
    return [claim.rows, *titles], [[f"{x:g}", *row] for x, row in zip(found.places, cells, strict=True)]


def _packaged() -> str:
    titles = ["trained by", "chip", "seeds", "held-out rows", UNTRAINED, LINEAR, "recorded"]
    rows = [_row(claim, full(key)) for key, claim in every_claim().items() if key.startswith("packaged/")]
    return "\n".join(_lines([titles, ["---"] * len(titles), *rows]))


def _row(claim: Claim, found: Found) -> list[str]:
    series = (found.along(name) for name in ("", UNTRAINED, LINEAR))
    scores = [score(claim, figures[0].values) if figures else "–" for figures in series]
    return [f"`{claim.command}`", found.chip, claim.seeds, *scores, found.date]


def score(claim: Claim, values: tuple[float, ...], *, each: bool = True) -> str:
    """Return the mean of scores as pages show it, with that of each seed where they differ."""
    digits = 2 if claim.tolerance < _FINE else 1
    told = [f"{100 * v:.{digits}f}" if claim.unit == "%" else f"{v:.3f}" for v in (sum(values) / len(values), *values)]
    all_of_them = f" ({', '.join(told[1:])})" if each and len(set(told)) > 1 else ""
    return (f"{told[0]} %" if claim.unit == "%" else f"R² {told[0]}") + all_of_them


def _lines(rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in rows]


def main() -> None:
    """Write the tables and the pictures."""
    for page in PAGES_WITH_FIGURES:
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
    for name, key in PICTURES.items():
        (PAGES / "pictures" / name).write_bytes(picture(every_claim()[key], full(key)))


if __name__ == "__main__":
    main()
