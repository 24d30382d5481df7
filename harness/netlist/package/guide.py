"""A package's README: what is what, and how to simulate it."""

from textwrap import wrap
from typing import TYPE_CHECKING

from harness.netlist.design.naming import JOINT, code
from harness.netlist.design.parts import Role
from harness.netlist.dialects.base import NETWORK, RESISTORS, opened
from harness.units import show, spice_number

if TYPE_CHECKING:
    from harness.netlist.package.package import Package

_ROLES = {
    Role.TILE: "a part of a crossbar: port `w3` is word line 3 of the array, `b4` its bit line 4, `3_4` the cell there",
    Role.EDGES: "an array of conductances of a graph, or a crossbar whose lines have resistance",
    Role.NEURON: "the diodes at one node, or between two; `a` is the node",
    Role.AMPLIFIER: "a bidirectional amplifier: v(out) = A v(in), and 1/A of the output's current at `in`",
    Role.BUFFER: "a buffer: v(out) = A v(in), no current at `in`",
    Role.GYRATOR: "a gyrator: i(a,b) = g v(c,d), i(c,d) = -g v(a,b)",
    Role.TRANSCONDUCTOR: "a transconductor: i(a,b) = g v(c,d)",
    Role.TRANSFORMER: "an ideal transformer: v(a,b) = n v(c,d)",
}


def guide(package: "Package") -> str:
    """Return the README in Markdown."""
    parts = [_title(package), _cells(package), _names(package)]
    parts.insert(1, _testbenches(package) if package.dialect.has_testbench else _layout(package))
    return "\n\n".join(parts) + "\n"


def _title(package: "Package") -> str:
    origin, suffix = package.origin, package.dialect.suffix
    files = [
        f"| `network.{suffix}` | the hierarchy; its top cell `{package.written.top.name}` is last |",
        f"| `flat.{suffix}` | the same network in one cell of the same name |",
        "| `map.json` | from nodes, elements and trainable cells to their places in the netlist |",
        "| `manifest.json` | where this comes from, SHA-256 of every file |",
    ]
    if package.dialect.has_testbench:
        files[2:2] = [
            f"| `models.{suffix}`, `parameters.{suffix}` | diodes; tolerances, temperature, beta, volts of the rails |",
            f"| `testbench_free.{suffix}`, `testbench_nudged.{suffix}` | sources, the network between them, analysis |",
            f"| `expected.csv` | volts of {_expected(package)}, all samples in both phases, {_source(package)} |",
        ]
    made = "the chip as it was made" if origin.as_made else "the circuit as it was drawn"
    if origin.diode_note:
        made += f"; {origin.diode_note}"
    return "\n".join(
        [
            f"# {package.written.top.name} for {package.dialect.title}",
            "",
            f"Experiment {code(origin.experiment)}, {code(origin.conductances)}; {made}.",
            "",
            "| file | |",
            "|---|---|",
            *files,
        ]
    )


def _expected(package: "Package") -> str:
    """Return a few words on the nodes of ``expected.csv``."""
    inner = any(len(path) > 1 for path in package.design.nodes.values())
    return "every node but those along resistive lines" if inner else "every node"


def _source(package: "Package") -> str:
    """Return a few words on who has found the expected voltages."""
    moving = package.cells.conducting(package.design.circuit) is None
    return "by ngspice itself" if moving else "by an independent solver"


def _testbenches(package: "Package") -> str:
    stimulus, suffix = package.stimulus, package.dialect.suffix
    shown = list(enumerate(package.origin.rows[:4]))
    times = ", ".join(f"row {row} at {spice_number(stimulus.middle(k))} s" for k, row in shown)
    times += ", and so on" if len(stimulus) > len(shown) else ""
    held = show(stimulus.hold / 1e9, "s")
    commands = "\n".join(f"    {line}" for line in (*package.cells.first(package.dialect), package.dialect.command))
    return f"""## How to simulate it

{commands}

Held-out rows are applied one after the other, each held for {held}; there are no capacitances,
so every point in time is an operating point. Read {times}.
In the free phase outputs are left alone. In the nudged phase the current beta (y - v) flows into every output, where y
is its target and beta = {show(stimulus.beta, "S")} (in `parameters.{suffix}`). {_comparison(package)}
The simulator's temperature is set in `parameters.{suffix}`: {package.origin.temperature_note}.
For the flat network include `flat.{suffix}` instead of `network.{suffix}` in a testbench."""


def _comparison(package: "Package") -> str:
    tight = f"olerances are tight (relative {package.stimulus.tolerances.reltol:g}), looser ones show."
    if package.cells.name == RESISTORS.name:  # which is what `harness verify` takes
        return f"`harness verify` simulates all this and\ncompares with `expected.csv`; t{tight}"
    return f"T{tight}"


def _layout(package: "Package") -> str:
    return f"""## What to compare

`network.{package.dialect.suffix}` is meant for layout versus schematic: resistors with their values, diodes, cells.
Amplifiers and other stages are empty cells, to be filled by those who draw them. Sources are outside: inputs, rails
and outputs are pins of the top cell, as `*.PININFO` says, and `map.json` has the rails' volts and the stages' gains."""


def _cells(package: "Package") -> str:
    roles = dict.fromkeys(cell.role for cell in package.written.cells if cell.role is not Role.TOP)
    counts = {role: sum(cell.role is role for cell in package.written.cells) for role in roles}
    rows = [f"| {role} | {counts[role]} | {_ROLES[role]} |" for role in roles]
    return "\n".join(
        [
            "## Cells",
            "",
            "| kind | cells | what it is |",
            "|---|---|---|",
            *rows,
            "",
            f"Trainable cells are of the kind `{package.cells.name}`. "
            "Open cells (0 S) have no device. Resistances have as many digits as",
            "it takes for their exact reciprocal to be the trained conductance, to the last bit.",
            *_about(package),
        ]
    )


def _about(package: "Package") -> list[str]:
    """Return the paragraph that kinds of cells other than resistors have on themselves."""
    said = " ".join(package.cells.about(package.written, package.dialect)).strip()
    if package.deviation is not None:
        said = f"{said} In the trained network {package.deviation}."
    return ["", *wrap(said, 118, break_long_words=False)] if said else []


def _names(package: "Package") -> str:
    """Return the section on names."""
    design = package.written
    inner = next((node for node, path in design.nodes.items() if path[0] not in design.top.port_names), None)
    lines = [
        "## Names",
        "",
        "Names are lower-case, made of a-z, 0-9 and _, and unique without regard to case. Ground is the port `vss`.",
        f"In the flat network the parts of a path are joined by `{JOINT}`, behind the letter of the device.",
    ]
    most = package.dialect.most_ports
    if opened(design, most):
        lines.append(
            f"{package.dialect.title} takes no subcircuit of more than {most} ports: the contents of the top cell"
        )
        lines.append("stand at the level of the testbench, and its nets have their own names there.")
    elif package.dialect.has_testbench and inner is not None:
        name = package.dialect.joint.join([NETWORK, *design.nodes[inner]])
        lines.append(f"The network's instance is `{NETWORK}`: node {code(inner)} is `{name}` in results.")
    return "\n".join(lines)
