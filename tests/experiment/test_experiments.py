"""Packaged experiments on free graphs, and every rule by one override: what comes out, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.circuit import Edges
from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.measurement import Access

NODAL = ["chip.kind=nodal"]
RULES = [
    "equilibrium-propagation",
    "coupled-learning",
    "analytical-gradient",
    "hardware-linearization",
    "node-perturbation",
    "simultaneous-perturbation",
]


def trained(tmp_path: Path, name: str, *overrides: str) -> dict[str, object]:
    experiment = Experiment.load(name, [*NODAL, *overrides])
    result = experiment.train(experiment.create_run(tmp_path / "run"))
    assert result is not None
    return result


@pytest.mark.parametrize("rule", RULES[:3])
def test_regression_is_learned_by_coupled_learning_ep_and_the_analytical_gradient(tmp_path: Path, rule: str) -> None:
    result = trained(tmp_path, "regression", f"rule.kind={rule}")
    assert result["test_accuracy"] > 0.999
    assert result["score"] == "R²"


@pytest.mark.parametrize("rule", RULES[:3])
def test_irises_on_a_linear_graph(tmp_path: Path, rule: str) -> None:
    result = trained(tmp_path, "iris-graph", f"rule.kind={rule}", "training.epochs=10")
    assert result["test_accuracy"] >= 0.93


def test_a_distant_edge_answers_the_source(tmp_path: Path) -> None:
    result = trained(tmp_path, "allostery")
    assert result["test_loss"] < 1e-6  # V²: both drops within 1.4 mV


def test_exclusive_or_on_a_graph_with_diodes(tmp_path: Path) -> None:
    assert trained(tmp_path, "xor-graph")["test_accuracy"] == 1.0


@pytest.mark.ngspice
@pytest.mark.parametrize("name", ["iris-graph", "xor-graph", "allostery"])
def test_ngspice_trains_graphs_as_the_nodal_chip_does(tmp_path: Path, name: str) -> None:
    results = [
        trained(tmp_path / kind, name, f"chip.kind={kind}", "training.epochs=2") for kind in ("nodal", "ngspice")
    ]
    assert results[0]["train_loss"] == pytest.approx(results[1]["train_loss"], rel=1e-3)


@pytest.mark.parametrize("rule", RULES)
def test_one_override_changes_the_rule_of_digits(tmp_path: Path, rule: str) -> None:
    """One small step down the gradient of one batch."""
    experiment = Experiment.load("digits", [*NODAL, f"rule.kind={rule}", "update.rates=[5e-4]"])
    chip = experiment.new_chip()
    batch = experiment.data.train.batch(slice(16))
    update, losses = experiment.update, []
    for _ in range(2):
        readings = experiment.rule.measure(chip, batch, np.random.default_rng(0))
        losses.append(experiment.cost.values(readings.free.outputs, batch.targets).mean())
        change, _ = update.step(experiment.rule.gradient(readings), update.init(chip.conductances))
        chip.adjust(change)
    if rule != "simultaneous-perturbation":  # whose single draw need not lower the cost
        assert losses[1] < 0.9 * losses[0]


def test_a_run_records_what_it_asked_of_the_chip(tmp_path: Path) -> None:
    result = trained(tmp_path, "iris-graph", "training.epochs=2", 'chip.settling_time="1 us"')
    rows = pd.read_csv(tmp_path / "run" / "epochs.csv")
    samples, outputs = 105, 3
    assert list(rows["phases settled"]) == [2 * samples] * 2  # free and clamped
    assert list(rows["voltages set"]) == [samples * (2 * 8 + outputs)] * 2  # inputs in both phases, clamps in one
    inner = 40 - 8 - 2 - outputs
    assert list(rows["nodes read"]) == [2 * samples * (inner + outputs)] * 2
    edges = 40 * 8 // 2
    assert (rows["conductances written"] <= 14 * edges).all()
    assert (rows["energy dissipated (J)"] > 0).all()
    assert result["phases"] == 4 * samples
    assert result["energy"] == pytest.approx(rows["energy dissipated (J)"].sum())


def test_the_ledger_of_an_interrupted_run_is_that_of_an_uninterrupted_one(tmp_path: Path) -> None:
    experiment = Experiment.load("iris-graph", [*NODAL, "training.epochs=2", 'chip.settling_time="1 us"'])
    runs = [experiment.create_run(tmp_path / name) for name in ("whole", "halves")]
    experiment.train(runs[0])
    steps = iter(range(100))
    assert experiment.train(runs[1], stop=lambda: next(steps) == 5) is None
    experiment.train(runs[1])
    columns = ["phases settled", "nodes read", "voltages set", "conductances written", "energy dissipated (J)"]
    tables = [pd.read_csv(run.path / "epochs.csv")[columns] for run in runs]
    pd.testing.assert_frame_equal(*tables)


def test_only_the_analytical_gradient_trains_where_only_outputs_may_be_read(tmp_path: Path) -> None:
    overrides = ["chip.access=outputs", "training.epochs=4"]
    assert Experiment.load("iris-graph", overrides).settings.chip.access is Access.OUTPUTS
    assert trained(tmp_path, "iris-graph", "rule.kind=analytical-gradient", *overrides)["test_accuracy"] > 0.8
    told = "rule equilibrium-propagation needs voltages of nodes, which chip nodal does not give; set chip.access"
    with pytest.raises(ExperimentError, match=told):
        trained(tmp_path / "ep", "iris-graph", "rule.kind=equilibrium-propagation", *overrides)
    assert not list((tmp_path / "ep").glob("**/manifest.json"))


def test_a_subset_is_written_and_the_rest_keeps_its_value(tmp_path: Path) -> None:
    experiment = Experiment.load("iris", [*NODAL, "training.epochs=1", "subset.choose=random", "subset.fraction=0.25"])
    run = experiment.create_run(tmp_path / "run")
    experiment.train(run)
    for before, after in zip(experiment.circuit.conductances, experiment.trained(run).conductances, strict=True):
        changed = (before != after).sum()
        assert 0 < changed <= round(0.25 * before.size)


def test_edges_come_from_a_file_beside_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("a,b,conductance,diode\nA,B,1 mS,\nB,C,,\nC,D,2 mS,\nA,D,,\nB,D,,forward\n")
    (tmp_path / "data.csv").write_text("x,y\n1,0.3\n-1,-0.3\n0.5,0.1\n")
    (tmp_path / "own.toml").write_text("""
name = "own"
data = { set = "csv", file = "data.csv", values = ["y"], held_out = 0 }
rule = { kind = "hardware-linearization" }
update = { kind = "adam", rates = [1e-2] }
training = { epochs = 3, batch = 3 }
chip = { kind = "nodal" }
[network]
kind = "graph"
shape = "file"
file = "edges.csv"
inputs = ["A"]
outputs = ["C"]
grounds = ["D"]
g_unit = "1 mS"
g_max = "10 mS"
diode = { saturation_current = "1 nA" }
""")
    experiment = Experiment.from_file(tmp_path / "own.toml")
    (edges,) = experiment.circuit.arrays
    assert isinstance(edges, Edges)
    assert (edges.a, edges.conductances[[0, 2]].tolist()) == (("nA", "nB", "nC", "nA", "nB"), [1e-3, 2e-3])
    result = experiment.train(experiment.create_run(tmp_path / "run"))
    assert result is not None
    assert experiment.warnings() == []
    again = Experiment.from_file(tmp_path / "run" / "experiment.toml")
    np.testing.assert_array_equal(again.circuit.conductances[0], experiment.circuit.conductances[0])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (['network.inputs=["0", "10"]', "network.inverted=[]"], "network.inputs: 2 for data with 4; give one for each"),
        (['network.outputs=["8"]'], "network.outputs: 1 for data with 3; give one for each"),
        (["network.shape=file"], "shape = 'file' needs a file"),
        (["network.edge_diode=forward"], r"'forward' needs a section \[network.diode\]"),
        (["subset.choose=mask"], "choose = 'mask' needs a file"),
        (["subset.choose=arrays"], "choose = 'arrays' needs the names of arrays"),
        (["rule.eta=-1"], "rule.eta = -1: must be above 0"),
        (['chip.settling_time="1 V"'], "should be in s"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        assert Experiment.load("iris-graph", overrides).circuit


def test_targets_beyond_the_held_voltages_are_named() -> None:
    (warning, _) = Experiment.load("xor-graph", ['data.targets=["0 V", "7 V"]']).warnings()
    assert "output y0: the target 7 V of sample" in warning
    assert "lies outside -4 V…4 V" in warning
    assert not Experiment.load("xor-graph").warnings()
