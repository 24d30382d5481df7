"""``[programming]``: cells are written by pulses of a device; without the section, exactly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from harness.chip.imperfect.programming import Mode, Programming, alike_cells, clipped_cells, coarse_pulses
from harness.circuit import Circuit, Convolution, Crossbar, TrainableArray
from harness.devices.measured import fit
from harness.devices.presets import Preset, preset
from harness.devices.pulses import ExponentialStep, LinearStep, SoftBounds, curvature_of_label
from harness.devices.writing import Device, device_of, measured_device
from harness.errors import CircuitError
from harness.experiment.network import NetworkSettings
from harness.validation import Flag, MismatchError, Number, Section, Whole


class ProgrammingSettings(Section):
    """``[programming]``: cells are written by pulses of a device; without the section, exactly.

    Fractions are of the range that the device has in the network (`harness.chip.imperfect.programming`).
    """

    device: str | None = None
    """A published device by its name; `harness devices list` has them, with their sources
    (`harness.devices.presets`)."""
    file: Path | None = None
    """Instead, measured pulses as CSV (`harness.devices.measured`), to which the exponential law is fitted."""
    law: Literal["linear", "soft-bounds", "exponential"] | None = None
    """Instead, a law: equal steps, steps in proportion to the way that is left, or NeuroSim's exponential curve (Chen,
    Peng & Yu 2017, IEDM, 6.1)."""
    pulses: Annotated[Number, Field(ge=1, le=1e9)] | None = None
    """For a law: number of pulses over the range; for soft bounds, as many as their first step would need."""
    nonlinearity_up: Annotated[Number, Field(ge=-9, le=9)] | None = None
    """For the exponential law: NeuroSim's label, above 0 where steps shrink on the way; 0 without it."""
    nonlinearity_down: Annotated[Number, Field(ge=-9, le=9)] | None = None
    """The same on the way down: above 0 where steps shrink; 0 without it."""
    on_off_ratio: Annotated[Number, Field(gt=1)] | None = None
    """Ratio of g_max to the smallest conductance of a cell; without it, that of the device where it is known."""
    range: Literal["array", "ratio", "device"] | None = None
    """Conductances that cells reach. ``array``: g_min…g_max. ``ratio``: from g_max over the on/off ratio to g_max, also
    without the key where that ratio is known. ``device``: the device's own, over which fresh cells are spread; they
    replace the network's g_min, g_max and g_unit, and the run records them."""
    mode: Mode = Mode.OPEN_LOOP
    """How a wanted change becomes pulses. Source of ``fixed-step``: Zamanidoost et al. 2015; of ``stochastic``: Gokmen
    & Vlasov 2016, Front. Neurosci. 10, 333."""
    max_pulses: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    """Largest number of pulses for a cell in one write; 100 without it."""
    tolerance: Annotated[Number, Field(gt=0, le=1)] | None = None
    """For ``verify``: fraction of the range within which a cell is near enough; 0.01 without it."""
    threshold: Annotated[Number, Field(ge=0, le=1)] | None = None
    """For ``fixed-step``: fraction of the range that a wanted change must exceed; 0 without it."""
    device_to_device: Annotated[Number, Field(ge=0, le=10)] | None = None
    """Standard deviation of the steps from device to device, relative; without it as published or measured, or none."""
    cycle_to_cycle: Annotated[Number, Field(ge=0, le=10)] | None = None
    """Standard deviation of one pulse, as a fraction of the range; without it as published or measured, or none."""
    pairs: Flag = False
    """True to pulse cells up only: where one is to lose, its partner in a differential pair gains. Source: Burr et al.
    2015, IEEE TED 62, 3498."""
    refresh_at: Annotated[Number, Field(ge=1e-6, le=0.9)] | None = None
    """Fraction of the range below g_max where a pair is reset and written anew; 0.1 without it."""

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
        for name, mode in (("tolerance", Mode.VERIFY), ("threshold", Mode.FIXED_STEP)):
            if getattr(self, name) is not None and self.mode is not mode:
                raise MismatchError(name, f"belongs to mode = {mode.value!r}, not {self.mode.value!r}")
        if self.max_pulses is not None and self.mode in (Mode.FIXED_STEP, Mode.EXACT):
            pulses = "one pulse" if self.mode is Mode.FIXED_STEP else "no pulse"
            raise MismatchError("max_pulses", f"mode = {self.mode.value!r} writes with {pulses}")
        if self.pairs and self.mode is Mode.EXACT:
            raise MismatchError("pairs", "mode = 'exact' has no pulses, and pairs are pulsed up only")
        if self.refresh_at is not None and not self.pairs:
            raise MismatchError("refresh_at", "only differential pairs are refreshed; write pairs = true")
        if self.nonlinearity_down is not None and self.pairs:
            raise MismatchError("nonlinearity_down", "pairs are pulsed up only; leave it out")
        return self

    def _check_device(self, name: str) -> None:
        try:
            found = preset(name)
        except CircuitError as error:
            raise MismatchError("device", str(error)) from error
        unknown = isinstance(found, Preset) and (found.g_min is None or found.g_max is None)
        if self.range == "device" and unknown:
            raise MismatchError("range", f"the source of {name} gives no conductances; write range = 'array'")
        if self.range == "ratio" and unknown and self.on_off_ratio is None:
            raise MismatchError("on_off_ratio", f"range = 'ratio' needs it: the source of {name} gives no conductances")

    @property
    def of_device(self) -> Device:
        """The device: published, measured, or of a law over 0…1.

        Raises:
            DataError: a file of measured pulses is wrong.
        """
        if self.device is not None:
            return device_of(preset(self.device))
        if self.file is not None:
            return measured_device(self.file.stem, fit(self.file))
        pulses, labels = self.pulses or 1.0, (self.nonlinearity_up or 0.0, self.nonlinearity_down or 0.0)
        match self.law:
            case "linear":
                return Device("linear", LinearStep(0.0, 1.0, 1 / pulses, 1 / pulses))
            case "soft-bounds":
                return Device("soft-bounds", SoftBounds(0.0, 1.0, 1 / pulses, 1 / pulses))
        return Device("exponential", ExponentialStep(0.0, 1.0, pulses, pulses, *map(curvature_of_label, labels)))

    def build(self) -> Programming:
        """Build the way in which cells are written by pulses.

        Raises:
            DataError: a file of measured pulses is wrong.
        """
        device = self.of_device
        changes: dict[str, Any] = {"ratio": self.on_off_ratio or device.ratio}
        if self.range == "array":
            changes["ratio"] = None
        changes |= self._given("device_to_device", "cycle_to_cycle")
        numbers = self._given("max_pulses", "tolerance", "threshold", "refresh_at")
        return Programming(replace(device, **changes), self.mode, pairs=self.pairs, **numbers)

    @property
    def chosen(self) -> frozenset[str]:
        """Dotted keys of an experiment that `fitted` replaces, whatever the file says."""
        replaced = ("network.g_min", "network.g_max", "network.g_unit", "programming.range")
        return frozenset(replaced if self.range == "device" else ())

    def fitted(self, network: NetworkSettings, drawn: Callable[[], Circuit]) -> dict[str, Section]:
        """Both sections by name, with a device's own conductances as the network's where `range` wants them.

        Fresh cells of the widest crossbar then reach just up to g_max, and those of a graph reach it too; `drawn` makes
        the circuit of the network as it stands.

        Raises:
            DataError: a file of measured pulses is wrong.
        """
        if self.range != "device":
            return {"network": network, "programming": self}
        g_min, g_max = self.of_device.law.bounds
        widest = max(map(_lines, drawn().arrays))
        cells = {"g_min": g_min, "g_max": g_max, "g_unit": g_max * widest**0.5}
        return {"network": network.model_copy(update=cells), "programming": self.model_copy(update={"range": "array"})}

    def _given(self, *keys: str) -> dict[str, Any]:
        return {key: value for key in keys if (value := getattr(self, key)) is not None}


def _lines(array: TrainableArray) -> int:
    """Return how many fresh cells share a bit line, as their size depends on it."""
    return len(array.words) if isinstance(array, Crossbar) else array.grid[1] if isinstance(array, Convolution) else 1


def warnings(given: ProgrammingSettings | None, circuit: Circuit) -> list[str]:
    """Sentences for arrays whose conductances start where devices cannot hold them apart."""
    if given is None:
        return alike_cells(circuit)
    device = given.build().device
    return clipped_cells(circuit, device) or alike_cells(circuit) or coarse_pulses(circuit, device)
