"""Mean cost, mean gradient and one step of many networks side by side (members.py).

The equations are those of mean.py and update.py, for a number of each network: `scale` is 1/S,
and each row of `rates` a number of the optimiser. A network whose `go` is 0 keeps its parameters.
"""

import numpy as np

from engine.compiler import tiles
from engine.compiler.jit import compiled_once, jit
from engine.compiler.views import rows_at
from engine.equations.members import add_squares_in_order
from engine.equations.ordered_sums import plus, plus_product
from engine.equations.update import (
    adapted,
    descended,
    looked_ahead,
    next_moment,
    next_square,
    next_velocity,
)

# Rows of `rates`: the learning rate, with Adam's bias corrections; momentum; what Adam keeps of
# its moments and adds to them; epsilon.
ETA, MU, KEEP_1, ADD_1, KEEP_2, ADD_2, EPSILON, N_RATES = range(8)


@compiled_once
def penalties_members(theta, sizes, alphas, totals, squares, penalties):
    """penalties[k] = alpha/2 sum_l ||W[l]||^2, 0 where alpha is 0."""
    n_lanes = tiles.lanes(theta)
    for k in range(n_lanes):
        penalties[k] = 0.0
    row = 0
    for l in range(1, len(sizes)):
        n_weights = sizes[l] * sizes[l - 1]
        for k in range(n_lanes):
            squares[k] = 0.0
        add_squares_in_order(totals, rows_at(theta, row, n_weights), theta, squares)
        for k in range(n_lanes):
            if alphas[k] > 0:  # no 0 * inf where W^2 overflows
                penalties[k] = plus_product(penalties[k], 0.5 * alphas[k], squares[k])  # L6
        row += n_weights + sizes[l]


@compiled_once
def mean_gradient_members(dtheta, theta, sizes, decay, scale):
    """Turn summed gradients into the means, in place and in their own dtype."""
    n_lanes = tiles.lanes(theta)
    row = 0
    for l in range(1, len(sizes)):
        after_W = row + sizes[l] * sizes[l - 1]
        after_b = after_W + sizes[l]
        for p in range(row, after_W):
            for k in range(n_lanes):
                dtheta[p, k] = plus_product(dtheta[p, k], decay[k], theta[p, k]) * scale[k]  # B9
        for p in range(after_W, after_b):
            for k in range(n_lanes):
                dtheta[p, k] *= scale[k]  # B10
        row = after_b


@jit
def descend_lanes(theta, dtheta, rates, go):
    """A step of gradient descent."""
    for p in range(theta.shape[0]):
        for k in range(tiles.lanes(theta)):
            moved = descended(theta[p, k], dtheta[p, k], rates[ETA, k])  # U1
            theta[p, k] = moved if go[k] else theta[p, k]


@jit
def momentum_lanes(theta, dtheta, velocity, rates, go):
    """A step with momentum."""
    for p in range(theta.shape[0]):
        for k in range(tiles.lanes(theta)):
            v = next_velocity(velocity[p, k], dtheta[p, k], rates[ETA, k], rates[MU, k])
            velocity[p, k] = v if go[k] else velocity[p, k]
            theta[p, k] = plus(theta[p, k], v) if go[k] else theta[p, k]  # U2


@jit
def nesterov_lanes(theta, dtheta, velocity, rates, go):
    """A step with Nesterov's momentum."""
    for p in range(theta.shape[0]):
        for k in range(tiles.lanes(theta)):
            eta, mu, slope = rates[ETA, k], rates[MU, k], dtheta[p, k]
            v = next_velocity(velocity[p, k], slope, eta, mu)
            velocity[p, k] = v if go[k] else velocity[p, k]
            moved = looked_ahead(theta[p, k], v, slope, eta, mu)  # U3
            theta[p, k] = moved if go[k] else theta[p, k]


@jit
def adam_lanes(theta, dtheta, first, second, rates, go):
    """A step of Adam; the bias corrections are in the learning rate."""
    for p in range(theta.shape[0]):
        for k in range(tiles.lanes(theta)):
            slope = dtheta[p, k]
            m = next_moment(first[p, k], slope, rates[KEEP_1, k], rates[ADD_1, k])
            v = next_square(second[p, k], slope, rates[KEEP_2, k], rates[ADD_2, k])  # U4
            moved = adapted(theta[p, k], m, v, rates[ETA, k], rates[EPSILON, k])  # U5
            first[p, k] = m if go[k] else first[p, k]
            second[p, k] = v if go[k] else second[p, k]
            theta[p, k] = moved if go[k] else theta[p, k]


@compiled_once
def scaled_norm(dtheta, k, total):
    """The norm of a network's gradient whose sum of squares overflows, underflows or is NaN."""
    largest = 0.0
    for p in range(dtheta.shape[0]):
        largest = max(largest, abs(np.float64(dtheta[p, k])))
    if not 0 < largest < np.inf:
        return total if total != total else largest
    scale = 2.0**-600 if largest > 1 else 2.0**600
    total = 0.0
    for p in range(dtheta.shape[0]):
        total += (np.float64(dtheta[p, k]) * scale) ** 2
    return np.sqrt(total) / scale
