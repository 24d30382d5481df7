"""The record of a measurement as a JSON file, which a later call compares itself with."""

import os
import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

import harness
from harness.chip.ngspice.session import open_session
from harness.errors import RunError
from harness.files.reading import parse_json, read_text
from harness.processes.versions import NUMERICS, versions
from harness.studies.benchmark.noise import Interval, Ratio
from harness.validation import first_finding

_SECONDS_FOR_GIT = 10
_BUSY = 1.1
"""Time by the clock over time on a processor, from which on a machine counts as busy."""

_Text = Annotated[str, Field(max_length=1_000)]
_Seconds = Annotated[float, Field(gt=1e-9, lt=1e6)]
_Count = Annotated[int, Field(ge=1, le=10**9)]
_Rounds = Annotated[tuple[_Seconds, ...], Field(min_length=1, max_length=1_000)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Times(_Table):
    """The time of a block in each round: the median of its repetitions there."""

    seconds: _Rounds
    """By the clock, s."""
    processor_seconds: _Rounds
    """On a processor, s: what other programs did meanwhile matters less."""

    @property
    def waiting(self) -> float:
        """The time by the clock over the time on a processor, of the median round."""
        return Interval.of(self.seconds).median / Interval.of(self.processor_seconds).median

    def ratio(self, then: Self) -> Ratio:
        """Return how much faster this is than `then`, in time on a processor."""
        return Ratio.of(Interval.of(then.processor_seconds), Interval.of(self.processor_seconds))


class Figure(_Table):
    """The training speed of an experiment on one chip and one core."""

    name: _Text
    chip: _Text
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Hash of the experiment's settings."""
    samples: _Count
    """Samples of a block."""
    blocks: _Count
    """Blocks that were done, in all rounds."""
    times: Times
    shares: Annotated[dict[_Text, Annotated[float, Field(ge=0, le=1)]], Field(max_length=100)]
    """Share of each part in the time of a step; they add up to 1."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def samples_per_second(self) -> float:
        """Training samples per second of time on a processor, in the median round."""
        return self.samples / Interval.of(self.times.processor_seconds).median

    @computed_field  # type: ignore[prop-decorator]
    @property
    def spread(self) -> float:
        """Half of the interval of that median, over it."""
        return Interval.of(self.times.processor_seconds).spread


class Shared(_Table):
    """The training speed of an experiment with several processes of ngspice."""

    name: _Text
    processes: _Count
    samples_per_second: Annotated[float, Field(gt=0)]
    """By the clock."""
    peak_worker_mb: Annotated[float, Field(gt=0)]
    """Largest resident memory of any of the processes, MB (10⁶ bytes)."""


class Machine(_Table):
    """The machine of a measurement."""

    processor: _Text
    cores: _Count
    """Cores that the process may use."""
    system: _Text


class Record(_Table):
    """All that a call has measured, on which machine, and with which software."""

    format: Literal["harness benchmark"] = "harness benchmark"
    version: Literal[1] = 1
    when: _Text
    machine: Machine
    versions: Annotated[dict[_Text, _Text], Field(max_length=100)]
    commit: _Text | None
    """Commit of the package's source, with ``-dirty`` where files differ from it; None where it has no repository."""
    seconds: _Seconds
    """Time that each figure was given, s."""
    fixed_work: Times
    """Work that no version changes."""
    figures: Annotated[tuple[Figure, ...], Field(min_length=1, max_length=1_000)]
    shared: Annotated[tuple[Shared, ...], Field(max_length=1_000)]
    left_out: Annotated[dict[_Text, _Text], Field(max_length=1_000)]
    """Reasons for which experiments of the set were not measured, by their names."""

    @property
    def waiting(self) -> float:
        """The time of one core by the clock over that on a processor, in the median figure."""
        return median(figure.times.waiting for figure in self.figures)

    @property
    def busy(self) -> bool:
        """True where other programs have kept the processor from this one."""
        return self.waiting > _BUSY

    def differences(self, other: Self) -> list[str]:
        """Return a sentence for each way in which the machine or the software of `other` was another one."""
        mine, theirs = self._circumstances(), other._circumstances()
        names = [name for name in {**theirs, **mine} if theirs.get(name) != mine.get(name)]
        return [f"{name}: {theirs.get(name, 'nothing')} then, {mine.get(name, 'nothing')} now" for name in names]

    def _circumstances(self) -> dict[str, str]:
        machine = {name: str(value) for name, value in self.machine.model_dump().items()}
        return {**machine, **self.versions, **({"commit": self.commit} if self.commit else {})}


def read(path: Path) -> Record:
    """Return the record in a file that ``harness benchmark --to`` has written.

    Raises:
        RunError: the file is no such record, or of another version.
    """
    text = read_text(path, RunError)
    found = parse_json(text, RunError, str(path))
    wanted = {name: field.default for name, field in Record.model_fields.items()}
    if found.get("format") != wanted["format"]:
        raise RunError(f"{path}: it is no record of harness benchmark; write one with harness benchmark --to FILE")
    if found.get("version") != wanted["version"]:
        raise RunError(
            f"{path}: it is a record of version {found.get('version')!r}, and this harness reads version "
            f"{wanted['version']}; measure both with one harness"
        )
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        raise RunError(f"{path}: the record of harness benchmark is damaged: {first_finding(error)}") from error


def written(record: Record) -> bytes:
    """Return a record as it is kept in a file."""
    return (record.model_dump_json(indent=1) + "\n").encode()


def machine() -> Machine:
    """Return what this machine is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(processor=_processor(), cores=cores, system=platform.platform())


def software(*, ngspice: bool) -> dict[str, str]:
    """Return the versions that decide speed, those of ngspice too if it was measured."""
    compiled = ("numba",) if find_spec("numba") else ()
    found = versions((*NUMERICS, *compiled))
    if ngspice:
        found |= {"ngspice": open_session().version_text, "linear solver": open_session().linear_solver}
    return found


def now() -> str:
    """Return the date and the time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def commit() -> str | None:
    """Return the commit of this package's source, with ``-dirty`` where files differ; None where git knows none."""
    source = Path(harness.__file__).parent.parent
    if not (source / ".git").exists():
        return None
    words = ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    try:
        found = subprocess.run(  # noqa: S603 - fixed words
            words, capture_output=True, text=True, check=True, timeout=_SECONDS_FOR_GIT
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def _processor() -> str:
    """Return the processor's name, as Linux tells it."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
