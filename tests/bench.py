"""`make bench`: training speed in ngspice, as a table or with --json as one object. Figures of this machine, now."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from harness.chip.base import Chip
from harness.chip.ngspice import NgspiceChip
from harness.chip.nodal import NodalChip
from harness.circuit import CellRange, Circuit, layered_network
from harness.controller import train_step
from harness.devices import DiodeModel
from harness.learning.costs import SquaredError
from harness.learning.equilibrium import EquilibriumPropagation, Variant
from harness.learning.updates import Adam
from harness.measurement import Batch

UNIT = 1e-5


@dataclass(frozen=True)
class Figure:
    """One measured line."""

    network: str
    chip: str
    batch: int
    samples_per_second: float
    """Median over the steps: free and nudged phase, read-out, gradient, update, reload."""
    best_samples_per_second: float
    outside_analysis: float
    """Share of the time that is not spent inside ngspice's analysis."""


def network(channels: int, hidden: int, outputs: int, gain: float, bias: float) -> Circuit:
    """Kendall's network with fresh conductances, half of the cells open."""
    return layered_network(
        channels,
        [hidden],
        outputs,
        cells=CellRange(UNIT, 0.0, 10 * UNIT),
        diode=DiodeModel("dhidden", 1e-6 * UNIT, 2.0),
        rng=np.random.default_rng(0),
        input_gain=gain,
        bias=(bias, 4.0),
    )


def measure(name: str, chip: Chip, batch: int, steps: int) -> Figure:
    """Train on random samples; a nudge of 0.2 of the unit with a random sign, Adam."""
    circuit, rng = chip.circuit, np.random.default_rng(1)
    rule = EquilibriumPropagation(circuit, SquaredError(), beta=0.2 * UNIT, variant=Variant.RANDOM_SIGN)
    update = Adam((1e-3 * UNIT, 1e-3 * UNIT), scale=1 / UNIT)
    state, times = update.init(chip.conductances), []
    for step in range(steps + 2):
        if step == 2:  # the first two warm up
            began, simulated = time.perf_counter(), chip.simulator_seconds or 0.0
        targets = 4.0 * np.eye(len(circuit.outputs))[rng.integers(0, len(circuit.outputs), batch)]
        samples = Batch(rng.normal(scale=0.3, size=(batch, circuit.channels)), targets)
        started = time.perf_counter()
        state, _ = train_step(chip, rule, update, state, samples, rng)
        times.append(time.perf_counter() - started)
    total, inside = time.perf_counter() - began, (chip.simulator_seconds or 0.0) - simulated
    kind = "ngspice" if chip.simulator_seconds is not None else "nodal"
    spent = times[2:]
    return Figure(name, kind, batch, batch / float(np.median(spent)), batch / min(spent), 1 - inside / total)


def figures() -> Iterator[Figure]:
    """EBANA's iris network and Kendall's MNIST network."""
    iris, mnist = network(4, 10, 3, 10.0, 10.0), network(784, 100, 10, 50.0, 50.0)
    yield measure("8+2–10–6 (iris)", NgspiceChip(iris), 35, 100)
    yield measure("8+2–10–6 (iris)", NodalChip(iris), 35, 100)
    yield measure("1568+2–100–20 (MNIST)", NgspiceChip(mnist), 64, 15)
    yield measure("1568+2–100–20 (MNIST)", NodalChip(mnist), 64, 15)


def main() -> None:
    """Print the table."""
    with threadpool_limits(limits=1, user_api="blas"):
        found = list(figures())
    if "--json" in sys.argv:
        print(json.dumps([asdict(figure) for figure in found]))
        return
    table = Table("network", "chip", "batch", "training samples/s", "best step", "outside ngspice's analysis")
    for f in found:
        share = f"{100 * f.outside_analysis:.0f} %" if f.chip == "ngspice" else "–"
        speeds = f"{f.samples_per_second:,.0f}", f"{f.best_samples_per_second:,.0f}"
        table.add_row(f.network, f.chip, str(f.batch), *speeds, share)
    Console().print(table)


if __name__ == "__main__":
    main()
