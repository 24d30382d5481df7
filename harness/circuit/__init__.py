"""What the chip is: circuits as plain data, their builders, and their exact reduction."""

from harness.circuit.circuit import Circuit, check_bounds
from harness.circuit.elements import (
    GROUND,
    BidirectionalAmplifier,
    Crossbar,
    CurrentSource,
    Diode,
    Element,
    InputSource,
    Output,
    Resistor,
    VoltageSource,
)
from harness.circuit.networks import CellRange, deep_resistive_network, layered_network
from harness.circuit.reduction import ReducedCircuit, Reduction

__all__ = [
    "GROUND",
    "BidirectionalAmplifier",
    "CellRange",
    "Circuit",
    "Crossbar",
    "CurrentSource",
    "Diode",
    "Element",
    "InputSource",
    "Output",
    "ReducedCircuit",
    "Reduction",
    "Resistor",
    "VoltageSource",
    "check_bounds",
    "deep_resistive_network",
    "layered_network",
]
