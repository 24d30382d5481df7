"""The pages under docs: their code runs, their links lead somewhere, and names use the words of the vocabulary."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bring_up import PAGE, board_of, called

ROOT = Path(__file__).parent.parent
PAGES = [pytest.param(page, id=page.stem) for page in sorted((ROOT / "docs").glob("*.md"))]
REPLACED = {
    "occasion": "step key",
    "promise": "expected results",
    "gathered": "Thévenin equivalents",
    "gathering": "Thévenin equivalents",
    "curved": "nonlinear",
    "strangers": "exclude the training chip",
}
"""Words that are not used in names, and what is used instead."""


def code_of(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_python_on_the_pages_runs(page: Path, tmp_path: Path) -> None:
    """All of a page in one go, as a reader would paste it."""
    code = "\n".join(code_of(page, "python"))
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True)


def test_a_step_by_hand_lowers_the_cost(tmp_path: Path) -> None:
    (code, *_) = code_of(ROOT / "docs" / "architecture.md", "python")
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    before, after = map(float, re.findall(r"([\d.]+) V²", shown.stdout))
    assert after < before / 2


def test_a_board_is_brought_up_in_the_commands_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer cells, pulses and epochs; exactly the other words of the page."""
    quick = {"characterize": ["--cells", "1", "--pulses", "20"], "--profile": ["--set", "training.epochs=1"]}
    monkeypatch.chdir(tmp_path)
    with board_of(PAGE.read_text(encoding="utf-8"), tmp_path) as commands:
        assert [words[1] for words in commands] == ["probe", "calibrate", "characterize", "compare", "iris"]
        for words in commands:
            more = [part for word, parts in quick.items() if word in words for part in parts]
            result = called([*words, *more])
            assert result.exit_code == 0, (words, result.output)
    assert {"curves.csv", "compare.png", "my-board-calibration.toml", "runs"} <= {
        path.name for path in Path().iterdir()
    }


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)h#][^)#]*)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"`((?:harness|netlists|tests)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


def test_names_use_the_words_of_the_vocabulary() -> None:
    found = set[str]()
    for path in (ROOT / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [getattr(node, key, None) for key in ("name", "id", "attr", "arg")]
            found |= {f"{path.name}: {name}" for name in names if isinstance(name, str) and name.strip("_") in REPLACED}
    assert not found
