"""Convolution as a circuit, against a second oracle that writes the layer's definition down in loops of its own.

The oracle knows an image, kernels, pools and crossbars as arrays of numbers. It writes Kirchhoff's law for every node
with the textbook's convolution, solves it with a dense matrix, and differentiates the cost by the conductances that a
kernel has, all copies moving together. Nothing of it is the harness's.
"""

from contextlib import closing
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Convolution, Kernels, convolutional_network
from harness.errors import CircuitError
from harness.learning import SGD, Adam, AnalyticalGradient, EquilibriumPropagation, HardwareLinearization, SquaredError
from harness.learning.rules.base import LearningRule
from harness.learning.updates.tied import TiedUpdate, copies
from harness.measurement import Array, Batch, Drive
from harness.netlist.tolerances import TIGHT
from harness.studies.check import kirchhoff_residual
from tests.conftest import CELLS, DIODE, kendall, random_batch

PLANES, SIDE, WINDOW, POOL, COUNT, OUTPUTS = 2, 5, 2, 2, 2, 2
GAIN, AMPLIFICATION, LOW, HIGH, BIAS, RESISTORS = 1.5, 4.0, -0.2, 0.3, (0.7, 1.1), 2.0
WIDTH = 2 * 1.38064852e-23 * 300.15 / 1.6021766208e-19  # N V_T, V


def network(convolutions: list[Kernels], image: tuple[int, int, int] = (1, 6, 6), **changes: object) -> Circuit:
    options = {"shift": (LOW, HIGH), "cells": CELLS, "diode": DIODE, "rng": np.random.default_rng(0), **changes}
    hidden = options.pop("hidden", ())
    return convolutional_network(image, convolutions, hidden, OUTPUTS, **options)  # type: ignore[arg-type]


def pooled() -> Circuit:
    """The circuit that the oracle knows."""
    layer = Kernels((WINDOW, WINDOW), COUNT, pool=POOL, pool_conductance=RESISTORS)
    return network([layer], (PLANES, SIDE, SIDE), input_gain=GAIN, bias=BIAS)


def diode(v: Array) -> tuple[Array, Array]:
    """Current (A) and slope (S) of SPICE's junction at v (V)."""
    below = np.minimum(v, -3 * WIDTH)
    cubed = (3 * WIDTH / (np.e * below)) ** 3
    forward = v > -3 * WIDTH
    current = np.where(forward, np.expm1(np.maximum(v, -3 * WIDTH) / WIDTH), -(1 + cubed))
    slope = np.where(forward, np.exp(np.maximum(v, -3 * WIDTH) / WIDTH) / WIDTH, 3 * cubed / below)
    return 1e-6 * current + 1e-12 * v, 1e-6 * slope + 1e-12


class Oracle:
    """Unknowns: maps h[kernel, row, column], pools p[kernel, row, column], output nodes o[pair and sign]."""

    def __init__(self, kernels: Array, dense: Array) -> None:
        """Take kernels, ``[kernel, sign, plane, row, column]`` and two bias cells behind them, and a crossbar, in S."""
        self.kernels, self.biases = kernels[:, :-2].reshape(COUNT, 2, PLANES, WINDOW, WINDOW), kernels[:, -2:]
        self.dense = dense
        side = SIDE - WINDOW + 1
        self.h = {at: n for n, at in enumerate(product(range(COUNT), range(side), range(side)))}
        small = product(range(COUNT), range(side // POOL), range(side // POOL))
        self.p = {at: len(self.h) + n for n, at in enumerate(small)}
        self.first_output = len(self.h) + len(self.p)

    def equations(self, image: Array) -> tuple[Array, Array]:
        """Matrix (S) and currents (A) of Kirchhoff's law without diodes, for an image ``[plane, row, column]`` in V."""
        size = self.first_output + 2 * OUTPUTS
        matrix, current = np.zeros((size, size)), np.zeros(size)
        for (k, r, c), h in self.h.items():
            for sign, plane, i, j in product((0, 1), range(PLANES), range(WINDOW), range(WINDOW)):
                g = self.kernels[k, sign, plane, i, j]
                matrix[h, h] += g
                current[h] += g * (GAIN, -GAIN)[sign] * image[plane, r + i, c + j]
            for g, volts in zip(self.biases[k], (BIAS[0], -BIAS[0]), strict=True):
                matrix[h, h] += g
                current[h] += g * volts
            p = self.p[k, r // POOL, c // POOL]
            matrix[[h, p], [h, p]] += RESISTORS
            matrix[[h, p], [p, h]] -= RESISTORS
        for o in range(2 * OUTPUTS):
            at = self.first_output + o
            for p, g in zip(self.p.values(), self.dense[:, o], strict=False):
                matrix[at, at] += g  # the amplifier holds its output at A v(p), and passes 1/A of the current back
                matrix[at, p] -= g * AMPLIFICATION
                matrix[p, p] += g
                matrix[p, at] -= g / AMPLIFICATION
            for g, volts in zip(self.dense[-2:, o], (BIAS[1], -BIAS[1]), strict=True):
                matrix[at, at] += g
                current[at] += g * volts
        return matrix, current

    def outputs(self, image: Array) -> Array:
        """V over every output pair."""
        (matrix, current), count = self.equations(image), len(self.h)
        v = np.zeros(len(current))
        for _ in range(200):
            up, down = diode(v[:count] - HIGH), diode(LOW - v[:count])
            jacobian, residual = matrix.copy(), current - matrix @ v
            jacobian[range(count), range(count)] += up[1] + down[1]
            residual[:count] -= up[0] - down[0]
            step = np.linalg.solve(jacobian, residual)
            v += np.clip(step, -0.05, 0.05)
            if np.abs(step).max() < 1e-13:
                return v[self.first_output :: 2] - v[self.first_output + 1 :: 2]
        raise AssertionError("the oracle has not settled")


def known(circuit: Circuit) -> tuple[Array, Array]:
    """The kernels (S, ``[kernel, word]``) and the crossbar (S) that a circuit's arrays hold."""
    convolution, dense = circuit.arrays
    assert isinstance(convolution, Convolution)
    return convolution.conductances.reshape(convolution.grid)[0].T.copy(), dense.conductances.copy()


def images(batch: Batch) -> Array:
    return batch.inputs.reshape(-1, PLANES, SIDE, SIDE)


@pytest.mark.parametrize(
    "kind",
    [NodalChip, *(pytest.param(kind, marks=pytest.mark.ngspice) for kind in (NgspiceChip, FullNetlistChip))],
)
def test_outputs_are_those_of_the_oracle(kind: type[NodalChip]) -> None:
    circuit, options = pooled(), {} if kind is NodalChip else {"tolerances": TIGHT}
    batch = random_batch(circuit)
    oracle = Oracle(*known(circuit))
    expected = [oracle.outputs(image) for image in images(batch)]
    with closing(kind(circuit, **options)) as chip:  # type: ignore[arg-type]
        (reading,) = chip.measure([Drive(batch.inputs)])
    np.testing.assert_allclose(reading.outputs, expected, rtol=0, atol=1e-10 if kind is NodalChip else 1e-8)


def slopes_of_the_oracle(circuit: Circuit, batch: Batch) -> tuple[Array, Array]:
    """∂C/∂g of every cell of a kernel, all copies moving together, and of the crossbar, V²/S, by finite differences."""
    found = []
    for which in (0, 1):
        arrays = known(circuit)
        slopes = np.zeros_like(arrays[which])
        for cell in np.ndindex(*slopes.shape):
            costs = []
            for sign in (1, -1):
                moved = [array.copy() for array in arrays]
                moved[which][cell] += sign * 1e-5
                oracle = Oracle(*moved)
                errors = [oracle.outputs(x) - y for x, y in zip(images(batch), batch.targets, strict=True)]
                costs.append(0.5 * np.mean(np.sum(np.square(errors), axis=1)))
            slopes[cell] = (costs[0] - costs[1]) / 2e-5
        found.append(slopes)
    return found[0], found[1]


def test_the_summed_gradient_of_every_rule_is_that_of_the_shared_conductance() -> None:
    circuit = pooled()
    batch = random_batch(circuit, samples=2)
    kernels, dense = slopes_of_the_oracle(circuit, batch)
    cost, update = SquaredError(), TiedUpdate(SGD((1.0, 1.0)), copies(circuit))
    rules: list[LearningRule] = [
        EquilibriumPropagation(circuit, cost, beta=1e-4),
        HardwareLinearization(circuit, cost, gamma=1e-4),
        AnalyticalGradient(circuit, cost),
    ]
    for rule in rules:
        readings = rule.measure(chip := NodalChip(circuit), batch, np.random.default_rng(0))
        change, _ = update.step(rule.gradient(readings), update.init(chip.conductances))
        convolution = circuit.arrays[0]
        assert isinstance(convolution, Convolution)
        asked = change[0].reshape(convolution.grid)
        assert (asked == asked[0]).all()
        for found, expected in ((-asked[0].T, kernels), (-change[1], dense)):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@given(
    planes=st.integers(1, 2),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    rest=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    stride=st.integers(1, 2),
    count=st.integers(1, 3),
    tied=st.booleans(),
)
@settings(max_examples=40)
def test_every_cell_joins_the_nodes_of_the_definition(
    planes: int, window: tuple[int, int], rest: tuple[int, int], stride: int, count: int, tied: bool
) -> None:
    rows, columns = (side + more for side, more in zip(window, rest, strict=True))
    circuit = network([Kernels(window, count, stride, tied=tied)], (planes, rows, columns))
    array = circuit.arrays[0]
    assert isinstance(array, Convolution)
    high, wide = rest[0] // stride + 1, rest[1] // stride + 1
    expected, drawn = [], {}
    for r, c in product(range(high), range(wide)):
        lines = [
            (f"x{(plane * rows + r * stride + i) * columns + c * stride + j}{sign}", (sign, plane, i, j))
            for sign, plane, i, j in product("pn", range(planes), range(window[0]), range(window[1]))
        ]
        for word, place in [*lines, ("b1p", "p"), ("b1n", "n")]:
            for k in range(count):
                g = array.conductances[len(expected)]
                assert drawn.setdefault((k, place) if tied else (k, place, r, c), g) == g
                expected.append((word, f"h1_{(k * high + r) * wide + c}"))
    assert list(zip(array.a, array.b, strict=True)) == expected


def test_a_window_as_large_as_the_image_is_a_crossbar() -> None:
    dense = kendall([3], channels=6, outputs=OUTPUTS)
    circuit = network([Kernels((2, 3), 3)], (1, 2, 3))
    array = circuit.arrays[0]
    assert isinstance(array, Convolution)
    assert array.grid == (1, *dense.arrays[0].shape)
    circuit = circuit.with_conductances([dense.arrays[0].conductances.ravel(), dense.arrays[1].conductances])
    batch = random_batch(dense)
    found, expected = (NodalChip(one).measure([Drive(batch.inputs)])[0] for one in (circuit, dense))
    np.testing.assert_array_equal(found.outputs, expected.outputs)
    gradients = []
    for one in (circuit, dense):
        rule = EquilibriumPropagation(one, SquaredError(), beta=1e-3)
        gradients.append(rule.gradient(rule.measure(NodalChip(one), batch, np.random.default_rng(0))))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other.reshape(one.shape), rtol=1e-9, atol=1e-12 * np.abs(other).max())


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 4))
@settings(max_examples=15)
def test_tied_copies_stay_equal_and_are_an_untied_layer_of_equal_cells(seed: int, steps: int) -> None:
    layers = [Kernels((3, 3), 2, tied=tied) for tied in (True, False)]
    tied, untied = (network([layer], (1, 5, 5), rng=np.random.default_rng(seed)) for layer in layers)
    assert copies(tied) == (9, 1)
    assert copies(untied) == (1, 1)
    fresh, apart = (set(one.conductances[0].tolist()) for one in (tied, untied))
    assert len(fresh) <= 2 * 20 < len(apart)
    update = TiedUpdate(Adam((0.02, 0.02)), copies(tied))
    rule, batch = HardwareLinearization(tied, SquaredError(), gamma=1e-3), random_batch(tied, seed=seed % 1000)
    chip, state = NodalChip(tied), update.init(tied.conductances)
    for _ in range(steps):
        change, state = update.step(rule.gradient(rule.measure(chip, batch, np.random.default_rng(0))), state)
        chip.adjust(change)
    assert not np.array_equal(chip.conductances[0], tied.conductances[0])
    position_by_position = chip.conductances[0].reshape(9, -1)
    assert (position_by_position == position_by_position[0]).all()
    other = NodalChip(untied.with_conductances(chip.conductances))
    readings = [one.measure([Drive(batch.inputs)])[0].nodes for one in (chip, other)]
    np.testing.assert_array_equal(*readings)


def deep() -> Circuit:
    """Two convolutions, the first with pools, and a hidden layer behind them."""
    first = Kernels((3, 3), 2, pool=2, pool_conductance=3.0)
    return network([first, Kernels((2, 2), 3, tied=False)], (1, 8, 8), hidden=[4])


def test_kirchhoffs_law_holds_behind_two_convolutions_and_gradients_are_finite_differences() -> None:
    circuit = deep()
    circuit = circuit.with_conductances([g + 0.01 for g in circuit.conductances])  # away from the bounds
    batch = random_batch(circuit, samples=2)
    (reading,) = NodalChip(circuit).measure([Drive(batch.inputs)])
    assert kirchhoff_residual(circuit, reading.nodes) < 1e-9
    rule = EquilibriumPropagation(circuit, SquaredError(), beta=1e-4)
    found = rule.gradient(rule.measure(NodalChip(circuit), batch, np.random.default_rng(0)))
    cells = [np.random.default_rng(0).choice(array.conductances.size, 8, replace=False) for array in circuit.arrays]
    for gradient, places, k in zip(found, cells, range(4), strict=True):
        for place in places:
            expected = moved_cost(circuit, batch, k, int(place))
            assert gradient.ravel()[place] == pytest.approx(expected, rel=1e-4, abs=1e-6 * np.abs(gradient).max())


def moved_cost(circuit: Circuit, batch: Batch, array: int, place: int) -> float:
    """The slope of the mean cost along one cell, V²/S."""
    costs = []
    for sign in (1, -1):
        moved = [g.copy() for g in circuit.conductances]
        moved[array].ravel()[place] += sign * 1e-5
        (reading,) = NodalChip(circuit.with_conductances(moved)).measure([Drive(batch.inputs)])
        costs.append(float(SquaredError().values(reading.outputs, batch.targets).mean()))
    return (costs[0] - costs[1]) / 2e-5


@pytest.mark.ngspice
@pytest.mark.parametrize("kind", [NgspiceChip, FullNetlistChip])
def test_ngspice_agrees_on_two_convolutions(kind: type[NgspiceChip]) -> None:
    circuit = deep()
    batch = random_batch(circuit)
    (expected,) = NodalChip(circuit).measure([Drive(batch.inputs)])
    with closing(kind(circuit, tolerances=TIGHT)) as chip:
        (found,) = chip.measure([Drive(batch.inputs)])
    np.testing.assert_allclose(found.nodes, expected.nodes, rtol=0, atol=1e-8)


REFUSED = [
    (Kernels((7, 2), 2), "a window of 7 × 2 is larger than the image of 6 × 6 under it"),
    (Kernels((2, 2), 2, pool=2, pool_conductance=1.0), "pools of 2 × 2 do not divide the 5 × 5 positions of a kernel"),
    (Kernels((3, 3), 2, pool=2), "pooling needs resistors; give pool_conductance, above 0 S"),
    (Kernels((3, 3), 2, stride=0), "window, kernels, stride and pool must be at least 1"),
    (Kernels((3, 3), 0), "window, kernels, stride and pool must be at least 1"),
]


@pytest.mark.parametrize(("kernels", "message"), REFUSED)
def test_kernels_that_do_not_fit_are_refused(kernels: Kernels, message: str) -> None:
    with pytest.raises(CircuitError, match=f"convolution: {message}"):
        network([kernels])


def test_an_array_that_is_no_convolution_is_refused() -> None:
    array = network([Kernels((3, 3), 2)], (1, 4, 4)).arrays[0]
    assert isinstance(array, Convolution)
    with pytest.raises(CircuitError, match="convolution w1: 160 cells are no whole number of word lines at 4"):
        replace(array, kernels=3).check()
    with pytest.raises(CircuitError, match="at one position, the same line must lead to every bit line"):
        replace(array, a=array.a[1:] + array.a[:1]).check()
    with pytest.raises(CircuitError, match="at one position, the same line must lead to every word line"):
        replace(array, b=array.b[1:] + array.b[:1]).check()
