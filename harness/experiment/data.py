"""``[data]``: which rows, and what is wanted at the outputs."""

import codecs
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self, get_args

from pydantic import Field, field_validator, model_validator

from harness.datasets import BUILT_IN, IMAGE_SETS, CsvFile, Samples, Split, Table, load_images, read_csv, split
from harness.datasets.samples import Translation
from harness.errors import DataError
from harness.plugins import Kind, Plugin, find, named, options_of
from harness.units import show
from harness.validation import Flag, MismatchError, Number, Section, Seed, Volts, Whole

Encoding = Literal[
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "cp1250", "cp1251",
    "cp1253", "cp1254", "mac-roman", "cp437", "cp850", "shift-jis", "euc-jp", "euc-kr", "big5", "gb18030"
]  # fmt: skip
"""Encodings of text files, by Python's names."""


_SETS = (*BUILT_IN, *IMAGE_SETS, "csv")


class DataPlugin(Protocol):
    """An object behind a name among the entry points ``"harness.datasets"``.

    With a class ``Options``, a model of pydantic's, too, ``[data.options]`` are validated by it, and `build` gets one.
    """

    def build(self, options: Any) -> Table:
        """Make the rows; the same options must always give the same ones."""
        ...


class DataSettings(Section):
    """``[data]``: which rows, and what is wanted at the outputs."""

    set: Annotated[str, named(Kind.DATA_SET, _SETS)]
    """Source of the rows: a set of the package's, ``mnist``, ``fashion_mnist`` or ``kmnist`` in files, ``csv`` for a
    file of one's own, or the name of a plug-in's. `harness list` has all names."""
    options: Annotated[dict[str, Any] | None, options_of(Kind.DATA_SET, "set", _SETS)] = None
    """Options for the data set of a plug-in, which says what they mean."""
    file: Path | None = None
    """For ``csv``: the file; paths are relative to the experiment file. The other keys of ``csv`` are those down to
    ``scaled``; none of them is for other sets."""
    label: str = "label"
    """The column with the class. Labels are texts as they stand."""
    values: tuple[str, ...] = ()
    """Instead of classes: columns of numbers wanted at the outputs, in V or, scaled, in any unit (see ``scaled``)."""
    inputs: tuple[str, ...] = ()
    """The columns that are inputs, in this order; without it all but the label or values, and row names without a
    heading. Every input gets mean 0 V and deviation 1 V over the training rows."""
    ignore: tuple[str, ...] = ()
    """Columns that are not read; ``""`` means those without a heading."""
    missing: Literal["drop", "mean"] | None = None
    """Leave out rows with a missing cell, or fill inputs with the mean of the training rows (a row without a label or
    value is left out all the same); without it they are refused."""
    labels: Literal["as written", "folded"] | None = None
    """Says if labels that differ only in blanks, case or characters that look alike are different classes, or one;
    without it they are refused. As written, blanks around a label belong to it."""
    separator: str | None = None
    """The character between cells, or ``"tab"`` or ``"blank"``; without it, the one of comma, semicolon, tab, bar and
    blanks that fits alone."""
    decimal: Literal[".", ","] | None = None
    """The decimal mark; without it, that of the first number that shows it beyond doubt."""
    encoding: Encoding | None = None
    """Without it, what a byte order mark says, or UTF-8."""
    scaled: Flag | None = None
    """True where ``values`` are scaled to ``targets``, false where they are volts. Without it they are scaled where
    ``targets`` are given, or where they do not fit as volts: beyond ±5 V, or a column within less than 0.1 V."""
    held_out: Annotated[Number, Field(ge=0, lt=1)] | None = None
    """Share of the rows that training never sees; 0 tests on the training rows.

    Without it, the MNIST-like sets keep their own 10,000 test rows and the others hold out a fifth.
    """
    targets: tuple[Volts, Volts] | None = None
    """V of a wrong and of the right output, 0 V and 1 V without it; for scaled ``values``, V of the smallest and of the
    largest value of the training rows, −1 V and 1 V without it."""
    translate: Annotated[Whole, Field(ge=0)] = 0
    """For images: each time that a training image is shown, it moves by up to so many pixels along both axes, at
    random; pixels that come into view are blank. Training sees more places of a figure, and held-out images stay as
    they are. ``digits`` and the MNIST-like sets are images."""
    seed: Seed | None = None
    """Seed of the split into training and held-out rows; training.seed without it."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.set == "csv" and self.file is None:
            raise MismatchError("file", "set = 'csv' needs a file")
        if self.set != "csv":
            self._check_alone()
        self._check_columns()
        if self.targets and not self.targets[0] < self.targets[1]:
            low, high = (show(volts, "V") for volts in self.targets)
            raise MismatchError("targets", f"the wrong output's {low} must lie below the right one's {high}")
        if self.scaled is False and self.values and self.targets:
            raise MismatchError("targets", "scaled = false leaves values as they stand; leave one of the two out")
        separator = self.separator
        if separator is not None and (len(separator) != 1 or separator.isalnum() or separator in '"\r\n.+-\0'):
            raise MismatchError("separator", f"{separator!r} is none; write one character, 'tab' or 'blank'")
        return self

    @field_validator("separator", mode="before")
    @classmethod
    def _named_separator(cls, separator: Any) -> Any:
        names = {"tab": "\t", r"\t": "\t", "blank": " "}
        return names.get(separator, separator) if isinstance(separator, str) else separator

    @field_validator("encoding", mode="before")
    @classmethod
    def _usual_name(cls, encoding: Any) -> Any:
        """Return the usual name of an encoding, which goes by many, such as ``utf8`` and ``windows-1252``."""
        try:
            found = codecs.lookup(encoding).name
            return next(name for name in get_args(Encoding) if codecs.lookup(name).name == found)
        except (LookupError, TypeError, ValueError, StopIteration):
            return encoding

    @property
    def csv(self) -> CsvFile:
        """The file of one's own, and how it is read."""
        return CsvFile(**{field.name: getattr(self, field.name) for field in fields(CsvFile)})

    @property
    def plugged(self) -> list[Plugin]:
        """Plug-ins of other packages that the section names."""
        return [] if self.set in _SETS else [find(Kind.DATA_SET, self.set, _SETS)]

    def load(self, seed: int) -> Split:
        """The samples, split as the seed says and encoded into volts.

        Raises:
            DataError: they cannot be read.
        """
        if self.file:
            table = read_csv(self.csv)
        elif self.set in IMAGE_SETS:
            table = load_images(IMAGE_SETS[self.set])
        elif self.plugged:
            table = self.plugged[0].build(("features", "labels", "classes"), self.options)
        else:
            table = BUILT_IN[self.set]()
        found = split(table, held_out=self.held_out, seed=seed, levels=self.targets, scaled=self.scaled)
        return found if not self.translate else replace(found, train=self._translated(table, found.train))

    def _translated(self, table: Table, rows: Samples) -> Samples:
        if table.image is None:
            raise DataError(
                f"data.translate = {self.translate}: the rows of set {self.set!r} are no images; leave it out"
            )
        return replace(rows, translation=Translation(self.translate, table.image, table.blank))

    def _check_alone(self) -> None:
        """Refuse keys of ``csv`` with other sets, but for a label, which nobody reads there."""
        for key in (*(field.name for field in fields(CsvFile) if field.name != "label"), "scaled"):
            if getattr(self, key) not in (None, ()):
                raise MismatchError(key, f"set = {self.set!r} has no {key}; only set = 'csv' has one")

    def _check_columns(self) -> None:
        """Refuse a column that has two uses."""
        wanted = self.values or (self.label,)
        for key in ("values", "inputs", "ignore"):
            names = getattr(self, key)
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise MismatchError(key, f"column {twice!r} is there twice")
            if key != "values" and (both := next((name for name in names if name in wanted), None)):
                raise MismatchError(key, f"column {both!r} is the {'value' if self.values else 'label'} to be learned")
        if self.inputs and self.ignore:
            raise MismatchError("ignore", "inputs says which columns are read; leave one of the two out")
