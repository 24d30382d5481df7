"""What a campaign has come to so far: counts, a table, and a folder for each kind of failing case."""

import shlex
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.campaigns.children import Ended
from tests.campaigns.subjects import put
from tests.campaigns.verdicts import Fault

_EXAMPLES = 2
"""Failing cases of the same fault that are kept."""


@dataclass
class Row:
    """A line of the table: cases of one kind."""

    cases: int = 0
    refused: int = 0
    """With exit code 1 or 2 and a sentence."""
    slow: int = 0
    """Ended by Ctrl-C at the limit of time."""
    faults: Counter[Fault] = field(default_factory=Counter)
    seconds: float = 0.0


class Tally:
    """Rows by the names of their kinds."""

    def __init__(self, seed: int, failures: Path) -> None:
        self.seed = seed
        self._failures = failures
        self.rows: dict[str, Row] = {}
        self.broken: dict[str, str] = {}
        """Why a kind could not be run, by its name."""
        self.stopped = False

    def note(
        self,
        kind: str,
        ended: Ended,
        faults: Sequence[Fault],
        *,
        files: Mapping[str, bytes],
        words: Sequence[str],
        about: str,
    ) -> None:
        """Count a case and keep its files and its command where it failed."""
        row = self.rows.setdefault(kind, Row())
        row.cases += 1
        row.seconds += ended.seconds
        row.slow += ended.interrupted
        row.refused += ended.code in (1, 2) and not ended.interrupted
        for fault in faults:
            row.faults[fault] += 1
            if row.faults[fault] <= _EXAMPLES:
                self._keep(kind, fault, row.faults[fault], ended, files, words, about)

    @property
    def faults(self) -> int:
        """Of all kinds."""
        return sum(row.faults.total() for row in self.rows.values())

    @property
    def passed(self) -> bool:
        """Everything was run and nothing found."""
        return bool(self.rows) and not (self.faults or self.broken or self.stopped)

    def as_object(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        kinds = {
            kind: {
                "cases": row.cases,
                "refused": row.refused,
                "slow": row.slow,
                "seconds": round(row.seconds, 1),
                "faults": [
                    {"what": fault.what, "detail": fault.detail, "cases": count}
                    for fault, count in row.faults.most_common()
                ],
            }
            for kind, row in self.rows.items()
        }
        cases = sum(row.cases for row in self.rows.values())
        about = {"seed": self.seed, "cases": cases, "passed": self.passed, "stopped": self.stopped}
        return {**about, "faults": self.faults, "broken": self.broken, "kinds": kinds}

    def _keep(
        self,
        kind: str,
        fault: Fault,
        number: int,
        ended: Ended,
        files: Mapping[str, bytes],
        words: Sequence[str],
        about: str,
    ) -> None:
        name = "".join(c if c.isalnum() else "-" for c in f"{kind}-{fault.what}-{fault.detail}")[:100]
        folder = self._failures / f"{name}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        put(folder / "files", files)
        command = f"cd {shlex.quote(str((folder / 'files').resolve()))} && harness {shlex.join(words)}\n"
        (folder / "command.sh").write_text(f"# {about}\n# {fault.what}: {fault.detail}\n{command}")
        (folder / "stdout.txt").write_text(ended.out)
        (folder / "stderr.txt").write_text(ended.err)
