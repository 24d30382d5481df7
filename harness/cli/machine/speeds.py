"""The figures of `harness benchmark` as people read them."""

from collections.abc import Iterable

from harness.cli.terminal import OUT, WIDE, table, wide_table
from harness.studies.benchmark.against import Comparison
from harness.studies.benchmark.parts import PARTS
from harness.studies.benchmark.record import Figure, Record


def print_record(record: Record) -> None:
    """Print how fast each experiment trains, and where the time of a step goes."""
    chips = list(dict.fromkeys(figure.chip for figure in record.figures))
    several = {one.name: one for one in record.shared}
    more = [f"ngspice, {one.processes} processes" for one in record.shared[:1]] + ["memory of one"] * bool(several)
    rows = []
    for name in _names(record.figures):
        found = {figure.chip: figure for figure in record.figures if figure.name == name}
        row = [_rate(found[chip]) if chip in found else "" for chip in chips]
        one = several.get(name)
        row += [f"{one.samples_per_second:,.0f}", f"{one.peak_worker_mb:,.0f} MB"] if one else [""] * len(more)
        rows.append((name, *row))
    OUT.print(table(("training samples/s", *(f"{chip}, one core" for chip in chips), *more), rows))
    if record.busy:
        OUT.print(f"Other programs were at work: by the clock, one core took {record.waiting:.1f} times as long.")
    for chip in chips:
        _print_shares([figure for figure in record.figures if figure.chip == chip], chip)
    for name, reason in record.left_out.items():
        OUT.print(f"{name} was left out: {reason}")


def print_comparison(comparison: Comparison, file: str) -> None:
    """Print the ratio of each figure to that of an earlier call, and whether noise explains it."""
    rows = [
        (
            one.name,
            one.chip,
            f"{one.then:,.0f}",
            f"{one.now:,.0f}",
            f"{one.ratio.ratio:.2f}",
            f"{one.ratio.low:.2f} … {one.ratio.high:.2f}",
            one.verdict.value,
        )
        for one in comparison.figures
    ]
    shown = wide_table("against " + file, "chip", "then", "now", "ratio", "bounds", "")
    for row in rows:
        shown.add_row(*row)
    WIDE.print(shown)
    for note in comparison.notes:
        OUT.print(note)
    pace = comparison.machine
    bounds = f"{pace.ratio:.2f} ({pace.low:.2f} … {pace.high:.2f})"
    OUT.print(f"This machine did fixed work {bounds} times as fast as then; ratios are of processor time.")


def _print_shares(figures: list[Figure], chip: str) -> None:
    shown = wide_table(f"% of a step, {chip}", *(figure.name for figure in figures), "what it is")
    for part in PARTS:
        if part.is_of(chip):
            shares = [f"{100 * figure.shares.get(part.name, 0.0):.1f}" for figure in figures]
            shown.add_row(part.name, *shares, part.meaning)
    WIDE.print(shown)


def _names(figures: Iterable[Figure]) -> list[str]:
    return list(dict.fromkeys(figure.name for figure in figures))


def _rate(figure: Figure) -> str:
    return f"{figure.samples_per_second:,.0f} ± {100 * figure.spread:.0f} %"
