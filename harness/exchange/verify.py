"""`harness verify`: a package is simulated again and compared with its expected results.

Equal means: no file that the manifest lists was changed since the export or is missing; both netlists, read back
statement by statement, agree with ``map.json`` and with each other bit for bit; testbenches measure samples when they
are read; and every simulator that read the package, under the conditions that its testbenches ask for, found each
voltage within `LIMIT` of ``expected.csv``, in both phases, with the same predictions in the free phase, where outputs
within `LIMIT` of each other tie. ngspice reads the hierarchical netlist and the flat one. Simulators work in processes
of their own, so that no package ends this one.

CDL has nothing to simulate, and a package no second record of its conductances: there, equal means that flat and
hierarchical netlists are the same, also to the layout tools that are there (`harness.exchange.lvs`). Files that the
manifest does not list are only named.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from harness.chip.ngspice.library import INSTALL
from harness.circuit import GROUND
from harness.devices.diode import TEMPERATURE
from harness.errors import NetlistError, NgspiceMissing, SimulatorError
from harness.exchange.lvs import TOOLS
from harness.exchange.simulators import NGSPICE, OTHERS, Deck, Simulator
from harness.files.reading import JsonObject
from harness.files.writing import remove_partial, write_atomic
from harness.measurement import Array
from harness.netlist.design.parts import flat_net
from harness.netlist.dialects import DIALECTS, RESISTORS, Dialect, Phase
from harness.netlist.hierarchy import check_hierarchy
from harness.netlist.package.manifest import MANIFEST, MAP, read_manifest
from harness.netlist.reading.conditions import read_conditions
from harness.netlist.reading.consistency import inconsistency, mistimed
from harness.netlist.reading.expected import ExpectedResults, Inventory, inventory, read_expected
from harness.netlist.reading.mapped import read_map
from harness.netlist.reading.reader import is_native
from harness.netlist.reading.statements import read_statements, text_of

_NET = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*")
LIMIT = 1e-6
"""V of difference from the expected voltages, all at the testbenches' tolerances."""


@dataclass(frozen=True)
class Difference:
    """One voltage of one sample."""

    sample: int
    """Number of the held-out row."""
    phase: str
    node: str
    found_v: float | None
    """None for what is no number."""
    expected_v: float

    def __str__(self) -> str:
        """Write both volts with as many decimals as it takes to see them differ."""
        place = f"{self.node}, row {self.sample}, {self.phase}"
        if self.found_v is None:
            return f"{place}: no number, expected {self.expected_v:.4f} V"
        apart = abs(self.found_v - self.expected_v)
        decimals = max(4, min(17, 2 - math.floor(math.log10(apart)))) if apart else 4
        return f"{place}: {self.found_v:.{decimals}f} V, expected {self.expected_v:.{decimals}f} V"


@dataclass(frozen=True)
class Witness:
    """The finding of one simulator or layout tool."""

    name: str
    version: str
    netlist: str
    """``network``, ``flat``, or ``flat against network``."""
    max_error_v: float | None = None
    predictions_equal: bool | None = None
    equal: bool | None = None
    """None where it could not read the package."""
    reason: str = ""
    """The reason why it could not, or the difference."""
    worst: Difference | None = None
    """The place of the largest error."""


@dataclass(frozen=True)
class Verdict:
    """The findings of all simulators and tools together."""

    equal: bool
    max_error_v: float | None
    """V; None for CDL."""
    predictions_equal: bool | None
    simulators: tuple[Witness, ...]
    agree: tuple[str, ...]
    """Simulators and tools that found all that they read equal."""
    unread: tuple[str, ...]
    """Those that could not read the package; they decide nothing."""
    changed: tuple[str, ...]
    """Files that are not as they were exported."""
    missing: tuple[str, ...]
    """Files that are gone; then nothing is simulated."""
    unlisted: tuple[str, ...]
    """Files that are no part of the package, such as what a simulator wrote; they decide nothing."""
    worst: Difference | None
    """The largest error of all simulators."""
    absent: tuple[str, ...]
    """Simulators that read this dialect and are not on this machine, with where they were looked for."""
    date: str


def verify(folder: Path) -> Verdict:
    """Prove a package; `record` writes the verdict into its manifest.

    Raises:
        NetlistError: a file asks for what no netlist may, or is missing or malformed; names file and line.
        CircuitError: the folder is no package.
        NgspiceMissing: ngspice cannot be loaded and the package has something to simulate.
    """
    remove_partial(folder / MANIFEST)
    manifest = read_manifest(folder)
    dialect = DIALECTS[manifest["dialect"]]
    if manifest.get("cells") != RESISTORS.name:
        raise NetlistError(
            f"package {folder}: its cells are {manifest.get('cells')}, whose conductances no line of the netlist says; "
            "export with --cells resistor what is to be verified"
        )
    files = inventory(folder, manifest, dialect)
    if files.missing:
        return _verdict(files, (), ())
    if dialect.has_testbench:
        return _verdict(files, *_simulated(folder, manifest, dialect))
    return _verdict(files, *_laid_out(folder, dialect))


def record(folder: Path, verdict: Verdict) -> None:
    """Write a verdict into a package's manifest, as ``verified``.

    Raises:
        OSError: the manifest cannot be written; names it.
    """
    content = json.dumps(read_manifest(folder) | {"verified": asdict(verdict)}, indent=1, allow_nan=False) + "\n"
    write_atomic(folder / MANIFEST, content.encode())


def _verdict(files: Inventory, witnesses: tuple[Witness, ...], absent: tuple[str, ...]) -> Verdict:
    heard = [w for w in witnesses if w.equal is not None]
    errors = [w.max_error_v for w in heard if w.max_error_v is not None]
    predictions = [w.predictions_equal for w in heard if w.predictions_equal is not None]
    findings: dict[str, list[bool | None]] = {}
    for witness in witnesses:
        findings.setdefault(witness.name, []).append(witness.equal)
    return Verdict(
        equal=not files.changed and not files.missing and bool(heard) and all(w.equal for w in heard),
        max_error_v=max(errors, default=None),
        predictions_equal=all(predictions) if predictions else None,
        simulators=witnesses,
        agree=tuple(name for name, found in findings.items() if all(found)),
        unread=tuple(name for name, found in findings.items() if None in found),
        changed=files.changed,
        missing=files.missing,
        unlisted=files.unlisted,
        worst=max((w.worst for w in heard if w.worst), key=_apart, default=None),
        absent=absent,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _apart(difference: Difference) -> float:
    """Return the distance in V, infinite for what is no number."""
    return math.inf if difference.found_v is None else abs(difference.found_v - difference.expected_v)


def _simulated(folder: Path, manifest: JsonObject, dialect: Dialect) -> tuple[tuple[Witness, ...], tuple[str, ...]]:
    version = NGSPICE.version()
    if version is None:
        raise NgspiceMissing(
            f"package {folder} cannot be verified: ngspice is not here (searched {NGSPICE.searched}); {INSTALL}"
        )
    mapped = read_map(folder)
    results = read_expected(folder, manifest, mapped)
    own = _own(inconsistency(folder, dialect) or mistimed(folder, dialect, results.times))
    witnesses = [
        _witness(NGSPICE, version, results, _decks(folder, dialect, results, mapped, flat=flat), flat=flat)
        for flat in (False, True)
    ]
    absent = []
    for simulator in OTHERS:
        if not simulator.reads(dialect):
            continue
        if (found := simulator.version()) is None:
            absent.append(f"{simulator.name} (searched {simulator.searched})")
            continue
        decks = _decks(folder, dialect, results, mapped, flat=False)
        witnesses.append(_witness(simulator, found, results, decks, flat=False))
    return (*witnesses, own), tuple(absent)


def _own(differs: str) -> Witness:
    """Return what `harness` itself found on reading both netlists."""
    return Witness("harness", "reader", "flat against network", equal=not differs, reason=differs)


def _decks(
    folder: Path, dialect: Dialect, results: ExpectedResults, mapped: JsonObject, *, flat: bool
) -> Iterator[Deck]:
    stands_for = {f"network.{dialect.suffix}": f"flat.{dialect.suffix}"} if flat else {}
    nets = tuple(_net(node, mapped, flat=flat) for node in results.nodes)
    for phase in Phase:
        file = f"testbench_{phase}.{dialect.suffix}"
        statements = tuple(read_statements(folder, file, native=is_native(dialect), stands_for=stands_for))
        check_hierarchy(statements)
        yield Deck(folder, dialect, phase, statements, nets, results.times, read_conditions(file, statements, dialect))


def _net(node: str, mapped: JsonObject, *, flat: bool) -> str:
    """Return the name that simulators give to a node of the circuit.

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


def _witness(
    simulator: Simulator, version: str, results: ExpectedResults, decks: Iterator[Deck], *, flat: bool
) -> Witness:
    netlist = "flat" if flat else "network"
    found, heat = [], ""
    for deck in decks:
        if deck.conditions.temperature != TEMPERATURE:
            heat = f" (simulated at {deck.conditions.temperature:g} °C, as the testbench asks)"
        try:
            found.append((deck.phase, simulator.volts(deck)))
        except SimulatorError as problem:
            refused = False if simulator is NGSPICE else None
            told = " / ".join(line.strip() for line in str(problem).splitlines()[:3])[:300]
            return Witness(simulator.name, version, netlist, equal=refused, reason=told)
    worst = max((_worst(results, phase, volts) for phase, volts in found), key=_apart)
    if worst.found_v is None:
        return Witness(simulator.name, version, netlist, equal=False, reason=str(worst), worst=worst)
    free = next(volts for phase, volts in found if phase is Phase.FREE)
    other = [sample for sample, same in zip(results.samples, _same_predictions(results, free), strict=True) if not same]
    error = _apart(worst)
    reason = f"{worst}{heat}" if error > LIMIT else f"predictions differ, first of row {other[0]}" if other else ""
    return Witness(simulator.name, version, netlist, error, not other, not reason, reason, worst)


def _worst(results: ExpectedResults, phase: Phase, volts: Array) -> Difference:
    """Return where volts (``[samples, nodes]``) are farthest from the expected ones; no number counts as farthest."""
    errors = np.abs(volts - results.volts[phase])
    sample, node = np.unravel_index(int(np.where(np.isfinite(errors), errors, np.inf).argmax()), errors.shape)
    found, expected = float(volts[sample, node]), float(results.volts[phase][sample, node])
    shown = found if math.isfinite(found) else None
    return Difference(int(results.samples[sample]), str(phase), results.nodes[node], shown, expected)


def _same_predictions(results: ExpectedResults, volts: Array) -> list[bool]:
    """Compare each sample's prediction, the largest output (or the sign of the only one), with the expected one.

    Outputs (or the only one and 0 V) that are expected within `LIMIT` of each other tie: either is right.
    """
    found, expected = (_outputs(results, v) for v in (volts, results.volts[Phase.FREE]))
    chosen = np.take_along_axis(expected, found.argmax(axis=1)[:, None], axis=1)[:, 0]
    return [bool(same) for same in chosen >= expected.max(axis=1) - LIMIT]


def _outputs(results: ExpectedResults, volts: Array) -> Array:
    """Return V that a prediction chooses between, ``[samples, choices]``: outputs, or 0 V and the only output."""
    column = {node: volts[:, k] for k, node in enumerate(results.nodes)} | {GROUND: np.zeros(len(volts))}
    outputs = [column[plus] - column[minus] for plus, minus in results.outputs]
    return np.column_stack(outputs if len(outputs) > 1 else [column[GROUND], *outputs])


def _laid_out(folder: Path, dialect: Dialect) -> tuple[tuple[Witness, ...], tuple[str, ...]]:
    """Compare flat and hierarchical CDL."""
    for stem in ("network", "flat"):
        check_hierarchy(read_statements(folder, f"{stem}.{dialect.suffix}"))
    own = _own(inconsistency(folder, dialect))
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
