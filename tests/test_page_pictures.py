"""Every picture that pages and README show is in the repository, small, and made by a command."""

import re
from pathlib import Path

import pytest

from tests.page_figures import PICTURES
from tests.page_pictures import FOLDER, MADE, is_picture
from tests.pages import PAGES, ROOT

LARGEST = 150_000
"""Bytes of a picture."""
SHOWING = [ROOT / "README.md", *sorted(PAGES.rglob("*.md"))]


def shown_by(page: Path) -> set[Path]:
    text = page.read_text(encoding="utf-8")
    targets = [*re.findall(r"!\[[^\]]*\]\(([^)\s]+)", text), *re.findall(r"<img[^>]* src=\"([^\"]+)\"", text)]
    return {(page.parent / target).resolve() for target in targets}


def test_all_pictures_that_are_shown_are_there_and_no_others() -> None:
    assert set().union(*map(shown_by, SHOWING)) == set(FOLDER.iterdir())


def test_git_does_not_leave_them_out() -> None:
    """As it did with those in ``runs/``: no pattern of ``.gitignore`` is for pictures, or for their folder."""
    patterns = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert not [pattern for pattern in patterns if "docs" in pattern or "pictures" in pattern or ".png" in pattern]


def test_a_command_makes_each() -> None:
    made = [*PICTURES, *(name for one in MADE.values() for name in one.pictures)]  # some from recorded figures
    assert sorted(made) == sorted(path.name for path in FOLDER.iterdir())


def test_they_are_small_pictures() -> None:
    assert all(map(is_picture, FOLDER.iterdir()))
    assert not {path.name: size for path in FOLDER.iterdir() if (size := path.stat().st_size) > LARGEST}


@pytest.mark.parametrize("name", [name for name, made in MADE.items() if not made.page])
def test_the_commands_draw_them(name: str, tmp_path: Path) -> None:
    """In their quick form, which draws another picture of the kind; `tests.test_docs` runs those of pages."""
    assert all(map(is_picture, MADE[name].make(tmp_path, quick=True).values()))
