"""`harness report`: parse, call, print."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from harness.cli.options import FILE, experiment_options, in_unit, subject_of
from harness.cli.terminal import OUT, print_json, warn, working
from harness.cli.transient import line_option, node_option, settling_of
from harness.errors import ChipError, CircuitError
from harness.files.writing import write_atomic
from harness.measurement import Batch
from harness.netlist.package.manifest import is_package
from harness.studies.transient import ROWS, Parasitics, SettlingResult, settling
from harness.units import show

if TYPE_CHECKING:
    from harness.report.contents import Contents, Limits


@click.command()
@click.argument("source", metavar="RUN|EXPERIMENT|DIR")
@click.option("--to", "file", type=FILE, help="HTML file to write [default: NAME-report.html].")
@click.option("--supply", metavar="VOLT", callback=in_unit("V"), help="Nodes should stay within ± this, such as 5V.")
@click.option(
    "--line-limit",
    "line_limit",
    metavar="AMPERE",
    callback=in_unit("A"),
    help="Largest current that a line may carry, such as 1mA.",
)
@click.option("--transient", "timed", is_flag=True, help="Simulate step responses in ngspice too; may take minutes.")
@node_option
@line_option
@experiment_options(seed=True)
def report(
    source: str,
    file: Path | None,
    supply: float | None,
    line_limit: float | None,
    timed: bool,
    node: float,
    line: float,
    overrides: list[str],
    as_json: bool,
) -> None:
    """Write the design report of a RUN (an EXPERIMENT's initial network, an exported package's DIR): one HTML file.

    Its circuit, devices, conductances, node voltages against --supply, line currents against a limit and power over
    the held-out rows, training, non-idealities and versions. Needs neither ngspice nor a network, but for --transient.
    """
    from harness.report.contents import Limits  # noqa: PLC0415 - matplotlib takes a second to import
    from harness.report.page import render  # noqa: PLC0415

    if file is not None and not file.parent.is_dir():
        raise click.UsageError(f"--to {file}: there is no folder {file.parent}")
    parasitics = Parasitics(node, line) if timed else None
    with working("examining"):
        told = _told(source, overrides, Limits(supply, line_limit), parasitics)
        page = render(told).encode()
    target = file or Path(f"{told.name}-report.html")
    write_atomic(target, page)
    if as_json:
        print_json({"file": str(target), "bytes": len(page), **told.to_json()})
    else:
        for warning in told.warnings:
            warn(warning)
        OUT.print(f"wrote {target} ({show(len(page), 'B')})")
    if isinstance(told.settling, str):
        warn(f"--transient was not simulated: {told.settling}")
        sys.exit(1)


def _told(source: str, overrides: Sequence[str], limits: "Limits", parasitics: Parasitics | None) -> "Contents":
    """Return the contents of the report of a package, a run or an experiment."""
    from harness.report.contents import gather  # noqa: PLC0415 - so is matplotlib
    from harness.report.packages import gather_package  # noqa: PLC0415

    if is_package(Path(source)):
        if overrides:
            raise click.UsageError(f"{source} is a package, which stays as it was exported; leave out {overrides[0]}")
        told, inputs = gather_package(Path(source), limits)
        first = inputs[:ROWS]
        idle = Batch(first, np.zeros((len(first), len(told.circuit.outputs))))  # no targets are known
        simulate = partial(settling, told.circuit, idle)
    else:
        subject, run = subject_of(source, overrides)
        told = gather(subject, run, limits)
        simulate = partial(settling_of, subject, run, None)
    return told if parasitics is None else replace(told, settling=_settling(simulate, parasitics))


def _settling(simulate: Callable[..., SettlingResult], parasitics: Parasitics) -> SettlingResult | str:
    """Return step responses of the first rows, or why there are none."""
    try:
        return simulate(parasitics=parasitics)
    except (ChipError, CircuitError) as error:
        return str(error).splitlines()[0]
