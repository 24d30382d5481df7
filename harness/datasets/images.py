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
from importlib import resources
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from harness.datasets.idx import Bytes, IdxFile, read_idx
from harness.datasets.tables import Table
from harness.errors import DataError
from harness.files.reading import JsonObject, parse_toml, read_bytes

VARIABLE = "HARNESS_DATA"


@dataclass(frozen=True)
class ImageSet:
    """A set of images: its files, its classes and where it is downloaded from."""

    name: str
    files: tuple[IdxFile, ...]
    """Training images and labels, test images and labels."""
    classes: tuple[str, ...]
    mirrors: tuple[str, ...]
    """Addresses that a file's name and ``.gz`` are put behind, in the order in which they are tried."""
    balanced: bool = False
    """Every class has as many rows as every other."""

    @property
    def samples(self) -> int:
        """The number of rows of both parts."""
        return self.files[0].shape[0] + self.files[2].shape[0]

    @property
    def channels(self) -> int:
        """The number of pixels of an image."""
        return math.prod(self.files[0].shape[1:])


def load_images(source: ImageSet) -> Table:
    """Return an image set with its own test rows, pixels as bytes.

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
    height, width = train.shape[1:]
    return Table(
        images,
        labels,
        source.classes,
        standardise=True,
        stratify=True,
        test_rows=len(test),
        image=(height, width),
    )


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
    """Name the cure where a user, as in many containers, has no home directory."""
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
        from harness.datasets.download import download  # noqa: PLC0415 - once on a machine, and rich's bars

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
    values = read_idx(raw, file, place, _known(source))
    if values.ndim == 1:
        _check_labels(source, values, place)
    return values


def _check_download(source: ImageSet, file: IdxFile, raw: bytes, place: str) -> None:
    """Check a downloaded file; one whose content nobody published must be the published gzip file itself."""
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
    """Return the name and set of every file that can be told by its SHA-256."""
    return {
        digest: f"{file.name} of {one.name}"
        for one in (*IMAGE_SETS.values(), source)
        for file in one.files
        for digest in (file.sha256, file.packed_sha256)
        if digest
    }


_FILES = (
    ("train-images-idx3-ubyte", (60_000, 28, 28)),
    ("train-labels-idx1-ubyte", (60_000,)),
    ("t10k-images-idx3-ubyte", (10_000, 28, 28)),
    ("t10k-labels-idx1-ubyte", (10_000,)),
)


def _image_set(name: str, table: JsonObject) -> ImageSet:
    hashes = ([*table.get(key, (None,) * len(_FILES))] for key in ("sha256", "packed_sha256"))
    files = tuple(IdxFile(*file, *digests) for file, *digests in zip(_FILES, *hashes, strict=True))
    return ImageSet(name, files, tuple(table["classes"]), tuple(table["mirrors"]), table.get("balanced", False))


def _image_sets() -> dict[str, ImageSet]:
    text = (resources.files("harness.datasets") / "images.toml").read_text(encoding="utf-8")
    return {name: _image_set(name, table) for name, table in parse_toml(text, DataError, "images.toml").items()}


IMAGE_SETS = _image_sets()
"""The image sets, by the name an experiment file gives."""
