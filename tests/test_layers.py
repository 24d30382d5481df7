"""The rooms of the house: who may import whom, and that importing does no work."""

import ast
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import networkx
import pytest

import harness

HARNESS = Path(__file__).parent.parent / "harness"
GROUND_FLOOR = {"errors", "units", "measurement", "wording", "validation", "plugins", "files", "processes"}
"""Rooms that everybody may use."""
MAY_IMPORT: dict[str, set[str]] = {
    "devices": set(),
    "datasets": set(),
    "circuit": {"devices"},
    "netlist": {"devices", "circuit"},
    "chip": {"devices", "circuit", "netlist"},
    "learning": {"devices", "circuit"},
    "training": {"chip", "datasets", "learning"},
    "testing": {"circuit", "chip", "learning"},
    "pictures": {"devices", "datasets", "circuit", "chip", "training"},
    "experiment": {"devices", "datasets", "circuit", "netlist", "chip", "learning", "training", "pictures"},
    "sklearn": {"datasets", "circuit", "learning", "training", "experiment"},
    "torch": {"circuit", "chip", "learning", "experiment"},
    "exchange": {"devices", "circuit", "netlist", "chip", "training", "experiment"},
    "studies": {"devices", "circuit", "netlist", "chip", "learning", "training", "pictures", "experiment"},
    "report": {"devices", "circuit", "netlist", "chip", "training", "pictures", "experiment", "studies"},
    "cli": {"devices", "datasets", "circuit", "netlist", "learning", "training", "pictures", "experiment"}
    | {"exchange", "studies", "report"},
}
"""What each room may import beside the ground floor; the package and its command come last."""
GROUND_MAY_IMPORT = {
    "errors": set[str](),
    "units": {"errors"},
    "measurement": {"errors"},
    "wording": set[str](),
    "validation": {"errors", "units", "wording"},
    "plugins": {"errors", "validation", "wording"},
    "files": {"errors", "wording"},
    "processes": {"errors"},
}
MOST_FILES = 12
"""Modules in one folder, beside its ``__init__``."""
MOST_ON_TOP = 6
"""Modules of the package itself, beside ``__init__`` and ``__main__``."""


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
    rooms &= {*GROUND_MAY_IMPORT, *MAY_IMPORT}
    own = room_of(path)
    if own in GROUND_MAY_IMPORT:
        assert rooms - {own} <= GROUND_MAY_IMPORT[own]
    elif own in MAY_IMPORT:
        assert rooms - {own} <= GROUND_FLOOR | MAY_IMPORT[own]
    else:
        assert own in {"__init__", "__main__"}, f"no rule for {own}"


def test_rooms_are_in_order() -> None:
    """So that imports between rooms cannot come back to where they began."""
    order = list(MAY_IMPORT)
    assert all(order.index(other) < order.index(own) for own, others in MAY_IMPORT.items() for other in others)


def test_no_files_import_each_other_in_a_circle() -> None:
    names = {".".join(path.relative_to(HARNESS.parent).with_suffix("").parts): path for path in HARNESS.rglob("*.py")}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    imports = {name: {m for m in imported_modules(path) if m in names} - {name} for name, path in names.items()}
    # a package's __init__ gathers what its own files define; that they import each other is looked at file by file
    arrows = {name: {m for m in found if not name.startswith(f"{m}.")} for name, found in imports.items()}
    graph = networkx.DiGraph([(name, m) for name, found in arrows.items() for m in found])
    assert [sorted(part) for part in networkx.strongly_connected_components(graph) if len(part) > 1] == []


def test_no_room_is_crowded() -> None:
    top = {path.stem for path in HARNESS.glob("*.py")} - {"__init__", "__main__"}
    assert len(top) <= MOST_ON_TOP
    crowded = {
        str(folder.relative_to(HARNESS)): count
        for folder in HARNESS.rglob("*")
        if folder.is_dir() and (count := len({*folder.glob("*.py")} - {folder / "__init__.py"})) > MOST_FILES
    }
    assert not crowded


@pytest.mark.parametrize("path", SOURCES)
def test_only_the_binding_knows_pyspice(path: Path) -> None:
    uses = any(module.split(".")[0] == "PySpice" for module in imported_modules(path))
    assert uses == (path == HARNESS / "chip" / "ngspice" / "binding.py")


@pytest.mark.parametrize("path", SOURCES)
def test_only_clusters_know_dask(path: Path) -> None:
    uses = any(module.split(".")[0] in {"dask", "distributed"} for module in imported_modules(path))
    assert uses == (path in {HARNESS / "chip" / "ngspice" / "cluster.py", HARNESS / "studies" / "sweep" / "remote.py"})


@pytest.mark.parametrize("path", SOURCES)
def test_only_event_logs_know_tensorboardx(path: Path) -> None:
    uses = any(module.split(".")[0] == "tensorboardX" for module in imported_modules(path))
    assert uses == (path == HARNESS / "training" / "tensorboard.py")


@pytest.mark.parametrize("path", SOURCES)
def test_only_lines_to_boards_know_libraries_of_instruments(path: Path) -> None:
    libraries = {"pyvisa", "pyvisa_py", "serial", "pyarc2", "nidaqmx"}
    known = imported_modules(path)
    uses = libraries & {m.split(".")[0] for m in known} or "harness.chip.bench.transport.library" in known
    assert not uses or path.parent == HARNESS / "chip" / "bench" / "transport"


def test_the_controller_sees_the_protocol_and_no_concrete_chip() -> None:
    chips = {m for m in imported_modules(HARNESS / "training" / "controller.py") if m.startswith("harness.chip")}
    assert {m for m in chips if m.split(".")[2] not in ("metering", "history")} <= {
        "harness.chip.base",
        "harness.chip.base.Chip",
    }


def test_circuits_and_netlists_need_neither_pyspice_nor_ngspice_nor_dask() -> None:
    code = """
import sys
import tomllib
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


def test_what_texts_refer_to_is_there() -> None:
    """Modules and their names between backticks, in docstrings, in README and on the pages."""
    texts = [*HARNESS.rglob("*.py"), HARNESS.parent / "README.md", *(HARNESS.parent / "docs" / "pages").rglob("*.md")]
    named = {name for path in texts for name in re.findall(r"`(harness(?:\.\w+)+)`", path.read_text(encoding="utf-8"))}
    assert len(named) > 50

    def there(name: str) -> bool:
        try:
            return pkgutil.resolve_name(name) is not None
        except (ImportError, AttributeError):
            return False

    assert sorted(name for name in named if not there(name)) == []


def test_no_module_is_a_drawer() -> None:
    assert not {path.stem for path in HARNESS.rglob("*.py")} & {"utils", "util", "helpers", "misc", "common"}


def test_files_that_are_no_modules_are_packaged() -> None:
    """A wheel has only the data files that ``pyproject.toml`` names."""
    setup = tomllib.loads((HARNESS.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    named = {path for pattern in setup["package-data"]["harness"] for path in HARNESS.glob(pattern)}
    files = {path for path in HARNESS.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert sorted(path for path in files - named if path.suffix != ".py") == []


def test_public_names_come_from_the_modules_that_type_checkers_read() -> None:
    """The table of names that load when asked for, and the imports that only type checkers see, say the same."""
    read = {
        alias.name: node.module
        for node in ast.walk(ast.parse((HARNESS / "__init__.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert read == harness._HOMES
    assert dir(harness) == sorted(["__version__", *read])
    for name, module in read.items():
        assert getattr(harness, name) is pkgutil.resolve_name(f"{module}:{name}")
    with pytest.raises(AttributeError, match="has no attribute 'Experimint'"):
        harness.Experimint  # noqa: B018
