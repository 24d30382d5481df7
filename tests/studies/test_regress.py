"""Regression suites: what is measured, when a band is left, and how goldens come to be."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness import Experiment
from harness.chip.metering import ENTRIES
from harness.cli.main import main
from harness.errors import ChipError, ExperimentError
from harness.studies.regress.bands import Band, shown
from harness.studies.regress.goldens import Golden, read_goldens, write_goldens
from harness.studies.regress.junit import junit
from harness.studies.regress.quantities import QUANTITIES, Measurement, Preparation, gradient_cosine
from harness.studies.regress.running import _ended, _job, measure
from harness.studies.regress.suite import Suite
from harness.studies.regress.verdicts import Found, judge
from harness.training.runs import Run
from tests.cli.test_cli import harness

QUICK = ["chip.kind=nodal", "training.epochs=5"]
SUITE = """
[suite]
experiment = "xor"
set = { "chip.kind" = "nodal", training.epochs = 5, rule.beta = "1 uS" }

[[case]]
name = "converters"
set = { "imperfect.adc_bits" = 8, "imperfect.adc_range" = "5 V" }
practice = 3
bands = { gradient_cosine = { within = 0.01 }, voltage_error = { above = "1 mV" } }

[[case]]
name = "trained"
seeds = 2
[case.bands]
test_loss = { within = 0.1, relative = true }
phases = { within = 0, at_most = 1000 }
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite of two cases without goldens, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chip.toml").write_text(SUITE)
    return Path("chip.toml")


def regress(*words: str, code: int = 0, **more: Any) -> Result:
    """`harness regress` in this process."""
    result = CliRunner().invoke(main, ["regress", *words, "--workers", "1"], **more)
    assert result.exit_code == code, result.output
    return result


def golden(suite: Path) -> Path:
    """The suite's goldens, made now."""
    regress(str(suite), "--update", "--reason", "first")
    return suite.with_suffix(".golden.json")


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def settings_of(experiment: str, *overrides: str) -> Any:
    return Experiment.load(experiment, [*QUICK, *overrides]).settings


# --- bands


@pytest.mark.parametrize(
    ("written", "unit", "golden", "limits"),
    [
        ({"below": 0.03}, "", 0.9, (0.87, math.inf)),
        ({"above": "1 mV"}, "V", 5e-3, (-math.inf, 6e-3)),
        ({"within": 0.1, "relative": True}, "", 200.0, (180.0, 220.0)),
        ({"within": 0.1, "relative": True}, "", -200.0, (-220.0, -180.0)),
        ({"below": 0.2, "above": 0.1}, "", 1.0, (0.8, 1.1)),
        ({"below": 0.2, "at_least": 0.9}, "", 1.0, (0.9, math.inf)),
        ({"below": 0.2, "at_least": 0.5}, "", 1.0, (0.8, math.inf)),
        ({"at_most": "2 uJ"}, "J", None, (-math.inf, 2e-6)),
        ({"below": 0.2}, "", None, (-math.inf, math.inf)),
    ],
)
def test_a_band_is_a_pair_of_limits(written: Any, unit: str, golden: Any, limits: tuple[float, float]) -> None:
    assert Band.read(written, unit).limits(golden) == pytest.approx(limits)


def test_a_value_at_the_limit_passes_and_the_next_one_does_not() -> None:
    band = Band.read({"within": 0.5}, "")
    assert band.complaint("phases", 1.0, 1.5) is None
    assert band.complaint("phases", 1.0, np.nextafter(1.5, 2)) == (
        "phases 1.5000000000000002 is above 1.5, the golden 1 + 0.5"
    )
    assert band.complaint("phases", 1.0, math.nan) is not None


def test_a_complaint_says_found_bound_and_golden() -> None:
    band = Band.read({"above": "1 mV"}, "V")
    sentence = band.complaint("voltage_error", 5e-3, 7.1e-3)
    assert sentence == "voltage_error 7.1 mV is above 6 mV, the golden 5 mV + 1 mV"
    band = Band.read({"below": 0.1, "relative": True, "at_least": 0.8}, "")
    assert band.complaint("a", 1.0, 0.85) == "a 0.85 is below 0.9, the golden 1 − 10 %"
    assert band.complaint("a", 0.85, 0.7) == "a 0.7 is below 0.8, a limit that no golden moves"
    assert band.complaint("a", None, 0.85) is None


@pytest.mark.parametrize(
    ("written", "unit", "message"),
    [
        ({"below": -0.01}, "", r"below = -0.01: a distance from the golden must be at least 0"),
        ({"above": "-1 mV"}, "V", r"above = -1 mV: a distance .* at least 0 V"),
        ({"above": "1 mA"}, "V", r"above = '1 mA': .* should be in V"),
        ({"belov": 1}, "", r"unknown key 'belov'; did you mean 'below'\?"),
        ({}, "", r"the band bounds nothing; give it one of within, below, above, at_least, at_most"),
        ({"relative": True, "at_least": 1}, "", r"'relative' goes with within, below or above"),
        ({"within": 1e9, "relative": True}, "V", r"within = 1,000,000,000: a relative distance .* at most 1 \(100 %\)"),
        ({"above": 1.5, "relative": True}, "", r"above = 1.5: a relative distance .* nothing could fail"),
        ({"relative": 1, "below": 1}, "", r"relative = 1: must be true or false"),
        ({"within": 1, "below": 1}, "", r"'within' is both sides at once"),
        ({"at_least": "2 V", "at_most": "1 V"}, "V", r"at_least 2 V lies above at_most 1 V; nothing could pass"),
    ],
)
def test_bands_that_make_no_sense_are_refused(written: Any, unit: str, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        Band.read(written, unit)


def test_values_are_shown_as_people_write_them() -> None:
    assert [shown(0.875, ""), shown(240.0, ""), shown(0.0129, "V"), shown(2.26e-3, "V²")] == [
        "0.875",
        "240",
        "12.9 mV",
        "0.00226 V²",
    ]


# --- suites


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gradient_cosine", "gradient_cosin", r"chip.toml, line 10: case 'converters': unknown quantity "
         r"'gradient_cosin'; did you mean 'gradient_cosine'\?"),
        ("within = 0.1", "within = -0.1", r"line 16: case 'trained', test_loss: within = -0.1: a distance"),
        ('name = "trained"', 'name = "converters"', r"line 13: there are several cases 'converters'"),
        ("adc_bits\" = 8", "adc_bits\" = 0", r"line 8: case 'converters': --set imperfect.adc_bits=0: .*at least 1"),
        ("imperfect.adc_bits", "imperfect.adc_bit", r"case 'converters': .*did you mean 'adc_bits'|imperfect.adc_bits"),
        ('experiment = "xor"', 'experiment = "xnor"', r"case 'converters': there is no experiment 'xnor'; did"),
        ('experiment = "xor"', "", r"line 6: case 'converters': key 'experiment' is missing, here and in \[suite\]"),
        ("seeds = 2", "seeds = 0", r"line 14: seeds = 0: must be at least 1"),
        ("seeds = 2", "seed = 2", r"line 14: unknown key 'seed'; did you mean 'seeds'\?"),
        ("[suite]", "[suit]", r"unknown key 'suit'; did you mean 'suite'\?"),
        ("test_loss = {", "energy = {", r"energy is not counted without chip.settling_time"),
        ("test_loss = {", "pulses = {", r"pulses is not counted without \[programming\]"),
        ("within = 0.1,", "", r"line 16: case 'trained', test_loss: 'relative' goes with|bounds nothing"),
        ("[case.bands]", "[case.band]", r"unknown key 'band'"),
        ("[[case]]", "[[case", r"not valid TOML"),
    ],
)  # fmt: skip
def test_a_suite_with_a_mistake_is_refused_with_line_and_cure(suite: Path, old: str, new: str, message: str) -> None:
    suite.write_text(changed(SUITE, old, new))
    with pytest.raises(ExperimentError, match=message):
        Suite.load(suite)
    assert regress(str(suite), code=2).stdout == ""


def test_a_suite_without_cases_or_bands_is_refused(suite: Path) -> None:
    suite.write_text("[suite]\n")
    with pytest.raises(ExperimentError, match=r"at least one \[\[case\]\]"):
        Suite.load(suite)
    suite.write_text('[[case]]\nname = "a"\nexperiment = "xor"\n')
    with pytest.raises(ExperimentError, match=r"line 1: case 'a': no bands; say in \[case.bands\]"):
        Suite.load(suite)
    with pytest.raises(ExperimentError, match=r"none\.toml: there is no such file"):
        Suite.load(Path("none.toml"))


def test_what_cases_share_yields_to_their_own(suite: Path) -> None:
    suite.write_text(
        '[suite]\nexperiment = "xor"\nset = { training = { epochs = 5, batch = 2 } }\npractice = 7\n'
        'bands = { test_accuracy = { below = 0.1 } }\n[[case]]\nname = "a"\n'
        '[[case]]\nname = "b"\nset = { "training.epochs" = 3 }\npractice = 0\nbands = { test_loss = { above = 1 } }\n'
    )
    first, second = Suite.load(suite).cases
    assert (first.settings.training.epochs, first.settings.training.batch, first.practice) == (5, 2, 7)
    assert (second.settings.training.epochs, second.settings.training.batch, second.practice) == (3, 2, 0)
    assert (list(first.bands), list(second.bands)) == (["test_accuracy"], ["test_loss"])
    assert first.seeds == (0,)


def test_identity_holds_what_decides_values_and_no_path(tmp_path: Path) -> None:
    def identity(folder: str, rows: str, more: str = "") -> dict[str, Any]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "rows.csv").write_text(rows)
        text = changed(SUITE, "training.epochs = 5", 'training.epochs = 5, data = { set = "csv", file = "rows.csv" }')
        (tmp_path / folder / "chip.toml").write_text(text + more)
        return Suite.load(tmp_path / folder / "chip.toml").cases[1].identity()

    rows = "x,y,label\n1,2,a\n2,1,b\n"
    first = identity("one", rows)
    assert first == identity("two", rows, "test_accuracy = { at_least = 0 }\n")
    assert str(tmp_path) not in json.dumps(first)
    assert first["training.epochs"] == 5
    assert "training.seed" not in first
    other = identity("two", rows + "3,3,a\n")
    assert {key for key in first if first[key] != other[key]} == {"data.file"}


# --- quantities


def test_trained_quantities_are_those_of_a_run(tmp_path: Path) -> None:
    settings = settings_of("iris", "imperfect.read_noise=1 mV", "training.batch=35", "chip.settling_time=1 us")
    names = ("test_accuracy", "train_accuracy", "test_loss", *ENTRIES)
    subject = Experiment(settings)
    reached = subject.train(subject.create_run(tmp_path / "run"))
    assert reached is not None
    assert Measurement(settings, names).run() == {name: reached[name] for name in names}
    assert reached["energy"] > 0


def test_deployed_accuracy_is_that_of_ideal_conductances_on_the_chip(tmp_path: Path) -> None:
    settings = settings_of("iris", "imperfect.dac_bits=2", "imperfect.dac_range=3 V", "training.batch=35")
    trained = Experiment.load("iris", [*QUICK, "training.batch=35"])
    run = trained.create_run(tmp_path / "run")
    trained.train(run)
    expected = Experiment(settings).evaluate(Run(tmp_path / "run"))["test_accuracy"]
    work = Measurement(settings, ("deployed_accuracy",))
    assert work.deployed is not None
    assert work.run(deployed=work.deployed.run()) == {"deployed_accuracy": expected}
    assert expected != trained.evaluate(run)["test_accuracy"]


def test_the_ideal_experiment_has_nothing_wrong() -> None:
    wrong = settings_of("iris", "imperfect.adc_bits=4", "variation.spread=0.1", "chip.kind=ngspice", "chip.reltol=1e-5")
    assert wrong.ideal == settings_of("iris")


def test_an_ideal_chip_has_no_error_and_the_exact_gradient() -> None:
    names = ("gradient_cosine", "voltage_error", "largest_voltage_error")
    found = Measurement(settings_of("iris", "rule.kind=analytical-gradient"), names).run()
    assert found["gradient_cosine"] == pytest.approx(1, abs=1e-12)
    assert found["largest_voltage_error"] < 1e-9
    one_sided = ("rule.variant=one-sided", "rule.beta=0.5 uS")
    assert 0.5 < Measurement(settings_of("iris", *one_sided), names).run()["gradient_cosine"] < 1 - 1e-9


def test_the_voltage_error_of_a_converter_is_at_most_half_a_step() -> None:
    names, at = ("voltage_error", "largest_voltage_error"), ("imperfect.adc_bits=10", "imperfect.adc_range=10 V")
    found = Measurement(settings_of("iris", *at), names, samples=45).run()
    step = 20 / (2**10 - 1)
    assert 0.4 * step < found["largest_voltage_error"] <= step / 2
    assert found["voltage_error"] == pytest.approx(step / math.sqrt(12), rel=0.15)  # evenly spread errors


def test_noise_of_the_read_out_is_the_voltage_error() -> None:
    found = Measurement(settings_of("iris", "imperfect.read_noise=2 mV"), ("voltage_error",), samples=45).run()
    assert found["voltage_error"] == pytest.approx(2e-3, rel=0.2)  # 135 draws: 6 % standard deviation


def test_practice_moves_the_conductances_so_many_steps() -> None:
    settings = settings_of("xor")
    subject = Experiment(settings)
    assert Measurement(settings, ("voltage_error",), practice=0).practised is None
    assert Measurement(settings, ("test_loss",), practice=3).practised is None
    few, all_, more = (Preparation(settings, steps).run() for steps in (1, None, 5))
    moved = [np.abs(a - b).max() for a, b in zip(few, subject.circuit.conductances, strict=True)]
    assert 0 < max(moved) < 1e-5
    assert all(np.array_equal(a, b) for a, b in zip(all_, more, strict=True))  # five epochs of one batch


def test_a_gradient_that_was_measured_to_be_nothing_has_cosine_0() -> None:
    subject = Experiment(settings_of("iris", "imperfect.adc_bits=1", "imperfect.adc_range=1000 V"))
    assert gradient_cosine(subject, subject.circuit.conductances, 8) == 0


def test_a_quantity_without_a_finite_value_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.studies.regress.quantities.gradient_cosine", lambda *_: math.nan)
    with pytest.raises(ChipError, match="gradient_cosine is nan, which no band can hold"):
        Measurement(settings_of("xor"), ("gradient_cosine",)).run()


def test_every_column_of_the_ledger_is_a_quantity() -> None:
    assert set(ENTRIES) <= set(QUANTITIES)
    assert QUANTITIES["energy"].unit == "J"
    assert QUANTITIES["phases"].unit == ""


# --- running


def test_results_do_not_depend_on_the_number_of_processes(suite: Path) -> None:
    suite.write_text(SUITE + 'deployed_accuracy = { below = 0.1 }\n[[case]]\nname = "floats"\npractice = 2\n'
                     'set = { "imperfect.levels" = 2 }\nbands = { voltage_error = { above = 1 } }\n')  # fmt: skip
    cases = Suite.load(suite).cases
    alone, many = ({case.name: found for case, found in measure(cases, workers=n)} for n in (1, 3))
    assert set(alone) == set(many) == {"converters", "trained", "floats"}
    for name, found in alone.items():
        assert (found.values, found.by_seed, found.error) == (many[name].values, many[name].by_seed, many[name].error)
    assert alone["floats"].error is not None
    assert "floats" in alone["floats"].error  # the node that no cell leads to
    first, second = alone["trained"].by_seed["test_loss"]
    assert alone["trained"].values["test_loss"] == pytest.approx((first + second) / 2)
    assert first != second


def test_cases_share_their_ideal_training(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[str] = []
    run = Preparation.run
    monkeypatch.setattr(Preparation, "run", lambda self, stop: trained.append(self.key) or run(self, stop))
    bands = "bands = { deployed_accuracy = { below = 0.1 } }\n"
    for name, bits in (("a", 8), ("b", 4)):
        SHARED = f'[[case]]\nname = "{name}"\nset = {{ "imperfect.dac_bits" = {bits} }}\n{bands}'
        suite.write_text((suite.read_text() if name == "b" else SUITE) + SHARED)
    found = dict(measure(Suite.load(suite).cases))
    assert len(found) == 4
    assert len(trained) == 2  # three steps for "converters", all for "a" and "b"


def test_a_fault_of_the_program_is_told_and_stops_no_other_case(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.studies.regress.quantities.gradient_cosine", lambda *_: 1 / 0)
    found = {case.name: result for case, result in measure(Suite.load(suite).cases)}
    error = found["converters"].error
    assert error is not None
    assert error.splitlines()[0] == "unexpected ZeroDivisionError: division by zero"
    assert found["trained"].error is None


@dataclass(frozen=True)
class Dies(Preparation):
    """An ideal training that takes its process with it."""

    def run(self, stop: Any = None) -> Any:
        os._exit(1)


def test_a_worker_that_dies_fails_what_needs_it_and_nothing_else() -> None:
    settings = settings_of("xor")
    needs, alone = (Measurement(settings, ("voltage_error",), practice=n) for n in (1, 0))
    assert needs.practised is not None
    prepared = dict(_ended({needs.practised.key: (Dies(settings).run, ())}, 2, lambda: False))
    ended = dict(_ended({"needs": _job(needs, prepared), "alone": _job(alone, prepared)}, 2, lambda: False))
    assert str(ended["needs"].error).startswith("ideal training: its worker process died; if memory is short")
    assert ended["alone"].error is None


def test_ctrl_c_ends_at_once_with_its_processes_and_writes_nothing(suite: Path) -> None:
    suite.write_text(changed(SUITE, "training.epochs = 5", "training.epochs = 1000000"))
    words = [sys.executable, "-m", "harness", "regress", "chip.toml", "--update", "--reason", "r", "--workers", "2"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        told = [process.stderr.readline() for _ in range(2)]
        assert told == ["measuring 2 cases, 2 at a time\n", told[1]]
        assert told[1].startswith("converters: measured in ")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        rest = process.stderr.read()  # ends when the last of its processes does
        assert process.wait(timeout=60) == 1
    assert "stopped after 1 of 2 cases; nothing was written" in rest
    assert "Traceback" not in rest
    assert not suite.with_suffix(".golden.json").exists()


# --- the command


def test_a_missing_golden_fails_with_the_cure_and_the_cure_works(suite: Path) -> None:
    shown = regress("chip.toml", code=1)
    assert re.search(r"converters +gradient_cosine +0\.\d+ +needs a golden +NO GOLDEN", shown.stdout)
    cure = "harness regress chip.toml --update --case converters"
    assert f"no golden for gradient_cosine, voltage_error; if what was found is right, record it with: {cure}" in (
        shown.stdout
    )
    assert "0 of 2 cases passed" in shown.stdout
    regress(*cure.split()[2:], "--reason", "first")
    assert list(read_goldens(suite.with_suffix(".golden.json"))) == ["converters"]
    assert "1 of 2 cases passed" in regress("chip.toml", code=1).stdout
    regress("chip.toml", "--update", "--reason", "rest")
    assert "2 of 2 cases passed" in regress("chip.toml").stdout


def test_a_broken_golden_fails_in_every_form(suite: Path) -> None:
    file = golden(suite)
    known = read_goldens(file)
    values = known["trained"].values
    write_goldens(file, {**known, "trained": replace(known["trained"], values={**values, "phases": 59.0})})
    shown = harness("regress", "chip.toml", "--junit", "report.xml", "--workers", "2", cwd=Path.cwd(), code=1)
    assert re.search(r"phases +59 +60 +59 … 59 +BAND LEFT", shown.stdout)
    assert "trained: phases 60 is above 59, the golden 59 + 0" in shown.stdout
    assert "1 of 2 cases passed" in shown.stdout
    told = json.loads(regress("chip.toml", "--json", code=1).stdout)
    assert (told["passed"], told["cases"], told["cases_passed"]) == (False, 2, 1)
    root = Xml.parse("report.xml").getroot()
    assert [root.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["2", "1", "0", "0"]
    first, second = root.findall("./testsuite[@name='chip']/testcase")
    assert (first.get("name"), first.get("classname"), first.find("failure")) == ("converters", "chip", None)
    failure = second.find("failure")
    assert failure is not None
    assert failure.get("type") == "band left"
    assert failure.get("message") == failure.text == "phases 60 is above 59, the golden 59 + 0"
    output = second.find("system-out")
    assert output is not None
    assert "phases: found 60, band 59 … 59" in str(output.text)
    assert float(str(second.get("time"))) > 0


def test_json_says_all(suite: Path) -> None:
    golden(suite)
    shown = regress("chip.toml", "--json")
    told = json.loads(shown.stdout)
    (group,) = told["suites"]
    assert (group["file"], group["goldens"]) == ("chip.toml", "chip.golden.json")
    trained = group["cases"][1]
    assert set(trained) == {"name", "experiment", "seeds", "verdict", "seconds", "problems", "quantities"}
    assert (trained["name"], trained["seeds"], trained["verdict"], trained["problems"]) == (
        "trained",
        [0, 1],
        "passed",
        [],
    )
    loss, phases = trained["quantities"]
    assert set(loss) == {"name", "unit", "golden", "found", "low", "high", "by_seed", "verdict"}
    assert loss["golden"] == loss["found"] == pytest.approx(sum(loss["by_seed"]) / 2)
    assert (loss["unit"], loss["low"], loss["high"]) == (
        "V²",
        pytest.approx(0.9 * loss["golden"]),
        pytest.approx(1.1 * loss["golden"]),
    )
    assert (phases["found"], phases["low"], phases["high"]) == (60, 60, 60)
    assert group["cases"][0]["quantities"][1]["low"] is None


def test_changed_settings_fail_and_say_what_changed(suite: Path) -> None:
    golden(suite)
    suite.write_text(changed(SUITE, 'adc_bits" = 8', 'adc_bits" = 10').replace("practice = 3\n", ""))
    shown = regress("chip.toml", code=1)
    assert "SETTINGS CHANGED" in shown.stdout
    assert re.search(r"converters: settings changed since the golden of \d{4}-\d\d-\d\d: practice was 3, is 0; "
                     r"imperfect\.adc_bits was 8, is 10; if that is meant, run: harness regress chip.toml "
                     r"--update --case converters", shown.stdout)  # fmt: skip
    assert json.loads(regress("chip.toml", "--json", code=1).stdout)["cases_passed"] == 1
    told = regress("chip.toml", "--update", "--reason", "more bits")
    assert "imperfect.adc_bits was 8, is 10" in told.stdout
    regress("chip.toml")


def test_bands_and_descriptions_are_no_settings(suite: Path) -> None:
    file = golden(suite)
    before = file.read_bytes()
    suite.write_text(
        changed(SUITE, "within = 0.1", "within = 0.2").replace("seeds = 2", "seeds = 2\nset = { description = 'x' }")
    )
    regress("chip.toml")
    assert "as it was" in regress("chip.toml", "--update", "--reason", "none").stdout
    assert file.read_bytes() == before


def test_an_update_keeps_what_was_golden_before_and_why(suite: Path) -> None:
    file = golden(suite)
    first = read_goldens(file)["trained"]
    assert (first.reason, first.history) == ("first", ())
    assert {"harness", "numpy", "scipy", "python"} <= set(first.versions)
    suite.write_text(changed(SUITE, "training.epochs = 5", "training.epochs = 6"))
    shown = regress("chip.toml", "--update", "--case", "tr*", "--reason", " longer ", "--json")
    (told,) = json.loads(shown.stdout)["updated"]
    assert (told["name"], told["old"]["phases"], told["new"]["phases"]) == ("trained", 60, 72)
    assert told["settings_changed"] == ["training.epochs was 5, is 6"]
    known = read_goldens(file)
    assert list(known) == ["converters", "trained"]
    assert known["converters"].reason == "first"
    (earlier,) = known["trained"].history
    assert known["trained"].reason == "longer"
    assert (earlier.reason, earlier.date, earlier.values) == ("first", first.date, first.values)


def test_the_reason_is_asked_for_on_a_terminal_only(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nobody can be asked here; give --reason TEXT" in regress("chip.toml", "--update", code=2).output
    monkeypatch.setattr("harness.cli.regress._somebody_there", lambda: True)
    shown = regress("chip.toml", "--update", input="  \nthe first chip\n")
    assert re.search(r"trained +test_loss +[\d.]+ V² +new", shown.stdout)
    assert "say why, in a few words" in shown.output
    assert {golden.reason for golden in read_goldens(Path("chip.golden.json")).values()} == {"the first chip"}
    regress("chip.toml", "--update")  # nothing is new: nothing is asked
    suite.write_text(changed(SUITE, "training.epochs = 5", "training.epochs = 6"))
    before = Path("chip.golden.json").read_bytes()
    regress("chip.toml", "--update", input="", code=1)  # the terminal was closed
    assert Path("chip.golden.json").read_bytes() == before


def test_no_update_moves_a_limit(suite: Path) -> None:
    suite.write_text(changed(SUITE, "at_most = 1000", "at_most = 50"))
    shown = regress("chip.toml", "--update", "--reason", "first", code=1)
    assert "trained: not updated: phases 60 is above 50, a limit that no golden moves" in shown.stderr
    assert "NOT UPDATED" in shown.stdout
    assert list(read_goldens(Path("chip.golden.json"))) == ["converters"]
    assert "phases 60 is above 50" in regress("chip.toml", code=1).stdout


def test_goldens_of_no_case_are_warned_of_and_dropped_by_a_whole_update(suite: Path) -> None:
    file = golden(suite)
    suite.write_text(changed(SUITE, 'name = "trained"', 'name = "taught"'))
    assert "holds 'trained', which is no case" in regress("chip.toml", code=1).stderr
    regress("chip.toml", "--update", "--case", "taught", "--reason", "renamed")
    assert list(read_goldens(file)) == ["converters", "taught", "trained"]
    regress("chip.toml", "--update", "--reason", "renamed")
    assert list(read_goldens(file)) == ["converters", "taught"]


def test_a_case_that_fails_is_an_error_and_stops_no_other(suite: Path) -> None:
    broken = (
        '[[case]]\nname = "<two> levels"\nset = { "imperfect.levels" = 2 }\nbands = { voltage_error = { above = 1 } }\n'
    )
    suite.write_text(SUITE + broken)
    shown = regress("chip.toml", "--update", "--reason", "first", code=1)
    assert "<two> levels: not updated: node" in shown.stderr
    shown = regress("chip.toml", "--junit", "report.xml", code=1)
    assert "2 of 3 cases passed" in shown.stdout
    assert re.search(r"<two> levels: node \w+ floats", shown.stdout)
    error = Xml.parse("report.xml").getroot().find("./testsuite/testcase[@name='<two> levels']/error")
    assert error is not None
    assert "floats" in str(error.get("message"))
    report = json.loads(regress("chip.toml", "--json", code=1).stdout)["suites"][0]["cases"][2]
    assert (report["verdict"], report["quantities"][0]["found"]) == ("error", None)


def test_what_xml_cannot_hold_is_replaced(suite: Path) -> None:
    (loaded,) = (Suite.load(suite),)
    found = Found({}, {}, 0.5, "bell \x07 and \ud800, € < &\nsecond line")
    report = judge(loaded, loaded.cases[0], None, found)
    root = Xml.fromstring(junit({loaded: [report]}))
    error = root.find("./testsuite/testcase/error")
    assert error is not None
    assert error.get("message") == "bell � and �, € < &"
    assert error.text == "bell � and �, € < &\nsecond line"
    assert root.get("errors") == "1"


def test_other_versions_are_named_beside_a_band_that_was_left(suite: Path) -> None:
    file = golden(suite)
    known = read_goldens(file)["trained"]
    old = replace(known, values={**known.values, "phases": 1.0}, versions={**known.versions, "numpy": "0.9"})
    write_goldens(file, {"trained": old})
    shown = regress("chip.toml", "--case", "trained", code=1)
    assert f"is above 1, the golden 1 + 0 (since the golden, numpy 0.9 is now {np.__version__})" in shown.stdout


def test_cases_are_chosen_by_pattern_and_listed(suite: Path) -> None:
    golden(suite)
    assert "1 of 1 case passed" in regress("chip.toml", "--case", "conv*").stdout
    assert "there are converters, trained" in regress("chip.toml", "--case", "nothing", code=2).output
    listed = regress("chip.toml", "--list").stdout
    assert re.search(r"trained +xor +0, 1 +test_loss, phases", listed)
    told = json.loads(regress("chip.toml", "--list", "--json").stdout)
    assert told["suites"]["chip.toml"][0]["quantities"] == ["gradient_cosine", "voltage_error"]
    assert set(told["quantities"]) == set(QUANTITIES)


def test_several_suites_are_one_report(suite: Path) -> None:
    Path("other.toml").write_text(SUITE)
    for name in ("chip", "other"):
        golden(Path(f"{name}.toml"))
    regress("chip.toml", "other.toml", "--case", "converters", "--junit", "report.xml")
    root = Xml.parse("report.xml").getroot()
    assert [part.get("name") for part in root] == ["chip", "other"]
    assert root.get("tests") == "2"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reason", "x"], "--reason says why goldens are new; it goes with --update"),
        (["--update", "--reason", " "], "--reason is empty"),
        (["--update", "--reason", "x", "--junit", "a.xml"], "--junit reports verdicts, and --update gives none"),
        (["--junit", "none/a.xml"], "there is no folder none"),
    ],
)
def test_options_that_make_no_sense_are_refused(suite: Path, words: list[str], message: str) -> None:
    assert message in " ".join(regress("chip.toml", *words, code=2).output.split())


INFINITE = {"values": {"phases": "1e999"}, "settings": {}, "versions": {}, "date": "", "reason": ""}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"format": 1, "cases": {"a": INFINITE}}),
        "",
        "{",
        '{"format": 2, "cases": {}}',
        '{"format": 1, "cases": {"a": {}}}',
        "[1]",
    ],
)
def test_damaged_goldens_are_refused(suite: Path, content: str) -> None:
    Path("chip.golden.json").write_text(content)
    told = regress("chip.toml", code=2).stderr
    assert len(told.splitlines()) == 1
    assert re.search(
        "chip.golden.json( is damaged, or of another version|: not valid JSON|: it holds no JSON obj)", told
    )


def test_goldens_come_back_as_they_were_written(tmp_path: Path) -> None:
    known = {
        'ä "b"': Golden(
            {"x": 0.1 + 0.2, "y": 5e-324}, {"rates": [1e-3, 2.0], "n": None}, {"numpy": "2"}, "2026-01-02", "why"
        )
    }
    write_goldens(tmp_path / "g.json", known)
    assert read_goldens(tmp_path / "g.json") == known
    assert '"rates": [0.001, 2.0]' in (tmp_path / "g.json").read_text()  # lists in a line, for reviews


def test_every_installed_command_documents_itself() -> None:
    shown = harness("regress", "--help", cwd=Path.cwd()).stdout
    assert all(
        option in shown for option in ("--case", "--update", "--reason", "--junit", "--workers", "--list", "--json")
    )
