"""Newton's method on reduced networks, against bisection, Kirchhoff's law and other starts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from harness.chip.ngspice import worker
from harness.chip.ngspice.session import open_session
from harness.chip.ngspice.tasks import tasks
from harness.chip.ngspice.worker import led_together, settle_in_ngspice
from harness.chip.nodal import continuation, newton
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import Circuit, Junctions, Network, Phase, Reduction, SettlingJob, Topology
from harness.circuit.networks.layered import CellRange
from harness.circuit.reduction.settling import unjoined
from harness.devices import DiodeModel
from harness.devices.diode import THERMAL_VOLTAGE, current_and_slope
from harness.errors import ChipError, ConvergenceError
from harness.measurement import Array, Drive, Spring
from harness.netlist.decks import batch
from harness.netlist.tolerances import Tolerances
from tests.conftest import kendall, random_batch, scellier


def network(conductance: Array, ends: list[tuple[int, int, float, float]], pairs: list[tuple[int, int]]) -> Network:
    """Diodes as (anode, cathode, I_s, N); outputs as pairs of terminals."""
    anode, cathode, saturation, emission = zip(*ends, strict=True)
    diodes = Junctions(np.array(anode), np.array(cathode), np.array(saturation), np.array(emission))
    plus, minus = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    size = len(conductance)
    ends_at = (diodes.anode, diodes.cathode, plus, minus)
    rails = max(0, *(int(terminals.max(initial=0)) + 1 - size for terminals in ends_at))
    alone = unjoined(conductance, diodes, (plus, minus))
    return Network(conductance, Topology(size, rails, diodes, plus, minus, alone, conductance != 0))


def undriven(network: Network, current: Array, rails: Array) -> SettlingJob:
    """One free phase."""
    return SettlingJob(
        network, (Phase("free", current, rails, np.zeros((len(current), len(network.topology.plus))), 0.0),)
    )


def left_over(settling: SettlingJob, solved: Array) -> float:
    """Largest violation of Kirchhoff's current law in any phase, as a share of the largest current."""
    net, worst = settling.network, 0.0
    for k, phase in enumerate(settling.phases):
        terminals = np.column_stack([solved[:, k], phase.rails])
        diodes = net.topology.diodes
        over = terminals[:, diodes.anode] - terminals[:, diodes.cathode]
        through, _ = current_and_slope(over, diodes.saturation, diodes.emission * THERMAL_VOLTAGE)
        into = np.zeros_like(terminals)
        into[:, : net.size] = phase.currents - solved[:, k] @ net.conductance
        for d, (anode, cathode) in enumerate(zip(net.topology.diodes.anode, net.topology.diodes.cathode, strict=True)):
            into[:, anode] -= through[:, d]
            into[:, cathode] += through[:, d]
        pulled = phase.pushed - phase.spring * (terminals[:, net.topology.plus] - terminals[:, net.topology.minus])
        for o, (plus, minus) in enumerate(zip(net.topology.plus, net.topology.minus, strict=True)):
            into[:, plus] += pulled[:, o]
            into[:, minus] -= pulled[:, o]
        size = max(np.abs(through).max(), np.abs(phase.currents).max())
        worst = max(worst, float(np.abs(into[:, : net.size]).max() / size))
    return worst


@given(
    conductance=st.floats(-9, 1).map(lambda x: 10.0**x),
    saturation=st.floats(-15, -5).map(lambda x: 10.0**x),
    emission=st.floats(0.5, 4.0),
    drive=st.floats(-50, 50),
    rails=st.tuples(st.floats(-2, 2), st.floats(0, 2)),
)
@settings(deadline=None)
def test_one_node_with_two_diodes_is_where_bisection_finds_it(
    conductance: float, saturation: float, emission: float, drive: float, rails: tuple[float, float]
) -> None:
    low, high = rails[0], rails[0] + rails[1]
    net = network(np.array([[conductance]]), [(0, 2, saturation, emission), (1, 0, saturation, emission)], [(0, 1)])
    found = newton.settle(undriven(net, np.array([[conductance * drive]]), np.array([[low, high]])), 1e-9)[0, 0, 0]
    scale = np.array(emission * THERMAL_VOLTAGE)

    def into(volts: float) -> float:
        up, _ = current_and_slope(np.array(volts - high), np.array(saturation), scale)
        down, _ = current_and_slope(np.array(low - volts), np.array(saturation), scale)
        return float(conductance * (drive - volts) - up + down)

    wall = 10.0 + abs(low) + abs(high) + abs(drive)
    assert found == pytest.approx(brentq(into, -wall, wall, xtol=1e-14, rtol=1e-14), abs=1e-9)


@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=50)
def test_diodes_between_unknowns_and_crossed_rails_obey_kirchhoffs_law(seed: int) -> None:
    """A random graph with a diode on every third edge, and nodes between a high source and a low one."""
    rng = np.random.default_rng(seed)
    size = 7
    joined = np.triu(rng.uniform(0, 1, (size, size)) * (rng.random((size, size)) < 0.4), 1)
    conductance = np.diag(rng.uniform(0.1, 1, size) + (joined + joined.T).sum(axis=1)) - joined - joined.T
    ends = [(int(a), int(b), 1e-6, 1.0) for a, b in rng.integers(0, size, (4, 2)) if a != b]
    ends += [(size, 0, 1e-6, 2.0), (0, size + 1, 1e-6, 2.0), (size, 1, 1e-8, 1.0)]
    net = network(conductance, ends, [(2, 3), (4, size)])
    current = rng.normal(scale=3.0, size=(5, size))
    rails = np.tile([1.0, -1.0], (5, 1))
    free = Phase("free", current, rails, np.zeros((5, 2)), 0.0)
    nudged = Phase("nudged", current, rails, rng.normal(size=(5, 2)), 0.2)
    settling = SettlingJob(net, (free, nudged))
    assert left_over(settling, newton.settle(settling, 1e-9)) < 1e-10


@pytest.mark.parametrize("circuit", [kendall([4]), kendall([5, 4], 1), scellier([4, 3])])
def test_a_batch_is_settled_as_its_samples_are(circuit) -> None:  # type: ignore[no-untyped-def]
    settling = settling_of(circuit, 7)
    whole = newton.settle(settling, 1e-9)
    assert left_over(settling, whole) < 1e-10
    for sample in range(7):
        alone = newton.settle(settling.rows(slice(sample, sample + 1)), 1e-9)
        np.testing.assert_allclose(alone[0], whole[sample], atol=1e-12)


def test_what_does_not_settle_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "MAX_ITERATIONS", 1)
    monkeypatch.setattr(continuation, "_MOST", 1)
    with pytest.raises(ConvergenceError, match="sample 0, free phase: Newton's method did not settle within 1 iter"):
        newton.settle(settling_of(kendall([4]), 3), 1e-9)


def test_a_singular_network_is_an_error() -> None:
    net = network(np.zeros((2, 2)), [(0, 2, 1e-6, 1.0)], [(0, 1)])
    with pytest.raises(ChipError, match="free phase: the equations are singular in floating point"):
        newton.settle(undriven(net, np.ones((1, 2)), np.zeros((1, 1))), 1e-9)


def sharp(seed: int) -> Circuit:
    """A random network of two to four hidden layers with very sharp diodes, of which some begin far in conduction."""
    rng = np.random.default_rng(seed)
    g_unit, scale = 10.0 ** rng.uniform(-6, 0), 10.0 ** rng.uniform(-1.9, -0.57)
    hidden, channels = rng.integers(2, 9, rng.integers(2, 5)).tolist(), int(rng.integers(2, 6))
    diode = DiodeModel("dsharp", 10.0 ** rng.uniform(-16, -3), scale)
    options = {"cells": CellRange(g_unit, 0.0, 10 * g_unit), "diode": diode, "input_gain": 10.0 ** rng.uniform(0, 2)}
    if seed % 3 == 0:
        return scellier(hidden, seed, channels, **options)
    low, high = sorted(rng.uniform(-1, 1, 2).tolist())
    return kendall(hidden, seed, channels, shift=(low, high), amplifier_gain=10.0 ** rng.uniform(-0.6, 1), **options)


@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_networks_with_sharp_diodes_settle_in_every_solver(seed: int) -> None:
    circuit = sharp(seed)
    settling = settling_of(circuit, 3, 0.05 * circuit.arrays[0].g_max / 10)
    found = newton.settle(settling, 1e-9)
    assert left_over(settling, found) < 1e-6
    np.testing.assert_allclose(newton.settle(settling, 1e-9, by_batch=True), found, rtol=1e-8, atol=1e-9)
    inputs = random_batch(circuit, 3).inputs
    (reduced,), (whole,) = (
        kind(circuit, tolerance=1e-11).measure([Drive(inputs)]) for kind in (NodalChip, UnreducedNodalChip)
    )
    np.testing.assert_allclose(whole.all_nodes, reduced.all_nodes, rtol=1e-6, atol=1e-6)


@pytest.mark.ngspice
def test_networks_with_sharp_diodes_settle_where_ngspice_says() -> None:
    tight = Tolerances(reltol=1e-9, vntol=1e-12, abstol=1e-15)
    for seed in range(60):
        circuit = sharp(seed)
        settling = settling_of(circuit, 3, 0.05 * circuit.arrays[0].g_max / 10)
        expected = settle_in_ngspice(settling, tight, led=seed % 2 > 0).solved
        np.testing.assert_allclose(newton.settle(settling, 1e-9), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.ngspice
@pytest.mark.parametrize("circuit", [kendall([6]), scellier([5, 4])])
@pytest.mark.parametrize("wrong_by", [0.0, 1e-3, 0.3, 10.0])
def test_where_ngspice_starts_does_not_show_in_where_it_ends(  # type: ignore[no-untyped-def]
    circuit, wrong_by: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate is wrong by that many volts at every node, or missing."""
    settling, tight = settling_of(circuit, 6), Tolerances(reltol=1e-9, vntol=1e-12, abstol=1e-15)
    right = newton.settle(settling, 1e-9)
    wrong = right + wrong_by * np.random.default_rng(0).normal(size=right.shape)
    for estimate in (wrong, None):
        monkeypatch.setattr(worker, "_estimate", lambda _, estimate=estimate: estimate)
        np.testing.assert_allclose(settle_in_ngspice(settling, tight, led=True).solved, right, atol=1e-9)


@pytest.mark.ngspice
@pytest.mark.parametrize("build", [kendall, scellier])
@pytest.mark.parametrize("strength", [1e-6, 1e-3])
def test_an_estimate_leads_ngspice_to_each_point_in_few_iterations(  # type: ignore[no-untyped-def]
    build, strength: float
) -> None:
    """With conductances and currents of a real chip's size, below a junction's critical voltage."""
    cells, diode = CellRange(1e-5, 0.0, 1e-4), DiodeModel("dsmall", 1e-11, 2.0)
    settling = settling_of(build([40], channels=10, input_gain=30.0, cells=cells, diode=diode), 16, strength)
    helped = settle_in_ngspice(settling, Tolerances(), led=True).iterations
    assert helped <= 4 * 16 * 2
    assert helped < 0.45 * settle_in_ngspice(settling, Tolerances(), led=False).iterations


@pytest.mark.parametrize(
    ("hidden", "samples", "led"),
    [([10], 24, False), ([10], 25, True), ([10, 10], 12, False), ([10, 10], 13, True), ([40], 1, True)],
)
def test_ngspice_is_led_where_there_is_much_to_do(hidden: list[int], samples: int, led: bool) -> None:
    """20 or 40 diodes in two phases: 1,000 are the bound, but for networks of 40 unknowns and more."""
    settling = settling_of(kendall(hidden), samples)
    assert led_together([settling]) is led
    rest = settling.rows(slice(0, 1))
    assert [task.led for task in tasks([settling, rest], Tolerances())] == [led, led]  # one circuit stays loaded


def test_ngspice_is_not_led_where_nothing_bends() -> None:
    settling = settling_of(kendall([40]), 32)
    free = settling.phases[0]
    straight = replace(free, slopes=np.ones((32, len(settling.network.topology.branches[0]))))
    assert led_together([settling])
    assert not led_together([SettlingJob(settling.network, (straight,))])
    assert not led_together([])


@pytest.mark.ngspice
def test_a_small_network_that_is_led_ends_where_it_does_without() -> None:
    settling, tight = settling_of(kendall([10]), 25), Tolerances(reltol=1e-9, vntol=1e-12, abstol=1e-15)
    led, alone = (settle_in_ngspice(settling, tight, led=way) for way in (True, False))
    np.testing.assert_allclose(led.solved, alone.solved, atol=1e-9)
    assert led.iterations < 0.8 * alone.iterations


@pytest.mark.ngspice
def test_a_point_is_led_to_at_once_whatever_was_before_it() -> None:
    """Diodes turn around, springs come and go: some three iterations, and voltages far within the tolerance."""
    cells, diode = CellRange(1e-5, 0.0, 1e-4), DiodeModel("dsmall", 1e-11, 2.0)
    settling = settling_of(kendall([6], channels=4, input_gain=30.0, cells=cells, diode=diode), 9, 1e-5)
    exact = newton.settle(settling, 1e-9)
    assert np.abs(exact[1:, 0] - exact[:-1, 0]).max() > 2
    found = open_session().sweep(*batch.batch_sweep(settling, Tolerances(), estimate=exact))
    np.testing.assert_allclose(found.volts.reshape(exact.shape), exact, atol=1e-9)
    assert found.iterations <= 3.5 * 18


def settling_of(circuit, samples: int, beta: float = 0.05) -> SettlingJob:  # type: ignore[no-untyped-def]
    batch = random_batch(circuit, samples)
    drives = [Drive(batch.inputs), Drive(batch.inputs, Spring(beta, batch.targets), "nudged")]
    return Reduction(circuit).reduce(circuit.conductances).settling(drives)
