"""``[rule]``: what learning lowers, and how a batch becomes a gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self, Union

import numpy as np
from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_validator,
)

from harness.chip.nodal.chip import nodal_chip
from harness.circuit import Circuit
from harness.datasets import Split
from harness.errors import ExperimentError, PluginError
from harness.experiment.strength import SHARE, Share, Strength, bearable
from harness.learning import (
    AnalyticalGradient,
    AsymmetricEquilibriumPropagation,
    CoupledLearning,
    Devices,
    EquilibriumPropagation,
    FiniteDifferences,
    Form,
    FrequencyPropagation,
    HardwareLinearization,
    NodePerturbation,
    Nudging,
    OneWay,
    SimultaneousPerturbation,
    Unstable,
    Variant,
)
from harness.learning.costs import Cost, SoftmaxCrossEntropy, SquaredError
from harness.learning.rules.base import LearningRule, Programmable
from harness.measurement import Access, Batch
from harness.plugins import Kind, Plugin, find, named, options_of
from harness.validation import (
    PLUGGED,
    Flag,
    Hertz,
    In,
    MismatchError,
    Positive,
    Section,
    Siemens,
    Volts,
    Whole,
    kinds_of,
)

USUAL = "equilibrium-propagation"
"""The kind of a section that does not say one."""
ETA = 0.1
"""η of coupled learning without a figure of its own."""
FREQUENCY = 1e3
"""Hz of frequency propagation without a figure of its own."""
STEP = 1e-3
"""By which baselines move cells without a figure of their own, in g_unit."""
_COSTS = ("squared-error", "softmax-cross-entropy")


@dataclass(frozen=True)
class Units:
    """Units of the pure numbers of ``[rule]`` and ``[update]``."""

    conductance: float
    """g_unit, S."""
    rate: float
    """Unit of rates: g_unit² in S², or g_unit in S where the rule gives directions in V² instead of gradients."""

    @property
    def gradient(self) -> float:
        """The scale of gradients: 1/g_unit in 1/S, or 1 where the rule gives directions in V²."""
        return self.conductance / self.rate

    @property
    def of_resistances(self) -> "Units":
        """The units where steps are taken in resistances, whose gradients are g² times those of conductances."""
        return Units(1 / self.conductance, self.rate / self.conductance**4)


@dataclass(frozen=True)
class Given:
    """The parts of an experiment for which a rule is built."""

    circuit: Circuit
    cost: Cost
    strength: Strength
    units: Units
    access: Access
    """The nodes of the chip that the rule may read."""

    @property
    def twin(self) -> Callable[[], Programmable] | None:
        """Makes a digital model of the chip, which predicts the nodes that may not be read; None where all may."""
        return partial(nodal_chip, self.circuit) if self.access is Access.OUTPUTS else None


class RulePlugin(Protocol):
    """An object behind a name among the entry points ``"harness.rules"``.

    With a class ``Options``, a model of pydantic's, too, ``[rule.options]`` are validated by it, and `build` gets one.
    """

    def build(self, options: Any, given: Given) -> LearningRule:
        """Make a rule; its gradients are in V²/S, and rates count in g_unit² then."""
        ...


class CostPlugin(Protocol):
    """An object behind a name among the entry points ``"harness.costs"``; options as those of `RulePlugin`."""

    def build(self, options: Any, valued: bool) -> Cost:
        """Make a cost, of values or of classes."""
        ...


class _Rule(Section):
    cost: Annotated[str, named(Kind.COST, _COSTS)] = "squared-error"
    """The cost C that learning lowers: ``squared-error``, ``softmax-cross-entropy``, or the name of a plug-in's
    (`harness.learning.costs`)."""
    cost_options: Annotated[dict[str, Any] | None, options_of(Kind.COST, "cost", _COSTS)] = None
    """Options for the cost of a plug-in, which says what they mean."""
    temperature: Annotated[Volts, Field(gt=0)] = 1.0
    """For softmax cross-entropy: volts at an output for each unit of its logit."""
    in_volts: ClassVar[bool] = False
    """True where the rule gives directions in V² instead of gradients in V²/S."""

    def build_cost(self, data: Split) -> Cost:
        """The cost, which learning lowers."""
        if self.cost == "squared-error":
            return SquaredError(classes=not data.valued)
        if self.cost == "softmax-cross-entropy":
            return SoftmaxCrossEntropy(self.temperature)
        plugin = find(Kind.COST, self.cost, _COSTS)
        cost: Cost = plugin.build(("values", "slopes", "score"), self.cost_options, data.valued)
        _check_cost(cost, plugin, data.train.first(2).batch(slice(None)))
        return cost

    @property
    def plugged(self) -> list[Plugin]:
        """Plug-ins of other packages that the section names."""
        return [] if self.cost in _COSTS else [find(Kind.COST, self.cost, _COSTS)]

    def units(self, g_unit: float) -> Units:
        """Return the units of its numbers and of those of the update, for a network's g_unit in S."""
        return Units(g_unit, g_unit if self.in_volts else g_unit**2)

    @property
    def both_signs(self) -> bool:
        """True where outputs are nudged by −β, too."""
        return False

    @property
    def falls_back(self) -> bool:
        """True where samples without a stable state under −β are compared one-sided."""
        return False

    @property
    def usual_nudging(self) -> Nudging:
        """Springs for squared error, current for other costs."""
        return Nudging.SPRING if self.cost == "squared-error" else Nudging.CURRENT

    @property
    def chosen(self) -> frozenset[str]:
        """Keys whose values stand for others that a run chooses when it begins."""
        return frozenset()

    def strength(self, circuit: Circuit, rows: Batch, unit: float) -> Strength:
        """Return the strength of all nudges of the network: in an audit, in a testbench, and by rules that have a β.

        Args:
            circuit: with its initial conductances.
            rows: some training samples.
            unit: g_unit, S.

        Raises:
            ExperimentError: springs are asked for where outputs hang on diodes.
            CircuitError: the circuit cannot be reduced, or a node of it floats.
        """
        return bearable(circuit, rows, unit, self.usual_nudging)

    def recorded(self, strength: Callable[[], Strength]) -> Self:  # noqa: ARG002
        """The section as a run keeps it: with the figures that it leaves open."""
        return self


class EquilibriumSettings(_Rule):
    """Equilibrium propagation: free and nudged phases are compared.

    Source: Scellier & Bengio 2017, Front. Comput. Neurosci. 11, 24; Kendall et al. 2020, arXiv 2006.01981.
    """

    kind: Literal["equilibrium-propagation"]
    beta: Annotated[Siemens | None, Field(gt=0)] = None
    """Strength β of the nudge at the outputs, in S; or, such as ``"5 %"``, a share of the conductance that the outputs
    see of the initial network. Without it, or with ``"auto"``, it is a tenth of that conductance
    (`harness.experiment.strength.SHARE`). A run records the figure in S when it begins, and keeps it."""
    variant: Variant = Variant.CENTERED
    """The two strengths that are compared."""
    nudging: Nudging | None = None
    """Pull on the outputs. Without it, springs for squared error; currents for other costs, and where outputs hang
    on diodes and β is ``"auto"`` or a share."""
    unstable: Unstable = Unstable.REFUSE
    """Treatment of samples that springs of −β leave no stable state; simulated chips look at each."""
    one_way: OneWay = OneWay.REFUSE
    """Treatment of transistors that let no errors back, as cells' selectors between two free nodes; with ``"ignore"``
    they are nudged as if they did, and gradients have a bias."""

    @field_validator("beta", mode="wrap")
    @classmethod
    def _beta(cls, beta: Any, read: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(beta, str) and beta.strip().endswith("%"):
            return Share.read(beta)
        return beta if isinstance(beta, Share) else read(None if beta == "auto" else beta)

    @field_serializer("beta")
    def _written(self, beta: float | None) -> float | str | None:
        return str(beta) if isinstance(beta, Share) else beta

    @model_validator(mode="after")
    def _springs(self) -> Self:
        if self.nudging is Nudging.SPRING and self.cost != "squared-error":
            raise MismatchError("nudging", f"springs are for squared error, not {self.cost}; write nudging = 'current'")
        return self

    @property
    def both_signs(self) -> bool:
        """See `_Rule.both_signs`."""
        return self.variant is not Variant.ONE_SIDED

    @property
    def falls_back(self) -> bool:
        """See `_Rule.falls_back`."""
        return self.unstable is Unstable.ONE_SIDED

    @property
    def chosen(self) -> frozenset[str]:
        """See `_Rule.chosen`."""
        return frozenset({"rule.beta"} if isinstance(self.beta, Share) else ())

    def strength(self, circuit: Circuit, rows: Batch, unit: float) -> Strength:
        """Return its own β, or one that the network bears."""
        if self.beta is None or isinstance(self.beta, Share):
            return bearable(circuit, rows, unit, self.usual_nudging, self.nudging, self.beta or SHARE)
        return Strength(self.beta, self.nudging or self.usual_nudging)

    def recorded(self, strength: Callable[[], Strength]) -> Self:
        """Return the section with the β and the nudging that ``"auto"`` or a share stands for."""
        resolved = self.beta is not None and not isinstance(self.beta, Share)
        return self if resolved else self.model_copy(update=vars(strength()))

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        nudge: dict[str, Any] = {"beta": given.strength.beta, "nudging": given.strength.nudging}
        nudge |= {"unstable": self.unstable, "one_way": self.one_way}
        return EquilibriumPropagation(given.circuit, given.cost, variant=self.variant, **nudge)


class AsymmetricSettings(_Rule):
    """Equilibrium propagation for circuits with buffers or gyrators, which work backwards while outputs are nudged.

    Source: Scurria, Vanden Abeele, Mognetti, Massar 2026, arXiv 2602.03670.
    """

    kind: Literal["asymmetric-equilibrium-propagation"]
    beta: Annotated[Siemens | None, Field(gt=0)] = None
    """Strength β of the currents −β ∂C/∂v that nudge the outputs. Without it, a tenth of the conductance that the
    outputs see of the initial network (`harness.experiment.strength.SHARE`); the run records the figure."""
    variant: Variant = Variant.CENTERED
    """The two strengths that are compared."""

    @property
    def usual_nudging(self) -> Nudging:
        """Currents, for they wait for the free outputs, and so does what reverses the circuit."""
        return Nudging.CURRENT

    def strength(self, circuit: Circuit, rows: Batch, unit: float) -> Strength:
        """Return its own β, or one that suits the network."""
        return Strength(self.beta, Nudging.CURRENT) if self.beta is not None else super().strength(circuit, rows, unit)

    def recorded(self, strength: Callable[[], Strength]) -> Self:
        """Return the section with the β of a network that gives it."""
        return self if self.beta is not None else self.model_copy(update={"beta": strength().beta})

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        beta = given.strength.beta
        return AsymmetricEquilibriumPropagation(given.circuit, given.cost, beta=beta, variant=self.variant)


class CoupledSettings(_Rule):
    """Coupled learning: free and clamped phases are compared. Source: Stern et al. 2021, PRX 11, 021045."""

    kind: Literal["coupled-learning"]
    eta: Positive = ETA
    """Share η of the way to the target at which outputs are clamped; above 1 it overclamps (Dillavou et al. 2025, arXiv
    2505.22887)."""
    variant: Variant = Variant.ONE_SIDED
    """The two shares that are compared, with η in place of β."""
    normalized: Flag = True
    """True to divide the contrast by η; otherwise η scales the update, as in a circuit that does not divide."""
    in_volts: ClassVar[bool] = True

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        how: dict[str, Any] = {"eta": self.eta, "variant": self.variant, "normalized": self.normalized}
        return CoupledLearning(given.circuit, given.cost, **how)


class AnalyticalSettings(_Rule):
    """The analytical gradient: outputs are read, and the rest is computed.

    Source: Lin et al. 2026, arXiv 2602.03546.
    """

    kind: Literal["analytical-gradient"]
    form: Form = Form.NODE
    """Form of the equations; both give the same gradient."""

    def build(self, given: Given) -> LearningRule:
        """The rule; where inner nodes are not read, it predicts them by a twin."""
        return AnalyticalGradient(given.circuit, given.cost, form=self.form, twin=given.twin)


class _SmallSignalRule(_Rule):
    beta: Annotated[Siemens | None, Field(gt=0)] = None
    """Injected current γ for each volt of error, exact at any value. Without it, a tenth of g_unit
    (`harness.experiment.strength.SHARE`)."""

    def strength(self, circuit: Circuit, rows: Batch, unit: float) -> Strength:  # noqa: ARG002
        """Return its own γ, or one that suits the size of the network's conductances."""
        return Strength(SHARE * unit if self.beta is None else self.beta, self.usual_nudging)


class LinearizationSettings(_SmallSignalRule):
    """Hardware linearization: the gradient is measured as a small signal.

    Source: Chaffey 2025, arXiv 2509.13793.
    """

    kind: Literal["hardware-linearization"]
    form: Devices = Devices.SLOPES
    """Conductances that take the devices' places in the small-signal phase: the slopes of their laws, or, with
    ``ideal``, a short where a device conducts and an open where it does not, as in the paper."""

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        return HardwareLinearization(given.circuit, given.cost, gamma=given.strength.beta, form=self.form)


class FrequencySettings(_SmallSignalRule):
    """Frequency propagation: errors oscillate about the free state, and are read at their frequency.

    Source: Anisetti, Kandala, Scellier, Schwarz 2024, arXiv 2208.08862.
    """

    kind: Literal["frequency-propagation"]
    frequency: Annotated[Hertz, Field(gt=0)] = FREQUENCY
    """Frequency of the errors; it matters where `chip.node_capacitance` or `chip.line_capacitance` is above 0."""

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        gamma = given.strength.beta
        return FrequencyPropagation(given.circuit, given.cost, gamma=gamma, frequency=self.frequency)


class NodeSettings(_Rule):
    """Node perturbation: one cell for about every node is moved, and the cost is looked at.

    Source: Widrow & Lehr 1990, Proc. IEEE 78, 1415; Fiete & Seung 2006, PRL 97, 048104.
    """

    kind: Literal["node-perturbation"]
    step: Annotated[Positive, In("g_unit")] = STEP
    """Change by which one cell for every node is moved up and down."""
    draws: Annotated[Whole | None, Field(ge=1, le=1_000_000)] = None
    """Number of random directions in which all nodes are perturbed at once; without it, one node after the other."""

    def build(self, given: Given) -> LearningRule:
        """The rule; where inner nodes are not read, a twin predicts them."""
        step = self.step * given.units.conductance
        return NodePerturbation(given.circuit, given.cost, step=step, draws=self.draws, twin=given.twin)


class DifferencesSettings(_Rule):
    """Finite differences: every cell is moved on its own, as a baseline."""

    kind: Literal["finite-differences"]
    step: Annotated[Positive, In("g_unit")] = STEP
    """Change by which every cell is moved up and down."""

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        return FiniteDifferences(given.circuit, given.cost, step=self.step * given.units.conductance)


class PerturbationSettings(_Rule):
    """Simultaneous perturbation: all cells are moved at random at once.

    Source: Spall 1992, IEEE Trans. Autom. Control 37.
    """

    kind: Literal["simultaneous-perturbation"]
    step: Annotated[Positive, In("g_unit")] = STEP
    """Change by which every cell is moved up or down."""
    draws: Annotated[Whole, Field(ge=1, le=1_000_000)] = 1
    """Number of random directions whose estimates are averaged."""

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        step = self.step * given.units.conductance
        return SimultaneousPerturbation(given.circuit, given.cost, step=step, draws=self.draws)


_OWN = (
    EquilibriumSettings,
    AsymmetricSettings,
    CoupledSettings,
    AnalyticalSettings,
    LinearizationSettings,
    FrequencySettings,
    NodeSettings,
    DifferencesSettings,
    PerturbationSettings,
)
_RULES = tuple(kind for model in _OWN for kind in kinds_of(model))


class PluginRuleSettings(_Rule):
    """A rule that an installed package brings: ``kind`` is the name of its plug-in."""

    kind: str
    options: Annotated[dict[str, Any] | None, options_of(Kind.RULE, "kind", _RULES)] = None
    """Options of the plug-in, which gives them their meaning."""

    @model_validator(mode="before")
    @classmethod
    def _offered(cls, section: dict[str, Any]) -> dict[str, Any]:
        try:
            find(Kind.RULE, section["kind"], _RULES)
        except ExperimentError as error:
            raise MismatchError("kind", str(error), section["kind"]) from error
        return section

    @property
    def plugged(self) -> list[Plugin]:
        """Plug-ins of other packages that the section names."""
        return [find(Kind.RULE, self.kind, _RULES), *super().plugged]

    def build(self, given: Given) -> LearningRule:
        """The plug-in's rule."""
        rule: LearningRule = self.plugged[0].build(("needs", "measure", "gradient"), self.options, given)
        return rule


def _kind(section: Any) -> str:
    """The model that a section is validated by."""
    kind = section.get("kind") if isinstance(section, dict) else getattr(section, "kind", USUAL)
    return kind if kind in _RULES else PLUGGED if isinstance(kind, str) else repr(kind)


RuleSettings = Annotated[
    Union[  # noqa: UP007
        Annotated[EquilibriumSettings, Tag("equilibrium-propagation")],
        Annotated[AsymmetricSettings, Tag("asymmetric-equilibrium-propagation")],
        Annotated[CoupledSettings, Tag("coupled-learning")],
        Annotated[AnalyticalSettings, Tag("analytical-gradient")],
        Annotated[LinearizationSettings, Tag("hardware-linearization")],
        Annotated[FrequencySettings, Tag("frequency-propagation")],
        Annotated[NodeSettings, Tag("node-perturbation")],
        Annotated[DifferencesSettings, Tag("finite-differences")],
        Annotated[PerturbationSettings, Tag("simultaneous-perturbation")],
        Annotated[PluginRuleSettings, Tag(PLUGGED)],
    ],
    Discriminator(_kind),
]


def _check_cost(cost: Cost, plugin: Plugin, rows: Batch) -> None:
    """Refuse a cost that does not give a number a sample, and as many slopes as there are outputs."""
    found = {"values": rows.targets.shape[:1], "slopes": rows.targets.shape}
    with plugin.blamed("fails"):
        shapes = {name: np.shape(getattr(cost, name)(rows.targets, rows.targets)) for name in found}
    for name, shape in found.items():
        if shapes[name] != shape:
            raise PluginError(f"{plugin} gives {name} of shape {shapes[name]} instead of {shape}")
