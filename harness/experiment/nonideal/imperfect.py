"""``[imperfect]``: what the chip's pins and cells do wrong."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import Field

from harness.chip.imperfect.johnson import ROOM, JohnsonNoise
from harness.chip.imperfect.pins import PinErrors
from harness.datasets import Samples
from harness.measurement import Array
from harness.units import show
from harness.validation import Hertz, Kelvin, Number, Section, Siemens, Volts, Whole


class ImperfectSettings(Section):
    """``[imperfect]``: what the chip's pins and cells do wrong (`harness.chip.imperfect.pins.PinErrors`).

    What is said to be per device is drawn once for a chip, what is per cycle anew each time.
    """

    dac_bits: Annotated[Whole, Field(ge=1, le=24)] | None = None
    """Bits of every input channel's converter, over ±`dac_range`; 2^bits values from end to end, none of them 0 V."""
    dac_range: Annotated[Volts, Field(gt=0, le=1e3)] = 1.0
    """Largest voltage, either way, of the converters at input channels, before the input gain."""
    dac_noise: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """Standard deviation of the noise of inputs, before the input gain, per cycle."""
    adc_bits: Annotated[Whole, Field(ge=1, le=24)] | None = None
    """Bits of the converter that reads outputs and inner nodes, over ±`adc_range`; 2^bits values, none of them 0 V."""
    adc_range: Annotated[Volts, Field(gt=0, le=1e3)] = 1.0
    """Largest voltage, either way, of the converter that reads."""
    read_noise: Annotated[Volts, Field(ge=0, le=1e3)] = 0.0
    """Standard deviation of the noise of readings, per cycle."""
    mismatch: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Fraction, per device, by which the twin network of nudged phases differs."""
    drift: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Fraction of g − g_min that every cell has lost when nudged phases settle, after the free one."""
    decay: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Fraction of g − g_min that every cell forgets from one write to the next."""
    update_bias: Annotated[Siemens, Field(ge=0, le=1e3)] = 0.0
    """Conductance that every write adds to a cell that is written, with a sign per device. Source: Dillavou et al.
    2025, arXiv 2505.22887."""
    programming_noise: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Standard deviation of the noise of writes, as a fraction of a cell's range, per cycle."""
    johnson_bandwidth: Annotated[Hertz, Field(ge=0, le=1e18)] = 0.0
    """Bandwidth of the Johnson noise that every cell and resistor makes, per cycle; 0 is no noise
    (`harness.chip.imperfect.johnson`)."""
    johnson_temperature: Annotated[Kelvin, Field(ge=0, le=1e18)] = ROOM
    """Temperature of that noise; that of the circuit is in `[variation]`."""
    levels: Annotated[Whole, Field(ge=2, le=2**24)] | None = None
    """Number of conductances that a cell can hold."""

    def build(self) -> PinErrors:
        """The strengths, which are called like the keys."""
        return PinErrors(**self.model_dump(exclude={"johnson_bandwidth", "johnson_temperature"}))

    @property
    def johnson(self) -> JohnsonNoise:
        """The noise of warm conductances."""
        return JohnsonNoise(self.johnson_bandwidth, self.johnson_temperature)

    def warnings(self, rows: Samples) -> Iterator[str]:
        """A sentence for inputs, and one for targets, that lie beyond what converters reach."""
        if self.dac_bits is None and self.adc_bits is None:
            return  # the volts of all rows may be hundreds of megabytes
        batch = rows.batch(slice(None))
        yield from _clipped("inputs", "dac_range", self.dac_bits, self.dac_range, batch.inputs)
        yield from _clipped("wanted outputs", "adc_range", self.adc_bits, self.adc_range, batch.targets)


def _clipped(what: str, key: str, bits: int | None, limit: float, volts: Array) -> Iterator[str]:
    if bits is not None and (share := float(np.mean(np.abs(volts) > limit))):
        yield f"{share:.1%} of the {what} lie beyond imperfect.{key}, ±{show(limit, 'V')}; raise it"
