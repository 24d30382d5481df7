"""Costs, learning rules and update rules: they know voltages and topology, never a simulator."""

from harness.learning.costs import Cost, SoftmaxCrossEntropy, SquaredError, accuracy
from harness.learning.rules.analytical import AnalyticalGradient, Form
from harness.learning.rules.asymmetric import AsymmetricEquilibriumPropagation
from harness.learning.rules.coupled import CoupledLearning
from harness.learning.rules.equilibrium import EquilibriumPropagation, Nudging, OneWay, Unstable
from harness.learning.rules.frequency import FrequencyPropagation
from harness.learning.rules.generalized import GeneralizedEquilibriumPropagation, Variant
from harness.learning.rules.linearization import Devices, HardwareLinearization
from harness.learning.rules.perturbation.differences import FiniteDifferences, SimultaneousPerturbation
from harness.learning.rules.perturbation.node_perturbation import NodePerturbation
from harness.learning.updates.subsets import Chosen, Largest, SubsetUpdate, cells_of, random_cells
from harness.learning.updates.updates import SGD, Adam, Momentum, Schedule, UpdateRule, UpdateState

__all__ = [
    "SGD",
    "Adam",
    "AnalyticalGradient",
    "AsymmetricEquilibriumPropagation",
    "Chosen",
    "Cost",
    "CoupledLearning",
    "Devices",
    "EquilibriumPropagation",
    "FiniteDifferences",
    "Form",
    "FrequencyPropagation",
    "GeneralizedEquilibriumPropagation",
    "HardwareLinearization",
    "Largest",
    "Momentum",
    "NodePerturbation",
    "Nudging",
    "OneWay",
    "Schedule",
    "SimultaneousPerturbation",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "SubsetUpdate",
    "Unstable",
    "UpdateRule",
    "UpdateState",
    "Variant",
    "accuracy",
    "cells_of",
    "random_cells",
]
