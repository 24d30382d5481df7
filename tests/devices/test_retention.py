"""Laws of retention against closed forms that are written down here, to 1e-12, and their statistics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.devices.retention.laws import (
    Drift,
    Loss,
    ReadDisturb,
    Relaxation,
    Retention,
    Telegraph,
    Written,
    aged,
)
from harness.errors import CircuitError

G = np.array([[1e-6, 2e-6], [5e-6, 0.0]])
LOW, HIGH = 1e-7, 1e-5


def cells(g: np.ndarray = G, **changes: np.ndarray) -> Written:
    nothing, one = np.zeros(g.shape), np.ones(g.shape)
    parts = {"since": nothing, "reads": nothing, "draws": nothing, "states": one, "now": one} | changes
    return Written(g, **parts)


def at(law: Retention, seconds: float, given: Written | None = None, reads: float = 0.0, nu: float = 0.0) -> np.ndarray:
    return aged(law, given or cells(), np.full(G.shape, nu), seconds, reads, (LOW, HIGH))


def exact(found: np.ndarray, expected: list[float]) -> None:
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-12, atol=1e-30)


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 1.0, 3600.0, 31557600.0])
def test_drift_is_the_power_law_of_the_time_since_the_pulse(seconds: float) -> None:
    """g (t'/t₀)^−ν with t' counted from the pulse, t₀ before the write's last read; by logarithms here."""
    law = Retention(drift=Drift(0.05, 0.0, 20.0))
    left = math.exp(-0.05 * (math.log(seconds + 20.0) - math.log(20.0)))
    exact(at(law, seconds, nu=0.05), [1e-6 * left, 2e-6 * left, 5e-6 * left, 0.0])


@pytest.mark.parametrize(("celsius", "kelvin"), [(85.0, 358.15), (27.0, 300.15), (150.0, 423.15)])
def test_loss_is_a_stretched_exponential_with_arrhenius(celsius: float, kelvin: float) -> None:
    law = Retention(loss=Loss(1e6, 85.0, 1.1, 0.6), celsius=celsius)
    tau = 1e6 * math.e ** ((1.1 / 8.617333262e-5) * (1 / kelvin - 1 / 358.15))
    left = 1 / math.exp(math.pow(2e5 / tau, 0.6))
    exact(at(law, 2e5), [LOW + (g - LOW) * left for g in (1e-6, 2e-6, 5e-6, 0.0)])


def test_a_hotter_device_loses_sooner_and_any_temperature_has_a_lifetime() -> None:
    law = Loss(3600.0, 85.0, 1.0)
    assert law.lifetime_at(85.0) == 3600.0
    assert law.lifetime_at(150.0) < 60 < 3600.0 * 100 < law.lifetime_at(27.0)
    assert law.lifetime_at(-273.0) == math.inf
    left = at(Retention(loss=Loss(1e-300, 1000.0, 10.0), celsius=1000.0), 1.0)
    exact(left, [LOW] * 4)


def test_relaxation_leaves_what_was_written_by_a_draw() -> None:
    draws = np.array([[0.5, -0.5], [1.0, 1.0]])
    found = at(Retention(relaxation=Relaxation(0.02, 3.0)), 2.0, cells(draws=draws))
    share = 0.02 * (HIGH - LOW) * (1 - math.exp(-2 / 3))
    exact(found, [1e-6 + 0.5 * share, 2e-6 - 0.5 * share, 5e-6 + share, share])


@pytest.mark.parametrize("fraction", [1e-4, -1e-4])
def test_reads_move_a_cell_by_a_share_of_its_way(fraction: float) -> None:
    expected = [1e-6, 2e-6, 5e-6, 0.0]
    for _ in range(50):
        expected = [g + 1e-4 * ((HIGH if fraction > 0 else LOW) - g) for g in expected]
    before = np.full(G.shape, 70.0)
    exact(at(Retention(disturb=ReadDisturb(fraction)), 1.0, cells(reads=before), reads=120.0), expected)


def test_telegraph_noise_switches_from_the_state_of_the_write() -> None:
    states, now = np.array([[1.0, 1.0], [-1.0, -1.0]]), np.array([[1.0, -1.0], [1.0, -1.0]])
    found = at(Retention(telegraph=Telegraph(0.1)), 1.0, cells(states=states, now=now))
    exact(found, [1e-6, 2e-6 * 0.95 / 1.05, 5e-6 * 1.05 / 0.95, 0.0])


def test_telegraph_noise_stays_for_exponential_times() -> None:
    """Two Markov steps are one of their sum, and long ones forget where they began."""
    law, rng, start = Telegraph(0.1, 2.0), np.random.default_rng(0), np.ones(200_000)
    for seconds in (0.1, 1.0, 5.0):
        flipped = (law.switched(start, seconds, rng) < 0).mean()
        assert flipped == pytest.approx((1 - math.exp(-2 * seconds / 2.0)) / 2, abs=4e-3)
    half = law.switched(law.switched(start, 0.5, rng), 0.5, rng)
    assert (half < 0).mean() == pytest.approx((1 - math.exp(-1.0)) / 2, abs=4e-3)
    np.testing.assert_array_equal(law.switched(start, 0.0, rng), start)


def test_exponents_spread_and_are_never_negative() -> None:
    nu = Drift(0.05, 0.02).exponents((400, 500), np.random.default_rng(0))
    assert nu.mean() == pytest.approx(0.05, rel=0.01)
    assert nu.std() == pytest.approx(0.02, rel=0.02)
    assert Drift(0.01, 0.05).exponents((400, 500), np.random.default_rng(0)).min() == 0.0


def test_all_laws_follow_each_other_in_their_order() -> None:
    law = Retention(
        Relaxation(0.01, 1.0), Loss(100.0, 27.0, 0.5, 0.5), Drift(0.1), ReadDisturb(1e-3), Telegraph(0.2), 27.0
    )
    found = at(law, 10.0, cells(draws=np.ones(G.shape), now=-np.ones(G.shape)), reads=5.0, nu=0.1)
    expected = []
    for g in (1e-6, 2e-6, 5e-6, 0.0):
        relaxed = g + 0.01 * (HIGH - LOW) * (1 - math.exp(-10))
        lost = LOW + (relaxed - LOW) * math.exp(-math.sqrt(0.1))
        drifted = lost * 1.5**-0.1
        expected.append((HIGH - (HIGH - drifted) * 0.999**5) * 0.9 / 1.1)
    exact(found, expected)


@given(st.floats(0, 1e9), st.floats(1e-9, 1e-2), st.floats(0, 1))
def test_without_a_strength_nothing_changes_to_the_bit(seconds: float, g: float, nu: float) -> None:
    law, some = Retention(), np.full(G.shape, g)
    assert law.absent
    assert at(law, seconds, cells(some), reads=seconds, nu=nu).tobytes() == some.tobytes()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Drift(-0.1), "drift -0.1 must lie in 0…1"),
        (lambda: Drift(0.1, float("nan")), "drift_spread nan must lie in"),
        (lambda: Drift(0.1, 0.0, 0.0), "drift_start 0 s must be above 0 s"),
        (lambda: Loss(-1.0), "lifetime -1 s must be above 0 s"),
        (lambda: Loss(1.0, -300.0), r"lifetime_temperature -300 °C must be above absolute zero, -273.15 °C"),
        (lambda: Loss(1.0, stretching=0.0), "stretching 0 must be above 0"),
        (lambda: Relaxation(2.0), "relaxation 2 must lie in 0…1"),
        (lambda: ReadDisturb(0.9), "read_disturb 0.9 must lie in"),
        (lambda: Telegraph(1.0), "telegraph 1 must lie in"),
        (lambda: Retention(celsius=-273.15), "temperature -273.15 °C must be above absolute zero"),
    ],
)
def test_impossible_numbers_are_refused(make: object, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        make()  # type: ignore[operator]
