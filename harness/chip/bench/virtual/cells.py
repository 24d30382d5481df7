"""The cells of a virtual board: where they lie, what they conduct, the pulses that they have had, and a state file."""

from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np

from harness.chip.base import Chip
from harness.chip.bench.board import Counts
from harness.chip.bench.cells import addresses
from harness.chip.bench.virtual.messages import Fault, whole
from harness.chip.imperfect.programming import programmed_part
from harness.circuit import Circuit
from harness.devices.pulses import WritePulse
from harness.errors import BoardError, CircuitError
from harness.files.reading import read_arrays
from harness.files.writing import write_atomic
from harness.measurement import Array, Conductances, Index
from harness.units import show

MOST_PULSES = 10_000
"""Pulses for a cell in one command."""
_UNPUBLISHED = WritePulse(1.0, 1e-6)
"""The pulse of a device of which no pulse was published."""


def circuit_hash(circuit: Circuit) -> str:
    """Return a hash of all of a circuit but its conductances."""
    return sha256(repr((circuit.name, circuit.elements, circuit.outputs)).encode()).hexdigest()


class BoardCells:
    """All cells of a chip, in the order of its arrays, row by row.

    Args:
        chip: the one that they belong to.
        file: where their state is kept; what it holds already is taken up.

    Raises:
        BoardError: the file cannot be read, or is of another network.
        OSError: it cannot be written.
    """

    def __init__(self, chip: Chip, file: Path | None = None) -> None:
        self._chip, self._file = chip, file
        self._arrays = chip.circuit.arrays
        places = np.concatenate(addresses(chip.circuit))
        self._bits = int(places[:, 1].max()) + 1
        self._keys = places @ (self._bits, 1)  # which rise, since arrays lie along the diagonal
        sizes = [array.conductances.size for array in self._arrays]
        self._ends = np.cumsum(sizes)
        self._low, self._high = (
            np.repeat([getattr(a, name) for a in self._arrays], sizes) for name in ("g_min", "g_max")
        )
        self.counts: Counts = np.zeros(self.size, np.int64)
        """Pulses that each cell has had in its life."""
        self._pulsed = programmed_part(chip)
        self.network = circuit_hash(chip.circuit)
        """A hash of the circuit."""
        if file is not None:
            if file.exists():
                self._take_up(file)
            self._keep()

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self._keys)

    @property
    def pulses(self) -> tuple[WritePulse, WritePulse] | None:
        """The only pulse up and the only pulse down that cells take; None where they are set instead."""
        if self._pulsed is None:
            return None
        device = self._pulsed.device
        up, down = device.up or _UNPUBLISHED, device.down or _UNPUBLISHED
        return WritePulse(abs(up.volts), up.seconds), WritePulse(-abs(down.volts), down.seconds)

    @property
    def conductances(self) -> Array:
        """The conductances that the chip says it has, S, ``[cell]``."""
        return np.concatenate([np.ravel(g) for g in self._chip.conductances])

    def at(self, words: Array, bits: Array) -> Index:
        """Return the positions of cells by their word and bit lines.

        Raises:
            Fault: there is no such cell.
        """
        keys = whole(words) * self._bits + whole(bits)
        found = np.minimum(np.searchsorted(self._keys, keys), self.size - 1)
        if (wrong := (self._keys[found] != keys) | (bits >= self._bits)).any():
            k = int(np.argmax(wrong))
            raise Fault(-224, f"there is no cell at word {words[k]:g} and bit {bits[k]:g}")
        return np.asarray(found)

    def once(self, words: Array, bits: Array) -> Index:
        """Return positions of cells, each of which may be named only once.

        Raises:
            Fault: there is no such cell, or one is named twice.
        """
        cells = self.at(words, bits)
        order = np.argsort(cells, kind="stable")
        if (twice := np.diff(cells[order]) == 0).any():
            k = order[np.argmax(twice)]
            raise Fault(-224, f"the cell at word {words[k]:g} and bit {bits[k]:g} is named twice")
        return cells

    def check_settable(self, cells: Index, siemens: Array) -> None:
        """Refuse conductances (S) that cells cannot have.

        Raises:
            Fault: names the first one, and the range of its cell.
        """
        low, high = self._low[cells], self._high[cells]
        if (wrong := (siemens < low) | (siemens > high)).any():
            k = int(np.argmax(wrong))
            text = f"{show(siemens[k], 'S')} is outside {show(low[k], 'S')}...{show(high[k], 'S')}"
            raise Fault(-222, f"{text} of its cell, number {k} of the command")

    def set(self, cells: Index, siemens: Array) -> None:
        """Set cells to conductances (S, ``[cells]``), carefully.

        Raises:
            Fault: the state file cannot be written; nothing is changed then.
        """
        found = self.conductances
        found[cells] = siemens
        self._change(lambda: self._chip.program(self._by_array(found)))

    def adjust(self, cells: Index, change: Array) -> None:
        """Change conductances (S, ``[cells]``) in one write.

        Raises:
            Fault: the state file cannot be written; nothing is changed then.
        """
        wanted = np.zeros(self.size)
        wanted[cells] = change
        self._change(lambda: self._chip.adjust(self._by_array(wanted)))

    def pulse(self, cells: Index, counts: Array) -> None:
        """Apply signed numbers of pulses to cells, ``[cells]``.

        Raises:
            Fault: the state file cannot be written; nothing is changed then.
        """
        chip, signed = self._pulsed, np.zeros(self.size)
        assert chip is not None  # noqa: S101 - who asks has looked at `pulses`
        signed[cells] = counts
        before = self.counts
        self.counts = before + np.abs(signed).astype(np.int64)
        try:
            self._change(lambda: chip.pulse([n.astype(np.int64) for n in self._by_array(signed)]))
        except BaseException:
            self.counts = before
            raise

    def _by_array(self, values: Array) -> Conductances:
        parts = np.split(values, self._ends[:-1])
        return tuple(part.reshape(array.shape) for part, array in zip(parts, self._arrays, strict=True))

    def _change(self, write: Callable[[], object]) -> None:
        before = self._chip.conductances
        write()
        try:
            self._keep()
        except OSError as error:
            self._chip.program(before)
            raise Fault(-310, f"the state file cannot be written: {error.strerror}") from error

    def _keep(self) -> None:
        """Write the state file, if there is one, as a whole."""
        if self._file is not None:
            content = BytesIO()
            np.savez(content, circuit=self.network, conductances=self.conductances, pulses=self.counts)
            write_atomic(self._file, content.getvalue())

    def _take_up(self, file: Path) -> None:
        state = read_arrays(file, BoardError)
        if set(state) != {"circuit", "conductances", "pulses"}:
            raise BoardError(f"{file}: it is no state of a virtual board; name another file, or remove it")
        conductances, counts = state["conductances"], state["pulses"]
        if str(state["circuit"]) != self.network or conductances.shape != (self.size,):
            name = self._chip.circuit.name
            raise BoardError(f"{file}: it is the state of another network than {name}; name another file, or remove it")
        if conductances.dtype != np.float64:
            raise BoardError(f"{file}: it is damaged: its conductances are {conductances.dtype}")
        if counts.shape != (self.size,) or counts.dtype != np.int64 or (counts < 0).any():
            raise BoardError(f"{file}: it is damaged: its counts of pulses are no counts of {self.size} cells")
        try:
            self._chip.program(self._by_array(conductances))
        except CircuitError as error:
            raise BoardError(f"{file}: it is damaged: {error}") from error
        self.counts = counts
