"""Rebuilds the reference packages in this folder: `make netlists`."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness import Experiment, __version__
from harness.exchange.export import Choices, package_of
from harness.netlist.dialects import DIALECTS, NGSPICE, Dialect
from harness.netlist.package.package import Package
from harness.netlist.package.writing import write_package

HERE = Path(__file__).parent


def packages() -> Iterator[tuple[str, Package]]:
    """Folder and content of every reference package: xor in all dialects, with small tiles, and iris in ngspice."""
    for dialect in DIALECTS.values():
        yield f"xor-{dialect.name}", _package("xor", dialect, (8, 8))
    yield "iris-ngspice", _package("iris", NGSPICE, (128, 128))


def _package(experiment: str, dialect: Dialect, tile: tuple[int, int]) -> Package:
    """With initial conductances; without versions of what is only on some machines."""
    package = package_of(Experiment.load(experiment), None, Choices(dialect, tile=tile))
    return replace(package, origin=replace(package.origin, versions={"harness": __version__}))


if __name__ == "__main__":
    for name, package in packages():
        shutil.rmtree(HERE / name, ignore_errors=True)
        write_package(HERE / name, package)
