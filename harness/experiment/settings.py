"""Experiment files: TOML and overrides become validated settings, in SI units; every section has a file of its own."""

import os
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from pydantic import Field, field_validator, model_validator

from harness.errors import ExperimentError
from harness.experiment.chip import ChipDescription, ChipSettings
from harness.experiment.data import DataSettings
from harness.experiment.network import NetworkSettings
from harness.experiment.nonideal.imperfect import ImperfectSettings
from harness.experiment.nonideal.programming import ProgrammingSettings
from harness.experiment.nonideal.retention import RetentionSettings
from harness.experiment.nonideal.variation import VariationSettings
from harness.experiment.rule import USUAL, RuleSettings
from harness.experiment.training import TrainingSettings
from harness.experiment.update import SubsetSettings, UpdateSettings
from harness.files.reading import JsonObject, check_values, parse_toml
from harness.plugins import Plugin
from harness.training.controller import Plan
from harness.validation import (
    PLUGGED,
    MismatchError,
    Names,
    Section,
    kinds_of,
    line_of,
    models_in,
    said,
    unit_of,
    validated,
)
from harness.wording import counted

_SHOWN = 200
"""Characters of an override that errors repeat."""
_OPTIONS = {"kind": ("options", "profile", "resource"), "set": ("options",), "cost": ("cost_options",)}
"""Keys that name plug-ins or a board, and those of the keys that belong to one."""
PLACES = ("chip.profile", "chip.resource")
"""Keys that say where something lies, beside those that name files; it may move."""
NON_IDEALITIES = ("variation", "programming", "imperfect", "retention")
"""Sections of what is wrong with a chip."""


class Settings(Section):
    """A whole experiment file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name of the experiment, which runs and circuits take: letters, digits, ``_`` and ``-``."""
    description: str = ""
    """A sentence for `harness list` and reports."""
    data: DataSettings
    network: Annotated[NetworkSettings, Field(discriminator="kind")]
    rule: RuleSettings
    update: Annotated[UpdateSettings, Field(discriminator="kind")]
    subset: SubsetSettings | None = None
    training: TrainingSettings
    chip: ChipSettings = ChipSettings()
    variation: VariationSettings = VariationSettings()
    programming: ProgrammingSettings | None = None
    imperfect: ImperfectSettings = ImperfectSettings()
    retention: RetentionSettings = RetentionSettings()

    @field_validator("rule", mode="before")
    @classmethod
    def _usual_rule(cls, rule: Any) -> Any:
        return {"kind": USUAL, **rule} if isinstance(rule, dict) else rule

    @model_validator(mode="after")
    def _one_rate_each(self) -> Self:
        arrays = self.network.arrays
        if len(self.update.rates) not in (1, arrays):
            count = f"{counted(len(self.update.rates), 'rate')} for {counted(arrays, 'crossbar')}"
            raise MismatchError("update.rates", f"{count}; give one for each, or one for all")
        return self

    @model_validator(mode="after")
    def _lines_or_selectors(self) -> Self:
        if self.variation.resistive_lines and self.network.selected:
            why = "lines of cells with selectors have no resistance; leave it or [network.selector] out"
            raise MismatchError(f"variation.{self.variation.resistive_lines[0]}", why)
        return self

    @property
    def split_seed(self) -> int:
        """Seed of the split into training and held-out rows."""
        return self.training.seed if self.data.seed is None else self.data.seed

    @property
    def network_seed(self) -> int:
        """Seed of the initial conductances and of the edges of random graphs."""
        return self.training.seed if self.network.seed is None else self.network.seed

    @property
    def chip_seed(self) -> int:
        """Seed of what differs from chip to chip and from device to device."""
        return self.training.seed if self.variation.seed is None else self.variation.seed

    @classmethod
    def unit_of(cls, key: str) -> str:
        """The unit of a dotted key, such as S of ``rule.beta``; nothing where it has none."""
        return unit_of(key, cls)

    def pinned(self) -> Self:
        """Return the settings with every seed under its own key, which another training.seed does not change."""
        pinned = {name: getattr(self, name).model_copy(update={"seed": seed}) for name, seed in self.seeds.items()}
        return self.model_copy(update=pinned)

    @property
    def seeds(self) -> dict[str, int]:
        """Seeds that sections have of their own or take from training.seed, by section."""
        return {"data": self.split_seed, "network": self.network_seed, "variation": self.chip_seed}

    @property
    def files(self) -> dict[str, Path]:
        """Files that sections name, by dotted key."""
        named = {f"{name}.file": getattr(getattr(self, name), "file", None) for name in type(self).model_fields}
        named |= self.chip.profile_file
        return {key: file for key, file in named.items() if file is not None}

    @property
    def plugins(self) -> list[Plugin]:
        """Plug-ins of other packages, by the names that sections give."""
        chip = [] if self.chip.plugin is None else [self.chip.plugin]
        return [*self.data.plugged, *self.rule.plugged, *chip, *self.variation.plugged]

    @property
    def chip_description(self) -> ChipDescription:
        """All sections about the chip."""
        wrong = self.variation, self.programming, self.imperfect, self.retention
        return ChipDescription(self.chip, *wrong, self.chip_seed)

    @property
    def plan(self) -> Plan:
        """Epochs, batch size, seed, and how rates fall."""
        return self.training.build(self.update.schedule)

    @property
    def ideal(self) -> Self:
        """Return the settings with an ideal nodal chip: nothing varies, nothing is imperfect, writes are exact."""
        plain: dict[str, Any] = {name: type(self).model_fields[name].get_default() for name in NON_IDEALITIES}
        return self.model_copy(update={**plain, "chip": ChipSettings(kind="nodal", access=self.chip.access)})

    def to_toml(self, folder: Path | None = None) -> str:
        """The settings with every default in place, as a file that reads back to the same settings.

        Files in `folder`, where the text will lie, are named by a path from there, so that the folder may move.
        """
        content = self.model_dump(mode="json", exclude_none=True)
        here = None if folder is None else Path(os.path.realpath(folder))
        for key, file in self.files.items():
            section, _, last = key.partition(".")
            if here is not None and file.is_relative_to(here):
                content[section][last] = str(file.relative_to(here))
        return tomli_w.dumps(content)


def read_settings(
    text: str, source: str, overrides: Sequence[str] = (), folder: Path = Path(), *, swept: Sequence[str] = ()
) -> Settings:
    """Settings from the text of an experiment file.

    Args:
        text: TOML.
        source: what to call the text in errors.
        overrides: ``key=value`` with a dotted key, values as in TOML (quotes around text may be left out).
        folder: where relative paths in the text start; those in overrides start in the working directory.
        swept: overrides behind the option that they came from, such as ``--over rule.beta=1 uS``.

    Raises:
        ExperimentError: syntax, keys or values are wrong; names line, key, value, bound and the nearest right key.
    """
    if overrides and isinstance(overrides, str | Mapping):
        raise ExperimentError(f"overrides: {overrides!r} must be a list of texts, such as ['training.epochs=3']")
    content = deepcopy(_tables(text, source))
    changes: dict[Names, str] = {}
    for override in (*(f"--set {override}" for override in overrides), *swept):
        path, value = _read_override(override)
        _change(content, path, value, override, changes)
        changes[path] = override

    def where(path: Names) -> str:
        if (change := _change_of(path, changes)) is not None:
            return change
        line = line_of(text, path)
        return f"{source}, line {line}" if line else source

    return _validated(content, where, lambda path: folder if _change_of(path, changes) is None else Path())


@lru_cache(maxsize=4)
def _tables(text: str, source: str) -> JsonObject:
    """The tables of a file, which a sweep reads anew for each of its points; nobody may change them."""
    return parse_toml(text, ExperimentError, source)


def merged(settings: Settings, changes: JsonObject) -> Settings:
    """Settings with dotted keys changed, validated again; relative paths start in the working directory.

    Raises:
        ExperimentError: a key or value is wrong.
    """
    content = settings.model_dump(mode="json", exclude_none=True)
    for key, value in changes.items():
        check_values(value, ExperimentError, key)  # a run has to be able to record it
        _change(content, tuple(key.split(".")), value, f"{key} = {value!r}", [tuple(one.split(".")) for one in changes])
    return _validated(content, lambda _: "experiment", lambda _: Path())


def differences(then: Settings, now: Settings, sections: Sequence[str] = ()) -> dict[str, tuple[str, str]]:
    """Dotted keys (of some sections, or of all) whose values differ, each with both values as people write them."""
    old, new = (dict(leaves(each.model_dump(mode="json"))) for each in (then, now))
    keys = [key for key in dict.fromkeys([*old, *new]) if not sections or key.partition(".")[0] in sections]
    pairs = {key: (old.get(key), new.get(key)) for key in keys}
    units = {key: Settings.unit_of(key) for key, (a, b) in pairs.items() if a != b}
    return {key: (said(pairs[key][0], unit), said(pairs[key][1], unit)) for key, unit in units.items()}


def leaves(table: JsonObject, start: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of a table in tables, with their values."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{start}{key}.")
        else:
            yield start + key, value


def _validated(content: JsonObject, where: Callable[[Names], str], folder: Callable[[Names], Path]) -> Settings:
    """Settings with absolute paths; `where` says where a key stands, `folder` where a relative path in it starts."""
    settings = validated(Settings, content, where)
    changed = {}
    for key, file in settings.files.items():
        name, _, last = key.partition(".")
        path = _absolute(folder((name, last)) / file, key, where((name, last)))
        changed[name] = getattr(settings, name).model_copy(update={last: path})
    return settings.model_copy(update=changed)


def _absolute(file: Path, key: str, place: str) -> Path:
    """A file's absolute path, which a run records; TOML is UTF-8."""
    path = Path(os.path.realpath(file))  # unlike Path.resolve, of a link to itself too
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        why = "no run can record this path, which is not UTF-8; rename the folder"
        raise ExperimentError(f"{place}: {key} = {str(path)!r}: {why}") from error
    return path


def _read_override(override: str) -> tuple[Names, Any]:
    key, equals, value = override.partition(" ")[2].partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not (equals and all(path)):
        raise ExperimentError(f"{override}: write key=value, such as training.epochs=3")
    try:
        return path, parse_toml(f"value = {value}", ExperimentError, _shortened(override))["value"]
    except ExperimentError as error:
        if isinstance(error.__cause__, tomllib.TOMLDecodeError):  # a text without quotes
            return path, value.strip()
        raise


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _change(content: JsonObject, path: Names, value: Any, what: str, others: Collection[Names]) -> None:
    """Change a key of a file, as `what` says in messages; `others` are changed, too."""
    here = content
    for depth, part in enumerate(path[:-1], start=1):
        deeper = here.setdefault(part, {})
        if not isinstance(deeper, dict):
            raise ExperimentError(f"{what}: {'.'.join(path[:depth])} is a value, not a section")
        here = deeper
    if path[-1] == "kind" and value != here.get("kind"):
        _keep_common_keys(here, path, value)
    if value != here.get(path[-1]):
        for key in _OPTIONS.get(path[-1], ()):
            if not any(other[:2] == (path[0], key) for other in others):
                here.pop(key, None)
    here[path[-1]] = value


def _keep_common_keys(section: JsonObject, path: Names, kind: Any) -> None:
    """Keep the common keys of a section whose kind changes, so that one override is enough to change the kind."""
    field = Settings.model_fields.get(path[0]) if len(path) == 2 else None
    found = [m for m in models_in(field.annotation) if "kind" in m.model_fields] if field else []
    models = {(*kinds_of(model), PLUGGED)[0]: model for model in found}
    before = section.get("kind", USUAL if path[0] == "rule" else None)
    old, new = (models.get(str(name), models.get(PLUGGED)) for name in (before, kind))
    if old and new:
        for key in set(old.model_fields) - set(new.model_fields):
            section.pop(key, None)


def _change_of(path: Names, changes: dict[Names, str]) -> str | None:
    """The last change of a key or of a section around it."""
    return next((changes[made] for made in reversed(changes) if made == path[: len(made)]), None)
