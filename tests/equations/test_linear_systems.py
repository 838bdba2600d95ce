"""engine/equations/linear_systems.py: Cholesky in a fixed order, against NumPy (N3)."""

import numpy as np
import pytest

from engine.equations.linear_systems import dot, factorise, invert_factorised, solve_factorised

SIZES = (1, 2, 3, 7, 8, 17, 40)


def positive_definite(n):
    """A matrix, and a copy of which only the lower triangle is there."""
    rows = np.random.default_rng(n).normal(size=(n, 2 * n))
    matrix = rows @ rows.T + 0.1 * np.eye(n)
    lower = matrix.copy()
    lower[np.triu_indices(n, 1)] = np.nan
    return matrix, lower


@pytest.mark.parametrize("n", SIZES)
def test_factor_is_numpys(n):
    """N3. The upper triangle is neither read nor written."""
    matrix, L = positive_definite(n)
    assert factorise(L)
    np.testing.assert_allclose(np.tril(L), np.linalg.cholesky(matrix), rtol=1e-13, atol=1e-13)
    assert np.isnan(L[np.triu_indices(n, 1)]).all()


@pytest.mark.parametrize("n", SIZES)
def test_solution_and_inverse_are_numpys(n):
    """N3."""
    matrix, L = positive_definite(n)
    right = np.random.default_rng(1).normal(size=n)
    x, inverse = right.copy(), np.full((n, n), np.nan)
    factorise(L)
    solve_factorised(L, x)
    invert_factorised(L, inverse)
    np.testing.assert_allclose(x, np.linalg.solve(matrix, right), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(inverse, np.linalg.inv(matrix), rtol=1e-10, atol=1e-11)


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
    assert not factorise(np.array(matrix))


def test_twice_the_same_column_is_noticed_whatever_the_rounding():
    random = np.random.default_rng(0)
    for _ in range(50):
        rows = random.normal(size=(9, 4)) * random.uniform(1e-3, 1e3, 4)
        rows = np.hstack([rows, rows[:, 1:2]])
        assert not factorise(rows.T @ rows + 0.0)


def test_scale_does_not_matter():
    """A matrix with entries from 1e-200 to 1e200 is as positive definite as one of ones."""
    matrix, _ = positive_definite(5)
    scale = 10.0 ** np.array([-100, -50, 0, 50, 100])
    assert factorise(matrix * scale * scale[:, np.newaxis])


def test_dot_product_is_a_sum_of_products():
    a, b = np.random.default_rng(2).normal(size=(2, 37))
    assert dot(a, b) == pytest.approx(a @ b, rel=1e-13)
    assert dot(a[:0], b[:0]) == 0
