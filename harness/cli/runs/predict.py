"""`harness predict`: parse, call, print."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pandas as pd

from harness.cli.options import (
    FILE,
    PATH,
    experiment_options,
    picture_form,
    refuse_learning,
    scheduler_option,
    simulators_for,
    subject_of,
    workers_option,
)
from harness.cli.terminal import OUT, WIDE, exit_unless_drawn, print_json, print_notes, scored, wide_table, working
from harness.cli.terminal import drawn as written
from harness.experiment.experiment import Experiment
from harness.files.reading import JsonObject
from harness.files.writing import write_atomic
from harness.training.predictions import Predictions
from harness.training.runs import Run
from harness.wording import counted

_SHOWN = 20
"""Rows that are printed; files and ``--json`` have all."""
_MOST_CLASSES = 30
"""Classes of a confusion matrix that is printed."""


@click.command()
@click.argument("run", type=PATH)
@click.argument("file", metavar="ROWS.csv", type=PATH)
@click.option("--to", "predicted", type=FILE, help="CSV file to write: the prediction for every row.")
@click.option(
    "--picture",
    type=FILE,
    help="Picture to write, PNG or SVG: the confusion matrix, or predicted values against true ones.",
)
@workers_option
@scheduler_option
@experiment_options(chip=True, board=True)
def predict(
    run: Path,
    file: Path,
    overrides: list[str],
    predicted: Path | None,
    picture: Path | None,
    workers: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Show the trained network of a RUN the rows of a CSV file, and print what it makes of them.

    For classes: the predicted class of each row and its margin, the volts by which its output is above the next one.
    For values: each value in its own unit. Rows become volts as the training rows did, by the centres and widths that
    the run recorded; its own data may have changed or be gone.

    Columns are found by their names, and further columns are not read. Where the file has the column of the label (or
    those of the values), predictions are compared with it: score, loss and confusion matrix. --set data.missing=drop
    and data.separator, decimal, encoding, label and labels say how the file is written where it differs from the run's
    own. With --chip or --set, the same conductances sit on another chip, such as variation.seed=3.
    """
    form = picture_form(picture, option="--picture") if picture else "png"
    opened = Run(run)
    subject, _ = subject_of(str(run), overrides, new_data=file)
    refuse_learning(subject.changes_on(opened), run)
    simulators = simulators_for(subject, workers, scheduler)
    print_notes(subject)
    if picture and not subject.data.test.answered:
        raise click.UsageError(f"--picture compares predictions with the truth, and {file} does not have it")
    with working(f"predicting {counted(len(subject.data.test), 'row')}"):
        found = subject.predict(opened, simulators=simulators)
    figures = found.figures(subject.cost)
    if predicted is not None:
        write_atomic(predicted, found.table.to_csv(index=False).encode())

    def draw() -> bytes:
        from harness.pictures.predictions import draw_predictions  # noqa: PLC0415 - matplotlib takes a second to import

        return draw_predictions(found, f"{subject.settings.name} on {file.name}", form)

    done = written(picture, draw)
    if as_json:
        print_json({**subject.about(opened), "new_data": str(file), **figures, "predictions": _records(found.table)})
    else:
        _print(subject, found, figures, file)
        if predicted is not None:
            OUT.print(f"wrote {predicted}")
    exit_unless_drawn(picture, done=done, quiet=as_json)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    columns = {str(name): table[name].tolist() for name in table}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _print(subject: Experiment, found: Predictions, figures: JsonObject, file: Path) -> None:
    rows = found.table.head(_SHOWN)
    table = wide_table(*map(str, rows.columns))
    for row in rows.itertuples(index=False):
        table.add_row(*(f"{cell:.5g}" if isinstance(cell, float) else str(cell) for cell in row))
    WIDE.print(table)
    if (more := len(found.table) - len(rows)) > 0:
        OUT.print(f"and {counted(more, 'more row')}; --to FILE.csv writes all of them")
    if "loss" in figures:
        score = scored(figures["accuracy"], subject.score)
        OUT.print(
            f"{counted(figures['samples'], 'row')} of {file}: {subject.score} {score}, loss {figures['loss']:.5g} V²"
        )
        _print_errors(figures.get("value_errors", {}))
    if (confusion := found.confusion) is not None:
        _print_confusion(confusion)


def _print_errors(errors: Mapping[str, float]) -> None:
    for name, error in errors.items():
        OUT.print(f"root mean square error of {name}, in its own unit: {error:.4g}")


def _print_confusion(confusion: pd.DataFrame) -> None:
    if len(confusion) > _MOST_CLASSES:
        OUT.print(f"--picture and --json have the confusion matrix of {len(confusion)} classes")
        return
    OUT.print("rows of each class (down), by the class that was predicted (across):")
    table = wide_table("", *map(str, confusion.columns))
    for name, counts in zip(confusion.index, confusion.to_numpy(), strict=True):
        table.add_row(str(name), *map(str, counts))
    WIDE.print(table)
