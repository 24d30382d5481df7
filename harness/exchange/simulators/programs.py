"""Xyce, LTspice and Spectre, where this machine has them; each takes its own dialect's files as they are."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from harness.errors import SimulatorError
from harness.exchange.simulators.base import Deck, Program, Simulator, ask, read_samples, run
from harness.measurement import Array
from harness.netlist.dialects import Dialect
from harness.netlist.reading.statements import text_of


@dataclass(frozen=True)
class ProgramSimulator(Simulator):
    """A program that reads a testbench and writes a raw file."""

    name: str
    program: Program
    dialect: str
    asks_version: tuple[str, ...]
    """Words that make it say its version."""
    command: Callable[[str, str], list[str]]
    """Words after its own name for a testbench and a raw file."""
    result: Callable[[str], str]
    """The raw file for a testbench."""

    @property
    @override
    def searched(self) -> str:
        return self.program.searched

    @override
    def version(self) -> str | None:
        path = self.program.found()
        if path is None:
            return None
        try:
            said = ask(self.name, [path, *self.asks_version]) if self.asks_version else ""
        except SimulatorError:
            said = ""
        return said.splitlines()[0].strip() if said else f"unknown ({path})"

    @override
    def reads(self, dialect: Dialect) -> bool:
        return dialect.name == self.dialect

    @override
    def volts(self, deck: Deck) -> Array:
        path = self.program.path(self.name)
        testbench = f"testbench_{deck.phase}.{deck.dialect.suffix}"
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            for stem in ("network", "models", "parameters", f"testbench_{deck.phase}"):
                file = f"{stem}.{deck.dialect.suffix}"
                (Path(folder) / file).write_text(text_of(deck.folder, file), encoding="utf-8")
            raw = self.result(testbench)
            run(self.name, [path, *self.command(testbench, raw)], Path(folder), deck.limits)
            return read_samples(self.name, Path(folder) / raw, deck)


def _beside(testbench: str) -> str:
    return f"{Path(testbench).stem}.raw"


XYCE = ProgramSimulator(
    name="Xyce",
    program=Program("XYCE", ("Xyce", "xyce")),
    dialect="xyce",
    asks_version=("-v",),
    command=lambda testbench, raw: ["-r", raw, "-a", testbench],
    result=_beside,
)
LTSPICE = ProgramSimulator(
    name="LTspice",
    program=Program("LTSPICE", ("ltspice", "LTspice", "LTspice.exe")),
    dialect="ltspice",
    asks_version=(),
    command=lambda testbench, _: ["-b", "-ascii", testbench],
    result=_beside,
)
SPECTRE = ProgramSimulator(
    name="Spectre",
    program=Program("SPECTRE", ("spectre",)),
    dialect="spectre",
    asks_version=("-W",),
    command=lambda testbench, raw: ["-format", "nutascii", "-raw", raw, testbench],
    result=_beside,
)
