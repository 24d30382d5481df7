"""Consistency of a package: hierarchical, flat, ``map.json``, and the times at which samples are read."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.circuit import Circuit, Crossbar, Edges, Resistor
from harness.errors import CircuitError, NetlistError
from harness.netlist.dialects import Dialect, Phase
from harness.netlist.reading.reader import is_native, read_circuit
from harness.netlist.reading.statements import Statement, read_statements
from harness.units import show

_MEASURE = re.compile(r"\.measure tran \S+__s(\d+) find v\(\S+\) at[ =](\S+)")
_IN_TIME = re.compile(r"\.tran |\.options .*\bstrobedelay=")
_NEAR = 1e-9
"""Relative, of times."""


def inconsistency(folder: Path, dialect: Dialect) -> str:
    """Say in what both netlists, read statement by statement, and the map differ; nothing if they agree.

    Conductances that differ are counted, and the pair that is farthest apart is named. What cannot be read counts as
    a difference: its sentence is returned.
    """
    files, circuits = (f"network.{dialect.suffix}", f"flat.{dialect.suffix}"), []
    for flat, file in enumerate(files):
        try:
            circuits.append(read_circuit(folder, flat=bool(flat)))
        except NetlistError as error:
            return str(error)
        except CircuitError as error:
            return f"{file}: {error}"
    differing = list(_differences(*circuits))
    if not differing:
        return ""
    worst = max(differing, key=lambda pair: pair.siemens)
    joint = ", most of all" if len(differing) > 1 else ":"
    return f"{_counted(differing)}{joint} {worst.name}: {_both(*worst.found, *files)}"


def _counted(differing: "Sequence[_Pair]") -> str:
    resistors = sum(pair.name.startswith("resistor ") for pair in differing)
    counts = {"cell": len(differing) - resistors, "resistor": resistors}
    told = " and ".join(f"{count:,} {name}{'s' * (count > 1)}" for name, count in counts.items() if count)
    return f"{told} differ{'s' * (len(differing) == 1)}"


class _Pair(NamedTuple):
    """A conductance that is another one in the other netlist."""

    name: str
    found: tuple[float, float]
    """S, of the hierarchical and of the flat netlist."""

    @property
    def siemens(self) -> float:
        """The difference between the two conductances, S."""
        return abs(self.found[0] - self.found[1])


def _differences(network: Circuit, flat: Circuit) -> Iterator[_Pair]:
    """Conductances that differ by a bit or more; the map has both circuits' elements in one order."""
    for one, other in zip(network.elements, flat.elements, strict=True):
        if isinstance(one, Resistor) and isinstance(other, Resistor) and one.conductance != other.conductance:
            yield _Pair(f"resistor {one.name}", (one.conductance, other.conductance))
        if isinstance(one, (Crossbar, Edges)) and isinstance(other, (Crossbar, Edges)):
            for position in np.argwhere(one.conductances != other.conductances):
                a, b = (float(e.conductances[tuple(position)]) for e in (one, other))
                yield _Pair(f"{one.name}, cell {position.tolist()}", (a, b))


def _both(a: float, b: float, first: str, second: str) -> str:
    digits = next((n for n in (3, 6, 17) if show(a, "S", n) != show(b, "S", n)), 17)
    return f"{show(a, 'S', digits)} in {first}, {show(b, 'S', digits)} in {second}"


def mistimed(folder: Path, dialect: Dialect, times: Sequence[float]) -> str:
    """The first analysis or measurement of the testbenches that is not at the samples' times (s); nothing if all are.

    Raises:
        NetlistError: a testbench asks for what no netlist may; names file and line.
    """
    for phase in Phase:
        file = f"testbench_{phase}.{dialect.suffix}"
        statements = list(read_statements(folder, file, native=is_native(dialect)))
        if found := next(_mistimed(statements, times), ""):
            return found
        if not any(_IN_TIME.match(statement.text) for statement in statements):
            return f"{file}: it has no analysis in time"
    return ""


def _mistimed(statements: Iterable[Statement], times: Sequence[float]) -> Iterator[str]:
    stop = times[-1] + times[0]
    for statement in statements:
        if found := _MEASURE.fullmatch(statement.text):
            sample, time = int(found.group(1)), found.group(2)
            if sample >= len(times):
                yield f"{statement.place}: it measures sample {sample}, and the package has {len(times)}"
            elif not _same(time, times[sample]):
                yield f"{statement.place}: it measures at {time} s; sample {sample} is read at {times[sample]!r} s"
        elif statement.text.startswith(".tran "):
            _, _, end, *_ = [*statement.text.split(), "none"]
            if not _same(end, stop):
                yield f"{statement.place}: it ends at {end} s, and the last sample at {stop!r} s"
        elif "strobedelay=" in statement.text:
            given = {name: value for name, _, value in (pair.partition("=") for pair in statement.text.split()[1:])}
            wanted = {"strobedelay": times[0], "strobeperiod": 2 * times[0], "stop": stop}
            for name, time in wanted.items():
                if not _same(given.get(name, "none"), time):
                    yield f"{statement.place}: {name} is {given.get(name)} s, and the samples need {time!r} s"


def _same(text: str, time: float) -> bool:
    try:
        return math.isclose(float(text), time, rel_tol=_NEAR)
    except ValueError:
        return False
