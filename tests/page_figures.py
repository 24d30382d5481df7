"""The tables of the page on what was found, written from the recorded figures.

``make figures`` writes them. A table stands between ``<!-- figures: GROUP/NAME -->`` and ``<!-- end of figures -->``.
"""

import re
from pathlib import Path

from harness.studies.reproduce import recorded
from harness.studies.reproduce.catalog import every_claim
from tests.pages import PAGES

PAGE = PAGES / "findings.md"
_PLACE = re.compile(r"(<!-- figures: ([\w/-]+) -->\n\n).*?(\n\n<!-- end of figures -->)", re.S)


def written(text: str) -> str:
    """Return a page with its tables as they are recorded."""

    def table(place: re.Match[str]) -> str:
        key = place[2]
        found = recorded.recorded(key, "full")
        if found is None:
            raise KeyError(f"{key} is not recorded; harness reproduce {key} --record measures it")
        return place[1] + recorded.markdown(every_claim()[key], found) + place[3]

    return _PLACE.sub(table, text)


def main(page: Path = PAGE) -> None:
    """Write the tables."""
    page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
