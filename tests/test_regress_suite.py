"""The project's own regression suites, through the command line, against their goldens."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.regress.goldens import read_goldens
from harness.regress.suite import Suite
from harness.sections import ImperfectSettings, ProgrammingSettings, VariationSettings

FOLDER = Path(__file__).parent / "regress"
SIMULATED = "simulators.toml"


def files() -> list[Path]:
    return sorted(FOLDER.glob("*.toml"))


def report(*names: str) -> dict[str, Any]:
    """What `harness regress --json` prints; fails with the sentences of the cases that did not pass."""
    command = shutil.which("harness", path=os.path.dirname(sys.executable)) or "harness"
    words = [command, "regress", *names, "--json"]
    shown = subprocess.run(words, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert shown.stdout, shown.stderr
    told: dict[str, Any] = json.loads(shown.stdout)
    cases = [case for suite in told["suites"] for case in suite["cases"]]
    assert shown.returncode == (0 if told["passed"] else 1)
    assert told["passed"], "\n".join(f"{case['name']}: {text}" for case in cases for text in case["problems"])
    return told


def test_nodal_chips_are_as_they_were() -> None:
    told = report(*(file.name for file in files() if file.name != SIMULATED))
    assert told["cases"] >= 20


@pytest.mark.ngspice
def test_ngspice_is_as_it_was() -> None:
    assert report(SIMULATED)["cases"] >= 3


def test_every_non_ideality_has_a_case() -> None:
    cases = [case for file in files() for case in Suite.load(file).cases]
    set_somewhere = {key for case in cases for key in case.identity()}
    sections = {"imperfect": ImperfectSettings, "variation": VariationSettings, "programming": ProgrammingSettings}
    wanted = {f"{name}.{key}" for name, section in sections.items() for key in section.model_fields}
    assert wanted - {"programming.file"} <= set_somewhere


def test_goldens_belong_to_the_cases() -> None:
    for file in files():
        suite = Suite.load(file)
        assert list(read_goldens(suite.goldens)) == [case.name for case in suite.cases]
