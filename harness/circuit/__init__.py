"""What the chip is: circuits as plain data, their builders, and their exact reduction."""

from harness.circuit.circuit import Circuit, check_bounds
from harness.circuit.elements import (
    GROUND,
    BidirectionalAmplifier,
    Crossbar,
    CurrentSource,
    Diode,
    Edges,
    Element,
    InputSource,
    Output,
    Resistor,
    TrainableArray,
    VoltageSource,
)
from harness.circuit.networks import CellRange, deep_resistive_network, layered_network
from harness.circuit.reduction import ReducedCircuit, Reduction
from harness.circuit.settling import Junctions, Network, Phase, Settling

__all__ = [
    "GROUND",
    "BidirectionalAmplifier",
    "CellRange",
    "Circuit",
    "Crossbar",
    "CurrentSource",
    "Diode",
    "Edges",
    "Element",
    "InputSource",
    "Junctions",
    "Network",
    "Output",
    "Phase",
    "ReducedCircuit",
    "Reduction",
    "Resistor",
    "Settling",
    "TrainableArray",
    "VoltageSource",
    "check_bounds",
    "deep_resistive_network",
    "layered_network",
]
