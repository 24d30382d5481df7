"""Cassettes: all that went over a line, one event in each line of JSON; a recorded session is replayed without a board.

::

    {"cassette": 1, "line": "TCPIP0::127.0.0.1::5025::SOCKET"}
    {"at": 0.001, "sent": "SYST:CAN?"}
    {"at": 0.002, "got": "INJ,SPR,CLMP,NODE,SET,KEY,FRAM"}
    {"at": 5.002, "late": 5.0}                             no message came within so many s
    {"at": 5.003, "opened": true}                          the line was opened anew
    {"at": 9.1, "end": true}                               the session ended as it should
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from harness.chip.bench.line import LateError, Line, LineError
from harness.errors import BoardError, RunError
from harness.files.reading import TABLE_LIMIT, parse_json, read_text
from harness.wording import counted, printable

FILE = "cassette.jsonl"
_KINDS = ("sent", "unsent", "got", "late", "broken", "opened", "lost", "end")
_SHOWN = 120


class WatchedLine:
    """A line whose messages are counted and, with a file, recorded as they go by."""

    def __init__(self, line: Line, file: Path | None = None) -> None:
        self._line, self.name = line, line.name
        self.messages = self.lost = self.retries = self.openings = 0
        """Messages sent; answers that did not come; messages sent again; times that the line was opened anew."""
        self._unanswered = self._sent = ""
        self._began = time.monotonic()
        self._file = None if file is None else file.open("x", encoding="utf-8")
        self._write({"cassette": 1, "line": line.name})

    @property
    def traffic(self) -> dict[str, int]:
        """The counts by name."""
        return {"messages": self.messages, "retries": self.retries, "lost_answers": self.lost}

    def send(self, message: str) -> None:
        """See `Line.send`."""
        self.messages += 1
        self.retries += bool(message) and message == self._unanswered
        self._unanswered = ""
        self._sent = message
        try:
            self._line.send(message)
        except LineError as error:
            self._unanswered = message
            self._note("unsent", message, why=str(error))
            raise
        self._note("sent", message)

    def receive(self, seconds: float) -> str:
        """See `Line.receive`."""
        try:
            found = self._line.receive(seconds)
        except LateError as error:
            if seconds > 0:  # else nothing was waited for
                self.lost += 1
                self._unanswered = self._sent
            self._note("late", str(error))
            raise
        except LineError as error:
            self._unanswered = self._sent
            self._note("broken", str(error))
            raise
        self._note("got", found)
        return found

    def reopen(self) -> None:
        """See `Line.reopen`."""
        self.openings += 1
        try:
            self._line.reopen()
        except LineError as error:
            self._note("lost", str(error))
            raise
        self._note("opened", True)

    def end(self) -> None:
        """Say that the session is about to end as it should: what follows takes the board's pins to ground."""
        if isinstance(self._line, ReplayLine):
            self._line.end()
        self._note("end", True)

    def close(self) -> None:
        """See `Line.close`."""
        self._line.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _note(self, what: str, value: Any, **more: Any) -> None:
        if self._file is not None:
            self._write({"at": round(time.monotonic() - self._began, 6), what: value, **more})

    def _write(self, event: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(event) + "\n")
            self._file.flush()  # a process that is killed leaves all that was sent


class ReplayLine:
    """A line that answers as a cassette has recorded, and refuses any other message.

    Raises:
        RunError: the file is no cassette; names the line.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        text = read_text(file, RunError, most=TABLE_LIMIT)
        lines = text[: text.rfind("\n") + 1].split("\n")[:-1]
        self._events = [parse_json(line, RunError, f"{file}, line {n}") for n, line in enumerate(lines, start=1)]
        if not self._events or self._events[0].get("cassette") != 1:
            raise RunError(f"{file}: it is no cassette: its first line is not {{'cassette': 1, …}}")
        self.name = str(self._events[0].get("line", "a line"))
        self._next = 1

    @property
    def ending(self) -> bool:
        """True where the recorded session ended here, as when somebody stopped it."""
        return self._next < len(self._events) and "end" in self._events[self._next]

    def send(self, message: str) -> None:
        """See `Line.send`; the recorded message must be the same.

        Raises:
            BoardError: it is another one, or the cassette has ended.
        """
        event = self._event("sent", "unsent")
        then = str(event.get("sent", event.get("unsent")))
        if then != message:
            self._differs(f"{_shown(then)} was sent then", f"{_shown(message)} is now", then, message)
        if "unsent" in event:
            raise LineError(str(event.get("why")))

    def receive(self, seconds: float) -> str:  # noqa: ARG002 - nothing is waited for
        """See `Line.receive`; what was late is late again."""
        event = self._event("got", "late", "broken")
        if "got" in event:
            return str(event["got"])
        raise (LateError if "late" in event else LineError)(str(event.get("late") or event.get("broken")))

    def reopen(self) -> None:
        """See `Line.reopen`."""
        event = self._event("opened", "lost")
        if "lost" in event:
            raise LineError(str(event["lost"]))

    def end(self) -> None:
        """The session ends here; so did the recorded one.

        Raises:
            BoardError: it went on.
        """
        self._event("end")

    def close(self) -> None:
        """See `Line.close`."""

    def check_empty(self) -> None:
        """Refuse a cassette of which something is left over.

        Raises:
            BoardError: names the line and how many there are.
        """
        if left := len(self._events) - self._next:
            raise BoardError(
                f"{self._file}, line {self._next + 1}: {counted(left, 'line')} left over: the session ended here, and "
                f"the recorded one went on with {_told(self._events[self._next])}"
            )

    def _event(self, *kinds: str) -> dict[str, Any]:
        """Return the next event, which must be of one of some kinds."""
        if self._next >= len(self._events):
            raise BoardError(
                f"{self._file}, line {self._next + 1}: the cassette ends here, and the session goes on: the recorded "
                "one was killed, or the file is cut off"
            )
        event = self._events[self._next]
        if not any(kind in event for kind in kinds):
            self._differs(f"{_told(event)} came next then", f"a message is {_WAITED[kinds[0]]} now")
        self._next += 1
        return event

    def _differs(self, then: str, now: str, old: str = "", new: str = "") -> NoReturn:
        where = next((k for k, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        place = f", from character {where + 1} on" if old or new else ""
        raise BoardError(
            f"{self._file}, line {self._next if old else self._next + 1}: the session differs from the recorded one"
            f"{place}: {then}, {now}"
        )


_WAITED = {"sent": "sent", "got": "waited for", "opened": "sent over a new connection", "end": "sent no more"}


def _told(event: Mapping[str, Any]) -> str:
    kind = next((name for name in _KINDS if name in event), "")
    return f"'{kind}' {_shown(event[kind])}" if kind else "an unknown event"


def _shown(value: Any) -> str:
    text = printable(str(value))
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
