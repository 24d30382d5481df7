"""``[rule]``: what learning lowers, and how a batch becomes a gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self, Union

import numpy as np
from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from harness.chip.nodal.chip import nodal_chip
from harness.circuit import Circuit
from harness.datasets import Split
from harness.errors import ExperimentError, PluginError
from harness.experiment.strength import SHARE, Strength, bearable
from harness.learning import (
    AnalyticalGradient,
    CoupledLearning,
    EquilibriumPropagation,
    FiniteDifferences,
    Form,
    HardwareLinearization,
    NodePerturbation,
    Nudging,
    SimultaneousPerturbation,
    Variant,
)
from harness.learning.costs import Cost, SoftmaxCrossEntropy, SquaredError
from harness.learning.rules.base import LearningRule, Programmable
from harness.measurement import Access, Batch
from harness.plugins import Kind, Plugin, find, named, options_of
from harness.validation import PLUGGED, Flag, MismatchError, Positive, Section, Siemens, Volts, Whole, kinds_of

USUAL = "equilibrium-propagation"
"""The kind of a section that does not say one."""
ETA = 0.1
"""η of coupled learning without a figure of its own."""
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
    """Cost, which learning lowers (`harness.learning.costs`)."""
    cost_options: Annotated[dict[str, Any] | None, options_of(Kind.COST, "cost", _COSTS)] = None
    """For the cost of a plug-in, which says what they mean."""
    temperature: Annotated[Volts, Field(gt=0)] = 1.0
    """For softmax cross-entropy: V per unit of logit."""
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
    def usual_nudging(self) -> Nudging:
        """Springs for squared error, current for other costs."""
        return Nudging.SPRING if self.cost == "squared-error" else Nudging.CURRENT

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
    """``[rule]`` with ``kind = "equilibrium-propagation"``."""

    kind: Literal["equilibrium-propagation"]
    beta: Annotated[Siemens | None, Field(gt=0)] = None
    """Nudging strength at the physical outputs, S. Without it, or with ``"auto"``, it is a share of what outputs see of
    the initial network (`harness.experiment.strength.SHARE`); the run records the figure."""
    variant: Variant = Variant.CENTERED
    """Strengths that are compared: β and −β, β and 0, or 0 and one of ±β at random."""
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

    @property
    def both_signs(self) -> bool:
        """See `_Rule.both_signs`."""
        return self.variant is not Variant.ONE_SIDED

    def strength(self, circuit: Circuit, rows: Batch, unit: float) -> Strength:
        """Return its own β, or one that the network bears."""
        if self.beta is not None:
            return Strength(self.beta, self.nudging or self.usual_nudging)
        return bearable(circuit, rows, unit, self.usual_nudging, self.nudging)

    def recorded(self, strength: Callable[[], Strength]) -> Self:
        """Return the section with the β and the nudging that ``"auto"`` stands for."""
        return self if self.beta is not None else self.model_copy(update=vars(strength()))

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        nudge: dict[str, Any] = {"beta": given.strength.beta, "nudging": given.strength.nudging}
        return EquilibriumPropagation(given.circuit, given.cost, variant=self.variant, **nudge)


class CoupledSettings(_Rule):
    """``[rule]`` with ``kind = "coupled-learning"``."""

    kind: Literal["coupled-learning"]
    eta: Positive = ETA
    """η, the share of the way to the target that outputs are clamped at; above 1 overclamps."""
    variant: Variant = Variant.ONE_SIDED
    """Shares that are compared: η and 0, η and −η, or 0 and one of ±η at random."""
    normalized: Flag = True
    """True where the contrast is divided by η; otherwise η scales the update, as in a circuit that does not divide."""
    in_volts: ClassVar[bool] = True

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        how: dict[str, Any] = {"eta": self.eta, "variant": self.variant, "normalized": self.normalized}
        return CoupledLearning(given.circuit, given.cost, **how)


class AnalyticalSettings(_Rule):
    """``[rule]`` with ``kind = "analytical-gradient"``."""

    kind: Literal["analytical-gradient"]
    form: Form = Form.NODE
    """Form of the equations: of nodes, or of cycles."""

    def build(self, given: Given) -> LearningRule:
        """The rule; where inner nodes are not read, it predicts them by a twin."""
        return AnalyticalGradient(given.circuit, given.cost, form=self.form, twin=given.twin)


class LinearizationSettings(_Rule):
    """``[rule]`` with ``kind = "hardware-linearization"``."""

    kind: Literal["hardware-linearization"]
    beta: Annotated[Siemens | None, Field(gt=0)] = None
    """γ, S: A of injected current per V of error, exact at any value; without it, the share of g_unit that β is of what
    outputs see (`harness.experiment.strength.SHARE`)."""

    def strength(self, circuit: Circuit, rows: Batch, unit: float) -> Strength:  # noqa: ARG002
        """Return its own γ, or one that suits the size of the network's conductances."""
        return Strength(SHARE * unit if self.beta is None else self.beta, self.usual_nudging)

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        return HardwareLinearization(given.circuit, given.cost, gamma=given.strength.beta)


class NodeSettings(_Rule):
    """``[rule]`` with ``kind = "node-perturbation"``."""

    kind: Literal["node-perturbation"]
    step: Positive = STEP
    """By which one cell for every node is moved up and down, in g_unit."""
    draws: Annotated[Whole | None, Field(ge=1, le=1_000_000)] = None
    """Random directions in which all nodes are perturbed at once; without it, one node after the other."""

    def build(self, given: Given) -> LearningRule:
        """The rule; where inner nodes are not read, a twin predicts them."""
        step = self.step * given.units.conductance
        return NodePerturbation(given.circuit, given.cost, step=step, draws=self.draws, twin=given.twin)


class DifferencesSettings(_Rule):
    """``[rule]`` with ``kind = "finite-differences"``."""

    kind: Literal["finite-differences"]
    step: Positive = STEP
    """By which every cell is moved up and down, in g_unit."""

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        return FiniteDifferences(given.circuit, given.cost, step=self.step * given.units.conductance)


class PerturbationSettings(_Rule):
    """``[rule]`` with ``kind = "simultaneous-perturbation"``."""

    kind: Literal["simultaneous-perturbation"]
    step: Positive = STEP
    """By which every cell is moved up or down, in g_unit."""
    draws: Annotated[Whole, Field(ge=1, le=1_000_000)] = 1
    """Random directions whose estimates are averaged."""

    def build(self, given: Given) -> LearningRule:
        """The rule."""
        step = self.step * given.units.conductance
        return SimultaneousPerturbation(given.circuit, given.cost, step=step, draws=self.draws)


_OWN = (
    EquilibriumSettings,
    CoupledSettings,
    AnalyticalSettings,
    LinearizationSettings,
    NodeSettings,
    DifferencesSettings,
    PerturbationSettings,
)
_RULES = tuple(kind for model in _OWN for kind in kinds_of(model))


class PluginRuleSettings(_Rule):
    """``[rule]`` with the ``kind`` of a plug-in."""

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
        Annotated[CoupledSettings, Tag("coupled-learning")],
        Annotated[AnalyticalSettings, Tag("analytical-gradient")],
        Annotated[LinearizationSettings, Tag("hardware-linearization")],
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
