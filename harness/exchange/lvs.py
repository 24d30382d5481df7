"""Layout versus schematic: comparison of two CDL netlists, such as the flat and the hierarchical one.

Netgen (Debian's ``netgen-lvs``) and KLayout (PyPI ``klayout``) read both and compare devices, values and connections;
both are other people's readers of CDL. Cells without devices (amplifiers) stay black boxes.
"""

import re
import tempfile
from importlib import metadata, util
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import override

from harness.errors import SimulatorError
from harness.exchange.simulators.base import Program, Tool, ask, run
from harness.exchange.simulators.child import Limits, in_child

_SETUP = "permute default\nproperty default\n"
_SLASH = re.compile(r" /(?=\s)")  # also at the end of a line that goes on
_SUBCIRCUIT = re.compile(r"^\.SUBCKT (\w+)", re.MULTILINE | re.IGNORECASE)


class Comparer(Tool, Protocol):
    """A tool that compares netlists."""

    def difference(self, first: str, second: str) -> str:
        """Return what differs between two CDL texts that the reader has checked; empty for the same network.

        Raises:
            SimulatorError: it could not read them.
        """


class Netgen(Comparer):
    """Netgen, which compares values within its own tolerance."""

    name = "Netgen"
    _program = Program("NETGEN", ("netgen-lvs",))
    searched = _program.searched

    @override
    def version(self) -> str | None:
        path = self._program.found()
        if path is None:
            return None
        said = re.search(r"Netgen ([\d.]+)", ask(self.name, [path, "-batch", "quit"]))
        return said.group(1) if said else f"unknown ({path})"

    @override
    def difference(self, first: str, second: str) -> str:
        path = self._program.path(self.name)
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            sides = []
            for name, text in (("first.cdl", first), ("second.cdl", second)):
                (Path(folder) / name).write_text(text, encoding="utf-8")
                sides.append(f"{name} {_top(text)}")
            (Path(folder) / "setup.tcl").write_text(_SETUP, encoding="utf-8")
            limits = _limits(first, second)
            said = run(self.name, [path, "-batch", "lvs", *sides, "setup.tcl", "report.out"], Path(folder), limits)
        if "There were property errors" in said:
            return "values differ"
        verdict = said[said.rfind("Result:") :].splitlines()[0] if "Result:" in said else ""
        if verdict.startswith("Result: Circuits match"):
            return ""
        return verdict.removeprefix("Result: ").rstrip(".") or "no result"


class KLayout(Comparer):
    """KLayout, which compares values within one part in a million; cells that hold devices are opened."""

    name = "KLayout"
    searched = "Python package klayout"

    @override
    def version(self) -> str | None:
        return metadata.version("klayout") if util.find_spec("klayout") else None

    @override
    def difference(self, first: str, second: str) -> str:
        return in_child(self.name, _limits(first, second), _compared, first, second)


def _limits(*texts: str) -> Limits:
    return Limits.of(sum(text.count("\n") for text in texts))


def _compared(first: str, second: str) -> str:
    """Return what KLayout finds different in two CDL texts."""
    from klayout import db  # noqa: PLC0415 - optional

    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        sides = [_opened(db, Path(folder) / f"{k}.cdl", text) for k, text in enumerate((first, second))]
    return "" if db.NetlistComparer().compare(*sides) else "devices, values or connections differ"


def read_cdl(db: Any, file: Path, text: str) -> Any:
    """Return KLayout's netlist of a CDL text, which is written to a file that does not exist yet.

    Args:
        db: the module ``klayout.db``.
        file: the file to write. KLayout does not know CDL's slash before a cell's name, which is left out there.
        text: the netlist.

    Raises:
        SimulatorError: KLayout cannot read it.
    """
    file.write_text(_SLASH.sub("", text), encoding="utf-8")
    netlist = db.Netlist()
    try:
        netlist.read(str(file), db.NetlistSpiceReader())
    except RuntimeError as error:
        raise SimulatorError(f"KLayout cannot read the netlist: {error}") from error
    return netlist


def _opened(db: Any, file: Path, text: str) -> Any:
    """Return a netlist whose top cell holds every device."""
    netlist = read_cdl(db, file, text)
    top = _top(text).upper()
    for circuit in list(netlist.each_circuit_bottom_up()):
        if circuit.name != top and any(True for _ in circuit.each_device()):
            netlist.flatten_circuit(circuit)
    return netlist


def _top(text: str) -> str:
    """Return the last cell of a netlist."""
    names = _SUBCIRCUIT.findall(text)
    if not names:
        raise SimulatorError("the netlist has no subcircuit")
    return str(names[-1])


TOOLS: tuple[Comparer, ...] = (Netgen(), KLayout())
"""Used where they are found."""
