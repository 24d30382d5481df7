"""A virtual OpenMENA board (arXiv 2511.03747): memristors behind the text commands of an Arduino's firmware.

The board's firmware and its host program were read; ``docs/pages/bench-protocol.md`` says what they do and what is
assumed.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness.chip.base import Chip
from harness.chip.bench.virtual.cells import MOST_PULSES, BoardCells
from harness.chip.bench.virtual.messages import Fault
from harness.circuit import GROUND, Circuit, Crossbar, InputSource, Output, Resistor
from harness.errors import ExperimentError
from harness.measurement import Array, Drive

LINES = 8
_HIGHEST = 4095
_REFERENCE, _VIRTUAL_GROUND, _CONVERTER = 1.5, 0.75, 3.3
"""V of the highest code at a word line, of the bit lines, and of the highest reading."""
_SENSE, _READ_OHMS = 1.0, 101e3
"""Ω between a bit line and the virtual ground, and V at a converter for each A through it."""
_READINGS = 20
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?[0-9]{0,18}\.?[0-9]{0,18}")
_INVALID = "Invalid arguments. Indices 0–7, sign 1/-1, pulses > 0"


def board_circuit(circuit: Circuit) -> Circuit:
    """Return the cells of a network's only crossbar, with sources at its word lines and its bit lines held at 0 V.

    Raises:
        ExperimentError: the network has other cells, or more of them than the board.
    """
    arrays = circuit.arrays
    if len(arrays) != 1 or not isinstance(arrays[0], Crossbar) or max(arrays[0].shape) > LINES:
        told = ", ".join(f"{array.title} of {'x'.join(map(str, array.shape))}" for array in arrays)
        raise ExperimentError(f"an OpenMENA board has one crossbar of up to 8x8 cells; {circuit.name} has {told}")
    cells = arrays[0]
    sources = [InputSource(f"in{k}", node, channel=k, gain=1.0) for k, node in enumerate(cells.words)]
    senses = [Resistor(f"sense{k}", node, GROUND, 1 / _SENSE) for k, node in enumerate(cells.bits)]
    outputs = tuple(Output(f"out{k}", node) for k, node in enumerate(cells.bits))
    return Circuit(f"{circuit.name}_openmena", (*sources, cells, *senses), outputs)


class OpenMenaBoard:
    """A board of one crossbar, which is written by pulses.

    Args:
        chip: of a circuit that `board_circuit` has made.
        state: file that keeps the cells; None for none.

    Raises:
        ExperimentError: the chip is not written by pulses.
        BoardError: the state cannot be read, or is of another network.
        OSError: it cannot be written.
    """

    def __init__(self, chip: Chip, state: Path | None = None) -> None:
        self._chip, self._cells = chip, BoardCells(chip, state)
        if self._cells.pulses is None:
            raise ExperimentError(
                "the cells of an OpenMENA board are written by pulses: add [programming], such as "
                "--set 'programming.device=EpiRAM Ag:SiGe'"
            )
        self.dead_man = 0.0
        self.applied = False

    def begin(self, dead_man: float) -> None:
        """Begin a connection, with grounded pins and a dead-man of so many seconds."""
        self.dead_man, self.applied = dead_man, False

    def ground(self) -> None:
        """Take everything off the word lines."""
        self.applied = False

    def refuse(self, fault: Fault) -> None:
        """Say nothing, as the firmware does."""

    def answer(self, line: bytes) -> str | None:
        """Carry out one command; returns the lines of its answer, if it has one."""
        head, _, rest = line.decode("latin-1").strip().partition(":")
        command = _COMMANDS.get(head)
        if command is None:
            return None
        try:
            said = command(self, rest.split())
        except Exception as error:  # whatever a chip does, the board goes on and says so
            said = [f"Error: {Fault(-200, str(error) or type(error).__name__)}"]
        return "\r\n".join(said) + "\r" if said else None

    def _infer(self, words: list[str]) -> list[str]:
        samples = _whole(words[0]) if words else 0
        if samples <= 0:
            return ["Error: INFEREMULTIPLE requires N > 0"]
        codes = np.clip([_whole(word) for word in words[1 : 1 + samples * LINES]], 0, _HIGHEST)
        if codes.size != samples * LINES:
            return [f"Error: Expected {samples * LINES} DAC values after N."]
        rows = self._read(codes.reshape(samples, LINES) * (_REFERENCE / _HIGHEST) - _VIRTUAL_GROUND)
        return [
            f"Running inference for {samples} input vectors...",
            "INFEREMULTIPLE ADC Averages:",
            *("".join(f"{reading:.2f}\t" for reading in row) for row in rows),
            "INFEREMULTIPLE complete.",
        ]

    def _read(self, volts: Array) -> Array:
        """Return the means of some readings, ``[samples, 8]``, for voltages at the word lines, ``[samples, 8]``."""
        circuit = self._chip.circuit
        self.applied = True
        readings = self._chip.measure([Drive(volts[:, : circuit.channels])] * _READINGS)
        amperes = np.array([reading.outputs for reading in readings]) / _SENSE
        found = np.clip(np.rint(amperes * (_READ_OHMS * _HIGHEST / _CONVERTER)), 0, _HIGHEST).mean(axis=0)
        return np.pad(found, ((0, 0), (0, LINES - found.shape[1])))

    def _modify(self, words: list[str]) -> list[str]:
        word, bit, sign, count = (*map(_whole, words[:4]), 0, 0, 0, 0)[:4]
        plus1, minus1, plus2, minus2 = (*map(_decimal, words[4:8]), 0.0, 0.0, 0.0, 0.0)[:4]
        volts = plus1 - minus1 if sign == 1 else plus2 - minus2
        if not (0 <= word < LINES and 0 <= bit < LINES and sign in (1, -1) and 0 < count <= MOST_PULSES):
            return [_INVALID]
        counts = np.zeros((LINES, LINES))
        counts[word, bit] = np.sign(volts) * count
        return self._pulse(counts)

    def _modify_all(self, words: list[str]) -> list[str]:
        if len(words) < 3 * LINES**2:
            return ["Error: WEIGHTMODIFALL requires 128 integers + 64 floats."]
        signs = np.array([_whole(word) for word in words[: LINES**2]])
        volts = np.array([_decimal(word) for word in words[2 * LINES**2 : 3 * LINES**2]])
        counts = np.where(np.abs(signs) == 1, signs * np.sign(volts), 0.0)
        return [*self._pulse(counts.reshape(LINES, LINES)), "WEIGHTMODIFALL complete."]

    def _pulse(self, counts: Array) -> list[str]:
        """Apply signed numbers of pulses, ``[8, 8]``; lines without cells take them without effect."""
        words, bits = self._chip.circuit.arrays[0].shape
        here = counts[:words, :bits]
        found = np.argwhere(here).astype(float)
        if len(found):
            self._cells.pulse(self._cells.at(*found.T), here[here != 0])
        return []


_COMMANDS: dict[str, Callable[[OpenMenaBoard, list[str]], list[str]]] = {
    "INFEREMULTIPLE": OpenMenaBoard._infer,
    "WEIGHTMODIF": OpenMenaBoard._modify,
    "WEIGHTMODIFALL": OpenMenaBoard._modify_all,
}


def _whole(text: str) -> int:
    """Return the whole number with which a text begins, as the firmware reads it; 0 without one."""
    found = _NUMBER.match(text)
    return int(found[0]) if found else 0


def _decimal(text: str) -> float:
    found = _DECIMAL.match(text)
    return float(found[0]) if found and any(map(str.isdigit, found[0])) else 0.0
