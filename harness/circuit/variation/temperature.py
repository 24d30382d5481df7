"""Temperature of the whole circuit, as SPICE has it.

Solvers and decks stay at 27 °C: a diode at another temperature is, exactly, a diode at 27 °C with another saturation
current and another N, because nothing but I_s and N V_T enters its law.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from harness.circuit.arrays import Crossbar, Edges
from harness.circuit.circuit import Circuit
from harness.circuit.elements import Diode, Element, Mosfet, Resistor
from harness.devices import DiodeModel, ZenerModel
from harness.devices.diode import TEMPERATURE, THERMAL_VOLTAGE
from harness.errors import CircuitError

_COLDEST, _HOTTEST = -100.0, 300.0  # °C
_KELVIN = 273.15
_GAP = 1.11  # eV, SPICE's default EG (silicon)
_SATURATION_EXPONENT = 3.0  # SPICE's default XTI


@dataclass(frozen=True)
class Temperature:
    """The temperature of all elements; the same for all devices and cycles.

    Diodes follow SPICE3's ``DIOtemp`` with its defaults EG = 1.11 eV and XTI = 3; V_T is proportional to temperature.
    Cells and resistors have SPICE's first-order coefficient TC1.

    Raises:
        CircuitError: outside −100…300 °C, or a coefficient that makes a resistance negative.
    """

    celsius: float = TEMPERATURE
    """°C; 27 °C is the nominal temperature."""
    cell_coefficient: float = 0.0
    """TC1 of every trainable cell's resistance, 1/K."""
    resistor_coefficient: float = 0.0
    """TC1 of every other resistor, 1/K."""

    def __post_init__(self) -> None:
        if not _COLDEST <= self.celsius <= _HOTTEST:
            bound = f"{_COLDEST:g}…{_HOTTEST:g} °C"
            raise CircuitError(f"temperature: {self.celsius:g} °C must lie in {bound}; {TEMPERATURE:g} is nominal")
        for name in ("cell_coefficient", "resistor_coefficient"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 1 + value * self._rise > 0):
                what = f"{name} {value:g} 1/K at {self.celsius:g} °C"
                raise CircuitError(f"temperature: {what} leaves no positive resistance; make it smaller")

    @property
    def _rise(self) -> float:
        return self.celsius - TEMPERATURE

    @property
    def cell_factor(self) -> float:
        """Conductance of a cell over its conductance at 27 °C."""
        return 1 / (1 + self.cell_coefficient * self._rise)

    def apply(self, circuit: Circuit, rng: np.random.Generator | None = None) -> Circuit:  # noqa: ARG002
        """The circuit as it is at that temperature, limits of its cells included; draws nothing.

        Raises:
            CircuitError: it has transistors or Zener diodes.
        """
        if self.celsius == TEMPERATURE:
            return circuit
        return circuit.altered(map(self._heated, circuit.elements))

    def _heated(self, element: Element) -> Element:
        match element:
            case Diode(model=ZenerModel()):
                raise CircuitError(f"{element.title}: no law says what temperature does to its breakdown voltage")
            case Diode(model=model):
                return replace(element, model=self.model(model))
            case Mosfet():
                raise CircuitError(f"{element.title}: no law says what temperature does to it")
            case Resistor():
                return replace(element, conductance=element.conductance / (1 + self.resistor_coefficient * self._rise))
            case Crossbar() | Edges():
                by = self.cell_factor
                heated = by * element.conductances
                return replace(element, conductances=heated, g_min=by * element.g_min, g_max=by * element.g_max)
        return element

    def model(self, model: DiodeModel) -> DiodeModel:
        """The diode at 27 °C that has, there, the law of `model` at this temperature."""
        ratio = (self.celsius + _KELVIN) / (TEMPERATURE + _KELVIN)
        thermal = THERMAL_VOLTAGE * ratio
        exponent = (ratio - 1) * _GAP / (model.emission * thermal)
        current = model.saturation_current * math.exp(exponent) * ratio ** (_SATURATION_EXPONENT / model.emission)
        return DiodeModel(model.name, current, model.emission * ratio)
