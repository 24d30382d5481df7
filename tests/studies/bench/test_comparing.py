"""A board is compared with its twin and with itself, and nothing is written to it."""

import numpy as np
import pytest

from harness.chip.base import Chip
from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.nodal.chip import nodal_chip
from harness.experiment.experiment import Experiment
from harness.measurement import Access
from harness.studies.bench.comparing import Comparison, compare
from tests.studies.bench.boards import MiscalibratedChip

IRIS = Experiment.load("iris")


def compared(board: Chip, experiment: Experiment = IRIS) -> Comparison:
    before = board.conductances
    found = compare(board, experiment.rule, experiment.settings.rule.kind, experiment.data.test.batch(slice(8)), 0)
    assert all(np.array_equal(a, b) for a, b in zip(board.conductances, before, strict=True))
    return found


def test_a_board_that_is_its_twin_differs_by_nothing() -> None:
    found = compared(nodal_chip(IRIS.circuit))
    assert [row.what for row in found.voltages] == ["outputs", "nodes that settle"]
    assert all((row.difference, row.worst, row.repeated) == (0, 0, 0) and row.rms > 0.1 for row in found.voltages)
    assert [row.array for row in found.gradients] == [array.name for array in IRIS.circuit.arrays]
    assert all((row.cosine, row.repeated, row.ratio) == pytest.approx((1, 1, 1)) for row in found.gradients)
    assert not found.note


def test_noise_is_told_from_a_difference() -> None:
    """Noise shows in both columns, an error of channels or of twins in the first one alone."""
    noisy = compared(ImperfectChip(nodal_chip(IRIS.circuit), PinErrors(read_noise=1e-3), seed=0))
    for row in noisy.voltages:
        assert row.difference == pytest.approx(1e-3, rel=0.5)
        assert row.repeated == pytest.approx(1.4e-3, rel=0.5)
    off = compared(MiscalibratedChip(nodal_chip(IRIS.circuit), np.random.default_rng(0)))
    assert all(row.repeated == 0 and row.difference > 0.01 for row in off.voltages)


def test_twins_that_differ_show_in_gradients_that_compare_a_nudged_phase_with_a_free_one() -> None:
    twins = ImperfectChip(nodal_chip(IRIS.circuit), PinErrors(mismatch=0.01), seed=0)
    centered, one_sided = compared(twins), compared(twins, IRIS.replace({"rule.variant": "one-sided"}))
    assert all(row.difference == 0 for row in (*centered.voltages, *one_sided.voltages))
    assert all(row.cosine > 0.999 for row in centered.gradients)
    assert one_sided.gradients[0].cosine < 0.6
    assert one_sided.gradients[1].cosine < 0.998
    assert all(row.repeated == pytest.approx(1) for row in one_sided.gradients)


def test_where_there_are_no_gradients_the_reason_is_said() -> None:
    outputs = compared(nodal_chip(IRIS.circuit, access=Access.OUTPUTS))
    assert [row.what for row in outputs.voltages] == ["outputs"]
    assert outputs.gradients == ()
    assert "no gradients: rule equilibrium-propagation needs voltages of nodes" in outputs.note
    spsa = IRIS.replace({"rule.kind": "simultaneous-perturbation"})
    writing = compared(nodal_chip(spsa.circuit), spsa)
    assert writing.gradients == ()
    assert "no gradients: the rule writes cells" in writing.note
