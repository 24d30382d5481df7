"""Modules that are loaded when they are needed, so that nobody waits for what is not used."""

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.chip.nodal.machine_code import compiled
from harness.cli.main import main
from harness.cli.output.help import Later

SLOW = {
    "IPython",
    "asyncio",
    "dask",
    "distributed",
    "jinja2",
    "matplotlib",
    "mpl_toolkits",
    "networkx",
    "numba",
    "pandas",
    "PIL",
    "pyarrow",
    "pyvisa",
    "schemdraw",
    "scipy.integrate",
    "scipy.optimize",
    "scipy.stats",
    "serial",
    "sklearn",
    "tensorboardX",
    "torch",
    "yaml",
}
"""Libraries that take their time, none of which a small training in ngspice needs before its end."""
OWN = {
    "harness.chip.ngspice.pool",
    "harness.chip.bench.chip",
    "harness.chip.ngspice.cluster",
    "harness.exchange",
    "harness.netlist.package",
    "harness.pictures",
    "harness.report",
    "harness.sklearn",
    "harness.studies",
    "harness.torch",
}
"""Rooms of our own that it does not need either."""
FIRST_STEP = """
import json, os, sys
from harness.cli.main import main
import harness.training.controller as controller
train_step = controller.train_step
def first(*given):
    found = train_step(*given)
    print(json.dumps(sorted(sys.modules)), flush=True)
    os._exit(0)
controller.train_step = first
main(sys.argv[1:], prog_name="harness")
"""


def loaded(code: str, *arguments: str, cwd: Path | None = None) -> set[str]:
    """Return the modules that code has loaded when it prints them, or ends."""
    ending = "import atexit, json, sys; atexit.register(lambda: print(json.dumps(sorted(sys.modules))))\n"
    told = [sys.executable, "-c", ending + code, *arguments]
    ended = subprocess.run(told, cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    modules: list[str] = json.loads(ended.stdout.splitlines()[-1])
    return set(modules)


def test_importing_the_package_loads_nothing() -> None:
    own = {name for name in loaded("import harness") if name.partition(".")[0] not in sys.stdlib_module_names}
    ours = {name for name in own if name.startswith("harness")}
    assert ours == {"harness"}
    assert sorted(own & {*SLOW, "numpy", "scipy", "pydantic", "rich", "click"}) == []


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_loads_no_library_of_numbers(word: str) -> None:
    found = loaded("import sys; from harness.__main__ import main; main()", word)
    heavy = {*SLOW, *OWN, "numpy", "scipy", "pydantic", "harness.experiment.experiment", "harness.chip"}
    assert sorted(found & heavy) == []


@pytest.mark.ngspice
def test_the_first_step_of_a_small_training_has_loaded_what_it_needs_and_no_more(tmp_path: Path) -> None:
    found = loaded(FIRST_STEP, "train", "xor", cwd=tmp_path)
    assert {"numpy", "PySpice", "harness.chip.ngspice.session"} <= found
    assert sorted(found & {*SLOW, *OWN}) == []


def test_the_first_step_in_the_nodal_chip_knows_no_ngspice(tmp_path: Path) -> None:
    compiled.settle()  # so that machine code is kept, and no compiler is needed
    found = loaded(FIRST_STEP, "train", "iris", "--chip", "nodal", cwd=tmp_path)
    assert sorted(found & {*SLOW, *OWN, "PySpice"}) == []


@pytest.mark.parametrize("collecting", [True, False])
def test_a_command_that_is_loaded_leaves_the_garbage_collector_as_it_was(collecting: bool) -> None:
    before = gc.isenabled()
    (gc.enable if collecting else gc.disable)()
    try:
        for place in ("json:JSONDecoder", "harness.cli.doctors:none"):
            with suppress(ImportError, AttributeError):
                Later({"one": (place, "")})["one"]
            assert gc.isenabled() == collecting
    finally:
        (gc.enable if before else gc.disable)()


def test_what_is_imported_is_never_searched_for_garbage_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stays.py").write_text("import click\nfound = click.Command('stays')\n")
    monkeypatch.syspath_prepend(tmp_path)
    command = Later({"one": ("stays:found", "A sentence.")})["one"]
    assert gc.get_freeze_count()
    assert not any(command is other for other in gc.get_objects())
    gc.unfreeze()
    assert any(command is other for other in gc.get_objects())


def test_no_garbage_is_looked_for_while_a_command_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "looked.py").write_text("import click, gc\nfound = click.Command(str(gc.isenabled()))\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert Later({"one": ("looked:found", "A sentence.")})["one"].name == "False"


def test_a_command_searches_seldom_for_garbage_and_puts_the_habit_back(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, before = list[tuple[int, int, int]](), gc.get_threshold()

    @contextmanager
    def looked() -> Iterator[None]:
        seen.append(gc.get_threshold())
        yield

    monkeypatch.setattr(sys.modules["harness.cli.main"], "usual_loudness", looked)
    for words, code in ((["sweep", "--help"], 0), (["sweep"], 2)):  # what fails puts it back, too
        assert CliRunner().invoke(main, words).exit_code == code
    assert seen == [(10 * before[0], before[1], 10 * before[2])] * 2
    assert gc.get_threshold() == before
