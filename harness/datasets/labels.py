"""Labels as classes: different texts are different classes, unless they are to be folded."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.datasets.numbers import MISSING, number_in
from harness.errors import DataError
from harness.measurement import Index
from harness.wording import counted, listed, ranges

_MOST_TARGETS = 250_000_000
"""Targets at the outputs, of all rows and classes, that fit into a machine's memory."""


@dataclass(frozen=True, eq=False)
class Labels:
    """The class of every row."""

    codes: Index
    """Class index of each row, ``[rows]``."""
    classes: tuple[str, ...]
    """In the order of numbers where all are numbers, else in that of texts."""


def labels_of(texts: Sequence[str], lines: Index, where: str, spelling: str | None) -> Labels:
    """Sort rows into classes by their labels.

    Args:
        texts: the label of each row, not empty.
        lines: the line of the file that each row begins in.
        where: file and column, for messages.
        spelling: ``"as written"`` keeps labels apart that differ only in blanks, case or characters that look alike;
            ``"folded"`` makes them one class, named as most of its rows write it; None refuses them.

    Raises:
        DataError: labels differ by spelling only, there is one class only, there are too many, or labels are values.
    """
    counts = Counter(texts)
    if spelling != "as written":
        spellings = _spellings(counts)
        if spelling is None:
            _refuse_spellings(texts, lines, where, spellings)
        names = {text: group[0] for group in spellings for text in group}
        texts = [names[text] for text in texts]
        counts = Counter(texts)
    if len(counts) < 2:
        raise DataError(f"{where} holds one class only, {next(iter(counts))!r}; there is nothing to tell apart")
    _refuse_values(counts, where)
    if len(texts) * len(counts) > _MOST_TARGETS:
        raise DataError(f"{where} holds {len(counts):,} labels in {len(texts):,} rows; is it the class of a row?")
    classes = ordered(counts)
    codes = {name: code for code, name in enumerate(classes)}
    return Labels(np.array([codes[text] for text in texts], np.intp), classes)


def codes_of(
    texts: Sequence[str],
    lines: Index,
    file: Path,
    column: str,
    known: Sequence[str],
    spelling: str | None,
    counted_by: str = "line",
) -> Index:
    """Find the class of each row among the classes `known` to a network, in the order of its outputs, ``[rows]``.

    Lines (or rows, if they are `counted_by` these), file and column are for messages.

    With the spelling ``"folded"``, a label is taken for the first class that it differs from by spelling only.

    Raises:
        DataError: a label is none of the classes; names its lines.
    """
    codes = {name: code for code, name in enumerate(known)}
    folded = {_folded(name): code for name, code in reversed(codes.items())}  # the first one of those alike
    if spelling == "folded":
        codes = {text: folded[_folded(text)] for text in texts if _folded(text) in folded} | codes
    if strange := list(dict.fromkeys(text for text in texts if text not in codes)):
        first = strange[0]
        found = [int(line) for text, line in zip(texts, lines, strict=True) if text == first]
        at = f"{file}, {counted_by}{'s' * (len(found) > 1)} {ranges(found, 10)}, column {column!r}"
        told = f"the network knows no class {first!r}; its classes are {listed(known, 12)}"
        if len(strange) > 1:
            told += f", and it knows none of {counted(len(strange) - 1, 'more label', 'more labels')} either"
        elif _folded(first) in folded:
            told += f"; set data.labels = 'folded' where it is {known[folded[_folded(first)]]!r}"
        raise DataError(f"{at}: {told}")
    return np.array([codes[text] for text in texts], np.intp)


def numeric(classes: Sequence[str]) -> bool:
    """Return True if all classes are numbers, which may then be values."""
    return all(number_in(name) is not None for name in classes)


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of classes in the order of numbers where all are numbers, else in that of texts."""
    found = sorted(names)
    return tuple(sorted(found, key=lambda name: number_in(name) or 0.0) if numeric(found) else found)


def _folded(text: str) -> str:
    """Return a text without its spelling: blanks, case and characters that look alike."""
    common = unicodedata.normalize("NFKC", text)
    seen = "".join(character for character in common if unicodedata.category(character) != "Cf")
    return " ".join(seen.split()).casefold()


def _spellings(counts: Counter[str]) -> list[list[str]]:
    """Group labels that are the same but for their spelling, the most frequent first."""
    groups: dict[str, list[str]] = {}
    for text, _ in counts.most_common():
        groups.setdefault(_folded(text), []).append(text)
    return list(groups.values())


def _refuse_spellings(texts: Sequence[str], lines: Index, where: str, spellings: Sequence[Sequence[str]]) -> None:
    for group in spellings:
        if len(group) > 1:
            ways = " and ".join(f"{text!r} (line {lines[texts.index(text)]})" for text in group[:4])
            raise DataError(
                f"{where}: the labels {ways} differ only in blanks, case or characters that look alike; set "
                f"data.labels = 'folded' where they are one class, or data.labels = 'as written' where they are not"
            )


def _refuse_values(counts: Counter[str], where: str) -> None:
    rows = counts.total()
    if len(counts) > rows / 2 and numeric(tuple(counts)) and any((number_in(text) or 0.0) % 1 for text in counts):
        column = where.rpartition("column ")[2]
        raise DataError(
            f"{where} holds {len(counts)} different numbers in {rows} rows, which are values and not classes; "
            f"set data.values = [{column}] instead of data.label"
        )


def odd_labels(classes: Sequence[str]) -> tuple[str, ...]:
    """Return notes on classes that may have been meant as missing labels."""
    odd = [name for name in classes if name.strip().casefold() in MISSING]
    return tuple(
        f"label {name!r} is a class like the others; empty its cells where it means that there is none" for name in odd
    )
