"""The pages under docs: what they say to type and to run works, their links lead somewhere, and every page is found."""

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from harness.chip.bench.profile import read_profile
from tests.page_pictures import MADE, is_picture
from tests.pages import PAGES, ROOT, blocks_of, commands_of, done, problems_of

IN_NGSPICE = {
    *("first-run", "guide/export", "install", "performance"),
    *("tutorials/designers", "tutorials/your-circuit", "tutorials/your-data"),
}
"""Pages whose commands or code settle a circuit in ngspice."""
NEEDED = {"tutorials/torch": "torch"}
"""Libraries that a page needs and many machines have not; `.ci/fresh --quick` makes a system that has them."""
EVERY = sorted(PAGES.rglob("*.md"))
REPLACED = {
    "occasion": "step key",
    "promise": "expected results",
    "gathered": "Thévenin equivalents",
    "gathering": "Thévenin equivalents",
    "curved": "nonlinear",
    "strangers": "exclude the training chip",
}
"""Words that are not used in names, and what is used instead."""


def name_of(page: Path) -> str:
    return str(page.relative_to(PAGES).with_suffix(""))


def pages(*, tried: bool = False) -> list[object]:
    """All pages as parameters, or those with something to try."""
    marks = {name: [pytest.mark.ngspice] for name in IN_NGSPICE}
    if tried:
        for name, library in NEEDED.items():
            marks[name] = [pytest.mark.skipif(find_spec(library) is None, reason=f"{library} is not here")]
    texts = {page: page.read_text(encoding="utf-8") for page in EVERY}
    chosen = (p for p, text in texts.items() if not tried or commands_of(text) or blocks_of(text, "python"))
    return [pytest.param(p, id=name_of(p), marks=marks.get(name_of(p), ())) for p in chosen]


@pytest.mark.parametrize("page", pages(tried=True))
def test_what_a_page_says_to_do_works(page: Path, tmp_path: Path) -> None:
    """Commands in their order, then the code in one go, as a reader would paste it; physics prints what it shows."""
    text = page.read_text(encoding="utf-8")
    printed = done(text, tmp_path, beside=page.parent)
    if page.parent.name == "physics":
        assert printed == "".join(block.text for block in blocks_of(text, "text"))
    for made in MADE.values():
        if made.page == f"{name_of(page)}.md":
            assert all(map(is_picture, made.end(tmp_path, quick=True).values()))


@pytest.mark.parametrize("page", pages())
def test_every_block_and_line_is_of_a_kind_that_is_tried_or_shown(page: Path) -> None:
    assert list(problems_of(page.read_text(encoding="utf-8"))) == []


def test_a_step_by_hand_lowers_the_cost(tmp_path: Path) -> None:
    (code,) = blocks_of((PAGES / "architecture.md").read_text(encoding="utf-8"), "python")
    shown = subprocess.run([sys.executable, "-c", code.text], cwd=tmp_path, capture_output=True, text=True, check=True)
    before, after = map(float, re.findall(r"([\d.]+) V²", shown.stdout))
    assert after < before / 2


def test_the_example_in_python_learns(tmp_path: Path) -> None:
    (code,) = (
        block
        for block in blocks_of((PAGES / "guide" / "networks.md").read_text(encoding="utf-8"), "python")
        if not block.title
    )
    shown = subprocess.run([sys.executable, "-c", code.text], cwd=tmp_path, capture_output=True, text=True, check=True)
    losses = [float(line.split()[1]) for line in shown.stdout.splitlines()]
    assert len(losses) == 30
    assert losses[-1] < 0.5 * losses[0]


def test_a_board_is_brought_up_in_five_commands(tmp_path: Path) -> None:
    text = (PAGES / "tutorials" / "board.md").read_text(encoding="utf-8")
    (profile,) = (block.text for block in blocks_of(text) if block.title == "my-board.toml")
    assert len(profile.splitlines()) <= 15
    assert read_profile(profile, "the page").name == "my-board"
    (served, *others) = commands_of(text)
    assert served.served
    assert [command.words[1:3] for command in others] == [
        *(["bench", name] for name in ("probe", "calibrate", "characterize", "compare")),
        ["train", "iris"],
    ]


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: Path) -> None:
    """To other pages (whose anchors `make docs` checks), and to files of the repository."""
    text = page.read_text(encoding="utf-8")
    generated = re.compile(r"reference/(keys|commands)/|tutorials/notebook\.md$")
    for target in re.findall(r"\]\(([^)h#][^)#]*)", text):
        path = (page.parent / target).resolve()
        assert path.exists() or generated.search(str(path)), target
    for path in re.findall(r"`((?:harness|netlists|tests|docs)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


class _Tolerant(yaml.SafeLoader):
    """A reader of configurations in which MkDocs names Python functions."""


_Tolerant.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
_Tolerant.add_constructor("!ENV", lambda *_: None)


def named_in(navigation: object) -> set[str]:
    """Pages that a navigation names."""
    match navigation:
        case list():
            return set().union(*map(named_in, navigation))
        case dict():
            return named_in(list(navigation.values()))
    return {str(navigation)}


def test_every_page_is_in_the_navigation() -> None:
    configuration = yaml.load((ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8"), Loader=_Tolerant)
    named = {page for page in named_in(configuration["nav"]) if not page.startswith("reference/")}
    there = {f"{name_of(page)}.md" for page in [*EVERY, *PAGES.rglob("*.ipynb")]}
    assert named == {page for page in there if not page.startswith("reference/")}


def test_names_use_the_words_of_the_vocabulary() -> None:
    found = set[str]()
    for path in (ROOT / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [getattr(node, key, None) for key in ("name", "id", "attr", "arg")]
            found |= {f"{path.name}: {name}" for name in names if isinstance(name, str) and name.strip("_") in REPLACED}
    assert not found
