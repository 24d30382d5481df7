"""Commands that train an experiment many times: parse, call, print."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pandas as pd

from harness.cli.options import PATH, RUNS, experiment_options, usable_cores
from harness.cli.terminal import ERR, OUT, WIDE, counting, note, print_json, scored, warn, wide_table
from harness.errors import ExperimentError
from harness.processes.interrupts import stop_on_signal
from harness.processes.memory import refuse_workers
from harness.studies import sweep as sweeps
from harness.studies.sweep.deployment import Deployment, is_run
from harness.studies.sweep.points import Draws, Range, grid
from harness.training.runs import fresh_path
from harness.units import show
from harness.wording import command, counted

_TITLES = {"test_accuracy": "test accuracy", "deployed_accuracy": "deployed", "tuned_accuracy": "tuned in place"}


@click.command()
@click.argument("source", metavar="EXPERIMENT|RUN", required=False)
@click.option(
    "--over",
    multiple=True,
    metavar="KEY=V1,V2,…",
    help="Values of a key, as --set takes them; lists as KEY=[10],[20,20]. May be repeated, for every combination.",
)
@click.option(
    "--random",
    "ranges",
    multiple=True,
    metavar="KEY=LOW..HIGH[:log]",
    help="Draw a key evenly between bounds, or in its logarithm; whole numbers include both. May be repeated.",
)
@click.option("--draws", type=click.IntRange(min=1), metavar="N", help="Joint draws of all --random keys.")
@click.option("--draw-seed", type=click.IntRange(min=0), metavar="S", help="Seed of the draws [default: 0].")
@click.option(
    "--seeds", type=click.IntRange(min=1), metavar="N", help="Seeds 0…N−1 [default: the experiment's own alone]."
)
@click.option(
    "--chips",
    type=click.IntRange(min=1),
    metavar="N",
    help="N different chips (variation.seed) for each point and seed; with --deploy, others than that of the training.",
)
@click.option(
    "--control",
    "controls",
    multiple=True,
    metavar="KEY=VALUE",
    help="Do every point once more with this key changed, and draw it beside what is studied. May be repeated.",
)
@click.option(
    "--deploy",
    is_flag=True,
    help="Train once for each seed without what is swept (or take RUN) and evaluate these conductances at every point.",
)
@click.option(
    "--tune",
    type=click.IntRange(min=1),
    metavar="E",
    help="After deployment, train E epochs in place; --over update.rates=… is for this training alone.",
)
@click.option(
    "--also-train", is_flag=True, help="With --deploy, also train every point from the beginning, to compare."
)
@click.option("--to", "folder", type=PATH, help="Directory to make [default: runs/NAME-sweep].")
@click.option("--resume", type=PATH, metavar="DIR", help="Go on with an interrupted sweep.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Points done at the same time; results do not depend on it [default: one per core that may be used].",
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Do points on the workers of this Dask cluster, such as tcp://host:8786."
)
@click.option(
    "--together",
    is_flag=True,
    help="Do points of one topology together in this process, as far as the nodal chip can; says what goes one by one.",
)
@experiment_options(chip=True)
def sweep(
    source: str | None,
    folder: Path | None,
    resume: Path | None,
    workers: int | None,
    scheduler: str | None,
    together: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Train EXPERIMENT at every point of a grid, a Monte-Carlo or both, several points at a time.

    Points are all combinations of --over values, --random draws, --seeds and --chips, and all of these once more for
    each --control: a change that takes away what you suspect to be the cause. With --deploy, conductances that
    were trained once are evaluated at every point: trained on one chip, deployed on others, and with --tune tuned
    there. One command that draws all three: --over imperfect.read_noise=0,1e-3,1e-2 --deploy --tune 1 --also-train.

    The directory gets a run for each point, results.csv (also results.parquet where pyarrow is installed) with a row
    for each, and sweep.png, test accuracy against each swept number. A point that fails is noted in the table and stops
    no other; then the exit code is 1. Ctrl-C ends cleanly with checkpoints; --resume goes on, also after a kill, skips
    what is complete and tries again what has failed.
    """
    if scheduler is not None and workers is not None:
        raise click.UsageError("give --workers (on this machine) or --scheduler (a cluster's own), not both")
    if together and scheduler is not None:
        raise click.UsageError("--together does points in this process, and --scheduler on a cluster; give one of them")
    if scheduler is not None:
        from harness.studies.sweep.remote import check_cluster  # noqa: PLC0415 - few have a cluster

        check_cluster(scheduler)
    refuse_workers(workers or 1)
    if resume is None:
        opened = _create(source, folder, **asked)
    elif source or folder or any(value not in (None, False, (), []) for value in asked.values()):
        raise click.UsageError(
            "--resume goes on as the sweep was recorded; give only --workers, --scheduler, --together, --json with it"
        )
    else:
        opened = sweeps.Sweep(resume)
    workers = workers or usable_cores()
    where = f"on {scheduler}" if scheduler else "together" if together else f"{workers} at a time"
    note(f"sweeping {opened.name} in {opened.path} ({counted(len(opened.points), 'point')}, {where})")
    jobs = [*opened.trainings(), *opened.deployments()]
    complete = sum(job.complete(opened.path) for job in jobs)
    with stop_on_signal() as stopped, counting("points", len(jobs), complete) as tell:

        def watch(ended: sweeps.Ended) -> None:
            tell(_line(ended, opened))

        how: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "together": together}
        outcome = sweeps.run(opened, **how, watch=watch, stop=stopped, warn=warn, say=note)
    if as_json:
        values = outcome.table.astype(object)
        points = values.where(values.notna(), None).to_dict("records")
        print_json({"directory": str(opened.path), "points": points})
    elif not outcome.table.empty:
        _print_means(outcome.table, opened)
    _exit_unless_complete(outcome, command("sweep", "--resume", opened.path, *(["--together"] if together else [])))


def _create(
    source: str | None,
    folder: Path | None,
    *,
    over: tuple[str, ...],
    ranges: tuple[str, ...],
    draws: int | None,
    draw_seed: int | None,
    seeds: int | None,
    chips: int | None,
    controls: tuple[str, ...],
    deploy: bool,
    tune: int | None,
    also_train: bool,
    overrides: list[str],
) -> sweeps.Sweep:
    if source is None:
        raise click.UsageError("name an EXPERIMENT (see 'harness list'), or give --resume DIR")
    if not (over or ranges or controls) and seeds is None and chips is None:
        raise click.UsageError("nothing is swept; give --over KEY=V1,V2,…, --random KEY=LOW..HIGH, --seeds or --chips")
    if bool(ranges) != (draws is not None) or (draw_seed is not None and not ranges):
        raise click.UsageError("--random KEY=LOW..HIGH and --draws N go together, and --draw-seed with them")
    if (tune or also_train) and not deploy:
        raise click.UsageError("--tune and --also-train are parts of a deployment; give --deploy too")
    if (taken := is_run(source)) and not deploy:
        raise click.UsageError(f"{source} is a run; give --deploy to evaluate its conductances at every point")
    deployment = None
    if deploy:
        deployment = Deployment.of(source, seeds=seeds, overrides=overrides, tune=tune or 0, train=also_train)
    drawn = Draws(read_ranges(ranges), draws, draw_seed or 0) if draws else None
    start = str(Path(source) / "experiment.toml") if taken else source
    points = grid(
        start,
        read_over(over),
        draws=drawn,
        seeds=seeds,
        chips=chips,
        exclude_training_chip=deploy,
        controls=controls,
        overrides=overrides,
    )
    path = folder or fresh_path(RUNS, f"{points[0].settings.name}-sweep")
    return sweeps.Sweep.create(path, points, draws=drawn, deployment=deployment)


def read_ranges(texts: Sequence[str]) -> dict[str, Range]:
    """Read keys and their bounds from ``KEY=LOW..HIGH`` or ``KEY=LOW..HIGH:log``.

    Raises:
        ExperimentError: a text has no key or lacks a bound, or a key is there twice.
    """
    ranges: dict[str, Range] = {}
    for text in texts:
        name, _, bounds = text.partition("=")
        key = ".".join(part.strip() for part in name.split("."))
        low, _, high = (part.strip() for part in bounds.removesuffix(":log").partition(".."))
        if not (key and low and high):
            raise ExperimentError(
                f"--random {text}: write KEY=LOW..HIGH or KEY=LOW..HIGH:log, such as rule.beta=1e-7..1e-5:log"
            )
        if key in ranges:
            raise ExperimentError(f"--random {text}: {key} is drawn already")
        ranges[key] = Range(low, high, log=bounds.endswith(":log"))
    return ranges


def read_over(texts: Sequence[str]) -> dict[str, list[str]]:
    """Read keys and their values from ``KEY=V1,V2,…`` or ``KEY=[V1,V2,…]``.

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
    """Split a text at commas outside of quotes, brackets and braces."""
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


def _line(ended: sweeps.Ended, opened: sweeps.Sweep) -> str:
    point, kind = ended.point, ended.folder.partition("/")[0]
    values = {**point.values, "seed": point.settings.training.seed}
    values |= {} if point.chip is None else {"chip": point.chip}
    values |= {"control": point.control} if point.control else {}
    where = ", ".join(f"{key} {_shown(value, opened.units.get(key, ''))}" for key, value in values.items())
    if ended.error is not None:
        return f"{where}: failed: {ended.error}"
    score = opened.score
    test, deployed, tuned = (ended.accuracy.get(f"{use}_accuracy") for use in ("test", "deployed", "tuned"))
    if deployed is None:
        return f"{where}: held out {scored(test or 0.0, score)}" + (", to be deployed" if kind == "origins" else "")
    return f"{where}: deployed {scored(deployed, score)}" + ("" if tuned is None else f", tuned {scored(tuned, score)}")


def _shown(value: Any, unit: str) -> str:
    if unit and isinstance(value, int | float):
        return show(value, unit, 6)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _print_means(table: pd.DataFrame, opened: sweeps.Sweep) -> None:
    """Print means over seeds, chips and draws, with standard deviations and the worst."""
    keys = [key for key in opened.places if key not in opened.drawn]
    uses = [use for use in _TITLES if use in table]
    trained = [use for use in ("train_accuracy", "test_loss", "seconds") if use in table]
    titles = [title for use in uses for title in (_TITLES[use].replace("accuracy", opened.score), "worst")]
    titles += [f"training {opened.score}", "test loss (V²)", "seconds"] if trained else []
    shown = wide_table(*keys, "points", *titles)
    for values, rows in table.groupby(keys, sort=False) if keys else [((), table)]:
        done = rows[rows["error"].isna()]
        cells = [cell for use in uses for cell in _reached(done[use].dropna(), opened.score)]
        if trained:
            cells += [_mean_score(done["train_accuracy"], opened.score)]
            cells += [_mean(done["test_loss"], ".4g"), _mean(done["seconds"], ".1f")]
        places = (_shown(value, opened.units.get(key, "")) for key, value in zip(keys, values, strict=True))
        shown.add_row(*places, str(len(done)), *cells)
    WIDE.print(shown)
    told = [f"{name}s" for name in opened.copies if len(set(table[name])) > 1] + (["draws"] if opened.drawn else [])
    if told:
        OUT.print(f"mean ± standard deviation, and the worst, over {' and '.join(told)}")
    if "origin_accuracy" in table and table["origin_accuracy"].notna().any():
        origins = table.groupby("seed")["origin_accuracy"].first()
        OUT.print(f"before deployment: {_mean_score(origins, opened.score)}")
    OUT.print(f"sweep directory: {opened.path} (results.csv, sweep.png)")


def _reached(values: pd.Series, score: str) -> tuple[str, str]:
    return _mean_score(values, score), scored(values.min(), score) if len(values) > 1 else ""


def _mean_score(values: pd.Series, score: str) -> str:
    return _mean(100 * values, ".2f", " %") if score == "accuracy" else _mean(values, ".5f")


def _mean(values: pd.Series, form: str, unit: str = "") -> str:
    if values.empty:
        return ""
    spread = f" ± {values.std():{form}}" if len(values) > 1 else ""
    return f"{values.mean():{form}}{spread}{unit}"


def _exit_unless_complete(outcome: sweeps.Outcome, again: str) -> None:
    if outcome.missing:
        ERR.print(f"stopped with {counted(outcome.missing, 'point')} to do; go on with: {again}")
    elif outcome.errors:
        failed = outcome.table["error"].notna().sum()
        ERR.print(
            f"{failed} of {counted(len(outcome.table), 'point')} failed, see results.csv; try again with: {again}"
        )
    else:
        return
    sys.exit(1)
