"""The sections of an experiment file as validated settings; every key is documented here."""

from pathlib import Path
from typing import Annotated, Literal, Self, Union

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.circuit.graphs import EdgeDiode
from harness.circuit.lines import Law
from harness.errors import CircuitError
from harness.learning.analytical import Form
from harness.learning.equilibrium import Nudging
from harness.learning.generalized import Variant
from harness.measurement import Access
from harness.problems import MismatchError, Unit
from harness.units import show

Volts = Annotated[float, Unit("V")]
Siemens = Annotated[float, Unit("S")]
Amperes = Annotated[float, Unit("A")]
Seconds = Annotated[float, Unit("s")]
Ohms = Annotated[float, Unit("Ohm")]
Number = Annotated[float, Unit("")]
Positive = Annotated[Number, Field(gt=0)]
Whole = Annotated[int, Field(strict=True)]


class Section(BaseModel):
    """Frozen, and without keys that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DataSettings(Section):
    """``[data]``: which rows, and what is wanted at the outputs."""

    set: Literal[
        "digits", "iris", "wine", "xor", "moons", "regression", "allostery", "mnist", "fashion_mnist", "kmnist", "csv"
    ]
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
            count = f"{len(self.bias)} values for {crossbars} crossbars"
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
            raise MismatchError("buffer_gain", f"{len(self.buffer_gain)} values for {len(self.hidden)} hidden layers")
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
            raise MismatchError("inverted", f"{len(self.inverted)} nodes for {len(self.inputs)} inputs")
        return self


class _Rule(Section):
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
    """Of the split, the initial conductances, the order of the samples and the signs of the nudge."""


class VariationSettings(Section):
    """``[variation]``: how the circuit that was made differs from the one that was drawn (`harness.circuit.variation`).

    Learning knows the drawn one: it programs the drawn circuit's conductances and reads its nodes. Fractions are
    relative standard deviations from device to device.
    """

    seed: Annotated[Whole, Field(ge=0, lt=2**32)] | None = None
    """Which of all chips that could be made, in `[imperfect]` and `[programming]` too; training.seed without it."""
    spread: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of every cell's conductance, a factor of its own."""
    spread_law: Law = Law.LOG_NORMAL
    stuck_at_min: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Probability that a cell is stuck at g_min."""
    stuck_at_max: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Probability that a cell is stuck at g_max."""
    open_cells: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Probability that a cell is open."""
    diode_saturation_current: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of every diode's I_s, log-normal."""
    diode_emission: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of every diode's N, normal."""
    source_offset: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """Standard deviation of every bias and shift source, V."""
    source_gain: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of every input pin's gain."""
    leakage: Annotated[Siemens, Field(ge=0, le=1e6)] = 0.0
    """From every node that nothing holds to ground, S."""
    amplifier_gain: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of every amplifier's gain."""
    amplifier_layer_gain: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of the gain that all amplifiers of a layer share."""
    amplifier_offset: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """Standard deviation of every amplifier's input offset, V."""
    line_word: Annotated[Ohms, Field(ge=0, le=1e9)] = 0.0
    """Ω of every segment of a word line; 0 for none."""
    line_bit: Annotated[Ohms, Field(ge=0, le=1e9)] = 0.0
    """Ω of every segment of a bit line; 0 for none."""
    temperature: Annotated[Number, Field(ge=-100, le=300)] = 27.0
    """°C of everything; 27 is nominal."""
    cell_temperature_coefficient: Number = 0.0
    """TC1 of the cells' resistance, 1/K."""
    resistor_temperature_coefficient: Number = 0.0
    """TC1 of other resistors, 1/K."""
    cell_sinh: Annotated[Volts, Field(ge=1e-3, le=1e6)] | None = None
    """V₀ in V of cells with i = g V₀ sinh(v / V₀); settled unreduced, as cells of any curve are."""
    cell_cubic: Annotated[Volts, Field(ge=1e-3, le=1e6)] | None = None
    """V₀ in V of cells with i = g v (1 + (v / V₀)²) instead."""

    @model_validator(mode="after")
    def _one_curve(self) -> Self:
        if self.cell_sinh is not None and self.cell_cubic is not None:
            raise MismatchError("cell_cubic", "cell_sinh says already how the cells' current grows; give one of them")
        return self


class ProgrammingSettings(Section):
    """``[programming]``: cells are written by pulses of a device (`harness.chip.programming`); else exactly.

    Fractions are of the range that the device has in the network.
    """

    device: str | None = None
    """A published device by name (`harness.devices.presets`)."""
    file: Path | None = None
    """Instead, measured pulses as CSV (`harness.devices.measured`), to which the exponential law is fitted."""
    law: Literal["linear", "soft-bounds", "exponential"] | None = None
    """Instead, a law: equal steps, steps in proportion to the way left, or NeuroSim's exponential curve."""
    pulses: Annotated[Number, Field(ge=1, le=1e9)] | None = None
    """For a law: pulses over the range; of soft bounds, as their first step would need."""
    nonlinearity_up: Annotated[Number, Field(ge=-9, le=9)] | None = None
    """For the exponential law: NeuroSim's label, above 0 where steps shrink on the way; 0 without it."""
    nonlinearity_down: Annotated[Number, Field(ge=-9, le=9)] | None = None
    """The same downwards, above 0 where steps shrink."""
    on_off_ratio: Annotated[Number, Field(gt=1)] | None = None
    """g_max over the smallest conductance of a cell; without it that of the device where it is known."""
    range: Literal["array", "ratio"] | None = None
    """Cells reach over g_min…g_max, or from g_max over the on/off ratio; where that is known, the latter without it."""
    mode: Literal["open-loop", "fixed-step", "stochastic", "verify"] = "open-loop"
    """Pulses as the law needs them; one by the sign; at random, right in the mean; or until a read is near enough."""
    max_pulses: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    """For one cell in one write; 100 without it."""
    tolerance: Annotated[Number, Field(gt=0, le=1)] | None = None
    """For ``verify``: fraction within which a cell is near enough; 0.01 without it."""
    threshold: Annotated[Number, Field(ge=0, le=1)] | None = None
    """For ``fixed-step``: fraction that a wanted change must exceed; 0 without it."""
    device_to_device: Annotated[Number, Field(ge=0, le=10)] | None = None
    """Of a device's steps, standard deviation; without it as published or measured, or none."""
    cycle_to_cycle: Annotated[Number, Field(ge=0, le=10)] | None = None
    """Of one pulse, standard deviation as a fraction of the range; without it as published or measured, or none."""
    pairs: Annotated[bool, Field(strict=True)] = False
    """Cells are pulsed up only: where one is to lose, its partner in a differential pair gains."""
    refresh_at: Annotated[Number, Field(ge=1e-6, le=0.9)] | None = None
    """For pairs: fraction below g_max where a pair is reset and written anew; 0.1 without it."""

    @model_validator(mode="after")
    def _one_device(self) -> Self:
        given = [name for name in ("device", "file", "law") if getattr(self, name) is not None]
        if not given:
            raise MismatchError("device", "give a device, a file of measured pulses, or a law")
        if len(given) > 1:
            raise MismatchError(given[1], f"{given[0]} says already what the cells are; give one of them")
        if self.device is not None:
            self._check_device(self.device)
        return self

    @model_validator(mode="after")
    def _law_of_one_s_own(self) -> Self:
        for name in ("pulses", "nonlinearity_up", "nonlinearity_down"):
            if self.law is None and getattr(self, name) is not None:
                raise MismatchError(name, "belongs to a law; a device and a file have their own")
            if self.law not in (None, "exponential") and name != "pulses" and getattr(self, name) is not None:
                raise MismatchError(name, f"law = {self.law!r} has none; only law = 'exponential' has")
        if self.law is not None and self.pulses is None:
            raise MismatchError("pulses", f"law = {self.law!r} needs the number of pulses over the range")
        if self.range == "array" and self.on_off_ratio is not None:
            raise MismatchError("on_off_ratio", "range = 'array' leaves it out; write range = 'ratio'")
        if self.range == "ratio" and self.law is not None and self.on_off_ratio is None:
            raise MismatchError("on_off_ratio", "range = 'ratio' needs it: a law has no conductances of its own")
        return self

    @model_validator(mode="after")
    def _keys_of_modes(self) -> Self:
        for name, mode in (("tolerance", "verify"), ("threshold", "fixed-step")):
            if getattr(self, name) is not None and self.mode != mode:
                raise MismatchError(name, f"belongs to mode = {mode!r}, not {self.mode!r}")
        if self.max_pulses is not None and self.mode == "fixed-step":
            raise MismatchError("max_pulses", "mode = 'fixed-step' writes with one pulse")
        if self.refresh_at is not None and not self.pairs:
            raise MismatchError("refresh_at", "only differential pairs are refreshed; write pairs = true")
        if self.nonlinearity_down is not None and self.pairs:
            raise MismatchError("nonlinearity_down", "pairs are pulsed up only; leave it out")
        return self

    def _check_device(self, name: str) -> None:
        from harness.devices.presets import Preset, preset  # noqa: PLC0415 - its fits take a while to import

        try:
            found = preset(name)
        except CircuitError as error:
            raise MismatchError("device", str(error)) from error
        unknown = isinstance(found, Preset) and (found.g_min is None or found.g_max is None)
        if self.range == "ratio" and unknown and self.on_off_ratio is None:
            raise MismatchError("on_off_ratio", f"range = 'ratio' needs it: the source of {name} gives no conductances")


class ImperfectSettings(Section):
    """``[imperfect]``: what the chip's pins and cells do wrong (`harness.chip.imperfect.PinErrors`)."""

    dac_bits: Annotated[Whole, Field(ge=1, le=24)] | None = None
    """Of every input channel, over ±`dac_range`; 2^bits values from end to end, so that none is 0 V."""
    dac_range: Annotated[Volts, Field(gt=0, le=1e3)] = 1.0
    """V before the input gain."""
    dac_noise: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """V before the input gain, standard deviation, per cycle."""
    adc_bits: Annotated[Whole, Field(ge=1, le=24)] | None = None
    """Of what reads outputs and inner nodes, over ±`adc_range`; 2^bits values, none of them 0 V."""
    adc_range: Annotated[Volts, Field(gt=0, le=1e3)] = 1.0
    """V."""
    read_noise: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """V, standard deviation, per cycle."""
    mismatch: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Fraction, per device, by which the twin network of nudged phases differs."""
    drift: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Fraction of g − g_min that every cell has lost when nudged phases settle, after the free one."""
    decay: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Fraction of g − g_min that every cell forgets from one write to the next."""
    update_bias: Annotated[Siemens, Field(ge=0, le=1e3)] = 0.0
    """S that every write adds to a cell that is written, with a sign per device."""
    programming_noise: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Fraction of a cell's range, per cycle."""
    levels: Annotated[Whole, Field(ge=2, le=2**24)] | None = None
    """Conductances that a cell can hold."""


class ChipSettings(Section):
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
NetworkSettings = Union[  # noqa: UP007
    LayeredSettings,
    DeepResistiveSettings,
    EquilibriumNetworkSettings,
    CascadeSettings,
    GraphSettings,
]
UpdateSettings = Union[SGDSettings, MomentumSettings, AdamSettings]  # noqa: UP007
