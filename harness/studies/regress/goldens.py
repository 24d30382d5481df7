"""Golden results: a JSON file beside the suite, made to be read in a review and kept under version control.

For each case: the values, every setting that decided them, the versions they were measured with, when and why, and what
stood there before. A change of a setting shows as a line of its own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date as calendar
from pathlib import Path
from typing import Annotated, Any

from pydantic import AllowInfNan, Strict, TypeAdapter, ValidationError

from harness.chip.ngspice.session import open_session
from harness.errors import ExperimentError
from harness.files.reading import JsonObject, read_json
from harness.files.writing import write_atomic
from harness.processes.versions import versions
from harness.validation import first_finding

_FORMAT = 1


Finite = Annotated[float, Strict(), AllowInfNan(False)]
"""A number of a golden; a text such as "1e999" is none."""


@dataclass(frozen=True)
class Earlier:
    """A golden that another one has replaced."""

    date: str
    reason: str
    values: dict[str, Finite]


@dataclass(frozen=True)
class Golden:
    """The values that a case should come to."""

    values: dict[str, Finite]
    """By quantity, SI units."""
    settings: JsonObject
    """`harness.studies.regress.suite.Case.identity` at that time."""
    versions: dict[str, str]
    date: str
    """ISO 8601."""
    reason: str
    history: tuple[Earlier, ...] = ()
    """Newest first."""

    def changed(self, settings: JsonObject) -> list[str]:
        """Return a clause for each setting that is not what it was."""
        keys = [*settings, *(key for key in self.settings if key not in settings)]
        pairs = {key: (self.settings.get(key), settings.get(key)) for key in keys}
        return [f"{key} was {_said(old)}, is {_said(new)}" for key, (old, new) in pairs.items() if old != new]


def replaced(
    old: Golden | None, values: Mapping[str, float], settings: JsonObject, reason: str, *, ngspice: bool
) -> Golden:
    """Return a golden of today, with the one that it replaces in its history."""
    history = () if old is None else (Earlier(old.date, old.reason, old.values), *old.history)
    today = calendar.today().isoformat()
    return Golden(dict(values), dict(settings), versions_now(ngspice=ngspice), today, reason, history)


def versions_now(*, ngspice: bool) -> dict[str, str]:
    """Return the versions of all that values may depend on in their last bits.

    Raises:
        NgspiceMissing: its version is wanted and it cannot be loaded.
    """
    return versions() | ({"ngspice": open_session().version_text} if ngspice else {})


def read_goldens(path: Path) -> dict[str, Golden]:
    """Return goldens by the names of their cases; none where there is no file.

    Raises:
        ExperimentError: the file is damaged, or of another version.
    """
    if not path.exists():
        return {}
    content = read_json(path, ExperimentError)
    try:
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, this version reads {_FORMAT}")
        return _GOLDENS.validate_python(content["cases"])
    except (ValueError, KeyError, TypeError) as error:
        why = first_finding(error) if isinstance(error, ValidationError) else str(error)
        raise ExperimentError(f"{path} is damaged, or of another version, and cannot be read ({why})") from error


def write_goldens(path: Path, goldens: Mapping[str, Golden]) -> None:
    """Replace the file of goldens as a whole."""
    cases = {name: _GOLDEN.dump_python(golden) for name, golden in goldens.items()}
    write_atomic(path, (_laid_out({"format": _FORMAT, "cases": cases}) + "\n").encode())


_GOLDEN = TypeAdapter(Golden)
_GOLDENS = TypeAdapter(dict[str, Golden])


def _laid_out(value: Any, indent: str = "") -> str:
    """Return JSON with a line for each key, and lists of numbers or texts in one line."""
    deeper = indent + "  "
    match value:
        case dict() if value:
            lines = [
                f"{deeper}{json.dumps(key, ensure_ascii=False)}: {_laid_out(v, deeper)}" for key, v in value.items()
            ]
            return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
        case list() | tuple() if any(isinstance(item, dict) for item in value):
            return "[\n" + ",\n".join(deeper + _laid_out(item, deeper) for item in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _said(value: Any) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)
