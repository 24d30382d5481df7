"""Pulse curves of cells become a file that gives the served device's law, and the cells are put back."""

from pathlib import Path

import numpy as np
import pytest

from harness.chip.bench.board import Counts
from harness.devices.measured import fit
from harness.devices.pulses import ExponentialStep, LinearStep, PulseResponse, SoftBounds, Spread
from harness.experiment.experiment import Experiment
from harness.measurement import Array
from harness.studies.bench.curves import cell_names, curves_csv, pulse_curves

NAMES = ["w1_0_0", "w1_0_1", "w1_0_2"]


class Cells:
    """Cells of a law; `spent` counts their pulses."""

    def __init__(self, law: PulseResponse, count: int, fails_after: int | None = None) -> None:
        low, high = law.bounds
        self.g = np.random.default_rng(0).uniform(low + 0.2 * (high - low), high, count)
        self.law, self.spent, self.messages, self._fails_after = law, np.zeros(count, np.int64), 0, fails_after

    def __call__(self, counts: Counts) -> Array:
        self.messages += 1
        if self.messages == self._fails_after:
            raise KeyboardInterrupt
        self.spent += np.abs(counts)
        self.g = self.law.pulse(self.g, counts)
        return self.g.copy()


LAWS = {
    "exponential": ExponentialStep(2e-6, 1e-4, 64, 48, 1.5, 2.5),
    "linear": LinearStep(1e-6, 5e-5, 1e-6, 2e-6),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_file_gives_the_law_and_cells_are_put_back(name: str, tmp_path: Path) -> None:
    law = LAWS[name]
    cells = Cells(law, 3)
    before, path = cells.g, tmp_path / "curves.csv"
    curves = pulse_curves(cells, cells.g.size, 100, 0.0)
    path.write_bytes(curves_csv(curves, NAMES[:3]))
    found, (low, high) = fit(path), law.bounds
    assert found.response.bounds == pytest.approx((low, high), rel=0.02, abs=0.01 * high)
    assert found.rms_error < 0.005
    grid = np.linspace(low, high, 50)
    for way in (1, -1):
        np.testing.assert_allclose(found.response.pulse(grid, way), law.pulse(grid, way), atol=0.01 * (high - low))
    assert (np.abs(curves.off) <= 0.05 * (high - low)).all()
    np.testing.assert_array_equal(curves.off, before - cells.g)
    assert cells.spent.max() <= 4 * 100
    assert path.read_text().startswith("pulse,conductance,direction,cell\n0,")


def test_a_train_ends_where_cells_move_no_more_or_after_the_most_pulses() -> None:
    whole = pulse_curves(Cells(LAWS["exponential"], 2), 2, 100, 0.0)
    assert [len(train) for train in whole.of(0)] == [65, 49]
    assert len(whole.up) < 80
    noisy = Spread(LAWS["exponential"], 0.002, np.random.default_rng(0))
    up, down = pulse_curves(Cells(noisy, 1), 1, 200, 0.0).of(0)
    assert (len(up), len(down)) == (pytest.approx(65, abs=8), pytest.approx(49, abs=8))
    short = pulse_curves(cells := Cells(SoftBounds(1e-6, 1e-4, 0.02, 0.02), 2), 2, 10, 0.0)
    assert (short.up.shape, short.down.shape) == ((11, 2), (11, 2))
    assert cells.spent.max() <= 40


def test_cells_are_put_back_after_ctrl_c() -> None:
    cells = Cells(LAWS["linear"], 2, fails_after=30)
    before = cells.g
    with pytest.raises(KeyboardInterrupt):
        pulse_curves(cells, cells.g.size, 100, 0.0)
    assert (np.abs(cells.g - before) <= 2e-6).all()


def test_cells_are_named_array_by_array() -> None:
    circuit = Experiment.load("iris").circuit
    names = cell_names(circuit)
    assert len({*names}) == len(names) == sum(array.conductances.size for array in circuit.arrays)
    assert names[:2] == ["w1_0_0", "w1_0_1"]
    assert cell_names(Experiment.load("xor-graph").circuit)[1].endswith("_1")
