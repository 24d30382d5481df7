"""The generated pages of the reference have every key of every file and every option of every command."""

import re
import sys
from collections.abc import Iterator

import click
import pytest
from pydantic import BaseModel

import harness
from harness.chip.bench.profile import Profile
from harness.cli.main import main
from harness.experiment.settings import Settings
from harness.studies.regress.quantities import QUANTITIES
from harness.studies.regress.suite import CaseKeys
from harness.validation import models_in
from tests.pages import PAGES, ROOT

sys.path.insert(0, str(ROOT / "docs" / "hooks"))
import command_pages
import key_pages

KEYS, COMMANDS = key_pages.pages(), command_pages.pages()
PARTS = [pytest.param(part, id=part.name) for part in key_pages.parts()]
CONTEXTS = [
    pytest.param(context, id=context.command_path)
    for one in command_pages.top()
    for context in command_pages.commands_in(one)
]


def names_in(model: type[BaseModel], start: str = "") -> Iterator[str]:
    """Dotted keys of a model and of the tables in it."""
    for name, field in model.model_fields.items():
        yield start + name
        for inner in models_in(field.annotation):
            yield from names_in(inner, f"{start}{name}.")


def shown_on(page: str) -> set[str]:
    return set(re.findall(r"^### `([^`]+)` \{ #", page, re.MULTILINE))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_key_of_an_experiment_has_a_page(name: str) -> None:
    models = list(models_in(Settings.model_fields[name].annotation))
    if not models:
        assert name in shown_on(KEYS["reference/keys/index.md"])
    else:
        page = KEYS[f"reference/keys/{name}.md"]
        wanted = {key for model in models for key in names_in(model)}
        assert wanted - shown_on(page) <= {"kind"}
        assert "kind" not in wanted or "`kind`" in page


@pytest.mark.parametrize(("model", "page"), [(CaseKeys, "suite"), (Profile, "profile")])
def test_keys_of_suites_and_profiles_have_a_page(model: type[BaseModel], page: str) -> None:
    assert set(names_in(model)) == shown_on(KEYS[f"reference/keys/{page}.md"])


def test_quantities_of_suites_are_on_the_page() -> None:
    assert all(f"| `{name}` |" in KEYS["reference/keys/suite.md"] for name in QUANTITIES)


@pytest.mark.parametrize("part", PARTS)
def test_every_key_has_a_meaning_a_type_and_a_default(part: key_pages.Part) -> None:
    """The meaning is a sentence, so that it is more than the key's name and unit."""
    for group in part.groups:
        for key in group.keys:
            assert len(key.meaning.split()) >= 3, key.name
            assert key.meaning[-1] in ".:)", key.name
            assert key.type
            assert key.default


def floats_in(model: type[BaseModel], start: str = "") -> Iterator[tuple[str, bool]]:
    """Dotted keys whose values are floats, and whether they are read with a unit."""
    for name, field in model.model_fields.items():
        inner = list(models_in(field.annotation))
        if "float" in str(field.annotation) and not inner:
            yield start + name, "Unit(" in repr(field.metadata) + str(field.annotation)
        for one in inner:
            yield from floats_in(one, f"{start}{name}.")


@pytest.mark.parametrize("model", [Settings, Profile])
def test_every_number_is_read_with_its_unit(model: type[BaseModel]) -> None:
    """A pure number has the unit "", which refuses the others."""
    found = dict(floats_in(model))
    assert len(found) > 10
    assert [name for name, marked in found.items() if not marked] == []


@pytest.mark.parametrize("part", PARTS)
def test_quantities_show_their_unit(part: key_pages.Part) -> None:
    for group in part.groups:
        for key in group.keys:
            assert key.unit or "quantit" not in key.type, key.name


@pytest.mark.parametrize("part", PARTS)
def test_anchors_of_a_page_differ(part: key_pages.Part) -> None:
    anchors = re.findall(r"\{ #(\S+) \}", key_pages.page_of(part))
    assert len(anchors) == len(set(anchors)) > 0


def test_bounds_defaults_choices_and_units_are_those_of_the_code() -> None:
    """One key of each kind, by what its page shows."""
    entry = key_pages.page_of(next(part for part in key_pages.parts() if part.name == "chip"))
    assert "**Type** quantity · **Unit** V · **Bounds** above 0 V and below 1 mV · **Default** `1 nV`" in entry
    assert "**Bounds** at least 1 and at most 1024 · **Default** `32`" in entry
    assert re.search(r"### `access`.*?\* `outputs`: The outputs alone.\n\* `nodes`: ", entry, re.DOTALL)


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_option_and_argument_of_a_command_is_on_its_page(context: click.Context) -> None:
    page = COMMANDS[f"reference/commands/{context.command_path.split()[1]}.md"]
    (start,) = re.findall(rf"^#+ `{context.command_path}`$(.*?)(?=^#+ `|\Z)", page, re.MULTILINE | re.DOTALL)
    assert context.command.help
    for parameter in context.command.params:
        if isinstance(parameter, click.Option):
            assert parameter.hidden or parameter.help, parameter.name
            rows = re.findall(rf"^\| `[^`]*{parameter.opts[0]}\b[^`]*` \| (.+?) \| (.+?) \|$", start, re.MULTILINE)
            assert parameter.hidden or len(rows) == 1, parameter.opts
    for word in command_pages.arguments_of(context.command):
        assert word in command_pages.ARGUMENTS, (
            f"say in ARGUMENTS of docs/hooks/command_pages.py what {word} stands for"
        )
        assert f"* `{word}`: {command_pages.ARGUMENTS[word]}" in start


def test_every_command_is_in_the_list() -> None:
    index = COMMANDS["reference/commands/index.md"]
    assert all(f"[`harness {name}`]({name}.md)" in index for name in main.commands)


def test_defaults_that_help_says_have_a_column_of_their_own() -> None:
    row = next(line for line in COMMANDS["reference/commands/train.md"].splitlines() if "`--run PATH`" in line)
    assert row == "| `--run PATH` | runs/NAME-seedN | Run directory to make. |"


def test_the_python_page_has_every_public_name() -> None:
    page = (PAGES / "reference" / "python.md").read_text(encoding="utf-8")
    named = {name.rpartition(".")[2] for name in re.findall(r"^::: harness\.(\S+)", page, re.MULTILINE)}
    assert set(harness.__all__) - {"__version__"} <= named
