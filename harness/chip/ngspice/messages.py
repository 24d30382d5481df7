"""Rules that judge what ngspice says; they are tested on recorded transcripts of ngspice 39 and 46.

ngspice reports progress, notes about converged gmin stepping and fatal errors on the same stream, and its commands
return 0 whatever happened. Each line gets the verdict of the first rule that matches it; a run gets the worst one.
"""

import re
from collections.abc import Iterable
from enum import IntEnum


class Verdict(IntEnum):
    """Severity of a line that ngspice prints; a higher value is worse."""

    NOTE = 0
    """Progress, or help on the way to a solution."""
    UNSETTLED = 1
    """No operating point was found, or one that only a transient ramp reached."""
    REFUSED = 2
    """The deck or the command was not understood."""


_RULES: tuple[tuple[Verdict, re.Pattern[str]], ...] = tuple(
    (verdict, re.compile(pattern, re.IGNORECASE))
    for verdict, pattern in (
        (Verdict.UNSETTLED, r"singular matrix"),
        (Verdict.UNSETTLED, r"transient op (started|failed|finished)"),
        (Verdict.UNSETTLED, r"timestep too small|iteration limit|no convergence|(did|does|could) not converge"),
        (Verdict.UNSETTLED, r"finding the operating point .*failed"),
        (Verdict.UNSETTLED, r"operating point could not be simulated|following steps may fail|simulation\(s\) aborted"),
        (
            Verdict.NOTE,
            r"^note:|trying gmin|supplies reduced|gmin stepping (failed|completed)|source stepping (failed|completed)",
        ),
        (
            Verdict.NOTE,
            r"gmin increment|(last )?gmin step|using (sparse|klu)|there is no circuit loaded|'remcirc' is ignored",
        ),
        (Verdict.NOTE, r"out of range for \w+$"),  # one iteration's voltages; whether it came back, other lines tell
        (
            Verdict.REFUSED,
            r"error|fatal|can't|cannot|could not|unknown|undefined|illegal|invalid|no such|not found|syntax",
        ),
        (Verdict.REFUSED, r"not parsed|ignored|unrecognized|unsupported|not in the circuit"),
    )
)


def judge(line: str) -> Verdict:
    """The verdict on one line of ngspice's stderr."""
    return next((verdict for verdict, pattern in _RULES if pattern.search(line)), Verdict.NOTE)


def worst(lines: Iterable[str]) -> Verdict:
    """The worst verdict on a run's stderr."""
    return max(map(judge, lines), default=Verdict.NOTE)


def telling(lines: Iterable[str], most: int = 6) -> tuple[str, ...]:
    """The lines that explain a failure: no notes, no repeats, at most `most`."""
    kept = dict.fromkeys(line.strip() for line in lines if judge(line) is not Verdict.NOTE)
    return tuple(kept)[:most]
