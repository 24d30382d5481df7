"""``python -m tests.campaigns``: run campaigns, with progress, and print one table at the end."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.campaigns import bench, children, kills, mutated, randomly, startup
from tests.campaigns.subjects import KINDS, BrokenCampaignError, Subjects
from tests.campaigns.tally import Tally

ERR, OUT = Console(stderr=True, highlight=False, markup=False), Console(highlight=False, markup=False, width=160)

Steps = Callable[[Subjects, Path, Tally], Iterator[int]]
"""Runs the cases of a kind; yields their number after each."""


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    cases: range
    kills: int
    step: int


def campaigns(sizes: Sizes) -> dict[str, dict[str, Steps]]:
    """The kinds of each campaign, by its name."""
    return {
        "kills": {f"kills: {name}": partial(kills.run, name, sizes.step) for name in kills.COMMANDS},
        "randomly": {f"randomly: {name}": partial(randomly.run, name, sizes.kills) for name in randomly.KINDS},
        "mutated": {kind: partial(mutated.run, kind, sizes.cases) for kind in KINDS},
        "bench": {f"bench: {kind}": partial(bench.run, kind, sizes.kills) for kind in bench.KINDS},
        "startup": {f"startup: {name}": partial(startup.run, name, sizes.step) for name in startup.PLACES},
    }


@click.command()
@click.argument("names", nargs=-1, metavar="[CAMPAIGN|KIND]…")
@click.option("--cases", default=10_000, show_default=True, help="Damaged files of each kind.")
@click.option("--first", default=0, show_default=True, help="Number of the first damaged file, to go on from there.")
@click.option("--kills", "kill_count", default=250, show_default=True, help="Random kills of each kind.")
@click.option("--step", default=1, show_default=True, help="Kill at every n-th file operation.")
@click.option("--seed", default=0, show_default=True, help="Seed of everything that is drawn.")
@click.option(
    "--failures",
    type=click.Path(path_type=Path),
    default=Path("campaign-failures"),
    show_default=True,
    help="Folder for failing cases, each with the command that repeats it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option("--list", "listing", is_flag=True, help="Print the campaigns and their kinds.")
def main(
    names: tuple[str, ...],
    cases: int,
    first: int,
    kill_count: int,
    step: int,
    seed: int,
    failures: Path,
    as_json: bool,
    listing: bool,
) -> None:
    """Run campaigns, all without a name; exits with 1 when anything was found.

    Ctrl-C ends with what is known so far.
    """
    known = campaigns(Sizes(range(first, first + cases), kill_count, step))
    if listing:
        OUT.print("\n".join(f"{name}: {', '.join(kinds)}" for name, kinds in known.items()), soft_wrap=True)
        return
    began = time.monotonic()
    tally = Tally(seed, failures)
    scratch = Path(tempfile.mkdtemp(prefix="campaigns-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        children.import_everything()
        _run(_chosen(known, names), scratch, tally)
    except KeyboardInterrupt:
        ERR.print("stopped; what is known so far:")
        tally.stopped = True
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    seconds = time.monotonic() - began
    if as_json:
        click.echo(json.dumps({**tally.as_object(), "seconds": round(seconds, 1)}))
    else:
        _print(tally, seconds, failures)
    sys.exit(not tally.passed)


def _chosen(known: dict[str, dict[str, Steps]], names: Sequence[str]) -> dict[str, Steps]:
    every = {kind: steps for kinds in known.values() for kind, steps in kinds.items()}
    chosen = dict[str, Steps]()
    for name in names or known:
        found = known.get(name) or {kind: every[kind] for kind in (name,) if kind in every}
        if not found:
            raise click.UsageError(f"no campaign {name!r}; --list prints them")
        chosen |= found
    return chosen


def _run(chosen: dict[str, Steps], scratch: Path, tally: Tally) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    subjects = Subjects(scratch)
    with Progress(*columns, TextColumn("{task.fields[found]}"), console=ERR, auto_refresh=False) as bar:
        # a thread that refreshed it would not survive a fork
        for kind, steps in chosen.items():
            task, told = bar.add_task(kind, total=None, found=""), 0.0
            try:
                for done, total in enumerate(steps(subjects, scratch, tally)):
                    if time.monotonic() - told > 0.5 or done + 1 == total:
                        told, found = time.monotonic(), tally.rows[kind].faults.total()
                        bar.update(task, completed=done + 1, total=total, found=f"{found} faults", refresh=True)
            except BrokenCampaignError as broken:
                tally.broken[kind] = str(broken)
                ERR.print(f"{kind}: {broken}")
            if not ERR.is_terminal and kind in tally.rows:
                row = tally.rows[kind]
                ERR.print(
                    f"{kind}: {row.cases} cases, {row.faults.total()} faults, {row.seconds:.0f} s", soft_wrap=True
                )


def _print(tally: Tally, seconds: float, failures: Path) -> None:
    table = Table("kind", "cases", "ended well", "refused", "slow", "faults", "s")
    for kind, row in tally.rows.items():
        well = row.cases - row.refused - row.slow
        table.add_row(
            kind, *map(str, (row.cases, well, row.refused, row.slow, row.faults.total())), f"{row.seconds:.0f}"
        )
    OUT.print(table)
    for kind, row in tally.rows.items():
        for fault, count in row.faults.most_common():
            OUT.print(f"{kind}: {count} × {fault.what}: {fault.detail}")
    for kind, why in tally.broken.items():
        OUT.print(f"{kind}: could not be run: {why}")
    cases = sum(row.cases for row in tally.rows.values())
    OUT.print(f"{cases} cases with seed {tally.seed} in {seconds:.0f} s: {tally.faults} faults")
    if tally.faults:
        OUT.print(f"failing cases: {failures}")


if __name__ == "__main__":
    main()
