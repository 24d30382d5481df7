"""Trainings on boards of others, over their drivers: rules, limits and journals do what they do on any board."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.chip.bench.cassette import ReplayLine
from harness.chip.bench.chip import BenchChip
from harness.chip.bench.profile import load_profile, profile_text
from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.measurement import Drive
from harness.studies.bench.calibrating import calibrate_board
from harness.studies.bench.probing import probe
from tests.chip.bench.firmware import OHMS, Firmware
from tests.chip.bench.libraries import Pyarc2
from tests.chip.bench.profiles import ON_THE_BOARD, crossbar
from tests.chip.bench.test_daq import TEXT

RNG = np.random.default_rng(5)
INPUTS = RNG.uniform(-1, 1, (6, 2))


@pytest.fixture
def firmware() -> Iterator[Firmware]:
    found = Firmware()
    yield found
    found.unplug()


@pytest.fixture
def instrument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pyarc2:
    monkeypatch.setitem(sys.modules, "pyarc2", found := Pyarc2(np.full((32, 32), 2e-5)))
    (tmp_path / "efm03.bin").write_bytes(b"bits")
    return found


def pulses_of(instrument: Pyarc2) -> int:
    return sum(len(each[3]) for opened in instrument.opened for each in opened.seen if each[0] == "pulse_slice_masked")


def test_an_arc_two_is_written_by_pulses_until_its_cells_read_near_enough(instrument: Pyarc2, tmp_path: Path) -> None:
    instrument.per_volt = 2e-6
    chip = BenchChip(crossbar(), load_profile("arc2"), f"ARC2::0::{tmp_path}/efm03.bin")
    goal = RNG.uniform(1e-5, 5e-5, (6, 4))
    chip.program([goal])
    np.testing.assert_allclose(instrument.siemens[:6, :4], goal, atol=1e-6)
    np.testing.assert_allclose(chip.conductances[0], instrument.siemens[:6, :4], rtol=1e-6)
    assert np.all(instrument.siemens[6:] == 2e-5)
    wanted = RNG.uniform(-1e-5, 1e-5, (6, 4))
    before = chip.conductances[0].copy()
    (written,) = chip.adjust([wanted])
    np.testing.assert_allclose(written, np.clip(before + wanted, 0, 1e-4) - before, atol=1e-6)
    (reading,) = chip.measure([Drive(INPUTS)])
    held = instrument.siemens[:6, :4]
    lines = np.concatenate([0.05 * INPUTS, -0.05 * INPUTS, [[0.05, -0.05]] * 6], axis=1)
    np.testing.assert_allclose(reading.all_nodes[:, 6:], lines @ held / held.sum(axis=0), atol=1e-6)
    assert chip.record()["pulses"] == pulses_of(instrument)
    chip.close()
    assert instrument.opened[-1].grounded == set(range(64))


def experiment(folder: Path, profile: str, resource: str, *more: str) -> Experiment:
    """Return ``xor`` with the network that is on the board."""
    (folder / "mine.toml").write_text(profile)
    board = ("chip.kind=bench", f"chip.profile={folder / 'mine.toml'}", f"chip.resource={resource}")
    small = ("training.epochs=2", "training.batch=2", 'data.targets=["0 V", "0.1 V"]')
    return Experiment.load("xor", [*ON_THE_BOARD, *board, *small, *more])


def trained(subject: Experiment, folder: Path) -> dict[str, Any]:
    """Train, and train again without the board from what went over the line; the same must come of it."""
    run = subject.create_run(folder / "run")
    subject.train(run, pictures=False)
    line = ReplayLine(run.path / "bench" / "session-1" / "cassette.jsonl")
    again = subject.create_run(folder / "again")
    subject.train(again, line=line, pictures=False)
    line.check_empty()
    reached, repeated = (subject.trained(each).conductances for each in (run, again))
    for one, other in zip(reached, repeated, strict=True):
        np.testing.assert_array_equal(one, other)
    assert run.result is not None
    return run.result


def fine(name: str, step: str, **figures: str) -> str:
    """Return the text of a packaged profile with pulses of so many siemens, and cells that are brought so near."""
    figures = {"tolerance": step, **figures}
    text = profile_text(name).replace('mode = "verify"', f'mode = "verify"\nstep = "{step}"')
    section = text.index("[write]")
    for old, new in figures.items():
        text = text[:section] + re.sub(rf"(?m)^{old} = .*", f'{old} = "{new}"', text[section:])
    return text


def test_an_openmena_board_is_trained_by_outputs_alone(firmware: Firmware, tmp_path: Path) -> None:
    firmware.siemens[:] = 4e-6
    profile = fine("openmena", "0.36 uS", pulse_s="1 us", read_ohms=f"{OHMS} Ohm")
    rule = ("rule.kind=simultaneous-perturbation", "rule.step=0.2", "update.rates=[1e3]")
    result = trained(experiment(tmp_path, profile, firmware.port, *rule), tmp_path)
    commands = [line.split() for line in firmware.heard if line.startswith("WEIGHTMODIF")]
    assert sum(int(words[4]) for words in commands) == result["bench"]["pulses"] > result["pulses"] > 0
    assert result["bench"]["board_pulses"] is None  # the firmware does not count
    assert result["train_loss"] < 0.0045, "5 mV² without a difference between any cells"


def test_an_arc_two_is_trained_by_outputs_alone(instrument: Pyarc2, tmp_path: Path) -> None:
    instrument.siemens[:] = 4e-6
    instrument.per_volt = 0.36e-6
    rule = ("rule.kind=simultaneous-perturbation", "rule.step=0.2", "update.rates=[1e3]")
    resource = f"ARC2::0::{tmp_path}/efm03.bin"
    result = trained(experiment(tmp_path, fine("arc2", "0.36 uS"), resource, *rule), tmp_path)
    assert result["bench"]["pulses"] == pulses_of(instrument) > result["pulses"] > 0
    assert result["train_loss"] < 0.0049, "5 mV² without a difference between any cells"


def test_a_board_that_waits_as_it_likes_is_probed_and_calibrated_without_other_waits(
    firmware: Firmware, tmp_path: Path
) -> None:
    subject = experiment(tmp_path, fine("openmena", "0.36 uS", read_ohms=f"{OHMS} Ohm"), firmware.port)
    firmware.siemens[:] = 0.0
    found = probe(str(tmp_path / "mine.toml"), firmware.port)
    assert [row.outputs for row in found.inputs] == [(), ()]
    assert found.extent.wait == found.settle == 5e-3
    firmware.siemens[:] = RNG.uniform(2e-5, 8e-5, (8, 8))
    calibration, _ = calibrate_board(str(tmp_path / "mine.toml"), subject, firmware.port)
    assert calibration.settling is None
    assert calibration.output is not None
    assert len(calibration.output.gain) == 2


def test_a_board_to_which_nothing_is_written_is_not_trained(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"write\.mode = 'none' lets nothing be written"):
        experiment(tmp_path, TEXT, "DAQ::Dev1", "rule.kind=simultaneous-perturbation").create_run(tmp_path / "run")
