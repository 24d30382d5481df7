"""Docstrings are sentences or noun phrases that a reader understands without the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent.parent / "harness"
FRAGMENT = re.compile(r"(What|Of|Whether)\b")
"""Beginnings of fragments, which have no subject and are understood only by those who know it already."""


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of the docstrings of a module, its classes, its functions and its fields."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


@pytest.mark.parametrize("path", sorted(HARNESS.rglob("*.py")), ids=lambda path: str(path.relative_to(HARNESS)))
def test_docstrings_have_a_subject_or_a_verb(path: Path) -> None:
    told = [f"line {line}: {text}" for line, text in docstrings(path) if FRAGMENT.match(text)]
    assert not told, "begin with the subject, or with a verb such as Return:\n" + "\n".join(told)
