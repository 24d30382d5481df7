"""Optional part of a chip: the history of its cells, on which their conductances depend as time passes.

A chip has one or has none; the functions of this file take any chip. Checkpoints keep it, so that a training that goes
on has the times and the random numbers of one that was never stopped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from harness.errors import ChipError
from harness.measurement import Array, Conductances

SCALARS = ("clock", "reads", "phases", "writes")
"""Numbers of a history."""


@dataclass(frozen=True, eq=False)
class History:
    """The history of a chip's cells up to now."""

    clock: float = 0.0
    """s that have passed for the chip."""
    reads: float = 0.0
    """Reads of every cell so far: phases settled in steps, and what came with the time after training."""
    phases: float = 0.0
    """Phases settled in the step that is under way, whose time is still to pass."""
    writes: float = 0.0
    """Writes in the step that is under way."""
    cells: Mapping[str, Conductances] = field(default_factory=dict)
    """Numbers of each cell by their name, in the shapes of the arrays."""


@runtime_checkable
class Holding(Protocol):
    """A chip whose cells can come to conductances by themselves."""

    def hold(self, conductances: Sequence[Array]) -> None:
        """Let cells have conductances (S) that nobody wrote, beyond their range too; the ledger counts nothing."""


@runtime_checkable
class Ageing(Protocol):
    """A chip for which time passes."""

    @property
    def history(self) -> History:
        """The history of its cells."""

    def recall(self, history: History) -> None:
        """Put the cells at the end of a history; conductances follow from it.

        Raises:
            ChipError: the history is of other cells, or of none that could be.
        """

    def wait(self, seconds: float, *, reads: float = 0.0, key: Sequence[int] = ()) -> None:
        """Let time pass, in which every cell is read so often; `key` names the random numbers that are drawn.

        Raises:
            ChipError: a number is negative or not finite.
        """


def hold(chip: object, conductances: Sequence[Array]) -> None:
    """Let the cells of a chip have conductances (S) that nobody wrote.

    Raises:
        ChipError: the chip's cells have only what is written.
    """
    if not isinstance(chip, Holding):
        raise ChipError(
            f"retention: the cells of {type(chip).__name__} have what is written, and nothing else; take chip.kind "
            "'ngspice' or 'nodal', or leave [retention] out"
        )
    chip.hold(conductances)


def ageing_part(chip: object) -> Ageing | None:
    """Return the part of a chip, inside its wrappers, for which time passes; None where there is none."""
    while not isinstance(chip, Ageing):
        inside = getattr(chip, "inside", None)
        if inside is None:
            return None
        chip = inside
    return chip


def history_of(chip: object) -> History | None:
    """Return the history of a chip's cells; None where time does not pass for it."""
    part = ageing_part(chip)
    return None if part is None else part.history


def recall(chip: object, history: History | None) -> None:
    """Put a chip's cells at the end of a history, if there is one.

    Raises:
        ChipError: time does not pass for this chip.
    """
    if history is None:
        return
    if (part := ageing_part(chip)) is None:
        raise ChipError(
            "the checkpoint tells the history of cells that age, and time does not pass for this chip; go on with the "
            "[retention] that the run was made with"
        )
    part.recall(history)
