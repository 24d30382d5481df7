"""Lines to virtual boards without a socket, for tests: whole, without frames, or lossy."""

from collections import deque

import numpy as np

from harness.chip.base import Chip
from harness.chip.bench.line import LateError, LineError
from harness.chip.bench.virtual.instrument import Instrument
from tests.chip.bench.faults import KINDS, garbled


class DirectLine:
    """A line that hands messages to an instrument in this process.

    Args:
        instrument: at the other end.
        frames: False for a board that knows no frames.
    """

    def __init__(self, instrument: Instrument, *, frames: bool = True) -> None:
        self.name, self.instrument, self.frames = "direct", instrument, frames
        self.sent: list[str] = []
        self.broken_after: int | None = None
        """Messages after which the line breaks, once."""
        self._answers: deque[str] = deque()
        instrument.begin()

    def send(self, message: str) -> None:
        if self.broken_after == len(self.sent):
            self.broken_after = None
            self.instrument.begin()
            self._answers.clear()
            raise LineError("direct: pulled out")
        self.sent.append(message)
        self._answers += self._answered(message)

    def _answered(self, message: str) -> list[str]:
        answer = self.instrument.answer(message.encode() + b"\n")
        if answer is not None and not self.frames:
            answer = answer.replace(",FRAM", "")
        return [] if answer is None else [answer]

    def receive(self, seconds: float) -> str:
        if not self._answers:
            raise LateError(f"direct: no answer within {seconds:g} s")
        return self._answers.popleft()

    def reopen(self) -> None:
        self.instrument.begin()
        self._answers.clear()

    def close(self) -> None:
        self.instrument.begin()


class LossyLine(DirectLine):
    """A line that drops, delays, garbles and duplicates messages in both directions; nothing takes time."""

    def __init__(self, instrument: Instrument, rate: float, seed: int, *, frames: bool = True) -> None:
        super().__init__(instrument, frames=frames)
        self._rng, self._rate = np.random.default_rng(seed), rate
        self._kinds = KINDS if frames else [kind for kind in KINDS if kind != "garbled"]  # which only frames can tell
        self._held: deque[str] = deque()
        self.happened = 0

    def send(self, message: str) -> None:
        for arriving in self._suffered([message]):
            super().send(arriving)
        self._answers = deque(self._suffered(self._answers))

    def receive(self, seconds: float) -> str:
        try:
            return super().receive(seconds)
        except LateError:
            self._answers, self._held = self._held, deque()  # what was late comes now
            raise

    def _suffered(self, messages: "list[str] | deque[str]") -> list[str]:
        passed: list[str] = []
        for message in messages:
            kind = self._kinds[int(self._rng.integers(len(self._kinds)))] if self._rng.random() < self._rate else ""
            self.happened += bool(kind)
            match kind:
                case "dropped":
                    continue
                case "late":
                    self._held.append(message)
                case "garbled":
                    passed += garbled(message.encode(), self._rng).decode("latin-1").split("\n")
                case "duplicated":
                    passed += [message, message]
                case _:
                    passed.append(message)
        return passed


def direct(chip: Chip, *, frames: bool = True) -> DirectLine:
    """A line to a chip that is served in this process."""
    return DirectLine(Instrument(chip, "test"), frames=frames)
