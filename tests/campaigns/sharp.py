"""``python -m tests.campaigns.sharp``: random graphs with very sharp diodes, each settled and checked.

Diodes lie between nodes of a random graph, with emission coefficients from 0.01 to 0.3, saturation currents from 0.1 fA
to 1 mA, and inputs up to hundreds of volts. Kirchhoff's law at each state is checked by the oracle of
`tests.campaigns.saddles`. In some graphs a chain of diodes leads from a source to a lower one with no resistor among
them, and would carry currents that are no numbers: these must be refused with that reason, and nothing else may be.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import click
import numpy as np

from harness.chip.base import SimulatedChip
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.chip.shorts import shorted
from harness.circuit import Circuit, Diode, Edges, InputSource, Output, VoltageSource
from harness.devices import DiodeModel
from harness.errors import ConvergenceError
from harness.measurement import Array, Drive
from tests.campaigns.saddles import Oracle

CHIPS: dict[str, Callable[[Circuit], SimulatedChip]] = {
    "nodal": lambda circuit: NodalChip(circuit, tolerance=1e-9),
    "unreduced": lambda circuit: UnreducedNodalChip(circuit, tolerance=1e-9),
}
_SERIES = 0.3
"""Share of the diodes that have a conductance in series."""
_NEAR = 1e-6
"""V by which a state may miss the one where Kirchhoff's law holds."""


@dataclass
class Found:
    """The figures of a campaign."""

    settled: int = 0
    """Graphs at whose states Kirchhoff's law holds."""
    refused: int = 0
    """Graphs in which diodes alone would carry an absurd current, and that were refused for that reason."""
    absurd: int = 0
    """Graphs of that kind that settled all the same; rounding decides what Kirchhoff's law is there."""
    wrong: int = 0
    """Graphs that were refused for another reason, or that gave no state."""


def graph(number: int) -> tuple[Circuit, Array]:
    """Return a random graph and inputs (V, ``[2, 2]``)."""
    rng = np.random.default_rng([number, 9])
    size, unit = int(rng.integers(4, 20)), 10.0 ** rng.uniform(-7, 0)
    names = [f"n{k}" for k in range(size)]
    ends = [(names[rng.integers(0, k)], names[k]) for k in range(1, size)]
    ends += [(names[a], names[b]) for a, b in rng.integers(0, size, (size, 2)) if a != b]
    diodes, series = _diodes(names, rng)
    ends += series
    siemens = unit * 10.0 ** rng.uniform(-2, 0, len(ends))
    first, second = zip(*ends, strict=True)
    gains = 10.0 ** rng.uniform(0, 2, 2)
    held = (
        InputSource("x0", names[0], 0, float(gains[0])),
        InputSource("x1", names[1], 1, float(gains[1])),
        VoltageSource("rail", names[2], float(rng.uniform(-3, 3))),
    )
    elements = (*held, Edges("w", first, second, siemens, 0.0, 10 * unit), *diodes)
    return Circuit("sharp", elements, (Output("y", names[3]),)), rng.normal(size=(2, 2))


def _diodes(names: list[str], rng: np.random.Generator) -> tuple[list[Diode], list[tuple[str, str]]]:
    """Return diodes between nodes, and the ends of the edges that most of them have in series."""
    diodes, series = list[Diode](), list[tuple[str, str]]()
    for k in range(int(rng.integers(1, 2 * len(names)))):
        anode, cathode = (names[node] for node in rng.choice(len(names), 2, replace=False))
        model = DiodeModel(f"d{k}m", 10.0 ** rng.uniform(-16, -3), 10.0 ** rng.uniform(-2, -0.5))
        if rng.random() < _SERIES:
            series.append((anode, f"m{k}"))
            anode = f"m{k}"
        elif {anode, cathode} <= {*names[:3]}:
            continue
        diodes.append(Diode(f"d{k}", anode, cathode, model))
    return diodes, series


def distance(circuit: Circuit, inputs: Array, nodes: Array) -> float:
    """Return how far states (V, ``[samples, nodes]``) are from where Kirchhoff's law holds, V: one more Newton step."""
    worst = 0.0
    for x, volts in zip(inputs, nodes, strict=True):
        oracle, jacobian = Oracle(circuit, x, 0.0, np.zeros(1)), np.zeros((len(circuit.nodes) + 1,) * 2)
        out = oracle.leaving(np.append(volts, 0.0), jacobian)[oracle.free]
        step = np.linalg.solve(jacobian[np.ix_(oracle.free, oracle.free)], out)
        worst = max(worst, float(np.abs(step).max()))
    return worst


def looked_at(circuit: Circuit, inputs: Array, make: Callable[[Circuit], SimulatedChip]) -> Found:
    """Settle one graph, and check what the chip says."""
    drive = Drive(inputs)
    absurd = any(shorted(circuit, drive, sample) for sample in range(len(inputs)))
    try:
        (reading,) = make(circuit).measure([drive])
    except ConvergenceError as error:
        told = "diodes alone (" in str(error)
        return Found(refused=int(told), wrong=int(not told))
    if absurd:
        return Found(absurd=1)
    return Found(settled=1) if distance(circuit, inputs, reading.all_nodes) < _NEAR else Found(wrong=1)


@click.command()
@click.option("--cases", default=1000, show_default=True, help="Random graphs.")
@click.option("--first", default=0, show_default=True, help="Number of the first one, to go on from there.")
def main(cases: int, first: int) -> None:
    """Settle random graphs with very sharp diodes; exits with 1 when one is left unsettled without its reason."""
    wrong = 0
    for name, make in CHIPS.items():
        total = Found()
        for number in range(first, first + cases):
            found = looked_at(*graph(number), make)
            if found.wrong:
                click.echo(f"{name}: graph {number} is wrong")
            total = Found(*(getattr(total, key) + getattr(found, key) for key in vars(total)))
        click.echo(f"{name}: {', '.join(f'{key} {value}' for key, value in vars(total).items())}")
        wrong += total.wrong
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
