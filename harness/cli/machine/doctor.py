"""`harness doctor`: parse, call, print."""

from dataclasses import asdict

import click

from harness.cli.machine.parts import libraries, programs
from harness.cli.options import json_option
from harness.cli.terminal import ERR, OUT, print_checks, table, working
from harness.studies import doctor as machine


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what was found on this machine, and solve circuits whose answers are known.

    It lists the extras of this package and other people's programs: what is there, what each is for, and how to get
    what is not. Only libngspice must be there; without it, the nodal chip works alone, and the exit code is 1.
    """
    with working("looking around"):
        found, checks, problem = machine.examine()
        extras, tools = list(libraries()), list(programs())
    if not as_json:
        OUT.print(table(("part", "found"), ((part, str(value)) for part, value in found.items())))
        OUT.print(table(("extra", "found", "what it is for"), (part.row for part in extras)))
        OUT.print(table(("program", "found", "what it is for"), (part.row for part in tools)))
    if problem:
        ERR.print(f"harness: {problem}")
    more = {"found": found, "extras": [asdict(part) for part in extras], "programs": [asdict(part) for part in tools]}
    print_checks(checks, more, as_json, failed=problem is not None)
