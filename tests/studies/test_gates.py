"""The finding on gate voltages: its plain control, the cells that conductances are put into, and its criterion."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.circuit import Crossbar
from harness.circuit.elements import Mosfet
from harness.experiment.experiment import Experiment
from harness.studies.gates import moved, without_selectors
from harness.studies.reproduce.catalog import every_claim
from harness.studies.reproduce.claim import Effort
from harness.training.controller import evaluate
from tests.page_figures import full

KEY = "findings/gate-voltage"
SMALL = ["chip.kind=nodal", "network.hidden=[3]", "data.held_out=0.02"]


def small(*changes: str) -> Experiment:
    return Experiment.load("digits-1t1r", [*SMALL, *changes])


def test_the_control_has_the_same_conductances_in_plain_crossbars() -> None:
    subject = small()
    plain = without_selectors(subject).circuit
    assert any(isinstance(element, Mosfet) for element in subject.circuit.elements)
    assert not any(isinstance(element, Mosfet) for element in plain.elements)
    assert [type(array) for array in plain.arrays] == [Crossbar, Crossbar]
    for bare, own in zip(plain.conductances, subject.circuit.conductances, strict=True):
        np.testing.assert_array_equal(bare.ravel(), own)


def test_cells_with_strong_transistors_read_what_the_plain_array_reads(tmp_path: Path) -> None:
    """With 98 S they are shorts; with gates at −5 V they are open but for their leakage, and read another accuracy."""
    plain = without_selectors(small())
    rng = np.random.default_rng(0)
    conductances = [rng.uniform(2e-8, 1e-5, array.shape) for array in plain.circuit.arrays]
    with plain.open_chip() as chip:
        chip.program(conductances)
        wanted = evaluate(chip, plain.cost, plain.data.test)
    effort = Effort(tmp_path)
    assert (
        moved(effort, small("network.selector.gate=100", "network.selector.transconductance=1"), conductances)
        == wanted.accuracy
    )
    assert moved(effort, small("network.selector.gate=-5"), conductances) != wanted.accuracy


def test_the_criterion_can_fail() -> None:
    claim, found = every_claim()[KEY], full(KEY)
    assert claim.holds(found)
    trained, put, plain = found.series[:3]
    for place in ((trained, 1.5), (trained, 4.0), (put, 4.0), (plain, 4.0)):
        lower = (
            replace(f, values=tuple(v - 0.6 for v in f.values)) if (f.series, f.x) == place else f
            for f in found.figures
        )
        assert not claim.holds(replace(found, figures=tuple(lower)))


def test_what_the_page_says_is_in_the_record() -> None:
    found = full(KEY)
    trained, put, plain, exact = found.series
    values = {name: {f.x: np.array(f.values) for f in found.along(name)} for name in found.series}
    for gate in found.places:
        assert abs(values[trained][gate].mean() - values[plain][gate].mean()) < 0.02
        if gate >= 2.5:
            assert abs(values[put][gate] - values[plain][gate]).max() < found.of(plain, gate).spread + 0.01
        if gate <= 1.5:
            assert (values[trained][gate] - values[put][gate]).min() > 0.2
    assert abs(values[exact][1.0].mean() - values[trained][1.0].mean()) < 0.01
