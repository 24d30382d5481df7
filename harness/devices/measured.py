"""A fit of the exponential update law to measured pulse curves from a CSV file.

Columns ``pulse`` (a rising count), ``conductance`` (S, a number or a text such as ``12.5 µS``; or numbers in the unit
that a heading such as ``conductance (uS)`` names) and ``direction`` (``up`` or ``down``, ``SET`` or ``RESET``), one row
a pulse, in the order of measurement; other columns are ignored. Rows of one direction in a sequence are one curve,
which is taken to run over the whole range.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from harness.devices.pulses import ExponentialStep
from harness.errors import DataError, UnitError
from harness.files.delimited import read_delimited
from harness.measurement import Array
from harness.units import parse, show, unit_of_heading
from harness.wording import counted

COLUMNS = ("pulse", "conductance", "direction")
UP, DOWN = ("up", "set", "potentiation"), ("down", "reset", "depression")
"""Names of the two directions, in any case."""
_STEEPEST = 30.0
_FEWEST = 4


@dataclass(frozen=True, eq=False)
class Curve:
    """Consecutive pulses of one direction."""

    up: bool
    pulses: Array
    """Counted from 0 at the curve's first row, ``[rows]``."""
    conductances: Array
    """S, ``[rows]``."""
    rows: tuple[int, ...]
    """Lines of the file, the header being 1."""


@dataclass(frozen=True)
class PulseFit:
    """The fitted law and how well it fits."""

    response: ExponentialStep
    rms_error: float
    """Error of all rows, as a fraction of the fitted range."""
    cycle_to_cycle: float
    """rms difference of measured and fitted steps, as a fraction of the range; read noise is in it."""


def read_curves(path: Path, noise: float = 0.1) -> tuple[Curve, ...]:
    """Read a file; a step against its direction of more than `noise` (a fraction of the whole range) is refused.

    Raises:
        DataError: the file, a column or a value is missing or wrong; names row and column.
    """
    curves = _split(path, _rows(path))
    span = np.ptp(np.concatenate([curve.conductances for curve in curves]))
    if not span > 0:
        raise DataError(f"{path}: column conductance never changes; nothing can be fitted")
    for curve in curves:
        _check_direction(path, curve, noise * float(span))
    return curves


def fit(path: Path, noise: float = 0.1) -> PulseFit:
    """Fit g_min, g_max and both curvatures to every row of a file by least squares; see `read_curves`.

    The pulses of a whole range are the longest curve's, in either direction.

    Raises:
        DataError: see `read_curves`; or a direction is missing, or has no curve of four rows.
    """
    curves = read_curves(path, noise)
    most = tuple(max((float(c.pulses[-1]) for c in curves if c.up is up), default=0.0) for up in (True, False))
    for name, up in (("up", True), ("down", False)):
        if max((c.pulses.size for c in curves if c.up is up), default=0) < _FEWEST:
            raise DataError(f"{path}: column direction: no run of {_FEWEST} rows {name}; measure both directions")
    from scipy.optimize import least_squares  # noqa: PLC0415 - most runs fit nothing, and it takes a while to import

    levels = np.concatenate([curve.conductances for curve in curves])
    low, span = float(levels.min()), float(np.ptp(levels))

    def misfit(unknowns: Array) -> Array:
        return (_predicted(curves, most, unknowns) * span + low - levels) / span

    bounds = ([-low / span, 0.1, -_STEEPEST, -_STEEPEST], [1.0, 10.0, _STEEPEST, _STEEPEST])
    best = least_squares(misfit, [0.0, 1.0, 1.0, 1.0], bounds=bounds)
    bottom, height, curvature_up, curvature_down = (float(x) for x in best.x)
    g_min = max(low + span * bottom, 0.0)
    response = ExponentialStep(g_min, g_min + span * height, most[0], most[1], curvature_up, curvature_down)
    return PulseFit(response, float(np.sqrt(np.mean(best.fun**2))) / height, _scatter(curves, best.fun) / height)


def _predicted(curves: tuple[Curve, ...], most: tuple[float, ...], unknowns: Array) -> Array:
    """Return conductances in units of the measured span above its lowest level, all curves in a row."""
    bottom, height, curvature_up, curvature_down = unknowns
    parts = []
    for curve in curves:
        share, curvature = curve.pulses / most[0 if curve.up else 1], curvature_up if curve.up else curvature_down
        way = share if abs(curvature) < 1e-9 else np.expm1(-curvature * share) / np.expm1(-curvature)
        parts.append(bottom + height * (way if curve.up else 1 - way))
    return np.concatenate(parts)


def _scatter(curves: tuple[Curve, ...], misfit: Array) -> float:
    ends = np.cumsum([curve.pulses.size for curve in curves])[:-1]
    steps = np.concatenate([np.diff(part) for part in np.split(misfit, ends)])
    return float(np.sqrt(np.mean(steps**2))) if steps.size else 0.0


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    table = read_delimited(path, DataError)
    unit, columns = _headings(path, table.columns)
    for column in COLUMNS:
        if column not in columns:
            raise DataError(
                f"{path}: no column {column}; a file of measured pulses has the columns {', '.join(COLUMNS)}"
            )
    rows = []
    for line, cells in table.rows():
        row = dict(zip(columns, map(str.strip, cells), strict=True))
        if unit and row["conductance"]:
            row["conductance"] += f" {unit}"
        values = {column: row[column] for column in COLUMNS}
        for column, value in values.items():
            if not value:
                raise DataError(f"{path}: row {line}, column {column}: no value")
        rows.append((line, values))
    if len(rows) < 2:
        raise DataError(f"{path}: {counted(len(rows), 'row of data is', 'rows of data are')} fewer than 2")
    return rows


def _headings(path: Path, titles: Sequence[str]) -> tuple[str, list[str]]:
    """Return the unit in the heading of the conductances (or an empty text), and the columns without it."""
    units = {title: unit for title in titles if (unit := unit_of_heading(title))}
    for title, unit in units.items():
        try:
            parse(f"1 {unit}", "S")
        except UnitError as error:
            raise DataError(f"{path}: heading {title!r}: {error}") from error
    columns = ["conductance" if title in units else title for title in titles]
    if columns.count("conductance") > 1:
        raise DataError(f"{path}: more than one column conductance; leave one")
    return next(iter(units.values()), ""), columns


def _split(path: Path, rows: list[tuple[int, dict[str, str]]]) -> tuple[Curve, ...]:
    parsed = [_parsed(path, line, values) for line, values in rows]
    for (line, _), before, after in zip(rows[1:], parsed[:-1], parsed[1:], strict=True):
        if before[2] == after[2] and not after[0] > before[0]:
            raise DataError(f"{path}: row {line}, column pulse: {after[0]:g} does not follow {before[0]:g}; count up")
    starts = [0, *(i for i in range(1, len(parsed)) if parsed[i][2] != parsed[i - 1][2]), len(parsed)]
    curves = []
    for begin, end in pairwise(starts):
        pulses = np.array([row[0] for row in parsed[begin:end]])
        levels = np.array([row[1] for row in parsed[begin:end]])
        lines = tuple(line for line, _ in rows[begin:end])
        curves.append(Curve(parsed[begin][2], pulses - pulses[0], levels, lines))
    return tuple(curves)


def _parsed(path: Path, line: int, values: dict[str, str]) -> tuple[float, float, bool]:
    numbers = []
    for column, unit in (("pulse", ""), ("conductance", "S")):
        try:
            numbers.append(parse(values[column], unit))
        except UnitError as error:
            raise DataError(f"{path}: row {line}, column {column}: {error}") from error
    if not numbers[1] >= 0:
        raise DataError(f"{path}: row {line}, column conductance: {show(numbers[1], 'S')} is below 0 S")
    direction = values["direction"].casefold()
    if direction not in (*UP, *DOWN):
        raise DataError(
            f"{path}: row {line}, column direction: {values['direction']!r} must be up or down, or SET or RESET"
        )
    return numbers[0], numbers[1], direction in UP


def _check_direction(path: Path, curve: Curve, most: float) -> None:
    steps = np.diff(curve.conductances) * (1 if curve.up else -1)
    if steps.size and steps.min() < -most:
        worst = int(np.argmin(steps))
        step = f"{show(-steps[worst], 'S')} {'down' if curve.up else 'up'}"
        where = f"row {curve.rows[worst + 1]}, column conductance"
        limit = f"more than the {show(most, 'S')} allowed as noise"
        raise DataError(f"{path}: {where}: {step} in a run {'up' if curve.up else 'down'}, {limit}")
