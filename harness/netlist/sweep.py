"""A batch with all its phases as one flat ``.dc`` sweep of the reduced circuit.

The swept source ``vidx`` counts points: point D·s + d is sample s under drive d, so that a nudged phase starts from
its own free phase. Tables are ``pwl`` functions whose right-hand slope at a knot is what ngspice linearizes with:
stepping up by one point, the first Newton iteration already sees the new sample's exact currents. That must survive
the phases of one sample sharing one table: v(smp) = (v(idx) − v(phase)) / D is linear in two tables of that kind.
"""

from collections.abc import Sequence

import numpy as np

from harness.circuit import ReducedCircuit
from harness.measurement import Array, Drive, Injection, Spring
from harness.netlist.settings import Tolerances, options
from harness.units import spice_number

SOURCE = "vidx"
_NEGLIGIBLE = 1e-15  # of a node's own conductance: rounding of the reduction, not a connection


def sweep_lines(reduced: ReducedCircuit, drives: Sequence[Drive], tolerances: Tolerances, *, klu: bool) -> list[str]:
    """The deck's lines; node k of the reduced circuit is called ``n<k>``."""
    table = _Tables(len(drives), len(drives[0].inputs))
    terminals, rails = _rails(reduced, drives, table)
    return [
        "* reduced network: one point per sample and phase",
        options(tolerances, klu=klu),
        *_diodes(reduced, terminals),
        *_clock(len(drives), table),
        *rails,
        *_conductances(reduced),
        *_sources(reduced, drives, table),
        *_nudges(reduced, drives, terminals, table),
        *_saves(reduced.size),
        ".end",
    ]


def node_name(k: int) -> str:
    """The deck's name for unknown k."""
    return f"n{k}"


class _Tables:
    """Writes values per sample, or per sample and drive, as functions of the sweep's position."""

    def __init__(self, drives: int, samples: int) -> None:
        self.samples = samples
        self._by_sample = _template(samples, "smp" if drives > 1 else "idx")
        self._by_point = _template(samples * drives, "idx")

    def __call__(self, per_drive: Sequence[Array]) -> list[str]:
        """One expression for each column of values ``[samples, columns]``, given for each drive."""
        first = per_drive[0]
        if all(values is first or np.array_equal(values, first) for values in per_drive):
            return _filled(self._by_sample, first)
        return self.by_point(per_drive)

    def by_point(self, per_drive: Sequence[Array]) -> list[str]:
        """The same, with a knot at every point even where drives share their values."""
        columns = per_drive[0].shape[1]
        return _filled(self._by_point, np.stack(per_drive, axis=1).reshape(-1, columns))

    def clock(self, per_drive: Sequence[float]) -> str:
        """An expression for one value per drive."""
        return self.by_point([np.full((self.samples, 1), value) for value in per_drive])[0]


def _template(knots: int, axis: str) -> str:
    return f"pwl(v({axis}),{','.join(f'{knot},%r' for knot in range(knots))})"


def _filled(template: str, values: Array) -> list[str]:
    """The template with each column's values; their number where they are all the same."""
    constant = (values == values[0]).all(axis=0).tolist()
    columns = (
        values.T + 0.0
    ).tolist()  # a negative zero is a zero; all are finite: drives were checked on their way in
    pairs = zip(columns, constant, strict=True)
    return [repr(column[0]) if same else template % tuple(column) for column, same in pairs]


def _clock(drives: int, table: _Tables) -> list[str]:
    if drives == 1:
        return [f"{SOURCE} idx 0 0"]
    phase = table.clock([float(d) for d in range(drives)])
    return [f"{SOURCE} idx 0 0", f"bphase phase 0 v={phase}", f"bsmp smp 0 v=(v(idx)-v(phase))/{drives}"]


def _diodes(reduced: ReducedCircuit, terminals: Sequence[str]) -> list[str]:
    diodes = reduced.diodes
    models: dict[tuple[float, float], str] = {}
    lines = []
    columns = (diodes.anode, diodes.cathode, diodes.saturation.tolist(), diodes.emission.tolist())
    for k, (anode, cathode, saturation, emission) in enumerate(zip(*columns, strict=True)):
        model = models.setdefault((saturation, emission), f"dm{len(models)}")
        lines.append(f"d{k} {terminals[anode]} {terminals[cathode]} {model}")
    cards = [f".model {name} D(Is={spice_number(i)} N={spice_number(n)})" for (i, n), name in models.items()]
    return cards + lines


def _rails(reduced: ReducedCircuit, drives: Sequence[Drive], table: _Tables) -> tuple[list[str], list[str]]:
    """Names of all terminals, and the sources that hold the rails."""
    names, lines = [node_name(k) for k in range(reduced.size)], []
    for k, value in enumerate(table([reduced.rails(drive.inputs) for drive in drives])):
        names.append("0" if value == "0.0" else f"rail{k}")
        if value.startswith("pwl"):
            lines.append(f"brail{k} rail{k} 0 v={value}")
        elif value != "0.0":
            lines.append(f"vrail{k} rail{k} 0 {value}")
    return names, lines


def _conductances(reduced: ReducedCircuit) -> list[str]:
    matrix = reduced.conductance
    floor = _NEGLIGIBLE * np.diagonal(matrix)
    to_ground = matrix.sum(axis=1)
    lines = [f"rg{k} n{k} 0 {1 / g!r}" for k, g in enumerate(to_ground.tolist()) if g > floor[k]]
    rows, columns = np.nonzero(np.triu(-matrix > np.maximum(floor[:, None], floor), k=1))
    ohms = (-1 / matrix[rows, columns]).tolist()
    return lines + [f"r{a}_{b} n{a} n{b} {r!r}" for a, b, r in zip(rows.tolist(), columns.tolist(), ohms, strict=True)]


def _sources(reduced: ReducedCircuit, drives: Sequence[Drive], table: _Tables) -> list[str]:
    shared = {id(drive.inputs): drive.inputs for drive in drives}  # phases mostly share their inputs
    currents = {key: reduced.currents(inputs) for key, inputs in shared.items()}
    lines = []
    for k, value in enumerate(table([currents[id(drive.inputs)] for drive in drives])):
        lines += [f"b{k} 0 n{k} i={value}"] if value.startswith("pwl") else _constant(k, value)
    return lines


def _constant(k: int, value: str) -> list[str]:
    return [] if value == "0.0" else [f"i{k} 0 n{k} {value}"]


def _nudges(reduced: ReducedCircuit, drives: Sequence[Drive], terminals: Sequence[str], table: _Tables) -> list[str]:
    """Into each output: a table of β y or of injected currents, less β (v⁺ − v⁻) where a spring pulls.

    The factor v(nudge) is β over its largest value, so that it is of the order of 1 V.
    """
    if all(drive.nudge is None for drive in drives):
        return []
    betas = [drive.nudge.conductance if isinstance(drive.nudge, Spring) else 0.0 for drive in drives]
    largest = max(map(abs, betas))
    lines = []
    if largest:
        lines.append(f"bnudge nudge 0 v={table.clock([beta / largest for beta in betas])}")
    pushed = table.by_point([_pushed(reduced, drive) for drive in drives])
    for k, (plus, minus, push) in enumerate(zip(reduced.plus, reduced.minus, pushed, strict=True)):
        ends, across = (terminals[plus], terminals[minus]), f"v({terminals[plus]})"
        if ends[1] != "0":
            across = f"({across}-v({ends[1]}))"
        pull = f"-{spice_number(largest)}*v(nudge)*{across}" if largest else ""
        lines.append(f"by{k} {ends[1]} {ends[0]} i={push}{pull}")
    return lines


def _pushed(reduced: ReducedCircuit, drive: Drive) -> Array:
    """Current (A, reduced, ``[batch, outputs]``) that a nudge pushes whatever the outputs' voltage."""
    match drive.nudge:
        case Spring(conductance=beta, targets=targets):
            return beta * targets / reduced.output_scale
        case Injection(current=amperes):
            return amperes / reduced.output_scale
    return np.zeros((len(drive.inputs), len(reduced.plus)))


def _saves(size: int) -> list[str]:
    names = [f"v({node_name(k)})" for k in range(size)]
    return [f".save {' '.join(names[k : k + 20])}" for k in range(0, size, 20)]
