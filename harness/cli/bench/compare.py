"""`harness bench compare`: parse, call, print."""

from dataclasses import asdict
from pathlib import Path

import click

from harness.cli.bench.probe import resource_option
from harness.cli.options import FILE, about, experiment_options, picture_form, stale_option, subject_of
from harness.cli.terminal import WIDE, drawn, exit_unless_drawn, print_json, warn, wide_table, working
from harness.studies.bench import comparing
from harness.units import show


@click.command()
@click.argument("board", metavar="PROFILE")
@click.argument("source", metavar="EXPERIMENT|RUN")
@click.option(
    "--samples", type=click.IntRange(min=1), default=8, show_default=True, help="Held-out rows to compare with."
)
@click.option("--to", "file", type=FILE, help="Picture to write: FILE.png or FILE.svg.")
@resource_option
@stale_option
@experiment_options(seed=True)
def compare(
    board: str,
    source: str,
    samples: int,
    file: Path | None,
    resource: str | None,
    overrides: list[str],
    as_json: bool,
) -> None:
    """Compare a PROFILE's board with its digital twin: outputs, nodes, and the gradient of each array.

    The twin is the network of EXPERIMENT with the conductances that are read back, solved by the nodal chip. Gradients
    are those of the experiment's rule. Everything is measured twice on the board, which shows what noise alone makes
    different. Nothing is written to cells.
    """
    form = picture_form(file) if file is not None else "png"
    subject, run = subject_of(source, overrides)
    with working("comparing") as tell:
        found = comparing.compare_board(board, subject, resource, samples, tell=lambda text: tell(f"comparing: {text}"))

    def draw() -> bytes:
        from harness.pictures.boards import draw_comparison  # noqa: PLC0415 - matplotlib takes a second to import

        title = f"{subject.settings.name}: board {board} against its digital twin"
        cosines = {row.array: (row.cosine, row.repeated) for row in found.gradients}
        return draw_comparison(found.pairs, cosines, title, format=form)

    done = drawn(file, draw)
    if as_json:
        rows = {"voltages": list(map(asdict, found.voltages)), "gradients": list(map(asdict, found.gradients))}
        told = str(file) if done and file is not None else None
        print_json({**about(source, subject, run), "profile": board, **rows, "note": found.note, "picture": told})
    else:
        _print(found)
    exit_unless_drawn(file, done=done, quiet=as_json)


def _print(found: comparing.Comparison) -> None:
    table = wide_table("voltages", "signal (rms)", "board – twin (rms)", "worst", "board – board (rms)")
    for row in found.voltages:
        table.add_row(row.what, *(show(volts, "V") for volts in (row.rms, row.difference, row.worst, row.repeated)))
    WIDE.print(table)
    if found.note:
        warn(found.note)
        return
    table = wide_table("gradient of", "cosine, board and twin", "size, board / twin", "cosine, board and board")
    for gradient in found.gradients:
        table.add_row(gradient.array, *(f"{x:.5f}" for x in (gradient.cosine, gradient.ratio, gradient.repeated)))
    WIDE.print(table)
