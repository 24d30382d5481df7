"""Expected results of a package: the files that its manifest lists, and the voltages of its ``expected.csv``."""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.circuit import GROUND
from harness.errors import NetlistError
from harness.files.reading import JsonObject, read_bytes
from harness.measurement import Array
from harness.netlist.dialects import Dialect, Phase
from harness.netlist.package.manifest import EXPECTED, MANIFEST, MAP
from harness.netlist.reading.statements import FILE_LIMIT, is_own, text_of

_PLAIN = re.compile(r"[A-Za-z0-9_.\-]{1,200}")
_LONGEST_HOLD = 1.0  # s
_HEAD = "sample,phase,node,volts"


@dataclass(frozen=True)
class Inventory:
    """A package's folder against its manifest; names of files."""

    changed: tuple[str, ...]
    """Listed, and not as they were exported."""
    missing: tuple[str, ...]
    """Listed, and not there."""
    unlisted: tuple[str, ...]
    """There, and no part of the package, such as what a simulator wrote."""


@dataclass(frozen=True, eq=False)
class ExpectedResults:
    """A package's ``expected.csv``, its samples and outputs."""

    samples: tuple[str, ...]
    """Numbers of the held-out rows."""
    nodes: tuple[str, ...]
    volts: Mapping[Phase, Array]
    """V, ``[samples, nodes]``."""
    outputs: tuple[tuple[str, str], ...]
    """Plus and minus of each."""
    times: tuple[float, ...]
    """s at which each sample is read."""


def inventory(folder: Path, manifest: JsonObject, dialect: Dialect) -> Inventory:
    """Compare a package's files with the SHA-256 that its manifest has of them.

    Raises:
        NetlistError: the manifest lists no files, not all that a package of this dialect is made of, or one that is
            not in the folder itself; or a file is too large.
    """
    files = manifest.get("files")
    if not isinstance(files, dict) or not files:
        raise NetlistError(f"package {folder}: its {MANIFEST} lists no files")
    for name in files:
        if not _PLAIN.fullmatch(name) or name in {".", "..", MANIFEST}:
            raise NetlistError(
                f"package {folder}: its {MANIFEST} lists {name[:60]!r}, which is no file in the package's own folder; "
                "nothing else is opened"
            )
    if forgotten := [name for name in _parts(dialect) if name not in files]:
        raise NetlistError(f"package {folder}: its {MANIFEST} does not list {forgotten[0]}")
    here = {path.name for path in folder.iterdir()} - {MANIFEST}
    missing = sorted(files.keys() - here)
    changed = [name for name in sorted(files.keys() & here) if _hash(folder, name) != files[name]]
    unlisted = sorted(name if name.isprintable() else ascii(name) for name in here - files.keys())
    return Inventory(tuple(changed), tuple(missing), tuple(unlisted))


def _parts(dialect: Dialect) -> Iterator[str]:
    """Return the names of the files that a proof needs."""
    stems = ["network", "flat"]
    if dialect.has_testbench:
        stems += ["models", "parameters", *(f"testbench_{phase}" for phase in Phase)]
    yield from (f"{stem}.{dialect.suffix}" for stem in stems)
    yield MAP
    if dialect.has_testbench:
        yield EXPECTED


def _hash(folder: Path, file: str) -> str:
    """Return the SHA-256 of a file; it is empty where that is no plain file of the folder."""
    if not is_own(folder, file):
        return ""
    return hashlib.sha256(read_bytes(folder / file, NetlistError, most=FILE_LIMIT)).hexdigest()


def read_expected(folder: Path, manifest: JsonObject, mapped: JsonObject) -> ExpectedResults:
    """Return the voltages that a package expects for its manifest's samples.

    Raises:
        NetlistError: ``expected.csv`` is no table of a number for every sample, phase and node, or does not fit the
            manifest or the map; names file and line or key.
    """
    samples, times = _samples(manifest)
    found = _table(text_of(folder, EXPECTED), samples)
    nodes = tuple(dict.fromkeys(node for _, _, node in found))
    for key in ((sample, str(phase), node) for phase in Phase for sample in samples for node in nodes):
        if key not in found:
            raise NetlistError(
                f"{EXPECTED}: it has no line for {','.join(key)}; it must have every node for each of the samples "
                f"in {MANIFEST} in both phases"
            )
    volts = {p: np.array([[found[s, str(p), node] for node in nodes] for s in samples]) for p in Phase}
    return ExpectedResults(samples, nodes, volts, tuple(_outputs(mapped, nodes)), times)


def _samples(manifest: JsonObject) -> tuple[tuple[str, ...], tuple[float, ...]]:
    samples, times = manifest.get("samples"), manifest.get("read_at")
    if not isinstance(samples, list) or not samples or any(type(s) is not int or s < 0 for s in samples):
        raise NetlistError(f"{MANIFEST}: samples must be a list of numbers of rows")
    if len(set(samples)) < len(samples):
        raise NetlistError(f"{MANIFEST}: samples names a row twice")
    if not isinstance(times, list) or len(times) != len(samples):
        raise NetlistError(f"{MANIFEST}: read_at must be a list of {len(samples)} times in s, one for each of samples")
    if any(isinstance(t, bool) or not isinstance(t, (int, float)) for t in times) or not _regular(times):
        raise NetlistError(f"{MANIFEST}: read_at must be the middles, in s, of holds of one length from 0 s on")
    return tuple(map(str, samples)), tuple(map(float, times))


def _regular(times: Sequence[float]) -> bool:
    wanted = [times[0] * (2 * k + 1) for k in range(len(times))]
    return 0 < times[0] <= _LONGEST_HOLD and bool(np.allclose(times, wanted, rtol=1e-6, atol=0.0))


def _table(text: str, samples: Sequence[str]) -> dict[tuple[str, str, str], float]:
    """Return the voltages (V) by sample, phase and node."""
    lines = text.splitlines()
    if len(lines) < 2:
        raise NetlistError(f"{EXPECTED}: it is empty; it must have a line for every sample, phase and node")
    if lines[0] != _HEAD:
        raise NetlistError(f"{EXPECTED} line 1: {lines[0][:60]!r}, where {_HEAD!r} belongs")
    known = set(samples)
    found: dict[tuple[str, str, str], float] = {}
    for number, line in enumerate(lines[1:], start=2):
        match line.split(","):
            case [sample, ("free" | "nudged") as phase, node, volts] if node:
                key = (sample, phase, node)
            case _:
                raise NetlistError(f"{EXPECTED} line {number}: {line[:60]!r} is not {_HEAD}, with phase free or nudged")
        if sample not in known:
            raise NetlistError(f"{EXPECTED} line {number}: sample {sample!r} is none of the samples in {MANIFEST}")
        if key in found:
            raise NetlistError(f"{EXPECTED} line {number}: {','.join(key)} is there twice")
        found[key] = _volts(volts, number)
    return found


def _volts(text: str, line: int) -> float:
    try:
        volts = float(text)
    except ValueError:
        volts = math.nan
    if not math.isfinite(volts):
        raise NetlistError(f"{EXPECTED} line {line}: {text[:60]!r} is no finite number of volts")
    return volts


def _outputs(mapped: JsonObject, nodes: Sequence[str]) -> Iterator[tuple[str, str]]:
    known = {GROUND, *nodes}
    for k, output in enumerate(mapped["outputs"]):
        match output:
            case {"plus": str(plus), "minus": str(minus)} if {plus, minus} <= known:
                yield plus, minus
            case _:
                raise NetlistError(f"{MAP}: outputs[{k}] is not between nodes that {EXPECTED} has volts of")
    if not mapped["outputs"]:
        raise NetlistError(f"{MAP}: it has no outputs")
