"""A board that speaks the bench protocol (``docs/pages/bench-protocol.md``)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from harness.chip.bench.board import Counts, Extent, Pulses
from harness.chip.bench.boards.exchange import Exchange, WrongAnswer, nothing, parts
from harness.chip.bench.boards.pins import Pins
from harness.chip.bench.line import Line
from harness.chip.bench.profile import Profile, WriteMode
from harness.errors import BoardError
from harness.measurement import Access, Array, Clamp, Drive, Index, Injection, Nudge, Spring
from harness.wording import counted, printable

Number = TypeVar("Number", int, float)
_OVERLOAD = 9.9e37
"""Numbers from here on mean infinity or none at all in SCPI."""
_MOST_CELLS = 4096
"""Cells in one message."""


def open_board(profile: Profile, line: Line) -> "ScpiBoard":
    """Open a board at the other end of a line.

    Raises:
        BoardError: it does not answer as the protocol wants, or lacks what the profile says that it can.
        ExperimentError: the profile names channels that it does not have.
    """
    board = ScpiBoard(profile, line)
    board.check(profile)
    return board


class ScpiBoard:
    """A `harness.chip.bench.board.Board` that speaks the bench protocol."""

    def __init__(self, profile: Profile, line: Line) -> None:
        self._line, self._dead_man = line, profile.timing.dead_man
        self._key = ""
        self._who: str | None = None
        self._exchange = Exchange(line, profile.timing.timeout, profile.timing.retries, self._greet)
        self._abilities = self._exchange.abilities
        self._pins = Pins.of(profile.channels, self._board_extent())
        self._greet()

    def check(self, profile: Profile) -> None:
        """Refuse a profile that says more than the board can.

        Raises:
            BoardError: names what it lacks.
        """
        needed = {"INJ": "injection", "SPR": "spring", "CLMP": "clamp"}
        wanted = {word: f"can.nudge = {name!r}" for word, name in needed.items() if name in profile.can.nudge}
        if profile.can.access is Access.NODES:
            wanted["NODE"] = "can.access = 'nodes'"
        mode = profile.write.mode
        if mode is not WriteMode.NONE:
            wanted["SET" if mode is WriteMode.SET else "PULS"] = f"write.mode = {mode.value!r}"
        for word, key in wanted.items():
            if word not in self._abilities:
                raise BoardError(
                    f"profile {profile.name}: {key} needs a board that can {word}; this one can "
                    f"{', '.join(sorted(self._abilities))}"
                )
        if {"spring", "clamp"} & {*profile.can.nudge} and not self._pins.straight:
            raise BoardError(
                f"profile {profile.name}: can.nudge has spring or clamp, which act on each of the board's outputs by "
                "itself; name all of them in channels.outputs, one for each output, or take injection alone"
            )

    def identify(self) -> str:
        """See `Board.identify`."""
        return self._exchange.ask("*IDN?", _text)

    def extent(self) -> Extent:
        """See `Board.extent`."""
        return self._pins.extent

    def tell_step_key(self, numbers: Sequence[int]) -> None:
        """See `Board.tell_step_key`; the key goes with the next message."""
        if "KEY" in self._abilities:
            self._key = f"SYST:KEY {','.join(map(str, numbers))}".strip() + ";"

    def measure(self, drives: Sequence[Drive], access: Access, settle: float) -> list[Array]:
        """See `Board.measure`; one message."""
        samples = len(drives[0].inputs)
        board = self._pins.board
        columns = (board.nodes if access is Access.NODES else board.outputs) or 0
        message = f"{self._key}SENS:DEL {settle!r};" + ";".join(self._phases(drives, access))
        parse = partial(_tables, count=len(drives), shape=(samples, columns))
        found = self._exchange.ask(message, parse, settle * samples * len(drives))
        self._key = ""
        return [self._pins.nodes_of(v) if access is Access.NODES else self._pins.outputs_of(v) for v in found]

    def conductances(self, cells: Index) -> Array:
        """See `Board.conductances`."""
        return np.array(self._read_cells("CELL:COND?", cells, _floats), np.float64)

    def set_conductances(self, cells: Index, siemens: Array) -> None:
        """See `Board.set_conductances`."""
        for part in _slices(len(cells)):
            self._exchange.ask(f"{self._key}CELL:COND {_triples(cells[part], siemens[part])}", nothing)
            self._key = ""

    def adjust_conductances(self, cells: Index, siemens: Array) -> bool:
        """See `Board.adjust_conductances`; one message, which is carried out once."""
        if "ADJ" not in self._abilities:
            return False
        self._exchange.tell_once(f"{self._key}CELL:ADJ {_triples(cells, siemens)}", again=True)
        self._key = ""
        return True

    def pulse(self, pulses: Pulses) -> None:
        """See `Board.pulse`; a message is sent once."""
        columns = pulses.cells.tolist(), pulses.volts.tolist(), pulses.seconds.tolist(), pulses.counts.tolist()
        told = [f"{w},{b},{v!r},{s!r},{n}" for (w, b), v, s, n in zip(*columns, strict=True)]
        for part in _slices(len(told)):
            self._exchange.tell_once(f"{self._key}CELL:PULS {','.join(told[part])}")
            self._key = ""

    def pulse_counts(self, cells: Index) -> Counts | None:
        """See `Board.pulse_counts`."""
        if "COUN" not in self._abilities:
            return None
        return np.array(self._read_cells("CELL:COUN?", cells, _wholes), np.int64)

    def ground(self) -> None:
        """See `Board.ground`; the board confirms it."""

        def grounded(answer: str) -> None:
            if answer.strip() != "0":
                raise WrongAnswer(f"it answers {printable(answer)!r} to OUTP?, which is 0 when all pins are grounded")

        self._exchange.ask("OUTP:SAFE;OUTP?", grounded)

    def close(self) -> None:
        """See `Board.close`."""
        self._line.close()

    def _greet(self) -> None:
        """Begin a connection: the same board must be there, and its dead-man must know how long to wait."""
        who = self.identify()
        if self._who not in (None, who):
            raise BoardError(f"another board answers since the line was opened anew: {who!r} instead of {self._who!r}")
        self._who = who
        if self._dead_man is not None:
            self._exchange.ask(f"SYST:TIM {self._dead_man!r}", nothing)

    def _board_extent(self) -> Extent:
        inputs, outputs, nodes, cells, batch = self._exchange.ask("SYST:CONF?", partial(_wholes, count=5))
        return Extent(inputs, outputs, nodes, cells, batch or None)

    def _phases(self, drives: Sequence[Drive], access: Access) -> Iterator[str]:
        """Yield the commands of all phases; inputs that phases share are sent once."""
        read, listed = "READ:NODE?" if access is Access.NODES else "READ:OUTP?", None
        for drive in drives:
            if drive.inputs is not listed:
                listed = drive.inputs
                yield f"SOUR:LIST {_numbers([len(listed)], self._pins.inputs_of(drive))}"
            yield self._nudge(drive.nudge)
            yield read

    def _nudge(self, nudge: Nudge | None) -> str:
        match nudge:
            case None:
                return "NUDG:OFF"
            case Spring(beta, _):
                return f"NUDG:SPR {_numbers([float(beta)], self._pins.nudge_of(nudge))}"
            case Injection():
                return f"NUDG:INJ {_numbers([], self._pins.nudge_of(nudge))}"
            case Clamp():
                return f"NUDG:CLMP {_numbers([], self._pins.nudge_of(nudge))}"

    def _read_cells(self, query: str, cells: Index, parse: Callable[..., list[Number]]) -> list[Number]:
        found: list[Number] = []
        for part in _slices(len(cells)):
            here = cells[part]
            message = f"{query} {','.join(map(str, here.ravel().tolist()))}"
            found += self._exchange.ask(message, partial(parse, count=len(here)))
        return found


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + _MOST_CELLS) for start in range(0, count, _MOST_CELLS))


def _triples(cells: Index, siemens: Array) -> str:
    return ",".join(f"{w},{b},{g!r}" for (w, b), g in zip(cells.tolist(), siemens.tolist(), strict=True))


def _numbers(first: Iterable[float], values: Array) -> str:
    """Return numbers in the shortest form that reads back to the same floats."""
    return ",".join(map(repr, [*first, *values.ravel().tolist()]))


def _text(answer: str) -> str:
    if not answer.strip():
        raise WrongAnswer("an empty answer")
    return answer.strip()


def _tables(answer: str, count: int, shape: tuple[int, int]) -> list[Array]:
    rows, columns = shape
    return [np.array(_floats(part, rows * columns)).reshape(shape) for part in parts(answer, count)]


def _floats(answer: str, count: int) -> list[float]:
    try:
        found = list(map(float, answer.replace("_", "?").split(","))) if answer else []  # Python reads 1_0 as 10
    except ValueError as error:
        raise WrongAnswer(f"an answer that is no list of numbers ({error})") from error
    _check_count(len(found), count)
    for value in found:
        if not -_OVERLOAD < value < _OVERLOAD:  # NaN lies nowhere
            raise WrongAnswer(f"an answer with {value!r}, which is no reading")
    return found


def _wholes(answer: str, count: int) -> list[int]:
    try:
        found = list(map(int, answer.replace("_", "?").split(","))) if answer else []
    except ValueError as error:
        raise WrongAnswer(f"an answer that is no list of whole numbers ({error})") from error
    _check_count(len(found), count)
    return found


def _check_count(found: int, wanted: int) -> None:
    if found != wanted:
        raise WrongAnswer(f"{counted(found, 'number')} where {wanted} were asked for")
