"""``[update]``: how a gradient becomes a change of conductance, and ``[subset]``: of which cells."""

from pathlib import Path
from typing import Annotated, Literal, Self, Union

import numpy as np
from pydantic import Field, model_validator

from harness.circuit import Circuit
from harness.errors import ExperimentError
from harness.experiment.rule import Units
from harness.learning import Largest, SubsetUpdate, cells_of, random_cells
from harness.learning.updates.accumulation import AccumulatedUpdate
from harness.learning.updates.resistances import ResistanceUpdate
from harness.learning.updates.subsets import Choice, read_masks
from harness.learning.updates.tied import TiedUpdate, copies
from harness.learning.updates.updates import SGD, Adam, Momentum, Schedule, UpdateRule
from harness.validation import Flag, In, MismatchError, Number, Positive, Section

_SUBSET = 3
"""Stream of random numbers for chosen cells; 0 and 1 are the training loop's, 2 and 4 the network's."""


class _Update(Section):
    rates: tuple[Annotated[Number, In("g_unit²/V² (sgd, momentum), g_unit (adam)"), Field(ge=0)], ...]
    """Learning rates: one for each crossbar, or one for all. With rules that give directions in V² and not gradients,
    such as coupled learning, rates of sgd and momentum are in g_unit/V²."""
    decay: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """Factor on the rates from each epoch to the next."""
    to_zero: Flag = False
    """True to let rates fall in a straight line, from step to step, to nothing at the end of the training."""
    variable: Literal["conductance", "resistance"] = "conductance"
    """Quantity that steps are taken in. With ``resistance``, the gradient is ∂C/∂R = −g² ∂C/∂g, and all numbers of the
    section count in 1/g_unit instead of g_unit: rates of sgd and momentum in 1/(g_unit² V²), those of adam in 1/g_unit.
    Source: Lin et al. 2026, arXiv 2602.03546."""
    accumulate: Annotated[Number, In("g_unit"), Field(ge=0)] = 0.0
    """Portion of conductance: changes are summed, and written in whole multiples of it; 0 writes them at once. Source:
    Nandakumar et al. 2020, Front. Neurosci. 14, 406."""

    @property
    def schedule(self) -> Schedule:
        """The schedule by which rates fall."""
        return Schedule(self.decay, to_zero=self.to_zero)

    def _rates(self, arrays: int, unit: float) -> tuple[float, ...]:
        """Return one rate for each array, in SI units."""
        rates = self.rates * arrays if len(self.rates) == 1 else self.rates
        return tuple(rate * unit for rate in rates)


class SGDSettings(_Update):
    """Gradient descent: a change is the rate times the gradient, downwards."""

    kind: Literal["sgd"]

    def build(self, arrays: int, units: Units) -> UpdateRule:
        """The update of all cells of so many arrays."""
        return SGD(self._rates(arrays, units.rate))


class MomentumSettings(_Update):
    """Gradient descent that keeps a share of its last direction."""

    kind: Literal["momentum"]
    momentum: Annotated[Number, Field(ge=0, lt=1)] = Momentum.momentum
    """Share of the last step's direction that is kept."""

    def build(self, arrays: int, units: Units) -> UpdateRule:
        """See `SGDSettings.build`."""
        return Momentum(self._rates(arrays, units.rate), self.momentum)


class AdamSettings(_Update):
    """Adam: the mean gradient over the root of the mean square. Source: Kingma & Ba 2015, arXiv 1412.6980."""

    kind: Literal["adam"]
    beta1: Annotated[Number, Field(ge=0, lt=1)] = Adam.beta1
    """Share of the gradients' mean that is kept."""
    beta2: Annotated[Number, Field(ge=0, lt=1)] = Adam.beta2
    """Share of the squared gradients' mean that is kept."""
    epsilon: Annotated[Positive, In("V²/g_unit")] = Adam.epsilon
    """Number that is added to the root of the mean square, so that no step divides by nothing."""

    def build(self, arrays: int, units: Units) -> UpdateRule:
        """See `SGDSettings.build`."""
        moments = self.beta1, self.beta2, self.epsilon
        return Adam(self._rates(arrays, units.conductance), *moments, scale=units.gradient)


UpdateSettings = Union[SGDSettings, MomentumSettings, AdamSettings]  # noqa: UP007


class SubsetSettings(Section):
    """``[subset]``: which conductances are written; without the section, all.

    Source: Lin et al. 2026, arXiv 2602.03546.
    """

    choose: Literal["random", "largest", "arrays", "mask"]
    """How they are chosen: at random once (``random``), those with the largest gradients in each step (``largest``),
    whole ``arrays``, or as the file of a ``mask`` says."""
    fraction: Annotated[Number, Field(ge=0, le=1)] = 1.0
    """For ``random`` and ``largest``: share of each array's cells."""
    arrays: tuple[str, ...] = ()
    """For ``arrays``: the names of the arrays that are written."""
    file: Path | None = None
    """For ``mask``: an npz file with an array of zeros and ones for each trainable array, by its name."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.choose == "arrays" and not self.arrays:
            raise MismatchError("arrays", "choose = 'arrays' needs the names of arrays")
        if self.choose == "mask" and self.file is None:
            raise MismatchError("file", "choose = 'mask' needs a file")
        return self

    def build(self, circuit: Circuit, seed: int) -> Choice:
        """The conductances that are written; `seed` draws them where chance does."""
        match self.choose:
            case "random":
                return random_cells(circuit, self.fraction, np.random.default_rng([seed, _SUBSET]))
            case "largest":
                return Largest(self.fraction)
            case "arrays":
                return cells_of(circuit, self.arrays)
        return read_masks(circuit, self.file or Path())  # the section refuses a mask without a file


def build_update(
    update: UpdateSettings, subset: SubsetSettings | None, circuit: Circuit, units: Units, seed: int
) -> UpdateRule:
    """Build the update rule, which changes the conductances of all cells or of a subset, at once or in portions.

    Numbers of the sections count in `units`; `seed` chooses cells at random.

    Raises:
        ExperimentError: the subset does not fit the circuit.
    """
    in_ohms = update.variable == "resistance"
    units = units.of_resistances if in_ohms else units
    built, tied = update.build(len(circuit.arrays), units), copies(circuit)
    if subset is not None and max(tied) > 1 and subset.choose in ("random", "largest"):
        raise ExperimentError(
            f"subset.choose = {subset.choose!r}: it would write some copies of a kernel's cell and not others; choose "
            "arrays, or set network.tied = false"
        )
    if subset is not None:
        built = SubsetUpdate(built, subset.build(circuit, seed))
    portion = update.accumulate * units.conductance
    if portion:
        built = AccumulatedUpdate(built, portion)
    if max(tied) > 1:
        built = TiedUpdate(built, tied)
    ranges = tuple((array.g_min, array.g_max) for array in circuit.arrays)
    return ResistanceUpdate(built, ranges) if in_ohms else built
