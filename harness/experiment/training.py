"""``[training]``: how long, in which portions, and the seed of everything that has none of its own."""

from typing import Annotated

from pydantic import Field

from harness.learning.updates.updates import Schedule
from harness.training.controller import Plan
from harness.validation import Section, Seed, Whole


class TrainingSettings(Section):
    """``[training]``: how long, in which portions, and the seed of everything that has none of its own."""

    epochs: Annotated[Whole, Field(ge=1, le=1_000_000)]
    """Number of times that every training row is seen."""
    batch: Annotated[Whole, Field(ge=1, le=1_000_000)]
    """Number of rows in a step."""
    seed: Seed = 0
    """Seed of the order of samples, the signs of the nudge and the choice of a subset; also of the split, the initial
    conductances and the chip, unless data.seed, network.seed and variation.seed say others."""

    def build(self, schedule: Schedule) -> Plan:
        """The plan of a training whose rates fall as the schedule says."""
        return Plan(self.epochs, self.batch, self.seed, schedule)
