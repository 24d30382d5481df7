"""Predictions of a circuit for every row of its data, in the data's own words and units."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from harness.datasets import Samples, Split
from harness.files.reading import JsonObject
from harness.measurement import Array
from harness.training.controller import Evaluation

PARTS = {"train": "training", "test": "held out", "new": "new data"}
"""Names of a data set's parts in results, and what people call them."""


def value_errors(data: Split, found: Mapping[str, Evaluation]) -> JsonObject:
    """Return what a result says of values: the root of the mean squared error of each, in its own unit, by part.

    Nothing where targets mark classes.
    """
    if data.scaling is None:
        return {}
    errors = {part: data.scaling.errors(one.outputs, _rows(data, part, one).targets) for part, one in found.items()}
    by_value = {name: {part: float(error[k]) for part, error in errors.items()} for k, name in enumerate(data.classes)}
    return {"value_errors": by_value}


def predictions(data: Split, found: Mapping[str, Evaluation]) -> bytes:
    """Return a CSV file with a row for each sample: its part, its line in a file of one's own, truth and prediction.

    Values are in their own unit; where there are classes, the outputs follow in V.
    """
    frames = [_frame(data, part, _rows(data, part, one), one.outputs) for part, one in found.items()]
    return pd.concat(frames).to_csv(index=False).encode()


def _rows(data: Split, part: str, found: Evaluation) -> Samples:
    """The samples that were evaluated: the first ones of a part."""
    return data.parts[part].first(len(found.outputs))


def _frame(data: Split, part: str, rows: Samples, outputs: Array) -> pd.DataFrame:
    lines = np.arange(1, len(rows) + 1) if rows.lines is None else rows.lines
    columns: dict[str, Any] = {"rows": PARTS[part], "sample" if rows.lines is None else "line": lines}
    if data.scaling is None:
        names = np.array(data.classes, object)
        columns |= {"class": names[rows.targets.argmax(axis=1)], "predicted": names[outputs.argmax(axis=1)]}
        columns |= {f"output {name} (V)": outputs[:, k] for k, name in enumerate(data.classes)}
    else:
        truth, said = data.scaling.values(rows.targets), data.scaling.values(outputs)
        for k, name in enumerate(data.classes):
            columns |= {name: truth[:, k], f"{name} predicted": said[:, k]}
    return pd.DataFrame(columns)
