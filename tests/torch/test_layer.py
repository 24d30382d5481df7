"""The circuit as a layer: its derivatives against finite differences, bounds, copies, errors, training end to end."""

import copy
import io
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

from harness import Experiment, NgspiceChip, NodalChip, SquaredError
from harness.chip.base import Chip
from harness.circuit import Circuit, equilibrium_network, rectified_cascade
from harness.circuit.networks.families import grid
from harness.circuit.networks.free import free_graph
from harness.circuit.networks.graphs import EdgeDiode
from harness.errors import ChipError, ExperimentError, NotFiniteError
from harness.learning import HardwareLinearization
from harness.measurement import Access, Batch
from tests.conftest import CELLS, DIODE, kendall, scellier

torch = pytest.importorskip("torch", minversion="2.1", reason="PyTorch 2.1 is not here")
from harness.torch import CircuitLayer  # noqa: E402 - which needs PyTorch

RULES = ["hardware-linearization", "analytical-gradient", "equilibrium-propagation"]


def exact(circuit: Circuit) -> Chip:
    return NodalChip(circuit, tolerance=1e-11)


def graph() -> Circuit:
    edges = [edge if k % 3 else replace(edge, diode=EdgeDiode.FORWARD) for k, edge in enumerate(grid(3, 3))]
    given: dict[str, Any] = {"cells": CELLS, "rng": np.random.default_rng(0), "diode": DIODE}
    return free_graph(edges, ["0", "2"], ["4", "8-6"], grounds=["3"], inverted=["7", "1"], input_gain=2.0, **given)


def cascade() -> Circuit:
    rng = np.random.default_rng(0)
    return rectified_cascade(3, [4, 3], 2, cells=CELLS, diode=DIODE, input_gain=2.0, rng=rng, buffer_gain=[3.0, 2.0])


def equilibrium() -> Circuit:
    return equilibrium_network(3, 4, 2, cells=CELLS, diode=DIODE, input_gain=2.0, rng=np.random.default_rng(0))


CIRCUITS: dict[str, Callable[[], Circuit]] = {
    "layered": lambda: kendall([4, 3]),
    "deep-resistive": lambda: scellier([4]),
    "graph": graph,
    "cascade": cascade,
    "equilibrium": equilibrium,
}


def inside(layer: CircuitLayer) -> None:
    """Move cells off their bounds, where finite differences would step over."""
    with torch.no_grad():
        for cell in layer.cells:
            cell.clamp_(0.01, 0.9)


def checked(layer: CircuitLayer, tolerance: float, step: float) -> None:
    """Compare the derivatives by inputs and by conductances with finite differences."""
    inside(layer)
    inputs = torch.from_numpy(np.random.default_rng(1).normal(size=(2, layer.circuit.channels))).requires_grad_()
    names = [name for name, _ in layer.named_parameters()]

    def settled(x: Any, *cells: Any) -> Any:
        return torch.func.functional_call(layer, dict(zip(names, cells, strict=True)), (x,))

    given = (inputs, *(cell.detach().clone().requires_grad_() for cell in layer.cells))
    torch.manual_seed(0)  # of the directions in which the derivatives are compared
    how = {"eps": step, "atol": tolerance, "rtol": tolerance, "nondet_tol": 1e-9, "fast_mode": True}
    assert torch.autograd.gradcheck(settled, given, **how)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", CIRCUITS)
def test_derivatives_are_those_of_finite_differences(kind: str, rule: str) -> None:
    if (kind, rule) == ("cascade", "equilibrium-propagation"):
        with pytest.raises(ExperimentError, match="lets no errors back"):
            CircuitLayer(CIRCUITS[kind](), rule)
        return
    tolerance = 1e-3 if rule == "equilibrium-propagation" else 1e-5
    checked(CircuitLayer(CIRCUITS[kind](), rule, chip=exact), tolerance, 1e-5)


@pytest.mark.ngspice
@pytest.mark.parametrize("rule", RULES)
def test_derivatives_in_ngspice(rule: str) -> None:
    checked(CircuitLayer(kendall([3], channels=2), rule, chip=NgspiceChip), 1e-3, 1e-3)


def test_the_gradient_is_the_rules_own() -> None:
    circuit, rng = kendall([4]), np.random.default_rng(0)
    batch = Batch(rng.normal(size=(5, 3)), rng.normal(size=(5, 2)))
    rule, chip = HardwareLinearization(circuit, SquaredError(), gamma=1e-3), exact(circuit)
    own = rule.gradient(rule.measure(chip, batch, rng))
    layer = CircuitLayer(circuit, chip=exact)
    loss = 0.5 * ((layer(torch.from_numpy(batch.inputs)) - torch.from_numpy(batch.targets)) ** 2).sum(dim=1).mean()
    loss.backward()
    for cell, unit, expected in zip(layer.cells, layer.units, own, strict=True):
        assert np.allclose(cell.grad.numpy() / unit, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("rule", RULES)
def test_derivatives_count_in_the_unit_of_the_loss(rule: str, scale: float) -> None:
    layer = CircuitLayer(kendall([4]), rule, chip=exact)
    found = []
    for factor in (1.0, scale):
        inputs = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3).requires_grad_()
        (factor * layer(inputs).sum()).backward()
        found.append(inputs.grad / factor)
    assert torch.allclose(*found, rtol=1e-9, atol=0)


def test_a_digital_layer_before_the_circuit_trains_end_to_end() -> None:
    rows, labels = (torch.from_numpy(part[::2]) for part in load_iris(return_X_y=True))
    inputs = ((rows - rows.mean(dim=0)) / rows.std(dim=0)).float()
    digital = torch.nn.Linear(4, 3)
    torch.nn.init.zeros_(digital.weight)  # tells no rows apart, so that the circuit alone could learn nothing
    model = torch.nn.Sequential(digital, CircuitLayer(kendall([4], outputs=3)))
    cells = [cell.detach().clone() for cell in model[1].cells]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs) / 0.1, labels).backward()
        optimizer.step()
    assert (model(inputs).argmax(dim=1) == labels).double().mean() > 0.95
    assert all((old != new).any() for old, new in zip(cells, model[1].cells, strict=True))


def test_cells_stay_within_their_bounds_whatever_an_optimizer_does() -> None:
    layer = CircuitLayer(kendall([4]), g_unit=2.0)
    assert [cell.max().item() * 2.0 for cell in layer.cells] == [g.max() for g in layer.circuit.conductances]
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e6)
    layer(torch.ones(3)).sum().backward()
    optimizer.step()
    assert any((cell < 0).any() for cell in layer.cells)  # the optimizer knows no bounds
    for g, array in zip(layer.conductances, layer.circuit.arrays, strict=True):
        assert array.g_min <= g.min() <= g.max() <= array.g_max  # what the chip is programmed with
    layer(torch.ones(3))
    for cell, array in zip(layer.cells, layer.circuit.arrays, strict=True):
        assert array.g_min <= 2.0 * cell.min() <= 2.0 * cell.max() <= array.g_max  # and the parameters, from now on
    with torch.no_grad():
        layer.cells[0][0, 0] = torch.nan
    with pytest.raises(
        NotFiniteError, match=r"crossbar .* parameter is not finite; lower the optimizer's learning rate"
    ):
        layer(torch.ones(3))


def test_a_pass_between_forward_and_backward_changes_no_derivative() -> None:
    layer = CircuitLayer(kendall([4]), chip=exact)
    alone, disturbed = (torch.ones(2, 3, dtype=torch.float64, requires_grad=True) for _ in "ab")
    layer(alone).sum().backward()
    outputs = layer(disturbed)
    with torch.no_grad():
        for cell in layer.cells:
            cell.mul_(0.5)
        layer(disturbed)  # the chip holds other conductances from now on
    outputs.sum().backward()
    assert torch.equal(alone.grad, disturbed.grad)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 5, 3), (0, 3), (4, 0, 3)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_shapes_and_types_of_inputs_come_back(shape: tuple[int, ...], dtype: str) -> None:
    layer = CircuitLayer(kendall([4]))
    inputs = torch.ones(shape, dtype=getattr(torch, dtype), requires_grad=True)
    outputs = layer(inputs)
    assert (outputs.shape, outputs.dtype) == ((*shape[:-1], 2), inputs.dtype)
    outputs.sum().backward()
    assert (inputs.grad.shape, inputs.grad.dtype) == (shape, inputs.dtype)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (lambda: torch.ones(2, 4), r"inputs have shape \(2, 4\); circuit .* takes \[\.\.\., 3\]"),
        (lambda: torch.tensor(1.0), r"inputs have shape \(\)"),
        (lambda: torch.ones(2, 3, dtype=torch.int64), "inputs are of type torch.int64"),
        (lambda: torch.ones(2, 3, dtype=torch.complex64), "inputs are of type torch.complex64"),
        (lambda: torch.ones(2, 3, device="meta"), "inputs are on meta; the circuit settles on the CPU"),
        (lambda: torch.full((1, 3), torch.nan), "sample 0, column 0 is nan, which is not finite"),
    ],
)
def test_inputs_that_no_circuit_can_show_are_refused(inputs: Callable[[], Any], message: str) -> None:
    with pytest.raises(ChipError, match=message):
        CircuitLayer(kendall([4]))(inputs())


def test_second_derivatives_are_refused() -> None:
    inputs = torch.ones(3, requires_grad=True)
    squares = CircuitLayer(kendall([4]))(inputs) ** 2
    (slope,) = torch.autograd.grad(squares.sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("coupled-learning", "'coupled-learning' can serve no layer: .* another direction than the gradient"),
        ("node-perturbation", "no derivatives by the inputs"),
        ("finite-differences", "no derivatives by the inputs"),
        ("simultaneous-perturbation", "no derivatives by the inputs"),
        ("backpropagation", "there is no such rule; take hardware-linearization, analytical-gradient or"),
    ],
)
def test_rules_that_can_serve_no_layer_are_refused_by_name(rule: str, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        CircuitLayer(kendall([4]), rule)


def test_chips_that_cannot_serve_the_rule_are_refused() -> None:
    layer = CircuitLayer(kendall([4]), chip=lambda circuit: NodalChip(circuit, access=Access.OUTPUTS))
    with pytest.raises(
        ExperimentError, match=r"hardware-linearization needs .*small-signal phases, which chip NodalChip"
    ):
        layer(torch.ones(3))
    for name in ("beta", "g_unit"):
        with pytest.raises(ExperimentError, match=f"{name} = 0 S must be above 0"):
            CircuitLayer(kendall([4]), **{name: 0.0})


def test_copies_and_saved_states_hold_no_chip_and_give_the_same() -> None:
    layer, inputs = CircuitLayer(kendall([4])), torch.ones(2, 3)
    outputs = layer(inputs)
    assert torch.equal(copy.deepcopy(layer)(inputs), outputs)
    assert torch.equal(pickle.loads(pickle.dumps(layer))(inputs), outputs)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    other = CircuitLayer(kendall([4], seed=5))
    assert not torch.equal(other(inputs), outputs)
    other.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert torch.equal(other(inputs), outputs)
    with pytest.raises(ExperimentError, match="its parameters count in 10 S, 10 S, and this layer's in 1 S, 1 S"):
        CircuitLayer(kendall([4]), g_unit=1.0).load_state_dict(layer.state_dict())
    layer.close()
    with torch.no_grad():
        assert torch.equal(layer(inputs), outputs)
    assert "3 inputs, 2 outputs, hardware-linearization" in repr(layer)


def test_an_experiment_says_the_chip_with_its_noise() -> None:
    subject = Experiment.load("iris", ["chip.kind=nodal", "imperfect.read_noise=10 mV"])
    layer, inputs = CircuitLayer.from_experiment(subject), torch.ones(4)
    assert layer.units == (10e-6, 10e-6)
    assert not torch.equal(layer(inputs), layer(inputs))  # every pass of a training reads anew
    layer.eval()
    assert torch.equal(layer(inputs), layer(inputs))
    assert torch.isfinite(layer(inputs)).all()
