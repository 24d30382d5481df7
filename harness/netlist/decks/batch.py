"""A batch with all its phases as one flat ``.dc`` sweep of a reduced network.

The swept source ``vidx`` counts points: point D·s + d is sample s in phase d, so that a nudged phase starts from its
own free phase. Tables are ``pwl`` functions whose right-hand slope at a knot is what ngspice linearizes with:
stepping up by one point, the first Newton iteration already sees the new sample's exact currents. That must survive
the phases of one sample sharing one table: v(smp) = (v(idx) − v(phase)) / D is linear in two tables of that kind.

A junction that conducted for the last sample and blocks for the next lets go by N V_T per iteration only. Where an
estimate of the voltages is at hand, a point of its own (d = 0) therefore holds every junction's nodes by a conductance
that is switched off again for the phases themselves: their equations do not contain it, and a wrong estimate costs
iterations only. Three habits of ngspice make it worth most when the nodes are held at x − (y − x), for estimates x and
y of the first two phases, and the held voltage goes on to x and y with the phases:

* the switch is linearized where the last point left it, so the first phase's first iteration is still held, at x;
* a junction begins each point where the last two points lead to in a straight line: the second phase begins at y;
* switched on again where the last phase has left the node, the conductance carries nothing.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from harness.circuit import Network, Phase, SettlingJob
from harness.circuit.primitives import Model
from harness.devices import DiodeModel
from harness.measurement import Array, Index
from harness.netlist.dialects.spice import named
from harness.netlist.tolerances import Tolerances, options
from harness.units import spice_number

Integers = npt.NDArray[np.int64]
_Card = tuple[str, Mapping[str, float]]
"""SPICE's type of model, and its parameters."""
SOURCE = "vidx"
STEP = 1000
"""V of the swept source from point to point. Large, so that slopes of tables against it are small beside the clock's
own equations: ngspice then finds its pivots at once."""
_NEGLIGIBLE = 1e-15  # of a node's own conductance: rounding of the reduction, not a connection
_HOLD = 1e8  # of the largest conductance of a node
_CACHED = 40_000  # matrix elements of some 50 bytes that a core's cache holds
_FINE = 1e-7  # unit of the tables that hold: an estimate needs no more


def batch_lines(settling: SettlingJob, tolerances: Tolerances, *, estimate: Array | None = None) -> list[str]:
    """The deck's lines; unknown k of the network is called ``n<k>``.

    Args:
        settling: network, samples and phases, all of which are clamped or none, and all small-signal or none.
        tolerances: when ngspice takes a point for settled.
        estimate: of the unknowns, V, ``[batch, phases, n]``; every sample then begins with a held point.
    """
    network, phases = settling.network, settling.phases
    table = _Tables(len(settling), len(phases), held=estimate is not None)
    terminals, rails = _rails(network, phases, table)
    return [
        "* reduced network: one point per sample and phase",
        options(tolerances),
        *_devices(network, phases, terminals, table),
        *_clock(table),
        *rails,
        *conductance_lines(network.conductance),
        *_sources(network, phases, table, estimate),
        *_nudges(network, phases, terminals, table, estimate),
        *_saves(network.size),
        ".end",
    ]


def node_name(k: int) -> str:
    """Return the deck's name of unknown k."""
    return f"n{k}"


class _Tables:
    """Writes values per sample, or per sample and phase, as functions of the sweep's position."""

    def __init__(self, samples: int, phases: int, *, held: bool) -> None:
        self.samples, self.held = samples, held
        self.points = phases + held
        """Points per sample."""
        self.by_sample = _template(samples, "smp" if self.points > 1 else "idx")
        self._by_point = _template(samples * self.points, "idx")

    def __call__(self, per_phase: Sequence[Array]) -> list[str]:
        """One expression for each column of values ``[samples, columns]``, given for each phase."""
        first = per_phase[0]
        if all(values is first or np.array_equal(values, first) for values in per_phase):
            return _filled(self.by_sample, first)
        return self.by_point(per_phase, first)

    def by_point(self, per_phase: Sequence[Array], when_held: Array) -> list[str]:
        """Return the same expressions, with a knot at every point even where phases share their values."""
        points = [when_held, *per_phase] if self.held else per_phase
        return _filled(self._by_point, np.stack(points, axis=1).reshape(-1, when_held.shape[1]))

    def clock(self, per_phase: Sequence[float], when_held: float) -> str:
        """An expression for one value per phase."""
        everywhere = np.ones((self.samples, 1))
        return self.by_point([value * everywhere for value in per_phase], when_held * everywhere)[0]


def _template(knots: int, axis: str) -> str:
    return f"pwl(v({axis}),{','.join(f'{STEP * knot},%r' for knot in range(knots))})"


def _filled(template: str, values: Array | Integers) -> list[str]:
    """The template with each column's values; their number where they are all the same."""
    constant = (values == values[0]).all(axis=0).tolist()
    columns = (values.T + 0).tolist()  # a negative zero is a zero; all are finite: drives were checked on their way in
    pairs = zip(columns, constant, strict=True)
    return [repr(column[0]) if same else template % tuple(column) for column, same in pairs]


def _clock(table: _Tables) -> list[str]:
    if table.points == 1:
        return [f"{SOURCE} idx 0 0"]
    phase = table.clock([float(STEP * d) for d in range(table.held, table.points)], 0.0)
    return [f"{SOURCE} idx 0 0", f"bphase phase 0 v={phase}", f"bsmp smp 0 v=(v(idx)-v(phase))/{table.points}"]


def _devices(network: Network, phases: Sequence[Phase], terminals: Sequence[str], table: _Tables) -> list[str]:
    """The devices or, in small-signal phases, what each of their branches conducts in each sample."""
    slopes = [phase.slopes for phase in phases if phase.slopes is not None]
    if not slopes:
        return device_lines(network, terminals)
    lines = []
    for k, (slope, *ends) in enumerate(zip(table(slopes), *network.topology.branches, strict=True)):
        first, second, above, below = (terminals[end] for end in ends)
        lines.append(f"bd{k} {first} {second} i=({slope})*{_across(above, below)}")
    return lines


def device_lines(network: Network, terminals: Sequence[str]) -> list[str]:
    """Models and devices, between terminals given by name."""
    diodes = network.topology.diodes
    values = zip(diodes.saturation.tolist(), diodes.emission.tolist(), strict=True)
    cards: list[_Card] = [("d", {"is": current, "n": emission}) for current, emission in values]
    lines = _lines_of(DiodeModel, np.column_stack([diodes.anode, diodes.cathode]), cards, terminals)
    for devices in network.topology.others:
        cards = [model.card(unit) for model, unit in zip(devices.models, devices.units, strict=True)]
        lines += _lines_of(type(devices.models[0]), devices.pins, cards, terminals)
    return lines


def _lines_of(kind: type[Model], pins: Index, cards: Sequence[_Card], terminals: Sequence[str]) -> list[str]:
    """Models and devices of one kind."""
    models: dict[tuple[str, *tuple[float, ...]], str] = {}
    lines, instance = [], named(kind.instance)
    for k, (ends, (title, parameters)) in enumerate(zip(pins.tolist(), cards, strict=True)):
        model = models.setdefault((title, *parameters.values()), f"{kind.letter}m{len(models)}")
        nets = " ".join(terminals[end] for end in ends)
        lines.append(f"{kind.letter}{k} {nets} {model} {instance}".rstrip())
    names = list(cards[0][1]) if cards else []
    shown = ((name, title, dict(zip(names, values, strict=True))) for (title, *values), name in models.items())
    return [f".model {name} {title}({named(parameters)})" for name, title, parameters in shown] + lines


def _rails(network: Network, phases: Sequence[Phase], table: _Tables) -> tuple[list[str], list[str]]:
    """Return the names of all terminals, and the lines of the sources that hold the rails."""
    names, lines = [node_name(k) for k in range(network.size)], []
    for k, value in enumerate(table([phase.rails for phase in phases])):
        names.append("0" if value == "0.0" else f"rail{k}")
        if value.startswith("pwl"):
            lines.append(f"brail{k} rail{k} 0 v={value}")
        elif value != "0.0":
            lines.append(f"vrail{k} rail{k} 0 {value}")
    return names, lines


def conductance_lines(matrix: Array) -> list[str]:
    """A resistor for each conductance of a matrix (S, ``[n, n]``), to ground and between unknowns.

    Where they are so many that the matrix does not fit into a core's cache, each is written as two transconductances,
    column by column: Sparse 1.3 walks down columns in linked lists, whose elements lie in memory in the order in which
    they appeared. That halves the factoring of 2 × 256 nodes; the equations are the same. Circuits that are not
    reciprocal, or have transformers, have no resistors for their matrix and are written in the same way.
    """
    floor = _NEGLIGIBLE * np.abs(np.diagonal(matrix))
    joined = np.abs(matrix) > np.maximum(floor[:, None], floor)
    np.fill_diagonal(joined, False)
    resistive = not (matrix[joined] > 0).any() and np.array_equal(matrix, matrix.T)
    if not resistive or np.count_nonzero(joined) > _CACHED:
        columns, rows = np.nonzero(joined.T)
        entries = zip(rows.tolist(), columns.tolist(), matrix[rows, columns].tolist(), strict=True)
        own = [f"rg{k} n{k} 0 {1 / g!r}" for k, g in enumerate(np.diagonal(matrix).tolist()) if g]
        return own + [f"g{a}_{b} n{a} 0 n{b} 0 {g!r}" for a, b, g in entries]
    to_ground = matrix.sum(axis=1)
    lines = [f"rg{k} n{k} 0 {1 / g!r}" for k, g in enumerate(to_ground.tolist()) if g > floor[k]]
    rows, columns = np.nonzero(np.triu(joined, k=1))
    if not len(rows):
        return lines
    ohms = (-1 / matrix[rows, columns]).tolist()
    return lines + (_resistors(rows.tobytes(), columns.tobytes()) % tuple(ohms)).split("\n")


@lru_cache(maxsize=4)
def _resistors(rows: bytes, columns: bytes) -> str:
    """Resistors between the unknowns of each row and column, their ohms left open; patterns seldom change."""
    pairs = zip(*(np.frombuffer(ends, np.intp).tolist() for ends in (rows, columns)), strict=True)
    return "\n".join(f"r{a}_{b} n{a} n{b} %r" for a, b in pairs)


def _sources(network: Network, phases: Sequence[Phase], table: _Tables, estimate: Array | None) -> list[str]:
    """Return the lines of currents into every unknown and, given an estimate, of what holds junctions' nodes at it."""
    lines, holds = ([], {}) if estimate is None else _holds(network, estimate, table)
    for k, value in enumerate(table([phase.currents for phase in phases])):
        if value.startswith("pwl") or k in holds:
            lines.append(f"b{k} 0 {node_name(k)} i={value}{holds.get(k, '')}")
        elif value != "0.0":
            lines.append(f"i{k} 0 {node_name(k)} {value}")
    return lines


def _holds(network: Network, estimate: Array, table: _Tables) -> tuple[list[str], dict[int, str]]:
    """The switch, and for each junction's node the current that holds it while v(hold) is on.

    Half of the strength lies in the switch and half in the factor: else ngspice finds no good pivots and orders the
    matrix slowly. Tables stand behind a condition, so that they are not looked up where the switch is off.
    """
    half = math.sqrt(_HOLD * float(np.diagonal(network.conductance).max()))
    phases = estimate.shape[1]
    lines = [f"bhold hold 0 v={table.clock([0.0] * phases, half)}"]
    ends = np.unique(np.concatenate([network.topology.diodes.anode, network.topology.diodes.cathode]))
    ends = ends[ends < network.size]
    first = estimate[:, 0, ends]
    targets = _filled(table.by_sample, _fine(half * first))
    if phases > 1:
        moved = estimate[:, :, ends] - first[:, None]
        along = np.einsum("bpn,bn->p", moved, moved[:, 1]) / max(np.sum(moved[:, 1] ** 2), np.finfo(float).tiny)
        lines.append(f"blean lean 0 v={table.clock(along.tolist(), -1.0)}")
        leans = _filled(table.by_sample, _fine(half * moved[:, 1]))
        targets = [f"{target}+v(lean)*{lean}" for target, lean in zip(targets, leans, strict=True)]
    unit, pull = spice_number(_FINE), spice_number(half)
    pairs = zip(ends.tolist(), targets, strict=True)
    held = "+((v(hold) > {0}/2) ? v(hold)*({1}*({2})-{0}*v({3})) : 0)"
    return lines, {k: held.format(pull, unit, target, node_name(k)) for k, target in pairs}


def _fine(values: Array) -> Integers:
    """Return values in units of `_FINE`: whole numbers are written and read in half the time."""
    return np.rint(values / _FINE).astype(np.int64)


def _nudges(
    network: Network, phases: Sequence[Phase], terminals: Sequence[str], table: _Tables, estimate: Array | None
) -> list[str]:
    """Return the lines at each output: a table of pushed currents, less β (v⁺ − v⁻) where a spring pulls.

    The factor v(nudge) is β over its largest value, so that it is of the order of 1 V. With an estimate w of v⁺ − v⁻,
    the spring pulls with β w from the table and with β (v⁺ − v⁻ − w) besides, which is nothing when it is switched on.
    """
    clamped = [phase.clamped for phase in phases if phase.clamped is not None]
    if clamped:
        pins = zip(network.topology.plus, network.topology.minus, table(clamped), strict=True)
        return [f"by{k} {terminals[plus]} {terminals[minus]} v={volts}" for k, (plus, minus, volts) in enumerate(pins)]
    betas = [phase.spring for phase in phases]
    largest = max(map(abs, betas))
    if not largest and not any(phase.pushed.any() for phase in phases):
        return []
    drops = _drops(network, phases, estimate)
    pushes = [phase.pushed - phase.spring * drop for phase, drop in zip(phases, drops, strict=True)]
    pushed = table.by_point(pushes, np.zeros_like(pushes[0]))
    lines, pulls = [], [""] * len(pushed)
    if largest:
        lines.append(f"bnudge nudge 0 v={table.clock([beta / largest for beta in betas], 0.0)}")
        pull = f"-{spice_number(largest)}*v(nudge)*"
        across = [
            _across(terminals[plus], terminals[minus])
            for plus, minus in zip(network.topology.plus, network.topology.minus, strict=True)
        ]
        if estimate is not None:
            expected = table.by_point(drops, drops[0])
            across = [f"({drop}-{known})" for drop, known in zip(across, expected, strict=True)]
        pulls = [pull + drop for drop in across]
    for k, (plus, minus) in enumerate(zip(network.topology.plus, network.topology.minus, strict=True)):
        lines.append(f"by{k} {terminals[minus]} {terminals[plus]} i={pushed[k]}{pulls[k]}")
    return lines


def _across(plus: str, minus: str) -> str:
    """The voltage from one terminal to another, either of which may be ground."""
    if plus == "0":
        return f"(-v({minus}))"
    return f"v({plus})" if minus == "0" else f"(v({plus})-v({minus}))"


def _drops(network: Network, phases: Sequence[Phase], estimate: Array | None) -> list[Array]:
    """Return the expected v⁺ − v⁻ of every output in each phase, V, ``[batch, outputs]``; zero without estimate."""
    if estimate is None:
        return [np.zeros_like(phase.pushed) for phase in phases]
    terminals = [np.concatenate([estimate[:, k], phase.rails], axis=1) for k, phase in enumerate(phases)]
    return [volts[:, network.topology.plus] - volts[:, network.topology.minus] for volts in terminals]


def _saves(size: int) -> list[str]:
    names = [f"v({node_name(k)})" for k in range(size)]
    return [f".save {' '.join(names[k : k + 20])}" for k in range(0, size, 20)]
