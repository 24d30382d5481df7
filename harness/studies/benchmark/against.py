"""The comparison of two calls of `harness benchmark`: what is faster, and what noise explains."""

from dataclasses import dataclass

from harness.studies.benchmark.noise import Ratio, Verdict
from harness.studies.benchmark.record import Figure, Record


@dataclass(frozen=True)
class Compared:
    """A figure of two calls."""

    name: str
    chip: str
    then: float
    """Training samples per second."""
    now: float
    ratio: Ratio
    """Ratio of the times on a processor; above 1 where it is faster now."""
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """Two calls beside each other."""

    machine: Ratio
    """Ratio for the fixed work: how fast the machine was, whatever the version."""
    figures: tuple[Compared, ...]
    notes: tuple[str, ...]
    """Sentences on what differs between the calls, and on figures that only one of them has."""


def compare(now: Record, then: Record) -> Comparison:
    """Compare each figure with that of an earlier call."""
    machine = now.fixed_work.ratio(then.fixed_work)
    earlier = {(figure.name, figure.chip): figure for figure in then.figures}
    figures, notes = [], [*now.differences(then)]
    for figure in now.figures:
        before = earlier.pop((figure.name, figure.chip), None)
        if before is None:
            notes.append(f"{_title(figure)}: the earlier call has no such figure")
        elif (before.sha256, before.samples) != (figure.sha256, figure.samples):
            notes.append(f"{_title(figure)}: the experiment was another one then; the figures do not compare")
        else:
            figures.append(_compared(figure, before, machine))
    if earlier:
        names = dict.fromkeys(name for name, _ in earlier)
        chips = {name: ", ".join(chip for other, chip in earlier if other == name) for name in names}
        notes.append(f"not measured now: {', '.join(f'{name} ({listed})' for name, listed in chips.items())}")
    if now.busy or then.busy:
        notes.append("other programs were at work in one of the calls; repeat it before you believe a small difference")
    return Comparison(machine, tuple(figures), tuple(notes))


def _compared(now: Figure, then: Figure, machine: Ratio) -> Compared:
    ratio = now.times.ratio(then.times)
    rates = then.samples_per_second, now.samples_per_second
    return Compared(now.name, now.chip, *rates, ratio, ratio.verdict(machine))


def _title(figure: Figure) -> str:
    return f"{figure.name} in the {figure.chip} chip"
