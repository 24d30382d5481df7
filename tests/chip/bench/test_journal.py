"""The journal of a run on a board: what was applied, whatever killed the session."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chip.bench.journal import FILE, Journal, Session, before_session
from harness.chip.bench.readback import Difference, read_differences
from harness.errors import RunError

CELLS = np.array([[0, 0], [3, 1]])
PULSES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), max_size=6)


def written(folder: Path) -> Path:
    """A journal of two sessions; the first one was killed before it learned what became of its last pulses."""
    journal = Journal(folder)
    journal.begin(1, "board", 7)
    journal.ahead(CELLS, np.array([2, 3]), np.array([0, 7]))
    journal.settle(np.array([2, 3]))
    journal.ahead(CELLS, np.array([1, 1]), np.array([2, 10]))
    journal._file.close()
    journal = Journal(folder)
    journal.begin(2, "board", 13)
    journal.close({"messages": 5})
    return folder / FILE


@given(PULSES)
def test_pulses_are_counted_once_they_are_settled(rounds: list[tuple[int, int, bool]]) -> None:
    with TemporaryDirectory() as name:
        journal = Journal(Path(name))
        journal.begin(1, "board", None)
        total = np.zeros(2, np.int64)
        for first, second, applied in rounds:
            counts = np.array([first, second])
            journal.ahead(CELLS, counts, total)
            journal.settle(counts * applied)
            total += counts * applied
        np.testing.assert_array_equal(journal.had(CELLS), total)
        journal.close({})
        again = Journal(Path(name))
        assert again.pulses == total.sum()
        np.testing.assert_array_equal(again.had(CELLS), total)
        again._file.close()


def test_what_was_not_settled_waits_for_the_next_session(tmp_path: Path) -> None:
    written(tmp_path)
    journal = Journal(tmp_path)
    assert (journal.sessions, journal.counted_before, journal.pulses) == (2, 7, 5)
    ((cells, counts, before),) = journal.unsettled
    np.testing.assert_array_equal(cells, CELLS)
    assert (counts.tolist(), before.tolist()) == ([1, 1], [2, 10])
    assert journal.traffic["messages"] == 5
    journal._file.close()


@pytest.mark.parametrize("cut", [1, 7, 20])
def test_a_line_that_was_being_written_is_left_out(tmp_path: Path, cut: int) -> None:
    file = written(tmp_path)
    file.write_bytes(file.read_bytes()[:-cut])
    journal = Journal(tmp_path)
    journal.begin(3, "board", None)
    journal.close({})
    assert Journal(tmp_path).close({}) is None
    assert [entry.get("session") for entry in before_session(tmp_path, 3)] == [1, None, None, None, 2]


@pytest.mark.parametrize("line", ["{", "[]", '{"pulses": [[1]], "before": [0]}', '{"applied": [1]}', '{"session": 1}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    file = written(tmp_path)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:4], line, *lines[5:]]) + "\n")
    with pytest.raises(RunError, match=r"journal.jsonl, line 5: "):
        Journal(tmp_path)


def test_each_session_has_a_folder_of_its_own(tmp_path: Path) -> None:
    for number in (1, 2):
        session = Session(tmp_path)
        assert session.number == number
        assert session.cassette == tmp_path / f"session-{number}" / "cassette.jsonl"
        session.journal.close({})


def test_read_backs_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "readback.csv"
    rows = [Difference(None, None, "w1", 4, 1e-9, 2e-9, 1, 2), Difference(3, 1, "w", 9, 0.0, 1.5e-6, 8, None)]
    heading = "epoch,step,array,cells,rms (S),largest (S),word,bit"
    file.write_text("\n".join([heading, *(row.row() for row in rows)]) + "\n")
    assert read_differences(file) == rows
    file.write_text(file.read_text().replace("1.5e-06", "much"))
    with pytest.raises(RunError, match=r"readback.csv, line 3: it is damaged"):
        read_differences(file)
