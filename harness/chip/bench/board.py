"""A board as the bench chip sees it: what can be asked of it, whatever its language is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.measurement import Access, Array, Drive, Index

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Extent:
    """The counts of what a board has; None where it cannot tell."""

    inputs: int | None = None
    outputs: int | None = None
    nodes: int | None = None
    """Nodes that can be read, in the order of ``Circuit.nodes``."""
    cells: int | None = None
    batch: int | None = None
    """Samples that one message takes; None for any number."""
    wait: float | None = None
    """s between applying a sample and reading it, where nobody can change it."""


@dataclass(frozen=True, eq=False)
class Pulses:
    """Write pulses for some cells, in the order in which they are applied."""

    cells: Index
    """Word and bit line of each cell, ``[cells, 2]``."""
    volts: Array
    """Height of its pulses, V, ``[cells]``; a positive one raises the conductance."""
    seconds: Array
    """Width of each pulse, s, ``[cells]``."""
    counts: Counts
    """Pulses for each cell, ``[cells]``, 0 or more."""


class Board(Protocol):
    """A board behind a line.

    Voltages are those at its channels, before any calibration. A read may be repeated after a lost message; the board's
    adapter does that itself. A pulse is never repeated: `pulse` raises, and the caller looks what has happened.
    """

    def identify(self) -> str:
        """Return what the board says it is, such as the answer to ``*IDN?``.

        Raises:
            BoardError: it does not answer, or with an error.
        """

    def extent(self) -> Extent:
        """Return how many inputs, outputs, nodes and cells it has.

        Raises:
            BoardError: it does not answer, or with an error.
        """

    def tell_step_key(self, numbers: Sequence[int]) -> None:
        """Say which step of which epoch begins, to a board that is a simulation; others ignore it."""

    def measure(self, drives: Sequence[Drive], access: Access, settle: float) -> list[Array]:
        """Apply each drive, wait `settle` (s) for every sample, and read.

        Returns:
            V of the outputs, ``[samples, outputs]``, or of all nodes, ``[samples, nodes]``, for each drive.

        Raises:
            BoardError: it does not answer, or with an error; nothing that was read is used then.
        """

    def conductances(self, cells: Index) -> Array:
        """Read the conductances of cells, ``[cells, 2]`` (word, bit): S, ``[cells]``.

        Raises:
            BoardError: it does not answer, or with an error.
        """

    def set_conductances(self, cells: Index, siemens: Array) -> None:
        """Have the board set cells to conductances (S, ``[cells]``) by means of its own.

        Raises:
            BoardError: it does not answer, or with an error.
        """

    def adjust_conductances(self, cells: Index, siemens: Array) -> bool:
        """Have the board change the conductances of cells by some S, ``[cells]``, by means of its own.

        Returns:
            False where it cannot, and has done nothing; then it is told where they are to go.

        Raises:
            LateError: no answer came; whether it was done is not known.
            BoardError: it does not answer, or with an error.
        """
        del cells, siemens
        return False

    def pulse(self, pulses: Pulses) -> None:
        """Apply write pulses, once.

        Raises:
            LateError: no answer came; whether the pulses were applied is not known.
            BoardError: the board refused them, and applied none.
        """

    def pulse_counts(self, cells: Index) -> Counts | None:
        """Return the pulses that each cell has had in its life, ``[cells]``; None where the board does not count.

        Raises:
            BoardError: it does not answer, or with an error.
        """

    def ground(self) -> None:
        """Take all voltages and currents off the board's pins.

        Raises:
            BoardError: it does not answer, or with an error.
        """

    def close(self) -> None:
        """Close the line."""
