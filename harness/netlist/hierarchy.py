"""Expansion of a package's subcircuits, counted before a simulator expands them."""

from collections.abc import Iterable
from typing import NamedTuple

from harness.errors import NetlistError
from harness.netlist.reading.statements import Statement

PARTS_LIMIT = 5_000_000
"""Parts of a netlist in which every call is replaced by what it calls."""
LEVELS_LIMIT = 8
"""Subcircuits within each other; `harness` writes two."""


class _Extent(NamedTuple):
    """The parts of a subcircuit with all that it calls, and the levels of its calls."""

    parts: int = 0
    levels: int = 0


def check_hierarchy(statements: Iterable[Statement]) -> None:
    """Check that subcircuits are defined before they are called, as `harness` writes them, and that they stay small.

    A subcircuit that calls itself, or a chain in which each one calls the one before it twice, would keep a simulator
    busy without end. Simulators find by themselves what is not defined at all.

    Raises:
        NetlistError: a subcircuit is defined within another one, twice, without an end or after its call, the whole
            has more than `PARTS_LIMIT` parts or `LEVELS_LIMIT` levels, or goes on behind ``.end``; names file and line.
    """
    walk = _Walk()
    for statement in statements:
        walk.take(statement)
    if walk.name:
        raise NetlistError(f"subcircuit {walk.name} has no end")


class _Walk:
    """The count of parts while statements are taken one after the other."""

    def __init__(self) -> None:
        self.extents: dict[str, _Extent] = {}
        self.called: set[str] = set()
        self.name = ""
        """Name of the subcircuit that is open."""
        self.inside, self.outside = _Extent(), _Extent()
        self.ended = False

    def take(self, statement: Statement) -> None:
        words = statement.text.split()
        if self.ended:
            raise NetlistError(f"{statement.place}: the netlist goes on behind its .end")
        match words[0]:
            case ".end":
                self.ended = True
            case ".subckt":
                self.begin(statement, words[1])
            case ".ends":
                if not self.name:
                    raise NetlistError(f"{statement.place}: an end of no subcircuit")
                self.extents[self.name], self.name = self.inside, ""
            case word if not word.startswith("."):
                self.add(statement, self.extent(statement, words))

    def begin(self, statement: Statement, wanted: str) -> None:
        if self.name:
            raise NetlistError(f"{statement.place}: subcircuit {wanted} begins within {self.name}")
        if wanted in self.extents:
            raise NetlistError(f"{statement.place}: subcircuit {wanted} is defined twice")
        if wanted in self.called:
            raise NetlistError(f"{statement.place}: subcircuit {wanted} is called before it is defined")
        self.name, self.inside = wanted, _Extent()

    def extent(self, statement: Statement, words: list[str]) -> _Extent:
        """Return the extent that one part, or a call with all that it calls, adds."""
        if not words[0].startswith("x"):
            return _Extent(1)
        called = next(word for word in reversed(words) if "=" not in word)
        if called == self.name:
            raise NetlistError(f"{statement.place}: subcircuit {called} calls itself")
        self.called.add(called)
        known = self.extents.get(called, _Extent())
        return _Extent(known.parts + 1, known.levels + 1)

    def add(self, statement: Statement, part: _Extent) -> None:
        whole = self.inside if self.name else self.outside
        found = _Extent(whole.parts + part.parts, max(whole.levels, part.levels))
        if found.parts > PARTS_LIMIT:
            raise NetlistError(f"{statement.place}: with all subcircuits expanded, more than {PARTS_LIMIT:,} parts")
        if found.levels > LEVELS_LIMIT:
            raise NetlistError(f"{statement.place}: subcircuits are nested deeper than {LEVELS_LIMIT} levels")
        if self.name:
            self.inside = found
        else:
            self.outside = found
