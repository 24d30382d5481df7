"""`harness export` and `harness verify`: parse, call, print."""

import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from harness.cli.options import PATH, OneOf, Rows, experiment_options, json_option, subject_of
from harness.cli.terminal import OUT, WIDE, answer, note, print_json, table, warn, working
from harness.exchange.export import ROWS, Choices, package_of
from harness.exchange.verify import LIMIT, Verdict, Witness, record
from harness.exchange.verify import verify as verify_package
from harness.netlist.cells import cell_style, packaged_tables
from harness.netlist.dialects import DIALECTS, RESISTORS
from harness.netlist.package.writing import check_free, write_package
from harness.units import show
from harness.wording import counted, listed


class Degrees(click.ParamType[tuple[float, ...]]):
    """Temperatures in °C, such as ``0,27,85``."""

    name = "celsius"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Return the temperatures, each once, or fail with a usage error."""
        if isinstance(value, tuple):
            return value
        texts = [text.strip() for text in str(value).split(",")]
        if not all(re.fullmatch(r"-?[0-9]{1,3}(\.[0-9]{1,3})?", text) for text in texts):
            self.fail(f"{value!r} is no list of temperatures; write them in °C, such as 0,27,85", param, ctx)
        found = tuple(map(float, texts))
        if len(set(found)) < len(found):
            self.fail(f"{value!r} names a temperature twice", param, ctx)
        return found


class TileSize(click.ParamType[tuple[int, int]]):
    """The size of a tile, such as ``128x128``."""

    name = "tile"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return the most word lines and bit lines, or fail with a usage error."""
        if isinstance(value, tuple):
            return value
        words, by, bits = str(value).partition("x")
        if not (by and words.isdecimal() and bits.isdecimal() and int(words) and int(bits)):
            self.fail(
                f"{value!r} is no tile; write how many word lines and bit lines it has at most, such as 128x128",
                param,
                ctx,
            )
        return int(words), int(bits)


@click.command()
@click.argument("source", metavar="RUN|EXPERIMENT")
@click.option("--dialect", type=OneOf(list(DIALECTS)), default="ngspice", show_default=True, help="Language.")
@click.option("--to", "folder", required=True, type=PATH, help="Folder to write; it must not exist yet.")
@click.option(
    "--samples",
    "rows",
    type=Rows(),
    help=f"Held-out rows for the testbenches, such as 0,1,2 or 0-9 [default: the first {ROWS}].",
)
@click.option(
    "--tile",
    type=TileSize(),
    default="128x128",
    show_default=True,
    help="Largest number of word lines and of bit lines in a subcircuit.",
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
@click.option(
    "--statistics",
    is_flag=True,
    help="The typical chip, with a network and testbenches in which chips differ as [variation] says.",
)
@click.option(
    "--temperatures",
    type=Degrees(),
    help="°C of those testbenches, such as 0,27,85 [default: variation.temperature].",
)
@click.option("--as-made", is_flag=True, help="The chip with its [variation], not the circuit as it was drawn.")
@experiment_options()
def export(
    source: str,
    dialect: str,
    folder: Path,
    rows: tuple[int, ...] | None,
    tile: tuple[int, int],
    style: str,
    device: str | None,
    clip: bool,
    statistics: bool,
    temperatures: tuple[float, ...] | None,
    as_made: bool,
    overrides: list[str],
    as_json: bool,
) -> None:
    """Write the network with the trained conductances (an experiment's initial ones) as a package for designers.

    It holds a hierarchical and a flat netlist, models, parameters, testbenches for both phases, the voltages to expect
    and a README that says how to simulate it. CDL, for layout versus schematic, has netlists only.

    With --statistics there are Monte-Carlo and corners as well, in the dialect's own words: every device is drawn by
    the laws of [variation], and testbenches print the accuracy of many chips.
    """
    if rows is not None and not DIALECTS[dialect].has_testbench:
        raise click.UsageError(f"--samples: {DIALECTS[dialect].title} has no testbenches; leave it out")
    if temperatures is not None and not statistics:
        raise click.UsageError("--temperatures: only testbenches of --statistics have them")
    if statistics and as_made:
        raise click.UsageError("--statistics: --as-made is one chip; leave one of them out")
    if statistics and style != RESISTORS.name:
        raise click.UsageError(f"--statistics: --cells {style} has no law of spread; only resistors have")
    check_free(folder)
    subject, run = subject_of(source, overrides)
    cell = cell_style(style, DIALECTS[dialect], device, clip=clip)
    choices = Choices(DIALECTS[dialect], rows, tile, cell, as_made, statistics, temperatures)
    with working("exporting"):
        package = package_of(subject, run, choices)
    size = write_package(folder, package)
    if as_made and not package.origin.as_made:
        note("no [variation]: as made is the same as drawn")
    if package.deviation is not None:
        (warn if package.deviation.cells_beyond else note)(str(package.deviation))
    for sentence in package.statistics.left_out if package.statistics else ():
        warn(f"not in the statistics: {sentence}")
    if package.statistics and not package.statistics.common:
        note("no corners: nothing that devices of a chip share differs ([variation] chip_spread, amplifier_layer_gain)")
    cells = sum(array.conductances.size for array in package.design.circuit.arrays)
    content = {"folder": str(folder), "dialect": dialect, "cells": cells, "bytes": size}
    content["samples"] = list(package.origin.rows)
    if package.statistics is not None:
        content["statistics"] = package.statistics.told
    if package.deviation is not None:
        content["deviation"] = asdict(package.deviation)
    about = f"{dialect}, {counted(cells, 'cell')}, {show(size, 'B')}"
    answer(content, f"wrote {folder} ({about}); its README.md says what is what", as_json=as_json)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@json_option
def verify(folder: Path, as_json: bool) -> None:
    """Simulate the exported package DIR again and compare it with the voltages that it promises.

    ngspice runs its testbenches always; Xyce, LTspice, Spectre, VACASK and neospice do where they are found and read
    the dialect. A CDL package is compared flat with hierarchical, by Netgen and KLayout where they are found. The
    outcome is written into the package's manifest, where that can be written; exit code 1 if anything differs or a file
    of the package was changed or is missing. Other files in DIR, such as a simulator's results, are named only.
    """
    with working(f"verifying {folder}"):
        verdict = verify_package(folder)
    if as_json:
        print_json(asdict(verdict))
    else:
        _print_verdict(folder, verdict)
    try:
        record(folder, verdict)
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
        warn(f"the verdict was not written into the package's manifest ({why})")
    if not verdict.equal:
        sys.exit(1)


def _print_verdict(folder: Path, verdict: Verdict) -> None:
    titles = ("simulator", "version", "netlist", "largest error (V)", "predictions", "equal")
    if verdict.simulators:
        WIDE.print(table(titles, map(_row, verdict.simulators)))
    for witness in verdict.simulators:
        if witness.reason:
            OUT.print(f"{witness.name}, {witness.netlist}: {witness.reason}")
    for file in verdict.missing:
        OUT.print(f"{file} is missing")
    for file in verdict.changed:
        OUT.print(f"changed since the export: {file}")
    if verdict.unlisted:
        OUT.print(f"not part of the package: {', '.join(verdict.unlisted)}")
    for absent in verdict.absent:
        OUT.print(f"not on this machine: {absent}")
    OUT.print(f"{folder}: {_outcome(verdict)}")


def _outcome(verdict: Verdict) -> str:
    if verdict.missing:
        return "NOT equal to what was exported; nothing was compared, as files are missing"
    if not verdict.equal:
        return "NOT equal to what was exported"
    who = f"according to {listed(verdict.agree)}"
    if verdict.unread:
        who += f"; {listed(verdict.unread)} could not read it"
    if verdict.max_error_v is None:
        return f"flat equals hierarchical; files unchanged since the export; {who}"
    return f"equal to what was exported (voltages within {LIMIT:g} V), {who}"


def _row(witness: Witness) -> tuple[str, ...]:
    error = "–" if witness.max_error_v is None else f"{witness.max_error_v:.2g}"
    predictions = {True: "equal", False: "differ", None: "–"}[witness.predictions_equal]
    equal = {True: "yes", False: "no", None: "not read"}[witness.equal]
    return witness.name, witness.version, witness.netlist, error, predictions, equal
