"""Meshes of resistive lines: blocks are found, and block elimination equals a dense solve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Reduction
from harness.circuit.reduction.multifrontal import Fronts, fronts_of, mesh_blocks
from harness.circuit.reduction.partition import eliminated
from harness.circuit.variation.lines import LineResistance
from harness.measurement import Drive
from harness.studies.check import kirchhoff_residual
from tests.conftest import kendall, random_batch


def mesh(words: int, bits: int, seed: int = 0) -> tuple[csr_matrix, np.ndarray, np.ndarray]:
    """Equations of a crossbar with lines, driven at its words and grounded behind its bits; segments; loaded nodes."""
    rng = np.random.default_rng(seed)
    near = np.arange(words * bits).reshape(words, bits)
    far = near + words * bits
    along = [near[:, :-1].ravel(), far[:-1].ravel()], [near[:, 1:].ravel(), far[1:].ravel()]
    segments = np.column_stack([np.concatenate(ends) for ends in along])
    matrix = np.zeros((2 * words * bits, 2 * words * bits))
    cells = np.column_stack([near.ravel(), far.ravel()])
    for pairs, siemens in ((segments, np.full(len(segments), 3.0)), (cells, rng.uniform(0.1, 1.0, len(cells)))):
        for (a, b), g in zip(pairs, siemens, strict=True):
            matrix[np.ix_((a, b), (a, b))] += g * np.array([[1.0, -1.0], [-1.0, 1.0]])
    ends = np.concatenate([near[:, 0], far[-1]])
    matrix[ends, ends] += 3.0
    loaded = np.isin(np.arange(len(matrix)), far[-1])
    return csr_matrix(matrix), segments, loaded


@given(words=st.integers(2, 7), bits=st.integers(2, 7), seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_blocks_of_a_mesh_are_its_shorter_lines_and_rows_and_solve_it(words: int, bits: int, seed: int) -> None:
    matrix, segments, loaded = mesh(words, bits, seed)
    blocks = mesh_blocks(matrix, segments, loaded)
    assert blocks is not None
    assert [len(block) for block in blocks] == 2 * max(words, bits) * [min(words, bits)]
    columns = np.random.default_rng(seed).normal(size=(matrix.shape[0], 3))
    found = Fronts(matrix, blocks).factored(matrix).solve(columns)
    np.testing.assert_allclose(found, np.linalg.solve(matrix.toarray(), columns), rtol=1e-10, atol=1e-12)


def test_the_loaded_end_comes_last() -> None:
    matrix, segments, loaded = mesh(12, 4)
    blocks = mesh_blocks(matrix, segments, loaded)
    assert blocks is not None
    assert set(blocks[-1]) == set(np.flatnonzero(loaded))


def test_any_order_of_blocks_solves_any_positive_definite_matrix() -> None:
    rng = np.random.default_rng(1)
    factor = np.where(rng.random((30, 30)) < 0.1, rng.normal(size=(30, 30)), 0.0)
    matrix = factor @ factor.T + np.eye(30)
    blocks = np.split(rng.permutation(30), [3, 4, 11, 20, 28])
    columns = rng.normal(size=(30, 4))
    columns[:, 0] = 0.0
    found = Fronts(csr_matrix(matrix), blocks).factored(csr_matrix(matrix)).solve(columns)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, columns), rtol=1e-10, atol=1e-12)


def test_a_matrix_with_fewer_entries_than_planned_is_factored() -> None:
    """An open cell."""
    matrix, segments, loaded = mesh(5, 4)
    blocks = mesh_blocks(matrix, segments, loaded)
    assert blocks is not None
    opened = matrix.toarray()
    g = -opened[7, 27]
    opened[np.ix_((7, 27), (7, 27))] += g * np.array([[-1.0, 1.0], [1.0, -1.0]])
    found = Fronts(matrix, blocks).factored(csr_matrix(opened)).solve(np.eye(40))
    np.testing.assert_allclose(found, np.linalg.inv(opened), rtol=1e-10, atol=1e-12)


def test_a_floating_block_is_refused() -> None:
    matrix = csr_matrix(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        Fronts(matrix, [np.array([0]), np.array([1])]).factored(matrix)


def test_what_is_no_mesh_has_no_fronts() -> None:
    """A ring of lines with an odd number of them, and lines without crossings."""
    ring = np.eye(30) * 4
    for k in range(3):
        chain = 10 * k + np.arange(10)
        ring[chain[:-1], chain[1:]] = ring[chain[1:], chain[:-1]] = -1
    fixed = np.argwhere(np.triu(ring, 1))
    loaded = np.zeros(30, bool)
    assert mesh_blocks(csr_matrix(ring), fixed, loaded) is None
    for a, b in ((9, 10), (19, 20), (29, 0)):
        ring[a, b] = ring[b, a] = -1
    assert fronts_of(csr_matrix(ring), fixed, loaded) is None


@pytest.mark.parametrize("lines", [LineResistance(0.02, 0.03), LineResistance(0.02, 0.0), LineResistance(0.0, 0.03)])
def test_networks_with_lines_keep_hidden_nodes_and_outputs_only(lines: LineResistance) -> None:
    """Each line alone would not pay; hidden crossbars have kept nodes at both ends."""
    circuit = lines.apply(kendall([20], channels=10, outputs=5))
    assert Reduction(circuit).reduce(circuit.conductances).size == 20 + 10
    assert kirchhoff_residual(circuit, nodes_of(circuit)) < 1e-9


def nodes_of(circuit: Circuit) -> np.ndarray:
    (reading,) = NodalChip(circuit).measure([Drive(random_batch(circuit).inputs)])
    return reading.nodes


def test_parts_go_where_that_leaves_less() -> None:
    star = np.array([[0, k] for k in range(1, 9)])
    stays = np.arange(9) > 0
    assert not eliminated(star, stays).any()
    assert eliminated(star[:3], stays[:4]).tolist() == [True, False, False, False]
