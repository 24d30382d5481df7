"""Pages about the commands of ``harness``, made from the command line itself."""

import inspect
import re
from collections.abc import Iterator

import click

from harness.cli.main import main

FOLDER = "reference/commands"
_ABOUT = """\
`harness COMMAND --help` shows the same in a terminal. Results are printed on stdout, progress and messages on stderr.
Commands that report take `--json`. Exit codes are 0, 1 (something failed, or was stopped with a checkpoint),
2 (the command or a file is wrong) and 130 in shells (ended by Ctrl-C)."""
ARGUMENTS = {
    "EXPERIMENT": "the name of a packaged experiment (`harness list` has them), or the path of a TOML file",
    "RUN": "a run directory, which `harness train` has made",
    "DIR": "a folder: one that `harness export` has written or, for `harness runs`, one with runs in it",
    "PROFILE": "a packaged profile of a board by its name, or the path of a TOML file",
    "PROGRAM": "a folder that `harness program` has made",
    "SHELL": "`bash`, `zsh` or `fish`",
    "EXPERIMENT…": "names of packaged experiments, or paths of TOML files",
    "CLAIM…": "`kendall`, `lin`, `chaffey`, `findings` or `packaged`, or a claim (`harness reproduce --list`)",
    "SUITE.toml…": "suites of cases, which are TOML files",
    "FILE": "the path of a file",
    "ROWS.csv": "a CSV file with rows that the network was not trained on",
    "WEIGHTS": "an npz file with the weights of a trained perceptron",
    "NAME": "a device by its name, or a CSV file of measured pulses",
    "activations": "the currents of the parts that make activations",
    "device": "a memristor",
}
"""The words that usages have for arguments."""


def commands_in(context: click.Context) -> Iterator[click.Context]:
    """Yield a command and, where it is a group, the commands in it."""
    yield context
    for inner in _inside(context):
        yield from commands_in(inner)


def top() -> list[click.Context]:
    """Return the commands right behind ``harness``, groups among them."""
    return list(_inside(_context(main, "harness", None)))


def _inside(context: click.Context) -> Iterator[click.Context]:
    """Yield the commands of a group, and none of other commands."""
    if isinstance(context.command, click.Group):
        for name, command in sorted(context.command.commands.items()):
            yield _context(command, name, context)


def pages() -> dict[str, str]:
    """Return all pages about commands by their paths."""
    index = {f"{FOLDER}/index.md": _index()}
    return index | {f"{FOLDER}/{context.info_name}.md": page_of(context) for context in top()}


def page_of(context: click.Context) -> str:
    """Return the page of a command, with those of its group, in Markdown."""
    first, *others = commands_in(context)
    told = [_about(first, level=1), *(_about(other, level=2) for other in others)]
    return "\n\n".join(told) + "\n"


def _index() -> str:
    rows = [f"| [`{one.command_path}`]({one.info_name}.md) | {_cell(_first_sentence(one.command))} |" for one in top()]
    table = "\n".join(["| command | what it does |", "|---|---|", *rows])
    words = "\n".join(f"* `{word}`: {meaning}" for word, meaning in ARGUMENTS.items())
    options = options_table(_context(main, "harness", None))
    parts = ["# Commands", _ABOUT, table, "## Arguments", words, "## Options of `harness` itself", options]
    return "\n\n".join(parts) + "\n"


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    """Return a context in which nothing is parsed or run."""
    return click.Context(command, info_name=name, parent=parent)


def _first_sentence(command: click.Command) -> str:
    paragraph = " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", paragraph)[0]


def _about(context: click.Context, *, level: int) -> str:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = ["#" * level + f" `{context.command_path}`", f"```text\n{usage}\n```", _prose(command.help or "")]
    parts += [_group(context, command)] if isinstance(command, click.Group) else [_arguments(command)]
    return "\n\n".join(part for part in [*parts, options_table(context)] if part)


def _group(context: click.Context, group: click.Group) -> str:
    paths = [f"{context.command_path} {name}" for name in group.list_commands(context)]
    return "\n".join(f"* [`{path}`](#{path.replace(' ', '-')})" for path in paths)


def arguments_of(command: click.Command) -> list[str]:
    """Return the words that stand for a command's arguments, such as RUN and EXPERIMENT."""
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    written = (re.sub(r"[\[\]]|\.\.\.", "", one.metavar or str(one.name).upper()) for one in arguments)
    return [word for words in written for word in words.split("|")]


def _arguments(command: click.Command) -> str:
    return "\n".join(f"* `{word}`: {ARGUMENTS.get(word, '')}" for word in arguments_of(command))


def options_table(context: click.Context) -> str:
    """Return the options of a command as a table in Markdown, each with its default and its meaning."""
    options = [option for option in context.command.get_params(context) if isinstance(option, click.Option)]
    rows = [_row(option, context) for option in options if not option.hidden and "--help" not in option.opts]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows]) if rows else ""


def _row(option: click.Option, context: click.Context) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    extra = option.get_help_extra(context)
    meaning = re.sub(r"\s*\[default: (.*?)\]", "", option.help or "")
    more = [f"Range: {extra['range']}."] if extra.get("range") else []
    more += [f"The environment variable {name} sets it, too." for name in extra.get("envvars", ())]
    return f"| `{_cell(names + value, code=True)}` | {_cell(_default(option))} | {_cell(' '.join([meaning, *more]))} |"


def _default(option: click.Option) -> str:
    if written := re.search(r"\[default: (.*?)\]", option.help or ""):
        return written[1]
    if option.required:
        return "must be given"
    if option.is_flag:
        return "off"
    default = option.to_info_dict()["default"]
    return "not set" if default in (None, (), []) or option.multiple else f"`{default}`"


def _cell(text: str, *, code: bool = False) -> str:
    """Return a text for a cell of a table, in which a bar would end it."""
    line = " ".join(text.split()).replace("|", r"\|")
    return line if code else _plain(line)


def _plain(text: str) -> str:
    """Return a text in which Markdown finds nothing but code: what is between backticks, and options."""
    text = re.sub(r"(?<![\w`-])(--[a-z][a-z-]*)(?![^`]*`(?:[^`]*`[^`]*`)*[^`]*$)", r"`\1`", text)
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_<])", r"\\\1", part) for part in parts)


def _prose(help_text: str) -> str:
    """Return the paragraphs of a help text; those whose lines click keeps become blocks."""
    paragraphs = inspect.cleandoc(help_text).split("\n\n")
    told = (f"```text\n{part[2:]}\n```" if part.startswith("\b\n") else _plain(part) for part in paragraphs)
    return "\n\n".join(told)
