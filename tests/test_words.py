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
"""Beginnings of fragments: they name no subject, and say what a thing is by what its caller wants to know."""


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Names of a module, its classes and its functions, with the docstring of each."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "name", path.stem), ast.get_docstring(node) or ""


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_have_a_subject_or_a_verb(room: str) -> None:
    files = sorted((HARNESS / room).rglob("*.py"))
    assert files, f"there is no room {room}"
    found = [f"{file}: {name}: {text}" for file in files for name, text in docstrings(file) if FRAGMENT.match(text)]
    assert not found, "begin with the subject, or with a verb such as Return:\n" + "\n".join(found)
