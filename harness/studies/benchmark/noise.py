"""A rule for what noise explains: intervals of medians, and ratios of two calls that a busy machine cannot explain."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import comb
from typing import Self

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A median, and two of the values it is of, between which that of endlessly many would lie."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the narrowest pair of order statistics that has the true median between it with `CONFIDENCE`.

        It is the sign test turned round (Conover 1999, §3.2): no value's distribution is assumed. Fewer than six values
        give no such pair; the interval is from the least to the largest then.
        """
        ordered = np.sort(np.asarray(values, float))
        cut = cut_of(len(ordered))
        return cls(float(ordered[cut]), float(np.median(ordered)), float(ordered[-1 - cut]))

    @property
    def spread(self) -> float:
        """Half of the interval's width over the median."""
        return (self.high - self.low) / (2 * self.median)


def cut_of(count: int) -> int:
    """Return how many values may be cut off at each end of the interval of a median of `count` values."""
    cut, outside = 0, 2.0 * 0.5**count
    while 2 * (cut + 1) < count:
        outside += 2 * comb(count, cut + 1) * 0.5**count
        if outside > 1 - CONFIDENCE:
            break
        cut += 1
    return cut


class Verdict(StrEnum):
    """The outcome of a comparison."""

    FASTER = "faster"
    SLOWER = "slower"
    NOISE = "no difference that this noise could show"


@dataclass(frozen=True)
class Ratio:
    """The ratio of two medians of times: above 1 where it is faster now."""

    low: float
    ratio: float
    high: float
    """Bounds between which the true ratio lies, as far as the blocks of both calls tell."""

    @classmethod
    def of(cls, then: Interval, now: Interval) -> Self:
        """Return the ratio of what took `then` to what takes `now`, with the widest bounds that the intervals allow."""
        return cls(then.low / now.high, then.median / now.median, then.high / now.low)

    def verdict(self, machine: "Ratio") -> Verdict:
        """Return whether noise explains the ratio, beside that of a `machine` which did the same fixed work twice.

        It does where 1 lies within the bounds, or would if the machine had been as fast as before, as far as its own
        bounds tell.
        """
        bounds = [bound / pace for bound in (self.low, self.high) for pace in (1.0, machine.low, machine.high)]
        if min(bounds) <= 1 <= max(bounds):
            return Verdict.NOISE
        return Verdict.FASTER if self.ratio > 1 else Verdict.SLOWER
