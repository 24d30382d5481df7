"""Every example in README runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.chip.bench.profile import read_profile
from harness.cli.main import main
from harness.experiment.settings import read_settings
from tests.pages import PAGES, ROOT, blocks_of, commands_of, done, problems_of

README = (ROOT / "README.md").read_text(encoding="utf-8")
BOARD = (PAGES / "tutorials" / "board.md").read_text(encoding="utf-8")


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    typed = {c.words[1] for c in commands_of(README) if c.program == "make"}
    assert {"train", "test", "setup"} <= typed | set(re.findall(r"`make (\w+)", README)) <= targets


@pytest.mark.ngspice
def test_what_readme_says_to_do_works(tmp_path: Path) -> None:
    """But for the board, which `tests.test_docs` brings up in the same words."""
    assert list(problems_of(README)) == []
    done(README, tmp_path, leaving_out=[command.line for command in commands_of(BOARD)])


def test_the_experiment_in_toml_is_valid_and_short(tmp_path: Path) -> None:
    (text,) = (block.text for block in blocks_of(README) if block.title == "mine.toml")
    assert len(text.splitlines()) <= 14
    assert read_settings(text, "README").name == "mine"
    (tmp_path / "mine.toml").write_text(text)
    chosen = ["--chip", "nodal", "--run", str(tmp_path / "run"), "--set", "training.epochs=8", "--json"]
    result = CliRunner().invoke(main, ["train", str(tmp_path / "mine.toml"), *chosen])
    assert result.exit_code == 0
    assert '"test_accuracy": 1.0' in result.stdout or '"test_accuracy": 0.9' in result.stdout


def test_the_profile_is_valid_and_short_and_the_tutorial_shows_the_same_screen() -> None:
    (text,), (page,) = ([b.text for b in blocks_of(whole) if b.title == "my-board.toml"] for whole in (README, BOARD))
    assert len(text.splitlines()) <= 15
    assert read_profile(text, "README").name == "my-board"
    assert text == page
    assert {c.line for c in commands_of(BOARD)} <= {c.line for c in commands_of(README)}


@pytest.mark.ngspice
def test_the_python_example_learns(tmp_path: Path) -> None:
    (code,) = blocks_of(README, "python")
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", code.text], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    losses = [float(line.split()[1]) for line in shown.stdout.splitlines()]
    assert len(losses) == 30
    assert losses[-1] < 0.5 * losses[0]


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README


def test_links_and_rooms_are_there() -> None:
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / target).exists(), target
    for path in re.findall(r"`((?:harness|netlists|tests|runs)/[\w./-]*)`", README):
        assert (ROOT / path).exists() or path.startswith("runs/"), path
