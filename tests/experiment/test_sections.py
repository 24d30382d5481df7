"""One file or folder a section: its keys, what they mean and what is made of them stand there and nowhere else."""

import ast
import re
import sys
from pathlib import Path

import pytest

import harness.experiment
from harness.experiment.settings import NON_IDEALITIES, Settings
from harness.validation import models_in

FOLDER = Path(harness.experiment.__file__).parent


def files_of(section: str) -> list[Path]:
    place = FOLDER / ("nonideal" if section in NON_IDEALITIES else "") / ("update" if section == "subset" else section)
    return sorted(place.glob("*.py")) or [place.with_suffix(".py")]


FILES = {name: files_of(name) for name, field in Settings.model_fields.items() if list(models_in(field.annotation))}
JOINED = {
    "chip.access",  # of rules
    "chip.kind",  # named in results
    "data.seed",
    "data.set",  # named in netlists
    "network.g_unit",  # of rates and steps
    "network.seed",
    "rule.kind",  # named in errors
    "rule.cost",  # of targets that a graph cannot reach
    "training.batch",  # of memory
    "training.seed",
    "update.rates",  # one for each of the network's arrays
    "variation.seed",
}
"""Keys that the experiment reads to join one section with another."""


def test_every_section_has_a_file() -> None:
    for name, field in Settings.model_fields.items():
        for model in models_in(field.annotation):
            assert Path(sys.modules[model.__module__].__file__ or "") in FILES[name]


def test_no_key_is_read_outside_its_section_but_those_that_join_sections() -> None:
    keys = {
        name: {key for model in models_in(Settings.model_fields[name].annotation) for key in model.model_fields}
        for name in FILES
    }
    read = set()
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                section, key, whose = node.value.attr, node.attr, ast.unparse(node.value.value)
                settings = re.search(r"(settings|fitted)$", whose) or path == FOLDER / "settings.py"
                if settings and key in keys.get(section, ()) and path not in FILES[section]:
                    read.add(f"{section}.{key}")
    assert read == JOINED


@pytest.mark.parametrize(
    "path", sorted({path for paths in FILES.values() for path in paths}), ids=lambda path: path.stem
)
def test_every_key_says_what_it_means(path: Path) -> None:
    """In a docstring below it, but for the kind, which its class describes."""
    silent, nodes = [], ast.parse(path.read_text(encoding="utf-8")).body
    for model in (node for node in nodes if isinstance(node, ast.ClassDef) and not node.decorator_list):
        for here, after in zip(model.body, [*model.body[1:], None], strict=True):
            if isinstance(here, ast.AnnAssign) and "ClassVar" not in ast.unparse(here.annotation):
                told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                key = ast.unparse(here.target)
                if not told and key != "kind":
                    silent.append(f"{model.name}.{key}")
    assert silent == []
