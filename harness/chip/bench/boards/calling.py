"""Asking a line of calls: numbers tell late answers, and results of the wrong form are refused."""

import json
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from harness.chip.bench.board import Board, Counts
from harness.chip.bench.line import LateError, Line
from harness.chip.bench.profile import Profile
from harness.errors import BoardError
from harness.measurement import Access, Array, Drive, Index

Call = tuple[str, Sequence[object]]
"""The name of a function and its arguments."""


class FailedError(BoardError):
    """A call raised; `before` are the results of the calls of the same message that did not."""

    def __init__(self, message: str, before: Sequence[Any]) -> None:
        super().__init__(message)
        self.before = before


class Caller:
    """Sends calls, and takes no answer but that to the message sent last."""

    def __init__(self, line: Line, timeout: float, retries: int) -> None:
        self.line = line
        self._timeout = timeout
        self._retries = retries
        self._number = 0

    def ask(self, *calls: Call, seconds: float = 0.0) -> list[Any]:
        """Make calls that may be repeated, and return their results.

        A library that is late is waited for again, as often as the profile says: its calls cannot be lost. Where a
        call raises, the line is opened anew before the calls are made again, so that nothing of them stays in a buffer.

        Args:
            *calls: what is called, in this order.
            seconds: how long they may take beside the time-out.

        Raises:
            BoardError: they raise each time, do not return, or the answer is not an answer.
        """
        for attempt in range(self._retries + 1):
            try:
                return self.ask_once(*calls, seconds=seconds + attempt * self._timeout)
            except FailedError:
                self.line.reopen()
                if attempt == self._retries:
                    raise
            except LateError as error:
                if attempt == self._retries:
                    raise BoardError(f"{error}: {_told(calls)}") from error
        raise AssertionError

    def ask_once(self, *calls: Call, seconds: float = 0.0) -> list[Any]:
        """Make calls once, and return their results.

        Raises:
            FailedError: one raised.
            LateError: they have not returned in time; they may have been made, or still be.
            BoardError: the answer is not an answer.
        """
        self._number += 1
        self.line.send(json.dumps([self._number, calls]))
        while True:
            answer = self.line.receive(self._timeout + seconds)
            number, results, said = self._parsed(answer)
            if number == self._number:
                break
        if said is not None and len(results) < len(calls):
            raise FailedError(f"{self.line.name}: {calls[len(results)][0]} failed: {said}", results)
        if said is not None or len(results) != len(calls):
            raise BoardError(f"{self.line.name}: {len(calls)} calls were answered by {len(results)} results")
        return results

    def _parsed(self, answer: str) -> tuple[int, list[Any], str | None]:
        try:
            number, results, *said = json.loads(answer)
            sound = type(number) is int and number <= self._number and isinstance(results, list) and len(said) < 2
        except (ValueError, TypeError, RecursionError):
            sound = False
        if not sound:
            raise BoardError(f"{self.line.name}: no answer to calls is {answer[:80]!r}")
        return number, results, str(said[0]) if said else None


class CalledBoard(Board):
    """The parts that boards of calls share."""

    def __init__(self, profile: Profile, line: Line) -> None:
        self._name = line.name
        self._caller = Caller(line, profile.timing.timeout, profile.timing.retries)

    @override
    def identify(self) -> str:
        return str(self._caller.ask(("identity", []))[0])

    @override
    def tell_step_key(self, numbers: Sequence[int]) -> None:
        pass

    @override
    def measure(self, drives: Sequence[Drive], access: Access, settle: float) -> list[Array]:
        return [self._measured(drive, access, settle) for drive in drives]

    @abstractmethod
    def _measured(self, drive: Drive, access: Access, settle: float) -> Array:
        """Return what `measure` returns for one drive."""

    @override
    def pulse_counts(self, cells: Index) -> Counts | None:
        return None

    @override
    def close(self) -> None:
        self._caller.line.close()


def numbers(result: object, shape: tuple[int, ...], where: str) -> Array:
    """Return a result as finite floats of that shape.

    Raises:
        BoardError: it has another shape, or holds something else; names it and the place `where` it came from.
    """
    try:
        values = np.asarray(result, dtype=object)
        strange = [value for value in values.flat if type(value) not in (int, float) or not math.isfinite(value)]
    except (ValueError, OverflowError):  # a ragged list, or a whole number beyond all floats
        raise BoardError(f"{where}: {str(result)[:80]} are no {shape} numbers") from None
    if values.shape != shape:
        raise BoardError(f"{where}: numbers of shape {values.shape} came instead of {shape}")
    if strange:
        raise BoardError(f"{where}: {strange[0]!r} is no reading")
    return values.astype(np.float64)


def _told(calls: Sequence[Call]) -> str:
    return ", ".join(dict.fromkeys(name for name, _ in calls))
