"""The rooms of the house: who may import whom, and that importing does no work."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent.parent / "harness"
GROUND_FLOOR = {"errors", "units", "measurement", "files"}
MAY_IMPORT = {
    "errors": set(),
    "units": GROUND_FLOOR,
    "measurement": GROUND_FLOOR,
    "files": GROUND_FLOOR,
    "devices": GROUND_FLOOR,
    "circuit": GROUND_FLOOR | {"devices"},
    "netlist": GROUND_FLOOR | {"devices", "circuit", "problems"},
    "chip": GROUND_FLOOR | {"devices", "circuit", "netlist"},
    "learning": GROUND_FLOOR | {"devices", "circuit"},
    "datasets": GROUND_FLOOR,
    "runs": GROUND_FLOOR | {"learning"},
    "plots": GROUND_FLOOR | {"circuit", "runs"},
    "drawing": GROUND_FLOOR | {"devices", "circuit"},
    "device_drawing": GROUND_FLOOR | {"devices", "drawing"},
    "device_commands": GROUND_FLOOR | {"devices", "device_drawing", "options", "terminal"},
    "problems": GROUND_FLOOR,
    "assembly": GROUND_FLOOR
    | {"devices", "circuit", "chip", "learning", "datasets", "controller", "sections", "settings"},
    "sections": GROUND_FLOOR | {"devices", "circuit", "learning", "problems"},
    "settings": GROUND_FLOOR | {"problems", "sections"},
    "controller": GROUND_FLOOR | {"chip", "learning", "datasets", "runs"},
    "checks": GROUND_FLOOR | {"devices", "circuit", "netlist", "chip", "learning", "controller"},
    "doctor": GROUND_FLOOR | {"devices", "circuit", "chip", "checks"},
    "experiment": GROUND_FLOOR
    | {"circuit", "netlist", "chip", "learning", "datasets", "runs", "plots", "sections", "settings", "controller"}
    | {"assembly"},
    "exporting": GROUND_FLOOR | {"assembly", "circuit", "netlist", "chip", "experiment", "runs", "sections"},
    "export_command": GROUND_FLOOR | {"exporting", "netlist", "options", "terminal"},
    "importing": GROUND_FLOOR | {"circuit", "experiment", "runs", "sections"},
    "conductances": GROUND_FLOOR | {"circuit", "experiment", "runs"},
    "conductance_commands": GROUND_FLOOR | {"conductances", "options", "runs", "terminal"},
    "bench": GROUND_FLOOR | {"circuit", "netlist", "chip", "controller", "experiment", "sections"},
    "terminal": GROUND_FLOOR | {"bench", "checks", "controller", "experiment", "importing", "plots", "runs"},
    "audit": GROUND_FLOOR | {"circuit", "netlist", "chip", "learning", "checks", "controller"},
    "audit_command": GROUND_FLOOR | {"audit", "checks", "experiment", "options", "plots", "runs", "terminal"},
    "options": GROUND_FLOOR | {"datasets", "experiment", "runs"},
    "points": GROUND_FLOOR | {"experiment", "settings"},
    "deployment": GROUND_FLOOR | {"experiment", "points", "runs"},
    "jobs": GROUND_FLOOR | {"controller", "experiment", "runs", "settings"},
    "executors": GROUND_FLOOR | {"jobs"},
    "remote": GROUND_FLOOR | {"chip", "executors", "jobs"},
    "sweep_plots": {"plots"},
    "sweep": GROUND_FLOOR
    | {"deployment", "executors", "experiment", "jobs", "points", "remote", "runs", "settings", "sweep_plots"},
    "studies": GROUND_FLOOR | {"deployment", "options", "points", "runs", "sweep", "terminal"},
    "regress": GROUND_FLOOR
    | {"chip", "learning", "controller", "experiment", "problems", "runs", "sections", "settings"},
    "regress_command": GROUND_FLOOR | {"experiment", "options", "regress", "terminal"},
    "transient": GROUND_FLOOR | {"circuit", "netlist", "chip"},
    "transient_plots": {"plots", "transient"},
    "transient_command": GROUND_FLOOR
    | {"experiment", "learning", "options", "runs", "terminal", "transient", "transient_plots"},
    "report": GROUND_FLOOR
    | {"circuit", "devices", "netlist", "chip", "drawing", "experiment", "problems", "runs", "sections", "settings", "transient"},
    "report_command": GROUND_FLOOR | {"options", "report", "terminal", "transient", "transient_command"},
    "simulators": GROUND_FLOOR | {"chip", "netlist"},
    "lvs": GROUND_FLOOR | {"simulators"},
    "verify": GROUND_FLOOR | {"circuit", "lvs", "netlist", "simulators"},
    "verify_command": GROUND_FLOOR | {"options", "terminal", "verify"},
    "cli": GROUND_FLOOR
    | {
        "audit_command",
        "bench",
        "checks",
        "conductance_commands",
        "device_commands",
        "drawing",
        "doctor",
        "datasets",
        "circuit",
        "experiment",
        "export_command",
        "importing",
        "options",
        "regress_command",
        "report_command",
        "runs",
        "studies",
        "terminal",
        "transient_command",
        "verify_command",
    },
    "__init__": {"experiment", "runs"},
    "__main__": {"cli"},
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
    assert uses == (path in {HARNESS / "chip" / "cluster.py", HARNESS / "remote.py"})


def test_the_controller_sees_the_protocol_and_no_concrete_chip() -> None:
    chips = {m for m in imported_modules(HARNESS / "controller.py") if m.startswith("harness.chip")}
    assert chips <= {"harness.chip.base", "harness.chip.base.Chip", "harness.chip.base.Ledger"}


def test_circuits_and_netlists_need_neither_pyspice_nor_ngspice_nor_dask() -> None:
    code = """
import sys
sys.modules["PySpice"] = sys.modules["cffi"] = sys.modules["dask"] = sys.modules["distributed"] = None
import harness.chip.nodal, harness.netlist.full, harness.netlist.sweep
from harness.experiment import Experiment
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
