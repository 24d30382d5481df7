"""Costs, learning rules and update rules: they know voltages and topology, never a simulator."""

from harness.learning.analytical import AnalyticalGradient, Form
from harness.learning.costs import Cost, SoftmaxCrossEntropy, SquaredError, accuracy
from harness.learning.coupled import CoupledLearning
from harness.learning.differences import FiniteDifferences, SimultaneousPerturbation
from harness.learning.equilibrium import EquilibriumPropagation, Nudging
from harness.learning.generalized import GeneralizedEquilibriumPropagation, Variant
from harness.learning.linearization import HardwareLinearization
from harness.learning.subsets import Chosen, Largest, SubsetUpdate, cells_of, random_cells
from harness.learning.updates import SGD, Adam, Momentum, Schedule, UpdateRule, UpdateState

__all__ = [
    "SGD",
    "Adam",
    "AnalyticalGradient",
    "Chosen",
    "Cost",
    "CoupledLearning",
    "EquilibriumPropagation",
    "FiniteDifferences",
    "Form",
    "GeneralizedEquilibriumPropagation",
    "HardwareLinearization",
    "Largest",
    "Momentum",
    "Nudging",
    "Schedule",
    "SimultaneousPerturbation",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "SubsetUpdate",
    "UpdateRule",
    "UpdateState",
    "Variant",
    "accuracy",
    "cells_of",
    "random_cells",
]
