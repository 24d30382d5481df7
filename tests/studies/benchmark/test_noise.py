"""The rule for what noise explains."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.studies.benchmark.noise import CONFIDENCE, Interval, Ratio, Verdict, cut_of

times = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=40)
STILL = Ratio(1.0, 1.0, 1.0)


def outside(count: int, cut: int) -> float:
    """Chance that the median lies outside of the order statistics that are left after cutting."""
    return 2 * sum(comb(count, k) for k in range(cut + 1)) / 2**count


@given(count=st.integers(6, 200))
def test_the_interval_is_the_narrowest_that_holds_the_median_with_95_percent(count: int) -> None:
    cut = cut_of(count)
    assert outside(count, cut) <= 1 - CONFIDENCE
    assert 2 * (cut + 1) >= count or outside(count, cut + 1) > 1 - CONFIDENCE


def test_of_nine_rounds_the_fastest_and_the_slowest_are_cut_off() -> None:
    found = Interval.of([9.0, 1.0, 5.0, 4.0, 6.0, 3.0, 7.0, 2.0, 100.0])
    assert found == Interval(2.0, 5.0, 9.0)
    assert found.spread == pytest.approx(0.7)


@pytest.mark.parametrize("count", range(1, 6))
def test_few_values_are_all_within_the_interval(count: int) -> None:
    assert Interval.of(range(1, count + 1)) == Interval(1.0, (count + 1) / 2, float(count))


@given(then=times, now=times)
def test_turned_round_a_comparison_says_the_opposite(then: list[float], now: list[float]) -> None:
    there, back = (Ratio.of(*pair) for pair in (map(Interval.of, (then, now)), map(Interval.of, (now, then))))
    assert there.low <= there.ratio <= there.high
    np.testing.assert_allclose([there.low, there.ratio, there.high], [1 / back.high, 1 / back.ratio, 1 / back.low])
    opposite = {Verdict.FASTER: Verdict.SLOWER, Verdict.SLOWER: Verdict.FASTER, Verdict.NOISE: Verdict.NOISE}
    if 1.0 not in (there.low, there.high, back.low, back.high):  # there a rounding decides
        assert there.verdict(STILL) is opposite[back.verdict(STILL)]


@given(values=times, pace=st.floats(0.2, 5))
def test_the_same_times_are_no_difference_however_fast_the_machine_was(values: list[float], pace: float) -> None:
    same = Ratio.of(Interval.of(values), Interval.of(values))
    assert same.verdict(Ratio(pace, pace, pace)) is Verdict.NOISE


@given(values=times, pace=st.floats(0.2, 5))
def test_what_changed_as_the_machine_did_is_noise(values: list[float], pace: float) -> None:
    slower = Ratio.of(Interval.of(values), Interval.of([value / pace for value in values]))
    assert slower.ratio == pytest.approx(pace)
    assert slower.verdict(Ratio(slower.ratio, pace, slower.ratio)) is Verdict.NOISE


def test_a_gain_beyond_noise_and_machine_is_seen() -> None:
    then, now = Interval.of([1.0, 1.1] * 5), Interval.of([0.5, 0.55] * 5)
    found = Ratio.of(then, now)
    assert found.ratio == pytest.approx(2.0)
    assert found.verdict(Ratio(1.0, 1.3, 1.7)) is Verdict.FASTER
    assert found.verdict(Ratio(0.9, 1.3, 1.9)) is Verdict.NOISE  # the machine may have been so much faster
    assert Ratio.of(now, then).verdict(STILL) is Verdict.SLOWER


def test_a_false_alarm_is_rare() -> None:
    """Two calls on the same machine, whose rounds scatter by a long-tailed noise."""
    rng = np.random.default_rng(0)
    calls = [[Interval.of(np.exp(0.2 * rng.standard_t(2, 9))) for _ in range(2)] for _ in range(500)]
    assert sum(Ratio.of(*pair).verdict(STILL) is not Verdict.NOISE for pair in calls) <= 0.05 * len(calls)
