"""The report's sections on voltages, line currents and power."""

import numpy as np

from harness.report import figures
from harness.report.contents import Contents
from harness.report.html import Markup, element, joined, picture, table
from harness.report.inventory import volts
from harness.report.survey import Lines, NodeGroup
from harness.units import show

_LISTED = 5  # lines of each kind with the largest currents
_ROUNDING = 1e-9


def against(report: Contents) -> str:
    """Return the name of `Contents.supply`."""
    return "largest source" if report.limits.supply is None else "supply"


def voltages(report: Contents) -> Markup:
    """Show the voltages of every group of nodes against the supply."""
    groups = report.found.groups
    compared = f"a {against(report)} of ±{show(report.supply, 'V')}"
    if report.limits.supply is None:
        compared = (
            f"±{show(report.supply, 'V')}, the largest voltage that a source holds: no supply was given (--supply)"
        )
    rows = [_group_row(group, report.supply) for group in groups]
    titles = ("nodes", "count", "lowest", "at", "5 %", "median", "95 %", "highest", "at", f"beyond {against(report)}")
    caption = "Thin: from the lowest to the highest; thick: the middle nine tenths; dot: the median."
    return joined(
        [
            element("p", f"Every node over {report.rows_told}, against {compared}."),
            picture(figures.voltage_ranges(groups, report.supply, against(report)), caption, kind="wide"),
            table(titles, rows, about="Voltages by group of nodes", numbers=(1, 2, 4, 5, 6, 7, 9)),
        ]
    )


def _group_row(group: NodeGroup, supply: float) -> tuple[str, ...]:
    (low, lowest), (high, highest) = group.lowest, group.highest
    early, middle, late = (volts(float(v)) for v in np.percentile(group.volts, [5, 50, 95]))
    beyond = len(group.beyond(supply))
    count, outside = f"{len(group.names):,}", f"{beyond:,}"
    return group.title, count, volts(low), lowest, early, middle, late, volts(high), highest, outside


def currents(report: Contents) -> Markup:
    """Show the currents of every line against the limit."""
    arrays: dict[str, list[Lines]] = {}
    for lines in report.found.lines:
        arrays.setdefault(lines.array, []).append(lines)
    limit = report.limits.line
    drawn = [picture(figures.line_currents(parts, limit)) for parts in arrays.values()]
    against = f" The limit is {show(limit, 'A')}." if limit is not None else " No limit was given (--line-limit)."
    intro = (
        f"The largest current over {report.rows_told}. The line in a figure is the current at the line's end, the sum "
        "of its cells' currents; the area is the largest along the line, where currents of both signs meet. Word lines "
        "are driven at their first cell, bit lines read behind their last."
    )
    rows = [_lines_row(lines, limit) for lines in report.found.lines]
    titles = ("lines", "count", "largest along", "line", "largest at the end", "mean at the end", "above the limit")
    worst = [
        (f"{lines.kind} {lines.names[k]}", lines.array, _amperes(lines, lines.along[k]),
         _amperes(lines, lines.end[k]), _amperes(lines, lines.mean[k]))
        for lines in report.found.lines
        for k in np.argsort(-lines.along, kind="stable")[:_LISTED]
    ]  # fmt: skip
    most = f"The {_LISTED} lines of each kind that carry most"
    heads = ("line", "array", "largest along", "largest at the end", "mean at the end")
    return joined(
        [
            element("p", intro + against),
            element("div", *drawn, class_="pair"),
            table(titles, rows, about="Lines by array", numbers=(1, 2, 4, 5, 6)),
            element("details", element("summary", most), table(heads, worst, about=most, numbers=(2, 3, 4))),
        ]
    )


def _lines_row(lines: Lines, limit: float | None) -> tuple[str, ...]:
    amperes, name = lines.worst
    above = "–" if limit is None else f"{len(lines.above(limit)):,}"
    return (lines.title, f"{len(lines.names):,}", show(amperes, "A"), name,
            _amperes(lines, lines.end.max()), _amperes(lines, lines.mean.mean()), above)  # fmt: skip


def _amperes(lines: Lines, value: float) -> str:
    """Return a current in words, 0 A where it is what rounding leaves of Kirchhoff's law."""
    return show(0.0 if value < _ROUNDING * lines.worst[0] else float(value), "A")


def power(report: Contents) -> Markup:
    """Show the power of every sample, and the parts that it goes to."""
    found = report.found
    mean, total = float(found.power.mean()), sum(found.shares.values())
    rows = []
    for name, watts in found.shares.items():
        share = watts / total if total else 0.0
        bar = Markup(f'<span class="bar" style="width: {100 * max(share, 0.0):.1f}%"></span>')
        rows.append((name, show(watts, "W"), f"{100 * share:.1f} %", bar))
    least, most = float(found.power.min()), float(found.power.max())
    worst = int(found.power.argmax())
    told = (
        f"Heat in cells, resistors and diodes while a sample is held, over {report.rows_told}: {show(mean, 'W')} on "
        f"average, from {show(least, 'W')} to {show(most, 'W')} (row {worst}). What amplifiers and drivers need "
        "themselves is not known here and not counted."
    )
    if report.settings and (seconds := report.settings.chip.settling_time):
        energy = show(mean * seconds, "J")
        told += f" At {show(seconds, 's')} a phase ([chip] settling_time) that is {energy} a free phase."
    return joined(
        [
            element("p", told),
            picture(figures.power_histogram(found)),
            table(("part", "mean", "share", ""), rows, about="Where the power goes", numbers=(1, 2), bars=(3,)),
        ]
    )
