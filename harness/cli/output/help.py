"""Help that fits narrow terminals, of commands that are loaded when they are typed."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from pkgutil import resolve_name

import click
from typing_extensions import override

from harness.processes.garbage import kept

_NARROWEST = 20


class NarrowFormatter(click.HelpFormatter):
    """click's formatter, which goes below 50 columns where the terminal does."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        columns = min(shutil.get_terminal_size().columns, max_width or 80)
        super().__init__(indent_increment, width or max(columns - 2, _NARROWEST), max_width)

    @override
    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl(rows, min(col_max, max(self.width // 3, 8)), col_spacing)


class NarrowContext(click.Context):
    """A context whose help is written by `NarrowFormatter`."""

    formatter_class = NarrowFormatter


class Later(MutableMapping[str, click.Command]):
    """Commands by name, each imported when it is asked for; `places` has ``module:command`` and a sentence of help."""

    def __init__(self, places: Mapping[str, tuple[str, str]]) -> None:
        self._places = dict(places)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            place, told = self._places[name]
            with kept():
                self[name] = resolve_name(place)
            self[name].short_help = told
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = _fitted(command)
        self._places.setdefault(name, ("", ""))

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _fitted(command: click.Command) -> click.Command:
    command.context_class = NarrowContext
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _fitted(inner)
    return command
