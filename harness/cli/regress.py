"""`harness regress`: parse, call, print."""

import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

import click

from harness.cli.options import FILE, PATH, data_option, json_option, simulators_for
from harness.cli.terminal import ERR, OUT, WIDE, counting, note, print_json, verdict, warn, wide_table
from harness.experiment.experiment import Experiment
from harness.files.reading import JsonObject
from harness.files.writing import write_atomic
from harness.processes.interrupts import stop_on_signal
from harness.studies.regress.bands import shown
from harness.studies.regress.goldens import read_goldens
from harness.studies.regress.junit import junit
from harness.studies.regress.quantities import QUANTITIES
from harness.studies.regress.running import measure
from harness.studies.regress.suite import Case, Suite
from harness.studies.regress.updating import Change, abandoned, change, write
from harness.studies.regress.verdicts import Found, Report, Verdict, judge
from harness.wording import counted, did_you_mean


@click.command()
@click.argument("files", metavar="SUITE.toml…", nargs=-1, required=True, type=PATH)
@click.option("--case", "chosen", multiple=True, metavar="GLOB", help="Only cases of such a name; may be repeated.")
@click.option("--update", is_flag=True, help="Make what is found the new goldens.")
@click.option("--reason", metavar="TEXT", help="Why the goldens are new; without it, a terminal asks.")
@click.option("--junit", "xml", type=FILE, metavar="FILE.xml", help="Also write the report as JUnit XML.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes that measure; results do not depend on it [default: one per core that may be used].",
)
@click.option("--list", "listing", is_flag=True, help="Print the cases and what they are compared in; run nothing.")
@data_option
@json_option
def regress(
    files: tuple[Path, ...],
    chosen: tuple[str, ...],
    update: bool,
    reason: str | None,
    xml: Path | None,
    workers: int | None,
    listing: bool,
    as_json: bool,
) -> None:
    """Compare the cases of a suite with their golden results; exits with 1 when a band is left.

    A case is an experiment with changes, such as converters of 8 bits; its bands say how far accuracy, gradients,
    voltages or what training asked of the chip may be from SUITE.golden.json beside the suite. The same seed on the
    same machine gives the same values bit for bit; elsewhere the nodal chip agrees to rounding, and bands are there
    for that. `--update` shows old and new values, asks why, and keeps earlier reasons; limits (at_least, at_most) it
    does not move. What a suite may hold stands in harness/studies/regress/suite.py.
    """
    suites = [Suite.load(path) for path in dict.fromkeys(files)]
    selection = {suite: [case for case in suite.cases if _is_chosen(case, chosen)] for suite in suites}
    if not any(selection.values()):
        meant = did_you_mean(chosen[0], [case.name for suite in suites for case in suite.cases], or_list=True)
        raise click.UsageError(f"no case is called {' or '.join(chosen)}{meant}")
    if listing:
        _print_list(selection, as_json)
        return
    goldens = {suite: read_goldens(suite.goldens) for suite in suites}
    _refuse(update, reason, xml)
    found = _measured(list(chain(*selection.values())), workers)
    if update:
        changes = {
            suite: [change(case, goldens[suite].get(case.name), found[case]) for case in cases]
            for suite, cases in selection.items()
        }
        _update(changes, reason, as_json, tidy=not chosen)
        return
    reports = {
        suite: [judge(suite, case, goldens[suite].get(case.name), found[case]) for case in cases]
        for suite, cases in selection.items()
    }
    for suite, known in goldens.items():
        for name in abandoned(suite, known):
            warn(f"{suite.goldens} holds {name!r}, which is no case; --update of the whole suite drops it")
    if xml is not None:
        write_atomic(xml, junit(reports))
    if as_json:
        print_json(_as_object(reports))
    else:
        _print(reports)
    if not all(report.passed for report in chain(*reports.values())):
        sys.exit(1)


def _is_chosen(case: Case, chosen: Sequence[str]) -> bool:
    return not chosen or any(case.name == name or fnmatchcase(case.name, name) for name in chosen)


def _refuse(update: bool, reason: str | None, xml: Path | None) -> None:
    if reason is not None and not update:
        raise click.UsageError("--reason says why goldens are new; it goes with --update")
    if update and xml is not None:
        raise click.UsageError("--junit reports verdicts, and --update gives none; leave one of them out")
    if update and reason is None and not _somebody_there():
        raise click.UsageError("--update keeps why goldens are new, and nobody can be asked here; give --reason TEXT")
    if reason is not None and not reason.strip():
        raise click.UsageError("--reason is empty; say why the goldens are new")
    if xml is not None and not xml.parent.is_dir():
        raise click.UsageError(f"--junit {xml}: there is no folder {xml.parent}")


def _somebody_there() -> bool:
    return sys.stdin.isatty()


def _measured(cases: Sequence[Case], workers: int | None) -> dict[Case, Found]:
    """Return what was found, by case; end the program when a signal stopped it."""
    jobs = sum(len(case.seeds) for case in cases)
    workers = min(jobs, simulators_for(Experiment(cases[0].settings), workers, None).workers)
    note(f"measuring {counted(len(cases), 'case')}, {workers} at a time")
    found = dict[Case, Found]()
    with stop_on_signal() as stopped, counting("cases", len(cases)) as tell:
        for case, result in measure(cases, workers=workers, stop=stopped):
            found[case] = result
            tell(f"{case.name}: {'failed' if result.error else 'measured'} in {result.seconds:.1f} s")
    if len(found) < len(cases):
        ERR.print(f"stopped after {len(found)} of {counted(len(cases), 'case')}; nothing was written")
        sys.exit(1)
    return found


def _print(reports: Mapping[Suite, Sequence[Report]]) -> None:
    everything = list(chain(*reports.values()))
    table = wide_table("case", "quantity", "golden", "found", "band", "")
    for report in everything:
        for k, row in enumerate(report.rows):
            golden, found = (_shown(value, row.band.unit) for value in (row.golden, row.found))
            name = report.case.name if k == 0 else ""
            table.add_row(
                name,
                row.name,
                golden,
                found,
                row.band.text(row.golden),
                verdict(row.verdict is Verdict.PASSED, row.verdict.value),
            )
    WIDE.print(table)
    for report in everything:
        for problem in report.problems:
            OUT.print(f"{report.case.name}: {problem}")
    passed = sum(report.passed for report in everything)
    OUT.print(f"{passed} of {counted(len(everything), 'case')} passed")


def _shown(value: float | None, unit: str) -> str:
    return "" if value is None else shown(value, unit)


def _as_object(reports: Mapping[Suite, Sequence[Report]]) -> JsonObject:
    everything = list(chain(*reports.values()))
    suites = [
        {"file": str(suite.path), "goldens": str(suite.goldens), "cases": [_case_object(report) for report in group]}
        for suite, group in reports.items()
    ]
    passed = sum(report.passed for report in everything)
    return {"passed": passed == len(everything), "cases": len(everything), "cases_passed": passed, "suites": suites}


def _case_object(report: Report) -> JsonObject:
    quantities = [
        {
            "name": row.name,
            "unit": row.band.unit,
            "golden": row.golden,
            "found": row.found,
            **dict(zip(("low", "high"), row.band.limits(row.golden), strict=True)),
            "by_seed": list(row.by_seed),
            "verdict": row.verdict.value,
        }
        for row in report.rows
    ]
    return {
        "name": report.case.name,
        "experiment": report.case.experiment,
        "seeds": list(report.case.seeds),
        "verdict": report.verdict.value,
        "seconds": report.seconds,
        "problems": list(report.problems),
        "quantities": quantities,
    }


def _update(changes: Mapping[Suite, Sequence[Change]], reason: str | None, as_json: bool, *, tidy: bool) -> None:
    """Show old and new values, ask why, and write; exit with 1 when a case was refused."""
    everything = list(chain(*changes.values()))
    wanted = [each for each in everything if each.wanted]
    if not as_json:
        _print_changes(everything)
    if wanted and reason is None:
        reason = click.prompt("why are they new?", err=True, value_proc=_not_blank)
    for suite, group in changes.items():
        if any(each.wanted for each in group) or (tidy and abandoned(suite, read_goldens(suite.goldens))):
            write(suite, group, (reason or "").strip(), tidy=tidy)
            note(f"wrote {suite.goldens}")
    if as_json:
        print_json(
            {"updated": [_change_object(each) for each in everything if each.wanted], "refused": _refusals(everything)}
        )
    for name, sentences in _refusals(everything).items():
        for sentence in sentences:
            ERR.print(f"{name}: not updated: {sentence}")
    if any(each.refused for each in everything):
        sys.exit(1)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise click.BadParameter("say why, in a few words")
    return text.strip()


def _refusals(changes: Sequence[Change]) -> dict[str, list[str]]:
    return {each.case.name: list(each.refused) for each in changes if each.refused}


def _change_object(each: Change) -> JsonObject:
    old = each.old.values if each.old else None
    settings = each.old.changed(each.case.identity()) if each.old else []
    return {"name": each.case.name, "old": old, "new": dict(each.found.values), "settings_changed": settings}


def _print_changes(changes: Sequence[Change]) -> None:
    table = wide_table("case", "quantity", "golden", "new", "")
    for each in changes:
        state = "NOT UPDATED" if each.refused else "new" if each.wanted else "as it was"
        for k, (name, band) in enumerate(each.case.bands.items()):
            old = _shown(each.old.values.get(name) if each.old else None, band.unit)
            new = _shown(each.found.values.get(name), band.unit)
            table.add_row(each.case.name if k == 0 else "", name, old, new, state if k == 0 else "")
    WIDE.print(table)
    for each in changes:
        for sentence in each.old.changed(each.case.identity()) if each.old else []:
            OUT.print(f"{each.case.name}: {sentence}")


def _print_list(selection: Mapping[Suite, Sequence[Case]], as_json: bool) -> None:
    if as_json:
        rows = {str(suite.path): [_listed(case) for case in cases] for suite, cases in selection.items()}
        print_json({"suites": rows, "quantities": {name: q.about for name, q in QUANTITIES.items()}})
        return
    table = wide_table("case", "experiment", "seeds", "compared in")
    for case in chain(*selection.values()):
        table.add_row(case.name, case.experiment, ", ".join(map(str, case.seeds)), ", ".join(case.bands))
    WIDE.print(table)


def _listed(case: Case) -> JsonObject:
    return {"name": case.name, "experiment": case.experiment, "seeds": list(case.seeds), "quantities": list(case.bands)}
