"""Docstrings are sentences or noun phrases that a reader understands without the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent.parent / "harness"
ROOMS = ("cli", "datasets", "devices", "exchange", "files", "pictures", "report", "studies")
"""Rooms whose docstrings have been read with this in mind; the list grows until it holds all."""
FRAGMENT = re.compile(r"(What|Of|Whether)\b")
"""Beginnings of fragments, which have no subject and are understood only by those who know it already."""


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of the docstrings of a module, its classes, its functions and its fields."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_have_a_subject_or_a_verb(room: str) -> None:
    files = sorted((HARNESS / room).rglob("*.py"))
    assert files, f"there is no room {room}"
    told = [f"{file}, line {line}: {text}" for file in files for line, text in docstrings(file) if FRAGMENT.match(text)]
    assert not told, "begin with the subject, or with a verb such as Return:\n" + "\n".join(told)
