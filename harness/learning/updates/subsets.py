"""Subset updates (Lin, Desai, Barrows, Caravelli 2026): only chosen conductances are written.

The partial derivatives of those that are written stay exact; the others keep their value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from harness.circuit import Circuit
from harness.errors import ExperimentError
from harness.files.reading import read_arrays
from harness.learning.updates.updates import UpdateRule, UpdateState
from harness.measurement import Array, Conductances
from harness.wording import did_you_mean

Masks = tuple[npt.NDArray[np.bool_], ...]
"""True for every cell that is written, one array per trainable array."""


class Choice(Protocol):
    """A choice of the cells that are written."""

    def masks(self, gradient: Conductances) -> Masks:
        """Return the masks of the chosen cells, for a gradient (V²/S)."""


@dataclass(frozen=True, eq=False)
class Chosen(Choice):
    """The choice of the same cells in every step."""

    chosen: Masks

    @override
    def masks(self, gradient: Conductances) -> Masks:
        return self.chosen


@dataclass(frozen=True)
class Largest(Choice):
    """The choice, in every step, of a share of each array's cells with the largest |∂C/∂g|.

    Raises:
        ExperimentError: the share is not in 0…1.
    """

    fraction: float

    def __post_init__(self) -> None:
        _check_fraction(self.fraction)

    @override
    def masks(self, gradient: Conductances) -> Masks:
        return tuple(_largest(np.abs(g), self.fraction) for g in gradient)


def random_cells(circuit: Circuit, fraction: float, rng: np.random.Generator) -> Chosen:
    """A share of each array's cells, drawn once.

    Raises:
        ExperimentError: the share is not in 0…1.
    """
    _check_fraction(fraction)
    return Chosen(tuple(_largest(rng.random(array.shape), fraction) for array in circuit.arrays))


def cells_of(circuit: Circuit, names: Sequence[str]) -> Chosen:
    """All cells of some arrays.

    Raises:
        ExperimentError: there is no array of that name.
    """
    known = [array.name for array in circuit.arrays]
    if unknown := [name for name in names if name not in known]:
        raise ExperimentError(
            f"subset: there is no array {unknown[0]!r}{did_you_mean(unknown[0], known, or_list=True)}"
        )
    return Chosen(tuple(np.full(array.shape, array.name in names) for array in circuit.arrays))


def read_masks(circuit: Circuit, file: Path) -> Chosen:
    """The cells that a file marks: an npz file with an array of zeros and ones for each array, by its name.

    Raises:
        ExperimentError: the file cannot be read, or an array is missing or has another shape.
    """
    found = read_arrays(file, ExperimentError)
    for array in circuit.arrays:
        if array.name not in found:
            raise ExperimentError(f"subset: {file} has no mask {array.name!r}; it has {', '.join(found) or 'none'}")
        if (shape := found[array.name].shape) != array.shape:
            raise ExperimentError(f"subset: {file}: mask {array.name!r} has shape {shape}, the cells are {array.shape}")
        if found[array.name].dtype.kind == "U" or not np.isin(found[array.name], (0, 1)).all():
            raise ExperimentError(f"subset: {file}: mask {array.name!r} is not of zeros and ones")
    return Chosen(tuple(found[array.name] != 0 for array in circuit.arrays))


@dataclass(frozen=True, eq=False)
class SubsetUpdate(UpdateRule):
    """An update rule whose changes reach the chosen cells only; its state sees the whole gradient."""

    update: UpdateRule
    choice: Choice

    @override
    def init(self, conductances: Conductances) -> UpdateState:
        return self.update.init(conductances)

    @override
    def step(self, gradient: Conductances, state: UpdateState) -> tuple[Conductances, UpdateState]:
        change, state = self.update.step(gradient, state)
        return tuple(np.where(m, c, 0.0) for m, c in zip(self.choice.masks(gradient), change, strict=True)), state

    @override
    def scaled(self, factor: float) -> "SubsetUpdate":
        return replace(self, update=self.update.scaled(factor))


def _largest(size: Array, fraction: float) -> npt.NDArray[np.bool_]:
    count = round(fraction * size.size)
    mask = np.zeros(size.size, bool)
    if count:
        mask[np.argpartition(size.ravel(), size.size - count)[size.size - count :]] = True
    return mask.reshape(size.shape)


def _check_fraction(fraction: float) -> None:
    if not 0 <= fraction <= 1:
        raise ExperimentError(f"subset: fraction {fraction:g} must lie in 0…1")
