"""`harness verify`: parse, call, print."""

import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from harness.commands.options import json_option
from harness.commands.terminal import ERR, OUT, print_json
from harness.verify import LIMIT, Verdict, Witness
from harness.verify import verify as verify_package


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@json_option
def verify(folder: Path, as_json: bool) -> None:
    """Simulate the exported package DIR again and compare it with the voltages that it promises.

    ngspice runs its testbenches always; Xyce, LTspice, Spectre, VACASK and neospice do where they are found and read
    the dialect. A CDL package is compared flat with hierarchical, by Netgen and KLayout where they are found. The
    outcome is written into the package's manifest; exit code 1 if anything differs or a file was changed.
    """
    with ERR.status(f"verifying {folder}"):
        verdict = verify_package(folder)
    if as_json:
        print_json(asdict(verdict))
    else:
        _print(folder, verdict)
    if not verdict.equal:
        sys.exit(1)


def _print(folder: Path, verdict: Verdict) -> None:
    table = Table("simulator", "version", "netlist", "largest error (V)", "predictions", "equal")
    for witness in verdict.simulators:
        table.add_row(*_row(witness))
    OUT.print(table)
    for file in verdict.changed:
        OUT.print(f"changed since the export: {file}")
    for absent in verdict.absent:
        OUT.print(f"not on this machine: {absent}")
    outcome = "equal to what was exported" if verdict.equal else "NOT equal to what was exported"
    limit = f" (voltages within {LIMIT:g} V)" if verdict.equal and verdict.max_error_v is not None else ""
    OUT.print(f"{folder}: {outcome}{limit}")


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
        f"{equal}: {witness.reason}" if witness.reason else equal,
    )
