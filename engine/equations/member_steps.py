"""Mean cost, mean gradient and one step of many networks side by side (members.py).

The equations are those of mean.py and update.py; each number in them is one of each network:

    theta, dtheta, first ...    (n_parameters, K)    as in members.py; moments, velocity
    scale, decay                (K,)                 1/S and alpha, in the dtype of theta
    rates                       (N_RATES, K)         the numbers of the optimiser
    go                          (K,)                 0 for a network that does not take this step

A network whose `go` is 0 keeps its parameters, moments and velocity, whatever its gradient is: its
batch had no weight, its cost is not finite, or there is no network in its lane.
"""

from engine.compiler import tiles
from engine.compiler.jit import compiled_once, inlined
from engine.compiler.tile_arithmetic import where
from engine.compiler.views import matrix_at, rows_at
from engine.equations.members import add_squares_in_order
from engine.equations.ordered_sums import plus, plus_product
from engine.equations.products import ONE
from engine.equations.update import (
    adapted,
    averaged,
    decayed,
    descended,
    looked_ahead,
    next_moment,
    next_square,
    next_velocity,
)

# Rows of `rates`: eta, or Adam's eta_t; mu; of both moments beta and 1 - beta; epsilon; eta lambda;
# of the average d and 1 - d; what a gradient is multiplied by so that it is no longer than c.
(
    ETA,
    MU,
    KEEP_1,
    ADD_1,
    KEEP_2,
    ADD_2,
    EPSILON,
    SHRINK,
    KEEP_MEAN,
    ADD_MEAN,
    SHORTEN,
    N_RATES,
) = range(12)


@compiled_once
def penalties_members(theta, sizes, alphas, totals, squares, penalties):
    """penalties[k] = alpha/2 sum_l ||W[l]||^2, 0 where alpha is 0.

    `totals` (TOTALS, K) and `squares` (K,) are memory for sums, in float64 as all that is summed.
    """
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
    of_decay, of_scale = row_of_vector(decay), row_of_vector(scale)
    row = 0
    for l in range(1, len(sizes)):
        after_W = row + sizes[l] * sizes[l - 1]
        after_b = after_W + sizes[l]
        for p in range(row, after_W):
            penalised = plus_product(row_of(dtheta, p), of_decay, row_of(theta, p))
            tiles.store(penalised * of_scale, dtheta, p, 0)  # B9
        for p in range(after_W, after_b):
            tiles.store(row_of(dtheta, p) * of_scale, dtheta, p, 0)  # B10
        row = after_b


@inlined
def row_of(rows, p):
    """Row p as a tile: a number of each network."""
    return tiles.load(rows, p, 0, ONE, ONE)


@inlined
def row_of_vector(vector):
    """A vector (K,) as a tile: a number of each network."""
    return tiles.load(matrix_at(vector, 0, 1, vector.size), 0, 0, ONE, ONE)


@inlined
def put(moved, rows, p, go):
    """Row p becomes `moved`, for networks that go on."""
    tiles.store(where(go, moved, row_of(rows, p)), rows, p, 0)


@compiled_once
def gradient_descent_members(theta, dtheta, rates, go):
    """A step of gradient descent."""
    eta, goes = row_of(rates, ETA), row_of_vector(go)
    for p in range(theta.shape[0]):
        put(descended(row_of(theta, p), row_of(dtheta, p), eta), theta, p, goes)  # U1


@compiled_once
def momentum_members(theta, dtheta, velocity, rates, go):
    """A step with momentum."""
    eta, mu, goes = row_of(rates, ETA), row_of(rates, MU), row_of_vector(go)
    for p in range(theta.shape[0]):
        v = next_velocity(row_of(velocity, p), row_of(dtheta, p), eta, mu)
        put(v, velocity, p, goes)
        put(plus(row_of(theta, p), v), theta, p, goes)  # U2


@compiled_once
def nesterov_members(theta, dtheta, velocity, rates, go):
    """A step with Nesterov's momentum."""
    eta, mu, goes = row_of(rates, ETA), row_of(rates, MU), row_of_vector(go)
    for p in range(theta.shape[0]):
        slope = row_of(dtheta, p)
        v = next_velocity(row_of(velocity, p), slope, eta, mu)
        put(v, velocity, p, goes)
        put(looked_ahead(row_of(theta, p), v, slope, eta, mu), theta, p, goes)  # U3


@compiled_once
def adam_members(theta, dtheta, first, second, rates, go):
    """A step of Adam; the bias corrections are in the learning rate."""
    keep_1, add_1 = row_of(rates, KEEP_1), row_of(rates, ADD_1)
    keep_2, add_2 = row_of(rates, KEEP_2), row_of(rates, ADD_2)
    eta, epsilon, goes = row_of(rates, ETA), row_of(rates, EPSILON), row_of_vector(go)
    for p in range(theta.shape[0]):
        slope = row_of(dtheta, p)
        m = next_moment(row_of(first, p), slope, keep_1, add_1)
        v = next_square(row_of(second, p), slope, keep_2, add_2)  # U4
        put(m, first, p, goes)
        put(v, second, p, goes)
        put(adapted(row_of(theta, p), m, v, eta, epsilon), theta, p, goes)  # U5


@compiled_once
def decay_members(theta, sizes, rates, go):
    """Shrink the weights, before a step of Adam."""
    share, goes = row_of(rates, SHRINK), row_of_vector(go)
    row = 0
    for l in range(1, len(sizes)):
        after_W = row + sizes[l] * sizes[l - 1]
        for p in range(row, after_W):
            put(decayed(row_of(theta, p), share), theta, p, goes)  # U8
        row = after_W + sizes[l]


@compiled_once
def average_members(mean, theta, rates, go):
    """Take the parameters after a step into their averages."""
    keep, add, goes = row_of(rates, KEEP_MEAN), row_of(rates, ADD_MEAN), row_of_vector(go)
    for p in range(theta.shape[0]):
        put(averaged(row_of(mean, p), row_of(theta, p), keep, add), mean, p, goes)  # U9


@compiled_once
def clip_members(dtheta, rates):
    """Shorten each gradient by its own share, which is 1 where its norm is not above c."""
    share = row_of(rates, SHORTEN)
    for p in range(dtheta.shape[0]):
        tiles.store(row_of(dtheta, p) * share, dtheta, p, 0)  # U10
