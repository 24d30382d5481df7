"""Small data sets that need no download: scikit-learn's, a truth table, and CSV files of one's own.

scikit-learn takes a second to import, so it is imported where it is used.
"""
# ruff: noqa: PLC0415

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from harness.datasets.samples import Codes, Samples, Split
from harness.errors import DataError
from harness.measurement import Array, Index

HELD_OUT = 0.2
"""Share of the rows that is held out of a data set without test rows of its own."""


@dataclass(frozen=True, eq=False)
class Table:
    """Labelled rows before they are split."""

    features: Codes
    """``[rows, channels]``: pixels 0…255 as bytes, or numbers, in V where `standardise` is false."""
    labels: Index
    """Class index of each row, ``[rows]``."""
    classes: tuple[str, ...]
    standardise: bool = False
    """Give every feature mean 0 V and standard deviation 1 V over the training rows; pixels get them as a whole."""
    stratify: bool = False
    """Hold out the same share of every class."""
    test_rows: int = 0
    """So many of the last rows are the set's own test rows."""
    values: Array | None = None
    """V that is wanted at the outputs, ``[rows, outputs]``, where rows have no classes; `labels` are all 0 then and
    `classes` names the outputs."""


def digits() -> Table:
    """scikit-learn's 1,797 handwritten digits, 8×8 pixels p in 0…16 as p/8 − 1 V."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return Table(pixels / 8 - 1, labels, tuple(map(str, range(10))), stratify=True)


def iris() -> Table:
    """Fisher's 150 irises, four features, standardised."""
    from sklearn.datasets import load_iris

    return _bunch(load_iris())


def wine() -> Table:
    """178 Italian wines, 13 features, standardised."""
    from sklearn.datasets import load_wine

    return _bunch(load_wine())


def xor() -> Table:
    """The exclusive or of two inputs of ±1 V; its four rows serve for training and for the test."""
    inputs = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    return Table(inputs, (inputs[:, 0] != inputs[:, 1]).astype(int), ("equal", "different"))


def moons() -> Table:
    """400 points on two interleaved half circles, standardised."""
    from sklearn.datasets import make_moons

    points, labels = make_moons(400, noise=0.15, random_state=0)
    return Table(points, labels, ("upper", "lower"), standardise=True, stratify=True)


def regression() -> Table:
    """200 pairs of voltages between 0 and 1 V, and two mixtures of them that conductances to ground can make."""
    inputs = np.random.default_rng(0).uniform(0, 1, (200, 2))
    mixture = np.array([[0.15, 0.45], [0.5, 0.1]])
    return _valued(inputs, inputs @ mixture, ("y0", "y1"))


def allostery() -> Table:
    """One task: a voltage between the source's two nodes shall appear, in part, between distant pairs of nodes."""
    return _valued(np.array([[1.0, 0.0]]), np.array([[0.25, -0.2]]), ("target0", "target1"))


def csv(path: Path, label: str) -> Table:
    """A CSV file with one row a sample: the column `label` holds the class, all others are numbers; standardised.

    Raises:
        DataError: the file, the column, a label or a number is missing, or there is nothing to tell apart.
    """
    frame = _frame(path, (label,))
    if frame[label].isna().any():
        raise DataError(
            f"data file {path}: row {int(frame[label].isna().argmax()) + 1} of the data, column {label!r} is empty"
        )
    numbers = _numbers(path, frame.drop(columns=label))
    codes, classes = pd.factorize(frame[label], sort=True)
    if len(classes) < 2:
        raise DataError(f"data file {path}: column {label!r} holds one class only, {classes[0]!r}")
    return Table(numbers, codes, tuple(map(str, classes)), standardise=True, stratify=True)


def csv_values(path: Path, values: Sequence[str]) -> Table:
    """A CSV file of numbers with one row a sample: the columns `values` are wanted at the outputs, in V.

    All other columns are inputs, standardised.

    Raises:
        DataError: the file, a column or a number is missing.
    """
    frame = _frame(path, values)
    wanted = _numbers(path, frame[list(values)])
    inputs = _numbers(path, frame.drop(columns=list(values)))
    return replace(_valued(inputs, wanted, tuple(values)), standardise=True)


def _frame(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV file that has rows, the named columns, and others."""
    try:
        frame = pd.read_csv(path, index_col=False, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise DataError(f"data file {path}: cannot be read as CSV ({error})") from error
    for name in columns:
        if name not in frame.columns:
            known = ", ".join(map(str, frame.columns))
            raise DataError(f"data file {path}: no column {name!r}; its columns are {known}")
    if frame.empty or frame.shape[1] <= len(columns):
        besides = ", ".join(map(repr, columns))
        raise DataError(f"data file {path}: it needs at least one row and one column of numbers besides {besides}")
    return frame


def _numbers(path: Path, frame: pd.DataFrame) -> Array:
    numbers = frame.apply(pd.to_numeric, errors="coerce").to_numpy(float)
    if not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        name = frame.columns[column]
        raise DataError(f"data file {path}: row {row + 1} of the data, column {name!r} is no finite number")
    return numbers


def _valued(inputs: Array, values: Array, names: tuple[str, ...]) -> Table:
    return Table(inputs, np.zeros(len(inputs), np.intp), names, values=values)


BUILT_IN: dict[str, Callable[[], Table]] = {
    "digits": digits,
    "iris": iris,
    "wine": wine,
    "xor": xor,
    "moons": moons,
    "regression": regression,
    "allostery": allostery,
}
"""The data sets that come with the package, by the name an experiment file gives."""


def split(table: Table, *, held_out: float | None, seed: int, levels: tuple[float, float]) -> Split:
    """Training and held-out rows with one-hot targets, or with the values that the table wants.

    Args:
        table: the rows.
        held_out: share of the rows that is held out; 0 tests on the training rows, None on the table's own test rows,
            or on a fifth of the rows where it has none.
        seed: of the shuffle.
        levels: V of a wrong and of the right output.

    Raises:
        DataError: a class has too few rows to be split.
    """
    if table.values is None:
        targets = np.full((len(table.labels), len(table.classes)), levels[0])
        targets[np.arange(len(targets)), table.labels] = levels[1]
    else:
        targets = table.values
    train, test = _parts(table, held_out, seed)
    shown, held = table.features[train], table.features[test]
    centre, width = _scale(table, shown)
    return Split(
        Samples(shown, targets[train], centre, width),
        Samples(held, targets[test], centre, width),
        table.classes,
        valued=table.values is not None,
    )


def _parts(table: Table, held_out: float | None, seed: int) -> tuple[Index, Index]:
    """The rows to train on and those to test on."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(table.labels))
    if held_out is None and table.test_rows:
        return rows[: -table.test_rows], rows[-table.test_rows :]
    share = HELD_OUT if held_out is None else held_out
    if share == 0:
        return rows, rows
    try:
        train, test = train_test_split(
            rows, test_size=share, random_state=seed, stratify=table.labels if table.stratify else None
        )
    except ValueError as error:
        raise DataError(f"data: {share:g} of {len(rows)} rows cannot be held out ({error})") from error
    return train, test


def _scale(table: Table, shown: Codes) -> tuple[Array, Array]:
    """What becomes 0 V and how much becomes 1 V, each ``[channels]``, judged by the training rows `shown`."""
    channels = shown.shape[1]
    if shown.dtype == np.uint8:
        mean, deviation = _moments(shown)
        return np.full(channels, mean), np.full(channels, deviation or 1.0)
    if not table.standardise:
        return np.zeros(channels), np.ones(channels)
    constant = np.ptp(shown, axis=0) == 0  # says nothing, and its rounding must not be blown up to volts
    centre = np.where(constant, shown[0], shown.mean(axis=0))
    return centre, np.where(constant, 1.0, shown.std(axis=0))


def _moments(pixels: Codes) -> tuple[float, float]:
    """Mean and standard deviation of bytes, from whole numbers and hence the same on every machine."""
    counts = sum(np.bincount(pixels[s : s + 1024].ravel(), minlength=256) for s in range(0, len(pixels), 1024))
    value, count = np.arange(256), int(np.sum(counts))
    total, squares = int(np.dot(counts, value)), int(np.dot(counts, value**2))
    return total / count, math.sqrt(count * squares - total**2) / count


def _bunch(bunch: object) -> Table:
    names = tuple(map(str, bunch.target_names))  # type: ignore[attr-defined]
    return Table(bunch.data, bunch.target, names, standardise=True, stratify=True)  # type: ignore[attr-defined]
