"""Equilibrium networks and cascades: what they compute, their training, and perceptrons as circuits."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.neural_network import MLPClassifier

from harness.chip.ngspice.chip import NgspiceChip
from harness.chip.nodal.chip import NodalChip, nodal_chip
from harness.circuit import CellRange, Circuit, VoltageSource, equilibrium_network, layered_network, rectified_cascade
from harness.circuit.networks.perceptron import Perceptron, realize
from harness.cli.main import main
from harness.devices import DiodeModel
from harness.errors import CircuitError, ConvergenceError, DataError, ExperimentError
from harness.exchange.perceptrons import agreement, import_perceptron, realization
from harness.experiment.experiment import Experiment
from harness.learning import HardwareLinearization, SquaredError
from harness.measurement import Drive
from harness.studies import check
from tests.conftest import DIODE, kendall, random_batch
from tests.learning.test_rules import assert_close, gradient_of, inside, truth

CELLS = CellRange(1.0, 1e-3, 10.0)
COST = SquaredError()
SHARP = DiodeModel("dsharp", 1e-6, 0.01)


def random_perceptron(sizes: list[int], seed: int = 0) -> Perceptron:
    rng = np.random.default_rng(seed)
    pairs = list(pairwise(sizes))
    return Perceptron(tuple(rng.normal(size=p) for p in pairs), tuple(rng.normal(size=p[1]) for p in pairs))


def cascade_for(sizes: list[int], gains: tuple[float, ...] = (), diode: DiodeModel = SHARP) -> Circuit:
    rng = np.random.default_rng(0)
    shared = {"cells": CellRange(1.0, 0.0, 10.0), "diode": diode, "rng": rng, "input_gain": 10.0}
    bias = [10.0] * (len(sizes) - 1)
    return rectified_cascade(sizes[0], sizes[1:-1], sizes[-1], **shared, bias=bias, buffer_gain=gains)


@pytest.mark.parametrize("sizes", [[3, 4, 2], [2, 5, 4, 3], [3, 2]])
def test_a_cascade_with_sharp_diodes_computes_its_perceptron(sizes: list[int]) -> None:
    perceptron = random_perceptron(sizes)
    realized = realize(perceptron, cascade_for(sizes), 10.0)
    chip = NodalChip(cascade_for(sizes, realized.buffer_gain).with_conductances(realized.conductances))
    inputs = np.random.default_rng(1).normal(size=(20, sizes[0]))
    (reading,) = chip.measure([Drive(inputs)])
    wanted = perceptron.logits(inputs) * realized.volts_per_logit
    np.testing.assert_allclose(reading.outputs, wanted, atol=3e-3 * np.abs(wanted).max())


def test_softer_diodes_are_further_from_the_perceptron_in_proportion() -> None:
    sizes = [3, 6, 2]
    perceptron = random_perceptron(sizes)
    inputs = np.random.default_rng(1).normal(size=(40, 3))
    errors = []
    emissions = [0.02, 0.04, 0.08, 0.16]
    for emission in emissions:
        diode = DiodeModel("dsoft", 1e-6, emission)
        realized = realize(perceptron, cascade_for(sizes, diode=diode), 10.0)
        circuit = cascade_for(sizes, realized.buffer_gain, diode).with_conductances(realized.conductances)
        (reading,) = NodalChip(circuit).measure([Drive(inputs)])
        errors.append(np.abs(reading.outputs - perceptron.logits(inputs) * realized.volts_per_logit).mean())
    slope = np.polyfit(np.log(emissions), np.log(errors), 1)[0]
    assert slope == pytest.approx(1, abs=0.15)


def digits_perceptron(hidden: tuple[int, ...]) -> Perceptron:
    rows = Experiment.load("cascade-digits").data.train.batch(slice(600))
    model = MLPClassifier(hidden, max_iter=500, tol=1e-3, random_state=0)
    return Perceptron.from_sklearn(model.fit(rows.inputs, rows.targets.argmax(axis=1)))


def test_an_imported_perceptron_predicts_the_same_digits(tmp_path: Path) -> None:
    perceptron = digits_perceptron((24, 16))
    file = tmp_path / "mlp.npz"
    arrays = {f"weights_{k}": w for k, w in enumerate(perceptron.weights)}
    np.savez(file, **arrays, **{f"biases_{k}": b for k, b in enumerate(perceptron.biases)})
    run = tmp_path / "run"
    result = CliRunner().invoke(main, ["import-mlp", str(file), "--chip", "nodal", "--run", str(run), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["predictions_equal"] >= 0.99
    assert 0 < found["mean_error"] < 0.15 * found["signal"]
    evaluated = CliRunner().invoke(main, ["evaluate", str(run), "--json"])
    assert json.loads(evaluated.stdout)["test_accuracy"] == found["circuit_accuracy"]


def test_a_perceptron_whose_circuit_does_not_settle_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsettled(*_: object) -> None:
        raise ConvergenceError("Newton's method did not settle", sample=0, phase="free")

    monkeypatch.setattr("harness.exchange.perceptrons.agreement", unsettled)
    with pytest.raises(ConvergenceError):
        import_perceptron(Experiment.load("cascade-digits"), random_perceptron([64, 4, 10]), tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.ngspice
def test_an_imported_perceptron_in_ngspice_goes_on_learning(tmp_path: Path) -> None:
    experiment = Experiment.load("moons", ["training.epochs=2", "network.rectifier_rail=0.2"])
    rows = experiment.data.train.batch(slice(None))
    model = MLPClassifier((12, 8), max_iter=2000, tol=1e-3, random_state=1)
    perceptron = Perceptron.from_sklearn(model.fit(rows.inputs, rows.targets.argmax(axis=1)))
    fitted, realized = realization(experiment, perceptron)
    found = agreement(fitted, perceptron, realized)
    assert found.predictions_equal >= 0.97
    file = tmp_path / "mlp.npz"
    arrays = {f"weights_{k}": w for k, w in enumerate(perceptron.weights)}
    np.savez(file, **arrays, **{f"biases_{k}": b for k, b in enumerate(perceptron.biases)})
    run = tmp_path / "run"
    arguments = ["import-mlp", str(file), "--into", "moons", "--set", "training.epochs=2", "--run", str(run)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert f"next: harness train --resume {run}" in result.stdout
    result = CliRunner().invoke(main, ["train", "--resume", str(run), "--workers", "1", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["test_accuracy"] > 0.8
    assert (run / "boundary.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_perceptron_for_the_circuit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"layer 1: weights \(5, 2\) and biases \(2,\) do not follow each other"):
        Perceptron((np.ones((3, 4)), np.ones((5, 2))), (np.zeros(4), np.zeros(2)))
    with pytest.raises(DataError, match="layer 0: a weight or bias is not finite"):
        Perceptron((np.full((3, 4), np.nan),), (np.zeros(4),))
    with pytest.raises(DataError, match=r"missing\.npz: there is no such file"):
        Perceptron.from_npz(tmp_path / "missing.npz")
    np.savez(tmp_path / "half.npz", weights_0=np.zeros((3, 4)))
    with pytest.raises(DataError, match="has no array 'biases_0'; it has weights_0"):
        Perceptron.from_npz(tmp_path / "half.npz")
    for size, told in ((1e300, "1e.300"), (0.0, "0"), (1e-320, "1e-320")):
        with pytest.raises(DataError, match=rf"layer 1: the largest of its weights and biases is {told} in size"):
            Perceptron((np.ones((3, 4)), np.full((4, 2), size)), (np.zeros(4), np.zeros(2)))
    with pytest.raises(CircuitError, match="its crossbars do not fit a perceptron of layers"):
        realize(random_perceptron([3, 4, 2]), cascade_for([3, 5, 2]), 1.0)
    with pytest.raises(ExperimentError, match="it has 3 inputs and 2 outputs, the data have 64 inputs and 10 outputs"):
        realization(Experiment.load("cascade-digits"), random_perceptron([3, 4, 2]))
    with pytest.raises(ExperimentError, match=r"a perceptron needs network.kind = 'cascade'"):
        realization(Experiment.load("digits"), random_perceptron([64, 4, 10]))


@pytest.mark.parametrize("chip", ["nodal", pytest.param("ngspice", marks=pytest.mark.ngspice)])
def test_linearized_gradients_of_equilibrium_networks_and_cascades(chip: str) -> None:
    shared = {"cells": CELLS, "diode": DIODE, "input_gain": 2.0}
    circuits = [
        equilibrium_network(3, 5, 2, **shared, rng=np.random.default_rng(0)),
        rectified_cascade(3, [4, 3], 2, **shared, rng=np.random.default_rng(0), buffer_gain=[3.0, 2.0]),
    ]
    for circuit in map(inside, circuits):
        batch = random_batch(circuit)
        bound, made = (1e-8, NodalChip(circuit, tolerance=1e-11)) if chip == "nodal" else (1e-4, NgspiceChip(circuit))
        rule = HardwareLinearization(circuit, COST, gamma=1e-1)
        assert_close(gradient_of(rule, made, batch), truth(circuit, batch), bound)


@pytest.mark.parametrize("chip", ["nodal", pytest.param("ngspice", marks=pytest.mark.ngspice)])
@pytest.mark.parametrize("kind", ["equilibrium", "cascade", "amplified"])
def test_derivatives_by_bias_rails(chip: str, kind: str) -> None:
    shared = {"cells": CELLS, "diode": DIODE, "input_gain": 2.0}

    def circuit_of(bias: float, rail: float = 0.1) -> Circuit:
        rng = np.random.default_rng(0)
        if kind == "equilibrium":
            return equilibrium_network(3, 5, 2, **shared, rng=rng, bias=(bias, 1.0))
        if kind == "amplified":
            return layered_network(3, [4], 2, **shared, rng=rng, bias=(bias, 1.0), shift=(-rail, 0.3))
        return rectified_cascade(3, [4], 2, **shared, rng=rng, bias=(bias, 1.0), rectifier_rail=rail)

    circuit = circuit_of(1.2)
    batch = random_batch(circuit)
    rule = HardwareLinearization(circuit, COST, gamma=1e-1)
    made = NodalChip(circuit, tolerance=1e-11) if chip == "nodal" else NgspiceChip(circuit)
    readings = rule.measure(made, batch, np.random.default_rng(0))
    found = rule.rail_gradient(readings, made.conductances)

    def cost(other: Circuit) -> float:
        (reading,) = NodalChip(other, tolerance=1e-11).measure([Drive(batch.inputs)])
        return float(COST.values(reading.outputs, batch.targets).mean())

    step, bound = 1e-4, 1e-6 if chip == "nodal" else 1e-4
    expected = (cost(circuit_of(1.2 + step)) - cost(circuit_of(1.2 - step))) / (2 * step)
    assert found["b1p"] - found["b1n"] == pytest.approx(expected, rel=bound)
    if kind != "equilibrium":
        name, sign = ("rectifier", 1) if kind == "cascade" else ("shift_low", -1)
        expected = (cost(circuit_of(1.2, 0.1 + step)) - cost(circuit_of(1.2, 0.1 - step))) / (2 * step)
        assert sign * found[name] == pytest.approx(expected, rel=bound)
    assert set(found) == {e.name for e in circuit.elements if isinstance(e, VoltageSource)}


@pytest.mark.parametrize("name", ["cascade-digits", "mondeq-digits"])
def test_digits_on_a_small_network_of_each_kind(tmp_path: Path, name: str) -> None:
    small = ["network.hidden=[20]", "training.epochs=3", "chip.kind=nodal"]
    experiment = Experiment.load(name, small)
    result = experiment.train(experiment.create_run(tmp_path / "run"))
    assert result is not None
    assert result["test_accuracy"] > 0.75


def test_moons_are_told_apart_and_their_boundary_drawn(tmp_path: Path) -> None:
    experiment = Experiment.load("moons", ["chip.kind=nodal", "training.epochs=10"])
    run = experiment.create_run(tmp_path / "run")
    result = experiment.train(run)
    assert result is not None
    assert result["test_accuracy"] > 0.9
    assert (run.path / "boundary.png").read_bytes().startswith(b"\x89PNG")


def test_wrong_gains_are_refused() -> None:
    with pytest.raises(CircuitError, match="buffer_gain: 2 values for 1 hidden layer; give one for each"):
        rectified_cascade(2, [3], 1, cells=CELLS, diode=DIODE, rng=np.random.default_rng(0), buffer_gain=[1.0, 2.0])
    with pytest.raises(ExperimentError, match="2 layers; an equilibrium network has one"):
        Experiment.load("mondeq-digits", ["network.hidden=[4, 4]", "network.bias=[]"])
    assert kendall([3]).arrays


def test_stages_with_lateral_cells_learn_from_an_experiment_file() -> None:
    """Each stage is an equilibrium network then: the gradient is exact for its lateral cells, too."""
    changes = ["network.hidden=[4,3]", "network.bias=[]", "network.buffer_gain=[4,4]", "update.rates=[5e-3]"]
    own = [*changes, "network.lateral=true", "data.set=iris", "data.held_out=0.3", "chip.kind=nodal"]
    subject = Experiment.load("cascade-digits", own)
    assert [array.name for array in subject.circuit.arrays] == ["w1", "lateral1", "w2", "lateral2", "w3"]
    assert subject.settings.network.arrays == len(subject.circuit.arrays)
    circuit, batch = check.inside(subject.circuit), subject.data.train.batch(slice(5))
    rule = HardwareLinearization(circuit, subject.cost, gamma=1e-6)
    ours = rule.gradient(rule.measure(nodal_chip(circuit, tolerance=1e-11), batch, np.random.default_rng(0)))
    cells = [np.argwhere(np.ones(array.shape))[:6] for array in circuit.arrays]
    exact = check.finite_differences(circuit, subject.cost, batch, cells)
    for array, chosen, found, right in zip(circuit.arrays, cells, ours, exact, strict=True):
        assert np.abs(right).max() > 0, array.name
        np.testing.assert_allclose(found[tuple(chosen.T)], right, rtol=1e-4, atol=1e-5 * np.abs(right).max())


def test_a_lone_hidden_node_has_no_lateral_cells() -> None:
    own = ["network.hidden=[1]", "network.lateral=true", "update.rates=[5e-3]"]
    subject = Experiment.load("cascade-digits", own)
    assert [array.name for array in subject.circuit.arrays] == ["w1", "w2"]
    assert subject.settings.network.arrays == len(subject.circuit.arrays)
