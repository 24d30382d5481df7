"""Every example in README runs."""

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
    chosen = ["--chip", "nodal", "--run", str(tmp_path / "run"), "--set", "training.epochs=8", "--json"]
    result = CliRunner().invoke(main, ["train", str(tmp_path / "mine.toml"), *chosen])
    assert result.exit_code == 0
    assert '"test_accuracy": 1.0' in result.stdout or '"test_accuracy": 0.9' in result.stdout


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README


def test_links_and_rooms_are_there() -> None:
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / target).exists(), target
    for path in re.findall(r"`((?:harness|netlists|tests|runs)/[\w./-]*)`", README):
        assert (ROOT / path).exists() or path.startswith("runs/"), path
