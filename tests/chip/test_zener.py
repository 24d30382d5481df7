"""Zener diodes at hidden nodes: their law by bisection and in ngspice, every chip, gradients, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from harness.chip.base import SimulatedChip
from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import Circuit, Crossbar, Diode, InputSource, Output, Resistor, VoltageSource
from harness.circuit.monotone.monotone import network_of
from harness.circuit.networks.layered import CellRange, deep_resistive_network, layered_network
from harness.circuit.variation.temperature import Temperature
from harness.circuit.variation.variation import DiodeMismatch, Variation, vary
from harness.cli.main import main
from harness.devices import DiodeModel, ZenerModel
from harness.devices.diode import THERMAL_VOLTAGE
from harness.errors import CircuitError, ExperimentError
from harness.experiment.experiment import Experiment
from harness.learning import Devices, EquilibriumPropagation, FiniteDifferences, HardwareLinearization, SquaredError
from harness.measurement import Array, Drive
from harness.netlist.tolerances import Tolerances
from tests.conftest import random_batch

MODEL = ZenerModel("z", 1e-9, 1.5, 2.4)
TIGHT = Tolerances(reltol=1e-9, vntol=1e-12, abstol=1e-15)


def zeners(hidden: tuple[int, ...] = (4,), seed: int = 0, model: DiodeModel = MODEL) -> Circuit:
    cells = CellRange(1e-5, 1e-7, 1e-3)
    rng = np.random.default_rng(seed)
    return layered_network(
        2, hidden, 2, cells=cells, diode=model, rng=rng, input_gain=12, bias=[4.0] * (len(hidden) + 1)
    )


def current(volts: float) -> float:
    """A through `MODEL`, written anew."""
    scale = 1.5 * THERMAL_VOLTAGE
    if volts < -2.4:
        return -1e-9 * np.exp(min(-(volts + 2.4) / scale, 600)) + 1e-12 * volts
    if volts < -3 * scale:
        return -1e-9 * (1 + (3 * scale / (np.e * volts)) ** 3) + 1e-12 * volts
    return 1e-9 * np.expm1(min(volts / scale, 600)) + 1e-12 * volts


def one_node() -> Circuit:
    elements = (
        InputSource("x0", "x0", 0, 1.0),
        Crossbar("w", ("x0",), ("o0",), np.array([[1e-4]]), 0.0, 1.0),
        Diode("clip", "0", "o0", MODEL),
        Diode("plain", "o0", "0", DiodeModel("dplain", 1e-15, 5.0)),  # two kinds of diodes in one deck
    )
    return Circuit("clipped", elements, (Output("y", "o0"),))


@pytest.mark.parametrize(
    "kind",
    [
        NodalChip,
        UnreducedNodalChip,
        pytest.param(lambda c: NgspiceChip(c, tolerances=TIGHT), marks=pytest.mark.ngspice),
        pytest.param(lambda c: FullNetlistChip(c, tolerances=TIGHT), marks=pytest.mark.ngspice),
    ],
)
def test_a_clipped_node_is_where_bisection_finds_it(kind: type[SimulatedChip]) -> None:
    inputs = np.linspace(-30, 40, 15)[:, None]
    (reading,) = kind(one_node()).measure([Drive(inputs)])
    scale = 5 * THERMAL_VOLTAGE

    def left(volts: float, drive: float) -> float:
        plain = 1e-15 * np.expm1(min(volts / scale, 600)) if volts > -3 * scale else -1e-15
        return 1e-4 * (drive - volts) + current(-volts) - plain - 1e-12 * volts

    expected = [brentq(left, -35, 45, args=(float(x),), xtol=1e-13) for (x,) in inputs]
    np.testing.assert_allclose(reading.outputs[:, 0], expected, atol=1e-8)
    assert -1 < reading.outputs.min() < -0.5
    assert 2 < reading.outputs.max() < 3.2


def test_a_pair_back_to_back_holds_its_node_on_both_sides() -> None:
    circuit = zeners()
    assert "shift_high" not in circuit.nodes
    inputs = 40 * np.array([[1.0, 0.3], [-1.0, -0.3], [0.5, -1.0]])
    (reading,) = NodalChip(circuit).measure([Drive(inputs)])
    hidden = reading.all_nodes[:, [circuit.node_index[f"h1_{k}"] for k in range(4)]]
    assert np.abs(hidden).max() > 2.4 + 0.3
    assert np.abs(hidden).max() < 2.4 + 1.6


@pytest.mark.parametrize("hidden", [(4,), (4, 3)])
def test_both_nodal_chips_agree(hidden: tuple[int, ...]) -> None:
    circuit = zeners(hidden)
    inputs = random_batch(circuit, 4).inputs
    one, other = (
        kind(circuit, tolerance=1e-11).measure([Drive(inputs)])[0] for kind in (NodalChip, UnreducedNodalChip)
    )
    np.testing.assert_allclose(one.all_nodes, other.all_nodes, atol=1e-9)


@pytest.mark.ngspice
def test_ngspice_agrees_reduced_and_whole() -> None:
    circuit = zeners((4, 3))
    inputs = random_batch(circuit, 3).inputs
    (expected,) = NodalChip(circuit, tolerance=1e-11).measure([Drive(inputs)])
    for kind in (NgspiceChip, FullNetlistChip):
        (found,) = kind(circuit, tolerances=TIGHT).measure([Drive(inputs)])
        np.testing.assert_allclose(found.all_nodes, expected.all_nodes, atol=1e-7)


@given(seed=st.integers(0, 2**32), emission=st.floats(0.05, 3), breakdown=st.floats(0.2, 6))
@settings(deadline=None, max_examples=15)
def test_random_networks_with_zeners_settle(seed: int, emission: float, breakdown: float) -> None:
    circuit = zeners((3, 3), seed, ZenerModel("z", 1e-11, emission, breakdown))
    inputs = 5 * random_batch(circuit, 2).inputs
    one, other = (
        kind(circuit, tolerance=1e-10).measure([Drive(inputs)])[0] for kind in (NodalChip, UnreducedNodalChip)
    )
    np.testing.assert_allclose(one.outputs, other.outputs, atol=1e-7)


def flat(parts: tuple[Array, ...]) -> Array:
    return np.concatenate([part.ravel() for part in parts])


def shelf() -> Circuit:
    """A deep resistive network whose nodes are clipped by one Zener each."""
    cells, rng = CellRange(1e-5, 1e-7, 1e-3), np.random.default_rng(2)
    return deep_resistive_network(2, [4], 2, cells=cells, diode=MODEL, rng=rng, input_gain=12)


@pytest.mark.parametrize("circuit", [zeners(), zeners((3, 3)), shelf()], ids=["pairs", "two layers", "shelves"])
def test_gradients_are_those_of_finite_differences(circuit: Circuit) -> None:
    batch, rng = random_batch(circuit, 3), np.random.default_rng(0)
    cost = SquaredError()
    rules = (
        FiniteDifferences(circuit, cost, step=1e-10),
        HardwareLinearization(circuit, cost, gamma=1e-6),
        EquilibriumPropagation(circuit, cost, beta=1e-9),
    )
    chip = NodalChip(circuit, tolerance=1e-13)
    truth, *found = (flat(rule.gradient(rule.measure(chip, batch, rng))) for rule in rules)
    for one in found:
        assert np.linalg.norm(one - truth) < 5e-4 * np.linalg.norm(truth)


def test_shorts_take_the_places_of_pairs_that_conduct() -> None:
    """The node between two Zeners has no conductance of its own, and the pair is open where it is not clipped."""
    circuit = zeners(model=ZenerModel("z", 1e-12, 0.02, 2.4))
    batch, rng, chip = random_batch(circuit, 4), np.random.default_rng(0), NodalChip(circuit, tolerance=1e-12)
    exact, ideal = (
        flat(rule.gradient(rule.measure(chip, batch, rng)))
        for rule in (HardwareLinearization(circuit, SquaredError(), gamma=1e-6, form=form) for form in Devices)
    )
    assert np.linalg.norm(ideal - exact) < 1e-2 * np.linalg.norm(exact)


def test_an_experiment_takes_zeners() -> None:
    chosen = ["network.neuron=zener", "network.zener={saturation_current='10 pA', breakdown='1 V'}"]
    circuit = Experiment.load("xor", chosen).circuit
    models = {e.model for e in circuit.elements if isinstance(e, Diode)}
    assert models == {ZenerModel("zhidden", 1e-11, 1.0, 1.0)}
    with pytest.raises(ExperimentError, match=r"'zener' needs a section \[network.zener\]"):
        Experiment.load("xor", chosen[:1])
    with pytest.raises(ExperimentError, match=r"network\.zener\.breakdown"):
        Experiment.load("xor", [chosen[0], "network.zener={saturation_current='10 pA', breakdown='0 V'}"])


def test_what_zeners_cannot_do_is_refused() -> None:
    with pytest.raises(CircuitError, match=r"diode model z: breakdown voltage 0 V must lie in 0.1…10,000 V"):
        ZenerModel("z", 1e-9, 1.0, 0.0)
    with pytest.raises(CircuitError, match="diode clip: no law says what temperature does to its breakdown"):
        Temperature(85.0).apply(one_node())
    elements = (
        VoltageSource("s", "s", 1.0),
        Resistor("r", "s", "o0", 1e-4),
        Diode("clip", "0", "o0", MODEL),
    )
    with pytest.raises(CircuitError, match="clip: its breakdown is no part of a monotone network"):
        network_of(Circuit("m", elements, (Output("y", "o0"),)))


def test_spread_keeps_the_breakdown() -> None:
    varied = vary(zeners(), Variation(diodes=DiodeMismatch(0.2, 0.0)), 3)
    models = [e.model for e in varied.elements if isinstance(e, Diode)]
    assert len({m.saturation_current for m in models}) == len(models)
    assert all(isinstance(m, ZenerModel) and m.breakdown == 2.4 for m in models)


@pytest.mark.ngspice
def test_a_package_with_zeners_is_read_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    zener = ["--set", "network.neuron=zener", "--set", "network.zener={saturation_current='10 pA', breakdown='1 V'}"]
    commands = (
        ["train", "xor", "--chip", "nodal", "--set", "training.epochs=1", *zener, "--run", "run"],
        ["export", "run", "--to", "net"],
        ["verify", "net"],
    )
    for words in commands:
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
    assert "bv=1.0 ibv=1e-11" in (tmp_path / "net" / "models.cir").read_text(encoding="utf-8")
