"""`.ci/fresh`, as far as it can be tried without making a system: CI makes one with it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / ".ci" / "fresh"
NOBODY = 65534


def fresh(*arguments: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run it as another user may, who need not be able to reach this folder."""
    command = ["bash", "-s", "--", *arguments]
    return subprocess.run(
        command, input=SCRIPT.read_text(), cwd="/tmp", user=user, capture_output=True, text=True, check=False
    )


def test_users_are_told_that_only_root_can() -> None:
    told = fresh("debian-13", user=NOBODY if os.geteuid() == 0 else None)
    assert (told.returncode, told.stderr) == (75, "fresh: only root can make a system\n")


def test_a_system_that_is_none_is_named_with_those_that_are() -> None:
    told = fresh("--quick", "debian-11")
    assert told.returncode == 2
    assert told.stderr == "fresh: there is no system debian-11; there are debian-12, debian-13, ubuntu-24.04, other\n"


@pytest.mark.parametrize("file", sorted((ROOT / ".ci").iterdir()), ids=lambda file: file.name)
def test_no_mirror_index_or_proxy_is_written_down(file: Path) -> None:
    assert not re.search(r"https?://|[\w-]+\.(debian|ubuntu|pypi|pythonhosted)\.(org|com)", file.read_text())


def test_nothing_that_differs_between_releases_is_left_out_as_the_same() -> None:
    named = " ".join(re.findall(r'^same\+?="(.+)"$', SCRIPT.read_text(), re.MULTILINE))
    places = [Path("tests", *name.split("/")) for name in named.split()]
    left_out = [(ROOT / place.with_name(f"test_{place.name}.py")).read_text() for place in places]
    assert left_out
    assert not any("mark.release" in text for text in left_out)


@pytest.mark.parametrize(
    ("fresh", "wheel", "tests", "code"),
    [(0, 0, 0, 0), (75, 0, 0, 0), (0, 0, 2, 2), (3, 0, 0, 3), (0, 4, 0, 4)],
    ids=["well", "no-system", "test", "fresh", "wheel"],
)
def test_ci_ends_as_what_it_runs_ends(tmp_path: Path, fresh: int, wheel: int, tests: int, code: int) -> None:
    programs = tmp_path / "programs"
    for folder in (tmp_path / ".ci", programs):
        folder.mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    stubs = {
        tmp_path / ".ci" / "fresh": f"echo fresh; exit {fresh}",
        tmp_path / ".ci" / "wheel": f"echo wheel; exit {wheel}",
        programs / "make": f'echo "make $1"; [ "$1" != test ] || exit {tests}',
        programs / "dpkg": "exit 0",  # nothing is to be installed
    }
    for file, text in stubs.items():
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    done = subprocess.run(
        [tmp_path / ".ci" / "run"], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert ("make test" in done.stdout) == (fresh in (0, 75) and wheel == 0)
