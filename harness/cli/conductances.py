"""`harness conductances`: parse, call, print."""

from pathlib import Path

import click

from harness.cli.options import RUNS, data_option, json_option, set_option, subject_of
from harness.cli.terminal import OUT, print_json
from harness.errors import DataError, RunError
from harness.exchange.conductances import SUFFIXES, export_table, import_table
from harness.training.runs import fresh_path
from harness.wording import command, counted


@click.group()
def conductances() -> None:
    """Conductances as CSV or npz, with the names of word and bit lines: out of a run, and measured ones into one."""


@conductances.command("export")
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.option(
    "--to",
    "file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="FILE.csv or FILE.npz to write.",
)
@set_option
@data_option
@json_option
def export_conductances(source: str, file: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Write the conductances of a RUN's last checkpoint (an EXPERIMENT's initial ones).

    CSV has a row for each cell: array, row, column, conductance (S). npz has arrays NAME.siemens, NAME.rows and
    NAME.columns. Rows and columns are word and bit lines, or the ends of edges. Values are exact.
    """
    if file.suffix not in SUFFIXES:
        raise click.UsageError(f"--to {file}: a file of conductances ends with {' or '.join(SUFFIXES)}")
    if file.exists():
        raise DataError(f"{file} exists already; remove it or give another --to")
    if not file.parent.is_dir():
        raise click.UsageError(f"--to {file}: there is no folder {file.parent}")
    subject, run = subject_of(source, overrides)
    cells = export_table(subject.trained(run) if run else subject.circuit, file)
    if as_json:
        print_json({"file": str(file), "cells": cells})
    else:
        OUT.print(f"wrote {file} ({counted(cells, 'cell')})")


@conductances.command("import")
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--to",
    "--run",
    "folder",
    type=click.Path(path_type=Path),
    help="Run directory to make [default: runs/NAME-imported].",
)
@click.option("--clip", is_flag=True, help="Set values outside g_min…g_max to the bound instead of refusing them.")
@set_option
@data_option
@json_option
def import_conductances(
    source: str, file: Path, folder: Path | None, clip: bool, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Make a run with the conductances in FILE, such as those measured in a real array, in the network of a RUN.

    FILE is CSV or npz as `harness conductances export` writes it, in any order; a CSV file may be in another unit, such
    as conductance (uS). Every cell of every array must be there once. Evaluate, check or resume the run that is made.
    """
    if folder is not None and folder.exists():
        raise RunError(f"{folder} exists already; remove it or give another --to")
    subject, run = subject_of(source, overrides)
    path = folder or fresh_path(RUNS, f"{subject.settings.name}-imported")
    made, clipped = import_table(subject, run, file, path, clip=clip)
    cells = sum(g.size for g in subject.circuit.conductances)
    if as_json:
        print_json({"run": str(made.path), "cells": cells, "clipped": clipped})
        return
    OUT.print(f"{counted(cells, 'cell')}, {clipped:,} of them clipped to g_min…g_max")
    OUT.print(f"run directory: {made.path}\nnext: {command('evaluate', made.path)}")
