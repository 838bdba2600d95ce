"""Systems of linear equations with a positive definite matrix, solved in a fixed order.

    N3  (G + alpha R + mu I) step = -g

LAPACK's bits depend on its threads and its build; these loops have their order in the source. The
matrix is symmetric, and of it only the lower triangle counts. Cholesky: G = L^T L, from the last
row to the first. So each row is a sum of the rows below it, whose numbers lie one after the other,
and the sums are matrix products.
"""

import numpy as np

from engine.compiler import tiles
from engine.compiler.jit import compiled_once, jit
from engine.compiler.views import columns_before, matrix_at, rows_at, vector_at
from engine.equations.products import accumulate

# A pivot that is smaller than its diagonal entry by this factor has no correct digit left.
LOST = 4 * np.finfo(np.float64).eps
# Rows that are taken at a time: what the rows below them add is a product of matrices.
PANEL = 8


@jit
def dot(a, b):
    """sum_i a_i b_i."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


def allocate_factor(n):
    """Memory for a matrix (n, n): rows of a whole number of vectors; and for `factorise`."""
    lanes = tiles.VECTOR_BYTES // 8
    return np.zeros((n, -(-n // lanes) * lanes)), np.empty((PANEL + 1) * n)


@compiled_once
def factorise(L, scratch):
    """Replace the lower triangle of G by L of G = L^T L; returns whether G is positive definite.

    Both are of `allocate_factor`. What stands above the diagonal is overwritten. n^3 / 6
    multiply-adds.
    """
    n, width = L.shape
    diagonal = vector_at(scratch, PANEL * n, n)
    for p in range(n):
        diagonal[p] = L[p, p]
    at, onto, no_bias = np.int64(0), np.bool_(True), vector_at(scratch, 0, 0)
    for last in range(n, 0, -PANEL):
        first = max(last - PANEL, 0)
        n_below = n - last
        if n_below > 0:
            minus = matrix_at(scratch, 0, last - first, n_below)
            for j in range(last - first):
                for k in range(n_below):
                    minus[j, k] = -L[last + k, first + j]
            below, panel = rows_at(L, last, n_below), rows_at(L, first, last - first)
            m = last + (-last) % tiles.lanes(L)
            accumulate(columns_before(minus, n_below), no_bias, below, panel, at, m, onto)
        for p in range(last - 1, first - 1, -1):
            row = vector_at(L, p * width, p + 1)
            for k in range(p + 1, last):
                entry, of_k = L[k, p], vector_at(L, k * width, p + 1)
                for q in range(p + 1):
                    row[q] -= entry * of_k[q]
            if not row[p] > LOST * diagonal[p]:
                return False
            root = np.sqrt(row[p])
            for q in range(p):
                row[q] /= root
            row[p] = root
    return True


@compiled_once
def solve_factorised(L, x):
    """Replace x by the solution of L^T L x = x.  n^2 multiply-adds."""
    n, width = x.size, L.shape[1]
    for p in range(n - 1, -1, -1):
        x[p] /= L[p, p]
        row = vector_at(L, p * width, p)
        for q in range(p):
            x[q] -= row[q] * x[p]
    for p in range(n):
        x[p] = (x[p] - dot(vector_at(L, p * width, p), vector_at(x, 0, p))) / L[p, p]
