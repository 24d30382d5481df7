"""What simulators are given, and what is asked of them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from harness.errors import SimulatorError
from harness.measurement import Array
from harness.netlist.dialects import Dialect, Phase
from harness.netlist.settings import Tolerances
from harness.netlist.statements import Statement

TOLERANCES = Tolerances(1e-9, 1e-12, 1e-15)
"""Of every simulation; the testbenches' own."""
_SECONDS = 3600
_ABOUT_ANALYSES = frozenset((".options", ".option", ".temp", ".tran", ".print", ".measure", ".end"))


@dataclass(frozen=True, eq=False)
class Deck:
    """One testbench of a package that the reader has checked."""

    folder: Path
    dialect: Dialect
    phase: Phase
    statements: tuple[Statement, ...]
    """Of the testbench and all that it includes, in SPICE's words."""
    nets: tuple[str, ...]
    """To be read, as ``xnet.h0``: ports by themselves, others behind the instance of their cell."""
    times: tuple[float, ...]
    """s at which each sample is read."""

    @property
    def step(self) -> float:
        """s that no time step may be longer than: each sample has two points at least."""
        return self.times[0]

    @property
    def stop(self) -> float:
        """s at which the last sample ends."""
        return self.times[-1] + self.times[0]

    def network(self) -> Iterator[str]:
        """Statements that are not about analyses."""
        return (s.text for s in self.statements if s.text.split(maxsplit=1)[0] not in _ABOUT_ANALYSES)


class Simulator(Protocol):
    """A program or library."""

    @property
    def name(self) -> str:
        """As people call it."""
        ...

    @property
    def searched(self) -> str:
        """Where it is looked for."""
        ...

    def version(self) -> str | None:
        """What this machine has; None for nothing."""
        ...

    def reads(self, dialect: Dialect) -> bool:
        """Whether it takes a dialect's files."""
        ...

    def volts(self, deck: Deck) -> Array:
        """V of the deck's nets in the middle of each sample, ``[samples, nets]``.

        Raises:
            SimulatorError: it did not take the files or found no solution.
        """
        ...


@dataclass(frozen=True)
class Program:
    """Where an executable is looked for: a variable of the environment first, then names on the path.

    Entries of the path that mean the working directory do not count: that may be a package from somebody else.
    """

    variable: str
    commands: tuple[str, ...]

    @property
    def searched(self) -> str:
        """For people."""
        return f"${self.variable}, then {' and '.join(self.commands)} on the path"

    def found(self) -> str | None:
        """Its path, which holds in every folder."""
        named = os.environ.get(self.variable)
        folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
        trusted = os.pathsep.join(folder for folder in folders if os.path.isabs(folder))
        found = (shutil.which(command, path=trusted) for command in ((named,) if named else self.commands))
        return next((os.path.abspath(path) for path in found if path), None)


def sampled(time: Array, volts: Array, at: Sequence[float]) -> Array:
    """Results over time (V, ``[points, nets]`` at s) in the middle of each sample, where they are constant."""
    return np.column_stack([np.interp(at, time, column) for column in volts.T])


def ask(name: str, command: Sequence[str]) -> str:
    """Run a program that is only asked something, in an empty folder; returns what it said.

    Many programs read files of the folder that they are started in, and that may be a package from somebody else.

    Raises:
        SimulatorError: see `run`.
    """
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        return run(name, command, Path(folder))


def run(name: str, command: Sequence[str], folder: Path) -> str:
    """Run a program in a folder; returns what it said.

    Raises:
        SimulatorError: it cannot be started, takes an hour, or fails; with its last lines.
    """
    try:
        done = subprocess.run(  # noqa: S603 - a simulator that the user installed, on files that were checked
            [*command], cwd=folder, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SimulatorError(f"{name} could not be run: {error}") from error
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        last = " / ".join(line.strip() for line in said.splitlines()[-4:] if line.strip())
        raise SimulatorError(f"{name} failed: {last[:300]}")
    return said
