"""``[variation]``: how the circuit as made differs from the drawn one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from harness.chip.base import Chip
from harness.circuit import Circuit
from harness.circuit.variation.lines import AmplifierErrors, Law, Leakage, LineResistance, SourceErrors
from harness.circuit.variation.nonlinearity import CellNonlinearity
from harness.circuit.variation.temperature import Temperature
from harness.circuit.variation.variation import (
    CellDefects,
    ConductanceSpread,
    DiodeMismatch,
    TransistorMismatch,
    Variation,
)
from harness.errors import ExperimentError, PluginError
from harness.plugins import Kind, Plugin, find
from harness.validation import In, MismatchError, Number, Ohms, Section, Seed, Siemens, Volts

CHIP = ("circuit", "capabilities", "conductances", "program", "adjust", "measure", "close")
"""Names that a chip must have (`harness.chip.base.Chip`)."""


class NonIdealityPlugin(Protocol):
    """An object behind a name among the entry points ``"harness.variations"``.

    With a class ``Options``, a model of pydantic's, too, ``[variation.plugins.NAME]`` is validated by it.
    """

    def build(self, options: Any) -> Any:
        """Make something with a function `apply`, a function `wrap`, or both; at strength 0 they return what they get.

        ``apply(circuit, rng)`` returns a circuit with more in it, ``wrap(chip, seed)`` a chip around a chip.
        """


@dataclass(frozen=True, eq=False)
class PluggedPass:
    """A plug-in's pass, which must leave the cells and every node where they are."""

    plugin: Plugin
    built: Any

    @property
    def name(self) -> str:
        """That of the plug-in."""
        return self.plugin.name

    def apply(self, circuit: Circuit, rng: np.random.Generator) -> Circuit:
        """The circuit with what the plug-in adds.

        Raises:
            PluginError: the plug-in fails, or returns something else.
        """
        with self.plugin.blamed("fails at a circuit"):
            made = self.built.apply(circuit, rng)
        if not isinstance(made, Circuit):
            raise PluginError(f"{self.plugin} returns a {type(made).__name__} instead of a Circuit")
        if missing := set(circuit.nodes) - set(made.nodes):
            raise PluginError(f"{self.plugin} leaves out node {min(missing)} of circuit {circuit.name}")
        cells = [[(a.name, a.g_min, a.g_max, a.conductances.tobytes()) for a in c.arrays] for c in (circuit, made)]
        if cells[0] != cells[1]:
            raise PluginError(f"{self.plugin} changes cells, which are programmed later; let it wrap the chip instead")
        return made


class VariationSettings(Section):
    """``[variation]``: how the circuit as made differs from the drawn one (`harness.circuit.variation.variation`).

    Learning knows the drawn one: it programs the drawn circuit's conductances and reads its nodes. Fractions are
    relative standard deviations from device to device.
    """

    seed: Seed | None = None
    """Seed that tells one chip from another, in `[imperfect]`, `[programming]` and `[retention]` too; without it,
    training.seed."""
    spread: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Spread of every cell's conductance, by a factor of its own."""
    spread_law: Law = Law.LOG_NORMAL
    """Distribution of those factors, and of that of `chip_spread`."""
    chip_spread: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Spread of a factor that all cells of a chip share."""
    stuck_at_min: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Probability that a cell is stuck at g_min."""
    stuck_at_max: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Probability that a cell is stuck at g_max."""
    open_cells: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Probability that a cell is open."""
    diode_saturation_current: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Spread of every diode's saturation current I_s, log-normal."""
    diode_emission: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Spread of every diode's emission coefficient N, normal."""
    transistor_threshold: Annotated[Volts, Field(ge=0, le=100)] = 0.0
    """Standard deviation of every transistor's threshold voltage V_t, of neurons and selectors. Source: Pelgrom et al.
    1989, IEEE J. Solid-State Circuits 24, 1433."""
    transistor_transconductance: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Spread of every transistor's factor K, log-normal."""
    source_offset: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """Standard deviation of the voltage of every bias and shift source."""
    source_gain: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Spread of every input pin's gain."""
    leakage: Annotated[Siemens, Field(ge=0, le=1e6)] = 0.0
    """Conductance to ground from every node that nothing holds."""
    amplifier_gain: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Spread of every amplifier's gain."""
    amplifier_layer_gain: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Spread of the gain that all amplifiers of a layer share."""
    amplifier_offset: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """Standard deviation of every amplifier's input offset."""
    line_word: Annotated[Ohms, Field(ge=0, le=1e9)] = 0.0
    """Resistance of every segment of a word line; 0 for none. Source: Joksas & Mehonic 2020, SoftwareX 12, 100617."""
    line_bit: Annotated[Ohms, Field(ge=0, le=1e9)] = 0.0
    """Resistance of every segment of a bit line; 0 for none."""
    temperature: Annotated[Number, In("°C"), Field(ge=-100, le=300)] = 27.0
    """Temperature of all elements; 27 °C is nominal."""
    cell_temperature_coefficient: Annotated[Number, In("1/K")] = 0.0
    """First temperature coefficient TC1 of the cells' resistance."""
    resistor_temperature_coefficient: Annotated[Number, In("1/K")] = 0.0
    """First temperature coefficient TC1 of other resistors."""
    cell_sinh: Annotated[Volts, Field(ge=1e-3, le=1e6)] | None = None
    """Voltage V₀ of cells with i = g V₀ sinh(v / V₀), which are settled unreduced. Source: Chang et al. 2011, Appl.
    Phys. A 102, 857."""
    cell_cubic: Annotated[Volts, Field(ge=1e-3, le=1e6)] | None = None
    """Voltage V₀ of cells with i = g v (1 + (v / V₀)²) instead."""
    plugins: dict[str, dict[str, Any]] | None = None
    """Non-idealities that other packages bring: ``[variation.plugins.NAME]`` with the options of each."""

    @model_validator(mode="after")
    def _one_curve(self) -> Self:
        if self.cell_sinh is not None and self.cell_cubic is not None:
            raise MismatchError("cell_cubic", "cell_sinh says already how the cells' current grows; give one of them")
        return self

    @field_validator("plugins")
    @classmethod
    def _offered(cls, given: dict[str, dict[str, Any]] | None) -> dict[str, dict[str, Any]] | None:
        try:
            found = {name: (find(Kind.NON_IDEALITY, name), options) for name, options in (given or {}).items()}
        except ExperimentError as error:
            raise ValueError(str(error)) from error
        return {name: plugin.checked(options, name) for name, (plugin, options) in found.items()} or None

    @property
    def plugged(self) -> list[Plugin]:
        """Plug-ins of other packages that the section names."""
        return [find(Kind.NON_IDEALITY, name) for name in self.plugins or {}]

    @property
    def resistive_lines(self) -> list[str]:
        """Keys that give lines a resistance."""
        return [key for key in ("line_word", "line_bit") if getattr(self, key)]

    def build(self) -> Variation:
        """Build the variation by which the chip's circuit differs from the drawn one."""
        return Variation(
            spread=ConductanceSpread(self.spread, self.spread_law, self.chip_spread),
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
            transistors=TransistorMismatch(self.transistor_threshold, self.transistor_transconductance),
            more=tuple(PluggedPass(plugin, one) for plugin, one in self._built("apply")),
        )

    @property
    def wrappers(self) -> list[str]:
        """Names of plug-ins that lie around the chip, from the inside."""
        return [plugin.name for plugin, _ in self._built("wrap")]

    def wrap(self, chip: Chip, seed: int) -> Chip:
        """The chip with what plug-ins put around it.

        Raises:
            PluginError: one fails, or makes something else.
        """
        for plugin, one in self._built("wrap"):
            with plugin.blamed("fails at a chip"):
                chip = plugin.having(one.wrap(chip, seed), CHIP)
        return chip

    def _built(self, what: str) -> Iterator[tuple[Plugin, Any]]:
        """Non-idealities of plug-ins that have such a function."""
        for plugin in self.plugged:
            one = plugin.build((), (self.plugins or {})[plugin.name])
            if not (hasattr(one, "apply") or hasattr(one, "wrap")):
                raise PluginError(f"{plugin} makes a {type(one).__name__}, which has neither apply nor wrap")
            if hasattr(one, what):
                yield plugin, one
