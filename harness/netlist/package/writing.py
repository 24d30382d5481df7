"""A package: the directory that a designer gets.

::

    network.*            the hierarchy: tiles, neurons, amplifiers, and the top cell that joins them
    flat.*               the same network in one cell
    models.*             diodes, and what cells need
    parameters.*         tolerances, temperature, β, volts of the rails
    testbench_free.*     samples one after the other, outputs left alone
    testbench_nudged.*   the same with a spring of β at every output
    expected.csv         what every node should have, from the nodal solver
    statistics.*         the network with draws, where chips are to differ (`harness.netlist.statistics`)
    montecarlo_*, corners_*   testbenches of many chips, for each temperature
    map.json             where the circuit's nodes, elements and cells are
    README.md, manifest.json

CDL has neither testbenches nor parameters, and so nothing to expect.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.errors import CircuitError
from harness.files.reading import JsonObject
from harness.files.writing import whole_folder
from harness.netlist.design.mapping import map_of
from harness.netlist.design.naming import plain
from harness.netlist.dialects import Phase
from harness.netlist.dialects.base import flattened
from harness.netlist.package.guide import guide
from harness.netlist.package.manifest import EXPECTED, MANIFEST, MAP
from harness.netlist.package.package import Package
from harness.netlist.statistics.files import STYLES, Many, statistical_files


def files_of(package: Package) -> Iterator[tuple[str, str]]:
    """Name and text of every file, the manifest last."""
    hashes: dict[str, str] = {}
    for name, text in _contents(package):
        hashes[name] = sha256(text.encode()).hexdigest()
        yield name, text
    yield MANIFEST, _json(_manifest(package, hashes))


def _contents(package: Package) -> Iterator[tuple[str, str]]:
    dialect, design, cells = package.dialect, package.written, package.cells
    yield _file(package, "network", "hierarchical network", dialect.network(design, cells))
    flat = flattened(design, dialect)
    yield _file(package, "flat", "flat network, in place of network", dialect.network(flat, cells))
    models = list(dialect.models(design, cells))
    if models and package.origin.diode_note:
        models.insert(0, dialect.comment(package.origin.diode_note))
    if models or dialect.has_testbench:
        yield _file(package, "models", "models", models)
    if dialect.has_testbench:
        note = dialect.comment(package.origin.temperature_note)
        yield _file(package, "parameters", "parameters", [note, *dialect.parameters(design, package.stimulus)])
        for phase in Phase:
            title = f"testbench, {phase} phase"
            yield _file(package, f"testbench_{phase}", title, dialect.testbench(design, package.stimulus, phase))
        yield EXPECTED, "\n".join([*_expected(package), ""])
    if package.statistics is not None:
        many = Many(design, package.stimulus, package.origin.rows, package.statistics)
        for stem, title, lines in statistical_files(STYLES[dialect.name], many):
            yield _file(package, stem, title, lines)
    yield from package.cells.files().items()
    yield MAP, _json(map_of(design, dialect, cells))
    yield "README.md", guide(package)


def _file(package: Package, stem: str, title: str, lines: Iterator[str] | Sequence[str]) -> tuple[str, str]:
    head = [
        f"{package.design.top.name}: {title}",
        f"experiment {package.origin.experiment}, {package.origin.conductances}",
    ]
    comments = [package.dialect.comment(plain(line)) for line in head]
    return f"{stem}.{package.dialect.suffix}", "\n".join([*comments, *lines, ""])


def _expected(package: Package) -> Iterator[str]:
    """Yield the lines of ``expected.csv``: every node that is a net of the top cell, none within resistive lines."""
    nodes = package.design.circuit.nodes
    shown = [k for k, node in enumerate(nodes) if len(package.design.nodes[node]) == 1]
    yield "sample,phase,node,volts"
    for phase, volts in package.expected.items():
        for row, values in zip(package.origin.rows, volts.tolist(), strict=True):
            yield from (f"{row},{phase},{nodes[k]},{values[k]!r}" for k in shown)


def _manifest(package: Package, hashes: Mapping[str, str]) -> JsonObject:
    origin = package.origin
    return {
        "package": 1,
        "experiment": plain(origin.experiment),
        "run": origin.run and plain(origin.run),
        "conductances": plain(origin.conductances),
        "as_made": origin.as_made,
        "versions": dict(origin.versions),
        "dialect": package.dialect.name,
        "cells": package.cells.name,
        "exact": package.cells.exact,
        **({"deviation": asdict(package.deviation)} if package.deviation else {}),
        "tile": list(package.tile),
        "samples": list(origin.rows),
        "beta": package.stimulus.beta,
        **({"statistics": package.statistics.told} if package.statistics else {}),
        "tolerances": vars(package.stimulus.tolerances),
        "read_at": [package.stimulus.middle(k) for k in range(len(package.stimulus))],
        "files": dict(hashes),
        "verified": None,
    }


def write_package(folder: Path, package: Package) -> int:
    """Write all files; the folder appears under its name when it is complete. Returns its bytes.

    Raises:
        CircuitError: see `check_free`.
    """
    check_free(folder)
    try:
        with whole_folder(folder) as part:
            for name, text in files_of(package):
                (part / name).write_bytes(text.encode())
            size = sum(file.stat().st_size for file in part.iterdir())
    except FileExistsError as error:
        raise CircuitError(f"package {folder}: another command made it just now; name another folder") from error
    return size


def check_free(folder: Path) -> None:
    """Check that a package can be written there.

    Raises:
        CircuitError: something is at `folder` already, or the folder that it is to be in does not exist.
    """
    if folder.exists() or folder.is_symlink():
        raise CircuitError(f"package {folder}: something is there already; name another folder")
    if not folder.absolute().parent.is_dir():
        raise CircuitError(f"package {folder}: there is no folder {folder.parent} to put it in")


def _json(content: JsonObject) -> str:
    """Return JSON with a line for every key, and for every entry of a table under it."""
    blocks = [f" {json.dumps(key)}: {_block(value)}" for key, value in content.items()]
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def _block(value: Any) -> str:
    write = json.JSONEncoder(allow_nan=False).encode
    if isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"  {write(key)}: {write(entry)}" for key, entry in value.items()) + "\n }"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"  {write(entry)}" for entry in value) + "\n ]"
    return write(value)
