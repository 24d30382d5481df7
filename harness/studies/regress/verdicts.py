"""Verdicts on what was found of a case, against its golden."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from shlex import quote

from harness.studies.regress.bands import Band
from harness.studies.regress.goldens import Golden, versions_now
from harness.studies.regress.suite import Case, Suite


class Verdict(StrEnum):
    """The verdict on a case or a quantity of it, from good to bad."""

    PASSED = "passed"
    NO_GOLDEN = "no golden"
    CHANGED = "settings changed"
    LEFT = "band left"
    ERROR = "error"


@dataclass(frozen=True)
class Found:
    """The result of measuring a case."""

    values: Mapping[str, float]
    """Over all seeds, by quantity, SI units; empty after an error."""
    by_seed: Mapping[str, tuple[float, ...]]
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class Row:
    """A quantity of a case with its verdict."""

    name: str
    band: Band
    golden: float | None
    found: float | None
    verdict: Verdict
    by_seed: tuple[float, ...] = ()


@dataclass(frozen=True)
class Report:
    """A case with all that is to be said of it."""

    case: Case
    rows: tuple[Row, ...]
    verdict: Verdict
    problems: tuple[str, ...]
    """A sentence for each reason why it did not pass."""
    seconds: float

    @property
    def passed(self) -> bool:
        """Every quantity is in its band."""
        return self.verdict is Verdict.PASSED


def judge(suite: Suite, case: Case, golden: Golden | None, found: Found) -> Report:
    """Return a case with its verdict, which is the worst of its quantities'."""
    cure = f"harness regress {quote(str(suite.path))} --update --case {quote(case.name)}"
    if found.error is not None:
        failed = (Row(name, band, _golden(golden, name), None, Verdict.ERROR) for name, band in case.bands.items())
        return Report(case, tuple(failed), Verdict.ERROR, (found.error,), found.seconds)
    changes = golden.changed(case.identity()) if golden else []
    rows, problems = list[Row](), list[str]()
    for name, band in case.bands.items():
        known, value = _golden(golden, name), found.values[name]
        expected = None if changes else known
        verdict = Verdict.PASSED
        if (complaint := band.complaint(name, expected, value)) is not None:
            verdict = Verdict.LEFT
            problems.append(complaint + _newer(golden, case))
        elif band.needs_golden and expected is None:
            verdict = Verdict.CHANGED if changes else Verdict.NO_GOLDEN
        rows.append(Row(name, band, known, value, verdict, found.by_seed[name]))
    if golden and any(row.verdict is Verdict.CHANGED for row in rows):
        what = "; ".join(changes)
        problems.append(f"settings changed since the golden of {golden.date}: {what}; if that is meant, run: {cure}")
    if lacking := [row.name for row in rows if row.verdict is Verdict.NO_GOLDEN]:
        problems.append(f"no golden for {', '.join(lacking)}; if what was found is right, record it with: {cure}")
    worst = max((row.verdict for row in rows), key=list(Verdict).index)
    return Report(case, tuple(rows), worst, tuple(problems), found.seconds)


def beyond_limits(case: Case, found: Found) -> list[str]:
    """Return why no update may make these values golden: limits that hold whatever the golden is."""
    complaints = (band.complaint(name, None, found.values[name]) for name, band in case.bands.items())
    return [complaint for complaint in complaints if complaint is not None]


def _golden(golden: Golden | None, name: str) -> float | None:
    return golden.values.get(name) if golden else None


def _newer(golden: Golden | None, case: Case) -> str:
    """Return versions that are not the golden's, as the end of a sentence."""
    if golden is None:
        return ""
    now = versions_now(ngspice=case.settings.chip.in_ngspice)
    pairs = [(name, golden.versions.get(name, "none"), version) for name, version in now.items()]
    changes = [f"{name} {old} is now {new}" for name, old, new in pairs if old != new]
    return f" (since the golden, {', '.join(changes)})" if changes else ""
