"""Other rows for a trained network: they are encoded as its training rows were, and not split."""

from dataclasses import replace

import numpy as np

from harness.datasets.csv_files import CsvFile, read_csv
from harness.datasets.samples import Encoding, Samples, Split
from harness.datasets.splitting import far_cells
from harness.datasets.tables import Origin, Table
from harness.units import show
from harness.wording import listed

_LARGEST_INPUT = 5.0
"""V at an input: the package's own sets that are volts have none beyond 1 V."""
_FAR = 100.0
"""V at an output: values beyond it are in another unit than those of the training rows, or of another kind."""


def new_rows(source: CsvFile, encoding: Encoding) -> Split:
    """Read all rows of a file as new data; inputs are found by their headings, and further columns are not read.

    `encoding` was fitted on the training rows. Where the file has neither the label nor the values, targets are NaN.

    Raises:
        DataError: the file is no table, lacks a column or a cell, has a class that the network does not know, or a cell
            that is no number, or so far from the training rows that no circuit settles; names the line.
    """
    table = read_csv(replace(source, inputs=encoding.channels, ignore=()), encoding.classes)
    found = encoded(table, encoding, str(source.file))
    if table.answered:
        return found
    lacking = (
        f"no column {listed([repr(name) for name in source.wanted])}: there is nothing to compare predictions with"
    )
    return replace(found, notes=(*found.notes, lacking))


def encoded(table: Table, encoding: Encoding, title: str) -> Split:
    """Return the rows of a table as new data with a title, encoded as training rows were.

    Raises:
        DataError: a cell is so far from the training rows that no circuit settles; names it.
    """
    origin, labels = table.origin, table.labels if table.answered else None
    lines, word = (None, "line") if origin is None else (origin.lines, origin.counted)
    rows = encoding.samples(table.features, labels, table.values, lines, word)
    notes: tuple[str, ...] = ()
    if origin is not None:
        notes = (*origin.notes, *far_cells(origin, rows.codes, rows.centre, rows.width), *_far_volts(rows, origin))
    notes = (*notes, *_far_values(rows, encoding))
    return Split(rows, rows, encoding.classes, encoding.scaling, notes, encoding, title)


def _far_volts(rows: Samples, origin: Origin) -> tuple[str, ...]:
    """Return a note on the largest input of a set whose columns are volts already, if no such set has one like it."""
    if rows.centre.any() or (rows.width != 1).any():
        return ()
    row, at = np.unravel_index(int(np.argmax(np.abs(rows.codes))), rows.codes.shape)
    volts = float(rows.codes[row, at])
    if abs(volts) <= _LARGEST_INPUT:
        return ()
    place = f"{origin.counted} {origin.lines[row]}, column {origin.channels[at]!r}"
    return (f"{place}: {volts:g} is taken as V, as the inputs of the training rows are; are these in another unit?",)


def _far_values(rows: Samples, encoding: Encoding) -> tuple[str, ...]:
    """Return a note on the value that is farthest from what outputs can show, if it is far."""
    if encoding.scaling is None or rows.lines is None or not rows.answered:
        return ()
    row, at = np.unravel_index(int(np.argmax(np.abs(rows.targets))), rows.targets.shape)
    volts = float(rows.targets[row, at])
    if abs(volts) <= _FAR:
        return ()
    value = encoding.scaling.values(rows.targets)[row, at]
    place = f"{rows.counted} {rows.lines[row]}, column {encoding.classes[at]!r}"
    return (f"{place}: {value:.4g} would be {show(volts, 'V')} at its output; is it in the unit of the training rows?",)
