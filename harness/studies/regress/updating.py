"""Updates of goldens: what would change, and writing it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.studies.regress.goldens import Golden, read_goldens, replaced, write_goldens
from harness.studies.regress.suite import Case, Suite
from harness.studies.regress.verdicts import Found, beyond_limits


@dataclass(frozen=True)
class Change:
    """The change that an update makes of a case's golden."""

    case: Case
    old: Golden | None
    found: Found
    refused: tuple[str, ...]
    """Reasons why nothing is written: the case failed, or left a limit, which no golden moves."""

    @property
    def wanted(self) -> bool:
        """There is something to write."""
        same = self.old is not None and (self.old.values, self.old.settings) == (
            self.found.values,
            self.case.identity(),
        )
        return not self.refused and not same


def change(case: Case, old: Golden | None, found: Found) -> Change:
    """Return the change that an update makes of what was found."""
    refused = (found.error,) if found.error is not None else tuple(beyond_limits(case, found))
    return Change(case, old, found, refused)


def write(suite: Suite, changes: Sequence[Change], reason: str, *, tidy: bool) -> None:
    """Write the wanted changes into the suite's goldens, in the order of the suite.

    Goldens are read anew, so that what another update wrote meanwhile stays. With `tidy`, goldens of cases that are no
    longer there are dropped.
    """
    goldens = read_goldens(suite.goldens)
    for each in changes:
        if each.wanted:
            ngspice = each.case.settings.chip.in_ngspice
            old = goldens.get(each.case.name)
            values, settings = each.found.values, each.case.identity()
            goldens[each.case.name] = replaced(old, values, settings, reason, ngspice=ngspice)
    order = [case.name for case in suite.cases]
    kept = [*order, *([] if tidy else abandoned(suite, goldens))]
    write_goldens(suite.goldens, {name: goldens[name] for name in kept if name in goldens})


def abandoned(suite: Suite, goldens: Iterable[str]) -> list[str]:
    """Return the names of goldens that no case of the suite has."""
    names = {case.name for case in suite.cases}
    return [name for name in goldens if name not in names]
