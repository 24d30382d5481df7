"""The numbers on the pages of physics say what the pages claim; `tests.test_docs` checks that the code prints them."""

import re

import numpy as np
import pytest

from harness.devices.diode import THERMAL_VOLTAGE
from tests.pages import PAGES, blocks_of

NAMES = sorted(page.stem for page in (PAGES / "physics").glob("*.md"))


def text_of(name: str) -> str:
    return (PAGES / "physics" / f"{name}.md").read_text(encoding="utf-8")


def shown(name: str, pattern: str) -> np.ndarray:
    """Return the numbers that a page shows as printed, a row for each place where a pattern is found."""
    found = re.findall(pattern, "".join(block.text for block in blocks_of(text_of(name), "text")))
    assert found, (name, pattern)
    return np.array(found, float)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_where_symbols_stand_and_has_a_source_and_an_experiment(name: str) -> None:
    text = text_of(name)
    assert "(index.md#symbols-and-units)" in text or "## Symbols and units" in text
    assert re.search(r"(Source|Kendall).*(19|20)\d\d", text, re.DOTALL)
    assert blocks_of(text, "python")
    assert blocks_of(text, "text")


def test_the_circuit_settles_where_its_co_content_is_smallest() -> None:
    settled, smallest = shown("index", r"at ([\d.]+) V").ravel()
    assert settled == pytest.approx(smallest, abs=1e-4)
    into = 20e-6 * (1 - settled) - 10e-6 * settled
    assert into == pytest.approx(1e-9 * np.expm1(settled / (2 * THERMAL_VOLTAGE)), rel=1e-2)


def test_halving_beta_halves_the_one_sided_error_and_quarters_the_centered_one() -> None:
    rows = shown("equilibrium-propagation", r"\s+([\d.]+)\s+([\d.]+)%\s+([\d.]+)%")
    np.testing.assert_allclose(rows[:-1] / rows[1:], [[2, 1.9, 4.1]] * 2, rtol=0.06)
    assert shown("equilibrium-propagation", r"at 10 mS: ([\d.]+)").item() < 1e-6


def test_coupled_learning_follows_the_power_and_not_the_squared_error() -> None:
    off = shown("coupled-learning", r"η = [\d.]+: ([\d.]+)%").ravel()
    np.testing.assert_allclose(off[:-1] / off[1:], 10, rtol=0.02)
    assert shown("coupled-learning", r"centered: ([\d.]+)").item() < 1e-6
    assert shown("coupled-learning", r"η = 1: ([\d.]+) from the slope with K varying").item() < 1e-6
    assert 0.9 < shown("coupled-learning", r"error: ([\d.]+)").item() < 0.999
    assert shown("coupled-learning", r"([\d.]+) from the slope of Huber").item() < 1e-6


def test_nudges_of_order_k_have_errors_of_order_k_or_twice_that() -> None:
    one_sided = shown("generalized", r"k = (\d), one-sided: .* slope ([\d.]+)")
    centered = shown("generalized", r"k = (\d), centered: .* slope ([\d.]+)")
    np.testing.assert_allclose(one_sided[:, 1], one_sided[:, 0], rtol=0.05)
    np.testing.assert_allclose(centered[:, 1], 2 * centered[:, 0], rtol=0.01)
    assert shown("generalized", r": ([\d.]+) from the slope of (?:the field|what the clamp adds)").max() < 1e-6


def test_every_form_of_the_analytical_gradient_is_that_of_finite_differences() -> None:
    rows = shown("analytical-gradient", r"error ([\d.]+), (\d+) samples settled, (\d+) voltages")
    np.testing.assert_array_equal(rows, [[0, 3, 24], [0, 3, 24], [0, 3, 6]])
    assert shown("analytical-gradient", r"differences: (\d+)").item() == 3 * (1 + 2 * 48)


def test_hardware_linearization_is_exact_at_every_strength_in_cascades_too() -> None:
    errors = shown("hardware-linearization", r"(?:layered|cascade), .*error ([\d.]+)").ravel()
    assert len(errors) == 4
    assert errors.max() < 1e-6


def test_johnson_noise_is_that_of_nyquist_and_nudges_change_it() -> None:
    found, expected = shown("johnson-noise", r"noise ([\d.]+) µV, by 4kTBR ([\d.]+) µV").ravel()
    assert expected == pytest.approx(np.sqrt(4 * 1.380649e-23 * 300 * 1e6 / 50e-6) * 1e6, rel=1e-3)
    assert found == pytest.approx(expected, rel=0.01)
    found, expected = shown("johnson-noise", r"contrast (\S+) V²/S, by the covariances (\S+) V²/S").ravel()
    assert found == pytest.approx(expected, rel=0.05)


def test_reversed_buffers_let_nudges_back_with_the_errors_of_theory() -> None:
    rows = shown("asymmetric", r"one-sided ([\d.]+)%, centered ([\d.]+)%")
    np.testing.assert_allclose(rows[:-1] / rows[1:], [[2, 4]] * 2, rtol=0.03)
    np.testing.assert_array_equal(shown("asymmetric", r"sources: ([\d.]+)%, ([\d.]+)%, ([\d.]+)%"), [[100, 100, 0]])


def test_an_oscillation_is_exact_when_slow_and_ten_times_faster_is_a_hundred_times_worse() -> None:
    for circuit in ("layered", "cascade"):
        off = shown("frequency-propagation", rf"{circuit}, .*error ([\d.]+)").ravel()
        assert off[0] < 1e-6
        assert off[2] / off[1] == pytest.approx(100, rel=0.02)
        assert off[3] > 0.3


def test_node_perturbation_needs_fewer_phases_and_has_less_noise() -> None:
    few, error = shown("node-perturbation", r"other: (\d+) phases, error ([\d.]+)")[0]
    assert (few, shown("node-perturbation", r"differences: (\d+)").item()) == (1 + 2 * 8, 1 + 2 * 48)
    assert error < 1e-6
    nodes, cells = shown("node-perturbation", r"32 draws: error ([\d.]+)").ravel()
    assert nodes < cells / 2


def test_differences_converge_in_the_square_of_the_step_and_draws_in_their_root() -> None:
    coarse, fine = shown("perturbation", r"µS: error ([\d.]+)%").ravel()
    assert coarse / fine == pytest.approx(100, rel=0.05)
    for found, expected in shown("perturbation", r"error ([\d.]+), expected ([\d.]+)"):
        assert found == pytest.approx(expected, rel=0.2)


def test_sharp_diodes_come_near_the_fixed_point_in_proportion() -> None:
    apart = shown("monotone", r"at most ([\d.]+) mV").ravel()
    np.testing.assert_allclose(apart[:-1] / apart[1:], 10, rtol=0.05)
    smallest, largest, drop = shown("monotone", r"1 fA: from ([\d.]+) to ([\d.]+) V; drops to ([\d.]+) V").ravel()
    assert smallest < largest == drop == 0.607  # as `tests.circuit.test_monotone` finds it by currents


def test_elements_do_what_their_formulas_say() -> None:
    rows = shown("circuits", r"([\d.]+) V on the chip, ([\d.]+) V by hand")
    assert len(rows) == 4
    np.testing.assert_allclose(rows[:, 0], rows[:, 1], atol=1e-5)
