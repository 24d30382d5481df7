"""Products of voltages over cells: one product of matrices gives what each cell's own two voltages give."""

import numpy as np
import pytest

from harness.circuit import GROUND, Circuit, Crossbar, Edges, InputSource, Output
from harness.circuit.scaling import energy_scales
from harness.learning.rules.cells import Cells
from harness.measurement import Array
from tests.conftest import convolved, kendall


def grounded() -> Circuit:
    """A crossbar whose last bit line is ground, and single cells, one of which leads to ground."""
    bits = ("b0", "b1", GROUND)
    cells = Crossbar("xa", ("in", "h"), bits, np.full((2, 3), 1e-5), g_min=0.0, g_max=1e-4)
    single = Edges("e", ("b0", "b1", "h"), ("b1", GROUND, "in"), np.full(3, 1e-5), g_min=0.0, g_max=1e-4)
    return Circuit("grounded", (InputSource("vin", "in", 0, 1.0), cells, single), (Output("out", "b1"),))


def drops(circuit: Circuit, nodes: Array) -> list[Array]:
    """The voltage over every cell of each array, V, ``[samples, …]``."""
    known = circuit.with_ground(nodes)
    return [known[:, first] - known[:, second] for first, second in map(circuit.ends, circuit.arrays)]


@pytest.mark.parametrize("circuit", [grounded(), kendall([4, 3]), convolved()], ids=lambda circuit: circuit.name)
def test_products_are_those_of_each_cell(circuit: Circuit) -> None:
    rng, cells = np.random.default_rng(0), Cells(circuit)
    p, q = rng.normal(size=(2, 3, 4, len(circuit.nodes)))  # of three chips, four samples each
    factor = rng.uniform(1, 2, (3, 1, 1))
    together = cells.products(p, q, factor)
    for chip in range(3):
        own = cells.products(p[chip], q[chip], float(factor[chip, 0, 0]))
        adjoint = cells.adjoint_products(p[chip], q[chip])
        pairs = zip(drops(circuit, p[chip]), drops(circuit, q[chip]), energy_scales(circuit), strict=True)
        for k, (over_p, over_q, scale) in enumerate(pairs):
            product = (over_p * over_q).sum(axis=0)
            np.testing.assert_allclose(own[k], factor[chip, 0, 0] * scale * product, rtol=0, atol=1e-13 * 4e2)
            np.testing.assert_allclose(adjoint[k], -product, rtol=0, atol=1e-12)
            np.testing.assert_allclose(together[k][chip], own[k], rtol=0, atol=1e-13 * 4e2)
