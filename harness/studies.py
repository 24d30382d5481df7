"""Commands that train an experiment many times: parse, call, print."""

import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from harness import sweep as sweeps
from harness.errors import ExperimentError
from harness.experiment import Experiment
from harness.options import RUNS, chip_option, data_option, json_option, set_option, simulators_for, with_overrides
from harness.runs import fresh_path
from harness.terminal import ERR, OUT, print_json, stop_on_signal

_WIDTH = 500  # at most: lines that run over a narrow terminal are better than names cut short


@click.command()
@click.argument("experiment", required=False)
@click.option(
    "--over",
    multiple=True,
    metavar="KEY=V1,V2,…",
    help="Values of a key, as --set takes them; lists as KEY=[10],[20,20]. May be repeated, for every combination.",
)
@click.option(
    "--seeds", type=click.IntRange(min=1), metavar="N", help="Seeds 0…N−1 [default: the experiment's own alone]."
)
@set_option
@chip_option
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Directory to make [default: runs/NAME-sweep].")
@click.option("--resume", type=click.Path(path_type=Path), metavar="DIR", help="Go on with an interrupted sweep.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Points trained at the same time; results do not depend on it [default: one per core that may be used].",
)
@data_option
@json_option
def sweep(
    experiment: str | None,
    over: tuple[str, ...],
    seeds: int | None,
    overrides: tuple[str, ...],
    chip: str | None,
    folder: Path | None,
    resume: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Train EXPERIMENT at every point of a grid of --over keys and --seeds, several points at a time.

    The directory gets a run for each point, results.csv (also results.parquet where pyarrow is installed) with a row
    for each, and sweep.png, test accuracy against the first key with numbers. A point that fails is noted in the table
    and stops no other; then the exit code is 1. Ctrl-C ends cleanly with checkpoints; --resume goes on, also after a
    kill, skips what is complete and tries again what has failed.
    """
    if resume is not None:
        if experiment or over or seeds or overrides or chip or folder:
            raise click.UsageError("--resume goes on as the sweep was recorded; give only --workers and --json with it")
        opened = sweeps.Sweep(resume)
    elif experiment is None:
        raise click.UsageError("name an EXPERIMENT (see 'harness list'), or give --resume DIR")
    elif not over and seeds is None:
        raise click.UsageError("nothing is swept; give --over KEY=V1,V2,… or --seeds N")
    else:
        points = sweeps.grid(experiment, read_over(over), seeds=seeds, overrides=with_overrides(overrides, chip, None))
        opened = sweeps.Sweep.create(folder or fresh_path(RUNS, f"{points[0].settings.name}-sweep"), points)
    workers = simulators_for(Experiment(opened.points[0].settings), workers, None).workers
    ERR.print(f"sweeping {opened.name} in {opened.path} ({len(opened.points)} points, {workers} at a time)")
    with stop_on_signal() as stopped, _progress(opened) as watch:
        table = sweeps.run(opened, workers=workers, watch=watch, stop=stopped)
    if as_json:
        print_json({"directory": str(opened.path), "points": _rows(table)})
    elif not table.empty:
        _print_means(table, opened)
    _exit_unless_complete(table, opened)


def read_over(texts: Sequence[str]) -> dict[str, list[str]]:
    """Keys and their values from ``KEY=V1,V2,…`` or ``KEY=[V1,V2,…]``.

    Raises:
        ExperimentError: a text has no key or lacks a value, or a key is there twice.
    """
    over: dict[str, list[str]] = {}
    for text in texts:
        name, _, listed = text.partition("=")
        key, values = ".".join(part.strip() for part in name.split(".")), _split(listed)
        if len(values) == 1 and values[0].startswith("[") and values[0].endswith("]"):
            values = _split(values[0][1:-1])
        if not (key and all(values)):
            raise ExperimentError(f"--over {text}: write KEY=V1,V2,…, such as training.epochs=3,10")
        if key in over:
            raise ExperimentError(f"--over {text}: {key} is swept already; give all its values at once")
        over[key] = values
    return over


def _split(text: str) -> list[str]:
    """At commas outside of quotes, brackets and braces."""
    pieces, depth, quote = [""], 0, ""
    for character in text:
        if quote or character in "\"'":
            quote = "" if character == quote else quote or character
        else:
            depth += (character in "[{") - (character in "]}")
        if character == "," and not (quote or depth):
            pieces.append("")
        else:
            pieces[-1] += character
    return [piece.strip() for piece in pieces]


@contextmanager
def _progress(opened: sweeps.Sweep) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A bar over the points, and a line for each that has ended."""
    complete = sum(opened.row(point) is not None for point in opened.points)
    columns = (TextColumn("points"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True) as bar:
        task = bar.add_task("points", total=len(opened.points), completed=complete)

        def watch(row: Mapping[str, Any]) -> None:
            where = ", ".join(f"{key} {row[key]}" for key in [*opened.keys, "seed"])
            came = f"failed: {row['error']}" if row["error"] else f"held out {100 * row['test_accuracy']:.2f} %"
            bar.console.print(f"{where}: {came}", soft_wrap=True)
            bar.advance(task)

        yield watch


def _rows(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """For JSON, which has no word for what is not a number."""
    finite = table.replace([float("inf"), float("-inf")], float("nan")).astype(object)
    return finite.where(finite.notna(), None).to_dict("records")


def _print_means(table: pd.DataFrame, opened: sweeps.Sweep) -> None:
    """Means over the seeds, with their standard deviations."""
    titles = (*opened.keys, "seeds", "test accuracy", "training accuracy", "test loss (V²)", "seconds")
    shown = Table(*(Column(title, no_wrap=True) for title in titles), box=SIMPLE_HEAD, pad_edge=False)
    groups = table.groupby(opened.keys, sort=False) if opened.keys else [((), table)]
    for values, rows in groups:
        done = rows[rows["error"].isna()]
        percents = [_mean(100 * done[name], ".2f", " %") for name in ("test_accuracy", "train_accuracy")]
        rest = [_mean(done["test_loss"], ".4g"), _mean(done["seconds"], ".1f")]
        shown.add_row(*map(str, values), str(len(done)), *percents, *rest)
    Console(highlight=False, width=_WIDTH).print(shown)
    if len({point.settings.training.seed for point in opened.points}) > 1:
        OUT.print("mean ± standard deviation over seeds")
    OUT.print(f"sweep directory: {opened.path} (results.csv, sweep.png, points)")


def _mean(values: pd.Series, form: str, unit: str = "") -> str:
    if values.empty:
        return ""
    spread = f" ± {values.std():{form}}" if len(values) > 1 else ""
    return f"{values.mean():{form}}{spread}{unit}"


def _exit_unless_complete(table: pd.DataFrame, opened: sweeps.Sweep) -> None:
    again = f"harness sweep --resume {opened.path}"
    if missing := len(opened.points) - len(table):
        ERR.print(f"stopped with {missing} points to do; go on with: {again}", soft_wrap=True)
    elif failed := table["error"].notna().sum():
        ERR.print(f"{failed} of {len(table)} points failed, see results.csv; try again with: {again}", soft_wrap=True)
    else:
        return
    sys.exit(1)
