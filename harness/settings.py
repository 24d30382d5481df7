"""Experiment files: TOML in, validated settings out; units are parsed here and nowhere else.

A wrong key names the nearest right one, a wrong value its unit and range, and both the line of the file.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union, get_args

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from harness.errors import ExperimentError, UnitError
from harness.learning.equilibrium import Nudging, Variant
from harness.units import parse


def _unit(unit: str) -> BeforeValidator:
    return BeforeValidator(lambda value: parse(value, unit))


Volts = Annotated[float, _unit("V")]
Siemens = Annotated[float, _unit("S")]
Amperes = Annotated[float, _unit("A")]
Positive = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DataSettings(_Section):
    """``[data]``: which rows, and what is wanted at the outputs."""

    set: Literal["digits", "iris", "wine", "xor", "csv"]
    file: Path | None = None
    """For ``csv``: the file; paths are relative to the experiment file."""
    label: str = "label"
    """For ``csv``: the column with the class."""
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the rows that training never sees; 0 tests on the training rows."""
    targets: tuple[Volts, Volts] = (0.0, 1.0)
    """V of a wrong and of the right output."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.set == "csv") != (self.file is not None):
            raise ValueError("file goes with set = 'csv', and only with it")
        if not self.targets[0] < self.targets[1]:
            raise ValueError(f"targets: the wrong output ({self.targets[0]:g} V) must lie below the right one")
        return self


class DiodeSettings(_Section):
    """``[network.diode]``."""

    saturation_current: Annotated[Amperes, Field(gt=0, le=1)]
    """I_s in A."""
    emission: Annotated[float, Field(ge=0.01, le=100)] = 2.0
    """N."""


class _Network(_Section):
    hidden: tuple[Annotated[int, Field(ge=1, le=100_000)], ...]
    """Nodes of each hidden layer."""
    g_unit: Annotated[Siemens, Field(gt=0, le=1e3)]
    """g₀ in S: fresh cells are max(0, U(−1, 1)) g₀ / √fan-in, and learning rates count in it."""
    g_min: Annotated[Siemens, Field(ge=0)] = 0.0
    """Smallest conductance of a cell, S; 0 is an open cell."""
    g_max: Annotated[Siemens, Field(gt=0, le=1e6)]
    """Largest conductance of a cell, S."""
    input_gain: Positive = 1.0
    """V at the input pins per V of input."""
    bias: tuple[Annotated[Volts, Field(ge=0)], ...] = ()
    """V of the rail pair ±V at each crossbar; 0 for none."""
    diode: DiodeSettings

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if not self.g_min < self.g_max:
            raise ValueError(f"g_min ({self.g_min:g} S) must lie below g_max ({self.g_max:g} S)")
        if self.bias and len(self.bias) != len(self.hidden) + 1:
            raise ValueError(f"bias: {len(self.bias)} values for {len(self.hidden) + 1} crossbars")
        return self


class LayeredSettings(_Network):
    """``[network]`` with ``kind = "layered"``: Kendall's network."""

    kind: Literal["layered"]
    amplifier_gain: Positive = 4.0
    """A of the bidirectional amplifiers; 1 for none."""
    shift: tuple[Volts, Volts] = (-1.0, 1.0)
    """V of the lower and the upper shift source."""

    @model_validator(mode="after")
    def _shifts(self) -> Self:
        if not self.shift[0] < self.shift[1]:
            raise ValueError(f"shift: the lower source ({self.shift[0]:g} V) must lie below the upper one")
        return self


class DeepResistiveSettings(_Network):
    """``[network]`` with ``kind = "deep-resistive"``: Scellier's network."""

    kind: Literal["deep-resistive"]


class RuleSettings(_Section):
    """``[rule]``: how a batch becomes a gradient."""

    kind: Literal["equilibrium-propagation"] = "equilibrium-propagation"
    beta: Annotated[Siemens, Field(gt=0)]
    """Nudging strength at the physical outputs, S."""
    variant: Variant = Variant.CENTERED
    nudging: Nudging = Nudging.SPRING
    cost: Literal["squared-error", "softmax-cross-entropy"] = "squared-error"
    temperature: Annotated[Volts, Field(gt=0)] = 1.0
    """For softmax cross-entropy: V per unit of logit."""

    @model_validator(mode="after")
    def _springs(self) -> Self:
        if self.nudging is Nudging.SPRING and self.cost != "squared-error":
            raise ValueError("nudging: springs are for squared error; write nudging = 'current'")
        return self


class _Update(_Section):
    rates: tuple[Annotated[float, Field(ge=0)], ...]
    """One learning rate per crossbar, or one for all: in g_unit²/V² for sgd and momentum, in g_unit for adam."""
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on the rates from epoch to epoch."""


class SGDSettings(_Update):
    """``[update]`` with ``kind = "sgd"``."""

    kind: Literal["sgd"]


class MomentumSettings(_Update):
    """``[update]`` with ``kind = "momentum"``."""

    kind: Literal["momentum"]
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9


class AdamSettings(_Update):
    """``[update]`` with ``kind = "adam"``."""

    kind: Literal["adam"]
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    epsilon: Positive = 1e-8
    """In units of V²/g_unit."""


class TrainingSettings(_Section):
    """``[training]``."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)]
    batch: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the split, the initial conductances, the order of the samples and the signs of the nudge."""


class ChipSettings(_Section):
    """``[chip]``: what the network is simulated with."""

    kind: Literal["ngspice", "nodal"] = "ngspice"
    reltol: Annotated[float, Field(gt=0, lt=1e-3)] = 1e-6
    vntol: Annotated[Volts, Field(gt=0, lt=1e-3)] = 1e-9
    abstol: Annotated[Amperes, Field(gt=0, lt=1e-6)] = 1e-12


class Settings(_Section):
    """A whole experiment file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    description: str = ""
    data: DataSettings
    network: Annotated[Union[LayeredSettings, DeepResistiveSettings], Field(discriminator="kind")]  # noqa: UP007
    rule: RuleSettings
    update: Annotated[Union[SGDSettings, MomentumSettings, AdamSettings], Field(discriminator="kind")]  # noqa: UP007
    training: TrainingSettings
    chip: ChipSettings = ChipSettings()

    @model_validator(mode="after")
    def _one_rate_each(self) -> Self:
        crossbars = len(self.network.hidden) + 1
        if len(self.update.rates) not in (1, crossbars):
            raise ValueError(
                f"update.rates: {len(self.update.rates)} rates for {crossbars} crossbars; give one for each, or one"
            )
        return self

    def to_toml(self) -> str:
        """The settings with every default in place, as a file that reads back to the same settings."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def read_settings(text: str, source: str, overrides: Sequence[str] = (), folder: Path = Path()) -> Settings:
    """Settings from the text of an experiment file.

    Args:
        text: TOML.
        source: what to call the text in errors.
        overrides: ``key=value`` with a dotted key, values as in TOML (quotes around text may be left out).
        folder: where relative paths in the file start.

    Raises:
        ExperimentError: syntax, keys or values are wrong; names line, key, value, bound and the nearest right key.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{source}: not valid TOML: {error}") from error
    for override in overrides:
        _override(content, override)
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        problems = [_explain(problem, text, source) for problem in error.errors()]
        raise ExperimentError("\n".join(problems)) from error
    except UnitError as error:
        raise ExperimentError(f"{source}: {error}") from error
    if settings.data.file is not None:
        resolved = settings.data.model_copy(update={"file": (folder / settings.data.file).resolve()})
        settings = settings.model_copy(update={"data": resolved})
    return settings


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not (equals and all(path)):
        raise ExperimentError(f"--set {override}: write key=value, such as training.epochs=3")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    here = content
    for part in path[:-1]:
        deeper = here.setdefault(part, {})
        if not isinstance(deeper, dict):
            raise ExperimentError(f"--set {override}: {part} is a value, not a section")
        here = deeper
    here[path[-1]] = parsed


def _explain(problem: ErrorDetails, text: str, source: str) -> str:
    """One sentence for one of pydantic's findings."""
    path = [part for part in problem["loc"] if part not in _TAGS]
    key = ".".join(map(str, path)) or "experiment"
    line = _line_of(text, [str(part) for part in path if not isinstance(part, int)])
    where = f"{source}, line {line}" if line else source
    message = problem["msg"].removeprefix("Value error, ")
    match problem["type"]:
        case "extra_forbidden":
            return f"{where}: unknown key {key!r}{_nearest(path)}"
        case "missing":
            return f"{where}: key {key!r} is missing"
        case "union_tag_invalid" | "union_tag_not_found":
            kinds = problem.get("ctx", {}).get("expected_tags", "")
            return f"{where}: key '{key}.kind' must be one of {kinds or 'the known kinds'}"
        case "value_error":
            return f"{where}: {key}: {message}"
    value = problem["input"]
    return f"{where}: {key} = {value!r}: {message[:1].lower()}{message[1:]}"


_TAGS = {"layered", "deep-resistive", "sgd", "momentum", "adam"}
"""Pydantic puts the kind of a section into the path of an error."""


def _nearest(path: Sequence[Any]) -> str:
    known = sorted(_keys_at([str(part) for part in path[:-1]]))
    close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known keys here: {', '.join(known)}"


def _keys_at(section: Sequence[str]) -> set[str]:
    """Every key that some kind of a section takes."""
    models: list[type[BaseModel]] = [Settings]
    for name in section:
        found = (m.model_fields[name].annotation for m in models if name in m.model_fields)
        models = [model for annotation in found for model in _models_in(annotation)]
    return {key for model in models for key in model.model_fields}


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _line_of(text: str, path: Sequence[str]) -> int | None:
    """The line of a key (or of its nearest section) in TOML as people write it: ``[section]`` and ``key =``."""
    section: list[str] = []
    found: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line):
            section = [part.strip().strip("\"'") for part in header.group(1).split(".")]
            if section == list(path[: len(section)]):
                found = number
        elif key := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            here = section + [part.strip("\"'") for part in key.group(1).split(".")]
            if here == list(path[: len(here)]):
                return number
    return found


def merged(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with dotted keys changed, validated again.

    Raises:
        ExperimentError: a key or value is wrong.
    """
    content = settings.model_dump(mode="json", exclude_none=True)
    for key, value in changes.items():
        *path, last = key.split(".")
        here = content
        for part in path:
            here = here.setdefault(part, {})
        here[last] = value
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise ExperimentError("\n".join(_explain(problem, "", "experiment") for problem in error.errors())) from error
