"""From sums over samples to the mean cost and its gradient: the one place that divides.

    S = sum_i s_i, the number of samples where they have no weights

    L6   J  = (sum_i s_i J_i) / S  +  alpha/2 sum_l ||W[l]||^2 / S
    B9   dW = (sum for W + alpha W) / S
    B10  db = (sum for b) / S

Parameters of embeddings, which follow those of the layers, are divided like biases.

Sums come in as float64, and are divided as float64 before they are rounded to the dtype of theta.
"""

import numpy as np

from engine.compiler.jit import compiled_once, jit
from engine.compiler.views import vector_at
from engine.equations.layout import (
    n_parameters_of,
    n_parameters_of_loops,
    parameters_of,
    parameters_of_loops,
)
from engine.equations.ordered_sums import plus, plus_product, quotient, sum_of_squares_in_order


def mean_cost_numpy(cost_sum, theta, sizes, alpha, S):
    """J from the summed cost."""
    penalty = 0.0
    for l in range(1, len(sizes) if alpha > 0 else 0):  # no 0 * inf where W^2 overflows
        W, _ = parameters_of(theta, sizes, l)
        penalty += 0.5 * alpha * np.sum(np.square(W, dtype=np.float64))
    return float((cost_sum + penalty) / S)  # L6


def mean_gradient_numpy(gradient_sum, theta, sizes, alpha, S, dtheta):
    """Fill dtheta from the summed gradient, which is float64."""
    for l in range(1, len(sizes)):
        W, _ = parameters_of(theta, sizes, l)
        sum_W, sum_b = parameters_of(gradient_sum, sizes, l)
        dW, db = parameters_of(dtheta, sizes, l)
        dW[:] = (sum_W + alpha * W.astype(np.float64)) / S  # B9
        db[:] = sum_b / S  # B10
    first = n_parameters_of(sizes)
    dtheta[first:] = gradient_sum[first:] / S  # B10


@jit
def mean_cost_loops(cost_sum, theta, sizes, alpha, S):
    """J from the summed cost."""
    penalty = 0.0
    for l in range(1, len(sizes) if alpha > 0 else 0):  # no 0 * inf where W^2 overflows
        W, _ = parameters_of_loops(theta, sizes, l)
        squares = sum_of_squares_in_order(vector_at(W, 0, W.size))
        penalty = plus_product(penalty, 0.5 * alpha, squares)
    return quotient(plus(cost_sum, penalty), S)  # L6


@jit
def mean_gradient_loops(gradient_sum, theta, sizes, alpha, S, dtheta):
    """Fill dtheta from the summed gradient, which is float64."""
    for l in range(1, len(sizes)):
        W, _ = parameters_of_loops(theta, sizes, l)
        sum_W, sum_b = parameters_of_loops(gradient_sum, sizes, l)
        dW, db = parameters_of_loops(dtheta, sizes, l)
        for j in range(W.shape[0]):
            for k in range(W.shape[1]):
                dW[j, k] = (sum_W[j, k] + alpha * W[j, k]) / S  # B9
            db[j] = sum_b[j] / S  # B10
    for p in range(n_parameters_of_loops(sizes), dtheta.size):
        dtheta[p] = gradient_sum[p] / S  # B10


@compiled_once
def mean_gradient_tiled(dtheta, theta, sizes, alpha, S, start, stop):
    """Turn a summed gradient into the mean, in place and in its own dtype: for minibatches.

    Only entries start ... stop - 1, so that the caller can use them while they are in cache.
    """
    scale, decay = dtheta.dtype.type(1 / S), dtheta.dtype.type(alpha)
    first = 0
    for l in range(1, len(sizes)):
        after_W = first + sizes[l] * sizes[l - 1]
        after_b = after_W + sizes[l]
        # Views, so that the loops begin at 0. The compiler must assume that an index with another
        # start may be negative, and so count from the end; it does not vectorise such a loop.
        at_W, at_b = min(max(first, start), after_W), min(max(after_W, start), after_b)
        n_W, n_b = max(0, min(after_W, stop) - at_W), max(0, min(after_b, stop) - at_b)
        dW, W = vector_at(dtheta, at_W, n_W), vector_at(theta, at_W, n_W)
        db = vector_at(dtheta, at_b, n_b)
        for p in range(dW.size):
            dW[p] = plus_product(dW[p], decay, W[p]) * scale  # B9
        for p in range(db.size):
            db[p] *= scale  # B10
        first = after_b
    at = max(first, start)
    rest = vector_at(dtheta, at, max(0, stop - at))  # of the embeddings
    for p in range(rest.size):
        rest[p] *= scale  # B10
