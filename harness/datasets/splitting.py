"""Splits of tables into rows to train on and rows that are held out, with targets in volts."""

import math

import numpy as np

from harness.datasets.labels import numeric
from harness.datasets.samples import Codes, Encoding, Samples, Scaling, Split, one_hot
from harness.datasets.tables import Origin, Table
from harness.errors import DataError
from harness.measurement import Array, Index
from harness.wording import counted, listed

HELD_OUT = 0.2
"""Share of the rows that is held out of a data set without test rows of its own."""
CLASS_LEVELS = (0.0, 1.0)
"""V of a wrong and of the right output, unless an experiment says otherwise."""
VALUE_LEVELS = (-1.0, 1.0)
"""V of the smallest and of the largest value of the training rows, where values are scaled."""

_REACH = 5.0
_SMALLEST_SPAN = 0.1
"""V: values beyond the first, or closer together than the second, cannot be meant as volts at the outputs."""
_FAR, _FARTHEST = 100.0, 1e6
"""Standard deviations from the mean: beyond the first a cell is told, beyond the second refused."""
_TINY = 1e-100
"""Numbers closer together than this have squares that vanish."""


def split(
    table: Table,
    *,
    held_out: float | None,
    seed: int,
    levels: tuple[float, float] | None = None,
    scaled: bool | None = None,
) -> Split:
    """Return training and held-out rows with one-hot targets, or with the values that the table wants.

    Args:
        table: the rows.
        held_out: share of the rows that is held out; 0 tests on the training rows, None on the table's own test rows,
            or on a fifth of the rows where it has none.
        seed: of the shuffle.
        levels: V of a wrong and of the right output, or of the smallest and the largest value where values are scaled.
        scaled: whether values of a file of one's own are scaled to `levels`; None scales them where levels are given,
            or where they do not fit as volts.

    Raises:
        DataError: a class has too few rows to be split, a column has no value in a training row, or values that are to
            be scaled are all the same.
    """
    train, test = _parts(table, held_out, seed)
    codes, filling = _filled(table, train)
    if table.values is None:
        scaling, targets = None, one_hot(table.labels, len(table.classes), levels or CLASS_LEVELS)
    else:
        scaling = _scaling(table, table.values, train, levels, scaled)
        targets = scaling.volts(table.values)
    centre, width = _scale(table, codes[train])

    def part(rows: Index) -> Samples:
        lines = None if table.origin is None else table.origin.lines[rows]
        return Samples(codes[rows], targets[rows], centre, width, lines)

    names = table.origin.channels if table.origin else table.channels
    names = names or tuple(f"x{number}" for number in range(1, codes.shape[1] + 1))
    encoding = Encoding(names, filling, centre, width, table.classes, levels or CLASS_LEVELS, scaling)
    if table.origin is None:
        return Split(part(train), part(test), table.classes, scaling, encoding=encoding)
    notes = _notes(table, table.origin, (train, test), width, scaling)
    notes += far_cells(table.origin, codes, centre, width)
    return Split(part(train), part(test), table.classes, scaling, notes, encoding)


def _filled(table: Table, train: Index) -> tuple[Codes, Array]:
    """Fill missing features with the mean of the training rows; return these means too, ``[channels]``."""
    if table.features.dtype == np.uint8:
        return table.features, np.zeros(table.features.shape[1])
    gaps = np.isnan(table.features)
    known = ~gaps[train]
    counts = known.sum(axis=0)
    if not counts.all():
        at = int(np.argmin(counts))
        name = table.origin.channels[at] if table.origin else str(at)
        raise DataError(f"data: column {name!r} has no value in a training row; leave it out with ignore = [{name!r}]")
    means = np.where(known, table.features[train], 0.0).sum(axis=0) / counts
    return np.where(gaps, means, table.features) if gaps.any() else table.features, means


def _scaling(
    table: Table, values: Array, train: Index, levels: tuple[float, float] | None, scaled: bool | None
) -> Scaling:
    """Return how values become volts; those of the package's own sets are volts."""
    spans = np.ptp(values, axis=0)
    if scaled is None:
        fit = np.abs(values).max() <= _REACH and ((spans >= _SMALLEST_SPAN) | (spans == 0)).all()
        scaled = levels is not None or not fit
    if not scaled or table.origin is None:
        return Scaling.none(values.shape[1])
    lowest, spans = values[train].min(axis=0), np.ptp(values[train], axis=0)
    if not spans.all():
        at = int(np.argmin(spans))
        same = f"column {table.classes[at]!r} is {lowest[at]:g} in all training rows"
        raise DataError(f"{table.origin.file}: {same}; there is nothing to learn from it")
    low, high = levels or VALUE_LEVELS
    per_volt = spans / (high - low)
    return Scaling(lowest - per_volt * low, per_volt)


def _parts(table: Table, held_out: float | None, seed: int) -> tuple[Index, Index]:
    rows = np.arange(len(table.labels))
    if held_out is None and table.test_rows:
        return rows[: -table.test_rows], rows[-table.test_rows :]
    share = HELD_OUT if held_out is None else held_out
    if share == 0:
        return rows, rows
    if not 0 < share < 1:
        raise DataError(f"data: {share:g} of {len(rows)} rows cannot be held out; give a share below 1")
    _check_sizes(table, share)
    rng, held = np.random.RandomState(seed), math.ceil(share * len(rows))
    if table.stratify:
        return _stratified(table.labels, held, rng)
    order = rng.permutation(rows)
    return order[held:], order[:held]


def _stratified(labels: Index, held: int, rng: np.random.RandomState) -> tuple[Index, Index]:
    """Return rows to train on and `held` rows to hold out, with about the same share of every class in both.

    The rows are those of scikit-learn's ``train_test_split`` (tested), which takes a second to import.
    """
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    counts = np.array([len(rows) for rows in classes])
    kept = _shares(counts, len(labels) - held, rng)
    ends = kept + _shares(counts - kept, held, rng)
    mixed = [rng.permutation(rows) for rows in classes]
    train = [rows[:end] for rows, end in zip(mixed, kept, strict=True)]
    test = [rows[start:end] for rows, start, end in zip(mixed, kept, ends, strict=True)]
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))


def _shares(counts: Index, wanted: int, rng: np.random.RandomState) -> Index:
    """Share `wanted` rows out to classes of so many; what rounding leaves goes by size, and by lot among equals."""
    exact = counts / counts.sum() * wanted
    shares = np.floor(exact)
    left, rest = int(wanted - shares.sum()), exact - shares
    for size in np.unique(rest)[::-1]:
        if left <= 0:
            break
        equals = np.flatnonzero(rest == size)
        chosen = rng.choice(equals, min(left, len(equals)), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
    return shares.astype(np.intp)


def _check_sizes(table: Table, share: float) -> None:
    """Refuse parts without a row or, where classes are told apart, without a row of every class."""
    count = len(table.labels)
    test = math.ceil(share * count)
    counts = np.bincount(table.labels, minlength=len(table.classes))
    needed = np.count_nonzero(counts) if table.stratify else 1
    cure = "add rows, or say held_out = 0 to test on the training rows"
    if table.stratify and (counts == 1).any():
        raise DataError(f"data: {_alone(table, counts)}, and one to train on and one to hold out are needed; {cure}")
    if min(test, count - test) < needed:
        kept = f"{share:g} of {count} rows held out are {test}, which leaves {count - test} to train on"
        what = f"each of {needed} classes needs a row in both" if table.stratify else "both need a row"
        raise DataError(f"data: {kept}, and {what}; change held_out, {cure}")


def _alone(table: Table, counts: Index) -> str:
    """Name the classes with one row, and where it stands."""
    alone = np.flatnonzero(counts == 1)
    first = int(alone[0])
    where = ""
    if table.origin is not None:
        where = f" (line {table.origin.lines[int(np.flatnonzero(table.labels == first)[0])]})"
    more = f", and so have {len(alone) - 1} more of {len(counts)} classes" if len(alone) > 1 else ""
    hint = (
        "; if labels are numbers to be learned, set data.values = […] instead of data.label"
        if numeric(table.classes)
        else ""
    )
    return f"class {table.classes[first]!r} has one row only{where}{more}{hint}"


def _scale(table: Table, shown: Codes) -> tuple[Array, Array]:
    """Return the code of 0 V and the codes per volt, each ``[channels]``, of the training rows `shown`."""
    channels = shown.shape[1]
    if shown.dtype == np.uint8:
        mean, deviation = _moments(shown)
        return np.full(channels, mean), np.full(channels, deviation or 1.0)
    if not table.standardise:
        return np.zeros(channels), np.ones(channels)
    spans = np.ptp(shown, axis=0)
    constant = spans == 0  # says nothing: it is 0 V in every row, also where a held-out row differs
    centre = np.where(constant, shown[0], shown.mean(axis=0))
    unit = np.where((spans < _TINY) & ~constant, spans, 1.0)
    return centre, np.where(constant, np.inf, (shown / unit).std(axis=0) * unit)


def _moments(pixels: Codes) -> tuple[float, float]:
    """Return mean and standard deviation of bytes, from whole numbers and hence the same on every machine."""
    counts = sum(np.bincount(pixels[s : s + 1024].ravel(), minlength=256) for s in range(0, len(pixels), 1024))
    value, count = np.arange(256), int(np.sum(counts))
    total, squares = int(np.dot(counts, value)), int(np.dot(counts, value**2))
    return total / count, math.sqrt(count * squares - total**2) / count


def far_cells(origin: Origin, codes: Codes, centre: Array, width: Array) -> tuple[str, ...]:
    """Return a note on the cell that is farthest from the training rows, if it is far.

    Raises:
        DataError: it is so far that no circuit settles.
    """
    distances = np.maximum(codes.max(axis=0) - centre, centre - codes.min(axis=0)) / width
    at = int(np.argmax(distances))
    if distances[at] <= _FAR:
        return ()
    row = int(np.argmax(np.abs(codes[:, at] - centre[at])))
    place = f"{origin.counted} {origin.lines[row]}, column {origin.channels[at]!r}"
    told = f"{codes[row, at]:g} is {distances[at]:.3g} standard deviations from the mean of the training rows"
    if distances[at] <= _FARTHEST:
        return (f"{place}: {told}",)
    raise DataError(
        f"{origin.file}, {place}: {told}, which no input pin can show; correct it (is it in another unit?), or leave "
        "the row out"
    )


def _notes(
    table: Table, origin: Origin, parts: tuple[Index, Index], width: Array, scaling: Scaling | None
) -> tuple[str, ...]:
    """Return notes on what there is to learn, and from what."""
    train, test = parts
    held = "none" if train is test else f"{len(test):,}"
    notes = [*origin.notes, f"{counted(len(origin.channels), 'input')}: {listed(origin.channels)}"]
    if constant := [name for name, size in zip(origin.channels, width, strict=True) if np.isinf(size)]:
        notes.append(f"constant in the training rows, so that nothing is learned from it: {listed(constant)}")
    notes.append(_classes(table) if scaling is None else _values(table, scaling))
    return (*notes, f"{counted(len(train), 'row')} to train on, {held} held out")


def _classes(table: Table) -> str:
    counts = np.bincount(table.labels, minlength=len(table.classes))
    sizes = [f"{name} {count:,}" for name, count in zip(table.classes, counts, strict=True)]
    return f"{len(sizes):,} classes with their rows: {listed(sizes, 12)}"


def _values(table: Table, scaling: Scaling) -> str:
    if (scaling.per_volt == 1).all() and not scaling.offset.any():
        return f"values wanted at the outputs in V: {listed(table.classes)}"
    told = [
        f"{name} (0 V is {offset:.4g}, and each volt {per_volt:.4g} more)"
        for name, offset, per_volt in zip(table.classes, scaling.offset, scaling.per_volt, strict=True)
    ]
    return f"values, scaled to voltages that the outputs can reach: {listed(told)}"
