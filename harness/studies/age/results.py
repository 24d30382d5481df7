"""Results of looks at an aged network: means over chips, and a folder with table, figures and picture."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev

from harness.files.reading import JsonObject
from harness.files.writing import whole_folder, write_atomic
from harness.studies.age.measuring import COLUMNS, Look

HEADINGS = {
    "chip": "chip seed",
    "seconds": "time (s)",
    "loss": "loss (V²)",
    "cosine": "gradient cosine",
    "output_error": "output error (V)",
    "left": "conductance left",
}
"""Headings of the columns that are not called like their field."""
TABLE, FIGURES, PICTURE = "ageing.csv", "ageing.json", "ageing.png"
"""Files of the folder."""


@dataclass(frozen=True)
class Mean:
    """Figures of one use at one time, over all chips."""

    use: str
    seconds: float
    values: dict[str, tuple[float, ...]]
    """A value for each chip that has one, by the name of the column."""

    def mean(self, name: str) -> float | None:
        """Return the mean of a column; None where no chip has a value."""
        return fmean(self.values[name]) if self.values[name] else None

    def spread(self, name: str) -> float | None:
        """Return the standard deviation over chips; None for one chip."""
        return stdev(self.values[name]) if len(self.values[name]) > 1 else None


MEASURED = ("accuracy", "loss", "cosine", "output_error", "left", "refreshes")
"""Columns that are averaged."""


def means(found: Sequence[Look]) -> list[Mean]:
    """Return a mean for each use and time, in their order."""
    groups: dict[tuple[str, float], list[Look]] = {}
    for look in found:
        groups.setdefault((look.use, look.seconds), []).append(look)
    return [
        Mean(use, seconds, {name: _known(some, name) for name in MEASURED}) for (use, seconds), some in groups.items()
    ]


def _known(found: Sequence[Look], name: str) -> tuple[float, ...]:
    return tuple(float(value) for look in found if (value := getattr(look, name)) is not None)


def as_object(found: Sequence[Look]) -> JsonObject:
    """Return all looks, and the means over chips, as plain data."""
    told = [
        {"use": one.use, "seconds": one.seconds, **{name: one.mean(name) for name in MEASURED}} for one in means(found)
    ]
    return {"looks": [asdict(look) for look in found], "means": told}


def as_table(found: Sequence[Look], score: str) -> str:
    """Return all looks as a CSV file; what is called accuracy has the name `score`."""
    file = io.StringIO()
    written = csv.writer(file, lineterminator="\n")
    written.writerow([score if name == "accuracy" else HEADINGS.get(name, name) for name in COLUMNS])
    for look in found:
        written.writerow(["" if (value := getattr(look, name)) is None else value for name in COLUMNS])
    return file.getvalue()


def write(folder: Path, found: Sequence[Look], about: JsonObject, score: str, picture: bytes) -> None:
    """Write table, figures and picture into a folder that appears whole.

    Raises:
        FileExistsError: something is there.
        OSError: the folder cannot be written.
    """
    figures = json.dumps({**about, "score": score, **as_object(found)}, indent=2, ensure_ascii=False) + "\n"
    with whole_folder(folder) as part:
        write_atomic(part / TABLE, as_table(found, score).encode())
        write_atomic(part / FIGURES, figures.encode())
        write_atomic(part / PICTURE, picture)
