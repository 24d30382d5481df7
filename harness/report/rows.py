"""The rows of the report's tables, and its tiles, as texts."""

from collections.abc import Iterator

import numpy as np

from harness.circuit import Circuit, Convolution, Crossbar
from harness.report.contents import Contents
from harness.report.inventory import device_rows, volts
from harness.report.survey import Lines, Survey
from harness.studies.transient import SettlingResult
from harness.units import show
from harness.wording import counted

_ROUNDING = 1e-9
Row = tuple[str, ...]


def tiles(report: Contents) -> Iterator[tuple[str, str, str]]:
    """Yield title, figure and note of each tile of the summary."""
    found, circuit = report.found, report.circuit
    low, high = found.range
    yield "Network", _shape(circuit), f"circuit {circuit.name}"
    if report.reached is not None:
        here, result = _score(report.reached, report.score), report.result
        recorded = here if result is None else _score(result["test_accuracy"], report.score)
        note = f"{report.rows_told}, solved here" if result is None else f"as trained; {here} solved here"
        yield f"Held-out {report.score}", recorded, note
    yield "Memristors", f"{sum(count.cells for count in report.cells):,}", f"in {len(circuit.arrays)} arrays"
    yield "Node voltages", _from_to(volts(low), volts(high)), f"{report.against} ±{show(report.supply, 'V')}"
    if found.worst_line is not None:
        amperes, lines = found.worst_line
        yield "Worst line current", show(amperes, "A"), lines.where
    mean, most = float(found.power.mean()), float(found.power.max())
    yield "Static power", show(mean, "W"), f"mean; at most {show(most, 'W')} a sample"


def _from_to(low: str, high: str) -> str:
    """Return a range whose unit stands once where it is the same."""
    (first, unit), (last, other) = low.rsplit(" ", 1), high.rsplit(" ", 1)
    return f"{first} … {last} {unit}" if unit == other else f"{low} … {high}"


def _shape(circuit: Circuit) -> str:
    bits = [len(array.bits) for array in circuit.arrays if isinstance(array, Crossbar | Convolution)]
    if len(bits) < len(circuit.arrays):
        return counted(len(circuit.nodes), "node")
    return "–".join(f"{n:,}" for n in (circuit.input_pins, *bits))


def _score(value: float, kind: str) -> str:
    return f"{100 * value:.2f} %" if kind == "accuracy" else f"{value:.4f}"


def devices(circuit: Circuit) -> list[Row]:
    """Return kind, count, values and notes of each kind of device."""
    return [(row.kind, f"{row.count:,}", row.values, row.note) for row in device_rows(circuit)]


def bounds(report: Contents) -> list[Row]:
    """Return each array with its cells, and those at either bound of their range."""
    return [
        (c.array, f"{c.cells:,}", *(f"{n:,} ({100 * n / c.cells:.1f} %)" for n in (c.at_min, c.at_max)))
        for c in report.cells
    ]


def voltages(report: Contents) -> Iterator[Row]:
    """Yield the voltages of each group of nodes."""
    for group in report.found.groups:
        (low, lowest), (high, highest) = group.lowest, group.highest
        early, middle, late = (volts(float(v)) for v in np.percentile(group.volts, [5, 50, 95]))
        count, outside = f"{len(group.names):,}", f"{len(group.beyond(report.supply)):,}"
        yield group.title, count, volts(low), lowest, early, middle, late, volts(high), highest, outside


def lines(report: Contents) -> Iterator[Row]:
    """Yield the currents of the lines of each array."""
    limit = report.limits.line
    for each in report.found.lines:
        (amperes, name), ends = each.worst, (_amperes(each, each.end.max()), _amperes(each, each.mean.mean()))
        above = "–" if limit is None else f"{len(each.above(limit)):,}"
        yield each.title, f"{len(each.names):,}", show(amperes, "A"), name, *ends, above


def carriers(report: Contents, most: int) -> Iterator[Row]:
    """Yield the lines of each kind that carry most."""
    for each in report.found.lines:
        for k in np.argsort(-each.along, kind="stable")[:most]:
            amperes = (_amperes(each, value[k]) for value in (each.along, each.end, each.mean))
            yield f"{each.kind} {each.names[k]}", each.array, *amperes


def _amperes(lines: Lines, value: float) -> str:
    """Return a current in words, 0 A where it is what rounding leaves of Kirchhoff's law."""
    return show(0.0 if value < _ROUNDING * lines.worst[0] else float(value), "A")


def shares(found: Survey) -> Iterator[Row]:
    """Yield the parts that the power goes to, with the width of a bar."""
    total = sum(found.shares.values())
    for name, watts in found.shares.items():
        share = watts / total if total else 0.0
        yield name, show(watts, "W"), f"{100 * share:.1f} %", f"{100 * max(share, 0.0):.1f}%"


def rates(settling: SettlingResult) -> Iterator[Row]:
    """Yield time, rate and energy of a sample by each criterion."""
    for r in settling.rates:
        often = "–" if r.per_second is None else f"{float(f'{r.per_second:.3g}'):,.0f}"
        yield r.criterion, show(r.seconds, "s"), often, show(r.energy, "J")


def phases(settling: SettlingResult) -> Iterator[Row]:
    """Yield the largest step of each phase, when it has settled by each criterion, its energy and its power."""
    for p in settling.phases:
        settled = (show(s.seconds, "s") for s in p.settled)
        yield f"{p.sample}, {p.phase}", show(p.step, "V"), *settled, show(p.settled[-1].energy, "J"), show(p.power, "W")


def training(report: Contents) -> list[Row]:
    """Return loss and score after the last epoch."""
    last = report.epochs[-1]
    scores = (_score(value, report.score) for value in (last.train_accuracy, last.test_accuracy))
    return [("loss (V²)", f"{last.train_loss:.5g}", f"{last.test_loss:.5g}"), (report.score, *scores)]


def nonidealities(report: Contents) -> list[Row]:
    """Return section, key and value of each non-ideality that was on."""
    return [(f"[{one.section}]", one.key, one.value) for one in report.nonidealities]


def versions(report: Contents) -> list[Row]:
    """Return each package with its version then and now."""
    return [(name, then or "–", now or "–") for name, (then, now) in report.versions.items()]
