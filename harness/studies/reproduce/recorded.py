"""Recorded figures: those that the documentation prints, in one file, and which of them are stale.

``recorded.json`` has for every finding the figures of both forms, by seed. A figure is stale where a packaged
experiment behind it was changed since it was recorded, or where measuring it again gives another one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import harness
from harness.errors import RunError
from harness.files.reading import JsonObject, parse_json
from harness.files.writing import write_atomic
from harness.studies.reproduce.claim import Claim, Figure, Found, shown
from harness.studies.reproduce.running import Result, Verdict, digest_of

FILE = "recorded.json"
_ROOM = "harness.studies.reproduce"


@dataclass(frozen=True)
class Stale:
    """A recorded figure that is not what the program gives now."""

    key: str
    where: str
    recorded: str
    now: str


def path_here() -> Path:
    """Return the path of the file of a clone or of an installation.

    Raises:
        RunError: the package lies in no folder, such as in a zip file.
    """
    found = Path(harness.__file__).parent / "studies" / "reproduce" / FILE
    if not found.is_file():
        raise RunError(f"{found} is not there; record figures in a clone of the repository")
    return found


def read() -> JsonObject:
    """Return what is recorded, by ``GROUP/NAME``.

    Raises:
        RunError: the file is damaged.
    """
    text = (resources.files(_ROOM) / FILE).read_text(encoding="utf-8")
    return parse_json(text, RunError, FILE)


def recorded(key: str, form: str) -> Found | None:
    """Return the recorded figures of a claim in a form; None where none are recorded."""
    entry = read().get(key)
    return None if entry is None or form not in entry else Found.from_json(entry[form], f"{FILE}, {key}")


def record(results: Sequence[Result], path: Path) -> None:
    """Write figures of one form into the file of recorded ones; claims without that form are left out.

    Raises:
        RunError: a claim could not be measured, or none has that form.
    """
    content = parse_json(path.read_text(encoding="utf-8"), RunError, str(path))
    for result in results:
        if (found := result.found) is None:
            if result.verdict is Verdict.MISSING:
                raise RunError(f"{result.key} was not measured, and cannot be recorded: {result.why}")
            continue
        entry = content.setdefault(result.key, {})
        claim = result.claim
        entry |= {"command": claim.command, "control": claim.control, "seeds": claim.seeds}
        entry |= {"tolerance": claim.tolerance, "unit": claim.unit}
        entry[found.form] = found.to_json()
    if all(result.found is None for result in results):
        raise RunError("there is nothing to record: these claims have no short form; --full measures them")
    write_atomic(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def stale(result: Result) -> list[Stale]:
    """Return the recorded figures of a claim that are stale, beside what was found now in the same form.

    Where nothing was found, since there is no short form, only the experiments behind recorded figures are compared.
    """
    key, claim, found = result.key, result.claim, result.found
    forms = {form: kept for form in ("full", "short") if (kept := recorded(key, form)) is not None}
    if (form := "full" if found is None else found.form) not in forms:
        return [Stale(key, f"all figures, {form} form", "never recorded", "" if found is None else "measured")]
    digest = digest_of(claim)
    differing = [
        Stale(key, f"packaged experiments, {form} form", f"as on {kept.date}", "changed since")
        for form, kept in forms.items()
        if kept.settings != digest
    ]
    return differing if found is None else [*differing, *_moved(result.key, claim, forms[form], found)]


def _moved(key: str, claim: Claim, before: Found, found: Found) -> list[Stale]:
    """Return figures that are others now."""
    differing = []
    old, new = ({(f.series, f.x): f for f in each.figures} for each in (before, found))
    for place in dict.fromkeys([*old, *new]):
        was, now = old.get(place), new.get(place)
        if was is None or now is None or not _same(was, now, claim):
            series, x = place
            where = f"{claim.rows} {x}" + (f", {series}" if series else "")
            differing.append(Stale(key, where, _told(was, claim), _told(now, claim)))
    return differing


def _told(figure: Figure | None, claim: Claim) -> str:
    return "none" if figure is None else ", ".join(shown(value, claim.unit) for value in figure.values)


def _same(was: Figure, now: Figure, claim: Claim) -> bool:
    """Return whether all seeds agree: absolutely for shares, else as a share of what was recorded."""
    if len(was.values) != len(now.values):
        return False
    scale = [1.0] * len(was.values) if claim.unit == "%" else [abs(value) for value in was.values]
    pairs = zip(was.values, now.values, scale, strict=True)
    return all(abs(old - new) <= claim.tolerance * size + _NOTHING for old, new, size in pairs)


_NOTHING = 1e-12
"""V² and the like: a loss that is nothing but rounding is the same whatever it is."""
