"""The rules for ngspice's messages, on recorded transcripts of old and new versions."""

import tomllib
from pathlib import Path

import pytest

from harness.chip.ngspice.messages import Verdict, judge, telling, worst

CASES = [
    pytest.param(case, id=f"{file.stem}-{case['name']}")
    for file in sorted((Path(__file__).parent / "transcripts").glob("*.toml"))
    for case in tomllib.loads(file.read_text())["case"]
]


def test_there_are_transcripts_of_old_and_new_ngspices() -> None:
    files = sorted(file.stem for file in (Path(__file__).parent / "transcripts").glob("*.toml"))
    assert files == ["ngspice-39", "ngspice-44", "ngspice-46"]
    assert len(CASES) == 23


@pytest.mark.parametrize("case", CASES)
def test_transcripts_get_their_verdict(case: dict[str, str]) -> None:
    lines = case["stderr"].splitlines()
    assert worst(lines) is Verdict[case["verdict"]]
    assert bool(telling(lines)) == (case["verdict"] != "NOTE")


def test_the_solver_that_newer_versions_announce_is_a_note() -> None:
    assert judge("Using SPARSE 1.3 as Direct Linear Solver") is Verdict.NOTE
    assert judge("Using KLU as Direct Linear Solver") is Verdict.NOTE


def test_the_worst_line_decides_and_silence_is_good() -> None:
    assert worst([]) is Verdict.NOTE
    assert worst(["Note: Starting dynamic gmin stepping", "Error: circuit not parsed."]) is Verdict.REFUSED
    assert worst(["Warning: singular matrix:  check node q", "Note: done"]) is Verdict.UNSETTLED


def test_what_is_told_is_short_and_without_repeats() -> None:
    lines = ["Warning: singular matrix:  check node q"] * 3 + [f"Error: number {k}" for k in range(10)]
    told = telling(lines, most=4)
    assert told == ("Warning: singular matrix:  check node q", "Error: number 0", "Error: number 1", "Error: number 2")
