"""Questions and answers over a line whose messages a test writes by hand."""

from collections import deque

import pytest

from harness.chip.bench.boards.exchange import Exchange, WrongAnswer, nothing
from harness.chip.bench.boards.scpi import _floats
from harness.chip.bench.line import LateError, LineError
from harness.chip.bench.virtual.messages import framed
from harness.errors import BoardError


class Scripted:
    """A line that gives prepared answers; None is an answer that does not come, an error one that breaks the line."""

    name = "scripted"

    def __init__(self, *answers: str | LineError | None) -> None:
        self.answers, self.sent, self.opened = deque(answers), list[str](), 0

    def send(self, message: str) -> None:
        self.sent.append(message)

    def receive(self, seconds: float) -> str:
        if seconds == 0:
            raise LateError("nothing unasked")
        answer = self.answers.popleft() if self.answers else None
        if isinstance(answer, LineError):
            raise answer
        if answer is None:
            raise LateError("scripted: late")
        return answer

    def reopen(self) -> None:
        self.opened += 1

    def close(self) -> None:
        pass


FRAMES = ("INJ,FRAM", framed(1, "INJ,FRAM"))


def exchange(line: Scripted) -> Exchange:
    return Exchange(line, 1.0, 2, lambda: None)


def number(answer: str) -> float:
    return _floats(answer, 1)[0]


def test_only_the_answer_with_the_number_and_a_right_sum_is_taken() -> None:
    wrong = framed(2, "1.0").replace("1.0", "7.0")
    line = Scripted(*FRAMES, framed(1, "5.0"), wrong, "6.0", "FRAM 2,", framed(3, "8.0"), framed(2, "1.0"))
    assert exchange(line).ask("READ:OUTP?", number) == 1.0


def test_a_lost_answer_is_asked_for_again_in_the_same_frame() -> None:
    line = Scripted(*FRAMES, None, framed(2, "1.0"))
    assert exchange(line).ask("READ:OUTP?", number) == 1.0
    assert line.sent[-1] == line.sent[-2] == framed(2, "READ:OUTP?")
    assert not line.opened


def test_after_the_last_try_the_message_is_named() -> None:
    with pytest.raises(BoardError, match=r"READ:OUTP\?: 3 tries, and no answer; scripted: late"):
        exchange(Scripted(*FRAMES)).ask("READ:OUTP?", number)


def test_what_must_not_be_carried_out_twice_is_sent_once() -> None:
    line = Scripted(*FRAMES)
    with pytest.raises(LateError, match="CELL:PULS 0,0,1,1e-06,3: no answer"):
        exchange(line).tell_once("CELL:PULS 0,0,1,1e-06,3")
    assert sum("CELL:PULS" in message for message in line.sent) == 1


def test_a_line_that_breaks_is_opened_anew_with_numbers_from_1() -> None:
    line = Scripted(*FRAMES, LineError("cut"), framed(1, "1.0"))
    assert exchange(line).ask("READ:OUTP?", number) == 1.0
    assert line.opened == 1
    assert line.sent[-1] == framed(1, "READ:OUTP?")


def test_without_frames_a_late_answer_has_the_line_opened_anew() -> None:
    line = Scripted("INJ", "INJ", None, '1.0;0,"No error"')
    assert exchange(line).ask("READ:OUTP?", number) == 1.0
    assert line.opened == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('!-222,"Data out of range: 1e9 V"', "READ:OUTP?: the board refuses: -222"),
        ("1.0,2.0", "2 numbers where 1 were asked for"),
        ("", "0 numbers where 1 were asked for"),
        ("x", "no list of numbers"),
        ("nan", "an answer with nan, which is no reading"),
        ("inf", "an answer with inf, which is no reading"),
        ("9.9e37", "an answer with 9.9e[+]37, which is no reading"),
        ("1_0", "no list of numbers"),
    ],
)
def test_answers_that_are_no_readings_are_refused_with_their_message(answer: str, message: str) -> None:
    with pytest.raises(BoardError, match=message.replace("?", r"\?")):
        exchange(Scripted(*FRAMES, framed(2, answer))).ask("READ:OUTP?", number)


@pytest.mark.parametrize("answers", [(), ("What?", "What?"), ("INJ", "CLMP", "INJ", "CLMP")])
def test_a_board_that_speaks_another_language_is_refused(answers: tuple[str, ...]) -> None:
    with pytest.raises(BoardError, match=r"scripted: SYST:CAN\? was not answered as the bench protocol wants"):
        exchange(Scripted(*answers))


def test_a_board_that_never_answers_again_ends_in_a_sentence() -> None:
    line = Scripted("INJ", "INJ")
    asking = Exchange(line, 1.0, 2, lambda: asking.ask("*IDN?", lambda text: text))
    with pytest.raises(BoardError, match="does not answer since the line was opened anew"):
        asking.ask("READ:OUTP?", number)


def test_an_answer_where_none_was_asked_for_is_wrong() -> None:
    with pytest.raises(WrongAnswer, match="an answer where none was asked for"):
        nothing("1")
