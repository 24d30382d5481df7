"""``python -m tests.campaigns.saddles``: random networks under springs of −β, each state compared with an oracle.

The oracle shares no equation with the package. It walks through the elements of the full circuit, writes Kirchhoff's
law of every node with loops, and takes the eigenvalues of the matrix by which small disturbances grow with one farad at
each free node. A state that it finds unstable and that a chip returns without an error is a silent saddle.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import click
import numpy as np

from harness.chip.base import SimulatedChip
from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import (
    BidirectionalAmplifier,
    Buffer,
    CellRange,
    Circuit,
    Crossbar,
    Diode,
    Edges,
    Gyrator,
    Resistor,
    deep_resistive_network,
    layered_network,
    rectified_cascade,
)
from harness.circuit.branches import Branches
from harness.circuit.networks.families import complete
from harness.circuit.networks.free import free_graph
from harness.circuit.networks.graphs import EdgeDiode
from harness.devices import DiodeModel
from harness.errors import ConvergenceError, SpringError
from harness.measurement import Array, Batch, Drive, Spring

THERMAL_VOLTAGE = 1.380649e-23 * 300.15 / 1.602176634e-19
"""V at 27 °C."""
GMIN = 1e-12
"""S beside every junction."""
MARGINAL = 1e-6
"""Growth, as a share of the fastest decay, that rounding and the solvers' tolerances decide."""


def junction(volts: float, model: DiodeModel) -> tuple[float, float]:
    """Current (A) and slope (S) of a diode by SPICE's law, which has a shelf of −I_s (1 + …) below −3 N V_T."""
    scale, saturation = model.emission * THERMAL_VOLTAGE, model.saturation_current
    if volts >= -3 * scale:
        grown = saturation * np.exp(volts / scale)
        return grown - saturation + GMIN * volts, grown / scale + GMIN
    shelf = (3 * scale / (volts * np.e)) ** 3
    return -saturation * (1 + shelf) + GMIN * volts, 3 * saturation * shelf / volts + GMIN


class Oracle:
    """The motion of a circuit's free nodes, C dv/dt = −(current out of each node), element by element."""

    def __init__(self, circuit: Circuit, inputs: Array, spring: float, targets: Array) -> None:
        self.circuit, self.spring, self.targets = circuit, spring, targets
        self.at = {**circuit.node_index, "0": len(circuit.nodes)}
        self.stages = [e for e in circuit.elements if isinstance(e, BidirectionalAmplifier | Buffer)]
        sources = {source.node: float(source.level(inputs[None])[0]) for source in circuit.sources}
        held = {*sources, *(stage.output for stage in self.stages)}
        self.free = [k for node, k in circuit.node_index.items() if node not in held]
        self.fixed = np.zeros(len(self.at))
        for node, volts in sources.items():
            self.fixed[self.at[node]] = volts

    def nodes(self, free: Array) -> Array:
        """The voltage of every node and ground, V, from those of the free ones."""
        volts = self.fixed.copy()
        volts[self.free] = free
        for _ in self.stages:  # as often as there are stages in a row, at most
            for stage in self.stages:
                volts[self.at[stage.output]] = stage.gain * (volts[self.at[stage.input]] + stage.offset)
        return volts

    def leaving(self, volts: Array, jacobian: Array | None = None) -> Array:
        """The current out of every node through all elements, A; its derivatives are added to `jacobian`, S."""
        out = np.zeros(len(volts))

        def flow(first: int, second: int, amperes: float, slope: float, above: int, below: int) -> None:
            for end, sign in ((first, 1.0), (second, -1.0)):
                out[end] += sign * amperes
                if jacobian is not None:
                    jacobian[end, above] += sign * slope
                    jacobian[end, below] -= sign * slope

        def conductor(first: int, second: int, siemens: float) -> None:
            flow(first, second, siemens * (volts[first] - volts[second]), siemens, first, second)

        for element in self.circuit.elements:
            match element:
                case Crossbar():
                    for i, word in enumerate(element.words):
                        for j, bit in enumerate(element.bits):
                            conductor(self.at[word], self.at[bit], element.conductances[i, j])
                case Edges():
                    for a, b, siemens in zip(element.a, element.b, element.conductances, strict=True):
                        conductor(self.at[a], self.at[b], siemens)
                case Resistor():
                    conductor(self.at[element.a], self.at[element.b], element.conductance)
                case Diode():
                    anode, cathode = self.at[element.anode], self.at[element.cathode]
                    flow(anode, cathode, *junction(volts[anode] - volts[cathode], element.model), anode, cathode)
                case Gyrator():
                    a, b, c, d = (self.at[node] for node in (element.a, element.b, element.c, element.d))
                    g = element.conductance
                    flow(a, b, g * (volts[c] - volts[d]), g, c, d)
                    flow(c, d, -g * (volts[a] - volts[b]), -g, a, b)
        for output, target in zip(self.circuit.outputs, self.targets, strict=True):
            plus, minus = self.at[output.plus], self.at[output.minus]
            drop = volts[plus] - volts[minus]
            flow(plus, minus, self.spring * (drop - target), self.spring, plus, minus)
        return out

    def pulled(self, out: Array) -> Array:
        """Currents or their derivatives, with what amplifiers draw at their inputs of what leaves their outputs."""
        drawn = out.copy()
        for _ in self.stages:
            drawn = out.copy()
            for stage in reversed(self.stages):
                if isinstance(stage, BidirectionalAmplifier):
                    drawn[self.at[stage.input]] += drawn[self.at[stage.output]] / stage.gain
        return drawn

    def motion(self, _: float, free: Array) -> Array:
        """The voltages' rates of change with 1 F at each free node, V/s."""
        return -self.pulled(self.leaving(self.nodes(free)))[self.free]

    def rates(self, volts: Array) -> Array:
        """The rates at which disturbances of a state (V of every node) grow with 1 F at each free node, 1/s."""
        jacobian = np.zeros((len(self.at), len(self.at)))
        self.leaving(np.append(volts, 0.0), jacobian)
        follows = np.zeros((len(self.at), len(self.free)))
        start = self.nodes(np.zeros(len(self.free)))
        for k in range(len(self.free)):
            follows[:, k] = self.nodes(np.eye(len(self.free))[k]) - start
        return np.linalg.eigvals(-self.pulled(jacobian @ follows)[self.free]).real


@dataclass
class Found:
    """The figures of a campaign."""

    networks: int = 0
    states: int = 0
    saddles: int = 0
    silent: int = 0
    """Saddles that a chip returned without an error."""
    false_alarms: int = 0
    """Stable states that a chip refused."""
    marginal: int = 0
    """States that rounding decides; they count neither way."""
    unsettled: int = 0
    """Calls in which a sample did not settle, which every chip says."""

    def __add__(self, other: "Found") -> "Found":
        return Found(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Found)))


def network(rng: np.random.Generator) -> Circuit:
    """A random network of one of six kinds."""
    diode = DiodeModel("drandom", float(10 ** rng.uniform(-12, -6)), float(rng.uniform(1, 3)))
    cells = CellRange(float(10 ** rng.uniform(-6, -3)), 0.0, 1.0)
    options = {"cells": cells, "diode": diode, "rng": rng}
    hidden = rng.integers(2, 5, rng.integers(1, 3)).tolist()
    gain, shift = float(rng.uniform(1, 5)), float(rng.uniform(0.1, 1))
    match rng.integers(6):
        case 0 | 1:
            return layered_network(2, hidden, 2, **options, amplifier_gain=gain, shift=(-shift, shift), input_gain=4)
        case 2:
            return deep_resistive_network(2, hidden, 2, **options, input_gain=4)
        case 3:
            edges = complete(int(rng.integers(5, 9)))
            if rng.random() < 0.5:
                edges = [replace(edge, diode=EdgeDiode.FORWARD) for edge in edges]
            rails = {"2": 2.0, "3": -2.0}
            return free_graph(edges, ["0", "1"], ["4"], **options, rails=rails, input_gain=3)
        case 4:
            return rectified_cascade(2, hidden, 2, **options, buffer_gain=[gain] * len(hidden), input_gain=4)
    drawn = layered_network(2, [3], 2, **options, amplifier_gain=1.0, shift=(-shift, shift), input_gain=4)
    free = [node for node in drawn.nodes if node not in drawn.held_nodes][:2]
    turn = Gyrator("turn", free[0], "0", free[1], "0", float(cells.unit * rng.uniform(0.1, 3)))
    return Circuit(drawn.name, (*drawn.elements, turn), drawn.outputs)


def looked_at(circuit: Circuit, batch: Batch, beta: float, make: Callable[[Circuit], SimulatedChip]) -> Found:
    """Compare what a chip says of its states under springs of −β with the oracle."""
    chip, drive = make(circuit), Drive(batch.inputs, Spring(-beta, batch.targets), "nudged −β")
    try:
        (raw,) = chip._settle([drive])
    except ConvergenceError:
        try:
            chip.measure([drive])
        except (ConvergenceError, SpringError):
            return Found(unsettled=1)
        return Found(silent=1)
    rates = [
        Oracle(circuit, x, -beta, y).rates(volts)
        for x, y, volts in zip(batch.inputs, batch.targets, raw.all_nodes, strict=True)
    ]
    growth = np.array([r.max() for r in rates])
    marginal = np.abs(growth) < MARGINAL * np.array([np.abs(r).max() for r in rates])
    said = np.zeros(len(batch), bool)
    try:
        chip.measure([drive])
    except SpringError as refused:
        said[list(refused.samples)] = True
    saddles = (growth > 0) & ~marginal
    false = said & ~saddles & ~marginal
    return Found(0, len(batch), int(saddles.sum()), int((saddles & ~said).sum()), int(false.sum()), int(marginal.sum()))


def case(number: int, chips: dict[str, Callable[[Circuit], SimulatedChip]]) -> dict[str, Found]:
    """A random network under a random β, on each chip."""
    rng = np.random.default_rng([number, 18])
    circuit = network(rng)
    blocking = Branches(circuit).programmed(circuit.conductances).output_conductance()
    unit = circuit.conductances[0].mean()
    beta = float(10 ** rng.uniform(-0.7, 1.3)) * (blocking if blocking > 1e-3 * unit else 0.1 * unit)
    batch = Batch(rng.normal(size=(2, circuit.channels)), rng.normal(size=(2, len(circuit.outputs))))
    return {name: replace(looked_at(circuit, batch, beta, make), networks=1) for name, make in chips.items()}


CHIPS: dict[str, Callable[[Circuit], SimulatedChip]] = {
    "nodal": NodalChip,
    "unreduced": UnreducedNodalChip,
    "ngspice": NgspiceChip,
}


def campaign(cases: range, chips: dict[str, Callable[[Circuit], SimulatedChip]]) -> dict[str, Found]:
    """Go through cases; the figures of each chip."""
    found = {name: Found() for name in chips}
    for number in cases:
        for name, one in case(number, chips).items():
            found[name] += one
    return found


@click.command()
@click.option("--cases", default=1000, show_default=True, help="Random networks, each under a random β.")
@click.option("--first", default=0, show_default=True, help="Number of the first one, to go on from there.")
def main(cases: int, first: int) -> None:
    """Look for states that are unstable and that a chip returns in silence; exits with 1 when there is one."""
    found = campaign(range(first, first + cases), CHIPS)
    for name, one in found.items():
        click.echo(f"{name}: " + ", ".join(f"{f.name} {getattr(one, f.name)}" for f in fields(Found)))
    sys.exit(any(one.silent or one.false_alarms for one in found.values()))


if __name__ == "__main__":
    main()
