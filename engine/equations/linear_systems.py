"""Systems of linear equations with a positive definite matrix, solved in a fixed order.

    N3  (G + alpha R + mu I) step = -g

LAPACK's bits depend on its threads and its build; these loops have their order in the source. The
matrix is symmetric, and of it only the lower triangle counts. Cholesky: G = L L^T, row by row, so
that each sum runs over numbers that lie one after the other.
"""

import numpy as np

from engine.compiler.jit import compiled_once, jit
from engine.compiler.views import vector_at

# A pivot that is smaller than its diagonal entry by this factor has no correct digit left.
LOST = 4 * np.finfo(np.float64).eps


@jit
def dot(a, b):
    """sum_i a_i b_i."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@compiled_once
def factorise(G):
    """Replace the lower triangle of G by L of G = L L^T; returns whether G is positive definite.

    n^3 / 6 multiply-adds.
    """
    n = G.shape[0]
    for p in range(n):
        for q in range(p):
            known = dot(vector_at(G, p * n, q), vector_at(G, q * n, q))
            G[p, q] = (G[p, q] - known) / G[q, q]
        row = vector_at(G, p * n, p)
        pivot = G[p, p] - dot(row, row)
        if not pivot > LOST * G[p, p]:
            return False
        G[p, p] = np.sqrt(pivot)
    return True


@compiled_once
def solve_factorised(L, x):
    """Replace x by the solution of L L^T x = x.  n^2 multiply-adds."""
    n = L.shape[0]
    for p in range(n):
        x[p] = (x[p] - dot(vector_at(L, p * n, p), vector_at(x, 0, p))) / L[p, p]
    for p in range(n - 1, -1, -1):
        x[p] /= L[p, p]
        for q in range(p):
            x[q] -= L[p, q] * x[p]


@compiled_once
def invert_factorised(L, inverse):
    """Fill `inverse` with the inverse of L L^T, both triangles.  n^3 / 2 multiply-adds."""
    n = L.shape[0]
    for p in range(n):
        column = vector_at(inverse, p * n, n)
        for q in range(n):
            column[q] = 1.0 if q == p else 0.0
        solve_factorised(L, column)
