"""Step responses against closed forms, matrix exponentials, operating points and the conservation of energy."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.linalg import expm

from harness.chip.ngspice.session import open_session
from harness.chip.nodal.chip import NodalChip
from harness.circuit import (
    BidirectionalAmplifier,
    Buffer,
    Circuit,
    Crossbar,
    CurrentSource,
    Gyrator,
    InputSource,
    Output,
    Resistor,
    Transformer,
    VoltageSource,
)
from harness.circuit.dynamics import Dynamics, capacitances
from harness.circuit.thevenin import thevenin_equivalents
from harness.cli.main import main
from harness.devices import CellLaw, Curve
from harness.errors import CircuitError
from harness.measurement import Array, Batch, Clamp, Drive, Injection, Nudge, Spring
from harness.netlist.decks.transient import Steps, step_lines
from harness.netlist.tolerances import Tolerances
from harness.studies.transient import CONVERTER, Converter, Parasitics, SettlingResult, settling
from tests.conftest import kendall, random_batch, scellier

NGSPICE = pytest.mark.ngspice
TIGHT = Tolerances(reltol=1e-9, vntol=1e-12, abstol=1e-15)
PARASITICS = Parasitics(100e-12, 1e-12)
"""Circuits here are of siemens: constants of 100 ps."""


def spring(_: Array, targets: Array) -> Nudge:
    return Spring(0.05, targets)


def push(free: Array, targets: Array) -> Nudge:
    return Injection(-0.05 * (free - targets))


def low_pass() -> Circuit:
    """1 MΩ from the input to the output."""
    elements = (InputSource("x", "a", 0, 2.0), Resistor("r", "a", "b", 1e-6))
    return Circuit("rc", elements, (Output("y", "b"),))


def square() -> Circuit:
    """A 2×2 crossbar whose four lines are all free; values in S."""
    cells = np.array([[1e-5, 2e-5], [4e-5, 3e-5]])
    elements = (
        InputSource("x0", "a0", 0, 1.0),
        InputSource("x1", "a1", 1, 1.0),
        Resistor("s0", "a0", "w0", 5e-5),
        Resistor("s1", "a1", "w1", 2e-5),
        Crossbar("g", ("w0", "w1"), ("b0", "b1"), cells, 0.0, 1e-4),
        Resistor("l0", "b0", "0", 1e-5),
        Resistor("l1", "b1", "0", 3e-5),
    )
    return Circuit("square", elements, (Output("y0", "b0"), Output("y1", "b1")))


def odd() -> Circuit:
    """Every kind of stage and port: what powers have to be counted at."""
    elements = (
        InputSource("x0", "a", 0, 1.0),
        VoltageSource("rail", "r", 0.5),
        CurrentSource("i0", "0", "n1", 0.1),
        CurrentSource("i1", "r", "n2", 0.05),
        Crossbar("g", ("a", "r"), ("n1", "n2"), np.array([[1.0, 0.0], [0.3, 0.6]]), 0.0, 2.0),
        BidirectionalAmplifier("amp", "n1", "n3", 2.0, 0.1),
        BidirectionalAmplifier("amp2", "n3", "n4", 1.5),
        Resistor("r0", "n3", "n5", 0.4),
        Resistor("r1", "n4", "n6", 0.7),
        Transformer("t", "n5", "0", "n6", "n7", 0.5),
        Resistor("r2", "n7", "0", 1.1),
        Resistor("r3", "n6", "0", 0.2),
        Gyrator("gy", "n6", "0", "n8", "0", 0.3),
        Resistor("r4", "n8", "n2", 0.5),
        Buffer("buf", "n2", "n9", -1.2, 0.2),
        Resistor("r5", "n9", "n10", 0.8),
        Resistor("r6", "n10", "a", 0.3),
    )
    return Circuit("odd", elements, (Output("y", "n8", "n10"),))


def responses(circuit: Circuit, samples: int = 2, nudge: object = spring, **changes: object) -> SettlingResult:
    return settling(circuit, random_batch(circuit, samples), PARASITICS, nudge=nudge, **changes)  # type: ignore[arg-type]


@NGSPICE
def test_a_low_pass_is_as_slow_and_costs_as_much_as_the_closed_form_says() -> None:
    constant, volts = 1e6 * 100e-15, 2.0 * 1.5
    parasitics = Parasitics(100e-15, 1e-15)  # there are no cells
    batch = Batch(np.array([[1.5]]), np.array([[0.0]]))
    found = settling(low_pass(), batch, parasitics, converter=Converter(4, 3.0))
    (phase,) = found.phases
    assert not found.nudged
    assert found.adc_step == pytest.approx(6 / 15)
    for settled, share in zip(phase.settled, (1e-2, 1e-3, found.adc_step / volts), strict=True):
        late = constant * np.log(1 / share)
        assert settled.outputs == settled.nodes == settled.seconds == pytest.approx(late, rel=1e-3)
        assert settled.energy == pytest.approx(100e-15 * volts**2 * (1 - share), rel=1e-3)
    assert phase.stored == pytest.approx(50e-15 * (volts - found.adc_step) ** 2, rel=1e-3)
    assert phase.settled[-1].energy == pytest.approx(phase.stored + phase.dissipated, rel=1e-3)
    assert phase.time_constant == pytest.approx(constant)
    assert phase.power == pytest.approx(0, abs=1e-6 * volts**2 * 1e-5)
    assert found.rate("1 %").per_second == pytest.approx(1 / (constant * np.log(100)), rel=1e-3)
    assert phase.held == pytest.approx(100e-15 * volts**2)


@NGSPICE
def test_a_crossbar_of_free_lines_follows_the_matrix_exponential() -> None:
    circuit, batch = square(), Batch(np.array([[1.0, -2.0]]), np.zeros((1, 2)))
    found = settling(circuit, batch, Parasitics(100e-15, 5e-15))
    g = circuit.arrays[0].conductances
    matrix = np.block([[np.diag(g.sum(axis=1)), -g], [-g.T, np.diag(g.sum(axis=0))]]) + np.diag(
        [5e-5, 2e-5, 1e-5, 3e-5]
    )
    farads = 110e-15
    goal = np.linalg.solve(matrix, [5e-5, -4e-5, 0, 0])
    (wave,) = found.waveforms
    points = slice(None, None, 10)
    truth = np.array([goal - expm(-matrix * t / farads) @ goal for t in wave.time[points]])
    assert np.abs(wave.outputs[points] - truth[:, 2:]).max() < 2e-4 * np.abs(goal).max()
    slowest = farads / np.linalg.eigvalsh(matrix)[0]
    assert found.phases[0].time_constant == pytest.approx(slowest)
    fine = np.linspace(0, 12 * slowest, 20_000)
    rate, modes = np.linalg.eigh(matrix / farads)
    left = np.abs(modes @ (np.exp(-np.outer(rate, fine)) * (modes.T @ goal)[:, None])).max(axis=0)
    for settled, share in zip(found.phases[0].settled[:2], (1e-2, 1e-3), strict=True):
        entered = fine[np.flatnonzero(left > share * np.abs(goal).max())[-1]]
        assert settled.nodes == pytest.approx(entered, rel=2e-3)


@NGSPICE
@pytest.mark.parametrize("nudge", [spring, push])
@pytest.mark.parametrize("circuit", [kendall([4]), scellier([4, 3]), odd()], ids=lambda circuit: circuit.name)
def test_phases_end_at_operating_points_and_energy_balances(circuit: Circuit, nudge: object) -> None:
    found = responses(circuit, nudge=nudge)
    assert [p.phase for p in found.phases] == ["free", "nudged"] * 2
    for phase in found.phases:
        assert phase.error <= 1e-6 * phase.step
        assert phase.balance < 1e-4
        times = [settled.seconds for settled in phase.settled[:2]]
        assert 0 < times[0] < times[1]


@NGSPICE
def test_nonlinear_cells_settle_too() -> None:
    plain, law = kendall([3]), CellLaw(Curve.SINH, 0.5)
    bent = tuple(replace(e, law=law) if isinstance(e, Crossbar) else e for e in plain.elements)
    circuit = replace(plain, elements=bent)
    found = responses(circuit, 1)
    assert max(phase.balance for phase in found.phases) < 1e-4


@NGSPICE
def test_twice_the_capacitance_takes_twice_the_time() -> None:
    circuit = kendall([3])
    once = responses(circuit, 1)
    twice = settling(circuit, random_batch(circuit, 1), Parasitics(200e-12, 2e-12), nudge=spring)
    for a, b in zip(once.phases, twice.phases, strict=True):
        assert b.time_constant == pytest.approx(2 * a.time_constant)
        for early, late in zip(a.settled, b.settled, strict=True):
            assert late.nodes == pytest.approx(2 * early.nodes, rel=1e-3)
            assert late.outputs == pytest.approx(2 * early.outputs, rel=1e-3)
            assert late.energy == pytest.approx(2 * early.energy, rel=1e-3)


@NGSPICE
def test_an_amplifier_of_finite_bandwidth_is_one_more_pole() -> None:
    elements = (InputSource("x", "a", 0, 1.0), Buffer("amp", "a", "p", 3.0), Resistor("r", "p", "b", 1e-6))
    circuit = Circuit("poles", elements, (Output("y", "b"),))
    slow, lag = 100e-9, 40e-9
    parasitics = Parasitics(100e-15, 0.0, 1 / (2 * np.pi * lag))
    found = settling(circuit, Batch(np.array([[1.0]]), np.array([[0.0]])), parasitics)
    (wave,) = found.waveforms
    truth = 3 * (1 - (slow * np.exp(-wave.time / slow) - lag * np.exp(-wave.time / lag)) / (slow - lag))
    assert np.abs(wave.outputs[:, 0] - truth).max() < 1e-3
    assert found.amplifier_time_constant == pytest.approx(lag)
    assert found.amplifier_share == pytest.approx(lag / (lag + slow))
    assert found.amplifiers == 1


@NGSPICE
def test_powers_are_those_of_ngspice_own_source_currents_in_the_full_netlist() -> None:
    """Without Thévenin equivalents: every cell, every source; amplifiers from their senses."""
    circuit, x = kendall([3]), np.array([0.7, -0.4, 1.1])
    farads = capacitances(circuit, 100e-12, 1e-12)
    dynamics = Dynamics(circuit, farads)
    nudge = Spring(0.05, np.array([[0.5, -0.5]]))
    free = {circuit.nodes[k]: float(farads[k]) for k in dynamics.free}
    sources = [e for e in circuit.elements if isinstance(e, (InputSource, VoltageSource))]
    stages = [e for e in circuit.elements if isinstance(e, BidirectionalAmplifier)]
    senses = [f"v{e.name}" for e in sources] + [f"vharness_{e.name}" for e in stages]
    steps = Steps(0 * x, x, 1e-15, 2e-9, nudge)
    lines = step_lines(circuit, free, steps, TIGHT, senses=senses)
    vectors = [f"v({node.lower()})" for node in circuit.nodes] + [f"{s.lower()}#branch" for s in senses]
    time, found = open_session().transient(lines, vectors, 1e-11, 4e-9)
    volts, amperes = np.split(found, [len(circuit.nodes)], axis=1)
    switched = (time > 2e-9).astype(float)
    delivered, _ = dynamics.powers(volts, np.zeros((len(time), 0)), switched, nudge)
    at = circuit.node_index
    own = -sum(volts[:, at[e.node]] * amperes[:, k] for k, e in enumerate(sources))
    for k, stage in enumerate(stages, len(sources)):
        into = volts[:, at[stage.output]] - volts[:, at[stage.input]] / stage.gain
        own = own + into * amperes[:, k]
    drops = np.column_stack([volts[:, at[o.plus]] - volts[:, at[o.minus]] for o in circuit.outputs])
    own = own + switched * 0.05 * ((nudge.targets - drops) * nudge.targets).sum(axis=1)
    apart = np.abs(delivered - own)[(time < 2e-9) | (time > 2.001e-9)]
    assert apart.max() < 1e-6 * np.abs(own).max()


def test_thevenin_equivalents_change_nothing_and_removes_what_sources_feed() -> None:
    for circuit in (kendall([4, 3]), scellier([4, 3]), odd(), square()):
        found, batch = thevenin_equivalents(circuit), random_batch(circuit)
        (full,) = NodalChip(circuit, tolerance=1e-12).measure([Drive(batch.inputs)])
        (small,) = NodalChip(found.circuit, tolerance=1e-12).measure([Drive(found.inputs(batch.inputs))])
        assert np.abs(full.outputs - small.outputs).max() < 1e-11
        assert set(circuit.nodes) - set(found.circuit.nodes) <= circuit.held_nodes
    big = kendall([4])
    cells = sum(array.conductances.size for array in thevenin_equivalents(big).circuit.arrays)
    assert cells == 4 * len(big.arrays[1].bits)  # of 4 hidden nodes; the inputs' and the rails' are gone


def test_capacitances_count_every_cell_at_a_line() -> None:
    circuit = scellier([4, 3])
    farads = dict(zip(circuit.nodes, capacitances(circuit, 100e-15, 1e-15), strict=True))
    first, second, third = circuit.arrays
    for node in second.words:
        cells = len(first.words) * (node in first.bits) + len(second.bits)
        assert farads[node] == pytest.approx(100e-15 + cells * 1e-15)
    assert len(third.words) > 0


def test_time_constants_of_large_networks_are_found_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = kendall([8])
    (still,) = NodalChip(circuit).measure([Drive(np.zeros((1, 3)))])
    dynamics = Dynamics(circuit, capacitances(circuit, 100e-12, 1e-12))
    dense = dynamics.slowest(still.nodes[0])
    assert dynamics.slowest(still.nodes[0], 0.5) < dense
    with pytest.raises(CircuitError, match="small signals grow instead of settling"):
        dynamics.slowest(still.nodes[0], -50.0)
    monkeypatch.setattr("harness.circuit.dynamics._DENSE", 0)
    assert dynamics.slowest(still.nodes[0]) == pytest.approx(dense)


def test_capacitances_and_bandwidths_that_make_no_sense_are_refused() -> None:
    with pytest.raises(CircuitError, match=r"node capacitance -100 fF must be finite and not negative"):
        Parasitics(-1e-13, 1e-15)
    with pytest.raises(CircuitError, match=r"line capacitance nan F must be"):
        Parasitics(1e-13, float("nan"))
    with pytest.raises(CircuitError, match="both 0 F: nothing settles"):
        Parasitics(0.0, 0.0)
    with pytest.raises(CircuitError, match="bandwidth 0 Hz must be finite and above 0 Hz"):
        Parasitics(1e-13, 0.0, 0.0)
    with pytest.raises(CircuitError, match="node b: it has no capacitance"):
        capacitances(low_pass(), 0.0, 1e-15)
    elements = (InputSource("x", "a", 0, 1.0), Buffer("amp", "a", "b", 2.0))
    held = Circuit("held", elements, (Output("y", "b"),))
    with pytest.raises(CircuitError, match="hold every node; nothing settles"):
        capacitances(held, 1e-13, 0.0)


@NGSPICE
def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(CircuitError, match="a clamp cannot be switched on in time"):
        responses(kendall([2]), 1, nudge=lambda free, targets: Clamp(free + 0.1 * (targets - free)))
    with pytest.raises(CircuitError, match="range 0 V must be finite and above 0 V"):
        responses(kendall([2]), 1, converter=Converter(8, 0.0))


@NGSPICE
def test_the_command_reports_and_draws(tmp_path: Path) -> None:
    picture = tmp_path / "steps.png"
    words = ["transient", "xor", "--samples", "1,3", "--node-capacitance", "50fF", "--bandwidth", "50 MHz"]
    result = CliRunner().invoke(main, [*words, "--to", str(picture), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [(p["sample"], p["phase"]) for p in told["phases"]] == [(s, p) for s in (1, 3) for p in ("free", "nudged")]
    assert told["parasitics"] == {"node": 50e-15, "line": 1e-15, "bandwidth": 50e6}
    assert told["adc_bits"] == 8
    assert [rate["criterion"] for rate in told["rates"]] == ["1 %", "0.1 %", CONVERTER]
    result = CliRunner().invoke(main, ["transient", "xor", "--samples", "0", "--set", "imperfect.adc_bits=6"])
    assert result.exit_code == 0, result.output
    assert "slowest time constant" in result.stdout
    assert "an ADC step is 31.7 mV" in result.stdout  # ±1 V


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--node-capacitance", "100pS"], 2, "'100pS' should be in F"),
        (["--node-capacitance", "-1fF"], 1, "node capacitance -1 fF must be finite and not negative"),
        (["--node-capacitance", "0", "--line-capacitance", "0"], 1, "nothing settles"),
        (["--samples", "9"], 2, "the held-out rows are 0…3"),
        (["--samples", "0,0"], 2, "names a row twice"),
        (["--samples", "first"], 2, "is no list of rows"),
        (["--to", "/nowhere/a.png"], 2, "there is no folder /nowhere"),
        (["--to", "a.svg"], 2, "a name that ends in .png"),
    ],
)
def test_the_command_refuses(words: list[str], code: int, message: str) -> None:
    result = CliRunner().invoke(main, ["transient", "xor", *words])
    assert result.exit_code == code
    assert message in result.output
