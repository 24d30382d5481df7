"""The sections of an experiment file that say what its chip is and what is wrong with it; every key is documented here.

``[chip]`` says what simulates it, ``[variation]`` how it was made, ``[programming]`` how its cells are written and
``[imperfect]`` what its pins do.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.circuit.variation.lines import Law
from harness.errors import CircuitError
from harness.experiment.sections import Amperes, Number, Ohms, Seconds, Section, Siemens, Volts, Whole
from harness.measurement import Access
from harness.validation import MismatchError


class VariationSettings(Section):
    """``[variation]``: how the circuit as made differs from the drawn one (`harness.circuit.variation.variation`).

    Learning knows the drawn one: it programs the drawn circuit's conductances and reads its nodes. Fractions are
    relative standard deviations from device to device.
    """

    seed: Annotated[Whole, Field(ge=0, lt=2**32)] | None = None
    """Which of all chips that could be made, in `[imperfect]` and `[programming]` too; training.seed without it."""
    spread: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of every cell's conductance, a factor of its own."""
    spread_law: Law = Law.LOG_NORMAL
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


class ProgrammingSettings(Section):
    """``[programming]``: cells are written by pulses of a device (`harness.chip.imperfect.programming`); else exactly.

    Fractions are of the range that the device has in the network.
    """

    device: str | None = None
    """A published device by name (`harness.devices.presets`)."""
    file: Path | None = None
    """Instead, measured pulses as CSV (`harness.devices.measured`), to which the exponential law is fitted."""
    law: Literal["linear", "soft-bounds", "exponential"] | None = None
    """Instead, a law: equal steps, steps in proportion to the way left, or NeuroSim's exponential curve."""
    pulses: Annotated[Number, Field(ge=1, le=1e9)] | None = None
    """For a law: pulses over the range; of soft bounds, as their first step would need."""
    nonlinearity_up: Annotated[Number, Field(ge=-9, le=9)] | None = None
    """For the exponential law: NeuroSim's label, above 0 where steps shrink on the way; 0 without it."""
    nonlinearity_down: Annotated[Number, Field(ge=-9, le=9)] | None = None
    """The same downwards, above 0 where steps shrink."""
    on_off_ratio: Annotated[Number, Field(gt=1)] | None = None
    """g_max over the smallest conductance of a cell; without it that of the device where it is known."""
    range: Literal["array", "ratio", "device"] | None = None
    """Cells reach over g_min…g_max, or from g_max over the on/off ratio; where that is known, the latter without it.
    With ``device`` they have the device's own conductances, over which fresh cells are spread: the network's g_min,
    g_max and g_unit are replaced by them, and the run records those."""
    mode: Literal["open-loop", "fixed-step", "stochastic", "verify"] = "open-loop"
    """Pulses as the law needs them; one by the sign; at random, right in the mean; or until a read is near enough."""
    max_pulses: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    """For one cell in one write; 100 without it."""
    tolerance: Annotated[Number, Field(gt=0, le=1)] | None = None
    """For ``verify``: fraction within which a cell is near enough; 0.01 without it."""
    threshold: Annotated[Number, Field(ge=0, le=1)] | None = None
    """For ``fixed-step``: fraction that a wanted change must exceed; 0 without it."""
    device_to_device: Annotated[Number, Field(ge=0, le=10)] | None = None
    """Of a device's steps, standard deviation; without it as published or measured, or none."""
    cycle_to_cycle: Annotated[Number, Field(ge=0, le=10)] | None = None
    """Of one pulse, standard deviation as a fraction of the range; without it as published or measured, or none."""
    pairs: Annotated[bool, Field(strict=True)] = False
    """Cells are pulsed up only: where one is to lose, its partner in a differential pair gains."""
    refresh_at: Annotated[Number, Field(ge=1e-6, le=0.9)] | None = None
    """For pairs: fraction below g_max where a pair is reset and written anew; 0.1 without it."""

    @model_validator(mode="after")
    def _one_device(self) -> Self:
        given = [name for name in ("device", "file", "law") if getattr(self, name) is not None]
        if not given:
            raise MismatchError("device", "give a device, a file of measured pulses, or a law")
        if len(given) > 1:
            raise MismatchError(given[1], f"{given[0]} says already what the cells are; give one of them")
        if self.device is not None:
            self._check_device(self.device)
        return self

    @model_validator(mode="after")
    def _law_of_one_s_own(self) -> Self:
        for name in ("pulses", "nonlinearity_up", "nonlinearity_down"):
            if self.law is None and getattr(self, name) is not None:
                raise MismatchError(name, "belongs to a law; a device and a file have their own")
            if self.law not in (None, "exponential") and name != "pulses" and getattr(self, name) is not None:
                raise MismatchError(name, f"law = {self.law!r} has none; only law = 'exponential' has")
        if self.law is not None and self.pulses is None:
            raise MismatchError("pulses", f"law = {self.law!r} needs the number of pulses over the range")
        if self.range in ("array", "device") and self.on_off_ratio is not None:
            raise MismatchError("on_off_ratio", f"range = {self.range!r} leaves it out; write range = 'ratio'")
        if self.range == "device" and self.law is not None:
            raise MismatchError("range", "a law has no conductances of its own; write range = 'array' or 'ratio'")
        if self.range == "ratio" and self.law is not None and self.on_off_ratio is None:
            raise MismatchError("on_off_ratio", "range = 'ratio' needs it: a law has no conductances of its own")
        return self

    @model_validator(mode="after")
    def _keys_of_modes(self) -> Self:
        for name, mode in (("tolerance", "verify"), ("threshold", "fixed-step")):
            if getattr(self, name) is not None and self.mode != mode:
                raise MismatchError(name, f"belongs to mode = {mode!r}, not {self.mode!r}")
        if self.max_pulses is not None and self.mode == "fixed-step":
            raise MismatchError("max_pulses", "mode = 'fixed-step' writes with one pulse")
        if self.refresh_at is not None and not self.pairs:
            raise MismatchError("refresh_at", "only differential pairs are refreshed; write pairs = true")
        if self.nonlinearity_down is not None and self.pairs:
            raise MismatchError("nonlinearity_down", "pairs are pulsed up only; leave it out")
        return self

    def _check_device(self, name: str) -> None:
        from harness.devices.presets import Preset, preset  # noqa: PLC0415 - its fits take a while to import

        try:
            found = preset(name)
        except CircuitError as error:
            raise MismatchError("device", str(error)) from error
        unknown = isinstance(found, Preset) and (found.g_min is None or found.g_max is None)
        if self.range == "device" and unknown:
            raise MismatchError("range", f"the source of {name} gives no conductances; write range = 'array'")
        if self.range == "ratio" and unknown and self.on_off_ratio is None:
            raise MismatchError("on_off_ratio", f"range = 'ratio' needs it: the source of {name} gives no conductances")


class ImperfectSettings(Section):
    """``[imperfect]``: what the chip's pins and cells do wrong (`harness.chip.imperfect.pins.PinErrors`)."""

    dac_bits: Annotated[Whole, Field(ge=1, le=24)] | None = None
    """Of every input channel, over ±`dac_range`; 2^bits values from end to end, so that none is 0 V."""
    dac_range: Annotated[Volts, Field(gt=0, le=1e3)] = 1.0
    """V before the input gain."""
    dac_noise: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """V before the input gain, standard deviation, per cycle."""
    adc_bits: Annotated[Whole, Field(ge=1, le=24)] | None = None
    """Of what reads outputs and inner nodes, over ±`adc_range`; 2^bits values, none of them 0 V."""
    adc_range: Annotated[Volts, Field(gt=0, le=1e3)] = 1.0
    """V."""
    read_noise: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """V, standard deviation, per cycle."""
    mismatch: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Fraction, per device, by which the twin network of nudged phases differs."""
    drift: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Fraction of g − g_min that every cell has lost when nudged phases settle, after the free one."""
    decay: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Fraction of g − g_min that every cell forgets from one write to the next."""
    update_bias: Annotated[Siemens, Field(ge=0, le=1e3)] = 0.0
    """S that every write adds to a cell that is written, with a sign per device."""
    programming_noise: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Fraction of a cell's range, per cycle."""
    levels: Annotated[Whole, Field(ge=2, le=2**24)] | None = None
    """Conductances that a cell can hold."""


class ChipSettings(Section):
    """``[chip]``: what the network is simulated with."""

    kind: Literal["ngspice", "nodal"] = "ngspice"
    reltol: Annotated[Number, Field(gt=0, lt=1e-3)] = 1e-6
    vntol: Annotated[Volts, Field(gt=0, lt=1e-3)] = 1e-9
    abstol: Annotated[Amperes, Field(gt=0, lt=1e-6)] = 1e-12
    chunk: Annotated[Whole, Field(ge=1, le=1024)] = 32
    """Samples per sweep: the portion that one worker takes; the last bits of results depend on it."""
    access: Access = Access.NODES
    """What learning rules may read."""
    settling_time: Annotated[Seconds, Field(gt=0)] | None = None
    """s that every phase takes, for the energy that runs record; without it energy is not counted."""
