"""A report as JUnit XML, the form that CI servers read."""

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as Xml

from harness.studies.regress.bands import shown
from harness.studies.regress.suite import Suite
from harness.studies.regress.verdicts import Report, Verdict

_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""


def junit(reports: Mapping[Suite, Sequence[Report]]) -> bytes:
    """Return a test suite for each file and a test case for each case; its class is the file's name.

    A band that was left, a missing golden and changed settings are failures, a case that could not be measured is an
    error; every case prints what was found of it.
    """
    root = Xml.Element("testsuites", _counts([report for group in reports.values() for report in group]))
    for suite, group in reports.items():
        part = Xml.SubElement(root, "testsuite", {"name": _fit(suite.path.stem), **_counts(group)})
        for report in group:
            _add_case(part, suite, report)
    Xml.indent(root)
    return Xml.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _add_case(part: Xml.Element, suite: Suite, report: Report) -> None:
    named = {"classname": _fit(suite.path.stem), "name": _fit(report.case.name), "time": f"{report.seconds:.3f}"}
    element = Xml.SubElement(part, "testcase", named)
    if not report.passed:
        kind = "error" if report.verdict is Verdict.ERROR else "failure"
        told = {"type": report.verdict.value, "message": _fit(report.problems[0].splitlines()[0])}
        Xml.SubElement(element, kind, told).text = _fit("\n".join(report.problems))
    rows = [
        f"{row.name}: found {shown(row.found, row.band.unit, 6)}, band {row.band.text(row.golden)}"
        for row in report.rows
        if row.found is not None
    ]
    if rows:
        Xml.SubElement(element, "system-out").text = _fit("\n".join(rows))


def _counts(reports: Sequence[Report]) -> dict[str, str]:
    errors = sum(report.verdict is Verdict.ERROR for report in reports)
    failures = sum(not report.passed for report in reports) - errors
    time = sum(report.seconds for report in reports)
    numbers = {"tests": len(reports), "failures": failures, "errors": errors, "skipped": 0}
    return {**{key: str(number) for key, number in numbers.items()}, "time": f"{time:.3f}"}


def _fit(text: str) -> str:
    return _UNFIT.sub("�", text)
