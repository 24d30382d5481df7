"""Costs, learning rules and update rules: they know voltages and topology, never a simulator."""

from harness.learning.costs import Cost, SoftmaxCrossEntropy, SquaredError, accuracy
from harness.learning.equilibrium import EquilibriumPropagation, Nudging, Variant
from harness.learning.updates import SGD, Adam, Momentum, UpdateRule, UpdateState

__all__ = [
    "SGD",
    "Adam",
    "Cost",
    "EquilibriumPropagation",
    "Momentum",
    "Nudging",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "UpdateRule",
    "UpdateState",
    "Variant",
    "accuracy",
]
