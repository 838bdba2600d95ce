"""engine/equations/linear_systems.py: Cholesky in a fixed order, against NumPy (N3)."""

import numpy as np
import pytest

from engine.equations.linear_systems import allocate_factor, dot, factorise, solve_factorised

SIZES = (1, 2, 3, 7, 8, 9, 16, 17, 40, 41, 75)


def positive_definite(n):
    rows = np.random.default_rng(n).normal(size=(n, 2 * n))
    return rows @ rows.T + 0.1 * np.eye(n)


def factor_of(matrix):
    """L, and whether the matrix, of which only the lower triangle is given, has one."""
    matrix = np.array(matrix)
    n = len(matrix)
    L, scratch = allocate_factor(n)
    L[:] = np.nan
    L[:, :n][np.tril_indices(n)] = matrix[np.tril_indices(n)]
    return L, factorise(L, scratch)


@pytest.mark.parametrize("n", SIZES)
def test_factor_is_numpys(n):
    """N3: that of the matrix with rows and columns in the opposite order."""
    matrix = positive_definite(n)
    L, is_definite = factor_of(matrix)
    assert is_definite
    expected = np.linalg.cholesky(matrix[::-1, ::-1])[::-1, ::-1].T
    np.testing.assert_allclose(np.tril(L[:, :n]), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n", SIZES)
def test_solution_is_numpys(n):
    """N3."""
    matrix = positive_definite(n)
    right = np.random.default_rng(1).normal(size=n)
    x = right.copy()
    L, _ = factor_of(matrix)
    solve_factorised(L, x)
    np.testing.assert_allclose(x, np.linalg.solve(matrix, right), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    "matrix",
    [
        [[0.0]],
        [[-1.0]],
        [[np.nan]],
        [[1.0, 0.0], [2.0, 1.0]],
        [[1.0, 0.0], [1.0, 1.0]],  # of rank 1
        [[1.0, 0.0], [1.0, 1.0 + 2**-52]],  # as good as rank 1
        [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        [[1.0, 0.0], [np.inf, 1.0]],
    ],
)
def test_not_positive_definite_is_noticed(matrix):
    assert not factor_of(matrix)[1]


def test_twice_the_same_column_is_noticed_whatever_the_rounding():
    random = np.random.default_rng(0)
    for _ in range(50):
        rows = random.normal(size=(9, 4)) * random.uniform(1e-3, 1e3, 4)
        rows = np.hstack([rows, rows[:, 1:2]])
        assert not factor_of(rows.T @ rows)[1]


def test_scale_does_not_matter():
    """A matrix with entries from 1e-200 to 1e200 is as positive definite as one of ones."""
    matrix = positive_definite(5)
    scale = 10.0 ** np.array([-100, -50, 0, 50, 100])
    assert factor_of(matrix * scale * scale[:, np.newaxis])[1]


def test_dot_product_is_a_sum_of_products():
    a, b = np.random.default_rng(2).normal(size=(2, 37))
    assert dot(a, b) == pytest.approx(a @ b, rel=1e-13)
    assert dot(a[:0], b[:0]) == 0
