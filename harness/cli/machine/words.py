"""The words of the command line for a shell that completes them, kept so that Tab need not import the commands.

A description of all commands lies in the user's cache. It is made anew when the package has changed, which takes a
second; without a cache that can be written, it is made each time. What it is completed with is looked up in the moment:
folders, files, and the packaged experiments.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    shell_complete,
)
from platformdirs import user_cache_path
from typing_extensions import override

from harness import __version__
from harness.experiment.packaged import experiment_names
from harness.files.writing import write_atomic

if TYPE_CHECKING:
    from pydantic import BaseModel

    from harness.files.reading import JsonObject

VARIABLE = "_HARNESS_COMPLETE"
"""The variable of the environment by which a shell's function asks for completions."""
_PACKAGE = Path(__file__).parents[2]
_LARGEST = 1_000_000  # bytes of a description
_SAFE = re.compile(r"[\w@%+=:,./-]+")
"""Names that a shell takes as they are; others, such as ``$(rm x)``, are left for its user to type."""
_MOST = 200
"""Entries of one folder that are offered."""
_PLACEHOLDER, _CHOICE = re.compile(r"[A-Z]{2,}"), re.compile(r"[a-z][\w-]*")


class _Bash(BashComplete):
    """click's function for bash, which adds no space after a folder or behind ``key=``."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", "COMPREPLY+=($value)\n            [[ $value == *[=/] ]] && compopt -o nospace"
    )


_SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": ZshComplete, "fish": FishComplete}


def source(root: click.Command, shell: str) -> str:
    """Return the lines that let a shell complete the command, having described its commands in the cache."""
    _keep(described(root))
    return _SHELLS[shell](root, {}, "harness", VARIABLE).source()


def complete() -> None:
    """Answer a shell that asks for completions, and exit."""
    add_completion_class(_Bash)
    sys.exit(shell_complete(commands(), {}, "harness", VARIABLE, os.environ[VARIABLE]))


def described(command: click.Command) -> "JsonObject":
    """Return what is to be known of a command, its options and arguments, and those below it."""
    found: JsonObject = {
        "help": command.get_short_help_str(80),
        "parameters": [_parameter(one) for one in command.params if not getattr(one, "hidden", False)],
    }
    if isinstance(command, click.Group):
        found["commands"] = {name: described(inner) for name, inner in command.commands.items()}
    return found


def _parameter(parameter: click.Parameter) -> "JsonObject":
    ctx = click.Context(click.Command("harness"))
    shown = parameter.metavar or parameter.make_metavar(ctx)
    option, placeholders = isinstance(parameter, click.Option), set(_PLACEHOLDER.findall(shown))
    choices = [word for word in shown.strip("[]{}").split("|") if _CHOICE.fullmatch(word)]
    return {
        "names": [*parameter.opts, *parameter.secondary_opts],
        "option": option,
        "flag": option and (parameter.is_flag or parameter.count),  # type: ignore[attr-defined]
        "several": parameter.nargs == -1 or parameter.multiple,
        "help": getattr(parameter, "help", None) or "",
        "choices": [*choices, *(f"{key}=" for key in (keys() if "KEY" in placeholders else ()))],
        "values": sorted(placeholders | ({"FILE"} if isinstance(parameter.type, click.Path) else set())),
    }


@cache
def keys() -> tuple[str, ...]:
    """Return the keys of experiments that --set takes, such as ``rule.beta``, of every kind of section."""
    from harness.experiment.settings import Settings  # noqa: PLC0415 - takes a second to import

    return tuple(dict.fromkeys(_keys(Settings, "")))


def _keys(section: "type[BaseModel]", prefix: str) -> Iterator[str]:
    from harness.validation import models_in  # noqa: PLC0415

    for name, field in section.model_fields.items():
        inner = list(models_in(field.annotation))
        if not inner:
            yield f"{prefix}{name}"
        for model in inner:
            yield from _keys(model, f"{prefix}{name}.")


def commands() -> click.Command:
    """Return commands with nothing behind them, as the cache describes them or, without it, as they are."""
    with suppress(OSError, ValueError, TypeError, AttributeError, LookupError):  # a cache may hold anything
        file = _cache()
        kept = json.loads(file.read_bytes()) if file.stat().st_size < _LARGEST else {}
        if kept["stamp"] == _stamp():
            return _group(kept["commands"])
    from harness.cli.main import main  # noqa: PLC0415 - what this file is there to avoid

    found = described(main)
    _keep(found)
    return _group(found)


def _keep(found: "JsonObject") -> None:
    with suppress(OSError):
        file = _cache()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps({"stamp": _stamp(), "commands": found}).encode())


def _cache() -> Path:
    """Return where the description is kept.

    Raises:
        OSError: the user has no folder for it.
    """
    folder = user_cache_path("harness")
    if not folder.is_absolute():
        raise OSError("no home")
    return folder / "commands.json"


def _stamp() -> list[Any]:
    """Return what changes when the package does."""
    files = [*_PACKAGE.glob("cli/**/*.py"), *_PACKAGE.glob("experiment/*.py")]
    return [__version__, str(_PACKAGE), len(files), max(file.stat().st_mtime_ns for file in files)]


class _Word(click.ParamType[str]):
    """A word that is completed by what its placeholders mean, such as RUN."""

    name = "word"

    def __init__(self, choices: list[str], values: list[str]) -> None:
        self._choices, self._values = choices, values

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        words = [*self._choices, *(word for value in self._values for word in _WORDS.get(value, _none)(incomplete))]
        found = [CompletionItem(word) for word in dict.fromkeys(words) if word.startswith(incomplete)]
        if not found and "FILE" in self._values:
            return [CompletionItem(incomplete, type="file")]
        return found


def _none(_: str) -> Iterator[str]:
    return iter(())


def _experiments(incomplete: str) -> Iterator[str]:
    yield from experiment_names()
    yield from _entries(incomplete, lambda path: path.suffix == ".toml")


def _runs(incomplete: str) -> Iterator[str]:
    return _entries(incomplete, lambda path: (path / "manifest.json").is_file())


def _folders(incomplete: str) -> Iterator[str]:
    return _entries(incomplete, lambda _: False)


def _entries(incomplete: str, whole: Callable[[Path], bool]) -> Iterator[str]:
    """Return entries of the folder that a word is in: those that are meant, and folders on the way to such."""
    above, _, begun = incomplete.rpartition("/")
    folder = Path(above or ("/" if incomplete.startswith("/") else "."))
    with suppress(OSError):
        names = sorted(name for name in os.listdir(folder) if name.startswith(begun) and _SAFE.fullmatch(name))
        shown = [name for name in names if begun or not name.startswith(".")][:_MOST]
        for name in shown:
            word = incomplete[: len(incomplete) - len(begun)] + name
            if whole(folder / name):
                yield word
            elif (folder / name).is_dir():
                yield f"{word}/"


_WORDS: dict[str, Callable[[str], Iterator[str]]] = {
    "EXPERIMENT": _experiments,
    "RUN": _runs,
    "DIR": _folders,
    "FOLDER": _folders,
}
"""The words that each placeholder of the commands' help stands for; others stand for nothing that can be looked up."""


def _group(about: "JsonObject") -> click.Command:
    """Return commands with nothing behind them, as they were described."""
    parameters = [_made(one) for one in about["parameters"]]
    settings = {"help_option_names": ["-h", "--help"]}
    if "commands" not in about:
        return click.Command(None, params=parameters, help=about["help"], context_settings=settings)
    inner = {name: _group(one) for name, one in about["commands"].items()}
    return click.Group(None, commands=inner, params=parameters, help=about["help"], context_settings=settings)


def _made(about: "JsonObject") -> click.Parameter:
    word = _Word(about["choices"], about["values"])
    if not about["option"]:
        return click.Argument(about["names"], nargs=-1 if about["several"] else 1, required=False, type=word)
    if about["flag"]:
        return click.Option(about["names"], is_flag=True, help=about["help"])
    return click.Option(about["names"], multiple=about["several"], help=about["help"], type=word)
