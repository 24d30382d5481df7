"""`harness reproduce`: parse, call, print."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from harness.cli.options import PATH, RUNS, ChipName, data_option, json_option, usable_cores
from harness.cli.terminal import ERR, OUT, WIDE, counting, note, print_json, wide_table
from harness.experiment.experiment import Experiment
from harness.files.writing import write_atomic
from harness.processes.interrupts import stop_on_signal
from harness.processes.memory import refuse_workers
from harness.studies.reproduce import recorded
from harness.studies.reproduce.catalog import GROUPS, chosen
from harness.studies.reproduce.claim import Claim, Effort, StoppedError
from harness.studies.reproduce.recorded import Stale
from harness.studies.reproduce.running import Result, Verdict, measured
from harness.wording import command, counted


@click.command()
@click.argument("names", metavar="CLAIM…", nargs=-1)
@click.option(
    "--to",
    "folder",
    type=PATH,
    help="Folder to make or to go on in [default: runs/reproduce; with --check a temporary one, to measure anew].",
)
@click.option(
    "--short/--full",
    "short",
    default=None,
    help="One seed and few epochs, in seconds, or what counts, in minutes [default: full, but short with --check].",
)
@click.option("--check", "checking", is_flag=True, help="Say which recorded figures of the documentation are stale.")
@click.option("--record", "recording", is_flag=True, help="Make what is found the recorded figures, in a clone.")
@click.option("--list", "listing", is_flag=True, help="Print the claims; measure nothing.")
@click.option("--chip", type=ChipName(), help="What simulates the networks [default: nodal, or as a claim says].")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Trainings at the same time; results do not depend on it [default: one per core that may be used].",
)
@data_option
@json_option
def reproduce(
    names: tuple[str, ...],
    folder: Path | None,
    short: bool | None,
    checking: bool,
    recording: bool,
    listing: bool,
    chip: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Measure what papers claim, and what the documentation says was found, again.

    A CLAIM is kendall, lin, chaffey, findings or packaged, or one of theirs by its name (--list). Each is measured
    with its seeds and its control. The folder gets NAME.html and NAME.json, with claim, criterion, our figure, seeds,
    the paper's figure where one is known, and a picture; and the runs. Ctrl-C ends cleanly; the same command goes on.
    The exit code is 0 whether claims hold or not.

    With --check, figures are compared with those that were recorded for the documentation, by default all of them in
    the short form; the exit code is 1 where one is stale. Claims whose trainings take minutes have no short form: they
    are named with the day of their record, and only the experiments behind them are compared.
    """
    claims = _claims(names, checking=checking, listing=listing)
    if checking and recording:
        raise click.UsageError("--check compares with what is recorded, and --record replaces it; give one of them")
    if listing:
        _print_list(claims, as_json)
        return
    Experiment.load(
        "xor", [f"chip.kind='{chip or 'nodal'}'"]
    )  # a chip that cannot be had is told before anything is measured
    refuse_workers(workers or 1)
    small = checking if short is None else short
    title = "-".join(names) if len(names) == 1 else "claims"
    again = ["reproduce", *names, *_given(folder, short, chip), *(["--check"] if checking else [])]
    with _folder(folder, temporary=checking) as parent:
        path = parent / title.replace("/", "-")
        effort = Effort(path, not small, chip or "", workers or (1 if small else usable_cores()))
        results = _measured(claims, effort, command(*again))
    if checking:
        _compare(results, as_json)
        return
    if recording:
        recorded.record(results, recorded.path_here())
    _write(names, results, effort, as_json)


@contextmanager
def _folder(given: Path | None, *, temporary: bool) -> Iterator[Path]:
    """Give the folder for runs; figures are only checked where nothing is taken from an earlier check."""
    if given is not None or not temporary:
        yield given or RUNS / "reproduce"
        return
    with TemporaryDirectory(prefix="harness-reproduce-") as made:
        yield Path(made)


def _claims(names: Sequence[str], *, checking: bool, listing: bool) -> dict[str, Claim]:
    if not names and listing:
        return chosen(tuple(GROUPS))
    if not names and checking:
        return chosen(tuple(recorded.read()))
    if not names:
        raise click.UsageError(f"name a CLAIM: {', '.join(GROUPS)}, or one of --list")
    return chosen(tuple(names))


def _given(folder: Path | None, short: bool | None, chip: str | None) -> list[object]:
    form = [] if short is None else ["--short" if short else "--full"]
    return [*(["--to", folder] if folder else []), *form, *(["--chip", chip] if chip else [])]


def _measured(claims: dict[str, Claim], effort: Effort, again: str) -> list[Result]:
    """Return all results, or end the program when a signal stopped it."""
    note(f"measuring {counted(len(claims), 'claim')} in {effort.folder}, {effort.form} form")
    results: list[Result] = []
    try:
        with stop_on_signal() as stopped, counting("claims", len(claims)) as tell:
            for result in measured(claims, replace(effort, stop=stopped)):
                results.append(result)
                seconds = "" if result.found is None else f" in {result.found.seconds:.1f} s"
                tell(f"{result.key}: {result.verdict.value}{seconds}" + (f": {result.why}" if result.why else ""))
    except StoppedError:
        left = counted(len(claims) - len(results), "claim")
        ERR.print(f"stopped with {left} to measure; go on with: {again}")
        sys.exit(1)
    return results


def _write(names: Sequence[str], results: Sequence[Result], effort: Effort, as_json: bool) -> None:
    from harness.report.reproduction import in_a_line, render  # noqa: PLC0415 - matplotlib takes a second to import

    first = GROUPS[names[0]][0] if len(names) == 1 and names[0] in GROUPS else ", ".join(names)
    page = effort.folder.with_name(effort.folder.name + ".html")
    content = {
        "title": first,
        "form": effort.form,
        "chip": effort.chip or None,
        "claims": [r.to_json() for r in results],
    }
    write_atomic(page, render(first, results, effort).encode())
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomic(page.with_suffix(".json"), text.encode())
    if as_json:
        print_json({"page": str(page), **content})
        return
    shown = wide_table("claim", "our figure", "seeds", "paper", "")
    for result in results:
        seeds = "" if result.found is None else result.claim.seeds_in(result.found.form)
        shown.add_row(result.key, in_a_line(result), seeds, result.claim.theirs, result.verdict.value)
    WIDE.print(shown)
    OUT.print(f"wrote {page} and {page.with_suffix('.json')}")


def _compare(results: Sequence[Result], as_json: bool) -> None:
    missing = [result for result in results if result.verdict is Verdict.MISSING]
    found = [one for result in results if result.verdict is not Verdict.MISSING for one in recorded.stale(result)]
    old = {result.key: recorded.recorded(result.key, "full") for result in results if result.verdict is Verdict.LONG}
    ages = {key: {"date": kept.date, "version": kept.version} for key, kept in old.items() if kept is not None}
    if as_json:
        rows = [vars(one) for one in found]
        unmeasured = {result.key: result.why for result in missing}
        print_json({"claims": len(results), "stale": rows, "not measured": unmeasured, "no short form": ages})
    else:
        _print_stale(found, results, ages)
    if found or missing:
        sys.exit(1)


def _print_stale(found: Sequence[Stale], results: Sequence[Result], ages: Mapping[str, Mapping[str, str]]) -> None:
    if ages:
        shown = wide_table("not measured again", "recorded", "by version")
        for key, age in ages.items():
            shown.add_row(key, age["date"], age["version"])
        WIDE.print(shown)
        OUT.print("their trainings take minutes, so that they have no short form; --check --full measures them")
    if found:
        shown = wide_table("claim", "figure", "recorded", "now")
        for one in found:
            shown.add_row(one.key, one.where, one.recorded, one.now)
        WIDE.print(shown)
        keys = dict.fromkeys(one.key for one in found)
        OUT.print(f"stale; measure again in full, and say so on the page: {command('reproduce', *keys, '--record')}")
    else:
        OUT.print(f"none of the recorded figures of {counted(len(results) - len(ages), 'claim')} is stale")


def _print_list(claims: dict[str, Claim], as_json: bool) -> None:
    if as_json:
        print_json({"claims": [{"name": key, "sentence": claim.sentence} for key, claim in claims.items()]})
        return
    shown = wide_table("name", "claim")
    for key, claim in claims.items():
        shown.add_row(key, claim.sentence)
    WIDE.print(shown)
