"""Tables of samples before they are split, and the small data sets that need no download.

scikit-learn takes a second to import: only the wines come from there. ``iris.csv`` has the values of its ``load_iris``,
which are Fisher's (1936, Annals of Eugenics 7, 179) as the UCI repository has them. ``digits.csv.gz`` is the file of
its ``load_digits``: the test rows of Alpaydin and Kaynak's Optical Recognition of Handwritten Digits (1998, UCI
repository, CC BY 4.0).
"""
# ruff: noqa: PLC0415

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from harness.datasets.samples import Codes
from harness.measurement import Array, Index


@dataclass(frozen=True, eq=False)
class Origin:
    """The file of the user's own that a table was read from, or the array or data frame that it was made of."""

    file: Path
    """Its path, or a name for messages."""
    channels: tuple[str, ...]
    """The heading of each input column."""
    lines: Index
    """The line of the file that each row begins in, or the number of the row from 0, ``[rows]``."""
    notes: tuple[str, ...] = ()
    """Notes on how the file was read, and on what a reader may want to know of it."""
    counted: str = "line"
    """The word for an entry of `lines`: ``"line"`` or ``"row"``."""


@dataclass(frozen=True, eq=False)
class Table:
    """Labelled rows before they are split."""

    features: Codes
    """``[rows, channels]``: pixels 0…255 as bytes, or numbers, in V where `standardise` is false; NaN becomes the mean
    of the training rows."""
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
    """The wanted outputs, ``[rows, outputs]``, where rows have no classes; `labels` are all 0 then and
    `classes` names the outputs."""
    origin: Origin | None = None
    """None for the sets that come with the package."""
    channels: tuple[str, ...] = ()
    """Names of the columns of a set that comes with the package, where they have names."""
    answered: bool = True
    """False where neither labels nor values are known, and rows are only to be predicted."""
    image: tuple[int, int] | None = None
    """Height and width where each row is an image, row by row of its pixels."""
    blank: float = 0.0
    """The code of a blank pixel, where rows are images."""


def digits() -> Table:
    """scikit-learn's 1,797 handwritten digits, 8×8 pixels p in 0…16 as p/8 − 1 V."""
    packed = (resources.files("harness.datasets") / "digits.csv.gz").read_bytes()
    rows = np.loadtxt(gzip.decompress(packed).decode("ascii").splitlines(), delimiter=",")
    pixels, labels = np.ascontiguousarray(rows[:, :-1]), rows[:, -1].astype(int)
    names = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
    classes = tuple(map(str, range(10)))
    return Table(pixels / 8 - 1, labels, classes, stratify=True, channels=names, image=(8, 8), blank=-1.0)


def iris() -> Table:
    """Fisher's 150 irises, four features, standardised."""
    text = (resources.files("harness.datasets") / "iris.csv").read_text(encoding="utf-8")
    (*channels, _), *rows = (line.split(",") for line in text.splitlines())
    classes = tuple(dict.fromkeys(row[-1] for row in rows))
    features = np.array([[float(number) for number in row[:-1]] for row in rows])
    labels = np.array([classes.index(row[-1]) for row in rows])
    return Table(features, labels, classes, standardise=True, stratify=True, channels=tuple(channels))


def wine() -> Table:
    """178 Italian wines, 13 features, standardised."""
    from sklearn.datasets import load_wine

    return _bunch(load_wine())


def xor() -> Table:
    """The exclusive or of two inputs of ±1 V; its four rows serve for training and for the test."""
    inputs = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    return Table(inputs, (inputs[:, 0] != inputs[:, 1]).astype(int), ("equal", "different"), channels=("a", "b"))


def moons() -> Table:
    """400 points on two interleaved half circles, standardised; those of scikit-learn's ``make_moons`` (tested)."""
    rng, angles = np.random.RandomState(0), np.linspace(0, np.pi, 200)
    upper = np.column_stack([np.cos(angles), np.sin(angles)])
    lower = np.column_stack([1 - np.cos(angles), 1 - np.sin(angles) - 0.5])
    order = np.arange(400)
    rng.shuffle(order)
    points = np.concatenate([upper, lower])[order] + rng.normal(scale=0.15, size=(400, 2))
    labels = np.repeat([0, 1], 200)[order]
    return Table(points, labels, ("upper", "lower"), standardise=True, stratify=True, channels=("x", "y"))


def regression() -> Table:
    """200 pairs of voltages between 0 and 1 V, and two mixtures of them that conductances to ground can make."""
    inputs = np.random.default_rng(0).uniform(0, 1, (200, 2))
    mixture = np.array([[0.15, 0.45], [0.5, 0.1]])
    return _valued(inputs, inputs @ mixture, ("y0", "y1"))


def allostery() -> Table:
    """One task: a voltage between the source's two nodes shall appear, in part, between distant pairs of nodes."""
    return _valued(np.array([[1.0, 0.0]]), np.array([[0.25, -0.2]]), ("target0", "target1"))


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


def _bunch(bunch: object) -> Table:
    classes, channels = (tuple(map(str, names)) for names in (bunch.target_names, bunch.feature_names))  # type: ignore[attr-defined]
    return Table(bunch.data, bunch.target, classes, standardise=True, stratify=True, channels=channels)  # type: ignore[attr-defined]
