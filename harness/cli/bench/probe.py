"""`harness bench probe`: parse, call, print."""

from dataclasses import asdict

import click
from rich.table import Table

from harness.cli.options import in_unit, json_option
from harness.cli.terminal import OUT, print_json, warn, working
from harness.studies.bench import probing
from harness.units import show
from harness.wording import counted, ranges

resource_option = click.option(
    "--resource",
    metavar="ADDRESS",
    help="The board's address, such as TCPIP0::127.0.0.1::5025::SOCKET [default: the profile's].",
)
_MOST_ROWS = 24
"""Inputs in the table; of more, those that move all outputs or none are counted."""


@click.command()
@click.argument("board", metavar="PROFILE")
@resource_option
@click.option(
    "--volts", callback=in_unit("V"), help="V at the input that is driven [default: a tenth of v_max, at most 1 V]."
)
@json_option
def probe(board: str, resource: str | None, volts: float | None, as_json: bool) -> None:
    """Say who is at the other end of a PROFILE's line, what it can, and which inputs move which outputs.

    Each input is driven a little, within the limits, while the others are at 0 V; nothing is written. Pins are grounded
    at the end.
    """
    with working("probing") as tell:
        found = probing.probe(board, resource, volts, tell=lambda text: tell(f"probing: {text}"))
    if as_json:
        print_json({"profile": board, **asdict(found)})
        return
    table = Table("board", found.identity)
    counts = asdict(found.extent)
    wait = counts.pop("wait")
    for name, count in counts.items():
        table.add_row(
            name, "any number" if name == "batch" and count is None else "not told" if count is None else f"{count:,}"
        )
    if wait is not None:
        table.add_row("its own wait", show(wait, "s"))
    table.add_row("can", ", ".join(found.can))
    table.add_row("noise of outputs", show(found.noise, "V"))
    OUT.print(table)
    _print_inputs(found)


def _print_inputs(found: probing.Found) -> None:
    every = found.extent.outputs
    silent = [row.channel for row in found.inputs if not row.outputs]
    rows = found.inputs if len(found.inputs) <= _MOST_ROWS else [r for r in found.inputs if 0 < len(r.outputs) != every]
    table = Table(f"input at ±{show(found.volts, 'V')}", "outputs that move", "farthest")
    for row in rows[:_MOST_ROWS]:
        moved = "all" if len(row.outputs) == every else ranges(row.outputs) or "none"
        table.add_row(str(row.channel), moved, show(row.largest, "V"))
    OUT.print(table)
    answering = len(found.inputs) - len(silent)
    OUT.print(f"{answering} of {counted(len(found.inputs), 'input')} move an output")
    if answering and found.settle > found.profile_settle:
        told = f"after {show(found.profile_settle, 's')}, the profile's timing.settle, nothing had moved"
        warn(
            f"{told}; after {show(found.settle, 's')} it has: raise timing.settle (harness bench calibrate measures it)"
        )
    if silent:
        OUT.print(f"inputs that move none: {ranges(silent)}")
