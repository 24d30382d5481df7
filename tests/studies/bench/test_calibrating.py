"""Injected errors of channels, known settling and known mismatch are found again."""

from datetime import UTC, datetime

import numpy as np
import pytest

from harness.chip.base import Chip
from harness.chip.bench.calibration import Calibration, Settling, Twins
from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.nodal.chip import nodal_chip
from harness.errors import BoardError
from harness.experiment.experiment import Experiment
from harness.measurement import Access, Array, Drive
from harness.studies.bench.calibrating import calibrate
from harness.studies.bench.settling import Read, settling_time
from tests.studies.bench.boards import MiscalibratedChip

RNG = np.random.default_rng


def calibrated(experiment: Experiment, chip: Chip) -> Calibration:
    rows = experiment.data.train.batch(slice(None))
    return calibrate(chip, "harness,test,0,1", rows, RNG(0), now=datetime(2026, 5, 4, tzinfo=UTC))


def off(calibration: Calibration, board: MiscalibratedChip, kind: str) -> float:
    """The largest error of a gain, or of an offset in V."""
    channels = getattr(calibration, kind)
    return max(np.abs(channels.gain - board.gain[kind]).max(), np.abs(channels.offset - board.offset[kind]).max())


@pytest.mark.parametrize("clamps", [True, False], ids=["clamps", "no clamps"])
@pytest.mark.parametrize("access", list(Access))
@pytest.mark.parametrize("name", ["iris", "xor", "regression"])
def test_injected_errors_are_found_where_there_is_a_reference(name: str, access: Access, clamps: bool) -> None:
    experiment = Experiment.load(name)
    board = MiscalibratedChip(nodal_chip(experiment.circuit, access=access), np.random.default_rng(1), clamps=clamps)
    found = calibrated(experiment, board)
    against = {kind: getattr(found, kind).against for kind in ("input", "output", "node") if getattr(found, kind)}
    output = {"output": "clamps at the outputs" if clamps else "digital twin"}
    if access is Access.NODES:
        wanted = {"input": "nodes of the input pins", "node": "digital twin; held nodes are taken as right"}
        assert against == wanted | output
    elif clamps:
        assert against == {"input": "digital twin, by the outputs"} | output
    else:  # gains of inputs and of outputs cannot be told apart: inputs are taken as right
        assert against == output
        return
    assert max(off(found, board, kind) for kind in against) < 1e-9


def test_what_cannot_be_told_apart_still_makes_the_board_more_like_its_twin() -> None:
    experiment = Experiment.load("regression")
    chip = nodal_chip(experiment.circuit, access=Access.OUTPUTS)
    board = MiscalibratedChip(chip, np.random.default_rng(1), clamps=False)
    found, inputs = calibrated(experiment, board), experiment.data.test.batch(slice(None)).inputs
    (read,), (true,) = (each.measure([Drive(inputs)]) for each in (board, chip))
    before, after = (np.abs(volts - true.outputs).max() for volts in (read.outputs, found.outputs(read.outputs)))
    assert after < before / 5


def test_a_board_without_errors_is_found_without_errors() -> None:
    experiment = Experiment.load("iris")
    found = calibrated(experiment, chip := MiscalibratedChip(nodal_chip(experiment.circuit), RNG(0), strength=0.0))
    assert max(off(found, chip, kind) for kind in ("input", "output", "node")) < 1e-9
    assert found.twins == Twins(mismatch=(0.0,) * len(chip.circuit.outputs))
    assert found.settling is None


def test_noise_moves_what_is_found_by_no_more_than_its_standard_error() -> None:
    experiment = Experiment.load("xor")
    noisy = ImperfectChip(nodal_chip(experiment.circuit), PinErrors(read_noise=1e-3), seed=0)
    board = MiscalibratedChip(noisy, np.random.default_rng(1))
    found = calibrated(experiment, board)
    assert found.output is not None
    assert found.input is not None
    np.testing.assert_allclose(found.output.residual, 1e-3, rtol=0.7)
    assert off(found, board, "output") < 5 * 1e-3 / np.sqrt(17)
    assert off(found, board, "input") < 5 * 1e-3 / np.sqrt(24)


def test_a_channel_that_is_not_connected_is_named() -> None:
    experiment = Experiment.load("xor")
    board = MiscalibratedChip(nodal_chip(experiment.circuit), np.random.default_rng(1))
    board.gain["output"][0] = 1e-4
    with pytest.raises(BoardError, match=r"output y0: where 1 V is due there are 100 µV .*not connected.*bench probe"):
        calibrated(experiment, board)


@pytest.mark.parametrize("strength", [0.0, 0.01, 0.02, 0.04])
def test_mismatch_of_twins_grows_with_its_strength(strength: float) -> None:
    experiment = Experiment.load("iris")

    def mismatch(strength: float) -> np.ndarray:
        chip = ImperfectChip(nodal_chip(experiment.circuit), PinErrors(mismatch=strength), seed=3)
        twins = calibrated(experiment, chip).twins
        assert twins is not None
        return np.array(twins.mismatch)

    unit = mismatch(1e-4) / 1e-4
    assert (unit > 0.1).all()
    np.testing.assert_allclose(mismatch(strength), strength * unit, rtol=0.3)


def settler(tau: float, dead: float = 0.0, noise: float = 0.0) -> Read:
    """A board of three outputs that follow the input with a time constant (s), after a dead time of its messages."""
    now, rng = np.zeros(3), RNG(0)

    def read(inputs: Array, seconds: float) -> Array:
        shown = []
        for row in inputs:
            end = row[0] * np.array([1.0, -0.5, 0.01])
            now[:] = end + (now - end) * np.exp(-(seconds + dead) / tau)
            shown.append(now + noise * rng.normal(size=3))
        return np.array(shown)

    return read


LOW, HIGH = np.array([[-2.0]]), np.array([[2.0]])


@pytest.mark.parametrize("tau", [1e-5, 1e-4, 3.3e-3, 0.1])
@pytest.mark.parametrize("first", [0.0, 5e-3])
def test_a_time_constant_is_found(tau: float, first: float) -> None:
    found = settling_time(settler(tau), LOW, HIGH, first, 1e-3)
    assert found.time_constant == pytest.approx(tau, rel=0.01)
    assert found.settle == pytest.approx(tau * np.log(4 / 1e-3), rel=0.02)


def test_a_time_constant_is_found_through_noise_and_dead_time() -> None:
    found = settling_time(settler(2e-3, dead=1e-3, noise=1e-4), LOW, HIGH, 5e-3, 1e-3)
    assert found.time_constant == pytest.approx(2e-3, rel=0.03)
    assert found.settle == pytest.approx(2e-3 * np.log(4 / 1e-3) - 1e-3, rel=0.05)
    noisy = settling_time(settler(2e-3, noise=5e-3), LOW, HIGH, 0.0, 1e-3)  # beyond what counts as settled
    assert noisy.time_constant == pytest.approx(2e-3, rel=0.05)


def test_outputs_that_settle_at_once_need_no_time() -> None:
    assert settling_time(settler(1e-9, dead=1e-5), LOW, HIGH, 5e-3, 1e-3) == Settling(
        time_constant=0, settle=0, within=1e-3
    )


def test_outputs_that_never_settle_are_refused() -> None:
    with pytest.raises(BoardError, match="have not settled to 500 µV after 2 s, or do not move"):
        settling_time(settler(100.0), LOW, HIGH, 5e-3, 1e-3)
    with pytest.raises(BoardError, match="have not settled"):  # nothing moves, and nobody can tell
        settling_time(settler(1e-3), LOW, LOW, 5e-3, 1e-3)
