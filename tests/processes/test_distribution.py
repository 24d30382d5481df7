"""The distribution that pip knows, and other projects' that stand in its way."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import harness
from harness.processes.distribution import DISTRIBUTION, extras, installing, namesake

ROOT = Path(__file__).parents[2]
ABOUT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def stranger(folder: Path, name: str = "harness", script: str = "harness.serving:main") -> Path:
    """Make the wheel of another project, whose package has the same import name."""
    about = f"{name}-0.9.dist-info"
    files = {
        "harness/__init__.py": "VERSION = '0.9'\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.9\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\nserving = {script}\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{about}/RECORD"])
    wheel = folder / f"{name}-0.9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in [*files.items(), (f"{about}/RECORD", record)]:
            archive.writestr(file, text)
    return wheel


def test_the_distribution_is_what_pip_is_told() -> None:
    assert ABOUT["name"] == DISTRIBUTION
    assert "version" in ABOUT["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", harness.__version__)


def test_extras_are_those_of_the_project() -> None:
    declared = ABOUT["optional-dependencies"]
    found = extras()
    assert set(found) == set(declared)
    for extra, packages in declared.items():
        here = (one for one in map(Requirement, packages) if one.marker is None or one.marker.evaluate())
        assert {Requirement(text).name for text in found[extra]} == {one.name for one in here}
    assert installing("cluster") == f"pip install '{declared['cluster'][0]}'"
    assert installing("nothing") == "pip install '.[nothing]' in the clone"


def test_there_is_no_stranger_here_and_an_installation_of_ours_under_another_name_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert namesake() is None
    monkeypatch.syspath_prepend(stranger(tmp_path, script="harness.__main__:main"))
    assert namesake() is None


@pytest.mark.parametrize("name", ["harness", "spice_harness"])
def test_a_stranger_is_named_with_its_folder_and_the_cure(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(stranger(tmp_path, name))
    told = namesake() or ""
    assert f"another project's package '{name.replace('_', '-')}' is installed in '{tmp_path}" in told
    assert "'python -m pip uninstall harness spice-harness'" in told


def test_a_stranger_whose_metadata_are_damaged_is_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harness-1.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert "another project's package" in (namesake() or "")


def test_the_command_says_that_a_stranger_is_installed_and_does_nothing_else(tmp_path: Path) -> None:
    """`.ci/wheel` does so with pip, in an environment where both were installed."""
    wheel = str(stranger(tmp_path))
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {wheel!r}]; from harness.__main__ import main; main()"
    words = [sys.executable, "-c", code, "train", "xor"]
    ended = subprocess.run(words, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("harness: another project's package 'harness' is installed in ")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


NAMED = re.compile(r"pip3? install [^\n`]*?(?<![\w./-])['\"]?(?:spice[-_])?harness(?=[\[\s'\"`.,=)]|$)")


def test_nobody_is_told_to_install_this_package_by_its_name() -> None:
    """pip would look for it where other projects have its names."""
    assert NAMED.search("pip install 'harness[cluster]'")
    assert NAMED.search("python -m pip install -U spice-harness")
    assert not NAMED.search("pip install ./harness-0.1.0.whl and git clone")
    folders = [ROOT / name for name in ("harness", "tests", "docs", "netlists", ".ci")]
    texts = [
        path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".md", ".toml", ".ipynb"}
    ]
    texts = [path for path in (*texts, *ROOT.glob("*.*")) if path.is_file() and path != Path(__file__)]
    assert len(texts) > 300
    assert [str(path) for path in texts if NAMED.search(path.read_text(encoding="utf-8"))] == []
