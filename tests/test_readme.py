"""Every example in README runs."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from sklearn.datasets import load_wine

from harness.cli.main import main
from harness.experiment.settings import read_settings
from tests.pages import ROOT, blocks_of, commands_of, done, problems_of

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    typed = {c.words[1] for c in commands_of(README) if c.program == "make"}
    assert {"train", "test", "setup"} <= typed | set(re.findall(r"`make (\w+)", README)) <= targets


@pytest.mark.ngspice
def test_what_readme_says_to_do_works(tmp_path: Path) -> None:
    assert list(problems_of(README)) == []
    done(README, tmp_path)


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 130


def test_the_experiment_in_toml_is_valid_and_short(tmp_path: Path) -> None:
    (text,) = (block.text for block in blocks_of(README) if block.title == "mine.toml")
    assert len(text.splitlines()) <= 14
    assert read_settings(text, "README").name == "mine"
    (tmp_path / "mine.toml").write_text(text)
    load_wine(as_frame=True).frame.to_csv(tmp_path / "wine.csv", index=False)
    reached = []
    for seed in range(3):
        chosen = ["--chip", "nodal", "--run", str(tmp_path / f"run{seed}"), "--seed", str(seed), "--json"]
        result = CliRunner().invoke(main, ["train", str(tmp_path / "mine.toml"), *chosen])
        assert result.exit_code == 0
        reached.append(round(100 * json.loads(result.stdout)["test_accuracy"], 1))
    assert reached == [100, 97.2, 97.2]
    assert "# 100 % of the 36 held-out rows with seed 0, 97.2 % with seeds 1 and 2\n" in README


def test_the_table_of_the_sweep_is_what_it_prints(tmp_path: Path) -> None:
    """In full, unlike the other commands: the figures are the point."""
    (typed,) = (c for c in commands_of(README) if c.words[:2] == ["harness", "sweep"])
    result = CliRunner().invoke(main, [*typed.words[1:], "--to", str(tmp_path / "sweep"), "--workers", "1"])
    assert result.exit_code == 0, result.output
    (shown,) = (block.text for block in blocks_of(README) if "worst" in block.text)
    rows = [line.split() for line in shown.splitlines()]
    printed = [line.split() for line in result.stdout.splitlines()]
    assert len(rows) == 5
    assert all(row in printed for row in rows)


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README


def test_links_and_rooms_are_there() -> None:
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / target).exists(), target
    for path in re.findall(r"`((?:harness|netlists|tests|runs)/[\w./-]*)`", README):
        assert (ROOT / path).exists() or path.startswith("runs/"), path
