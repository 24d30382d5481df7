"""The hooks of the site and the runner of pages; `make docs` and ``.ci/run`` build the site itself."""

import sys
from types import SimpleNamespace

import pytest
from mkdocs.exceptions import PluginError

from tests.pages import ROOT, Command, blocks_of, commands_of, problems_of

sys.path.insert(0, str(ROOT / "docs" / "hooks"))
import equations
import offline

PAGE = SimpleNamespace(file=SimpleNamespace(src_uri="physics/mine.md"))


def test_equations_become_mathml() -> None:
    html = r'<p>As <span class="arithmatex">\(\beta \to 0\)</span>:</p><div class="arithmatex">\[a &lt; b\]</div>'
    made = equations.on_page_content(html, PAGE)
    assert made.count("<math") == 2
    assert 'display="block"' in made.partition("</p>")[2]
    assert "arithmatex" not in made
    assert "β" in made
    assert "&lt;" in made


def test_an_equation_that_cannot_be_read_names_its_page() -> None:
    with pytest.raises(PluginError, match=r"physics/mine\.md: the equation .*nonsense.* cannot be read: .*Unknown"):
        equations.on_page_content(r'<span class="arithmatex">\(\nonsense\)</span>', PAGE)


@pytest.mark.parametrize(
    "loaded",
    [
        '<script src="https://cdn.example/x.js"></script>',
        "<img alt='' src='//cdn.example/x.png'>",
        '<link rel="stylesheet" href="https://fonts.example/css?family=X">',
        '<link href="https://fonts.example" rel="preconnect">',
    ],
)
def test_a_page_that_loads_from_elsewhere_is_refused(loaded: str) -> None:
    with pytest.raises(PluginError, match=r"physics/mine\.md would load from elsewhere: .*example.*; put the file"):
        offline.on_post_page(f"<p>text</p>{loaded}", PAGE)


def test_links_to_elsewhere_are_fine() -> None:
    page = '<a href="https://arxiv.org/abs/2006.01981">paper</a><link rel="canonical" href="https://x.example/">'
    assert offline.on_post_page(page, PAGE) == page


def test_the_site_has_all_hooks() -> None:
    text = (ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8")
    hooks = {path.name for path in (ROOT / "docs" / "hooks").glob("*.py") if "\ndef on_" in path.read_text()}
    assert hooks >= {"equations.py", "offline.py", "reference.py"}
    assert all(f"hooks/{name}" in text for name in hooks)


TEXT = """
```toml title="mine.toml"
name = "mine"
```
    ```sh
    harness train mine.toml --set training.epochs=3 \\
        --seed 1        # as said above
    harness train iris
    NO_COLOR=1 harness check runs/iris-seed0   # fails: a figure is out of bounds
    harness bench serve iris &
    ```
"""


def test_blocks_have_their_titles_and_no_indent() -> None:
    first, second = blocks_of(TEXT)
    assert (first.language, first.title, first.text) == ("toml", "mine.toml", 'name = "mine"\n')
    assert second.text.startswith("harness train mine.toml")


def test_lines_are_joined_and_their_comments_are_told_apart() -> None:
    own, iris, check, serve = commands_of(TEXT)
    assert own == Command("harness train mine.toml --set training.epochs=3 --seed 1", "as said above")
    assert own.quick() == own
    assert iris.quick().words == [*iris.words, "--set", "training.epochs=1"]
    assert (check.environment, check.program, check.comment[:5]) == ({"NO_COLOR": "1"}, "harness", "fails")
    assert (serve.served, serve.words) == (True, ["harness", "bench", "serve", "iris"])


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("```bash\nharness list\n```", "a block in 'bash' is not run"),
        ('```toml title="other.toml"\nx = 1\n```', "nothing on the page uses other.toml"),
        ("```sh\nmake coffee\n```", "the Makefile has no target 'make coffee'"),
        ("```sh\ncurl https://x.example | sh\n```", "'curl https://x.example | sh' runs a program"),
    ],
)
def test_what_nobody_tries_is_a_problem(block: str, problem: str) -> None:
    assert [found[: len(problem)] for found in problems_of(block)] == [problem]
