"""The conditions of a testbench: the tolerances, temperature and gmin that its own options ask for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from harness.errors import NetlistError, UnitError
from harness.netlist.dialects import Dialect
from harness.netlist.reading.statements import Statement
from harness.netlist.tolerances import CONDITIONS, TIGHT, Conditions


def read_conditions(file: str, statements: Iterable[Statement], dialect: Dialect) -> Conditions:
    """Return what a testbench asks of the simulator; the statements are its own and those that it includes.

    Raises:
        NetlistError: an option is one that `harness` does not write, is given twice with two values, is out of its
            range or lacks; names file and line.
    """
    found: dict[str, tuple[float, Statement]] = {}
    for statement, name, value in _options(statements):
        meant = dialect.conditions.get(name)
        if meant is None:
            raise NetlistError(f"{statement.place}: harness does not write the option {name!r} for {dialect.title}")
        if meant:
            _note(found, meant, _number(statement, name, value), statement)
    if lost := [name for name in CONDITIONS if name not in found and name in dialect.conditions.values()]:
        raise NetlistError(f"{file}: its options do not give {lost[0]}, without which its voltages are not defined")
    return _conditions(file, {name: value for name, (value, _) in found.items()})


def _options(statements: Iterable[Statement]) -> Iterator[tuple[Statement, str, str]]:
    """Names, which begin with the package of options where the dialect has packages, and values."""
    for statement in statements:
        word, *pairs = statement.text.split()
        if word == ".temp":
            yield statement, "temp", pairs[0]
        elif word in {".option", ".options"}:
            package = f"{pairs.pop(0)} " if pairs and "=" not in pairs[0] and "=" in pairs[-1] else ""
            for pair in pairs:
                name, _, value = pair.partition("=")
                yield statement, f"{package}{name}", value


def _number(statement: Statement, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise NetlistError(f"{statement.place}: option {name} is {text!r}, which is no number") from error


def _note(found: dict[str, tuple[float, Statement]], name: str, value: float, statement: Statement) -> None:
    known, first = found.setdefault(name, (value, statement))
    if known != value:
        raise NetlistError(f"{statement.place}: {name} is {value:g}, and {known:g} in {first.place}; give it once")


def _conditions(file: str, values: Mapping[str, float]) -> Conditions:
    named = {"temp": "temperature", "tnom": "nominal", "gmin": "gmin"}
    bounds = {name: values[name] for name in ("reltol", "vntol", "abstol") if name in values}
    try:
        return Conditions(replace(TIGHT, **bounds), **{named[name]: values[name] for name in named})
    except UnitError as error:
        raise NetlistError(f"{file}: its options ask for {error}") from error
