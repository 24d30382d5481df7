"""The rooms of the house: who may import whom, and that importing does no work."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent.parent / "harness"
GROUND_FLOOR = {"errors", "units", "measurement", "files", "reading", "delimited", "locking", "wording"}
GROUND_FLOOR |= {"safe_path", "worker_process", "workers"}
MAY_IMPORT = {
    "errors": set(),
    "units": GROUND_FLOOR,
    "measurement": GROUND_FLOOR,
    "safe_path": set(),
    "worker_process": {"errors"},
    "workers": {"errors", "safe_path", "worker_process"},
    "files": GROUND_FLOOR,
    "reading": GROUND_FLOOR,
    "delimited": GROUND_FLOOR,
    "wording": GROUND_FLOOR,
    "locking": GROUND_FLOOR,
    "devices": GROUND_FLOOR,
    "circuit": GROUND_FLOOR | {"devices"},
    "netlist": GROUND_FLOOR | {"devices", "circuit", "problems"},
    "chip": GROUND_FLOOR | {"devices", "circuit", "netlist"},
    "learning": GROUND_FLOOR | {"devices", "circuit"},
    "datasets": GROUND_FLOOR,
    "runs": GROUND_FLOOR | {"learning"},
    "parts": GROUND_FLOOR | {"runs"},
    "manifest": GROUND_FLOOR | {"chip", "datasets", "runs", "settings"},
    "problems": GROUND_FLOOR,
    "assembly": GROUND_FLOOR
    | {"chip_sections", "devices", "circuit", "chip", "learning", "datasets", "controller", "sections", "settings"}
    | {"strength"},
    "sections": GROUND_FLOOR | {"devices", "circuit", "learning", "problems"},
    "chip_sections": GROUND_FLOOR | {"devices", "circuit", "problems", "sections"},
    "settings": GROUND_FLOOR | {"chip_sections", "problems", "sections"},
    "memory": GROUND_FLOOR | {"sections", "settings"},
    "strength": GROUND_FLOOR | {"chip", "circuit", "learning", "sections", "settings"},
    "controller": GROUND_FLOOR | {"chip", "learning", "datasets", "parts", "runs"},
    "checks": GROUND_FLOOR | {"devices", "circuit", "netlist", "chip", "learning", "controller"},
    "doctor": GROUND_FLOOR | {"devices", "circuit", "chip", "checks"},
    "experiment": GROUND_FLOOR
    | {"circuit", "netlist", "chip", "learning", "datasets", "runs", "pictures", "sections", "settings", "controller"}
    | {"assembly", "manifest", "memory", "parts", "predictions", "strength"},
    "predictions": GROUND_FLOOR | {"controller", "datasets"},
    "exporting": GROUND_FLOOR
    | {"assembly", "circuit", "netlist", "chip", "experiment", "runs", "sections", "simulators"},
    "warm_start": GROUND_FLOOR | {"experiment", "parts", "runs"},
    "importing": GROUND_FLOOR | {"circuit", "experiment", "runs", "sections"},
    "conductances": GROUND_FLOOR | {"circuit", "experiment", "runs"},
    "bench": GROUND_FLOOR | {"circuit", "netlist", "chip", "controller", "experiment", "sections"},
    "audit": GROUND_FLOOR | {"circuit", "netlist", "chip", "learning", "checks", "controller"},
    "sweep": GROUND_FLOOR | {"chip", "controller", "experiment", "memory", "pictures", "runs", "settings"},
    "regress": GROUND_FLOOR
    | {"chip", "chip_sections", "learning", "controller", "experiment", "memory", "problems", "runs", "sections"}
    | {"settings"},
    "transient": GROUND_FLOOR | {"circuit", "netlist", "chip"},
    "report": GROUND_FLOOR
    | {
        "circuit",
        "devices",
        "netlist",
        "chip",
        "chip_sections",
        "experiment",
        "pictures",
        "problems",
        "runs",
        "sections",
        "settings",
        "transient",
    },
    "simulators": GROUND_FLOOR | {"chip", "netlist"},
    "lvs": GROUND_FLOOR | {"simulators"},
    "verify": GROUND_FLOOR | {"circuit", "devices", "lvs", "netlist", "simulators"},
    "pictures": GROUND_FLOOR | {"circuit", "devices", "runs", "transient"},
    "commands": GROUND_FLOOR
    | {"audit", "bench", "checks", "conductances", "controller", "datasets", "devices", "experiment", "exporting"}
    | {"importing", "learning", "memory", "netlist", "parts", "pictures", "predictions", "regress", "report", "runs"}
    | {"sweep", "transient", "verify"},
    "cli": GROUND_FLOOR
    | {"bench", "checks", "circuit", "commands", "datasets", "doctor", "experiment", "importing", "pictures"}
    | {"memory", "predictions", "runs", "warm_start"},
    "__init__": {"experiment", "runs"},
    "__main__": {"cli", "safe_path"},
}


def room_of(path: Path) -> str:
    return path.relative_to(HARNESS).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path}: relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


SOURCES = [pytest.param(path, id=str(path.relative_to(HARNESS))) for path in sorted(HARNESS.rglob("*.py"))]


@pytest.mark.parametrize("path", SOURCES)
def test_imports_run_one_way(path: Path) -> None:
    rooms = {module.split(".")[1] for module in imported_modules(path) if module.startswith("harness.")}
    rooms &= set(MAY_IMPORT)
    own = room_of(path)
    assert rooms - {own} <= MAY_IMPORT[own]


@pytest.mark.parametrize("path", SOURCES)
def test_only_the_session_knows_pyspice(path: Path) -> None:
    uses = any(module.split(".")[0] == "PySpice" for module in imported_modules(path))
    assert uses == (path == HARNESS / "chip" / "session.py")


@pytest.mark.parametrize("path", SOURCES)
def test_only_clusters_know_dask(path: Path) -> None:
    uses = any(module.split(".")[0] in {"dask", "distributed"} for module in imported_modules(path))
    assert uses == (path in {HARNESS / "chip" / "cluster.py", HARNESS / "sweep" / "remote.py"})


def test_the_controller_sees_the_protocol_and_no_concrete_chip() -> None:
    chips = {m for m in imported_modules(HARNESS / "controller.py") if m.startswith("harness.chip")}
    assert chips <= {"harness.chip.base", "harness.chip.base.Chip", "harness.chip.base.Ledger"}


def test_circuits_and_netlists_need_neither_pyspice_nor_ngspice_nor_dask() -> None:
    code = """
import sys
sys.modules["PySpice"] = sys.modules["cffi"] = sys.modules["dask"] = sys.modules["distributed"] = None
import harness.chip.nodal.chip, harness.netlist.decks.full, harness.netlist.decks.batch
from harness.experiment.experiment import Experiment
experiment = Experiment.load("xor")
assert ".end" in experiment.netlist(experiment.circuit)
"""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env={"NGSPICE_LIBRARY_PATH": "/nowhere"}, check=False
    )
    assert result.returncode == 0


def test_importing_the_package_loads_no_library() -> None:
    code = "import sys, harness; assert not {'numpy', 'scipy', 'PySpice', 'matplotlib'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_module_is_a_drawer() -> None:
    assert not {path.stem for path in HARNESS.rglob("*.py")} & {"utils", "util", "helpers", "misc", "common"}
