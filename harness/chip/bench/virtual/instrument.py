"""A chip as an instrument: each command of ``docs/pages/bench-protocol.md`` is a small function here.

A message is read as a whole before anything of it is carried out: reading a command checks its parameters and gives an
`_Act`, which does it. The phases that a message asks for are measured in one call of the chip.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import numpy as np

from harness import __version__
from harness.chip.base import Chip
from harness.chip.bench.virtual.cells import MOST_PULSES, BoardCells
from harness.chip.bench.virtual.conversation import Conversation
from harness.chip.bench.virtual.messages import Fault, check_within, commands, listed, numbers, whole
from harness.chip.bench.virtual.pins import Pins
from harness.chip.metering import set_step_key
from harness.measurement import Access, Array, Clamp, Drive, Injection, Nudge, Spring
from harness.units import show

_Answer = str | Drive | None
_Act = Callable[[], _Answer]
_MOST_VOLTS, _MOST_AMPERES, _MOST_SIEMENS, _MOST_SECONDS = 1e3, 1e3, 1e3, 60.0
_LONGEST_KEY = 32
_MOST_COMMANDS = 1000
"""Commands in a message."""
_CHANGES = {"CELL:COND", "CELL:ADJ", "CELL:PULS"}
_AFTER_CHANGES = {*_CHANGES, "CELL:COND?", "CELL:COUN?", "SYST:ERR?"}
_PHASES = {"NUDG:OFF", "NUDG:INJ", "NUDG:SPR", "NUDG:CLMP", "READ:OUTP?", "READ:NODE?"}
"""Commands between which phases are collected, to be measured together."""


@dataclass(frozen=True)
class _Form:
    """How a command's parameters are counted, and what reads them."""

    read: "Callable[[Instrument, Array, Array], _Act]"
    """Takes the first numbers, ``[first]``, and the others in groups, ``[groups, group]``."""
    first: int = 0
    group: int = 0
    empty: bool = False
    """True where no group is needed."""


class Instrument:
    """An instrument that is a chip.

    Args:
        chip: the one that settles and is written.
        title: what is said of it to those who ask.
        settling: time constant (s) with which voltages settle; 0 for at once.
        state: file that keeps the cells; None for none.
        wait: lets a time (s) go by.

    Raises:
        BoardError: the state cannot be read, or is of another network.
        OSError: it cannot be written.
    """

    def __init__(
        self,
        chip: Chip,
        title: str,
        *,
        settling: float = 0.0,
        state: Path | None = None,
        wait: Callable[[float], None] = sleep,
    ) -> None:
        self._chip, self._title, self._pins = chip, title, Pins(chip, settling, wait)
        self._circuit, self._can = chip.circuit, chip.capabilities
        self.cells = BoardCells(chip, state)
        self.dead_man = 0.0
        """s without a message after which pins are to be grounded; 0 for never."""
        self.begin()

    def begin(self, dead_man: float = 0.0) -> None:
        """Begin a connection: grounded pins, no wait, no errors, no frames."""
        self._reset()
        self.dead_man = dead_man
        self._conversation = Conversation(self._carried_out, _ASKS_ERROR)

    @property
    def applied(self) -> bool:
        """True while anything is on the pins."""
        return self._pins.applied

    def ground(self) -> None:
        """Take everything off the pins."""
        self._pins.ground()

    def answer(self, line: bytes) -> str | None:
        """Carry out one message; returns its answer, if it has one."""
        return self._conversation.answer(line)

    def refuse(self, fault: Fault) -> None:
        """Put an error into the queue."""
        self._conversation.refuse(fault)

    def _carried_out(self, message: str) -> tuple[list[str], Fault | None]:
        """Carry out a message; returns the answers to its queries, up to the error if there is one."""
        answers: list[str] = []
        phases: list[tuple[str, Drive]] = []
        fault = _tried(lambda: self._carry_out(message, answers, phases))
        return answers, _tried(lambda: self._measure(phases, answers)) or fault

    def _carry_out(self, message: str, answers: list[str], phases: list[tuple[str, Drive]]) -> None:
        for header, act in self._read(message):
            if header not in _PHASES:
                self._measure(phases, answers)
            answer = act()
            if isinstance(answer, Drive):
                phases.append((header, answer))
            elif answer is not None:
                answers.append(answer)

    def _read(self, message: str) -> list[tuple[str, _Act]]:
        acts, changing = [], False
        parts = commands(message)
        if len(parts) > _MOST_COMMANDS:
            raise Fault(-223, f"{len(parts)} commands in a message; at most {_MOST_COMMANDS} are taken")
        for header, parameters in parts:
            name = _NAMES.get(header)
            if name is None:
                raise Fault(-113, header)
            if changing and name not in _AFTER_CHANGES:
                raise Fault(-221, f"{name} after a command that changes cells, in the same message")
            changing |= name in _CHANGES
            acts.append((name, self._read_one(_FORMS[name], name, numbers(parameters))))
        return acts

    def _read_one(self, form: _Form, name: str, found: list[float]) -> _Act:
        first, rest = np.array(found[: form.first]), np.array(found[form.first :])
        if first.size < form.first or (form.group and not (rest.size or form.empty)):
            raise Fault(-109, name)
        if not form.group:
            if rest.size:
                raise Fault(-108, name)
            return form.read(self, first, rest)
        if rest.size % form.group:
            raise Fault(-109, f"{name} takes numbers in groups of {form.group}")
        return form.read(self, first, rest.reshape(-1, form.group))

    # The board as a whole.

    def _identity(self, *_: Array) -> _Act:
        name = "".join(c if c.isascii() and c.isalnum() else "-" for c in self._title)
        return lambda: f"harness,virtual board of {name},{self.cells.network[:12]},{__version__}"

    def _forget_errors(self, *_: Array) -> _Act:
        return self._conversation.errors.clear

    def _reset_all(self, *_: Array) -> _Act:
        return self._reset

    def _done(self, *_: Array) -> _Act:
        return lambda: "1"

    def _error(self, *_: Array) -> _Act:
        errors = self._conversation.errors
        return lambda: errors.popleft() if errors else '0,"No error"'

    def _extent(self, *_: Array) -> _Act:
        nodes = len(self._circuit.nodes) if self._can.access is Access.NODES else 0
        counts = self._circuit.channels, len(self._circuit.outputs), nodes, self.cells.size
        return lambda: ",".join(map(str, (*counts, self._can.largest_batch or 0)))

    def _abilities(self, *_: Array) -> _Act:
        nudges = {"INJ": Injection, "SPR": Spring, "CLMP": Clamp}
        can = [name for name, nudge in nudges.items() if nudge in self._can.nudges]
        can += ["NODE"] if self._can.access is Access.NODES else []
        can += ["SET", "ADJ"] if self.cells.pulses is None else ["PULS", "COUN"]
        return lambda: ",".join([*can, "KEY", "FRAM"])

    def _step_key(self, _: Array, rows: Array) -> _Act:
        key = [int(number) for number in whole(rows[:, 0])]
        if len(key) > _LONGEST_KEY:
            raise Fault(-108, f"a key has at most {_LONGEST_KEY} numbers")
        return lambda: set_step_key(self._chip, key)

    def _dead_man(self, first: Array, _: Array) -> _Act:
        seconds = self._seconds(first[0], 1e6)
        return lambda: setattr(self, "dead_man", seconds)

    def _reset(self) -> None:
        self.ground()
        self._pins.delay = 0.0

    def _safe(self, *_: Array) -> _Act:
        return self.ground

    def _is_applied(self, *_: Array) -> _Act:
        return lambda: str(int(self.applied))

    # Phases.

    def _set_delay(self, first: Array, _: Array) -> _Act:
        seconds = self._seconds(first[0], _MOST_SECONDS)
        return lambda: setattr(self._pins, "delay", seconds)

    def _list(self, first: Array, rows: Array) -> _Act:
        samples, most = int(whole(first)[0]), self._can.largest_batch
        if samples < 1 or (most is not None and samples > most):
            raise Fault(-222, f"{samples} samples; a list takes 1...{most or 'any number'}")
        check_within(rows, _MOST_VOLTS, "V")
        inputs = self._matrix(rows, samples, self._circuit.channels)

        return lambda: self._pins.list_inputs(inputs)

    def _float(self, *_: Array) -> _Act:
        return lambda: self._pins.nudge(None)

    def _inject(self, _: Array, rows: Array) -> _Act:
        check_within(rows, _MOST_AMPERES, "A")
        return self._nudging(rows, Injection)

    def _spring(self, first: Array, rows: Array) -> _Act:
        check_within(first, _MOST_SIEMENS, "S")
        check_within(rows, _MOST_VOLTS, "V")
        return self._nudging(rows, lambda targets: Spring(float(first[0]), targets))

    def _clamp(self, _: Array, rows: Array) -> _Act:
        check_within(rows, _MOST_VOLTS, "V")
        return self._nudging(rows, Clamp)

    def _nudging(self, rows: Array, make: Callable[[Array], Nudge]) -> _Act:
        def nudge() -> None:
            made = make(self._matrix(rows, self._pins.samples, len(self._circuit.outputs)))
            if type(made) not in self._can.nudges:
                raise Fault(-241, f"outputs take no {type(made).__name__.lower()}")
            self._pins.nudge(made)

        return nudge

    def _read_phase(self, *_: Array) -> _Act:
        return lambda: self._pins.drive

    def _read_nodes(self, *_: Array) -> _Act:
        if self._can.access is not Access.NODES:
            raise Fault(-241, "only outputs can be read")
        return self._read_phase()

    def _measure(self, phases: list[tuple[str, Drive]], answers: list[str]) -> None:
        """Measure the phases that were collected together, and add the answer to each."""
        asked = phases.copy()
        phases.clear()
        if not asked:
            return
        readings = self._pins.measure([drive for _, drive in asked])
        pairs = zip(asked, readings, strict=True)
        found = [reading.nodes if header == "READ:NODE?" else reading.outputs for (header, _), reading in pairs]
        if not all(np.isfinite(volts).all() for volts in found):
            raise Fault(-200, "a voltage is not finite")
        answers += map(listed, found)

    # Cells.

    def _conductances(self, _: Array, rows: Array) -> _Act:
        cells = self.cells.at(*rows.T)
        return lambda: listed(self.cells.conductances[cells])

    def _set(self, _: Array, rows: Array) -> _Act:
        self._check_set()
        cells = self.cells.once(rows[:, 0], rows[:, 1])
        self.cells.check_settable(cells, rows[:, 2])
        return lambda: self.cells.set(cells, rows[:, 2])

    def _adjust(self, _: Array, rows: Array) -> _Act:
        self._check_set()
        cells = self.cells.once(rows[:, 0], rows[:, 1])
        check_within(rows[:, 2], _MOST_SIEMENS, "S")
        return lambda: self.cells.adjust(cells, rows[:, 2])

    def _check_set(self) -> None:
        if self.cells.pulses is not None:
            raise Fault(-241, "cells are written by pulses; send CELL:PULS")

    def _pulse(self, _: Array, rows: Array) -> _Act:
        if self.cells.pulses is None:
            raise Fault(-241, "cells take no pulses; send CELL:COND or CELL:ADJ")
        cells, counts = self.cells.once(rows[:, 0], rows[:, 1]), whole(rows[:, 4], MOST_PULSES)
        up, down = (np.isclose(rows[:, 2:4], (p.volts, p.seconds), rtol=1e-6, atol=0).all(1) for p in self.cells.pulses)
        if (other := ~(up | down)).any():
            volts, seconds = rows[np.argmax(other), 2:4]
            raise Fault(-224, f"no pulse of {show(volts, 'V')} for {show(seconds, 's')} is taken; see CELL:PULS?")
        return lambda: self.cells.pulse(cells, np.where(up, counts, -counts))

    def _taken_pulses(self, *_: Array) -> _Act:
        if (taken := self.cells.pulses) is None:
            raise Fault(-241, "cells take no pulses")
        return lambda: listed(np.array([(pulse.volts, pulse.seconds) for pulse in taken]))

    def _count(self, _: Array, rows: Array) -> _Act:
        if self.cells.pulses is None:
            raise Fault(-241, "cells take no pulses")
        if not len(rows):
            return lambda: str(int(self.cells.counts.sum()))
        cells = self.cells.at(*rows.T)
        return lambda: listed(self.cells.counts[cells])

    @staticmethod
    def _seconds(seconds: float, most: float) -> float:
        if not 0 <= seconds <= most:
            raise Fault(-222, f"{show(seconds, 's')} is outside 0 s...{show(most, 's')}")
        return float(seconds)

    @staticmethod
    def _matrix(rows: Array, samples: int, columns: int) -> Array:
        if (wanted := samples * columns) != rows.size:
            code = -109 if rows.size < wanted else -108
            raise Fault(code, f"{samples} samples of {columns} take {wanted} numbers, and {rows.size} came")
        return rows.reshape(samples, columns)


_FORMS: dict[str, _Form] = {
    "*IDN?": _Form(Instrument._identity),
    "*CLS": _Form(Instrument._forget_errors),
    "*RST": _Form(Instrument._reset_all),
    "*OPC?": _Form(Instrument._done),
    "SYST:ERR?": _Form(Instrument._error),
    "SYST:CONF?": _Form(Instrument._extent),
    "SYST:CAN?": _Form(Instrument._abilities),
    "SYST:KEY": _Form(Instrument._step_key, group=1, empty=True),
    "SYST:TIM": _Form(Instrument._dead_man, first=1),
    "SENS:DEL": _Form(Instrument._set_delay, first=1),
    "SOUR:LIST": _Form(Instrument._list, first=1, group=1),
    "NUDG:OFF": _Form(Instrument._float),
    "NUDG:INJ": _Form(Instrument._inject, group=1),
    "NUDG:SPR": _Form(Instrument._spring, first=1, group=1),
    "NUDG:CLMP": _Form(Instrument._clamp, group=1),
    "READ:OUTP?": _Form(Instrument._read_phase),
    "READ:NODE?": _Form(Instrument._read_nodes),
    "CELL:COND?": _Form(Instrument._conductances, group=2),
    "CELL:COND": _Form(Instrument._set, group=3),
    "CELL:ADJ": _Form(Instrument._adjust, group=3),
    "CELL:PULS?": _Form(Instrument._taken_pulses),
    "CELL:PULS": _Form(Instrument._pulse, group=5),
    "CELL:COUN?": _Form(Instrument._count, group=2, empty=True),
    "OUTP:SAFE": _Form(Instrument._safe),
    "OUTP?": _Form(Instrument._is_applied),
}
_LONG = {
    "SYST": "SYSTEM",
    "ERR": "ERROR",
    "CONF": "CONFIGURATION",
    "TIM": "TIMEOUT",
    "SENS": "SENSE",
    "DEL": "DELAY",
    "SOUR": "SOURCE",
    "NUDG": "NUDGE",
    "INJ": "INJECTION",
    "SPR": "SPRING",
    "CLMP": "CLAMP",
    "OUTP": "OUTPUT",
    "COND": "CONDUCTANCE",
    "ADJ": "ADJUST",
    "PULS": "PULSE",
    "COUN": "COUNT",
}


def _tried(do: Callable[[], None]) -> Fault | None:
    """Do something; returns how it failed, if it did."""
    try:
        do()
    except Fault as fault:
        return fault
    except Exception as error:  # whatever a chip does, the board goes on and says so
        return Fault(-200, str(error) or type(error).__name__)
    return None


def _spellings(name: str) -> list[str]:
    """Return a header in the short and the long form of each of its words."""
    found = [""]
    for word in name.rstrip("?").split(":"):
        found = [f"{head}:{w}" for head in found for w in {word, _LONG.get(word, word)}]
    return [spelling[1:] + "?" * name.endswith("?") for spelling in found]


_ASKS_ERROR = frozenset(_spellings("SYST:ERR?"))
_NAMES = {spelling: name for name in _FORMS for spelling in _spellings(name)}
