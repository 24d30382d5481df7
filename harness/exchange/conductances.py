"""Tables of conductances with the names of their lines: written from a run, and measured ones read into one.

A CSV file has one row a cell under ``array, row, column, conductance (S)``: the nodes of word and bit line, or of an
edge's first and second end. An npz file has for each array ``NAME.siemens`` (``[word, bit]`` or ``[edge]``),
``NAME.rows`` and ``NAME.columns``. Values survive bit for bit. Rows may come in any order, each is put where its names
say, and a CSV file may be in another unit, such as ``conductance (uS)``.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path

import numpy as np

from harness.circuit import Circuit, Crossbar, TrainableArray
from harness.errors import DataError, UnitError
from harness.experiment.experiment import Experiment
from harness.files.delimited import read_delimited
from harness.files.reading import TABLE_LIMIT, Arrays, JsonObject, read_arrays, read_bytes
from harness.files.writing import write_atomic
from harness.measurement import Array, Conductances
from harness.training.position import npz
from harness.training.runs import Run, Start
from harness.units import parse, show, unit_of_heading
from harness.wording import counted, did_you_mean, listed

SUFFIXES = (".csv", ".npz")
_COLUMNS = ("array", "row", "column")

Cell = tuple[str, str, str]
"""Array, row and column."""


@dataclass(frozen=True)
class Imported:
    """Conductances from a file, in the order and the shapes of a circuit's arrays."""

    conductances: Conductances
    """S."""
    clipped: int
    """Cells that were outside g_min…g_max."""


def table_bytes(circuit: Circuit, suffix: str) -> bytes:
    """Return the conductances of a circuit as the content of a file, ``".csv"`` or ``".npz"``.

    Raises:
        DataError: another suffix.
    """
    if suffix == ".csv":
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow([*_COLUMNS, "conductance (S)"])
        for array in circuit.arrays:
            values = array.conductances.ravel().tolist()
            table.writerows((*cell, repr(g)) for cell, g in zip(_cells(array), values, strict=True))
        return text.getvalue().encode()
    if suffix == ".npz":
        return npz({k: v for array in circuit.arrays for k, v in _named(array).items()})
    raise DataError(f"conductances: a file ends with {' or '.join(SUFFIXES)}, not {suffix!r}")


def read_table(file: Path, circuit: Circuit, *, clip: bool = False) -> Imported:
    """Read conductances for every cell of a circuit, whose names, shapes and bounds they have to meet.

    With `clip`, values outside g_min…g_max go to the bound instead of being refused.

    Raises:
        DataError: the file cannot be read, an array, line or edge is unknown, a cell is missing, there twice, not a
            finite number or out of range.
    """
    known = {array.name: array for array in circuit.arrays}
    readers = {".csv": _csv_cells, ".npz": _npz_cells}
    if (reader := readers.get(file.suffix)) is None:
        raise DataError(f"{file}: a file of conductances ends with {' or '.join(SUFFIXES)}")
    placed = _placed(file, known, reader(file, known))
    outside = 0
    for name, g in placed.items():
        array = known[name]
        fits = (g >= array.g_min) & (g <= array.g_max)
        if not clip and not fits.all():
            _refuse(file, array, g, tuple(np.argwhere(~fits)[0].tolist()))
        outside += int((~fits).sum())
    return Imported(tuple(np.clip(g, known[n].g_min, known[n].g_max) for n, g in placed.items()), outside)


def export_table(circuit: Circuit, file: Path) -> int:
    """Write the conductances of a circuit, and return how many they are.

    Raises:
        DataError: the file's suffix is neither ``.csv`` nor ``.npz``.
    """
    write_atomic(file, table_bytes(circuit, file.suffix))
    return sum(g.size for g in circuit.conductances)


def import_table(experiment: Experiment, run: Run | None, file: Path, folder: Path, *, clip: bool) -> tuple[Run, int]:
    """Make a run that begins with the conductances of a file, and return it with the number of clipped cells.

    The run that the experiment was read from, if any, is recorded as the origin; see `read_table` for `clip`.

    Raises:
        DataError: see `read_table`.
        RunError: something is at `folder` already.
    """
    read = read_table(file, experiment.circuit, clip=clip)
    digest = sha256(read_bytes(file, DataError, most=TABLE_LIMIT)).hexdigest()
    origin: JsonObject = {"file": file.name, "sha256": digest, "clipped": read.clipped}
    origin |= {} if run is None else {"run": run.path.resolve().name}
    made = experiment.create_run(folder, Start(read.conductances, {"imported_conductances": origin}))
    return made, read.clipped


def _lines(array: TrainableArray) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names of rows and columns; for edges, those of both ends."""
    return (array.words, array.bits) if isinstance(array, Crossbar) else (array.a, array.b)


def _cells(array: TrainableArray) -> Iterator[Cell]:
    """Return the cells in the order of the raveled conductances."""
    return _combined(array.name, *_lines(array), grid=isinstance(array, Crossbar))


def _combined(name: str, rows: Sequence[str], columns: Sequence[str], *, grid: bool) -> Iterator[Cell]:
    pairs = product(rows, columns) if grid else zip(rows, columns, strict=True)
    return ((name, row, column) for row, column in pairs)


def _named(array: TrainableArray) -> dict[str, Array | list[str]]:
    rows, columns = _lines(array)
    parts: dict[str, Array | list[str]] = {"siemens": array.conductances, "rows": list(rows), "columns": list(columns)}
    return {f"{array.name}.{part}": value for part, value in parts.items()}


def _placed(file: Path, known: dict[str, TrainableArray], cells: Iterable[tuple[str, Cell, float]]) -> dict[str, Array]:
    """Return the values of the cells in the shapes of their arrays; parallel edges in the order of the file."""
    free: dict[Cell, list[int]] = defaultdict(list)
    for array in known.values():
        for index, cell in enumerate(_cells(array)):
            free[cell].append(index)
    for places in free.values():
        places.reverse()
    flat = {name: np.empty(array.conductances.size) for name, array in known.items()}
    for where, cell, value in cells:
        places = free.get(cell, [])
        if not places:
            twice = f"{where}: {_titled(cell)} is there twice"
            raise DataError(twice if cell in free else _unknown(where, cell, known))
        flat[cell[0]][places.pop()] = value
    missing = [cell for cell, places in free.items() for _ in places]
    if missing:
        count = f"{len(missing):,} of {counted(sum(map(len, flat.values())), 'cell')}"
        raise DataError(f"{file}: {count} are missing, the first is {_titled(missing[0])}")
    return {name: flat[name].reshape(array.shape) for name, array in known.items()}


def _unknown(where: str, cell: Cell, known: dict[str, TrainableArray]) -> str:
    name, row, column = cell
    if (array := known.get(name)) is None:
        return f"{where}: there is no array {name!r}{did_you_mean(name, known, or_list=True)}"
    for kind, line, lines in zip(("row", "column"), (row, column), _lines(array), strict=True):
        if line not in lines:
            return f"{where}: {array.title} has no {kind} {line!r}; it has {listed(lines, 6)}"
    return f"{where}: {array.title} has no edge from {row} to {column}"


def _titled(cell: Cell) -> str:
    return f"array {cell[0]}, row {cell[1]}, column {cell[2]}"


def _refuse(file: Path, array: TrainableArray, conductances: Array, position: tuple[int, ...]) -> None:
    value = float(conductances[position])
    name, bound = ("g_min", array.g_min) if value < array.g_min else ("g_max", array.g_max)
    rows, columns = _lines(array)
    cell = _titled((array.name, rows[position[0]], columns[position[-1]]))
    way = "below" if name == "g_min" else "above"
    shown, limit = (show(siemens, "S") for siemens in (value, bound))
    if shown == limit:
        shown, limit = f"{value!r} S", f"{bound!r} S"
    raise DataError(f"{file}: {cell}: {shown} is {way} {name} {limit}; --clip sets such cells to the bound")


def _csv_cells(file: Path, _: dict[str, TrainableArray]) -> Iterator[tuple[str, Cell, float]]:
    """Give the place of each row, its cell and its value (S)."""
    table = read_delimited(file, DataError, separator=",")
    unit = _unit_of(file, table.columns)
    for line, cells in table.rows():
        name, row, column, text = map(str.strip, cells)
        try:
            yield f"{file}, line {line}", (name, row, column), parse(f"{text} {unit}", "S")
        except UnitError as error:
            cell = _titled((name, row, column))
            raise DataError(f"{file}, line {line}: {cell}: {text!r} is no finite number (of {unit})") from error


def _unit_of(file: Path, titles: Sequence[str]) -> str:
    unit = unit_of_heading(titles[-1])
    if tuple(titles[:-1]) != _COLUMNS or unit is None:
        wanted = ", ".join((*_COLUMNS, "conductance (S)"))
        raise DataError(f"{file}: the first line must be {wanted}; it is {', '.join(titles) or 'empty'}")
    try:
        parse(f"1 {unit}", "S")
    except UnitError as error:
        raise DataError(f"{file}: heading {titles[-1]!r}: {error}") from error
    return unit


def _npz_cells(file: Path, known: dict[str, TrainableArray]) -> Iterator[tuple[str, Cell, float]]:
    """Give file, cell and value (S) of each cell."""
    content = read_arrays(file, DataError)
    for key in content:
        if not key.endswith((".siemens", ".rows", ".columns")):
            raise DataError(
                f"{file}: the array {key!r} is called neither NAME.siemens nor NAME.rows nor NAME.columns; "
                f"'harness conductances export' writes such a file"
            )
    for name in dict.fromkeys(key.rpartition(".")[0] for key in content):
        if name not in known:
            raise DataError(_unknown(str(file), (name, "", ""), known))
        yield from _npz_array(file, name, content, grid=isinstance(known[name], Crossbar))


def _npz_array(file: Path, name: str, content: Arrays, *, grid: bool) -> Iterator[tuple[str, Cell, float]]:
    parts = [content.get(f"{name}.{part}") for part in ("siemens", "rows", "columns")]
    siemens, rows, columns = parts
    if siemens is None or rows is None or columns is None:
        raise DataError(f"{file}: array {name} needs {name}.siemens, {name}.rows and {name}.columns")
    if siemens.dtype.kind not in "fiu" or rows.dtype.kind != "U" or columns.dtype.kind != "U":
        raise DataError(f"{file}: array {name}: siemens must be numbers, rows and columns must be texts")
    wanted = (*rows.shape, *columns.shape) if grid else rows.shape
    if siemens.shape != wanted or rows.ndim != 1 or columns.ndim != 1 or not (grid or rows.shape == columns.shape):
        names = f"{list(rows.shape)} names of rows and {list(columns.shape)} of columns"
        raise DataError(f"{file}: array {name} has shape {list(siemens.shape)}, which does not fit {names}")
    values = siemens.astype(float).ravel().tolist()
    for cell, value in zip(_combined(name, rows.tolist(), columns.tolist(), grid=grid), values, strict=True):
        if not np.isfinite(value):
            raise DataError(f"{file}: {_titled(cell)}: {value} is no finite number (of S)")
        yield str(file), cell, value
