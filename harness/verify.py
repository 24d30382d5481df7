"""`harness verify`: a package simulated again, by ngspice and by whatever else is there, and compared with its promise.

Equal means: no file was changed since the export, and every simulator that read the package found each voltage within
`LIMIT` of ``expected.csv``, in both phases, with the same predictions in the free phase. ngspice reads the hierarchical
netlist and the flat one. CDL has nothing to simulate: there, flat and hierarchical netlists are read back and their
conductances compared bit for bit, and layout tools that are there compare the two (`harness.lvs`).
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from harness.circuit import GROUND
from harness.errors import NetlistError, NgspiceMissing, SimulatorError
from harness.files import write_atomic
from harness.lvs import TOOLS
from harness.measurement import Array
from harness.netlist.dialects import DIALECTS, RESISTORS, Dialect, Phase
from harness.netlist.package import EXPECTED, MANIFEST, MAP, read_manifest
from harness.netlist.parts import flat_net
from harness.netlist.reader import is_native, read_circuit, read_map
from harness.netlist.statements import read_statements, text_of
from harness.simulators import NGSPICE, OTHERS, Deck, Simulator

_NET = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*")
LIMIT = 1e-6
"""V of difference from the expected voltages, all at the testbenches' tolerances."""


@dataclass(frozen=True)
class Witness:
    """What one simulator or layout tool found."""

    name: str
    version: str
    netlist: str
    """``network``, ``flat``, or ``flat against network``."""
    max_error_v: float | None = None
    predictions_equal: bool | None = None
    equal: bool | None = None
    """None where it could not read the package."""
    reason: str = ""
    """Why it could not, or what differs."""


@dataclass(frozen=True)
class Verdict:
    """What all of them found."""

    equal: bool
    max_error_v: float | None
    """V; None for CDL."""
    predictions_equal: bool | None
    simulators: tuple[Witness, ...]
    changed: tuple[str, ...]
    """Files that are not as they were exported."""
    absent: tuple[str, ...]
    """Simulators that read this dialect and are not on this machine, with where they were looked for."""
    date: str


@dataclass(frozen=True, eq=False)
class _Promise:
    """A package's ``expected.csv`` and ``map.json``."""

    nodes: tuple[str, ...]
    volts: Mapping[Phase, Array]
    """V, ``[samples, nodes]``."""
    outputs: tuple[tuple[str, str], ...]
    """Plus and minus of each."""
    times: tuple[float, ...]
    """s."""


def verify(folder: Path) -> Verdict:
    """Prove a package; the verdict goes into its manifest as ``verified``.

    Raises:
        NetlistError: a file asks for what no netlist may, or is missing or malformed; names file and line.
        CircuitError: the folder is no package.
        NgspiceMissing: ngspice cannot be loaded and the package has something to simulate.
    """
    manifest = read_manifest(folder)
    dialect = DIALECTS[manifest["dialect"]]
    if manifest.get("cells") != RESISTORS.name:
        raise NetlistError(
            f"package {folder}: its cells are {manifest.get('cells')}; {EXPECTED} is of resistors, so export "
            "with --cells resistor what is to be verified"
        )
    changed = tuple(_changed(folder, manifest))
    witnesses, absent = _simulated(folder, manifest, dialect) if dialect.has_testbench else _laid_out(folder, dialect)
    heard = [w for w in witnesses if w.equal is not None]
    errors = [w.max_error_v for w in heard if w.max_error_v is not None]
    predictions = [w.predictions_equal for w in heard if w.predictions_equal is not None]
    verdict = Verdict(
        equal=not changed and bool(heard) and all(w.equal for w in heard),
        max_error_v=max(errors, default=None),
        predictions_equal=all(predictions) if predictions else None,
        simulators=witnesses,
        changed=changed,
        absent=absent,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    content = json.dumps(manifest | {"verified": asdict(verdict)}, indent=1, allow_nan=False) + "\n"
    write_atomic(folder / MANIFEST, content.encode())
    return verdict


def _changed(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Files whose content is not what the manifest says, or that it does not know, or that are gone."""
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise NetlistError(f"package {folder}: its {MANIFEST} lists no files")
    here = {path.name for path in folder.iterdir()} - {MANIFEST}
    for name in sorted(here | files.keys()):
        path = folder / name
        known = name in files and path.parent == folder and path.is_file() and not path.is_symlink()
        if not known or hashlib.sha256(path.read_bytes()).hexdigest() != files[name]:
            yield name


def _simulated(
    folder: Path, manifest: Mapping[str, Any], dialect: Dialect
) -> tuple[tuple[Witness, ...], tuple[str, ...]]:
    version = NGSPICE.version()
    if version is None:
        raise NgspiceMissing(
            f"package {folder} cannot be verified: ngspice is not here (searched {NGSPICE.searched}); "
            "install it with 'sudo apt-get install libngspice0'"
        )
    promise, mapped = _promise(folder, manifest), read_map(folder)
    witnesses = [
        _witness(NGSPICE, version, promise, _decks(folder, dialect, promise, mapped, flat=flat), flat=flat)
        for flat in (False, True)
    ]
    absent = []
    for simulator in OTHERS:
        if not simulator.reads(dialect):
            continue
        if (found := simulator.version()) is None:
            absent.append(f"{simulator.name} (searched {simulator.searched})")
            continue
        decks = _decks(folder, dialect, promise, mapped, flat=False)
        witnesses.append(_witness(simulator, found, promise, decks, flat=False))
    return tuple(witnesses), tuple(absent)


def _decks(
    folder: Path, dialect: Dialect, promise: _Promise, mapped: Mapping[str, Any], *, flat: bool
) -> Iterator[Deck]:
    stands_for = {f"network.{dialect.suffix}": f"flat.{dialect.suffix}"} if flat else {}
    nets = tuple(_net(node, mapped, flat=flat) for node in promise.nodes)
    for phase in Phase:
        file = f"testbench_{phase}.{dialect.suffix}"
        statements = read_statements(folder, file, native=is_native(dialect), stands_for=stands_for)
        yield Deck(folder, dialect, phase, tuple(statements), nets, promise.times)


def _net(node: str, mapped: Mapping[str, Any], *, flat: bool) -> str:
    """What results call the voltage of a node of the circuit.

    Raises:
        NetlistError: the map does not have it, or calls it by what is no name.
    """
    try:
        path, instance, ports = mapped["nodes"][node], mapped["instance"], mapped["ports"]
        net = flat_net(tuple(path.split("."))) if flat else path
        found = net if instance is None or net in ports else f"{instance}.{net}"
    except (KeyError, TypeError, AttributeError) as error:
        raise NetlistError(f"{MAP}: it does not say where node {node!r} is") from error
    if not _NET.fullmatch(found):
        raise NetlistError(f"{MAP}: node {node!r} is at {found!r}, which is no net")
    return found


def _witness(simulator: Simulator, version: str, promise: _Promise, decks: Iterator[Deck], *, flat: bool) -> Witness:
    netlist = "flat" if flat else "network"
    error, predicted = 0.0, True
    for deck in decks:
        try:
            volts = simulator.volts(deck)
        except SimulatorError as problem:
            refused = False if simulator is NGSPICE else None
            return Witness(simulator.name, version, netlist, equal=refused, reason=_told(problem))
        expected = promise.volts[deck.phase]
        error = max(error, float(np.abs(volts - expected).max()))
        if deck.phase is Phase.FREE:
            predicted = _predictions(promise, volts) == _predictions(promise, expected)
    equal = error <= LIMIT and predicted
    reason = "" if equal else f"voltages differ by more than {LIMIT:g} V" if error > LIMIT else "predictions differ"
    return Witness(simulator.name, version, netlist, error, predicted, equal, reason)


def _told(problem: SimulatorError) -> str:
    return " / ".join(line.strip() for line in str(problem).splitlines()[:3])[:300]


def _predictions(promise: _Promise, volts: Array) -> list[int]:
    """The largest output's number, or whether the only output is above 0 V, for each sample."""
    column = {node: volts[:, k] for k, node in enumerate(promise.nodes)} | {GROUND: np.zeros(len(volts))}
    outputs = np.column_stack([column[plus] - column[minus] for plus, minus in promise.outputs])
    chosen = outputs.argmax(axis=1) if outputs.shape[1] > 1 else outputs[:, 0] > 0
    return [int(k) for k in chosen]


def _promise(folder: Path, manifest: Mapping[str, Any]) -> _Promise:
    rows = list(csv.reader(StringIO(text_of(folder, EXPECTED))))
    try:
        samples, times = [str(s) for s in manifest["samples"]], tuple(map(float, manifest["read_at"]))
        found = {(sample, phase, node): float(volts) for sample, phase, node, volts in rows[1:]}
        nodes = tuple(dict.fromkeys(node for _, _, node, _ in rows[1:]))
        volts = {p: np.array([[found[s, str(p), node] for node in nodes] for s in samples]) for p in Phase}
        outputs = tuple((output["plus"], output["minus"]) for output in read_map(folder)["outputs"])
    except (KeyError, TypeError, ValueError) as error:
        raise NetlistError(f"package {folder}: {EXPECTED} and {MANIFEST} do not fit each other ({error!r})") from error
    whole = rows[0] == ["sample", "phase", "node", "volts"] and len(times) == len(samples) > 0 and bool(nodes)
    if not whole or not all(np.isfinite(v).all() for v in volts.values()) or not _regular(times):
        raise NetlistError(f"package {folder}: {EXPECTED} and {MANIFEST} do not fit each other")
    return _Promise(nodes, volts, outputs, times)


def _regular(times: Sequence[float]) -> bool:
    """Whether these are the middles of holds of one length, from 0 s on."""
    wanted = [times[0] * (2 * k + 1) for k in range(len(times))]
    return times[0] > 0 and bool(np.allclose(times, wanted, rtol=1e-6, atol=0.0))


def _laid_out(folder: Path, dialect: Dialect) -> tuple[tuple[Witness, ...], tuple[str, ...]]:
    """CDL: flat against hierarchical."""
    hierarchical, flat = read_circuit(folder), read_circuit(folder, flat=True)
    same = all(map(np.array_equal, hierarchical.conductances, flat.conductances))
    own = Witness("harness", "reader", "flat against network", equal=same, reason="" if same else "conductances differ")
    network, one_cell = (text_of(folder, f"{stem}.{dialect.suffix}") for stem in ("network", "flat"))
    witnesses, absent = [own], []
    for tool in TOOLS:
        if (version := tool.version()) is None:
            absent.append(f"{tool.name} (searched {tool.searched})")
            continue
        try:
            difference = tool.difference(network, one_cell)
        except SimulatorError as problem:
            witnesses.append(Witness(tool.name, version, "flat against network", reason=str(problem)))
            continue
        witnesses.append(Witness(tool.name, version, "flat against network", equal=not difference, reason=difference))
    return tuple(witnesses), tuple(absent)
