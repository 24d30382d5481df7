"""Data sets as arrays in volts, split into rows to train on and rows that are held out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness.measurement import Array, Batch, Index

Codes = Array | npt.NDArray[np.uint8]
"""Values as the data set gives them: numbers, or pixels 0…255."""


@dataclass(frozen=True)
class Translation:
    """Random translations of images by whole pixels, along both axes; pixels that come into view are blank."""

    pixels: int
    """The largest one, along each axis."""
    image: tuple[int, int]
    """Height and width of an image, in pixels."""
    blank: float
    """The code of a blank pixel."""

    def __post_init__(self) -> None:
        """Refuse translations that can move all of an image out of sight.

        Raises:
            DataError: the largest translation is not below the shorter side of an image, or it is negative.
        """
        shorter = min(self.image)
        if not 0 <= self.pixels < shorter:
            size = "×".join(map(str, self.image))
            raise DataError(
                f"data.translate = {self.pixels}: images of {size} pixels can move by 0…{shorter - 1} pixels"
            )

    def draw(self, rows: int, rng: np.random.Generator) -> Index:
        """Draw how far each of so many images moves down and to the right, in pixels, ``[rows, 2]``."""
        return rng.integers(-self.pixels, self.pixels, (rows, 2), endpoint=True)

    def moved(self, codes: Codes, moves: Index) -> Codes:
        """Return images (``[rows, pixels]``) that moved down and to the right (pixels, ``[rows, 2]``)."""
        height, width = self.image
        down = np.arange(height)[:, None] - moves[:, 0, None, None]
        right = np.arange(width) - moves[:, 1, None, None]
        seen = (down >= 0) & (down < height) & (right >= 0) & (right < width)
        images = codes.reshape(-1, height, width)
        found = images[np.arange(len(codes))[:, None, None], down % height, right % width]
        found[~seen] = self.blank
        return found.reshape(codes.shape)


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows that can be drawn as batches; a code c becomes (c − centre)/width V when it is drawn.

    Images stay bytes: as volts, 70,000 of 784 pixels would take 440 MB.
    """

    codes: Codes
    """``[samples, channels]``."""
    targets: Array
    """V at the outputs, ``[samples, outputs]``; NaN where nobody knows them, and rows are only to be predicted."""
    centre: Array
    """The code of 0 V, ``[channels]``."""
    width: Array
    """Codes per volt, ``[channels]``; infinite where a code says nothing."""
    lines: Index | None = None
    """The line that each row begins in, in a file of one's own, ``[samples]``."""
    counted: str = "line"
    """The word for an entry of `lines`: ``"line"``, or ``"row"`` of an array or data frame."""
    translation: Translation | None = None
    """Random translations of images while they are learned; None shows them as they are."""

    @property
    def answered(self) -> bool:
        """True where targets are known."""
        return not np.isnan(self.targets).any()

    def __len__(self) -> int:
        return len(self.codes)

    def batch(self, rows: Index | slice, moves: Index | None = None) -> Batch:
        """Return the samples in `rows`, in that order, in volts; with `moves`, as images that moved (see `moves`)."""
        codes = self.codes[rows]
        if moves is not None and self.translation is not None:
            codes = self.translation.moved(codes, moves[rows])
        return Batch((codes - self.centre) / self.width, self.targets[rows])

    def moves(self, rng: np.random.Generator) -> Index | None:
        """Draw how far each image moves, in pixels down and to the right, ``[samples, 2]``; None where none moves."""
        return None if self.translation is None else self.translation.draw(len(self), rng)

    def first(self, count: int) -> "Samples":
        """Return at most so many rows from the start."""
        lines = None if self.lines is None else self.lines[:count]
        return replace(self, codes=self.codes[:count], targets=self.targets[:count], lines=lines)


@dataclass(frozen=True, eq=False)
class Scaling:
    """A scaling between values and volts at the outputs: value = offset + per_volt · V."""

    offset: Array
    """The value at 0 V, ``[outputs]``."""
    per_volt: Array
    """``[outputs]``."""

    @classmethod
    def none(cls, outputs: int) -> "Scaling":
        """Return the scaling of values that are volts already."""
        return cls(np.zeros(outputs), np.ones(outputs))

    def volts(self, values: Array) -> Array:
        """Return values as V, ``[samples, outputs]``."""
        return np.asarray((values - self.offset) / self.per_volt)

    def values(self, volts: Array) -> Array:
        """Return volts in the unit of the data, ``[samples, outputs]``."""
        return np.asarray(self.offset + self.per_volt * volts)

    def errors(self, outputs: Array, targets: Array) -> Array:
        """Return the root mean squared error of each output (V) in the unit of the data, ``[outputs]``."""
        return np.asarray(self.per_volt * np.sqrt(((outputs - targets) ** 2).mean(axis=0)))


@dataclass(frozen=True, eq=False)
class Encoding:
    """An encoding of a file's rows as volts: fitted on the training rows, and kept for rows that come later."""

    channels: tuple[str, ...]
    """The heading of each input column."""
    filling: Array
    """The value that fills a missing cell, ``[channels]``."""
    centre: Array
    """As in `Samples`, ``[channels]``."""
    width: Array
    """As in `Samples`, ``[channels]``."""
    classes: tuple[str, ...]
    """One name per output."""
    levels: tuple[float, float]
    """V of a wrong and of the right output; without meaning where there are values."""
    scaling: Scaling | None
    """Scaling of values to targets; None where targets mark classes."""

    def samples(
        self, codes: Codes, labels: Index | None, values: Array | None, lines: Index | None, counted: str = "line"
    ) -> Samples:
        """Return rows in volts.

        Args:
            codes: inputs, NaN where one is missing, ``[samples, channels]``.
            labels: the class index of each row, ``[samples]``; None, with `values` None too, where nobody knows it.
            values: the wanted outputs where there are no classes, ``[samples, outputs]``.
            lines: the line that each row begins in, in a file of the user's own, ``[samples]``.
            counted: the word for an entry of `lines`.
        """
        if values is not None and self.scaling is not None:
            targets = self.scaling.volts(values)
        elif labels is not None:
            targets = one_hot(labels, len(self.classes), self.levels)
        else:
            targets = np.full((len(codes), len(self.classes)), np.nan)
        filled = np.where(np.isnan(codes), self.filling, codes)
        return Samples(filled, targets, self.centre, self.width, lines, counted)


def one_hot(labels: Index, classes: int, levels: tuple[float, float]) -> Array:
    """Return V at the outputs, ``[rows, classes]``: the second level at the row's class, the first elsewhere."""
    targets = np.full((len(labels), classes), levels[0])
    targets[np.arange(len(labels)), labels] = levels[1]
    return targets


@dataclass(frozen=True, eq=False)
class Split:
    """A data set as an experiment uses it."""

    train: Samples
    test: Samples
    classes: tuple[str, ...]
    """One name per output."""
    scaling: Scaling | None = None
    """Scaling of values to targets; None where targets mark classes."""
    notes: tuple[str, ...] = ()
    """Sentences about a file of one's own: how it was read, its columns, classes and parts."""
    encoding: Encoding | None = None
    """Encoding of these rows, by which rows that come later become volts; None where Python made the split without."""
    new: str | None = None
    """A name for new data, such as their file's path: a network that was trained on other rows is shown all of these,
    and none is held out."""

    @property
    def parts(self) -> Mapping[str, Samples]:
        """The rows by their role: ``"train"`` and ``"test"``, or ``"new"``."""
        return {"train": self.train, "test": self.test} if self.new is None else {"new": self.test}

    @property
    def valued(self) -> bool:
        """Targets are values, not classes."""
        return self.scaling is not None

    def sha256(self) -> str:
        """Return the hash of every row with its encoding and scaling, in the order of the split."""
        digest = sha256()
        for rows in (self.train, self.test):
            for part in (rows.codes, rows.centre, rows.width, rows.targets):
                digest.update(part.tobytes())
            if rows.translation is not None:
                digest.update(repr(rows.translation).encode())
        if self.scaling is not None and (self.scaling.offset.any() or (self.scaling.per_volt != 1).any()):
            digest.update(self.scaling.offset.tobytes() + self.scaling.per_volt.tobytes())
        return digest.hexdigest()

    @property
    def score(self) -> str:
        """The name of the score of these rows: accuracy, or R² where targets are values."""
        return "R²" if self.valued else "accuracy"

    @property
    def channels(self) -> int:
        """The number of input channels."""
        return self.train.codes.shape[1]
