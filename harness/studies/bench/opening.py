"""Opens boards for studies, and leaves them with grounded pins however a study ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.chip.bench.board import Board
from harness.chip.bench.chip import BenchChip
from harness.chip.bench.journal import Session
from harness.chip.bench.opening import open_board
from harness.chip.bench.profile import Profile
from harness.experiment.experiment import Experiment
from harness.experiment.runs.trust import accepts_stale_calibrations
from harness.processes.interrupts import cleaned_up


@contextmanager
def opened(profile: Profile, resource: str | None) -> Iterator[Board]:
    """Open a board; at the end its pins are grounded, also after errors, Ctrl-C and SIGTERM."""
    with cleaned_up():
        board = open_board(profile, resource)
        try:
            yield board
        finally:
            try:
                board.ground()
            finally:
                board.close()


@contextmanager
def open_bench(
    profile: Profile, subject: Experiment, resource: str | None, session: Session | None = None
) -> Iterator[BenchChip]:
    """Open the chip of a board that holds an experiment's network; its pins are grounded likewise.

    With a session, pulses are written ahead in its journal.
    """
    with cleaned_up():
        chip = BenchChip(
            subject.circuit,
            profile,
            resource,
            access=subject.settings.chip.access,
            session=session,
            stale=accepts_stale_calibrations(),
        )
        try:
            yield chip
        finally:
            chip.close()
