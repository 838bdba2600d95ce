"""Sums in an order that is written down: the one of plain Python, to the bit."""

import math

import numpy as np
import pytest

from engine.compiler import tiles
from engine.compiler.jit import jit
from engine.equations import ordered_sums, products
from tests import cases

LENGTHS = [1, 7, 8, 9, 40, 67]


def in_turn(terms):
    """Eight totals that take the terms in turn, the rest to the first; added in pairs."""
    totals, rounds = [0.0] * 8, len(terms) - len(terms) % 8
    for i, term in enumerate(terms):
        totals[i % 8 if i < rounds else 0] += term
    a, b, c, d, e, f, g, h = totals
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


def spread(n, dtype, seed=0):
    """Numbers of very different sizes, whose sum shows in which order they were added."""
    generator = np.random.default_rng(seed)
    return (generator.standard_normal(n) * 10.0 ** generator.integers(-6, 7, n)).astype(dtype)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
def test_a_sum_takes_its_terms_in_turn(n, dtype):
    x = np.append(spread(n, dtype), np.nan).astype(dtype)
    assert ordered_sums.sum_in_order(x, n) == in_turn(x[:n].astype(float).tolist())


@pytest.mark.parametrize("n", LENGTHS)
def test_squares_of_float32_are_exact_and_added_in_turn(n):
    x = spread(n, np.float32)
    assert ordered_sums.sum_of_squares_in_order(x) == in_turn((x.astype(float) ** 2).tolist())


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("n_rows", [1, 3, 4, 6])
def test_row_sums_are_added_lane_by_lane_and_then_halves_to_halves(n_rows, dtype):
    """The order of B2: each lane its samples, then upper lanes to lower ones."""
    n_lanes = tiles.VECTOR_BYTES // np.dtype(dtype).itemsize
    m = 3 * n_lanes
    dZ = spread(n_rows * m, dtype, seed=1).reshape(n_rows, m)
    db = np.arange(1, n_rows + 1).astype(dtype)
    expected = []
    for j in range(n_rows):
        lanes = np.zeros(n_lanes, dtype)
        for s in range(0, m, n_lanes):
            lanes = lanes + dZ[j, s : s + n_lanes]
        while len(lanes) > 1:
            lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
        expected.append(db[j] + lanes[0])
    products.add_row_sums(dZ, db, m)
    np.testing.assert_array_equal(db, np.array(expected))


EXTREME = {
    "usual": [3.0, -4.0, 0.0],
    "squares overflow": [3e200, -4e200, 1e-300],
    "squares underflow": [3e-200, -4e-200, 0.0],
    "zeros": [0.0, -0.0, 0.0],
    "infinite": [1.0, -np.inf, 2.0],
    "no number": [1.0, np.nan, np.inf],
}


@jit
def norm(x):
    return ordered_sums.norm_from(ordered_sums.sum_of_squares_in_order(x), x)


@jit
def norm_of_column(X, k):
    x = X[:, k]
    return ordered_sums.norm_from(ordered_sums.sum_of_squares_in_order(x), x)


@pytest.mark.parametrize("name", EXTREME)
def test_a_norm_needs_no_squares_that_fit_into_a_float64(name):
    """Of a vector, and of a column of a matrix to the same bits."""
    x = np.array(EXTREME[name])
    with np.errstate(all="ignore"):
        found = norm(x)
        in_column = norm_of_column(np.stack([x + 1, x], axis=1), 1)
    np.testing.assert_allclose(found, math.hypot(*x) if name != "no number" else np.nan, rtol=1e-15)
    np.testing.assert_array_equal(in_column, found)


@pytest.mark.parametrize("scale", [1e170, 1e-170])
def test_a_scaled_norm_has_one_order_wherever_its_numbers_lie(scale):
    x = spread(67, np.float64) * scale
    matrix = np.stack([x] * 3, axis=1)
    with np.errstate(all="ignore"):
        assert norm_of_column(matrix, 2) == norm(x)
