"""A batch with all its phases as one flat ``.dc`` sweep of a reduced network that stays loaded.

Point D·s + d is sample s in phase d, so that a nudged phase starts from its own free phase. The netlist holds no number
that changes from step to step: ngspice fetches currents, rails and nudges of each point from a table, and conductances
are transconductances whose gains are set before a sweep (`harness.netlist.decks.loaded`).

A junction that conducted for the last sample and blocks for the next lets go by N V_T per iteration only. Where an
estimate of the voltages is at hand, the first iteration of each point sees currents that lead it there
(`harness.netlist.decks.leading`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from harness.circuit import Network, Phase, SettlingJob, Topology
from harness.circuit.primitives import Model
from harness.circuit.reduction.settling import Logical
from harness.devices import DiodeModel
from harness.measurement import Array, Index
from harness.netlist.decks.leading import leads
from harness.netlist.decks.loaded import SOURCE, LoadedCircuit, Table
from harness.netlist.dialects.spice import named
from harness.netlist.tolerances import Tolerances, options
from harness.units import spice_number

_Card = tuple[str, Mapping[str, float]]
"""SPICE's type of model, and its parameters."""
_NEGLIGIBLE = 1e-15  # of a node's own conductance: rounding of the reduction, not a connection
_CACHED = 40_000  # matrix elements of some 50 bytes that a core's cache holds
_SLOPE = 1e-6
"""S per volt of the sources that give the slopes of small-signal phases."""


@dataclass(frozen=True)
class _Form:
    """All that a netlist depends on; equal forms have the same netlist."""

    signature: bytes
    """Signature of the topology, which itself is not compared."""
    topology: Topology = field(compare=False)
    joined: bytes
    """Pairs of unknowns that a conductance joins, ``[n, n]``."""
    symmetric: bool
    rails: tuple[float | None, ...]
    """V of each rail; None where it changes."""
    spring: float
    """S, largest strength of the springs; 0 where there are none."""
    clamped: bool
    small_signal: bool
    led: bool
    """True where first iterations see currents that lead them to an estimate."""
    tolerances: Tolerances


def batch_sweep(
    settling: SettlingJob, tolerances: Tolerances, *, estimate: Array | None = None
) -> tuple[LoadedCircuit, Array, Table]:
    """Return the circuit, its gains (S) and the table of a batch; unknown k of the network is called ``n<k>``.

    Args:
        settling: network, samples and phases, all of which are clamped or none, and all small-signal or none.
        tolerances: when ngspice takes a point for settled.
        estimate: of the unknowns, V, ``[batch, phases, n]``; the first iterations are led there. It takes diodes alone.
    """
    network, phases = settling.network, settling.phases
    pattern = _pattern(network)
    lead = None if estimate is None else leads(settling, estimate)
    form = _Form(
        network.topology.signature,
        network.topology,
        pattern.joined,
        pattern.symmetric,
        _constant_rails(phases),
        max(abs(phase.spring) for phase in phases),
        phases[0].clamped is not None,
        phases[0].slopes is not None,
        lead is not None,
        tolerances,
    )
    circuit, columns = _circuit(form)
    return circuit, pattern.gains(network.conductance), _table(form, columns, phases, lead)


def node_name(k: int) -> str:
    """Return the deck's name of unknown k."""
    return f"n{k}"


@lru_cache(maxsize=8)
def _circuit(form: _Form) -> tuple[LoadedCircuit, "_Columns"]:
    """Write the netlist; returns it with the columns of its table.

    The factor v(nudge) of springs is β over its largest value: else ngspice finds no good pivots and orders the matrix
    slowly. Where first iterations are led, v(start) is 1 V in them, and 0 V in all others.
    """
    topology = form.topology
    joined = np.frombuffer(form.joined, bool).reshape(topology.size, topology.size)
    pattern = _Pattern(joined, symmetric=form.symmetric)
    columns = _Columns(form)
    terminals = [*map(node_name, range(topology.size))]
    rails = []
    for k, volts in enumerate(form.rails):
        terminals.append("0" if volts == 0 else f"rail{k}")
        if volts is None:
            rails.append(f"v{columns.rails[k]} rail{k} 0 external")
        elif volts:
            rails.append(f"vrail{k} rail{k} 0 {spice_number(volts)}")
    lines = [
        "* reduced network: one point per sample and phase",
        options(form.tolerances),
        *(_slopes(topology, terminals, columns) if form.small_signal else device_lines(topology, terminals)),
        f"{SOURCE} point 0 0",
        *rails,
        *(f"{line} 1" for line in pattern.lines),
        *(f"i{k} 0 {node_name(k)} external" for k in range(topology.size)),
        *([f"i{columns.start} 0 start external", "rstart start 0 1"] if form.led else []),
        *_nudges(form, terminals, columns),
        *_saves(topology.size),
        ".end",
    ]
    return LoadedCircuit(tuple(lines), pattern.names, tuple(map(node_name, range(topology.size)))), columns


class _Columns:
    """Columns of the table: currents of the unknowns first, then those of other sources, by their kind."""

    def __init__(self, form: _Form) -> None:
        topology, self.count = form.topology, form.topology.size
        self.rails = {k: self._next() for k, volts in enumerate(form.rails) if volts is None}
        self.nudge = self._next() if form.spring else -1
        self.start = self._next() if form.led else -1
        self.clamps = [self._next() for _ in topology.plus] if form.clamped else []
        self.slopes = [self._next() for _ in topology.branches[0]] if form.small_signal else []

    def _next(self) -> int:
        self.count += 1
        return self.count - 1


class _Pattern:
    """Pairs of unknowns that conductances join, and the transconductances that stand for them.

    A symmetric matrix has a conductance to ground and between unknowns. Any other has an entry each, column by column,
    and so has a matrix that does not fit into a core's cache: Sparse 1.3 walks down columns in linked lists, whose
    elements lie in memory in the order in which they appeared. That halves the factoring of 2 × 256 nodes.
    """

    def __init__(self, joined: Logical, *, symmetric: bool) -> None:
        """`joined`, ``[n, n]``, has nothing on its diagonal."""
        self.joined, self.symmetric = joined.tobytes(), symmetric and int(np.count_nonzero(joined)) <= _CACHED
        own = [(f"gg{k}", f"n{k} 0 n{k} 0") for k in range(len(joined))]
        if self.symmetric:
            rows, columns = np.nonzero(np.triu(joined))
        else:
            columns, rows = np.nonzero(joined.T)
        self._places = rows * len(joined) + columns
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        nodes = "n{0} n{1} n{0} n{1}" if self.symmetric else "n{0} 0 n{1} 0"
        found = own + [(f"g{a}_{b}", nodes.format(a, b)) for a, b in pairs]
        self.names = tuple(name for name, _ in found)
        self.lines = tuple(f"{name} {ends}" for name, ends in found)
        """Lines of the transconductances, without their gain."""
        barred = ~joined
        np.fill_diagonal(barred, False)
        self._unjoined = np.flatnonzero(barred)

    def fits(self, matrix: Array) -> bool:
        """Return whether the matrix joins nothing else, but for rounding."""
        if not matrix.take(self._unjoined).any():
            return True
        return not _significant(matrix).take(self._unjoined).any()

    def gains(self, matrix: Array) -> Array:
        """Return the gains of a matrix (S)."""
        own, between = matrix.diagonal(), matrix.take(self._places)
        if not self.symmetric:
            return np.concatenate([own, between])
        to_ground = matrix.sum(axis=1)
        to_ground[np.abs(to_ground) <= _NEGLIGIBLE * np.abs(own)] = 0.0
        return np.concatenate([to_ground, -between])


def _pattern(network: Network) -> _Pattern:
    """Return the pattern of the network's topology, or of its own conductances where they join more."""
    matrix = network.conductance
    pattern = _topological(network.topology, network.symmetric)
    if pattern.fits(matrix):
        return pattern
    return _Pattern(_off_diagonal(network.topology.joined) | _significant(matrix), symmetric=network.symmetric)


@lru_cache(maxsize=8)
def _topological(topology: Topology, symmetric: bool) -> _Pattern:
    return _Pattern(_off_diagonal(topology.joined), symmetric=symmetric)


def _significant(matrix: Array) -> Logical:
    """Return where a matrix has more than rounding, off its diagonal, ``[n, n]``."""
    floor = _NEGLIGIBLE * np.abs(np.diagonal(matrix))
    return _off_diagonal(np.abs(matrix) > np.maximum(floor[:, None], floor))


def _off_diagonal(joined: Logical) -> Logical:
    return joined & ~np.eye(len(joined), dtype=bool)


def conductance_lines(matrix: Array) -> list[str]:
    """Transconductances for a matrix (S, ``[n, n]``), between unknowns and to ground."""
    pattern = _Pattern(_off_diagonal(matrix != 0), symmetric=np.array_equal(matrix, matrix.T))
    gains = pattern.gains(matrix).tolist()
    return [f"{line} {gain!r}" for line, gain in zip(pattern.lines, gains, strict=True) if gain]


def _constant_rails(phases: Sequence[Phase]) -> tuple[float | None, ...]:
    first, (one, *others) = phases[0].rails[0], {id(phase.rails): phase.rails for phase in phases}.values()
    steady = (one == first).all(axis=0)
    for rails in others:
        steady &= (rails == first).all(axis=0)
    pairs = zip(steady.tolist(), (first + 0.0).tolist(), strict=True)  # a negative zero is a zero
    return tuple(volts if constant else None for constant, volts in pairs)


def _nudges(form: _Form, terminals: Sequence[str], columns: _Columns) -> list[str]:
    """Return the lines at each output: a source that clamps it, or a spring of β v(nudge) without its target."""
    pins = [
        (terminals[plus], terminals[minus]) for plus, minus in zip(form.topology.plus, form.topology.minus, strict=True)
    ]
    if form.clamped:
        return [
            f"v{column} {plus} {minus} external" for column, (plus, minus) in zip(columns.clamps, pins, strict=True)
        ]
    if not form.spring:
        return []
    beta = spice_number(form.spring)
    springs = [f"by{k} {plus} {minus} i={beta}*v(nudge)*{_across(plus, minus)}" for k, (plus, minus) in enumerate(pins)]
    return [f"v{columns.nudge} nudge 0 external", *springs]


def _slopes(topology: Topology, terminals: Sequence[str], columns: _Columns) -> list[str]:
    """Return the conductances that stand for the branches of devices in small-signal phases."""
    lines = []
    for k, (column, *ends) in enumerate(zip(columns.slopes, *topology.branches, strict=True)):
        first, second, above, below = (terminals[end] for end in ends)
        lines.append(f"v{column} slope{k} 0 external")
        lines.append(f"bd{k} {first} {second} i={spice_number(_SLOPE)}*v(slope{k})*{_across(above, below)}")
    return lines


def _across(plus: str, minus: str) -> str:
    """The voltage from one terminal to another, either of which may be ground."""
    if plus == "0":
        return f"(-v({minus}))"
    return f"v({plus})" if minus == "0" else f"(v({plus})-v({minus}))"


def _saves(size: int) -> list[str]:
    names = [f"v({node_name(k)})" for k in range(size)]
    return [f".save {' '.join(names[k : k + 20])}" for k in range(0, size, 20)]


def _table(form: _Form, columns: _Columns, phases: Sequence[Phase], lead: Array | None) -> Table:
    """Return the values of all external sources at every point."""
    topology = form.topology
    then = np.zeros((len(phases[0].currents), len(phases), columns.count))
    drops = topology.drops[0]
    for d, phase in enumerate(phases):
        np.add(phase.currents, phase.pushed @ drops, out=then[:, d, : topology.size])
        for k, column in columns.rails.items():
            then[:, d, column] = phase.rails[:, k]
        if form.spring:
            then[:, d, columns.nudge] = phase.spring / form.spring
        if phase.clamped is not None:
            then[:, d, columns.clamps] = phase.clamped
        if phase.slopes is not None:
            then[:, d, columns.slopes] = phase.slopes / _SLOPE
    rows = then.reshape(-1, columns.count)
    if lead is None:
        return Table(rows, rows)
    first = rows.copy()
    first[:, : topology.size] += lead
    first[:, columns.start] = 1.0
    return Table(first, rows)


def device_lines(topology: Topology, terminals: Sequence[str]) -> list[str]:
    """Models and devices, between terminals given by name."""
    diodes = topology.diodes
    values = zip(diodes.saturation.tolist(), diodes.emission.tolist(), strict=True)
    cards: list[_Card] = [("d", {"is": current, "n": emission}) for current, emission in values]
    lines = _lines_of(DiodeModel, np.column_stack([diodes.anode, diodes.cathode]), cards, terminals)
    count = len(cards)
    for devices in topology.others:
        cards = [model.card(unit) for model, unit in zip(devices.models, devices.units, strict=True)]
        lines += _lines_of(type(devices.models[0]), devices.pins, cards, terminals, count)
        count += len(cards)
    return lines


def _lines_of(
    kind: type[Model], pins: Index, cards: Sequence[_Card], terminals: Sequence[str], begin: int = 0
) -> list[str]:
    """Models and devices of one kind, with numbers from `begin` on: kinds may share a letter."""
    models: dict[tuple[str, *tuple[float, ...]], str] = {}
    lines, instance = [], named(kind.instance)
    for k, (ends, (title, parameters)) in enumerate(zip(pins.tolist(), cards, strict=True)):
        model = models.setdefault((title, *parameters.values()), f"{kind.letter}m{begin + len(models)}")
        nets = " ".join(terminals[end] for end in ends)
        lines.append(f"{kind.letter}{begin + k} {nets} {model} {instance}".rstrip())
    names = list(cards[0][1]) if cards else []
    shown = ((name, title, dict(zip(names, values, strict=True))) for (title, *values), name in models.items())
    return [f".model {name} {title}({named(parameters)})" for name, title, parameters in shown] + lines
