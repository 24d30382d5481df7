"""Statistical files of packages: chips that a simulator draws are those that `harness` draws."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness import Experiment
from harness.chip.nodal.chip import nodal_chip
from harness.circuit import Circuit
from harness.circuit.networks.layered import CellRange
from harness.circuit.variation.lines import AmplifierErrors, Law, Leakage, LineResistance, SourceErrors, layers_of
from harness.circuit.variation.nonlinearity import CellNonlinearity
from harness.circuit.variation.temperature import Temperature
from harness.circuit.variation.variation import CellDefects, ConductanceSpread, DiodeMismatch, Variation, vary
from harness.cli.main import main
from harness.exchange.export import Choices, made_circuit, package_of, stimulus_of
from harness.exchange.verify import verify
from harness.measurement import Array, Drive
from harness.netlist.design.design import design_of
from harness.netlist.dialects import NGSPICE, Stimulus
from harness.netlist.package.package import Origin, Package
from harness.netlist.package.writing import write_package
from harness.netlist.statistics.laws import CORNERS, Statistics
from tests.conftest import kendall

CHIPS = 150
needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is missing")


def network() -> Circuit:
    """Two inputs, a crossbar, four neurons, amplifiers and a crossbar; no cell is open, so that no node floats."""
    drawn = kendall([4], channels=2, cells=CellRange(1e-3, 1e-6, 1e-3), input_gain=3.0)
    filled = [np.maximum(g, 2e-5) for g in drawn.conductances]
    return drawn.with_conductances(filled)


STIMULUS = Stimulus(np.array([[0.6, -0.4], [-0.3, 0.8]]), np.zeros((2, 2)), 0.3)


def write(folder: Path, circuit: Circuit, variation: Variation, temperatures: tuple[float, ...] = (27.0,)) -> Path:
    """A package of a circuit, whose typical part of the variation is in it already."""
    layers = layers_of(circuit) if variation.amplifiers.layer_gain else {}
    statistics = Statistics(variation, temperatures, layers, classes=None)
    origin = Origin("mine", "initial conductances, seed 0", rows=(0, 1))
    write_package(folder, Package(design_of(circuit), NGSPICE, STIMULUS, {}, origin, statistics=statistics))
    return folder


def in_ngspice(folder: Path, file: str, chips: int = CHIPS) -> str:
    """Simulate a testbench for so many chips; return what it says."""
    path = folder / file
    path.write_text(path.read_text().replace("let chips = 100", f"let chips = {chips}"))
    done = subprocess.run(["ngspice", "-n", "-b", file], cwd=folder, capture_output=True, text=True, check=True)
    assert "Error" not in done.stdout + done.stderr
    return done.stdout


def readings(file: Path, outputs: int) -> Array:
    """The outputs that a testbench has written, V, ``[chips, rows, outputs]``."""
    lines = [line.split(",") for line in file.read_text().splitlines()[1:]]
    volts = np.array([line[-outputs:] for line in lines], float)
    return volts.reshape(-1, len({line[1] for line in lines}), outputs)


@cache
def drawn_by_harness(name: str) -> Array:
    """Outputs of chips with one of the spreads."""
    return in_harness(network(), SPREADS[name])


def in_harness(circuit: Circuit, variation: Variation, chips: int = CHIPS) -> Array:
    """Outputs of chips that `harness` draws, V, ``[chips, rows, outputs]``."""
    drive = [Drive(STIMULUS.inputs)]
    made = (vary(circuit, variation, seed) for seed in range(chips))
    return np.array([nodal_chip(one).measure(drive)[0].outputs for one in made])


def disagreement(found: Array, wanted: Array) -> float:
    """The largest difference of means and of standard deviations, in standard errors of chips drawn at random.

    The error of a standard deviation follows from the fourth moment, so that heavy tails count.
    """
    errors = []
    for chips in (found, wanted):
        apart = chips - chips.mean(axis=0)
        variance = (apart**2).mean(axis=0)
        of_variance = ((apart**4).mean(axis=0) - variance**2) / len(chips)
        errors.append((variance / len(chips), of_variance / (4 * variance)))
    of_mean, of_deviation = (np.sqrt(a + b) for a, b in zip(*errors, strict=True))
    means = np.abs(found.mean(axis=0) - wanted.mean(axis=0)) / of_mean
    deviations = np.abs(found.std(axis=0) - wanted.std(axis=0)) / of_deviation
    return float(max(means.max(), deviations.max()))


AGREED = 4.5
"""Standard errors; the largest of eight figures exceeds them by chance once in 20,000 times."""
SPREADS = {
    "cells": Variation(spread=ConductanceSpread(0.4)),
    "cells, normal and clipped": Variation(spread=ConductanceSpread(0.9, Law.NORMAL)),
    "cells of a chip": Variation(spread=ConductanceSpread(common=0.5), leakage=Leakage(1e-4)),
    "cells of a chip, normal": Variation(spread=ConductanceSpread(0.0, Law.NORMAL, 0.2), leakage=Leakage(1e-4)),
    "stuck cells": Variation(defects=CellDefects(0.1, 0.05, 0.1)),
    "diodes": Variation(diodes=DiodeMismatch(0.8, 0.1)),
    "rails": Variation(sources=SourceErrors(offset=0.1)),
    "inputs": Variation(sources=SourceErrors(gain=0.2)),
    "amplifiers": Variation(amplifiers=AmplifierErrors(0.1, 0.0, 0.05)),
    "layers": Variation(amplifiers=AmplifierErrors(layer_gain=0.2)),
    "lines": Variation(spread=ConductanceSpread(0.4), lines=LineResistance(200.0, 200.0)),
    "curved cells": Variation(spread=ConductanceSpread(0.4), nonlinearity=CellNonlinearity(sinh=0.5)),
    "cubic cells": Variation(spread=ConductanceSpread(0.4), nonlinearity=CellNonlinearity(cubic=0.5)),
}


@needs_ngspice
@pytest.mark.parametrize("name", SPREADS)
def test_chips_that_ngspice_draws_are_those_of_harness(tmp_path: Path, name: str) -> None:
    variation = SPREADS[name]
    circuit = vary(network(), variation.typical, 0)
    folder = write(tmp_path / "p", circuit, variation)
    in_ngspice(folder, "montecarlo_27c.cir")
    found = readings(folder / "montecarlo_27c.csv", 2)
    assert disagreement(found, drawn_by_harness(name)) < AGREED


HALF = {
    "cells": Variation(spread=ConductanceSpread(0.2)),
    "cells, normal and clipped": Variation(spread=ConductanceSpread(0.45, Law.NORMAL)),
    "cells of a chip": Variation(spread=ConductanceSpread(0.5), leakage=Leakage(1e-4)),
    "diodes": Variation(diodes=DiodeMismatch(0.4, 0.05)),
    "rails": Variation(sources=SourceErrors(offset=0.05)),
    "inputs": Variation(sources=SourceErrors(gain=0.1)),
    "amplifiers": Variation(amplifiers=AmplifierErrors(0.05, 0.0, 0.025)),
    "layers": Variation(amplifiers=AmplifierErrors(gain=0.2)),
}


@pytest.mark.parametrize("name", HALF)
def test_half_the_spread_or_a_draw_for_each_device_where_they_share_one_would_be_noticed(name: str) -> None:
    assert disagreement(in_harness(network(), HALF[name]), drawn_by_harness(name)) > AGREED


@needs_ngspice
@pytest.mark.parametrize("law", list(Law))
def test_the_typical_corner_is_the_drawn_circuit_and_the_others_are_three_deviations_away(
    tmp_path: Path, law: Law
) -> None:
    variation = Variation(
        spread=ConductanceSpread(0.3, law, 0.1), amplifiers=AmplifierErrors(0.1, 0.05, 0.1), leakage=Leakage(1e-4)
    )
    circuit = vary(network(), variation.typical, 0)
    folder = write(tmp_path / "p", circuit, variation)
    in_ngspice(folder, "corners_27c.cir")
    found = readings(folder / "corners_27c.csv", 2)
    logarithm = np.sqrt(np.log1p(0.1**2))
    for volts, deviations in zip(found, CORNERS.values(), strict=True):
        by = 1 + 0.1 * deviations if law is Law.NORMAL else np.exp(deviations * logarithm)
        cells = [np.clip(by * a.conductances, a.g_min, a.g_max) for a in circuit.arrays]
        elements = [
            replace(e, gain=e.gain * (1 + 0.05 * deviations)) if e in circuit.stages else e for e in circuit.elements
        ]
        corner = replace(circuit, elements=tuple(elements)).with_conductances(cells)
        wanted = nodal_chip(corner).measure([Drive(STIMULUS.inputs)])[0].outputs
        np.testing.assert_allclose(volts, wanted, atol=0, rtol=2e-6)


@needs_ngspice
def test_temperature_is_the_simulator_s_own_and_that_of_harness(tmp_path: Path) -> None:
    hot = Temperature(85.0, 2e-3, 1e-3)
    variation = Variation(
        spread=ConductanceSpread(0.0, common=1e-9),
        leakage=Leakage(1e-4),
        temperature=hot,
        diodes=DiodeMismatch(1e-9, 0.0),
    )
    circuit = vary(network(), replace(variation.typical, temperature=Temperature()), 0)
    folder = write(tmp_path / "p", circuit, variation, (27.0, 85.0))
    for celsius in (27.0, 85.0):
        in_ngspice(folder, f"corners_{celsius:g}c.cir")
        at = replace(hot, celsius=celsius).apply(circuit)
        wanted = nodal_chip(at).measure([Drive(STIMULUS.inputs)])[0].outputs
        found = readings(folder / f"corners_{celsius:g}c.csv", 2)
        np.testing.assert_allclose(found[1], wanted, atol=0, rtol=2e-6)


OVERRIDES = ["variation.spread=0.5", "variation.chip_spread=0.2", "variation.amplifier_offset=0.1"]


@needs_ngspice
def test_the_accuracy_is_that_of_harness_s_own_chips(tmp_path: Path) -> None:
    subject = Experiment.load("iris", OVERRIDES)
    rows = tuple(range(12))
    write_package(tmp_path / "p", package_of(subject, None, Choices(rows=rows, statistics=True)))
    said = in_ngspice(tmp_path / "p", "montecarlo_27c.cir", 120)
    printed = re.search(r"accuracy: mean ([0-9.e-]+), standard deviation ([0-9.e-]+)", said)
    assert printed
    stimulus = stimulus_of(subject, rows)
    lines = [line.split(",") for line in (tmp_path / "p" / "montecarlo_27c.csv").read_text().splitlines()[1:]]
    right = np.array([float(line[2]) for line in lines]).reshape(120, 12)
    outputs = readings(tmp_path / "p" / "montecarlo_27c.csv", 3)
    np.testing.assert_array_equal(right, outputs.argmax(axis=2) == stimulus.targets.argmax(axis=1))
    each = right.mean(axis=1)
    assert float(printed[1]) == pytest.approx(each.mean(), rel=1e-5)
    assert float(printed[2]) == pytest.approx(each.std(ddof=1), rel=1e-4)
    own = []
    for seed in range(120):
        chip = Experiment.load("iris", [*OVERRIDES, f"variation.seed={seed}"])
        made = nodal_chip(made_circuit(chip, subject.circuit))
        found = made.measure([Drive(stimulus.inputs)])[0].outputs
        own.append(np.mean(found.argmax(axis=1) == stimulus.targets.argmax(axis=1)))
    assert disagreement(each[:, None], np.array(own)[:, None]) < AGREED


def test_a_package_with_statistics_is_verified_like_any_other(tmp_path: Path) -> None:
    to = tmp_path / "p"
    command = ["export", "xor", "--statistics", "--temperatures", "-40,27.5", "--to", str(to), "--json"]
    command += ["--set", "variation.spread=0.1", "--set", "imperfect.adc_bits=8", "--set", "variation.line_word=1"]
    shown = CliRunner().invoke(main, command)
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)["statistics"]
    assert (told["temperatures"], told["corners"]) == ([-40.0, 27.5], False)
    assert told["left_out"] == [
        "[imperfect] adc_bits: pins, cycles and the twin of the nudged phase are no spread of a device"
    ]
    assert "not in the statistics: [imperfect] adc_bits" in shown.stderr
    assert "no corners" in shown.stderr
    names = {path.name for path in to.iterdir()}
    assert {"statistics.cir", "montecarlo_m40c.cir", "montecarlo_27p5c.cir"} < names
    assert not any(name.startswith("corners") for name in names)
    manifest = json.loads((to / "manifest.json").read_text())
    assert manifest["statistics"] == told
    assert "statistics.cir" in manifest["files"]
    readme = (to / "README.md").read_text()
    assert "every cell: a factor of its own, log-normal, standard deviation 0.1" in readme
    assert told["left_out"][0] in readme
    assert verify(to).equal


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--temperatures", "27"], "only testbenches of --statistics have them"),
        (["--statistics", "--temperatures", "warm"], "'warm' is no list of temperatures"),
        (["--statistics", "--temperatures", "27,27"], "names a temperature twice"),
        (["--statistics", "--as-made"], "--as-made is one chip"),
        (["--statistics", "--cells", "sky130"], "--cells sky130 has no law of spread"),
        (["--statistics"], r"chips do not differ, as \[variation\] has no spread"),
        (["--statistics", "--set", "variation.spread=0.1", "--dialect", "cdl"], "CDL: it has no statistics"),
        (["--statistics", "--set", "variation.spread=0.1", "--temperatures", "400"], r"must lie in -100…300 °C"),
    ],
)
def test_what_has_no_statistics_is_refused(tmp_path: Path, words: list[str], said: str) -> None:
    shown = CliRunner().invoke(main, ["export", "xor", *words, "--to", str(tmp_path / "p")])
    assert shown.exit_code != 0
    assert re.search(said, " ".join(shown.output.split()))
    assert not (tmp_path / "p").exists()
