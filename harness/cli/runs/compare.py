"""`harness runs`: parse, call, print."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli.options import FILE, PATH, RUNS, json_option, picture_form
from harness.cli.terminal import ERR, OUT, WIDE, drawn, exit_unless_drawn, print_json, scored, wide_table, working
from harness.errors import ExperimentError
from harness.studies import runs as study
from harness.studies.runs import ListedRun, ListedSweep, State
from harness.training.runs import Run
from harness.wording import command, counted, listed

_TITLES = ("run", "experiment", "seed", "rule", "chip", "epochs", "state", "held out", "seconds", "differs in")
_MOST_LINES = 20
"""Runs in one picture."""
_TOLD = 6
"""Differences of a run that are printed."""


@click.command()
@click.argument("folders", metavar="[DIR]...", nargs=-1, type=PATH)
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="List only runs such as accuracy>0.9, state=stopped, name=iris* or rule.beta<=1uS; may be repeated.",
)
@click.option("--sort", "key", metavar="KEY", help="Sort by a column or a key, such as accuracy or rule.beta.")
@click.option("--reverse", is_flag=True, help="Sort from large to small.")
@click.option("--first", "most", type=click.IntRange(min=1), metavar="N", help="List the first N runs only.")
@click.option("--to", "file", type=FILE, help="Picture to write: loss and score of the listed runs over epochs.")
@json_option
def runs(
    folders: tuple[Path, ...],
    conditions: tuple[str, ...],
    key: str | None,
    reverse: bool,
    most: int | None,
    file: Path | None,
    as_json: bool,
) -> None:
    """List the runs in DIR (default: runs) and compare them: what they reached, and in which settings they differ.

    DIR may be a folder of runs, a run, or a sweep, whose points are runs; several may be given, as by runs/iris-*.
    Columns are name, path, experiment, seed, rule, chip, epochs, state, accuracy (R² for values), loss and seconds;
    --where and --sort take them and every key of an experiment, such as update.rates. Texts may have * and ?.

    The last column shows the keys in which runs of the same experiment differ from each other.
    """
    form = picture_form(file) if file else "png"
    found = study.find(*(folders or (RUNS,)))
    with working(f"reading {counted(len(found.runs), 'run')}"):
        everything, sweeps = (
            [ListedRun.of(path) for path in found.runs],
            [ListedSweep.of(path) for path in found.sweeps],
        )
    shown = study.chosen(everything, conditions)
    shown = study.in_order(shown, key, backwards=reverse) if key else [*reversed(shown)] if reverse else shown
    shown = shown[:most]
    differences = study.differing(shown)
    done = drawn(file, lambda: _picture(shown, form)) if file and _check_lines(shown) else True
    if as_json:
        rows = [_record(run, differs) for run, differs in zip(shown, differences, strict=True)]
        foreign = [str(folder) for folder in found.foreign]
        print_json({"runs": rows, "sweeps": [vars(one) for one in sweeps], "foreign": foreign, "notes": found.notes})
    else:
        _print_runs(shown, differences, len(everything), folders or (RUNS,))
        _print_sweeps(() if conditions else sweeps)
        _print_rest(shown, sweeps, found)
    exit_unless_drawn(file, done=done, quiet=as_json)


def _check_lines(shown: Sequence[ListedRun]) -> bool:
    """Refuse a picture of no run, or of so many that lines are lost in each other."""
    there = [run for run in shown if run.epochs]
    if not there:
        raise ExperimentError("--to: none of the listed runs has finished an epoch, so there is nothing to draw")
    if len(there) > _MOST_LINES:
        raise ExperimentError(
            f"--to: {len(there)} runs are too many for one picture, which shows {_MOST_LINES}; choose with --where, or "
            "with --sort and --first"
        )
    return True


def _picture(shown: Sequence[ListedRun], form: Any) -> bytes:
    from harness.pictures.runs import draw_comparison  # noqa: PLC0415 - matplotlib takes a second to import

    there = [run for run in shown if run.epochs]
    tables = {run.path: Run(run.path).tables()[1] for run in there}
    return draw_comparison(tables, {run.path: run.score for run in there}, form)


def _record(run: ListedRun, differs: dict[str, str]) -> dict[str, Any]:
    about = {name: value for name, value in vars(run).items() if name in ListedRun.__dataclass_fields__}
    return {**about, "state": run.state.value, "settings": dict(run.settings), "differs": differs}


def _print_runs(
    shown: Sequence[ListedRun], differences: Sequence[dict[str, str]], count: int, folders: Sequence[Path]
) -> None:
    if not count:
        OUT.print(f"no run in {listed([*map(str, folders)])}; make one with: {command('train', 'EXPERIMENT')}")
        return
    table = wide_table(*_TITLES)
    for run, differs in zip(shown, differences, strict=True):
        table.add_row(run.path, *_cells(run), _told(differs))
    WIDE.print(table)
    if len(shown) < count:
        OUT.print(f"{len(shown):,} of {counted(count, 'run')}")


def _cells(run: ListedRun) -> list[str]:
    if run.state is State.DAMAGED:
        return ["", "", "", "", "", run.state, "", ""]
    reached = "" if run.accuracy is None else scored(run.accuracy, run.score)
    if run.score != "accuracy" and reached:
        reached = f"{run.score} {reached}"
    seconds = "" if run.seconds is None else f"{run.seconds:.1f}"
    return [
        run.experiment, str(run.seed), run.rule, run.chip, f"{run.epochs}/{run.planned}", run.state, reached, seconds
    ]  # fmt: skip


def _told(differs: dict[str, str]) -> str:
    told = [f"{key} = {value}" for key, value in differs.items()]
    more = f" and {counted(len(told) - _TOLD, 'more key')}" if len(told) > _TOLD else ""
    return ", ".join(told[:_TOLD]) + more


def _print_sweeps(sweeps: Sequence[ListedSweep]) -> None:
    whole = [one for one in sweeps if not one.problem]
    if whole:
        table = wide_table("sweep", "experiment", "points", "over")
        for one in whole:
            table.add_row(one.path, one.experiment, f"{one.done}/{one.points}", ", ".join(one.keys))
        WIDE.print(table)
        OUT.print(f"the runs of a sweep: {command('runs', whole[0].path)}")


def _print_rest(shown: Sequence[ListedRun], sweeps: Sequence[ListedSweep], found: study.Found) -> None:
    """Say on stderr what is damaged, and what is no run."""
    for problem in filter(None, [*(run.problem for run in shown), *(sweep.problem for sweep in sweeps)]):
        ERR.print(f"damaged: {problem}")
    for note in found.notes:
        ERR.print(note)
    if found.foreign:
        names = listed([str(folder) for folder in found.foreign])
        ERR.print(f"no runs in {counted(len(found.foreign), 'folder')}: {names}")
