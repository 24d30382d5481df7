"""``[retention]``: what time does to cells after they were written."""

import math
from typing import Annotated

from pydantic import Field

from harness.chip.imperfect.ageing import Pace
from harness.devices.retention.laws import (
    ABSOLUTE_ZERO,
    NOMINAL,
    Drift,
    Loss,
    ReadDisturb,
    Relaxation,
    Retention,
    Telegraph,
)
from harness.validation import Duration, Hertz, In, Number, Section

_PHASE = 1e-6
"""s that a phase takes where the chip has no settling time."""
_Celsius = Annotated[Number, In("°C"), Field(gt=ABSOLUTE_ZERO, le=1000)]


class RetentionSettings(Section):
    """``[retention]``: what time does to cells after they were written (`harness.devices.retention.laws`).

    Times are numbers in s, or texts such as ``"20 s"``, ``"15 min"``, ``"1 h"``, ``"10 d"`` or ``"1 y"``. Time passes
    in training, and after it in `harness age`.
    """

    drift: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Mean exponent ν of the power law g (1 + t/t₀)^−ν by which phase-change cells drift. Source: Le Gallo et al. 2018,
    Adv. Electron. Mater. 4, 1700627."""
    drift_spread: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Standard deviation of ν from device to device; no ν is below 0."""
    drift_start: Annotated[Duration, Field(gt=0)] = 20.0
    """Time t₀ from the last pulse of a write to the read that ends it; t counts from that read."""
    lifetime: Annotated[Duration, Field(gt=0)] | None = None
    """Age at which 1/e of g − g_min is left, by a stretched exponential; without it nothing is lost."""
    lifetime_temperature: _Celsius = 85.0
    """Temperature for which that lifetime is given."""
    activation_energy: Annotated[Number, In("eV"), Field(ge=0, le=10)] = 1.0
    """Energy by which the lifetime changes with temperature, after Arrhenius."""
    stretching: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """Exponent β of the stretched exponential; 1 is a plain one, and below it the loss begins early and ends late."""
    relaxation: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Standard deviation, as a fraction of a cell's range, by which a cell leaves what was written, drawn anew at every
    write. Source: Wan et al. 2022, Nature 608, 504."""
    relaxation_time: Annotated[Duration, Field(gt=0)] = 1.0
    """Time constant of that relaxation."""
    read_disturb: Annotated[Number, Field(ge=-0.5, le=0.5)] = 0.0
    """Fraction of its way to g_max that every read moves a cell; below 0, of its way to g_min. A read is a phase of a
    sample."""
    read_rate: Annotated[Hertz, Field(ge=0)] = 0.0
    """Reads of every cell per second after training."""
    telegraph: Annotated[Number, Field(ge=0, le=0.99)] = 0.0
    """Difference between the two states of a cell's random telegraph noise, as a fraction of its conductance. Source:
    Ambrogio et al. 2013, IEDM."""
    telegraph_time: Annotated[Duration, Field(gt=0)] = 1.0
    """Mean time that a cell stays in one of those states."""
    temperature: _Celsius = NOMINAL
    """Temperature at which cells age; that of the circuit is variation.temperature."""
    step_time: Annotated[Duration, Field(ge=0)] | None = None
    """Time that a training step takes; without it, chip.settling_time (or 1 µs) for each phase of each sample, and
    `write_time`."""
    write_time: Annotated[Duration, Field(ge=0)] = 1e-3
    """Time that the write at the end of a step takes."""

    def build(self) -> Retention:
        """The laws."""
        lifetime = math.inf if self.lifetime is None else self.lifetime
        return Retention(
            relaxation=Relaxation(self.relaxation, self.relaxation_time),
            loss=Loss(lifetime, self.lifetime_temperature, self.activation_energy, self.stretching),
            drift=Drift(self.drift, self.drift_spread, self.drift_start),
            disturb=ReadDisturb(self.read_disturb),
            telegraph=Telegraph(self.telegraph, self.telegraph_time),
            celsius=self.temperature,
        )

    def pace(self, settling_time: float | None) -> Pace:
        """The time that training takes, on a chip whose phases take so many s; None where that is not known."""
        return Pace(self.step_time, _PHASE if settling_time is None else settling_time, self.write_time)
