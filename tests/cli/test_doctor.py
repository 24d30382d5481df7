"""`harness doctor`: what it says of extras and of other people's programs."""

import json
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.machine import parts
from harness.cli.machine.parts import EXTRAS, libraries, programs
from harness.cli.main import main
from harness.cli.terminal import OUT, table
from harness.exchange.lvs import TOOLS
from harness.exchange.simulators import OTHERS
from harness.processes.distribution import extras

ROOT = Path(__file__).parents[2]


def test_every_extra_of_the_project_is_told() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(about["optional-dependencies"]) <= set(EXTRAS)
    found = {part.name: part for part in libraries()}
    assert set(found) == {f"[{extra}]" for extra in about["optional-dependencies"]}
    assert found["[cluster]"].found == f"distributed {metadata.version('distributed')}"
    assert found["[dev]"].found == f"{len(extras()['dev'])} libraries"


def test_an_extra_whose_libraries_are_not_all_here_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "extras", lambda: {"bench": ("no-such-library>=3",), "dev": ("no-such-library[all]",)})
    found = {part.name: part for part in libraries()}
    assert found["[bench]"].found is None
    assert found["[dev]"].found is None
    assert set(found) == {"[bench]", "[dev]"}
    assert found["[bench]"].row[1] == "–"
    assert found["[bench]"].row[2].startswith(f"{EXTRAS['bench']}; pip install 'pyserial>=")


def test_every_reader_of_packages_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XYCE", "SPECTRE", "LTSPICE", "NETGEN"):
        monkeypatch.setenv(name, "/nowhere/program")
    found = {part.name: part for part in programs()}
    assert {tool.name for tool in (*OTHERS, *TOOLS)} <= set(found)
    assert found["Xyce"].row == (
        "Xyce",
        "–",
        "simulates packages again (harness verify); from its maker, Sandia; $XYCE names it",
    )
    assert found["Netgen"].row[2].endswith("; sudo apt-get install netgen-lvs")


@pytest.mark.ngspice
def test_doctor_prints_all_of_it_within_80_columns() -> None:
    said = CliRunner().invoke(main, ["doctor", "--json"], catch_exceptions=False)
    told = json.loads(said.stdout)
    assert {"name", "found", "purpose", "install"} == set(told["extras"][0]) == set(told["programs"][0])
    assert told["passed"] is True
    with OUT.capture() as shown:
        OUT.print(table(("extra", "found", "what it is for"), (part.row for part in libraries())), width=80)
    lines = shown.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("[cluster]" in line for line in lines)
