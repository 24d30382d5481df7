"""Small questions about arrays, whose short answers must be those of the long ones."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.circuit.reduction.linear import positive_definite
from harness.measurement import Clamp, Drive, all_finite, view_of


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=6))
def test_what_is_finite_is_known_whatever_the_size_of_the_numbers(numbers: list[float]) -> None:
    assert all_finite(np.array(numbers)) == np.isfinite(numbers).all()


def test_finite_numbers_of_any_kind_and_order() -> None:
    turned = np.asfortranarray(np.full((3, 2), 1e300))  # whose squares are none
    assert all_finite(turned)
    turned[2, 1] = -np.inf
    assert not all_finite(turned)
    assert all_finite(np.array([2**62, 2**62]))
    assert not all_finite(float("nan"))


@pytest.mark.parametrize(
    ("index", "expected"),
    [([3, 4, 5], slice(3, 6)), ([7], slice(7, 8)), ([], slice(0, 0)), ([3, 5], None), ([1, 0], None)],
)
def test_consecutive_indices_are_a_slice(index: list[int], expected: slice | None) -> None:
    given_index = np.array(index, np.intp)
    found = view_of(given_index)
    assert (found is given_index) if expected is None else found == expected


def test_a_matrix_is_positive_definite_or_not() -> None:
    factor = np.random.default_rng(0).normal(size=(3, 4, 4))
    stack = factor @ factor.swapaxes(1, 2)
    assert positive_definite(stack)
    assert positive_definite(stack[0])
    assert positive_definite(np.zeros((0, 0)))
    stack[1] -= 1.001 * np.linalg.eigvalsh(stack[1])[0] * np.eye(4)
    assert not positive_definite(stack)
    assert not positive_definite(np.zeros((2, 2)))


def test_whatever_is_applied_besides_inputs_and_a_nudge_is_special() -> None:
    drive = Drive(np.zeros((1, 1)), Clamp(np.zeros((1, 1))), "held")
    assert drive.plain
    others = [field.name for field in fields(Drive) if field.name not in ("inputs", "nudge", "phase", "outputs_only")]
    assert "ideal" in others
    for name in others:
        assert not replace(drive, **{name: True}).plain, name  # type: ignore[arg-type]
