"""Pages about the keys of experiment files, suites and board profiles, made from the models that check these files."""

import ast
import inspect
import re
import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.chip.bench.profile import Profile
from harness.experiment.packaged import experiment_names, packaged_text
from harness.experiment.settings import Settings
from harness.studies.regress import suite
from harness.studies.regress.bands import Band
from harness.studies.regress.quantities import QUANTITIES
from harness.units import show
from harness.validation import PLUGGED, bounds_of, counted_in, kinds_of, models_in, unit_in

FOLDER = "reference/keys"
_ABOUT = """\
An experiment is a TOML file with these sections. `--set SECTION.KEY=VALUE` changes a key for one command. A quantity is
a number in its SI unit, or a text with a unit, such as `"4.7 kS"` or `"10 uS"`; prefixes are case-sensitive: `m` is
milli, and `M` is mega. A relative path starts at the file that it stands in. A wrong key or value is refused with its
line, its bounds, and the nearest right one. This reference is made from the code that checks the files."""
_PLAIN = {str: "text", int: "whole number", bool: "`true` or `false`", Path: "path of a file", Any: "any value"}


@dataclass(frozen=True)
class Key:
    """A key of a section, as its page describes it."""

    name: str
    """Dotted below the section, such as ``diode.emission``."""
    type: str
    default: str
    unit: str
    bounds: str
    meaning: str
    choices: tuple[tuple[str, str], ...]
    """Values that it may have, where they are few, each with its meaning."""


@dataclass(frozen=True)
class Group:
    """The keys that some kinds of a section have in common."""

    kinds: tuple[str, ...]
    """Nothing where the section has no kinds."""
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Part:
    """A section of a file."""

    name: str
    title: str
    intro: str
    source: str
    """The module that defines it."""
    models: tuple[type[BaseModel], ...]
    example: str = ""
    more: str = ""
    """Text behind its keys."""

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Its kinds, each with its meaning; nothing where it has none."""
        return {_kind(model): meaning_of(model) for model in self.models} if _kind(self.models[0]) else {}

    @cached_property
    def groups(self) -> list[Group]:
        """Keys by the kinds that have them, those of most kinds first."""
        having: dict[Key, list[str]] = {}
        for model in self.models:
            for key in keys_of(model):
                having.setdefault(key, []).append(_kind(model))
        kinds = sorted(dict.fromkeys(map(tuple, having.values())), key=len, reverse=True)
        return [Group(some, tuple(key for key in having if tuple(having[key]) == some)) for some in kinds]


@cache
def parts() -> list[Part]:
    """Return every section of experiment files, and those of suites and of profiles."""
    return [*_sections(), *_of_suites(), *_of_profiles()]


def keys_of(model: type[BaseModel], start: str = "") -> Iterator[Key]:
    """Yield the keys of a model and of the tables in it, but for its kind."""
    meanings = attribute_docs(model)
    for name, field in model.model_fields.items():
        if name == "kind" and _kind(model):
            continue
        inner = list(models_in(field.annotation))
        meaning = meanings.get(name) or "".join(map(meaning_of, inner))
        yield _key(start + name, field, meaning, table=bool(inner))
        for table in inner:
            yield from keys_of(table, f"{start}{name}.")


@cache
def attribute_docs(of: type) -> dict[str, str]:
    """Return the docstrings behind the fields of a class and of the classes that it comes from."""
    found: dict[str, str] = {}
    for one in reversed(of.__mro__):
        if one.__module__.startswith("harness."):
            tree = ast.parse(textwrap.dedent(inspect.getsource(one)))
            found |= dict(pair for node in tree.body for pair in _documented(getattr(node, "body", [])))
    return found


def _documented(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, after in pairwise(body):
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            targets = field.targets if isinstance(field, ast.Assign) else [getattr(field, "target", None)]
            yield from ((t.id, inspect.cleandoc(str(after.value.value))) for t in targets if isinstance(t, ast.Name))


def meaning_of(of: type) -> str:
    """Return the docstring of a class as one paragraph of a page."""
    return inspect.getdoc(of) or ""


def _key(name: str, field: FieldInfo, meaning: str, *, table: bool) -> Key:
    unit = unit_in(field)
    choices = tuple((str(each), text) for each, text in _choices(field.annotation))
    kind = "table" if table else _type(field.annotation, unit=bool(unit))
    default = "must be given" if field.is_required() else _said(field.get_default(call_default_factory=True), unit)
    return Key(name, kind, default, counted_in(field) or unit, bounds_of(field), meaning, choices)


def _type(declared: Any, *, unit: bool) -> str:
    """Return the type of a key's values in words."""
    origin, arguments = get_origin(declared), get_args(declared)
    if origin is Annotated:
        return _type(arguments[0], unit=unit)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(one, unit=unit) for one in arguments if one is not NoneType))
    if origin is Literal or (isinstance(declared, type) and issubclass(declared, Enum)):
        return "one of the values below"
    if origin is tuple:
        inner = _several(_type(arguments[0], unit=unit))
        return f"list of {inner}" if arguments[-1] is Ellipsis else f"list of {len(arguments)} {inner}"
    if origin is dict:
        return "table" if arguments[1] is Any else f"table of {_several(_type(arguments[1], unit=unit))} by name"
    if declared is float:
        return "quantity" if unit else "number"
    return _PLAIN.get(declared, getattr(declared, "__name__", str(declared)))


def _several(words: str) -> str:
    return {"quantity": "quantities", "path of a file": "paths of files"}.get(words, f"{words}s")


def _choices(declared: Any) -> list[tuple[str, str]]:
    """Return the values that a key may have, where its declaration lists them, with their meanings."""
    if get_origin(declared) is Literal:
        return [(str(value), "") for value in get_args(declared)]
    if isinstance(declared, type) and issubclass(declared, Enum):
        docs = attribute_docs(declared)
        return [(member.value, docs.get(name, "")) for name, member in declared.__members__.items()]
    return [choice for argument in get_args(declared) for choice in _choices(argument)]


def _said(default: Any, unit: str) -> str:
    """Return a default as people write it in a file."""
    match default:
        case None | () | {}:
            return "not set"
        case BaseModel():
            return "the defaults of its keys"
        case Enum():
            return f"`{default.value}`"
        case bool():
            return f"`{str(default).lower()}`"
        case tuple():
            return f"`[{', '.join(_said(one, unit).strip('`') for one in default)}]`"
        case float():
            return f"`{show(default, unit) if unit else f'{default:g}'}`"
    return f"`{default}`" if default != "" else "an empty text"


def _kind(model: type[BaseModel]) -> str:
    if "kind" not in model.model_fields:
        return ""
    if kinds := kinds_of(model):
        return kinds[0]
    return PLUGGED if model.__name__.startswith("Plugin") else ""


def _sections() -> Iterator[Part]:
    names = sorted(experiment_names(), key=lambda name: name != "digits")  # in which most sections are
    for name, field in Settings.model_fields.items():
        if models := tuple(models_in(field.annotation)):
            module = models[0].__module__
            example = next(filter(None, (_example(found, name, packaged_text(found)) for found in names)), "")
            intro = inspect.getdoc(models[0]) if len(models) == 1 else inspect.getdoc(import_module(module))
            yield Part(name, f"`[{name}]`", intro or "", module, models, example)


def _of_suites() -> Iterator[Part]:
    written = inspect.getdoc(suite) or ""
    example = textwrap.dedent(written.partition("::\n\n")[2].rpartition("\n\n")[0])
    rows = [f"| `{name}` | {one.unit or '–'} | {one.about} |" for name, one in QUANTITIES.items()]
    table = "\n".join(["| quantity | unit | meaning |", "|---|---|---|", *rows])
    yield Part(
        "suite",
        "Suites of `harness regress`",
        meaning_of(suite.CaseKeys),
        suite.__name__,
        (suite.CaseKeys,),
        f"```toml\n{example}\n```",
        f"## Bands\n\n{_markdown(meaning_of(Band))}\n\n## Quantities\n\n{table}",
    )


def _of_profiles() -> Iterator[Part]:
    yield Part("profile", "Profiles of boards", meaning_of(Profile), Profile.__module__, (Profile,))


def _example(experiment: str, section: str, text: str) -> str:
    """Return a section as it stands in the text of an experiment; nothing where it is not there."""
    tables = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    written = "".join(table for table in tables if re.match(rf"\[{section}[\].]", table)).strip()
    return f"In the packaged experiment `{experiment}`:\n\n```toml\n{written}\n```" if written else ""


def page_of(part: Part, others: Collection[str] = ()) -> str:
    """Return a section's page in Markdown; `others` are pages of the site, among which kinds of rules find theirs."""
    kinds, lines = part.kinds, [f"# {part.title}", _markdown(part.intro), part.example]
    if kinds:
        lines += ["## Kinds", "`kind` says which keys the section has:", ""]
        lines += [
            f"* {_linked(kind, others)}: {_markdown(' '.join(meaning.split()))}" for kind, meaning in kinds.items()
        ]
    for group in part.groups:
        lines += [f"## {_heading(group, kinds)}", *(_entry(key, anchor_of(key, group, part)) for key in group.keys)]
    lines.append(part.more)
    lines.append(f"Defined in `{part.source.replace('.', '/')}.py`")
    return "\n\n".join(line for line in lines if line) + "\n"


def _linked(kind: str, others: Collection[str]) -> str:
    return f"[`{kind}`](../../physics/{kind}.md)" if f"physics/{kind}.md" in others else f"`{kind}`"


def anchor_of(key: Key, group: Group, part: Part) -> str:
    """Return the anchor of a key on its page: its name, behind its kind where kinds have different keys of the name."""
    alone = sum(key.name == other.name for each in part.groups for other in each.keys) == 1
    return ("" if alone else f"{group.kinds[0]}-") + key.name.replace(".", "-")


def _heading(group: Group, kinds: Sequence[str]) -> str:
    if not kinds:
        return "Keys"
    if len(group.kinds) == len(kinds):
        return "Keys of every kind"
    return f"Keys of {' and '.join(f'`{kind}`' for kind in group.kinds)}"


def _entry(key: Key, anchor: str) -> str:
    facts = {"Type": key.type, "Unit": key.unit, "Bounds": key.bounds, "Default": key.default}
    told = " · ".join(f"**{name}** {fact}" for name, fact in facts.items() if fact)
    choices = "\n".join(f"* `{value}`" + (f": {_markdown(text, '  ')}" if text else "") for value, text in key.choices)
    heading = f"### `{key.name}` {{ #{anchor} }}"
    return "\n\n".join(part for part in (heading, told, _markdown(key.meaning), choices) if part)


def _markdown(docstring: str, indent: str = "") -> str:
    """Return a docstring as Markdown: code between double backticks as between single ones."""
    return re.sub(r"``(.+?)``", r"`\1`", docstring).replace("::\n", ":\n").replace("\n", f"\n{indent}")


def index_of(sections: Sequence[Part]) -> str:
    """Return the page about all sections, with the keys that stand above them."""
    rows = [f"| [{part.title}]({part.name}.md) | {_markdown(part.intro).partition(chr(10))[0]} |" for part in sections]
    above = [key for key in keys_of(Settings) if key.type != "table" and "." not in key.name]
    entries = [_entry(key, key.name) for key in above]
    table = ["| section or file | what it says |", "|---|---|", *rows]
    return "\n\n".join(["# Keys of files", _ABOUT, "\n".join(table), "## Keys above all sections", *entries]) + "\n"


def pages(others: Collection[str] = ()) -> dict[str, str]:
    """Return all pages about keys by their paths; `others` are pages that they can lead to."""
    sections = parts()
    index = {f"{FOLDER}/index.md": index_of(sections)}
    return index | {f"{FOLDER}/{part.name}.md": page_of(part, others) for part in sections}
