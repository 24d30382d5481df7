"""Sections of an experiment file as validated settings, with their keys; `chip_sections` has those about the chip."""

import codecs
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.circuit.networks.graphs import EdgeDiode
from harness.learning.rules.analytical import Form
from harness.learning.rules.equilibrium import Nudging
from harness.learning.rules.generalized import Variant
from harness.units import show
from harness.validation import MismatchError, Unit
from harness.wording import counted

Volts = Annotated[float, Unit("V")]
Siemens = Annotated[float, Unit("S")]
Amperes = Annotated[float, Unit("A")]
Seconds = Annotated[float, Unit("s")]
Ohms = Annotated[float, Unit("Ohm")]
Number = Annotated[float, Unit("")]
Positive = Annotated[Number, Field(gt=0)]
Whole = Annotated[int, Field(strict=True)]
Encoding = Literal[
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "cp1250", "cp1251",
    "cp1253", "cp1254", "mac-roman", "cp437", "cp850", "shift-jis", "euc-jp", "euc-kr", "big5", "gb18030"
]  # fmt: skip
"""Encodings of text files, by Python's names."""


class Section(BaseModel):
    """Frozen, and without keys that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DataSettings(Section):
    """``[data]``: which rows, and what is wanted at the outputs."""

    set: Literal[
        "digits", "iris", "wine", "xor", "moons", "regression", "allostery", "mnist", "fashion_mnist", "kmnist", "csv"
    ]
    file: Path | None = None
    """For ``csv``: the file; paths are relative to the experiment file. The other keys of ``csv`` are those down to
    ``scaled``; none of them is for other sets."""
    label: str = "label"
    """The column with the class. Labels are texts as they stand."""
    values: tuple[str, ...] = ()
    """Instead of classes: columns of numbers wanted at the outputs, in V or, scaled, in any unit (see ``scaled``)."""
    inputs: tuple[str, ...] = ()
    """The columns that are inputs, in this order; without it all but the label or values, and row names without a
    heading. Every input gets mean 0 V and deviation 1 V over the training rows."""
    ignore: tuple[str, ...] = ()
    """Columns that are not read; ``""`` means those without a heading."""
    missing: Literal["drop", "mean"] | None = None
    """Leave out rows with a missing cell, or fill inputs with the mean of the training rows (a row without a label or
    value is left out all the same); without it they are refused."""
    labels: Literal["as written", "folded"] | None = None
    """Whether labels that differ by blanks, case or characters alike only are different classes, or one; without it
    they are refused. As written, blanks around a label belong to it."""
    separator: str | None = None
    """The character between cells, or ``"tab"`` or ``"blank"``; without it, the one of comma, semicolon, tab, bar and
    blanks that fits alone."""
    decimal: Literal[".", ","] | None = None
    """The decimal mark; without it, that of the first number that shows it beyond doubt."""
    encoding: Encoding | None = None
    """Without it, what a byte order mark says, or UTF-8."""
    scaled: Annotated[bool, Field(strict=True)] | None = None
    """Whether ``values`` are scaled to ``targets``, or are volts as they stand. Without it they are scaled where
    ``targets`` are given, or where they do not fit as volts: beyond ±5 V, or a column within less than 0.1 V."""
    held_out: Annotated[Number, Field(ge=0, lt=1)] | None = None
    """Share of the rows that training never sees; 0 tests on the training rows.

    Without it, the MNIST-like sets keep their own 10,000 test rows and the others hold out a fifth.
    """
    targets: tuple[Volts, Volts] | None = None
    """V of a wrong and of the right output, 0 V and 1 V without it; for scaled ``values``, V of the smallest and of the
    largest value of the training rows, −1 V and 1 V without it."""
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] | None = None
    """Of the split into training and held-out rows; training.seed without it."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.set == "csv" and self.file is None:
            raise MismatchError("file", "set = 'csv' needs a file")
        if self.set != "csv":
            self._check_alone()
        self._check_columns()
        if self.targets and not self.targets[0] < self.targets[1]:
            low, high = (show(volts, "V") for volts in self.targets)
            raise MismatchError("targets", f"the wrong output's {low} must lie below the right one's {high}")
        if self.scaled is False and self.values and self.targets:
            raise MismatchError("targets", "scaled = false leaves values as they stand; leave one of the two out")
        separator = self.separator
        if separator is not None and (len(separator) != 1 or separator.isalnum() or separator in '"\r\n.+-\0'):
            raise MismatchError("separator", f"{separator!r} is none; write one character, 'tab' or 'blank'")
        return self

    @field_validator("separator", mode="before")
    @classmethod
    def _named_separator(cls, separator: Any) -> Any:
        names = {"tab": "\t", r"\t": "\t", "blank": " "}
        return names.get(separator, separator) if isinstance(separator, str) else separator

    @field_validator("encoding", mode="before")
    @classmethod
    def _usual_name(cls, encoding: Any) -> Any:
        """Encodings go by many names, such as ``utf8`` and ``windows-1252``."""
        try:
            found = codecs.lookup(encoding).name
            return next(name for name in get_args(Encoding) if codecs.lookup(name).name == found)
        except (LookupError, TypeError, ValueError, StopIteration):
            return encoding

    def _check_alone(self) -> None:
        """Other sets take none of the keys of ``csv``, but for a label that nobody reads."""
        for key in _OF_CSV:
            if getattr(self, key) not in (None, ()):
                raise MismatchError(key, f"set = {self.set!r} has no {key}; only set = 'csv' has one")

    def _check_columns(self) -> None:
        """Every column has one use."""
        wanted = self.values or (self.label,)
        for key in ("values", "inputs", "ignore"):
            names = getattr(self, key)
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise MismatchError(key, f"column {twice!r} is there twice")
            if key != "values" and (both := next((name for name in names if name in wanted), None)):
                raise MismatchError(key, f"column {both!r} is the {'value' if self.values else 'label'} to be learned")
        if self.inputs and self.ignore:
            raise MismatchError("ignore", "inputs says which columns are read; leave one of the two out")


_OF_CSV = (
    "file", "values", "inputs", "ignore", "missing", "labels", "separator", "decimal", "encoding", "scaled"
)  # fmt: skip
"""Keys that only a file of one's own has."""


class DiodeSettings(Section):
    """``[network.diode]``."""

    saturation_current: Annotated[Amperes, Field(gt=0, le=1)]
    """I_s in A."""
    emission: Annotated[Number, Field(ge=0.01, le=100)] = 2.0
    """N."""


class _Network(Section):
    g_unit: Annotated[Siemens, Field(gt=0, le=1e3)]
    """g₀ in S, in which fresh cells and learning rates count: a crossbar's cells are max(0, U(−1, 1)) g₀ / √fan-in, a
    graph's edges U(0.1, 1) g₀."""
    g_min: Annotated[Siemens, Field(ge=0)] = 0.0
    """Smallest conductance of a cell, S; 0 is an open cell."""
    g_max: Annotated[Siemens, Field(gt=0, le=1e6)]
    """Largest conductance of a cell, S."""
    input_gain: Positive = 1.0
    """V at the input pins per V of input."""
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] | None = None
    """Of the initial conductances and the edges of random graphs; training.seed without it."""

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
        crossbars = len(self.hidden) + 1
        if self.bias and len(self.bias) != crossbars:
            count = f"{counted(len(self.bias), 'value')} for {counted(crossbars, 'crossbar')}"
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


class EquilibriumNetworkSettings(_Crossbars):
    """``[network]`` with ``kind = "equilibrium"``: Chaffey's resistor–diode equilibrium network, one hidden layer."""

    kind: Literal["equilibrium"]

    @model_validator(mode="after")
    def _one_layer(self) -> Self:
        if len(self.hidden) != 1:
            raise MismatchError("hidden", f"{len(self.hidden)} layers; an equilibrium network has one")
        return self

    @property
    def arrays(self) -> int:
        """Two crossbars, and the conductances between hidden nodes."""
        return 3 if self.hidden[0] > 1 else 2


class CascadeSettings(_Crossbars):
    """``[network]`` with ``kind = "cascade"``: resistor–diode stages joined by buffers."""

    kind: Literal["cascade"]
    buffer_gain: tuple[Number, ...] = ()
    """Of the buffers behind each hidden layer; all 1 without it."""
    rectifier_rail: Volts = 0.0
    """V that the diodes' anodes are held at."""

    @model_validator(mode="after")
    def _one_gain_each(self) -> Self:
        if self.buffer_gain and len(self.buffer_gain) != len(self.hidden):
            raise MismatchError(
                "buffer_gain",
                f"{counted(len(self.buffer_gain), 'value')} for {counted(len(self.hidden), 'hidden layer')}",
            )
        return self


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
    sense: Annotated[Ohms, Field(gt=0)] | None = None
    """Ω in series with an edge whose current is read."""
    diode: DiodeSettings | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.shape == "file" and self.file is None:
            raise MismatchError("file", "shape = 'file' needs a file")
        if self.edge_diode is not EdgeDiode.NONE and self.diode is None:
            raise MismatchError("edge_diode", f"{self.edge_diode.value!r} needs a section [network.diode]")
        if self.inverted and len(self.inverted) != len(self.inputs):
            raise MismatchError(
                "inverted", f"{counted(len(self.inverted), 'node')} for {counted(len(self.inputs), 'input')}"
            )
        return self


class _Rule(Section):
    cost: Literal["squared-error", "softmax-cross-entropy"] = "squared-error"
    temperature: Annotated[Volts, Field(gt=0)] = 1.0
    """For softmax cross-entropy: V per unit of logit."""


class EquilibriumSettings(_Rule):
    """``[rule]`` with ``kind = "equilibrium-propagation"``."""

    kind: Literal["equilibrium-propagation"]
    beta: Annotated[Siemens | None, Field(gt=0)] = None
    """Nudging strength at the physical outputs, S. Without it, or with ``"auto"``, it is a tenth of what outputs see of
    the initial network (`harness.experiment.strength`); the run records the figure."""
    variant: Variant = Variant.CENTERED
    nudging: Nudging | None = None
    """Without it, spring for squared error and current for other costs, or where outputs hang on diodes and β is
    ``"auto"``."""

    @field_validator("beta", mode="before")
    @classmethod
    def _auto(cls, beta: Any) -> Any:
        return None if beta == "auto" else beta

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
    normalized: Annotated[bool, Field(strict=True)] = True
    """Whether the contrast is divided by η; without it, η scales the update, as in a circuit that does not divide."""


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


class SubsetSettings(Section):
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


class _Update(Section):
    rates: tuple[Annotated[Number, Field(ge=0)], ...]
    """One learning rate per crossbar, or one for all: in g_unit²/V² for sgd and momentum, in g_unit for adam."""
    decay: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """Factor on the rates from epoch to epoch."""
    to_zero: Annotated[bool, Field(strict=True)] = False
    """Rates fall in a straight line, from step to step, to nothing at the end of the training."""
    accumulate: Annotated[Number, Field(ge=0)] = 0.0
    """Changes are summed, and written in whole multiples of this, in g_unit; 0 writes them at once."""


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


class TrainingSettings(Section):
    """``[training]``."""

    epochs: Annotated[Whole, Field(ge=1, le=1_000_000)]
    batch: Annotated[Whole, Field(ge=1, le=1_000_000)]
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0
    """Of the order of the samples, the signs of the nudge and the choice of a subset; also of the split, the initial
    conductances and the chip, unless data.seed, network.seed and variation.seed say others."""


RuleSettings = Union[  # noqa: UP007
    EquilibriumSettings,
    CoupledSettings,
    AnalyticalSettings,
    LinearizationSettings,
    DifferencesSettings,
    PerturbationSettings,
]
NetworkSettings = Union[  # noqa: UP007
    LayeredSettings,
    DeepResistiveSettings,
    EquilibriumNetworkSettings,
    CascadeSettings,
    GraphSettings,
]
UpdateSettings = Union[SGDSettings, MomentumSettings, AdamSettings]  # noqa: UP007
