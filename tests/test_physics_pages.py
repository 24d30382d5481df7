"""The pages of physics print what they show, and the numbers say what the pages claim."""

import io
import re
from contextlib import redirect_stdout
from functools import cache

import numpy as np
import pytest

from harness.studies.check import finite_differences
from tests.pages import PAGES, blocks_of

NAMES = sorted(page.stem for page in (PAGES / "physics").glob("*.md"))


def text_of(name: str) -> str:
    return (PAGES / "physics" / f"{name}.md").read_text(encoding="utf-8")


@cache
def run(name: str) -> tuple[str, dict[str, object]]:
    """Return what the code of a page prints, and the names that it leaves."""
    code = "\n".join(block.text for block in blocks_of(text_of(name), "python") if not block.title)
    names, printed = dict[str, object](), io.StringIO()
    with redirect_stdout(printed):
        exec(compile(code, f"{name}.md", "exec"), names)
    return printed.getvalue(), names


def numbers(name: str, pattern: str) -> np.ndarray:
    """Return the numbers in what a page prints, a row for each line that a pattern finds."""
    found = re.findall(pattern, run(name)[0])
    assert found, (pattern, run(name)[0])
    return np.array(found, float)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_prints_what_it_shows(name: str) -> None:
    shown = "".join(block.text for block in blocks_of(text_of(name), "text"))
    assert run(name)[0] == shown


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_its_sources_and_leads_back(name: str) -> None:
    text = text_of(name)
    assert "(index.md#symbols-and-units)" in text or "## Symbols and units" in text
    assert re.search(r"arxiv\.org/abs/|Spall 1992|Widrow|Kendall", text)


def test_the_circuit_settles_where_its_co_content_is_smallest() -> None:
    settled, smallest = numbers("index", r"at ([\d.]+) V").ravel()
    assert settled == pytest.approx(smallest, abs=1e-4)
    model = run("index")[1]["model"]
    scale = model.emission * 0.025864925
    into = 20e-6 * (1 - settled) - 10e-6 * settled
    assert into == pytest.approx(model.saturation_current * np.expm1(settled / scale), rel=1e-2)


def test_halving_beta_halves_the_one_sided_error_and_quarters_the_centered_one() -> None:
    rows = numbers("equilibrium-propagation", r"\s+([\d.]+)\s+([\d.]+)%\s+([\d.]+)%")
    np.testing.assert_allclose(rows[:-1] / rows[1:], [[2, 1.9, 4.1]] * 2, rtol=0.06)
    assert numbers("equilibrium-propagation", r"at 10 mS: ([\d.]+)").item() < 1e-6


def test_coupled_learning_follows_the_power_and_not_the_squared_error() -> None:
    off = numbers("coupled-learning", r"η = [\d.]+: ([\d.]+)%").ravel()
    np.testing.assert_allclose(off[:-1] / off[1:], 10, rtol=0.02)
    assert numbers("coupled-learning", r"centered: ([\d.]+)").item() < 1e-6
    assert 0.9 < numbers("coupled-learning", r"error: ([\d.]+)").item() < 0.999
    assert numbers("coupled-learning", r"([\d.]+) from the slope of Huber").item() < 1e-6


def test_every_form_of_the_analytical_gradient_is_that_of_finite_differences() -> None:
    rows = numbers("analytical-gradient", r"error ([\d.]+), (\d+) samples settled, (\d+) voltages")
    np.testing.assert_array_equal(rows, [[0, 3, 24], [0, 3, 24], [0, 3, 6]])
    names = run("analytical-gradient")[1]
    circuit = names["circuit"].with_conductances([g + 1e-6 for g in names["circuit"].conductances])
    cells = [np.argwhere(np.ones(array.shape, bool)) for array in circuit.arrays]
    ours = np.concatenate(finite_differences(circuit, names["cost"], names["batch"], cells))
    np.testing.assert_allclose(names["truth"], ours, rtol=1e-5, atol=1e-6 * np.abs(ours).max())


def test_hardware_linearization_is_exact_at_every_strength_in_cascades_too() -> None:
    errors = numbers("hardware-linearization", r"(?:layered|cascade), .*error ([\d.]+)").ravel()
    assert len(errors) == 4
    assert errors.max() < 1e-6
    assert "lets no errors back" in run("hardware-linearization")[0]


def test_node_perturbation_needs_fewer_phases_and_has_less_noise() -> None:
    few, error = numbers("node-perturbation", r"other: (\d+) phases, error ([\d.]+)")[0]
    assert (few, numbers("node-perturbation", r"differences: (\d+)").item()) == (1 + 2 * 8, 1 + 2 * 48)
    assert error < 1e-6
    nodes, cells = numbers("node-perturbation", r"32 draws: error ([\d.]+)").ravel()
    assert nodes < cells / 2


def test_differences_converge_in_the_square_of_the_step_and_draws_in_their_root() -> None:
    coarse, fine = numbers("perturbation", r"µS: error ([\d.]+)%").ravel()
    assert coarse / fine == pytest.approx(100, rel=0.05)
    for found, expected in numbers("perturbation", r"error ([\d.]+), expected ([\d.]+)"):
        assert found == pytest.approx(expected, rel=0.2)


def test_sharp_diodes_come_near_the_fixed_point_in_proportion() -> None:
    apart = numbers("monotone", r"at most ([\d.]+) mV").ravel()
    np.testing.assert_allclose(apart[:-1] / apart[1:], 10, rtol=0.05)


def test_elements_do_what_their_formulas_say() -> None:
    rows = numbers("circuits", r"([\d.]+) V on the chip, ([\d.]+) V by hand")
    assert len(rows) == 4
    np.testing.assert_allclose(rows[:, 0], rows[:, 1], atol=1e-5)
