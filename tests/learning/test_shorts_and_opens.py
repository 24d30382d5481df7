"""Hardware linearization by shorts and opens: merged nodes by hand, every chip, and how it nears the exact gradient."""

import numpy as np
import pytest

from harness.chip.base import SimulatedChip
from harness.chip.ngspice.chip import FullBatchChip, FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import Circuit, Crossbar, Diode, InputSource, Mosfet, Output, Resistor, VoltageSource
from harness.circuit.networks.layered import CellRange, equilibrium_network
from harness.devices import DiodeModel, MosfetModel
from harness.errors import ChipError, CircuitError, ExperimentError
from harness.experiment.experiment import Experiment
from harness.learning import Devices, HardwareLinearization, SquaredError
from harness.measurement import Array, Batch, Capabilities, Drive, Injection
from tests.conftest import kendall, random_batch, scellier

SHARP = DiodeModel("dsharp", 1e-14, 0.05)
CHIPS = [
    NodalChip,
    UnreducedNodalChip,
    pytest.param(NgspiceChip, marks=pytest.mark.ngspice),
    pytest.param(FullNetlistChip, marks=pytest.mark.ngspice),
    pytest.param(FullBatchChip, marks=pytest.mark.ngspice),
]
CONDUCTANCES = {
    ("x0", "a"): 3e-6,
    ("x0", "b"): 2e-6,
    ("x0", "c"): 1e-6,
    ("a", "b"): 4e-6,
    ("b", "c"): 5e-6,
    ("c", "d"): 7e-6,
    ("d", "0"): 6e-6,
}


def ladder() -> Circuit:
    """Diodes between free nodes, to a rail and to ground."""
    resistors = [Resistor(f"r{k}", a, b, g) for k, ((a, b), g) in enumerate(CONDUCTANCES.items())]
    elements = (
        InputSource("x0", "x0", 0, 1.0),
        VoltageSource("high", "high", 0.3),
        Crossbar("w", ("x0",), ("d",), np.array([[2e-6]]), 0.0, 1.0),
        *resistors,
        Diode("over", "a", "c", SHARP),
        Diode("up", "b", "high", SHARP),
        Diode("down", "0", "a", SHARP),
    )
    return Circuit("ladder", elements, (Output("y", "d"), Output("z", "a", "b")))


def by_hand(merged: dict[str, str], currents: dict[str, float]) -> dict[str, float]:
    """Voltages of the ladder's nodes with its sources at 0 V, nodes merged into others, and currents into nodes (A)."""
    own = {node: merged.get(node, node) for node in "abcd"} | {"0": "0", "x0": "0"}
    nodes = sorted({end for end in own.values() if end != "0"})
    matrix, right = np.zeros((len(nodes), len(nodes))), np.zeros(len(nodes))
    for (first, second), siemens in [*CONDUCTANCES.items(), (("x0", "d"), 2e-6)]:
        ends = [own[first], own[second]]
        for here, there in (ends, ends[::-1]):
            if here != "0" and here != there:
                matrix[nodes.index(here), nodes.index(here)] += siemens
                if there != "0":
                    matrix[nodes.index(here), nodes.index(there)] -= siemens
    for node, amperes in currents.items():
        if own[node] != "0":
            right[nodes.index(own[node])] += amperes
    found = {"0": 0.0, **dict(zip(nodes, np.linalg.solve(matrix, right).tolist(), strict=True))}
    return {node: found[end] for node, end in own.items()}


@pytest.mark.parametrize("kind", CHIPS)
def test_shorts_and_opens_are_merged_nodes(kind: type[SimulatedChip]) -> None:
    chip, inputs = kind(ladder()), np.array([[2.0], [-2.0]])
    (free,) = chip.measure([Drive(inputs)])
    current = 1e-6 * np.array([[1.0, -0.5], [0.7, 2.0]])
    (small,) = chip.measure([Drive(inputs, Injection(current), "small", free, ideal=True)])
    merged = [{"a": "c", "b": "0"}, {"a": "0", "c": "0"}]  # `over` and `up` conduct, then `over` and `down`
    for sample, (y, z) in enumerate(current):
        expected = by_hand(merged[sample], {"d": y, "a": z, "b": -z})
        found = dict(zip(chip.circuit.nodes, small.all_nodes[sample].tolist(), strict=True))
        for node in "abcd":
            assert found[node] == pytest.approx(expected[node], abs=1e-6 * max(map(abs, expected.values())))


@pytest.mark.parametrize("circuit", [kendall([4, 3], 0), scellier([4, 3])], ids=["amplifiers", "deep resistive"])
def test_all_chips_take_the_same_diodes_for_shorts(circuit: Circuit) -> None:
    batch = random_batch(circuit, 3)
    found = []
    for kind in (NodalChip, UnreducedNodalChip):
        rule = HardwareLinearization(circuit, SquaredError(), gamma=1e-3, form=Devices.IDEAL)
        found.append(rule.gradient(rule.measure(kind(circuit, tolerance=1e-10), batch, np.random.default_rng(0))))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6 * np.abs(other).max())


def gradient(emission: float, form: Devices) -> Array:
    """Gradient of a resistor–diode network with diodes of an emission coefficient, V²/S."""
    rng = np.random.default_rng(7)
    cells, diode = CellRange(1e-5, 1e-7, 1e-3), DiodeModel("dideal", 1e-12, emission)
    circuit = equilibrium_network(2, 5, 2, cells=cells, diode=diode, rng=rng, input_gain=3)
    batch = Batch(rng.normal(size=(6, 2)), rng.normal(size=(6, 2)))
    rule = HardwareLinearization(circuit, SquaredError(), gamma=1e-6, form=form)
    found = rule.gradient(rule.measure(NodalChip(circuit, tolerance=1e-12), batch, rng))
    return np.concatenate([part.ravel() for part in found])


def test_the_gradient_nears_the_exact_one_in_proportion_to_n() -> None:
    sharpness, apart = np.array([0.08, 0.04, 0.02, 0.01]), []
    for emission in sharpness:
        exact, ideal = (gradient(float(emission), form) for form in Devices)
        apart.append(np.linalg.norm(ideal - exact) / np.linalg.norm(exact))
    order, _ = np.polyfit(np.log(sharpness), np.log(apart), 1)
    assert order == pytest.approx(1, abs=0.05)
    assert apart[-1] < 1e-3


def test_an_experiment_asks_for_shorts_and_opens() -> None:
    rule = Experiment.load("moons", ["rule.form=ideal"]).rule
    assert isinstance(rule, HardwareLinearization)
    assert rule.ideal
    with pytest.raises(ExperimentError, match=r"rule.form = 'idael': must be 'slopes' or 'ideal'; did you mean"):
        Experiment.load("moons", ["rule.form=idael"])


def test_what_has_no_shorts_is_refused() -> None:
    circuit = kendall([3], 0)
    batch = random_batch(circuit, 2)
    with pytest.raises(ChipError, match="shorts and opens are for small-signal phases without a frequency"):
        NodalChip(circuit).measure([Drive(batch.inputs, ideal=True)])
    needs = HardwareLinearization(circuit, SquaredError(), gamma=1.0, form=Devices.IDEAL).needs
    plain = Capabilities(needs.nudges, small_signal=True)
    assert "shorts and opens in the places of devices" in plain.lacking(needs)
    elements = (*circuit.elements, Mosfet("gate", "h1_0", "x0p", "0", MosfetModel("mgate", 1e-3, 0.2)))
    gated = Circuit("gated", elements, circuit.outputs)
    with pytest.raises(CircuitError, match="transistor gate: its gate is at a node of its own"):
        HardwareLinearization(gated, SquaredError(), gamma=1.0, form=Devices.IDEAL)
