r"""OpenMENA (arXiv 2511.03747): 8 × 8 memristors behind an Arduino Due, in the text commands of its firmware.

Tested against a scripted port and `harness bench serve --openmena`; never against a board.

The firmware reads outputs and applies pulses, and no more: it has no nudges, reads no cells and counts nothing. Cells
are therefore known by inference with one word line at a time. Facts that its users fall for, from its sources:

* Its own host program takes what rows have come when its time is up, so that a slow batch silently loses samples. Here
  rows are counted.
* Nothing answers a pulse command that is right. Each command here is followed by a question that touches no pin, and
  that the firmware answers with an error that has the question's number in it: ``INFEREMULTIPLE: 201`` without codes by
  ``Error: Expected 1608 DAC values after N.``. What comes before that answer belongs to the command; what an earlier
  command has left behind has another number.
* The second source of a pulse comes from the Due's own converter and has 0.545 V at least. Lower voltages become a
  negative code, which the converter does not refuse.
* Rows have no sum to check. A digit that changed on the way is not noticed; USB has sums of its own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from time import monotonic

import numpy as np
from typing_extensions import override

from harness.chip.bench.board import Board, Counts, Extent, Pulses
from harness.chip.bench.boards.driven import DrivenLines, check_lines
from harness.chip.bench.boards.exchange import WrongAnswer
from harness.chip.bench.boards.pins import Pins
from harness.chip.bench.line import LateError, Line
from harness.chip.bench.profile import Profile, WriteMode
from harness.errors import BoardError
from harness.measurement import Access, Array, Drive, Index
from harness.units import show

LINES = 8
"""Word lines, and bit lines."""
_VIRTUAL_GROUND = 0.75
"""V at the bit lines, to which voltages are relative."""
_REFERENCE = 1.5
"""V of the highest code at a word line."""
_CONVERTER = 3.3
"""V of the highest reading."""
_HIGHEST = 4095
"""Highest code and reading: 12 bits."""
_LOWEST_SECOND = 0.57
"""V; the lowest that the authors' program asks of the second source of a pulse."""
_HIGHEST_SECOND = 2.739
"""V; the highest that the second source has."""
_SHORTEST_PULSE, _LONGEST_PULSE = 1e-6, 1.0
"""s; the firmware counts whole microseconds in 32 bits."""
_SETTLE = 5e-3
"""s that the firmware waits between applying a sample and its first reading."""
_SAMPLE = 1.2
"""s for a sample: the firmware's own waits are 1.045 s (5 ms + 8 · 5 ms + 20 · 50 ms)."""
_FENCES = range(201, 300)
"""Numbers of questions; no batch is as large, whose error could be taken for their answer."""
_MOST_LINES = 1000
"""Lines before the answer to a question; a board that sends more is not in its senses."""
_ROW = re.compile(r"(\d{1,4}\.\d\d\t){8}")


class OpenMena(Board):
    """An OpenMENA board."""

    def __init__(self, profile: Profile, line: Line) -> None:
        """Take a line that is open; the board may still be starting.

        Raises:
            BoardError: the profile says more than the board can.
            ExperimentError: it names channels that do not exist.
        """
        _check(profile)
        self._line = line
        self._pins = Pins.of(profile.channels, Extent(LINES, LINES, 0))
        self._driven = DrivenLines.of(profile.channels)
        check_lines(self._driven, LINES)
        self._read_volts, self._ohms = profile.write.read_v or 0.0, profile.write.read_ohms or 0.0
        self._timeout, self._retries = profile.timing.timeout, profile.timing.retries
        self._fences = cycle(_FENCES)
        self._in_step = False
        """True where nothing of an earlier command can still come."""
        self._longest = 0.0
        """s that the command took which was sent last."""

    @override
    def identify(self) -> str:
        self._resynchronize()
        return "OpenMENA"

    @override
    def extent(self) -> Extent:
        return replace(self._pins.extent, nodes=None, wait=_SETTLE)

    @override
    def tell_step_key(self, numbers: Sequence[int]) -> None:
        pass

    @override
    def measure(self, drives: Sequence[Drive], access: Access, settle: float) -> list[Array]:
        if access is not Access.OUTPUTS or any(drive.nudge is not None for drive in drives):
            raise BoardError(f"{self._line.name}: it reads outputs in free phases, and nothing else")
        if settle > _SETTLE:
            raise BoardError(
                f"{self._line.name}: timing.settle is {show(settle, 's')}, and the firmware waits {show(_SETTLE, 's')}"
            )
        volts = np.concatenate([self._applied(drive.inputs) for drive in drives])
        return np.split(self._pins.outputs_of(self._inferred(self._codes(volts))), len(drives))

    @override
    def conductances(self, cells: Index) -> Array:
        self._check_cells(cells)
        if not len(cells):
            return np.zeros(0)
        words = np.unique(cells[:, 0])
        volts = np.zeros((1 + len(words), LINES))  # the first row is what outputs read when no cell has a voltage
        volts[np.arange(len(words)) + 1, words] = self._read_volts
        codes = self._codes(volts)
        read = self._inferred(codes)
        step = (codes[1, words[0]] - codes[0, words[0]]) * _REFERENCE / _HIGHEST  # V that the codes really make
        row = np.searchsorted(words, cells[:, 0]) + 1
        return (read[row, cells[:, 1]] - read[0, cells[:, 1]]) / (step * self._ohms)

    @override
    def set_conductances(self, cells: Index, siemens: Array) -> None:
        raise BoardError(
            f"{self._line.name}: it has no means of its own to set conductances; take write.mode = 'verify'"
        )

    @override
    def pulse(self, pulses: Pulses) -> None:
        self._check_cells(pulses.cells)
        commands = [*_commands(pulses, self._line.name)]  # all of them are right before the first is sent
        if not self._in_step:
            self._resynchronize()
        for k, (command, seconds) in enumerate(commands):
            said = self._exchanged(command, seconds)
            if said and k:
                raise LateError(
                    f"{self._line.name}: {command!r} was answered {said[0]!r}, after {k} other pulse commands"
                )
            if said:
                raise BoardError(f"{self._line.name}: {command!r} was answered {said[0]!r}")

    @override
    def pulse_counts(self, cells: Index) -> Counts | None:
        return None

    @override
    def ground(self) -> None:
        """Bring all word lines to the virtual ground; the firmware opens the switches to the cells by itself."""
        self._inferred(self._codes(np.zeros((1, LINES))))

    @override
    def close(self) -> None:
        self._line.close()

    def _applied(self, inputs: Array) -> Array:
        """Return the voltages of all word lines, ``[samples, 8]``; those that nobody names are at 0 V."""
        volts = np.zeros((len(inputs), LINES))
        volts[:, [int(channel) for channel in self._driven.channels]] = self._driven.volts(inputs)
        return volts

    def _codes(self, volts: Array) -> Index:
        """Return the codes nearest to voltages (V against the virtual ground)."""
        codes = np.rint((volts + _VIRTUAL_GROUND) * _HIGHEST / _REFERENCE)
        outside = ~((codes >= 0) & (codes <= _HIGHEST))
        if outside.any():
            raise BoardError(
                f"{self._line.name}: an input of {show(float(volts[outside][0]), 'V')} is outside of "
                f"±{show(_VIRTUAL_GROUND, 'V')} against the virtual ground"
            )
        return codes.astype(np.intp)

    def _inferred(self, codes: Index) -> Array:
        """Return V at the converters, ``[samples, 8]``, for codes ``[samples, 8]``.

        Raises:
            BoardError: each time, no answer came, or one that is wrong.
        """
        command = f"INFEREMULTIPLE: {len(codes)} " + " ".join(str(code) for code in codes.ravel())
        for attempt in range(self._retries + 1):
            try:
                if not self._in_step:
                    self._resynchronize()
                return self._rows(self._exchanged(command, len(codes) * _SAMPLE), len(codes)) * _CONVERTER / _HIGHEST
            except (LateError, WrongAnswer) as error:
                self._in_step = False
                if attempt == self._retries:
                    raise BoardError(f"{error}; asked was an inference of {len(codes)} samples") from error
        raise AssertionError

    def _rows(self, said: list[str], samples: int) -> Array:
        """Return the readings of an answer, ``[samples, 8]``.

        Raises:
            WrongAnswer: it is not whole, or not as the firmware writes it.
        """
        start = [f"Running inference for {samples} input vectors...", "INFEREMULTIPLE ADC Averages:"]
        rows, end = said[2:-1], said[-1:]
        if said[:2] != start or end != ["INFEREMULTIPLE complete."]:
            raise WrongAnswer(f"{self._line.name}: an inference was answered {' / '.join(said)[:100]!r}")
        if len(rows) != samples:
            raise WrongAnswer(f"{self._line.name}: {len(rows)} rows came for {samples} samples")
        wrong = [row for row in rows if not _ROW.fullmatch(row)]
        if wrong:
            raise WrongAnswer(f"{self._line.name}: no row of {LINES} readings is {wrong[0][:100]!r}")
        read = np.array([row.split() for row in rows], dtype=np.float64)
        if (read > _HIGHEST).any():
            raise WrongAnswer(f"{self._line.name}: a reading is {read.max():g}, and the converter has 12 bits")
        return read

    def _exchanged(self, command: str, seconds: float) -> list[str]:
        """Send a command, and return the lines that came before the answer to the question behind it.

        Raises:
            LateError: it has not been carried out in time, or its answer was lost.
        """
        self._in_step, self._longest = False, seconds
        self._line.send(command)
        said = self._until_fence(seconds)
        self._in_step = True
        return said

    def _until_fence(self, seconds: float) -> list[str]:
        fence, said = next(self._fences), list[str]()
        self._line.send(f"INFEREMULTIPLE: {fence}")
        awaited, deadline = (
            f"Error: Expected {LINES * fence} DAC values after N.",
            monotonic() + self._timeout + seconds,
        )
        while (line := self._line.receive(max(0.0, deadline - monotonic()))) != awaited:
            said.append(line)
            if len(said) > _MOST_LINES:
                raise LateError(f"{self._line.name}: {len(said)} lines came, and not {awaited!r}")
        return [line for line in said if line]

    def _resynchronize(self) -> None:
        """Forget all that earlier commands, or the start of the board, have left on the line.

        Raises:
            BoardError: the board does not answer as OpenMENA's firmware does.
        """
        for _ in range(self._retries + 1):
            self._line.send("")  # ends what an earlier command may have left of a line
            try:
                self._until_fence(self._longest)
            except LateError:
                continue
            self._in_step = True
            return
        raise BoardError(f"{self._line.name}: what is there does not answer as OpenMENA's firmware does")

    def _check_cells(self, cells: Index) -> None:
        beyond = cells[((cells < 0) | (cells >= LINES)).any(axis=1)]
        if len(beyond):
            raise BoardError(
                f"{self._line.name}: there is no cell at word {beyond[0, 0]}, bit {beyond[0, 1]}; it has 8 × 8"
            )


def _check(profile: Profile) -> None:
    """Refuse a profile that says more than the board can."""
    write = profile.write
    wrong = {
        "can.nudge must be empty": bool(profile.can.nudge),
        "can.access must be 'outputs'": profile.can.access is Access.NODES,
        "write.mode = 'set' needs means that it does not have; take 'verify'": write.mode is WriteMode.SET,
        "write.read_v and write.read_ohms are needed to know its cells from its outputs": not (
            write.read_v and write.read_ohms
        ),
        f"write.read_v is below one step of its sources, {show(_REFERENCE / _HIGHEST, 'V')}": 0
        < (write.read_v or 0.0)
        < _REFERENCE / _HIGHEST,
    }
    for told in (words for words, found in wrong.items() if found):
        raise BoardError(f"profile {profile.name}, an OpenMENA board: {told}")


def _commands(pulses: Pulses, name: str) -> Iterator[tuple[str, float]]:
    """Yield the command for each cell that gets pulses, and the s that it takes.

    Raises:
        BoardError: a pulse is beyond what the board can.
    """
    rows = zip(
        pulses.cells.tolist(), pulses.volts.tolist(), pulses.seconds.tolist(), pulses.counts.tolist(), strict=True
    )
    for (word, bit), volts, seconds, count in rows:
        first, second = _sources(volts)
        if not (0 <= first <= _REFERENCE and _LOWEST_SECOND <= second <= _HIGHEST_SECOND):
            most = _REFERENCE - _LOWEST_SECOND, -2 * _VIRTUAL_GROUND
            raise BoardError(f"{name}: a pulse of {show(volts, 'V')} is outside of {most[1]:g} V … {most[0]:g} V")
        width = round(seconds * 1e6) if _SHORTEST_PULSE <= seconds <= _LONGEST_PULSE else 0
        if abs(width * 1e-6 - seconds) > 1e-9 or not width:
            raise BoardError(f"{name}: a pulse of {show(seconds, 's')} is no whole number of microseconds up to 1 s")
        if count:
            pair, rest = f"{first:.4f} {second:.4f}", f"{_VIRTUAL_GROUND} {_VIRTUAL_GROUND}"
            sign, pairs = (1, f"{pair} {rest}") if volts > 0 else (-1, f"{rest} {pair}")
            yield f"WEIGHTMODIF: {word} {bit} {sign} {count} {pairs} {width}", 2 * count * seconds


def _sources(volts: float) -> tuple[float, float]:
    """Return the voltages of the two sources: on either side of the virtual ground as far as the second one goes."""
    second = max(_VIRTUAL_GROUND - volts / 2, _LOWEST_SECOND)
    return second + volts, second
