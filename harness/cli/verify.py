"""`harness verify`: parse, call, print."""

import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from harness.cli.options import json_option
from harness.cli.terminal import ERR, OUT, WIDE, print_json, working
from harness.exchange.verify import LIMIT, Verdict, Witness, record
from harness.exchange.verify import verify as verify_package


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
        _print(folder, verdict)
    try:
        record(folder, verdict)
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
        ERR.print(f"warning: the verdict was not written into the package's manifest ({why})", soft_wrap=True)
    if not verdict.equal:
        sys.exit(1)


def _print(folder: Path, verdict: Verdict) -> None:
    table = Table("simulator", "version", "netlist", "largest error (V)", "predictions", "equal")
    for witness in verdict.simulators:
        table.add_row(*_row(witness))
    if verdict.simulators:
        WIDE.print(table)
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
    if verdict.max_error_v is None:
        return "flat equals hierarchical; files unchanged since the export"
    return f"equal to what was exported (voltages within {LIMIT:g} V)"


def _row(witness: Witness) -> tuple[str, ...]:
    error = "–" if witness.max_error_v is None else f"{witness.max_error_v:.2g}"
    predictions = {True: "equal", False: "differ", None: "–"}[witness.predictions_equal]
    equal = {True: "yes", False: "no", None: "not read"}[witness.equal]
    return (
        witness.name,
        witness.version,
        witness.netlist,
        error,
        predictions,
        equal,
    )
