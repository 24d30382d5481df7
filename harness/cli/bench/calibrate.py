"""`harness bench calibrate` and `harness bench characterize`: parse, call, print."""

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from harness.cli.bench.probe import resource_option
from harness.cli.options import FILE, experiment_options, stale_option, subject_of
from harness.cli.terminal import OUT, WIDE, print_json, warn, wide_table, working
from harness.files.writing import write_atomic
from harness.measurement import Array
from harness.studies.bench import calibrating, curves
from harness.units import show
from harness.wording import command


@click.command()
@click.argument("board", metavar="PROFILE")
@click.argument("source", metavar="EXPERIMENT|RUN")
@click.option(
    "--to",
    "file",
    type=FILE,
    help="TOML file to write [default: the profile's calibration.file, or NAME-calibration.toml].",
)
@resource_option
@experiment_options(seed=True)
def calibrate(
    board: str, source: str, file: Path | None, resource: str | None, overrides: list[str], as_json: bool
) -> None:
    """Fit gain and offset of each channel of a PROFILE's board, and measure settling and the mismatch of twin phases.

    The board must hold the network of EXPERIMENT. Outputs are fitted to clamps at known voltages where the board can
    clamp; inputs to the nodes of their pins where nodes can be read; else both to the digital twin, which is the
    network with the conductances that are read back, solved by the nodal chip. Nothing is written to cells. Calibrate
    again after a day, or when the board, its wiring or the temperature has changed.
    """
    _check_folder(file)
    subject, _ = subject_of(source, overrides)
    with working("calibrating") as tell:
        found, told = calibrating.calibrate_board(
            board, subject, resource, tell=lambda text: tell(f"calibrating: {text}")
        )
    named = None if told.calibration is None else told.calibration.file
    target = file or named or Path(f"{told.name}-calibration.toml")
    write_atomic(target, found.to_toml().encode())
    if as_json:
        print_json({"file": str(target), **found.model_dump(mode="json")})
        return
    table = wide_table("channels", "against", "gain", "offset", "residual, worst")
    for kind in ("input", "output", "node"):
        channels: Any = getattr(found, kind)
        if channels is None:
            table.add_row(f"{kind}s", "nothing: taken as right", "1", "0 V", "")
            continue
        offsets = " … ".join(show(volts, "V") for volts in (min(channels.offset), max(channels.offset)))
        gains = f"{min(channels.gain):.5g} … {max(channels.gain):.5g}"
        table.add_row(f"{kind}s", channels.against, gains, offsets, show(max(channels.residual), "V"))
    WIDE.print(table)
    if found.settling is not None:
        settle, within = show(found.settling.settle, "s"), show(found.settling.within, "V")
        OUT.print(f"settling: time constant {show(found.settling.time_constant, 's')}; {settle} to within {within}")
    if found.twins is not None:
        OUT.print(
            f"a nudge of nothing moves outputs by up to {show(max(found.twins.mismatch), 'V')} (mismatch of twins)"
        )
    if found.settling is not None and found.settling.settle > told.timing.settle:
        warn(f"profile {told.name} waits {show(told.timing.settle, 's')} (timing.settle), which is too short")
    OUT.print(
        f"wrote {target}" + ("" if target == named else f"; a profile takes it by\n\n[calibration]\nfile = '{target}'")
    )


@click.command()
@click.argument("board", metavar="PROFILE")
@click.argument("source", metavar="EXPERIMENT|RUN")
@click.option(
    "--cells", type=click.IntRange(min=1), default=4, show_default=True, help="Cells to pulse, drawn from all arrays."
)
@click.option(
    "--pulses",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Largest number of pulses up, and down.",
)
@click.option("--to", "file", type=FILE, default=Path("curves.csv"), show_default=True, help="CSV file to write.")
@resource_option
@stale_option
@experiment_options(seed=True)
def characterize(
    board: str,
    source: str,
    cells: int,
    pulses: int,
    file: Path,
    resource: str | None,
    overrides: list[str],
    as_json: bool,
) -> None:
    """Measure pulse curves of some cells of a PROFILE's board, which holds the network of EXPERIMENT.

    Each cell is pulsed to the lower end of its range, up, and down again, is read after each pulse, and is put back
    to where it was. That takes at most four times --pulses for a cell; where the profile's limit of pulses per cell
    leaves fewer, nothing is begun. `harness devices import` makes a device of the file.
    """
    _check_folder(file)
    subject, _ = subject_of(source, overrides)
    with working("characterizing") as tell:
        names, found = curves.characterize_board(
            board, subject, resource, cells, pulses, tell=lambda text: tell(f"characterizing: {text}")
        )
    write_atomic(file, curves.curves_csv(found, names))
    rows = [_row(name, *found.of(k), float(found.off[k])) for k, name in enumerate(names)]
    if as_json:
        print_json({"file": str(file), "cells": rows})
        return
    table = Table("cell", "from", "to", "pulses up, down", "put back to within")
    for row in rows:
        counts = f"{row['pulses_up']}, {row['pulses_down']}"
        table.add_row(row["cell"], show(row["low"], "S"), show(row["high"], "S"), counts, show(abs(row["off"]), "S"))
    OUT.print(table)
    OUT.print(f"wrote {file}\nnext: {command('devices', 'import', file)}")


def _row(cell: str, up: Array, down: Array, off: float) -> dict[str, Any]:
    ends = {"low": float(min(up.min(), down.min())), "high": float(max(up.max(), down.max()))}
    return {"cell": cell, **ends, "pulses_up": len(up) - 1, "pulses_down": len(down) - 1, "off": off}


def _check_folder(file: Path | None) -> None:
    """Refuse a place that cannot be written to before anything is measured."""
    if file is not None and not file.parent.is_dir():
        raise click.UsageError(f"--to {file}: there is no folder {file.parent}")
