"""engine/compiler/views.py: views of parts of arrays, interpreted and compiled."""

import numpy as np
import pytest

from engine.compiler import views
from engine.compiler.jit import jit


@jit
def fill(numbers, matrix):
    """Write through a view of each kind; what stands where says which part each is."""
    part = views.vector_at(numbers, 2, 3)
    for p in range(part.size):
        part[p] = 10 + p
    W = views.matrix_at(numbers, 5, 2, 3)
    for j in range(W.shape[0]):
        for k in range(W.shape[1]):
            W[j, k] = 20 + 10 * j + k
    rows = views.rows_at(matrix, 1, 2)
    for j in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            rows[j, k] = 10 * j + k
    inner = views.vector_at(rows, 3, 2)
    inner[1] = -1
    left = views.columns_before(matrix.T, 2)
    for j in range(left.shape[0]):
        for k in range(left.shape[1]):
            left[j, k] += 100
    return part.size + 10 * W.size + 100 * rows.size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_view_is_of_the_numbers_it_names_and_of_no_others(dtype):
    numbers, matrix = np.zeros(12, dtype), np.zeros((4, 3), dtype)
    assert fill(numbers, matrix) == 3 + 60 + 600
    assert numbers.tolist() == [0, 0, 10, 11, 12, 20, 21, 22, 30, 31, 32, 0]
    assert matrix.tolist() == [[100] * 3, [100, 101, 102], [10, -1, 12], [0] * 3]


def test_an_interpreted_view_that_reaches_over_the_edge_is_refused():
    matrix = np.zeros((3, 4))
    with pytest.raises(IndexError, match="reaches over the edge: 1 are left"):
        views.rows_at(matrix, 2, 2)
    with pytest.raises(IndexError, match="reaches over the edge: 2 are left"):
        views.vector_at(matrix, 10, 3)
    with pytest.raises(IndexError, match="reaches over the edge"):
        views.matrix_at(matrix, 7, 2, 3)
