"""Suites: TOML files of cases, each an experiment with changes, and bands for what is measured of it.

::

    [suite]                          # what all cases share; a case's own keys come first
    experiment = "iris"
    set = { "chip.kind" = "nodal" }

    [[case]]
    name = "8-bit converters"
    set = { "imperfect.adc_bits" = 8, "imperfect.adc_range" = "10 V" }   # as --set of harness train
    seeds = 2                        # training.seed 0 and 1; without it the experiment's own
    practice = 20                    # steps of ideal training before gradients and voltages are measured
    samples = 32                     # rows that they are measured on

    [case.bands]
    test_accuracy = { below = 0.03, at_least = 0.9 }
    gradient_cosine = { below = 0.02 }
    voltage_error = { above = "1 mV" }
    phases = { within = 0.1, relative = true }

Experiments are packaged ones by their name, or TOML files, whose path, like that of other files, starts at the suite.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from harness.chip.metering import WRITING
from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.experiment.settings import Settings, leaves
from harness.files.reading import TABLE_LIMIT, JsonObject, parse_toml, read_bytes, read_text
from harness.studies.regress.bands import Band
from harness.studies.regress.quantities import AGED, QUANTITIES, Measurement
from harness.validation import Duration, Names, Section, Whole, line_of, validated
from harness.wording import did_you_mean


@dataclass(frozen=True, eq=False)
class Case:
    """One case of a regression: its experiment, and how far results may differ from its golden."""

    name: str
    experiment: str
    settings: Settings
    seeds: tuple[int, ...]
    bands: Mapping[str, Band]
    """By quantity."""
    samples: int
    practice: int
    age: float | None = None
    """s that pass before aged quantities are measured."""
    refresh: float | None = None
    """s between two writes of all cells in that time."""

    @property
    def measurements(self) -> list[Measurement]:
        """A measurement for each seed."""
        shelf = self.age or 0.0, self.refresh
        return [
            Measurement(_with_seed(self.settings, seed), tuple(self.bands), self.samples, self.practice, shelf)
            for seed in self.seeds
        ]

    def identity(self) -> JsonObject:
        """Return what decides the case's values, by dotted key: its own keys, and every setting that is not a default.

        Bands, descriptions and the machine's paths are not in it: files count with their contents.
        """
        content = self.settings.model_dump(mode="json", exclude_defaults=True)
        settings = {key: value for key, value in leaves(content) if key not in _ASIDE}
        for key, value in settings.items():
            if key.endswith(".file"):
                digest = sha256(read_bytes(Path(value), ExperimentError, most=TABLE_LIMIT)).hexdigest()
                settings[key] = f"{Path(value).name}, SHA-256 {digest[:16]}"
        own = {"seeds": list(self.seeds), "samples": self.samples, "practice": self.practice}
        own |= {name: value for name in ("age", "refresh") if (value := getattr(self, name)) is not None}
        return {**own, **dict(sorted(settings.items()))}


_ASIDE = {"name", "description", "training.seed"}


@dataclass(frozen=True, eq=False)
class Suite:
    """The cases of a file, in its order."""

    path: Path
    cases: tuple[Case, ...]

    @classmethod
    def load(cls, path: Path) -> "Suite":
        """Load a suite from its file; experiments are read and checked, data sets are not loaded.

        Raises:
            ExperimentError: the file cannot be read, or a key or value in it is wrong; names line and case.
        """
        text = read_text(path, ExperimentError)
        return cls(path, tuple(_cases(path, text, parse_toml(text, ExperimentError, str(path)))))

    @property
    def goldens(self) -> Path:
        """The file of its golden results."""
        return self.path.with_suffix(".golden.json")


class SharedKeys(Section):
    """The keys of ``[suite]``."""

    experiment: str | None = None
    """A packaged experiment by its name, or the path of a TOML file, which starts at the suite."""
    set: JsonObject = Field(default={})
    """Keys of the experiment that the case changes, as ``--set`` of `harness train` does; those of ``[suite]`` come
    first."""
    seeds: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    """Number of trainings, with training.seed 0, 1, …, whose results are averaged; without it, the experiment's
    seed."""
    samples: Annotated[Whole, Field(ge=1, le=100_000)] = 32
    """Rows on which gradients and voltages are compared."""
    practice: Annotated[Whole, Field(ge=0, le=1_000_000)] = 0
    """Steps of ideal training before gradients and voltages are compared."""
    age: Annotated[Duration, Field(gt=0)] | None = None
    """Time that passes between the write and aged quantities, such as ``"30 d"``."""
    refresh: Annotated[Duration, Field(gt=0)] | None = None
    """Interval at which all cells are written again in that time; without it, never."""
    bands: dict[str, JsonObject] = Field(default={})
    """How far each quantity may be from its golden, or from a limit; only what a band names is computed."""


class CaseKeys(SharedKeys):
    """A suite is a TOML file for `harness regress`: every ``[[case]]`` has these keys.

    A section ``[suite]`` may have all of them but ``name``, for the cases that do not say otherwise.
    """

    name: str
    """Name of the case in reports and among the golden results; no two cases have the same."""


def _cases(path: Path, text: str, content: JsonObject) -> Iterator[Case]:
    for key in content:
        if key not in ("suite", "case"):
            raise ExperimentError(f"{path}: unknown key {key!r}{did_you_mean(key, ('suite', 'case'), or_list=True)}")
    tables = content.get("case", [])
    if not (isinstance(tables, list) and tables and all(isinstance(table, dict) for table in tables)):
        raise ExperimentError(f"{path}: a suite has at least one [[case]]")
    shared = validated(SharedKeys, content.get("suite", {}), partial(_place, path, text, "suite"))
    names = set[str]()
    for table, where in zip(tables, _places(path, text, len(tables)), strict=True):
        written = validated(CaseKeys, {**shared.model_dump(exclude_unset=True), **table}, where)
        if written.name in names:
            raise ExperimentError(f"{where(('name',))}: there are several cases {written.name!r}; names must differ")
        names.add(written.name)
        yield _case(written, shared, path, where)


def _case(written: CaseKeys, shared: SharedKeys, path: Path, where: Callable[[Names], str]) -> Case:
    about = f"case {written.name!r}"
    if not written.name.strip() or not written.name.isprintable():
        raise ExperimentError(f"{where(('name',))}: name = {written.name!r}: must be printable, and not empty")
    if written.experiment is None:
        raise ExperimentError(f"{where(())}: {about}: key 'experiment' is missing, here and in [suite]")
    changes = {**dict(leaves(shared.set)), **dict(leaves(written.set))}
    try:
        name = written.experiment
        found = str(path.parent / name) if name.endswith(".toml") else name
        settings = Experiment.load(
            found, [_override(key, value, path.parent) for key, value in changes.items()]
        ).settings
    except ExperimentError as error:
        raise ExperimentError(f"{where(('set',) if written.set else ())}: {about}: {error}") from error
    if settings.chip.bench is not None:
        raise ExperimentError(f"{where(())}: {about}: a regression is of simulated chips; take another chip.kind")
    bands = dict(_bands(written, settings, lambda quantity: f"{where(('bands', quantity))}: {about}"))
    if not bands:
        raise ExperimentError(f"{where(())}: {about}: no bands; say in [case.bands] what it is compared in")
    if written.refresh is not None and written.age is None:
        raise ExperimentError(
            f"{where(('refresh',))}: {about}: refresh counts within an age; give one, or leave it out"
        )
    seeds = (settings.training.seed,) if written.seeds is None else tuple(range(written.seeds))
    shelf = written.age, written.refresh
    return Case(written.name, written.experiment, settings, seeds, bands, written.samples, written.practice, *shelf)


def _bands(written: CaseKeys, settings: Settings, where: Callable[[str], str]) -> Iterator[tuple[str, Band]]:
    for name, table in written.bands.items():
        if name not in QUANTITIES:
            raise ExperimentError(
                f"{where(name)}: unknown quantity {name!r}{did_you_mean(name, QUANTITIES, or_list=True)}"
            )
        if name == "energy" and settings.chip.settling_time is None:
            raise ExperimentError(f"{where(name)}: energy is not counted without chip.settling_time; set it")
        if name in WRITING and settings.programming is None:
            raise ExperimentError(f"{where(name)}: {name} is not counted without [programming]; set programming.device")
        if name in AGED and written.age is None:
            raise ExperimentError(
                f"{where(name)}: {name} is measured after some time; give the case an age, as age = '1 d'"
            )
        if name in AGED and settings.retention.build().absent:
            raise ExperimentError(
                f"{where(name)}: nothing ages without [retention]; set a law, as retention.drift = 0.05"
            )
        try:
            yield name, Band.read(table, QUANTITIES[name].unit)
        except ExperimentError as error:
            raise ExperimentError(f"{where(name)}, {name}: {error}") from error


def _places(path: Path, text: str, count: int) -> Sequence[Callable[[Names], str]]:
    """Return, for each case, a function that says where a key of it stands."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r"\s*\[\[\s*case\s*\]\]", line)]
    if len(starts) != count:  # written in another way, such as an array of inline tables
        return [lambda _: str(path)] * count
    parts = ["\n".join(lines[start:end]) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]
    return [partial(_place, path, part, "case", above=start) for part, start in zip(parts, starts, strict=True)]


def _place(path: Path, text: str, table: str, names: Names, above: int = 0) -> str:
    line = line_of(text, (table, *names))
    return f"{path}, line {above + line}" if line else str(path)


def _override(key: str, value: Any, folder: Path) -> str:
    if key.endswith(".file") and isinstance(value, str):
        value = os.path.realpath(folder / value)
    return f"{key}={json.dumps(value, ensure_ascii=False, default=str)}"


def _with_seed(settings: Settings, seed: int) -> Settings:
    training = settings.training.model_copy(update={"seed": seed})
    return settings.model_copy(update={"training": training})
