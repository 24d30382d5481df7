"""Experiment files: TOML in, validated settings out; units are parsed here and nowhere else."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import ExperimentError
from harness.learning.equilibrium import Nudging, Variant
from harness.problems import MismatchError, Names, Unit, explain, line_of
from harness.units import show

Volts = Annotated[float, Unit("V")]
Siemens = Annotated[float, Unit("S")]
Amperes = Annotated[float, Unit("A")]
Number = Annotated[float, Unit("")]
Positive = Annotated[Number, Field(gt=0)]
Whole = Annotated[int, Field(strict=True)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DataSettings(_Section):
    """``[data]``: which rows, and what is wanted at the outputs."""

    set: Literal["digits", "iris", "wine", "xor", "mnist", "fashion_mnist", "kmnist", "csv"]
    file: Path | None = None
    """For ``csv``: the file; paths are relative to the experiment file."""
    label: str = "label"
    """For ``csv``: the column with the class."""
    held_out: Annotated[Number, Field(ge=0, lt=1)] | None = None
    """Share of the rows that training never sees; 0 tests on the training rows.

    Without it, the MNIST-like sets keep their own 10,000 test rows and the others hold out a fifth.
    """
    targets: tuple[Volts, Volts] = (0.0, 1.0)
    """V of a wrong and of the right output."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.set == "csv" and self.file is None:
            raise MismatchError("file", "set = 'csv' needs a file")
        if self.set != "csv" and self.file is not None:
            raise MismatchError("file", f"set = {self.set!r} has no file; only set = 'csv' has one")
        wrong, right = self.targets
        if not wrong < right:
            order = f"the wrong output's {show(wrong, 'V')} must lie below the right one's {show(right, 'V')}"
            raise MismatchError("targets", order)
        return self


class DiodeSettings(_Section):
    """``[network.diode]``."""

    saturation_current: Annotated[Amperes, Field(gt=0, le=1)]
    """I_s in A."""
    emission: Annotated[Number, Field(ge=0.01, le=100)] = 2.0
    """N."""


class _Network(_Section):
    hidden: tuple[Annotated[Whole, Field(ge=1, le=100_000)], ...]
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
            raise MismatchError("g_min", f"{show(self.g_min, 'S')} must lie below g_max, {show(self.g_max, 'S')}")
        if self.bias and len(self.bias) != len(self.hidden) + 1:
            count = f"{len(self.bias)} values for {len(self.hidden) + 1} crossbars"
            raise MismatchError("bias", f"{count}; give one for each, 0 for none")
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
        low, high = self.shift
        if not low < high:
            order = f"the lower source's {show(low, 'V')} must lie below the upper one's {show(high, 'V')}"
            raise MismatchError("shift", order)
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
            raise MismatchError("nudging", f"springs are for squared error, not {self.cost}; write nudging = 'current'")
        return self


class _Update(_Section):
    rates: tuple[Annotated[Number, Field(ge=0)], ...]
    """One learning rate per crossbar, or one for all: in g_unit²/V² for sgd and momentum, in g_unit for adam."""
    decay: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """Factor on the rates from epoch to epoch."""
    to_zero: Annotated[bool, Field(strict=True)] = False
    """Rates fall in a straight line, from step to step, to nothing at the end of the training."""


class SGDSettings(_Update):
    """``[update]`` with ``kind = "sgd"``."""

    kind: Literal["sgd"]


class MomentumSettings(_Update):
    """``[update]`` with ``kind = "momentum"``."""

    kind: Literal["momentum"]
    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9


class AdamSettings(_Update):
    """``[update]`` with ``kind = "adam"``."""

    kind: Literal["adam"]
    beta1: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[Number, Field(ge=0, lt=1)] = 0.999
    epsilon: Positive = 1e-8
    """In units of V²/g_unit."""


class TrainingSettings(_Section):
    """``[training]``."""

    epochs: Annotated[Whole, Field(ge=1, le=1_000_000)]
    batch: Annotated[Whole, Field(ge=1, le=1_000_000)]
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0
    """Of the split, the initial conductances, the order of the samples and the signs of the nudge."""


class ChipSettings(_Section):
    """``[chip]``: what the network is simulated with."""

    kind: Literal["ngspice", "nodal"] = "ngspice"
    reltol: Annotated[Number, Field(gt=0, lt=1e-3)] = 1e-6
    vntol: Annotated[Volts, Field(gt=0, lt=1e-3)] = 1e-9
    abstol: Annotated[Amperes, Field(gt=0, lt=1e-6)] = 1e-12
    chunk: Annotated[Whole, Field(ge=1, le=1024)] = 32
    """Samples per sweep: the portion that one worker takes; the last bits of results depend on it."""


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
            count = f"{len(self.update.rates)} rates for {crossbars} crossbars"
            raise MismatchError("update.rates", f"{count}; give one for each, or one for all")
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
        folder: where relative paths in the text start; those in overrides start in the working directory.

    Raises:
        ExperimentError: syntax, keys or values are wrong; names line, key, value, bound and the nearest right key.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{source}: not valid TOML: {error}") from error
    changes: dict[Names, str] = {}
    for override in overrides:
        path, value = _read_override(override)
        _change(content, path, value, f"--set {override}")
        changes[path] = f"--set {override}"

    def where(path: Names) -> str:
        if (change := _change_of(path, changes)) is not None:
            return change
        line = line_of(text, path)
        return f"{source}, line {line}" if line else source

    is_own = _change_of(("data", "file"), changes) is None
    return _validated(content, where, folder if is_own else Path())


def merged(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with dotted keys changed, validated again; relative paths start in the working directory.

    Raises:
        ExperimentError: a key or value is wrong.
    """
    content = settings.model_dump(mode="json", exclude_none=True)
    for key, value in changes.items():
        _change(content, tuple(key.split(".")), value, f"{key} = {value!r}")
    return _validated(content, lambda _: "experiment", Path())


def _validated(content: dict[str, Any], where: Callable[[Names], str], folder: Path) -> Settings:
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        raise ExperimentError("\n".join(explain(problem, Settings, where) for problem in error.errors())) from error
    if settings.data.file is None:
        return settings
    data = settings.data.model_copy(update={"file": (folder / settings.data.file).resolve()})
    return settings.model_copy(update={"data": data})


def _read_override(override: str) -> tuple[Names, Any]:
    key, equals, value = override.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not (equals and all(path)):
        raise ExperimentError(f"--set {override}: write key=value, such as training.epochs=3")
    try:
        return path, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return path, value.strip()


def _change(content: dict[str, Any], path: Names, value: Any, what: str) -> None:
    here = content
    for depth, part in enumerate(path[:-1], start=1):
        deeper = here.setdefault(part, {})
        if not isinstance(deeper, dict):
            raise ExperimentError(f"{what}: {'.'.join(path[:depth])} is a value, not a section")
        here = deeper
    here[path[-1]] = value


def _change_of(path: Names, changes: dict[Names, str]) -> str | None:
    """The last change of a key or of a section around it."""
    return next((changes[made] for made in reversed(changes) if made == path[: len(made)]), None)
