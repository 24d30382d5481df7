"""SPICE-backed, hardware-in-the-loop training of analog neural networks.

>>> from harness import Experiment
>>> experiment = Experiment.load("iris", ["chip.kind=nodal", "training.epochs=1"])
>>> experiment.settings.network.hidden
(10,)
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # as in `typing`, which is not imported: importing the package does no work
if TYPE_CHECKING:
    from harness.chip.ngspice.chip import NgspiceChip as NgspiceChip
    from harness.chip.nodal.chip import NodalChip as NodalChip
    from harness.circuit.arrays import Convolution as Convolution
    from harness.circuit.arrays import Crossbar as Crossbar
    from harness.circuit.arrays import Edges as Edges
    from harness.circuit.circuit import Circuit as Circuit
    from harness.circuit.elements import BidirectionalAmplifier as BidirectionalAmplifier
    from harness.circuit.elements import Diode as Diode
    from harness.circuit.elements import InputSource as InputSource
    from harness.circuit.elements import Mosfet as Mosfet
    from harness.circuit.elements import Output as Output
    from harness.circuit.elements import Resistor as Resistor
    from harness.circuit.elements import VoltageSource as VoltageSource
    from harness.circuit.networks.convolution import Kernels as Kernels
    from harness.circuit.networks.convolution import convolutional_network as convolutional_network
    from harness.circuit.networks.layered import CellRange as CellRange
    from harness.circuit.networks.layered import deep_resistive_network as deep_resistive_network
    from harness.circuit.networks.layered import equilibrium_network as equilibrium_network
    from harness.circuit.networks.layered import layered_network as layered_network
    from harness.circuit.networks.layered import rectified_cascade as rectified_cascade
    from harness.devices.diode import DiodeModel as DiodeModel
    from harness.devices.mosfet import MosfetModel as MosfetModel
    from harness.experiment.experiment import Experiment as Experiment
    from harness.experiment.experiment import Run as Run
    from harness.learning.costs import SoftmaxCrossEntropy as SoftmaxCrossEntropy
    from harness.learning.costs import SquaredError as SquaredError
    from harness.learning.rules.analytical import AnalyticalGradient as AnalyticalGradient
    from harness.learning.rules.asymmetric import AsymmetricEquilibriumPropagation as AsymmetricEquilibriumPropagation
    from harness.learning.rules.coupled import CoupledLearning as CoupledLearning
    from harness.learning.rules.equilibrium import EquilibriumPropagation as EquilibriumPropagation
    from harness.learning.rules.frequency import FrequencyPropagation as FrequencyPropagation
    from harness.learning.rules.generalized import (
        GeneralizedEquilibriumPropagation as GeneralizedEquilibriumPropagation,
    )
    from harness.learning.rules.linearization import HardwareLinearization as HardwareLinearization
    from harness.learning.rules.perturbation.differences import FiniteDifferences as FiniteDifferences
    from harness.learning.rules.perturbation.differences import SimultaneousPerturbation as SimultaneousPerturbation
    from harness.learning.rules.perturbation.node_perturbation import NodePerturbation as NodePerturbation
    from harness.measurement import Access as Access
    from harness.measurement import Batch as Batch
    from harness.measurement import Clamp as Clamp
    from harness.measurement import Drive as Drive
    from harness.measurement import Injection as Injection
    from harness.measurement import Needs as Needs
    from harness.measurement import Reading as Reading
    from harness.measurement import Spring as Spring
    from harness.plugins import register as register
    from harness.sklearn import CircuitClassifier as CircuitClassifier
    from harness.sklearn import CircuitRegressor as CircuitRegressor

_HOMES = {
    "Access": "harness.measurement",
    "AnalyticalGradient": "harness.learning.rules.analytical",
    "AsymmetricEquilibriumPropagation": "harness.learning.rules.asymmetric",
    "Batch": "harness.measurement",
    "BidirectionalAmplifier": "harness.circuit.elements",
    "CellRange": "harness.circuit.networks.layered",
    "Circuit": "harness.circuit.circuit",
    "CircuitClassifier": "harness.sklearn",
    "CircuitRegressor": "harness.sklearn",
    "Clamp": "harness.measurement",
    "CoupledLearning": "harness.learning.rules.coupled",
    "Convolution": "harness.circuit.arrays",
    "Crossbar": "harness.circuit.arrays",
    "Diode": "harness.circuit.elements",
    "DiodeModel": "harness.devices.diode",
    "Drive": "harness.measurement",
    "Edges": "harness.circuit.arrays",
    "EquilibriumPropagation": "harness.learning.rules.equilibrium",
    "Experiment": "harness.experiment.experiment",
    "FiniteDifferences": "harness.learning.rules.perturbation.differences",
    "FrequencyPropagation": "harness.learning.rules.frequency",
    "GeneralizedEquilibriumPropagation": "harness.learning.rules.generalized",
    "HardwareLinearization": "harness.learning.rules.linearization",
    "Injection": "harness.measurement",
    "InputSource": "harness.circuit.elements",
    "Kernels": "harness.circuit.networks.convolution",
    "Mosfet": "harness.circuit.elements",
    "MosfetModel": "harness.devices.mosfet",
    "Needs": "harness.measurement",
    "NgspiceChip": "harness.chip.ngspice.chip",
    "NodalChip": "harness.chip.nodal.chip",
    "NodePerturbation": "harness.learning.rules.perturbation.node_perturbation",
    "Output": "harness.circuit.elements",
    "Reading": "harness.measurement",
    "Resistor": "harness.circuit.elements",
    "Run": "harness.experiment.experiment",
    "SimultaneousPerturbation": "harness.learning.rules.perturbation.differences",
    "SoftmaxCrossEntropy": "harness.learning.costs",
    "Spring": "harness.measurement",
    "SquaredError": "harness.learning.costs",
    "VoltageSource": "harness.circuit.elements",
    "convolutional_network": "harness.circuit.networks.convolution",
    "deep_resistive_network": "harness.circuit.networks.layered",
    "equilibrium_network": "harness.circuit.networks.layered",
    "layered_network": "harness.circuit.networks.layered",
    "rectified_cascade": "harness.circuit.networks.layered",
    "register": "harness.plugins",
}
"""The module of each public name, which is loaded when the name is first asked for."""

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - names of a table


def __getattr__(name: str) -> object:
    """Return a public name from its module.

    Raises:
        AttributeError: the package has no such name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
