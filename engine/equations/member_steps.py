"""Mean cost, mean gradient and one step of many networks side by side (members.py).

The equations are those of mean.py and update.py, for a number of each network: `scale` is 1/S,
and each row of `rates` a number of the optimiser. A network whose `go` is 0 keeps its parameters.
"""

import numpy as np

from engine.compiler import tiles
from engine.compiler.jit import compiled_once, inlined
from engine.compiler.views import matrix_at, rows_at
from engine.equations.members import add_squares_in_order
from engine.equations.ordered_sums import plus, plus_product
from engine.equations.products import ONE
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
    of_decay, of_scale = numbers_of(decay), numbers_of(scale)
    row = 0
    for l in range(1, len(sizes)):
        after_W = row + sizes[l] * sizes[l - 1]
        after_b = after_W + sizes[l]
        for p in range(row, after_W):
            penalised = plus_product(at(dtheta, p), of_decay, at(theta, p))
            tiles.store(penalised * of_scale, dtheta, p, 0)  # B9
        for p in range(after_W, after_b):
            tiles.store(at(dtheta, p) * of_scale, dtheta, p, 0)  # B10
        row = after_b


@inlined
def at(rows, p):
    """Row p: a number of each network."""
    return tiles.load(rows, p, 0, ONE, ONE)


@inlined
def numbers_of(vector):
    """A vector (K,): a number of each network."""
    return tiles.load(matrix_at(vector, 0, 1, vector.size), 0, 0, ONE, ONE)


@inlined
def put(moved, rows, p, go):
    """Row p becomes `moved`, for networks that go on."""
    tiles.store(tiles.where(go, moved, at(rows, p)), rows, p, 0)


@compiled_once
def gradient_descent_members(theta, dtheta, rates, go):
    """A step of gradient descent."""
    eta, goes = at(rates, ETA), numbers_of(go)
    for p in range(theta.shape[0]):
        put(descended(at(theta, p), at(dtheta, p), eta), theta, p, goes)  # U1


@compiled_once
def momentum_members(theta, dtheta, velocity, rates, go):
    """A step with momentum."""
    eta, mu, goes = at(rates, ETA), at(rates, MU), numbers_of(go)
    for p in range(theta.shape[0]):
        v = next_velocity(at(velocity, p), at(dtheta, p), eta, mu)
        put(v, velocity, p, goes)
        put(plus(at(theta, p), v), theta, p, goes)  # U2


@compiled_once
def nesterov_members(theta, dtheta, velocity, rates, go):
    """A step with Nesterov's momentum."""
    eta, mu, goes = at(rates, ETA), at(rates, MU), numbers_of(go)
    for p in range(theta.shape[0]):
        slope = at(dtheta, p)
        v = next_velocity(at(velocity, p), slope, eta, mu)
        put(v, velocity, p, goes)
        put(looked_ahead(at(theta, p), v, slope, eta, mu), theta, p, goes)  # U3


@compiled_once
def adam_members(theta, dtheta, first, second, rates, go):
    """A step of Adam; the bias corrections are in the learning rate."""
    keep_1, add_1, keep_2, add_2 = (
        at(rates, KEEP_1),
        at(rates, ADD_1),
        at(rates, KEEP_2),
        at(rates, ADD_2),
    )
    eta, epsilon, goes = at(rates, ETA), at(rates, EPSILON), numbers_of(go)
    for p in range(theta.shape[0]):
        slope = at(dtheta, p)
        m = next_moment(at(first, p), slope, keep_1, add_1)
        v = next_square(at(second, p), slope, keep_2, add_2)  # U4
        put(m, first, p, goes)
        put(v, second, p, goes)
        put(adapted(at(theta, p), m, v, eta, epsilon), theta, p, goes)  # U5


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
