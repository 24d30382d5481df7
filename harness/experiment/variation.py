"""``[variation]``: how the circuit as made differs from the drawn one."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from harness.circuit.variation.lines import AmplifierErrors, Law, Leakage, LineResistance, SourceErrors
from harness.circuit.variation.nonlinearity import CellNonlinearity
from harness.circuit.variation.temperature import Temperature
from harness.circuit.variation.variation import CellDefects, ConductanceSpread, DiodeMismatch, Variation
from harness.validation import MismatchError, Number, Ohms, Section, Seed, Siemens, Volts


class VariationSettings(Section):
    """``[variation]`` (`harness.circuit.variation.variation`).

    Learning knows the drawn one: it programs the drawn circuit's conductances and reads its nodes. Fractions are
    relative standard deviations from device to device.
    """

    seed: Seed | None = None
    """Which of all chips that could be made, in `[imperfect]` and `[programming]` too; training.seed without it."""
    spread: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of every cell's conductance, a factor of its own."""
    spread_law: Law = Law.LOG_NORMAL
    """How those factors are distributed."""
    stuck_at_min: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Probability that a cell is stuck at g_min."""
    stuck_at_max: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Probability that a cell is stuck at g_max."""
    open_cells: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Probability that a cell is open."""
    diode_saturation_current: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of every diode's I_s, log-normal."""
    diode_emission: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of every diode's N, normal."""
    source_offset: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """Standard deviation of every bias and shift source, V."""
    source_gain: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of every input pin's gain."""
    leakage: Annotated[Siemens, Field(ge=0, le=1e6)] = 0.0
    """From every node that nothing holds to ground, S."""
    amplifier_gain: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of every amplifier's gain."""
    amplifier_layer_gain: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of the gain that all amplifiers of a layer share."""
    amplifier_offset: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """Standard deviation of every amplifier's input offset, V."""
    line_word: Annotated[Ohms, Field(ge=0, le=1e9)] = 0.0
    """Ω of every segment of a word line; 0 for none."""
    line_bit: Annotated[Ohms, Field(ge=0, le=1e9)] = 0.0
    """Ω of every segment of a bit line; 0 for none."""
    temperature: Annotated[Number, Field(ge=-100, le=300)] = 27.0
    """°C of everything; 27 is nominal."""
    cell_temperature_coefficient: Number = 0.0
    """TC1 of the cells' resistance, 1/K."""
    resistor_temperature_coefficient: Number = 0.0
    """TC1 of other resistors, 1/K."""
    cell_sinh: Annotated[Volts, Field(ge=1e-3, le=1e6)] | None = None
    """V₀ in V of cells with i = g V₀ sinh(v / V₀); settled unreduced, as cells of any curve are."""
    cell_cubic: Annotated[Volts, Field(ge=1e-3, le=1e6)] | None = None
    """V₀ in V of cells with i = g v (1 + (v / V₀)²) instead."""

    @model_validator(mode="after")
    def _one_curve(self) -> Self:
        if self.cell_sinh is not None and self.cell_cubic is not None:
            raise MismatchError("cell_cubic", "cell_sinh says already how the cells' current grows; give one of them")
        return self

    @property
    def resistive_lines(self) -> bool:
        """Whether lines have a resistance."""
        return bool(self.line_word or self.line_bit)

    def build(self) -> Variation:
        """How the chip's circuit differs from the drawn one."""
        return Variation(
            spread=ConductanceSpread(self.spread, self.spread_law),
            defects=CellDefects(self.stuck_at_min, self.stuck_at_max, self.open_cells),
            diodes=DiodeMismatch(self.diode_saturation_current, self.diode_emission),
            sources=SourceErrors(self.source_offset, self.source_gain),
            leakage=Leakage(self.leakage),
            amplifiers=AmplifierErrors(self.amplifier_gain, self.amplifier_layer_gain, self.amplifier_offset),
            lines=LineResistance(self.line_word, self.line_bit),
            temperature=Temperature(
                self.temperature, self.cell_temperature_coefficient, self.resistor_temperature_coefficient
            ),
            nonlinearity=CellNonlinearity(self.cell_sinh, self.cell_cubic),
        )
