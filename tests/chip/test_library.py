"""Where libngspice is found: in folders as conda and Homebrew make them, with copies of this system's own."""

import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.chip.ngspice import library
from harness.chip.ngspice.library import INSTALL, VARIABLE, find_library
from harness.errors import NgspiceMissing

Place = Callable[[str], Path]


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that has no libngspice and is in no environment."""
    for name in (VARIABLE, "CONDA_PREFIX", "HOMEBREW_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(library, "_NAMES", ("libngspice-of-a-test.so.0", "libngspice.so", "libngspice.dylib"))
    monkeypatch.setattr(library, "_HOMEBREW", (str(tmp_path / "opt" / "homebrew"),))
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: None)
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, str(tmp_path / name))
    load = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda name: load(name if os.sep in name else f"{name}-is-not-in-this-system"))


@pytest.fixture(scope="module")
def real() -> str:
    """The path of this system's libngspice, as another process loads it."""
    probe = "from harness.chip.ngspice.library import find_library; import ctypes; ctypes.CDLL(find_library())"
    code = f"{probe}; print(next(line.split()[-1] for line in open('/proc/self/maps') if 'libngspice' in line))"
    return subprocess.check_output([sys.executable, "-c", code], text=True).strip()


@pytest.fixture
def place(real: str, tmp_path: Path) -> Place:
    """A function that copies it to a path."""

    def copy(path: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(real, file))

    return copy


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("variable", "path"),
    [
        ("CONDA_PREFIX", "conda/lib/libngspice.so"),
        ("CONDA_PREFIX", "conda/lib/libngspice.so.0.0.9"),
        ("HOMEBREW_PREFIX", "brew/lib/libngspice.dylib"),
        (None, "prefix/lib/libngspice.1.dylib"),
        (None, "base_prefix/lib/libngspice.so"),
        (None, "opt/homebrew/lib/libngspice.dylib"),
    ],
)
def test_environments_and_homebrew_are_searched(
    variable: str | None, path: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place(path)
    if variable:
        with pytest.raises(NgspiceMissing):
            find_library()
        monkeypatch.setenv(variable, str(file.parents[1]))
    assert find_library() == str(file)


@pytest.mark.ngspice
def test_the_variable_comes_first_then_the_environment_then_homebrew(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brewed = place("opt/homebrew/lib/libngspice.dylib")
    assert find_library() == str(brewed)
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    plain, versioned = place("conda/lib/libngspice.so"), place("conda/lib/libngspice.so.7")
    assert find_library() == str(plain)
    plain.unlink()
    assert find_library() == str(versioned)
    named = place("own/any name")
    monkeypatch.setenv(VARIABLE, str(named))
    assert find_library() == str(named)
    monkeypatch.setenv(VARIABLE, "/nowhere/libngspice.so")
    with pytest.raises(NgspiceMissing, match=rf"\(tried {VARIABLE}=/nowhere/libngspice\.so\); install it"):
        find_library()


@pytest.mark.ngspice
def test_what_cannot_be_loaded_is_passed_over_for_what_can(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    broken = tmp_path / "conda" / "lib" / "libngspice.so"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"for another processor")
    brewed = place("opt/homebrew/lib/libngspice.dylib")
    assert find_library() == str(brewed)


def test_where_there_is_none_every_place_and_every_way_to_get_it_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    monkeypatch.setenv("HOMEBREW_PREFIX", "relative")
    with pytest.raises(NgspiceMissing) as told:
        find_library()
    said = str(told.value)
    for folder in ("prefix", "base_prefix", "conda", "opt/homebrew"):
        assert str(tmp_path / folder / "lib") in said
    assert "relative" not in said
    for way in (
        "apt-get install libngspice0",
        "dnf install libngspice",
        "pacman -S ngspice",
        "brew install libngspice",
    ):
        assert f"{way}'" in said
    assert "'conda install -c conda-forge ngspice-lib'" in INSTALL
    assert INSTALL in said


def test_a_file_that_is_there_and_no_libngspice_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "libngspice.so"
    file.write_bytes(b"for another processor")
    monkeypatch.setenv(VARIABLE, str(file))
    with pytest.raises(
        NgspiceMissing, match=rf"tried {VARIABLE}={file}; {file}: (invalid ELF header|file too short)\)"
    ):
        find_library()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(NgspiceMissing, match=r"Is a directory"):
        find_library()
    other = next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libm.so" in line)
    monkeypatch.setenv(VARIABLE, other)
    with pytest.raises(
        NgspiceMissing, match=r"libm\.so\S*: it has no ngSpice_Init, so it is another library\); install"
    ):
        find_library()


@pytest.mark.ngspice
def test_a_session_opens_what_conda_has(place: Place, tmp_path: Path) -> None:
    """The copy really computes, in a process whose active environment is the folder."""
    file = place("conda/lib/libngspice.so.0")
    environment = {**os.environ, "CONDA_PREFIX": str(tmp_path / "conda")}
    environment.pop(VARIABLE, None)
    ended = subprocess.run(
        [sys.executable, "-m", "harness", "doctor", "--json"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert str(file) in ended.stdout


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="no shell")
def test_make_setup_asks_the_same_finder_before_anything_is_installed(tmp_path: Path) -> None:
    """Without NumPy and whatever else pip brings: in an isolated Python that sees the standard library alone."""
    root = Path(__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); from harness.chip.ngspice.library import *; find_library()"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        env={**os.environ, VARIABLE: "/nowhere/libngspice.so"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.stderr.splitlines()[-1].startswith("harness.errors.NgspiceMissing: libngspice cannot be loaded")
