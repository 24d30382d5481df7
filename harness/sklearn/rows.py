"""Rows that are given as arrays: as samples in volts, and as the CSV file that gives the same samples again."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.datasets import Encoding, Origin, Samples, Split, Table, split
from harness.errors import DataError
from harness.experiment.settings import Settings
from harness.files.reading import JsonObject
from harness.measurement import Array, Index

FILE = "data.csv"
"""The file in a run directory that holds the rows."""
_FARTHEST = 1e6
"""Standard deviations from the mean of the training rows, beyond which a cell is refused."""
_LABEL = "class"
_PLAIN = re.compile(r"\w(?:[^\x00-\x1f\x7f\"]{0,98}\w)?")
"""Names of columns that stand in a file as they are."""
_UNNAMED = re.compile(r"Unnamed: \d+")


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs with the class or the values that are wanted for them."""

    inputs: Array
    """In the unit of the data, ``[rows, channels]``."""
    names: tuple[str, ...]
    """Headings of the inputs."""
    outputs: tuple[str, ...]
    """Names of the classes, or of the values."""
    labels: Index
    """The number of each row's class, ``[rows]``; all 0 where there are values."""
    values: Array | None = None
    """In the unit of the data, ``[rows, outputs]``."""

    @property
    def wanted(self) -> JsonObject:
        """The keys of ``[data]`` that say what is to be learned."""
        if self.values is not None:
            return {"values": list(self.outputs), "scaled": True}
        return {"label": free_name(_LABEL, self.names), "labels": "as written"}

    def split(self, settings: Settings, file: Path) -> Split:
        """Return all rows as samples to train on, encoded as those of a CSV file.

        Raises:
            DataError: there is nothing to learn from the values.
        """
        origin = Origin(file, self.names, np.arange(2, len(self.inputs) + 2))
        table = Table(self.inputs, self.labels, self.outputs, standardise=True, values=self.values, origin=origin)
        scaled = None if self.values is None else True
        return split(table, held_out=0, seed=settings.split_seed, levels=settings.data.targets, scaled=scaled)

    def csv(self) -> bytes:
        """Return the CSV file that gives the same numbers again, bit for bit."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if self.values is None:
            writer.writerow([*self.names, self.wanted["label"]])
            found = ([self.outputs[label]] for label in self.labels)
        else:
            writer.writerow([*self.names, *self.outputs])
            found = (row.tolist() for row in self.values)
        writer.writerows([*row.tolist(), *wanted] for row, wanted in zip(self.inputs, found, strict=True))
        return text.getvalue().encode()


def headings(given: Sequence[object] | None, count: int) -> tuple[str, ...]:
    """Return headings of the inputs: the names that they have, or ``x0``, ``x1`` … where a file cannot hold these."""
    names = [] if given is None else [str(name) for name in given]
    plain = all(_PLAIN.fullmatch(name) and not _UNNAMED.fullmatch(name) for name in names)
    if len(set(names)) == count and plain:
        return tuple(names)
    return tuple(f"x{k}" for k in range(count))


def free_name(wanted: str, taken: Sequence[str]) -> str:
    """Return a heading that no other column has."""
    while wanted in taken:
        wanted += "_"
    return wanted


def samples_of(inputs: Array, encoding: Encoding) -> Samples:
    """Return inputs (in the unit of the data, ``[rows, channels]``) as samples of which nothing is wanted.

    Raises:
        DataError: a cell is so far from the training rows that no input pin can show it.
    """
    refuse_far(inputs, encoding)
    return Samples(inputs, np.zeros((len(inputs), len(encoding.classes))), encoding.centre, encoding.width)


def refuse_far(inputs: Array, encoding: Encoding) -> None:
    """Refuse a cell that is so far from the training rows that no input pin can show it.

    Raises:
        DataError: names row and column.
    """
    distances = np.abs(inputs - encoding.centre) / encoding.width
    if (far := distances > _FARTHEST).any():
        row, at = np.argwhere(far)[0]
        raise DataError(
            f"row {row}, column {encoding.channels[at]!r}: {inputs[row, at]:g} is {distances[row, at]:.3g} standard "
            "deviations from the mean of the training rows, which no input pin can show; is it in another unit?"
        )
