"""The project's own regression suites, through the command line, against their goldens."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.experiment.nonideal.imperfect import ImperfectSettings
from harness.experiment.nonideal.programming import ProgrammingSettings
from harness.experiment.nonideal.retention import RetentionSettings
from harness.experiment.nonideal.variation import VariationSettings
from harness.experiment.settings import Settings
from harness.studies.regress.bands import Band
from harness.studies.regress.goldens import read_goldens
from harness.studies.regress.quantities import TRAINED
from harness.studies.regress.running import measure
from harness.studies.regress.suite import Case, Suite
from harness.studies.regress.verdicts import Verdict, judge

FOLDER = Path(__file__).parents[1] / "regress"
SIMULATED = "simulators.toml"
SECTIONS = {
    "imperfect": ImperfectSettings,
    "variation": VariationSettings,
    "programming": ProgrammingSettings,
    "retention": RetentionSettings,
}
MANY = 6
"""Keys of a section from which on a case is of their sum, not of each."""


def files() -> list[Path]:
    return sorted(FOLDER.glob("*.toml"))


def report(name: str) -> dict[str, Any]:
    """What `harness regress --json` prints of a suite; fails with the sentences of the cases that did not pass."""
    command = shutil.which("harness", path=os.path.dirname(sys.executable)) or "harness"
    words = [command, "regress", name, "--json", "--workers", "1"]  # the tests themselves take every core
    shown = subprocess.run(words, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert shown.stdout, shown.stderr
    told: dict[str, Any] = json.loads(shown.stdout)
    cases = [case for suite in told["suites"] for case in suite["cases"]]
    assert shown.returncode == (0 if told["passed"] else 1)
    assert told["passed"], "\n".join(f"{case['name']}: {text}" for case in cases for text in case["problems"])
    return told


@pytest.mark.parametrize("name", [file.name for file in files() if file.name != SIMULATED])
def test_nodal_chips_are_as_they_were(name: str) -> None:
    assert report(name)["cases"] == len(Suite.load(FOLDER / name).cases) > 0


@pytest.mark.ngspice
def test_ngspice_is_as_it_was() -> None:
    assert report(SIMULATED)["cases"] >= 3


def test_every_non_ideality_has_a_case() -> None:
    cases = [case for file in files() for case in Suite.load(file).cases]
    set_somewhere = {key for case in cases for key in case.identity()}
    wanted = {f"{name}.{key}" for name, section in SECTIONS.items() for key in section.model_fields}
    assert wanted - {"programming.file", "variation.plugins"} <= set_somewhere


def test_goldens_belong_to_the_cases() -> None:
    for file in files():
        suite = Suite.load(file)
        assert list(read_goldens(suite.goldens)) == [case.name for case in suite.cases]


def put_back(settings: Settings) -> Iterator[tuple[str, Settings]]:
    """Each section without what is set in it, and without each key alone where the rest can stand without it."""
    for name, section in SECTIONS.items():
        given = getattr(settings, name)
        written = {} if given is None else given.model_dump(exclude_defaults=True)
        if not written:
            continue
        yield name, settings.model_copy(update={name: Settings.model_fields[name].get_default()})
        for key in written if 1 < len(written) < MANY else ():
            try:
                rest = section.model_validate({other: written[other] for other in written if other != key})
            except ValidationError:  # a law needs its pulses, a tolerance its mode
                continue
            yield f"{name}.{key}", settings.model_copy(update={name: rest})


def chosen(case: Case, *, trained: bool) -> dict[str, Band]:
    """Bands of quantities that take a training of the case, or of those that take none; none of a deployment."""
    asked = {name: band for name, band in case.bands.items() if name != "deployed_accuracy"}
    return {name: band for name, band in asked.items() if (name in TRAINED) == trained}


def test_every_case_fails_without_its_features() -> None:
    blind = {
        f"{case.name} without {what}": (suite, case, settings)
        for suite in (Suite.load(file) for file in files() if file.name != SIMULATED)
        for case in suite.cases
        for what, settings in put_back(case.settings)
    }
    assert len(blind) >= 60
    for trained in (False, True):  # what is soon measured first
        plains = [
            replace(case, name=name, settings=settings, bands=chosen(case, trained=trained))
            for name, (_, case, settings) in blind.items()
        ]
        for plain, found in measure([plain for plain in plains if plain.bands]):
            suite, case, _ = blind[plain.name]
            assert found.error is None, f"{plain.name}: {found.error}"
            judged = judge(suite, replace(case, bands=plain.bands), read_goldens(suite.goldens)[case.name], found)
            assert judged.verdict in (Verdict.PASSED, Verdict.LEFT), f"{plain.name}: {judged.problems}"
            if judged.verdict is Verdict.LEFT:
                del blind[plain.name]
    assert not blind, f"cases that pass without what they are about: {', '.join(blind)}"
