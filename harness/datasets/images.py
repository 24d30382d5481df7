"""Sets of images with labels and test rows of their own: MNIST, Fashion-MNIST and KMNIST, from their IDX files.

The files lie in the folder that HARNESS_DATA names (or in a subfolder of it that is named after the set); without it
they are downloaded once into the user's cache.
"""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from harness.datasets.download import download
from harness.datasets.idx import Bytes, IdxFile, read_idx
from harness.datasets.tables import Table
from harness.errors import DataError
from harness.files.reading import read_bytes

VARIABLE = "HARNESS_DATA"


@dataclass(frozen=True)
class ImageSet:
    """Where a set of images comes from and what its files have to be."""

    name: str
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]
    """Training images and labels, test images and labels."""
    classes: tuple[str, ...]
    mirrors: tuple[str, ...]
    """Addresses that a file's name and ``.gz`` are put behind, in the order in which they are tried."""
    balanced: bool = False
    """Every class has as many rows as every other."""

    @property
    def samples(self) -> int:
        """Rows of both parts."""
        return self.files[0].shape[0] + self.files[2].shape[0]

    @property
    def channels(self) -> int:
        """Pixels of an image."""
        return math.prod(self.files[0].shape[1:])


def load_images(source: ImageSet) -> Table:
    """An image set with its own test rows, pixels as bytes.

    What is checked: dimensions, length and SHA-256 of every file's content, and that every label is a class. Nobody
    published the SHA-256 of KMNIST's contents, only those of its gzip files: a download must be these very files; of
    copies that were packed anew, dimensions, length and the balance of the classes are all that can be checked.

    Raises:
        DataError: a file is missing in the folder that HARNESS_DATA names, is not what it has to be, or cannot be
            downloaded.
    """
    given = os.environ.get(VARIABLE)
    with _homes(source):
        folder = Path(given).expanduser() if given else _absolute(user_cache_path("harness")) / source.name
    arrays = _from_folder(source, folder) if given else _from_cache(source, folder)
    train, train_labels, test, test_labels = arrays
    images = np.concatenate([train, test]).reshape(source.samples, source.channels)
    labels = np.concatenate([train_labels, test_labels]).astype(np.intp)
    return Table(images, labels, source.classes, standardise=True, stratify=True, test_rows=len(test))


def _from_folder(source: ImageSet, folder: Path) -> list[Bytes]:
    if not folder.is_dir():
        raise DataError(
            f"data set {source.name}: there is no folder {folder}; name one that exists with --data-dir or {VARIABLE}"
        )
    found = {file: _found(file, (folder / source.name, folder)) for file in source.files}
    if missing := [file.name for file, path in found.items() if path is None]:
        raise DataError(
            f"data set {source.name}: {folder} lacks {', '.join(missing)} (plain or .gz, there or in its subfolder "
            f"{source.name}); put them there, or name another folder with --data-dir or {VARIABLE}"
        )
    return [_read(source, file, path) for file, path in found.items() if path]


@contextmanager
def _homes(source: ImageSet) -> Iterator[None]:
    """Users of containers often have neither HOME nor an entry in the list of users."""
    try:
        yield
    except RuntimeError as error:
        raise DataError(
            f"data set {source.name}: this user has no home directory for its files; name a folder with --data-dir or "
            f"{VARIABLE}, or set HOME"
        ) from error


def _absolute(folder: Path) -> Path:
    if not folder.is_absolute():  # a ~ that was left as it is
        raise RuntimeError(f"{folder} is in no home directory")
    return folder


def _from_cache(source: ImageSet, folder: Path) -> list[Bytes]:
    missing = [file for file in source.files if _found(file, (folder,)) is None]
    if missing:
        download(source.name, missing, source.mirrors, folder, partial(_check_download, source))
    try:
        return [_read(source, file, path) for file in source.files if (path := _found(file, (folder,)))]
    except DataError as error:
        raise DataError(f"{error}; delete it and it is downloaded again") from error


def _found(file: IdxFile, folders: tuple[Path, ...]) -> Path | None:
    paths = (folder / name for folder in folders for name in (file.name, f"{file.name}.gz"))
    return next((path for path in paths if path.exists() and not path.is_dir()), None)


def _read(source: ImageSet, file: IdxFile, path: Path) -> Bytes:
    return _check(source, file, read_bytes(path, DataError, most=file.packed_size), str(path))


def _check(source: ImageSet, file: IdxFile, raw: bytes, place: str) -> Bytes:
    """The values of a file, if it is the right one."""
    values = read_idx(raw, file, place, _known(source))
    if values.ndim == 1:
        _check_labels(source, values, place)
    return values


def _check_download(source: ImageSet, file: IdxFile, raw: bytes, place: str) -> None:
    """As `_check`, and what has no known content must be the published file itself."""
    _check(source, file, raw, place)
    found = sha256(raw).hexdigest()
    if file.sha256 is None and found != file.packed_sha256:
        raise DataError(f"data file {place}: was altered: its SHA-256 is {found}, not {file.packed_sha256}")


def _check_labels(source: ImageSet, labels: Bytes, place: str) -> None:
    counts = np.bincount(labels, minlength=len(source.classes))
    if len(counts) > len(source.classes):
        row = int(np.argmax(labels >= len(source.classes)))
        raise DataError(f"data file {place}: label {row} is {labels[row]}, not one of 0…{len(source.classes) - 1}")
    if source.balanced and np.ptp(counts):
        label, share = int(np.argmin(counts)), len(labels) // len(counts)
        raise DataError(f"data file {place}: was altered: class {label} has {counts[label]} rows, not {share}")


def _known(source: ImageSet) -> Mapping[str, str]:
    """Every file that can be told by its SHA-256, by name and set."""
    return {
        digest: f"{file.name} of {one.name}"
        for one in (*IMAGE_SETS.values(), source)
        for file in one.files
        for digest in (file.sha256, file.packed_sha256)
        if digest
    }


def _like_mnist(
    name: str,
    hashes: tuple[str, str, str, str],
    classes: str,
    mirrors: tuple[str, ...],
    *,
    packed: bool = False,
    balanced: bool = False,
) -> ImageSet:
    """A set with the names and dimensions of MNIST's files; `packed` hashes are those of the published gzip files."""
    contents, packages = ((None,) * 4, hashes) if packed else (hashes, (None,) * 4)
    files = (
        IdxFile("train-images-idx3-ubyte", (60_000, 28, 28), contents[0], packages[0]),
        IdxFile("train-labels-idx1-ubyte", (60_000,), contents[1], packages[1]),
        IdxFile("t10k-images-idx3-ubyte", (10_000, 28, 28), contents[2], packages[2]),
        IdxFile("t10k-labels-idx1-ubyte", (10_000,), contents[3], packages[3]),
    )
    return ImageSet(name, files, tuple(classes.split(", ")), mirrors, balanced)


_MNIST = _like_mnist(
    "mnist",
    (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
)

_FASHION_MNIST = _like_mnist(
    "fashion_mnist",
    (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    balanced=True,
)

_KMNIST = _like_mnist(
    "kmnist",
    (
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    ),
    "o, ki, su, tsu, na, ha, ma, ya, re, wo",
    ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/", "https://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
    packed=True,
    balanced=True,
)

IMAGE_SETS: dict[str, ImageSet] = {source.name: source for source in (_MNIST, _FASHION_MNIST, _KMNIST)}
"""The image sets, by the name an experiment file gives."""
