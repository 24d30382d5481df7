"""Rows of another file for a trained network: they are encoded as its training rows were, and not split."""

from dataclasses import replace

import numpy as np

from harness.datasets.csv_files import CsvFile, read_csv
from harness.datasets.samples import Encoding, Samples, Split
from harness.datasets.splitting import far_cells
from harness.units import show

_FAR = 100.0
"""V at an output: values beyond it are in another unit than those of the training rows, or of another kind."""


def new_rows(source: CsvFile, encoding: Encoding) -> Split:
    """Read all rows of a file as new data; inputs are found by their headings, and further columns are not read.

    `encoding` was fitted on the training rows.

    Raises:
        DataError: the file is no table, lacks a column or a cell, has a class that the network does not know, or a cell
            that is no number, or so far from the training rows that no circuit settles; names the line.
    """
    table = read_csv(replace(source, inputs=encoding.channels, ignore=()), encoding.classes)
    lines = None if table.origin is None else table.origin.lines
    rows = encoding.samples(table.features, table.labels, table.values, lines)
    notes: tuple[str, ...] = ()
    if table.origin is not None:
        notes = (*table.origin.notes, *far_cells(table.origin, rows.codes, rows.centre, rows.width))
    return Split(
        rows, rows, encoding.classes, encoding.scaling, (*notes, *_far_values(rows, encoding)), encoding, source.file
    )


def _far_values(rows: Samples, encoding: Encoding) -> tuple[str, ...]:
    """Return a note on the value that is farthest from what outputs can show, if it is far."""
    row, at = np.unravel_index(int(np.argmax(np.abs(rows.targets))), rows.targets.shape)
    volts = float(rows.targets[row, at])
    if encoding.scaling is None or abs(volts) <= _FAR or rows.lines is None:
        return ()
    value = encoding.scaling.values(rows.targets)[row, at]
    place = f"line {rows.lines[row]}, column {encoding.classes[at]!r}"
    return (f"{place}: {value:.4g} would be {show(volts, 'V')} at its output; is it in the unit of the training rows?",)
