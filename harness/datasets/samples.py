"""What every data set becomes: arrays in volts, split into rows to train on and rows that are held out."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.measurement import Array, Batch, Index

Codes = Array | npt.NDArray[np.uint8]
"""Values as the data set gives them: numbers, or pixels 0…255."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows that can be drawn as batches; a code c becomes (c − centre)/width V when it is drawn.

    Images stay bytes: as volts, 70,000 of 784 pixels would take 440 MB.
    """

    codes: Codes
    """``[samples, channels]``."""
    targets: Array
    """V at the outputs, ``[samples, outputs]``."""
    centre: Array
    """The code of 0 V, ``[channels]``."""
    width: Array
    """Codes per volt, ``[channels]``."""

    def __len__(self) -> int:
        return len(self.codes)

    def batch(self, rows: Index | slice) -> Batch:
        """The samples in `rows`, in that order, in volts."""
        return Batch((self.codes[rows] - self.centre) / self.width, self.targets[rows])

    def first(self, count: int) -> "Samples":
        """At most so many rows from the start."""
        return replace(self, codes=self.codes[:count], targets=self.targets[:count])


@dataclass(frozen=True, eq=False)
class Split:
    """A data set as an experiment uses it."""

    train: Samples
    test: Samples
    classes: tuple[str, ...]
    """One name per output."""
    valued: bool = False
    """Whether targets are values, not classes."""

    @property
    def score(self) -> str:
        """What an accuracy of these rows is: the share of right classes, or R² where targets are values."""
        return "R²" if self.valued else "accuracy"

    @property
    def channels(self) -> int:
        """Input channels."""
        return self.train.codes.shape[1]
