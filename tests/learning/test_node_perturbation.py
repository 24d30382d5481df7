"""Node perturbation against finite differences, at random, where drops vanish, and on chips that show outputs only."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.circuit import (
    BidirectionalAmplifier,
    Circuit,
    Crossbar,
    CurrentSource,
    Diode,
    Edges,
    InputSource,
    Output,
    Resistor,
    VoltageSource,
    equilibrium_network,
    rectified_cascade,
)
from harness.circuit.variation.lines import AmplifierErrors
from harness.cli.main import main
from harness.devices import MosfetModel
from harness.errors import CircuitError, ExperimentError
from harness.experiment.experiment import Experiment
from harness.learning import (
    AnalyticalGradient,
    FiniteDifferences,
    NodePerturbation,
    SimultaneousPerturbation,
    SoftmaxCrossEntropy,
)
from harness.learning.rules.perturbation import forest
from harness.learning.rules.perturbation.forest import Forester
from harness.measurement import Access, Batch, Conductances, Drive
from harness.testing import check_rule
from tests.conftest import CELLS, DIODE, kendall, random_batch, scellier
from tests.learning.test_rules import COST, assert_close, gradient_of, graph, inside, truth


def cascade() -> Circuit:
    """Three stages that buffers join."""
    options = {"cells": CELLS, "diode": DIODE, "rng": np.random.default_rng(0), "input_gain": 3.0}
    return inside(rectified_cascade(2, [4, 3], 2, **options, bias=[3.0] * 3, buffer_gain=(2.0, 2.0)))  # type: ignore[arg-type]


def equilibrium() -> Circuit:
    """Cells between hidden nodes beside crossbars."""
    options = {"cells": CELLS, "diode": DIODE, "rng": np.random.default_rng(0), "input_gain": 3.0}
    return inside(equilibrium_network(2, 4, 2, **options))  # type: ignore[arg-type]


def island() -> Circuit:
    """Trainable cells that fixed resistors and an amplifier alone join to what sources hold."""
    return Circuit(
        "island",
        (
            InputSource("x0", "in", 0, 1.0),
            VoltageSource("rail", "up", 0.7),
            Resistor("r0", "in", "a", 1.0),
            Resistor("r1", "up", "b", 2.0),
            Resistor("r2", "c", "0", 1.0),
            Edges("w", ("a", "b", "c"), ("b", "c", "a"), np.array([0.5, 1.0, 2.0]), 1e-3, 10.0),
            BidirectionalAmplifier("amp", "c", "d", 3.0),
            Edges("u", ("d", "d", "e"), ("e", "y", "y"), np.array([0.3, 0.4, 1.0]), 1e-3, 10.0),
            Diode("z", "y", "0", DIODE),
            Resistor("r3", "e", "0", 1.0),
        ),
        (Output("y", "y"), Output("q", "e", "y")),
    )


def driven_by_a_current() -> Circuit:
    """A current that two arrays lead to ground, which is all that is held; `u` reaches ten times as far as `w`."""
    return Circuit(
        "divided",
        (
            CurrentSource("i", "0", "a", 1.0),
            Resistor("r", "a", "b", 1.0),
            Edges("w", ("a",), ("0",), np.array([0.5]), 1e-3, 1.0),
            Edges("u", ("b",), ("0",), np.array([0.5]), 1e-3, 10.0),
        ),
        (Output("y", "b"),),
    )


CIRCUITS = [
    pytest.param(inside(kendall([5, 4])), id="amplified"),
    pytest.param(inside(scellier([5, 4])), id="rectified"),
    pytest.param(inside(kendall([4], diode=MosfetModel("mt", 1e-3, 0.1))), id="transistors"),
    pytest.param(graph(), id="graph"),
    pytest.param(graph(diodes=True), id="graph with diodes"),
    pytest.param(cascade(), id="cascade"),
    pytest.param(equilibrium(), id="equilibrium"),
    pytest.param(island(), id="island"),
    pytest.param(driven_by_a_current(), id="ground alone"),
]


def on_outputs(circuit: Circuit, **options: object) -> tuple[NodePerturbation, NodalChip]:
    """The rule with a twin, and a chip that shows its outputs only."""
    twin = lambda: NodalChip(circuit, tolerance=1e-11)  # noqa: E731
    rule = NodePerturbation(circuit, COST, twin=twin, **{"step": 1e-5, **options})  # type: ignore[arg-type]
    return rule, NodalChip(circuit, tolerance=1e-11, access=Access.OUTPUTS)


def cosine(ours: Conductances, theirs: Conductances) -> float:
    a, b = (np.concatenate([part.ravel() for part in each]) for each in (ours, theirs))
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_the_gradient_is_that_of_finite_differences_whether_nodes_are_read_or_predicted(circuit: Circuit) -> None:
    batch = random_batch(circuit)
    expected = truth(circuit, batch)
    rule, chip = on_outputs(circuit)
    assert_close(gradient_of(rule, chip, batch), expected, 1e-6)
    for now, before in zip(chip.conductances, circuit.conductances, strict=True):
        np.testing.assert_array_equal(now, before)
    reading = NodePerturbation(circuit, COST, step=1e-5)
    assert_close(gradient_of(reading, NodalChip(circuit, tolerance=1e-11), batch), expected, 1e-6)


def test_any_cost_that_has_a_value_for_each_sample_is_lowered() -> None:
    circuit, cost = inside(kendall([4])), SoftmaxCrossEntropy(0.7)
    batch = random_batch(circuit)
    rule = NodePerturbation(circuit, cost, step=1e-5)
    assert_close(gradient_of(rule, NodalChip(circuit, tolerance=1e-11), batch), truth(circuit, batch, cost), 1e-6)


def test_it_keeps_the_promises_of_rules() -> None:
    circuit = inside(kendall([4]))
    check_rule(lambda c, cost: NodePerturbation(c, cost, step=1e-4), lambda: NodalChip(circuit), COST)
    check_rule(
        lambda c, cost: NodePerturbation(c, cost, step=1e-4, twin=lambda: NodalChip(c)),
        lambda: NodalChip(circuit, access=Access.OUTPUTS),
        COST,
    )


def test_it_takes_two_phases_for_about_every_node_and_reads_outputs_alone() -> None:
    circuit = inside(kendall([6, 5], channels=8))
    batch = random_batch(circuit)
    rule, chip = on_outputs(circuit)
    gradient_of(rule, chip, batch)
    cells, nodes = sum(g.size for g in circuit.conductances), 6 + 5 + 4
    phases = chip.ledger.phases / len(batch)
    assert 1 + 2 * nodes <= phases <= 1 + 3 * nodes < cells
    assert chip.ledger.nodes_read == chip.ledger.phases * 2
    rule, chip = on_outputs(circuit, draws=7)
    gradient_of(rule, chip, batch)
    assert chip.ledger.phases == (1 + 2 * 7) * len(batch)


def divider(*inputs: tuple[float, float, float], load: float = 1e-12) -> tuple[Circuit, Batch]:
    """One free node y, which without a load (S) settles at the mean of three inputs, and samples of these."""
    sources = tuple(InputSource(f"x{k}", f"n{k}", k, 1.0) for k in range(3))
    cells = Edges("w", ("n0", "n1", "n2"), ("y", "y", "y"), np.array([1.0, 1.0, 1.0]), 1e-3, 10.0)
    circuit = Circuit("divider", (*sources, cells, Resistor("r", "y", "0", load)), (Output("y", "y"),))
    return circuit, Batch(np.array(inputs), np.full((len(inputs), 1), 0.3))


def blind_by_turns(drop: float) -> tuple[Circuit, Batch]:
    """In every sample another input is where y is but for `drop` (V), so that its cell steers no current."""
    near = 0.5 + 1.5 * drop
    return divider((near, 0.0, 1.0), (0.0, near, 1.0), (1.0, 0.0, near))


@pytest.mark.parametrize("drop", [0.0, 1e-14, 1e-8])
def test_where_the_drop_of_a_cell_vanishes_another_one_shows_the_node(drop: float) -> None:
    circuit, batch = blind_by_turns(drop)
    rule = NodePerturbation(circuit, COST, step=1e-5)
    readings = rule.measure(NodalChip(circuit), batch, np.random.default_rng(0))
    expected = (readings.free.outputs - batch.targets)[:, 0] / 3  # λ = ∂C/∂v over the conductance that y sees
    np.testing.assert_allclose(readings.adjoint[:, circuit.node_index["y"]], expected, rtol=1e-5)
    assert_close(rule.gradient(readings), truth(circuit, batch), 1e-6)


def test_samples_without_any_drop_have_no_gradient() -> None:
    circuit, batch = divider((0.5, 0.5, 0.5), (0.0, 0.0, 0.0))
    rule = NodePerturbation(circuit, COST, step=1e-5)
    (gradient,) = gradient_of(rule, NodalChip(circuit), Batch(batch.inputs[1:], batch.targets[1:]))
    np.testing.assert_array_equal(gradient, 0)
    (gradient,) = gradient_of(rule, NodalChip(circuit), batch)
    assert np.abs(gradient).max() < 1e-6


def test_noise_of_the_outputs_is_not_blown_up_by_small_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    """One cell for the node, whatever its drops, is the control."""
    circuit, batch = blind_by_turns(1e-3)
    (expected,) = truth(circuit, batch)

    def error() -> float:
        found = []
        for seed in range(8):
            chip = ImperfectChip(NodalChip(circuit), PinErrors(read_noise=1e-5), seed=seed)
            (gradient,) = gradient_of(NodePerturbation(circuit, COST, step=1e-2), chip, batch, seed)
            found.append(np.linalg.norm(gradient - expected) / np.linalg.norm(expected))
        return float(np.median(found))

    several = error()
    monkeypatch.setattr(forest, "_WORSE", 1e9)
    assert several < 0.05
    assert error() > 5 * several


def test_its_noise_at_random_grows_with_nodes_and_that_of_simultaneous_perturbation_with_cells() -> None:
    """After m draws the cosine is about 1 / √(1 + n / m), n being what is moved; other cells' truth is the control."""
    circuit = inside(kendall([8], channels=12))
    batch = random_batch(circuit, samples=4)
    expected, draws = truth(circuit, batch), 16
    shuffled = tuple(np.random.default_rng(9).permutation(g.ravel()).reshape(g.shape) for g in expected)
    found: dict[str, list[float]] = {"nodes": [], "cells": [], "control": []}
    for seed in range(4):
        ours = gradient_of(NodePerturbation(circuit, COST, step=1e-4, draws=draws), NodalChip(circuit), batch, seed)
        theirs = gradient_of(
            SimultaneousPerturbation(circuit, COST, step=1e-4, draws=draws), NodalChip(circuit), batch, seed
        )
        found["nodes"].append(cosine(ours, expected))
        found["cells"].append(cosine(theirs, expected))
        found["control"].append(cosine(ours, shuffled))
    nodes, cells, control = (float(np.mean(each)) for each in found.values())
    count = sum(g.size for g in expected)
    assert cells == pytest.approx(1 / np.sqrt(1 + count / draws), abs=0.1)
    assert nodes > 1 / np.sqrt(1 + 3 * (8 + 4) / draws) > cells + 0.1
    assert abs(control) < 0.2


def test_its_mean_over_draws_is_the_gradient() -> None:
    circuit = graph()
    batch = random_batch(circuit)
    expected, errors = truth(circuit, batch), []
    for draws in (8, 72):
        rule = NodePerturbation(circuit, COST, step=1e-4, draws=draws)
        found = [gradient_of(rule, NodalChip(circuit), batch, seed)[0] for seed in range(3)]
        errors.append(np.mean([np.linalg.norm(f - expected[0]) for f in found]) / np.linalg.norm(expected[0]))
    assert errors[1] < 0.4
    assert 1.8 < errors[0] / errors[1] < 6


def test_cells_at_a_bound_of_their_range_go_one_way() -> None:
    circuit = graph()
    low = circuit.with_conductances([np.where(np.arange(20) % 2, 1e-3, circuit.conductances[0])])
    batch = random_batch(low)
    ours = gradient_of(NodePerturbation(low, COST, step=1e-6), NodalChip(low, tolerance=1e-11), batch)
    assert_close(ours, gradient_of(AnalyticalGradient(low, COST), NodalChip(low), batch), 1e-4)


def test_cells_that_are_about_as_good_take_turns_so_that_a_stuck_one_does_not_silence_its_node() -> None:
    circuit, batch = divider((1.0, 1.0, 1.02), load=1.0)
    nodes = NodalChip(circuit).measure([Drive(batch.inputs)])[0].nodes
    forester = Forester(circuit)
    seen = [forester.grow(nodes, np.ones(3), np.random.default_rng(seed)).cells.tolist() for seed in range(20)]
    assert set(map(tuple, seen)) == {(0,), (1,), (2,)}


def test_steps_below_what_the_chip_writes_are_refused_and_whole_ones_count_as_written() -> None:
    circuit = inside(kendall([3]))
    batch = random_batch(circuit)
    level = (10.0 - 1e-3) / 255
    for rule in (NodePerturbation, FiniteDifferences, SimultaneousPerturbation):
        chip = ImperfectChip(NodalChip(circuit), PinErrors(levels=256), seed=0)
        before = chip.conductances
        with pytest.raises(ExperimentError, match=r"a step of 4 mS moves no cell of crossbar w1, .*; raise rule.step"):
            gradient_of(rule(circuit, COST, step=4e-3), chip, batch)
        np.testing.assert_array_equal(chip.conductances[0], before[0])
        found = gradient_of(rule(circuit, COST, step=0.6 * level), chip, batch)
        exact = gradient_of(rule(circuit, COST, step=level), chip, batch)
        assert_close(found, exact, 1e-9)


def test_a_step_that_one_array_writes_and_another_does_not_is_refused_too() -> None:
    circuit = driven_by_a_current()
    chip = ImperfectChip(NodalChip(circuit), PinErrors(levels=256), seed=0)
    with pytest.raises(ExperimentError, match=r"a step of 10 mS moves no cell of edges u, which this chip writes in"):
        gradient_of(NodePerturbation(circuit, COST, step=1e-2), chip, random_batch(circuit))


def uneven(*, fed: bool = True) -> Circuit:
    """Two amplifiers of unlike gains between the same two parts, which cells or resistors join to a source."""
    cells = Crossbar("w1", ("in",), ("h0", "h1"), np.array([[1.0, 2.0]]), 1e-3, 10.0)
    resistors = Resistor("r0", "in", "h0", 1.0), Resistor("r1", "in", "h1", 2.0)
    return Circuit(
        "uneven",
        (
            InputSource("x0", "in", 0, 1.0),
            *([cells] if fed else resistors),
            Resistor("joined", "h0", "h1", 1.0),
            BidirectionalAmplifier("a0", "h0", "g0", 2.0),
            BidirectionalAmplifier("a1", "h1", "g1", 3.0),
            Crossbar("w2", ("g0", "g1"), ("y",), np.ones((2, 1)), 1e-3, 10.0),
        ),
        (Output("y", "y"),),
    )


def test_it_takes_amplifiers_of_unequal_gains() -> None:
    varied = AmplifierErrors(gain=0.1, offset=0.02).apply(inside(kendall([4, 3])), np.random.default_rng(0))
    for circuit in (uneven(), varied):
        batch, chip = random_batch(circuit), NodalChip(circuit, tolerance=1e-12)
        found = gradient_of(NodePerturbation(circuit, COST, step=1e-5), chip, batch)
        assert_close(found, truth(circuit, batch), 1e-7)


def without_a_free_cell() -> Circuit:
    rails = VoltageSource("a", "a", 1.0), VoltageSource("b", "b", -1.0)
    cell = Edges("w", ("a",), ("b",), np.ones(1), 1e-3, 10.0)
    return Circuit(
        "held", (*rails, cell, Resistor("r", "a", "y", 1.0), Resistor("s", "y", "0", 1.0)), (Output("y", "y"),)
    )


def test_what_it_cannot_do_is_refused_in_a_sentence() -> None:
    with pytest.raises(CircuitError, match=r"circuit held: every trainable cell lies between nodes that sources hold"):
        NodePerturbation(without_a_free_cell(), COST, step=1e-5)
    with pytest.raises(
        CircuitError, match=r"amplifier a\d: it closes a loop of gain .*; give amplifiers .* one gain, or"
    ):
        NodePerturbation(uneven(fed=False), COST, step=1e-5)
    with pytest.raises(ExperimentError, match="node perturbation: step 0 S must be above 0"):
        NodePerturbation(graph(), COST, step=0.0)
    with pytest.raises(ExperimentError, match="node perturbation: 0 draws; at least 1 is needed"):
        NodePerturbation(graph(), COST, step=1e-5, draws=0)
    result = CliRunner().invoke(main, ["train", "xor", "--set", "rule.kind=node-perturbation", "--set", "rule.draws=0"])
    assert result.exit_code == 2
    assert "rule.draws = 0: must be at least 1" in result.stderr


@pytest.mark.ngspice
def test_ngspice_gives_the_gradient_too() -> None:
    circuit = inside(kendall([4]))
    batch = random_batch(circuit)
    rule = NodePerturbation(circuit, COST, step=1e-2)
    assert_close(gradient_of(rule, NgspiceChip(circuit), batch), truth(circuit, batch), 1e-2)


def losses(kind: str) -> list[float]:
    """Losses of exclusive or, V², step by step, on a chip that shows its outputs only."""
    overrides = ["chip.kind=nodal", "chip.access=outputs", f"rule.kind={kind}"]
    experiment = Experiment.load("xor", overrides)
    chip, batch = experiment.new_chip(), experiment.data.train.batch(slice(4))
    update, rule, rng, found = experiment.update, experiment.rule, np.random.default_rng(0), []
    state = update.init(chip.conductances)
    for _ in range(12):
        readings = rule.measure(chip, batch, rng)
        found.append(float(experiment.cost.values(readings.free.outputs, batch.targets).mean()))
        change, state = update.step(rule.gradient(readings), state)
        chip.adjust(change)
    return found


def test_a_chip_that_shows_its_outputs_only_learns_as_by_the_exact_gradient() -> None:
    ours, exact = losses("node-perturbation"), losses("analytical-gradient")
    np.testing.assert_allclose(ours, exact, rtol=1e-2)
    assert ours[-1] < 0.7 * ours[0]


def test_experiments_train_with_it_where_other_rules_are_refused(tmp_path: Path) -> None:
    words = ["train", "xor", "--chip", "nodal", "--set", "chip.access=outputs", "--set", "training.epochs=1"]
    refused = CliRunner().invoke(main, [*words, "--run", str(tmp_path / "run")])
    assert refused.exit_code == 2
    assert "take a rule that it can serve: analytical-gradient, node-perturbation" in refused.stderr
    for draws in ([], ["--set", "rule.draws=3"]):
        folder = str(tmp_path / f"run{len(draws)}")
        result = CliRunner().invoke(main, [*words, "--set", "rule.kind=node-perturbation", *draws, "--run", folder])
        assert result.exit_code == 0, result.output
