"""Places of a circuit's cells on a board: the word and bit line of each."""

from pathlib import Path

import numpy as np

from harness.circuit import Circuit
from harness.circuit.arrays import TrainableArray
from harness.errors import ExperimentError
from harness.files.delimited import read_delimited
from harness.measurement import Index
from harness.wording import counted

_COLUMNS = ("array", "word", "bit", "w", "b")


def addresses(circuit: Circuit, file: Path | None = None) -> tuple[Index, ...]:
    """Return the word and bit line of every cell, ``[cells, 2]`` for each array, in the order of ``ravel()``.

    Args:
        circuit: whose trainable arrays lie on the board.
        file: CSV file with the columns array, word, bit (a cell of the circuit; edges have no bit), w and b (its
            place on the board). Without one, each array begins where the one before has ended, in both directions; an
            array of edges is one bit line wide.

    Raises:
        ExperimentError: the file is wrong, names a cell or a place twice, or leaves a cell out; names the line.
    """
    if file is not None:
        return _mapped(circuit, file)
    corner, found = np.zeros(2, np.intp), []
    for array in circuit.arrays:
        rows, columns = _extent(array)
        found.append(corner + np.indices((rows, columns), dtype=np.intp).reshape(2, -1).T)
        corner += rows, columns
    return tuple(found)


def _extent(array: TrainableArray) -> tuple[int, int]:
    """Return the word and bit lines that an array covers."""
    return (array.shape[0], 1) if len(array.shape) == 1 else (array.shape[0], array.shape[1])


def _mapped(circuit: Circuit, file: Path) -> tuple[Index, ...]:
    table = read_delimited(file, ExperimentError)
    if set(table.columns) != set(_COLUMNS):
        raise ExperimentError(f"{file}: its columns are {', '.join(table.columns)}; write {', '.join(_COLUMNS)}")
    order = [table.columns.index(name) for name in _COLUMNS]
    arrays = {array.name: k for k, array in enumerate(circuit.arrays)}
    places = [np.full((array.conductances.size, 2), -1, np.intp) for array in circuit.arrays]
    taken: dict[tuple[int, int], int] = {}
    for line, cells in table.rows():
        name, *numbers = (cells[k].strip() for k in order)
        where = f"{file}, line {line}"
        if name not in arrays:
            raise ExperimentError(f"{where}: there is no array {name!r}; the circuit has {', '.join(arrays)}")
        k = arrays[name]
        number = _number(circuit.arrays[k], numbers[0], numbers[1], where)
        place = (_whole(numbers[2], "w", where), _whole(numbers[3], "b", where))
        if places[k][number, 0] >= 0:
            raise ExperimentError(f"{where}: cell {name}[{', '.join(filter(None, numbers[:2]))}] is there twice")
        if (other := taken.setdefault(place, line)) != line:
            raise ExperimentError(f"{where}: the place w = {place[0]}, b = {place[1]} is taken in line {other}")
        places[k][number] = place
    for array, found in zip(circuit.arrays, places, strict=True):
        if missing := int((found[:, 0] < 0).sum()):
            raise ExperimentError(f"{file}: {array.title} has {counted(missing, 'cell')} without a place")
    return tuple(places)


def _number(array: TrainableArray, word: str, bit: str, where: str) -> int:
    """Return the position of a cell in its array's ``ravel()``."""
    position = [_whole(word, "word", where)]
    if len(array.shape) > 1:
        position.append(_whole(bit, "bit", where))
    elif bit:
        raise ExperimentError(f"{where}: bit is {bit!r}, and {array.title} has edges, which are numbered by word alone")
    for given, most, name in zip(position, array.shape, ("word", "bit"), strict=False):
        if given >= most:
            raise ExperimentError(f"{where}: {name} is {given}, and {array.title} has 0…{most - 1}")
    return int(np.ravel_multi_index(position, array.shape))


def _whole(text: str, name: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ExperimentError(f"{where}: {name} is {text!r}, and must be a whole number from 0 on")
    return int(text)
