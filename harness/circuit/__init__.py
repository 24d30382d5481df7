"""Circuits as plain data, their builders, and their exact reduction."""

from harness.circuit.arrays import Convolution, Crossbar, Edges, TrainableArray, check_bounds
from harness.circuit.circuit import Circuit
from harness.circuit.elements import (
    BidirectionalAmplifier,
    Buffer,
    CurrentSource,
    Diode,
    Element,
    Gyrator,
    InputSource,
    Mosfet,
    Output,
    Resistor,
    Transconductor,
    Transformer,
    VoltageSource,
)
from harness.circuit.networks.convolution import Kernels, convolutional_network
from harness.circuit.networks.layered import (
    CellRange,
    deep_resistive_network,
    equilibrium_network,
    layered_network,
    rectified_cascade,
)
from harness.circuit.part import GROUND
from harness.circuit.reduction.reduction import ReducedCircuit, Reduction
from harness.circuit.reduction.settling import Junctions, Network, Phase, SettlingJob, Topology

__all__ = [
    "GROUND",
    "BidirectionalAmplifier",
    "Buffer",
    "CellRange",
    "Circuit",
    "Convolution",
    "Crossbar",
    "CurrentSource",
    "Diode",
    "Edges",
    "Element",
    "Gyrator",
    "InputSource",
    "Junctions",
    "Kernels",
    "Mosfet",
    "Network",
    "Output",
    "Phase",
    "ReducedCircuit",
    "Reduction",
    "Resistor",
    "SettlingJob",
    "Topology",
    "TrainableArray",
    "Transconductor",
    "Transformer",
    "VoltageSource",
    "check_bounds",
    "convolutional_network",
    "deep_resistive_network",
    "equilibrium_network",
    "layered_network",
    "rectified_cascade",
]
