"""`harness bench play`: parse, call, print."""

import sys
from pathlib import Path

import click
import numpy as np

from harness.cli.bench.probe import resource_option
from harness.cli.options import PATH, about, experiment_options, stale_option, subject_of
from harness.cli.terminal import OUT, print_json, warn, working
from harness.studies.bench import playing
from harness.units import show
from harness.wording import counted, listed


@click.command()
@click.argument("board", metavar="PROFILE")
@click.argument("source", metavar="RUN")
@click.argument("folder", metavar="PROGRAM", type=PATH)
@click.option(
    "--spare",
    type=click.IntRange(0, 10_000),
    default=20,
    show_default=True,
    help="Further pulses, at most, for a cell that is not in its window after the table.",
)
@resource_option
@stale_option
@experiment_options()
def play(
    board: str, source: str, folder: Path, spare: int, resource: str | None, overrides: list[str], as_json: bool
) -> None:
    """Play the write program in the folder PROGRAM on a PROFILE's board, which holds the network of RUN.

    `harness program` makes the folder. Pulses are applied row by row; where a row has a window, the cell is read before
    each, and the rest of the row is left out once it reads in the window. Cells that differ from the plan's get --spare
    pulses of the same kind at the end. Every pulse is checked against the profile's limits before the first is sent,
    and is written ahead in a journal in the folder: an interrupted program goes on where it was. Exit code 1 if cells
    end outside their windows.
    """
    subject, run = subject_of(source, overrides)
    if run is None:
        raise click.UsageError(f"{source} is no run; a program is for the network of one")
    trained = np.concatenate([np.ravel(g) for g in subject.trained(run).conductances])
    with working("playing") as tell:
        found = playing.play(board, subject, folder, resource, spare, lambda text: tell(f"playing: {text}"))
    off = np.abs(found.found - trained)
    rms, largest = float(np.sqrt(np.mean(off**2))), float(off.max())
    if as_json:
        figures = {"pulses": found.pulses, "left_out": found.left_out, "windows": found.windows}
        ends = {"missed": list(found.missed), "rms_from_trained_S": rms, "largest_from_trained_S": largest}
        print_json({**about(source, subject, run), "profile": board, "identity": found.identity, **figures, **ends})
    else:
        inside = found.windows - len(found.missed)
        OUT.print(
            f"{counted(found.pulses, 'pulse')} applied, {found.left_out:,} of the table left out; {inside:,} of "
            f"{counted(found.windows, 'cell')} with a window end in it"
        )
        OUT.print(f"all cells against what was trained: rms {show(rms, 'S')}, at most {show(largest, 'S')}")
    if found.missed:
        warn(f"{counted(len(found.missed), 'cell')} not in their windows: {listed(found.missed)}")
        sys.exit(1)
