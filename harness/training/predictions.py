"""Predictions of a circuit for rows of data, in the data's own words and units."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.datasets import Samples, Scaling, Split
from harness.files.reading import JsonObject
from harness.learning.costs import Cost
from harness.measurement import Array
from harness.training.controller import Evaluation

if TYPE_CHECKING:  # a run is trained without it, and it takes a quarter of a second to import
    import pandas as pd

PARTS = {"train": "training", "test": "held out", "new": "new data"}
"""Names of a data set's parts in results, and what people call them."""
_TRUE, _SAID = "class", "predicted"
"""Columns of the true and of the predicted class."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """A network's answers to some rows: classes with their margins, or values in their own unit."""

    rows: Samples
    outputs: Array
    """V, ``[rows, outputs]``."""
    classes: tuple[str, ...]
    """One name per output: a class, or a value."""
    scaling: Scaling | None
    """Scaling of volts to values; None where outputs stand for classes."""

    @cached_property
    def table(self) -> "pd.DataFrame":
        """A row for each sample: its line in a file of one's own, the truth where it is known, and the prediction.

        The margin is the largest output less the next one, V. The outputs of classes follow, V; values are in their
        own unit.
        """
        import pandas as pd  # noqa: PLC0415 - see above

        count = len(self.outputs)
        columns: dict[str, Any] = {}
        if self.rows.lines is None:
            columns["sample"] = np.arange(1, count + 1)
        else:
            columns[self.rows.counted] = self.rows.lines
        return pd.DataFrame(columns | (self._classes() if self.scaling is None else self._values(self.scaling)))

    def _classes(self) -> dict[str, Any]:
        names, ordered = np.array(self.classes, object), np.sort(self.outputs, axis=1)
        true = {_TRUE: names[self.rows.targets.argmax(axis=1)]} if self.rows.answered else {}
        said = {_SAID: names[self.outputs.argmax(axis=1)], "margin (V)": ordered[:, -1] - ordered[:, -2]}
        return true | said | {f"output {name} (V)": self.outputs[:, k] for k, name in enumerate(self.classes)}

    def _values(self, scaling: Scaling) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        true, said = scaling.values(self.rows.targets), scaling.values(self.outputs)
        for k, name in enumerate(self.classes):
            columns |= {name: true[:, k]} if self.rows.answered else {}
            columns |= {f"{name} predicted": said[:, k]}
        return columns

    @property
    def confusion(self) -> "pd.DataFrame | None":
        """Rows of each true class (index) that were taken for each class (columns); None without true classes."""
        if self.scaling is not None or not self.rows.answered:
            return None
        import pandas as pd  # noqa: PLC0415 - see above

        size = len(self.classes)
        pairs = self.rows.targets.argmax(axis=1) * size + self.outputs.argmax(axis=1)
        counts = np.bincount(pairs, minlength=size * size).reshape(size, size)
        names = list(self.classes)
        return pd.DataFrame(counts, pd.Index(names, name=_TRUE), pd.Index(names, name=_SAID))

    def figures(self, cost: Cost) -> JsonObject:
        """Return how many rows there are and, where the truth is known, loss, score, and errors of values."""
        found: JsonObject = {"samples": len(self.outputs)}
        if not self.rows.answered:
            return found
        targets = self.rows.targets
        found |= {
            "accuracy": cost.score(self.outputs, targets),
            "loss": float(cost.values(self.outputs, targets).mean()),
        }
        if self.scaling is not None:
            errors = self.scaling.errors(self.outputs, targets).tolist()
            found["value_errors"] = dict(zip(self.classes, errors, strict=True))
        if (confusion := self.confusion) is not None:
            found["confusion"] = {"classes": list(self.classes), "counts": confusion.to_numpy().tolist()}
        return found


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
    """Return a CSV file with a row for each sample: its part, and what `Predictions.table` says of it."""
    import pandas as pd  # noqa: PLC0415 - see above

    frames = []
    for part, one in found.items():
        frame = Predictions(_rows(data, part, one), one.outputs, data.classes, data.scaling).table
        frames.append(pd.concat([pd.Series(PARTS[part], frame.index, name="rows"), frame], axis="columns"))
    return pd.concat(frames).to_csv(index=False).encode()


def _rows(data: Split, part: str, found: Evaluation) -> Samples:
    """The samples that were evaluated: the first ones of a part."""
    return data.parts[part].first(len(found.outputs))
