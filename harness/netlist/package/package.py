"""A package: the directory that a designer gets.

::

    network.*            the hierarchy: tiles, neurons, amplifiers, and the top cell that joins them
    flat.*               the same network in one cell
    models.*             diodes, and what cells need
    parameters.*         tolerances, temperature, β, volts of the rails
    testbench_free.*     samples one after the other, outputs left alone
    testbench_nudged.*   the same with a spring of β at every output
    expected.csv         what every node should have, from the nodal solver
    map.json             where the circuit's nodes, elements and cells are
    README.md, manifest.json

CDL has neither testbenches nor parameters, and so nothing to expect.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.devices.diode import TEMPERATURE
from harness.errors import CircuitError
from harness.files.reading import read_json
from harness.files.writing import whole_folder
from harness.measurement import Array
from harness.netlist.design.design import TILE, Tile
from harness.netlist.design.mapping import map_of, probe
from harness.netlist.design.naming import plain
from harness.netlist.design.parts import Design
from harness.netlist.deviation import Deviation
from harness.netlist.dialects import DIALECTS, RESISTORS, Bench, CellStyle, Dialect, Phase
from harness.netlist.dialects.base import fitted, flattened
from harness.netlist.package.guide import guide
from harness.netlist.reading.statements import ABOUT_ANALYSES, is_own, statements_of

MANIFEST = "manifest.json"
EXPECTED = "expected.csv"
MAP = "map.json"


@dataclass(frozen=True)
class Origin:
    """Where a package comes from, as its manifest says it."""

    experiment: str
    conductances: str
    """Such as ``"trained in iris-seed0"``."""
    run: str | None = None
    """The name of the run's directory."""
    versions: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[int, ...] = ()
    """Numbers of the samples among the held-out rows."""
    as_made: bool = False
    """Whether this is the chip with its variation, not the circuit as it was drawn."""
    temperature: float | None = None
    """°C that the diodes' parameters are for; None is that of the simulator."""

    @property
    def temperature_note(self) -> str:
        """What to know before the simulator's temperature is changed."""
        if self.diode_note:
            return f"{self.diode_note}, and so are resistances: at another temp the change would count twice"
        return f"expected.csv is for temp = {TEMPERATURE:g} C; at another one diodes change and resistances do not"

    @property
    def diode_note(self) -> str:
        """What to know of the diodes' temperature, if it is not that of the simulator."""
        if self.temperature in (None, TEMPERATURE):
            return ""
        return f"diodes are written as they are at {self.temperature:g} C, for a simulator at {TEMPERATURE:g} C"


@dataclass(frozen=True, eq=False)
class Package:
    """Everything that a package is made of."""

    design: Design
    dialect: Dialect
    bench: Bench
    expected: Mapping[Phase, Array]
    """V of the circuit's nodes, ``[samples, nodes]``."""
    origin: Origin
    tile: Tile = TILE
    cells: CellStyle = RESISTORS
    deviation: Deviation | None = None
    """From the network that was trained, if cells are not as linear as there."""

    @cached_property
    def written(self) -> Design:
        """The design as the dialect can say it."""
        return fitted(self.design, self.dialect.most_ports)

    def files(self) -> Iterator[tuple[str, str]]:
        """Name and text of every file, the manifest last."""
        hashes: dict[str, str] = {}
        for name, text in self._contents():
            hashes[name] = sha256(text.encode()).hexdigest()
            yield name, text
        yield MANIFEST, _json(self._manifest(hashes))

    def deck(self, phase: Phase) -> list[str]:
        """The statements of a testbench with its files in their places, but for its options and analyses."""
        dialect, design, cells = self.dialect, self.written, self.cells
        parts = (
            dialect.parameters(design, self.bench),
            dialect.models(design, cells),
            dialect.network(design, cells),
            dialect.testbench(design, self.bench, phase),
        )
        statements = statements_of(line for part in parts for line in part)
        left_out = ABOUT_ANALYSES | {".include"}
        return [s.text for s in statements if s.text.split(maxsplit=1)[0] not in left_out]

    def nets(self) -> list[str]:
        """What results call the voltages of the circuit's nodes."""
        mapped = map_of(self.written, self.dialect, self.cells)
        return [probe(mapped["nodes"][node], mapped, self.dialect.joint) for node in self.design.circuit.nodes]

    def _contents(self) -> Iterator[tuple[str, str]]:
        dialect, design, cells = self.dialect, self.written, self.cells
        yield self._file("network", "hierarchical network", dialect.network(design, cells))
        flat = flattened(design, dialect)
        yield self._file("flat", "flat network, in place of network", dialect.network(flat, cells))
        models = list(dialect.models(design, cells))
        if models and self.origin.diode_note:
            models.insert(0, dialect.comment(self.origin.diode_note))
        if models or dialect.has_testbench:
            yield self._file("models", "models", models)
        if dialect.has_testbench:
            note = dialect.comment(self.origin.temperature_note)
            yield self._file("parameters", "parameters", [note, *dialect.parameters(design, self.bench)])
            for phase in Phase:
                title = f"testbench, {phase} phase"
                yield self._file(f"testbench_{phase}", title, dialect.testbench(design, self.bench, phase))
            yield EXPECTED, "\n".join([*self._expected(), ""])
        yield from self.cells.files().items()
        yield MAP, _json(map_of(design, dialect, cells))
        yield "README.md", guide(self)

    def _file(self, stem: str, title: str, lines: Iterator[str] | Sequence[str]) -> tuple[str, str]:
        head = [f"{self.design.top.name}: {title}", f"experiment {self.origin.experiment}, {self.origin.conductances}"]
        comments = [self.dialect.comment(plain(line)) for line in head]
        return f"{stem}.{self.dialect.suffix}", "\n".join([*comments, *lines, ""])

    def _expected(self) -> Iterator[str]:
        """Of every node that is a net of the top cell; inner nodes of resistive lines are left out."""
        nodes = self.design.circuit.nodes
        shown = [k for k, node in enumerate(nodes) if len(self.design.nodes[node]) == 1]
        yield "sample,phase,node,volts"
        for phase, volts in self.expected.items():
            for row, values in zip(self.origin.rows, volts.tolist(), strict=True):
                yield from (f"{row},{phase},{nodes[k]},{values[k]!r}" for k in shown)

    def _manifest(self, hashes: Mapping[str, str]) -> dict[str, Any]:
        origin = self.origin
        return {
            "package": 1,
            "experiment": plain(origin.experiment),
            "run": origin.run and plain(origin.run),
            "conductances": plain(origin.conductances),
            "as_made": origin.as_made,
            "versions": dict(origin.versions),
            "dialect": self.dialect.name,
            "cells": self.cells.name,
            "exact": self.cells.exact,
            **({"deviation": asdict(self.deviation)} if self.deviation else {}),
            "tile": list(self.tile),
            "samples": list(origin.rows),
            "beta": self.bench.beta,
            "tolerances": vars(self.bench.tolerances),
            "read_at": [self.bench.middle(k) for k in range(len(self.bench))],
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
            for name, text in package.files():
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
        raise CircuitError(f"package {folder}: it exists already; remove it or name another folder")
    if not folder.absolute().parent.is_dir():
        raise CircuitError(f"package {folder}: there is no folder {folder.parent} to put it in")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a package.

    Raises:
        CircuitError: the folder is no package, or its manifest is damaged; says how.
    """
    place = f"{folder} is no exported package"
    if not is_own(folder, MANIFEST):
        raise CircuitError(f"{place}: it has no file {MANIFEST} of its own")
    try:
        manifest = read_json(folder / MANIFEST, CircuitError)
    except CircuitError as error:
        raise CircuitError(f"{place}: {error}") from error
    if manifest.get("package") != 1 or manifest.get("dialect") not in [*DIALECTS]:
        raise CircuitError(f"{place}: its {MANIFEST} is of something else")
    for key in ("experiment", "conductances", "cells"):
        if not isinstance(manifest.get(key), str):
            raise CircuitError(f"{place}: its {MANIFEST} must have a text at {key!r}")
    versions = manifest.get("versions")
    if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
        raise CircuitError(f"{place}: its {MANIFEST} must have texts by name at 'versions'")
    return manifest


def is_package(folder: Path) -> bool:
    """Return whether a folder says that it is a package; runs have a manifest too."""
    try:
        return "package" in read_json(folder / MANIFEST, CircuitError)
    except CircuitError:
        return False


def _json(content: Mapping[str, Any]) -> str:
    """A line for every key, and for every entry of what is a table under it."""
    blocks = [f" {json.dumps(key)}: {_block(value)}" for key, value in content.items()]
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def _block(value: Any) -> str:
    write = json.JSONEncoder(allow_nan=False).encode
    if isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"  {write(key)}: {write(entry)}" for key, entry in value.items()) + "\n }"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"  {write(entry)}" for entry in value) + "\n ]"
    return write(value)
