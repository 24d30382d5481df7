"""The talk of a board and a host over one connection: errors that wait to be asked for, and frames."""

from collections import deque
from collections.abc import Callable

from harness.chip.bench.virtual.messages import Fault, commands, framed, text_of, unframed

_MOST_ERRORS = 32


class Conversation:
    """One connection.

    Args:
        carry_out: carries out a message; returns the answers to its queries, and the error that ended it, if one did.
        asks_error: headers by which a host asks for the oldest error.
    """

    def __init__(self, carry_out: Callable[[str], tuple[list[str], Fault | None]], asks_error: frozenset[str]) -> None:
        self._carry_out, self._asks_error = carry_out, asks_error
        self.errors = deque[str]()
        """Those that nobody has asked for yet, the oldest first."""
        self._last: tuple[int, str] | None = None

    def answer(self, line: bytes) -> str | None:
        """Carry out one message; returns its answer, if it has one."""
        try:
            text = text_of(line)
        except Fault as fault:
            if self._last is None:
                self.refuse(fault)
            return None
        if text[:5].upper() == "FRAM ":
            return self._framed(text)
        if self._last is not None and text.upper() != "OUTP:SAFE":  # what is left of a damaged frame
            return None
        answers, refused = self._carry_out(text)
        if refused is not None:
            self.refuse(refused)
            if commands(text)[-1][0] in self._asks_error:
                answers.append(self.errors.popleft())
        return ";".join(answers) if answers else None

    def refuse(self, fault: Fault) -> None:
        """Put an error into the queue."""
        if lost := len(self.errors) == _MOST_ERRORS:
            self.errors.pop()
        self.errors.append(str(Fault(-350, "errors are lost") if lost else fault))

    def _framed(self, text: str) -> str | None:
        frame = unframed(text)
        if frame is None:
            return None
        if self._last is not None and frame.number <= self._last[0]:
            return self._last[1] if frame.number == self._last[0] else None
        answers, fault = self._carry_out(frame.message)
        answer = framed(frame.number, ";".join(answers) if fault is None else f"!{fault}")
        self._last = frame.number, answer
        return answer
