"""Every example in README runs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.chip.bench.profile import read_profile
from harness.cli.main import main
from harness.experiment.settings import read_settings
from tests.bring_up import PAGE, commands_in, profile_in

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


WHOLE = [block.replace("\\\n", " ") for block in blocks("sh")]
COMMANDS = [line.split("#")[0].strip() for block in WHOLE for line in block.splitlines()]


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {c.split()[1] for c in COMMANDS if c.startswith("make ")} | set(re.findall(r"`make (\w+)", README))
    assert {"train", "test", "setup", "lint", "benchmark", "netlists"} <= named <= targets


@pytest.mark.ngspice
def test_the_commands_work_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer epochs; exactly the other words of README."""
    monkeypatch.chdir(tmp_path)
    on_a_board = commands_in(README)
    commands = [words for c in COMMANDS if c.startswith("harness ") and (words := shlex.split(c)[1:]) not in on_a_board]
    assert len(commands) >= 8
    for words in commands:
        quick = ["--set", "training.epochs=2"] if words[:2] == ["train", "iris"] else []
        result = CliRunner().invoke(main, [*words, *quick])
        assert result.exit_code == 0, (words, result.output)


def test_the_experiment_in_toml_is_valid_and_short(tmp_path: Path) -> None:
    (text,) = (block for block in blocks("toml") if "[network]" in block)
    assert len(text.splitlines()) <= 14
    assert read_settings(text, "README").name == "mine"
    (tmp_path / "mine.toml").write_text(text)
    chosen = ["--chip", "nodal", "--run", str(tmp_path / "run"), "--set", "training.epochs=8", "--json"]
    result = CliRunner().invoke(main, ["train", str(tmp_path / "mine.toml"), *chosen])
    assert result.exit_code == 0
    assert '"test_accuracy": 1.0' in result.stdout or '"test_accuracy": 0.9' in result.stdout


def test_the_profile_is_valid_and_short_and_the_bench_page_shows_the_same_screen() -> None:
    """So that `tests.test_docs`, which types the commands of the page, types those of README."""
    text, page = profile_in(README), PAGE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 15
    assert read_profile(text, "README").name == "my-board"
    assert (text, commands_in(README)) == (profile_in(page), commands_in(page))


@pytest.mark.ngspice
def test_the_python_example_learns(tmp_path: Path) -> None:
    (code,) = blocks("python")
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
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
