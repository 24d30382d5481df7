"""A line to a board: text messages go out, text messages come back, and either may be lost."""

from typing import Protocol

from harness.errors import ChipError


class LateError(ChipError):
    """No message came within the time; it may be lost, or still come."""


class LineError(ChipError):
    """The line is broken, such as a socket that the other side has closed; it must be opened anew."""


class Line(Protocol):
    """A connection to a board.

    A message is one line of printable ASCII characters without its end. A board that is not driven by text, but by the
    functions of a library, has a line whose messages are the calls and their results in JSON, so that what went over
    any line can be recorded and replayed.
    """

    @property
    def name(self) -> str:
        """The line's name for people, such as a VISA resource."""

    def send(self, message: str) -> None:
        """Send one message.

        Raises:
            LineError: the line is broken.
        """

    def receive(self, seconds: float) -> str:
        """Return the next message, waiting for at most `seconds` (s).

        Raises:
            LateError: none came within that time.
            LineError: the line is broken.
        """

    def reopen(self) -> None:
        """Close the connection and open it anew; what was under way is lost.

        Raises:
            LineError: the board cannot be reached.
        """

    def close(self) -> None:
        """Close the connection; closing twice is closing once."""
