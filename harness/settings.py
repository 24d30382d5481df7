"""Experiment files: TOML in, validated settings out; units are parsed here and nowhere else."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from harness.circuit.graphs import EdgeDiode
from harness.errors import ExperimentError
from harness.learning.analytical import Form
from harness.learning.equilibrium import Nudging
from harness.learning.generalized import Variant
from harness.measurement import Access
from harness.problems import MismatchError, Names, Unit, explain, line_of
from harness.units import show

Volts = Annotated[float, Unit("V")]
Siemens = Annotated[float, Unit("S")]
Amperes = Annotated[float, Unit("A")]
Seconds = Annotated[float, Unit("s")]
Number = Annotated[float, Unit("")]
Positive = Annotated[Number, Field(gt=0)]
Whole = Annotated[int, Field(strict=True)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DataSettings(_Section):
    """``[data]``: which rows, and what is wanted at the outputs."""

    set: Literal["digits", "iris", "wine", "xor", "regression", "allostery", "mnist", "fashion_mnist", "kmnist", "csv"]
    file: Path | None = None
    """For ``csv``: the file; paths are relative to the experiment file."""
    label: str = "label"
    """For ``csv``: the column with the class."""
    values: tuple[str, ...] = ()
    """For ``csv``, instead of classes: columns with the voltages wanted at the outputs, V."""
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
    g_unit: Annotated[Siemens, Field(gt=0, le=1e3)]
    """g₀ in S, in which fresh cells and learning rates count: a crossbar's cells are max(0, U(−1, 1)) g₀ / √fan-in, a
    graph's edges U(0.1, 1) g₀."""
    g_min: Annotated[Siemens, Field(ge=0)] = 0.0
    """Smallest conductance of a cell, S; 0 is an open cell."""
    g_max: Annotated[Siemens, Field(gt=0, le=1e6)]
    """Largest conductance of a cell, S."""
    input_gain: Positive = 1.0
    """V at the input pins per V of input."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if not self.g_min < self.g_max:
            raise MismatchError("g_min", f"{show(self.g_min, 'S')} must lie below g_max, {show(self.g_max, 'S')}")
        return self

    @property
    def arrays(self) -> int:
        """Number of trainable arrays."""
        return 1


class _Crossbars(_Network):
    hidden: tuple[Annotated[Whole, Field(ge=1, le=100_000)], ...]
    """Nodes of each hidden layer."""
    bias: tuple[Annotated[Volts, Field(ge=0)], ...] = ()
    """V of the rail pair ±V at each crossbar; 0 for none."""
    diode: DiodeSettings

    @model_validator(mode="after")
    def _one_bias_each(self) -> Self:
        if self.bias and len(self.bias) != self.arrays:
            count = f"{len(self.bias)} values for {self.arrays} crossbars"
            raise MismatchError("bias", f"{count}; give one for each, 0 for none")
        return self

    @property
    def arrays(self) -> int:
        """Number of crossbars."""
        return len(self.hidden) + 1


class LayeredSettings(_Crossbars):
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


class DeepResistiveSettings(_Crossbars):
    """``[network]`` with ``kind = "deep-resistive"``: Scellier's network."""

    kind: Literal["deep-resistive"]


Node = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class GraphSettings(_Network):
    """``[network]`` with ``kind = "graph"``: a free graph of conductances."""

    kind: Literal["graph"]
    shape: Literal["file", "grid", "periodic-grid", "random-regular", "complete", "small-world"]
    """Where its edges come from; nodes of all but ``file`` are called 0, 1, …, row by row in grids."""
    file: Path | None = None
    """For ``file``: CSV with columns a, b and, if wanted, conductance and diode (none, forward, backward, both)."""
    rows: Annotated[Whole, Field(ge=1, le=1000)] = 6
    """For grids."""
    columns: Annotated[Whole, Field(ge=1, le=1000)] = 6
    """For grids."""
    nodes: Annotated[Whole, Field(ge=2, le=100_000)] = 16
    """For the other shapes."""
    degree: Annotated[Whole, Field(ge=2, le=1000)] = 4
    """Edges of every node: for ``random-regular`` and, before rewiring, ``small-world``."""
    rewiring: Annotated[Number, Field(ge=0, le=1)] = 0.1
    """For ``small-world``: probability that an edge is moved."""
    edge_diode: EdgeDiode = EdgeDiode.NONE
    """In series with every conductance (a file says it for each edge)."""
    inputs: tuple[Node, ...]
    """The node that each input channel holds."""
    inverted: tuple[Node, ...] = ()
    """Nodes that hold the negative of each channel, for networks that need both signs."""
    outputs: tuple[str, ...]
    """``"A"`` for a node's voltage, ``"A-B"`` for a drop, ``"i(A-B)"`` for an edge's current, in V over `sense`."""
    grounds: tuple[Node, ...] = ()
    """Nodes held at 0 V."""
    rails: dict[Node, Volts] = {}
    """Nodes held at other voltages, V."""
    sense: Annotated[float, Unit("Ohm"), Field(gt=0)] | None = None
    """Ω in series with an edge whose current is read."""
    diode: DiodeSettings | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.shape == "file" and self.file is None:
            raise MismatchError("file", "shape = 'file' needs a file")
        if self.edge_diode is not EdgeDiode.NONE and self.diode is None:
            raise MismatchError("edge_diode", f"{self.edge_diode.value!r} needs a section [network.diode]")
        if self.inverted and len(self.inverted) != len(self.inputs):
            raise MismatchError("inverted", f"{len(self.inverted)} nodes for {len(self.inputs)} inputs")
        return self


class _Rule(_Section):
    cost: Literal["squared-error", "softmax-cross-entropy"] = "squared-error"
    temperature: Annotated[Volts, Field(gt=0)] = 1.0
    """For softmax cross-entropy: V per unit of logit."""


class EquilibriumSettings(_Rule):
    """``[rule]`` with ``kind = "equilibrium-propagation"``."""

    kind: Literal["equilibrium-propagation"]
    beta: Annotated[Siemens | None, Field(gt=0)] = None
    """Nudging strength at the physical outputs, S; a tenth of g_unit without it."""
    variant: Variant = Variant.CENTERED
    nudging: Nudging | None = None
    """Spring for squared error and current for other costs without it."""

    @model_validator(mode="after")
    def _springs(self) -> Self:
        if self.nudging is Nudging.SPRING and self.cost != "squared-error":
            raise MismatchError("nudging", f"springs are for squared error, not {self.cost}; write nudging = 'current'")
        return self


class CoupledSettings(_Rule):
    """``[rule]`` with ``kind = "coupled-learning"``."""

    kind: Literal["coupled-learning"]
    eta: Annotated[Number, Field(gt=0)] = 0.1
    """η, the share of the way to the target that outputs are clamped at; above 1 overclamps."""
    variant: Variant = Variant.ONE_SIDED


class AnalyticalSettings(_Rule):
    """``[rule]`` with ``kind = "analytical-gradient"``."""

    kind: Literal["analytical-gradient"]
    form: Form = Form.NODE


class LinearizationSettings(_Rule):
    """``[rule]`` with ``kind = "hardware-linearization"``."""

    kind: Literal["hardware-linearization"]
    beta: Annotated[Siemens | None, Field(gt=0)] = None
    """γ, S: A of injected current per V of error, a tenth of g_unit without it; exact at any value."""


class DifferencesSettings(_Rule):
    """``[rule]`` with ``kind = "finite-differences"``."""

    kind: Literal["finite-differences"]
    step: Positive = 1e-3
    """By which every cell is moved up and down, in g_unit."""


class PerturbationSettings(_Rule):
    """``[rule]`` with ``kind = "simultaneous-perturbation"``."""

    kind: Literal["simultaneous-perturbation"]
    step: Positive = 1e-3
    """By which every cell is moved up or down, in g_unit."""
    draws: Annotated[Whole, Field(ge=1, le=1_000_000)] = 1
    """Random directions whose estimates are averaged."""


class SubsetSettings(_Section):
    """``[subset]``: which conductances are written; without the section, all."""

    choose: Literal["random", "largest", "arrays", "mask"]
    """At random once; those with the largest gradients in each step; whole arrays; or as a file says."""
    fraction: Annotated[Number, Field(ge=0, le=1)] = 1.0
    """For ``random`` and ``largest``: share of each array's cells."""
    arrays: tuple[str, ...] = ()
    """For ``arrays``: their names."""
    file: Path | None = None
    """For ``mask``: an npz file with an array of zeros and ones for each trainable array, by its name."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.choose == "arrays" and not self.arrays:
            raise MismatchError("arrays", "choose = 'arrays' needs the names of arrays")
        if self.choose == "mask" and self.file is None:
            raise MismatchError("file", "choose = 'mask' needs a file")
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
    access: Access = Access.NODES
    """What learning rules may read."""
    settling_time: Annotated[Seconds, Field(gt=0)] | None = None
    """s that every phase takes, for the energy that runs record; without it energy is not counted."""


RuleSettings = Union[  # noqa: UP007
    EquilibriumSettings,
    CoupledSettings,
    AnalyticalSettings,
    LinearizationSettings,
    DifferencesSettings,
    PerturbationSettings,
]


class Settings(_Section):
    """A whole experiment file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    description: str = ""
    data: DataSettings
    network: Annotated[Union[LayeredSettings, DeepResistiveSettings, GraphSettings], Field(discriminator="kind")]  # noqa: UP007
    rule: Annotated[RuleSettings, Field(discriminator="kind")]
    update: Annotated[Union[SGDSettings, MomentumSettings, AdamSettings], Field(discriminator="kind")]  # noqa: UP007
    subset: SubsetSettings | None = None
    training: TrainingSettings
    chip: ChipSettings = ChipSettings()

    @field_validator("rule", mode="before")
    @classmethod
    def _usual_rule(cls, rule: Any) -> Any:
        return {"kind": "equilibrium-propagation", **rule} if isinstance(rule, dict) else rule

    @model_validator(mode="after")
    def _one_rate_each(self) -> Self:
        arrays = self.network.arrays
        if len(self.update.rates) not in (1, arrays):
            count = f"{len(self.update.rates)} rates for {arrays} crossbars"
            raise MismatchError("update.rates", f"{count}; give one for each, or one for all")
        return self

    @property
    def beta(self) -> float:
        """Strength in S of nudges and small-signal currents; a tenth of g_unit where the rule does not say."""
        return getattr(self.rule, "beta", None) or 0.1 * self.network.g_unit

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

    return _validated(content, where, lambda path: folder if _change_of(path, changes) is None else Path())


def merged(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with dotted keys changed, validated again; relative paths start in the working directory.

    Raises:
        ExperimentError: a key or value is wrong.
    """
    content = settings.model_dump(mode="json", exclude_none=True)
    for key, value in changes.items():
        _change(content, tuple(key.split(".")), value, f"{key} = {value!r}")
    return _validated(content, lambda _: "experiment", lambda _: Path())


def _validated(content: dict[str, Any], where: Callable[[Names], str], folder: Callable[[Names], Path]) -> Settings:
    """Settings with absolute paths; `where` says where a key stands, `folder` where a relative path in it starts."""
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        raise ExperimentError("\n".join(explain(problem, Settings, where) for problem in error.errors())) from error
    return settings.model_copy(
        update={
            name: section.model_copy(update={"file": (folder((name, "file")) / section.file).resolve()})
            for name in ("data", "network", "subset")
            if getattr(section := getattr(settings, name), "file", None) is not None
        }
    )


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
    if path[-1] == "kind" and value != here.get("kind"):
        _keep_common_keys(here, path, value)
    here[path[-1]] = value


def _keep_common_keys(section: dict[str, Any], path: Names, kind: Any) -> None:
    """A section of another kind keeps what both kinds have, so that one override is enough to change it."""
    field = Settings.model_fields.get(path[0]) if len(path) == 2 else None
    models = {get_args(m.model_fields["kind"].annotation)[0]: m for m in _models(field)}
    usual = "equilibrium-propagation" if path[0] == "rule" else None
    old, new = models.get(section.get("kind", usual)), models.get(kind)
    if old and new:
        for key in set(old.model_fields) - set(new.model_fields):
            section.pop(key, None)


def _models(field: FieldInfo | None) -> list[type[BaseModel]]:
    """The kinds of a section; none where it has no kinds."""
    models = get_args(field.annotation) if field else ()
    return [m for m in models if isinstance(m, type) and issubclass(m, BaseModel) and "kind" in m.model_fields]


def _change_of(path: Names, changes: dict[Names, str]) -> str | None:
    """The last change of a key or of a section around it."""
    return next((changes[made] for made in reversed(changes) if made == path[: len(made)]), None)
