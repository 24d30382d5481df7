"""Lines of calls: numbers tell answers apart, and functions that never return do not hold anybody up."""

import json
from collections.abc import Iterator
from threading import Event

import pytest

from harness.chip.bench.boards.calling import Caller, FailedError
from harness.chip.bench.line import LateError, LineError
from harness.chip.bench.transport.calls import CallLine
from harness.errors import BoardError


class Scripted:
    """A line that answers what a test says."""

    name = "scripted"

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.sent: list[str] = []

    def send(self, message: str) -> None:
        self.sent.append(message)

    def receive(self, seconds: float) -> str:
        if not self.answers:
            raise LateError(f"nothing within {seconds:g} s")
        return self.answers.pop(0)

    def reopen(self) -> None:
        self.sent.append("reopened")

    def close(self) -> None:
        pass


@pytest.fixture
def stuck() -> Iterator[Event]:
    found = Event()
    yield found
    found.set()


def test_an_answer_to_an_earlier_message_is_not_taken_for_that_of_the_next() -> None:
    line = Scripted()
    caller = Caller(line, 0.1, 0)
    with pytest.raises(BoardError, match=r"nothing within 0\.1 s: read"):
        caller.ask(("read", [1]))
    line.answers = ["[1, [0.25]]", "[2, [0.75]]"]
    assert caller.ask(("read", [2])) == [0.75]
    assert line.sent == ['[1, [["read", [1]]]]', '[2, [["read", [2]]]]']


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "0.25",
        "[]",
        "[1]",
        "[1, 2]",
        '["1", [2]]',
        "[true, [2]]",
        "[2, [0]]",
        "[1, [2], 3, 4]",
        "{",
        "[" * 9000,
        "[1, [2]",
    ],
)
def test_what_is_no_answer_is_one_sentence(answer: str) -> None:
    with pytest.raises(BoardError, match="scripted: no answer to calls is '") as error:
        Caller(Scripted(answer), 0.1, 0).ask(("read", []))
    assert len(str(error.value)) < 140


@pytest.mark.parametrize("answer", ["[1, []]", "[1, [1, 2]]", '[1, [1], "failed"]'])
def test_results_must_be_as_many_as_calls(answer: str) -> None:
    with pytest.raises(BoardError, match="1 calls were answered by"):
        Caller(Scripted(answer), 0.1, 0).ask(("read", []))


def test_calls_that_fail_are_made_again_on_a_line_that_was_opened_anew() -> None:
    line = Scripted('[1, [], "OSError: busy"]', "[2, [3]]")
    assert Caller(line, 0.1, 1).ask(("read", [])) == [3]
    assert line.sent[1] == "reopened"
    line = Scripted('[1, [7], "OSError: busy"]')
    with pytest.raises(FailedError, match="scripted: write failed: OSError: busy") as error:
        Caller(line, 0.1, 5).ask_once(("read", []), ("write", []))
    assert error.value.before == [7]


def test_a_function_that_never_returns_is_late_and_its_line_can_be_closed(
    stuck: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.chip.bench.transport.calls._CLOSING", 0.01)
    line = CallLine("library", lambda: {"hang": stuck.wait, "read": lambda: 0.5})
    with pytest.raises(BoardError, match=r"library: the library has not returned within 0\.02 s: hang"):
        Caller(line, 0.01, 1).ask(("hang", []))
    line.reopen()
    assert Caller(line, 1.0, 0).ask(("read", [])) == [0.5]
    line.close()
    line.close()
    with pytest.raises(LineError, match="the line is closed"):
        line.send("[1, []]")


def test_closing_a_line_closes_the_instrument_once() -> None:
    closed: list[int] = []
    line = CallLine("library", lambda: {"close": lambda: closed.append(1)})
    line.close()
    line.close()
    assert closed == [1]


def test_a_function_that_is_not_offered_is_an_error_and_not_called() -> None:
    line = CallLine("library", dict)
    line.send(json.dumps([1, [["__import__", ["os"]]]]))
    assert json.loads(line.receive(1.0)) == [1, [], "KeyError: '__import__'"]
    line.close()
