"""The interface of simulators, the decks that they are given, and how their programs are run."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from harness.errors import SimulatorError
from harness.exchange.simulators.child import BRIEF, Limits
from harness.exchange.simulators.raw import read_raw
from harness.measurement import Array
from harness.netlist.dialects import Dialect, Phase
from harness.netlist.reading.statements import ABOUT_ANALYSES, Statement
from harness.netlist.tolerances import Conditions
from harness.processes.pool import cause_of_death
from harness.units import show

_MOST_SAID = 1_000_000  # bytes of its output that are kept
_READ_BY_SHELLS = ("BASH_ENV", "ENV")  # files that shells run first; some simulators are started by a shell script
_LIMITED = """import os, resource, sys
data, cpu, size = map(int, sys.argv[1:4])
for kind, most in ((resource.RLIMIT_DATA, data), (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_FSIZE, size),
                   (resource.RLIMIT_CORE, 0)):
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (most if hard < 0 else min(most, hard), hard))
try:
    os.execv(sys.argv[4], sys.argv[4:])
except OSError as error:
    sys.exit(f"{sys.argv[4]} could not be run: {error.strerror}")
"""


@dataclass(frozen=True, eq=False)
class Deck:
    """One testbench of a package that the reader has checked."""

    folder: Path
    dialect: Dialect
    phase: Phase
    statements: tuple[Statement, ...]
    """Statements of the testbench and all that it includes, in SPICE's words."""
    nets: tuple[str, ...]
    """To be read, as ``xnet.h0``: ports by themselves, others behind the instance of their cell."""
    times: tuple[float, ...]
    """s at which each sample is read."""
    conditions: Conditions
    """The conditions that the testbench's own options ask for."""

    @property
    def limits(self) -> Limits:
        """The time and memory that a simulator may use for it."""
        return Limits.of(len(self.statements), len(self.times))

    @property
    def step(self) -> float:
        """The longest time step in s: each sample has two points at least."""
        return self.times[0]

    @property
    def stop(self) -> float:
        """The time in s at which the last sample ends."""
        return self.times[-1] + self.times[0]

    def network(self) -> Iterator[str]:
        """Return the statements that are not about analyses."""
        return (s.text for s in self.statements if s.text.split(maxsplit=1)[0] not in ABOUT_ANALYSES)


class Tool(Protocol):
    """A program or library of somebody else, which this machine may have."""

    name: str
    """The name that people know."""

    @property
    def searched(self) -> str:
        """The places where it is looked for, in words."""

    def version(self) -> str | None:
        """Return the version on this machine; None where it is not found."""


class Simulator(Tool, Protocol):
    """A simulator of packages."""

    def reads(self, dialect: Dialect) -> bool:
        """Return True if it takes a dialect's files."""

    def volts(self, deck: Deck) -> Array:
        """Return V of the deck's nets in the middle of each sample, ``[samples, nets]``.

        Raises:
            SimulatorError: it did not take the files or found no solution.
        """


@dataclass(frozen=True)
class Program:
    """An executable, given by a variable of the environment or, without it, found by its names on the path.

    Entries of the path that mean the working directory do not count: that may be a package from somebody else.
    """

    variable: str
    commands: tuple[str, ...]

    @property
    def searched(self) -> str:
        """The places where it is looked for, in words."""
        return f"${self.variable}, then {' and '.join(self.commands)} on the path"

    def found(self) -> str | None:
        """Return its absolute path; None where it is not found."""
        named = os.environ.get(self.variable)
        folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
        trusted = os.pathsep.join(folder for folder in folders if os.path.isabs(folder))
        found = (shutil.which(command, path=trusted) for command in ((named,) if named else self.commands))
        return next((os.path.abspath(path) for path in found if path), None)

    def path(self, name: str) -> str:
        """Return its absolute path.

        Raises:
            SimulatorError: the program, which people call `name`, is not found.
        """
        if (path := self.found()) is None:
            raise SimulatorError(f"{name} is not here (searched {self.searched})")
        return path


def sampled(time: Array, volts: Array, at: Sequence[float] | Array) -> Array:
    """Return results over time (V, ``[points, nets]`` at s) in the middle of each sample, where they are constant."""
    return np.column_stack([np.interp(at, time, column) for column in volts.T])


def read_samples(name: str, raw: Path, deck: Deck) -> Array:
    """Return V of a deck's nets, ``[samples, nets]``, from a raw file that a simulator has written.

    Raises:
        SimulatorError: the file cannot be read, or lacks a net.
    """
    found = read_raw(raw)
    if missing := [net for net in ("time", *deck.nets) if net not in found]:
        raise SimulatorError(f"{name} gave no voltage of {missing[0]}")
    return sampled(found["time"], np.column_stack([found[net] for net in deck.nets]), deck.times)


def ask(name: str, command: Sequence[str]) -> str:
    """Run a program that is only asked something, in an empty folder; return what it said.

    Many programs read files of the folder that they are started in, and that may be a package from somebody else.

    Raises:
        SimulatorError: see `run`.
    """
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        return run(name, command, Path(folder))


def run(name: str, command: Sequence[str], folder: Path, limits: Limits = BRIEF) -> str:
    """Run a program in a folder; return what it said.

    Raises:
        SimulatorError: it cannot be started, takes too long, crashes or fails; with its last lines.
    """
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(  # noqa: S603 - a simulator that the user installed, on files that were checked
            [sys.executable, "-I", "-S", "-c", _LIMITED, *map(str, limits.resources()), *command],
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name not in _READ_BY_SHELLS},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            process_group=0,  # whatever it starts itself ends with it
        )
        try:
            code = process.wait(limits.seconds)
        except subprocess.TimeoutExpired as error:
            raise SimulatorError(f"{name} was ended after {show(limits.seconds, 's')} without a result") from error
        finally:
            _end_group(process)
        file.seek(max(0, file.seek(0, os.SEEK_END) - _MOST_SAID))
        said = file.read().decode(errors="replace").strip()
    if code:
        how = f" ({cause_of_death(code)}; it may use {limits.told})" if code < 0 else ""
        last = " / ".join(line.strip() for line in said.splitlines()[-4:] if line.strip())
        raise SimulatorError(f"{name} failed{how}: {last[:300]}")
    return said


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
