"""Tables of a run as files: what pandas would write, without pandas; and every bit comes back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chip.metering import Ledger
from harness.training.tables import EpochRow, StepRow, as_csv, as_frame, read_rows

NUMBERS = st.floats(allow_infinity=False, allow_nan=False)
COUNTS = st.integers(0, 2**53)
STEPS = st.builds(StepRow, COUNTS, COUNTS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
LEDGERS = st.builds(Ledger, COUNTS, COUNTS, COUNTS, COUNTS, NUMBERS, COUNTS, COUNTS, NUMBERS, COUNTS)
EPOCHS = st.builds(EpochRow, COUNTS, *[NUMBERS] * 7, st.none() | NUMBERS, st.none() | LEDGERS)
TABLES = st.tuples(st.just(StepRow), st.lists(STEPS, max_size=4)) | st.tuples(
    st.just(EpochRow), st.lists(EPOCHS, max_size=4)
)


@given(TABLES, st.sampled_from(["accuracy", "R²"]))
def test_a_table_is_written_as_pandas_writes_it(table: tuple[type, list], score: str) -> None:
    kind, rows = table
    assert as_csv(rows, kind, score) == as_frame(rows, kind, score).to_csv(index=False).encode()


@given(table=TABLES)
def test_every_bit_of_a_table_comes_back(tmp_path_factory: pytest.TempPathFactory, table: tuple[type, list]) -> None:
    kind, rows = table
    file: Path = tmp_path_factory.getbasetemp() / "table.csv"
    file.write_bytes(as_csv(rows, kind, "accuracy"))
    assert repr(read_rows(file, kind)) == repr(rows)


def test_what_is_no_number_is_written_as_missing() -> None:
    row = StepRow(1, 1, float("nan"), 1.0, float("inf"), 0.0)
    assert as_csv([row], StepRow, "accuracy") == as_frame([row], StepRow, "accuracy").to_csv(index=False).encode()
