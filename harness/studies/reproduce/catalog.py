"""All claims by the names that the command line takes: those of a paper together, and each by itself."""

from harness.errors import ExperimentError
from harness.studies import gates
from harness.studies.age import finding as ageing
from harness.studies.reproduce import chaffey, findings, kendall, lin, packaged
from harness.studies.reproduce.claim import Claim
from harness.wording import did_you_mean

GROUPS = {
    "kendall": ("Kendall et al. 2020, arXiv 2006.01981", kendall.CLAIMS),
    "lin": ("Lin, Desai, Barrows, Caravelli 2026, arXiv 2602.03546", lin.CLAIMS),
    "chaffey": ("Chaffey 2025, arXiv 2509.13793", chaffey.CLAIMS),
    "findings": ("What was found, the page of the documentation", (*findings.CLAIMS, *ageing.CLAIMS, *gates.CLAIMS)),
    "packaged": ("How well packaged experiments learn", packaged.CLAIMS),
}
"""Papers, and the documentation: titles and claims."""


def every_claim() -> dict[str, Claim]:
    """Return all claims by ``GROUP/NAME``."""
    return {f"{group}/{claim.name}": claim for group, (_, claims) in GROUPS.items() for claim in claims}


def chosen(names: tuple[str, ...]) -> dict[str, Claim]:
    """Return the claims that are asked for, by ``GROUP/NAME``: of a group, or one by its name with or without it.

    Raises:
        ExperimentError: there is no such name, or several groups have it.
    """
    known, found = every_claim(), dict[str, Claim]()
    for name in names:
        fitting = [key for key in known if name in (key, *key.split("/"))]
        if not fitting:
            words = [*GROUPS, *(key.split("/")[1] for key in known)]
            raise ExperimentError(f"nothing is called {name!r}{did_you_mean(name, words, or_list=True)}")
        if name not in GROUPS and len(fitting) > 1:
            raise ExperimentError(f"{name!r} is in several groups; write {' or '.join(fitting)}")
        found |= {key: known[key] for key in fitting}
    return found
