"""`harness conductances` and `harness import-mlp`: parse, call, print."""

from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from harness.circuit.networks.perceptron import Perceptron
from harness.cli.options import (
    FILE,
    PATH,
    RUNS,
    experiment_options,
    run_option,
    simulators_for,
    subject_of,
    workers_option,
)
from harness.cli.terminal import OUT, answer, print_json, working
from harness.errors import DataError, RunError
from harness.exchange.conductances import SUFFIXES, export_table, import_table
from harness.exchange.perceptrons import Agreement, import_perceptron
from harness.experiment.experiment import Experiment
from harness.training.runs import fresh_path
from harness.wording import command, counted


@click.group()
def conductances() -> None:
    """Conductances as CSV or npz, with the names of word and bit lines: out of a run, and measured ones into one."""


@conductances.command("export")
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.option("--to", "file", required=True, type=FILE, help="FILE.csv or FILE.npz to write.")
@experiment_options()
def export_conductances(source: str, file: Path, overrides: list[str], as_json: bool) -> None:
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
    answer({"file": str(file), "cells": cells}, f"wrote {file} ({counted(cells, 'cell')})", as_json=as_json)


@conductances.command("import")
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.argument("file", type=FILE)
@click.option("--to", "--run", "folder", type=PATH, help="Run directory to make [default: runs/NAME-imported].")
@click.option("--clip", is_flag=True, help="Set values outside g_min…g_max to the bound instead of refusing them.")
@experiment_options()
def import_conductances(
    source: str, file: Path, folder: Path | None, clip: bool, overrides: list[str], as_json: bool
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
    content = {"run": str(made.path), "cells": cells, "clipped": clipped}
    told = f"{counted(cells, 'cell')}, {clipped:,} of them clipped to g_min…g_max\nrun directory: {made.path}\n"
    answer(content, f"{told}next: {command('evaluate', made.path)}", as_json=as_json)


@click.command("import-mlp")
@click.argument("weights", type=FILE)
@click.option(
    "--into", "experiment", default="cascade-digits", show_default=True, help="Experiment of a cascade that takes it."
)
@run_option
@workers_option
@experiment_options(chip=True, seed=True)
def import_mlp(
    weights: Path, experiment: str, folder: Path | None, overrides: list[str], workers: int | None, as_json: bool
) -> None:
    """Program a trained ReLU perceptron into a cascade of resistor-diode stages, and compare the two.

    WEIGHTS is an npz file with arrays weights_0 [inputs, outputs], biases_0, weights_1, … of a perceptron that was
    trained on the experiment's inputs in volts. The run that is made begins with them: train --resume fine-tunes it.
    """
    perceptron = Perceptron.from_npz(weights)
    subject = Experiment.load(experiment, overrides)
    path = folder or fresh_path(RUNS, f"{subject.settings.name}-seed{subject.settings.training.seed}")
    with working("comparing"):
        run, found = import_perceptron(subject, perceptron, path, simulators=simulators_for(subject, workers, None))
    if as_json:
        print_json({"run": str(run.path), **asdict(found)})
        return
    _print_agreement(found)
    OUT.print(f"run directory: {run.path}\nnext: {command('train', '--resume', run.path)}")


def _print_agreement(found: Agreement) -> None:
    table = Table(f"on {found.samples} held-out rows", "perceptron", "circuit", "apart")
    equal = f"{100 * found.predictions_equal:.2f} % equal"
    accuracies = (f"{100 * value:.2f} %" for value in (found.perceptron_accuracy, found.circuit_accuracy))
    table.add_row("predictions", *accuracies, equal)
    apart = f"{found.mean_error:.3g} V, at most {found.largest_error:.3g} V"
    table.add_row("outputs, root mean square", f"{found.signal:.3g} V", "", apart)
    OUT.print(table)
