"""Claims measured one after the other; what is finished is kept, so that a measurement can be gone on with."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

import harness
from harness.errors import HarnessError, RunError
from harness.files.locking import alone_in
from harness.files.reading import JsonObject, read_json
from harness.files.writing import write_atomic
from harness.studies.reproduce.claim import Claim, Effort, Found, StoppedError


class Verdict(StrEnum):
    """The outcome of a claim."""

    HOLDS = "holds here"
    FAILS = "does not hold here"
    SHORT = "short form, not judged"
    LONG = "no short form"
    MISSING = "not measured"


@dataclass(frozen=True)
class Result:
    """A claim with its figures, or with the reason why there are none."""

    key: str
    """``GROUP/NAME``."""
    claim: Claim
    found: Found | None
    why: str = ""
    """The reason why it could not be measured; nothing where there is no short form."""

    @property
    def verdict(self) -> Verdict:
        """The outcome; the short form is not judged, since it is too short to learn anything."""
        if self.found is None:
            return Verdict.MISSING if self.why else Verdict.LONG
        if self.found.form == "short":
            return Verdict.SHORT
        return Verdict.HOLDS if self.claim.holds(self.found) else Verdict.FAILS

    def to_json(self) -> JsonObject:
        """Return it as plain data."""
        told = ("sentence", "source", "criterion", "theirs", "unit", "command", "control", "note", "seeds")
        words = {name: getattr(self.claim, name) for name in told}
        figures = None if self.found is None else self.found.to_json()
        return {"name": self.key, **words, "verdict": self.verdict.value, "why": self.why or None, "found": figures}


def measured(claims: Mapping[str, Claim], effort: Effort) -> Iterator[Result]:
    """Measure claims into a folder, each in its own one; those that are finished there are read.

    Raises:
        StoppedError: Ctrl-C was pressed.
        RunError: another process works there, or a file there is damaged.
    """
    effort.folder.mkdir(parents=True, exist_ok=True)
    with alone_in(effort.folder, f"folder {effort.folder}"):
        for key, claim in claims.items():
            effort.check()
            chip = effort.chip or (claim.chip if effort.full else "nodal")
            yield _result(key, claim, replace(effort, folder=effort.folder / key, chip=chip))


def _result(key: str, claim: Claim, effort: Effort) -> Result:
    if not (effort.full or claim.brief):
        return Result(key, claim, None)
    effort.folder.mkdir(parents=True, exist_ok=True)
    seeds = f"-seeds-{'-'.join(re.findall(r'[0-9]+', claim.seeds))}" if effort.full else ""
    file = effort.folder / f"{effort.form}-{effort.chip}{seeds}.json"  # those of fewer seeds are not the claim's
    digest = digest_of(claim)
    if (kept := _kept(file, digest)) is not None:
        return Result(key, claim, kept)
    began = time.monotonic()
    try:
        figures = claim.measure(effort)
    except (StoppedError, RunError):
        raise
    except HarnessError as error:  # such as data that cannot be downloaded, or a rule that the chip cannot serve
        return Result(key, claim, None, str(error))
    seconds, today = time.monotonic() - began, datetime.now(UTC).date().isoformat()
    found = Found(key, figures, effort.form, effort.chip, harness.__version__, seconds, today, digest)
    write_atomic(file, (json.dumps(found.to_json(), indent=2, ensure_ascii=False) + "\n").encode())
    return Result(key, claim, found)


def _kept(file: Path, digest: str) -> Found | None:
    """Return what was found before by this version with these settings; None where nothing was."""
    if not file.exists():
        return None
    found = Found.from_json(read_json(file, RunError), str(file))
    return found if (found.version, found.settings) == (harness.__version__, digest) else None


def digest_of(claim: Claim) -> str:
    """Return a short digest of the packaged experiments that a claim measures."""
    return sha256(claim.settings().encode()).hexdigest()[:16]
