"""Sums and products whose order is written down.

A compiler may reorder a sum, or a product, to suit the vectors of a loop. These keep the order in
which they are written, so that another loop over other arrays can repeat them to the bit: the one
that trains many networks side by side (engine/equations/members.py).

A sum has eight totals, which take the terms in turn, so that a processor need not wait for one
addition before the next; they are added in pairs at the end.
"""

import numpy as np

from engine.compiler.jit import compiled_once, in_order, jit
from engine.compiler.tile_arithmetic import fused

TOTALS = 8


@in_order
def plus(total, term):
    return total + term


@in_order
def plus_product(total, a, b):
    """total + a b, in one rounding if the processor has a fused multiply-add."""
    return fused(a, b, total)


@in_order
def quotient(a, b):
    """a / b; a compiler may take 1 / b once for several quotients, or only near it, in vectors."""
    return a / b


@in_order
def in_pairs(t0, t1, t2, t3, t4, t5, t6, t7):
    """The sum of eight totals."""
    return ((t0 + t1) + (t2 + t3)) + ((t4 + t5) + (t6 + t7))


@jit
def sum_in_order(x, m):
    """sum_i x_i of the first m numbers, in float64."""
    t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = 0.0
    rounds = m - m % TOTALS
    for i in range(0, rounds, TOTALS):
        t0 = plus(t0, np.float64(x[i]))
        t1 = plus(t1, np.float64(x[i + 1]))
        t2 = plus(t2, np.float64(x[i + 2]))
        t3 = plus(t3, np.float64(x[i + 3]))
        t4 = plus(t4, np.float64(x[i + 4]))
        t5 = plus(t5, np.float64(x[i + 5]))
        t6 = plus(t6, np.float64(x[i + 6]))
        t7 = plus(t7, np.float64(x[i + 7]))
    for i in range(rounds, m):
        t0 = plus(t0, np.float64(x[i]))
    return in_pairs(t0, t1, t2, t3, t4, t5, t6, t7)


@jit
def sum_of_squares_in_order(x):
    """sum_p x_p^2, in float64."""
    t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = 0.0
    rounds = x.size - x.size % TOTALS
    for p in range(0, rounds, TOTALS):
        t0 = plus_product(t0, np.float64(x[p]), np.float64(x[p]))
        t1 = plus_product(t1, np.float64(x[p + 1]), np.float64(x[p + 1]))
        t2 = plus_product(t2, np.float64(x[p + 2]), np.float64(x[p + 2]))
        t3 = plus_product(t3, np.float64(x[p + 3]), np.float64(x[p + 3]))
        t4 = plus_product(t4, np.float64(x[p + 4]), np.float64(x[p + 4]))
        t5 = plus_product(t5, np.float64(x[p + 5]), np.float64(x[p + 5]))
        t6 = plus_product(t6, np.float64(x[p + 6]), np.float64(x[p + 6]))
        t7 = plus_product(t7, np.float64(x[p + 7]), np.float64(x[p + 7]))
    for p in range(rounds, x.size):
        t0 = plus_product(t0, np.float64(x[p]), np.float64(x[p]))
    return in_pairs(t0, t1, t2, t3, t4, t5, t6, t7)


@jit
def norm_from(total, x):
    """The Euclidean norm of a vector x whose sum of squares is `total`, as computed above."""
    return np.sqrt(total) if 1e-200 < total < np.inf else scaled_norm(x, total)


@compiled_once
def scaled_norm(x, total):
    """The same, where `total` overflows, underflows or is NaN."""
    largest = 0.0
    for p in range(x.size):
        largest = max(largest, abs(np.float64(x[p])))
    if not 0 < largest < np.inf:
        return total if total != total else largest
    # Sum again, scaled by a power of two.
    scale = 2.0**-600 if largest > 1 else 2.0**600
    total = 0.0
    for p in range(x.size):
        scaled = np.float64(x[p]) * scale
        total = plus_product(total, scaled, scaled)
    return np.sqrt(total) / scale
