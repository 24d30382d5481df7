"""A chip on the shelf: time passes for a trained chip, and its cells may be written again at intervals."""

import math
from collections.abc import Sequence

from harness.chip.base import Chip
from harness.chip.history import Ageing, ageing_part
from harness.errors import ExperimentError
from harness.measurement import Array
from harness.units import show

_REFRESH, _LATER = 1, 2
"""Kinds of keys of random numbers: before cells are written again, and afterwards."""


class Shelf:
    """A chip for which time passes after training.

    Args:
        chip: as training left it, or freshly programmed.
        conductances: S that are written when cells are refreshed.
        refresh: s between two writes of all cells; None for never.
        read_rate: reads of every cell a second.

    Raises:
        ExperimentError: time does not pass for the chip, or the interval is not above 0 s.
    """

    def __init__(
        self, chip: Chip, conductances: Sequence[Array], refresh: float | None = None, read_rate: float = 0.0
    ) -> None:
        self._chip, self._conductances, self.refresh, self._rate = chip, conductances, refresh, read_rate
        self._part = ageing(chip)
        if refresh is not None and not 0 < refresh < math.inf:
            raise ExperimentError(f"an interval of {show(refresh, 's')} between refreshes must be above 0 s and finite")
        self.seconds = 0.0
        """s since the beginning."""
        self.refreshes = 0
        """Writes of all cells since then."""

    def until(self, seconds: float) -> None:
        """Let time pass until so many s after the beginning.

        Only the last of several refreshes is done, since each writes the same conductances.

        Raises:
            ExperimentError: that is in the past.
        """
        if not self.seconds <= seconds < math.inf:
            now = show(self.seconds, "s")
            raise ExperimentError(f"{show(seconds, 's')} on the shelf must be finite and not before the {now} of now")
        due = 0 if self.refresh is None else math.floor(seconds / self.refresh)
        if self.refresh is not None and due > self.refreshes:
            self._wait(min(due * self.refresh, seconds), _REFRESH)
            self._chip.program(self._conductances)
            self.refreshes = due
        self._wait(seconds, _LATER)

    def _wait(self, seconds: float, kind: int) -> None:
        passing = max(seconds - self.seconds, 0.0)
        key = (kind, *_words(seconds))
        self._part.wait(passing, reads=self._rate * passing, key=key)
        self.seconds = max(seconds, self.seconds)


def ageing(chip: Chip) -> Ageing:
    """Return the part of a chip for which time passes.

    Raises:
        ExperimentError: there is none.
    """
    if (part := ageing_part(chip)) is None:
        raise ExperimentError(
            "nothing ages: no law of [retention] has a strength; give one, such as --set retention.drift=0.05"
        )
    return part


def _words(seconds: float) -> tuple[int, int]:
    """Return a time as two whole numbers below 2^32, by which random numbers are named."""
    mantissa, exponent = math.frexp(seconds)
    return int(mantissa * 2**32) % 2**32, exponent + 2048
