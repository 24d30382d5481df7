"""`harness export`: parse, call, print."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from harness.cli.options import OneOf, Rows, data_option, json_option, set_option, subject_of
from harness.cli.terminal import ERR, OUT, print_json, working
from harness.exchange.export import ROWS, Choices, package_of
from harness.netlist.cells import cell_style, packaged_tables
from harness.netlist.dialects import DIALECTS
from harness.netlist.package.writing import check_free, write_package
from harness.units import show
from harness.wording import counted


class _Tile(click.ParamType[tuple[int, int]]):
    name = "tile"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        words, by, bits = str(value).partition("x")
        if not (by and words.isdecimal() and bits.isdecimal() and int(words) and int(bits)):
            self.fail(f"{value!r} is no tile; write its most word lines and bit lines, such as 128x128", param, ctx)
        return int(words), int(bits)


@click.command()
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.option("--dialect", type=OneOf(list(DIALECTS)), default="ngspice", show_default=True, help="Language.")
@click.option(
    "--to", "folder", required=True, type=click.Path(path_type=Path), help="Folder to write; it must not exist yet."
)
@click.option(
    "--samples",
    "rows",
    type=Rows(),
    help=f"Held-out rows for the testbenches, such as 0,1,2 or 0-9 [default: the first {ROWS}].",
)
@click.option(
    "--tile", type=_Tile(), default="128x128", show_default=True, help="Most word lines and bit lines of a subcircuit."
)
@click.option(
    "--cells",
    "style",
    default="resistor",
    show_default=True,
    metavar="STYLE",
    help=f"What memristors are: resistor, behavioural, verilog-a, {', '.join(packaged_tables())} or a table FILE.toml.",
)
@click.option("--device", metavar="NAME", help="Memristor model of behavioural cells, such as yakopcic.")
@click.option(
    "--clip-cells", "clip", is_flag=True, help="Set what a device cannot conduct to its bound instead of refusing it."
)
@click.option("--as-made", is_flag=True, help="The chip with its [variation], not the circuit as it was drawn.")
@set_option
@data_option
@json_option
def export(
    source: str,
    dialect: str,
    folder: Path,
    rows: tuple[int, ...] | None,
    tile: tuple[int, int],
    style: str,
    device: str | None,
    clip: bool,
    as_made: bool,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the network with the trained conductances (an experiment's initial ones) as a package for designers.

    It holds a hierarchical and a flat netlist, models, parameters, testbenches for both phases, the voltages to expect
    and a README that says how to simulate it. CDL, for layout versus schematic, has netlists only.
    """
    if rows is not None and not DIALECTS[dialect].has_testbench:
        raise click.UsageError(f"--samples: {DIALECTS[dialect].title} has no testbenches; leave it out")
    check_free(folder)
    subject, run = subject_of(source, overrides)
    cell = cell_style(style, DIALECTS[dialect], device, clip=clip)
    choices = Choices(DIALECTS[dialect], rows, tile, cell, as_made)
    with working("exporting"):
        package = package_of(subject, run, choices)
    size = write_package(folder, package)
    if as_made and not package.origin.as_made:
        ERR.print("no [variation]: as made is the same as drawn")
    if package.deviation is not None:
        ERR.print(f"{'warning' if package.deviation.cells_beyond else 'note'}: {package.deviation}", soft_wrap=True)
    cells = sum(array.conductances.size for array in package.design.circuit.arrays)
    if as_json:
        shown = {"folder": str(folder), "dialect": dialect, "cells": cells, "bytes": size}
        deviation = {} if package.deviation is None else {"deviation": asdict(package.deviation)}
        print_json({**shown, "samples": list(package.origin.rows), **deviation})
    else:
        about = f"{dialect}, {counted(cells, 'cell')}, {show(size, 'B')}"
        OUT.print(f"wrote {folder} ({about}); its README.md says what is what")
