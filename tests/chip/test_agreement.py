"""Solvers and netlists against each other: nodal, reduced in ngspice, full in ngspice."""

import numpy as np
import pytest

from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit
from harness.measurement import Drive, Injection, Reading, Spring
from harness.netlist.tolerances import TIGHT
from tests.conftest import bearable, kendall, random_batch, scellier

pytestmark = [pytest.mark.ngspice, pytest.mark.release]

DEPTHS = [[6], [5, 4], [4, 3, 5]]
NETWORKS = [
    pytest.param(kendall(hidden, seed), id=f"kendall-{'-'.join(map(str, hidden))}-{seed}")
    for hidden in DEPTHS
    for seed in range(3)
] + [
    pytest.param(scellier(hidden, seed), id=f"scellier-{'-'.join(map(str, hidden))}-{seed}")
    for hidden in DEPTHS
    for seed in range(3)
]


def phases(circuit: Circuit) -> list[Drive]:
    batch = random_batch(circuit, 4)
    return [
        Drive(batch.inputs),
        Drive(batch.inputs, Spring(0.05, batch.targets), "nudged +β"),
        Drive(batch.inputs, Spring(-bearable(circuit, 0.01), batch.targets), "nudged −β"),
        Drive(batch.inputs, Injection(0.02 * batch.targets), "injected"),
    ]


def apart(first: tuple[Reading, ...], second: tuple[Reading, ...]) -> float:
    """Largest difference (V) of any node in any phase, for a signal of a volt."""
    signal = max(1.0, *(float(np.abs(reading.nodes).max()) for reading in second))
    return max(float(np.abs(a.nodes - b.nodes).max()) for a, b in zip(first, second, strict=True)) / signal


@pytest.mark.parametrize("circuit", NETWORKS)
def test_reduced_and_full_netlist_agree_in_ngspice(circuit: Circuit) -> None:
    chips = NgspiceChip(circuit, tolerances=TIGHT), FullNetlistChip(circuit, tolerances=TIGHT)
    reduced, full = (chip.measure(phases(circuit)) for chip in chips)
    assert apart(reduced, full) <= 1e-9


@pytest.mark.parametrize("circuit", NETWORKS)
def test_nodal_and_ngspice_agree(circuit: Circuit) -> None:
    nodal = NodalChip(circuit).measure(phases(circuit))
    assert apart(NgspiceChip(circuit).measure(phases(circuit)), nodal) <= 1e-5
    assert apart(NgspiceChip(circuit, tolerances=TIGHT).measure(phases(circuit)), nodal) <= 1e-9


def test_a_batch_longer_than_a_sweep_is_cut_and_put_together_in_order() -> None:
    circuit = kendall([4])
    batch = random_batch(circuit, 150)
    drives = [Drive(batch.inputs), Drive(batch.inputs, Spring(0.05, batch.targets), "nudged")]
    readings = NgspiceChip(circuit).measure(drives), NodalChip(circuit).measure(drives)
    assert apart(*readings) <= 1e-5


def test_a_large_signal_reaches_the_law_below_three_thermal_voltages() -> None:
    """Reverse-biased junctions whose I_s is not small against the conductances: a plain Shockley law fails here."""
    circuit = scellier([4], input_gain=20.0, cells=_weak_cells())
    drives = [Drive(random_batch(circuit).inputs)]
    nodal = NodalChip(circuit).measure(drives)
    assert nodal[0].nodes.min() < -0.3
    assert apart(NgspiceChip(circuit, tolerances=TIGHT).measure(drives), nodal) <= 1e-9


def _weak_cells() -> object:
    from harness.circuit.networks.layered import CellRange

    return CellRange(1e-5, 1e-8, 1e-4)
