"""Questions and answers over a line that loses, garbles, repeats and delays messages (the bench protocol)."""

import re
import time
import zlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from harness.chip.bench.line import LateError, Line, LineError
from harness.errors import BoardError
from harness.wording import counted, printable

Parsed = TypeVar("Parsed")
_ABILITY = re.compile("[A-Z]{2,8}")
"""The form of the words that ``SYST:CAN?`` is answered with."""
_FRAME = re.compile(r"FRAM (\d{1,18}),([0-9A-F]{8}),(.*)", re.DOTALL)
_ERROR = re.compile(r'(?:(.*);)?([+-]?\d{1,6}),("[^"]*")', re.DOTALL)
_SHOWN = 80


class WrongAnswer(ValueError):  # noqa: N818 - an answer, which may be asked for again
    """An answer that does not have the form that its message wants."""


class Exchange:
    """Messages and answers, each message with its own answer or none.

    In frames, a number and a sum tell which answer belongs to which message. A board without frames is believed only as
    long as every answer comes in time: after a late one the line is opened anew, since the answer may still come.

    Args:
        line: to the board.
        timeout: s to wait for an answer.
        retries: times that a message without an answer is sent again.
        greeted: called after the line was opened anew.

    Raises:
        BoardError: the board does not say what it can do.
    """

    def __init__(self, line: Line, timeout: float, retries: int, greeted: Callable[[], None]) -> None:
        self._line, self._timeout, self._retries = line, timeout, retries
        self._number = 0
        self._framed = self._asking = self._beginning = False
        self._greeted: Callable[[], None] = lambda: None  # who is not there yet cannot greet
        self.abilities = self._handshake()
        self._greeted = greeted

    def ask(self, message: str, parse: Callable[[str], Parsed], seconds: float = 0.0) -> Parsed:
        """Send a message that may be repeated, and return its answer as `parse` reads it.

        Args:
            message: without frame.
            parse: raises `WrongAnswer` where the answer is not as it must be.
            seconds: that the board needs before it answers, beside the time-out.

        Raises:
            BoardError: no right answer came, or the board refused the message.
        """
        number, lost = self._next(), ""
        for _ in range(1 + self._retries):
            try:
                return self._once(message, parse, seconds, number)
            except (LateError, LineError) as error:
                lost = str(error)
                if not self._framed or isinstance(error, LineError):
                    number = self._begin_anew()
        raise BoardError(f"{shown(message)}: {counted(1 + self._retries, 'try', 'tries')}, and no answer; {lost}")

    def tell_once(self, message: str, *, again: bool = False) -> None:
        """Send a message that must not be carried out twice.

        Args:
            message: without frame.
            again: it may be sent again in the same frame, of which a board carries out one; pulses never are.

        Raises:
            LateError: no answer came, so that nobody knows whether it was carried out.
            BoardError: the board refused it.
        """
        number = self._next()
        for left in range(self._retries if again and self._framed else 0, -1, -1):
            try:
                self._once(message, nothing, 0.0, number)
                return
            except (LateError, LineError) as error:
                broken = isinstance(error, LineError)
                if broken or not self._framed:
                    self._begin_anew()
                if broken or not left:
                    raise LateError(f"{shown(message)}: no answer ({error})") from error

    def _handshake(self) -> frozenset[str]:
        """Ask what the board can do, without a frame, until two answers are the same or one tells of frames."""
        self._line.send("*CLS")
        before: frozenset[str] | None = None
        for _ in range(2 + self._retries):
            try:
                self._line.send("SYST:CAN?")
                found = frozenset(self._line.receive(self._timeout).strip().split(","))
            except LateError:
                continue
            except LineError:
                self._line.reopen()
                continue
            if not all(map(_ABILITY.fullmatch, found)):
                continue
            if "FRAM" in found:
                self._framed = True
                return self.ask("SYST:CAN?", lambda text: frozenset(text.split(",")))
            if found == before:
                return found
            before = found
        told = f"it says {printable(','.join(sorted(before)))[:_SHOWN]!r}" if before else "no answer"
        raise BoardError(f"{self._line.name}: SYST:CAN? was not answered as the bench protocol wants ({told})")

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _begin_anew(self) -> int:
        """Open the line anew and return the number of the next message.

        Raises:
            BoardError: the board cannot be reached, or does not answer there either.
        """
        if self._beginning:
            raise BoardError(f"{self._line.name}: the board does not answer since the line was opened anew")
        self._beginning = True
        try:
            self._line.reopen()
            self._number, self._asking = 0, False
            self._greeted()
        except LineError as error:
            raise BoardError(f"{error}; what it had applied to its pins may still be there") from error
        finally:
            self._beginning = False
        return self._next()

    def _once(self, message: str, parse: Callable[[str], Parsed], seconds: float, number: int) -> Parsed:
        if not self._framed:
            return self._plain(message, parse, seconds)
        self._line.send(f"FRAM {number},{_sum(number, message)},{message}")
        answer = self._framed_answer(number, self._timeout + seconds)
        if answer.startswith("!"):
            raise BoardError(f"{shown(message)}: the board refuses: {printable(answer[1:])}")
        try:
            return parse(answer)
        except WrongAnswer as error:
            raise BoardError(f"{shown(message)}: {error}") from error

    def _framed_answer(self, number: int, seconds: float) -> str:
        """Return the answer with this number; all others are late, repeated or garbled, and nobody believes them."""
        until = time.monotonic() + seconds
        while True:
            found = _FRAME.fullmatch(self._line.receive(max(until - time.monotonic(), 0.0)))
            if found and int(found[1]) == number and found[2] == _sum(number, found[3]):
                return found[3]

    def _plain(self, message: str, parse: Callable[[str], Parsed], seconds: float) -> Parsed:
        """Send a message that ends in a question for errors, which is answered even where the rest has failed."""
        if self._asking or self._unasked():
            self._begin_anew()
        self._asking = True  # until it is answered: somebody may interrupt this
        self._line.send(f"{message};SYST:ERR?")
        answer = self._line.receive(self._timeout + seconds)
        found = _ERROR.fullmatch(answer)
        if found is None:
            raise LateError(f"a garbled answer, {printable(answer)[:_SHOWN]!r}")
        self._asking = False
        if int(found[2]):
            raise BoardError(f"{shown(message)}: the board refuses: {printable(found[2])},{printable(found[3])}")
        try:
            return parse(found[1] or "")
        except WrongAnswer as wrong:
            raise LateError(f"a garbled answer ({wrong})") from wrong

    def _unasked(self) -> bool:
        """Return whether there is an answer already, which can only be one too many to an earlier message."""
        try:
            self._line.receive(0.0)
        except LateError:
            return False
        return True


def _sum(number: int, text: str) -> str:
    return f"{zlib.crc32(f'{number},{text}'.encode('ascii', 'replace')):08X}"


def shown(message: str) -> str:
    """Return a message as errors repeat it."""
    return message if len(message) <= _SHOWN else f"{message[:_SHOWN]}…"


def nothing(answer: str) -> None:
    """Read the answer to a message without a query.

    Raises:
        WrongAnswer: there is one.
    """
    if answer:
        raise WrongAnswer(f"an answer where none was asked for, {printable(answer)[:_SHOWN]!r}")


def parts(answer: str, count: int) -> Sequence[str]:
    """Return the answers of a message with `count` queries.

    Raises:
        WrongAnswer: there are more or fewer.
    """
    found = answer.split(";")
    if len(found) != count:
        raise WrongAnswer(f"{counted(len(found), 'answer')} to {counted(count, 'query', 'queries')}")
    return found
