"""harness bench probe, calibrate, characterize and compare, on boards that are served in this process."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.chip.base import Chip
from harness.chip.bench.calibration import read_calibration
from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.imperfect.programming import ProgrammedChip, Programming
from harness.chip.nodal.chip import nodal_chip
from harness.cli.main import main
from harness.devices.measured import fit
from harness.devices.pulses import ExponentialStep, LinearStep
from harness.devices.writing import Device
from harness.experiment.experiment import Experiment
from tests.chip.bench.threads import PLAIN, PULSED, served
from tests.studies.bench.boards import MiscalibratedChip

XOR = Experiment.load("xor")
LAW = ExponentialStep(0.0, 1.0, 48, 48, 1.5, 2.5)


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("plain", PLAIN), ("pulsed", PULSED)):
        Path(f"{name}.toml").write_text(text.format(timeout="5 s").replace('name = "test"', f'name = "{name}"'))


def address(port: int) -> str:
    return f"TCPIP0::127.0.0.1::{port}::SOCKET"


def called(chip: Chip, *words: str, fails: bool = False, **board: Any) -> Result:
    with served(chip, **board) as (port, instrument):
        place = ("--resource", address(port))
        result = CliRunner().invoke(main, ["bench", *words, *place])
        assert not instrument.applied
    assert result.exit_code == (1 if fails else 0), result.output
    return result


def printed(chip: Chip, *words: str, **board: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(called(chip, *words, "--json", **board).stdout)
    return found


def test_probe_says_who_is_there_and_which_inputs_move_which_outputs() -> None:
    found = printed(nodal_chip(XOR.circuit), "probe", "plain.toml")
    assert found["identity"].startswith("harness,virtual board of test")
    cells = sum(array.conductances.size for array in XOR.circuit.arrays)
    assert found["extent"] == {
        "inputs": 2,
        "outputs": 2,
        "nodes": len(XOR.circuit.nodes),
        "cells": cells,
        "batch": None,
        "wait": None,
    }
    assert [(row["channel"], row["outputs"]) for row in found["inputs"]] == [(0, [0, 1]), (1, [0, 1])]
    shown = called(nodal_chip(XOR.circuit), "probe", "plain.toml").stdout
    assert "2 of 2 inputs move an output" in shown


def test_probe_finds_an_input_that_is_not_connected() -> None:
    cut = MiscalibratedChip(nodal_chip(XOR.circuit), np.random.default_rng(0))
    cut.gain["input"][1] = 0.0
    found = printed(cut, "probe", "plain.toml", "--volts", "0.5")
    assert [row["outputs"] for row in found["inputs"]] == [[0, 1], []]
    assert "inputs that move none: 1" in called(cut, "probe", "plain.toml").stdout


@pytest.mark.parametrize("command", ["calibrate", "characterize", "compare"])
def test_another_network_than_the_boards_is_refused(command: str) -> None:
    result = called(nodal_chip(XOR.circuit), command, "plain.toml", "iris", fails=True)
    assert re.search(r"the board has 2 inputs, and circuit \w+ has 4", result.stderr)
    assert not list(Path().glob("*.csv")) + list(Path().glob("*calibration*"))


def test_probe_waits_where_nothing_has_moved() -> None:
    result = called(nodal_chip(XOR.circuit), "probe", "plain.toml", settling=2e-3)
    assert "2 of 2 inputs move an output" in result.stdout
    assert "after 10 ms it has: raise timing.settle" in result.stderr


def test_probe_drives_no_other_board_than_its_profile_expects() -> None:
    text = Path("plain.toml").read_text() + '[identity]\nexpects = "Keithley"\n'
    Path("other.toml").write_text(text)
    with served(chip := nodal_chip(XOR.circuit)) as (port, _):
        result = CliRunner().invoke(main, ["bench", "probe", "other.toml", "--resource", address(port)])
    assert result.exit_code == 1
    assert "identity.expects of the profile is 'Keithley'" in result.stderr
    assert chip.ledger.phases == 0


def test_probe_says_when_nothing_moves_at_all() -> None:
    dead = MiscalibratedChip(nodal_chip(XOR.circuit), np.random.default_rng(0))
    dead.gain["output"][:] = 0.0
    result = called(dead, "probe", "plain.toml")
    assert "inputs that move none: 0–1" in result.stdout
    assert "raise timing.settle" not in result.stderr


def test_probe_counts_the_gain_of_the_channels() -> None:
    text = Path("plain.toml").read_text() + '[identity]\nprotocol = "openmena"\n[channels]\ngain = 50\n'
    text += 'inputs = { x0 = "0" }\noutputs = { y0 = "0" }\n'
    Path("gain.toml").write_text(text.replace('access = "nodes"', "").replace('"spring", "injection", "clamp"', ""))
    result = CliRunner().invoke(main, ["bench", "probe", "gain.toml", "--volts", "3"])
    assert "3 V at an input must be above 0 V and at most limits.v_max = 100 V over channels.gain = 50" in result.stderr


def test_probe_stays_within_the_limits_and_says_where_nobody_is() -> None:
    assert (
        "must be above 0 V and at most limits.v_max = 100 V"
        in called(nodal_chip(XOR.circuit), "probe", "plain.toml", "--volts", "101", fails=True).stderr
    )
    result = CliRunner().invoke(main, ["bench", "probe", "plain.toml", "--resource", "TCPIP0::127.0.0.1::9::SOCKET"])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "the board cannot be reached" in result.stderr


def test_no_run_is_begun_of_a_board_that_does_not_answer() -> None:
    place = f"chip.resource={address(9)}"
    result = CliRunner().invoke(main, ["train", "xor", "--profile", "virtual", "--set", place])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "cannot be reached" in result.stderr
    assert "no run was begun" in result.stderr
    assert "harness bench serve" in result.stderr
    assert not Path("runs").exists()
    unfit = ["--set", "rule.kind=hardware-linearization"]  # which no board is asked about
    assert "small-signal" in CliRunner().invoke(main, ["train", "xor", "--profile", "virtual", *unfit]).stderr


def test_packaged_profiles_are_listed_with_what_they_were_tested_against() -> None:
    listed = json.loads(CliRunner().invoke(main, ["list", "--json"]).stdout)["profiles"]
    assert sorted(listed) == ["arc2", "eqprop-xor", "openmena", "virtual"]
    assert all(listed.values())
    assert "never a board" in CliRunner().invoke(main, ["list"]).stdout


def test_a_calibrated_board_is_its_twin() -> None:
    """The file of calibrate, named in the profile, takes the injected errors away; a stale one is refused."""
    board = MiscalibratedChip(nodal_chip(XOR.circuit), np.random.default_rng(1))
    before = printed(board, "compare", "plain.toml", "xor")
    written = printed(board, "calibrate", "plain.toml", "xor")
    assert written["file"] == "plain-calibration.toml"
    found = read_calibration(Path(written["file"]))
    assert found.node is not None
    np.testing.assert_allclose(found.node.gain, board.gain["node"], atol=1e-9)
    named = '[calibration]\nfile = "{}"\n'
    Path("right.toml").write_text(Path("plain.toml").read_text() + named.format("plain-calibration.toml"))
    Path("none.toml").write_text(Path("plain.toml").read_text() + named.format("none-calibration.toml"))
    missing = called(board, "compare", "none.toml", "xor", fails=True)
    assert "none-calibration.toml: there is no such file, and the profile names it" in missing.stderr
    after = printed(board, "compare", "right.toml", "xor")
    assert max(row["worst"] for row in after["voltages"]) < 1e-8 < 0.01 < before["voltages"][0]["worst"]
    assert min(row["cosine"] for row in after["gradients"]) > 0.999999
    Path("plain-calibration.toml").write_text(
        re.sub(r"^date = .*", "date = 2020-01-01T00:00:00Z", Path("plain-calibration.toml").read_text())
    )
    refused = called(board, "compare", "right.toml", "xor", fails=True)
    assert re.search(r"plain-calibration.toml: it is \d.* days old.*calibrate again", refused.stderr)
    called(board, "compare", "right.toml", "xor", "--stale-calibration")
    again = printed(board, "calibrate", "right.toml", "xor")  # which needs none
    assert again["file"].endswith("plain-calibration.toml")


def test_calibrate_measures_settling_and_mismatch() -> None:
    errors = PinErrors(mismatch=0.01)
    board = ImperfectChip(nodal_chip(XOR.circuit), errors, seed=0)
    found = printed(board, "calibrate", "plain.toml", "xor", settling=1e-3)
    assert found["settling"]["time_constant"] == pytest.approx(1e-3, rel=0.03)
    assert min(found["twins"]["mismatch"]) > 5e-3
    control = called(nodal_chip(XOR.circuit), "calibrate", "plain.toml", "xor", settling=1e-3)
    assert "profile plain waits 0 s (timing.settle), which is too short" in control.stderr
    twins = read_calibration(Path("plain-calibration.toml")).twins
    assert twins is not None
    assert max(twins.mismatch) < found["settling"]["within"]


def test_characterize_gives_the_law_of_the_served_device() -> None:
    chip = ProgrammedChip(nodal_chip(XOR.circuit), Programming(Device("served", LAW)), seed=0)
    before = chip.conductances
    found = printed(chip, "characterize", "pulsed.toml", "xor", "--cells", "2", "--pulses", "60")
    assert [(row["pulses_up"], row["pulses_down"]) for row in found["cells"]] == [(48, 48)] * 2
    high = XOR.circuit.arrays[0].g_max
    assert max(abs(after - old).max() for after, old in zip(chip.conductances, before, strict=True)) < 0.05 * high
    done = CliRunner().invoke(main, ["devices", "import", "curves.csv", "--json"])
    assert done.exit_code == 0
    law = fit(Path("curves.csv")).response
    assert (law.curvature_up, law.curvature_down) == pytest.approx((1.5, 2.5), rel=0.01)
    assert law.bounds == pytest.approx((0.0, high), abs=1e-3 * high)


def test_characterize_keeps_to_the_limits_and_needs_pulses() -> None:
    chip = ProgrammedChip(nodal_chip(XOR.circuit), Programming(Device("served", LAW)), seed=0)
    text = Path("pulsed.toml").read_text().replace("[write]", "pulses_per_cell = 100\n[write]")
    Path("worn.toml").write_text(text)
    with served(chip) as (port, instrument):
        words = ["bench", "characterize", "worn.toml", "xor", "--resource", address(port)]
        result = CliRunner().invoke(main, words)
        assert instrument.cells.counts.sum() == 0
    assert result.exit_code == 1
    assert "512 more after 0 pulses is beyond limits.pulses_per_cell = 100" in result.stderr
    refused = called(nodal_chip(XOR.circuit), "characterize", "plain.toml", "xor", fails=True)
    assert "no pulses" in refused.stderr


@pytest.mark.parametrize("command", ["calibrate", "characterize", "compare"])
def test_a_place_that_is_not_there_is_refused_before_anything_is_asked(command: str) -> None:
    result = CliRunner().invoke(main, ["bench", command, "plain.toml", "xor", "--to", "nowhere/made.svg"])
    assert result.exit_code == 2
    assert "--to nowhere/made.svg: there is no folder nowhere" in result.stderr


def test_compare_draws_and_says_why_there_are_no_gradients() -> None:
    called(nodal_chip(XOR.circuit), "compare", "plain.toml", "xor", "--to", "compare.svg")
    assert Path("compare.svg").read_text().startswith("<?xml")
    blind = Path("plain.toml").read_text().replace('access = "nodes"', 'access = "outputs"')
    Path("blind.toml").write_text(blind)
    found = printed(nodal_chip(XOR.circuit), "compare", "blind.toml", "xor")
    assert [row["what"] for row in found["voltages"]] == ["outputs"]
    assert "needs voltages of nodes" in found["note"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_characterize_puts_cells_back_and_grounds_pins_when_it_is_interrupted(number: signal.Signals) -> None:
    law = LinearStep(0.0, 1.0, 0.005, 0.005)
    chip = ProgrammedChip(nodal_chip(XOR.circuit), Programming(Device("served", law)), seed=0)
    before, high = chip.conductances, XOR.circuit.arrays[0].g_max
    with served(chip, latency=2e-3) as (port, board):
        place = ["--resource", address(port)]
        words = ["bench", "characterize", "pulsed.toml", "xor", "--cells", "1", *place]
        host = subprocess.Popen([sys.executable, "-m", "harness", *words], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while board.cells.counts.sum() < 20 and time.monotonic() < until:
            time.sleep(0.005)
        host.send_signal(number)
        host.wait(60)
        assert board.cells.counts.sum() >= 20
        assert not board.applied
    assert host.returncode == -number
    assert max(np.abs(g - old).max() for g, old in zip(chip.conductances, before, strict=True)) <= 0.006 * high
    assert not Path("curves.csv").exists()
