"""Devices in circuits: those of hidden nodes and edges, and the selectors of cells."""

from typing import Annotated

from pydantic import Field

from harness.circuit.networks.selectors import Selector
from harness.devices import DiodeModel, MosfetModel, ZenerModel
from harness.validation import Amperes, Number, Section, Siemens, Unit, Volts


class DiodeSettings(Section):
    """The diode of all places that have one: I = I_s (exp(V / (N V_T)) − 1), with V_T = kT/q."""

    saturation_current: Annotated[Amperes, Field(gt=0, le=1)]
    """Saturation current I_s."""
    emission: Annotated[Number, Field(ge=0.01, le=100)] = 2.0
    """Emission coefficient N; a larger one makes a softer diode."""

    def build(self) -> DiodeModel:
        """The model of all the network's diodes."""
        return DiodeModel("dhidden", self.saturation_current, self.emission)


class ZenerSettings(Section):
    """The Zener diode in the diodes' places: below −V_B its current is −I_s exp(−(V + V_B) / (N V_T))."""

    saturation_current: Annotated[Amperes, Field(gt=0, le=1)]
    """Saturation current I_s, which also flows at the breakdown voltage."""
    emission: Annotated[Number, Field(ge=0.01, le=100)] = 1.0
    """Emission coefficient N, in both directions."""
    breakdown: Annotated[Volts, Field(ge=0.1, le=1e4)]
    """Reverse voltage V_B at which the current begins to grow."""

    def build(self) -> ZenerModel:
        """The model of all the network's Zener diodes."""
        return ZenerModel("zhidden", self.saturation_current, self.emission, self.breakdown)


class TransistorSettings(Section):
    """The square-law transistor that stands in the diodes' places. Source: Shichman & Hodges 1968; SPICE's level 1."""

    transconductance: Annotated[float, Unit("A/V^2"), Field(gt=0, le=1e3)]
    """Factor K of the square law I = K/2 (V − V_t)²."""
    threshold: Annotated[Volts, Field(ge=-100, le=100)]
    """Threshold voltage V_t of the square law."""

    def build(self) -> MosfetModel:
        """The model of all the network's transistors, of type n."""
        return MosfetModel("mhidden", self.transconductance, self.threshold)


class SelectorSettings(Section):
    """The square-law transistor between every cell of the crossbars and its word line (1T1R).

    Source: Shichman & Hodges 1968; SPICE's level 1.
    """

    gate: Annotated[Volts, Field(ge=-1e6, le=1e6)]
    """Voltage of the gate lines, of which every word line has one."""
    transconductance: Annotated[float, Unit("A/V^2"), Field(gt=0, le=1e3)]
    """Factor K of the square law, which is KP W/L: at a low voltage over it, a transistor conducts K (V_G − V_t − v),
    with v that of its word line."""
    threshold: Annotated[Volts, Field(ge=-100, le=100)]
    """Threshold voltage V_t of the square law."""
    leakage: Annotated[Siemens, Field(ge=0, le=1e6)] = 0.0
    """Conductance of a transistor that is off, which also lies beside one that is on."""

    def build(self) -> Selector:
        """The selector of all cells."""
        model = MosfetModel("mselect", self.transconductance, self.threshold)
        return Selector(model, self.gate, self.leakage)
